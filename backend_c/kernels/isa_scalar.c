/* The kernels in plain C, for any machine. */
#include "tgk.h"

#include "simd_scalar.h"

#include "gemm.inc"
/* AT THE MERGE: #include "attention.inc" and "rows.inc" here, and their entries below instead of NULL. */

extern const tgk_isa tgk_isa_scalar;
const tgk_isa tgk_isa_scalar = {"scalar", tgk_run_linear, tgk_run_matmul, NULL, NULL, NULL, NULL, NULL, NULL};
