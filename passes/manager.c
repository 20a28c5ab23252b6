/* Runs the passes of passes.def, in order, over every graph of the model, until nothing changes; then those of a
 * target.
 *
 * After each pass, by option: structural check, timing, text, evaluation against the state before. Every
 * application of a rewrite is numbered; with a limit of N those after the Nth are not applied, so that a
 * fault is found by bisection. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pass.h"

enum { MAX_ROUNDS = 32 };

static const struct {
    TgPassInfo info;
    void (*run)(TgPass *p);
} passes[] = {
#define PASS(name, level, target, doc) {{#name, doc, level, TG_TARGET_##target}, pass_##name},
#include "passes.def"
#undef PASS
};

enum { PASSES = sizeof passes / sizeof *passes };

uint32_t tg_pass_count(void)
{
    return PASSES;
}

const TgPassInfo *tg_pass_info(uint32_t index)
{
    return &passes[index].info;
}

/* --- counting and explaining -------------------------------------------------------------------------------------- */

bool pass_may(TgPass *p)
{
    TgReport *r = p->report;
    if (p->options->rewrite_limit < 0 || r->applied < p->options->rewrite_limit)
        return true;
    r->stop = "rewrite limit";
    return false;
}

static void count(TgPass *p, TgName rewrite)
{
    TgReport *r = p->report;
    r->applied++;
    p->changes++;
    r->approximate += p->approximate;
    for (uint32_t i = 0; i < r->rewrites.n; i++)
        if (r->rewrites.at[i].rewrite == rewrite) {
            r->rewrites.at[i].count++;
            return;
        }
    TgRewriteCount first = {rewrite, 1};
    TG_PUSH(p->model->arena, &r->rewrites, first);
}

static void take_back(TgPass *p, TgName rewrite)
{
    TgReport *r = p->report;
    uint32_t i = 0;
    r->applied--;
    p->changes--;
    while (r->rewrites.at[i].rewrite != rewrite)
        i++;
    if (--r->rewrites.at[i].count)
        return;
    r->rewrites.n--;
    memmove(&r->rewrites.at[i], &r->rewrites.at[i + 1], (r->rewrites.n - i) * sizeof *r->rewrites.at);
}

void pass_count(TgPass *p, const char *rewrite)
{
    p->counted.rewrite = tg_name(p->tg, rewrite);
    p->counted.done = p->counted.withdrawn = false;
    count(p, p->counted.rewrite);
}

void pass_checked(TgPass *p, bool good)
{
    if (!p->counted.rewrite)
        return;
    bool again = good && p->counted.withdrawn, back = !good && !p->counted.done && !p->counted.withdrawn;
    if (again)
        count(p, p->counted.rewrite);
    if (back)
        take_back(p, p->counted.rewrite);
    p->counted.done |= good;
    p->counted.withdrawn = !good && !p->counted.done;
}

bool pass_allow(TgPass *p, const char *rewrite)
{
    bool may = pass_may(p);
    if (may)
        pass_count(p, rewrite);
    return may;
}

void pass_explain(TgPass *p, const TgNodeInfo *n, const char *format, ...)
{
    const char *wanted = p->options->explain;
    if (!wanted || (*wanted && strcmp(wanted, p->name) != 0))
        return;
    TgMark mark = tg_mark(tg_scratch(p->tg));
    va_list args;
    va_start(args, format);
    char why[512];
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    TgName line = tg_name_format(p->tg, "%s: node '%s' (%s): %s", p->name, n->name ? n->name : "",
                                 n->op == TG_opaque ? n->op_name : tg_op_info(n->op)->name, why);
    tg_release(tg_scratch(p->tg), mark);
    for (uint32_t i = 0; i < p->report->explanations.n; i++)
        if (p->report->explanations.at[i] == line)
            return;
    TG_PUSH(p->model->arena, &p->report->explanations, line);
}

/* --- one pass over one graph -------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Subgraphs first, so that an outer pass sees them as small as they get. Their nesting is bounded by the
 * reader. */
static bool run_on(TgPass *p, TgGraph *g, uint32_t pass)
{
    TgMark mark = tg_mark(tg_scratch(p->tg));
    uint32_t errors = tg_error_count(p->tg), n;
    p->g = g;
    TgNode *nodes = pass_nodes(p, &n);
    bool good = true;
    for (uint32_t i = 0; good && i < n; i++)
        if (tg_node(g, nodes[i])->n_sub) {
            tg_captures_refresh(g, nodes[i]);
            for (uint32_t s = 0; good && s < tg_node(g, nodes[i])->n_sub; s++)
                good = run_on(p, tg_node(g, nodes[i])->sub[s].graph, pass);
        }
    p->g = g;
    if (good)
        passes[pass].run(p);
    tg_release(tg_scratch(p->tg), mark);
    return good && tg_error_count(p->tg) == errors;
}

static void print_state(TgPass *p)
{
    TgMark mark = tg_mark(tg_scratch(p->tg));
    TgText text;
    tg_text_init(&text, tg_scratch(p->tg));
    tg_text_format(&text, "# after %s\n", p->name);
    tg_print_model(p->model, &text);
    p->options->print(p->options->user, text.at);
    tg_release(tg_scratch(p->tg), mark);
}

static bool wants_print(const TgPass *p)
{
    const char *which = p->options->print_after;
    if (!which || !p->options->print)
        return false;
    return strcmp(which, "all") == 0 ||
           (strcmp(which, "changed") == 0 ? p->changes > 0 : strcmp(which, p->name) == 0);
}

static bool unchanged_meaning(TgPass *p, TgModel *before)
{
    TgEquivResult result = {0};
    bool good = tg_equiv(p->tg, before, p->model, &(TgEquivOptions){.seed = 1}, &result);
    if (good && result.verdict == TG_DIFFERENT)
        good = tg_report(p->tg, TG_E_pass_differs, p->name, result.witness);
    tg_model_free(before);
    return good;
}

/* Runs one pass; *changes tells how much it did. False: recorded. */
static bool run_pass(TgPass *p, uint32_t pass, uint32_t *changes)
{
    TgModel *before = p->options->evaluate_each ? tg_model_clone(p->model) : NULL;
    double start = now();
    uint32_t approximate = p->report->approximate;
    p->name = passes[pass].info.name;
    p->changes = 0;
    p->counted.rewrite = NULL;
    if (!run_on(p, p->model->graph, pass))
        return false;
    tg_remove_dead(p->model->graph); /* also what was made for rewrites that then were not done */
    TgPassTime *time = &p->report->passes.at[pass];
    time->seconds += now() - start;
    time->changes += p->changes;
    *changes += p->changes;
    if (wants_print(p))
        print_state(p);
    if (p->options->check_each && p->changes && !tg_graph_check(p->model->graph))
        return false;
    if (before && p->changes && p->report->approximate == approximate)
        return unchanged_meaning(p, before);
    tg_model_free(before);
    return true;
}

typedef struct {
    TgModel *model;
    const TgOptimizeOptions *options;
    TgReport *report;
} Optimize;

/* What others would undo. */
static bool runs_once(void (*run)(TgPass *p))
{
    return run == pass_ort_sums || run == pass_kernels;
}

/* Repeats what is for every target, and in the last rounds what is for this one. False: recorded. */
static bool run_rounds(TgPass *p)
{
    const TgOptimizeOptions *o = p->options;
    p->report->stop = "iteration limit";
    for (uint32_t round = 0; round < MAX_ROUNDS; round++) {
        uint32_t changes = 0;
        if (!tg_infer_graph(p->model->graph))
            return false;
        for (uint32_t i = 0; i < PASSES; i++) {
            TgTarget target = passes[i].info.target;
            bool meant = tg_target_takes(p->last ? o->target : TG_TARGET_ANY, target) && !runs_once(passes[i].run);
            p->settled = !changes;
            if (meant && passes[i].info.level <= o->level && !run_pass(p, i, &changes))
                return false;
        }
        if (!changes)
            p->report->stop = "fixed point";
        if (!changes || strcmp(p->report->stop, "rewrite limit") == 0)
            break;
    }
    return true;
}

static bool run_once(TgPass *p, void (*run)(TgPass *p))
{
    uint32_t i = 0, changes = 0;
    while (passes[i].run != run)
        i++;
    return passes[i].info.level > p->options->level || run_pass(p, i, &changes);
}

static bool optimize(void *argument)
{
    const Optimize *call = argument;
    TgModel *model = call->model;
    TgReport *report = call->report;
    TgPass p = {.tg = model->tg,
                .model = model,
                .options = call->options,
                .report = report,
                .const_bytes = tg_graph_const_bytes(model->graph)};
    for (uint32_t i = 0; i < PASSES; i++) {
        TgPassTime time = {tg_name(model->tg, passes[i].info.name), 0, 0};
        TG_PUSH(model->arena, &report->passes, time);
    }
    if (call->options->for_plan && !plan_spell_out(model->graph))
        return false;
    TgTargetStart start = target_begin(&p);
    p.start = &start;
    if (!run_rounds(&p))
        return false;
    p.last = call->options->target != TG_TARGET_ANY;
    if (p.last && (!run_rounds(&p) || !run_once(&p, pass_ort_sums)))
        return false;
    if (!run_once(&p, pass_kernels))
        return false;
    report->opset = target_opset(&p, &start);
    return true;
}

bool tg_optimize(TgModel *model, const TgOptimizeOptions *options, TgReport *report)
{
    Optimize call = {model, options, report};
    memset(report, 0, sizeof *report);
    return tg_protect(model->tg, optimize, &call);
}
