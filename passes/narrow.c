/* --weights: matrices of products are stored in fewer bits; everything is still computed in 32.
 *
 * A constant matrix W becomes the constant Cast(Cast(W, bf16), f32) or DequantizeLinear(codes, scales): what reads it
 * does not change, evaluators and checks see the rounded numbers, planners look through it (plan_codes.c).
 *
 *   f16, bf16   rounded to nearest even
 *   i8          one scale per column, the largest magnitude is 127
 *   i4          groups of 32 along the depth; the element of the largest magnitude is -8, so that its scale carries
 * the sign
 *               and all 16 codes are used; scales are f16 where it has them without loss of range
 *
 * Not a pass: it changes what is computed, so it runs once, behind them, and its error is measured (tools/convert.c).
 */
#include <math.h>
#include <string.h>

#include "passes/pass.h"

enum { GROUP = 32 };

typedef struct {
    Tg *tg;
    TgGraph *g;
    TgDtype to;
    TgMap done; /* matrix -> the same in fewer bits */
    uint32_t n;
} Narrow;

static const TgTensor *cast(Narrow *c, const TgTensor *t, TgDtype to)
{
    return tg_tensor_recipe(c->g->arena, TG_Cast, tg_attrs(c->tg, TG_Cast, "to=i", (int64_t)to), 1, &t, 0);
}

static bool fits_f16(float scale) { return scale == 0 || (fabsf(scale) >= 0x1p-14f && fabsf(scale) <= 65504); }

/* A matrix: n elements along the depth that lie `stride` apart, `cols` columns that lie `next` apart; one of both is 1.
 * They are walked as they lie: a step along the other axis is a page or so. */
typedef struct {
    const float *x;
    int64_t n, stride, cols, next;
} Matrix;

static void note_largest(float *largest, float x)
{
    if (fabsf(x) > fabsf(*largest))
        *largest = x;
}

/* Of rows k .. k + n of each column, the element of the largest magnitude. */
static void find_largest(const Matrix *m, int64_t k, int64_t n, float *largest)
{
    const float *x = m->x + k * m->stride;
    memset(largest, 0, (size_t)m->cols * sizeof *largest);
    if (m->next == 1)
        for (int64_t i = 0; i < n; i++)
            for (int64_t col = 0; col < m->cols; col++)
                note_largest(&largest[col], x[i * m->stride + col]);
    else
        for (int64_t col = 0; col < m->cols; col++)
            for (int64_t i = 0; i < n; i++)
                note_largest(&largest[col], x[col * m->next + i]);
}

static float scale_of(TgDtype to, float largest) { return to == TG_i8 ? fabsf(largest) / 127 : largest / -8; }

static int8_t code_of(TgDtype to, float x, float scale)
{
    const double low = to == TG_i8 ? -127 : -8, high = to == TG_i8 ? 127 : 7, nearest = 0x1.8p52;
    double q = scale == 0 ? 0 : (double)x / (double)scale;
    q = q < low ? low : q > high ? high : q;
    return isnan(q) ? 0 : (int8_t)((q + nearest) - nearest);
}

/* n codes from element `at` on. */
static void put_codes(TgDtype to, uint8_t *codes, size_t at, const int8_t *q, int64_t n)
{
    if (to == TG_i8)
        memcpy(codes + at, q, (size_t)n);
    else
        for (int64_t i = 0; i < n; i++) {
            uint8_t *byte = &codes[(at + (size_t)i) / 2];
            bool high = (at + (size_t)i) % 2;
            *byte = (uint8_t)(high ? (*byte & 0x0f) | q[i] * 16 : (*byte & 0xf0) | (q[i] & 0x0f));
        }
}

/* Rows k .. k + n, with a scale for each column; q has room for a row, or for what lies in a column. */
static void put_group(TgDtype to, const Matrix *m, int64_t k, int64_t n, const float *scale, int8_t *q, uint8_t *codes)
{
    for (int64_t i = 0; i < n && m->next == 1; i++) {
        const float *x = m->x + (k + i) * m->stride;
        for (int64_t col = 0; col < m->cols; col++)
            q[col] = code_of(to, x[col], scale[col]);
        put_codes(to, codes, (size_t)((k + i) * m->stride), q, m->cols);
    }
    for (int64_t col = 0; col < m->cols && m->next != 1; col++) {
        const float *x = m->x + col * m->next + k;
        for (int64_t i = 0; i < n; i++)
            q[i] = code_of(to, x[i], scale[col]);
        put_codes(to, codes, (size_t)(col * m->next + k), q, n);
    }
}

/* x [dim 0, dim 1], summed along axis `depth`, as codes and scales. */
static const TgTensor *quantized(Narrow *c, const TgTensor *t, const float *x, int32_t depth)
{
    TgArena *arena = c->g->arena, *scratch = tg_scratch(c->tg);
    int64_t n = t->dim[depth], cols = t->dim[1 - depth], group = c->to == TG_i8 ? n : GROUP;
    int64_t groups = (n + group - 1) / group, dim[2] = {depth == 0 ? groups : cols, depth == 0 ? cols : groups};
    const Matrix m = {x, n, depth == 0 ? cols : 1, cols, depth == 0 ? 1 : n};
    float *scale = TG_NEW_N(scratch, float, groups * cols + 1);
    int8_t *q = TG_NEW_N(scratch, int8_t, (n > cols ? n : cols) + 1);
    void *codes, *scales;
    bool half = c->to == TG_i4;
    for (int64_t g = 0; g < groups; g++)
        find_largest(&m, g * group, n - g * group < group ? n - g * group : group, scale + g * cols);
    for (int64_t i = 0; i < groups * cols; i++) {
        scale[i] = scale_of(c->to, scale[i]);
        half = half && fits_f16(scale[i]);
    }
    const TgTensor *part[2] = {tg_tensor_blank(arena, c->to, 2, t->dim, &codes), NULL};
    TgTensor *stored = c->to == TG_i8 ? tg_tensor_blank(arena, TG_f32, 1, &cols, &scales)
                                      : tg_tensor_blank(arena, half ? TG_f16 : TG_f32, 2, dim, &scales);
    for (int64_t g = 0; g < groups; g++) {
        float *of_group = scale + g * cols;
        for (int64_t col = 0; col < cols; col++) {
            size_t at = (size_t)(depth == 0 ? g * cols + col : col * groups + g);
            tg_store_float(stored->dtype, scales, at, (double)of_group[col]);
            of_group[col] = (float)tg_load_float(stored->dtype, scales, at);
        }
        put_group(c->to, &m, g * group, n - g * group < group ? n - g * group : group, of_group, q, codes);
    }
    part[1] = half ? cast(c, stored, TG_f32) : stored;
    const TgAttrs *attrs =
        c->to == TG_i8 ? tg_attrs(c->tg, TG_DequantizeLinear, "axis=i", (int64_t)(1 - depth))
                       : tg_attrs(c->tg, TG_DequantizeLinear, "axis=i block_size=i", (int64_t)depth, group);
    return tg_tensor_recipe(arena, TG_DequantizeLinear, attrs, 2, part, 0);
}

static const TgTensor *narrowed(Narrow *c, const TgTensor *t, int32_t depth)
{
    if (c->to == TG_f16 || c->to == TG_bf16) {
        const TgTensor *few = cast(c, t, c->to);
        return few ? cast(c, few, TG_f32) : NULL;
    }
    TgArena *scratch = tg_scratch(c->tg);
    TgMark mark = tg_mark(scratch);
    const TgTensor *known = tg_tensor_materialize(scratch, t);
    float *x = known ? TG_NEW_N(scratch, float, t->count + 1) : NULL;
    if (known)
        tg_load_f32s(TG_f32, known->bytes, t->count, x);
    const TgTensor *made = known ? quantized(c, t, x, depth) : NULL;
    tg_release(scratch, mark);
    return made;
}

/* It has fewer bits already. */
static bool is_narrow(const TgTensor *t)
{
    while (t->payload == TG_RECIPE && t->recipe->op == TG_Transpose)
        t = t->recipe->input[0];
    return t->payload == TG_RECIPE && (t->recipe->op == TG_DequantizeLinear ||
                                       (t->recipe->op == TG_Cast && tg_dtype_bits(t->recipe->input[0]->dtype) < 32));
}

static bool narrow_operand(Narrow *c, TgNode node, int32_t depth)
{
    const TgNodeInfo *n = tg_node(c->g, node);
    TgValue v = n->in[1];
    const TgNodeInfo *turn = tg_producer(c->g, v, TG_Transpose);
    const TgTensor *t = tg_const_of(c->g, turn ? turn->in[0] : v);
    depth = turn ? 1 - depth : depth;
    if (!t || t->rank != 2 || t->dtype != TG_f32 || t->count == 0 || t->payload == TG_SPLAT || is_narrow(t))
        return true;
    uint64_t made = 0;
    if (!tg_map_get(&c->done, v, &made)) {
        const TgTensor *few = narrowed(c, t, depth);
        if (few && turn)
            few = tg_tensor_recipe(c->g->arena, TG_Transpose, NULL, 1, &few, 0);
        if (!few)
            return false;
        made =
            tg_graph_const(c->g, few,
                           tg_value(c->g, v)->name
                               ? tg_name_format(c->tg, "%s.%s", tg_value(c->g, v)->name, tg_dtype_text(c->to))
                               : NULL);
        tg_map_put(&c->done, v, made);
        c->n++;
    }
    tg_set_input(c->g, node, 1, (TgValue)made);
    return true;
}

static bool narrow_graph(Tg *tg, TgGraph *g, TgDtype to, uint32_t *n_done)
{
    Narrow c = {.tg = tg, .g = g, .to = to};
    bool good = true;
    tg_map_init(&c.done, g->arena);
    for (TgNode node = 1, end = g->nodes.n; node < end && good; node++) {
        const TgNodeInfo *n = tg_node(g, node);
        for (uint32_t s = 0; s < n->n_sub && !n->dead && good; s++)
            good = narrow_graph(tg, n->sub[s].graph, to, n_done);
        if (!n->dead && n->op == TG_MatMul)
            good = narrow_operand(&c, node, 0);
        else if (!n->dead && n->op == TG_Gemm && tg_attr_int(n, "transA") == 0)
            good = narrow_operand(&c, node, tg_attr_int(n, "transB") ? 1 : 0);
    }
    tg_remove_dead(g);
    *n_done += c.n;
    return good;
}

bool tg_narrow_weights(TgModel *model, TgDtype to, uint32_t *n)
{
    *n = 0;
    return narrow_graph(model->tg, model->graph, to, n);
}
