/* RotaryEmbedding on what projections give: [batch, positions, heads * size], heads split by the operator
 * itself.
 *
 *   RotaryEmbedding(Transpose(Reshape(x)))   becomes   Transpose(Reshape(RotaryEmbedding(x; num_heads)))
 *   Concat(RotaryEmbedding(first part of x), rest of x)   becomes  RotaryEmbedding(x; rotary_embedding_dim)
 *   RotaryEmbedding(x, Gather(cos, p), Gather(sin, p))    becomes  RotaryEmbedding(x, cos, sin, p)
 *
 * The views that split heads then lie behind the operator, where Attention takes them away. */
#include "axes.h"
#include "rotary.h"
#include "signed_map.h"

/* --- heads -------------------------------------------------------------------------------------------- */

/* x back to a value of axes (batch)(positions)(heads size) without a node in between that stays. */
static bool find_merged(Alphabet *abc, AxisMap map, const Word *axis, AxisMap *found)
{
    enum { MOST = 8 };
    bool any = false;
    for (uint32_t i = 0; i < MOST && axes_back(abc, &map, &map); i++)
        if (axes_arrange_cost(abc, &map, 3, axis) == 0) {
            *found = map;
            any = true;
        }
    return any;
}

bool rotate_merged_heads(TgPass *p, TgNodeInfo *n)
{
    Alphabet abc = {.g = p->g};
    AxisMap x, merged;
    int64_t heads;
    if (pass_rank(p->g, n->in[0]) != 4 || !tg_dim_known(tg_type_of(p->g, n->in[0])->dim[1], &heads) ||
        !axes_start(&abc, n->in[0], &x))
        return false;
    Word axis[3] = {x.axis[0], x.axis[2], axes_join(&abc, 2, (Word[]){x.axis[1], x.axis[3]})};
    if (!find_merged(&abc, x, axis, &merged) || !pass_may(p))
        return false;
    TgAttrBuild b;
    tg_attrs_from(&b, p->tg, n->attrs);
    tg_attrs_int(&b, "num_heads", heads);
    const TgAttrs *attrs = tg_attrs_end(&b, TG_RotaryEmbedding);
    merged.v = pass_op(p, TG_RotaryEmbedding, attrs, n->n_in, merged.v, n->in[1], n->in[2], in(n, 3));
    TgValue made = merged.v ? axes_arrange(p, &abc, &merged, 4, x.axis) : 0;
    if (!made || !same_type(p->g, made, n->out[0]))
        return false;
    pass_count(p, "rotary-on-merged-heads");
    pass_replace(p, n->out[0], made, "rotary-on-merged-heads");
    return true;
}

/* --- parts -------------------------------------------------------------------------------------------- */

/* v is [first, first + n) of the last axis of x, whatever cut it out. */
static bool is_part(TgPass *p, TgValue v, TgValue x, uint32_t first)
{
    SignedMap m;
    if (!signed_map(p, v, 1, x, &m) || m.source != x || m.tail != 1)
        return false;
    for (uint32_t i = 0; i < m.n; i++)
        if (m.index[i] != first + i || m.factor[i] != 1)
            return false;
    return true;
}

/* What v was cut from by one Slice or Split. */
static TgValue cut_from(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    const TgNodeInfo *n = info->origin == TG_V_RESULT ? tg_node(g, info->node) : NULL;
    return n && (n->op == TG_Slice || n->op == TG_Split) ? n->in[0] : 0;
}

bool rotate_part(TgPass *p, TgNodeInfo *n)
{
    const TgNodeInfo *rotary = n->n_in == 2 ? tg_producer(p->g, n->in[0], TG_RotaryEmbedding) : NULL;
    TgValue x = rotary ? cut_from(p->g, rotary->in[0]) : 0;
    int64_t size = rotary ? pass_dim(p->g, rotary->in[0], -1) : -1;
    if (!x || size < 2 || !tg_used_once(p->g, n->in[0]) || tg_attr_int(rotary, "rotary_embedding_dim") ||
        pass_rank(p->g, x) != 4 || !same_type(p->g, x, n->out[0]) || !is_part(p, rotary->in[0], x, 0) ||
        !is_part(p, n->in[1], x, (uint32_t)size) || !pass_may(p))
        return false;
    TgAttrBuild b;
    tg_attrs_from(&b, p->tg, rotary->attrs);
    tg_attrs_int(&b, "rotary_embedding_dim", size);
    const TgAttrs *attrs = tg_attrs_end(&b, TG_RotaryEmbedding);
    TgValue made =
        pass_op(p, TG_RotaryEmbedding, attrs, rotary->n_in, x, rotary->in[1], rotary->in[2], in(rotary, 3));
    if (!made || !same_type(p->g, made, n->out[0]))
        return false;
    pass_count(p, "partial-rotary");
    pass_replace(p, n->out[0], made, "partial-rotary");
    return true;
}

/* --- positions -------------------------------------------------------------------------------------------- */

/* The table whose rows v holds for positions [batch, length]; 0: it does not, or somebody else needs v. */
static TgValue table_of(const TgGraph *g, TgValue v, TgValue *positions)
{
    const TgNodeInfo *n = tg_producer(g, v, TG_Gather);
    if (!n || tg_attr_int(n, "axis") != 0 || pass_rank(g, n->in[0]) != 2 || pass_rank(g, n->in[1]) != 2 ||
        !tg_used_once(g, v))
        return 0;
    *positions = n->in[1];
    return n->in[0];
}

bool rotate_by_positions(TgPass *p, TgNodeInfo *n)
{
    TgValue rows = 0, others = 0;
    TgValue cos = in(n, 3) ? 0 : table_of(p->g, n->in[1], &rows),
            sin = cos ? table_of(p->g, n->in[2], &others) : 0;
    if (!sin || rows != others || tg_type_of(p->g, rows)->dtype != TG_i64 || !pass_may(p))
        return false;
    TgValue made = pass_op(p, TG_RotaryEmbedding, n->attrs, 4, n->in[0], cos, sin, rows);
    if (!made || !same_type(p->g, made, n->out[0]))
        return false;
    pass_count(p, "rotary-by-positions");
    pass_replace(p, n->out[0], made, "rotary-by-positions");
    return true;
}
