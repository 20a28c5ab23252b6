/* Products of row-major matrices, as kernels use them (eval_matmul.c). */
#ifndef TG_EVAL_MATMUL_H
#define TG_EVAL_MATMUL_H

#include "eval_kernel.h"

/* out[i] = a[i] b[i] for `pairs` pairs of matrices (m x k) and (k x n), whose first elements are a_at[i]
 * and b_at[i]; the results lie one behind the other. False: too costly, recorded. */
bool eval_products(TgEvalCall *c, TgDtype dtype, int64_t pairs, int64_t m, int64_t n, int64_t k,
                   const void *a, const int64_t *a_at, const void *b, const int64_t *b_at, void *out);

#endif
