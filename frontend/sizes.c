/* What a file says about the sizes of its inputs is a hint. Exporters give one name to sizes that differ (a mask that
 * is past + 1 long is called "sequence_length") and write expressions that are false for any other query length
 * ("past_sequence_length + 1"). A rewrite that believed them would be wrong on real data. So each symbolic size of an
 * input is a symbol of its own; that two are equal has to follow from what the operators require (infer.c). Only names
 * on the first axis are believed: there all exporters mean the batch; and those of inputs whose own names differ in
 * numbers or in key and value only (past_key_values.0.key, past_key_values.1.value): layers are alike, and the two of
 * each. The interface keeps the spelling of the file. */
#include <string.h>

#include "sizes.h"

typedef struct {
    Tg *tg;
    TgMap seen;   /* symbol -> 1 + axis where it was first met */
    TgMap layers; /* symbol, axis and role of the input -> the symbol that stands for it */
} Sizes;

/* Equal for names that differ in numbers, or in "key" and "value", only. */
static uint64_t hash_of_role(TgName name)
{
    uint64_t h = 1;
    for (const char *c = name; *c; c++) {
        bool value = strncmp(c, "value", 5) == 0, key = strncmp(c, "key", 3) == 0;
        if (key || value) {
            c += value ? 4 : 2;
            h = tg_mix(h, 256);
        } else if (*c < '0' || *c > '9')
            h = tg_mix(h, (unsigned char)*c);
    }
    return h;
}

/* A symbol like `d` that no input has yet: its name with a number. */
static TgDim another(Sizes *s, TgDim d)
{
    for (unsigned i = 2;; i++) {
        TgDim fresh = tg_dim_symbol(s->tg, tg_name_format(s->tg, "%s__%u", tg_dim_text(s->tg, d), i));
        if (!tg_map_get(&s->seen, TG_KEY(fresh), NULL))
            return fresh;
    }
}

static TgDim believed(Sizes *s, TgDim d, int32_t axis, TgName input)
{
    uint64_t first = 0, twin = 0;
    if (tg_dim_known(d, NULL) || tg_dim_is_fresh(d))
        return d;
    if (!tg_dim_is_symbol(d))
        return tg_dim_fresh(s->tg);
    bool met = tg_map_get(&s->seen, TG_KEY(d), &first);
    uint64_t layer = tg_mix(tg_mix(TG_KEY(d), (uint64_t)axis), input ? hash_of_role(input) : 0);
    if (input && tg_map_get(&s->layers, layer, &twin))
        return (TgDim)(uintptr_t)twin;
    if (met && !(axis == 0 && first == 1))
        d = another(s, d);
    tg_map_put(&s->layers, layer, TG_KEY(d));
    tg_map_put(&s->seen, TG_KEY(d), (uint64_t)axis + 1);
    return d;
}

void distinguish_sizes(TgGraph *g)
{
    Sizes s = {.tg = g->tg};
    TgMark mark = tg_mark(tg_scratch(g->tg));
    tg_map_init(&s.seen, tg_scratch(g->tg));
    tg_map_init(&s.layers, tg_scratch(g->tg));
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        TgDim dim[TG_MAX_RANK];
        if (v->type->kind != TG_TENSOR || v->type->rank < 0)
            continue;
        for (int32_t axis = 0; axis < v->type->rank; axis++)
            dim[axis] = believed(&s, v->type->dim[axis], axis, v->name);
        v->type = tg_type(g->tg, v->type->dtype, v->type->rank, dim);
    }
    tg_release(tg_scratch(g->tg), mark);
}
