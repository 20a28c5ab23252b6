/* The lexer of the text form (TEXT.md). Terms look the same in graphs and in rules, so they are cut into the
 * same tokens by the same code.
 *
 * One token of look-ahead: `token` is the current one. A TgLex is a plain value: copy it to look further
 * ahead, or to come back. A lexical error is recorded once, where it happened, and turns the rest of the
 * text into TG_TOK_BAD. */
#ifndef TG_LEX_H
#define TG_LEX_H

#include "base.h"

/* Punctuation is its own character: '(' and so on. */
typedef enum {
    TG_TOK_END = 256,
    TG_TOK_BAD,    /* recorded already */
    TG_TOK_IDENT,  /* Softmax, com.microsoft.Attention, f32, x */
    TG_TOK_VALUE,  /* %x, %"any name", %12 */
    TG_TOK_GRAPH,  /* @ffn, @"any name" */
    TG_TOK_NOTE,   /* !doc */
    TG_TOK_STRING, /* "text": `text` holds the bytes meant */
    TG_TOK_NUMBER, /* -12, 1.5e-3, -inf, 0x7fc00001 */
    TG_TOK_SCOPE   /* :: */
} TgTokenKind;

typedef struct {
    int kind;         /* a TgTokenKind or a character */
    bool quoted;      /* value, graph: its name stood in quotes */
    const char *text; /* without sigil and quotes, escapes resolved; not NUL-terminated */
    size_t n;
    const char *start;     /* where it stands in the source */
    uint32_t line, column; /* from 1; columns count bytes */
} TgToken;

typedef struct {
    Tg *tg;
    TgArena *arena; /* for strings with escapes */
    const char *at, *end, *line_start;
    uint32_t line;
    TgName file;
    TgToken token;
} TgLex;

void tg_lex_begin(TgLex *lex, TgArena *arena, const char *file, const char *text,
                  size_t n); /* reads the first token */
void tg_lex_next(TgLex *lex);

/* All return false and record a syntax error at the current token, unless it is what they look for. */
bool tg_lex_fail(TgLex *lex, const char *expected); /* "expected <expected>, found ..."; always false */
bool tg_lex_expect(TgLex *lex, int kind);           /* takes it */
bool tg_lex_word(TgLex *lex, const char *word);     /* takes the identifier `word` */
bool tg_lex_int(TgLex *lex, int64_t *x); /* takes an integer; beyond 2^63-1 up to 2^64-1 it wraps (u64) */
bool tg_lex_float(TgLex *lex, bool is_float32, double *x); /* takes a number, inf or nan */
bool tg_lex_string(TgLex *lex,
                   TgBytes *bytes); /* takes a string; bytes live in the lexer's arena or in the text */

/* These only look (tg_lex_accept takes what it finds). */
bool tg_lex_is_word(const TgLex *lex, const char *word);
bool tg_lex_is_float(const TgToken *token); /* has a point, an exponent, or is inf, nan or bits */
bool tg_lex_is_bits(const TgToken *token);  /* 0x...: the bits of a float */
bool tg_lex_accept(TgLex *lex, int kind);
TgName tg_lex_name(const TgLex *lex);                      /* the current token's text, interned */
void tg_lex_place(const TgLex *lex, const TgToken *token); /* makes it the context's current place */

#endif
