/* Sums of products over named axes: what Einsum and general MatMul are. */
#ifndef TGK_OP_CONTRACT_H
#define TGK_OP_CONTRACT_H

#include "tgk.h"

enum { TGK_AXES = 24, TGK_FACTORS = 16 };

/* y, contiguous over the first `kept` axes, is the sum over the other axes of the product of all factors. Strides in
 * elements; 0: the factor does not depend on the axis. */
typedef struct {
    int32_t factors, axes, kept;
    int64_t dim[TGK_AXES];
    const void *x[TGK_FACTORS];
    int64_t stride[TGK_FACTORS][TGK_AXES];
    void *y;
} tgk_contraction;

/* Of type f32, f64 or i64. */
void tgk_contract(const tgk_ctx *c, tgk_type type, const tgk_contraction *a);

#endif
