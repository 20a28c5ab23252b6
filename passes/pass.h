/* Private to passes/: what a pass sees, and the vocabulary that rewrites share. */
#ifndef TG_PASS_H
#define TG_PASS_H

#include "passes/passes.h"

typedef struct TgPass {
    Tg *tg;
    TgModel *model;
    TgGraph *g;                       /* the graph of this run: main or a subgraph */
    const TgOptimizeOptions *options;
    TgReport *report;
    const char *name;                 /* of the pass */
    int64_t opset;                    /* of the output, at most: no operator newer than this */
    int64_t own_opset;                /* of the output, unless an operator is worth a newer one */
    bool settled;                     /* nothing has changed in this round so far: passes before this one are done */
    bool approximate;                 /* what is replaced now is near within a stated bound: nobody compares it */
    const struct TgTargetStart *start; /* what the model came with */
    bool last;                        /* the rounds of the target's own passes and rules */
    uint32_t changes;                 /* applications so far in this run */
    struct {
        TgName rewrite;
        bool done;                    /* a replacement of it */
        bool withdrawn;               /* as all that the check was asked about were refused so far */
    } counted;                        /* the application counted last */
    bool vouched;                     /* what is folded now replaces constants that will not be needed any more */
    double const_bytes;               /* of the model as it came */
    double worked;                    /* operations that what was folded takes */
    double grown;                     /* bytes by which folding has grown the constants so far */
} TgPass;

#define PASS(name, level, target, doc) void pass_##name(TgPass *p);
#include "passes.def"
#undef PASS

/* --- manager.c: counting, explaining ------------------------------------------------------------------------------ */

bool pass_may(TgPass *p);                          /* the rewrite limit allows one more application */
void pass_count(TgPass *p, const char *rewrite);   /* numbers and counts one */
bool pass_allow(TgPass *p, const char *rewrite);   /* both: asks, and counts where it may */
/* What the check says about a replacement of the application counted last: one of which nothing is done does not count,
 * so that a refusal is not tried for ever, nor told as a success. */
void pass_checked(TgPass *p, bool good);
/* With --explain: why a candidate at node n was left alone. */
void pass_explain(TgPass *p, const TgNodeInfo *n, const char *format, ...) TG_PRINTF(3, 4);

/* --- build.c: small steps of rewrites ----------------------------------------------------------------------------- */

/* `made` takes the place of `old` (values of p->g), if the check finds them equal as functions of what both depend on;
 * false: it does not, nothing was replaced (check.c). So one rewrite is one or more of these, each right by itself.
 * Provenance goes from the node of `old` to the node of `made`. */
bool pass_replace(TgPass *p, TgValue old, TgValue made, const char *rewrite);
/* The same for several results of one operator, which are right together or not at all. */
bool pass_replace_all(TgPass *p, uint32_t n, const TgValue *old, const TgValue *made, const char *rewrite);
/* The same for a node that reads `v` in place of its operand `slot`, and must compute what it did. */
bool pass_replace_operand(TgPass *p, TgNode n, uint32_t slot, TgValue v, const char *rewrite);
/* v computed anew with `to` in the place of `from`, on which it depends by way of operators of one result. 0: it does
 * not, or too indirectly. */
TgValue pass_rebuild(TgPass *p, TgValue v, TgValue from, TgValue to);
/* A node of one output over operands; constants are folded at once. 0: recorded. */
TgValue pass_op(TgPass *p, TgOp op, const TgAttrs *attrs, uint32_t n_in, ...);
TgValue pass_ints(TgPass *p, uint32_t n, const int64_t *values);      /* i64[n] constant, shared with equal ones */
TgValue pass_int(TgPass *p, int64_t value);                           /* i64[] */
/* v from `start` to before `end` along an axis, every `step`-th. */
TgValue pass_slice(TgPass *p, TgValue v, int64_t start, int64_t end, int64_t axis, int64_t step);
TgValue pass_cast(TgPass *p, TgValue v, TgDtype to);
TgValue pass_float_like(TgPass *p, TgValue like, double value);       /* scalar constant of its element type */
/* All live nodes of the graph as they stand now, producers first, in scratch memory. */
TgNode *pass_nodes(TgPass *p, uint32_t *n);

static inline TgValue in(const TgNodeInfo *n, uint32_t i) { return i < n->n_in ? n->in[i] : 0; }
/* Somebody needs it; results of removed nodes are never read. */
static inline bool is_read(const TgGraph *g, TgValue v) { return tg_value(g, v)->uses.n || tg_value(g, v)->returned; }
/* Has a tensor: also what a subgraph captures of outer constants. */
static inline bool is_const(const TgGraph *g, TgValue v) { return tg_const_of(g, v) != NULL; }
/* A constant of equal elements, small enough to look at. */
bool is_splat(const TgGraph *g, TgValue v, double *x);
bool is_splat_of(const TgGraph *g, TgValue v, double x);
bool same_type(const TgGraph *g, TgValue a, TgValue b);               /* equal types: every size proved equal */
int64_t pass_dim(const TgGraph *g, TgValue v, int32_t axis);            /* -1: not constant; negative axes from the
                                                                           end */
int32_t pass_rank(const TgGraph *g, TgValue v);                         /* -1: unknown */

/* --- target.c: what the output is written for --------------------------------------------------------------------- */

/* Operators that the model came with. */
typedef struct TgTargetStart {
    bool had[TG_OP_COUNT];
} TgTargetStart;

/* Sets the opsets of p, and imports the domain of the target. */
TgTargetStart target_begin(TgPass *p);
/* The opset to write: as old as the operators that were made allow. */
int64_t target_opset(const TgPass *p, const TgTargetStart *start);
/* The target computes `op` itself for elements like those of v. */
bool target_has_kernel(const TgPass *p, TgOp op, TgValue v);

/* --- control.c ---------------------------------------------------------------------------------------------------- */

/* Copies what branch number `sub` of n, an If, computes to g: out[i] is what takes the place of output i. False: the
 * branch wants inputs, which none gives; nothing was done. */
bool splice_branch(TgGraph *g, const TgNodeInfo *n, uint32_t sub, TgValue *out);

/* --- downstream.c: what is left alone so that a runtime finds more ------------------------------------------------ */

bool splits_heads_downstream(const TgPass *p, TgValue projected);      /* a projection that only attention heads read */
bool biases_attention_downstream(const TgPass *p, const TgNodeInfo *n); /* what a projection of it adds, be it zeros */
bool masks_downstream(const TgPass *p, const TgNodeInfo *n);           /* the second Unsqueeze of a mask [B,S] */
bool scales_attention_downstream(const TgPass *p, const TgNodeInfo *n); /* the scale of its scores, which then are
                                                                           masked */
bool numbers_positions_downstream(const TgPass *p, const TgNodeInfo *n); /* 0 .. S-1 that select rows of a table */
/* Positions, or sizes that they are made or laid out of; 0: it is none. Else what leads to the Shape that they need. */
TgValue measures_positions_downstream(const TgPass *p, const TgNodeInfo *n);
bool ends_norm_downstream(const TgPass *p, const TgNodeInfo *n);       /* the scale or bias of a norm in pieces */
bool ends_norm_in_pieces_downstream(const TgPass *p, const TgNodeInfo *n); /* of one that no operator can be made of */
bool ends_gelu_downstream(const TgPass *p, const TgNodeInfo *n);       /* the half of such a GELU */

/* --- fold.c ------------------------------------------------------------------------------------------------------- */

/* Makes the outputs of node n (over constants) constants: large ones become recipes. False: it cannot or may not be. */
bool fold_node(TgPass *p, TgNode n);
/* Output 0 of n, folded to a constant where that can be. */
TgValue fold_value(TgPass *p, TgNode n);

/* plan_lower.c, before the passes (TgOptimizeOptions.for_plan): attention and norms of com.microsoft become what they
 * are in operators of ONNX, so that in a model that ONNX Runtime has fused is found what is found in its source.
 * False: recorded. */
bool plan_spell_out(TgGraph *g);

#endif
