/* Pooling over regions of interest. */
#ifndef TGK_OP_REGION_H
#define TGK_OP_REGION_H

#include "tgk.h"

typedef struct {
    tgk_array in[2]; /* x [N, C, H, W]; regions [n, 5]: image, x0, y0, x1, y1 */
    tgk_array out[1];
    const int64_t *pooled_shape;
    int64_t n_pooled_shape;
    double spatial_scale;
} tgk_MaxRoiPool_args;

typedef struct {
    tgk_array in[3]; /* x [N, C, H, W]; regions [n, 4]: x0, y0, x1, y1; image of each */
    tgk_array out[1];
    const char *coordinate_transformation_mode, *mode;
    int64_t output_height, output_width, sampling_ratio;
    double spatial_scale;
} tgk_RoiAlign_args;

tgk_status tgk_MaxRoiPool(const tgk_ctx *c, tgk_MaxRoiPool_args *a);
tgk_status tgk_RoiAlign(const tgk_ctx *c, tgk_RoiAlign_args *a);

#endif
