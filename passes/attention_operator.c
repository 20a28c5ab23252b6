/* An Attention that is there already, read like its pieces: so that its operands lose head splits,
 * repetitions and factors that were not visible when it was made, or that an exporter wrote around it. */
#include <math.h>

#include "attention.h"

enum { PAST_KEY = 4, PAST_VALUE = 5, NONPAD = 6 };

/* (batch)(heads)(length)(size) of an operand or result, whichever way it lies; `heads`: of rank 3.
 * False: they do not fit. */
static bool read_axes(Alphabet *abc, AxisMap *map, int64_t heads, Word axis[4])
{
    AxisMap split = {.v = map->v, .rank = 4};
    if (map->rank == 4) {
        for (int32_t i = 0; i < 4; i++)
            axis[i] = map->axis[i];
        return true;
    }
    TgDim whole = axes_size(abc, &map->axis[2]), size, count = tg_dim(abc->g->tg, heads);
    if (map->rank != 3 || heads < 1 || !tg_dim_exact_div(abc->g->tg, whole, count, &size) ||
        !axes_divide(abc, &map->axis[2], count, size, &split.axis[1], &split.axis[3]))
        return false;
    axis[0] = map->axis[0];
    axis[1] = split.axis[1];
    axis[2] = map->axis[1];
    axis[3] = split.axis[3];
    return true;
}

/* An operand of those axes. */
static bool write_axes(const Alphabet *abc, TgValue v, const Word axis[4], AxisMap *map)
{
    *map = (AxisMap){.v = v, .rank = pass_rank(abc->g, v)};
    if (map->rank == 4) {
        for (int32_t i = 0; i < 4; i++)
            map->axis[i] = axis[i];
        return true;
    }
    map->axis[0] = axis[0];
    map->axis[1] = axis[2];
    map->axis[2] = axes_join(abc, 2, (Word[]){axis[1], axis[3]});
    return map->rank == 3;
}

static TgDim operand_dim(const Alphabet *abc, TgValue v, int32_t of_four, int64_t heads)
{
    const TgType *t = tg_type_of(abc->g, v);
    if (t->rank == 4)
        return t->dim[of_four];
    Tg *tg = abc->g->tg;
    return of_four == 0   ? t->dim[0]
           : of_four == 1 ? tg_dim(tg, heads)
           : of_four == 2 ? t->dim[1]
                          : tg_dim_div(tg, t->dim[2], tg_dim(tg, heads > 0 ? heads : 1));
}

/* Factors of 16-bit operands stay where attention_write.c put them. */
static bool follows_factors(const Attention *a)
{
    return tg_dtype_bits(tg_type_of(a->abc.g, a->op->in[0])->dtype) >= 32;
}

TgValue attention_given(const TgGraph *g, const TgNodeInfo *op, uint32_t slot)
{
    return slot < op->n_out && is_read(g, op->out[slot]) ? op->out[slot] : 0;
}

/* Keys or values: heads that they share with queries, their length, their size. With a past they are what
 * output `slot` gives, old and new ones, also where nobody reads it: then `past` stands for the element type of
 * both. A factor of keys is followed where it is one of all keys, and these are not given back. */
static bool read_side(Attention *a, uint32_t slot, const Word of_result[4], const Word *size, Trail *trail,
                      Cache *cache)
{
    Alphabet *abc = &a->abc;
    const TgNodeInfo *n = a->op;
    Tg *tg = abc->g->tg;
    int64_t count = tg_attr_int(n, "kv_num_heads");
    TgValue v = n->in[slot], past = in(n, slot == 1 ? PAST_KEY : PAST_VALUE);
    TgValue given = attention_given(abc->g, n, slot);
    TgDim heads = operand_dim(abc, v, 1, count), share;
    Word axis[4] = {of_result[0], of_result[1], a->keys, *size}, shared;
    AxisMap map;
    if (operand_dim(abc, v, 0, count) != axes_size(abc, &axis[0]) ||
        !tg_dim_exact_div(tg, axes_size(abc, &of_result[1]), heads, &share) ||
        !axes_divide(abc, &of_result[1], heads, share, &axis[1], &shared))
        return false;
    if (past) {
        cache->there = true;
        cache->all = given;
        cache->of_all = (AxisMap){.v = given ? given : past, .rank = 4};
        for (int32_t i = 0; i < 4; i++)
            cache->of_all.axis[i] = axis[i];
        cache->past = cache->of_all;
        cache->past.v = past;
        cache->past_keys = cache->past.axis[2] = axes_word(abc, tg_type_of(abc->g, past)->dim[2]);
        cache->new_keys = axis[2] = axes_word(abc, operand_dim(abc, v, 2, count));
    }
    if (!write_axes(abc, v, axis, &map))
        return false;
    bool with_scale = slot == 1 && !past && !given && follows_factors(a);
    attention_follow(abc, &map, with_scale, past ? &cache->fresh : trail);
    if (past)
        *trail = (Trail){.n = 1, .at = {cache->of_all}, .scale = {1}};
    return true;
}

/* The mask, aligned at the end with batch, heads, queries, keys. */
static bool read_mask(TgPass *p, Attention *a, const Word axis[4])
{
    TgValue mask = in(a->op, 3);
    if (!mask)
        return true;
    const TgType *t = tg_type_of(p->g, mask);
    if (!tg_is_tensor(t) || t->rank > 4 || t->rank < 1)
        return false;
    MaskTerm *term = &a->term[a->n_terms++];
    *term = (MaskTerm){.map = {.v = mask, .rank = t->rank}, .hidden = -INFINITY};
    term->is_condition = t->dtype == TG_bool;
    for (int32_t i = 0; i < t->rank; i++) {
        const Word *w = &axis[4 - t->rank + i];
        if (t->dim[i] == axes_size(&a->abc, w))
            term->map.axis[i] = *w;
        else if (!tg_dim_is(t->dim[i], 1))
            return false;
    }
    return mask_read(p, a);
}

static bool plain(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->n_out > 3 && is_read(g, n->out[3]))
        return false;
    for (uint32_t i = 0; i < 3; i++)
        if (pass_rank(g, n->in[i]) != 3 && pass_rank(g, n->in[i]) != 4)
            return false;
    TgValue past_key = in(n, PAST_KEY), past_value = in(n, PAST_VALUE);
    bool pasts = past_key && past_value ? pass_rank(g, past_key) == 4 && pass_rank(g, past_value) == 4
                                        : !past_key && !past_value;
    return !in(n, NONPAD) && pasts && tg_is_float(tg_type_of(g, n->in[0])->dtype);
}

static bool read_scale(Attention *a)
{
    int64_t size;
    a->scale = tg_attr_float(a->op, "scale");
    if (tg_attr_has(a->op->attrs, "scale"))
        return true;
    a->scale = tg_dim_known(axes_size(&a->abc, &a->size), &size) ? 1 / sqrt((double)size) : 0;
    return a->scale > 0;
}

static bool read_chain(TgPass *p, Attention *a, const TgValue *chain, uint32_t n)
{
    const TgNodeInfo *op = a->op;
    Alphabet *abc = &a->abc;
    int64_t heads = tg_attr_int(op, "q_num_heads"), kv = tg_attr_int(op, "kv_num_heads");
    Word axis[4];
    AxisMap q;
    if (!attention_read_result(a, chain, n) || !read_axes(abc, &a->result.at[a->result.n - 1], heads, axis))
        return false;
    a->lead = axes_join(abc, 2, axis);
    a->queries = axis[2];
    a->value_size = axis[3];
    a->size = axes_word(abc, operand_dim(abc, op->in[0], 3, heads));
    TgDim length = operand_dim(abc, op->in[1], 2, kv);
    if (in(op, PAST_KEY))
        length = tg_dim_add(p->tg, length, tg_type_of(p->g, op->in[PAST_KEY])->dim[2]);
    a->keys = axes_word(abc, length);
    Word q_axis[4] = {axis[0], axis[1], axis[2], a->size},
         mask_axis[4] = {axis[0], axis[1], axis[2], a->keys};
    if (!write_axes(abc, op->in[0], q_axis, &q) || !read_side(a, 1, axis, &a->size, &a->k, &a->k_cache) ||
        !read_side(a, 2, axis, &a->value_size, &a->v, &a->v_cache) || !read_scale(a))
        return false;
    attention_follow(abc, &q, follows_factors(a), &a->q);
    return read_mask(p, a, mask_axis) && !abc->full;
}

bool attention_read_operator(TgPass *p, TgNodeInfo *node, Attention *a)
{
    TgValue chain[TRAIL_MOST];
    *a = (Attention){.at = node};
    if (!plain(p->g, node))
        return false;
    for (uint32_t n = attention_follow_result(p->g, node->out[0], false, chain); n; n--) {
        *a = (Attention){
            .at = node, .op = node, .abc = {.g = p->g}, .nan_is_zero = true, .shown = {.mode = SHOW_NOTHING}};
        a->softcap = tg_attr_float(node, "softcap");
        a->is_causal = tg_attr_int(node, "is_causal") != 0;
        if (read_chain(p, a, chain, n))
            return true;
    }
    return false;
}

bool attention_is_usual(const TgPass *p, const TgNodeInfo *node)
{
    enum { SCORES = 3 };
    TgDtype own = tg_type_of(p->g, node->in[0])->dtype;
    bool same = !tg_attr_has(node->attrs, "softmax_precision") || tg_attr_int(node, "softmax_precision") == own;
    return same && !in(node, NONPAD) && (node->n_out <= SCORES || !is_read(p->g, node->out[SCORES]));
}
