/* The kernels in plain C, for any machine. */
#include "tgk.h"

#include "simd_scalar.h"

#include "gemm.inc"
#include "attention.inc"
/* AT THE MERGE: #include "rows.inc" here, and its entries below instead of NULL. */

extern const tgk_isa tgk_isa_scalar;
const tgk_isa tgk_isa_scalar = {"scalar", tgk_run_linear, tgk_run_matmul, tgk_run_attention, NULL, NULL, NULL, NULL, NULL};
