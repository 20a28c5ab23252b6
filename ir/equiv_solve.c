/* One question: two graphs with paired inputs and outputs; do they compute the same?
 *
 * It is asked in the finite field and in two precisions. The field proves what is equal over the reals by
 * laws that it knows, and does not see rounding, overflow or infinities; the floats see these, and not what
 * lies below their floor or needs inputs that nobody drew. Equal is what neither finds different; a
 * difference in the field alone counts unless b has constants that were rounded earlier.
 */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

/* Something that may take too much memory, and then unwinds. */
typedef struct {
    EquivSolve *s;
    TgGraph *g;
    TgEvalMode mode;
    uint64_t seed;
    const TgArray *in;
    TgArray *out;
    bool ended; /* not unwound */
} Run;

/* Attempts may fail: what they recorded is taken back, the last message stays as the reason. */
static bool attempt(EquivSolve *s, bool ok, uint32_t diags)
{
    uint32_t n = tg_diag_count(s->tg);
    if (!ok && n > diags) {
        const TgDiag *d = tg_diag(s->tg, n - 1);
        s->exhausted = tg_diag_exit_code_of(d->id) == TG_EXIT_LIMIT;
        s->unsupported = d->id == TG_E_not_evaluable || d->id == TG_E_no_definition || s->exhausted;
        s->reason = d->place.op ? tg_name_format(s->tg, "%s: %s", d->place.op, d->message) : d->message;
    }
    tg_diag_forget(s->tg, diags);
    return ok;
}

static bool guarded(Run *r, uint32_t n_out, bool (*body)(void *run))
{
    EquivSolve *s = r->s;
    uint32_t diags = tg_diag_count(s->tg);
    r->out = TG_NEW_N(s->arena, TgArray, n_out + 1u);
    size_t former = tg_allow(s->tg, TG_LIMIT_eval, s->allowance);
    bool ok = tg_protect(s->tg, body, r);
    tg_allow(s->tg, TG_LIMIT_eval, former);
    if (!r->ended) /* what they held is freed */
        memset(r->out, 0, n_out * sizeof *r->out);
    return attempt(s, ok, diags);
}

static bool run_body(void *argument)
{
    Run *r = argument;
    const TgEquivOptions *o = r->s->options;
    uint64_t operations = o->most_operations ? o->most_operations : tg_limit(r->s->tg, TG_LIMIT_work);
    TgEvalOptions options = {.mode = r->mode,
                             .threads = o->threads,
                             .seed = o->seed,
                             .field = r->s->field,
                             .max_flops = (double)operations,
                             .max_steps = tg_limit(r->s->tg, TG_LIMIT_steps),
                             .watch = r->s->cuts ? equiv_cuts_watch : r->s->watch,
                             .user = r->s->cuts ? r->s->cuts : r->s->user};
    bool ok = tg_evaluator_run(r->s->evaluator, r->g, &options, r->in, r->out);
    r->ended = true;
    return ok;
}

bool equiv_evaluate(EquivSolve *s, TgGraph *g, TgEvalMode mode, const TgArray *in, TgArray **out)
{
    Run run = {.s = s, .g = g, .mode = mode, .in = in};
    bool ok = guarded(&run, g->outputs.n, run_body);
    *out = run.out;
    if (!run.ended) {
        tg_evaluator_abandon(s->evaluator);
        s->evaluator = tg_evaluator_new(s->tg);
    }
    return ok;
}

void equiv_drop(EquivSolve *s, TgArray *arrays, uint32_t n)
{
    for (uint32_t i = 0; arrays && i < n; i++)
        tg_array_drop(s->tg, &arrays[i]);
}

void equiv_choose_sizes(EquivSolve *s)
{
    s->sizes = (EquivSizes){0};
    equiv_sizes(s->arena, s->p->a->graph, &s->p->dummies, s->attempt, s->options->seed, &s->sizes);
    if (s->empty && s->empty <= s->sizes.n)
        s->sizes.at[s->empty - 1].n = 0;
    equiv_dummies(s->arena, &s->p->dummies, &s->sizes);
}

static bool inputs_body(void *argument)
{
    Run *r = argument;
    EquivSolve *s = r->s;
    bool ok = equiv_inputs(s->tg, r->g, &s->sizes, r->mode, s->attempt, r->seed, s->cls, r->out);
    r->ended = true;
    return ok;
}

bool equiv_make_inputs(EquivSolve *s, TgEvalMode mode, uint64_t seed, TgArray **in)
{
    Run run = {.s = s, .g = s->p->a->graph, .mode = mode, .seed = seed};
    bool ok = guarded(&run, run.g->inputs.n, inputs_body);
    *in = run.out;
    return ok;
}

/* --- words ---------------------------------------------------------------------------------------------- */

static TgName sizes_text(EquivSolve *s)
{
    TgText text;
    tg_text_init(&text, s->arena);
    tg_text_format(&text, "seed %llu", (unsigned long long)s->options->seed);
    for (uint32_t i = 0; i < s->sizes.n; i++)
        tg_text_format(&text, ", %s=%lld", tg_dim_text(s->tg, s->sizes.at[i].symbol),
                       (long long)s->sizes.at[i].n);
    return tg_name_n(s->tg, text.at, text.n);
}

static void index_text(TgText *text, const TgArray *a, int64_t element)
{
    int64_t at[16];
    for (int32_t i = a->rank; i-- > 0; element /= a->dim[i] ? a->dim[i] : 1)
        at[i] = element % (a->dim[i] ? a->dim[i] : 1);
    tg_text_add(text, "[");
    for (int32_t i = 0; i < a->rank; i++)
        tg_text_format(text, "%s%lld", i ? "," : "", (long long)at[i]);
    tg_text_add(text, "]");
}

static TgName output_name(const EquivSolve *s, uint32_t output)
{
    TgName name = s->p->a->graph->outputs.at[output].name;
    return name ? name : "nameless";
}

static double number_at(TgEvalMode mode, const TgArray *a, int64_t element)
{
    return tg_is_float(a->dtype) ? tg_array_float(mode, a, element) : (double)tg_array_int(a, element);
}

bool equiv_element_text(const EquivSolve *s, TgText *text, TgEvalMode mode, uint32_t output, const TgArray *a,
                        const TgArray *b, int64_t element)
{
    tg_text_format(text, "'%s'", output_name(s, output));
    bool both = a && b && a->kind == TG_TENSOR && b->kind == TG_TENSOR && element < a->count &&
                element < b->count && a->dtype != TG_str && tg_dtype_class(a->dtype) != TG_CLASS_C;
    if (!both)
        return false;
    tg_text_add(text, " element ");
    index_text(text, a, element);
    tg_text_format(text, ": %.9g against %.9g", number_at(mode, a, element), number_at(mode, b, element));
    return true;
}

/* "'y' element [0,3]: 1.25 against 1.5, why (seed 7, batch=2)"; a and b are float64 results, or NULL. */
EquivOutcome equiv_differs(EquivSolve *s, uint32_t output, const TgArray *a, const TgArray *b,
                           int64_t element, const char *why)
{
    TgText text;
    tg_text_init(&text, s->arena);
    bool both = equiv_element_text(s, &text, TG_EVAL_F64, output, a, b, element);
    tg_text_format(&text, "%s %s (%s)", both ? "," : ":", why, sizes_text(s));
    return (EquivOutcome){
        .verdict = TG_DIFFERENT, .why = tg_name_n(s->tg, text.at, text.n), .where = output_name(s, output)};
}

EquivOutcome equiv_only_second_fails(EquivSolve *s)
{
    if (s->unsupported)
        return (EquivOutcome){.verdict = TG_UNDECIDED, .why = s->reason};
    TgName why = tg_name_format(s->tg, "only the second one fails: %s (%s)", s->reason, sizes_text(s));
    return (EquivOutcome){.verdict = TG_DIFFERENT, .why = why};
}

/* --- all draws ------------------------------------------------------------------------------------------ */

static const TgInputClass classes[] = {TG_IN_NORMAL, TG_IN_NORMAL, TG_IN_POSITIVE, TG_IN_SHIFTED, TG_IN_LARGE,
                                       TG_IN_ZERO,   TG_IN_TINY,   TG_IN_TIES,     TG_IN_FAR,     TG_IN_ODD,
                                       TG_IN_HIDDEN};
/* Ways of sizes that are tried whether others run or not, see equiv_input.c: all one, all the same, an
 * empty past. */
static const uint32_t special[] = {3, 2, 5};
enum {
    DRAWS = sizeof classes / sizeof *classes,
    SPECIAL = sizeof special / sizeof *special,
    EMPTIES = 8 /* sizes that are tried as zero */
};

static double input_elements(const TgGraph *g)
{
    double sum = 0;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        int64_t n;
        if (tg_type_numel(tg_type_of(g, g->inputs.at[i]), &n))
            sum += (double)n;
    }
    return sum;
}

static double draw_work(const EquivSolve *s)
{
    static const double per_input = 40; /* making a random number, twice */
    TgGraph *a = s->p->a->graph, *b = s->p->b->graph;
    return 1 + equiv_work(a) + equiv_work(b) + per_input * input_elements(a);
}

/* The work of all draws is about the same: large problems are drawn less often. */
static uint32_t draws_for(const EquivSolve *s)
{
    static const double work = 6e7;
    if (s->options->draws)
        return s->options->draws;
    double n = work / draw_work(s), most = (double)(s->options->rewrite ? DRAWS : DRAWS - 1);
    return (uint32_t)fmin(fmax(n, 1), most);
}

static double question_work(const EquivSolve *s)
{
    enum { PROOF = 8 }; /* draws in floats that take as long, more or less */
    uint32_t floats = s->options->check != TG_CHECK_FIELD ? draws_for(s) : 0;
    uint32_t proof = s->options->check != TG_CHECK_FLOATS ? PROOF : 0;
    return (floats + proof) * draw_work(s);
}

/* Thousands of different questions, each of them fair: what they take together is bounded as well. */
bool equiv_is_spent(Tg *tg, const TgEquivOptions *options, const TgEquivResult *result, EquivOutcome *o)
{
    static const double questions = 2; /* of the largest kind */
    uint64_t most = options->most_operations ? options->most_operations : tg_limit(tg, TG_LIMIT_work);
    *o = (EquivOutcome){.verdict = TG_UNDECIDED,
                        .why = "the questions before took all that may be spent; --limit work=N allows more"};
    return result->work > questions * (double)most;
}

/* The first way from `from` on to choose sizes with which a runs; its draw has been made. */
static EquivOutcome first_that_runs(EquivSolve *s, uint32_t from, bool *excused)
{
    EquivOutcome o = {.verdict = TG_UNDECIDED, .why = "no sizes were found with which it runs"};
    s->exhausted = false;
    for (s->attempt = from; s->attempt < EQUIV_ATTEMPTS && !s->exhausted; s->attempt++) {
        o = equiv_draw_floats(s, excused);
        if (o.verdict != TG_UNDECIDED)
            break;
    }
    return o;
}

/* Each size by itself as zero, the others as in that way. What the first one does not take, or what leaves it without
 * results, tells nothing. Not of whole models: over no keys at all two exports of one may differ (0/0 against 0). */
static EquivOutcome compare_empty(EquivSolve *s, uint32_t way, bool *excused)
{
    EquivOutcome o = {.verdict = TG_EQUAL};
    s->cls = TG_IN_NORMAL;
    s->attempt = way;
    for (s->empty = 1; s->empty <= s->sizes.n && s->empty <= EMPTIES && o.verdict == TG_EQUAL; s->empty++) {
        o = equiv_draw_floats(s, excused);
        if (o.verdict == TG_UNDECIDED)
            o.verdict = TG_EQUAL;
        s->result->draws++;
    }
    s->empty = 0;
    return o;
}

/* Draws at two ways of sizes, where there are two; every class of inputs. good: the ways. */
static EquivOutcome compare_floats(EquivSolve *s, bool *excused)
{
    uint32_t n = draws_for(s), good[2] = {0};
    EquivOutcome o = {.verdict = TG_EQUAL};
    for (uint32_t i = 0; i < n && o.verdict == TG_EQUAL; i++) {
        s->cls = classes[i % DRAWS];
        if (i < 2) {
            o = first_that_runs(s, i ? good[0] + 1 : 0, excused);
            good[i] = o.verdict == TG_UNDECIDED ? good[0] : s->attempt;
            if (i && o.verdict == TG_UNDECIDED)
                o.verdict = TG_EQUAL; /* only one way of sizes runs: then that one */
        } else {
            s->attempt = i - 2 < SPECIAL ? special[i - 2] : good[i % 2];
            o = equiv_draw_floats(s, excused);
            if (o.verdict == TG_UNDECIDED)
                o.verdict = TG_EQUAL; /* these values do not suit the model */
        }
        s->result->draws++;
    }
    return o.verdict == TG_EQUAL && n >= DRAWS && s->options->rewrite ? compare_empty(s, good[0], excused) : o;
}

/* --- both checks ---------------------------------------------------------------------------------------- */

static EquivOutcome both(const EquivOutcome *proof, const EquivOutcome *floats, bool excused)
{
    if (floats->verdict == TG_DIFFERENT)
        return *floats;
    if (proof->verdict == TG_DIFFERENT && !excused)
        return *proof;
    EquivOutcome o = proof->verdict == TG_EQUAL ? *proof : *floats;
    o.proved = proof->verdict == TG_EQUAL && proof->proved;
    return o;
}

EquivOutcome equiv_solve(Tg *tg, EquivProblem *p, const TgEquivOptions *options, TgEquivResult *result)
{
    TgField field;
    EquivSolve s = {.tg = tg, .p = p, .options = options, .result = result};
    result->work += question_work(&s);
    s.arena = tg_arena_new(tg);
    s.reason = "no reason given";
    s.field = &field;
    s.evaluator = tg_evaluator_new(tg);
    s.no_excuse = equiv_same_structure(p);
    s.allowance = tg_allowance(tg, options->most_bytes ? options->most_bytes : tg_limit(tg, TG_LIMIT_eval));
    EquivOutcome proof = {.verdict = TG_UNDECIDED}, floats = {.verdict = TG_UNDECIDED};
    bool excused = false;
    if (options->check != TG_CHECK_FLOATS)
        proof = equiv_prove(&s);
    if (options->check != TG_CHECK_FIELD)
        floats = compare_floats(&s, &excused);
    bool unproved =
        options->check == TG_CHECK_BOTH && proof.verdict != TG_EQUAL && floats.verdict == TG_EQUAL;
    TgEquivOptions other = *options;
    other.seed = tg_mix(options->seed,
                        1); /* where only floats vouch, they do so twice: few inputs may have been lucky */
    s.options = &other;
    if (unproved)
        floats = compare_floats(&s, &excused);
    tg_evaluator_drop(s.evaluator);
    tg_arena_free(s.arena);
    return options->check == TG_CHECK_FIELD    ? proof
           : options->check == TG_CHECK_FLOATS ? floats
                                               : both(&proof, &floats, excused);
}
