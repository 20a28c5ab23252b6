/* The model as ONNX messages (onnx.proto): which fields there are and in which order. Field numbers stand beside the
 * names of the format, one enum per message; unknown fields that were read are written behind the known ones. */
#include "write.h"

/* --- tensors -------------------------------------------------------------------------------------------- */

enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_STRINGS = 6, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_DOC = 12,
       TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };

static void entry(Wire *w, uint32_t field, const char *key, const char *value)
{
    uint32_t message = wire_open(w, field);
    wire_text(w, ENTRY_KEY, key);
    wire_text(w, ENTRY_VALUE, value);
    wire_close(w, message);
}

static void external_data(Wire *w, const TgTensor *t, Place place)
{
    entry(w, TENSOR_EXTERNAL, "location", place.location);
    entry(w, TENSOR_EXTERNAL, "offset", tg_name_format(w->tg, "%zu", place.offset));
    entry(w, TENSOR_EXTERNAL, "length", tg_name_format(w->tg, "%zu", t->size));
    wire_int(w, TENSOR_LOCATION, 1);
}

void write_tensor(Wire *w, const TgTensor *t, const char *name, Place place)
{
    for (int32_t i = 0; i < t->rank; i++)
        wire_int(w, TENSOR_DIMS, t->dim[i]);
    wire_int(w, TENSOR_TYPE, t->dtype);
    for (size_t i = 0; t->payload == TG_STRINGS && i < t->count; i++)
        wire_bytes(w, TENSOR_STRINGS, t->strings[i]);
    wire_text_if(w, TENSOR_NAME, name);
    if (t->payload != TG_STRINGS && !place.location)
        wire_payload(w, TENSOR_RAW, t);
    wire_text_if(w, TENSOR_DOC, t->doc);
    if (place.location)
        external_data(w, t, place);
    wire_raw(w, t->unknown);
}

static void tensor_field(Wire *w, uint32_t field, const TgTensor *t, const char *name, Place place)
{
    uint32_t message = wire_open(w, field);
    write_tensor(w, t, name, place);
    wire_close(w, message);
}

/* --- types ---------------------------------------------------------------------------------------------- */

enum { TYPE_TENSOR = 1, TYPE_SEQUENCE = 4, TYPE_MAP = 5, TYPE_SPARSE = 8, TYPE_OPTIONAL = 9 };
enum { ELEMENT_TYPE = 1, ELEMENT_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1, DIM_PARAM = 2, MAP_KEY = 1, MAP_VALUE = 2 };

static void write_shape(Wire *w, const TgType *t)
{
    uint32_t shape = wire_open(w, ELEMENT_SHAPE);
    for (int32_t i = 0; i < t->rank; i++) {
        int64_t n;
        uint32_t dim = wire_open(w, SHAPE_DIM);
        if (tg_dim_known(t->dim[i], &n))
            wire_int(w, DIM_VALUE, n);
        else if (!tg_dim_is_fresh(t->dim[i]))
            wire_text(w, DIM_PARAM, tg_dim_text(w->tg, t->dim[i]));
        wire_close(w, dim);
    }
    wire_close(w, shape);
}

/* Fields of a TypeProto; none: unknown. */
static void write_type(Wire *w, const TgType *t)
{
    static const uint32_t fields[] = {[TG_TENSOR] = TYPE_TENSOR,     [TG_SPARSE] = TYPE_SPARSE,
                                      [TG_SEQUENCE] = TYPE_SEQUENCE, [TG_OPTIONAL] = TYPE_OPTIONAL,
                                      [TG_MAP] = TYPE_MAP};
    if (t->kind == TG_UNTYPED)
        return;
    uint32_t kind = wire_open(w, fields[t->kind]);
    if (t->kind == TG_TENSOR || t->kind == TG_SPARSE) {
        wire_int(w, ELEMENT_TYPE, t->dtype);
        if (t->rank >= 0)
            write_shape(w, t);
    } else {
        if (t->kind == TG_MAP)
            wire_int(w, MAP_KEY, t->dtype);
        uint32_t item = wire_open(w, t->kind == TG_MAP ? MAP_VALUE : ELEMENT_TYPE);
        write_type(w, t->item); /* as deep as the reader allowed */
        wire_close(w, item);
    }
    wire_close(w, kind);
}

enum { VALUE_NAME = 1, VALUE_TYPE = 2, VALUE_DOC = 3 };

/* A ValueInfoProto; the type as the source spelled it, where it did. */
static void write_value(Wire *w, uint32_t field, const char *name, const TgType *type, TgBytes spelled, TgName doc,
                        TgBytes unknown)
{
    uint32_t message = wire_open(w, field);
    wire_text(w, VALUE_NAME, name);
    if (spelled.n > 0) {
        wire_bytes(w, VALUE_TYPE, spelled);
    } else if (type && type->kind != TG_UNTYPED) {
        uint32_t inner = wire_open(w, VALUE_TYPE);
        write_type(w, type);
        wire_close(w, inner);
    }
    wire_text_if(w, VALUE_DOC, doc);
    wire_raw(w, unknown);
    wire_close(w, message);
}

/* --- attributes ----------------------------------------------------------------------------------------- */

enum { ATTR_NAME = 1, ATTR_FLOAT = 2, ATTR_INT = 3, ATTR_STRING = 4, ATTR_TENSOR = 5, ATTR_GRAPH = 6, ATTR_FLOATS = 7,
       ATTR_INTS = 8, ATTR_STRINGS = 9, ATTR_TENSORS = 10, ATTR_TYPE_PROTO = 14, ATTR_KIND = 20 };
enum { KIND_GRAPH = 5 };

static void attr_payload(Wire *w, const TgAttr *a)
{
    const Place inside = {NULL, 0};
    if (a->kind == TG_A_INT)
        wire_int(w, ATTR_INT, a->u.i);
    if (a->kind == TG_A_FLOAT)
        wire_float(w, ATTR_FLOAT, a->u.f);
    if (a->kind == TG_A_STRING)
        wire_bytes(w, ATTR_STRING, a->u.s);
    if (a->kind == TG_A_TYPE) {
        uint32_t type = wire_open(w, ATTR_TYPE_PROTO);
        write_type(w, a->u.type);
        wire_close(w, type);
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == TG_A_INTS)
            wire_int(w, ATTR_INTS, a->u.ints[i]);
        if (a->kind == TG_A_FLOATS)
            wire_float(w, ATTR_FLOATS, a->u.floats[i]);
        if (a->kind == TG_A_STRINGS)
            wire_bytes(w, ATTR_STRINGS, a->u.strings[i]);
        if (a->kind == TG_A_TENSOR || a->kind == TG_A_TENSORS)
            tensor_field(w, a->kind == TG_A_TENSOR ? ATTR_TENSOR : ATTR_TENSORS, a->u.tensors[i], NULL, inside);
    }
}

static void write_attr(Wire *w, uint32_t field, const TgAttr *a)
{
    static const int64_t numbers[] = {[TG_A_INT] = 2,  [TG_A_FLOAT] = 1,  [TG_A_STRING] = 3,
                                      [TG_A_INTS] = 7, [TG_A_FLOATS] = 6, [TG_A_STRINGS] = 8,
                                      [TG_A_TENSOR] = 4, [TG_A_TENSORS] = 9, [TG_A_TYPE] = 13};
    if (a->kind == TG_A_RAW) {
        wire_bytes(w, field, a->u.s);
        return;
    }
    uint32_t message = wire_open(w, field);
    wire_text(w, ATTR_NAME, a->name);
    attr_payload(w, a);
    wire_int(w, ATTR_KIND, numbers[a->kind]);
    wire_close(w, message);
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_DOC = 10, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12,
       GRAPH_VALUE_INFO = 13 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTR = 5, NODE_DOC = 6, NODE_DOMAIN = 7,
       NODE_OVERLOAD = 8, NODE_METADATA = 9 };

static void write_graph(ModelWriter *w, const NamedGraph *named);

/* Names of values; absent ones in between are empty, those at the end are left out. */
static void name_list(Wire *w, uint32_t field, const NamedGraph *named, uint32_t n, const TgValue *values)
{
    while (n > 0 && !(values[n - 1] && named->name[values[n - 1]]))
        n--;
    for (uint32_t i = 0; i < n; i++)
        wire_text(w, field, values[i] ? named->name[values[i]] : NULL);
}

static void write_sub(ModelWriter *w, const TgSub *sub)
{
    uint32_t message = wire_open(w->wire, NODE_ATTR);
    wire_text(w->wire, ATTR_NAME, sub->attr);
    uint32_t graph = wire_open(w->wire, ATTR_GRAPH);
    write_graph(w, names_of(w->names, sub->graph)); /* nesting is bounded by the reader */
    wire_close(w->wire, graph);
    wire_int(w->wire, ATTR_KIND, KIND_GRAPH);
    wire_close(w->wire, message);
}

static void write_provenance(ModelWriter *w, const TgNodeInfo *node)
{
    TgText sources, rewrites;
    tg_text_init(&sources, w->wire->arena);
    tg_text_init(&rewrites, w->wire->arena);
    for (const TgOriginNote *note = node->origin; note; note = note->next) {
        if (note->source)
            tg_text_format(&sources, "%s%s", sources.n ? ", " : "", note->source);
        if (note->rewrite)
            tg_text_format(&rewrites, "%s%s", rewrites.n ? ", " : "", note->rewrite);
    }
    if (!rewrites.n)
        return;
    if (sources.n)
        entry(w->wire, NODE_METADATA, "tgopt.sources", sources.at);
    entry(w->wire, NODE_METADATA, "tgopt.rewrites", rewrites.at);
}

static void write_node(ModelWriter *w, const NamedGraph *named, const TgNodeInfo *node)
{
    Wire *wire = w->wire;
    const TgOpInfo *op = tg_op_info(node->op);
    bool opaque = node->op == TG_opaque;
    uint32_t message = wire_open(wire, GRAPH_NODE);
    name_list(wire, NODE_INPUT, named, node->n_formal, node->in);
    name_list(wire, NODE_OUTPUT, named, node->n_out, node->out);
    wire_text_if(wire, NODE_NAME, node->name);
    wire_text(wire, NODE_OP, opaque ? node->op_name : op->name);
    for (uint32_t i = 0; i < node->attrs->n; i++)
        write_attr(wire, NODE_ATTR, &node->attrs->at[i]);
    for (uint32_t s = 0; s < node->n_sub; s++)
        write_sub(w, &node->sub[s]);
    wire_text_if(wire, NODE_DOC, node->doc);
    wire_text_if(wire, NODE_DOMAIN, opaque ? node->domain : op->domain);
    wire_text_if(wire, NODE_OVERLOAD, node->overload);
    if (w->provenance)
        write_provenance(w, node);
    wire_raw(wire, node->unknown);
    wire_close(wire, message);
}

static void write_identity(Wire *w, const char *from, const char *to)
{
    uint32_t message = wire_open(w, GRAPH_NODE);
    wire_text(w, NODE_INPUT, from);
    wire_text(w, NODE_OUTPUT, to);
    wire_text(w, NODE_OP, "Identity");
    wire_close(w, message);
}

static void write_constant(Wire *w, const TgTensor *t, const char *name)
{
    uint32_t message = wire_open(w, GRAPH_NODE);
    wire_text(w, NODE_OUTPUT, name);
    wire_text(w, NODE_OP, "Constant");
    TgAttr value = {.name = "value", .kind = TG_A_TENSOR, .n = 1, .u.tensors = &t};
    write_attr(w, NODE_ATTR, &value);
    wire_close(w, message);
}

/* --- graphs --------------------------------------------------------------------------------------------- */

enum { IR_WITH_FREE_INITIALIZERS = 4 }; /* before, every initializer was also an input */

/* Bodies of IR version 3 cannot have initializers: their inputs are counted. */
static bool needs_constant_nodes(const ModelWriter *w, const NamedGraph *named)
{
    return w->ir_version < IR_WITH_FREE_INITIALIZERS && named->outer;
}

static void write_nodes(ModelWriter *w, const NamedGraph *named)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(named->g, &n);
    for (TgValue v = 1; needs_constant_nodes(w, named) && v < named->g->values.n; v++)
        if (const_is_written(named, v))
            write_constant(w->wire, tg_value(named->g, v)->tensor, named->name[v]);
    for (uint32_t i = 0; i < n; i++)
        write_node(w, named, tg_node(named->g, order[i]));
    for (uint32_t i = 0; i < named->alias.n; i++)
        write_identity(w->wire, named->name[named->alias.at[i].value], named->alias.at[i].name);
}

static void write_initializers(ModelWriter *w, const NamedGraph *named)
{
    for (TgValue v = 1; v < named->g->values.n; v++) {
        const TgValueInfo *info = tg_value(named->g, v);
        const TgTensor *t = const_is_written(named, v) && !needs_constant_nodes(w, named) ? info->tensor : info->initial;
        if (t)
            tensor_field(w->wire, GRAPH_INITIALIZER, t, named->name[v], data_place(w->data, t));
    }
}

static void write_inputs(ModelWriter *w, const NamedGraph *named)
{
    const TgGraph *g = named->g;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        write_value(w->wire, GRAPH_INPUT, named->name[g->inputs.at[i]], v->declared, v->type_wire, v->doc, v->unknown);
    }
    if (w->ir_version >= IR_WITH_FREE_INITIALIZERS || named->outer)
        return;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (const_is_written(named, v))
            write_value(w->wire, GRAPH_INPUT, named->name[v], info->type, info->type_wire, info->doc, info->unknown);
    }
}

/* What the source declared of inner values; types that nobody declared are found again by inference. */
static void write_value_infos(ModelWriter *w, const NamedGraph *named)
{
    for (TgValue v = 1; v < named->g->values.n; v++) {
        const TgValueInfo *info = tg_value(named->g, v);
        bool said = info->type_wire.n > 0 || (info->declared && info->declared->kind != TG_UNTYPED);
        if (info->origin == TG_V_RESULT && !info->returned && said && named->name[v])
            write_value(w->wire, GRAPH_VALUE_INFO, named->name[v], info->declared, info->type_wire, info->doc, info->unknown);
    }
}

static void write_graph(ModelWriter *w, const NamedGraph *named)
{
    const TgGraph *g = named->g;
    write_nodes(w, named);
    wire_text_if(w->wire, GRAPH_NAME, g->name);
    write_initializers(w, named);
    wire_text_if(w->wire, GRAPH_DOC, g->doc);
    write_inputs(w, named);
    for (uint32_t k = 0; k < g->outputs.n; k++) {
        const TgReturn *r = &g->outputs.at[k];
        const TgType *type = r->declared ? r->declared : tg_type_of(g, r->value);
        write_value(w->wire, GRAPH_OUTPUT, named->output[k], type, r->type_wire, r->doc, r->unknown);
    }
    write_value_infos(w, named);
    wire_raw(w->wire, g->unknown);
}

/* --- the model ------------------------------------------------------------------------------------------ */

enum { MODEL_IR_VERSION = 1, MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, MODEL_DOMAIN = 4, MODEL_VERSION = 5,
       MODEL_DOC = 6, MODEL_GRAPH = 7, MODEL_OPSET = 8 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };

static void write_import(Wire *w, const char *domain, int64_t version)
{
    uint32_t message = wire_open(w, MODEL_OPSET);
    wire_text(w, OPSET_DOMAIN, domain);
    wire_int(w, OPSET_VERSION, version);
    wire_close(w, message);
}

void write_model(ModelWriter *w)
{
    const TgModel *m = w->model;
    wire_int(w->wire, MODEL_IR_VERSION, w->ir_version);
    wire_text_if(w->wire, MODEL_PRODUCER, m->producer_name);
    wire_text_if(w->wire, MODEL_PRODUCER_VERSION, m->producer_version);
    wire_text_if(w->wire, MODEL_DOMAIN, m->domain);
    if (m->model_version)
        wire_int(w->wire, MODEL_VERSION, m->model_version);
    wire_text_if(w->wire, MODEL_DOC, m->doc);
    uint32_t graph = wire_open(w->wire, MODEL_GRAPH);
    write_graph(w, names_of(w->names, m->graph));
    wire_close(w->wire, graph);
    for (uint32_t i = 0; i < m->imports.n; i++)
        write_import(w->wire, m->imports.at[i].domain, m->imports.at[i].version);
    wire_raw(w->wire, m->unknown);
}
