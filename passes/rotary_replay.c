/* What is done to the columns of a projection, done to those of its weights by the same operators.
 *
 * (x W) R = x (W R), whatever R does along the last axis. So the nodes between the heads of a projection and the
 * result are copied with W, viewed as rows of heads, in the place of the projection. The weights become recipes over
 * W, the tables and the slices of the source: the check of the rewrite meets the same tables in both graphs, so it
 * holds for any tables, any number of heads and any size of them. Numbers computed from the tables (a factor per
 * column, an index per column) would tie it to the sizes of the model, in which it is too much work.
 *
 * Only nodes that work along the last axis and broadcast along all others: on anything else the caller computes
 * numbers. */
#include "rotary.h"

enum { MOST_NODES = 48, MOST_PARTS = 8 };

typedef struct {
    TgPass *p;
    TgValue from[2 * MOST_NODES], to[2 * MOST_NODES];
    uint32_t n;
} Replay;

/* 0: not copied yet. */
static TgValue copied(const Replay *r, TgValue v)
{
    if (!v || is_const(r->p->g, v))
        return v;
    for (uint32_t i = 0; i < r->n; i++)
        if (r->from[i] == v)
            return r->to[i];
    return 0;
}

static bool note(Replay *r, TgValue v, TgValue made)
{
    if (!made || r->n == 2 * MOST_NODES)
        return false;
    r->from[r->n] = v;
    r->to[r->n++] = made;
    return true;
}

static bool is_last_axis(const TgPass *p, const TgNodeInfo *n, int64_t axis)
{
    return axis == -1 || axis == pass_rank(p->g, n->in[0]) - 1;
}

static bool slices_last_axis(const TgPass *p, const TgNodeInfo *n)
{
    int64_t axis;
    uint32_t count;
    return n->n_in > 3 && tg_const_ints(p->g, n->in[3], 1, &axis, &count) && count == 1 && is_last_axis(p, n, axis);
}

/* It does to each row what it does to every other one. */
static bool is_along_last_axis(const TgPass *p, const TgNodeInfo *n)
{
    switch (n->op) {
    case TG_Neg:
    case TG_Mul:
    case TG_Div:
    case TG_Add:
    case TG_Sub:
    case TG_Identity: return true;
    case TG_Slice: return slices_last_axis(p, n);
    case TG_Concat:
    case TG_Split: return is_last_axis(p, n, tg_attr_int(n, "axis"));
    case TG_Gather:
        return is_last_axis(p, n, tg_attr_int(n, "axis")) && is_const(p->g, n->in[1]) &&
               pass_rank(p->g, n->in[1]) == 1;
    default: return false;
    }
}

static bool copy_split(Replay *r, const TgNodeInfo *n)
{
    int64_t start = 0, last = pass_rank(r->p->g, n->in[0]) - 1;
    for (uint32_t i = 0; i < n->n_out; i++) {
        int64_t size = pass_dim(r->p->g, n->out[i], -1);
        if (size < 0 || !note(r, n->out[i], pass_slice(r->p, copied(r, n->in[0]), start, start + size, last, 1)))
            return false;
        start += size;
    }
    return true;
}

static bool copy(Replay *r, const TgNodeInfo *n)
{
    TgValue operand[MOST_PARTS] = {0};
    if (n->op == TG_Split)
        return copy_split(r, n);
    if (n->n_out != 1 || n->n_in > MOST_PARTS)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        operand[i] = copied(r, n->in[i]);
    TgNode made = tg_graph_add(r->p->g, n->op, n->attrs, n->n_in, operand, 1);
    return made && note(r, n->out[0], fold_value(r->p, made));
}

static bool is_ready(const Replay *r, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !copied(r, n->in[i]))
            return false;
    return true;
}

/* Each time one node whose operands are there: they are few. */
static bool copy_all(Replay *r, const TgNode *cone, uint32_t n)
{
    bool done[MOST_NODES] = {false};
    for (uint32_t left = n; left; left--) {
        uint32_t i = 0;
        while (i < n && (done[i] || !is_ready(r, tg_node(r->p->g, cone[i]))))
            i++;
        if (i == n || !is_along_last_axis(r->p, tg_node(r->p->g, cone[i])) || !copy(r, tg_node(r->p->g, cone[i])))
            return false;
        done[i] = true;
    }
    return true;
}

/* [1, ..., k, heads, size] of weights [k, heads * size], where the rank allows: so heads and rows stay apart, and the
 * check can choose small sizes for each. */
static void shape_of_view(const TgPass *p, TgValue rows, int32_t rank, int64_t size, int64_t *shape)
{
    int32_t last = pass_rank(p->g, rows) - 1;
    for (int32_t i = 0; i < rank; i++)
        shape[i] = 1;
    shape[rank - 1] = size;
    shape[rank - 2] = pass_dim(p->g, rows, -1) / size;
    if (last > 0)
        shape[rank > 2 ? rank - 3 : 0] *= pass_dim(p->g, rows, 0);
}

TgValue rotary_replay(TgPass *p, TgValue root, TgValue source, const TgNode *cone, uint32_t n, TgValue rows)
{
    int64_t shape[TG_MAX_RANK], old[TG_MAX_RANK], size = pass_dim(p->g, source, -1);
    int32_t rank = pass_rank(p->g, source), old_rank = pass_rank(p->g, rows);
    Replay r = {.p = p};
    if (rank < 2 || n > MOST_NODES || size < 1 || pass_dim(p->g, rows, -1) % size)
        return 0;
    shape_of_view(p, rows, rank, size, shape);
    for (int32_t i = 0; i < old_rank; i++)
        old[i] = pass_dim(p->g, rows, i);
    TgValue view = pass_op(p, TG_Reshape, NULL, 2, rows, pass_ints(p, (uint32_t)rank, shape));
    if (!view || !note(&r, source, view) || !copy_all(&r, cone, n) || !same_type(p->g, copied(&r, root), view))
        return 0;
    return pass_op(p, TG_Reshape, NULL, 2, copied(&r, root), pass_ints(p, (uint32_t)old_rank, old));
}
