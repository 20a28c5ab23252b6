/* Writing by indices: ScatterElements, ScatterND, TensorScatter. Any element type; `reduction` needs numbers (or
 * bool). */
#ifndef TGK_OP_SCATTER_H
#define TGK_OP_SCATTER_H

#include "tgk.h"

typedef struct {
    tgk_array in[3], out[1];
    int64_t axis;
    const char *reduction;
} tgk_ScatterElements_args;

typedef struct {
    tgk_array in[3], out[1];
    const char *reduction;
} tgk_ScatterND_args;

typedef struct {
    tgk_array in[3], out[1];
    int64_t axis;
    const char *mode;
} tgk_TensorScatter_args;

tgk_status tgk_ScatterElements(const tgk_ctx *c, tgk_ScatterElements_args *a);
tgk_status tgk_ScatterND(const tgk_ctx *c, tgk_ScatterND_args *a);
/* The result may be the operand itself: then rows are written where they belong, and nothing else is touched. */
tgk_status tgk_TensorScatter(const tgk_ctx *c, tgk_TensorScatter_args *a);

#endif
