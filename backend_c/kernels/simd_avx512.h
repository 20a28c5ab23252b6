/* Vectors of 16 floats: AVX-512 F, BW, DQ, VL. The names are explained in simd_scalar.h. */
#ifndef TGK_SIMD_AVX512_H
#define TGK_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum { TGK_LANES = 16, TGK_REGISTERS = 32 };

typedef __m512 tgk_vf;
typedef __mmask16 tgk_vm;

#define tgk_prefetch(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
#define tgk_prefetch_l2(p) _mm_prefetch((const char *)(p), _MM_HINT_T1)

static inline tgk_vm tgk_vm_first(int n) { return (tgk_vm)((1U << n) - 1); }
static inline tgk_vf tgk_vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void tgk_vf_store(float *p, tgk_vf v) { _mm512_storeu_ps(p, v); }
static inline tgk_vf tgk_vf_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(tgk_vm_first(n), p); }
static inline void tgk_vf_store_n(float *p, tgk_vf v, int n) { _mm512_mask_storeu_ps(p, tgk_vm_first(n), v); }
static inline tgk_vf tgk_vf_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline tgk_vf tgk_vf_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline tgk_vf tgk_vf_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
/* Words of eight codes of four bits: the number of the lowest, -8 .. 7, and the word behind it. */
typedef __m512i tgk_vi;
static inline tgk_vi tgk_vi_load(const uint32_t *p) { return _mm512_loadu_si512(p); }
static inline tgk_vi tgk_vi_next(tgk_vi v) { return _mm512_srli_epi32(v, 4); }
static inline tgk_vf tgk_vi_code(tgk_vi v)
{
    return _mm512_permutexvar_ps(v, _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
}
#ifndef TGK_F32_STRICT
#define TGK_HAS_BYTES 1
#endif
static inline tgk_vi tgk_vi_low(tgk_vi v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
static inline tgk_vi tgk_vi_high(tgk_vi v) { return tgk_vi_low(tgk_vi_next(v)); }
static inline tgk_vi tgk_vi_set1(int32_t x) { return _mm512_set1_epi32(x); }
static inline tgk_vi tgk_vi_add(tgk_vi a, tgk_vi b) { return _mm512_add_epi32(a, b); }
static inline tgk_vi tgk_vi_sub(tgk_vi a, tgk_vi b) { return _mm512_sub_epi32(a, b); }
static inline tgk_vi tgk_vi_sll(tgk_vi a, unsigned n) { return _mm512_slli_epi32(a, n); }
static inline tgk_vi tgk_vi_sra(tgk_vi a, unsigned n) { return _mm512_srai_epi32(a, n); }
static inline int32_t tgk_vi_reduce_add(tgk_vi a) { return _mm512_reduce_add_epi32(a); }
static inline tgk_vf tgk_vf_of(tgk_vi a) { return _mm512_cvtepi32_ps(a); }
static inline tgk_vi tgk_vf_integer(tgk_vf a) { return _mm512_cvtps_epi32(a); }
static inline tgk_vi tgk_vi_pairs(tgk_vi a) { return _mm512_madd_epi16(a, _mm512_set1_epi16(1)); }
static inline tgk_vi tgk_vi_dot_add(tgk_vi s, tgk_vi low, tgk_vi high, tgk_vi even, tgk_vi odd)
{
    s = _mm512_add_epi16(s, _mm512_maddubs_epi16(low, even));
    return _mm512_add_epi16(s, _mm512_maddubs_epi16(high, odd));
}
static inline void tgk_vi_pack(tgk_vi v, uint32_t *to)
{
    const __m512i at = _mm512_setr_epi32(0, 0, 8, 8, 16, 16, 24, 24, 0, 0, 8, 8, 16, 16, 24, 24);
    __m512i b = _mm512_sllv_epi32(_mm512_and_si512(v, _mm512_set1_epi32(255)), at);
    b = _mm512_or_si512(b, _mm512_permutex_epi64(b, 0x4e));
    b = _mm512_or_si512(b, _mm512_permutex_epi64(b, 0xb1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm512_castsi512_si128(b));
    _mm_storel_epi64((__m128i *)(void *)(to + 2), _mm512_extracti64x2_epi64(b, 2));
}
static inline tgk_vf tgk_vf_zero(void) { return _mm512_setzero_ps(); }
static inline tgk_vf tgk_vf_set1(float x) { return _mm512_set1_ps(x); }
static inline tgk_vf tgk_vf_add(tgk_vf a, tgk_vf b) { return _mm512_add_ps(a, b); }
static inline tgk_vf tgk_vf_sub(tgk_vf a, tgk_vf b) { return _mm512_sub_ps(a, b); }
static inline tgk_vf tgk_vf_mul(tgk_vf a, tgk_vf b) { return _mm512_mul_ps(a, b); }
static inline tgk_vf tgk_vf_div(tgk_vf a, tgk_vf b) { return _mm512_div_ps(a, b); }
static inline tgk_vf tgk_vf_sqrt(tgk_vf a) { return _mm512_sqrt_ps(a); }
static inline tgk_vf tgk_vf_abs(tgk_vf a) { return _mm512_abs_ps(a); }
static inline tgk_vf tgk_vf_round(tgk_vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline tgk_vf tgk_vf_fma(tgk_vf a, tgk_vf b, tgk_vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline tgk_vf tgk_vf_max(tgk_vf a, tgk_vf b) { return _mm512_max_ps(a, b); }
static inline tgk_vf tgk_vf_min(tgk_vf a, tgk_vf b) { return _mm512_min_ps(a, b); }
static inline tgk_vm tgk_vf_lt(tgk_vf a, tgk_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline tgk_vm tgk_vf_le(tgk_vf a, tgk_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline tgk_vm tgk_vf_eq(tgk_vf a, tgk_vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline tgk_vm tgk_vm_and(tgk_vm a, tgk_vm b) { return (tgk_vm)(a & b); }
static inline tgk_vm tgk_vm_or(tgk_vm a, tgk_vm b) { return (tgk_vm)(a | b); }
static inline tgk_vm tgk_vm_not(tgk_vm a) { return (tgk_vm)~a; }
static inline int tgk_vm_any(tgk_vm m) { return m != 0; }
static inline tgk_vf tgk_vf_select(tgk_vm m, tgk_vf a, tgk_vf b) { return _mm512_mask_blend_ps(m, b, a); }
static inline tgk_vm tgk_vm_load_bool(const uint8_t *p, int n)
{
    __m128i bytes = _mm_maskz_loadu_epi8(tgk_vm_first(n), p);
    return _mm_test_epi8_mask(bytes, bytes);
}
static inline float tgk_vf_reduce_add(tgk_vf v)
{
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 r = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    r = _mm_add_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_add_ss(r, _mm_movehdup_ps(r)));
}
static inline float tgk_vf_reduce_max(tgk_vf v)
{
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 r = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    r = _mm_max_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_max_ss(r, _mm_movehdup_ps(r)));
}
static inline float tgk_vf_reduce_min(tgk_vf v)
{
    __m256 h = _mm256_min_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 r = _mm_min_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    r = _mm_min_ps(r, _mm_movehl_ps(r, r));
    return _mm_cvtss_f32(_mm_min_ss(r, _mm_movehdup_ps(r)));
}
static inline tgk_vf tgk_vf_scale(tgk_vf x, tgk_vf n) { return _mm512_scalef_ps(x, n); }
static inline tgk_vf tgk_vf_add_exponent(tgk_vf x, tgk_vf t)
{
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), n));
}
static inline tgk_vf tgk_vf_power(tgk_vf n) { return _mm512_scalef_ps(_mm512_set1_ps(1), n); }
/* In place of simd_exp.h's: x is split into its floor, which the last instruction takes itself, and the rest, in [0,
 * 1). */
#define TGK_EXP2_IS_HERE
static inline tgk_vf tgk_vf_exp2(tgk_vf x)
{
    __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0x1.e974fcp-10f), f, _mm512_set1_ps(0x1.277854p-7f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.c91ce6p-5f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ebdb56p-3f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.62e4bap-1f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1));
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-126), _CMP_NLT_UQ), p, x);
}
static inline void tgk_vf_transpose(tgk_vf *v)
{
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_unpacklo_ps(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int k = 0; k < 2; k++) {
            __m512d lo = _mm512_castps_pd(a[i + k]), hi = _mm512_castps_pd(a[i + 2 + k]);
            b[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi));
            b[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi));
        }
    }
    for (int i = 0; i < 4; i++) { /* b[4 r + i]: columns 4 q + i of rows 4 r ..., quarter q */
        __m512 even = _mm512_shuffle_f32x4(b[i], b[4 + i], 0x88), odd = _mm512_shuffle_f32x4(b[i], b[4 + i], 0xdd);
        __m512 even2 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0x88);
        __m512 odd2 = _mm512_shuffle_f32x4(b[8 + i], b[12 + i], 0xdd);
        v[i] = _mm512_shuffle_f32x4(even, even2, 0x88);
        v[4 + i] = _mm512_shuffle_f32x4(odd, odd2, 0x88);
        v[8 + i] = _mm512_shuffle_f32x4(even, even2, 0xdd);
        v[12 + i] = _mm512_shuffle_f32x4(odd, odd2, 0xdd);
    }
}

#include "simd_exp.h"

#endif
