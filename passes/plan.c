/* The planner: an optimized graph becomes a list of steps over placed values.
 *
 * Nodes are walked once, in order. Most become views (plan_view.c), loops (plan_fuse.c) or the operators of
 * plan_nodes.c; what is left becomes one call of a kernel of the backend. Sizes and elements that steps need must be
 * known by then: those of inputs are, those that data decide are bound when the step that makes them has run.
 */
#include <string.h>

#include "passes/planner.h"

bool plan_refuse(Planner *p, const TgNodeInfo *n, const char *why)
{
    if (!p->failed) {
        TgName op = n->op == TG_opaque ? n->op_name : tg_op_text(p->tg, n->op);
        tg_place(p->tg)->node = n->name;
        tg_report(p->tg, TG_E_no_plan, op ? op : "an operator", why);
    }
    p->failed = true;
    return false;
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

typedef struct {
    const Planner *p;
    bool known;
} Asking;

static bool is_bound(const Planner *p, TgDim symbol)
{
    uint64_t yes;
    return tg_map_get(&p->bound, TG_KEY(symbol), &yes) && yes;
}

static void ask_symbol(void *user, TgDim symbol)
{
    Asking *a = user;
    a->known &= is_bound(a->p, symbol) || tg_map_get(&a->p->source, TG_KEY(symbol), NULL);
}

bool plan_dim_known(const Planner *p, TgDim d)
{
    Asking a = {p, true};
    tg_dim_symbols(d, ask_symbol, &a);
    return a.known;
}

static void ask_bound(void *user, TgDim symbol)
{
    Asking *a = user;
    a->known &= is_bound(a->p, symbol);
}

bool plan_sizes_known(const Planner *p, const TgType *t)
{
    for (int32_t k = 0; k < t->rank; k++)
        if (!plan_dim_known(p, t->dim[k]))
            return false;
    return true;
}

static int64_t bound_of_symbol(const Planner *p, TgDim symbol, bool named)
{
    int64_t most = p->options->most ? p->options->most(p->options->user, symbol) : 0, upper = tg_dim_upper(symbol);
    if (most <= 0)
        most = named ? TG_PLAN_TYPICAL : TG_PLAN_UNNAMED;
    return upper > 0 && upper < most ? upper : most;
}

/* `input`: UINT32_MAX where a step binds it. An axis of its own says more than one (-1) that a sum of sizes names it
 * in. */
static void learn_symbol(Planner *p, TgDim symbol, uint32_t input, int32_t axis)
{
    for (uint32_t i = 0; i < p->plan->symbols.n && input != UINT32_MAX && axis >= 0; i++) {
        TgPlanSymbol *s = &p->plan->symbols.at[i];
        if (s->symbol == symbol && s->input != UINT32_MAX && s->axis < 0) {
            s->input = input;
            s->axis = axis;
        }
    }
    if (is_bound(p, symbol))
        return;
    tg_map_put(&p->bound, TG_KEY(symbol), 1);
    TG_PUSH(p->arena, &p->learnt, symbol);
    for (uint32_t i = 0; i < p->plan->symbols.n; i++)
        if (p->plan->symbols.at[i].symbol == symbol)
            return;
    bool named = !tg_dim_is_fresh(symbol);
    TgPlanSymbol s = {symbol, named ? tg_dim_text(p->tg, symbol) : NULL, bound_of_symbol(p, symbol, named),
                      input, axis};
    TG_PUSH(p->plan->arena, &p->plan->symbols, s);
}

void plan_forget(Planner *p, uint32_t learnt)
{
    while (p->learnt.n > learnt)
        tg_map_put(&p->bound, TG_KEY(p->learnt.at[--p->learnt.n]), 0);
}

static void append(Planner *p, TgStep *s)
{
    s->number = ++p->plan->n_steps;
    TG_PUSH(p->plan->arena, p->steps, s);
}

static void bind(Planner *p, TgDim symbol, TgValue v, int32_t axis, int64_t element)
{
    TgStep *s = plan_step(p, TG_STEP_BIND);
    TG_PUSH(p->plan->arena, &s->in, v);
    s->u.bind.symbol = symbol;
    s->u.bind.axis = axis;
    s->u.bind.element = element;
    append(p, s);
    learn_symbol(p, symbol, UINT32_MAX, axis);
}

static void need_symbol(void *user, TgDim symbol)
{
    Asking *a = user;
    uint64_t packed;
    if (is_bound(a->p, symbol))
        return;
    if (tg_map_get(&a->p->source, TG_KEY(symbol), &packed))
        bind((Planner *)(uintptr_t)a->p, symbol, (TgValue)(packed >> 16), -1, (int64_t)(packed & 0xffff));
    else
        a->known = false;
}

bool plan_need(Planner *p, TgDim d)
{
    Asking a = {p, true};
    tg_dim_symbols(d, need_symbol, &a);
    return a.known;
}

void plan_bind(Planner *p, TgValue v)
{
    const TgValueInfo *info = tg_value(p->g, v);
    for (int32_t k = 0; k < info->type->rank; k++)
        if (tg_dim_is_symbol(info->type->dim[k]) && !is_bound(p, info->type->dim[k]))
            bind(p, info->type->dim[k], v, k, 0);
    int64_t count;
    if (!info->symbolic || !tg_type_numel(info->type, &count))
        return;
    for (int64_t i = 0; i < count && i < UINT16_MAX; i++)
        if (tg_dim_is_symbol(info->symbolic[i]) && !plan_dim_known(p, info->symbolic[i]))
            tg_map_put(&p->source, TG_KEY(info->symbolic[i]), (uint64_t)v << 16 | (uint64_t)i);
}

void plan_learn(Planner *p, TgDim symbol) { learn_symbol(p, symbol, UINT32_MAX, -1); }

void plan_rebind(Planner *p, TgValue current, TgValue next)
{
    const TgType *t = tg_type_of(p->g, current), *is = tg_type_of(p->g, next);
    for (int32_t k = 0; k < t->rank && k < is->rank; k++)
        if (tg_dim_is_symbol(t->dim[k]) && tg_dim_is_fresh(t->dim[k]) && t->dim[k] != is->dim[k])
            bind(p, t->dim[k], next, k, 0);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

TgStep *plan_step(Planner *p, TgStepKind kind)
{
    TgStep *s = TG_NEW(p->plan->arena, TgStep);
    s->kind = kind;
    return s;
}

void plan_reads(Planner *p, TgStep *s, TgValue v)
{
    if (v)
        (void)plan_source(p, v);
    TG_PUSH(p->plan->arena, &s->in, v);
}

void plan_writes(Planner *p, TgStep *s, TgValue v) { TG_PUSH(p->plan->arena, &s->out, v); }

static bool need_value(Planner *p, TgValue v)
{
    const TgType *t = v ? tg_type_of(p->g, v) : NULL;
    if (!t)
        return true;
    TgLocation place = *plan_place(p, v);
    bool known = plan_need(p, place.offset);
    for (int32_t k = 0; k < t->rank; k++)
        known = plan_need(p, t->dim[k]) && plan_need(p, place.stride[k]) && known;
    return known;
}

bool plan_add(Planner *p, TgStep *s)
{
    bool known = true;
    const TgStep *parts[] = {s, s->then};
    for (uint32_t k = 0; k < 2 && parts[k]; k++) {
        for (uint32_t i = 0; i < parts[k]->in.n; i++)
            known = need_value(p, parts[k]->in.at[i]) && known;
        for (uint32_t i = 0; i < parts[k]->out.n && s->kind != TG_STEP_OPERATOR; i++)
            known = need_value(p, parts[k]->out.at[i]) && known;
    }
    append(p, s);
    if (s->then)
        s->then->number = s->number;
    const TgNodeInfo *n = s->nodes.n ? tg_node(p->g, s->nodes.at[s->nodes.n - 1]) : NULL;
    return known || !n || plan_refuse(p, n, "a size that it needs is known to nobody when it runs");
}

bool plan_copy(Planner *p, TgValue from, TgValue to)
{
    TgStep *s = plan_step(p, TG_STEP_COPY);
    plan_reads(p, s, from);
    plan_writes(p, s, to);
    return plan_add(p, s);
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

bool plan_numbers(const Planner *p, TgValue v)
{
    const TgValueInfo *info = tg_value(p->g, v);
    int64_t count;
    if (!info->symbolic || !tg_is_tensor(info->type) || tg_dtype_class(info->type->dtype) == TG_CLASS_F ||
        !tg_type_numel(info->type, &count))
        return false;
    Asking a = {p, true}; /* elements of data are no sizes until somebody needs them as such: they may be large */
    for (int64_t i = 0; i < count; i++)
        tg_dim_symbols(info->symbolic[i], ask_bound, &a);
    return a.known;
}

bool plan_sizes(Planner *p, TgValue v)
{
    const TgValueInfo *info = tg_value(p->g, v);
    int64_t count = 0;
    tg_type_numel(info->type, &count);
    TgStep *s = plan_step(p, TG_STEP_SIZES);
    TG_PUSH(p->plan->arena, &s->nodes, info->node);
    plan_place_result(p, v, accepts_contiguous);
    TG_PUSH(p->arena, &p->counted, v);
    tg_map_put(&p->unwritten, v, 0);
    plan_writes(p, s, v);
    s->u.sizes.n = (uint32_t)count;
    s->u.sizes.number = info->symbolic;
    return plan_add(p, s);
}

/* Data may decide the sizes of a view, but not how many elements it has; axes are kept, most of the time. */
static void bound_view(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    bool views = n->op == TG_Reshape || n->op == TG_Squeeze || n->op == TG_Unsqueeze;
    if (!views || !tg_is_tensor(from) || !tg_is_tensor(to))
        return;
    int64_t longest = 0;
    for (int32_t k = 0; k < from->rank; k++)
        if (plan_most(p, from->dim[k]) > longest)
            longest = plan_most(p, from->dim[k]);
    for (uint32_t i = 0; i < p->plan->symbols.n; i++)
        for (int32_t k = 0; k < to->rank; k++) {
            TgPlanSymbol *s = &p->plan->symbols.at[i];
            if (s->symbol == to->dim[k] && !s->name && s->input == UINT32_MAX && s->most < longest)
                s->most = longest;
        }
    TG_PUSH(p->plan->arena, &p->plan->counts, tg_type_count(p->tg, to));
    TG_PUSH(p->plan->arena, &p->plan->counts, tg_type_count(p->tg, from));
}

/* A kernel of the backend, over contiguous operands. */
static bool plan_operator(Planner *p, TgNode node)
{
    const char *operands, *results;
    const TgNodeInfo *n = tg_node(p->g, node);
    if (n->op == TG_opaque || n->n_sub || !p->options->kernel || !p->options->kernel(n->op, &operands, &results))
        return plan_refuse(p, n, "there is neither a kernel for it nor a definition that has one");
    TgStep *s = plan_step(p, TG_STEP_OPERATOR);
    TG_PUSH(p->plan->arena, &s->nodes, node);
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (n->in[i] && (!tg_is_tensor(tg_type_of(p->g, n->in[i])) || tg_type_of(p->g, n->in[i])->dtype == TG_str))
            return plan_refuse(p, n, "an operand is no tensor of numbers");
        plan_reads(p, s, n->in[i] ? plan_contiguous(p, n->in[i]) : 0);
    }
    n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgType *t = tg_type_of(p->g, n->out[i]);
        bool wanted = is_read(p->g, n->out[i]) || tg_map_get(&p->kept, n->out[i], NULL);
        if (wanted && (!tg_is_tensor(t) || t->dtype == TG_str))
            return plan_refuse(p, n, "the rank or the element type of a result is known to nobody");
        for (int32_t k = 0; wanted && k < t->rank; k++) /* what can be read from data; the kernel says the rest */
            if (!tg_dim_is_symbol(t->dim[k]) && plan_dim_known(p, t->dim[k]))
                (void)plan_need(p, t->dim[k]);
        if (wanted)
            plan_place_result(p, n->out[i], accepts_contiguous);
        plan_writes(p, s, wanted ? n->out[i] : 0);
    }
    bool by_data = s->out.n && s->out.at[0] && !plan_sizes_known(p, tg_type_of(p->g, s->out.at[0]));
    if (!plan_add(p, s))
        return false;
    for (uint32_t i = 0; i < s->out.n; i++)
        if (s->out.at[i])
            plan_bind(p, s->out.at[i]);
    if (by_data)
        bound_view(p, n);
    return true;
}

static bool is_view(TgOp op)
{
    return op == TG_Identity || op == TG_Reshape || op == TG_Squeeze || op == TG_Unsqueeze || op == TG_Transpose ||
           op == TG_Expand || op == TG_Split || op == TG_Slice || op == TG_Gather;
}

uint32_t plan_readers(const Planner *p, const TgValueInfo *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->uses.n; i++) {
        const TgNodeInfo *reader = tg_node(p->g, v->uses.at[i].node);
        n += !(tg_op_has(reader->op, TG_T_SHAPE_ONLY) && plan_numbers(p, reader->out[0]));
    }
    return n;
}

static bool is_wanted(const Planner *p, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgValueInfo *v = n->out[i] ? tg_value(p->g, n->out[i]) : NULL;
        if (v && (v->returned || plan_readers(p, v) || tg_map_get(&p->kept, n->out[i], NULL)))
            return true;
    }
    return false;
}

static bool plan_node(Planner *p, TgNode node)
{
    uint64_t root;
    const TgNodeInfo *n = tg_node(p->g, node);
    if (n->dead || !is_wanted(p, n) || tg_map_get(&p->started, node, NULL))
        return true;
    if (tg_map_get(&p->group, node, &root))
        return root != node || plan_pointwise(p, node);
    if (n->n_out == 1 && !n->n_sub && plan_numbers(p, n->out[0]))
        return true; /* written when somebody reads it: most are only asked for by views */
    if (n->op == TG_If || n->op == TG_Loop || n->op == TG_Scan)
        return plan_control(p, node);
    if (is_view(n->op) && plan_view(p, node))
        return true;
    if (plan_special(p, node))
        return !p->failed;
    return !p->failed && plan_operator(p, node);
}

/* Conditions that `node` has just made, or that are inputs or constants (0), are what the plan was made for. */
static bool plan_expected(Planner *p, TgNode node)
{
    for (uint32_t i = 0; i < p->expected.n; i++) {
        TgValue v = p->expected.at[i];
        int64_t is;
        uint32_t count;
        if (tg_value(p->g, v)->node != node ||
            (tg_const_ints(p->g, v, 1, &is, &count) && (is != 0) == p->wanted.at[i]))
            continue; /* the latter: equal sizes say so, and are checked */
        TgStep *s = plan_step(p, TG_STEP_EXPECT);
        plan_reads(p, s, plan_contiguous(p, v));
        s->u.expected = p->wanted.at[i];
        if (!plan_add(p, s))
            return false;
    }
    return true;
}

bool plan_block(Planner *p, uint32_t n, const TgNode *nodes)
{
    plan_fuse(p, n, nodes);
    for (uint32_t i = 0; i < n; i++)
        if (!plan_node(p, nodes[i]) || !plan_expected(p, nodes[i]))
            return false;
    return true;
}

/* --- the interface ------------------------------------------------------------------------------------------------ */

typedef struct {
    Planner *p;
    uint32_t input;
    TgDim dim; /* of the axis `axis` */
    int32_t axis;
} Naming;

static void name_symbol(void *user, TgDim symbol)
{
    Naming *n = user;
    learn_symbol(n->p, symbol, n->input, symbol == n->dim ? n->axis : -1);
}

static bool plan_input(Planner *p, uint32_t i)
{
    TgValue v = p->g->inputs.at[i];
    const TgType *t = tg_type_of(p->g, v);
    TG_PUSH(p->plan->arena, &p->plan->inputs, v);
    if (!tg_is_tensor(t) || t->dtype == TG_str) {
        if (!is_read(p->g, v))
            return true;
        TgName name = tg_value(p->g, v)->name;
        tg_report(p->tg, TG_E_no_plan, name ? name : "an input", "it is no tensor of numbers of known rank");
        return false;
    }
    for (int32_t k = 0; k < t->rank; k++) {
        Naming n = {p, i, t->dim[k], k};
        tg_dim_symbols(t->dim[k], name_symbol, &n);
    }
    uint32_t b = plan_buffer(p, TG_BUFFER_INPUT, i, t);
    plan_set_place(p, v, (TgLocation){b, tg_dim(p->tg, 0), plan_row_major(p, t), true});
    return true;
}

/* An output that is a constant, an input, a view, or another output as well. */
static bool plan_output(Planner *p, uint32_t k)
{
    TgValue v = p->g->outputs.at[k].value;
    const TgType *t = tg_type_of(p->g, v);
    const TgLocation *place = plan_source(p, v);
    if (!tg_is_tensor(t) || t->dtype == TG_str || !place->buffer) {
        tg_report(p->tg, TG_E_no_plan, p->g->outputs.at[k].name, "this output is no tensor of numbers of known rank");
        return false;
    }
    const TgBuffer *b = &p->plan->buffers.at[place->buffer];
    if (b->kind == TG_BUFFER_OUTPUT && b->index == k)
        return true;
    TgValue made = tg_op(p->g, TG_Identity, NULL, 1, v);
    uint32_t to = plan_buffer(p, TG_BUFFER_OUTPUT, k, t);
    plan_set_place(p, made, (TgLocation){to, tg_dim(p->tg, 0), plan_row_major(p, t), true});
    p->plan->outputs.at[k] = made;
    return plan_copy(p, v, made);
}

/* --- the door ----------------------------------------------------------------------------------------------------- */

static void begin(Planner *p)
{
    TgMap *maps[] = {&p->group,  &p->members, &p->then,    &p->started, &p->copied, &p->kept,     &p->bound,
                     &p->source, &p->offset,  &p->appends, &p->packed,  &p->tied,   &p->unwritten};
    for (uint32_t i = 0; i < sizeof maps / sizeof *maps; i++)
        tg_map_init(maps[i], p->arena);
    TgBuffer none = {0};
    TG_PUSH(p->plan->arena, &p->plan->buffers, none);
    p->steps = &p->plan->steps;
}

/* Outputs that plan_decide added are conditions and no outputs. */
static void take_expected(Planner *p)
{
    uint32_t own = p->g->outputs.n - p->wanted.n;
    for (uint32_t k = own; k < p->g->outputs.n; k++) {
        TG_PUSH(p->arena, &p->expected, p->g->outputs.at[k].value);
        tg_map_put(&p->kept, p->g->outputs.at[k].value, 1);
    }
    while (p->g->outputs.n > own)
        tg_drop_return(p->g, p->g->outputs.n - 1);
}

static bool plan_graph(Planner *p)
{
    uint32_t n;
    take_expected(p);
    for (uint32_t i = 0; i < p->g->inputs.n; i++)
        if (!plan_input(p, i))
            return false;
    for (uint32_t k = 0; k < p->g->outputs.n; k++)
        TG_PUSH(p->plan->arena, &p->plan->outputs, p->g->outputs.at[k].value);
    for (uint32_t i = 0; i < p->g->inputs.n; i++)
        plan_bind(p, p->g->inputs.at[i]);
    const TgNode *order = tg_graph_order(p->g, &n);
    TgNode *nodes = TG_NEW_N(p->arena, TgNode, n + 1);
    if (n)
        memcpy(nodes, order, n * sizeof *order);
    plan_states(p, n, nodes);
    if (!plan_expected(p, 0) || !plan_block(p, n, nodes))
        return false;
    for (uint32_t k = 0; k < p->g->outputs.n; k++)
        if (!plan_output(p, k))
            return false;
    for (uint32_t i = 0; i < p->g->equal.n; i++)
        TG_PUSH(p->plan->arena, &p->plan->equal, p->g->equal.at[i]);
    for (uint32_t i = 0; i < p->g->facts.n; i++) /* what was concluded from such pairs, which do not show any more
                                                    then */
        TG_PUSH(p->plan->arena, &p->plan->equal, p->g->facts.at[i]);
    return true;
}

TgPlan *tg_plan(const TgModel *model, const TgPlanOptions *options)
{
    Tg *tg = model->tg;
    TgModel *copy = tg_model_clone(model);
    TgPlan *plan = TG_NEW(copy->arena, TgPlan);
    *plan = (TgPlan){.model = copy, .graph = copy->graph, .source = model->graph, .arena = copy->arena};
    Planner p = {.tg = tg, .arena = copy->arena, .plan = plan, .g = copy->graph, .options = options};
    begin(&p);
    bool good = plan_lower(&p) && plan_forms(&p) && plan_graph(&p);
    if (good && plan_allocate(&p))
        return plan;
    if (plan->cases)
        tg_model_free(plan->cases);
    tg_model_free(copy);
    return NULL;
}

void tg_plan_free(TgPlan *plan)
{
    if (plan && plan->cases)
        tg_model_free(plan->cases);
    if (plan)
        tg_model_free(plan->model);
}
