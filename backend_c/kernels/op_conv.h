/* Convolution and its transpose, in one to six spatial dimensions. */
#ifndef TGK_OP_CONV_H
#define TGK_OP_CONV_H

#include "tgk.h"

typedef struct {
    tgk_array in[3]; /* x [N, C, spatial], weight [M, C/group, kernel], bias [M] */
    tgk_array out[1];
    const char *auto_pad;
    const int64_t *dilations;
    int64_t n_dilations;
    int64_t group;
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_Conv_args;

typedef struct {
    tgk_array in[3]; /* x [N, C, spatial], weight [C, M/group, kernel], bias [M] */
    tgk_array out[1];
    const char *auto_pad;
    const int64_t *dilations;
    int64_t n_dilations;
    int64_t group;
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    const int64_t *output_padding;
    int64_t n_output_padding;
    const int64_t *output_shape;
    int64_t n_output_shape;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_ConvTranspose_args;

tgk_status tgk_Conv(const tgk_ctx *c, tgk_Conv_args *a);
tgk_status tgk_ConvTranspose(const tgk_ctx *c, tgk_ConvTranspose_args *a);

#endif
