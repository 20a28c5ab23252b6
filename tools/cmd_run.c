/* tgopt run MODEL: evaluates a model, by our own evaluator, on stored or random inputs.
 *
 * --data DIR is a folder in the ONNX backend-test layout: input_N.pb feeds input N, output_N.pb is what
 * output N must be, within the tolerance of its element type. Without output files, and on random inputs,
 * the outputs are described.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const TgEvalMode MODE = TG_EVAL_NATIVE;

typedef struct {
    Run *run;
    TgModel *model;
    TgEvalOptions options;
    TgArray *in, *out; /* of the main graph */
    bool standalone;   /* --backend=c */
    Built *built;      /* for sizes up to some; NULL: not yet */
} Feed;

static bool begin(Feed *f)
{
    const TgGraph *g = f->model->graph;
    TgArena *forever = tg_forever(f->run->tg);
    f->in = TG_NEW_N(forever, TgArray, g->inputs.n + 1);
    f->out = TG_NEW_N(forever, TgArray, g->outputs.n + 1);
    return true;
}

static void drop(Feed *f)
{
    for (uint32_t i = 0; i < f->model->graph->inputs.n; i++)
        tg_array_drop(f->run->tg, &f->in[i]);
    for (uint32_t i = 0; i < f->model->graph->outputs.n; i++)
        tg_array_drop(f->run->tg, &f->out[i]);
}

static TgName file_of(Tg *tg, const char *folder, const char *kind, uint32_t i)
{
    return tg_name_format(tg, "%s/%s_%u.pb", folder, kind, i);
}

static uint32_t files_in(Tg *tg, const char *folder, const char *kind)
{
    uint32_t n = 0;
    while (access(file_of(tg, folder, kind, n), F_OK) == 0)
        n++;
    return n;
}

/* Only tensors have files that we read. */
static bool only_tensors(Run *run, const TgType *type, const char *name)
{
    if (type->kind == TG_TENSOR || type->kind == TG_UNTYPED)
        return true;
    fprintf(stderr, "tgopt: '%s' is %s: data files of such values are not supported\n", name ? name : "",
            tg_type_text(run->tg, type));
    run->code = EXIT_UNSUPPORTED;
    return false;
}

/* --- comparison --------------------------------------------------------------------------------------- */

static double tolerance(TgDtype t, bool relative)
{
    switch (t) {
    case TG_f32:
    case TG_f64:
    case TG_c64:
    case TG_c128: return relative ? 1e-3 : 1e-4;
    case TG_f16: return 1e-2;
    case TG_bf16: return 2e-2;
    default: return 0;
    }
}

static bool close_reals(const TgArray *got, const TgArray *want, int64_t i)
{
    double x = tg_array_float(MODE, got, i), y = tg_array_float(MODE, want, i);
    if (x == y || (isnan(x) && isnan(y)))
        return true;
    double allowed = tolerance(want->dtype, false) + tolerance(want->dtype, true) * fabs(y);
    return isfinite(x) && isfinite(y) && fabs(x - y) <= allowed;
}

static bool same_strings(const TgArray *got, const TgArray *want, int64_t i)
{
    const TgBytes *x = (const TgBytes *)got->data + i, *y = (const TgBytes *)want->data + i;
    return x->n == y->n && (!x->n || memcmp(x->at, y->at, x->n) == 0);
}

static bool same_element(const TgArray *got, const TgArray *want, int64_t i)
{
    if (want->dtype == TG_str)
        return same_strings(got, want, i);
    TgClass class = tg_dtype_class(want->dtype);
    bool real = class == TG_CLASS_F || class == TG_CLASS_C;
    return real ? close_reals(got, want, i) : tg_array_int(got, i) == tg_array_int(want, i);
}

static TgName shape_text(Tg *tg, const TgArray *a)
{
    return tg_type_text(tg, tg_type_known(tg, a->dtype, a->rank, a->dim));
}

/* Says where two values part; true where they do not. */
static bool compare(Run *run, TgName name, const TgArray *got, const TgArray *want)
{
    bool same_shape = got->kind == TG_TENSOR && got->dtype == want->dtype && got->rank == want->rank &&
                      memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) == 0;
    if (!same_shape) {
        TgName is = got->kind == TG_TENSOR ? shape_text(run->tg, got) : "no tensor";
        printf("output '%s': %s, expected %s\n", name, is, shape_text(run->tg, want));
        return false;
    }
    bool complex = tg_dtype_class(want->dtype) == TG_CLASS_C;
    int64_t n = complex ? 2 * want->count : want->count, wrong = 0, first = 0;
    for (int64_t i = n; i-- > 0;) {
        if (same_element(got, want, i))
            continue;
        wrong++;
        first = i;
    }
    if (!wrong)
        return true;
    printf("output '%s': %lld of %lld elements differ, first at %lld", name, (long long)wrong, (long long)n,
           (long long)first);
    if (want->dtype != TG_str)
        printf(": %.9g, expected %.9g", tg_array_float(MODE, got, first), tg_array_float(MODE, want, first));
    putchar('\n');
    return false;
}

/* --- stored data -------------------------------------------------------------------------------------- */

static bool read_array(Tg *tg, const char *path, TgArray *a)
{
    TgTensor *t = tg_load_tensor(tg_forever(tg), path);
    if (t)
        *a = tg_array_from_tensor(tg, MODE, t);
    return t != NULL;
}

/* Inputs that have a default are skipped unless there are files for all inputs. */
static bool feed_folder(Feed *f, const char *folder)
{
    Tg *tg = f->run->tg;
    const TgGraph *g = f->model->graph;
    uint32_t files = files_in(tg, folder, "input"), next = 0, plain = 0;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        plain += !tg_value(g, g->inputs.at[i])->initial;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *info = tg_value(g, g->inputs.at[i]);
        bool stored = next < files && (!info->initial || files > plain);
        if (!only_tensors(f->run, info->type, info->name))
            return false;
        if (!stored && !info->initial)
            return usage("'%s' has no file for input '%s'", folder, info->name);
        if (!stored)
            f->in[i] = tg_array_from_tensor(tg, MODE, info->initial);
        else if (!read_array(tg, file_of(tg, folder, "input", next++), &f->in[i]))
            return false;
    }
    return true;
}

static bool compare_folder(Feed *f, const char *folder, uint32_t files)
{
    Tg *tg = f->run->tg;
    const TgGraph *g = f->model->graph;
    bool equal = true;
    for (uint32_t i = 0; i < files && i < g->outputs.n; i++) {
        TgArray want;
        const TgReturn *out = &g->outputs.at[i];
        if (!only_tensors(f->run, tg_type_of(g, out->value), out->name))
            return false;
        if (!read_array(tg, file_of(tg, folder, "output", i), &want))
            return false;
        equal = compare(f->run, out->name, &f->out[i], &want) && equal;
        tg_array_drop(tg, &want);
    }
    printf("%s: %s\n", folder, equal ? "equal" : "different");
    if (!equal)
        f->run->code = EXIT_DIFFERENT;
    return true;
}

/* --- describing outputs ------------------------------------------------------------------------------- */

static void describe(Run *run, TgName name, const TgArray *a)
{
    if (a->kind != TG_TENSOR) {
        printf("%s: no tensor, %u items\n", name, a->n_items);
        return;
    }
    double low = HUGE_VAL, high = -HUGE_VAL, sum = 0;
    int64_t finite = 0, n = a->dtype == TG_str ? 0 : a->count;
    for (int64_t i = 0; i < n; i++) {
        double x = tg_array_float(MODE, a, i);
        if (!isfinite(x))
            continue;
        low = fmin(low, x);
        high = fmax(high, x);
        sum += x;
        finite++;
    }
    printf("%s: %s", name, shape_text(run->tg, a));
    if (finite)
        printf(" least %.6g, mean %.6g, greatest %.6g", low, sum / (double)finite, high);
    if (finite < n)
        printf(", %lld not finite", (long long)(n - finite));
    putchar('\n');
}

static void describe_all(Feed *f)
{
    for (uint32_t i = 0; i < f->model->graph->outputs.n; i++)
        describe(f->run, f->model->graph->outputs.at[i].name, &f->out[i]);
}

/* --- the command -------------------------------------------------------------------------------------- */

/* By the evaluator, or by a compiled package: made for the sizes of the first data, again where some are larger. */
static bool evaluate(Feed *f)
{
    if (!f->standalone)
        return tg_eval(f->run->tg, f->model->graph, &f->options, f->in, f->out);
    if (f->built && !package_fits(f->built, f->in)) {
        package_drop(f->built);
        f->built = NULL;
    }
    if (!f->built)
        f->built = package_build(f->run, f->model, f->in);
    return f->built && package_run(f->built, f->options.threads, f->in, f->out);
}

static bool run_folder(Feed *f, const char *folder)
{
    Tg *tg = f->run->tg;
    uint32_t expected = files_in(tg, folder, "output");
    if (access(folder, R_OK) != 0)
        return tg_report(tg, TG_E_cannot_open, folder, "no such folder");
    bool ok = begin(f) && feed_folder(f, folder) && evaluate(f);
    if (ok && expected)
        ok = compare_folder(f, folder, expected);
    else if (ok)
        describe_all(f);
    drop(f);
    return ok;
}

/* Random sizes and indices need not fit a model: some more seeds are tried before its refusal is believed. */
static bool run_random(Feed *f, uint64_t seed)
{
    enum { ATTEMPTS = 16 };
    Tg *tg = f->run->tg;
    uint32_t before = tg_diag_count(tg);
    bool ok = false;
    for (uint64_t i = 0; i < ATTEMPTS && !ok; i++) {
        tg_diag_forget(tg, before);
        ok = begin(f) && tg_random_inputs(tg, f->model->graph, MODE, seed + i, TG_IN_NORMAL, f->in) &&
             evaluate(f);
        if (ok)
            describe_all(f);
        drop(f);
    }
    return ok;
}

static bool read_seed(const char *text, uint64_t *seed)
{
    char *end;
    *seed = 1;
    if (!text || strcmp(text, "random") == 0)
        return true;
    if (strncmp(text, "random:", 7) == 0) {
        *seed = strtoull(text + 7, &end, 10);
        if (end > text + 7 && !*end)
            return true;
    }
    return usage("--inputs wants random:SEED, not '%s'", text);
}

bool run_command(Run *run)
{
    const Arguments *a = &run->arguments;
    Feed feed = {.run = run, .options = {.mode = MODE}};
    int64_t threads = 1;
    uint64_t seed;
    if (!number_of(a, OPT_threads, 1, 1024, &threads) || !read_seed(text_of(a, OPT_inputs), &seed)) {
        run->code = EXIT_USAGE;
        return false;
    }
    static const char *const backends[] = {"interp", "c"};
    int backend = choice_of(a, OPT_backend, backends, 2);
    if (backend < 0 || !known_for_c(run)) {
        run->code = EXIT_USAGE;
        return false;
    }
    feed.standalone = backend == 1;
    feed.options.threads = (uint32_t)threads;
    feed.model = load_model(run, a->operands.at[0]);
    if (!feed.model)
        return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < a->given.n; i++)
        if (a->given.at[i].id == OPT_data)
            ok = run_folder(&feed, a->given.at[i].value);
    ok = ok && (has(a, OPT_data) || run_random(&feed, seed));
    package_drop(feed.built);
    return ok;
}
