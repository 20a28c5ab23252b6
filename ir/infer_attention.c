/* Inference of attention: ai.onnx and com.microsoft.
 *
 * Letters: B batch, S queries, L keys given, P keys of the past, T = P + L keys in all, h size of a head.
 */
#include "infer.h"

static TgDim per_head(const TgInfer *f, TgDim hidden, int64_t heads)
{
    return heads > 0 ? tg_dim_div(f->tg, hidden, inf_num(f, heads)) : inf_fresh(f);
}

static TgDim plus_past(const TgInfer *f, TgDim length, uint32_t past, int32_t axis)
{
    return inf_has(f, past) ? tg_dim_add(f->tg, inf_dim(f, past, axis), length) : length;
}

/* --- ai.onnx -------------------------------------------------------------------------------------------- */

/* One operand, whichever way it lies: [B, heads, length, h] or [B, length, heads * h]. */
typedef struct {
    TgDim heads, length, size;
} Heads;

static Heads read_heads(const TgInfer *f, uint32_t i, const char *attr)
{
    if (inf_rank(f, i) == 4)
        return (Heads){inf_dim(f, i, 1), inf_dim(f, i, 2), inf_dim(f, i, 3)};
    int64_t heads = tg_attr_int(f->n, attr);
    return (Heads){inf_num(f, heads), inf_dim(f, i, 1), per_head(f, inf_dim(f, i, 2), heads)};
}

bool infer_attention(TgInfer *f)
{
    enum { PAST_KEY = 4, PAST_VALUE = 5 };
    int32_t rank = inf_rank(f, 0);
    TgDtype dtype = inf_dtype(f, 0);
    if (rank < 0 || inf_rank(f, 1) < 0 || inf_rank(f, 2) < 0) {
        inf_set_unranked(f, 0, dtype);
        return true;
    }
    if (!inf_need_rank(f, 0, 3, 4) || !inf_need_rank(f, 1, rank, rank) || !inf_need_rank(f, 2, rank, rank))
        return false;
    Heads q = read_heads(f, 0, "q_num_heads"), k = read_heads(f, 1, "kv_num_heads"),
          v = read_heads(f, 2, "kv_num_heads");
    TgDim batch = inf_dim(f, 0, 0), total = plus_past(f, k.length, PAST_KEY, 2);
    if (!inf_equal(f, q.size, k.size, "Attention") || !inf_equal(f, k.length, v.length, "Attention"))
        return false;
    bool fits = rank == 4 ? inf_set_dims(f, 0, dtype, 4, batch, q.heads, q.length, v.size)
                          : inf_set_dims(f, 0, dtype, 3, batch, q.length, tg_dim_mul(f->tg, q.heads, v.size));
    return fits && inf_set_dims(f, 1, inf_dtype(f, 1), 4, batch, k.heads, total, k.size) &&
           inf_set_dims(f, 2, inf_dtype(f, 2), 4, batch, v.heads, plus_past(f, v.length, PAST_VALUE, 2),
                        v.size) &&
           inf_set_dims(f, 3, dtype, 4, batch, q.heads, q.length, total);
}

bool infer_flex_attention(TgInfer *f)
{
    if (!inf_need_rank(f, 0, 4, 4) || !inf_need_rank(f, 1, 4, 4) || !inf_need_rank(f, 2, 4, 4))
        return false;
    if (f->n->n_sub)
        tg_captures_refresh(f->g, f->node);
    return inf_set_dims(f, 0, inf_dtype(f, 0), 4, inf_dim(f, 0, 0), inf_dim(f, 0, 1), inf_dim(f, 0, 2),
                        inf_dim(f, 2, 3));
}

bool infer_linear_attention(TgInfer *f)
{
    int64_t q_heads = tg_attr_int(f->n, "q_num_heads"), kv_heads = tg_attr_int(f->n, "kv_num_heads");
    TgDtype dtype = inf_dtype(f, 0);
    if (!inf_need_rank(f, 0, 3, 3) || !inf_need_rank(f, 1, 3, 3) || !inf_need_rank(f, 2, 3, 3))
        return false;
    TgDim batch = inf_dim(f, 0, 0), key = per_head(f, inf_dim(f, 1, 2), kv_heads);
    TgDim value = per_head(f, inf_dim(f, 2, 2), kv_heads);
    TgDim hidden = tg_dim_mul(f->tg, inf_num(f, q_heads), value);
    return inf_set_dims(f, 0, dtype, 3, batch, inf_dim(f, 0, 1), hidden) &&
           inf_set_dims(f, 1, inf_has(f, 3) ? inf_dtype(f, 3) : dtype, 4, batch, inf_num(f, kv_heads), key,
                        value);
}

/* --- com.microsoft -------------------------------------------------------------------------------------- */

/* One weight matrix for queries, keys and values; past and present hold keys and values: [2, B, heads,
 * length, h]. */
bool infer_ms_attention(TgInfer *f)
{
    bool quantized = f->n->op == TG_ms_QAttention;
    uint32_t past = quantized ? 8 : 4, n = 0;
    int64_t heads = tg_attr_int(f->n, "num_heads");
    TgDtype dtype = quantized ? inf_dtype(f, 3) : inf_dtype(f, 0);
    const int64_t *widths = tg_attr_ints(f->n, "qkv_hidden_sizes", &n);
    if (!inf_need_rank(f, 0, 3, 3) || !inf_need_rank(f, 1, 2, 2))
        return false;
    TgDim batch = inf_dim(f, 0, 0), length = inf_dim(f, 0, 1);
    TgDim hidden = tg_dim_div(f->tg, inf_dim(f, 1, 1), inf_num(f, 3));
    TgDim out = widths && n == 3 ? inf_num(f, widths[2]) : hidden;
    TgDim key = per_head(f, widths && n == 3 ? inf_num(f, widths[1]) : hidden, heads);
    TgDim total = plus_past(f, length, past, 3);
    if (tg_attr_int(f->n, "past_present_share_buffer") != 0 && inf_has(f, past))
        total = inf_dim(f, past, 3);
    return inf_set_dims(f, 0, dtype, 3, batch, length, out) &&
           inf_set_dims(f, 1, dtype, 5, inf_num(f, 2), batch, inf_num(f, heads), total, key);
}

/* Keys may come as [B, L, hidden], packed with values as [B, L, heads, 2, h], split already as [B, heads, L,
 * h], or packed with the queries as [B, S, heads, 3, h]. */
bool infer_ms_multi_head_attention(TgInfer *f)
{
    enum { PAST_KEY = 6, PAST_VALUE = 7 };
    int64_t heads = tg_attr_int(f->n, "num_heads");
    int32_t q_rank = inf_rank(f, 0), k_rank = inf_rank(f, 1), v_rank = inf_rank(f, 2);
    TgDtype dtype = inf_dtype(f, 0);
    if (q_rank < 0 || (inf_has(f, 1) && k_rank < 0) || (inf_has(f, 2) && v_rank < 0)) {
        inf_set_unranked(f, 0, dtype);
        return true;
    }
    TgDim batch = inf_dim(f, 0, 0), queries = inf_dim(f, 0, 1), count = inf_num(f, heads);
    TgDim size = q_rank == 5 ? inf_dim(f, 0, 4) : per_head(f, inf_dim(f, 0, 2), heads), value = size;
    TgDim keys = k_rank == 4 ? inf_dim(f, 1, 2) : inf_has(f, 1) ? inf_dim(f, 1, 1) : queries;
    if (inf_has(f, 2))
        value = v_rank == 4 ? inf_dim(f, 2, 3) : per_head(f, inf_dim(f, 2, 2), heads);
    TgDim total = plus_past(f, keys, PAST_KEY, 2);
    return inf_set_dims(f, 0, dtype, 3, batch, queries, tg_dim_mul(f->tg, count, value)) &&
           inf_set_dims(f, 1, dtype, 4, batch, count, total, size) &&
           inf_set_dims(f, 2, dtype, 4, batch, count, plus_past(f, keys, PAST_VALUE, 2), value) &&
           inf_set_dims(f, 3, dtype, 4, batch, count, queries, total);
}

/* The cache is as long as the longer of the past buffer and total_sequence_length (input 6). Both pasts are of one
 * length. */
bool infer_ms_group_query_attention(TgInfer *f)
{
    enum { PAST_KEY = 3, TOTAL = 6 };
    int64_t heads = tg_attr_int(f->n, "num_heads"), kv_heads = tg_attr_int(f->n, "kv_num_heads");
    TgDtype dtype = inf_dtype(f, 0), cache = inf_has(f, PAST_KEY) ? inf_dtype(f, PAST_KEY) : dtype;
    uint32_t n = 0;
    if (!inf_need_rank(f, 0, 3, 3))
        return false;
    const TgDim *given = inf_elements(f, TOTAL, &n);
    TgDim batch = inf_dim(f, 0, 0), queries = inf_dim(f, 0, 1), past = inf_num(f, 0);
    TgDim size = per_head(f, inf_dim(f, 0, 2), inf_has(f, 1) ? heads : heads + 2 * kv_heads);
    if (inf_has(f, PAST_KEY))
        past = inf_dim(f, PAST_KEY, 2);
    if (inf_has(f, PAST_KEY) && inf_has(f, PAST_KEY + 1) && inf_rank(f, PAST_KEY) == 4 &&
        inf_rank(f, PAST_KEY + 1) == 4 &&
        !inf_equal(f, past, inf_dim(f, PAST_KEY + 1, 2), "GroupQueryAttention"))
        return false;
    TgDim total = given && n == 1 ? tg_dim_max(f->tg, inf_size(f, given[0]), past) : inf_fresh(f);
    TgDim count = inf_num(f, kv_heads);
    return inf_set_dims(f, 0, dtype, 3, batch, queries, tg_dim_mul(f->tg, inf_num(f, heads), size)) &&
           inf_set_dims(f, 1, cache, 4, batch, count, total, size) &&
           inf_set_dims(f, 2, cache, 4, batch, count, total, size) &&
           inf_set_dims(f, 3, dtype, 4, batch, inf_num(f, heads), queries, total);
}
