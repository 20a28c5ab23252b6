/* What the generic operator kernels share: sizes of results, single elements whatever their type.
 *
 * A result whose sizes were planned must get exactly these; one with an unknown size (-1) gets them here, within
 * its room.
 */
#ifndef TGK_OP_RESULT_H
#define TGK_OP_RESULT_H

#include <string.h>

#include "tgk.h"

/* Product of dim[from..to) of an array that exists. */
static inline int64_t tgk_size_between(const tgk_array *a, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++)
        n *= a->dim[i];
    return n;
}

static inline int64_t tgk_total(const tgk_array *a) { return tgk_size_between(a, 0, a->rank); }

/* *product times `factor`, both at least 0; false where that exceeds int64. */
static inline int tgk_enlarge(int64_t *product, int64_t factor)
{
    if (factor < 0 || (factor > 0 && *product > INT64_MAX / factor))
        return 0;
    *product *= factor;
    return 1;
}

/* Sets the sizes of a result; one that nobody wants (at == NULL) takes any. */
static inline tgk_status tgk_give(tgk_array *a, int32_t rank, const int64_t *dim)
{
    int64_t n = 1;
    int planned = a->rank == rank;
    if (!a->at)
        return TGK_OK;
    if (rank > TGK_RANK)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < rank; i++) {
        if (!tgk_enlarge(&n, dim[i]) || (a->rank == rank && a->dim[i] >= 0 && a->dim[i] != dim[i]))
            return TGK_BAD_SIZE;
        planned = planned && a->dim[i] >= 0;
    }
    if (!planned && n > a->room)
        return TGK_BAD_SIZE;
    a->rank = rank;
    for (int32_t i = 0; i < rank; i++)
        a->dim[i] = dim[i];
    return TGK_OK;
}

static inline int tgk_has_shape(const tgk_array *a, int32_t rank, const int64_t *dim)
{
    int same = a->rank == rank;
    for (int32_t i = 0; same && i < rank; i++)
        same = a->dim[i] == dim[i];
    return same;
}

/* Element i of f32, f64, i64 or bool. */
static inline double tgk_real(const tgk_array *a, int64_t i)
{
    switch (a->type) {
    case TGK_F32: return (double)((const float *)a->at)[i];
    case TGK_F64: return ((const double *)a->at)[i];
    case TGK_BOOL: return (double)((const uint8_t *)a->at)[i];
    default: return (double)((const int64_t *)a->at)[i];
    }
}

/* x as an integer: truncated; what does not fit becomes the smallest one. */
static inline int64_t tgk_integer_of(double x)
{
    return x > -9223372036854775808.0 && x < 9223372036854775808.0 ? (int64_t)x : INT64_MIN;
}

static inline void tgk_put_real(const tgk_array *a, int64_t i, double x)
{
    switch (a->type) {
    case TGK_F32: ((float *)a->at)[i] = (float)x; break;
    case TGK_F64: ((double *)a->at)[i] = x; break;
    case TGK_BOOL: ((uint8_t *)a->at)[i] = x != 0; break;
    default: ((int64_t *)a->at)[i] = tgk_integer_of(x);
    }
}

/* The one element of an operand, or `otherwise` where it is absent; false: it has more or fewer. */
static inline int tgk_one_integer(const tgk_array *a, int64_t otherwise, int64_t *x)
{
    *x = otherwise;
    if (!a->at)
        return 1;
    if (tgk_total(a) != 1)
        return 0;
    *x = a->type == TGK_I64 ? *(const int64_t *)a->at : tgk_integer_of(tgk_real(a, 0));
    return 1;
}

/* `axis` of [-rank, rank) brought to [0, rank); false outside. */
static inline int tgk_axis_at(int64_t axis, int32_t rank, int32_t *at)
{
    if (axis < -(int64_t)rank || axis >= rank)
        return 0;
    *at = (int32_t)(axis < 0 ? axis + rank : axis);
    return 1;
}

/* Index of `word` among n, or -1. */
static inline int tgk_word(const char *word, const char *const *words, int n)
{
    for (int i = 0; word && i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

#endif
