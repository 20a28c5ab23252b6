/* Attention for ONNX Runtime: the operators of com.microsoft, which it has in every opset and for which it
 * has its fastest kernels. The operator of ai.onnx becomes
 *
 *     MultiHeadAttention  of queries, keys and values, with the vectors that are added to them, and that
 *     Attention           where one product x W + b gives queries, keys and values side by side
 *
 * What hides keys is told in one of two ways: a mask i32[batch, keys] where conditions on keys are all there
 * is (read by attention_mask.c), or the addend itself, where it has the sizes of the scores but for batch and
 * heads. All else (groups of heads, boolean masks, a cap) stays what it is. Needs: attention recognised,
 * projections merged. Breaks: nothing; no pass looks at these again. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "attention.h"
#include "fully_connected.h"

enum { QUERY, KEY, VALUE, MASK, PAST_KEY, PAST_VALUE };

typedef struct {
    TgPass *p;
    TgNodeInfo *n;
    TgValue key_mask, bias; /* 0: none */
    double filter;          /* what key_mask adds where it hides */
} Plan;

/* --- masks -------------------------------------------------------------------------------------------- */

/* The value that a condition is about, laid out as (batch)(keys). 0: it varies along others, too. */
static TgValue along_keys(TgPass *p, Attention *a, const Cond *cond, const Word axes[2])
{
    Trail t = {0};
    uint32_t best = AXES_NO_WAY, at = 0;
    attention_follow(&a->abc, &cond->map, false, &t);
    for (uint32_t i = 0; i < t.n; i++) {
        uint32_t cost = axes_arrange_cost(&a->abc, &t.at[i], 2, axes);
        if (cost <= best && cost < AXES_NO_WAY) {
            best = cost;
            at = i;
        }
    }
    return best < AXES_NO_WAY ? axes_arrange(p, &a->abc, &t.at[at], 2, axes) : 0;
}

/* bool[batch, keys] */
static TgValue seen(TgPass *p, Attention *a, const Cond *cond, const Word axes[2])
{
    TgValue v = along_keys(p, a, cond, axes);
    if (v && cond->kind == COND_IS_ONE) {
        TgValue one = pass_cast(p, pass_int(p, 1), tg_type_of(p->g, v)->dtype);
        v = pass_op(p, TG_Equal, NULL, 2, v, one);
    } else if (v && cond->kind == COND_NOT_ZERO) {
        v = pass_cast(p, v, TG_bool);
    }
    return v && cond->negated ? pass_op(p, TG_Not, NULL, 1, v) : v;
}

static bool hides_keys_only(const Mask *mask)
{
    const Layer *l = &mask->layer[0];
    bool plain = mask->n == 1 && l->n && !l->has_band && !l->has_bias;
    return plain && !l->replaces && !l->is_loose && !l->slice && !isinf(l->hidden);
}

static double filter_of(double hidden)
{
    return absorbs(hidden) ? -FLT_MAX
                           : hidden; /* as exporters write it: these kernels need no other number */
}

/* An input of integers that is called a mask holds zeros and ones: ONNX Runtime's own fusion takes it for that,
 * and so do the inputs that the checks draw. */
static bool holds_zeros_and_ones(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    return info->origin == TG_V_INPUT && !g->outer && info->name && strstr(info->name, "mask") &&
           tg_is_tensor(info->type) && tg_is_integer(info->type->dtype);
}

/* Such an input that is compared with what it can only be is the mask as it is. 0: it is something else. */
static TgValue given_mask(TgPass *p, Attention *a, const Layer *l, const Word axes[2])
{
    const Cond *cond = &l->cond[0];
    bool whole = l->n == 1 && !cond->negated && (cond->kind == COND_IS_ONE || cond->kind == COND_NOT_ZERO);
    TgValue v = whole ? along_keys(p, a, cond, axes) : 0;
    return v && holds_zeros_and_ones(p->g, v) ? v : 0;
}

static bool find_key_mask(Plan *plan, Attention *a)
{
    TgPass *p = plan->p;
    const Layer *l = &a->mask.layer[0];
    Word axes[2] = {a->q.at[0].axis[0], a->keys};
    TgValue all = 0;
    if (!hides_keys_only(&a->mask))
        return false;
    plan->key_mask = given_mask(p, a, l, axes);
    for (uint32_t i = 0; !plan->key_mask && i < l->n; i++) {
        TgValue v = seen(p, a, &l->cond[i], axes);
        if (!v)
            return false;
        all = all ? pass_op(p, TG_And, NULL, 2, all, v) : v;
    }
    if (!plan->key_mask)
        plan->key_mask = all;
    plan->filter = filter_of(l->hidden);
    return (plan->key_mask = pass_cast(p, plan->key_mask, TG_i32)) != 0;
}

/* The addend (1 - m) c of such an m hides where m is 0. */
static bool find_padding(Plan *plan, Attention *a)
{
    TgPass *p = plan->p;
    const Layer *l = &a->mask.layer[0];
    Word axes[2] = {a->q.at[0].axis[0], a->keys};
    Trail t;
    if (a->mask.n != 1 || l->n || l->has_band || !l->has_bias || l->is_loose)
        return false;
    attention_follow(&a->abc, &l->bias, true, &t);
    double c = t.scale[t.n - 1];
    const TgNodeInfo *sub = tg_producer(p->g, t.at[t.n - 1].v, TG_Sub);
    Cond cond = {.kind = COND_BOOL};
    if (!hides(c) || isinf(c) || !sub || !is_splat_of(p->g, sub->in[0], 1) ||
        !axes_operand(&a->abc, &t.at[t.n - 1], sub, 1, &cond.map))
        return false;
    const TgNodeInfo *widened = tg_producer(p->g, cond.map.v, TG_Cast);
    if (!widened)
        return false;
    cond.map.v = widened->in[0];
    attention_follow(&a->abc, &cond.map, false, &t);
    TgValue mask = holds_zeros_and_ones(p->g, t.at[t.n - 1].v) ? along_keys(p, a, &cond, axes) : 0;
    plan->filter = filter_of(c);
    plan->key_mask = mask ? pass_cast(p, mask, TG_i32) : 0;
    return plan->key_mask != 0;
}

/* The addend has the sizes of the scores; batch and heads may be 1. */
static bool find_bias(Plan *plan)
{
    const TgPass *p = plan->p;
    TgValue mask = plan->n->in[MASK], past = in(plan->n, PAST_KEY);
    const TgType *t = tg_type_of(p->g, mask), *q = tg_type_of(p->g, plan->n->in[QUERY]);
    TgDim keys = tg_type_of(p->g, plan->n->in[KEY])->dim[1];
    if (past)
        keys = tg_dim_add(p->tg, keys, tg_type_of(p->g, past)->dim[2]);
    bool fits = t->dtype == q->dtype && t->rank == 4 && (tg_dim_is(t->dim[0], 1) || t->dim[0] == q->dim[0]) &&
                (tg_dim_is(t->dim[1], 1) || tg_dim_is(t->dim[1], tg_attr_int(plan->n, "q_num_heads"))) &&
                t->dim[2] == q->dim[1] && t->dim[3] == keys;
    plan->bias = fits ? mask : 0;
    return fits;
}

static bool find_mask(Plan *plan)
{
    if (!in(plan->n, MASK))
        return true;
    Attention *a = TG_NEW(tg_scratch(plan->p->tg), Attention);
    if (attention_read_operator(plan->p, plan->n, a) &&
        (!a->mask.n || find_key_mask(plan, a) || find_padding(plan, a)))
        return true;
    plan->key_mask = 0;
    return find_bias(plan);
}

/* --- operands of their own ---------------------------------------------------------------------------- */

static const TgAttrs *attributes(const Plan *plan)
{
    const TgNodeInfo *n = plan->n;
    TgAttrBuild b;
    tg_attrs_begin(&b, plan->p->tg);
    tg_attrs_int(&b, "num_heads", tg_attr_int(n, "q_num_heads"));
    if (tg_attr_has(n->attrs, "scale"))
        tg_attrs_float(&b, "scale", (float)tg_attr_float(n, "scale"));
    if (tg_attr_int(n, "is_causal"))
        tg_attrs_int(&b, "unidirectional", 1);
    if (plan->key_mask)
        tg_attrs_float(&b, "mask_filter_value", (float)plan->filter);
    return tg_attrs_end(&b, TG_ms_MultiHeadAttention);
}

static bool gives_presents(const TgPass *p, const TgNodeInfo *n)
{
    return n->n_out > 2 && (is_read(p->g, n->out[1]) || is_read(p->g, n->out[2]));
}

/* The vector that is added to operand `slot` by an Add of its own. 0: none. */
static TgValue added_vector(const Plan *plan, uint32_t slot, TgValue *rest)
{
    const TgGraph *g = plan->p->g;
    TgValue v = plan->n->in[slot];
    const TgNodeInfo *add = tg_used_once(g, v) ? tg_producer(g, v, TG_Add) : NULL;
    for (uint32_t i = 0; add && i < 2; i++)
        if (is_const(g, add->in[i]) && pass_rank(g, add->in[i]) == 1 &&
            pass_dim(g, add->in[i], 0) == pass_dim(g, v, 2) && same_type(g, add->in[1 - i], v)) {
            *rest = add->in[1 - i];
            return add->in[i];
        }
    return 0;
}

/* Vectors of queries, keys and values one behind the other; zeros where there is none. */
static TgValue added_vectors(const Plan *plan, TgValue operand[3])
{
    TgPass *p = plan->p;
    TgValue part[3], rest[3];
    bool any = false;
    const TgDtype dtype = tg_type_of(p->g, operand[0])->dtype;
    const double zero = 0; /* of any type */
    for (uint32_t i = 0; i < 3; i++) {
        int64_t width = pass_dim(p->g, plan->n->in[i], 2);
        rest[i] = operand[i];
        part[i] = added_vector(plan, i, &rest[i]);
        any = any || part[i];
        if (width < 1)
            return 0;
        if (!part[i])
            part[i] = tg_graph_const(p->g, tg_tensor_splat(p->g->arena, dtype, 1, &width, &zero), NULL);
    }
    if (!any)
        return 0;
    p->vouched = true;
    const TgAttrs *rows = tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0);
    TgValue all = pass_op(p, TG_Concat, rows, 3, part[0], part[1], part[2]);
    p->vouched = false;
    for (uint32_t i = 0; all && i < 3; i++)
        operand[i] = rest[i];
    return all;
}

static bool make(const Plan *plan)
{
    TgPass *p = plan->p;
    const TgNodeInfo *n = plan->n;
    TgValue operand[8] = {n->in[QUERY], n->in[KEY], n->in[VALUE]}, old[3], by[3];
    operand[3] = added_vectors(plan, operand);
    operand[4] = plan->key_mask;
    operand[5] = plan->bias;
    operand[6] = in(n, PAST_KEY);
    operand[7] = in(n, PAST_VALUE);
    uint32_t n_in = 8, n_out = gives_presents(p, n) ? 3 : 1, count = 0;
    while (!operand[n_in - 1])
        n_in--;
    TgNode node = tg_graph_add(p->g, TG_ms_MultiHeadAttention, attributes(plan), n_in, operand, n_out);
    for (uint32_t i = 0; node && i < n_out; i++) {
        if (!is_read(p->g, n->out[i]))
            continue;
        old[count] = n->out[i];
        by[count] = tg_node(p->g, node)->out[i];
        if (!same_type(p->g, old[count], by[count]))
            return false;
        count++;
    }
    if (!count)
        return false;
    pass_count(p, "ort-attention");
    return pass_replace_all(p, count, old, by, "ort-attention");
}

/* The diagonal of these operators ends at the last key, that of Attention begins at the first new one. */
static bool has_their_diagonal(const TgPass *p, const TgNodeInfo *n)
{
    const TgType *q = tg_type_of(p->g, n->in[QUERY]), *k = tg_type_of(p->g, n->in[KEY]);
    return !tg_attr_int(n, "is_causal") || q->dim[1] == k->dim[1];
}

/* Neither groups of heads nor anything that these operators do not have. */
static bool is_plain(const TgPass *p, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < 3; i++)
        if (pass_rank(p->g, n->in[i]) != 3 || !target_has_kernel(p, TG_ms_MultiHeadAttention, n->in[i]))
            return false;
    bool grouped = tg_attr_int(n, "q_num_heads") != tg_attr_int(n, "kv_num_heads");
    return !grouped && tg_attr_float(n, "softcap") == 0 && has_their_diagonal(p, n) && attention_is_usual(p, n);
}

static void separate(TgPass *p, TgNodeInfo *n)
{
    Plan plan = {.p = p, .n = n};
    if (!is_plain(p, n))
        pass_explain(p, n,
                     "it has groups of heads, a cap, a Softmax of another precision, more keys than queries under a "
                     "diagonal, or a type that there is no kernel for");
    else if (!find_mask(&plan))
        pass_explain(p, n, "its mask neither hides keys only, nor has the sizes of the scores");
    else
        make(&plan);
}

/* --- operands of one product -------------------------------------------------------------------------- */

enum { MHA_BIAS = 3, MHA_MASK, MHA_ADDEND, MHA_PAST };

/* Queries, keys and values are the parts of one product that nobody else reads. */
static bool projects(TgPass *p, const TgNodeInfo *mha, Fc *fc, int64_t widths[3])
{
    const TgNodeInfo *split = tg_producer(p->g, mha->in[QUERY], TG_Split);
    if (!split || split->n_out != 3 || !tg_used_once(p->g, split->in[0]))
        return false;
    int64_t axis = tg_attr_int(split, "axis");
    for (uint32_t i = 0; i < 3; i++) {
        widths[i] = pass_dim(p->g, split->out[i], 2);
        if (in(mha, i) != split->out[i] || !tg_used_once(p->g, split->out[i]) || widths[i] < 1)
            return false;
    }
    bool last = axis == -1 || axis == 2;
    return last && fc_of(p, split->in[0], fc) && fc->product->op == TG_MatMul && !fc->transposed;
}

static void pack(TgPass *p, const TgNodeInfo *mha)
{
    Fc fc;
    int64_t widths[3];
    TgAttrBuild b;
    if (!target_has_kernel(p, TG_ms_Attention, mha->out[0]) || in(mha, MHA_BIAS) || in(mha, MHA_PAST) ||
        gives_presents(p, mha) || !projects(p, mha, &fc, widths))
        return;
    tg_attrs_from(&b, p->tg, mha->attrs);
    if (widths[QUERY] != widths[VALUE])
        tg_attrs_ints(&b, "qkv_hidden_sizes", 3, widths);
    TgValue mask = in(mha, MHA_MASK), addend = in(mha, MHA_ADDEND);
    uint32_t n_in = addend ? 6 : mask ? 4 : fc.bias ? 3 : 2;
    TgValue made = pass_op(p, TG_ms_Attention, tg_attrs_end(&b, TG_ms_Attention), n_in, fc.x, fc.weight,
                           fc.bias, mask, (TgValue)0, addend);
    if (!made || !same_type(p->g, made, mha->out[0]))
        return;
    pass_count(p, "ort-packed-attention");
    pass_replace(p, mha->out[0], made, "ort-packed-attention");
}

/* --- the pass ----------------------------------------------------------------------------------------- */

void pass_ort_attention(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->dead || !info->n_out || !is_read(p->g, info->out[0]) || !pass_may(p))
            continue;
        TgMark mark = tg_mark(tg_scratch(p->tg));
        if (info->op == TG_Attention)
            separate(p, info);
        else if (info->op == TG_ms_MultiHeadAttention)
            pack(p, info);
        tg_release(tg_scratch(p->tg), mark);
    }
}
