/* Convolution: Conv, ConvTranspose, DeformConv, Col2Im, in any number of spatial dimensions.
 *
 * One tap of the window at a time, along whole rows: y[row] += weight * x[row]. No column matrix is built,
 * memory stays that of the operands, and every output is summed in the same order whatever the number of
 * threads. */
#include "eval_window.h"

#include <math.h>

#define TG_FIELD_TOO
#define TG_TEMPLATE "eval_conv.inc"
#include "eval_num.h"

#define TG_TEMPLATE "eval_deform.inc"
#include "eval_num.h"

/* x [N, C, spatial], weight of the same rank, an optional bias [channels]; groups divide both channel
 * counts. */
static bool operands(TgEvalCall *c, uint32_t bias_slot, int64_t in_channels, int64_t out_channels,
                     int64_t groups)
{
    const TgArray *x = c->in[0], *weight = c->in[1], *bias = eval_in(c, bias_slot);
    if (!eval_holds(c, "rrrrr"))
        return false;
    if (x->rank < 3 || weight->rank != x->rank)
        return eval_bad_shape(c, 1, "input and weight need the same rank, at least 3");
    if (groups < 1 || in_channels % groups != 0 || out_channels % groups != 0)
        return eval_bad_value(c, "group", groups);
    if (bias && (bias->rank != 1 || bias->dim[0] != out_channels))
        return eval_bad_shape(c, bias_slot, "a bias has one element per output channel");
    return true;
}

/* Every weight meets every place of the small grid in every image. */
static bool spend(TgEvalCall *c, const EvalWindow *w)
{
    return eval_spend(c, 2.0 * (double)c->in[0]->dim[0] * (double)c->in[1]->count * (double)w->smalls);
}

/* Output [images, channels, grid]. */
static bool out_grid(TgEvalCall *c, int64_t images, int64_t channels, int32_t n, const int64_t *grid)
{
    int64_t dim[TG_EVAL_RANK] = {images, channels};
    for (int32_t i = 0; i < n; i++)
        dim[i + 2] = grid[i];
    return eval_out(c, 0, c->in[0]->dtype, n + 2, dim);
}

bool eval_conv(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *weight = c->in[1];
    int64_t groups = tg_attr_int(c->n, "group");
    EvalWindow w;
    if (!operands(c, 2, x->dim[1], weight->dim[0], groups))
        return false;
    if (weight->dim[1] != x->dim[1] / groups)
        return eval_bad_shape(c, 1, "its second size is that of a group of input channels");
    return eval_window_read(c, &w, x->rank - 2, weight->dim + 2)
        && eval_window_shrink(c, &w, x->dim + 2, false)
        && spend(c, &w) && out_grid(c, x->dim[0], weight->dim[0], w.n, w.small)
        && TG_BY_ANY_NUM(c, conv)(c, &w, groups);
}

bool eval_conv_transpose(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *weight = c->in[1];
    int64_t groups = tg_attr_int(c->n, "group"), channels;
    EvalWindow w;
    if (weight->rank < 2 || __builtin_mul_overflow(weight->dim[1], groups, &channels))
        return eval_bad_value(c, "group", groups);
    if (!operands(c, 2, x->dim[1], channels, groups))
        return false;
    if (weight->dim[0] != x->dim[1])
        return eval_bad_shape(c, 1, "its first size is the number of input channels");
    return eval_window_read(c, &w, x->rank - 2, weight->dim + 2) && eval_window_grow(c, &w, x->dim + 2)
        && spend(c, &w) && out_grid(c, x->dim[0], channels, w.n, w.big)
        && TG_BY_ANY_NUM(c, conv_transpose)(c, &w, groups);
}

bool eval_col2_im(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t image[TG_EVAL_RANK], block[TG_EVAL_RANK];
    uint32_t n, n_block;
    EvalWindow w;
    if (!eval_holds(c, "rii") || !eval_int_list(c, 1, TG_EVAL_RANK - 2, image, &n)
        || !eval_int_list(c, 2, TG_EVAL_RANK - 2, block, &n_block))
        return false;
    if (n != n_block)
        return eval_bad_shape(c, 2, "image and block need the same number of axes");
    if (!eval_window_read(c, &w, (int32_t)n, block) || !eval_window_blocks(c, &w, image))
        return false;
    if (x->rank != 3 || x->dim[2] != w.smalls || x->dim[1] % w.taps != 0)
        return eval_bad_shape(c, 0, "it is not made of blocks of this shape");
    int64_t channels = x->dim[1] / w.taps;
    return out_grid(c, x->dim[0], channels, w.n, w.big) && TG_BY_ANY_NUM(c, col2_im)(c, &w, x->dim[0] * channels);
}

/* `slot` has shape [images, rows, grid]. */
static bool is_per_tap(TgEvalCall *c, uint32_t slot, int64_t rows, const EvalWindow *w)
{
    const TgArray *a = c->in[slot];
    bool fits = a->rank == w->n + 2 && a->dim[0] == c->in[0]->dim[0] && a->dim[1] == rows;
    for (int32_t i = 0; fits && i < w->n; i++)
        fits = a->dim[i + 2] == w->small[i];
    return fits || eval_bad_shape(c, slot, "it does not follow from groups, window and output size");
}

bool eval_deform_conv(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *weight = c->in[1];
    int64_t groups = tg_attr_int(c->n, "group"), offset_groups = tg_attr_int(c->n, "offset_group");
    EvalWindow w;
    if (!operands(c, 3, x->dim[1], weight->dim[0], groups))
        return false;
    if (weight->dim[1] != x->dim[1] / groups)
        return eval_bad_shape(c, 1, "its second size is that of a group of input channels");
    if (offset_groups < 1 || x->dim[1] % offset_groups != 0)
        return eval_bad_value(c, "offset_group", offset_groups);
    if (!eval_window_read(c, &w, x->rank - 2, weight->dim + 2)
        || !eval_window_shrink(c, &w, x->dim + 2, false)
        || !is_per_tap(c, 2, offset_groups * w.taps * w.n, &w)
        || (eval_in(c, 4) && !is_per_tap(c, 4, offset_groups * w.taps, &w)))
        return false;
    return spend(c, &w) && out_grid(c, x->dim[0], weight->dim[0], w.n, w.small)
        && TG_BY_NUM(c, deform_conv)(c, &w, groups, offset_groups);
}
