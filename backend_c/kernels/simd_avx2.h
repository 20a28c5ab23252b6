/* Vectors of 8 floats: AVX2, FMA, F16C. The names are explained in simd_scalar.h. */
#ifndef TGK_SIMD_AVX2_H
#define TGK_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { TGK_LANES = 8, TGK_REGISTERS = 16 };

typedef __m256 tgk_vf;
typedef __m256 tgk_vm; /* all bits of a lane, or none */

#define tgk_prefetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define tgk_prefetch_l2(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)

static inline tgk_vm tgk_vm_first(int n)
{
    return _mm256_castsi256_ps(
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}
static inline tgk_vf tgk_vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void tgk_vf_store(float *p, tgk_vf v) { _mm256_storeu_ps(p, v); }
static inline tgk_vf tgk_vf_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, _mm256_castps_si256(tgk_vm_first(n)));
}
static inline void tgk_vf_store_n(float *p, tgk_vf v, int n)
{
    _mm256_maskstore_ps(p, _mm256_castps_si256(tgk_vm_first(n)), v);
}
static inline tgk_vf tgk_vf_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline tgk_vf tgk_vf_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline tgk_vf tgk_vf_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
/* Words of eight codes of four bits: see simd_scalar.h. The code becomes the last bits of 2^23 + code. */
typedef __m256i tgk_vi;
static inline tgk_vi tgk_vi_load(const uint32_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
static inline tgk_vi tgk_vi_next(tgk_vi v) { return _mm256_srli_epi32(v, 4); }
static inline tgk_vf tgk_vi_code(tgk_vi v)
{
    const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(15));
    return _mm256_sub_ps(_mm256_castsi256_ps(_mm256_or_si256(low, _mm256_set1_epi32(0x4b000000))),
                         _mm256_set1_ps(0x1p23f + 8));
}
#ifndef TGK_F32_STRICT
#define TGK_HAS_BYTES 1
#endif
static inline tgk_vi tgk_vi_low(tgk_vi v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
static inline tgk_vi tgk_vi_high(tgk_vi v) { return tgk_vi_low(tgk_vi_next(v)); }
static inline tgk_vi tgk_vi_set1(int32_t x) { return _mm256_set1_epi32(x); }
static inline tgk_vi tgk_vi_add(tgk_vi a, tgk_vi b) { return _mm256_add_epi32(a, b); }
static inline tgk_vi tgk_vi_sub(tgk_vi a, tgk_vi b) { return _mm256_sub_epi32(a, b); }
static inline tgk_vi tgk_vi_sll(tgk_vi a, int n) { return _mm256_slli_epi32(a, n); }
static inline tgk_vi tgk_vi_sra(tgk_vi a, int n) { return _mm256_srai_epi32(a, n); }
static inline int32_t tgk_vi_reduce_add(tgk_vi a)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
static inline tgk_vf tgk_vf_of(tgk_vi a) { return _mm256_cvtepi32_ps(a); }
static inline tgk_vi tgk_vf_integer(tgk_vf a) { return _mm256_cvtps_epi32(a); }
static inline tgk_vi tgk_vi_pairs(tgk_vi a) { return _mm256_madd_epi16(a, _mm256_set1_epi16(1)); }
static inline tgk_vi tgk_vi_dot_add(tgk_vi s, tgk_vi low, tgk_vi high, tgk_vi even, tgk_vi odd)
{
    s = _mm256_add_epi16(s, _mm256_maddubs_epi16(low, even));
    return _mm256_add_epi16(s, _mm256_maddubs_epi16(high, odd));
}
static inline void tgk_vi_pack(tgk_vi v, uint32_t *to)
{
    const __m256i at = _mm256_setr_epi32(0, 0, 8, 8, 16, 16, 24, 24);
    __m256i b = _mm256_sllv_epi32(_mm256_and_si256(v, _mm256_set1_epi32(255)), at);
    b = _mm256_or_si256(b, _mm256_permute4x64_epi64(b, 0x4e));
    b = _mm256_or_si256(b, _mm256_permute4x64_epi64(b, 0xb1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm256_castsi256_si128(b));
}
static inline tgk_vf tgk_vf_zero(void) { return _mm256_setzero_ps(); }
static inline tgk_vf tgk_vf_set1(float x) { return _mm256_set1_ps(x); }
static inline tgk_vf tgk_vf_add(tgk_vf a, tgk_vf b) { return _mm256_add_ps(a, b); }
static inline tgk_vf tgk_vf_sub(tgk_vf a, tgk_vf b) { return _mm256_sub_ps(a, b); }
static inline tgk_vf tgk_vf_mul(tgk_vf a, tgk_vf b) { return _mm256_mul_ps(a, b); }
static inline tgk_vf tgk_vf_div(tgk_vf a, tgk_vf b) { return _mm256_div_ps(a, b); }
static inline tgk_vf tgk_vf_sqrt(tgk_vf a) { return _mm256_sqrt_ps(a); }
static inline tgk_vf tgk_vf_abs(tgk_vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline tgk_vf tgk_vf_round(tgk_vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline tgk_vf tgk_vf_fma(tgk_vf a, tgk_vf b, tgk_vf c) { return _mm256_fmadd_ps(a, b, c); }
/* sum += a * b. gcc 12, left to itself, takes forms that overwrite a factor, and moves sums from register to register,
 * and to memory: a tenth of the speed of products. */
#if defined(__GNUC__) && !defined(__clang__)
#define tgk_vf_accumulate(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#endif
static inline tgk_vf tgk_vf_max(tgk_vf a, tgk_vf b) { return _mm256_max_ps(a, b); }
static inline tgk_vf tgk_vf_min(tgk_vf a, tgk_vf b) { return _mm256_min_ps(a, b); }
static inline tgk_vm tgk_vf_lt(tgk_vf a, tgk_vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline tgk_vm tgk_vf_le(tgk_vf a, tgk_vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static inline tgk_vm tgk_vf_eq(tgk_vf a, tgk_vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline tgk_vm tgk_vm_and(tgk_vm a, tgk_vm b) { return _mm256_and_ps(a, b); }
static inline tgk_vm tgk_vm_or(tgk_vm a, tgk_vm b) { return _mm256_or_ps(a, b); }
static inline tgk_vm tgk_vm_not(tgk_vm a) { return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
static inline int tgk_vm_any(tgk_vm m) { return _mm256_movemask_ps(m) != 0; }
static inline tgk_vf tgk_vf_select(tgk_vm m, tgk_vf a, tgk_vf b) { return _mm256_blendv_ps(b, a, m); }
static inline tgk_vm tgk_vm_load_bool(const uint8_t *p, int n)
{
    uint64_t bytes = 0;
    memcpy(&bytes, p, n < 8 ? (size_t)n : 8);
    __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)&bytes));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(wide, _mm256_setzero_si256()));
}
static inline float tgk_vf_reduce_add(tgk_vf v)
{
    __m128 r = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}
static inline float tgk_vf_reduce_max(tgk_vf v)
{
    __m128 r = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    r = _mm_max_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
}
static inline float tgk_vf_reduce_min(tgk_vf v)
{
    __m128 r = _mm_min_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    r = _mm_min_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_min_ss(r, _mm_movehdup_ps(r)));
}
/* 2^n in two factors: their product may leave the range of normal numbers where n alone would. */
static inline tgk_vf tgk_vf_scale(tgk_vf x, tgk_vf n)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    __m256i rest = _mm256_sub_epi32(whole, half);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
static inline tgk_vf tgk_vf_add_exponent(tgk_vf x, tgk_vf t)
{
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), n));
}
static inline tgk_vf tgk_vf_power(tgk_vf n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
static inline void tgk_vf_transpose(tgk_vf *v)
{
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int k = 0; k < 2; k++) {
            __m256d lo = _mm256_castps_pd(a[i + k]), hi = _mm256_castps_pd(a[i + 2 + k]);
            b[i + 2 * k] = _mm256_castpd_ps(_mm256_unpacklo_pd(lo, hi));
            b[i + 2 * k + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(lo, hi));
        }
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}

#include "simd_exp.h"

#endif
