/* Equivalence of large models, region by region.
 *
 * Values that have the same name and type in both graphs, and are floating point, are candidates: places
 * where both graphs may be cut, if each pair is itself shown to be equal. From a target (an output, or a
 * candidate that somebody wants to cut at) both graphs are walked back to the nearest candidates. A
 * candidate met on one side only is walked through, until both sides stop at the same set. Integers and
 * bools are never cut: as random numbers they would be invalid indices.
 *
 * A region that is the same on both sides, node by node and tensor by tensor, needs no run. Layers repeat:
 * what holds for any weights (equiv_general.c) is asked once.
 *
 * Random values at a cut may be impossible ones (a variance below zero, a pair that depends on each other),
 * so a region that seems different is asked again with its cuts walked through, in the end from the inputs
 * of the model. A pair that still differs is no candidate from then on, and who relied on it is asked again.
 */
#include <string.h>

#include "equiv_parts.h"

typedef enum { UNKNOWN, WANTED, EQUAL, BAD } State;

typedef struct {
    EquivPair pair;
    State state;
    bool is_output;
    TgU32s cuts; /* EQUAL: the candidates that it relied on */
} Target;

/* One of the two graphs, with what is known per value. */
typedef struct {
    TgGraph *g;
    uint64_t *deep;   /* hash of all that computes the value */
    uint32_t *target; /* index into targets + 1; 0: no candidate */
    uint32_t *given;  /* index into given + 1 */
    uint32_t *stamp, now;
} Side;

typedef struct {
    Equiv *e;
    TgArena *arena;
    Side side[2];
    TG_VEC(Target)
    targets;
    TgU32s queue;
    uint8_t *closed; /* by target: not a cut at the moment */
    bool all_equal;  /* the outputs, asked together */
    TgMap recipes;   /* tensor -> number of what it is made of */
    EquivMemo memo;
} Regions;

/* --- identity of tensors -------------------------------------------------------------------------------- */

/* Equal numbers for equal bytes and type. Recipes are equal when they are written alike. */
static uint64_t tensor_id(Regions *r, const TgTensor *t)
{
    uint64_t id;
    if (!t || t->payload != TG_RECIPE)
        return t ? TG_KEY(equiv_first(&r->e->same, t)) : 0;
    if (tg_map_get(&r->recipes, TG_KEY(t), &id))
        return id;
    id = tg_mix(TG_KEY(t->recipe->attrs), tg_mix(t->recipe->op, t->recipe->output));
    for (uint32_t i = 0; i < t->recipe->n; i++)
        id = tg_mix(id, tensor_id(r, t->recipe->input[i]));
    tg_map_put(&r->recipes, TG_KEY(t), id);
    return id;
}

/* --- hashes of nodes ------------------------------------------------------------------------------------ */

static uint64_t body_hash(Regions *r, TgGraph *g);

/* All about a node but its operands. */
static uint64_t node_hash(Regions *r, const TgNodeInfo *n)
{
    uint64_t h = tg_mix(n->op, TG_KEY(n->attrs));
    h = tg_mix(h, tg_mix(TG_KEY(n->op_name), TG_KEY(n->domain)));
    h = tg_mix(h, tg_mix(n->n_formal, n->n_in));
    for (uint32_t s = 0; s < n->n_sub; s++) {
        h = tg_mix(h, TG_KEY(n->sub[s].attr));
        for (uint32_t k = 0; k < n->sub[s].outer.n; k++)
            h = tg_mix(h, n->sub[s].outer.at[k]);
        h = tg_mix(h, body_hash(r, n->sub[s].graph));
    }
    return h;
}

/* Hash by value of g: from[v] where it is set, else what v is made of. */
static void hash_values(Regions *r, TgGraph *g, uint64_t *h)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (!h[v] && info->origin == TG_V_CONST)
            h[v] = tg_mix(1, tensor_id(r, info->tensor));
    }
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(g, order[i]);
        uint64_t all = node_hash(r, info);
        for (uint32_t k = 0; k < info->n_in; k++)
            all = tg_mix(all, info->in[k] ? h[info->in[k]] : 0);
        for (uint32_t k = 0; k < info->n_out; k++)
            if (!h[info->out[k]])
                h[info->out[k]] = tg_mix(all, k + 1);
    }
}

/* A subgraph as a function of its inputs and captures. Nesting is bounded by the readers. */
static uint64_t body_hash(Regions *r, TgGraph *g)
{
    uint64_t *h = TG_NEW_N(r->arena, uint64_t, g->values.n), all = g->outputs.n;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        h[g->inputs.at[i]] = tg_mix(2, tg_mix(i, TG_KEY(tg_type_of(g, g->inputs.at[i]))));
    for (uint32_t i = 0; i < g->captures.n; i++)
        h[g->captures.at[i]] = tg_mix(3, i);
    hash_values(r, g, h);
    for (uint32_t i = 0; i < g->outputs.n; i++)
        all = tg_mix(all, h[g->outputs.at[i].value]);
    return all;
}

static void deep_hashes(Regions *r, int s)
{
    Side *side = &r->side[s];
    side->g = s ? r->e->b : r->e->a;
    side->deep = TG_NEW_N(r->arena, uint64_t, side->g->values.n);
    side->given = TG_NEW_N(r->arena, uint32_t, side->g->values.n);
    side->target = TG_NEW_N(r->arena, uint32_t, side->g->values.n);
    side->stamp = TG_NEW_N(r->arena, uint32_t, side->g->values.n);
    for (uint32_t i = 0; i < r->e->given.n; i++) {
        TgValue v = s ? r->e->given.at[i].b : r->e->given.at[i].a;
        if (!v)
            continue;
        side->given[v] = i + 1;
        side->deep[v] = tg_mix(4, i);
    }
    hash_values(r, side->g, side->deep);
}

static void begin(Regions *r, Equiv *e)
{
    *r = (Regions){.e = e, .arena = tg_arena_new(e->tg)};
    tg_map_init(&r->recipes, r->arena);
    equiv_memo_init(&r->memo, e->tg, r->arena, e->options, e->result);
    deep_hashes(r, 0);
    deep_hashes(r, 1);
}

bool equiv_same_node(Equiv *e, const TgNodeInfo *x, const TgNodeInfo *y)
{
    Regions r = {.e = e, .arena = tg_arena_new(e->tg)};
    tg_map_init(&r.recipes, r.arena);
    bool same = node_hash(&r, x) == node_hash(&r, y);
    tg_arena_free(r.arena);
    return same;
}

static bool same_deep(const Regions *r, EquivPair p)
{
    return r->side[0].deep[p.a] == r->side[1].deep[p.b];
}

void equiv_drop_identical(Equiv *e)
{
    Regions r;
    begin(&r, e);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->wanted.n; i++)
        if (!same_deep(&r, e->wanted.at[i]))
            e->wanted.at[kept++] = e->wanted.at[i];
    e->result->regions += e->wanted.n - kept;
    e->result->reused += e->wanted.n - kept;
    e->wanted.n = kept;
    tg_arena_free(r.arena);
}

/* --- candidates ----------------------------------------------------------------------------------------- */

static bool is_cuttable(const TgValueInfo *v)
{
    if (v->origin != TG_V_RESULT || !v->name || !v->uses.n || !tg_is_tensor(v->type) ||
        !tg_is_float(v->type->dtype))
        return false;
    for (int32_t i = 0; i < v->type->rank; i++)
        if (tg_dim_is_fresh(v->type->dim[i]))
            return false; /* a size that only a run would tell */
    return true;
}

static bool is_live(const TgGraph *g, TgValue v)
{
    return !tg_node(g, tg_value(g, v)->node)->dead;
}

static void add_target(Regions *r, EquivPair pair, bool is_output)
{
    Target t = {.pair = pair, .is_output = is_output};
    TG_PUSH(r->arena, &r->targets, t);
    if (is_output)
        return;
    r->side[0].target[pair.a] = r->targets.n;
    r->side[1].target[pair.b] = r->targets.n;
}

static void find_candidates(Regions *r)
{
    TgGraph *a = r->e->a, *b = r->e->b;
    TgMap names;
    tg_map_init(&names, r->arena);
    for (uint32_t i = 0; i < r->e->wanted.n; i++)
        add_target(r, r->e->wanted.at[i], true);
    for (TgValue v = 1; v < b->values.n; v++)
        if (is_cuttable(tg_value(b, v)) && is_live(b, v) && !r->side[1].given[v])
            tg_map_put(&names, TG_KEY(tg_value(b, v)->name), v);
    for (TgValue v = 1; v < a->values.n; v++) {
        uint64_t other;
        if (!is_cuttable(tg_value(a, v)) || !is_live(a, v) || r->side[0].given[v])
            continue;
        if (!tg_map_get(&names, TG_KEY(tg_value(a, v)->name), &other))
            continue;
        if (tg_value(b, (TgValue)other)->type == tg_value(a, v)->type)
            add_target(r, (EquivPair){v, (TgValue)other}, false);
    }
    r->closed = tg_new(r->arena, r->targets.n);
}

/* --- cutting -------------------------------------------------------------------------------------------- */

/* The open candidates nearest to `from`, as targets; given values are noted in *given. */
static void walk(Regions *r, int s, TgValue from, TgU32s *cuts, TgU32s *given)
{
    Side *side = &r->side[s];
    TgU32s stack = {0};
    cuts->n = given->n = 0;
    side->now++;
    TG_PUSH(r->arena, &stack, from);
    side->stamp[from] = side->now;
    while (stack.n) {
        TgValue v = stack.at[--stack.n];
        uint32_t t = side->target[v];
        const TgValueInfo *info = tg_value(side->g, v);
        if (side->given[v]) {
            TG_PUSH(r->arena, given, side->given[v] - 1);
        } else if (v != from && t && !r->closed[t - 1]) {
            TG_PUSH(r->arena, cuts, t - 1);
        } else if (info->origin == TG_V_RESULT) {
            const TgNodeInfo *n = tg_node(side->g, info->node);
            for (uint32_t k = n->n_in; k-- > 0;) {
                if (!n->in[k] || side->stamp[n->in[k]] == side->now || equiv_only_shape(side->g, n, k))
                    continue;
                side->stamp[n->in[k]] = side->now;
                TG_PUSH(r->arena, &stack, n->in[k]);
            }
        }
    }
}

static void sort(TgU32s *list)
{ /* a few entries */
    for (uint32_t i = 1; i < list->n; i++)
        for (uint32_t k = i; k && list->at[k - 1] > list->at[k]; k--) {
            uint32_t t = list->at[k];
            list->at[k] = list->at[k - 1];
            list->at[k - 1] = t;
        }
}

/* Closes what only one of the sorted lists has; false: there was nothing. `undo` remembers what was closed.
 */
static bool close_difference(Regions *r, const TgU32s *x, const TgU32s *y, TgU32s *undo)
{
    uint32_t i = 0, k = 0, before = undo->n;
    while (i < x->n || k < y->n) {
        bool in_x = i < x->n && (k == y->n || x->at[i] <= y->at[k]),
             in_y = k < y->n && (i == x->n || y->at[k] <= x->at[i]);
        uint32_t t = in_x ? x->at[i] : y->at[k];
        i += in_x;
        k += in_y;
        if (in_x && in_y)
            continue;
        r->closed[t] = 1;
        TG_PUSH(r->arena, undo, t);
    }
    return undo->n > before;
}

typedef struct {
    EquivPairs cuts; /* the given values first */
    TgU32s targets;  /* the candidates among them */
    TgU32s undo;     /* candidates closed for this target */
} Cut;

static void find_cut(Regions *r, uint32_t target, Cut *cut)
{
    EquivPair p = r->targets.at[target].pair;
    TgU32s x = {0}, y = {0}, given_a = {0}, given_b = {0};
    do {
        walk(r, 0, p.a, &x, &given_a);
        walk(r, 1, p.b, &y, &given_b);
        sort(&x);
        sort(&y);
    } while (close_difference(r, &x, &y, &cut->undo));
    for (uint32_t i = 0; i < given_b.n; i++)
        TG_PUSH(r->arena, &given_a, given_b.at[i]);
    sort(&given_a);
    cut->cuts.n = 0;
    for (uint32_t i = 0; i < given_a.n; i++)
        if (!i || given_a.at[i] != given_a.at[i - 1])
            TG_PUSH(r->arena, &cut->cuts, r->e->given.at[given_a.at[i]]);
    for (uint32_t i = 0; i < x.n; i++)
        TG_PUSH(r->arena, &cut->cuts, r->targets.at[x.at[i]].pair);
    cut->targets = x;
}

static void reopen(Regions *r, Cut *cut)
{
    for (uint32_t i = 0; i < cut->undo.n; i++)
        if (r->targets.at[cut->undo.at[i]].state != BAD)
            r->closed[cut->undo.at[i]] = 0;
    cut->undo.n = 0;
}

/* --- answering ------------------------------------------------------------------------------------------ */

typedef struct {
    Regions *r;
    const Cut *cut;
    EquivPairs wanted;
} Question;

static EquivProblem make_problem(void *user)
{
    Question *q = user;
    return equiv_problem_of(&q->r->e->same, q->r->e->a, q->r->e->b, &q->cut->cuts, &q->wanted, true);
}

/* A difference in general is enough to distrust a candidate, but not to accuse an output. */
static EquivOutcome ask(Regions *r, uint32_t target, const Cut *cut)
{
    Question q = {.r = r, .cut = cut};
    TG_PUSH(r->arena, &q.wanted, r->targets.at[target].pair);
    return equiv_answer(&r->memo, make_problem, &q, r->targets.at[target].is_output, 0);
}

/* All outputs at once, from the inputs: an output by itself may run with sizes that do not suit the model, where
 * the other side computes it together with others that need them (a cache within Attention, and its mask). */
static EquivOutcome ask_whole(Regions *r)
{
    Cut cut = {.cuts = r->e->given};
    Question q = {.r = r, .cut = &cut, .wanted = r->e->wanted};
    return equiv_answer(&r->memo, make_problem, &q, true, 0);
}

static EquivOutcome accused(Regions *r, EquivOutcome o)
{
    EquivOutcome whole = ask_whole(r);
    r->all_equal = whole.verdict == TG_EQUAL;
    return whole.verdict == TG_UNDECIDED ? o : whole;
}

/* Asks with the nearest cuts, then with those walked through; a candidate only once more, an output to the
 * inputs, and before it is accused as part of the whole model. */
static EquivOutcome answer(Regions *r, uint32_t target, Cut *cut)
{
    EquivOutcome o;
    for (int depth = 0;; depth++) {
        find_cut(r, target, cut);
        o = ask(r, target, cut);
        if (o.verdict == TG_EQUAL)
            return o;
        if (!cut->targets.n)
            return o.verdict == TG_DIFFERENT && r->e->wanted.n > 1 ? accused(r, o) : o;
        if (depth >= 1 && !r->targets.at[target].is_output)
            return o;
        for (uint32_t i = 0; i < cut->targets.n; i++) {
            r->closed[cut->targets.at[i]] = 1;
            TG_PUSH(r->arena, &cut->undo, cut->targets.at[i]);
        }
    }
}

static void want(Regions *r, uint32_t target)
{
    if (r->targets.at[target].state == WANTED)
        return;
    r->targets.at[target].state = WANTED;
    TG_PUSH(r->arena, &r->queue, target);
}

static void now_equal(Regions *r, uint32_t target, const Cut *cut)
{
    r->targets.at[target].state = EQUAL;
    r->targets.at[target].cuts = cut->targets;
    for (uint32_t i = 0; i < cut->targets.n; i++)
        if (r->targets.at[cut->targets.at[i]].state == UNKNOWN)
            want(r, cut->targets.at[i]);
}

/* The pair is no place to cut; whoever cut there is asked again. */
static void now_bad(Regions *r, uint32_t target)
{
    r->targets.at[target].state = BAD;
    r->closed[target] = 1;
    for (uint32_t i = 0; i < r->targets.n; i++) {
        const Target *t = &r->targets.at[i];
        for (uint32_t k = 0; t->state == EQUAL && k < t->cuts.n; k++)
            if (t->cuts.at[k] == target)
                want(r, i);
    }
}

EquivOutcome equiv_by_regions(Equiv *e)
{
    Regions r;
    begin(&r, e);
    find_candidates(&r);
    for (uint32_t i = 0; i < e->wanted.n; i++)
        want(&r, i);
    EquivOutcome o = {.verdict = TG_EQUAL};
    TgName where = NULL; /* the last candidate found bad lies nearest to the inputs */
    for (uint32_t i = 0; i < r.queue.n && o.verdict == TG_EQUAL && !r.all_equal; i++) {
        uint32_t target = r.queue.at[i];
        Cut cut = {0};
        if (r.targets.at[target].state != WANTED)
            continue;
        o = same_deep(&r, r.targets.at[target].pair) ? o : answer(&r, target, &cut);
        reopen(&r, &cut);
        if (o.verdict == TG_EQUAL) {
            now_equal(&r, target, &cut);
        } else if (!r.targets.at[target].is_output) {
            where = o.where ? o.where : where;
            now_bad(&r, target);
            o.verdict = TG_EQUAL;
        }
    }
    if (o.verdict == TG_DIFFERENT && where)
        o.where = where;
    tg_arena_free(r.arena);
    return o;
}
