/* Adapters: a second, narrow way from x to the result of a FullyConnected, as fine-tuning leaves it (LoRA, VeRA).
 *
 *     x W + b + s ((x A + a) B + c)  =  x (W + s A B) + (b + s (a B + c))
 *
 * On the way from x there are two FullyConnecteds or more, and factors: numbers, or one for each column. With --merge-lora
 * the way goes into the weight: it costs nothing any more, and the model becomes smaller; but the adapter can no longer be
 * told from the weight. Without it the way stays as narrow as it is (scale.c has put s into the smaller of A and B); one that
 * is not narrow becomes one weight (chain.c), and then goes into W as well (linear.c). A weight that others read stays as it
 * is. Runs before FullyConnecteds are merged side by side, so that queries, keys and values with adapters still become one
 * product. Reassociates. */
#include "fully_connected.h"
#include "step.h"

enum { LONGEST = 8 }; /* stages from x to the sum */

/* A FullyConnected, or a factor. */
typedef struct {
    bool is_linear;
    Fc fc;
    Step factor; /* its constant is f[n] or f[] */
} Stage;

typedef struct {
    uint32_t n, linears;
    Stage stage[LONGEST]; /* from the sum back to x */
    int64_t rank;         /* of the narrowest place */
    double products;      /* for each row of x */
} Way;

/* --- reading ------------------------------------------------------------------------------------- */

/* v is multiplied by a constant that varies along the last axis at most. */
static bool read_factor(TgPass *p, TgValue v, Step *s)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->origin != TG_V_RESULT || !read_step(p, tg_node(p->g, info->node), s) || !is_factor(s))
        return false;
    s->c = along_last_axis(p, s->c, pass_dim(p->g, v, -1));
    return s->c && is_sound_factor(p, s);
}

static void add_stage(Way *way, Stage s)
{
    if (s.is_linear) {
        way->rank = way->linears && way->rank < s.fc.n ? way->rank : s.fc.n;
        way->products += (double)s.fc.k * (double)s.fc.n;
        way->linears++;
    }
    way->stage[way->n++] = s;
}

/* The way from x to v; nobody reads what lies on it. */
static bool read_way(TgPass *p, TgValue v, TgValue x, Way *way)
{
    while (v != x) {
        Stage s = {0};
        if (way->n == LONGEST || (way->n && !tg_used_once(p->g, v)))
            return false;
        if (fc_of(p, v, &s.fc)) {
            s.is_linear = true;
            v = s.fc.x;
        } else if (read_factor(p, v, &s.factor))
            v = s.factor.x;
        else
            return false;
        add_stage(way, s);
    }
    return way->linears >= 2 && way->stage[way->n - 1].is_linear;
}

/* A sum: Add, or a Gemm that adds what was computed. */
typedef struct {
    TgNodeInfo *node;
    TgValue base, side;
    Fc last; /* Gemm: the product itself, without what it adds; product NULL: Add */
} Sum;

static bool read_sum(const TgPass *p, TgNodeInfo *n, uint32_t way_round, Sum *sum)
{
    *sum = (Sum){.node = n};
    if (n->op == TG_Add) {
        sum->base = n->in[way_round];
        sum->side = n->in[1 - way_round];
        return sum->base != sum->side && tg_used_once(p->g, sum->base) && tg_used_once(p->g, sum->side);
    }
    if (n->op != TG_Gemm || way_round || !fc_without_sum(p, n, &sum->last) || is_const(p->g, in(n, 2)))
        return false;
    sum->base = in(n, 2);
    return sum->base && tg_used_once(p->g, sum->base);
}

static bool read_adapter(TgPass *p, const Sum *sum, Fc *base, Way *way)
{
    *way = (Way){0};
    if (!same_type(p->g, sum->base, sum->node->out[0]) || !fc_of(p, sum->base, base))
        return false;
    if (!sum->last.product)
        return same_type(p->g, sum->side, sum->base) && read_way(p, sum->side, base->x, way);
    add_stage(way, (Stage){.is_linear = true, .fc = sum->last});
    return read_way(p, sum->last.x, base->x, way);
}

/* --- merging ------------------------------------------------------------------------------------- */

typedef struct {
    TgValue weight, bias; /* in the layout of the weight that takes it; bias 0: none */
} Side;

static bool append_factor(TgPass *p, const Fc *like, const Step *s, Side *w)
{
    TgValue by = factor_of(p, s, s->c);
    w->weight = by ? fc_scale_columns(p, like, w->weight, by) : 0;
    w->bias = w->bias && by ? pass_op(p, TG_Mul, NULL, 2, w->bias, by) : w->bias;
    return w->weight != 0;
}

static bool append_linear(TgPass *p, const Fc *like, const Fc *fc, Side *w)
{
    bool flip = like->transposed;
    TgValue weight = fc_weight_like(p, like, fc), bias = fc->bias ? fc_bias_vector(p, fc) : 0;
    if (!w->weight) {
        *w = (Side){weight, bias};
        return weight != 0;
    }
    TgValue before = w->weight, shift = w->bias;
    w->weight = weight ? pass_op(p, TG_MatMul, NULL, 2, flip ? weight : before, flip ? before : weight) : 0;
    shift =
        shift && weight ? pass_op(p, TG_MatMul, NULL, 2, flip ? weight : shift, flip ? shift : weight) : 0;
    w->bias = shift && bias ? pass_op(p, TG_Add, NULL, 2, shift, bias) : shift ? shift : bias;
    return w->weight != 0;
}

static TgValue merge(TgPass *p, const Fc *base, const Way *way)
{
    Side w = {0};
    for (uint32_t i = way->n; i-- > 0;)
        if (way->stage[i].is_linear ? !append_linear(p, base, &way->stage[i].fc, &w)
                                    : !append_factor(p, base, &way->stage[i].factor, &w))
            return 0;
    TgValue weight = pass_op(p, TG_Add, NULL, 2, base->weight, w.weight);
    TgValue bias = w.bias && base->bias ? pass_op(p, TG_Add, NULL, 2, base->bias, w.bias)
                   : base->bias         ? base->bias
                                        : w.bias;
    bool constant = weight && is_const(p->g, weight) && (!bias || is_const(p->g, bias));
    return constant ? fc_make(p, base, base->x, weight, bias) : 0;
}

static void explain(TgPass *p, const Sum *sum, const Fc *base, const Way *way, const char *decision)
{
    double weight = (double)base->k * (double)base->n;
    pass_explain(p, sum->node,
                 "adapter of rank %lld: as it is %.0f products for each row, as one weight beside the other "
                 "%.0f, in that "
                 "weight none: %s",
                 (long long)way->rank, way->products, weight, decision);
}

static bool merge_adapter(TgPass *p, TgNodeInfo *n, uint32_t way_round)
{
    Sum sum;
    Fc base;
    Way way;
    if (!read_sum(p, n, way_round, &sum) || !read_adapter(p, &sum, &base, &way))
        return false;
    if (!p->options->merge_lora) {
        bool low = way.products < (double)base.k * (double)base.n;
        explain(p, &sum, &base, &way,
                low ? "stays as it is (--merge-lora: into the weight)" : "into the weight, by way of one");
        return true;
    }
    if (!fc_owns_weight(p, &base) || !pass_may(p))
        return true;
    p->vouched = true;
    TgValue made = merge(p, &base, &way);
    p->vouched = false;
    if (!made || !same_type(p->g, made, n->out[0]))
        return true;
    explain(p, &sum, &base, &way, "into the weight (--merge-lora)");
    pass_count(p, "merge-adapter");
    pass_replace(p, n->out[0], made, "merge-adapter");
    return true;
}

void pass_adapter(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->n_out && is_read(p->g, info->out[0]) && !merge_adapter(p, info, 0))
            merge_adapter(p, info, 1);
    }
}
