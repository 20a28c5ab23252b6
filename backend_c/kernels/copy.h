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

#endif
