/* Rows that nobody reads are not computed: where all that is read of a result is one row (the first token of a
 * classifier, the last of a generator), products, norms and elementwise operators are computed for that row alone.
 *
 *     pick(f(x W + y)) = f(pick(x) W + pick(y))        pick: Gather or Slice of one place along an axis that f keeps
 *
 * Backward from the pick goes all that nobody else reads and that treats the places of the axis alike, down to what
 * does not (attention, tables) or is read elsewhere too: those are the cuts, and are picked from instead. In an encoder
 * of n layers three quarters of the last one's products go. Needs: norms recognised, or reductions along axes behind
 * the picked one. Pays where a product lies in between and the cuts are few. Exact but for the order of sums in a
 * product.
 *
 * A Gather of one index drops the picked axis: at once, or, where the fusions of ONNX Runtime come after us, which want
 * norms of three axes, in the end; till then it is one long. */
#include "pass.h"

enum { MOST_CUTS = 2, MOST_OPERANDS = 8 };

typedef struct {
    TgPass *p;
    const TgNodeInfo *pick;
    int32_t rank, axis; /* of what is picked from */
    bool drops, stays;  /* the picked axis goes at once; in the end */
    TgValue place;      /* where it stays: the index along it, a list of one */
    uint32_t n_values;  /* that were there before */
    uint32_t *wanted;   /* per value: how many operands of the pick and of moved nodes read one row of it */
    TgValue *row;       /* per value: that row; 0: not made yet */
    uint32_t products;  /* among the moved */
} Picked;

/* --- what is a pick ------------------------------------------------------------------------------------ */

/* The axis along which n takes one place, or at most one; false: it is something else. */
static bool takes_one(const TgPass *p, const TgNodeInfo *n, int64_t *axis)
{
    const TgGraph *g = p->g;
    int64_t start, end, step = 1;
    uint32_t count;
    if (n->op == TG_Gather) {
        *axis = tg_attr_int(n, "axis");
        return pass_rank(g, n->in[1]) <= 1 && tg_const_ints(g, n->in[1], 1, &start, &count) && count == 1;
    }
    if (n->op != TG_Slice || !in(n, 3) || !tg_const_ints(g, n->in[3], 1, axis, &count) || count != 1 ||
        !tg_const_ints(g, n->in[1], 1, &start, &count) || !tg_const_ints(g, n->in[2], 1, &end, &count) ||
        (in(n, 4) && !tg_const_ints(g, n->in[4], 1, &step, &count)))
        return false;
    return step == 1 && (start == -1 ? end > INT32_MAX : start < INT64_MAX && end == start + 1);
}

static bool is_pick(const TgPass *p, const TgNodeInfo *n, Picked *k)
{
    int64_t axis;
    int32_t rank = n->n_in ? pass_rank(p->g, n->in[0]) : -1;
    if (rank < 2 || n->n_out != 1 || !is_read(p->g, n->out[0]) || !takes_one(p, n, &axis))
        return false;
    k->pick = n;
    k->rank = rank;
    k->axis = (int32_t)(axis < 0 ? axis + rank : axis);
    bool goes = pass_rank(p->g, n->out[0]) < rank, fused = p->options->target != TG_TARGET_ANY || p->options->opset;
    k->drops = goes && fused;
    k->stays = goes && !fused;
    return pass_dim(p->g, n->in[0], k->axis) != 1;
}

/* --- what may be computed for one row ------------------------------------------------------------------ */

/* v has the picked axis. */
static bool has_axis(const Picked *k, TgValue v)
{
    const TgType *t = tg_type_of(k->p->g, v), *whole = tg_type_of(k->p->g, k->pick->in[0]);
    return tg_is_tensor(t) && t->rank == k->rank && t->dim[k->axis] == whole->dim[k->axis];
}

/* Broadcasting v does the same to one row as to all: it does not reach the axis, or has one element along it that
 * stays. */
static bool is_alike(const Picked *k, TgValue v)
{
    int32_t rank = pass_rank(k->p->g, v), axis = k->axis - (k->rank - rank);
    return rank >= 0 && rank <= k->rank && (axis < 0 || (!k->drops && pass_dim(k->p->g, v, axis) == 1));
}

/* Axes from the end: the same before and after the picked one has gone. */
static bool lie_behind(const Picked *k, uint32_t n, int64_t *axes)
{
    for (uint32_t i = 0; i < n; i++) {
        axes[i] -= axes[i] < 0 ? 0 : k->rank;
        if (axes[i] + k->rank <= k->axis)
            return false;
    }
    return n > 0;
}

static bool reduces_behind(const Picked *k, const TgNodeInfo *n, int64_t *axes, uint32_t *count)
{
    return in(n, 1) && tg_const_ints(k->p->g, n->in[1], TG_MAX_RANK, axes, count) &&
           tg_attr_int(n, "keepdims") && lie_behind(k, *count, axes);
}

static bool normalizes_behind(const Picked *k, const TgNodeInfo *n)
{
    int64_t axis = tg_attr_int(n, "axis");
    bool good = lie_behind(k, 1, &axis);
    for (uint32_t i = 1; i < n->n_in; i++)
        good = good && (!n->in[i] || pass_rank(k->p->g, n->in[i]) < k->rank - k->axis);
    for (uint32_t i = 1; i < n->n_out; i++)
        good = good && !is_read(k->p->g, n->out[i]);
    return good;
}

static bool broadcasts_alike(const Picked *k, const TgNodeInfo *n)
{
    bool good = n->n_in <= MOST_OPERANDS && n->n_out == 1 && !n->n_sub && !tg_op_has(n->op, TG_T_RANDOM);
    for (uint32_t i = 0; i < n->n_in; i++)
        good = good && (!n->in[i] || has_axis(k, n->in[i]) || is_alike(k, n->in[i]));
    return good;
}

/* Node n, of whose result only one row is read, can be computed for that row. */
static bool may_move(const Picked *k, const TgNodeInfo *n)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t count;
    if (n->op == TG_opaque || !n->n_in || !has_axis(k, n->out[0]))
        return false;
    bool first = n->in[0] && has_axis(k, n->in[0]);
    switch (n->op) {
    case TG_MatMul:
        return first && k->axis < k->rank - 1 && k->rank - k->drops > 1 && pass_rank(k->p->g, n->in[1]) == 2;
    case TG_LayerNormalization:
    case TG_RMSNormalization: return first && normalizes_behind(k, n);
    case TG_ReduceMean:
    case TG_ReduceSum: return first && reduces_behind(k, n, axes, &count);
    default: return tg_op_has(n->op, TG_T_ELEMENTWISE) && broadcasts_alike(k, n);
    }
}

/* Operand i of a moved node is read by its row alone. */
static bool is_picked(const Picked *k, const TgNodeInfo *n, uint32_t i)
{
    return n->in[i] && (i == 0 || tg_op_has(n->op, TG_T_ELEMENTWISE)) && has_axis(k, n->in[i]);
}

/* Marks what moves: nodes of whose results nothing but rows is read. */
static uint32_t find_moved(Picked *k, TgNode *nodes, uint32_t pick)
{
    const TgGraph *g = k->p->g;
    uint32_t moved = 0;
    k->wanted[k->pick->in[0]] = 1;
    for (uint32_t i = pick; i-- > 0;) {
        const TgNodeInfo *node = tg_node(g, nodes[i]);
        const TgValueInfo *out = node->n_out ? tg_value(g, node->out[0]) : NULL;
        bool moves = out && k->wanted[node->out[0]] && k->wanted[node->out[0]] == out->uses.n &&
                     !out->returned && may_move(k, node);
        if (!moves) {
            nodes[i] = 0;
            continue;
        }
        moved++;
        k->products += node->op == TG_MatMul && is_const(g, node->in[1]);
        for (uint32_t s = 0; s < node->n_in; s++)
            if (is_picked(k, node, s))
                k->wanted[node->in[s]]++;
    }
    return moved;
}

/* --- moving -------------------------------------------------------------------------------------------- */

static TgValue row_of(Picked *k, TgValue v)
{
    if (!k->row[v]) {
        TgPass *p = k->p;
        const TgNodeInfo *n = k->pick;
        k->row[v] = pass_op(p, n->op, n->attrs, n->n_in, v, k->place ? k->place : in(n, 1), in(n, 2), in(n, 3),
                            in(n, 4));
    }
    return k->row[v];
}

static const TgAttrs *moved_attributes(const Picked *k, const TgNodeInfo *n)
{
    TgAttrBuild b;
    int64_t axis = tg_attr_int(n, "axis");
    lie_behind(k, 1, &axis);
    tg_attrs_from(&b, k->p->tg, n->attrs);
    tg_attrs_int(&b, "axis", axis);
    return tg_attrs_end(&b, n->op);
}

static bool move(Picked *k, const TgNodeInfo *n)
{
    TgPass *p = k->p;
    TgValue operand[MOST_OPERANDS] = {0};
    const TgAttrs *attrs = n->attrs;
    for (uint32_t i = 0; i < n->n_in; i++) {
        operand[i] = is_picked(k, n, i) ? row_of(k, n->in[i]) : n->in[i];
        if (n->in[i] && !operand[i])
            return false;
    }
    if (n->op == TG_LayerNormalization || n->op == TG_RMSNormalization) {
        attrs = moved_attributes(k, n);
    } else if (n->op == TG_ReduceMean || n->op == TG_ReduceSum) {
        int64_t axes[TG_MAX_RANK];
        uint32_t count;
        reduces_behind(k, n, axes, &count);
        operand[1] = pass_ints(p, count, axes);
    }
    TgNode made = tg_graph_add(p->g, n->op, attrs, n->n_in, operand, n->n_out);
    if (!made)
        return false;
    tg_node_origin(p->g, made, n, "pick-rows");
    k->row[n->out[0]] = tg_node(p->g, made)->out[0];
    return true;
}

static uint32_t count_cuts(const Picked *k, const TgNode *nodes, uint32_t pick)
{
    uint32_t cuts = 0, moved = 0;
    for (TgValue v = 1; v < k->n_values; v++)
        cuts += k->wanted[v] && !is_const(k->p->g, v);
    for (uint32_t i = 0; i < pick; i++)
        moved += nodes[i] != 0;
    return cuts - moved;
}

/* The picked row, computed anew by the nodes that move; 0: out of memory. */
static TgValue compute_row(Picked *k, const TgNode *nodes, uint32_t pick)
{
    TgPass *p = k->p;
    if (k->stays) {
        int64_t index;
        uint32_t count;
        tg_const_ints(p->g, k->pick->in[1], 1, &index, &count);
        k->place = pass_ints(p, 1, &index);
    }
    for (uint32_t i = 0; i < pick; i++)
        if (nodes[i] && !move(k, tg_node(p->g, nodes[i])))
            return 0;
    TgValue row = k->row[k->pick->in[0]];
    return row && k->stays ? pass_op(p, TG_Squeeze, NULL, 2, row, pass_ints(p, 1, &(int64_t){k->axis})) : row;
}

static void pick_earlier(TgPass *p, const TgNode *all, uint32_t pick)
{
    Picked k = {.p = p, .n_values = p->g->values.n};
    if (!is_pick(p, tg_node(p->g, all[pick]), &k))
        return;
    const TgValueInfo *from = tg_value(p->g, k.pick->in[0]);
    if (from->origin != TG_V_RESULT || !tg_used_once(p->g, k.pick->in[0]) ||
        !may_move(&k, tg_node(p->g, from->node)))
        return;
    TgNode *nodes = tg_copy(tg_scratch(p->tg), all, (pick + 1) * sizeof *all);
    k.wanted = TG_NEW_N(tg_scratch(p->tg), uint32_t, k.n_values);
    k.row = TG_NEW_N(tg_scratch(p->tg), TgValue, k.n_values + 1);
    if (!find_moved(&k, nodes, pick) || !k.products)
        return;
    if (count_cuts(&k, nodes, pick) > MOST_CUTS) {
        pass_explain(p, k.pick, "what it is computed from would be picked from at more than %d places",
                     MOST_CUTS);
        return;
    }
    if (!pass_may(p))
        return;
    pass_count(p, "pick-rows");
    TgValue row = compute_row(&k, nodes, pick);
    if (row && same_type(p->g, row, k.pick->out[0]))
        pass_replace(p, k.pick->out[0], row, "pick-rows");
}

void pass_picked(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgMark mark = tg_mark(tg_scratch(p->tg));
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (!info->dead && (info->op == TG_Gather || info->op == TG_Slice))
            pick_earlier(p, nodes, i);
        tg_release(tg_scratch(p->tg), mark);
    }
}
