/* LinearAttention: a matrix-valued state S [d_k, d_v] per head is updated token by token, the output reads it:
 *
 *     linear, gated:       S = exp(g) S + k v^T
 *     delta, gated_delta:  S = exp(g) S;  S = S + k (beta (v - S^T k))^T        (g = 0 where not gated)
 *     output:              scale * S^T q
 *
 * Columns of S do not meet each other: a task takes up to COLUMNS of them through all tokens, in a buffer on the stack
 * (d_k up to ROOM bytes; beyond: TGK_BAD_SIZE). Query heads in groups share the state of one key-value head.
 */
#include "op_linear_attention.h"

#include <math.h>

#include "op_result.h"

enum { COLUMNS = 64, ROOM = 64 * 1024 };

typedef struct {
    int64_t batch, tokens, q_heads, kv_heads, dk, dv, cols, slices; /* columns of a task; tasks per head */
    double scale;
    int gated, delta, decay_per_key, one_beta;
    const void *query, *key, *value, *past, *decay, *beta; /* the last three: or NULL */
    void *y, *state;
} Linear;

#define NUM float
#define FN(name) name##f
#define G(name) name##_f32
#include "op_linear_attention.inc"
#undef NUM
#undef FN
#undef G
#define NUM double
#define FN(name) name
#define G(name) name##_f64
#include "op_linear_attention.inc"

/* a is [batch, tokens, *]; its last size goes to *width. */
static int is_packed(const Linear *l, const tgk_array *a, int64_t *width)
{
    *width = a->rank == 3 ? a->dim[2] : 0;
    return a->rank == 3 && a->dim[0] == l->batch && a->dim[1] == l->tokens;
}

static tgk_status read_sizes(Linear *l, const tgk_array *in)
{
    int64_t q, k, v, width;
    if (l->kv_heads < 1 || l->q_heads < 1 || l->q_heads % l->kv_heads != 0)
        return TGK_BAD_VALUE;
    if (in[0].rank != 3)
        return TGK_BAD_SIZE;
    l->batch = in[0].dim[0];
    l->tokens = in[0].dim[1];
    if (!is_packed(l, &in[0], &q) || !is_packed(l, &in[1], &k) || !is_packed(l, &in[2], &v))
        return TGK_BAD_SIZE;
    l->dk = q / l->q_heads;
    l->dv = v / l->kv_heads;
    if (q != l->dk * l->q_heads || k != l->dk * l->kv_heads || v != l->dv * l->kv_heads)
        return TGK_BAD_SIZE;
    if (l->gated) {
        if (!is_packed(l, &in[4], &width) || (width != l->kv_heads && width != l->kv_heads * l->dk))
            return TGK_BAD_SIZE;
        l->decay_per_key = width != l->kv_heads;
    }
    if (l->delta) {
        if (!is_packed(l, &in[5], &width) || (width != l->kv_heads && width != 1))
            return TGK_BAD_SIZE;
        l->one_beta = width != l->kv_heads;
    }
    return in[3].at && tgk_total(&in[3]) != l->batch * l->kv_heads * l->dk * l->dv ? TGK_BAD_SIZE : TGK_OK;
}

static tgk_status read_operands(Linear *l, const tgk_LinearAttention_args *a)
{
    static const char *const rules[] = {"linear", "gated", "delta", "gated_delta"};
    const int rule = tgk_word(a->update_rule, rules, 4);
    if (rule < 0)
        return TGK_BAD_VALUE;
    l->gated = rule & 1;
    l->delta = rule & 2;
    if ((l->gated && !a->in[4].at) || (l->delta && !a->in[5].at))
        return TGK_BAD_VALUE;
    for (int i = 1; i < 6; i++)
        if (a->in[i].at && a->in[i].type != a->in[0].type)
            return TGK_BAD_VALUE;
    l->query = a->in[0].at;
    l->key = a->in[1].at;
    l->value = a->in[2].at;
    l->past = a->in[3].at;
    l->decay = l->gated ? a->in[4].at : NULL;
    l->beta = l->delta ? a->in[5].at : NULL;
    return read_sizes(l, a->in);
}

tgk_status tgk_LinearAttention(const tgk_ctx *c, tgk_LinearAttention_args *a)
{
    Linear l = {.q_heads = a->q_num_heads, .kv_heads = a->kv_num_heads, .scale = a->scale, .y = a->out[0].at,
                .state = a->out[1].at};
    tgk_status s = read_operands(&l, a);
    if (s)
        return s;
    const int f64 = a->in[0].type == TGK_F64;
    const int64_t y[3] = {l.batch, l.tokens, l.q_heads * l.dv}, state[4] = {l.batch, l.kv_heads, l.dk, l.dv};
    const int64_t bytes = f64 ? (int64_t)sizeof(double) : (int64_t)sizeof(float);
    const int64_t most = ROOM / bytes / (l.dk > 0 ? l.dk : 1);
    s = tgk_give(&a->out[0], 3, y);
    s = s ? s : tgk_give(&a->out[1], 4, state);
    if (s || l.dv == 0)
        return s;
    if (most == 0)
        return TGK_BAD_SIZE;
    if (l.scale == 0)
        l.scale = 1 / sqrt((double)l.dk);
    l.cols = most < COLUMNS ? most : COLUMNS;
    l.slices = (l.dv - 1) / l.cols + 1;
    tgk_for(c, f64 ? columns_f64 : columns_f32, &l, l.batch * l.kv_heads * l.slices);
    return TGK_OK;
}
