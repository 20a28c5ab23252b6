/* Definitions of elementwise operators: activations, Clip, CastLike, Sum, Mean. Formulas are those of the
 * ONNX function bodies, computed in the element type of x; where a body overflows and a stable equal exists
 * (Softplus), the stable one stands here. */
#include "define.h"

static TgValue alpha(TgDefine *d, TgValue x) { return num(d, x, attr_f(d, "alpha")); }

static bool result(TgDefine *d, TgValue y)
{
    d->out[0] = y;
    return define_done(d);
}

/* --- piecewise linear ----------------------------------------------------------------------------------- */

bool define_Relu(TgDefine *d) { return result(d, Max(d, arg(d, 0), num(d, arg(d, 0), 0))); }

static TgValue leaky(TgDefine *d, TgValue x, TgValue slope)
{
    return Where(d, Less(d, x, num(d, x, 0)), Mul(d, slope, x), x);
}

bool define_LeakyRelu(TgDefine *d) { return result(d, leaky(d, arg(d, 0), alpha(d, arg(d, 0)))); }

bool define_PRelu(TgDefine *d) { return result(d, leaky(d, arg(d, 0), arg(d, 1))); }

bool define_ThresholdedRelu(TgDefine *d)
{
    TgValue x = arg(d, 0);
    return result(d, Where(d, Less(d, alpha(d, x), x), x, num(d, x, 0)));
}

static TgValue hard_sigmoid(TgDefine *d, TgValue x, double slope, double shift)
{
    TgValue line = Add(d, Mul(d, x, num(d, x, slope)), num(d, x, shift));
    return Max(d, Min(d, line, num(d, x, 1)), num(d, x, 0));
}

bool define_HardSigmoid(TgDefine *d)
{
    return result(d, hard_sigmoid(d, arg(d, 0), attr_f(d, "alpha"), attr_f(d, "beta")));
}

bool define_HardSwish(TgDefine *d)
{
    TgValue x = arg(d, 0);
    return result(d, Mul(d, x, hard_sigmoid(d, x, (double)(1.0f / 6.0f), 0.5)));
}

bool define_Shrink(TgDefine *d)
{
    TgValue x = arg(d, 0), bias = num(d, x, attr_f(d, "bias"));
    double lambda = attr_f(d, "lambd");
    TgValue above = Where(d, Less(d, num(d, x, lambda), x), Sub(d, x, bias), num(d, x, 0));
    return result(d, Where(d, Less(d, x, num(d, x, -lambda)), Add(d, x, bias), above));
}

/* Clip = Min(Max(x, low), high): where low > high, high wins. */
bool define_Clip(TgDefine *d)
{
    TgValue y = arg(d, 0);
    if (arg(d, 1))
        y = Max(d, y, arg(d, 1));
    if (arg(d, 2))
        y = Min(d, y, arg(d, 2));
    return result(d, y == arg(d, 0) ? Identity(d, y) : y);
}

/* --- exponential ---------------------------------------------------------------------------------------- */

static TgValue elu(TgDefine *d, TgValue x, TgValue scale)
{
    TgValue below = Mul(d, scale, Sub(d, Exp(d, x), num(d, x, 1)));
    return Where(d, Less(d, x, num(d, x, 0)), below, x);
}

bool define_Elu(TgDefine *d) { return result(d, elu(d, arg(d, 0), alpha(d, arg(d, 0)))); }

bool define_Celu(TgDefine *d)
{
    TgValue x = arg(d, 0), a = alpha(d, x);
    return result(d, Mul(d, a, elu(d, Div(d, x, a), num(d, x, 1))));
}

bool define_Selu(TgDefine *d)
{
    TgValue x = arg(d, 0), a = alpha(d, x), gamma = num(d, x, attr_f(d, "gamma"));
    TgValue below = Mul(d, gamma, Sub(d, Mul(d, a, Exp(d, x)), a));
    return result(d, Where(d, Less(d, x, num(d, x, 0)), below, Mul(d, gamma, x)));
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): no overflow for large x. */
bool define_Softplus(TgDefine *d)
{
    TgValue x = arg(d, 0);
    TgValue tail = Log(d, Add(d, num(d, x, 1), Exp(d, Neg(d, Abs(d, x)))));
    return result(d, Add(d, Max(d, x, num(d, x, 0)), tail));
}

bool define_Softsign(TgDefine *d)
{
    TgValue x = arg(d, 0);
    return result(d, Div(d, x, Add(d, num(d, x, 1), Abs(d, x))));
}

bool define_Mish(TgDefine *d)
{
    TgValue x = arg(d, 0);
    return result(d, Mul(d, x, Tanh(d, Softplus(d, x))));
}

static TgValue swish(TgDefine *d, TgValue x)
{
    TgValue inner = attr_f(d, "alpha") == 1.0 ? x : Mul(d, alpha(d, x), x);
    return Mul(d, x, Sigmoid(d, inner));
}

bool define_Swish(TgDefine *d) { return result(d, swish(d, arg(d, 0))); }

bool define_SwiGLU(TgDefine *d) { return result(d, Mul(d, swish(d, arg(d, 0)), arg(d, 1))); }

static TgValue half_gate(TgDefine *d, TgValue x, TgValue s) /* x/2 (1 + s) */
{
    return Mul(d, Mul(d, num(d, x, 0.5), x), Add(d, num(d, x, 1), s));
}

bool define_Gelu(TgDefine *d)
{
    TgValue x = arg(d, 0);
    const double root_2 = 1.41421356237309504880, root_2_by_pi = 0.79788456080286535588;
    if (!attr_is(d, "approximate", "tanh"))
        return result(d, half_gate(d, x, Erf(d, Div(d, x, num(d, x, root_2)))));
    TgValue cube = Mul(d, Mul(d, x, x), x);
    TgValue inner = Add(d, x, Mul(d, num(d, x, 0.044715), cube));
    return result(d, half_gate(d, x, Tanh(d, Mul(d, num(d, x, root_2_by_pi), inner))));
}

/* --- casts and sums ------------------------------------------------------------------------------------- */

bool define_CastLike(TgDefine *d)
{
    TgAttrBuild b;
    tg_attrs_from(&b, d->tg, d->n->attrs);
    tg_attrs_int(&b, "to", (int64_t)dtype_of(d, arg(d, 1)));
    TgValue x = arg(d, 0);
    return result(d, def_node(d, TG_Cast, tg_attrs_end(&b, TG_Cast), 1, &x));
}

static TgValue sum(TgDefine *d)
{
    TgValue y = arg(d, 0);
    for (uint32_t i = 1; i < d->n->n_in; i++)
        y = Add(d, y, arg(d, i));
    return y;
}

bool define_Sum(TgDefine *d) { return result(d, d->n->n_in == 1 ? Identity(d, arg(d, 0)) : sum(d)); }

bool define_Mean(TgDefine *d) { return result(d, Div(d, sum(d), num(d, arg(d, 0), (double)d->n->n_in))); }
