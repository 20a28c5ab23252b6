/* An arithmetic step: a value combined with a constant. What scale.c, channels.c, embedding.c and adapter.c move into
 * weights, bias and tables. */
#ifndef TG_STEP_H
#define TG_STEP_H

#include "pass.h"

typedef struct {
    TgNodeInfo *node; /* Mul, Div, Add or Sub */
    TgValue x, c;     /* its operands: the other one, the constant */
    bool reversed;    /* c - x */
} Step;

/* Node n is one, over floats, and keeps the type of x. */
bool read_step(const TgPass *p, TgNodeInfo *n, Step *s);
static inline bool is_factor(const Step *s)
{
    return s->node->op == TG_Mul || s->node->op == TG_Div;
}
/* Over the reals all factors may change places; what overflows or divides by zero may not: inf * 0 is NaN. */
bool is_sound_factor(const TgPass *p, const Step *s);
/* c, in whatever shape, as a factor: 1 / c for a division. */
TgValue factor_of(TgPass *p, const Step *s, TgValue c);

#endif
