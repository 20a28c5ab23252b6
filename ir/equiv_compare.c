/* Compares one output of two graphs, computed in two precisions each.
 *
 * Differences are measured in the 2-norm relative to the float64 result of a, over the elements where all
 * four results are ordinary numbers. What is left is checked one by one: NaN must match NaN and infinities
 * their like in float64; numbers beyond 1e30 (additive masks) would drown the others and must agree by
 * themselves; a float32 result of b must be finite where that of a is. Integers are compared as they come
 * out of the float64 run, exactly.
 */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

static const double huge = 1e30;

static bool same_shape(const TgArray *a, const TgArray *b)
{
    if (a->dtype != b->dtype || a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

static bool is_float(const TgArray *a)
{
    TgClass class = tg_dtype_class(a->dtype);
    return class == TG_CLASS_F || class == TG_CLASS_C;
}

/* Reals of the array, one by one: complex numbers are two. */
static TgArray flat(const TgArray *a)
{
    TgArray f = *a;
    if (tg_dtype_class(a->dtype) == TG_CLASS_C) {
        f.dtype = a->dtype == TG_c64 ? TG_f32 : TG_f64;
        f.count *= 2;
    }
    return f;
}

/* The same, as they are stored: one of both. Large outputs are compared often. */
typedef struct {
    const double *wide;
    const float *narrow;
} Reals;

static Reals reals_of(TgEvalMode mode, const TgArray *flat)
{
    bool wide = tg_array_element(mode, flat->dtype) == sizeof(double);
    return (Reals){wide ? flat->data : NULL, wide ? NULL : flat->data};
}

static inline double real_at(Reals r, int64_t i)
{
    return r.wide ? r.wide[i] : (double)r.narrow[i];
}

static EquivMeasure broken(const char *why, int64_t element)
{
    return (EquivMeasure){.broken = why, .element = element};
}

static EquivMeasure integers(const EquivQuad *q)
{
    for (int64_t i = 0; i < q->a64->count; i++)
        if (tg_array_int(q->a64, i) != tg_array_int(q->b64, i))
            return broken("other integers", i);
    return (EquivMeasure){.d32 = 0};
}

static EquivMeasure strings(const EquivQuad *q)
{
    const TgBytes *a = q->a64->data, *b = q->b64->data;
    for (int64_t i = 0; i < q->a64->count; i++)
        if (a[i].n != b[i].n || (a[i].n && memcmp(a[i].at, b[i].at, a[i].n) != 0))
            return broken("other strings", i);
    return (EquivMeasure){.d32 = 0};
}

static double relative(double part, double whole)
{
    return part == 0 ? 0 : whole == 0 ? INFINITY : sqrt(part / whole);
}

/* The extraordinary: NULL where both are the same (or merely ordinary), else what is wrong. */
static const char *clash(double a64, double b64, double a32, double b32)
{
    if (isnan(a64) != isnan(b64))
        return "NaN on one side only";
    if (isinf(a64) || isinf(b64))
        return a64 == b64 ? NULL : "infinity on one side only";
    if (!isfinite(b32) && isfinite(a32))
        return "a new NaN or infinity in float32";
    if (fabs(a64) > huge || fabs(b64) > huge)
        return fabs(a64 - b64) <= ldexp(fabs(a64), -20) ? NULL : "other values";
    return NULL;
}

static EquivMeasure reals(const EquivQuad *q)
{
    TgArray a32 = flat(q->a32), a64 = flat(q->a64), b32 = flat(q->b32), b64 = flat(q->b64);
    Reals at32 = reals_of(TG_EVAL_F32, &a32), at64 = reals_of(TG_EVAL_F64, &a64);
    Reals bt32 = reals_of(TG_EVAL_F32, &b32), bt64 = reals_of(TG_EVAL_F64, &b64);
    double d32 = 0, d64 = 0, err_a = 0, err_b = 0, norm = 0, most = 0, most32 = 0;
    EquivMeasure m = {.element = 0};
    for (int64_t i = 0; i < a64.count; i++) {
        double x64 = real_at(at64, i), y64 = real_at(bt64, i), x32 = real_at(at32, i), y32 = real_at(bt32, i);
        if (q->odd_inputs && isnan(x64))
            continue;
        const char *why = clash(x64, y64, x32, y32);
        if (why)
            return broken(why, i);
        if (!isfinite(x64) || !isfinite(x32) || !isfinite(y32) || fabs(x64) > huge)
            continue;
        if (fabs(x64 - y64) > most)
            most = fabs(x64 - y64), m.element = i;
        if (fabs(x32 - y32) > most32)
            most32 = fabs(x32 - y32), m.element32 = i;
        d32 += (x32 - y32) * (x32 - y32);
        d64 += (x64 - y64) * (x64 - y64);
        err_a += (x32 - x64) * (x32 - x64);
        err_b += (y32 - x64) * (y32 - x64);
        norm += x64 * x64;
    }
    m.d32 = relative(d32, norm);
    m.d64 = relative(d64, norm);
    m.err_a = relative(err_a, norm);
    m.err_b = relative(err_b, norm);
    return m;
}

EquivMeasure equiv_measure(const EquivQuad *q)
{
    if (q->a64->kind != TG_TENSOR || q->b64->kind != TG_TENSOR)
        return broken("no tensor", 0);
    if (!same_shape(q->a64, q->b64) || !same_shape(q->a32, q->b32) || !same_shape(q->a32, q->a64))
        return broken("other shapes or element types", 0);
    if (is_float(q->a64))
        return reals(q);
    return q->a64->dtype == TG_str ? strings(q) : integers(q);
}

double equiv_distance(const TgArray *a, const TgArray *b)
{
    if (!same_shape(a, b) || !is_float(a))
        return 0;
    TgArray x = flat(a), y = flat(b);
    Reals ps = reals_of(TG_EVAL_F64, &x), qs = reals_of(TG_EVAL_F64, &y);
    double part = 0, norm = 0;
    for (int64_t i = 0; i < x.count; i++) {
        double p = real_at(ps, i), q = real_at(qs, i);
        if (!isfinite(p) || !isfinite(q) || fabs(p) > huge)
            continue;
        part += (p - q) * (p - q);
        norm += p * p;
    }
    return relative(part, norm);
}
