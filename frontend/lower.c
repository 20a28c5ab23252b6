/* Lowering: every node gets a form that the wanted opset of ai.onnx has.
 *
 * A node that the opset has is taken back across the changes of versions.def, newest first. One that it
 * lacks, or whose form it lacks, is replaced by a few older operators where we know a cheap spelling, else by
 * its definition, until nothing is left to do: nodes that are made stand behind the others, so one walk over
 * the array meets them too.
 *
 * Afterwards nodes are written forms, no longer meanings: attributes are literal, moved operands are gone. A
 * lowered model can be saved, not optimized.
 */
#include "frontend.h"
#include "versions.h"

#include <string.h>

int64_t tg_newest_opset(void)
{
    return TG_NEWEST_OPSET;
}

/* --- back across one change ----------------------------------------------------------------------------- */

enum { MAX_LIST = 256 }; /* axes, pads, split ...: longer lists do not occur as attributes */

static bool ints_back(TgGraph *g, TgNode n, const VersionRow *row, TgValue v)
{
    int64_t x[MAX_LIST];
    uint32_t count;
    if (!tg_const_ints(g, v, MAX_LIST, x, &count) || (row->form != INTS && count != 1))
        return false;
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    if (row->form == INTS)
        tg_attrs_ints(&b, row->attribute, count, x);
    else
        tg_attrs_int(&b, row->attribute, x[0]);
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
    return true;
}

static bool floats_back(TgGraph *g, TgNode n, const VersionRow *row, TgValue v)
{
    float x[MAX_LIST];
    const TgTensor *t = tg_const_of(g, v);
    if (!t || t->count > MAX_LIST || (row->form != FLOATS && t->count != 1) || !tg_is_float(t->dtype))
        return false;
    for (uint32_t i = 0; i < t->count; i++)
        x[i] = (float)tg_tensor_float(g->tg, t, i);
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    if (row->form == FLOATS)
        tg_attrs_floats(&b, row->attribute, (uint32_t)t->count, x);
    else
        tg_attrs_float(&b, row->attribute, x[0]);
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
    return true;
}

static bool move_out(TgGraph *g, TgNode n, const VersionRow *row)
{
    TgValue v = operand(g, n, row->operand);
    if (!v)
        return true;
    bool integer = row->form == INTS || row->form == INT0 || row->form == INT1;
    if (!(integer ? ints_back(g, n, row, v) : floats_back(g, n, row, v)))
        return false;
    tg_set_input(g, n, row->operand, 0);
    return true;
}

static bool lists(const char *types, TgDtype dtype)
{
    for (size_t n; *types; types += n, types += *types == ' ') {
        n = strcspn(types, " ");
        if (tg_dtype_find(types, n) == dtype)
            return true;
    }
    return false;
}

/* Whether an operand or a result has one of those element types. */
static bool has_type(const TgGraph *g, TgNode n, const char *types)
{
    const TgNodeInfo *node = tg_node(g, n);
    for (uint32_t i = 0; i < node->n_formal + node->n_out; i++) {
        TgValue v = i < node->n_formal ? node->in[i] : node->out[i - node->n_formal];
        if (v && tg_type_of(g, v)->kind == TG_TENSOR && lists(types, tg_type_of(g, v)->dtype))
            return true;
    }
    return false;
}

static bool lower_row(TgGraph *g, TgNode n, const VersionRow *row)
{
    const TgAttr *a = row->attribute ? tg_attr_find(tg_node(g, n)->attrs, row->attribute) : NULL;
    switch (row->kind) {
    case ROW_MOVED: return move_out(g, n, row);
    case ROW_CHANGED: return row->lower(g, n);
    case ROW_DROPPED: return true;
    case ROW_TYPED: return !has_type(g, n, row->was);
    case ROW_GAINED: return !a;
    case ROW_OPERAND: return !operand(g, n, row->operand);
    case ROW_DEFAULT:
        if (!a)
            put_int(g, n, row->attribute, row->now);
        return true;
    case ROW_IMPLIED:
        if (!a || !attr_says(a, row->was))
            return false;
        drop_attr(g, n, row->attribute);
        return true;
    case ROW_SPELLED:
        if (a && attr_says(a, row->is))
            put_string(g, n, row->attribute, row->was);
        return true;
    }
    return true;
}

/* Types are taken as they are in the opset of the file: runtimes know more of them than the standard says. */
static bool concerns(const TgGraph *g, const VersionRow *row, int64_t opset)
{
    bool own = row->kind == ROW_TYPED && opset == tg_model_opset(g->model, "");
    return opset < row->at && row->at != EVER && !own;
}

static bool lower_rows(TgGraph *g, TgNode n, VersionRows rows, int64_t opset)
{
    TgOp op = tg_node(g, n)->op;
    for (uint32_t i = rows.end; i-- > rows.first;) {
        if (!concerns(g, version_row(i), opset))
            continue;
        if (!lower_row(g, n, version_row(i)))
            return false;
        if (tg_node(g, n)->dead || tg_node(g, n)->op != op)
            return true; /* it is another node now, met again by itself */
    }
    return true;
}

/* --- nodes that the opset lacks ------------------------------------------------------------------------- */

static bool is_read(const TgGraph *g, const TgNodeInfo *node)
{
    for (uint32_t i = 0; i < node->n_out; i++)
        if (tg_value(g, node->out[i])->uses.n || tg_value(g, node->out[i])->returned)
            return true;
    return false;
}

/* All readers of node n read `out` from now on; nodes from `first_made` on come from where it came from.
 * Those for an output that nobody reads are taken back, readers first. */
static void replace_node(TgGraph *g, TgNode n, const TgValue *out, TgNode first_made)
{
    const TgNodeInfo *node = tg_node(g, n);
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] && out[i])
            tg_replace(g, node->out[i], out[i]);
    for (TgNode made = first_made; made < g->nodes.n; made++)
        tg_node(g, made)->origin = node->origin;
    tg_remove(g, n);
    for (TgNode made = g->nodes.n; made-- > first_made;)
        if (!tg_node(g, made)->dead && !is_read(g, tg_node(g, made)))
            tg_remove(g, made);
}

static bool expand(TgGraph *g, TgNode n)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    const TgNodeInfo *node = tg_node(g, n);
    TgValue *out = TG_NEW_N(scratch, TgValue, node->n_out + 1);
    TgValue *in = tg_copy(scratch, node->in, node->n_in * sizeof *in);
    TgNode first = g->nodes.n;
    bool done = tg_define(g, g, node, in, out);
    if (done)
        replace_node(g, n, out, first);
    tg_release(scratch, mark);
    return done;
}

static bool no_form(TgGraph *g, TgNode n, int64_t opset)
{
    const TgNodeInfo *node = tg_node(g, n);
    const char *op = node->op == TG_opaque ? node->op_name : tg_op_info(node->op)->name;
    TgPlace *place = tg_place(g->tg), saved = *place;
    place->node = node->name;
    place->op = op;
    tg_report(g->tg, TG_E_no_lowering, op, (long long)opset);
    *place = saved;
    return false;
}

static bool is_standard(const TgNodeInfo *node)
{
    TgName domain = node->op == TG_opaque ? node->domain : tg_op_info(node->op)->domain;
    return !domain || domain[0] == '\0';
}

/* An opaque node of a standard operator is a form that only the opset of its file has. */
static bool lower_opaque(TgGraph *g, TgNode n, int64_t opset)
{
    const TgNodeInfo *node = tg_node(g, n);
    bool kept = opset == tg_model_opset(g->model, "") || tg_op_find(g->tg, "", node->op_name) == TG_opaque;
    return kept || no_form(g, n, opset);
}

static bool lower_node(TgGraph *g, TgNode n, int64_t opset)
{
    TgNodeInfo *node = tg_node(g, n);
    if (node->dead || !is_standard(node))
        return true;
    if (node->op == TG_opaque)
        return lower_opaque(g, n, opset);
    bool early = opset == tg_model_opset(g->model, "") && is_early(g->model, node->op);
    if (!early && respell(g, n, opset))
        return true;
    if (early || tg_op_info(node->op)->since <= opset) {
        NodeShot shot = node_shot(g, n);
        if (lower_rows(g, n, version_rows(node->op), opset) && lower_rows(g, n, version_rows_of_all(), opset))
            return true;
        node_restore(g, n, &shot);
    }
    if (tg_op_info(node->op)->tier == TG_COMPOSITE)
        return expand(g, n);
    return no_form(g, n, opset);
}

typedef TG_VEC(TgGraph *) Graphs;

static bool lower_graph(TgGraph *g, int64_t opset, TgArena *scratch, Graphs *todo)
{
    for (TgNode n = 1; n < g->nodes.n; n++) {
        TgOp op;
        const TgNodeInfo *node = tg_node(g, n);
        do { /* again where it became another operator */
            op = node->op;
            if (!lower_node(g, n, opset))
                return false;
        } while (!node->dead && node->op != op);
        for (uint32_t i = 0; !node->dead && i < node->n_sub; i++)
            TG_PUSH(scratch, todo, node->sub[i].graph);
    }
    return true;
}

bool tg_lower(TgModel *model, int64_t opset)
{
    Tg *tg = model->tg;
    TgArena *scratch = tg_scratch(tg);
    Graphs todo = {NULL, 0, 0};
    if (opset < OLDEST_OPSET)
        return tg_report(tg, TG_E_old_opset, (long long)opset, OLDEST_OPSET);
    TgMark mark = tg_mark(scratch);
    bool fine = true;
    TG_PUSH(scratch, &todo, model->graph);
    while (fine && todo.n > 0)
        fine = lower_graph(todo.at[--todo.n], opset, scratch, &todo);
    tg_release(scratch, mark);
    return fine;
}
