/* The finite field in which rewrites are proved: F_p for values, F_q for exponents.
 *
 * p = 2q + 1 with both prime, 62 and 61 bits. An element stands for a real number known by its residues:
 * `p` is its image in F_p; `q` its image in F_q, needed only where the number becomes an exponent:
 * exp(x) = w^(x mod q) for a w of order q, so that exp(x + y) = exp(x) exp(y) holds. Every float is a dyadic
 * rational m 2^e, so constants have exact images, and what is equal over the reals by laws of + - * / and exp
 * is equal here. What is different stays different in all but about one of 2^60 draws (Schwartz-Zippel).
 *
 * Beside ordinary elements there are four odd ones, marked in the upper bits of `q`: minus and plus infinity
 * (masks: exp maps them to 0), undefined (NaN, division by zero), and those whose exponent residue is lost
 * (what an exponential gave: it has no image in F_q).
 *
 * Finite numbers from 1e30 on stand for infinity in masks: they have their residues, and beside them a mark that sums
 * keep (x + lowest is still far below). Only a draw of masks reads it: there exp maps what is marked low to 0.
 *
 * Sources: Mirage (OSDI 2025) has the pair of fields, Li and Wu (arXiv 2506.04529) the
 * theory; primes with p = -1 mod 9240, so that p = 3 mod 4 (one power is the square root) and 2, 3, 5, 7, 11
 * are squares. Cost: a product 3 ns, exp 50 ns, inverse and square root 0.3 us. */
#ifndef TG_FIELD_H
#define TG_FIELD_H

#include <stdbool.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 TgU128;

#define TG_FIELD_P ((uint64_t)4611686018426995199)
#define TG_FIELD_Q ((uint64_t)2305843009213497599)

typedef struct {
    uint64_t p, q;
} TgFelt;

enum {
    TG_FELT_FINITE = 0,
    TG_FELT_LOW = 1,  /* minus infinity */
    TG_FELT_HIGH = 2, /* plus infinity */
    TG_FELT_NAN = 3
};
#define TG_FELT_LOST    ((uint64_t)1 << 63) /* q means nothing */
#define TG_FELT_ODD     ((uint64_t)3 << 61)
#define TG_FELT_MARK(a) ((unsigned)((a).q >> 61 & 3)) /* of what is odd or, not being lost, as large as infinities */
#define TG_FELT_KIND(a) ((a).q & TG_FELT_LOST ? TG_FELT_MARK(a) : TG_FELT_FINITE)
#define TG_FELT_LARGE   1e30 /* from where on a number stands for infinity */

/* --- residues ------------------------------------------------------------------------------------------- */

/* x mod p and x mod q for any x below 2^128: p = 2^62 - 392705, q = 2^61 - 196353. */
static inline uint64_t tg_mod_p(TgU128 x)
{
    const uint64_t mask = ((uint64_t)1 << 62) - 1, c = 392705;
    x = (x & mask) + (x >> 62) * c; /* below 2^85 */
    uint64_t r = (uint64_t)(x & mask) + (uint64_t)(x >> 62) * c;
    return r >= TG_FIELD_P ? r - TG_FIELD_P : r;
}
static inline uint64_t tg_mod_q(TgU128 x)
{
    const uint64_t mask = ((uint64_t)1 << 61) - 1, c = 196353;
    x = (x & mask) + (x >> 61) * c;
    uint64_t r = (uint64_t)(x & mask) + (uint64_t)(x >> 61) * c;
    return r >= TG_FIELD_Q ? r - TG_FIELD_Q : r;
}
static inline uint64_t tg_mul_p(uint64_t a, uint64_t b)
{
    return tg_mod_p((TgU128)a * b);
}
static inline uint64_t tg_mul_q(uint64_t a, uint64_t b)
{
    return tg_mod_q((TgU128)a * b);
}
static inline uint64_t tg_add_p(uint64_t a, uint64_t b)
{
    return a + b >= TG_FIELD_P ? a + b - TG_FIELD_P : a + b;
}
static inline uint64_t tg_add_q(uint64_t a, uint64_t b)
{
    return a + b >= TG_FIELD_Q ? a + b - TG_FIELD_Q : a + b;
}
uint64_t tg_pow_p(uint64_t a, uint64_t n);
uint64_t tg_pow_q(uint64_t a, uint64_t n);

/* --- elements ------------------------------------------------------------------------------------------- */

static inline bool tg_felt_is_odd(TgFelt a)
{
    return TG_FELT_KIND(a) != TG_FELT_FINITE;
}
static inline uint64_t tg_felt_q(TgFelt a)
{
    return a.q & ~(TG_FELT_LOST | TG_FELT_ODD);
}
static inline TgFelt tg_felt_of_kind(unsigned kind)
{
    return (TgFelt){0, (uint64_t)kind << 61 | TG_FELT_LOST};
}

static inline uint64_t tg_felt_key(TgFelt a) /* one number per value: p is below 2^62 */
{
    return a.p | (uint64_t)TG_FELT_KIND(a) << 62;
}

TgFelt tg_felt_int(int64_t x);
TgFelt tg_felt_float(double x); /* exact; infinities and NaN become their marks, large numbers have one beside */
TgFelt tg_felt_odd_add(TgFelt a, TgFelt b);
TgFelt tg_felt_odd_mul(TgFelt a, TgFelt b);

static inline TgFelt tg_felt_add(TgFelt a, TgFelt b)
{
    if ((a.q | b.q) & TG_FELT_ODD)
        return tg_felt_odd_add(a, b);
    uint64_t lost = (a.q | b.q) & TG_FELT_LOST;
    return (TgFelt){tg_add_p(a.p, b.p), lost ? lost : tg_add_q(a.q, b.q)};
}
static inline TgFelt tg_felt_mul(TgFelt a, TgFelt b)
{
    if ((a.q | b.q) & TG_FELT_ODD)
        return tg_felt_odd_mul(a, b);
    uint64_t lost = (a.q | b.q) & TG_FELT_LOST;
    return (TgFelt){tg_mul_p(a.p, b.p), lost ? lost : tg_mul_q(a.q, b.q)};
}
TgFelt tg_felt_neg(TgFelt a);
TgFelt tg_felt_inverse(TgFelt a); /* of zero: undefined */
static inline TgFelt tg_felt_sub(TgFelt a, TgFelt b)
{
    return tg_felt_add(a, tg_felt_neg(b));
}
static inline TgFelt tg_felt_div(TgFelt a, TgFelt b)
{
    return tg_felt_mul(a, tg_felt_inverse(b));
}

/* Equal as far as both are known: the same mark, or the same residues. */
static inline bool tg_felt_equal(TgFelt a, TgFelt b)
{
    if (TG_FELT_KIND(a) != TG_FELT_KIND(b))
        return false;
    if (tg_felt_is_odd(a))
        return true;
    return a.p == b.p && ((a.q | b.q) & TG_FELT_LOST || tg_felt_q(a) == tg_felt_q(b));
}

/* A total order that is the usual one on numbers which are small integers: residues are read as integers
 * around zero. On others it is arbitrary, but a function of the values. */
static inline int64_t tg_felt_center(TgFelt a)
{
    return a.p > TG_FIELD_P / 2 ? (int64_t)a.p - (int64_t)TG_FIELD_P : (int64_t)a.p;
}
bool tg_felt_less(TgFelt a, TgFelt b);
static inline bool tg_felt_is_small(TgFelt a) /* an integer of which the order means something */
{
    int64_t x = tg_felt_center(a);
    return !tg_felt_is_odd(a) && x < (int64_t)1 << 40 && x > -((int64_t)1 << 40);
}
static inline TgFelt tg_felt_max(TgFelt a, TgFelt b)
{
    return tg_felt_less(a, b) ? b : a;
}
static inline TgFelt tg_felt_min(TgFelt a, TgFelt b)
{
    return tg_felt_less(b, a) ? b : a;
}

/* --- what depends on the draw --------------------------------------------------------------------------- */

/* One draw: the base of exponentials, and what happened on the way. */
typedef struct TgField {
    uint64_t power[16][16]; /* w^(j 16^i) */
    TgFelt odd_root;        /* a factor of roots of nonsquares, see tg_felt_sqrt */
    bool hashed; /* a function of which only congruence is known was applied: unequal means little */
    bool coarse; /* so was one with few results (an order, a rounding): equal means little as well */
    bool exponentials;      /* there were some: terms are counted for their sake */
    bool exponent_lost;     /* one of them was of a number without a residue in F_q, thus an unknown function */
    bool root_of_nonsquare; /* a square root had no root here: draw again before believing a difference */
    bool masks;             /* a draw of masks: exp of a number marked low is 0 */
} TgField;

void tg_field_draw(TgField *f, uint64_t seed);
TgFelt tg_felt_random(uint64_t key);                     /* uniform in both residues */
TgFelt tg_felt_hash(TgField *f, uint64_t key, TgFelt a); /* an unknown function of a, one per key */
TgFelt tg_felt_exp(TgField *f, TgFelt a);
/* The root that is a square itself. Where a has none it is that of -a times an element drawn at random, so
 * that sqrt(a c^2) = c sqrt(a) holds, but not sqrt(a)^2 = -a, which no real number obeys. */
TgFelt tg_felt_sqrt(TgField *f, TgFelt a);
enum { TG_FELT_POWERS = 64 }; /* integer exponents up to this are repeated products */
TgFelt tg_felt_pow(TgField *f, TgFelt a, TgFelt b);
TgFelt tg_felt_sin(TgField *f, TgFelt a); /* a point of the unit circle per |a| */
TgFelt tg_felt_cos(TgField *f, TgFelt a);

#endif
