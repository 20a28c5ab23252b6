/* Operators that broadcast need no Expand in front of them, nor an Unsqueeze that adds leading sizes of 1, and a tensor
 * of equal elements may as well be one element: an operand is replaced by what was expanded wherever the result keeps
 * its type. What is computed element by element from an Expand is expanded afterwards, where the next operator that
 * broadcasts takes it. Needs: inferred types. */
#include "pass.h"

/* Node n adds sizes of 1 in front of what it views, and nothing else. */
static bool adds_leading_ones(const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(g, n->in[0]), *to = tg_type_of(g, n->out[0]);
    int32_t more = pass_rank(g, n->out[0]) - pass_rank(g, n->in[0]);
    bool leading = pass_rank(g, n->in[0]) >= 0 && more > 0;
    for (int32_t k = 0; leading && k < to->rank; k++)
        leading = k < more ? tg_dim_is(to->dim[k], 1) : to->dim[k] == from->dim[k - more];
    return leading;
}

/* What an operand is the repetition of; 0: it is none. */
static TgValue compact(TgPass *p, TgValue v)
{
    const TgNodeInfo *view = p->options->level >= 2 ? tg_producer(p->g, v, TG_Unsqueeze) : NULL;
    if (view && !tg_is_float(tg_type_of(p->g, v)->dtype) && adds_leading_ones(p->g, view))
        return view->in[0];
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
    const TgTensor *made =
        tg_tensor_owned(p->g->arena, value ? value->dtype : TG_f32, 0, NULL, value ? value->bytes : bytes);
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

/* Broadcasting v to x leaves the shape of x. */
static bool fits_into(const TgGraph *g, TgValue v, TgValue x)
{
    const TgType *small = tg_type_of(g, v), *large = tg_type_of(g, x);
    int32_t more = pass_rank(g, x) - pass_rank(g, v);
    bool fits = tg_is_tensor(small) && tg_is_tensor(large) && more >= 0;
    for (int32_t k = 0; fits && k < small->rank; k++)
        fits = tg_dim_is(small->dim[k], 1) || small->dim[k] == large->dim[k + more];
    return fits;
}

/* The operand of n that alone was expanded, by a node that nobody else reads, to no less than all others have; n->n_in:
 * there is none. */
static uint32_t expanded_operand(const TgPass *p, const TgNodeInfo *n)
{
    for (uint32_t slot = 0; slot < n->n_in; slot++) {
        const TgNodeInfo *expand = n->in[slot] ? tg_producer(p->g, n->in[slot], TG_Expand) : NULL;
        bool found = expand && tg_used_once(p->g, expand->out[0]);
        for (uint32_t i = 0; found && i < n->n_in; i++)
            found = n->in[i] && (i == slot || fits_into(p->g, n->in[i], expand->in[0]));
        if (found)
            return slot;
    }
    return n->n_in;
}

enum { MOST_OPERANDS = 4 };

/* f(Expand(x), y) = Expand(f(x, y)), where y has no more elements than x. */
static bool expand_later(TgPass *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    if (!tg_op_has(n->op, TG_T_ELEMENTWISE) || tg_op_has(n->op, TG_T_RANDOM) || n->n_out != 1)
        return false;
    uint32_t slot = n->n_in <= MOST_OPERANDS ? expanded_operand(p, n) : n->n_in;
    if (slot == n->n_in || !pass_may(p))
        return false;
    const TgNodeInfo *expand = tg_producer(p->g, n->in[slot], TG_Expand);
    TgValue operands[MOST_OPERANDS] = {0};
    for (uint32_t i = 0; i < n->n_in; i++)
        operands[i] = i == slot ? expand->in[0] : n->in[i];
    TgNode inner = tg_graph_add(p->g, n->op, n->attrs, n->n_in, operands, 1);
    TgValue made = inner ? pass_op(p, TG_Expand, NULL, 2, tg_node(p->g, inner)->out[0], expand->in[1]) : 0;
    if (!made || !same_type(p->g, made, n->out[0]))
        return false;
    tg_node_origin(p->g, inner, n, "expand-later");
    pass_count(p, "expand-later");
    return pass_replace(p, n->out[0], made, "expand-later");
}

void pass_broadcast(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (p->options->level >= 2 && info->n_out && is_read(p->g, info->out[0]) && expand_later(p, nodes[i]))
            continue;
        for (uint32_t slot = 0; broadcasts(info) && slot < info->n_in; slot++) {
            TgValue small = info->in[slot] ? compact(p, info->in[slot]) : 0;
            if (small && keeps_type(p, info, slot, small) && pass_allow(p, "drop-expand-before-broadcast") &&
                pass_replace_operand(p, nodes[i], slot, small, "drop-expand-before-broadcast"))
                break; /* the node is another one now, and is seen in the next round */
        }
    }
}
