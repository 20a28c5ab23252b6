/* The kernels for x86 with AVX-512 and AMX tiles of bf16. */
#include "tgk.h"

#if defined(__GNUC__) && !defined(TGK_PORTABLE) && defined(__x86_64__)

#include <math.h>
#include <string.h>
#include <immintrin.h>
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")
#endif

#include "simd_avx512.h"

#include "gemm.inc"
#include "gemm_amx.inc"
#include "attention.inc"
/* AT THE MERGE: #include "rows.inc" here, and its entries below instead of NULL. */

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

extern const tgk_isa tgk_isa_amx, tgk_isa_amx_fast, tgk_isa_amx_bf16;
const tgk_isa tgk_isa_amx = {"amx", tgk_amx_linear_3, tgk_run_matmul, tgk_run_attention, NULL, NULL, NULL, NULL, NULL};
const tgk_isa tgk_isa_amx_fast = {"amx_fast", tgk_amx_linear_2, tgk_run_matmul, tgk_run_attention, NULL, NULL, NULL, NULL, NULL};
const tgk_isa tgk_isa_amx_bf16 = {"amx_bf16", tgk_amx_linear_1, tgk_run_matmul, tgk_run_attention, NULL, NULL, NULL, NULL, NULL};

#else

typedef int tgk_isa_amx_is_for_another_machine;

#endif
