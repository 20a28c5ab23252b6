/* Movement: Identity, Reshape, Squeeze, Unsqueeze, Transpose, Expand, Tile, Concat, Split, Slice, Trilu,
 * ReverseSequence, BitCast. Any element type. */
#ifndef TGK_OP_MOVE_H
#define TGK_OP_MOVE_H

#include "tgk.h"

typedef struct {
    tgk_array in[1], out[1];
} tgk_Identity_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t allowzero;
} tgk_Reshape_args;

typedef struct {
    tgk_array in[2], out[1];
} tgk_Squeeze_args;

typedef struct {
    tgk_array in[2], out[1];
} tgk_Unsqueeze_args;

typedef struct {
    tgk_array in[1], out[1];
    const int64_t *perm; /* none: the axes in reverse */
    int64_t n_perm;
} tgk_Transpose_args;

typedef struct {
    tgk_array in[2], out[1];
} tgk_Expand_args;

typedef struct {
    tgk_array in[2], out[1];
} tgk_Tile_args;

typedef struct {
    const tgk_array *in;
    int64_t n_in;
    tgk_array out[1];
    int64_t axis;
} tgk_Concat_args;

typedef struct {
    tgk_array in[2];
    tgk_array *out;
    int64_t n_out, axis, num_outputs;
} tgk_Split_args;

typedef struct {
    tgk_array in[5], out[1];
} tgk_Slice_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t upper;
} tgk_Trilu_args;

typedef struct {
    tgk_array in[2], out[1];
    int64_t batch_axis, time_axis;
} tgk_ReverseSequence_args;

typedef struct {
    tgk_array in[1], out[1];
    int64_t to;
} tgk_BitCast_args;

tgk_status tgk_Identity(const tgk_ctx *c, tgk_Identity_args *a);
tgk_status tgk_Reshape(const tgk_ctx *c, tgk_Reshape_args *a);
tgk_status tgk_Squeeze(const tgk_ctx *c, tgk_Squeeze_args *a);
tgk_status tgk_Unsqueeze(const tgk_ctx *c, tgk_Unsqueeze_args *a);
tgk_status tgk_Transpose(const tgk_ctx *c, tgk_Transpose_args *a);
tgk_status tgk_Expand(const tgk_ctx *c, tgk_Expand_args *a);
tgk_status tgk_Tile(const tgk_ctx *c, tgk_Tile_args *a);
tgk_status tgk_Concat(const tgk_ctx *c, tgk_Concat_args *a);
tgk_status tgk_Split(const tgk_ctx *c, tgk_Split_args *a);
tgk_status tgk_Slice(const tgk_ctx *c, tgk_Slice_args *a);
tgk_status tgk_Trilu(const tgk_ctx *c, tgk_Trilu_args *a);
tgk_status tgk_ReverseSequence(const tgk_ctx *c, tgk_ReverseSequence_args *a);
tgk_status tgk_BitCast(const tgk_ctx *c, tgk_BitCast_args *a);

#endif
