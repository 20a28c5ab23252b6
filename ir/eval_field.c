/* Kernels in the finite field (TG_EVAL_FIELD): reals are TgFelt, integers and bools stay what they are.
 *
 * Ring operations are exact; so are moves. exp, sqrt, sin and cos keep the laws that field.h names. Every
 * other function is one of which only congruence is known: equal operands give equal results, nothing else
 * follows (`hashed` says that this happened, so that unequal results decide nothing). Comparisons go by an
 * order that is the usual one on small integers; elsewhere they, and all that has few different results, are
 * `coarse`: equal results may be so by luck, and no chance is known for it.
 *
 * A kernel serves here in one of four ways: it has an instance for the field (eval_num.h) or only moves
 * elements, and runs as it is; it is replaced by a function of this file; it has no real operand, and runs in
 * float64, whose numbers have exact images; or it runs in float64 on shadows of its operands, doubles that
 * are a function of the elements, and its results are hashed.
 *
 * Every array carries the degree of its elements, see eval_degree.c. */
#include <math.h>
#include <string.h>

#include "eval_kernel.h"

typedef bool (*Kernel)(TgEvalCall *c);

static TgField *field_of(const TgEvalCall *c)
{
    return c->field;
}

static TgFelt *felts(const TgArray *a)
{
    return a->data;
}

/* --- elementwise ---------------------------------------------------------------------------------------- */

static TgFelt sigmoid(TgField *f, TgFelt x)
{
    if (TG_FELT_KIND(x) == TG_FELT_HIGH)
        return tg_felt_int(1);
    TgFelt one = tg_felt_int(1);
    return tg_felt_inverse(tg_felt_add(one, tg_felt_exp(f, tg_felt_neg(x))));
}

/* 1 - 2 / (1 + exp(2 x)) */
static TgFelt hyperbolic_tangent(TgField *f, TgFelt x)
{
    if (tg_felt_is_odd(x))
        return TG_FELT_KIND(x) == TG_FELT_NAN ? x : tg_felt_int(TG_FELT_KIND(x) == TG_FELT_HIGH ? 1 : -1);
    TgFelt one = tg_felt_int(1), e = tg_felt_exp(f, tg_felt_add(x, x));
    return tg_felt_sub(one, tg_felt_mul(tg_felt_int(2), tg_felt_inverse(tg_felt_add(one, e))));
}

/* A function of which f(-x) = -f(x) is known. */
static TgFelt odd_function(TgField *f, uint64_t key, TgFelt x)
{
    if (tg_felt_is_odd(x) || x.p == 0)
        return x.p == 0 && !tg_felt_is_odd(x) ? x : tg_felt_hash(f, key, x);
    bool minus = tg_felt_center(x) < 0;
    TgFelt y = tg_felt_hash(f, key, minus ? tg_felt_neg(x) : x);
    return minus ? tg_felt_neg(y) : y;
}

/* What follows depends on an order that the field does not have, but for infinities. */
static void decide_by_order(TgField *f, bool unknown, bool infinite)
{
    f->hashed |= unknown;
    f->coarse |= unknown && !infinite;
}

static TgFelt sign_of(TgField *f, TgFelt x)
{
    decide_by_order(f, !tg_felt_is_small(x), tg_felt_is_odd(x));
    if (TG_FELT_KIND(x) == TG_FELT_NAN)
        return x;
    return tg_felt_int(tg_felt_less(x, tg_felt_int(0)) ? -1 : tg_felt_less(tg_felt_int(0), x));
}

static TgFelt unary_function(TgField *f, TgOp op, TgFelt x)
{
    switch (op) {
    case TG_Neg: return tg_felt_neg(x);
    case TG_Reciprocal: return tg_felt_inverse(x);
    case TG_Exp: return tg_felt_exp(f, x);
    case TG_Sqrt: return tg_felt_sqrt(f, x);
    case TG_Sin: return tg_felt_sin(f, x);
    case TG_Cos: return tg_felt_cos(f, x);
    case TG_Sigmoid: return sigmoid(f, x);
    case TG_Tanh: return hyperbolic_tangent(f, x);
    case TG_Sign: return sign_of(f, x);
    case TG_Abs: return tg_felt_mul(x, sign_of(f, x));
    case TG_Floor:
    case TG_Ceil:
    case TG_Round: return tg_felt_is_small(x) ? x : tg_felt_hash(f, (uint64_t)op << 8, x);
    case TG_Erf: return odd_function(f, (uint64_t)op << 8, x);
    default: return tg_felt_hash(f, (uint64_t)op << 8, x);
    }
}

static int64_t test_function(const TgEvalCall *c, TgFelt x)
{
    unsigned kind = TG_FELT_KIND(x);
    if (c->n->op == TG_IsNaN)
        return kind == TG_FELT_NAN;
    return (kind == TG_FELT_HIGH && tg_attr_int(c->n, "detect_positive")) ||
           (kind == TG_FELT_LOW && tg_attr_int(c->n, "detect_negative"));
}

static bool field_unary(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    bool test = c->n->op == TG_IsNaN || c->n->op == TG_IsInf;
    if (!eval_out(c, 0, test ? TG_bool : x->dtype, x->rank, x->dim))
        return false;
    for (int64_t i = 0; i < x->count; i++) {
        if (test)
            eval_ints_of(&c->out[0])[i] = test_function(c, felts(x)[i]);
        else
            felts(&c->out[0])[i] = unary_function(field_of(c), c->n->op, felts(x)[i]);
    }
    return true;
}

/* Max, Min: whoever is chosen is one of them, by an order that means something on small integers only. */
static TgFelt extreme(TgField *f, bool greatest, TgFelt x, TgFelt y)
{
    bool infinite = tg_felt_is_odd(x) || tg_felt_is_odd(y);
    decide_by_order(f, !infinite && !tg_felt_is_small(tg_felt_sub(x, y)), infinite);
    return greatest ? tg_felt_max(x, y) : tg_felt_min(x, y);
}

static TgFelt binary_function(TgField *f, TgOp op, TgFelt x, TgFelt y)
{
    switch (op) {
    case TG_Add: return tg_felt_add(x, y);
    case TG_Sub: return tg_felt_sub(x, y);
    case TG_Mul: return tg_felt_mul(x, y);
    case TG_Pow: return tg_felt_pow(f, x, y);
    case TG_Max: return extreme(f, true, x, y);
    case TG_Min: return extreme(f, false, x, y);
    default: return tg_felt_hash(f, tg_mix((uint64_t)op << 8, tg_felt_key(y)), x);
    }
}

static bool is_comparison(TgOp op)
{
    return op == TG_Equal || op == TG_Less || op == TG_LessOrEqual || op == TG_Greater ||
           op == TG_GreaterOrEqual;
}

static bool compare(TgField *f, TgOp op, TgFelt x, TgFelt y)
{
    bool equal = tg_felt_equal(x, y), less = tg_felt_less(x, y);
    bool known = op == TG_Equal || equal || (tg_felt_is_small(x) && tg_felt_is_small(y));
    decide_by_order(f, !known, tg_felt_is_odd(x) || tg_felt_is_odd(y));
    switch (op) {
    case TG_Equal: return equal;
    case TG_Less: return less;
    case TG_LessOrEqual: return less || equal;
    case TG_Greater: return !less && !equal;
    default: return !less || equal;
    }
}

/* What divides, and its inverse: it often is one number for all elements. */
typedef struct {
    TgFelt by, inverse;
} Divisor;

static TgFelt quotient(Divisor *d, TgFelt x, TgFelt y)
{
    if (y.p != d->by.p || y.q != d->by.q)
        *d = (Divisor){y, tg_felt_inverse(y)};
    return tg_felt_mul(x, d->inverse);
}

/* z = x op y with broadcasting; z is allocated, of the broadcast shape, and may be x. */
static void field_combine(TgEvalCall *c, const TgArray *x, const TgArray *y, TgArray *z)
{
    int64_t stride[2][TG_EVAL_RANK], index[TG_EVAL_RANK] = {0}, offset[2] = {0}, i = 0;
    TgField *f = field_of(c);
    TgOp op = c->n->op;
    Divisor divisor = {tg_felt_int(1), tg_felt_int(1)};
    if (z->count == 0)
        return;
    eval_broadcast_strides(x, z->rank, stride[0]);
    eval_broadcast_strides(y, z->rank, stride[1]);
    do {
        TgFelt a = felts(x)[offset[0]], b = felts(y)[offset[1]];
        if (is_comparison(op))
            eval_ints_of(z)[i++] = compare(f, op, a, b);
        else if (op == TG_Div)
            felts(z)[i++] = quotient(&divisor, a, b);
        else
            felts(z)[i++] = binary_function(f, op, a, b);
    } while (eval_next(z->rank, z->dim, index, 2, offset, (const int64_t(*)[TG_EVAL_RANK])stride));
}

static bool broadcast_with(TgEvalCall *c, uint32_t slot, int32_t *rank, int64_t *dim)
{
    const TgArray *a = c->in[slot];
    return eval_broadcast(*rank, dim, a->rank, a->dim, rank, dim) ||
           eval_bad_shape(c, slot, "it does not broadcast with the operands before it");
}

static TgArray to_felts(const TgEvalCall *c, const TgArray *a)
{
    if (eval_is_real(a))
        return tg_array_share(a);
    TgArray b = tg_array_new(c->tg, TG_EVAL_FIELD, TG_f64, a->rank, a->dim);
    for (int64_t i = 0; i < a->count; i++)
        felts(&b)[i] = tg_felt_int(eval_ints_of(a)[i]);
    return b;
}

static bool field_binary(TgEvalCall *c)
{
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = c->in[0]->rank;
    memcpy(dim, c->in[0]->dim, sizeof dim);
    TgDtype dtype = is_comparison(c->n->op) ? TG_bool : c->in[0]->dtype;
    bool mixed = eval_is_real(c->in[0]) != eval_is_real(c->in[1]); /* Pow's base may be the real one */
    if (mixed && (c->n->op != TG_Pow || !eval_is_real(c->in[0])))
        return eval_bad_type(c, c->in[1]->dtype);
    if (!broadcast_with(c, 1, &rank, dim) || !eval_out(c, 0, dtype, rank, dim))
        return false;
    TgArray y = to_felts(c, c->in[1]);
    field_combine(c, c->in[0], &y, &c->out[0]);
    tg_array_drop(c->tg, &y);
    return true;
}

static bool field_variadic(TgEvalCall *c)
{
    const TgArray *acc = c->in[0];
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = acc->rank;
    memcpy(dim, acc->dim, sizeof dim);
    for (uint32_t i = 1; i < c->n->n_in; i++)
        if (!broadcast_with(c, i, &rank, dim))
            return false;
    if (!eval_out(c, 0, acc->dtype, rank, dim))
        return false;
    TgArray *z = &c->out[0];
    if (c->n->n_in == 1)
        memcpy(z->data, acc->data, (size_t)z->count * sizeof(TgFelt));
    for (uint32_t i = 1; i < c->n->n_in; i++, acc = z)
        field_combine(c, acc, c->in[i], z);
    return true;
}

/* --- between types -------------------------------------------------------------------------------------- */

static int64_t to_integer(TgField *f, TgFelt x)
{
    if (tg_felt_is_small(x))
        return tg_felt_center(x);
    decide_by_order(f, true, tg_felt_is_odd(x));
    return tg_felt_is_odd(x) ? 0 : tg_felt_center(x) % 4;
}

/* What a narrower type makes of a number that it does not hold for certain: some function. */
static TgFelt rounded(TgField *f, TgDtype to, TgFelt x)
{
    int64_t n = tg_felt_center(x), most = 0;
    most = to == TG_f32 ? 1 << 24 : to == TG_f16 ? 1 << 11 : to == TG_bf16 ? 1 << 8 : most;
    return tg_felt_is_odd(x) || (n <= most && n >= -most) ? x : tg_felt_hash(f, (uint64_t)to << 32, x);
}

static bool field_cast(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    TgDtype to = (TgDtype)tg_attr_int(c->n, "to");
    if (to == TG_str || tg_dtype_class(to) == TG_CLASS_C || tg_dtype_class(x->dtype) == TG_CLASS_C)
        return eval_bad_type(c, to);
    if (!eval_out(c, 0, to, x->rank, x->dim))
        return false;
    TgArray *z = &c->out[0];
    TgField *f = field_of(c);
    bool narrows = eval_narrows(x->fits ? x->fits : x->dtype, to);
    for (int64_t i = 0; i < x->count; i++) {
        TgFelt a = felts(x)[i];
        if (eval_is_real(z))
            felts(z)[i] = narrows ? rounded(f, to, a) : a;
        else
            eval_ints_of(z)[i] = to == TG_bool ? a.p != 0 || tg_felt_is_odd(a) : to_integer(f, a);
    }
    return true;
}

/* --- Softmax: without the maximum, which cancels ------------------------------------------------------- */

static void softmax_line(TgField *f, const TgFelt *x, TgFelt *z, int64_t n, int64_t step)
{
    TgFelt sum = tg_felt_int(0);
    for (int64_t i = 0; i < n; i++) {
        z[i * step] = tg_felt_exp(f, x[i * step]);
        sum = tg_felt_add(sum, z[i * step]);
    }
    TgFelt scale = tg_felt_inverse(sum);
    for (int64_t i = 0; i < n; i++)
        z[i * step] = tg_felt_mul(z[i * step], scale);
}

bool eval_field_softmax(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int32_t axis;
    if (!eval_is_real(x)) /* ONNX has it of floats only, and integers are no elements of the field */
        return eval_bad_type(c, x->dtype);
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !eval_out_like(c, 0, x))
        return false;
    int64_t n = x->dim[axis], step = eval_count(x->dim, axis + 1, x->rank);
    for (int64_t i = 0; n > 0 && i < x->count / n; i++) {
        int64_t start = i / step * step * n + i % step;
        softmax_line(field_of(c), felts(x) + start, felts(&c->out[0]) + start, n, step);
    }
    return true;
}

/* --- by way of float64 ---------------------------------------------------------------------------------- */

/* A double that is a function of the element: small integers are themselves. */
double eval_field_shadow(TgFelt x)
{
    switch (TG_FELT_KIND(x)) {
    case TG_FELT_LOW: return -INFINITY;
    case TG_FELT_HIGH: return INFINITY;
    case TG_FELT_NAN: return NAN;
    default: return tg_felt_is_small(x) ? (double)tg_felt_center(x) : ldexp((double)tg_felt_center(x), -60);
    }
}

static bool all_small(const TgArray *a)
{
    for (int64_t i = 0; a && a->kind == TG_TENSOR && eval_is_real(a) && i < a->count; i++)
        if (!tg_felt_is_small(felts(a)[i]))
            return false;
    return true;
}

static TgArray shadow(const TgEvalCall *c, const TgArray *a)
{
    if (a->kind != TG_TENSOR || !eval_is_real(a))
        return tg_array_share(a);
    TgArray b = tg_array_new(c->tg, TG_EVAL_F64, a->dtype, a->rank, a->dim);
    for (int64_t i = 0; i < a->count; i++)
        ((double *)b.data)[i] = eval_field_shadow(felts(a)[i]);
    return b;
}

/* The image of a float64 result: exact, or a hash of it where it stands for something else. */
static TgArray image(const TgEvalCall *c, const TgArray *a, bool hashed)
{
    if (a->kind != TG_TENSOR || !eval_is_real(a))
        return tg_array_share(a);
    TgArray b = tg_array_new(c->tg, TG_EVAL_FIELD, a->dtype, a->rank, a->dim);
    for (int64_t i = 0; i < a->count; i++) {
        TgFelt x = tg_felt_float(((const double *)a->data)[i]);
        felts(&b)[i] =
            hashed && !tg_felt_is_small(x) ? tg_felt_hash(field_of(c), (uint64_t)c->n->op << 8, x) : x;
    }
    return b;
}

static bool through_f64(TgEvalCall *c, Kernel kernel, bool hashed)
{
    TgArray *made = TG_NEW_N(tg_scratch(c->tg), TgArray, c->n->n_in + 1);
    const TgArray **in = TG_NEW_N(tg_scratch(c->tg), const TgArray *, c->n->n_in + 1);
    uint32_t outs = c->n->n_out > TG_EVAL_OUTS ? c->n->n_out : TG_EVAL_OUTS;
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->in[i]) {
            made[i] = shadow(c, c->in[i]);
            in[i] = &made[i];
        }
    TgEvalCall inner = *c;
    inner.in = in;
    inner.mode = TG_EVAL_F64;
    bool ok = kernel(&inner);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        tg_array_drop(c->tg, &made[i]);
    for (uint32_t i = 0; i < outs && ok; i++) {
        TgArray z = image(c, &c->out[i], hashed);
        tg_array_drop(c->tg, &c->out[i]);
        c->out[i] = z;
    }
    bool exact = true; /* on small integers these functions are what they are */
    for (uint32_t i = 0; i < c->n->n_in; i++)
        exact = exact && all_small(c->in[i]);
    decide_by_order(field_of(c), hashed && !exact, false);
    return ok;
}

/* --- the door ------------------------------------------------------------------------------------------- */

/* Kernels that move elements of any size, or have an instance for the field. */
static const Kernel as_they_are[] = {eval_view,
                                     eval_transpose,
                                     eval_expand,
                                     eval_tile,
                                     eval_concat,
                                     eval_split,
                                     eval_slice,
                                     eval_pad,
                                     eval_trilu,
                                     eval_reverse_sequence,
                                     eval_compress,
                                     eval_gather,
                                     eval_gather_elements,
                                     eval_gather_nd,
                                     eval_where,
                                     eval_mat_mul,
                                     eval_conv,
                                     eval_conv_transpose,
                                     eval_col2_im,
                                     eval_reduce,
                                     eval_cumulate,
                                     eval_einsum,
                                     eval_shape,
                                     eval_non_zero,
                                     eval_field_softmax};

static const struct {
    Kernel kernel, instead;
} replaced[] = {{eval_unary, field_unary},
                {eval_binary, field_binary},
                {eval_variadic, field_variadic},
                {eval_cast, field_cast}};

static bool has_reals(const TgEvalCall *c)
{
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->in[i] && c->in[i]->kind == TG_TENSOR && eval_is_real(c->in[i]))
            return true;
    return false;
}

static bool has_complex(const TgEvalCall *c)
{
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->in[i] && tg_dtype_class(c->in[i]->dtype) == TG_CLASS_C)
            return true;
    return false;
}

static bool scatters(const TgEvalCall *c)
{
    return (c->n->op == TG_ScatterND || c->n->op == TG_ScatterElements) &&
           tg_attr_string(c->tg, c->n, "reduction") == tg_name(c->tg, "none");
}

static bool run(TgEvalCall *c, Kernel kernel)
{
    if (!has_reals(c))
        return through_f64(c, kernel, false);
    if (scatters(c))
        return kernel(c);
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
        if (replaced[i].kernel == kernel)
            return replaced[i].instead(c);
    for (size_t i = 0; i < sizeof as_they_are / sizeof *as_they_are; i++)
        if (as_they_are[i] == kernel) {
            if (c->n->op == TG_ReduceMax || c->n->op == TG_ReduceMin)
                decide_by_order(field_of(c), true, all_small(c->in[0]));
            return kernel(c);
        }
    return through_f64(c, kernel, true);
}

bool eval_in_field(TgEvalCall *c, bool (*kernel)(TgEvalCall *c))
{
    if (has_complex(c))
        return eval_bad_type(c, TG_c64);
    if (!run(c, kernel))
        return false;
    for (uint32_t i = 0; i < c->n->n_out; i++)
        if (tg_dtype_class(c->out[i].dtype) == TG_CLASS_C)
            return eval_bad_type(c, c->out[i].dtype);
    TgDegree degree = eval_degree(c);
    for (uint32_t i = 0; i < TG_EVAL_OUTS || i < c->n->n_out; i++)
        c->out[i].degree = degree;
    return true;
}
