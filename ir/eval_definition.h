/* Definitions of composite operators as the evaluator runs them; private to eval.c and eval_definition.c. */
#ifndef TG_EVAL_DEFINITION_H
#define TG_EVAL_DEFINITION_H

#include "eval.h"

/* A composite operator at certain types: `feed[i]` is the operand that goes into input i of the graph. */
typedef struct {
    TgModel *model;
    uint32_t n_feed;
    uint32_t *feed;
} EvalDefinition;

/* Those of one evaluator; they live until it is dropped. */
typedef struct {
    Tg *tg;
    TgArena *arena;
    TgInterner *known;
    TG_VEC(TgModel *)
    models;
} EvalDefinitions;

void eval_definitions_init(EvalDefinitions *all, Tg *tg, TgArena *arena);
void eval_definitions_drop(EvalDefinitions *all);
/* The definition of composite n (of g) over these operands, whose reals have the carrier of `mode`. NULL: recorded. */
const EvalDefinition *eval_definition_of(EvalDefinitions *all, TgEvalMode mode, const TgGraph *g,
                                         const TgNodeInfo *n, const TgArray *const *in);

#endif
