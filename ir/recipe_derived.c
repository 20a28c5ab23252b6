/* Constants that were computed at once: all their elements against what they were computed from, in float64.
 *
 * Operators that recipe_point.c follows are held to its bound, element by element, by its own arithmetic. The others
 * are evaluated once more, in float64 over the same operands. What their terms are is not known there, so the largest
 * that one may be stands for them: the product of the largest elements of the operands, or the largest result. Where
 * that is not enough (a norm divides by what may be small) an element may still be off by what it moves as the
 * operands do, by one rounding each. */
#include <math.h>

#include "graph.h"
#include "recipe.h"

enum {
    MOST_ELEMENTS = 1 << 16, /* of operands: more are not evaluated for a few results */
    WAYS = 8                 /* to move operands: in one of them their moves may cancel by chance */
};

typedef struct {
    Tg *tg;
    const TgTensor *t;
    TgArray exact, moved[WAYS]; /* the result in float64: of the operands, and of these moved */
    double unit, steps, size;
    uint32_t ways; /* that were tried */
    bool asked, known;
} Derived;

static double largest(const TgArray *a)
{
    double most = 0;
    for (int64_t i = 0; i < a->count; i++)
        most = fmax(most, fabs(tg_array_float(TG_EVAL_F64, a, i)));
    return most;
}

/* Each element up or down by its rounding; uses a up, which may have been borrowed. */
static TgArray nudged(Tg *tg, TgArray *a, double unit, uint64_t seed)
{
    TgArray made = tg_array_new(tg, TG_EVAL_F64, a->dtype, a->rank, a->dim);
    for (int64_t i = 0; i < a->count; i++) {
        double x = tg_array_float(TG_EVAL_F64, a, i);
        tg_array_set_float(TG_EVAL_F64, &made, i, x * (tg_mix(seed, (uint64_t)i) & 1 ? 1 + unit : 1 - unit));
    }
    tg_array_drop(tg, a);
    return made;
}

/* The operator in float64, its operands moved in that way (0: not at all). False: it cannot be had, or only by looking
 * at too many numbers. */
static bool evaluate(Derived *d, uint32_t way, TgArray *out)
{
    const TgRecipe *r = d->t->recipe;
    double elements = 0;
    for (uint32_t i = 0; i < r->n; i++)
        elements += r->input[i] ? (double)r->input[i]->count : 0;
    if (elements > (double)MOST_ELEMENTS)
        return false;
    double size = 1;
    TgMark mark = tg_mark(tg_scratch(d->tg));
    TgArray *operands = TG_NEW_N(tg_scratch(d->tg), TgArray, r->n + 1u);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!r->input[i])
            continue;
        operands[i] = tg_array_from_tensor(d->tg, TG_EVAL_F64, r->input[i]);
        if (!tg_is_float(r->input[i]->dtype))
            continue;
        d->unit = fmax(d->unit, 2 * tg_unit_roundoff(r->input[i]->dtype));
        size *= largest(&operands[i]);
        if (way)
            operands[i] = nudged(d->tg, &operands[i], tg_unit_roundoff(r->input[i]->dtype), tg_mix(way, i));
    }
    uint32_t diags = tg_diag_count(d->tg);
    bool good = tg_recipe_evaluate(d->tg, r, TG_EVAL_F64, operands, out);
    tg_diag_forget(d->tg, diags);
    for (uint32_t i = 0; i < r->n; i++)
        tg_array_drop(d->tg, &operands[i]);
    tg_release(tg_scratch(d->tg), mark);
    d->steps = 8 * sqrt(elements);
    d->size = way ? d->size : size;
    return good && out->kind == TG_TENSOR && out->count == (int64_t)d->t->count;
}

/* Some way to move the operands moves element i about as far. */
static bool moves_so_far(Derived *d, size_t i, double far)
{
    double value = tg_array_float(TG_EVAL_F64, &d->exact, (int64_t)i);
    for (uint32_t way = 0; way < WAYS; way++) {
        if (way == d->ways && !evaluate(d, ++d->ways, &d->moved[way]))
            tg_array_drop(d->tg, &d->moved[way]);
        if (!d->moved[way].data)
            return true;
        if (far <= d->steps * fabs(tg_array_float(TG_EVAL_F64, &d->moved[way], (int64_t)i) - value))
            return true;
    }
    return false;
}

static bool is_near(Derived *d, size_t i, double stored)
{
    if (!d->asked) {
        d->asked = true;
        d->known = evaluate(d, 0, &d->exact);
        d->size = d->known ? fmax(d->size, largest(&d->exact)) : 0;
    }
    double value = d->known ? tg_array_float(TG_EVAL_F64, &d->exact, (int64_t)i) : NAN;
    if (!isfinite(value) || fabs(value) > 1e30 || (d->t->dtype == TG_f16 && fabs(value) > 65000))
        return true;
    double smallest = d->t->dtype == TG_f16 ? 0x1p-24 : 0x1p-126, far = fabs(stored - value);
    double bound = d->unit * fabs(value) + d->unit * (d->steps + 1) * d->size + smallest;
    return far <= bound || (isfinite(far) && moves_so_far(d, i, far - bound));
}

bool tg_tensor_derived_agrees(Tg *tg, const TgTensor *t)
{
    if (!t->recipe || !tg_is_float(t->dtype) || tg_dtype_bits(t->dtype) < 16)
        return true;
    Derived d = {.tg = tg, .t = t, .unit = 2 * tg_unit_roundoff(t->dtype)};
    bool good = true;
    for (size_t i = 0; good && i < t->count; i++) {
        double stored = tg_tensor_float(tg, t, i);
        TgFollowed followed = tg_recipe_follow(tg, t, i, stored);
        if (followed == TG_FOLLOWED_DIFFERS || (followed == TG_NOT_FOLLOWED && !is_near(&d, i, stored)))
            good = tg_report(tg, TG_E_recipe_differs, i, stored);
    }
    tg_array_drop(tg, &d.exact);
    for (uint32_t way = 0; way < d.ways; way++)
        tg_array_drop(tg, &d.moved[way]);
    return good;
}
