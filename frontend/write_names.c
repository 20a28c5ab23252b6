/* Names for the file. Inside, values are numbers and names are remarks; a file needs one name per value,
 * unique in its graph and in all graphs around it, and the names of the model's inputs and outputs are
 * promises.
 *
 * So are those of a subgraph of an operator that we do not know, which may look at them (ONNX Runtime's
 * BeamSearch does). In this order: inputs, outputs, then every value that has a name, then those that have
 * none; who comes later and finds a name taken gets another. An output whose value is an input, is captured,
 * or is already another output becomes an Identity at the end. Equal small constants without names share one
 * name: Constants of the shape arithmetic of exporters, and the axes that raising made, are many and alike.
 */
#include "write.h"

static bool is_taken(const NamedGraph *named, TgName name)
{
    for (; named; named = named->outer)
        if (tg_map_get(&named->taken, TG_KEY(name), NULL))
            return true;
    return false;
}

static TgName claim(NamedGraph *named, TgName name)
{
    tg_map_put(&named->taken, TG_KEY(name), 1);
    return name;
}

/* `wish` or, where it is taken, wish_1, wish_2 ...; without a wish a number of our own. */
static TgName claim_like(Names *names, NamedGraph *named, TgName wish)
{
    TgName name = wish;
    for (uint32_t i = 1; !name || is_taken(named, name); i++)
        name = wish ? tg_name_format(names->tg, "%s_%u", wish, i)
                    : tg_name_format(names->tg, "t%u", names->next++);
    return claim(named, name);
}

static bool is_read(const TgValueInfo *v)
{
    return v->uses.n > 0 || v->returned > 0;
}

/* --- outputs -------------------------------------------------------------------------------------------- */

static void add_alias(Names *names, NamedGraph *named, TgValue v, TgName name)
{
    Alias alias = {v, name};
    TG_PUSH(names->arena, &named->alias, alias);
}

/* A value may carry an output's name if it has no name yet and belongs to this graph. */
static void name_output(Names *names, NamedGraph *named, uint32_t k)
{
    const TgReturn *r = &named->g->outputs.at[k];
    const TgValueInfo *v = tg_value(named->g, r->value);
    bool own = v->origin == TG_V_RESULT || v->origin == TG_V_CONST;
    if (named->name[r->value] && named->name[r->value] == r->name && v->origin != TG_V_CAPTURE) {
        named->output[k] = r->name; /* an input that is an output, an output listed twice: as in the source */
        return;
    }
    named->output[k] = named->fixed && r->name ? claim(named, r->name) : claim_like(names, named, r->name);
    if (own && !named->name[r->value])
        named->name[r->value] = named->output[k];
    else
        add_alias(names, named, r->value, named->output[k]);
}

/* --- constants ------------------------------------------------------------------------------------------ */

enum { SMALL = 64 }; /* bytes of a constant that is compared with others */

/* The first constant of this graph that has the same tensor, or is small, nameless and equal. */
static TgValue twin_of(NamedGraph *named, TgMap *seen, TgValue v)
{
    Tg *tg = named->g->tg;
    const TgValueInfo *info = tg_value(named->g, v);
    bool small = !info->name && info->tensor->payload != TG_RECIPE && info->tensor->size <= SMALL;
    uint64_t key = small ? tg_tensor_hash(tg, info->tensor) : TG_KEY(info->tensor), found;
    if (!tg_map_get(seen, key, &found)) {
        tg_map_put(seen, key, v);
        return v;
    }
    const TgTensor *other = tg_value(named->g, (TgValue)found)->tensor;
    return other == info->tensor || (small && tg_tensor_equal(tg, other, info->tensor)) ? (TgValue)found : v;
}

static void find_twins(NamedGraph *named)
{
    TgArena *scratch = tg_scratch(named->g->tg);
    TgMark mark = tg_mark(scratch);
    TgMap seen;
    tg_map_init(&seen, scratch);
    for (TgValue v = 1; v < named->g->values.n; v++) {
        const TgValueInfo *info = tg_value(named->g, v);
        if (info->origin == TG_V_CONST && is_read(info))
            named->twin[v] = info->returned ? v : twin_of(named, &seen, v);
    }
    tg_release(scratch, mark);
}

/* --- values --------------------------------------------------------------------------------------------- */

static bool needs_name(const NamedGraph *named, TgValue v)
{
    const TgValueInfo *info = tg_value(named->g, v);
    if (named->name[v])
        return false;
    switch (info->origin) {
    case TG_V_CONST: return named->twin[v] == v;
    case TG_V_RESULT: return !tg_node(named->g, info->node)->dead;
    default: return false;
    }
}

/* Results that nobody reads keep the name that they have, or go without where the operator allows it. */
static bool may_go_without(const TgGraph *g, const TgValueInfo *info)
{
    if (info->origin != TG_V_RESULT || is_read(info))
        return false;
    const TgNodeInfo *node = tg_node(g, info->node);
    const TgOpInfo *op = tg_op_info(node->op);
    return node->op == TG_opaque || (info->index >= op->out_min && op->out_max != TG_MANY);
}

static void name_values(Names *names, NamedGraph *named)
{
    const TgGraph *g = named->g;
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->name && needs_name(named, v))
            named->name[v] = claim_like(names, named, tg_value(g, v)->name);
    for (TgValue v = 1; v < g->values.n; v++)
        if (needs_name(named, v) && !may_go_without(g, tg_value(g, v)))
            named->name[v] = claim_like(names, named, NULL);
    for (TgValue v = 1; v < g->values.n; v++)
        if (named->twin[v] && named->twin[v] != v)
            named->name[v] = named->name[named->twin[v]];
}

/* --- graphs --------------------------------------------------------------------------------------------- */

static NamedGraph *named_new(Names *names, TgGraph *g, const NamedGraph *outer, bool fixed)
{
    NamedGraph *named = TG_NEW(names->arena, NamedGraph);
    named->g = g;
    named->outer = outer;
    named->fixed = fixed;
    named->name = TG_NEW_N(names->arena, TgName, g->values.n);
    named->twin = TG_NEW_N(names->arena, TgValue, g->values.n);
    named->output = TG_NEW_N(names->arena, TgName, g->outputs.n + 1);
    tg_map_init(&named->taken, names->arena);
    tg_map_put(&names->of, TG_KEY(g), TG_KEY(named));
    TG_PUSH(names->arena, &names->graphs, named);
    return named;
}

static void name_graph(Names *names, NamedGraph *named)
{
    const TgGraph *g = named->g;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgName wish = tg_value(g, g->inputs.at[i])->name;
        named->name[g->inputs.at[i]] =
            named->fixed && wish ? claim(named, wish) : claim_like(names, named, wish);
    }
    find_twins(named);
    for (uint32_t k = 0; k < g->outputs.n; k++)
        name_output(names, named, k);
    name_values(names, named);
}

static void name_subgraphs(Names *names, const NamedGraph *named);

static void name_subgraph(Names *names, const NamedGraph *outer, const TgNodeInfo *node, const TgSub *sub)
{
    NamedGraph *named = named_new(names, sub->graph, outer, node->op == TG_opaque);
    for (uint32_t k = 0; k < sub->outer.n; k++)
        named->name[sub->graph->captures.at[k]] = outer->name[node->in[sub->outer.at[k]]];
    name_graph(names, named);
    name_subgraphs(names, named); /* nesting is bounded by the reader */
}

static void name_subgraphs(Names *names, const NamedGraph *named)
{
    for (TgNode n = 1; n < named->g->nodes.n; n++) {
        const TgNodeInfo *node = tg_node(named->g, n);
        for (uint32_t s = 0; !node->dead && s < node->n_sub; s++)
            name_subgraph(names, named, node, &node->sub[s]);
    }
}

void names_make(Names *names, TgModel *model, TgArena *arena)
{
    *names = (Names){.tg = model->tg, .arena = arena, .next = 1};
    tg_map_init(&names->of, arena);
    NamedGraph *named = named_new(names, model->graph, NULL, true);
    name_graph(names, named);
    name_subgraphs(names, named);
}

const NamedGraph *names_of(const Names *names, const TgGraph *g)
{
    uint64_t found = 0;
    tg_map_get(&names->of, TG_KEY(g), &found);
    return (const NamedGraph *)(uintptr_t)found;
}
