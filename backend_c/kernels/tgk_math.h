/* Scalar functions for generated pointwise loops.
 *
 * Problem: a loop over exp, tanh or erf of libm runs at 3 to 20 ns an element, because the compiler cannot make
 * vectors of calls. Idea: float functions without branches and calls, so that gcc and clang at -O3 turn the loop
 * around them into vectors of any width. All the transcendental ones but log and sin stand on one core: y = n ln 2 +
 * r, |r| <= ln 2 / 2, and a polynomial of degree 6 in r.
 *
 * Invariants
 * - NaN in, NaN out; infinities give the limits; no function gives a denormal number where its argument is normal and
 *   libm's result would come from an underflow of exp (it gives 0): denormal numbers cost 100 cycles each.
 * - Nothing is undefined: integers wrap, shifts and divisions are defined for all operands.
 * - Meaning is that of the evaluator (ir/eval_elementwise.def, ir/dtype.c). Integer division by 0 gives 0.
 * - Bounds are against the exact result, over all floats, with and without FMA (tests/unit/test_kernel_math.c; its
 *   argument "all" repeats the sweep). 1 ULP is the distance of two floats at the result.
 * Coefficients are weighted minimax fits by Remez exchange, rounded to float one after the other:
 * tools/bench/fit_math.py.
 *
 * Needs round to nearest, floats evaluated as floats, and no -ffast-math. With -fno-math-errno loops over tgk_sqrtf
 * become vectors too. An ISA source defines TGK_HAS_FMA as 1 before its first include where the target has fused
 * multiply-add and the compiler does not say so (clang's attributes).
 */
#ifndef TGK_MATH_H
#define TGK_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "compile without -ffast-math: rounding by addition, and NaN, would be optimized away"
#endif

#ifndef TGK_HAS_FMA
#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
#define TGK_HAS_FMA 1
#else
#define TGK_HAS_FMA 0
#endif
#endif

/* --- bits ------------------------------------------------------------------------------------------------------- */

static inline uint32_t tgk_bits_f32(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float tgk_f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t tgk_bits_f64(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double tgk_f64_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a b + c, in one rounding where that is one instruction. */
static inline float tgk_maddf(float a, float b, float c)
{
#if TGK_HAS_FMA
    return fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

/* c ? a : b by masks. A plain choice with a constant arm is a temptation for gcc: it splits the computation that
 * follows into two paths, and the loop stays scalar. */
static inline uint32_t tgk_pick(int c, uint32_t a, uint32_t b)
{
    uint32_t mask = 0U - (uint32_t)c;
    return (a & mask) | (b & ~mask);
}

static inline float tgk_pickf(int c, float a, float b)
{
    return tgk_f32_of_bits(tgk_pick(c, tgk_bits_f32(a), tgk_bits_f32(b)));
}

/* The magnitude of x with the sign of s. */
static inline float tgk_copysignf(float x, float s)
{
    return tgk_f32_of_bits((tgk_bits_f32(x) & 0x7fffffffU) | (tgk_bits_f32(s) & 0x80000000U));
}

/* x >= 0 with the sign of s. */
static inline float tgk_signedf(float x, float s)
{
    return tgk_f32_of_bits(tgk_bits_f32(x) | (tgk_bits_f32(s) & 0x80000000U));
}

/* --- sign, order, rounding: exact ------------------------------------------------------------------------------- */

static inline float tgk_absf(float x) { return tgk_f32_of_bits(tgk_bits_f32(x) & 0x7fffffffU); }
static inline double tgk_abs(double x) { return fabs(x); }

static inline float tgk_signf(float x) { return tgk_pickf(x != x, x, (float)((x > 0) - (x < 0))); }
static inline double tgk_sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x != x ? x : 0.0; }

/* NaN wins. */
static inline float tgk_maxf(float a, float b) { return ((a > b) | (a != a)) ? a : b; }
static inline float tgk_minf(float a, float b) { return ((a < b) | (a != a)) ? a : b; }
static inline double tgk_max(double a, double b) { return ((a > b) | (a != a)) ? a : b; }
static inline double tgk_min(double a, double b) { return ((a < b) | (a != a)) ? a : b; }

static inline uint8_t tgk_isnanf(float x) { return x != x; }
static inline uint8_t tgk_isnan(double x) { return x != x; }
static inline uint8_t tgk_isinff(float x) { return (tgk_bits_f32(x) & 0x7fffffffU) == 0x7f800000U; }
static inline uint8_t tgk_isinf(double x) { return (tgk_bits_f64(x) & ~(UINT64_C(1) << 63)) == UINT64_C(0x7ff) << 52; }

/* To the nearest integer, ties to even. Where x has a fraction, adding 2^23 leaves no bit for it. */
static inline float tgk_roundf(float x)
{
    float a = tgk_absf(x);
    float whole = (a + 0x1p23F) - 0x1p23F;
    return tgk_copysignf(tgk_pickf(a < 0x1p23F, whole, x), x);
}

static inline float tgk_floorf(float x)
{
    float whole = tgk_roundf(x);
    return tgk_copysignf(whole - tgk_pickf(whole > x, 1.0F, 0.0F), x);
}

static inline float tgk_ceilf(float x)
{
    float whole = tgk_roundf(x);
    return tgk_copysignf(whole + tgk_pickf(whole < x, 1.0F, 0.0F), x);
}

static inline float tgk_truncf(float x)
{
    float a = tgk_absf(x), whole = tgk_roundf(a);
    return tgk_copysignf(whole - tgk_pickf(whole > a, 1.0F, 0.0F), x);
}

static inline double tgk_round(double x) { return nearbyint(x); }
static inline double tgk_floor(double x) { return floor(x); }
static inline double tgk_ceil(double x) { return ceil(x); }
static inline double tgk_trunc(double x) { return trunc(x); }

/* Correctly rounded. */
static inline float tgk_sqrtf(float x) { return sqrtf(x); }
static inline double tgk_sqrt(double x) { return sqrt(x); }

/* --- exp and what stands on it ---------------------------------------------------------------------------------- */

/* y = n ln 2 + r: r, and n in the low bits of *shifted. The first part of ln 2 has 15 bits, so its product with n is
 * exact. */
static inline float tgk_reducef(float y, uint32_t *shifted)
{
    float t = tgk_maddf(y, 0x1.715476p0F, 0x1.8p23F);
    float n = t - 0x1.8p23F;
    *shifted = tgk_bits_f32(t);
    return tgk_maddf(n, -0x1.7f7d1cp-20F, tgk_maddf(n, -0x1.62e4p-1F, y));
}

/* exp(r) - 1 for |r| <= 0.34658; relative error of the fit 1.5e-8. */
static inline float tgk_expm1_nearf(float r)
{
    float z = r * r, high = tgk_maddf(0x1.122c86p-7F, r, 0x1.55579ep-5F);
    float q = tgk_maddf(0x1.5554aap-3F, r, 0x1.fffffep-2F);
    q = tgk_maddf(tgk_maddf(0x1.6ab16cp-10F, z, high), z, q);
    return tgk_maddf(z, q, r);
}

/* 1.1 ULP. Results below 2^-126 are 0. */
static inline float tgk_expf(float x)
{
    uint32_t n;
    float p = 1.0F + tgk_expm1_nearf(tgk_reducef(x, &n));
    float y = tgk_f32_of_bits(tgk_bits_f32(p) + (n << 23));
    float beyond = x + INFINITY; /* infinity, or NaN */
    y = tgk_pickf(x < -0x1.5d589ep6F, 0.0F, y);
    return tgk_pickf(x <= 0x1.62e42ep6F, y, beyond);
}

/* 1 - exp(y) for -100 < y <= 0, with relative precision, never -0; NaN stays. */
static inline float tgk_1_minus_expf(float y)
{
    uint32_t n;
    float near0 = tgk_expm1_nearf(tgk_reducef(y, &n));
    float scale = tgk_f32_of_bits((n << 23) + 0x3f800000U);
    return tgk_maddf(-scale, near0, 1.0F - scale);
}

/* 1 / (1 + exp(-x)): 2.6 ULP. 0 below -87.33, where it would be denormal. */
static inline float tgk_sigmoidf(float x)
{
    uint32_t n;
    float c = tgk_pickf(x > 30.0F, 30.0F, x);
    float e = tgk_expm1_nearf(tgk_reducef(-c, &n));
    float scale = tgk_f32_of_bits((n << 23) + 0x3f800000U);
    float y = 1.0F / (1.0F + tgk_maddf(scale, e, scale));
    return tgk_pickf(x < -0x1.5d589ep6F, 0.0F, y);
}

/* 2.6 ULP. */
static inline float tgk_tanhf(float x)
{
    float a = tgk_absf(x);
    float e = tgk_1_minus_expf(-2.0F * tgk_pickf(a > 10.0F, 10.0F, a));
    return tgk_signedf(e / (2.0F - e), x);
}

/* erf(a) = 1 - exp(-a g(a)), g a polynomial of degree 7; from 3.9375 on the result is 1. The lowest coefficient has
 * two parts and is multiplied apart, so that near 0 only the last steps round. 2.5 ULP; without FMA 3. */
static inline float tgk_erff(float x)
{
    float a = tgk_absf(x);
    a = tgk_pickf(a > 3.9375F, 3.9375F, a);
    float z = a * a, g01 = tgk_maddf(-0x1.45f298p-1F, a, 0x1.40efcap-26F); /* all of -g */
    float g23 = tgk_maddf(0x1.3c9804p-6F, a, -0x1.a52120p-4F);
    float g45 = tgk_maddf(-0x1.4768e4p-10F, a, -0x1.b5d8a0p-13F);
    float g67 = tgk_maddf(-0x1.53deeep-15F, a, 0x1.8e42bcp-12F);
    float g = tgk_maddf(tgk_maddf(g67, z, g45), z * z, tgk_maddf(g23, z, g01));
    return tgk_signedf(tgk_1_minus_expf(tgk_maddf(-0x1.20dd76p+0F, a, a * g)), x);
}

/* --- activations ------------------------------------------------------------------------------------------------ */

/* x sigmoid(x): 3 ULP. */
static inline float tgk_siluf(float x) { return x * tgk_sigmoidf(x); }

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which is x times the sigmoid of twice that argument: 3 ULP or
 * 2^-24. */
static inline float tgk_gelu_tanhf(float x)
{
    return x * tgk_sigmoidf(x * tgk_maddf(x * x, 0x1.2444f2p-4F, 0x1.988454p0F));
}

/* x/2 (1 + erf(x / sqrt(2))) = max(x, 0) - a/2 exp(-a h(a)), a = |x|, h of degree 8: fewer steps than erf, and 1 +
 * erf does not cancel on the negative side. 3 ULP or 2^-24: below -5.75 it stays at the value there, -2.6e-8. */
static inline float tgk_geluf(float x)
{
    uint32_t n;
    float a = tgk_absf(x), positive = tgk_maddf(0.5F, x, 0.5F * a); /* max(x, 0); NaN of -infinity, as the formula */
    a = tgk_pickf(a > 5.75F, 5.75F, a);
    float z = a * a, h01 = tgk_maddf(-0x1.45ed6cp-2F, a, -0x1.ee0a80p-20F); /* all of -h */
    float h23 = tgk_maddf(0x1.43243ep-8F, a, -0x1.2a551cp-5F);
    float h45 = tgk_maddf(-0x1.181ac6p-13F, a, -0x1.c6d8d0p-14F);
    float h67 = tgk_maddf(-0x1.dc38bcp-19F, a, 0x1.1249a8p-15F), z2 = z * z;
    float high = tgk_maddf(tgk_maddf(0x1.4c9d44p-23F, z, h67), z, h45);
    float h = tgk_maddf(high, z2, tgk_maddf(h23, z, h01));
    float e = tgk_expm1_nearf(tgk_reducef(tgk_maddf(-0x1.988454p-1F, a, a * h), &n));
    float half = tgk_f32_of_bits((n << 23) + 0x3f000000U);
    return tgk_maddf(-a, tgk_maddf(half, e, half), positive);
}

/* --- log, sin, cos, powers -------------------------------------------------------------------------------------- */

/* x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = f - f^2/2 + f^3 p(f), p of degree 7. 1.1 ULP. */
static inline float tgk_logf(float x)
{
    uint32_t tiny = tgk_pick(x < 0x1p-126F, 23U, 0U);
    float scaled = x * tgk_pickf(x < 0x1p-126F, 0x1p23F, 1.0F);
    uint32_t bits = tgk_bits_f32(scaled), field = (bits + 0x004afb0dU) >> 23;
    float e = (float)((int32_t)(field - tiny) - 127);
    float f = tgk_f32_of_bits(bits - ((field - 127U) << 23)) - 1.0F;
    float p = tgk_maddf(-0x1.3a5a14p-4F, f, 0x1.05b48ap-3F);
    p = tgk_maddf(p, f, -0x1.0d7cacp-3F);
    p = tgk_maddf(p, f, 0x1.22d612p-3F);
    p = tgk_maddf(p, f, -0x1.547226p-3F);
    p = tgk_maddf(p, f, 0x1.99a036p-3F);
    p = tgk_maddf(p, f, -0x1.000228p-2F);
    p = tgk_maddf(p, f, 0x1.555554p-2F);
    float z = f * f;
    float y = tgk_maddf(f * z, p, e * 0x1.7f7d1cp-20F);
    y = tgk_maddf(e, 0x1.62e4p-1F, f + tgk_maddf(-0.5F, z, y));
    y = tgk_pickf(x < INFINITY, y, x);
    y = tgk_pickf(x < 0, NAN, y);
    return tgk_pickf(x == 0, -INFINITY, y);
}

/* sin of x + quarter pi / 2, in double: pi / 2 in three parts of which two have 25 bits, so that up to |x| = 2^28
 * only the third product rounds. 0.51 ULP. */
static inline float tgk_sin_near(float x, uint64_t quarter)
{
    double a = (double)x, t = a * 0x1.45f306dc9c883p-1 + 0x1.8p52, n = t - 0x1.8p52;
    uint64_t q = tgk_bits_f64(t) + quarter;
    double r = ((a - n * 0x1.921fb5p0) - n * 0x1.110b46p-26) - n * 0x1.1a62633145c07p-54, z = r * r;
    double s = ((0x1.7cd936p-19 * z - 0x1.a05bbcp-13) * z + 0x1.111176p-7) * z - 0x1.555556p-3;
    double c = ((-0x1.372522p-22 * z + 0x1.a075eap-16) * z - 0x1.6c1762p-10) * z + 0x1.555556p-5;
    s = s * z * r + r;
    c = (c * z - 0.5) * z + 1.0;
    uint64_t odd = 0U - (q & 1), y = (tgk_bits_f64(c) & odd) | (tgk_bits_f64(s) & ~odd);
    return (float)tgk_f64_of_bits(y ^ (q & 2) << 62);
}

/* Beyond 2^28, where neighbouring floats lie five periods apart, these call libm; the call keeps loops around them
 * scalar. A loop whose angles are known to be smaller may use tgk_sin_near(x, 0) and tgk_sin_near(x, 1), which
 * become vectors. */
static inline float tgk_sinf(float x) { return tgk_absf(x) <= 0x1p28F ? tgk_sin_near(x, 0) : (float)sin((double)x); }
static inline float tgk_cosf(float x) { return tgk_absf(x) <= 0x1p28F ? tgk_sin_near(x, 1) : (float)cos((double)x); }

/* Functions of libm, computed in double and rounded: right to 0.51 ULP where the libm is. */
static inline float tgk_powf(float x, float y) { return (float)pow((double)x, (double)y); }
static inline float tgk_tanf(float x) { return (float)tan((double)x); }
static inline float tgk_asinf(float x) { return (float)asin((double)x); }
static inline float tgk_acosf(float x) { return (float)acos((double)x); }
static inline float tgk_atanf(float x) { return (float)atan((double)x); }
static inline float tgk_sinhf(float x) { return (float)sinh((double)x); }
static inline float tgk_coshf(float x) { return (float)cosh((double)x); }
static inline float tgk_asinhf(float x) { return (float)asinh((double)x); }
static inline float tgk_acoshf(float x) { return (float)acosh((double)x); }
static inline float tgk_atanhf(float x) { return (float)atanh((double)x); }

/* Remainders with the sign of x, and with the sign of y. Exact. */
static inline float tgk_fmodf(float x, float y) { return fmodf(x, y); }
static inline double tgk_fmod(double x, double y) { return fmod(x, y); }

static inline double tgk_mod(double x, double y)
{
    double r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static inline float tgk_modf(float x, float y) { return (float)tgk_mod((double)x, (double)y); }

static inline double tgk_exp(double x) { return exp(x); }
static inline double tgk_log(double x) { return log(x); }
static inline double tgk_sin(double x) { return sin(x); }
static inline double tgk_cos(double x) { return cos(x); }
static inline double tgk_tan(double x) { return tan(x); }
static inline double tgk_asin(double x) { return asin(x); }
static inline double tgk_acos(double x) { return acos(x); }
static inline double tgk_atan(double x) { return atan(x); }
static inline double tgk_sinh(double x) { return sinh(x); }
static inline double tgk_cosh(double x) { return cosh(x); }
static inline double tgk_asinh(double x) { return asinh(x); }
static inline double tgk_acosh(double x) { return acosh(x); }
static inline double tgk_atanh(double x) { return atanh(x); }
static inline double tgk_tanh(double x) { return tanh(x); }
static inline double tgk_erf(double x) { return erf(x); }
static inline double tgk_pow(double x, double y) { return pow(x, y); }

static inline double tgk_sigmoid(double x)
{
    double e = exp(-fabs(x)); /* never overflows */
    return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/* --- integers --------------------------------------------------------------------------------------------------- */

/* Types below 32 bits use the 32-bit forms and are cut by their cast. Quotients are rounded to zero; x / 0 = x mod 0
 * = 0. */
#define TGK_SIGNED(name, Int, Uint)                                                                                    \
    static inline Int tgk_add_##name(Int x, Int y) { return (Int)((Uint)x + (Uint)y); }                                \
    static inline Int tgk_sub_##name(Int x, Int y) { return (Int)((Uint)x - (Uint)y); }                                \
    static inline Int tgk_mul_##name(Int x, Int y) { return (Int)((Uint)x * (Uint)y); }                                \
    static inline Int tgk_neg_##name(Int x) { return (Int)(0U - (Uint)x); }                                            \
    static inline Int tgk_abs_##name(Int x) { return x < 0 ? tgk_neg_##name(x) : x; }                                  \
    static inline Int tgk_sign_##name(Int x) { return (x > 0) - (x < 0); }                                             \
    static inline Int tgk_div_##name(Int x, Int y) { return y == 0 ? 0 : y == -1 ? tgk_neg_##name(x) : x / y; }        \
    static inline Int tgk_fmod_##name(Int x, Int y) { return ((y == 0) | (y == -1)) ? 0 : x % y; }                     \
    static inline Int tgk_mod_##name(Int x, Int y)                                                                     \
    {                                                                                                                  \
        Int r = tgk_fmod_##name(x, y);                                                                                 \
        return r != 0 && (r < 0) != (y < 0) ? r + y : r;                                                               \
    }

#define TGK_UNSIGNED(name, Uint, BITS)                                                                                 \
    static inline Uint tgk_div_##name(Uint x, Uint y) { return y ? x / y : 0; }                                        \
    static inline Uint tgk_mod_##name(Uint x, Uint y) { return y ? x % y : 0; }                                        \
    static inline Uint tgk_fmod_##name(Uint x, Uint y) { return y ? x % y : 0; }                                       \
    static inline Uint tgk_sign_##name(Uint x) { return x != 0; }                                                      \
    static inline Uint tgk_shl_##name(Uint x, Uint y) { return y < (BITS) ? x << (y & ((BITS)-1)) : 0; }               \
    static inline Uint tgk_shr_##name(Uint x, Uint y) { return y < (BITS) ? x >> (y & ((BITS)-1)) : 0; }

#define TGK_ORDERED(name, Int)                                                                                         \
    static inline Int tgk_max_##name(Int x, Int y) { return x > y ? x : y; }                                           \
    static inline Int tgk_min_##name(Int x, Int y) { return x < y ? x : y; }

TGK_SIGNED(i32, int32_t, uint32_t)
TGK_SIGNED(i64, int64_t, uint64_t)
TGK_UNSIGNED(u32, uint32_t, 32)
TGK_UNSIGNED(u64, uint64_t, 64)
TGK_ORDERED(i32, int32_t)
TGK_ORDERED(i64, int64_t)
TGK_ORDERED(u32, uint32_t)
TGK_ORDERED(u64, uint64_t)

#undef TGK_SIGNED
#undef TGK_UNSIGNED
#undef TGK_ORDERED

/* Modulo 2^64; a negative exponent gives the integer part of the fraction. */
static inline int64_t tgk_pow_i64(int64_t x, int64_t y)
{
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    uint64_t z = 1, power = (uint64_t)x;
    for (; y; y >>= 1, power *= power)
        z = y & 1 ? z * power : z;
    return (int64_t)z;
}

static inline int32_t tgk_pow_i32(int32_t x, int32_t y) { return (int32_t)tgk_pow_i64(x, y); }

/* --- conversions ------------------------------------------------------------------------------------------------ */

/* Float to integer, as Cast: truncated and cut to the type's bits; NaN, and what 64 bits do not hold, gives the
 * smallest int64, cut likewise. Narrower types: cast the int32. */
static inline int64_t tgk_f64_to_i64(double x)
{
    return x > -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

static inline uint64_t tgk_f64_to_u64(double x)
{
    return x >= 0x1p63 && x < 0x1p64 ? (uint64_t)x : (uint64_t)tgk_f64_to_i64(x);
}

static inline int32_t tgk_f64_to_i32(double x) { return (int32_t)(uint32_t)(uint64_t)tgk_f64_to_i64(x); }
static inline int64_t tgk_f32_to_i64(float x) { return tgk_f64_to_i64((double)x); }
static inline uint64_t tgk_f32_to_u64(float x) { return tgk_f64_to_u64((double)x); }

/* Without 64-bit integers, so that it becomes vectors: from 2^31 on, a float is 24 bits shifted by 8 or more. */
static inline int32_t tgk_f32_to_i32(float x)
{
    uint32_t bits = tgk_bits_f32(x), shift = (bits >> 23 & 255U) - 150U;
    uint32_t large = tgk_pick(shift < 32U, ((bits & 0x7fffffU) | 0x800000U) << (shift & 31U), 0U);
    float near0 = tgk_pickf(tgk_absf(x) < 0x1p31F, x, 0.0F);
    uint32_t small = (uint32_t)(int32_t)near0, minus = 0U - (bits >> 31);
    return (int32_t)tgk_pick(tgk_absf(x) < 0x1p31F, small, (large ^ minus) - minus);
}

/* The integer nearest to x (ties to even) + zero within [low, high], as QuantizeLinear; types of 16 and fewer bits. NaN
 * gives low. */
static inline int32_t tgk_quantizef(float x, int32_t zero, int32_t low, int32_t high)
{
    float y = tgk_roundf(x) + (float)zero, least = (float)low, most = (float)high;
    y = tgk_pickf(y > least, y, least);
    return (int32_t)tgk_pickf(y < most, y, most);
}

/* To float without losing what a later rounding to fewer bits needs: rounded to odd. */
static inline float tgk_f64_to_f32_odd(double x)
{
    float y = (float)x;
    uint32_t bits = tgk_bits_f32(y), inexact = ((double)y != x) & (x == x);
    uint32_t outward = fabs((double)y) > fabs(x); /* back to the value before: truncated */
    return tgk_f32_of_bits((bits - outward) | inexact);
}

static inline float tgk_bf16_to_f32(uint16_t code) { return tgk_f32_of_bits((uint32_t)code << 16); }

static inline uint16_t tgk_f32_to_bf16(float x)
{
    uint32_t bits = tgk_bits_f32(x), rounded = (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16;
    return (uint16_t)tgk_pick((bits & 0x7fffffffU) > 0x7f800000U, (bits >> 16 & 0x8000U) | 0x7fc0U, rounded);
}

/* Subnormal codes are small integers times 2^-24: no float in between is denormal. */
static inline float tgk_f16_to_f32(uint16_t code)
{
    uint32_t magnitude = code & 0x7fffU, sign = (uint32_t)(code & 0x8000U) << 16;
    uint32_t small = tgk_bits_f32((float)(int32_t)magnitude * 0x1p-24F);
    uint32_t normal = (magnitude << 13) + tgk_pick(magnitude < 0x7c00U, 112U << 23, 224U << 23);
    return tgk_f32_of_bits(sign | tgk_pick(magnitude < 0x400U, small, normal));
}

/* Below 2^-14, adding 0.5 lets the addition itself round at 2^-24; above, half a unit is added to the kept bits. */
static inline uint16_t tgk_f32_to_f16(float x)
{
    uint32_t bits = tgk_bits_f32(x), sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7fffffffU;
    uint32_t small = tgk_bits_f32(tgk_absf(x) + 0.5F) - 0x3f000000U;
    uint32_t normal = (magnitude - 0x38000000U + 0xfffU + (magnitude >> 13 & 1U)) >> 13;
    uint32_t code = tgk_pick(magnitude < 0x38800000U, small, normal);
    code = tgk_pick(magnitude >= 0x477ff000U, 0x7c00U, code); /* 65520 and beyond round to infinity */
    code = tgk_pick(magnitude > 0x7f800000U, 0x7e00U, code);
    return (uint16_t)(sign | code);
}

static inline uint16_t tgk_f64_to_f16(double x) { return tgk_f32_to_f16(tgk_f64_to_f32_odd(x)); }
static inline uint16_t tgk_f64_to_bf16(double x) { return tgk_f32_to_bf16(tgk_f64_to_f32_odd(x)); }

#endif
