/* Writes graphs and models in the text form (TEXT.md), so that parse.c gives back the same graph.
 *
 * Every value that somebody could refer to gets a name that no value in sight has: its own where it is free,
 * else the next number. A subgraph names outer values directly, so its own values avoid the names around it.
 * Constants come first in a graph, then nodes in their order; a result that nobody reads and that has no
 * name is written `_`.
 */
#include "text.h"

#include <string.h>

typedef struct Scope {
    TgWriter *w;
    TgGraph *g;
    const TgNodeInfo *holder; /* of outer->g, with g as its sub number `sub` */
    uint32_t sub, indent;
    TgMap taken;      /* TG_KEY(name) of the values of g that are called by their names */
    uint32_t *number; /* by value: 0: called by its name */
    uint32_t last_number;
    struct Scope *outer;
} Scope;

static void body(Scope *s);

/* --- names ---------------------------------------------------------------------------------------------- */

static bool is_taken(const Scope *s, TgName name)
{
    for (; s; s = s->outer)
        if (tg_map_get(&s->taken, TG_KEY(name), NULL))
            return true;
    return false;
}

static void label(Scope *s, TgValue v)
{
    TgName name = tg_value(s->g, v)->name;
    if (name && name[0] && !is_taken(s, name))
        tg_map_put(&s->taken, TG_KEY(name), 1);
    else
        s->number[v] = ++s->last_number;
}

/* Constants that nobody reads are garbage of earlier rewrites. */
static bool is_live_constant(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    return info->origin == TG_V_CONST && (info->uses.n || info->returned);
}

static bool is_silent(const TgValueInfo *v)
{
    return !v->name && !v->uses.n && !v->returned && !v->doc && !v->unknown.n && !v->type_wire.n;
}

static void label_all(Scope *s)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(s->g, &n);
    for (uint32_t i = 0; i < s->g->inputs.n; i++)
        label(s, s->g->inputs.at[i]);
    for (TgValue v = 1; v < s->g->values.n; v++)
        if (is_live_constant(s->g, v))
            label(s, v);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(s->g, order[i]);
        for (uint32_t k = 0; k < info->n_out; k++)
            if (!is_silent(tg_value(s->g, info->out[k])))
                label(s, info->out[k]);
    }
}

/* The value that v stands for, where v may be captured: in *s afterwards. */
static TgValue resolve(const Scope **s, TgValue v)
{
    while (tg_value((*s)->g, v)->origin == TG_V_CAPTURE) {
        const TgSub *sub = &(*s)->holder->sub[(*s)->sub];
        v = (*s)->holder->in[sub->outer.at[tg_value((*s)->g, v)->index]];
        *s = (*s)->outer;
    }
    return v;
}

static void value(const Scope *s, TgValue v)
{
    if (!v) {
        tg_text_add(s->w->out, "_");
        return;
    }
    v = resolve(&s, v);
    if (s->number[v])
        tg_text_format(s->w->out, "%%%u", s->number[v]);
    else
        tg_write_name(s->w, '%', tg_value(s->g, v)->name);
}

/* --- layout --------------------------------------------------------------------------------------------- */

static void line(const Scope *s, uint32_t more)
{
    tg_text_add(s->w->out, "\n");
    for (uint32_t i = 0; i < s->indent + more; i++)
        tg_text_add(s->w->out, "  ");
}

/* Between elements of a list: on a new line when this one is full. */
static void comma(const Scope *s)
{
    const TgText *out = s->w->out;
    size_t column = 0;
    while (column < out->n && out->at[out->n - 1 - column] != '\n')
        column++;
    tg_text_add(s->w->out, ",");
    if (column > TG_TEXT_WIDTH - 30)
        line(s, 2);
    else
        tg_text_add(s->w->out, " ");
}

static void written_type(const Scope *s, const char *before, const TgType *type, const char *after)
{
    tg_text_add(s->w->out, before);
    tg_write_type(s->w, type);
    tg_text_add(s->w->out, after);
}

/* --- values --------------------------------------------------------------------------------------------- */

static void value_notes(const Scope *s, TgValue v)
{
    const TgValueInfo *info = tg_value(s->g, v);
    if (s->number[v] && info->name && info->name[0])
        tg_write_quoted(s->w, " !name(", info->name, ")");
    if (info->declared && info->declared != info->type)
        written_type(s, " !declared(", info->declared, ")");
    if (info->doc)
        tg_write_quoted(s->w, " !doc(", info->doc, ")");
    if (info->type_wire.n)
        tg_write_hex(s->w, " !wire", info->type_wire);
    if (info->unknown.n)
        tg_write_hex(s->w, " !unknown", info->unknown);
}

static void input(const Scope *s, TgValue v)
{
    const TgValueInfo *info = tg_value(s->g, v);
    value(s, v);
    written_type(s, ": ", info->type, "");
    value_notes(s, v);
    if (!info->initial)
        return;
    tg_text_add(s->w->out, " = ");
    tg_write_const(s->w, info->initial);
}

static void inputs(const Scope *s)
{
    tg_text_add(s->w->out, "(");
    for (uint32_t i = 0; i < s->g->inputs.n; i++) {
        if (i)
            comma(s);
        input(s, s->g->inputs.at[i]);
    }
    tg_text_add(s->w->out, ")");
}

static void constants(const Scope *s)
{
    for (TgValue v = 1; v < s->g->values.n; v++) {
        if (!is_live_constant(s->g, v))
            continue;
        line(s, 1);
        value(s, v);
        value_notes(s, v);
        tg_text_add(s->w->out, " = ");
        tg_write_const(s->w, tg_value(s->g, v)->tensor);
    }
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

static void subgraph(Scope *s, const TgNodeInfo *n, uint32_t sub)
{
    TgArena *scratch = tg_scratch(s->w->tg);
    Scope inner = {.w = s->w,
                   .g = n->sub[sub].graph,
                   .holder = n,
                   .sub = sub,
                   .indent = s->indent + 1,
                   .last_number = s->last_number,
                   .outer = s};
    TgMark mark = tg_mark(scratch);
    tg_write_name(s->w, '\0', n->sub[sub].attr);
    tg_text_add(s->w->out, "=");
    if (inner.g->name != n->sub[sub].attr && inner.g->name) {
        tg_write_name(s->w, '@', inner.g->name);
        tg_text_add(s->w->out, " ");
    }
    tg_map_init(&inner.taken, scratch);
    inner.number = TG_NEW_N(scratch, uint32_t, inner.g->values.n);
    label_all(&inner);
    if (inner.g->inputs.n)
        inputs(&inner);
    body(&inner);
    tg_release(scratch, mark);
}

static void results(const Scope *s, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        if (i)
            tg_text_add(s->w->out, ", ");
        bool silent = is_silent(tg_value(s->g, n->out[i]));
        value(s, silent ? 0 : n->out[i]);
        if (!silent || tg_value(s->g, n->out[i])->declared)
            value_notes(s, n->out[i]);
    }
    if (n->n_out)
        tg_text_add(s->w->out, " = ");
}

static void call(Scope *s, const TgNodeInfo *n)
{
    TgText *out = s->w->out;
    tg_write_op(s->w, n);
    tg_text_add(out, "(");
    for (uint32_t i = 0; i < n->n_formal; i++) {
        if (i)
            tg_text_add(out, ", ");
        value(s, n->in[i]);
    }
    if (n->attrs->n || n->n_sub)
        tg_text_add(out, n->n_formal ? "; " : ";");
    tg_write_attrs(s->w, n->attrs);
    for (uint32_t i = 0; i < n->n_sub; i++) {
        if (i || n->attrs->n)
            tg_text_add(out, ", ");
        subgraph(s, n, i);
    }
    tg_text_add(out, ")");
}

static void types(const Scope *s, const TgNodeInfo *n)
{
    uint32_t known = n->n_out;
    while (known && tg_type_of(s->g, n->out[known - 1])->kind == TG_UNTYPED)
        known--;
    for (uint32_t i = 0; i < known; i++)
        written_type(s, i ? ", " : " : ", tg_type_of(s->g, n->out[i]), "");
}

static void node(Scope *s, const TgNodeInfo *n)
{
    line(s, 1);
    results(s, n);
    call(s, n);
    types(s, n);
    if (n->name && n->name[0]) {
        tg_text_add(s->w->out, " ");
        tg_write_name(s->w, '@', n->name);
    }
    if (n->doc)
        tg_write_quoted(s->w, " !doc(", n->doc, ")");
    if (n->unknown.n)
        tg_write_hex(s->w, " !unknown", n->unknown);
}

/* --- graphs --------------------------------------------------------------------------------------------- */

/* The name is written where it is not the one that the value shows. */
static void returned(const Scope *s, const TgReturn *r)
{
    const Scope *from = s;
    TgValue v = resolve(&from, r->value);
    value(s, r->value);
    if (from->number[v] || tg_value(from->g, v)->name != r->name)
        tg_write_quoted(s->w, " as ", r->name ? r->name : "", "");
    if (r->declared)
        written_type(s, ": ", r->declared, "");
    if (r->doc)
        tg_write_quoted(s->w, " !doc(", r->doc, ")");
    if (r->type_wire.n)
        tg_write_hex(s->w, " !wire", r->type_wire);
    if (r->unknown.n)
        tg_write_hex(s->w, " !unknown", r->unknown);
}

static void body(Scope *s)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(s->g, &n);
    if (s->g->doc)
        tg_write_quoted(s->w, " !doc(", s->g->doc, ")");
    if (s->g->unknown.n)
        tg_write_hex(s->w, " !unknown", s->g->unknown);
    bool alone = s->outer && !s->g->inputs.n && !s->g->doc && !s->g->unknown.n;
    tg_text_add(s->w->out, alone ? "{" : " {");
    constants(s);
    for (uint32_t i = 0; i < n; i++)
        node(s, tg_node(s->g, order[i]));
    line(s, 1);
    tg_text_add(s->w->out, s->g->outputs.n ? "return " : "return");
    for (uint32_t i = 0; i < s->g->outputs.n; i++) {
        if (i)
            comma(s);
        returned(s, &s->g->outputs.at[i]);
    }
    line(s, 0);
    tg_text_add(s->w->out, "}");
}

static void graph(TgWriter *w, TgGraph *g)
{
    TgArena *scratch = tg_scratch(w->tg);
    Scope s = {.w = w, .g = g};
    tg_map_init(&s.taken, scratch);
    s.number = TG_NEW_N(scratch, uint32_t, g->values.n);
    label_all(&s);
    tg_text_add(w->out, "graph ");
    tg_write_name(w, '@', g->name ? g->name : "");
    inputs(&s);
    body(&s);
    tg_text_add(w->out, "\n");
}

/* --- models --------------------------------------------------------------------------------------------- */

static void header_word(TgWriter *w, const char *word, TgName text)
{
    if (!text || !text[0])
        return;
    tg_text_add(w->out, word);
    tg_write_quoted(w, " ", text, "\n");
}

static void header(TgWriter *w, const TgModel *m)
{
    const TgImport *first = m->imports.at;
    const char *slash = strrchr(w->base, '/');
    if (w->names_file && slash)
        header_word(w, "folder",
                    slash == w->base ? "/" : tg_name_n(w->tg, w->base, (size_t)(slash - w->base)));
    if (m->ir_version != TG_NEWEST_IR)
        tg_text_format(w->out, "ir_version %lld\n", (long long)m->ir_version);
    bool newest = m->imports.n == 1 && !first->domain[0] && first->version == TG_NEWEST_OPSET;
    for (uint32_t i = 0; !newest && i < m->imports.n; i++) {
        tg_text_add(w->out, "opset ");
        if (m->imports.at[i].domain[0])
            tg_write_quoted(w, "", m->imports.at[i].domain, " ");
        tg_text_format(w->out, "%lld\n", (long long)m->imports.at[i].version);
    }
    header_word(w, "producer", m->producer_name);
    header_word(w, "producer_version", m->producer_version);
    header_word(w, "domain", m->domain);
    if (m->model_version)
        tg_text_format(w->out, "model_version %lld\n", (long long)m->model_version);
    header_word(w, "doc", m->doc);
    if (m->unknown.n) {
        tg_write_hex(w, "unknown", m->unknown);
        tg_text_add(w->out, "\n");
    }
}

/* The graph is written first: whether the folder of its files must be told is known afterwards. */
static void write(TgGraph *g, const TgModel *m, TgText *out)
{
    TgText text;
    TgArena *pages = tg_arena_new(g->tg); /* the scratch arena is in use, level by level */
    tg_text_init(&text, pages);
    TgMark mark = tg_mark(tg_scratch(g->tg));
    TgWriter w = {.tg = g->tg, .out = &text, .base = g->model->path ? g->model->path : ""};
    tg_map_init(&w.numbers, pages);
    graph(&w, g);
    tg_release(tg_scratch(g->tg), mark);
    w.out = out;
    if (m)
        header(&w, m);
    tg_text_add_n(out, text.at, text.n);
    tg_arena_free(pages);
}

void tg_print_graph(TgGraph *g, TgText *out)
{
    write(g, NULL, out);
}

void tg_print_model(const TgModel *m, TgText *out)
{
    write(m->graph, m, out);
}
