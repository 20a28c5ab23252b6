/* Shape arithmetic. Inference knows the elements of small integer tensors as expressions over named sizes; therefore
 *
 *   - two values with the same elements are one value, however each was computed;
 *   - a vector of sizes that some input of the graph has is cut from the Shape of that input: one or two nodes in the
 *     place of a chain of Shape, Gather, Unsqueeze, Concat;
 *   - an Expand needs no size that its operand has anyway.
 *
 * Needs: symbolic elements. Breaks: nothing. */
#include <string.h>

#include "pass.h"

enum { MOST = 64 };

/* Elements of v (0: not an integer value whose elements are all known as expressions). */
static uint32_t elements(const TgGraph *g, TgValue v, const TgDim **dims)
{
    const TgValueInfo *info = tg_value(g, v);
    int64_t n;
    if (!info->symbolic || info->type->kind != TG_TENSOR || !tg_type_numel(info->type, &n) || n < 1 || n > MOST)
        return 0;
    *dims = info->symbolic;
    return (uint32_t)n;
}

/* --- equal elements, equal value ---------------------------------------------------------------------------------- */

static uint64_t hash_elements(const TgGraph *g, TgValue v, const TgDim *dims, uint32_t n)
{
    uint64_t h = TG_KEY(tg_type_of(g, v));
    for (uint32_t i = 0; i < n; i++)
        h = tg_mix(h, TG_KEY(dims[i]));
    return h;
}

static bool same_elements(const TgGraph *g, TgValue a, TgValue b, uint32_t n)
{
    return same_type(g, a, b) && memcmp(tg_value(g, a)->symbolic, tg_value(g, b)->symbolic, n * sizeof(TgDim)) == 0;
}

/* The value whose Shape v was computed from, along the first operands that are computed; 0: none is near. */
static TgValue measured(const TgGraph *g, TgValue v)
{
    enum { NEAR = 5 };
    for (uint32_t i = 0; i < NEAR && v && tg_value(g, v)->origin == TG_V_RESULT; i++) {
        const TgNodeInfo *n = tg_node(g, tg_value(g, v)->node);
        uint32_t k = 0;
        if (n->op == TG_Shape)
            return n->in[0];
        while (k < n->n_in && (!n->in[k] || tg_value(g, n->in[k])->origin != TG_V_RESULT))
            k++;
        v = in(n, k);
    }
    return 0;
}

static void merge_equal(TgPass *p)
{
    TgMap seen;
    tg_map_init(&seen, tg_scratch(p->tg));
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        for (uint32_t k = 0; k < info->n_out; k++) {
            const TgDim *dims;
            uint64_t earlier, hash;
            uint32_t count = elements(p->g, info->out[k], &dims);
            if (!count || tg_op_has(info->op, TG_T_RANDOM))
                continue;
            hash = hash_elements(p->g, info->out[k], dims, count);
            bool known = tg_map_get(&seen, hash, &earlier);
            TgValue positions = measures_positions_downstream(p, info);
            if (positions) { /* not with those of other ids */
                if (!known)
                    tg_map_put(&seen, hash, info->out[k]);
                hash = tg_mix(hash, measured(p->g, positions));
                known = tg_map_get(&seen, hash, &earlier);
            }
            if (!known)
                tg_map_put(&seen, hash, info->out[k]);
            else if (is_read(p->g, info->out[k]) && same_elements(p->g, (TgValue)earlier, info->out[k], count) &&
                     pass_allow(p, "merge-sizes"))
                pass_replace(p, info->out[k], (TgValue)earlier, "merge-sizes");
        }
    }
}

/* --- sizes that an input has -------------------------------------------------------------------------------------- */

typedef struct {
    TgValue input;
    int32_t axis;
    uint32_t n; /* consecutive sizes from there */
} Run;

static void find_longer(const TgGraph *g, TgValue v, const TgDim *dims, uint32_t n, Run *best)
{
    const TgType *t = tg_type_of(g, v);
    for (int32_t axis = 0; tg_is_tensor(t) && axis < t->rank; axis++) {
        uint32_t k = 0;
        while (k < n && axis + (int32_t)k < t->rank && t->dim[axis + (int32_t)k] == dims[k])
            k++;
        if (k > best->n)
            *best = (Run){v, axis, k};
    }
}

/* The longest run of dims[0..n) among the sizes of the graph's inputs; of equal ones that of `own`, then the first. */
static Run find_run(const TgGraph *g, const TgDim *dims, uint32_t n, TgValue own)
{
    Run best = {0, 0, 0};
    if (own && tg_value(g, own)->origin == TG_V_INPUT)
        find_longer(g, own, dims, n, &best);
    for (uint32_t i = 0; i < g->inputs.n + g->captures.n; i++)
        find_longer(g, i < g->inputs.n ? g->inputs.at[i] : g->captures.at[i - g->inputs.n], dims, n, &best);
    while (best.n && tg_dim_known(dims[best.n - 1], NULL)) /* constants at the end come from the next piece */
        best.n--;
    return best;
}

static bool has_shape_slices(const TgPass *p)
{
    return p->opset >= 15; /* Shape has start and end since then */
}

static TgValue cut(TgPass *p, Run run)
{
    int64_t start = run.axis, end = run.axis + (int64_t)run.n;
    bool whole = start == 0 && end == pass_rank(p->g, run.input);
    if (whole)
        return pass_op(p, TG_Shape, NULL, 1, run.input);
    if (has_shape_slices(p))
        return pass_op(p, TG_Shape, tg_attrs(p->tg, TG_Shape, "start=i end=i", start, end), 1, run.input);
    TgValue shape = pass_op(p, TG_Shape, NULL, 1, run.input);
    return shape ? pass_slice(p, shape, start, end, 0, 1) : 0;
}

/* A way to write a vector: pieces that are constants, runs, or operands of the Concat that it came from. */
typedef struct {
    enum { CONSTANT, RUN, OPERAND } kind;
    uint32_t from, n; /* elements */
    Run run;
    TgValue operand;
} Piece;

/* The operand of the Concat that starts at element `at`; 0: v is no Concat of vectors, or none starts there. */
static TgValue operand_at(const TgGraph *g, TgValue v, uint32_t at, uint32_t *n)
{
    const TgNodeInfo *concat = tg_producer(g, v, TG_Concat);
    for (uint32_t i = 0, start = 0; concat && i < concat->n_in; i++, start += *n) {
        int64_t size = pass_dim(g, concat->in[i], 0);
        if (size < 0)
            return 0;
        *n = (uint32_t)size;
        if (start == at && size > 0)
            return concat->in[i];
    }
    return 0;
}

static uint32_t plan(TgPass *p, TgValue v, const TgDim *dims, uint32_t n, Piece *piece)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < n; at += piece[count++].n) {
        Piece *next = &piece[count];
        *next = (Piece){.from = at};
        while (at + next->n < n && tg_dim_known(dims[at + next->n], NULL))
            next->n++;
        if (next->n)
            continue; /* constant */
        next->run = find_run(p->g, dims + at, n - at, measured(p->g, v));
        next->n = next->run.n;
        next->kind = RUN;
        if (next->n)
            continue;
        next->kind = OPERAND;
        next->operand = operand_at(p->g, v, at, &next->n);
        if (!next->operand)
            return 0;
    }
    return count;
}

static TgValue write_piece(TgPass *p, const Piece *piece, const TgDim *dims)
{
    if (piece->kind == RUN)
        return cut(p, piece->run);
    if (piece->kind == OPERAND)
        return piece->operand;
    int64_t values[MOST];
    for (uint32_t i = 0; i < piece->n; i++)
        tg_dim_known(dims[piece->from + i], &values[i]);
    return pass_ints(p, piece->n, values);
}

static TgValue write_vector(TgPass *p, const Piece *piece, uint32_t count, const TgDim *dims)
{
    TgValue parts[MOST];
    for (uint32_t i = 0; i < count; i++)
        if (!(parts[i] = write_piece(p, &piece[i], dims)))
            return 0;
    if (count == 1)
        return parts[0];
    TgNode n = tg_graph_add(p->g, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0), count, parts, 1);
    return n ? tg_node(p->g, n)->out[0] : 0;
}

static TgValue write_scalar(TgPass *p, Run run)
{
    TgValue shape = pass_op(p, TG_Shape, NULL, 1, run.input);
    return shape ? pass_op(p, TG_Gather, NULL, 2, shape, pass_int(p, run.axis)) : 0;
}

/* --- is it worth it? ---------------------------------------------------------------------------------------------- */

/* Nodes that are there only for v. */
static uint32_t nodes_behind(TgPass *p, TgValue v)
{
    TgU32s pending = {0};
    uint32_t count = 0;
    TG_PUSH(tg_scratch(p->tg), &pending, v);
    while (pending.n && count < 100) {
        TgValue top = pending.at[--pending.n];
        const TgValueInfo *info = tg_value(p->g, top);
        if (info->origin != TG_V_RESULT || (top != v && !tg_used_once(p->g, top)))
            continue;
        const TgNodeInfo *n = tg_node(p->g, info->node);
        count++;
        for (uint32_t i = 0; i < n->n_in; i++)
            if (n->in[i])
                TG_PUSH(tg_scratch(p->tg), &pending, n->in[i]);
    }
    return count;
}

/* New nodes, and those that stay: together fewer than before, or the rewrite would find its own result. */
static uint32_t nodes_needed(TgPass *p, const Piece *piece, uint32_t count)
{
    uint32_t needed = count > 1;
    for (uint32_t i = 0; i < count; i++) {
        if (piece[i].kind == RUN)
            needed += has_shape_slices(p) ? 1 : 2;
        if (piece[i].kind == OPERAND && tg_used_once(p->g, piece[i].operand))
            needed += nodes_behind(p, piece[i].operand);
    }
    return needed;
}

static void rewrite(TgPass *p, TgValue v)
{
    const TgDim *dims;
    uint32_t n = elements(p->g, v, &dims);
    int32_t rank = pass_rank(p->g, v);
    if (!n || rank > 1 || tg_type_of(p->g, v)->dtype != TG_i64)
        return;
    TgValue made = 0;
    if (rank == 0) {
        Run run = find_run(p->g, dims, 1, measured(p->g, v));
        if (run.n && nodes_behind(p, v) > 2 && pass_may(p))
            made = write_scalar(p, run);
    } else {
        Piece piece[MOST];
        uint32_t count = plan(p, v, dims, n, piece);
        if (count && nodes_needed(p, piece, count) < nodes_behind(p, v) && pass_may(p))
            made = write_vector(p, piece, count, dims);
    }
    if (made && same_type(p->g, made, v)) {
        pass_count(p, "sizes-from-input");
        pass_replace(p, v, made, "sizes-from-input");
    }
}

/* --- operands that say more than needed --------------------------------------------------------------------------- */

/* Expand to sizes that are constants or those of the operand: a constant operand, 1 where the operand's size stays. */
static void constant_expand(TgPass *p, TgNode node)
{
    TgNodeInfo *n = tg_node(p->g, node);
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    int64_t target[TG_MAX_RANK];
    if (is_const(p->g, n->in[1]) || !tg_is_tensor(from) || !tg_is_tensor(to))
        return;
    for (int32_t i = 0; i < to->rank; i++) {
        int32_t k = i - (to->rank - from->rank);
        if (k >= 0 && from->dim[k] == to->dim[i])
            target[i] = 1;
        else if (!tg_dim_known(to->dim[i], &target[i]))
            return;
    }
    if (pass_allow(p, "constant-shape"))
        pass_replace_operand(p, node, 1, pass_ints(p, (uint32_t)to->rank, target), "constant-shape");
}

static bool reads_sizes(const TgGraph *g, const TgNodeInfo *n)
{
    return n->n_out && !tg_value(g, n->out[0])->symbolic;
}

void pass_shapes(TgPass *p)
{
    merge_equal(p);
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->dead)
            continue;
        if (info->op == TG_Expand)
            constant_expand(p, nodes[i]);
        for (uint32_t k = 0; reads_sizes(p->g, info) && k < info->n_in; k++)
            if (info->in[k] && tg_value(p->g, info->in[k])->origin == TG_V_RESULT)
                rewrite(p, info->in[k]);
    }
}
