/* --convert: the optimized model in 16 bits, and how far its outputs are from those of the source.
 *
 * The error is measured by our evaluator: both models run on the same random inputs (floats rounded to 16 bits first,
 * so that it is the model's error alone), each result rounded to its type. What counts is the largest difference of an
 * output, relative to the largest element that the source gives there. */
#include <limits.h>
#include <math.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "tool.h"

enum {
    RUNS = 3,
    ATTEMPTS = 9 /* sizes drawn at random may contradict each other */
};
static const double LARGE = 64 << 20; /* bytes of constants from which one run has to do */

static const TgEvalMode MODE = TG_EVAL_NATIVE;

bool narrowing_of(const Arguments *a, TgDtype *to)
{
    static const char *const words[] = {"f32", "f16", "bf16", "int8", "int4"};
    static const TgDtype types[] = {TG_undefined, TG_f16, TG_bf16, TG_i8, TG_i4};
    int word = choice_of(a, OPT_weights, words, 5);
    *to = word < 0 ? TG_undefined : types[word];
    return word >= 0;
}

bool strictness_of(const Arguments *a, bool *strict)
{
    static const char *const words[] = {"f32", "f32-strict"};
    int word = choice_of(a, OPT_math, words, 2);
    *strict = word == 1;
    return word >= 0;
}

bool conversion_of(const Arguments *a, TgConvert *convert)
{
    static const char *const words[] = {"none", "fp16", "bf16"};
    static const TgDtype types[] = {TG_undefined, TG_f16, TG_bf16};
    int word = choice_of(a, OPT_convert, words, 3);
    if (word < 0)
        return false;
    *convert = (TgConvert){types[word], has(a, OPT_keep_io)};
    if (convert->keep_io && !convert->to)
        return usage("--keep-io says something about --convert, which is not given");
    if (convert->to && has(a, OPT_trace))
        return usage("--trace certifies that nothing changed, and --convert changes it: give one of them");
    return true;
}

void keep_freed_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

static double difference(const TgArray *a, const TgArray *b, int64_t i)
{
    double x = tg_array_float(MODE, a, i), y = tg_array_float(MODE, b, i);
    return x == y || (isnan(x) && isnan(y)) ? 0 : fabs(x - y);
}

/* Relative to the largest finite element of a; NaN: the shapes differ. */
static double error_of(const TgArray *a, const TgArray *b)
{
    double largest = 0, worst = 0;
    if (a->kind != TG_TENSOR || a->count != b->count || a->rank != b->rank)
        return NAN;
    for (int64_t i = 0; i < a->count; i++) {
        double x = fabs(tg_array_float(MODE, a, i)), d = difference(a, b, i);
        largest = isfinite(x) && x > largest ? x : largest;
        worst = d > worst || isnan(d) ? d : worst;
    }
    return worst == 0 ? 0 : worst / largest;
}

/* The same numbers in the type that the converted model wants. */
static TgArray as_input(Tg *tg, const TgArray *a, TgDtype to)
{
    if (a->kind != TG_TENSOR || a->dtype == to)
        return tg_array_share(a);
    TgArray made = tg_array_new(tg, MODE, to, a->rank, a->dim);
    for (int64_t i = 0; i < a->count; i++)
        tg_array_set_float(MODE, &made, i, tg_array_float(MODE, a, i));
    return made;
}

static void round_inputs(const TgGraph *g, TgDtype to, TgArray *in)
{
    for (uint32_t i = 0; i < g->inputs.n; i++)
        for (int64_t k = 0; in[i].kind == TG_TENSOR && in[i].dtype == TG_f32 && k < in[i].count; k++)
            tg_array_set_float(MODE, &in[i], k, tg_round_float(to, tg_array_float(MODE, &in[i], k), false));
}

static void note_errors(Conversion *c, const TgGraph *g, const TgArray *a, const TgArray *b)
{
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        if (a[i].kind != TG_TENSOR || !tg_is_float(a[i].dtype))
            continue;
        double error = error_of(&a[i], &b[i]);
        if (error > c->errors[i] || isnan(error))
            c->errors[i] = error;
        if (!c->worst_output || error > c->worst || isnan(error)) {
            c->worst = error;
            c->worst_output = g->outputs.at[i].name;
        }
    }
}

static void drop(Tg *tg, uint32_t n, TgArray *arrays)
{
    for (uint32_t i = 0; i < n; i++)
        tg_array_drop(tg, &arrays[i]);
}

/* One run of both; false: one of them cannot be evaluated, recorded. */
static bool run_both(Tg *tg, TgModel *source, TgModel *model, uint64_t seed, Conversion *c)
{
    TgGraph *a = source->graph, *b = model->graph;
    TgArena *arena = tg_forever(tg);
    TgArray *in = TG_NEW_N(arena, TgArray, a->inputs.n + 1),
            *narrow = TG_NEW_N(arena, TgArray, a->inputs.n + 1);
    TgArray *out = TG_NEW_N(arena, TgArray, a->outputs.n + 1),
            *made = TG_NEW_N(arena, TgArray, a->outputs.n + 1);
    TgEvalOptions options = {.mode = MODE, .seed = 1, .max_flops = 1e11};
    if (!tg_random_inputs(tg, a, MODE, seed, TG_IN_NORMAL, in))
        return false;
    if (!c->matrices)
        round_inputs(a, c->to, in);
    for (uint32_t i = 0; i < a->inputs.n; i++)
        narrow[i] = as_input(tg, &in[i], tg_type_of(b, b->inputs.at[i])->dtype);
    bool ok = tg_eval(tg, a, &options, in, out);
    if (ok && (ok = tg_eval(tg, b, &options, narrow, made))) {
        note_errors(c, a, out, made);
        drop(tg, a->outputs.n, made);
    }
    drop(tg, a->outputs.n, out);
    drop(tg, a->inputs.n, in);
    drop(tg, a->inputs.n, narrow);
    return ok;
}

/* How far the outputs of the model are from those of the source. */
static void measure(Run *run, TgModel *source, TgModel *model, uint64_t seed, Conversion *c)
{
    Tg *tg = run->tg;
    uint32_t said = tg_diag_count(tg), runs = tg_graph_const_bytes(source->graph) < LARGE ? RUNS : 1;
    c->errors = TG_NEW_N(tg_forever(tg), double, source->graph->outputs.n + 1);
    for (uint64_t i = 0; i < ATTEMPTS && c->runs < runs; i++) {
        c->runs += run_both(tg, source, model, seed + i, c);
        tg_diag_forget(tg, said); /* what cannot be evaluated can be converted all the same */
    }
}

bool narrow_model(Run *run, TgModel *source, TgModel *model, TgDtype to, uint64_t seed, Conversion *c)
{
    *c = (Conversion){.to = to, .graph = source->graph};
    if (!tg_narrow_weights(model, to, &c->matrices))
        return false;
    measure(run, source, model, seed, c);
    return true;
}

bool convert_model(Run *run, TgModel *source, TgModel *model, TgConvert convert, uint64_t seed, Conversion *c)
{
    *c = (Conversion){.to = convert.to, .graph = source->graph};
    if (!tg_convert(model, convert))
        return false;
    measure(run, source, model, seed, c);
    return true;
}

void print_conversion(const Conversion *c)
{
    if (c->matrices)
        fprintf(stderr, "  %-*s%u matrices as %s, ", SUMMARY_LABEL, "stored", c->matrices, tg_dtype_text(c->to));
    else
        fprintf(stderr, "  %-*sto %s, ", SUMMARY_LABEL, "converted", tg_dtype_text(c->to));
    if (c->runs && c->worst_output)
        fprintf(stderr, "largest error %.1e of the largest element of '%s' (%u run%s on random inputs)\n",
                c->worst, c->worst_output, c->runs, c->runs > 1 ? "s" : "");
    else
        fputs("its error could not be measured: some operator is not evaluated, or takes too long\n", stderr);
}

void json_conversion(Json *j, const Conversion *c)
{
    json_key(j, "conversion");
    if (!c) {
        json_string(j, NULL);
        return;
    }
    json_open(j, '{');
    json_key(j, "type");
    json_string(j, tg_dtype_text(c->to));
    json_key(j, "matrices");
    json_int(j, c->matrices);
    json_key(j, "runs");
    json_int(j, c->runs);
    json_key(j, "max_relative_error");
    json_number(j, c->runs ? c->worst : NAN);
    json_key(j, "outputs");
    json_open(j, '{');
    for (uint32_t i = 0; c->runs && i < c->graph->outputs.n; i++) {
        json_key(j, c->graph->outputs.at[i].name);
        json_number(j, c->errors[i]);
    }
    json_close(j, '}');
    json_close(j, '}');
}
