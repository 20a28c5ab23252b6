/* Inference: reading inputs, writing outputs, requirements. See infer.h. */
#include "infer.h"

#include <string.h>

/* --- inputs --------------------------------------------------------------------------------------------- */

const TgType *inf_type(const TgInfer *f, uint32_t i)
{
    return inf_has(f, i) ? inf_value(f, i)->type : tg_untyped(f->tg);
}

int32_t inf_rank(const TgInfer *f, uint32_t i)
{
    const TgType *t = inf_type(f, i);
    return t->kind == TG_TENSOR ? t->rank : -1;
}

TgDtype inf_dtype(const TgInfer *f, uint32_t i)
{
    const TgType *t = inf_type(f, i);
    return t->kind == TG_TENSOR ? t->dtype : TG_undefined;
}

TgDim inf_dim(const TgInfer *f, uint32_t i, int32_t k)
{
    int32_t rank = inf_rank(f, i);
    k = k < 0 ? k + rank : k;
    return rank >= 0 && k >= 0 && k < rank ? inf_type(f, i)->dim[k] : inf_fresh(f);
}

InfShape inf_shape(const TgInfer *f, uint32_t i)
{
    InfShape s = {.rank = inf_rank(f, i)};
    for (int32_t k = 0; k < s.rank; k++)
        s.dim[k] = inf_type(f, i)->dim[k];
    return s;
}

bool inf_ints(const TgInfer *f, uint32_t i, uint32_t max, int64_t *out, uint32_t *n)
{
    return inf_has(f, i) && tg_const_ints(f->g, f->n->in[i], max, out, n);
}

bool inf_int(const TgInfer *f, uint32_t i, int64_t *out)
{
    uint32_t n;
    return inf_ints(f, i, 1, out, &n) && n == 1;
}

static bool holds_integers(const TgType *t)
{
    return t->kind == TG_TENSOR && (tg_is_integer(t->dtype) || t->dtype == TG_bool);
}

bool inf_has_elements(const TgInfer *f, uint32_t i)
{
    return inf_has(f, i) && inf_value(f, i)->symbolic != NULL;
}

const TgDim *inf_elements(const TgInfer *f, uint32_t i, uint32_t *n)
{
    int64_t count;
    if (!inf_has(f, i) || !holds_integers(inf_type(f, i)) || !tg_type_numel(inf_type(f, i), &count))
        return NULL;
    TgValueInfo *v = tg_value(f->g, f->n->in[i]);
    *n = (uint32_t)count;
    if (v->symbolic)
        return v->symbolic;
    if (count > INF_NAMED || v->tensor)
        return NULL;
    TgDim *made = TG_NEW_N(f->g->arena, TgDim, count + 1);
    bool natural = tg_dtype_class(v->type->dtype) == TG_CLASS_U;
    for (int64_t k = 0; k < count; k++)
        made[k] = natural ? tg_dim_fresh(f->tg) : tg_dim_fresh_any(f->tg);
    v->symbolic = made;
    return made;
}

bool inf_length(const TgInfer *f, uint32_t i, int64_t *n)
{
    const TgType *t = inf_type(f, i);
    return t->kind == TG_TENSOR && t->rank >= 0 && t->rank <= 1 && tg_type_numel(t, n);
}

bool inf_box(const TgType *t, InfBox *box)
{
    int64_t count;
    if (!tg_type_static(t, box->dim) || !tg_type_numel(t, &count) || count > INF_ELEMENTS)
        return false;
    box->rank = t->rank;
    box->count = (uint32_t)count;
    return true;
}

/* --- numbers -------------------------------------------------------------------------------------------- */

TgDim inf_size(const TgInfer *f, TgDim element)
{
    if (tg_dim_lower(element) >= 0 || !tg_dim_is_symbol(element))
        return element;
    TgDim size = inf_fresh(f);
    TG_PUSH(f->g->arena, &f->g->equal, element);
    TG_PUSH(f->g->arena, &f->g->equal, size);
    return size;
}

uint32_t inf_ravel(const InfBox *box, const int64_t *index)
{
    int64_t linear = 0;
    for (int32_t k = 0; k < box->rank; k++)
        linear = linear * box->dim[k] + index[k];
    return (uint32_t)linear;
}

void inf_unravel(const InfBox *box, uint32_t linear, int64_t *index)
{
    int64_t rest = linear;
    for (int32_t k = box->rank; k-- > 0;) {
        index[k] = rest % box->dim[k];
        rest /= box->dim[k];
    }
}

uint32_t inf_broadcast_index(const InfBox *from, int32_t rank, const int64_t *index)
{
    int64_t linear = 0;
    for (int32_t k = 0; k < from->rank; k++) {
        int64_t at = index[rank - from->rank + k];
        linear = linear * from->dim[k] + (from->dim[k] == 1 ? 0 : at);
    }
    return (uint32_t)linear;
}

/* --- outputs -------------------------------------------------------------------------------------------- */

void inf_set_type(TgInfer *f, uint32_t i, const TgType *type)
{
    if (i < f->n->n_out)
        tg_value(f->g, f->n->out[i])->type = type;
}

bool inf_set(TgInfer *f, uint32_t i, TgDtype dtype, const InfShape *shape)
{
    int64_t n;
    if (i >= f->n->n_out)
        return true;
    if (shape->rank > 0 && !tg_within(f->tg, TG_LIMIT_rank, (uint64_t)shape->rank))
        return false;
    for (int32_t k = 0; k < shape->rank; k++)
        if (tg_dim_known(shape->dim[k], &n) && n < 0)
            return tg_report(f->tg, TG_E_infer_negative, k, i, (long long)n);
    inf_set_type(f, i, tg_type(f->tg, dtype, shape->rank, shape->dim));
    return true;
}

bool inf_set_dims(TgInfer *f, uint32_t i, TgDtype dtype, int32_t rank, ...)
{
    InfShape shape = {.rank = rank};
    va_list dims;
    va_start(dims, rank);
    for (int32_t k = 0; k < rank; k++)
        shape.dim[k] = va_arg(dims, TgDim);
    va_end(dims);
    return inf_set(f, i, dtype, &shape);
}

void inf_set_unranked(TgInfer *f, uint32_t i, TgDtype dtype)
{
    inf_set_type(f, i, tg_type(f->tg, dtype, -1, NULL));
}

bool inf_set_same(TgInfer *f, uint32_t i, uint32_t input)
{
    inf_set_type(f, i, inf_type(f, input));
    return true;
}

void inf_set_elements(TgInfer *f, uint32_t i, uint32_t n, const TgDim *elements)
{
    int64_t count;
    TgValueInfo *v = i < f->n->n_out ? tg_value(f->g, f->n->out[i]) : NULL;
    if (v && tg_type_numel(v->type, &count) && count == n)
        v->symbolic = n ? tg_copy(f->g->arena, elements, n * sizeof *elements) : TG_NEW(f->g->arena, TgDim);
}

/* --- requirements --------------------------------------------------------------------------------------- */

bool inf_axis(const TgInfer *f, int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -rank || axis >= rank)
        return tg_report(f->tg, TG_E_infer_axis, (long long)axis, rank);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

bool inf_axis_attr(const TgInfer *f, const char *name, int32_t rank, int32_t *out)
{
    return inf_axis(f, tg_attr_int(f->n, name), rank, out);
}

bool inf_need_rank(const TgInfer *f, uint32_t i, int32_t least, int32_t most)
{
    int32_t rank = inf_rank(f, i);
    if (rank < 0 || (rank >= least && rank <= most))
        return true;
    return tg_report(f->tg, TG_E_infer_rank, i, rank, least, most);
}

bool inf_equal(const TgInfer *f, TgDim a, TgDim b, const char *what)
{
    if (a == b)
        return true;
    if (tg_dim_never_equal(f->tg, a, b))
        return tg_report(f->tg, TG_E_infer_sizes, tg_dim_text(f->tg, a), tg_dim_text(f->tg, b), what);
    inf_suspect_equal(f, a, b);
    TG_PUSH(f->g->arena, &f->g->equal, a);
    TG_PUSH(f->g->arena, &f->g->equal, b);
    return true;
}

bool inf_same_dtype(const TgInfer *f, uint32_t a, uint32_t b)
{
    TgDtype x = inf_dtype(f, a), y = inf_dtype(f, b);
    if (x == y || x == TG_undefined || y == TG_undefined)
        return true;
    return tg_report(f->tg, TG_E_infer_dtype, b, tg_dtype_text(y), a, tg_dtype_text(x));
}

/* One axis: neither can be 1, so both are equal; or one is 1; or nobody knows, and what speaks for equality
 * is noted. */
static bool broadcast_axis(const TgInfer *f, TgDim a, TgDim b, TgDim *out)
{
    bool a_wide = tg_dim_lower(a) >= 2, b_wide = tg_dim_lower(b) >= 2;
    *out = tg_dim_bcast(f->tg, a, b);
    if (a == b)
        return true;
    if (a_wide && b_wide)
        return inf_equal(f, a, b, "broadcasting");
    if (!a_wide && !b_wide && !tg_dim_is(a, 1) && !tg_dim_is(b, 1))
        inf_suspect_equal(f, a, b);
    return true;
}

bool inf_broadcast(const TgInfer *f, InfShape *into, const InfShape *with)
{
    if (into->rank < 0 || with->rank < 0) {
        into->rank = -1;
        return true;
    }
    int32_t rank = into->rank > with->rank ? into->rank : with->rank;
    int32_t skip_a = rank - into->rank, skip_b = rank - with->rank;
    memmove(&into->dim[skip_a], into->dim, (size_t)into->rank * sizeof into->dim[0]);
    into->rank = rank;
    for (int32_t k = 0; k < rank; k++) {
        if (k < skip_a)
            into->dim[k] = with->dim[k];
        else if (k >= skip_b && !broadcast_axis(f, into->dim[k], with->dim[k - skip_b], &into->dim[k]))
            return false;
    }
    return true;
}

bool inf_refuse(const TgInfer *f, const char *why)
{
    return tg_report(f->tg, TG_E_infer_refuse, why);
}
