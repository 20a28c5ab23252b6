/* Definitions of composite operators: the door (tg_define) and the builders that definitions are written
 * with.
 *
 * Problem: 150 composite operators, used by the evaluator, the prover and the backends, must each mean one
 * thing. Idea: one function per operator that writes the meaning down as a graph (define_*.c); which
 * function, says ops.def. Invariants: no builder makes a node once the definition failed; integer vectors
 * whose elements are known become constants, so that definitions over static types hold no shape
 * arithmetic. */
#include "define.h"

enum { VECTOR_MAX = TG_MAX_RANK }; /* longest integer vector that is folded */

/* --- the door ------------------------------------------------------------------------------------------- */

typedef bool (*DefineFn)(TgDefine *d);

#define ROW_PRIMITIVE(kernel) NULL
#define ROW_KEPT(kernel) NULL
#define ROW_COMPOSITE(kernel) define_##kernel
static const DefineFn definition[TG_OP_COUNT] = {
#define OP(id, name, domain, since, in_min, in_max, out_min, out_max, tier, infer, cost, kernel, ...) \
    [TG_##id] = ROW_##tier(kernel),
#include "ops.def"
#undef OP
};

/* May a value of type `made` stand for one of type `promised`? */
static bool fits(Tg *tg, const TgType *promised, const TgType *made)
{
    if (promised->kind != TG_TENSOR || made->kind != TG_TENSOR)
        return true;
    if (promised->dtype && made->dtype && promised->dtype != made->dtype)
        return false;
    if (promised->rank >= 0 && made->rank >= 0 && promised->rank != made->rank)
        return false;
    for (int32_t k = 0; k < promised->rank && k < made->rank; k++)
        if (tg_dim_never_equal(tg, promised->dim[k], made->dim[k]))
            return false;
    return true;
}

/* Definitions broadcast freely: with operands that the operator does not take (a scale of more axes than what is
 * scaled), they would give another shape than the one that inference tells everybody. */
static bool keeps_promise(TgDefine *d)
{
    const TgNodeInfo *n = d->n;
    if (n->n_sub)
        return true;
    TgNode self = tg_graph_add(d->into, n->op, n->attrs, n->n_in, d->in, n->n_out);
    bool good = self != 0;
    for (uint32_t i = 0; good && i < n->n_out; i++)
        good = !d->out[i] ||
               fits(d->tg, tg_type_of(d->into, tg_node(d->into, self)->out[i]), tg_type_of(d->into, d->out[i]));
    if (self)
        tg_remove(d->into, self);
    return good || (self && define_refuse(d, "its operands do not fit"));
}

bool tg_define(TgGraph *into, const TgGraph *g, const TgNodeInfo *n, const TgValue *in, TgValue *out)
{
    TgDefine d = {.tg = into->tg, .into = into, .g = g, .n = n, .in = in, .out = out};
    for (uint32_t i = 0; i < n->n_out; i++)
        out[i] = 0;
    if (!definition[n->op])
        return define_refuse(&d, "it is not composite");
    return definition[n->op](&d) && keeps_promise(&d);
}

bool define_refuse(TgDefine *d, const char *why)
{
    if (!d->failed)
        tg_report(d->tg, TG_E_no_definition, tg_op_text(d->tg, d->n->op), why);
    d->failed = true;
    return false;
}

bool define_done(TgDefine *d)
{
    for (uint32_t i = 0; i < d->n->n_out && !d->failed; i++)
        if (!d->out[i])
            define_refuse(d, "an output is asked for that this form does not have");
    return !d->failed;
}

bool attr_is(TgDefine *d, const char *name, const char *text)
{
    return tg_attr_string(d->tg, d->n, name) == tg_name(d->tg, text);
}

/* --- asking about values -------------------------------------------------------------------------------- */

TgDtype dtype_of(const TgDefine *d, TgValue v)
{
    return d->failed || !v ? TG_undefined : tg_type_of(d->into, v)->dtype;
}

int32_t rank_of(TgDefine *d, TgValue v)
{
    if (d->failed)
        return 0;
    int32_t rank = v ? tg_type_of(d->into, v)->rank : -1;
    if (rank < 0)
        define_refuse(d, "the rank of an operand is not known");
    return rank < 0 ? 0 : rank;
}

int64_t axis_of(TgDefine *d, TgValue v, int64_t axis)
{
    int32_t rank = rank_of(d, v);
    if (d->failed)
        return 0;
    int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank)
        define_refuse(d, "an axis lies outside of its operand");
    return d->failed ? 0 : at;
}

TgDim dim_of(TgDefine *d, TgValue v, int64_t axis)
{
    int64_t at = axis_of(d, v, axis);
    return d->failed ? tg_dim(d->tg, 1) : tg_type_of(d->into, v)->dim[at];
}

bool known_dim(TgDefine *d, TgValue v, int64_t axis, int64_t *n)
{
    return tg_dim_known(dim_of(d, v, axis), n);
}

int64_t need_dim(TgDefine *d, TgValue v, int64_t axis)
{
    int64_t n = 1;
    if (!known_dim(d, v, axis, &n))
        define_refuse(d, "a size must be a constant");
    return n;
}

/* --- constants ------------------------------------------------------------------------------------------ */

static TgValue constant(TgDefine *d, const TgTensor *t)
{
    return d->failed ? 0 : tg_graph_const(d->into, t, NULL);
}

TgValue num_of(TgDefine *d, TgDtype dtype, double x)
{
    bool numeric = tg_is_float(dtype) || tg_is_integer(dtype) || dtype == TG_bool;
    if (d->failed || (!numeric && !define_refuse(d, "the element type of an operand is not known, or no number")))
        return 0;
    TgArena *arena = d->into->arena;
    return constant(d, tg_is_float(dtype) ? tg_tensor_scalar_float(arena, dtype, x)
                                          : tg_tensor_scalar_int(arena, dtype, tg_truncate(x)));
}

TgValue num(TgDefine *d, TgValue like, double x) { return num_of(d, dtype_of(d, like), x); }

TgValue ints(TgDefine *d, uint32_t n, const int64_t *x)
{
    return constant(d, tg_tensor_ints(d->into->arena, n, x));
}

TgValue int1(TgDefine *d, int64_t x) { return ints(d, 1, &x); }

TgValue int0(TgDefine *d, int64_t x) { return num_of(d, TG_i64, (double)x); }

/* --- nodes ---------------------------------------------------------------------------------------------- */

bool def_nodes(TgDefine *d, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out,
               TgValue *out)
{
    if (d->failed)
        return false;
    TgNode node = tg_graph_add(d->into, op, attrs, n_in, in, n_out);
    if (!node)
        return d->failed = true, false;
    for (uint32_t i = 0; i < n_out; i++)
        out[i] = tg_node(d->into, node)->out[i];
    return true;
}

TgValue def_node(TgDefine *d, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in)
{
    TgValue out = 0;
    return def_nodes(d, op, attrs, n_in, in, 1, &out) ? out : 0;
}

TgValue op1(TgDefine *d, TgOp op, TgValue x) { return def_node(d, op, NULL, 1, &x); }

TgValue op2(TgDefine *d, TgOp op, TgValue x, TgValue y)
{
    return def_node(d, op, NULL, 2, (TgValue[]){x, y});
}

TgValue op3(TgDefine *d, TgOp op, TgValue x, TgValue y, TgValue z)
{
    return def_node(d, op, NULL, 3, (TgValue[]){x, y, z});
}

TgValue op_axis(TgDefine *d, TgOp op, int64_t axis, uint32_t n_in, const TgValue *in)
{
    return d->failed ? 0 : def_node(d, op, tg_attrs(d->tg, op, "axis=i", axis), n_in, in);
}

TgValue Cast(TgDefine *d, TgValue x, TgDtype to)
{
    if (d->failed || dtype_of(d, x) == to)
        return x;
    return def_node(d, TG_Cast, tg_attrs(d->tg, TG_Cast, "to=i", (int64_t)to), 1, &x);
}

/* Zeros mean "no elements" unless a -1 is there, which ONNX allows together with "copy" zeros only. Sizes that only a
 * run tells may be zero as well. */
static bool zeros_are_literal(const TgDefine *d, TgValue shape)
{
    const TgValueInfo *v = tg_value(d->into, shape);
    int64_t size[VECTOR_MAX], count;
    uint32_t n;
    bool literal = true;
    if (tg_const_ints(d->into, shape, VECTOR_MAX, size, &n)) {
        for (uint32_t i = 0; i < n; i++)
            literal &= size[i] != -1;
        return literal;
    }
    literal = v->symbolic && tg_type_numel(v->type, &count);
    for (int64_t i = 0; literal && i < count; i++)
        literal = !tg_dim_known(v->symbolic[i], size) || *size != -1;
    return literal;
}

TgValue Reshape(TgDefine *d, TgValue x, TgValue shape)
{
    if (d->failed)
        return 0;
    const TgAttrs *attrs = tg_attrs(d->tg, TG_Reshape, "allowzero=i", (int64_t)zeros_are_literal(d, shape));
    return def_node(d, TG_Reshape, attrs, 2, (TgValue[]){x, shape});
}

TgValue Unsqueeze(TgDefine *d, TgValue x, int64_t axis) { return op2(d, TG_Unsqueeze, x, int1(d, axis)); }

TgValue Squeeze(TgDefine *d, TgValue x, int64_t axis) { return op2(d, TG_Squeeze, x, int1(d, axis)); }

TgValue Transpose(TgDefine *d, TgValue x, uint32_t n, const int64_t *perm)
{
    if (d->failed)
        return 0;
    TgAttrBuild b;
    tg_attrs_begin(&b, d->tg);
    tg_attrs_ints(&b, "perm", n, perm);
    return def_node(d, TG_Transpose, tg_attrs_end(&b, TG_Transpose), 1, &x);
}

TgValue MoveAxis(TgDefine *d, TgValue x, int64_t from, int64_t to)
{
    int64_t perm[TG_MAX_RANK];
    int32_t rank = rank_of(d, x), n = 0;
    from = axis_of(d, x, from), to = axis_of(d, x, to);
    for (int32_t source = 0; n < rank; n++) {
        if (n != to)
            source += source == from;
        perm[n] = n == to ? from : source++;
    }
    return Transpose(d, x, (uint32_t)rank, perm);
}

TgValue SwapLast(TgDefine *d, TgValue x) { return MoveAxis(d, x, -1, -2); }

TgValue Gather(TgDefine *d, TgValue x, TgValue indices, int64_t axis)
{
    return op_axis(d, TG_Gather, axis, 2, (TgValue[]){x, indices});
}

TgValue SliceBy(TgDefine *d, TgValue x, int64_t axis, TgValue start, TgValue end, int64_t step)
{
    return def_node(d, TG_Slice, NULL, 5, (TgValue[]){x, start, end, int1(d, axis), int1(d, step)});
}

TgValue Slice(TgDefine *d, TgValue x, int64_t axis, int64_t start, int64_t end)
{
    return SliceBy(d, x, axis, int1(d, start), int1(d, end), 1);
}

TgValue Concat(TgDefine *d, int64_t axis, uint32_t n, const TgValue *parts)
{
    return op_axis(d, TG_Concat, axis, n, parts);
}

TgValue Reduce(TgDefine *d, TgOp op, TgValue x, uint32_t n, const int64_t *axes)
{
    return n ? op2(d, op, x, ints(d, n, axes)) : op1(d, op, x);
}

TgValue ReduceAll(TgDefine *d, TgOp op, TgValue x)
{
    return d->failed ? 0 : def_node(d, op, tg_attrs(d->tg, op, "keepdims=i", (int64_t)0), 1, &x);
}

TgValue Softmax(TgDefine *d, TgValue x, int64_t axis) { return op_axis(d, TG_Softmax, axis, 1, &x); }

TgValue Range(TgDefine *d, TgValue start, TgValue end, TgValue step)
{
    return op3(d, TG_Range, start, end, step);
}

TgValue Counting(TgDefine *d, TgValue size)
{
    return Range(d, int0(d, 0), Squeeze(d, size, 0), int0(d, 1));
}

TgValue Fill(TgDefine *d, TgValue shape, TgDtype dtype, double x)
{
    return Expand(d, num_of(d, dtype, x), shape);
}

/* --- sizes ---------------------------------------------------------------------------------------------- */

static bool known_ints(const TgDefine *d, TgValue v, int64_t *x, uint32_t *n)
{
    return !d->failed && tg_const_ints(d->into, v, VECTOR_MAX, x, n);
}

TgValue Shape(TgDefine *d, TgValue x, int64_t start, int64_t end)
{
    int32_t rank = rank_of(d, x);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end > rank ? rank : end;
    int64_t size[VECTOR_MAX];
    uint32_t n = 0;
    for (int64_t axis = start; axis < end && known_dim(d, x, axis, &size[n]); axis++)
        n++;
    if (n == end - start || d->failed)
        return ints(d, n, size);
    return def_node(d, TG_Shape, tg_attrs(d->tg, TG_Shape, "start=i end=i", start, end), 1, &x);
}

TgValue size_of(TgDefine *d, TgValue x, int64_t axis)
{
    int64_t at = axis_of(d, x, axis);
    return Shape(d, x, at, at + 1);
}

static int64_t apply(TgOp op, int64_t a, int64_t b)
{
    switch (op) {
    case TG_Add: return a + b;
    case TG_Sub: return a - b;
    case TG_Mul: return a * b;
    case TG_Div: return b ? a / b : 0;
    default: return a > b ? a : b; /* TG_Max */
    }
}

/* Sizes that come from a file may be anything: what leaves this range is left to the node and its checks. */
static bool small(int64_t x) { return x > -(1LL << 31) && x < (1LL << 31); }

TgValue size_op(TgDefine *d, TgOp op, TgValue a, TgValue b)
{
    int64_t x[VECTOR_MAX], y[VECTOR_MAX];
    uint32_t n = 0, m = 0;
    bool fold = known_ints(d, a, x, &n) && known_ints(d, b, y, &m) && (n == m || m == 1);
    for (uint32_t i = 0; fold && i < n; i++) {
        int64_t second = y[m == 1 ? 0 : i];
        fold = small(x[i]) && small(second);
        if (fold)
            x[i] = apply(op, x[i], second);
    }
    return fold ? ints(d, n, x) : op2(d, op, a, b);
}

TgValue shape_from(TgDefine *d, uint32_t n, const TgValue *sizes)
{
    int64_t all[VECTOR_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t part[VECTOR_MAX];
        uint32_t k = 0;
        if (!known_ints(d, sizes[i], part, &k) || count + k > VECTOR_MAX)
            return Concat(d, 0, n, sizes);
        for (uint32_t j = 0; j < k; j++)
            all[count++] = part[j];
    }
    return ints(d, count, all);
}
