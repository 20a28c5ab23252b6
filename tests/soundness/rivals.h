/* How others decide whether two graphs are equal, rebuilt from their published sources to be asked about
 * the same pairs.
 *
 * Mirage and TASO evaluate both graphs once, in an arithmetic of their own, and compare the results:
 * rival_graph.c evaluates a graph over any Arithmetic, rival_arithmetic.c has these two. They are given the
 * benefit of the doubt: each may use every operator that its arithmetic can express, and constants have
 * their exact images where there are any.
 */
#ifndef RIVALS_H
#define RIVALS_H

#include "ir/ir.h"

typedef uint64_t Number; /* an element; what its bits mean is for the arithmetic to say */

typedef enum { F_EXP, F_SQRT, F_RELU, F_SILU, F_GELU, F_CLAMP } Function;

typedef struct {
    Number (*input)(uint64_t tensor, int64_t i); /* element i of an input, or of a weight drawn at random */
    bool (*constant)(double x, Number *y);
    Number (*add)(Number a, Number b), (*mul)(Number a, Number b);
    bool (*div)(Number a, Number b, Number *y);
    bool (*apply)(Function f, Number x, Number *y);
} Arithmetic; /* those that give bool: false where it cannot be expressed */

extern const Arithmetic mirage, taso;

enum { RIVAL_RANK = 8 };

typedef struct {
    int32_t rank;
    int64_t dim[RIVAL_RANK], count;
    Number *at; /* NULL: not computed */
} Grid;

/* Sizes of symbols: the same in both graphs of a pair. */
typedef struct {
    uint32_t n;
    TgDim symbol[16];
} RivalSizes;

/* Evaluates g, which is changed: operators that the arithmetic lacks become their definitions. out: one per
 * output of g. False: it cannot be expressed. */
bool rival_run(Tg *tg, TgGraph *g, const Arithmetic *how, RivalSizes *sizes, Grid *out);

#endif
