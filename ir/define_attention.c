/* Definitions of Attention, FlexAttention and RotaryEmbedding.
 *
 * Attention (opset 23 to 25): scores = (s Q)(s K)^T with s = sqrt(scale), soft cap, bias, Softmax, product
 * with V. What forbids a key to a query is gathered as one boolean condition: the causal frontier j <= i +
 * offset, windows around i + offset, padding j < nonpad[b]; a boolean mask joins it, a float mask is added.
 * offset counts the keys before the queries: the past's length, nonpad - queries, or 0. A row whose bias is
 * -inf everywhere gives zeros, not the NaN of its Softmax. Keys and values of fewer heads are repeated,
 * neighbours sharing one. */
#include "define.h"

#include <math.h>
#include <string.h>

typedef struct {
    TgValue q, k, v;     /* batch x heads x length x size; k and v with the past, before heads are repeated */
    TgValue queries, keys, offset; /* sizes, i64[1]; offset: i64[1] or i64[B,1,1,1] */
    bool is_3d;
} Attention;

static TgValue split_heads(TgDefine *d, TgValue x, const char *heads)
{
    if (attr_i(d, heads) < 1)
        define_refuse(d, "operands of rank 3 need q_num_heads and kv_num_heads");
    TgValue split = Reshape(d, x, ints(d, 4, (int64_t[]){0, 0, attr_i(d, heads), -1}));
    return Transpose(d, split, 4, (int64_t[]){0, 2, 1, 3});
}

static TgValue merge_heads(TgDefine *d, TgValue x)
{
    return Reshape(d, Transpose(d, x, 4, (int64_t[]){0, 2, 1, 3}), ints(d, 3, (int64_t[]){0, 0, -1}));
}

static Attention operands(TgDefine *d)
{
    Attention a = {.q = arg(d, 0), .k = arg(d, 1), .v = arg(d, 2)};
    TgValue past_key = arg(d, 4), past_value = arg(d, 5), nonpad = arg(d, 6);
    a.is_3d = rank_of(d, a.q) == 3;
    if (a.is_3d) {
        a.q = split_heads(d, a.q, "q_num_heads");
        a.k = split_heads(d, a.k, "kv_num_heads");
        a.v = split_heads(d, a.v, "kv_num_heads");
    }
    a.queries = size_of(d, a.q, 2);
    a.offset = int1(d, 0);
    if (past_key) {
        a.k = Concat2(d, 2, past_key, a.k);
        a.v = Concat2(d, 2, past_value, a.v);
        a.offset = size_of(d, past_key, 2);
    } else if (nonpad) {
        a.offset = Sub(d, Reshape(d, nonpad, ints(d, 4, (int64_t[]){-1, 1, 1, 1})), a.queries);
    }
    a.keys = size_of(d, a.k, 2);
    return a;
}

/* --- which keys a query sees ---------------------------------------------------------------------------- */

static TgValue both(TgDefine *d, TgValue a, TgValue b) { return a && b ? And(d, a, b) : a ? a : b; }

/* True where structure allows query i to see key j; 0: everywhere. */
static TgValue allowed(TgDefine *d, const Attention *a)
{
    int64_t left = attr_i(d, "left_window_size"), right = attr_i(d, "right_window_size");
    bool is_causal = attr_i(d, "is_causal") != 0;
    TgValue key = Counting(d, a->keys), seen = 0;
    if (is_causal || left >= 0 || right >= 0) {
        TgValue query = Add(d, Unsqueeze(d, Counting(d, a->queries), 1), a->offset);
        if (is_causal)
            seen = LessOrEqual(d, key, query);
        if (left >= 0)
            seen = both(d, seen, LessOrEqual(d, Sub(d, query, key), int0(d, left)));
        if (right >= 0)
            seen = both(d, seen, LessOrEqual(d, Sub(d, key, query), int0(d, right)));
    }
    if (arg(d, 6)) {
        TgValue valid = Reshape(d, arg(d, 6), ints(d, 4, (int64_t[]){-1, 1, 1, 1}));
        seen = both(d, seen, Less(d, key, valid));
    }
    return seen;
}

/* A mask may be shorter than the keys: the rest of them is not seen. */
static TgValue padded_mask(TgDefine *d, TgValue mask, TgValue keys, TgValue hidden)
{
    TgValue missing = size_sub(d, keys, size_of(d, mask, -1));
    int64_t n;
    uint32_t one;
    if (d->failed || (tg_const_ints(d->into, missing, 1, &n, &one) && n <= 0))
        return mask;
    TgValue pads = ShapeOf(d, int1(d, 0), missing);
    return def_node(d, TG_Pad, NULL, 4, (TgValue[]){mask, pads, hidden, int1(d, -1)});
}

static TgValue hide(TgDefine *d, TgValue seen, TgDtype dtype)
{
    return Where(d, seen, num_of(d, dtype, 0), num_of(d, dtype, -INFINITY));
}

/* What is added to the scores; 0: nothing. */
static TgValue bias_of(TgDefine *d, const Attention *a)
{
    TgValue seen = allowed(d, a), mask = arg(d, 3);
    TgDtype dtype = dtype_of(d, a->q);
    if (mask && dtype_of(d, mask) == TG_bool) {
        seen = both(d, padded_mask(d, mask, a->keys, num_of(d, TG_bool, 0)), seen);
        mask = 0;
    }
    if (mask) {
        mask = Cast(d, mask, dtype);
        mask = padded_mask(d, mask, a->keys, num_of(d, dtype, -INFINITY));
    }
    if (!seen)
        return mask;
    TgValue structure = hide(d, seen, dtype);
    return mask ? Add(d, mask, structure) : structure;
}

/* --- scores --------------------------------------------------------------------------------------------- */

/* Roots are left to the evaluator: as constants they would be rounded, and their square would not be the scale. */
static TgValue root_of_scale(TgDefine *d, TgValue q)
{
    TgDtype precision = dtype_of(d, q) == TG_f64 ? TG_f64 : TG_f32;
    if (attr_given(d, "scale"))
        return CastLike(d, Sqrt(d, num_of(d, precision, attr_f(d, "scale"))), q);
    int64_t size;
    TgValue width = known_dim(d, q, -1, &size) ? num_of(d, precision, (double)size)
                                               : Cast(d, size_of(d, q, -1), precision);
    return CastLike(d, Sqrt(d, Reciprocal(d, Sqrt(d, width))), q);
}

static TgValue repeat_heads(TgDefine *d, TgValue x, TgValue q)
{
    if (dim_of(d, x, 1) == dim_of(d, q, 1))
        return x;
    int64_t heads = need_dim(d, q, 1), groups = need_dim(d, x, 1);
    if (groups < 1 || heads % groups)
        define_refuse(d, "the number of query heads is no multiple of the number of key heads");
    if (d->failed)
        return 0;
    int64_t repeat[] = {1, 1, heads / groups, 1, 1};
    TgValue all = Expand(d, Unsqueeze(d, x, 2), ints(d, 5, repeat));
    return Reshape(d, all, ShapeOf(d, size_of(d, x, 0), int1(d, heads), size_of(d, x, 2), size_of(d, x, 3)));
}

static TgValue probabilities(TgDefine *d, TgValue scores, TgValue bias)
{
    TgDtype own = dtype_of(d, scores);
    TgDtype precision = attr_given(d, "softmax_precision") ? (TgDtype)attr_i(d, "softmax_precision") : own;
    TgValue p = Cast(d, Softmax(d, Cast(d, scores, precision), -1), own);
    if (!bias)
        return p;
    TgValue nothing_seen = Equal(d, Reduce1(d, TG_ReduceMax, bias, -1), num(d, bias, -INFINITY));
    return Where(d, nothing_seen, num_of(d, own, 0), p);
}

bool define_Attention(TgDefine *d)
{
    Attention a = operands(d);
    int64_t mode = attr_i(d, "qk_matmul_output_mode");
    double cap = attr_f(d, "softcap");
    TgValue s = root_of_scale(d, a.q), bias = bias_of(d, &a);
    TgValue k = repeat_heads(d, a.k, a.q), v = CastLike(d, repeat_heads(d, a.v, a.q), a.q);
    TgValue stage[4]; /* what qk_matmul_output shows, by mode */
    stage[0] = MatMul(d, Mul(d, a.q, s), Mul(d, SwapLast(d, k), s));
    stage[1] = stage[0];
    if (cap > 0)
        stage[1] = Mul(d, Tanh(d, Div(d, stage[0], num(d, stage[0], cap))), num(d, stage[0], cap));
    stage[2] = bias ? Add(d, stage[1], bias) : stage[1];
    stage[3] = probabilities(d, stage[2], bias);
    TgValue y = MatMul(d, stage[3], v);
    d->out[0] = a.is_3d ? merge_heads(d, y) : y;
    give(d, 1, a.k);
    give(d, 2, a.v);
    if (mode < 0 || mode > 3)
        return define_refuse(d, "qk_matmul_output_mode is none of 0 to 3");
    give(d, 3, stage[mode]);
    return define_done(d);
}

/* --- FlexAttention: subgraphs change scores and probabilities ------------------------------------------- */

/* x through the subgraph of that name; x itself where there is none. */
static TgValue modified(TgDefine *d, const char *attr, TgValue x)
{
    const TgSub *sub = NULL;
    TgValue captured[TG_MAX_RANK], y = 0;
    for (uint32_t i = 0; i < d->n->n_sub; i++)
        if (strcmp(d->n->sub[i].attr, attr) == 0)
            sub = &d->n->sub[i];
    if (!sub || d->failed)
        return x;
    if (sub->graph->inputs.n != 1 || sub->graph->outputs.n != 1 || sub->outer.n > TG_MAX_RANK)
        return define_refuse(d, "a subgraph takes one tensor and gives one"), x;
    for (uint32_t k = 0; k < sub->outer.n; k++)
        captured[k] = d->in[sub->outer.at[k]];
    TgNode first = d->into->nodes.n;
    tg_graph_splice(d->into, sub->graph, &x, captured, &y);
    for (TgNode n = first; n < d->into->nodes.n && !d->failed; n++)
        d->failed = !tg_infer_node(d->into, n);
    return CastLike(d, y, x);
}

bool define_FlexAttention(TgDefine *d)
{
    TgValue q = arg(d, 0), k = repeat_heads(d, arg(d, 1), q), v = repeat_heads(d, arg(d, 2), q);
    TgDtype precision = dtype_of(d, q) == TG_f64 ? TG_f64 : TG_f32;
    if (attr_given(d, "softmax_precision"))
        precision = (TgDtype)attr_i(d, "softmax_precision");
    TgValue s = root_of_scale(d, q);
    TgValue scores = Cast(d, MatMul(d, Mul(d, q, s), Mul(d, SwapLast(d, k), s)), precision);
    TgValue p = Softmax(d, modified(d, "score_mod", scores), -1);
    d->out[0] = CastLike(d, MatMul(d, modified(d, "prob_mod", p), Cast(d, v, precision)), q);
    return define_done(d);
}

/* --- rotary --------------------------------------------------------------------------------------------- */

/* cos or sin as a tensor that broadcasts against x: a row per position, the same for all heads. */
static TgValue rotary_table(TgDefine *d, TgValue table, bool heads_first)
{
    TgValue rows = arg(d, 3) ? Gather(d, table, arg(d, 3), 0) : table;
    return Unsqueeze(d, rows, heads_first ? 1 : 2);
}

typedef struct {
    TgValue real, imaginary;
} Pair;

static Pair rotate(TgDefine *d, Pair x, TgValue cos, TgValue sin)
{
    return (Pair){.real = Sub(d, Mul(d, cos, x.real), Mul(d, sin, x.imaginary)),
                  .imaginary = Add(d, Mul(d, sin, x.real), Mul(d, cos, x.imaginary))};
}

static TgValue rotate_halves(TgDefine *d, TgValue x, int64_t n, TgValue cos, TgValue sin)
{
    Pair y = rotate(d, (Pair){Slice(d, x, -1, 0, n / 2), Slice(d, x, -1, n / 2, n)}, cos, sin);
    return Concat2(d, -1, y.real, y.imaginary);
}

static TgValue rotate_neighbours(TgDefine *d, TgValue x, int64_t n, TgValue cos, TgValue sin)
{
    TgValue end = int1(d, n);
    Pair even_odd = {SliceBy(d, x, -1, int1(d, 0), end, 2), SliceBy(d, x, -1, int1(d, 1), end, 2)};
    Pair y = rotate(d, even_odd, cos, sin);
    TgValue pairs = Concat2(d, -1, Unsqueeze(d, y.real, -1), Unsqueeze(d, y.imaginary, -1));
    return Reshape(d, pairs, ShapeOf(d, Shape(d, x, 0, 3), int1(d, n)));
}

/* Heads of rank 3 operands stay behind the sequence; those of rank 4 stand before it. */
bool define_RotaryEmbedding(TgDefine *d)
{
    TgValue x = arg(d, 0);
    bool is_3d = rank_of(d, x) == 3;
    if (is_3d && attr_i(d, "num_heads") < 1)
        return define_refuse(d, "an operand of rank 3 needs num_heads");
    if (is_3d)
        x = Reshape(d, x, ints(d, 4, (int64_t[]){0, 0, attr_i(d, "num_heads"), -1}));
    TgValue cos = rotary_table(d, arg(d, 1), !is_3d), sin = rotary_table(d, arg(d, 2), !is_3d);
    int64_t size = need_dim(d, x, -1), n = attr_i(d, "rotary_embedding_dim");
    n = n > 0 ? n : size;
    TgValue y = (attr_i(d, "interleaved") ? rotate_neighbours : rotate_halves)(d, x, n, cos, sin);
    if (n < size)
        y = Concat2(d, -1, y, Slice(d, x, -1, n, size));
    d->out[0] = is_3d ? Reshape(d, y, ints(d, 3, (int64_t[]){0, 0, -1})) : y;
    return define_done(d);
}
