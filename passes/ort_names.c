/* Operators of ai.onnx that the opset of the model lacks, or that the target has no kernel for, and that it has under a
 * name of its own in any opset: so the model need not be raised for them. Swish has a kernel under no other name.
 * RMSNormalization is worth a newer opset: its other name, SimplifiedLayerNormalization, lies in the standard
 * domain, where no checker knows it. Needs: what joins such an operator with its neighbours was done. Breaks:
 * nothing; no pass looks at these again. */
#include <string.h>

#include "pass.h"

static TgValue gelu(TgPass *p, const TgNodeInfo *n)
{
    bool tanh = !strcmp(tg_attr_string(p->tg, n, "approximate"), "tanh");
    TgOp op = tanh ? TG_ms_FastGelu : TG_ms_Gelu;
    return target_has_kernel(p, op, n->in[0]) ? pass_op(p, op, NULL, 1, n->in[0]) : 0;
}

static TgValue swish(TgPass *p, const TgNodeInfo *n)
{
    const TgAttrs *attrs = tg_attrs(p->tg, TG_ms_QuickGelu, "alpha=f", tg_attr_float(n, "alpha"));
    return target_has_kernel(p, TG_ms_QuickGelu, n->in[0]) ? pass_op(p, TG_ms_QuickGelu, attrs, 1, n->in[0]) : 0;
}

/* The one of com.microsoft looks the rows of its tables up itself. */
static TgValue rotary(TgPass *p, const TgNodeInfo *n)
{
    TgAttrBuild b;
    if (!in(n, 3) || pass_rank(p->g, n->in[1]) != 2 || tg_type_of(p->g, n->in[3])->dtype != TG_i64 ||
        !target_has_kernel(p, TG_ms_RotaryEmbedding, n->in[0]))
        return 0;
    tg_attrs_from(&b, p->tg, n->attrs);
    if (!tg_attr_int(n, "rotary_embedding_dim"))
        tg_attrs_drop(&b, "num_heads");
    const TgAttrs *attrs = tg_attrs_end(&b, TG_ms_RotaryEmbedding);
    return pass_op(p, TG_ms_RotaryEmbedding, attrs, 4, n->in[0], n->in[3], n->in[1], n->in[2]);
}

static const struct {
    TgOp op;
    TgValue (*make)(TgPass *p, const TgNodeInfo *n);
    const char *rewrite;
} table[] = {
    {TG_Gelu, gelu, "ort-gelu"},
    {TG_Swish, swish, "ort-swish"},
    {TG_RotaryEmbedding, rotary, "ort-rotary"},
};

static void rename_node(TgPass *p, const TgNodeInfo *n)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (n->op != table[i].op || !pass_may(p))
            continue;
        bool may_stay = tg_op_info(n->op)->since <= p->own_opset && target_has_kernel(p, n->op, n->in[0]);
        if (may_stay)
            continue;
        TgValue made = table[i].make(p, n);
        if (made && same_type(p->g, made, n->out[0])) {
            pass_count(p, table[i].rewrite);
            pass_replace(p, n->out[0], made, table[i].rewrite);
        }
        return;
    }
}

void pass_ort_names(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *node = tg_node(p->g, nodes[i]);
        if (!node->dead && node->n_out && is_read(p->g, node->out[0]))
            rename_node(p, node);
    }
}
