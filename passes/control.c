/* An If whose condition is known becomes the branch that is taken. Needs: symbolic elements. Breaks: nothing. */
#include "pass.h"

static bool known_condition(const TgPass *p, const TgNodeInfo *n, bool *taken)
{
    int64_t value;
    uint32_t count;
    if (!tg_const_ints(p->g, n->in[0], 1, &value, &count) || count != 1)
        return false;
    *taken = value != 0;
    return true;
}

bool splice_branch(TgGraph *g, const TgNodeInfo *n, uint32_t sub, TgValue *out)
{
    const TgSub *branch = &n->sub[sub];
    if (branch->graph->inputs.n) /* an If hands nothing over: the file is odd */
        return false;
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    TgValue *captured = TG_NEW_N(scratch, TgValue, branch->outer.n + 1);
    for (uint32_t k = 0; k < branch->outer.n; k++)
        captured[k] = n->in[branch->outer.at[k]];
    tg_graph_splice(g, branch->graph, NULL, captured, out);
    tg_release(scratch, mark);
    return true;
}

static bool inline_branch(TgPass *p, const TgNodeInfo *n, uint32_t sub)
{
    TgValue *out = TG_NEW_N(tg_scratch(p->tg), TgValue, n->n_out + 1);
    bool all = splice_branch(p->g, n, sub, out) && pass_allow(p, "inline-if");
    for (uint32_t i = 0; all && i < n->n_out; i++)
        all = pass_replace(p, n->out[i], out[i], "inline-if");
    return all;
}

void pass_control(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        bool taken, gone = false;
        if (info->op != TG_If || !known_condition(p, info, &taken) || !pass_may(p))
            continue;
        for (uint32_t s = 0; s < info->n_sub; s++)
            if ((info->sub[s].attr == tg_name(p->tg, "then_branch")) == taken)
                gone = inline_branch(p, info, s);
        if (gone)
            tg_remove(p->g, nodes[i]);
    }
}
