/* NonMaxSuppression. Boxes and scores are f32. */
#ifndef TGK_OP_NMS_H
#define TGK_OP_NMS_H

#include "tgk.h"

typedef struct {
    tgk_array in[5], out[1];
    int64_t center_point_box;
} tgk_NonMaxSuppression_args;

tgk_status tgk_NonMaxSuppression(const tgk_ctx *c, tgk_NonMaxSuppression_args *a);

#endif
