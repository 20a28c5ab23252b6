/* The loops of rows_loops.inc, as the avx2 source of a package has them. */
#include "rows.h"

#if defined(__x86_64__) || defined(__i386__)

#include <math.h>
#include <string.h>
#define TGK_HAS_FMA 1
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

#include "rows_loops.inc"

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const BenchLoops bench_loops_avx2 = {gelu_erf, gelu_tanh, silu_mul, gelu_erf_1, gelu_tanh_1};

#else

const BenchLoops bench_loops_avx2 = {0, 0, 0, 0, 0};

#endif
