/* Expressions come to numbers, texts or lists: of attributes, sizes and constants that a match has bound. */
#include <string.h>

#include "match.h"

bool constant_number(const TgGraph *g, TgValue v, double *x)
{
    enum { LOOK = 1 << 12 }; /* elements that are worth reading to find out */
    const TgTensor *t = tg_const_of(g, v);
    bool number =
        t && t->payload != TG_STRINGS && t->payload != TG_RECIPE && tg_dtype_class(t->dtype) != TG_CLASS_C;
    return number && t->count > 0 && (t->payload == TG_SPLAT || t->count <= LOOK) &&
           tg_tensor_is_splat(g->tg, t, x);
}

bool constant_axes(const TgGraph *g, TgValue axes, const TgType *of, int64_t *first, uint32_t *n)
{
    int64_t at[TG_MAX_RANK];
    uint64_t seen = 0;
    *first = 0;
    if (!tg_is_tensor(of) || !tg_const_ints(g, axes, TG_MAX_RANK, at, n) || *n == 0)
        return false;
    for (uint32_t i = 0; i < *n; i++) {
        int64_t from_end = at[i] < 0 ? at[i] : at[i] - of->rank;
        if (from_end < -of->rank || from_end >= 0 || seen >> (-from_end - 1) & 1)
            return false;
        seen |= (uint64_t)1 << (-from_end - 1);
        *first = from_end < *first ? from_end : *first;
    }
    return true;
}

/* --- attributes ------------------------------------------------------------------------------------ */

const char *attr_letters(TgOp op, TgName name, size_t *n)
{
    size_t length = strlen(name);
    for (const char *at = tg_op_info(op)->attrs; *at; at += *at == ' ') {
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            *n = strcspn(at + length + 1, " :");
            return at + length + 1;
        }
        at += strcspn(at, " ");
    }
    *n = 0;
    return "";
}

static Computed of_int(int64_t i)
{
    return (Computed){.kind = TG_A_INT, .i = i};
}

static Computed of_float(double f)
{
    return (Computed){.kind = TG_A_FLOAT, .f = f};
}

static Computed of_attr(const TgAttr *a)
{
    if (a->kind == TG_A_INT)
        return of_int(a->u.i);
    if (a->kind == TG_A_FLOAT)
        return of_float((double)a->u.f);
    return (Computed){.kind = a->kind, .attr = *a};
}

/* --- functions ------------------------------------------------------------------------------------- */

static const TgType *type_of(const Match *m, const Expr *value)
{
    const Bound *b = value->slot == NO_SLOT ? NULL : &m->at[value->slot];
    return b && b->set && b->value ? tg_type_of(m->g, b->value) : tg_untyped(m->tg);
}

static bool front_axis(const Match *m, int64_t axis, const Expr *value, int64_t *out)
{
    const TgType *t = type_of(m, value);
    if (t->kind != TG_TENSOR || axis < -t->rank || axis >= t->rank)
        return false;
    *out = axis < 0 ? axis + t->rank : axis;
    return true;
}

static bool call_of_value(const Match *m, const Expr *e, Computed *out)
{
    const TgType *t = type_of(m, e->at[0]);
    double x;
    if (e->function == FN_rank)
        return *out = of_int(t->rank), t->kind == TG_TENSOR && t->rank >= 0;
    const Bound *b = e->at[0]->slot == NO_SLOT ? NULL : &m->at[e->at[0]->slot];
    if (!b || !b->set || !constant_number(m->g, b->value, &x))
        return false;
    if (e->function == FN_float)
        return *out = of_float(x), true;
    *out = of_int((int64_t)x);
    return x >= -0x1p53 && x <= 0x1p53 && (double)out->i == x;
}

static bool first_axis(const Match *m, const Expr *e, Computed *out)
{
    uint32_t n;
    const Bound *axes = e->at[0]->slot == NO_SLOT ? NULL : &m->at[e->at[0]->slot];
    *out = of_int(0);
    return axes && axes->set && constant_axes(m->g, axes->value, type_of(m, e->at[1]), &out->i, &n);
}

static bool floor_division(bool remainder, int64_t a, int64_t b, Computed *out)
{
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    int64_t q = a / b - (a % b != 0 && (a < 0) != (b < 0));
    *out = of_int(remainder ? a - q * b : q);
    return true;
}

static bool call(const Match *m, const Expr *e, Computed *out)
{
    int64_t a, b;
    if (e->n == 1)
        return call_of_value(m, e, out);
    if (e->function == FN_axis) {
        *out = of_int(0);
        return compute_int(m, e->at[0], &a) && front_axis(m, a, e->at[1], &out->i);
    }
    if (e->function == FN_first_axis)
        return first_axis(m, e, out);
    if (!compute_int(m, e->at[1], &b))
        return false;
    if (e->function == FN_dim) {
        *out = of_int(0);
        return front_axis(m, b, e->at[0], &a) && tg_dim_known(type_of(m, e->at[0])->dim[a], &out->i);
    }
    if (!compute_int(m, e->at[0], &a))
        return false;
    if (e->function == FN_mod)
        return floor_division(true, a, b, out);
    *out = of_int((e->function == FN_min) == (a < b) ? a : b);
    return true;
}

/* --- sums and products ----------------------------------------------------------------------------- */

static bool real_arithmetic(ExprKind kind, double a, double b, Computed *out)
{
    *out = of_float(kind == X_ADD ? a + b : kind == X_SUB ? a - b : a * b);
    return kind == X_ADD || kind == X_SUB || kind == X_MUL;
}

static double as_float(const Computed *c)
{
    return c->kind == TG_A_INT ? (double)c->i : c->f;
}

static bool arithmetic(const Match *m, const Expr *e, Computed *out)
{
    Computed a, b;
    if (!compute_expr(m, e->at[0], &a) || !compute_expr(m, e->at[1], &b))
        return false;
    bool numbers =
        (a.kind == TG_A_INT || a.kind == TG_A_FLOAT) && (b.kind == TG_A_INT || b.kind == TG_A_FLOAT);
    if (!numbers)
        return false;
    if (a.kind == TG_A_FLOAT || b.kind == TG_A_FLOAT)
        return real_arithmetic(e->kind, as_float(&a), as_float(&b), out);
    *out = of_int(0);
    switch (e->kind) {
    case X_ADD: return !__builtin_add_overflow(a.i, b.i, &out->i);
    case X_SUB: return !__builtin_sub_overflow(a.i, b.i, &out->i);
    case X_MUL: return !__builtin_mul_overflow(a.i, b.i, &out->i);
    default: return floor_division(false, a.i, b.i, out);
    }
}

/* --- all of it ------------------------------------------------------------------------------------- */

static bool list(const Match *m, const Expr *e, Computed *out)
{
    int64_t *ints = TG_NEW_N(m->g->arena, int64_t, e->n + 1);
    for (uint32_t i = 0; i < e->n; i++)
        if (!compute_int(m, e->at[i], &ints[i]))
            return false;
    *out = (Computed){.kind = TG_A_INTS, .attr = {.kind = TG_A_INTS, .n = e->n, .u.ints = ints}};
    return true;
}

static bool name(const Match *m, const Expr *e, Computed *out)
{
    const Bound *b = e->slot == NO_SLOT ? NULL : &m->at[e->slot];
    if (!b || !b->set)
        return false;
    if (!b->dim)
        return *out = of_attr(&b->attr), true;
    *out = of_int(0);
    return tg_dim_known(b->dim, &out->i);
}

bool compute_expr(const Match *m, const Expr *e, Computed *out)
{
    switch (e->kind) {
    case X_INT: return *out = of_int(e->i), true;
    case X_FLOAT: return *out = of_float(e->f), true;
    case X_STRING:
        return *out = (Computed){.kind = TG_A_STRING, .attr = {.kind = TG_A_STRING, .n = 1, .u.s = e->s}},
               true;
    case X_NAME: return name(m, e, out);
    case X_LIST: return list(m, e, out);
    case X_CALL: return call(m, e, out);
    default: return arithmetic(m, e, out);
    }
}

bool compute_int(const Match *m, const Expr *e, int64_t *out)
{
    Computed c;
    if (!compute_expr(m, e, &c) || c.kind != TG_A_INT)
        return false;
    *out = c.i;
    return true;
}

bool compute_attr(const Match *m, const Expr *e, TgOp op, TgName attr, TgAttr *out)
{
    Computed c;
    size_t n;
    if (!compute_expr(m, e, &c))
        return false;
    bool wants_float = *attr_letters(op, attr, &n) == 'f' && n == 1;
    *out = c.attr;
    if (wants_float && (c.kind == TG_A_INT || c.kind == TG_A_FLOAT))
        *out = (TgAttr){.kind = TG_A_FLOAT, .n = 1, .u.f = (float)as_float(&c)};
    else if (c.kind == TG_A_INT)
        *out = (TgAttr){.kind = TG_A_INT, .n = 1, .u.i = c.i};
    else if (c.kind == TG_A_FLOAT)
        return false;
    out->name = attr;
    return true;
}
