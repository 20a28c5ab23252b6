/* Many elements at once: the same conversions as in dtype.c, without a call and a table look-up per
 * element for the types that weights have. On the bits of a float32; every other type goes through
 * dtype.c. */
#include <string.h>

#include "type.h"

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint16_t half_at(const void *bytes, size_t i) {
    uint16_t h;
    memcpy(&h, (const uint8_t *)bytes + 2 * i, sizeof h);
    return h;
}

static void put_half(void *bytes, size_t i, uint16_t h) { memcpy((uint8_t *)bytes + 2 * i, &h, sizeof h); }

static uint32_t choose(bool first, uint32_t a, uint32_t b) {
    uint32_t mask = 0u - (uint32_t)first;
    return (a & mask) | (b & ~mask);
}

/* The exponents' biases differ by 112; the product also normalises what is subnormal in f16. */
static float f16_value(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t bits = bits_of(from_bits(magnitude) * 0x1p112f);
    return from_bits(bits | sign | (magnitude >= 0x7c00u << 13 ? 0x7f800000u : 0));
}

/* No branches, so that loops become vectors. Below 2^-14, adding 0.5 lets the addition itself round at 2^-24;
 * above, half a unit is added to the kept bits. */
static uint16_t f16_code(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    uint32_t small = bits_of(from_bits(magnitude) + 0.5f) - 0x3f000000;
    uint32_t normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    uint32_t code = choose(magnitude < 0x38800000, small, normal);
    code = choose(magnitude >= 0x477ff000, 0x7c00, code); /* 65520: rounds to infinity */
    code = choose(magnitude > 0x7f800000, 0x7e00, code);
    return (uint16_t)(sign | code);
}

static float bf16_value(uint16_t h) { return from_bits((uint32_t)h << 16); }

static uint16_t bf16_code(float x) {
    uint32_t bits = bits_of(x), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 & 0x8000) | 0x7fc0 : rounded);
}

void tg_load_f32s(TgDtype t, const void *bytes, size_t n, float *to) {
    if (t == TG_f32)
        memcpy(to, bytes, n * sizeof *to);
    else if (t == TG_f16)
        for (size_t i = 0; i < n; i++)
            to[i] = f16_value(half_at(bytes, i));
    else if (t == TG_bf16)
        for (size_t i = 0; i < n; i++)
            to[i] = bf16_value(half_at(bytes, i));
    else
        for (size_t i = 0; i < n; i++)
            to[i] = (float)tg_load_float(t, bytes, i);
}

void tg_load_f64s(TgDtype t, const void *bytes, size_t n, double *to) {
    enum { PIECE = 256 };
    float piece[PIECE];
    if (t != TG_f32 && t != TG_f16 && t != TG_bf16) {
        for (size_t i = 0; i < n; i++)
            to[i] = tg_load_float(t, bytes, i);
        return;
    }
    for (size_t from = 0; from < n; from += PIECE) {
        size_t count = n - from < PIECE ? n - from : PIECE;
        tg_load_f32s(t, (const uint8_t *)bytes + tg_dtype_bytes(t, from), count, piece);
        for (size_t i = 0; i < count; i++)
            to[from + i] = (double)piece[i];
    }
}

void tg_store_f32s(TgDtype t, void *bytes, size_t n, const float *from) {
    if (t == TG_f32)
        memcpy(bytes, from, n * sizeof *from);
    else if (t == TG_f16)
        for (size_t i = 0; i < n; i++)
            put_half(bytes, i, f16_code(from[i]));
    else if (t == TG_bf16)
        for (size_t i = 0; i < n; i++)
            put_half(bytes, i, bf16_code(from[i]));
    else
        for (size_t i = 0; i < n; i++)
            tg_store_float(t, bytes, i, (double)from[i]);
}

void tg_round_f32s(TgDtype t, float *x, size_t n) {
    if (t == TG_f16)
        for (size_t i = 0; i < n; i++)
            x[i] = f16_value(f16_code(x[i]));
    else if (t == TG_bf16)
        for (size_t i = 0; i < n; i++)
            x[i] = bf16_value(bf16_code(x[i]));
    else if (t != TG_f32)
        for (size_t i = 0; i < n; i++)
            x[i] = (float)tg_round_float(t, (double)x[i], false);
}
