/* Loading: the file is mapped and scanned once, its containers become views, the views become a model.
 *
 * What ONNX Runtime loads although the standard forbids it is tolerated with a warning, unless the caller
 * is strict.
 */
#include "import.h"
#include "versions.h"

#include <string.h>

bool tolerate(Reader *r, TgDiagId warning, const char *what)
{
    tg_report(r->tg, warning, what);
    return !r->strict || tg_report(r->tg, TG_E_strict);
}

/* --- the reader --------------------------------------------------------------------------------------------------- */

static void reader_init(Reader *r, Tg *tg, const char *path, const TgLoadOptions *options)
{
    *r = (Reader){.tg = tg, .arena = tg_arena_new(tg), .path = tg_name(tg, path), .nesting = 1};
    r->strict = options && options->strict;
}

/* Maps the file and checks its structure as a message of this kind; its bytes. */
static bool open_file(Reader *r, WireMessage kind, TgBytes *message)
{
    r->file = tg_file_map(r->tg, r->path);
    if (!r->file)
        return false;
    *message = (TgBytes){r->file->bytes, r->file->size};
    return scan_check(r->tg, *message, kind, r->file->bytes, &r->budget);
}

/* --- the model message -------------------------------------------------------------------------------------------- */

typedef struct {
    TgBytes graph;
    uint32_t graphs;
    BytesList functions;
} Parts;

static void note_field(Reader *r, Parts *parts, const WireField *f)
{
    TgModel *m = r->model;
    TgImport import;
    switch (f->number) {
    case MODEL_ir_version: m->ir_version = (int64_t)f->value; break;
    case MODEL_producer_name: m->producer_name = wire_name(r, f->bytes); break;
    case MODEL_producer_version: m->producer_version = wire_name(r, f->bytes); break;
    case MODEL_domain: m->domain = wire_name(r, f->bytes); break;
    case MODEL_model_version: m->model_version = (int64_t)f->value; break;
    case MODEL_doc_string: m->doc = wire_name(r, f->bytes); break;
    case MODEL_functions: TG_PUSH(r->arena, &parts->functions, f->bytes); break;
    case MODEL_graph:
        parts->graph = f->bytes;
        parts->graphs++;
        break;
    case MODEL_opset_import:
        view_import(r, f->bytes, &import);
        if (!tg_model_opset(m, import.domain))
            TG_PUSH(m->arena, &m->imports, import);
        break;
    default: break;
    }
}

/* Versions beyond what we know are read as the nearest that we do. */
static bool check_versions(Reader *r)
{
    const TgModel *m = r->model;
    int64_t opset = tg_model_opset(m, "");
    if (m->ir_version < OLDEST_IR_VERSION || m->ir_version > TG_NEWEST_IR)
        if (!tolerate(r, TG_E_ir_version, tg_name_format(r->tg, "%lld", (long long)m->ir_version)))
            return false;
    if (opset == 0)
        return m->imports.n > 0 || tolerate(r, TG_E_no_opset, "");
    return (opset >= OLDEST_OPSET && opset <= TG_NEWEST_OPSET) ||
           tolerate(r, TG_E_odd_opset, tg_name_format(r->tg, "%lld", (long long)opset));
}

static bool read_parts(Reader *r, TgBytes message, Parts *parts)
{
    TgBytes rest = message;
    WireField f;
    *parts = (Parts){0};
    r->model->ir_version = 0;
    while (scan_next(&rest, &f))
        note_field(r, parts, &f);
    r->model->unknown = unknown_fields(r->model->arena, message, WIRE_MODEL);
    if (parts->graphs != 1)
        return tg_report(r->tg, parts->graphs ? TG_E_two_graphs : TG_E_no_graph);
    return check_versions(r);
}

static bool read_model(Reader *r)
{
    TgBytes message;
    Parts parts;
    GraphView view;
    Scope scope;
    if (!open_file(r, WIRE_MODEL, &message))
        return false;
    r->model->path = r->path;
    r->model->file = r->file;
    if (!read_parts(r, message, &parts) || !add_functions(r, &parts.functions) ||
        !view_graph(r, parts.graph, &view))
        return false;
    scope_open(&scope, r, r->model->graph, NULL);
    return import_graph(r, &scope, &view) && tg_infer_graph(r->model->graph);
}

/* --- the doors ---------------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    const char *path;
    const TgLoadOptions *options;
    TgArena *arena; /* of the tensor */
    TgModel *model; /* results */
    TgTensor *tensor;
} Load;

static bool load_onnx(void *argument)
{
    Load *load = argument;
    Reader r;
    reader_init(&r, load->tg, load->path, load->options);
    r.model = load->model = tg_model_new(load->tg);
    bool fine = read_model(&r);
    tg_arena_free(r.arena);
    return fine;
}

static bool load_text(void *argument)
{
    Load *load = argument;
    const TgFile *file = tg_file_map(load->tg, load->path);
    load->model = file ? tg_parse(load->tg, load->path, (const char *)file->bytes, file->size) : NULL;
    return load->model != NULL;
}

static bool load_tensor(void *argument)
{
    Load *load = argument;
    Reader r;
    TgBytes message;
    TgName ignored;
    reader_init(&r, load->tg, load->path, NULL);
    if (open_file(&r, WIRE_TENSOR, &message))
        load->tensor = read_tensor(&r, load->arena, message, &ignored);
    tg_arena_free(r.arena);
    return load->tensor != NULL;
}

/* Runs a body with this file as the place of its diagnostics. */
static bool protect(Load *load, bool (*body)(void *))
{
    TgPlace before = *tg_place(load->tg);
    *tg_place(load->tg) = (TgPlace){.file = tg_name(load->tg, load->path)};
    bool fine = tg_protect(load->tg, body, load);
    *tg_place(load->tg) = before;
    return fine;
}

TgModel *tg_load(Tg *tg, const char *path, const TgLoadOptions *options)
{
    Load load = {.tg = tg, .path = path, .options = options};
    size_t n = strlen(path);
    bool text = n > 3 && strcmp(path + n - 3, ".tg") == 0;
    if (protect(&load, text ? load_text : load_onnx))
        return load.model;
    tg_model_free(load.model);
    return NULL;
}

TgTensor *tg_load_tensor(TgArena *arena, const char *path)
{
    Load load = {.tg = tg_arena_context(arena), .path = path, .arena = arena};
    return protect(&load, load_tensor) ? load.tensor : NULL;
}
