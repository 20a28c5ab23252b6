/* Det: determinants of a batch of square matrices [*, n, n], by elimination. */
#include "eval_kernel.h"

#include <math.h>

#define TG_TEMPLATE "eval_det.inc"
#include "eval_num.h"

bool eval_det(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    if (!eval_holds(c, "r"))
        return false;
    if (x->rank < 2 || x->dim[x->rank - 1] != x->dim[x->rank - 2] || x->dim[x->rank - 1] > UINT16_MAX)
        return eval_bad_shape(c, 0, "the last two axes are those of a square matrix");
    double n = (double)x->dim[x->rank - 1];
    return eval_spend(c, (double)x->count * n) && eval_out(c, 0, x->dtype, x->rank - 2, x->dim) &&
           TG_BY_NUM(c, det)(c, x->dim[x->rank - 1]);
}
