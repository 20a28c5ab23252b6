/* The kernels in plain C, for any machine. */
#include "tgk.h"

#include "simd_scalar.h"

#include "gemm.inc"
#include "attention.inc"
#include "rows.inc"

extern const tgk_isa tgk_isa_scalar;
const tgk_isa tgk_isa_scalar = {"scalar", tgk_run_linear, tgk_run_matmul, tgk_run_attention,
    tgk_run_softmax, tgk_run_log_softmax, tgk_run_layer_norm, tgk_run_rms_norm, tgk_run_rotary, 0, 0};
