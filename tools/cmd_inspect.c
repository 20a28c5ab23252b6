/* tgopt inspect MODEL: what is in it. */
#include "tool.h"

static void print_value(TgName name, TgName type, const char *note)
{
    printf("  %-40s %s%s\n", name ? name : "", type, note);
}

static void print_interface(Tg *tg, const TgGraph *g)
{
    puts("inputs");
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *info = tg_value(g, g->inputs.at[i]);
        print_value(info->name, tg_type_text(tg, info->type), info->initial ? "  (has a default)" : "");
    }
    puts("outputs");
    for (uint32_t i = 0; i < g->outputs.n; i++)
        print_value(g->outputs.at[i].name, tg_type_text(tg, tg_type_of(g, g->outputs.at[i].value)), "");
}

static void print_operators(Tg *tg, const TgModel *model)
{
    Summary s = {0};
    count_ops(tg, &s, model, true);
    puts("operators");
    for (uint32_t i = 0; i < s.ops.n; i++)
        printf("  %-40s %u\n", s.ops.at[i].name, s.ops.at[i].after);
}

/* Distinct elements of floating-point constants are what people call parameters. */
static double parameters(Tg *tg, const TgGraph *g)
{
    TgMap seen;
    double n = 0;
    tg_map_init(&seen, tg_forever(tg));
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (info->origin != TG_V_CONST || !tg_is_float(info->tensor->dtype) ||
            !(info->uses.n || info->returned))
            continue;
        if (tg_map_get(&seen, TG_KEY(info->tensor), NULL))
            continue;
        tg_map_put(&seen, TG_KEY(info->tensor), 1);
        n += (double)info->tensor->count;
    }
    return n;
}

static void print_head(Tg *tg, TgModel *model)
{
    Figures f = figures_of(model);
    TgName producer = model->producer_name ? model->producer_name : "";
    TgName version = model->producer_version ? model->producer_version : "";
    printf("model       %s\n", model->path ? model->path : "");
    printf("producer    %s %s\n", producer, version);
    printf("ir version  %lld\n", (long long)model->ir_version);
    for (uint32_t i = 0; i < model->imports.n; i++) {
        TgName domain = model->imports.at[i].domain;
        printf("opset       %s %lld\n", *domain ? domain : "ai.onnx",
               (long long)model->imports.at[i].version);
    }
    printf("nodes       %u\n", f.nodes);
    printf("parameters  %.0f\n", parameters(tg, model->graph));
    printf("constants   %.0f bytes\n", f.const_bytes);
    printf("flops       %.4g  (named sizes count as %d)\n", f.cost.flops, TG_TYPICAL_SIZE);
    printf("traffic     %.4g bytes\n", f.cost.bytes);
}

static void print_shapes(Tg *tg, TgGraph *g)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    puts("values");
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *node = tg_node(g, order[i]);
        TgName op = node->op == TG_opaque ? node->op_name : tg_op_text(tg, node->op);
        for (uint32_t k = 0; k < node->n_out; k++) {
            const TgValueInfo *info = tg_value(g, node->out[k]);
            printf("  %-40s %-24s %s\n", info->name ? info->name : "", op, tg_type_text(tg, info->type));
        }
    }
}

bool inspect_command(Run *run)
{
    const Arguments *a = &run->arguments;
    Emit emit;
    if (!emit_of(a, EMIT_NONE, &emit) || emit == EMIT_ONNX) {
        run->code = EXIT_USAGE;
        return emit == EMIT_ONNX && has(a, OPT_emit) ? usage("inspect writes tg, dot or json") : false;
    }
    TgModel *model = load_model(run, a->operands.at[0]);
    if (!model || !fix_input_shapes(run, model))
        return false;
    if (emit != EMIT_NONE)
        return emit_model(run, model, emit, "-");
    print_head(run->tg, model);
    print_interface(run->tg, model->graph);
    print_operators(run->tg, model);
    if (has(a, OPT_shapes))
        print_shapes(run->tg, model->graph);
    return true;
}
