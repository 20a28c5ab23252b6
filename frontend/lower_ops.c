/* Changes that are more than a moved attribute, on the way down, and short spellings of operators that an
 * opset lacks. Each function of the first kind is named in versions.def; it sees the node as the opset behind
 * the change means it and leaves it as the opset before the change writes it. False: no equal form (what was
 * changed meanwhile is undone by the caller). */
#include "versions.h"

static bool type_known(const TgGraph *g, TgValue v)
{
    return v && tg_is_tensor(tg_type_of(g, v));
}

/* Removes the producer of v where nobody reads it any more, then that of its operand 0, and so on. */
static void drop_unread(TgGraph *g, TgValue v)
{
    while (v && tg_value(g, v)->origin == TG_V_RESULT) {
        TgNode n = tg_value(g, v)->node;
        const TgNodeInfo *node = tg_node(g, n);
        for (uint32_t i = 0; i < node->n_out; i++)
            if (tg_value(g, node->out[i])->uses.n || tg_value(g, node->out[i])->returned)
                return;
        v = operand(g, n, 0);
        tg_remove(g, n);
    }
}

/* --- products, reduction -------------------------------------------------------------------------------- */

/* Operand C of Gemm was required: a zero that broadcasts. */
bool lower_addend(TgGraph *g, TgNode n)
{
    const uint64_t zero = 0;
    TgValue a = operand(g, n, 0);
    if (operand(g, n, 2))
        return true;
    if (!type_known(g, a))
        return false;
    TgDtype dtype = tg_type_of(g, a)->dtype;
    put_operand(g, n, 2,
                tg_graph_const(g, tg_tensor_splat(g->arena, dtype, 1, (const int64_t[]){1}, &zero), NULL));
    return true;
}

/* No axes meant all axes, always; "none" is an Identity. */
bool lower_reduce(TgGraph *g, TgNode n)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t count = 0;
    TgValue v = operand(g, n, 1);
    if (v && !tg_const_ints(g, v, TG_MAX_RANK, axes, &count))
        return false;
    if (count == 0 && tg_attr_has(tg_node(g, n)->attrs, "noop_with_empty_axes")) {
        become(g, n, TG_Identity, tg_attrs_none(g->tg), 1, (const TgValue[]){operand(g, n, 0)});
        return true;
    }
    if (v && count == 0)
        tg_set_input(g, n, 1, 0);
    drop_attr(g, n, "noop_with_empty_axes");
    return true;
}

/* --- shapes and movement -------------------------------------------------------------------------------- */

/* Shape(x; start, end) = Slice(Shape(x), start, end). */
bool lower_shape_range(TgGraph *g, TgNode n)
{
    const TgNodeInfo *node = tg_node(g, n);
    const TgAttr *from = tg_attr_find(node->attrs, "start"), *to = tg_attr_find(node->attrs, "end");
    if (!from && !to)
        return true;
    int64_t start = from ? from->u.i : 0, end = to ? to->u.i : TG_MAX_RANK;
    TgValue all = tg_op(g, TG_Shape, NULL, 1, operand(g, n, 0));
    if (!all)
        return false;
    become(g, n, TG_Slice, tg_attrs_none(g->tg), 3,
           (const TgValue[]){all, const_ints(g, 1, &start), const_ints(g, 1, &end)});
    return true;
}

/* A size that cannot be 0, or is that of the same dim of x. */
static bool size_is_plain(const TgType *x, int64_t i, TgDim size)
{
    bool kept = x->kind == TG_TENSOR && i < x->rank && x->dim[i] == size;
    return kept || tg_dim_is(size, -1) || tg_dim_lower(size) >= 1;
}

/* A 0 in the shape meant "as in the operand", always. */
bool lower_allow_zero(TgGraph *g, TgNode n)
{
    TgValue x = operand(g, n, 0), shape = operand(g, n, 1);
    if (!tg_attr_has(tg_node(g, n)->attrs, "allowzero"))
        return true;
    const TgDim *size = tg_value(g, shape)->symbolic;
    int64_t rank = 0;
    if (!size || !tg_type_numel(tg_type_of(g, shape), &rank))
        return false;
    for (int64_t i = 0; i < rank; i++)
        if (!size_is_plain(tg_type_of(g, x), i, size[i]))
            return false;
    drop_attr(g, n, "allowzero");
    return true;
}

/* Sizes of `parts` parts of `size` elements, the last one smaller. */
static void part_sizes(int64_t size, int64_t parts, int64_t *out)
{
    int64_t each = size / parts + (size % parts != 0);
    for (int64_t i = 0, left = size; i < parts; i++, left -= each)
        out[i] = left < 0 ? 0 : left < each ? left : each;
}

/* Attribute "axis", counted from the front; false: there is no such axis (of a scalar: 0), the node cannot run. */
static bool axis_of(TgGraph *g, TgNode n, const TgType *type, int64_t *axis)
{
    int64_t least = type->rank ? -type->rank : -1, most = type->rank ? type->rank - 1 : 0;
    *axis = tg_attr_int(tg_node(g, n), "axis");
    if (*axis < least || *axis > most)
        return false;
    *axis += *axis < 0 ? -least : 0;
    return true;
}

/* Parts were equal unless their sizes were given. */
bool lower_split_count(TgGraph *g, TgNode n)
{
    enum { MAX_PARTS = 256 };
    int64_t size, axis, parts = tg_node(g, n)->n_out, sizes[MAX_PARTS];
    TgValue x = operand(g, n, 0);
    drop_attr(g, n, "num_outputs");
    if (operand(g, n, 1) || !type_known(g, x))
        return true;
    const TgType *type = tg_type_of(g, x);
    if (!type->rank || !axis_of(g, n, type, &axis))
        return false;
    if (!tg_dim_known(type->dim[axis], &size) || size % parts == 0)
        return true;
    if (parts > MAX_PARTS)
        return false;
    part_sizes(size, parts, sizes);
    put_operand(g, n, 1, const_ints(g, (uint32_t)parts, sizes));
    return true;
}

/* Slice knew no steps. */
bool lower_steps(TgGraph *g, TgNode n)
{
    int64_t steps[TG_MAX_RANK];
    uint32_t count = 0;
    TgValue v = operand(g, n, 4);
    if (v && !tg_const_ints(g, v, TG_MAX_RANK, steps, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (steps[i] != 1)
            return false;
    if (v)
        tg_set_input(g, n, 4, 0);
    return true;
}

/* Pads of some axes as pads of all: [begin of every axis, end of every axis], 0 where one is not listed. */
bool lower_pad_axes(TgGraph *g, TgNode n)
{
    int64_t axes[TG_MAX_RANK], where[2 * TG_MAX_RANK], zeros[2 * TG_MAX_RANK] = {0};
    uint32_t count;
    TgValue x = operand(g, n, 0), v = operand(g, n, 3);
    if (!v)
        return true;
    if (!type_known(g, x) || !tg_const_ints(g, v, TG_MAX_RANK, axes, &count))
        return false;
    int32_t rank = tg_type_of(g, x)->rank;
    for (uint32_t i = 0; i < count; i++) {
        where[i] = axes[i] < 0 ? axes[i] + rank : axes[i];
        where[count + i] = where[i] + rank;
    }
    TgValue all = const_ints(g, (uint32_t)rank * 2, zeros), at = const_ints(g, count * 2, where);
    TgValue pads = tg_op(g, TG_ScatterElements, NULL, 3, all, at, operand(g, n, 1));
    if (!pads)
        return false;
    tg_set_input(g, n, 1, pads);
    tg_set_input(g, n, 3, 0);
    return true;
}

/* The two questions about optionals took nothing else. */
bool lower_optional(TgGraph *g, TgNode n)
{
    TgValue v = operand(g, n, 0);
    return v && tg_type_of(g, v)->kind == TG_OPTIONAL;
}

/* --- images --------------------------------------------------------------------------------------------- */

bool lower_resize(TgGraph *g, TgNode n)
{
    const TgAttrs *attrs = tg_node(g, n)->attrs;
    const TgAttr *where = tg_attr_find(attrs, "coordinate_transformation_mode");
    const TgAttr *nearest = tg_attr_find(attrs, "nearest_mode"), *mode = tg_attr_find(attrs, "mode");
    TgValue scales = operand(g, n, 2);
    bool cubic = mode && attr_says(mode, "cubic");
    if (!scales || operand(g, n, 3) || cubic || !where || !attr_says(where, "asymmetric") || !nearest ||
        !attr_says(nearest, "floor"))
        return false;
    drop_attr(g, n, "coordinate_transformation_mode");
    drop_attr(g, n, "nearest_mode");
    tg_set_input(g, n, 1, scales);
    tg_set_input(g, n, 2, 0);
    return true;
}

/* Operands roi and scales were required, though perhaps empty. */
bool lower_resize_empty(TgGraph *g, TgNode n)
{
    TgValue empty = 0;
    for (uint32_t slot = 1; slot <= 2; slot++) {
        if (operand(g, n, slot))
            continue;
        if (!empty)
            empty = tg_graph_const(g, tg_tensor_owned(g->arena, TG_f32, 1, (const int64_t[]){0}, ""), NULL);
        put_operand(g, n, slot, empty);
    }
    return true;
}

/* --- normalization -------------------------------------------------------------------------------------- */

bool lower_batch_norm(TgGraph *g, TgNode n)
{
    return !tg_attr_has(tg_node(g, n)->attrs, "training_mode") && tg_node(g, n)->n_out == 1;
}

/* Only the form that does nothing: training was decided elsewhere. */
bool lower_dropout(TgGraph *g, TgNode n)
{
    double training = 0;
    TgValue v = operand(g, n, 2);
    if (v && (!tg_const_float(g, v, &training) || training != 0))
        return false;
    if (v)
        tg_set_input(g, n, 2, 0);
    drop_attr(g, n, "seed");
    return true;
}

/* The vector per group from which raising made the vector v per channel; 0: v comes from elsewhere. */
static TgValue per_group(const TgGraph *g, TgValue v, int64_t groups)
{
    const TgNodeInfo *flat = v ? tg_producer(g, v, TG_Reshape) : NULL;
    const TgNodeInfo *wide = flat ? tg_producer(g, flat->in[0], TG_Expand) : NULL;
    const TgNodeInfo *tall = wide ? tg_producer(g, wide->in[0], TG_Unsqueeze) : NULL;
    if (!tall || !type_known(g, tall->in[0]))
        return 0;
    const TgType *type = tg_type_of(g, tall->in[0]);
    return type->rank == 1 && tg_dim_is(type->dim[0], groups) ? tall->in[0] : 0;
}

bool lower_group_norm(TgGraph *g, TgNode n)
{
    int64_t groups = tg_attr_int(tg_node(g, n), "num_groups");
    TgValue scale = per_group(g, operand(g, n, 1), groups), bias = per_group(g, operand(g, n, 2), groups);
    if (!scale || !bias || tg_attr_has(tg_node(g, n)->attrs, "stash_type"))
        return false;
    TgValue wide_scale = operand(g, n, 1), wide_bias = operand(g, n, 2);
    tg_set_input(g, n, 1, scale);
    tg_set_input(g, n, 2, bias);
    drop_unread(g, wide_scale);
    drop_unread(g, wide_bias);
    return true;
}

/* --- Softmax, LogSoftmax, Hardmax ----------------------------------------------------------------------- */

/* The axis k of `type` such that its dims k .. rank-1 have `width` elements together; -1: none. */
static int64_t axis_of_width(TgGraph *g, const TgType *type, TgDim width)
{
    TgDim product = tg_dim(g->tg, 1);
    for (int32_t k = type->rank - 1; k >= 0; k--) {
        product = tg_dim_mul(g->tg, product, type->dim[k]);
        if (product == width && !tg_dim_is(type->dim[k], 1))
            return k;
    }
    return -1;
}

/* y = Reshape(n(Flatten(x)), shape of x), as raising wrote it (or with Reshape for Flatten): the old operator
 * on x itself. */
static bool unflatten(TgGraph *g, TgNode n)
{
    TgNodeInfo *node = tg_node(g, n);
    const TgNodeInfo *flat = tg_producer(g, node->in[0], TG_Flatten);
    flat = flat ? flat : tg_producer(g, node->in[0], TG_Reshape);
    if (!flat || !tg_used_once(g, node->out[0]))
        return false;
    TgUse use = tg_value(g, node->out[0])->uses.at[0];
    TgNodeInfo *back = tg_node(g, use.node);
    if (back->op != TG_Reshape || use.slot != 0 || !type_known(g, flat->in[0]))
        return false;
    const TgType *type = tg_type_of(g, flat->in[0]), *wide = tg_type_of(g, node->in[0]);
    int64_t axis = wide->rank > 0 ? axis_of_width(g, type, wide->dim[wide->rank - 1]) : -1;
    if (axis < 0 || tg_type_of(g, back->out[0]) != type)
        return false;
    TgValue wide_x = node->in[0], shape = back->in[1];
    put_int(g, n, "axis", axis);
    tg_set_input(g, n, 0, flat->in[0]);
    tg_value(g, node->out[0])->type = type;
    tg_replace(g, back->out[0], node->out[0]);
    tg_remove(g, use.node);
    drop_unread(g, wide_x);
    drop_unread(g, shape);
    return true;
}

/* y = Transpose(n(Transpose(x)) on the last axis). */
static bool swap_axes(TgGraph *g, TgNode n, int32_t rank, int64_t axis)
{
    int64_t perm[TG_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        perm[i] = i;
    perm[axis] = rank - 1;
    perm[rank - 1] = axis;
    TgAttrBuild b;
    tg_attrs_begin(&b, g->tg);
    tg_attrs_ints(&b, "perm", (uint32_t)rank, perm);
    const TgAttrs *swap = tg_attrs_end(&b, TG_Transpose);
    TgValue x = tg_op(g, TG_Transpose, swap, 1, operand(g, n, 0));
    TgValue y = x ? tg_op(g, tg_node(g, n)->op, NULL, 1, x) : 0;
    if (y)
        become(g, n, TG_Transpose, swap, 1, &y);
    return y != 0;
}

/* Dims behind the axis belonged to it: right where they have one element. */
bool lower_softmax(TgGraph *g, TgNode n)
{
    TgValue x = operand(g, n, 0);
    int64_t axis = tg_attr_int(tg_node(g, n), "axis");
    if (!type_known(g, x)) {
        put_int(g, n, "axis", axis);
        return axis == -1;
    }
    const TgType *type = tg_type_of(g, x);
    if (!axis_of(g, n, type, &axis))
        return false;
    if (axis == type->rank - 1 && unflatten(g, n))
        return true;
    for (int64_t i = axis + 1; i < type->rank; i++)
        if (!tg_dim_is(type->dim[i], 1))
            return swap_axes(g, n, type->rank, axis);
    put_int(g, n, "axis", axis);
    return true;
}

/* --- operators that the opset lacks --------------------------------------------------------------------- */

/* a <= b = (a < b) or (a = b), right for NaN too. */
static bool spell_or_equal(TgGraph *g, TgNode n, TgOp strict)
{
    TgValue a = operand(g, n, 0), b = operand(g, n, 1);
    TgValue less = tg_op(g, strict, NULL, 2, a, b), equal = less ? tg_op(g, TG_Equal, NULL, 2, a, b) : 0;
    if (equal)
        become(g, n, TG_Or, tg_attrs_none(g->tg), 2, (const TgValue[]){less, equal});
    return equal != 0;
}

/* Max and Min knew floats only: max(a, b) is a where a > b, else b. */
static bool spell_extreme(TgGraph *g, TgNode n, TgOp better)
{
    TgValue best = operand(g, n, 0), more = 0;
    uint32_t n_in = tg_node(g, n)->n_in;
    if (!type_known(g, best) || tg_is_float(tg_type_of(g, best)->dtype) || n_in < 2)
        return false;
    for (uint32_t i = 1; i < n_in; i++) {
        TgValue next = operand(g, n, i);
        if (!(more = tg_op(g, better, NULL, 2, best, next)))
            return false;
        if (i + 1 == n_in)
            become(g, n, TG_Where, tg_attrs_none(g->tg), 3, (const TgValue[]){more, best, next});
        else if (!(best = tg_op(g, TG_Where, NULL, 3, more, best, next)))
            return false;
    }
    return true;
}

/* Scatter is what opsets 9 and 10 called it. */
static bool spell_scatter(TgGraph *g, TgNode n)
{
    TgNodeInfo *node = tg_node(g, n);
    if (tg_attr_has(node->attrs, "reduction"))
        return false;
    become(g, n, TG_opaque, node->attrs, node->n_in, node->in);
    node->op_name = tg_name(g->tg, "Scatter");
    return true;
}

/* Upsample was withdrawn: a Resize whose pixel at i is the one at floor(i / scale). */
static bool spell_upsample(TgGraph *g, TgNode n)
{
    const TgNodeInfo *node = tg_node(g, n);
    become(g, n, TG_Resize, node->attrs, 3, (const TgValue[]){node->in[0], 0, node->in[1]});
    put_string(g, n, "coordinate_transformation_mode", "asymmetric");
    put_string(g, n, "nearest_mode", "floor");
    return true;
}

bool respell(TgGraph *g, TgNode n, int64_t opset)
{
    switch (tg_node(g, n)->op) {
    case TG_LessOrEqual: return opset < 12 && spell_or_equal(g, n, TG_Less);
    case TG_GreaterOrEqual: return opset < 12 && spell_or_equal(g, n, TG_Greater);
    case TG_Max: return opset < 12 && opset >= 9 && spell_extreme(g, n, TG_Greater);
    case TG_Min: return opset < 12 && opset >= 9 && spell_extreme(g, n, TG_Less);
    case TG_ScatterElements: return opset < 11 && opset >= 9 && spell_scatter(g, n);
    case TG_Upsample: return opset >= 10 && spell_upsample(g, n);
    default: return false;
    }
}
