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

/* Operands that are made in the call are made in an order that C leaves open: name them before it. */
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

/* A copy of node n with other operands; its output, or 0 where they do not fit. */
static TgValue copy_over(TgPass *p, const TgNodeInfo *n, const TgValue *operands)
{
    if (n->n_out != 1 || n->n_sub || n->op == TG_opaque)
        return 0;
    TgNode made = tg_graph_add(p->g, n->op, n->attrs, n->n_in, operands, 1);
    if (!made)
        return 0;
    tg_node_origin(p->g, made, n, NULL);
    return fold_value(p, made);
}

static TgValue with_operand(TgPass *p, const TgNodeInfo *n, uint32_t slot, TgValue v)
{
    TgMark mark = tg_mark(tg_scratch(p->tg));
    TgValue *operands = tg_copy(tg_scratch(p->tg), n->in, n->n_in * sizeof *n->in);
    operands[slot] = v;
    TgValue made = copy_over(p, n, operands);
    tg_release(tg_scratch(p->tg), mark);
    return made;
}

bool pass_replace_operand(TgPass *p, TgNode node, uint32_t slot, TgValue v, const char *rewrite)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgValue old = n->out[0], made = with_operand(p, n, slot, v);
    return made && same_type(p->g, made, old) && pass_replace(p, old, made, rewrite);
}

enum { FARTHEST = 32 }; /* nodes between the two values of pass_rebuild */

typedef struct {
    TgNode node;
    uint32_t slot; /* of the operand that leads on */
} Link;

/* The way from v up to `from`, depth first through values that nobody else reads, so that they are a tree. */
static uint32_t find_way(const TgGraph *g, TgValue v, TgValue from, Link *way)
{
    uint32_t depth = 0;
    for (;;) {
        const TgValueInfo *info = tg_value(g, v);
        if (v == from)
            return depth;
        bool deeper = info->origin == TG_V_RESULT && depth < FARTHEST && tg_node(g, info->node)->n_out == 1 &&
                      (depth == 0 || tg_used_once(g, v));
        if (deeper)
            way[depth++] = (Link){info->node, 0};
        else if (depth)
            way[depth - 1].slot++;
        while (depth && (way[depth - 1].slot >= tg_node(g, way[depth - 1].node)->n_in ||
                         !tg_node(g, way[depth - 1].node)->in[way[depth - 1].slot])) {
            bool hole = way[depth - 1].slot < tg_node(g, way[depth - 1].node)->n_in;
            if (hole)
                way[depth - 1].slot++;
            else if (--depth)
                way[depth - 1].slot++;
        }
        if (!depth)
            return 0;
        v = tg_node(g, way[depth - 1].node)->in[way[depth - 1].slot];
    }
}

TgValue pass_rebuild(TgPass *p, TgValue v, TgValue from, TgValue to)
{
    Link way[FARTHEST];
    if (v == from)
        return to;
    uint32_t n = find_way(p->g, v, from, way);
    if (!n)
        return 0;
    while (n-- > 0 && to)
        to = with_operand(p, tg_node(p->g, way[n].node), way[n].slot, to);
    return to;
}

TgValue pass_ints(TgPass *p, uint32_t n, const int64_t *values)
{
    return tg_graph_const(p->g, tg_tensor_ints(p->g->arena, n, values), NULL);
}

TgValue pass_int(TgPass *p, int64_t value)
{
    return tg_graph_const(p->g, tg_tensor_scalar_int(p->g->arena, TG_i64, value), NULL);
}

/* Constants are made one after another, in the same order whatever the compiler: they are numbered as they
 * come. */
TgValue pass_slice(TgPass *p, TgValue v, int64_t start, int64_t end, int64_t axis, int64_t step)
{
    TgValue steps = step == 1 ? 0 : pass_ints(p, 1, &step);
    TgValue axes = pass_ints(p, 1, &axis), ends = pass_ints(p, 1, &end), starts = pass_ints(p, 1, &start);
    return pass_op(p, TG_Slice, NULL, steps ? 5 : 4, v, starts, ends, axes, steps);
}

TgValue pass_cast(TgPass *p, TgValue v, TgDtype to)
{
    return pass_op(p, TG_Cast, tg_attrs(p->tg, TG_Cast, "to=i", (int64_t)to), 1, v);
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
    bool number =
        t && t->payload != TG_STRINGS && t->payload != TG_RECIPE && tg_dtype_class(t->dtype) != TG_CLASS_C;
    return number && t->count > 0 && (t->payload == TG_SPLAT || t->count <= LOOK) &&
           tg_tensor_is_splat(g->tg, t, x);
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
