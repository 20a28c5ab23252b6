/* Writes a package: names, places of weights, then file by file. See backend_c.h and package.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "writer.h"

/* --- files ------------------------------------------------------------------------------------------------------ */

TgName package_file_in(const Writer *w, const char *suffix)
{
    return tg_name_format(w->p.tg, "%s/%s%s", w->options->folder, w->p.name, suffix);
}

bool package_write_plain(Writer *w, const char *path, const char *bytes, size_t n)
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

/* --- the package ------------------------------------------------------------------------------------------------ */

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

/* What the sources and the weights must have in common: what was planned. Every byte of the weights is added while
 * they are written (package_weights.c). */
static uint64_t hash_of(Writer *w)
{
    const TgPlan *plan = w->plan;
    uint64_t hash = tg_mix(WEIGHTS_VERSION, plan->arena_bytes);
    for (uint32_t i = 0; i < plan->weights.n; i++) {
        const TgWeight *t = &plan->weights.at[i];
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
        if (tg_plan_most_elements(w->plan, package_input_type(w, i)) < 0)
            return tg_report(w->p.tg, TG_E_unbounded, "input", w->p.input[i]);
    for (uint32_t i = 0; i < w->plan->outputs.n; i++)
        if (tg_plan_most_elements(w->plan, package_output_type(w, i)) < 0)
            return tg_report(w->p.tg, TG_E_unbounded, "output", w->p.output[i]);
    return true;
}

static bool write_all(Writer *w)
{
    const TgcOptions *o = w->options;
    if (!package_place_weights(w))
        return false;
    w->hash = hash_of(w);
    bool ok = package_write_weights(w) && package_write_header(w) && package_write_model(w) &&
              package_write_loops(w) && package_write_kernels(w);
    static const char *const templates[] = {"load.h", "load.c", "test.c", "test_time.h"};
    for (int i = 0; ok && i < 4; i++)
        ok = package_write_template(w, templates[i]);
    ok = ok && (!o->tests || package_write_golden(w));
    return ok && package_write_build(w);
}

static bool has_symbol(const TgPlan *plan, TgDim symbol)
{
    for (uint32_t i = 0; i < plan->symbols.n; i++)
        if (plan->symbols.at[i].symbol == symbol)
            return true;
    return false;
}

/* Sizes that nobody named are called after the input where they show. */
static void name_sizes(Tg *tg, const TgPlan *given, TgPlan *plan)
{
    for (uint32_t i = 0; i < plan->symbols.n; i++) {
        TgPlanSymbol *s = &plan->symbols.at[i];
        TgName input = s->input != UINT32_MAX ? tg_value(given->graph, given->inputs.at[s->input])->name : NULL;
        if (!s->name && input)
            s->name = tg_name_format(tg, "%s_%d", input, s->axis);
    }
}

/* The plan, with the rooms of caches among its symbols: fields of the frame like the others, set by the entries. */
static TgPlan *with_rooms(TgArena *arena, const TgPlan *given)
{
    TgPlan *plan = tg_copy(arena, given, sizeof *given);
    uint32_t n = plan->symbols.n;
    plan->symbols.at = TG_NEW_N(arena, TgPlanSymbol, n + given->buffers.n + 1);
    plan->symbols.cap = n + given->buffers.n + 1;
    if (n)
        memcpy(plan->symbols.at, given->symbols.at, n * sizeof *given->symbols.at);
    for (uint32_t i = 1; i < given->buffers.n; i++) {
        TgDim room = given->buffers.at[i].capacity;
        if (!room || has_symbol(plan, room))
            continue;
        TgPlanSymbol s = {room, tg_name(given->source->tg, "room"), INT32_MAX, UINT32_MAX, -1};
        TG_PUSH(arena, &plan->symbols, s);
    }
    name_sizes(given->source->tg, given, plan);
    return plan;
}

bool tgc_emit(const TgPlan *given, const TgcOptions *options, TgcReport *report)
{
    Tg *tg = given->source->tg;
    TgArena *arena = tg_arena_new(tg);
    const TgPlan *plan = with_rooms(arena, given);
    Writer w = {.p = {.tg = tg, .plan = plan, .arena = arena}, .plan = plan, .options = options, .report = report,
                .arena = arena};
    *report = (TgcReport){0};
    w.p.name = prefix_of(&w);
    report->name = tg_name(tg, w.p.name);
    package_begin(&w);
    bool ok = make_folder(tg, options->folder) && representable(&w) && write_all(&w);
    tg_arena_free(arena);
    return ok;
}
