/* Reading arithmetic steps, see step.h. */
#include <math.h>

#include "step.h"

bool read_step(const TgPass *p, TgNodeInfo *n, Step *s)
{
    bool arithmetic = n->op == TG_Mul || n->op == TG_Div || n->op == TG_Add || n->op == TG_Sub;
    if (!arithmetic || n->dead || !tg_is_float(tg_type_of(p->g, n->out[0])->dtype))
        return false;
    bool right = is_const(p->g, n->in[1]);
    *s = (Step){n, n->in[right ? 0 : 1], n->in[right ? 1 : 0], !right && n->op == TG_Sub};
    return (right || n->op != TG_Div) && is_const(p->g, s->c) && !is_const(p->g, s->x) &&
           same_type(p->g, s->x, n->out[0]);
}

bool is_sound_factor(const TgPass *p, const Step *s)
{
    const TgTensor *t = tg_const_of(p->g, s->c);
    size_t n = t->payload == TG_SPLAT && t->count ? 1 : t->count;
    for (size_t i = 0; i < n; i++) {
        double c = tg_tensor_float(p->tg, t, i);
        if (!isfinite(s->node->op == TG_Div ? 1 / c : c))
            return false;
    }
    return true;
}

TgValue factor_of(TgPass *p, const Step *s, TgValue c)
{
    return s->node->op == TG_Div ? pass_op(p, TG_Reciprocal, NULL, 1, c) : c;
}
