/* The kernels for x86 with AVX-512 F, BW, DQ and VL. */
#include "tgk.h"

#if defined(__GNUC__) && !defined(TGK_PORTABLE) && (defined(__x86_64__) || defined(__i386__))

#include <math.h>
#include <string.h>
#include <immintrin.h>
#define TGK_HAS_FMA 1 /* for tgk_math.h: clang does not say so */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"))),              \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "simd_avx512.h"

#ifdef TGK_HAS_BYTES
#define TGK_HAS_VNNI 1
#endif
#include "gemm.inc"
#include "attention.inc"
#include "rows.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* The one thing that VNNI is used for here. */
#if defined(TGK_HAS_BYTES) && !defined(TGK_F32_ONLY)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"))),   \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")
#endif
static inline tgk_vi tgk_vnni_dot_add(tgk_vi s, tgk_vi low, tgk_vi high, tgk_vi even, tgk_vi odd)
{
    return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(s, low, even), high, odd);
}
static inline tgk_vi tgk_vnni_sum(tgk_vi s) { return s; }
#define TGK_CODES_NAME(name) name##_vnni
#define TGK_CODES_DOT tgk_vnni_dot_add
#define TGK_CODES_PAIRS tgk_vnni_sum
#include "gemm_codes_run.inc"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

#define TGK_AVX512(streams, vnni)                                                                                      \
    {"avx512", tgk_run_linear, tgk_run_matmul, tgk_run_attention, tgk_run_softmax, tgk_run_log_softmax,                \
     tgk_run_layer_norm, tgk_run_rms_norm, tgk_run_rotary, streams, vnni}
extern const tgk_isa tgk_isa_avx512, tgk_isa_avx512_vnni, tgk_isa_avx512_streams;
const tgk_isa tgk_isa_avx512 = TGK_AVX512(0, 0), tgk_isa_avx512_vnni = TGK_AVX512(0, 1),
              tgk_isa_avx512_streams = TGK_AVX512(1, 1);

#else

typedef int tgk_isa_avx512_is_for_another_machine;

#endif
