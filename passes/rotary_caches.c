/* Tables of cosines and sines as RotaryEmbedding wants them: one column for two elements, [batch,
 * positions, half]. Exporters write each column twice, for halves (Concat(f, f)) or for pairs
 * (repeat_interleave); that they are equal is proved through what made the table: constants by value,
 * Cos, Sin, casts, factors, lookups by position. */
#include "axes.h"
#include "rotary.h"

bool rotary_allowed(const TgPass *p, TgValue x)
{
    enum { SINCE = 23 };
    TgDtype dtype = tg_type_of(p->g, x)->dtype;
    bool has_type = dtype == TG_f32 || dtype == TG_f16 || dtype == TG_bf16; /* the standard has no other */
    return has_type && (p->opset >= SINCE || p->options->make_rotary);
}

/* One of each two equal columns of table t, as `width` says that they lie; 0: not proved equal. Depth is
 * bounded. */
static TgValue half_of(TgPass *p, TgValue t, TableWidth width, uint32_t depth);

static TgValue half_of_constant(TgPass *p, TgValue t, TableWidth width)
{
    const TgTensor *data = tg_const_of(p->g, t);
    int64_t size = pass_dim(p->g, t, -1), half = size / 2, axis = pass_rank(p->g, t) - 1;
    bool pairs = width == TABLE_PAIRS;
    if (data->payload == TG_RECIPE || data->count > 1 << 22 || size < 2 || size % 2)
        return 0;
    for (size_t i = 0; i < data->count; i++) {
        int64_t column = (int64_t)(i % (size_t)size);
        size_t twin = i + (pairs ? 1 : (size_t)half);
        if ((pairs ? column % 2 == 0 : column < half) &&
            tg_tensor_float(p->tg, data, i) != tg_tensor_float(p->tg, data, twin))
            return 0;
    }
    return pass_slice(p, t, 0, pairs ? size : half, axis, pairs ? 2 : 1);
}

/* Views and repetitions that end in the repetition of the last axis alone: what was repeated. */
static TgValue half_of_views(TgPass *p, TgValue t, TableWidth width)
{
    enum { MOST = 6 };
    Alphabet abc = {.g = p->g};
    AxisMap map, whole;
    Word part[2], axis[AXES_RANK];
    TgDim half, two = tg_dim(p->tg, 2);
    if (!axes_start(&abc, t, &whole) || whole.rank < 1 ||
        !tg_dim_exact_div(p->tg, tg_type_of(p->g, t)->dim[whole.rank - 1], two, &half))
        return 0;
    bool pairs = width == TABLE_PAIRS;
    if (!axes_divide(&abc, &whole.axis[whole.rank - 1], pairs ? half : two, pairs ? two : half, &part[0],
                     &part[1]))
        return 0;
    for (int32_t i = 0; i < whole.rank; i++)
        axis[i] = whole.axis[i];
    axis[whole.rank - 1] = part[pairs ? 0 : 1];
    map = whole;
    for (uint32_t i = 0; i < MOST && axes_back(&abc, &map, &map); i++)
        if (axes_arrange_cost(&abc, &map, (uint32_t)whole.rank, axis) < AXES_NO_WAY)
            return axes_arrange(p, &abc, &map, (uint32_t)whole.rank, axis);
    return 0;
}

static TgValue half_of_binary(TgPass *p, const TgNodeInfo *n, TableWidth width, uint32_t depth)
{
    for (uint32_t i = 0; i < 2; i++)
        if (is_const(p->g, n->in[1 - i]) &&
            (pass_rank(p->g, n->in[1 - i]) == 0 || pass_dim(p->g, n->in[1 - i], -1) == 1)) {
            TgValue half = half_of(p, n->in[i], width, depth);
            return !half ? 0
                   : i   ? pass_op(p, n->op, n->attrs, 2, n->in[0], half)
                         : pass_op(p, n->op, n->attrs, 2, half, n->in[1]);
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

static TgValue half_of(TgPass *p, TgValue t, TableWidth width, uint32_t depth)
{
    if (is_const(p->g, t))
        return half_of_constant(p, t, width);
    if (tg_value(p->g, t)->origin != TG_V_RESULT || depth == 0)
        return 0;
    const TgNodeInfo *n = tg_node(p->g, tg_value(p->g, t)->node);
    if (leaves_last_axis(p, n)) {
        TgValue half = half_of(p, n->in[0], width, depth - 1);
        return half ? pass_op(p, n->op, n->attrs, n->n_in, half, in(n, 1), in(n, 2), in(n, 3), in(n, 4)) : 0;
    }
    if (n->op == TG_Mul || n->op == TG_Div)
        return half_of_binary(p, n, width, depth - 1);
    return half_of_views(p, t, width);
}

/* The table [batch or 1, 1, positions, columns] halved, without the axes of size 1 that `axes` says; 0:
 * it does not fit x. */
static TgValue cache_of(TgPass *p, TgValue table, TableWidth width, TgValue x, uint32_t n,
                        const int64_t *axes)
{
    const TgType *t = tg_type_of(p->g, table), *want = tg_type_of(p->g, x);
    if (pass_rank(p->g, table) != 4 || !tg_dim_is(t->dim[1], 1) || t->dim[2] != want->dim[2] ||
        (t->dim[0] != want->dim[0] && !tg_dim_is(t->dim[0], 1)))
        return 0;
    TgValue half = width == TABLE_ONE_HALF ? table : half_of(p, table, width, 8);
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
    TgValue shape =
        batch ? pass_op(p, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0), 2, batch, ones) : 0;
    return shape ? pass_op(p, TG_Expand, NULL, 2, cache, shape) : 0;
}

bool rotary_caches(TgPass *p, TgValue x, TgValue cos, TgValue sin, TableWidth width, RotaryCaches *c)
{
    static const int64_t heads[] = {1}, both[] = {0, 1};
    TgDim batch = tg_type_of(p->g, x)->dim[0];
    *c = (RotaryCaches){0};
    if (pass_rank(p->g, cos) == 4 && tg_type_of(p->g, cos)->dim[0] == batch) {
        c->cos = cache_of(p, cos, width, x, 1, heads);
        c->sin = c->cos ? cache_of(p, sin, width, x, 1, heads) : 0;
        return c->sin && same_type(p->g, c->cos, c->sin);
    }
    c->rows = same_rows(p, x);
    c->cos = cache_of(p, cos, width, x, c->rows ? 2 : 1, c->rows ? both : heads);
    c->sin = c->cos ? cache_of(p, sin, width, x, c->rows ? 2 : 1, c->rows ? both : heads) : 0;
    if (c->sin && !c->rows) {
        c->cos = for_every_batch(p, c->cos, x);
        c->sin = for_every_batch(p, c->sin, x);
    }
    return c->cos && c->sin;
}
