/* Graphs: inputs, constants, nodes, outputs of a view become those of a TgGraph.
 *
 * An initializer of the same name as an input is its default, which a caller may override; before IR
 * version 4 every initializer had to be an input, so that it is a plain constant there.
 */
#include "import.h"
#include "versions.h"
#include "sizes.h"

/* --- constants ---------------------------------------------------------------------------------------------------- */

bool bind_const(Reader *r, Scope *s, TgName name, const TgTensor *t)
{
    uint64_t found;
    if (tg_map_get(&s->values, TG_KEY(name), &found)) {
        const TgTensor *twin = found ? tg_value(s->g, (TgValue)found)->tensor : NULL;
        if (twin && !tolerate(r, TG_E_const_twice, name))
            return false;
        if (twin && tg_tensor_equal(r->tg, twin, t))
            return true;
        if (twin) { /* as ONNX Runtime does, for all readers */
            TgValue v = tg_graph_const(s->g, t, final_name(r, s, name));
            tg_map_put(&s->values, TG_KEY(name), v);
            tg_replace(s->g, (TgValue)found, v);
            return true;
        }
    }
    return scope_bind(r, s, name, tg_graph_const(s->g, t, final_name(r, s, name)));
}

/* Too large to be made dense: an operator gives it when the model runs. */
static bool bind_sparse_node(Reader *r, Scope *s, TgBytes message, TgName name)
{
    TgName ignored;
    const TgType *type;
    TgAttrBuild b;
    TgMark mark = tg_mark(tg_scratch(r->tg));
    if (!sparse_type(r, message, &ignored, &type))
        return false;
    tg_attrs_begin(&b, r->tg);
    tg_attrs_put(&b, sparse_attr(r, message));
    TgNode n = tg_graph_add_opaque(s->g, "", "Constant", tg_attrs_end(&b, TG_opaque), 0, NULL, 1);
    tg_release(tg_scratch(r->tg), mark);
    TgValue v = tg_node(s->g, n)->out[0];
    tg_value(s->g, v)->name = final_name(r, s, name);
    tg_value(s->g, v)->type = tg_value(s->g, v)->declared = type;
    return scope_bind(r, s, name, v);
}

bool bind_sparse(Reader *r, Scope *s, TgBytes message, TgName name)
{
    bool too_big;
    TgName own;
    const TgTensor *t = read_sparse(r, r->model->arena, message, &own, &too_big);
    name = name ? name : own;
    if (!t && !too_big)
        return false;
    if (!name)
        return tg_report(r->tg, TG_E_nameless, "a sparse initializer");
    return t ? bind_const(r, s, name, t) : bind_sparse_node(r, s, message, name);
}

/* --- inputs ------------------------------------------------------------------------------------------------------- */

typedef struct {
    TgName name;
    const TgTensor *tensor;
} Initializer;

typedef struct {
    TG_VEC(Initializer) list;
    TgMap of; /* name -> 1 + index */
} Initializers;

static bool read_initializers(Reader *r, const GraphView *view, Initializers *all)
{
    *all = (Initializers){0};
    tg_map_init(&all->of, r->arena);
    for (uint32_t i = 0; i < view->initializers.n; i++) {
        Initializer in;
        in.tensor = read_tensor(r, r->model->arena, view->initializers.at[i], &in.name);
        if (!in.tensor)
            return false;
        if (!in.name)
            return tg_report(r->tg, TG_E_nameless, "an initializer");
        TG_PUSH(r->arena, &all->list, in);
        tg_map_put(&all->of, TG_KEY(in.name), all->list.n);
    }
    return true;
}

static void spell(TgValueInfo *info, const ValueView *view)
{
    info->doc = view->doc;
    info->unknown = view->unknown;
    info->type_wire = view->type;
}

static bool import_input(Reader *r, Scope *s, const ValueView *view, Initializers *all)
{
    uint64_t index = 0;
    const TgType *type = view->typed ? read_type(r, view->type) : tg_untyped(r->tg);
    if (!type)
        return false;
    tg_map_get(&all->of, TG_KEY(view->name), &index);
    const TgTensor *initial = index ? all->list.at[index - 1].tensor : NULL;
    bool constant = initial && !s->up && r->model->ir_version < IR_WITH_FREE_INITIALIZERS;
    TgValue v = constant ? tg_graph_const(s->g, initial, view->name) : tg_graph_input(s->g, type, view->name);
    TgValueInfo *info = tg_value(s->g, v);
    spell(info, view);
    info->declared = type;
    info->initial = constant ? NULL : initial;
    info->name = final_name(r, s, view->name);
    if (index)
        all->list.at[index - 1].tensor = NULL;
    return scope_bind(r, s, view->name, v);
}

/* --- outputs ------------------------------------------------------------------------------------------------------ */

static bool import_output(Reader *r, Scope *s, const ValueView *view)
{
    TgValue v;
    const TgType *type = view->typed ? read_type(r, view->type) : tg_untyped(r->tg); /* as it will be written again */
    if (!type)
        return false;
    if (!scope_find(r, s, view->name, &v))
        return false;
    if (!v)
        return tg_report(r->tg, TG_E_undefined_name, view->name);
    tg_graph_return(s->g, v, view->name, type);
    TgReturn *out = &s->g->outputs.at[s->g->outputs.n - 1];
    out->doc = view->doc;
    out->unknown = view->unknown;
    out->type_wire = view->type;
    return true;
}

/* --- the graph ---------------------------------------------------------------------------------------------------- */

bool import_graph(Reader *r, Scope *s, const GraphView *view)
{
    Initializers all;
    TgGraph *g = s->g;
    g->name = view->name ? view->name : g->name;
    g->doc = view->doc;
    g->unknown = view->unknown;
    if (!declare(r, s, &view->outputs) || !declare(r, s, &view->infos) || !read_initializers(r, view, &all))
        return false;
    for (uint32_t i = 0; i < view->inputs.n; i++)
        if (!import_input(r, s, &view->inputs.at[i], &all))
            return false;
    if (!g->outer)
        distinguish_sizes(g);
    for (uint32_t i = 0; i < all.list.n; i++)
        if (all.list.at[i].tensor && !bind_const(r, s, all.list.at[i].name, all.list.at[i].tensor))
            return false;
    for (uint32_t i = 0; i < view->sparse.n; i++)
        if (!bind_sparse(r, s, view->sparse.at[i], NULL))
            return false;
    if (!import_nodes(r, s, &view->nodes))
        return false;
    for (uint32_t i = 0; i < view->outputs.n; i++)
        if (!import_output(r, s, &view->outputs.at[i]))
            return false;
    return true;
}

bool import_body(Reader *r, Scope *s, TgNode holder, TgName attr, const AttrView *a)
{
    Scope inner, *home = a->home ? a->home : s;
    TgPlace before = *tg_place(r->tg);
    if (home->g != s->g)
        return tg_report(r->tg, TG_E_attr_form, attr, "a graph that reads values of another graph");
    if (!tg_within(r->tg, TG_LIMIT_nesting, r->nesting + 1u))
        return false;
    uint32_t sub = tg_node(s->g, holder)->n_sub;
    scope_open(&inner, r, tg_node_add_sub(s->g, holder, attr), home);
    inner.holder = holder;
    inner.sub = sub;
    r->nesting++;
    bool fine = import_graph(r, &inner, a->graph); /* TG_LIMIT_nesting bounds this */
    r->nesting--;
    if (fine)
        *tg_place(r->tg) = before;
    return fine;
}
