/* A model as JSON, for scripts: interface, nodes in order, constants by type. */
#include "tool.h"

static TgName value_name(Tg *tg, const TgGraph *g, TgValue v)
{
    TgName name = v ? tg_value(g, v)->name : "";
    return name ? name : tg_name_format(tg, "_%u", v);
}

static void typed(Json *j, Tg *tg, TgName name, const TgType *type)
{
    json_open(j, '{');
    json_string_at(j, "name", name);
    json_string_at(j, "type", tg_type_text(tg, type));
    json_close(j, '}');
}

static void bytes_as_string(Json *j, Tg *tg, TgBytes s)
{
    json_string(j, tg_name_n(tg, (const char *)s.at, s.n));
}

static void attribute(Json *j, Tg *tg, const TgAttr *a)
{
    bool list = a->kind == TG_A_INTS || a->kind == TG_A_FLOATS || a->kind == TG_A_STRINGS;
    json_key(j, a->name);
    if (list)
        json_open(j, '[');
    for (uint32_t i = 0; list && i < a->n; i++) {
        if (a->kind == TG_A_INTS)
            json_int(j, a->u.ints[i]);
        else if (a->kind == TG_A_FLOATS)
            json_number(j, (double)a->u.floats[i]);
        else
            bytes_as_string(j, tg, a->u.strings[i]);
    }
    if (list)
        json_close(j, ']');
    else if (a->kind == TG_A_INT)
        json_int(j, a->u.i);
    else if (a->kind == TG_A_FLOAT)
        json_number(j, (double)a->u.f);
    else if (a->kind == TG_A_STRING)
        bytes_as_string(j, tg, a->u.s);
    else if (a->kind == TG_A_TENSOR)
        json_string(j, tg_type_text(tg, tg_tensor_type(tg, a->u.tensors[0])));
    else
        json_string(j, NULL);
}

static void names(Json *j, Tg *tg, const TgGraph *g, const char *key, uint32_t n, const TgValue *values)
{
    json_key(j, key);
    json_open(j, '[');
    for (uint32_t i = 0; i < n; i++)
        json_string(j, value_name(tg, g, values[i]));
    json_close(j, ']');
}

static void node(Json *j, Tg *tg, const TgGraph *g, const TgNodeInfo *n)
{
    json_open(j, '{');
    json_string_at(j, "name", n->name);
    json_string_at(j, "op", n->op == TG_opaque ? n->op_name : tg_op_info(n->op)->name);
    json_string_at(j, "domain", n->op == TG_opaque ? n->domain : tg_op_info(n->op)->domain);
    names(j, tg, g, "inputs", n->n_formal, n->in);
    names(j, tg, g, "outputs", n->n_out, n->out);
    json_key(j, "types");
    json_open(j, '[');
    for (uint32_t i = 0; i < n->n_out; i++)
        json_string(j, tg_type_text(tg, tg_type_of(g, n->out[i])));
    json_close(j, ']');
    json_key(j, "attributes");
    json_open(j, '{');
    for (uint32_t i = 0; i < n->attrs->n; i++)
        attribute(j, tg, &n->attrs->at[i]);
    json_close(j, '}');
    json_int_at(j, "subgraphs", n->n_sub);
    json_close(j, '}');
}

static void constants(Json *j, Tg *tg, const TgGraph *g)
{
    json_key(j, "constants");
    json_open(j, '[');
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (info->origin == TG_V_CONST && (info->uses.n || info->returned))
            typed(j, tg, value_name(tg, g, v), info->type);
    }
    json_close(j, ']');
}

static void interface(Json *j, Tg *tg, const TgGraph *g)
{
    json_key(j, "inputs");
    json_open(j, '[');
    for (uint32_t i = 0; i < g->inputs.n; i++)
        typed(j, tg, value_name(tg, g, g->inputs.at[i]), tg_type_of(g, g->inputs.at[i]));
    json_close(j, ']');
    json_key(j, "outputs");
    json_open(j, '[');
    for (uint32_t i = 0; i < g->outputs.n; i++)
        typed(j, tg, g->outputs.at[i].name, tg_type_of(g, g->outputs.at[i].value));
    json_close(j, ']');
}

void json_model(Json *j, TgModel *model)
{
    TgGraph *g = model->graph;
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    json_open(j, '{');
    json_string_at(j, "schema", "tgopt.graph/1");
    json_string_at(j, "graph", g->name);
    json_int_at(j, "opset", tg_model_opset(model, ""));
    interface(j, model->tg, g);
    constants(j, model->tg, g);
    json_key(j, "nodes");
    json_open(j, '[');
    for (uint32_t i = 0; i < n; i++)
        node(j, model->tg, g, tg_node(g, order[i]));
    json_close(j, ']');
    json_close(j, '}');
}
