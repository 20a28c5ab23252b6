/* --input-shape NAME:D,D...: fixes sizes of graph inputs. Where the model gives a size a name, every
 * other size that is an expression in that name follows; a question mark keeps a size as it is.
 * --fix-dim NAME=N: fixes the sizes of that name, wherever they are. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef struct {
    Tg *tg;
    TgMap sizes; /* symbol -> size + 1 */
} Binding;

static TgDim bound(void *user, TgDim symbol)
{
    Binding *b = user;
    uint64_t n = 0;
    return tg_map_get(&b->sizes, TG_KEY(symbol), &n) ? tg_dim(b->tg, (int64_t)n - 1) : NULL;
}

static TgValue input_named(const TgGraph *g, const char *name, size_t n)
{
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgName own = tg_value(g, g->inputs.at[i])->name;
        if (own && strlen(own) == n && memcmp(own, name, n) == 0)
            return g->inputs.at[i];
    }
    return 0;
}

/* Reads the sizes after the colon: -1 where one is kept. */
static bool read_sizes(const char *text, int64_t *size, int32_t *n)
{
    for (*n = 0; *text;) {
        char *end = (char *)(uintptr_t)text + 1;
        if (*n == TG_MAX_RANK)
            return false;
        long long x = *text == '?' ? -1 : strtoll(text, &end, 10);
        if (end == text || (*end && *end != ',') || x < -1)
            return false;
        size[(*n)++] = x;
        text = end + (*end == ',');
    }
    return true;
}

/* From now on `symbol` means n, if it is a symbol. */
static void bind(Binding *b, TgDim symbol, int64_t n)
{
    if (tg_dim_is_symbol(symbol))
        tg_map_put(&b->sizes, TG_KEY(symbol), (uint64_t)n + 1);
}

/* Binds the names of the input's sizes; sizes that have none are replaced in the type alone. */
static bool fix(Binding *b, TgGraph *g, TgValue v, int32_t n, const int64_t *size)
{
    TgValueInfo *info = tg_value(g, v);
    const TgType *type = info->type, *declared = info->declared;
    TgDim dim[TG_MAX_RANK];
    if (type->kind != TG_TENSOR || (type->rank >= 0 && type->rank != n))
        return usage("input '%s' has the type %s", info->name, tg_type_text(b->tg, type));
    for (int32_t i = 0; i < n; i++) {
        TgDim old = type->rank < 0 ? tg_dim_fresh(b->tg) : type->dim[i];
        int64_t known;
        dim[i] = size[i] < 0 ? old : tg_dim(b->tg, size[i]);
        if (size[i] < 0)
            continue;
        if (tg_dim_known(old, &known) && known != size[i])
            return usage("input '%s' has %lld along axis %d", info->name, (long long)known, (int)i);
        bind(b, old, size[i]);
        if (declared && declared->kind == TG_TENSOR && declared->rank == n)
            bind(b, declared->dim[i], size[i]);
    }
    info->type = tg_type(b->tg, type->dtype, n, dim);
    return true;
}

static const TgType *substituted(Binding *b, const TgType *type)
{
    TgDim dim[TG_MAX_RANK];
    if (!type || type->kind != TG_TENSOR || type->rank < 0)
        return type;
    for (int32_t i = 0; i < type->rank; i++)
        dim[i] = tg_dim_substitute(b->tg, type->dim[i], bound, b);
    return tg_type(b->tg, type->dtype, type->rank, dim);
}

/* A size that the file gives a bound name (or an expression in some) has that size, though we took the name
 * for no more than a hint until now. */
static void bind_by_declaration(Binding *b, const TgValueInfo *info)
{
    const TgType *said = substituted(b, info->declared);
    int64_t n;
    if (!said || said->kind != TG_TENSOR || said->rank < 0 || said->rank != info->type->rank)
        return;
    for (int32_t i = 0; i < said->rank; i++)
        if (said->dim[i] != info->declared->dim[i] && tg_dim_known(said->dim[i], &n))
            bind(b, info->type->dim[i], n);
}

static void substitute_all(Binding *b, TgGraph *g)
{
    for (uint32_t i = 0; i < g->inputs.n; i++)
        bind_by_declaration(b, tg_value(g, g->inputs.at[i]));
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgValueInfo *info = tg_value(g, g->inputs.at[i]);
        info->type = substituted(b, info->type);
        info->declared = info->type;
        info->type_wire = (TgBytes){0};
    }
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        TgReturn *out = &g->outputs.at[i];
        const TgType *fixed = substituted(b, out->declared);
        if (fixed != out->declared)
            out->type_wire = (TgBytes){0};
        out->declared = fixed;
    }
}

/* One --input-shape. */
static bool fix_input(Binding *b, TgGraph *g, const char *text)
{
    const char *colon = strrchr(text, ':');
    int64_t size[TG_MAX_RANK];
    int32_t n;
    if (!colon || !read_sizes(colon + 1, size, &n))
        return usage("--input-shape wants NAME:D,D..., not '%s'", text);
    TgValue v = input_named(g, text, (size_t)(colon - text));
    if (!v)
        return usage("the model has no input '%.*s'", (int)(colon - text), text);
    return fix(b, g, v, n, size);
}

typedef struct {
    TgDim wanted;
    bool found;
} Search;

static void compare(void *user, TgDim symbol)
{
    Search *s = user;
    s->found = s->found || symbol == s->wanted;
}

static void search(Search *s, const TgType *type)
{
    for (int32_t i = 0; type && type->kind == TG_TENSOR && i < type->rank; i++)
        tg_dim_symbols(type->dim[i], compare, s);
}

/* Some input or output has a size in which the name occurs. */
static bool occurs(const TgGraph *g, TgDim symbol)
{
    Search s = {.wanted = symbol};
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        search(&s, tg_value(g, g->inputs.at[i])->type);
        search(&s, tg_value(g, g->inputs.at[i])->declared);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++)
        search(&s, g->outputs.at[i].declared);
    return s.found;
}

/* One --fix-dim. */
static bool fix_dim(Binding *b, const TgGraph *g, const char *text)
{
    const char *equals = strrchr(text, '=');
    int64_t n;
    int32_t count;
    if (!equals || equals == text || !read_sizes(equals + 1, &n, &count) || count != 1 || n < 0)
        return usage("--fix-dim wants NAME=N, not '%s'", text);
    TgDim symbol = tg_dim_symbol(b->tg, tg_name_format(b->tg, "%.*s", (int)(equals - text), text));
    uint64_t before = 0;
    if (!occurs(g, symbol))
        return usage("no size of an input or output is called '%.*s' (tgopt inspect lists them)",
                     (int)(equals - text), text);
    if (tg_map_get(&b->sizes, TG_KEY(symbol), &before) && before != (uint64_t)n + 1)
        return usage("'%.*s' would be %lld and %lld", (int)(equals - text), text, (long long)before - 1,
                     (long long)n);
    bind(b, symbol, n);
    return true;
}

bool fix_input_shapes(Run *run, TgModel *model)
{
    const Arguments *a = &run->arguments;
    Binding b = {.tg = run->tg};
    tg_map_init(&b.sizes, tg_forever(run->tg));
    for (uint32_t i = 0; i < a->given.n; i++) {
        const Given *given = &a->given.at[i];
        run->code = EXIT_USAGE;
        if ((given->id == OPT_input_shape && !fix_input(&b, model->graph, given->value)) ||
            (given->id == OPT_fix_dim && !fix_dim(&b, model->graph, given->value)))
            return false;
        run->code = EXIT_OK;
    }
    if (!has(a, OPT_input_shape) && !has(a, OPT_fix_dim))
        return true;
    substitute_all(&b, model->graph);
    return tg_infer_graph(model->graph);
}
