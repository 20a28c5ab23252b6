/* Arithmetic of the finite field; see field.h. */
#include <math.h>
#include <stddef.h>

#include "field.h"

/* --- residues ------------------------------------------------------------------------------------------- */

uint64_t tg_pow_p(uint64_t a, uint64_t n)
{
    uint64_t r = 1;
    for (; n; n >>= 1, a = tg_mul_p(a, a))
        if (n & 1)
            r = tg_mul_p(r, a);
    return r;
}

uint64_t tg_pow_q(uint64_t a, uint64_t n)
{
    uint64_t r = 1;
    for (; n; n >>= 1, a = tg_mul_q(a, a))
        if (n & 1)
            r = tg_mul_q(r, a);
    return r;
}

static uint64_t negated(uint64_t x, uint64_t modulus)
{
    return x ? modulus - x : 0;
}

/* A mark needs a known residue in F_q, where it stands in the bits above. */
static TgFelt marked(TgFelt a, unsigned mark)
{
    return a.q & TG_FELT_LOST ? a : (TgFelt){a.p, tg_felt_q(a) | (uint64_t)mark << 61};
}

static TgFelt unmarked(TgFelt a)
{
    return a.q & TG_FELT_LOST ? a : (TgFelt){a.p, tg_felt_q(a)};
}

/* --- from numbers --------------------------------------------------------------------------------------- */

TgFelt tg_felt_int(int64_t x)
{
    uint64_t m = x < 0 ? 0 - (uint64_t)x : (uint64_t)x, p = tg_mod_p(m), q = tg_mod_q(m);
    return x < 0 ? (TgFelt){negated(p, TG_FIELD_P), negated(q, TG_FIELD_Q)} : (TgFelt){p, q};
}

/* -1/P and -1/Q modulo 2^64 */
#define MINUS_INVERSE_P ((uint64_t)0xc0e837ebeffe0201)
#define MINUS_INVERSE_Q ((uint64_t)0xfd0d1000fafe0101)
_Static_assert(TG_FIELD_P * MINUS_INVERSE_P == UINT64_MAX && TG_FIELD_Q * MINUS_INVERSE_Q == UINT64_MAX, "inverses");

/* x / 2^n: multiples of the modulus are added until the low bits are 0 (Montgomery's reduction), which leaves less than
 * the modulus. */
static uint64_t divided(uint64_t x, unsigned n, uint64_t modulus, uint64_t minus_inverse)
{
    for (unsigned step; n; n -= step) {
        step = n < 60 ? n : 60;
        uint64_t times = x * minus_inverse & (((uint64_t)1 << step) - 1);
        x = (uint64_t)((x + (TgU128)times * modulus) >> step);
    }
    return x;
}

/* a 2^e */
static TgFelt scaled(TgFelt a, int e)
{
    unsigned n = (unsigned)(e < 0 ? -e : e);
    if (e < 0)
        return (TgFelt){divided(a.p, n, TG_FIELD_P, MINUS_INVERSE_P), divided(a.q, n, TG_FIELD_Q, MINUS_INVERSE_Q)};
    return tg_felt_mul(a, (TgFelt){tg_pow_p(2, n), tg_pow_q(2, n)});
}

TgFelt tg_felt_float(double x)
{
    int e;
    if (isnan(x))
        return tg_felt_of_kind(TG_FELT_NAN);
    if (isinf(x))
        return tg_felt_of_kind(x < 0 ? TG_FELT_LOW : TG_FELT_HIGH);
    if (x == rint(x) && fabs(x) < 0x1p62)
        return tg_felt_int((int64_t)x);
    double m = frexp(x, &e);
    TgFelt a = scaled(tg_felt_int((int64_t)ldexp(m, 53)), e - 53);
    return fabs(x) < TG_FELT_LARGE ? a : marked(a, x < 0 ? TG_FELT_LOW : TG_FELT_HIGH);
}

/* --- arithmetic with infinities, and with what stands for them ------------------------------------------ */

/* The residues as ever; of two marks that contradict each other none is left. */
static TgFelt large_add(TgFelt a, TgFelt b)
{
    unsigned x = TG_FELT_MARK(a), y = TG_FELT_MARK(b);
    return marked(tg_felt_add(unmarked(a), unmarked(b)), !x || x == y ? y : y ? TG_FELT_FINITE : x);
}

/* The sign of a factor is known where it has a mark or is a small integer. */
static TgFelt large_mul(TgFelt a, TgFelt b)
{
    enum { SMALL = 1 << 16 };
    unsigned x = TG_FELT_MARK(a), y = TG_FELT_MARK(b);
    int64_t n = tg_felt_center(x ? b : a);
    TgFelt product = tg_felt_mul(unmarked(a), unmarked(b));
    if (x && y)
        return marked(product, x == y ? TG_FELT_HIGH : TG_FELT_LOW);
    return n == 0 || n > SMALL || n < -SMALL ? product : marked(product, n > 0 ? x | y : (x | y) ^ 3u);
}

TgFelt tg_felt_odd_add(TgFelt a, TgFelt b)
{
    unsigned x = TG_FELT_KIND(a), y = TG_FELT_KIND(b);
    if (!x && !y)
        return large_add(a, b);
    if (!x || !y || x == y)
        return tg_felt_of_kind(x | y);
    return tg_felt_of_kind(TG_FELT_NAN);
}

/* The sign of a finite factor is known where it is a small integer; otherwise nothing is. */
TgFelt tg_felt_odd_mul(TgFelt a, TgFelt b)
{
    unsigned x = TG_FELT_KIND(a), y = TG_FELT_KIND(b);
    if (!x && !y)
        return large_mul(a, b);
    if (x == TG_FELT_NAN || y == TG_FELT_NAN)
        return tg_felt_of_kind(TG_FELT_NAN);
    if (x && y)
        return tg_felt_of_kind(x == y ? TG_FELT_HIGH : TG_FELT_LOW);
    TgFelt finite = x ? b : a;
    if (!finite.p || !tg_felt_is_small(finite))
        return tg_felt_of_kind(TG_FELT_NAN);
    unsigned kind = x | y;
    return tg_felt_of_kind(tg_felt_center(finite) > 0 ? kind : kind ^ 3u);
}

TgFelt tg_felt_neg(TgFelt a)
{
    unsigned kind = TG_FELT_KIND(a);
    if (kind)
        return tg_felt_of_kind(kind == TG_FELT_NAN ? kind : kind ^ 3u);
    uint64_t lost = a.q & TG_FELT_LOST;
    TgFelt b = {negated(a.p, TG_FIELD_P), lost ? lost : negated(tg_felt_q(a), TG_FIELD_Q)};
    return TG_FELT_MARK(a) ? marked(b, TG_FELT_MARK(a) ^ 3u) : b;
}

TgFelt tg_felt_inverse(TgFelt a)
{
    unsigned kind = TG_FELT_KIND(a);
    if (kind)
        return kind == TG_FELT_NAN ? a : (TgFelt){0, 0};
    if (a.p == 0)
        return tg_felt_of_kind(TG_FELT_NAN);
    a = unmarked(a);
    uint64_t lost = a.q & TG_FELT_LOST || a.q == 0 ? TG_FELT_LOST : 0;
    return (TgFelt){tg_pow_p(a.p, TG_FIELD_P - 2), lost ? lost : tg_pow_q(a.q, TG_FIELD_Q - 2)};
}

/* --- order ---------------------------------------------------------------------------------------------- */

bool tg_felt_less(TgFelt a, TgFelt b)
{
    static const int rank[] = {
        [TG_FELT_LOW] = -1, [TG_FELT_FINITE] = 0, [TG_FELT_HIGH] = 1, [TG_FELT_NAN] = 2};
    int x = rank[TG_FELT_KIND(a)], y = rank[TG_FELT_KIND(b)];
    return x != y ? x < y : x == 0 && tg_felt_center(a) < tg_felt_center(b);
}

/* --- draws ---------------------------------------------------------------------------------------------- */

enum { KEY_EXP = 1, KEY_ODD_ROOT, KEY_POW, KEY_CIRCLE }; /* of hashes; operators use larger ones */

/* SplitMix64's finalizer (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

TgFelt tg_felt_random(uint64_t key)
{
    uint64_t a = mix(key), b = mix(a ^ key << 1), c = mix(b + key);
    return (TgFelt){tg_mod_p((TgU128)a << 64 | b), tg_mod_q((TgU128)c << 64 | mix(c ^ a))};
}

/* The square of anything but 0 and +-1 has order q. */
void tg_field_draw(TgField *f, uint64_t seed)
{
    uint64_t w = 0;
    for (uint64_t k = 0; w <= 1; k++) {
        uint64_t g = tg_felt_random(mix(seed) + k).p;
        w = tg_mul_p(g, g);
    }
    for (size_t i = 0; i < 16; i++) {
        f->power[i][0] = 1;
        for (size_t j = 1; j < 16; j++)
            f->power[i][j] = tg_mul_p(f->power[i][j - 1], w);
        w = tg_mul_p(f->power[i][15], w);
    }
    f->odd_root = tg_felt_random(mix(seed ^ KEY_ODD_ROOT));
    f->hashed = f->coarse = f->exponentials = f->exponent_lost = f->root_of_nonsquare = f->masks = false;
}

/* Depends on the value alone, not on what is known of its exponent residue. */
TgFelt tg_felt_hash(TgField *f, uint64_t key, TgFelt a)
{
    f->hashed = true;
    if (TG_FELT_KIND(a) == TG_FELT_NAN)
        return a;
    return tg_felt_random(mix(key ^ mix(tg_felt_key(a))));
}

/* --- functions ------------------------------------------------------------------------------------------ */

TgFelt tg_felt_exp(TgField *f, TgFelt a)
{
    unsigned kind = f->masks ? TG_FELT_MARK(a) : TG_FELT_KIND(a);
    if (kind)
        return kind == TG_FELT_LOW ? (TgFelt){0, 0} : tg_felt_of_kind(kind);
    a = unmarked(a);
    if (a.q & TG_FELT_LOST) {
        TgFelt h = tg_felt_hash(f, KEY_EXP, a);
        f->exponent_lost = true;
        return (TgFelt){h.p, TG_FELT_LOST};
    }
    uint64_t r = 1, n = a.q;
    f->exponentials = true;
    for (size_t i = 0; n; n >>= 4, i++)
        r = tg_mul_p(r, f->power[i][n & 15]);
    return (TgFelt){r, n == a.q ? 1 : TG_FELT_LOST}; /* exp(0) = 1 is known in both */
}

TgFelt tg_felt_sqrt(TgField *f, TgFelt a)
{
    unsigned kind = TG_FELT_KIND(a);
    if (kind)
        return kind == TG_FELT_LOW ? tg_felt_of_kind(TG_FELT_NAN) : a;
    a = unmarked(a);
    uint64_t lost = a.q & TG_FELT_LOST, p = tg_pow_p(a.p, (TG_FIELD_P + 1) / 4);
    uint64_t q = lost ? lost : tg_pow_q(a.q, (TG_FIELD_Q + 1) / 4);
    bool odd_p = tg_mul_p(p, p) != a.p, odd_q = !lost && tg_mul_q(q, q) != a.q;
    f->root_of_nonsquare |= odd_p || odd_q;
    return (TgFelt){odd_p ? tg_mul_p(p, f->odd_root.p) : p, odd_q ? tg_mul_q(q, f->odd_root.q) : q};
}

static TgFelt integer_power(TgFelt a, uint64_t n)
{
    TgFelt r = tg_felt_int(1);
    for (; n; n--)
        r = tg_felt_mul(r, a);
    return r;
}

TgFelt tg_felt_pow(TgField *f, TgFelt a, TgFelt b)
{
    const uint64_t half = (TG_FIELD_P + 1) / 2;
    if (!tg_felt_is_odd(b)) {
        int64_t n = tg_felt_center(b);
        if (n >= 0 && n <= TG_FELT_POWERS)
            return integer_power(a, (uint64_t)n);
        if (n < 0 && n >= -TG_FELT_POWERS)
            return tg_felt_inverse(integer_power(a, (uint64_t)-n));
        if (b.p == half)
            return tg_felt_sqrt(f, a);
        if (b.p == negated(half, TG_FIELD_P))
            return tg_felt_inverse(tg_felt_sqrt(f, a));
    }
    return tg_felt_hash(f, mix(KEY_POW ^ mix(tg_felt_key(b))), a);
}

/* The rational parametrisation of the circle: ((1 - t^2) / (1 + t^2), 2 t / (1 + t^2)), t a hash of |a|. */
static void circle(TgField *f, TgFelt a, TgFelt *cosine, TgFelt *sine)
{
    if (tg_felt_is_odd(a)) {
        *cosine = *sine = tg_felt_of_kind(TG_FELT_NAN);
        return;
    }
    if (a.p == 0) {
        *cosine = tg_felt_int(1);
        *sine = tg_felt_int(0);
        return;
    }
    bool minus = tg_felt_center(a) < 0;
    TgFelt t = tg_felt_hash(f, KEY_CIRCLE, minus ? tg_felt_neg(a) : a), one = tg_felt_int(1);
    TgFelt square = tg_felt_mul(t, t), scale = tg_felt_inverse(tg_felt_add(one, square));
    *cosine = tg_felt_mul(tg_felt_sub(one, square), scale);
    *sine = tg_felt_mul(tg_felt_add(t, t), scale);
    if (minus)
        *sine = tg_felt_neg(*sine);
}

TgFelt tg_felt_sin(TgField *f, TgFelt a)
{
    TgFelt c, s;
    circle(f, a, &c, &s);
    return s;
}

TgFelt tg_felt_cos(TgField *f, TgFelt a)
{
    TgFelt c, s;
    circle(f, a, &c, &s);
    return c;
}
