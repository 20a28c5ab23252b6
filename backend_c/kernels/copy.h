/* Copies between strided arrays. */
#ifndef TGK_COPY_H
#define TGK_COPY_H

#include "tgk.h"

/* Element [i, j ...] of `from` to element [i, j ...] of `to`; strides in elements, 0 repeats (of `from` only).
 * Nothing happens where both are one array (same address, same strides): a cache that grows in place. Otherwise they
 * do not overlap. */
typedef struct {
    int32_t rank; /* 0 to TGK_RANK */
    int32_t size; /* bytes of an element: 1, 2, 4, 8 or 16 */
    int64_t dim[TGK_RANK], from_stride[TGK_RANK], to_stride[TGK_RANK];
    const void *from;
    void *to;
} tgk_move;

void tgk_copy(const tgk_ctx *c, const tgk_move *m);

/* A cache: the new rows of entry b go behind its first[b] rows, those are taken from past, rows behind are 0. Where
 * past is the array of the result (same address, same strides), the first ones are there, and if `shared`, the last
 * ones stay what they are. Elements of a row lie side by side. */
typedef struct {
    int64_t batch, heads, past, rows, room; /* rows in past, new ones, rows of the result */
    int64_t width;                          /* bytes of a row */
    const void *from, *fresh;               /* from NULL: there is no past, 0 rows */
    void *to;
    int64_t from_stride[3], fresh_stride[3], to_stride[3]; /* bytes: batch, head, row */
    const int64_t *first;                   /* [batch] */
    int32_t shared;                         /* 1: past and result are one buffer of fixed length */
} tgk_append_args;

/* TGK_BAD_INDEX, and nothing is written, where rows would lie outside or leave a gap behind the past. */
tgk_status tgk_append(const tgk_ctx *c, const tgk_append_args *a);

#endif
