/* Rotary embeddings whose tables vary by position:  y = x * cos + rotate(x) * sin  (RoFormer, Su et al. 2021).
 *
 * rotate is a signed permutation of the last axis with signs only. Two ways to write it better:
 *   RotaryEmbedding (ai.onnx 23), for rotate = (-second half, first half) of [batch, heads, positions, size] when both
 *   halves of either table are proved equal;
 *   otherwise the signs move into the table of sines, shared by all layers, so that rotate is Split and Concat
 * alone. */
#include "rotary.h"
#include "signed_map.h"

typedef struct {
    TgValue x, cos, sin;
    TgValue rotated; /* of x */
    SignedMap map;   /* rotated in terms of x */
} Rotation;

/* --- reading ------------------------------------------------------------------------------------------------------ */

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
    return x != rotated && same_type(p->g, x, rotated) && signed_map(p, rotated, 1, x, m) && m->source == x &&
           m->tail == 1 && only_signs(m) && !is_identity_order(m, tail_size(p->g, x, 1));
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

/* --- RotaryEmbedding ---------------------------------------------------------------------------------------------- */

/* (-second half, first half) */
static bool is_half_rotation(const SignedMap *m)
{
    uint32_t half = m->n / 2;
    for (uint32_t i = 0; i < m->n; i++)
        if (m->index[i] != (i + half) % m->n || m->factor[i] != (i < half ? -1 : 1))
            return false;
    return m->n % 2 == 0;
}

/* Neighbours: (-second, first) of every pair. */
static bool is_pair_rotation(const SignedMap *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->index[i] != (i ^ 1) || m->factor[i] != (i % 2 ? 1 : -1))
            return false;
    return m->n % 2 == 0;
}

static TgValue as_operator(TgPass *p, const Rotation *r)
{
    RotaryCaches c;
    bool half = is_half_rotation(&r->map), pair = is_pair_rotation(&r->map);
    if (!rotary_allowed(p, r->x) || pass_rank(p->g, r->x) != 4 || (!half && !pair) ||
        !rotary_caches(p, r->x, r->cos, r->sin, half ? TABLE_TWO_HALVES : TABLE_PAIRS, &c))
        return 0;
    const TgAttrs *attrs = half ? NULL : tg_attrs(p->tg, TG_RotaryEmbedding, "interleaved=i", (int64_t)1);
    return pass_op(p, TG_RotaryEmbedding, attrs, c.rows ? 4 : 3, r->x, c.cos, c.sin, c.rows);
}

/* --- signs into the table ----------------------------------------------------------------------------------------- */

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
    TgValue a = sin ? pass_op(p, TG_Mul, NULL, 2, r->x, r->cos) : 0,
            b = a ? pass_op(p, TG_Mul, NULL, 2, halves, sin) : 0;
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
