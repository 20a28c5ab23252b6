/* What gathers and scatters share: the places that indices name. For the sources of kernels only. */
#ifndef TGK_OP_TUPLE_H
#define TGK_OP_TUPLE_H

#include "op_array.h"

/* --- elements: indices of the rank of x, each replacing one coordinate of its own place --------------------------- */

typedef struct {
    int64_t index[TGK_RANK], offset, stride[TGK_RANK];
    int64_t step, n; /* of x along the axis */
} tgk_places;

/* The indices must lie within x, except along the axis. */
static inline tgk_status tgk_places_begin(tgk_places *p, const tgk_array *x, const tgk_array *at, int64_t axis)
{
    int32_t own;
    if (!tgk_axis(axis, x->rank, &own))
        return TGK_BAD_INDEX;
    if (at->rank != x->rank)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < x->rank; i++) {
        if (i != own && at->dim[i] > x->dim[i])
            return TGK_BAD_SIZE;
        p->index[i] = 0;
    }
    tgk_strides(x->rank, x->dim, p->stride);
    p->offset = 0;
    p->n = x->dim[own];
    p->step = tgk_count(x->dim, own + 1, x->rank);
    p->stride[own] = 0;
    return TGK_OK;
}

/* --- tuples: the last axis of the indices holds coordinates; a tuple names a block of x --------------------------- */

typedef struct {
    int32_t batch, depth; /* batch axes; coordinates in a tuple */
    int64_t tuples, per_batch, block, batch_size;
    int64_t stride[TGK_RANK];
    const tgk_array *x, *at;
} tgk_tuples;

static inline tgk_status tgk_tuples_begin(tgk_tuples *t, const tgk_array *x, const tgk_array *at, int64_t batch)
{
    if (at->rank == 0 || batch < 0 || batch >= at->rank || batch + at->dim[at->rank - 1] > x->rank)
        return TGK_BAD_SIZE;
    t->batch = (int32_t)batch;
    t->depth = (int32_t)at->dim[at->rank - 1];
    for (int32_t i = 0; i < t->batch; i++)
        if (at->dim[i] != x->dim[i])
            return TGK_BAD_SIZE;
    t->x = x;
    t->at = at;
    t->tuples = tgk_count(at->dim, 0, at->rank - 1);
    t->per_batch = tgk_count(at->dim, t->batch, at->rank - 1);
    t->block = tgk_count(x->dim, t->batch + t->depth, x->rank);
    t->batch_size = tgk_count(x->dim, t->batch, x->rank);
    tgk_strides(x->rank, x->dim, t->stride);
    return TGK_OK;
}

/* The first element of the block that tuple i names. */
static inline bool tgk_tuple(const tgk_tuples *t, int64_t i, int64_t *offset)
{
    const int64_t *tuple = (const int64_t *)t->at->at + i * t->depth;
    *offset = t->per_batch ? i / t->per_batch * t->batch_size : 0;
    for (int32_t k = 0; k < t->depth; k++) {
        int64_t index;
        if (!tgk_index(tuple[k], t->x->dim[t->batch + k], &index))
            return false;
        *offset += index * t->stride[t->batch + k];
    }
    return true;
}

#endif
