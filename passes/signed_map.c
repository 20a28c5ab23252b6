/* Following signed permutations back to their source, see signed_map.h. */
#include <math.h>
#include <string.h>

#include "signed_map.h"

enum { MOST_ELEMENTS = 4096, MOST_STEPS = 24 };

uint32_t tail_size(const TgGraph *g, TgValue v, int32_t tail)
{
    uint32_t n = 1;
    if (tail < 1 || pass_rank(g, v) < tail)
        return 0;
    for (int32_t i = 1; i <= tail; i++) {
        int64_t d = pass_dim(g, v, -i);
        if (d < 1 || d > MOST_ELEMENTS || n * d > MOST_ELEMENTS)
            return 0;
        n *= (uint32_t)d;
    }
    return n;
}

bool is_identity_order(const SignedMap *map, uint32_t source_size)
{
    for (uint32_t i = 0; i < map->n; i++)
        if (map->index[i] != i)
            return false;
    return map->n == source_size;
}

/* The leading sizes of a and b (without their tails) are the same. */
static bool same_lead(const TgGraph *g, TgValue a, int32_t tail_a, TgValue b, int32_t tail_b)
{
    const TgType *s = tg_type_of(g, a), *t = tg_type_of(g, b);
    if (s->rank - tail_a != t->rank - tail_b)
        return false;
    for (int32_t i = 0; i < s->rank - tail_a; i++)
        if (s->dim[i] != t->dim[i])
            return false;
    return true;
}

static void new_map(TgPass *p, SignedMap *m, TgValue source, int32_t tail, uint32_t n)
{
    *m = (SignedMap){source, tail, n, TG_NEW_N(tg_scratch(p->tg), uint32_t, n), TG_NEW_N(tg_scratch(p->tg), double, n)};
    for (uint32_t i = 0; i < n; i++) {
        m->index[i] = i;
        m->factor[i] = 1;
    }
}

/* --- one step: v in terms of one operand -------------------------------------------------------------------------- */

/* Row-major position <-> coordinates within the last `tail` axes. */
static void coordinates(const TgGraph *g, TgValue v, int32_t tail, uint32_t flat, int64_t *at)
{
    for (int32_t i = 1; i <= tail; i++) {
        int64_t d = pass_dim(g, v, -i);
        at[tail - i] = flat % d;
        flat = (uint32_t)(flat / d);
    }
}

static uint32_t position(const TgGraph *g, TgValue v, int32_t tail, const int64_t *at)
{
    int64_t flat = 0;
    for (int32_t i = 0; i < tail; i++)
        flat = flat * pass_dim(g, v, i - tail) + at[i];
    return (uint32_t)flat;
}

/* An axis of v as an index into its tail; negative: outside. */
static int32_t in_tail(const TgGraph *g, TgValue v, int32_t tail, int64_t axis)
{
    int64_t rank = pass_rank(g, v);
    return (int32_t)((axis < 0 ? axis + rank : axis) - (rank - tail));
}

/* Shifts and strides one tail axis: index along `axis` becomes start + step * index. */
static bool along(TgPass *p, SignedMap *m, TgValue v, int32_t axis, int64_t start, int64_t step)
{
    for (uint32_t i = 0; i < m->n; i++) {
        int64_t at[TG_MAX_RANK];
        coordinates(p->g, v, m->tail, i, at);
        at[axis] = start + step * at[axis];
        if (at[axis] < 0 || at[axis] >= pass_dim(p->g, m->source, axis - m->tail))
            return false;
        m->index[i] = position(p->g, m->source, m->tail, at);
    }
    return true;
}

static bool step_slice(TgPass *p, const TgNodeInfo *n, SignedMap *m)
{
    int64_t start[TG_MAX_RANK], axis[TG_MAX_RANK], step[TG_MAX_RANK];
    uint32_t count, axes, steps;
    TgValue v = n->out[0];
    if (!tg_const_ints(p->g, n->in[1], TG_MAX_RANK, start, &count) || count != 1)
        return false;
    if (!in(n, 3) || !tg_const_ints(p->g, n->in[3], TG_MAX_RANK, axis, &axes) || axes != 1)
        return false;
    step[0] = 1;
    if (in(n, 4) && (!tg_const_ints(p->g, n->in[4], TG_MAX_RANK, step, &steps) || steps != 1))
        return false;
    int32_t k = in_tail(p->g, v, m->tail, axis[0]);
    if (k < 0)
        return false;
    int64_t size = pass_dim(p->g, m->source, k - m->tail), from = start[0] < 0 ? start[0] + size : start[0];
    int64_t last = step[0] < 0 ? size - 1 : size;
    from = from < 0 ? 0 : from > last ? last : from;
    return along(p, m, v, k, from, step[0]);
}

static bool step_split(TgPass *p, const TgNodeInfo *n, uint32_t output, SignedMap *m)
{
    TgValue v = n->out[output];
    int32_t k = in_tail(p->g, v, m->tail, tg_attr_int(n, "axis"));
    int64_t start = 0;
    for (uint32_t i = 0; k >= 0 && i < output; i++) {
        int64_t size = pass_dim(p->g, n->out[i], k - m->tail);
        if (size < 0)
            return false;
        start += size;
    }
    return k >= 0 && along(p, m, v, k, start, 1);
}

/* One place of an axis, which goes: a Gather with a constant number for its indices. */
static bool takes_place(const TgPass *p, const TgNodeInfo *n)
{
    const TgTensor *list = n->op == TG_Gather ? tg_const_of(p->g, n->in[1]) : NULL;
    return list && list->rank == 0;
}

static bool step_gather(TgPass *p, const TgNodeInfo *n, SignedMap *m)
{
    const TgTensor *list = tg_const_of(p->g, n->in[1]);
    int32_t k = in_tail(p->g, n->in[0], m->tail, tg_attr_int(n, "axis"));
    if (!list || list->rank > 1 || k < 0)
        return false;
    int64_t size = pass_dim(p->g, m->source, k - m->tail);
    bool place = list->rank == 0;
    for (uint32_t i = 0; i < m->n; i++) {
        int64_t at[TG_MAX_RANK];
        coordinates(p->g, n->out[0], m->tail - place, i, at);
        if (place)
            memmove(&at[k + 1], &at[k], (size_t)(m->tail - 1 - k) * sizeof *at);
        int64_t from = tg_tensor_int(p->tg, list, place ? 0 : (size_t)at[k]);
        at[k] = from < 0 ? from + size : from;
        if (at[k] < 0 || at[k] >= size)
            return false;
        m->index[i] = position(p->g, m->source, m->tail, at);
    }
    return true;
}

static bool step_transpose(TgPass *p, const TgNodeInfo *n, SignedMap *m)
{
    uint32_t count;
    const int64_t *perm = tg_attr_ints(n, "perm", &count);
    int32_t lead = pass_rank(p->g, n->out[0]) - m->tail;
    for (int32_t i = 0; perm && i < lead; i++)
        if (perm[i] != i)
            return false;
    for (uint32_t i = 0; perm && i < m->n; i++) {
        int64_t at[TG_MAX_RANK], from[TG_MAX_RANK];
        coordinates(p->g, n->out[0], m->tail, i, at);
        for (int32_t k = 0; k < m->tail; k++)
            from[perm[lead + k] - lead] = at[k];
        m->index[i] = position(p->g, m->source, m->tail, from);
    }
    return perm != NULL;
}

/* Mul or Div by a constant that does not vary along the leading axes. */
static bool step_factor(TgPass *p, const TgNodeInfo *n, TgValue constant, SignedMap *m)
{
    const TgTensor *t = tg_const_of(p->g, constant);
    if (t->count > MOST_ELEMENTS || t->payload == TG_RECIPE || !tg_is_float(t->dtype))
        return false;
    for (int32_t i = 0; i < t->rank - m->tail; i++)
        if (t->dim[i] != 1)
            return false;
    for (uint32_t i = 0; i < m->n; i++) {
        int64_t at[TG_MAX_RANK], flat = 0;
        coordinates(p->g, n->out[0], m->tail, i, at);
        for (int32_t k = 0; k < m->tail; k++) {
            int32_t axis = t->rank - m->tail + k;
            int64_t d = axis < 0 ? 1 : t->dim[axis];
            if (d != 1 && d != pass_dim(p->g, n->out[0], k - m->tail))
                return false; /* a node that cannot run */
            flat = flat * d + (d == 1 ? 0 : at[k]);
        }
        double c = tg_tensor_float(p->tg, t, (size_t)flat);
        m->factor[i] = n->op == TG_Div ? 1 / c : c;
        if (!isfinite(m->factor[i]))
            return false;
    }
    return true;
}

/* Fills *m with v (output `output` of n) in terms of one operand; false: n is not such a step. */
static bool one_step(TgPass *p, const TgNodeInfo *n, uint32_t output, int32_t tail, SignedMap *m)
{
    TgValue v = n->out[output], x = in(n, 0);
    int32_t tail_x = tail;
    uint32_t slot = (n->op == TG_Mul || n->op == TG_Div) && is_const(p->g, n->in[0]) ? 1 : 0;
    if (n->op == TG_Reshape || n->op == TG_Squeeze || n->op == TG_Unsqueeze || n->op == TG_Flatten)
        tail_x = pass_rank(p->g, x) - (pass_rank(p->g, v) - tail);
    if (n->op == TG_Mul || n->op == TG_Div)
        x = n->in[slot];
    tail_x += takes_place(p, n);
    if (!x || tail_x < 1 || !tail_size(p->g, x, tail_x) || !same_lead(p->g, v, tail, x, tail_x))
        return false;
    new_map(p, m, x, tail_x, tail_size(p->g, v, tail));
    switch (n->op) {
    case TG_Slice: return step_slice(p, n, m);
    case TG_Split: return step_split(p, n, output, m);
    case TG_Gather: return step_gather(p, n, m);
    case TG_Transpose: return step_transpose(p, n, m);
    case TG_Neg:
        for (uint32_t i = 0; i < m->n; i++)
            m->factor[i] = -1;
        return true;
    case TG_Mul: case TG_Div:
        return !(n->op == TG_Div && slot) && is_const(p->g, n->in[1 - slot]) && same_type(p->g, x, v) &&
               step_factor(p, n, n->in[1 - slot], m);
    case TG_Reshape: case TG_Squeeze: case TG_Unsqueeze: case TG_Flatten:
        return m->n == tail_size(p->g, x, tail_x);
    default: return false;
    }
}

/* --- all steps ---------------------------------------------------------------------------------------------------- */

static void compose(SignedMap *m, const SignedMap *below)
{
    for (uint32_t i = 0; i < m->n; i++) {
        m->factor[i] *= below->factor[m->index[i]];
        m->index[i] = below->index[m->index[i]];
    }
    m->source = below->source;
    m->tail = below->tail;
}

static bool walk(TgPass *p, TgValue v, int32_t tail, TgValue stop, uint32_t steps, SignedMap *m);

/* A Concat along a tail axis whose operands all come from one source. */
static bool walk_concat(TgPass *p, const TgNodeInfo *n, int32_t tail, TgValue stop, uint32_t steps, SignedMap *m)
{
    int32_t k = in_tail(p->g, n->out[0], tail, tg_attr_int(n, "axis"));
    int64_t start = 0;
    if (k < 0)
        return false;
    new_map(p, m, 0, tail, tail_size(p->g, n->out[0], tail));
    for (uint32_t i = 0; i < n->n_in; i++) {
        SignedMap part;
        if (!same_lead(p->g, n->out[0], tail, n->in[i], tail) || !walk(p, n->in[i], tail, stop, steps + 1, &part) ||
            (i && (part.source != m->source || part.tail != m->tail)))
            return false;
        m->source = part.source;
        m->tail = part.tail;
        for (uint32_t j = 0; j < part.n; j++) {
            int64_t at[TG_MAX_RANK];
            coordinates(p->g, n->in[i], tail, j, at);
            at[k] += start;
            uint32_t to = position(p->g, n->out[0], tail, at);
            m->index[to] = part.index[j];
            m->factor[to] = part.factor[j];
        }
        start += pass_dim(p->g, n->in[i], k - tail);
    }
    return true;
}

/* Depth is bounded by MOST_STEPS. */
static bool walk(TgPass *p, TgValue v, int32_t tail, TgValue stop, uint32_t steps, SignedMap *m)
{
    uint32_t size = tail_size(p->g, v, tail);
    if (!size)
        return false;
    const TgValueInfo *info = tg_value(p->g, v);
    SignedMap below;
    if (v != stop && info->origin == TG_V_RESULT && steps < MOST_STEPS) {
        const TgNodeInfo *n = tg_node(p->g, info->node);
        if (n->op == TG_Concat && walk_concat(p, n, tail, stop, steps, m))
            return true;
        if (n->op != TG_Concat && one_step(p, n, info->index, tail, m) &&
            walk(p, m->source, m->tail, stop, steps + 1, &below)) {
            compose(m, &below);
            return true;
        }
    }
    new_map(p, m, v, tail, size);
    return true;
}

bool signed_map(TgPass *p, TgValue v, int32_t tail, TgValue stop, SignedMap *map)
{
    return walk(p, v, tail, stop, 0, map);
}
