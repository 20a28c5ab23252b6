/* Diagnostics: recorded in order, rendered on demand. The messages are the rows of diag.def. */
#include <stdio.h>
#include <string.h>

#include "context.h"

static const struct {
    const char *name, *format;
    TgSeverity severity;
    int exit_code;
} ROWS[TG_E_COUNT] = {
#define DIAG(id, severity, exit_code, format) [TG_E_##id] = {#id, format, severity, exit_code},
#include "diag.def"
#undef DIAG
};

TgPlace *tg_place(Tg *tg) { return &tg->place; }

static void record(Tg *tg, TgDiagId id, TgName message) {
    tg->diags.at[tg->diags.n++] =
        (TgDiag){.id = id, .severity = ROWS[id].severity, .place = tg->place, .message = message};
    tg->errors += ROWS[id].severity == TG_ERROR;
}

static TgName formatted(Tg *tg, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    TgMark mark = tg_mark(tg->scratch);
    char *text = tg_new_raw(tg->scratch, (size_t)(n < 0 ? 0 : n) + 1);
    text[0] = 0;
    if (n > 0)
        vsnprintf(text, (size_t)n + 1, format, arguments);
    TgName message = tg_name(tg, text);
    tg_release(tg->scratch, mark);
    return message;
}

bool tg_report(Tg *tg, TgDiagId id, ...) {
    va_list arguments;
    va_start(arguments, id);
    TgName message = formatted(tg, ROWS[id].format, arguments);
    va_end(arguments);
    if (tg->diags.n + 1 >= tg->diags.cap)
        tg_vec_grow(tg->forever, &tg->diags, sizeof *tg->diags.at);
    record(tg, id, message);
    return ROWS[id].severity != TG_ERROR;
}

/* When even the free slot is taken, an earlier record says the same. */
void tg_report_last_words(Tg *tg, TgDiagId id, ...) {
    if (tg->diags.n == tg->diags.cap)
        return;
    va_list arguments;
    va_start(arguments, id);
    vsnprintf(tg->last_words, sizeof tg->last_words, ROWS[id].format, arguments);
    va_end(arguments);
    record(tg, id, tg->last_words);
}

uint32_t tg_diag_count(const Tg *tg) { return tg->diags.n; }
const TgDiag *tg_diag(const Tg *tg, uint32_t index) { return &tg->diags.at[index]; }
uint32_t tg_error_count(const Tg *tg) { return tg->errors; }
TgName tg_diag_id_name(TgDiagId id) { return ROWS[id].name; }

void tg_diag_forget(Tg *tg, uint32_t count) {
    while (tg->diags.n > count)
        tg->errors -= tg->diags.at[--tg->diags.n].severity == TG_ERROR;
}

const char *tg_diag_format(TgDiagId id) { return ROWS[id].format; }
int tg_diag_exit_code_of(TgDiagId id) { return ROWS[id].exit_code; }

int tg_diag_exit_code(const Tg *tg) {
    for (uint32_t i = 0; i < tg->diags.n; i++)
        if (tg->diags.at[i].severity == TG_ERROR)
            return ROWS[tg->diags.at[i].id].exit_code;
    return 0;
}

/* Foreign names end up on terminals: control characters (C0, DEL, C1 as UTF-8) become '?'. */
static void add_safely(TgText *text, const char *foreign) {
    const uint8_t *at = (const uint8_t *)foreign;
    for (; *at; at++) {
        bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        bool control = (*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f || c1;
        tg_text_add_n(text, control ? "?" : (const char *)at, 1);
        at += c1;
    }
}

void tg_diag_render(Tg *tg, const TgDiag *diag, TgText *text) {
    static const char *const words[] = {[TG_NOTE] = "note", [TG_WARNING] = "warning", [TG_ERROR] = "error"};
    (void)tg;
    const TgPlace *place = &diag->place;
    tg_text_add(text, "tgopt: ");
    if (place->file && *place->file) {
        add_safely(text, place->file);
        if (place->line)
            tg_text_format(text, ":%u", place->line);
        if (place->line && place->column)
            tg_text_format(text, ":%u", place->column);
        tg_text_add(text, ": ");
    }
    if (place->node || place->op) {
        tg_text_add(text, place->node ? "node '" : "node");
        add_safely(text, place->node ? place->node : "");
        tg_text_add(text, place->node ? "'" : "");
        if (place->op) {
            tg_text_add(text, " (");
            add_safely(text, place->op);
            tg_text_add(text, ")");
        }
        tg_text_add(text, ": ");
    }
    tg_text_format(text, "%s: ", words[diag->severity]);
    add_safely(text, diag->message);
}
