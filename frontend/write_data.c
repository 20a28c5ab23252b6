/* Where the bytes of constants go: inside the model file, into one new external file beside it, or
 * (--external-data=keep) nowhere, because the file in which the source has them is named again.
 *
 * Large tensors begin at multiples of 64 KiB, so that they can be mapped on every system. A file that is kept
 * must lie beneath the folder of the new model, since a location that leaves the folder would be refused by
 * every reader.
 */
#include "write.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const size_t ONE_GIB = (size_t)1 << 30;

enum {
    SMALLEST_OUTSIDE = 1024, /* bytes; as the onnx tools do */
    LARGE = 64 << 10,
    ALIGN_LARGE = 64 << 10,
    ALIGN = 64
};

/* --- which constants there are -------------------------------------------------------------------------- */

typedef bool (*EachTensor)(DataPlan *plan, const TgTensor *t);

/* Visits every tensor that becomes an initializer, once. */
static bool each_tensor(DataPlan *plan, const Names *names, EachTensor visit)
{
    TgMap seen;
    TgArena *scratch = tg_scratch(plan->tg);
    TgMark mark = tg_mark(scratch);
    bool fine = true;
    tg_map_init(&seen, scratch);
    for (uint32_t i = 0; fine && i < names->graphs.n; i++) {
        const NamedGraph *named = names->graphs.at[i];
        for (TgValue v = 1; fine && v < named->g->values.n; v++) {
            const TgValueInfo *info = tg_value(named->g, v);
            const TgTensor *t = const_is_written(named, v) ? info->tensor : info->initial;
            if (!t || tg_map_get(&seen, TG_KEY(t), NULL))
                continue;
            tg_map_put(&seen, TG_KEY(t), 1);
            fine = visit(plan, t);
        }
    }
    tg_release(scratch, mark);
    return fine;
}

static bool add_size(DataPlan *plan, const TgTensor *t)
{
    plan->new_size += t->size;
    return true;
}

/* --- files that are kept -------------------------------------------------------------------------------- */

/* The real folder in which `path` lies, ending in '/'; false: there is none. */
static bool real_folder(Tg *tg, const char *path, char out[PATH_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    TgName folder =
        !slash ? tg_name(tg, ".") : tg_name_n(tg, path, slash == path ? 1 : (size_t)(slash - path));
    if (!realpath(folder, out))
        return false;
    if (strcmp(out, "/") != 0)
        strcat(out, "/");
    return true;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The mapped file as a location for a model at plan->path. NULL: recorded. Links to the file are named, not
 * followed: caches of models link their files into one folder. */
static TgName kept_location(DataPlan *plan, const TgFile *file)
{
    char from[PATH_MAX + 1], to[PATH_MAX + 1];
    size_t n = 0;
    if (real_folder(plan->tg, plan->path, to) && real_folder(plan->tg, file->path, from)) {
        n = strlen(to);
        if (strncmp(from, to, n) == 0)
            return tg_name_format(plan->tg, "%s%s", from + n, base_of(file->path));
    }
    tg_report(plan->tg, TG_E_external_elsewhere, file->path, plan->path);
    return NULL;
}

/* --- places --------------------------------------------------------------------------------------------- */

static void put(DataPlan *plan, const TgTensor *t, TgName location, size_t offset)
{
    Placed placed = {t, {location, offset}};
    TG_PUSH(plan->arena, &plan->placed, placed);
    tg_map_put(&plan->of, TG_KEY(t), plan->placed.n);
}

static bool place_kept(DataPlan *plan, const TgTensor *t)
{
    if (t->payload != TG_MAPPED || !t->external)
        return true;
    TgName location = kept_location(plan, t->file);
    if (location)
        put(plan, t, location, t->offset);
    return location != NULL;
}

static bool place_new(DataPlan *plan, const TgTensor *t)
{
    bool stays = plan->mode == TG_EXTERNAL_KEEP && t->payload == TG_MAPPED;
    if (stays || t->size < SMALLEST_OUTSIDE || t->payload == TG_STRINGS)
        return true;
    size_t align = t->size >= LARGE ? ALIGN_LARGE : ALIGN;
    size_t offset = (plan->new_size + align - 1) / align * align;
    put(plan, t, plan->new_file, offset);
    plan->new_size = offset + t->size;
    return true;
}

/* OUT.data, or OUT.1.data ... where a file of that name is kept. */
static void name_new_file(DataPlan *plan)
{
    const char *base = base_of(plan->path);
    plan->new_file = tg_name_format(plan->tg, "%s.data", base);
    for (uint32_t i = 0, next = 1; i < plan->placed.n; i++)
        if (plan->placed.at[i].place.location == plan->new_file) {
            plan->new_file = tg_name_format(plan->tg, "%s.%u.data", base, next++);
            i = UINT32_MAX; /* look at all of them again */
        }
}

bool data_plan(DataPlan *plan, const Names *names, const char *path, TgExternal mode)
{
    *plan = (DataPlan){.tg = names->tg, .arena = names->arena, .path = path, .mode = mode};
    tg_map_init(&plan->of, plan->arena);
    if (mode == TG_EXTERNAL_AUTO) {
        each_tensor(plan, names, add_size);
        plan->mode = plan->new_size > ONE_GIB ? TG_EXTERNAL_ALL : TG_EXTERNAL_NONE;
        plan->new_size = 0;
    }
    if (plan->mode == TG_EXTERNAL_NONE)
        return true;
    if (plan->mode == TG_EXTERNAL_KEEP && !each_tensor(plan, names, place_kept))
        return false;
    name_new_file(plan);
    each_tensor(plan, names, place_new);
    if (plan->placed.n > 0 && strcmp(path, "-") == 0)
        return tg_report(plan->tg, TG_E_external_to_stdout);
    return true;
}

Place data_place(const DataPlan *plan, const TgTensor *t)
{
    uint64_t index = 0;
    tg_map_get(&plan->of, TG_KEY(t), &index);
    return index ? plan->placed.at[index - 1].place : (Place){NULL, 0};
}

/* --- the new file --------------------------------------------------------------------------------------- */

static bool fill(const DataPlan *plan, TgOutput *out)
{
    for (uint32_t i = 0; i < plan->placed.n; i++) {
        const Placed *p = &plan->placed.at[i];
        if (p->place.location != plan->new_file)
            continue;
        if (!tg_output_zeros(out, p->place.offset - tg_output_offset(out)) ||
            !write_payload(plan->tg, out, p->tensor))
            return false;
    }
    return true;
}

TgOutput *data_write(const DataPlan *plan)
{
    size_t folder = (size_t)(base_of(plan->path) - plan->path);
    TgOutput *out =
        tg_output_open(plan->tg, tg_name_format(plan->tg, "%.*s%s", (int)folder, plan->path, plan->new_file));
    if (out)
        tg_output_expect(out, plan->new_size);
    if (out && !fill(plan, out)) {
        tg_output_discard(out);
        return NULL;
    }
    return out;
}
