/* Random operators. No two implementations agree on their values, so ours only promise the distribution,
 * and the same values for the same seed: number i of a node is a hash of the seed and i, whatever the
 * order of evaluation. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>

/* --- numbers -------------------------------------------------------------------------------------------- */

/* Number i of a sequence: a Weyl sequence through the finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw_bits(uint64_t seed, int64_t i)
{
    uint64_t x = seed + ((uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* In [0, 1), 53 bits. */
static double uniform(uint64_t seed, int64_t i) { return (double)(draw_bits(seed, i) >> 11) * 0x1p-53; }

/* The node's own seed where it has one, else that of the run. */
static uint64_t seed_of(const TgEvalCall *c)
{
    if (!tg_attr_has(c->n->attrs, "seed"))
        return c->seed;
    double given = tg_attr_float(c->n, "seed");
    uint64_t bits;
    memcpy(&bits, &given, sizeof bits);
    return draw_bits(bits, 0);
}

/* Box and Muller: one of two normal numbers from two uniform ones. */
static double normal(uint64_t seed, int64_t i)
{
    static const double turn = 6.283185307179586476925286766559;
    return sqrt(-2 * log(1 - uniform(seed, 2 * i))) * cos(turn * uniform(seed, 2 * i + 1));
}

/* --- distributions -------------------------------------------------------------------------------------- */

/* Fills output 0 with offset + scale * draw. */
static bool fill(TgEvalCall *c, double (*draw)(uint64_t, int64_t), double offset, double scale)
{
    const uint64_t seed = seed_of(c);
    TgArray *y = &c->out[0];
    for (int64_t i = 0; i < y->count; i++)
        tg_array_set_float(c->mode, y, i, offset + scale * draw(seed, i));
    return true;
}

static bool fill_normal(TgEvalCall *c)
{
    return fill(c, normal, tg_attr_float(c->n, "mean"), tg_attr_float(c->n, "scale"));
}

static bool fill_uniform(TgEvalCall *c)
{
    double low = tg_attr_float(c->n, "low");
    return fill(c, uniform, low, tg_attr_float(c->n, "high") - low);
}

/* Output 0 of the real type and the shape that the attributes give. */
static bool out_by_attributes(TgEvalCall *c)
{
    uint32_t n;
    const int64_t *dim = tg_attr_ints(c->n, "shape", &n);
    TgDtype t = (TgDtype)tg_attr_int(c->n, "dtype");
    if (!tg_is_float(t))
        return tg_report(c->tg, TG_E_eval_word, "dtype", tg_dtype_text(t));
    return n <= TG_EVAL_RANK ? eval_out(c, 0, t, (int32_t)n, dim) : eval_bad_value(c, "rank", n);
}

/* Output 0 of the shape of operand 0; its type too, unless the node names another. */
static bool out_like(TgEvalCall *c, bool real)
{
    TgDtype t = tg_attr_has(c->n->attrs, "dtype") ? (TgDtype)tg_attr_int(c->n, "dtype") : c->in[0]->dtype;
    if (real && !tg_is_float(t))
        return tg_report(c->tg, TG_E_eval_word, "dtype", tg_dtype_text(t));
    return eval_out(c, 0, t, c->in[0]->rank, c->in[0]->dim);
}

bool eval_random_normal(TgEvalCall *c) { return out_by_attributes(c) && fill_normal(c); }
bool eval_random_uniform(TgEvalCall *c) { return out_by_attributes(c) && fill_uniform(c); }
bool eval_random_normal_like(TgEvalCall *c) { return out_like(c, true) && fill_normal(c); }
bool eval_random_uniform_like(TgEvalCall *c) { return out_like(c, true) && fill_uniform(c); }

static void set(TgEvalCall *c, int64_t i, int64_t x)
{
    if (eval_is_real(&c->out[0]))
        tg_array_set_float(c->mode, &c->out[0], i, (double)x);
    else
        tg_array_set_int(&c->out[0], i, x);
}

bool eval_bernoulli(TgEvalCall *c)
{
    const uint64_t seed = seed_of(c);
    if (!eval_holds(c, "r") || !out_like(c, false))
        return false;
    for (int64_t i = 0; i < c->out[0].count; i++)
        set(c, i, uniform(seed, i) < eval_real(c, c->in[0], i));
    return true;
}

/* The class at which the running sum of exp(logit) passes `share` of its total. */
static int64_t pick(const TgEvalCall *c, int64_t first, int64_t classes, double share)
{
    const TgArray *x = c->in[0];
    double top = -INFINITY, total = 0, sum = 0;
    for (int64_t i = 0; i < classes; i++)
        top = fmax(top, eval_real(c, x, first + i));
    for (int64_t i = 0; i < classes; i++)
        total += exp(eval_real(c, x, first + i) - top);
    for (int64_t i = 0; i < classes; i++) {
        sum += exp(eval_real(c, x, first + i) - top);
        if (share * total < sum)
            return i;
    }
    return classes - 1;
}

bool eval_multinomial(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    const uint64_t seed = seed_of(c);
    int64_t samples = tg_attr_int(c->n, "sample_size");
    if (!eval_holds(c, "r"))
        return false;
    if (x->rank != 2 || x->dim[1] < 1)
        return eval_bad_shape(c, 0, "it is [batch, classes], with a class at least");
    if (samples < 0)
        return eval_bad_value(c, "sample_size", samples);
    if (!eval_out(c, 0, (TgDtype)tg_attr_int(c->n, "dtype"), 2, (int64_t[]){x->dim[0], samples}))
        return false;
    for (int64_t i = 0; i < c->out[0].count; i++)
        set(c, i, pick(c, i / samples * x->dim[1], x->dim[1], uniform(seed, i)));
    return true;
}
