/* AveragePool, MaxPool, MaxUnpool.
 *
 * Values are pooled tap by tap along whole rows; where the places of maxima are wanted, window by window. How many
 * elements a window has is a product over its axes, so no table of divisors is needed. Tasks: planes. Cost: outputs
 * * taps.
 */
#include "op_pool.h"

#include <math.h>

#include "op_window.h"

typedef struct {
    tgk_window w;
    const void *x;
    void *y;
    int64_t *places;
    int padded, column_major; /* padding counts for the average; places count the first axis fastest */
} Pool;

/* Taps of the window at place `small` that meet the big grid, or its padded form. */
static int64_t count_taps(const tgk_window *w, int64_t small, int padded)
{
    int64_t n = 1;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        const int64_t before = padded ? 0 : w->before[i];
        const int64_t end = padded ? w->big[i] + w->before[i] + w->after[i] : w->big[i];
        const int64_t start = small % w->small[i] * w->stride[i] - before;
        const int64_t first = tgk_ceil_div(-start, w->dilation[i]);
        int64_t last = tgk_ceil_div(end - start, w->dilation[i]);
        last = last < w->kernel[i] ? last : w->kernel[i];
        n *= last > first ? last - first : 0;
        small /= w->small[i];
    }
    return n;
}

/* The element that tap `tap` of the window at place `small` meets, or -1. */
static int64_t place_under(const tgk_window *w, int64_t small, int64_t tap)
{
    int64_t place = 0, scale = 1;
    for (int32_t i = w->n - 1; i >= 0; i--) {
        const int64_t at = small % w->small[i] * w->stride[i] + tap % w->kernel[i] * w->dilation[i] - w->before[i];
        if (at < 0 || at >= w->big[i])
            return -1;
        place += at * scale;
        scale *= w->big[i];
        small /= w->small[i];
        tap /= w->kernel[i];
    }
    return place;
}

/* A row-major place of the big grid, counted with the first axis running fastest; -1 stays. */
static int64_t column_place(const tgk_window *w, int64_t place)
{
    int64_t out = 0;
    for (int32_t i = w->n - 1; i >= 0 && place >= 0; i--) {
        int64_t stride = 1;
        for (int32_t k = 0; k < i; k++)
            stride *= w->big[k];
        out += place % w->big[i] * stride;
        place /= w->big[i];
    }
    return place < 0 ? -1 : out;
}

#define IS_NAN(x) ((x) != (x))
#define NUM float
#define LOWEST (-HUGE_VALF)
#define G(name) name##_f32
#include "op_pool.inc"
#undef NUM
#undef LOWEST
#undef G
#define NUM double
#define LOWEST (-HUGE_VAL)
#define G(name) name##_f64
#include "op_pool.inc"
#undef NUM
#undef LOWEST
#undef G

#undef IS_NAN
#define IS_NAN(x) 0
#define INTEGERS
#define NUM int64_t
#define LOWEST INT64_MIN
#define G(name) name##_i64
#include "op_pool.inc"
#undef NUM
#undef LOWEST
#undef G

static tgk_status read_window(Pool *p, const tgk_array *x, const int64_t *kernel, int64_t n,
                              const tgk_window_attrs *attrs, int64_t ceil_mode, int64_t *dim)
{
    if (x->rank < 3 || n != x->rank - 2)
        return TGK_BAD_SIZE;
    tgk_status s = tgk_window_read(&p->w, x->rank - 2, kernel, attrs);
    s = s ? s : tgk_window_shrink(&p->w, x->dim + 2, attrs->auto_pad, ceil_mode != 0);
    if (s)
        return s;
    dim[0] = x->dim[0];
    dim[1] = x->dim[1];
    memcpy(dim + 2, p->w.small, (size_t)p->w.n * sizeof *dim);
    p->x = x->at;
    return TGK_OK;
}

tgk_status tgk_AveragePool(const tgk_ctx *c, tgk_AveragePool_args *a)
{
    const tgk_array *x = &a->in[0];
    const tgk_window_attrs attrs = {a->auto_pad, a->strides, a->dilations, a->pads,
                                    a->n_strides, a->n_dilations, a->n_pads};
    Pool p = {.y = a->out[0].at, .padded = a->count_include_pad != 0};
    int64_t dim[TGK_RANK];
    tgk_status s = read_window(&p, x, a->kernel_shape, a->n_kernel_shape, &attrs, a->ceil_mode, dim);
    s = s ? s : tgk_give(&a->out[0], x->rank, dim);
    if (s == TGK_OK)
        tgk_for(c, x->type == TGK_F64 ? average_plane_f64 : average_plane_f32, &p, x->dim[0] * x->dim[1]);
    return s;
}

tgk_status tgk_MaxPool(const tgk_ctx *c, tgk_MaxPool_args *a)
{
    const tgk_array *x = &a->in[0];
    const tgk_window_attrs attrs = {a->auto_pad, a->strides, a->dilations, a->pads,
                                    a->n_strides, a->n_dilations, a->n_pads};
    Pool p = {.y = a->out[0].at, .places = a->out[1].at, .column_major = a->storage_order != 0};
    int64_t dim[TGK_RANK];
    tgk_status s = read_window(&p, x, a->kernel_shape, a->n_kernel_shape, &attrs, a->ceil_mode, dim);
    s = s ? s : tgk_give(&a->out[0], x->rank, dim);
    s = s ? s : tgk_give(&a->out[1], x->rank, dim);
    if (s || (!p.y && !p.places))
        return s;
    void (*task)(void *arg, int64_t plane) = p.places ? max_places_i64 : max_plane_i64;
    if (x->type == TGK_F32)
        task = p.places ? max_places_f32 : max_plane_f32;
    if (x->type == TGK_F64)
        task = p.places ? max_places_f64 : max_plane_f64;
    tgk_for(c, task, &p, x->dim[0] * x->dim[1]);
    return TGK_OK;
}

/* --- MaxUnpool ---------------------------------------------------------------------------------------------------- */

/* The shape that kernel, strides and pads undo. */
static tgk_status unpooled_shape(const tgk_MaxUnpool_args *a, int64_t *dim)
{
    const tgk_array *x = &a->in[0];
    const tgk_window_attrs attrs = {NULL, a->strides, NULL, a->pads, a->n_strides, 0, a->n_pads};
    tgk_window w;
    if (x->rank < 3 || a->n_kernel_shape != x->rank - 2)
        return TGK_BAD_SIZE;
    const tgk_status s = tgk_window_read(&w, x->rank - 2, a->kernel_shape, &attrs);
    if (s)
        return s;
    memcpy(dim, x->dim, sizeof x->dim);
    for (int32_t i = 0; i < w.n; i++) {
        if (x->dim[i + 2] > INT32_MAX)
            return TGK_BAD_SIZE;
        dim[i + 2] = (x->dim[i + 2] - 1) * w.stride[i] - w.before[i] - w.after[i] + w.kernel[i];
        if (dim[i + 2] < 0 || dim[i + 2] > INT32_MAX)
            return TGK_BAD_SIZE;
    }
    return TGK_OK;
}

/* Where element `flat` of shape `from` lies in shape `to`; -1: outside. */
static int64_t move_place(int32_t rank, const int64_t *from, const int64_t *to, int64_t flat)
{
    int64_t place = 0, scale = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        const int64_t at = flat % from[i];
        if (at >= to[i])
            return -1;
        place += at * scale;
        scale *= to[i];
        flat /= from[i];
    }
    return place;
}

/* Places count in the shape that the attributes give; output_shape, where present, embeds that shape in a larger
 * one. */
tgk_status tgk_MaxUnpool(const tgk_ctx *c, tgk_MaxUnpool_args *a)
{
    const tgk_array *x = &a->in[0], *wanted = &a->in[2];
    tgk_array *y = &a->out[0];
    const int64_t *places = a->in[1].at;
    int64_t inferred[TGK_RANK], count = 1;
    (void)c;
    tgk_status s = unpooled_shape(a, inferred);
    if (s)
        return s;
    if (wanted->at && (wanted->rank > 1 || tgk_total(wanted) != x->rank))
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < x->rank; i++)
        if (!tgk_enlarge(&count, inferred[i]) || (wanted->at && ((const int64_t *)wanted->at)[i] < 0))
            return TGK_BAD_SIZE;
    if (tgk_total(&a->in[1]) != tgk_total(x))
        return TGK_BAD_SIZE;
    s = tgk_give(y, x->rank, wanted->at ? wanted->at : inferred);
    if (s || !y->at)
        return s;
    const size_t size = x->type == TGK_F64 ? sizeof(double) : sizeof(float);
    memset(y->at, 0, (size_t)tgk_total(y) * size);
    for (int64_t i = 0; i < tgk_total(x); i++) {
        if (places[i] < 0 || places[i] >= count)
            return TGK_BAD_INDEX;
        const int64_t to = move_place(x->rank, inferred, y->dim, places[i]);
        if (to >= 0)
            memcpy((char *)y->at + (size_t)to * size, (const char *)x->at + (size_t)i * size, size);
    }
    return TGK_OK;
}
