/* Products of matrices: MatMul, and the core that Einsum uses.
 *
 * Every element of the result is the sum of its terms in the order of k, added one by one from zero:
 * whatever the blocking, the vector width and the number of threads, the bits are the same. (There is no
 * fused multiply-add: the build forbids contraction.) Speed comes from the other two dimensions: a tile of
 * ROWS rows by two vectors of columns stays in registers while k runs; TERMS rows of the right matrix are
 * packed side by side so that they stay in the first-level cache for all rows of the left one.
 */
#include <string.h>

#include "eval_kernel.h"
#include "eval_matmul.h"

enum {
    VECTOR = 32, /* bytes of a vector */
    ROWS = 6,    /* of a tile: 12 vectors of sums and 3 of operands fit into 16 AVX registers */
    FEW = 3,     /* rows for which packing does not pay */
    TERMS = 256, /* of k that are packed at once */
    STRETCH = 40 /* row groups per pass over the right matrix: their part of the left one stays in cache */
};

/* The sanitizer's checks do not run before its start, where the choice of a clone is made. */
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif
#define UNROLL _Pragma("GCC unroll 6")

/* `pairs` products of a (m x k) and b (k x n), row-major; a_at, b_at: where the matrices of a pair start. */
typedef struct {
    int64_t pairs, m, n, k;
    const void *a, *b;
    const int64_t *a_at, *b_at;
    void *out;
} Product;

#define TG_TEMPLATE "eval_matmul.inc"
#include "eval_num.h"

static void product_int(void *user, int64_t from, int64_t to)
{
    const Product *p = user;
    int64_t groups = (p->m + ROWS - 1) / ROWS;
    for (int64_t g = from; g < to; g++)
        for (int64_t row = g % groups * ROWS; row < p->m && row < (g % groups + 1) * ROWS; row++) {
            const uint64_t *a = (const uint64_t *)p->a + p->a_at[g / groups] + row * p->k;
            const uint64_t *b = (const uint64_t *)p->b + p->b_at[g / groups];
            uint64_t *out = (uint64_t *)p->out + (g / groups * p->m + row) * p->n;
            memset(out, 0, (size_t)p->n * sizeof *out);
            for (int64_t k = 0; k < p->k; k++)
                for (int64_t j = 0; j < p->n; j++)
                    out[j] += a[k] * b[k * p->n + j];
        }
}

/* Sums of up to 15 products fit into 128 bits; infinities and what lost its exponent are added one by one. */
static TgFelt dot_felt(const TgFelt *a, const TgFelt *b, int64_t step, int64_t n)
{
    enum { FIT = 15 };
    TgU128 p = 0, q = 0;
    for (int64_t i = 0; i < n; i++) {
        if ((a[i].q | b[i * step].q) & (TG_FELT_ODD | TG_FELT_LOST)) {
            TgFelt sum = tg_felt_int(0);
            for (int64_t k = 0; k < n; k++)
                sum = tg_felt_add(sum, tg_felt_mul(a[k], b[k * step]));
            return sum;
        }
        p += (TgU128)a[i].p * b[i * step].p;
        q += (TgU128)a[i].q * b[i * step].q;
        if (i % FIT == FIT - 1) {
            p = tg_mod_p(p);
            q = tg_mod_q(q);
        }
    }
    return (TgFelt){tg_mod_p(p), tg_mod_q(q)};
}

static void product_felt(void *user, int64_t from, int64_t to)
{
    const Product *p = user;
    int64_t groups = (p->m + ROWS - 1) / ROWS;
    for (int64_t g = from; g < to; g++)
        for (int64_t row = g % groups * ROWS; row < p->m && row < (g % groups + 1) * ROWS; row++) {
            const TgFelt *a = (const TgFelt *)p->a + p->a_at[g / groups] + row * p->k;
            const TgFelt *b = (const TgFelt *)p->b + p->b_at[g / groups];
            TgFelt *out = (TgFelt *)p->out + (g / groups * p->m + row) * p->n;
            for (int64_t j = 0; j < p->n; j++)
                out[j] = dot_felt(a, b + j, p->n, p->k);
        }
}

bool eval_products(TgEvalCall *c, TgDtype dtype, int64_t pairs, int64_t m, int64_t n, int64_t k,
                   const void *a, const int64_t *a_at, const void *b, const int64_t *b_at, void *out)
{
    Product p = {pairs, m, n, k, a, b, a_at, b_at, out};
    bool real = eval_carrier(dtype) == TG_C_REAL;
    if (pairs == 0 || m == 0 || n == 0)
        return true;
    if (!eval_spend(c, 2.0 * (double)pairs * (double)m * (double)n * (double)k))
        return false;
    if (k == 0)
        memset(out, 0,
               (size_t)(pairs * m * n) * tg_array_element(c->mode, dtype)); /* fits: out was allocated */
    else
        eval_parallel(c, pairs * ((m + ROWS - 1) / ROWS), real ? TG_BY_ANY_NUM(c, product) : product_int, &p);
    return true;
}

/* --- MatMul --------------------------------------------------------------------------------------------- */

/* Where the matrix of each batch index starts in `x`, whose leading axes broadcast to dim[0 .. rank). */
static const int64_t *starts(TgEvalCall *c, const TgArray *x, int32_t rank, const int64_t *dim, int64_t pairs)
{
    int64_t *at = TG_NEW_N(tg_scratch(c->tg), int64_t, pairs + 1), stride[1][TG_EVAL_RANK];
    TgArray batches = *x; /* the leading axes as an array of matrices */
    batches.rank = x->rank > 2 ? x->rank - 2 : 0;
    int64_t matrix = eval_count(x->dim, batches.rank, x->rank), index[TG_EVAL_RANK] = {0}, offset = 0;
    eval_broadcast_strides(&batches, rank, stride[0]);
    for (int64_t i = 0; i < pairs; i++) {
        at[i] = offset * matrix;
        eval_next(rank, dim, index, 1, &offset, (const int64_t(*)[TG_EVAL_RANK])stride);
    }
    return at;
}

bool eval_mat_mul(TgEvalCall *c)
{
    const TgArray *a = c->in[0], *b = c->in[1];
    if (a->rank == 0 || b->rank == 0)
        return eval_bad_shape(c, a->rank == 0 ? 0 : 1, "a matrix or vector is needed");
    if (a->dtype != b->dtype || a->dtype == TG_str || tg_dtype_class(a->dtype) == TG_CLASS_C)
        return eval_bad_type(c, b->dtype);
    int64_t k = a->dim[a->rank - 1], m = a->rank > 1 ? a->dim[a->rank - 2] : 1;
    int64_t n = b->rank > 1 ? b->dim[b->rank - 1] : 1, dim[TG_EVAL_RANK + 2];
    if (k != b->dim[b->rank > 1 ? b->rank - 2 : 0])
        return eval_bad_shape(c, 1, "its rows are not as many as the columns of the first one");
    int32_t rank;
    if (!eval_broadcast(a->rank > 2 ? a->rank - 2 : 0, a->dim, b->rank > 2 ? b->rank - 2 : 0, b->dim, &rank,
                        dim))
        return eval_bad_shape(c, 1, "its leading axes do not broadcast with those of the first one");
    int64_t pairs = eval_count(dim, 0, rank), batch[TG_EVAL_RANK];
    int32_t batch_rank = rank;
    memcpy(batch, dim, (size_t)rank * sizeof *dim);
    if (a->rank > 1)
        dim[rank++] = m;
    if (b->rank > 1)
        dim[rank++] = n;
    if (!eval_out(c, 0, a->dtype, rank, dim))
        return false;
    return eval_products(c, a->dtype, pairs, m, n, k, a->data, starts(c, a, batch_rank, batch, pairs),
                         b->data, starts(c, b, batch_rank, batch, pairs), c->out[0].data);
}
