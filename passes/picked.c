/* Rows that nobody reads are not computed: where all that is read of a result is some of its rows (the first token of a
 * classifier, the last of a generator, the distances of new tokens to all), products, norms, tables and elementwise
 * operators are computed for those rows alone.
 *
 *     pick(f(x W + y)) = f(pick(x) W + pick(y))     pick: Gather of one place, or Slice, along an axis that f keeps
 *
 * Backward from the pick goes all that nobody else reads and that treats the places of the axis alike, down to what
 * does not (attention, sums over it) or is read elsewhere too: those are the cuts, and are picked from instead. In an
 * encoder of n layers three quarters of the last one's products go; a decoder of T5 makes a table of all distances for
 * each token, and reads its last row. Needs: norms recognised, or reductions along axes behind the picked one. Pays where
 * a product or a table lies in between and the cuts are few. Exact but for the order of sums in a product.
 *
 * A Gather of one index drops the picked axis: at once, or, where the fusions of ONNX Runtime come after us, which want
 * norms of three axes, in the end; till then it is one long. */
#include "pass.h"

enum { MOST_CUTS = 2, MOST_OPERANDS = 8, NOT_PICKED = -1 };

typedef struct {
    TgPass *p;
    const TgNodeInfo *pick;
    int32_t axis;       /* of what is picked from */
    bool drops, stays;  /* the picked axis goes at once; in the end */
    TgValue place;      /* where it stays: the index along it, a list of one */
    uint32_t n_values;  /* that were there before */
    uint32_t *wanted;   /* per value: how many operands of the pick and of moved nodes read its picked rows */
    int32_t *axis_of;   /* per wanted value: the picked axis */
    TgValue *row;       /* per value: those rows; 0: not made yet */
    bool torn;          /* a value is wanted along two axes */
    uint32_t products, tables; /* among the moved */
} Picked;

/* --- what is a pick ------------------------------------------------------------------------------------ */

/* The axis along which n takes one place, or a range of places; false: it is something else. */
static bool takes_rows(const TgPass *p, const TgNodeInfo *n, int64_t *axis)
{
    const TgGraph *g = p->g;
    int64_t index, step = 1;
    uint32_t count;
    if (n->op == TG_Gather) {
        *axis = tg_attr_int(n, "axis");
        return pass_rank(g, n->in[1]) <= 1 && tg_const_ints(g, n->in[1], 1, &index, &count) && count == 1;
    }
    return n->op == TG_Slice && in(n, 3) && tg_const_ints(g, n->in[3], 1, axis, &count) && count == 1 &&
           (!in(n, 4) || tg_const_ints(g, n->in[4], 1, &step, &count)) && step == 1;
}

static bool is_pick(const TgPass *p, const TgNodeInfo *n, Picked *k)
{
    int64_t axis;
    int32_t rank = n->n_in ? pass_rank(p->g, n->in[0]) : -1;
    if (rank < 2 || n->n_out != 1 || !is_read(p->g, n->out[0]) || !takes_rows(p, n, &axis))
        return false;
    k->pick = n;
    k->axis = (int32_t)(axis < 0 ? axis + rank : axis);
    bool goes = pass_rank(p->g, n->out[0]) < rank, fused = p->options->target != TG_TARGET_ANY || p->options->opset;
    k->drops = goes && fused;
    k->stays = goes && !fused;
    return pass_dim(p->g, n->in[0], k->axis) != 1;
}

/* --- what may be computed for some rows ---------------------------------------------------------------- */

/* Axes from the end: the same before and after the picked one, axis `axis` of `rank`, has gone. */
static bool lie_behind(int32_t rank, int32_t axis, uint32_t n, int64_t *axes)
{
    for (uint32_t i = 0; i < n; i++) {
        axes[i] -= axes[i] < 0 ? 0 : rank;
        if (axes[i] + rank <= axis)
            return false;
    }
    return n > 0;
}

static bool reduces_behind(const TgGraph *g, const TgNodeInfo *n, int32_t axis, int64_t *axes, uint32_t *count)
{
    return in(n, 1) && tg_const_ints(g, n->in[1], TG_MAX_RANK, axes, count) && tg_attr_int(n, "keepdims") &&
           lie_behind(pass_rank(g, n->out[0]), axis, *count, axes);
}

static bool normalizes_behind(const TgGraph *g, const TgNodeInfo *n, int32_t axis)
{
    int64_t normalized = tg_attr_int(n, "axis");
    int32_t rank = pass_rank(g, n->out[0]);
    bool good = lie_behind(rank, axis, 1, &normalized);
    for (uint32_t i = 1; i < n->n_in; i++)
        good = good && (!n->in[i] || pass_rank(g, n->in[i]) < rank - axis);
    for (uint32_t i = 1; i < n->n_out; i++)
        good = good && !is_read(g, n->out[i]);
    return good;
}

/* The axis of operand v that meets the picked one of the result; NOT_PICKED: broadcasting v does the same to some rows
 * as to all, as it does not reach the axis, or has one element along it that stays. False: neither. */
static bool meets(const Picked *k, const TgType *result, int32_t axis, TgValue v, int32_t *met)
{
    const TgType *t = v ? tg_type_of(k->p->g, v) : NULL;
    *met = NOT_PICKED;
    if (!v)
        return true;
    if (!tg_is_tensor(t) || t->rank < 0)
        return false;
    int32_t at = axis - (result->rank - t->rank);
    if (at < 0)
        return true;
    if (t->dim[at] == result->dim[axis])
        return *met = at, true;
    return !k->drops && tg_dim_is(t->dim[at], 1);
}

static bool broadcasts_alike(const Picked *k, const TgNodeInfo *n, int32_t axis, int32_t *met)
{
    const TgType *result = tg_type_of(k->p->g, n->out[0]);
    bool good = n->n_out == 1 && !n->n_sub && !tg_op_has(n->op, TG_T_RANDOM);
    for (uint32_t i = 0; good && i < n->n_in; i++)
        good = meets(k, result, axis, n->in[i], &met[i]);
    return good;
}

/* Operators that move elements: the axis of their operand that becomes axis `axis` of the result. */
static bool moves_axis(const TgGraph *g, const TgNodeInfo *n, int32_t axis, int32_t *from)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t count;
    *from = axis;
    if (n->op == TG_Transpose) {
        const int64_t *perm = tg_attr_ints(n, "perm", &count);
        *from = count ? (int32_t)perm[axis] : pass_rank(g, n->in[0]) - 1 - axis;
        return true;
    }
    if (!in(n, 1) || !tg_const_ints(g, n->in[1], TG_MAX_RANK, axes, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        int64_t made = axes[i] < 0 ? axes[i] + pass_rank(g, n->out[0]) : axes[i];
        if (made == axis)
            return false;
        *from -= made < axis;
    }
    return true;
}

/* Node n, of whose result only rows along `axis` are read, can be computed for those. met: per operand, the axis along
 * which its rows are wanted, or NOT_PICKED. */
static bool may_move(const Picked *k, const TgNodeInfo *n, int32_t axis, int32_t *met)
{
    const TgGraph *g = k->p->g;
    int64_t axes[TG_MAX_RANK];
    uint32_t count;
    int32_t rank = n->op != TG_opaque && n->n_in && n->in[0] ? pass_rank(g, n->out[0]) : -1;
    if (rank <= axis || n->n_in > MOST_OPERANDS)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        met[i] = i ? NOT_PICKED : axis;
    switch (n->op) {
    case TG_MatMul:
        return pass_rank(g, n->in[0]) == rank && axis < rank - 1 && rank - k->drops > 1 && pass_rank(g, n->in[1]) == 2;
    case TG_LayerNormalization:
    case TG_RMSNormalization: return normalizes_behind(g, n, axis);
    case TG_ReduceMean:
    case TG_ReduceSum: return reduces_behind(g, n, axis, axes, &count);
    case TG_Transpose:
    case TG_Unsqueeze: return !k->drops && pass_rank(g, n->in[0]) >= 0 && moves_axis(g, n, axis, &met[0]);
    case TG_Gather: {
        int64_t first = tg_attr_int(n, "axis"), data = pass_rank(g, n->in[0]);
        first += first < 0 ? data : 0;
        met[0] = NOT_PICKED;
        met[1] = axis - (int32_t)first;
        return !k->drops && data >= 0 && met[1] >= 0 && met[1] < pass_rank(g, n->in[1]);
    }
    default: return tg_op_has(n->op, TG_T_ELEMENTWISE) && broadcasts_alike(k, n, axis, met);
    }
}

static void want(Picked *k, TgValue v, int32_t axis)
{
    k->torn = k->torn || (k->wanted[v] && k->axis_of[v] != axis);
    k->axis_of[v] = axis;
    k->wanted[v]++;
}

/* Marks what moves: nodes of whose results nothing but picked rows is read. */
static uint32_t find_moved(Picked *k, TgNode *nodes, uint32_t pick)
{
    const TgGraph *g = k->p->g;
    int32_t met[MOST_OPERANDS];
    uint32_t moved = 0;
    want(k, k->pick->in[0], k->axis);
    for (uint32_t i = pick; i-- > 0;) {
        const TgNodeInfo *node = tg_node(g, nodes[i]);
        const TgValueInfo *out = node->n_out ? tg_value(g, node->out[0]) : NULL;
        bool moves = out && k->wanted[node->out[0]] && k->wanted[node->out[0]] == out->uses.n &&
                     !out->returned && may_move(k, node, k->axis_of[node->out[0]], met);
        if (!moves) {
            nodes[i] = 0;
            continue;
        }
        moved++;
        k->products += node->op == TG_MatMul && is_const(g, node->in[1]);
        k->tables += node->op == TG_Gather;
        for (uint32_t s = 0; s < node->n_in; s++)
            if (met[s] != NOT_PICKED)
                want(k, node->in[s], met[s]);
    }
    return k->torn ? 0 : moved;
}

/* --- moving -------------------------------------------------------------------------------------------- */

static const TgAttrs *with_axis(const TgPass *p, const TgNodeInfo *n, int64_t axis)
{
    TgAttrBuild b;
    tg_attrs_from(&b, p->tg, n->attrs);
    tg_attrs_int(&b, "axis", axis);
    return tg_attrs_end(&b, n->op);
}

/* The pick's rows of v, along the axis that v has for it. */
static TgValue row_of(Picked *k, TgValue v)
{
    TgPass *p = k->p;
    const TgNodeInfo *n = k->pick;
    int64_t axis = k->axis_of[v];
    bool same = axis == k->axis && pass_rank(p->g, v) == pass_rank(p->g, n->in[0]);
    if (!k->row[v] && n->op == TG_Gather)
        k->row[v] = pass_op(p, n->op, same ? n->attrs : with_axis(p, n, axis), 2, v, k->place ? k->place : n->in[1]);
    else if (!k->row[v])
        k->row[v] = pass_op(p, n->op, n->attrs, n->n_in, v, n->in[1], n->in[2],
                            same ? n->in[3] : pass_ints(p, 1, &axis), in(n, 4));
    return k->row[v];
}

static bool move(Picked *k, const TgNodeInfo *n)
{
    TgPass *p = k->p;
    TgValue operand[MOST_OPERANDS] = {0};
    int32_t met[MOST_OPERANDS], axis = k->axis_of[n->out[0]], rank = pass_rank(p->g, n->out[0]);
    const TgAttrs *attrs = n->attrs;
    may_move(k, n, axis, met);
    for (uint32_t i = 0; i < n->n_in; i++) {
        operand[i] = met[i] != NOT_PICKED ? row_of(k, n->in[i]) : n->in[i];
        if (n->in[i] && !operand[i])
            return false;
    }
    if (n->op == TG_LayerNormalization || n->op == TG_RMSNormalization) {
        int64_t behind = tg_attr_int(n, "axis");
        lie_behind(rank, axis, 1, &behind);
        attrs = with_axis(p, n, behind);
    } else if (n->op == TG_ReduceMean || n->op == TG_ReduceSum) {
        int64_t axes[TG_MAX_RANK];
        uint32_t count;
        reduces_behind(p->g, n, axis, axes, &count);
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
    int32_t met[MOST_OPERANDS];
    if (!is_pick(p, tg_node(p->g, all[pick]), &k))
        return;
    const TgValueInfo *from = tg_value(p->g, k.pick->in[0]);
    if (from->origin != TG_V_RESULT || !tg_used_once(p->g, k.pick->in[0]) ||
        !may_move(&k, tg_node(p->g, from->node), k.axis, met))
        return;
    TgNode *nodes = tg_copy(tg_scratch(p->tg), all, (pick + 1) * sizeof *all);
    k.wanted = TG_NEW_N(tg_scratch(p->tg), uint32_t, k.n_values);
    k.axis_of = TG_NEW_N(tg_scratch(p->tg), int32_t, k.n_values);
    k.row = TG_NEW_N(tg_scratch(p->tg), TgValue, k.n_values + 1);
    if (!find_moved(&k, nodes, pick) || (!k.products && !k.tables))
        return;
    uint32_t most = k.products ? MOST_CUTS : 1;
    if (count_cuts(&k, nodes, pick) > most) {
        pass_explain(p, k.pick, "what it is computed from would be picked from at more than %u places", most);
        return;
    }
    if (!pass_may(p))
        return;
    TgValue row = compute_row(&k, nodes, pick);
    if (!row || !same_type(p->g, row, k.pick->out[0])) /* how many rows there are is not known: two fresh sizes */
        return;
    pass_count(p, "pick-rows");
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
