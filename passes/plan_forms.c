/* Forms: operators that steps compute directly get the shapes and the element types that steps want.
 *
 * Attention reads [B,H,S,D] with the past already in front of its keys; norms and Softmax work along the last axis;
 * products have operands of rank 2 at least; reals of 16 bits are computed in 32. What is added for that (Reshape,
 * Transpose, Concat, Cast) is planned like any other node: mostly views. Which forms fit is asked before lowering, so
 * that the others become their definitions.
 */
#include <string.h>

#include "passes/planner.h"

bool form_is_small_real(TgDtype t) { return t == TG_f32 || t == TG_f16 || t == TG_bf16; }

static const TgType *type_in(const TgGraph *g, const TgNodeInfo *n, uint32_t i) { return tg_type_of(g, n->in[i]); }

/* Equal, or equal whenever the node can run: that is checked when the package runs. */
bool form_may_equal(const Planner *p, TgDim a, TgDim b)
{
    return a == b || !tg_dim_never_equal(p->tg, a, b);
}

void form_require_equal(Planner *p, TgDim a, TgDim b)
{
    if (a == b)
        return;
    TG_PUSH(p->arena, &p->plan->equal, a);
    TG_PUSH(p->arena, &p->plan->equal, b);
}

/* --- which forms fit ---------------------------------------------------------------------------------------------- */

static TgDim keys_of(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *k = type_in(g, n, 1);
    TgDim keys = k->dim[k->rank == 3 ? 1 : 2];
    return in(n, 4) ? tg_dim_add(p->tg, type_in(g, n, 4)->dim[2], keys) : keys;
}

static bool mask_fits(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *mask = in(n, 3) ? type_in(g, n, 3) : NULL;
    if (!mask)
        return true;
    bool type = mask->dtype == TG_bool || form_is_small_real(mask->dtype);
    if (!tg_is_tensor(mask) || !type || mask->rank < 1 || mask->rank > 4)
        return false;
    return form_may_equal(p, dim_at(mask, -1), keys_of(p, g, n));
}

static bool attention_fits(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < 3; i++) {
        const TgType *t = type_in(g, n, i);
        if (!tg_is_tensor(t) || !form_is_small_real(t->dtype) || t->rank != type_in(g, n, 0)->rank)
            return false;
        if (t->rank == 4 && (!tg_dim_known(t->dim[1], NULL) || !tg_dim_known(t->dim[3], NULL)))
            return false;
        if (t->rank == 3 && (!tg_dim_known(t->dim[2], NULL) || tg_attr_int(n, i ? "kv_num_heads" : "q_num_heads") < 1))
            return false;
    }
    if (n->n_out > 3 && is_read(g, n->out[3]))
        return false;
    bool past = !in(n, 4) || (in(n, 5) && type_in(g, n, 4)->rank == 4 && type_in(g, n, 5)->rank == 4);
    return past && mask_fits(p, g, n);
}

static bool rotary_fits(const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *x = type_in(g, n, 0), *cos = type_in(g, n, 1);
    if (!tg_is_tensor(x) || !form_is_small_real(x->dtype) || !tg_is_tensor(cos) || !form_is_small_real(cos->dtype))
        return false;
    if (x->rank == 3 && tg_attr_int(n, "num_heads") < 1)
        return false;
    return (x->rank == 3 || x->rank == 4) && tg_dim_known(dim_at(x, -1), NULL) && cos->rank == (in(n, 3) ? 2 : 3);
}

/* Scale (and bias) are one vector over all normalized axes. */
static bool norm_fits(const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *x = type_in(g, n, 0);
    for (uint32_t i = 1; i < n->n_out; i++)
        if (is_read(g, n->out[i]))
            return false;
    if (!tg_is_tensor(x) || !form_is_small_real(x->dtype))
        return false;
    int64_t axis = tg_attr_int(n, "axis");
    axis += axis < 0 ? x->rank : 0;
    for (uint32_t i = 1; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        const TgType *t = type_in(g, n, i);
        if (!tg_is_tensor(t) || t->rank != x->rank - axis)
            return false;
        for (int32_t k = 0; k < t->rank; k++)
            if (t->dim[k] != x->dim[axis + k])
                return false;
    }
    return axis < x->rank;
}

bool plan_has_form(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    switch (n->op) {
    case TG_Attention: return attention_fits(p, g, n);
    case TG_ms_GroupQueryAttention: return plan_group_query_fits(p, g, n);
    case TG_RotaryEmbedding: return rotary_fits(g, n);
    case TG_LayerNormalization:
    case TG_RMSNormalization: return norm_fits(g, n);
    case TG_Softmax:
    case TG_LogSoftmax:
        return tg_is_tensor(type_in(g, n, 0)) && form_is_small_real(type_in(g, n, 0)->dtype) &&
               type_in(g, n, 0)->rank > 0;
    default: return false;
    }
}

/* --- making them -------------------------------------------------------------------------------------------------- */

TgValue form_ints(TgGraph *g, uint32_t n, const int64_t *values)
{
    return tg_graph_const(g, tg_tensor_ints(g->arena, n, values), NULL);
}

TgValue form_cast(TgGraph *g, TgValue v, TgDtype to)
{
    if (!v || tg_type_of(g, v)->dtype == to)
        return v;
    const TgAttrs *attrs = tg_attrs(g->tg, TG_Cast, "to=i", (int64_t)to);
    const TgTensor *t = tg_value(g, v)->origin == TG_V_CONST ? tg_const_of(g, v) : NULL;
    if (t && t->payload != TG_STRINGS)
        return tg_graph_const(g, tg_tensor_recipe(g->arena, TG_Cast, attrs, 1, &t, 0), NULL);
    return tg_op(g, TG_Cast, attrs, 1, v);
}

static TgValue transpose(TgGraph *g, TgValue v, uint32_t n, const int64_t *perm)
{
    TgAttrBuild b;
    tg_attrs_begin(&b, g->tg);
    tg_attrs_ints(&b, "perm", n, perm);
    return tg_op(g, TG_Transpose, tg_attrs_end(&b, TG_Transpose), 1, v);
}

/* What form_merge_heads made v of, where it did. */
static TgValue unmerged(const TgGraph *g, TgValue v, int64_t heads)
{
    const TgNodeInfo *r = tg_producer(g, v, TG_Reshape), *t = r ? tg_producer(g, r->in[0], TG_Transpose) : NULL;
    uint32_t n;
    const int64_t *perm = t ? tg_attr_ints(t, "perm", &n) : NULL;
    const TgType *x = t ? tg_type_of(g, t->in[0]) : NULL, *merged = tg_type_of(g, v);
    bool swaps = perm && n == 4 && perm[0] == 0 && perm[1] == 2 && perm[2] == 1 && perm[3] == 3;
    return swaps && tg_dim_is(x->dim[1], heads) && merged->dim[0] == x->dim[0] && merged->dim[1] == x->dim[2]
               ? t->in[0]
               : 0;
}

TgValue form_split_heads(TgGraph *g, TgValue v, int64_t heads)
{
    int64_t shape[] = {0, 0, heads, -1}, perm[] = {0, 2, 1, 3};
    if (tg_type_of(g, v)->rank != 3)
        return v;
    if (unmerged(g, v, heads))
        return unmerged(g, v, heads);
    const TgNodeInfo *r = tg_producer(g, v, TG_Reshape);
    const TgType *x = r ? type_in(g, r, 0) : NULL, *flat = tg_type_of(g, v);
    if (x && x->rank > 2 && x->dim[0] == flat->dim[0] && x->dim[1] == flat->dim[1])
        v = r->in[0]; /* heads may lie apart there */
    return transpose(g, tg_op(g, TG_Reshape, NULL, 2, v, form_ints(g, 4, shape)), 4, perm);
}

TgValue form_merge_heads(TgGraph *g, TgValue v)
{
    int64_t shape[] = {0, 0, -1}, perm[] = {0, 2, 1, 3};
    TgValue last = transpose(g, v, 4, perm);
    return tg_op(g, TG_Reshape, NULL, 2, last, form_ints(g, 3, shape));
}

/* v with axes of size 1 in front, up to rank 4. */
static TgValue to_rank_4(TgGraph *g, TgValue v)
{
    static const int64_t first[] = {0, 1, 2, 3};
    int32_t rank = tg_type_of(g, v)->rank;
    return rank == 4 ? v : tg_op(g, TG_Unsqueeze, NULL, 2, v, form_ints(g, (uint32_t)(4 - rank), first));
}

static TgValue concat(TgGraph *g, TgValue a, TgValue b, int64_t axis)
{
    return tg_op(g, TG_Concat, tg_attrs(g->tg, TG_Concat, "axis=i", axis), 2, a, b);
}

/* Takes over the readers of the results of the old node, casting to their types. */
void form_hand_over(TgGraph *g, TgNode old, uint32_t i, TgValue made)
{
    const TgNodeInfo *n = tg_node(g, old);
    if (i < n->n_out && is_read(g, n->out[i]))
        tg_replace(g, n->out[i], form_cast(g, made, tg_type_of(g, n->out[i])->dtype));
}

static void form_attention(Planner *p, TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgDim keys = keys_of(p, g, n), past_size = in(n, 4) ? type_in(g, n, 4)->dim[2] : NULL;
    bool is_3d = type_in(g, n, 0)->rank == 3;
    int64_t heads = tg_attr_int(n, "q_num_heads"), kv_heads = tg_attr_int(n, "kv_num_heads");
    TgValue q = form_split_heads(g, n->in[0], heads), k = form_split_heads(g, n->in[1], kv_heads);
    TgValue v = form_split_heads(g, n->in[2], kv_heads), mask = in(n, 3), counts = in(n, 6);
    if (in(n, 4)) {
        k = concat(g, n->in[4], k, 2);
        v = concat(g, n->in[5], v, 2);
    }
    form_hand_over(g, node, 1, k);
    form_hand_over(g, node, 2, v);
    if (mask) {
        form_require_equal(p, dim_at(tg_type_of(g, mask), -1), keys);
        mask = to_rank_4(g, tg_type_of(g, mask)->dtype == TG_bool ? mask : form_cast(g, mask, TG_f32));
    }
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, n->attrs);
    tg_attrs_drop(&b, "q_num_heads");
    tg_attrs_drop(&b, "kv_num_heads");
    TgValue operand[7] = {
        form_cast(g, q, TG_f32), form_cast(g, k, TG_f32), form_cast(g, v, TG_f32), mask, 0, 0, counts};
    uint32_t n_in = counts ? 7 : mask ? 4 : 3;
    TgNode made = tg_graph_add(g, TG_Attention, tg_attrs_end(&b, TG_Attention), n_in, operand, 1);
    if (past_size && made)
        tg_map_put(&p->offset, made, TG_KEY(past_size));
    if (made) {
        tg_node_origin(g, made, n, NULL);
        TgValue y = tg_node(g, made)->out[0];
        form_hand_over(g, node, 0, is_3d ? form_merge_heads(g, y) : y);
        tg_remove(g, node);
    }
}

/* cos and sin become [B or 1, 1, S, half], so that their places broadcast over heads. */
TgValue form_rotary_table(TgGraph *g, TgValue table, TgValue positions)
{
    static const int64_t one = 1, zero = 0;
    if (positions) {
        TgValue rows = tg_op(g, TG_Gather, tg_attrs(g->tg, TG_Gather, "axis=i", (int64_t)0), 2, table, positions);
        table = rows;
        if (tg_type_of(g, positions)->rank == 1)
            table = tg_op(g, TG_Unsqueeze, NULL, 2, table, form_ints(g, 1, &zero));
    }
    return tg_op(g, TG_Unsqueeze, NULL, 2, form_cast(g, table, TG_f32), form_ints(g, 1, &one));
}

static bool is_formed_rotary(const TgGraph *g, const TgNodeInfo *n)
{
    return type_in(g, n, 0)->rank == 4 && type_in(g, n, 0)->dtype == TG_f32 && type_in(g, n, 1)->rank == 4;
}

/* x [B,H,S,D] rotated, in place of (part of) what `of` does; tables of this form are ours alone. */
TgValue form_rotated(TgGraph *g, const TgNodeInfo *of, const TgAttrs *attrs, TgValue x, TgValue cos, TgValue sin)
{
    TgValue operand[3] = {x, cos, sin};
    TgNode made = tg_graph_add_raw(g, TG_RotaryEmbedding, attrs, 3, operand, 1);
    TgValue y = tg_node(g, made)->out[0];
    tg_value(g, y)->type = tg_type_of(g, x);
    tg_node_origin(g, made, of, NULL);
    return y;
}

static void form_rotary(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    bool is_3d = type_in(g, n, 0)->rank == 3;
    TgValue x = form_cast(g, form_split_heads(g, n->in[0], tg_attr_int(n, "num_heads")), TG_f32);
    TgValue cos = form_rotary_table(g, n->in[1], in(n, 3)), sin = form_rotary_table(g, n->in[2], in(n, 3));
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, n->attrs);
    tg_attrs_drop(&b, "num_heads");
    TgValue y = form_rotated(g, n, tg_attrs_end(&b, TG_RotaryEmbedding), x, cos, sin);
    form_hand_over(g, node, 0, is_3d ? form_merge_heads(g, y) : y);
    tg_remove(g, node);
}

/* Norms: the normalized axes are one, the last. */
static void form_norm(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    const TgType *x = type_in(g, n, 0);
    int64_t axis = tg_attr_int(n, "axis"), keep[TG_MAX_RANK] = {0}, flat = -1;
    axis += axis < 0 ? x->rank : 0;
    bool several = axis != x->rank - 1;
    if (!several && x->dtype == TG_f32)
        return;
    TgValue operand[3] = {n->in[0], in(n, 1), in(n, 2)};
    uint32_t n_in = n->n_in;
    keep[axis] = -1;
    if (several)
        operand[0] = tg_op(g, TG_Reshape, NULL, 2, operand[0], form_ints(g, (uint32_t)axis + 1, keep));
    for (uint32_t i = 0; i < n_in; i++) {
        if (several && i && operand[i])
            operand[i] = tg_op(g, TG_Reshape, NULL, 2, operand[i], form_ints(g, 1, &flat));
        operand[i] = form_cast(g, operand[i], TG_f32);
    }
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, n->attrs);
    tg_attrs_drop(&b, "axis");
    TgNode made = tg_graph_add(g, n->op, tg_attrs_end(&b, n->op), n_in, operand, 1);
    if (!made)
        return;
    tg_node_origin(g, made, n, NULL);
    TgValue y = tg_node(g, made)->out[0];
    if (several) {
        TgValue shape = tg_op(g, TG_Shape, NULL, 1, n->in[0]);
        y = tg_op(g, TG_Reshape, NULL, 2, y, shape);
    }
    form_hand_over(g, node, 0, y);
    tg_remove(g, node);
}

static void form_softmax(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    const TgType *x = type_in(g, n, 0);
    int64_t axis = tg_attr_int(n, "axis"), perm[TG_MAX_RANK];
    axis += axis < 0 ? x->rank : 0;
    bool last = axis == x->rank - 1;
    if (last && x->dtype == TG_f32)
        return;
    for (int32_t k = 0; k < x->rank; k++)
        perm[k] = k;
    perm[axis] = x->rank - 1;
    perm[x->rank - 1] = axis;
    TgValue v = form_cast(g, n->in[0], TG_f32);
    v = last ? v : transpose(g, v, (uint32_t)x->rank, perm);
    TgValue y = tg_op(g, n->op, NULL, 1, v);
    y = last ? y : transpose(g, y, (uint32_t)x->rank, perm);
    form_hand_over(g, node, 0, y);
    tg_remove(g, node);
}

/* Vectors become matrices, reals of 16 bits are multiplied in 32, tied tables become weights. */
static void form_product(Planner *p, TgGraph *g, TgNode node)
{
    static const int64_t first = 0, last = -1;
    const TgNodeInfo *n = tg_node(g, node);
    const TgType *a = type_in(g, n, 0), *b = type_in(g, n, 1);
    TgValue tied = tg_is_tensor(a) && a->rank > 1 && a->dtype == TG_f32 ? plan_tied_matrix(p, g, n->in[1]) : 0;
    if (tied) {
        form_hand_over(g, node, 0, tg_op(g, TG_MatMul, NULL, 2, n->in[0], tied));
        tg_remove(g, node);
        return;
    }
    if (!tg_is_tensor(a) || !tg_is_tensor(b) ||
        (a->rank > 1 && b->rank > 1 && !(form_is_small_real(a->dtype) && a->dtype != TG_f32)))
        return;
    TgDtype carrier = form_is_small_real(a->dtype) ? TG_f32 : a->dtype;
    TgValue x = form_cast(g, n->in[0], carrier), y = form_cast(g, n->in[1], carrier);
    bool row = a->rank == 1, col = b->rank == 1;
    x = row ? tg_op(g, TG_Unsqueeze, NULL, 2, x, form_ints(g, 1, &first)) : x;
    y = col ? tg_op(g, TG_Unsqueeze, NULL, 2, y, form_ints(g, 1, &last)) : y;
    TgValue z = tg_op(g, TG_MatMul, NULL, 2, x, y);
    if (!z)
        return;
    int64_t second_last = -2;
    z = col ? tg_op(g, TG_Squeeze, NULL, 2, z, form_ints(g, 1, &last)) : z;
    z = row ? tg_op(g, TG_Squeeze, NULL, 2, z, form_ints(g, 1, col ? &last : &second_last)) : z;
    form_hand_over(g, node, 0, z);
    tg_remove(g, node);
}

/* --- operators with kernels of their own -------------------------------------------------------------------------- */

/* The type in which a kernel with this letter takes `t`. */
static TgDtype carried(char letter, TgDtype t)
{
    TgClass class = tg_dtype_class(t);
    bool real = class == TG_CLASS_F, wide = t == TG_f64 || t == TG_f32;
    switch (letter) {
    case 'r': return wide ? t : TG_f32;
    case 'n': return real ? (wide ? t : TG_f32) : TG_i64;
    case 'i': return TG_i64;
    case 'b': return TG_bool;
    default: return t;
    }
}

static char letter_at(const char *letters, uint32_t i)
{
    size_t n = strlen(letters);
    return n == 0 ? '*' : letters[i < n ? i : n - 1];
}

static void form_operator(Planner *p, TgGraph *g, TgNode node)
{
    const char *operands, *results;
    const TgNodeInfo *n = tg_node(g, node);
    if (n->n_sub || !p->options->kernel || !p->options->kernel(n->op, &operands, &results))
        return;
    bool same = true;
    TgArena *scratch = tg_scratch(p->tg);
    TgValue *operand = TG_NEW_N(scratch, TgValue, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const TgType *t = n->in[i] ? type_in(g, n, i) : NULL;
        operand[i] = t && tg_is_tensor(t) ? form_cast(g, n->in[i], carried(letter_at(operands, i), t->dtype))
                                          : n->in[i];
        same &= operand[i] == n->in[i];
    }
    if (same)
        return;
    TgNode made = tg_graph_add(g, n->op, n->attrs, n->n_in, operand, n->n_out);
    if (!made)
        return;
    tg_node_origin(g, made, n, NULL);
    for (uint32_t i = 0; i < n->n_out; i++)
        form_hand_over(g, node, i, tg_node(g, made)->out[i]);
    tg_remove(g, node);
}

static void form_node(Planner *p, TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    switch (n->op) {
    case TG_Attention:
        if (attention_fits(p, g, n))
            form_attention(p, g, node);
        break;
    case TG_ms_GroupQueryAttention:
        if (plan_group_query_fits(p, g, n))
            plan_form_group_query(p, g, node);
        break;
    case TG_RotaryEmbedding:
        if (!is_formed_rotary(g, n))
            form_rotary(g, node);
        break;
    case TG_LayerNormalization:
    case TG_RMSNormalization: form_norm(g, node); break;
    case TG_Softmax:
    case TG_LogSoftmax: form_softmax(g, node); break;
    case TG_MatMul: form_product(p, g, node); break;
    default: break;
    }
    n = tg_node(g, node);
    if (!n->dead && !plan_is_pointwise(g, n) && !plan_has_form(p, g, n) && !plan_is_linear(g, n))
        form_operator(p, g, node);
}

static bool form_graph(Planner *p, TgGraph *g)
{
    TgNode end = g->nodes.n;
    uint32_t before = tg_error_count(p->tg);
    for (TgNode node = 1; node < end; node++) {
        const TgNodeInfo *n = tg_node(g, node);
        for (uint32_t s = 0; s < n->n_sub && !n->dead; s++)
            if (!form_graph(p, n->sub[s].graph))
                return false;
        if (!n->dead)
            form_node(p, g, node);
    }
    tg_remove_dead(g);
    return tg_error_count(p->tg) == before;
}

bool plan_forms(Planner *p)
{
    bool good = form_graph(p, p->g);
    if (good)
        plan_ties(p);
    return good;
}
