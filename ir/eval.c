/* The evaluator's driver: runs graphs and nodes, finds the kernel of each operator, keeps arrays alive as
 * long as they are read, and expands composite operators.
 *
 * A graph is planned once per run: which nodes matter, in which order, and how often each value is read. A
 * frame holds the arrays of one execution of a plan; an array is dropped after its last reader. Constants
 * are made at first use; those of bodies and definitions, which run again, stay in the plan.
 *
 * A composite operator is run by its definition (eval_definition.c), a graph like any other.
 *
 * Number types: a node computes in one (float or double); TG_EVAL_NATIVE takes double where float64 is
 * involved, and the driver converts what does not fit. Rounding and wrapping to the element type happen
 * here, after the kernel.
 *
 * Nesting of subgraphs and definitions is bounded (MAX_DEPTH); nothing recurses on the size of a graph.
 */
#include <string.h>

#include "eval_definition.h"
#include "eval_kernel.h"

enum { MAX_DEPTH = 120 /* of subgraphs and definitions within each other */ };

typedef struct {
    TgGraph *g;
    const TgNode *order; /* nodes that some output needs */
    uint32_t n;
    uint32_t *reads; /* by value: how often it is read, the outputs of the graph included */
    bool again;      /* a body or definition, which runs many times: its constants stay */
    TgArray *kept[TG_EVAL_MODES]; /* by mode, then by value: these; made on demand */
} Plan;

struct TgRun {
    Tg *tg;
    const TgEvalOptions *options;
    TgArena *arena;
    TgMap plans; /* TgGraph * -> Plan * */
    EvalDefinitions definitions;
    TG_VEC(Plan *) keepers; /* plans that hold constants */
    double flops;
    uint64_t steps; /* nodes run in rounds of Loop and Scan */
    uint32_t depth;
};

typedef bool (*Kernel)(TgEvalCall *);

#define TG_KERNEL_PRIMITIVE(id, kernel) [TG_##id] = eval_##kernel,
#define TG_KERNEL_COMPOSITE(id, kernel)
#define TG_KERNEL_KEPT(id, kernel)
#define OP(id, name, domain, since, in_min, in_max, out_min, out_max, tier, infer, cost, kernel, ...)        \
    TG_KERNEL_##tier(id, kernel)
static const Kernel kernels[TG_OP_COUNT] = {
#include "ops.def"
};
#undef OP

static bool run_graph(TgRun *run, TgGraph *g, const TgArray *const *in, const TgArray *const *captured,
                      TgArray *out);

bool eval_spend(TgEvalCall *c, double flops)
{
    double limit = c->run->options->max_flops;
    c->run->flops += flops;
    return limit <= 0 || c->run->flops <= limit || tg_report(c->tg, TG_E_too_costly, limit);
}

bool eval_round(TgEvalCall *c, const TgGraph *body)
{
    uint64_t limit = c->run->options->max_steps;
    c->run->steps += body->nodes.n;
    return !limit || c->run->steps <= limit || tg_within(c->tg, TG_LIMIT_steps, c->run->steps);
}

/* --- one node with a kernel ----------------------------------------------------------------------------- */

static bool is_wide(TgDtype t)
{
    return t == TG_f64 || t == TG_c128;
}

/* The node reads or makes float64: an operand is, or an attribute says so. */
static bool involves_f64(const TgNodeInfo *n, const TgArray *const *in)
{
    static const char *const type_attrs[] = {"to", "dtype", "output_dtype", "output_datatype"};
    for (uint32_t i = 0; i < n->n_in; i++)
        if (in[i] && is_wide(in[i]->dtype))
            return true;
    for (size_t i = 0; i < sizeof type_attrs / sizeof *type_attrs; i++) {
        const TgAttr *a = tg_attr_find(n->attrs, type_attrs[i]);
        if (a && a->kind == TG_A_INT && is_wide((TgDtype)a->u.i))
            return true;
    }
    const TgAttr *value = tg_attr_find(n->attrs, "value");
    return value && value->kind == TG_A_TENSOR && is_wide(value->u.tensors[0]->dtype);
}

static void drop_all(Tg *tg, TgArray *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tg_array_drop(tg, &a[i]);
}

/* Calls the kernel with operands in the number type `inner` and brings its results to the mode of the run. */
static bool call_converted(TgEvalCall *c, Kernel kernel, TgEvalMode outer)
{
    const TgArray *const *in = c->in;
    TgArray *made = TG_NEW_N(tg_scratch(c->tg), TgArray, c->n->n_in + 1);
    const TgArray **fit = TG_NEW_N(tg_scratch(c->tg), const TgArray *, c->n->n_in + 1);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (in[i]) {
            made[i] = eval_convert(c->tg, in[i], outer, c->mode);
            fit[i] = &made[i];
        }
    c->in = fit;
    bool ok = kernel(c);
    drop_all(c->tg, made, c->n->n_in);
    for (uint32_t i = 0; ok && i < c->n->n_out; i++) {
        if (!(tg_op_info(c->n->op)->traits & TG_T_MOVES))
            eval_finish(outer, c->mode, &c->out[i]);
        TgArray b = eval_convert(c->tg, &c->out[i], c->mode, outer);
        tg_array_drop(c->tg, &c->out[i]);
        c->out[i] = b;
    }
    return ok;
}

static bool run_kernel(TgRun *run, const TgGraph *g, const TgNodeInfo *n, const TgArray *const *in,
                       TgArray *out)
{
    TgEvalMode outer = run->options->mode;
    uint32_t room = n->n_out > TG_EVAL_OUTS ? n->n_out : TG_EVAL_OUTS;
    TgEvalCall c = {.tg = run->tg, .n = n, .g = g, .in = in, .mode = outer, .run = run};
    c.out = TG_NEW_N(tg_scratch(run->tg), TgArray, room);
    c.threads = run->options->threads ? run->options->threads : 1;
    c.seed = tg_mix(run->options->seed, n->out ? n->out[0] : 0);
    c.field = run->options->field;
    TgDtype fits = outer != TG_EVAL_NATIVE ? eval_fitting_type(&c) : TG_undefined;
    const char *odd = tg_node_odd_dtype(n);
    bool ok;
    if (odd)
        return tg_report(run->tg, TG_E_infer_odd_dtype, odd);
    if (tg_op_has(n->op, TG_T_CONTROL)) {
        ok = kernels[n->op](&c); /* passes arrays on as they are */
    } else if (outer == TG_EVAL_FIELD) {
        ok = eval_in_field(&c, n->op == TG_Softmax ? eval_field_softmax : kernels[n->op]);
        for (uint32_t i = 0; ok && i < n->n_out; i++)
            eval_finish(outer, outer, &c.out[i]);
    } else {
        if (outer == TG_EVAL_NATIVE)
            c.mode = involves_f64(n, in) ? TG_EVAL_F64 : TG_EVAL_F32;
        ok = call_converted(&c, kernels[n->op], outer);
    }
    for (uint32_t i = 0; ok && fits && i < n->n_out; i++)
        c.out[i].fits = fits;
    if (ok)
        memcpy(out, c.out, n->n_out * sizeof *out);
    drop_all(run->tg, ok ? c.out + n->n_out : c.out, ok ? room - n->n_out : room);
    return ok;
}

/* --- composite operators -------------------------------------------------------------------------------- */

/* A result that is a constant of the definition would die with it: it becomes a copy of its own. */
static void detach(TgRun *run, TgArray *a)
{
    if (a->kind != TG_TENSOR || a->owners)
        return;
    TgArray own = tg_array_new(run->tg, run->options->mode, a->dtype, a->rank, a->dim);
    memcpy(own.data, a->data, (size_t)a->count * tg_array_element(run->options->mode, a->dtype));
    *a = own;
}

static bool run_composite(TgRun *run, const TgGraph *g, const TgNodeInfo *n, const TgArray *const *in,
                          TgArray *out)
{
    const EvalDefinition *d = eval_definition_of(&run->definitions, run->options->mode, g, n, in);
    if (!d)
        return false;
    const TgArray **feed = TG_NEW_N(tg_scratch(run->tg), const TgArray *, d->n_feed + 1);
    for (uint32_t i = 0; i < d->n_feed; i++)
        feed[i] = in[d->feed[i]];
    if (!run_graph(run, d->model->graph, feed, NULL, out))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        detach(run, &out[i]);
    return true;
}

/* --- any node ------------------------------------------------------------------------------------------- */

static TgName op_name(Tg *tg, const TgNodeInfo *n)
{
    return n->op == TG_opaque ? n->op_name : tg_op_text(tg, n->op);
}

static bool takes_sequences(TgOp op)
{
    switch (op) {
    case TG_Identity:
    case TG_SequenceAt:
    case TG_SequenceInsert:
    case TG_SequenceErase:
    case TG_SequenceLength:
    case TG_ConcatFromSequence:
    case TG_Optional:
    case TG_OptionalGetElement:
    case TG_OptionalHasElement: return true;
    default: return tg_op_has(op, TG_T_CONTROL);
    }
}

/* What the operator cannot do without is there. (Control flow and composites have holes of their own.) */
static bool operands_given(TgRun *run, const TgNodeInfo *n, const TgArray *const *in)
{
    const TgOpInfo *info = tg_op_info(n->op);
    bool holes = info->tier == TG_COMPOSITE || tg_op_has(n->op, TG_T_CONTROL);
    uint32_t needed = info->in_max == TG_MANY && n->n_in > info->in_min ? n->n_in : info->in_min;
    for (uint32_t i = 0; i < needed; i++)
        if (i >= n->n_in || (!in[i] && !holes))
            return tg_report(run->tg, TG_E_eval_missing, (unsigned)i);
    for (uint32_t i = 0; i < n->n_in && !takes_sequences(n->op); i++)
        if (in[i] && in[i]->kind != TG_TENSOR)
            return tg_report(run->tg, TG_E_eval_type, "that are no tensors");
    return true;
}

static bool dispatch(TgRun *run, const TgGraph *g, const TgNodeInfo *n, const TgArray *const *in,
                     TgArray *out)
{
    TgTier tier = n->op == TG_opaque ? TG_KEPT : tg_op_info(n->op)->tier;
    if (tier == TG_KEPT)
        return tg_report(run->tg, TG_E_not_evaluable, op_name(run->tg, n));
    if (!operands_given(run, n, in))
        return false;
    bool direct = tier == TG_PRIMITIVE || (n->op == TG_Softmax && run->options->mode == TG_EVAL_FIELD);
    return direct ? run_kernel(run, g, n, in, out) : run_composite(run, g, n, in, out);
}

/* Evaluates n; `out` (n_out of them) belongs to the caller on success and is empty on failure. */
static bool run_node(TgRun *run, const TgGraph *g, const TgNodeInfo *n, const TgArray *const *in,
                     TgArray *out)
{
    TgPlace *place = tg_place(run->tg), saved = *place;
    TgMark mark = tg_mark(tg_scratch(run->tg));
    place->node = n->name ? n->name : saved.node; /* inside a definition: the composite's */
    place->op = n->name || !saved.op ? op_name(run->tg, n) : saved.op;
    bool ok = dispatch(run, g, n, in, out);
    *place = saved;
    tg_release(tg_scratch(run->tg), mark);
    return ok;
}

/* --- plans ---------------------------------------------------------------------------------------------- */

/* Counts the reads of what the outputs need, from the last node on; returns how many nodes matter. */
static uint32_t mark_needed(const TgGraph *g, const TgNode *order, uint32_t n, uint32_t *reads)
{
    uint32_t needed = 0;
    for (uint32_t i = 0; i < g->outputs.n; i++)
        reads[g->outputs.at[i].value]++;
    for (uint32_t i = n; i-- > 0;) {
        const TgNodeInfo *node = tg_node(g, order[i]);
        bool wanted = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            wanted |= reads[node->out[k]] > 0;
        needed += wanted;
        for (uint32_t k = 0; wanted && k < node->n_in; k++)
            reads[node->in[k]]++;
    }
    return needed;
}

static bool any_read(const TgNodeInfo *node, const uint32_t *reads)
{
    for (uint32_t k = 0; k < node->n_out; k++)
        if (reads[node->out[k]])
            return true;
    return false;
}

static Plan *plan_of(TgRun *run, TgGraph *g, bool again)
{
    uint64_t found;
    if (tg_map_get(&run->plans, TG_KEY(g), &found))
        return (Plan *)(uintptr_t)found;
    Plan *p = TG_NEW(run->arena, Plan);
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    if (!order && n)
        return NULL;
    p->g = g;
    p->reads = TG_NEW_N(run->arena, uint32_t, g->values.n);
    p->n = mark_needed(g, order, n, p->reads);
    TgNode *mine = TG_NEW_N(run->arena, TgNode, p->n + 1);
    p->order = mine;
    for (uint32_t i = 0; i < n; i++)
        if (any_read(tg_node(g, order[i]), p->reads))
            *mine++ = order[i];
    p->again = again;
    if (again)
        TG_PUSH(run->arena, &run->keepers, p);
    tg_map_put(&run->plans, TG_KEY(g), (uint64_t)(uintptr_t)p);
    return p;
}

/* --- frames --------------------------------------------------------------------------------------------- */

typedef struct {
    TgRun *run;
    Plan *plan;
    TgArray *slot;  /* by value */
    uint32_t *left; /* reads to come */
} Frame;

static bool is_empty(const TgArray *a)
{
    return a->kind == TG_UNTYPED;
}

/* The array of value v; NULL: recorded. Constants are made here. */
static const TgArray *array_of(Frame *f, TgValue v)
{
    TgArray *slot = &f->slot[v];
    if (!is_empty(slot))
        return slot;
    const TgValueInfo *info = tg_value(f->plan->g, v);
    if (info->origin != TG_V_CONST) { /* an input for which the caller had nothing */
        tg_report(f->run->tg, TG_E_eval_missing, (unsigned)info->index);
        return NULL;
    }
    TgArray **all = &f->plan->kept[f->run->options->mode];
    if (f->plan->again && !*all)
        *all = TG_NEW_N(f->run->arena, TgArray, f->plan->g->values.n);
    TgArray *kept = f->plan->again ? &(*all)[v] : slot;
    if (is_empty(kept))
        *kept = tg_array_from_tensor(f->run->tg, f->run->options->mode, info->tensor);
    if (kept != slot && !is_empty(kept))
        *slot = tg_array_share(kept);
    return is_empty(slot) ? NULL : slot;
}

static void read_done(Frame *f, TgValue v)
{
    if (--f->left[v] == 0)
        tg_array_drop(f->run->tg, &f->slot[v]);
}

static void bind(Frame *f, TgValue v, const TgArray *a)
{
    if (f->left[v])
        f->slot[v] = tg_array_share(a);
}

static void keep_results(Frame *f, const TgNodeInfo *n, TgArray *out)
{
    const TgEvalOptions *options = f->run->options;
    for (uint32_t i = 0; i < n->n_out; i++) {
        if (options->watch && f->run->depth == 1)
            options->watch(options->user, f->plan->g, n->out[i], &out[i]);
        if (f->left[n->out[i]])
            f->slot[n->out[i]] = out[i];
        else
            tg_array_drop(f->run->tg, &out[i]);
    }
}

static bool step(Frame *f, const TgNodeInfo *n)
{
    TgArena *scratch = tg_scratch(f->run->tg);
    TgMark mark = tg_mark(scratch);
    const TgArray **in = TG_NEW_N(scratch, const TgArray *, n->n_in + 1);
    TgArray *out = TG_NEW_N(scratch, TgArray, n->n_out + 1);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n->n_in; i++)
        ok = !n->in[i] || (in[i] = array_of(f, n->in[i])) != NULL;
    ok = ok && run_node(f->run, f->plan->g, n, in, out);
    if (ok) {
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i])
                read_done(f, n->in[i]);
        keep_results(f, n, out);
    }
    tg_release(scratch, mark);
    return ok;
}

static bool take_outputs(Frame *f, TgArray *out)
{
    const TgGraph *g = f->plan->g;
    uint32_t done = 0;
    for (; done < g->outputs.n; done++) {
        const TgArray *a = g->outputs.at[done].value ? array_of(f, g->outputs.at[done].value) : NULL;
        if (!a)
            break;
        out[done] = tg_array_share(a);
    }
    if (done == g->outputs.n)
        return true;
    drop_all(f->run->tg, out, done);
    return false;
}

static bool run_plan(TgRun *run, Plan *plan, const TgArray *const *in, const TgArray *const *captured,
                     TgArray *out)
{
    TgGraph *g = plan->g;
    TgArena *scratch = tg_scratch(run->tg);
    TgMark mark = tg_mark(scratch);
    Frame f = {run, plan, TG_NEW_N(scratch, TgArray, g->values.n), NULL};
    f.left = tg_copy(scratch, plan->reads, g->values.n * sizeof *plan->reads);
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (in[i])
            bind(&f, g->inputs.at[i], in[i]);
    for (uint32_t i = 0; i < g->captures.n; i++)
        if (captured && captured[i])
            bind(&f, g->captures.at[i], captured[i]);
    bool ok = true;
    for (uint32_t i = 0; ok && i < plan->n; i++)
        ok = step(&f, tg_node(g, plan->order[i]));
    ok = ok && take_outputs(&f, out);
    drop_all(run->tg, f.slot, g->values.n);
    tg_release(scratch, mark);
    return ok;
}

/* `out`: one per output of g. It is empty where this fails. */
static bool run_graph(TgRun *run, TgGraph *g, const TgArray *const *in, const TgArray *const *captured,
                      TgArray *out)
{
    Plan *plan = plan_of(run, g, run->depth > 0);
    if (!plan)
        return false;
    if (run->depth >= MAX_DEPTH)
        return tg_report(run->tg, TG_E_eval_value, "the nesting of subgraphs and definitions",
                         (long long)run->depth);
    run->depth++;
    bool ok = run_plan(run, plan, in, captured, out);
    run->depth--;
    return ok;
}

bool eval_subgraph(TgEvalCall *c, uint32_t sub, uint32_t n_in, const TgArray *const *in, TgArray *out)
{
    const TgSub *s = &c->n->sub[sub];
    TgGraph *g = s->graph;
    if (g->inputs.n != n_in)
        return tg_report(c->tg, TG_E_eval_inputs, (unsigned)g->inputs.n, (unsigned)n_in);
    TgMark mark = tg_mark(tg_scratch(c->tg));
    const TgArray **captured = TG_NEW_N(tg_scratch(c->tg), const TgArray *, g->captures.n + 1);
    for (uint32_t i = 0; i < g->captures.n; i++)
        captured[i] = c->in[s->outer.at[i]];
    bool ok = run_graph(c->run, g, in, captured, out);
    tg_release(tg_scratch(c->tg), mark);
    return ok;
}

/* --- the door ------------------------------------------------------------------------------------------- */

static void run_begin(TgRun *run, Tg *tg, TgArena *arena)
{
    *run = (TgRun){.tg = tg, .arena = arena};
    tg_map_init(&run->plans, run->arena);
    eval_definitions_init(&run->definitions, tg, run->arena);
}

static void run_end(TgRun *run)
{
    for (uint32_t i = 0; i < run->keepers.n; i++)
        for (int mode = 0; mode < TG_EVAL_MODES; mode++)
            if (run->keepers.at[i]->kept[mode])
                drop_all(run->tg, run->keepers.at[i]->kept[mode], run->keepers.at[i]->g->values.n);
    eval_definitions_drop(&run->definitions);
}

TgEvaluator *tg_evaluator_new(Tg *tg)
{
    TgArena *arena = tg_arena_new(tg);
    TgRun *run = TG_NEW(arena, TgRun);
    run_begin(run, tg, arena);
    return run;
}

void tg_evaluator_abandon(TgEvaluator *e)
{
    eval_definitions_drop(&e->definitions);
    tg_arena_free(e->arena);
}

void tg_evaluator_drop(TgEvaluator *e)
{
    TgArena *arena = e->arena;
    run_end(e);
    tg_arena_free(arena);
}

bool tg_evaluator_run(TgEvaluator *e, TgGraph *g, const TgEvalOptions *options, const TgArray *in, TgArray *out)
{
    TgMark mark = tg_mark(tg_scratch(e->tg));
    const TgArray **each = TG_NEW_N(tg_scratch(e->tg), const TgArray *, g->inputs.n + 1);
    for (uint32_t i = 0; i < g->inputs.n; i++)
        each[i] = &in[i];
    memset(out, 0, g->outputs.n * sizeof *out);
    e->options = options;
    e->depth = 0;
    e->flops = 0;
    e->steps = 0;
    bool ok = run_graph(e, g, each, NULL, out);
    tg_release(tg_scratch(e->tg), mark);
    return ok;
}

bool tg_eval(Tg *tg, TgGraph *g, const TgEvalOptions *options, const TgArray *in, TgArray *out)
{
    TgEvaluator *e = tg_evaluator_new(tg);
    bool ok = tg_evaluator_run(e, g, options, in, out);
    tg_evaluator_drop(e);
    return ok;
}

bool tg_eval_node(Tg *tg, const TgGraph *g, const TgNodeInfo *n, const TgEvalOptions *options,
                  const TgArray *const *in, TgArray *out)
{
    TgArena *arena = tg_arena_new(tg);
    TgRun run;
    run_begin(&run, tg, arena);
    memset(out, 0, n->n_out * sizeof *out);
    run.options = options;
    run.depth = 1;
    bool ok = run_node(&run, g, n, in, out);
    run_end(&run);
    tg_arena_free(arena);
    return ok;
}
