/* Degrees in the finite field: of the elements of an array as rational functions of the inputs, and the number of
 * exponentials in them, from which the chance of a false "equal" follows (verification of identities by
 * Schwartz and Zippel; for sums of exponentials see Li and Wu, arXiv 2506.04529).
 *
 * They are upper bounds, counted generously: denominators are multiplied although they may be the same. Numbers
 * without exponentials are one term however many are added, since all of them belong to the exponent 0. */
#include <math.h>

#include "eval_kernel.h"

static double log2_sum(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return high + log2(1 + exp2(low - high));
}

static TgDegree sum_of(TgDegree a, TgDegree b)
{
    bool e = a.exponentials || b.exponentials;
    double terms = log2_sum(a.terms_over + b.terms_under, b.terms_over + a.terms_under);
    return (TgDegree){fmax(a.over + b.under, b.over + a.under), a.under + b.under, e ? terms : 0,
                      a.terms_under + b.terms_under, e};
}

static TgDegree product_of(TgDegree a, TgDegree b)
{
    return (TgDegree){a.over + b.over, a.under + b.under, a.terms_over + b.terms_over,
                      a.terms_under + b.terms_under, a.exponentials || b.exponentials};
}

static TgDegree inverse_of(TgDegree a)
{
    return (TgDegree){a.under, a.over, a.terms_under, a.terms_over, a.exponentials};
}

/* n numbers of this degree added, over the product of their denominators. */
static TgDegree many(TgDegree a, double n)
{
    if (n <= 1)
        return a;
    double terms = a.exponentials ? log2(n) + a.terms_over + (n - 1) * a.terms_under : 0;
    return (TgDegree){a.over + (n - 1) * a.under, n * a.under, terms, n * a.terms_under, a.exponentials};
}

static TgDegree worst_of(TgDegree a, TgDegree b)
{
    return (TgDegree){fmax(a.over, b.over), fmax(a.under, b.under), fmax(a.terms_over, b.terms_over),
                      fmax(a.terms_under, b.terms_under), a.exponentials || b.exponentials};
}

TgDegree tg_degree_of_difference(TgDegree a, TgDegree b)
{
    return sum_of(a, b);
}

/* The most numbers that are added or multiplied for one element of the result, where the operator does so. */
static double terms_added(const TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    if (c->n->op == TG_MatMul)
        return x->rank ? (double)x->dim[x->rank - 1] : 1;
    if (c->n->op == TG_Conv && c->in[1]->dim[0] > 0) /* the weights of one output channel */
        return (double)c->in[1]->count / (double)c->in[1]->dim[0];
    if (c->n->op == TG_ConvTranspose && c->in[1]->dim[1] > 0)
        return (double)c->in[1]->count / (double)c->in[1]->dim[1];
    bool reduces = c->n->op == TG_ReduceSum || c->n->op == TG_ReduceMean || c->n->op == TG_ReduceProd;
    if (reduces && c->out[0].count > 0)
        return (double)x->count / (double)c->out[0].count;
    int64_t axis = c->n->op == TG_Softmax ? tg_attr_int(c->n, "axis") : 0;
    axis += axis < 0 ? x->rank : 0;
    if (c->n->op == TG_Softmax && axis >= 0 && axis < x->rank)
        return (double)x->dim[axis];
    if (c->n->op != TG_Einsum)
        return (double)x->count;
    double all = 1; /* every index of the result names one of each operand, at most */
    for (uint32_t i = 0; i < c->n->n_in; i++)
        all *= (double)c->in[i]->count;
    return c->out[0].count > 0 ? all / (double)c->out[0].count : 1;
}

/* Of n equal factors; n below 0: of their inverse. */
static TgDegree power_of(TgDegree a, double n)
{
    double times = fabs(n);
    TgDegree d = {times * a.over, times * a.under, times * a.terms_over, times * a.terms_under, a.exponentials};
    return n < 0 ? inverse_of(d) : d;
}

/* Integers are repeated products, halves roots, all else an unknown function (tg_felt_pow). */
static TgDegree power_of_any(TgDegree a, const TgArray *exponent)
{
    double most = 1, least = 0;
    for (int64_t i = 0; i < exponent->count; i++) {
        int64_t n = eval_is_real(exponent) ? tg_felt_center(((const TgFelt *)exponent->data)[i])
                                           : eval_ints_of(exponent)[i];
        if (n > (int64_t)most && n <= TG_FELT_POWERS)
            most = (double)n;
        if (n < (int64_t)least)
            least = n >= -TG_FELT_POWERS ? (double)n : fmin(least, -1);
    }
    return worst_of(power_of(a, most), power_of(a, least));
}

/* The numerator of what is under an exponential over its denominator, in one term, beside those that it
 * had. */
static TgDegree exponential_of(TgDegree a, double terms)
{
    double degree = fmax(1, a.over + a.under), had = a.terms_over + a.terms_under;
    return (TgDegree){degree, degree, terms + had, terms + had, true};
}

/* A function of which nothing is known is an indeterminate of its own, at least as bad as what it is of;
 * so is a root. Softmax and what is made of one exponential are quotients of sums of them. */
TgDegree eval_degree(const TgEvalCall *c)
{
    static const TgDegree fresh = {.over = 1};
    TgDegree a = c->n->n_in && c->in[0] ? c->in[0]->degree : (TgDegree){0};
    TgDegree b = c->n->n_in > 1 && c->in[1] ? c->in[1]->degree : (TgDegree){0}, all = a;
    for (uint32_t i = 1; i < c->n->n_in; i++)
        if (c->in[i])
            all = worst_of(all, c->in[i]->degree);
    switch (c->n->op) {
    case TG_Add:
    case TG_Sub: return sum_of(a, b);
    case TG_Mul: return product_of(a, b);
    case TG_Div: return product_of(a, inverse_of(b));
    case TG_Reciprocal: return inverse_of(a);
    case TG_Sqrt: return product_of(worst_of(fresh, a), fresh); /* with the factor of odd roots */
    case TG_Pow: return worst_of(worst_of(fresh, all), power_of_any(a, c->in[1]));
    case TG_MatMul: return many(product_of(a, b), terms_added(c));
    case TG_Conv:
    case TG_ConvTranspose: {
        TgDegree products = many(product_of(a, b), terms_added(c));
        return c->n->n_in > 2 && c->in[2] ? sum_of(products, c->in[2]->degree) : products;
    }
    case TG_Einsum: return many(power_of(all, c->n->n_in), terms_added(c));
    case TG_Col2Im:
    case TG_ReduceSum:
    case TG_ReduceMean:
    case TG_CumSum: return many(a, terms_added(c));
    case TG_ReduceProd:
    case TG_CumProd: return power_of(a, terms_added(c));
    case TG_Exp: {
        TgDegree e = exponential_of(a, 0);
        return (TgDegree){e.over, 0, e.terms_over, 0, true};
    }
    case TG_Sigmoid:
    case TG_Tanh: return exponential_of(a, 1);
    case TG_Softmax: return exponential_of(a, log2(fmax(1, terms_added(c))));
    default: return worst_of(fresh, all);
    }
}
