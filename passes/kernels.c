/* Operators that ONNX Runtime has no kernel for: it would refuse an output although it loads the source.
 *
 * Within the passes they are normal forms like others (x sigmoid(x) is Swish, and log(1 + exp(x)) Softplus), which
 * larger patterns and other targets build upon. At the end, each that the model did not come with is written as its
 * definition, and what that is made of likewise. They stay where the user asked for an opset that has them (--opset),
 * which the source's lacks. The table is rules/kernels.def. Runs once, when all else is done, since the rules would
 * undo it. */
#include "pass.h"

static bool is_asked_for(const TgPass *p, TgOp op)
{
    return p->options->opset && tg_op_info(op)->since > tg_model_opset(p->model, "");
}

static bool is_lacking(const TgPass *p, const TgNodeInfo *n)
{
    const TgType *t = tg_type_of(p->g, n->out[0]);
    return tg_is_tensor(t) && tg_target_lacks(n->op, p->own_opset, t->dtype) && !p->start->had[n->op] &&
           !is_asked_for(p, n->op);
}

void pass_kernels(TgPass *p)
{
    for (TgNode n = 1; n < p->g->nodes.n; n++) { /* also those that it makes */
        const TgNodeInfo *node = tg_node(p->g, n);
        TgValue made[1] = {0};
        if (node->dead || node->n_out != 1 || !is_read(p->g, node->out[0]) || !is_lacking(p, node) || !pass_may(p))
            continue;
        if (!tg_define(p->g, p->g, node, node->in, made) || !same_type(p->g, made[0], node->out[0]))
            continue;
        pass_count(p, "spell-out");
        pass_replace(p, node->out[0], made[0], "spell-out");
    }
}
