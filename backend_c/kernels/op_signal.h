/* Fourier transforms and the Mel filter bank. */
#ifndef TGK_OP_SIGNAL_H
#define TGK_OP_SIGNAL_H

#include "tgk.h"

typedef struct {
    tgk_array in[3]; /* signal [..., 1 or 2], length, axis */
    tgk_array out[1];
    int64_t inverse, onesided;
} tgk_DFT_args;

typedef struct {
    tgk_array in[4]; /* signal [batch, samples, 1 or 2], frame step, window, frame length */
    tgk_array out[1];
    int64_t onesided;
} tgk_STFT_args;

typedef struct {
    tgk_array in[5]; /* bands, transform length, sample rate, lowest and highest frequency */
    tgk_array out[1];
    int64_t output_datatype;
} tgk_MelWeightMatrix_args;

tgk_status tgk_DFT(const tgk_ctx *c, tgk_DFT_args *a);
tgk_status tgk_STFT(const tgk_ctx *c, tgk_STFT_args *a);
tgk_status tgk_MelWeightMatrix(const tgk_ctx *c, tgk_MelWeightMatrix_args *a);

#endif
