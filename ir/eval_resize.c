/* Resize: every axis by itself.
 *
 * Interpolation is separable, so the work is one pass per resized axis: [outer, in, inner] -> [outer, out,
 * inner], each output row a weighted sum of input rows. The weights of an axis are a table that depends on
 * sizes only. They are computed in double, whatever the number type: they are geometry, not data. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>

typedef enum { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC } Mode;
typedef enum {
    AT_HALF_PIXEL,
    AT_SYMMETRIC,
    AT_PYTORCH,
    AT_ALIGN_CORNERS,
    AT_ASYMMETRIC,
    AT_CROP
} Coordinates;
typedef enum { NEAR_PREFER_FLOOR, NEAR_PREFER_CEIL, NEAR_FLOOR, NEAR_CEIL } Near;
typedef enum { KEEP_STRETCH, KEEP_NOT_LARGER, KEEP_NOT_SMALLER } Keep;

static const char *const MODES[] = {"nearest", "linear", "cubic", NULL};
static const char *const COORDINATES[] = {
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize", NULL,
};
static const char *const NEARS[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
static const char *const KEEPS[] = {"stretch", "not_larger", "not_smaller", NULL};

typedef struct {
    Mode mode;
    Coordinates coordinates;
    Near near;
    Keep keep;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
} Resize;

typedef struct {
    int64_t in, out;
    double up, down;   /* scale = up / down: kept apart, so that whole ratios of sizes stay exact */
    double start, end; /* region of interest, normalized */
} Axis;

/* The weights of one axis: output i is the sum over t of weight[i * taps + t] * input[index[i * taps +
 * t]]. */
typedef struct {
    int64_t taps, *index;
    double *weight;
    bool *outside; /* takes the extrapolation value instead */
} Table;

/* --- geometry ------------------------------------------------------------------------------------------- */

/* Where output place i lies on the input axis. */
static double source(const Resize *r, const Axis *a, int64_t i)
{
    const double x = (double)i, in = (double)a->in, out = in * a->up / a->down; /* out may be fractional */
    switch (r->coordinates) {
    case AT_HALF_PIXEL: return (x + 0.5) * a->down / a->up - 0.5;
    case AT_SYMMETRIC: return in / 2 * (1 - (double)a->out / out) + (x + 0.5) * a->down / a->up - 0.5;
    case AT_PYTORCH: return a->out > 1 ? (x + 0.5) * a->down / a->up - 0.5 : 0;
    case AT_ALIGN_CORNERS: return a->out > 1 ? x * (in - 1) / (out - 1) : 0;
    case AT_ASYMMETRIC: return x * a->down / a->up;
    case AT_CROP: break;
    }
    return a->out > 1 ? a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / (out - 1)
                      : 0.5 * (a->start + a->end) * (in - 1);
}

static double nearest(Near near, double x)
{
    switch (near) {
    case NEAR_PREFER_FLOOR: return ceil(x - 0.5);
    case NEAR_PREFER_CEIL: return floor(x + 0.5);
    case NEAR_FLOOR: return floor(x);
    case NEAR_CEIL: break;
    }
    return ceil(x);
}

/* The interpolation kernel at distance x: a triangle, or Keys' piecewise cubic. */
static double kernel(const Resize *r, double x)
{
    const double a = r->cubic_a;
    x = fabs(x);
    if (r->mode == MODE_LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int64_t clamped(double x, int64_t size)
{
    return x > 0 ? x < (double)size ? (int64_t)x : size - 1 : 0;
}

/* Fills row i of the table. `stretch`: how much wider than a pixel the kernel is, for antialiasing. */
static void table_row(const Resize *r, const Axis *a, double stretch, double first, int64_t i, Table *t)
{
    const double x = source(r, a, i);
    int64_t *index = t->index + i * t->taps;
    double *weight = t->weight + i * t->taps, sum = 0;
    t->outside[i] = r->coordinates == AT_CROP && !(x >= 0 && x <= (double)(a->in - 1));
    if (r->mode == MODE_NEAREST) {
        index[0] = clamped(nearest(r->near, x), a->in);
        weight[0] = 1;
        return;
    }
    for (int64_t k = 0; k < t->taps; k++) {
        const double place = floor(x) + first + (double)k;
        const bool beyond = place < 0 || place >= (double)a->in;
        index[k] = clamped(place, a->in);
        weight[k] = beyond && r->exclude_outside ? 0 : kernel(r, (place - x) / stretch);
        sum += weight[k];
    }
    for (int64_t k = 0; k < t->taps && sum != 0; k++)
        weight[k] /= sum;
}

static Table table_of(TgEvalCall *c, const Resize *r, const Axis *a)
{
    TgArena *arena = tg_scratch(c->tg);
    if (a->out == 0)
        return (Table){0};
    const double reach = r->mode == MODE_LINEAR ? 1 : 2;
    const double stretch = r->antialias && a->up < a->down ? a->down / a->up : 1;
    const double first = floor(-reach * stretch) + 1;
    Table t = {.taps = r->mode == MODE_NEAREST ? 1 : (int64_t)(2 - 2 * first)};
    const size_t rows = (size_t)a->out, entries = tg_product(c->tg, rows, (size_t)t.taps);
    t.index = TG_NEW_N(arena, int64_t, entries);
    t.weight = TG_NEW_N(arena, double, entries);
    t.outside = TG_NEW_N(arena, bool, rows);
    for (int64_t i = 0; i < a->out; i++)
        table_row(r, a, stretch, first, i, &t);
    return t;
}

/* --- a pass --------------------------------------------------------------------------------------------- */

/* x [outer, in, inner] -> y [outer, out, inner] */
static void resize_axis(const Resize *r, const Axis *a, const Table *t, int64_t outer, int64_t inner,
                        const double *x,
                        double *y)
{
    for (int64_t row = 0; row < outer * a->out; row++) {
        const int64_t i = row % a->out;
        double *to = y + row * inner;
        for (int64_t j = 0; j < inner; j++)
            to[j] = t->outside[i] ? r->extrapolation : 0;
        for (int64_t k = i * t->taps; k < (i + 1) * t->taps && !t->outside[i]; k++) {
            const double *from = x + (row / a->out * a->in + t->index[k]) * inner, weight = t->weight[k];
            for (int64_t j = 0; j < inner && weight != 0; j++)
                to[j] += weight * from[j];
        }
    }
}

static bool is_identity(const Resize *r, const Axis *a)
{
    return a->in == a->out && a->up == a->down
        && (r->coordinates != AT_CROP || (a->start == 0 && a->end == 1));
}

/* An integer type takes the nearest integer in its range; the driver rounds reals. */
static void store(TgEvalCall *c, TgArray *out, const double *x)
{
    const double span = ldexp(1, (int)tg_dtype_bits(out->dtype));
    const double low = tg_dtype_class(out->dtype) == TG_CLASS_I ? -span / 2 : 0, high = low + span - 1;
    for (int64_t i = 0; i < out->count; i++)
        if (eval_is_real(out))
            tg_array_set_float(c->mode, out, i, x[i]);
        else
            tg_array_set_int(out, i, (int64_t)fmin(fmax(rint(x[i]), low), high));
}

static bool resize(TgEvalCall *c, const Resize *r, const Axis *axis)
{
    const TgArray *x = c->in[0];
    TgArena *arena = tg_scratch(c->tg);
    int64_t dim[TG_EVAL_RANK];
    double *from = TG_NEW_N(arena, double, x->count);
    for (int64_t i = 0; i < x->count; i++)
        from[i] = eval_real(c, x, i);
    memcpy(dim, x->dim, sizeof dim);
    for (int32_t i = 0; i < x->rank; i++) {
        if (is_identity(r, &axis[i]))
            continue;
        const Table t = table_of(c, r, &axis[i]);
        dim[i] = axis[i].out;
        size_t count = 1;
        for (int32_t k = 0; k < x->rank; k++)
            count = tg_product(c->tg, count, (size_t)dim[k]);
        double *to = TG_NEW_N(arena, double, count);
        resize_axis(r, &axis[i], &t, eval_count(dim, 0, i), eval_count(dim, i + 1, x->rank), from, to);
        from = to;
    }
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    store(c, &c->out[0], from);
    return true;
}

/* --- attributes and operands ---------------------------------------------------------------------------- */

/* The place of a string attribute in a list of words that ends with NULL. */
static bool word(TgEvalCall *c, const char *attr, const char *const *words, int *out)
{
    TgName given = tg_attr_string(c->tg, c->n, attr);
    for (*out = 0; words[*out]; ++*out)
        if (strcmp(given, words[*out]) == 0)
            return true;
    return tg_report(c->tg, TG_E_eval_word, attr, given);
}

static bool read_attributes(TgEvalCall *c, Resize *r)
{
    int mode, coordinates, near, keep;
    if (!word(c, "mode", MODES, &mode)
        || !word(c, "coordinate_transformation_mode", COORDINATES, &coordinates)
        || !word(c, "nearest_mode", NEARS, &near) || !word(c, "keep_aspect_ratio_policy", KEEPS, &keep))
        return false;
    *r = (Resize){(Mode)mode, (Coordinates)coordinates, (Near)near, (Keep)keep,
                  tg_attr_int(c->n, "antialias") != 0, tg_attr_int(c->n, "exclude_outside") != 0,
                  tg_attr_float(c->n, "cubic_coeff_a"), tg_attr_float(c->n, "extrapolation_value")};
    return true;
}

/* Which axes the operands speak of: all, or those of the attribute. */
static bool read_axes(TgEvalCall *c, int32_t *axes, int32_t *n)
{
    uint32_t given;
    const int64_t *list = tg_attr_ints(c->n, "axes", &given);
    *n = given ? (int32_t)given : c->in[0]->rank;
    if (*n > c->in[0]->rank)
        return eval_bad_value(c, "number of axes", given);
    for (int32_t i = 0; i < *n; i++)
        if (!eval_axis(c, given ? list[i] : i, c->in[0]->rank, &axes[i]))
            return false;
    return true;
}

static bool from_scales(TgEvalCall *c, const TgArray *scales, const int32_t *axes, int32_t n, Axis *axis)
{
    if (scales->count != n)
        return eval_bad_shape(c, 2, "scales has one number per resized axis");
    for (int32_t i = 0; i < n; i++) {
        Axis *a = &axis[axes[i]];
        a->up = eval_real(c, scales, i);
        const double size = floor((double)((float)a->in * (float)a->up)); /* in float32, as inference does */
        if (!(a->up > 0) || !(size >= 0 && size <= INT32_MAX))
            return eval_bad_value(c, "output size", -1);
        a->out = (int64_t)size;
    }
    return true;
}

static bool from_sizes(TgEvalCall *c, const Resize *r, const int32_t *axes, int32_t n, Axis *axis)
{
    int64_t size[TG_EVAL_RANK];
    uint32_t given;
    if (!eval_int_list(c, 3, TG_EVAL_RANK, size, &given))
        return false;
    if (given != (uint32_t)n)
        return eval_bad_shape(c, 3, "sizes has one number per resized axis");
    double up = 1, down = 1; /* the ratio that all axes have in common where the aspect is kept */
    for (int32_t i = 0; i < n; i++) {
        Axis *a = &axis[axes[i]];
        if (size[i] < 0 || size[i] > INT32_MAX || (a->in == 0 && size[i] > 0))
            return eval_bad_value(c, "output size", size[i]);
        a->out = size[i];
        a->up = a->in ? (double)size[i] : 1;
        a->down = a->in ? (double)a->in : 1;
        const bool smaller = a->up * down < up * a->down, larger = a->up * down > up * a->down;
        if (i == 0 || (r->keep == KEEP_NOT_LARGER ? smaller : larger)) {
            up = a->up;
            down = a->down;
        }
    }
    for (int32_t i = 0; i < n && r->keep != KEEP_STRETCH; i++) {
        Axis *a = &axis[axes[i]];
        a->up = up;
        a->down = down;
        a->out = (int64_t)floor((double)a->in * up / down + 0.5);
    }
    return true;
}

static bool read_regions(TgEvalCall *c, const int32_t *axes, int32_t n, Axis *axis)
{
    const TgArray *roi = eval_in(c, 1);
    if (!roi || roi->count != 2 * n)
        return eval_bad_shape(c, 1, "tf_crop_and_resize needs a start and an end for each resized axis");
    for (int32_t i = 0; i < n; i++) {
        axis[axes[i]].start = eval_real(c, roi, i);
        axis[axes[i]].end = eval_real(c, roi, n + i);
    }
    return true;
}

bool eval_resize(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *scales = eval_in(c, 2);
    Resize r;
    Axis axis[TG_EVAL_RANK];
    int32_t axes[TG_EVAL_RANK], n;
    if (!eval_holds(c, "?rri") || !read_attributes(c, &r) || !read_axes(c, axes, &n))
        return false;
    for (int32_t i = 0; i < x->rank; i++)
        axis[i] = (Axis){x->dim[i], x->dim[i], 1, 1, 0, 1};
    bool by_scales = scales && scales->count > 0;
    if (!by_scales && !eval_in(c, 3))
        return tg_report(c->tg, TG_E_eval_requires, "Resize", "scales or sizes");
    return (by_scales ? from_scales(c, scales, axes, n, axis) : from_sizes(c, &r, axes, n, axis))
        && (r.coordinates != AT_CROP || read_regions(c, axes, n, axis)) && resize(c, &r, axis);
}
