/* Elementwise operators: what each computes stands in eval_elementwise.def; this file supplies the loops.
 *
 * Every row becomes one loop over n elements. Two-operand loops take an inner stride of 0 or 1 per operand
 * and have a body for each case, so that the compiler vectorizes all of them. Broadcasting merges adjacent
 * axes along which both operands behave alike (advance, or stay); what remains outside the innermost merged
 * axis is walked by an index.
 */
#include <math.h>
#include <string.h>

#include "eval_kernel.h"

enum { VARIANTS = 4 };

typedef void (*Loop1)(const void *x, void *z, int64_t n);
typedef void (*Loop2)(const void *x, bool x_moves, const void *y, bool y_moves, void *z, int64_t n);

/* --- scalar functions that C lacks ---------------------------------------------------------------------- */

static double sigmoid(double x)
{
    double e = exp(-fabs(x)); /* never overflows */
    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static double sign(double x)
{
    return isnan(x) ? x : (double)((x > 0) - (x < 0));
}

/* The square is what norms are made of; pow would give the same bits, slowly. */
static inline double power(double x, double y)
{
    return y == 2 ? x * x : pow(x, y);
}

static double floor_mod(double x, double y)
{
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static inline int64_t wrap_add(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x + (uint64_t)y);
}
static inline int64_t wrap_sub(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x - (uint64_t)y);
}
static inline int64_t wrap_mul(int64_t x, int64_t y)
{
    return (int64_t)((uint64_t)x * (uint64_t)y);
}

/* Division by zero has no meaning in ONNX; 0 is as good as any, and never traps. */
static inline int64_t int_div(int64_t x, int64_t y)
{
    return y == 0 ? 0 : y == -1 ? wrap_sub(0, x) : x / y;
}
static inline int64_t int_mod(int64_t x, int64_t y)
{
    return y == 0 || y == -1 ? 0 : x % y;
}

static inline int64_t int_floor_mod(int64_t x, int64_t y)
{
    int64_t r = int_mod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static int64_t int_pow(int64_t x, int64_t y)
{
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    int64_t z = 1;
    for (; y; y >>= 1, x = wrap_mul(x, x))
        if (y & 1)
            z = wrap_mul(z, x);
    return z;
}

static inline int64_t shift_left(int64_t x, int64_t y)
{
    return (uint64_t)y > 63 ? 0 : (int64_t)((uint64_t)x << (uint64_t)y);
}

static inline int64_t shift_right(int64_t x, int64_t y)
{
    return (uint64_t)y > 63 ? 0 : (int64_t)((uint64_t)x >> (uint64_t)y);
}

/* --- loops ---------------------------------------------------------------------------------------------- */

#define ROW1(name, From, To, value)                                                                          \
    static void name(const void *from, void *to, int64_t n)                                                  \
    {                                                                                                        \
        const From *a = from;                                                                                \
        To *z = to;                                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            From x = a[i];                                                                                   \
            (void)x;                                                                                         \
            z[i] = (To)(value);                                                                              \
        }                                                                                                    \
    }

#define ROW2(name, From, To, value)                                                                          \
    static void name(const void *from, bool x_moves, const void *from2, bool y_moves, void *to, int64_t n)   \
    {                                                                                                        \
        const From *a = from, *b = from2;                                                                    \
        To *z = to;                                                                                          \
        From x = *a, y = *b;                                                                                 \
        if (x_moves && y_moves)                                                                              \
            for (int64_t i = 0; i < n; i++) {                                                                \
                x = a[i];                                                                                    \
                y = b[i];                                                                                    \
                z[i] = (To)(value);                                                                          \
            }                                                                                                \
        else if (x_moves)                                                                                    \
            for (int64_t i = 0; i < n; i++) {                                                                \
                x = a[i];                                                                                    \
                z[i] = (To)(value);                                                                          \
            }                                                                                                \
        else                                                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                                \
                y = b[y_moves ? i : 0];                                                                      \
                z[i] = (To)(value);                                                                          \
            }                                                                                                \
    }

#define INT1(op, variant, value) ROW1(op##_##variant##_int, int64_t, int64_t, value)
#define INT2(op, variant, value) ROW2(op##_##variant##_int, int64_t, int64_t, value)
#define U642(op, variant, value) ROW2(op##_##variant##_u64, uint64_t, uint64_t, value)
#include "eval_elementwise.def"

#define INT1(op, variant, value) [TG_##op][variant] = op##_##variant##_int,
static const Loop1 loops1_int[TG_OP_COUNT][VARIANTS] = {
#include "eval_elementwise.def"
};
#define INT2(op, variant, value) [TG_##op][variant] = op##_##variant##_int,
static const Loop2 loops2_int[TG_OP_COUNT][VARIANTS] = {
#include "eval_elementwise.def"
};
#define U642(op, variant, value) [TG_##op][variant] = op##_##variant##_u64,
static const Loop2 loops2_u64[TG_OP_COUNT][VARIANTS] = {
#include "eval_elementwise.def"
};

#define TG_TEMPLATE "eval_elementwise.inc"
#include "eval_num.h"

/* --- choosing a row ------------------------------------------------------------------------------------- */

static uint32_t variant_of(TgEvalCall *c)
{
    switch (c->n->op) {
    case TG_IsInf:
        return (tg_attr_int(c->n, "detect_positive") ? 1U : 0U) +
               (tg_attr_int(c->n, "detect_negative") ? 2U : 0U);
    case TG_Mod: return tg_attr_int(c->n, "fmod") ? 1 : 0;
    case TG_BitShift: return tg_attr_string(c->tg, c->n, "direction") == tg_name(c->tg, "RIGHT") ? 1 : 0;
    default: return 0;
    }
}

static Loop2 loop2_of(TgEvalCall *c, TgDtype dtype)
{
    uint32_t variant = variant_of(c);
    if (eval_carrier(dtype) == TG_C_REAL)
        return TG_BY_NUM(c, loops2)[c->n->op][variant];
    Loop2 u64 = dtype == TG_u64 ? loops2_u64[c->n->op][variant] : NULL;
    return u64 ? u64 : loops2_int[c->n->op][variant];
}

/* Comparisons and tests give bool; everything else the type of its operand. */
static TgDtype result_type(TgOp op, TgDtype operand)
{
    switch (op) {
    case TG_IsNaN:
    case TG_IsInf:
    case TG_Equal:
    case TG_Less:
    case TG_LessOrEqual:
    case TG_Greater:
    case TG_GreaterOrEqual: return TG_bool;
    default: return operand;
    }
}

static bool takes(TgOp op, TgDtype operand)
{
    bool logic = op == TG_Not || op == TG_And || op == TG_Or || op == TG_Xor;
    return operand == TG_bool || !logic;
}

/* --- one operand ---------------------------------------------------------------------------------------- */

bool eval_unary(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    uint32_t variant = variant_of(c);
    Loop1 loop = NULL;
    if (eval_carrier(x->dtype) == TG_C_REAL)
        loop = TG_BY_NUM(c, loops1)[c->n->op][variant];
    else if (eval_carrier(x->dtype) == TG_C_INT)
        loop = loops1_int[c->n->op][variant];
    if (!loop || tg_dtype_class(x->dtype) == TG_CLASS_C || !takes(c->n->op, x->dtype))
        return eval_bad_type(c, x->dtype);
    if (!eval_out(c, 0, result_type(c->n->op, x->dtype), x->rank, x->dim))
        return false;
    loop(x->data, c->out[0].data, x->count);
    return true;
}

/* --- several operands ----------------------------------------------------------------------------------- */

/* The axes of a broadcast operation over `k` operands, merged where all of them advance as one. */
typedef struct {
    int32_t rank;
    int64_t dim[TG_EVAL_RANK];
    int64_t stride[3][TG_EVAL_RANK];
} Walk;

static bool merges(const Walk *w, uint32_t k, int64_t dim, const int64_t *stride)
{
    for (uint32_t i = 0; i < k; i++)
        if (w->stride[i][w->rank - 1] != stride[i] * dim)
            return false;
    return true;
}

static void add_axis(Walk *w, uint32_t k, int64_t dim, const int64_t *stride)
{
    if (dim == 1)
        return;
    if (w->rank > 0 && merges(w, k, dim, stride)) {
        w->dim[w->rank - 1] *= dim;
    } else {
        w->dim[w->rank++] = dim;
    }
    for (uint32_t i = 0; i < k; i++)
        w->stride[i][w->rank - 1] = stride[i];
}

static void walk_begin(Walk *w, int32_t rank, const int64_t *dim, uint32_t k, const TgArray *const *operand)
{
    int64_t stride[3][TG_EVAL_RANK];
    for (uint32_t i = 0; i < k; i++)
        eval_broadcast_strides(operand[i], rank, stride[i]);
    w->rank = 0;
    for (int32_t axis = 0; axis < rank; axis++) {
        int64_t here[3] = {0};
        for (uint32_t i = 0; i < k; i++)
            here[i] = stride[i][axis];
        add_axis(w, k, dim[axis], here);
    }
    if (w->rank == 0) { /* one element */
        w->rank = 1;
        w->dim[0] = 1;
        for (uint32_t i = 0; i < k; i++)
            w->stride[i][0] = 0;
    }
}

static const void *at(const TgArray *a, int64_t offset, size_t element)
{
    return (const char *)a->data + (size_t)offset * element;
}

/* z = loop(x, y) with broadcasting; z is allocated, of the broadcast shape. */
static void run2(TgEvalCall *c, Loop2 loop, const TgArray *x, const TgArray *y, TgArray *z)
{
    if (z->count == 0)
        return;
    Walk w;
    walk_begin(&w, z->rank, z->dim, 2, (const TgArray *const[]){x, y});
    int32_t outer = w.rank - 1;
    int64_t n = w.dim[outer], index[TG_EVAL_RANK] = {0}, offset[2] = {0};
    size_t in = eval_element(c, x), out = eval_element(c, z);
    char *to = z->data;
    do {
        loop(at(x, offset[0], in), w.stride[0][outer] != 0, at(y, offset[1], in), w.stride[1][outer] != 0, to,
             n);
        to += (size_t)n * out;
    } while (eval_next(outer, w.dim, index, 2, offset, (const int64_t(*)[TG_EVAL_RANK])w.stride));
}

static bool broadcast_in(TgEvalCall *c, uint32_t slot, int32_t *rank, int64_t *dim)
{
    const TgArray *a = c->in[slot];
    return eval_broadcast(*rank, dim, a->rank, a->dim, rank, dim) ||
           eval_bad_shape(c, slot, "it does not broadcast with the operands before it");
}

static bool equal_strings(TgEvalCall *c, const TgArray *x, const TgArray *y)
{
    TgArray *z = &c->out[0];
    if (z->count == 0)
        return true;
    int64_t stride[2][TG_EVAL_RANK], index[TG_EVAL_RANK] = {0}, offset[2] = {0};
    eval_broadcast_strides(x, z->rank, stride[0]);
    eval_broadcast_strides(y, z->rank, stride[1]);
    int64_t i = 0;
    do {
        TgBytes a = ((const TgBytes *)x->data)[offset[0]], b = ((const TgBytes *)y->data)[offset[1]];
        eval_ints_of(z)[i++] = a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
    } while (eval_next(z->rank, z->dim, index, 2, offset, (const int64_t(*)[TG_EVAL_RANK])stride));
    return true;
}

/* Pow allows an integer exponent of a real base and the other way round; the result has the type of the
 * base. */
static bool mixed_pow(TgEvalCall *c, const TgArray *x, const TgArray *y, TgArray *z)
{
    int64_t stride[2][TG_EVAL_RANK], index[TG_EVAL_RANK] = {0}, offset[2] = {0}, i = 0;
    eval_broadcast_strides(x, z->rank, stride[0]);
    eval_broadcast_strides(y, z->rank, stride[1]);
    if (z->count == 0)
        return true;
    do {
        double p = pow(eval_real(c, x, offset[0]), eval_real(c, y, offset[1]));
        if (eval_is_real(z))
            tg_array_set_float(c->mode, z, i++, p);
        else
            tg_array_set_int(z, i++, p >= -0x1p63 && p < 0x1p63 ? (int64_t)p : 0);
    } while (eval_next(z->rank, z->dim, index, 2, offset, (const int64_t(*)[TG_EVAL_RANK])stride));
    return true;
}

bool eval_binary(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *y = c->in[1];
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = x->rank;
    memcpy(dim, x->dim, sizeof dim);
    if (!broadcast_in(c, 1, &rank, dim) || !eval_out(c, 0, result_type(c->n->op, x->dtype), rank, dim))
        return false;
    if (c->n->op == TG_Pow && eval_carrier(x->dtype) != eval_carrier(y->dtype))
        return mixed_pow(c, x, y, &c->out[0]);
    if (c->n->op == TG_Equal && x->dtype == TG_str && y->dtype == TG_str)
        return equal_strings(c, x, y);
    Loop2 loop = loop2_of(c, x->dtype);
    if (!loop || eval_carrier(x->dtype) != eval_carrier(y->dtype) || tg_dtype_class(x->dtype) == TG_CLASS_C ||
        !takes(c->n->op, x->dtype))
        return eval_bad_type(c, x->dtype);
    run2(c, loop, x, y, &c->out[0]);
    return true;
}

static bool same_type(TgEvalCall *c, uint32_t slot)
{
    return c->in[slot]->dtype == c->in[0]->dtype || eval_bad_type(c, c->in[slot]->dtype);
}

bool eval_variadic(TgEvalCall *c)
{
    const TgArray *acc = c->in[0];
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = acc->rank;
    memcpy(dim, acc->dim, sizeof dim);
    for (uint32_t i = 1; i < c->n->n_in; i++)
        if (!broadcast_in(c, i, &rank, dim) || !same_type(c, i))
            return false;
    Loop2 loop = loop2_of(c, acc->dtype);
    if (!loop || acc->dtype == TG_str)
        return eval_bad_type(c, acc->dtype);
    if (!eval_out(c, 0, acc->dtype, rank, dim))
        return false;
    TgArray *z =
        &c->out[0]; /* from the second operand on it is both operand and result, element by element */
    if (c->n->n_in == 1)
        memcpy(z->data, acc->data, (size_t)z->count * eval_element(c, z));
    for (uint32_t i = 1; i < c->n->n_in; i++, acc = z)
        run2(c, loop, acc, c->in[i], z);
    return true;
}

/* --- Where: movement, generic over the element size ----------------------------------------------------- */

#define SELECT(Type)                                                                                         \
    do {                                                                                                     \
        const Type *a = x, *b = y;                                                                           \
        Type *to = z;                                                                                        \
        for (int64_t i = 0; i < n; i++)                                                                      \
            to[i] = chosen[i * step[0]] ? a[i * step[1]] : b[i * step[2]];                                   \
    } while (0)

static void select_run(const int64_t *chosen, const void *x, const void *y, const int64_t *step, void *z,
                       int64_t n, size_t element)
{
    if (element == sizeof(uint32_t))
        SELECT(uint32_t);
    else if (element == sizeof(uint64_t))
        SELECT(uint64_t);
    else
        SELECT(TgBytes); /* two words: strings, wide complex numbers */
}

bool eval_where(TgEvalCall *c)
{
    const TgArray *const in[] = {c->in[0], c->in[1], c->in[2]};
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = in[0]->rank;
    memcpy(dim, in[0]->dim, sizeof dim);
    if (!broadcast_in(c, 1, &rank, dim) || !broadcast_in(c, 2, &rank, dim))
        return false;
    if (in[1]->dtype != in[2]->dtype || eval_carrier(in[0]->dtype) != TG_C_INT)
        return eval_bad_type(c, in[2]->dtype);
    if (!eval_out(c, 0, in[1]->dtype, rank, dim))
        return false;
    if (c->out[0].count == 0)
        return true;
    Walk w;
    walk_begin(&w, rank, dim, 3, in);
    int32_t outer = w.rank - 1;
    int64_t index[TG_EVAL_RANK] = {0}, offset[3] = {0}, n = w.dim[outer];
    int64_t step[3] = {w.stride[0][outer], w.stride[1][outer], w.stride[2][outer]};
    size_t element = eval_element(c, in[1]);
    char *to = c->out[0].data;
    do {
        select_run(eval_ints_of(in[0]) + offset[0], at(in[1], offset[1], element),
                   at(in[2], offset[2], element), step, to, n, element);
        to += (size_t)n * element;
    } while (eval_next(outer, w.dim, index, 3, offset, (const int64_t(*)[TG_EVAL_RANK])w.stride));
    return true;
}
