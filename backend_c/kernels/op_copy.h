/* A box of elements from one strided place to another: what most operators that only move data are. */
#ifndef TGK_OP_COPY_H
#define TGK_OP_COPY_H

#include "tgk.h"

enum { TGK_BOX_RANK = 2 * TGK_RANK };

/* Strides in elements: 0 repeats, negative ones reverse. */
typedef struct {
    int32_t rank;
    int64_t dim[TGK_BOX_RANK], from[TGK_BOX_RANK], to[TGK_BOX_RANK];
} tgk_box;

/* Elements of `size` bytes. The two places do not overlap. */
void tgk_copy_box(const tgk_ctx *c, size_t size, const void *from, void *to, const tgk_box *box);

#endif
