/* What the operators of com.microsoft (all but attention) and two of ai.onnx.ml mean, as ONNX Runtime
 * computes them.
 *
 * They are ONNX operators joined together: a bias, an activation, a residual, a scale or a dequantization
 * is put to a product or a norm. Every definition below takes them apart again. */
#include "define.h"

/* x + bias, where there is one. */
static TgValue plus(TgDefine *d, TgValue x, TgValue bias) { return bias ? Add(d, x, bias) : x; }

/* --- activations ---------------------------------------------------------------------------------------- */

static TgValue gelu(TgDefine *d, TgValue x, const char *approximate)
{
    return d->failed ? 0 : def_node(d, TG_Gelu, tg_attrs(d->tg, TG_Gelu, "approximate=s", approximate), 1,
                                    &x);
}

bool define_ms_Gelu(TgDefine *d)
{
    d->out[0] = gelu(d, arg(d, 0), "none");
    return define_done(d);
}

bool define_ms_BiasGelu(TgDefine *d)
{
    d->out[0] = gelu(d, Add(d, arg(d, 0), arg(d, 1)), "none");
    return define_done(d);
}

bool define_ms_FastGelu(TgDefine *d)
{
    d->out[0] = gelu(d, plus(d, arg(d, 0), arg(d, 1)), "tanh");
    return define_done(d);
}

bool define_ms_QuickGelu(TgDefine *d)
{
    TgValue x = arg(d, 0);
    d->out[0] = Mul(d, x, Sigmoid(d, Mul(d, x, num(d, x, attr_f(d, "alpha")))));
    return define_done(d);
}

/* --- norms ---------------------------------------------------------------------------------------------- */

/* LayerNormalization over the last axis, with its three outputs. */
static void layer_norm(TgDefine *d, TgValue x, TgValue gamma, TgValue beta, TgValue *out)
{
    if (d->failed)
        return;
    const TgAttrs *attrs = tg_attrs(d->tg, TG_LayerNormalization, "epsilon=f", attr_f(d, "epsilon"));
    def_nodes(d, TG_LayerNormalization, attrs, 3, (TgValue[]){x, gamma, beta}, 3, out);
}

/* Outputs: normalized, mean, inverse deviation, the sum that was normalized. */
bool define_ms_SkipLayerNormalization(TgDefine *d)
{
    TgValue sum = plus(d, Add(d, arg(d, 0), arg(d, 1)), arg(d, 4)), out[3] = {0};
    layer_norm(d, sum, arg(d, 2), arg(d, 3), out);
    for (uint32_t i = 0; i < 3; i++)
        give(d, i, out[i]);
    give(d, 3, sum);
    return define_done(d);
}

bool define_ms_SkipSimplifiedLayerNormalization(TgDefine *d)
{
    TgValue sum = plus(d, Add(d, arg(d, 0), arg(d, 1)), arg(d, 3)), x = Cast(d, sum, TG_f32);
    TgValue power = Reduce1(d, TG_ReduceMean, Square(d, x), -1);
    TgValue inverse = Reciprocal(d, Sqrt(d, Add(d, power, num(d, x, attr_f(d, "epsilon")))));
    d->out[0] = Mul(d, CastLike(d, Mul(d, x, inverse), sum), arg(d, 2));
    give(d, 1, Reduce1(d, TG_ReduceMean, x, -1));
    give(d, 2, inverse);
    give(d, 3, sum);
    return define_done(d);
}

/* 1 / sqrt(mean(x^2) + epsilon) over the axes from `axis` on. */
static TgValue inverse_root_mean_square(TgDefine *d, TgValue x, int64_t axis)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t n = 0;
    for (int64_t i = axis_of(d, x, axis); i < rank_of(d, x); i++)
        axes[n++] = i;
    x = Cast(d, x, (TgDtype)attr_i(d, "stash_type"));
    TgValue power = Reduce(d, TG_ReduceMean, Square(d, x), n, axes);
    return Reciprocal(d, Sqrt(d, Add(d, power, num(d, x, attr_f(d, "epsilon")))));
}

bool define_SimplifiedLayerNormalization(TgDefine *d)
{
    const TgAttrs *attrs = tg_attrs(d->tg, TG_RMSNormalization, "axis=i epsilon=f stash_type=i",
                                    attr_i(d, "axis"), attr_f(d, "epsilon"), attr_i(d, "stash_type"));
    TgValue y = def_node(d, TG_RMSNormalization, attrs, 2, (TgValue[]){arg(d, 0), arg(d, 1)});
    d->out[0] = plus(d, y, arg(d, 2));
    if (wants(d, 1))
        d->out[1] = inverse_root_mean_square(d, arg(d, 0), attr_i(d, "axis"));
    return define_done(d);
}

/* How many words each row of a mask marks: i32[batch]; zeros without a mask. */
static TgValue words(TgDefine *d, TgValue mask, TgValue ids)
{
    if (!mask)
        return Fill(d, size_of(d, ids, 0), TG_i32, 0);
    TgValue marked = Cast(d, Equal(d, mask, num(d, mask, 1)), TG_i32);
    return Squeeze(d, Reduce1(d, TG_ReduceSum, marked, 1), 1);
}

bool define_ms_EmbedLayerNormalization(TgDefine *d)
{
    TgValue ids = arg(d, 0), segments = arg(d, 1), positions = arg(d, 8), out[3] = {0};
    if (!positions)
        positions = Unsqueeze(d, Counting(d, size_of(d, ids, 1)), 0);
    TgValue sum = Add(d, Gather(d, arg(d, 2), ids, 0), Gather(d, arg(d, 3), positions, 0));
    if (segments)
        sum = Add(d, sum, Gather(d, arg(d, 4), segments, 0));
    layer_norm(d, sum, arg(d, 5), arg(d, 6), out);
    d->out[0] = out[0];
    give(d, 1, words(d, arg(d, 7), ids));
    give(d, 2, sum);
    return define_done(d);
}

/* --- rotary --------------------------------------------------------------------------------------------- */

/* x [batch, sequence, hidden] or [batch, heads, sequence, size]; positions [batch, sequence], or one start
 * for all. */
bool define_ms_RotaryEmbedding(TgDefine *d)
{
    TgValue x = arg(d, 0), positions = arg(d, 1), cosines = arg(d, 2);
    if (attr_i(d, "is_packed_batching"))
        return define_refuse(d, "packed batches");
    const bool flat = rank_of(d, x) == 3;
    if (rank_of(d, positions) == 1) {
        TgValue length = size_of(d, x, flat ? 1 : 2);
        TgValue steps = Unsqueeze(d, Add(d, Counting(d, length), positions), 0);
        positions = Expand(d, steps, ShapeOf(d, size_of(d, x, 0), length));
    }
    int64_t heads = attr_i(d, "num_heads");
    if (flat && heads == 0)
        heads = need_dim(d, x, 2) / (2 * need_dim(d, cosines, 1));
    if (d->failed)
        return false;
    const TgAttrs *attrs = tg_attrs(d->tg, TG_RotaryEmbedding,
                                    "interleaved=i num_heads=i rotary_embedding_dim=i",
                                    attr_i(d, "interleaved"), heads, attr_i(d, "rotary_embedding_dim"));
    d->out[0] = def_node(d, TG_RotaryEmbedding, attrs, 4, (TgValue[]){x, cosines, arg(d, 3), positions});
    return define_done(d);
}

/* --- products ------------------------------------------------------------------------------------------- */

/* Brings an operand of FusedMatMul to the order of MatMul: first axis behind the batch, then rows and
 * columns swapped. */
static TgValue oriented(TgDefine *d, TgValue x, const char *batch, const char *last)
{
    if (attr_i(d, batch))
        x = MoveAxis(d, x, 0, -2);
    return attr_i(d, last) ? SwapLast(d, x) : x;
}

bool define_ms_FusedMatMul(TgDefine *d)
{
    TgValue a = oriented(d, arg(d, 0), "transBatchA", "transA"),
        b = oriented(d, arg(d, 1), "transBatchB", "transB");
    double alpha = attr_f(d, "alpha");
    TgValue y = MatMul(d, a, b);
    d->out[0] = alpha == 1 ? y : Mul(d, y, num(d, y, alpha));
    return define_done(d);
}

/* The activations that FusedGemm takes, with their attributes and where FusedGemm has them. */
static const struct {
    const char *name;
    TgOp op;
    const char *alpha, *beta; /* attributes of op that take activation_alpha and activation_beta */
} activations[] = {
    {"Relu", TG_Relu, NULL, NULL},
    {"Tanh", TG_Tanh, NULL, NULL},
    {"Sigmoid", TG_Sigmoid, NULL, NULL},
    {"Softsign", TG_Softsign, NULL, NULL},
    {"Softplus", TG_Softplus, NULL, NULL},
    {"LeakyRelu", TG_LeakyRelu, "alpha", NULL},
    {"Elu", TG_Elu, "alpha", NULL},
    {"ThresholdedRelu", TG_ThresholdedRelu, "alpha", NULL},
    {"HardSigmoid", TG_HardSigmoid, "alpha", "beta"},
};

static TgValue activated(TgDefine *d, TgValue x)
{
    if (!attr_given(d, "activation") || attr_is(d, "activation", ""))
        return x;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (!attr_is(d, "activation", activations[i].name))
            continue;
        TgAttrBuild b;
        tg_attrs_begin(&b, d->tg);
        if (activations[i].alpha && attr_given(d, "activation_alpha"))
            tg_attrs_float(&b, activations[i].alpha, (float)attr_f(d, "activation_alpha"));
        if (activations[i].beta && attr_given(d, "activation_beta"))
            tg_attrs_float(&b, activations[i].beta, (float)attr_f(d, "activation_beta"));
        return def_node(d, activations[i].op, tg_attrs_end(&b, activations[i].op), 1, &x);
    }
    define_refuse(d, "an activation that is not known");
    return 0;
}

bool define_ms_FusedGemm(TgDefine *d)
{
    const TgAttrs *attrs = tg_attrs(d->tg, TG_Gemm, "alpha=f beta=f transA=i transB=i", attr_f(d, "alpha"),
                                    attr_f(d, "beta"), attr_i(d, "transA"), attr_i(d, "transB"));
    d->out[0] = activated(d, def_node(d, TG_Gemm, attrs, 3, (TgValue[]){arg(d, 0), arg(d, 1), arg(d, 2)}));
    return define_done(d);
}

/* --- products with quantized operands ------------------------------------------------------------------- */

/* Bytes [rows, n] to the numbers of `bits` bits that they hold, low bits first: [rows, n * 8 / bits] of
 * type `to`. */
static TgValue unpacked(TgDefine *d, TgValue bytes, int64_t bits, TgDtype to)
{
    TgValue part[8];
    const int64_t parts = 8 / bits;
    TgValue rest = Cast(d, bytes, TG_i32), base = num_of(d, TG_i32, (double)(1 << bits));
    for (int64_t i = 0; i < parts; i++, rest = Div(d, rest, base))
        part[i] = Unsqueeze(d, Mod(d, rest, base), 2);
    TgValue all = Concat(d, 2, (uint32_t)parts, part);
    return Cast(d, Reshape(d, all, ShapeOf(d, size_of(d, bytes, 0), int1(d, -1))), to);
}

/* Zero points [N, blocks]: packed like the weights, plain, or the middle of the range. */
static TgValue zero_points(TgDefine *d, TgValue given, TgValue like, int64_t bits, int64_t n, int64_t blocks)
{
    if (!given)
        return num(d, like, (double)(1 << (bits - 1)));
    TgValue rows = Reshape(d, given, ShapeOf(d, int1(d, n), int1(d, -1)));
    if (dtype_of(d, given) != TG_u8)
        return rows;
    return Slice(d, unpacked(d, rows, bits, dtype_of(d, like)), 1, 0, blocks);
}

bool define_ms_MatMulNBits(TgDefine *d)
{
    TgValue x = arg(d, 0), scales = arg(d, 2);
    const int64_t k = attr_i(d, "K"), n = attr_i(d, "N"), bits = attr_i(d, "bits"),
        size = attr_i(d, "block_size");
    if (k < 1 || n < 1 || size < 1 || (bits != 2 && bits != 4 && bits != 8))
        return define_refuse(d, "K, N and block_size must be positive, bits 2, 4 or 8");
    if (arg(d, 4))
        return define_refuse(d, "group indices");
    const int64_t blocks = (k + size - 1) / size;
    TgValue zero = zero_points(d, arg(d, 3), x, bits, n, blocks),
        scale = Reshape(d, scales, ints(d, 2, (int64_t[]){n, blocks}));
    if (arg(d, 3))
        zero = Unsqueeze(d, zero, 2);
    TgValue codes = unpacked(d, Reshape(d, arg(d, 1), ShapeOf(d, int1(d, n), int1(d, -1))), bits,
                             dtype_of(d, x));
    codes = Reshape(d, codes, ints(d, 3, (int64_t[]){n, blocks, size}));
    TgValue w = Mul(d, Sub(d, codes, zero), Unsqueeze(d, scale, 2));
    w = Slice(d, Reshape(d, w, ints(d, 2, (int64_t[]){n, blocks * size})), 1, 0, k);
    d->out[0] = plus(d, MatMul(d, x, SwapLast(d, w)), arg(d, 5));
    return define_done(d);
}

/* (a - a_zero) (b - b_zero), exact in i32, as a real number like `scale`. */
static TgValue integer_product(TgDefine *d, TgValue a, TgValue b, TgValue a_zero, TgValue b_zero,
                               TgValue scale)
{
    return CastLike(d, def_node(d, TG_MatMulInteger, NULL, 4, (TgValue[]){a, b, a_zero, b_zero}), scale);
}

bool define_ms_MatMulIntegerToFloat(TgDefine *d)
{
    TgValue scale = Mul(d, arg(d, 2), arg(d, 3));
    TgValue product = integer_product(d, arg(d, 0), arg(d, 1), arg(d, 4), arg(d, 5), scale);
    d->out[0] = plus(d, Mul(d, product, scale), arg(d, 6));
    return define_done(d);
}

bool define_ms_DynamicQuantizeMatMul(TgDefine *d)
{
    TgValue a[3] = {0}, x = arg(d, 0);
    def_nodes(d, TG_DynamicQuantizeLinear, NULL, 1, &x, 3, a);
    TgValue scale = Mul(d, a[1], arg(d, 2));
    TgValue product = integer_product(d, a[0], arg(d, 1), a[2], arg(d, 3), scale);
    d->out[0] = plus(d, Mul(d, product, scale), arg(d, 4));
    return define_done(d);
}

/* The ONNX operator with all that the node has: operands and attributes mean the same. */
static bool same_as(TgDefine *d, TgOp op)
{
    d->out[0] = def_node(d, op, d->n->attrs, d->n->n_in, d->in);
    return define_done(d);
}

bool define_ms_QuantizeLinear(TgDefine *d) { return same_as(d, TG_QuantizeLinear); }
bool define_ms_DequantizeLinear(TgDefine *d) { return same_as(d, TG_DequantizeLinear); }

/* --- ai.onnx.ml ----------------------------------------------------------------------------------------- */

/* Columns of x by number; a vector counts as one row. */
bool define_ml_ArrayFeatureExtractor(TgDefine *d)
{
    TgValue x = arg(d, 0);
    if (rank_of(d, x) == 1)
        x = Unsqueeze(d, x, 0);
    d->out[0] = Gather(d, x, Reshape(d, arg(d, 1), int1(d, -1)), -1);
    return define_done(d);
}

bool define_ml_Binarizer(TgDefine *d)
{
    TgValue x = arg(d, 0);
    d->out[0] = CastLike(d, Greater(d, x, num(d, x, attr_f(d, "threshold"))), x);
    return define_done(d);
}
