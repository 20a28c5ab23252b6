/* Relatives of convolution: deformable convolution, columns to an image. */
#ifndef TGK_OP_DEFORM_H
#define TGK_OP_DEFORM_H

#include "tgk.h"

typedef struct {
    tgk_array in[5]; /* x, weight, offset, bias, mask */
    tgk_array out[1];
    const int64_t *dilations;
    int64_t n_dilations;
    int64_t group;
    const int64_t *kernel_shape;
    int64_t n_kernel_shape;
    int64_t offset_group;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_DeformConv_args;

typedef struct {
    tgk_array in[3]; /* columns [N, C * taps, blocks], sizes of the image, sizes of a block */
    tgk_array out[1];
    const int64_t *dilations;
    int64_t n_dilations;
    const int64_t *pads;
    int64_t n_pads;
    const int64_t *strides;
    int64_t n_strides;
} tgk_Col2Im_args;

tgk_status tgk_DeformConv(const tgk_ctx *c, tgk_DeformConv_args *a);
tgk_status tgk_Col2Im(const tgk_ctx *c, tgk_Col2Im_args *a);

#endif
