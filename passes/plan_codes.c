/* Weights that are stored as codes of 8 or 4 bits: DequantizeLinear of constants behind a product stays what it is.
 *
 * A constant matrix is looked through: Transpose, Cast, and a DequantizeLinear whose scales are one per matrix, one per
 * column, or one per column and group of depth. The codes go into panels as they are; scales, and scale times zero
 * point, become small matrices [groups, cols] in panels of their own. Codes without sign lose half of their range
 * first, and so do their zero points. What does not have this form is expanded when the weights are written, like any
 * recipe.
 */
#include <string.h>

#include "passes/planner.h"

static const TgRecipe *made_by(const TgTensor *t, TgOp op)
{
    return t->recipe && t->recipe->op == op && (t->payload == TG_RECIPE || t->payload == TG_OWNED) ? t->recipe : NULL;
}

static int64_t half_range(TgDtype t) { return t == TG_u8 ? 128 : t == TG_u4 ? 8 : 0; }

static int64_t attr_or(const TgRecipe *r, TgOp op, const char *name)
{
    TgNodeInfo n = {.op = op, .attrs = r->attrs};
    return tg_attr_int(&n, name);
}

/* Where the scale of a column's group lies in the tensor of scales. */
typedef struct {
    int64_t group;   /* 0: the whole depth */
    int64_t by_group, by_col;
} Spread;

/* `depth`: the axis of the tensor along which products sum. */
static bool spread_of(const TgRecipe *r, int32_t depth, Spread *s)
{
    const TgTensor *codes = r->input[0], *scale = r->input[1];
    int64_t axis = attr_or(r, TG_DequantizeLinear, "axis"), block = attr_or(r, TG_DequantizeLinear, "block_size");
    *s = (Spread){0};
    axis += axis < 0 ? codes->rank : 0;
    if (scale->count == 1)
        return true;
    if (block == 0) {
        s->by_col = 1;
        return axis == 1 - depth && scale->rank == 1;
    }
    s->group = block;
    s->by_group = depth == 0 ? scale->dim[scale->rank - 1] : 1;
    s->by_col = depth == 0 ? 1 : scale->dim[scale->rank - 1];
    return axis == depth && scale->rank == 2 && block % 8 == 0;
}

static bool is_code(TgDtype t) { return t == TG_i8 || t == TG_u8 || t == TG_i4 || t == TG_u4; }

static uint32_t add_matrix(Planner *p, const TgWeight *codes, const TgTensor *t)
{
    TgWeight w = {.tensor = t, .layout = TG_LAYOUT_PANELS, .rows = t->dim[0], .cols = t->dim[1], .panel = codes->panel,
                  .dtype = t->dtype, .name = codes->name};
    TG_PUSH(p->plan->arena, &p->plan->weights, w);
    return p->plan->weights.n; /* its number, and 1 */
}

/* [groups, cols]: scales, or scale times zero point. */
static const TgTensor *spread(Planner *p, const TgRecipe *r, const Spread *s, int64_t groups, int64_t cols, bool zeros)
{
    TgArena *arena = p->plan->arena;
    const TgTensor *scale = tg_tensor_materialize(arena, r->input[1]);
    const TgTensor *zero = zeros && r->n > 2 && r->input[2] ? tg_tensor_materialize(arena, r->input[2]) : NULL;
    const TgRecipe *cast = made_by(r->input[1], TG_Cast);
    bool half = r->input[1]->dtype == TG_f16 || (cast && cast->input[0]->dtype == TG_f16);
    TgDtype dtype = half && s->group && !zeros ? TG_f16 : TG_f32;
    int64_t dim[] = {groups, cols}, middle = half_range(r->input[0]->dtype);
    void *bytes;
    TgTensor *made = tg_tensor_blank(arena, dtype, 2, dim, &bytes);
    for (int64_t g = 0; scale && g < groups; g++)
        for (int64_t c = 0; c < cols; c++) {
            size_t at = (size_t)(scale->count == 1 ? 0 : g * s->by_group + c * s->by_col);
            double x = tg_tensor_float(p->tg, scale, at);
            if (zeros)
                x *= (double)((zero ? tg_tensor_int(p->tg, zero, zero->count == 1 ? 0 : at) : 0) - middle);
            tg_store_float(dtype, bytes, (size_t)(g * cols + c), x);
        }
    return scale ? made : NULL;
}

static bool all_zero(const TgTensor *t)
{
    const float *x = (const float *)(const void *)t->bytes;
    for (size_t i = 0; i < t->count; i++)
        if (x[i] != 0)
            return false;
    return true;
}

/* The DequantizeLinear that gives the matrix, turned or not. */
static const TgRecipe *behind(const TgTensor *t, bool *turned)
{
    *turned = false;
    for (;;) {
        const TgRecipe *r = made_by(t, TG_Transpose);
        if (r)
            *turned = !*turned; /* a Transpose that changes nothing was removed long ago */
        else if (!(r = made_by(t, TG_Cast)) || !(r->input[0]->dtype == TG_f16 || r->input[0]->dtype == TG_bf16))
            return made_by(t, TG_DequantizeLinear);
        t = r->input[0];
    }
}

bool plan_codes(Planner *p, const TgTensor *t, TgWeight *w)
{
    bool turned;
    Spread s;
    const TgRecipe *r = t->rank == 2 ? behind(t, &turned) : NULL;
    if (!r || !is_code(r->input[0]->dtype) || r->input[0]->rank != 2 || !spread_of(r, turned, &s))
        return false;
    int64_t groups = s.group && w->rows > 0 ? (w->rows + s.group - 1) / s.group : 1;
    const TgTensor *scale = spread(p, r, &s, groups, w->cols, false), *zero = spread(p, r, &s, groups, w->cols, true);
    if (!scale || !zero)
        return false;
    w->tensor = r->input[0];
    w->transposed = turned;
    w->dtype = tg_dtype_bits(w->tensor->dtype) == 8 ? TG_i8 : TG_i4;
    w->group = s.group;
    w->scale = add_matrix(p, w, scale);
    w->zero = all_zero(zero) ? 0 : add_matrix(p, w, zero);
    return true;
}

/* --- MatMulNBits ------------------------------------------------------------------------------------------------- */

/* The same bytes as a tensor of another type and shape. */
static const TgTensor *seen_as(TgArena *arena, const TgTensor *t, TgDtype dtype, int64_t rows, int64_t cols)
{
    int64_t dim[] = {rows, cols};
    t = tg_tensor_materialize(arena, t);
    bool fits = t && t->size == tg_dtype_bytes(dtype, (size_t)(rows * cols));
    return fits ? tg_tensor_owned(arena, dtype, 2, dim, t->bytes) : NULL;
}

/* Zero points [N, blocks]: the middle, a byte each, or packed row by row. */
static const TgTensor *zeros_of(Tg *tg, TgArena *arena, const TgTensor *given, TgDtype dtype, int64_t n, int64_t blocks)
{
    uint8_t middle[] = {dtype == TG_u4 ? 0x88 : 0x80};
    int64_t dim[] = {n, blocks}, row = dtype == TG_u4 ? (blocks + 1) / 2 : blocks;
    void *bytes;
    if (!given)
        return tg_tensor_splat(arena, dtype, 2, dim, middle);
    given = tg_tensor_materialize(arena, given);
    if (!given || given->dtype != TG_u8 || given->count != (size_t)(n * row))
        return NULL;
    TgTensor *made = tg_tensor_blank(arena, dtype, 2, dim, &bytes);
    for (int64_t c = 0; c < n; c++)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t code = dtype == TG_u4 ? given->bytes[c * row + b / 2] >> b % 2 * 4 & 15 : given->bytes[c * row + b];
            tg_store_integer(dtype, bytes, (size_t)(c * blocks + b), code);
        }
    (void)tg;
    return made;
}

static const TgTensor *constant(const TgGraph *g, const TgNodeInfo *n, uint32_t i)
{
    return in(n, i) ? tg_const_of(g, n->in[i]) : NULL;
}

/* The matrix [K, N] of a MatMulNBits with constant weights; 0: it has another form. */
static TgValue matrix_of_bits(TgGraph *g, const TgNodeInfo *n)
{
    int64_t k = tg_attr_int(n, "K"), cols = tg_attr_int(n, "N");
    int64_t bits = tg_attr_int(n, "bits"), block = tg_attr_int(n, "block_size");
    const TgTensor *codes = constant(g, n, 1), *scale = constant(g, n, 2);
    TgDtype dtype = bits == 4 ? TG_u4 : TG_u8;
    if (!codes || !scale || (in(n, 3) && !constant(g, n, 3)) || in(n, 4) || (bits != 4 && bits != 8) ||
        block < 16 || block % 8 || k < 1 || cols < 1 || k % block || codes->dtype != TG_u8 ||
        scale->count != (size_t)(cols * (k / block)))
        return 0;
    int64_t dim[] = {cols, k / block};
    const TgTensor *part[3] = {seen_as(g->arena, codes, dtype, cols, k), tg_tensor_materialize(g->arena, scale),
                               zeros_of(g->tg, g->arena, constant(g, n, 3), dtype, cols, k / block)};
    if (!part[0] || !part[1] || !part[2])
        return 0;
    part[1] = tg_tensor_owned(g->arena, part[1]->dtype, 2, dim, part[1]->bytes);
    const TgAttrs *attrs = tg_attrs(g->tg, TG_DequantizeLinear, "axis=i block_size=i", (int64_t)1, block);
    const TgTensor *w = tg_tensor_recipe(g->arena, TG_DequantizeLinear, attrs, 3, part, 0);
    w = w ? tg_tensor_recipe(g->arena, TG_Transpose, NULL, 1, &w, 0) : NULL;
    return w ? tg_graph_const(g, w, tg_value(g, n->in[1])->name) : 0;
}

static void expand_bits(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    TgValue w = matrix_of_bits(g, n), y = w ? tg_op(g, TG_MatMul, NULL, 2, n->in[0], w) : 0;
    if (!y)
        return;
    n = tg_node(g, node);
    tg_node_origin(g, tg_value(g, y)->node, n, NULL);
    y = in(n, 5) ? tg_op(g, TG_Add, NULL, 2, y, n->in[5]) : y;
    tg_replace(g, n->out[0], y);
    tg_remove(g, node);
}

/* A matrix of codes that only products read is a constant, whatever its size as floats: it will not be stored so. */
static void fold_codes(TgGraph *g, TgNode node)
{
    const TgNodeInfo *n = tg_node(g, node);
    const TgTensor *part[3] = {0};
    for (uint32_t i = 0; i < n->n_in && i < 3; i++)
        if (n->in[i] && !(part[i] = constant(g, n, i)))
            return;
    const TgValueInfo *v = tg_value(g, n->out[0]);
    for (uint32_t i = 0; i < v->uses.n; i++) {
        const TgNodeInfo *reader = tg_node(g, v->uses.at[i].node);
        bool product = (reader->op == TG_MatMul || reader->op == TG_Gemm) && v->uses.at[i].slot == 1;
        if (!product && reader->op != TG_Transpose)
            return;
    }
    if (part[0]->rank != 2 || !is_code(part[0]->dtype) || v->returned)
        return;
    const TgTensor *w = tg_tensor_recipe(g->arena, TG_DequantizeLinear, n->attrs, n->n_in, part, 0);
    if (!w)
        return;
    tg_replace(g, n->out[0], tg_graph_const(g, w, v->name));
    tg_remove(g, node);
}

void plan_fold_codes(TgGraph *g)
{
    for (TgNode node = 1; node < g->nodes.n; node++) {
        const TgNodeInfo *n = tg_node(g, node);
        for (uint32_t s = 0; s < n->n_sub && !n->dead; s++)
            plan_fold_codes(n->sub[s].graph);
        if (n->dead)
            continue;
        if (n->op == TG_ms_MatMulNBits)
            expand_bits(g, node);
        else if (n->op == TG_DequantizeLinear)
            fold_codes(g, node);
    }
}
