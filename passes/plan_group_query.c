/* GroupQueryAttention of com.microsoft: the attention of ONNX Runtime's exports for generation, as steps.
 *
 * Its definition (ir/define_ms_attention.c) makes all of it from gathers and masks over whole caches. The steps say
 * the same shorter: rotary embedding at the positions of the new tokens, their rows appended to the caches behind the
 * rows that each entry of the batch has, attention in which the keys of an entry are counted and the frontier lies
 * behind them. That is ONNX's TensorScatter and Attention with nonpad_kv_seqlen; only that the caches may grow, and
 * rows behind the last token are zeros, as ONNX Runtime has it, so the scatter is a form of our own (TG_STEP_APPEND).
 *
 * Where a cache lies in one array with its past, which plan_states arranges, nothing but the new rows is written: the
 * buffer of fixed length that past and present share, and the one that grows by as many rows as are new.
 *
 * Invariants: where rows go comes from data and is checked when they are written. Positions are the same for all
 * layers, so they are computed once. Sinks, lengths per query and quantized caches stay with the definition.
 */
#include <string.h>

#include "passes/planner.h"

enum { QUERY, KEY, VALUE, PAST_KEY, PAST_VALUE, LENGTHS, LONGEST, COS, SIN, POSITIONS, BIAS, SINK, FIRST_NEWER };

/* --- does it fit? ------------------------------------------------------------------------------------------------- */

typedef struct {
    const TgGraph *g;
    bool all;
} Inside;

static void is_size_of_input(void *user, TgDim symbol)
{
    Inside *s = user;
    bool found = false;
    for (uint32_t i = 0; i < s->g->inputs.n; i++) {
        const TgType *t = tg_type_of(s->g, s->g->inputs.at[i]);
        for (int32_t k = 0; tg_is_tensor(t) && k < t->rank; k++)
            found |= t->dim[k] == symbol;
    }
    s->all &= found;
}

/* What sizes of inputs make known: it can be checked before anything runs. */
static bool is_of_inputs(const Planner *p, TgDim d)
{
    Inside s = {p->plan->graph, true};
    tg_dim_symbols(d, is_size_of_input, &s);
    return s.all;
}

static bool same_size(const Planner *p, TgDim a, TgDim b)
{
    return a == b || (form_may_equal(p, a, b) && is_of_inputs(p, a) && is_of_inputs(p, b));
}

static bool plain_variant(const Planner *p, const TgNodeInfo *n)
{
    static const char *const newer[] = {"sliding_window_cache", "causal", "qk_norm_epsilon"};
    int64_t heads = tg_attr_int(n, "num_heads"), groups = tg_attr_int(n, "kv_num_heads");
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++)
        if (tg_attr_has(n->attrs, newer[i]))
            return false;
    for (uint32_t i = SINK; i < n->n_in; i++)
        if (n->in[i])
            return false;
    bool quantized = strcmp(tg_attr_string(p->tg, n, "k_quant_type"), "NONE") != 0 ||
                     strcmp(tg_attr_string(p->tg, n, "v_quant_type"), "NONE") != 0;
    return heads > 0 && groups > 0 && heads % groups == 0 && !quantized && !tg_attr_int(n, "smooth_softmax") &&
           !tg_attr_int(n, "qk_output");
}

static bool operand_fits(const TgGraph *g, TgValue v, int32_t rank)
{
    const TgType *t = tg_type_of(g, v);
    return tg_is_tensor(t) && t->rank == rank && form_is_small_real(t->dtype);
}

/* What the cache becomes: as long as the longer of past and the tokens of the longest entry. A past of fixed length,
 * beside a number of tokens that is not, is the buffer that past and present share: tokens fit, or the run ends with
 * an error. */
static const TgType *present_type(Planner *p, const TgGraph *g, TgValue past, TgValue present)
{
    const TgType *to = tg_type_of(g, present);
    if (!past || tg_dim_known(to->dim[2], NULL) || !tg_dim_known(tg_type_of(g, past)->dim[2], NULL))
        return to;
    TgDim dim[4] = {to->dim[0], to->dim[1], tg_type_of(g, past)->dim[2], to->dim[3]};
    return tg_type(p->tg, to->dtype, 4, dim);
}

/* A past of the same heads as the present, whose length sizes of inputs tell. */
static bool cache_fits(const Planner *p, const TgGraph *g, TgValue past, TgValue present)
{
    const TgType *to = tg_type_of(g, present), *from = past ? tg_type_of(g, past) : NULL;
    if (!tg_is_tensor(to) || to->rank != 4 || !tg_dim_known(to->dim[1], NULL) || !tg_dim_known(to->dim[3], NULL))
        return false;
    if (!is_of_inputs(p, to->dim[2]) &&
        !(past && tg_is_tensor(from) && from->rank == 4 && tg_dim_known(from->dim[2], NULL)))
        return false;
    return !past || (operand_fits(g, past, 4) && from->dim[1] == to->dim[1] && from->dim[3] == to->dim[3] &&
                     from->dtype == to->dtype && same_size(p, from->dim[0], to->dim[0]) &&
                     is_of_inputs(p, from->dim[2]));
}

static bool rotation_fits(const TgGraph *g, const TgNodeInfo *n)
{
    if (!tg_attr_int(n, "do_rotary"))
        return true;
    return in(n, COS) && in(n, SIN) && operand_fits(g, n->in[COS], 2) && operand_fits(g, n->in[SIN], 2) &&
           tg_dim_known(tg_type_of(g, n->in[COS])->dim[1], NULL);
}

bool plan_group_query_fits(const Planner *p, const TgGraph *g, const TgNodeInfo *n)
{
    if (g != p->plan->graph || n->n_out < 3 || !plain_variant(p, n) || !rotation_fits(g, n) ||
        !in(n, PAST_KEY) != !in(n, PAST_VALUE) || !in(n, KEY) != !in(n, VALUE) ||
        (n->n_out > 3 && is_read(g, n->out[3])))
        return false;
    for (uint32_t i = QUERY; i <= VALUE; i++)
        if (n->in[i] && !operand_fits(g, n->in[i], 3))
            return false;
    const TgType *lengths = tg_type_of(g, n->in[LENGTHS]), *k = tg_type_of(g, n->out[1]);
    if (!n->out[1] || !n->out[2] || !cache_fits(p, g, in(n, PAST_KEY), n->out[1]) ||
        !cache_fits(p, g, in(n, PAST_VALUE), n->out[2]) || k->dim[2] != tg_type_of(g, n->out[2])->dim[2])
        return false;
    if (!tg_is_tensor(lengths) || lengths->rank != 1 || !same_size(p, lengths->dim[0], k->dim[0]))
        return false;
    const TgType *bias = in(n, BIAS) ? tg_type_of(g, n->in[BIAS]) : NULL;
    return !bias || (operand_fits(g, n->in[BIAS], 4) && bias->dim[3] == k->dim[2] && is_of_inputs(p, bias->dim[3]));
}

/* --- where the tokens stand --------------------------------------------------------------------------------------- */

static TgValue number(TgGraph *g, int64_t x)
{
    return tg_graph_const(g, tg_tensor_scalar_int(g->arena, TG_i64, x), NULL);
}

static TgValue to_i64(TgGraph *g, TgValue v) { return form_cast(g, v, TG_i64); }

static TgValue queries_of(TgGraph *g, TgValue query) /* i64[1] */
{
    return tg_op(g, TG_Shape, tg_attrs(g->tg, TG_Shape, "start=i end=i", (int64_t)1, (int64_t)2), 1, query);
}

/* i64[B]: rows that each entry has before this step. The operator is given the number of its last token. */
static TgValue first_rows(TgGraph *g, TgValue lengths, TgValue query)
{
    int64_t last[64], s;
    uint32_t n;
    if (tg_const_ints(g, lengths, 64, last, &n) && tg_dim_known(tg_type_of(g, query)->dim[1], &s)) {
        for (uint32_t i = 0; i < n; i++)
            last[i] = last[i] + 1 > s ? last[i] + 1 - s : 0;
        return form_ints(g, n, last);
    }
    TgValue total = tg_op(g, TG_Add, NULL, 2, to_i64(g, lengths), number(g, 1));
    return tg_op(g, TG_Max, NULL, 2, tg_op(g, TG_Sub, NULL, 2, total, queries_of(g, query)), number(g, 0));
}

/* Positions [B, S] for the rotation. Those that are given hold for a later step; a first prompt, which is as long as
 * all of it, takes only the very first of them and counts on. */
static TgValue positions(Planner *p, TgGraph *g, const TgNodeInfo *n)
{
    static const int64_t zero = 0, one = 1, flat = -1;
    TgValue start = p->tokens.first, given = in(n, POSITIONS), s = queries_of(g, n->in[QUERY]);
    TgValue count = tg_op(g, TG_Range, NULL, 3, number(g, 0),
                          tg_op(g, TG_Squeeze, NULL, 2, s, form_ints(g, 1, &zero)), number(g, 1));
    if (!given)
        return tg_op(g, TG_Add, NULL, 2, tg_op(g, TG_Unsqueeze, NULL, 2, start, form_ints(g, 1, &one)), count);
    TgValue all = tg_op(g, TG_Reshape, NULL, 2, given, form_ints(g, 1, &flat));
    TgValue head = tg_op(g, TG_Slice, NULL, 3, all, form_ints(g, 1, &zero), form_ints(g, 1, &one));
    TgValue total = tg_op(g, TG_Reshape, NULL, 2, to_i64(g, n->in[LONGEST]), form_ints(g, 1, &one));
    return tg_op(g, TG_Where, NULL, 3, tg_op(g, TG_Equal, NULL, 2, total, s),
                 tg_op(g, TG_Add, NULL, 2, head, count), given);
}

static void find_tokens(Planner *p, TgGraph *g, const TgNodeInfo *n)
{
    const TgType *q = tg_type_of(g, n->in[QUERY]);
    bool turns = tg_attr_int(n, "do_rotary") != 0;
    TgValue cos = turns ? n->in[COS] : 0, sin = turns ? n->in[SIN] : 0;
    if (p->tokens.g == g && p->tokens.lengths == n->in[LENGTHS] && p->tokens.longest == n->in[LONGEST] &&
        p->tokens.given == in(n, POSITIONS) && p->tokens.cos_table == cos && p->tokens.sin_table == sin &&
        p->tokens.batch == q->dim[0] && p->tokens.queries == q->dim[1])
        return;
    memset(&p->tokens, 0, sizeof p->tokens);
    p->tokens.g = g;
    p->tokens.lengths = n->in[LENGTHS];
    p->tokens.longest = n->in[LONGEST];
    p->tokens.given = in(n, POSITIONS);
    p->tokens.cos_table = cos;
    p->tokens.sin_table = sin;
    p->tokens.batch = q->dim[0];
    p->tokens.queries = q->dim[1];
    form_require_equal(p, tg_type_of(g, n->in[LENGTHS])->dim[0], q->dim[0]);
    p->tokens.first = first_rows(g, n->in[LENGTHS], n->in[QUERY]);
    p->tokens.ends = tg_op(g, TG_Add, NULL, 2, p->tokens.first, queries_of(g, n->in[QUERY]));
    if (turns) {
        TgValue at = positions(p, g, n);
        p->tokens.cos = form_rotary_table(g, cos, at);
        p->tokens.sin = form_rotary_table(g, sin, at);
    }
}

/* --- its parts ---------------------------------------------------------------------------------------------------- */

static TgValue part(TgGraph *g, TgValue packed, int64_t from, int64_t to)
{
    static const int64_t last = 2;
    return tg_op(g, TG_Slice, NULL, 4, packed, form_ints(g, 1, &from), form_ints(g, 1, &to), form_ints(g, 1, &last));
}

/* q, k and v [B, heads, S, D]. */
static void take_heads(TgGraph *g, const TgNodeInfo *n, TgValue part_of[3])
{
    int64_t heads = tg_attr_int(n, "num_heads"), groups = tg_attr_int(n, "kv_num_heads"), width = 0;
    TgValue query = n->in[QUERY], key = n->in[KEY], value = n->in[VALUE];
    if (!key) {
        tg_dim_known(tg_type_of(g, query)->dim[2], &width);
        width /= heads + 2 * groups;
        key = part(g, query, heads * width, (heads + groups) * width);
        value = part(g, query, (heads + groups) * width, (heads + 2 * groups) * width);
        query = part(g, query, 0, heads * width);
    }
    part_of[0] = form_split_heads(g, query, heads);
    part_of[1] = form_split_heads(g, key, groups);
    part_of[2] = form_split_heads(g, value, groups);
}

static TgValue rotated(Planner *p, TgGraph *g, const TgNodeInfo *n, TgValue x)
{
    int64_t half = 0;
    if (!p->tokens.cos_table)
        return x;
    tg_dim_known(tg_type_of(g, p->tokens.cos_table)->dim[1], &half);
    const TgAttrs *attrs = tg_attrs(g->tg, TG_RotaryEmbedding, "interleaved=i rotary_embedding_dim=i",
                                    tg_attr_int(n, "rotary_interleaved"), 2 * half);
    return form_rotated(g, n, attrs, form_cast(g, x, TG_f32), p->tokens.cos, p->tokens.sin);
}

/* The cache with the new rows. */
static TgValue appended(Planner *p, TgGraph *g, const TgNodeInfo *n, TgValue past, TgValue rows, const TgType *type)
{
    rows = form_cast(g, rows, type->dtype);
    if (!past && type->dim[2] == tg_type_of(g, rows)->dim[2])
        return rows;
    if (past)
        form_require_equal(p, tg_type_of(g, past)->dim[0], type->dim[0]);
    TgValue operand[3] = {past, rows, p->tokens.first};
    TgNode made = tg_graph_add_raw(g, TG_TensorScatter,
                                   tg_attrs(g->tg, TG_TensorScatter, "axis=i", (int64_t)2), 3, operand, 1);
    TgValue y = tg_node(g, made)->out[0];
    tg_value(g, y)->type = type;
    tg_node_origin(g, made, n, NULL);
    tg_map_put(&p->appends, made, 1);
    return y;
}

/* The part of a cache that holds tokens of some entry: a buffer has room behind. */
static TgValue shown(TgGraph *g, const TgNodeInfo *n, TgValue cache)
{
    static const int64_t zero = 0, rows = 2, one = 1;
    const TgDim *longest = tg_value(g, n->in[LONGEST])->symbolic;
    if (!longest || longest[0] == tg_type_of(g, cache)->dim[2])
        return cache;
    TgValue end = tg_op(g, TG_Reshape, NULL, 2, to_i64(g, n->in[LONGEST]), form_ints(g, 1, &one));
    return tg_op(g, TG_Slice, NULL, 4, cache, form_ints(g, 1, &zero), end, form_ints(g, 1, &rows));
}

static const TgAttrs *attention_attributes(TgGraph *g, const TgNodeInfo *n)
{
    TgAttrBuild b;
    double scale = tg_attr_float(n, "scale"), cap = tg_attr_float(n, "softcap");
    int64_t window = tg_attr_int(n, "local_window_size");
    tg_attrs_begin(&b, g->tg);
    tg_attrs_int(&b, "is_causal", 1);
    if (scale != 0)
        tg_attrs_float(&b, "scale", (float)scale);
    if (cap > 0)
        tg_attrs_float(&b, "softcap", (float)cap);
    if (window > 0)
        tg_attrs_int(&b, "left_window_size", window - 1);
    return tg_attrs_end(&b, TG_Attention);
}

void plan_form_group_query(Planner *p, TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgValue qkv[3], past[2] = {in(n, PAST_KEY), in(n, PAST_VALUE)}, bias = in(n, BIAS);
    const TgType *cache[2] = {present_type(p, g, past[0], n->out[1]), present_type(p, g, past[1], n->out[2])};
    find_tokens(p, g, n);
    take_heads(g, n, qkv);
    bool alone = !past[0] && cache[0]->dim[2] == tg_type_of(g, qkv[1])->dim[2];
    TgValue k = appended(p, g, n, past[0], rotated(p, g, n, qkv[1]), cache[0]);
    TgValue v = appended(p, g, n, past[1], qkv[2], cache[1]);
    TgValue operand[7] = {form_cast(g, rotated(p, g, n, qkv[0]), TG_f32),
                          form_cast(g, shown(g, n, k), TG_f32),
                          form_cast(g, shown(g, n, v), TG_f32),
                          form_cast(g, bias, TG_f32),
                          0,
                          0,
                          alone ? 0 : p->tokens.ends};
    TgNode made = tg_graph_add(g, TG_Attention, attention_attributes(g, n), alone ? (bias ? 4 : 3) : 7, operand, 1);
    if (!made)
        return;
    tg_node_origin(g, made, n, NULL);
    form_hand_over(g, node, 1, k);
    form_hand_over(g, node, 2, v);
    form_hand_over(g, node, 0, form_merge_heads(g, tg_node(g, made)->out[0]));
    tg_remove(g, node);
}
