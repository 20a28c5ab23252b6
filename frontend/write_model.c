/* The model as ONNX messages: which fields there are and in which order; their numbers are those of wire.def.
 * Unknown fields that were read are written behind the known ones. */
#include "scan.h"
#include "versions.h"
#include "write.h"

enum { NODE_metadata_props = 9 }; /* the reader carries it as unknown, so wire.def does not have it */

/* --- tensors -------------------------------------------------------------------------------------------- */

static void entry(Wire *w, uint32_t field, const char *key, const char *value)
{
    uint32_t message = wire_open(w, field);
    wire_text(w, ENTRY_key, key);
    wire_prose_if(w, ENTRY_value, value);
    wire_close(w, message);
}

static void external_data(Wire *w, const TgTensor *t, Place place)
{
    entry(w, TENSOR_external_data, "location", place.location);
    entry(w, TENSOR_external_data, "offset", tg_name_format(w->tg, "%zu", place.offset));
    entry(w, TENSOR_external_data, "length", tg_name_format(w->tg, "%zu", t->size));
    wire_int(w, TENSOR_data_location, 1);
}

void write_tensor(Wire *w, const TgTensor *t, const char *name, Place place)
{
    for (int32_t i = 0; i < t->rank; i++)
        wire_int(w, TENSOR_dims, t->dim[i]);
    wire_int(w, TENSOR_data_type, t->dtype);
    for (size_t i = 0; t->payload == TG_STRINGS && i < t->count; i++)
        wire_bytes(w, TENSOR_string_data, t->strings[i]);
    wire_text_if(w, TENSOR_name, name);
    if (t->payload != TG_STRINGS && !place.location)
        wire_payload(w, TENSOR_raw_data, t);
    wire_prose_if(w, TENSOR_doc_string, t->doc);
    if (place.location)
        external_data(w, t, place);
    wire_raw(w, WIRE_TENSOR, t->unknown);
}

static void tensor_field(Wire *w, uint32_t field, const TgTensor *t, const char *name, Place place)
{
    uint32_t message = wire_open(w, field);
    write_tensor(w, t, name, place);
    wire_close(w, message);
}

/* --- types ---------------------------------------------------------------------------------------------- */

static void write_shape(Wire *w, const TgType *t)
{
    uint32_t shape = wire_open(w, TENSOR_TYPE_shape);
    for (int32_t i = 0; i < t->rank; i++) {
        int64_t n;
        uint32_t dim = wire_open(w, SHAPE_dim);
        if (tg_dim_known(t->dim[i], &n))
            wire_int(w, DIM_dim_value, n);
        else if (!tg_dim_is_fresh(t->dim[i]))
            wire_text(w, DIM_dim_param, tg_dim_text(w->tg, t->dim[i]));
        wire_close(w, dim);
    }
    wire_close(w, shape);
}

/* Fields of a TypeProto; none: unknown. */
static void write_type(Wire *w, const TgType *t)
{
    static const uint32_t fields[] = {[TG_TENSOR] = TYPE_tensor_type,
                                      [TG_SPARSE] = TYPE_sparse_tensor_type,
                                      [TG_SEQUENCE] = TYPE_sequence_type,
                                      [TG_OPTIONAL] = TYPE_optional_type,
                                      [TG_MAP] = TYPE_map_type};
    if (t->kind == TG_UNTYPED)
        return;
    uint32_t kind = wire_open(w, fields[t->kind]);
    if (t->kind == TG_TENSOR || t->kind == TG_SPARSE) {
        wire_int(w, TENSOR_TYPE_elem_type, t->dtype);
        if (t->rank >= 0)
            write_shape(w, t);
    } else {
        if (t->kind == TG_MAP)
            wire_int(w, MAP_TYPE_key_type, t->dtype);
        uint32_t item = wire_open(w, t->kind == TG_MAP ? MAP_TYPE_value_type : ITEM_TYPE_elem_type);
        write_type(w, t->item); /* as deep as the reader allowed */
        wire_close(w, item);
    }
    wire_close(w, kind);
}

/* A ValueInfoProto; the type as the source spelled it, where it did. */
static void write_value(Wire *w, uint32_t field, const char *name, const TgType *type, TgBytes spelled,
                        TgName doc, TgBytes unknown)
{
    uint32_t message = wire_open(w, field);
    wire_text(w, VALUE_name, name);
    if (spelled.n > 0) {
        wire_carried(w, VALUE_type, WIRE_TYPE, spelled);
    } else if (type && type->kind != TG_UNTYPED) {
        uint32_t inner = wire_open(w, VALUE_type);
        write_type(w, type);
        wire_close(w, inner);
    }
    wire_prose_if(w, VALUE_doc_string, doc);
    wire_raw(w, WIRE_VALUE, unknown);
    wire_close(w, message);
}

/* --- attributes ----------------------------------------------------------------------------------------- */

static void attr_payload(Wire *w, const TgAttr *a)
{
    const Place inside = {NULL, 0};
    if (a->kind == TG_A_INT)
        wire_int(w, ATTRIBUTE_i, a->u.i);
    if (a->kind == TG_A_FLOAT)
        wire_float(w, ATTRIBUTE_f, a->u.f);
    if (a->kind == TG_A_STRING)
        wire_bytes(w, ATTRIBUTE_s, a->u.s);
    if (a->kind == TG_A_TYPE) {
        uint32_t type = wire_open(w, ATTRIBUTE_tp);
        write_type(w, a->u.type);
        wire_close(w, type);
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kind == TG_A_INTS)
            wire_int(w, ATTRIBUTE_ints, a->u.ints[i]);
        if (a->kind == TG_A_FLOATS)
            wire_float(w, ATTRIBUTE_floats, a->u.floats[i]);
        if (a->kind == TG_A_STRINGS)
            wire_bytes(w, ATTRIBUTE_strings, a->u.strings[i]);
        if (a->kind == TG_A_TENSOR || a->kind == TG_A_TENSORS)
            tensor_field(w, a->kind == TG_A_TENSOR ? ATTRIBUTE_t : ATTRIBUTE_tensors, a->u.tensors[i], NULL,
                         inside);
    }
}

static void write_attr(Wire *w, uint32_t field, const TgAttr *a)
{
    static const int64_t types[] = {
        [TG_A_INT] = AT_INT,         [TG_A_FLOAT] = AT_FLOAT,   [TG_A_STRING] = AT_STRING,
        [TG_A_INTS] = AT_INTS,       [TG_A_FLOATS] = AT_FLOATS, [TG_A_STRINGS] = AT_STRINGS,
        [TG_A_TENSOR] = AT_TENSOR,   [TG_A_TENSORS] = AT_TENSORS, [TG_A_TYPE] = AT_TYPE,
    };
    if (a->kind == TG_A_RAW) {
        wire_carried(w, field, WIRE_ATTRIBUTE, a->u.s);
        return;
    }
    uint32_t message = wire_open(w, field);
    wire_text(w, ATTRIBUTE_name, a->name);
    attr_payload(w, a);
    wire_int(w, ATTRIBUTE_type, types[a->kind]);
    wire_close(w, message);
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

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
    uint32_t message = wire_open(w->wire, NODE_attribute);
    wire_text(w->wire, ATTRIBUTE_name, sub->attr);
    uint32_t graph = wire_open(w->wire, ATTRIBUTE_g);
    write_graph(w, names_of(w->names, sub->graph)); /* nesting is bounded by the reader */
    wire_close(w->wire, graph);
    wire_int(w->wire, ATTRIBUTE_type, AT_GRAPH);
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
        entry(w->wire, NODE_metadata_props, "tgopt.sources", sources.at);
    entry(w->wire, NODE_metadata_props, "tgopt.rewrites", rewrites.at);
}

static void write_node(ModelWriter *w, const NamedGraph *named, const TgNodeInfo *node)
{
    Wire *wire = w->wire;
    const TgOpInfo *op = tg_op_info(node->op);
    bool opaque = node->op == TG_opaque;
    uint32_t message = wire_open(wire, GRAPH_node);
    name_list(wire, NODE_input, named, node->n_formal, node->in);
    name_list(wire, NODE_output, named, node->n_out, node->out);
    wire_text_if(wire, NODE_name, node->name);
    wire_text(wire, NODE_op_type, opaque ? node->op_name : op->name);
    for (uint32_t i = 0; i < node->attrs->n; i++)
        write_attr(wire, NODE_attribute, &node->attrs->at[i]);
    for (uint32_t s = 0; s < node->n_sub; s++)
        write_sub(w, &node->sub[s]);
    wire_prose_if(wire, NODE_doc_string, node->doc);
    wire_text_if(wire, NODE_domain, opaque ? node->domain : op->domain);
    wire_text_if(wire, NODE_overload, node->overload);
    if (w->provenance)
        write_provenance(w, node);
    wire_raw(wire, WIRE_NODE, node->unknown);
    wire_close(wire, message);
}

static void write_identity(Wire *w, const char *from, const char *to)
{
    uint32_t message = wire_open(w, GRAPH_node);
    wire_text(w, NODE_input, from);
    wire_text(w, NODE_output, to);
    wire_text(w, NODE_op_type, "Identity");
    wire_close(w, message);
}

static void write_constant(Wire *w, const TgTensor *t, const char *name)
{
    uint32_t message = wire_open(w, GRAPH_node);
    wire_text(w, NODE_output, name);
    wire_text(w, NODE_op_type, "Constant");
    TgAttr value = {.name = "value", .kind = TG_A_TENSOR, .n = 1, .u.tensors = &t};
    write_attr(w, NODE_attribute, &value);
    wire_close(w, message);
}

/* --- graphs --------------------------------------------------------------------------------------------- */

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
        const TgTensor *t =
            const_is_written(named, v) && !needs_constant_nodes(w, named) ? info->tensor : info->initial;
        if (t)
            tensor_field(w->wire, GRAPH_initializer, t, named->name[v], data_place(w->data, t));
    }
}

static void write_inputs(ModelWriter *w, const NamedGraph *named)
{
    const TgGraph *g = named->g;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        write_value(w->wire, GRAPH_input, named->name[g->inputs.at[i]], v->declared, v->type_wire, v->doc,
                    v->unknown);
    }
    if (w->ir_version >= IR_WITH_FREE_INITIALIZERS || named->outer)
        return;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (const_is_written(named, v))
            write_value(w->wire, GRAPH_input, named->name[v], info->type, info->type_wire, info->doc,
                        info->unknown);
    }
}

/* What the source declared of inner values; types that nobody declared are found again by inference. */
static void write_value_infos(ModelWriter *w, const NamedGraph *named)
{
    for (TgValue v = 1; v < named->g->values.n; v++) {
        const TgValueInfo *info = tg_value(named->g, v);
        bool said = info->type_wire.n > 0 || (info->declared && info->declared->kind != TG_UNTYPED);
        if (info->origin == TG_V_RESULT && !info->returned && said && named->name[v])
            write_value(w->wire, GRAPH_value_info, named->name[v], info->declared, info->type_wire, info->doc,
                        info->unknown);
    }
}

static void write_graph(ModelWriter *w, const NamedGraph *named)
{
    const TgGraph *g = named->g;
    write_nodes(w, named);
    wire_prose_if(w->wire, GRAPH_name, g->name);
    write_initializers(w, named);
    wire_prose_if(w->wire, GRAPH_doc_string, g->doc);
    write_inputs(w, named);
    for (uint32_t k = 0; k < g->outputs.n; k++) {
        const TgReturn *r = &g->outputs.at[k];
        const TgType *type = r->declared ? r->declared : tg_type_of(g, r->value);
        write_value(w->wire, GRAPH_output, named->output[k], type, r->type_wire, r->doc, r->unknown);
    }
    write_value_infos(w, named);
    wire_raw(w->wire, WIRE_GRAPH, g->unknown);
}

/* --- the model ------------------------------------------------------------------------------------------ */

static void write_import(Wire *w, const char *domain, int64_t version)
{
    uint32_t message = wire_open(w, MODEL_opset_import);
    wire_text(w, OPSET_domain, domain);
    wire_int(w, OPSET_version, version);
    wire_close(w, message);
}

void write_model(ModelWriter *w)
{
    const TgModel *m = w->model;
    wire_int(w->wire, MODEL_ir_version, w->ir_version);
    wire_prose_if(w->wire, MODEL_producer_name, m->producer_name);
    wire_prose_if(w->wire, MODEL_producer_version, m->producer_version);
    wire_prose_if(w->wire, MODEL_domain, m->domain);
    if (m->model_version)
        wire_int(w->wire, MODEL_model_version, m->model_version);
    wire_prose_if(w->wire, MODEL_doc_string, m->doc);
    uint32_t graph = wire_open(w->wire, MODEL_graph);
    write_graph(w, names_of(w->names, m->graph));
    wire_close(w->wire, graph);
    for (uint32_t i = 0; i < m->imports.n; i++)
        write_import(w->wire, m->imports.at[i].domain, m->imports.at[i].version);
    wire_raw(w->wire, WIRE_MODEL, m->unknown);
}
