/* Writing masks. Layers become the operand of Attention, and its causal flag where a band says exactly that.
 *
 * Rows that see nothing are what makes this delicate. The operator gives zeros for a row of -inf (ONNX
 * Runtime also for a row of the lowest number), the source NaN or the mean of all values:
 *   - an absorbing number is written as one that is not the lowest, so that such rows stay uniform;
 *   - -inf is left where NaN becomes zero in the source anyway; else a row that may see nothing gets the NaN;
 *   - a band becomes the flag where nothing else can hide the keys that it leaves (key 0 is one of them);
 *   - a guard that makes rows zero which its own conditions hide makes the mask boolean. */
#include <math.h>

#include "attention.h"

enum { DEEP = 14, LARGEST = 1 << 22 };

/* --- biases ------------------------------------------------------------------------------------------- */

static TgValue tame(TgPass *p, TgValue v, uint32_t depth);

static TgValue remake(TgPass *p, const TgNodeInfo *n, uint32_t slot, TgValue made)
{
    TgValue operand[8];
    if (!made || n->n_in > 8 || n->n_out != 1 || n->n_sub)
        return 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        operand[i] = i == slot ? made : n->in[i];
    if (made == n->in[slot])
        return n->out[0];
    TgNode node = tg_graph_add(p->g, n->op, n->attrs, n->n_in, operand, 1);
    return node ? fold_value(p, node) : 0;
}

static TgValue tame_constant(TgPass *p, TgValue v)
{
    const TgTensor *t = tg_const_of(p->g, v);
    double worst = 0, x;
    if (!tg_is_float(t->dtype))
        return v;
    if (is_splat(p->g, v, &x))
        return absorbs(x) ? isinf(x) ? 0 : pass_float_like(p, v, absorbing()) : v;
    if (t->payload == TG_RECIPE || t->count > LARGEST)
        return 0;
    for (size_t i = 0; i < t->count; i++) {
        x = tg_tensor_float(p->tg, t, i);
        worst = x < worst || isnan(x) ? x : worst;
    }
    if (!absorbs(worst))
        return isnan(worst) ? 0 : v;
    if (isinf(worst))
        return 0;
    return pass_op(p, TG_Max, NULL, 2, v, pass_float_like(p, v, absorbing()));
}

/* Values of embedding tables and the like: constants; what is looked up in them; numbers made of integers. */
static bool is_tame(TgPass *p, TgValue v, uint32_t depth)
{
    return tame(p, v, depth) == v;
}

/* Operands `from` .. `to` of n, each tamed. */
static TgValue tame_operands(TgPass *p, const TgNodeInfo *n, uint32_t from, uint32_t to, uint32_t depth)
{
    TgValue operand[8], v = n->out[0];
    bool same = true;
    if (n->n_in > 8)
        return 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        operand[i] = i >= from && i < to ? tame(p, n->in[i], depth) : n->in[i];
        if (n->in[i] && !operand[i])
            return 0;
        same = same && operand[i] == n->in[i];
    }
    if (same)
        return v;
    TgNode node = tg_graph_add(p->g, n->op, n->attrs, n->n_in, operand, 1);
    return node ? fold_value(p, node) : 0;
}

static TgValue tame_product(TgPass *p, const TgNodeInfo *n, uint32_t depth)
{
    for (uint32_t i = 0; i < 2; i++) {
        double c;
        if (!is_splat(p->g, n->in[i], &c) || !absorbs(c) || isinf(c))
            continue;
        return is_tame(p, n->in[1 - i], depth) ? remake(p, n, i, pass_float_like(p, n->in[i], absorbing()))
                                               : 0;
    }
    return is_tame(p, n->in[0], depth) && is_tame(p, n->in[1], depth) ? n->out[0] : 0;
}

static TgValue tame_fill(TgPass *p, const TgNodeInfo *n)
{
    const TgTensor *value = tg_attr_tensor(n, "value");
    double x = value && value->count == 1 ? tg_tensor_float(p->tg, value, 0) : 0;
    if (!absorbs(x))
        return n->out[0];
    TgAttrBuild b;
    void *bytes;
    int64_t one = 1;
    TgTensor *t = tg_tensor_blank(p->g->arena, value->dtype, 1, &one, &bytes);
    tg_store_float(value->dtype, bytes, 0, absorbing());
    tg_attrs_begin(&b, p->tg);
    tg_attrs_tensor(&b, "value", t);
    return isinf(x) ? 0 : pass_op(p, n->op, tg_attrs_end(&b, n->op), 1, n->in[0]);
}

/* A value equal to v but that nothing in it is below `absorbing`, where v is made of tame things and
 * absorbing constants only; v itself where there are none; 0: it may be -inf, or the lowest number, for
 * all that is known. */
static TgValue tame(TgPass *p, TgValue v, uint32_t depth)
{
    const TgValueInfo *info = tg_value(p->g, v);
    TgDtype dtype = info->type->dtype;
    if (is_const(p->g, v))
        return tame_constant(p, v);
    if (tg_is_integer(dtype) || dtype == TG_bool)
        return v;
    if (info->origin != TG_V_RESULT || !depth)
        return 0;
    const TgNodeInfo *n = tg_node(p->g, info->node);
    depth--;
    switch (n->op) {
    case TG_Mul: return tame_product(p, n, depth);
    case TG_ConstantOfShape: return tame_fill(p, n);
    case TG_Where: return tame_operands(p, n, 1, 3, depth);
    case TG_Add:
    case TG_Sub: return tame_operands(p, n, 0, 2, depth);
    case TG_Concat: return tame_operands(p, n, 0, n->n_in, depth);
    case TG_Cast:
    case TG_Neg:
    case TG_Trilu:
    case TG_Slice:
    case TG_Gather:
    case TG_Expand:
    case TG_Reshape:
    case TG_Squeeze:
    case TG_Unsqueeze:
    case TG_Transpose: return tame_operands(p, n, 0, 1, depth);
    default: return 0;
    }
}

/* Numbers that nothing is known of: those that would be taken for the lowest are made larger, -inf stays. */
static TgValue lifted(TgPass *p, TgValue v)
{
    TgValue low = pass_op(p, TG_Less, NULL, 2, v, pass_float_like(p, v, absorbing()));
    TgValue quarter = low ? pass_op(p, TG_Mul, NULL, 2, v, pass_float_like(p, v, 0.25)) : 0;
    return quarter ? pass_op(p, TG_Where, NULL, 3, low, quarter, v) : 0;
}

/* NaN is added to rows that are -inf everywhere, zero to others: their largest number less itself. */
static TgValue with_nan(TgPass *p, TgValue mask)
{
    TgValue largest = pass_op(p, TG_ReduceMax, NULL, 2, mask, pass_ints(p, 1, &(int64_t){-1}));
    TgValue nothing = largest ? pass_op(p, TG_Sub, NULL, 2, largest, largest) : 0;
    return nothing ? pass_op(p, TG_Add, NULL, 2, mask, nothing) : 0;
}

/* --- what may be said otherwise ----------------------------------------------------------------------- */

typedef struct {
    TgPass *p;
    Attention *a;
    TgDim offset;
    const Word *axes;
    const AxisMap *query;
    bool may_be_nan; /* a row may be -inf everywhere, and is NaN then */
} Writer;

static bool only_bias(const Layer *l)
{
    return !l->n && !l->has_band;
}

/* What it adds to scores are numbers of modest size, whether its conditions hold or not. */
static bool only_adds(Writer *w, const Layer *l)
{
    bool tame = !l->has_bias || is_tame(w->p, l->bias.v, DEEP);
    return tame && (only_bias(l) || (!l->has_band && !l->replaces && !absorbs(l->hidden)));
}

/* Layer `except` is the only one that can hide a key: beside one that hides all the way, others only add. */
static bool hides_alone(Writer *w, uint32_t except)
{
    const Mask *m = &w->a->mask;
    for (uint32_t i = 0; i < m->n; i++)
        if (i != except && (!only_adds(w, &m->layer[i]) ||
                            !(only_bias(&m->layer[i]) || absorbs(m->layer[except].hidden))))
            return false;
    return true;
}

/* The band is what the operator's flag says, and leaves key 0 to every query. */
static bool is_flag(const Writer *w, const Layer *l)
{
    return !l->is_loose && l->has_band && l->band == w->offset &&
           tg_dim_at_least(w->p->tg, l->band, tg_dim(w->p->tg, 0));
}

static bool sees_something(const Writer *w, const Layer *l)
{
    return !l->n && (!l->has_band || tg_dim_at_least(w->p->tg, l->band, tg_dim(w->p->tg, 0)));
}

static bool same_conditions(const Layer *x, const Layer *y)
{
    bool same = x->n == y->n && x->has_band == y->has_band && (!x->has_band || x->band == y->band);
    for (uint32_t i = 0; same && i < x->n; i++) {
        bool found = false;
        for (uint32_t k = 0; k < y->n; k++)
            found = found || (x->cond[i].map.v == y->cond[k].map.v && x->cond[i].kind == y->cond[k].kind &&
                              x->cond[i].negated == y->cond[k].negated);
        same = found;
    }
    return same;
}

/* The guard is Less(ReduceSum(Cast(c)), 1) over the keys; its c as conditions. */
static bool read_guard(Writer *w, Layer *guard)
{
    Attention *a = w->a;
    const TgGraph *g = w->p->g;
    const TgNodeInfo *less = tg_producer(g, a->guard_map.v, TG_Less);
    const TgNodeInfo *sum =
        less && is_splat_of(g, less->in[1], 1) ? tg_producer(g, less->in[0], TG_ReduceSum) : NULL;
    const TgNodeInfo *cast = sum && tg_attr_int(sum, "keepdims") ? tg_producer(g, sum->in[0], TG_Cast) : NULL;
    int64_t axis;
    uint32_t count;
    AxisMap at, c;
    if (!cast || tg_type_of(g, cast->in[0])->dtype != TG_bool ||
        !tg_const_ints(g, in(sum, 1), 1, &axis, &count) || count != 1)
        return false;
    if (!axes_operand(&a->abc, &a->guard_map, less, 0, &at))
        return false;
    c = at;
    c.v = cast->in[0];
    if (pass_rank(g, c.v) != at.rank || (axis != -1 && axis != at.rank - 1) ||
        axes_size(&a->abc, &a->keys) != tg_type_of(g, c.v)->dim[at.rank - 1])
        return false;
    c.axis[at.rank - 1] = a->keys;
    *guard = (Layer){.hidden = -INFINITY};
    return mask_read_conditions(w->p, a, &c, false, guard);
}

/* --- nodes -------------------------------------------------------------------------------------------- */

/* The value laid out along batch, heads, queries, keys (of the layer); axes that it does not vary along
 * have size 1. */
static TgValue lay_out(Writer *w, const Layer *l, const AxisMap *map)
{
    Word have = axes_all(&w->a->abc, map), axes[4];
    bool partly = false;
    for (uint32_t i = 0; i < 4; i++) {
        const Word *wanted = i < 3 ? &w->axes[i] : &l->keys;
        Word whole = axes_spell(&w->a->abc, wanted);
        axes[i] = axes_only(&w->a->abc, wanted, &have, true);
        partly = partly || (axes[i].n && axes[i].n != whole.n);
    }
    uint32_t skip = 0; /* leading axes that vary with nothing need not be there */
    while (skip < 2 && !axes[skip].n && map->rank <= 4 - (int32_t)skip - 1)
        skip++;
    return partly ? 0 : axes_arrange(w->p, &w->a->abc, map, 4 - skip, axes + skip);
}

/* What the comparison does not say. */
static TgOp complement(TgOp op)
{
    switch (op) {
    case TG_Less: return TG_GreaterOrEqual;
    case TG_LessOrEqual: return TG_Greater;
    case TG_Greater: return TG_LessOrEqual;
    case TG_GreaterOrEqual: return TG_Less;
    default: return TG_Not;
    }
}

static TgValue condition(Writer *w, const Layer *l, const Cond *c, bool negate)
{
    TgPass *p = w->p;
    AxisMap map = c->map;
    const TgNodeInfo *n =
        tg_value(p->g, map.v)->origin == TG_V_RESULT ? tg_node(p->g, tg_value(p->g, map.v)->node) : NULL;
    if (negate && n && complement(n->op) != TG_Not && tg_is_integer(tg_type_of(p->g, n->in[0])->dtype)) {
        map.v = pass_op(p, complement(n->op), NULL, 2, n->in[0], n->in[1]);
        negate = false;
    } else if (c->kind == COND_NOT_ZERO)
        map.v = pass_op(p, TG_Cast, tg_attrs(p->tg, TG_Cast, "to=i", (int64_t)TG_bool), 1, map.v);
    else if (c->kind == COND_IS_ONE) {
        TgDtype dtype = tg_type_of(p->g, map.v)->dtype;
        const TgTensor *one = tg_is_float(dtype) ? tg_tensor_scalar_float(p->g->arena, dtype, 1)
                                                 : tg_tensor_scalar_int(p->g->arena, dtype, 1);
        map.v = pass_op(p, TG_Equal, NULL, 2, map.v, tg_graph_const(p->g, one, NULL));
    }
    if (map.v && negate)
        map.v = pass_op(p, TG_Not, NULL, 1, map.v);
    return map.v ? lay_out(w, l, &map) : 0;
}

/* All conditions of the layer; *flip: the value says which keys are hidden, not which are seen. */
static TgValue all_conditions(Writer *w, const Layer *l, bool with_band, bool *flip)
{
    TgPass *p = w->p;
    TgValue all = 0;
    uint32_t n = l->n + with_band;
    *flip = n == 1 && (with_band ? l->band_source.negated : l->cond[0].negated);
    for (uint32_t i = 0; i < n; i++) {
        const Cond *c = i < l->n ? &l->cond[i] : &l->band_source;
        TgValue v = c->map.v ? condition(w, l, c, c->negated && !*flip) : 0;
        if (!v)
            return 0;
        all = all ? pass_op(p, TG_And, NULL, 2, all, v) : v;
        if (!all)
            return 0;
    }
    return all;
}

/* One addend of the mask, before it is cut; the band is left out where the flag says it. */
static TgValue write_uncut(Writer *w, const Layer *l, bool flagged)
{
    TgPass *p = w->p;
    bool with_band = l->has_band && !flagged, flip;
    TgValue bias = l->has_bias ? tame(p, l->bias.v, DEEP) : 0, laid = 0;
    if (l->has_bias &&
        (w->a->op || w->a->zero_where)) /* the operator gets what it got, or what it would define */
        bias = l->bias.v;
    if (l->has_bias && !bias) {
        bias = lifted(p, l->bias.v);
        w->may_be_nan = true;
    }
    if (bias) {
        AxisMap map = l->bias;
        map.v = bias;
        laid = lay_out(w, l, &map);
    }
    if (!l->n && !with_band)
        return laid;
    TgDtype dtype = tg_type_of(p->g, w->query->v)->dtype;
    if (with_band && !l->band_source.map.v) { /* no comparison to use again */
        AxisMap map = l->whole;
        map.v = map.v && !l->slice ? tame(p, map.v, DEEP) : 0;
        TgValue whole = map.v ? lay_out(w, l, &map) : 0;
        if (!whole)
            pass_explain(p, w->a->at, "a band of the mask that comes from no comparison cannot be written");
        return whole;
    }
    TgValue seen = all_conditions(w, l, with_band, &flip);
    bool uniform = (absorbs(l->hidden) || l->replaces) && isfinite(l->hidden);
    double number = uniform ? absorbing() : l->hidden;
    TgValue hidden = tg_graph_const(p->g, tg_tensor_scalar_float(p->g->arena, dtype, number), NULL);
    TgValue shown = laid ? laid : tg_graph_const(p->g, tg_tensor_scalar_float(p->g->arena, dtype, 0), NULL);
    if (!seen || (l->has_bias && !laid))
        return pass_explain(p, w->a->at, "the mask varies along heads in a way that is not followed"), 0;
    return flip ? pass_op(p, TG_Where, NULL, 3, seen, hidden, shown)
                : pass_op(p, TG_Where, NULL, 3, seen, shown, hidden);
}

static TgValue write_layer(Writer *w, const Layer *l, bool flagged)
{
    TgPass *p = w->p;
    TgValue v = write_uncut(w, l, flagged);
    if (!v || !l->slice)
        return v;
    int64_t axis = pass_rank(p->g, v) - 1, zero = 0;
    TgValue axes = pass_ints(p, 1, &axis), starts = pass_ints(p, 1, &zero);
    return pass_op(p, TG_Slice, NULL, 4, v, starts, l->slice->in[2], axes);
}

/* --- whole rows --------------------------------------------------------------------------------------- */

/* The size of axis `axis` of v as i64[1]. */
static TgValue size_of_axis(TgPass *p, TgValue v, int64_t axis)
{
    int64_t n = pass_dim(p->g, v, (int32_t)axis);
    if (n >= 0)
        return pass_ints(p, 1, &n);
    return pass_op(p, TG_Shape, tg_attrs(p->tg, TG_Shape, "start=i end=i", axis, axis + 1), 1, v);
}

/* The size of the word as i64[1], from a station of the trail that has it as an axis. */
static TgValue size_in_trail(Writer *w, const Trail *t, const Word *word)
{
    int64_t n;
    if (tg_dim_known(axes_size(&w->a->abc, word), &n))
        return pass_ints(w->p, 1, &n);
    for (uint32_t i = t->n; i-- > 0;)
        for (int32_t k = 0; k < t->at[i].rank; k++)
            if (axes_same(&w->a->abc, &t->at[i].axis[k], word))
                return size_of_axis(w->p, t->at[i].v, k);
    return 0;
}

static TgDim dim_of_element(TgPass *p, TgValue v)
{
    const TgDim *element = tg_value(p->g, v)->symbolic;
    return element ? element[0] : NULL;
}

static TgValue size_of_keys(Writer *w)
{
    const Attention *a = w->a;
    for (uint32_t i = 0; i < a->mask.n; i++)
        if (a->mask.layer[i].slice &&
            axes_size(&a->abc, &a->keys) == dim_of_element(w->p, a->mask.layer[i].slice->in[2]))
            return a->mask.layer[i].slice->in[2];
    if (!a->k_cache.there)
        return size_in_trail(w, &a->k, &a->keys);
    Trail past = {.n = 1, .at = {a->k_cache.past}};
    TgValue before = size_in_trail(w, &past, &a->k_cache.past_keys);
    TgValue fresh = size_in_trail(w, &a->k_cache.fresh, &a->k_cache.new_keys);
    return before && fresh ? pass_op(w->p, TG_Add, NULL, 2, before, fresh) : 0;
}

/* ONNX Runtime wants the last two axes of a mask whole. */
static TgValue whole_rows(Writer *w, TgValue mask)
{
    TgPass *p = w->p;
    const TgType *t = tg_type_of(p->g, mask);
    TgDim queries = axes_size(&w->a->abc, &w->axes[2]), keys = axes_size(&w->a->abc, &w->axes[3]);
    if (t->rank < 2)
        return 0;
    bool whole_keys = t->dim[t->rank - 1] == keys, whole_queries = t->dim[t->rank - 2] == queries;
    if (whole_keys && whole_queries)
        return mask;
    TgValue one = pass_ints(p, 1, &(int64_t){1}), part[4];
    for (int32_t i = 0; i < t->rank - 2; i++)
        part[i] = one;
    part[t->rank - 2] = whole_queries ? one : size_in_trail(w, &w->a->q, &w->axes[2]);
    part[t->rank - 1] = whole_keys ? one : size_of_keys(w);
    for (int32_t i = 0; i < t->rank; i++)
        if (!part[i])
            return pass_explain(p, w->a->at, "the mask lacks rows or keys whose number is not known"), 0;
    TgNode n = tg_graph_add(p->g, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0),
                            (uint32_t)t->rank, part, 1);
    TgValue size = n ? fold_value(p, n) : 0;
    return size ? pass_op(p, TG_Expand, NULL, 2, mask, size) : 0;
}

/* --- the door ----------------------------------------------------------------------------------------- */

static MaskOperand refused(void)
{
    return (MaskOperand){.refused = true};
}

/* The layer is the flag and nothing else. Where rows of -inf are zeros anyway, whatever is added may
 * hide keys, too. */
static bool says_flag(Writer *w, uint32_t i)
{
    const Layer *l = &w->a->mask.layer[i];
    return is_flag(w, l) && !l->n && (hides_alone(w, i) || (w->a->zero_where && isinf(l->hidden)));
}

/* Rows of zeros where all is hidden: what the operator does with a boolean mask. */
static MaskOperand write_boolean(Writer *w, const Layer *l)
{
    MaskOperand out = {.is_causal = w->a->is_causal || is_flag(w, l)};
    for (uint32_t i = 0; i < w->a->mask.n; i++)
        out.is_causal = out.is_causal || says_flag(w, i);
    bool with_band = l->has_band && !out.is_causal, flip;
    if (!l->n && !with_band)
        return out;
    out.value = all_conditions(w, l, with_band, &flip);
    if (out.value && flip)
        out.value = pass_op(w->p, TG_Not, NULL, 1, out.value);
    out.value = out.value ? whole_rows(w, out.value) : 0;
    if (!out.value) {
        pass_explain(w->p, w->a->at, "the guarded mask cannot be written as conditions");
        return refused();
    }
    return out;
}

/* A row where all keys are hidden by numbers that absorb scores keeps the keys with the largest of these numbers:
 * written as one number, they would all be kept. */
static bool hides_alike(const Mask *m)
{
    double hidden = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        double x = m->layer[i].hidden;
        if (!absorbs(x) || isinf(x))
            continue;
        if (hidden != 0 && x != hidden)
            return false;
        hidden = x;
    }
    return true;
}

/* The only layer that the flag does not say; NULL: none, or several. */
static const Layer *only_layer(Writer *w)
{
    const Mask *m = &w->a->mask;
    const Layer *only = m->n == 1 ? &m->layer[0] : NULL;
    if (m->n == 1 || !w->a->zero_where)
        return only;
    for (uint32_t i = 0; i < m->n; i++) {
        if (says_flag(w, i))
            continue;
        if (only)
            return NULL;
        only = &m->layer[i];
    }
    return only;
}

MaskOperand mask_write(TgPass *p, Attention *a, TgDim offset, const Word axes[4], const AxisMap *query)
{
    Writer w = {.p = p, .a = a, .offset = offset, .axes = axes, .query = query};
    Mask *m = &a->mask;
    MaskOperand out = {.is_causal = a->is_causal};
    Layer guard;
    if (a->guard) {
        bool same = m->n == 1 && !m->layer[0].has_bias && read_guard(&w, &guard) &&
                    same_conditions(&m->layer[0], &guard);
        if (!same) {
            pass_explain(p, a->at, "rows are made zero by something else than the mask");
            return refused();
        }
        return write_boolean(&w, &m->layer[0]);
    }
    if (!hides_alike(m)) {
        pass_explain(p, a->at, "keys are hidden by several numbers, of which a row may keep the largest");
        return refused();
    }
    const Layer *only = only_layer(&w);
    if (only && a->nan_is_zero && isinf(only->hidden) && !only->has_bias)
        return write_boolean(&w, only);
    for (uint32_t i = 0; i < m->n; i++) {
        const Layer *l = &m->layer[i];
        bool alone = hides_alone(&w, i), flagged = says_flag(&w, i);
        if (l->replaces && !absorbs(l->hidden) && !alone) {
            pass_explain(p, a->at, "a score is replaced by %g, and something else hides keys", l->hidden);
            return refused();
        }
        if (isinf(l->hidden) && (!sees_something(&w, l) || !alone))
            w.may_be_nan = true;
        out.is_causal = out.is_causal || flagged;
        if (flagged && !l->has_bias)
            continue;
        TgValue v = write_layer(&w, l, flagged);
        if (!v)
            return refused();
        out.value = out.value ? pass_op(p, TG_Add, NULL, 2, out.value, v) : v;
        if (!out.value)
            return refused();
    }
    if (out.value && w.may_be_nan && !a->nan_is_zero && !(out.value = with_nan(p, out.value)))
        return refused();
    if (out.value && !(out.value = whole_rows(&w, out.value)))
        return refused();
    return out;
}
