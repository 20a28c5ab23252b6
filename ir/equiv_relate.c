/* What the graphs of a question demand of sizes: which numbers occur, which must stay, and relations between them. See
 * equiv_general.c. */
#include <math.h>

#include "equiv_shrink.h"

bool shrink_is_weight(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    TgPayload payload = info->tensor ? info->tensor->payload : TG_SPLAT;
    return info->origin == TG_V_CONST && (info->uses.n || info->returned) && payload != TG_SPLAT &&
           payload != TG_RECIPE && payload != TG_STRINGS && tg_dtype_class(info->tensor->dtype) != TG_CLASS_C;
}

/* --- which numbers there are --------------------------------------------------------------------- */

int64_t shrink_magnitude(int64_t n)
{
    return n == INT64_MIN ? INT64_MAX : n < 0 ? -n : n;
}

int32_t shrink_index(const Shrink *s, int64_t n)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->from[i] == n)
            return (int32_t)i;
    return -1;
}

static void add_number(Shrink *s, int64_t n)
{
    if (n < FIXED || n > MOST || shrink_index(s, n) >= 0)
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
    if (shrink_magnitude(n) < IMAGES)
        s->occurs[shrink_magnitude(n)] = true;
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
    if ((n > VALUES && !shrink_has_runs(t)) || t->payload == TG_RECIPE || (!real && !tg_is_integer(t->dtype)))
        return;
    double last = 0;
    for (size_t i = 0; i < n; i++) {
        double x = real ? tg_tensor_float(s->tg, t, i) : 0;
        if (real && (!i || x != last))
            occurs_in(s, x);
        else if (!real)
            occurs(s, tg_tensor_int(s->tg, t, i));
        last = x;
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

/* An axis is the sum of its runs. */
static void relate_runs(Shrink *s, const TgTensor *t)
{
    for (int32_t axis = 0; axis < t->rank; axis++) {
        Relation r = {.sum = true, .n_left = 1, .left = {t->dim[axis]}};
        if (t->dim[axis] < FIXED)
            continue;
        r.n_right = shrink_runs(t, axis, r.right);
        for (uint32_t i = 0; i < r.n_right; i++)
            add_number(s, r.right[i]);
        add_relation(s, &r);
    }
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

/* What is looked up stays below the size of the axis. */
static void relate_lookup(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    int64_t index[SIDE], size = size_at(tg_type_of(g, n->in[0]), tg_attr_int(n, "axis"));
    uint32_t count;
    if (size < FIXED || !tg_const_ints(g, n->in[1], SIDE, index, &count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        int64_t first = shrink_magnitude(index[i]), rest = size - first;
        if (first < 1 || rest < 1)
            continue;
        add_number(s, first);
        add_number(s, rest);
        add_relation(s, &(Relation){.sum = true, .n_left = 1, .n_right = 2, .left = {size}, .right = {first, rest}});
    }
}

static void keep(Shrink *s, int64_t n)
{
    occurs(s, n);
    add_number(s, shrink_magnitude(n));
    int32_t i = shrink_index(s, shrink_magnitude(n));
    if (i >= 0)
        s->to[i] = s->from[i];
}

/* The heads into which operand k is split: 0 for masks, tables and other operands. */
static int64_t heads_of(const TgNodeInfo *n, uint32_t k)
{
    static const char *const names[][2] = {{"q_num_heads", "num_heads"}, {"kv_num_heads", "num_heads"}};
    for (uint32_t i = 0; k < 3 && i < 2; i++)
        if (tg_attr_has(n->attrs, names[k > 0][i]))
            return tg_attr_int(n, names[k > 0][i]);
    return 0;
}

/* Sizes that attributes name stay, and what they split is a multiple of them. */
static void relate_heads(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    bool rotates = n->op == TG_RotaryEmbedding || n->op == TG_ms_RotaryEmbedding; /* behind it are tables */
    for (uint32_t k = 0; k < n->n_in && (k == 0 || !rotates); k++) {
        const TgType *t = n->in[k] ? tg_type_of(g, n->in[k]) : NULL;
        int64_t size = t && t->rank > 1 ? size_at(t, -1) : -1, by = heads_of(n, k); /* a bias joins what others say */
        if (size < FIXED || by < 2 || size % by)
            continue;
        Relation r = {.n_left = 1, .n_right = 2, .left = {size}, .right = {by, size / by}};
        add_number(s, size / by);
        add_relation(s, &r);
    }
}

/* Without a scale, attention divides by the root of the size of a head: a number that the other graph may have in a
 * constant, so the size stays. */
static void keep_default_scale(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    bool standard = n->op == TG_Attention;
    if ((!standard && n->op != TG_ms_MultiHeadAttention && n->op != TG_ms_GroupQueryAttention) ||
        tg_attr_has(n->attrs, "scale"))
        return;
    const char *heads = standard ? "q_num_heads" : "num_heads";
    int64_t size = size_at(tg_type_of(g, n->in[0]), -1), by = 1;
    if (tg_type_of(g, n->in[0])->rank == 3 && tg_attr_has(n->attrs, heads))
        by = tg_attr_int(n, heads);
    if (size > 0 && by > 0 && size % by == 0)
        keep(s, size / by);
}

static int64_t listed(const TgNodeInfo *n, const char *name, uint32_t i, int64_t otherwise)
{
    uint32_t count;
    const int64_t *at = tg_attr_ints(n, name, &count);
    return at && i < count ? at[i] : otherwise;
}

/* A window that slides over axis i behind the channels: in = stride * out + rest. It keeps its size. */
static void relate_window(Shrink *s, const TgGraph *g, const TgNodeInfo *n, int32_t i)
{
    bool grows = n->op == TG_ConvTranspose;
    const TgType *x = tg_type_of(g, n->in[0]), *w = tg_type_of(g, n->in[1]), *y = tg_type_of(g, n->out[0]);
    int64_t large = size_at(grows ? y : x, i + 2), small = size_at(grows ? x : y, i + 2),
            kernel = size_at(w, i + 2);
    int64_t stride = listed(n, "strides", (uint32_t)i, 1);
    keep(s, kernel);
    if (large < 0 || small < 0 || stride < 1)
        return;
    add_relation(s, &(Relation){.stride = stride,
                                .rest = large - stride * small,
                                .n_left = 1,
                                .n_right = 1,
                                .left = {large},
                                .right = {small}});
}

/* Each group has its channels: the first two sizes of the weight, and that of x, are multiples of it. */
static void relate_conv(Shrink *s, const TgGraph *g, const TgNodeInfo *n)
{
    const TgType *w = tg_type_of(g, n->in[1]), *x = tg_type_of(g, n->in[0]);
    int64_t group = tg_attr_int(n, "group"),
            sizes[] = {size_at(w, 0), size_at(x, 1), size_at(tg_type_of(g, n->out[0]), 1)};
    for (size_t i = 0; group > 1 && i < 3; i++)
        if (sizes[i] >= FIXED && sizes[i] % group == 0) {
            add_number(s, sizes[i] / group);
            add_relation(
                s, &(Relation){
                       .n_left = 1, .n_right = 2, .left = {sizes[i]}, .right = {group, sizes[i] / group}});
        }
    for (int32_t i = 0; i + 2 < w->rank && w->kind == TG_TENSOR; i++)
        relate_window(s, g, n, i);
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
    case TG_Gather: relate_lookup(s, g, n); break;
    case TG_Conv:
    case TG_ConvTranspose: relate_conv(s, g, n); break;
    default: relate_heads(s, g, n); break;
    }
}

/* In the third form the constants that are left keep their elements, hence their sizes. */
static void keep_tables(Shrink *s, const TgGraph *g)
{
    int64_t n;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgType *t = tg_type_of(g, v);
        if (!shrink_is_weight(g, v) || shrink_has_runs(tg_value(g, v)->tensor))
            continue;
        for (int32_t i = 0; i < t->rank; i++)
            if (tg_dim_known(t->dim[i], &n))
                keep(s, n);
    }
}

bool shrink_is_dummy(const EquivProblem *p, const TgGraph *g, TgValue v)
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
        if (!constant || !info->tensor || shrink_is_dummy(s->p, g, v))
            continue;
        add_elements(s, info->tensor);
        if (shrink_has_runs(info->tensor))
            relate_runs(s, info->tensor);
    }
    for (TgNode i = 1; i < g->nodes.n; i++) {
        s->failed |= tg_node(g, i)->n_sub != 0;
        relate(s, g, tg_node(g, i));
    }
}

void shrink_collect(Shrink *s, bool tables)
{
    TgGraph *const graphs[] = {s->p->a->graph, s->p->b->graph};
    for (int i = 0; i < 2; i++)
        collect(s, graphs[i]);
    for (int i = 0; i < 2; i++)
        for (TgNode n = 1; n < graphs[i]->nodes.n; n++) {
            keep_attributes(s, tg_node(graphs[i], n));
            keep_default_scale(s, graphs[i], tg_node(graphs[i], n));
        }
    for (int i = 0; i < 2 && tables; i++)
        keep_tables(s, graphs[i]);
}
