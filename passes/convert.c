/* --convert: a model in 16 bits. Weights and compute become f16 or bf16; what loses too much by it stays in 32.
 *
 * Not a pass: it changes what is computed, so it runs once, behind them, and its error is measured (tools/convert.c).
 * First it is decided which nodes become narrow, then they are, producers first, with a Cast wherever a narrow value is
 * read in 32 bits or the other way round. Decided is
 *
 *   always narrow   products (MatMul, Gemm, Conv, Attention with its softmax in 32 bits), what moves a weight (Gather)
 *   as its operands what is computed element by element, or only moves elements: narrow where some operand is, wide
 * where
 *                   nothing but wide nodes reads it (mask + scores in front of a Softmax, position * frequency in
 * front of Cos)
 *   always wide     the others: norms, Softmax, reductions, exp, log, powers, sine, and what is computed with a
 *                   statistic (x - mean, x / sqrt(variance + eps)), so that norms in pieces are wide as well
 *
 * Constants that 16 bits cannot hold (the lowest float, as a mask) become half of the largest number that they can,
 * so that two of them still have a finite sum. Needs: inferred types. */
#include <math.h>
#include <string.h>

#include "passes/passes.h"

typedef struct Convert {
    Tg *tg;
    TgGraph *g;
    TgConvert options;
    struct Convert *around; /* of the graph that holds this one in its node `holder`, as number `sub` */
    TgNode holder;
    uint32_t sub;
    bool *narrow; /* by node */
    TgMap half;   /* value of 32 bits -> the same of 16 */
} Convert;

/* --- which ------------------------------------------------------------------------------------------------------- */

static bool is_wide(const TgGraph *g, TgValue v)
{
    return v && tg_is_tensor(tg_type_of(g, v)) && tg_type_of(g, v)->dtype == TG_f32;
}

static bool is_product(TgOp op)
{
    return op == TG_MatMul || op == TG_Gemm || op == TG_Einsum || op == TG_Conv || op == TG_ConvTranspose ||
           op == TG_Attention || op == TG_RotaryEmbedding;
}

/* Elementwise, but steep or curved enough to need 32 bits; or of a type of its own. */
static bool needs_precision(TgOp op)
{
    return op == TG_Pow || op == TG_Exp || op == TG_Log || op == TG_Sqrt || op == TG_Reciprocal ||
           op == TG_Cos || op == TG_Sin || op == TG_Cast || op == TG_CastLike || tg_op_has(op, TG_T_RANDOM);
}

static bool follows_operands(TgOp op)
{
    return (tg_op_has(op, TG_T_ELEMENTWISE) && !needs_precision(op)) || tg_op_has(op, TG_T_MOVES);
}

/* Results in 32 bits, and no operand of 64; of a standard operator that we know. */
static bool may_be_narrow(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->dead || n->op == TG_opaque || *tg_op_info(n->op)->domain || n->n_sub || !n->n_out ||
        !is_wide(g, n->out[0]))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !is_wide(g, n->in[i]) && tg_is_float(tg_type_of(g, n->in[i])->dtype))
            return false;
    return true;
}

/* A mean, a sum, a largest element; and what is computed of nothing else. */
static bool is_statistic(const TgGraph *g, const TgNodeInfo *n, const bool *statistic)
{
    if (n->op != TG_opaque && strncmp(tg_op_info(n->op)->name, "Reduce", 6) == 0)
        return true;
    bool only = n->op != TG_opaque && tg_op_has(n->op, TG_T_ELEMENTWISE), any = false;
    for (uint32_t i = 0; i < n->n_in && only; i++)
        if (n->in[i] && !tg_const_of(g, n->in[i])) {
            any = true;
            only = statistic[n->in[i]];
        }
    return only && any;
}

/* Rows of a table, or a weight laid out in another way: that matrix is stored in 16 bits. */
static bool moves_weight(const TgGraph *g, const TgNodeInfo *n)
{
    const TgTensor *t =
        tg_op_has(n->op, TG_T_MOVES) && is_wide(g, n->in[0]) ? tg_const_of(g, n->in[0]) : NULL;
    return t && t->rank == 2;
}

typedef struct {
    const TgNode *nodes; /* in order */
    uint32_t n;
    bool *fixed; /* by node: wide, whatever it reads */
    bool *value; /* by value: comes in 16 bits */
} Choice;

/* Producers first: what follows its operands. */
static void choose_forward(const Convert *c, Choice *s)
{
    const TgGraph *g = c->g;
    for (uint32_t i = 0; i < s->n; i++) {
        const TgNodeInfo *n = tg_node(g, s->nodes[i]);
        bool narrow = false;
        if (may_be_narrow(g, n) && !s->fixed[s->nodes[i]]) {
            narrow = is_product(n->op) || moves_weight(g, n);
            for (uint32_t k = 0; k < n->n_in && follows_operands(n->op); k++)
                narrow = narrow || (n->in[k] && s->value[n->in[k]]);
        }
        c->narrow[s->nodes[i]] = narrow;
        for (uint32_t k = 0; k < n->n_out; k++)
            s->value[n->out[k]] = narrow && is_wide(g, n->out[k]);
    }
}

/* Readers first: what only wide nodes read is not worth two roundings. */
static void choose_backward(const Convert *c, Choice *s)
{
    const TgGraph *g = c->g;
    for (uint32_t i = s->n; i-- > 0;) {
        const TgNodeInfo *n = tg_node(g, s->nodes[i]);
        if (!c->narrow[s->nodes[i]] || is_product(n->op) || moves_weight(g, n))
            continue;
        bool narrow = false;
        for (uint32_t k = 0; k < n->n_out; k++) {
            const TgValueInfo *v = tg_value(g, n->out[k]);
            narrow = narrow || v->returned;
            for (uint32_t u = 0; u < v->uses.n; u++)
                narrow = narrow || c->narrow[v->uses.at[u].node] || tg_node(g, v->uses.at[u].node)->n_sub;
        }
        if (!narrow) {
            c->narrow[s->nodes[i]] = false;
            s->fixed[s->nodes[i]] = true;
        }
    }
}

static void choose(Convert *c, const TgNode *nodes, uint32_t n_nodes)
{
    TgGraph *g = c->g;
    TgArena *scratch = tg_scratch(c->tg);
    bool *statistic = TG_NEW_N(scratch, bool, g->values.n);
    Choice s = {nodes, n_nodes, TG_NEW_N(scratch, bool, g->nodes.n), TG_NEW_N(scratch, bool, g->values.n)};
    c->narrow = TG_NEW_N(scratch, bool, g->nodes.n);
    for (uint32_t i = 0; i < n_nodes; i++) {
        const TgNodeInfo *n = tg_node(g, nodes[i]);
        bool yes = is_statistic(g, n, statistic), reads = false;
        for (uint32_t k = 0; k < n->n_in; k++)
            reads = reads || (n->in[k] && statistic[n->in[k]]);
        for (uint32_t k = 0; k < n->n_out; k++)
            statistic[n->out[k]] = yes;
        s.fixed[nodes[i]] = yes || (reads && n->op != TG_opaque && tg_op_has(n->op, TG_T_ELEMENTWISE));
    }
    for (uint32_t i = 0; i < g->inputs.n; i++)
        s.value[g->inputs.at[i]] = !c->options.keep_io && !c->around && is_wide(g, g->inputs.at[i]);
    choose_forward(c, &s);
    choose_backward(c, &s);
    choose_forward(c, &s); /* what followed only what is wide now */
}

/* --- values in 16 bits -------------------------------------------------------------------------------------------- */

static const TgAttrs *cast_to(Tg *tg, TgDtype to)
{
    return tg_attrs(tg, TG_Cast, "to=i", (int64_t)to);
}

/* x, or, where rounding would make it infinite, half of the largest number. */
static double held(TgDtype to, double x)
{
    double largest = to == TG_f16 ? 65504 : 0x1.fep127;
    bool lost = isfinite(x) && isinf(tg_round_float(to, x, false));
    return lost ? copysign(largest / 2, x) : x;
}

static const TgTensor *narrow_tensor(Convert *c, const TgTensor *t)
{
    enum {
        LOOK = 1 << 16
    }; /* elements: masks and numbers; larger tensors are weights, and computed when written */
    TgArena *arena = c->g->arena;
    TgDtype to = c->options.to;
    uint8_t element[2];
    if (t->payload == TG_SPLAT) {
        tg_store_float(to, element, 0, held(to, tg_tensor_float(c->tg, t, 0)));
        return tg_tensor_splat(arena, to, t->rank, t->dim, element);
    }
    if (t->count > LOOK)
        return tg_tensor_recipe(arena, TG_Cast, cast_to(c->tg, to), 1, &t, 0);
    void *bytes;
    TgTensor *made = tg_tensor_blank(arena, to, t->rank, t->dim, &bytes);
    const TgTensor *known = tg_tensor_materialize(arena, t);
    for (size_t i = 0; known && i < t->count; i++)
        tg_store_float(to, bytes, i, held(to, tg_tensor_float(c->tg, known, i)));
    return known ? made : NULL;
}

/* v, which has 32 bits, in 16; 0: recorded. */
static TgValue half_of(Convert *c, TgValue v)
{
    uint64_t known = 0;
    if (tg_map_get(&c->half, v, &known))
        return (TgValue)known;
    const TgValueInfo *info = tg_value(c->g, v);
    TgValue made = 0;
    if (info->origin == TG_V_CONST) {
        const TgTensor *t = narrow_tensor(c, info->tensor);
        TgName name =
            info->name ? tg_name_format(c->tg, "%s.%s", info->name, tg_dtype_text(c->options.to)) : NULL;
        made = t ? tg_graph_const(c->g, t, name) : 0;
    } else if (info->origin == TG_V_CAPTURE && c->around) {
        const TgNodeInfo *holder = tg_node(c->around->g, c->holder);
        TgValue outer = half_of(c->around, holder->in[holder->sub[c->sub].outer.at[info->index]]);
        made = outer ? tg_graph_capture(c->g, c->holder, c->sub, outer) : 0;
    } else
        made = tg_op(c->g, TG_Cast, cast_to(c->tg, c->options.to), 1, v);
    tg_map_put(&c->half, v, made);
    return made;
}

/* The readers of `old` read the narrow value `made`, by way of a Cast; those that become narrow will find it. */
static bool put_half(Convert *c, TgValue old, TgValue made)
{
    TgValue cast = tg_op(c->g, TG_Cast, cast_to(c->tg, TG_f32), 1, made);
    if (!cast)
        return false;
    tg_replace(c->g, old, cast);
    tg_set_input(c->g, tg_value(c->g, cast)->node, 0, made); /* an input stands for itself */
    tg_map_put(&c->half, cast, made);
    return true;
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static const TgAttrs *narrow_attrs(Convert *c, const TgNodeInfo *n)
{
    TgAttrBuild b;
    if (n->op != TG_Attention || tg_attr_has(n->attrs, "softmax_precision"))
        return n->attrs;
    tg_attrs_from(&b, c->tg, n->attrs);
    tg_attrs_int(&b, "softmax_precision", TG_f32);
    return tg_attrs_end(&b, n->op);
}

static bool narrow_node(Convert *c, TgNode node)
{
    TgGraph *g = c->g;
    const TgNodeInfo *n = tg_node(g, node);
    TgValue *operands = tg_copy(g->arena, n->in, n->n_in * sizeof *n->in);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (is_wide(g, operands[i]) && !(operands[i] = half_of(c, operands[i])))
            return false;
    TgNode made = tg_graph_add(g, n->op, narrow_attrs(c, n), n->n_in, operands, n->n_out);
    if (!made)
        return false;
    tg_node(g, made)->name = n->name;
    tg_node_origin(g, made, n, "convert");
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!put_half(c, n->out[i], tg_node(g, made)->out[i]))
            return false;
    tg_remove(g, node);
    return true;
}

/* --- inputs and outputs ------------------------------------------------------------------------------------------ */

static bool narrow_input(Convert *c, TgValue v)
{
    TgValueInfo *info = tg_value(c->g, v);
    const TgType *t = info->type;
    if (!is_wide(c->g, v))
        return true;
    if (info->initial && !(info->initial = narrow_tensor(c, info->initial)))
        return false;
    info->type = info->declared = tg_type(c->tg, c->options.to, t->rank, t->dim);
    info->type_wire = (TgBytes){0};
    return put_half(c, v, v);
}

/* Output number i is what it was, in 16 bits; who else reads the value still does. */
static bool narrow_output(Convert *c, uint32_t i)
{
    TgGraph *g = c->g;
    TgReturn *out = &g->outputs.at[i];
    TgValue v = out->value;
    if (is_wide(g, v)) {
        TgValue half = half_of(c, v);
        uint32_t n = tg_value(g, v)->uses.n;
        TgUse *uses = n ? tg_copy(tg_scratch(c->tg), tg_value(g, v)->uses.at, n * sizeof *uses) : NULL;
        if (!half)
            return false;
        tg_replace(g, v, half);
        for (uint32_t k = 0; k < n; k++)
            tg_set_input(g, uses[k].node, uses[k].slot, v);
        tg_value(g, half)->declared = NULL; /* it came with the name */
        tg_value(g, half)->type_wire = (TgBytes){0};
    }
    if (out->declared && out->declared->kind == TG_TENSOR && out->declared->dtype == TG_f32 &&
        out->declared->rank >= 0) {
        out->declared = tg_type(c->tg, c->options.to, out->declared->rank, out->declared->dim);
        out->type_wire = (TgBytes){0};
    }
    return true;
}

/* Subgraphs may be nested, but not deeper than the reader allows. */
static bool convert_graph(Convert *c)
{
    uint32_t n_nodes;
    TgGraph *g = c->g;
    const TgNode *order = tg_graph_order(g, &n_nodes);
    TgNode *nodes = n_nodes ? tg_copy(tg_scratch(c->tg), order, n_nodes * sizeof *nodes) : NULL;
    bool io = !c->around && !c->options.keep_io, good = true;
    tg_map_init(&c->half, tg_scratch(c->tg));
    choose(c, nodes, n_nodes);
    for (uint32_t i = 0; good && io && i < g->inputs.n; i++)
        good = narrow_input(c, g->inputs.at[i]);
    for (uint32_t i = 0; good && i < n_nodes; i++) {
        const TgNodeInfo *n = tg_node(g, nodes[i]);
        for (uint32_t s = 0; good && s < n->n_sub; s++) {
            Convert inner = {.tg = c->tg,
                             .g = n->sub[s].graph,
                             .options = c->options,
                             .around = c,
                             .holder = nodes[i],
                             .sub = s};
            good = convert_graph(&inner);
        }
        if (good && c->narrow[nodes[i]])
            good = narrow_node(c, nodes[i]);
    }
    for (uint32_t i = 0; good && io && i < g->outputs.n; i++)
        good = narrow_output(c, i);
    return good;
}

static bool convert(void *argument)
{
    Convert *c = argument;
    TgMark mark = tg_mark(tg_scratch(c->tg));
    bool good = convert_graph(c);
    tg_remove_dead(c->g);
    tg_release(tg_scratch(c->tg), mark);
    return good && tg_infer_graph(c->g) && tg_graph_check(c->g);
}

bool tg_convert(TgModel *model, TgConvert options)
{
    Convert c = {.tg = model->tg, .g = model->graph, .options = options};
    return tg_protect(model->tg, convert, &c);
}
