/* Reads expressions: integers, names, sums and products, functions of functions.def, lists, strings.
 *
 *   sum     = product { ("+" | "-") product }
 *   product = factor { ("*" | "//") factor }
 *   factor  = NUMBER | STRING | name | function "(" sum { "," sum } ")" | "(" sum ")"
 *           | "{" [ sum { "," sum } ] "}"
 *
 * The lexer takes "-1" and "-a" for one token; behind an operand they are an operator and its right side. */
#include <string.h>

#include "book.h"

static const TgRuleWord functions[] = {
#define FUNCTION(name, operands, doc) {#name, operands, doc},
#include "functions.def"
#undef FUNCTION
};

const TgRuleWord *tg_rule_functions(uint32_t *n)
{
    *n = FN_COUNT;
    return functions;
}

/* --- names ----------------------------------------------------------------------------------------- */

static const char *kind_text(NameKind kind)
{
    static const char *const texts[] = {"a value", "a list of values", "a number"};
    return texts[kind];
}

static uint16_t new_name(Reader *r, TgName name, NameKind kind)
{
    Rule *rule = r->rule;
    if (rule->n_names == MAX_NAMES) {
        tg_lex_fail(&r->lex, "at most 64 names in a rule");
        return NO_SLOT;
    }
    rule->names[rule->n_names] = (Name){.name = name, .kind = kind, .spot = SPOT(&r->lex.token)};
    return (uint16_t)rule->n_names++;
}

static uint16_t check_name(Reader *r, uint16_t slot, NameKind kind, bool binds)
{
    Name *known = &r->rule->names[slot];
    if (known->kind != kind) {
        place_error(r->book, r->file, SPOT(&r->lex.token));
        tg_report(r->book->tg, TG_E_rule_kind, known->name, kind_text(kind), kind_text(known->kind));
        return NO_SLOT;
    }
    if (!binds || known->bound)
        known->uses++;
    known->bound = known->bound || binds;
    return slot;
}

uint16_t read_name(Reader *r, NameKind kind, bool binds)
{
    TgName name = tg_lex_name(&r->lex);
    size_t n = strlen(name);
    if (kind == NAME_TAIL)
        name = tg_name_n(r->book->tg, name, n - 3);
    for (uint16_t i = 0; i < r->rule->n_names; i++)
        if (r->rule->names[i].name == name)
            return check_name(r, i, kind, binds);
    if (!binds) {
        place_error(r->book, r->file, SPOT(&r->lex.token));
        tg_report(r->book->tg, TG_E_rule_unbound, name);
        return NO_SLOT;
    }
    uint16_t slot = new_name(r, name, kind);
    if (slot != NO_SLOT)
        r->rule->names[slot].bound = true;
    return slot;
}

/* --- expressions ----------------------------------------------------------------------------------- */

static Expr *new_expr(Reader *r, ExprKind kind)
{
    Expr *e = TG_NEW(r->book->arena, Expr);
    e->kind = kind;
    e->spot = SPOT(&r->lex.token);
    e->slot = NO_SLOT;
    return e;
}

static bool add(Reader *r, Expr *to, Expr *e)
{
    if (!e)
        return false;
    Expr **at = TG_NEW_N(r->book->arena, Expr *, to->n + 1);
    if (to->n)
        memcpy(at, to->at, to->n * sizeof *at);
    at[to->n++] = e;
    to->at = at;
    return true;
}

static bool list(Reader *r, Expr *to, int closing)
{
    while (r->lex.token.kind != closing) {
        if (!add(r, to, read_expr(r)))
            return false;
        if (!tg_lex_accept(&r->lex, ',') && r->lex.token.kind != closing)
            return tg_lex_fail(&r->lex, "',' or the end of the list");
    }
    return tg_lex_expect(&r->lex, closing);
}

static Expr *number(Reader *r)
{
    bool real = tg_lex_is_float(&r->lex.token);
    Expr *e = new_expr(r, real ? X_FLOAT : X_INT);
    bool good = real ? tg_lex_float(&r->lex, false, &e->f) : tg_lex_int(&r->lex, &e->i);
    return good ? e : NULL;
}

/* An operand that must be a value: v in the table. */
static Expr *value_operand(Reader *r)
{
    if (r->lex.token.kind != TG_TOK_IDENT)
        return tg_lex_fail(&r->lex, "the name of a value"), NULL;
    Expr *e = new_expr(r, X_NAME);
    e->slot = read_name(r, NAME_VALUE, false);
    tg_lex_next(&r->lex);
    return e;
}

static Expr *call(Reader *r)
{
    TgLex *lex = &r->lex;
    Expr *e = new_expr(r, X_CALL);
    TgName name = tg_lex_name(lex);
    while (e->function < FN_COUNT && strcmp(functions[e->function].name, name) != 0)
        e->function++;
    if (e->function == FN_COUNT) {
        place_error(r->book, r->file, e->spot);
        tg_report(r->book->tg, TG_E_rule_unknown, "function", name, "tgopt-rules(5) lists them");
        return NULL;
    }
    tg_lex_next(lex);
    tg_lex_next(lex);
    const char *operands = functions[e->function].operands;
    for (const char *kind = operands; *kind; kind++) {
        if (kind > operands && !tg_lex_expect(lex, ','))
            return NULL;
        if (!add(r, e, *kind == 'v' ? value_operand(r) : read_expr(r)))
            return NULL;
    }
    return tg_lex_expect(lex, ')') ? e : NULL;
}

static Expr *text(Reader *r)
{
    Expr *e = new_expr(r, X_STRING);
    return tg_lex_string(&r->lex, &e->s) ? e : NULL;
}

static Expr *braces(Reader *r, int closing)
{
    Expr *e = new_expr(r, X_LIST);
    tg_lex_next(&r->lex);
    return list(r, e, closing) ? e : NULL;
}

static Expr *parenthesis(Reader *r)
{
    tg_lex_next(&r->lex);
    Expr *e = read_expr(r);
    return e && tg_lex_expect(&r->lex, ')') ? e : NULL;
}

static Expr *name_or_call(Reader *r)
{
    TgLex look = r->lex;
    tg_lex_next(&look);
    if (look.token.kind == '(')
        return call(r);
    Expr *e = new_expr(r, X_NAME);
    bool binds = !r->giving;
    e->slot = read_name(r, NAME_NUMBER, binds);
    tg_lex_next(&r->lex);
    return e;
}

static Expr *factor(Reader *r)
{
    int kind = r->lex.token.kind;
    if (kind == TG_TOK_NUMBER || tg_lex_is_float(&r->lex.token))
        return number(r);
    if (kind == TG_TOK_STRING)
        return text(r);
    if (kind == TG_TOK_IDENT)
        return name_or_call(r);
    if (kind == '{' || kind == '[')
        return braces(r, kind == '{' ? '}' : ']');
    if (kind == '(')
        return parenthesis(r);
    tg_lex_fail(&r->lex, "an expression");
    return NULL;
}

static Expr *two(Reader *r, ExprKind kind, Expr *a, Expr *b)
{
    Expr *e = new_expr(r, kind);
    e->spot = a->spot;
    return add(r, e, a) && add(r, e, b) ? e : NULL;
}

static Expr *product(Reader *r)
{
    Expr *e = factor(r);
    while (e) {
        if (tg_lex_accept(&r->lex, '*'))
            e = two(r, X_MUL, e, factor(r));
        else if (tg_lex_accept(&r->lex, '/'))
            e = tg_lex_expect(&r->lex, '/') ? two(r, X_DIV, e, factor(r)) : NULL;
        else
            break;
    }
    return e;
}

/* The current token is "-1" or "-a": takes the sign off. */
static bool take_minus(TgLex *lex)
{
    TgToken *t = &lex->token;
    if (t->kind == '-')
        return tg_lex_next(lex), true;
    if (t->kind != TG_TOK_NUMBER || t->text[0] != '-')
        return false;
    lex->at = t->start + 1;
    tg_lex_next(lex);
    return true;
}

Expr *read_expr(Reader *r)
{
    if (++r->depth > DEPTH) {
        r->depth--;
        tg_lex_fail(&r->lex, "less nesting");
        return NULL;
    }
    Expr *e = product(r);
    while (e) {
        if (tg_lex_accept(&r->lex, '+'))
            e = two(r, X_ADD, e, product(r));
        else if (take_minus(&r->lex))
            e = two(r, X_SUB, e, product(r));
        else
            break;
    }
    r->depth--;
    return e;
}
