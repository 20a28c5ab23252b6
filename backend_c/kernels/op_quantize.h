/* Linear quantization: per tensor, per axis, in blocks.
 *
 * Quantized operands and results (letter q) are of any type of tgk.h of 32 bits and fewer, as they lie in memory:
 * one element per byte for those of 8 bits and fewer. `precision` is the type of the scale as the model has it,
 * before any Cast: where it is f16 or bf16, the ratio is rounded to it. */
#ifndef TGK_OP_QUANTIZE_H
#define TGK_OP_QUANTIZE_H

#include "tgk.h"

typedef struct {
    tgk_array in[3]; /* x, scale, zero point */
    tgk_array out[1];
    int64_t axis, block_size, output_dtype, precision, saturate;
} tgk_QuantizeLinear_args;

typedef struct {
    tgk_array in[3];
    tgk_array out[1];
    int64_t axis, block_size, output_dtype;
} tgk_DequantizeLinear_args;

tgk_status tgk_QuantizeLinear(const tgk_ctx *c, tgk_QuantizeLinear_args *a);
tgk_status tgk_DequantizeLinear(const tgk_ctx *c, tgk_DequantizeLinear_args *a);

#endif
