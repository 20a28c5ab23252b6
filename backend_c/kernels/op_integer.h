/* MatMulInteger: exact products of 8-bit integers. Operands u8 or i8 as they lie (letter q), result i32. */
#ifndef TGK_OP_INTEGER_H
#define TGK_OP_INTEGER_H

#include "tgk.h"

typedef struct {
    /* a [..., M, K]; b [..., K, N]; zero point of a: one or [M] or [..., M, 1]; of b: one or [N] or [..., 1, N] */
    tgk_array in[4];
    tgk_array out[1];
} tgk_MatMulInteger_args;

tgk_status tgk_MatMulInteger(const tgk_ctx *c, tgk_MatMulInteger_args *a);

#endif
