/* Arrays made from little: a size, a count, a position. Sizes that come from data are checked first. */
#include "op_make.h"

#include <math.h>

#include "op_array.h"

tgk_status tgk_Shape(const tgk_ctx *c, tgk_Shape_args *a)
{
    (void)c;
    const int64_t rank = a->in[0].rank, end = a->end == TGK_ABSENT ? rank : a->end;
    const int64_t from = tgk_clamp(a->start < 0 ? a->start + rank : a->start, 0, rank);
    const int64_t to = tgk_clamp(end < 0 ? end + rank : end, 0, rank), n = to > from ? to - from : 0;
    tgk_status status = tgk_shape(&a->out[0], 1, &n);
    for (int64_t i = 0; status == TGK_OK && i < n; i++)
        ((int64_t *)a->out[0].at)[i] = a->in[0].dim[from + i];
    return status;
}

tgk_status tgk_ConstantOfShape(const tgk_ctx *c, tgk_ConstantOfShape_args *a)
{
    (void)c;
    int64_t n;
    const int64_t *dim = tgk_ints(&a->in[0], &n);
    if (n > TGK_RANK)
        return TGK_BAD_SIZE;
    tgk_status status = tgk_shape(&a->out[0], (int32_t)n, dim);
    const size_t size = tgk_bytes_of(a->out[0].type);
    if (status != TGK_OK || tgk_elements(&a->out[0]) == 0)
        return status;
    if (a->value)
        tgk_fill(a->out[0].at, a->value, size, tgk_elements(&a->out[0]));
    else
        memset(a->out[0].at, 0, (size_t)tgk_elements(&a->out[0]) * size);
    return TGK_OK;
}

/* --- Range -------------------------------------------------------------------------------------------------------- */

/* ceil((limit - start) / delta), at least 0; -1: too many to count. */
static int64_t range_count(int64_t start, int64_t limit, int64_t delta)
{
    if (delta > 0 ? limit <= start : limit >= start)
        return 0;
    const uint64_t span = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    const uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta, n = (span - 1) / step + 1;
    return n > INT64_MAX ? -1 : (int64_t)n;
}

static tgk_status range_ints(tgk_Range_args *a)
{
    const int64_t start = *(const int64_t *)a->in[0].at, limit = *(const int64_t *)a->in[1].at;
    const int64_t delta = *(const int64_t *)a->in[2].at;
    if (delta == 0)
        return TGK_BAD_VALUE;
    const int64_t n = range_count(start, limit, delta);
    tgk_status status = tgk_shape(&a->out[0], 1, &n);
    uint64_t x = (uint64_t)start;
    for (int64_t i = 0; status == TGK_OK && i < n; i++, x += (uint64_t)delta)
        ((int64_t *)a->out[0].at)[i] = (int64_t)x;
    return status;
}

static double real_of(const tgk_array *a)
{
    return a->type == TGK_F64 ? *(const double *)a->at : (double)*(const float *)a->at;
}

tgk_status tgk_Range(const tgk_ctx *c, tgk_Range_args *a)
{
    (void)c;
    if (a->in[0].type == TGK_I64)
        return range_ints(a);
    const double start = real_of(&a->in[0]), limit = real_of(&a->in[1]), delta = real_of(&a->in[2]);
    const double count = ceil((limit - start) / delta);
    if (!(count < 0x1p62))
        return TGK_BAD_VALUE;
    const int64_t n = count > 0 ? (int64_t)count : 0;
    tgk_status status = tgk_shape(&a->out[0], 1, &n);
    for (int64_t i = 0; status == TGK_OK && i < n; i++) {
        const double x = start + (double)i * delta;
        if (a->out[0].type == TGK_F64)
            ((double *)a->out[0].at)[i] = x;
        else
            ((float *)a->out[0].at)[i] = (float)x;
    }
    return status;
}

/* --- EyeLike, OneHot ---------------------------------------------------------------------------------------------- */

/* The number 1 of a type; its size is that of tgk_bytes_of. */
static void one_of(tgk_type type, char *to)
{
    const float f32 = 1;
    const double f64 = 1;
    const uint64_t u64 = 1;
    const uint32_t u32 = 1;
    const uint16_t u16 = type == TGK_F16 ? 0x3c00 : type == TGK_BF16 ? 0x3f80 : 1;
    const uint8_t u8 = 1;
    switch (type) {
    case TGK_F32: memcpy(to, &f32, sizeof f32); break;
    case TGK_F64: memcpy(to, &f64, sizeof f64); break;
    case TGK_I64: case TGK_U64: memcpy(to, &u64, sizeof u64); break;
    case TGK_I32: case TGK_U32: memcpy(to, &u32, sizeof u32); break;
    case TGK_F16: case TGK_BF16: case TGK_I16: case TGK_U16: memcpy(to, &u16, sizeof u16); break;
    default: memcpy(to, &u8, sizeof u8); break;
    }
}

tgk_status tgk_EyeLike(const tgk_ctx *c, tgk_EyeLike_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    char one[8];
    if (x->rank != 2)
        return TGK_BAD_SIZE;
    tgk_status status = tgk_shape(&a->out[0], 2, x->dim);
    if (status != TGK_OK || tgk_elements(x) == 0)
        return status;
    const size_t size = tgk_bytes_of(a->out[0].type);
    const int64_t rows = x->dim[0], columns = x->dim[1], k = tgk_clamp(a->k, -rows, columns);
    one_of(a->out[0].type, one);
    memset(a->out[0].at, 0, (size_t)(rows * columns) * size);
    for (int64_t row = k < 0 ? -k : 0; row < rows && row + k < columns; row++)
        memcpy((char *)a->out[0].at + (size_t)(row * columns + row + k) * size, one, size);
    return TGK_OK;
}

tgk_status tgk_OneHot(const tgk_ctx *c, tgk_OneHot_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *values = &a->in[2];
    int64_t dim[TGK_RANK + 1];
    int32_t axis;
    if (x->rank >= TGK_RANK || tgk_elements(&a->in[1]) != 1 || tgk_elements(values) != 2)
        return TGK_BAD_SIZE;
    const int64_t depth = *(const int64_t *)a->in[1].at;
    if (!tgk_axis(a->axis, x->rank + 1, &axis))
        return TGK_BAD_INDEX;
    for (int32_t i = 0; i <= x->rank; i++)
        dim[i] = i < axis ? x->dim[i] : i == axis ? depth : x->dim[i - 1];
    tgk_status status = tgk_shape(&a->out[0], x->rank + 1, dim);
    if (status != TGK_OK || tgk_elements(&a->out[0]) == 0)
        return status;
    const size_t size = tgk_bytes_of(values->type);
    const int64_t inner = tgk_count(x->dim, axis, x->rank), n = tgk_elements(x);
    const char *on = (const char *)values->at + size;
    tgk_fill(a->out[0].at, values->at, size, tgk_elements(&a->out[0]));
    for (int64_t i = 0; i < n; i++) { /* an index outside has no place, and no element is hot */
        int64_t hot;
        if (tgk_index(((const int64_t *)x->at)[i], depth, &hot))
            tgk_put((char *)a->out[0].at + (size_t)((i / inner * depth + hot) * inner + i % inner) * size, on, size);
    }
    return TGK_OK;
}
