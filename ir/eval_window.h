/* Sliding windows: the geometry that convolution and pooling share.
 *
 * A window of `kernel` taps slides over a large grid and gives one place of a small grid each time. On
 * every axis
 *
 *     big = small * stride + tap * dilation - before
 *
 * Conv and pooling read the big grid and write the small one; ConvTranspose and Col2Im read the small one
 * and write the big one. Either way the work is: for each tap, for each row of places that this tap maps
 * inside the big grid. That is EvalRows; what happens on a row is the kernel's. */
#ifndef TG_EVAL_WINDOW_H
#define TG_EVAL_WINDOW_H

#include "eval_kernel.h"

typedef struct {
    int32_t n; /* spatial axes, at least 1 */
    int64_t big[TG_EVAL_RANK], small[TG_EVAL_RANK], kernel[TG_EVAL_RANK];
    int64_t stride[TG_EVAL_RANK], dilation[TG_EVAL_RANK], before[TG_EVAL_RANK], after[TG_EVAL_RANK];
    int64_t bigs, smalls, taps; /* places of the grids and of the window */
} EvalWindow;

/* Reads strides, dilations and pads of the node. `kernel`: n sizes. */
bool eval_window_read(TgEvalCall *c, EvalWindow *w, int32_t n, const int64_t *kernel);
/* The small grid for the big one dim[0..n), as Conv and the pools define it: auto_pad, ceil mode. */
bool eval_window_shrink(TgEvalCall *c, EvalWindow *w, const int64_t *dim, bool ceil_mode);
/* The big grid for the small one, as ConvTranspose defines it: output_padding, output_shape, auto_pad. */
bool eval_window_grow(TgEvalCall *c, EvalWindow *w, const int64_t *dim);
/* Both grids are known: checks that the small one is what the window gives for the big one. */
bool eval_window_blocks(TgEvalCall *c, EvalWindow *w, const int64_t *big);
static inline int64_t eval_window_extent(const EvalWindow *w, int32_t i)
{
    return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

/* One row along the last axis: `count` neighbours of the small grid from offset `small`, and the places of
 * the big grid that belong to them, `step` apart from offset `big`. */
typedef struct {
    int64_t small, big, count, step;
    int64_t first[TG_EVAL_RANK], end[TG_EVAL_RANK], at[TG_EVAL_RANK], shift[TG_EVAL_RANK];
    const EvalWindow *w;
} EvalRows;

/* for (bool more = eval_rows_begin(&r, w, tap); more; more = eval_rows_next(&r)) ... */
bool eval_rows_begin(EvalRows *r, const EvalWindow *w, int64_t tap);
bool eval_rows_next(EvalRows *r);

#endif
