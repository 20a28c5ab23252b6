/* Reading by indices and by conditions: Gather, GatherElements, GatherND, Compress, NonZero. Any element type;
 * indices are i64, conditions bool. */
#ifndef TGK_OP_INDEX_H
#define TGK_OP_INDEX_H

#include "tgk.h"

typedef struct {
    tgk_array in[2], out[1];
    int64_t axis;
} tgk_Gather_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t axis;
} tgk_GatherElements_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t batch_dims;
} tgk_GatherND_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t axis; /* may be TGK_ABSENT: the operand is one row */
} tgk_Compress_args;

typedef struct {
    tgk_array in[1], out[1];
} tgk_NonZero_args;

tgk_status tgk_Gather(const tgk_ctx *c, tgk_Gather_args *a);
tgk_status tgk_GatherElements(const tgk_ctx *c, tgk_GatherElements_args *a);
tgk_status tgk_GatherND(const tgk_ctx *c, tgk_GatherND_args *a);
tgk_status tgk_Compress(const tgk_ctx *c, tgk_Compress_args *a);
tgk_status tgk_NonZero(const tgk_ctx *c, tgk_NonZero_args *a);

#endif
