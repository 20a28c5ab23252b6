/* One axis of a Resize: which elements of the operand a place of the result is made of, and with what weights. For
 * op_resize.c only. */
#ifndef TGK_OP_RESIZE_AXIS_H
#define TGK_OP_RESIZE_AXIS_H

#include <stdbool.h>

#include "tgk.h"

typedef enum { TGK_RESIZE_NEAREST, TGK_RESIZE_LINEAR, TGK_RESIZE_CUBIC } tgk_resize_mode;
typedef enum {
    TGK_AT_HALF_PIXEL, TGK_AT_SYMMETRIC, TGK_AT_PYTORCH, TGK_AT_ALIGN_CORNERS, TGK_AT_ASYMMETRIC, TGK_AT_CROP
} tgk_resize_coordinates;
typedef enum { TGK_NEAR_PREFER_FLOOR, TGK_NEAR_PREFER_CEIL, TGK_NEAR_FLOOR, TGK_NEAR_CEIL } tgk_resize_near;
typedef enum { TGK_KEEP_STRETCH, TGK_KEEP_NOT_LARGER, TGK_KEEP_NOT_SMALLER } tgk_resize_keep;

typedef struct {
    tgk_resize_mode mode;
    tgk_resize_coordinates coordinates;
    tgk_resize_near near;
    tgk_resize_keep keep;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
} tgk_resize_how;

/* Filled by the caller up to `end`; tgk_resize_axis_begin does the rest. */
typedef struct {
    int64_t in, out;
    double up, down;   /* scale = up / down: kept apart, so that whole ratios of sizes stay exact */
    double start, end; /* region of interest, normalized */
    double stretch, first; /* how much wider than an element the kernel is; its start, from the floor of a place */
    int64_t taps;
} tgk_resize_axis;

/* A place of the result: its taps are the elements base, base + 1, ... (clamped), divided by `sum`. */
typedef struct {
    double x, base, sum;
    bool outside; /* takes the extrapolation value instead */
} tgk_resize_place;

void tgk_resize_axis_begin(const tgk_resize_how *r, tgk_resize_axis *a);
tgk_resize_place tgk_resize_at(const tgk_resize_how *r, const tgk_resize_axis *a, int64_t i);
/* Weight of tap k, and its element. */
double tgk_resize_weight(const tgk_resize_how *r, const tgk_resize_axis *a, const tgk_resize_place *p, int64_t k,
                         int64_t *index);

#endif
