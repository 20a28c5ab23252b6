/* The two graphs of a question: what computes certain values where others are given.
 *
 * A rewritten weight is a recipe; it is expanded into nodes here, so that all number types see it unrounded.
 */
#include "equiv_parts.h"
#include "infer.h"

/* --- the same tensors ----------------------------------------------------------------------------------- */

void equiv_tensors_init(EquivTensors *same, Tg *tg, TgArena *arena, size_t budget)
{
    *same = (EquivTensors){.tg = tg, .budget = budget};
    tg_map_init(&same->first, arena);
    tg_map_init(&same->by_hash, arena);
    tg_map_init(&same->by_place, arena);
}

static bool equal_within_budget(EquivTensors *same, const TgTensor *a, const TgTensor *b)
{
    if (a->size > same->budget || !tg_tensor_equal(same->tg, a, b))
        return false;
    same->budget -= a->size;
    return true;
}

const TgTensor *equiv_first(EquivTensors *same, const TgTensor *t)
{
    uint64_t found;
    if (t->payload == TG_RECIPE || t->recipe)
        return t;
    if (tg_map_get(&same->first, TG_KEY(t), &found))
        return (const TgTensor *)(uintptr_t)found;
    const TgTensor *first = t;
    uint64_t hash = tg_mix(tg_tensor_hash(same->tg, t), TG_KEY(tg_tensor_type(same->tg, t)));
    if (!tg_map_get(&same->by_hash, hash, &found))
        tg_map_put(&same->by_hash, hash, TG_KEY(t));
    else if (equal_within_budget(same, (const TgTensor *)(uintptr_t)found, t))
        first = (const TgTensor *)(uintptr_t)found;
    tg_map_put(&same->first, TG_KEY(t), TG_KEY(first));
    return first;
}

const TgTensor *equiv_unshaped(EquivTensors *same, const TgTensor *t)
{
    uint64_t found;
    if ((t->payload != TG_MAPPED && t->payload != TG_OWNED) || !t->bytes || t->recipe)
        return t;
    if (!tg_map_get(&same->by_place, TG_KEY(t->bytes), &found)) {
        tg_map_put(&same->by_place, TG_KEY(t->bytes), TG_KEY(t));
        return t;
    }
    const TgTensor *other = (const TgTensor *)(uintptr_t)found;
    return other->dtype == t->dtype && other->count == t->count ? other : t;
}

/* --- copying -------------------------------------------------------------------------------------------- */

typedef struct {
    EquivTensors *same;
    TgGraph *to;
    TgGraph *from;
    TgValue *value; /* by value of `from` */
    TgMap tensors;  /* recipes that are expanded already */
    bool trust_shapes;
    EquivProblem *p;
} Extract;

static TgValue constant(Extract *x, const TgTensor *t, int depth);

/* The node that the recipe stands for, or that gave a constant which was computed at once. */
static TgValue expand(Extract *x, const TgTensor *t, int depth)
{
    const TgRecipe *r = t->recipe;
    TgValue *in = TG_NEW_N(x->to->arena, TgValue, r->n + 1u);
    for (uint32_t i = 0; i < r->n; i++)
        if (r->input[i])
            in[i] = constant(x, r->input[i], depth + 1);
    TgNode n = tg_graph_add_raw(x->to, (TgOp)r->op, r->attrs, r->n, in, r->output + 1u);
    TgValue v = tg_node(x->to, n)->out[r->output];
    tg_value(x->to, v)->type = tg_tensor_type(x->to->tg, t);
    return v;
}

/* The same bytes in another shape, as a Reshape, so that what holds for any of them can be said. */
static TgValue reshaped(Extract *x, const TgTensor *t, TgValue from)
{
    TgTensor *shape = tg_tensor_ints(x->to->arena, (uint32_t)t->rank, t->dim);
    TgValue in[] = {from, tg_graph_const(x->to, shape, NULL)};
    TgValue v =
        tg_node(x->to, tg_graph_add_raw(x->to, TG_Reshape, tg_attrs_none(x->to->tg), 2, in, 1))->out[0];
    tg_value(x->to, v)->type = tg_tensor_type(x->to->tg, t);
    return v;
}

static TgValue constant(Extract *x, const TgTensor *t, int depth)
{
    enum { DEEPEST = 64 }; /* recipes within recipes; below that they are taken as rounded */
    uint64_t known;
    t = equiv_first(x->same, t);
    if (tg_map_get(&x->tensors, TG_KEY(t), &known))
        return (TgValue)known;
    bool nodes = (t->payload == TG_RECIPE || (t->recipe && tg_is_float(t->dtype))) && depth < DEEPEST;
    const TgTensor *base = equiv_unshaped(x->same, t);
    TgValue v = nodes       ? expand(x, t, depth)
                : base != t ? reshaped(x, t, constant(x, base, depth))
                            : tg_graph_const(x->to, t, NULL);
    tg_map_put(&x->tensors, TG_KEY(t), v);
    return v;
}

static TgValue operand(Extract *x, TgValue v)
{
    if (v && !x->value[v]) {
        const TgTensor *t = tg_value(x->from, v)->tensor;
        const TgTensor *known = t ? NULL : tg_known_elements(x->from, v, x->to->arena); /* dies with the question */
        TG_CHECK(x->to->tg, t || known);
        x->value[v] = t ? constant(x, t, 0) : tg_graph_const(x->to, known, NULL);
    }
    return x->value[v];
}

bool equiv_only_shape(const TgGraph *g, const TgNodeInfo *n, uint32_t slot)
{
    if (slot || !tg_op_has(n->op, TG_T_SHAPE_ONLY) || !n->in[0])
        return false;
    const TgValueInfo *v = tg_value(g, n->in[0]);
    bool known =
        v->origin == TG_V_RESULT && tg_is_tensor(v->type) && v->type->dtype != TG_str && v->type->rank <= 16;
    for (int32_t i = 0; known && i < v->type->rank; i++)
        known = !tg_dim_is_fresh(v->type->dim[i]);
    return known;
}

/* The type, with what is known of sizes in that graph: a branch knows more than its captures say. */
static const TgType *type_in(TgGraph *g, const TgType *t)
{
    TgValueInfo v = {.type = t};
    inf_apply_facts(g, &v);
    return v.type;
}

/* Stands for a value of which only the shape is asked; gets a tensor when sizes are chosen. */
static TgValue dummy(Extract *x, TgValue v)
{
    static const int64_t none[16] = {0};
    static const uint8_t zero[16] = {0};
    const TgType *t = type_in(x->from, tg_type_of(x->from, v));
    EquivDummy d = {
        x->to, tg_graph_const(x->to, tg_tensor_splat(x->to->arena, t->dtype, t->rank, none, zero), NULL)};
    tg_value(x->to, d.v)->type = t;
    TG_PUSH(x->p->a->arena, &x->p->dummies, d);
    return d.v;
}

/* Which nodes the targets need when the values that are mapped already are given. */
static uint8_t *needed(Extract *x, const EquivSource *from, const TgValue *target, uint32_t n_targets)
{
    TgArena *arena = x->to->arena;
    uint8_t *wanted = tg_new(arena, x->from->values.n), *node = tg_new(arena, from->n + 1u);
    for (uint32_t i = 0; i < n_targets; i++)
        wanted[target[i]] = !x->value[target[i]];
    for (uint32_t i = from->n; i-- > 0;) {
        const TgNodeInfo *info = tg_node(x->from, from->order[i]);
        for (uint32_t k = 0; k < info->n_out; k++)
            node[i] |= wanted[info->out[k]] && !x->value[info->out[k]];
        for (uint32_t k = 0; node[i] && k < info->n_in; k++)
            if (!x->trust_shapes || !equiv_only_shape(x->from, info, k))
                wanted[info->in[k]] = 1;
    }
    return node;
}

static void copy_node(Extract *x, const TgNodeInfo *info)
{
    TgValue *in = TG_NEW_N(x->to->arena, TgValue, info->n_in + 1u);
    for (uint32_t i = 0; i < info->n_in; i++) {
        bool shape = x->trust_shapes && !x->value[info->in[i]] && equiv_only_shape(x->from, info, i);
        in[i] = shape ? dummy(x, info->in[i]) : operand(x, info->in[i]);
    }
    const TgNodeInfo *made = tg_node(x->to, tg_node_copy(x->to, info, in));
    for (uint32_t i = 0; i < info->n_out; i++) {
        TgValueInfo *v = tg_value(x->to, made->out[i]);
        v->type = tg_type_of(x->from, info->out[i]);
        v->name = tg_value(x->from, info->out[i])->name;
        if (!x->value[info->out[i]])
            x->value[info->out[i]] = made->out[i];
    }
}

static TgValue side(EquivPair p, bool of_b)
{
    return of_b ? p.b : p.a;
}

static TgName name_of_output(const TgGraph *a, TgValue v, uint32_t index)
{
    return tg_value(a, v)->name ? tg_value(a, v)->name : tg_name_format(a->tg, "result %u", index);
}

/* Cuts become inputs, typed and named as those of a; targets become outputs. */
static void extract(EquivProblem *p, EquivTensors *same, const EquivSource *a, const EquivSource *from,
                    const EquivPairs *cuts, const EquivPairs *targets, bool trust_shapes)
{
    bool of_b = a != from;
    TgModel *m = of_b ? p->b : p->a;
    Extract x = {.same = same,
                 .to = m->graph,
                 .from = from->g,
                 .trust_shapes = trust_shapes,
                 .p = p,
                 .value = from->value};
    TgValue *target = TG_NEW_N(m->arena, TgValue, targets->n + 1u);
    tg_map_init(&x.tensors, m->arena);
    for (uint32_t i = 0; i < targets->n; i++)
        target[i] = side(targets->at[i], of_b);
    for (uint32_t i = 0; i < cuts->n; i++) {
        const TgValueInfo *like = tg_value(a->g, cuts->at[i].a);
        TgValue in = tg_graph_input(x.to, type_in(a->g, like->type), like->name),
                cut = side(cuts->at[i], of_b);
        tg_value(x.to, in)->initial = like->initial;
        if (cut)
            x.value[cut] = in;
    }
    const uint8_t *node = from->exact ? NULL : needed(&x, from, target, targets->n);
    for (uint32_t i = 0; i < from->n; i++)
        if (!node || node[i])
            copy_node(&x, tg_node(from->g, from->order[i]));
    for (uint32_t i = 0; i < targets->n; i++)
        tg_graph_return(x.to, operand(&x, target[i]), name_of_output(a->g, targets->at[i].a, i), NULL);
}

EquivSource equiv_source(TgArena *arena, TgGraph *g)
{
    EquivSource s = {.g = g, .value = TG_NEW_N(arena, TgValue, g->values.n)};
    s.order = tg_graph_order(g, &s.n);
    return s;
}

EquivProblem equiv_problem(EquivTensors *same, const EquivSource *a, const EquivSource *b,
                           const EquivPairs *cuts, const EquivPairs *targets, bool trust_shapes)
{
    Tg *tg = a->g->tg;
    EquivProblem p = {.a = tg_model_new(tg), .b = tg_model_new(tg)};
    extract(&p, same, a, a, cuts, targets, trust_shapes);
    extract(&p, same, a, b, cuts, targets, trust_shapes);
    return p;
}

EquivProblem equiv_problem_of(EquivTensors *same, TgGraph *a, TgGraph *b, const EquivPairs *cuts,
                              const EquivPairs *targets, bool trust_shapes)
{
    TgArena *arena = tg_arena_new(a->tg);
    EquivSource x = equiv_source(arena, a), y = equiv_source(arena, b);
    EquivProblem p = equiv_problem(same, &x, &y, cuts, targets, trust_shapes);
    tg_arena_free(arena);
    return p;
}

void equiv_dummies_to_inputs(EquivProblem *p)
{
    for (uint32_t i = 0; i < p->dummies.n; i++) {
        const EquivDummy *d = &p->dummies.at[i];
        const TgType *type = tg_type_of(d->g, d->v);
        TgValue a = tg_graph_input(p->a->graph, type, NULL), b = tg_graph_input(p->b->graph, type, NULL);
        tg_replace(d->g, d->v, d->g == p->a->graph ? a : b);
    }
    p->dummies.n = 0;
}

void equiv_problem_free(EquivProblem *p)
{
    tg_model_free(p->a);
    tg_model_free(p->b);
}

double equiv_work(TgGraph *g)
{
    static const double per_byte =
        2; /* moving and making a number costs more than an operation of a product */
    TgCost cost = tg_graph_cost(g, 3);
    return cost.flops + per_byte * cost.bytes;
}
