/* Proves rules: applies each, through the real matcher, to models made of its examples, and compares before
 * and after.
 *
 * What is tried: every <try> in every spelling (each alternative, each pair of operands exchanged), and on
 * shapes near it (each size changed, set to 1, all sizes equal, one more batch axis, each integer attribute
 * moved). There a rule need not fire; where it fires it must be right. Every <refuse> must be left alone.
 * And every condition must be needed: without it some <refuse> is not refused any more, or some shape near
 * a <try> goes wrong. Idle conditions hide that nobody knows why they are there.
 *
 * What "right" means is tg_equiv's; an exact rule must give the same bits, an approximate one stay within
 * its bound. */
#include <math.h>
#include <string.h>

#include "instance.h"

typedef enum { NOT_BUILT, IDLE, RIGHT, WRONG, UNDECIDED } Outcome;

typedef struct {
    Tg *tg;
    TgBook *book;
    Rule *rule;
    uint32_t index;
    TgProofs *proofs;
    TgName why;
} Prover;

/* --- one application ------------------------------------------------------------------------------- */

static bool starts_here(TgMatcher *m, TgNode n, uint32_t rule)
{
    uint32_t count;
    const uint32_t *rules =
        n < m->class.n ? automaton_rules(m->book->automaton, m->class.at[n], &count) : NULL;
    for (uint32_t i = 0; rules && i < count; i++)
        if (rules[i] == rule)
            return m->usable[rule];
    return false;
}

/* Applies the rule at its anchor. False: it does not fire; p->why says why. */
static bool apply(Prover *p, const Instance *at, const Plan *plan)
{
    TgMatcher *m = tg_matcher_new(p->book, at->model->graph,
                                  &(TgMatchOptions){.opset = plan->opset, .target = plan->rule->info.target});
    TgRewrite found = {.rule = p->index, .n = p->rule->n_outputs};
    Match *match = &m->match;
    match->rule = p->rule;
    match->explains = true;
    match->best = 0;
    match->why = NULL;
    bool fires = starts_here(m, at->anchor, p->index) && match_at(match, at->anchor);
    p->why = match->why ? match->why : tg_name(p->tg, "it does not match");
    if (!m->usable[p->index])
        p->why = tg_name(p->tg, "the opset lacks an operator that it gives");
    for (uint32_t i = 0; fires && i < found.n; i++)
        found.old[i] = replaced_value(match, at->anchor, i);
    if (fires && !tg_matcher_make(m, &found)) {
        fires = false;
        p->why = tg_name(p->tg, "what it gives is not of the same type");
    }
    for (uint32_t i = 0; fires && i < found.n; i++)
        tg_replace(at->model->graph, found.old[i], found.made[i]);
    tg_matcher_free(m);
    if (fires)
        tg_remove_dead(at->model->graph);
    return fires;
}

/* --- comparing ------------------------------------------------------------------------------------- */

static double element(const TgArray *a, int64_t i)
{
    return tg_is_float(a->dtype) ? tg_array_float(TG_EVAL_F64, a, i) : (double)tg_array_int(a, i);
}

/* The largest difference, relative to the largest element of a. What a leaves undefined (infinite, no number)
 * is free. */
static double distance(const TgArray *a, const TgArray *b)
{
    double worst = 0, scale = 0;
    if (a->count != b->count || a->dtype != b->dtype)
        return INFINITY;
    for (int64_t i = 0; i < a->count; i++)
        scale = fmax(scale, isfinite(element(a, i)) ? fabs(element(a, i)) : 0);
    for (int64_t i = 0; i < a->count; i++) {
        double x = element(a, i), y = element(b, i);
        if (isfinite(x))
            worst = fmax(worst, isfinite(y) ? fabs(x - y) / fmax(scale, 1e-30) : INFINITY);
    }
    return worst;
}

/* Integers of both signs, small, and now and then near the ends of their type. */
static void fill_integers(TgArray *a)
{
    for (int64_t i = 0; i < a->count && tg_is_integer(a->dtype); i++) {
        uint64_t random = tg_mix(17, (uint64_t)i);
        int64_t x = random % 8 ? (int64_t)(random >> 8) % 19 - 9 : (int64_t)(random >> 8);
        tg_array_set_int(a, i, tg_wrap_integer(a->dtype, x));
    }
}

typedef struct {
    TgInputClass class;
    bool integers; /* any; else small ones, as indices and masks are */
} Draw;

/* The largest error in float64; infinite: only the first one runs; -1: that does not run either. */
static double error_of(Tg *tg, TgModel *before, TgModel *after, Draw draw)
{
    TgGraph *g = before->graph, *h = after->graph;
    TgArena *arena = tg_arena_new(tg);
    TgArray *in = TG_NEW_N(arena, TgArray, g->inputs.n + 1), *a = TG_NEW_N(arena, TgArray, g->outputs.n + 1),
            *b = TG_NEW_N(arena, TgArray, g->outputs.n + 1);
    TgEvalOptions options = {.mode = TG_EVAL_F64};
    double worst = -1;
    bool made = tg_random_inputs(tg, g, TG_EVAL_F64, 11, draw.class, in);
    for (uint32_t i = 0; made && draw.integers && i < g->inputs.n; i++)
        fill_integers(&in[i]);
    if (made && tg_eval(tg, g, &options, in, a)) {
        bool runs = tg_eval(tg, h, &options, in, b);
        worst = runs ? 0 : INFINITY;
        for (uint32_t i = 0; i < g->outputs.n; i++) {
            worst = runs ? fmax(worst, distance(&a[i], &b[i])) : worst;
            tg_array_drop(tg, &a[i]);
            if (runs)
                tg_array_drop(tg, &b[i]);
        }
    }
    for (uint32_t i = 0; made && i < g->inputs.n; i++)
        tg_array_drop(tg, &in[i]);
    tg_arena_free(arena);
    return worst;
}

static Outcome within_bound(Prover *p, TgModel *before, TgModel *after)
{
    static const TgInputClass classes[] = {TG_IN_NORMAL, TG_IN_POSITIVE, TG_IN_LARGE};
    for (uint32_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        double error = error_of(p->tg, before, after, (Draw){.class = classes[i]});
        if (error >= 0 && error <= p->rule->info.bound)
            continue;
        p->why = tg_name_format(p->tg, "a relative error of %.2g, beyond its bound of %.2g", error,
                                p->rule->info.bound);
        return WRONG;
    }
    return RIGHT;
}

static bool has_integers(const TgGraph *g)
{
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (tg_is_integer(tg_type_of(g, g->inputs.at[i])->dtype))
            return true;
    return false;
}

/* tg_equiv draws integers as indices are, from a small range; arithmetic is tried on others as well. */
static bool integers_agree(Prover *p, TgModel *before, TgModel *after)
{
    double error =
        has_integers(before->graph) ? error_of(p->tg, before, after, (Draw){TG_IN_NORMAL, true}) : 0;
    if (error > 1e-6)
        p->why = tg_name(p->tg, "it differs on integers of both signs");
    return error <= 1e-6;
}

static Outcome compare(Prover *p, TgModel *before, TgModel *after)
{
    TgEquivResult r = {0};
    if (p->rule->info.class == TG_RULE_APPROX)
        return within_bound(p, before, after);
    if (!tg_equiv(p->tg, before, after, &(TgEquivOptions){.seed = 1}, &r))
        return UNDECIDED;
    p->why = r.witness ? r.witness : "";
    if (r.verdict != TG_EQUAL)
        return r.verdict == TG_DIFFERENT ? WRONG : UNDECIDED;
    if (p->rule->info.class == TG_RULE_EXACT && (r.worst32 > 0 || r.worst64 > 0)) {
        p->why = tg_name_format(p->tg, "it is no exact rule: a difference of %.2g by rounding", r.worst32);
        return WRONG;
    }
    return integers_agree(p, before, after) ? RIGHT : WRONG;
}

/* --- one plan -------------------------------------------------------------------------------------- */

/* compares: else RIGHT stands for "it fires". */
static Outcome run(Prover *p, const Plan *plan, bool compares)
{
    Tg *tg = p->tg;
    TgMark mark = tg_mark(tg_scratch(tg));
    uint32_t before_diags = tg_diag_count(tg);
    Instance after = instance_build(tg, plan, &p->why);
    Outcome o = NOT_BUILT;
    if (after.model) {
        o = apply(p, &after, plan) ? RIGHT : IDLE;
        if (o == RIGHT && compares) {
            TgName why;
            Instance before = instance_build(tg, plan, &why);
            o = before.model ? compare(p, before.model, after.model) : NOT_BUILT;
            tg_model_free(before.model);
        }
        tg_model_free(after.model);
    }
    tg_diag_forget(tg, before_diags);
    tg_release(tg_scratch(tg), mark);
    return o;
}

/* --- plans near a plan ----------------------------------------------------------------------------- */

typedef bool (*Visit)(Prover *p, const Plan *plan); /* false: stop */

static uint32_t ways(const Term *t, uint32_t choice)
{
    uint32_t n = t->kind == T_ANY_OF && t->choice == choice ? t->n
                 : is_commutative(t) && t->choice == choice ? 2
                                                            : 0;
    for (uint32_t i = 0; i < t->n && !n; i++)
        n = ways(t->at[i], choice);
    return n;
}

static uint32_t ways_of(const Rule *rule, uint32_t choice)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rule->match.n && !n; i++)
        n = ways(rule->match.at[i].term, choice);
    return n;
}

/* Each choice for itself, and with all operands exchanged. */
static bool each_spelling(Prover *p, const Plan *base, Visit visit)
{
    uint32_t n = p->rule->n_choices < MAX_CHOICES ? p->rule->n_choices : MAX_CHOICES;
    for (uint32_t exchanged = 0; exchanged < 2; exchanged++) {
        Plan from = *base;
        for (uint32_t i = 0; exchanged && i < n; i++)
            from.choice[i] = ways_of(p->rule, i) == 2;
        if (!visit(p, &from))
            return false;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t way = 0; way < ways_of(p->rule, i); way++) {
                Plan plan = from;
                plan.choice[i] = (uint8_t)way;
                if (way != from.choice[i] && !visit(p, &plan))
                    return false;
            }
    }
    return true;
}

typedef struct {
    uint32_t n;
    int64_t at[16];
} Sizes;

static void for_sizes(Plan *plan, void (*change)(int64_t *n, void *user), void *user)
{
    for (uint32_t i = 0; i < plan->rule->n_names; i++)
        for (uint32_t k = 0; k < plan->at[i].n; k++)
            for (uint32_t d = 0; d < plan->at[i].at[k].rank; d++)
                if (!plan->at[i].at[k].dim[d].symbol)
                    change(&plan->at[i].at[k].dim[d].n, user);
}

static void collect_size(int64_t *n, void *user)
{
    Sizes *s = user;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->at[i] == *n)
            return;
    if (s->n < 16)
        s->at[s->n++] = *n;
}

static void replace_size(int64_t *n, void *user)
{
    const int64_t *pair = user; /* which (-1: all), by what */
    if (*n == pair[0] || pair[0] < 0)
        *n = pair[1];
}

static bool each_size(Prover *p, const Plan *base, Visit visit)
{
    Plan plan = *base;
    Sizes sizes = {0};
    for_sizes(&plan, collect_size, &sizes);
    for (uint32_t i = 0; i < sizes.n; i++) {
        int64_t other[] = {sizes.at[i] + 1, 1};
        for (uint32_t k = 0; k < 2; k++) {
            plan = *base;
            for_sizes(&plan, replace_size, (int64_t[]){sizes.at[i], other[k]});
            if (!visit(p, &plan))
                return false;
        }
    }
    return true;
}

/* One axis of one operand set to 1: what broadcasts must not be taken for what does not. */
static bool each_axis(Prover *p, const Plan *base, Visit visit)
{
    for (uint32_t i = 0; i < base->rule->n_names; i++)
        for (uint32_t k = 0; k < base->at[i].n; k++)
            for (uint32_t d = 0; d < base->at[i].at[k].rank; d++) {
                Plan plan = *base;
                plan.at[i].at[k].dim[d].n = 1;
                plan.at[i].at[k].dim[d].symbol = NULL;
                if (!visit(p, &plan))
                    return false;
            }
    return true;
}

static bool prepend(Shape *s, int64_t n)
{
    if (s->rank == SHAPE_RANK)
        return false;
    memmove(&s->dim[1], &s->dim[0], s->rank * sizeof *s->dim);
    memset(&s->dim[0], 0, sizeof *s->dim);
    s->dim[0].n = n;
    s->rank++;
    return true;
}

/* One more batch axis: for the operands of the highest rank, and for each alone. */
static bool each_batch(Prover *p, const Plan *base, Visit visit)
{
    uint32_t highest = 0;
    for (uint32_t i = 0; i < base->rule->n_names; i++)
        for (uint32_t k = 0; k < base->at[i].n; k++)
            highest = base->at[i].at[k].rank > highest ? base->at[i].at[k].rank : highest;
    Plan all = *base;
    for (uint32_t i = 0; i < base->rule->n_names; i++)
        for (uint32_t k = 0; k < base->at[i].n; k++) {
            if (all.at[i].at[k].rank == highest)
                prepend(&all.at[i].at[k], 2);
            Plan one = *base;
            if (prepend(&one.at[i].at[k], 2) && !visit(p, &one))
                return false;
        }
    return visit(p, &all);
}

/* Where all sizes are equal, every operand may lie along every axis: one more axis, and any of them 1. */
static bool each_turn(Prover *p, const Plan *base, Visit visit)
{
    Plan equal = *base;
    for_sizes(&equal, replace_size, (int64_t[]){-1, 3});
    if (!visit(p, &equal))
        return false;
    for (uint32_t i = 0; i < base->rule->n_names; i++)
        for (uint32_t k = 0; k < base->at[i].n; k++) {
            Plan turned = equal;
            if (!prepend(&turned.at[i].at[k], 3))
                continue;
            for (uint32_t d = 0; d < turned.at[i].at[k].rank; d++) {
                Plan one = turned;
                one.at[i].at[k].dim[d].n = 1;
                one.at[i].at[k].dim[d].symbol = NULL;
                if (!visit(p, &one))
                    return false;
            }
        }
    return true;
}

static bool each_attribute(Prover *p, const Plan *base, Visit visit)
{
    for (uint32_t i = 0; i < base->rule->n_names; i++) {
        if (base->rule->names[i].kind != NAME_NUMBER || !base->at[i].given ||
            base->at[i].number.kind != TG_A_INT)
            continue;
        for (int64_t by = -1; by <= 1; by += 2) {
            Plan plan = *base;
            plan.at[i].number.i += by;
            if (!visit(p, &plan))
                return false;
        }
    }
    return true;
}

static bool each_near(Prover *p, const Plan *base, Visit visit)
{
    return each_size(p, base, visit) && each_axis(p, base, visit) && each_batch(p, base, visit) &&
           each_turn(p, base, visit) && each_attribute(p, base, visit);
}

/* --- tries and refusals ---------------------------------------------------------------------------- */

static bool report(Prover *p, Spot spot, TgDiagId id, TgName what)
{
    place_error(p->book, p->rule->info.file, spot);
    return tg_report(p->tg, id, p->rule->info.name, what);
}

static bool must_be_right(Prover *p, const Plan *plan)
{
    static const TgDiagId ids[] = {[NOT_BUILT] = TG_E_rule_not_built,
                                   [IDLE] = TG_E_rule_idle,
                                   [WRONG] = TG_E_rule_wrong,
                                   [UNDECIDED] = TG_E_rule_undecided};
    Outcome o = run(p, plan, true);
    p->proofs->instances++;
    return o == RIGHT || report(p, plan->example->spot, ids[o], p->why);
}

static bool may_be_right(Prover *p, const Plan *plan)
{
    Outcome o = run(p, plan, true);
    p->proofs->instances += o == RIGHT;
    return o != WRONG || report(p, plan->example->spot, TG_E_rule_wrong,
                                tg_name_format(p->tg, "on shapes near this: %s", p->why));
}

static bool prove_example(Prover *p, const XmlElement *x)
{
    Plan *plan = TG_NEW(p->book->arena, Plan);
    if (!plan_read(p->book, p->rule, x, plan))
        return false;
    if (!is_refusal(x))
        return each_spelling(p, plan, must_be_right) && each_near(p, plan, may_be_right);
    Outcome o = run(p, plan, false);
    p->proofs->refusals++;
    if (o == NOT_BUILT)
        return report(p, x->spot, TG_E_rule_not_built, p->why);
    for (uint32_t i = 0; o == RIGHT && i < x->attrs.n; i++)
        if (strcmp(x->attrs.at[i].name, "why") == 0)
            return report(p, x->spot, TG_E_rule_fires, x->attrs.at[i].text);
    return true;
}

/* --- conditions that are needed -------------------------------------------------------------------- */

/* With the condition the plan is left alone, without it something goes wrong. */
static bool is_not_missed(Prover *p, const Plan *plan)
{
    uint32_t dropped = p->rule->dropped;
    if (run(p, plan, false) != RIGHT)
        return true;
    p->rule->dropped = UINT32_MAX;
    bool fires_anyway = run(p, plan, false) == RIGHT;
    p->rule->dropped = dropped;
    return fires_anyway || run(p, plan, true) != WRONG;
}

static bool is_needed(Prover *p)
{
    Plan *plan = TG_NEW(p->book->arena, Plan);
    for (uint32_t i = 0; i < p->rule->examples.n; i++) {
        const XmlElement *x = p->rule->examples.at[i];
        if (is_refusal(x) && plan_read(p->book, p->rule, x, plan) && run(p, plan, false) == RIGHT)
            return true;
    }
    for (uint32_t i = 0; i < p->rule->examples.n; i++) {
        const XmlElement *x = p->rule->examples.at[i];
        if (!is_refusal(x) && plan_read(p->book, p->rule, x, plan) && !each_near(p, plan, is_not_missed))
            return true;
    }
    return false;
}

static void check_conditions(Prover *p)
{
    for (uint32_t i = 0; i < p->rule->when.n; i++) {
        const Cond *c = &p->rule->when.at[i];
        p->rule->dropped = i;
        bool needed = is_needed(p);
        p->rule->dropped = UINT32_MAX;
        p->proofs->conditions += needed;
        if (!needed)
            report(p, c->spot, TG_E_rule_needless, c->text);
    }
}

/* --- the door -------------------------------------------------------------------------------------- */

bool tg_rule_prove(TgBook *book, uint32_t rule, TgProofs *proofs)
{
    Prover p = {.tg = book->tg, .book = book, .rule = book->rules.at[rule], .index = rule, .proofs = proofs};
    uint32_t errors = tg_error_count(book->tg);
    TgPlace place = *tg_place(book->tg);
    for (uint32_t i = 0; i < p.rule->examples.n; i++)
        prove_example(&p, p.rule->examples.at[i]);
    if (errors == tg_error_count(book->tg))
        check_conditions(&p);
    *tg_place(book->tg) = place;
    proofs->rules += errors == tg_error_count(book->tg);
    return errors == tg_error_count(book->tg);
}
