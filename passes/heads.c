/* What is split is looked at first: where every part of a Split is viewed or transposed alike, the whole is, once.
 *
 *     Reshape(part i, [.., h_i, d])   ->  part i of Reshape(x, [.., sum of h, d])
 *     Transpose(part i; perm)         ->  part i of Transpose(x; perm)
 *
 * That is what merged projections leave: Q, K and V are cut apart and then each is divided into heads. Where one part
 * is transposed in another way than the others (K, for its product with Q), what differs is done to that part alone.
 * Exact: elements only move. Needs: inferred types. From opset 23 on heads go into Attention, so there it waits until
 * that has found what it can, and leaves what an Attention reads. */
#include <string.h>

#include "views.h"

enum { MOST_PARTS = 16, ATTENTION_SINCE = 23 };

typedef struct {
    TgValue x; /* what is split, into n parts, along `axis` */
    uint32_t n;
    int64_t axis;
    TgNodeInfo *reader[MOST_PARTS]; /* the only one of each part: a Reshape, or a Transpose */
} Parts;

static bool read_parts(const TgPass *p, const TgNodeInfo *split, TgOp by, Parts *s)
{
    const TgGraph *g = p->g;
    if (split->dead || split->op != TG_Split || split->n_out < 2 || split->n_out > MOST_PARTS ||
        pass_rank(g, split->in[0]) < 1)
        return false;
    *s = (Parts){.x = split->in[0], .n = split->n_out, .axis = tg_attr_int(split, "axis")};
    s->axis += s->axis < 0 ? pass_rank(g, s->x) : 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (!tg_used_once(g, split->out[i]))
            return false;
        TgUse use = tg_value(g, split->out[i])->uses.at[0];
        s->reader[i] = tg_node(g, use.node);
        if (s->reader[i]->op != by || use.slot != 0 || !tg_is_tensor(tg_type_of(g, s->reader[i]->out[0])))
            return false;
    }
    return true;
}

/* The Split of `whole` along `axis` into sizes[i], whose parts take the places of to[i]. */
static void split_later(TgPass *p, uint32_t n, TgValue whole, int64_t axis, const int64_t *sizes,
                        TgValue *parts)
{
    TgValue in[2] = {whole, pass_ints(p, n, sizes)};
    TgNode made =
        whole ? tg_graph_add(p->g, TG_Split, tg_attrs(p->tg, TG_Split, "axis=i", axis), 2, in, n) : 0;
    for (uint32_t i = 0; i < n; i++)
        parts[i] = made ? tg_node(p->g, made)->out[i] : 0;
}

static bool put_in_place(TgPass *p, const Parts *s, const TgValue *parts, const char *rewrite)
{
    TgValue old[MOST_PARTS];
    for (uint32_t i = 0; i < s->n; i++) {
        old[i] = s->reader[i]->out[0];
        if (!parts[i] || !same_type(p->g, parts[i], old[i]))
            return false;
    }
    pass_count(p, rewrite);
    return pass_replace_all(p, s->n, old, parts, rewrite);
}

/* Every part becomes [.., h, d] with a d that all share: h of each; false: they do not. */
static bool heads_of(const TgPass *p, const Parts *s, int64_t *heads, int64_t *all)
{
    const TgType *whole = tg_type_of(p->g, s->x);
    int32_t last = whole->rank - 1;
    *all = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const TgType *to = tg_type_of(p->g, s->reader[i]->out[0]),
                     *first = tg_type_of(p->g, s->reader[0]->out[0]);
        bool alike = s->axis == last && to->rank == last + 2 && to->dim[last + 1] == first->dim[last + 1] &&
                     tg_dim_known(to->dim[last], &heads[i]) && pass_dim(p->g, s->reader[i]->out[0], -1) > 0;
        for (int32_t k = 0; alike && k < last; k++)
            alike = to->dim[k] == whole->dim[k];
        if (!alike)
            return false;
        *all += heads[i];
    }
    return true;
}

static void divide_before_split(TgPass *p, const Parts *s)
{
    int64_t heads[MOST_PARTS], all, target[TG_MAX_RANK];
    TgDim dim[TG_MAX_RANK];
    if (!heads_of(p, s, heads, &all) || !pass_may(p))
        return;
    const TgType *whole = tg_type_of(p->g, s->x), *part = tg_type_of(p->g, s->reader[0]->out[0]);
    for (int32_t k = 0; k < part->rank; k++)
        dim[k] = k == whole->rank - 1 ? tg_dim(p->tg, all) : part->dim[k];
    const TgType *to = tg_type(p->tg, whole->dtype, part->rank, dim);
    if (!constant_target(whole, to, target))
        return;
    TgValue parts[MOST_PARTS],
        view = pass_op(p, TG_Reshape, NULL, 2, s->x, pass_ints(p, (uint32_t)to->rank, target));
    split_later(p, s->n, view, whole->rank - 1, heads, parts);
    put_in_place(p, s, parts, "heads-before-split");
}

/* The permutation that most readers share comes first: its number of readers is the result. */
static uint32_t commonest(const TgPass *p, const Parts *s, int64_t perm[][TG_MAX_RANK], uint32_t *which)
{
    uint32_t best = 0;
    int32_t rank = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (!transpose_permutation(p->g, s->reader[i], perm[i], &rank))
            return 0;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t same = 0;
        for (uint32_t j = 0; j < s->n; j++)
            same += memcmp(perm[i], perm[j], (size_t)rank * sizeof *perm[i]) == 0;
        if (same > best) {
            best = same;
            *which = i;
        }
    }
    return best;
}

/* The transposition that leads from `done` to `wanted`; 0: trouble, recorded. */
static TgValue transpose_rest(TgPass *p, TgValue v, int32_t rank, const int64_t *done, const int64_t *wanted)
{
    int64_t rest[TG_MAX_RANK];
    bool identity = true;
    for (int32_t i = 0; i < rank; i++)
        for (int32_t k = 0; k < rank; k++)
            if (done[k] == wanted[i]) {
                rest[i] = k;
                identity = identity && k == i;
            }
    return identity || !v ? v : pass_op(p, TG_Transpose, transpose_attrs(p->tg, rank, rest), 1, v);
}

static void transpose_before_split(TgPass *p, const TgNodeInfo *split, const Parts *s)
{
    int64_t perm[MOST_PARTS][TG_MAX_RANK], sizes[MOST_PARTS], axis = 0;
    uint32_t which = 0, same = commonest(p, s, perm, &which);
    int32_t rank = pass_rank(p->g, s->x);
    if (same < 2 || !pass_may(p))
        return;
    for (uint32_t i = 0; i < s->n; i++)
        if ((sizes[i] = pass_dim(p->g, split->out[i], (int32_t)s->axis)) < 0)
            return;
    while (perm[which][axis] != s->axis)
        axis++;
    TgValue parts[MOST_PARTS],
        whole = pass_op(p, TG_Transpose, transpose_attrs(p->tg, rank, perm[which]), 1, s->x);
    split_later(p, s->n, whole, axis, sizes, parts);
    for (uint32_t i = 0; i < s->n; i++)
        parts[i] = transpose_rest(p, parts[i], rank, perm[which], perm[i]);
    put_in_place(p, s, parts, "transpose-before-split");
}

/* Some part is an operand of Attention, as it is or viewed. */
static bool goes_into_attention(const TgGraph *g, const TgNodeInfo *split)
{
    for (uint32_t i = 0; i < split->n_out; i++) {
        TgValue v = split->out[i];
        const TgNodeInfo *reader = NULL;
        while (tg_used_once(g, v)) {
            reader = tg_node(g, tg_value(g, v)->uses.at[0].node);
            if (!is_view(reader->op) && reader->op != TG_Transpose)
                break;
            v = reader->out[0];
        }
        if (reader && reader->op == TG_Attention)
            return true;
    }
    return false;
}

void pass_heads(TgPass *p)
{
    uint32_t n;
    bool attention = p->opset >= ATTENTION_SINCE;
    if (attention && !p->settled)
        return;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        Parts s;
        const TgNodeInfo *split = tg_node(p->g, nodes[i]);
        if (attention && split->op == TG_Split && goes_into_attention(p->g, split))
            continue;
        if (read_parts(p, split, TG_Reshape, &s))
            divide_before_split(p, &s);
        else if (read_parts(p, split, TG_Transpose, &s))
            transpose_before_split(p, split, &s);
    }
}
