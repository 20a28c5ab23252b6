/* Private to ir/define*.c: how a definition is written.
 *
 * A definition is a function `bool define_<kernel>(TgDefine *d)`, one per COMPOSITE row of ops.def
 * (declared below from that table). It reads the node d->n, builds simpler nodes over d->in in the graph
 * d->into, and sets d->out. The builders carry ONNX's own names, so that a definition reads like the
 * formula of the standard:
 *
 *     d->out[0] = Mul(d, x, Sigmoid(d, x));
 *     return define_done(d);
 *
 * Failure is sticky: the first builder that fails sets d->failed (its diagnostic is recorded), every later
 * one gives 0 at once, and define_done answers for all. So no definition tests a builder's result.
 *
 * Two callers: the evaluator (all dims known, small integer inputs are constants), and passes (dims may be
 * symbolic). Sizes are therefore values, i64[1]: constants where the size is known, else cut from Shape.
 * Builders of integer vectors fold constants, so that in the first case no shape arithmetic is left. */
#ifndef TG_DEFINE_H
#define TG_DEFINE_H

#include "graph.h"

typedef struct TgDefine {
    Tg *tg;
    TgGraph *into;       /* where the new nodes go */
    const TgGraph *g;    /* where n lives; may be NULL for nodes that stand alone */
    const TgNodeInfo *n; /* what is defined: op, attributes, number of inputs and outputs */
    const TgValue *in;   /* values of `into`, one per input of n; 0: absent */
    TgValue *out;        /* one per output of n, to be set (also those that nobody reads) */
    bool failed;
} TgDefine;

#define DEFINE_PRIMITIVE(kernel)
#define DEFINE_KEPT(kernel)
#define DEFINE_COMPOSITE(kernel) bool define_##kernel(TgDefine *d);
#define OP(id, name, domain, since, in_min, in_max, out_min, out_max, tier, infer, cost, kernel, ...) \
    DEFINE_##tier(kernel)
#include "ops.def"
#undef OP
#undef DEFINE_PRIMITIVE
#undef DEFINE_KEPT
#undef DEFINE_COMPOSITE

/* --- the definition's own node -------------------------------------------------------------------------- */

bool define_done(TgDefine *d);                      /* `return define_done(d);` once d->out is set */
bool define_refuse(TgDefine *d, const char *why);   /* this form has no definition: records, false */
/* Input i, 0 where it is absent or behind the last one. */
static inline TgValue arg(const TgDefine *d, uint32_t i) { return i < d->n->n_in ? d->in[i] : 0; }
static inline bool wants(const TgDefine *d, uint32_t i) { return i < d->n->n_out; }
static inline void give(TgDefine *d, uint32_t i, TgValue v)
{
    if (wants(d, i))
        d->out[i] = v;
}
static inline int64_t attr_i(const TgDefine *d, const char *name) { return tg_attr_int(d->n, name); }
static inline double attr_f(const TgDefine *d, const char *name) { return tg_attr_float(d->n, name); }
static inline bool attr_given(const TgDefine *d, const char *name) { return tg_attr_has(d->n->attrs, name); }
bool attr_is(TgDefine *d, const char *name, const char *text); /* string attribute, default included */

/* --- asking about values -------------------------------------------------------------------------------- */

TgDtype dtype_of(const TgDefine *d, TgValue v);     /* TG_undefined once failed */
int32_t rank_of(TgDefine *d, TgValue v);            /* 0 once failed; an unknown rank is refused */
TgDim dim_of(TgDefine *d, TgValue v, int64_t axis); /* axis may be negative; out of range is refused */
bool known_dim(TgDefine *d, TgValue v, int64_t axis, int64_t *n);
int64_t need_dim(TgDefine *d, TgValue v, int64_t axis); /* refuses where it is not a constant; 1 then */
int64_t axis_of(TgDefine *d, TgValue v, int64_t axis);  /* 0 <= result < rank; out of range is refused */

/* --- constants ------------------------------------------------------------------------------------------ */

TgValue num(TgDefine *d, TgValue like, double x);        /* scalar of the element type of `like` */
TgValue num_of(TgDefine *d, TgDtype dtype, double x);
TgValue ints(TgDefine *d, uint32_t n, const int64_t *x); /* i64[n] */
TgValue int1(TgDefine *d, int64_t x);                   /* i64[1] */
TgValue int0(TgDefine *d, int64_t x);                   /* i64[] */

/* --- nodes ---------------------------------------------------------------------------------------------- */

/* Any node; output 0. attrs NULL: none. Entries of `in` may be 0 (absent). */
TgValue def_node(TgDefine *d, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in);
/* The same with all outputs, into out[0 .. n_out). False: failed. */
bool def_nodes(TgDefine *d, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out,
               TgValue *out);
/* Without attributes; with `axis` only. */
TgValue op1(TgDefine *d, TgOp op, TgValue x);
TgValue op2(TgDefine *d, TgOp op, TgValue x, TgValue y);
TgValue op3(TgDefine *d, TgOp op, TgValue x, TgValue y, TgValue z);
TgValue op_axis(TgDefine *d, TgOp op, int64_t axis, uint32_t n_in, const TgValue *in);

#define DEFINE_OP1(Name) \
    static inline TgValue Name(TgDefine *d, TgValue x) { return op1(d, TG_##Name, x); }
#define DEFINE_OP2(Name) \
    static inline TgValue Name(TgDefine *d, TgValue x, TgValue y) { return op2(d, TG_##Name, x, y); }
DEFINE_OP1(Abs)
DEFINE_OP1(Neg)
DEFINE_OP1(Exp)
DEFINE_OP1(Log)
DEFINE_OP1(Sqrt)
DEFINE_OP1(Reciprocal)
DEFINE_OP1(Sin)
DEFINE_OP1(Cos)
DEFINE_OP1(Tanh)
DEFINE_OP1(Sigmoid)
DEFINE_OP1(Softplus)
DEFINE_OP1(Erf)
DEFINE_OP1(Floor)
DEFINE_OP1(Round)
DEFINE_OP1(Sign)
DEFINE_OP1(Not)
DEFINE_OP1(IsNaN)
DEFINE_OP1(Identity)
DEFINE_OP2(Add)
DEFINE_OP2(Sub)
DEFINE_OP2(Mul)
DEFINE_OP2(Div)
DEFINE_OP2(Pow)
DEFINE_OP2(Mod)
DEFINE_OP2(Max)
DEFINE_OP2(Min)
DEFINE_OP2(And)
DEFINE_OP2(Or)
DEFINE_OP2(Equal)
DEFINE_OP2(Less)
DEFINE_OP2(LessOrEqual)
DEFINE_OP2(Greater)
DEFINE_OP2(GreaterOrEqual)
DEFINE_OP2(BitwiseAnd)
DEFINE_OP2(MatMul)
DEFINE_OP2(Expand)  /* (x, shape) */
#undef DEFINE_OP1
#undef DEFINE_OP2
static inline TgValue Where(TgDefine *d, TgValue c, TgValue x, TgValue y)
{
    return op3(d, TG_Where, c, x, y);
}
static inline TgValue Square(TgDefine *d, TgValue x) { return Mul(d, x, x); }

TgValue Cast(TgDefine *d, TgValue x, TgDtype to);            /* x itself where it has that type */
static inline TgValue CastLike(TgDefine *d, TgValue x, TgValue y) { return Cast(d, x, dtype_of(d, y)); }
TgValue Reshape(TgDefine *d, TgValue x, TgValue shape);      /* zeros mean zero, unless there is a -1 */
TgValue Shape(TgDefine *d, TgValue x, int64_t start, int64_t end); /* sizes [start, end) */
TgValue Unsqueeze(TgDefine *d, TgValue x, int64_t axis);
TgValue Squeeze(TgDefine *d, TgValue x, int64_t axis);
TgValue Transpose(TgDefine *d, TgValue x, uint32_t n, const int64_t *perm);
TgValue SwapLast(TgDefine *d, TgValue x);                    /* the last two axes exchanged */
TgValue MoveAxis(TgDefine *d, TgValue x, int64_t from, int64_t to);
TgValue Gather(TgDefine *d, TgValue x, TgValue indices, int64_t axis);
TgValue Slice(TgDefine *d, TgValue x, int64_t axis, int64_t start, int64_t end);
TgValue SliceBy(TgDefine *d, TgValue x, int64_t axis, TgValue start, TgValue end, int64_t step);
TgValue Concat(TgDefine *d, int64_t axis, uint32_t n, const TgValue *parts);
static inline TgValue Concat2(TgDefine *d, int64_t axis, TgValue a, TgValue b)
{
    return Concat(d, axis, 2, (TgValue[]){a, b});
}
/* keepdims = 1; n axes (0: all of them), negative ones too. */
TgValue Reduce(TgDefine *d, TgOp op, TgValue x, uint32_t n, const int64_t *axes);
static inline TgValue Reduce1(TgDefine *d, TgOp op, TgValue x, int64_t axis)
{
    return Reduce(d, op, x, 1, &axis);
}
TgValue ReduceAll(TgDefine *d, TgOp op, TgValue x); /* to a scalar of rank 0 */
TgValue Softmax(TgDefine *d, TgValue x, int64_t axis);
TgValue Range(TgDefine *d, TgValue start, TgValue end, TgValue step); /* scalars */
TgValue Counting(TgDefine *d, TgValue size);                          /* i64: 0 .. size - 1 */
TgValue Fill(TgDefine *d, TgValue shape, TgDtype dtype, double x);    /* that shape, all x */

/* --- sizes: i64[1], or i64[n] for shapes; folded where they are constants ------------------------------- */

TgValue size_of(TgDefine *d, TgValue x, int64_t axis);
/* Add, Sub, Mul, Div or Max; b may be of one element. */
TgValue size_op(TgDefine *d, TgOp op, TgValue a, TgValue b);
static inline TgValue size_add(TgDefine *d, TgValue a, TgValue b) { return size_op(d, TG_Add, a, b); }
static inline TgValue size_sub(TgDefine *d, TgValue a, TgValue b) { return size_op(d, TG_Sub, a, b); }
static inline TgValue size_mul(TgDefine *d, TgValue a, TgValue b) { return size_op(d, TG_Mul, a, b); }
static inline TgValue size_div(TgDefine *d, TgValue a, TgValue b) { return size_op(d, TG_Div, a, b); }
TgValue shape_from(TgDefine *d, uint32_t n, const TgValue *sizes);    /* concatenation of i64[k] */
#define ShapeOf(d, ...) \
    shape_from((d), (uint32_t)(sizeof((TgValue[]){__VA_ARGS__}) / sizeof(TgValue)), (TgValue[]){__VA_ARGS__})

#endif
