/* Definitions of products: Gemm, integer and quantized MatMul and Conv, DynamicQuantizeLinear.
 *
 * Integer products are exact: operands lose their zero points as i32; MatMul is one of i32, and Conv, which
 * ONNX has for floats only, one of float64 (exact below 2^53). Quantized ones scale the product in float64,
 * so that rounding happens once, where ONNX says: ties to even, then saturation. */
#include "define.h"

static bool result(TgDefine *d, TgValue y)
{
    d->out[0] = y;
    return define_done(d);
}

static TgValue scaled(TgDefine *d, TgValue x, double factor)
{
    return factor == 1.0 ? x : Mul(d, x, num(d, x, factor));
}

bool define_Gemm(TgDefine *d)
{
    TgValue a = attr_i(d, "transA") ? SwapLast(d, arg(d, 0)) : arg(d, 0);
    TgValue b = attr_i(d, "transB") ? SwapLast(d, arg(d, 1)) : arg(d, 1);
    TgValue y = scaled(d, MatMul(d, a, b), attr_f(d, "alpha"));
    return result(d, arg(d, 2) ? Add(d, y, scaled(d, arg(d, 2), attr_f(d, "beta"))) : y);
}

/* --- operands without zero points ----------------------------------------------------------------------- */

/* A parameter with one value per row: [M] becomes [M, 1]; other shapes broadcast as they are. */
static TgValue per_row(TgDefine *d, TgValue v, TgValue matrix)
{
    return rank_of(d, v) == 1 && rank_of(d, matrix) > 1 ? Unsqueeze(d, v, -1) : v;
}

/* A parameter with one value per output channel (axis 0 of the weight), or one in all: broadcasts against a
 * tensor of `rank` axes whose channels are axis `axis`. */
static TgValue per_channel(TgDefine *d, TgValue v, int32_t rank, int32_t axis)
{
    int64_t shape[TG_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        shape[i] = i == axis ? -1 : 1;
    return rank_of(d, v) == 1 ? Reshape(d, v, ints(d, (uint32_t)rank, shape)) : v;
}

static TgValue without_zero(TgDefine *d, TgValue x, TgValue zero)
{
    TgDtype wide = tg_is_float(dtype_of(d, x)) ? TG_f32 : TG_i32;
    x = Cast(d, x, wide);
    return zero ? Sub(d, x, Cast(d, zero, wide)) : x;
}

static TgValue integer_matmul(TgDefine *d, TgValue a, TgValue a_zero, TgValue b, TgValue b_zero)
{
    a_zero = a_zero ? per_row(d, a_zero, a) : 0;
    return MatMul(d, without_zero(d, a, a_zero), without_zero(d, b, b_zero));
}

static TgValue integer_conv(TgDefine *d, TgValue x, TgValue x_zero, TgValue w, TgValue w_zero)
{
    w_zero = w_zero ? per_channel(d, w_zero, rank_of(d, w), 0) : 0;
    TgValue wide[] = {Cast(d, without_zero(d, x, x_zero), TG_f64),
                      Cast(d, without_zero(d, w, w_zero), TG_f64)};
    return Cast(d, def_node(d, TG_Conv, d->n->attrs, 2, wide), TG_i32);
}

bool define_MatMulInteger(TgDefine *d)
{
    return result(d, integer_matmul(d, arg(d, 0), arg(d, 2), arg(d, 1), arg(d, 3)));
}

bool define_ConvInteger(TgDefine *d)
{
    return result(d, integer_conv(d, arg(d, 0), arg(d, 2), arg(d, 1), arg(d, 3)));
}

/* --- quantized results ---------------------------------------------------------------------------------- */

static TgValue saturated(TgDefine *d, TgValue x, TgDtype to)
{
    if (tg_is_float(to))
        return Cast(d, x, to);
    bool is_signed = tg_dtype_class(to) == TG_CLASS_I;
    double span = (double)(1ULL << (tg_dtype_bits(to) & 31)), low = is_signed ? -span / 2 : 0;
    TgValue inside = Min(d, Max(d, x, num(d, x, low)), num(d, x, low + span - 1));
    return Cast(d, inside, to);
}

static TgValue requantized(TgDefine *d, TgValue sum, TgValue scale, TgValue zero)
{
    TgValue real = Mul(d, Cast(d, sum, TG_f64), Cast(d, scale, TG_f64));
    return saturated(d, Add(d, Round(d, real), Cast(d, zero, TG_f64)), dtype_of(d, zero));
}

/* (a_scale b_scale) / y_scale, where a_scale broadcasts against rows and b_scale against columns or
 * channels. */
static TgValue rescale(TgDefine *d, TgValue a_scale, TgValue b_scale, TgValue y_scale)
{
    return Div(d, Mul(d, a_scale, b_scale), y_scale);
}

/* The product of integers is an operator, which backends have kernels for. */
bool define_QLinearMatMul(TgDefine *d)
{
    TgValue a = arg(d, 0), b = arg(d, 3), zeros[] = {arg(d, 2), arg(d, 5)};
    bool integers = tg_is_integer(dtype_of(d, a)) && tg_is_integer(dtype_of(d, b));
    TgValue sum = integers ? def_node(d, TG_MatMulInteger, NULL, 4, (TgValue[]){a, b, zeros[0], zeros[1]})
                           : integer_matmul(d, a, zeros[0], b, zeros[1]);
    TgValue scale = rescale(d, per_row(d, arg(d, 1), a), arg(d, 4), arg(d, 6));
    return result(d, requantized(d, sum, scale, arg(d, 7)));
}

bool define_QLinearConv(TgDefine *d)
{
    TgValue x = arg(d, 0), w = arg(d, 3), bias = arg(d, 8);
    int32_t rank = rank_of(d, x);
    TgValue sum = integer_conv(d, x, arg(d, 2), w, arg(d, 5));
    if (bias)
        sum = Add(d, sum, per_channel(d, bias, rank, 1));
    TgValue scale = rescale(d, arg(d, 1), per_channel(d, arg(d, 4), rank, 1), arg(d, 6));
    return result(d, requantized(d, sum, scale, arg(d, 7)));
}

/* To u8 over the range of x widened to hold 0. */
bool define_DynamicQuantizeLinear(TgDefine *d)
{
    TgValue x = arg(d, 0), zero = num(d, x, 0), top = num(d, x, 255);
    TgValue low = Min(d, ReduceAll(d, TG_ReduceMin, x), zero);
    TgValue high = Max(d, ReduceAll(d, TG_ReduceMax, x), zero);
    TgValue scale = Div(d, Sub(d, high, low), top);
    TgValue place = Sub(d, zero, Div(d, low, scale));
    TgValue zero_point = Cast(d, Round(d, Min(d, Max(d, place, zero), top)), TG_u8);
    give(d, 1, scale);
    give(d, 2, zero_point);
    return result(d, def_node(d, TG_QuantizeLinear, NULL, 3, (TgValue[]){x, scale, zero_point}));
}
