/* How places of a convolution's result meet places of its operand, for Conv and ConvTranspose alike.
 *
 * On every axis, place p of a grid and tap t (counted from 0 among the taps that matter)
 *
 *     write y at   out_first + p * out_step
 *     read  x at   p * in_step + in_first + t * in_tap
 *     with tap     tap_first + t * tap_step   of the weight
 *
 * Conv is one such grid. ConvTranspose with strides s is one per residue class of the output coordinates modulo s:
 * in a class, only some taps meet elements of x, at equal distances. Every output belongs to one class, so nothing
 * is scattered.
 */
#ifndef TGK_OP_CONV_GRID_H
#define TGK_OP_CONV_GRID_H

#include "op_window.h"

typedef struct {
    int32_t n;
    int64_t places, taps;
    int64_t dim[TGK_RANK], tap_count[TGK_RANK]; /* places and taps by axis */
    int64_t x_dim[TGK_RANK], y_dim[TGK_RANK], kernel[TGK_RANK];
    int64_t out_first[TGK_RANK], out_step[TGK_RANK];
    int64_t in_first[TGK_RANK], in_step[TGK_RANK], in_tap[TGK_RANK];
    int64_t tap_first[TGK_RANK], tap_step[TGK_RANK];
} tgk_conv_grid;

static inline void tgk_conv_grid_count(tgk_conv_grid *g)
{
    g->places = g->taps = 1;
    for (int32_t i = 0; i < g->n; i++) {
        g->places *= g->dim[i];
        g->taps *= g->tap_count[i];
    }
}

static inline void tgk_conv_grid_forward(tgk_conv_grid *g, const tgk_window *w)
{
    g->n = w->n;
    for (int32_t i = 0; i < w->n; i++) {
        g->dim[i] = g->y_dim[i] = w->small[i];
        g->x_dim[i] = w->big[i];
        g->kernel[i] = g->tap_count[i] = w->kernel[i];
        g->out_first[i] = g->tap_first[i] = 0;
        g->out_step[i] = g->tap_step[i] = 1;
        g->in_first[i] = -w->before[i];
        g->in_step[i] = w->stride[i];
        g->in_tap[i] = w->dilation[i];
    }
    tgk_conv_grid_count(g);
}

/* The class of outputs o = first + p * stride on axis i. */
static inline void tgk_conv_grid_class(tgk_conv_grid *g, const tgk_window *w, int32_t i, int64_t first)
{
    const int64_t s = w->stride[i], residue = (first + w->before[i]) % s;
    int64_t gcd = s, rest = w->dilation[i], tap = 0;
    while (rest != 0) {
        const int64_t next = gcd % rest;
        gcd = rest;
        rest = next;
    }
    const int64_t step = s / gcd, end = w->kernel[i] < step ? w->kernel[i] : step;
    while (tap < end && tap * w->dilation[i] % s != residue)
        tap++;
    g->dim[i] = w->big[i] > first ? (w->big[i] - first - 1) / s + 1 : 0;
    g->tap_count[i] = tap < end ? (w->kernel[i] - tap - 1) / step + 1 : 0;
    g->out_first[i] = first;
    g->out_step[i] = s;
    g->tap_first[i] = tap;
    g->tap_step[i] = step;
    g->in_step[i] = 1;
    g->in_first[i] = tap < end ? (first + w->before[i] - tap * w->dilation[i]) / s : 0;
    g->in_tap[i] = -(step * w->dilation[i] / s);
}

static inline int64_t tgk_conv_grid_classes(const tgk_window *w, int32_t i)
{
    return w->stride[i] < w->big[i] ? w->stride[i] : w->big[i];
}

/* Class number k of the product of all axes' classes. */
static inline void tgk_conv_grid_transposed(tgk_conv_grid *g, const tgk_window *w, int64_t k)
{
    g->n = w->n;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        const int64_t classes = tgk_conv_grid_classes(w, i);
        g->x_dim[i] = w->small[i];
        g->y_dim[i] = w->big[i];
        g->kernel[i] = w->kernel[i];
        tgk_conv_grid_class(g, w, i, k % classes);
        k /= classes;
    }
    tgk_conv_grid_count(g);
}

/* A run of places along the last axis: `count` of them from number `place`, at coordinates p. */
typedef struct {
    int64_t count, y; /* y: offset of the first one in a plane of y */
    int64_t p[TGK_RANK];
} tgk_conv_run;

/* The run that begins at `place` and has at most `most` places. */
static inline void tgk_conv_grid_run(const tgk_conv_grid *g, int64_t place, int64_t most, tgk_conv_run *r)
{
    const int32_t last = g->n - 1;
    for (int32_t i = last; i >= 0; i--) {
        r->p[i] = place % g->dim[i];
        place /= g->dim[i];
    }
    r->count = g->dim[last] - r->p[last] < most ? g->dim[last] - r->p[last] : most;
    r->y = 0;
    for (int32_t i = 0; i < g->n; i++)
        r->y = r->y * g->y_dim[i] + g->out_first[i] + r->p[i] * g->out_step[i];
}

/* What of a run lies inside x under one tap: places [low, high) of it; `x`: offset that place 0 of the run has or
 * would have. */
typedef struct {
    int64_t low, high, x;
} tgk_conv_part;

/* tap[i]: number among the taps of axis i. */
static inline void tgk_conv_grid_part(const tgk_conv_grid *g, const tgk_conv_run *r, const int64_t *tap,
                                      tgk_conv_part *out)
{
    const int32_t last = g->n - 1;
    int64_t x = 0;
    out->low = out->high = out->x = 0;
    for (int32_t i = 0; i < last; i++) {
        const int64_t at = r->p[i] * g->in_step[i] + g->in_first[i] + tap[i] * g->in_tap[i];
        if (at < 0 || at >= g->x_dim[i])
            return;
        x = x * g->x_dim[i] + at;
    }
    const int64_t at = r->p[last] * g->in_step[last] + g->in_first[last] + tap[last] * g->in_tap[last];
    int64_t low = tgk_ceil_div(-at, g->in_step[last]), high = tgk_ceil_div(g->x_dim[last] - at, g->in_step[last]);
    low = low < r->count ? low : r->count;
    high = high < r->count ? high : r->count;
    out->low = low;
    out->high = high > low ? high : low;
    out->x = x * g->x_dim[last] + at;
}

/* Tap number t of the grid by axis, and its place in the weight's window. */
static inline int64_t tgk_conv_grid_tap(const tgk_conv_grid *g, int64_t t, int64_t *tap)
{
    int64_t flat = 0;
    for (int32_t i = g->n - 1; i >= 0; i--) {
        tap[i] = t % g->tap_count[i];
        t /= g->tap_count[i];
    }
    for (int32_t i = 0; i < g->n; i++)
        flat = flat * g->kernel[i] + g->tap_first[i] + tap[i] * g->tap_step[i];
    return flat;
}

#endif
