/* Sliding windows: the geometry that convolution and pooling share.
 *
 * A window of `kernel` taps slides over a large grid and meets one place of a small grid each time. On every axis
 *
 *     big = small * stride + tap * dilation - before
 *
 * Conv and the pools read the big grid and write the small one; ConvTranspose and Col2Im go the other way. Sizes and
 * attributes are below 2^31 before anything is computed from them, so that nothing overflows. A tgk_span is a row of
 * places along the last axis that one tap maps inside the big grid: loops over it need no test.
 */
#ifndef TGK_OP_WINDOW_H
#define TGK_OP_WINDOW_H

#include "op_result.h"

typedef struct {
    int32_t n; /* spatial axes */
    int64_t big[TGK_RANK], small[TGK_RANK], kernel[TGK_RANK], stride[TGK_RANK], dilation[TGK_RANK];
    int64_t before[TGK_RANK], after[TGK_RANK];
    int64_t bigs, smalls, taps;
} tgk_window;

/* The attributes of a window as a node gives them; lists may be empty. */
typedef struct {
    const char *auto_pad; /* NULL: NOTSET */
    const int64_t *strides, *dilations, *pads;
    int64_t n_strides, n_dilations, n_pads;
} tgk_window_attrs;

static inline int tgk_window_list(const int64_t *given, int64_t n_given, int64_t low, int64_t otherwise, int32_t n,
                                  int64_t *out)
{
    if (n_given != 0 && n_given != n)
        return 0;
    for (int32_t i = 0; i < n; i++) {
        out[i] = n_given ? given[i] : otherwise;
        if (n_given && (out[i] < low || out[i] > INT32_MAX))
            return 0;
    }
    return 1;
}

static inline tgk_status tgk_window_read(tgk_window *w, int32_t n, const int64_t *kernel, const tgk_window_attrs *a)
{
    int64_t pads[2 * TGK_RANK];
    if (n < 1 || n > TGK_RANK - 2)
        return TGK_BAD_SIZE;
    w->n = n;
    w->taps = 1;
    for (int32_t i = 0; i < n; i++) {
        if (kernel[i] < 1 || kernel[i] > INT32_MAX || w->taps > INT32_MAX / kernel[i])
            return TGK_BAD_VALUE;
        w->kernel[i] = kernel[i];
        w->taps *= kernel[i];
    }
    if (!tgk_window_list(a->strides, a->n_strides, 1, 1, n, w->stride)
        || !tgk_window_list(a->dilations, a->n_dilations, 1, 1, n, w->dilation)
        || !tgk_window_list(a->pads, a->n_pads, 0, 0, 2 * n, pads))
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < n; i++) {
        w->before[i] = pads[i];
        w->after[i] = pads[n + i];
    }
    return TGK_OK;
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

enum { TGK_PAD_GIVEN, TGK_PAD_VALID, TGK_PAD_UPPER, TGK_PAD_LOWER };

static inline int tgk_window_auto_pad(const char *word)
{
    static const char *const words[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    return !word || !*word ? TGK_PAD_GIVEN : tgk_word(word, words, 4);
}

static inline int64_t tgk_window_extent(const tgk_window *w, int32_t i)
{
    return (w->kernel[i] - 1) * w->dilation[i] + 1;
}

/* Divides `total` padding between both ends; the odd one goes to the end, or to the beginning. */
static inline void tgk_window_split(tgk_window *w, int32_t i, int64_t total, int more_after)
{
    total = total < 0 ? 0 : total;
    w->before[i] = more_after ? total / 2 : total - total / 2;
    w->after[i] = total - w->before[i];
}

static inline tgk_status tgk_window_count(tgk_window *w)
{
    w->bigs = w->smalls = 1;
    for (int32_t i = 0; i < w->n; i++)
        if (!tgk_enlarge(&w->bigs, w->big[i]) || !tgk_enlarge(&w->smalls, w->small[i]))
            return TGK_BAD_SIZE;
    return TGK_OK;
}

/* Places of the window on axis i. With ceil_mode the last one may hang over the end, but none begins in the padding. */
static inline int tgk_window_places(tgk_window *w, int32_t i, int ceil_mode)
{
    const int64_t room = w->big[i] + w->before[i] + w->after[i] - tgk_window_extent(w, i);
    if (room < 0)
        return 0;
    w->small[i] = room / w->stride[i] + 1;
    if (ceil_mode) {
        w->small[i] += room % w->stride[i] != 0;
        w->small[i] -= (w->small[i] - 1) * w->stride[i] >= w->big[i] + w->before[i];
    }
    return 1;
}

/* The small grid for the big one dim[0..n). */
static inline tgk_status tgk_window_shrink(tgk_window *w, const int64_t *dim, const char *auto_pad, int ceil_mode)
{
    const int mode = tgk_window_auto_pad(auto_pad);
    if (mode < 0)
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < w->n; i++) {
        if (dim[i] < 0 || dim[i] > INT32_MAX)
            return TGK_BAD_SIZE;
        w->big[i] = dim[i];
        if (mode == TGK_PAD_UPPER || mode == TGK_PAD_LOWER) {
            w->small[i] = (dim[i] + w->stride[i] - 1) / w->stride[i];
            tgk_window_split(w, i, (w->small[i] - 1) * w->stride[i] + tgk_window_extent(w, i) - dim[i],
                             mode == TGK_PAD_UPPER);
            continue;
        }
        if (mode == TGK_PAD_VALID)
            w->before[i] = w->after[i] = 0;
        if (!tgk_window_places(w, i, ceil_mode && mode == TGK_PAD_GIVEN))
            return TGK_BAD_SIZE;
    }
    return tgk_window_count(w);
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

/* `count` neighbours of the small grid from offset `small`, and their places in the big grid, `step` apart from
 * `big`. */
typedef struct {
    int64_t small, big, count, step;
    int64_t first[TGK_RANK], end[TGK_RANK], at[TGK_RANK], shift[TGK_RANK];
    const tgk_window *w;
} tgk_span;

static inline int64_t tgk_ceil_div(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

static inline void tgk_span_locate(tgk_span *r)
{
    const tgk_window *w = r->w;
    r->small = r->big = 0;
    for (int32_t i = 0; i < w->n; i++) {
        r->small = r->small * w->small[i] + r->at[i];
        r->big = r->big * w->big[i] + r->at[i] * w->stride[i] + r->shift[i];
    }
}

/* for (int more = tgk_span_begin(&r, w, tap); more; more = tgk_span_next(&r)) ... */
static inline int tgk_span_begin(tgk_span *r, const tgk_window *w, int64_t tap)
{
    r->w = w;
    r->small = r->big = r->count = 0;
    r->step = 1;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        r->shift[i] = tap % w->kernel[i] * w->dilation[i] - w->before[i];
        tap /= w->kernel[i];
        const int64_t end = tgk_ceil_div(w->big[i] - r->shift[i], w->stride[i]);
        r->first[i] = r->at[i] = tgk_ceil_div(-r->shift[i], w->stride[i]);
        r->end[i] = end < w->small[i] ? end : w->small[i];
    }
    for (int32_t i = 0; i < w->n; i++)
        if (r->first[i] >= r->end[i])
            return 0;
    r->count = r->end[w->n - 1] - r->first[w->n - 1];
    r->step = w->stride[w->n - 1];
    tgk_span_locate(r);
    return 1;
}

static inline int tgk_span_next(tgk_span *r)
{
    for (int32_t i = r->w->n - 2; i >= 0; i--) {
        if (++r->at[i] < r->end[i]) {
            tgk_span_locate(r);
            return 1;
        }
        r->at[i] = r->first[i];
    }
    return 0;
}

#endif
