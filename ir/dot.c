/* A graph as a picture for graphviz: the one that users of torchview know. Operators are boxes, inputs and
 * outputs are ovals, constants are small notes, types stand on the edges; a subgraph is a frame, captured
 * values are edges into it.
 *
 * Names in the file are ours (n3, v7 behind the number of their graph), so that nothing foreign needs more
 * than quoting.
 */
#include <string.h>

#include "graph.h"

typedef struct {
    Tg *tg;
    TgText *out;
    uint32_t graphs; /* so far: numbers their nodes apart */
} Dot;

/* In a label: graphviz reads escapes of its own (\n, \l, \N), so backslashes and quotes are doubled and
 * control bytes become blanks. */
static void label(Dot *d, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            tg_text_add(d->out, "\\");
        tg_text_add_n(d->out, (unsigned char)*c < ' ' ? " " : c, 1);
    }
}

enum { LONGEST = 48 }; /* of a name in a box: its end tells more than its start */

static void short_label(Dot *d, TgName name)
{
    size_t n = strlen(name);
    if (n > LONGEST) {
        tg_text_add(d->out, "…");
        name += n - LONGEST;
        while ((*name & 0xc0) == 0x80)
            name++; /* not in the middle of a character */
    }
    label(d, name);
}

/* --- boxes ---------------------------------------------------------------------------------------------- */

static void constant(Dot *d, uint32_t id, const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    tg_text_format(d->out, "  g%u_v%u [shape=note, style=filled, fillcolor=\"#eeeeee\", fontsize=9, label=\"",
                   id, v);
    if (info->name) {
        short_label(d, info->name);
        tg_text_add(d->out, "\\n");
    }
    label(d, tg_type_text(d->tg, info->type));
    tg_text_add(d->out, "\"];\n");
}

static void oval(Dot *d, uint32_t id, char kind, uint32_t index, TgName name, const TgType *type)
{
    tg_text_format(d->out, "  g%u_%c%u [shape=oval, style=filled, fillcolor=\"%s\", label=\"", id, kind,
                   index, kind == 'v' ? "#dcebdc" : "#f5e2c8");
    short_label(d, name ? name : "");
    tg_text_add(d->out, "\\n");
    label(d, tg_type_text(d->tg, type));
    tg_text_add(d->out, "\"];\n");
}

static void attribute(Dot *d, const TgAttr *a)
{
    TgText *out = d->out;
    if (a->kind != TG_A_INT && a->kind != TG_A_FLOAT && a->kind != TG_A_INTS && a->kind != TG_A_STRING)
        return;
    tg_text_add(out, "\\n");
    label(d, a->name);
    tg_text_add(out, "=");
    if (a->kind == TG_A_INT)
        tg_text_format(out, "%lld", (long long)a->u.i);
    if (a->kind == TG_A_FLOAT)
        tg_text_float(out, (double)a->u.f, true);
    if (a->kind == TG_A_STRING)
        short_label(d, tg_name_n(d->tg, (const char *)a->u.s.at, a->u.s.n));
    for (uint32_t i = 0; a->kind == TG_A_INTS && i < a->n && i < 8; i++)
        tg_text_format(out, "%s%lld", i ? "," : "", (long long)a->u.ints[i]);
}

static void box(Dot *d, uint32_t id, TgNode n, const TgNodeInfo *info)
{
    tg_text_format(d->out, "  g%u_n%u [shape=box, style=\"filled,rounded\", fillcolor=\"%s\", label=\"", id,
                   n, info->op == TG_opaque ? "#f3d9d9" : "#dde6f4");
    label(d, info->op == TG_opaque ? info->op_name : tg_op_text(d->tg, info->op));
    for (uint32_t i = 0; i < info->attrs->n; i++)
        attribute(d, &info->attrs->at[i]);
    tg_text_add(d->out, "\"];\n");
}

/* --- edges ---------------------------------------------------------------------------------------------- */

static void from(Dot *d, uint32_t id, const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    if (info->origin == TG_V_RESULT)
        tg_text_format(d->out, "  g%u_n%u -> ", id, info->node);
    else
        tg_text_format(d->out, "  g%u_v%u -> ", id, v);
}

static void edge_type(Dot *d, const TgGraph *g, TgValue v)
{
    tg_text_add(d->out, " [fontsize=9, label=\"");
    if (tg_value(g, v)->origin == TG_V_RESULT)
        label(d, tg_type_text(d->tg, tg_type_of(g, v)));
    tg_text_add(d->out, "\"];\n");
}

static void edges(Dot *d, uint32_t id, const TgGraph *g, TgNode n, const TgNodeInfo *info)
{
    for (uint32_t i = 0; i < info->n_in; i++) {
        if (!info->in[i])
            continue;
        from(d, id, g, info->in[i]);
        tg_text_format(d->out, "g%u_n%u", id, n);
        edge_type(d, g, info->in[i]);
    }
}

/* --- graphs --------------------------------------------------------------------------------------------- */

/* Everything of one graph; subgraphs inside it as frames. Nesting is bounded by the readers. */
static void graph(Dot *d, TgGraph *g)
{
    uint32_t id = d->graphs++, n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < g->inputs.n; i++)
        oval(d, id, 'v', g->inputs.at[i], tg_value(g, g->inputs.at[i])->name, tg_type_of(g, g->inputs.at[i]));
    for (uint32_t i = 0; i < g->captures.n; i++)
        oval(d, id, 'v', g->captures.at[i], tg_name(d->tg, "outer value"), tg_type_of(g, g->captures.at[i]));
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->origin == TG_V_CONST && (tg_value(g, v)->uses.n || tg_value(g, v)->returned))
            constant(d, id, g, v);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(g, order[i]);
        box(d, id, order[i], info);
        edges(d, id, g, order[i], info);
        for (uint32_t s = 0; s < info->n_sub; s++) {
            tg_text_format(d->out, "  subgraph cluster_g%u {\n  label=\"", d->graphs);
            label(d, tg_op_text(d->tg, info->op));
            tg_text_add(d->out, " ");
            label(d, info->sub[s].attr);
            tg_text_add(d->out, "\";\n");
            graph(d, info->sub[s].graph);
            tg_text_add(d->out, "  }\n");
        }
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        TgValue v = g->outputs.at[i].value;
        oval(d, id, 'o', i, g->outputs.at[i].name, tg_type_of(g, v));
        from(d, id, g, v);
        tg_text_format(d->out, "g%u_o%u", id, i);
        edge_type(d, g, v);
    }
}

void tg_print_dot(TgGraph *g, TgText *out)
{
    Dot d = {.tg = g->tg, .out = out};
    tg_text_add(
        out, "digraph {\n  graph [fontname=\"sans-serif\", rankdir=TB];\n  node [fontname=\"sans-serif\"];\n"
             "  edge [fontname=\"sans-serif\"];\n");
    graph(&d, g);
    tg_text_add(out, "}\n");
}
