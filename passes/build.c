/* Small steps that rewrites share: making nodes and constants, replacing values, asking about them. */
#include <stdarg.h>
#include <string.h>

#include "pass.h"

TgNode *pass_nodes(TgPass *p, uint32_t *n)
{
    const TgNode *order = tg_graph_order(p->g, n);
    TgNode *nodes = TG_NEW_N(tg_scratch(p->tg), TgNode, *n + 1);
    if (*n) /* a graph may have constants only, and no order then */
        memcpy(nodes, order, *n * sizeof *order);
    return nodes;
}

void pass_replace(TgPass *p, TgValue old, TgValue made, const char *rewrite)
{
    const TgValueInfo *from = tg_value(p->g, old), *to = tg_value(p->g, made);
    if (from->origin == TG_V_RESULT && to->origin == TG_V_RESULT)
        tg_node_origin(p->g, to->node, tg_node(p->g, from->node), rewrite);
    tg_replace(p->g, old, made);
}

TgValue pass_op(TgPass *p, TgOp op, const TgAttrs *attrs, uint32_t n_in, ...)
{
    TgValue operands[8] = {0};
    TG_CHECK(p->tg, n_in <= 8);
    va_list args;
    va_start(args, n_in);
    for (uint32_t i = 0; i < n_in; i++)
        operands[i] = va_arg(args, TgValue);
    va_end(args);
    TgNode n = tg_graph_add(p->g, op, attrs, n_in, operands, 1);
    return n ? fold_value(p, n) : 0;
}

TgValue pass_ints(TgPass *p, uint32_t n, const int64_t *values)
{
    return tg_graph_const(p->g, tg_tensor_ints(p->g->arena, n, values), NULL);
}

TgValue pass_int(TgPass *p, int64_t value)
{
    return tg_graph_const(p->g, tg_tensor_scalar_int(p->g->arena, TG_i64, value), NULL);
}

TgValue pass_float_like(TgPass *p, TgValue like, double value)
{
    TgDtype dtype = tg_type_of(p->g, like)->dtype;
    return tg_graph_const(p->g, tg_tensor_scalar_float(p->g->arena, dtype, value), NULL);
}

bool is_splat(const TgGraph *g, TgValue v, double *x)
{
    enum { LOOK = 1 << 16 }; /* elements that are worth reading to find out */
    const TgTensor *t = tg_const_of(g, v);
    bool number = t && t->payload != TG_STRINGS && t->payload != TG_RECIPE && tg_dtype_class(t->dtype) != TG_CLASS_C;
    return number && t->count > 0 && (t->payload == TG_SPLAT || t->count <= LOOK) && tg_tensor_is_splat(g->tg, t, x);
}

bool is_splat_of(const TgGraph *g, TgValue v, double x)
{
    double y;
    return is_splat(g, v, &y) && y == x;
}

bool same_type(const TgGraph *g, TgValue a, TgValue b)
{
    return tg_type_of(g, a) == tg_type_of(g, b) && tg_is_tensor(tg_type_of(g, a));
}

int32_t pass_rank(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return t->kind == TG_TENSOR ? t->rank : -1;
}

int64_t pass_dim(const TgGraph *g, TgValue v, int32_t axis)
{
    const TgType *t = tg_type_of(g, v);
    int32_t rank = pass_rank(g, v);
    axis += axis < 0 ? rank : 0;
    int64_t n;
    return axis >= 0 && axis < rank && tg_dim_known(t->dim[axis], &n) ? n : -1;
}
