/* Writes a package: names, places of weights, then file by file. See backend_c.h and package.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "writer.h"

/* --- files --------------------------------------------------------------------------------------------------------- */

TgName file_in(const Writer *w, const char *suffix)
{
    return tg_name_format(w->p.tg, "%s/%s%s", w->options->folder, w->p.name, suffix);
}

bool write_plain(Writer *w, const char *path, const char *bytes, size_t n)
{
    TgOutput *out = tg_output_open(w->p.tg, path);
    if (!out)
        return false;
    w->report->sources += n;
    w->report->files++;
    if (tg_output_write(out, bytes, n))
        return tg_output_commit(out, false);
    tg_output_discard(out);
    return false;
}

/* --- the package ----------------------------------------------------------------------------------------------------- */

static bool make_folder(Tg *tg, const char *path)
{
    struct stat info;
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return true;
    return tg_report(tg, TG_E_cannot_write, path, strerror(errno));
}

/* The name as a prefix: asked for, or that of the model's file without its ending. */
static const char *prefix_of(Writer *w)
{
    const char *wanted = w->options->name;
    if (!wanted || !*wanted) {
        const char *path = w->plan->source->model->path, *slash = path ? strrchr(path, '/') : NULL;
        wanted = slash ? slash + 1 : path ? path : "";
        const char *dot = strrchr(wanted, '.');
        wanted = dot && dot != wanted ? tg_name_n(w->p.tg, wanted, (size_t)(dot - wanted)) : wanted;
    }
    char *lower = tg_copy(w->arena, wanted, strlen(wanted) + 1);
    for (char *c = lower; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    return package_identifier(&w->p, tg_name(w->p.tg, lower), "model");
}

/* What the sources and the weights must have in common: the model, and what was planned from it. */
static uint64_t hash_of(Writer *w)
{
    const TgPlan *plan = w->plan;
    uint64_t hash = tg_mix(WEIGHTS_VERSION, plan->arena_bytes);
    for (uint32_t i = 0; i < plan->weights.n; i++) {
        const TgWeight *t = &plan->weights.at[i];
        hash = tg_mix(hash, tg_tensor_hash(w->p.tg, t->tensor));
        hash = tg_mix(hash, (uint64_t)t->layout << 32 | (uint64_t)t->panel << 8 | (uint64_t)t->dtype);
        hash = tg_mix(hash, w->p.weight_at[i]);
    }
    TgText graph;
    tg_text_init(&graph, w->arena);
    for (uint32_t i = 1; i < plan->buffers.n; i++)
        hash = tg_mix(hash, plan->buffers.at[i].offset + plan->buffers.at[i].bytes);
    return tg_mix(hash, plan->n_steps);
}

static bool representable(Writer *w)
{
    for (uint32_t i = 0; i < w->plan->inputs.n; i++)
        if (most_elements(w->plan, input_type(w, i)) < 0)
            return tg_report(w->p.tg, TG_E_unbounded, "input", w->p.input[i]);
    for (uint32_t i = 0; i < w->plan->outputs.n; i++)
        if (most_elements(w->plan, output_type(w, i)) < 0)
            return tg_report(w->p.tg, TG_E_unbounded, "output", w->p.output[i]);
    return true;
}

static bool write_all(Writer *w)
{
    const TgcOptions *o = w->options;
    if (!place_weights(w))
        return false;
    w->hash = hash_of(w);
    bool ok = write_header(w) && write_model(w) && write_kernels(w) && write_weights(w);
    ok = ok && write_template(w, "load.h") && write_template(w, "load.c") && write_template(w, "test.c");
    ok = ok && (!o->tests || write_golden(w));
    return ok && write_build(w);
}

bool tgc_emit(const TgPlan *plan, const TgcOptions *options, TgcReport *report)
{
    Tg *tg = plan->source->tg;
    TgArena *arena = tg_arena_new(tg);
    Writer w = {.p = {.tg = tg, .plan = plan, .arena = arena}, .plan = plan, .options = options, .report = report,
                .arena = arena};
    *report = (TgcReport){0};
    w.p.name = prefix_of(&w);
    report->name = tg_name(tg, w.p.name);
    writer_begin(&w);
    bool ok = make_folder(tg, options->folder) && representable(&w) && write_all(&w);
    tg_arena_free(arena);
    return ok;
}
