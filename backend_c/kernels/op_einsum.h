/* Einsum: any equation. f32, f64, i64. */
#ifndef TGK_OP_EINSUM_H
#define TGK_OP_EINSUM_H

#include "tgk.h"

typedef struct {
    const tgk_array *in;
    int64_t n_in;
    tgk_array out[1];
    const char *equation;
} tgk_Einsum_args;

tgk_status tgk_Einsum(const tgk_ctx *c, tgk_Einsum_args *a);

#endif
