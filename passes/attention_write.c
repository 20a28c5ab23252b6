/* Writing Attention: which station of each trail becomes the operand, how letters divide into batch and
 * heads, operands of rank 3 or 4, whether a Concat with the past goes into the operator. All of it is
 * tried; the fewest nodes win, among these the fewest for keys and values.
 *
 *                     rank 3                      rank 4
 *     queries    (batch)(queries)(heads size)    (batch)(heads)(queries)(size)
 *     keys       (batch)(keys)(kv size)          (batch)(kv)(keys)(size)
 *     values     (batch)(keys)(kv value_size)    (batch)(kv)(keys)(value_size)
 *
 * kv are the first letters of heads; the others are the queries that share them.
 * A station below the last one costs what keeps it alive. */
#include <math.h>

#include "attention.h"

typedef struct {
    uint32_t cost, rank, batch, kv; /* letters of lead that are batch; letters of heads that keys have */
    uint32_t keys_cost;       /* what of it is for keys and values, which may be many more than the queries */
    uint32_t q, k, v, result; /* stations; of the new parts with the past */
    bool with_past;
} Plan;

typedef struct {
    TgPass *p;
    Attention *a;
    Plan best;
} Planner;

/* --- layouts ------------------------------------------------------------------------------------------ */

static Word part(const Word *w, uint32_t from, uint32_t to)
{
    Word out = {0};
    for (uint32_t i = from; i < to; i++)
        out.at[out.n++] = w->at[i];
    return out;
}

/* The axes of an operand (or the result): `heads` letters of lead behind the batch. Returns how many axes. */
static uint32_t layout(const Attention *a, const Plan *plan, uint32_t heads, const Word *length,
                       const Word *size, Word *axis)
{
    Word lead = axes_spell(&a->abc, &a->lead), head = part(&lead, plan->batch, plan->batch + heads);
    axis[0] = part(&lead, 0, plan->batch);
    if (plan->rank == 4) {
        axis[1] = head;
        axis[2] = *length;
        axis[3] = *size;
        return 4;
    }
    axis[1] = *length;
    axis[2] = axes_join(&a->abc, 2, (Word[]){head, *size});
    return 3;
}

/* --- past --------------------------------------------------------------------------------------------- */

/* A factor of all keys goes into the scale; one of the new keys alone is none of the old ones. */
static void find_cache(Planner *w, const Trail *t, Cache *c)
{
    Alphabet *abc = &w->a->abc;
    const AxisMap *last = &t->at[t->n - 1];
    const TgNodeInfo *n = tg_producer(w->p->g, last->v, TG_Concat);
    int64_t axis = n ? tg_attr_int(n, "axis") : 0;
    axis += axis < 0 ? last->rank : 0;
    if (!n || n->n_in != 2 || axis < 0 || axis >= last->rank ||
        !axes_same(abc, &last->axis[axis], &w->a->keys) || pass_rank(w->p->g, n->in[0]) != last->rank ||
        pass_rank(w->p->g, n->in[1]) != last->rank)
        return;
    AxisMap fresh = *last;
    c->all = last->v;
    c->of_all = c->past = *last;
    c->past.v = n->in[0];
    fresh.v = n->in[1];
    c->past_keys = c->past.axis[axis] = axes_word(abc, tg_type_of(w->p->g, n->in[0])->dim[axis]);
    c->new_keys = fresh.axis[axis] = axes_word(abc, tg_type_of(w->p->g, n->in[1])->dim[axis]);
    attention_follow(abc, &fresh, false, &c->fresh);
    c->there = !abc->full;
}

/* v is computed from one of the two. The graph behind it is walked once. */
static bool depends_on(TgPass *p, const TgValue *from, uint32_t n, TgValue x, TgValue y)
{
    TgU32s pending = {0};
    TgMap seen;
    tg_map_init(&seen, tg_scratch(p->tg));
    for (uint32_t i = 0; i < n; i++)
        if (from[i])
            TG_PUSH(tg_scratch(p->tg), &pending, from[i]);
    while (pending.n) {
        TgValue v = pending.at[--pending.n];
        const TgValueInfo *info = tg_value(p->g, v);
        if (v == x || v == y)
            return true;
        if (info->origin != TG_V_RESULT || tg_map_get(&seen, info->node, NULL))
            continue;
        tg_map_put(&seen, info->node, 1);
        const TgNodeInfo *node = tg_node(p->g, info->node);
        for (uint32_t i = 0; i < node->n_in; i++)
            if (node->in[i])
                TG_PUSH(tg_scratch(p->tg), &pending, node->in[i]);
    }
    return false;
}

/* --- planning ----------------------------------------------------------------------------------------- */

/* The cheapest station of the trail for these axes. */
static uint32_t best_station(Alphabet *abc, const Trail *t, uint32_t n, const Word *axis, uint32_t *station)
{
    uint32_t best = AXES_NO_WAY;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t cost = axes_arrange_cost(abc, &t->at[i], n, axis);
        if (cost < AXES_NO_WAY && cost + (t->n - 1 - i) < best) {
            best = cost + (t->n - 1 - i);
            *station = i;
        }
    }
    return best;
}

/* The result goes the other way: from the axes of the operator to those of a station; later stations die. */
static uint32_t best_result(Alphabet *abc, const Trail *t, bool guarded, uint32_t n, const Word *axis,
                            uint32_t *station)
{
    uint32_t best = AXES_NO_WAY, end = t->n;
    for (uint32_t i = 0; guarded && i + 1 < t->n; i++)
        if (tg_producer(abc->g, t->at[i].v, TG_Where))
            end = i + 1; /* at or after the guard */
    for (uint32_t i = 0; i < end; i++) {
        AxisMap made = {.v = t->at[i].v,
                        .rank = (int32_t)n}; /* its type is not that of v: sizes decide alone */
        for (uint32_t k = 0; k < n; k++)
            made.axis[k] = axis[k];
        uint32_t cost = axes_arrange_cost(abc, &made, (uint32_t)t->at[i].rank, t->at[i].axis);
        if (cost < AXES_NO_WAY && cost + i < best) {
            best = cost + i;
            *station = i;
        }
    }
    return best;
}

static bool known_heads(const Attention *a, const Plan *plan, uint32_t heads)
{
    Word lead = axes_spell(&a->abc, &a->lead), head = part(&lead, plan->batch, plan->batch + heads);
    return tg_dim_known(axes_size(&a->abc, &head), NULL);
}

/* Nodes that stay alive because of both Concats, with their new parts. */
static uint32_t concats(const Attention *a)
{
    return a->k_cache.there && a->v_cache.there ? a->k_cache.fresh.n + a->v_cache.fresh.n : 0;
}

static void consider(Planner *w, Plan plan)
{
    Attention *a = w->a;
    Alphabet *abc = &a->abc;
    Word axis[4], lead = axes_spell(abc, &a->lead);
    uint32_t heads = lead.n - plan.batch, n;
    const Trail *k = plan.with_past ? &w->a->k_cache.fresh : &a->k,
                *v = plan.with_past ? &w->a->v_cache.fresh : &a->v;
    const Word *length = plan.with_past ? &w->a->k_cache.new_keys : &a->keys;
    if ((plan.rank == 3 || plan.kv != heads) &&
        (!known_heads(a, &plan, heads) || !known_heads(a, &plan, plan.kv)))
        return;
    n = layout(a, &plan, heads, &a->queries, &a->size, axis);
    plan.cost = best_station(abc, &a->q, n, axis, &plan.q);
    n = layout(a, &plan, plan.kv, length, &a->size, axis);
    plan.keys_cost = best_station(abc, k, n, axis, &plan.k);
    n = layout(a, &plan, plan.kv, plan.with_past ? &w->a->v_cache.new_keys : &a->keys, &a->value_size, axis);
    plan.keys_cost += best_station(abc, v, n, axis, &plan.v);
    plan.cost += plan.keys_cost;
    n = layout(a, &plan, heads, &a->queries, &a->value_size, axis);
    plan.cost += best_result(abc, &a->result, a->guard != 0, n, axis, &plan.result);
    if (plan.with_past) {
        Plan four = plan;
        four.rank = 4;
        n = layout(a, &four, plan.kv, &a->keys, &a->size, axis);
        plan.cost += axes_arrange_cost(abc, &w->a->k_cache.of_all, n, axis) ? AXES_NO_WAY : 0;
        n = layout(a, &four, plan.kv, &a->keys, &a->value_size, axis);
        plan.cost += axes_arrange_cost(abc, &w->a->v_cache.of_all, n, axis) ? AXES_NO_WAY : 0;
    } else
        plan.cost += concats(a);
    if (plan.cost < w->best.cost || (plan.cost == w->best.cost && plan.keys_cost < w->best.keys_cost))
        w->best = plan;
}

static bool same_cache_axes(const Planner *w)
{
    return w->a->k_cache.there && w->a->v_cache.there &&
           axes_size(&w->a->abc, &w->a->k_cache.new_keys) == axes_size(&w->a->abc, &w->a->v_cache.new_keys);
}

/* Which keys a query sees depends on where the past ends: an operator that says so itself keeps the past
 * that it has. */
static bool counts_from_past(const TgNodeInfo *op)
{
    return tg_attr_int(op, "is_causal") || tg_attr_int(op, "left_window_size") >= 0 ||
           tg_attr_int(op, "right_window_size") >= 0;
}

/* The operator that is there gives keys or values back. */
static bool gives_keys(const Attention *a)
{
    return a->op && (attention_given(a->abc.g, a->op, 1) || attention_given(a->abc.g, a->op, 2));
}

static bool make_plan(Planner *w, bool may_have_past)
{
    Word lead = axes_spell(&w->a->abc, &w->a->lead);
    bool cache = same_cache_axes(w), gives_all = gives_keys(w->a) && !in(w->a->op, 4);
    bool has_past = w->a->op && in(w->a->op, 4);
    may_have_past =
        may_have_past && !gives_all; /* what it gives is then the whole, not what comes behind a past */
    if (w->a->op && !has_past && counts_from_past(w->a->op))
        may_have_past = false;
    w->best = (Plan){.cost = AXES_NO_WAY};
    for (uint32_t past = has_past; past <= (uint32_t)(may_have_past && cache); past++)
        for (uint32_t rank = 3; rank <= 4; rank++)
            for (uint32_t batch = 0; batch <= lead.n; batch++)
                for (uint32_t kv = 0; kv + batch <= lead.n; kv++)
                    consider(w, (Plan){.rank = rank, .batch = batch, .kv = kv, .with_past = past != 0});
    return w->best.cost < AXES_NO_WAY;
}

/* --- attributes --------------------------------------------------------------------------------------- */

static int64_t heads_of(const Attention *a, const Plan *plan, uint32_t heads)
{
    Word lead = axes_spell(&a->abc, &a->lead), head = part(&lead, plan->batch, plan->batch + heads);
    int64_t n = 1;
    tg_dim_known(axes_size(&a->abc, &head), &n);
    return n;
}

static const TgAttrs *attributes(Planner *w, double scale, bool is_causal, bool shows)
{
    Attention *a = w->a;
    const Plan *plan = &w->best;
    TgAttrBuild b;
    int64_t size;
    bool usual =
        tg_dim_known(axes_size(&a->abc, &a->size), &size) && fabs(scale * sqrt((double)size) - 1) < 1e-12;
    if (a->op)
        tg_attrs_from(&b, w->p->tg, a->op->attrs);
    else
        tg_attrs_begin(&b, w->p->tg);
    tg_attrs_drop(&b, "scale");
    tg_attrs_drop(&b, "q_num_heads");
    tg_attrs_drop(&b, "kv_num_heads");
    if (!usual)
        tg_attrs_float(&b, "scale", (float)scale);
    if (a->softcap != 0)
        tg_attrs_float(&b, "softcap", (float)a->softcap);
    if (a->precision)
        tg_attrs_int(&b, "softmax_precision", a->precision);
    if (is_causal)
        tg_attrs_int(&b, "is_causal", 1);
    if (shows)
        tg_attrs_int(&b, "qk_matmul_output_mode", a->shown.mode);
    if (plan->rank == 3) {
        Word lead = axes_spell(&a->abc, &a->lead);
        tg_attrs_int(&b, "q_num_heads", heads_of(a, plan, lead.n - plan->batch));
        tg_attrs_int(&b, "kv_num_heads", heads_of(a, plan, plan->kv));
    }
    return tg_attrs_end(&b, TG_Attention);
}

/* --- nodes -------------------------------------------------------------------------------------------- */

typedef struct {
    TgValue in[7];
    uint32_t n_in;
    bool is_causal;
    double scale;
} Operands;

/* The operator multiplies queries and keys by the root of the scale, rounded to their type: for 16 bits that is
 * another scale. Then the queries are scaled before, if the source did not multiply by such roots itself. */
static bool scale_before(Planner *w, Operands *o, bool by_roots)
{
    TgPass *p = w->p;
    TgDtype dtype = tg_type_of(p->g, o->in[0])->dtype;
    double root = tg_round_float(dtype, sqrt(o->scale), false);
    bool as_it_was = w->a->op && o->scale == w->a->scale;
    if (tg_dtype_bits(dtype) >= 32 || as_it_was || by_roots || root * root == o->scale)
        return true;
    o->in[0] = pass_op(p, TG_Mul, NULL, 2, o->in[0], pass_float_like(p, o->in[0], o->scale));
    o->scale = 1;
    return o->in[0] != 0;
}

/* Where a band leaves to the last query all keys there are, which only plans make use of: the flag says so of keys that
 * are counted. NULL: there is none, or the flag says it without. */
static TgDim counted_frontier(const Planner *w)
{
    enum { COUNTS_SINCE = 24 };
    const Attention *a = w->a;
    TgDim behind = tg_dim_sub(w->p->tg, axes_size(&a->abc, &a->keys), axes_size(&a->abc, &a->queries));
    bool may = w->p->options->for_plan && w->p->options->opset >= COUNTS_SINCE && !a->op && !w->best.with_past;
    for (uint32_t i = 0; may && i < a->mask.n; i++)
        if (a->mask.layer[i].has_band && a->mask.layer[i].band == behind && !tg_dim_is(behind, 0))
            return behind;
    return NULL;
}

/* i64[B]: all keys, for each entry of the batch; along the axes of an operand of this rank. */
static TgValue all_keys(TgPass *p, TgValue keys)
{
    int64_t axis = pass_rank(p->g, keys) == 3 ? 1 : 2;
    TgValue count = pass_op(p, TG_Shape, tg_attrs(p->tg, TG_Shape, "start=i end=i", axis, axis + 1), 1, keys);
    const TgAttrs *first = tg_attrs(p->tg, TG_Shape, "start=i end=i", (int64_t)0, (int64_t)1);
    TgValue batch = pass_op(p, TG_Shape, first, 1, keys);
    return count && batch ? pass_op(p, TG_Expand, NULL, 2, count, batch) : 0;
}

static bool operands(Planner *w, Operands *o)
{
    TgPass *p = w->p;
    Attention *a = w->a;
    const Plan *plan = &w->best;
    Word axis[4], lead = axes_spell(&a->abc, &a->lead), mask_axis[4];
    uint32_t heads = lead.n - plan->batch, n;
    const Trail *k = plan->with_past ? &w->a->k_cache.fresh : &a->k,
                *v = plan->with_past ? &w->a->v_cache.fresh : &a->v;
    TgDim counted = counted_frontier(w);
    TgDim offset = counted ? counted : tg_dim(p->tg, 0);
    if (plan->with_past)
        offset = axes_size(&a->abc, &w->a->k_cache.past_keys);
    n = layout(a, plan, heads, &a->queries, &a->size, axis);
    o->in[0] = axes_arrange(p, &a->abc, &a->q.at[plan->q], n, axis);
    n = layout(a, plan, plan->kv, plan->with_past ? &w->a->k_cache.new_keys : &a->keys, &a->size, axis);
    o->in[1] = axes_arrange(p, &a->abc, &k->at[plan->k], n, axis);
    n = layout(a, plan, plan->kv, plan->with_past ? &w->a->v_cache.new_keys : &a->keys, &a->value_size, axis);
    o->in[2] = axes_arrange(p, &a->abc, &v->at[plan->v], n, axis);
    if (!o->in[0] || !o->in[1] || !o->in[2])
        return false;
    mask_axis[0] = part(&lead, 0, plan->batch);
    mask_axis[1] = part(&lead, plan->batch, lead.n);
    mask_axis[2] = a->queries;
    mask_axis[3] = a->keys;
    MaskOperand mask = mask_write(p, a, offset, mask_axis, &a->q.at[plan->q]);
    if (a->op && !mask.refused &&
        (mask.value || !in(a->op, 3))) /* what is there stays, unless nothing is left */
        mask = (MaskOperand){.value = in(a->op, 3), .is_causal = a->is_causal};
    o->in[3] = mask.value;
    o->is_causal = mask.is_causal;
    o->n_in = mask.value ? 4 : 3;
    double of_queries = a->q.scale[plan->q], of_keys = k->scale[plan->k];
    if (plan->with_past) {
        of_keys *= a->k.scale[a->k.n - 1];
        o->in[4] = w->a->k_cache.past.v;
        o->in[5] = w->a->v_cache.past.v;
        o->n_in = 6;
    }
    if (counted && o->is_causal) {
        o->in[6] = all_keys(p, o->in[1]);
        o->n_in = 7;
        if (!o->in[6])
            return false;
    }
    o->scale = a->scale * of_queries * of_keys;
    return !mask.refused && scale_before(w, o, a->scale == 1 && of_queries == of_keys);
}

/* The result of the operator, laid out as the station that it replaces. */
static TgValue arranged_result(Planner *w, TgValue made)
{
    Attention *a = w->a;
    const Plan *plan = &w->best;
    const AxisMap *at = &a->result.at[plan->result];
    Word lead = axes_spell(&a->abc, &a->lead);
    AxisMap map = {.v = made, .rank = (int32_t)plan->rank};
    layout(a, plan, lead.n - plan->batch, &a->queries, &a->value_size, map.axis);
    TgValue v = axes_arrange(w->p, &a->abc, &map, (uint32_t)at->rank, at->axis);
    return v && same_type(w->p->g, v, at->v) ? v : 0;
}

static bool same_map(const Alphabet *abc, const AxisMap *x, const AxisMap *y)
{
    bool same = x->v == y->v && x->rank == y->rank;
    for (int32_t i = 0; same && i < x->rank; i++)
        same = axes_same(abc, &x->axis[i], &y->axis[i]);
    return same;
}

/* Keys (values) laid out as the operator gives them back, that the graph returns: they need not be made
 * beside it. Made in one step from a station, or a station themselves. 0: none. */
static TgValue returned_heads(Planner *w, const Trail *t, uint32_t station, const Word *size)
{
    Attention *a = w->a;
    Plan four = w->best;
    AxisMap given = {.rank = 4}, from;
    four.rank = 4;
    layout(a, &four, four.kv, &a->keys, size, given.axis);
    if (w->best.rank == 4 || w->best.with_past)
        return 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const TgValueInfo *info = tg_value(w->p->g, t->at[i].v);
        given.v = t->at[i].v;
        if (t->scale[i] != t->scale[station])
            continue;
        if (i < station && info->returned && same_map(&a->abc, &given, &t->at[i]))
            return given.v;
        for (uint32_t k = 0; k < info->uses.n; k++) {
            const TgNodeInfo *reader = tg_node(w->p->g, info->uses.at[k].node);
            given.v = reader->n_out == 1 ? reader->out[0] : 0;
            if (given.v && tg_value(w->p->g, given.v)->returned && pass_rank(w->p->g, given.v) == 4 &&
                axes_back(&a->abc, &given, &from) && same_map(&a->abc, &from, &t->at[i]))
                return given.v;
        }
    }
    return 0;
}

/* Values that outputs 1 and 2 of the operator stand for; 0: nobody needs them. */
typedef struct {
    TgValue k, v;
    TgValue shown; /* output 3, likewise */
} Presents;

/* What the operator shows of scores lies along batch, heads, queries, keys. */
static TgValue find_shown(Planner *w)
{
    const Attention *a = w->a;
    Word lead = axes_spell(&a->abc, &a->lead);
    Plan four = w->best;
    AxisMap made = {.v = a->shown.map.v, .rank = 4};
    four.rank = 4;
    layout(a, &four, lead.n - four.batch, &a->queries, &a->keys, made.axis);
    return a->shown.mode != SHOW_NOTHING && !a->op && same_map(&a->abc, &made, &a->shown.map) ? made.v : 0;
}

static Presents find_presents(Planner *w)
{
    const Attention *a = w->a;
    Presents found = {.shown = find_shown(w)};
    if (w->best.with_past) {
        found.k = a->k_cache.all;
        found.v = a->v_cache.all;
    } else if (gives_keys(a)) { /* without a past: as they are */
        found.k = attention_given(a->abc.g, a->op, 1);
        found.v = attention_given(a->abc.g, a->op, 2);
    } else {
        found.k = returned_heads(w, &a->k, w->best.k, &a->size);
        found.v = returned_heads(w, &a->v, w->best.v, &a->value_size);
    }
    return found;
}

/* Fewer nodes around the operator that is there, or no mask any more. */
static bool improves(const Planner *w, const Operands *o, Presents presents)
{
    const Attention *a = w->a;
    bool has_past = a->op && in(a->op, 4);
    const Trail *k = has_past ? &a->k_cache.fresh : &a->k, *v = has_past ? &a->v_cache.fresh : &a->v;
    uint32_t now = a->q.n + k->n + v->n + a->result.n - 4 + (has_past ? 0 : concats(a));
    bool gives_more = a->op && !gives_keys(a) && (presents.k || presents.v);
    return !a->op || w->best.cost < now || (in(a->op, 3) && !o->in[3]) || gives_more;
}

/* The results of the operator take the place of what they say again. */
static bool replace_results(Planner *w, const TgNodeInfo *made, Presents presents)
{
    TgPass *p = w->p;
    TgValue result = arranged_result(w, made->out[0]);
    TgValue wanted[4] = {w->a->result.at[w->best.result].v, presents.k, presents.v, presents.shown}, old[4],
            by[4];
    uint32_t count = 0;
    for (uint32_t i = 0; i < 4; i++) {
        if (!wanted[i])
            continue;
        old[count] = wanted[i];
        by[count] = i ? made->out[i] : result;
        if (!by[count] || !same_type(p->g, by[count], old[count])) {
            pass_explain(p, w->a->at, "the result has other sizes than the pieces had");
            return false;
        }
        count++;
    }
    p->approximate = w->a->approximate;
    pass_count(p, w->a->op ? "attention-operands" : "attention");
    bool replaced = pass_replace_all(p, count, old, by, "attention");
    p->approximate = false;
    return replaced;
}

static bool write_plan(Planner *w)
{
    TgPass *p = w->p;
    Operands o = {.in = {0}};
    Presents presents = find_presents(w);
    if (!operands(w, &o) || !improves(w, &o, presents))
        return false;
    if (o.scale <= 0) {
        pass_explain(p, w->a->at, "the scale %g is not positive", o.scale);
        return false;
    }
    if (w->a->shown.mode == SHOW_PROBABILITIES && !presents.shown) {
        pass_explain(p, w->a->at, "the graph returns probabilities in another layout");
        return false;
    }
    if (!gives_keys(w->a) && depends_on(p, o.in, o.n_in, presents.k, presents.v)) {
        if (w->best.with_past)
            return false;
        presents.k = presents.v = 0;
    }
    const TgAttrs *attrs = attributes(w, o.scale, o.is_causal, presents.shown != 0);
    uint32_t n_out = presents.shown ? 4 : presents.v ? 3 : presents.k ? 2 : 1;
    TgNode n = tg_graph_add(p->g, TG_Attention, attrs, o.n_in, o.in, n_out);
    return n && replace_results(w, tg_node(p->g, n), presents);
}

bool attention_write(TgPass *p, Attention *a)
{
    Planner w = {.p = p, .a = a};
    if (!a->k_cache.there) {
        find_cache(&w, &a->k, &a->k_cache);
        find_cache(&w, &a->v, &a->v_cache);
    }
    if (!make_plan(&w, true)) {
        pass_explain(p, a->at, "no layout of the operator fits batch, heads and sizes");
        return false;
    }
    bool had_past = w.best.with_past;
    if (write_plan(&w))
        return true;
    return had_past && make_plan(&w, false) && write_plan(&w);
}
