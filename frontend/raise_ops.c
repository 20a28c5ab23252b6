/* Changes that are more than a moved attribute, on the way up. Each function is named in versions.def; it
 * sees the node as the opset before the change writes it and leaves it as the opset after the change means
 * it. False: no equal form. */
#include "versions.h"

#include <string.h>

static bool type_known(const TgGraph *g, TgValue v)
{
    return v && tg_is_tensor(tg_type_of(g, v));
}

static int64_t int_attr(const TgGraph *g, TgNode n, const char *name, int64_t missing)
{
    const TgAttr *a = tg_attr_find(tg_node(g, n)->attrs, name);
    return a && a->kind == TG_A_INT ? a->u.i : missing;
}

/* --- opset 6 and before --------------------------------------------------------------------------------- */

/* Appends `n` dims of size 1 to v. 0: recorded. */
static TgValue append_ones(TgGraph *g, TgValue v, int32_t n)
{
    int64_t axes[TG_MAX_RANK];
    for (int32_t i = 0; i < n; i++)
        axes[i] = tg_type_of(g, v)->rank + i;
    return tg_op(g, TG_Unsqueeze, NULL, 2, v, const_ints(g, (uint32_t)n, axes));
}

/* broadcast=1, axis=k: operand 1 stands at dims k .. of operand 0. Without axis it stands at the last ones,
 * as today. */
bool raise_broadcast(TgGraph *g, TgNode n)
{
    TgValue a = operand(g, n, 0), b = operand(g, n, 1);
    bool placed = int_attr(g, n, "broadcast", 0) && tg_attr_has(tg_node(g, n)->attrs, "axis");
    if (placed) {
        if (!type_known(g, a) || !type_known(g, b))
            return false;
        int32_t rank = tg_type_of(g, a)->rank;
        int64_t axis = int_attr(g, n, "axis", 0);
        axis += axis < 0 ? rank : 0;
        int64_t behind = axis < 0 ? -1 : rank - axis - tg_type_of(g, b)->rank;
        if (behind < 0 || behind >= TG_MAX_RANK)
            return false;
        if (behind > 0 && !(b = append_ones(g, b, (int32_t)behind)))
            return false;
        tg_set_input(g, n, 1, b);
    }
    drop_attr(g, n, "broadcast");
    drop_attr(g, n, "axis");
    return true;
}

/* A slope of one dim stood at dim 1, the channels. */
bool raise_slope(TgGraph *g, TgNode n)
{
    TgValue x = operand(g, n, 0), slope = operand(g, n, 1);
    if (!type_known(g, x) || !type_known(g, slope))
        return false;
    int32_t rank = tg_type_of(g, x)->rank;
    const TgType *type = tg_type_of(g, slope);
    if (type->rank != 1 || tg_dim_is(type->dim[0], 1) || rank <= 2)
        return true;
    if (!(slope = append_ones(g, slope, rank - 2)))
        return false;
    tg_set_input(g, n, 1, slope);
    return true;
}

/* to="FLOAT": the names of TensorProto.DataType, in the order of their numbers. */
bool raise_cast_name(TgGraph *g, TgNode n)
{
    static const char *const names[] = {"FLOAT",  "UINT8",  "INT8",   "UINT16",    "INT16",
                                        "INT32",  "INT64",  "STRING", "BOOL",      "FLOAT16",
                                        "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128"};
    const TgAttr *to = tg_attr_find(tg_node(g, n)->attrs, "to");
    if (!to || to->kind != TG_A_STRING)
        return to != NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) != to->u.s.n || memcmp(names[i], to->u.s.at, to->u.s.n) != 0)
            continue;
        put_int(g, n, "to", (int64_t)i + 1);
        return true;
    }
    return false;
}

/* Three operands (input, tiles, axis) repeated one axis. */
bool raise_tiles(TgGraph *g, TgNode n)
{
    return tg_node(g, n)->n_in == 2;
}

bool raise_paddings(TgGraph *g, TgNode n)
{
    const TgAttr *old = tg_attr_find(tg_node(g, n)->attrs, "paddings");
    if (!old || old->kind != TG_A_INTS)
        return !old;
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    tg_attrs_ints(&b, "pads", old->n, old->u.ints);
    tg_attrs_drop(&b, "paddings");
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
    return true;
}

/* The exponent was a float. */
bool raise_power(TgGraph *g, TgNode n)
{
    const TgAttr *p = tg_attr_find(tg_node(g, n)->attrs, "p");
    if (!p || p->kind != TG_A_FLOAT)
        return true;
    if (!(p->u.f >= 1 && p->u.f < 1e6f) || p->u.f != (float)(int64_t)p->u.f)
        return false;
    put_int(g, n, "p", (int64_t)p->u.f);
    return true;
}

bool raise_upsample_factors(TgGraph *g, TgNode n)
{
    const TgAttr *height = tg_attr_find(tg_node(g, n)->attrs, "height_scale");
    const TgAttr *width = tg_attr_find(tg_node(g, n)->attrs, "width_scale");
    if (!height || !width || height->kind != TG_A_FLOAT || width->kind != TG_A_FLOAT)
        return false;
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    tg_attrs_floats(&b, "scales", 4, (const float[]){1, 1, height->u.f, width->u.f});
    tg_attrs_drop(&b, "height_scale");
    tg_attrs_drop(&b, "width_scale");
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
    return true;
}

/* --- movement and images -------------------------------------------------------------------------------- */

/* Without sizes, the input was split evenly into as many parts as there are outputs. */
bool raise_split_count(TgGraph *g, TgNode n)
{
    if (!operand(g, n, 1) && !tg_attr_has(tg_node(g, n)->attrs, "num_outputs"))
        put_int(g, n, "num_outputs", tg_node(g, n)->n_out);
    return true;
}

/* Resize of opset 10: (x, scales), and the pixel at i was the one at floor(i / scale). */
bool raise_resize(TgGraph *g, TgNode n)
{
    TgValue scales = operand(g, n, 1);
    if (tg_node(g, n)->n_in != 2 || !scales)
        return false;
    tg_set_input(g, n, 1, 0);
    put_operand(g, n, 2, scales);
    put_string(g, n, "coordinate_transformation_mode", "asymmetric");
    put_string(g, n, "nearest_mode", "floor");
    return true;
}

/* An empty constant is how opsets 11 and 12 said "absent"; files of any opset still do. */
bool raise_resize_empty(TgGraph *g, TgNode n)
{
    for (uint32_t slot = 1; slot < tg_node(g, n)->n_in; slot++) {
        const TgTensor *t = tg_const_of(g, operand(g, n, slot));
        if (t && t->count == 0)
            tg_set_input(g, n, slot, 0);
    }
    return true;
}

/* --- normalization -------------------------------------------------------------------------------------- */

/* Several outputs meant training, spatial=0 statistics per element. */
bool raise_batch_norm(TgGraph *g, TgNode n)
{
    if (tg_node(g, n)->n_out > 1 || int_attr(g, n, "spatial", 1) == 0)
        return false;
    drop_attr(g, n, "spatial");
    return true;
}

/* Scale and bias were per group: element i becomes elements i*C/G .. of a vector per channel. */
bool raise_group_norm(TgGraph *g, TgNode n)
{
    int64_t channels, groups = int_attr(g, n, "num_groups", 0);
    TgValue x = operand(g, n, 0);
    if (groups < 1 || !type_known(g, x) || tg_type_of(g, x)->rank < 2 ||
        !tg_dim_known(tg_type_of(g, x)->dim[1], &channels) || channels % groups)
        return false;
    TgValue last = const_ints(g, 1, (const int64_t[]){1});
    TgValue wide = const_ints(g, 2, (const int64_t[]){groups, channels / groups});
    TgValue flat = const_ints(g, 1, &channels);
    for (uint32_t slot = 1; slot <= 2; slot++) {
        TgValue v = tg_op(g, TG_Unsqueeze, NULL, 2, operand(g, n, slot), last);
        v = v ? tg_op(g, TG_Expand, NULL, 2, v, wide) : 0;
        v = v ? tg_op(g, TG_Reshape, NULL, 2, v, flat) : 0;
        if (!v)
            return false;
        tg_set_input(g, n, slot, v);
    }
    return true;
}

/* --- Softmax, LogSoftmax, Hardmax ----------------------------------------------------------------------- */

/* The axis that alone among axis .. rank-1 has a size other than 1; -1: there are several. */
static int64_t only_axis(const TgType *type, int64_t axis)
{
    int64_t only = type->rank - 1, found = 0;
    for (int32_t i = (int32_t)axis; i < type->rank; i++)
        if (!tg_dim_is(type->dim[i], 1)) {
            only = i;
            found++;
        }
    return found <= 1 ? only : -1;
}

/* The shape of x as a value: a constant where it is static. 0: recorded. */
static TgValue shape_of(TgGraph *g, TgValue x)
{
    int64_t dim[TG_MAX_RANK];
    const TgType *type = tg_type_of(g, x);
    if (tg_type_static(type, dim))
        return const_ints(g, (uint32_t)type->rank, dim);
    return tg_op(g, TG_Shape, NULL, 1, x);
}

/* The dims from `axis` on were one dim: Reshape(Softmax(Flatten(x)), shape of x), unless only one of them
 * counts. */
bool raise_softmax(TgGraph *g, TgNode n)
{
    TgValue x = operand(g, n, 0);
    int64_t axis = int_attr(g, n, "axis", 1);
    if (!type_known(g, x))
        return axis == -1;
    const TgType *type = tg_type_of(g, x);
    axis += axis < 0 ? type->rank : 0;
    if (axis < 0 || axis >= type->rank || tg_dim_is(tg_type_count(g->tg, type), 0))
        return false;
    int64_t only = only_axis(type, axis);
    if (only >= 0) {
        put_int(g, n, "axis", only == type->rank - 1 ? -1 : only);
        return true;
    }
    TgOp op = tg_node(g, n)->op;
    TgValue flat = tg_op(g, TG_Flatten, tg_attrs(g->tg, TG_Flatten, "axis=i", axis), 1, x);
    TgValue soft = flat ? tg_op(g, op, NULL, 1, flat) : 0;
    TgValue shape = soft ? shape_of(g, x) : 0;
    if (!shape)
        return false;
    become(g, n, TG_Reshape, tg_attrs_none(g->tg), 2, (const TgValue[]){soft, shape});
    return true;
}
