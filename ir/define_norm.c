/* Definitions of normalizations, Softmax and Dropout.
 *
 * Idea: all of them centre and scale x over some axes; deviations are squared after subtracting the mean
 * (the same over the reals as E[x^2] - E[x]^2, without its cancellation). Where the operator has a
 * stash_type, the statistics are computed in that type and the normalized values are cast back before scale
 * and bias, as ONNX says. */
#include "define.h"

typedef struct {
    uint32_t n;
    int64_t at[TG_MAX_RANK];
} Axes;

static Axes axes_from(TgDefine *d, TgValue x, int64_t first)
{
    Axes axes = {0};
    for (int32_t rank = rank_of(d, x); first < rank; first++)
        axes.at[axes.n++] = first;
    return axes;
}

typedef struct {
    TgValue mean, deviation, variance;
} Moments;

static Moments moments(TgDefine *d, TgValue x, const Axes *axes)
{
    Moments m = {.mean = Reduce(d, TG_ReduceMean, x, axes->n, axes->at)};
    m.deviation = Sub(d, x, m.mean);
    m.variance = Reduce(d, TG_ReduceMean, Square(d, m.deviation), axes->n, axes->at);
    return m;
}

static TgValue root(TgDefine *d, TgValue variance)
{
    return Sqrt(d, Add(d, variance, num(d, variance, attr_f(d, "epsilon"))));
}

static TgValue stash(TgDefine *d, TgValue x) { return Cast(d, x, (TgDtype)attr_i(d, "stash_type")); }

/* A value per channel, as a tensor that broadcasts against N x C x ...: [1, C, 1, ...]. */
static TgValue per_channel(TgDefine *d, TgValue v, TgValue x)
{
    int64_t shape[TG_MAX_RANK];
    int32_t rank = rank_of(d, x);
    for (int32_t i = 0; i < rank; i++)
        shape[i] = 1;
    shape[rank > 1] = -1;
    return rank > 0 ? Reshape(d, v, ints(d, (uint32_t)rank, shape)) : v;
}

static bool result(TgDefine *d, TgValue y)
{
    d->out[0] = y;
    return define_done(d);
}

/* --- over the last axes --------------------------------------------------------------------------------- */

bool define_LayerNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0), xu = stash(d, x);
    Axes axes = axes_from(d, x, axis_of(d, x, attr_i(d, "axis")));
    Moments m = moments(d, xu, &axes);
    TgValue deviation = root(d, m.variance);
    TgValue y = Mul(d, CastLike(d, Div(d, m.deviation, deviation), x), arg(d, 1));
    give(d, 1, m.mean);
    give(d, 2, Reciprocal(d, deviation));
    return result(d, arg(d, 2) ? Add(d, y, arg(d, 2)) : y);
}

bool define_RMSNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0), xu = stash(d, x);
    Axes axes = axes_from(d, x, axis_of(d, x, attr_i(d, "axis")));
    TgValue square = Reduce(d, TG_ReduceMean, Square(d, xu), axes.n, axes.at);
    TgValue y = CastLike(d, Div(d, xu, root(d, square)), x);
    return result(d, Mul(d, CastLike(d, y, arg(d, 1)), arg(d, 1)));
}

/* --- per channel ---------------------------------------------------------------------------------------- */

static TgValue affine(TgDefine *d, TgValue x, TgValue scale, TgValue bias)
{
    TgValue scaled = Mul(d, x, per_channel(d, CastLike(d, scale, x), x));
    return Add(d, scaled, per_channel(d, CastLike(d, bias, x), x));
}

bool define_InstanceNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0);
    Axes axes = axes_from(d, x, 2);
    if (axes.n == 0)
        return define_refuse(d, "it takes N x C x D1 x ...");
    Moments m = moments(d, x, &axes);
    return result(d, affine(d, Div(d, m.deviation, root(d, m.variance)), arg(d, 1), arg(d, 2)));
}

bool define_GroupNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0), shape = Shape(d, x, 0, INT64_MAX);
    if (attr_i(d, "num_groups") < 1)
        return define_refuse(d, "num_groups must be positive");
    TgValue groups = Reshape(d, stash(d, x), ints(d, 3, (int64_t[]){0, attr_i(d, "num_groups"), -1}));
    Axes last = {1, {2}};
    Moments m = moments(d, groups, &last);
    TgValue y = Reshape(d, Div(d, m.deviation, root(d, m.variance)), shape);
    return result(d, affine(d, CastLike(d, y, x), arg(d, 1), arg(d, 2)));
}

static TgValue blend(TgDefine *d, TgValue running, TgValue fresh)
{
    double momentum = attr_f(d, "momentum");
    TgValue old = Mul(d, running, num(d, running, momentum));
    return Add(d, old, Mul(d, CastLike(d, fresh, running), num(d, running, 1 - momentum)));
}

/* Computed in the type of the statistics. In training mode they are those of the batch, the variance over
 * N. */
bool define_BatchNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0), mean = arg(d, 3), variance = arg(d, 4), xu = CastLike(d, x, mean);
    if (attr_i(d, "training_mode")) {
        Axes axes = axes_from(d, x, 1);
        if (axes.n)
            axes.at[0] = 0; /* all but the channels */
        Moments m = moments(d, xu, &axes);
        TgValue old_mean = mean, old_variance = variance, flat = int1(d, -1);
        mean = Reshape(d, m.mean, flat), variance = Reshape(d, m.variance, flat);
        give(d, 1, blend(d, old_mean, mean));
        give(d, 2, blend(d, old_variance, variance));
    }
    TgValue deviation = Sub(d, xu, per_channel(d, mean, x));
    TgValue y = Div(d, deviation, per_channel(d, root(d, variance), x));
    return result(d, CastLike(d, affine(d, y, arg(d, 1), arg(d, 2)), x));
}

bool define_MeanVarianceNormalization(TgDefine *d)
{
    Axes axes = {3, {0, 2, 3}}; /* the default of a list is not in ops.def's reach */
    uint32_t n;
    const int64_t *at = tg_attr_ints(d->n, "axes", &n);
    if (n > TG_MAX_RANK)
        return define_refuse(d, "it has too many axes");
    for (uint32_t i = 0; i < n; i++)
        axes.at[i] = at[i], axes.n = n;
    Moments m = moments(d, arg(d, 0), &axes);
    TgValue deviation = Sqrt(d, m.variance);
    return result(d, Div(d, m.deviation, Add(d, deviation, num(d, deviation, 1e-9))));
}

/* x / (bias + alpha/size * sum of squares over `size` neighbouring channels)^beta; the sum is a convolution
 * with ones. */
bool define_LRN(TgDefine *d)
{
    TgValue x = arg(d, 0), shape = Shape(d, x, 0, INT64_MAX);
    int64_t size = attr_i(d, "size");
    if (size < 1 || rank_of(d, x) < 2)
        return define_refuse(d, "it takes N x C x ... and a positive size");
    TgValue plane = ShapeOf(d, size_of(d, x, 0), int1(d, 1), size_of(d, x, 1), int1(d, -1));
    TgValue image = Reshape(d, Square(d, x), plane);
    TgValue ones = Fill(d, ints(d, 4, (int64_t[]){1, 1, size, 1}), dtype_of(d, x), 1);
    TgAttrBuild b;
    tg_attrs_begin(&b, d->tg);
    tg_attrs_ints(&b, "pads", 4, (int64_t[]){(size - 1) / 2, 0, size / 2, 0});
    TgValue sum = def_node(d, TG_Conv, tg_attrs_end(&b, TG_Conv), 2, (TgValue[]){image, ones});
    TgValue scaled = Mul(d, Reshape(d, sum, shape), num(d, x, attr_f(d, "alpha") / (double)size));
    TgValue base = Add(d, num(d, x, attr_f(d, "bias")), scaled);
    return result(d, Div(d, x, Pow(d, base, num(d, x, attr_f(d, "beta")))));
}

/* A norm of zero gives zero. */
bool define_LpNormalization(TgDefine *d)
{
    TgValue x = arg(d, 0), zero = num(d, x, 0);
    TgOp norm_op = attr_i(d, "p") == 1 ? TG_ReduceL1 : TG_ReduceL2;
    TgValue norm = Reduce1(d, norm_op, x, attr_i(d, "axis"));
    return result(d, Where(d, Equal(d, norm, zero), zero, Div(d, x, norm)));
}

/* --- Softmax -------------------------------------------------------------------------------------------- */

static TgValue below_max(TgDefine *d, TgValue x, int64_t axis)
{
    return Sub(d, x, Reduce1(d, TG_ReduceMax, x, axis));
}

bool define_Softmax(TgDefine *d)
{
    int64_t axis = attr_i(d, "axis");
    TgValue e = Exp(d, below_max(d, arg(d, 0), axis));
    return result(d, Div(d, e, Reduce1(d, TG_ReduceSum, e, axis)));
}

bool define_LogSoftmax(TgDefine *d)
{
    int64_t axis = attr_i(d, "axis");
    TgValue x = below_max(d, arg(d, 0), axis);
    return result(d, Sub(d, x, Log(d, Reduce1(d, TG_ReduceSum, Exp(d, x), axis))));
}

/* One at the first maximum, zero elsewhere. */
bool define_Hardmax(TgDefine *d)
{
    TgValue x = arg(d, 0);
    int64_t axis = axis_of(d, x, attr_i(d, "axis"));
    TgValue first = op_axis(d, TG_ArgMax, axis, 1, &x);
    TgValue place = Counting(d, size_of(d, x, axis)); /* lies along `axis` */
    for (int32_t i = rank_of(d, x) - 1; i > axis; i--)
        place = Unsqueeze(d, place, -1);
    return result(d, CastLike(d, Equal(d, place, first), x));
}

/* --- Dropout -------------------------------------------------------------------------------------------- */

/* Only what is not random: inference, or a ratio of 0. */
bool define_Dropout(TgDefine *d)
{
    TgValue x = arg(d, 0), ratio = arg(d, 1), training = arg(d, 2);
    double is_on = 0, p = 0.5;
    bool known = !training || tg_const_float(d->into, training, &is_on);
    if (!known || (is_on != 0 && ((ratio && !tg_const_float(d->into, ratio, &p)) || p != 0)))
        return define_refuse(d, "in training mode it is random");
    give(d, 1, Fill(d, Shape(d, x, 0, INT64_MAX), TG_bool, 1));
    return result(d, Identity(d, x));
}
