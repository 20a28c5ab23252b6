/* The best oracle: a model and what -O2 makes of it compute the same. */
#include <math.h>

#include "fuzz.h"
#include "passes/passes.h"

enum { MOST = 4096, LARGEST = 1000 };

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

void fuzz_one(Tg *tg, TgBytes input)
{
    TgReport report;
    TgEquivResult result = {0};
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1};
    TgModel *m = fuzz_model(tg, input), *source = m ? tg_model_clone(m) : NULL;
    if (!source || !all_ordinary(m->graph) || !tg_optimize(m, &options, &report))
        return;
    if (!tg_equiv(tg, source, m, &(TgEquivOptions){.seed = 1, .max_flops = 1e7}, &result))
        return;
    if (result.verdict == TG_DIFFERENT)
        fuzz_require(tg, false, "optimizing changed the result",
                     tg_name_format(tg, "%s\n%s\n%s", result.witness, fuzz_print(source), fuzz_print(m)));
}
