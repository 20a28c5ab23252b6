/* Raising: a node as an old opset wrote it gets the meaning that ops.def gives its operator today.
 *
 * The changes behind the node's opset (versions.def) are applied one after the other. Where one of them has
 * no answer (training forms, per-batch Scan of opset 8, an element type that nobody knows) the node is put
 * back and becomes opaque: it is written again as it was read, and nothing is claimed about it.
 */
#include "versions.h"

#include <string.h>

/* The operand that attribute `a` became; 0: its element type is unknown. */
static TgValue operand_from(TgGraph *g, TgNode n, const TgAttr *a, Form form)
{
    TgArena *arena = g->arena;
    int64_t count = a->n;
    TgValue x = operand(g, n, 0);
    TgTensor *t = NULL;
    switch (form) {
    case INTS: t = tg_tensor_ints(arena, a->n, a->u.ints); break;
    case INT1: t = tg_tensor_ints(arena, 1, &a->u.i); break;
    case INT0: t = tg_tensor_scalar_int(arena, TG_i64, a->u.i); break;
    case FLOATS: t = tg_tensor_owned(arena, TG_f32, 1, &count, a->u.floats); break;
    case FLOAT0: t = tg_tensor_scalar_float(arena, TG_f32, (double)a->u.f); break;
    case LIKE:
        if (x && tg_type_of(g, x)->kind == TG_TENSOR && tg_is_float(tg_type_of(g, x)->dtype))
            t = tg_tensor_scalar_float(arena, tg_type_of(g, x)->dtype, (double)a->u.f);
        break;
    }
    return t ? tg_graph_const(g, t, NULL) : 0;
}

static TgAttrKind kind_of(Form form)
{
    switch (form) {
    case INTS: return TG_A_INTS;
    case FLOATS: return TG_A_FLOATS;
    case FLOAT0:
    case LIKE: return TG_A_FLOAT;
    default: return TG_A_INT;
    }
}

static bool move_in(TgGraph *g, TgNode n, const VersionRow *row)
{
    const TgAttr *a = tg_attr_find(tg_node(g, n)->attrs, row->attribute);
    if (!a)
        return true;
    if (a->kind != kind_of(row->form))
        return false;
    TgValue v = operand_from(g, n, a, row->form);
    if (!v)
        return false;
    put_operand(g, n, row->operand, v);
    drop_attr(g, n, row->attribute);
    return true;
}

static bool raise_row(TgGraph *g, TgNode n, const VersionRow *row)
{
    const TgAttr *a = row->attribute ? tg_attr_find(tg_node(g, n)->attrs, row->attribute) : NULL;
    switch (row->kind) {
    case ROW_MOVED: return move_in(g, n, row);
    case ROW_DROPPED: drop_attr(g, n, row->attribute); return true;
    case ROW_CHANGED: return row->raise(g, n);
    case ROW_GAINED:
    case ROW_TYPED:
    case ROW_OPERAND: return true;
    case ROW_DEFAULT:
        if (!a)
            put_int(g, n, row->attribute, row->old);
        return true;
    case ROW_IMPLIED:
        if (!a)
            put_string(g, n, row->attribute, row->was);
        return true;
    case ROW_SPELLED:
        if (a && attr_says(a, row->was))
            put_string(g, n, row->attribute, row->is);
        return true;
    }
    return true;
}

static bool raise_rows(TgGraph *g, TgNode n, VersionRows rows, int64_t opset)
{
    for (uint32_t i = rows.first; i < rows.end; i++)
        if (opset < version_row(i)->at && !raise_row(g, n, version_row(i)))
            return false;
    return true;
}

/* Operators that ops.def has under another name. */
static bool rename_old(TgGraph *g, TgNode n)
{
    TgNodeInfo *node = tg_node(g, n);
    if (node->op != TG_opaque || !node->op_name || strcmp(node->op_name, "Scatter") != 0)
        return false;
    become(g, n, TG_ScatterElements, node->attrs, node->n_in, node->in);
    return true;
}

/* Drops the attributes that say what is today's default. */
static void make_canonical(TgGraph *g, TgNode n)
{
    TgAttrBuild b;
    TgNodeInfo *node = tg_node(g, n);
    tg_attrs_from(&b, g->tg, node->attrs);
    node->attrs = tg_attrs_end(&b, node->op);
}

/* ONNX Runtime knows some operators in opsets that lack them; a file that uses that may use it when it is
 * written. */
static void note_early(TgModel *m, TgOp op, int64_t opset)
{
    if (opset < tg_op_info(op)->since && !is_early(m, op))
        TG_PUSH(m->arena, &m->early, (uint32_t)op);
}

bool raise_node(TgGraph *g, TgNode n, int64_t opset)
{
    bool renamed = rename_old(g, n);
    TgOp op = tg_node(g, n)->op;
    if (op == TG_opaque)
        return true;
    if (!renamed)
        note_early(g->model, op, opset);
    NodeShot shot = node_shot(g, n);
    uint32_t errors = tg_error_count(g->tg);
    if (raise_rows(g, n, version_rows_of_all(), opset) && raise_rows(g, n, version_rows(op), opset)) {
        make_canonical(g, n);
        return true;
    }
    if (tg_error_count(g->tg) != errors)
        return false;
    node_restore(g, n, &shot);
    become(g, n, TG_opaque, shot.attrs, shot.n_in, shot.in);
    return true;
}
