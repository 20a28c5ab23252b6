/* Definitions of the optimizers of ai.onnx.preview.training: Adagrad, Adam, Momentum.
 *
 * Inputs: learning rate R, update count T, then n tensors each of: values X, gradients G, and one or two
 * states; outputs: the new X and the new states. All begin with the regularized gradient G +
 * norm_coefficient X. */
#include "define.h"

typedef struct {
    uint32_t n;           /* tensors being trained */
    TgValue rate, count;  /* R, and T as a float */
} Step;

static Step step_of(TgDefine *d, uint32_t groups)
{
    Step s = {.n = d->n->n_in < 2 ? 0 : (d->n->n_in - 2) / groups, .rate = arg(d, 0)};
    if (s.n == 0 || d->n->n_in != 2 + groups * s.n || d->n->n_out != (groups - 1) * s.n)
        define_refuse(d, "the tensors do not come in groups");
    s.count = Cast(d, arg(d, 1), dtype_of(d, s.rate));
    return s;
}

/* Tensor i of a group. */
static TgValue member(const TgDefine *d, const Step *s, uint32_t group, uint32_t i)
{
    return arg(d, 2 + group * s->n + i);
}

static TgValue times(TgDefine *d, TgValue x, double factor) { return Mul(d, x, num(d, x, factor)); }

static TgValue gradient(TgDefine *d, TgValue x, TgValue g)
{
    return Add(d, times(d, x, attr_f(d, "norm_coefficient")), g);
}

/* `then` after the first update, `first` at it. */
static TgValue unless_first(TgDefine *d, const Step *s, TgValue then, TgValue first)
{
    return Where(d, Greater(d, s->count, num(d, s->count, 0)), then, first);
}

static TgValue distance(TgDefine *d, TgValue square) /* sqrt(square) + epsilon */
{
    return Add(d, Sqrt(d, square), num(d, square, attr_f(d, "epsilon")));
}

static TgValue mix(TgDefine *d, double keep, TgValue old, TgValue fresh)
{
    return Add(d, times(d, old, keep), times(d, fresh, 1 - keep));
}

bool define_Adagrad(TgDefine *d)
{
    Step s = step_of(d, 3);
    TgValue rate = Div(d, s.rate, Add(d, num(d, s.count, 1), times(d, s.count, attr_f(d, "decay_factor"))));
    for (uint32_t i = 0; i < s.n && !d->failed; i++) {
        TgValue x = member(d, &s, 0, i), g = gradient(d, x, member(d, &s, 1, i));
        TgValue h = Add(d, member(d, &s, 2, i), Square(d, g));
        d->out[i] = Sub(d, x, Div(d, Mul(d, CastLike(d, rate, x), g), distance(d, h)));
        d->out[s.n + i] = h;
    }
    return define_done(d);
}

/* R sqrt(1 - beta^T) / (1 - alpha^T), or R at the first update. */
static TgValue adam_rate(TgDefine *d, const Step *s)
{
    TgValue one = num(d, s->count, 1);
    TgValue slow = Sub(d, one, Pow(d, num(d, s->count, attr_f(d, "alpha")), s->count));
    TgValue wide = Sub(d, one, Pow(d, num(d, s->count, attr_f(d, "beta")), s->count));
    return unless_first(d, s, Div(d, Mul(d, s->rate, Sqrt(d, wide)), slow), s->rate);
}

bool define_Adam(TgDefine *d)
{
    Step s = step_of(d, 4);
    TgValue rate = adam_rate(d, &s);
    for (uint32_t i = 0; i < s.n && !d->failed; i++) {
        TgValue x = member(d, &s, 0, i), g = gradient(d, x, member(d, &s, 1, i));
        TgValue v = mix(d, attr_f(d, "alpha"), member(d, &s, 2, i), g);
        TgValue h = mix(d, attr_f(d, "beta"), member(d, &s, 3, i), Square(d, g));
        TgValue moved = Sub(d, x, Mul(d, CastLike(d, rate, x), Div(d, v, distance(d, h))));
        d->out[i] = times(d, moved, 1 - attr_f(d, "norm_coefficient_post"));
        d->out[s.n + i] = v;
        d->out[2 * s.n + i] = h;
    }
    return define_done(d);
}

bool define_Momentum(TgDefine *d)
{
    Step s = step_of(d, 3);
    double alpha = attr_f(d, "alpha");
    TgValue beta = unless_first(d, &s, num(d, s.count, attr_f(d, "beta")), num(d, s.count, 1));
    for (uint32_t i = 0; i < s.n && !d->failed; i++) {
        TgValue x = member(d, &s, 0, i), g = gradient(d, x, member(d, &s, 1, i));
        TgValue v = Add(d, times(d, member(d, &s, 2, i), alpha), Mul(d, CastLike(d, beta, x), g));
        TgValue direction = attr_is(d, "mode", "nesterov") ? Add(d, g, times(d, v, alpha)) : v;
        d->out[i] = Sub(d, x, Mul(d, CastLike(d, s.rate, x), direction));
        d->out[s.n + i] = v;
    }
    return define_done(d);
}
