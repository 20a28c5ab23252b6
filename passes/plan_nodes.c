/* Operators with steps of their own: products, attention, norms, rotary embedding, Concat; caches that are state. */
#include <string.h>

#include "passes/planner.h"

static TgStep *node_step(Planner *p, TgStepKind kind, TgNode node)
{
    TgStep *s = plan_step(p, kind);
    TG_PUSH(p->plan->arena, &s->nodes, node);
    return s;
}

/* v where a step can read it, else a copy. */
static TgValue readable(Planner *p, TgValue v, bool (*accepts)(Planner *p, const TgType *t, const TgLocation *place))
{
    return accepts(p, tg_type_of(p->g, v), plan_source(p, v)) ? v : plan_contiguous(p, v);
}

static TgDim rows_of(Planner *p, const TgType *t)
{
    TgDim rows = tg_dim(p->tg, 1);
    for (int32_t k = 0; k + 1 < t->rank; k++)
        rows = tg_dim_mul(p->tg, rows, t->dim[k]);
    return rows;
}

/* The stride between rows of what accepts_rows took. */
static TgDim row_stride(Planner *p, TgValue v)
{
    const TgType *t = tg_type_of(p->g, v);
    for (int32_t k = t->rank - 1; k-- > 0;)
        if (!tg_dim_is(t->dim[k], 1))
            return plan_place(p, v)->stride[k];
    return dim_at(t, -1);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

/* The matrix as it is stored: what it was transposed and widened from, where that is so. */
static TgWeight stored_matrix(const TgTensor *t)
{
    TgWeight w = {.tensor = t, .layout = TG_LAYOUT_PANELS, .rows = t->dim[0], .cols = t->dim[1], .dtype = TG_f32};
    if (t->payload == TG_RECIPE && t->recipe->op == TG_Transpose && t->recipe->n == 1 &&
        t->recipe->input[0]->rank == 2) {
        w.tensor = t->recipe->input[0];
        w.transposed = true;
    }
    const TgRecipe *r = w.tensor->recipe;
    if (r && r->op == TG_Cast && (r->input[0]->dtype == TG_f16 || r->input[0]->dtype == TG_bf16)) {
        w.tensor = r->input[0];
        w.dtype = w.tensor->dtype;
    }
    return w;
}

static uint32_t panels_of(Planner *p, TgValue matrix, TgDim rows)
{
    enum { USUAL_PANEL = 48 };
    const TgTensor *t = tg_const_of(p->g, matrix);
    uint64_t index;
    int64_t known = 0;
    if (tg_map_get(&p->packed, TG_KEY(t), &index))
        return (uint32_t)index;
    TgWeight w = stored_matrix(t);
    w.name = tg_value(p->g, matrix)->name;
    (void)tg_dim_known(rows, &known);
    w.panel = p->options->panel ? p->options->panel(known, w.rows, w.cols) : USUAL_PANEL;
    plan_codes(p, t, &w);
    TG_PUSH(p->plan->arena, &p->plan->weights, w);
    tg_map_put(&p->packed, TG_KEY(t), p->plan->weights.n - 1);
    return p->plan->weights.n - 1;
}

TgStep *plan_linear(Planner *p, TgNode node, TgValue y, TgValue bias)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgValue x = readable(p, n->in[0], accepts_rows), matrix = n->in[1];
    const TgType *t = tg_type_of(p->g, x), *to = tg_type_of(p->g, y);
    TgStep *s = node_step(p, TG_STEP_LINEAR, node);
    if (y != n->out[0])
        TG_PUSH(p->plan->arena, &s->nodes, tg_value(p->g, y)->node);
    plan_reads(p, s, x);
    plan_reads(p, s, bias);
    plan_writes(p, s, y);
    s->u.product.rows = rows_of(p, t);
    s->u.product.depth = dim_at(t, -1);
    s->u.product.cols = dim_at(to, -1);
    s->u.product.a_row = row_stride(p, x);
    s->u.product.c_row = row_stride(p, y);
    s->u.product.weight = panels_of(p, matrix, s->u.product.rows);
    return s;
}

/* Gather of rows of a table that a product reads too. Codes are not taken apart: then the table is stored as well. */
static bool plan_embed(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgTensor *table = tg_const_of(p->g, n->in[0]);
    uint64_t turned;
    if (!table || tg_attr_int(n, "axis") != 0 || tg_type_of(p->g, n->in[1])->dtype != TG_i64 ||
        !tg_map_get(&p->tied, TG_KEY(table), &turned))
        return false;
    TgDim count = tg_type_count(p->tg, tg_type_of(p->g, n->in[1]));
    uint32_t weight = panels_of(p, (TgValue)turned, count);
    if (p->plan->weights.at[weight].dtype == TG_i8 || p->plan->weights.at[weight].dtype == TG_i4)
        return false;
    TgValue index = plan_contiguous(p, n->in[1]);
    TgStep *s = node_step(p, TG_STEP_EMBED, node);
    n = tg_node(p->g, node);
    plan_place_result(p, n->out[0], accepts_rows);
    plan_reads(p, s, index);
    plan_writes(p, s, n->out[0]);
    s->u.product.weight = weight;
    s->u.product.rows = count;
    s->u.product.depth = tg_dim(p->tg, table->dim[1]);
    s->u.product.cols = tg_dim(p->tg, table->dim[0]);
    s->u.product.c_row = row_stride(p, n->out[0]);
    return plan_add(p, s);
}

static bool plan_plain_linear(Planner *p, TgNode node)
{
    TgValue y = tg_node(p->g, node)->out[0];
    plan_place_result(p, y, accepts_rows);
    TgStep *s = plan_linear(p, node, y, 0);
    return plan_add(p, s);
}

static bool plan_mat_mul(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgType *a = tg_type_of(p->g, n->in[0]), *b = tg_type_of(p->g, n->in[1]), *c = tg_type_of(p->g, n->out[0]);
    int32_t batch = c->rank - 2;
    if (a->dtype != TG_f32 || a->rank < 2 || b->rank < 2 || batch > TG_PLAN_RANK - 2)
        return false;
    plan_place_result(p, n->out[0], accepts_last);
    TgStep *s = node_step(p, TG_STEP_MATMUL, node);
    plan_reads(p, s, n->in[0]);
    plan_reads(p, s, n->in[1]);
    plan_writes(p, s, n->out[0]);
    TgType outer_a = *a, outer_b = *b;
    outer_a.rank -= 2;
    outer_b.rank -= 2;
    TgLocation a_place = *plan_source(p, n->in[0]), b_place = *plan_source(p, n->in[1]);
    const TgLocation *pa = &a_place, *pb = &b_place, *pc = plan_place(p, n->out[0]);
    s->u.product.batch_rank = batch;
    s->u.product.batch = c->dim;
    s->u.product.a_batch = plan_broadcast(p, pa, &outer_a, batch, c->dim).stride;
    s->u.product.b_batch = plan_broadcast(p, pb, &outer_b, batch, c->dim).stride;
    s->u.product.c_batch = pc->stride;
    s->u.product.rows = dim_at(c, -2);
    s->u.product.depth = dim_at(a, -1);
    s->u.product.cols = dim_at(c, -1);
    s->u.product.a_row = pa->stride[a->rank - 2];
    s->u.product.a_col = pa->stride[a->rank - 1];
    s->u.product.b_row = pb->stride[b->rank - 2];
    s->u.product.b_col = pb->stride[b->rank - 1];
    s->u.product.c_row = pc->stride[c->rank - 2];
    return plan_add(p, s);
}

/* --- attention and its neighbours --------------------------------------------------------------------------------- */

static bool plan_attention(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    int64_t heads = 0, kv_heads = 0, size = 1;
    uint64_t offset;
    TgValue counts = in(n, 6) ? plan_contiguous(p, n->in[6]) : 0;
    TgValue q = readable(p, n->in[0], accepts_last), k = readable(p, n->in[1], accepts_last),
            v = readable(p, n->in[2], accepts_last);
    TgStep *s = node_step(p, TG_STEP_ATTENTION, node);
    n = tg_node(p->g, node);
    plan_place_result(p, n->out[0], accepts_last);
    plan_reads(p, s, q);
    plan_reads(p, s, k);
    plan_reads(p, s, v);
    plan_reads(p, s, in(n, 3));
    plan_reads(p, s, counts);
    plan_writes(p, s, n->out[0]);
    tg_dim_known(tg_type_of(p->g, q)->dim[1], &heads);
    tg_dim_known(tg_type_of(p->g, k)->dim[1], &kv_heads);
    tg_dim_known(tg_type_of(p->g, q)->dim[3], &size);
    if (in(n, 3)) {
        const TgType *y = tg_type_of(p->g, n->out[0]);
        TgDim scores[] = {y->dim[0], y->dim[1], y->dim[2], tg_type_of(p->g, k)->dim[2]};
        s->u.attention.mask_stride =
            plan_broadcast(p, plan_place(p, n->in[3]), tg_type_of(p->g, n->in[3]), 4, scores).stride;
    }
    s->u.attention.heads = heads;
    s->u.attention.kv_heads = kv_heads;
    double root = tg_attr_has(n->attrs, "scale") ? 0 : (double)size;
    s->u.attention.scale = root > 0 ? 1 / __builtin_sqrt(root) : tg_attr_float(n, "scale");
    s->u.attention.softcap = tg_attr_float(n, "softcap");
    s->u.attention.causal = tg_attr_int(n, "is_causal") != 0;
    s->u.attention.left = tg_attr_int(n, "left_window_size");
    s->u.attention.right = tg_attr_int(n, "right_window_size");
    s->u.attention.offset = tg_map_get(&p->offset, node, &offset) ? (TgDim)(uintptr_t)offset : tg_dim(p->tg, 0);
    return plan_need(p, s->u.attention.offset) && plan_add(p, s);
}

static bool plan_rotary(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgValue x = readable(p, n->in[0], accepts_last), cos = readable(p, n->in[1], accepts_last),
            sin = readable(p, n->in[2], accepts_last);
    const TgType *t = tg_type_of(p->g, x), *table = tg_type_of(p->g, cos);
    TgStep *s = node_step(p, TG_STEP_ROTARY, node);
    n = tg_node(p->g, node);
    int64_t size = tg_attr_int(n, "rotary_embedding_dim"), width = 0;
    tg_dim_known(t->dim[3], &width);
    plan_place_result(p, n->out[0], accepts_last);
    TgLocation wide = plan_broadcast(p, plan_place(p, cos), table, 4, t->dim);
    TgLocation other = plan_broadcast(p, plan_place(p, sin), tg_type_of(p->g, sin), 4, t->dim);
    /* both tables lie alike, or they are copied */
    bool alike = wide.stride[0] == other.stride[0] && wide.stride[2] == other.stride[2];
    if (!alike) {
        cos = plan_contiguous(p, cos);
        sin = plan_contiguous(p, sin);
        wide = plan_broadcast(p, plan_place(p, cos), table, 4, t->dim);
    }
    plan_reads(p, s, x);
    plan_reads(p, s, cos);
    plan_reads(p, s, sin);
    plan_writes(p, s, n->out[0]);
    s->u.rotary.interleaved = tg_attr_int(n, "interleaved") != 0;
    s->u.rotary.size = size ? size : width;
    s->u.rotary.table_stride[0] = wide.stride[0];
    s->u.rotary.table_stride[1] = wide.stride[2];
    return plan_add(p, s);
}

static bool plan_rows(Planner *p, TgNode node, TgStepKind kind)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    if (tg_type_of(p->g, n->in[0])->dtype != TG_f32)
        return false;
    TgValue x = readable(p, n->in[0], accepts_rows), vector[2] = {0, 0};
    bool norm = kind == TG_STEP_LAYER_NORM || kind == TG_STEP_RMS_NORM;
    for (uint32_t i = 0; i < 2 && norm; i++)
        vector[i] = in(tg_node(p->g, node), i + 1) ? plan_contiguous(p, tg_node(p->g, node)->in[i + 1]) : 0;
    n = tg_node(p->g, node);
    TgStep *s = node_step(p, kind, node);
    plan_place_result(p, n->out[0], accepts_rows);
    plan_reads(p, s, x);
    if (norm)
        plan_reads(p, s, vector[0]);
    if (kind == TG_STEP_LAYER_NORM)
        plan_reads(p, s, vector[1]);
    plan_writes(p, s, n->out[0]);
    const TgType *t = tg_type_of(p->g, x);
    s->u.rows.rows = rows_of(p, t);
    s->u.rows.cols = dim_at(t, -1);
    s->u.rows.x_stride = row_stride(p, x);
    s->u.rows.y_stride = row_stride(p, n->out[0]);
    s->u.rows.epsilon = norm ? tg_attr_float(n, "epsilon") : 0;
    s->u.rows.logarithm = n->op == TG_LogSoftmax;
    return plan_add(p, s);
}

/* --- Concat ------------------------------------------------------------------------------------------------------- */

static bool plan_concat(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgType *t = tg_type_of(p->g, n->out[0]);
    if (!tg_is_tensor(t) || !plan_sizes_known(p, t) || t->rank < 1 || t->dtype == TG_str)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!tg_is_tensor(tg_type_of(p->g, n->in[i])))
            return false;
    plan_place_result(p, n->out[0], accepts_any);
    for (uint32_t i = 0; i < n->n_in; i++) {
        n = tg_node(p->g, node);
        TgLocation want = plan_piece(p, n, i), is = *plan_source(p, n->in[i]);
        if (is.buffer == want.buffer && is.offset == want.offset)
            continue;
        TgValue piece = tg_op(p->g, TG_Identity, NULL, 1, n->in[i]);
        plan_set_place(p, piece, want);
        if (!plan_copy(p, tg_node(p->g, node)->in[i], piece))
            return false;
    }
    return true;
}

/* --- caches ------------------------------------------------------------------------------------------------------- */

static bool is_append(const Planner *p, TgNode node) { return tg_map_get(&p->appends, node, NULL); }

static bool plan_append(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    TgValue past = n->in[0] ? readable(p, n->in[0], accepts_last) : 0;
    TgValue rows = readable(p, tg_node(p->g, node)->in[1], accepts_last),
            first = plan_contiguous(p, tg_node(p->g, node)->in[2]);
    TgStep *s = node_step(p, TG_STEP_APPEND, node);
    n = tg_node(p->g, node);
    plan_place_result(p, n->out[0], accepts_last);
    plan_reads(p, s, past);
    plan_reads(p, s, rows);
    plan_reads(p, s, first);
    plan_writes(p, s, n->out[0]);
    return plan_add(p, s);
}

/* --- state -------------------------------------------------------------------------------------------------------- */

static uint32_t output_of(const Planner *p, TgValue v)
{
    for (uint32_t k = 0; k < p->plan->outputs.n; k++)
        if (p->plan->outputs.at[k] == v)
            return k;
    return UINT32_MAX;
}

static const TgDim *strides_with_room(Planner *p, const TgType *t, int32_t axis, TgDim room)
{
    TgDim *stride = TG_NEW_N(p->arena, TgDim, t->rank + 1), step = tg_dim(p->tg, 1);
    for (int32_t k = t->rank; k-- > 0;) {
        stride[k] = step;
        step = tg_dim_mul(p->tg, step, k == axis ? room : t->dim[k]);
    }
    return stride;
}

/* Both lie in buffers with room along the axis; how much there is, says whoever calls. */
static void place_state(Planner *p, TgValue v, TgBufferKind kind, uint32_t index, int32_t axis)
{
    const TgType *t = tg_type_of(p->g, v);
    TgDim room = tg_dim_fresh(p->tg);
    uint32_t b = kind == TG_BUFFER_INPUT ? plan_place(p, v)->buffer : plan_buffer(p, kind, index, t);
    p->plan->buffers.at[b].capacity = room;
    tg_map_put(&p->bound, TG_KEY(room), 1);
    plan_set_place(p, v, (TgLocation){b, tg_dim(p->tg, 0), strides_with_room(p, t, axis, room), false});
}

static bool read_once(const Planner *p, const TgValueInfo *v) { return plan_readers(p, v) == 1 && !v->returned; }

/* Whoever calls may hand over one array for both. */
static void note_in_place(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    const TgValueInfo *past = tg_value(p->g, n->in[0]), *present = tg_value(p->g, n->out[0]);
    uint32_t output = output_of(p, n->out[0]);
    const char *operands, *results;
    bool alike = past->type == present->type && present->returned == 1 && output != UINT32_MAX && read_once(p, past);
    bool in_place = is_append(p, node) || (p->options->kernel && p->options->kernel(n->op, &operands, &results));
    if (alike && past->origin == TG_V_INPUT && in_place)
        TG_PUSH(p->plan->arena, &p->plan->in_place, ((TgInPlace){past->index, output}));
}

/* The axis along which a node makes its result of a past, in front, and new rows: -1: it does not. */
static int32_t growing_axis(const Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    bool grows = n->op == TG_Concat ? n->n_in == 2 && n->in[0] != n->in[1] : is_append(p, node) && n->in[0];
    if (!grows || tg_value(p->g, n->in[0])->origin != TG_V_INPUT || !tg_is_tensor(tg_type_of(p->g, n->out[0])))
        return -1;
    int32_t axis = (int32_t)tg_attr_int(n, "axis");
    return axis + (axis < 0 ? tg_type_of(p->g, n->in[0])->rank : 0);
}

/* An input is cast, grows, and is cast to be an output: --convert with --keep-io. There is nothing to be kept in
 * place. */
static bool is_converted_cache(const Planner *p, const TgNodeInfo *n)
{
    const TgNodeInfo *before = n->op == TG_Concat && n->n_in == 2 ? tg_producer(p->g, n->in[0], TG_Cast) : NULL;
    if (!before || tg_value(p->g, before->in[0])->origin != TG_V_INPUT)
        return false;
    const TgValueInfo *present = tg_value(p->g, n->out[0]);
    for (uint32_t i = 0; i < present->uses.n; i++) {
        const TgNodeInfo *after = tg_node(p->g, present->uses.at[i].node);
        if (after->op == TG_Cast && tg_value(p->g, after->out[0])->returned &&
            tg_type_of(p->g, after->out[0])->dtype == tg_type_of(p->g, before->in[0])->dtype)
            return true;
    }
    return false;
}

/* Once: caches are alike. */
static void say_converted(Planner *p, const TgNodeInfo *n)
{
    TgName name = tg_value(p->g, tg_producer(p->g, n->in[0], TG_Cast)->in[0])->name;
    if (!p->said_converted)
        tg_report(p->tg, TG_E_converted_cache, name ? name : "an input");
    p->said_converted = true;
}

static void note_state(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    if (is_converted_cache(p, n))
        say_converted(p, n);
    int32_t axis = growing_axis(p, node);
    if (axis < 0)
        return;
    const TgValueInfo *past = tg_value(p->g, n->in[0]), *present = tg_value(p->g, n->out[0]);
    uint32_t output = output_of(p, n->out[0]);
    if (!read_once(p, past) || present->returned != 1 || output == UINT32_MAX || past->type == present->type ||
        !plan_sizes_known(p, present->type))
        return;
    TgDim before = past->type->dim[axis], after = present->type->dim[axis];
    TG_PUSH(p->plan->arena, &p->plan->states,
            ((TgState){past->index, output, axis, before, tg_dim_sub(p->tg, after, before)}));
    place_state(p, n->in[0], TG_BUFFER_INPUT, past->index, axis);
    place_state(p, n->out[0], TG_BUFFER_OUTPUT, output, axis);
}

void plan_states(Planner *p, uint32_t n, const TgNode *nodes)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tg_node(p->g, nodes[i])->op == TG_TensorScatter && tg_node(p->g, nodes[i])->in[0])
            note_in_place(p, nodes[i]);
        note_state(p, nodes[i]);
    }
}

/* --- the door ----------------------------------------------------------------------------------------------------- */

bool plan_special(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    switch (n->op) {
    case TG_MatMul: return plan_is_linear(p->g, n) ? plan_plain_linear(p, node) : plan_mat_mul(p, node);
    case TG_Gather: return plan_embed(p, node);
    case TG_Attention: return plan_has_form(p, p->g, n) && plan_attention(p, node);
    case TG_RotaryEmbedding: return plan_rotary(p, node);
    case TG_LayerNormalization: return plan_rows(p, node, TG_STEP_LAYER_NORM);
    case TG_RMSNormalization: return plan_rows(p, node, TG_STEP_RMS_NORM);
    case TG_Softmax:
    case TG_LogSoftmax: return plan_rows(p, node, TG_STEP_SOFTMAX);
    case TG_Concat: return plan_concat(p, node);
    case TG_TensorScatter: return is_append(p, node) && plan_append(p, node);
    default: return false;
    }
}
