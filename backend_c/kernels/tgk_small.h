/* Element types of 8 and fewer bits in generated loops: the float8 family, float4, and integers of 4 and 2 bits.
 *
 * Floats are kept as their codes, one per byte, and computed as float; conversions go over the bits of a double by one routine
 * with the format as parameters, which compilers specialise. Integers lie one per byte as numbers; tgk_wrap_<type> cuts them.
 * Meaning is that of ir/dtype.c. Exact: round to nearest, ties to even.
 */
#ifndef TGK_SMALL_H
#define TGK_SMALL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* What the codes beyond the largest finite one mean. */
enum { TGK_IEEE, TGK_ONE_NAN, TGK_ZERO_NAN, TGK_FINITE };

static inline uint8_t tgk_small_nan(int32_t exponent, int32_t mantissa, int32_t special, uint32_t sign)
{
    uint32_t top = 1U << (exponent + mantissa);
    if (special == TGK_IEEE)
        return (uint8_t)(sign | (top - (1U << mantissa)) | 1U << (mantissa - 1));
    if (special == TGK_ONE_NAN)
        return (uint8_t)(sign | (top - 1U));
    if (special == TGK_ZERO_NAN)
        return (uint8_t)top;
    return (uint8_t)(sign ? 0U : top); /* a zero of the other sign, as ml_dtypes does */
}

static inline uint32_t tgk_small_largest(int32_t exponent, int32_t mantissa, int32_t special)
{
    uint32_t top = (1U << (exponent + mantissa)) - 1U;
    return special == TGK_IEEE ? top - (1U << mantissa) : special == TGK_ONE_NAN ? top - 1U : top;
}

/* The magnitude's code before limits: a carry of the rounded mantissa raises the exponent. */
static inline uint64_t tgk_small_code(uint64_t bits, int32_t mantissa, int32_t bias)
{
    int32_t field = (int32_t)(bits >> 52 & 0x7ff), power = field - 1023, lowest = 1 - bias, shift = 52 - mantissa;
    if (field == 0)
        return 0;
    if (power < lowest) {
        shift += lowest - power;
        power = lowest;
    }
    if (shift > 54)
        return 0;
    uint64_t whole = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    uint64_t kept = whole >> shift, half = UINT64_C(1) << (shift - 1), rest = whole & (2 * half - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return ((uint64_t)(power + bias - 1) << mantissa) + kept;
}

static inline uint8_t tgk_small_encode(double x, int32_t exponent, int32_t mantissa, int32_t bias, int32_t special,
                                       int32_t saturate)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t top = 1U << (exponent + mantissa), sign = bits >> 63 ? top : 0U;
    uint32_t largest = tgk_small_largest(exponent, mantissa, special);
    if (x != x)
        return tgk_small_nan(exponent, mantissa, special, sign);
    uint64_t code = tgk_small_code(bits, mantissa, bias);
    if (code > largest) {
        if (saturate || special == TGK_FINITE)
            return (uint8_t)(sign | largest);
        return special == TGK_IEEE ? (uint8_t)(sign | (largest + 1U)) : tgk_small_nan(exponent, mantissa, special, sign);
    }
    return (uint8_t)(special == TGK_ZERO_NAN && code == 0 ? 0U : sign | (uint32_t)code);
}

static inline float tgk_small_decode(uint32_t code, int32_t exponent, int32_t mantissa, int32_t bias, int32_t special)
{
    uint32_t top = 1U << (exponent + mantissa), magnitude = code & (top - 1U);
    uint32_t largest = tgk_small_largest(exponent, mantissa, special);
    float sign = code & top ? -1.0F : 1.0F;
    if (special == TGK_ZERO_NAN && code == top)
        return NAN;
    if (magnitude > largest)
        return special == TGK_IEEE && magnitude == largest + 1U ? sign * INFINITY : NAN;
    uint32_t field = magnitude >> mantissa, low = magnitude & ((1U << mantissa) - 1U);
    int32_t power = (field ? (int32_t)field : 1) - bias - mantissa;
    uint32_t bits = (uint32_t)(power + 127) << 23, whole = field ? low | 1U << mantissa : low;
    float unit;
    memcpy(&unit, &bits, sizeof unit);
    return sign * (unit * (float)whole);
}

#define TGK_SMALL(name, exponent, mantissa, bias, special)                                      \
    static inline float tgk_##name##_to_f32(uint8_t code)                                       \
    {                                                                                           \
        return tgk_small_decode(code, exponent, mantissa, bias, special);                       \
    }                                                                                           \
    static inline uint8_t tgk_f64_to_##name(double x, int32_t saturate)                         \
    {                                                                                           \
        return tgk_small_encode(x, exponent, mantissa, bias, special, saturate);                \
    }

TGK_SMALL(f8e4m3fn, 4, 3, 7, TGK_ONE_NAN)
TGK_SMALL(f8e4m3fnuz, 4, 3, 8, TGK_ZERO_NAN)
TGK_SMALL(f8e5m2, 5, 2, 15, TGK_IEEE)
TGK_SMALL(f8e5m2fnuz, 5, 2, 16, TGK_ZERO_NAN)
TGK_SMALL(f4e2m1, 2, 1, 1, TGK_FINITE)
#undef TGK_SMALL

/* Powers of two without sign and zero; mode 0: up, 1: down, 2: nearest. */
static inline uint8_t tgk_f64_to_f8e8m0(double x, int32_t saturate, int32_t mode)
{
    uint64_t bits;
    double size = fabs(x);
    if (x != x || (size > 0x1p1023 * 1.5 && !saturate))
        return 255;
    memcpy(&bits, &size, sizeof bits);
    int32_t power = (int32_t)(bits >> 52) - 1023;
    uint64_t rest = bits & ((UINT64_C(1) << 52) - 1);
    int32_t up = mode == 0 ? rest > 0 : mode == 2 && rest >= UINT64_C(1) << 51;
    int32_t code = size > 0 ? power + up + 127 : 0;
    if (code >= 255)
        return saturate ? 254 : 255;
    return (uint8_t)(code < 0 ? 0 : code);
}

static inline float tgk_f8e8m0_to_f32(uint8_t code)
{
    return code == 255 ? NAN : ldexpf(1.0F, code - 127);
}

static inline uint8_t tgk_wrap_u4(int32_t x) { return (uint8_t)(x & 15); }
static inline uint8_t tgk_wrap_u2(int32_t x) { return (uint8_t)(x & 3); }
static inline int8_t tgk_wrap_i4(int32_t x) { return (int8_t)(((x & 15) ^ 8) - 8); }
static inline int8_t tgk_wrap_i2(int32_t x) { return (int8_t)(((x & 3) ^ 2) - 2); }

#endif
