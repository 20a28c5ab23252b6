/* Conditions: one small function per row of conds.def. Each looks at what the row names, and may say what it
 * wanted. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "match.h"

typedef struct {
    Tg *tg;
    const TgGraph *g;
    TgValue v[4];
    int64_t i[4];
    double f[4];
    TgDtype t[4];
    TgName wanted; /* NULL: the condition itself says it */
} Ask;

static const TgType *type_of(const Ask *a, int k)
{
    return tg_type_of(a->g, a->v[k]);
}

static bool cond_const(Ask *a)
{
    return tg_const_of(a->g, a->v[0]) != NULL;
}

static bool cond_one_element(Ask *a)
{
    int64_t n;
    return tg_type_numel(type_of(a, 0), &n) && n == 1;
}

static bool cond_splat(Ask *a)
{
    double x;
    return constant_number(a->g, a->v[0], &x);
}

static bool cond_positive(Ask *a)
{
    double x;
    return constant_number(a->g, a->v[0], &x) && x > 0;
}

static bool cond_finite(Ask *a)
{
    double x;
    return constant_number(a->g, a->v[0], &x) && isfinite(x);
}

static bool cond_near(Ask *a)
{
    double x;
    Term number = {.kind = T_NUMBER, .number = a->f[1]};
    return constant_number(a->g, a->v[0], &x) && number_fits(&number, type_of(a, 0)->dtype, x);
}

static bool cond_floating(Ask *a)
{
    return type_of(a, 0)->kind == TG_TENSOR && tg_is_float(type_of(a, 0)->dtype);
}

static bool cond_dtype(Ask *a)
{
    return type_of(a, 0)->kind == TG_TENSOR && type_of(a, 0)->dtype == a->t[1];
}

static bool cond_same_dtype(Ask *a)
{
    const TgType *x = type_of(a, 0), *y = type_of(a, 1);
    return x->kind == TG_TENSOR && y->kind == TG_TENSOR && x->dtype && x->dtype == y->dtype;
}

static bool cond_same_type(Ask *a)
{
    return type_of(a, 0) == type_of(a, 1) && tg_is_tensor(type_of(a, 0));
}

static bool cond_one_use(Ask *a)
{
    return tg_used_once(a->g, a->v[0]);
}

static bool cond_fits(Ask *a)
{
    const TgType *x = type_of(a, 0), *y = type_of(a, 1);
    if (!tg_is_tensor(x) || !tg_is_tensor(y) || x->rank > y->rank)
        return false;
    for (int32_t i = 1; i <= x->rank; i++)
        if (!tg_dim_is(x->dim[x->rank - i], 1) && x->dim[x->rank - i] != y->dim[y->rank - i])
            return false;
    return true;
}

static bool cond_varies_only_on_last_axis(Ask *a)
{
    const TgType *t = type_of(a, 0);
    for (int32_t i = 0; i + 1 < t->rank; i++)
        if (!tg_dim_is(t->dim[i], 1))
            return false;
    return tg_is_tensor(t);
}

static bool is_last(Ask *a, int64_t axis, int k)
{
    const TgType *t = type_of(a, k);
    a->wanted = tg_name(a->tg, "-1");
    return tg_is_tensor(t) && t->rank > 0 && (axis == -1 || axis == t->rank - 1);
}

static bool cond_last_axis(Ask *a)
{
    return is_last(a, a->i[0], 1);
}

static bool cond_last_axes(Ask *a)
{
    int64_t first;
    uint32_t n;
    return constant_axes(a->g, a->v[0], type_of(a, 1), &first, &n) && n == (uint32_t)-first;
}

static bool cond_sizes_from(Ask *a)
{
    const TgType *part = type_of(a, 0), *whole = type_of(a, 1);
    if (part->kind != TG_TENSOR || whole->kind != TG_TENSOR || part->rank < 0 || whole->rank < 0)
        return false;
    int64_t first = a->i[2] + (a->i[2] < 0 ? whole->rank : 0);
    bool same = first >= 0 && part->rank + first == whole->rank;
    for (int32_t i = 0; same && i < part->rank; i++)
        same = part->dim[i] == whole->dim[first + i];
    return same;
}

static bool cond_distinct(Ask *a)
{
    return a->v[0] != a->v[1];
}

static bool cond_equal(Ask *a)
{
    return a->i[0] == a->i[1];
}

static bool cond_less(Ask *a)
{
    return a->i[0] < a->i[1];
}

static bool (*const functions[])(Ask *) = {
#define COND(name, operands, doc) cond_##name,
#include "conds.def"
#undef COND
};

/* --- asking ---------------------------------------------------------------------------------------- */

static TgName value_text(const Match *m, TgValue v)
{
    double x;
    int64_t ints[4];
    uint32_t n;
    if (!v)
        return tg_name(m->tg, "absent");
    TgName type = tg_type_text(m->tg, tg_type_of(m->g, v)), name = tg_value(m->g, v)->name;
    if (constant_number(m->g, v, &x))
        return tg_name_format(m->tg, "constant %s of %.9g", type, x);
    if (tg_const_ints(m->g, v, 4, ints, &n) && n == 1)
        return tg_name_format(m->tg, "%s of %lld", type, (long long)ints[0]);
    return tg_name_format(m->tg, "%s%s%s", type, name ? " " : "", name ? name : "");
}

/* "last_axis(a, x) does not hold: a = 1, x = f32[2,3] h; wanted -1" */
static TgName explain(const Match *m, const Cond *c, const Ask *ask)
{
    TgText text;
    tg_text_init(&text, tg_scratch(m->tg));
    tg_text_format(&text, "%s does not hold", c->text);
    const char *kinds = tg_rule_conditions(&(uint32_t){0})[c->id].operands, *between = ": ";
    for (uint32_t k = 0; k < c->n; k++) {
        const Expr *e = c->at[k].expr;
        if (kinds[k] == 'v')
            tg_text_format(&text, "%s%s is %s", between, m->rule->names[c->at[k].slot].name,
                           value_text(m, ask->v[k]));
        else if (kinds[k] == 'i' && e->kind != X_INT)
            tg_text_format(&text, "%s%s = %lld", between,
                           e->kind == X_NAME ? m->rule->names[e->slot].name : "it", (long long)ask->i[k]);
        else
            continue;
        between = ", ";
    }
    if (ask->wanted)
        tg_text_format(&text, ", wanted %s", ask->wanted);
    return tg_name_n(m->tg, text.at, text.n);
}

/* Fills the operands. False: one has no value here; *holds says what that means. */
static bool ask_operands(const Match *m, const Cond *c, Ask *ask, bool *holds)
{
    for (uint32_t k = 0; k < c->n; k++) {
        Computed computed;
        ask->t[k] = c->at[k].dtype;
        *holds = true;
        if (c->at[k].slot != NO_SLOT && !(ask->v[k] = m->at[c->at[k].slot].value))
            return false; /* an absent operand */
        *holds = false;
        if (!c->at[k].expr)
            continue;
        if (!compute_expr(m, c->at[k].expr, &computed))
            return false;
        ask->i[k] = computed.kind == TG_A_INT ? computed.i : 0;
        ask->f[k] = computed.kind == TG_A_FLOAT ? computed.f : (double)computed.i;
    }
    return true;
}

bool condition_holds(const Match *m, const Cond *c, TgName *why)
{
    Ask ask = {.tg = m->tg, .g = m->g};
    bool holds = false;
    if (ask_operands(m, c, &ask, &holds))
        holds = functions[c->id](&ask) != c->negated;
    if (!holds && why) {
        TgMark mark = tg_mark(tg_scratch(m->tg));
        *why = explain(m, c, &ask);
        tg_release(tg_scratch(m->tg), mark);
    }
    return holds;
}
