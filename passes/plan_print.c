/* A plan as text: sizes, buffers, steps, for `tgopt plan` and for people who write planners.
 *
 * One line per step: number, kind, results, operators with their source names, operands; then operations and bytes with
 * every size at its maximum. One line per buffer of the arena: where, how much, between which steps.
 */
#include <string.h>

#include "passes.h"

typedef struct {
    const TgPlan *p;
    TgText *out;
    uint32_t depth; /* of bodies */
} Printing;

static const char *const kind_names[] = {
    [TG_STEP_POINTWISE] = "pointwise", [TG_STEP_COPY] = "copy",         [TG_STEP_APPEND] = "append",
    [TG_STEP_LINEAR] = "linear",
    [TG_STEP_MATMUL] = "matmul",       [TG_STEP_ATTENTION] = "attention", [TG_STEP_SOFTMAX] = "softmax",
    [TG_STEP_LAYER_NORM] = "layer norm", [TG_STEP_RMS_NORM] = "rms norm", [TG_STEP_ROTARY] = "rotary",
    [TG_STEP_EMBED] = "embed",
    [TG_STEP_OPERATOR] = "operator",   [TG_STEP_SIZES] = "sizes",       [TG_STEP_BIND] = "bind",
    [TG_STEP_EXPECT] = "expect",       [TG_STEP_IF] = "if",               [TG_STEP_REPEAT] = "repeat",
};

/* --- numbers ---------------------------------------------------------------------------------------------------- */

static bool at_most(void *user, TgDim symbol, int64_t *n)
{
    const TgPlan *p = user;
    for (uint32_t i = 0; i < p->symbols.n; i++)
        if (p->symbols.at[i].symbol == symbol)
            return *n = p->symbols.at[i].most, true;
    return false;
}

static double size_of(const TgPlan *p, TgDim d)
{
    int64_t n;
    return d && tg_dim_eval(d, at_most, (void *)p, &n) ? (double)n : 0;
}

static double count_of(const TgPlan *p, TgValue v)
{
    const TgType *t = tg_type_of(p->graph, v);
    int64_t n = tg_is_tensor(t) ? tg_plan_most_elements(p, t) : 0;
    return n > 0 ? (double)n : 0;
}

static double bytes_of(const TgPlan *p, TgValue v)
{
    return v ? count_of(p, v) * tg_dtype_bits(tg_type_of(p->graph, v)->dtype) / 8 : 0;
}

static double product_flops(const TgPlan *p, const TgStep *s)
{
    double flops = 2 * size_of(p, s->u.product.rows) * size_of(p, s->u.product.depth) * size_of(p, s->u.product.cols);
    for (int32_t k = 0; k < s->u.product.batch_rank; k++)
        flops *= size_of(p, s->u.product.batch[k]);
    return flops;
}

static double attention_flops(const TgPlan *p, const TgStep *s) /* q k^T, and times v */
{
    const TgType *k = tg_type_of(p->graph, s->in.at[1]);
    double keys = k->rank >= 2 ? size_of(p, k->dim[k->rank - 2]) : 1;
    return 2 * keys * (count_of(p, s->in.at[0]) + count_of(p, s->out.at[0]));
}

/* One operation for each result of a node that is neither a product nor attention. */
static double flops_of(const TgPlan *p, const TgStep *s)
{
    double flops = 0;
    if (s->kind == TG_STEP_LINEAR || s->kind == TG_STEP_MATMUL)
        flops = product_flops(p, s);
    else if (s->kind == TG_STEP_ATTENTION)
        flops = attention_flops(p, s);
    bool counted = flops > 0 || s->kind == TG_STEP_COPY || s->kind == TG_STEP_APPEND;
    for (uint32_t i = 0; !counted && i < s->nodes.n; i++) {
        const TgNodeInfo *n = tg_node(p->graph, s->nodes.at[i]);
        flops += n->n_out && n->out[0] ? count_of(p, n->out[0]) : 0;
    }
    return s->then ? flops + flops_of(p, s->then) : flops;
}

static double moved_by(const TgPlan *p, const TgStep *s)
{
    double bytes = 0;
    for (uint32_t i = 0; i < s->in.n; i++)
        bytes += bytes_of(p, s->in.at[i]);
    for (uint32_t i = 0; i < s->out.n; i++)
        bytes += bytes_of(p, s->out.at[i]);
    if (s->kind == TG_STEP_LINEAR)
        bytes += (double)p->weights.at[s->u.product.weight].tensor->size;
    return bytes;
}

static void put_amount(TgText *out, double n, const char *unit)
{
    static const char *const scale[] = {"", "k", "M", "G", "T"};
    int k = 0;
    for (; n >= 1000 && k < 4; k++)
        n /= 1000;
    tg_text_format(out, k ? "%.3g %s%s" : "%.0f %s%s", n, scale[k], unit);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void put_dim(TgText *out, TgDim d)
{
    if (d)
        tg_dim_print(d, out);
    else
        tg_text_add(out, "?");
}

/* Where it lies: "arena 4096", "weight 3", "input 0", with what is unusual about it. */
static void put_place(const Printing *w, TgValue v)
{
    static const char *const kinds[] = {"", "input", "output", "weight", "arena"};
    const TgPlan *p = w->p;
    const TgLocation *place = v < p->places.n ? tg_place_of(p, v) : NULL;
    if (!place || !place->buffer)
        return;
    const TgBuffer *b = &p->buffers.at[place->buffer];
    tg_text_format(w->out, "@%s %llu", kinds[b->kind],
                   b->kind == TG_BUFFER_ARENA ? (unsigned long long)b->offset : b->index);
    if (place->offset && !tg_dim_is(place->offset, 0)) {
        tg_text_add(w->out, "+");
        put_dim(w->out, place->offset);
    }
    if (place->contiguous || !place->stride)
        return;
    tg_text_add(w->out, "(");
    for (int32_t k = 0; k < tg_type_of(p->graph, v)->rank; k++) {
        tg_text_add(w->out, k ? "," : "");
        put_dim(w->out, place->stride[k]);
    }
    tg_text_add(w->out, ")");
}

static void put_value(const Printing *w, TgValue v)
{
    if (!v) {
        tg_text_add(w->out, "-");
        return;
    }
    const TgValueInfo *info = tg_value(w->p->graph, v);
    if (info->name)
        tg_text_add(w->out, info->name);
    else
        tg_text_format(w->out, "%%%u", v);
    tg_text_add(w->out, ": ");
    tg_type_print(info->type, w->out);
    put_place(w, v);
}

static void put_values(const Printing *w, const TgValues *values)
{
    for (uint32_t i = 0; i < values->n; i++) {
        tg_text_add(w->out, i ? ", " : "");
        put_value(w, values->at[i]);
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void put_nodes(const Printing *w, const TgStep *s)
{
    for (uint32_t i = 0; i < s->nodes.n; i++) {
        const TgNodeInfo *n = tg_node(w->p->graph, s->nodes.at[i]);
        tg_text_format(w->out, "%s%s", i ? " " : "", n->op ? tg_op_text(w->p->graph->tg, n->op) : n->op_name);
    }
}

static void put_weight(const Printing *w, uint32_t index)
{
    const TgWeight *t = &w->p->weights.at[index];
    tg_text_format(w->out, " weight %u: %s[%lld,%lld] in panels of %lld", index, tg_dtype_text(t->dtype),
                   (long long)t->rows, (long long)t->cols, (long long)t->panel);
}

static void put_attention(const Printing *w, const TgStep *s)
{
    tg_text_format(w->out, ", heads %lld/%lld", (long long)s->u.attention.heads, (long long)s->u.attention.kv_heads);
    if (!s->u.attention.causal)
        return;
    tg_text_add(w->out, ", causal +");
    put_dim(w->out, s->u.attention.offset);
}

static void put_loop(const Printing *w, const TgStep *s)
{
    tg_text_add(w->out, ", over [");
    for (int32_t k = 0; k < s->u.pointwise.rank; k++) {
        tg_text_add(w->out, k ? "," : "");
        put_dim(w->out, s->u.pointwise.dim[k]);
    }
    tg_text_add(w->out, "]");
}

static void put_detail(const Printing *w, const TgStep *s)
{
    if (s->kind == TG_STEP_ATTENTION)
        put_attention(w, s);
    if (s->kind == TG_STEP_POINTWISE)
        put_loop(w, s);
    if (s->kind == TG_STEP_BIND) {
        tg_text_add(w->out, ", ");
        put_dim(w->out, s->u.bind.symbol);
        if (s->u.bind.axis >= 0)
            tg_text_format(w->out, " = axis %d", s->u.bind.axis);
        else
            tg_text_format(w->out, " = element %lld", (long long)s->u.bind.element);
    }
    if (s->then) {
        tg_text_add(w->out, ", then ");
        put_nodes(w, s->then);
    }
}

static void put_steps(Printing *w, const TgSteps *steps);

static void put_step(Printing *w, const TgStep *s)
{
    tg_text_format(w->out, "%*s%5u %-10s ", (int)(4 * w->depth), "", s->number, kind_names[s->kind]);
    put_values(w, &s->out);
    tg_text_add(w->out, s->out.n ? " = " : "");
    put_nodes(w, s);
    tg_text_add(w->out, "(");
    put_values(w, &s->in);
    tg_text_add(w->out, ")");
    if (s->kind == TG_STEP_LINEAR || s->kind == TG_STEP_EMBED)
        put_weight(w, s->u.product.weight);
    put_detail(w, s);
    tg_text_add(w->out, "; ");
    put_amount(w->out, flops_of(w->p, s), "op, ");
    put_amount(w->out, moved_by(w->p, s), "B\n");
    for (int k = 0; k < 2 && (s->kind == TG_STEP_IF || (s->kind == TG_STEP_REPEAT && !k)); k++) {
        tg_text_format(w->out, "%*s      body %d\n", (int)(4 * w->depth), "", k);
        w->depth++;
        put_steps(w, &s->body[k]);
        w->depth--;
    }
}

static void put_steps(Printing *w, const TgSteps *steps)
{
    for (uint32_t i = 0; i < steps->n; i++)
        put_step(w, steps->at[i]);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void put_symbols(const Printing *w)
{
    const TgPlan *p = w->p;
    tg_text_add(w->out, p->symbols.n ? "sizes\n" : "");
    for (uint32_t i = 0; i < p->symbols.n; i++) {
        const TgPlanSymbol *s = &p->symbols.at[i];
        tg_text_add(w->out, "  ");
        put_dim(w->out, s->symbol);
        tg_text_format(w->out, " <= %lld", (long long)s->most);
        if (s->input != UINT32_MAX)
            tg_text_format(w->out, ", axis %d of input %u\n", s->axis, s->input);
        else
            tg_text_add(w->out, ", known when a step has run\n");
    }
}

static void put_states(const Printing *w)
{
    const TgPlan *p = w->p;
    tg_text_add(w->out, p->states.n ? "caches\n" : "");
    for (uint32_t i = 0; i < p->states.n; i++) {
        const TgState *s = &p->states.at[i];
        tg_text_format(w->out, "  input %u grows into output %u along axis %d: ", s->input, s->output, s->axis);
        put_dim(w->out, s->past);
        tg_text_add(w->out, " + ");
        put_dim(w->out, s->grow);
        tg_text_add(w->out, "\n");
    }
    for (uint32_t i = 0; i < p->in_place.n; i++)
        tg_text_format(w->out, "%s  input %u may be output %u: rows are written in place\n",
                       i || p->states.n ? "" : "caches\n", p->in_place.at[i].input, p->in_place.at[i].output);
}

static void put_buffers(const Printing *w)
{
    const TgPlan *p = w->p;
    tg_text_add(w->out, "arena\n");
    for (uint32_t i = 1; i < p->buffers.n; i++) {
        const TgBuffer *b = &p->buffers.at[i];
        if (b->kind != TG_BUFFER_ARENA)
            continue;
        tg_text_format(w->out, "  %10llu %10llu bytes, steps %u to %u: %s[", (unsigned long long)b->offset,
                       (unsigned long long)b->bytes, b->first, b->last, tg_dtype_text(b->dtype));
        put_dim(w->out, b->count);
        tg_text_add(w->out, "]\n");
    }
}

static double add_flops(const TgPlan *p, const TgSteps *steps)
{
    double flops = 0;
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        flops += flops_of(p, s);
        for (int k = 0; k < 2; k++)
            flops += add_flops(p, &s->body[k]);
    }
    return flops;
}

void tg_plan_print(const TgPlan *p, TgText *out)
{
    Printing w = {.p = p, .out = out};
    double weights = 0;
    for (uint32_t i = 0; i < p->weights.n; i++)
        weights += (double)p->weights.at[i].tensor->size;
    tg_text_format(out, "%u steps, ", p->n_steps);
    put_amount(out, add_flops(p, &p->steps), "op, ");
    tg_text_format(out, "%u weights of ", p->weights.n);
    put_amount(out, weights, "B\n");
    tg_text_format(out, "arena %llu bytes; without reuse %llu, at least %llu\n", (unsigned long long)p->arena_bytes,
                   (unsigned long long)p->sum_bytes, (unsigned long long)p->floor_bytes);
    put_symbols(&w);
    put_states(&w);
    put_buffers(&w);
    tg_text_add(out, "steps\n");
    put_steps(&w, &p->steps);
}
