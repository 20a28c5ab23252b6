/* Matrices: the product as a contraction (op_contract.c), the determinant by elimination.
 *
 * Det eliminates in double on a copy on the stack, with the largest pivot of each column; hence its limit of rows. */
#include "op_matrix.h"

#include <math.h>

#include "op_array.h"
#include "op_contract.h"

enum { MOST_ROWS = 96 };

/* Broadcast batch axes of both operands, as the first axes of k. */
static bool batch_axes(tgk_contraction *k, const tgk_array *a, const tgk_array *b, const int64_t *const *own)
{
    const tgk_array *x[2] = {a, b};
    const int32_t a_rank = a->rank > 2 ? a->rank - 2 : 0, b_rank = b->rank > 2 ? b->rank - 2 : 0;
    const int32_t rank = a_rank > b_rank ? a_rank : b_rank, lead[2] = {rank - a_rank, rank - b_rank};
    for (int32_t i = 0; i < rank; i++) {
        int64_t dim = 1;
        for (int f = 0; f < 2; f++) {
            const int64_t have = i < lead[f] ? 1 : x[f]->dim[i - lead[f]];
            if (have != 1 && dim != 1 && have != dim)
                return false;
            dim = have != 1 ? have : dim;
            k->stride[f][i] = have == 1 ? 0 : own[f][i - lead[f]];
        }
        k->dim[i] = dim;
    }
    k->axes = rank;
    return true;
}

static void add_axis(tgk_contraction *k, int64_t dim, int64_t a, int64_t b)
{
    k->dim[k->axes] = dim;
    k->stride[0][k->axes] = a;
    k->stride[1][k->axes++] = b;
}

tgk_status tgk_MatMul(const tgk_ctx *c, tgk_MatMul_args *a)
{
    const tgk_array *x = &a->in[0], *y = &a->in[1];
    int64_t x_own[TGK_RANK], y_own[TGK_RANK];
    const int64_t *const own[2] = {x_own, y_own};
    tgk_contraction k = {.factors = 2, .x = {x->at, y->at}, .y = a->out[0].at};
    if (x->rank == 0 || y->rank == 0)
        return TGK_BAD_SIZE;
    const int32_t y_row = y->rank > 1 ? y->rank - 2 : 0;
    const int64_t depth = x->dim[x->rank - 1];
    tgk_strides(x->rank, x->dim, x_own);
    tgk_strides(y->rank, y->dim, y_own);
    if (depth != y->dim[y_row] || !batch_axes(&k, x, y, own))
        return TGK_BAD_SIZE;
    if (x->rank > 1)
        add_axis(&k, x->dim[x->rank - 2], x_own[x->rank - 2], 0);
    if (y->rank > 1)
        add_axis(&k, y->dim[y->rank - 1], 0, 1);
    k.kept = k.axes;
    add_axis(&k, depth, 1, y_own[y_row]);
    tgk_status status = tgk_shape(&a->out[0], k.kept, k.dim);
    if (status == TGK_OK)
        tgk_contract(c, x->type, &k);
    return status;
}

/* Of m [n, n], which is used up. */
static double determinant(double *m, int64_t n)
{
    double product = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(m[i * n + k]) > fabs(m[pivot * n + k]))
                pivot = i;
        if (m[pivot * n + k] == 0)
            return 0;
        for (int64_t j = k; pivot != k && j < n; j++) {
            const double other = m[k * n + j];
            m[k * n + j] = m[pivot * n + j];
            m[pivot * n + j] = other;
        }
        product *= pivot == k ? m[k * n + k] : -m[k * n + k];
        for (int64_t i = k + 1; i < n; i++) {
            const double factor = m[i * n + k] / m[k * n + k];
            for (int64_t j = k; j < n; j++)
                m[i * n + j] -= factor * m[k * n + j];
        }
    }
    return product;
}

tgk_status tgk_Det(const tgk_ctx *c, tgk_Det_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    double copy[MOST_ROWS * MOST_ROWS];
    if (x->rank < 2 || x->dim[x->rank - 1] != x->dim[x->rank - 2] || x->dim[x->rank - 1] > MOST_ROWS)
        return TGK_BAD_SIZE;
    const int64_t n = x->dim[x->rank - 1], matrices = tgk_count(x->dim, 0, x->rank - 2);
    tgk_status status = tgk_shape(&a->out[0], x->rank - 2, x->dim);
    for (int64_t i = 0; status == TGK_OK && i < matrices; i++) {
        for (int64_t k = 0; k < n * n; k++)
            copy[k] = x->type == TGK_F64 ? ((const double *)x->at)[i * n * n + k]
                                         : (double)((const float *)x->at)[i * n * n + k];
        const double value = determinant(copy, n);
        if (x->type == TGK_F64)
            ((double *)a->out[0].at)[i] = value;
        else
            ((float *)a->out[0].at)[i] = (float)value;
    }
    return status;
}
