/* Saving: a clone of the model is lowered to the opset wanted, values get names, constants get places; then
 * the model is written, mapped weights from where they are mapped. Both files appear under their names only when all
 * went well.
 */
#include "frontend.h"
#include "versions.h"
#include "write.h"

#include <string.h>

static const size_t TWO_GIB = ((size_t)2 << 30) - 1; /* what protocol buffers can hold */

/* --- versions ------------------------------------------------------------------------------------------- */

/* The IR version with which an opset appeared. */
static int64_t ir_version_of(int64_t opset)
{
    static const int8_t since[] = {
        [7] = 3,   [8] = 3,   [9] = 4,   [10] = 5,  [11] = 6,  [12] = 7, [13] = 7,  [14] = 7,
        [15] = 8,  [16] = 8,  [17] = 8,  [18] = 8,  [19] = 9,  [20] = 9, [21] = 10, [22] = 10,
        [23] = 11, [24] = 12, [25] = 13, [26] = 13, [27] = 13, [28] = 14};
    return opset < OLDEST_OPSET ? OLDEST_IR_VERSION : since[opset < TG_NEWEST_OPSET ? opset : TG_NEWEST_OPSET];
}

/* A model without import of ai.onnx (it may do without) gets an opset that every runtime of today has, should
 * it need one. */
enum { USUAL_OPSET = 21 };

/* The opset to write. 0: recorded. */
static int64_t choose_opset(const TgModel *model, int64_t wanted)
{
    int64_t own = tg_model_opset(model, "");
    int64_t opset = wanted ? wanted : own == 0 ? USUAL_OPSET : own < OLDEST_OPSET ? OLDEST_OPSET : own;
    if (wanted && wanted < OLDEST_OPSET)
        return tg_report(model->tg, TG_E_old_opset, (long long)wanted, OLDEST_OPSET);
    if (wanted > TG_NEWEST_OPSET && wanted != own)
        return tg_report(model->tg, TG_E_new_opset, (long long)wanted, TG_NEWEST_OPSET);
    return opset;
}

/* --- imports -------------------------------------------------------------------------------------------- */

static TgName domain_of(const TgNodeInfo *node)
{
    TgName domain = node->op == TG_opaque ? node->domain : tg_op_info(node->op)->domain;
    return domain ? domain : "";
}

static void import(TgModel *m, TgArena *arena, TgName domain, int64_t version)
{
    for (uint32_t i = 0; i < m->imports.n; i++)
        if (strcmp(m->imports.at[i].domain, domain) == 0)
            return;
    TgImport made = {domain, version};
    TG_PUSH(arena, &m->imports, made);
}

/* Exactly the domains that occur, in the order of the source; ai.onnx wherever the source has it. */
static void choose_imports(TgModel *m, const Names *names, int64_t opset)
{
    TgModel source = *m;
    TgModel used = {.tg = m->tg};
    if (tg_model_opset(m, "") > 0 || names->graphs.at[0]->alias.n > 0)
        import(&used, m->arena, "", opset);
    for (uint32_t i = 0; i < names->graphs.n; i++) {
        const TgGraph *g = names->graphs.at[i]->g;
        for (TgNode n = 1; n < g->nodes.n; n++)
            if (!tg_node(g, n)->dead)
                import(&used, m->arena, domain_of(tg_node(g, n)), 1);
    }
    memset(&m->imports, 0, sizeof m->imports);
    for (uint32_t i = 0; i < source.imports.n; i++)
        if (tg_model_opset(&used, source.imports.at[i].domain))
            import(m, m->arena, source.imports.at[i].domain, source.imports.at[i].version);
    for (uint32_t i = 0; i < used.imports.n; i++)
        import(m, m->arena, used.imports.at[i].domain, used.imports.at[i].version);
    for (uint32_t i = 0; i < m->imports.n; i++)
        if (m->imports.at[i].domain[0] == '\0')
            m->imports.at[i].version = opset;
}

/* --- files ---------------------------------------------------------------------------------------------- */

/* Counts, then writes the model to `out`. */
static bool emit_model(ModelWriter *w, TgOutput *out)
{
    Wire *wire = w->wire;
    write_model(w);
    if (wire->failed)
        return false;
    if (wire->total > TWO_GIB)
        return tg_report(wire->tg, TG_E_too_big_inside, wire->total);
    tg_output_expect(out, wire->total);
    wire_write_to(wire, out);
    write_model(w);
    return !wire->failed;
}

/* The data file first: a model must never name data that is not there. */
static bool write_files(ModelWriter *w, const char *path, bool sync)
{
    TgOutput *data = w->data->new_size > 0 ? data_write(w->data) : NULL;
    if (w->data->new_size > 0 && !data)
        return false;
    TgOutput *out = tg_output_open(w->wire->tg, path);
    bool fine = out && emit_model(w, out);
    if (!fine) {
        tg_output_discard(out);
        tg_output_discard(data);
        return false;
    }
    if (data && !tg_output_commit(data, sync)) {
        tg_output_discard(out);
        return false;
    }
    return tg_output_commit(out, sync);
}

/* --- the door ------------------------------------------------------------------------------------------- */

typedef struct {
    const TgModel *source;
    TgModel *model; /* the clone that is lowered */
    const char *path;
    TgSaveOptions options;
    int64_t opset;
} Save;

static int64_t choose_ir_version(const Save *save)
{
    int64_t own = save->source->ir_version;
    bool raised = save->opset > tg_model_opset(save->source, "");
    int64_t least = raised ? ir_version_of(save->opset) : OLDEST_IR_VERSION;
    return own > least ? own : least;
}

static bool save_body(void *argument)
{
    Save *save = argument;
    TgModel *model = save->model = tg_model_clone(save->source);
    Names names;
    DataPlan data;
    Wire wire;
    if (!tg_lower(model, save->opset))
        return false;
    names_make(&names, model, model->arena);
    if (!data_plan(&data, &names, save->path, save->options.external))
        return false;
    choose_imports(model, &names, save->opset);
    wire_init(&wire, model->tg, model->arena);
    ModelWriter writer = {
        .wire = &wire, .model = model, .names = &names, .data = &data, .ir_version = choose_ir_version(save)};
    writer.provenance = save->options.provenance && writer.ir_version >= IR_WITH_NODE_METADATA;
    return write_files(&writer, save->path, save->options.sync);
}

bool tg_save(TgModel *model, const char *path, const TgSaveOptions *options)
{
    Save save = {.source = model, .path = path, .options = options ? *options : (TgSaveOptions){0}};
    save.opset = choose_opset(model, save.options.opset);
    bool fine = save.opset && tg_protect(model->tg, save_body, &save);
    tg_model_free(save.model);
    return fine;
}

typedef struct {
    Tg *tg;
    const TgTensor *tensor;
    const char *name, *path;
} SaveTensor;

static bool save_tensor_body(void *argument)
{
    const SaveTensor *save = argument;
    const Place inside = {NULL, 0};
    Wire wire;
    TgMark mark = tg_mark(tg_scratch(save->tg));
    TgOutput *out = tg_output_open(save->tg, save->path);
    if (!out)
        return false;
    wire_init(&wire, save->tg, tg_scratch(save->tg));
    wire_write_to(&wire, out); /* the fields of one message: no lengths need be counted */
    write_tensor(&wire, save->tensor, save->name, inside);
    tg_release(tg_scratch(save->tg), mark);
    if (!wire.failed)
        return tg_output_commit(out, false);
    tg_output_discard(out);
    return false;
}

bool tg_save_tensor(Tg *tg, const TgTensor *tensor, const char *name, const char *path)
{
    SaveTensor save = {tg, tensor, name, path};
    return tg_protect(tg, save_tensor_body, &save);
}
