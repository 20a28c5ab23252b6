/* The geometry of Resize, in double whatever the element type: where a place of the result lies on the axis of the
 * operand, and the interpolation kernel around it (a triangle, or Keys' piecewise cubic), stretched for
 * antialiasing. */
#include "op_resize_axis.h"

#include <math.h>

/* Where place i of the result lies on the axis of the operand. */
static double source(const tgk_resize_how *r, const tgk_resize_axis *a, int64_t i)
{
    const double x = (double)i, in = (double)a->in, out = in * a->up / a->down; /* out may be fractional */
    switch (r->coordinates) {
    case TGK_AT_HALF_PIXEL: return (x + 0.5) * a->down / a->up - 0.5;
    case TGK_AT_SYMMETRIC: return in / 2 * (1 - (double)a->out / out) + (x + 0.5) * a->down / a->up - 0.5;
    case TGK_AT_PYTORCH: return a->out > 1 ? (x + 0.5) * a->down / a->up - 0.5 : 0;
    case TGK_AT_ALIGN_CORNERS: return a->out > 1 ? x * (in - 1) / (out - 1) : 0;
    case TGK_AT_ASYMMETRIC: return x * a->down / a->up;
    case TGK_AT_CROP: break;
    }
    return a->out > 1 ? a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / (out - 1)
                      : 0.5 * (a->start + a->end) * (in - 1);
}

static double nearest(tgk_resize_near near, double x)
{
    switch (near) {
    case TGK_NEAR_PREFER_FLOOR: return ceil(x - 0.5);
    case TGK_NEAR_PREFER_CEIL: return floor(x + 0.5);
    case TGK_NEAR_FLOOR: return floor(x);
    case TGK_NEAR_CEIL: break;
    }
    return ceil(x);
}

/* The interpolation kernel at distance x. */
static double kernel(const tgk_resize_how *r, double x)
{
    const double a = r->cubic_a;
    x = fabs(x);
    if (r->mode == TGK_RESIZE_LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static int64_t clamped(double x, int64_t size) { return x > 0 ? x < (double)size ? (int64_t)x : size - 1 : 0; }

static double raw_weight(const tgk_resize_how *r, const tgk_resize_axis *a, const tgk_resize_place *p, int64_t k)
{
    const double at = p->base + (double)k;
    const bool beyond = at < 0 || at >= (double)a->in;
    return beyond && r->exclude_outside ? 0 : kernel(r, (at - p->x) / a->stretch);
}

void tgk_resize_axis_begin(const tgk_resize_how *r, tgk_resize_axis *a)
{
    const double reach = r->mode == TGK_RESIZE_LINEAR ? 1 : 2;
    a->stretch = r->antialias && a->up < a->down ? a->down / a->up : 1;
    a->first = floor(-reach * a->stretch) + 1;
    a->taps = r->mode == TGK_RESIZE_NEAREST ? 1 : (int64_t)(2 - 2 * a->first);
}

tgk_resize_place tgk_resize_at(const tgk_resize_how *r, const tgk_resize_axis *a, int64_t i)
{
    const double x = source(r, a, i);
    tgk_resize_place p = {x, floor(x) + a->first, 0, false};
    p.outside = r->coordinates == TGK_AT_CROP && !(x >= 0 && x <= (double)(a->in - 1));
    for (int64_t k = 0; r->mode != TGK_RESIZE_NEAREST && k < a->taps; k++)
        p.sum += raw_weight(r, a, &p, k);
    return p;
}

double tgk_resize_weight(const tgk_resize_how *r, const tgk_resize_axis *a, const tgk_resize_place *p, int64_t k,
                         int64_t *index)
{
    if (r->mode == TGK_RESIZE_NEAREST) {
        *index = clamped(nearest(r->near, p->x), a->in);
        return 1;
    }
    *index = clamped(p->base + (double)k, a->in);
    const double weight = raw_weight(r, a, p, k);
    return p->sum != 0 ? weight / p->sum : weight;
}
