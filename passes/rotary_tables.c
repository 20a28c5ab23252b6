/* Rotary embeddings whose tables vary by position:  y = x * cos + rotate(x) * sin  (RoFormer, Su et al. 2021).
 *
 * rotate is a signed permutation of the last axis with signs only. Two ways to write it better:
 *   RotaryEmbedding (ai.onnx 23), for rotate = (-second half, first half) of [batch, heads, positions, size] when both
 *   halves of either table are proved equal;
 *   otherwise the signs move into the table of sines, shared by all layers, so that rotate is Split and Concat alone. */
#include "rotary.h"
#include "signed_map.h"

typedef struct {
    TgValue x, cos, sin;
    TgValue rotated; /* of x */
    SignedMap map;   /* rotated in terms of x */
} Rotation;

/* --- reading --------------------------------------------------------------------------------------------------------------- */

static bool only_signs(const SignedMap *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->factor[i] != 1 && m->factor[i] != -1)
            return false;
    return true;
}

/* `rotated` is another order of x, with signs. */
static bool is_rotation(TgPass *p, TgValue x, TgValue rotated, SignedMap *m)
{
    return x != rotated && same_type(p->g, x, rotated) && signed_map(p, rotated, 1, x, m) && m->source == x && m->tail == 1 &&
           only_signs(m) && !is_identity_order(m, tail_size(p->g, x, 1));
}

static bool read_rotation(TgPass *p, TgNodeInfo *n, Rotation *r)
{
    for (uint32_t plain = 0; plain < 2; plain++) {
        TgNodeInfo *a = tg_producer(p->g, n->in[plain], TG_Mul), *b = tg_producer(p->g, n->in[1 - plain], TG_Mul);
        if (!a || !b || !tg_used_once(p->g, n->in[0]) || !tg_used_once(p->g, n->in[1]))
            return false;
        for (uint32_t i = 0; i < 2; i++)
            for (uint32_t k = 0; k < 2; k++) {
                *r = (Rotation){.x = a->in[i], .cos = a->in[1 - i], .sin = b->in[1 - k], .rotated = b->in[k]};
                if (is_rotation(p, r->x, r->rotated, &r->map) && same_type(p->g, r->x, n->out[0]))
                    return true;
            }
    }
    return false;
}

/* --- RotaryEmbedding --------------------------------------------------------------------------------------------------------- */

/* The first half of table t along the last axis, if the second one equals it; 0: not proved. Depth is bounded. */
static TgValue half_of(TgPass *p, TgValue t, uint32_t depth);

static TgValue half_of_constant(TgPass *p, TgValue t)
{
    const TgTensor *data = tg_const_of(p->g, t);
    int64_t size = pass_dim(p->g, t, -1), half = size / 2;
    if (data->payload == TG_RECIPE || data->count > 1 << 22 || size < 2 || size % 2)
        return 0;
    for (size_t i = 0; i < data->count; i++)
        if ((int64_t)(i % (size_t)size) < half &&
            tg_tensor_float(p->tg, data, i) != tg_tensor_float(p->tg, data, i + (size_t)half))
            return 0;
    int64_t axis = pass_rank(p->g, t) - 1;
    return pass_op(p, TG_Slice, NULL, 4, t, pass_ints(p, 1, &(int64_t){0}), pass_ints(p, 1, &half), pass_ints(p, 1, &axis));
}

static TgValue half_of_binary(TgPass *p, const TgNodeInfo *n, uint32_t depth)
{
    for (uint32_t i = 0; i < 2; i++)
        if (is_const(p->g, n->in[1 - i]) && (pass_rank(p->g, n->in[1 - i]) == 0 || pass_dim(p->g, n->in[1 - i], -1) == 1)) {
            TgValue half = half_of(p, n->in[i], depth);
            return !half ? 0 : i ? pass_op(p, n->op, n->attrs, 2, n->in[0], half) : pass_op(p, n->op, n->attrs, 2, half, n->in[1]);
        }
    return 0;
}

/* None of the axes that operand `slot` lists is the last one of a tensor of that rank. */
static bool spares_last(TgPass *p, const TgNodeInfo *n, uint32_t slot, int32_t rank)
{
    int64_t axes[TG_MAX_RANK];
    uint32_t count;
    if (!in(n, slot) || !tg_const_ints(p->g, n->in[slot], TG_MAX_RANK, axes, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (axes[i] == -1 || axes[i] == rank - 1)
            return false;
    return true;
}

/* The operator does the same to every part of the last axis of operand 0, and leaves it the last one. */
static bool leaves_last_axis(TgPass *p, const TgNodeInfo *n)
{
    int32_t rank = pass_rank(p->g, n->in[0]);
    switch (n->op) {
    case TG_Cos:
    case TG_Sin:
    case TG_Cast:
    case TG_Neg: return true;
    case TG_Unsqueeze: return spares_last(p, n, 1, pass_rank(p->g, n->out[0]));
    case TG_Squeeze: return spares_last(p, n, 1, rank);
    case TG_Slice: return n->n_in <= 5 && spares_last(p, n, 3, rank);
    case TG_Gather: return tg_attr_int(n, "axis") == 0 && rank > 1;
    default: return false;
    }
}

static TgValue half_of(TgPass *p, TgValue t, uint32_t depth)
{
    if (is_const(p->g, t))
        return half_of_constant(p, t);
    if (tg_value(p->g, t)->origin != TG_V_RESULT || depth == 0)
        return 0;
    const TgNodeInfo *n = tg_node(p->g, tg_value(p->g, t)->node);
    int32_t rank = pass_rank(p->g, t);
    if (n->op == TG_Concat) {
        int64_t axis = tg_attr_int(n, "axis");
        return n->n_in == 2 && n->in[0] == n->in[1] && (axis == -1 || axis == rank - 1) ? n->in[0] : 0;
    }
    if (leaves_last_axis(p, n)) {
        TgValue half = half_of(p, n->in[0], depth - 1);
        return half ? pass_op(p, n->op, n->attrs, n->n_in, half, in(n, 1), in(n, 2), in(n, 3), in(n, 4)) : 0;
    }
    return n->op == TG_Mul || n->op == TG_Div ? half_of_binary(p, n, depth - 1) : 0;
}

/* (-second half, first half) */
static bool is_half_rotation(const SignedMap *m)
{
    uint32_t half = m->n / 2;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->index[i] != (i + half) % m->n || m->factor[i] != (i < half ? -1 : 1))
            return false;
    return m->n % 2 == 0;
}

/* Both tables as the operator wants them: [batch, positions, half], or [positions, half] and a row for every position. */
typedef struct {
    TgValue cos, sin, rows;
} Caches;

/* The table [batch or 1, 1, positions, half] without the axes of size 1 that `axes` says; 0: it does not fit x. */
static TgValue cache_of(TgPass *p, TgValue table, TgValue x, uint32_t n, const int64_t *axes)
{
    const TgType *t = tg_type_of(p->g, table), *want = tg_type_of(p->g, x);
    if (pass_rank(p->g, table) != 4 || !tg_dim_is(t->dim[1], 1) || t->dim[2] != want->dim[2] ||
        (t->dim[0] != want->dim[0] && !tg_dim_is(t->dim[0], 1)))
        return 0;
    TgValue half = half_of(p, table, 8);
    return half ? pass_op(p, TG_Squeeze, NULL, 2, half, pass_ints(p, n, axes)) : 0;
}

/* 0, 1, 2 .. for every batch: the same rows for all. 0: sizes are not constant. */
static TgValue same_rows(TgPass *p, TgValue x)
{
    int64_t batch = pass_dim(p->g, x, 0), positions = pass_dim(p->g, x, 2), dim[2] = {batch, positions};
    void *bytes;
    if (batch < 1 || positions < 1 || batch * positions > 1 << 20)
        return 0;
    TgTensor *t = tg_tensor_blank(p->g->arena, TG_i64, 2, dim, &bytes);
    for (int64_t i = 0; i < batch * positions; i++)
        tg_store_integer(TG_i64, bytes, (size_t)i, i % positions);
    return tg_graph_const(p->g, t, NULL);
}

/* The cache [1, positions, half] for every batch of x. */
static TgValue for_every_batch(TgPass *p, TgValue cache, TgValue x)
{
    int64_t one = 1, start = 0;
    TgValue batch = pass_op(p, TG_Shape, tg_attrs(p->tg, TG_Shape, "start=i end=i", start, one), 1, x);
    TgValue ones = pass_ints(p, 2, (int64_t[]){1, 1});
    TgValue shape = batch ? pass_op(p, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0), 2, batch, ones) : 0;
    return shape ? pass_op(p, TG_Expand, NULL, 2, cache, shape) : 0;
}

static bool caches_of(TgPass *p, const Rotation *r, Caches *c)
{
    static const int64_t heads[] = {1}, both[] = {0, 1};
    TgDim batch = tg_type_of(p->g, r->x)->dim[0];
    *c = (Caches){0};
    if (pass_rank(p->g, r->cos) == 4 && tg_type_of(p->g, r->cos)->dim[0] == batch) {
        c->cos = cache_of(p, r->cos, r->x, 1, heads);
        c->sin = c->cos ? cache_of(p, r->sin, r->x, 1, heads) : 0;
        return c->sin && same_type(p->g, c->cos, c->sin);
    }
    c->rows = same_rows(p, r->x);
    c->cos = cache_of(p, r->cos, r->x, c->rows ? 2 : 1, c->rows ? both : heads);
    c->sin = c->cos ? cache_of(p, r->sin, r->x, c->rows ? 2 : 1, c->rows ? both : heads) : 0;
    if (c->sin && !c->rows) {
        c->cos = for_every_batch(p, c->cos, r->x);
        c->sin = for_every_batch(p, c->sin, r->x);
    }
    return c->cos && c->sin;
}

static TgValue as_operator(TgPass *p, const Rotation *r)
{
    Caches c;
    if ((p->opset < 23 && !p->options->make_rotary) || pass_rank(p->g, r->x) != 4 || !is_half_rotation(&r->map) ||
        !caches_of(p, r, &c))
        return 0;
    return pass_op(p, TG_RotaryEmbedding, NULL, c.rows ? 4 : 3, r->x, c.cos, c.sin, c.rows);
}

/* --- signs into the table ------------------------------------------------------------------------------------------------------ */

/* The order without signs, where it exchanges two halves. */
static TgValue exchange_halves(TgPass *p, const Rotation *r)
{
    uint32_t half = r->map.n / 2;
    for (uint32_t i = 0; i < r->map.n; i++)
        if (r->map.index[i] != (i + half) % r->map.n)
            return 0;
    int64_t axis = pass_rank(p->g, r->x) - 1, sizes[2] = {half, half};
    TgValue in[2] = {r->x, pass_ints(p, 2, sizes)};
    TgNode split = tg_graph_add(p->g, TG_Split, tg_attrs(p->tg, TG_Split, "axis=i", axis), 2, in, 2);
    if (!split)
        return 0;
    const TgValue *part = tg_node(p->g, split)->out;
    return pass_op(p, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", axis), 2, part[1], part[0]);
}

static TgValue with_signs(TgPass *p, const Rotation *r)
{
    void *bytes;
    TgDtype dtype = tg_type_of(p->g, r->sin)->dtype;
    TgTensor *t = tg_tensor_blank(p->g->arena, dtype, 1, &(int64_t){r->map.n}, &bytes);
    for (uint32_t i = 0; i < r->map.n; i++)
        tg_store_float(dtype, bytes, i, r->map.factor[i]);
    return pass_op(p, TG_Mul, NULL, 2, r->sin, tg_graph_const(p->g, t, NULL));
}

static bool has_signs(const SignedMap *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->factor[i] < 0)
            return true;
    return false;
}

static TgValue as_exchange(TgPass *p, const Rotation *r)
{
    int64_t last = pass_dim(p->g, r->sin, -1);
    if (!has_signs(&r->map) || last != (int64_t)r->map.n)
        return 0;
    TgValue halves = exchange_halves(p, r), sin = halves ? with_signs(p, r) : 0;
    TgValue a = sin ? pass_op(p, TG_Mul, NULL, 2, r->x, r->cos) : 0, b = a ? pass_op(p, TG_Mul, NULL, 2, halves, sin) : 0;
    return b ? pass_op(p, TG_Add, NULL, 2, a, b) : 0;
}

bool rotate_by_tables(TgPass *p, TgNodeInfo *n)
{
    Rotation r;
    if (!read_rotation(p, n, &r) || !pass_may(p))
        return false;
    const char *name = "rotary-to-operator";
    TgValue made = as_operator(p, &r);
    if (!made) {
        name = "rotary-signs-into-table";
        made = as_exchange(p, &r);
    }
    if (!made || !same_type(p->g, made, n->out[0]))
        return false;
    pass_count(p, name);
    pass_replace(p, n->out[0], made, name);
    return true;
}
