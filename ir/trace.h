/* Certificates: what was done to a model and how it was checked, as JSON lines that somebody else can
 * check again.
 *
 * The first line names the source by the hash of its bytes, the last one the result and the number of
 * steps; each line between is one replacement with its region before and after in the text form,
 * self-contained. Every line ends with the hash of itself and of all lines before it, so that none is
 * changed, dropped or moved by accident. That is no signature: who writes a trace anew can write any. So
 * replaying asks about every pair of regions again; that the steps lead from one model to the other is
 * said by whole models, which `tgopt verify` compares as well. What a line claims of its check (proved, with
 * which bound) must come out again, the hash of the rule must be that of its text, and the bindings must name
 * the inputs of the region; of where it was in the model (place, what is bound) only the chain vouches.
 *
 * Replaying trusts the text form, the evaluator and the check of equivalence; neither passes nor rules
 * take part. */
#ifndef TG_TRACE_H
#define TG_TRACE_H

#include "equiv.h"

typedef struct {
    int64_t number; /* of the rewrite */
    const char *pass, *rewrite, *place;
    const char *rule;           /* the rule as written; "": the rewrite is code of the pass */
    const TgReplacement *check; /* with its regions as text */
} TgTraceStep;

typedef struct {
    TgText text;
    uint64_t chain, seed;
    int64_t steps;
} TgTrace;

void tg_trace_begin(TgTrace *t, TgArena *arena, uint64_t source, uint64_t seed, const char *version);
void tg_trace_step(TgTrace *t, const TgTraceStep *step);
void tg_trace_end(TgTrace *t, uint64_t result);
/* Of all that is known of a rewrite. */
uint64_t tg_trace_rule_hash(const char *pass, const char *rewrite, const char *rule);

/* Of the bytes of all files that hold the model. */
uint64_t tg_model_hash(const TgModel *model);

typedef struct {
    int64_t steps, checked; /* in the trace; different ones, asked again */
    TgVerdict verdict;
    TgName why; /* not equal: which line, and what is wrong with it */
} TgReplay;

/* Checks the trace of `n` bytes against two models; `path` is for messages. False: recorded (out of memory
 * ...); a trace that is wrong is a verdict. */
bool tg_trace_replay(Tg *tg, const char *path, const char *text, size_t n, const TgModel *source,
                     const TgModel *result, TgReplay *replay);

#endif
