/* What the inference functions (infer_*.c, one per name in the `infer` column of ops.def) share. Private to
 * ir/.
 *
 * A function reads what is known of the inputs and says what it knows of the outputs; outputs that it does
 * not mention stay unknown. Unknown is never an error. An error is a proved contradiction: it is reported,
 * and false returned.
 *
 * Symbolic elements: an integer or bool tensor of at most INF_ELEMENTS elements may carry the value of each.
 * Functions that move or compute integers pass them on, so that Shape .. Gather .. Concat .. Reshape chains
 * need no size known.
 */
#ifndef TG_INFER_H
#define TG_INFER_H

#include "graph.h"

enum { INF_ELEMENTS = 64, INF_NAMED = 8 /* unknown elements get a symbol each in tensors up to this size */ };

typedef struct TgInfer {
    Tg *tg;
    TgGraph *g;
    TgNodeInfo *n;
    TgNode node;
} TgInfer;

/* Sizes that are all known: for walking over elements. */
typedef struct {
    int32_t rank;
    int64_t dim[TG_MAX_RANK];
    uint32_t count; /* <= INF_ELEMENTS */
} InfBox;

/* Shape under construction. */
typedef struct {
    int32_t rank; /* -1: unknown */
    TgDim dim[TG_MAX_RANK];
} InfShape;

/* --- inputs --------------------------------------------------------------------------------------------- */

static inline bool inf_has(const TgInfer *f, uint32_t i)
{
    return i < f->n->n_formal && f->n->in[i] != 0;
}

static inline const TgValueInfo *inf_value(const TgInfer *f, uint32_t i)
{
    return tg_value(f->g, f->n->in[i]);
}

const TgType *inf_type(const TgInfer *f, uint32_t i); /* untyped where absent */
int32_t inf_rank(const TgInfer *f, uint32_t i);       /* -1: unknown, absent or no tensor */
TgDtype inf_dtype(const TgInfer *f, uint32_t i);      /* TG_undefined likewise */
/* Axis k, from the back where negative; a fresh symbol where the rank is unknown. */
TgDim inf_dim(const TgInfer *f, uint32_t i, int32_t k);
InfShape inf_shape(const TgInfer *f, uint32_t i);
/* Its elements where all are constants: at most max of them. */
bool inf_ints(const TgInfer *f, uint32_t i, uint32_t max, int64_t *out, uint32_t *n);
bool inf_int(const TgInfer *f, uint32_t i, int64_t *out); /* the only element */
/* Element by element; unknown elements of small tensors get symbols. NULL: too many, of unknown number, no
 * integers. */
const TgDim *inf_elements(const TgInfer *f, uint32_t i, uint32_t *n);
bool inf_has_elements(const TgInfer *f, uint32_t i); /* something is known already, nothing need be named */
bool inf_length(const TgInfer *f, uint32_t i, int64_t *n); /* a vector (or scalar: 1) of known length */
bool inf_box(const TgType *t, InfBox *box);                /* false: not all known, or too many elements */

/* --- numbers -------------------------------------------------------------------------------------------- */

static inline TgDim inf_num(const TgInfer *f, int64_t n)
{
    return tg_dim(f->tg, n);
}

static inline TgDim inf_fresh(const TgInfer *f)
{
    return tg_dim_fresh(f->tg);
}

/* An element that some operator uses as a size: what nobody knows becomes a symbol >= 0, equal to it from now
 * on. */
TgDim inf_size(const TgInfer *f, TgDim element);

uint32_t inf_ravel(const InfBox *box, const int64_t *index);
void inf_unravel(const InfBox *box, uint32_t linear, int64_t *index);
/* Where in `from` the element lies that broadcasting puts at `index` of a box of rank `rank`. */
uint32_t inf_broadcast_index(const InfBox *from, int32_t rank, const int64_t *index);

/* --- outputs -------------------------------------------------------------------------------------------- */

void inf_set_type(TgInfer *f, uint32_t i,
                  const TgType *type); /* outputs that the node has not are passed over */
bool inf_set(TgInfer *f, uint32_t i, TgDtype dtype,
             const InfShape *shape); /* false: a size is negative, reported */
bool inf_set_dims(TgInfer *f, uint32_t i, TgDtype dtype, int32_t rank, ...); /* rank TgDims follow */
void inf_set_unranked(TgInfer *f, uint32_t i, TgDtype dtype);
bool inf_set_same(TgInfer *f, uint32_t i, uint32_t input); /* type of that input */
/* The type is set first; where it does not count to n elements, none are known. */
void inf_set_elements(TgInfer *f, uint32_t i, uint32_t n, const TgDim *elements);

/* --- requirements: true, or reported -------------------------------------------------------------------- */

bool inf_axis(const TgInfer *f, int64_t axis, int32_t rank, int32_t *out); /* -rank <= axis < rank */
bool inf_axis_attr(const TgInfer *f, const char *name, int32_t rank, int32_t *out);
bool inf_need_rank(const TgInfer *f, uint32_t i, int32_t least, int32_t most); /* where the rank is known */
/* Both must be equal at run time: remembered for tg_infer_graph. `what` says why: "the contraction of
 * MatMul". */
bool inf_equal(const TgInfer *f, TgDim a, TgDim b, const char *what);
bool inf_same_dtype(const TgInfer *f, uint32_t a, uint32_t b); /* inputs, where both are known */
/* Numpy broadcasting; an unknown rank on either side gives an unknown rank. */
bool inf_broadcast(const TgInfer *f, InfShape *into, const InfShape *with);
bool inf_refuse(const TgInfer *f, const char *why); /* reports, returns false */

/* --- shared between the files of inference -------------------------------------------------------------- */

void inf_fold_elementwise(TgInfer *f); /* infer_element.c: symbolic elements of output 0 */
TgDim inf_cast_element(Tg *tg, TgDim x, TgDtype from, TgDtype to);

typedef enum {
    INF_STRICT,  /* the first contradiction is reported and ends the run */
    INF_WARNING, /* a node that contradicts itself gets a warning, and its outputs stay unknown */
    INF_TOLERANT /* not even that: it stands where it may never be reached */
} InfRigour;

/* All nodes in order. `failed`: some node contradicted itself (unless strict). infer.c */
bool inf_run(TgGraph *g, InfRigour rigour, bool *failed);
void inf_forget(TgGraph *g); /* drops what is known of all results: their meaning is about to change */

/* --- sizes that are equal (infer_equal.c) --------------------------------------------------------------- */

/* Draws conclusions from g->equal and puts them into all types and elements of g; true: something changed.
 * What holds in a branch holds only there. */
bool inf_solve(TgGraph *g);
void inf_apply_facts(TgGraph *g, TgValueInfo *v); /* what earlier answers make of a value of g */
/* What the file says about the symbols of the interface; for all that is inferred until the next call. */
void inf_read_claims(TgGraph *g);
/* Two sizes that are broadcast with each other: notes that they are equal where that is sure to be meant. */
void inf_suspect_equal(const TgInfer *f, TgDim a, TgDim b);
void inf_suspect_divides(const TgInfer *f, TgDim count, TgDim by); /* count is a multiple of `by` */

#endif
