/* Shape inference against evaluation: each value that the evaluator makes has the element type, the rank, the
 * sizes and, where they are known, the elements that inference promised for these inputs. Every node is run,
 * as ONNX Runtime does: inference concludes from nodes that no output needs, too (ir/infer_equal.c). */
#include <stdio.h>

#include "fuzz.h"

typedef struct {
    Tg *tg;
    const TgGraph *g;
    const TgArray *in;
    const char *text;
    TgArray *made; /* by value; kind 0: none */
} Watch;

static void keep(void *user, const TgGraph *g, TgValue v, TgArray *value)
{
    Watch *w = user;
    if (g == w->g && !w->made[v].owners)
        w->made[v] = tg_array_share(value);
}

/* Symbols have the sizes of the inputs that are named by them. */
static bool size_of(void *user, TgDim symbol, int64_t *n)
{
    const Watch *w = user;
    for (uint32_t i = 0; i < w->g->inputs.n; i++) {
        const TgType *t = tg_type_of(w->g, w->g->inputs.at[i]);
        for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank; k++)
            if (t->dim[k] == symbol)
                return *n = w->in[i].dim[k], true;
    }
    return false;
}

static void promise(Watch *w, bool kept, TgValue v, const char *what, TgDim said, int64_t is)
{
    if (!kept)
        fuzz_require(
            w->tg, false, "inference promised something else",
            tg_name_format(w->tg, "value %u '%s': %s: %s, evaluated %lld\n%s", v,
                           tg_value(w->g, v)->name ? tg_value(w->g, v)->name : "", what,
                           said ? tg_dim_text(w->tg, said) : tg_type_text(w->tg, tg_type_of(w->g, v)),
                           (long long)is, w->text));
}

static void check_elements(Watch *w, TgValue v, const TgArray *a)
{
    const TgDim *element = tg_value(w->g, v)->symbolic;
    int64_t n;
    for (int64_t i = 0; element && i < a->count; i++)
        if (tg_dim_eval(element[i], size_of, w, &n))
            promise(w, n == tg_array_int(a, i), v, "an element", element[i], tg_array_int(a, i));
}

static void check_value(Watch *w, TgValue v, const TgArray *a)
{
    const TgType *t = tg_type_of(w->g, v);
    int64_t n;
    if (t->kind != TG_TENSOR || a->kind != TG_TENSOR)
        return;
    promise(w, t->dtype == TG_undefined || t->dtype == a->dtype, v, "element type", NULL, (int64_t)a->dtype);
    promise(w, t->rank < 0 || t->rank == a->rank, v, "rank", NULL, a->rank);
    for (int32_t k = 0; k < t->rank; k++)
        if (tg_dim_eval(t->dim[k], size_of, w, &n))
            promise(w, n == a->dim[k], v, "a size", t->dim[k], a->dim[k]);
    check_elements(w, v, a);
}

static void run(Watch *w, TgModel *m, uint64_t seed)
{
    enum { MOST = 64 };
    Tg *tg = w->tg;
    TgGraph *g = m->graph;
    TgArray in[MOST], out[MOST];
    if (g->inputs.n > MOST || g->outputs.n > MOST ||
        !tg_random_inputs(tg, g, TG_EVAL_NATIVE, seed, (TgInputClass)(seed % TG_IN_CLASSES), in))
        return;
    w->in = in;
    w->made = TG_NEW_N(m->arena, TgArray, g->values.n);
    TgEvalOptions options = {
        .mode = TG_EVAL_NATIVE, .seed = seed, .max_flops = 1e7, .watch = keep, .user = w};
    if (tg_eval(tg, g, &options, in, out)) /* what fails half way may break promises: it is never seen */
        for (TgValue v = 1; v < g->values.n; v++)
            if (w->made[v].owners)
                check_value(w, v, &w->made[v]);
}

static void return_what_nobody_reads(TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (info->origin == TG_V_RESULT && !info->uses.n && !info->returned)
            tg_graph_return(g, v, tg_name_format(g->tg, "unread %u", v), NULL);
    }
}

void fuzz_one(Tg *tg, TgBytes input)
{
    TgModel *m = fuzz_model(tg, input);
    if (!m)
        return;
    return_what_nobody_reads(m->graph);
    fuzz_infer_anew(m->graph);
    Watch w = {.tg = tg, .g = m->graph, .text = fuzz_print(m)};
    for (uint64_t seed = 0; seed < 4; seed++)
        run(&w, m, seed);
}
