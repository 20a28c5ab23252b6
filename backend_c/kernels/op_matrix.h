/* Matrices: MatMul of f32, f64 and i64 with any batch axes, Det of f32 and f64. */
#ifndef TGK_OP_MATRIX_H
#define TGK_OP_MATRIX_H

#include "tgk.h"

typedef struct {
    tgk_array in[2], out[1];
} tgk_MatMul_args;

typedef struct {
    tgk_array in[1], out[1];
} tgk_Det_args;

tgk_status tgk_MatMul(const tgk_ctx *c, tgk_MatMul_args *a);
tgk_status tgk_Det(const tgk_ctx *c, tgk_Det_args *a); /* up to 96 rows: it works on the stack */

#endif
