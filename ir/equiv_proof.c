/* The check in the finite field: both graphs are evaluated at random points of F_p x F_q (field.h), and
 * every element of every output is compared.
 *
 * Unequal is a difference over the reals, unless a function of which only congruence is known took part, or both have
 * numbers that, for floats, absorb what is added to them (then they are taken for the infinities of masks for which
 * they stand, and a difference even so tells nothing), or a square root that does not exist at this point (then another
 * point is drawn), or an exponential of exponentials (then it is cut in pieces, see equiv_cut.c). Equal is wrong with
 * a chance of at most deg / p + (k - 1) / q per draw: deg the degree of the numerator of the difference (Schwartz and
 * Zippel), k the number of exponentials in it. The second term assumes that the minors of the Fourier matrix of F_q do
 * not vanish mod p, as they do not over C (Tao 2005); without that assumption a draw of k exponentials is only known
 * to fail with probability 1 / k. Roots are counted as indeterminates of their own. The bound speaks of elements that
 * are defined, at the sizes drawn first: what agrees there only because it is undefined on both sides, or differs at
 * other sizes only, the floats have to see. A bound that says little (degrees are counted generously) is no proof.
 * Where an order or a rounding of residues took part (`coarse`), agreement may be luck: more points are drawn, and the
 * outcome is no proof. */
#include <math.h>

#include "equiv_parts.h"

enum {
    DRAWS = 2,   /* at the first way of sizes, where the work is small; one at the second */
    COARSE = 12, /* instead, where agreement says little */
    WEAK = 4,    /* instead, where one says too little for a proof */
    ROUNDS = 16, /* of cuts, where exponents are lost: layers that one question may have */
    REDRAWS = 40 /* for square roots: with m of them one of 2^m points has all */
};

static const double heavy = 3e5; /* multiplications from which one draw must do, and then none */
static const double weakest = -40; /* log2 of a chance that still counts as a proof */

typedef struct {
    EquivSolve *s;
    double chance; /* log2, of the last draw: its worst output */
    double bound;  /* log2, of all draws at the first sizes */
    bool coarse;   /* in some draw */
    bool absorbs;  /* numbers of masks on both sides, see has_absorbing */
} Proof;

/* Masks are sums with such numbers: whichever it is, floats do not tell. Nesting is bounded by the readers. */
static bool has_absorbing(Tg *tg, const TgGraph *g)
{
    enum { FEW = 64 };
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (equiv_is_large_mask(tg_value(g, g->inputs.at[i])->name))
            return true;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgTensor *t = tg_value(g, v)->tensor;
        bool seen = t && t->count && tg_is_float(t->dtype) && t->payload != TG_RECIPE;
        uint64_t n = !seen ? 0 : t->payload == TG_SPLAT ? 1 : t->count <= FEW ? t->count : 0;
        for (uint64_t i = 0; i < n; i++) {
            double x = fabs(tg_tensor_float(tg, t, i));
            if (x >= TG_FELT_LARGE && isfinite(x))
                return true;
        }
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            if (has_absorbing(tg, tg_node(g, n)->sub[s].graph))
                return true;
    return false;
}

double equiv_log2_sum(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);
    return high + log2(1 + exp2(low - high));
}

double equiv_chance(TgDegree a, TgDegree b, bool exponentials)
{
    TgDegree d = tg_degree_of_difference(a, b);
    double rational = d.over > 0 ? log2(d.over) - 62 : -1074;
    double terms = exponentials && d.terms_over > 0 ? d.terms_over - 61 : -1074;
    return fmin(0, equiv_log2_sum(rational, terms));
}

static bool same_shape(const TgArray *a, const TgArray *b)
{
    bool same = a->kind == b->kind && a->dtype == b->dtype && a->rank == b->rank;
    for (int32_t i = 0; same && i < a->rank; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

typedef enum { AGREES, DIFFERS, UNKNOWN } Finding;

/* Behind cuts the residues of exponents stand for any values: those of the values themselves decide. */
static bool same_element(TgFelt x, TgFelt y, bool cut)
{
    return cut ? tg_felt_key(x) == tg_felt_key(y) : tg_felt_equal(x, y);
}

/* Undefined on both sides agrees, but at least one element must say something. */
static Finding compare_arrays(const TgArray *a, const TgArray *b, bool cut, int64_t *element)
{
    *element = 0;
    if (!same_shape(a, b))
        return DIFFERS;
    if (a->kind != TG_TENSOR || a->dtype == TG_str)
        return UNKNOWN;
    bool real = tg_dtype_class(a->dtype) == TG_CLASS_F, telling = a->count == 0;
    for (int64_t i = 0; i < a->count; i++) {
        *element = i;
        if (!real && tg_array_int(a, i) != tg_array_int(b, i))
            return DIFFERS;
        if (!real) {
            telling = true;
            continue;
        }
        TgFelt x = ((const TgFelt *)a->data)[i], y = ((const TgFelt *)b->data)[i];
        if (!same_element(x, y, cut))
            return DIFFERS;
        telling |= TG_FELT_KIND(x) != TG_FELT_NAN;
    }
    return telling ? AGREES : UNKNOWN;
}

static Finding compare(Proof *p, const TgArray *a, const TgArray *b, uint32_t *output, int64_t *element)
{
    const TgField *f = p->s->field;
    const EquivCuts *cuts = p->s->cuts;
    p->chance = cuts ? cuts->chance : -1074;
    for (*output = 0; *output < p->s->p->a->graph->outputs.n; ++*output) {
        Finding found = compare_arrays(&a[*output], &b[*output], cuts != NULL, element);
        if (found == DIFFERS && (f->hashed || p->absorbs))
            return UNKNOWN;
        if (found != AGREES)
            return found;
        double chance = equiv_chance(a[*output].degree, b[*output].degree, f->exponentials);
        p->chance = cuts ? equiv_log2_sum(p->chance, chance) : fmax(p->chance, chance);
    }
    return AGREES;
}

/* Both graphs at the point at hand. *runs: a could be evaluated at these sizes. */
static EquivOutcome evaluate(Proof *p, const TgArray *in, bool *runs, bool *again)
{
    EquivSolve *s = p->s;
    TgGraph *a = s->p->a->graph, *b = s->p->b->graph;
    TgArray *x = NULL, *y = NULL;
    EquivOutcome o = {.verdict = TG_UNDECIDED, .why = "the field cannot tell"};
    uint32_t output;
    int64_t element;
    *runs = equiv_evaluate(s, a, TG_EVAL_FIELD, in, &x);
    if (s->cuts)
        s->cuts->second = true;
    if (*runs && equiv_evaluate(s, b, TG_EVAL_FIELD, in, &y)) {
        Finding found = compare(p, x, y, &output, &element);
        *again = found == DIFFERS && s->field->root_of_nonsquare;
        if (found == AGREES)
            o.verdict = TG_EQUAL;
        else if (found == DIFFERS && !*again)
            o = equiv_differs(s, output, NULL, NULL, element, "not equal in the finite field");
    }
    equiv_drop(s, x, a->outputs.n);
    equiv_drop(s, y, b->outputs.n);
    return o;
}

/* Again, round by round with deeper cuts. */
static EquivOutcome evaluate_cut(Proof *p, const TgArray *in)
{
    EquivCuts cuts;
    EquivOutcome o;
    bool runs, again;
    uint32_t round = 0;
    equiv_cuts_init(&cuts, p->s->arena);
    p->s->cuts = &cuts;
    do {
        equiv_cuts_begin(&cuts);
        o = evaluate(p, in, &runs, &again);
    } while (o.verdict == TG_UNDECIDED && ++round < ROUNDS && equiv_cuts_deepen(&cuts));
    p->s->cuts = NULL;
    if (!equiv_cuts_hold(&cuts))
        o.verdict = TG_UNDECIDED;
    return o;
}

static EquivOutcome evaluate_at(Proof *p, const TgArray *in, bool *runs, bool *again)
{
    EquivOutcome o = evaluate(p, in, runs, again);
    bool cut = *runs && o.verdict == TG_UNDECIDED && !*again && p->s->field->exponent_lost;
    return cut ? evaluate_cut(p, in) : o;
}

/* One point. *again: another point may tell more. */
static EquivOutcome draw(Proof *p, uint64_t seed, bool *runs, bool *again)
{
    EquivSolve *s = p->s;
    TgArray *in = NULL;
    EquivOutcome o = {.verdict = TG_UNDECIDED, .why = "the field cannot tell"};
    TgMark mark = tg_mark(s->arena);
    *again = false;
    tg_field_draw(s->field, seed);
    equiv_choose_sizes(s);
    *runs = equiv_make_inputs(s, TG_EVAL_FIELD, seed, &in);
    if (*runs)
        o = evaluate_at(p, in, runs, again);
    s->field->masks = p->absorbs;
    if (*runs && o.verdict == TG_UNDECIDED && !*again && p->absorbs)
        o = evaluate_at(p, in, runs, again);
    p->coarse |= s->field->coarse;
    equiv_drop(s, in, s->p->a->graph->inputs.n);
    tg_release(s->arena, mark);
    return o;
}

/* Points until one tells; each of them was a chance to agree. */
static EquivOutcome draw_until(Proof *p, uint64_t seed, bool *runs)
{
    EquivOutcome o;
    bool again = true;
    uint32_t points = 0;
    while (again && points < REDRAWS)
        o = draw(p, tg_mix(seed, points++), runs, &again);
    p->chance = fmin(0, p->chance + log2(points));
    return o;
}

/* Comparisons mean something on small integers only, and random residues are never equal: one point more. */
static EquivOutcome ties(Proof *p, EquivOutcome so_far)
{
    bool runs, again;
    p->s->cls = TG_IN_TIES;
    for (p->s->attempt = 0; p->s->attempt < EQUIV_ATTEMPTS; p->s->attempt++) {
        EquivOutcome o = draw(p, tg_mix(p->s->options->seed, 99), &runs, &again);
        if (runs)
            return o.verdict == TG_DIFFERENT ? o : so_far;
    }
    return so_far;
}

/* One at the second way of sizes; at the first so many that they say something. */
static bool wants_draw(const Proof *p, uint32_t drawn, uint32_t ways, uint32_t most)
{
    bool weak = drawn && p->bound > weakest && p->chance < 0;
    return drawn < (ways ? 1 : p->coarse && drawn ? COARSE : weak ? WEAK : most);
}

EquivOutcome equiv_prove(EquivSolve *s)
{
    Proof p = {.s = s};
    p.absorbs = has_absorbing(s->tg, s->p->a->graph) && has_absorbing(s->tg, s->p->b->graph);
    EquivOutcome o = {.verdict = TG_UNDECIDED, .why = "too much work for the field"};
    double work = equiv_work(s->p->a->graph) + equiv_work(s->p->b->graph);
    uint32_t most = work > heavy ? 1 : DRAWS, ways = 0;
    if (work > 30 * heavy)
        return o;
    s->cls = TG_IN_NORMAL;
    for (s->attempt = 0; s->attempt < EQUIV_ATTEMPTS && ways < 2 && !s->exhausted; s->attempt++) {
        bool runs = true;
        uint64_t seed = tg_mix(s->options->seed, s->attempt);
        for (uint32_t i = 0; runs && wants_draw(&p, i, ways, most); i++) {
            EquivOutcome now = draw_until(&p, tg_mix(seed, i), &runs);
            if (!runs)
                break;
            o = now;
            if (o.verdict != TG_EQUAL)
                return o;
            p.bound += ways ? 0 : p.chance;
        }
        ways += runs;
        if (work > heavy && ways)
            break;
    }
    if (o.verdict == TG_EQUAL && s->field->hashed)
        o = ties(&p, o);
    if (o.verdict == TG_EQUAL) {
        o.why = NULL;
        o.proved = !p.coarse && p.bound <= weakest;
        o.bound = o.proved ? p.bound : 0;
    }
    return o;
}
