/* Constants around rows that are looked up go into the table.
 *
 *     Gather(T, i) * c     = Gather(T * c, i)            c along the rows, or one number
 *     (.. Gather(T, i) ..) + r = (.. Gather(T + r, i) ..)    a sum: the smallest table takes the row r
 *     x + Gather(T, Expand(k)) = x + T[k]                the same row everywhere (token types nobody gave)
 *
 * A table that others read stays as it is: one that is tied to the last product stays tied. Reassociates. */
#include "fully_connected.h"
#include "step.h"

enum { FARTHEST = 8 /* sums between a row and the table that takes it */ };

/* v is rows of a constant matrix that may be changed; NULL: it is not. */
static const TgNodeInfo *lookup_at(const TgPass *p, TgValue v)
{
    const TgGraph *g = p->g;
    const TgNodeInfo *n = tg_producer(g, v, TG_Gather);
    if (!n || !tg_used_once(g, v) || tg_attr_int(n, "axis") != 0 || !is_const(g, n->in[0]) ||
        is_const(g, n->in[1]) || pass_rank(g, n->in[0]) != 2 ||
        !tg_is_float(tg_type_of(g, n->in[0])->dtype) || pass_rank(g, n->in[1]) < 1)
        return NULL;
    return is_changeable(g, n->in[0]) ? n : NULL;
}

/* The same rows after the table was combined with c. */
static TgValue look_up(TgPass *p, const TgNodeInfo *lookup, TgOp op, TgValue c)
{
    p->vouched = true;
    TgValue table = c ? pass_op(p, op, NULL, 2, lookup->in[0], c) : 0;
    p->vouched = false;
    return table && is_const(p->g, table) ? pass_op(p, TG_Gather, lookup->attrs, 2, table, lookup->in[1]) : 0;
}

static bool put(TgPass *p, TgValue old, TgValue made, const char *rewrite)
{
    if (!made || !same_type(p->g, made, old))
        return false;
    pass_count(p, rewrite);
    return pass_replace(p, old, made, rewrite);
}

/* --- factors ------------------------------------------------------------------------------------- */

static void scale_table(TgPass *p, const Step *s)
{
    const TgNodeInfo *lookup = lookup_at(p, s->x);
    TgValue c =
        lookup && is_sound_factor(p, s) ? along_last_axis(p, s->c, pass_dim(p->g, lookup->in[0], 1)) : 0;
    if (c && pass_may(p))
        put(p, s->node->out[0], look_up(p, lookup, s->node->op, c), "scale-into-table");
}

/* --- rows ---------------------------------------------------------------------------------------- */

/* The smallest table among the summands of v; nobody reads the sums in between. */
static const TgNodeInfo *smallest_lookup(const TgPass *p, TgValue v)
{
    TgValue open[FARTHEST + 1] = {v};
    const TgNodeInfo *best = NULL;
    for (uint32_t n = 1; n;) {
        TgValue at = open[--n];
        bool below = at == v || tg_used_once(p->g, at);
        const TgNodeInfo *sum = below ? tg_producer(p->g, at, TG_Add) : NULL, *lookup = lookup_at(p, at);
        if (lookup &&
            (!best || tg_const_of(p->g, lookup->in[0])->size < tg_const_of(p->g, best->in[0])->size))
            best = lookup;
        for (uint32_t i = 0; sum && i < 2 && n < FARTHEST; i++)
            open[n++] = sum->in[i];
    }
    return best;
}

/* The sum of all that v is added to, one after another. */
static TgValue whole_sum(const TgPass *p, TgValue v)
{
    for (uint32_t i = 0; i < FARTHEST && tg_used_once(p->g, v); i++) {
        const TgNodeInfo *reader = tg_node(p->g, tg_value(p->g, v)->uses.at[0].node);
        if (reader->op != TG_Add || pass_rank(p->g, reader->out[0]) < 0)
            break;
        v = reader->out[0];
    }
    return v;
}

/* `from`, a sum with step s in it, without its constant, which goes into the smallest table. */
static bool add_within(TgPass *p, TgValue from, const Step *s)
{
    const TgNodeInfo *lookup = smallest_lookup(p, from);
    int64_t size = lookup ? pass_dim(p->g, lookup->in[0], 1) : -1;
    TgValue c = lookup && size == pass_dim(p->g, from, -1) ? along_last_axis(p, s->c, size) : 0;
    TgValue without = c ? pass_rebuild(p, from, s->node->out[0], s->x) : 0;
    TgValue rows = without ? look_up(p, lookup, TG_Add, c) : 0;
    return rows && put(p, from, pass_rebuild(p, without, lookup->out[0], rows), "row-into-table");
}

static void add_to_table(TgPass *p, const Step *s)
{
    TgValue sum = s->node->out[0], whole = whole_sum(p, sum);
    if (pass_may(p) && !add_within(p, whole, s) && whole != sum)
        add_within(p, sum, s);
}

/* --- the same row everywhere --------------------------------------------------------------------- */

/* The one index that v repeats, as a constant of one element; 0: it does not. */
static TgValue repeated_index(TgPass *p, TgValue v)
{
    const TgNodeInfo *n = tg_producer(p->g, v, TG_Expand);
    const TgTensor *t = n ? tg_const_of(p->g, n->in[0]) : NULL;
    if (n)
        return t && t->count == 1 ? n->in[0] : 0;
    n = tg_producer(p->g, v, TG_ConstantOfShape);
    t = n ? tg_attr_tensor(n, "value") : NULL;
    return t && t->count == 1 && tg_is_integer(t->dtype) ? pass_int(p, tg_tensor_int(p->tg, t, 0)) : 0;
}

static bool add_one_row(TgPass *p, TgNodeInfo *n)
{
    for (uint32_t i = 0; i < 2; i++) {
        const TgNodeInfo *lookup = tg_producer(p->g, n->in[i], TG_Gather);
        TgValue index = lookup && tg_attr_int(lookup, "axis") == 0 && is_const(p->g, lookup->in[0]) &&
                                pass_rank(p->g, lookup->in[0]) == 2
                            ? repeated_index(p, lookup->in[1])
                            : 0;
        TgValue flat = index ? pass_op(p, TG_Reshape, NULL, 2, index, pass_ints(p, 0, &(int64_t){0})) : 0;
        TgValue row = flat ? pass_op(p, TG_Gather, NULL, 2, lookup->in[0], flat) : 0;
        TgValue operand[2] = {n->in[0], n->in[1]};
        operand[i] = row;
        if (row && is_const(p->g, row) && pass_may(p) &&
            put(p, n->out[0], pass_op(p, TG_Add, NULL, 2, operand[0], operand[1]), "one-row-of-table"))
            return true;
    }
    return false;
}

void pass_embedding(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->dead || info->n_out != 1 || !is_read(p->g, info->out[0]))
            continue;
        Step s;
        if (info->op == TG_Add && add_one_row(p, info))
            continue;
        if (read_step(p, info, &s) && is_factor(&s))
            scale_table(p, &s);
        else if (info->op == TG_Add && read_step(p, info, &s))
            add_to_table(p, &s);
    }
}
