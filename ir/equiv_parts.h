/* The parts of equivalence. Private to equiv*.c.
 *
 *   equiv.c          pairs inputs, outputs and uninterpreted operators; decides whole or in regions
 *   equiv_region.c   cuts large models at values that both have; finds regions equal or seen before
 *   equiv_local.c    cuts a region around one replacement within a graph
 *   equiv_extract.c  makes the two graphs of a question
 *   equiv_general.c  its general form: any weights, small sizes (with equiv_relate.c, equiv_runs.c, equiv_halves.c)
 *   equiv_answer.c   asks first in general, then as it stands; remembers answers
 *   equiv_solve.c    one question: sizes, draws, and what follows from both checks
 *   equiv_proof.c    the check in the finite field
 *   equiv_cut.c      cuts it where exponents are lost
 *   equiv_floats.c   the check in two precisions
 *   equiv_compare.c  compares the arrays of one output
 *   equiv_input.c    sizes for symbols, values for inputs
 */
#ifndef TG_EQUIV_PARTS_H
#define TG_EQUIV_PARTS_H

#include <string.h>

#include "equiv.h"

/* --- sizes and values (equiv_input.c) ------------------------------------------------------------------- */

typedef struct {
    TgDim symbol;
    int64_t n;
    bool only_mask; /* no input but masks has it */
} EquivSize;

typedef TG_VEC(EquivSize) EquivSizes;

enum { EQUIV_ATTEMPTS = 24 }; /* ways to choose sizes */

/* A constant of which only the shape matters: made anew for every choice of sizes. */
typedef struct {
    TgGraph *g;
    TgValue v;
} EquivDummy;

typedef TG_VEC(EquivDummy) EquivDummies;

/* Sizes for all symbols of the inputs of g and of dummies (NULL: none), in the `attempt`-th way. */
void equiv_sizes(TgArena *arena, const TgGraph *g, const EquivDummies *dummies, uint32_t attempt,
                 uint64_t seed, EquivSizes *sizes);
void equiv_dummies(TgArena *arena, const EquivDummies *dummies, const EquivSizes *sizes);
/* Names that nameless inputs get in texts: what is drawn for them must not depend on whether they have one, or a
 * certificate would be checked with other numbers. */
#define EQUIV_MADE_NAME "any "
static inline bool equiv_is_made_name(const char *name)
{
    return strncmp(name, EQUIV_MADE_NAME, sizeof EQUIV_MADE_NAME - 1) == 0;
}

/* An array per input; integers of attempt 2 and on are smaller. False: recorded (a type that has no values).
 */
bool equiv_inputs(Tg *tg, TgGraph *g, const EquivSizes *sizes, TgEvalMode mode, uint32_t attempt,
                  uint64_t seed, TgInputClass cls, TgArray *in);

/* What to call input `index` that stands for t: NULL, or a name that makes equiv_inputs draw a mask for
 * it, where t has infinities or numbers that stand for them. */
TgName equiv_mask_name(Tg *tg, const TgTensor *t, uint32_t index);
bool equiv_is_large_mask(TgName input); /* such a name, of numbers that stand for infinities */

/* --- one output (equiv_compare.c) ----------------------------------------------------------------------- */

/* The same output four times: of each graph, in each precision. */
typedef struct {
    const TgArray *a32, *a64, *b32, *b64;
    bool odd_inputs; /* some are NaN: b may turn one into a number, not the other way round */
} EquivQuad;

typedef struct {
    double d32, d64;     /* relative differences of a and b */
    double err_a, err_b; /* of the float32 results against a64 */
    int64_t element;     /* the one that differs most, in float64 */
    int64_t element32;   /* in float32 */
    const char *broken;  /* different for certain: why; NULL: see the numbers */
} EquivMeasure;

EquivMeasure equiv_measure(const EquivQuad *q);
double equiv_distance(const TgArray *a, const TgArray *b); /* relative, of two float64 results of one shape */

/* --- the two graphs of a question (equiv_extract.c) ----------------------------------------------------- */

typedef struct {
    TgValue a, b; /* 0: that side does not have it */
} EquivPair;

typedef TG_VEC(EquivPair) EquivPairs;

/* Two models whose inputs, and whose outputs, correspond one to one. */
typedef struct {
    TgModel *a, *b;
    EquivDummies dummies; /* in the arena of a */
    TG_VEC(const TgTensor *)
    freed; /* constants that became the last inputs, one after the other; in the arena of a */
} EquivProblem;

/* Which tensors are the same: tied weights may be stored twice. */
typedef struct {
    Tg *tg;
    TgMap first, by_hash; /* tensor -> the first one with its type and bytes */
    TgMap by_place;       /* bytes -> the first tensor there: others are reshapes of it */
    size_t budget;        /* bytes that may still be read to find out */
} EquivTensors;

void equiv_tensors_init(EquivTensors *same, Tg *tg, TgArena *arena, size_t budget);
const TgTensor *equiv_first(EquivTensors *same, const TgTensor *t); /* t itself: no other one is known */
/* The first one over its bytes, of any shape. */
const TgTensor *equiv_unshaped(EquivTensors *same, const TgTensor *t);

/* Where one of the graphs comes from: nodes in order, and room to note what each value became. */
typedef struct {
    TgGraph *g;
    const TgNode *order;
    uint32_t n;
    TgValue *value; /* by value of g; zeros */
    bool exact;     /* all of the nodes are needed */
} EquivSource;

/* What computes `targets` where the values `cuts` are given. With `trust_shapes`, inferred shapes are
 * believed where only the shape of a value is asked, so that nobody computes the value for it. */
EquivProblem equiv_problem(EquivTensors *same, const EquivSource *a, const EquivSource *b,
                           const EquivPairs *cuts, const EquivPairs *targets, bool trust_shapes);
EquivProblem equiv_problem_of(EquivTensors *same, TgGraph *a, TgGraph *b, const EquivPairs *cuts,
                              const EquivPairs *targets, bool trust_shapes); /* of whole graphs */
bool equiv_only_shape(const TgGraph *g, const TgNodeInfo *n, uint32_t slot); /* such an operand */
/* So that the graphs can be printed: any value of that shape. */
void equiv_dummies_to_inputs(EquivProblem *p);
void equiv_problem_free(EquivProblem *p);
double equiv_work(TgGraph *g); /* of one run at the small sizes chosen here, in operations */

/* --- its general form (equiv_general.c) ----------------------------------------------------------------- */

typedef enum {
    EQUIV_GENERAL, /* holds for any weights, and sizes are small now */
    EQUIV_SPOILED  /* sizes could not be made small: make the problem anew */
} EquivGeneral;

/* Which constants are free. */
typedef enum {
    EQUIV_ANY_TABLES,   /* all but those of a few elements */
    EQUIV_ANY_HALVES,   /* the same, but tables whose halves are equal keep equal halves */
    EQUIV_TRUE_TABLES,  /* the large ones */
    EQUIV_TRUE_WEIGHTS, /* none: only sizes are made small */
    EQUIV_FORMS,
    EQUIV_ON_SIGHT = EQUIV_FORMS + 1 /* no answer was needed: both graphs are one */
} EquivForm;

EquivGeneral equiv_generalize(EquivProblem *p, EquivForm form);

/* --- answering it --------------------------------------------------------------------------------------- */

typedef struct {
    TgVerdict verdict;
    TgName why;   /* witness or reason */
    TgName where; /* different: the output */
    bool proved;  /* equal: in the finite field as well */
    double bound; /* of a false "equal" there: log2 of the chance */
    int form;     /* the EquivForm that answered; EQUIV_FORMS: the question as it stands; EQUIV_ON_SIGHT */
} EquivOutcome;

/* One question under way (equiv_solve.c). */
typedef struct {
    Tg *tg;
    EquivProblem *p;
    const TgEquivOptions *options;
    TgEquivResult *result;
    EquivSizes sizes;
    uint32_t attempt; /* way of choosing sizes */
    uint32_t empty;   /* which of them, from 1, becomes zero; 0: none. A draw counts only if a has results then */
    TgInputClass cls;
    TgArena *arena;
    TgEvaluator *evaluator;
    TgField *field;
    struct EquivCuts *cuts; /* in the field; NULL: none are made */
    void (*watch)(void *user, const TgGraph *g, TgValue v, TgArray *value); /* of runs without cuts, or NULL */
    void *user;
    size_t allowance; /* of memory, for tg_allow */
    TgName reason;    /* why the last run failed */
    bool unsupported; /* namely because nobody can run some operator, or because of a limit, */
    bool exhausted;   /* which other sizes would meet as well */
    bool no_excuse;   /* nothing was computed in advance: other constants are a difference */
} EquivSolve;

EquivOutcome equiv_solve(Tg *tg, EquivProblem *p, const TgEquivOptions *options, TgEquivResult *result);
/* Have the questions so far taken what all together may? Then *o says so. */
bool equiv_is_spent(Tg *tg, const TgEquivOptions *options, const TgEquivResult *result, EquivOutcome *o);
/* Sizes for s->attempt; undone by the next call. */
void equiv_choose_sizes(EquivSolve *s);
bool equiv_make_inputs(EquivSolve *s, TgEvalMode mode, uint64_t seed, TgArray **in);
bool equiv_evaluate(EquivSolve *s, TgGraph *g, TgEvalMode mode, const TgArray *in, TgArray **out);
void equiv_drop(EquivSolve *s, TgArray *arrays, uint32_t n); /* arrays may be NULL */
/* "'y' element [0,3]: 1.25 against 1.5" of results in that mode; where there are no such numbers, "'y'" and false. */
bool equiv_element_text(const EquivSolve *s, TgText *text, TgEvalMode mode, uint32_t output, const TgArray *a,
                        const TgArray *b, int64_t element);
EquivOutcome equiv_differs(EquivSolve *s, uint32_t output, const TgArray *a, const TgArray *b,
                           int64_t element, const char *why);
EquivOutcome equiv_only_second_fails(EquivSolve *s);

/* Cuts of one point of the finite field (equiv_cut.c). A round evaluates the first graph, then the second. */
typedef struct {
    TgDegree degree;
    bool cut, met; /* the first graph is cut here; so is the second */
} EquivCutValue;

typedef struct EquivCuts {
    TgArena *arena;
    TgMap common; /* fingerprints of values at which both graphs are cut */
    TgMap first;  /* of values of the first graph in this round -> index into seen */
    TG_VEC(EquivCutValue)
    seen;
    TG_VEC(uint64_t)
    found;         /* values of both: cuts from the next round on */
    bool second;   /* it is the second graph that runs */
    bool alone;    /* it was cut where the first one was not */
    double chance; /* log2, that one of the cuts is equal by luck */
} EquivCuts;

void equiv_cuts_init(EquivCuts *cuts, TgArena *arena);
void equiv_cuts_begin(EquivCuts *cuts);      /* a round */
bool equiv_cuts_hold(const EquivCuts *cuts); /* after it: were both graphs cut at the same values? */
bool equiv_cuts_deepen(EquivCuts *cuts);     /* after it: are there new cuts for another one? */
/* For TgEvalOptions.watch; `user`: the cuts. */
void equiv_cuts_watch(void *user, const TgGraph *g, TgValue v, TgArray *value);
/* log2 of the chance that values of these degrees agree at a point although they differ. Terms count only where
 * there are exponentials. */
double equiv_chance(TgDegree a, TgDegree b, bool exponentials);
double equiv_log2_sum(double a, double b);

/* In the finite field (equiv_proof.c): equal with a bound, different, or not decided. */
EquivOutcome equiv_prove(EquivSolve *s);
/* One draw in two precisions (equiv_floats.c). *excused: equal only if the constants of b are rounded
 * ones. */
EquivOutcome equiv_draw_floats(EquivSolve *s, bool *excused);

/* Questions asked so far (equiv_answer.c). */
typedef struct {
    Tg *tg;
    TgArena *arena;
    const TgEquivOptions *options;
    TgEquivResult *result;
    TgMap solved; /* hash of a question -> EquivOutcome */
} EquivMemo;

void equiv_memo_init(EquivMemo *m, Tg *tg, TgArena *arena, const TgEquivOptions *options,
                     TgEquivResult *result);
uint64_t equiv_question(const EquivProblem *p, int side); /* hash of one graph, names aside */
bool equiv_same_structure(const EquivProblem *p);         /* but for what constants hold */
void equiv_note(TgEquivResult *r, const EquivOutcome *o); /* adds its bound to that of the result */
/* `make` makes the problem, anew each time. A difference in general is final unless `thorough`; with constants of the
 * model the question is asked only if that takes at most `most_work` operations, in general if it takes few times
 * that (0: no limit). */
EquivOutcome equiv_answer(EquivMemo *m, EquivProblem (*make)(void *user), void *user, bool thorough,
                          double most_work);

/* --- regions (equiv_region.c) --------------------------------------------------------------------------- */

/* Paired values of two graphs: `given` are equal by definition, `wanted` should be. */
typedef struct {
    Tg *tg;
    TgGraph *a, *b;
    EquivPairs given, wanted;
    const TgEquivOptions *options;
    TgEquivResult *result;
    TgArena *arena;
    EquivTensors same;
} Equiv;

/* The same operator with the same attributes and bodies. */
bool equiv_same_node(Equiv *e, const TgNodeInfo *x, const TgNodeInfo *y);
/* Removes from `wanted` what is computed in the same way on both sides. */
void equiv_drop_identical(Equiv *e);
EquivOutcome equiv_by_regions(Equiv *e);

#endif
