/* The kernels for AArch64 with NEON, which every such machine has. */
#include "tgk.h"

#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(TGK_PORTABLE)

#include <math.h>
#include <string.h>

#include "simd_neon.h"

#include "gemm.inc"
#include "attention.inc"
#include "rows.inc"

extern const tgk_isa tgk_isa_neon;
const tgk_isa tgk_isa_neon = {"neon", tgk_run_linear, tgk_run_matmul, tgk_run_attention,
    tgk_run_softmax, tgk_run_log_softmax, tgk_run_layer_norm, tgk_run_rms_norm, tgk_run_rotary, 0, 0};

#else

typedef int tgk_isa_neon_is_for_another_machine;

#endif
