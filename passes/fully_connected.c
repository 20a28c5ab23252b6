/* Reading and writing FullyConnecteds, see fully_connected.h. */
#include "fully_connected.h"

TgValue along_last_axis(TgPass *p, TgValue constant, int64_t size)
{
    int64_t dim[TG_MAX_RANK];
    const TgType *t = tg_type_of(p->g, constant);
    if (!is_const(p->g, constant) || !tg_is_float(t->dtype) || !tg_type_static(t, dim))
        return 0;
    for (int32_t i = 0; i + 1 < t->rank; i++)
        if (dim[i] != 1)
            return 0;
    int64_t last = t->rank ? dim[t->rank - 1] : 1;
    if (last != 1 && last != size)
        return 0;
    int32_t wanted = last == 1 ? 0 : 1;
    if (t->rank == wanted)
        return constant;
    return pass_op(p, TG_Reshape, NULL, 2, constant, pass_ints(p, (uint32_t)wanted, &last));
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool plain_gemm(const TgNodeInfo *n)
{
    return tg_attr_float(n, "alpha") == 1 && tg_attr_float(n, "beta") == 1 && !tg_attr_int(n, "transA");
}

bool fc_without_sum(const TgPass *p, TgNodeInfo *n, Fc *fc)
{
    const TgGraph *g = p->g;
    bool gemm = n->op == TG_Gemm;
    if (n->dead || (!gemm && n->op != TG_MatMul) || (gemm && !plain_gemm(n)))
        return false;
    *fc = (Fc){.product = n, .x = n->in[0], .weight = n->in[1], .out = n->out[0]};
    fc->transposed = gemm && tg_attr_int(n, "transB");
    if (!is_const(g, fc->weight) || pass_rank(g, fc->weight) != 2 || is_const(g, fc->x) || pass_rank(g, fc->x) < 1 ||
        !tg_is_float(tg_type_of(g, fc->weight)->dtype) || !tg_is_tensor(tg_type_of(g, fc->out)))
        return false;
    fc->k = pass_dim(g, fc->weight, fc->transposed ? 1 : 0);
    fc->n = pass_dim(g, fc->weight, fc->transposed ? 0 : 1);
    return true;
}

static bool read_product(TgPass *p, TgNodeInfo *n, Fc *fc)
{
    if (!fc_without_sum(p, n, fc))
        return false;
    if (n->op == TG_Gemm && in(n, 2)) {
        fc->bias = along_last_axis(p, n->in[2], fc->n);
        return fc->bias != 0;
    }
    return true;
}

/* The bias that node n adds to its operand `product`; 0: n adds none. */
static TgValue added_bias(TgPass *p, const TgNodeInfo *n, TgValue product, int64_t size)
{
    if (n->op != TG_Add || !same_type(p->g, n->out[0], product))
        return 0;
    TgValue other = n->in[0] == product ? n->in[1] : n->in[0];
    return other == product || !is_const(p->g, other) ? 0 : along_last_axis(p, other, size);
}

bool fc_at(TgPass *p, TgNode product, Fc *fc)
{
    if (!read_product(p, tg_node(p->g, product), fc))
        return false;
    if (fc->bias || !tg_used_once(p->g, fc->out))
        return true;
    TgNodeInfo *reader = tg_node(p->g, tg_value(p->g, fc->out)->uses.at[0].node);
    TgValue bias = added_bias(p, reader, fc->out, fc->n);
    if (bias) {
        fc->bias = bias;
        fc->out = reader->out[0];
    }
    return true;
}

bool fc_of(TgPass *p, TgValue out, Fc *fc)
{
    const TgGraph *g = p->g;
    if (tg_value(g, out)->origin != TG_V_RESULT)
        return false;
    TgNodeInfo *n = tg_node(g, tg_value(g, out)->node);
    if (read_product(p, n, fc))
        return true;
    for (uint32_t i = 0; n->op == TG_Add && i < 2; i++) {
        TgNodeInfo *product = tg_producer(g, n->in[i], TG_MatMul);
        if (product && tg_used_once(g, n->in[i]) && fc_at(p, tg_value(g, n->in[i])->node, fc) && fc->out == out)
            return true;
    }
    return false;
}

bool is_alone(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    return info->origin == TG_V_CONST && info->uses.n <= 1 && !info->returned;
}

bool is_changeable(const TgGraph *g, TgValue v)
{
    const TgTensor *t = tg_const_of(g, v);
    return t && (is_alone(g, v) || t->size <= STORED_TWICE);
}

bool fc_owns_weight(TgPass *p, const Fc *fc)
{
    if (is_changeable(p->g, fc->weight))
        return true;
    pass_explain(p, fc->product, "refused: its weight is read elsewhere too, a changed copy would grow the model");
    return false;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static TgValue as_column(TgPass *p, TgValue vector)
{
    if (pass_rank(p->g, vector) == 0)
        return vector;
    return pass_op(p, TG_Unsqueeze, NULL, 2, vector, pass_ints(p, 1, &(int64_t){1}));
}

TgValue fc_scale_columns(TgPass *p, const Fc *fc, TgValue weight, TgValue by)
{
    TgValue factor = fc->transposed ? as_column(p, by) : by;
    return factor ? pass_op(p, TG_Mul, NULL, 2, weight, factor) : 0;
}

TgValue fc_scale_rows(TgPass *p, const Fc *fc, TgValue weight, TgValue by)
{
    TgValue factor = fc->transposed ? by : as_column(p, by);
    return factor ? pass_op(p, TG_Mul, NULL, 2, weight, factor) : 0;
}

TgValue fc_permute_columns(TgPass *p, const Fc *fc, TgValue weight, TgValue index)
{
    int64_t axis = fc->transposed ? 0 : 1;
    return pass_op(p, TG_Gather, tg_attrs(p->tg, TG_Gather, "axis=i", axis), 2, weight, index);
}

TgValue fc_make(TgPass *p, const Fc *like, TgValue x, TgValue weight, TgValue bias)
{
    const TgAttrs *attrs = like->product->attrs;
    if (!weight)
        return 0;
    if (like->product->op == TG_Gemm)
        return bias ? pass_op(p, TG_Gemm, attrs, 3, x, weight, bias) : pass_op(p, TG_Gemm, attrs, 2, x, weight);
    TgValue product = pass_op(p, TG_MatMul, NULL, 2, x, weight);
    return product && bias ? pass_op(p, TG_Add, NULL, 2, product, bias) : product;
}

TgValue fc_weight_like(TgPass *p, const Fc *like, const Fc *fc)
{
    if (fc->transposed == like->transposed)
        return fc->weight;
    return pass_op(p, TG_Transpose, NULL, 1, fc->weight);
}

TgValue fc_bias_vector(TgPass *p, const Fc *fc)
{
    if (fc->bias && pass_rank(p->g, fc->bias) == 1)
        return fc->bias;
    TgValue one = fc->bias ? fc->bias : pass_float_like(p, fc->weight, 0);
    return pass_op(p, TG_Expand, NULL, 2, one, pass_ints(p, 1, &fc->n));
}
