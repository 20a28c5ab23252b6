/* Cuts in the finite field, where exponents are lost.
 *
 * What an exponential gives has no image in F_q, so of a second one on the same path (the next layer's Softmax)
 * only congruence is known, and exp(x + c) looks different from exp(c) exp(x). There the check is cut. Both graphs
 * are evaluated at the same point; a value without exponents that has the same elements in both, in whatever order
 * and shape, is shown equal there, and from there on it stands for any value: each of its elements gets an exponent
 * residue that depends on nothing but the element, hence the same one in both graphs. So exponentials of it are
 * exact again, and the next round finds what lies behind them.
 *
 * Any values may be too many, so what differs behind a cut differs for no known reason; what agrees is proved, up to
 * the chance that one of the cuts agreed by luck. */
#include "equiv_parts.h"

enum { KEY_CUT = 7, KEY_FINGERPRINT };

void equiv_cuts_init(EquivCuts *cuts, TgArena *arena)
{
    *cuts = (EquivCuts){.arena = arena};
    tg_map_init(&cuts->common, arena);
}

void equiv_cuts_begin(EquivCuts *cuts)
{
    tg_map_init(&cuts->first, cuts->arena);
    cuts->seen.n = cuts->found.n = 0;
    cuts->second = cuts->alone = false;
    cuts->chance = -1074;
}

bool equiv_cuts_hold(const EquivCuts *cuts)
{
    bool both = !cuts->alone;
    for (uint32_t i = 0; i < cuts->seen.n; i++)
        both = both && cuts->seen.at[i].cut == cuts->seen.at[i].met;
    return both;
}

bool equiv_cuts_deepen(EquivCuts *cuts)
{
    for (uint32_t i = 0; i < cuts->found.n; i++)
        tg_map_put(&cuts->common, cuts->found.at[i], 1);
    return cuts->found.n > 0;
}

static bool any_lost(const TgArray *a)
{
    const TgFelt *x = a->data;
    for (int64_t i = 0; i < a->count; i++)
        if (x[i].q & TG_FELT_LOST && !tg_felt_is_odd(x[i]))
            return true;
    return false;
}

/* Of the elements, whatever their order. */
static uint64_t fingerprint(const TgArray *a)
{
    const TgFelt *x = a->data;
    uint64_t sum = 0;
    for (int64_t i = 0; i < a->count; i++)
        sum += tg_mix(KEY_FINGERPRINT, tg_felt_key(x[i]));
    return tg_mix(sum, (uint64_t)a->count);
}

/* Zeros stay zeros: they are what masks leave. */
static void renew(TgArray *a)
{
    TgFelt *x = a->data;
    for (int64_t i = 0; i < a->count; i++)
        if (!tg_felt_is_odd(x[i]))
            x[i].q = x[i].p ? tg_felt_random(tg_mix(KEY_CUT, x[i].p)).q | (x[i].q & TG_FELT_ODD) : 0;
    a->degree = (TgDegree){.over = 1};
}

static void remember(EquivCuts *cuts, uint64_t key, EquivCutValue value)
{
    tg_map_put(&cuts->first, key, cuts->seen.n);
    TG_PUSH(cuts->arena, &cuts->seen, value);
}

/* A cut that the second graph makes is one of the first, or they are not cut at the same values. */
static void meet(EquivCuts *cuts, uint64_t key, TgDegree degree)
{
    uint64_t i;
    if (!tg_map_get(&cuts->first, key, &i) || !cuts->seen.at[i].cut) {
        cuts->alone = true;
        return;
    }
    double chance = equiv_chance(cuts->seen.at[i].degree, degree, true);
    if (!cuts->seen.at[i].met)
        cuts->chance = equiv_log2_sum(cuts->chance, chance);
    cuts->seen.at[i].met = true;
}

void equiv_cuts_watch(void *user, const TgGraph *g, TgValue v, TgArray *value)
{
    EquivCuts *cuts = user;
    (void)g, (void)v;
    bool real = value->kind == TG_TENSOR && tg_dtype_class(value->dtype) == TG_CLASS_F;
    if (!real || !value->owners || !any_lost(value))
        return;
    uint64_t key = fingerprint(value);
    bool cut = tg_map_get(&cuts->common, key, NULL), known = tg_map_get(&cuts->first, key, NULL);
    if (!cuts->second && !known)
        remember(cuts, key, (EquivCutValue){.degree = value->degree, .cut = cut});
    else if (cuts->second && cut)
        meet(cuts, key, value->degree);
    else if (cuts->second && known)
        TG_PUSH(cuts->arena, &cuts->found, key);
    if (cut)
        renew(value);
}
