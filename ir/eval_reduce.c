/* Reductions (ReduceSum ... ReduceProd), ArgMax and ArgMin, cumulative sums and products.
 *
 * A reduction starts every result at the neutral element and folds the input into it in row-major order,
 * one run along the innermost (merged) axis at a time: a run is either folded into one result or, where
 * that axis is kept, added element by element to a row of results. Hence the order of every sum is fixed by
 * the shapes alone.
 */
#include <math.h>
#include <string.h>

#include "eval_kernel.h"

enum { LANES = 16 }; /* running sums of a reduction over adjacent elements */

typedef void (*Fold)(const void *from, bool along, void *to, int64_t n);

/* Elements start, start + step, ... (n of them; step < 0: backwards) of an array: one line along an axis. */
typedef struct {
    int64_t start, step, n;
} Line;

#define FOLD_INT(name, value)                                                                                \
    static void name(const void *from, bool along, void *to, int64_t n)                                      \
    {                                                                                                        \
        const int64_t *x = from;                                                                             \
        int64_t *z = to;                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            int64_t a = z[along ? 0 : i], b = x[i];                                                          \
            z[along ? 0 : i] = (int64_t)(value);                                                             \
        }                                                                                                    \
    }
FOLD_INT(fold_sum_int, (uint64_t)a + (uint64_t)b)
FOLD_INT(fold_prod_int, (uint64_t)a *(uint64_t)b)
FOLD_INT(fold_max_int, a > b ? a : b)
FOLD_INT(fold_min_int, a < b ? a : b)
FOLD_INT(fold_max_u64, (uint64_t)a > (uint64_t)b ? a : b)
FOLD_INT(fold_min_u64, (uint64_t)a < (uint64_t)b ? a : b)

#define TG_FIELD_TOO
#define TG_TEMPLATE "eval_reduce.inc"
#include "eval_num.h"

/* One row per reduction: its folds, and where it starts. */
typedef struct {
    Fold f32, f64, felt, i64, u64;
    double start;
} Reduction;

static const Reduction *reduction_of(TgOp op)
{
    static const Reduction sum = {fold_sum_f32, fold_sum_f64, fold_sum_felt, fold_sum_int, fold_sum_int, 0};
    static const Reduction prod = {fold_prod_f32, fold_prod_f64, fold_prod_felt, fold_prod_int, fold_prod_int, 1};
    static const Reduction max = {fold_max_f32, fold_max_f64, fold_max_felt, fold_max_int, fold_max_u64, -INFINITY};
    static const Reduction min = {fold_min_f32, fold_min_f64, fold_min_felt, fold_min_int, fold_min_u64, INFINITY};
    switch (op) {
    case TG_ReduceMax: return &max;
    case TG_ReduceMin: return &min;
    case TG_ReduceProd: return &prod;
    default: return &sum;
    }
}

/* The least (greatest) value of an integer type. */
static int64_t extreme(TgDtype t, bool greatest)
{
    uint32_t bits = t == TG_bool ? 1 : tg_dtype_bits(t);
    if (tg_dtype_class(t) == TG_CLASS_I)
        return greatest ? (int64_t)(UINT64_MAX >> (65 - bits)) : -(int64_t)(UINT64_MAX >> (65 - bits)) - 1;
    return greatest ? (int64_t)(UINT64_MAX >> (64 - bits)) : 0;
}

static void fill_start(TgEvalCall *c, TgArray *z, const Reduction *r)
{
    int64_t first = isinf(r->start) ? extreme(z->dtype, r->start > 0) : (int64_t)r->start;
    for (int64_t i = 0; i < z->count; i++) {
        if (eval_is_real(z))
            tg_array_set_float(c->mode, z, i, r->start);
        else
            tg_array_set_int(z, i, first);
    }
}

/* reduced[i]: axis i goes. */
static bool reduced_axes(TgEvalCall *c, int32_t rank, bool *reduced)
{
    uint32_t n;
    if (!eval_axes(c, 1, rank, reduced, &n))
        return false;
    for (int32_t i = 0; n == 0 && i < rank; i++)
        reduced[i] = !tg_attr_int(c->n, "noop_with_empty_axes");
    return true;
}

/* The shape after reduction; `stride` leads through it along the input's axes (0 along reduced ones). */
static void reduced_shape(const TgArray *x, const bool *reduced, bool keep, int32_t *rank, int64_t *dim,
                          int64_t *stride)
{
    int64_t step = 1;
    *rank = 0;
    for (int32_t i = 0; i < x->rank; i++)
        if (keep || !reduced[i])
            dim[(*rank)++] = reduced[i] ? 1 : x->dim[i];
    for (int32_t i = x->rank - 1; i >= 0; i--) {
        stride[i] = reduced[i] ? 0 : step;
        step *= reduced[i] ? 1 : x->dim[i];
    }
}

/* Trailing axes that are all kept or all reduced act as one: returns how many, at least 1 where there are
 * axes. */
static int32_t inner_axes(const TgArray *x, const bool *reduced)
{
    int32_t n = 0;
    while (n < x->rank && reduced[x->rank - 1 - n] == reduced[x->rank - 1])
        n++;
    return n;
}

static void fold_all(TgEvalCall *c, Fold fold, const TgArray *x, const bool *reduced, const int64_t *stride,
                     TgArray *z)
{
    int32_t outer = x->rank - inner_axes(x, reduced);
    int64_t n = eval_count(x->dim, outer, x->rank), index[TG_EVAL_RANK] = {0}, offset = 0;
    int64_t strides[1][TG_EVAL_RANK];
    memcpy(strides[0], stride, sizeof strides[0]);
    bool along = x->rank == 0 || reduced[x->rank - 1];
    size_t element = eval_element(c, x);
    const char *from = x->data;
    do {
        fold(from, along, (char *)z->data + (size_t)offset * element, n);
        from += (size_t)n * element;
    } while (eval_next(outer, x->dim, index, 1, &offset, (const int64_t(*)[TG_EVAL_RANK])strides));
}

static void divide_ints(TgArray *z, int64_t by)
{
    for (int64_t i = 0; i < z->count; i++)
        eval_ints_of(z)[i] /= by;
}

bool eval_reduce(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    const Reduction *r = reduction_of(c->n->op);
    bool reduced[TG_EVAL_RANK];
    int32_t rank;
    int64_t dim[TG_EVAL_RANK], stride[TG_EVAL_RANK] = {0};
    if (x->dtype == TG_str || tg_dtype_class(x->dtype) == TG_CLASS_C)
        return eval_bad_type(c, x->dtype);
    if (!reduced_axes(c, x->rank, reduced))
        return false;
    reduced_shape(x, reduced, tg_attr_int(c->n, "keepdims") != 0, &rank, dim, stride);
    if (!eval_out(c, 0, x->dtype, rank, dim))
        return false;
    TgArray *z = &c->out[0];
    fill_start(c, z, r);
    Fold fold = !eval_is_real(x)           ? x->dtype == TG_u64 ? r->u64 : r->i64
                : c->mode == TG_EVAL_FIELD ? r->felt
                : c->mode == TG_EVAL_F64   ? r->f64
                                           : r->f32;
    if (x->count > 0)
        fold_all(c, fold, x, reduced, stride, z);
    if (c->n->op != TG_ReduceMean || z->count == 0)
        return true;
    int64_t by = x->count / z->count;
    if (eval_is_real(z))
        TG_BY_ANY_NUM(c, divide_all)(z, by);
    else if (by)
        divide_ints(z, by);
    return true;
}

/* --- along one axis ------------------------------------------------------------------------------------- */

static int64_t best_int(const TgArray *a, int64_t at, int64_t n, int64_t step, bool largest, bool last)
{
    const int64_t *x = eval_ints_of(a) + at;
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++) {
        int64_t here = x[i * step], there = x[best * step];
        if ((largest ? here > there : here < there) || (last && here == there))
            best = i;
    }
    return best;
}

bool eval_arg_reduce(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int32_t axis, rank = 0;
    int64_t dim[TG_EVAL_RANK];
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    bool keep = tg_attr_int(c->n, "keepdims") != 0, last = tg_attr_int(c->n, "select_last_index") != 0;
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis || keep)
            dim[rank++] = i == axis ? 1 : x->dim[i];
    if (!eval_out(c, 0, TG_i64, rank, dim))
        return false;
    int64_t n = x->dim[axis], step = eval_count(x->dim, axis + 1, x->rank), *z = eval_ints_of(&c->out[0]);
    if (n == 0 && c->out[0].count > 0)
        return eval_bad_shape(c, 0, "the axis to search is empty");
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t at = i / step * step * n + i % step;
        bool largest = c->n->op == TG_ArgMax;
        z[i] = eval_is_real(x) ? TG_BY_ANY_NUM(c, best)(x, at, n, step, largest, last)
                               : best_int(x, at, n, step, largest, last);
    }
    return true;
}

static void cumulate_int(const TgArray *a, TgArray *out, const Line *line, bool product, bool exclusive)
{
    const int64_t *x = eval_ints_of(a) + line->start;
    int64_t *z = eval_ints_of(out) + line->start;
    uint64_t acc = product ? 1 : 0;
    for (int64_t i = 0; i < line->n; i++) {
        uint64_t here = (uint64_t)x[i * line->step], next = product ? acc * here : acc + here;
        z[i * line->step] = (int64_t)(exclusive ? acc : next);
        acc = next;
    }
}

bool eval_cumulate(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t given;
    int32_t axis;
    if (!eval_one_int(c, 1, 0, &given) || !eval_axis(c, given, x->rank, &axis) || !eval_out_like(c, 0, x))
        return false;
    bool product = c->n->op == TG_CumProd, exclusive = tg_attr_int(c->n, "exclusive") != 0;
    bool reverse = tg_attr_int(c->n, "reverse") != 0;
    int64_t n = x->dim[axis], step = eval_count(x->dim, axis + 1, x->rank);
    for (int64_t i = 0; n > 0 && i < x->count / n; i++) {
        int64_t start = i / step * step * n + i % step;
        Line line = {reverse ? start + (n - 1) * step : start, reverse ? -step : step, n};
        if (eval_is_real(x))
            TG_BY_ANY_NUM(c, cumulate)(x, &c->out[0], &line, product, exclusive);
        else
            cumulate_int(x, &c->out[0], &line, product, exclusive);
    }
    return true;
}
