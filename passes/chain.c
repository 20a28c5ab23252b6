/* Chains of products: x A B C may be computed in any order, and what the orders cost differs by much.
 *
 *     (x A) B = x (A B)                        the classic matrix chain, by dynamic programming over its factors
 *     (x A + a) B + b = x (A B) + (a B + b)    FullyConnecteds in a row: the same over their weights
 *
 * A product of constants is computed ahead of time and costs nothing then, but it is stored: it is made only where it
 * is no larger than what it replaces. So a pair of low rank (an adapter) stays a pair, and one that is not becomes
 * one weight. Where sizes are named, polynomials tell whether an order is the better one for all of them; if they do
 * not, names count as TG_TYPICAL_SIZE. Chains are cut after MOST factors, so that the time is linear in the nodes.
 * Reassociates. Reference: Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, "Matrix-chain
 * multiplication". */
#include <math.h>

#include "chain.h"

enum {
    MOST = 16, /* factors of a chain */
    MOST_AXES = 8
};

typedef struct {
    double cost;       /* operations at run time */
    double ahead;      /* and ahead of time */
    uint32_t launches; /* nodes that do them */
    uint32_t cut;      /* the last factor of the left part */
    bool constant;     /* all of its factors are */
    bool grows;        /* a constant that would be larger than its factors, which must be kept */
} Part;

typedef struct {
    uint32_t from, cut, to; /* (from .. cut) (cut + 1 .. to) */
} Product;

typedef struct {
    uint32_t n;
    Product at[MOST];
} Order;

typedef struct {
    TgPass *p;
    uint32_t n;
    TgValue factor[MOST];
    double size[MOST]
               [MOST_AXES + 1]; /* of the axes, counted from the end: 1 is the last; beyond the rank 1 */
    Order written;
    Part part[MOST][MOST]; /* the product of the factors from .. to, in its best order */
} Chain;

/* --- reading ------------------------------------------------------------------------------------- */

static bool typical(void *user, TgDim symbol, int64_t *n)
{
    (void)user;
    (void)symbol;
    *n = TG_TYPICAL_SIZE;
    return true;
}

static double size_of(TgDim d)
{
    int64_t n;
    return tg_dim_eval(d, typical, NULL, &n) && n >= 0 ? (double)n : (double)TG_TYPICAL_SIZE;
}

static bool is_matrix(const TgGraph *g, TgValue v)
{
    int32_t rank = pass_rank(g, v);
    return tg_is_tensor(tg_type_of(g, v)) && rank >= 2 && rank <= MOST_AXES;
}

static TgNodeInfo *product_at(const TgGraph *g, TgValue v)
{
    TgNodeInfo *n = tg_producer(g, v, TG_MatMul);
    return n && is_matrix(g, n->in[0]) && is_matrix(g, n->in[1]) && tg_is_float(tg_type_of(g, v)->dtype)
               ? n
               : NULL;
}

static void add_factor(Chain *c, TgValue v)
{
    const TgType *t = tg_type_of(c->p->g, v);
    for (int32_t back = 1; back <= MOST_AXES; back++)
        c->size[c->n][back] = back <= t->rank ? size_of(t->dim[t->rank - back]) : 1;
    c->factor[c->n++] = v;
}

/* The factors of v, from left to right, at most `room` of them. Each level of the recursion leaves room for one
 * factor less. */
static void read_factors(Chain *c, TgValue v, bool root, uint32_t room)
{
    TgGraph *g = c->p->g;
    uint32_t from = c->n;
    TgNodeInfo *n = room > 1 && (root || tg_used_once(g, v)) ? product_at(g, v) : NULL;
    if (!n) {
        add_factor(c, v);
        return;
    }
    n->mark = 1;
    read_factors(c, n->in[0], false, room - 1);
    uint32_t cut = c->n - 1;
    read_factors(c, n->in[1], false, room - (c->n - from));
    c->written.at[c->written.n++] = (Product){from, cut, c->n - 1};
}

/* --- what it costs ------------------------------------------------------------------------------- */

/* Elements of the product of the factors from .. to: what is in front of the matrices broadcasts. */
static double count_of(const Chain *c, uint32_t from, uint32_t to)
{
    double count = c->size[from][2] * c->size[to][1];
    for (int32_t back = 3; back <= MOST_AXES; back++) {
        double size = 1;
        for (uint32_t i = from; i <= to; i++)
            size = c->size[i][back] != 1 ? c->size[i][back] : size;
        count *= size;
    }
    return count;
}

static bool grows(const Chain *c, uint32_t from, uint32_t to)
{
    const TgGraph *g = c->p->g;
    double bytes = count_of(c, from, to) * tg_dtype_bits(tg_type_of(g, c->factor[from])->dtype) / 8;
    for (uint32_t i = from; i <= to; i++)
        if (is_alone(g, c->factor[i]))
            bytes -= (double)tg_const_of(g, c->factor[i])->size;
    return bytes > (double)STORED_TWICE;
}

/* left times right, `steps` operations. */
static Part combine(const Part *left, const Part *right, double steps, uint32_t cut)
{
    Part made = {.cut = cut, .constant = left->constant && right->constant};
    made.ahead = left->ahead + right->ahead + (made.constant ? steps : 0);
    if (made.constant)
        return made;
    made.cost = left->grows || right->grows ? INFINITY : left->cost + right->cost + steps;
    made.launches = left->launches + right->launches + 1;
    return made;
}

static bool is_cheaper(const Part *a, const Part *b)
{
    if (a->cost != b->cost)
        return a->cost < b->cost;
    return a->launches != b->launches ? a->launches < b->launches : a->ahead < b->ahead;
}

static Part best_of(const Chain *c, uint32_t from, uint32_t to)
{
    double count = count_of(c, from, to);
    Part best = {0};
    for (uint32_t cut = from; cut < to; cut++) {
        Part made = combine(&c->part[from][cut], &c->part[cut + 1][to], 2 * count * c->size[cut][1], cut);
        if (cut == from || is_cheaper(&made, &best))
            best = made;
    }
    best.grows = best.constant && grows(c, from, to);
    return best;
}

static void find_best(Chain *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        c->part[i][i] = (Part){.cut = i, .constant = is_const(c->p->g, c->factor[i])};
    for (uint32_t length = 2; length <= c->n; length++)
        for (uint32_t from = 0; from + length <= c->n; from++)
            c->part[from][from + length - 1] = best_of(c, from, from + length - 1);
}

static Part cost_as_written(const Chain *c)
{
    Part sum = {0};
    for (uint32_t i = 0; i < c->written.n; i++) {
        const Product *m = &c->written.at[i];
        if (c->part[m->from][m->to].constant)
            continue;
        sum.cost += 2 * count_of(c, m->from, m->to) * c->size[m->cut][1];
        sum.launches++;
    }
    return sum;
}

/* --- for all sizes ------------------------------------------------------------------------------- */

static void list_best(const Chain *c, uint32_t from, uint32_t to, Order *order)
{
    uint32_t cut = c->part[from][to].cut;
    if (from == to)
        return;
    list_best(c, from, cut, order);
    list_best(c, cut + 1, to, order);
    order->at[order->n++] = (Product){from, cut, to};
}

static TgDim axis_of(const Chain *c, uint32_t factor, int32_t back)
{
    const TgType *t = tg_type_of(c->p->g, c->factor[factor]);
    return back <= t->rank ? t->dim[t->rank - back] : tg_dim(c->p->tg, 1);
}

/* Half the operations of an order, as a polynomial. */
static TgDim steps_of(const Chain *c, const Order *order)
{
    Tg *tg = c->p->tg;
    TgDim sum = tg_dim(tg, 0);
    for (uint32_t k = 0; k < order->n; k++) {
        const Product *m = &order->at[k];
        if (c->part[m->from][m->to].constant)
            continue;
        TgDim steps = tg_dim_mul(tg, axis_of(c, m->from, 2),
                                 tg_dim_mul(tg, axis_of(c, m->cut, 1), axis_of(c, m->to, 1)));
        for (int32_t back = 3; back <= MOST_AXES; back++) {
            TgDim size = tg_dim(tg, 1);
            for (uint32_t i = m->from; i <= m->to; i++)
                size = tg_dim_bcast(tg, size, axis_of(c, i, back));
            steps = tg_dim_mul(tg, steps, size);
        }
        sum = tg_dim_add(tg, sum, steps);
    }
    return sum;
}

static bool is_cheaper_for_all_sizes(const Chain *c)
{
    Order best = {0};
    list_best(c, 0, c->n - 1, &best);
    return tg_dim_at_least(c->p->tg, steps_of(c, &c->written), steps_of(c, &best));
}

/* --- writing ------------------------------------------------------------------------------------- */

/* The product of the factors from .. to in its best order; 0: it cannot be made. */
static TgValue make_best(const Chain *c, uint32_t from, uint32_t to)
{
    if (from == to)
        return c->factor[from];
    const Part *part = &c->part[from][to];
    TgValue left = make_best(c, from, part->cut), right = make_best(c, part->cut + 1, to);
    TgValue made = left && right ? pass_op(c->p, TG_MatMul, NULL, 2, left, right) : 0;
    return made && part->constant && !is_const(c->p->g, made) ? 0 : made;
}

static void print_order(const Chain *c, uint32_t from, uint32_t to, TgText *text)
{
    if (from == to) {
        tg_text_format(text, "%s%u", is_const(c->p->g, c->factor[from]) ? "W" : "x", from);
        return;
    }
    tg_text_format(text, "(");
    print_order(c, from, c->part[from][to].cut, text);
    tg_text_format(text, " ");
    print_order(c, c->part[from][to].cut + 1, to, text);
    tg_text_format(text, ")");
}

static void explain_order(const Chain *c, const TgNodeInfo *root, const Part *written, bool changes)
{
    const Part *best = &c->part[0][c->n - 1];
    TgMark mark = tg_mark(tg_scratch(c->p->tg));
    TgText text;
    if (!c->p->options->explain)
        return;
    tg_text_init(&text, tg_scratch(c->p->tg));
    print_order(c, 0, c->n - 1, &text);
    if (!changes)
        pass_explain(c->p, root, "kept: no order of its %u factors takes less than %.4g operations", c->n,
                     written->cost);
    else
        pass_explain(c->p, root, "computed as %s: %.4g operations instead of %.4g; %s", text.at, best->cost,
                     written->cost,
                     is_cheaper_for_all_sizes(c) ? "no more for any sizes" : "for some sizes it may be more");
    tg_release(tg_scratch(c->p->tg), mark);
}

static void reorder(Chain *c, TgNodeInfo *root)
{
    TgPass *p = c->p;
    c->n = c->written.n = 0;
    read_factors(c, root->out[0], true, MOST);
    if (c->n < 3)
        return;
    find_best(c);
    Part written = cost_as_written(c), *best = &c->part[0][c->n - 1];
    bool changes = !best->constant && is_cheaper(best, &written) &&
                   (best->cost < written.cost || best->launches < written.launches);
    explain_order(c, root, &written, changes);
    if (!changes || !pass_may(p))
        return;
    p->vouched = true;
    TgValue made = make_best(c, 0, c->n - 1);
    p->vouched = false;
    if (made && same_type(p->g, made, root->out[0])) {
        pass_count(p, "reorder-products");
        pass_replace(p, root->out[0], made, "reorder-products");
    }
}

void pass_chain(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    Chain *c = TG_NEW(tg_scratch(p->tg), Chain);
    c->p = p;
    for (uint32_t i = 0; i < n; i++)
        tg_node(p->g, nodes[i])->mark = 0; /* 1: part of a chain that ends further down */
    for (uint32_t i = n; i-- > 0;) {
        TgNodeInfo *root = tg_node(p->g, nodes[i]);
        if (!root->dead && !root->mark && root->op == TG_MatMul && is_read(p->g, root->out[0]) &&
            product_at(p->g, root->out[0]))
            reorder(c, root);
    }
    merge_linears_in_a_row(p);
}
