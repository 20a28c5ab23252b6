/* Einsum with a constant matrix is a product like any other.
 *
 *     bsd,df->bsf       MatMul(x, W)
 *     bsd,fd->bsf       MatMul(x, W^T)                     W^T ahead of time
 *     bsd,dhk->bshk     Reshape(MatMul(x, W as [d, h k]))  a projection to heads
 *     bqhk,hkd->bqd     MatMul(x as [b, q, h k], W as [h k, d])
 *     bsd,dr,rf->bsf    MatMul(MatMul(x, A), B)            an adapter, as narrow as it is
 *
 * So all passes that look for FullyConnecteds find it; and a runtime that has one fast product uses that. Letters that
 * are summed are the last ones of x, in the same order in the weight; those that the weight adds come last. What is not
 * so (a shared letter that stays, a sum over one operand alone, an ellipsis) is left as it is: it would need more than
 * a view. Moves and reshapes weights, so those that others read stay. Reassociates. */
#include <stdio.h>
#include <string.h>

#include "fully_connected.h"

enum { MOST_TERMS = 4 };

/* The equation, letters without spaces. */
typedef struct {
    uint32_t n;
    char term[MOST_TERMS][TG_MAX_RANK + 1];
    char result[TG_MAX_RANK + 1];
} Equation;

/* x is [rows.., summed..], the weight [summed.., added..] or, turned, [added.., summed..]. */
typedef struct {
    uint32_t rows, summed, added;
    bool turned;
    int64_t k, n;                 /* elements that are summed, and added */
    int64_t sizes[TG_MAX_RANK];   /* of what is added, one by one */
} Product;

static bool read_equation(const TgPass *p, const TgNodeInfo *n, Equation *e)
{
    *e = (Equation){.n = n->n_in};
    uint32_t k = 0, length = 0;
    char *term = e->term[0];
    for (const char *c = tg_attr_string(p->tg, n, "equation"); *c; c++) {
        bool arrow = *c == '-' && c[1] == '>';
        if (*c == ' ')
            continue;
        if (*c == ',' || arrow) {
            if (++k > e->n || (k == e->n) != arrow)
                return false;
            term = arrow ? e->result : e->term[k];
            length = 0;
            c += arrow;
        } else if (*c == '.' || length == TG_MAX_RANK || strchr(term, *c))
            return false;
        else
            term[length++] = *c;
    }
    for (uint32_t i = 0; i < e->n; i++)
        if (pass_rank(p->g, n->in[i]) != (int32_t)strlen(e->term[i]))
            return false;
    return k == e->n;
}

/* Someone behind the first two operands wants that letter. */
static bool is_wanted(const Equation *e, char letter)
{
    bool wanted = strchr(e->result, letter) != NULL;
    for (uint32_t i = 2; i < e->n; i++)
        wanted = wanted || strchr(e->term[i], letter);
    return wanted;
}

/* How the letters of the first two operands lie. */
static bool read_letters(const Equation *e, Product *q)
{
    const char *x = e->term[0], *w = e->term[1];
    while (x[q->rows] && is_wanted(e, x[q->rows]) && !strchr(w, x[q->rows]))
        q->rows++;
    const char *summed = x + q->rows;
    q->summed = (uint32_t)strlen(summed);
    if (!q->summed || strlen(w) <= q->summed)
        return false;
    q->added = (uint32_t)strlen(w) - q->summed;
    q->turned = strncmp(w, summed, q->summed) != 0;
    if (q->turned && strcmp(w + q->added, summed) != 0)
        return false;
    const char *added = w + (q->turned ? 0 : q->summed);
    for (uint32_t i = 0; i < q->summed; i++)
        if (is_wanted(e, summed[i]))
            return false;
    for (uint32_t i = 0; i < q->added; i++)
        if (!is_wanted(e, added[i]) || strchr(x, added[i]))
            return false;
    bool ordered = !strncmp(e->result, x, q->rows) && !strncmp(e->result + q->rows, added, q->added) &&
                   strlen(e->result) == q->rows + q->added;
    return e->n > 2 || ordered;
}

static bool read_product(const TgPass *p, const TgNodeInfo *n, const Equation *e, Product *q)
{
    *q = (Product){.k = 1, .n = 1};
    TgValue w = n->in[1];
    if (!is_const(p->g, w) || !is_changeable(p->g, w) || !tg_is_float(tg_type_of(p->g, w)->dtype) ||
        !read_letters(e, q))
        return false;
    for (uint32_t i = 0; i < q->summed + q->added; i++) {
        bool adds = q->turned ? i < q->added : i >= q->summed;
        int64_t size = pass_dim(p->g, w, (int32_t)i);
        uint32_t of_x = q->rows + i - (q->turned ? q->added : 0);
        if (size < 1 || (!adds && size != pass_dim(p->g, n->in[0], (int32_t)of_x)))
            return false;
        if (adds)
            q->sizes[q->turned ? i : i - q->summed] = size;
        *(adds ? &q->n : &q->k) *= size; /* elements of a tensor that there is */
    }
    return true;
}

/* v with its last axes, all behind the first `rows`, replaced by these sizes. */
static TgValue view_last(TgPass *p, TgValue v, uint32_t rows, uint32_t n, const int64_t *sizes)
{
    int64_t shape[2 * TG_MAX_RANK] = {0}; /* 0: as it was */
    memcpy(shape + rows, sizes, n * sizeof *sizes);
    TgValue to = pass_ints(p, rows + n, shape);
    return v && to ? pass_op(p, TG_Reshape, NULL, 2, v, to) : 0;
}

static TgValue weight_of(TgPass *p, const TgNodeInfo *n, const Product *q)
{
    TgValue w = n->in[1];
    int64_t size[2] = {q->turned ? q->n : q->k, q->turned ? q->k : q->n};
    p->vouched = true;
    if (q->summed + q->added > 2)
        w = pass_op(p, TG_Reshape, NULL, 2, w, pass_ints(p, 2, size));
    if (w && q->turned)
        w = pass_op(p, TG_Transpose, NULL, 1, w);
    p->vouched = false;
    return w && is_const(p->g, w) ? w : 0;
}

/* The Einsum of the product and the operands that remain. */
static TgValue rest_of(TgPass *p, const TgNodeInfo *n, const Equation *e, const Product *q, TgValue product)
{
    char text[(MOST_TERMS + 1) * (TG_MAX_RANK + 2)];
    TgValue operand[MOST_TERMS] = {product};
    const char *added = e->term[1] + (q->turned ? 0 : q->summed);
    int length = snprintf(text, sizeof text, "%.*s%.*s", (int)q->rows, e->term[0], (int)q->added, added);
    for (uint32_t i = 2; i < e->n; i++) {
        operand[i - 1] = n->in[i];
        length += snprintf(text + length, sizeof text - (size_t)length, ",%s", e->term[i]);
    }
    snprintf(text + length, sizeof text - (size_t)length, "->%s", e->result);
    const TgAttrs *attrs = tg_attrs(p->tg, TG_Einsum, "equation=s", text);
    TgNode made = tg_graph_add(p->g, TG_Einsum, attrs, e->n - 1, operand, 1);
    return made ? tg_node(p->g, made)->out[0] : 0;
}

static TgValue make(TgPass *p, const TgNodeInfo *n, const Equation *e, const Product *q)
{
    TgValue x = n->in[0], w = weight_of(p, n, q);
    if (w && q->summed > 1)
        x = view_last(p, x, q->rows, 1, &q->k);
    TgValue y = w && x ? pass_op(p, TG_MatMul, NULL, 2, x, w) : 0;
    if (y && q->added > 1)
        y = view_last(p, y, q->rows, q->added, q->sizes);
    return y && e->n > 2 ? rest_of(p, n, e, q, y) : y;
}

void pass_einsum(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *node = tg_node(p->g, nodes[i]);
        Equation e;
        Product q;
        bool takes = !node->dead && node->op == TG_Einsum && node->n_in >= 2 && node->n_in <= MOST_TERMS;
        if (!takes || !is_read(p->g, node->out[0]) || !read_equation(p, node, &e) ||
            !read_product(p, node, &e, &q) || !pass_may(p))
            continue;
        TgValue made = make(p, node, &e, &q);
        if (!made || !same_type(p->g, made, node->out[0]))
            continue;
        pass_count(p, "einsum-to-product");
        pass_replace(p, node->out[0], made, "einsum-to-product");
    }
}
