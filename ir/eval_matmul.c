/* MatMul: blocked, vectorized over columns. Every element sums its products in the order of k, whatever the blocking, the
 * vector width or the number of threads, and nothing is contracted to fused multiply-add: the bits depend on the operands
 * only. Columns go in panels whose rows of B are packed, so that the inner loop reads both operands contiguously. */
#include <string.h>

#include "eval_kernel.h"

enum { ROWS = 4, VECTOR = 32 }; /* of a tile, whose sums stay in registers: rows; bytes of half its columns */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif
#define UNROLL _Pragma("GCC unroll 8")

/* C[m,n] = A[m,k] B[k,n] for each of `batches` products. */
typedef struct {
    int64_t m, k, n, panels;      /* panels of columns per product */
    const char *a, *b;
    char *y;
    const int64_t *at_a, *at_b;   /* first element of each product's operands */
} Product;

#define TG_TEMPLATE "eval_matmul.inc"
#include "eval_num.h"

/* --- integers: 64 bits, wrapping ------------------------------------------------------------------------------------- */

static void int_rows(const Product *p, int64_t batch)
{
    const int64_t *a = (const int64_t *)(const void *)p->a + p->at_a[batch];
    const int64_t *b = (const int64_t *)(const void *)p->b + p->at_b[batch];
    uint64_t *y = (uint64_t *)(void *)p->y + batch * p->m * p->n;
    memset(y, 0, (size_t)(p->m * p->n) * sizeof *y);
    for (int64_t i = 0; i < p->m; i++)
        for (int64_t k = 0; k < p->k; k++)
            for (int64_t j = 0; j < p->n; j++)
                y[i * p->n + j] += (uint64_t)a[i * p->k + k] * (uint64_t)b[k * p->n + j];
}

/* --- operands ---------------------------------------------------------------------------------------------------------- */

/* Shape of the result: broadcast batch axes, then m unless a is a vector, then n unless b is one. */
static bool result_shape(TgEvalCall *c, const TgArray *a, const TgArray *b, int32_t *rank, int64_t *dim, int32_t *lead)
{
    int32_t batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    if (a->rank < 1 || b->rank < 1)
        return eval_bad_shape(c, a->rank < 1 ? 0 : 1, "MatMul takes no scalar");
    if (a->dim[a->rank - 1] != b->dim[b->rank > 1 ? b->rank - 2 : 0])
        return eval_bad_shape(c, 1, "the inner sizes differ");
    if (!eval_broadcast(batch_a, a->dim, batch_b, b->dim, lead, dim))
        return eval_bad_shape(c, 1, "the batch axes do not broadcast");
    *rank = *lead;
    if (a->rank > 1)
        dim[(*rank)++] = a->dim[a->rank - 2];
    if (b->rank > 1)
        dim[(*rank)++] = b->dim[b->rank - 1];
    return true;
}

/* First element of operand x for each product; `size` elements each. */
static int64_t *offsets(TgEvalCall *c, const TgArray *x, int32_t lead, const int64_t *dim, int64_t batches, int64_t size)
{
    int64_t *list = TG_NEW_N(tg_scratch(c->tg), int64_t, batches + 1), place[TG_EVAL_RANK] = {0}, offset[1] = {0};
    int64_t stride[1][TG_EVAL_RANK];
    TgArray lead_of_x = {.rank = x->rank > 2 ? x->rank - 2 : 0};
    memcpy(lead_of_x.dim, x->dim, (size_t)lead_of_x.rank * sizeof *x->dim);
    eval_broadcast_strides(&lead_of_x, lead, stride[0]);
    for (int64_t i = 0; i < batches; i++) {
        list[i] = offset[0] * size;
        eval_next(lead, dim, place, 1, offset, (const int64_t(*)[TG_EVAL_RANK])stride);
    }
    return list;
}

bool eval_mat_mul(TgEvalCall *c)
{
    const TgArray *a = c->in[0], *b = c->in[1];
    int64_t dim[TG_EVAL_RANK + 2];
    int32_t rank = 0, lead = 0;
    if (!result_shape(c, a, b, &rank, dim, &lead) || !eval_out(c, 0, a->dtype, rank, dim))
        return false;
    Product p = {.m = a->rank > 1 ? a->dim[a->rank - 2] : 1, .k = a->dim[a->rank - 1],
                 .n = b->rank > 1 ? b->dim[b->rank - 1] : 1, .a = a->data, .b = b->data, .y = c->out[0].data};
    int64_t batches = eval_count(dim, 0, lead);
    int64_t columns = 2 * VECTOR / (c->mode == TG_EVAL_F64 ? (int)sizeof(double) : (int)sizeof(float));
    p.panels = (p.n + columns - 1) / columns;
    p.at_a = offsets(c, a, lead, dim, batches, p.m * p.k);
    p.at_b = offsets(c, b, lead, dim, batches, p.k * p.n);
    if (!eval_is_real(a)) {
        for (int64_t i = 0; i < batches; i++)
            int_rows(&p, i);
        return true;
    }
    eval_parallel(c, batches * p.panels, c->mode == TG_EVAL_F64 ? panels_f64 : panels_f32, &p);
    return true;
}
