/* Reads terms and conditions. They are cut into tokens by the lexer of the text form, at their place in the
 * XML file.
 *
 *   lines  = { [ name { "," name } "=" ] terms }
 *   terms  = term { "|" term }                                     one of several spellings
 *   term   = name [ "?" ] [ ":" type ]                             a value; "?": may be absent
 *          | name "..."                                            all operands that remain
 *          | [ name ":" ] operator "(" [ terms { "," terms } ] [ ";" name "=" expression { "," ... } ] ")"
 *          | NUMBER [ "~" ] [ ":" type ] | "{" integers "}" | "_" | "(" terms ")"
 *   type   = ( DTYPE | "?" ) "[" [ size { "," size } ] "]"         an expression, "*"; first "..."; dims(x, a)
 */
#include <string.h>

#include "book.h"

static Term *terms(Reader *r);

/* --- places ---------------------------------------------------------------------------------------- */

bool place_error(TgBook *book, TgName file, Spot spot)
{
    *tg_place(book->tg) = (TgPlace){.file = file, .line = spot.line, .column = spot.column};
    return false;
}

void reader_begin(Reader *r, TgBook *book, Rule *rule, TgName file, const Span *source)
{
    *r = (Reader){.book = book, .rule = rule, .file = file};
    tg_lex_begin(&r->lex, book->arena, file, source->at, 0);
    r->lex.end = source->at + source->n;
    r->lex.line = source->spot.line;
    r->lex.line_start = source->at - (source->spot.column - 1);
    tg_lex_next(&r->lex);
}

static bool bad_at(Reader *r, Spot spot, const char *what)
{
    place_error(r->book, r->file, spot);
    return tg_report(r->book->tg, TG_E_rule_form, what);
}

static Term *new_term(Reader *r, TermKind kind)
{
    Term *t = TG_NEW(r->book->arena, Term);
    t->kind = kind;
    t->spot = SPOT(&r->lex.token);
    t->slot = NO_SLOT;
    t->id = UINT32_MAX;
    return t;
}

static bool add(Reader *r, Term *to, Term *t)
{
    if (!t)
        return false;
    if (to->n == MAX_OPERANDS)
        return bad_at(r, t->spot, "more than 16 operands or spellings");
    if (!to->at)
        to->at = TG_NEW_N(r->book->arena, Term *, MAX_OPERANDS);
    to->at[to->n++] = t;
    return true;
}

/* --- types ----------------------------------------------------------------------------------------- */

/* In <give>, dims(x, a): the sizes of x from axis a on. */
static bool sizes_from(Reader *r, Size *s)
{
    TgLex *lex = &r->lex;
    *s = (Size){.kind = SIZE_FROM};
    tg_lex_next(lex);
    if (!tg_lex_expect(lex, '(') || lex->token.kind != TG_TOK_IDENT)
        return tg_lex_fail(lex, "the name of a value");
    s->slot = read_name(r, NAME_VALUE, false);
    tg_lex_next(lex);
    return s->slot != NO_SLOT && tg_lex_expect(lex, ',') && (s->expr = read_expr(r)) &&
           tg_lex_expect(lex, ')');
}

static bool size(Reader *r, Size *s)
{
    TgLex *lex = &r->lex;
    if (r->giving && tg_lex_is_word(lex, "dims"))
        return sizes_from(r, s);
    if (tg_lex_accept(lex, '*'))
        return *s = (Size){.kind = SIZE_ANY}, true;
    if (lex->token.kind == '.') {
        *s = (Size){.kind = SIZE_REST};
        return tg_lex_expect(lex, '.') && tg_lex_expect(lex, '.') && tg_lex_expect(lex, '.');
    }
    *s = (Size){.kind = SIZE_EXPR, .expr = read_expr(r)};
    return s->expr != NULL;
}

static TypeTerm *type(Reader *r)
{
    TgLex *lex = &r->lex;
    TypeTerm *t = TG_NEW(r->book->arena, TypeTerm);
    if (!tg_lex_accept(lex, '?')) {
        t->dtype =
            lex->token.kind == TG_TOK_IDENT ? tg_dtype_find(lex->token.text, lex->token.n) : TG_undefined;
        if (!t->dtype)
            return tg_lex_fail(lex, "an element type or '?'"), NULL;
        tg_lex_next(lex);
    }
    if (!tg_lex_expect(lex, '['))
        return NULL;
    while (lex->token.kind != ']') {
        if (t->n == 8)
            return tg_lex_fail(lex, "at most 8 sizes"), NULL;
        if (!size(r, &t->at[t->n++]))
            return NULL;
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ']')
            return tg_lex_fail(lex, "',' or ']'"), NULL;
    }
    return tg_lex_expect(lex, ']') ? t : NULL;
}

/* --- operators ------------------------------------------------------------------------------------- */

static bool attribute(Reader *r, Term *t)
{
    TgLex *lex = &r->lex;
    AttrTerm a = {.name = tg_lex_name(lex)};
    size_t n;
    if (lex->token.kind == TG_TOK_IDENT && !*attr_letters(t->op, a.name, &n)) {
        place_error(r->book, r->file, SPOT(&lex->token));
        tg_report(r->book->tg, TG_E_rule_unknown, "attribute", a.name, tg_op_info(t->op)->name);
    }
    if (!tg_lex_expect(lex, TG_TOK_IDENT) || !tg_lex_expect(lex, '=') || !(a.value = read_expr(r)))
        return false;
    if (t->n_attrs == MAX_OPERANDS)
        return bad_at(r, t->spot, "more than 16 attributes");
    if (!t->attrs)
        t->attrs = TG_NEW_N(r->book->arena, AttrTerm, MAX_OPERANDS);
    t->attrs[t->n_attrs++] = a;
    return true;
}

/* The operator was taken; the current token is '('. */
static bool call(Reader *r, Term *t)
{
    TgLex *lex = &r->lex;
    tg_lex_next(lex);
    while (lex->token.kind != ')' && lex->token.kind != ';') {
        if (!add(r, t, terms(r)))
            return false;
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ')' && lex->token.kind != ';')
            return tg_lex_fail(lex, "',', ';' or ')'");
    }
    if (tg_lex_accept(lex, ';'))
        do
            if (!attribute(r, t))
                return false;
        while (tg_lex_accept(lex, ','));
    return tg_lex_expect(lex, ')');
}

static void check_arity(Reader *r, const Term *t)
{
    const TgOpInfo *op = tg_op_info(t->op);
    bool tail = t->n && t->at[t->n - 1]->kind == T_TAIL;
    if (t->n - tail <= op->in_max && (tail || t->n >= op->in_min))
        return;
    place_error(r->book, r->file, t->spot);
    tg_report(r->book->tg, TG_E_rule_arity, op->name, (unsigned)op->in_min, (unsigned)op->in_max, "operands",
              t->n);
}

static Term *operation(Reader *r)
{
    TgLex *lex = &r->lex;
    Term *t = new_term(r, T_OP);
    t->op = tg_op_from_text(lex->tg, lex->token.text, lex->token.n);
    if (t->op == TG_opaque) {
        place_error(r->book, r->file, t->spot);
        tg_report(r->book->tg, TG_E_rule_unknown, "operator", tg_lex_name(lex), "ir/ops.def lists them");
        t->op = TG_Identity; /* go on: there may be more to say */
    }
    bool known = t->op != TG_Identity || tg_lex_is_word(lex, "Identity");
    tg_lex_next(lex);
    if (!call(r, t))
        return NULL;
    if (known)
        check_arity(r, t);
    if (!r->giving && is_commutative(t))
        t->choice = r->rule->n_choices++;
    return t;
}

/* --- other terms ----------------------------------------------------------------------------------- */

static Term *number(Reader *r)
{
    TgLex *lex = &r->lex;
    Term *t = new_term(r, T_NUMBER);
    if (!tg_lex_float(lex, false, &t->number))
        return NULL;
    t->loose = tg_lex_accept(lex, '~');
    if (r->giving && tg_lex_accept(lex, ':') && !(t->type = type(r)))
        return NULL;
    return t;
}

static bool ends_with_dots(const TgToken *t)
{
    return t->n > 3 && memcmp(t->text + t->n - 3, "...", 3) == 0;
}

/* x, x?, x:f32[B,*], rest... */
static Term *variable(Reader *r)
{
    TgLex *lex = &r->lex;
    bool tail = ends_with_dots(&lex->token);
    Term *t = new_term(r, tail ? T_TAIL : T_VAR);
    t->slot = read_name(r, tail ? NAME_TAIL : NAME_VALUE, !r->giving);
    tg_lex_next(lex);
    t->optional = !tail && tg_lex_accept(lex, '?');
    if (!tail && !r->giving && tg_lex_accept(lex, ':') && !(t->type = type(r)))
        return NULL;
    return t;
}

/* m:MatMul(x, W); in <give>, m=... is a line of its own. */
static Term *named_operation(Reader *r)
{
    uint16_t slot = read_name(r, NAME_VALUE, !r->giving);
    tg_lex_next(&r->lex);
    tg_lex_next(&r->lex);
    Term *t = operation(r);
    if (t)
        t->slot = slot;
    return t;
}

static Term *word(Reader *r)
{
    TgLex first = r->lex, second, third;
    tg_lex_next(&first);
    if (first.token.kind == '(')
        return operation(r);
    second = first;
    tg_lex_next(&second);
    third = second;
    tg_lex_next(&third);
    if (first.token.kind == ':' && second.token.kind == TG_TOK_IDENT && third.token.kind == '(')
        return named_operation(r);
    return variable(r);
}

static Term *term(Reader *r)
{
    TgLex *lex = &r->lex;
    if (lex->token.kind == TG_TOK_NUMBER || tg_lex_is_float(&lex->token))
        return number(r);
    if (tg_lex_is_word(lex, "_")) {
        Term *t = new_term(r, T_ABSENT);
        return tg_lex_next(lex), t;
    }
    if (lex->token.kind == '{') {
        Term *t = new_term(r, T_LIST);
        return (t->list = read_expr(r)) ? t : NULL;
    }
    if (lex->token.kind == TG_TOK_IDENT)
        return word(r);
    if (tg_lex_accept(lex, '(')) {
        Term *t = terms(r);
        return t && tg_lex_expect(lex, ')') ? t : NULL;
    }
    tg_lex_fail(lex, "a term");
    return NULL;
}

static Term *spellings(Reader *r)
{
    Spot first = SPOT(&r->lex.token);
    Term *t = term(r);
    if (!t || r->lex.token.kind != '|')
        return t;
    if (r->giving)
        return bad_at(r, first, "<give> has one spelling"), NULL;
    Term *any = new_term(r, T_ANY_OF);
    any->spot = first;
    any->choice = r->rule->n_choices++;
    for (bool more = add(r, any, t); more;) {
        if (!tg_lex_accept(&r->lex, '|'))
            return any;
        more = add(r, any, term(r));
    }
    return NULL;
}

static Term *terms(Reader *r)
{
    Term *t = NULL;
    if (++r->depth > DEPTH)
        tg_lex_fail(&r->lex, "less nesting");
    else
        t = spellings(r);
    r->depth--;
    return t;
}

/* --- lines ----------------------------------------------------------------------------------------- */

/* Looks for `names =` in front of a term. */
static bool has_names(const TgLex *lex)
{
    TgLex look = *lex;
    for (;; tg_lex_next(&look)) {
        if (look.token.kind != TG_TOK_IDENT)
            return false;
        tg_lex_next(&look);
        if (look.token.kind != ',')
            return look.token.kind == '=';
    }
}

static bool line_names(Reader *r, Line *line)
{
    do {
        if (line->n == TG_RULE_OUTPUTS)
            return tg_lex_fail(&r->lex, "at most 8 names");
        bool none = tg_lex_is_word(&r->lex, "_");
        line->slot[line->n++] = none ? NO_SLOT : read_name(r, NAME_VALUE, true);
        tg_lex_next(&r->lex);
    } while (tg_lex_accept(&r->lex, ','));
    line->named = true;
    return tg_lex_expect(&r->lex, '=');
}

static bool read_line(Reader *r, Line *line)
{
    *line = (Line){.spot = SPOT(&r->lex.token), .slot = {NO_SLOT}};
    if (has_names(&r->lex)) {
        if (!line_names(r, line))
            return false;
    } else {
        line->n = 1;
    }
    return (line->term = terms(r)) != NULL;
}

bool read_lines(Reader *r, Lines *lines)
{
    while (r->lex.token.kind != TG_TOK_END) {
        if (lines->n == TG_RULE_OUTPUTS)
            return tg_lex_fail(&r->lex, "at most 8 lines");
        if (!read_line(r, &lines->at[lines->n]))
            return false;
        lines->n++;
    }
    return lines->n > 0 || tg_lex_fail(&r->lex, "a term");
}

/* --- conditions ------------------------------------------------------------------------------------ */

static const TgRuleWord conditions[] = {
#define COND(name, operands, doc) {#name, operands, doc},
#include "conds.def"
#undef COND
};

const TgRuleWord *tg_rule_conditions(uint32_t *n)
{
    *n = COND_COUNT;
    return conditions;
}

static bool operand(Reader *r, Cond *c, char kind)
{
    TgLex *lex = &r->lex;
    c->at[c->n].slot = NO_SLOT;
    if (kind == 't') {
        c->at[c->n].dtype =
            lex->token.kind == TG_TOK_IDENT ? tg_dtype_find(lex->token.text, lex->token.n) : TG_undefined;
        if (!c->at[c->n++].dtype)
            return tg_lex_fail(lex, "an element type");
        return tg_lex_next(lex), true;
    }
    if (kind != 'v')
        return (c->at[c->n++].expr = read_expr(r)) != NULL;
    if (lex->token.kind != TG_TOK_IDENT)
        return tg_lex_fail(lex, "the name of a value");
    c->at[c->n++].slot = read_name(r, NAME_VALUE, false);
    return tg_lex_next(lex), true;
}

static bool condition_operands(Reader *r, Cond *c)
{
    TgLex *lex = &r->lex;
    const char *kinds = conditions[c->id].operands;
    if (!tg_lex_expect(lex, '('))
        return false;
    for (const char *kind = kinds; *kind; kind++) {
        if (kind > kinds && !tg_lex_accept(lex, ',')) {
            place_error(r->book, r->file, c->spot);
            unsigned wanted = (unsigned)strlen(kinds);
            return tg_report(r->book->tg, TG_E_rule_arity, conditions[c->id].name, wanted, wanted, "operands",
                             c->n);
        }
        if (!operand(r, c, *kind))
            return false;
    }
    return tg_lex_expect(lex, ')');
}

static bool condition(Reader *r)
{
    TgLex *lex = &r->lex;
    Cond c = {.spot = SPOT(&lex->token)};
    const char *start = lex->token.start;
    if (tg_lex_is_word(lex, "not")) {
        c.negated = true;
        tg_lex_next(lex);
    }
    if (lex->token.kind != TG_TOK_IDENT)
        return tg_lex_fail(lex, "a condition");
    TgName name = tg_lex_name(lex);
    while (c.id < COND_COUNT && strcmp(conditions[c.id].name, name) != 0)
        c.id++;
    if (c.id == COND_COUNT) {
        place_error(r->book, r->file, SPOT(&lex->token));
        return tg_report(r->book->tg, TG_E_rule_unknown, "condition", name, "rules/conds.def lists them");
    }
    tg_lex_next(lex);
    if (!condition_operands(r, &c))
        return false;
    size_t n = (size_t)(lex->token.start - start);
    while (n && strchr(" \t\r\n", start[n - 1]))
        n--;
    c.text = tg_name_n(r->book->tg, start, n);
    TG_PUSH(r->book->arena, &r->rule->when, c);
    return true;
}

bool read_conditions(Reader *r)
{
    r->giving = true;
    while (r->lex.token.kind != TG_TOK_END)
        if (!condition(r))
            return false;
    return true;
}
