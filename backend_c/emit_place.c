/* Sizes, addresses and strides as C, and the lines that they stand in. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "emit.h"

enum { WIDTH = 118 };

/* --- lines -------------------------------------------------------------------------------------------------------- */

static void add(Emitter *e, const char *format, va_list arguments) TG_PRINTF(2, 0);

static void add(Emitter *e, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    TgArena *scratch = tg_scratch(e->p->tg);
    TgMark mark = tg_mark(scratch);
    char *at = tg_new(scratch, (size_t)n + 1);
    vsnprintf(at, (size_t)n + 1, format, arguments);
    tg_text_add_n(&e->body, at, (size_t)n);
    const char *last = strrchr(at, '\n');
    if (last)
        e->line = e->body.n - strlen(last + 1);
    tg_release(scratch, mark);
}

void emit(Emitter *e, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(e, format, arguments);
    va_end(arguments);
}

void emit_item(Emitter *e, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t n = (size_t)vsnprintf(NULL, 0, format, again);
    va_end(again);
    size_t line = e->body.n - e->line;
    bool first = e->body.n > 0 && (e->body.at[e->body.n - 1] == '{' || e->body.at[e->body.n - 1] == ' ');
    bool blank = strspn(e->body.at + e->line, " ") >= line;
    if (!blank && line + n + 2 > WIDTH)
        emit(e, "%s\n%*s", first ? "" : ",", (int)e->indent, "");
    else
        emit(e, "%s", first ? "" : ", ");
    add(e, format, arguments);
    va_end(arguments);
}

bool emit_refuse(Emitter *e, const TgStep *s, const char *why)
{
    const TgNodeInfo *n = s->nodes.n ? tg_node(e->p->plan->graph, s->nodes.at[0]) : NULL;
    return tg_report(e->p->tg, TG_E_no_plan, n ? tg_op_text(e->p->tg, n->op) : "a step", why);
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

static TgName symbol_name(void *user, TgDim symbol)
{
    const Package *p = user;
    uint64_t number;
    TG_CHECK(p->tg, tg_map_get(&p->dim_number, TG_KEY(symbol), &number));
    return tg_name_format(p->tg, "d_%s", p->dim[number]);
}

void emit_dim(const Package *p, TgDim d, TgText *out)
{
    tg_dim_print_c(d, out, symbol_name, (void *)(uintptr_t)p);
}

/* As symbol_name, within a function: what bodies bind changes behind its back. */
static TgName name_inside(void *user, TgDim symbol)
{
    const Emitter *e = user;
    uint64_t number = 0;
    bool inside = tg_map_get(&e->p->dim_number, TG_KEY(symbol), &number) && tg_map_get(&e->inside, number, NULL);
    return inside ? tg_name_format(e->p->tg, "f->d_%s", e->p->dim[number]) : symbol_name(e->p, symbol);
}

static void note_symbol(void *user, TgDim symbol)
{
    Emitter *e = user;
    uint64_t number;
    if (!tg_map_get(&e->p->dim_number, TG_KEY(symbol), &number) || !e->known[number])
        e->early = true;
    else if (!tg_map_get(&e->inside, number, NULL))
        tg_map_put(tg_map_get(&e->binds, number, NULL) ? &e->late : &e->reads, number, 1);
}

const char *size_text(Emitter *e, TgDim d)
{
    uint64_t count = 0;
    bool seen = tg_map_get(&e->often, TG_KEY(d), &count);
    if (e->second && seen)
        return tg_name_format(e->p->tg, "n%u", (unsigned)count);
    tg_dim_symbols(d, note_symbol, e);
    if (e->early) /* the step is refused */
        return "0";
    if (!e->second && !tg_dim_known(d, NULL) && !tg_dim_is_symbol(d)) {
        tg_map_put(&e->often, TG_KEY(d), count + 1);
        if (!seen)
            TG_PUSH(e->p->arena, &e->met, d);
    }
    TgText text;
    tg_text_init(&text, tg_scratch(e->p->tg));
    TgMark mark = tg_mark(text.arena);
    tg_dim_print_c(d, &text, name_inside, e);
    TgName name = tg_name_n(e->p->tg, text.at, text.n);
    tg_release(text.arena, mark);
    return name;
}

typedef struct {
    const Emitter *e;
    bool all;
} Known;

static void need_known(void *user, TgDim symbol)
{
    Known *k = user;
    uint64_t number;
    k->all = k->all && tg_map_get(&k->e->p->dim_number, TG_KEY(symbol), &number) && k->e->known[number];
}

bool is_known(const Emitter *e, TgDim d)
{
    Known k = {e, true};
    tg_dim_symbols(d, need_known, &k);
    return k.all;
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

const char *emit_type(TgDtype t)
{
    static const char *const NAME[TG_DTYPE_COUNT] = {
        [TG_f32] = "float",      [TG_u8] = "uint8_t",         [TG_i8] = "int8_t",          [TG_u16] = "uint16_t",
        [TG_i16] = "int16_t",    [TG_i32] = "int32_t",        [TG_i64] = "int64_t",        [TG_bool] = "uint8_t",
        [TG_f16] = "uint16_t",   [TG_f64] = "double",         [TG_u32] = "uint32_t",       [TG_u64] = "uint64_t",
        [TG_bf16] = "uint16_t",  [TG_f8e4m3fn] = "uint8_t",   [TG_f8e4m3fnuz] = "uint8_t", [TG_f8e5m2] = "uint8_t",
        [TG_u4] = "uint8_t",     [TG_f8e5m2fnuz] = "uint8_t", [TG_f4e2m1] = "uint8_t",     [TG_f8e8m0] = "uint8_t",
        [TG_u2] = "uint8_t",     [TG_i4] = "int8_t",          [TG_i2] = "int8_t",          [TG_c64] = "uint64_t",
    };
    return (unsigned)t < TG_DTYPE_COUNT ? NAME[t] : NULL;
}

uint32_t emit_bytes(TgDtype t)
{
    uint32_t bits = tg_dtype_bits(t);
    return bits >= 8 ? bits / 8 : bits > 0;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

const char *address_text(Emitter *e, TgValue v)
{
    const Package *p = e->p;
    const TgLocation *at = tg_place_of(p->plan, v);
    const TgBuffer *b = &p->plan->buffers.at[at->buffer];
    TgDtype dtype = step_type(e, v)->dtype;
    int64_t start = b->kind == TG_BUFFER_ARENA    ? (int64_t)b->offset
                    : b->kind == TG_BUFFER_WEIGHT ? (int64_t)p->weight_at[b->index]
                                                  : 0;
    TgDim bytes = tg_dim(p->tg, start);
    if (at->offset)
        bytes = tg_dim_add(p->tg, bytes, tg_dim_mul(p->tg, tg_dim(p->tg, emit_bytes(dtype)), at->offset));
    const char *offset = size_text(e, bytes);
    switch (b->kind) {
    case TG_BUFFER_INPUT: return tg_name_format(p->tg, "tgk_at(f->in_%s, %s)", p->input[b->index], offset);
    case TG_BUFFER_OUTPUT: return tg_name_format(p->tg, "tgk_at(f->out_%s, %s)", p->output[b->index], offset);
    case TG_BUFFER_WEIGHT: return tg_name_format(p->tg, "tgk_at(f->weights, %s)", offset);
    case TG_BUFFER_ARENA: return tg_name_format(p->tg, "tgk_at(f->arena, %s)", offset);
    case TG_BUFFER_NONE: break;
    }
    tg_bug(p->tg, __FILE__, __LINE__, "that a value which a step reads or writes has a place");
}

static int32_t axis_from_end(const Emitter *e, TgValue v, int32_t axis)
{
    return axis < 0 ? axis + step_type(e, v)->rank : axis;
}

TgDim emit_dim_of(const Emitter *e, TgValue v, int32_t axis)
{
    axis = axis_from_end(e, v, axis);
    return axis < 0 || axis >= step_type(e, v)->rank ? tg_dim(e->p->tg, 1) : step_type(e, v)->dim[axis];
}

TgDim stride_of(const Emitter *e, TgValue v, int32_t axis)
{
    axis = axis_from_end(e, v, axis);
    bool absent = axis < 0 || axis >= step_type(e, v)->rank;
    return absent ? tg_dim(e->p->tg, 0) : tg_place_of(e->p->plan, v)->stride[axis];
}

const char *strides_text(Emitter *e, TgValue v, uint32_t n, const int32_t *axis)
{
    TgText text;
    tg_text_init(&text, e->p->arena);
    for (uint32_t i = 0; i < n; i++)
        tg_text_format(&text, "%s%s", i ? ", " : "{", size_text(e, stride_of(e, v, axis[i])));
    tg_text_add(&text, "}");
    return text.at;
}
