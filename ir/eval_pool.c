/* Pooling: MaxPool with indices, AveragePool, MaxUnpool, and the pools over regions of interest.
 *
 * The windowed ones walk rows tap by tap, as convolution does (eval_window.h). Integers are pooled as
 * reals. */
#include "eval_window.h"

#include <math.h>
#include <string.h>

static const double MOST_SAMPLES = 1 << 16; /* per bin and axis of RoiAlign: far above any detector, far below a hang */

typedef struct {
    int64_t regions, channels, height, width, out_h, out_w, sampling;
    double scale;
    bool half_pixel, max;
} RoiPool;

static double bounded(double x) { return x > -1e15 ? (x < 1e15 ? x : 1e15) : -1e15; }
static int64_t rounded(double x) { return (int64_t)bounded(round(x)); }
static int64_t rounded_down(double x) { return (int64_t)bounded(floor(x)); }
static int64_t rounded_up(double x) { return (int64_t)bounded(ceil(x)); }
static int64_t clip(int64_t x, int64_t high) { return x < 0 ? 0 : x < high ? x : high; }

/* Size of one of `bins` equal bins of the pixels [start, end]; a region has at least one pixel. */
static double bin_size(int64_t start, int64_t end, int64_t bins)
{
    return (double)(end > start ? end - start + 1 : 1) / (double)bins;
}

/* A row-major place of the big grid, counted with the first axis running fastest. */
static int64_t column_place(const EvalWindow *w, int64_t place)
{
    int64_t out = 0;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        out = out * w->big[i] + place % w->big[i];
        place /= w->big[i];
    }
    return out;
}

#define TG_TEMPLATE "eval_pool.inc"
#include "eval_num.h"

/* --- windows -------------------------------------------------------------------------------------------- */

/* Reads the window and makes output 0 (of type `dtype`). */
static bool pool_window(TgEvalCall *c, EvalWindow *w, TgDtype dtype, int64_t *dim)
{
    const TgArray *x = c->in[0];
    uint32_t n;
    const int64_t *kernel = tg_attr_ints(c->n, "kernel_shape", &n);
    if (x->rank < 3 || n != (uint32_t)x->rank - 2)
        return eval_bad_shape(c, 0, "it needs as many spatial axes as kernel_shape has");
    if (!eval_window_read(c, w, x->rank - 2, kernel)
        || !eval_window_shrink(c, w, x->dim + 2, tg_attr_int(c->n, "ceil_mode") != 0))
        return false;
    memcpy(dim, x->dim, sizeof x->dim);
    memcpy(dim + 2, w->small, (size_t)w->n * sizeof *dim);
    return eval_out(c, 0, dtype, x->rank, dim) && eval_spend(c, (double)c->out[0].count * (double)w->taps);
}

bool eval_max_pool(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    if (!eval_is_real(x))
        return eval_by_reals(c, eval_max_pool);
    EvalWindow w;
    int64_t dim[TG_EVAL_RANK];
    bool column_major = tg_attr_int(c->n, "storage_order") != 0;
    if (!pool_window(c, &w, x->dtype, dim) || !eval_out(c, 1, TG_i64, x->rank, dim))
        return false;
    return TG_BY_NUM(c, max_pool)(c, &w, x->dim[0] * x->dim[1], column_major);
}

/* How many taps of each window count: those inside the big grid, or inside its padded form. */
static void count_taps(const EvalWindow *w, bool padded, int64_t *divisor)
{
    memset(divisor, 0, (size_t)w->smalls * sizeof *divisor);
    EvalWindow grid = *w;
    for (int32_t i = 0; padded && i < w->n; i++) {
        grid.big[i] += w->before[i] + w->after[i];
        grid.before[i] = 0;
    }
    EvalRows r;
    for (int64_t tap = 0; tap < w->taps; tap++)
        for (bool more = eval_rows_begin(&r, &grid, tap); more; more = eval_rows_next(&r))
            for (int64_t i = 0; i < r.count; i++)
                divisor[r.small + i]++;
}

bool eval_average_pool(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    EvalWindow w;
    int64_t dim[TG_EVAL_RANK];
    if (!eval_holds(c, "r") || !pool_window(c, &w, x->dtype, dim))
        return false;
    int64_t *divisor = TG_NEW_N(tg_scratch(c->tg), int64_t, w.smalls);
    count_taps(&w, tg_attr_int(c->n, "count_include_pad") != 0, divisor);
    return TG_BY_NUM(c, average_pool)(c, &w, x->dim[0] * x->dim[1], divisor);
}

/* --- MaxUnpool ------------------------------------------------------------------------------------------ */

/* The shape that kernel, strides and pads undo; 0 <= size < 2^31 on each axis. */
static bool unpooled_shape(TgEvalCall *c, int64_t *dim)
{
    const TgArray *x = c->in[0];
    EvalWindow w;
    uint32_t n;
    const int64_t *kernel = tg_attr_ints(c->n, "kernel_shape", &n);
    if (x->rank < 3 || n != (uint32_t)x->rank - 2)
        return eval_bad_shape(c, 0, "it needs as many spatial axes as kernel_shape has");
    if (!eval_window_read(c, &w, x->rank - 2, kernel))
        return false;
    memcpy(dim, x->dim, sizeof x->dim);
    for (int32_t i = 0; i < w.n; i++) {
        if (x->dim[i + 2] > INT32_MAX)
            return eval_bad_value(c, "spatial size", x->dim[i + 2]);
        dim[i + 2] = (x->dim[i + 2] - 1) * w.stride[i] - w.before[i] - w.after[i] + w.kernel[i];
        if (dim[i + 2] < 0 || dim[i + 2] > INT32_MAX)
            return eval_bad_value(c, "output size", dim[i + 2]);
    }
    return true;
}

/* Where element `flat` of shape `from` lies in shape `to` (same rank); -1: outside. */
static int64_t move_place(int32_t rank, const int64_t *from, const int64_t *to, int64_t flat)
{
    int64_t place = 0, scale = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        int64_t at = flat % from[i];
        if (at >= to[i])
            return -1;
        place += at * scale;
        scale *= to[i];
        flat /= from[i];
    }
    return place;
}

/* Indices count in the shape that the attributes give; output_shape, where present, embeds that shape in a
 * larger one. */
bool eval_max_unpool(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *places = c->in[1];
    int64_t inferred[TG_EVAL_RANK], wanted[TG_EVAL_RANK];
    uint32_t n;
    if (!eval_holds(c, "rii") || !unpooled_shape(c, inferred)
        || !eval_int_list(c, 2, TG_EVAL_RANK, wanted, &n))
        return false;
    if (n != 0 && n != (uint32_t)x->rank)
        return eval_bad_shape(c, 2, "output_shape has one size per axis of the input");
    if (places->count != x->count)
        return eval_bad_shape(c, 1, "indices and input need the same shape");
    if (!eval_out(c, 0, x->dtype, x->rank, n ? wanted : inferred))
        return false;
    int64_t count = 1;
    for (int32_t i = 0; i < x->rank; i++)
        if (__builtin_mul_overflow(count, inferred[i], &count))
            return eval_bad_value(c, "output size", inferred[i]);
    for (int64_t i = 0; i < c->out[0].count; i++)
        tg_array_set_float(c->mode, &c->out[0], i, 0);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t flat = tg_array_int(places, i);
        if (flat < 0 || flat >= count)
            return eval_bad_value(c, "index", flat);
        int64_t to = move_place(x->rank, inferred, c->out[0].dim, flat);
        if (to >= 0)
            tg_array_set_float(c->mode, &c->out[0], to, eval_real(c, x, i));
    }
    return true;
}

/* --- regions of interest -------------------------------------------------------------------------------- */

/* Checks x [N, C, H, W] and rois [regions, columns], makes the output. */
static bool roi_operands(TgEvalCall *c, RoiPool *p, int64_t columns)
{
    const TgArray *x = c->in[0], *rois = c->in[1];
    if (!eval_holds(c, "rri"))
        return false;
    if (x->rank != 4 || x->dim[2] < 1 || x->dim[3] < 1)
        return eval_bad_shape(c, 0, "a feature map has four axes and at least one pixel");
    if (rois->rank != 2 || rois->dim[1] != columns)
        return eval_bad_shape(c, 1, "regions are rows of a matrix");
    if (p->out_h < 1 || p->out_w < 1)
        return eval_bad_value(c, "pooled size", p->out_h < 1 ? p->out_h : p->out_w);
    p->regions = rois->dim[0];
    p->channels = x->dim[1];
    p->height = x->dim[2];
    p->width = x->dim[3];
    p->scale = tg_attr_float(c->n, "spatial_scale");
    return eval_out(c, 0, x->dtype, 4, (int64_t[]){p->regions, p->channels, p->out_h, p->out_w});
}

bool eval_max_roi_pool(TgEvalCall *c)
{
    uint32_t n;
    const int64_t *size = tg_attr_ints(c->n, "pooled_shape", &n);
    if (n != 2)
        return eval_bad_value(c, "number of sizes in pooled_shape", n);
    RoiPool p = {.out_h = size[0], .out_w = size[1]};
    return roi_operands(c, &p, 5) && TG_BY_NUM(c, max_roi_pool)(c, &p);
}

static bool two_words(TgEvalCall *c, const char *attr, const char *no, const char *yes, bool *out)
{
    TgName given = tg_attr_string(c->tg, c->n, attr);
    *out = strcmp(given, yes) == 0;
    return *out || strcmp(given, no) == 0 || tg_report(c->tg, TG_E_eval_word, attr, given);
}

bool eval_roi_align(TgEvalCall *c)
{
    RoiPool p = {.out_h = tg_attr_int(c->n, "output_height"), .out_w = tg_attr_int(c->n, "output_width"),
                 .sampling = tg_attr_int(c->n, "sampling_ratio")};
    if (!two_words(c, "mode", "avg", "max", &p.max)
        || !two_words(c, "coordinate_transformation_mode", "output_half_pixel", "half_pixel", &p.half_pixel)
        || !roi_operands(c, &p, 4))
        return false;
    if (c->in[2]->rank != 1 || c->in[2]->dim[0] != p.regions)
        return eval_bad_shape(c, 2, "one batch index belongs to each region");
    return TG_BY_NUM(c, roi_align)(c, &p);
}
