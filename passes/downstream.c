/* What a runtime that fuses after us still has to find. ONNX Runtime's extended optimizations match operators
 * literally, so a rewrite that saves one node can cost it a fusion that saves twenty. Eight places are
 * therefore left as they are; tests/census.py counts what ONNX Runtime (1.32) finds before and after,
 * tests/golden/refuse_06_* keep them. Attention is ours to fuse only where the output has an operator for it: for a
 * target of its own. Norms and GELU are where the opset has them. Each asks about the node where a pass would change
 * something. */
#include "pass.h"

/* Some node of that operator which reads v as operand `slot`. */
static const TgNodeInfo *some_reader(const TgGraph *g, TgValue v, TgOp op, uint32_t slot)
{
    const TgValueInfo *info = tg_value(g, v);
    for (uint32_t i = 0; i < info->uses.n; i++)
        if (info->uses.at[i].slot == slot && tg_node(g, info->uses.at[i].node)->op == op)
            return tg_node(g, info->uses.at[i].node);
    return NULL;
}

/* --- attention ----------------------------------------------------------------------------------------- */

/* From this opset on its pattern of attention does not match any more (Unsqueeze takes its axes as an
 * operand). */
enum { NO_ATTENTION = 13 };

static bool may_find_attention(const TgPass *p)
{
    bool ours = p->options->level >= 2 && p->options->target != TG_TARGET_ANY;
    return !ours && p->opset < NO_ATTENTION;
}

/* The node that alone reads v, if it is of that operator. */
static const TgNodeInfo *only_reader(const TgGraph *g, TgValue v, TgOp op)
{
    if (!tg_used_once(g, v))
        return NULL;
    const TgNodeInfo *n = tg_node(g, tg_value(g, v)->uses.at[0].node);
    return n->op == op ? n : NULL;
}

/* Unsqueeze at one axis, which is a constant. */
static bool adds_axis(const TgGraph *g, const TgNodeInfo *n, int64_t axis)
{
    int64_t given;
    uint32_t count;
    return n && n->op == TG_Unsqueeze && tg_const_ints(g, in(n, 1), 1, &given, &count) && count == 1 &&
           given == axis;
}

bool splits_heads_downstream(const TgPass *p, TgValue projected)
{
    const TgNodeInfo *view = only_reader(p->g, projected, TG_Reshape);
    return may_find_attention(p) && view && pass_rank(p->g, view->out[0]) == 4 &&
           only_reader(p->g, view->out[0], TG_Transpose);
}

/* x is what attention heads gave, put together again. */
static bool joins_heads(const TgGraph *g, TgValue x)
{
    const TgNodeInfo *view = tg_producer(g, x, TG_Reshape);
    return view && pass_rank(g, x) == 3 && tg_producer(g, view->in[0], TG_Transpose);
}

bool biases_attention_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    if (n->op != TG_Add || !may_find_attention(p))
        return false;
    const TgNodeInfo *product = tg_producer(g, n->in[0], TG_MatMul);
    product = product ? product : tg_producer(g, n->in[1], TG_MatMul);
    return product && (joins_heads(g, product->in[0]) || splits_heads_downstream(p, n->out[0]));
}

bool masks_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    const TgNodeInfo *first = tg_producer(g, in(n, 0), TG_Unsqueeze);
    if (!may_find_attention(p) || !adds_axis(g, n, 2) || !adds_axis(g, first, 1) ||
        !tg_used_once(g, first->out[0]))
        return false;
    const TgNodeInfo *cast = only_reader(g, n->out[0], TG_Cast);
    const TgNodeInfo *inverted = only_reader(g, cast ? cast->out[0] : n->out[0], TG_Sub);
    return inverted && is_splat_of(g, inverted->in[0], 1);
}

/* Attention without a bias of its own is matched with the division of its scores. */
bool scales_attention_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    if ((n->op != TG_Div && n->op != TG_Mul) || !may_find_attention(p) || !tg_producer(g, n->in[0], TG_MatMul))
        return false;
    const TgNodeInfo *masked = only_reader(g, n->out[0], TG_Add);
    return masked && only_reader(g, masked->out[0], TG_Softmax);
}

/* --- norms ----------------------------------------------------------------------------------------- */

/* From this opset on the norm is an operator, and its scale is an operand. */
enum { LAYER_NORMALIZATION_SINCE = 17, RMS_NORMALIZATION_SINCE = 23 };

bool ends_norm_in_pieces_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    for (uint32_t depth = 0; depth < 2 && ends_norm_downstream(p, n); depth++)
        for (uint32_t i = 0; i < 2; i++) { /* the bias leads to the scale, and that to the quotient */
            const TgNodeInfo *divided = tg_producer(g, n->in[i], TG_Div), *scale = tg_producer(g, n->in[i], TG_Mul);
            if (n->op == TG_Mul && divided)
                return p->opset < (tg_producer(g, divided->in[0], TG_Sub) ? LAYER_NORMALIZATION_SINCE
                                                                          : RMS_NORMALIZATION_SINCE);
            if (n->op == TG_Add && scale && ends_norm_downstream(p, scale)) {
                n = scale;
                break;
            }
        }
    return false;
}

bool ends_norm_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    if (n->op == TG_Add) { /* the bias comes behind the scale */
        const TgNodeInfo *scale = tg_producer(g, n->in[0], TG_Mul);
        scale = scale ? scale : tg_producer(g, n->in[1], TG_Mul);
        return scale && ends_norm_downstream(p, scale);
    }
    for (uint32_t i = 0; n->op == TG_Mul && i < 2; i++) {
        const TgNodeInfo *divided = tg_producer(g, n->in[i], TG_Div);
        const TgNodeInfo *root = divided ? tg_producer(g, divided->in[1], TG_Sqrt) : NULL;
        const TgNodeInfo *sum = root ? tg_producer(g, root->in[0], TG_Add) : NULL;
        if (sum && (tg_producer(g, sum->in[0], TG_ReduceMean) || tg_producer(g, sum->in[1], TG_ReduceMean)))
            return pass_rank(g, n->in[1 - i]) == 1;
    }
    return false;
}

/* --- activations ------------------------------------------------------------------------------------- */

/* From this opset on GELU is an operator. */
enum { GELU_SINCE = 20 };

bool ends_gelu_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    for (uint32_t i = 0; n->op == TG_Mul && p->opset < GELU_SINCE && i < 2; i++) {
        const TgNodeInfo *product = is_splat_of(g, n->in[i], 0.5) ? tg_producer(g, n->in[1 - i], TG_Mul) : NULL;
        for (uint32_t k = 0; product && k < 2; k++) {
            const TgNodeInfo *sum = tg_producer(g, product->in[k], TG_Add);
            if (sum && (tg_producer(g, sum->in[0], TG_Erf) || tg_producer(g, sum->in[1], TG_Erf)))
                return true;
        }
    }
    return false;
}

/* --- embeddings ----------------------------------------------------------------------------------------- */

bool numbers_positions_downstream(const TgPass *p, const TgNodeInfo *n)
{
    enum { STEPS = 6 };
    static const struct {
        TgOp op;
        uint32_t slot; /* where it reads the step before */
    } path[STEPS] = {{TG_Gather, 0},    {TG_Cast, 0},   {TG_Range, 1},
                     {TG_Unsqueeze, 0}, {TG_Expand, 0}, {TG_Gather, 1}};
    const TgGraph *g = p->g;
    uint32_t at = 0;
    while (at < 4 && path[at].op != n->op)
        at++;
    if (at == 4 || (at == 0 && !tg_producer(g, n->in[0], TG_Shape)))
        return false;
    while (++at < STEPS) {
        const TgNodeInfo *next = some_reader(g, n->out[0], path[at].op, path[at].slot);
        if (!next && path[at].op != TG_Cast) /* that one is optional */
            return false;
        n = next ? next : n;
    }
    return is_const(g, n->in[0]) && !tg_type_static(tg_type_of(g, n->in[1]), NULL);
}

/* Positions are matched with the Shape of the very ids that they number. */
TgValue measures_positions_downstream(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    const TgNodeInfo *expand = some_reader(g, n->out[0], TG_Expand, 1);
    const TgNodeInfo *positions = expand ? tg_producer(g, expand->in[0], TG_Unsqueeze) : NULL;
    if (positions && numbers_positions_downstream(p, positions))
        return expand->in[0];
    const TgValueInfo *info = tg_value(g, n->out[0]);
    for (uint32_t i = 0; n->op == TG_Shape && i < info->uses.n; i++)
        if (numbers_positions_downstream(p, tg_node(g, info->uses.at[i].node)))
            return n->out[0];
    return numbers_positions_downstream(p, n) ? n->out[0] : 0;
}
