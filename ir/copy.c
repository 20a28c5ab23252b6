/* Copying graphs: live nodes only, so that garbage stays behind. Tensors and interned things are shared. */
#include <string.h>

#include "graph.h"

typedef struct {
    TgGraph *to;
    const TgGraph *from;
    TgValue *value; /* by value of `from` */
} Copy;

static TgValue map_const(Copy *c, TgValue v)
{
    const TgValueInfo *info = tg_value(c->from, v);
    TgValue made = tg_graph_const(c->to, info->tensor, info->name);
    tg_value(c->to, made)->declared = info->declared;
    tg_value(c->to, made)->doc = info->doc;
    tg_value(c->to, made)->unknown = info->unknown;
    return made;
}

static TgValue map(Copy *c, TgValue v)
{
    if (v && !c->value[v])
        c->value[v] = map_const(c, v); /* inputs, captures and results were made before their readers */
    return c->value[v];
}

static void describe(Copy *c, TgValue made, TgValue old)
{
    TgValueInfo *to = tg_value(c->to, made);
    const TgValueInfo *from = tg_value(c->from, old);
    int64_t count;
    to->type = from->type;
    to->declared = from->declared;
    to->name = from->name;
    to->doc = from->doc;
    to->type_wire = from->type_wire;
    to->unknown = from->unknown;
    to->tensor = from->tensor;
    to->initial = from->initial;
    if (from->symbolic && tg_type_numel(from->type, &count))
        to->symbolic = tg_copy(c->to->arena, from->symbolic, (size_t)(count ? count : 1) * sizeof *from->symbolic);
    c->value[old] = made;
}

static const TgOriginNote *copy_notes(TgArena *arena, const TgOriginNote *from)
{
    const TgOriginNote *first = NULL, **tail = &first;
    for (; from; from = from->next) {
        TgOriginNote *note = tg_copy(arena, from, sizeof *from);
        note->next = NULL;
        *tail = note;
        tail = &note->next;
    }
    return first;
}

static void copy_graph(TgGraph *to, const TgGraph *from, const TgValue *captured);

static void copy_subs(TgGraph *to, TgNode made, const TgNodeInfo *from, const TgValue *in)
{
    for (uint32_t s = 0; s < from->n_sub; s++) {
        const TgSub *sub = &from->sub[s];
        TgGraph *inner = tg_node_add_sub(to, made, sub->attr);
        TgValue *captured = TG_NEW_N(to->arena, TgValue, sub->outer.n + 1);
        for (uint32_t k = 0; k < sub->outer.n; k++)
            captured[k] = tg_graph_capture(inner, made, s, in[sub->outer.at[k]]);
        copy_graph(inner, sub->graph, captured); /* nesting is bounded by the reader */
    }
}

TgNode tg_node_copy(TgGraph *g, const TgNodeInfo *from, const TgValue *in)
{
    TgNode n = tg_graph_add_raw(g, from->op, from->attrs, from->n_in, in, from->n_out);
    TgNodeInfo *to = tg_node(g, n);
    to->n_formal = from->n_formal;
    to->op_name = from->op_name;
    to->domain = from->domain;
    to->overload = from->overload;
    to->name = from->name;
    to->doc = from->doc;
    to->unknown = from->unknown;
    to->origin = copy_notes(g->arena, from->origin);
    copy_subs(g, n, from, in);
    return n;
}

static void copy_node(Copy *c, const TgNodeInfo *from)
{
    TgMark mark = tg_mark(tg_scratch(c->to->tg));
    TgValue *in = TG_NEW_N(tg_scratch(c->to->tg), TgValue, from->n_in + 1);
    for (uint32_t i = 0; i < from->n_in; i++)
        in[i] = map(c, from->in[i]);
    const TgNodeInfo *to = tg_node(c->to, tg_node_copy(c->to, from, in));
    tg_release(tg_scratch(c->to->tg), mark);
    for (uint32_t i = 0; i < from->n_out; i++)
        describe(c, to->out[i], from->out[i]);
}

static void copy_nodes(Copy *c)
{
    uint32_t n;
    const TgNode *order = tg_graph_order((TgGraph *)c->from, &n); /* sorting does not change what the graph is */
    for (uint32_t i = 0; i < n; i++)
        copy_node(c, tg_node(c->from, order[i]));
}

/* captured[k]: what stands in `to` for capture k of `from` (two captures of one outer value become one). */
static void copy_graph(TgGraph *to, const TgGraph *from, const TgValue *captured)
{
    Copy c = {to, from, TG_NEW_N(to->arena, TgValue, from->values.n)};
    to->name = from->name;
    to->doc = from->doc;
    to->unknown = from->unknown;
    for (uint32_t i = 0; i < from->equal.n; i++)
        TG_PUSH(to->arena, &to->equal, from->equal.at[i]);
    for (uint32_t i = 0; i < from->facts.n; i++)
        TG_PUSH(to->arena, &to->facts, from->facts.at[i]);
    for (uint32_t i = 0; i < from->inputs.n; i++) {
        TgValue v = from->inputs.at[i];
        describe(&c, tg_graph_input(to, tg_type_of(from, v), tg_value(from, v)->name), v);
    }
    for (uint32_t i = 0; i < from->captures.n; i++)
        describe(&c, captured[i], from->captures.at[i]);
    copy_nodes(&c);
    for (uint32_t i = 0; i < from->outputs.n; i++) {
        const TgReturn *r = &from->outputs.at[i];
        tg_graph_return(to, map(&c, r->value), r->name, r->declared);
        to->outputs.at[i].doc = r->doc;
        to->outputs.at[i].type_wire = r->type_wire;
        to->outputs.at[i].unknown = r->unknown;
    }
}

void tg_graph_copy(TgGraph *to, const TgGraph *from)
{
    copy_graph(to, from, NULL);
}

void tg_graph_splice(TgGraph *to, const TgGraph *from, const TgValue *in, const TgValue *captured, TgValue *out)
{
    Copy c = {to, from, TG_NEW_N(to->arena, TgValue, from->values.n)};
    for (uint32_t i = 0; i < from->inputs.n; i++)
        c.value[from->inputs.at[i]] = in[i];
    for (uint32_t i = 0; i < from->captures.n; i++)
        c.value[from->captures.at[i]] = captured[i];
    copy_nodes(&c);
    for (uint32_t i = 0; i < from->outputs.n; i++)
        out[i] = map(&c, from->outputs.at[i].value);
}
