/* Gathers copy blocks of adjacent elements. Indices come from the data: all are checked before the first block is
 * copied, except where copying and checking are one pass. Gather is cut into tasks of at least TASK bytes. */
#include "op_index.h"

#include "op_array.h"
#include "op_tuple.h"

enum { TASK = 128 * 1024 };

typedef struct {
    const char *x;
    char *to;
    const int64_t *at;
    int64_t n, indices, rows, per_task; /* elements of the axis; indices; rows of the result; rows of a task */
    size_t block;
} Gather;

static void gather_rows(void *arg, int64_t task)
{
    const Gather *g = (const Gather *)arg;
    const int64_t first = task * g->per_task, last = first + g->per_task < g->rows ? first + g->per_task : g->rows;
    int64_t i = first / g->indices, k = first % g->indices;
    char *to = g->to + (size_t)first * g->block;
    for (int64_t row = first; row < last; row++, to += g->block) {
        const int64_t from = g->at[k];
        tgk_put(to, g->x + (size_t)(i * g->n + (from < 0 ? from + g->n : from)) * g->block, g->block);
        if (++k == g->indices) {
            k = 0;
            i++;
        }
    }
}

tgk_status tgk_Gather(const tgk_ctx *c, tgk_Gather_args *a)
{
    const tgk_array *x = &a->in[0], *at = &a->in[1];
    int64_t dim[2 * TGK_RANK], ignored;
    int32_t axis, rank = 0;
    if (!tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_INDEX;
    for (int32_t i = 0; i < axis; i++)
        dim[rank++] = x->dim[i];
    for (int32_t i = 0; i < at->rank; i++)
        dim[rank++] = at->dim[i];
    for (int32_t i = axis + 1; i < x->rank; i++)
        dim[rank++] = x->dim[i];
    tgk_status status = tgk_shape(&a->out[0], rank, dim);
    const int64_t outer = tgk_count(x->dim, 0, axis), n = x->dim[axis], indices = tgk_elements(at);
    for (int64_t i = 0; i < indices && outer > 0; i++)
        if (!tgk_index(((const int64_t *)at->at)[i], n, &ignored))
            return TGK_BAD_INDEX;
    if (status != TGK_OK || tgk_elements(&a->out[0]) == 0)
        return status;
    const size_t block = (size_t)tgk_count(x->dim, axis + 1, x->rank) * tgk_bytes_of(x->type);
    Gather g = {(const char *)x->at, (char *)a->out[0].at, (const int64_t *)at->at, n, indices, outer * indices,
                1 + TASK / (block < TASK ? (int64_t)block : TASK), block};
    tgk_for(c, gather_rows, &g, (g.rows + g.per_task - 1) / g.per_task);
    return TGK_OK;
}

tgk_status tgk_GatherElements(const tgk_ctx *c, tgk_GatherElements_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *at = &a->in[1];
    tgk_places p;
    tgk_status status = tgk_places_begin(&p, x, at, a->axis);
    if (status == TGK_OK)
        status = tgk_shape(&a->out[0], at->rank, at->dim);
    if (status != TGK_OK)
        return status;
    const size_t size = tgk_bytes_of(x->type);
    const int64_t n = tgk_elements(at);
    char *to = (char *)a->out[0].at;
    for (int64_t i = 0; i < n; i++, to += size) {
        int64_t k;
        if (!tgk_index(((const int64_t *)at->at)[i], p.n, &k))
            return TGK_BAD_INDEX;
        tgk_put(to, (const char *)x->at + (size_t)(p.offset + k * p.step) * size, size);
        tgk_next(at->rank, at->dim, p.index, &p.offset, p.stride);
    }
    return TGK_OK;
}

tgk_status tgk_GatherND(const tgk_ctx *c, tgk_GatherND_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *at = &a->in[1];
    int64_t dim[2 * TGK_RANK];
    int32_t rank = 0;
    tgk_tuples t;
    tgk_status status = tgk_tuples_begin(&t, x, at, a->batch_dims);
    if (status != TGK_OK)
        return status;
    for (int32_t i = 0; i < at->rank - 1; i++)
        dim[rank++] = at->dim[i];
    for (int32_t i = t.batch + t.depth; i < x->rank; i++)
        dim[rank++] = x->dim[i];
    status = tgk_shape(&a->out[0], rank, dim);
    const size_t size = tgk_bytes_of(x->type), block = (size_t)t.block * size;
    char *to = (char *)a->out[0].at;
    for (int64_t i = 0; status == TGK_OK && i < t.tuples; i++, to += block) {
        int64_t offset;
        if (!tgk_tuple(&t, i, &offset))
            return TGK_BAD_INDEX;
        tgk_put(to, (const char *)x->at + (size_t)offset * size, block);
    }
    return status;
}

tgk_status tgk_Compress(const tgk_ctx *c, tgk_Compress_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    const uint8_t *keep = (const uint8_t *)a->in[1].at;
    int64_t dim[TGK_RANK], kept = 0;
    int32_t axis = 0, rank = x->rank;
    for (int32_t i = 0; i < rank; i++)
        dim[i] = x->dim[i];
    if (a->axis == TGK_ABSENT) {
        dim[0] = tgk_elements(x);
        rank = 1;
    } else if (!tgk_axis(a->axis, rank, &axis)) {
        return TGK_BAD_INDEX;
    }
    const int64_t n = dim[axis], given = tgk_elements(&a->in[1]), limit = given < n ? given : n;
    const int64_t outer = tgk_count(dim, 0, axis);
    const size_t block = (size_t)tgk_count(dim, axis + 1, rank) * tgk_bytes_of(x->type);
    for (int64_t i = 0; i < limit; i++)
        kept += keep[i] != 0;
    dim[axis] = kept;
    tgk_status status = tgk_shape(&a->out[0], rank, dim);
    char *to = (char *)a->out[0].at;
    for (int64_t i = 0; status == TGK_OK && i < outer; i++)
        for (int64_t k = 0; k < limit; k++)
            if (keep[k]) {
                tgk_put(to, (const char *)x->at + (size_t)(i * n + k) * block, block);
                to += block;
            }
    return status;
}

/* --- NonZero ------------------------------------------------------------------------------------------------------ */

/* A number is zero where its bits are, the sign of a float apart. */
static bool is_zero(const tgk_array *x, int64_t i)
{
    const char *at = (const char *)x->at + (size_t)i * tgk_bytes_of(x->type);
    uint64_t u64 = 0;
    uint32_t u32 = 0;
    uint16_t u16 = 0;
    switch (x->type) {
    case TGK_F64: memcpy(&u64, at, sizeof u64); return (u64 & (UINT64_MAX >> 1)) == 0;
    case TGK_I64: case TGK_U64: memcpy(&u64, at, sizeof u64); return u64 == 0;
    case TGK_F32: memcpy(&u32, at, sizeof u32); return (u32 & (UINT32_MAX >> 1)) == 0;
    case TGK_I32: case TGK_U32: memcpy(&u32, at, sizeof u32); return u32 == 0;
    case TGK_F16: case TGK_BF16: memcpy(&u16, at, sizeof u16); return (u16 & 0x7fff) == 0;
    case TGK_I16: case TGK_U16: memcpy(&u16, at, sizeof u16); return u16 == 0;
    default: return *at == 0;
    }
}

tgk_status tgk_NonZero(const tgk_ctx *c, tgk_NonZero_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    const int64_t count = tgk_elements(x);
    int64_t dim[2] = {x->rank, 0}, index[TGK_RANK] = {0}, done = 0;
    for (int64_t i = 0; i < count; i++)
        dim[1] += !is_zero(x, i);
    tgk_status status = tgk_shape(&a->out[0], 2, dim);
    for (int64_t i = 0; status == TGK_OK && i < count; i++, tgk_next(x->rank, x->dim, index, NULL, NULL)) {
        if (is_zero(x, i))
            continue;
        for (int32_t k = 0; k < x->rank; k++)
            ((int64_t *)a->out[0].at)[k * dim[1] + done] = index[k];
        done++;
    }
    return status;
}
