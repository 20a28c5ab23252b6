/* The table of version changes (versions.def) and the few ways in which a node is changed by them. */
#include "versions.h"

#include <string.h>

#define TG_ANY TG_OP_COUNT /* column op: every operator */

#define MOVED(op, at, attribute, form, operand)                                                              \
    {ROW_MOVED, TG_##op, at, attribute, form, operand, NULL, NULL, 0, 0, NULL, NULL},
#define GAINED(op, at, attribute) {ROW_GAINED, TG_##op, at, attribute, INTS, 0, NULL, NULL, 0, 0, NULL, NULL},
#define IMPLIED(op, at, attribute, text)                                                                     \
    {ROW_IMPLIED, TG_##op, at, attribute, INTS, 0, text, NULL, 0, 0, NULL, NULL},
#define DEFAULT(op, at, attribute, old, now)                                                                 \
    {ROW_DEFAULT, TG_##op, at, attribute, INTS, 0, NULL, NULL, old, now, NULL, NULL},
#define OPERAND(op, at, operand)                                                                             \
    {ROW_OPERAND, TG_##op, at, NULL, INTS, operand, NULL, NULL, 0, 0, NULL, NULL},
#define DROPPED(op, at, attribute)                                                                           \
    {ROW_DROPPED, TG_##op, at, attribute, INTS, 0, NULL, NULL, 0, 0, NULL, NULL},
#define TYPED(op, at, types) {ROW_TYPED, TG_##op, at, NULL, INTS, 0, types, NULL, 0, 0, NULL, NULL},
#define SPELLED(op, at, attribute, old, now)                                                                 \
    {ROW_SPELLED, TG_##op, at, attribute, INTS, 0, old, now, 0, 0, NULL, NULL},
#define CHANGED(op, at, raise, lower)                                                                        \
    {ROW_CHANGED, TG_##op, at, NULL, INTS, 0, NULL, NULL, 0, 0, raise, lower},

static const VersionRow rows[] = {
#include "versions.def"
};

enum { N_ROWS = sizeof rows / sizeof rows[0] };

const VersionRow *version_row(uint32_t index)
{
    return &rows[index];
}

uint32_t version_row_count(void)
{
    return N_ROWS;
}

static VersionRows rows_of(uint32_t op)
{
    VersionRows found = {0, 0};
    while (found.first < N_ROWS && rows[found.first].op != op)
        found.first++;
    found.end = found.first;
    while (found.end < N_ROWS && rows[found.end].op == op)
        found.end++;
    return found;
}

VersionRows version_rows(TgOp op)
{
    return rows_of(op);
}

VersionRows version_rows_of_all(void)
{
    return rows_of(TG_ANY);
}

bool is_early(const TgModel *m, TgOp op)
{
    for (uint32_t i = 0; i < m->early.n; i++)
        if (m->early.at[i] == (uint32_t)op)
            return true;
    return false;
}

/* --- changing nodes ------------------------------------------------------------------------------------- */

/* Gives node n room for n_in operands; those that stay keep their uses, the others are released. */
static void resize_operands(TgGraph *g, TgNode n, uint32_t n_in)
{
    TgNodeInfo *node = tg_node(g, n);
    for (uint32_t i = n_in; i < node->n_in; i++)
        tg_set_input(g, n, i, 0);
    if (n_in > node->n_in) {
        TgValue *in = TG_NEW_N(g->arena, TgValue, n_in);
        if (node->n_in)
            memcpy(in, node->in, node->n_in * sizeof *in);
        node->in = in;
    }
    node->n_in = node->n_formal = n_in;
}

void become(TgGraph *g, TgNode n, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in)
{
    TgNodeInfo *node = tg_node(g, n);
    if (op == TG_opaque && node->op != TG_opaque) {
        node->op_name = tg_op_info(node->op)->name;
        node->domain = tg_op_info(node->op)->domain;
    }
    if (op != TG_opaque)
        node->op_name = node->domain = NULL;
    node->op = op;
    if (n_in != node->n_in)
        resize_operands(g, n, n_in);
    for (uint32_t i = 0; i < n_in; i++)
        tg_set_input(g, n, i, in[i]);
    node->attrs = attrs;
    g->sorted = false;
}

void put_operand(TgGraph *g, TgNode n, uint32_t slot, TgValue v)
{
    if (slot >= tg_node(g, n)->n_in)
        resize_operands(g, n, slot + 1);
    tg_set_input(g, n, slot, v);
}

TgValue operand(const TgGraph *g, TgNode n, uint32_t slot)
{
    const TgNodeInfo *node = tg_node(g, n);
    return slot < node->n_in ? node->in[slot] : 0;
}

bool attr_says(const TgAttr *a, const char *text)
{
    return a->kind == TG_A_STRING && a->u.s.n == strlen(text) && memcmp(a->u.s.at, text, a->u.s.n) == 0;
}

void drop_attr(TgGraph *g, TgNode n, const char *name)
{
    TgAttrBuild b;
    if (!tg_attr_has(tg_node(g, n)->attrs, name))
        return;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    tg_attrs_drop(&b, name);
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
}

void put_int(TgGraph *g, TgNode n, const char *name, int64_t i)
{
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    tg_attrs_int(&b, name, i);
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
}

void put_string(TgGraph *g, TgNode n, const char *name, const char *s)
{
    TgAttrBuild b;
    tg_attrs_from(&b, g->tg, tg_node(g, n)->attrs);
    tg_attrs_string(&b, name, s);
    tg_node(g, n)->attrs = tg_attrs_end(&b, TG_opaque);
}

TgValue const_ints(TgGraph *g, uint32_t n, const int64_t *x)
{
    return tg_graph_const(g, tg_tensor_ints(g->arena, n, x), NULL);
}

NodeShot node_shot(TgGraph *g, TgNode n)
{
    const TgNodeInfo *node = tg_node(g, n);
    size_t size = node->n_in * sizeof *node->in;
    return (NodeShot){node->op, node->attrs, node->n_in,
                      node->n_in ? tg_copy(g->arena, node->in, size) : NULL};
}

void node_restore(TgGraph *g, TgNode n, const NodeShot *shot)
{
    become(g, n, shot->op, shot->attrs, shot->n_in, shot->in);
}

bool same(TgGraph *g, TgNode n)
{
    (void)g;
    (void)n;
    return true;
}

bool refuse(TgGraph *g, TgNode n)
{
    (void)g;
    (void)n;
    return false;
}
