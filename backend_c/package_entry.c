/* The end of NAME.c: what stands between a caller and the steps. Checks of all that a caller hands over, the entries
 * of the interface, the tables.
 *
 * Nothing that a caller can say may lead to an access outside of what was handed over: sizes are compared with their
 * maxima before anything is computed from them, arrays with each other, the arena with its need. Prefix tgk_: see
 * package.h.
 */
#include <inttypes.h>
#include <string.h>

#include "writer.h"

static const char helpers_text[] =
    "/* --- what callers say is checked ---------------------------------------------------------------------- */\n\n"
    "typedef struct {\n"
    "    const void *at;\n"
    "    int64_t count;    /* elements */\n"
    "    uint32_t element; /* bytes of one */\n"
    "    int32_t same;     /* the one that it may be as a whole, updated in place; -1: none */\n"
    "} tgk_entry_span;\n\n"
    "/* Those from n_in on are written: they may overlap nothing else. */\n"
    "static tgk_status tgk_entry_check(const tgk_entry_span *s, int32_t n_in, int32_t n)\n"
    "{\n"
    "    for (int32_t i = 0; i < n; i++) {\n"
    "        if (!s[i].at && s[i].count)\n"
    "            return TGK_BAD_POINTER;\n"
    "        if ((uintptr_t)s[i].at % s[i].element)\n"
    "            return TGK_BAD_ALIGNMENT;\n"
    "    }\n"
    "    for (int32_t i = n_in; i < n; i++) {\n"
    "        const uintptr_t a = (uintptr_t)s[i].at, a_end = a + (uintptr_t)s[i].count * s[i].element;\n"
    "        for (int32_t k = 0; k < i; k++) {\n"
    "            const uintptr_t b = (uintptr_t)s[k].at, b_end = b + (uintptr_t)s[k].count * s[k].element;\n"
    "            if (a < b_end && b < a_end && !(k == s[i].same && a == b))\n"
    "                return TGK_BAD_OVERLAP;\n"
    "        }\n"
    "    }\n"
    "    return TGK_OK;\n"
    "}\n\n"
    "static unsigned char *tgk_entry_bytes(const void *at) { return (unsigned char *)(uintptr_t)at; }\n\n";

static const char init_text[] =
    "/* --- context "
    "------------------------------------------------------------------------------------------ */\n\n"
    "static uint32_t tgk_entry_word(const unsigned char *at)\n"
    "{\n"
    "    uint32_t word;\n"
    "    memcpy(&word, at, sizeof word);\n"
    "    return word;\n"
    "}\n\n"
    "static uint64_t tgk_entry_long(const unsigned char *at)\n"
    "{\n"
    "    uint64_t word;\n"
    "    memcpy(&word, at, sizeof word);\n"
    "    return word;\n"
    "}\n\n"
    "tgk_status tgk_init(tgk_ctx *c, const void *weights, size_t bytes)\n"
    "{\n"
    "    const unsigned char *at = weights;\n"
    "    if (!c)\n"
    "        return TGK_BAD_POINTER;\n"
    "    memset(c, 0, sizeof *c);\n"
    "    if (!at)\n"
    "        return TGK_BAD_POINTER;\n"
    "    if ((uintptr_t)at % 64)\n"
    "        return TGK_BAD_ALIGNMENT;\n"
    "    if (bytes < TGK_WEIGHTS_BYTES || memcmp(at, \"TGTENSOR\", 8) != 0 || tgk_entry_word(at + 8) != "
    "UINT32_C(0x01020304) ||\n"
    "        tgk_entry_word(at + 12) != 1 || tgk_entry_long(at + 16) != TGK_MODEL_HASH || tgk_entry_long(at "
    "+ 24) != TGK_WEIGHTS_BYTES)\n"
    "        return TGK_BAD_WEIGHTS;\n"
    "    c->weights = at + tgk_entry_long(at + 40);\n"
    "    tgk_entry_use(c, tgk_isa_best());\n"
    "    return TGK_OK;\n"
    "}\n\n"
    "tgk_status tgk_set_isa(tgk_ctx *c, const char *name)\n"
    "{\n"
    "    if (!c || !name)\n"
    "        return TGK_BAD_POINTER;\n"
    "    const tgk_isa *isa = tgk_isa_named(name);\n"
    "    if (!isa)\n"
    "        return TGK_BAD_ISA;\n"
    "    tgk_entry_use(c, isa);\n"
    "    return TGK_OK;\n"
    "}\n\n"
    "const char *tgk_isa_name(const tgk_ctx *c) { return c && c->isa ? c->isa->name : \"none\"; }\n\n"
    "const char *tgk_status_str(tgk_status status)\n"
    "{\n"
    "    static const char *const text[] = {\n"
    "        \"done\", \"an index in the data lies outside\", \"a size is too large or does not fit\",\n"
    "        \"a value in the data is not allowed\", \"a pointer is NULL\", \"a pointer is not aligned\",\n"
    "        \"arena or state are too small\", \"an output overlaps something else\", \"not the weights of "
    "this model\",\n"
    "        \"no such instruction set here\"};\n"
    "    const unsigned number = (unsigned)status;\n"
    "    return number < sizeof text / sizeof *text ? text[number] : \"no status\";\n"
    "}\n\n";

/* --- expressions over sizes ------------------------------------------------------------------------------------- */

typedef struct {
    const Writer *w;
    bool *used; /* by plan->symbols */
} Used;

static void note_symbol(void *user, TgDim symbol)
{
    Used *u = user;
    for (uint32_t i = 0; i < u->w->plan->symbols.n; i++)
        u->used[i] |= u->w->plan->symbols.at[i].symbol == symbol;
}

static void note_type(Used *u, const TgType *type)
{
    for (int32_t k = 0; k < type->rank; k++)
        tg_dim_symbols(type->dim[k], note_symbol, u);
}

static Used used_none(Writer *w)
{
    return (Used){w, TG_NEW_N(w->arena, bool, w->plan->symbols.n + 1)};
}

/* Variables d_<dim> for what is used, so that emitted expressions may name them. */
static void put_locals(const Used *u, TgText *out)
{
    for (uint32_t i = 0; i < u->w->plan->symbols.n; i++)
        if (u->used[i])
            tg_text_format(out, "    const int64_t d_%s = f->d_%s;\n", u->w->p.dim[i], u->w->p.dim[i]);
}

static void put_count(const Writer *w, const TgType *type, TgText *out)
{
    tg_text_add(out, type->rank ? "" : "1");
    for (int32_t k = 0; k < type->rank; k++) {
        tg_text_add(out, k ? " * " : "");
        emit_dim(&w->p, type->dim[k], out);
    }
}

/* --- sizes ------------------------------------------------------------------------------------------------------ */

static bool plain_dim(const TgDim d)
{
    return tg_dim_known(d, NULL) || tg_dim_is_symbol(d);
}

/* What operators demand of sizes: known from the inputs alone, or left to the steps. */
static void put_equal_checks(Writer *w, Used *used, TgText *checks)
{
    const TgPlan *plan = w->plan;
    for (uint32_t i = 0; i + 1 < plan->equal.n; i += 2) {
        TgDim a = plan->equal.at[i], b = plan->equal.at[i + 1];
        if (a == b || !package_dim_of_inputs(w, a) || !package_dim_of_inputs(w, b))
            continue;
        tg_dim_symbols(a, note_symbol, used);
        tg_dim_symbols(b, note_symbol, used);
        tg_text_add(checks, "    if (");
        emit_dim(&w->p, a, checks);
        tg_text_add(checks, " != ");
        emit_dim(&w->p, b, checks);
        tg_text_add(checks, ")\n        return TGK_BAD_SIZE;\n");
    }
}

/* Sizes of inputs that are computed from others (past + sequence) may not be less than nothing. */
static void put_derived_checks(Writer *w, TgText *out)
{
    Used used = used_none(w);
    TgText checks;
    tg_text_init(&checks, w->arena);
    for (uint32_t i = 0; i < w->plan->inputs.n; i++) {
        const TgType *type = package_input_type(w, i);
        for (int32_t k = 0; k < type->rank; k++) {
            if (plain_dim(type->dim[k]))
                continue;
            tg_dim_symbols(type->dim[k], note_symbol, &used);
            tg_text_add(&checks, "    if (");
            emit_dim(&w->p, type->dim[k], &checks);
            tg_text_add(&checks, " < 0)\n        return TGK_BAD_SIZE;\n");
        }
    }
    put_equal_checks(w, &used, &checks);
    put_locals(&used, out);
    tg_text_add(out, checks.n ? checks.at : "");
}

static void put_sizes(Writer *w, TgText *out)
{
    tg_text_add(out, "static tgk_status tgk_entry_sizes(const tgk_inputs *in, tgk_frame *f)\n{\n");
    bool any = false;
    for (uint32_t i = 0; i < w->plan->symbols.n; i++) {
        if (!w->size_field[i])
            continue;
        any = true;
        tg_text_format(out, "    if (in->%s < 0 || in->%s > TGK_MAX_%s)\n        return TGK_BAD_SIZE;\n",
                       w->size_field[i], w->size_field[i], w->size_macro[i]);
        tg_text_format(out, "    f->d_%s = in->%s;\n", w->p.dim[i], w->size_field[i]);
    }
    tg_text_add(out, any ? "" : "    (void)in;\n    (void)f;\n");
    put_derived_checks(w, out);
    tg_text_add(out, "    return TGK_OK;\n}\n\n");
}

static void put_input_dims(Writer *w, TgText *out)
{
    Used used = used_none(w);
    for (uint32_t i = 0; i < w->plan->inputs.n; i++)
        note_type(&used, package_input_type(w, i));
    tg_text_add(out, "tgk_status tgk_input_dims(const tgk_inputs *in, int32_t index, int64_t dim[8])\n{\n"
                     "    if (!in || !dim)\n        return TGK_BAD_POINTER;\n"
                     "    tgk_frame frame, *f = &frame;\n    memset(f, 0, sizeof *f);\n"
                     "    const tgk_status status = tgk_entry_sizes(in, f);\n"
                     "    if (status != TGK_OK)\n        return status;\n");
    put_locals(&used, out);
    tg_text_add(out, "    switch (index) {\n");
    for (uint32_t i = 0; i < w->plan->inputs.n; i++) {
        const TgType *type = package_input_type(w, i);
        tg_text_format(out, "    case %u:\n", i);
        for (int32_t k = 0; k < type->rank; k++) {
            tg_text_format(out, "        dim[%d] = ", k);
            emit_dim(&w->p, type->dim[k], out);
            tg_text_add(out, ";\n");
        }
        tg_text_add(out, "        return TGK_OK;\n");
    }
    tg_text_add(out, "    default: return TGK_BAD_INDEX;\n    }\n}\n\n");
}

/* --- arrays ----------------------------------------------------------------------------------------------------- */

static void put_span(const Writer *w, const char *at, const TgType *type, bool known, int32_t same, TgText *out)
{
    tg_text_format(out, "        {%s, ", at);
    if (known)
        put_count(w, type, out);
    else
        tg_text_add(out, "1");
    tg_text_format(out, ", %u, %d},\n", emit_bytes(type->dtype), same);
}

static bool type_of_inputs(const Writer *w, const TgType *type)
{
    for (int32_t k = 0; k < type->rank; k++)
        if (!package_dim_of_inputs(w, type->dim[k]))
            return false;
    return true;
}

/* tgk_entry_arrays: checks arrays and the arena. With a state, caches are its own: they are not looked at. */
static void put_arrays(Writer *w, bool state, TgText *out)
{
    Used used = used_none(w);
    TgText spans;
    tg_text_init(&spans, w->arena);
    uint32_t n_in = 0, n = 1;
    int32_t *span_of = TG_NEW_N(w->arena, int32_t, w->plan->inputs.n + 1);
    for (uint32_t i = 0; i < w->plan->inputs.n; i++) {
        if (state && package_state_of_input(w, i) >= 0)
            continue;
        span_of[i] = (int32_t)n_in++;
        note_type(&used, package_input_type(w, i));
        put_span(w, tg_name_format(w->p.tg, "in->%s", w->p.input[i]), package_input_type(w, i), true, -1, &spans);
    }
    for (uint32_t i = 0; i < w->plan->outputs.n; i++) {
        const TgType *type = package_output_type(w, i);
        bool known = type_of_inputs(w, type);
        if (state && package_state_of_output(w, i) >= 0)
            continue;
        n++;
        if (known)
            note_type(&used, type);
        int32_t past = package_input_in_place(w, i);
        put_span(w, tg_name_format(w->p.tg, "out->%s", w->p.output[i]), type, known,
                 past < 0 ? -1 : span_of[past], &spans);
    }
    tg_text_format(out,
                   "static tgk_status tgk_entry_arrays%s(const tgk_inputs *in, const tgk_outputs *out, const "
                   "tgk_frame *f)\n{\n",
                   state ? "_of_step" : "");
    put_locals(&used, out);
    tg_text_add(out, "    const tgk_entry_span span[] = {\n");
    tg_text_add(out, spans.n ? spans.at : "");
    tg_text_add(out, "        {f->arena, (int64_t)TGK_ARENA_BYTES, 1, -1}};\n    (void)in;\n    (void)out;\n");
    tg_text_format(out, "    return tgk_entry_check(span, %u, %u);\n}\n\n", n_in, n_in + n);
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

/* Sizes of the arrays of caches: how far the rows of the growing axis lie apart is made of `capacity`. */
static void put_capacities(Writer *w, const char *step_value, TgText *out)
{
    for (uint32_t i = 0; i < w->plan->symbols.n; i++) {
        TgDim symbol = w->plan->symbols.at[i].symbol, length = NULL;
        for (uint32_t k = 0; k < w->plan->states.n && !length; k++) {
            const TgState *s = &w->plan->states.at[k];
            const TgBuffer *past = package_buffer_of_input(w, s->input),
                           *present = package_buffer_of_output(w, s->output);
            if (present && present->capacity == symbol)
                length = tg_dim_add(w->p.tg, s->past, s->grow);
            else if (past && past->capacity == symbol)
                length = s->past;
        }
        if (!length)
            continue;
        if (step_value) {
            tg_text_format(out, "    f->d_%s = %s;\n", w->p.dim[i], step_value);
            continue;
        }
        Used used = used_none(w);
        tg_dim_symbols(length, note_symbol, &used);
        tg_text_add(out, "    {\n");
        put_locals(&used, out);
        tg_text_format(out, "    f->d_%s = ", w->p.dim[i]);
        emit_dim(&w->p, length, out);
        tg_text_add(out, ";\n    }\n");
    }
}

static void put_begin(Writer *w, TgText *out)
{
    tg_text_add(
        out,
        "static tgk_status tgk_entry_begin(const tgk_ctx *c, const tgk_inputs *in, tgk_outputs *out, void "
        "*arena,\n"
        "                            size_t arena_bytes, tgk_frame *f)\n{\n"
        "    memset(f, 0, sizeof *f);\n"
        "    if (!c || !c->weights || !c->isa || !in || !out || !arena)\n        return TGK_BAD_POINTER;\n"
        "    if ((uintptr_t)arena % 64)\n        return TGK_BAD_ALIGNMENT;\n"
        "    if (arena_bytes < TGK_ARENA_BYTES)\n        return TGK_BAD_ROOM;\n"
        "    f->ctx = c;\n    f->weights = tgk_entry_bytes(c->weights);\n    f->arena = arena;\n");
    if (w->p.n_loops)
        tg_text_add(out, "    f->loop = c->loops;\n");
    for (uint32_t i = 0; i < w->plan->inputs.n; i++)
        tg_text_format(out, "    f->in_%s = tgk_entry_bytes(in->%s);\n", w->p.input[i], w->p.input[i]);
    for (uint32_t i = 0; i < w->plan->outputs.n; i++)
        tg_text_format(out, "    f->out_%s = tgk_entry_bytes(out->%s);\n", w->p.output[i], w->p.output[i]);
    tg_text_add(out, "    return tgk_entry_sizes(in, f);\n}\n\n");
}

static void put_finish(Writer *w, TgText *out)
{
    Used used = used_none(w);
    TgText body;
    tg_text_init(&body, w->arena);
    for (uint32_t i = 0; i < w->plan->outputs.n; i++) {
        const TgType *type = package_output_type(w, i);
        note_type(&used, type);
        for (int32_t k = 0; k < type->rank; k++) {
            tg_text_format(&body, "    out->%s[%d] = ", w->dim_field[i], k);
            emit_dim(&w->p, type->dim[k], &body);
            tg_text_add(&body, ";\n");
        }
    }
    tg_text_add(out, "static void tgk_entry_finish(const tgk_frame *f, tgk_outputs *out)\n{\n");
    put_locals(&used, out);
    tg_text_add(out, body.n ? body.at : "");
    tg_text_add(out, "    (void)f;\n    (void)out;\n}\n\n");
}

/* Kernels get a context of their own, with room behind the planned part of the arena. */
static void put_scratch(const Writer *w, TgText *out)
{
    uint64_t bytes = package_scratch_bytes(w);
    if (bytes)
        tg_text_format(out,
                       "    tgk_ctx own = *c;\n    own.scratch = f->arena + %" PRIu64
                       ";\n    own.scratch_bytes = %" PRIu64 ";\n"
                       "    f->ctx = &own;\n",
                       w->plan->arena_bytes, bytes);
}

static void put_run(Writer *w, TgText *out)
{
    tg_text_add(out, "tgk_status tgk_run(const tgk_ctx *c, const tgk_inputs *in, tgk_outputs *out, void "
                     "*arena, size_t arena_bytes)\n"
                     "{\n    tgk_frame frame, *f = &frame;\n"
                     "    tgk_status status = tgk_entry_begin(c, in, out, arena, arena_bytes, f);\n");
    tg_text_add(out, "    if (status == TGK_OK)\n        status = tgk_entry_arrays(in, out, f);\n"
                     "    if (status != TGK_OK)\n        return status;\n");
    put_scratch(w, out);
    put_capacities(w, NULL, out);
    tg_text_add(out, "    status = tgk_steps(f);\n"
                     "    if (status == TGK_OK)\n        tgk_entry_finish(f, out);\n    return status;\n}\n\n");
}

/* --- state ------------------------------------------------------------------------------------------------------ */

/* Bytes that one position of cache k takes, with all other sizes at their maximum. */
static int64_t position_bytes(const Writer *w, uint32_t k)
{
    const TgState *s = &w->plan->states.at[k];
    const TgType *type = package_input_type(w, s->input);
    int64_t n = emit_bytes(type->dtype);
    for (int32_t a = 0; a < type->rank; a++)
        if (a != s->axis)
            n *= tg_plan_most(w->plan, type->dim[a]);
    return n;
}

static const char state_text[] =
    "/* Where cache k begins in a state with room for `capacity` positions; k = their number: all bytes. */\n"
    "static size_t tgk_entry_cache_at(int32_t k, int64_t capacity)\n"
    "{\n"
    "    size_t at = 0;\n"
    "    for (int32_t i = 0; i < k; i++)\n"
    "        at += ((size_t)capacity * tgk_entry_position[i] + 63) / 64 * 64;\n"
    "    return at;\n"
    "}\n\n"
    "size_t tgk_state_size(int64_t capacity)\n"
    "{\n"
    "    return capacity < 0 || capacity > TGK_MAX_POSITIONS ? 0 : tgk_entry_cache_at(TGK_CACHES, capacity) "
    "+ 64;\n"
    "}\n\n"
    "tgk_status tgk_reset(tgk_state *s, void *memory, size_t bytes)\n"
    "{\n"
    "    int64_t low = 0, high = TGK_MAX_POSITIONS;\n"
    "    if (!s || !memory)\n"
    "        return TGK_BAD_POINTER;\n"
    "    if ((uintptr_t)memory % 64)\n"
    "        return TGK_BAD_ALIGNMENT;\n"
    "    while (low < high) { /* the largest that fits */\n"
    "        const int64_t middle = low + (high - low + 1) / 2;\n"
    "        if (tgk_state_size(middle) <= bytes)\n"
    "            low = middle;\n"
    "        else\n"
    "            high = middle - 1;\n"
    "    }\n"
    "    s->past = 0;\n"
    "    s->capacity = low;\n"
    "    s->memory = (unsigned char *)memory;\n"
    "    return low ? TGK_OK : TGK_BAD_ROOM;\n"
    "}\n\n"
    "void *tgk_state_at(const tgk_state *s, int32_t cache)\n"
    "{\n"
    "    return !s || !s->memory || cache < 0 || cache >= TGK_CACHES ? NULL : s->memory + "
    "tgk_entry_cache_at(cache, s->capacity);\n"
    "}\n\n";

static void put_step_entry(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    Used used = used_none(w);
    tg_dim_symbols(w->past, note_symbol, &used);
    tg_dim_symbols(w->grow, note_symbol, &used);
    tg_text_add(out, "tgk_status tgk_step(const tgk_ctx *c, const tgk_inputs *in, tgk_outputs *out, "
                     "tgk_state *s, void *arena,\n"
                     "                    size_t arena_bytes)\n{\n"
                     "    if (!in || !s || !s->memory)\n        return TGK_BAD_POINTER;\n"
                     "    if (s->past < 0 || s->capacity < s->past || s->capacity > TGK_MAX_POSITIONS)\n     "
                     "   return TGK_BAD_SIZE;\n"
                     "    tgk_inputs now = *in;\n");
    tg_text_format(out, "    now.%s = s->past;\n", w->past_field);
    tg_text_add(out, "    tgk_frame frame, *f = &frame;\n"
                     "    tgk_status status = tgk_entry_begin(c, &now, out, arena, arena_bytes, f);\n"
                     "    if (status == TGK_OK)\n        status = tgk_entry_arrays_of_step(&now, out, f);\n"
                     "    if (status != TGK_OK)\n        return status;\n");
    put_locals(&used, out);
    tg_text_add(out, "    const int64_t present = ");
    emit_dim(&w->p, tg_dim_add(w->p.tg, w->past, w->grow), out);
    tg_text_add(out, ";\n    if (present > s->capacity)\n        return TGK_BAD_ROOM;\n");
    put_scratch(w, out);
    put_capacities(w, "s->capacity", out);
    for (uint32_t k = 0; k < plan->states.n; k++) {
        const TgState *state = &plan->states.at[k];
        tg_text_format(out, "    f->in_%s = f->out_%s = s->memory + tgk_entry_cache_at(%u, s->capacity);\n",
                       w->p.input[state->input], w->p.output[state->output], k);
    }
    tg_text_add(out, "    status = tgk_steps(f);\n    if (status != TGK_OK)\n        return status;\n"
                     "    tgk_entry_finish(f, out);\n    s->past = present;\n    return TGK_OK;\n}\n\n");
}

static void put_state(Writer *w, TgText *out)
{
    uint32_t n = w->plan->states.n;
    tg_text_add(out, "/* --- state "
                     "---------------------------------------------------------------------------------------"
                     "------------- */\n\n");
    tg_text_format(out, "enum { TGK_CACHES = %u };\n\n/* Bytes of one position of each. */\n"
                        "static const size_t tgk_entry_position[TGK_CACHES] = {", n);
    for (uint32_t k = 0; k < n; k++)
        tg_text_format(out, "%s%" PRId64, !k ? "" : k % 12 ? ", " : ",\n    ", position_bytes(w, k));
    tg_text_add(out, "};\n\n");
    tg_text_add(out, state_text);
    put_arrays(w, true, out);
    put_step_entry(w, out);
}

/* --- tables ----------------------------------------------------------------------------------------------------- */

static void put_io(Writer *w, bool output, uint32_t i, TgText *out)
{
    const TgType *type = output ? package_output_type(w, i) : package_input_type(w, i);
    TgName name = output ? w->plan->source->outputs.at[i].name : tg_value(w->plan->graph, w->plan->inputs.at[i])->name;
    tg_text_add(out, "    {");
    package_put_literal(out, name ? name : "");
    int32_t state = w->past ? (output ? package_state_of_output(w, i) : package_state_of_input(w, i)) : -1;
    tg_text_format(out, ", %d, %d, %d, %d, %u, {", (int)type->dtype, type->rank, state,
                   state >= 0 ? w->plan->states.at[state].axis : 0, emit_bytes(type->dtype));
    for (int32_t k = 0; k < type->rank; k++)
        tg_text_format(out, "%s%" PRId64, k ? ", " : "", tg_plan_most(w->plan, type->dim[k]));
    tg_text_format(out, "%s}, %" PRId64, type->rank ? "" : "0", tg_plan_most_elements(w->plan, type));
    const char *kind = output ? "outputs" : "inputs", *field = output ? w->p.output[i] : w->p.input[i];
    tg_text_format(out, ", offsetof(tgk_%s, %s), ", kind, field);
    if (output && type->rank)
        tg_text_format(out, "offsetof(tgk_outputs, %s)},\n", w->dim_field[i]);
    else
        tg_text_add(out, "0},\n");
}

static void put_tables(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    tg_text_add(out, "/* --- tables "
                     "---------------------------------------------------------------------------------------"
                     "------------ */\n\n"
                     "const tgk_io_info tgk_input_table[] = {\n");
    for (uint32_t i = 0; i < plan->inputs.n; i++)
        put_io(w, false, i, out);
    tg_text_add(out, "    {NULL, 0, 0, -1, 0, 0, {0}, 0, 0, 0}};\n\nconst tgk_io_info tgk_output_table[] = {\n");
    for (uint32_t i = 0; i < plan->outputs.n; i++)
        put_io(w, true, i, out);
    tg_text_add(out, "    {NULL, 0, 0, -1, 0, 0, {0}, 0, 0, 0}};\n\nconst tgk_size_info tgk_size_table[] = {\n");
    for (uint32_t i = 0; i < plan->symbols.n; i++) {
        const TgPlanSymbol *s = &plan->symbols.at[i];
        if (!w->size_field[i])
            continue;
        tg_text_add(out, "    {");
        package_put_literal(out, tg_dim_text(w->p.tg, s->symbol));
        tg_text_format(out, ", %" PRId64 ", %u, %d, offsetof(tgk_inputs, %s)},\n", s->most, s->input, s->axis,
                       w->size_field[i]);
    }
    tg_text_add(out, "    {NULL, 0, 0, 0, 0}};\n");
}

/* --- instruction sets ------------------------------------------------------------------------------------------- */

static void put_use(Writer *w, TgText *out)
{
    if (!w->p.n_loops) {
        tg_text_add(out, "static void tgk_entry_use(tgk_ctx *c, const tgk_isa *isa) { c->isa = isa; }\n\n");
        return;
    }
    tg_text_add(out,
                "extern tgk_tile *const tgk_loops_scalar[], *const tgk_loops_avx2[], *const "
                "tgk_loops_avx512[], *const tgk_loops_neon[];\n\n"
                "static void tgk_entry_use(tgk_ctx *c, const tgk_isa *isa)\n{\n"
                "    c->isa = isa;\n    c->loops = tgk_loops_scalar;\n"
                "#if defined(TGK_PORTABLE) || !defined(__GNUC__)\n"
                "#elif defined(__x86_64__) || defined(__i386__)\n"
                "    if (isa->name[0] == 'a') /* avx2, avx512, amx */\n"
                "        c->loops = strcmp(isa->name, \"avx2\") == 0 ? tgk_loops_avx2 : tgk_loops_avx512;\n"
                "#elif defined(__aarch64__) && defined(__ARM_NEON)\n"
                "    if (isa->name[0] == 'n')\n        c->loops = tgk_loops_neon;\n"
                "#endif\n}\n\n");
}

void package_put_entry(Writer *w, TgText *out)
{
    tg_text_add(out, "\n");
    tg_text_add(out, helpers_text);
    put_sizes(w, out);
    put_arrays(w, false, out);
    put_begin(w, out);
    put_finish(w, out);
    tg_text_add(out, "/* --- entries "
                     "---------------------------------------------------------------------------------------"
                     "----------- */\n\n");
    put_run(w, out);
    put_input_dims(w, out);
    put_use(w, out);
    tg_text_add(out, init_text);
    if (w->past)
        put_state(w, out);
    put_tables(w, out);
}
