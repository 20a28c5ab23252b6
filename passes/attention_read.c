/* Reading attention by dataflow: from the product with the values back through the Softmax, masks, soft cap
 * and scale to the product of queries and keys, and on through views to what the operands are made of.
 *
 * Everything is followed backward from the last view of the result, so that one alphabet names all axes.
 * What lies between the steps may be reshaped in any way; what is added, hidden or scaled is collected
 * on the way. */
#include <math.h>
#include <string.h>

#include "attention.h"
#include "views.h"

/* --- forward: from the Softmax to the product and the last view of the result ------------------------- */

static TgNodeInfo *only_reader(const TgGraph *g, TgValue v, uint32_t *slot)
{
    const TgValueInfo *info = tg_value(g, v);
    if (info->uses.n != 1)
        return NULL;
    *slot = info->uses.at[0].slot;
    return tg_node(g, info->uses.at[0].node);
}

/* From one float type to another: around a Softmax in higher precision. */
static bool converts(const TgGraph *g, const TgNodeInfo *n)
{
    return n->op == TG_Cast && tg_is_float(tg_type_of(g, n->in[0])->dtype) &&
           tg_is_float(tg_type_of(g, n->out[0])->dtype);
}

static bool reorders(const TgNodeInfo *n, uint32_t slot)
{
    return slot == 0 && (is_view(n->op) || n->op == TG_Transpose);
}

/* Where(IsNaN(v), 0, v), the two readers of v; NULL: they are not. */
static TgNodeInfo *nan_guard(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    for (uint32_t i = 0; i < info->uses.n && info->uses.n == 2; i++) {
        TgNodeInfo *where = tg_node(g, info->uses.at[i].node);
        const TgNodeInfo *isnan = where->op == TG_Where ? tg_producer(g, where->in[0], TG_IsNaN) : NULL;
        if (isnan && isnan->in[0] == v && where->in[2] == v && is_splat_of(g, where->in[1], 0) &&
            same_type(g, v, where->out[0]))
            return where;
    }
    return NULL;
}

/* m in Where(Equal(ReduceMax(m), -inf), 0, p), the definition of the operator itself; 0: it is something
 * else. */
static TgValue zeroed_by(const TgGraph *g, const TgNodeInfo *where)
{
    const TgNodeInfo *equal = tg_producer(g, where->in[0], TG_Equal);
    const TgNodeInfo *max =
        equal && is_splat_of(g, equal->in[1], -INFINITY) ? tg_producer(g, equal->in[0], TG_ReduceMax) : NULL;
    int64_t axis = 0;
    uint32_t count;
    bool over_keys = max && tg_attr_int(max, "keepdims") && in(max, 1) &&
                     tg_const_ints(g, max->in[1], 1, &axis, &count) && count == 1 &&
                     (axis == -1 || axis == pass_rank(g, max->in[0]) - 1);
    return over_keys && is_splat_of(g, where->in[1], 0) ? max->in[0] : 0;
}

/* The product that the probabilities go into; 0: they go elsewhere. */
static TgValue find_product(const TgGraph *g, TgValue probabilities)
{
    for (TgValue v = probabilities;;) {
        uint32_t slot = 0;
        TgNodeInfo *n = nan_guard(g, v);
        if (!n)
            n = only_reader(g, v, &slot);
        if (!n)
            return 0;
        if ((n->op == TG_MatMul && slot == 0) || n->op == TG_Einsum)
            return n->out[0];
        bool guard = n->op == TG_Where && (slot == 0 || (slot == 2 && zeroed_by(g, n)));
        if (!guard && !reorders(n, slot) && !converts(g, n))
            return 0;
        v = n->out[0];
    }
}

/* Where(guard, 0, x): rows that are to be zeros. */
static bool is_row_guard(const TgGraph *g, const TgNodeInfo *n, uint32_t slot)
{
    return n->op == TG_Where && slot == 2 && is_splat_of(g, n->in[1], 0) && same_type(g, n->in[2], n->out[0]);
}

uint32_t attention_follow_result(const TgGraph *g, TgValue v, bool with_guard, TgValue *chain)
{
    uint32_t n = 0, slot;
    bool guarded = !with_guard;
    chain[n++] = v;
    while (n < TRAIL_MOST) {
        TgNodeInfo *reader = tg_value(g, v)->returned ? NULL : only_reader(g, v, &slot);
        bool guard = reader && !guarded && is_row_guard(g, reader, slot);
        if (!reader || (!guard && !reorders(reader, slot)))
            break;
        guarded = guarded || guard;
        chain[n++] = v = reader->out[0];
    }
    return n;
}

/* --- backward: trails --------------------------------------------------------------------------------- */

static void start_trail(Trail *t, const AxisMap *map)
{
    t->n = 1;
    t->at[0] = *map;
    t->scale[0] = 1;
}

/* The number in a constant of equal elements, as it was before roundings on the way to it: exporters compute the root
 * of the scale, and its square is to be the scale. Depth is bounded. */
static double unrounded(Tg *tg, const TgTensor *t, uint32_t depth)
{
    const TgRecipe *r = t->recipe;
    double x = t->count && tg_dtype_class(t->dtype) != TG_CLASS_S ? tg_tensor_float(tg, t, 0) : NAN;
    if (!r || !depth || !tg_is_float(t->dtype) || !r->n || !r->input[0])
        return x;
    double a = unrounded(tg, r->input[0], depth - 1),
           b = r->n > 1 && r->input[1] ? unrounded(tg, r->input[1], depth - 1) : 0;
    double y = r->op == TG_Sqrt         ? sqrt(a)
               : r->op == TG_Reciprocal ? 1 / a
               : r->op == TG_Mul        ? a * b
               : r->op == TG_Div        ? a / b
               : r->op == TG_Pow        ? pow(a, b)
                                        : a;
    return fabs(y - x) <= 1e-3 * fabs(x) ? y : x; /* another operator, or other elements of its operands */
}

/* x in Mul(x, c), Mul(c, x), Div(x, c) with a constant c of equal elements that does not widen x; *c:
 * the factor. */
static bool scaled(const TgGraph *g, TgValue v, uint32_t *slot, double *c)
{
    const TgNodeInfo *n = tg_producer(g, v, TG_Mul);
    if (!n)
        n = tg_producer(g, v, TG_Div);
    if (!n)
        return false;
    *slot = n->op == TG_Mul && is_const(g, n->in[0]) ? 1 : 0;
    if (!is_splat(g, n->in[1 - *slot], c) || !same_type(g, n->in[*slot], v) || *c == 0)
        return false;
    *c = unrounded(g->tg, tg_const_of(g, n->in[1 - *slot]), 8);
    if (n->op == TG_Div)
        *c = 1 / *c;
    return isfinite(*c);
}

void attention_follow(Alphabet *abc, const AxisMap *from, bool with_scale, Trail *t)
{
    start_trail(t, from);
    while (t->n < TRAIL_MOST) {
        const AxisMap *last = &t->at[t->n - 1];
        AxisMap *next = &t->at[t->n];
        uint32_t slot;
        double c = 1;
        if (axes_back(abc, last, next))
            t->scale[t->n] = t->scale[t->n - 1];
        else if (with_scale && scaled(abc->g, last->v, &slot, &c)) {
            *next = *last;
            next->v = tg_node(abc->g, tg_value(abc->g, last->v)->node)->in[slot];
            t->scale[t->n] = t->scale[t->n - 1] * c;
        } else
            return;
        t->n++;
    }
}

bool attention_read_result(Attention *a, const TgValue *chain, uint32_t n)
{
    AxisMap map;
    if (!axes_start(&a->abc, chain[n - 1], &map))
        return false;
    start_trail(&a->result, &map);
    a->guard = 0;
    for (uint32_t i = n - 1; i-- > 0; a->result.n++) {
        const TgNodeInfo *where = tg_producer(a->abc.g, map.v, TG_Where);
        AxisMap *next = &a->result.at[a->result.n];
        if (where && (!axes_operand(&a->abc, &map, where, 2, next) ||
                      !axes_operand(&a->abc, &map, where, 0, &a->guard_map)))
            return false;
        if (where)
            a->guard = where->in[0];
        else if (!axes_back(&a->abc, &map, next))
            return false;
        map = *next;
    }
    return true;
}

/* --- backward: probabilities and scores --------------------------------------------------------------- */

/* The value at `map`, if the graph returns it. False: it returns another one, too. */
static bool show(Attention *a, const AxisMap *map, int mode)
{
    if (!tg_value(a->abc.g, map->v)->returned)
        return true;
    if (a->shown.mode != SHOW_NOTHING)
        return false;
    a->shown.mode = mode;
    a->shown.map = *map;
    return true;
}

/* From the operand of the product to the Softmax. */
static bool read_probabilities(Attention *a, AxisMap *map)
{
    for (uint32_t i = 0; i < TRAIL_MOST; i++) {
        AxisMap next;
        const TgNodeInfo *where = tg_producer(a->abc.g, map->v, TG_Where),
                         *cast = tg_producer(a->abc.g, map->v, TG_Cast);
        if (!show(a, map, SHOW_PROBABILITIES) ||
            (a->nan_is_zero && tg_value(a->abc.g, map->v)->returned && !where))
            return false; /* what is returned is not what goes into the product */
        if (tg_producer(a->abc.g, map->v, TG_Softmax))
            return map->v == a->at->out[0];
        if (cast) {
            next = *map;
            next.v = cast->in[0];
        } else if (where) {
            a->nan_is_zero = true;
            if (!tg_producer(a->abc.g, where->in[0], TG_IsNaN))
                a->zero_where = zeroed_by(a->abc.g, where);
            if (!axes_operand(&a->abc, map, where, 2, &next))
                return false;
        } else if (!axes_back(&a->abc, map, &next))
            return false;
        *map = next;
    }
    return false;
}

static bool is_product(const TgGraph *g, TgValue v)
{
    return tg_producer(g, v, TG_MatMul) || tg_producer(g, v, TG_Einsum);
}

/* The way from v down to a product, through what read_scores understands: the operand of each node that
 * carries the scores. */
static bool carries_scores(const TgGraph *g, TgValue v, uint32_t *slot)
{
    enum { DEEP = 12 };
    TgValue pending[2 * DEEP] = {v};
    uint32_t first[2 * DEEP] = {0}, depth[2 * DEEP] = {0}, waiting = 1;
    while (waiting) { /* depth first, so that the deepest chain is found without counting */
        waiting--;
        TgValue at = pending[waiting];
        uint32_t from = first[waiting], deep = depth[waiting];
        if (deep && is_product(g, at)) {
            *slot = from;
            return true;
        }
        const TgValueInfo *info = tg_value(g, at);
        if (info->origin != TG_V_RESULT || deep == DEEP)
            continue;
        const TgNodeInfo *n = tg_node(g, info->node);
        bool many = n->op == TG_Add || n->op == TG_Mul || (n->op == TG_Sum && n->n_in <= LAYERS_MOST);
        bool single = n->op == TG_Div || n->op == TG_Tanh || n->op == TG_Cast || is_view(n->op) ||
                      n->op == TG_Transpose;
        uint32_t lowest = n->op == TG_Where ? 1 : 0, end = n->op == TG_Where ? 3
                                                           : many            ? n->n_in
                                                           : single          ? 1
                                                                             : 0;
        for (uint32_t i = end; i-- > lowest && waiting < 2 * DEEP;)
            if (!is_const(g, n->in[i])) {
                pending[waiting] = n->in[i];
                first[waiting] = deep ? from : i;
                depth[waiting++] = deep + 1;
            }
    }
    return false;
}

static bool refuse(TgPass *p, const Attention *a, const char *why)
{
    pass_explain(p, a->at, "%s", why);
    return false;
}

/* Add(scores, m): operand `part` is the mask of this step; Where: its condition. */
static bool keep_term(TgPass *p, Attention *a, const AxisMap *map, const TgNodeInfo *n, uint32_t slot, uint32_t part)
{
    if (a->softcap != 0)
        return refuse(p, a, "the mask comes before the soft cap");
    if (a->scale != 1)
        return refuse(p, a, "the scores are scaled after the mask");
    if (a->n_terms == LAYERS_MOST)
        return refuse(p, a, "the mask has too many parts");
    MaskTerm *term = &a->term[a->n_terms++];
    *term = (MaskTerm){.is_condition = n->op == TG_Where, .hides_where = slot == 2};
    if (!axes_operand(&a->abc, map, n, part, &term->map))
        term->is_loose = axes_operand_loosely(&a->abc, map, n, part, &term->map);
    if (!term->map.v)
        return refuse(p, a, "the mask varies along axes in a way that is not followed");
    if (term->is_condition && !is_splat(p->g, n->in[slot == 1 ? 2 : 1], &term->hidden))
        return refuse(p, a, "a Where puts something else than a constant into the scores");
    return true;
}

/* All that n, an Add, Sum or Where, does to the scores, its operand `slot`. */
static bool keep_terms(TgPass *p, Attention *a, const AxisMap *map, const TgNodeInfo *n, uint32_t slot)
{
    if (n->op == TG_Where)
        return keep_term(p, a, map, n, slot, 0);
    for (uint32_t part = 0; part < n->n_in; part++)
        if (part != slot && !keep_term(p, a, map, n, slot, part))
            return false;
    return true;
}

/* One step from scores towards the product. */
static bool read_step(TgPass *p, Attention *a, AxisMap *map)
{
    const TgNodeInfo *n = tg_node(p->g, tg_value(p->g, map->v)->node);
    uint32_t slot = 0;
    double c;
    AxisMap next;
    if (!carries_scores(p->g, map->v, &slot))
        return refuse(p, a, "the scores are no product of queries and keys");
    bool masks = n->op == TG_Add || n->op == TG_Sum || n->op == TG_Where;
    if (masks && !keep_terms(p, a, map, n, slot))
        return false;
    if (n->op == TG_Tanh) {
        if (a->softcap != 0 || a->scale <= 0)
            return refuse(p, a, "a Tanh that is no soft cap");
        a->softcap = a->scale;
    } else if (n->op == TG_Mul || n->op == TG_Div) {
        if (!scaled(p->g, map->v, &slot, &c))
            return refuse(p, a, "the scores are scaled by something that is no constant");
        a->scale *= c;
    } else if (!masks && !reorders(n, 0) && !converts(p->g, n))
        return refuse(p, a, "the scores pass through an operator that attention has not");
    if (reorders(n, 0) ? !axes_back(&a->abc, map, &next) : !axes_operand(&a->abc, map, n, slot, &next))
        return refuse(p, a, "the scores are repeated or reshaped in a way that mixes axes");
    *map = next;
    return true;
}

/* --- the products ------------------------------------------------------------------------------------- */

/* Which letters are queries: those of q alone; a batch axis that only q has (keys repeated) is none. */
static Word find_queries(const Attention *a, const AxisMap *softmax, const AxisMap *q, const AxisMap *k)
{
    Word of_q = axes_all(&a->abc, q), of_k = axes_all(&a->abc, k);
    Word own = axes_only(&a->abc, &of_q, &of_k, false),
         row = axes_spell(&a->abc, &softmax->axis[softmax->rank - 2]);
    Word both = axes_only(&a->abc, &row, &own, true);
    return both.n == row.n ? row : own;
}

static bool split_letters(TgPass *p, Attention *a, const AxisMap *softmax, const AxisMap product[2],
                          const AxisMap *v)
{
    uint32_t k_slot = 1;
    Word all[2] = {axes_all(&a->abc, &product[0]), axes_all(&a->abc, &product[1])},
         of_v = axes_all(&a->abc, v);
    for (uint32_t i = 0; i < a->keys.n; i++) {
        bool first = axes_has(&a->abc, &all[0], a->keys.at[i]),
             second = axes_has(&a->abc, &all[1], a->keys.at[i]);
        if (first == second)
            return refuse(p, a, "both operands of the scores vary along the keys");
        k_slot = second;
    }
    const AxisMap *q = &product[1 - k_slot], *k = &product[k_slot];
    Word scores = axes_all(&a->abc, softmax);
    a->queries = find_queries(a, softmax, q, k);
    Word known = axes_join(&a->abc, 2, (Word[]){a->queries, a->keys});
    a->lead = axes_only(&a->abc, &scores, &known, false);
    a->value_size = axes_only(&a->abc, &of_v, &scores, false);
    Word wrong = axes_only(&a->abc, &of_v, &a->queries, true);
    if (wrong.n)
        return refuse(p, a, "the values vary along the queries");
    attention_follow(&a->abc, q, true, &a->q);
    attention_follow(&a->abc, k, true, &a->k);
    return true;
}

/* Perhaps the product of queries and keys, scaled: if no mask or cap follows on the way to it. */
static void show_product(Attention *a, const AxisMap *map)
{
    bool may = a->shown.mode == SHOW_NOTHING || a->shown.mode == SHOW_PRODUCT;
    if (may && a->scale == 1 && tg_value(a->abc.g, map->v)->returned)
        a->shown = (Shown){.mode = SHOW_PRODUCT, .map = *map, .n_terms = a->n_terms, .softcap = a->softcap};
}

/* From the Softmax to the product. */
static bool read_scores(TgPass *p, Attention *a, AxisMap *scores)
{
    scores->v = a->at->in[0];
    show(a, scores, SHOW_SCORES);
    for (;;) {
        show_product(a, scores);
        if (is_product(p->g, scores->v))
            break;
        if (!read_step(p, a, scores))
            return false;
    }
    if (a->shown.mode == SHOW_PRODUCT && (a->shown.n_terms != a->n_terms || a->shown.softcap != a->softcap))
        a->shown.mode = SHOW_NOTHING;
    return true;
}

static bool try_chain(TgPass *p, Attention *a, const TgValue *chain, uint32_t n)
{
    AxisMap pv[2], qk[2], scores, softmax;
    if (!attention_read_result(a, chain, n) ||
        !axes_product(&a->abc, &a->result.at[a->result.n - 1], pv, &a->keys))
        return false;
    scores = pv[0];
    if (!read_probabilities(a, &scores))
        return false;
    softmax = scores;
    int64_t axis = tg_attr_int(a->at, "axis");
    if (axis != -1 && axis != softmax.rank - 1) {
        pass_explain(p, a->at, "softmax over axis %d of %d", (int)axis, (int)softmax.rank);
        return false;
    }
    if (!axes_same(&a->abc, &softmax.axis[softmax.rank - 1], &a->keys))
        return refuse(p, a, "the product with the values sums over another axis than the Softmax");
    if (!read_scores(p, a, &scores))
        return false;
    if (!axes_product(&a->abc, &scores, qk, &a->size) || !split_letters(p, a, &softmax, qk, &pv[1]))
        return false;
    attention_follow(&a->abc, &pv[1], false, &a->v);
    TgDtype own = tg_type_of(p->g, scores.v)->dtype, precision = tg_type_of(p->g, a->at->out[0])->dtype;
    a->precision = own == precision ? TG_undefined : precision;
    if (a->zero_where && (a->n_terms != 1 || a->term[0].is_condition || a->term[0].map.v != a->zero_where))
        return refuse(p, a, "rows are made zero by something else than the mask");
    if (a->precision && a->n_terms)
        return refuse(p, a, "the mask has another element type than queries");
    if (tg_type_of(p->g, pv[0].v)->dtype != own)
        return refuse(p, a, "the probabilities have another element type than queries");
    return mask_read(p, a) && !a->abc.full;
}

bool attention_read(TgPass *p, TgNodeInfo *softmax, bool with_guard, Attention *a)
{
    TgValue chain[TRAIL_MOST], product = find_product(p->g, softmax->out[0]);
    *a = (Attention){.at = softmax};
    if (!product)
        pass_explain(p, softmax, "the probabilities go elsewhere than into one product with values");
    if (!product || !tg_is_float(tg_type_of(p->g, softmax->out[0])->dtype) ||
        pass_rank(p->g, softmax->out[0]) < 2)
        return false;
    for (uint32_t n = attention_follow_result(p->g, product, with_guard, chain); n; n--) {
        *a = (Attention){.at = softmax, .scale = 1, .abc = {.g = p->g}, .shown = {.mode = SHOW_NOTHING}};
        if (try_chain(p, a, chain, n))
            return true;
    }
    return false;
}
