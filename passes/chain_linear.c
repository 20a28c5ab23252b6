/* FullyConnecteds in a row, nothing between them: those whose product of weights is no larger than the weights become
 * one. The weights stand in a row as well, so the best division into groups is found from left to right. See
 * chain.c. */
#include <math.h>

#include "chain.h"

enum { MOST = 16 };

typedef struct {
    TgPass *p;
    uint32_t n;
    Fc fc[MOST]; /* in the order of computation */
} Row;

/* fc[0] .. fc[n - 1], where fc[n - 1] is the given one. */
static void read_row(Row *row, const Fc *last)
{
    TgPass *p = row->p;
    Fc back[MOST];
    uint32_t n = 0;
    back[n++] = *last;
    while (n < MOST && tg_used_once(p->g, back[n - 1].x) && fc_of(p, back[n - 1].x, &back[n])) {
        back[n].product->mark = 1;
        n++;
    }
    row->n = n;
    for (uint32_t i = 0; i < n; i++)
        row->fc[i] = back[n - 1 - i];
}

/* Elements of the product of the weights from .. to: operations for each row of x, and what is stored. */
static double elements(const Row *row, uint32_t from, uint32_t to)
{
    return (double)row->fc[from].k * (double)row->fc[to].n;
}

static bool grows(const Row *row, uint32_t from, uint32_t to)
{
    const TgGraph *g = row->p->g;
    double bytes = elements(row, from, to) * tg_dtype_bits(tg_type_of(g, row->fc[from].weight)->dtype) / 8;
    for (uint32_t i = from; i <= to; i++)
        if (is_alone(g, row->fc[i].weight))
            bytes -= (double)tg_const_of(g, row->fc[i].weight)->size;
    return from < to && bytes > (double)STORED_TWICE;
}

/* start[k]: where the last group of the best division of the first k begins. */
static double divide(const Row *row, uint32_t *start)
{
    double cost[MOST + 1] = {0};
    uint32_t groups[MOST + 1] = {0};
    for (uint32_t k = 1; k <= row->n; k++) {
        cost[k] = INFINITY;
        for (uint32_t j = 0; j < k; j++) {
            double made = grows(row, j, k - 1) ? INFINITY : cost[j] + elements(row, j, k - 1);
            if (made < cost[k] || (made == cost[k] && groups[j] + 1 < groups[k])) {
                cost[k] = made;
                groups[k] = groups[j] + 1;
                start[k] = j;
            }
        }
    }
    return cost[row->n];
}

/* One FullyConnected for those from .. to; `weight` and `bias` in the layout of the last one. */
static TgValue make_group(const Row *row, uint32_t from, uint32_t to)
{
    TgPass *p = row->p;
    const Fc *like = &row->fc[to];
    TgValue weight = fc_weight_like(p, like, &row->fc[from]);
    TgValue bias = row->fc[from].bias ? fc_bias_vector(p, &row->fc[from]) : 0;
    for (uint32_t i = from + 1; weight && i <= to; i++) {
        const Fc *fc = &row->fc[i];
        TgValue next = fc_weight_like(p, like, fc), own = fc->bias ? fc_bias_vector(p, fc) : 0;
        bool flip = like->transposed;
        weight = next ? pass_op(p, TG_MatMul, NULL, 2, flip ? next : weight, flip ? weight : next) : 0;
        if (bias)
            bias = next ? pass_op(p, TG_MatMul, NULL, 2, flip ? next : bias, flip ? bias : next) : 0;
        bias = bias && own ? pass_op(p, TG_Add, NULL, 2, bias, own) : own ? own : bias;
    }
    bool constant = weight && is_const(p->g, weight) && (!bias || is_const(p->g, bias));
    return constant ? fc_make(p, like, row->fc[from].x, weight, bias) : 0;
}

static void merge_group(const Row *row, uint32_t from, uint32_t to)
{
    TgPass *p = row->p;
    if (!pass_may(p))
        return;
    TgValue old = row->fc[to].out;
    p->vouched = true;
    TgValue made = make_group(row, from, to);
    p->vouched = false;
    if (!made || !same_type(p->g, made, old))
        return;
    pass_count(p, "merge-linears-in-a-row");
    pass_replace(p, old, made, "merge-linears-in-a-row");
}

static void explain_row(const Row *row, double best)
{
    double written = 0, one = elements(row, 0, row->n - 1);
    const TgNodeInfo *last = row->fc[row->n - 1].product;
    for (uint32_t i = 0; i < row->n; i++)
        written += elements(row, i, i);
    if (best < written)
        pass_explain(row->p, last, "%u FullyConnecteds in a row: %.0f products for each row instead of %.0f",
                     row->n, best, written);
    else
        pass_explain(
            row->p, last,
            "kept: %u FullyConnecteds in a row take %.0f products for each row, one would take %.0f%s",
            row->n, written, one, one < written ? " (but somebody else reads a weight)" : "");
}

static void merge_row(const Row *row)
{
    uint32_t start[MOST + 1] = {0};
    explain_row(row, divide(row, start));
    for (uint32_t end = row->n; end;
         end = start[end]) /* from the last: those before are its operands still */
        if (start[end] + 1 < end)
            merge_group(row, start[end], end - 1);
}

void merge_linears_in_a_row(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    Row *row = TG_NEW(tg_scratch(p->tg), Row);
    row->p = p;
    for (uint32_t i = 0; i < n; i++)
        tg_node(p->g, nodes[i])->mark = 0; /* 1: in a row that was read from its end */
    for (uint32_t i = n; i-- > 0;) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        Fc last;
        if (info->mark || !info->n_out || !is_read(p->g, info->out[0]) || !fc_at(p, nodes[i], &last))
            continue;
        read_row(row, &last);
        if (row->n > 1)
            merge_row(row);
    }
}
