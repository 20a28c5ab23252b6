/* Steps that decide what runs, and what is known of sizes: BIND, SIZES, EXPECT, IF, REPEAT.
 *
 * Bodies are functions of their own over the same frame, so nothing here nests deeper in C than in the plan. */
#include "emit.h"

/* --- sizes -------------------------------------------------------------------------------------------------------- */

static const TgPlanSymbol *symbol_of(const Emitter *e, TgDim symbol, uint64_t *number)
{
    TG_CHECK(e->p->tg, tg_map_get(&e->p->dim_number, TG_KEY(symbol), number));
    return &e->p->plan->symbols.at[*number];
}

void emit_set_size(Emitter *e, TgDim symbol, const char *value, const char *indent)
{
    uint64_t number;
    symbol_of(e, symbol, &number);
    emit(e, "%sf->d_%s = %s;\n", indent, e->p->dim[number], value);
    e->known[number] = true;
}

/* One element of in[0], an integer or bool, as an expression. */
static const char *element_text(Emitter *e, TgValue v, int64_t element)
{
    TgDtype dtype = step_type(e, v)->dtype;
    bool known = tg_is_integer(dtype) || dtype == TG_bool;
    return known ? tg_name_format(e->p->tg, "((const %s *)%s)[%lld]", emit_type(dtype), address_text(e, v),
                                  (long long)element)
                 : NULL;
}

/* A size that is an axis of a result whose kernel told it: the field is set. Else the axis has another name by now. */
static bool emit_bind_axis(Emitter *e, const TgStep *s)
{
    TgDim d = emit_dim_of(e, s->in.at[0], s->u.bind.axis);
    if (d != s->u.bind.symbol && is_known(e, d))
        emit_set_size(e, s->u.bind.symbol, size_text(e, d), "    ");
    return is_known(e, s->u.bind.symbol) || emit_refuse(e, s, "a size depends on data in a way that nobody computes");
}

static bool emit_bind(Emitter *e, const TgStep *s)
{
    uint64_t number;
    const TgPlanSymbol *symbol = symbol_of(e, s->u.bind.symbol, &number);
    const char *name = e->p->dim[number];
    if (s->u.bind.axis < 0) {
        const char *value = element_text(e, s->in.at[0], s->u.bind.element);
        if (!value)
            return emit_refuse(e, s, "a size is no integer");
        emit_set_size(e, s->u.bind.symbol, value, "    ");
    } else if (!emit_bind_axis(e, s)) {
        return false;
    }
    int64_t lower = tg_dim_lower(s->u.bind.symbol);
    emit(e, "    if (");
    if (lower > INT64_MIN)
        emit(e, "f->d_%s < %lld || ", name, (long long)lower);
    emit(e, "f->d_%s > %lld)\n        return TGK_BAD_SIZE;\n", name, (long long)symbol->most);
    tg_map_put(&e->binds, number, 1);
    bool again = tg_map_get(&e->reads, number, NULL), inside = tg_map_get(&e->inside, number, NULL);
    if (!inside && (!e->second || again || tg_map_get(&e->late, number, NULL)))
        emit(e, "    %sd_%s = f->d_%s;\n", again ? "" : "const int64_t ", name, name);
    return true;
}

static bool emit_sizes(Emitter *e, const TgStep *s)
{
    TgDtype dtype = step_type(e, s->out.at[0])->dtype;
    if (!tg_is_integer(dtype) && dtype != TG_bool)
        return emit_refuse(e, s, "sizes are no integers");
    if (s->u.sizes.n == 0)
        return true;
    const char *type = emit_type(dtype);
    emit(e, "    {\n        %s *const to = (%s *)%s;\n", type, type, address_text(e, s->out.at[0]));
    for (uint32_t i = 0; i < s->u.sizes.n; i++)
        emit(e, "        to[%u] = (%s)%s;\n", (unsigned)i, type, size_text(e, s->u.sizes.number[i]));
    emit(e, "    }\n");
    return true;
}

/* --- bodies ------------------------------------------------------------------------------------------------------- */

/* What is known once a body has run. */
static void learn(Emitter *e, const TgSteps *steps)
{
    uint64_t number;
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        if (s->kind == TG_STEP_BIND) {
            symbol_of(e, s->u.bind.symbol, &number);
            e->known[number] = true;
            tg_map_put(&e->binds, number, 1);
            tg_map_put(&e->inside, number, 1);
        }
        learn(e, &s->body[0]);
        learn(e, &s->body[1]);
    }
}

/* Calls the function of a body, which is written once: in the second pass. */
static bool emit_body(Emitter *e, const TgStep *s, uint32_t which, const char *indent)
{
    if (s->body[which].n == 0)
        return true;
    const char *name = tg_name_format(e->p->tg, "tgk_body_%u%s", (unsigned)s->number, which ? "_else" : "");
    e->checks = true;
    emit(e, "%sstatus = %s(f);\n%sif (status != TGK_OK)\n%s    return status;\n", indent, name, indent, indent);
    Emitter inner = *e;
    inner.out = &e->ahead;
    bool good = !e->second || emit_list(&inner, &s->body[which], name);
    learn(e, &s->body[which]);
    return good;
}

static bool emit_if(Emitter *e, const TgStep *s)
{
    emit(e, "    if (*(const uint8_t *)%s) {\n", address_text(e, s->in.at[0]));
    bool good = emit_body(e, s, 0, "        ");
    if (s->body[1].n)
        emit(e, "    } else {\n");
    good = good && emit_body(e, s, 1, "        ");
    emit(e, "    }\n");
    return good;
}

/* --- REPEAT ------------------------------------------------------------------------------------------------------- */

static bool copy_all(Emitter *e, const TgValues *from, const TgValues *to, const char *indent)
{
    for (uint32_t i = 0; i < from->n; i++) {
        if (!from->at[i] || !to->at[i] || from->at[i] == to->at[i])
            continue;
        emit(e, "%s", indent);
        if (!emit_copy(e, from->at[i], to->at[i], NULL, NULL))
            return false;
    }
    return true;
}

/* Element `round` along an axis of `whole`, counted from its other end where reversed, and `part`, which lacks the
 * axis. */
static bool copy_slice(Emitter *e, TgValue whole, TgValue part, int32_t axis, bool reverse, bool into,
                       const TgDim rounds)
{
    const TgType *type = step_type(e, part);
    int32_t rank = type->rank;
    axis = axis < 0 ? axis + rank + 1 : axis;
    TgText dims, inner, outer;
    tg_text_init(&dims, e->p->arena);
    tg_text_init(&inner, e->p->arena);
    tg_text_init(&outer, e->p->arena);
    for (int32_t a = 0; a < rank; a++) {
        const char *comma = a ? ", " : "";
        tg_text_format(&dims, "%s%s", comma, size_text(e, type->dim[a]));
        tg_text_format(&inner, "%s%s", comma, size_text(e, stride_of(e, part, a)));
        tg_text_format(&outer, "%s%s", comma, size_text(e, stride_of(e, whole, a + (a >= axis))));
    }
    const char *step = size_text(e, stride_of(e, whole, axis));
    const char *index = reverse ? tg_name_format(e->p->tg, "(%s - 1 - round)", size_text(e, rounds)) : "round";
    const char *slice = tg_name_format(e->p->tg, "tgk_at(%s, %u*%s*%s)", address_text(e, whole),
                                       (unsigned)emit_bytes(type->dtype), index, step);
    emit(e, "            tgk_copy(f->ctx, &(tgk_move){.rank = %d, .size = %u", (int)rank,
         (unsigned)emit_bytes(type->dtype));
    e->indent = 16;
    if (rank > 0) {
        emit_item(e, ".dim = {%s}", dims.at);
        emit_item(e, ".from_stride = {%s}", into ? inner.at : outer.at);
        emit_item(e, ".to_stride = {%s}", into ? outer.at : inner.at);
    }
    emit_item(e, ".from = %s", into ? address_text(e, part) : slice);
    emit_item(e, ".to = %s", into ? slice : address_text(e, part));
    emit(e, "});\n");
    e->p->uses_copy = true;
    return true;
}

/* The size that a stacked result has along its axis, where that is a symbol that only the number of rounds tells. */
static TgDim unknown_rounds(Emitter *e, const TgRepeat *r)
{
    for (uint32_t i = 0; i < r->stacked.n; i++) {
        TgDim d = r->stacked.at[i] ? emit_dim_of(e, r->stacked.at[i], r->stacked_axis ? r->stacked_axis[i] : 0) : NULL;
        if (d && tg_dim_is_symbol(d) && !is_known(e, d))
            return d;
    }
    return NULL;
}

/* Most rounds that stacked results have room for; INT64_MAX: none of them says. */
static int64_t most_rounds(Emitter *e, TgDim symbol)
{
    uint64_t number;
    return symbol ? symbol_of(e, symbol, &number)->most : INT64_MAX;
}

static bool emit_round(Emitter *e, const TgStep *s, TgDim rounds)
{
    const TgRepeat *r = s->u.repeat.about;
    if (r->counter)
        emit(e, "            *(int64_t *)%s = round;\n", address_text(e, r->counter));
    if (r->condition)
        emit(e, "            *(uint8_t *)%s = go;\n", address_text(e, r->condition));
    for (uint32_t i = 0; i < r->scanned.n; i++)
        if (!copy_slice(e, r->scanned.at[i], r->element.at[i], r->scanned_axis ? r->scanned_axis[i] : 0,
                        r->scanned_reverse && r->scanned_reverse[i], false, rounds))
            return false;
    if (!emit_body(e, s, 0, "            "))
        return false;
    if (r->again)
        emit(e, "            go = *(const uint8_t *)%s;\n", address_text(e, r->again));
    for (uint32_t i = 0; i < r->row.n; i++)
        if (r->stacked.at[i] && !copy_slice(e, r->stacked.at[i], r->row.at[i], r->stacked_axis ? r->stacked_axis[i] : 0,
                                            r->stacked_reverse && r->stacked_reverse[i], true, rounds))
            return false;
    e->indent = 16;
    return copy_all(e, &r->next, &r->current, "            ");
}

static bool emit_repeat(Emitter *e, const TgStep *s)
{
    const TgRepeat *r = s->u.repeat.about;
    TgDim unknown = r->scan ? NULL : unknown_rounds(e, r);
    int64_t most = most_rounds(e, unknown);
    emit(e, "    {\n");
    e->indent = 12;
    if (!copy_all(e, &r->initial, &r->current, "        "))
        return false;
    emit(e, "        uint8_t go = %s;\n",
         r->start ? tg_name_format(e->p->tg, "*(const uint8_t *)%s", address_text(e, r->start)) : "1");
    if (r->scan)
        emit(e, "        const int64_t rounds = %s;\n", size_text(e, r->rounds));
    else if (r->trip)
        emit(e, "        const int64_t rounds = *(const int64_t *)%s;\n", address_text(e, r->trip));
    else
        emit(e, "        const int64_t rounds = INT64_MAX;\n");
    emit(e, "        int64_t round = 0;\n        for (; round < rounds && go; round++) {\n");
    if (most < INT64_MAX)
        emit(e, "            if (round >= %lld)\n                return TGK_BAD_SIZE;\n", (long long)most);
    if (!emit_round(e, s, r->rounds))
        return false;
    emit(e, "        }\n");
    e->indent = 12;
    if (!copy_all(e, &r->current, &r->final, "        "))
        return false;
    if (unknown) {
        uint64_t number;
        emit_set_size(e, unknown, "round", "        ");
        symbol_of(e, unknown, &number);
        tg_map_put(&e->binds, number, 1);
        tg_map_put(&e->inside, number, 1);
    }
    emit(e, "    }\n");
    return true;
}

bool emit_control(Emitter *e, const TgStep *s)
{
    switch (s->kind) {
    case TG_STEP_BIND: return emit_bind(e, s);
    case TG_STEP_SIZES: return emit_sizes(e, s);
    case TG_STEP_EXPECT:
        emit(e, "    if (%s*(const uint8_t *)%s)\n        return TGK_BAD_SIZE;\n", s->u.expected ? "!" : "",
             address_text(e, s->in.at[0]));
        return true;
    case TG_STEP_IF: return emit_if(e, s);
    default: return emit_repeat(e, s);
    }
}
