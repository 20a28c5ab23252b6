/* Inference of elementwise operators, casts, reductions and what selects by value. */
#include <math.h>

#include "infer.h"

/* --- elementwise ---------------------------------------------------------------------------------------- */

bool infer_same(TgInfer *f)
{
    inf_set_same(f, 0, 0);
    inf_fold_elementwise(f);
    return true;
}

bool infer_same_bool(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), TG_bool));
    return true;
}

/* Shape of all operands together, from operand `first` on. */
static bool broadcast_all(const TgInfer *f, uint32_t first, InfShape *shape)
{
    *shape = inf_shape(f, first);
    for (uint32_t i = first + 1; i < f->n->n_formal; i++) {
        InfShape with = inf_shape(f, i);
        if (!inf_broadcast(f, shape, &with))
            return false;
    }
    return true;
}

/* Pow and BitShift alone may mix the element types of base and exponent. */
static bool infer_elementwise(TgInfer *f, uint32_t first, TgDtype dtype)
{
    InfShape shape;
    for (uint32_t i = first + 1; i < f->n->n_formal && f->n->op != TG_Pow; i++)
        if (!inf_same_dtype(f, first, i))
            return false;
    if (!broadcast_all(f, first, &shape) || !inf_set(f, 0, dtype, &shape))
        return false;
    inf_fold_elementwise(f);
    return true;
}

/* The element type that the operands agree on: the first that is known. */
static TgDtype common_dtype(const TgInfer *f, uint32_t first)
{
    TgDtype dtype = TG_undefined;
    for (uint32_t i = first; i < f->n->n_formal && dtype == TG_undefined; i++)
        dtype = f->n->op == TG_Pow && i > 0 ? TG_undefined : inf_dtype(f, i);
    return dtype;
}

bool infer_broadcast(TgInfer *f)
{
    return infer_elementwise(f, 0, common_dtype(f, 0));
}

bool infer_broadcast_bool(TgInfer *f)
{
    return infer_elementwise(f, 0, TG_bool);
}

/* No runtime takes numbers for truth values, and each reading of them would be another one. */
static bool need_booleans(const TgInfer *f)
{
    for (uint32_t i = 0; i < f->n->n_formal; i++)
        if (inf_dtype(f, i) != TG_bool && inf_dtype(f, i) != TG_undefined)
            return inf_refuse(f, "logic needs booleans");
    return true;
}

bool infer_not(TgInfer *f)
{
    return need_booleans(f) && infer_same(f);
}

bool infer_logic(TgInfer *f)
{
    return need_booleans(f) && infer_broadcast_bool(f);
}

bool infer_where(TgInfer *f)
{
    InfShape shape = inf_shape(f, 0), x = inf_shape(f, 1), y = inf_shape(f, 2);
    if (!inf_same_dtype(f, 1, 2) || !inf_broadcast(f, &shape, &x) || !inf_broadcast(f, &shape, &y) ||
        !inf_set(f, 0, common_dtype(f, 1), &shape))
        return false;
    inf_fold_elementwise(f);
    return true;
}

/* --- casts ---------------------------------------------------------------------------------------------- */

/* Integers on their way through floats: Cast(Cast(n)) is n where the float holds every n that can occur. */
static const TgDim *elements_behind_float(const TgInfer *f, uint32_t *n, TgDtype *from)
{
    const TgNodeInfo *inner = tg_producer(f->g, f->n->in[0], TG_Cast);
    const TgValueInfo *v = inner && inner->in[0] ? tg_value(f->g, inner->in[0]) : NULL;
    int64_t count;
    if (!v || !v->symbolic || !tg_type_numel(v->type, &count))
        return NULL;
    TgDtype through = inf_dtype(f, 0);
    int64_t exact = through == TG_f64 ? INT64_C(1) << 53 : through == TG_f32 ? INT64_C(1) << 24 : 0;
    for (int64_t i = 0; i < count; i++)
        if (tg_dim_lower(v->symbolic[i]) < -exact || tg_dim_upper(v->symbolic[i]) > exact)
            return NULL;
    *n = (uint32_t)count;
    *from = v->type->dtype;
    return v->symbolic;
}

/* Constants truncate; what no integer holds is left to whoever folds constants. */
static bool cast_float_constants(TgInfer *f, TgDtype to)
{
    const TgTensor *t = tg_const_of(f->g, f->n->in[0]);
    TgDim result[INF_ELEMENTS];
    if (!t || t->payload == TG_RECIPE || t->count > INF_ELEMENTS)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        double x = tg_tensor_float(f->tg, t, i);
        if (!(fabs(x) < 0x1p31))
            return false;
        int64_t n = to == TG_bool ? x != 0 : (int64_t)x;
        if (n != tg_wrap_integer(to, n))
            return false;
        result[i] = inf_num(f, n);
    }
    inf_set_elements(f, 0, (uint32_t)t->count, result);
    return true;
}

static void cast_elements(TgInfer *f, TgDtype to)
{
    uint32_t n = 0;
    TgDtype from = inf_dtype(f, 0);
    TgDim result[INF_ELEMENTS];
    if (!(tg_is_integer(to) || to == TG_bool) || (tg_is_float(from) && cast_float_constants(f, to)))
        return;
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n)
                     : tg_is_float(from)    ? elements_behind_float(f, &n, &from)
                                            : NULL;
    if (!x || n > INF_ELEMENTS)
        return;
    for (uint32_t i = 0; i < n; i++)
        result[i] = inf_cast_element(f->tg, x[i], from, to);
    inf_set_elements(f, 0, n, result);
}

bool infer_cast(TgInfer *f)
{
    TgDtype to = (TgDtype)tg_attr_int(f->n, "to");
    if (to <= TG_undefined || to >= TG_DTYPE_COUNT)
        return inf_refuse(f, "attribute 'to' names no element type");
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), to));
    cast_elements(f, to);
    return true;
}

bool infer_cast_like(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), inf_dtype(f, 1)));
    cast_elements(f, inf_dtype(f, 1));
    return true;
}

bool infer_bit_cast(TgInfer *f)
{
    TgDtype to = (TgDtype)tg_attr_int(f->n, "to"), from = inf_dtype(f, 0);
    if (to <= TG_undefined || to >= TG_DTYPE_COUNT)
        return inf_refuse(f, "attribute 'to' names no element type");
    if (from != TG_undefined && tg_dtype_bits(from) != tg_dtype_bits(to))
        return inf_refuse(f, "BitCast needs element types of the same width");
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), to));
    return true;
}

/* --- reductions ----------------------------------------------------------------------------------------- */

typedef struct {
    bool known; /* which axes */
    bool axis[TG_MAX_RANK];
} Axes;

/* Input 1 lists the axes; absent or empty: all, or none where noop_with_empty_axes says so. */
static bool read_axes(const TgInfer *f, int32_t rank, Axes *axes)
{
    int64_t list[TG_MAX_RANK];
    uint32_t n = 0;
    int32_t axis;
    *axes = (Axes){.known = !inf_has(f, 1) || inf_ints(f, 1, TG_MAX_RANK, list, &n)};
    for (uint32_t i = 0; i < n; i++) {
        if (!inf_axis(f, list[i], rank, &axis))
            return false;
        axes->axis[axis] = true;
    }
    for (int32_t k = 0; n == 0 && k < rank; k++)
        axes->axis[k] = tg_attr_int(f->n, "noop_with_empty_axes") == 0;
    return true;
}

static bool reduced_shape(const TgInfer *f, const Axes *axes, bool keep, InfShape *out)
{
    InfShape in = inf_shape(f, 0);
    int64_t count;
    out->rank = 0;
    if (!axes->known) { /* how many axes go may still be known */
        bool counted = !keep && inf_length(f, 1, &count) && count > 0 && count <= in.rank;
        out->rank = keep ? in.rank : counted ? in.rank - (int32_t)count : -1;
        for (int32_t k = 0; k < out->rank; k++)
            out->dim[k] = inf_fresh(f);
        return true;
    }
    for (int32_t k = 0; k < in.rank; k++)
        if (!axes->axis[k] || keep)
            out->dim[out->rank++] = axes->axis[k] ? inf_num(f, 1) : in.dim[k];
    return true;
}

static TgDim reduce_pair(const TgInfer *f, TgDim a, TgDim b)
{
    switch (f->n->op) {
    case TG_ReduceSum: return tg_dim_add(f->tg, a, b);
    case TG_ReduceProd: return tg_dim_mul(f->tg, a, b);
    case TG_ReduceMin: return tg_dim_min(f->tg, a, b);
    default: return tg_dim_max(f->tg, a, b);
    }
}

static void reduce_elements(TgInfer *f, const Axes *axes)
{
    TgOp op = f->n->op;
    bool folds = op == TG_ReduceSum || op == TG_ReduceProd || op == TG_ReduceMin || op == TG_ReduceMax;
    uint32_t n;
    InfBox in;
    TgDim result[INF_ELEMENTS] = {NULL};
    int64_t index[TG_MAX_RANK];
    if (!folds || !axes->known || !inf_has_elements(f, 0) || !inf_box(inf_type(f, 0), &in) || in.count == 0)
        return;
    const TgDim *x = inf_elements(f, 0, &n);
    uint32_t results = 0;
    for (uint32_t e = 0; e < in.count; e++) {
        inf_unravel(&in, e, index);
        int64_t at = 0;
        for (int32_t k = 0; k < in.rank; k++)
            at = axes->axis[k] ? at : at * in.dim[k] + index[k];
        result[at] = result[at] ? reduce_pair(f, result[at], x[e]) : x[e];
        results = at >= results ? (uint32_t)at + 1 : results;
    }
    inf_set_elements(f, 0, results, result);
}

bool infer_reduce(TgInfer *f)
{
    InfShape out;
    Axes axes;
    TgDtype dtype = inf_dtype(f, 0);
    int32_t rank = inf_rank(f, 0);
    bool keep = tg_attr_int(f->n, "keepdims") != 0;
    if (rank < 0) {
        inf_set_unranked(f, 0, dtype);
        return true;
    }
    if (!read_axes(f, rank, &axes) || !reduced_shape(f, &axes, keep, &out) || !inf_set(f, 0, dtype, &out))
        return false;
    reduce_elements(f, &axes);
    return true;
}

bool infer_arg_reduce(TgInfer *f)
{
    int32_t axis, rank = inf_rank(f, 0);
    InfShape out;
    if (rank < 0) {
        inf_set_unranked(f, 0, TG_i64);
        return true;
    }
    Axes axes = {.known = true};
    if (!inf_axis_attr(f, "axis", rank, &axis))
        return false;
    axes.axis[axis] = true;
    return reduced_shape(f, &axes, tg_attr_int(f->n, "keepdims") != 0, &out) && inf_set(f, 0, TG_i64, &out);
}

/* --- selection by value --------------------------------------------------------------------------------- */

bool infer_topk(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    int32_t axis;
    uint32_t n;
    if (out.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        inf_set_unranked(f, 1, TG_i64);
        return true;
    }
    if (!inf_axis_attr(f, "axis", out.rank, &axis))
        return false;
    const TgDim *k = inf_elements(f, 1, &n);
    out.dim[axis] = k && n == 1 && tg_dim_lower(k[0]) >= 0 ? k[0] : inf_fresh(f);
    return inf_set(f, 0, inf_dtype(f, 0), &out) && inf_set(f, 1, TG_i64, &out);
}

bool infer_unique(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    TgDim count = inf_fresh(f);
    int32_t axis = 0;
    bool by_axis = tg_attr_has(f->n->attrs, "axis");
    if (by_axis && out.rank >= 0 && !inf_axis_attr(f, "axis", out.rank, &axis))
        return false;
    if (!by_axis)
        out.rank = 1;
    if (out.rank >= 0)
        out.dim[axis] = count;
    TgDim inverse = by_axis               ? inf_dim(f, 0, axis)
                    : inf_rank(f, 0) >= 0 ? tg_type_count(f->tg, inf_type(f, 0))
                                          : inf_fresh(f);
    return inf_set(f, 0, inf_dtype(f, 0), &out) && inf_set_dims(f, 1, TG_i64, 1, count) &&
           inf_set_dims(f, 2, TG_i64, 1, inverse) && inf_set_dims(f, 3, TG_i64, 1, count);
}

/* Indices of what is not 0, one row per axis; of constants they are known. */
bool infer_non_zero(TgInfer *f)
{
    int32_t rank = inf_rank(f, 0);
    int64_t x[INF_ELEMENTS], index[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    uint32_t n, found = 0;
    InfBox box;
    TgDim rows = rank < 0 ? inf_fresh(f) : inf_num(f, rank);
    if (!inf_ints(f, 0, INF_ELEMENTS, x, &n) || !inf_box(inf_type(f, 0), &box))
        return inf_set_dims(f, 0, TG_i64, 2, rows, inf_fresh(f));
    for (uint32_t e = 0; e < n; e++)
        found += x[e] != 0;
    if (!inf_set_dims(f, 0, TG_i64, 2, rows, inf_num(f, found)))
        return false;
    if (found * (uint32_t)rank > INF_ELEMENTS)
        return true;
    for (uint32_t e = 0, at = 0; e < n; e++) {
        if (x[e] == 0)
            continue;
        inf_unravel(&box, e, index);
        for (int32_t k = 0; k < rank; k++)
            result[(uint32_t)k * found + at] = inf_num(f, index[k]);
        at++;
    }
    inf_set_elements(f, 0, found * (uint32_t)rank, result);
    return true;
}
