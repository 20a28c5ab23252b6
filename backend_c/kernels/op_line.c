/* Along one axis: the place of the best element; running sums and products.
 *
 * The operand is [outer, n, inner]. Adjacent lines, up to STRIP of them, are walked together, row by row, so that
 * memory is read in order whatever the axis. Running sums of float32 are kept in double. */
#include "op_line.h"

#include "op_array.h"

enum { STRIP = 256 };

typedef struct {
    bool smallest, last;    /* ArgMin; of equal ones the last */
    bool product, exclusive;
    int64_t n, step;        /* elements of a line; between them, backwards: < 0 */
    int64_t lines;          /* adjacent ones */
} Lines;

#define NUM float
#define WIDE double
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define G(name) name##_f32
#include "op_line.inc"
#undef NUM
#undef G

#define NUM double
#define G(name) name##_f64
#include "op_line.inc"
#undef NUM
#undef WIDE
#undef PLUS
#undef TIMES
#undef G

#define NUM int64_t
#define WIDE int64_t
#define PLUS(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define TIMES(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define G(name) name##_i64
#include "op_line.inc"

static tgk_status best_places(tgk_ArgMax_args *a, bool smallest)
{
    const tgk_array *x = &a->in[0];
    int64_t dim[TGK_RANK];
    int32_t axis, rank = 0;
    if (!tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_INDEX;
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis || a->keepdims)
            dim[rank++] = i == axis ? 1 : x->dim[i];
    tgk_status status = tgk_shape(&a->out[0], rank, dim);
    if (status != TGK_OK || tgk_elements(&a->out[0]) == 0)
        return status;
    const int64_t n = x->dim[axis], inner = tgk_count(x->dim, axis + 1, x->rank), outer = tgk_count(x->dim, 0, axis);
    if (n == 0)
        return TGK_BAD_SIZE; /* no element is the best of none */
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j += STRIP) {
            const Lines l = {.smallest = smallest, .last = a->select_last_index != 0, .n = n, .step = inner,
                             .lines = inner - j < STRIP ? inner - j : STRIP};
            const int64_t from = i * n * inner + j;
            int64_t *z = (int64_t *)a->out[0].at + i * inner + j;
            if (x->type == TGK_F32)
                best_f32(&l, (const float *)x->at + from, z);
            else if (x->type == TGK_F64)
                best_f64(&l, (const double *)x->at + from, z);
            else
                best_i64(&l, (const int64_t *)x->at + from, z);
        }
    return TGK_OK;
}

static tgk_status cumulate(tgk_CumSum_args *a, bool product)
{
    const tgk_array *x = &a->in[0];
    int32_t axis;
    if (tgk_elements(&a->in[1]) != 1)
        return TGK_BAD_SIZE;
    if (!tgk_axis(*(const int64_t *)a->in[1].at, x->rank, &axis))
        return TGK_BAD_INDEX;
    tgk_status status = tgk_shape(&a->out[0], x->rank, x->dim);
    const int64_t n = x->dim[axis], inner = tgk_count(x->dim, axis + 1, x->rank), outer = tgk_count(x->dim, 0, axis);
    if (status != TGK_OK || n == 0)
        return status;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t j = 0; j < inner; j += STRIP) {
            const Lines l = {.product = product, .exclusive = a->exclusive != 0, .n = n,
                             .step = a->reverse ? -inner : inner, .lines = inner - j < STRIP ? inner - j : STRIP};
            const int64_t from = (i * n + (a->reverse ? n - 1 : 0)) * inner + j;
            if (x->type == TGK_F32)
                cumulate_f32(&l, (const float *)x->at + from, (float *)a->out[0].at + from);
            else if (x->type == TGK_F64)
                cumulate_f64(&l, (const double *)x->at + from, (double *)a->out[0].at + from);
            else
                cumulate_i64(&l, (const int64_t *)x->at + from, (int64_t *)a->out[0].at + from);
        }
    return TGK_OK;
}

tgk_status tgk_ArgMax(const tgk_ctx *c, tgk_ArgMax_args *a)
{
    (void)c;
    return best_places(a, false);
}

tgk_status tgk_ArgMin(const tgk_ctx *c, tgk_ArgMin_args *a)
{
    (void)c;
    return best_places(a, true);
}

tgk_status tgk_CumSum(const tgk_ctx *c, tgk_CumSum_args *a)
{
    (void)c;
    return cumulate(a, false);
}

tgk_status tgk_CumProd(const tgk_ctx *c, tgk_CumProd_args *a)
{
    (void)c;
    return cumulate(a, true);
}
