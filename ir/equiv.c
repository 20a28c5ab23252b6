/* Whether two models compute the same: pairs what belongs together, then asks whole or region by region.
 *
 * Inputs and outputs are paired by name, else by position. Operators that cannot be evaluated (unknown,
 * random, kept) are functions that nobody interprets: the k-th of its kind in one model belongs to the one
 * that makes a value of the same name in the other, else to the k-th; what they read must be equal, what
 * they make is given. A pair can only be wrong towards caution: then what they read differs.
 */
#include <string.h>

#include "equiv_parts.h"

/* --- operators that nobody interprets ------------------------------------------------------------------- */

static bool is_interpreted(const TgNodeInfo *n)
{
    if (n->op == TG_opaque || tg_op_info(n->op)->tier == TG_KEPT || tg_op_has(n->op, TG_T_RANDOM))
        return false;
    for (uint32_t s = 0; s < n->n_sub; s++) {
        const TgGraph *g = n->sub[s].graph;
        for (TgNode i = 1; i < g->nodes.n; i++) /* nesting is bounded by the readers */
            if (!tg_node(g, i)->dead && !is_interpreted(tg_node(g, i)))
                return false;
    }
    return true;
}

/* Of the same operands, those that are left out included. */
static bool same_function(Equiv *e, const TgNodeInfo *x, const TgNodeInfo *y)
{
    bool same = x->op == y->op && x->op_name == y->op_name && x->domain == y->domain &&
                x->overload == y->overload && x->attrs == y->attrs && x->n_in == y->n_in &&
                x->n_out == y->n_out && x->n_sub == y->n_sub;
    for (uint32_t k = 0; same && k < x->n_in; k++)
        same = !x->in[k] == !y->in[k];
    return same && (!x->n_sub || equiv_same_node(e, x, y));
}

static bool share_a_name(const Equiv *e, const TgNodeInfo *x, const TgNodeInfo *y)
{
    for (uint32_t i = 0; i < x->n_out; i++) {
        TgName name = tg_value(e->a, x->out[i])->name;
        if (name && name == tg_value(e->b, y->out[i])->name)
            return true;
    }
    return false;
}

static bool may_be_twin(Equiv *e, const TgNodeInfo *n, const TgNodeInfo *other)
{
    return other->op == n->op && !is_interpreted(other) && same_function(e, n, other);
}

/* The twin among the nodes of b that have none yet: 0 if there is none. */
static TgNode twin(Equiv *e, const TgNodeInfo *n, const TgNode *order, uint32_t count, const uint8_t *taken,
                   uint32_t likely)
{
    TgNode first = 0, guess = likely < count ? order[likely] : 0;
    if (guess && !taken[guess] && may_be_twin(e, n, tg_node(e->b, guess)) &&
        share_a_name(e, n, tg_node(e->b, guess)))
        return guess; /* it mostly stands at the same place */
    for (uint32_t i = 0; i < count; i++) {
        const TgNodeInfo *other = tg_node(e->b, order[i]);
        if (taken[order[i]] || !may_be_twin(e, n, other))
            continue;
        if (share_a_name(e, n, other))
            return order[i];
        if (!first)
            first = order[i];
    }
    return first;
}

static void add_pair(Equiv *e, EquivPairs *list, TgValue a, TgValue b)
{
    EquivPair p = {a, b};
    TG_PUSH(e->arena, list, p);
}

/* False: one of them has no twin; *why says which. */
static bool pair_uninterpreted(Equiv *e, TgName *why)
{
    uint32_t n, m;
    const TgNode *order = tg_graph_order(e->a, &n), *others = tg_graph_order(e->b, &m);
    uint8_t *taken = tg_new(e->arena, e->b->nodes.n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *x = tg_node(e->a, order[i]);
        if (is_interpreted(x))
            continue;
        TgNode found = twin(e, x, others, m, taken, i);
        TgName op = x->op == TG_opaque ? x->op_name : tg_op_text(e->tg, x->op);
        if (!found)
            return *why =
                       tg_name_format(e->tg, "operator %s cannot be evaluated and is not in both models", op),
                   false;
        const TgNodeInfo *y = tg_node(e->b, found);
        taken[found] = 1;
        for (uint32_t k = 0; k < x->n_in; k++)
            if (x->in[k])
                add_pair(e, &e->wanted, x->in[k], y->in[k]);
        for (uint32_t k = 0; k < x->n_out; k++)
            add_pair(e, &e->given, x->out[k], y->out[k]);
    }
    return true;
}

/* --- the interface -------------------------------------------------------------------------------------- */

static TgValue input_like(const Equiv *e, uint32_t index)
{
    TgName name = tg_value(e->a, e->a->inputs.at[index])->name;
    if (name && index < e->b->inputs.n && tg_value(e->b, e->b->inputs.at[index])->name == name)
        return e->b->inputs.at[index]; /* it mostly stands at the same place */
    for (uint32_t i = 0; name && i < e->b->inputs.n; i++)
        if (tg_value(e->b, e->b->inputs.at[i])->name == name)
            return e->b->inputs.at[i];
    return e->a->inputs.n == e->b->inputs.n ? e->b->inputs.at[index] : 0;
}

/* Every input of b must have been paired: what it does with another one nobody can compare. */
static bool pair_inputs(Equiv *e, TgName *why)
{
    uint8_t *paired = tg_new(e->arena, e->b->values.n);
    for (uint32_t i = 0; i < e->a->inputs.n; i++) {
        TgValue like = input_like(e, i);
        if (paired[like])
            like = 0;
        paired[like] = like != 0;
        add_pair(e, &e->given, e->a->inputs.at[i], like);
    }
    for (uint32_t i = 0; i < e->b->inputs.n; i++) {
        const TgValueInfo *v = tg_value(e->b, e->b->inputs.at[i]);
        if (!paired[e->b->inputs.at[i]] && v->uses.n)
            return *why = tg_name_format(e->tg, "only the second model has an input '%s'",
                                         v->name ? v->name : ""),
                   false;
    }
    return true;
}

/* The output of that name, mostly number `likely`; NULL: none. */
static const TgReturn *output_named(const TgGraph *g, TgName name, uint32_t likely)
{
    if (!name)
        return NULL;
    if (likely < g->outputs.n && g->outputs.at[likely].name == name)
        return &g->outputs.at[likely];
    for (uint32_t i = 0; i < g->outputs.n; i++)
        if (g->outputs.at[i].name == name)
            return &g->outputs.at[i];
    return NULL;
}

/* All by name, or all by position: else two of a could be held against the same one of b. */
static bool pair_outputs(Equiv *e, TgName *why)
{
    bool by_name = true;
    if (e->a->outputs.n != e->b->outputs.n) {
        *why = tg_name_format(e->tg, "%u outputs against %u", e->a->outputs.n, e->b->outputs.n);
        return false;
    }
    for (uint32_t i = 0; i < e->a->outputs.n && by_name; i++)
        by_name = output_named(e->b, e->a->outputs.at[i].name, i) != NULL;
    for (uint32_t i = 0; i < e->a->outputs.n; i++) {
        const TgReturn *x = &e->a->outputs.at[i];
        const TgReturn *y = by_name ? output_named(e->b, x->name, i) : &e->b->outputs.at[i];
        const TgType *s = tg_type_of(e->a, x->value), *t = tg_type_of(e->b, y->value);
        if (tg_is_tensor(s) && tg_is_tensor(t) && (s->dtype != t->dtype || s->rank != t->rank)) {
            *why = tg_name_format(e->tg, "output '%s' is %s against %s", x->name, tg_type_text(e->tg, s),
                                  tg_type_text(e->tg, t));
            return false;
        }
        add_pair(e, &e->wanted, x->value, y->value);
    }
    return true;
}

/* --- the door ------------------------------------------------------------------------------------------- */

static EquivOutcome whole(Equiv *e)
{
    EquivProblem p = equiv_problem_of(&e->same, e->a, e->b, &e->given, &e->wanted, false);
    e->result->regions++;
    e->result->checked++;
    EquivOutcome o = equiv_solve(e->tg, &p, e->options, e->result);
    equiv_problem_free(&p);
    equiv_note(e->result, &o);
    return o;
}

static EquivOutcome compare(Equiv *e)
{
    static const double default_flops = 3e8;
    TgName why = NULL;
    if (!pair_inputs(e, &why) || !pair_outputs(e, &why))
        return (EquivOutcome){.verdict = TG_DIFFERENT, .why = why};
    if (!pair_uninterpreted(e, &why))
        return (EquivOutcome){.verdict = TG_UNDECIDED, .why = why};
    equiv_drop_identical(e);
    if (!e->wanted.n)
        return (EquivOutcome){.verdict = TG_EQUAL};
    double most = e->options->max_flops > 0 ? e->options->max_flops : default_flops;
    return equiv_work(e->a) + equiv_work(e->b) <= most ? whole(e) : equiv_by_regions(e);
}

void tg_equiv_means(const TgGraph *g, TgEquivOptions *options)
{
    double constants = tg_graph_const_bytes(g);
    uint64_t size = constants < 1e18 ? (uint64_t)constants : (uint64_t)1e18;
    if (!options->most_bytes)
        options->most_bytes = tg_scaled_limit(g->tg, TG_LIMIT_eval, TG_LIMIT_eval_ratio, size);
    if (!options->most_operations)
        options->most_operations = tg_scaled_limit(g->tg, TG_LIMIT_work, TG_LIMIT_work_ratio, size);
}

static bool equiv_body(void *argument)
{
    Equiv *e = argument;
    TgEquivResult *result = e->result;
    e->arena = tg_arena_new(e->tg);
    TgEquivOptions options = *e->options;
    tg_equiv_means(e->a, &options);
    e->options = &options;
    equiv_tensors_init(&e->same, e->tg, e->arena, SIZE_MAX);
    EquivOutcome o = compare(e);
    result->verdict = o.verdict;
    result->witness = o.verdict == TG_EQUAL ? NULL : o.why;
    result->where = o.where;
    if (o.verdict != TG_EQUAL) {
        result->bound = 0;
        result->worst = NULL;
    }
    return true;
}

bool tg_equiv(Tg *tg, TgModel *a, TgModel *b, const TgEquivOptions *options, TgEquivResult *result)
{
    static const TgEquivOptions defaults = {.seed = 1};
    TgPlace place = *tg_place(tg);
    Equiv e = {
        .tg = tg, .a = a->graph, .b = b->graph, .options = options ? options : &defaults, .result = result};
    *result = (TgEquivResult){.verdict = TG_UNDECIDED};
    bool ok = tg_protect(tg, equiv_body, &e);
    tg_arena_free(e.arena);
    *tg_place(tg) = place;
    return ok;
}
