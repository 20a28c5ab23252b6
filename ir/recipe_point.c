/* Single elements of recipes in float64, by another way than recipe_box.c: what a folded weight is checked
 * against while it is written.
 *
 * An element is followed through the recipe to the stored numbers that it depends on. Beside its value the
 * size of the terms is carried, |a| + |b| for a sum and |a| |b| for a product, so that the bound holds
 * under cancellation:
 *
 *     |stored - value| <= u |value| + u (steps + 8 sqrt(k)) size
 *
 * with u the unit roundoff of the widest rounding on the way and k the length of dot products; the factor
 * 8 fails with a chance below 1e-9 (Higham and Mary 2019; Ipsen and Zhou, arXiv 1906.10465). Recipes of
 * operators that are not followed here are not checked, nor are elements that depend on too many numbers
 * (products of products). */
#include <math.h>

#include "recipe.h"

enum { DEEPEST = 64, MOST_POINTS = 1 << 16 /* on the way to one element */ };

typedef struct {
    Tg *tg;
    uint32_t left; /* points that may still be looked at */
} Walk;

typedef struct {
    double value, size, steps, unit;
    bool known;
} Point;

static const Point unknown;

static Point point_of(Walk *w, const TgTensor *t, const int64_t *at, int depth);

double tg_unit_roundoff(TgDtype t)
{
    return ldexp(1, t == TG_f64 ? -53 : t == TG_f16 ? -11 : t == TG_bf16 ? -8 : -24);
}

static size_t flat_index(const TgTensor *t, const int64_t *at)
{
    size_t i = 0;
    for (int32_t k = 0; k < t->rank; k++)
        i = i * (size_t)t->dim[k] + (size_t)at[k];
    return i;
}

static void unflatten(const TgTensor *t, size_t i, int64_t *at)
{
    for (int32_t k = t->rank; k-- > 0; i /= (size_t)t->dim[k])
        at[k] = (int64_t)(i % (size_t)t->dim[k]);
}

static bool has_attr(const TgRecipe *r, const char *name)
{
    return tg_attr_has(r->attrs, name);
}

/* An integer attribute; attribute lists never hold defaults, so that of the operator is given. */
static int64_t int_attr(const TgRecipe *r, const char *name, int64_t otherwise)
{
    const TgAttr *a = tg_attr_find(r->attrs, name);
    return a && a->kind == TG_A_INT ? a->u.i : otherwise;
}

static int64_t axis_of(const TgRecipe *r, int32_t rank, int64_t otherwise)
{
    int64_t axis = int_attr(r, "axis", otherwise);
    return axis < 0 ? axis + rank : axis;
}

/* --- arithmetic ----------------------------------------------------------------------------------------- */

/* Operand i at the place that broadcasting gives for `at`. */
static Point operand(Walk *w, const TgTensor *t, uint32_t i, const int64_t *at, int depth)
{
    const TgTensor *in = t->recipe->input[i];
    int64_t there[TG_BOX_RANK];
    for (int32_t k = 0; k < in->rank; k++)
        there[k] = in->dim[k] == 1 ? 0 : at[k + t->rank - in->rank];
    return point_of(w, in, there, depth);
}

static Point combined(double value, double size, const Point *a, const Point *b)
{
    return (Point){value, size, a->steps + b->steps + 1, fmax(a->unit, b->unit), a->known && b->known};
}

static Point arithmetic(TgOp op, const Point *a, const Point *b)
{
    switch (op) {
    case TG_Add: return combined(a->value + b->value, a->size + b->size, a, b);
    case TG_Sub: return combined(a->value - b->value, a->size + b->size, a, b);
    case TG_Mul: return combined(a->value * b->value, a->size * b->size, a, b);
    default:
        return combined(a->value / b->value, a->size / fabs(b->value) * (b->size / fabs(b->value)), a, b);
    }
}

static Point function(TgOp op, Point x)
{
    double y = op == TG_Neg          ? -x.value
               : op == TG_Reciprocal ? 1 / x.value
               : op == TG_Sqrt       ? sqrt(x.value)
                                     : x.value;
    double grows = x.value != 0 ? x.size / fabs(x.value) : 1; /* the terms against their sum */
    x.value = y;
    x.size = fabs(y) * grows;
    x.steps++;
    return x;
}

/* A row of the first by a column of the second operand. */
static Point dot(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    const TgRecipe *r = t->recipe;
    const TgTensor *a = r->input[0], *b = r->input[1];
    bool turned = r->op == TG_Gemm && int_attr(r, "transB", 0);
    int64_t k = a->rank == 2 ? a->dim[1] : 0;
    Point sum = {.known = k > 0 && k <= w->left && b->rank == 2 && t->rank == 2};
    for (int64_t i = 0; i < k && sum.known; i++) {
        Point x = point_of(w, a, (int64_t[]){at[0], i}, depth);
        Point y = point_of(w, b, turned ? (int64_t[]){at[1], i} : (int64_t[]){i, at[1]}, depth);
        Point term = arithmetic(TG_Mul, &x, &y);
        term.steps = fmax(term.steps, sum.steps);
        sum = (Point){sum.value + term.value, sum.size + term.size, term.steps, fmax(sum.unit, term.unit),
                      term.known};
    }
    sum.steps += 8 * sqrt((double)k);
    return sum;
}

/* --- moves ---------------------------------------------------------------------------------------------- */

static Point transposed(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    const TgTensor *in = t->recipe->input[0];
    const TgAttr *perm = tg_attr_find(t->recipe->attrs, "perm");
    int64_t there[TG_BOX_RANK];
    for (int32_t k = 0; k < t->rank; k++)
        there[perm && perm->n ? perm->u.ints[k] : t->rank - 1 - k] = at[k]; /* an empty list: none is given */
    return point_of(w, in, there, depth);
}

static Point reshaped(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    int64_t there[TG_BOX_RANK];
    unflatten(t->recipe->input[0], flat_index(t, at), there);
    return point_of(w, t->recipe->input[0], there, depth);
}

static Point joined(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    int64_t axis = axis_of(t->recipe, t->rank, 0), there[TG_BOX_RANK];
    for (int32_t k = 0; k < t->rank; k++)
        there[k] = at[k];
    for (uint32_t i = 0; i < t->recipe->n; i++) {
        if (there[axis] < t->recipe->input[i]->dim[axis])
            return point_of(w, t->recipe->input[i], there, depth);
        there[axis] -= t->recipe->input[i]->dim[axis];
    }
    return unknown;
}

static Point gathered(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    const TgTensor *data = t->recipe->input[0], *index = t->recipe->input[1];
    int64_t axis = axis_of(t->recipe, data->rank, 0), there[TG_BOX_RANK];
    if (index->payload == TG_RECIPE)
        return unknown;
    int64_t which = tg_tensor_int(w->tg, index, flat_index(index, at + axis));
    for (int32_t k = 0; k < data->rank; k++)
        there[k] = k < axis    ? at[k]
                   : k == axis ? (which < 0 ? which + data->dim[k] : which)
                               : at[k + index->rank - 1];
    return point_of(w, data, there, depth);
}

/* --- an element ----------------------------------------------------------------------------------------- */

static Point leaf(Walk *w, const TgTensor *t, const int64_t *at)
{
    double x = tg_is_float(t->dtype) ? tg_tensor_float(w->tg, t, flat_index(t, at)) : NAN;
    return (Point){x, fabs(x), 0, tg_unit_roundoff(t->dtype), isfinite(x)};
}

static Point computed(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    const TgRecipe *r = t->recipe;
    TgOp op = (TgOp)r->op;
    Point a, b;
    switch (op) {
    case TG_Add:
    case TG_Sub:
    case TG_Mul:
    case TG_Div:
        a = operand(w, t, 0, at, depth);
        b = operand(w, t, 1, at, depth);
        return arithmetic(op, &a, &b);
    case TG_Neg:
    case TG_Reciprocal:
    case TG_Sqrt:
    case TG_Identity:
    case TG_Cast:
    case TG_Expand: return function(op, operand(w, t, 0, at, depth));
    case TG_Transpose: return transposed(w, t, at, depth);
    case TG_Reshape:
    case TG_Squeeze:
    case TG_Unsqueeze:
    case TG_Flatten: return reshaped(w, t, at, depth);
    case TG_Concat: return joined(w, t, at, depth);
    case TG_Gather: return gathered(w, t, at, depth);
    case TG_MatMul: return dot(w, t, at, depth);
    case TG_Gemm:
        return r->n == 2 && !has_attr(r, "alpha") && !has_attr(r, "transA") ? dot(w, t, at, depth) : unknown;
    default: return unknown;
    }
}

static Point point_of(Walk *w, const TgTensor *t, const int64_t *at, int depth)
{
    if (depth == DEEPEST || t->rank > TG_BOX_RANK || !w->left)
        return unknown;
    w->left--;
    bool recipe = t->payload == TG_RECIPE || (depth == 0 && t->recipe);
    Point p = recipe ? computed(w, t, at, depth + 1) : leaf(w, t, at);
    p.unit = fmax(p.unit, tg_unit_roundoff(t->dtype));
    return p;
}

TgFollowed tg_recipe_follow(Tg *tg, const TgTensor *t, size_t i, double stored)
{
    double smallest = t->dtype == TG_f16 ? 0x1p-24 : 0x1p-126; /* numbers near zero are spaced evenly */
    int64_t at[TG_BOX_RANK];
    if (!t->recipe || !tg_is_float(t->dtype) || tg_dtype_bits(t->dtype) < 16 || t->rank > TG_BOX_RANK)
        return TG_NOT_FOLLOWED;
    unflatten(t, i, at);
    Walk walk = {tg, MOST_POINTS};
    Point p = point_of(&walk, t, at, 0);
    if (!p.known || !isfinite(p.value) || fabs(p.value) > 1e30)
        return TG_NOT_FOLLOWED;
    double unit = 2 * p.unit, bound = unit * fabs(p.value) + unit * (p.steps + 1) * p.size + smallest;
    bool near = fabs(stored - p.value) <= bound || (t->dtype == TG_f16 && fabs(p.value) > 65000);
    return near ? TG_FOLLOWED_AGREES : TG_FOLLOWED_DIFFERS;
}

bool tg_recipe_agrees(Tg *tg, const TgTensor *t, size_t i, double stored)
{
    return tg_recipe_follow(tg, t, i, stored) != TG_FOLLOWED_DIFFERS;
}
