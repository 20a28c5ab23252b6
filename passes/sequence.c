/* Sequences that are only looked into are not needed: a SplitToSequence read at known places becomes a
 * Split, an item of a SequenceConstruct itself, a ConcatFromSequence of one a Concat. Exporters write
 * torch's split and stack so. Needs: known positions and sizes. Breaks: nothing. */
#include "pass.h"
#include "views.h"

enum { MOST = 64 }; /* items of a sequence */

static bool number(const TgPass *p, TgValue v, int64_t *x)
{
    uint32_t n;
    return v && tg_const_ints(p->g, v, 1, x, &n) && n == 1;
}

/* The item that a reader of a sequence of n items takes; -1: it is no SequenceAt, or nobody knows. */
static int64_t item_taken(const TgPass *p, TgUse use, uint32_t n)
{
    const TgNodeInfo *reader = tg_node(p->g, use.node);
    int64_t at;
    if (reader->op != TG_SequenceAt || use.slot != 0 || !number(p, reader->in[1], &at))
        return -1;
    at = at < 0 ? at + n : at;
    return at < n ? at : -1;
}

/* --- Split ------------------------------------------------------------------------------------- */

/* Sizes that add up to the whole axis. */
static uint32_t listed_sizes(const TgPass *p, TgValue list, int64_t whole, int64_t *size)
{
    uint32_t count = 0, i = 0;
    if (!tg_const_ints(p->g, list, MOST, size, &count))
        return 0;
    for (; i < count && size[i] >= 0 && size[i] <= whole; i++)
        whole -= size[i];
    return i == count && whole == 0 ? count : 0;
}

/* Sizes of the pieces; 0: not known, too many, or pieces that lose the axis. */
static uint32_t piece_sizes(const TgPass *p, const TgNodeInfo *n, int64_t *size)
{
    int64_t whole = pass_dim(p->g, n->in[0], (int32_t)tg_attr_int(n, "axis")), each = 1;
    uint32_t count = 0;
    if (whole < 0 || (!in(n, 1) && !tg_attr_int(n, "keepdims")))
        return 0;
    if (in(n, 1) && pass_rank(p->g, n->in[1]) != 0)
        return listed_sizes(p, n->in[1], whole, size);
    if ((in(n, 1) && !number(p, n->in[1], &each)) || each < 1 || (whole - 1) / each >= MOST)
        return 0;
    for (int64_t done = 0; done < whole; done += each)
        size[count++] = whole - done < each ? whole - done : each;
    return count;
}

static void split(TgPass *p, const TgNodeInfo *n)
{
    int64_t size[MOST];
    const TgValueInfo *sequence = tg_value(p->g, n->out[0]);
    uint32_t count = piece_sizes(p, n, size), readers = sequence->uses.n;
    bool known = count && readers && !sequence->returned;
    for (uint32_t i = 0; known && i < readers; i++)
        known = item_taken(p, sequence->uses.at[i], count) >= 0;
    if (!known || !pass_may(p))
        return;
    TgValue operands[] = {n->in[0], pass_ints(p, count, size)};
    const TgAttrs *attrs = tg_attrs(p->tg, TG_Split, "axis=i", tg_attr_int(n, "axis"));
    TgNode made = tg_graph_add(p->g, TG_Split, attrs, 2, operands, count);
    if (!made)
        return;
    pass_count(p, "split-of-sequence");
    for (uint32_t i = 0; i < readers; i++) {
        TgUse use = sequence->uses.at[i];
        TgValue piece = tg_node(p->g, made)->out[item_taken(p, use, count)];
        pass_replace(p, tg_node(p->g, use.node)->out[0], piece, "split-of-sequence");
    }
}

/* Row i of what was split into rows, wherever i comes from, is gathered. */
static void take_row(TgPass *p, const TgNodeInfo *n)
{
    const TgNodeInfo *split = tg_producer(p->g, n->in[0], TG_SplitToSequence);
    TgValue at = n->in[1];
    if (!split || in(split, 1) || pass_rank(p->g, at) != 0 || !pass_may(p))
        return;
    TgValue x = split->in[0];
    const TgAttrs *attrs = tg_attrs(p->tg, TG_Gather, "axis=i", tg_attr_int(split, "axis"));
    if (tg_attr_int(split, "keepdims")) {
        TgValue first = pass_ints(p, 1, (int64_t[]){0});
        at = pass_op(p, TG_Unsqueeze, NULL, 2, at, first);
    }
    TgValue row = at ? pass_op(p, TG_Gather, attrs, 2, x, at) : 0;
    if (!row)
        return;
    pass_count(p, "row-of-sequence");
    pass_replace(p, n->out[0], row, "row-of-sequence");
}

/* --- items and Concat ------------------------------------------------------------------------------------ */

static void take_item(TgPass *p, const TgNodeInfo *n)
{
    const TgNodeInfo *made = tg_producer(p->g, n->in[0], TG_SequenceConstruct);
    int64_t at;
    if (!made || !number(p, n->in[1], &at))
        return;
    at = at < 0 ? at + made->n_in : at;
    if (at >= 0 && at < made->n_in && pass_allow(p, "item-of-sequence"))
        pass_replace(p, n->out[0], made->in[at], "item-of-sequence");
}

/* A tensor that was split along one axis, into however many pieces, and is put together again: itself if the axis is
 * the same, else, where rows were stacked along a new one, a Transpose. */
static void rejoin(TgPass *p, const TgNodeInfo *n, const TgNodeInfo *split)
{
    int64_t from = tg_attr_int(split, "axis"), to = tg_attr_int(n, "axis"), perm[TG_MAX_RANK];
    int32_t rank = pass_rank(p->g, split->in[0]);
    bool stacked = tg_attr_int(n, "new_axis") != 0, rows = !in(split, 1) && !tg_attr_int(split, "keepdims");
    from += from < 0 ? rank : 0;
    to += to < 0 ? rank : 0;
    if (rank < 1 || stacked != rows || from < 0 || from >= rank || to < 0 || to >= rank ||
        (!stacked && from != to) || !pass_may(p))
        return;
    TgValue made = split->in[0];
    if (from != to) {
        for (int32_t k = 0, other = 0; k < rank; k++) {
            other += other == from;
            perm[k] = k == to ? from : other++;
        }
        made = pass_op(p, TG_Transpose, transpose_attrs(p->tg, rank, perm), 1, made);
    }
    if (!made)
        return;
    pass_count(p, "concat-of-split");
    pass_replace(p, n->out[0], made, "concat-of-split");
}

static void join(TgPass *p, const TgNodeInfo *n)
{
    const TgNodeInfo *made = tg_producer(p->g, n->in[0], TG_SequenceConstruct);
    const TgNodeInfo *pieces = tg_producer(p->g, n->in[0], TG_SplitToSequence);
    TgValue part[MOST];
    if (pieces)
        rejoin(p, n, pieces);
    if (!made || made->n_in > MOST || !pass_may(p))
        return;
    int64_t axis = tg_attr_int(n, "axis");
    uint32_t before = tg_diag_count(p->tg);
    bool good = true;
    for (uint32_t i = 0; good && i < made->n_in; i++) {
        part[i] = made->in[i];
        if (tg_attr_int(n, "new_axis"))
            part[i] = pass_op(p, TG_Unsqueeze, NULL, 2, part[i], pass_ints(p, 1, &axis));
        good = part[i] != 0;
    }
    const TgAttrs *attrs = tg_attrs(p->tg, TG_Concat, "axis=i", axis);
    TgNode joined = good ? tg_graph_add(p->g, TG_Concat, attrs, made->n_in, part, 1) : 0;
    if (!joined) {
        tg_diag_forget(p->tg, before); /* items that do not fit fail at run time, as they did */
        return;
    }
    pass_count(p, "concat-of-sequence");
    pass_replace(p, n->out[0], fold_value(p, joined), "concat-of-sequence");
}

void pass_sequence(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->dead || !is_read(p->g, info->out[0]))
            continue;
        if (info->op == TG_SplitToSequence)
            split(p, info);
        else if (info->op == TG_SequenceAt && tg_producer(p->g, info->in[0], TG_SplitToSequence))
            take_row(p, info);
        else if (info->op == TG_SequenceAt)
            take_item(p, info);
        else if (info->op == TG_ConcatFromSequence)
            join(p, info);
    }
}
