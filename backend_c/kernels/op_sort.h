/* What needs an order: TopK, Unique. Any real or integer type. */
#ifndef TGK_OP_SORT_H
#define TGK_OP_SORT_H

#include "tgk.h"

typedef struct {
    tgk_array in[2], out[2];
    int64_t axis, largest, sorted;
} tgk_TopK_args;

typedef struct {
    tgk_array in[1], out[4]; /* out[0] needs room for as many elements as the operand has */
    int64_t axis, sorted;    /* axis: may be TGK_ABSENT: the elements are compared, not slices */
} tgk_Unique_args;

tgk_status tgk_TopK(const tgk_ctx *c, tgk_TopK_args *a);
tgk_status tgk_Unique(const tgk_ctx *c, tgk_Unique_args *a);

#endif
