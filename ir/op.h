/* Operators and attributes. An operator is a row of ops.def; an attribute list is interned, so equality is ==. */
#ifndef TG_OP_H
#define TG_OP_H

#include "tensor.h"

/* --- operators (op.c) --------------------------------------------------------------------------------------------- */

typedef enum {
    TG_opaque, /* not in ops.def: kept as it is; TgNodeInfo.op_name and .domain say what it is */
#define OP(id, ...) TG_##id,
#include "ops.def"
#undef OP
    TG_OP_COUNT
} TgOp;

typedef enum {
    TG_PRIMITIVE, /* has an evaluator */
    TG_COMPOSITE, /* has a definition: a graph of simpler ops (define_*.c) */
    TG_KEPT       /* typed where possible, not evaluated */
} TgTier;

enum { /* traits */
    TG_T_ELEMENTWISE = 1 << 0,  /* output element depends on the operands' elements at that (broadcast) place */
    TG_T_COMMUTATIVE = 1 << 1,  /* operands 0 and 1 (or all of a variadic op) may be exchanged */
    TG_T_ASSOCIATIVE = 1 << 2,
    TG_T_MOVES = 1 << 3,        /* every output element is some element of input 0 (or a constant): no arithmetic */
    TG_T_LINEAR0 = 1 << 4,      /* linear in operand 0 */
    TG_T_LINEAR1 = 1 << 5,
    TG_T_RANDOM = 1 << 6,       /* differs between runs: never folded, merged or compared */
    TG_T_CONTROL = 1 << 7,      /* has subgraphs */
    TG_T_IDEMPOTENT = 1 << 8,   /* f(f(x)) = f(x) */
    TG_T_MONOTONE = 1 << 9,
    TG_T_SHAPE_ONLY = 1 << 10   /* reads only the shape of input 0 */
};

enum { TG_MANY = 0xffff }; /* as a maximum: variadic */

struct TgNodeInfo;
struct TgInfer;
typedef bool (*TgInferFn)(struct TgInfer *);
typedef enum {
#define COST(name) TG_COST_##name,
#include "cost.def"
#undef COST
    TG_COST_COUNT
} TgCostKind;

typedef struct {
    TgName name, domain; /* "" is ai.onnx */
    uint16_t since;      /* first opset of its domain that has it */
    uint16_t in_min, in_max, out_min, out_max;
    TgTier tier;
    uint32_t traits;
    TgCostKind cost;
    TgInferFn infer;
    const char *kernel;  /* primitive: the evaluator's function; composite: the definition's */
    const char *attrs;   /* "axis=i:-1 keepdims=i:1 axes=is mode=s:constant eps=f:1e-5": defaults, where there are some */
} TgOpInfo;

const TgOpInfo *tg_op_info(TgOp op);                                   /* TG_opaque: a row without facts */
TgOp tg_op_find(Tg *tg, const char *domain, const char *name);         /* TG_opaque: not ours. "ai.onnx" is "" */
TgOp tg_op_from_text(Tg *tg, const char *text, size_t n);              /* "Softmax", "com.microsoft.Attention" */
TgName tg_op_text(Tg *tg, TgOp op);
static inline bool tg_op_has(TgOp op, uint32_t traits) { return (tg_op_info(op)->traits & traits) == traits; }

/* --- attributes (attr.c) ------------------------------------------------------------------------------------------ */

typedef enum {
    TG_A_INT, TG_A_FLOAT, TG_A_STRING, TG_A_INTS, TG_A_FLOATS, TG_A_STRINGS, TG_A_TENSOR, TG_A_TENSORS,
    TG_A_TYPE,  /* a TgType */
    TG_A_RAW    /* u.s: a whole AttributeProto, its name included, that we do not model (sparse tensors, odd types) */
} TgAttrKind;   /* graphs are not attributes: see TgNodeInfo.sub */

typedef struct {
    TgName name;
    TgAttrKind kind;
    uint32_t n; /* elements of a list; 1 for scalars */
    union {
        int64_t i;
        float f;
        TgBytes s;
        const int64_t *ints;
        const float *floats;
        const TgBytes *strings;
        const TgTensor *const *tensors; /* also of TG_A_TENSOR: n = 1 */
        const TgType *type;
    } u;
} TgAttr;

/* Sorted by name; never holds a value that equals the operator's default, so that equal meanings are equal lists. */
typedef struct TgAttrs {
    uint32_t n;
    TgAttr at[];
} TgAttrs;

uint64_t tg_attrs_hash(Tg *tg, const TgAttrs *attrs); /* of what they say: the same in every run */

/* A list under construction. */
typedef struct {
    Tg *tg;
    TG_VEC(TgAttr) list;
} TgAttrBuild;

void tg_attrs_begin(TgAttrBuild *b, Tg *tg);
void tg_attrs_from(TgAttrBuild *b, Tg *tg, const TgAttrs *start); /* a changed copy of another list */
void tg_attrs_int(TgAttrBuild *b, const char *name, int64_t i);   /* each replaces an entry of that name */
void tg_attrs_float(TgAttrBuild *b, const char *name, float f);
void tg_attrs_string(TgAttrBuild *b, const char *name, const char *s);
void tg_attrs_ints(TgAttrBuild *b, const char *name, uint32_t n, const int64_t *ints);
void tg_attrs_floats(TgAttrBuild *b, const char *name, uint32_t n, const float *floats);
void tg_attrs_tensor(TgAttrBuild *b, const char *name, const TgTensor *t);
void tg_attrs_put(TgAttrBuild *b, TgAttr attr);                   /* any kind; payload is copied */
void tg_attrs_drop(TgAttrBuild *b, const char *name);
const TgAttrs *tg_attrs_end(TgAttrBuild *b, TgOp op);             /* drops defaults of op, interns */
const TgAttrs *tg_attrs_none(Tg *tg);
/* In one call, by the same letters as ops.def: tg_attrs(tg, TG_Gather, "axis=i", (int64_t)1). Also f (double), s
 * (const char *). */
const TgAttrs *tg_attrs(Tg *tg, TgOp op, const char *format, ...);

const TgAttr *tg_attr_find(const TgAttrs *attrs, const char *name); /* only what is written; NULL otherwise */
/* With the operator's default from ops.def; without one: 0, NULL and n = 0. */
int64_t tg_attr_int(const struct TgNodeInfo *node, const char *name);
double tg_attr_float(const struct TgNodeInfo *node, const char *name);
TgName tg_attr_string(Tg *tg, const struct TgNodeInfo *node, const char *name); /* "" without default */
const int64_t *tg_attr_ints(const struct TgNodeInfo *node, const char *name, uint32_t *n);
const float *tg_attr_floats(const struct TgNodeInfo *node, const char *name, uint32_t *n);
const TgTensor *tg_attr_tensor(const struct TgNodeInfo *node, const char *name);
static inline bool tg_attr_has(const TgAttrs *attrs, const char *name) { return tg_attr_find(attrs, name) != NULL; }

#endif
