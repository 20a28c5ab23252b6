/* Rotary embeddings written as complex numbers:  (c x1 - s x2, s x1 + c x2)  with x1, x2 the halves of
 * x, or its even and odd elements; put together by Concat, or by Unsqueeze, Concat and Reshape. Heads
 * before positions or behind them; the rest of x may follow unrotated. Or x is [.., size / 2, 2], complex
 * numbers with an axis of their own. It is RotaryEmbedding. */
#include "rotary.h"
#include "signed_map.h"
#include "views.h"

typedef struct {
    TgValue x, x1, x2, cos, sin;
    bool interleaved;
} Pairs;

/* --- reading ------------------------------------------------------------------------------------------ */

/* The two parts of that rank that v puts together along its last axis (interleaved: along one more, and views that). */
static bool parts_of(TgPass *p, TgValue v, TgValue part[2], int32_t rank, bool *interleaved)
{
    const TgNodeInfo *n = tg_producer(p->g, v, TG_Concat);
    *interleaved = n == NULL;
    if (!n) {
        const TgNodeInfo *reshape = tg_producer(p->g, v, TG_Reshape);
        n = reshape ? tg_producer(p->g, reshape->in[0], TG_Concat) : NULL;
        if (!n || pass_rank(p->g, n->out[0]) != rank + 1)
            return false;
    }
    int64_t axis = tg_attr_int(n, "axis");
    if (n->n_in != 2 || (axis != -1 && axis != pass_rank(p->g, n->out[0]) - 1))
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        const TgNodeInfo *unsqueeze = *interleaved ? tg_producer(p->g, n->in[i], TG_Unsqueeze) : NULL;
        if (*interleaved && (!unsqueeze || pass_dim(p->g, n->in[i], -1) != 1 ||
                             pass_rank(p->g, unsqueeze->in[0]) != rank))
            return false;
        part[i] = unsqueeze ? unsqueeze->in[0] : n->in[i];
    }
    return true;
}

/* v = table * x; either order. */
static bool is_term(const TgGraph *g, TgValue v, TgValue table, TgValue x)
{
    const TgNodeInfo *n = tg_producer(g, v, TG_Mul);
    return n && ((n->in[0] == table && n->in[1] == x) || (n->in[1] == table && n->in[0] == x));
}

enum { ROLES = 4 }; /* which factor of either product is the table */

/* real = c x1 - s x2, imaginary = s x1 + c x2, if the factors have these roles. Read with all roles exchanged (x for
 * the tables) that is another rotation of the same form: so the first roles that fit need not be the right ones. */
static bool read_rotation(const TgGraph *g, TgValue real, TgValue imaginary, uint32_t roles, Pairs *q)
{
    const TgNodeInfo *sub = tg_producer(g, real, TG_Sub), *add = tg_producer(g, imaginary, TG_Add);
    const TgNodeInfo *a = sub ? tg_producer(g, sub->in[0], TG_Mul) : NULL,
                     *b = sub ? tg_producer(g, sub->in[1], TG_Mul) : NULL;
    if (!a || !b || !add)
        return false;
    q->cos = a->in[roles & 1];
    q->x1 = a->in[!(roles & 1)];
    q->sin = b->in[roles >> 1];
    q->x2 = b->in[!(roles >> 1)];
    for (uint32_t k = 0; k < 2; k++)
        if (is_term(g, add->in[k], q->sin, q->x1) && is_term(g, add->in[1 - k], q->cos, q->x2))
            return true;
    return false;
}

/* v holds the elements start, start + step, ... of the last axes of x, `tail` of them. */
static bool is_stride(TgPass *p, TgValue v, TgValue x, uint32_t start, uint32_t step, int32_t tail)
{
    SignedMap m;
    if (!signed_map(p, v, 1, x, &m) || m.source != x || m.tail != tail)
        return false;
    for (uint32_t i = 0; i < m.n; i++)
        if (m.index[i] != start + i * step || m.factor[i] != 1)
            return false;
    return true;
}

/* x, of the type of `like`, of which x1 and x2 are halves (or even and odd elements) of the first `size`
 * ones; 0: they are not. */
static TgValue common_source(TgPass *p, const Pairs *q, uint32_t size, TgValue like)
{
    uint32_t step = q->interleaved ? 2 : 1, second = q->interleaved ? 1 : size / 2;
    TgValue x = q->x1;
    for (uint32_t i = 0; i < 4; i++) {
        const TgValueInfo *info = tg_value(p->g, x);
        const TgNodeInfo *n = info->origin == TG_V_RESULT ? tg_node(p->g, info->node) : NULL;
        bool takes = n && (n->op == TG_Slice || n->op == TG_Split || n->op == TG_Gather);
        if (!takes && !(n && is_view(n->op)))
            return 0;
        x = n->in[0];
        if (same_type(p->g, x, like) && is_stride(p, q->x1, x, 0, step, 1) &&
            is_stride(p, q->x2, x, second, step, 1))
            return x;
    }
    return 0;
}

/* [.., size / 2, 2] of which x1 and x2 are the places along the last axis; 0: they are not. */
static TgValue axis_of_two(TgPass *p, const Pairs *q)
{
    TgValue x = q->x1;
    for (uint32_t i = 0; i < 3 && tg_value(p->g, x)->origin == TG_V_RESULT; i++) {
        x = in(tg_node(p->g, tg_value(p->g, x)->node), 0);
        if (x && pass_rank(p->g, x) == 5 && pass_dim(p->g, x, -1) == 2 && is_stride(p, q->x1, x, 0, 2, 2) &&
            is_stride(p, q->x2, x, 1, 2, 2))
            return x;
    }
    return 0;
}

/* Of positions, and of a batch or heads that broadcast: leading axes may be left out. */
static bool is_table(const TgPass *p, TgValue v)
{
    int32_t rank = pass_rank(p->g, v);
    return rank >= 2 && rank <= 4;
}

/* v is the rotation of x, or of its first part where `like`, which has the type of x, is larger. */
static bool read_pairs(TgPass *p, TgValue v, TgValue like, Pairs *q)
{
    TgValue part[2];
    int64_t size = pass_dim(p->g, v, -1);
    if (pass_rank(p->g, v) != 4 || size < 2 || size % 2 || !parts_of(p, v, part, 4, &q->interleaved))
        return false;
    for (uint32_t roles = 0; roles < ROLES; roles++) {
        if (!read_rotation(p->g, part[0], part[1], roles, q))
            continue;
        q->x = common_source(p, q, (uint32_t)size, like);
        if (q->x && is_table(p, q->cos) && is_table(p, q->sin))
            return true;
    }
    return false;
}

/* The view v of rotated complex numbers with an axis of their own; q->x is that, before it is flattened. */
static bool read_complex(TgPass *p, TgValue v, Pairs *q)
{
    TgValue part[2];
    if (!parts_of(p, v, part, 4, &q->interleaved) || !q->interleaved)
        return false;
    for (uint32_t roles = 0; roles < ROLES; roles++)
        if (read_rotation(p->g, part[0], part[1], roles, q) && is_table(p, q->cos) && is_table(p, q->sin) &&
            (q->x = axis_of_two(p, q)))
            return true;
    return false;
}

/* --- writing ------------------------------------------------------------------------------------------ */

static TgValue exchange_axes(TgPass *p, TgValue v)
{
    return pass_op(p, TG_Transpose, transpose_attrs(p->tg, 4, (int64_t[]){0, 2, 1, 3}), 1, v);
}

static TgValue with_four_axes(TgPass *p, TgValue v)
{
    int64_t axis[2] = {0, 1};
    int32_t rank = pass_rank(p->g, v);
    return rank == 4 ? v : pass_op(p, TG_Unsqueeze, NULL, 2, v, pass_ints(p, (uint32_t)(4 - rank), axis));
}

/* Complex numbers with an axis of their own, [.., half, 2], as [.., size]. */
static TgValue without_axis_of_two(TgPass *p, TgValue v)
{
    const TgType *from = tg_type_of(p->g, v);
    TgDim dim[4] = {from->dim[0], from->dim[1], from->dim[2], tg_dim_mul(p->tg, from->dim[3], from->dim[4])};
    int64_t target[TG_MAX_RANK];
    if (!constant_target(from, tg_type(p->tg, from->dtype, 4, dim), target))
        return 0;
    return pass_op(p, TG_Reshape, NULL, 2, v, pass_ints(p, 4, target));
}

/* `out` is the rotation of x, or of its first `part` elements (0: of all), viewed if it has another rank. */
static bool write_pairs(TgPass *p, Pairs q, TgValue out, int64_t part)
{
    RotaryCaches c;
    if (!pass_may(p))
        return false;
    if (pass_rank(p->g, q.x) == 5)
        q.x = without_axis_of_two(p, q.x);
    if (!q.x)
        return false;
    q.cos = with_four_axes(p, q.cos);
    q.sin = q.cos ? with_four_axes(p, q.sin) : 0;
    if (!q.sin)
        return false;
    bool heads_first = tg_dim_is(tg_type_of(p->g, q.cos)->dim[1], 1);
    if (!heads_first) {
        q.x = exchange_axes(p, q.x);
        q.cos = q.x ? exchange_axes(p, q.cos) : 0;
        q.sin = q.cos ? exchange_axes(p, q.sin) : 0;
    }
    if (!q.sin || !q.cos || !rotary_caches(p, q.x, q.cos, q.sin, TABLE_ONE_HALF, &c))
        return false;
    const TgAttrs *attrs = tg_attrs(p->tg, TG_RotaryEmbedding, "interleaved=i rotary_embedding_dim=i",
                                    (int64_t)q.interleaved, part);
    TgValue made = pass_op(p, TG_RotaryEmbedding, attrs, c.rows ? 4 : 3, q.x, c.cos, c.sin, c.rows);
    if (made && !heads_first)
        made = exchange_axes(p, made);
    const TgNodeInfo *view = tg_producer(p->g, out, TG_Reshape);
    if (made && view && pass_rank(p->g, out) != 4)
        made = pass_op(p, TG_Reshape, view->attrs, 2, made, view->in[1]);
    if (!made || !same_type(p->g, made, out))
        return false;
    pass_count(p, "rotary-pairs");
    pass_replace(p, out, made, "rotary-pairs");
    return true;
}

bool rotate_pairs(TgPass *p, TgNodeInfo *n)
{
    Pairs q;
    if (!rotary_allowed(p, n->out[0]))
        return false;
    if (read_pairs(p, n->out[0], n->out[0], &q) || read_complex(p, n->out[0], &q))
        return write_pairs(p, q, n->out[0], 0);
    if (pass_rank(p->g, n->out[0]) != 4)
        return false;
    int64_t size = n->op == TG_Concat && n->n_in == 2 ? pass_dim(p->g, n->in[0], -1) : 0;
    if (size < 2 || !read_pairs(p, n->in[0], n->out[0], &q))
        return false;
    return is_stride(p, n->in[1], q.x, (uint32_t)size, 1, 1) && write_pairs(p, q, n->out[0], size);
}
