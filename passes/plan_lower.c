/* Lowering: composite operators become their definitions until only what backends compute is left.
 *
 * A composite stays if a step of the plan computes it in the form that it has (plan_forms.c), or if the backend says
 * that it has a kernel. Everything else is what ir/define_*.c says it means; elementwise composites too, since their
 * primitives melt into one loop. What definitions leave behind (casts, shapes, constants) is cleaned up by the passes
 * of -O1.
 */
#include <string.h>

#include "passes/planner.h"

static bool has_kernel(const Planner *p, TgOp op)
{
    const char *operands, *results;
    return p->options->kernel && p->options->kernel(op, &operands, &results);
}

static bool must_expand(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    if (n->dead || n->op == TG_opaque || tg_op_info(n->op)->tier != TG_COMPOSITE)
        return false;
    return !plan_has_form(p, g, n) && !has_kernel(p, n->op);
}

static bool expand(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    TgValue *out = TG_NEW_N(scratch, TgValue, n->n_out + 1);
    TgNode first = g->nodes.n;
    bool good = tg_define(g, g, n, n->in, out);
    for (TgNode made = first; good && made < g->nodes.n; made++)
        tg_node_origin(g, made, n, NULL);
    for (uint32_t i = 0; good && i < n->n_out; i++)
        if (out[i])
            tg_replace(g, n->out[i], out[i]);
    if (good)
        tg_remove(g, node);
    tg_release(scratch, mark);
    return good;
}

/* New nodes come behind the others, so one walk sees them too. */
static bool expand_all(Planner *p, TgGraph *g)
{
    for (TgNode node = 1; node < g->nodes.n; node++) {
        const TgNodeInfo *n = tg_node(g, node);
        if (n->dead)
            continue;
        for (uint32_t s = 0; s < n->n_sub; s++)
            if (!expand_all(p, n->sub[s].graph))
                return false;
        if (must_expand(p, g, n) && !expand(g, node)) {
            p->failed = true;
            return false;
        }
    }
    return true;
}

bool plan_clean(Planner *p, TgModel *model)
{
    TgOptimizeOptions clean = {.level = 1, .rewrite_limit = -1, .book = p->options->book, .opset = TG_NEWEST_OPSET};
    TgReport report;
    memset(&report, 0, sizeof report);
    return tg_optimize(model, &clean, &report);
}

bool plan_lower(Planner *p)
{
    plan_fold_codes(p->g);
    if (!expand_all(p, p->g) || !plan_clean(p, p->plan->model) || !plan_decide(p) || !expand_all(p, p->g))
        return false;
    plan_keep_cases(p);
    return true;
}

/* --- ahead of the passes ------------------------------------------------------------------------------------------ */

/* What com.microsoft has beside ONNX: the same in operators that the passes know, and steps compute. */
static bool is_said_by_others(TgOp op)
{
    switch (op) {
    case TG_ms_Attention:
    case TG_ms_MultiHeadAttention:
    case TG_ms_RotaryEmbedding:
    case TG_ms_SkipLayerNormalization:
    case TG_ms_SkipSimplifiedLayerNormalization:
    case TG_ms_EmbedLayerNormalization:
    case TG_ms_BiasGelu:
    case TG_ms_FastGelu:
    case TG_ms_Gelu:
    case TG_ms_QuickGelu:
    case TG_ms_FusedMatMul:
    case TG_ms_FusedGemm: return true;
    default: return false;
    }
}

bool plan_spell_out(TgGraph *g)
{
    for (TgNode node = 1; node < g->nodes.n; node++) {
        const TgNodeInfo *n = tg_node(g, node);
        for (uint32_t s = 0; s < n->n_sub && !n->dead; s++)
            if (!plan_spell_out(n->sub[s].graph))
                return false;
        if (!n->dead && is_said_by_others(n->op) && !expand(g, node))
            return false;
    }
    return true;
}
