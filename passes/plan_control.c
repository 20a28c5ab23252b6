/* If, Loop, Scan: the body's nodes are spliced into the graph of the plan, and their steps hang below the step.
 *
 * Results of branches are copied to the results of the If. What a loop carries has a buffer of its own, which the
 * body reads; what the body gives is copied over it behind the round. Sizes that a branch or a round decides are
 * bound where it ends.
 */
#include <string.h>

#include "passes/planner.h"

typedef struct {
    TgSteps *steps;
    uint32_t learnt, counted, copies;
} Outside;

static Outside enter(Planner *p, TgSteps *body)
{
    Outside o = {p->steps, p->learnt.n, p->counted.n, p->copies.n};
    p->steps = body;
    return o;
}

static void leave(Planner *p, Outside o)
{
    plan_forget(p, o.learnt);
    while (p->counted.n > o.counted) /* written in the body only; its steps read them where they are */
        tg_map_put(&p->unwritten, p->counted.at[--p->counted.n], 1);
    while (p->copies.n > o.copies)
        tg_map_put(&p->copied, p->copies.at[--p->copies.n], 0);
    p->steps = o.steps;
}

static bool all_tensors(const Planner *p, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!tg_is_tensor(tg_type_of(p->g, n->out[i])) || tg_type_of(p->g, n->out[i])->dtype == TG_str)
            return false;
    return true;
}

/* The nodes of a body as part of p->g; what it returns is kept. Then they are planned. */
static bool plan_body(Planner *p, TgNode node, uint32_t sub, const TgValue *in, TgValue *out)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgSub *s = &n->sub[sub];
    TgValue *captured = TG_NEW_N(p->arena, TgValue, s->outer.n + 1);
    for (uint32_t k = 0; k < s->outer.n; k++)
        captured[k] = n->in[s->outer.at[k]];
    TgNode first = p->g->nodes.n;
    tg_graph_splice(p->g, s->graph, in, captured, out);
    for (uint32_t k = 0; k < s->graph->outputs.n; k++)
        tg_map_put(&p->kept, out[k], 1);
    uint32_t count = p->g->nodes.n - first;
    TgNode *nodes = TG_NEW_N(p->arena, TgNode, count + 1);
    for (uint32_t i = 0; i < count; i++)
        nodes[i] = first + i;
    return plan_block(p, count, nodes);
}

/* Symbols of the sizes of `to` that nobody knows yet are those of `from` from here on. */
static void bind_like(Planner *p, TgValue to, TgValue from)
{
    const TgType *t = tg_type_of(p->g, to), *is = tg_type_of(p->g, from);
    for (int32_t k = 0; k < t->rank && k < is->rank; k++) {
        if (!tg_dim_is_symbol(t->dim[k]) || t->dim[k] == is->dim[k] || plan_dim_known(p, t->dim[k]))
            continue;
        TgStep *s = plan_step(p, TG_STEP_BIND);
        plan_reads(p, s, from);
        s->u.bind.symbol = t->dim[k];
        s->u.bind.axis = k;
        plan_add(p, s);
        plan_learn(p, t->dim[k]);
    }
}

static void learn_all(Planner *p, TgValue v)
{
    const TgType *t = tg_type_of(p->g, v);
    for (int32_t k = 0; k < t->rank; k++)
        if (tg_dim_is_symbol(t->dim[k]))
            plan_learn(p, t->dim[k]);
}

static bool plan_branch(Planner *p, TgNode node, TgStep *s, uint32_t branch)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgName name = tg_name(p->tg, branch == 0 ? "then_branch" : "else_branch");
    uint32_t sub = 0;
    while (sub < n->n_sub && n->sub[sub].attr != name)
        sub++;
    if (sub == n->n_sub || n->sub[sub].graph->inputs.n)
        return plan_refuse(p, n,
                           sub == n->n_sub ? "a branch is missing"
                                           : "a branch wants inputs, which an If does not give");
    uint32_t n_out = n->n_out;
    TgValue *out = TG_NEW_N(p->arena, TgValue, n->sub[sub].graph->outputs.n + n_out + 1);
    Outside outside = enter(p, &s->body[branch]);
    bool good = n->sub[sub].graph->outputs.n >= n_out && plan_body(p, node, sub, NULL, out);
    for (uint32_t i = 0; good && i < n_out; i++) {
        TgValue result = tg_node(p->g, node)->out[i];
        if (!is_read(p->g, result) && !tg_map_get(&p->kept, result, NULL))
            continue;
        bind_like(p, result, out[i]);
        good = plan_copy(p, out[i], result);
    }
    leave(p, outside);
    return good;
}

static bool plan_if(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    if (!all_tensors(p, n))
        return plan_refuse(p, n, "it gives something that is no tensor of numbers");
    TgStep *s = plan_step(p, TG_STEP_IF);
    TG_PUSH(p->plan->arena, &s->nodes, node);
    plan_reads(p, s, plan_contiguous(p, n->in[0]));
    n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n->n_out; i++)
        plan_place_result(p, n->out[i], accepts_any);
    if (!plan_add(p, s))
        return false;
    for (uint32_t k = 0; k < 2; k++) /* in the order of the step's bodies, so that numbers ascend */
        if (!plan_branch(p, node, s, k))
            return false;
    n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n->n_out; i++)
        learn_all(p, n->out[i]);
    return true;
}

/* --- Loop and Scan ------------------------------------------------------------------------------------------------ */

/* A value of the body that has a buffer of its own. */
static TgValue body_value(Planner *p, const TgType *t)
{
    TgValue v = tg_graph_input(p->g, t, NULL);
    uint32_t b = plan_buffer(p, TG_BUFFER_ARENA, 0, t);
    plan_set_place(p, v, (TgLocation){b, tg_dim(p->tg, 0), plan_row_major(p, t), true});
    return v;
}

/* The type of formal input i of a body; where the body does not say, that of what is handed over. */
static const TgType *formal_type(const TgGraph *body, uint32_t i, const TgType *given)
{
    const TgType *t = tg_type_of(body, body->inputs.at[i]);
    return tg_is_tensor(t) ? t : given;
}

static bool carry(Planner *p, TgNode node, TgRepeat *r, const TgGraph *body, uint32_t from_in,
                  uint32_t from_formal, uint32_t n_carried)
{
    for (uint32_t i = 0; i < n_carried; i++) {
        TgValue initial = tg_node(p->g, node)->in[from_in + i];
        if (!initial || !tg_is_tensor(tg_type_of(p->g, initial)))
            return plan_refuse(p, tg_node(p->g, node), "it carries something that is no tensor of numbers");
        initial = plan_contiguous(p, initial);
        TgValue current = body_value(p, formal_type(body, from_formal + i, tg_type_of(p->g, initial)));
        bind_like(p, current, initial);
        TG_PUSH(p->arena, &r->initial, initial);
        TG_PUSH(p->arena, &r->current, current);
    }
    return true;
}

static TgValue contiguous_result(Planner *p, TgValue v)
{
    return plan_contiguous(p, v);
}

/* Behind the body: what was given, where it goes, and sizes that the round decided. */
static void give_round(Planner *p, TgNode node, TgRepeat *r, const TgValue *given, uint32_t n_carried,
                       uint32_t n_rows, const int32_t *axis)
{
    for (uint32_t i = 0; i < n_carried; i++)
        TG_PUSH(p->arena, &r->next, contiguous_result(p, given[i]));
    for (uint32_t i = 0; i < n_rows; i++)
        TG_PUSH(p->arena, &r->row, contiguous_result(p, given[n_carried + i]));
    for (uint32_t i = 0; i < n_carried; i++)
        bind_like(p, tg_node(p->g, node)->out[i], r->next.at[i]);
    for (uint32_t i = 0; i < n_rows; i++) {
        const TgType *stacked = tg_type_of(p->g, tg_node(p->g, node)->out[n_carried + i]);
        const TgType *row = tg_type_of(p->g, r->row.at[i]);
        for (int32_t k = 0, of = 0; k < stacked->rank && of <= row->rank; k++) {
            if (k == axis[i])
                continue;
            if (tg_dim_is_symbol(stacked->dim[k]) && !plan_dim_known(p, stacked->dim[k])) {
                TgStep *s = plan_step(p, TG_STEP_BIND);
                plan_reads(p, s, r->row.at[i]);
                s->u.bind.symbol = stacked->dim[k];
                s->u.bind.axis = of;
                plan_add(p, s);
                plan_learn(p, stacked->dim[k]);
            }
            of++;
        }
    }
}

static void place_results(Planner *p, TgNode node, TgRepeat *r, uint32_t n_carried)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n->n_out; i++) {
        plan_place_result(p, n->out[i], accepts_contiguous);
        TgValues *list = i < n_carried ? &r->final : &r->stacked;
        TG_PUSH(p->arena, list, n->out[i]);
    }
}

static bool plan_loop(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgGraph *body = n->n_sub ? n->sub[0].graph : NULL;
    if (!all_tensors(p, n) || !body || body->inputs.n < 2 || n->n_formal < 2 || body->inputs.n != n->n_formal ||
        body->outputs.n != n->n_out + 1)
        return plan_refuse(p, n, "it carries something that is no tensor of numbers, or its body does not fit");
    uint32_t n_carried = n->n_formal - 2, n_rows = n->n_out - n_carried;
    TgRepeat *r = TG_NEW(p->plan->arena, TgRepeat);
    TgStep *s = plan_step(p, TG_STEP_REPEAT);
    TG_PUSH(p->plan->arena, &s->nodes, node);
    s->u.repeat.about = r;
    r->trip = n->in[0] ? plan_contiguous(p, n->in[0]) : 0;
    r->start = tg_node(p->g, node)->in[1] ? plan_contiguous(p, tg_node(p->g, node)->in[1]) : 0;
    TgValue *in = TG_NEW_N(p->arena, TgValue, body->inputs.n + 1),
            *given = TG_NEW_N(p->arena, TgValue, body->outputs.n + 1);
    in[0] = r->counter = body_value(p, tg_type_known(p->tg, TG_i64, 0, NULL));
    in[1] = r->condition = body_value(p, tg_type_known(p->tg, TG_bool, 0, NULL));
    if (!carry(p, node, r, body, 2, 2, n_carried))
        return false;
    for (uint32_t i = 0; i < n_carried; i++)
        in[2 + i] = r->current.at[i];
    if (r->trip)
        plan_reads(p, s, r->trip);
    if (r->start)
        plan_reads(p, s, r->start);
    for (uint32_t i = 0; i < n_carried; i++)
        plan_reads(p, s, r->initial.at[i]);
    place_results(p, node, r, n_carried);
    if (!plan_add(p, s))
        return false;
    Outside outside = enter(p, &s->body[0]);
    int32_t *axis = TG_NEW_N(p->arena, int32_t, n_rows + 1);
    bool *reverse = TG_NEW_N(p->arena, bool, n_rows + 1);
    r->stacked_axis = axis;
    r->stacked_reverse = reverse;
    bool good = plan_body(p, node, 0, in, given);
    if (good) {
        r->again = contiguous_result(p, given[0]);
        give_round(p, node, r, given + 1, n_carried, n_rows, axis);
        for (uint32_t i = 0; i < n_carried; i++) /* the next round has these sizes */
            plan_rebind(p, r->current.at[i], r->next.at[i]);
    }
    leave(p, outside);
    for (uint32_t i = 0; good && i < tg_node(p->g, node)->n_out; i++)
        learn_all(p, tg_node(p->g, node)->out[i]);
    return good;
}

/* An attribute with one number for each of n operands or results; missing ones are 0. */
static void read_list(Planner *p, TgNode node, const char *name, uint32_t n, int32_t *out)
{
    uint32_t given;
    const int64_t *list = tg_attr_ints(tg_node(p->g, node), name, &given);
    for (uint32_t i = 0; i < n; i++)
        out[i] = i < given ? (int32_t)list[i] : 0;
}

static bool *as_flags(Planner *p, const int32_t *list, uint32_t n)
{
    bool *flag = TG_NEW_N(p->arena, bool, n + 1);
    for (uint32_t i = 0; i < n; i++)
        flag[i] = list[i] != 0;
    return flag;
}

/* The axes and directions along which a Scan walks and stacks. */
static void read_walks(Planner *p, TgNode node, TgRepeat *r, uint32_t n_carried, uint32_t n_walked, uint32_t n_rows)
{
    int32_t *axis_in = TG_NEW_N(p->arena, int32_t, n_walked + 1), *axis_out = TG_NEW_N(p->arena, int32_t, n_rows + 1);
    int32_t *way_in = TG_NEW_N(p->arena, int32_t, n_walked + 1), *way_out = TG_NEW_N(p->arena, int32_t, n_rows + 1);
    read_list(p, node, "scan_input_axes", n_walked, axis_in);
    read_list(p, node, "scan_output_axes", n_rows, axis_out);
    read_list(p, node, "scan_input_directions", n_walked, way_in);
    read_list(p, node, "scan_output_directions", n_rows, way_out);
    const TgNodeInfo *n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n_walked; i++)
        axis_in[i] += axis_in[i] < 0 ? tg_type_of(p->g, n->in[n_carried + i])->rank : 0;
    for (uint32_t i = 0; i < n_rows; i++)
        axis_out[i] += axis_out[i] < 0 ? tg_type_of(p->g, n->out[n_carried + i])->rank : 0;
    r->scanned_axis = axis_in;
    r->stacked_axis = axis_out;
    r->scanned_reverse = as_flags(p, way_in, n_walked);
    r->stacked_reverse = as_flags(p, way_out, n_rows);
}

/* Input number i that is walked along, and what the body sees of it in each round. */
static TgValue walk(Planner *p, TgNode node, TgRepeat *r, TgStep *s, uint32_t n_carried, uint32_t i)
{
    TgValue from = plan_contiguous(p, tg_node(p->g, node)->in[n_carried + i]);
    const TgType *t = tg_type_of(p->g, from);
    TgDim dim[TG_MAX_RANK];
    for (int32_t k = 0, to = 0; k < t->rank; k++)
        if (k != r->scanned_axis[i])
            dim[to++] = t->dim[k];
    TgValue element = body_value(p, tg_type(p->tg, t->dtype, t->rank - 1, dim));
    r->rounds = r->rounds ? r->rounds : t->dim[r->scanned_axis[i]];
    TG_PUSH(p->arena, &r->scanned, from);
    TG_PUSH(p->arena, &r->element, element);
    plan_reads(p, s, from);
    return element;
}

static bool plan_scan(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgGraph *body = n->n_sub ? n->sub[0].graph : NULL;
    int64_t n_scanned = tg_attr_int(n, "num_scan_inputs");
    if (!all_tensors(p, n) || !body || n_scanned < 1 || n_scanned > n->n_formal || body->inputs.n != n->n_formal ||
        body->outputs.n != n->n_out)
        return plan_refuse(p, n, "it carries something that is no tensor of numbers, or its body does not fit");
    uint32_t n_walked = (uint32_t)n_scanned, n_carried = n->n_formal - n_walked, n_rows = n->n_out - n_carried;
    TgRepeat *r = TG_NEW(p->plan->arena, TgRepeat);
    TgStep *s = plan_step(p, TG_STEP_REPEAT);
    TG_PUSH(p->plan->arena, &s->nodes, node);
    s->u.repeat.about = r;
    r->scan = true;
    TgValue *in = TG_NEW_N(p->arena, TgValue, body->inputs.n + 1),
            *given = TG_NEW_N(p->arena, TgValue, body->outputs.n + 1);
    read_walks(p, node, r, n_carried, n_walked, n_rows);
    if (!carry(p, node, r, body, 0, 0, n_carried))
        return false;
    for (uint32_t i = 0; i < n_carried; i++) {
        in[i] = r->current.at[i];
        plan_reads(p, s, r->initial.at[i]);
    }
    for (uint32_t i = 0; i < n_walked; i++)
        in[n_carried + i] = walk(p, node, r, s, n_carried, i);
    place_results(p, node, r, n_carried);
    if (!plan_need(p, r->rounds) || !plan_add(p, s))
        return false;
    Outside outside = enter(p, &s->body[0]);
    bool good = plan_body(p, node, 0, in, given);
    if (good)
        give_round(p, node, r, given, n_carried, n_rows, r->stacked_axis);
    leave(p, outside);
    for (uint32_t i = 0; good && i < tg_node(p->g, node)->n_out; i++)
        learn_all(p, tg_node(p->g, node)->out[i]);
    return good;
}

bool plan_control(Planner *p, TgNode node)
{
    TgOp op = tg_node(p->g, node)->op;
    return op == TG_If ? plan_if(p, node) : op == TG_Loop ? plan_loop(p, node) : plan_scan(p, node);
}
