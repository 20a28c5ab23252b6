/* The kernels for x86 with AVX-512 and AMX tiles of bf16. */
#include "tgk.h"

#if defined(__GNUC__) && !defined(TGK_PORTABLE) && defined(__x86_64__)

#include <math.h>
#include <string.h>
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(                                                                                \
    __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16"))),           \
    apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")
#endif

#include "simd_avx512.h"
#include "tgk_size.h"

extern const tgk_isa tgk_isa_avx512;

#include "gemm_amx.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* Everything else is that of AVX-512, which every machine with AMX has. */
#define TGK_AMX_LIKE(name, type)                                                                                       \
    static void tgk_amx_##name(const tgk_ctx *c, const type *a) { tgk_isa_avx512.name(c, a); }
TGK_AMX_LIKE(matmul, tgk_matmul)
TGK_AMX_LIKE(attention, tgk_attention)
TGK_AMX_LIKE(softmax, tgk_rows)
TGK_AMX_LIKE(log_softmax, tgk_rows)
TGK_AMX_LIKE(layer_norm, tgk_rows)
TGK_AMX_LIKE(rms_norm, tgk_rows)
TGK_AMX_LIKE(rotary, tgk_rotary)
#define TGK_AMX_OTHERS                                                                                                 \
    tgk_amx_matmul, tgk_amx_attention, tgk_amx_softmax, tgk_amx_log_softmax, tgk_amx_layer_norm, tgk_amx_rms_norm,     \
        tgk_amx_rotary, 0, 1

extern const tgk_isa tgk_isa_amx, tgk_isa_amx_fast, tgk_isa_amx_bf16;
const tgk_isa tgk_isa_amx = {"amx", tgk_amx_linear_3, TGK_AMX_OTHERS};
const tgk_isa tgk_isa_amx_fast = {"amx_fast", tgk_amx_linear_2, TGK_AMX_OTHERS};
const tgk_isa tgk_isa_amx_bf16 = {"amx_bf16", tgk_amx_linear_1, TGK_AMX_OTHERS};

#else

typedef int tgk_isa_amx_is_for_another_machine;

#endif
