/* Inference: symbolic elements through arithmetic.
 *
 * A table says, per operator, how one element comes from its operands; the walk over broadcast operands is
 * the same for all. An element that cannot be said becomes a fresh symbol, so that what can be said about its
 * neighbours survives. Sizes are taken not to overflow the 32-bit integers that some exporters squeeze them
 * into; constants do wrap.
 */
#include "infer.h"

typedef TgDim (*Fold)(const TgInfer *f, const TgDim *x, uint32_t n);

static TgDim boolean(const TgInfer *f, bool yes)
{
    return inf_num(f, yes);
}

static TgDim unknown(const TgInfer *f)
{
    return tg_dim_fresh_any(f->tg);
}

static bool known(TgDim x, int64_t *n)
{
    return tg_dim_known(x, n);
}

/* --- one operand ---------------------------------------------------------------------------------------- */

static TgDim fold_identity(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)f, (void)n;
    return x[0];
}

static TgDim fold_neg(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return tg_dim_sub(f->tg, inf_num(f, 0), x[0]);
}

static TgDim fold_abs(const TgInfer *f, const TgDim *x, uint32_t n)
{
    return tg_dim_max(f->tg, x[0], fold_neg(f, x, n));
}

static TgDim fold_sign(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (tg_dim_lower(x[0]) > 0 || tg_dim_is(x[0], 0))
        return boolean(f, tg_dim_lower(x[0]) > 0);
    return tg_dim_upper(x[0]) < 0 ? inf_num(f, -1) : unknown(f);
}

static TgDim fold_relu(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return tg_dim_max(f->tg, x[0], inf_num(f, 0));
}

static TgDim fold_not(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return tg_dim_sub(f->tg, inf_num(f, 1), x[0]);
}

TgDim inf_cast_element(Tg *tg, TgDim x, TgDtype from, TgDtype to)
{
    int64_t n;
    uint32_t bits = tg_dtype_bits(to);
    if (to == TG_bool) {
        if (from == TG_bool || tg_dim_is(x, 0))
            return x;
        return tg_dim_never_equal(tg, x, tg_dim(tg, 0)) ? tg_dim(tg, 1) : tg_dim_fresh_any(tg);
    }
    if (tg_dim_known(x, &n))
        return tg_dim(tg, tg_wrap_integer(to, n));
    bool is_signed = tg_dtype_class(to) == TG_CLASS_I;
    if (bits >= 32)
        return is_signed || tg_dim_lower(x) >= 0 ? x : tg_dim_fresh(tg);
    int64_t least = is_signed ? -(INT64_C(1) << (bits - 1)) : 0;
    int64_t most = (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
    return tg_dim_lower(x) >= least && tg_dim_upper(x) <= most ? x : tg_dim_fresh_any(tg);
}

/* --- two operands --------------------------------------------------------------------------------------- */

static TgDim fold_add(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim sum = x[0];
    for (uint32_t i = 1; i < n; i++)
        sum = tg_dim_add(f->tg, sum, x[i]);
    return sum;
}

static TgDim fold_sub(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return tg_dim_sub(f->tg, x[0], x[1]);
}

static TgDim fold_mul(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return tg_dim_mul(f->tg, x[0], x[1]);
}

/* Division of integers truncates: the floor where nothing is negative. */
static TgDim fold_div(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim quotient;
    int64_t a, b;
    (void)n;
    if (known(x[0], &a) && known(x[1], &b))
        return b == 0 || (b == -1 && a == INT64_MIN) ? unknown(f) : inf_num(f, a / b);
    if (tg_dim_exact_div(f->tg, x[0], x[1], &quotient))
        return quotient;
    bool natural = tg_dim_lower(x[0]) >= 0 && tg_dim_lower(x[1]) >= 0;
    return natural ? tg_dim_div(f->tg, x[0], x[1]) : unknown(f);
}

/* fmod=1 takes the sign of the dividend: the same where nothing is negative. */
static TgDim fold_mod(const TgInfer *f, const TgDim *x, uint32_t n)
{
    int64_t a, b;
    (void)n;
    bool natural = tg_dim_lower(x[0]) >= 0 && tg_dim_lower(x[1]) >= 0;
    if (tg_attr_int(f->n, "fmod") == 0 || natural)
        return tg_dim_mod(f->tg, x[0], x[1]);
    return known(x[0], &a) && known(x[1], &b) && b != 0 && b != -1 ? inf_num(f, a % b) : unknown(f);
}

static TgDim fold_pow(const TgInfer *f, const TgDim *x, uint32_t n)
{
    int64_t power;
    (void)n;
    if (!known(x[1], &power) || power < 0 || power > 64)
        return unknown(f);
    TgDim result = inf_num(f, 1);
    while (power-- > 0)
        result = tg_dim_mul(f->tg, result, x[0]);
    return result;
}

static TgDim fold_min(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim least = x[0];
    for (uint32_t i = 1; i < n; i++)
        least = tg_dim_min(f->tg, least, x[i]);
    return least;
}

static TgDim fold_max(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim most = x[0];
    for (uint32_t i = 1; i < n; i++)
        most = tg_dim_max(f->tg, most, x[i]);
    return most;
}

/* Clip(x, least, most): min(max(x, least), most). The absent bounds were filled in by x itself. */
static TgDim fold_clip(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim low = n > 1 ? tg_dim_max(f->tg, x[0], x[1]) : x[0];
    return n > 2 && x[2] != x[0] ? tg_dim_min(f->tg, low, x[2]) : low;
}

static TgDim fold_and(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (tg_dim_is(x[0], 0) || tg_dim_is(x[1], 0))
        return boolean(f, false);
    return tg_dim_is(x[0], 1) ? x[1] : tg_dim_is(x[1], 1) || x[0] == x[1] ? x[0] : unknown(f);
}

static TgDim fold_or(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (tg_dim_is(x[0], 1) || tg_dim_is(x[1], 1))
        return boolean(f, true);
    return tg_dim_is(x[0], 0) ? x[1] : tg_dim_is(x[1], 0) || x[0] == x[1] ? x[0] : unknown(f);
}

static TgDim fold_xor(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (x[0] == x[1])
        return boolean(f, false);
    return tg_dim_is(x[0], 0) ? x[1] : tg_dim_is(x[1], 0) ? x[0] : unknown(f);
}

static TgDim fold_equal(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (x[0] == x[1])
        return boolean(f, true);
    return tg_dim_never_equal(f->tg, x[0], x[1]) ? boolean(f, false) : unknown(f);
}

/* a < b, in integers: b >= a + 1. */
static TgDim decide_less(const TgInfer *f, TgDim a, TgDim b)
{
    if (tg_dim_at_least(f->tg, b, tg_dim_add(f->tg, a, inf_num(f, 1))))
        return boolean(f, true);
    return tg_dim_at_least(f->tg, a, b) ? boolean(f, false) : unknown(f);
}

static TgDim fold_less(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return decide_less(f, x[0], x[1]);
}

static TgDim fold_greater(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    return decide_less(f, x[1], x[0]);
}

static TgDim fold_less_or_equal(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim opposite = decide_less(f, x[1], x[0]);
    return fold_not(f, &opposite, n);
}

static TgDim fold_greater_or_equal(const TgInfer *f, const TgDim *x, uint32_t n)
{
    TgDim opposite = decide_less(f, x[0], x[1]);
    return fold_not(f, &opposite, n);
}

static TgDim fold_where(const TgInfer *f, const TgDim *x, uint32_t n)
{
    (void)n;
    if (tg_dim_is(x[0], 0) || x[1] == x[2])
        return x[2];
    if (tg_dim_is(x[0], 1))
        return x[1];
    return tg_dim_lower(x[1]) >= 0 && tg_dim_lower(x[2]) >= 0 ? inf_fresh(f) : unknown(f);
}

static Fold fold_of(TgOp op)
{
    static const struct {
        TgOp op;
        Fold fold;
    } ROW[] = {
        {TG_Identity, fold_identity},
        {TG_Neg, fold_neg},
        {TG_Abs, fold_abs},
        {TG_Sign, fold_sign},
        {TG_Relu, fold_relu},
        {TG_Not, fold_not},
        {TG_Add, fold_add},
        {TG_Sum, fold_add},
        {TG_Sub, fold_sub},
        {TG_Mul, fold_mul},
        {TG_Div, fold_div},
        {TG_Mod, fold_mod},
        {TG_Pow, fold_pow},
        {TG_Min, fold_min},
        {TG_Max, fold_max},
        {TG_Clip, fold_clip},
        {TG_And, fold_and},
        {TG_Or, fold_or},
        {TG_Xor, fold_xor},
        {TG_Equal, fold_equal},
        {TG_Less, fold_less},
        {TG_Greater, fold_greater},
        {TG_LessOrEqual, fold_less_or_equal},
        {TG_GreaterOrEqual, fold_greater_or_equal},
        {TG_Where, fold_where},
    };
    for (uint32_t i = 0; i < sizeof ROW / sizeof ROW[0]; i++)
        if (ROW[i].op == op)
            return ROW[i].fold;
    return NULL;
}

/* --- the walk ------------------------------------------------------------------------------------------- */

enum { MOST_OPERANDS = 8 };

typedef struct {
    uint32_t n;
    const TgDim *element[MOST_OPERANDS]; /* NULL: absent, the first one stands in */
    InfBox box[MOST_OPERANDS];
} Operands;

/* False: nothing is known, or some operand cannot be taken element by element. */
static bool read_operands(const TgInfer *f, Operands *o)
{
    bool anything = false;
    uint32_t count;
    o->n = f->n->n_formal;
    if (o->n == 0 || o->n > MOST_OPERANDS)
        return false;
    for (uint32_t i = 0; i < o->n; i++)
        anything |= inf_has_elements(f, i);
    for (uint32_t i = 0; i < o->n && anything; i++) {
        o->element[i] = inf_elements(f, i, &count);
        if (inf_has(f, i) ? !o->element[i] || !inf_box(inf_type(f, i), &o->box[i]) : i == 0)
            return false;
    }
    return anything;
}

/* Constants wrap as their element type does; a size that did not fit its type was no size. */
static TgDim wrapped(const TgInfer *f, TgDim x, TgDtype dtype)
{
    int64_t n;
    return dtype != TG_bool && tg_dim_known(x, &n) ? inf_num(f, tg_wrap_integer(dtype, n)) : x;
}

/* Every element of `box` has one in each operand: bounds of Clip, say, are not broadcast by inference. */
static bool all_broadcast(const Operands *o, const InfBox *box)
{
    for (uint32_t i = 0; i < o->n; i++) {
        const InfBox *from = &o->box[i];
        int32_t shift = box->rank - from->rank;
        if (!o->element[i])
            continue;
        for (int32_t k = 0; k < from->rank; k++)
            if (shift < 0 || (from->dim[k] != 1 && from->dim[k] != box->dim[k + shift]))
                return false;
    }
    return true;
}

void inf_fold_elementwise(TgInfer *f)
{
    const TgType *type = tg_value(f->g, f->n->out[0])->type;
    InfBox box;
    Operands o;
    TgDim result[INF_ELEMENTS], x[MOST_OPERANDS];
    int64_t index[TG_MAX_RANK];
    if (!tg_is_tensor(type) || !(tg_is_integer(type->dtype) || type->dtype == TG_bool) ||
        !inf_box(type, &box))
        return;
    Fold fold = fold_of(f->n->op);
    if (!fold || !read_operands(f, &o) || !all_broadcast(&o, &box))
        return;
    for (uint32_t e = 0; e < box.count; e++) {
        inf_unravel(&box, e, index);
        for (uint32_t i = 0; i < o.n; i++)
            x[i] = o.element[i] ? o.element[i][inf_broadcast_index(&o.box[i], box.rank, index)] : x[0];
        result[e] = wrapped(f, fold(f, x, o.n), type->dtype);
    }
    inf_set_elements(f, 0, box.count, result);
}
