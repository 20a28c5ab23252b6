/* The arithmetics of two published optimizers.
 *
 * Mirage (OSDI 2025, fingerprint_functions.h): residues modulo p = 167 and q = 83, where q divides p - 1.
 * exp(x) is 3^(x mod q) modulo p; its residue modulo q is lost, so that no path may have two. sqrt(x) =
 * x^((p+1)/4). SiLU is x exp(x), GELU x exp(2 x), Relu and clamp are maximum and minimum of residues. Every
 * input is 0, 1, 2 ...
 *
 * TASO (SOSP 2019, generator.cc): int, which wraps around; Relu(x) = x (x + 1) + 1; every input is drawn
 * once. Constants that are no integers are such inputs.
 */
#include <math.h>
#include <stdlib.h>

#include "rivals.h"

/* --- Mirage --------------------------------------------------------------------------------------------- */

enum { P = 167, Q = 83, SPENT = 1 }; /* SPENT: the residue modulo q is lost */

static Number pack(uint32_t p, uint32_t q, uint32_t spent)
{
    return (Number)p << 32 | (Number)q << 16 | spent;
}
static uint32_t mod_p(Number x)
{
    return (uint32_t)(x >> 32);
}
static uint32_t mod_q(Number x)
{
    return (uint32_t)(x >> 16) & 0xffff;
}
static uint32_t spent(Number x)
{
    return (uint32_t)x & SPENT;
}

static uint32_t power(uint32_t x, uint32_t e, uint32_t m)
{
    uint32_t y = 1;
    for (; e; e >>= 1, x = x * x % m)
        if (e & 1)
            y = y * x % m;
    return y;
}

static Number mirage_input(uint64_t tensor, int64_t i)
{
    (void)tensor;
    return pack((uint32_t)(i % P), (uint32_t)(i % Q), 0);
}

/* The image of m 2^e. */
static uint32_t residue(int64_t m, int e, uint32_t modulus)
{
    uint32_t two = e < 0 ? power(2, modulus - 2, modulus) : 2;
    int64_t r = m % (int64_t)modulus;
    return (uint32_t)(r < 0 ? r + modulus : r) * power(two, (uint32_t)abs(e), modulus) % modulus;
}

static bool mirage_constant(double x, Number *y)
{
    int e;
    if (!isfinite(x))
        return false;
    int64_t m = (int64_t)ldexp(frexp(x, &e), 53);
    *y = pack(residue(m, e - 53, P), residue(m, e - 53, Q), 0);
    return true;
}

static Number mirage_add(Number a, Number b)
{
    return pack((mod_p(a) + mod_p(b)) % P, (mod_q(a) + mod_q(b)) % Q, spent(a) | spent(b));
}

static Number mirage_mul(Number a, Number b)
{
    return pack(mod_p(a) * mod_p(b) % P, mod_q(a) * mod_q(b) % Q, spent(a) | spent(b));
}

/* The table of inverses gives 0 for 0. */
static bool mirage_div(Number a, Number b, Number *y)
{
    *y = mirage_mul(a, pack(power(mod_p(b), P - 2, P), power(mod_q(b), Q - 2, Q), spent(b)));
    return true;
}

static uint32_t between(uint32_t low, uint32_t x, uint32_t high)
{
    return x < low ? low : x > high ? high : x;
}

static bool mirage_apply(Function f, Number x, Number *y)
{
    uint32_t q = mod_q(x);
    bool exponential = f == F_EXP || f == F_SILU || f == F_GELU;
    switch (f) {
    case F_EXP: *y = pack(power(3, q, P), 0, SPENT); break;
    case F_SILU: *y = pack(power(3, q, P) * q % P, 0, SPENT); break;
    case F_GELU: *y = pack(power(3, 2 * q % Q, P) * q % P, 0, SPENT); break;
    case F_SQRT: *y = pack(power(mod_p(x), (P + 1) / 4, P), power(q, (Q + 1) / 4, Q), spent(x)); break;
    case F_RELU: *y = pack(between(P / 2, mod_p(x), P), between(Q / 2, q, Q), spent(x)); break;
    case F_CLAMP:
        *y = pack(between(P / 3, mod_p(x), 2 * P / 3), between(Q / 3, q, 2 * Q / 3), spent(x));
        break;
    }
    return !(exponential && spent(x));
}

const Arithmetic mirage = {mirage_input, mirage_constant, mirage_add, mirage_mul, mirage_div, mirage_apply};

/* --- TASO ----------------------------------------------------------------------------------------------- */

static Number taso_input(uint64_t tensor, int64_t i)
{
    return (uint32_t)tg_mix(tensor, (uint64_t)i);
}

static bool taso_constant(double x, Number *y)
{
    if (x == trunc(x) && fabs(x) <= INT32_MAX)
        return *y = (uint32_t)(int64_t)x, true;
    *y = taso_input(tg_hash(&x, sizeof x, 1), 0);
    return isfinite(x);
}

static Number taso_add(Number a, Number b)
{
    return (uint32_t)(a + b);
}
static Number taso_mul(Number a, Number b)
{
    return (uint32_t)(a * b);
}

static bool taso_div(Number a, Number b, Number *y)
{
    (void)a, (void)b, (void)y;
    return false;
}

static bool taso_apply(Function f, Number x, Number *y)
{
    *y = (uint32_t)(x * (x + 1) + 1);
    return f == F_RELU;
}

const Arithmetic taso = {taso_input, taso_constant, taso_add, taso_mul, taso_div, taso_apply};
