/* Private to rules/: what a rule file becomes.
 *
 * Terms are trees of a few dozen parts, bounded by the reader (DEPTH), so that functions over them may
 * recurse. Every name of a rule is a slot; a match fills the slots. */
#ifndef TG_BOOK_H
#define TG_BOOK_H

#include "rules.h"
#include "xml.h"

enum { DEPTH = 32, MAX_NAMES = 64, MAX_OPERANDS = 16, NO_SLOT = 0xffff };

/* --- expressions: attributes, sizes, operands of conditions ---------------------------------------- */

typedef enum { X_INT, X_FLOAT, X_STRING, X_NAME, X_LIST, X_ADD, X_SUB, X_MUL, X_DIV, X_CALL } ExprKind;

typedef enum {
#define FUNCTION(name, operands, doc) FN_##name,
#include "functions.def"
#undef FUNCTION
    FN_COUNT
} Function;

typedef struct Expr {
    ExprKind kind;
    Spot spot;
    int64_t i;
    double f;
    TgBytes s;
    uint16_t slot;     /* name */
    Function function; /* call */
    uint32_t n;
    struct Expr **at; /* operands, elements */
} Expr;

/* --- terms ----------------------------------------------------------------------------------------- */

typedef enum { SIZE_EXPR, SIZE_ANY, SIZE_REST, SIZE_FROM } SizeKind; /* D or 8; *; ...; dims(x, a) */

typedef struct {
    SizeKind kind;
    Expr *expr;
    uint16_t slot; /* dims(x, a): the value; expr is the axis */
} Size;

typedef struct {
    TgDtype dtype; /* TG_undefined: any */
    uint32_t n;
    Size at[8];
} TypeTerm;

typedef struct {
    TgName name;
    Expr *value;
} AttrTerm;

typedef enum {
    T_VAR,    /* x, x?, x:f32[B,*] */
    T_TAIL,   /* rest... */
    T_NUMBER, /* 0.5, 0.5~ */
    T_LIST,   /* {0, 2}: integers */
    T_ABSENT, /* _ */
    T_OP,     /* Softmax(x; axis=a), m:MatMul(x, W) */
    T_ANY_OF  /* one of several spellings */
} TermKind;

typedef struct Term {
    TermKind kind;
    Spot spot;
    uint16_t slot; /* of the name; NO_SLOT: none */
    bool optional; /* variable */
    bool loose;    /* number: as a 16-bit type rounds it, whatever the type */
    double number;
    Expr *list;
    TypeTerm *type; /* of a variable in <match>, of a number in <give>; NULL: any, that of its neighbour */
    TgOp op;
    uint32_t n_attrs;
    AttrTerm *attrs;
    uint32_t n;
    struct Term **at; /* operands, alternatives */
    uint32_t id;      /* operators and numbers of <match>: bit in the automaton's states */
    uint32_t choice;  /* alternatives and commutative operators: its number within the rule */
} Term;

/* names = term */
typedef struct {
    Spot spot;
    uint32_t n;
    uint16_t slot[TG_RULE_OUTPUTS]; /* NO_SLOT: "_", or a line without names */
    Term *term;
    bool named;
} Line;

typedef struct {
    uint32_t n;
    Line at[TG_RULE_OUTPUTS];
} Lines;

/* --- rules ----------------------------------------------------------------------------------------- */

typedef enum { NAME_VALUE, NAME_TAIL, NAME_NUMBER } NameKind; /* number: attribute or size */

typedef struct {
    TgName name;
    NameKind kind;
    Spot spot;
    bool bound;    /* by <match>, or by a line of <give> */
    bool local;    /* a line of <give> that is no output */
    uint32_t uses; /* in <when> and <give>, and beyond the first in <match> */
} Name;

typedef enum {
#define COND(name, operands, doc) COND_##name,
#include "conds.def"
#undef COND
    COND_COUNT
} CondId;

typedef struct {
    CondId id;
    Spot spot;
    bool negated;
    TgName text; /* as written */
    uint32_t n;
    struct {
        uint16_t slot; /* v */
        Expr *expr;    /* i, f */
        TgDtype dtype; /* t */
    } at[4];
} Cond;

typedef enum {
#define MEASURE(name, doc) MEASURE_##name,
#include "measures.def"
#undef MEASURE
    MEASURE_COUNT
} Measure;

typedef struct {
    TgRuleInfo info;
    Measure measure;
    uint32_t n_names, n_outputs, n_choices;
    Name names[MAX_NAMES];
    Lines match, give;
    uint32_t anchor;                  /* the line of <match> where matching starts */
    uint16_t output[TG_RULE_OUTPUTS]; /* slots; a rule of one nameless line: output[0] = NO_SLOT */
    TG_VEC(Cond) when;
    TG_VEC(const XmlElement *) examples; /* <try>, <refuse>; attributes: names of <match>, opset, returned, why */
    uint32_t dropped; /* a condition that is left out, for proofs; UINT32_MAX: none */
} Rule;

typedef struct Automaton Automaton;

struct TgBook {
    Tg *tg;
    TgArena *arena;
    TG_VEC(Rule *) rules;
    TgMap by_name;        /* name -> rule */
    uint32_t n_checked;   /* rules that do not forestall one another: those of tgopt itself */
    Automaton *automaton; /* of a closed book */
};

#define SPOT(token) ((Spot){(token)->line, (token)->column})

/* A reader of one piece of a rule: terms, conditions, settings. */
typedef struct {
    TgLex lex;
    TgBook *book;
    Rule *rule;
    TgName file;
    bool giving; /* names must be bound */
    int depth;
} Reader;

void reader_begin(Reader *r, TgBook *book, Rule *rule, TgName file, const Span *source);
bool place_error(TgBook *book, TgName file, Spot spot); /* makes it the current place; always false */

/* term.c */
bool read_lines(Reader *r, Lines *lines);
bool read_conditions(Reader *r);
/* expr.c */
Expr *read_expr(Reader *r);
uint16_t read_name(Reader *r, NameKind kind, bool binds); /* the current token; NO_SLOT: refused, recorded */
/* compute.c: the letters of an attribute's kind in ops.def, n of them; none: the operator has no such attribute */
const char *attr_letters(TgOp op, TgName name, size_t *n);
/* book.c */
static inline bool is_refusal(const XmlElement *example)
{
    return example->name[0] == 'r';
}
/* Adds n documents that were read and checked when tgopt was built: what is sure of them is not looked at again. */
bool book_add_checked(TgBook *book, const XmlDoc *docs, uint32_t n);
/* lint.c */
bool lint_rule(TgBook *book, Rule *rule);
bool lint_book(TgBook *book);
/* automaton.c */
Automaton *automaton_new(TgBook *book);

static inline bool is_commutative(const Term *t)
{
    return t->kind == T_OP && t->n == 2 && tg_op_has(t->op, TG_T_COMMUTATIVE) && t->at[1]->kind != T_TAIL;
}

#endif
