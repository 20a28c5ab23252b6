/* What says of a key that it is seen (attention_mask.h).
 *
 *     key <= query   Trilu(ones)   Slice(triangle, past, past + new)   Or(Not(c), ..)   Cast(m)   Equal(m, 1)
 *
 * Comparisons of positions (positions.h) and constants that look like it become a band, key <= query +
 * offset. What is not understood stays what it is, a condition that is evaluated. Depth is bounded. */
#include "attention_mask.h"
#include "positions.h"

/* --- bands -------------------------------------------------------------------------------------------- */

bool mask_is_square(Reader *r, const AxisMap *map, TgDim *offset)
{
    const Alphabet *abc = &r->a->abc;
    TgDim key_shift, query_shift;
    Word last = axes_index(abc, &map->axis[map->rank - 1], &key_shift),
         keys = axes_index(abc, &r->keys, NULL);
    Word none = {0}, row = axes_index(abc, map->rank > 1 ? &map->axis[map->rank - 2] : &none, &query_shift);
    Word queries = axes_index(abc, &r->a->queries, NULL);
    *offset = tg_dim_sub(r->p->tg, query_shift, key_shift);
    return axes_same(abc, &last, &keys) && axes_same(abc, &row, &queries);
}

bool mask_add_band(Reader *r, TgDim offset, const AxisMap *source, bool negated)
{
    Layer *l = r->layer;
    Tg *tg = r->p->tg;
    if (l->has_band && tg_dim_at_least(tg, offset, l->band))
        return true;
    if (l->has_band && !tg_dim_at_least(tg, l->band, offset))
        return false;
    l->has_band = true;
    l->band = offset;
    l->band_source = (Cond){.negated = negated};
    if (source && !r->cut)
        l->band_source.map = *source;
    return true;
}

/* position >= 0 (negated: < 0) for a key to be seen. False: it is no band. */
static bool band_of_position(Reader *r, Position position, const AxisMap *source, bool negated)
{
    Tg *tg = r->p->tg;
    Word keys = axes_index(&r->a->abc, &r->keys, NULL),
         queries = axes_index(&r->a->abc, &r->a->queries, NULL);
    int64_t sign = negated ? -1 : 1;
    int64_t k = sign * position_times(&r->a->abc, &position, &keys),
            q = sign * position_times(&r->a->abc, &position, &queries);
    TgDim base = negated ? tg_dim_sub(tg, tg_dim(tg, -1), position.base) : position.base;
    for (uint32_t i = 0; i < position.n; i++)
        if (position.times[i] && !axes_same(&r->a->abc, &position.word[i], &keys) &&
            !axes_same(&r->a->abc, &position.word[i], &queries))
            return false;
    if (k == 0 && q == 0 && tg_dim_at_least(tg, base, tg_dim(tg, 0)))
        return true; /* always */
    bool one_query = queries.n == 0;
    return k == -1 && (q == 1 || (one_query && q == 0)) && mask_add_band(r, base, source, negated);
}

bool mask_causal_constant(Reader *r, const AxisMap *map, bool (*seen)(double), bool *all_seen,
                            TgDim *offset)
{
    enum { MOST = 1 << 24 };
    const TgTensor *t = tg_const_of(r->p->g, map->v);
    if (!t || t->payload == TG_RECIPE || t->count < 1 || t->count > MOST || t->rank < 1)
        return false;
    int64_t n = t->dim[t->rank - 1], m = t->rank > 1 ? t->dim[t->rank - 2] : 1, first = -1;
    *all_seen = true;
    for (size_t i = 0; i < t->count && *all_seen; i++)
        *all_seen = seen(tg_tensor_float(r->p->tg, t, i));
    if (*all_seen)
        return true;
    if (!mask_is_square(r, map, offset))
        return false;
    while (first + 1 < n && seen(tg_tensor_float(r->p->tg, t, (size_t)(first + 1))))
        first++;
    for (size_t i = 0; i < t->count; i++) {
        int64_t k = (int64_t)i % n, q = (int64_t)i / n % m;
        if (seen(tg_tensor_float(r->p->tg, t, i)) != (k <= q + first))
            return false;
    }
    *offset = tg_dim_add(r->p->tg, *offset, tg_dim(r->p->tg, first));
    return true;
}

static bool is_true(double x)
{
    return x != 0;
}
static bool is_false(double x)
{
    return x == 0;
}

/* --- conditions --------------------------------------------------------------------------------------- */

static bool same_cond(const Attention *a, const Cond *x, const Cond *y)
{
    bool same =
        x->kind == y->kind && x->negated == y->negated && x->map.v == y->map.v && x->map.rank == y->map.rank;
    for (int32_t i = 0; same && i < x->map.rank; i++)
        same = axes_same(&a->abc, &x->map.axis[i], &y->map.axis[i]);
    return same;
}

static bool leaf(Reader *r, const AxisMap *map, CondKind kind, bool negated)
{
    Layer *l = r->layer;
    Cond c = {.kind = kind, .negated = negated, .map = *map};
    for (uint32_t i = 0; i < l->n; i++)
        if (same_cond(r->a, &l->cond[i], &c))
            return true;
    if (r->cut || l->n == CONDS_MOST)
        return false;
    l->cond[l->n++] = c;
    return true;
}

AxisMap mask_below_casts(const Reader *r, AxisMap map)
{
    for (uint32_t i = 0; i < MASK_DEEP; i++) {
        const TgNodeInfo *cast = tg_producer(r->p->g, map.v, TG_Cast);
        if (!cast || dtype_of(r, map.v) == TG_bool)
            break;
        map.v = cast->in[0];
    }
    return map;
}

/* The same number, where it came from. */
static AxisMap below_views(Reader *r, AxisMap map)
{
    AxisMap x;
    for (uint32_t i = 0; i < MASK_DEEP; i++) {
        map = mask_below_casts(r, map);
        if (!axes_back(&r->a->abc, &map, &x))
            break;
        map = x;
    }
    return map;
}

bool mask_is_zero_where_seen(Reader *r, AxisMap map)
{
    AxisMap x;
    map = below_views(r, map);
    const TgNodeInfo *n = producer(r, map.v);
    if (!n || n->op != TG_Sub || !is_splat_of(r->p->g, n->in[0], 1) || !operand(r, &map, n, 1, &x))
        return false;
    Cond one = {.kind = COND_IS_ONE, .map = below_views(r, x)};
    for (uint32_t i = 0; i < r->layer->n; i++)
        if (same_cond(r->a, &r->layer->cond[i], &one))
            return true;
    return false;
}

/* Below a Slice, a Concat or Trilu of conditions only bands are of use: what is above stays otherwise. */
static bool below_cut(Reader *r, const AxisMap *map, CondKind kind, bool negated, uint32_t depth)
{
    Layer before = *r->layer;
    AxisMap x;
    bool cut = r->cut;
    r->cut = true;
    bool read = position_back(&r->a->abc, map, &x) &&
                (kind == COND_BOOL ? mask_conditions(r, &x, negated, depth) : mask_not_zero(r, &x, negated, depth));
    r->cut = cut;
    if (read && !cut && r->layer->has_band && !r->layer->band_source.map.v)
        r->layer->band_source = (Cond){.kind = kind, .negated = negated, .map = *map};
    if (read)
        return true;
    *r->layer = before;
    return leaf(r, map, kind, negated);
}

/* A constant that says which keys are seen, in booleans or numbers. False: it is none, or no band. */
static bool constant_band(Reader *r, const AxisMap *map, CondKind kind, bool negated)
{
    bool all_seen;
    TgDim offset;
    Layer *l = r->layer;
    if (!is_const(r->p->g, map->v) ||
        !mask_causal_constant(r, map, negated ? is_false : is_true, &all_seen, &offset))
        return false;
    if (!all_seen && !mask_add_band(r, offset, map, negated))
        return false;
    if (!all_seen && l->band_source.map.v == map->v)
        l->band_source.kind = kind;
    return true;
}

bool mask_not_zero(Reader *r, const AxisMap *number, bool negated, uint32_t depth)
{
    AxisMap map = mask_below_casts(r, *number), x;
    const TgNodeInfo *n = producer(r, map.v);
    if (dtype_of(r, map.v) == TG_bool)
        return mask_conditions(r, &map, negated, depth);
    if (constant_band(r, &map, COND_NOT_ZERO, negated))
        return true;
    if (n && n->op == TG_Slice && depth)
        return below_cut(r, &map, COND_NOT_ZERO, negated, depth - 1);
    if (n && n->op == TG_Where) { /* Where(y != 0, something, y) */
        const TgNodeInfo *cast = tg_producer(r->p->g, n->in[0], TG_Cast);
        double c;
        if (cast && cast->in[0] == n->in[2] && is_splat(r->p->g, n->in[1], &c) && c != 0 &&
            operand(r, &map, n, 2, &x))
            return mask_not_zero(r, &x, negated, depth);
    }
    if (n && n->op == TG_Sub && is_splat_of(r->p->g, n->in[0], 1) && operand(r, &map, n, 1, &x)) {
        x = below_views(r, x);
        return dtype_of(r, x.v) == TG_bool ? mask_conditions(r, &x, !negated, depth)
                                           : leaf(r, &x, COND_IS_ONE, !negated);
    }
    if (depth && n && axes_back(&r->a->abc, &map, &x))
        return mask_not_zero(r, &x, negated, depth - 1);
    return leaf(r, &map, COND_NOT_ZERO, negated);
}

/* Trilu of ones: the diagonal is the offset. */
static bool band_of_trilu(Reader *r, const AxisMap *map, const TgNodeInfo *n, bool negated)
{
    int64_t k = 0;
    uint32_t count;
    const TgNodeInfo *fill = tg_producer(r->p->g, n->in[0], TG_ConstantOfShape);
    const TgTensor *value = fill ? tg_attr_tensor(fill, "value") : NULL;
    bool upper = tg_attr_int(n, "upper") != 0,
         ones = value && value->count == 1 && tg_tensor_float(r->p->tg, value, 0) != 0;
    ones = ones || is_splat_of(r->p->g, n->in[0], 1);
    if (!ones || (in(n, 1) && !tg_const_ints(r->p->g, n->in[1], 1, &k, &count)) || upper != negated ||
        map->rank < 2)
        return false;
    TgDim offset;
    return mask_is_square(r, map, &offset) && r->a->queries.n &&
           mask_add_band(r, tg_dim_add(r->p->tg, offset, tg_dim(r->p->tg, upper ? k - 1 : k)), NULL, false);
}

bool mask_conditions(Reader *r, const AxisMap *map, bool negated, uint32_t depth)
{
    const TgNodeInfo *n = producer(r, map->v);
    AxisMap x, y;
    Position position;
    if (constant_band(r, map, COND_BOOL, negated))
        return true;
    if (!n || !depth)
        return leaf(r, map, COND_BOOL, negated);
    depth--;
    if (n->op == (negated ? TG_Or : TG_And) && operand(r, map, n, 0, &x) && operand(r, map, n, 1, &y))
        return mask_conditions(r, &x, negated, depth) && mask_conditions(r, &y, negated, depth);
    if (n->op == TG_Not && operand(r, map, n, 0, &x))
        return mask_conditions(r, &x, !negated, depth);
    if (n->op == TG_Cast && operand(r, map, n, 0, &x))
        return mask_not_zero(r, &x, negated, depth);
    if (n->op == TG_Equal && is_splat_of(r->p->g, n->in[1], 0) && operand(r, map, n, 0, &x) &&
        dtype_of(r, x.v) != TG_bool)
        return mask_not_zero(r, &x, !negated, depth);
    if (n->op == TG_Equal && is_splat_of(r->p->g, n->in[1], 1) && operand(r, map, n, 0, &x) &&
        dtype_of(r, x.v) != TG_bool) {
        x = below_views(r, x);
        return leaf(r, &x, COND_IS_ONE, negated);
    }
    if (n->op == TG_Trilu && band_of_trilu(r, map, n, negated))
        return true;
    Layer before = *r->layer;
    if (position_compared(&r->a->abc, map, &position) && band_of_position(r, position, map, negated))
        return true;
    *r->layer = before;
    if (n->op == TG_Slice)
        return below_cut(r, map, COND_BOOL, negated, depth);
    if (axes_back(&r->a->abc, map, &x))
        return mask_conditions(r, &x, negated, depth);
    return leaf(r, map, COND_BOOL, negated);
}
