/* The kernels for x86 with AVX2, FMA and F16C. */
#include "tgk.h"

#if defined(__GNUC__) && !defined(TGK_PORTABLE) && (defined(__x86_64__) || defined(__i386__))

#include <math.h>
#include <string.h>
#include <immintrin.h>
#define TGK_HAS_FMA 1 /* for tgk_math.h: clang does not say so */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "simd_avx2.h"

#include "gemm.inc"
#include "attention.inc"
#include "rows.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#define TGK_AVX2(streams)                                                                                            \
    {"avx2", tgk_run_linear, tgk_run_matmul, tgk_run_attention, tgk_run_softmax, tgk_run_log_softmax,                  \
     tgk_run_layer_norm, tgk_run_rms_norm, tgk_run_rotary, streams, 0}
extern const tgk_isa tgk_isa_avx2, tgk_isa_avx2_streams;
const tgk_isa tgk_isa_avx2 = TGK_AVX2(0), tgk_isa_avx2_streams = TGK_AVX2(1);

#else

typedef int tgk_isa_avx2_is_for_another_machine;

#endif
