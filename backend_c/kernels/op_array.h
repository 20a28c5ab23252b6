/* What generic operator kernels ask of arrays: sizes, axes, shapes, the way through an index space.
 *
 * For the sources of kernels only (a header op_<topic>.h does not include it). Sizes and indices may come from data, so
 * whatever multiplies or adds them is checked: a shape that does not fit gives TGK_BAD_SIZE, never an overflow. */
#ifndef TGK_OP_ARRAY_H
#define TGK_OP_ARRAY_H

#include <stdbool.h>
#include <string.h>

#include "tgk.h"

/* Bytes of an element. Complex types have ONNX's numbers too: 14 and 15. */
static inline size_t tgk_bytes_of(tgk_type type)
{
    switch ((int)type) {
    case TGK_F64: case TGK_I64: case TGK_U64: case 14: return 8;
    case TGK_F32: case TGK_I32: case TGK_U32: return 4;
    case TGK_F16: case TGK_BF16: case TGK_I16: case TGK_U16: return 2;
    case 15: return 16;
    default: return 1;
    }
}

/* Product of dim[from .. to): of an array that exists, so it fits. */
static inline int64_t tgk_count(const int64_t *dim, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++)
        n *= dim[i];
    return n;
}

static inline int64_t tgk_elements(const tgk_array *a) { return tgk_count(a->dim, 0, a->rank); }

/* Row-major strides, in elements. */
static inline void tgk_strides(int32_t rank, const int64_t *dim, int64_t *stride)
{
    int64_t step = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= dim[i];
    }
}

/* Brings `axis` from [-rank, rank) to [0, rank). */
static inline bool tgk_axis(int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -rank || axis >= rank)
        return false;
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

/* Brings `index` from [-n, n) to [0, n). */
static inline bool tgk_index(int64_t index, int64_t n, int64_t *out)
{
    if (index < -n || index >= n)
        return false;
    *out = index < 0 ? index + n : index;
    return true;
}

static inline int64_t tgk_clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* x * y of numbers >= 0; false: it does not fit. */
static inline bool tgk_times(int64_t x, int64_t y, int64_t *out)
{
    if (y != 0 && x > INT64_MAX / y)
        return false;
    *out = x * y;
    return true;
}

/* Gives a result its shape. Sizes that were planned must be these; sizes that were not (-1) must have room. */
static inline tgk_status tgk_shape(tgk_array *out, int32_t rank, const int64_t *dim)
{
    bool planned = true;
    int64_t n = 1;
    if (!out->at) /* nobody wants it */
        return TGK_OK;
    if (rank != out->rank)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < rank; i++) {
        if (dim[i] < 0 || (out->dim[i] >= 0 && out->dim[i] != dim[i]))
            return TGK_BAD_SIZE;
        planned = planned && out->dim[i] >= 0;
    }
    for (int32_t i = 0; !planned && i < rank; i++)
        if (!tgk_times(n, dim[i], &n))
            return TGK_BAD_SIZE;
    if (!planned && n > out->room)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < rank; i++)
        out->dim[i] = dim[i];
    return TGK_OK;
}

/* The next index in row-major order; moves `offset` by `stride` (both may be NULL). False after the last one. */
static inline bool tgk_next(int32_t rank, const int64_t *dim, int64_t *index, int64_t *offset, const int64_t *stride)
{
    for (int32_t i = rank - 1; i >= 0; i--) {
        if (offset)
            *offset += stride[i];
        if (++index[i] < dim[i])
            return true;
        if (offset)
            *offset -= stride[i] * dim[i];
        index[i] = 0;
    }
    return false;
}

/* A list of integers: operand `a`, or nothing. */
static inline const int64_t *tgk_ints(const tgk_array *a, int64_t *n)
{
    *n = a->at ? tgk_elements(a) : 0;
    return (const int64_t *)a->at;
}

/* Copies few bytes, mostly one element: its sizes are constants to the compiler. */
static inline void tgk_put(void *to, const void *from, size_t bytes)
{
    switch (bytes) {
    case 1: memcpy(to, from, 1); break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, bytes); break;
    }
}

/* n copies of one element. */
static inline void tgk_fill(void *to, const void *element, size_t size, int64_t n)
{
    char *at = (char *)to;
    for (int64_t i = 0; i < n; i++, at += size)
        tgk_put(at, element, size);
}

#endif
