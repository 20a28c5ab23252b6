/* A FullyConnected: x W + b with constant two-dimensional W and constant vector b (or none), written as MatMul, as
 * MatMul and Add, or as Gemm. The passes rotary, scale and linear look at graphs through this. */
#ifndef TG_FULLY_CONNECTED_H
#define TG_FULLY_CONNECTED_H

#include "pass.h"

typedef struct {
    TgNodeInfo *product; /* MatMul or Gemm */
    TgValue x, weight;
    TgValue bias;        /* 0: none */
    TgValue out;         /* after the bias */
    bool transposed;     /* weight is [n, k] (Gemm with transB), else [k, n] */
    int64_t k, n;
} Fc;

/* Looks from the product forward: the Add of a bias belongs to it where it is the only reader. */
bool fc_at(TgPass *p, TgNode product, Fc *fc);
/* Looks from a result backward. */
bool fc_of(TgPass *p, TgValue out, Fc *fc);
/* x W of that node, whatever a Gemm adds to it. */
bool fc_without_sum(const TgPass *p, TgNodeInfo *n, Fc *fc);
/* The weight (and bias) may be replaced without growing the model: nobody else reads them. Explains when not. */
bool fc_owns_weight(TgPass *p, const Fc *fc);

enum { STORED_TWICE = 64 << 10 }; /* bytes by which a rewrite may make the model larger */
/* A constant that nobody else reads. */
bool is_alone(const TgGraph *g, TgValue v);
/* The same, or so small that others may keep it as it was. */
bool is_changeable(const TgGraph *g, TgValue v);

/* What was added to x may as well be added behind it: to its bias, or, where it alone reads the sum and all are
 * matrices, by the Gemm that it then is. */
static inline bool fc_takes_summand(const TgPass *p, const Fc *fc, uint32_t readers)
{
    return fc->bias || (readers == 1 && pass_rank(p->g, fc->x) == 2);
}

/* Weights are changed by operators over constants; these become recipes. All take and give weights in the layout of
 * fc. */
TgValue fc_scale_columns(TgPass *p, const Fc *fc, TgValue weight, TgValue by);  /* by: f[n] or f[] */
TgValue fc_scale_rows(TgPass *p, const Fc *fc, TgValue weight, TgValue by);     /* by: f[k] or f[] */
TgValue fc_permute_columns(TgPass *p, const Fc *fc, TgValue weight, TgValue index); /* index: i64[n] */

TgValue fc_weight_like(TgPass *p, const Fc *like, const Fc *fc); /* the weight of fc in the layout of `like` */
TgValue fc_bias_vector(TgPass *p, const Fc *fc);                 /* f[n]: zeros where it has none */

/* The result of the same kind of product over other operands. bias 0: none. */
TgValue fc_make(TgPass *p, const Fc *like, TgValue x, TgValue weight, TgValue bias);

/* A constant that acts along the last axis only: all other sizes are 1, the last is 1 or `size`. As a vector f[size]
 * or, for one element, a scalar f[]; 0: it is none. */
TgValue along_last_axis(TgPass *p, TgValue constant, int64_t size);

#endif
