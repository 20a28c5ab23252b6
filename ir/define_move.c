/* Definitions of operators that move elements: flattening, block rearrangement, crops, cache updates. Sizes
 * are values (see define.h), so all of them bear symbolic dims wherever ONNX's own meaning does. */
#include "define.h"

/* Product of the sizes of axes [start, end), i64[1]. */
static TgValue sizes_product(TgDefine *d, TgValue x, int64_t start, int64_t end)
{
    TgValue product = int1(d, 1);
    for (int64_t axis = start; axis < end; axis++)
        product = size_mul(d, product, size_of(d, x, axis));
    return product;
}

bool define_Flatten(TgDefine *d)
{
    TgValue x = arg(d, 0);
    int64_t rank = rank_of(d, x), axis = attr_i(d, "axis");
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis > rank)
        return define_refuse(d, "axis is out of range");
    TgValue shape = ShapeOf(d, sizes_product(d, x, 0, axis), sizes_product(d, x, axis, rank));
    d->out[0] = Reshape(d, x, shape);
    return define_done(d);
}

/* --- blocks of an image --------------------------------------------------------------------------------- */

bool define_DepthToSpace(TgDefine *d)
{
    TgValue x = arg(d, 0), b = int1(d, attr_i(d, "blocksize"));
    if (rank_of(d, x) != 4 || attr_i(d, "blocksize") < 1)
        return define_refuse(d, "it takes N x C x H x W and a positive blocksize");
    TgValue n = size_of(d, x, 0), h = size_of(d, x, 2), w = size_of(d, x, 3);
    TgValue c = size_div(d, size_of(d, x, 1), size_mul(d, b, b));
    bool crd = attr_is(d, "mode", "CRD");
    TgValue blocks = crd ? ShapeOf(d, n, c, b, b, h, w) : ShapeOf(d, n, b, b, c, h, w);
    const int64_t from_crd[] = {0, 1, 4, 2, 5, 3}, from_dcr[] = {0, 3, 4, 1, 5, 2};
    TgValue y = Transpose(d, Reshape(d, x, blocks), 6, crd ? from_crd : from_dcr);
    d->out[0] = Reshape(d, y, ShapeOf(d, n, c, size_mul(d, h, b), size_mul(d, w, b)));
    return define_done(d);
}

bool define_SpaceToDepth(TgDefine *d)
{
    TgValue x = arg(d, 0), b = int1(d, attr_i(d, "blocksize"));
    if (rank_of(d, x) != 4 || attr_i(d, "blocksize") < 1)
        return define_refuse(d, "it takes N x C x H x W and a positive blocksize");
    TgValue n = size_of(d, x, 0), c = size_of(d, x, 1);
    TgValue h = size_div(d, size_of(d, x, 2), b), w = size_div(d, size_of(d, x, 3), b);
    const int64_t to_crd[] = {0, 1, 3, 5, 2, 4}, to_dcr[] = {0, 3, 5, 1, 2, 4};
    TgValue blocks = Reshape(d, x, ShapeOf(d, n, c, h, b, w, b));
    TgValue y = Transpose(d, blocks, 6, attr_is(d, "mode", "CRD") ? to_crd : to_dcr);
    d->out[0] = Reshape(d, y, ShapeOf(d, n, size_mul(d, c, size_mul(d, b, b)), h, w));
    return define_done(d);
}

/* --- crops and caches ----------------------------------------------------------------------------------- */

/* The axes of CenterCropPad; all of them without the attribute. */
static TgValue crop_axes(TgDefine *d, TgValue x)
{
    int64_t all[TG_MAX_RANK];
    uint32_t n;
    const int64_t *axes = tg_attr_ints(d->n, "axes", &n);
    if (attr_given(d, "axes"))
        return ints(d, n, axes);
    n = (uint32_t)rank_of(d, x);
    for (uint32_t i = 0; i < n; i++)
        all[i] = i;
    return ints(d, n, all);
}

static TgValue sizes_at(TgDefine *d, TgValue x, TgValue axes)
{
    int64_t axis[TG_MAX_RANK];
    TgValue size[TG_MAX_RANK];
    uint32_t n;
    if (d->failed || !tg_const_ints(d->into, axes, TG_MAX_RANK, axis, &n))
        return 0;
    for (uint32_t i = 0; i < n; i++)
        size[i] = size_of(d, x, axis[i]);
    return shape_from(d, n, size);
}

/* First zeros on both sides (the odd one behind), then a window in the middle (the odd one before). */
bool define_CenterCropPad(TgDefine *d)
{
    TgValue x = arg(d, 0), want = Cast(d, arg(d, 1), TG_i64);
    TgValue axes = crop_axes(d, x), have = sizes_at(d, x, axes);
    TgValue padded = size_op(d, TG_Max, have, want), missing = size_sub(d, padded, have);
    TgValue before = size_div(d, missing, int1(d, 2)), after = size_sub(d, missing, before);
    TgValue y = def_node(d, TG_Pad, NULL, 4, (TgValue[]){x, ShapeOf(d, before, after), 0, axes});
    TgValue start = size_div(d, size_sub(d, padded, want), int1(d, 2));
    d->out[0] = def_node(d, TG_Slice, NULL, 4, (TgValue[]){y, start, size_add(d, start, want), axes});
    return define_done(d);
}

/* v as a tensor of the given rank whose only axis other than 1 is `axis`. */
static TgValue along(TgDefine *d, TgValue v, int32_t rank, int64_t axis)
{
    int64_t shape[TG_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        shape[i] = i == axis ? -1 : 1;
    return Reshape(d, v, ints(d, (uint32_t)rank, shape));
}

/* Element s of the update of batch b goes to place write_indices[b] + s (circular: modulo the cache's
 * size). */
bool define_TensorScatter(TgDefine *d)
{
    TgValue cache = arg(d, 0), update = arg(d, 1), write = arg(d, 2);
    int32_t rank = rank_of(d, cache);
    int64_t axis = axis_of(d, cache, attr_i(d, "axis"));
    TgValue place = along(d, Counting(d, size_of(d, update, axis)), rank, axis);
    if (write)
        place = Add(d, along(d, write, rank, 0), place);
    if (attr_is(d, "mode", "circular"))
        place = Mod(d, place, size_of(d, cache, axis));
    place = Expand(d, place, Shape(d, update, 0, INT64_MAX));
    d->out[0] = op_axis(d, TG_ScatterElements, axis, 3, (TgValue[]){cache, place, update});
    return define_done(d);
}
