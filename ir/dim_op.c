/* Symbolic integers: floor division, modulo, minimum, maximum and broadcasting.
 *
 * Each is first simplified as far as it is provable; what is left becomes an opaque atom of a canonical form:
 *   (k p + r)//k = p + r//k,  (c p)//(c q) = p//q,  (x//m)//n = x//(m n),  r//k = 0 where 0 <= r < k;
 *   min, max and bcast are flat, sorted, without duplicates; min and max without dominated arguments and with
 * their common terms pulled out: min(past + s, past + 1) = past + min(s, 1).
 */
#include "dim.h"

/* --- division ------------------------------------------------------------------------------------------- */

int64_t dim_floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static bool below(Tg *tg, TgDim a, TgDim b)
{
    return tg_dim_at_least(tg, tg_dim_sub(tg, b, tg_dim(tg, 1)), a);
}

static int64_t common_factor(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

/* The greatest common divisor of n and the coefficients of d, its constant aside where n is a constant
 * itself. */
static int64_t content(TgDim d, int64_t n, bool constants)
{
    for (uint32_t i = 0; i < d->n; i++)
        if ((constants || d->at[i].of->n > 0) && d->at[i].times != INT64_MIN)
            n = common_factor(n, d->at[i].times);
    return n;
}

static TgDim divide_by_number(Tg *tg, TgDim d, int64_t n)
{
    TgDim quotient, rest;
    dim_divide(tg, d, tg_dim(tg, n), &quotient, &rest);
    return quotient; /* the rest is at most a constant below n: floor takes it along */
}

/* Atoms that divide b and every term of a. */
static void cancel_atoms(Tg *tg, TgDim *a, TgDim *b)
{
    for (uint32_t i = 0; (*b)->n == 1 && i < (*b)->at[0].of->n;) {
        TgDim atom = (*b)->at[0].of->at[i]->self, qa, qb;
        if (tg_dim_exact_div(tg, *a, atom, &qa) && tg_dim_exact_div(tg, *b, atom, &qb)) {
            *a = qa;
            *b = qb;
        } else {
            i++;
        }
    }
}

static void cancel_numbers(Tg *tg, TgDim *a, TgDim *b)
{
    int64_t known = 0;
    bool constant = tg_dim_known(*b, &known);
    int64_t g = constant ? content(*a, known, false) : content(*a, content(*b, 0, true), true);
    if (g > 1) {
        *a = divide_by_number(tg, *a, g);
        *b = divide_by_number(tg, *b, g);
    }
}

/* a//b where no multiple of b is left in a. */
static TgDim divide_rest(Tg *tg, TgDim a, TgDim b)
{
    int64_t n;
    TgDim divisor = b;
    cancel_atoms(tg, &a, &b);
    cancel_numbers(tg, &a, &b);
    if (tg_dim_is(b, 1) || a->n == 0)
        return a;
    if (b != divisor)
        return tg_dim_div(tg, a, b);
    if (a->lower >= 0 && below(tg, a, b))
        return tg_dim(tg, 0);
    const DimAtom *inner = dim_only_atom(a);
    if (inner && inner->kind == DIM_DIV && tg_dim_known(b, &n) && n > 0)
        return tg_dim_div(tg, inner->arg[0], tg_dim_mul(tg, inner->arg[1], b));
    return dim_opaque(tg, DIM_DIV, 2, (const TgDim[]){a, b});
}

TgDim tg_dim_div(Tg *tg, TgDim a, TgDim b)
{
    if (b->n == 0)
        return tg_dim_fresh_any(tg);
    if (b->at[0].times < 0) {
        TgDim zero = tg_dim(tg, 0);
        a = tg_dim_sub(tg, zero, a);
        b = tg_dim_sub(tg, zero, b);
        if (b->at[0].times < 0)
            return tg_dim_fresh_any(tg);
    }
    TgDim quotient, rest;
    dim_divide(tg, a, b, &quotient, &rest);
    return tg_dim_add(tg, quotient, divide_rest(tg, rest, b));
}

TgDim tg_dim_ceildiv(Tg *tg, TgDim a, TgDim b)
{
    return tg_dim_div(tg, tg_dim_add(tg, a, tg_dim_sub(tg, b, tg_dim(tg, 1))), b);
}

TgDim tg_dim_mod(Tg *tg, TgDim a, TgDim b)
{
    if (b->n == 0)
        return tg_dim_fresh_any(tg);
    TgDim quotient, rest;
    dim_divide(tg, a, b, &quotient, &rest);
    int64_t r, n;
    if (rest->n == 0)
        return rest;
    if (tg_dim_known(rest, &r) && tg_dim_known(b, &n))
        return rest;
    if (rest->lower >= 0 && below(tg, rest, b))
        return rest;
    return dim_opaque(tg, DIM_MOD, 2, (const TgDim[]){rest, b});
}

/* --- minimum, maximum, broadcasting --------------------------------------------------------------------- */

typedef struct {
    uint32_t n;
    bool lost;
    TgDim at[DIM_MOST_ARGS];
} Args;

/* Sorted, each once. */
static void args_put(Args *args, TgDim d)
{
    uint32_t i = args->n;
    while (i > 0 && dim_compare(d, args->at[i - 1]) < 0)
        i--;
    if (i > 0 && args->at[i - 1] == d)
        return;
    if (args->n == DIM_MOST_ARGS) {
        args->lost = true;
        return;
    }
    for (uint32_t k = args->n++; k > i; k--)
        args->at[k] = args->at[k - 1];
    args->at[i] = d;
}

static void args_flatten(Args *args, DimKind kind, TgDim d)
{
    const DimAtom *atom = dim_only_atom(d);
    if (!atom || atom->kind != kind) {
        args_put(args, d);
        return;
    }
    for (uint32_t i = 0; i < atom->n; i++)
        args_put(args, atom->arg[i]);
}

static void args_drop(Args *args, uint32_t i)
{
    args->n--;
    for (; i < args->n; i++)
        args->at[i] = args->at[i + 1];
}

static bool dominated(Tg *tg, DimKind kind, TgDim d, TgDim by)
{
    return kind == DIM_MIN ? tg_dim_at_least(tg, d, by) : tg_dim_at_least(tg, by, d);
}

static void drop_dominated(Tg *tg, Args *args, DimKind kind)
{
    for (uint32_t i = 0; i < args->n;) {
        bool drop = false;
        for (uint32_t k = 0; k < args->n && !drop; k++)
            drop = k != i && dominated(tg, kind, args->at[i], args->at[k]);
        if (drop)
            args_drop(args, i);
        else
            i++;
    }
}

static bool has_term(TgDim d, DimTerm term)
{
    for (uint32_t i = 0; i < d->n; i++)
        if (d->at[i].of == term.of && d->at[i].times == term.times)
            return true;
    return false;
}

/* The sum of the terms that all have. */
static TgDim common_terms(Tg *tg, const Args *args)
{
    TgDim common = tg_dim(tg, 0);
    for (uint32_t t = 0; t < args->at[0]->n; t++) {
        DimTerm term = args->at[0]->at[t];
        bool all = true;
        for (uint32_t i = 1; i < args->n && all; i++)
            all = has_term(args->at[i], term);
        if (all)
            common = tg_dim_add(tg, common, dim_of_term(tg, term.times, term.of));
    }
    return common;
}

static TgDim extreme(Tg *tg, DimKind kind, Args *args)
{
    drop_dominated(tg, args, kind);
    if (args->n == 1)
        return args->at[0];
    TgDim common = common_terms(tg, args);
    if (common->n == 0)
        return dim_opaque(tg, kind, args->n, args->at);
    Args rest = {0};
    for (uint32_t i = 0; i < args->n; i++)
        args_put(&rest, tg_dim_sub(tg, args->at[i], common));
    return tg_dim_add(tg, common, dim_apply(tg, kind, rest.n, rest.at));
}

/* A size other than 1 decides, a 1 does not matter, a symbol may be either. */
static TgDim broadcast(Tg *tg, Args *args)
{
    for (uint32_t i = 0; i < args->n; i++)
        if (tg_dim_is(args->at[i], 0) || (args->at[i]->lower >= 2 && tg_dim_known(args->at[i], NULL)))
            return args->at[i];
    for (uint32_t i = 0; i < args->n; i++)
        if (args->at[i]->lower >= 2)
            return args->at[i];
    for (uint32_t i = 0; i < args->n;) {
        if (args->n > 1 && tg_dim_is(args->at[i], 1))
            args_drop(args, i);
        else
            i++;
    }
    return args->n == 1 ? args->at[0] : dim_opaque(tg, DIM_BCAST, args->n, args->at);
}

TgDim dim_apply(Tg *tg, DimKind kind, uint32_t n, const TgDim *arg)
{
    if (kind == DIM_DIV)
        return tg_dim_div(tg, arg[0], arg[1]);
    if (kind == DIM_MOD)
        return tg_dim_mod(tg, arg[0], arg[1]);
    Args args = {0};
    bool nonnegative = true;
    for (uint32_t i = 0; i < n; i++) {
        args_flatten(&args, kind, arg[i]);
        nonnegative &= arg[i]->lower >= 0;
    }
    if (args.lost)
        return nonnegative ? tg_dim_fresh(tg) : tg_dim_fresh_any(tg);
    return kind == DIM_BCAST ? broadcast(tg, &args) : extreme(tg, kind, &args);
}

TgDim tg_dim_min(Tg *tg, TgDim a, TgDim b)
{
    return a == b ? a : dim_apply(tg, DIM_MIN, 2, (const TgDim[]){a, b});
}

TgDim tg_dim_max(Tg *tg, TgDim a, TgDim b)
{
    return a == b ? a : dim_apply(tg, DIM_MAX, 2, (const TgDim[]){a, b});
}

TgDim tg_dim_bcast(Tg *tg, TgDim a, TgDim b)
{
    return a == b ? a : dim_apply(tg, DIM_BCAST, 2, (const TgDim[]){a, b});
}
