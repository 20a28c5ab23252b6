/* Small algebra: constants meet each other, inverse operators vanish into their neighbours, MatMul and its bias become
 * Gemm where the rank is 2, a Gemm between two Reshapes becomes what it stands for.
 * One function per kind of node; each answers with the value that may take the place of output 0, or 0. */
#include "pass.h"

static TgNodeInfo *only_reader_of(const TgGraph *g, TgValue v, TgOp op)
{
    TgNodeInfo *n = tg_producer(g, v, op);
    return n && tg_used_once(g, v) ? n : NULL;
}

static bool is_floating(const TgGraph *g, TgValue v)
{
    return tg_is_float(tg_type_of(g, v)->dtype);
}

/* The operand of a binary node that is a constant small enough to be worth combining: 0, 1; -1: none. */
static int constant_side(const TgGraph *g, const TgNodeInfo *n)
{
    for (int i = 1; i >= 0; i--)
        if (is_const(g, n->in[i]) && !is_const(g, n->in[1 - i]))
            return i;
    return -1;
}

/* (x + a) + b = x + (a + b), (x a) b = x (a b): reassociated. */
static TgValue combine(TgPass *p, TgNodeInfo *n)
{
    int outer = constant_side(p->g, n);
    TgNodeInfo *below = outer < 0 ? NULL : only_reader_of(p->g, n->in[1 - outer], n->op);
    int inner = below ? constant_side(p->g, below) : -1;
    if (inner < 0 || !is_floating(p->g, n->out[0]))
        return 0;
    TgValue both = pass_op(p, n->op, NULL, 2, below->in[inner], n->in[outer]);
    return both ? pass_op(p, n->op, NULL, 2, below->in[1 - inner], both) : 0;
}

/* (x a) / b = x (a / b), (x / a) b = x (b / a), (x / a) / b = x / (a b): constants a, b. */
static TgValue combine_division(TgPass *p, TgNodeInfo *n)
{
    int outer = constant_side(p->g, n);
    if (outer < 0 || (n->op == TG_Div && outer == 0) || !is_floating(p->g, n->out[0]))
        return 0;
    TgValue v = n->in[1 - outer], b = n->in[outer];
    TgNodeInfo *mul = n->op == TG_Div ? only_reader_of(p->g, v, TG_Mul) : NULL, *div = only_reader_of(p->g, v, TG_Div);
    int inner = mul ? constant_side(p->g, mul) : div ? constant_side(p->g, div) : -1;
    if (inner < 0 || (div && inner == 0))
        return 0;
    TgValue a = (mul ? mul : div)->in[inner], x = (mul ? mul : div)->in[1 - inner];
    bool divides = div && n->op == TG_Div;
    TgValue both = divides ? pass_op(p, TG_Mul, NULL, 2, a, b) : mul ? pass_op(p, TG_Div, NULL, 2, a, b)
                                                                   : pass_op(p, TG_Div, NULL, 2, b, a);
    return both ? pass_op(p, divides ? TG_Div : TG_Mul, NULL, 2, x, both) : 0;
}

/* y with 1 / y = v; 0: v is no reciprocal. */
static TgValue reciprocal_of(const TgGraph *g, TgValue v)
{
    TgNodeInfo *n = only_reader_of(g, v, TG_Reciprocal);
    if (n)
        return n->in[0];
    n = only_reader_of(g, v, TG_Div);
    return n && is_splat_of(g, n->in[0], 1) && same_type(g, n->in[1], v) ? n->in[1] : 0;
}

static TgValue mul(TgPass *p, TgNodeInfo *n)
{
    for (int i = 1; i >= 0; i--) {
        TgValue y = is_floating(p->g, n->out[0]) ? reciprocal_of(p->g, n->in[i]) : 0;
        if (y)
            return pass_op(p, TG_Div, NULL, 2, n->in[1 - i], y); /* x (1/y) = x / y */
    }
    TgValue made = combine(p, n);
    return made ? made : combine_division(p, n);
}

/* --- FullyConnected ---------------------------------------------------------------------------------------------------- */

/* The bias fits a Gemm whose result has the shape of `out`: it broadcasts into it and does not widen it. */
static bool fits_as_bias(const TgGraph *g, TgValue bias, TgValue product, TgValue out)
{
    return pass_rank(g, bias) >= 0 && pass_rank(g, bias) <= 2 && same_type(g, product, out);
}

static TgValue gemm_with_bias(TgPass *p, TgNodeInfo *n)
{
    for (int i = 0; i < 2; i++) {
        TgNodeInfo *mm = only_reader_of(p->g, n->in[i], TG_MatMul);
        TgValue bias = n->in[1 - i];
        if (mm && pass_rank(p->g, mm->in[0]) == 2 && pass_rank(p->g, mm->in[1]) == 2 && is_floating(p->g, n->out[0]) &&
            fits_as_bias(p->g, bias, mm->out[0], n->out[0]))
            return pass_op(p, TG_Gemm, NULL, 3, mm->in[0], mm->in[1], bias);
    }
    return 0;
}

static TgValue add(TgPass *p, TgNodeInfo *n)
{
    for (int i = 1; i >= 0; i--) {
        TgNodeInfo *neg = only_reader_of(p->g, n->in[i], TG_Neg);
        if (neg)
            return pass_op(p, TG_Sub, NULL, 2, n->in[1 - i], neg->in[0]); /* x + -y = x - y */
    }
    TgValue made = combine(p, n);
    return made ? made : gemm_with_bias(p, n);
}

static TgValue sub(TgPass *p, TgNodeInfo *n)
{
    TgNodeInfo *neg = only_reader_of(p->g, n->in[1], TG_Neg);
    return neg ? pass_op(p, TG_Add, NULL, 2, n->in[0], neg->in[0]) : 0; /* x - -y = x + y */
}

/* Gemm(Transpose(a), ...) and Gemm(a, Transpose(b), ...): into the flags. */
static TgValue gemm(TgPass *p, TgNodeInfo *n)
{
    for (uint32_t i = 0; i < 2; i++) {
        TgNodeInfo *t = only_reader_of(p->g, n->in[i], TG_Transpose);
        if (!t)
            continue;
        const char *flag = i ? "transB" : "transA";
        TgAttrBuild b;
        tg_attrs_from(&b, p->tg, n->attrs);
        tg_attrs_int(&b, flag, !tg_attr_int(n, flag));
        const TgAttrs *attrs = tg_attrs_end(&b, TG_Gemm);
        TgValue x = i == 0 ? t->in[0] : n->in[0], y = i == 1 ? t->in[0] : n->in[1];
        return pass_op(p, TG_Gemm, attrs, n->n_in, x, y, in(n, 2));
    }
    return 0;
}

/* Reshape(Gemm(Reshape(x, [m, k]), W, b), [.., n]) with x of shape [.., k]: MatMul(x, W) + b. */
static TgValue reshaped_gemm(TgPass *p, TgNodeInfo *n)
{
    TgNodeInfo *fc = only_reader_of(p->g, n->in[0], TG_Gemm);
    TgNodeInfo *flat = fc ? only_reader_of(p->g, fc->in[0], TG_Reshape) : NULL;
    if (!flat || fc->attrs != tg_attrs_none(p->tg) || pass_rank(p->g, n->out[0]) < 2 || !is_const(p->g, fc->in[1]))
        return 0;
    TgValue x = flat->in[0];
    const TgType *from = tg_type_of(p->g, x), *to = tg_type_of(p->g, n->out[0]);
    if (from->rank != to->rank || pass_dim(p->g, x, -1) != pass_dim(p->g, fc->in[1], 0) || pass_dim(p->g, x, -1) < 0 ||
        to->dim[to->rank - 1] != tg_type_of(p->g, fc->in[1])->dim[1])
        return 0;
    for (int32_t i = 0; i + 1 < to->rank; i++)
        if (from->dim[i] != to->dim[i])
            return 0;
    bool row = !in(fc, 2) || pass_rank(p->g, fc->in[2]) <= 1 || pass_dim(p->g, fc->in[2], 0) == 1;
    TgValue product = row ? pass_op(p, TG_MatMul, NULL, 2, x, fc->in[1]) : 0;
    if (!product || !in(fc, 2))
        return product;
    TgValue bias = fc->in[2];
    if (pass_rank(p->g, bias) == 2)
        bias = pass_op(p, TG_Squeeze, NULL, 2, bias, pass_ints(p, 1, &(int64_t){0}));
    return bias ? pass_op(p, TG_Add, NULL, 2, product, bias) : 0;
}

static TgValue where(TgPass *p, TgNodeInfo *n)
{
    TgNodeInfo *not = only_reader_of(p->g, n->in[0], TG_Not);
    return not ? pass_op(p, TG_Where, NULL, 3, not->in[0], n->in[2], n->in[1]) : 0;
}

static const struct {
    TgOp op;
    TgValue (*find)(TgPass *p, TgNodeInfo *n);
    const char *rewrite;
} table[] = {
    {TG_Add, add, "add-with-neighbour"},   {TG_Sub, sub, "sub-of-neg"},
    {TG_Mul, mul, "mul-with-neighbour"},   {TG_Div, combine_division, "div-with-neighbour"},
    {TG_Gemm, gemm, "transpose-into-gemm"}, {TG_Reshape, reshaped_gemm, "gemm-between-reshapes"},
    {TG_Where, where, "where-of-not"},
};

static void visit(TgPass *p, TgNodeInfo *n)
{
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].op != n->op || !is_read(p->g, n->out[0]) || !pass_may(p))
            continue;
        TgValue made = table[i].find(p, n);
        if (made && same_type(p->g, made, n->out[0])) {
            pass_count(p, table[i].rewrite);
            pass_replace(p, n->out[0], made, table[i].rewrite);
        }
    }
}

void pass_algebra(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++)
        if (!tg_node(p->g, nodes[i])->dead)
            visit(p, tg_node(p->g, nodes[i]));
}
