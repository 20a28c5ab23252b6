/* Symbolic integers: what can be proved about them.
 *
 * Every atom and every sum carries an interval, found when it is made. Where intervals do not decide, an
 * opaque term is replaced by one of the sizes that bound it (max(p, q) >= p, k (a//k) <= a ...) and the
 * interval asked again; a small budget bounds the search. A proof is a proof; failure to prove means nothing.
 */
#include "dim.h"

enum { PROOF_STEPS = 48, PROOF_DEPTH = 4 };

/* --- intervals ------------------------------------------------------------------------------------------ */

static bool infinite(int64_t n)
{
    return n == INT64_MIN || n == INT64_MAX;
}

static int64_t saturated(bool negative)
{
    return negative ? INT64_MIN : INT64_MAX;
}

static int64_t bound_times(int64_t a, int64_t b)
{
    int64_t n;
    if (a == 0 || b == 0)
        return 0;
    if (infinite(a) || infinite(b) || __builtin_mul_overflow(a, b, &n))
        return saturated((a < 0) != (b < 0));
    return n;
}

/* Sum of two lower bounds (or two upper bounds): an absent bound stays absent, an overflowing one is given
 * up. */
static int64_t bound_plus(int64_t a, int64_t b, int64_t none)
{
    int64_t n;
    return a == none || b == none || __builtin_add_overflow(a, b, &n) ? none : n;
}

static int64_t smaller_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static DimRange range_times(DimRange a, DimRange b)
{
    int64_t p = bound_times(a.lower, b.lower), q = bound_times(a.lower, b.upper);
    int64_t r = bound_times(a.upper, b.lower), s = bound_times(a.upper, b.upper);
    return (DimRange){smaller_of(smaller_of(p, q), smaller_of(r, s)),
                      larger_of(larger_of(p, q), larger_of(r, s))};
}

DimRange dim_range_of_terms(uint32_t n, const DimTerm *term)
{
    DimRange sum = {0, 0};
    for (uint32_t i = 0; i < n; i++) {
        DimRange range = {1, 1};
        for (uint32_t k = 0; k < term[i].of->n; k++)
            range = range_times(range, (DimRange){term[i].of->at[k]->lower, term[i].of->at[k]->upper});
        range = range_times(range, (DimRange){term[i].times, term[i].times});
        sum.lower = bound_plus(sum.lower, range.lower, INT64_MIN);
        sum.upper = bound_plus(sum.upper, range.upper, INT64_MAX);
    }
    return sum;
}

static DimRange range_of_quotient(TgDim a, TgDim b)
{
    int64_t n;
    if (tg_dim_known(b, &n) && n > 0)
        return (DimRange){infinite(a->lower) ? a->lower : dim_floor_div(a->lower, n),
                          infinite(a->upper) ? a->upper : dim_floor_div(a->upper, n)};
    if (b->lower < 0)
        return (DimRange){INT64_MIN, INT64_MAX};
    return (DimRange){smaller_of(a->lower, 0), larger_of(a->upper, -1)};
}

static DimRange range_of_rest(TgDim a, TgDim b)
{
    if (b->lower < 0)
        return (DimRange){INT64_MIN, INT64_MAX};
    int64_t most = infinite(b->upper) ? b->upper : b->upper - 1;
    return (DimRange){0, a->lower >= 0 ? smaller_of(most, a->upper) : most};
}

static DimRange range_of_choice(const DimAtom *atom)
{
    DimRange least = {INT64_MAX, INT64_MAX}, most = {INT64_MIN, INT64_MIN};
    for (uint32_t i = 0; i < atom->n; i++) {
        least.lower = smaller_of(least.lower, atom->arg[i]->lower);
        least.upper = smaller_of(least.upper, atom->arg[i]->upper);
        most.lower = larger_of(most.lower, atom->arg[i]->lower);
        most.upper = larger_of(most.upper, atom->arg[i]->upper);
    }
    if (atom->kind == DIM_MIN)
        return least;
    if (atom->kind == DIM_MAX)
        return most;
    return (DimRange){least.lower >= 1 ? most.lower : least.lower, most.upper};
}

DimRange dim_range_of_atom(const DimAtom *atom)
{
    switch (atom->kind) {
    case DIM_SYMBOL:
    case DIM_FRESH: return (DimRange){0, INT64_MAX};
    case DIM_ANY: return (DimRange){INT64_MIN, INT64_MAX};
    case DIM_DIV: return range_of_quotient(atom->arg[0], atom->arg[1]);
    case DIM_MOD: return range_of_rest(atom->arg[0], atom->arg[1]);
    case DIM_MIN:
    case DIM_MAX:
    case DIM_BCAST: break;
    }
    return range_of_choice(atom);
}

/* --- proofs --------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    uint32_t steps;
} Proof;

static bool nonnegative(Proof *p, TgDim d, uint32_t depth);

/* d - t + times * by, t being the term times * atom of d: is it >= 0? */
static bool holds_with(Proof *p, TgDim d, DimTerm t, TgDim by, uint32_t depth)
{
    TgDim without = tg_dim_sub(p->tg, d, dim_of_term(p->tg, t.times, t.of));
    return nonnegative(p, tg_dim_add(p->tg, without, tg_dim_mul(p->tg, tg_dim(p->tg, t.times), by)), depth);
}

/* max >= any argument and min <= any argument, so one good argument may do; where the term pulls the other
 * way, and for bcast, which is some argument, all must do. */
static bool holds_for_choice(Proof *p, TgDim d, DimTerm t, const DimAtom *atom, uint32_t depth)
{
    bool one_does = (atom->kind == DIM_MAX && t.times > 0) || (atom->kind == DIM_MIN && t.times < 0);
    for (uint32_t i = 0; i < atom->n; i++)
        if (holds_with(p, d, t, atom->arg[i], depth) == one_does)
            return one_does;
    return !one_does;
}

/* k (a//k) lies in [a - k + 1, a]: with t = c (a//k), d >= 0 follows from k (d - t) + c * (that bound) >= 0.
 */
static bool holds_for_quotient(Proof *p, TgDim d, DimTerm t, const DimAtom *atom, uint32_t depth)
{
    Tg *tg = p->tg;
    int64_t k;
    if (!tg_dim_known(atom->arg[1], &k) || k < 1)
        return t.times < 0 && atom->arg[0]->lower >= 0 && atom->arg[1]->lower >= 1 &&
               holds_with(p, d, t, atom->arg[0], depth);
    TgDim bound = t.times < 0 ? atom->arg[0] : tg_dim_add(tg, atom->arg[0], tg_dim(tg, 1 - k));
    TgDim without = tg_dim_sub(tg, d, dim_of_term(tg, t.times, t.of));
    TgDim scaled = tg_dim_mul(tg, tg_dim(tg, k), without);
    return nonnegative(p, tg_dim_add(tg, scaled, tg_dim_mul(tg, tg_dim(tg, t.times), bound)), depth);
}

/* a mod b <= b - 1 for b >= 1, and <= a for a >= 0. */
static bool holds_for_rest(Proof *p, TgDim d, DimTerm t, const DimAtom *atom, uint32_t depth)
{
    if (t.times > 0)
        return false;
    if (atom->arg[1]->lower >= 1 &&
        holds_with(p, d, t, tg_dim_sub(p->tg, atom->arg[1], tg_dim(p->tg, 1)), depth))
        return true;
    return atom->arg[0]->lower >= 0 && atom->arg[1]->lower >= 1 && holds_with(p, d, t, atom->arg[0], depth);
}

static bool nonnegative(Proof *p, TgDim d, uint32_t depth)
{
    if (d->lower >= 0)
        return true;
    if (d->upper < 0 || depth == 0 || p->steps == 0)
        return false;
    p->steps--;
    for (uint32_t i = 0; i < d->n; i++) {
        DimTerm t = d->at[i];
        const DimAtom *atom = t.of->n == 1 ? t.of->at[0] : NULL;
        if (!atom || atom->n == 0)
            continue;
        bool proved = atom->kind == DIM_DIV   ? holds_for_quotient(p, d, t, atom, depth - 1)
                      : atom->kind == DIM_MOD ? holds_for_rest(p, d, t, atom, depth - 1)
                                              : holds_for_choice(p, d, t, atom, depth - 1);
        if (proved)
            return true;
    }
    return false;
}

bool dim_nonnegative(Tg *tg, TgDim d)
{
    Proof proof = {tg, PROOF_STEPS};
    return nonnegative(&proof, d, PROOF_DEPTH);
}

bool tg_dim_at_least(Tg *tg, TgDim a, TgDim b)
{
    return a == b || dim_nonnegative(tg, tg_dim_sub(tg, a, b));
}

/* No multiple of g equals -constant: 2 s = 5 has no solution. */
static bool no_root_modulo(TgDim d)
{
    int64_t g = 0, constant = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->at[i].times == INT64_MIN)
            return false;
        if (d->at[i].of->n == 0)
            constant = d->at[i].times;
        else
            for (int64_t b = d->at[i].times; b != 0;) {
                int64_t rest = g % b;
                g = b;
                b = rest;
            }
    }
    return g != 0 && constant % g != 0;
}

bool tg_dim_never_equal(Tg *tg, TgDim a, TgDim b)
{
    if (a == b)
        return false;
    TgDim one = tg_dim(tg, 1), difference = tg_dim_sub(tg, a, b);
    return tg_dim_known(difference, NULL) || no_root_modulo(difference) ||
           dim_nonnegative(tg, tg_dim_sub(tg, difference, one)) ||
           dim_nonnegative(tg, tg_dim_sub(tg, tg_dim_sub(tg, tg_dim(tg, 0), difference), one));
}
