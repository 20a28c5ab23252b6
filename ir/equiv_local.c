/* One replacement within a graph: do the values that take the place of others compute the same?
 *
 * Several values are asked about together where one operator gives them all (attention and its cache):
 * alone, one of them may fail, for what another one needs, where the old one did not. What follows speaks
 * of one.
 *
 * Both values stand in the same graph, so what they have in common cuts out a region. From the new value
 * the graph is walked back to values that the old one depends on: there it is cut, and cut values are any
 * values. The old side is walked back to the same cuts; a float that depends on none of them is any value
 * as well. Integers and bools are never cut (as random numbers they would be no indices, no shapes) but
 * walked through, and those that a branch has from outside are constants where inference knows them; where only
 * the shape of a value is asked, its inferred shape answers.
 *
 * Any values may be too many: the two sides may agree only because a cut value is a square root, or
 * because two cut values depend on each other. So a region that is not shown equal is widened, by what
 * makes its cut values, and asked again, a few times. Not equal in the widest region is a refusal.
 *
 * The work is that of the region, not of the graph: marks are stamps in arrays that live as long as the
 * checker. */
#include <string.h>
#include <time.h>

#include "equiv_parts.h"

enum {
    WIDENINGS = 10,    /* masks are made in that many steps */
    MOST_VALUES = 600, /* of a cone */
    TIED_BYTES = 64 << 10
};
static const double most_work = 2e6; /* of a region in the sizes of the model */

/* What was found about a value (or, `node`, about a node); each holds if it is the stamp of the region. */
typedef struct {
    uint32_t ancestor, cut, reach, opened, seen, node;
} Mark;

struct TgChecker {
    Tg *tg;
    TgArena *arena, *texts; /* texts: of the last question */
    TgEquivOptions options;
    TgEquivResult result;
    EquivMemo memo;
    EquivTensors same;
    Mark *mark;         /* by value */
    TgValue *became[2]; /* by value: for equiv_extract.c, zeros between questions */
    uint32_t room, stamp;
};

/* A region under construction. */
typedef struct {
    TgChecker *c;
    TgGraph *g;
    uint32_t n;
    const TgValue *old, *made;
    TgArena *arena;
    uint32_t ancestor, opened, cut, reach, seen; /* stamps */
    TgU32s cone;                                 /* what `old` depends on, nearest first */
    EquivPairs cuts, targets;
    TG_VEC(TgNode)
    nodes[2]; /* of each side, producers first */
    TgU32s stack;
    bool overflow;
} Region;

/* --- asking about values -------------------------------------------------------------------------------- */

static Mark *mark_of(const Region *r, TgValue v)
{
    return &r->c->mark[v];
}

static const TgNodeInfo *producer(const TgGraph *g, TgValue v)
{
    return tg_value(g, v)->origin == TG_V_RESULT ? tg_node(g, tg_value(g, v)->node) : NULL;
}

/* It has no producer, or one that nobody can run. */
static bool is_given(const TgGraph *g, TgValue v)
{
    const TgNodeInfo *n = producer(g, v);
    return !n || n->op == TG_opaque || tg_op_info(n->op)->tier == TG_KEPT || tg_op_has(n->op, TG_T_RANDOM);
}

/* Known integers of an outer graph as well: the rewrite may count on them. */
static bool is_constant(const Region *r, TgValue v)
{
    return tg_value(r->g, v)->tensor || (is_given(r->g, v) && tg_known_elements(r->g, v, r->arena));
}

static bool is_real(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return tg_is_tensor(t) && tg_is_float(t->dtype);
}

/* Both are the same result of equal nodes over the same operands. */
static bool is_twin(const TgGraph *g, TgValue old, TgValue made)
{
    const TgNodeInfo *x = producer(g, old), *y = producer(g, made);
    return x && y && !is_given(g, old) && x->op == y->op && x->attrs == y->attrs && x->n_in == y->n_in &&
           !x->n_sub && !y->n_sub && tg_value(g, old)->index == tg_value(g, made)->index &&
           memcmp(x->in, y->in, x->n_in * sizeof *x->in) == 0;
}

/* --- the old side's cone -------------------------------------------------------------------------------- */

static void add_to_cone(Region *r, TgValue v)
{
    if (!v || mark_of(r, v)->ancestor == r->ancestor || is_constant(r, v))
        return;
    mark_of(r, v)->ancestor = r->ancestor;
    TG_PUSH(r->arena, &r->cone, v);
}

static bool is_target(const Region *r, TgValue v)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (v == r->old[i])
            return true;
    return false;
}

static void find_cone(Region *r)
{
    r->ancestor = ++r->c->stamp;
    for (uint32_t i = 0; i < r->n; i++)
        add_to_cone(r, r->old[i]);
    for (uint32_t i = 0; i < r->cone.n && r->cone.n < MOST_VALUES; i++) {
        const TgNodeInfo *n = producer(r->g, r->cone.at[i]);
        for (uint32_t k = 0; n && k < n->n_in; k++)
            add_to_cone(r, n->in[k]);
    }
}

static bool any_reaches(const Region *r, const TgNodeInfo *n)
{
    for (uint32_t k = 0; n && k < n->n_in; k++)
        if (n->in[k] && mark_of(r, n->in[k])->reach == r->reach)
            return true;
    return false;
}

/* Marks what of the cone depends on a cut. */
static void find_reach(Region *r)
{
    r->reach = ++r->c->stamp;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = r->cone.n; i-- > 0;) {
            TgValue v = r->cone.at[i];
            Mark *m = mark_of(r, v);
            if (m->reach == r->reach || (m->cut != r->cut && !any_reaches(r, producer(r->g, v))))
                continue;
            m->reach = r->reach;
            changed = true;
        }
    }
}

/* --- walking -------------------------------------------------------------------------------------------- */

static void cut_at(Region *r, TgValue v)
{
    if (mark_of(r, v)->cut == r->cut)
        return;
    mark_of(r, v)->cut = r->cut;
    EquivPair p = {v, v};
    TG_PUSH(r->arena, &r->cuts, p);
}

static bool stops(const Region *r, int side, TgValue v)
{
    const Mark *m = mark_of(r, v);
    if (is_given(r->g, v) || m->cut == r->cut)
        return true;
    if (!is_real(r->g, v) || m->opened == r->opened || is_target(r, v))
        return false;
    return side ? m->ancestor == r->ancestor : m->reach != r->reach;
}

/* What is still to be seen of n's operands goes on the stack; false: nothing. */
static bool push_operands(Region *r, const TgNodeInfo *n)
{
    uint32_t before = r->stack.n;
    for (uint32_t k = n->n_in; k-- > 0;)
        if (n->in[k] && mark_of(r, n->in[k])->seen != r->seen && !equiv_only_shape(r->g, n, k))
            TG_PUSH(r->arena, &r->stack, n->in[k]);
    return r->stack.n > before;
}

static void take_node(Region *r, int side, TgNode n)
{
    if (r->c->mark[n].node == r->seen)
        return;
    r->c->mark[n].node = r->seen;
    TG_PUSH(r->arena, &r->nodes[side], n);
    r->overflow |= r->nodes[side].n > MOST_VALUES;
}

/* From the value of that side back to the cuts, depth first. */
static void walk(Region *r, int side)
{
    r->seen = ++r->c->stamp;
    r->stack.n = r->nodes[side].n = 0;
    for (uint32_t i = r->n; i-- > 0;)
        TG_PUSH(r->arena, &r->stack, side ? r->made[i] : r->old[i]);
    while (r->stack.n && !r->overflow) {
        TgValue v = r->stack.at[r->stack.n - 1];
        Mark *m = mark_of(r, v);
        bool inner = m->seen != r->seen && !is_constant(r, v);
        if (inner && stops(r, side, v)) {
            cut_at(r, v);
            inner = false;
        }
        if (inner && push_operands(r, producer(r->g, v)))
            continue;
        if (inner)
            take_node(r, side, tg_value(r->g, v)->node);
        m->seen = r->seen;
        r->stack.n--;
    }
}

static void find_region(Region *r)
{
    r->cut = ++r->c->stamp;
    r->cuts.n = 0;
    walk(r, 1);
    find_reach(r);
    if (!r->overflow)
        walk(r, 0);
}

/* The next region reaches beyond these cuts; false: there is nothing beyond. */
static bool widen(Region *r)
{
    bool wider = false;
    for (uint32_t i = 0; i < r->cuts.n; i++) {
        if (is_given(r->g, r->cuts.at[i].a))
            continue;
        mark_of(r, r->cuts.at[i].a)->opened = r->opened;
        wider = true;
    }
    return wider;
}

/* --- asking --------------------------------------------------------------------------------------------- */

static void forget(const Region *r, int side)
{
    TgValue *became = r->c->became[side];
    for (uint32_t i = 0; i < r->cuts.n; i++)
        became[r->cuts.at[i].a] = 0;
    for (uint32_t i = 0; i < r->n; i++)
        became[side ? r->made[i] : r->old[i]] = 0;
    for (uint32_t i = 0; i < r->nodes[side].n; i++) {
        const TgNodeInfo *n = tg_node(r->g, r->nodes[side].at[i]);
        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k])
                became[n->in[k]] = 0;
        for (uint32_t k = 0; k < n->n_out; k++)
            became[n->out[k]] = 0;
    }
}

static EquivProblem make_problem(void *user)
{
    Region *r = user;
    EquivSource source[2];
    for (int side = 0; side < 2; side++)
        source[side] = (EquivSource){r->g, r->nodes[side].at, r->nodes[side].n, r->c->became[side], true};
    EquivProblem p = equiv_problem(&r->c->same, &source[0], &source[1], &r->cuts, &r->targets, true);
    forget(r, 0);
    forget(r, 1);
    return p;
}

static void make_room(TgChecker *c, const TgGraph *g)
{
    uint32_t need = g->values.n > g->nodes.n ? g->values.n : g->nodes.n;
    if (need <= c->room)
        return;
    c->room = 2 * need;
    c->mark = TG_NEW_N(c->arena, Mark, c->room);
    for (int side = 0; side < 2; side++)
        c->became[side] = TG_NEW_N(c->arena, TgValue, c->room);
}

static EquivOutcome ask(Region *r)
{
    EquivOutcome o = {.verdict = TG_UNDECIDED, .why = "the region is too large"};
    for (int i = 0; i < WIDENINGS; i++) {
        find_region(r);
        if (r->overflow)
            break;
        o = equiv_answer(&r->c->memo, make_problem, r, true, most_work);
        bool spent = equiv_is_spent(r->c->tg, &r->c->options, &r->c->result, &(EquivOutcome){0});
        if (o.verdict == TG_EQUAL || spent || !widen(r)) /* spent: a wider one would not be answered either */
            break;
    }
    return o;
}

/* Mapped constants are printed with their elements, so that the text needs no file. */
static void detach(TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgTensor *t = tg_value(g, v)->tensor;
        if (t && t->payload == TG_MAPPED)
            tg_value(g, v)->tensor = tg_tensor_owned(g->arena, t->dtype, t->rank, t->dim, t->bytes);
    }
}

/* What became an input has no name; the text form wants one, and inputs are paired by it. */
static void name_inputs(TgGraph *g)
{
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (!tg_value(g, g->inputs.at[i])->name)
            tg_value(g, g->inputs.at[i])->name = tg_name_format(g->tg, EQUIV_MADE_NAME "%u", i);
}

/* What to call a value of the model in a certificate. */
static TgName name_in_model(const TgGraph *g, TgValue v)
{
    const TgNodeInfo *n = producer(g, v);
    TgName name = tg_value(g, v)->name;
    return name && *name ? name : n && n->name && *n->name ? n->name : "";
}

/* Constants of recipes are none of g's; they have no name. */
static TgName name_of_tensor(const TgGraph *g, const TgTensor *t)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->tensor == t && tg_value(g, v)->name)
            return tg_value(g, v)->name;
    return "";
}

/* Inputs are the cuts, then the constants that became free, then what stands for a shape. */
static void bind_inputs(const Region *r, const EquivProblem *p, TgArena *arena, TgReplacement *result)
{
    const TgGraph *a = p->a->graph;
    uint32_t n = a->inputs.n, cuts = r->cuts.n;
    TgBinding *made = TG_NEW_N(arena, TgBinding, n + 1u);
    for (uint32_t i = 0; i < n; i++) {
        made[i].input = tg_value(a, a->inputs.at[i])->name;
        made[i].value = i < cuts                 ? name_in_model(r->g, r->cuts.at[i].a)
                        : i < cuts + p->freed.n ? name_of_tensor(r->g, p->freed.at[i - cuts])
                                                : "";
    }
    result->binding = made;
    result->n_bindings = n;
}

static double elements_of(const TgGraph *g)
{
    double n = 0;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgTensor *t = tg_value(g, v)->tensor;
        bool read = tg_value(g, v)->uses.n || tg_value(g, v)->returned;
        n += read && t && (t->payload == TG_MAPPED || t->payload == TG_OWNED) ? (double)t->count : 0;
    }
    return n;
}

/* The problem in the form that was answered. What is the same on sight is so in any form: the smallest will do. */
static EquivProblem problem_in_form(Region *r, int form)
{
    EquivProblem p = make_problem(r);
    int first = form == EQUIV_ON_SIGHT ? 0 : form, last = form == EQUIV_ON_SIGHT ? EQUIV_FORMS - 1 : form;
    for (int i = first; i <= last && i < EQUIV_FORMS; i++) {
        if (equiv_generalize(&p, (EquivForm)i) == EQUIV_GENERAL)
            break;
        equiv_problem_free(&p);
        p = make_problem(r);
    }
    return p;
}

static const char *text_of(TgGraph *g, TgArena *arena)
{
    TgText text;
    tg_text_init(&text, arena);
    tg_print_graph(g, &text);
    return text.at;
}

/* The two graphs as text, in the form that was answered: what a certificate shows, and what reproduces a
 * refusal. Not with the elements of whole tables: that would be gigabytes. */
static void print_region(Region *r, int form, TgArena *arena, TgReplacement *result)
{
    static const double most_elements = 1 << 20;
    EquivProblem p = problem_in_form(r, form);
    equiv_dummies_to_inputs(&p);
    if (elements_of(p.a->graph) + elements_of(p.b->graph) <= most_elements) {
        detach(p.a->graph);
        detach(p.b->graph);
        name_inputs(p.a->graph);
        name_inputs(p.b->graph);
        bind_inputs(r, &p, arena, result);
        result->before = text_of(p.a->graph, arena);
        result->after = text_of(p.b->graph, arena);
    }
    equiv_problem_free(&p);
}

/* --- the door ------------------------------------------------------------------------------------------- */

TgChecker *tg_checker_new(Tg *tg, const TgEquivOptions *options)
{
    TgArena *arena = tg_arena_new(tg);
    TgChecker *c = TG_NEW(arena, TgChecker);
    c->tg = tg;
    c->arena = arena;
    c->texts = tg_arena_new(tg);
    c->options = *options;
    c->options.rewrite = true;
    equiv_tensors_init(&c->same, tg, arena, TIED_BYTES);
    equiv_memo_init(&c->memo, tg, arena, &c->options, &c->result);
    return c;
}

void tg_checker_free(TgChecker *c)
{
    if (!c)
        return;
    tg_arena_free(c->texts);
    tg_arena_free(c->arena);
}

const TgEquivResult *tg_checker_result(const TgChecker *c)
{
    return &c->result;
}

TgVerdict tg_check_replacement(TgChecker *c, TgGraph *g, uint32_t n, const TgValue *old, const TgValue *made,
                               bool text, TgReplacement *result)
{
    TgPlace place = *tg_place(c->tg);
    uint32_t checked = c->result.checked;
    if (n == 1 && !text && is_twin(g, old[0], made[0])) {
        c->result.regions++;
        c->result.reused++;
        *result = (TgReplacement){.verdict = TG_EQUAL, .proved = true, .bound = -1074, .reused = true};
        return TG_EQUAL;
    }
    make_room(c, g);
    Region r = {.c = c, .g = g, .n = n, .old = old, .made = made, .arena = tg_arena_new(c->tg)};
    for (uint32_t i = 0; i < n; i++) {
        EquivPair target = {old[i], made[i]};
        TG_PUSH(r.arena, &r.targets, target);
    }
    r.opened = ++c->stamp;
    find_cone(&r);
    EquivOutcome o = ask(&r);
    *result = (TgReplacement){.verdict = o.verdict,
                              .why = o.why,
                              .proved = o.proved,
                              .bound = o.bound,
                              .reused = checked == c->result.checked};
    tg_arena_free(c->texts);
    c->texts = tg_arena_new(c->tg);
    if ((text || o.verdict == TG_DIFFERENT) && !r.overflow)
        print_region(&r, o.form, o.verdict == TG_DIFFERENT ? c->arena : c->texts, result);
    tg_arena_free(r.arena);
    *tg_place(c->tg) = place;
    return o.verdict;
}
