/* LinearAttention: a matrix-valued state S [d_k, d_v] per head is updated token by token, the output reads
 * it:
 *
 *     linear, gated:       S = exp(g) S + k v^T
 *     delta, gated_delta:  S = exp(g) S;  S = S + k (beta (v - S^T k))^T        (g = 0 where not gated)
 *     output:              scale * S^T q
 *
 * Query heads in groups share the state of one key-value head. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>

typedef struct {
    int64_t batch, tokens, q_heads, kv_heads, dk, dv;
    double scale;
    bool gated, delta, decay_per_key, one_beta;
} Linear;

#define TG_TEMPLATE "eval_linear_attention.inc"
#include "eval_num.h"

static bool read_rule(TgEvalCall *c, Linear *l)
{
    static const char *const names[] = {"linear", "gated", "delta", "gated_delta"};
    TgName given = tg_attr_string(c->tg, c->n, "update_rule");
    int rule = 0;
    while (rule < 4 && strcmp(given, names[rule]) != 0)
        rule++;
    if (rule == 4)
        return tg_report(c->tg, TG_E_eval_word, "update_rule", given);
    l->gated = rule & 1;
    l->delta = rule & 2;
    if (l->gated && !eval_in(c, 4))
        return tg_report(c->tg, TG_E_eval_requires, given, "a decay");
    return !l->delta || eval_in(c, 5) || tg_report(c->tg, TG_E_eval_requires, given, "a beta");
}

/* Operand `slot` is [batch, tokens, *]; its last size goes to *width. */
static bool packed(TgEvalCall *c, const Linear *l, uint32_t slot, int64_t *width)
{
    const TgArray *a = c->in[slot];
    *width = a->rank == 3 ? a->dim[2] : 0;
    return (a->rank == 3 && a->dim[0] == l->batch && a->dim[1] == l->tokens)
        || eval_bad_shape(c, slot, "it is [batch, tokens, heads * size]");
}

static bool read_sizes(TgEvalCall *c, Linear *l)
{
    int64_t q, k, v;
    if (c->in[0]->rank != 3)
        return eval_bad_shape(c, 0, "it is [batch, tokens, heads * size]");
    l->batch = c->in[0]->dim[0];
    l->tokens = c->in[0]->dim[1];
    if (l->kv_heads < 1 || l->q_heads < 1 || l->q_heads % l->kv_heads != 0)
        return eval_bad_value(c, "q_num_heads", l->q_heads);
    if (!packed(c, l, 0, &q) || !packed(c, l, 1, &k) || !packed(c, l, 2, &v))
        return false;
    l->dk = q / l->q_heads;
    l->dv = v / l->kv_heads;
    if (q != l->dk * l->q_heads || k != l->dk * l->kv_heads || v != l->dv * l->kv_heads)
        return eval_bad_shape(c, 1, "heads do not divide the sizes of query, key and value");
    return true;
}

/* Decay: one per head or one per key dimension. Beta: one per head or one for all. State: [batch, heads,
 * d_k, d_v]. */
static bool read_gates(TgEvalCall *c, Linear *l)
{
    int64_t width;
    const TgArray *past = eval_in(c, 3);
    if (l->gated && !packed(c, l, 4, &width))
        return false;
    l->decay_per_key = l->gated && width != l->kv_heads;
    if (l->decay_per_key && width != l->kv_heads * l->dk)
        return eval_bad_shape(c, 4, "a decay belongs to a head, or to a key dimension of a head");
    if (l->delta && !packed(c, l, 5, &width))
        return false;
    l->one_beta = l->delta && width != l->kv_heads;
    if (l->one_beta && width != 1)
        return eval_bad_shape(c, 5, "a beta belongs to a head, or to all of them");
    if (past && past->count != l->batch * l->kv_heads * l->dk * l->dv)
        return eval_bad_shape(c, 3, "a state is [batch, kv heads, d_k, d_v]");
    return true;
}

bool eval_linear_attention(TgEvalCall *c)
{
    const TgArray *past = eval_in(c, 3);
    TgDtype t = c->in[0]->dtype;
    Linear l = {.q_heads = tg_attr_int(c->n, "q_num_heads"), .kv_heads = tg_attr_int(c->n, "kv_num_heads"),
                .scale = tg_attr_float(c->n, "scale")};
    if (!eval_holds(c, "rrrrrr") || !read_rule(c, &l) || !read_sizes(c, &l) || !read_gates(c, &l))
        return false;
    if (l.scale == 0)
        l.scale = 1 / sqrt((double)l.dk);
    return eval_out(c, 0, t, 3, (int64_t[]){l.batch, l.tokens, l.q_heads * l.dv})
        && eval_out(c, 1, past ? past->dtype : t, 4, (int64_t[]){l.batch, l.kv_heads, l.dk, l.dv})
        && TG_BY_NUM(c, linear_attention)(c, &l);
}
