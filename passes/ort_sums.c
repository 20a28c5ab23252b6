/* Sums in front of norms and GELU, for ONNX Runtime on the CPU, where rows are long.
 *
 * Of Add and LayerNormalization it makes SkipLayerNormalization when it loads a model, which on long rows takes four
 * times as long as the two (rules/slow.def). It does not look for Sum, whose kernel adds two operands as fast as that
 * of Add. BiasGelu and FastGelu with a bias take twice as long as without (0.9 and 0.4 ms on 128 rows of 3072
 * elements), and a bias behind a product costs nothing in its Gemm: there the two are taken apart again. Runs once,
 * when all else is done, since the rules would undo it. Reassociates nothing: the same operations in the same order. */
#include "pass.h"

static bool is_long(const TgPass *p, TgValue sum)
{
    return !tg_target_pays(p->options->target, TG_ms_SkipLayerNormalization, tg_type_of(p->g, sum));
}

static void norm_of_sum(TgPass *p, const TgNodeInfo *norm)
{
    const TgNodeInfo *add = tg_producer(p->g, norm->in[0], TG_Add);
    if (!add || !is_long(p, add->out[0]) || !same_type(p->g, add->in[0], add->in[1]) || !pass_may(p))
        return;
    TgValue made = pass_op(p, TG_Sum, NULL, 2, add->in[0], add->in[1]);
    if (made && same_type(p->g, made, add->out[0])) {
        pass_count(p, "sum-for-norm");
        pass_replace(p, add->out[0], made, "sum-for-norm");
    }
}

static void gelu_of_bias(TgPass *p, const TgNodeInfo *n, TgOp without)
{
    if (!in(n, 1) || !tg_producer(p->g, n->in[0], TG_MatMul) || !is_long(p, n->out[0]) || !pass_may(p))
        return;
    TgValue sum = pass_op(p, TG_Add, NULL, 2, n->in[0], n->in[1]), made = sum ? pass_op(p, without, NULL, 1, sum) : 0;
    if (made && same_type(p->g, made, n->out[0])) {
        pass_count(p, "bias-before-gelu");
        pass_replace(p, n->out[0], made, "bias-before-gelu");
    }
}

void pass_ort_sums(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *node = tg_node(p->g, nodes[i]);
        switch (node->op) {
        case TG_LayerNormalization: norm_of_sum(p, node); break;
        case TG_ms_BiasGelu: gelu_of_bias(p, node, TG_ms_Gelu); break;
        case TG_ms_FastGelu: gelu_of_bias(p, node, TG_ms_FastGelu); break;
        default: break;
        }
    }
}
