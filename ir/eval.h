/* The evaluator: what a graph computes, by definition. Each primitive is written once, generic over its
 * number type (eval_num.h), and instantiated for float32, float64 and, where it has a meaning there, a
 * finite field (field.h). Integers are exact. */
#ifndef TG_EVAL_H
#define TG_EVAL_H

#include "field.h"
#include "graph.h"

typedef enum {
    TG_EVAL_NATIVE, /* as ONNX says: each result rounded to its element type; float64 where a node has it */
    TG_EVAL_F32, /* reals in float32; 16-bit types still rounded */
    TG_EVAL_F64, /* reals in float64: float types of 16 bits and more are rounded by Cast only; integers exact */
    TG_EVAL_FIELD, /* reals in the finite field, nothing rounded (eval_field.c); integers exact */
    TG_EVAL_MODES
} TgEvalMode;

/* How elements lie in memory while evaluating. */
typedef enum { TG_C_REAL, TG_C_INT, TG_C_BYTES } TgCarrier;
/* TG_C_REAL: float, double or TgFelt (by mode) for every float type; TG_C_INT: int64 for integers and bool (u64:
 * its bits); TG_C_BYTES: TgBytes for strings. Complex types: TG_C_REAL with real and imaginary part side by
 * side. */

/* TG_EVAL_FIELD: of the elements of an array as rational functions of the inputs, numerator and denominator;
 * and how many exponentials are added up in them, as log2: what has none is one term, however long. */
typedef struct {
    double over, under, terms_over, terms_under;
    bool exponentials;
} TgDegree;

TgDegree tg_degree_of_difference(TgDegree a, TgDegree b); /* of a - b */

typedef struct TgArray {
    TgDtype dtype;
    int32_t rank;
    int64_t dim[TG_MAX_RANK > 16 ? 16 : TG_MAX_RANK]; /* the evaluator stops at rank 16 */
    int64_t count;
    void *data;           /* carrier elements; read-only when borrowed */
    uint32_t *owners;     /* reference count; NULL: borrowed (mapped weights) */
    struct TgArray *item; /* sequences: n of them; optional: 0 or 1; NULL for tensors */
    uint32_t n_items;
    TgKind kind;
    TgDegree degree;
    TgDtype fits; /* its numbers fit into this narrower type, where known: they were widened from it, and rounding to
                     it again changes nothing */
} TgArray;

typedef struct {
    TgEvalMode mode;
    uint32_t threads; /* 0 or 1: one */
    uint64_t seed;    /* of operators that are random by construction */
    TgField *field;   /* TG_EVAL_FIELD: the draw, and what happened */
    double max_flops; /* give up beyond (TG_E_too_costly); 0: no limit */
    uint64_t max_steps; /* nodes run in bodies of Loop and Scan (TG_E_limit); 0: no limit */
    /* Called with each result of the main graph when it is ready; may be NULL. It may write to the elements
     * of a result that is owned. */
    void (*watch)(void *user, const TgGraph *g, TgValue v, TgArray *value);
    void *user;
} TgEvalOptions;

/* Evaluates the outputs of g for its inputs (arrays in the carrier of options->mode). Outputs are owned by
 * the caller (tg_array_drop). False: recorded; TG_E_not_evaluable names an operator that has no evaluator. */
bool tg_eval(Tg *tg, TgGraph *g, const TgEvalOptions *options, const TgArray *in, TgArray *out);
/* The same many times: plans and definitions are kept from run to run. The graph must not change between
 * runs, except for the tensors of constants of the main graph. Drop it when done. */
typedef struct TgRun TgEvaluator;
TgEvaluator *tg_evaluator_new(Tg *tg);
bool tg_evaluator_run(TgEvaluator *e, TgGraph *g, const TgEvalOptions *options, const TgArray *in, TgArray *out);
void tg_evaluator_drop(TgEvaluator *e);
void tg_evaluator_abandon(TgEvaluator *e); /* instead, when a run unwound: its arrays are gone */
/* One node over arrays; used by folding and recipes. `g` may be NULL for nodes without subgraphs. */
bool tg_eval_node(Tg *tg, const TgGraph *g, const TgNodeInfo *n, const TgEvalOptions *options,
                  const TgArray *const *in, TgArray *out);

TgArray tg_array_new(Tg *tg, TgEvalMode mode, TgDtype dtype, int32_t rank,
                     const int64_t *dim); /* uninitialised, owned */
TgArray tg_array_share(const TgArray *a);
void tg_array_drop(Tg *tg, TgArray *a);
size_t tg_array_element(TgEvalMode mode, TgDtype dtype); /* bytes of one carrier element */
TgArray tg_array_from_tensor(Tg *tg, TgEvalMode mode,
                             const TgTensor *t); /* borrows where bytes and carrier agree */
/* Rounds to the dtype and packs. */
TgTensor *tg_array_to_tensor(TgArena *arena, TgEvalMode mode, const TgArray *a);
double tg_array_float(TgEvalMode mode, const TgArray *a, int64_t i);
int64_t tg_array_int(const TgArray *a, int64_t i);
void tg_array_set_float(TgEvalMode mode, TgArray *a, int64_t i, double x);
void tg_array_set_int(TgArray *a, int64_t i, int64_t x);

#endif
