/* Element types of 8 and fewer bits that packages store: small floats and packed integers.
 *
 * Problem: f8 in four forms, f8e8m0, f4, and integers of 4 and 2 bits are no C types. Idea: one decoder and one
 * encoder, inline, over the constants of a format (bits of exponent and mantissa, bias, how it spells infinity and
 * NaN); compilers fold the constants, and what is left has no branches, so that loops become vectors. Packed types
 * lie low bits first.
 *
 * Invariants: as Cast of ONNX and ir/dtype.c say. Rounding to nearest, ties to even. `saturate`: what is too large
 * becomes the largest finite number, else infinity, or NaN in formats without one. Values pass through float, which
 * holds all exactly; for a double, pass tgk_f64_to_f32_odd(x).
 */
#ifndef TGK_NARROW_H
#define TGK_NARROW_H

#include "tgk_math.h"

/* The highest exponent holds infinity and NaN; only all ones is NaN; only the code of minus zero is NaN (no minus
 * zero); none. */
typedef enum { TGK_IEEE, TGK_ONE_NAN, TGK_ZERO_NAN, TGK_FINITE } tgk_special;

static inline float tgk_small_decode(uint32_t code, uint32_t exponent, uint32_t mantissa, uint32_t bias,
                                     tgk_special special)
{
    uint32_t sign_bit = 1U << (exponent + mantissa), magnitude = code & (sign_bit - 1U);
    uint32_t sign = (code & sign_bit) << (31U - exponent - mantissa);
    uint32_t top = sign_bit - (1U << mantissa); /* infinity of IEEE */
    float unit = tgk_f32_of_bits((128U - bias - mantissa) << 23);
    uint32_t bits = (magnitude << (23U - mantissa)) + ((127U - bias) << 23);
    bits = tgk_pick(magnitude < 1U << mantissa, tgk_bits_f32((float)(int32_t)magnitude * unit), bits);
    if (special == TGK_IEEE)
        bits = tgk_pick(magnitude >= top, tgk_pick(magnitude > top, 0x7fc00000U, 0x7f800000U), bits);
    if (special == TGK_ONE_NAN)
        bits = tgk_pick(magnitude == sign_bit - 1U, 0x7fc00000U, bits);
    if (special == TGK_ZERO_NAN)
        bits = tgk_pick(code == sign_bit, 0x7fc00000U, bits);
    return tgk_f32_of_bits(sign | bits);
}

/* Below the smallest normal number, adding the power of two whose last bit is the unit lets the addition round;
 * above, half a unit is added to the kept bits. */
static inline uint8_t tgk_small_encode(float x, int saturate, uint32_t exponent, uint32_t mantissa, uint32_t bias,
                                       tgk_special special)
{
    uint32_t sign_bit = 1U << (exponent + mantissa), bits = tgk_bits_f32(x), magnitude = bits & 0x7fffffffU;
    uint32_t sign = bits >> 31 << (exponent + mantissa), cut = 23U - mantissa;
    uint32_t shift = (151U - bias - mantissa) << 23, lowest = (128U - bias) << 23;
    uint32_t largest = sign_bit - 1U - (special == TGK_IEEE ? 1U << mantissa : special == TGK_ONE_NAN ? 1U : 0U);
    uint32_t small = tgk_bits_f32(tgk_absf(x) + tgk_f32_of_bits(shift)) - shift;
    uint32_t normal = (magnitude - ((127U - bias) << 23) + (1U << (cut - 1U)) - 1U + (magnitude >> cut & 1U)) >> cut;
    uint32_t code = tgk_pick(magnitude < lowest, small, normal), over = largest, nan = sign_bit;
    if (special == TGK_IEEE)
        nan = sign | (largest + 1U) | 1U << (mantissa - 1U);
    if (special == TGK_ONE_NAN)
        nan = sign | (sign_bit - 1U);
    if (special == TGK_FINITE)
        nan = sign ^ sign_bit; /* a zero of the other sign, as ml_dtypes has it */
    if (!saturate && special != TGK_FINITE)
        over = special == TGK_IEEE ? largest + 1U : nan & (sign_bit - 1U);
    uint32_t lost = !saturate && special == TGK_ZERO_NAN ? sign_bit : sign | over;
    uint32_t kept = special == TGK_ZERO_NAN ? tgk_pick(code == 0U, 0U, sign | code) : sign | code;
    code = tgk_pick(code > largest, lost, kept);
    return (uint8_t)tgk_pick(magnitude > 0x7f800000U, nan, code);
}

#define TGK_SMALL(name, exponent, mantissa, bias, special)                                                             \
    static inline float tgk_##name##_to_f32(uint8_t code)                                                              \
    {                                                                                                                  \
        return tgk_small_decode(code, exponent, mantissa, bias, special);                                              \
    }                                                                                                                  \
    static inline uint8_t tgk_f32_to_##name(float x, int saturate)                                                     \
    {                                                                                                                  \
        return tgk_small_encode(x, saturate, exponent, mantissa, bias, special);                                       \
    }

TGK_SMALL(f8e4m3fn, 4U, 3U, 7U, TGK_ONE_NAN)
TGK_SMALL(f8e4m3fnuz, 4U, 3U, 8U, TGK_ZERO_NAN)
TGK_SMALL(f8e5m2, 5U, 2U, 15U, TGK_IEEE)
TGK_SMALL(f8e5m2fnuz, 5U, 2U, 16U, TGK_ZERO_NAN)
TGK_SMALL(f4e2m1, 2U, 1U, 1U, TGK_FINITE)

#undef TGK_SMALL

/* f8e8m0: powers of two from 2^-127, no sign, no zero. */
typedef enum { TGK_ROUND_UP, TGK_ROUND_DOWN, TGK_ROUND_NEAREST /* halfway: up */ } tgk_e8m0_rounding;

static inline float tgk_f8e8m0_to_f32(uint8_t code)
{
    uint32_t bits = tgk_pick(code == 0U, 0x00400000U, (uint32_t)code << 23);
    return tgk_f32_of_bits(tgk_pick(code == 255U, 0x7fc00000U, bits));
}

static inline uint8_t tgk_f32_to_f8e8m0(float x, int saturate, tgk_e8m0_rounding rounding)
{
    uint32_t magnitude = tgk_bits_f32(x) & 0x7fffffffU, field = magnitude >> 23, rest = magnitude & 0x7fffffU;
    uint32_t from = rounding == TGK_ROUND_UP ? 1U : rounding == TGK_ROUND_NEAREST ? 0x400000U : 0x800000U;
    uint32_t tiny = rounding == TGK_ROUND_UP ? 0x400001U : rounding == TGK_ROUND_NEAREST ? 0x600000U : 0x800000U;
    uint32_t code = field + (rest >= tgk_pick(field == 0U, tiny, from)), most = saturate ? 254U : 255U;
    code = tgk_pick(code >= 255U, most, code);
    return (uint8_t)tgk_pick(magnitude > 0x7f800000U, 255U, code);
}

/* --- packed: element i of an array of 4- or 2-bit elements ------------------------------------------------------ */

static inline uint8_t tgk_u4_at(const uint8_t *at, int64_t i) { return (uint8_t)(at[i >> 1] >> ((i & 1) * 4) & 15); }
static inline uint8_t tgk_u2_at(const uint8_t *at, int64_t i) { return (uint8_t)(at[i >> 2] >> ((i & 3) * 2) & 3); }
static inline int8_t tgk_i4_at(const uint8_t *at, int64_t i) { return (int8_t)((tgk_u4_at(at, i) ^ 8) - 8); }
static inline int8_t tgk_i2_at(const uint8_t *at, int64_t i) { return (int8_t)((tgk_u2_at(at, i) ^ 2) - 2); }
static inline float tgk_f4e2m1_at(const uint8_t *at, int64_t i) { return tgk_f4e2m1_to_f32(tgk_u4_at(at, i)); }

/* Only the low bits of `value` count; the other elements of the byte stay. */
static inline void tgk_put_4(uint8_t *at, int64_t i, int32_t value)
{
    uint32_t shift = (uint32_t)(i & 1) * 4U;
    at[i >> 1] = (uint8_t)((at[i >> 1] & ~(15U << shift)) | ((uint32_t)value & 15U) << shift);
}

static inline void tgk_put_2(uint8_t *at, int64_t i, int32_t value)
{
    uint32_t shift = (uint32_t)(i & 3) * 2U;
    at[i >> 2] = (uint8_t)((at[i >> 2] & ~(3U << shift)) | ((uint32_t)value & 3U) << shift);
}

#endif
