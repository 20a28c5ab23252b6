/* The door of rules/: rewrites as documents.
 *
 * A book is filled from rule files, closed (rules are checked against each other and compiled), and then
 * asked: a matcher knows one graph and tells, node by node, which rule applies there and what it would make.
 * It never changes what exists: it adds nodes; the caller puts them in the place of the old ones. The format
 * is README.md's. */
#ifndef TG_RULES_H
#define TG_RULES_H

#include "ir/ir.h"

typedef struct TgBook TgBook;

typedef enum {
    TG_RULE_EXACT,   /* the same bits */
    TG_RULE_REASSOC, /* equal over the reals; rounding may differ */
    TG_RULE_APPROX   /* within a relative bound; off unless allowed */
} TgRuleClass;

/* For whom the output is written: any reader of ONNX, or ONNX Runtime, which has operators of its own. */
typedef enum {
#define TARGET(id, name) TG_TARGET_##id,
#include "rules/targets.def"
#undef TARGET
} TgTarget;

/* What a rule says of itself. */
typedef struct {
    TgName name, topic, why, match, when, give; /* texts as written; when: "" for none */
    TgName file;
    uint32_t line, column;
    TgRuleClass class;
    double bound; /* of an approx rule */
    int level;    /* used from this -O level on */
    TgTarget target; /* used for what takes it only (tg_target_takes), when all else is done; or for any */
    bool on;      /* takes part in matching */
} TgRuleInfo;

const char *tg_rule_class_name(TgRuleClass class);

/* --- targets (targets.c) --------------------------------------------------------------------------- */

const char *const *tg_target_names(int *n); /* by number */
/* What is meant for `meant` is used for `target`. */
bool tg_target_takes(TgTarget target, TgTarget meant);
/* kernels.def lists `op` with results of `dtype`. */
bool tg_target_has_kernel(TgTarget target, TgOp op, TgDtype dtype);
/* ONNX Runtime cannot load `op` in that opset of ai.onnx, but what it stands for (kernels.def). */
bool tg_target_lacks(TgOp op, int64_t opset, TgDtype dtype);
/* Its kernel is no slower than those of what it stands for, for results of that type (slow.def). */
bool tg_target_pays(TgTarget target, TgOp op, const TgType *type);

/* --- books (book.c) -------------------------------------------------------------------------------- */

TgBook *tg_book_new(Tg *tg);
void tg_book_free(TgBook *book); /* NULL is fine */
/* All three add rules; false: refused, everything that is wrong in the file was recorded with its place. */
bool tg_book_add_builtin(TgBook *book); /* rules/ *.xml of the source tree, embedded when tgopt was built */
bool tg_book_add_file(TgBook *book, const char *path);
bool tg_book_add_text(TgBook *book, const char *name, const char *text, size_t n);
uint32_t tg_book_count(const TgBook *book);
const TgRuleInfo *tg_book_rule(const TgBook *book, uint32_t rule);
bool tg_book_find(const TgBook *book, const char *name, uint32_t *rule);
void tg_book_switch(TgBook *book, uint32_t rule, bool on);
/* Checks the rules against each other and compiles those that are on; after that a book only changes by being
 * closed again. False: recorded. */
bool tg_book_close(TgBook *book);

/* --- matching (automaton.c, match.c, give.c) ------------------------------------------------------- */

typedef struct {
    int64_t opset; /* of the output, for conditions; 0: the newest */
    TgTarget target; /* rules for it are used as well */
    /* Makes a node of g and gives its outputs; may answer with constants instead. False: recorded. NULL: just
     * the node. */
    bool (*make)(void *user, TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in,
                 uint32_t n_out, TgValue *out);
    void *user;
} TgMatchOptions;

enum { TG_RULE_OUTPUTS = 8 };

/* One application of a rule: each made[i] may take the place of old[i]. */
typedef struct {
    uint32_t rule, n;
    TgValue old[TG_RULE_OUTPUTS], made[TG_RULE_OUTPUTS];
} TgRewrite;

typedef struct TgMatcher TgMatcher;

TgMatcher *tg_matcher_new(const TgBook *book, TgGraph *g, const TgMatchOptions *options);
void tg_matcher_free(TgMatcher *m);
/* The first rule, in the order of the book, from number `from` on, that applies at node n. Costs one table
 * look-up where none can. Fills `rule`, `old` and `n`. */
bool tg_matcher_find(TgMatcher *m, TgNode n, uint32_t from, TgRewrite *found);
/* Adds what the rule found last would make. False: it does not fit there (a type differs); nothing is used of
 * it then. */
bool tg_matcher_make(TgMatcher *m, TgRewrite *found);
/* After made took the place of old: what is known of `made`, of what it is made of and of its readers is
 * brought up to date; `changed` is told of each node that is worth another look. */
void tg_matcher_replaced(TgMatcher *m, TgValue made, void (*changed)(void *user, TgNode n), void *user);

/* Why a rule does not apply: one line for every node where more than its outermost operator fits; if
 * `nearly`, where all of it fits but a condition, or an operator that the opset lacks. */
void tg_rule_explain(const TgBook *book, uint32_t rule, TgGraph *g, int64_t opset, TgTarget target, bool nearly,
                     void (*line)(void *user, TgNode node, TgName why), void *user);

/* --- proving (prove.c) ----------------------------------------------------------------------------- */

typedef struct {
    uint32_t rules, instances, refusals, conditions; /* proved, tried, refused, needed */
} TgProofs;

/* Proves one rule of a closed book: on its tries and on shapes near them, in every spelling; no refusal
 * fires; no condition is idle. False: recorded, with places. */
bool tg_rule_prove(TgBook *book, uint32_t rule, TgProofs *proofs);

/* --- what there is to write with (for the manual page) --------------------------------------------- */

typedef struct {
    const char *name, *operands, *doc;
} TgRuleWord;

const TgRuleWord *tg_rule_conditions(uint32_t *n); /* conds.def */
const TgRuleWord *tg_rule_functions(uint32_t *n);  /* functions.def */
const TgRuleWord *tg_rule_measures(uint32_t *n);   /* measures.def */

#endif
