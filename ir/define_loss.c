/* Definitions of the classification losses. With t the class of an element, w its weight (0 where t is
 * ignore_index, else 1 or the class's): loss = -w log p(t); the mean divides by the sum of the w. */
#include "define.h"

typedef struct {
    TgValue loss, weight; /* weight 0: all of them are 1 */
} Terms;

/* log_p: N x C x ..., target: N x ... */
static Terms terms(TgDefine *d, TgValue log_p, TgValue target, TgValue class_weight)
{
    TgValue ignored = 0, class = Cast(d, target, TG_i64);
    if (attr_given(d, "ignore_index")) {
        ignored = Equal(d, class, int0(d, attr_i(d, "ignore_index")));
        class = Where(d, ignored, int0(d, 0), class); /* an index that exists; its loss is dropped below */
    }
    TgValue picked = op_axis(d, TG_GatherElements, 1, 2, (TgValue[]){log_p, Unsqueeze(d, class, 1)});
    Terms t = {.loss = Neg(d, Squeeze(d, picked, 1))};
    if (class_weight)
        t.weight = Gather(d, class_weight, class, 0);
    if (t.weight)
        t.loss = Mul(d, t.loss, t.weight);
    if (ignored) {
        TgValue zero = num(d, log_p, 0);
        t.weight = Where(d, ignored, zero, t.weight ? t.weight : num(d, log_p, 1));
        t.loss = Where(d, ignored, zero, t.loss);
    }
    return t;
}

static TgValue reduced(TgDefine *d, Terms t)
{
    if (attr_is(d, "reduction", "none"))
        return t.loss;
    if (attr_is(d, "reduction", "sum"))
        return ReduceAll(d, TG_ReduceSum, t.loss);
    if (!t.weight)
        return ReduceAll(d, TG_ReduceMean, t.loss);
    return Div(d, ReduceAll(d, TG_ReduceSum, t.loss), ReduceAll(d, TG_ReduceSum, t.weight));
}

bool define_NegativeLogLikelihoodLoss(TgDefine *d)
{
    d->out[0] = reduced(d, terms(d, arg(d, 0), arg(d, 1), arg(d, 2)));
    return define_done(d);
}

bool define_SoftmaxCrossEntropyLoss(TgDefine *d)
{
    TgValue scores = arg(d, 0), log_p = op_axis(d, TG_LogSoftmax, 1, 1, &scores);
    d->out[0] = reduced(d, terms(d, log_p, arg(d, 1), arg(d, 2)));
    give(d, 1, log_p);
    return define_done(d);
}
