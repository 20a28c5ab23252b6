/* Sliding windows: sizes and pads as ONNX defines them, and the walk over rows (see eval_window.h).
 *
 * Every number of a node is bounded by 2^31 before it is used, so that no sum or product below can
 * overflow. Rows are cut to the big grid once per tap: the kernels have no bounds test inside their loops. */
#include "eval_window.h"

/* --- attributes ----------------------------------------------------------------------------------------- */

/* n entries of an integer list attribute, each in [low, 2^31); `otherwise` where it is absent. */
static bool list(TgEvalCall *c, const char *name, int64_t low, int64_t otherwise, int32_t n, int64_t *out)
{
    uint32_t given;
    const int64_t *x = tg_attr_ints(c->n, name, &given);
    if (given != 0 && given != (uint32_t)n)
        return eval_bad_value(c, name, given);
    for (int32_t i = 0; i < n; i++) {
        out[i] = given ? x[i] : otherwise;
        if (given && (out[i] < low || out[i] > INT32_MAX))
            return eval_bad_value(c, name, out[i]);
    }
    return true;
}

bool eval_window_read(TgEvalCall *c, EvalWindow *w, int32_t n, const int64_t *kernel)
{
    if (n < 1 || n > TG_EVAL_RANK - 2)
        return eval_bad_shape(c, 0, "no spatial axis");
    w->n = n;
    w->taps = 1;
    for (int32_t i = 0; i < n; i++) {
        if (kernel[i] < 1 || kernel[i] > INT32_MAX || w->taps > INT32_MAX / kernel[i])
            return eval_bad_value(c, "kernel_shape", kernel[i]);
        w->kernel[i] = kernel[i];
        w->taps *= kernel[i];
    }
    int64_t pads[2 * TG_EVAL_RANK];
    if (!list(c, "strides", 1, 1, n, w->stride) || !list(c, "dilations", 1, 1, n, w->dilation)
        || !list(c, "pads", 0, 0, 2 * n, pads))
        return false;
    for (int32_t i = 0; i < n; i++) {
        w->before[i] = pads[i];
        w->after[i] = pads[n + i];
    }
    return true;
}

/* --- sizes ---------------------------------------------------------------------------------------------- */

typedef enum { PAD_GIVEN, PAD_VALID, PAD_UPPER, PAD_LOWER } AutoPad;

static bool auto_pad(TgEvalCall *c, AutoPad *mode)
{
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    TgName given = tg_attr_string(c->tg, c->n, "auto_pad");
    for (int i = 0; i < 4; i++)
        if (given == tg_name(c->tg, names[i])) {
            *mode = (AutoPad)i;
            return true;
        }
    if (*given == '\0') {
        *mode = PAD_GIVEN;
        return true;
    }
    return tg_report(c->tg, TG_E_eval_word, "auto_pad", given);
}

/* Divides `total` padding between both ends; the odd one goes to the end, or to the beginning. */
static void split_pad(EvalWindow *w, int32_t i, int64_t total, bool more_after)
{
    total = total < 0 ? 0 : total;
    w->before[i] = more_after ? total / 2 : total - total / 2;
    w->after[i] = total - w->before[i];
}

static bool count_places(TgEvalCall *c, EvalWindow *w)
{
    w->bigs = w->smalls = 1;
    for (int32_t i = 0; i < w->n; i++)
        if (__builtin_mul_overflow(w->bigs, w->big[i], &w->bigs)
            || __builtin_mul_overflow(w->smalls, w->small[i], &w->smalls))
            return tg_report(c->tg, TG_E_too_big, (size_t)w->big[i], (size_t)w->small[i]);
    return true;
}

/* Sizes below 2^31 only: see the top of this file. */
static bool bounded(TgEvalCall *c, const EvalWindow *w, const int64_t *dim)
{
    for (int32_t i = 0; i < w->n; i++)
        if (dim[i] < 0 || dim[i] > INT32_MAX)
            return eval_bad_value(c, "spatial size", dim[i]);
    return true;
}

/* Places of the window on axis i of the padded big grid. With `ceil_mode` the last one may hang over the
 * end, but none begins in the padding behind the grid. */
static bool places(TgEvalCall *c, EvalWindow *w, int32_t i, bool ceil_mode)
{
    int64_t room = w->big[i] + w->before[i] + w->after[i] - eval_window_extent(w, i);
    if (room < 0)
        return eval_bad_shape(c, 0, "the window is larger than the padded input");
    w->small[i] = room / w->stride[i] + 1;
    if (ceil_mode) {
        w->small[i] += room % w->stride[i] != 0;
        w->small[i] -= (w->small[i] - 1) * w->stride[i] >= w->big[i] + w->before[i];
    }
    return true;
}

bool eval_window_shrink(TgEvalCall *c, EvalWindow *w, const int64_t *dim, bool ceil_mode)
{
    AutoPad mode = PAD_GIVEN;
    if (!auto_pad(c, &mode) || !bounded(c, w, dim))
        return false;
    for (int32_t i = 0; i < w->n; i++) {
        w->big[i] = dim[i];
        if (mode == PAD_UPPER || mode == PAD_LOWER) {
            w->small[i] = (dim[i] + w->stride[i] - 1) / w->stride[i];
            split_pad(w, i, (w->small[i] - 1) * w->stride[i] + eval_window_extent(w, i) - dim[i],
                      mode == PAD_UPPER);
            continue;
        }
        if (mode == PAD_VALID)
            w->before[i] = w->after[i] = 0;
        if (!places(c, w, i, ceil_mode && mode == PAD_GIVEN))
            return false;
    }
    return count_places(c, w);
}

bool eval_window_grow(TgEvalCall *c, EvalWindow *w, const int64_t *dim)
{
    AutoPad mode = PAD_GIVEN;
    int64_t extra[TG_EVAL_RANK], wanted[TG_EVAL_RANK];
    if (!auto_pad(c, &mode) || !bounded(c, w, dim) || !list(c, "output_padding", 0, 0, w->n, extra)
        || !list(c, "output_shape", 0, -1, w->n, wanted))
        return false;
    for (int32_t i = 0; i < w->n; i++) {
        w->small[i] = dim[i];
        int64_t full = w->stride[i] * (dim[i] - 1) + extra[i] + eval_window_extent(w, i);
        if (wanted[i] < 0 && (mode == PAD_UPPER || mode == PAD_LOWER))
            wanted[i] = dim[i] * w->stride[i];
        if (wanted[i] >= 0) {
            split_pad(w, i, full - wanted[i], mode == PAD_UPPER);
            w->big[i] = wanted[i];
            continue;
        }
        w->big[i] = full - w->before[i] - w->after[i];
        if (dim[i] == 0 || w->big[i] < 0)
            return eval_bad_shape(c, 0, "the pads are larger than the output");
    }
    return count_places(c, w);
}

bool eval_window_blocks(TgEvalCall *c, EvalWindow *w, const int64_t *big)
{
    if (!bounded(c, w, big))
        return false;
    for (int32_t i = 0; i < w->n; i++) {
        w->big[i] = big[i];
        if (!places(c, w, i, false))
            return false;
    }
    return count_places(c, w);
}

/* --- the walk ------------------------------------------------------------------------------------------- */

static int64_t ceil_div(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : 0; }

static void locate(EvalRows *r)
{
    const EvalWindow *w = r->w;
    r->small = r->big = 0;
    for (int32_t i = 0; i < w->n; i++) {
        r->small = r->small * w->small[i] + r->at[i];
        r->big = r->big * w->big[i] + r->at[i] * w->stride[i] + r->shift[i];
    }
}

bool eval_rows_begin(EvalRows *r, const EvalWindow *w, int64_t tap)
{
    r->w = w;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        r->shift[i] = tap % w->kernel[i] * w->dilation[i] - w->before[i];
        tap /= w->kernel[i];
        int64_t end = ceil_div(w->big[i] - r->shift[i], w->stride[i]);
        r->first[i] = r->at[i] = ceil_div(-r->shift[i], w->stride[i]);
        r->end[i] = end < w->small[i] ? end : w->small[i];
    }
    for (int32_t i = 0; i < w->n; i++)
        if (r->first[i] >= r->end[i])
            return false;
    int32_t last = w->n - 1;
    r->count = r->end[last] - r->first[last];
    r->step = w->stride[last];
    locate(r);
    return true;
}

bool eval_rows_next(EvalRows *r)
{
    for (int32_t i = r->w->n - 2; i >= 0; i--) {
        if (++r->at[i] < r->end[i]) {
            locate(r);
            return true;
        }
        r->at[i] = r->first[i];
    }
    return false;
}
