/* Cuts the text form into tokens. The grammar of tokens is in TEXT.md; nothing here knows about graphs.
 *
 * Idea: the next character decides the kind, one function per kind. Positions are computed from the start of
 * the current line, so nothing is counted per character. Bytes from 0x80 on are let through in strings and
 * names as they are.
 */
#include "lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- characters ----------------------------------------------------------------------------------------- */

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool word_char(char c)
{
    return letter(c) || digit(c) || c == '.';
}

static int hex(char c)
{
    if (digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static char peek(const TgLex *lex, size_t ahead)
{
    return (size_t)(lex->end - lex->at) > ahead ? lex->at[ahead] : '\0';
}

/* --- errors --------------------------------------------------------------------------------------------- */

void tg_lex_place(const TgLex *lex, const TgToken *token)
{
    TgPlace *place = tg_place(lex->tg);
    *place = (TgPlace){.file = lex->file, .line = token->line, .column = token->column};
}

static void bad(TgLex *lex, const char *what)
{
    lex->token.column = (uint32_t)(lex->at - lex->line_start) + 1;
    tg_lex_place(lex, &lex->token);
    tg_report(lex->tg, TG_E_bad_token, what);
    lex->token.kind = TG_TOK_BAD;
    lex->at = lex->end;
}

static TgName describe(const TgLex *lex)
{
    const TgToken *t = &lex->token;
    if (t->kind == TG_TOK_END)
        return tg_name(lex->tg, "the end of the text");
    size_t n = (size_t)(lex->at - t->start);
    if (n > 40)
        return tg_name_format(lex->tg, "'%.40s...'", t->start);
    return tg_name_format(lex->tg, "'%.*s'", (int)n, t->start);
}

bool tg_lex_fail(TgLex *lex, const char *expected)
{
    if (lex->token.kind == TG_TOK_BAD)
        return false;
    tg_lex_place(lex, &lex->token);
    return tg_report(lex->tg, TG_E_syntax, expected, describe(lex));
}

/* --- tokens --------------------------------------------------------------------------------------------- */

static void skip_blanks(TgLex *lex)
{
    while (lex->at < lex->end) {
        char c = *lex->at;
        if (c == '#') {
            while (lex->at < lex->end && *lex->at != '\n')
                lex->at++;
        } else if (c == '\n') {
            lex->at++;
            lex->line++;
            lex->line_start = lex->at;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            lex->at++;
        } else {
            return;
        }
    }
}

/* \uXXXX as UTF-8. Returns how many bytes it wrote, 0: not four hexadecimal digits. */
static size_t unicode(TgLex *lex, char *out)
{
    uint32_t code = 0;
    for (size_t i = 0; i < 4; i++) {
        int h = hex(peek(lex, i));
        if (h < 0)
            return 0;
        code = code * 16 + (uint32_t)h;
    }
    lex->at += 4;
    if (code < 0x80)
        return out[0] = (char)code, 1;
    if (code < 0x800)
        return out[0] = (char)(0xc0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
}

/* The escape behind a backslash; at points behind the backslash. \xNN is a byte, whatever it means in UTF-8.
 */
static size_t escape(TgLex *lex, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = peek(lex, 0);
    const char *known = c ? strchr(from, c) : NULL;
    if (known)
        return lex->at++, out[0] = to[known - from], 1;
    if (c == 'u')
        return lex->at++, unicode(lex, out);
    if (c == 'x' && hex(peek(lex, 1)) >= 0 && hex(peek(lex, 2)) >= 0) {
        out[0] = (char)(hex(peek(lex, 1)) * 16 + hex(peek(lex, 2)));
        lex->at += 3;
        return 1;
    }
    return 0;
}

static void string(TgLex *lex, int kind)
{
    TgToken *t = &lex->token;
    t->quoted = true;
    const char *first = ++lex->at;
    while (lex->at < lex->end && *lex->at != '"' && *lex->at != '\\' && *lex->at != '\n')
        lex->at++;
    t->text = first;
    t->n = (size_t)(lex->at - first);
    if (peek(lex, 0) == '\\') { /* a copy is at most as long as the rest of the text */
        TgText copy;
        tg_text_init(&copy, lex->arena);
        tg_text_add_n(&copy, first, t->n);
        while (lex->at < lex->end && *lex->at != '"' && *lex->at != '\n') {
            char one[4] = {*lex->at};
            size_t n = 1;
            if (*lex->at++ == '\\' && (n = escape(lex, one)) == 0) {
                bad(lex, "unknown escape in a string; JSON's and \\xNN are known");
                return;
            }
            tg_text_add_n(&copy, one, n);
        }
        t->text = copy.at;
        t->n = copy.n;
    }
    if (peek(lex, 0) != '"') {
        bad(lex, "a string that does not end on its line");
        return;
    }
    lex->at++;
    t->kind = kind;
}

static void word(TgLex *lex, int kind)
{
    TgToken *t = &lex->token;
    t->text = lex->at;
    while (lex->at < lex->end && word_char(*lex->at))
        lex->at++;
    t->n = (size_t)(lex->at - t->text);
    t->kind = kind;
}

/* A sigil, then a word or a string. */
static void named(TgLex *lex, int kind)
{
    lex->at++;
    if (peek(lex, 0) == '"' && kind != TG_TOK_NOTE) {
        string(lex, kind);
    } else if (word_char(peek(lex, 0))) {
        word(lex, kind);
    } else {
        bad(lex, "a name should follow here");
    }
}

static void number(TgLex *lex)
{
    TgToken *t = &lex->token;
    t->text = lex->at;
    lex->at++;
    while (lex->at < lex->end) {
        char c = *lex->at, before = lex->at[-1];
        bool exponent_sign = (c == '-' || c == '+') && (before == 'e' || before == 'E') && digit(lex->at[-2]);
        if (!word_char(c) && !exponent_sign)
            break;
        lex->at++;
    }
    t->n = (size_t)(lex->at - t->text);
    t->kind = TG_TOK_NUMBER;
}

void tg_lex_next(TgLex *lex)
{
    if (lex->token.kind == TG_TOK_BAD)
        return;
    skip_blanks(lex);
    lex->token = (TgToken){.kind = TG_TOK_END,
                           .text = lex->at,
                           .start = lex->at,
                           .line = lex->line,
                           .column = (uint32_t)(lex->at - lex->line_start) + 1};
    if (lex->at == lex->end)
        return;
    char c = *lex->at;
    if (letter(c)) {
        word(lex, TG_TOK_IDENT);
    } else if (digit(c) || (c == '-' && word_char(peek(lex, 1)))) {
        number(lex);
    } else if (c == '%' || c == '@' || c == '!') {
        named(lex, c == '%' ? TG_TOK_VALUE : c == '@' ? TG_TOK_GRAPH : TG_TOK_NOTE);
    } else if (c == '"') {
        string(lex, TG_TOK_STRING);
    } else if (c == ':' && peek(lex, 1) == ':') {
        lex->at += 2;
        lex->token.kind = TG_TOK_SCOPE;
    } else if (c > ' ' && c < 127) {
        lex->token.kind = c;
        lex->token.n = 1;
        lex->at++;
    } else {
        bad(lex, "a byte that no token starts with");
    }
}

void tg_lex_begin(TgLex *lex, TgArena *arena, const char *file, const char *text, size_t n)
{
    Tg *tg = tg_arena_context(arena);
    *lex = (TgLex){.tg = tg,
                   .arena = arena,
                   .at = text,
                   .end = text + n,
                   .line_start = text,
                   .line = 1,
                   .file = tg_name(tg, file)};
    tg_lex_next(lex);
}

/* --- expectations --------------------------------------------------------------------------------------- */

bool tg_lex_accept(TgLex *lex, int kind)
{
    if (lex->token.kind != kind)
        return false;
    tg_lex_next(lex);
    return true;
}

bool tg_lex_expect(TgLex *lex, int kind)
{
    static const char *const what[] = {"the end",     "",         "a word",   "a value (%x)", "a name (@x)",
                                       "a note (!x)", "a string", "a number", "'::'"};
    if (tg_lex_accept(lex, kind))
        return true;
    if (kind >= TG_TOK_END)
        return tg_lex_fail(lex, what[kind - TG_TOK_END]);
    char expected[] = {'\'', (char)kind, '\'', '\0'};
    return tg_lex_fail(lex, expected);
}

static bool token_is(const TgToken *t, const char *text)
{
    return t->n == strlen(text) && memcmp(t->text, text, t->n) == 0;
}

bool tg_lex_is_word(const TgLex *lex, const char *text)
{
    return lex->token.kind == TG_TOK_IDENT && token_is(&lex->token, text);
}

bool tg_lex_word(TgLex *lex, const char *text)
{
    if (!tg_lex_is_word(lex, text))
        return tg_lex_fail(lex, tg_name_format(lex->tg, "'%s'", text));
    tg_lex_next(lex);
    return true;
}

bool tg_lex_is_bits(const TgToken *t)
{
    return t->kind == TG_TOK_NUMBER && t->n > 2 && t->text[0] == '0' &&
           (t->text[1] == 'x' || t->text[1] == 'X');
}

bool tg_lex_is_float(const TgToken *t)
{
    if (t->kind == TG_TOK_IDENT)
        return token_is(t, "inf") || token_is(t, "nan");
    if (t->kind != TG_TOK_NUMBER)
        return false;
    return tg_lex_is_bits(t) || token_is(t, "-inf") || memchr(t->text, '.', t->n) ||
           memchr(t->text, 'e', t->n) || memchr(t->text, 'E', t->n);
}

enum { NUMBER_MAX = 64 }; /* the longest number, in bytes */

/* The token as a C string for strto*; false: too long. */
static bool c_string(const TgToken *t, char out[NUMBER_MAX])
{
    if (t->n >= NUMBER_MAX)
        return false;
    memcpy(out, t->text, t->n);
    out[t->n] = '\0';
    return true;
}

bool tg_lex_int(TgLex *lex, int64_t *x)
{
    char text[NUMBER_MAX], *end = text;
    if (lex->token.kind != TG_TOK_NUMBER || tg_lex_is_float(&lex->token) || !c_string(&lex->token, text))
        return tg_lex_fail(lex, "an integer");
    errno = 0;
    *x = text[0] == '-' ? strtoll(text, &end, 10) : (int64_t)strtoull(text, &end, 10);
    if (*end || errno)
        return tg_lex_fail(lex, "an integer of at most 64 bits");
    tg_lex_next(lex);
    return true;
}

bool tg_lex_float(TgLex *lex, bool is_float32, double *x)
{
    char text[NUMBER_MAX], *end = text;
    const TgToken *t = &lex->token;
    if ((t->kind != TG_TOK_NUMBER && !tg_lex_is_float(t)) || tg_lex_is_bits(t) || !c_string(t, text))
        return tg_lex_fail(lex, "a number");
    *x = is_float32 ? (double)strtof(text, &end) : strtod(text, &end);
    if (*end)
        return tg_lex_fail(lex, "a number");
    tg_lex_next(lex);
    return true;
}

bool tg_lex_string(TgLex *lex, TgBytes *bytes)
{
    if (lex->token.kind != TG_TOK_STRING)
        return tg_lex_fail(lex, "a string");
    *bytes = (TgBytes){(const uint8_t *)lex->token.text, lex->token.n};
    tg_lex_next(lex);
    return true;
}

TgName tg_lex_name(const TgLex *lex)
{
    return tg_name_n(lex->tg, lex->token.text, lex->token.n);
}
