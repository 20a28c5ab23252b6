/* Definitions over N x C x D1 x ... tensors and signals: norms as pools, global pools, causal convolution,
 * Upsample, AffineGrid, window functions. */
#include "define.h"

#include <math.h>

static bool result(TgDefine *d, TgValue y)
{
    d->out[0] = y;
    return define_done(d);
}

/* --- pools ---------------------------------------------------------------------------------------------- */

static TgValue global(TgDefine *d, TgOp op, TgValue x)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t n = 0;
    for (int32_t axis = 2, rank = rank_of(d, x); axis < rank; axis++)
        axes[n++] = axis;
    return n ? Reduce(d, op, x, n, axes) : Identity(d, x);
}

bool define_GlobalMaxPool(TgDefine *d) { return result(d, global(d, TG_ReduceMax, arg(d, 0))); }

bool define_GlobalAveragePool(TgDefine *d) { return result(d, global(d, TG_ReduceMean, arg(d, 0))); }

/* |x|^p and x^(1/p), by the cheapest exact way. */
static TgValue power(TgDefine *d, TgValue x, int64_t p)
{
    return p == 2 ? Square(d, x) : p == 1 ? Abs(d, x) : Pow(d, Abs(d, x), num(d, x, (double)p));
}

static TgValue root(TgDefine *d, TgValue x, int64_t p)
{
    return p == 2 ? Sqrt(d, x) : p == 1 ? x : Pow(d, x, num(d, x, 1.0 / (double)p));
}

bool define_GlobalLpPool(TgDefine *d)
{
    int64_t p = attr_i(d, "p");
    return result(d, root(d, global(d, TG_ReduceSum, power(d, arg(d, 0), p)), p));
}

static bool all_small(const int64_t *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (x[i] < 0 || x[i] > INT32_MAX)
            return false;
    return true;
}

/* Adds to `pads` (starts, then ends) what the window that ceil_mode rounds up to needs behind the end. */
static void pad_for_ceil(TgDefine *d, TgValue x, uint32_t n, const int64_t *kernel, int64_t *pads)
{
    uint32_t n_strides, n_dilations;
    const int64_t *strides = tg_attr_ints(d->n, "strides", &n_strides);
    const int64_t *dilations = tg_attr_ints(d->n, "dilations", &n_dilations);
    if (!all_small(strides, n_strides) || !all_small(dilations, n_dilations) || !all_small(kernel, n) ||
        !all_small(pads, 2 * n))
        define_refuse(d, "its window is out of range");
    for (uint32_t i = 0; i < n && !d->failed; i++) {
        int64_t stride = i < n_strides ? strides[i] : 1, gap = i < n_dilations ? dilations[i] : 1;
        int64_t size = need_dim(d, x, 2 + (int64_t)i), room = size + pads[i] + pads[n + i];
        int64_t window = (kernel[i] - 1) * gap + 1;
        if (stride < 1 || room < window)
            continue;
        int64_t steps = (room - window + stride - 1) / stride;
        if (steps * stride >= size + pads[i]) /* a window must not start behind the data */
            steps--;
        int64_t need = steps * stride + window;
        pads[n + i] += need > room ? need - room : 0;
    }
}

static const TgAttrs *pool_attrs(TgDefine *d, TgValue x, uint32_t n, const int64_t *kernel)
{
    int64_t pads[2 * TG_MAX_RANK] = {0};
    uint32_t given;
    const int64_t *written = tg_attr_ints(d->n, "pads", &given);
    for (uint32_t i = 0; i < given && given == 2 * n; i++)
        pads[i] = written[i];
    TgAttrBuild b;
    tg_attrs_from(&b, d->tg, d->n->attrs);
    tg_attrs_drop(&b, "p");
    tg_attrs_drop(&b, "ceil_mode");
    if (attr_i(d, "ceil_mode")) {
        pad_for_ceil(d, x, n, kernel, pads);
        tg_attrs_ints(&b, "pads", 2 * n, pads);
    }
    return tg_attrs_end(&b, TG_Conv);
}

/* The sum over a window is a convolution with ones, each channel by itself: channels become batches. */
bool define_LpPool(TgDefine *d)
{
    TgValue x = arg(d, 0), shape[2 + TG_MAX_RANK];
    int64_t ones[2 + TG_MAX_RANK] = {1, 1}, p = attr_i(d, "p");
    uint32_t n, rank = (uint32_t)rank_of(d, x);
    const int64_t *kernel = tg_attr_ints(d->n, "kernel_shape", &n);
    if (p < 1 || n + 2 != rank || n > TG_MAX_RANK)
        return define_refuse(d, "kernel_shape does not fit the operand, or p is below 1");
    for (uint32_t i = 0; i < n; i++)
        ones[2 + i] = kernel[i];
    TgValue planes = size_mul(d, size_of(d, x, 0), size_of(d, x, 1));
    TgValue flat = Reshape(d, power(d, x, p), ShapeOf(d, planes, int1(d, 1), Shape(d, x, 2, rank)));
    TgValue weight = Fill(d, ints(d, rank, ones), dtype_of(d, x), 1);
    TgValue sums = def_node(d, TG_Conv, pool_attrs(d, x, n, kernel), 2, (TgValue[]){flat, weight});
    shape[0] = Shape(d, x, 0, 2);
    shape[1] = Shape(d, sums, 2, rank);
    return result(d, Reshape(d, root(d, sums, p), shape_from(d, 2, shape)));
}

/* --- convolution with a carried state ------------------------------------------------------------------- */

/* The state is the last k - 1 columns of the padded input; SiLU is computed in f32. */
bool define_CausalConvWithState(TgDefine *d)
{
    TgValue x = arg(d, 0), w = arg(d, 1), bias = arg(d, 2), past = arg(d, 3);
    TgValue carried = size_sub(d, size_of(d, w, 2), int1(d, 1));
    if (!past)
        past = Fill(d, ShapeOf(d, Shape(d, x, 0, 2), carried), dtype_of(d, x), 0);
    int64_t channels = need_dim(d, w, 0);
    TgValue all = Concat2(d, 2, past, x), length = size_of(d, all, 2);
    if (d->failed)
        return false;
    const TgAttrs *depthwise = tg_attrs(d->tg, TG_Conv, "group=i", channels);
    TgValue y = def_node(d, TG_Conv, depthwise, bias ? 3 : 2, (TgValue[]){all, w, bias});
    if (!attr_is(d, "activation", "none")) {
        TgValue wide = Cast(d, y, TG_f32);
        y = CastLike(d, Mul(d, wide, Sigmoid(d, wide)), x);
    }
    give(d, 1, SliceBy(d, all, 2, size_sub(d, length, carried), length, 1));
    return result(d, y);
}

/* --- sampling ------------------------------------------------------------------------------------------- */

bool define_Upsample(TgDefine *d)
{
    TgName mode = tg_attr_string(d->tg, d->n, "mode");
    if (d->failed)
        return false;
    const TgAttrs *attrs = tg_attrs(d->tg, TG_Resize,
                                    "mode=s coordinate_transformation_mode=s nearest_mode=s",
                                    attr_is(d, "mode", "bilinear") ? "linear" : mode, "asymmetric", "floor");
    return result(d, def_node(d, TG_Resize, attrs, 3, (TgValue[]){arg(d, 0), 0, arg(d, 1)}));
}

/* n places from -1 to 1: ends included (align_corners) or centres of n equal cells. */
static TgValue places(TgDefine *d, TgValue n, TgValue like)
{
    TgValue i = CastLike(d, Counting(d, n), like), one = num(d, like, 1), two = num(d, like, 2);
    TgValue count = CastLike(d, n, like);
    if (attr_i(d, "align_corners"))
        return Sub(d, Div(d, Mul(d, two, i), Max(d, Sub(d, count, one), one)), one);
    return Sub(d, Div(d, Add(d, Mul(d, two, i), one), count), one);
}

/* grid[n, places.., k] = sum over axes j of theta[n, k, j] place_j + theta[n, k, last]; x, the last axis,
 * comes first. */
bool define_AffineGrid(TgDefine *d)
{
    TgValue theta = arg(d, 0), size = Cast(d, arg(d, 1), TG_i64), grid = 0;
    int64_t axes = need_dim(d, theta, 1), shape[5] = {0, 1, 1, 1, -1};
    if (axes != 2 && axes != 3)
        return define_refuse(d, "theta is neither N x 2 x 3 nor N x 3 x 4");
    shape[axes + 1] = -1;
    for (int64_t j = 0; j <= axes; j++) {
        TgValue column = Reshape(d, Slice(d, theta, 2, j, j + 1), ints(d, (uint32_t)axes + 2, shape));
        if (j < axes) {
            TgValue place = places(d, Slice(d, size, 0, axes + 1 - j, axes + 2 - j), theta);
            for (int64_t k = 0; k <= j; k++)
                place = Unsqueeze(d, place, -1);
            column = Mul(d, column, place);
        }
        grid = grid ? Add(d, grid, column) : column;
    }
    return result(d, grid);
}

/* --- windows -------------------------------------------------------------------------------------------- */

/* a0 - a1 cos(2 pi i / m) + a2 cos(4 pi i / m), i < n, with m = n (periodic) or n - 1. */
static bool window(TgDefine *d, double a0, double a1, double a2)
{
    const double tau = 6.283185307179586;
    TgValue n = Reshape(d, arg(d, 0), int1(d, 1)), one = num_of(d, TG_f32, 1);
    TgValue m = Cast(d, n, TG_f32);
    if (!attr_i(d, "periodic"))
        m = Sub(d, m, one);
    TgValue i = Cast(d, Counting(d, Cast(d, n, TG_i64)), TG_f32);
    TgValue angle = Mul(d, i, Div(d, num_of(d, TG_f32, tau), m));
    TgValue y = Sub(d, num_of(d, TG_f32, a0), Mul(d, num_of(d, TG_f32, a1), Cos(d, angle)));
    if (a2 != 0)
        y = Add(d, y, Mul(d, num_of(d, TG_f32, a2), Cos(d, Mul(d, num_of(d, TG_f32, 2), angle))));
    return result(d, Cast(d, y, (TgDtype)attr_i(d, "output_datatype")));
}

bool define_HannWindow(TgDefine *d) { return window(d, 0.5, 0.5, 0); }

bool define_HammingWindow(TgDefine *d) { return window(d, 25.0 / 46.0, 21.0 / 46.0, 0); }

bool define_BlackmanWindow(TgDefine *d) { return window(d, 0.42, 0.5, 0.08); }
