/* What the output is written for. ONNX Runtime reads newer opsets than most models have, and has operators of
 * its own: for it the passes may use all of them, and the opset is raised afterwards, as far as what they made
 * needs it. */
#include <string.h>

#include "pass.h"

/* The newest opset whose operators ONNX Runtime (1.32) has kernels for, on the CPU. */
enum { NEWEST_OF_ORT = 24 };

static bool is_standard(const TgNodeInfo *n)
{
    const char *domain = n->op == TG_opaque ? n->domain : tg_op_info(n->op)->domain;
    return !domain || !*domain;
}

typedef struct {
    bool has[TG_OP_COUNT];
    bool is_bound; /* a standard operator in a form that only the opset of the file has */
} Operators;

/* Nesting is bounded by the reader. */
static void collect(const TgGraph *g, Operators *found)
{
    for (TgNode i = 1; i < g->nodes.n; i++) {
        const TgNodeInfo *n = tg_node(g, i);
        if (n->dead || !is_standard(n))
            continue;
        found->has[n->op] = true;
        found->is_bound |= n->op == TG_opaque;
        for (uint32_t s = 0; s < n->n_sub; s++)
            collect(n->sub[s].graph, found);
    }
}

static void import(TgModel *m, const char *domain)
{
    TgImport made = {tg_name(m->tg, domain), 1};
    if (!tg_model_opset(m, domain)) /* the writer leaves it out if nothing is of that domain */
        TG_PUSH(m->arena, &m->imports, made);
}

TgTargetStart target_begin(TgPass *p)
{
    const TgOptimizeOptions *o = p->options;
    TgTargetStart start;
    Operators found = {0};
    collect(p->model->graph, &found);
    memcpy(start.had, found.has, sizeof start.had);
    p->own_opset = p->opset = o->opset ? o->opset : tg_model_opset(p->model, "");
    if (o->target != TG_TARGET_ANY) {
        bool may_raise = !o->opset && o->level >= 2 && !found.is_bound && p->opset > 0;
        import(p->model, "com.microsoft");
        p->opset = may_raise && p->opset < NEWEST_OF_ORT ? NEWEST_OF_ORT : p->opset;
    }
    return start;
}

int64_t target_opset(const TgPass *p, const TgTargetStart *start)
{
    Operators found = {0};
    int64_t opset = p->options->opset;
    if (opset || p->opset == p->own_opset)
        return opset;
    collect(p->model->graph, &found);
    for (int op = 0; op < TG_OP_COUNT; op++)
        if (found.has[op] && !start->had[op] && tg_op_info((TgOp)op)->since > opset)
            opset = tg_op_info((TgOp)op)->since;
    return opset > p->own_opset ? opset : 0;
}

bool target_has_kernel(const TgPass *p, TgOp op, TgValue v)
{
    const TgType *t = tg_type_of(p->g, v);
    return tg_is_tensor(t) && tg_target_has_kernel(p->options->target, op, t->dtype);
}
