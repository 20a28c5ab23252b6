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
 * The first form frees every constant of more than a few elements. A rewrite that reads tables (the angles
 * of a rotation) or makes lists of indices needs them as they are: the second form keeps all but the large
 * ones, and with them the sizes that they have. The third form keeps all of them.
 *
 * Both steps can only turn "equal" into "not shown", never the other way round for the weights; for the
 * sizes as far as a rewrite treats sizes alike that operators treat alike. A "different" of the general
 * form is no verdict: the question is asked again as it stands. */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

enum {
    FIXED = 9,    /* numbers below stay what they are */
    VALUES = 64,  /* constants of more elements are weights, masks or indices: any will do ... */
    TABLE = 8192, /* ... or, in the second form, those of more than these */
    NUMBERS = 24, /* different large sizes in one question */
    RELATIONS = 64,
    SIDE = 8,       /* numbers on each side of a relation */
    MOST = 1 << 30, /* larger integers are no sizes (ends of Slices) */
    IMAGES = 1024,  /* those of sizes that change are below */
    STARTS = 6      /* ways to choose them */
};

/* left[0] op left[1] op ... = right[0] op right[1] op ... */
typedef struct {
    bool sum; /* else product */
    uint32_t n_left, n_right;
    int64_t left[SIDE], right[SIDE];
} Relation;

typedef struct {
    EquivProblem *p;
    Tg *tg;
    uint32_t n, n_relations;
    int64_t from[NUMBERS], to[NUMBERS]; /* ascending; to is 0 until chosen */
    bool occurs[IMAGES];                /* in the graphs, by itself or in the value of a float */
    Relation relation[RELATIONS];
    bool failed;
} Shrink;

/* --- any weights ---------------------------------------------------------------------------------------- */

static bool is_weight(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    TgPayload payload = info->tensor ? info->tensor->payload : TG_SPLAT;
    return info->origin == TG_V_CONST && (info->uses.n || info->returned) && payload != TG_SPLAT &&
           payload != TG_RECIPE && payload != TG_STRINGS && tg_dtype_class(info->tensor->dtype) != TG_CLASS_C;
}

/* One input in both graphs for every tensor that one of them has; inputs stay paired by position. */
static void free_tensor(EquivProblem *p, const TgTensor *t)
{
    const TgType *type = tg_tensor_type(p->a->tg, t);
    TgGraph *const graphs[] = {p->a->graph, p->b->graph};
    TgName name = equiv_mask_name(p->a->tg, t, p->a->graph->inputs.n);
    for (int i = 0; i < 2; i++) {
        TgGraph *g = graphs[i];
        TgValue in = tg_graph_input(g, type, name);
        for (TgValue v = 1; v < in; v++)
            if (is_weight(g, v) && tg_value(g, v)->tensor == t)
                tg_replace(g, v, in);
    }
}

static void free_weights(EquivProblem *p, size_t more_than)
{
    TgGraph *const graphs[] = {p->a->graph, p->b->graph};
    for (int i = 0; i < 2; i++)
        for (TgValue v = 1, n = graphs[i]->values.n; v < n; v++)
            if (is_weight(graphs[i], v) && tg_value(graphs[i], v)->tensor->count > more_than)
                free_tensor(p, tg_value(graphs[i], v)->tensor);
}

/* --- which numbers there are ---------------------------------------------------------------------------- */

static int64_t magnitude(int64_t n)
{
    return n == INT64_MIN ? INT64_MAX : n < 0 ? -n : n;
}

static int32_t index_of(const Shrink *s, int64_t n)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->from[i] == n)
            return (int32_t)i;
    return -1;
}

static void add_number(Shrink *s, int64_t n)
{
    if (n < FIXED || n > MOST || index_of(s, n) >= 0)
        return;
    if (s->n == NUMBERS) {
        s->failed = true;
        return;
    }
    uint32_t i = s->n++;
    for (; i > 0 && s->from[i - 1] > n; i--)
        s->from[i] = s->from[i - 1];
    s->from[i] = n;
}

/* n stays what it is, unless it is a size as well. */
static void occurs(Shrink *s, int64_t n)
{
    if (magnitude(n) < IMAGES)
        s->occurs[magnitude(n)] = true;
}

/* Integers that x may stand for: a scale is often the inverse of a size, or of its root. */
static void occurs_in(Shrink *s, double x)
{
    const double forms[] = {fabs(x), 1 / fabs(x), x * x, 1 / (x * x)};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i] > 0.5 && forms[i] < IMAGES - 1 && fabs(forms[i] - rint(forms[i])) < 1e-6 * forms[i])
            occurs(s, (int64_t)rint(forms[i]));
}

static void add_sizes(Shrink *s, const TgType *t)
{
    int64_t n;
    for (int32_t i = 0; t->kind == TG_TENSOR && i < t->rank; i++) {
        if (!tg_dim_known(t->dim[i], &n))
            continue;
        add_number(s, n);
        occurs(s, n);
    }
}

static void add_elements(Shrink *s, const TgTensor *t)
{
    size_t n = t->payload == TG_SPLAT && t->count ? 1 : t->count;
    bool real = tg_is_float(t->dtype);
    if (n > VALUES || t->payload == TG_RECIPE || (!real && !tg_is_integer(t->dtype)))
        return;
    for (size_t i = 0; i < n; i++) {
        if (real)
            occurs_in(s, tg_tensor_float(s->tg, t, i));
        else
            occurs(s, tg_tensor_int(s->tg, t, i));
    }
}

static void add_relation(Shrink *s, const Relation *r)
{
    bool trivial = r->n_left == 1 && r->n_right == 1 && r->left[0] == r->right[0];
    if (trivial || !r->n_left || !r->n_right)
        return;
    if (s->n_relations == RELATIONS)
        s->failed = true;
    else
        s->relation[s->n_relations++] = *r;
}

static bool put(int64_t *list, uint32_t *n, int64_t x)
{
    return *n < SIDE ? (list[(*n)++] = x, true) : false;
}

/* The fixed sizes of x that y does not have as well. */
static bool rest_of(const TgType *x, const TgType *y, int64_t *list, uint32_t *n)
{
    bool taken[TG_MAX_RANK] = {false};
    for (int32_t i = 0; i < x->rank; i++) {
        int64_t size;
        int32_t k = 0;
        while (k < y->rank && (taken[k] || y->dim[k] != x->dim[i]))
            k++;
        if (k < y->rank)
            taken[k] = true;
        else if (tg_dim_known(x->dim[i], &size) && size != 1 && !put(list, n, size))
            return false;
    }
    return true;
}

static void relate_reshape(Shrink *s, const TgType *x, const TgType *y)
{
    Relation r = {0};
    if (x->kind != TG_TENSOR || y->kind != TG_TENSOR || x->rank < 0 || y->rank < 0)
        return;
    if (!rest_of(x, y, r.left, &r.n_left) || !rest_of(y, x, r.right, &r.n_right))
        s->failed = true;
    if (!r.n_left && r.n_right)
        return; /* symbolic sizes take part: inference will tell */
    add_relation(s, &r);
}

static int64_t size_at(const TgType *t, int64_t axis)
{
    int64_t n;
    axis += axis < 0 ? t->rank : 0;
    return t->kind == TG_TENSOR && axis >= 0 && axis < t->rank && tg_dim_known(t->dim[axis], &n) ? n : -1;
}

/* whole = the sum of the parts along the axis */
static void relate_parts(Shrink *s, const TgGraph *g, TgValue whole, uint32_t n, const TgValue *part,
                         int64_t axis)
{
    Relation r = {.sum = true};
    int64_t size = size_at(tg_type_of(g, whole), axis);
    bool fits = size >= 0 && put(r.left, &r.n_left, size);
    for (uint32_t i = 0; i < n && fits; i++) {
        size = size_at(tg_type_of(g, part[i]), axis);
        fits = size >= 0 && put(r.right, &r.n_right, size);
    }
    if (fits)
        add_relation(s, &r);
}

/* What a Slice leaves: end = start + size, counted from whichever side the start is. */
static void relate_slice(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    int64_t start[VALUES], end[VALUES], axis[VALUES];
    uint32_t k, m, l;
    if (n->n_in < 4 || !tg_const_ints(g, n->in[1], VALUES, start, &k) ||
        !tg_const_ints(g, n->in[2], VALUES, end, &m) || !tg_const_ints(g, n->in[3], VALUES, axis, &l) ||
        k != m || k != l)
        return;
    for (uint32_t i = 0; i < k; i++) {
        int64_t whole = size_at(tg_type_of(g, n->in[0]), axis[i]),
                size = size_at(tg_type_of(g, n->out[0]), axis[i]);
        if (whole < 0 || size < 0 || start[i] == 0)
            continue;
        int64_t from = start[i] < 0 ? whole + start[i] : start[i], to = end[i] < 0 ? whole + end[i] : end[i];
        to = to > whole ? whole : to;
        Relation r = {.sum = true, .n_left = 1, .n_right = 2, .left = {to}, .right = {from, size}};
        if (from > 0 && to - from == size) {
            add_number(s, from);
            add_relation(s, &r);
        }
    }
}

/* Sizes that attributes name stay, and what they split is a multiple of them. */
static void relate_heads(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    static const char *const heads[] = {"q_num_heads", "num_heads", "kv_num_heads"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        int64_t by = tg_attr_has(n->attrs, heads[i]) ? tg_attr_int(n, heads[i]) : 0;
        for (uint32_t k = 0; k < n->n_in && by > 1; k++) {
            int64_t size = n->in[k] ? size_at(tg_type_of(g, n->in[k]), -1) : -1;
            if (size < FIXED || size % by)
                continue;
            Relation r = {.n_left = 1, .n_right = 2, .left = {size}, .right = {by, size / by}};
            add_number(s, size / by);
            add_relation(s, &r);
        }
    }
}

static void keep(Shrink *s, int64_t n)
{
    occurs(s, n);
    add_number(s, magnitude(n));
    int32_t i = index_of(s, magnitude(n));
    if (i >= 0)
        s->to[i] = s->from[i];
}

static void keep_attributes(Shrink *s, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->attrs->n; i++) {
        const TgAttr *a = &n->attrs->at[i];
        if (a->kind == TG_A_FLOAT)
            occurs_in(s, a->u.f);
        if (a->kind == TG_A_INT)
            keep(s, a->u.i);
        for (uint32_t k = 0; a->kind == TG_A_INTS && k < a->n; k++)
            keep(s, a->u.ints[k]);
    }
}

static void relate(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    switch (n->op) {
    case TG_Reshape:
    case TG_Flatten: relate_reshape(s, tg_type_of(g, n->in[0]), tg_type_of(g, n->out[0])); break;
    case TG_Concat: relate_parts(s, g, n->out[0], n->n_in, n->in, tg_attr_int(n, "axis")); break;
    case TG_Split: relate_parts(s, g, n->in[0], n->n_out, n->out, tg_attr_int(n, "axis")); break;
    case TG_Slice: relate_slice(s, g, n); break;
    default: relate_heads(s, g, n); break;
    }
}

/* In the second form the constants that are left keep their elements, hence their sizes. */
static void keep_tables(Shrink *s, const TgGraph *g)
{
    int64_t n;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgType *t = tg_type_of(g, v);
        for (int32_t i = 0; is_weight(g, v) && i < t->rank; i++)
            if (tg_dim_known(t->dim[i], &n))
                keep(s, n);
    }
}

static bool is_dummy(const EquivProblem *p, const TgGraph *g, TgValue v)
{
    for (uint32_t i = 0; i < p->dummies.n; i++)
        if (p->dummies.at[i].g == g && p->dummies.at[i].v == v)
            return true;
    return false;
}

static void collect(Shrink *s, TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        bool constant = info->origin == TG_V_CONST;
        if (constant && !info->uses.n && !info->returned)
            continue;
        add_sizes(s, info->type);
        if (constant && info->tensor && !is_dummy(s->p, g, v))
            add_elements(s, info->tensor);
    }
    for (TgNode i = 1; i < g->nodes.n; i++) {
        s->failed |= tg_node(g, i)->n_sub != 0;
        relate(s, g, tg_node(g, i));
    }
}

/* --- choosing ------------------------------------------------------------------------------------------- */

static int64_t mapped(const Shrink *s, int64_t n)
{
    int32_t i = index_of(s, magnitude(n));
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
        int64_t x = mapped(s, list[i]);
        if ((list[i] >= FIXED && !x) || !fold(r, x, value))
            return false;
    }
    return true;
}

/* What the relation says about n where all its other numbers are known; 0: nothing. -1: nothing fits. */
static int64_t demanded(const Shrink *s, const Relation *r, int64_t n)
{
    int64_t left, right;
    uint32_t in_left, in_right;
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
    return image >= IMAGES || (s->occurs[image] && index_of(s, image) < 0);
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
        bool known = side_value(s, &s->relation[k], true, -1, &left, &none) &&
                     side_value(s, &s->relation[k], false, -1, &right, &none);
        if (!known || left != right)
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
        dim[i] = tg_dim_known(t->dim[i], &n) ? tg_dim(s->tg, mapped(s, n)) : t->dim[i];
    return tg_type(s->tg, t->dtype, t->rank, dim);
}

/* Integers that may be sizes, or what is to be a shape. */
static const TgTensor *small_integers(Shrink *s, TgGraph *g, const TgTensor *t)
{
    void *bytes;
    int64_t n[VALUES];
    bool changes = false;
    if (t->count > VALUES) /* a table of the second form */
        return t;
    for (size_t i = 0; i < t->count; i++) {
        int64_t x = tg_tensor_int(s->tg, t, i);
        n[i] = mapped(s, x);
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
        same = tg_dim_known(old->dim[i], &n) ? tg_dim_known(made->dim[i], &m) && m == mapped(s, n)
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
        bool constant = info->origin == TG_V_CONST && !is_dummy(s->p, g, v);
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
            if (!is_weight(graphs[i], v))
                continue;
            const TgType *t = tg_tensor_type(s->tg, tg_value(graphs[i], v)->tensor);
            if (small_type(s, t) != t)
                free_tensor(s->p, tg_value(graphs[i], v)->tensor);
        }
}

EquivGeneral equiv_generalize(EquivProblem *p, EquivForm form)
{
    TgMark mark = tg_mark(tg_scratch(p->a->tg));
    Shrink *s = TG_NEW(tg_scratch(p->a->tg), Shrink);
    s->p = p;
    s->tg = p->a->tg;
    if (form != EQUIV_TRUE_WEIGHTS)
        free_weights(p, form == EQUIV_ANY_TABLES ? VALUES : TABLE);
    collect(s, p->a->graph);
    collect(s, p->b->graph);
    for (TgNode i = 1; i < p->a->graph->nodes.n; i++)
        keep_attributes(s, tg_node(p->a->graph, i));
    for (TgNode i = 1; i < p->b->graph->nodes.n; i++)
        keep_attributes(s, tg_node(p->b->graph, i));
    if (form != EQUIV_ANY_TABLES) {
        keep_tables(s, p->a->graph);
        keep_tables(s, p->b->graph);
    }
    EquivGeneral g = EQUIV_GENERAL;
    if (s->n) {
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
