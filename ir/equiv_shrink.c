/* Static shapes made small: a region over f32[1,128,768] is asked at f32[1,3,768] where that means the same
 * question.
 *
 * Symbols get small sizes anyway; this does the same for a size of the inputs that the weights do not share,
 * and for the shapes that Reshape and Expand hold as constants. It is done only where all operators that
 * depend on the inputs treat that axis alike whatever its length (rows of products, norms, softmax, moves of
 * whole axes), never where positions on it are named (Slice, Gather, Pad). If the guess is wrong, a constant
 * does not fit and the region does not run: then it is asked in full size, as it is before a difference in
 * an output is reported.
 */
#include "equiv_parts.h"

enum { LARGE = 16, SMALL = 3 };

/* ops beside the elementwise ones that do not care how long an axis is */
static const TgOp alike[] = {TG_MatMul,
                             TG_Gemm,
                             TG_Transpose,
                             TG_Softmax,
                             TG_LogSoftmax,
                             TG_LayerNormalization,
                             TG_RMSNormalization,
                             TG_Identity,
                             TG_Cast,
                             TG_Split,
                             TG_Concat,
                             TG_Reshape,
                             TG_Expand,
                             TG_Squeeze,
                             TG_Unsqueeze,
                             TG_ReduceMean,
                             TG_ReduceSum,
                             TG_ReduceMax,
                             TG_Gelu,
                             TG_Where,
                             TG_Shape,
                             TG_ms_SkipLayerNormalization,
                             TG_ms_FastGelu,
                             TG_ms_BiasGelu,
                             TG_ms_FusedMatMul};

static bool treats_alike(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->n_sub)
        return false;
    if (tg_op_has(n->op, TG_T_ELEMENTWISE))
        return true;
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
        if (n->op == alike[i])
            return true;
    return n->n_out && tg_is_integer(tg_type_of(g, n->out[0])->dtype); /* arithmetic on shapes */
}

/* All nodes that depend on the inputs treat axes alike. */
static bool is_shrinkable(TgGraph *g)
{
    TgMark mark = tg_mark(tg_scratch(g->tg));
    uint8_t *depends = tg_new(tg_scratch(g->tg), g->values.n);
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    bool good = true;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        depends[g->inputs.at[i]] = 1;
        good = good && tg_is_float(tg_type_of(g, g->inputs.at[i])->dtype);
    }
    for (uint32_t i = 0; good && i < n; i++) {
        const TgNodeInfo *info = tg_node(g, order[i]);
        uint8_t any = 0;
        for (uint32_t k = 0; k < info->n_in; k++)
            any |= depends[info->in[k]];
        for (uint32_t k = 0; k < info->n_out; k++)
            depends[info->out[k]] = any;
        good = !any || treats_alike(g, info);
    }
    tg_release(tg_scratch(g->tg), mark);
    return good;
}

/* The largest size that stands in front of the last axis of some input; 0: none worth the trouble. */
static int64_t long_axis(const TgGraph *g)
{
    int64_t most = 0, n;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgType *t = tg_type_of(g, g->inputs.at[i]);
        for (int32_t k = 0; k + 1 < t->rank; k++)
            if (tg_dim_known(t->dim[k], &n) && n >= LARGE && n > most)
                most = n;
    }
    return most;
}

static const TgType *smaller(Tg *tg, const TgType *t, int64_t size)
{
    TgDim dim[TG_MAX_RANK];
    for (int32_t i = 0; i < t->rank; i++)
        dim[i] = t->dim[i] == tg_dim(tg, size) ? tg_dim(tg, SMALL) : t->dim[i];
    return tg_type(tg, t->dtype, t->rank, dim);
}

/* The shape operand of a Reshape or Expand, with the size replaced. */
static void shrink_target(TgGraph *g, TgNode n, int64_t size)
{
    const TgTensor *t = tg_node(g, n)->n_in > 1 ? tg_const_of(g, tg_node(g, n)->in[1]) : NULL;
    int64_t shape[TG_MAX_RANK];
    if (!t || t->dtype != TG_i64 || t->rank != 1 || t->count > TG_MAX_RANK)
        return;
    for (size_t i = 0; i < t->count; i++) {
        shape[i] = tg_tensor_int(g->tg, t, i);
        if (shape[i] == size)
            shape[i] = SMALL;
    }
    tg_set_input(g, n, 1, tg_graph_const(g, tg_tensor_ints(g->arena, (uint32_t)t->count, shape), NULL));
}

static void shrink(TgGraph *g, int64_t size)
{
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        v->type = smaller(g->tg, v->type, size);
    }
    for (TgNode n = 1, last = g->nodes.n; n < last; n++)
        if (tg_node(g, n)->op == TG_Reshape || tg_node(g, n)->op == TG_Expand)
            shrink_target(g, n, size);
}

bool equiv_shrink(EquivProblem *p)
{
    int64_t size = long_axis(p->a->graph);
    if (!size || !is_shrinkable(p->a->graph) || !is_shrinkable(p->b->graph))
        return false;
    shrink(p->a->graph, size);
    shrink(p->b->graph, size);
    for (uint32_t i = 0; i < p->dummies.n; i++) {
        TgValueInfo *v = tg_value(p->dummies.at[i].g, p->dummies.at[i].v);
        v->type = smaller(p->a->tg, v->type, size);
    }
    return true;
}
