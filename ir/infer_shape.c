/* Inference of what reads shapes, makes tensors from shapes, and views one shape as another. */
#include <math.h>

#include "infer.h"

/* Views keep the order of elements. */
static void keep_elements(TgInfer *f)
{
    uint32_t n;
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (x && n <= INF_ELEMENTS)
        inf_set_elements(f, 0, n, x);
}

static bool set_unknown(TgInfer *f)
{
    inf_set_unranked(f, 0, inf_dtype(f, 0));
    return true;
}

/* --- reading shapes ------------------------------------------------------------------------------------- */

static int32_t clamp_axis(int64_t at, int32_t rank)
{
    at = at < 0 ? at + rank : at;
    return (int32_t)(at < 0 ? 0 : at > rank ? rank : at);
}

bool infer_shape(TgInfer *f)
{
    InfShape in = inf_shape(f, 0);
    if (in.rank < 0)
        return inf_set_dims(f, 0, TG_i64, 1, inf_fresh(f));
    int32_t start = clamp_axis(tg_attr_int(f->n, "start"), in.rank);
    int32_t end = tg_attr_has(f->n->attrs, "end") ? clamp_axis(tg_attr_int(f->n, "end"), in.rank) : in.rank;
    int32_t n = end > start ? end - start : 0;
    inf_set_dims(f, 0, TG_i64, 1, inf_num(f, n));
    inf_set_elements(f, 0, (uint32_t)n, in.dim + start);
    return true;
}

bool infer_size(TgInfer *f)
{
    inf_set_dims(f, 0, TG_i64, 0);
    if (inf_rank(f, 0) >= 0) {
        TgDim count = tg_type_count(f->tg, inf_type(f, 0));
        inf_set_elements(f, 0, 1, &count);
    }
    return true;
}

/* --- making tensors ------------------------------------------------------------------------------------- */

/* The shape that the elements of input i spell; known as far as its length is. */
static InfShape spelled_shape(const TgInfer *f, uint32_t i)
{
    InfShape s = {.rank = -1};
    uint32_t n;
    int64_t length;
    const TgDim *x = inf_elements(f, i, &n);
    if (inf_length(f, i, &length) && length <= TG_MAX_RANK)
        s.rank = (int32_t)length;
    for (int32_t k = 0; k < s.rank; k++)
        s.dim[k] = x ? inf_size(f, x[k]) : inf_fresh(f);
    return s;
}

bool infer_constant_of_shape(TgInfer *f)
{
    InfShape out = spelled_shape(f, 0);
    const TgTensor *value = tg_attr_tensor(f->n, "value");
    TgDtype dtype = value ? value->dtype : TG_f32;
    TgDim element[INF_ELEMENTS];
    InfBox box;
    if (!inf_set(f, 0, dtype, &out))
        return false;
    bool integers = value && value->count == 1 && (tg_is_integer(dtype) || dtype == TG_bool);
    if (!integers || out.rank < 0 || !inf_box(tg_value(f->g, f->n->out[0])->type, &box))
        return true;
    for (uint32_t i = 0; i < box.count; i++)
        element[i] = inf_num(f, tg_tensor_int(f->tg, value, 0));
    inf_set_elements(f, 0, box.count, element);
    return true;
}

/* max(ceil((limit - start) / delta), 0) of floats: known where all three are constants. */
static bool float_steps(const TgInfer *f, int64_t *n)
{
    double x[3];
    for (uint32_t i = 0; i < 3; i++)
        if (!inf_has(f, i) || !tg_const_float(f->g, f->n->in[i], &x[i]))
            return false;
    double steps = ceil((x[1] - x[0]) / x[2]);
    if (!(fabs(steps) < 0x1p53))
        return false;
    *n = steps > 0 ? (int64_t)steps : 0;
    return true;
}

static TgDim integer_steps(const TgInfer *f, TgDim start, TgDim limit, int64_t delta)
{
    TgDim span = delta > 0 ? tg_dim_sub(f->tg, limit, start) : tg_dim_sub(f->tg, start, limit);
    TgDim step = inf_num(f, delta > 0 ? delta : -delta);
    return tg_dim_max(f->tg, tg_dim_ceildiv(f->tg, span, step), inf_num(f, 0));
}

bool infer_range(TgInfer *f)
{
    const TgDim *x[3] = {NULL};
    int64_t delta = 0, count = 0;
    uint32_t n;
    TgDim element[INF_ELEMENTS];
    if (!inf_same_dtype(f, 0, 1) || !inf_same_dtype(f, 0, 2))
        return false;
    TgDtype dtype = inf_dtype(f, 0);
    for (uint32_t i = 0; i < 3; i++)
        if ((x[i] = inf_elements(f, i, &n)) && n != 1)
            x[i] = NULL;
    bool steps_known = x[2] && tg_dim_known(x[2][0], &delta) && delta != 0 && delta != INT64_MIN;
    if (!x[0] || !x[1] || !steps_known)
        return inf_set_dims(f, 0, dtype, 1, float_steps(f, &count) ? inf_num(f, count) : inf_fresh(f));
    TgDim steps = integer_steps(f, x[0][0], x[1][0], delta);
    inf_set_dims(f, 0, dtype, 1, steps);
    if (!tg_dim_known(steps, &count) || count > INF_ELEMENTS)
        return true;
    for (int64_t i = 0; i < count; i++)
        element[i] = tg_dim_add(f->tg, x[0][0], tg_dim_mul(f->tg, inf_num(f, i), x[2][0]));
    inf_set_elements(f, 0, (uint32_t)count, element);
    return true;
}

bool infer_like(TgInfer *f)
{
    TgDtype dtype = tg_attr_has(f->n->attrs, "dtype") ? (TgDtype)tg_attr_int(f->n, "dtype") : inf_dtype(f, 0);
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), dtype));
    return true;
}

/* The number of classes, which may come as a float. */
static TgDim one_hot_depth(const TgInfer *f)
{
    uint32_t n;
    double x;
    const TgDim *depth = inf_elements(f, 1, &n);
    if (depth && n == 1)
        return inf_size(f, depth[0]);
    bool known = inf_has(f, 1) && tg_is_float(inf_dtype(f, 1)) && tg_const_float(f->g, f->n->in[1], &x);
    return known && x >= 0 && x < 0x1p53 ? inf_num(f, (int64_t)x) : inf_fresh(f);
}

bool infer_one_hot(TgInfer *f)
{
    InfShape in = inf_shape(f, 0);
    int32_t axis;
    if (in.rank < 0 || in.rank >= TG_MAX_RANK) {
        inf_set_unranked(f, 0, inf_dtype(f, 2));
        return true;
    }
    InfShape out = {.rank = in.rank + 1};
    if (!inf_axis_attr(f, "axis", out.rank, &axis))
        return false;
    for (int32_t k = 0; k < out.rank; k++)
        out.dim[k] = k < axis ? in.dim[k] : k > axis ? in.dim[k - 1] : one_hot_depth(f);
    return inf_set(f, 0, inf_dtype(f, 2), &out);
}

/* Importers make const values of these; one that is built by hand is typed all the same. */
bool infer_constant(TgInfer *f)
{
    static const struct {
        const char *name;
        TgDtype dtype;
        int32_t rank;
    } FORM[] = {{"value_int", TG_i64, 0},    {"value_ints", TG_i64, 1},   {"value_float", TG_f32, 0},
                {"value_floats", TG_f32, 1}, {"value_string", TG_str, 0}, {"value_strings", TG_str, 1}};
    const TgTensor *value = tg_attr_tensor(f->n, "value");
    if (value)
        inf_set_type(f, 0, tg_tensor_type(f->tg, value));
    for (uint32_t i = 0; i < sizeof FORM / sizeof FORM[0]; i++) {
        const TgAttr *a = tg_attr_find(f->n->attrs, FORM[i].name);
        if (a)
            inf_set_dims(f, 0, FORM[i].dtype, FORM[i].rank, inf_num(f, a->n));
    }
    return true;
}

/* --- views ---------------------------------------------------------------------------------------------- */

typedef struct {
    InfShape out;
    int32_t open; /* the axis that takes what is left (-1, or the only unknown one); -1: none */
    bool several; /* more than one is unknown */
} Target;

/* A 0 copies, a -1 takes what is left, an unknown element may be either. */
static bool read_target(const TgInfer *f, const TgDim *x, Target *t)
{
    InfShape in = inf_shape(f, 0);
    bool zeros_copy = tg_attr_int(f->n, "allowzero") == 0, minus_one = false;
    t->open = -1;
    for (int32_t k = 0; k < t->out.rank; k++) {
        bool copies = tg_dim_is(x[k], 0) && zeros_copy, open = tg_dim_is(x[k], -1);
        bool unknown = !copies && !open && tg_dim_lower(x[k]) < 0 && tg_dim_is_fresh(x[k]);
        if (copies && in.rank >= 0 && k >= in.rank)
            return inf_refuse(f, "a 0 in the target of Reshape stands where the input has no axis");
        if (open && minus_one)
            return inf_refuse(f, "the target of Reshape has more than one -1");
        minus_one |= open;
        t->out.dim[k] = copies ? inf_dim(f, 0, k) : open || unknown ? inf_fresh(f) : x[k];
        t->several |= (open || unknown) && t->open >= 0;
        if (open || unknown)
            t->open = k;
    }
    return true;
}

/* Element counts agree: that gives the open axis, or a fact about sizes. */
static bool close_target(const TgInfer *f, Target *t)
{
    Tg *tg = f->tg;
    TgDim others = inf_num(f, 1), rest;
    if (inf_rank(f, 0) < 0 || t->several)
        return true;
    TgDim count = tg_type_count(tg, inf_type(f, 0));
    for (int32_t k = 0; k < t->out.rank; k++)
        others = k == t->open ? others : tg_dim_mul(tg, others, t->out.dim[k]);
    if (t->open < 0)
        return inf_equal(f, count, others, "Reshape");
    if (tg_dim_is(others, 0))
        return true;
    if (!tg_dim_exact_div(tg, count, others, &rest)) {
        if (tg_dim_known(count, NULL) && tg_dim_known(others, NULL))
            return inf_equal(f, count, others, "Reshape");
        if (tg_dim_is_fresh(count) || tg_dim_is_fresh(others))
            return true;
        inf_suspect_divides(f, count, others);
        rest = tg_dim_div(tg, count, others);
    }
    t->out.dim[t->open] = rest;
    return true;
}

bool infer_reshape(TgInfer *f)
{
    Target t = {.out = {.rank = -1}};
    uint32_t n;
    int64_t length;
    const TgDim *x = inf_elements(f, 1, &n);
    if (!inf_length(f, 1, &length) || length > TG_MAX_RANK)
        return set_unknown(f);
    t.out.rank = (int32_t)length;
    for (int32_t k = 0; k < t.out.rank && !x; k++)
        t.out.dim[k] = inf_fresh(f);
    if (x && (!read_target(f, x, &t) || !close_target(f, &t)))
        return false;
    if (!inf_set(f, 0, inf_dtype(f, 0), &t.out))
        return false;
    keep_elements(f);
    return true;
}

bool infer_flatten(TgInfer *f)
{
    InfShape in = inf_shape(f, 0);
    int64_t axis = tg_attr_int(f->n, "axis");
    TgDim side[2] = {inf_num(f, 1), inf_num(f, 1)};
    if (in.rank < 0)
        return inf_set_dims(f, 0, inf_dtype(f, 0), 2, inf_fresh(f), inf_fresh(f));
    if (axis < -in.rank || axis > in.rank)
        return tg_report(f->tg, TG_E_infer_axis, (long long)axis, in.rank);
    axis = axis < 0 ? axis + in.rank : axis;
    for (int32_t k = 0; k < in.rank; k++)
        side[k >= axis] = tg_dim_mul(f->tg, side[k >= axis], in.dim[k]);
    inf_set_dims(f, 0, inf_dtype(f, 0), 2, side[0], side[1]);
    keep_elements(f);
    return true;
}

/* Marks the axes that input 1 lists, of a tensor of that rank. Each once. */
static bool mark_axes(const TgInfer *f, int32_t rank, uint32_t n, const int64_t *list, bool *mark)
{
    int32_t axis;
    for (int32_t k = 0; k < rank; k++)
        mark[k] = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!inf_axis(f, list[i], rank, &axis))
            return false;
        if (mark[axis])
            return inf_refuse(f, "an axis is listed twice");
        mark[axis] = true;
    }
    return true;
}

/* Rank known, axes not: so many axes are left, of unknown sizes. */
static bool set_some_axes(TgInfer *f, int32_t rank)
{
    InfShape out = {.rank = rank >= 0 && rank <= TG_MAX_RANK ? rank : -1};
    for (int32_t k = 0; k < out.rank; k++)
        out.dim[k] = inf_fresh(f);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    keep_elements(f);
    return true;
}

/* Without axes, Squeeze takes whatever is 1: known only where every size is known to be 1 or not. */
static bool mark_ones(const TgInfer *f, const InfShape *in, bool *mark)
{
    for (int32_t k = 0; k < in->rank; k++) {
        mark[k] = tg_dim_is(in->dim[k], 1);
        if (!mark[k] && !tg_dim_never_equal(f->tg, in->dim[k], inf_num(f, 1)))
            return false;
    }
    return true;
}

bool infer_squeeze(TgInfer *f)
{
    InfShape in = inf_shape(f, 0), out = {.rank = 0};
    int64_t list[TG_MAX_RANK], count;
    bool mark[TG_MAX_RANK];
    uint32_t n;
    if (in.rank < 0)
        return set_unknown(f);
    if (!inf_has(f, 1)) {
        if (!mark_ones(f, &in, mark))
            return set_unknown(f);
    } else if (!inf_ints(f, 1, TG_MAX_RANK, list, &n)) {
        return inf_length(f, 1, &count) && count <= in.rank ? set_some_axes(f, in.rank - (int32_t)count)
                                                            : set_unknown(f);
    } else if (!mark_axes(f, in.rank, n, list, mark)) {
        return false;
    }
    for (int32_t k = 0; k < in.rank; k++) {
        if (!mark[k])
            out.dim[out.rank++] = in.dim[k];
        else if (!inf_equal(f, in.dim[k], inf_num(f, 1), "Squeeze"))
            return false;
    }
    inf_set(f, 0, inf_dtype(f, 0), &out);
    keep_elements(f);
    return true;
}

bool infer_unsqueeze(TgInfer *f)
{
    InfShape in = inf_shape(f, 0), out = {.rank = -1};
    int64_t list[TG_MAX_RANK], count;
    bool mark[TG_MAX_RANK];
    uint32_t n;
    if (in.rank < 0 || !inf_length(f, 1, &count) || count > TG_MAX_RANK - in.rank)
        return set_unknown(f);
    if (!inf_ints(f, 1, TG_MAX_RANK, list, &n))
        return set_some_axes(f, in.rank + (int32_t)count);
    out.rank = in.rank + (int32_t)n;
    if (!mark_axes(f, out.rank, n, list, mark))
        return false;
    for (int32_t k = 0, from = 0; k < out.rank; k++)
        out.dim[k] = mark[k] ? inf_num(f, 1) : in.dim[from++];
    inf_set(f, 0, inf_dtype(f, 0), &out);
    keep_elements(f);
    return true;
}

/* --- transposing and expanding -------------------------------------------------------------------------- */

static bool read_perm(const TgInfer *f, int32_t rank, int32_t *perm)
{
    uint32_t n;
    bool seen[TG_MAX_RANK] = {false};
    const int64_t *list = tg_attr_ints(f->n, "perm", &n);
    if (list && n != (uint32_t)rank)
        return inf_refuse(f, "attribute 'perm' has another length than the input has axes");
    for (int32_t k = 0; k < rank; k++) {
        perm[k] = rank - 1 - k;
        if (list && !inf_axis(f, list[k], rank, &perm[k]))
            return false;
        if (seen[perm[k]])
            return inf_refuse(f, "attribute 'perm' is no permutation");
        seen[perm[k]] = true;
    }
    return true;
}

static void transpose_elements(TgInfer *f, const int32_t *perm)
{
    uint32_t n;
    InfBox in, out;
    int64_t from[TG_MAX_RANK], to[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!x || !inf_box(inf_type(f, 0), &in) || !inf_box(tg_value(f->g, f->n->out[0])->type, &out))
        return;
    for (uint32_t e = 0; e < out.count; e++) {
        inf_unravel(&out, e, to);
        for (int32_t k = 0; k < out.rank; k++)
            from[perm[k]] = to[k];
        result[e] = x[inf_ravel(&in, from)];
    }
    inf_set_elements(f, 0, out.count, result);
}

bool infer_transpose(TgInfer *f)
{
    InfShape in = inf_shape(f, 0), out = in;
    int32_t perm[TG_MAX_RANK];
    uint32_t n;
    if (in.rank < 0)
        return tg_attr_ints(f->n, "perm", &n) ? set_some_axes(f, (int32_t)n) : set_unknown(f);
    if (!read_perm(f, in.rank, perm))
        return false;
    for (int32_t k = 0; k < in.rank; k++)
        out.dim[k] = in.dim[perm[k]];
    inf_set(f, 0, inf_dtype(f, 0), &out);
    transpose_elements(f, perm);
    return true;
}

bool infer_expand(TgInfer *f)
{
    InfShape out = inf_shape(f, 0), target = spelled_shape(f, 1);
    uint32_t n;
    InfBox from, to;
    int64_t index[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    if (!inf_broadcast(f, &out, &target) || !inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!x || out.rank < 0 || !inf_box(inf_type(f, 0), &from) ||
        !inf_box(tg_value(f->g, f->n->out[0])->type, &to))
        return true;
    for (uint32_t e = 0; e < to.count; e++) {
        inf_unravel(&to, e, index);
        result[e] = x[inf_broadcast_index(&from, to.rank, index)];
    }
    inf_set_elements(f, 0, to.count, result);
    return true;
}
