/* Fusion: which elementwise nodes are one loop, and which loop ends which product.
 *
 * A node joins the loop of its readers if all of them are in one loop over the same space; so every loop has one
 * result, and nothing is computed twice. A loop ends a product (runs on its finished tiles) if it reads the product
 * element by element and nobody else reads that. A bias, the first thing that is added to rows of a constant matrix,
 * goes into the product itself.
 */
#include <string.h>

#include "passes/planner.h"

enum { MOST_OPERANDS = 20, MOST_NODES = 64 };

bool plan_is_pointwise(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->op == TG_opaque || !tg_op_has(n->op, TG_T_ELEMENTWISE) || tg_op_info(n->op)->tier != TG_PRIMITIVE ||
        n->op == TG_Identity || n->n_out != 1 || tg_op_has(n->op, TG_T_RANDOM))
        return false;
    for (uint32_t i = 0; i < n->n_in + 1; i++) {
        TgValue v = i < n->n_in ? n->in[i] : n->out[0];
        const TgType *t = v ? tg_type_of(g, v) : NULL;
        if (!t)
            continue;
        TgClass class = tg_is_tensor(t) ? tg_dtype_class(t->dtype) : TG_CLASS_S;
        if (class == TG_CLASS_S || class == TG_CLASS_C)
            return false;
    }
    return true;
}

bool plan_is_linear(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->op != TG_MatMul || tg_type_of(g, n->in[0])->dtype != TG_f32)
        return false;
    const TgTensor *w = tg_const_of(g, n->in[1]);
    return w && w->rank == 2 && w->dtype == TG_f32 && tg_type_of(g, n->in[0])->rank >= 2;
}

static bool same_space(const TgType *a, const TgType *b)
{
    return a->rank == b->rank && (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0);
}

static bool is_needed_elsewhere(const Planner *p, TgValue v)
{
    return tg_value(p->g, v)->returned || tg_map_get(&p->kept, v, NULL);
}

static TgNode loop_of(const Planner *p, TgNode node)
{
    uint64_t root;
    return tg_map_get(&p->group, node, &root) ? (TgNode)root : 0;
}

TgU32s *plan_members(const Planner *p, TgNode root)
{
    uint64_t list;
    return tg_map_get(&p->members, root, &list) ? (TgU32s *)(uintptr_t)list : NULL;
}

/* The one loop that all readers of v are part of; 0: there is none. */
static TgNode loop_of_readers(const Planner *p, TgValue v)
{
    const TgValueInfo *info = tg_value(p->g, v);
    TgNode root = 0;
    for (uint32_t i = 0; i < info->uses.n; i++) {
        TgNode r = loop_of(p, info->uses.at[i].node);
        if (!r || (root && r != root))
            return 0;
        root = r;
    }
    return root;
}

static bool is_literal(const TgGraph *g, TgValue v)
{
    double x;
    return tg_const_of(g, v) && is_splat(g, v, &x);
}

/* Operands of the loop if `node` were part of it too; an upper estimate. */
static uint32_t count_operands(const Planner *p, const TgU32s *members, TgNode node)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k <= members->n; k++) {
        const TgNodeInfo *info = tg_node(p->g, k < members->n ? members->at[k] : node);
        for (uint32_t i = 0; i < info->n_in; i++)
            n += info->in[i] && !is_literal(p->g, info->in[i]);
    }
    return n;
}

static void add_member(Planner *p, TgNode root, TgNode node)
{
    TgU32s *members = plan_members(p, root);
    if (!members) {
        members = TG_NEW(p->arena, TgU32s);
        tg_map_put(&p->members, root, TG_KEY(members));
    }
    TG_PUSH(p->arena, members, node);
    tg_map_put(&p->group, node, root);
}

static void group_node(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgNode root = is_needed_elsewhere(p, n->out[0]) ? 0 : loop_of_readers(p, n->out[0]);
    if (root) {
        const TgU32s *members = plan_members(p, root);
        bool fits = same_space(tg_type_of(p->g, n->out[0]), tg_type_of(p->g, tg_node(p->g, root)->out[0])) &&
                    members->n < MOST_NODES && count_operands(p, members, node) <= MOST_OPERANDS;
        root = fits ? root : 0;
    }
    add_member(p, root ? root : node, node);
}

static bool is_product(const Planner *p, const TgNodeInfo *n)
{
    return plan_is_linear(p->g, n);
}

/* The last product that the loop at `root` reads element by element, and nobody else does. */
static TgNode product_before(const Planner *p, TgNode root, const TgMap *position)
{
    const TgU32s *members = plan_members(p, root);
    const TgType *space = tg_type_of(p->g, tg_node(p->g, root)->out[0]);
    TgNode best = 0;
    uint64_t best_at = 0, at;
    for (uint32_t k = 0; k < members->n && space->dtype == TG_f32; k++) {
        const TgNodeInfo *n = tg_node(p->g, members->at[k]);
        for (uint32_t i = 0; i < n->n_in; i++) {
            const TgValueInfo *v = n->in[i] ? tg_value(p->g, n->in[i]) : NULL;
            if (!v || v->origin != TG_V_RESULT || !tg_map_get(position, v->node, &at) ||
                !is_product(p, tg_node(p->g, v->node)))
                continue;
            if (is_needed_elsewhere(p, n->in[i]) || loop_of_readers(p, n->in[i]) != root || !same_space(v->type, space))
                continue;
            if (!best || at > best_at) {
                best = v->node;
                best_at = at;
            }
        }
    }
    return best;
}

static bool makes_sizes(const Planner *p, const TgNodeInfo *n) { return plan_numbers(p, n->out[0]); }

void plan_fuse(Planner *p, uint32_t n, const TgNode *nodes)
{
    TgMap position;
    tg_map_init(&position, p->arena);
    for (uint32_t i = 0; i < n; i++)
        tg_map_put(&position, nodes[i], i + 1);
    for (uint32_t i = n; i-- > 0;) {
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (!info->dead && plan_is_pointwise(p->g, info) && !makes_sizes(p, info))
            group_node(p, nodes[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (loop_of(p, nodes[i]) != nodes[i])
            continue;
        TgNode product = product_before(p, nodes[i], &position);
        if (product && !tg_map_get(&p->started, product, NULL)) {
            tg_map_put(&p->then, nodes[i], product);
            tg_map_put(&p->started, product, nodes[i]);
        }
    }
}

/* --- the space of a loop ------------------------------------------------------------------------------------------ */

/* Axes of size 1 go; neighbours become one where every operand lies so. `rows` > 0: at least so many leading axes of
 * the space must become one, and the rest stay. */
static bool collapse(Planner *p, TgStep *s, int32_t rank, TgDim *dim, TgDim *stride, uint32_t n_operands)
{
    int32_t n = 0;
    for (int32_t k = 0; k < rank; k++) {
        if (tg_dim_is(dim[k], 1))
            continue;
        bool joins = n > 0;
        for (uint32_t o = 0; o < n_operands && joins; o++)
            joins = stride[o * (uint32_t)rank + (uint32_t)(n - 1)] ==
                    tg_dim_mul(p->tg, stride[o * (uint32_t)rank + (uint32_t)k], dim[k]);
        int32_t to = joins ? n - 1 : n;
        for (uint32_t o = 0; o < n_operands; o++)
            stride[o * (uint32_t)rank + (uint32_t)to] = stride[o * (uint32_t)rank + (uint32_t)k];
        dim[to] = joins ? tg_dim_mul(p->tg, dim[to], dim[k]) : dim[k];
        n += !joins;
    }
    int32_t full = n > 0 ? n : 1;
    TgDim *packed = TG_NEW_N(p->arena, TgDim, n_operands * (uint32_t)full + 1);
    for (uint32_t o = 0; o < n_operands; o++)
        for (int32_t k = 0; k < full; k++)
            packed[o * (uint32_t)full + (uint32_t)k] = n ? stride[o * (uint32_t)rank + (uint32_t)k] : tg_dim(p->tg, 0);
    if (!n)
        dim[0] = tg_dim(p->tg, 1);
    s->u.pointwise.rank = full;
    s->u.pointwise.dim = dim;
    s->u.pointwise.stride = packed;
    return full <= TG_PLAN_RANK;
}

static bool set_space(Planner *p, TgStep *s, const TgType *t)
{
    uint32_t n = s->in.n + s->out.n, rank = (uint32_t)t->rank;
    TgDim *dim = TG_NEW_N(p->arena, TgDim, rank + 1), *stride = TG_NEW_N(p->arena, TgDim, n * rank + 1);
    for (uint32_t k = 0; k < rank; k++)
        dim[k] = t->dim[k];
    for (uint32_t o = 0; o < n; o++) {
        TgValue v = o < s->in.n ? s->in.at[o] : s->out.at[o - s->in.n];
        TgLocation place = plan_broadcast(p, plan_place(p, v), tg_type_of(p->g, v), t->rank, t->dim);
        for (uint32_t k = 0; k < rank; k++)
            stride[o * rank + k] = place.stride[k];
    }
    return collapse(p, s, t->rank, dim, stride, n);
}

/* The space of what ends a product: rows and columns. False: some operand does not lie so. */
static bool set_tile_space(Planner *p, TgStep *s, const TgType *t)
{
    uint32_t n = s->in.n + s->out.n;
    TgDim *dim = TG_NEW_N(p->arena, TgDim, 2), *stride = TG_NEW_N(p->arena, TgDim, 2 * n);
    dim[0] = tg_dim(p->tg, 1);
    for (int32_t k = 0; k + 1 < t->rank; k++)
        dim[0] = tg_dim_mul(p->tg, dim[0], t->dim[k]);
    dim[1] = dim_at(t, -1);
    for (uint32_t o = 0; o < n; o++) {
        TgValue v = o < s->in.n ? s->in.at[o] : s->out.at[o - s->in.n];
        TgLocation place = plan_broadcast(p, plan_place(p, v), tg_type_of(p->g, v), t->rank, t->dim);
        TgDim below = NULL, row = tg_dim(p->tg, 0);
        for (int32_t k = t->rank - 1; k-- > 0;) {
            if (tg_dim_is(t->dim[k], 1))
                continue;
            if (below && place.stride[k] != below)
                return false;
            row = below ? row : place.stride[k];
            below = tg_dim_mul(p->tg, place.stride[k], t->dim[k]);
        }
        stride[2 * o] = row;
        stride[2 * o + 1] = place.stride[t->rank - 1];
    }
    s->u.pointwise.rank = 2;
    s->u.pointwise.dim = dim;
    s->u.pointwise.stride = stride;
    return true;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static bool is_member(const TgU32s *nodes, TgNode node)
{
    for (uint32_t i = 0; i < nodes->n; i++)
        if (nodes->at[i] == node)
            return true;
    return false;
}

/* Fills in nodes, operands and the result of a loop over `members`, which stand last first. */
static void fill_loop(Planner *p, TgStep *s, const TgU32s *members, TgValue result)
{
    for (uint32_t k = members->n; k-- > 0;)
        TG_PUSH(p->plan->arena, &s->nodes, members->at[k]);
    for (uint32_t k = 0; k < s->nodes.n; k++) {
        const TgNodeInfo *n = tg_node(p->g, s->nodes.at[k]);
        for (uint32_t i = 0; i < n->n_in; i++) {
            TgValue v = n->in[i];
            bool inside = v && tg_value(p->g, v)->origin == TG_V_RESULT &&
                          is_member(&s->nodes, tg_value(p->g, v)->node);
            bool known = !v || inside || is_literal(p->g, v);
            for (uint32_t o = 0; o < s->in.n && !known; o++)
                known = s->in.at[o] == v;
            if (!known)
                plan_reads(p, s, v);
        }
    }
    plan_writes(p, s, result);
}

/* Add(y, c) with c a vector along the columns: then the product adds it. Returns what the product gives then. */
static TgValue take_bias(Planner *p, TgU32s *members, TgValue y, TgValue *bias)
{
    const TgValueInfo *info = tg_value(p->g, y);
    const TgNodeInfo *n = info->uses.n == 1 ? tg_node(p->g, info->uses.at[0].node) : NULL;
    *bias = 0;
    if (!n || n->op != TG_Add)
        return y;
    TgValue c = n->in[n->in[0] == y];
    const TgTensor *t = tg_const_of(p->g, c);
    int64_t cols;
    if (!t || t->dtype != TG_f32 || t->rank < 1 || !tg_dim_known(dim_at(info->type, -1), &cols) ||
        t->dim[t->rank - 1] != cols || t->count != (size_t)cols)
        return y;
    for (uint32_t i = 0; i < members->n; i++) {
        if (members->at[i] != info->uses.at[0].node)
            continue;
        memmove(&members->at[i], &members->at[i + 1], (members->n - i - 1) * sizeof *members->at);
        members->n--;
        *bias = c;
        return n->out[0];
    }
    return y;
}

static bool plan_alone(Planner *p, TgNode root)
{
    TgValue result = tg_node(p->g, root)->out[0];
    TgStep *s = plan_step(p, TG_STEP_POINTWISE);
    plan_place_result(p, result, accepts_any);
    fill_loop(p, s, plan_members(p, root), result);
    if (!set_space(p, s, tg_type_of(p->g, result)))
        return plan_refuse(p, tg_node(p->g, root), "it has too many axes");
    return plan_add(p, s);
}

bool plan_pointwise(Planner *p, TgNode root)
{
    uint64_t product;
    if (!tg_map_get(&p->then, root, &product))
        return plan_alone(p, root);
    TgU32s *members = plan_members(p, root);
    const TgNodeInfo *n = tg_node(p->g, (TgNode)product);
    TgValue bias, result = tg_node(p->g, root)->out[0], y = take_bias(p, members, n->out[0], &bias);
    plan_place_result(p, result, accepts_rows);
    if (y == result)
        return plan_add(p, plan_linear(p, (TgNode)product, y, bias));
    TgLocation place = *plan_place(p, result);
    plan_set_place(p, y, place);
    TgStep *then = TG_NEW(p->plan->arena, TgStep);
    then->kind = TG_STEP_POINTWISE;
    fill_loop(p, then, members, result);
    bool ends = set_tile_space(p, then, tg_type_of(p->g, result));
    if (!ends) /* some operand is broadcast along rows in another way: two steps */
        return plan_add(p, plan_linear(p, (TgNode)product, y, bias)) && plan_alone(p, root);
    TgStep *s = plan_linear(p, (TgNode)product, y, bias);
    s->then = then;
    return plan_add(p, s);
}
