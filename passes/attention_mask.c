/* Reading masks: an addend of the scores becomes conditions for a key to be seen (attention.h).
 *
 *     Where(c, 0, min)   Mul(Cast(Not(c)), min)   Where(Cast(1 - m), min, ..)   Trilu(Fill(min), 1)
 *
 * What is not understood stays what it is: a bias that is added. Conditions are read by attention_condition.c.
 * Depth is bounded. */
#include <math.h>

#include "attention_mask.h"
#include "positions.h"

static bool addend(Reader *r, const AxisMap *map, uint32_t depth);

/* --- addends ------------------------------------------------------------------------------------------ */

static bool hide_with(Layer *l, double hidden)
{
    if (l->hidden != 0 && l->hidden != hidden)
        return false;
    l->hidden = hidden;
    return true;
}

/* Where(Equal(Add(x, f), 0), min, x): x is seen and f is zero; with x itself, f has to be other than zero. */
static bool where_sum_is_zero(Reader *r, const AxisMap *map, const TgNodeInfo *where, uint32_t depth)
{
    const TgNodeInfo *equal = tg_producer(r->p->g, where->in[0], TG_Equal);
    const TgNodeInfo *sum =
        equal && is_splat_of(r->p->g, equal->in[1], 0) ? tg_producer(r->p->g, equal->in[0], TG_Add) : NULL;
    AxisMap c, s, f;
    for (uint32_t i = 0; sum && i < 2; i++)
        if (sum->in[i] == where->in[2])
            return operand(r, map, where, 0, &c) && operand(r, &c, equal, 0, &s) &&
                   operand(r, &s, sum, 1 - i, &f) && mask_not_zero(r, &f, false, depth);
    return false;
}

static bool where(Reader *r, const AxisMap *map, const TgNodeInfo *n, uint32_t depth)
{
    double hidden;
    uint32_t shown = 1;
    AxisMap c, x;
    bool hides_else = is_splat(r->p->g, n->in[2], &hidden) && hides(hidden);
    if (!hides_else && !(is_splat(r->p->g, n->in[1], &hidden) && hides(hidden)))
        return false;
    shown = hides_else ? 1 : 2;
    if (!hide_with(r->layer, hidden) || !operand(r, map, n, 0, &c) || !operand(r, map, n, shown, &x))
        return false;
    if (hides_else || !where_sum_is_zero(r, map, n, depth))
        if (!mask_conditions(r, &c, !hides_else, depth))
            return false;
    return mask_is_zero_where_seen(r, x) || addend(r, &x, depth);
}

/* Mul(Cast(c), min); Mul(1 - Cast(c), min) of a boolean c. */
static bool product(Reader *r, const AxisMap *map, const TgNodeInfo *n, uint32_t depth)
{
    double hidden;
    uint32_t number = is_const(r->p->g, n->in[0]) ? 0 : 1;
    AxisMap x, c;
    bool seen_where = false;
    if (!is_splat(r->p->g, n->in[number], &hidden) || !hides(hidden) || !hide_with(r->layer, hidden) ||
        !operand(r, map, n, 1 - number, &x))
        return false;
    const TgNodeInfo *sub = tg_producer(r->p->g, x.v, TG_Sub);
    if (sub && is_splat_of(r->p->g, sub->in[0], 1)) {
        if (!operand(r, &x, sub, 1, &c))
            return false;
        x = c;
        seen_where = true;
    }
    c = mask_below_casts(r, x);
    return dtype_of(r, c.v) == TG_bool && mask_conditions(r, &c, !seen_where, depth);
}

/* Mul(x, Cast(c)) where x hides by a band and c is one: hidden where both say so, the larger offset. */
static bool product_of_bands(Reader *r, const AxisMap *map, const TgNodeInfo *n, uint32_t depth)
{
    for (uint32_t i = 0; i < 2; i++) {
        Layer *outer = r->layer, one = {0}, two = {0};
        AxisMap x, c;
        if (!operand(r, map, n, i, &x) || !operand(r, map, n, 1 - i, &c))
            return false;
        c = mask_below_casts(r, c);
        if (dtype_of(r, c.v) != TG_bool)
            continue;
        r->layer = &one;
        bool read = addend(r, &x, depth);
        r->layer = &two;
        read = read && mask_conditions(r, &c, true, depth);
        r->layer = outer;
        if (!read || !one.has_band || !two.has_band || one.n || two.n || one.has_bias || outer->has_band)
            return false;
        Tg *tg = r->p->tg;
        bool second =
            tg_dim_at_least(tg, two.band, one.band); /* also where both are the same: it has a comparison */
        if ((!second && !tg_dim_at_least(tg, one.band, two.band)) || !hide_with(outer, one.hidden))
            return false;
        outer->has_band = true;
        outer->band = second ? two.band : one.band;
        outer->band_source = second ? two.band_source : one.band_source;
        return true;
    }
    return false;
}

static bool filled(Reader *r, TgValue v, double *x)
{
    const TgNodeInfo *n = tg_producer(r->p->g, v, TG_ConstantOfShape);
    const TgTensor *value = n ? tg_attr_tensor(n, "value") : NULL;
    if (!n)
        return is_splat(r->p->g, v, x);
    *x = value && value->count == 1 ? tg_tensor_float(r->p->tg, value, 0) : 0;
    return !value || value->count == 1;
}

static bool trilu(Reader *r, const AxisMap *map, const TgNodeInfo *n)
{
    int64_t k = 0;
    uint32_t count;
    double hidden;
    if (!tg_attr_int(n, "upper") || !filled(r, n->in[0], &hidden) || !hides(hidden) ||
        (in(n, 1) && !tg_const_ints(r->p->g, n->in[1], 1, &k, &count)) || map->rank < 2)
        return false;
    TgDim offset;
    return mask_is_square(r, map, &offset) && hide_with(r->layer, hidden) &&
           mask_add_band(r, tg_dim_add(r->p->tg, offset, tg_dim(r->p->tg, k - 1)), NULL, false);
}

/* Concat(zeros, x) along the keys: the band of x moves by what stands before it. */
static bool concat(Reader *r, const AxisMap *map, const TgNodeInfo *n, uint32_t depth)
{
    int64_t axis = tg_attr_int(n, "axis");
    axis += axis < 0 ? map->rank : 0;
    TgDim shift;
    Word keys = axes_index(&r->a->abc, &r->keys, NULL),
         along = axes_index(&r->a->abc, &map->axis[axis], &shift);
    Word outer_keys = r->keys;
    Layer *outer = r->layer, part = {0};
    double zero;
    if (n->n_in != 2 || !axes_same(&r->a->abc, &along, &keys) || !filled(r, n->in[0], &zero) || zero != 0)
        return false;
    AxisMap x = *map;
    x.v = n->in[1];
    Tg *tg = r->p->tg;
    r->keys = x.axis[axis] = axes_word(&r->a->abc, tg_type_of(r->p->g, x.v)->dim[axis]);
    bool cut = r->cut;
    r->cut = true;
    r->layer = &part;
    bool read = addend(r, &x, depth);
    r->layer = outer;
    r->keys = outer_keys;
    r->cut = cut;
    if (!read || !part.has_band || part.n || part.has_bias || !tg_dim_at_least(tg, part.band, tg_dim(tg, -1)))
        return false;
    TgDim before = tg_type_of(r->p->g, n->in[0])->dim[axis];
    TgDim band = tg_dim_sub(tg, tg_dim_add(tg, part.band, before), shift);
    return hide_with(outer, part.hidden) && mask_add_band(r, band, NULL, false);
}

static bool bias(Reader *r, const AxisMap *map)
{
    if (r->cut || r->layer->has_bias)
        return false;
    r->layer->has_bias = true;
    r->layer->bias = *map;
    return true;
}

static bool is_zero(double x)
{
    return x == 0;
}

/* A constant of zeros and one hiding number. */
static bool constant(Reader *r, const AxisMap *map)
{
    const TgTensor *t = tg_const_of(r->p->g, map->v);
    bool all_seen;
    TgDim offset;
    double hidden = 0;
    for (size_t i = 0; i < t->count; i++) {
        double x = tg_tensor_float(r->p->tg, t, i);
        if (x != 0 && (!hides(x) || (hidden != 0 && x != hidden)))
            return false;
        hidden = x != 0 ? x : hidden;
    }
    return mask_causal_constant(r, map, is_zero, &all_seen, &offset) &&
           (all_seen || (hide_with(r->layer, hidden) && mask_add_band(r, offset, NULL, false)));
}

/* A Slice that cuts keys off the end is applied to what is written of the whole addend; others hide all
 * but bands. */
static bool sliced(Reader *r, const AxisMap *map, const TgNodeInfo *n, uint32_t depth)
{
    Layer *l = r->layer;
    Alphabet *abc = &r->a->abc;
    AxisMap x;
    if (!position_back(abc, map, &x))
        return false;
    int32_t last = map->rank - 1;
    bool outer = r->cut,
         keys_only = !l->slice && !r->cut && !l->n && !l->has_band && pass_dim(r->p->g, in(n, 2), 0) == 1;
    for (int32_t i = 0; i < last; i++)
        keys_only = keys_only && axes_same(abc, &x.axis[i], &map->axis[i]);
    TgDim shift;
    Word cut = axes_index(abc, &x.axis[last], &shift), keys = axes_index(abc, &r->keys, NULL);
    if (keys_only && axes_same(abc, &cut, &keys) && tg_dim_is(shift, 0)) {
        l->slice = tg_node(r->p->g, tg_value(r->p->g, map->v)->node);
        l->keys = x.axis[last];
    } else
        r->cut = true;
    bool read = addend(r, &x, depth);
    r->cut = outer;
    return read;
}

static bool addend(Reader *r, const AxisMap *map, uint32_t depth)
{
    const TgNodeInfo *n = producer(r, map->v);
    double all;
    AxisMap x;
    Layer before = *r->layer;
    if (filled(r, map->v, &all) && all == 0)
        return true;
    const TgTensor *t = tg_const_of(r->p->g, map->v);
    if (t && t->payload != TG_RECIPE && t->count < 1 << 24 && constant(r, map))
        return true;
    *r->layer = before;
    if (!n || !depth)
        return bias(r, map);
    depth--;
    bool read = n->op == TG_Where    ? where(r, map, n, depth)
                : n->op == TG_Mul    ? product(r, map, n, depth)
                : n->op == TG_Trilu  ? trilu(r, map, n)
                : n->op == TG_Concat ? concat(r, map, n, depth)
                                     : false;
    if (read)
        return true;
    *r->layer = before;
    if (n->op == TG_Mul && product_of_bands(r, map, n, depth))
        return true;
    *r->layer = before;
    if (n->op == TG_Slice)
        read = sliced(r, map, n, depth);
    else
        read = axes_back(&r->a->abc, map, &x) && addend(r, &x, depth);
    if (read && !r->layer->has_bias)
        return true;
    *r->layer = before;
    return bias(r, map);
}

/* --- the door ----------------------------------------------------------------------------------------- */

static bool add_layer(TgPass *p, Attention *a, const Layer *layer)
{
    if (a->mask.n == LAYERS_MOST) {
        pass_explain(p, a->at, "the mask is a sum of more than %d addends", LAYERS_MOST);
        return false;
    }
    bool nothing = !layer->n && !layer->has_band && !layer->has_bias;
    if (!nothing)
        a->mask.layer[a->mask.n++] = *layer;
    return true;
}

static bool add_term(TgPass *p, Attention *a, const AxisMap *term, bool is_loose)
{
    AxisMap pending[LAYERS_MOST] = {*term};
    for (uint32_t waiting = 1; waiting;) {
        AxisMap map = pending[--waiting];
        const TgNodeInfo *sum = tg_producer(p->g, map.v, TG_Add);
        if (sum && waiting + 2 <= LAYERS_MOST && axes_operand(&a->abc, &map, sum, 0, &pending[waiting]) &&
            axes_operand(&a->abc, &map, sum, 1, &pending[waiting + 1])) {
            waiting += 2;
            continue;
        }
        Layer layer = {.keys = is_loose ? map.axis[map.rank - 1] : a->keys};
        Reader r = {p, a, &layer, a->keys, false};
        if (!addend(&r, &map, MASK_DEEP) || layer.hidden == 0)
            layer =
                (Layer){.has_bias = true, .bias = map, .keys = is_loose ? map.axis[map.rank - 1] : a->keys};
        layer.whole = map;
        layer.is_loose = is_loose;
        if (!add_layer(p, a, &layer))
            return false;
    }
    return true;
}

bool mask_read_conditions(TgPass *p, Attention *a, const AxisMap *cond, bool negated, Layer *layer)
{
    Reader r = {p, a, layer, a->keys, false};
    return mask_conditions(&r, cond, negated, MASK_DEEP);
}

/* What e^(hidden - score) is for capped scores is zero, in 64 bits too. */
static bool hides_capped(const Attention *a, double hidden)
{
    static const double margin = 1000;
    return a->softcap > 0 && a->n_terms == 1 && hidden <= -a->softcap - margin;
}

static bool hides_approximately(TgPass *p, Attention *a, double hidden)
{
    static const double filter = -10000;
    TgDtype dtype = tg_type_of(p->g, a->at->in[0])->dtype;
    a->approximate = p->options->approximate && hidden <= filter && dtype != TG_f16;
    return a->approximate;
}

static bool add_condition(TgPass *p, Attention *a, const MaskTerm *term)
{
    Layer layer = {.hidden = term->hidden, .keys = a->keys, .is_loose = term->is_loose, .replaces = true};
    if (term->is_loose)
        layer.keys = term->map.axis[term->map.rank - 1];
    if (!hides(term->hidden)) {
        layer.hidden = absorbing();
        if (!hides_capped(a, term->hidden) && !hides_approximately(p, a, term->hidden)) {
            pass_explain(p, a->at, "a Where replaces scores by %g, which hides a key from some scores only",
                         term->hidden);
            return false;
        }
    }
    if (!mask_read_conditions(p, a, &term->map, term->hides_where, &layer)) {
        pass_explain(p, a->at, "the condition of the mask varies in a way that is not followed");
        return false;
    }
    bool leaves_key = !layer.n && (!layer.has_band || tg_dim_at_least(p->tg, layer.band, tg_dim(p->tg, 0)));
    if (a->approximate && a->n_terms > 1 && !leaves_key) {
        pass_explain(p, a->at, "a Where replaces scores by %g, and a mask may hide all keys that it leaves",
                     term->hidden);
        return false;
    }
    return add_layer(p, a, &layer);
}

bool mask_read(TgPass *p, Attention *a)
{
    for (uint32_t i = 0; i < a->n_terms; i++) {
        const MaskTerm *term = &a->term[i];
        if (!(term->is_condition ? add_condition(p, a, term) : add_term(p, a, &term->map, term->is_loose)))
            return false;
    }
    return true;
}
