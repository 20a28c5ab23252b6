/* Generated loops of one instruction set, for bench_rows. */
#ifndef TOOLS_BENCH_ROWS_H
#define TOOLS_BENCH_ROWS_H

#include "backend_c/kernels/tgk.h"

typedef struct {
    tgk_tile *gelu_erf, *gelu_tanh, *silu_mul, *gelu_erf_1, *gelu_tanh_1;
} BenchLoops;

extern const BenchLoops bench_loops_scalar, bench_loops_avx2, bench_loops_avx512;

#endif
