/* The door of passes/: what tgopt does to a graph, in the order of passes.def. */
#ifndef TG_PASSES_H
#define TG_PASSES_H

#include "ir/ir.h"
#include "rules/rules.h"

/* One rewrite at one place, and what its check said. */
typedef struct TgApplication {
    int64_t number;              /* see rewrite_limit */
    TgName pass, rewrite, place; /* place: name of the node that was replaced, or of its value */
    TgReplacement check;
} TgApplication;

typedef struct TgPassInfo {
    const char *name, *doc;
    int level;          /* runs from this -O level on */
    TgTarget target;    /* any, or the one that it is for */
} TgPassInfo;

uint32_t tg_pass_count(void);
const TgPassInfo *tg_pass_info(uint32_t index);

typedef struct TgOptimizeOptions {
    int level;                  /* -O0 .. -O2 */
    TgTarget target;
    int64_t opset;              /* of the output: passes make no operator that it lacks; 0: the model's, or, for a
                                   target that gains from a newer one, what the report says */
    bool check_each;            /* structural check after every pass */
    bool evaluate_each;         /* compare before and after every pass (slow: for tests) */
    int64_t rewrite_limit;      /* stop rewriting after this many applications; -1: none */
    const char *print_after;    /* pass name, "all", "changed" or NULL: text form to `print` */
    void (*print)(void *user, const char *text);
    void *user;
    const char *explain;        /* "" all passes, a pass name, or NULL: say why candidates were refused */
    bool make_rotary;           /* write RotaryEmbedding even where the opset of the model would have to be raised */
    bool for_plan;              /* tg_plan follows: attention and norms of com.microsoft are spelled out first, since the
                                   passes find all of it again, and more; keys may be counted for the causal flag */
    bool merge_lora;            /* adapters go into the weights beside them */
    bool approximate;           /* passes may do what changes results within a stated bound, as such rules do */
    uint32_t threads;
    TgChecker *checker;         /* every application is checked by it, and undone if refused; NULL: none is */
    void (*trace)(void *user, const TgApplication *a); /* is told of each, with the region as text; or NULL */
    const TgBook *book;         /* closed; which of its rules are applied; NULL: none */
} TgOptimizeOptions;

typedef struct { TgName pass; double seconds; uint32_t changes; } TgPassTime;
typedef struct { TgName rewrite; uint32_t count; } TgRewriteCount;

/* What happened, for the summary and the report. */
typedef struct TgReport {
    TG_VEC(TgPassTime) passes;
    TG_VEC(TgRewriteCount) rewrites;
    TG_VEC(TgName) explanations; /* "merge-linear: node 'x': refused: weights are shared with node 'y'" */
    TG_VEC(TgApplication) refusals;  /* defects of rewrites: what the check did not find equal was not done */
    TG_VEC(TgApplication) undecided; /* done, but nobody could check them */
    uint32_t checks;                 /* replacements that were checked */
    double check_seconds;
    uint32_t approximate;            /* rewrites within a bound, which nobody compared */
    int64_t opset;               /* to be written: the one asked for, else the model's, else what its operators need */
    int64_t applied;             /* rewrites numbered 1 .. applied; see rewrite_limit */
    const char *stop;            /* "fixed point", "rewrite limit", "iteration limit" */
} TgReport;

/* Optimizes in place. The report lives in the model's arena. False: recorded. */
bool tg_optimize(TgModel *model, const TgOptimizeOptions *options, TgReport *report);

/* --- convert.c: 16 bits ------------------------------------------------------------------------------------------- */

typedef struct TgConvert {
    TgDtype to;                 /* TG_f16 or TG_bf16 */
    bool keep_io;               /* inputs and outputs stay in 32 bits */
} TgConvert;

/* Weights and compute in 16 bits, norms and softmax in 32. Changes what is computed: behind tg_optimize. False:
 * recorded. */
bool tg_convert(TgModel *model, TgConvert options);

/* narrow.c: the n constant matrices of products in f16, bf16, i8 (a scale per column) or i4 (a scale per 32 along the
 * depth); everything is computed as before. Behind tg_optimize. False: recorded. */
bool tg_narrow_weights(TgModel *model, TgDtype to, uint32_t *n);

/* --- plan*.c: what a backend writes down -------------------------------------------------------------------------- */

typedef struct TgPlanOptions {
    /* Does the backend have a kernel for this operator by itself (TG_STEP_OPERATOR)? Letters of its operands and
     * results, the last one repeats: * any element type, r f32 or f64, n these or i64, i i64, b bool, q any stored
     * one per byte. Others are cast. */
    bool (*kernel)(TgOp op, const char **operands, const char **results);
    int32_t (*panel)(int64_t rows, int64_t depth, int64_t cols); /* width of panels; rows: of x, 0 where symbolic */
    int64_t (*most)(void *user, TgDim symbol); /* upper bound of a size; 0: nobody says; NULL: nobody ever does */
    void *user;
    const TgBook *book;          /* rules that clean up what definitions leave behind; may be NULL */
} TgPlanOptions;

enum { TG_PLAN_TYPICAL = 128, TG_PLAN_UNNAMED = 1024 }; /* bounds where nobody says: of named sizes, of others */

/* Plans a copy of the model; that one is not changed. Free it when done. NULL: recorded (TG_E_no_plan: something in
 * it has no kernel and no definition). */
TgPlan *tg_plan(const TgModel *model, const TgPlanOptions *options);
void tg_plan_free(TgPlan *plan);
void tg_plan_print(const TgPlan *plan, TgText *out);

/* --- reduce.c: shrinking a model that shows something ------------------------------------------------------------- */

typedef enum { TG_REDUCE_NO, TG_REDUCE_YES, TG_REDUCE_STOP } TgReduceVerdict;

typedef struct TgReduceOptions {
    TgReduceVerdict (*shows)(void *user, TgModel *candidate); /* does the candidate still show it? May not change it */
    void *user;
    int64_t max_tries;          /* calls of `shows`; 0: no limit */
} TgReduceOptions;

typedef struct TgReduceReport {
    int64_t tries, kept;
    bool minimal;               /* no single step is left that keeps what the model shows; false: limit, or stopped */
} TgReduceReport;

/* The smallest model that delta debugging finds, in an arena of its own: never larger than `model`, which must show
 * what is looked for (that is not tried again). The caller frees it. NULL: recorded. */
TgModel *tg_reduce(const TgModel *model, const TgReduceOptions *options, TgReduceReport *report);

#endif
