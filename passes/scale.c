/* Constants around a FullyConnected go into its weights and bias.
 *
 *     (x W + b) * c = x (W diag(c)) + b * c          c varies along the last axis only, or is one number
 *     (x W + b) + c = x W + (b + c)
 *     (x * c) W + b = x (diag(c) W) + b              for every reader of x * c
 *     (x + c) W + b = x W + (b + c W)                where there is a bias to take it, or a Gemm that can have one
 *     alpha x W + beta b = x (alpha W) + (beta b)    the factors of a Gemm
 *
 * One number commutes with everything linear in between: head splits (Reshape, Transpose ...), and the product of Q and
 * K, so that the scale of attention ends in the weights of Q. Reassociates: equal over the reals, rounding differs.
 * A weight that others read stays as it is (see --explain). */
#include <math.h>

#include "fully_connected.h"
#include "step.h"

/* --- a constant after the FullyConnected -------------------------------------------------------------------------- */

/* x W + b with the step done by weights and bias; 0: it cannot be. */
static TgValue absorb(TgPass *p, const Fc *fc, const Step *s, TgValue c)
{
    TgValue weight = fc->weight, bias = fc->bias;
    if (is_factor(s)) {
        TgValue by = factor_of(p, s, c);
        weight = by ? fc_scale_columns(p, fc, weight, by) : 0;
        bias = bias && by ? pass_op(p, TG_Mul, NULL, 2, bias, by) : bias;
    } else if (s->reversed) {
        TgValue minus = pass_float_like(p, c, -1);
        weight = fc_scale_columns(p, fc, weight, minus);
        bias = bias ? pass_op(p, TG_Sub, NULL, 2, c, bias) : c;
    } else
        bias = pass_op(p, s->node->op, NULL, 2, bias, c);
    return weight ? fc_make(p, fc, fc->x, weight, bias) : 0;
}

/* --- one number, further up --------------------------------------------------------------------------------------- */

static bool moves_only(TgOp op)
{
    return op == TG_Reshape || op == TG_Transpose || op == TG_Squeeze || op == TG_Unsqueeze || op == TG_Flatten ||
           op == TG_Expand || op == TG_Identity;
}

enum { FARTHEST = 16 }; /* values between, before and after a product */

/* The FullyConnected whose result reaches v, multiplied by one number, when it is: nobody reads what lies between. */
static bool fc_behind(TgPass *p, TgValue v, Fc *fc, bool through_product)
{
    for (uint32_t depth = 0; depth < FARTHEST && tg_used_once(p->g, v); depth++) {
        if (fc_of(p, v, fc))
            return true;
        if (tg_value(p->g, v)->origin != TG_V_RESULT)
            break;
        const TgNodeInfo *n = tg_node(p->g, tg_value(p->g, v)->node);
        if (n->op == TG_MatMul && through_product)
            return fc_behind(p, n->in[0], fc, false) || fc_behind(p, n->in[1], fc, false);
        if (!moves_only(n->op) || n->n_out != 1)
            break;
        v = n->in[0];
    }
    return false;
}

/* Multiplies by the number c at fc, from which the result of the step comes by way of what is linear. */
static bool scale_at(TgPass *p, const Step *s, const Fc *fc, TgValue c)
{
    if (!fc_owns_weight(p, fc) || !pass_may(p))
        return false;
    p->vouched = true;
    TgValue made = absorb(p, fc, s, c);
    p->vouched = false;
    if (!made || !same_type(p->g, made, fc->out))
        return false;
    pass_count(p, "scale-into-weight");
    TgValue rebuilt = pass_rebuild(p, s->x, fc->out, made);
    return rebuilt && pass_replace(p, s->node->out[0], rebuilt, "scale-into-weight");
}

static bool scale_far(TgPass *p, const Step *s)
{
    Fc fc;
    TgValue c = is_factor(s) ? along_last_axis(p, s->c, 1) : 0;
    return c && pass_rank(p->g, c) == 0 && fc_behind(p, s->x, &fc, true) && scale_at(p, s, &fc, c);
}

/* --- right after a FullyConnected --------------------------------------------------------------------------------- */

/* Of two in a row, without a bias between step and weights, the smaller weight takes a number: less is written anew. */
static bool scale_smaller_before(TgPass *p, const Step *s, const Fc *fc, TgValue c)
{
    Fc before;
    return is_factor(s) && pass_rank(p->g, c) == 0 && !fc->bias && tg_used_once(p->g, fc->x) &&
           fc_of(p, fc->x, &before) && before.k < fc->n && scale_at(p, s, &before, c);
}

static bool absorb_after(TgPass *p, const Step *s)
{
    Fc fc;
    if (!tg_used_once(p->g, s->x) || !fc_of(p, s->x, &fc) || (!is_factor(s) && !fc.bias))
        return false;
    TgValue c = along_last_axis(p, s->c, fc.n);
    bool changes_weight = is_factor(s) || s->reversed;
    if (c && scale_smaller_before(p, s, &fc, c))
        return true;
    if (!c || (changes_weight && !fc_owns_weight(p, &fc)) || !pass_may(p))
        return false;
    p->vouched = true;
    TgValue made = absorb(p, &fc, s, c);
    p->vouched = false;
    if (!made || !same_type(p->g, made, s->node->out[0]))
        return false;
    const char *name = is_factor(s) ? "mul-into-weight" : "add-into-bias";
    pass_count(p, name);
    pass_replace(p, s->node->out[0], made, name);
    return true;
}

/* --- a constant before FullyConnecteds ---------------------------------------------------------------------------- */

enum { MOST_READERS = 16 };

/* Every reader of v is a FullyConnected over it that owns its weight (and, for sums, takes them). */
static uint32_t fc_readers(TgPass *p, TgValue v, bool need_bias, Fc *fc)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->returned || !info->uses.n || info->uses.n > MOST_READERS)
        return 0;
    for (uint32_t i = 0; i < info->uses.n; i++) {
        TgUse use = info->uses.at[i];
        if (use.slot != 0 || !fc_at(p, use.node, &fc[i]) ||
            (need_bias && !fc_takes_summand(p, &fc[i], info->uses.n)) || !fc_owns_weight(p, &fc[i]))
            return 0;
    }
    return info->uses.n;
}

static TgValue absorb_before(TgPass *p, const Fc *fc, const Step *s, TgValue c)
{
    if (is_factor(s)) {
        TgValue by = factor_of(p, s, c);
        return by ? fc_make(p, fc, s->x, fc_scale_rows(p, fc, fc->weight, by), fc->bias) : 0;
    }
    if (pass_rank(p->g, c) == 0)
        c = pass_op(p, TG_Expand, NULL, 2, c, pass_ints(p, 1, &fc->k));
    TgValue row = c ? pass_op(p, TG_Unsqueeze, NULL, 2, c, pass_ints(p, 1, &(int64_t){0})) : 0;
    TgValue shift =
        row ? pass_op(p, TG_Gemm, fc->transposed ? tg_attrs(p->tg, TG_Gemm, "transB=i", (int64_t)1) : NULL, 2,
                      row, fc->weight)
            : 0;
    shift = shift ? pass_op(p, TG_Squeeze, NULL, 2, shift, pass_ints(p, 1, &(int64_t){0})) : 0;
    if (shift && !fc->bias && s->node->op == TG_Sub)
        shift = pass_op(p, TG_Neg, NULL, 1, shift);
    TgValue bias = shift && fc->bias ? pass_op(p, s->node->op, NULL, 2, fc->bias, shift) : shift;
    return bias ? fc_make(p, fc, s->x, fc->weight, bias) : 0;
}

static bool absorb_by_readers(TgPass *p, const Step *s)
{
    Fc fc[MOST_READERS];
    int64_t size = pass_dim(p->g, s->node->out[0], -1);
    TgValue c = s->reversed || size < 0 ? 0 : along_last_axis(p, s->c, size);
    if (c && (ends_norm_in_pieces_downstream(p, s->node) || ends_gelu_downstream(p, s->node))) {
        pass_explain(p, s->node, "refused: with it ONNX Runtime makes one operator of what is in front of it");
        return false;
    }
    uint32_t n = c ? fc_readers(p, s->node->out[0], !is_factor(s), fc) : 0;
    if (!n || !pass_may(p))
        return false;
    TgValue made[MOST_READERS];
    p->vouched = true;
    bool good = true;
    for (uint32_t i = 0; i < n; i++)
        good = (made[i] = absorb_before(p, &fc[i], s, c)) != 0 && same_type(p->g, made[i], fc[i].out) && good;
    p->vouched = false;
    for (uint32_t i = 0; good && i < n; i++)
        pass_replace(p, fc[i].out, made[i], "constant-into-next-weight");
    if (good)
        pass_count(p, "constant-into-next-weight");
    return good;
}

/* --- factors of a Gemm -------------------------------------------------------------------------------------------- */

static TgValue times(TgPass *p, TgValue v, float factor)
{
    TgValue by = v && factor != 1 ? pass_float_like(p, v, factor) : 0;
    return by ? pass_op(p, TG_Mul, NULL, 2, v, by) : v;
}

/* alpha x W + beta b = x (alpha W) + (beta b): a plain Gemm is a FullyConnected. */
static void take_factors(TgPass *p, TgNodeInfo *n)
{
    Fc fc = {.product = n, .weight = n->in[1]};
    float alpha = (float)tg_attr_float(n, "alpha"), beta = in(n, 2) ? (float)tg_attr_float(n, "beta") : 1;
    bool plain = alpha == 1 && beta == 1;
    if (plain || !isfinite(alpha) || !isfinite(beta) || alpha == 0 || !is_const(p->g, fc.weight) ||
        (beta != 1 && !is_const(p->g, in(n, 2))) || !fc_owns_weight(p, &fc) || !pass_may(p))
        return;
    TgAttrBuild attrs;
    tg_attrs_from(&attrs, p->tg, n->attrs);
    tg_attrs_float(&attrs, "alpha", 1);
    tg_attrs_float(&attrs, "beta", 1);
    fc.product = &(TgNodeInfo){.op = TG_Gemm, .attrs = tg_attrs_end(&attrs, TG_Gemm)};
    p->vouched = true;
    TgValue weight = times(p, fc.weight, alpha), bias = times(p, in(n, 2), beta);
    p->vouched = false;
    TgValue made = fc_make(p, &fc, n->in[0], weight, bias);
    if (made && same_type(p->g, made, n->out[0])) {
        pass_count(p, "factors-of-gemm-into-weight");
        pass_replace(p, n->out[0], made, "factors-of-gemm-into-weight");
    }
}

void pass_scale(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        Step s;
        if (!info->n_out || !is_read(p->g, info->out[0]))
            continue;
        if (info->op == TG_Gemm)
            take_factors(p, info);
        if (!read_step(p, info, &s) || scales_attention_downstream(p, info))
            continue;
        if (is_factor(&s) && !is_sound_factor(p, &s))
            continue;
        if (!absorb_after(p, &s) && !scale_far(p, &s))
            absorb_by_readers(p, &s);
    }
}
