/* LinearAttention. */
#ifndef TGK_OP_LINEAR_ATTENTION_H
#define TGK_OP_LINEAR_ATTENTION_H

#include "tgk.h"

typedef struct {
    tgk_array in[6];  /* query, key, value [batch, tokens, heads * size]; past state, decay, beta */
    tgk_array out[2]; /* output; state [batch, kv heads, d_k, d_v] */
    int64_t chunk_size, kv_num_heads, q_num_heads;
    double scale; /* 0: 1 / sqrt(d_k) */
    const char *update_rule;
} tgk_LinearAttention_args;

tgk_status tgk_LinearAttention(const tgk_ctx *c, tgk_LinearAttention_args *a);

#endif
