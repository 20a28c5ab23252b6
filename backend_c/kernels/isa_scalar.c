/* The kernels in plain C, for any machine. */
#include "tgk.h"

#include "simd_scalar.h"

#include "gemm.inc"
/* AT THE MERGE: #include "attention.inc" here, and its entry below instead of NULL. */
#include "rows.inc"

extern const tgk_isa tgk_isa_scalar;
const tgk_isa tgk_isa_scalar = {"scalar", tgk_run_linear, tgk_run_matmul, NULL,
    tgk_run_softmax, tgk_run_log_softmax, tgk_run_layer_norm, tgk_run_rms_norm, tgk_run_rotary};
