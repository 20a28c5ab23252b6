/* Steps that are one call of a kernel of the instruction set: products, attention, norms, rotary; copies; pointwise
 * loops. */
#include "emit.h"

/* --- pieces ------------------------------------------------------------------------------------------------------- */

/* Kernels need not mind empty arrays: where the sizes do not exclude one, the call is under a condition. */
static void begin(Emitter *e, TgDim count, const char *kernel, const char *type)
{
    bool sure = tg_dim_lower(count) > 0;
    if (!sure)
        emit(e, "    if (%s > 0)\n    ", size_text(e, count));
    e->indent = sure ? 8 : 12;
    emit(e, "    f->ctx->isa->%s(f->ctx, &(%s){\n%*s", kernel, type, (int)e->indent, "");
}

static void end(Emitter *e)
{
    emit(e, "});\n");
}

static void number_item(Emitter *e, const char *name, TgDim d)
{
    emit_item(e, ".%s = %s", name, size_text(e, d));
}

static void address_item(Emitter *e, const char *name, TgValue v)
{
    emit_item(e, ".%s = %s", name, address_text(e, v));
}

static void strides_item(Emitter *e, const char *name, TgValue v, uint32_t n, const int32_t *axis)
{
    emit_item(e, ".%s = %s", name, strides_text(e, v, n, axis));
}

static bool is_f32(const Emitter *e, TgValue v)
{
    return v == 0 || step_type(e, v)->dtype == TG_f32;
}

static TgDim elements(const Emitter *e, TgValue v)
{
    return tg_type_count(e->p->tg, step_type(e, v));
}

/* --- pointwise loops ---------------------------------------------------------------------------------------------- */

static unsigned loop_number(const Emitter *e, const TgStep *s)
{
    uint64_t number = 0;
    TG_CHECK(e->p->tg, tg_map_get(&e->p->loop_of, TG_KEY(s), &number));
    return (unsigned)number;
}

static TgValue operand(const TgStep *s, uint32_t k)
{
    return k < s->in.n ? s->in.at[k] : s->out.at[k - s->in.n];
}

void emit_loop_value(Emitter *e, const TgStep *s)
{
    int32_t rank = s->u.pointwise.rank;
    uint32_t indent = e->indent;
    emit(e, "(tgk_loop){");
    emit_item(e, ".rank = %d", (int)rank);
    emit_item(e, ".dim = {%s", size_text(e, s->u.pointwise.dim[0]));
    for (int32_t a = 1; a < rank; a++)
        emit_item(e, "%s", size_text(e, s->u.pointwise.dim[a]));
    emit(e, "}, .operand = {\n%*s", (int)indent + 4, "");
    e->indent = indent + 4;
    for (uint32_t k = 0; k < s->in.n + s->out.n; k++) {
        TgText text;
        tg_text_init(&text, e->p->arena);
        for (int32_t a = 0; a < rank; a++)
            tg_text_format(&text, "%s%s", a ? ", " : "",
                           size_text(e, s->u.pointwise.stride[k * (uint32_t)rank + (uint32_t)a]));
        emit_item(e, "{%s, {%s}}", address_text(e, operand(s, k)), text.at);
    }
    emit(e, "}}");
    e->indent = indent;
}

static void emit_pointwise(Emitter *e, const TgStep *s)
{
    e->indent = 8;
    emit(e, "    tgk_run_loop(f->ctx, f->loop[%u], &", loop_number(e, s));
    emit_loop_value(e, s);
    emit(e, ");\n");
    e->p->uses_loop = true;
}

static void then_items(Emitter *e, const TgStep *s)
{
    if (!s->then)
        return;
    emit_item(e, ".then = f->loop[%u]", loop_number(e, s->then));
    emit_item(e, ".loop = &");
    emit_loop_value(e, s->then);
}

/* --- copies ------------------------------------------------------------------------------------------------------- */

/* The extras are added to the addresses in elements; NULL: nothing. Axes where from lacks one are repeated. */
bool emit_copy(Emitter *e, TgValue from, TgValue to, const char *from_extra, const char *to_extra)
{
    const TgType *type = step_type(e, to);
    TgText dims, sources, targets;
    tg_text_init(&dims, e->p->arena);
    tg_text_init(&sources, e->p->arena);
    tg_text_init(&targets, e->p->arena);
    for (int32_t a = 0; a < type->rank; a++) {
        const char *comma = a ? ", " : "";
        tg_text_format(&dims, "%s%s", comma, size_text(e, type->dim[a]));
        tg_text_format(&sources, "%s%s", comma, size_text(e, stride_of(e, from, a - type->rank)));
        tg_text_format(&targets, "%s%s", comma, size_text(e, stride_of(e, to, a - type->rank)));
    }
    emit(e, "tgk_copy(f->ctx, &(tgk_move){");
    emit_item(e, ".rank = %d, .size = %u", (int)type->rank, (unsigned)emit_bytes(type->dtype));
    if (type->rank > 0) {
        emit_item(e, ".dim = {%s}", dims.at);
        emit_item(e, ".from_stride = {%s}", sources.at);
        emit_item(e, ".to_stride = {%s}", targets.at);
    }
    const char *const extra[2] = {from_extra, to_extra}, *const name[2] = {"from", "to"};
    const TgValue value[2] = {from, to};
    for (uint32_t i = 0; i < 2; i++)
        if (extra[i])
            emit_item(e, ".%s = tgk_at(%s, %u*(%s))", name[i], address_text(e, value[i]), emit_bytes(type->dtype),
                      extra[i]);
        else
            emit_item(e, ".%s = %s", name[i], address_text(e, value[i]));
    emit(e, "});\n");
    e->p->uses_copy = true;
    return true;
}

/* Strides in bytes: whatever the elements are, rows of them are moved. */
static void row_strides_item(Emitter *e, const char *name, TgValue v)
{
    TgText text;
    TgDim size = tg_dim(e->p->tg, emit_bytes(step_type(e, v)->dtype));
    tg_text_init(&text, e->p->arena);
    for (int32_t a = 0; a < 3; a++)
        tg_text_format(&text, "%s%s", a ? ", " : "", size_text(e, tg_dim_mul(e->p->tg, size, stride_of(e, v, a))));
    emit_item(e, ".%s_stride = {%s}", name, text.at);
}

static bool emit_append(Emitter *e, const TgStep *s)
{
    TgValue past = s->in.at[0], rows = s->in.at[1], y = s->out.at[0];
    TgDim size = tg_dim(e->p->tg, emit_bytes(step_type(e, y)->dtype));
    e->indent = 8;
    emit(e, "    status = tgk_append(f->ctx, &(tgk_append_args){\n        ");
    number_item(e, "batch", emit_dim_of(e, y, 0));
    number_item(e, "heads", emit_dim_of(e, y, 1));
    if (past) {
        number_item(e, "past", emit_dim_of(e, past, 2));
        address_item(e, "from", past);
        row_strides_item(e, "from", past);
    }
    number_item(e, "rows", emit_dim_of(e, rows, 2));
    number_item(e, "room", emit_dim_of(e, y, 2));
    number_item(e, "width", tg_dim_mul(e->p->tg, size, emit_dim_of(e, y, 3)));
    address_item(e, "fresh", rows);
    row_strides_item(e, "fresh", rows);
    address_item(e, "to", y);
    row_strides_item(e, "to", y);
    address_item(e, "first", s->in.at[2]);
    if (past && emit_dim_of(e, past, 2) == emit_dim_of(e, y, 2))
        emit_item(e, ".shared = 1");
    emit(e, "});\n    if (status != TGK_OK)\n        return status;\n");
    e->checks = true;
    e->p->uses_copy = true;
    return true;
}

/* --- products ----------------------------------------------------------------------------------------------------- */

static const char *panel_type(TgDtype t)
{
    return t == TG_f32    ? "TGK_F32"
           : t == TG_f16  ? "TGK_F16"
           : t == TG_bf16 ? "TGK_BF16"
           : t == TG_i8   ? "TGK_I8"
           : t == TG_i4   ? "TGK_I4"
                          : NULL;
}

static void panels_item(Emitter *e, const TgWeight *w, uint64_t at)
{
    const TgWeight *all = e->p->plan->weights.at;
    TgText text;
    tg_text_init(&text, e->p->arena);
    if (w->scale)
        tg_text_format(&text, ", .scale = tgk_at(f->weights, %llu)", (unsigned long long)e->p->weight_at[w->scale - 1]);
    if (w->scale && all[w->scale - 1].dtype == TG_f16)
        tg_text_add(&text, ", .scale_type = TGK_F16");
    if (w->zero)
        tg_text_format(&text, ", .zero = tgk_at(f->weights, %llu)", (unsigned long long)e->p->weight_at[w->zero - 1]);
    if (w->group)
        tg_text_format(&text, ", .group = %lld", (long long)w->group);
    emit_item(e, ".w = {.at = tgk_at(f->weights, %llu), .type = %s, .panel = %d%s}", (unsigned long long)at,
              panel_type(w->dtype), (int)w->panel, text.n ? text.at : "");
}

static bool emit_linear(Emitter *e, const TgStep *s)
{
    TgValue x = s->in.at[0], bias = s->in.n > 1 ? s->in.at[1] : 0, y = s->out.at[0];
    const TgWeight *weight = &e->p->plan->weights.at[s->u.product.weight];
    if (!panel_type(weight->dtype) || !is_f32(e, x) || !is_f32(e, bias) || !is_f32(e, y))
        return emit_refuse(e, s, "a product over weights of this element type has no kernel");
    begin(e, elements(e, y), "linear", "tgk_linear");
    number_item(e, "rows", s->u.product.rows);
    number_item(e, "depth", s->u.product.depth);
    number_item(e, "cols", s->u.product.cols);
    address_item(e, "x", x);
    number_item(e, "x_stride", s->u.product.a_row);
    panels_item(e, weight, e->p->weight_at[s->u.product.weight]);
    if (bias)
        address_item(e, "bias", bias);
    address_item(e, "y", y);
    number_item(e, "y_stride", s->u.product.c_row);
    then_items(e, s);
    end(e);
    return true;
}

static void list_item(Emitter *e, const char *name, int32_t n, const TgDim *d)
{
    TgText text;
    tg_text_init(&text, e->p->arena);
    for (int32_t i = 0; i < n; i++)
        tg_text_format(&text, "%s%s", i ? ", " : "", size_text(e, d[i]));
    emit_item(e, ".%s = {%s}", name, text.at);
}

static bool emit_matmul(Emitter *e, const TgStep *s)
{
    TgValue a = s->in.at[0], b = s->in.at[1], c = s->out.at[0];
    int32_t batch = s->u.product.batch_rank;
    if (!is_f32(e, a) || !is_f32(e, b) || !is_f32(e, c))
        return emit_refuse(e, s, "a product of this element type has no kernel");
    begin(e, elements(e, c), "matmul", "tgk_matmul");
    if (batch > 0) {
        emit_item(e, ".batch_rank = %d", (int)batch);
        list_item(e, "batch", batch, s->u.product.batch);
        list_item(e, "a_batch", batch, s->u.product.a_batch);
        list_item(e, "b_batch", batch, s->u.product.b_batch);
        list_item(e, "c_batch", batch, s->u.product.c_batch);
    }
    number_item(e, "rows", s->u.product.rows);
    number_item(e, "depth", s->u.product.depth);
    number_item(e, "cols", s->u.product.cols);
    address_item(e, "a", a);
    address_item(e, "b", b);
    address_item(e, "c", c);
    number_item(e, "a_row", s->u.product.a_row);
    number_item(e, "a_col", s->u.product.a_col);
    number_item(e, "b_row", s->u.product.b_row);
    number_item(e, "b_col", s->u.product.b_col);
    number_item(e, "c_row", s->u.product.c_row);
    emit_item(e, ".alpha = 1");
    end(e);
    return true;
}

/* --- attention ---------------------------------------------------------------------------------------------------- */

static const char *float_text(Emitter *e, double x)
{
    return tg_name_format(e->p->tg, "%aF", x);
}

static bool emit_attention(Emitter *e, const TgStep *s)
{
    static const int32_t ROWS[3] = {0, 1, 2};
    static const char *const NAME[3] = {"q", "k", "v"}, *const STRIDE[3] = {"q_stride", "k_stride", "v_stride"};
    const TgValue *in = s->in.at;
    TgValue y = s->out.at[0], mask = s->in.n > 3 ? in[3] : 0, valid = s->in.n > 4 ? in[4] : 0;
    if (!is_f32(e, in[0]) || !is_f32(e, in[1]) || !is_f32(e, in[2]) || !is_f32(e, y))
        return emit_refuse(e, s, "attention of this element type has no kernel");
    begin(e, elements(e, y), "attention", "tgk_attention");
    number_item(e, "batch", emit_dim_of(e, in[0], 0));
    emit_item(e, ".heads = %lld, .kv_heads = %lld", (long long)s->u.attention.heads,
              (long long)s->u.attention.kv_heads);
    number_item(e, "queries", emit_dim_of(e, in[0], 2));
    number_item(e, "keys", emit_dim_of(e, in[1], 2));
    number_item(e, "size", emit_dim_of(e, in[0], 3));
    number_item(e, "v_size", emit_dim_of(e, in[2], 3));
    for (uint32_t i = 0; i < 3; i++) {
        address_item(e, NAME[i], in[i]);
        strides_item(e, STRIDE[i], in[i], 3, ROWS);
    }
    address_item(e, "y", y);
    strides_item(e, "y_stride", y, 3, ROWS);
    if (mask) {
        emit_item(e, ".mask_kind = %s", step_type(e, mask)->dtype == TG_f32 ? "TGK_MASK_ADD" : "TGK_MASK_BOOL");
        address_item(e, "mask", mask);
        list_item(e, "mask_stride", 4, s->u.attention.mask_stride);
    }
    if (valid)
        address_item(e, "valid", valid);
    emit_item(e, ".scale = %s", float_text(e, s->u.attention.scale));
    if (s->u.attention.softcap > 0)
        emit_item(e, ".softcap = %s", float_text(e, s->u.attention.softcap));
    if (s->u.attention.causal)
        emit_item(e, ".causal = 1");
    if (s->u.attention.offset)
        number_item(e, "offset", s->u.attention.offset);
    emit_item(e, ".left = %lld, .right = %lld", (long long)s->u.attention.left, (long long)s->u.attention.right);
    end(e);
    return true;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static bool emit_rows(Emitter *e, const TgStep *s, const char *kernel)
{
    TgValue x = s->in.at[0], scale = s->in.n > 1 ? s->in.at[1] : 0, bias = s->in.n > 2 ? s->in.at[2] : 0,
            y = s->out.at[0];
    if (!is_f32(e, x) || !is_f32(e, scale) || !is_f32(e, bias) || !is_f32(e, y))
        return emit_refuse(e, s, "this element type has no kernel");
    begin(e, elements(e, y), kernel, "tgk_rows");
    number_item(e, "rows", s->u.rows.rows);
    number_item(e, "cols", s->u.rows.cols);
    address_item(e, "x", x);
    number_item(e, "x_stride", s->u.rows.x_stride);
    address_item(e, "y", y);
    number_item(e, "y_stride", s->u.rows.y_stride);
    if (scale)
        address_item(e, "scale", scale);
    if (bias)
        address_item(e, "bias", bias);
    if (s->kind != TG_STEP_SOFTMAX)
        emit_item(e, ".epsilon = %s", float_text(e, s->u.rows.epsilon));
    end(e);
    return true;
}

static bool emit_rotary(Emitter *e, const TgStep *s)
{
    static const int32_t ROWS[3] = {0, 1, 2};
    TgValue x = s->in.at[0], cosine = s->in.at[1], sine = s->in.at[2], y = s->out.at[0];
    if (!is_f32(e, x) || !is_f32(e, cosine) || !is_f32(e, sine) || !is_f32(e, y))
        return emit_refuse(e, s, "a rotation of this element type has no kernel");
    begin(e, elements(e, y), "rotary", "tgk_rotary");
    number_item(e, "batch", emit_dim_of(e, x, 0));
    number_item(e, "heads", emit_dim_of(e, x, 1));
    number_item(e, "rows", emit_dim_of(e, x, 2));
    number_item(e, "width", emit_dim_of(e, x, 3));
    emit_item(e, ".size = %lld, .interleaved = %d", (long long)s->u.rotary.size, s->u.rotary.interleaved);
    address_item(e, "x", x);
    address_item(e, "cos", cosine);
    address_item(e, "sin", sine);
    address_item(e, "y", y);
    strides_item(e, "x_stride", x, 3, ROWS);
    strides_item(e, "y_stride", y, 3, ROWS);
    list_item(e, "table_stride", 2, s->u.rotary.table_stride);
    end(e);
    return true;
}

static bool emit_embed(Emitter *e, const TgStep *s)
{
    TgValue index = s->in.at[0], y = s->out.at[0];
    const TgWeight *weight = &e->p->plan->weights.at[s->u.product.weight];
    emit(e, "    status = tgk_embed(f->ctx, &(tgk_embedding){\n        ");
    e->indent = 8;
    number_item(e, "count", s->u.product.rows);
    number_item(e, "depth", s->u.product.depth);
    number_item(e, "cols", s->u.product.cols);
    address_item(e, "index", index);
    panels_item(e, weight, e->p->weight_at[s->u.product.weight]);
    address_item(e, "y", y);
    number_item(e, "y_stride", s->u.product.c_row);
    emit(e, "});\n    if (status != TGK_OK)\n        return status;\n");
    e->checks = true;
    e->p->uses_embed = true;
    return true;
}

bool emit_kernel(Emitter *e, const TgStep *s)
{
    switch (s->kind) {
    case TG_STEP_POINTWISE: emit_pointwise(e, s); return true;
    case TG_STEP_COPY:
        emit(e, "    ");
        e->indent = 8;
        return emit_copy(e, s->in.at[0], s->out.at[0], NULL, NULL);
    case TG_STEP_APPEND: return emit_append(e, s);
    case TG_STEP_LINEAR: return emit_linear(e, s);
    case TG_STEP_MATMUL: return emit_matmul(e, s);
    case TG_STEP_ATTENTION: return emit_attention(e, s);
    case TG_STEP_SOFTMAX: return emit_rows(e, s, s->u.rows.logarithm ? "log_softmax" : "softmax");
    case TG_STEP_LAYER_NORM: return emit_rows(e, s, "layer_norm");
    case TG_STEP_RMS_NORM: return emit_rows(e, s, "rms_norm");
    case TG_STEP_ROTARY: return emit_rotary(e, s);
    case TG_STEP_EMBED: return emit_embed(e, s);
    case TG_STEP_OPERATOR:
    case TG_STEP_SIZES:
    case TG_STEP_BIND:
    case TG_STEP_EXPECT:
    case TG_STEP_IF:
    case TG_STEP_REPEAT: break;
    }
    return emit_refuse(e, s, "no kernel is called like that");
}
