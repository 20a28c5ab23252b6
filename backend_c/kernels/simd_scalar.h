/* Vectors of floats without intrinsics: four lanes, for any C11 compiler.
 *
 * The same names stand in simd_avx2.h (8 lanes), simd_avx512.h (16) and simd_neon.h (4); an ISA's source includes one
 * of them, then kernels written once on these names:
 *
 *   tgk_vf, tgk_vm, TGK_LANES         a vector of floats; one truth value per lane; the number of lanes
 *   TGK_REGISTERS                     vector registers of the machine, from which tiles are chosen
 *   tgk_vf_load, _store               TGK_LANES floats, any alignment
 *   tgk_vf_load_n, _store_n           the first n lanes, 0 <= n <= TGK_LANES; the others are 0, stay as they are
 *   tgk_vf_load_f16, _bf16, _i8       TGK_LANES elements, widened exactly
 *   tgk_vi, tgk_vi_load               words of 32 bits, TGK_LANES of them, each eight codes of four bits
 *   tgk_vi_code, tgk_vi_next          the number of the lowest code, code - 8; the words behind it
 * where TGK_HAS_BYTES is defined (x86), words as integers:
 *   tgk_vi_low, _high                 the even, the odd codes of a word, as four bytes
 *   tgk_vi_set1, _add, _sub, _sll, _sra, _reduce_add, tgk_vf_of, tgk_vf_integer (to the nearest)
 *   tgk_vi_dot_add(s, l, h, e, o)     two sums of 16 bits a word: s + l e + h o, codes by bytes with a sign
 *   tgk_vi_pairs                      the sum of the two
 *   tgk_vi_pack(v, to)                the low bytes of each eight lanes as two words: even ones, odd ones
 *   tgk_vf_zero, tgk_vf_set1
 *   tgk_vf_add, _sub, _mul, _div, _sqrt, _abs
 *   tgk_vf_round                      to the nearest integer, ties to even
 *   tgk_vf_fma(a, b, c)               a b + c, rounded once (scalar: twice)
 *   tgk_vf_max, _min                  a > b ? a : b and a < b ? a : b: of a NaN, b
 *   tgk_vf_reduce_add, _max, _min     over all lanes, in a fixed order
 *   tgk_vf_lt, _le, _eq               comparisons; false on NaN
 *   tgk_vm_and, _or, _not, _any, _first(n), _load_bool(p, n): lane i < n and p[i] != 0
 *   tgk_vf_select(m, a, b)            m ? a : b
 *   tgk_vf_scale(x, n)                x 2^n, n integral, -252 <= n <= 254
 *   tgk_vf_add_exponent(x, t)         x 2^n of a normal result; t = n + 1.5 2^23
 *   tgk_vf_exp, tgk_vf_exp_below      simd_exp.h: 1.1 ULP; 0 below -87.33 (never a denormal), infinity above 88.72; of
 *                                     x < 88 only, cheaper
 *   tgk_vf_power(n)                   2^n, n integral, -126 <= n <= 127
 *   tgk_vf_exp2                       simd_exp.h, of x <= 127: error below 3 units of 2^-24; 0 below -126 (never a
 * denormal)
 *   tgk_vf_transpose(v)               in place: v[i] lane j <-> v[j] lane i, TGK_LANES vectors
 *   tgk_prefetch(p), tgk_prefetch_l2(p)
 *
 * GCC and clang lower their vector extension to whatever the target has; others get loops over an array.
 */
#ifndef TGK_SIMD_SCALAR_H
#define TGK_SIMD_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { TGK_LANES = 4, TGK_REGISTERS = 16 };

#if defined(__GNUC__)
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wpsabi" /* how vectors are passed where the machine has none: all functions are
                                            static */
#endif
typedef float tgk_vf __attribute__((vector_size(16)));
typedef int32_t tgk_vm __attribute__((vector_size(16)));
#define TGK_AT(x, i) (x)[i]
#define TGK_WHOLE(r, whole, lane) r = whole
#define tgk_prefetch(p) __builtin_prefetch(p, 0, 3)
#define tgk_prefetch_l2(p) __builtin_prefetch(p, 0, 2)
#else
typedef struct {
    float lane[4];
} tgk_vf;
typedef struct {
    int32_t lane[4];
} tgk_vm;
#define TGK_AT(x, i) (x).lane[i]
#define TGK_WHOLE(r, whole, each) TGK_EACH(r, each)
#define tgk_prefetch(p) ((void)(p))
#define tgk_prefetch_l2(p) ((void)(p))
#endif

/* Lane by lane: the expression in i. */
#define TGK_EACH(r, each)                                                                                              \
    do {                                                                                                               \
        for (int i = 0; i < 4; i++)                                                                                    \
            TGK_AT(r, i) = each;                                                                                       \
    } while (0)

static inline tgk_vf tgk_vf_load(const float *p)
{
    tgk_vf r = {0};
    memcpy(&r, p, sizeof r);
    return r;
}
static inline void tgk_vf_store(float *p, tgk_vf v) { memcpy(p, &v, sizeof v); }
static inline tgk_vf tgk_vf_load_n(const float *p, int n)
{
    tgk_vf r = {0};
    TGK_EACH(r, i < n ? p[i] : 0);
    return r;
}
static inline void tgk_vf_store_n(float *p, tgk_vf v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = TGK_AT(v, i);
}
static inline float tgk_float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
static inline float tgk_float_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, rest = h & 0x7fffU;
    if (rest < 0x400) {
        float small = (float)rest * 0x1p-24f;
        return sign ? -small : small;
    }
    return tgk_float_of_bits(sign | ((rest << 13) + (rest < 0x7c00 ? 112U << 23 : 224U << 23)));
}
static inline tgk_vf tgk_vf_load_f16(const uint16_t *p)
{
    tgk_vf r = {0};
    TGK_EACH(r, tgk_float_of_f16(p[i]));
    return r;
}
static inline tgk_vf tgk_vf_load_bf16(const uint16_t *p)
{
    tgk_vf r = {0};
    TGK_EACH(r, tgk_float_of_bits((uint32_t)p[i] << 16));
    return r;
}
static inline tgk_vf tgk_vf_load_i8(const int8_t *p)
{
    tgk_vf r = {0};
    TGK_EACH(r, (float)p[i]);
    return r;
}
/* Words of eight codes of four bits: the number of the lowest, -8 .. 7, and the word behind it. */
typedef struct {
    uint32_t at[TGK_LANES];
} tgk_vi;
static inline tgk_vi tgk_vi_load(const uint32_t *p)
{
    tgk_vi r;
    memcpy(r.at, p, sizeof r.at);
    return r;
}
static inline tgk_vi tgk_vi_next(tgk_vi v)
{
    for (int i = 0; i < TGK_LANES; i++)
        v.at[i] >>= 4;
    return v;
}
static inline tgk_vf tgk_vi_code(tgk_vi v)
{
    tgk_vf r = {0};
    TGK_EACH(r, (float)((int32_t)(v.at[i] & 15) - 8));
    return r;
}
static inline tgk_vf tgk_vf_set1(float x)
{
    tgk_vf r = {0};
    TGK_EACH(r, x);
    return r;
}
static inline tgk_vf tgk_vf_zero(void) { return tgk_vf_set1(0); }

/* An operation on two vectors, as a whole and lane by lane. */
#define TGK_BINARY(name, type, argument, whole, each)                                                                  \
    static inline type name(argument a, argument b)                                                                    \
    {                                                                                                                  \
        type r;                                                                                                        \
        TGK_WHOLE(r, whole, each);                                                                                     \
        return r;                                                                                                      \
    }
TGK_BINARY(tgk_vf_add, tgk_vf, tgk_vf, a + b, TGK_AT(a, i) + TGK_AT(b, i))
TGK_BINARY(tgk_vf_sub, tgk_vf, tgk_vf, a - b, TGK_AT(a, i) - TGK_AT(b, i))
TGK_BINARY(tgk_vf_mul, tgk_vf, tgk_vf, a * b, TGK_AT(a, i) * TGK_AT(b, i))
TGK_BINARY(tgk_vf_div, tgk_vf, tgk_vf, a / b, TGK_AT(a, i) / TGK_AT(b, i))
TGK_BINARY(tgk_vf_lt, tgk_vm, tgk_vf, a < b, -(TGK_AT(a, i) < TGK_AT(b, i)))
TGK_BINARY(tgk_vf_le, tgk_vm, tgk_vf, a <= b, -(TGK_AT(a, i) <= TGK_AT(b, i)))
TGK_BINARY(tgk_vf_eq, tgk_vm, tgk_vf, a == b, -(TGK_AT(a, i) == TGK_AT(b, i)))
TGK_BINARY(tgk_vm_and, tgk_vm, tgk_vm, a & b, TGK_AT(a, i) & TGK_AT(b, i))
TGK_BINARY(tgk_vm_or, tgk_vm, tgk_vm, a | b, TGK_AT(a, i) | TGK_AT(b, i))
#undef TGK_BINARY

static inline tgk_vf tgk_vf_select(tgk_vm m, tgk_vf a, tgk_vf b)
{
    tgk_vf r = {0};
    TGK_WHOLE(r, (tgk_vf)((m & (tgk_vm)a) | (~m & (tgk_vm)b)), TGK_AT(m, i) ? TGK_AT(a, i) : TGK_AT(b, i));
    return r;
}
static inline tgk_vf tgk_vf_fma(tgk_vf a, tgk_vf b, tgk_vf c) { return tgk_vf_add(tgk_vf_mul(a, b), c); }
static inline tgk_vf tgk_vf_max(tgk_vf a, tgk_vf b) { return tgk_vf_select(tgk_vf_lt(b, a), a, b); }
static inline tgk_vf tgk_vf_min(tgk_vf a, tgk_vf b) { return tgk_vf_select(tgk_vf_lt(a, b), a, b); }
static inline tgk_vf tgk_vf_sqrt(tgk_vf a)
{
    tgk_vf r = {0};
    TGK_EACH(r, sqrtf(TGK_AT(a, i)));
    return r;
}
static inline tgk_vf tgk_vf_abs(tgk_vf a)
{
    tgk_vf r = {0};
    TGK_EACH(r, fabsf(TGK_AT(a, i)));
    return r;
}
static inline tgk_vf tgk_vf_round(tgk_vf a)
{
    tgk_vf r = {0};
    TGK_EACH(r, rintf(TGK_AT(a, i)));
    return r;
}
static inline tgk_vm tgk_vm_not(tgk_vm a)
{
    tgk_vm r = {0};
    TGK_WHOLE(r, ~a, ~TGK_AT(a, i));
    return r;
}
static inline int tgk_vm_any(tgk_vm m) { return (TGK_AT(m, 0) | TGK_AT(m, 1) | TGK_AT(m, 2) | TGK_AT(m, 3)) != 0; }
static inline tgk_vm tgk_vm_first(int n)
{
    tgk_vm r = {0};
    TGK_EACH(r, -(i < n));
    return r;
}
static inline tgk_vm tgk_vm_load_bool(const uint8_t *p, int n)
{
    tgk_vm r = {0};
    TGK_EACH(r, -(i < n && p[i]));
    return r;
}
static inline float tgk_vf_reduce_add(tgk_vf v)
{
    return (TGK_AT(v, 0) + TGK_AT(v, 2)) + (TGK_AT(v, 1) + TGK_AT(v, 3));
}
static inline float tgk_vf_reduce_max(tgk_vf v)
{
    float a = TGK_AT(v, 0) > TGK_AT(v, 2) ? TGK_AT(v, 0) : TGK_AT(v, 2);
    float b = TGK_AT(v, 1) > TGK_AT(v, 3) ? TGK_AT(v, 1) : TGK_AT(v, 3);
    return a > b ? a : b;
}
static inline float tgk_vf_reduce_min(tgk_vf v)
{
    float a = TGK_AT(v, 0) < TGK_AT(v, 2) ? TGK_AT(v, 0) : TGK_AT(v, 2);
    float b = TGK_AT(v, 1) < TGK_AT(v, 3) ? TGK_AT(v, 1) : TGK_AT(v, 3);
    return a < b ? a : b;
}
/* 2^n in two factors: their product may leave the range of normal numbers where n alone would. */
static inline float tgk_scale1(float x, float n)
{
    int32_t whole = n == n ? (int32_t)n : 0, half = whole / 2;
    x *= tgk_float_of_bits((uint32_t)(half + 127) << 23);
    return x * tgk_float_of_bits((uint32_t)(whole - half + 127) << 23);
}
static inline tgk_vf tgk_vf_scale(tgk_vf x, tgk_vf n)
{
    tgk_vf r = {0};
    TGK_EACH(r, tgk_scale1(TGK_AT(x, i), TGK_AT(n, i)));
    return r;
}
#if defined(__GNUC__)
static inline tgk_vf tgk_vf_add_exponent(tgk_vf x, tgk_vf t)
{
    typedef uint32_t bits __attribute__((vector_size(16)));
    return (tgk_vf)((bits)x + ((bits)t << 23));
}
#else
static inline float tgk_add_exponent1(float x, float t)
{
    uint32_t bits, n;
    memcpy(&bits, &x, sizeof bits);
    memcpy(&n, &t, sizeof n);
    return tgk_float_of_bits(bits + (n << 23));
}
static inline tgk_vf tgk_vf_add_exponent(tgk_vf x, tgk_vf t)
{
    tgk_vf r;
    TGK_EACH(r, tgk_add_exponent1(TGK_AT(x, i), TGK_AT(t, i)));
    return r;
}
#endif
static inline tgk_vf tgk_vf_power(tgk_vf n)
{
    tgk_vf r;
    TGK_EACH(r, tgk_float_of_bits(TGK_AT(n, i) > -127 ? (uint32_t)((int32_t)TGK_AT(n, i) + 127) << 23 : 0));
    return r;
}
static inline void tgk_vf_transpose(tgk_vf *v)
{
    for (int r = 0; r < 4; r++) {
        for (int c = 0; c < r; c++) {
            float t = TGK_AT(v[r], c);
            TGK_AT(v[r], c) = TGK_AT(v[c], r);
            TGK_AT(v[c], r) = t;
        }
    }
}

#include "simd_exp.h"

#endif
