/* Attention: softmax(mask + scale Q K^T) V in whatever pieces an exporter wrote it becomes the operator
 * Attention (ai.onnx 23), where the output may have it; one that is there already loses what lies around
 * it. Read, planned and written by the files attention_*.c; see attention.h. Needs: constants folded,
 * views merged. Breaks: nothing. */
#include "attention.h"

/* With the rows that are made zero afterwards; where that is none of the operator's business, without. */
static void make_operator(TgPass *p, TgNodeInfo *softmax, Attention *a)
{
    bool done = attention_read(p, softmax, true, a) && attention_write(p, a);
    if (!done && a->guard && attention_read(p, softmax, false, a))
        attention_write(p, a);
}

void pass_attention(TgPass *p)
{
    enum { SINCE = 23 };
    uint32_t n;
    if (p->opset < SINCE)
        return;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->dead || !info->n_out || !is_read(p->g, info->out[0]) || !pass_may(p))
            continue;
        TgMark mark = tg_mark(tg_scratch(p->tg));
        Attention *a = TG_NEW(tg_scratch(p->tg), Attention);
        if (info->op == TG_Softmax)
            make_operator(p, info, a);
        else if (info->op == TG_Attention && attention_read_operator(p, info, a))
            attention_write(p, a);
        tg_release(tg_scratch(p->tg), mark);
    }
}
