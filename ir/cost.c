/* What a node costs: operations, bytes, launches. An estimate for comparing graphs, not a prediction of time.
 *
 * Every symbol counts as one given size, so that symbolic graphs compare too. The operations of a composite
 * are those of its definition (built in a scratch model, one level after the other); its bytes are only its
 * operands and results, because a kernel for it need not write what lies between. A loop counts its body once
 * per round.
 */
#include <math.h>
#include <string.h>

#include "graph.h"

enum { DEEPEST = 12 };
static const double COSTLY_OPERATIONS = 8;

typedef struct {
    Tg *tg;
    int64_t size;
    uint32_t depth; /* of definitions and subgraphs */
} Costing;

/* --- sizes ---------------------------------------------------------------------------------------------- */

static bool assign(void *user, TgDim symbol, int64_t *n)
{
    (void)symbol;
    *n = *(const int64_t *)user;
    return true;
}

static double size_of(const Costing *c, TgDim d)
{
    int64_t n, size = c->size;
    return tg_dim_eval(d, assign, &size, &n) ? (double)(n > 0 ? n : 0) : (double)size;
}

static const TgType *type_of(const TgGraph *g, const TgNodeInfo *n, uint32_t i)
{
    return i < n->n_in && n->in[i] ? tg_type_of(g, n->in[i]) : tg_untyped(g->tg);
}

static double count_of(const Costing *c, const TgType *t)
{
    double count = 1;
    if (t->kind != TG_TENSOR || t->rank < 0)
        return 0;
    for (int32_t k = 0; k < t->rank; k++)
        count *= size_of(c, t->dim[k]);
    return count;
}

static double bytes_of(const Costing *c, const TgType *t)
{
    return count_of(c, t) * tg_dtype_bits(t->dtype) / 8;
}

/* Axis k of operand i, from the back where negative; 1 where there is none. */
static double axis_size(const Costing *c, const TgGraph *g, const TgNodeInfo *n, uint32_t i, int32_t k)
{
    const TgType *t = type_of(g, n, i);
    k = k < 0 ? k + t->rank : k;
    return t->kind == TG_TENSOR && k >= 0 && k < t->rank ? size_of(c, t->dim[k]) : 1;
}

static double out_count(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    double count = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        count += count_of(c, tg_type_of(g, n->out[i]));
    return count;
}

static double out_bytes(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    double bytes = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        bytes += bytes_of(c, tg_type_of(g, n->out[i]));
    return bytes;
}

static double in_bytes(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    double bytes = 0;
    for (uint32_t i = 0; i < n->n_formal; i++)
        bytes += bytes_of(c, type_of(g, n, i));
    return bytes;
}

/* --- products ------------------------------------------------------------------------------------------- */

/* Every distinct index of an Einsum runs through its size once. */
static double einsum_steps(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    const char *at = tg_attr_string(c->tg, n, "equation"), *end = strstr(at, "->");
    char seen[64] = "";
    double steps = 1;
    uint32_t operand = 0;
    int32_t axis = 0;
    for (; *at && at != end; at++) {
        bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        if (*at == ',') {
            operand++;
            axis = 0;
        } else if (letter) {
            if (!strchr(seen, *at)) {
                seen[strlen(seen)] = *at;
                steps *= axis_size(c, g, n, operand, axis);
            }
            axis++;
        }
    }
    return steps;
}

/* Length of the contraction: how many products make one element. */
static double contraction(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    switch (n->op) {
    case TG_Gemm:
    case TG_ms_FusedGemm:
    case TG_ms_FusedMatMul: return axis_size(c, g, n, 0, tg_attr_int(n, "transA") != 0 ? -2 : -1);
    default: return axis_size(c, g, n, 0, -1);
    }
}

static double matmul_flops(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    if (n->op == TG_Einsum)
        return 2 * einsum_steps(c, g, n);
    return 2 * out_count(c, g, n) * contraction(c, g, n);
}

/* Each output (of a transposed convolution: each input) meets one window over the channels of its group. */
static double conv_flops(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    uint32_t weights = n->op == TG_QLinearConv ? 3 : 1;
    double channels = axis_size(c, g, n, weights, 0);
    double window = channels > 0 ? count_of(c, type_of(g, n, weights)) / channels : 0;
    bool transposed = n->op == TG_ConvTranspose;
    return 2 * window * (transposed ? count_of(c, type_of(g, n, 0)) : out_count(c, g, n));
}

/* The transform runs along one axis: the longest one is a bound that is often exact. */
static double fourier_flops(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    static const double point = 8; /* operations of one complex product and sum */
    const TgType *in = type_of(g, n, 0);
    double length = 1;
    for (int32_t i = 0; i < in->rank; i++)
        length = fmax(length, axis_size(c, g, n, 0, i));
    return point * length * out_count(c, g, n);
}

/* --- composites and subgraphs --------------------------------------------------------------------------- */

static TgCost node_cost(const Costing *c, const TgGraph *g, const TgNodeInfo *n);

static void add(TgCost *sum, TgCost more, double times)
{
    sum->flops += times * more.flops;
    sum->bytes += times * more.bytes;
    sum->launches += times * more.launches;
}

static TgCost graph_cost(const Costing *c, TgGraph *g)
{
    TgCost sum = {0};
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < n; i++)
        add(&sum, node_cost(c, g, tg_node(g, order[i])), 1);
    return sum;
}

/* Operations of the definition; without one, a few per output element. */
static double definition_flops(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    uint32_t said = tg_diag_count(c->tg);
    Costing below = {c->tg, c->size, c->depth + 1};
    TgModel *scratch = tg_model_new(c->tg);
    TgGraph *into = scratch->graph;
    TgValue *in = TG_NEW_N(scratch->arena, TgValue, n->n_in + 1),
            *out = TG_NEW_N(scratch->arena, TgValue, n->n_out + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const TgTensor *constant = tg_const_of(g, n->in[i]);
        if (n->in[i])
            in[i] = constant ? tg_graph_const(into, constant, NULL)
                             : tg_graph_input(into, type_of(g, n, i), NULL);
    }
    bool defined = tg_define(into, g, n, in, out);
    double flops = defined ? graph_cost(&below, into).flops : COSTLY_OPERATIONS * out_count(c, g, n);
    tg_model_free(scratch);
    tg_diag_forget(c->tg, said);
    return flops;
}

static double rounds_of(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    int64_t most;
    uint32_t count;
    if (n->op == TG_Loop)
        return tg_const_ints(g, n->in[0], 1, &most, &count) && count == 1 ? (double)most : (double)c->size;
    return n->op == TG_Scan ? axis_size(c, g, n, n->n_formal - 1, 0) : 1;
}

/* If runs one of its branches: the dearer. */
static TgCost subgraph_cost(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    TgCost sum = {0};
    Costing below = {c->tg, c->size, c->depth + 1};
    for (uint32_t i = 0; i < n->n_sub; i++) {
        TgCost one = graph_cost(&below, n->sub[i].graph);
        if (n->op != TG_If)
            add(&sum, one, rounds_of(c, g, n));
        else if (one.flops > sum.flops || (one.flops == sum.flops && one.bytes > sum.bytes))
            sum = one;
    }
    return sum;
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

static double flops_of(const Costing *c, const TgGraph *g, const TgNodeInfo *n, TgCostKind kind)
{
    switch (kind) {
    case TG_COST_elementwise: return out_count(c, g, n);
    case TG_COST_costly: return COSTLY_OPERATIONS * out_count(c, g, n);
    case TG_COST_reduce: return count_of(c, type_of(g, n, 0));
    case TG_COST_matmul: return matmul_flops(c, g, n);
    case TG_COST_conv: return conv_flops(c, g, n);
    case TG_COST_fourier: return fourier_flops(c, g, n);
    case TG_COST_definition:
        return c->depth < DEEPEST ? definition_flops(c, g, n) : COSTLY_OPERATIONS * out_count(c, g, n);
    case TG_COST_none:
    case TG_COST_move:
    case TG_COST_view:
    case TG_COST_subgraph:
    case TG_COST_COUNT: break;
    }
    return 0;
}

static TgCost node_cost(const Costing *c, const TgGraph *g, const TgNodeInfo *n)
{
    TgCostKind kind = n->op == TG_opaque ? TG_COST_elementwise : tg_op_info(n->op)->cost;
    if (kind == TG_COST_none || kind == TG_COST_view)
        return (TgCost){0};
    if (kind == TG_COST_subgraph)
        return c->depth < DEEPEST ? subgraph_cost(c, g, n) : (TgCost){0};
    TgCost cost = {.flops = flops_of(c, g, n, kind), .launches = 1};
    /* what moves reads only what it writes, however large its operand is */
    cost.bytes = out_bytes(c, g, n) + (kind == TG_COST_move ? out_bytes(c, g, n) : in_bytes(c, g, n));
    return cost;
}

TgCost tg_node_cost(const TgGraph *g, const TgNodeInfo *n, int64_t size)
{
    Costing c = {g->tg, size, 0};
    return node_cost(&c, g, n);
}

TgCost tg_graph_cost(TgGraph *g, int64_t size)
{
    Costing c = {g->tg, size, 0};
    return graph_cost(&c, g);
}

/* --- constants ------------------------------------------------------------------------------------------ */

/* Tensors that share their bytes count once. */
static double const_bytes(const TgGraph *g, TgMap *seen)
{
    double bytes = 0;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        const TgTensor *t = info->origin == TG_V_CONST ? info->tensor : NULL;
        bool read = info->uses.n > 0 || info->returned > 0;
        uint64_t key = t && t->payload == TG_MAPPED ? TG_KEY(t->bytes) : TG_KEY(t);
        if (!t || !read || tg_map_get(seen, key, NULL))
            continue;
        tg_map_put(seen, key, 1);
        bytes += (double)t->size;
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t i = 0; !tg_node(g, n)->dead && i < tg_node(g, n)->n_sub; i++)
            bytes += const_bytes(tg_node(g, n)->sub[i].graph, seen); /* nesting is bounded by the reader */
    return bytes;
}

double tg_graph_const_bytes(const TgGraph *g)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    TgMap seen;
    tg_map_init(&seen, scratch);
    double bytes = const_bytes(g, &seen);
    tg_release(scratch, mark);
    return bytes;
}
