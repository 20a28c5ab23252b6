/* The body of NAME.c: the frame that steps share, and functions of one commented call per step.
 *
 * Problem: a model has thousands of steps; one function of them would take compilers minutes and people a day. Idea:
 * at most MOST_STEPS a function, in order, over a frame. Sizes are expressions; those that a function writes often
 * become variables of it (see emit.h on the two passes).
 */
#include <string.h>

#include "emit.h"

enum { MOST_STEPS = 60, OFTEN = 3, COMMENT_WIDTH = 112, LONG_NAME = 80, MOST_NAMES = 4 };

/* --- comments ----------------------------------------------------------------------------------------------------- */

static void add_name(TgText *text, const char *before, TgName name)
{
    tg_text_add(text, before);
    package_comment(text, name, LONG_NAME);
}

static bool is_first(const TgValue *list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i])
            return false;
    return true;
}

static void add_types(Emitter *e, TgText *text, const TgValues *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->at[i])
            add_name(text, is_first(list->at, i) ? "" : ", ", tg_type_text(e->p->tg, step_type(e, list->at[i])));
}

typedef TG_VEC(TgName) Names;

static void add_once(TgArena *arena, Names *names, TgName name)
{
    for (uint32_t i = 0; i < names->n; i++)
        if (names->at[i] == name)
            return;
    if (name)
        TG_PUSH(arena, names, name);
}

static void add_names(TgText *text, const Names *names, const char *before, const char *around)
{
    for (uint32_t i = 0; i < names->n && i < MOST_NAMES; i++) {
        tg_text_add(text, i ? ", " : before);
        add_name(text, around, names->at[i]);
        tg_text_add(text, around);
    }
    if (names->n > MOST_NAMES)
        tg_text_format(text, " and %u more", (unsigned)(names->n - MOST_NAMES));
}

static void origins_of(const Emitter *e, const TgStep *s, Names *sources, Names *rewrites)
{
    for (uint32_t i = 0; i < s->nodes.n; i++)
        for (const TgOriginNote *o = tg_node(e->p->plan->graph, s->nodes.at[i])->origin; o; o = o->next) {
            add_once(e->p->arena, sources, o->source);
            add_once(e->p->arena, rewrites, o->rewrite);
        }
}

static void add_operators(const Emitter *e, TgText *text, const TgStep *s)
{
    static const char *const KIND[] = {
        [TG_STEP_POINTWISE] = "elementwise", [TG_STEP_COPY] = "copy",
        [TG_STEP_APPEND] = "rows of a cache", [TG_STEP_LINEAR] = "product with weights",
        [TG_STEP_MATMUL] = "product", [TG_STEP_ATTENTION] = "attention", [TG_STEP_SOFTMAX] = "softmax",
        [TG_STEP_LAYER_NORM] = "layer norm", [TG_STEP_RMS_NORM] = "RMS norm", [TG_STEP_ROTARY] = "rotary embedding",
        [TG_STEP_EMBED] = "embedding",
        [TG_STEP_OPERATOR] = "operator", [TG_STEP_SIZES] = "sizes as numbers", [TG_STEP_BIND] = "a size becomes known",
        [TG_STEP_EXPECT] = "the case that this was written for", [TG_STEP_IF] = "branch", [TG_STEP_REPEAT] = "loop"};
    tg_text_format(text, "%u. ", (unsigned)s->number);
    for (uint32_t i = 0; i < s->nodes.n && i < 2 * MOST_NAMES; i++)
        add_name(text, i ? ", " : "", tg_op_text(e->p->tg, tg_node(e->p->plan->graph, s->nodes.at[i])->op));
    if (s->nodes.n > 2 * MOST_NAMES)
        tg_text_add(text, " ...");
    if (s->nodes.n == 0)
        tg_text_add(text, KIND[s->kind]);
    if (s->then) {
        tg_text_add(text, "; then ");
        for (uint32_t i = 0; i < s->then->nodes.n && i < 2 * MOST_NAMES; i++)
            add_name(text, i ? ", " : "", tg_op_text(e->p->tg, tg_node(e->p->plan->graph, s->then->nodes.at[i])->op));
    }
}

/* One comment, broken at spaces. */
static void emit_comment(Emitter *e, const char *text)
{
    emit(e, "    /* ");
    for (size_t left = strlen(text); left > 0;) {
        size_t n = left <= COMMENT_WIDTH ? left : COMMENT_WIDTH;
        while (n < left && n > COMMENT_WIDTH / 2 && text[n] != ' ')
            n--;
        emit(e, "%.*s", (int)n, text);
        text += n;
        left -= n;
        for (; left && *text == ' '; left--)
            text++;
        if (left)
            emit(e, "\n     * ");
    }
    emit(e, " */\n");
}

static void add_weight(TgText *text, const TgWeight *w)
{
    tg_text_format(text, ", weights %s[%lld,%lld]", tg_dtype_text(w->dtype), (long long)w->rows, (long long)w->cols);
    if (w->name)
        add_name(text, " ", w->name);
}

static void describe(Emitter *e, const TgStep *s)
{
    TgText text;
    Names sources = {0}, rewrites = {0};
    tg_text_init(&text, e->p->arena);
    add_operators(e, &text, s);
    tg_text_add(&text, ": ");
    add_types(e, &text, &s->in);
    if (s->kind == TG_STEP_LINEAR || s->kind == TG_STEP_EMBED)
        add_weight(&text, &e->p->plan->weights.at[s->u.product.weight]);
    tg_text_add(&text, " -> ");
    add_types(e, &text, s->then ? &s->then->out : &s->out);
    origins_of(e, s, &sources, &rewrites);
    if (s->then)
        origins_of(e, s->then, &sources, &rewrites);
    add_names(&text, &sources, "; from ", "'");
    add_names(&text, &rewrites, "; by ", "");
    emit_comment(e, text.at);
}

/* --- functions ---------------------------------------------------------------------------------------------------- */

static bool emit_call(Emitter *e, const TgStep *s)
{
    switch (s->kind) {
    case TG_STEP_OPERATOR: return emit_operator(e, s);
    case TG_STEP_SIZES:
    case TG_STEP_BIND:
    case TG_STEP_EXPECT:
    case TG_STEP_IF:
    case TG_STEP_REPEAT: return emit_control(e, s);
    default: return emit_kernel(e, s);
    }
}

static bool emit_step(Emitter *e, const TgStep *s)
{
    emit(e, "\n");
    describe(e, s);
    if (!emit_call(e, s))
        return false;
    return !e->early || emit_refuse(e, s, "it reads a size before it is known");
}

static bool emit_pass(Emitter *e, const TgSteps *steps, uint32_t from, uint32_t to)
{
    tg_text_init(&e->body, e->p->arena);
    tg_map_init(&e->binds, e->p->arena);
    tg_map_init(&e->inside, e->p->arena);
    e->line = 0;
    for (uint32_t i = from; i < to; i++)
        if (!emit_step(e, steps->at[i]))
            return false;
    return true;
}

typedef struct {
    const Emitter *e;
    bool good;
} Early;

static void need_early(void *user, TgDim symbol)
{
    Early *early = user;
    uint64_t number = 0;
    (void)tg_map_get(&early->e->p->dim_number, TG_KEY(symbol), &number);
    early->good = early->good && !tg_map_get(&early->e->binds, number, NULL);
}

/* Between the passes: what comes often, and has a value when the function starts, becomes a variable. */
static void choose_variables(Emitter *e, TgText *text)
{
    const Package *p = e->p;
    uint32_t n = 0;
    TgMap chosen;
    tg_map_init(&chosen, p->arena);
    for (uint32_t i = 0; i < p->plan->symbols.n; i++)
        if (tg_map_get(&e->reads, i, NULL))
            tg_text_format(text, "    %sint64_t d_%s = f->d_%s;\n", tg_map_get(&e->binds, i, NULL) ? "" : "const ",
                           p->dim[i], p->dim[i]);
    for (uint32_t i = 0; i < e->met.n; i++) {
        Early early = {e, true};
        uint64_t count = 0;
        (void)tg_map_get(&e->often, TG_KEY(e->met.at[i]), &count);
        tg_dim_symbols(e->met.at[i], need_early, &early);
        if (count < OFTEN || !early.good)
            continue;
        tg_map_put(&chosen, TG_KEY(e->met.at[i]), ++n);
        tg_text_format(text, "    const int64_t n%u = ", (unsigned)n);
        emit_dim(p, e->met.at[i], text);
        tg_text_add(text, ";\n");
    }
    e->often = chosen;
}

static bool emit_function(Emitter *e, const TgSteps *steps, uint32_t from, uint32_t to, const char *name)
{
    TgText variables;
    uint32_t n = e->p->plan->symbols.n;
    tg_text_init(&variables, e->p->arena);
    tg_text_init(&e->ahead, e->p->arena);
    tg_map_init(&e->reads, e->p->arena);
    tg_map_init(&e->late, e->p->arena);
    tg_map_init(&e->often, e->p->arena);
    e->met.n = 0;
    e->met.cap = 0;
    e->second = e->checks = false;
    bool *known = tg_copy(e->p->arena, e->known, n + 1);
    if (!emit_pass(e, steps, from, to))
        return false;
    choose_variables(e, &variables);
    memcpy(e->known, known, n);
    e->second = true;
    if (!emit_pass(e, steps, from, to))
        return false;
    tg_text_add_n(e->out, e->ahead.at ? e->ahead.at : "", e->ahead.n);
    tg_text_format(e->out, "static tgk_status %s(tgk_frame *f)\n{\n", name);
    if (variables.n)
        tg_text_add(e->out, variables.at);
    if (e->checks)
        tg_text_add(e->out, "    tgk_status status;\n");
    if (from == to)
        tg_text_add(e->out, "    (void)f;\n");
    tg_text_add_n(e->out, e->body.at ? e->body.at : "", e->body.n);
    tg_text_add(e->out, "    return TGK_OK;\n}\n\n");
    return true;
}

bool emit_list(Emitter *e, const TgSteps *steps, const char *name)
{
    if (steps->n <= MOST_STEPS)
        return emit_function(e, steps, 0, steps->n, name);
    uint32_t parts = 0;
    for (uint32_t from = 0; from < steps->n; from += MOST_STEPS) {
        uint32_t to = steps->n - from < MOST_STEPS ? steps->n : from + MOST_STEPS;
        if (!emit_function(e, steps, from, to, tg_name_format(e->p->tg, "%s_%u", name, (unsigned)++parts)))
            return false;
    }
    tg_text_format(e->out, "static tgk_status %s(tgk_frame *f)\n{\n    tgk_status status = TGK_OK;\n", name);
    for (uint32_t i = 1; i <= parts; i++)
        tg_text_format(e->out, "    if (status == TGK_OK)\n        status = %s_%u(f);\n", name, (unsigned)i);
    tg_text_add(e->out, "    return status;\n}\n\n");
    return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void emit_frame(const Package *p, TgText *out)
{
    tg_text_add(out, "/* What the steps of one run share: memory, and the sizes of this run. */\n"
                     "typedef struct {\n"
                     "    const tgk_ctx *ctx;\n"
                     "    tgk_tile *const *loop;\n"
                     "    unsigned char *weights, *arena;\n");
    for (uint32_t i = 0; i < p->plan->inputs.n; i++)
        tg_text_format(out, "    unsigned char *in_%s;\n", p->input[i]);
    for (uint32_t i = 0; i < p->plan->outputs.n; i++)
        tg_text_format(out, "    unsigned char *out_%s;\n", p->output[i]);
    for (uint32_t i = 0; i < p->plan->symbols.n; i++)
        tg_text_format(out, "    int64_t d_%s;\n", p->dim[i]);
    tg_text_add(
        out,
        "} tgk_frame;\n\n"
        "static inline void *tgk_at(void *base, int64_t bytes)\n{\n    return (unsigned char *)base + bytes;\n}\n\n");
}

/* Sizes of inputs and room of caches are set by the caller. */
static void know_inputs(Emitter *e)
{
    const TgPlan *plan = e->p->plan;
    uint64_t number;
    for (uint32_t i = 0; i < plan->symbols.n; i++)
        e->known[i] = plan->symbols.at[i].input != UINT32_MAX;
    for (uint32_t i = 1; i < plan->buffers.n; i++)
        if (plan->buffers.at[i].capacity &&
            tg_map_get(&e->p->dim_number, TG_KEY(plan->buffers.at[i].capacity), &number))
            e->known[number] = true;
}

/* Sizes that stand in inputs are known from the start, whatever step asks for them first. */
static TgSteps binds_first(const Package *p)
{
    TgSteps steps = {0};
    for (int rest = 0; rest < 2; rest++)
        for (uint32_t i = 0; i < p->plan->steps.n; i++) {
            TgStep *s = p->plan->steps.at[i];
            bool first = s->kind == TG_STEP_BIND && s->u.bind.axis < 0 &&
                         p->plan->buffers.at[tg_place_of(p->plan, s->in.at[0])->buffer].kind == TG_BUFFER_INPUT;
            if (first != (rest == 1))
                TG_PUSH(p->arena, &steps, s);
        }
    return steps;
}

bool emit_steps(Package *p, TgText *out)
{
    Emitter e = {.p = p, .out = out};
    p->operators = TG_NEW_N(p->arena, bool, TG_OP_COUNT);
    e.known = TG_NEW_N(p->arena, bool, p->plan->symbols.n + 1);
    know_inputs(&e);
    emit_frame(p, out);
    TgSteps steps = binds_first(p);
    return emit_list(&e, &steps, "tgk_steps");
}
