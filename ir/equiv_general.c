/* The general form of a question: large weights are any weights, large sizes are small ones.
 *
 * If two graphs agree for all weights (masks, lists of indices), they agree for those of the model, so
 * constants of many different elements become inputs; what a rewrite folded is a recipe over them and
 * follows. The answer then holds for every layer that asks the same question, whatever its weights. One
 * tensor is one input, in both graphs and wherever it stands, and different tensors are different inputs,
 * so nothing that the graphs do with them is lost. What holds for all finite numbers need not hold for
 * infinite ones: x + m - m is x only where m is finite. So constants with infinities, or with numbers that
 * stand for them, are drawn as masks.
 *
 * Fixed sizes are replaced by small ones: a map f of the numbers that occur as sizes, applied to types and
 * to integer constants, such that what operators demand of sizes still holds: a Reshape keeps its product
 * (768 = 12 * 64), Concat and Split their sums, Slices their ends. Numbers below FIXED (axes, small
 * shapes) and those in attributes (heads) stay. Then everything is inferred anew: a graph whose types are
 * not the images of its old types is not the same question, and is asked in its own size.
 *
 * The map must not make equal what was different, or one graph could take the first 16 of something and
 * the other one the first 3, where 16 becomes 3. So f is injective on all integers that occur in types,
 * attributes and constants of at most VALUES elements, whether mapped or not. Nor may it meet a number by
 * accident: a mean over 768 is no sum divided by 12, although 768 may become 12; so no image is x, 1/x,
 * x^2 or 1/x^2 for a float constant or attribute x (scales, divisors, their roots). What is left is a
 * graph whose numbers agree by an expression of sizes that the map breaks: that turns "equal" into
 * "different", and the question is asked again.
 *
 * Constants that are a few runs along their axes (signs of halves) are as a rule of sizes and become small with them:
 * see equiv_runs.c.
 *
 * The first form frees every other constant of more than a few elements. A rewrite that reads one half of a table, as
 * the other one is equal, needs halves that are: the second form (equiv_halves.c). One that computes with tables, or
 * makes lists of indices, needs them as they are: the third form keeps all but the large ones, and with them the
 * sizes that they have. The fourth form keeps all of them.
 *
 * Both steps can only turn "equal" into "not shown", never the other way round for the weights; for the
 * sizes as far as a rewrite treats sizes alike that operators treat alike. A "different" of the general
 * form is no verdict: the question is asked again as it stands. */
#include <math.h>
#include <string.h>

#include "equiv_shrink.h"

/* --- any weights ---------------------------------------------------------------------------------------- */

/* One input in both graphs for every tensor that one of them has; inputs stay paired by position. `half`: the type of
 * what the tensor is twice, or NULL. */
static void free_tensor(EquivProblem *p, const TgTensor *t, const TgType *half)
{
    const TgType *type = half ? half : tg_tensor_type(p->a->tg, t);
    TgGraph *const graphs[] = {p->a->graph, p->b->graph};
    TgName name = equiv_mask_name(p->a->tg, t, p->a->graph->inputs.n);
    for (int i = 0; i < 2; i++) {
        TgGraph *g = graphs[i];
        TgValue in = tg_graph_input(g, type, name), by = half ? shrink_double(g, t, in) : in;
        for (TgValue v = 1; v < in; v++)
            if (shrink_is_weight(g, v) && tg_value(g, v)->tensor == t)
                tg_replace(g, v, by);
    }
    TG_PUSH(p->a->arena, &p->freed, t);
}

/* False: with `halves`, no table has any. */
static bool free_weights(EquivProblem *p, size_t more_than, bool halves)
{
    TgGraph *const graphs[] = {p->a->graph, p->b->graph};
    bool any = false;
    for (int i = 0; i < 2; i++)
        for (TgValue v = 1, n = graphs[i]->values.n; v < n; v++) {
            const TgTensor *t = tg_value(graphs[i], v)->tensor;
            if (!shrink_is_weight(graphs[i], v) || shrink_has_runs(t))
                continue;
            const TgType *half = halves ? shrink_half(p->a->tg, t) : NULL;
            any |= half != NULL;
            if (half || t->count > more_than)
                free_tensor(p, t, half);
        }
    return any || !halves;
}

/* --- choosing ------------------------------------------------------------------------------------------- */

int64_t shrink_mapped(const Shrink *s, int64_t n)
{
    int32_t i = shrink_index(s, shrink_magnitude(n));
    return i < 0 ? n : n < 0 ? -s->to[i] : s->to[i];
}

static bool fold(const Relation *r, int64_t x, int64_t *value)
{
    return r->sum ? !__builtin_add_overflow(*value, x, value) : !__builtin_mul_overflow(*value, x, value);
}

/* The side's value, with the unknown number `n` left out; false where another one is unknown too
 * or the value is none that can be counted. */
static bool side_value(const Shrink *s, const Relation *r, bool left, int64_t n, int64_t *value,
                       uint32_t *unknown)
{
    const int64_t *list = left ? r->left : r->right;
    *value = r->sum ? 0 : 1;
    *unknown = 0;
    for (uint32_t i = 0; i < (left ? r->n_left : r->n_right); i++) {
        if (list[i] == n) {
            ++*unknown;
            continue;
        }
        int64_t x = shrink_mapped(s, list[i]);
        if ((list[i] >= FIXED && !x) || !fold(r, x, value))
            return false;
    }
    return true;
}

static int64_t demanded_by_window(const Shrink *s, const Relation *r, int64_t n)
{
    int64_t large = shrink_mapped(s, r->left[0]), small = shrink_mapped(s, r->right[0]);
    if (n == r->left[0] && small && n != r->right[0])
        return r->stride * small + r->rest > 0 ? r->stride * small + r->rest : -1;
    if (n == r->right[0] && large && n != r->left[0])
        return large > r->rest && (large - r->rest) % r->stride == 0 ? (large - r->rest) / r->stride : -1;
    return 0;
}

/* What the relation says about n where all its other numbers are known; 0: nothing. -1: nothing fits. */
static int64_t demanded(const Shrink *s, const Relation *r, int64_t n)
{
    int64_t left, right;
    uint32_t in_left, in_right;
    if (r->stride)
        return demanded_by_window(s, r, n);
    if (!side_value(s, r, true, n, &left, &in_left) || !side_value(s, r, false, n, &right, &in_right))
        return 0;
    if (in_left && in_right)
        return 0;
    int64_t here = in_left ? left : right, there = in_left ? right : left, rest;
    uint32_t times = in_left + in_right;
    if (!times)
        return 0;
    if (r->sum)
        return __builtin_sub_overflow(there, here, &rest) || rest <= 0 || rest % times ? -1 : rest / times;
    return times == 1 && here > 0 && there % here == 0 && there > 0 ? there / here : -1;
}

/* Something else in the graphs is that number, or becomes it. */
static bool is_taken(const Shrink *s, uint32_t i, int64_t image)
{
    if (image == s->from[i])
        return false;
    for (uint32_t k = 0; k < s->n; k++)
        if (k != i && s->to[k] == image)
            return true;
    return image >= IMAGES || (s->occurs[image] && shrink_index(s, image) < 0);
}

/* Ascending, so that large sizes follow from the small ones that they are made of. */
static bool choose_above(Shrink *s, int64_t last)
{
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t want = s->to[i];
        for (uint32_t k = 0; k < s->n_relations && !s->to[i]; k++) {
            int64_t d = demanded(s, &s->relation[k], s->from[i]);
            if (d < 0)
                return false;
            want = d ? d : want;
        }
        for (int64_t next = last + 1; !want; next++)
            want = next >= s->from[i] || !is_taken(s, i, next) ? next : 0;
        if (want > s->from[i] || want < 1 || is_taken(s, i, want))
            return false;
        s->to[i] = want;
        last = want > last && want < s->from[i] ? want : last;
    }
    for (uint32_t k = 0; k < s->n_relations; k++) {
        int64_t left, right;
        uint32_t none;
        const Relation *r = &s->relation[k];
        bool known = side_value(s, r, true, -1, &left, &none) && side_value(s, r, false, -1, &right, &none);
        if (!known || left != (r->stride ? r->stride * right + r->rest : right))
            return false;
    }
    return true;
}

/* Products may meet a number that is there: then others are tried. */
static bool choose(Shrink *s)
{
    int64_t kept[NUMBERS];
    memcpy(kept, s->to, sizeof kept);
    for (int64_t start = 2; start < 2 + STARTS; start++) {
        memcpy(s->to, kept, sizeof kept);
        if (choose_above(s, start))
            return true;
    }
    return false;
}

/* --- applying ------------------------------------------------------------------------------------------- */

static const TgType *small_type(Shrink *s, const TgType *t)
{
    TgDim dim[TG_MAX_RANK];
    int64_t n;
    if (t->kind != TG_TENSOR || t->rank < 0)
        return t;
    for (int32_t i = 0; i < t->rank; i++)
        dim[i] = tg_dim_known(t->dim[i], &n) ? tg_dim(s->tg, shrink_mapped(s, n)) : t->dim[i];
    return tg_type(s->tg, t->dtype, t->rank, dim);
}

/* Integers that may be sizes, or what is to be a shape. */
static const TgTensor *small_integers(Shrink *s, TgGraph *g, const TgTensor *t)
{
    void *bytes;
    int64_t n[VALUES];
    bool changes = false;
    if (t->count > VALUES) /* a table of the third form */
        return t;
    for (size_t i = 0; i < t->count; i++) {
        int64_t x = tg_tensor_int(s->tg, t, i);
        n[i] = shrink_mapped(s, x);
        changes |= n[i] != x;
    }
    if (!changes)
        return t;
    TgTensor *made = tg_tensor_blank(g->arena, t->dtype, t->rank, t->dim, &bytes);
    for (size_t i = 0; i < t->count; i++)
        tg_store_integer(t->dtype, bytes, i, n[i]);
    return made;
}

/* The constant at the small sizes; NULL: it has none. */
static const TgTensor *small_tensor(Shrink *s, TgGraph *g, const TgTensor *t)
{
    const TgType *type = tg_tensor_type(s->tg, t), *small = small_type(s, type);
    int64_t dim[TG_MAX_RANK];
    if (t->dtype == TG_str || t->payload == TG_RECIPE)
        return type == small ? t : NULL;
    if (type != small && shrink_has_runs(t))
        return shrink_shorten(s, g->arena, t);
    if (type != small)
        return t->payload == TG_SPLAT && tg_type_static(small, dim)
                   ? tg_tensor_splat(g->arena, t->dtype, t->rank, dim, t->bytes)
                   : NULL;
    return tg_is_integer(t->dtype) ? small_integers(s, g, t) : t;
}

/* A size that was known is the image of what it was; others stay unknown. */
static bool is_image(Shrink *s, const TgType *old, const TgType *made)
{
    int64_t n, m;
    if (old->kind != TG_TENSOR || made->kind != TG_TENSOR || old->rank < 0)
        return old == made;
    bool same = old->rank == made->rank && old->dtype == made->dtype;
    for (int32_t i = 0; same && i < old->rank; i++)
        same = tg_dim_known(old->dim[i], &n) ? tg_dim_known(made->dim[i], &m) && m == shrink_mapped(s, n)
                                             : !tg_dim_known(made->dim[i], NULL);
    return same;
}

static bool infer_again(Shrink *s, TgGraph *g)
{
    uint32_t n, diags = tg_diag_count(s->tg), errors = tg_error_count(s->tg);
    const TgNode *order = tg_graph_order(g, &n);
    bool same = true;
    for (uint32_t i = 0; i < n && same; i++) {
        const TgNodeInfo *info = tg_node(g, order[i]);
        const TgType *old[8];
        if (info->n_out > 8)
            return false;
        for (uint32_t k = 0; k < info->n_out; k++) {
            TgValueInfo *v = tg_value(g, info->out[k]);
            old[k] = v->type;
            v->type = tg_untyped(s->tg);
            v->symbolic = NULL;
        }
        same = tg_infer_node(g, order[i]) && tg_error_count(s->tg) == errors;
        for (uint32_t k = 0; k < info->n_out && same; k++)
            same = is_image(s, old[k], tg_type_of(g, info->out[k]));
    }
    tg_diag_forget(s->tg, diags);
    return same;
}

static bool shrink_graph(Shrink *s, TgGraph *g)
{
    for (TgValue v = 1, n = g->values.n; v < n; v++) {
        TgValueInfo *info = tg_value(g, v);
        bool constant = info->origin == TG_V_CONST && !shrink_is_dummy(s->p, g, v);
        if (info->initial)
            return false;
        if (info->origin == TG_V_RESULT || (constant && !info->uses.n && !info->returned))
            continue;
        if (!constant) {
            info->type = info->declared = small_type(s, info->type);
            continue;
        }
        const TgTensor *t = small_tensor(s, g, info->tensor);
        if (!t)
            return false;
        if (t != info->tensor)
            tg_replace(g, v, tg_graph_const(g, t, NULL));
    }
    return infer_again(s, g);
}

/* Small constants of a size that changes are weights as well (a shape has fewer elements). */
static void free_resized(Shrink *s)
{
    TgGraph *const graphs[] = {s->p->a->graph, s->p->b->graph};
    for (int i = 0; i < 2; i++)
        for (TgValue v = 1, n = graphs[i]->values.n; v < n; v++) {
            if (!shrink_is_weight(graphs[i], v))
                continue;
            const TgTensor *t = tg_value(graphs[i], v)->tensor;
            const TgType *type = tg_tensor_type(s->tg, t);
            if (small_type(s, type) != type && !shrink_has_runs(t))
                free_tensor(s->p, t, NULL);
        }
}

EquivGeneral equiv_generalize(EquivProblem *p, EquivForm form)
{
    TgMark mark = tg_mark(tg_scratch(p->a->tg));
    Shrink *s = TG_NEW(tg_scratch(p->a->tg), Shrink);
    s->p = p;
    s->tg = p->a->tg;
    bool any = form == EQUIV_ANY_TABLES || form == EQUIV_ANY_HALVES, made = true;
    if (form != EQUIV_TRUE_WEIGHTS)
        made = free_weights(p, any ? VALUES : TABLE, form == EQUIV_ANY_HALVES);
    shrink_collect(s, !any);
    EquivGeneral g = made ? EQUIV_GENERAL : EQUIV_SPOILED;
    if (made && s->n) {
        g = EQUIV_SPOILED;
        if (!s->failed && choose(s)) {
            free_resized(s);
            if (shrink_graph(s, p->a->graph) && shrink_graph(s, p->b->graph))
                g = EQUIV_GENERAL;
        }
    }
    tg_release(tg_scratch(p->a->tg), mark);
    return g;
}
