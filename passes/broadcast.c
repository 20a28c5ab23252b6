/* Operators that broadcast need no Expand in front of them, and a tensor of equal elements may as well be one element:
 * an operand is replaced by what was expanded wherever the result keeps its type. Needs: inferred types. */
#include "pass.h"

/* What an operand is the repetition of; 0: it is none. */
static TgValue compact(TgPass *p, TgValue v)
{
    const TgNodeInfo *n = tg_producer(p->g, v, TG_Expand);
    if (n && tg_is_tensor(tg_type_of(p->g, n->in[0])))
        return n->in[0];
    n = tg_producer(p->g, v, TG_ConstantOfShape);
    if (!n)
        return 0;
    const TgTensor *value = tg_attr_tensor(n, "value");
    static const float zero = 0;
    const void *bytes = &zero;
    if (value && (value->count != 1 || !(value = tg_tensor_materialize(p->g->arena, value))))
        return 0;
    const TgTensor *made = tg_tensor_owned(p->g->arena, value ? value->dtype : TG_f32, 0, NULL, value ? value->bytes : bytes);
    return tg_graph_const(p->g, made, NULL);
}

/* Size of axis `from_end` (1: the last) that broadcasting the operands gives, with `other` in the place of `slot`. */
static TgDim size_without(const TgPass *p, const TgNodeInfo *n, uint32_t slot, TgValue other, int32_t from_end)
{
    TgDim size = tg_dim(p->tg, 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const TgType *t = tg_type_of(p->g, i == slot ? other : n->in[i]);
        if (from_end <= t->rank)
            size = tg_dim_bcast(p->tg, size, t->dim[t->rank - from_end]);
    }
    return size;
}

static bool keeps_type(const TgPass *p, const TgNodeInfo *n, uint32_t slot, TgValue other)
{
    const TgType *out = tg_type_of(p->g, n->out[0]);
    int32_t rank = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        int32_t r = pass_rank(p->g, i == slot ? other : n->in[i]);
        if (r < 0)
            return false;
        rank = r > rank ? r : rank;
    }
    if (!tg_is_tensor(out) || rank != out->rank)
        return false;
    for (int32_t k = 1; k <= rank; k++)
        if (size_without(p, n, slot, other, k) != out->dim[rank - k])
            return false;
    return true;
}

static bool broadcasts(const TgNodeInfo *n)
{
    return tg_op_has(n->op, TG_T_ELEMENTWISE) && n->n_in >= 2 && n->n_out == 1 && n->op != TG_CastLike &&
           n->op != TG_Clip && n->op != TG_PRelu;
}

void pass_broadcast(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        for (uint32_t slot = 0; broadcasts(info) && slot < info->n_in; slot++) {
            TgValue small = info->in[slot] ? compact(p, info->in[slot]) : 0;
            if (small && keeps_type(p, info, slot, small) && pass_allow(p, "drop-expand-before-broadcast") &&
                pass_replace_operand(p, nodes[i], slot, small, "drop-expand-before-broadcast"))
                break; /* the node is another one now, and is seen in the next round */
        }
    }
}
