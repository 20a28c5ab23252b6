/* What is called how in the interface of a package, and facts about inputs and outputs that several writers need.
 *
 * Identifiers come from names.c; here they get the surroundings in which they must stay unique: fields of one struct,
 * macros of one header.
 */
#include <string.h>

#include "backend_c/kernels/tgk.h"
#include "writer.h"

/* --- names ------------------------------------------------------------------------------------------------------ */

static bool taken(const char *const *list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] && strcmp(list[i], name) == 0)
            return true;
    return false;
}

static const char *capitals(Writer *w, const char *name)
{
    char *text = tg_copy(w->arena, name, strlen(name) + 1);
    for (char *c = text; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    return text;
}

/* Capitals of list[i] that none of those before it has. */
static const char **macros_of(Writer *w, const char *const *list, uint32_t n)
{
    const char **macro = TG_NEW_N(w->arena, const char *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        macro[i] = capitals(w, list[i]);
        for (uint32_t k = 2; taken(macro, i, macro[i]); k++)
            macro[i] = tg_name_format(w->p.tg, "%s_%u", capitals(w, list[i]), k);
    }
    return macro;
}

/* A field beside those of the list: underscores are added until it is new. */
static const char *field_beside(Writer *w, const char *wanted, const char *const *list, uint32_t n)
{
    while (taken(list, n, wanted))
        wanted = tg_name_format(w->p.tg, "%s_", wanted);
    return wanted;
}

/* Macros of the C library that are no keywords: NULL, EOF, INT_MAX ... are all capitals. */
static bool may_be_macro(const char *name)
{
    static const char *const lower[] = {"stdin",    "stdout", "stderr", "errno", "assert",
                                        "offsetof", "i386",   "near",   "far"};
    bool capitals_only = name[0] && name[1];
    for (const char *c = name; *c; c++)
        capitals_only &= !(*c >= 'a' && *c <= 'z') && (*c != '_' || c[1]);
    return (capitals_only && name[0] >= 'A' && name[0] <= 'Z' && name[1] >= 'A' && name[1] <= 'Z') ||
           taken(lower, sizeof lower / sizeof *lower, name);
}

static void avoid_macros(Writer *w, const char **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        while (may_be_macro(list[i]) || taken(list, i, list[i])) {
            const char *longer = tg_name_format(w->p.tg, "%s_", list[i]);
            list[i] = taken(list, n, longer) ? tg_name_format(w->p.tg, "%s_x", list[i]) : longer;
        }
}

static void name_sizes(Writer *w)
{
    const TgPlan *plan = w->plan;
    uint32_t n = plan->symbols.n;
    w->size_macro = macros_of(w, w->p.dim, n);
    w->size_field = TG_NEW_N(w->arena, const char *, n + 1);
    for (uint32_t i = 0; i < n; i++)
        if (plan->symbols.at[i].input != UINT32_MAX)
            w->size_field[i] = field_beside(w, tg_name_format(w->p.tg, "d_%s", w->p.dim[i]), w->p.input,
                                            plan->inputs.n);
}

static void name_outputs(Writer *w)
{
    w->dim_field = TG_NEW_N(w->arena, const char *, w->plan->outputs.n + 1);
    for (uint32_t i = 0; i < w->plan->outputs.n; i++) {
        const char *name = field_beside(w, tg_name_format(w->p.tg, "%s_dim", w->p.output[i]), w->p.output,
                                        w->plan->outputs.n);
        while (taken(w->dim_field, i, name))
            name = tg_name_format(w->p.tg, "%s_", name);
        w->dim_field[i] = name;
    }
}

/* Caches can be kept by the caller where all of them have one length that is a plain size of an input. */
static void find_state(Writer *w)
{
    const TgPlan *plan = w->plan;
    for (uint32_t i = 0; i < plan->states.n; i++) {
        const TgState *s = &plan->states.at[i];
        if (s->past != plan->states.at[0].past || s->grow != plan->states.at[0].grow)
            return;
    }
    for (uint32_t i = 0; plan->states.n && i < plan->symbols.n; i++) {
        if (plan->symbols.at[i].symbol != plan->states.at[0].past || !w->size_field[i])
            continue;
        w->past = plan->states.at[0].past;
        w->grow = plan->states.at[0].grow;
        w->past_field = w->size_field[i];
        w->most_past = plan->symbols.at[i].most + tg_plan_most(plan, w->grow);
    }
}

void package_begin(Writer *w)
{
    package_names(&w->p);
    avoid_macros(w, w->p.input, w->plan->inputs.n);
    avoid_macros(w, w->p.output, w->plan->outputs.n);
    w->upper = capitals(w, w->p.name);
    TgText title;
    tg_text_init(&title, w->arena);
    const char *path = w->plan->source->model->path, *slash = path ? strrchr(path, '/') : NULL;
    package_comment(&title, slash ? slash + 1 : path ? path : "", 100);
    w->title = title.n ? title.at : "a model";
    name_sizes(w);
    name_outputs(w);
    w->input_macro = macros_of(w, w->p.input, w->plan->inputs.n);
    w->output_macro = macros_of(w, w->p.output, w->plan->outputs.n);
    find_state(w);
}

/* --- facts ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const Writer *w;
    bool known;
} Known;

static void is_of_input(void *user, TgDim symbol)
{
    Known *k = user;
    bool found = false;
    for (uint32_t i = 0; i < k->w->plan->symbols.n; i++)
        found |= k->w->plan->symbols.at[i].symbol == symbol && k->w->size_field[i];
    k->known &= found;
}

bool package_dim_of_inputs(const Writer *w, TgDim d)
{
    Known k = {w, true};
    tg_dim_symbols(d, is_of_input, &k);
    return k.known;
}

const TgType *package_input_type(const Writer *w, uint32_t i)
{
    return tg_type_of(w->plan->graph, w->plan->inputs.at[i]);
}

const TgType *package_output_type(const Writer *w, uint32_t i)
{
    return tg_type_of(w->plan->graph, w->plan->outputs.at[i]);
}

static const TgBuffer *find_buffer(const Writer *w, TgBufferKind kind, uint32_t index)
{
    for (uint32_t i = 1; i < w->plan->buffers.n; i++)
        if (w->plan->buffers.at[i].kind == kind && w->plan->buffers.at[i].index == index)
            return &w->plan->buffers.at[i];
    return NULL;
}

const TgBuffer *package_buffer_of_input(const Writer *w, uint32_t i)
{
    return find_buffer(w, TG_BUFFER_INPUT, i);
}

const TgBuffer *package_buffer_of_output(const Writer *w, uint32_t i)
{
    return find_buffer(w, TG_BUFFER_OUTPUT, i);
}

int32_t package_state_of_input(const Writer *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->plan->states.n; k++)
        if (w->plan->states.at[k].input == i)
            return (int32_t)k;
    return -1;
}

int32_t package_state_of_output(const Writer *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->plan->states.n; k++)
        if (w->plan->states.at[k].output == i)
            return (int32_t)k;
    return -1;
}

int32_t package_input_in_place(const Writer *w, uint32_t i)
{
    for (uint32_t k = 0; k < w->plan->in_place.n; k++)
        if (w->plan->in_place.at[k].output == i)
            return (int32_t)w->plan->in_place.at[k].input;
    return -1;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

/* The shared prefix inside a foreign name would be renamed: one of its letters becomes an escape. */
void package_put_literal(TgText *out, const char *text)
{
    TgText plain;
    TgMark mark = tg_mark(tg_scratch(tg_arena_context(out->arena)));
    tg_text_init(&plain, tg_scratch(tg_arena_context(out->arena)));
    size_t n = strlen(text);
    package_string(&plain, text, n < 1000 ? n : 1000);
    for (const char *at = plain.at; *at; at++) {
        if (strncmp(at, "tgk_", 4) == 0 || strncmp(at, "TGK_", 4) == 0) {
            tg_text_add(out, *at == 't' ? "tg\\153_" : "TG\\113_");
            at += 3;
        } else {
            tg_text_add_n(out, at, 1);
        }
    }
    tg_release(tg_scratch(tg_arena_context(out->arena)), mark);
}

void package_put_type(const Writer *w, const TgType *type, TgText *out)
{
    package_comment(out, tg_type_text(w->p.tg, type), 200);
}

/* What a product splits its rows into. */
static int64_t split_bytes(const TgPlan *plan, const TgStep *s)
{
    enum { FEW_ROWS = 16 }; /* fewer are split for codes of four bits only */
    int64_t rows = tg_plan_most(plan, s->u.product.rows), depth = tg_plan_most(plan, s->u.product.depth);
    if (rows < 1 || depth < 1)
        return 0;
    if (rows >= FEW_ROWS)
        return tgk_scratch_bytes(rows, depth);
    return plan->weights.at[s->u.product.weight].dtype == TG_i4 ? tgk_codes_bytes(depth) : 0;
}

/* For the largest product. */
uint64_t package_scratch_bytes(const Writer *w)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < w->plan->steps.n && !w->options->strict; i++) {
        const TgStep *s = w->plan->steps.at[i];
        int64_t bytes = s->kind == TG_STEP_LINEAR ? split_bytes(w->plan, s) : 0;
        most = bytes > most ? bytes : most;
    }
    return (uint64_t)most;
}

uint64_t package_arena_bytes(const Writer *w)
{
    uint64_t bytes = w->plan->arena_bytes + package_scratch_bytes(w);
    return bytes ? bytes : (uint64_t)TG_PLAN_ALIGN;
}
