/* Integer operands of kernels that are written for reals: MaxPool, GridSample.
 *
 * The kernel runs in float64 on converted operands. That is exact where it only chooses among them, and what
 * ONNX says where it interpolates: computed in floating point, cast to the integer at the end. */
#include "eval_kernel.h"

enum { MOST_OPERANDS = 4 };

static TgArray as_reals(const TgEvalCall *c, const TgArray *a)
{
    TgArray reals = tg_array_new(c->tg, TG_EVAL_F64, TG_f64, a->rank, a->dim);
    double *to = reals.data;
    for (int64_t i = 0; i < a->count; i++)
        to[i] = eval_real(c, a, i);
    return reals;
}

/* Truncates, and gives up the reals. */
static TgArray as_integers(const TgEvalCall *c, TgArray *reals, TgDtype dtype)
{
    TgArray a = tg_array_new(c->tg, c->mode, dtype, reals->rank, reals->dim);
    const double *from = reals->data;
    for (int64_t i = 0; i < a.count; i++)
        tg_array_set_int(&a, i, tg_truncate(from[i]));
    tg_array_drop(c->tg, reals);
    return a;
}

bool eval_by_reals(TgEvalCall *c, bool (*kernel)(TgEvalCall *c))
{
    TgArray reals[MOST_OPERANDS];
    const TgArray *in[MOST_OPERANDS] = {0};
    TgEvalCall inner = *c;
    inner.mode = TG_EVAL_F64;
    inner.in = in;
    TG_CHECK(c->tg, c->n->n_in <= MOST_OPERANDS);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (c->in[i]) {
            reals[i] = as_reals(c, c->in[i]);
            in[i] = &reals[i];
        }
    const bool ok = kernel(&inner);
    for (uint32_t i = 0; ok && i < TG_EVAL_OUTS; i++)
        if (c->out[i].dtype == TG_f64)
            c->out[i] = as_integers(c, &c->out[i], c->in[0]->dtype);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        if (in[i])
            tg_array_drop(c->tg, &reals[i]);
    return ok;
}
