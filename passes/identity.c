/* Operators that give back an operand, and pairs that undo each other.
 *
 * One small function per kind: it answers with the value that may take the place of output 0 of the node, or 0. Types
 * are interned and sizes symbolic, so "gives back its operand" is mostly: an operator that only moves data, whose
 * result has the type of its operand. Needs: inferred types. Breaks: nothing.
 */
#include <string.h>

#include "pass.h"

typedef TgValue (*Identity)(TgPass *p, TgNodeInfo *n);

static TgValue operand(TgPass *p, TgNodeInfo *n)
{
    (void)p;
    return in(n, 0);
}

/* Moves data without reordering it: the same type means the same tensor. */
static TgValue same_shape(TgPass *p, TgNodeInfo *n)
{
    return same_type(p->g, n->in[0], n->out[0]) ? n->in[0] : 0;
}

/* --- casts -------------------------------------------------------------------------------------------------------- */

/* Every value of `from` is a value of `to`. */
static bool widens(TgDtype from, TgDtype to)
{
    TgClass a = tg_dtype_class(from), b = tg_dtype_class(to);
    uint32_t n = tg_dtype_bits(from), m = tg_dtype_bits(to);
    if (from == to)
        return true;
    if (a == TG_CLASS_B)
        return b == TG_CLASS_I || b == TG_CLASS_U || to == TG_f32 || to == TG_f64 || to == TG_f16 || to == TG_bf16;
    if (a == TG_CLASS_F && b == TG_CLASS_F)
        return m >= 32 && n < m;
    if ((a == TG_CLASS_I || a == TG_CLASS_U) && b == TG_CLASS_F)
        return (to == TG_f32 && n <= 16) || (to == TG_f64 && n <= 32);
    return (a == b && n < m && (a == TG_CLASS_I || a == TG_CLASS_U)) || (a == TG_CLASS_U && b == TG_CLASS_I && n < m);
}

static TgValue cast(TgPass *p, TgNodeInfo *n)
{
    TgDtype to = tg_type_of(p->g, n->out[0])->dtype;
    if (tg_type_of(p->g, n->in[0])->dtype == to)
        return n->in[0];
    const TgNodeInfo *inner = tg_producer(p->g, n->in[0], TG_Cast);
    if (!inner || !widens(tg_type_of(p->g, inner->in[0])->dtype, tg_type_of(p->g, n->in[0])->dtype))
        return 0;
    TgDtype from = tg_type_of(p->g, inner->in[0])->dtype;
    if (from == to)
        return inner->in[0];
    if (tg_dtype_class(from) == TG_CLASS_F && to == TG_bool)
        return 0;
    return pass_op(p, TG_Cast, n->attrs, 1, inner->in[0]);
}

static TgValue cast_like(TgPass *p, TgNodeInfo *n)
{
    const TgType *like = tg_type_of(p->g, n->in[1]);
    if (like->kind != TG_TENSOR || !like->dtype)
        return 0;
    if (like->dtype == tg_type_of(p->g, n->in[0])->dtype)
        return n->in[0];
    TgAttrBuild b;
    tg_attrs_from(&b, p->tg, n->attrs);
    tg_attrs_int(&b, "to", like->dtype);
    return pass_op(p, TG_Cast, tg_attrs_end(&b, TG_Cast), 1, n->in[0]);
}

/* --- arithmetic with a neutral constant --------------------------------------------------------------------------- */

/* Operand `slot` unless the other one is a constant of `neutral` only and does not widen the result. */
static TgValue neutral_in(TgPass *p, TgNodeInfo *n, uint32_t slot, double neutral)
{
    TgValue x = n->in[1 - slot];
    bool kept = is_splat_of(p->g, n->in[slot], neutral) && same_type(p->g, x, n->out[0]);
    return kept && !ends_norm_downstream(p, n) && !biases_attention_downstream(p, n) ? x : 0;
}

static TgValue zero_either(TgPass *p, TgNodeInfo *n)
{
    TgValue x = neutral_in(p, n, 1, 0);
    return x ? x : neutral_in(p, n, 0, 0);
}

static TgValue zero_right(TgPass *p, TgNodeInfo *n)
{
    return neutral_in(p, n, 1, 0);
}

static TgValue one_either(TgPass *p, TgNodeInfo *n)
{
    TgValue x = neutral_in(p, n, 1, 1);
    return x ? x : neutral_in(p, n, 0, 1);
}

static TgValue one_right(TgPass *p, TgNodeInfo *n)
{
    return neutral_in(p, n, 1, 1);
}

static TgValue and_true(TgPass *p, TgNodeInfo *n)
{
    return n->in[0] == n->in[1] ? n->in[0] : one_either(p, n);
}

static TgValue or_false(TgPass *p, TgNodeInfo *n)
{
    return n->in[0] == n->in[1] ? n->in[0] : zero_either(p, n);
}

static TgValue twice_is_nothing(TgPass *p, TgNodeInfo *n)
{
    const TgNodeInfo *inner = tg_producer(p->g, n->in[0], n->op);
    return inner ? inner->in[0] : 0;
}

static TgValue idempotent(TgPass *p, TgNodeInfo *n)
{
    return tg_producer(p->g, n->in[0], n->op) ? n->in[0] : 0;
}

static TgValue single(TgPass *p, TgNodeInfo *n)
{
    if (n->n_in == 1)
        return n->in[0];
    bool choice = n->op == TG_Max || n->op == TG_Min;
    return choice && n->n_in == 2 && n->in[0] == n->in[1] && same_type(p->g, n->in[0], n->out[0]) ? n->in[0] : 0;
}

static TgValue where(TgPass *p, TgNodeInfo *n)
{
    double c;
    if (is_splat(p->g, n->in[0], &c)) {
        TgValue kept = c != 0 ? n->in[1] : n->in[2];
        if (same_type(p->g, kept, n->out[0]))
            return kept;
    }
    return n->in[1] == n->in[2] && same_type(p->g, n->in[1], n->out[0]) ? n->in[1] : 0;
}

static TgValue clip(TgPass *p, TgNodeInfo *n)
{
    (void)p;
    return !in(n, 1) && !in(n, 2) ? n->in[0] : 0;
}

/* A reduction over axes of size 1 keeps every element. */
static TgValue reduce(TgPass *p, TgNodeInfo *n)
{
    bool nothing = in(n, 1) && pass_dim(p->g, n->in[1], 0) == 0 && tg_attr_int(n, "noop_with_empty_axes");
    if (nothing)
        return n->in[0];
    int64_t axis[TG_MAX_RANK];
    uint32_t count;
    int32_t rank = pass_rank(p->g, n->in[0]);
    if (!same_type(p->g, n->in[0], n->out[0]) || !in(n, 1) ||
        !tg_const_ints(p->g, n->in[1], TG_MAX_RANK, axis, &count) || count == 0)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (axis[i] < -rank || axis[i] >= rank || pass_dim(p->g, n->in[0], (int32_t)axis[i]) != 1)
            return 0;
    return n->in[0];
}

/* --- movement ----------------------------------------------------------------------------------------------------- */

static TgValue slice(TgPass *p, TgNodeInfo *n)
{
    int64_t step[TG_MAX_RANK];
    uint32_t count;
    if (in(n, 4)) {
        if (!tg_const_ints(p->g, n->in[4], TG_MAX_RANK, step, &count))
            return 0;
        for (uint32_t i = 0; i < count; i++)
            if (step[i] != 1)
                return 0;
    }
    return same_shape(p, n); /* as long as the whole, step 1: it is the whole */
}

static TgValue transpose(TgPass *p, TgNodeInfo *n)
{
    uint32_t count;
    const int64_t *perm = tg_attr_ints(n, "perm", &count);
    int32_t rank = pass_rank(p->g, n->in[0]);
    if (rank < 0)
        return 0;
    bool identity = perm || rank <= 1;
    for (int32_t i = 0; perm && i < rank; i++)
        identity = identity && perm[i] == i;
    return identity ? n->in[0] : 0;
}

static TgValue gather(TgPass *p, TgNodeInfo *n)
{
    int64_t index[64];
    uint32_t count;
    if (!same_type(p->g, n->in[0], n->out[0]) || !tg_const_ints(p->g, n->in[1], 64, index, &count))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (index[i] != i)
            return 0;
    return n->in[0]; /* indices 0 .. n-1 along an axis of size n */
}

/* Concat of all outputs of one Split, in order, along its axis. */
static TgValue concat_of_split(TgPass *p, TgNodeInfo *n)
{
    if (tg_value(p->g, n->in[0])->origin != TG_V_RESULT)
        return 0;
    const TgNodeInfo *split = tg_node(p->g, tg_value(p->g, n->in[0])->node);
    if (split->op != TG_Split || split->dead || split->n_out != n->n_in || !same_type(p->g, split->in[0], n->out[0]))
        return 0;
    int32_t rank = pass_rank(p->g, n->out[0]);
    int64_t a = tg_attr_int(n, "axis"), b = tg_attr_int(split, "axis");
    if (rank < 1 || (a < 0 ? a + rank : a) != (b < 0 ? b + rank : b))
        return 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] != split->out[i])
            return 0;
    return split->in[0];
}

/* Nothing stands beside it: the others are empty along the axis. */
static TgValue only_part(TgPass *p, TgNodeInfo *n)
{
    int64_t axis = tg_attr_int(n, "axis");
    TgValue kept = 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (same_type(p->g, n->in[i], n->out[0]) && !kept)
            kept = n->in[i];
        else if (pass_dim(p->g, n->in[i], (int32_t)axis) != 0)
            return 0;
    return kept;
}

static TgValue concat(TgPass *p, TgNodeInfo *n)
{
    TgValue kept = n->n_in == 1 ? n->in[0] : only_part(p, n);
    return kept ? kept : concat_of_split(p, n);
}

/* Pad by nothing. */
static TgValue pad(TgPass *p, TgNodeInfo *n)
{
    int64_t by[2 * TG_MAX_RANK];
    uint32_t count;
    if (!same_type(p->g, n->in[0], n->out[0]) || !tg_const_ints(p->g, n->in[1], 2 * TG_MAX_RANK, by, &count))
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (by[i] != 0)
            return 0;
    return n->in[0];
}

static TgValue split(TgPass *p, TgNodeInfo *n)
{
    return same_shape(p, n); /* the first part is all of it */
}

static TgValue dropout(TgPass *p, TgNodeInfo *n)
{
    bool mask = n->n_out > 1 && (tg_value(p->g, n->out[1])->uses.n || tg_value(p->g, n->out[1])->returned);
    bool off = !in(n, 2) || is_splat_of(p->g, n->in[2], 0);
    return off && !mask ? n->in[0] : 0;
}

static const struct {
    TgOp op;
    Identity find;
    const char *rewrite;
} table[] = {
    {TG_Identity, operand, "drop-identity"},
    {TG_Dropout, dropout, "drop-dropout"},
    {TG_Cast, cast, "drop-cast"},
    {TG_CastLike, cast_like, "castlike-to-cast"},
    {TG_Add, zero_either, "drop-add-zero"},
    {TG_Sub, zero_right, "drop-sub-zero"},
    {TG_Mul, one_either, "drop-mul-one"},
    {TG_Div, one_right, "drop-div-one"},
    {TG_Pow, one_right, "drop-pow-one"},
    {TG_And, and_true, "drop-and"},
    {TG_Or, or_false, "drop-or"},
    {TG_Neg, twice_is_nothing, "drop-double-neg"},
    {TG_Not, twice_is_nothing, "drop-double-not"},
    {TG_Abs, idempotent, "drop-idempotent"},
    {TG_Relu, idempotent, "drop-idempotent"},
    {TG_Floor, idempotent, "drop-idempotent"},
    {TG_Ceil, idempotent, "drop-idempotent"},
    {TG_Round, idempotent, "drop-idempotent"},
    {TG_Sign, idempotent, "drop-idempotent"},
    {TG_Max, single, "drop-single-operand"},
    {TG_Min, single, "drop-single-operand"},
    {TG_Sum, single, "drop-single-operand"},
    {TG_Mean, single, "drop-single-operand"},
    {TG_Where, where, "drop-where"},
    {TG_Clip, clip, "drop-clip"},
    {TG_ReduceSum, reduce, "drop-reduce"},
    {TG_ReduceMean, reduce, "drop-reduce"},
    {TG_ReduceMax, reduce, "drop-reduce"},
    {TG_ReduceMin, reduce, "drop-reduce"},
    {TG_ReduceProd, reduce, "drop-reduce"},
    {TG_Reshape, same_shape, "drop-reshape"},
    {TG_Flatten, same_shape, "drop-reshape"},
    {TG_Squeeze, same_shape, "drop-reshape"},
    {TG_Unsqueeze, same_shape, "drop-reshape"},
    {TG_Expand, same_shape, "drop-expand"},
    {TG_Tile, same_shape, "drop-tile"},
    {TG_Slice, slice, "drop-slice"},
    {TG_Transpose, transpose, "drop-transpose"},
    {TG_Gather, gather, "drop-gather"},
    {TG_Concat, concat, "drop-concat"},
    {TG_Split, split, "drop-split"},
    {TG_Pad, pad, "drop-pad"},
};

static void visit(TgPass *p, TgNode node, uint32_t row)
{
    TgNodeInfo *n = tg_node(p->g, node);
    if (!is_read(p->g, n->out[0]))
        return;
    TgValue kept = table[row].find(p, n);
    if (kept && kept != n->out[0] && pass_allow(p, table[row].rewrite))
        pass_replace(p, n->out[0], kept, table[row].rewrite);
}

void pass_identity(TgPass *p)
{
    uint8_t row_of[TG_OP_COUNT] = {0}; /* row + 1 */
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++)
        row_of[table[i].op] = (uint8_t)(i + 1);
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++)
        if (row_of[tg_node(p->g, nodes[i])->op])
            visit(p, nodes[i], row_of[tg_node(p->g, nodes[i])->op] - 1u);
}
