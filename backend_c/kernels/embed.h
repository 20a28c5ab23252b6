/* Rows of an embedding table that is stored as packed weights, because a product reads it too (tied weights). */
#ifndef TGK_EMBED_H
#define TGK_EMBED_H

#include "tgk.h"

/* y[i, :] = column index[i] of the matrix [depth, cols] in w (TGK_F32, TGK_F16 or TGK_BF16); negative ones count from
 * the end. Rows of y lie y_stride elements apart. TGK_BAD_INDEX: one lies outside; y is untouched then. */
typedef struct {
    int64_t count, depth, cols;
    const int64_t *index;
    tgk_panels w;
    float *y;
    int64_t y_stride;
} tgk_embedding;

tgk_status tgk_embed(const tgk_ctx *c, const tgk_embedding *e);

#endif
