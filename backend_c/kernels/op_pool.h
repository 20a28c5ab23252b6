/* Pooling over windows, and its undoing. */
#ifndef TGK_OP_POOL_H
#define TGK_OP_POOL_H

#include "tgk.h"

typedef struct {
    tgk_array in[1];
    tgk_array out[1];
    const char *auto_pad;
    int64_t ceil_mode, count_include_pad;
    const int64_t *dilations;
    int64_t n_dilations;
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_AveragePool_args;

typedef struct {
    tgk_array in[1];
    tgk_array out[2]; /* values; their places in x, i64 */
    const char *auto_pad;
    int64_t ceil_mode;
    const int64_t *dilations;
    int64_t n_dilations;
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    const int64_t *pads;
    int64_t n_pads;
    int64_t storage_order;
    const int64_t *strides;
    int64_t n_strides;
} tgk_MaxPool_args;

typedef struct {
    tgk_array in[3]; /* values, their places, sizes of the result */
    tgk_array out[1];
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_MaxUnpool_args;

tgk_status tgk_AveragePool(const tgk_ctx *c, tgk_AveragePool_args *a);
tgk_status tgk_MaxPool(const tgk_ctx *c, tgk_MaxPool_args *a);
tgk_status tgk_MaxUnpool(const tgk_ctx *c, tgk_MaxUnpool_args *a);

#endif
