/* The best oracle: a model and what -O2 makes of it compute the same. */
#include <math.h>

#include "fuzz.h"
#include "passes/passes.h"

enum { MOST = 4096, MOST_VALUES = 64 };
static const double LARGEST = 1000;

/* Rewrites are equal over the reals, and may overflow elsewhere than the source where numbers are huge. */
static bool is_ordinary(Tg *tg, const TgTensor *t)
{
    for (size_t i = 0; tg_is_float(t->dtype) && i < t->count && i < MOST; i++)
        if (!(fabs(tg_tensor_float(tg, t, i)) <= LARGEST))
            return false;
    return true;
}

static bool all_ordinary(const TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->tensor && !is_ordinary(g->tg, tg_value(g, v)->tensor))
            return false;
    for (TgNode i = 1; i < g->nodes.n; i++)
        for (uint32_t s = 0; s < tg_node(g, i)->n_sub; s++) /* nesting is bounded by the readers */
            if (!all_ordinary(tg_node(g, i)->sub[s].graph))
                return false;
    return true;
}

/* --- a second opinion ----------------------------------------------------------------------------------- */

static bool close_enough(const TgArray *a, const TgArray *b)
{
    if (a->kind != TG_TENSOR || b->kind != TG_TENSOR)
        return true;
    bool same = a->dtype == b->dtype && a->rank == b->rank && a->count == b->count;
    for (int64_t i = 0; same && tg_is_float(a->dtype) && i < a->count; i++) {
        double x = tg_array_float(TG_EVAL_NATIVE, a, i), y = tg_array_float(TG_EVAL_NATIVE, b, i);
        double size = fmax(fabs(x), fabs(y));
        same = x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-2 * size || size < 1e-6;
    }
    for (int64_t i = 0; same && (tg_is_integer(a->dtype) || a->dtype == TG_bool) && i < a->count; i++)
        same = tg_array_int(a, i) == tg_array_int(b, i);
    return same;
}

/* Both run on the same inputs as a runtime would, rounding every result. tg_equiv may call different what
 * differs only between precisions (a number that lies on the edge of two quantized steps), or what cannot
 * run as a whole. */
static bool runs_differently(Tg *tg, TgModel *a, TgModel *b, uint64_t seed)
{
    TgArray in[MOST_VALUES], out_a[MOST_VALUES] = {0}, out_b[MOST_VALUES] = {0};
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .seed = seed, .max_flops = 1e7};
    uint32_t n = a->graph->outputs.n;
    if (a->graph->inputs.n > MOST_VALUES || n > MOST_VALUES || n != b->graph->outputs.n)
        return n != b->graph->outputs.n;
    if (!tg_random_inputs(tg, a->graph, TG_EVAL_NATIVE, seed, TG_IN_NORMAL, in) ||
        !tg_eval(tg, a->graph, &options, in, out_a))
        return false; /* these sizes do not fit together */
    if (!tg_eval(tg, b->graph, &options, in, out_b))
        return true;
    for (uint32_t i = 0; i < n; i++)
        if (!close_enough(&out_a[i], &out_b[i]))
            return true;
    return false;
}

void fuzz_one(Tg *tg, TgBytes input)
{
    enum { SEEDS = 12 };
    TgReport report;
    TgEquivResult result = {0};
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1};
    TgModel *m = fuzz_model(tg, input), *source = m ? tg_model_clone(m) : NULL;
    if (!source || !all_ordinary(m->graph) || !tg_optimize(m, &options, &report))
        return;
    bool decided = tg_equiv(tg, source, m, &(TgEquivOptions){.seed = 1, .max_flops = 1e7}, &result);
    if (!decided || result.verdict != TG_DIFFERENT)
        return;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        if (runs_differently(tg, source, m, seed))
            fuzz_require(tg, false, "optimizing changed the result",
                         tg_name_format(tg, "%s\n%s\n%s", result.witness, fuzz_print(source), fuzz_print(m)));
}
