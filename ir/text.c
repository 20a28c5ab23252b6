/* Names (interned strings) and texts under construction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"

/* --- names ---------------------------------------------------------------------------------------------- */

typedef struct {
    size_t n;
    const char *at;
} Word;

static bool same_word(const void *a, const void *b) {
    const Word *x = a, *y = b;
    return x->n == y->n && memcmp(x->at, y->at, x->n) == 0;
}

static TgName intern(Tg *tg, const char *bytes, size_t n) {
    if (!tg->names)
        tg->names = tg_interner_new(tg->forever, same_word);
    Word probe = {n, bytes};
    uint64_t hash = tg_hash(bytes, n, 0);
    const Word *known = tg_interner_find(tg->names, &probe, hash);
    if (known)
        return known->at;
    char *text = tg_new_raw(tg->forever, n + 1);
    memcpy(text, bytes, n);
    text[n] = 0;
    Word *word = TG_NEW(tg->forever, Word);
    *word = (Word){n, text};
    tg_interner_add(tg->names, word, hash);
    return text;
}

TgName tg_name(Tg *tg, const char *text) { return text ? intern(tg, text, strlen(text)) : NULL; }

TgName tg_name_n(Tg *tg, const char *bytes, size_t n) {
    return intern(tg, n ? bytes : "", n ? strnlen(bytes, n) : 0);
}

static void add_formatted(TgText *text, const char *format, va_list arguments) TG_PRINTF(2, 0);

TgName tg_name_format(Tg *tg, const char *format, ...) {
    TgMark mark = tg_mark(tg->scratch);
    TgText text;
    tg_text_init(&text, tg->scratch);
    va_list arguments;
    va_start(arguments, format);
    add_formatted(&text, format, arguments);
    va_end(arguments);
    TgName name = intern(tg, text.n ? text.at : "", text.n);
    tg_release(tg->scratch, mark);
    return name;
}

/* --- texts ---------------------------------------------------------------------------------------------- */

void tg_text_init(TgText *text, TgArena *arena) { *text = (TgText){.arena = arena}; }

/* Room for n more bytes and the NUL. */
static void reserve(TgText *text, size_t n) {
    if (text->cap - text->n > n)
        return;
    TG_CHECK(tg_arena_context(text->arena), n < SIZE_MAX / 4 && text->cap < SIZE_MAX / 4);
    size_t cap = text->cap ? 2 * text->cap : 64;
    cap = cap > text->n + n + 1 ? cap : text->n + n + 1;
    char *at = tg_new_raw(text->arena, cap);
    if (text->n)
        memcpy(at, text->at, text->n);
    text->at = at;
    text->cap = cap;
}

void tg_text_add_n(TgText *text, const char *bytes, size_t n) {
    reserve(text, n);
    if (n)
        memcpy(text->at + text->n, bytes, n);
    text->n += n;
    text->at[text->n] = 0;
}

void tg_text_add(TgText *text, const char *string) { tg_text_add_n(text, string, strlen(string)); }

static void add_formatted(TgText *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    reserve(text, 63);
    int n = vsnprintf(text->at + text->n, text->cap - text->n, format, arguments);
    TG_CHECK(tg_arena_context(text->arena), n >= 0);
    if ((size_t)n >= text->cap - text->n) {
        reserve(text, (size_t)n);
        vsnprintf(text->at + text->n, text->cap - text->n, format, again);
    }
    va_end(again);
    text->n += (size_t)n;
}

void tg_text_format(TgText *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add_formatted(text, format, arguments);
    va_end(arguments);
}

/* FLT_DIG (DBL_DIG) digits reproduce every decimal that short, so the first precision that comes back
 * exactly is also the shortest once %g has dropped the trailing zeros. */
void tg_text_float(TgText *text, double value, bool is_float32) {
    if (value != value) {
        tg_text_add(text, "nan");
        return;
    }
    char digits[40];
    int last = is_float32 ? 9 : 17;
    for (int precision = is_float32 ? 6 : 15; precision <= last; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        double back = is_float32 ? (double)strtof(digits, NULL) : strtod(digits, NULL);
        if (back == value)
            break;
    }
    tg_text_add(text, digits);
}

/* Length of the UTF-8 sequence at `at`, 0 where there is none (overlong forms and surrogates included). */
static size_t sequence(const uint8_t *at, size_t left) {
    static const struct {
        uint8_t lead, last, low, high;
        size_t n;
    } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                 {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                 {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (at[0] < forms[f].lead || at[0] > forms[f].last || left < forms[f].n)
            continue;
        bool good = at[1] >= forms[f].low && at[1] <= forms[f].high;
        for (size_t i = 2; i < forms[f].n; i++)
            good = good && (at[i] & 0xc0) == 0x80;
        return good ? forms[f].n : 0;
    }
    return 0;
}

static void quote_ascii(TgText *text, uint8_t c) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(plain, c) : NULL;
    if (found)
        tg_text_format(text, "\\%c", letters[found - plain]);
    else if (c < 0x20 || c == 0x7f)
        tg_text_format(text, "\\u%04x", c);
    else
        tg_text_add_n(text, (const char *)&c, 1);
}

static void quote(TgText *text, const char *bytes, size_t n, bool json) {
    const uint8_t *at = (const uint8_t *)bytes, *end = at + n;
    tg_text_add_n(text, "\"", 1);
    while (at < end) {
        size_t length = *at < 0x80 ? 1 : sequence(at, (size_t)(end - at));
        if (*at < 0x80)
            quote_ascii(text, *at);
        else if (!length && json)
            tg_text_add(text, "\\ufffd");
        else if (!length)
            tg_text_format(text, "\\x%02x", *at);
        else if (at[0] == 0xc2 && at[1] < 0xa0)
            tg_text_format(text, "\\u%04x", at[1]); /* C1 controls move terminals too */
        else
            tg_text_add_n(text, (const char *)at, length);
        at += length ? length : 1;
    }
    tg_text_add_n(text, "\"", 1);
}

void tg_text_quoted(TgText *text, const char *bytes, size_t n) { quote(text, bytes, n, false); }
void tg_text_json(TgText *text, const char *bytes, size_t n) { quote(text, bytes, n, true); }
