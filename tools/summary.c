/* What a run of the main job reports: the summary on standard error and --report=FILE as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* --- figures ------------------------------------------------------------------------------------------ */

Figures figures_of(TgModel *model)
{
    return (Figures){.opset = tg_model_opset(model, ""),
                     .nodes = tg_graph_count(model->graph, true),
                     .const_bytes = tg_graph_const_bytes(model->graph),
                     .cost = tg_graph_cost(model->graph, TG_TYPICAL_SIZE)};
}

static void count_op(Tg *tg, Summary *s, TgMap *seen, TgName name, bool after)
{
    uint64_t at = s->ops.n;
    if (!tg_map_get(seen, TG_KEY(name), &at)) {
        TG_PUSH(tg_forever(tg), &s->ops, ((OpCount){.name = name}));
        tg_map_put(seen, TG_KEY(name), at);
    }
    if (after)
        s->ops.at[at].after++;
    else
        s->ops.at[at].before++;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const OpCount *)a)->name, ((const OpCount *)b)->name);
}

/* Graphs still to be counted are kept in a list: subgraphs may be nested to any depth. */
void count_ops(Tg *tg, Summary *s, const TgModel *model, bool after)
{
    TgMark mark = tg_mark(tg_scratch(tg));
    TG_VEC(const TgGraph *) graphs = {0};
    TgMap seen;
    tg_map_init(&seen, tg_scratch(tg));
    for (uint32_t i = 0; i < s->ops.n; i++)
        tg_map_put(&seen, TG_KEY(s->ops.at[i].name), i);
    TG_PUSH(tg_scratch(tg), &graphs, model->graph);
    for (uint32_t i = 0; i < graphs.n; i++) {
        const TgGraph *g = graphs.at[i];
        for (TgNode n = 1; n < g->nodes.n; n++) {
            const TgNodeInfo *node = tg_node(g, n);
            if (node->dead)
                continue;
            count_op(tg, s, &seen, node->op == TG_opaque ? node->op_name : tg_op_text(tg, node->op), after);
            for (uint32_t k = 0; k < node->n_sub; k++)
                TG_PUSH(tg_scratch(tg), &graphs, node->sub[k].graph);
        }
    }
    tg_release(tg_scratch(tg), mark);
    if (s->ops.n)
        qsort(s->ops.at, s->ops.n, sizeof *s->ops.at, by_name);
}

/* --- for people --------------------------------------------------------------------------------------- */

enum { LABEL = SUMMARY_LABEL, WIDTH = 100 };

static void scaled(char *text, size_t size, double x, double base, const char *const *units)
{
    int unit = 0;
    for (; x >= base && units[unit + 1]; unit++)
        x /= base;
    snprintf(text, size, "%.*f %s", unit && x < 100 ? 1 : 0, x, units[unit]);
}

static void bytes_text(char *text, size_t size, double x)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    scaled(text, size, x, 1024, units);
}

static void flops_text(char *text, size_t size, double x)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", NULL};
    scaled(text, size, x, 1000, units);
}

static void change(const char *label, const char *before, const char *after, double a, double b)
{
    fprintf(stderr, "  %-*s%10s -> %-10s", LABEL, label, before, after);
    if (a > 0 && a != b)
        fprintf(stderr, " (%+.1f %%)", 100 * (b - a) / a);
    fputc('\n', stderr);
}

static void print_figures(const Summary *s)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%u", s->before.nodes);
    snprintf(b, sizeof b, "%u", s->after.nodes);
    change("nodes", a, b, s->before.nodes, s->after.nodes);
    bytes_text(a, sizeof a, s->before.const_bytes);
    bytes_text(b, sizeof b, s->after.const_bytes);
    change("constants", a, b, s->before.const_bytes, s->after.const_bytes);
    flops_text(a, sizeof a, s->before.cost.flops);
    flops_text(b, sizeof b, s->after.cost.flops);
    change("flops", a, b, s->before.cost.flops, s->after.cost.flops);
    bytes_text(a, sizeof a, s->before.cost.bytes);
    bytes_text(b, sizeof b, s->after.cost.bytes);
    change("traffic", a, b, s->before.cost.bytes, s->after.cost.bytes);
    if (s->before.opset != s->after.opset)
        fprintf(stderr, "  %-*s%10lld -> %lld\n", LABEL, "opset", (long long)s->before.opset,
                (long long)s->after.opset);
}

/* A list that is broken before WIDTH. */
static void item(size_t *column, const char *label, const char *text)
{
    size_t n = strlen(text);
    if (!*column)
        *column = (size_t)fprintf(stderr, "  %-*s", LABEL, label);
    else if (*column + n + 2 > WIDTH)
        *column = (size_t)fprintf(stderr, ",\n  %-*s", LABEL, "") - 2;
    else
        *column += (size_t)fprintf(stderr, ", ");
    *column += (size_t)fprintf(stderr, "%s", text);
}

static void print_lists(const Summary *s)
{
    char text[200];
    size_t column = 0;
    for (uint32_t i = 0; i < s->ops.n; i++) {
        const OpCount *op = &s->ops.at[i];
        if (op->before == op->after)
            continue;
        snprintf(text, sizeof text, "%s %u -> %u", op->name, op->before, op->after);
        item(&column, "operators", text);
    }
    fputs(column ? "\n" : "", stderr);
    column = 0;
    for (uint32_t i = 0; i < s->report->rewrites.n; i++) {
        const TgRewriteCount *r = &s->report->rewrites.at[i];
        snprintf(text, sizeof text, "%s %u", r->rewrite, r->count);
        item(&column, "rewrites", text);
    }
    fputs(column ? "\n" : "", stderr);
}

static const char *verdict_word(TgVerdict v)
{
    return v == TG_EQUAL ? "equal" : v == TG_DIFFERENT ? "different" : "not decided";
}

void print_equivalence(FILE *to, const TgEquivResult *e)
{
    fputs(verdict_word(e->verdict), to);
    if (e->verdict == TG_EQUAL) {
        fprintf(to, " (%u regions, %u checked, %u of them proved", e->regions, e->checked, e->proved);
        if (e->bound < 0)
            fprintf(to, ", chance of an error %sbelow 2^%.0f", e->vouched ? "in these " : "", e->bound);
        if (e->vouched)
            fprintf(to, ", %u by floats alone", e->vouched);
        fprintf(to, "; largest relative difference %.1e in float32, %.1e in float64)", e->worst32,
                e->worst64);
        if (e->worst)
            fprintf(to, "; worst: %s, %.1e apart", e->worst, e->apart);
    }
    if (e->witness && *e->witness)
        fprintf(to, ": %s", e->witness);
    if (e->where && *e->where)
        fprintf(to, "; first at '%s'", e->where);
    fputc('\n', to);
}

/* The single replacements, and the whole model where that was compared too. */
static void print_checks(const Summary *s)
{
    const TgEquivResult *c = s->checks;
    if (c) {
        fprintf(stderr, "  %-*s%u replacements where they happened: %u questions, %u proved", LABEL,
                "verified", s->report->checks, c->checked, c->proved);
        if (c->proved)
            fprintf(stderr, " (chance of an error below 2^%.0f)", c->bound);
        fprintf(stderr, ", %u refused\n", s->report->refusals.n);
    }
    if (s->equiv) {
        fprintf(stderr, "  %-*swhole model ", LABEL, c ? "" : "verified");
        print_equivalence(stderr, s->equiv);
    }
}

void print_summary(const Run *run, const Summary *s)
{
    const char *bold = run->color ? "\33[1m" : "", *plain = run->color ? "\33[0m" : "";
    fprintf(stderr, "%s%s", bold, s->source);
    fprintf(stderr, "%s%s%s\n", s->target ? " -> " : "", s->target ? s->target : "", plain);
    print_figures(s);
    print_lists(s);
    if (s->report->stop)
        fprintf(stderr, "  %-*s%lld rewrites, until %s\n", LABEL, "applied", (long long)s->report->applied,
                s->report->stop);
    print_checks(s);
    if (s->conversion)
        print_conversion(s->conversion);
    fprintf(stderr, "  %-*sload %.3f s, optimize %.3f s, verify %.3f s, write %.3f s\n", LABEL, "time",
            s->load, s->optimize, s->verify, s->write);
}

/* --- for scripts -------------------------------------------------------------------------------------- */

static void json_figures(Json *j, const char *key, const Figures *f)
{
    json_key(j, key);
    json_open(j, '{');
    json_int_at(j, "opset", f->opset);
    json_int_at(j, "nodes", f->nodes);
    json_number_at(j, "constant_bytes", f->const_bytes);
    json_number_at(j, "flops", f->cost.flops);
    json_number_at(j, "bytes_moved", f->cost.bytes);
    json_number_at(j, "launches", f->cost.launches);
    json_close(j, '}');
}

static void json_operators(Json *j, const Summary *s)
{
    json_key(j, "operators");
    json_open(j, '{');
    for (uint32_t i = 0; i < s->ops.n; i++) {
        json_key(j, s->ops.at[i].name);
        json_open(j, '[');
        json_int(j, s->ops.at[i].before);
        json_int(j, s->ops.at[i].after);
        json_close(j, ']');
    }
    json_close(j, '}');
}

static void json_rewrites(Json *j, const TgReport *r)
{
    json_key(j, "rewrites");
    json_open(j, '{');
    for (uint32_t i = 0; i < r->rewrites.n; i++) {
        json_key(j, r->rewrites.at[i].rewrite);
        json_int(j, r->rewrites.at[i].count);
    }
    json_close(j, '}');
    json_int_at(j, "applied", r->applied);
    json_string_at(j, "stopped_by", r->stop);
    json_key(j, "refused");
    json_open(j, '[');
    for (uint32_t i = 0; i < r->explanations.n; i++)
        json_string(j, r->explanations.at[i]);
    json_close(j, ']');
}

static void json_equivalence(Json *j, const char *key, const TgEquivResult *e)
{
    json_key(j, key);
    if (!e) {
        json_string(j, NULL);
        return;
    }
    json_open(j, '{');
    json_string_at(j, "verdict", verdict_word(e->verdict));
    json_number_at(j, "worst_float32", e->worst32);
    json_number_at(j, "worst_float64", e->worst64);
    json_int_at(j, "draws", e->draws);
    json_int_at(j, "regions", e->regions);
    json_int_at(j, "questions", e->checked);
    json_int_at(j, "proved", e->proved);
    json_int_at(j, "by_floats_alone", e->vouched);
    json_number_at(j, "bound_log2", e->bound);
    json_string_at(j, "worst", e->worst);
    json_string_at(j, "witness", e->witness);
    json_close(j, '}');
}

static void json_times(Json *j, const Summary *s)
{
    json_key(j, "seconds");
    json_open(j, '{');
    json_number_at(j, "load", s->load);
    json_number_at(j, "optimize", s->optimize);
    json_number_at(j, "verify", s->verify);
    json_number_at(j, "write", s->write);
    for (uint32_t i = 0; i < s->report->passes.n; i++) {
        json_key(j, s->report->passes.at[i].pass);
        json_number(j, s->report->passes.at[i].seconds);
    }
    json_close(j, '}');
}

bool write_report(Run *run, const Summary *s, const char *path)
{
    Json j;
    json_begin(&j, tg_forever(run->tg));
    json_open(&j, '{');
    json_string_at(&j, "schema", "tgopt.report/1");
    json_string_at(&j, "source", s->source);
    json_string_at(&j, "target", s->target);
    json_figures(&j, "before", &s->before);
    json_figures(&j, "after", &s->after);
    json_operators(&j, s);
    json_rewrites(&j, s->report);
    json_equivalence(&j, "replacements", s->checks);
    json_equivalence(&j, "verification", s->equiv);
    json_conversion(&j, s->conversion);
    json_times(&j, s);
    json_close(&j, '}');
    json_end(&j);
    return write_text(run->tg, path, &j.text);
}
