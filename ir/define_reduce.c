/* Definitions of reductions out of ReduceSum and ReduceMax. They pass their own attributes (keepdims,
 * noop_with_empty_axes) and the axes on to the inner reduction; elementwise work happens before and after. */
#include "define.h"

#include <math.h>

static TgValue inner(TgDefine *d, TgOp op, TgValue x)
{
    return def_node(d, op, d->n->attrs, arg(d, 1) ? 2 : 1, (TgValue[]){x, arg(d, 1)});
}

/* Roots and logarithms of integers are computed in float64. */
static TgValue as_float(TgDefine *d, TgValue x)
{
    return tg_is_float(dtype_of(d, x)) ? x : Cast(d, x, TG_f64);
}

static bool result(TgDefine *d, TgValue y)
{
    d->out[0] = CastLike(d, y, arg(d, 0));
    return define_done(d);
}

bool define_ReduceL1(TgDefine *d) { return result(d, inner(d, TG_ReduceSum, Abs(d, arg(d, 0)))); }

bool define_ReduceSumSquare(TgDefine *d) { return result(d, inner(d, TG_ReduceSum, Square(d, arg(d, 0)))); }

bool define_ReduceL2(TgDefine *d)
{
    return result(d, Sqrt(d, as_float(d, inner(d, TG_ReduceSum, Square(d, arg(d, 0))))));
}

bool define_ReduceLogSum(TgDefine *d)
{
    return result(d, Log(d, as_float(d, inner(d, TG_ReduceSum, arg(d, 0)))));
}

static TgValue finite_or_zero(TgDefine *d, TgValue x)
{
    return Where(d, Less(d, Abs(d, x), num(d, x, INFINITY)), x, num(d, x, 0));
}

/* log(sum e^x) = m + log(sum e^(x - m)) for any m; the maximum (where it is finite) keeps e^ within range. */
bool define_ReduceLogSumExp(TgDefine *d)
{
    TgValue x = as_float(d, arg(d, 0));
    TgAttrBuild b;
    tg_attrs_from(&b, d->tg, d->n->attrs);
    tg_attrs_int(&b, "keepdims", 1);
    const TgAttrs *keep = tg_attrs_end(&b, TG_ReduceMax);
    TgValue max = def_node(d, TG_ReduceMax, keep, arg(d, 1) ? 2 : 1, (TgValue[]){x, arg(d, 1)});
    TgValue sum = inner(d, TG_ReduceSum, Exp(d, Sub(d, x, finite_or_zero(d, max))));
    return result(d, Add(d, Log(d, sum), finite_or_zero(d, inner(d, TG_ReduceMax, x))));
}

bool define_Size(TgDefine *d)
{
    d->out[0] = ReduceAll(d, TG_ReduceProd, Shape(d, arg(d, 0), 0, INT64_MAX));
    return define_done(d);
}
