/* Recurrent layers. Operands, results and attributes as ONNX has them. */
#ifndef TGK_OP_RECURRENT_H
#define TGK_OP_RECURRENT_H

#include "tgk.h"

typedef struct {
    tgk_array in[8];  /* X, W, R, B, sequence_lens, initial_h, initial_c, P */
    tgk_array out[3]; /* Y, Y_h, Y_c */
    const double *activation_alpha;
    int64_t n_activation_alpha;
    const double *activation_beta;
    int64_t n_activation_beta;
    const char *const *activations;
    int64_t n_activations;
    double clip; /* 0: none */
    const char *direction;
    int64_t hidden_size, input_forget, layout;
} tgk_LSTM_args;

typedef struct {
    tgk_array in[6];  /* X, W, R, B, sequence_lens, initial_h */
    tgk_array out[2]; /* Y, Y_h */
    const double *activation_alpha;
    int64_t n_activation_alpha;
    const double *activation_beta;
    int64_t n_activation_beta;
    const char *const *activations;
    int64_t n_activations;
    double clip;
    const char *direction;
    int64_t hidden_size, layout, linear_before_reset;
} tgk_GRU_args;

typedef struct {
    tgk_array in[6];
    tgk_array out[2];
    const double *activation_alpha;
    int64_t n_activation_alpha;
    const double *activation_beta;
    int64_t n_activation_beta;
    const char *const *activations;
    int64_t n_activations;
    double clip;
    const char *direction;
    int64_t hidden_size, layout;
} tgk_RNN_args;

tgk_status tgk_LSTM(const tgk_ctx *c, tgk_LSTM_args *a);
tgk_status tgk_GRU(const tgk_ctx *c, tgk_GRU_args *a);
tgk_status tgk_RNN(const tgk_ctx *c, tgk_RNN_args *a);

#endif
