/* Views: containers of the file as records that refer to it. Only names are interned; payloads, types and
 * attributes stay as bytes until somebody needs them. */
#include "import.h"

#include <string.h>

/* --- small things ------------------------------------------------------------------------------------------------- */

bool take_budget(Reader *r, uint64_t bytes)
{
    if (bytes > r->budget)
        return tg_report(r->tg, TG_E_load_budget, (size_t)bytes, (size_t)r->budget,
                         tg_limit_info(TG_LIMIT_load)->option);
    r->budget -= bytes;
    return true;
}

TgName wire_name(Reader *r, TgBytes text)
{
    return text.n ? tg_name_n(r->tg, (const char *)text.at, text.n) : NULL;
}

TgName domain_name(Reader *r, TgBytes text)
{
    bool standard = text.n == 0 || (text.n == 7 && memcmp(text.at, "ai.onnx", 7) == 0);
    return standard ? tg_name(r->tg, "") : wire_name(r, text);
}

/* One run of bytes where the fields lie side by side, as most writers put them; otherwise a joined copy. */
TgBytes unknown_fields(TgArena *arena, TgBytes message, WireMessage kind)
{
    size_t total = 0;
    TgBytes rest = message, run = {NULL, 0};
    WireField f;
    while (scan_next(&rest, &f))
        if (!scan_knows(kind, f.number)) {
            bool adjoins = run.n > 0 && run.at + run.n == f.whole.at;
            run = adjoins ? (TgBytes){run.at, run.n + f.whole.n} : f.whole;
            total += f.whole.n;
        }
    if (run.n == total)
        return run;
    uint8_t *joined = tg_new(arena, total);
    size_t n = 0;
    for (rest = message; scan_next(&rest, &f);)
        if (!scan_knows(kind, f.number)) {
            memcpy(joined + n, f.whole.at, f.whole.n);
            n += f.whole.n;
        }
    return (TgBytes){joined, total};
}

void view_import(Reader *r, TgBytes message, TgImport *import)
{
    WireField f;
    *import = (TgImport){.domain = tg_name(r->tg, "")};
    while (scan_next(&message, &f)) {
        if (f.number == OPSET_domain)
            import->domain = domain_name(r, f.bytes);
        else if (f.number == OPSET_version)
            import->version = (int64_t)f.value;
    }
}

bool view_value(Reader *r, TgBytes message, ValueView *view)
{
    WireField f;
    *view = (ValueView){.unknown = unknown_fields(r->model->arena, message, WIRE_VALUE)};
    while (scan_next(&message, &f)) {
        if (f.number == VALUE_name) {
            view->name = wire_name(r, f.bytes);
        } else if (f.number == VALUE_type) {
            view->typed = true;
            view->type = f.bytes;
        } else if (f.number == VALUE_doc_string) {
            view->doc = wire_name(r, f.bytes);
        }
    }
    return view->name || tg_report(r->tg, TG_E_nameless, "a value");
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

/* Old files do not say the type of an attribute: the field that is set tells it. */
static AttrType guess(uint32_t field)
{
    switch (field) {
    case ATTRIBUTE_f: return AT_FLOAT;
    case ATTRIBUTE_i: return AT_INT;
    case ATTRIBUTE_s: return AT_STRING;
    case ATTRIBUTE_t: return AT_TENSOR;
    case ATTRIBUTE_g: return AT_GRAPH;
    case ATTRIBUTE_floats: return AT_FLOATS;
    case ATTRIBUTE_ints: return AT_INTS;
    case ATTRIBUTE_strings: return AT_STRINGS;
    case ATTRIBUTE_tensors: return AT_TENSORS;
    case ATTRIBUTE_graphs: return AT_GRAPHS;
    case ATTRIBUTE_tp: return AT_TYPE;
    case ATTRIBUTE_type_protos: return AT_TYPES;
    case ATTRIBUTE_sparse_tensor: return AT_SPARSE;
    case ATTRIBUTE_sparse_tensors: return AT_SPARSES;
    default: return AT_NONE;
    }
}

static bool view_inner_graph(Reader *r, TgBytes message, AttrView *view)
{
    if (!tg_within(r->tg, TG_LIMIT_nesting, r->nesting + 1u))
        return false;
    GraphView *graph = TG_NEW(r->arena, GraphView);
    view->graph = graph;
    r->nesting++;
    bool fine = view_graph(r, message, graph); /* TG_LIMIT_nesting bounds this */
    r->nesting--;
    return fine;
}

static bool view_attr(Reader *r, TgBytes message, AttrView *view)
{
    TgBytes rest = message, graph = {NULL, 0};
    AttrType guessed = AT_NONE;
    bool has_graph = false;
    WireField f;
    *view = (AttrView){.whole = message};
    while (scan_next(&rest, &f)) {
        if (guess(f.number))
            guessed = guess(f.number);
        if (f.number == ATTRIBUTE_name)
            view->name = wire_name(r, f.bytes);
        else if (f.number == ATTRIBUTE_ref_attr_name)
            view->reference = wire_name(r, f.bytes);
        else if (f.number == ATTRIBUTE_type)
            view->type = (int32_t)f.value;
        else if (f.number == ATTRIBUTE_g) {
            graph = f.bytes;
            has_graph = true;
        }
    }
    if (!view->name)
        return tg_report(r->tg, TG_E_nameless, "an attribute");
    if (!view->type)
        view->type = guessed;
    if (view->type == AT_GRAPHS)
        return tg_report(r->tg, TG_E_attr_form, view->name, "a list of graphs");
    if (view->type != AT_GRAPH || view->reference)
        return true;
    return has_graph ? view_inner_graph(r, graph, view) : tg_report(r->tg, TG_E_attr_empty, view->name);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static bool node_attr(Reader *r, NodeView *view, TgBytes message)
{
    AttrView attr;
    if (!view_attr(r, message, &attr))
        return false;
    if (!tg_within(r->tg, TG_LIMIT_attributes, view->attrs.n + 1u))
        return false;
    for (uint32_t i = 0; i < view->attrs.n; i++)
        if (view->attrs.at[i].name == attr.name)
            return tg_report(r->tg, TG_E_attr_twice, attr.name);
    for (uint32_t i = 0; attr.graph && i < attr.graph->outer.n; i++)
        TG_PUSH(r->arena, &view->outer, attr.graph->outer.at[i]);
    TG_PUSH(r->arena, &view->attrs, attr);
    return true;
}

static void node_field(Reader *r, NodeView *view, const WireField *f)
{
    switch (f->number) {
    case NODE_input: TG_PUSH(r->arena, &view->in, wire_name(r, f->bytes)); break;
    case NODE_output: TG_PUSH(r->arena, &view->out, wire_name(r, f->bytes)); break;
    case NODE_name: view->name = wire_name(r, f->bytes); break;
    case NODE_op_type: view->op_type = wire_name(r, f->bytes); break;
    case NODE_domain: view->domain = domain_name(r, f->bytes); break;
    case NODE_overload: view->overload = wire_name(r, f->bytes); break;
    case NODE_doc_string: view->doc = wire_name(r, f->bytes); break;
    default: break;
    }
}

static bool view_node(Reader *r, NodeList *nodes, TgBytes message)
{
    NodeView view = {.domain = tg_name(r->tg, ""),
                     .unknown = unknown_fields(r->model->arena, message, WIRE_NODE)};
    TgPlace before = *tg_place(r->tg), *place = tg_place(r->tg);
    TgBytes rest = message;
    WireField f;
    while (scan_next(&rest, &f))
        node_field(r, &view, &f);
    place->node = view.name ? view.name : view.out.n ? view.out.at[0] : NULL;
    place->op = view.op_type;
    if (!view.op_type)
        return tg_report(r->tg, TG_E_nameless, "the operator of a node");
    for (rest = message; scan_next(&rest, &f);)
        if (f.number == NODE_attribute && !node_attr(r, &view, f.bytes))
            return false;
    TG_PUSH(r->arena, nodes, view);
    *place = before;
    return true;
}

/* --- what a graph reads from outside ------------------------------------------------------------------------------ */

static void defined(TgMap *names, TgName name)
{
    if (name)
        tg_map_put(names, TG_KEY(name), 1);
}

/* A name that is read: outer unless it is known; known from then on. */
static void read_name(Reader *r, GraphView *view, TgMap *names, TgName name)
{
    if (name && !tg_map_get(names, TG_KEY(name), NULL)) {
        TG_PUSH(r->arena, &view->outer, name);
        defined(names, name);
    }
}

static TgName tensor_name(Reader *r, TgBytes message)
{
    TgName name = NULL;
    WireField f;
    while (scan_next(&message, &f))
        if (f.number == TENSOR_name)
            name = wire_name(r, f.bytes);
    return name;
}

static void find_outer(Reader *r, GraphView *view)
{
    TgMap names;
    TgName name;
    const TgType *type;
    tg_map_init(&names, r->arena);
    for (uint32_t i = 0; i < view->inputs.n; i++)
        defined(&names, view->inputs.at[i].name);
    for (uint32_t i = 0; i < view->initializers.n; i++)
        defined(&names, tensor_name(r, view->initializers.at[i]));
    for (uint32_t i = 0; i < view->sparse.n; i++)
        if (sparse_type(r, view->sparse.at[i], &name, &type))
            defined(&names, name);
    for (uint32_t n = 0; n < view->nodes.n; n++)
        for (uint32_t i = 0; i < view->nodes.at[n].out.n; i++)
            defined(&names, view->nodes.at[n].out.at[i]);
    for (uint32_t n = 0; n < view->nodes.n; n++) {
        const NodeView *node = &view->nodes.at[n];
        for (uint32_t i = 0; i < node->in.n; i++)
            read_name(r, view, &names, node->in.at[i]);
        for (uint32_t i = 0; i < node->outer.n; i++)
            read_name(r, view, &names, node->outer.at[i]);
    }
    for (uint32_t i = 0; i < view->outputs.n; i++)
        read_name(r, view, &names, view->outputs.at[i].name);
}

/* --- graphs and functions ----------------------------------------------------------------------------------------- */

static bool push_value(Reader *r, ValueList *list, TgBytes message)
{
    ValueView value;
    if (!view_value(r, message, &value))
        return false;
    TG_PUSH(r->arena, list, value);
    return true;
}

bool view_graph(Reader *r, TgBytes message, GraphView *view)
{
    TgBytes rest = message;
    WireField f;
    *view = (GraphView){.unknown = unknown_fields(r->model->arena, message, WIRE_GRAPH)};
    while (scan_next(&rest, &f)) {
        bool fine = true;
        switch (f.number) {
        case GRAPH_node: fine = view_node(r, &view->nodes, f.bytes); break;
        case GRAPH_name: view->name = wire_name(r, f.bytes); break;
        case GRAPH_doc_string: view->doc = wire_name(r, f.bytes); break;
        case GRAPH_input: fine = push_value(r, &view->inputs, f.bytes); break;
        case GRAPH_output: fine = push_value(r, &view->outputs, f.bytes); break;
        case GRAPH_value_info: fine = push_value(r, &view->infos, f.bytes); break;
        case GRAPH_initializer: TG_PUSH(r->arena, &view->initializers, f.bytes); break;
        case GRAPH_sparse_initializer: TG_PUSH(r->arena, &view->sparse, f.bytes); break;
        default: break;
        }
        if (!fine)
            return false;
    }
    if (r->nesting > 0)
        find_outer(r, view);
    return true;
}

static bool function_default(Reader *r, FunctionView *view, TgBytes message)
{
    AttrView attr;
    if (!view_attr(r, message, &attr))
        return false;
    TG_PUSH(r->arena, &view->defaults, attr);
    return true;
}

bool view_function(Reader *r, TgBytes message, FunctionView *view)
{
    WireField f;
    TgImport import;
    *view = (FunctionView){.domain = tg_name(r->tg, "")};
    while (scan_next(&message, &f)) {
        bool fine = true;
        switch (f.number) {
        case FUNCTION_name: view->name = wire_name(r, f.bytes); break;
        case FUNCTION_domain: view->domain = domain_name(r, f.bytes); break;
        case FUNCTION_overload: view->overload = wire_name(r, f.bytes); break;
        case FUNCTION_input: TG_PUSH(r->arena, &view->in, wire_name(r, f.bytes)); break;
        case FUNCTION_output: TG_PUSH(r->arena, &view->out, wire_name(r, f.bytes)); break;
        case FUNCTION_attribute: TG_PUSH(r->arena, &view->attrs, wire_name(r, f.bytes)); break;
        case FUNCTION_attribute_proto: fine = function_default(r, view, f.bytes); break;
        case FUNCTION_node: fine = view_node(r, &view->nodes, f.bytes); break;
        case FUNCTION_value_info: fine = push_value(r, &view->infos, f.bytes); break;
        case FUNCTION_opset_import:
            view_import(r, f.bytes, &import);
            TG_PUSH(r->arena, &view->imports, import);
            break;
        default: break;
        }
        if (!fine)
            return false;
    }
    return view->name || tg_report(r->tg, TG_E_nameless, "a function");
}
