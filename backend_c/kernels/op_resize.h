/* Resize in all its modes. Any real or integer type; integers take the nearest value in their range. */
#ifndef TGK_OP_RESIZE_H
#define TGK_OP_RESIZE_H

#include "tgk.h"

typedef struct {
    tgk_array in[4], out[1]; /* X; roi, scales: f32 or f64; sizes: i64 */
    int64_t antialias;
    const int64_t *axes; /* none: all */
    int64_t n_axes;
    const char *coordinate_transformation_mode;
    double cubic_coeff_a;
    int64_t exclude_outside;
    double extrapolation_value;
    const char *keep_aspect_ratio_policy, *mode, *nearest_mode;
} tgk_Resize_args;

tgk_status tgk_Resize(const tgk_ctx *c, tgk_Resize_args *a);

#endif
