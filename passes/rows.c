/* FullyConnecteds over flattened rows, folded back: MatMul takes the rows as they lie, so both views go.
 *
 *     Reshape(Gemm(Gemm(Reshape(x), W), V, b)) = MatMul(MatMul(x, W), V) + b
 *
 * where the views keep the last axis of x apart, and the result has the other axes of x. The rules of algebra.xml do
 * it for one Gemm whose weight is not transposed; exporters also leave several in a row (adapters), once what stood
 * between their views has gone. Exact. */
#include "fully_connected.h"

enum { LONGEST = 8 };

/* v is x, rank 3 or more, with all axes but the last made one. */
static TgValue flattened(const TgPass *p, TgValue v)
{
    const TgNodeInfo *view = tg_producer(p->g, v, TG_Reshape);
    TgValue x = view ? view->in[0] : 0;
    if (!x || pass_rank(p->g, x) < 3 || pass_rank(p->g, v) != 2)
        return 0;
    const TgType *from = tg_type_of(p->g, x), *to = tg_type_of(p->g, v);
    return from->dim[from->rank - 1] == to->dim[1] ? x : 0;
}

static bool has_axes_of(const TgPass *p, TgValue v, TgValue x)
{
    const TgType *a = tg_type_of(p->g, v), *b = tg_type_of(p->g, x);
    bool same = tg_is_tensor(a) && tg_is_tensor(b) && a->rank == b->rank;
    for (int32_t i = 0; same && i + 1 < a->rank; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

static TgValue apply(TgPass *p, const Fc *fc, TgValue x)
{
    static const Fc plain = {.transposed = false};
    TgValue weight = fc_weight_like(p, &plain, fc);
    TgValue product = weight ? pass_op(p, TG_MatMul, NULL, 2, x, weight) : 0;
    return product && fc->bias ? pass_op(p, TG_Add, NULL, 2, product, fc->bias) : product;
}

static void unflatten(TgPass *p, const TgNodeInfo *view)
{
    Fc fc[LONGEST];
    uint32_t n = 0;
    TgValue v = view->in[0];
    while (n < LONGEST && tg_used_once(p->g, v) && fc_of(p, v, &fc[n]))
        v = fc[n++].x;
    TgValue x = n ? flattened(p, v) : 0;
    if (!x || !has_axes_of(p, view->out[0], x))
        return;
    for (uint32_t i = 0; i < n; i++)
        if (fc[i].transposed && !fc_owns_weight(p, &fc[i]))
            return;
    if (!pass_may(p))
        return;
    p->vouched = true;
    TgValue made = x;
    for (uint32_t i = n; made && i-- > 0;)
        made = apply(p, &fc[i], made);
    p->vouched = false;
    if (!made || !same_type(p->g, made, view->out[0]))
        return;
    pass_count(p, "linears-between-reshapes");
    pass_replace(p, view->out[0], made, "linears-between-reshapes");
}

void pass_rows(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->op == TG_Reshape && !info->dead && is_read(p->g, info->out[0]))
            unflatten(p, info);
    }
}
