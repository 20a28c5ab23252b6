/* What a kernel sees: the private contract between eval.c and the files eval_*.c.
 *
 * A kernel is `bool eval_<kernel>(TgEvalCall *c)`, one for every name in the kernel column of PRIMITIVE
 * rows of ops.def; several operators may share one and tell themselves apart by c->n->op. It allocates
 * every output with eval_out, fills it, and returns true; or records a diagnostic and returns false. The
 * driver does the rest:
 *
 *   - Reals of one call have one number type: float if c->mode is TG_EVAL_F32, double if it is TG_EVAL_F64
 *     (a kernel never sees TG_EVAL_NATIVE: the driver picks one per node and converts where float64 is mixed
 *     with others), TgFelt if it is TG_EVAL_FIELD, for the kernels that eval_field.c lets run there.
 *   - Results are rounded (floats of 16 bits and less) and wrapped (integers of less than 64 bits) by the
 *     driver after the kernel; only what quantizes (Cast, QuantizeLinear) rounds by itself, with its own
 *     saturation rules.
 *   - Operands that the operator needs are there, but shapes, types and values come from the data: a kernel
 *     checks whatever could lead it outside an array.
 *   - Outputs made before a failure are dropped by the driver; so is what was taken from tg_scratch(c->tg).
 *   - Diagnostics already know the node and the operator.
 *
 * Number types: kernels over reals are templates, see eval_num.h. Movement is generic over the element
 * size.
 */
#ifndef TG_EVAL_KERNEL_H
#define TG_EVAL_KERNEL_H

#include "ir.h"

enum { TG_EVAL_RANK = 16 }; /* arrays have at most so many dimensions */

typedef struct TgRun TgRun; /* one evaluation: eval.c */

typedef struct TgEvalCall {
    Tg *tg;
    const TgNodeInfo *n;
    const TgGraph *g;         /* where n lives; NULL: a node alone, without subgraphs */
    const TgArray *const *in; /* n->n_in of them; NULL: absent */
    TgArray *out;             /* n->n_out of them, empty; every one must be filled */
    TgEvalMode mode;          /* number type of all reals of this call: TG_EVAL_F32, _F64 or _FIELD */
    TgField *field;           /* TG_EVAL_FIELD: the draw */
    uint32_t threads;         /* at least 1; results must not depend on it */
    uint64_t seed;            /* of random operators: differs by node, the same in every run */
    TgRun *run;               /* for control flow */
} TgEvalCall;

#define TG_KERNEL_PRIMITIVE(kernel) bool eval_##kernel(TgEvalCall *c);
#define TG_KERNEL_COMPOSITE(kernel)
#define TG_KERNEL_KEPT(kernel)
#define OP(id, name, domain, since, in_min, in_max, out_min, out_max, tier, infer, cost, kernel, ...)        \
    TG_KERNEL_##tier(kernel)
#include "ops.def"
#undef OP
#undef TG_KERNEL_PRIMITIVE
#undef TG_KERNEL_COMPOSITE
#undef TG_KERNEL_KEPT

/* --- carriers ------------------------------------------------------------------------------------------- */

static inline TgCarrier eval_carrier(TgDtype t)
{
    TgClass k = tg_dtype_class(t);
    return k == TG_CLASS_S ? TG_C_BYTES : k == TG_CLASS_F || k == TG_CLASS_C ? TG_C_REAL : TG_C_INT;
}

static inline bool eval_is_real(const TgArray *a)
{
    return eval_carrier(a->dtype) == TG_C_REAL;
}
static inline int64_t *eval_ints_of(const TgArray *a)
{
    return a->data;
} /* TG_C_INT */
static inline size_t eval_element(const TgEvalCall *c, const TgArray *a)
{
    return tg_array_element(c->mode, a->dtype);
}

/* --- operands and results ------------------------------------------------------------------------------- */

/* Operand i; NULL where absent or beyond the node's inputs. */
static inline const TgArray *eval_in(const TgEvalCall *c, uint32_t i)
{
    return i < c->n->n_in ? c->in[i] : NULL;
}

/* Allocates output i, uninitialised; checks rank and size. Outputs beyond n_out are made too, and dropped:
 * a kernel need not ask which of its outputs exist as long as c->out has room, which it has for all that
 * ops.def allows, up to TG_EVAL_OUTS; variadic outputs are n->n_out. */
enum { TG_EVAL_OUTS = 4 };
bool eval_out(TgEvalCall *c, uint32_t i, TgDtype dtype, int32_t rank, const int64_t *dim);
bool eval_out_like(TgEvalCall *c, uint32_t i, const TgArray *a); /* its type and shape */

/* Integer operand `slot` (any rank up to 1) as a list; at most `max` numbers. Absent: *n = 0. */
bool eval_int_list(TgEvalCall *c, uint32_t slot, uint32_t max, int64_t *list, uint32_t *n);
/* listed[i]: operand `slot` lists axis i of `rank`; *n axes in all, none of them twice. */
bool eval_axes(TgEvalCall *c, uint32_t slot, int32_t rank, bool *listed, uint32_t *n);
/* Operand `slot` is there and its elements are integers or bool. */
bool eval_needs_ints(TgEvalCall *c, uint32_t slot);
/* Operand `slot` as one number of any type; `otherwise` where it is absent. */
bool eval_one_int(TgEvalCall *c, uint32_t slot, int64_t otherwise, int64_t *value);
bool eval_one_float(TgEvalCall *c, uint32_t slot, double otherwise, double *value);
/* Brings `axis` from [-rank, rank) to [0, rank). */
bool eval_axis(TgEvalCall *c, int64_t axis, int32_t rank, int32_t *out);
/* Brings `index` from [-size, size) to [0, size). */
bool eval_index(TgEvalCall *c, int64_t index, int64_t size, int64_t *out);
/* Element i of a real or integer array as a number. */
static inline double eval_real(const TgEvalCall *c, const TgArray *a, int64_t i)
{
    return tg_array_float(c->mode, a, i);
}

/* What the operands must hold, one letter each: r reals, i integers or bools, ? anything. Absent ones pass.
 */
bool eval_holds(TgEvalCall *c, const char *letters);

/* Refusals: "operand 2 has shape [3,4], which does not fit here: <why>". All return false. */
bool eval_bad_shape(TgEvalCall *c, uint32_t slot, const char *why);
bool eval_bad_value(TgEvalCall *c, const char *what, int64_t value);
bool eval_bad_type(TgEvalCall *c, TgDtype dtype);

/* Runs a kernel for reals on integer operands: all operands become float64, results of float64 the type of
 * operand 0. */
bool eval_by_reals(TgEvalCall *c, bool (*kernel)(TgEvalCall *c));

/* --- the finite field (eval_field.c) -------------------------------------------------------------------- */

bool eval_in_field(TgEvalCall *c, bool (*kernel)(TgEvalCall *c)); /* the call, in whatever way the field has */
bool eval_field_softmax(TgEvalCall *c);
double eval_field_shadow(TgFelt x);

/* A cast between float types loses digits. */
bool eval_narrows(TgDtype from, TgDtype to);
/* A widened number fits into the type that it came from, wherever it is moved: that of the results of c, where
 * known. */
TgDtype eval_fitting_type(const TgEvalCall *c);

/* --- shapes --------------------------------------------------------------------------------------------- */

/* Row-major strides in elements; returns the element count (shape of an array: no overflow). */
int64_t eval_strides(int32_t rank, const int64_t *dim, int64_t *stride);
int64_t eval_count(const int64_t *dim, int32_t from, int32_t to); /* product of dim[from..to) of an array */
/* ONNX broadcasting of two shapes; false where they do not fit (nothing recorded). May work in place. */
bool eval_broadcast(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b, int32_t *rank,
                    int64_t *out);
/* Strides that read `a` as if it had been broadcast to the shape `dim`: 0 along repeated axes. */
void eval_broadcast_strides(const TgArray *a, int32_t rank, int64_t *stride);
/* The next index in row-major order, updating n_offsets offsets by their strides; false after the last one.
 */
bool eval_next(int32_t rank, const int64_t *dim, int64_t *index, uint32_t n_offsets, int64_t *offset,
               const int64_t (*stride)[TG_EVAL_RANK]);

/* --- arrays (eval_array.c; the public part is in eval.h) ------------------------------------------------ */

TgArray eval_items_new(Tg *tg, TgKind kind, TgDtype dtype,
                       uint32_t n); /* a sequence or optional of n empty items */
/* A copy of `a` (carrier of mode `from`) in the carrier of mode `to`, or `a` shared where they agree. */
TgArray eval_convert(Tg *tg, const TgArray *a, TgEvalMode from, TgEvalMode to);
/* Rounds and wraps the elements to their type: `outer` is the mode that was asked for, `inner` that of the
 * carrier. */
void eval_finish(TgEvalMode outer, TgEvalMode inner, TgArray *a);

/* --- subgraphs: control flow ---------------------------------------------------------------------------- */

/* Runs sub number `sub` of c->n for its formal inputs; `out` (as many as the graph has outputs) is the
 * caller's. */
bool eval_subgraph(TgEvalCall *c, uint32_t sub, uint32_t n_in, const TgArray *const *in, TgArray *out);

/* Accounts for work against TgEvalOptions.max_flops; false when that is exceeded (recorded). */
bool eval_spend(TgEvalCall *c, double flops);
/* Accounts for one more round of a loop against max_steps; the same. */
bool eval_round(TgEvalCall *c, const TgGraph *body);

/* Runs body(user, from, to) over [0, n) in c->threads pieces. */
void eval_parallel(const TgEvalCall *c, int64_t n, void (*body)(void *user, int64_t from, int64_t to),
                   void *user);

/* Of the results of a call in the field (eval_degree.c). */
TgDegree eval_degree(const TgEvalCall *c);

#endif
