/* DeformConv and Col2Im.
 *
 * Every place of every tap of a deformable convolution has its own, fractional, source: it is interpolated once per
 * input channel, for PIECE places at a time, then goes to all output channels. Tasks: images x pieces; planes for
 * Col2Im.
 */
#include "op_deform.h"

#include <math.h>

#include "op_window.h"

enum { PIECE = 256 };

typedef struct {
    tgk_window w;
    const void *x, *weight, *offset, *bias, *mask; /* bias, mask: or NULL */
    void *y;
    int64_t groups, in, out, offset_groups, per_offset, pieces; /* channels per group; channels that share offsets */
} Deform;

#define NUM float
#define G(name) name##_f32
#include "op_deform.inc"
#undef NUM
#undef G
#define NUM double
#define G(name) name##_f64
#include "op_deform.inc"

/* a is [images, rows, grid]. */
static int is_per_tap(const tgk_array *a, int64_t images, int64_t rows, const tgk_window *w)
{
    int64_t dim[TGK_RANK] = {images, rows};
    memcpy(dim + 2, w->small, (size_t)w->n * sizeof *dim);
    return tgk_has_shape(a, w->n + 2, dim);
}

static tgk_status check_operands(const tgk_DeformConv_args *a)
{
    const tgk_array *x = &a->in[0], *weight = &a->in[1], *bias = &a->in[3];
    if (x->rank < 3 || weight->rank != x->rank)
        return TGK_BAD_SIZE;
    if (a->group < 1 || x->dim[1] % a->group != 0 || weight->dim[0] % a->group != 0 || a->offset_group < 1
        || x->dim[1] % a->offset_group != 0)
        return TGK_BAD_VALUE;
    for (int i = 1; i < 5; i++)
        if (a->in[i].at && a->in[i].type != x->type)
            return TGK_BAD_VALUE;
    if (weight->dim[1] != x->dim[1] / a->group || (bias->at && (bias->rank != 1 || bias->dim[0] != weight->dim[0])))
        return TGK_BAD_SIZE;
    return TGK_OK;
}

tgk_status tgk_DeformConv(const tgk_ctx *c, tgk_DeformConv_args *a)
{
    const tgk_array *x = &a->in[0], *weight = &a->in[1];
    const tgk_window_attrs attrs = {NULL, a->strides, a->dilations, a->pads, a->n_strides, a->n_dilations, a->n_pads};
    Deform v = {.x = x->at, .weight = weight->at, .offset = a->in[2].at, .bias = a->in[3].at, .mask = a->in[4].at,
                .y = a->out[0].at, .groups = a->group, .offset_groups = a->offset_group};
    tgk_status s = check_operands(a);
    s = s ? s : tgk_window_read(&v.w, x->rank - 2, weight->dim + 2, &attrs);
    s = s ? s : tgk_window_shrink(&v.w, x->dim + 2, NULL, 0);
    if (s)
        return s;
    if (!is_per_tap(&a->in[2], x->dim[0], a->offset_group * v.w.taps * v.w.n, &v.w)
        || (v.mask && !is_per_tap(&a->in[4], x->dim[0], a->offset_group * v.w.taps, &v.w)))
        return TGK_BAD_SIZE;
    int64_t dim[TGK_RANK] = {x->dim[0], weight->dim[0]};
    memcpy(dim + 2, v.w.small, (size_t)v.w.n * sizeof *dim);
    s = tgk_give(&a->out[0], x->rank, dim);
    if (s)
        return s;
    v.in = weight->dim[1];
    v.out = weight->dim[0] / a->group;
    v.per_offset = x->dim[1] / a->offset_group;
    v.pieces = (v.w.smalls + PIECE - 1) / PIECE;
    tgk_for(c, x->type == TGK_F64 ? deform_piece_f64 : deform_piece_f32, &v, x->dim[0] * v.pieces);
    return TGK_OK;
}

tgk_status tgk_Col2Im(const tgk_ctx *c, tgk_Col2Im_args *a)
{
    const tgk_array *x = &a->in[0], *image = &a->in[1], *block = &a->in[2];
    const tgk_window_attrs attrs = {NULL, a->strides, a->dilations, a->pads, a->n_strides, a->n_dilations, a->n_pads};
    Deform v = {.x = x->at, .y = a->out[0].at};
    if (image->rank > 1 || block->rank > 1 || tgk_total(image) != tgk_total(block)
        || tgk_total(image) > TGK_RANK - 2)
        return TGK_BAD_SIZE;
    tgk_status s = tgk_window_read(&v.w, (int32_t)tgk_total(image), block->at, &attrs);
    s = s ? s : tgk_window_shrink(&v.w, image->at, NULL, 0);
    if (s)
        return s;
    if (x->rank != 3 || x->dim[2] != v.w.smalls || x->dim[1] % v.w.taps != 0)
        return TGK_BAD_SIZE;
    int64_t dim[TGK_RANK] = {x->dim[0], x->dim[1] / v.w.taps};
    memcpy(dim + 2, v.w.big, (size_t)v.w.n * sizeof *dim);
    s = tgk_give(&a->out[0], v.w.n + 2, dim);
    if (s == TGK_OK)
        tgk_for(c, x->type == TGK_F64 ? col2_im_plane_f64 : col2_im_plane_f32, &v, dim[0] * dim[1]);
    return s;
}
