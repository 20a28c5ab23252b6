/* One question: two graphs with paired inputs and outputs; do they compute the same?
 *
 * Both are run in float32 and float64 on the same inputs, of several classes and sizes. Differences that
 * come from rounding shrink by about 2^29 from one precision to the other; real ones do not. Equal: D64 <=
 * 2^-20 D32, or D64 <= 2^-48.
 *
 * Rounded constants. A rewritten weight is a recipe: it is expanded into nodes here, so that float64 sees it
 * unrounded. Where a constant of b was computed and rounded earlier, its rounding does not shrink; so a
 * difference is also excused when it is no larger than what b shows as its own constants, those that a
 * lacks, are moved by one unit in the last place. A wrong constant is thousands of units away.
 *
 * Stability: an error of b against float64 that is significant and more than 4 times that of a is a
 * difference as well.
 */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

/* --- making the two graphs ------------------------------------------------------------------------------ */

typedef struct {
    TgGraph *to;
    const TgGraph *from;
    TgValue *value; /* by value of `from` */
    TgMap tensors;  /* recipes that are expanded already */
    bool trust_shapes;
    EquivProblem *p;
} Extract;

static TgValue constant(Extract *x, const TgTensor *t, int depth);

/* The node that the recipe stands for. */
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

static TgValue constant(Extract *x, const TgTensor *t, int depth)
{
    enum { DEEPEST = 64 }; /* recipes within recipes; below that they are taken as rounded */
    uint64_t known;
    if (tg_map_get(&x->tensors, TG_KEY(t), &known))
        return (TgValue)known;
    bool nodes = t->payload == TG_RECIPE && depth < DEEPEST;
    TgValue v = nodes ? expand(x, t, depth) : tg_graph_const(x->to, t, NULL);
    tg_map_put(&x->tensors, TG_KEY(t), v);
    return v;
}

static TgValue operand(Extract *x, TgValue v)
{
    if (v && !x->value[v]) {
        const TgTensor *t = tg_value(x->from, v)->tensor;
        TG_CHECK(x->to->tg, t != NULL);
        x->value[v] = constant(x, t, 0);
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

/* Stands for a value of which only the shape is asked; gets a tensor when sizes are chosen. */
static TgValue dummy(Extract *x, TgValue v)
{
    static const int64_t none[16] = {0};
    static const uint8_t zero[16] = {0};
    const TgType *t = tg_type_of(x->from, v);
    EquivDummy d = {
        x->to, tg_graph_const(x->to, tg_tensor_splat(x->to->arena, t->dtype, t->rank, none, zero), NULL)};
    tg_value(x->to, d.v)->type = t;
    TG_PUSH(x->p->a->arena, &x->p->dummies, d);
    return d.v;
}

/* Which nodes the targets need when the values that are mapped already are given. */
static uint8_t *needed(Extract *x, const TgNode *order, uint32_t n, const TgValue *target, uint32_t n_targets)
{
    TgArena *arena = x->to->arena;
    uint8_t *wanted = tg_new(arena, x->from->values.n), *node = tg_new(arena, x->from->nodes.n);
    for (uint32_t i = 0; i < n_targets; i++)
        wanted[target[i]] = !x->value[target[i]];
    for (uint32_t i = n; i-- > 0;) {
        const TgNodeInfo *info = tg_node(x->from, order[i]);
        for (uint32_t k = 0; k < info->n_out; k++)
            node[order[i]] |= wanted[info->out[k]] && !x->value[info->out[k]];
        for (uint32_t k = 0; node[order[i]] && k < info->n_in; k++)
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

/* Cuts become inputs, typed and named as those of a; targets become outputs. */
static void extract(EquivProblem *p, TgGraph *a, TgGraph *g, const EquivPairs *cuts,
                    const EquivPairs *targets, bool trust_shapes)
{
    TgModel *m = a == g ? p->a : p->b;
    Extract x = {.to = m->graph,
                 .from = g,
                 .trust_shapes = trust_shapes,
                 .p = p,
                 .value = TG_NEW_N(m->arena, TgValue, g->values.n)};
    TgValue *target = TG_NEW_N(m->arena, TgValue, targets->n + 1u);
    tg_map_init(&x.tensors, m->arena);
    for (uint32_t i = 0; i < targets->n; i++)
        target[i] = side(targets->at[i], a != g);
    for (uint32_t i = 0; i < cuts->n; i++) {
        const TgValueInfo *like = tg_value(a, cuts->at[i].a);
        TgValue in = tg_graph_input(x.to, like->type, like->name), cut = side(cuts->at[i], a != g);
        tg_value(x.to, in)->initial = like->initial;
        if (cut)
            x.value[cut] = in;
    }
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    const uint8_t *node = needed(&x, order, n, target, targets->n);
    for (uint32_t i = 0; i < n; i++)
        if (node[order[i]])
            copy_node(&x, tg_node(g, order[i]));
    for (uint32_t i = 0; i < targets->n; i++)
        tg_graph_return(x.to, operand(&x, target[i]), tg_value(g, target[i])->name, NULL);
}

EquivProblem equiv_problem(TgGraph *a, TgGraph *b, const EquivPairs *cuts, const EquivPairs *targets,
                           bool trust_shapes)
{
    EquivProblem p = {.a = tg_model_new(a->tg), .b = tg_model_new(a->tg)};
    extract(&p, a, a, cuts, targets, trust_shapes);
    extract(&p, a, b, cuts, targets, trust_shapes);
    return p;
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

/* --- running -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    EquivProblem *p;
    const TgEquivOptions *options;
    TgEquivResult *result;
    EquivSizes sizes;
    uint32_t attempt;
    TgInputClass cls;
    TgArena *arena;
    TgName reason;    /* why the last run failed */
    bool unsupported; /* namely because nobody can run some operator */
} Solve;

typedef struct {
    Tg *tg;
    TgGraph *g;
    const TgEvalOptions *options;
    const TgArray *in;
    TgArray *out;
} Run;

static bool run_body(void *argument)
{
    Run *r = argument;
    return tg_eval(r->tg, r->g, r->options, r->in, r->out);
}

/* Attempts may fail: what they recorded is taken back, the last message stays as the reason. */
static bool attempt(Solve *s, bool ok, uint32_t diags)
{
    uint32_t n = tg_diag_count(s->tg);
    if (!ok && n > diags) {
        const TgDiag *d = tg_diag(s->tg, n - 1);
        s->unsupported = d->id == TG_E_not_evaluable || d->id == TG_E_no_definition;
        s->reason = d->place.op ? tg_name_format(s->tg, "%s: %s", d->place.op, d->message) : d->message;
    }
    tg_diag_forget(s->tg, diags);
    return ok;
}

static bool evaluate(Solve *s, TgGraph *g, TgEvalMode mode, const TgArray *in, TgArray **out)
{
    TgEvalOptions options = {.mode = mode, .threads = s->options->threads, .seed = s->options->seed};
    *out = TG_NEW_N(s->arena, TgArray, g->outputs.n + 1u);
    Run run = {s->tg, g, &options, in, *out};
    uint32_t diags = tg_diag_count(s->tg);
    return attempt(s, tg_protect(s->tg, run_body, &run), diags);
}

static void drop(Solve *s, TgArray *arrays, uint32_t n)
{
    for (uint32_t i = 0; arrays && i < n; i++)
        tg_array_drop(s->tg, &arrays[i]);
}

static bool inputs(Solve *s, TgEvalMode mode, TgArray **in)
{
    TgGraph *g = s->p->a->graph;
    uint32_t diags = tg_diag_count(s->tg);
    *in = TG_NEW_N(s->arena, TgArray, g->inputs.n + 1u);
    bool ok = equiv_inputs(s->tg, g, &s->sizes, mode, s->attempt, s->options->seed + s->cls, s->cls, *in);
    return attempt(s, ok, diags);
}

/* --- judging -------------------------------------------------------------------------------------------- */

static TgName sizes_text(Solve *s)
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

static TgName output_name(const Solve *s, uint32_t output)
{
    TgName name = s->p->a->graph->outputs.at[output].name;
    return name ? name : "nameless";
}

/* "'y' element [0,3]: 1.25 against 1.5, why (seed 7, batch=2)" */
static EquivOutcome differs(Solve *s, uint32_t output, const EquivQuad *q, int64_t element, const char *why)
{
    TgText text;
    tg_text_init(&text, s->arena);
    tg_text_format(&text, "'%s'", output_name(s, output));
    bool both = q->a64->kind == TG_TENSOR && q->b64->kind == TG_TENSOR && element < q->a64->count &&
                element < q->b64->count && q->a64->dtype != TG_str &&
                tg_dtype_class(q->a64->dtype) != TG_CLASS_C;
    if (both) {
        bool real = tg_is_float(q->a64->dtype);
        tg_text_add(&text, " element ");
        index_text(&text, q->a64, element);
        tg_text_format(
            &text, ": %.9g against %.9g",
            real ? tg_array_float(TG_EVAL_F64, q->a64, element) : (double)tg_array_int(q->a64, element),
            real ? tg_array_float(TG_EVAL_F64, q->b64, element) : (double)tg_array_int(q->b64, element));
    }
    tg_text_format(&text, "%s %s (%s)", both ? "," : ":", why, sizes_text(s));
    return (EquivOutcome){TG_DIFFERENT, tg_name_n(s->tg, text.at, text.n), output_name(s, output)};
}

static bool is_rounding(const EquivMeasure *m)
{
    return m->d64 <= ldexp(1, -48) || m->d64 <= ldexp(m->d32, -20);
}

/* b is far less exact than a: not for denormal inputs, where relative errors mean little. */
static bool is_unstable(const Solve *s, const EquivMeasure *m)
{
    double floor_a = m->err_a > ldexp(1, -22) ? m->err_a : ldexp(1, -22);
    return s->cls != TG_IN_TINY && m->err_b > 1e-3 && m->err_b > 4 * floor_a;
}

/* --- excuse: constants that were rounded earlier -------------------------------------------------------- */

/* Bodies are looked into as well; their nesting is bounded by the readers. */
static bool has_tensor(Tg *tg, const TgGraph *g, const TgTensor *t)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgTensor *other = tg_value(g, v)->tensor;
        if (other == t || (other && other->count == t->count && other->payload != TG_RECIPE &&
                           tg_tensor_equal(tg, other, t)))
            return true;
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            if (has_tensor(tg, tg_node(g, n)->sub[s].graph, t))
                return true;
    return false;
}

/* Each element one unit in the last place up or down, by chance. */
static const TgTensor *moved(TgArena *arena, const TgTensor *t, uint64_t seed)
{
    void *data;
    const TgTensor *from = tg_tensor_materialize(arena, t);
    TgTensor *to = from ? tg_tensor_blank(arena, t->dtype, t->rank, t->dim, &data) : NULL;
    if (!to)
        return t;
    uint8_t *bytes = data;
    size_t width = tg_dtype_bits(t->dtype) / 8;
    memcpy(bytes, from->bytes, to->size);
    for (size_t i = 0; i < to->count; i++) { /* numbers of a sign are ordered as their bits are */
        uint64_t bits = 0;
        memcpy(&bits, bytes + i * width, width);
        uint64_t magnitude = bits & (((uint64_t)1 << (8 * width - 1)) - 1);
        if (magnitude)
            bits = tg_mix(seed, i) & 1 << 7 ? bits + 1 : bits - 1;
        if (magnitude && isfinite(tg_load_float(t->dtype, &bits, 0)))
            memcpy(bytes + i * width, &bits, width);
    }
    return to;
}

typedef struct {
    TgValueInfo *value;
    const TgTensor *tensor;
} Saved;

typedef struct {
    Solve *s;
    TgArena *arena;
    uint64_t seed;
    TG_VEC(Saved)
    saved;
} Move;

static void move_constants(Move *m, TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        TgValueInfo *info = tg_value(g, v);
        const TgTensor *t = info->origin == TG_V_CONST ? info->tensor : NULL;
        if (!t || !tg_is_float(t->dtype) || tg_dtype_bits(t->dtype) < 16)
            continue;
        if (has_tensor(m->s->tg, m->s->p->a->graph, t))
            continue;
        Saved before = {info, t};
        TG_PUSH(m->arena, &m->saved, before);
        info->tensor = moved(m->arena, t, tg_mix(m->seed, v));
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            move_constants(m, tg_node(g, n)->sub[s].graph);
}

/* How far output `output` of b goes when its own constants move. */
static double sensitivity(Solve *s, const TgArray *in, uint32_t output, const TgArray *b64, uint64_t seed)
{
    TgGraph *g = s->p->b->graph;
    Move m = {.s = s, .arena = tg_arena_new(s->tg), .seed = seed};
    TgArray *out;
    double distance = 0;
    move_constants(&m, g);
    if (m.saved.n && evaluate(s, g, TG_EVAL_F64, in, &out)) {
        distance = equiv_distance(b64, &out[output]);
        drop(s, out, g->outputs.n);
    }
    while (m.saved.n-- > 0)
        m.saved.at[m.saved.n].value->tensor = m.saved.at[m.saved.n].tensor;
    tg_arena_free(m.arena);
    return distance;
}

/* One way to move them may cancel out by chance, several hardly. */
static bool is_excused(Solve *s, const EquivMeasure *m, const TgArray *in, uint32_t output,
                       const TgArray *b64)
{
    enum { WAYS = 4 };
    for (uint64_t seed = 0; seed < WAYS; seed++)
        if (m->d64 <= 4 * sensitivity(s, in, output, b64, seed))
            return true;
    return false;
}

/* --- one draw ------------------------------------------------------------------------------------------- */

typedef struct {
    TgArray *in32, *in64, *a32, *a64, *b32, *b64;
} Draw;

static EquivOutcome judge(Solve *s, const Draw *d)
{
    TgEquivResult *r = s->result;
    for (uint32_t i = 0; i < s->p->a->graph->outputs.n; i++) {
        EquivQuad q = {&d->a32[i], &d->a64[i], &d->b32[i], &d->b64[i]};
        EquivMeasure m = equiv_measure(&q);
        if (m.broken)
            return differs(s, i, &q, m.element, m.broken);
        if (!is_rounding(&m) && !is_excused(s, &m, d->in64, i, &d->b64[i]))
            return differs(s, i, &q, m.element, "which rounding does not explain");
        if (is_unstable(s, &m))
            return differs(s, i, &q, m.element, "an error in float32 more than 4 times that of the source");
        double amplification = m.err_a > 0 ? m.err_b / m.err_a : 1;
        if (m.d32 > r->worst32)
            r->worst32 = m.d32;
        if (m.d64 > r->worst64)
            r->worst64 = m.d64;
        if (m.err_b > ldexp(1, -20) && amplification > r->amplification)
            r->amplification = amplification;
    }
    return (EquivOutcome){.verdict = TG_EQUAL};
}

/* a must run; that b then does not is a difference, unless b has an operator that nobody can run. */
static EquivOutcome draw(Solve *s)
{
    TgGraph *a = s->p->a->graph, *b = s->p->b->graph;
    Draw d = {0};
    EquivOutcome o = {.verdict = TG_UNDECIDED};
    TgMark mark = tg_mark(s->arena);
    equiv_sizes(s->arena, a, &s->p->dummies, s->attempt, s->options->seed, &s->sizes);
    equiv_dummies(s->arena, &s->p->dummies, &s->sizes);
    bool runs = inputs(s, TG_EVAL_F32, &d.in32) && inputs(s, TG_EVAL_F64, &d.in64) &&
                evaluate(s, a, TG_EVAL_F32, d.in32, &d.a32) && evaluate(s, a, TG_EVAL_F64, d.in64, &d.a64);
    if (!runs) {
        o.why = s->reason;
    } else if (evaluate(s, b, TG_EVAL_F32, d.in32, &d.b32) && evaluate(s, b, TG_EVAL_F64, d.in64, &d.b64)) {
        o = judge(s, &d);
    } else if (s->unsupported) {
        o.why = s->reason;
    } else {
        o = (EquivOutcome){
            TG_DIFFERENT,
            tg_name_format(s->tg, "only the second one fails: %s (%s)", s->reason, sizes_text(s)), NULL};
    }
    drop(s, d.in32, a->inputs.n);
    drop(s, d.in64, a->inputs.n);
    drop(s, d.a32, a->outputs.n);
    drop(s, d.a64, a->outputs.n);
    drop(s, d.b32, b->outputs.n);
    drop(s, d.b64, b->outputs.n);
    s->sizes = (EquivSizes){0};
    tg_release(s->arena, mark);
    return o;
}

/* --- all draws ------------------------------------------------------------------------------------------ */

static const TgInputClass classes[] = {TG_IN_NORMAL, TG_IN_NORMAL, TG_IN_POSITIVE, TG_IN_SHIFTED,
                                       TG_IN_LARGE,  TG_IN_ZERO,   TG_IN_TINY,     TG_IN_TIES};
enum { DRAWS = sizeof classes / sizeof *classes };

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

/* The work of all draws is about the same: large problems are drawn less often. */
static uint32_t draws_for(const Solve *s)
{
    static const double work = 6e7, per_input = 40; /* making a random number, twice */
    if (s->options->draws)
        return s->options->draws;
    double n = work / (1 + equiv_work(s->p->a->graph) + equiv_work(s->p->b->graph) +
                       per_input * input_elements(s->p->a->graph));
    return n >= DRAWS ? DRAWS : n < 1 ? 1 : (uint32_t)n;
}

/* The first way from `from` on to choose sizes with which a runs; its draw has been made. */
static EquivOutcome first_that_runs(Solve *s, uint32_t from)
{
    EquivOutcome o = {.verdict = TG_UNDECIDED};
    for (s->attempt = from; s->attempt < EQUIV_ATTEMPTS && o.verdict == TG_UNDECIDED; s->attempt++)
        o = draw(s);
    if (o.verdict != TG_UNDECIDED)
        s->attempt--;
    return o;
}

EquivOutcome equiv_solve(Tg *tg, EquivProblem *p, const TgEquivOptions *options, TgEquivResult *result)
{
    Solve s = {.tg = tg, .p = p, .options = options, .result = result, .arena = tg_arena_new(tg)};
    uint32_t n = draws_for(&s), good[2] = {0};
    s.reason = "no reason given";
    EquivOutcome o = {.verdict = TG_EQUAL};
    for (uint32_t i = 0; i < n && o.verdict == TG_EQUAL; i++) {
        s.cls = classes[i % DRAWS];
        if (i < 2) {
            o = first_that_runs(&s, i ? good[0] + 1 : 0);
            good[i] = o.verdict == TG_UNDECIDED ? good[0] : s.attempt;
            if (i && o.verdict == TG_UNDECIDED)
                o.verdict = TG_EQUAL; /* only one way of sizes runs: then that one */
        } else {
            s.attempt = good[i % 2];
            o = draw(&s);
            if (o.verdict == TG_UNDECIDED)
                o.verdict = TG_EQUAL; /* these values do not suit the model */
        }
        result->draws++;
    }
    tg_arena_free(s.arena);
    return o;
}
