/* FullyConnecteds of one input become one: their weights stand side by side, a Split gives each reader its columns.
 * Widths may differ (grouped queries), biases may be missing (zeros), the input may be read elsewhere (residual). The
 * sum of two FullyConnecteds of one input is one with the sum of the weights. Exact for the columns; the sum
 * reassociates. A weight that others read stays as it is (see --explain). */
#include "fully_connected.h"

enum { MOST = 16 };

/* --- sums --------------------------------------------------------------------------------------------------------- */

/* n adds two of them: an Add, or a Gemm whose third operand is the other one. */
static bool read_sum(TgPass *p, TgNodeInfo *n, Fc *a, Fc *b)
{
    if (n->op == TG_Add)
        return n->in[0] != n->in[1] && tg_used_once(p->g, n->in[0]) && tg_used_once(p->g, n->in[1]) &&
               fc_of(p, n->in[0], a) && fc_of(p, n->in[1], b);
    TgValue other = n->op == TG_Gemm ? in(n, 2) : 0;
    return other && tg_used_once(p->g, other) && same_type(p->g, other, n->out[0]) && fc_without_sum(p, n, a) &&
           fc_of(p, other, b);
}

static void merge_sum(TgPass *p, TgNodeInfo *n)
{
    Fc a, b;
    if (!read_sum(p, n, &a, &b) || a.x != b.x || a.n != b.n || !fc_owns_weight(p, &a) || !fc_owns_weight(p, &b) ||
        !pass_may(p))
        return;
    p->vouched = true;
    TgValue other = fc_weight_like(p, &a, &b);
    TgValue weight = other ? pass_op(p, TG_Add, NULL, 2, a.weight, other) : 0;
    TgValue bias = a.bias && b.bias ? pass_op(p, TG_Add, NULL, 2, a.bias, b.bias) : a.bias ? a.bias : b.bias;
    TgValue made = fc_make(p, &a, a.x, weight, bias);
    p->vouched = false;
    if (made && same_type(p->g, made, n->out[0])) {
        pass_count(p, "merge-sum-of-linears");
        pass_replace(p, n->out[0], made, "merge-sum-of-linears");
    }
}

/* --- side by side ------------------------------------------------------------------------------------------------- */

static bool alike(const TgPass *p, const Fc *a, const Fc *b)
{
    return a->product->op == b->product->op && a->transposed == b->transposed && a->k == b->k &&
           tg_type_of(p->g, a->weight)->dtype == tg_type_of(p->g, b->weight)->dtype && a->weight != b->weight;
}

/* The FullyConnecteds over x that can stand side by side with the first of them. */
static uint32_t group_of(TgPass *p, TgValue x, Fc *fc)
{
    uint32_t n = 0;
    const TgValueInfo *info = tg_value(p->g, x);
    for (uint32_t i = 0; i < info->uses.n && n < MOST; i++) {
        TgUse use = info->uses.at[i];
        if (use.slot == 0 && fc_at(p, use.node, &fc[n]) && is_read(p->g, fc[n].out) &&
            pass_rank(p->g, fc[n].x) >= 2 && fc_owns_weight(p, &fc[n]) &&
            (n == 0 || alike(p, &fc[0], &fc[n])))
            n++;
    }
    return n;
}

static TgValue concat(TgPass *p, uint32_t n, const TgValue *parts, int64_t axis)
{
    for (uint32_t i = 0; i < n; i++)
        if (!parts[i])
            return 0;
    TgNode made = tg_graph_add(p->g, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", axis), n, parts, 1);
    if (!made)
        return 0;
    return fold_value(p, made);
}

/* All weights side by side, and all biases (zeros where one is missing; none: *bias is 0). */
static TgValue stack(TgPass *p, const Fc *fc, uint32_t n, TgValue *bias)
{
    TgValue weights[MOST], biases[MOST];
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        weights[i] = fc[i].weight;
        any = any || fc[i].bias;
    }
    for (uint32_t i = 0; any && i < n; i++)
        biases[i] = fc_bias_vector(p, &fc[i]);
    *bias = any ? concat(p, n, biases, 0) : 0;
    return any && !*bias ? 0 : concat(p, n, weights, fc->transposed ? 0 : 1);
}

static TgNode split_columns(TgPass *p, const Fc *fc, uint32_t n, TgValue all)
{
    int64_t sizes[MOST];
    for (uint32_t i = 0; i < n; i++)
        sizes[i] = fc[i].n;
    TgValue in[2] = {all, pass_ints(p, n, sizes)};
    return tg_graph_add(p->g, TG_Split,
                        tg_attrs(p->tg, TG_Split, "axis=i", (int64_t)pass_rank(p->g, all) - 1), 2, in, n);
}

/* At -O1 large weights stay where they are: side by side they would have to be written anew. */
static bool may_move(const TgPass *p, const Fc *fc, uint32_t n)
{
    enum { CLEANING_MOVES = 1 << 20 }; /* bytes */
    size_t size = 0;
    bool heads = true;
    for (uint32_t i = 0; i < n; i++) {
        size += tg_const_of(p->g, fc[i].weight)->size;
        heads = heads && splits_heads_downstream(p, fc[i].out);
    }
    if (heads)
        return false;
    return p->options->level >= 2 || size <= CLEANING_MOVES;
}

/* Every reader is a view: then one view in front of the Split does for all. */
static bool is_only_viewed(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    for (uint32_t i = 0; i < info->uses.n; i++)
        if (tg_node(g, info->uses.at[i].node)->op != TG_Reshape)
            return false;
    return info->uses.n && !info->returned;
}

/* Bytes that a Split of all results would read and write; 0 where their number is not known. */
static double moved_by_split(const TgPass *p, const Fc *fc, uint32_t n)
{
    double bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const TgType *t = tg_type_of(p->g, fc[i].out);
        int64_t count;
        if (!tg_type_numel(t, &count))
            return 0;
        bytes += 2.0 * (double)count * tg_dtype_bits(t->dtype) / 8;
    }
    return bytes;
}

/* A Split moves all that was computed once more, and a product with twice the columns takes twice the time: in ONNX
 * Runtime on a CPU, gate and up (128 rows, twice 2816 columns) took 8 % longer with it, three projections to heads 6
 * %; with one row both take as long. So nodes must be saved, and more time with them than the Split takes. */
static bool saves_time(TgPass *p, const Fc *fc, uint32_t n)
{
    static const double bytes_per_node = 32 << 10; /* moved in the 3 us or so that it takes to run any node */
    uint32_t before = 0, after = 2;
    bool viewed = true, adds = false;
    for (uint32_t i = 0; i < n; i++) {
        bool add = fc[i].bias && fc[i].product->op == TG_MatMul;
        before += 1u + add;
        adds = adds || add;
        viewed = viewed && is_only_viewed(p->g, fc[i].out);
    }
    after += adds;
    if (viewed)
        before += 2 * (n - 1); /* Reshape, Transpose */
    bool counts_time = p->options->level >= 2; /* at -O1 the number of nodes decides */
    if (before > after && (!counts_time || moved_by_split(p, fc, n) <= (before - after) * bytes_per_node))
        return true;
    pass_explain(p, fc->product,
                 "refused: side by side they need a Split, which takes longer than the nodes that it saves");
    return false;
}

/* Beside narrow ones (adapters) a wide one gains nothing: its part of the Split is copied, and its weight written
 * anew. */
static uint32_t leave_out_dominant(TgPass *p, Fc *fc, uint32_t n)
{
    enum { DOMINANT = 8 }; /* times as wide as all others together */
    uint32_t widest = 0;
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        widest = fc[i].n > fc[widest].n ? i : widest;
        sum += fc[i].n;
    }
    if (n < 2 || fc[widest].n <= DOMINANT * (sum - fc[widest].n))
        return n;
    pass_explain(p, fc[widest].product, "refused: it is much wider than the others of its input together");
    for (uint32_t i = widest; i + 1 < n; i++)
        fc[i] = fc[i + 1];
    return n - 1;
}

static void merge_side_by_side(TgPass *p, TgValue x)
{
    Fc fc[MOST];
    uint32_t n = leave_out_dominant(p, fc, group_of(p, x, fc));
    if (n < 2 || !may_move(p, fc, n) || !saves_time(p, fc, n) || !pass_may(p))
        return;
    TgValue bias = 0;
    p->vouched = true;
    TgValue weight = stack(p, fc, n, &bias);
    TgValue all = fc_make(p, &fc[0], x, weight, bias);
    p->vouched = false;
    TgNode split = all ? split_columns(p, fc, n, all) : 0;
    if (!split)
        return;
    pass_count(p, "merge-linears");
    for (uint32_t i = 0; i < n; i++) {
        tg_node_origin(p->g, tg_value(p->g, all)->node, fc[i].product, "merge-linears");
        pass_replace(p, fc[i].out, tg_node(p->g, split)->out[i], "merge-linears");
    }
}

void pass_linear(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; p->options->level >= 2 && i < n; i++) /* sums first: they need no Split */
        if (tg_node(p->g, nodes[i])->n_out && is_read(p->g, tg_node(p->g, nodes[i])->out[0]))
            merge_sum(p, tg_node(p->g, nodes[i]));
    tg_remove_dead(p->g); /* what was summed must not be merged again */
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if ((info->op == TG_MatMul || info->op == TG_Gemm) && is_read(p->g, info->out[0]))
            merge_side_by_side(p, info->in[0]);
    }
}
