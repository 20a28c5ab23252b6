/* Sampling an image at given places. */
#ifndef TGK_OP_GRID_SAMPLE_H
#define TGK_OP_GRID_SAMPLE_H

#include "tgk.h"

typedef struct {
    tgk_array in[2]; /* x [N, C, spatial], grid [N, places, axes]: coordinates in [-1, 1], the last axis first */
    tgk_array out[1];
    int64_t align_corners;
    const char *mode, *padding_mode;
} tgk_GridSample_args;

tgk_status tgk_GridSample(const tgk_ctx *c, tgk_GridSample_args *a);

#endif
