/* Along one axis: ArgMax, ArgMin, CumSum, CumProd. f32, f64, i64. */
#ifndef TGK_OP_LINE_H
#define TGK_OP_LINE_H

#include "tgk.h"

typedef struct {
    tgk_array in[1], out[1];
    int64_t axis, keepdims, select_last_index;
} tgk_ArgMax_args;

typedef tgk_ArgMax_args tgk_ArgMin_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t exclusive, reverse;
} tgk_CumSum_args;

typedef tgk_CumSum_args tgk_CumProd_args;

tgk_status tgk_ArgMax(const tgk_ctx *c, tgk_ArgMax_args *a);
tgk_status tgk_ArgMin(const tgk_ctx *c, tgk_ArgMin_args *a);
tgk_status tgk_CumSum(const tgk_ctx *c, tgk_CumSum_args *a);
tgk_status tgk_CumProd(const tgk_ctx *c, tgk_CumProd_args *a);

#endif
