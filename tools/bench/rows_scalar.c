/* The loops of rows_loops.inc, as the scalar source of a package has them. */
#include "rows_loops.inc"

const BenchLoops bench_loops_scalar = {gelu_erf, gelu_tanh, silu_mul, gelu_erf_1, gelu_tanh_1};
