/* What a file says about the sizes of its inputs is a hint. Exporters give one name to sizes that differ (a mask that is
 * past + 1 long is called "sequence_length") and write expressions that are false for any other query length
 * ("past_sequence_length + 1"). A rewrite that believed them would be wrong on real data. So each symbolic size of an
 * input is a symbol of its own; that two are equal has to follow from what the operators require (infer.c). Only names
 * on the first axis are believed: there all exporters mean the batch. The interface keeps the spelling of the file. */
#include "sizes.h"

typedef struct {
    Tg *tg;
    TgMap seen; /* symbol -> 1 + axis where it was first met */
} Sizes;

/* A symbol like `d` that no input has yet: its name with a number. */
static TgDim another(Sizes *s, TgDim d)
{
    for (unsigned i = 2;; i++) {
        TgDim fresh = tg_dim_symbol(s->tg, tg_name_format(s->tg, "%s__%u", tg_dim_text(s->tg, d), i));
        if (!tg_map_get(&s->seen, TG_KEY(fresh), NULL))
            return fresh;
    }
}

static TgDim believed(Sizes *s, TgDim d, int32_t axis)
{
    uint64_t first = 0;
    if (tg_dim_known(d, NULL) || tg_dim_is_fresh(d))
        return d;
    if (!tg_dim_is_symbol(d))
        return tg_dim_fresh(s->tg);
    bool met = tg_map_get(&s->seen, TG_KEY(d), &first);
    if (met && !(axis == 0 && first == 1))
        d = another(s, d);
    tg_map_put(&s->seen, TG_KEY(d), (uint64_t)axis + 1);
    return d;
}

void distinguish_sizes(TgGraph *g)
{
    Sizes s = {.tg = g->tg};
    TgMark mark = tg_mark(tg_scratch(g->tg));
    tg_map_init(&s.seen, tg_scratch(g->tg));
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        TgDim dim[TG_MAX_RANK];
        if (v->type->kind != TG_TENSOR || v->type->rank < 0)
            continue;
        for (int32_t axis = 0; axis < v->type->rank; axis++)
            dim[axis] = believed(&s, v->type->dim[axis], axis);
        v->type = tg_type(g->tg, v->type->dtype, v->type->rank, dim);
    }
    tg_release(tg_scratch(g->tg), mark);
}
