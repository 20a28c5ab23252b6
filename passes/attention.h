/* Private to attention*.c: what is known of one attention while it is read, planned and written.
 *
 * Letters (axes.h) name the index variables: batch and heads together are `lead`, then queries, keys,
 * size (of a head of queries and keys) and value_size. A trail is one value followed back through its
 * views: any of its stations may become the operand, the deepest one that fits is the cheapest. */
#ifndef TG_ATTENTION_H
#define TG_ATTENTION_H

#include "axes.h"

enum { TRAIL_MOST = 16, LAYERS_MOST = 4, CONDS_MOST = 6 };

typedef struct {
    uint32_t n;
    AxisMap at[TRAIL_MOST];
    double scale[TRAIL_MOST]; /* the value that was followed is scale[i] times what at[i] says */
} Trail;

/* Keys or values that are past and new ones, one behind the other. */
typedef struct {
    bool there;
    TgValue all; /* the Concat of both, or what an Attention gives; 0: nobody reads it */
    AxisMap of_all, past;
    Word past_keys, new_keys;
    Trail fresh; /* of the new part */
} Cache;

/* --- masks (attention_mask.c) ------------------------------------------------------------------------- */

/* One condition for a key to be seen: what `kind` says of the value, unless negated. */
typedef enum { COND_BOOL, COND_NOT_ZERO, COND_IS_ONE } CondKind;

typedef struct {
    CondKind kind;
    bool negated;
    AxisMap map;
} Cond;

/* What one addend of the mask does: keys that miss a condition get `hidden`, the others the bias (or
 * nothing). */
typedef struct {
    uint32_t n;
    Cond cond[CONDS_MOST];
    bool has_band; /* a condition too: key <= query + band */
    TgDim band;
    Cond band_source; /* the comparison that says so; map.v 0: it was read from something else */
    double hidden;    /* 0: nothing is hidden */
    bool replaces;    /* it stands in the place of the score, rather than being added */
    bool has_bias;
    AxisMap bias;
    AxisMap whole; /* the addend as it was read; v 0: it was the condition of a Where */
    bool is_loose; /* its keys are as many as there are, or one: nothing proves which */
    Word keys;     /* of what was read: longer than the keys where `slice` cuts them afterwards */
    TgNodeInfo *slice;
} Layer;

typedef struct {
    uint32_t n;
    Layer layer[LAYERS_MOST];
} Mask;

/* What lies on the way of the scores, before it is read. */
typedef struct {
    AxisMap map;
    bool is_loose;     /* see Layer */
    bool is_condition; /* of a Where; else an addend */
    bool hides_where;  /* true hides (else: false hides) with `hidden` */
    double hidden;
} MaskTerm;

/* A value on the way that the graph returns, and what the operator calls it (qk_matmul_output_mode). Mode 1 is left
 * out: the text of the operator changed its meaning. */
typedef struct {
    enum { SHOW_NOTHING = -1, SHOW_PRODUCT = 0, SHOW_SCORES = 2, SHOW_PROBABILITIES = 3 } mode;
    AxisMap map;
    uint32_t n_terms; /* of the mask, and the cap, above it: none may follow below the product */
    double softcap;
} Shown;

/* --- one attention ------------------------------------------------------------------------------------ */

typedef struct {
    Alphabet abc;
    TgNodeInfo *at;       /* for explanations: Softmax, or Attention */
    const TgNodeInfo *op; /* an Attention that is there already; NULL: pieces */
    Trail result;         /* from the last view of the result back to the product */
    Trail q, k, v;
    Cache k_cache, v_cache;
    bool is_causal; /* of op */
    Word lead, queries, keys, size, value_size;
    double scale, softcap; /* softcap 0: none */
    TgDtype precision;     /* of the Softmax, where it is another than that of the operands; else undefined */
    uint32_t n_terms;
    MaskTerm term[LAYERS_MOST];
    Mask mask;          /* the terms, once read */
    bool approximate;   /* equal only where every row sees a score that its filter cannot reach (see mask_read) */
    bool nan_is_zero;   /* a row of NaN counts as zeros: Where(IsNaN(p), 0, p) */
    TgValue zero_where; /* rows are zeros where this mask is -inf throughout; 0: nothing says so */
    Shown shown;
    TgValue guard; /* rows where it is true are zeros; 0: none */
    AxisMap guard_map;
} Attention;

/* attention_read.c. Back from `from` through views, repetitions and (with_scale) constant factors. */
void attention_follow(Alphabet *abc, const AxisMap *from, bool with_scale, Trail *t);
/* v and the views (a row guard at most once) that follow it, one reader each. Returns how many, at most
 * TRAIL_MOST. */
uint32_t attention_follow_result(const TgGraph *g, TgValue v, bool with_guard, TgValue *chain);
/* The trail from chain[n - 1] back to chain[0]. */
bool attention_read_result(Attention *a, const TgValue *chain, uint32_t n);
/* with_guard: rows that are made zero afterwards belong to it. False: it is none (explained where it
 * looks like one). */
bool attention_read(TgPass *p, TgNodeInfo *softmax, bool with_guard, Attention *a);

/* attention_operator.c: an Attention that is there already. */
bool attention_read_operator(TgPass *p, TgNodeInfo *node, Attention *a);
/* All keys (slot 1) or values (2) that the operator gives back beside its result; 0: it does not, or nobody reads
 * them. */
TgValue attention_given(const TgGraph *g, const TgNodeInfo *op, uint32_t slot);
/* It shows its result alone, knows no lengths of keys, and its Softmax has the precision of its operands: so the
 * operators of com.microsoft have it, too. */
bool attention_is_usual(const TgPass *p, const TgNodeInfo *node);

/* attention_mask.c: the terms become layers. False: explained.
 *
 * A filter of -10000 in the place of scores, as the first GPT-2 has it, hides nothing for good: it is one where a soft
 * cap keeps all scores well above it. Else it is taken for one with --approximate, where numbers have the range of 32
 * bits: rows that see a score above -9896 (added masks included) are equal then, since e^(-10000 - s) is zero, and so
 * are rows that see nothing. Others would look at what is to be hidden; where a mask is added, too, a filter has to be
 * a band that leaves key 0 to every query. */
bool mask_read(TgPass *p, Attention *a);
/* What `cond` (a boolean value) says, as conditions of a layer. False: too many, or sizes that do not fit. */
bool mask_read_conditions(TgPass *p, Attention *a, const AxisMap *cond, bool negated, Layer *layer);
/* A number that hides a key for good: nothing of its score is left. */
static inline bool hides(double x)
{
    return x <= -1e8;
}
/* So large that it absorbs the score: a row of it is uniform. ONNX Runtime takes a row of the lowest
 * number for one that sees nothing, and gives zeros; hence a quarter of it is written: sums of several
 * then stay above the lowest, too. */
static inline bool absorbs(double x)
{
    return x <= -1e37;
}
static inline double absorbing(void)
{
    return -8.507059e37;
}

/* How the operator is told about the mask. */
typedef struct {
    bool is_causal;
    bool refused;
    TgValue value; /* 0: none */
} MaskOperand;

/* attention_mask_write.c. offset: what the operator's causal flag adds to the query, the length of the
 * past; axes: batch, heads, queries, keys; query: the operand, for its element type and length. `refused`:
 * explained. */
MaskOperand mask_write(TgPass *p, Attention *a, TgDim offset, const Word axes[4], const AxisMap *query);

/* attention_write.c */
bool attention_write(TgPass *p, Attention *a);

#endif
