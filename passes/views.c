/* Views: Reshape, Flatten, Squeeze and Unsqueeze only rename the places of elements that stay in order. A chain of
 * them is therefore one step from its root to its end, written in the cheapest way: nothing where the types are
 * equal, a Reshape to a constant where the sizes allow one (0 copies a size, -1 is the one that is left), Unsqueeze
 * or Squeeze where only sizes of 1 come or go. A Transpose that moves nothing but sizes of 1 is a view; two of them
 * are one. Needs: inferred types. Breaks: nothing. */
#include "views.h"

bool is_view(TgOp op)
{
    return op == TG_Reshape || op == TG_Flatten || op == TG_Squeeze || op == TG_Unsqueeze;
}

static TgValue root_of(const TgGraph *g, TgValue v)
{
    for (;;) {
        const TgValueInfo *info = tg_value(g, v);
        if (info->origin != TG_V_RESULT || !is_view(tg_node(g, info->node)->op) ||
            pass_rank(g, tg_node(g, info->node)->in[0]) < 0)
            return v;
        v = tg_node(g, info->node)->in[0];
    }
}

bool constant_target(const TgType *from, const TgType *to, int64_t *target)
{
    bool rest = false;
    for (int32_t i = 0; i < to->rank; i++) {
        int64_t n;
        if (i < from->rank && from->dim[i] == to->dim[i])
            target[i] = tg_dim_known(to->dim[i], &n) && n > 0 ? n : 0;
        else if (tg_dim_known(to->dim[i], &n)) {
            if (n == 0)
                return false;
            target[i] = n;
        } else if (!rest) {
            target[i] = -1;
            rest = true;
        } else
            return false;
    }
    return true;
}

/* Axes at which `longer` has sizes of 1 that `shorter` lacks; false: they differ in another way. */
static bool inserted_ones(const TgType *shorter, const TgType *longer, int64_t *axes, uint32_t *n)
{
    int32_t i = 0;
    *n = 0;
    for (int32_t k = 0; k < longer->rank; k++)
        if (i < shorter->rank && shorter->dim[i] == longer->dim[k])
            i++;
        else if (tg_dim_is(longer->dim[k], 1))
            axes[(*n)++] = k;
        else
            return false;
    return i == shorter->rank;
}

static TgValue by_ones(TgPass *p, TgValue root, const TgType *to)
{
    const TgType *from = tg_type_of(p->g, root);
    int64_t axes[TG_MAX_RANK];
    uint32_t n;
    if (from->rank < to->rank && inserted_ones(from, to, axes, &n))
        return pass_op(p, TG_Unsqueeze, NULL, 2, root, pass_ints(p, n, axes));
    if (from->rank > to->rank && inserted_ones(to, from, axes, &n))
        return pass_op(p, TG_Squeeze, NULL, 2, root, pass_ints(p, n, axes));
    return 0;
}

/* A shape operand whose elements can be read literally, whatever tensor it is applied to. */
static bool literal(const TgGraph *g, TgValue shape)
{
    const TgValueInfo *v = tg_value(g, shape);
    int64_t n;
    if (!v->symbolic || !tg_type_numel(v->type, &n))
        return false;
    for (int64_t i = 0; i < n; i++)
        if (tg_dim_lower(v->symbolic[i]) < 1 && !tg_dim_is(v->symbolic[i], -1) && !tg_dim_is_symbol(v->symbolic[i]))
            return false;
    return true;
}

/* One step from root to the type of node n; 0 where there is none that beats the chain. */
static TgValue one_step(TgPass *p, const TgNodeInfo *n, TgValue root)
{
    const TgType *from = tg_type_of(p->g, root), *to = tg_type_of(p->g, n->out[0]);
    int64_t target[TG_MAX_RANK];
    TgValue made = by_ones(p, root, to);
    if (made)
        return made;
    if (constant_target(from, to, target))
        return pass_op(p, TG_Reshape, NULL, 2, root, pass_ints(p, (uint32_t)to->rank, target));
    if (n->op == TG_Reshape && literal(p->g, n->in[1]))
        return pass_op(p, TG_Reshape, n->attrs, 2, root, n->in[1]);
    return 0;
}

static void shorten(TgPass *p, TgNodeInfo *n)
{
    TgValue root = root_of(p->g, n->in[0]);
    const TgType *from = tg_type_of(p->g, root), *to = tg_type_of(p->g, n->out[0]);
    if (!tg_is_tensor(from) || !tg_is_tensor(to) || !pass_may(p) || masks_downstream(p, n))
        return;
    if (from == to) {
        pass_count(p, "drop-view");
        pass_replace(p, n->out[0], root, "drop-view");
        return;
    }
    int64_t target[TG_MAX_RANK];
    bool computed = n->op == TG_Reshape && !is_const(p->g, n->in[1]);
    TgValue made = 0;
    if (root != n->in[0])
        made = one_step(p, n, root);
    else if (computed && constant_target(from, to, target))
        made = pass_op(p, TG_Reshape, NULL, 2, root, pass_ints(p, (uint32_t)to->rank, target));
    if (made && same_type(p->g, made, n->out[0])) {
        pass_count(p, root != n->in[0] ? "merge-views" : "constant-shape");
        pass_replace(p, n->out[0], made, "merge-views");
    }
}

/* --- transpose ---------------------------------------------------------------------------------------------------- */

bool transpose_permutation(const TgGraph *g, const TgNodeInfo *n, int64_t *perm, int32_t *rank)
{
    uint32_t count;
    const int64_t *given = tg_attr_ints(n, "perm", &count);
    *rank = pass_rank(g, n->in[0]);
    if (*rank < 0 || (given && (int32_t)count != *rank))
        return false;
    for (int32_t i = 0; i < *rank; i++)
        perm[i] = given ? given[i] : *rank - 1 - i;
    return true;
}

const TgAttrs *transpose_attrs(Tg *tg, int32_t rank, const int64_t *perm)
{
    TgAttrBuild b;
    tg_attrs_begin(&b, tg);
    tg_attrs_ints(&b, "perm", (uint32_t)rank, perm);
    return tg_attrs_end(&b, TG_Transpose);
}

static void compose(TgPass *p, TgNodeInfo *n)
{
    const TgNodeInfo *first = tg_producer(p->g, n->in[0], TG_Transpose);
    int64_t a[TG_MAX_RANK], b[TG_MAX_RANK], both[TG_MAX_RANK];
    int32_t rank;
    if (!first || !transpose_permutation(p->g, first, a, &rank) ||
        !transpose_permutation(p->g, n, b, &rank) || !pass_allow(p, "merge-transposes"))
        return;
    for (int32_t i = 0; i < rank; i++)
        both[i] = a[b[i]];
    TgValue made = pass_op(p, TG_Transpose, transpose_attrs(p->tg, rank, both), 1, first->in[0]);
    if (made)
        pass_replace(p, n->out[0], made, "merge-transposes");
}

static void transpose_as_view(TgPass *p, TgNodeInfo *n)
{
    int64_t perm[TG_MAX_RANK], target[TG_MAX_RANK], last = -1;
    int32_t rank;
    if (!transpose_permutation(p->g, n, perm, &rank))
        return;
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    for (int32_t i = 0; i < rank; i++)
        if (!tg_dim_is(from->dim[perm[i]], 1)) {
            if (perm[i] < last)
                return;
            last = perm[i];
        }
    if (tg_is_tensor(from) && constant_target(from, to, target) && pass_allow(p, "transpose-to-reshape")) {
        TgValue made = pass_op(p, TG_Reshape, NULL, 2, n->in[0], pass_ints(p, (uint32_t)rank, target));
        if (made)
            pass_replace(p, n->out[0], made, "transpose-to-reshape");
    }
}

void pass_views(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (!info->n_out || !is_read(p->g, info->out[0]))
            continue;
        if (is_view(info->op))
            shorten(p, info);
        else if (info->op == TG_Transpose) {
            compose(p, info);
            if (is_read(p->g, info->out[0]))
                transpose_as_view(p, info);
        }
    }
}
