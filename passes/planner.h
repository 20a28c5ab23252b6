/* Private to plan*.c: a plan under construction.
 *
 *   plan.c         the door, symbols, blocks and their nodes
 *   plan_nodes.c   operators with steps of their own, caches
 *   plan_lower.c   what has no kernel becomes its definition
 *   plan_decide.c  ranks that data decide: one case is planned, and expected
 *   plan_forms.c   what has one gets the form and the element types that it wants
 *   plan_group_query.c  GroupQueryAttention: rotation, rows appended to its caches, attention
 *   plan_tied.c    tables of embeddings that are transposes of matrices
 *   plan_codes.c   weights that are codes of 8 or 4 bits
 *   plan_view.c    places: views as strides, where results go
 *   plan_fuse.c    which elementwise nodes are one loop, which loop ends a product
 *   plan_control.c If, Loop, Scan
 *   plan_arena.c   lifetimes, offsets
 *   plan_print.c   tgopt plan
 */
#ifndef TG_PLANNER_H
#define TG_PLANNER_H

#include "passes/pass.h"

typedef struct Planner {
    Tg *tg;
    TgArena *arena;
    TgPlan *plan;
    TgGraph *g;
    const TgPlanOptions *options;
    TgSteps *steps;      /* where steps go now */
    TgMap group;         /* elementwise node -> the node whose loop it is part of */
    TgMap members;       /* that node -> TgU32s *: the nodes of its loop, last first */
    TgMap then;          /* root of a loop -> the product that it ends */
    TgMap started;       /* such a product -> the root */
    TgMap copied;        /* value -> its contiguous copy; 0: it was made in a body that has ended */
    TgValues copies;     /* values that have one */
    TgMap unwritten;     /* numbers made of sizes that have a place, but were written in a body that has ended: 1 */
    TgMap kept;          /* values that are needed outside of the block that makes them */
    TgMap bound;         /* symbols that are known by now: 1; 0: were, in another branch */
    TgMap source;        /* symbols that are elements of values: value and element, packed */
    TgValues counted;    /* values that TG_STEP_SIZES wrote */
    TG_VEC(TgDim) learnt; /* in the order in which they became bound */
    TgMap packed;        /* tensor -> its number in plan->weights as panels */
    TgMap tied;          /* table of embeddings -> its transpose, a constant that products read */
    TgMap appends;       /* TensorScatter nodes of our own: those that TG_STEP_APPEND computes */
    struct {             /* where the tokens of this step stand, which layers share */
        const TgGraph *g;
        TgValue lengths, longest, given, cos_table, sin_table; /* of what */
        TgDim batch, queries;
        TgValue first, ends, cos, sin; /* first, ends: i64[B] */
    } tokens;
    TgMap offset;        /* Attention node -> keys before the first query (TgDim), where there are some */
    TG_VEC(bool) wanted; /* what outputs of the lowered graph past those of the source are expected to be */
    TgValues expected;   /* these, from plan_graph on */
    bool said_converted; /* that a cache is no state because it is cast */
    bool failed;
} Planner;

/* Records that this cannot be planned; false. */
bool plan_refuse(Planner *p, const TgNodeInfo *n, const char *why);

/* plan_codes.c: t, a matrix of w->rows by w->cols, is stored as codes with scales; those are added to the plan. */
bool plan_codes(Planner *p, const TgTensor *t, TgWeight *w);
void plan_fold_codes(TgGraph *g);
bool plan_lower(Planner *p);
bool plan_clean(Planner *p, TgModel *model); /* the passes of -O1 */
bool plan_decide(Planner *p);               /* ranks that only data tell; false: recorded */
void plan_keep_cases(Planner *p);           /* fills plan->cases, for those who look for inputs that run */
bool plan_forms(Planner *p);
/* A step of its own, or a kernel, in this form. */
bool plan_has_form(const Planner *p, const TgGraph *g, const TgNodeInfo *n);

/* plan_forms.c, for operators that become several */
bool form_is_small_real(TgDtype t);
bool form_may_equal(const Planner *p, TgDim a, TgDim b);
void form_require_equal(Planner *p, TgDim a, TgDim b);
TgValue form_ints(TgGraph *g, uint32_t n, const int64_t *values);
TgValue form_cast(TgGraph *g, TgValue v, TgDtype to);
TgValue form_split_heads(TgGraph *g, TgValue v, int64_t heads);
TgValue form_merge_heads(TgGraph *g, TgValue v);
TgValue form_rotary_table(TgGraph *g, TgValue table, TgValue positions);
TgValue form_rotated(TgGraph *g, const TgNodeInfo *of, const TgAttrs *attrs, TgValue x, TgValue cos, TgValue sin);
void form_hand_over(TgGraph *g, TgNode old, uint32_t i, TgValue made);

/* plan_tied.c. Where b is the transpose of a table of embeddings: a constant, as products with weights want it, which is
 * stored once for both; 0: it is not. */
TgValue plan_tied_matrix(Planner *p, TgGraph *g, TgValue b);
void plan_ties(Planner *p); /* finds those that are constants both */

/* plan_group_query.c */
bool plan_group_query_fits(const Planner *p, const TgGraph *g, const TgNodeInfo *n);
void plan_form_group_query(Planner *p, TgGraph *g, TgNode node);

/* --- what a node is ----------------------------------------------------------------------------------------------- */

bool plan_is_pointwise(const TgGraph *g, const TgNodeInfo *n);
/* n multiplies rows of f32 by a constant matrix. */
bool plan_is_linear(const TgGraph *g, const TgNodeInfo *n);
static inline TgDim dim_at(const TgType *t, int32_t axis) { return t->dim[axis < 0 ? axis + t->rank : axis]; }

/* --- blocks ------------------------------------------------------------------------------------------------------- */

bool plan_block(Planner *p, uint32_t n, const TgNode *nodes);
bool plan_control(Planner *p, TgNode node);
TgStep *plan_step(Planner *p, TgStepKind kind);            /* to be filled in and given to plan_add */
bool plan_add(Planner *p, TgStep *s);                      /* appended to p->steps, once all it needs is known */
void plan_reads(Planner *p, TgStep *s, TgValue v);
void plan_writes(Planner *p, TgStep *s, TgValue v);
bool plan_copy(Planner *p, TgValue from, TgValue to);      /* both have places */
void plan_bind(Planner *p, TgValue v);                     /* sizes and elements of v that are known from now on */
/* A size is known if all its symbols are, or can be read from values by now: then plan_need has them read. */
bool plan_sizes_known(const Planner *p, const TgType *t);
bool plan_dim_known(const Planner *p, TgDim d);
bool plan_need(Planner *p, TgDim d);
int64_t plan_most(const Planner *p, TgDim d);              /* upper bound; -1: there is none */

/* Every element of v is a number made of sizes. */
bool plan_numbers(const Planner *p, TgValue v);
/* How many read v, apart from those that ask for its sizes. */
uint32_t plan_readers(const Planner *p, const TgValueInfo *v);
TgStep *plan_linear(Planner *p, TgNode node, TgValue y, TgValue bias); /* y: what the product is to give, bias
                                                                          included */
bool plan_special(Planner *p, TgNode node);                /* operators with steps of their own; false: n is none, or
                                                              p->failed */
void plan_states(Planner *p, uint32_t n, const TgNode *nodes); /* finds caches and places them */
void plan_learn(Planner *p, TgDim symbol);                 /* a step has just bound it */
/* Behind a round: the sizes of `current` are those of `next` now. */
void plan_rebind(Planner *p, TgValue current, TgValue next);
void plan_forget(Planner *p, uint32_t learnt);             /* what was bound since is not any more: a branch ended */
TgU32s *plan_members(const Planner *p, TgNode root);
void plan_fuse(Planner *p, uint32_t n, const TgNode *nodes);
bool plan_pointwise(Planner *p, TgNode root);

/* --- places ------------------------------------------------------------------------------------------------------- */

TgLocation *plan_place(Planner *p, TgValue v);                 /* constants get theirs here */
TgLocation *plan_source(Planner *p, TgValue v);                /* of a value that is read: numbers made of sizes are
                                                                  written now */
bool plan_sizes(Planner *p, TgValue v);
void plan_set_place(Planner *p, TgValue v, TgLocation place);
uint32_t plan_buffer(Planner *p, TgBufferKind kind, uint32_t index, const TgType *type);
/* Gives v a place: where its only reader wants it, if `accepts` says that a step can write there; else a new buffer. */
void plan_place_result(Planner *p, TgValue v, bool (*accepts)(Planner *p, const TgType *t, const TgLocation *place));
bool plan_view(Planner *p, TgNode node);                    /* the results of n become views; false: they cannot */
TgValue plan_contiguous(Planner *p, TgValue v);             /* v, or a copy of it */
const TgDim *plan_row_major(Planner *p, const TgType *t);
TgLocation plan_piece(Planner *p, const TgNodeInfo *n, uint32_t slot); /* of the place of a Concat: what operand
                                                                          `slot` is */
/* As if it were repeated to the sizes `to`. */
TgLocation plan_broadcast(Planner *p, const TgLocation *place, const TgType *from, int32_t rank, const TgDim *to);

bool accepts_any(Planner *p, const TgType *t, const TgLocation *place);
bool accepts_contiguous(Planner *p, const TgType *t, const TgLocation *place);
bool accepts_rows(Planner *p, const TgType *t, const TgLocation *place); /* last axis dense, all others one stride */
bool accepts_last(Planner *p, const TgType *t, const TgLocation *place); /* last axis dense */

bool plan_allocate(Planner *p); /* false: recorded */

#endif
