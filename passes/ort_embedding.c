/* EmbedLayerNormalization of com.microsoft: the LayerNormalization of
 *
 *     words[ids] + positions[0 .. S-1] + segments[segment ids]
 *
 * in any order, the segments being optional. Rows of positions that are 0 .. S-1, however they are counted
 * (positions.h), are the operator's own; others are handed to it. A constant [1, S, H] is a table of positions
 * as well. Indices must not be negative: the kernel does not count from the end as Gather does. Needs:
 * LayerNormalization recognised. Breaks: nothing; no pass looks into it again. */
#include "pass.h"
#include "positions.h"

enum { SUMMANDS = 3 };

typedef struct {
    TgValue table, ids; /* ids 0: those of 0 .. S-1 */
} Lookup;

typedef struct {
    TgPass *p;
    const TgNodeInfo *norm;
    const TgType *type; /* of the sum: [B, S, H] */
    uint32_t n_rows;
    Lookup rows[2]; /* words and segments: which is which does not matter */
    bool has_positions;
    Lookup positions;
} Embedding;

/* Elements are 0, 1, 2 ... along the last axis, of S elements, for every batch the same. */
static bool counts(const Embedding *e, TgValue ids)
{
    Alphabet abc = {.g = e->p->g};
    AxisMap map;
    Position position;
    const TgType *t = tg_type_of(e->p->g, ids);
    bool rows = t->rank == 1 || (t->rank == 2 && (tg_dim_is(t->dim[0], 1) || t->dim[0] == e->type->dim[0]));
    return rows && t->dim[t->rank - 1] == e->type->dim[1] && axes_start(&abc, ids, &map) &&
           position_of(&abc, &map, &position) && tg_dim_is(position.base, 0) &&
           position_is_index(&abc, &position, &map.axis[map.rank - 1]);
}

static bool add_positions(Embedding *e, TgValue table, TgValue ids)
{
    if (e->has_positions)
        return false;
    e->has_positions = true;
    e->positions = (Lookup){table, ids};
    return true;
}

/* What does not depend on the batch. */
static bool add_constant(Embedding *e, TgValue v)
{
    TgPass *p = e->p;
    int32_t rank = pass_rank(p->g, v);
    bool is_row = rank == 2 || (rank == 3 && pass_dim(p->g, v, 0) == 1);
    if (!is_const(p->g, v) || !is_row)
        return false;
    int64_t sizes[2] = {pass_dim(p->g, v, -2), pass_dim(p->g, v, -1)};
    if (!tg_dim_is(e->type->dim[1], sizes[0]) || !tg_dim_is(e->type->dim[2], sizes[1]))
        return false;
    p->vouched = true;
    TgValue table = rank == 2 ? v : pass_op(p, TG_Reshape, NULL, 2, v, pass_ints(p, 2, sizes));
    p->vouched = false;
    return table && add_positions(e, table, 0);
}

static bool add_summand(Embedding *e, TgValue v)
{
    const TgGraph *g = e->p->g;
    const TgNodeInfo *n = tg_producer(g, v, TG_Gather);
    if (!n || tg_attr_int(n, "axis") != 0 || !is_const(g, n->in[0]) || pass_rank(g, n->in[0]) != 2)
        return add_constant(e, v);
    const TgType *t = tg_type_of(g, n->in[1]);
    if (counts(e, n->in[1]))
        return add_positions(e, n->in[0], 0);
    if (t->rank != 2 || t->dim[1] != e->type->dim[1])
        return false;
    if (t->dim[0] == e->type->dim[0] && e->n_rows < 2)
        e->rows[e->n_rows++] = (Lookup){n->in[0], n->in[1]};
    else
        return tg_dim_is(t->dim[0], 1) && add_positions(e, n->in[0], n->in[1]);
    return true;
}

/* The summands of a sum that nothing else reads. */
static bool read_sum(Embedding *e, TgValue sum)
{
    const TgGraph *g = e->p->g;
    TgValue pending[SUMMANDS] = {sum};
    for (uint32_t waiting = 1; waiting;) {
        TgValue v = pending[--waiting];
        const TgNodeInfo *add = tg_used_once(g, v) ? tg_producer(g, v, TG_Add) : NULL;
        if (add && waiting + 2 <= SUMMANDS) {
            pending[waiting++] = add->in[0];
            pending[waiting++] = add->in[1];
        } else if (!add_summand(e, v)) {
            return false;
        }
    }
    return e->n_rows && e->has_positions;
}

/* The kernel takes i32 only. 0 stays 0. */
static TgValue narrow(TgPass *p, TgValue ids)
{
    bool is_narrow = !ids || tg_type_of(p->g, ids)->dtype == TG_i32;
    return is_narrow ? ids : pass_cast(p, ids, TG_i32);
}

static bool make(const Embedding *e)
{
    TgPass *p = e->p;
    const TgNodeInfo *norm = e->norm;
    const Lookup *words = &e->rows[0], *segments = &e->rows[1];
    TgValue operand[9] = {narrow(p, words->ids),
                          narrow(p, segments->ids),
                          words->table,
                          e->positions.table,
                          segments->table,
                          norm->in[1],
                          norm->in[2],
                          0,
                          narrow(p, e->positions.ids)};
    double epsilon = tg_attr_float(norm, "epsilon");
    const TgAttrs *attrs = tg_attrs(p->tg, TG_ms_EmbedLayerNormalization, "epsilon=f", epsilon);
    TgNode node = tg_graph_add(p->g, TG_ms_EmbedLayerNormalization, attrs, operand[8] ? 9 : 7, operand, 2);
    TgValue made = node ? tg_node(p->g, node)->out[0] : 0;
    if (!made || !same_type(p->g, made, norm->out[0]))
        return false;
    pass_count(p, "ort-embedding");
    return pass_replace(p, norm->out[0], made, "ort-embedding");
}

/* The kernel takes [batch, sequence, hidden] and wants a bias. */
static bool fits(Embedding *e)
{
    const TgNodeInfo *n = e->norm;
    int64_t axis = tg_attr_int(n, "axis");
    e->type = tg_type_of(e->p->g, n->in[0]);
    return n->n_out == 1 && in(n, 2) && is_read(e->p->g, n->out[0]) && tg_is_tensor(e->type) &&
           e->type->rank == 3 && target_has_kernel(e->p, TG_ms_EmbedLayerNormalization, n->in[0]) &&
           (axis == -1 || axis == 2);
}

void pass_ort_embedding(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *norm = tg_node(p->g, nodes[i]);
        Embedding e = {.p = p, .norm = norm};
        if (!norm->dead && norm->op == TG_LayerNormalization && fits(&e) && pass_may(p) &&
            read_sum(&e, norm->in[0]))
            make(&e);
    }
}
