/* Delta debugging on graphs: a model that shows something (a crash, a wrong result, a pattern) becomes a
 * small one that still does.
 *
 * Idea. There are a few kinds of steps; each lists the sites where it could be taken and takes it at one of
 * them. A kind is tried at all its sites at once, then at halves, quarters ... single ones; what still shows
 * it is kept. The kinds are repeated until none has a site left that can be taken.
 *
 * Invariants. Each candidate is a clone, smaller than what it was made of (nodes first, then outputs, inputs,
 * constants of unequal elements), hence all of this ends and the result is never larger than the source. A
 * candidate in which some node cannot run any more is dropped without asking. Nothing depends on time or
 * addresses.
 *
 * Cost. Where one node matters, O(log n) tries find it; at worst, O(n^2). After Zeller and Hildebrandt,
 * "Simplifying and Isolating Failure-Inducing Input" (2002).
 */
#include "pass.h"

/* --- sites ---------------------------------------------------------------------------------------------- */

typedef struct {
    TgGraph *g;
    uint32_t outer; /* where the graph around it stands in the list; the main graph is the first */
    TgNode holder;  /* the node of that graph which has it, and which of its subgraphs it is */
    uint32_t sub;
} Place;

typedef struct {
    TgGraph *g;
    uint32_t graph;      /* its number */
    uint32_t at, choice; /* a node, a value, or an output; which operand, result or branch */
} Site;

typedef struct {
    TgModel *model;    /* a candidate under construction */
    TgArena *arena;    /* of the model */
    uint32_t n_inputs; /* of the model that it was cloned from */
    bool all_read;     /* there, no result of an If was unread */
    TG_VEC(Place)
    graphs;
    TG_VEC(Site)
    sites;
} Edit;

static void add_site(Edit *e, uint32_t graph, uint32_t at, uint32_t choice)
{
    Site site = {e->graphs.at[graph].g, graph, at, choice};
    TG_PUSH(e->arena, &e->sites, site);
}

/* The main graph, then all subgraphs. */
static void find_graphs(Edit *e)
{
    Place main = {.g = e->model->graph};
    e->graphs.n = 0;
    TG_PUSH(e->arena, &e->graphs, main);
    for (uint32_t i = 0; i < e->graphs.n; i++) {
        uint32_t n;
        const TgNode *order = tg_graph_order(e->graphs.at[i].g, &n);
        for (uint32_t k = 0; k < n; k++) {
            const TgNodeInfo *info = tg_node(e->graphs.at[i].g, order[k]);
            for (uint32_t s = 0; s < info->n_sub; s++) {
                Place inner = {info->sub[s].graph, i, order[k], s};
                TG_PUSH(e->arena, &e->graphs, inner);
            }
        }
    }
}

typedef void (*ListNode)(Edit *e, uint32_t graph, TgNode n);

static void each_node_of(Edit *e, uint32_t graph, ListNode list)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(e->graphs.at[graph].g, &n);
    for (uint32_t i = 0; i < n; i++)
        list(e, graph, order[i]);
}

static void each_node(Edit *e, ListNode list)
{
    for (uint32_t i = 0; i < e->graphs.n; i++)
        each_node_of(e, i, list);
}

/* --- outputs, results of If ----------------------------------------------------------------------------- */

static void list_outputs(Edit *e)
{
    for (uint32_t i = 0; i < e->model->graph->outputs.n; i++)
        add_site(e, 0, i, 0);
}

static void drop_output(Edit *e, const Site *site)
{
    if (e->model->graph->outputs.n > 1)
        tg_drop_return(site->g, site->at);
}

static void list_results_of(Edit *e, uint32_t graph, TgNode n)
{
    const TgGraph *g = e->graphs.at[graph].g;
    for (uint32_t i = 0; tg_node(g, n)->op == TG_If && i < tg_node(g, n)->n_out; i++)
        if (!is_read(g, tg_node(g, n)->out[i]))
            add_site(e, graph, n, i);
}

static void list_results(Edit *e)
{
    each_node(e, list_results_of);
}

static void drop_result(Edit *e, const Site *site)
{
    TgNodeInfo *n = tg_node(site->g, site->at);
    TgValue unread = n->out[site->choice];
    (void)e;
    if (n->n_out == 1)
        return;
    n->n_out--;
    for (uint32_t i = site->choice; i < n->n_out; i++) {
        n->out[i] = n->out[i + 1];
        tg_value(site->g, n->out[i])->index = i;
    }
    n->out[n->n_out] = unread; /* it belongs to the record still, which the next clone leaves behind */
    for (uint32_t s = 0; s < n->n_sub; s++)
        tg_drop_return(n->sub[s].graph, site->choice);
}

/* --- inner values become inputs ------------------------------------------------------------------------- */

static bool may_be_input(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return t->kind != TG_UNTYPED && (t->kind != TG_TENSOR || t->dtype != TG_undefined);
}

static bool is_taken(const TgGraph *main, TgName name)
{
    for (uint32_t i = 0; i < main->inputs.n; i++)
        if (tg_value(main, main->inputs.at[i])->name == name)
            return true;
    for (uint32_t i = 0; i < main->outputs.n; i++)
        if (main->outputs.at[i].name == name)
            return true;
    return false;
}

/* The name of a value, or one like it that no input and no output has. */
static TgName interface_name(const TgGraph *main, TgName wish)
{
    TgName name = wish ? wish : tg_name(main->tg, "value");
    for (uint32_t i = 1; is_taken(main, name); i++)
        name = tg_name_format(main->tg, "%s_%u", wish ? wish : "value", i);
    return name;
}

static TgValue input_like(Edit *e, const TgGraph *g, TgValue v)
{
    TgGraph *main = e->model->graph;
    return tg_graph_input(main, tg_type_of(g, v), interface_name(main, tg_value(g, v)->name));
}

/* A value of the main graph, as a subgraph sees it; nesting is bounded by the reader. */
static TgValue seen_from(Edit *e, uint32_t graph, TgValue v)
{
    const Place *p = &e->graphs.at[graph];
    return graph == 0 ? v : tg_graph_capture(p->g, p->holder, p->sub, seen_from(e, p->outer, v));
}

static void list_cuts_of(Edit *e, uint32_t graph, TgNode n)
{
    const TgGraph *g = e->graphs.at[graph].g;
    for (uint32_t i = 0; i < tg_node(g, n)->n_out; i++) {
        TgValue v = tg_node(g, n)->out[i];
        bool read = graph == 0 ? tg_value(g, v)->uses.n > 0 : is_read(g, v);
        if (read && may_be_input(g, v))
            add_site(e, graph, v, 0);
    }
}

static void list_cuts(Edit *e)
{
    each_node(e, list_cuts_of);
}

/* Whatever reads the value reads an input instead; but an output of the model stays what it is. */
static void cut(Edit *e, const Site *site)
{
    TgGraph *g = site->g;
    TgValue v = site->at, input = input_like(e, g, v);
    if (site->graph) {
        tg_replace(g, v, seen_from(e, site->graph, input));
        return;
    }
    while (tg_value(g, v)->uses.n) {
        TgUse use = tg_value(g, v)->uses.at[0];
        tg_set_input(g, use.node, use.slot, input);
    }
}

/* --- nodes: what reads them reads inputs, what they read becomes outputs -------------------------------- */

static void list_node(Edit *e, uint32_t graph, TgNode n)
{
    add_site(e, graph, n, 0);
}

static void list_nodes(Edit *e)
{
    each_node_of(e, 0, list_node);
}

static bool all_may_be_inputs(const TgGraph *g, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++)
        if (tg_value(g, n->out[i])->uses.n && !may_be_input(g, n->out[i]))
            return false;
    return true;
}

static void drop_returns(TgGraph *g, TgValue v)
{
    for (uint32_t i = g->outputs.n; i-- > 0;)
        if (g->outputs.at[i].value == v)
            tg_drop_return(g, i);
}

/* The node that makes v keeps a reason to exist. */
static void keep_needed(TgGraph *g, TgValue v)
{
    if (!v || tg_value(g, v)->origin != TG_V_RESULT)
        return;
    const TgNodeInfo *n = tg_node(g, tg_value(g, v)->node);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (is_read(g, n->out[i]))
            return;
    tg_graph_return(g, v, interface_name(g, tg_value(g, v)->name), NULL);
}

static void drop_node(Edit *e, const Site *site)
{
    TgGraph *g = site->g;
    const TgNodeInfo *n = tg_node(g, site->at);
    if (!all_may_be_inputs(g, n))
        return;
    for (uint32_t i = 0; i < n->n_out; i++) {
        drop_returns(g, n->out[i]);
        if (tg_value(g, n->out[i])->uses.n)
            tg_replace(g, n->out[i], input_like(e, g, n->out[i]));
    }
    tg_remove(g, site->at);
    for (uint32_t i = 0; i < n->n_in; i++)
        keep_needed(g, n->in[i]);
}

/* --- nodes whose result has the type of an operand ------------------------------------------------------ */

static void list_bypasses_of(Edit *e, uint32_t graph, TgNode n)
{
    const TgGraph *g = e->graphs.at[graph].g;
    const TgNodeInfo *info = tg_node(g, n);
    for (uint32_t i = 1; i < info->n_out; i++)
        if (is_read(g, info->out[i]))
            return;
    for (uint32_t i = 0; info->n_out && i < info->n_formal; i++)
        if (info->in[i] && same_type(g, info->in[i], info->out[0]))
            add_site(e, graph, n, i);
}

static void list_bypasses(Edit *e)
{
    each_node(e, list_bypasses_of);
}

static void bypass(Edit *e, const Site *site)
{
    const TgNodeInfo *n = tg_node(site->g, site->at);
    (void)e;
    if (!n->dead && n->in[site->choice] != n->out[0])
        tg_replace(site->g, n->out[0], n->in[site->choice]);
}

/* --- an If becomes one of its branches ------------------------------------------------------------------ */

static void list_branches_of(Edit *e, uint32_t graph, TgNode n)
{
    const TgNodeInfo *info = tg_node(e->graphs.at[graph].g, n);
    for (uint32_t s = 0; info->op == TG_If && s < info->n_sub; s++)
        add_site(e, graph, n, s);
}

static void list_branches(Edit *e)
{
    each_node(e, list_branches_of);
}

static void take_branch(Edit *e, const Site *site)
{
    TgGraph *g = site->g;
    const TgNodeInfo *n = tg_node(g, site->at);
    TgValue *out = TG_NEW_N(e->arena, TgValue, n->n_out + 1);
    if (n->dead || !splice_branch(g, n, site->choice, out))
        return;
    for (uint32_t i = 0; i < n->n_out; i++)
        tg_replace(g, n->out[i], out[i]);
    tg_remove(g, site->at);
}

/* --- constants become splats ---------------------------------------------------------------------------- */

static bool is_dense(const TgGraph *g, TgValue v)
{
    const TgValueInfo *info = tg_value(g, v);
    const TgTensor *t = info->tensor;
    double x;
    return info->origin == TG_V_CONST && is_read(g, v) && t->count > 1 && tg_dtype_bits(t->dtype) % 8 == 0 &&
           (t->payload == TG_MAPPED || t->payload == TG_OWNED) &&
           (tg_dtype_class(t->dtype) == TG_CLASS_C || !tg_tensor_is_splat(g->tg, t, &x));
}

static void list_constants(Edit *e)
{
    for (uint32_t i = 0; i < e->graphs.n; i++)
        for (TgValue v = 1; v < e->graphs.at[i].g->values.n; v++)
            if (is_dense(e->graphs.at[i].g, v))
                add_site(e, i, v, 0);
}

static void make_splat(Edit *e, const Site *site)
{
    const TgValueInfo *info = tg_value(site->g, site->at);
    const TgTensor *t = info->tensor; /* clones share tensors: they outlive a candidate */
    TgTensor *splat = tg_tensor_splat(tg_forever(site->g->tg), t->dtype, t->rank, t->dim, t->bytes);
    (void)e;
    tg_replace(site->g, site->at, tg_graph_const(site->g, splat, info->name));
}

/* --- inputs that nobody reads --------------------------------------------------------------------------- */

static void list_inputs(Edit *e)
{
    TgGraph *g = e->model->graph;
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (!is_read(g, g->inputs.at[i]))
            add_site(e, 0, i, 0);
}

static void drop_input(Edit *e, const Site *site)
{
    (void)e;
    tg_drop_input(site->g, site->at);
}

/* --- candidates ----------------------------------------------------------------------------------------- */

/* What is worth more comes first: a candidate must be smaller in the first entry that changed. */
enum { NODES, OUTPUTS, INPUTS, DENSE, SIZES };

typedef struct {
    uint32_t of[SIZES];
} Size;

static void measure(Edit *e, Size *size)
{
    *size =
        (Size){.of = {[NODES] = tg_graph_count(e->model->graph, true), [INPUTS] = e->model->graph->inputs.n}};
    for (uint32_t i = 0; i < e->graphs.n; i++)
        size->of[OUTPUTS] += e->graphs.at[i].g->outputs.n;
    e->sites.n = 0;
    list_constants(e);
    size->of[DENSE] = e->sites.n;
}

static bool is_smaller(const Size *a, const Size *b)
{
    for (int i = 0; i < SIZES; i++)
        if (a->of[i] != b->of[i])
            return a->of[i] < b->of[i];
    return false;
}

typedef struct {
    void (*list)(Edit *e);
    void (*take)(Edit *e, const Site *site);
} Kind;

static const Kind kinds[] = {
    {list_results, drop_result},
    {list_outputs, drop_output},
    {list_nodes, drop_node},
    {list_branches, take_branch},
    {list_cuts, cut},
    {list_bypasses, bypass},
    {list_constants, make_splat},
    {list_inputs, drop_input},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct {
    Tg *tg;
    const TgReduceOptions *options;
    TgReduceReport *report;
    TgModel *best;
    Size size;        /* of the best */
    uint32_t version; /* of the best: counts what was kept */
    bool stopped;
} Reducer;

static Edit edit_begin(TgModel *model)
{
    Edit e = {.model = model, .arena = model->arena, .n_inputs = model->graph->inputs.n};
    find_graphs(&e);
    list_results(&e);
    e.all_read = e.sites.n == 0;
    e.sites.n = 0;
    return e;
}

static void take_all(Edit *e, const Kind *kind, uint32_t first, uint32_t n)
{
    for (uint32_t i = first + n < e->sites.n ? first + n : e->sites.n; i-- > first;)
        kind->take(e, &e->sites.at[i]);
}

/* What steps leave behind: nodes without readers, results of an If that lost theirs (else what is looked for
 * could hide where nobody reads it), new inputs of nodes that went too. */
static void tidy(Edit *e)
{
    TgGraph *g = e->model->graph;
    do {
        tg_remove_dead(g);
        find_graphs(e);
        e->sites.n = 0;
        list_results(e);
        if (e->all_read)
            take_all(e, &kinds[0], 0, e->sites.n);
    } while (e->all_read && e->sites.n);
    for (uint32_t i = g->inputs.n; i-- > e->n_inputs;)
        if (!is_read(g, g->inputs.at[i]))
            tg_drop_input(g, i);
}

/* What was declared of values whose types are others now is no longer true. False: some node cannot run any
 * more. */
static bool infer_again(TgGraph *g)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    uint32_t said = tg_diag_count(g->tg), count = g->values.n;
    const TgType **before = TG_NEW_N(scratch, const TgType *, count);
    for (TgValue v = 1; v < count; v++)
        before[v] = tg_type_of(g, v);
    (void)tg_infer_graph(g);
    bool fine = tg_diag_count(g->tg) == said;
    tg_diag_forget(g->tg, said);
    for (TgValue v = 1; v < count; v++)
        if (before[v] != tg_type_of(g, v)) {
            tg_value(g, v)->declared = NULL;
            tg_value(g, v)->type_wire = (TgBytes){0};
        }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        TgReturn *r = &g->outputs.at[i];
        if (before[r->value] != tg_type_of(g, r->value)) {
            r->declared = NULL;
            r->type_wire = (TgBytes){0};
        }
    }
    tg_release(scratch, mark);
    return fine;
}

static TgReduceVerdict ask(Reducer *r, TgModel *candidate)
{
    int64_t most = r->options->max_tries;
    if (most && r->report->tries >= most)
        return TG_REDUCE_STOP;
    r->report->tries++;
    return r->options->shows(r->options->user, candidate);
}

/* Takes the steps at sites first .. first + n - 1, the last one first, so that sites before it stay where
 * they are. */
static bool attempt(Reducer *r, const Kind *kind, uint32_t first, uint32_t n)
{
    Edit e = edit_begin(tg_model_clone(r->best));
    TgReduceVerdict verdict = TG_REDUCE_NO;
    Size size;
    kind->list(&e);
    take_all(&e, kind, first, n);
    tidy(&e);
    measure(&e, &size);
    if (e.model->graph->outputs.n && is_smaller(&size, &r->size) && infer_again(e.model->graph))
        verdict = ask(r, e.model);
    r->stopped |= verdict == TG_REDUCE_STOP;
    if (verdict != TG_REDUCE_YES) {
        tg_model_free(e.model);
        return false;
    }
    tg_model_free(r->best);
    r->best = e.model;
    r->size = size;
    r->version++;
    r->report->kept++;
    return true;
}

static uint32_t count_sites(const Reducer *r, const Kind *kind)
{
    TgModel *copy = tg_model_clone(r->best);
    Edit e = edit_begin(copy);
    kind->list(&e);
    tg_model_free(copy);
    return e.sites.n;
}

static void run_kind(Reducer *r, const Kind *kind)
{
    uint32_t count = count_sites(r, kind);
    for (uint32_t n = count; n > 0 && !r->stopped; n /= 2)
        for (uint32_t i = 0; i < count && !r->stopped;) {
            if (attempt(r, kind, i, n))
                count = count_sites(r, kind);
            else
                i += n;
        }
}

TgModel *tg_reduce(const TgModel *model, const TgReduceOptions *options, TgReduceReport *report)
{
    Reducer r = {.tg = model->tg, .options = options, .report = report, .best = tg_model_clone(model)};
    uint32_t done[KINDS] = {0}; /* 1 + the version at which a kind found nothing more */
    bool open = true;
    *report = (TgReduceReport){0};
    Edit e = edit_begin(r.best);
    measure(&e, &r.size);
    while (open && !r.stopped) {
        open = false;
        for (uint32_t k = 0; k < KINDS && !r.stopped; k++) {
            uint32_t before = r.version;
            if (done[k] == 1 + before)
                continue;
            run_kind(&r, &kinds[k]);
            done[k] = r.version == before ? 1 + before : 0;
            open |= r.version != before;
        }
        for (uint32_t k = 0; k < KINDS; k++)
            open |= done[k] != 1 + r.version;
    }
    report->minimal = !r.stopped;
    return r.best;
}
