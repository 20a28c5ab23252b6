/* Private to rules/: one match under way, and the automaton that says where to try. */
#ifndef TG_MATCH_H
#define TG_MATCH_H

#include "book.h"

/* --- automaton.c ----------------------------------------------------------------------------------- */

#define CLASS_ABSENT UINT32_MAX /* no operand */
enum { CLASS_OTHER };           /* nothing that a rule looks into */

bool automaton_knows(const Automaton *a, TgOp op); /* some rule looks at such nodes */
/* What a node of `op` may be, given what its operands are: a class. */
uint32_t automaton_step(Automaton *a, TgOp op, uint32_t n, const uint32_t *operands);
uint32_t automaton_number(Automaton *a, TgDtype dtype, double x); /* the class of a constant */
const uint32_t *automaton_rules(const Automaton *a, uint32_t class,
                                uint32_t *n); /* that may start there, in order */
bool number_fits(const Term *t, TgDtype dtype, double x);

/* --- matches --------------------------------------------------------------------------------------- */

/* What a slot holds. */
typedef struct {
    bool set;
    TgValue value; /* 0: an optional operand that is absent */
    TgAttr attr;   /* number that came from an attribute */
    TgDim dim;     /* number that came from a type; NULL: it did not */
    uint32_t n;    /* tail */
    const TgValue *tail;
} Bound;

typedef struct {
    Tg *tg;
    TgGraph *g;
    TgTarget target; /* whose kernels a rule for targets asks for */
    const Rule *rule;
    Bound at[MAX_NAMES];
    /* why the attempt failed that came furthest; kept if `explains` */
    bool explains;
    uint32_t steps, best;
    TgName why;
    bool all_but_a_condition; /* why: everything else fitted (but for an operand that varies) */
} Match;

/* A number, a text or a list that an expression came to. */
typedef struct {
    TgAttrKind kind; /* TG_A_INT: i; TG_A_FLOAT: f; else the attribute */
    int64_t i;
    double f;
    TgAttr attr;
} Computed;

/* compute.c. False: it has no value here (a size that is not constant, a division by zero, an overflow). */
bool compute_expr(const Match *m, const Expr *e, Computed *out);
bool compute_int(const Match *m, const Expr *e, int64_t *out);
/* As attribute `name` of `op`: in the kind that ops.def says. */
bool compute_attr(const Match *m, const Expr *e, TgOp op, TgName name, TgAttr *out);
bool constant_number(const TgGraph *g, TgValue v,
                     double *x); /* all elements are x; looks at small ones only */
/* Constant integers as axes of a tensor, each once: the first of them, counted from the end, and how many there
 * are. */
bool constant_axes(const TgGraph *g, TgValue axes, const TgType *of, int64_t *first, uint32_t *n);

/* conds.c. `why` may be NULL. */
bool condition_holds(const Match *m, const Cond *c, TgName *why);

/* explain.c: "wants Erf, found Mul 'x'" */
TgName mismatch_text(const Match *m, const Term *t, TgValue v);

/* match.c: one rule at one node, without asking the automaton. False: not, m->why says why if it explains. */
bool match_at(Match *m, TgNode anchor);
/* What takes the place of output number i of the rule takes that of this value. */
static inline TgValue replaced_value(const Match *m, TgNode anchor, uint32_t i)
{
    uint16_t slot = m->rule->output[i];
    return slot == NO_SLOT ? tg_node(m->g, anchor)->out[0] : m->at[slot].value;
}
/* give.c. Any of its operators that the output lacks; TG_opaque: none. */
TgOp op_that_lacks(const Rule *rule, const TgModel *model, int64_t opset);
/* Any operator that the rule of the match, one for targets, gives and that m->target has no kernel for at the type
 * of what is replaced; TG_opaque: none. */
TgOp op_without_kernel(const Match *m, TgNode anchor);

struct TgMatcher {
    const TgBook *book;
    TgArena *arena;
    TgGraph *g;
    TgMatchOptions options;
    TG_VEC(uint32_t) class;         /* of nodes */
    TgMap numbers; /* constant -> class */
    bool *usable;  /* by rule */
    Match match;   /* the last one found */
};

#endif
