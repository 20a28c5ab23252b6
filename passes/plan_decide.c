/* Ranks that data decide.
 *
 * A step must know how many axes its operands have. Three things leave that open: an If whose branches give different
 * ranks, a Squeeze without axes, and whatever is computed from those. Where readers repeat the smaller result anyway
 * (a scalar against a vector), it gets axes of size 1. Else the plan is made for one case, which becomes an
 * expectation: a step that stops the run if the condition is another one (TG_STEP_EXPECT). The case is found by
 * trying: in most models the wrong one cannot run at all, since an LSTM further down takes three axes and nothing
 * else.
 *
 * Invariants: what is computed while all expectations hold is what the model says; what is not expected is never
 * computed silently. Conditions are extra outputs of the graph while passes clean it, so nobody drops them.
 * Cost: two copies of the graph (without tensors) per decision.
 */
#include "passes/planner.h"

enum { MOST_DECISIONS = 32, CASES = 2 };

static bool is_open(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return t->kind == TG_TENSOR && t->rank < 0 && t->dtype != TG_undefined;
}

static bool may_be_1(TgDim d)
{
    return tg_dim_lower(d) <= 1 && (tg_dim_upper(d) < 0 || tg_dim_upper(d) >= 1);
}

static bool is_squeeze(const TgGraph *g, const TgNodeInfo *n)
{
    return n->op == TG_Squeeze && !in(n, 1) && tg_is_tensor(tg_type_of(g, n->in[0]));
}

/* The first node that leaves a rank open though it knows all about its operands. */
static TgNode first_open(TgGraph *g)
{
    uint32_t count;
    const TgNode *order = tg_graph_order(g, &count);
    for (uint32_t i = 0; i < count; i++) {
        const TgNodeInfo *n = tg_node(g, order[i]);
        for (uint32_t k = 0; (n->op == TG_If || is_squeeze(g, n)) && k < n->n_out; k++)
            if (is_open(g, n->out[k]) && is_read(g, n->out[k]))
                return order[i];
    }
    return 0;
}

/* Infers all types anew; false: some node cannot run. */
static bool types_hold(TgGraph *g)
{
    uint32_t count, said = tg_diag_count(g->tg);
    const TgNode *order = tg_graph_order(g, &count);
    bool hold = true;
    for (uint32_t i = 0; i < count; i++)
        hold = tg_infer_node(g, order[i]) && hold;
    tg_diag_forget(g->tg, said);
    return hold;
}

/* --- axes of size 1 ----------------------------------------------------------------------------------------------- */

/* Every reader of v repeats it along axes that another operand has, down to `rank` of them. */
static bool repeated_by_all(const TgGraph *g, TgValue v, int32_t rank)
{
    const TgValueInfo *info = tg_value(g, v);
    bool all = !info->returned && info->uses.n;
    for (uint32_t i = 0; all && i < info->uses.n; i++) {
        const TgNodeInfo *n = tg_node(g, info->uses.at[i].node);
        int32_t widest = -1;
        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] && n->in[k] != v && pass_rank(g, n->in[k]) > widest)
                widest = pass_rank(g, n->in[k]);
        all = n->op != TG_opaque && !n->n_sub && tg_op_has(n->op, TG_T_ELEMENTWISE) && n->n_in > 1 && widest >= rank;
    }
    return all;
}

/* Output number `output` of a branch with `more` axes of size 1 in front. */
static bool widen(TgGraph *branch, uint32_t output, int32_t more)
{
    int64_t axis[TG_MAX_RANK];
    for (int32_t i = 0; i < more; i++)
        axis[i] = i;
    TgValue old = branch->outputs.at[output].value;
    TgValue axes = tg_graph_const(branch, tg_tensor_ints(branch->arena, (uint32_t)more, axis), NULL);
    TgValue wide = tg_op(branch, TG_Unsqueeze, NULL, 2, old, axes);
    if (!wide)
        return false;
    tg_value(branch, old)->returned--;
    tg_value(branch, wide)->returned++;
    branch->outputs.at[output].value = wide;
    return true;
}

/* An If whose branches give different ranks to readers that do not mind gives the larger one. False: it is none. */
static bool widen_branches(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    bool done = false;
    for (uint32_t k = 0; n->op == TG_If && n->n_sub == CASES && k < n->n_out; k++) {
        TgGraph *branch[CASES] = {n->sub[0].graph, n->sub[1].graph};
        if (!is_open(g, n->out[k]) || branch[0]->outputs.n <= k || branch[1]->outputs.n <= k)
            continue;
        int32_t a = pass_rank(branch[0], branch[0]->outputs.at[k].value);
        int32_t b = pass_rank(branch[1], branch[1]->outputs.at[k].value), more = a < b ? b - a : a - b;
        if (a >= 0 && b >= 0 && more && repeated_by_all(g, n->out[k], a < b ? b : a))
            done = widen(branch[a < b ? 0 : 1], k, more) || done;
    }
    return done;
}

/* --- cases -------------------------------------------------------------------------------------------------------- */

static void expect(Planner *p, TgGraph *g, TgValue condition, bool wanted)
{
    tg_graph_return(g, condition, "expected", NULL);
    if (g == p->g)
        TG_PUSH(p->arena, &p->wanted, wanted);
}

/* Case 0: the condition holds. Case 1: it does not. */
static bool take_branch(Planner *p, TgGraph *g, TgNode node, int which)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgName name = tg_name(p->tg, which == 0 ? "then_branch" : "else_branch");
    TgValue condition = n->in[0], *out = TG_NEW_N(p->arena, TgValue, n->n_out + 1);
    uint32_t sub = 0;
    while (sub < n->n_sub && n->sub[sub].attr != name)
        sub++;
    if (sub == n->n_sub || n->sub[sub].graph->outputs.n != n->n_out || !splice_branch(g, n, sub, out))
        return false;
    expect(p, g, condition, which == 0);
    for (uint32_t i = 0; i < n->n_out; i++)
        tg_replace(g, n->out[i], out[i]);
    tg_remove(g, node);
    return true;
}

/* bool[1]: this axis of x is 1. */
static TgValue is_1(TgGraph *g, TgValue x, int32_t axis)
{
    const TgAttrs *attrs = tg_attrs(g->tg, TG_Shape, "start=i end=i", (int64_t)axis, (int64_t)axis + 1);
    TgValue size = tg_op(g, TG_Shape, attrs, 1, x);
    TgValue one = tg_graph_const(g, tg_tensor_ints(g->arena, 1, (int64_t[]){1}), NULL);
    return size ? tg_op(g, TG_Equal, NULL, 2, size, one) : 0;
}

/* Case 0: all sizes that may be 1 are. Case 1: none of them is, but those that are known to be. */
static bool take_axes(Planner *p, TgGraph *g, TgNode node, int which)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgValue x = n->in[0], old = n->out[0];
    const TgType *t = tg_type_of(g, x);
    int64_t axis[TG_MAX_RANK];
    uint32_t count = 0;
    for (int32_t k = 0; k < t->rank; k++) {
        bool known = tg_dim_is(t->dim[k], 1);
        if (!known && !may_be_1(t->dim[k]))
            continue;
        TgValue condition = known ? 0 : is_1(g, x, k);
        if (!known && !condition)
            return false;
        if (!known)
            expect(p, g, condition, which == 0);
        if (known || which == 0)
            axis[count++] = k;
    }
    TgValue axes = tg_graph_const(g, tg_tensor_ints(g->arena, count, axis), NULL);
    TgValue made = tg_op(g, TG_Squeeze, NULL, 2, x, axes);
    if (!made)
        return false;
    tg_replace(g, old, made);
    tg_remove(g, node);
    return true;
}

static bool take_case(Planner *p, TgGraph *g, TgNode node, int which)
{
    return tg_node(g, node)->op == TG_If ? take_branch(p, g, node, which) : take_axes(p, g, node, which);
}

/* --- trying ------------------------------------------------------------------------------------------------------- */

/* What the case leads to can run, as far as anybody can tell. */
static bool case_holds(Planner *p, int which)
{
    uint32_t said = tg_diag_count(p->tg);
    TgModel *trial = tg_model_clone(p->plan->model);
    TgGraph *g = trial->graph;
    bool holds = take_case(p, g, first_open(g), which) && types_hold(g) && plan_clean(p, trial) && types_hold(g);
    tg_model_free(trial);
    tg_diag_forget(p->tg, said);
    return holds;
}

static void say_case(Planner *p, TgNode node, int which)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgPlace *place = tg_place(p->tg), saved = *place;
    place->node = n->name;
    tg_report(p->tg, TG_E_plan_case, tg_op_text(p->tg, n->op),
              n->op == TG_If ? (which == 0 ? "its condition is true" : "its condition is false")
                             : (which == 0 ? "all sizes that may be 1 are" : "no size is 1 but those that always are"));
    *place = saved;
}

bool plan_decide(Planner *p)
{
    for (int k = 0; k < MOST_DECISIONS; k++) {
        TgNode node = first_open(p->g);
        if (!node)
            return true;
        if (!widen_branches(p->g, node)) {
            int which = CASES - 1; /* sizes are rarely 1 */
            while (which >= 0 && !case_holds(p, which))
                which--;
            if (which < 0)
                return true; /* nobody can plan it, and who tries says so */
            say_case(p, node, which);
            if (!take_case(p, p->g, node, which))
                return false;
        }
        (void)types_hold(p->g);
        if (!plan_clean(p, p->plan->model))
            return false;
    }
    return true;
}

void plan_keep_cases(Planner *p)
{
    if (!p->wanted.n)
        return;
    TgPlan *plan = p->plan;
    plan->cases = tg_model_clone(plan->model);
    TgGraph *g = plan->cases->graph;
    for (uint32_t own = g->outputs.n - p->wanted.n; own > 0; own--)
        tg_drop_return(g, 0);
    tg_remove_dead(g);
    for (uint32_t i = 0; i < p->wanted.n; i++)
        TG_PUSH(plan->arena, &plan->wanted, p->wanted.at[i]);
}
