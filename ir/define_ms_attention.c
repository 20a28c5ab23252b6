/* Attention of com.microsoft: Attention, QAttention, MultiHeadAttention, GroupQueryAttention, as ONNX
 * Runtime's CPU kernels compute them.
 *
 * All end in one function: softmax(scale q k^T + bias) v over [batch, heads, sequence, size]. They differ
 * in how q, k and v come about (projected here, given, packed; with a past in front), and in how masks are
 * spelt: everything that masks becomes one term that is added to the scores. Sizes: B batch, N heads, S
 * queries, T keys, H size of a head. */
#include <math.h>

#include "define.h"

/* --- heads ---------------------------------------------------------------------------------------------- */

/* [B, S, heads * H] -> [B, heads, S, H] */
static TgValue to_heads(TgDefine *d, TgValue x, int64_t heads)
{
    TgValue size = size_div(d, size_of(d, x, 2), int1(d, heads));
    TgValue split = Reshape(d, x, ShapeOf(d, size_of(d, x, 0), size_of(d, x, 1), int1(d, heads), size));
    return Transpose(d, split, 4, (int64_t[]){0, 2, 1, 3});
}

/* [B, heads, S, H] -> [B, S, heads * H] */
static TgValue from_heads(TgDefine *d, TgValue x)
{
    TgValue width = size_mul(d, size_of(d, x, 1), size_of(d, x, 3));
    TgValue shape = ShapeOf(d, size_of(d, x, 0), size_of(d, x, 2), width);
    return Reshape(d, Transpose(d, x, 4, (int64_t[]){0, 2, 1, 3}), shape);
}

/* Each of the heads of x repeated `times` times. */
static TgValue repeat_heads(TgDefine *d, TgValue x, int64_t times)
{
    if (times == 1)
        return x;
    TgValue b = size_of(d, x, 0), heads = size_of(d, x, 1), t = size_of(d, x, 2), h = size_of(d, x, 3);
    TgValue wide = Expand(d, Unsqueeze(d, x, 2), ShapeOf(d, b, heads, int1(d, times), t, h));
    return Reshape(d, wide, ShapeOf(d, b, size_mul(d, heads, int1(d, times)), t, h));
}

static TgValue entry(TgDefine *d, TgValue x, int64_t axis, int64_t i) /* x[..., i, ...] */
{
    return Squeeze(d, Slice(d, x, axis, i, i + 1), axis);
}

/* --- masks ---------------------------------------------------------------------------------------------- */

/* The lowest finite number of the type: what ONNX Runtime adds where nothing may be seen. */
static TgValue lowest(TgDefine *d, TgValue like)
{
    TgDtype t = dtype_of(d, like);
    const double single = -0x1.fffffep127;
    return num(d, like, t == TG_f16 ? -65504 : t == TG_f64 ? -0x1.fffffffffffffp1023 : single);
}

static TgValue sum_of(TgDefine *d, TgValue a, TgValue b) { return a && b ? Add(d, a, b) : a ? a : b; }

/* 0 where a key is seen, `filter` where not; `seen` is broadcastable to [B, N, S, T]. */
static TgValue masked(TgDefine *d, TgValue seen, TgValue like, TgValue filter)
{
    return Where(d, seen, num(d, like, 0), filter);
}

/* Seen keys of a mask of one axis: [B] ends, or [2B] ends and starts. Result [B, T]. */
static TgValue seen_by_length(TgDefine *d, TgValue mask, TgValue batch, TgValue keys, TgDim b)
{
    if (d->failed)
        return 0;
    TgValue place = CastLike(d, Unsqueeze(d, Counting(d, keys), 0), mask);
    TgDim n = dim_of(d, mask, 0), both = tg_dim_mul(d->tg, b, tg_dim(d->tg, 2));
    if (n == b)
        return Less(d, place, Unsqueeze(d, mask, 1));
    if (n != both) {
        define_refuse(d, "a mask of one axis has one or two entries per batch");
        return 0;
    }
    TgValue end = Unsqueeze(d, SliceBy(d, mask, 0, int1(d, 0), batch, 1), 1);
    TgValue start = Unsqueeze(d, SliceBy(d, mask, 0, batch, size_of(d, mask, 0), 1), 1);
    return And(d, Less(d, place, end), GreaterOrEqual(d, place, start));
}

/* The mask [B, T] or [B, S, T] is as long as there are keys, which sizes of its own do not tell. One that is known to be
 * of one column stands for all keys. */
static TgValue as_long_as_keys(TgDefine *d, TgValue mask, TgValue q, TgValue k)
{
    TgDim keys = dim_of(d, mask, -1);
    if (tg_dim_known(keys, NULL) || keys == dim_of(d, k, 2))
        return mask;
    TgValue b = size_of(d, q, 0), t = size_of(d, k, 2);
    return Reshape(d, mask, rank_of(d, mask) == 2 ? ShapeOf(d, b, t) : ShapeOf(d, b, size_of(d, q, 2), t));
}

/* The term of mask input `mask` (0: none): [B] or [2B], [B, T], [B, S, T]. */
static TgValue mask_term(TgDefine *d, TgValue mask, TgValue q, TgValue k)
{
    if (!mask || d->failed)
        return 0;
    TgValue seen;
    if (rank_of(d, mask) == 2 || rank_of(d, mask) == 3)
        mask = as_long_as_keys(d, mask, q, k);
    switch (rank_of(d, mask)) {
    case 1:
        seen = seen_by_length(d, mask, size_of(d, q, 0), size_of(d, k, 2), dim_of(d, q, 0));
        seen = Unsqueeze(d, Unsqueeze(d, seen, 1), 1);
        break;
    case 2: seen = Unsqueeze(d, Unsqueeze(d, Greater(d, mask, num(d, mask, 0)), 1), 1); break;
    case 3: seen = Unsqueeze(d, Greater(d, mask, num(d, mask, 0)), 1); break;
    default: return define_refuse(d, "a mask of four axes"), 0;
    }
    return masked(d, seen, q, num(d, q, attr_f(d, "mask_filter_value")));
}

/* The term of causality, where the node asks for it: query i, behind the past, sees keys up to its own.
 * [S, T] */
static TgValue causal_term(TgDefine *d, TgValue q, TgValue k)
{
    if (!attr_i(d, "unidirectional"))
        return 0;
    TgValue s = size_of(d, q, 2), t = size_of(d, k, 2);
    TgValue last = Unsqueeze(d, Add(d, Counting(d, s), size_sub(d, t, s)), 1);
    return masked(d, LessOrEqual(d, Counting(d, t), last), q, lowest(d, q));
}

/* --- the common end ------------------------------------------------------------------------------------- */

/* Kernels of 16 bits have scores of 32: what is scaled before the product overflows no earlier than it must. */
static TgValue scores(TgDefine *d, TgValue q, TgValue k)
{
    double given = attr_f(d, "scale");
    TgValue scale = given != 0 ? num(d, q, given) : Reciprocal(d, Sqrt(d, num(d, q, (double)need_dim(d, q, 3))));
    return MatMul(d, Mul(d, q, scale), SwapLast(d, k));
}

/* q [B, N, S, H], k and v [B, N, T, H]; `bias` as ONNX Runtime adds it, 0: none. Result [B, S, N * H]. */
static TgValue attend(TgDefine *d, TgValue q, TgValue k, TgValue v, TgValue mask, TgValue bias)
{
    TgValue term = sum_of(d, sum_of(d, mask_term(d, mask, q, k), causal_term(d, q, k)), bias);
    TgValue x = scores(d, q, k);
    return from_heads(d, MatMul(d, Softmax(d, term ? Add(d, x, term) : x, -1), v));
}

/* --- Attention, QAttention ------------------------------------------------------------------------------ */

/* From the projection [B, S, Wq + Wk + Wv] on; past and present are [2, B, N, *, H]. */
static bool attention(TgDefine *d, TgValue projected, const int64_t *width, TgValue mask, TgValue past,
                      TgValue bias)
{
    const int64_t heads = attr_i(d, "num_heads");
    if (heads < 1 || attr_i(d, "do_rotary") || attr_i(d, "past_present_share_buffer"))
        return define_refuse(d, "it needs heads, and neither rotates nor shares buffers");
    TgValue part[3];
    for (int64_t i = 0, from = 0; i < 3; from += width[i++])
        part[i] = to_heads(d, Slice(d, projected, 2, from, from + width[i]), heads);
    TgValue k = part[1], v = part[2], present = 0;
    if (past || wants(d, 1)) { /* both are views of what grows: a cache that may stay where it is */
        present = Concat2(d, 0, Unsqueeze(d, k, 0), Unsqueeze(d, v, 0));
        present = past ? Concat2(d, 3, past, present) : present;
        k = entry(d, present, 0, 0);
        v = entry(d, present, 0, 1);
    }
    d->out[0] = attend(d, part[0], k, v, mask, bias);
    give(d, 1, present);
    return define_done(d);
}

bool define_ms_Attention(TgDefine *d)
{
    TgValue weights = arg(d, 1), x = MatMul(d, arg(d, 0), weights);
    uint32_t n;
    const int64_t *given = tg_attr_ints(d->n, "qkv_hidden_sizes", &n), third = need_dim(d, weights, 1) / 3;
    if (arg(d, 6))
        return define_refuse(d, "shared past and present");
    if (arg(d, 2))
        x = Add(d, x, arg(d, 2));
    return attention(d, x, n == 3 ? given : (int64_t[]){third, third, third}, arg(d, 3), arg(d, 4),
                     arg(d, 5));
}

bool define_ms_QAttention(TgDefine *d)
{
    TgValue product = def_node(d, TG_MatMulInteger, NULL, 4,
                               (TgValue[]){arg(d, 0), arg(d, 1), arg(d, 6), arg(d, 7)});
    TgValue scale = Mul(d, arg(d, 3), arg(d, 4));
    TgValue x = Add(d, Mul(d, CastLike(d, product, scale), scale), arg(d, 2));
    const int64_t third = need_dim(d, arg(d, 1), 1) / 3;
    return attention(d, x, (int64_t[]){third, third, third}, arg(d, 5), arg(d, 8), 0);
}

/* --- MultiHeadAttention --------------------------------------------------------------------------------- */

/* Part `i` of a projection bias, cut at `from` and of the width of x [B, S, width]; x itself where there
 * is no bias. */
static TgValue biased(TgDefine *d, TgValue x, TgValue bias, TgValue from)
{
    if (!bias)
        return x;
    return Add(d, x, SliceBy(d, bias, 0, from, size_add(d, from, size_of(d, x, 2)), 1));
}

/* [B, S, N, H] of a packed operand -> [B, N, S, H] */
static TgValue unpacked_heads(TgDefine *d, TgValue packed, int64_t i)
{
    return Transpose(d, entry(d, packed, 3, i), 4, (int64_t[]){0, 2, 1, 3});
}

/* Operand x of three axes, with its bias, as heads. */
static TgValue headed(TgDefine *d, TgValue x, TgValue bias, TgValue from)
{
    return to_heads(d, biased(d, x, bias, from), attr_i(d, "num_heads"));
}

/* q, k and v as [B, N, *, H]: packed together, key and value packed, given flat, or key and value given as
 * heads. */
static bool operands(TgDefine *d, TgValue *q, TgValue *k, TgValue *v)
{
    TgValue query = arg(d, 0), key = arg(d, 1), value = arg(d, 2), bias = arg(d, 3), zero = int1(d, 0);
    if (rank_of(d, query) == 5) {
        if (bias)
            return define_refuse(d, "a bias of packed queries, keys and values");
        *q = unpacked_heads(d, query, 0), *k = unpacked_heads(d, query, 1), *v = unpacked_heads(d, query, 2);
        return true;
    }
    if (!key)
        return define_refuse(d, "it needs keys");
    TgValue width = size_of(d, query, 2);
    *q = headed(d, query, bias, zero);
    if (rank_of(d, key) == 5) {
        *k = unpacked_heads(d, key, 0), *v = unpacked_heads(d, key, 1);
    } else if (rank_of(d, key) == 4) {
        *k = key, *v = value;
    } else {
        *k = headed(d, key, bias, width);
        *v = headed(d, value, bias, size_add(d, width, size_of(d, key, 2)));
    }
    return true;
}

bool define_ms_MultiHeadAttention(TgDefine *d)
{
    TgValue q = 0, k = 0, v = 0;
    if (attr_i(d, "num_heads") < 1 || arg(d, 8) || arg(d, 9) || wants(d, 3))
        return define_refuse(d, "shared past and present, beams, or scores as an output");
    if (!operands(d, &q, &k, &v))
        return false;
    if (arg(d, 6)) {
        k = Concat2(d, 2, arg(d, 6), k);
        v = Concat2(d, 2, arg(d, 7), v);
    }
    d->out[0] = attend(d, q, k, v, arg(d, 4), arg(d, 5));
    give(d, 1, k);
    give(d, 2, v);
    return define_done(d);
}

/* --- GroupQueryAttention -------------------------------------------------------------------------------- */

enum { K_SCALE = 12, V_SCALE, Q_NORM, K_NORM, QUERY_LENGTHS };

/* Where the tokens of each batch entry stand. What the operator leaves open, rows of a query or a cache behind the
 * last token, is whatever comes out here. */
typedef struct {
    TgValue longest; /* i64[1]: total_sequence_length */
    TgValue fresh;   /* i64[B] or i64[1]: tokens of this step */
    TgValue past;    /* i64[B, 1]: tokens before it */
    TgValue queries; /* i64[B, S]: positions of the new tokens */
    TgValue stored;  /* i64[C]: positions of the present, which may be a buffer with room to spare */
    TgValue keys;    /* i64[T]: those that may be seen */
} Places;

static Places places(TgDefine *d, TgValue query)
{
    Places p;
    TgValue s = size_of(d, query, 1), zero = int0(d, 0), given = arg(d, QUERY_LENGTHS);
    TgValue total = Add(d, Cast(d, Reshape(d, arg(d, 5), int1(d, -1)), TG_i64), int0(d, 1));
    p.longest = Reshape(d, Cast(d, arg(d, 6), TG_i64), int1(d, 1));
    TgValue length = arg(d, 3) ? size_op(d, TG_Max, p.longest, size_of(d, arg(d, 3), 2)) : p.longest;
    p.fresh = given ? Cast(d, given, TG_i64) : s;
    p.past = Unsqueeze(d, Max(d, Sub(d, total, p.fresh), zero), 1);
    p.queries = Add(d, p.past, Counting(d, s));
    p.stored = Counting(d, length);
    p.keys = Counting(d, p.longest);
    return p;
}

/* Positions for the rotation. Those that the node is given hold for a later step; a first prompt, which is as
 * long as all of it, takes only the very first of them and counts on. Where the lengths of the queries are given, there
 * is no first prompt. */
static TgValue rotary_positions(TgDefine *d, const Places *p, TgValue query)
{
    TgValue given = arg(d, 9), s = size_of(d, query, 1);
    if (!given || arg(d, QUERY_LENGTHS))
        return given ? given : p->queries;
    TgValue start = Slice(d, Slice(d, given, 0, 0, 1), 1, 0, 1);
    return Where(d, Equal(d, p->longest, s), Add(d, start, Counting(d, s)), given);
}

/* The past with the new tokens behind each entry's own length: [B, G, C, H]; zeros behind the last token. */
static TgValue present(TgDefine *d, const Places *p, TgValue past, TgValue fresh)
{
    TgValue all = past ? Concat2(d, 2, past, fresh) : fresh;
    TgValue old = past ? size_of(d, past, 2) : int1(d, 0);
    TgValue last = size_sub(d, size_of(d, all, 2), int1(d, 1));
    TgValue moved = Add(d, Sub(d, p->stored, p->past), old);
    TgValue source = Min(d, Where(d, Less(d, p->stored, p->past), p->stored, moved), last); /* [B, C] */
    TgValue shape = ShapeOf(d, size_of(d, fresh, 0), size_of(d, fresh, 1), size_of(d, p->stored, 0),
                            size_of(d, fresh, 3));
    TgValue index = Expand(d, Unsqueeze(d, Unsqueeze(d, source, 1), 3), shape);
    TgValue found = op_axis(d, TG_GatherElements, 2, 2, (TgValue[]){all, index});
    TgValue filled = Less(d, p->stored, Add(d, p->past, Unsqueeze(d, p->fresh, -1)));
    return Where(d, Unsqueeze(d, Unsqueeze(d, filled, 1), 3), found, num(d, found, 0));
}

/* The keys or values that may be seen, as heads of the queries: [B, N, T, H]. */
static TgValue visible(TgDefine *d, const Places *p, TgValue x)
{
    if (arg(d, 3))
        x = SliceBy(d, x, 2, int1(d, 0), p->longest, 1);
    return repeat_heads(d, x, attr_i(d, "num_heads") / attr_i(d, "kv_num_heads"));
}

static TgValue rotated(TgDefine *d, TgValue x, TgValue positions)
{
    if (!attr_i(d, "do_rotary") || d->failed)
        return x;
    const TgAttrs *attrs = tg_attrs(d->tg, TG_RotaryEmbedding, "interleaved=i rotary_embedding_dim=i",
                                    attr_i(d, "rotary_interleaved"), 2 * need_dim(d, arg(d, 7), 1));
    return def_node(d, TG_RotaryEmbedding, attrs, 4, (TgValue[]){x, arg(d, 7), arg(d, 8), positions});
}

/* Softmax over the keys, with one more term in the denominator where the node asks for it: exp(sink), or
 * exp(0). */
static TgValue softmax_with_sink(TgDefine *d, TgValue x)
{
    TgValue sink = arg(d, 11);
    if (!sink && !attr_i(d, "smooth_softmax"))
        return Softmax(d, x, -1);
    sink = sink ? Reshape(d, sink, ints(d, 4, (int64_t[]){1, -1, 1, 1})) : num(d, x, 0);
    TgValue column = Expand(d, sink, ShapeOf(d, Shape(d, x, 0, 3), int1(d, 1)));
    return Slice(d, Softmax(d, Concat2(d, 3, x, column), -1), 3, 0, -1);
}

/* Scores [B, N, S, T] with the soft cap and the bias; what is ahead of a query, or too far behind it, the
 * kernels do not look at. */
static TgValue windowed(TgDefine *d, const Places *p, TgValue x)
{
    const double cap = attr_f(d, "softcap");
    const int64_t window = attr_i(d, "local_window_size");
    if (cap > 0)
        x = Mul(d, Tanh(d, Div(d, x, num(d, x, cap))), num(d, x, cap));
    if (arg(d, 10))
        x = Add(d, x, arg(d, 10));
    TgValue query = Unsqueeze(d, p->queries, 2), seen = LessOrEqual(d, p->keys, query); /* [B, S, T] */
    if (window > 0)
        seen = And(d, seen, Greater(d, p->keys, Sub(d, query, int0(d, window))));
    return Where(d, Unsqueeze(d, seen, 1), x, num(d, x, -INFINITY));
}

static bool plain_group_query(TgDefine *d)
{
    const int64_t heads = attr_i(d, "num_heads"), groups = attr_i(d, "kv_num_heads");
    static const char *const newer[] = {"sliding_window_cache", "causal", "qk_norm_epsilon"};
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++)
        if (attr_given(d, newer[i]))
            return define_refuse(d, "an attribute of a newer version");
    if (!attr_is(d, "k_quant_type", "NONE") || !attr_is(d, "v_quant_type", "NONE") || arg(d, K_SCALE) ||
        arg(d, V_SCALE))
        return define_refuse(d, "a quantized cache");
    if (arg(d, Q_NORM) || arg(d, K_NORM))
        return define_refuse(d, "norms of queries and keys");
    if (heads < 1 || groups < 1 || heads % groups != 0 || attr_i(d, "qk_output") || wants(d, 3))
        return define_refuse(d, "heads in uneven groups, or scores as an output");
    return true;
}

bool define_ms_GroupQueryAttention(TgDefine *d)
{
    if (!plain_group_query(d))
        return false;
    const int64_t heads = attr_i(d, "num_heads"), groups = attr_i(d, "kv_num_heads");
    TgValue q = arg(d, 0), k = arg(d, 1), v = arg(d, 2), query = q;
    if (!k) { /* packed */
        const int64_t size = need_dim(d, q, 2) / (heads + 2 * groups), at = heads * size,
            width = groups * size;
        k = Slice(d, query, 2, at, at + width);
        v = Slice(d, query, 2, at + width, at + 2 * width);
        q = Slice(d, query, 2, 0, at);
    }
    Places p = places(d, query);
    TgValue positions = rotary_positions(d, &p, query);
    q = rotated(d, to_heads(d, q, heads), positions);
    k = present(d, &p, arg(d, 3), rotated(d, to_heads(d, k, groups), positions));
    v = present(d, &p, arg(d, 4), to_heads(d, v, groups));
    TgValue weights = softmax_with_sink(d, windowed(d, &p, scores(d, q, visible(d, &p, k))));
    d->out[0] = from_heads(d, MatMul(d, weights, visible(d, &p, v)));
    give(d, 1, k);
    give(d, 2, v);
    return define_done(d);
}
