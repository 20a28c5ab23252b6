/* Random operators.
 *
 * A node with a seed gives what the evaluator of tgopt gives for it. `seed` of a node that has none is the
 * generator's to choose: kernels do not know whether it was given, and two nodes with one seed draw the same
 * numbers. */
#ifndef TGK_OP_RANDOM_H
#define TGK_OP_RANDOM_H

#include "tgk.h"

typedef struct {
    tgk_array in[1]; /* probabilities */
    tgk_array out[1];
    int64_t dtype;
    double seed;
} tgk_Bernoulli_args;

typedef struct {
    tgk_array in[1]; /* [batch, classes]: logarithms of probabilities, not scaled */
    tgk_array out[1];
    int64_t dtype, sample_size;
    double seed;
} tgk_Multinomial_args;

typedef struct {
    tgk_array out[1];
    int64_t dtype;
    double mean, scale, seed;
    const int64_t *shape;
    int64_t n_shape;
} tgk_RandomNormal_args;

typedef struct {
    tgk_array in[1]; /* only its sizes matter */
    tgk_array out[1];
    int64_t dtype;
    double mean, scale, seed;
} tgk_RandomNormalLike_args;

typedef struct {
    tgk_array out[1];
    int64_t dtype;
    double high, low, seed;
    const int64_t *shape;
    int64_t n_shape;
} tgk_RandomUniform_args;

typedef struct {
    tgk_array in[1];
    tgk_array out[1];
    int64_t dtype;
    double high, low, seed;
} tgk_RandomUniformLike_args;

tgk_status tgk_Bernoulli(const tgk_ctx *c, tgk_Bernoulli_args *a);
tgk_status tgk_Multinomial(const tgk_ctx *c, tgk_Multinomial_args *a);
tgk_status tgk_RandomNormal(const tgk_ctx *c, tgk_RandomNormal_args *a);
tgk_status tgk_RandomNormalLike(const tgk_ctx *c, tgk_RandomNormalLike_args *a);
tgk_status tgk_RandomUniform(const tgk_ctx *c, tgk_RandomUniform_args *a);
tgk_status tgk_RandomUniformLike(const tgk_ctx *c, tgk_RandomUniformLike_args *a);

#endif
