/* Reductions over axes: ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd. f32, f64, i64. */
#ifndef TGK_OP_REDUCE_H
#define TGK_OP_REDUCE_H

#include "tgk.h"

typedef struct {
    tgk_array in[2], out[1];
    int64_t keepdims, noop_with_empty_axes;
} tgk_ReduceSum_args;

typedef tgk_ReduceSum_args tgk_ReduceMean_args;
typedef tgk_ReduceSum_args tgk_ReduceMax_args;
typedef tgk_ReduceSum_args tgk_ReduceMin_args;
typedef tgk_ReduceSum_args tgk_ReduceProd_args;

tgk_status tgk_ReduceSum(const tgk_ctx *c, tgk_ReduceSum_args *a);
tgk_status tgk_ReduceMean(const tgk_ctx *c, tgk_ReduceMean_args *a);
tgk_status tgk_ReduceMax(const tgk_ctx *c, tgk_ReduceMax_args *a);
tgk_status tgk_ReduceMin(const tgk_ctx *c, tgk_ReduceMin_args *a);
tgk_status tgk_ReduceProd(const tgk_ctx *c, tgk_ReduceProd_args *a);

#endif
