/* Random numbers: number i of a node is a hash of its seed and i, so neither order nor threads matter. The
 * generator is that of tgopt's evaluator: a Weyl sequence through the finalizer of splitmix64 (Steele, Lea, Flood
 * 2014), Box and Muller. */
#include "op_random.h"

#include <math.h>

#include "op_result.h"

enum { PIECE = 4096 };

static uint64_t draw_bits(uint64_t seed, int64_t i)
{
    uint64_t x = seed + ((uint64_t)i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t seed_of(double seed)
{
    uint64_t bits;
    memcpy(&bits, &seed, sizeof bits);
    return draw_bits(bits, 0);
}

/* In [0, 1), 53 bits. */
static double uniform(uint64_t seed, int64_t i)
{
    return (double)(draw_bits(seed, i) >> 11) * (1.0 / 9007199254740992.0);
}

static double normal(uint64_t seed, int64_t i)
{
    static const double turn = 6.283185307179586476925286766559;
    return sqrt(-2 * log(1 - uniform(seed, 2 * i))) * cos(turn * uniform(seed, 2 * i + 1));
}

typedef struct {
    double (*draw)(uint64_t seed, int64_t i);
    double offset, scale;
    uint64_t seed;
    const tgk_array *x;
    tgk_array *y;
    int64_t count, samples, classes;
} Fill;

static void fill_piece(void *arg, int64_t task)
{
    const Fill *f = arg;
    const int64_t end = (task + 1) * PIECE < f->count ? (task + 1) * PIECE : f->count;
    for (int64_t i = task * PIECE; i < end; i++)
        tgk_put_real(f->y, i, f->offset + f->scale * f->draw(f->seed, i));
}

static tgk_status fill(const tgk_ctx *c, tgk_array *y, int32_t rank, const int64_t *dim, Fill f)
{
    const tgk_status s = tgk_give(y, rank, dim);
    if (s || !y->at)
        return s;
    f.y = y;
    f.count = tgk_total(y);
    tgk_for(c, fill_piece, &f, (f.count + PIECE - 1) / PIECE);
    return TGK_OK;
}

tgk_status tgk_RandomNormal(const tgk_ctx *c, tgk_RandomNormal_args *a)
{
    const Fill f = {.draw = normal, .offset = a->mean, .scale = a->scale, .seed = seed_of(a->seed)};
    return a->n_shape > TGK_RANK ? TGK_BAD_SIZE : fill(c, &a->out[0], (int32_t)a->n_shape, a->shape, f);
}

tgk_status tgk_RandomNormalLike(const tgk_ctx *c, tgk_RandomNormalLike_args *a)
{
    const Fill f = {.draw = normal, .offset = a->mean, .scale = a->scale, .seed = seed_of(a->seed)};
    return fill(c, &a->out[0], a->in[0].rank, a->in[0].dim, f);
}

tgk_status tgk_RandomUniform(const tgk_ctx *c, tgk_RandomUniform_args *a)
{
    const Fill f = {.draw = uniform, .offset = a->low, .scale = a->high - a->low, .seed = seed_of(a->seed)};
    return a->n_shape > TGK_RANK ? TGK_BAD_SIZE : fill(c, &a->out[0], (int32_t)a->n_shape, a->shape, f);
}

tgk_status tgk_RandomUniformLike(const tgk_ctx *c, tgk_RandomUniformLike_args *a)
{
    const Fill f = {.draw = uniform, .offset = a->low, .scale = a->high - a->low, .seed = seed_of(a->seed)};
    return fill(c, &a->out[0], a->in[0].rank, a->in[0].dim, f);
}

/* --- chosen by given probabilities -------------------------------------------------------------------------------- */

static void throw_piece(void *arg, int64_t task)
{
    const Fill *f = arg;
    const int64_t end = (task + 1) * PIECE < f->count ? (task + 1) * PIECE : f->count;
    for (int64_t i = task * PIECE; i < end; i++)
        tgk_put_real(f->y, i, uniform(f->seed, i) < tgk_real(f->x, i) ? 1 : 0);
}

tgk_status tgk_Bernoulli(const tgk_ctx *c, tgk_Bernoulli_args *a)
{
    Fill f = {.seed = seed_of(a->seed), .x = &a->in[0], .y = &a->out[0], .count = tgk_total(&a->in[0])};
    const tgk_status s = tgk_give(&a->out[0], a->in[0].rank, a->in[0].dim);
    if (s == TGK_OK && a->out[0].at)
        tgk_for(c, throw_piece, &f, (f.count + PIECE - 1) / PIECE);
    return s;
}

/* The class at which the running sum of exp(logit) passes `share` of its total. */
static int64_t pick(const Fill *f, int64_t first, double share)
{
    double top = -HUGE_VAL, total = 0, sum = 0;
    for (int64_t i = 0; i < f->classes; i++)
        top = fmax(top, tgk_real(f->x, first + i));
    for (int64_t i = 0; i < f->classes; i++)
        total += exp(tgk_real(f->x, first + i) - top);
    for (int64_t i = 0; i < f->classes; i++) {
        sum += exp(tgk_real(f->x, first + i) - top);
        if (share * total < sum)
            return i;
    }
    return f->classes - 1;
}

static void pick_one(void *arg, int64_t i)
{
    const Fill *f = arg;
    tgk_put_real(f->y, i, (double)pick(f, i / f->samples * f->classes, uniform(f->seed, i)));
}

tgk_status tgk_Multinomial(const tgk_ctx *c, tgk_Multinomial_args *a)
{
    const tgk_array *x = &a->in[0];
    if (x->rank != 2 || x->dim[1] < 1)
        return TGK_BAD_SIZE;
    if (a->sample_size < 0)
        return TGK_BAD_VALUE;
    Fill f = {.seed = seed_of(a->seed), .x = x, .y = &a->out[0], .samples = a->sample_size, .classes = x->dim[1]};
    const int64_t dim[2] = {x->dim[0], a->sample_size};
    const tgk_status s = tgk_give(&a->out[0], 2, dim);
    if (s == TGK_OK && a->out[0].at)
        tgk_for(c, pick_one, &f, dim[0] * dim[1]);
    return s;
}
