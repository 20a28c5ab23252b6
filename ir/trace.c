/* Writing certificates; see trace.h. */
#include <string.h>

#include "trace.h"

static void add_string(TgText *text, const char *key, const char *value)
{
    tg_text_format(text, ",\"%s\":", key);
    tg_text_json(text, value ? value : "", value ? strlen(value) : 0);
}

/* The line that starts at `from` gets the hash of itself and of the chain before it. */
static void seal(TgTrace *t, size_t from)
{
    t->chain = tg_hash(t->text.at + from, t->text.n - from, t->chain);
    tg_text_format(&t->text, ",\"chain\":\"%016llx\"}\n", (unsigned long long)t->chain);
}

void tg_trace_begin(TgTrace *t, TgArena *arena, uint64_t source, uint64_t seed, const char *version)
{
    *t = (TgTrace){.seed = seed};
    tg_text_init(&t->text, arena);
    tg_text_format(&t->text, "{\"schema\":\"tgopt.trace/2\",\"source\":\"%016llx\",\"seed\":%llu",
                   (unsigned long long)source, (unsigned long long)seed);
    add_string(&t->text, "version", version);
    seal(t, 0);
}

uint64_t tg_trace_rule_hash(const char *pass, const char *rewrite, const char *rule)
{
    const char *const parts[] = {pass, rewrite, rule};
    uint64_t hash = 0;
    for (uint32_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash = tg_hash(parts[i], strlen(parts[i]) + 1, hash);
    return hash;
}

/* A list of pairs: two inputs may be called the same. */
static void add_bindings(TgText *text, const TgReplacement *check)
{
    tg_text_add(text, ",\"bindings\":[");
    for (uint32_t i = 0; i < check->n_bindings; i++) {
        const TgBinding *b = &check->binding[i];
        tg_text_add(text, i ? ",[" : "[");
        tg_text_json(text, b->input, strlen(b->input));
        tg_text_add(text, ",");
        tg_text_json(text, b->value, strlen(b->value));
        tg_text_add(text, "]");
    }
    tg_text_add(text, "]");
}

void tg_trace_step(TgTrace *t, const TgTraceStep *s)
{
    size_t from = t->text.n;
    tg_text_format(&t->text, "{\"step\":%lld,\"rewrite\":%lld", (long long)++t->steps, (long long)s->number);
    add_string(&t->text, "pass", s->pass);
    add_string(&t->text, "rule", s->rewrite);
    add_string(&t->text, "rule_text", s->rule);
    uint64_t hash = tg_trace_rule_hash(s->pass, s->rewrite, s->rule);
    tg_text_format(&t->text, ",\"rule_hash\":\"%016llx\"", (unsigned long long)hash);
    add_string(&t->text, "place", s->place);
    add_bindings(&t->text, s->check);
    tg_text_format(&t->text, ",\"proved\":%s,\"bound_log2\":%.1f", s->check->proved ? "true" : "false",
                   s->check->proved ? s->check->bound : 0);
    add_string(&t->text, "before", s->check->before);
    add_string(&t->text, "after", s->check->after);
    seal(t, from);
}

void tg_trace_end(TgTrace *t, uint64_t result)
{
    size_t from = t->text.n;
    tg_text_format(&t->text, "{\"steps\":%lld,\"result\":\"%016llx\"", (long long)t->steps,
                   (unsigned long long)result);
    seal(t, from);
}

/* --- models --------------------------------------------------------------------------------------------- */

static bool add_file(TgMap *seen, const TgFile *file, uint64_t *hash)
{
    if (!file || tg_map_get(seen, TG_KEY(file), NULL))
        return false;
    tg_map_put(seen, TG_KEY(file), 1);
    *hash = tg_hash(file->bytes, file->size, *hash);
    return true;
}

/* Tensors of subgraphs lie in the same files as others; those that only they use are few, and found as
 * well. */
static void add_files(const TgGraph *g, TgMap *seen, uint64_t *hash)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->tensor)
            add_file(seen, tg_value(g, v)->tensor->file, hash);
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            add_files(tg_node(g, n)->sub[s].graph, seen, hash);
}

uint64_t tg_model_hash(const TgModel *model)
{
    TgMark mark = tg_mark(tg_scratch(model->tg));
    TgMap seen;
    uint64_t hash = 0;
    tg_map_init(&seen, tg_scratch(model->tg));
    add_file(&seen, model->file, &hash);
    add_files(model->graph, &seen, &hash);
    tg_release(tg_scratch(model->tg), mark);
    return hash;
}
