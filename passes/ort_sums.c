/* Sums that LayerNormalization reads, for ONNX Runtime on the CPU: Sum instead of Add, where rows are long.
 *
 * Of Add and LayerNormalization it makes SkipLayerNormalization when it loads a model, which on long rows takes four times as
 * long as the two (rules/slow.def). It does not look for Sum, whose kernel adds two operands as fast as that of Add. Runs
 * once, when all else is done, since Sum of two is Add for everything else. Exact. */
#include "pass.h"

static bool is_long(const TgPass *p, TgValue sum)
{
    return !tg_target_pays(p->options->target, TG_ms_SkipLayerNormalization, tg_type_of(p->g, sum));
}

void pass_ort_sums(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *norm = tg_node(p->g, nodes[i]);
        const TgNodeInfo *add = norm->op == TG_LayerNormalization ? tg_producer(p->g, norm->in[0], TG_Add) : NULL;
        if (!add || !is_long(p, add->out[0]) || !same_type(p->g, add->in[0], add->in[1]) || !pass_may(p))
            continue;
        TgValue made = pass_op(p, TG_Sum, NULL, 2, add->in[0], add->in[1]);
        if (!made || !same_type(p->g, made, add->out[0]))
            continue;
        pass_count(p, "sum-for-norm");
        pass_replace(p, add->out[0], made, "sum-for-norm");
    }
}
