/* The parts of equivalence. Private to equiv*.c.
 *
 *   equiv.c          pairs inputs, outputs and uninterpreted operators; decides whole or in regions
 *   equiv_region.c   cuts large models at values that both have; finds regions equal or seen before
 *   equiv_problem.c  one question: do these two graphs compute the same? Runs and judges
 *   equiv_shrink.c   asks it at a smaller size where the model's own is fixed and large
 *   equiv_compare.c  compares the arrays of one output
 *   equiv_input.c    sizes for symbols, values for inputs
 */
#ifndef TG_EQUIV_PARTS_H
#define TG_EQUIV_PARTS_H

#include "equiv.h"

/* --- sizes and values (equiv_input.c) ------------------------------------------------------------------- */

typedef struct {
    TgDim symbol;
    int64_t n;
    bool only_mask; /* no input but masks has it */
} EquivSize;

typedef TG_VEC(EquivSize)
EquivSizes;

enum { EQUIV_ATTEMPTS = 24 }; /* ways to choose sizes */

/* A constant of which only the shape matters: made anew for every choice of sizes. */
typedef struct {
    TgGraph *g;
    TgValue v;
} EquivDummy;

typedef TG_VEC(EquivDummy)
EquivDummies;

/* Sizes for all symbols of the inputs of g and of dummies (NULL: none), in the `attempt`-th way. */
void equiv_sizes(TgArena *arena, const TgGraph *g, const EquivDummies *dummies, uint32_t attempt,
                 uint64_t seed, EquivSizes *sizes);
void equiv_dummies(TgArena *arena, const EquivDummies *dummies, const EquivSizes *sizes);
/* An array per input; integers of attempt 2 and on are smaller. False: recorded (a type that has no values).
 */
bool equiv_inputs(Tg *tg, TgGraph *g, const EquivSizes *sizes, TgEvalMode mode, uint32_t attempt,
                  uint64_t seed, TgInputClass cls, TgArray *in);

/* --- one output (equiv_compare.c) ----------------------------------------------------------------------- */

/* The same output four times: of each graph, in each precision. */
typedef struct {
    const TgArray *a32, *a64, *b32, *b64;
} EquivQuad;

typedef struct {
    double d32, d64;     /* relative differences of a and b */
    double err_a, err_b; /* of the float32 results against a64 */
    int64_t element;     /* the one that differs most, in float64 */
    const char *broken;  /* different for certain: why; NULL: see the numbers */
} EquivMeasure;

EquivMeasure equiv_measure(const EquivQuad *q);
double equiv_distance(const TgArray *a, const TgArray *b); /* relative, of two float64 results of one shape */

/* --- a question (equiv_problem.c) ----------------------------------------------------------------------- */

typedef struct {
    TgValue a, b; /* 0: that side does not have it */
} EquivPair;

typedef TG_VEC(EquivPair)
EquivPairs;

/* Two models whose inputs, and whose outputs, correspond one to one. */
typedef struct {
    TgModel *a, *b;
    EquivDummies dummies; /* in the arena of a */
} EquivProblem;

typedef struct {
    TgVerdict verdict;
    TgName why;   /* witness or reason */
    TgName where; /* different: the output */
} EquivOutcome;

/* What computes `targets` where the values `cuts` are given. With `trust_shapes`, inferred shapes are
 * believed where only the shape of a value is asked, so that nobody computes the value for it. */
EquivProblem equiv_problem(TgGraph *a, TgGraph *b, const EquivPairs *cuts, const EquivPairs *targets,
                           bool trust_shapes);
bool equiv_only_shape(const TgGraph *g, const TgNodeInfo *n, uint32_t slot); /* such an operand */
void equiv_problem_free(EquivProblem *p);
EquivOutcome equiv_solve(Tg *tg, EquivProblem *p, const TgEquivOptions *options, TgEquivResult *result);
double equiv_work(TgGraph *g); /* of one run at the small sizes chosen here, in operations */

/* Makes a long axis short where the question stays the same; false: not possible, nothing changed.
 * (equiv_shrink.c) */
bool equiv_shrink(EquivProblem *p);

/* --- regions (equiv_region.c) --------------------------------------------------------------------------- */

/* Paired values of two graphs: `given` are equal by definition, `wanted` should be. */
typedef struct {
    Tg *tg;
    TgGraph *a, *b;
    EquivPairs given, wanted;
    const TgEquivOptions *options;
    TgEquivResult *result;
    TgArena *arena;
} Equiv;

/* Removes from `wanted` what is computed in the same way on both sides. */
void equiv_drop_identical(Equiv *e);
EquivOutcome equiv_by_regions(Equiv *e);

#endif
