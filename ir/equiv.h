/* Equivalence: do two models, or two values of one graph, compute the same? Two checks, which see different
 * things: a proof in a finite field (equal over the reals by the laws of arithmetic and exp, up to a chance
 * that is computed), and runs in float32 and float64 on ordinary and hostile inputs, where rounding shows as
 * differences that shrink by about 2^29 from one to the other and real differences do not. */
#ifndef TG_EQUIV_H
#define TG_EQUIV_H

#include "eval.h"

typedef enum { TG_EQUAL, TG_DIFFERENT, TG_UNDECIDED } TgVerdict;

typedef enum { TG_CHECK_BOTH, TG_CHECK_FIELD, TG_CHECK_FLOATS } TgCheckKind;

typedef struct {
    uint64_t seed;
    TgCheckKind check;
    uint32_t draws;   /* assignments of symbolic dims x input classes; 0: default */
    double max_flops; /* models of more work are compared in regions cut at common values; 0: default */
    /* What one run in a question may take; all questions together twice the operations. 0: see
     * tg_equiv_means. */
    uint64_t most_bytes, most_operations;
    uint32_t threads;
    bool rewrite; /* b is a rewrite of a, not another export: rows that masks hide and empty sizes count as well */
    double tolerance; /* relative errors of b in float32 up to this are not held against it; 0: 1e-3 */
} TgEquivOptions;

typedef struct {
    TgVerdict verdict;
    double worst64, worst32; /* largest relative difference seen, by precision */
    double amplification;    /* error of b over error of a, against float64 of a */
    uint32_t regions;        /* asked about */
    uint32_t checked;        /* evaluated */
    uint32_t reused;         /* equal on sight, or answered before */
    uint32_t draws;
    double work;     /* of the draws, estimated, in operations */
    uint32_t proved;  /* of the regions: in the finite field as well */
    uint32_t vouched; /* equal by floats alone */
    double bound;     /* log2 of the chance that one of those proved is a false "equal" there; 0: none was proved */
    TgName worst;     /* equal: "'y' element [0,3]: 1.25 against 1.5", the largest difference in float32, if any; */
    double apart;     /* and that element's own relative distance */
    TgName witness;  /* different: "'y' element [0,3]: 1.25 against 1.5, ... (seed 7, B=2)"; undecided: why */
    TgName where;    /* different: first value where they part, if found */
} TgEquivResult;

/* Sets those means as limits.def has them for the source `g`: they grow with its constants, so that no
 * small file can ask for large ones. */
void tg_equiv_means(const TgGraph *g, TgEquivOptions *options);
/* Inputs and outputs are matched by name, else by position. False: recorded trouble (not a verdict). */
bool tg_equiv(Tg *tg, TgModel *a, TgModel *b, const TgEquivOptions *options, TgEquivResult *result);

/* --- replacements within one graph, one by one as they are made (equiv_local.c) ------------------------- */

/* Remembers answers: what holds for any weights is asked once, whatever the number of layers. */
typedef struct TgChecker TgChecker;

/* An input of a region, and what stands there in the graph that it was cut out of: a value by its name, or
 * that of its node; a constant of any elements. */
typedef struct {
    TgName input, value;
} TgBinding;

typedef struct {
    TgVerdict verdict;
    TgName why;          /* different: the witness; undecided: the reason */
    bool proved, reused; /* equal in the finite field as well; answered before */
    double bound;        /* log2 of the chance that it is not */
    /* The region as text, where asked for or different; NULL: too large. With what its inputs are bound to. Of a
     * difference as long as the checker lives, else until its next question. */
    const char *before, *after;
    const TgBinding *binding; /* in the order of the inputs */
    uint32_t n_bindings;
} TgReplacement;

TgChecker *tg_checker_new(Tg *tg, const TgEquivOptions *options);
void tg_checker_free(TgChecker *c);                         /* may be NULL */
const TgEquivResult *tg_checker_result(const TgChecker *c); /* counts, the common bound */
/* May made[i] take the place of old[i], for all n of them together? They are values of g; nothing is
 * replaced yet. */
TgVerdict tg_check_replacement(TgChecker *c, TgGraph *g, uint32_t n, const TgValue *old, const TgValue *made,
                               bool text, TgReplacement *result);

/* Random inputs for a graph: sizes for its symbols from `seed`, values by element type, name and class. */
typedef enum {
    TG_IN_NORMAL,
    TG_IN_POSITIVE,
    TG_IN_SHIFTED /* mean 100 */,
    TG_IN_LARGE /* logits +-100 */,
    TG_IN_ZERO,
    TG_IN_TINY /* denormals */,
    TG_IN_TIES /* few different numbers; negative integers */,
    TG_IN_FAR /* up to some millions */,
    TG_IN_ODD /* some NaN among ordinary ones; no infinities: what is right behind a mask differs there */,
    TG_IN_HIDDEN /* ordinary; masks hide all of some rows */,
    TG_IN_CLASSES
} TgInputClass;
bool tg_random_inputs(Tg *tg, TgGraph *g, TgEvalMode mode, uint64_t seed, TgInputClass cls, TgArray *in);

#endif
