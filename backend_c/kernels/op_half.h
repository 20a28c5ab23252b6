/* Numbers of 16 bits and a float, one by one. For the sources of kernels only; the planner casts what must be fast. */
#ifndef TGK_OP_HALF_H
#define TGK_OP_HALF_H

#include <stdint.h>
#include <string.h>

static inline float tgk_bits_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t tgk_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float tgk_from_bf16(uint16_t h) { return tgk_bits_float((uint32_t)h << 16); }

/* Rounds to the nearest, halves to even; NaN stays NaN. */
static inline uint16_t tgk_to_bf16(float x)
{
    const uint32_t bits = tgk_float_bits(x);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* The exponent is moved by a product, which also makes subnormal numbers normal. */
static inline float tgk_from_f16(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    if (rest >= 0x7c00U << 13) /* infinity, NaN */
        return tgk_bits_float(sign | 0x7f800000 | rest);
    const float x = tgk_bits_float(rest) * tgk_bits_float(239U << 23); /* 2^112 */
    return tgk_bits_float(sign | tgk_float_bits(x));
}

/* Adding a power of two whose last place is the last place of the result rounds as the hardware does. */
static inline uint16_t tgk_to_f16(float x)
{
    const uint32_t bits = tgk_float_bits(x), magnitude = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* below 2^-14: steps of 2^-24 */
        const float moved = tgk_bits_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (tgk_float_bits(moved) - 0x3f000000));
    }
    return (uint16_t)(sign | (magnitude + 0xfff + (magnitude >> 13 & 1) - (112U << 23)) >> 13);
}

#endif
