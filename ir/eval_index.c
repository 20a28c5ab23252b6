/* Indexing: Gather and Scatter in their three forms, Compress, NonZero.
 *
 * Indices come from the data: each is brought from [-size, size) into range or refused. Gathers copy blocks
 * of adjacent elements; scatters combine blocks into a copy of the input, in the order of the indices.
 */
#include <string.h>

#include "eval_index.h"

#define COMBINE_INT(how, z, x)                                                                               \
    ((how) == COMBINE_ADD   ? (int64_t)((uint64_t)(z) + (uint64_t)(x))                                       \
     : (how) == COMBINE_MUL ? (int64_t)((uint64_t)(z) * (uint64_t)(x))                                       \
     : (how) == COMBINE_MAX ? ((z) > (x) ? (z) : (x))                                                        \
     : (how) == COMBINE_MIN ? ((z) < (x) ? (z) : (x))                                                        \
                            : (x))

static void combine_int(Combine how, void *to, const void *from, int64_t n)
{
    int64_t *z = to;
    const int64_t *x = from;
    for (int64_t i = 0; i < n; i++)
        z[i] = COMBINE_INT(how, z[i], x[i]);
}

static int compare_int(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int compare_string(const void *a, const void *b)
{
    const TgBytes *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n ? memcmp(x->at, y->at, n) : 0;
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

#define TG_TEMPLATE "eval_index.inc"
#include "eval_num.h"

Compare eval_compare(const TgEvalCall *c, TgDtype dtype)
{
    switch (eval_carrier(dtype)) {
    case TG_C_REAL: return TG_BY_NUM(c, compare);
    case TG_C_INT: return dtype == TG_u64 ? compare_u64 : compare_int;
    case TG_C_BYTES: break;
    }
    return compare_string;
}

/* --- Gather --------------------------------------------------------------------------------------------- */

bool eval_gather(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *at = c->in[1];
    int64_t dim[2 * TG_EVAL_RANK], from;
    int32_t axis;
    if (!eval_needs_ints(c, 1) || !eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    memcpy(dim, x->dim, (size_t)axis * sizeof *dim);
    memcpy(dim + axis, at->dim, (size_t)at->rank * sizeof *dim);
    memcpy(dim + axis + at->rank, x->dim + axis + 1, (size_t)(x->rank - axis - 1) * sizeof *dim);
    if (!eval_out(c, 0, x->dtype, x->rank + at->rank - 1, dim))
        return false;
    int64_t outer = eval_count(x->dim, 0, axis), n = x->dim[axis];
    size_t block = (size_t)eval_count(x->dim, axis + 1, x->rank) * eval_element(c, x);
    char *to = c->out[0].data;
    for (int64_t i = 0; i < at->count && outer > 0; i++)
        if (!eval_index(c, eval_ints_of(at)[i], n, &from))
            return false;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t k = 0; k < at->count; k++, to += block) {
            from = eval_ints_of(at)[k];
            memcpy(to, (const char *)x->data + (size_t)(i * n + (from < 0 ? from + n : from)) * block, block);
        }
    return true;
}

/* Operand 1 (indices) lies within the shape of the input, except along `axis`. */
static bool lies_within(TgEvalCall *c, int32_t axis)
{
    const TgArray *x = c->in[0], *at = c->in[1];
    if (!eval_needs_ints(c, 1))
        return false;
    if (at->rank != x->rank)
        return eval_bad_shape(c, 1, "it must have the rank of the input");
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis && at->dim[i] > x->dim[i])
            return eval_bad_shape(c, 1, "it is larger than the input");
    return true;
}

/* For element i of the indices, in row-major order: the element of x that it names along `axis`. */
typedef struct {
    int64_t index[TG_EVAL_RANK], offset, stride[1][TG_EVAL_RANK];
    int64_t step; /* of x along the axis */
} Elements;

static void elements_begin(Elements *e, const TgArray *x, int32_t axis)
{
    memset(e, 0, sizeof *e);
    eval_strides(x->rank, x->dim, e->stride[0]);
    e->step = e->stride[0][axis];
    e->stride[0][axis] = 0;
}

static void elements_next(Elements *e, const TgArray *at)
{
    eval_next(at->rank, at->dim, e->index, 1, &e->offset, (const int64_t(*)[TG_EVAL_RANK])e->stride);
}

bool eval_gather_elements(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *at = c->in[1];
    int32_t axis;
    Elements e;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !lies_within(c, axis) ||
        !eval_out(c, 0, x->dtype, at->rank, at->dim))
        return false;
    size_t element = eval_element(c, x);
    elements_begin(&e, x, axis);
    for (int64_t i = 0; i < at->count; i++, elements_next(&e, at)) {
        int64_t k;
        if (!eval_index(c, eval_ints_of(at)[i], x->dim[axis], &k))
            return false;
        memcpy((char *)c->out[0].data + (size_t)i * element,
               (const char *)x->data + (size_t)(e.offset + k * e.step) * element, element);
    }
    return true;
}

/* Indices as tuples along their last axis: tuple number i names a block of x behind the batch axes. */
typedef struct {
    int32_t batch, depth; /* batch axes; numbers in a tuple */
    int64_t tuples, per_batch, block, batch_size;
    int64_t stride[TG_EVAL_RANK];
} Tuples;

static bool tuples_begin(TgEvalCall *c, Tuples *t, int64_t batch)
{
    const TgArray *x = c->in[0], *at = c->in[1];
    if (!eval_needs_ints(c, 1))
        return false;
    if (at->rank == 0 || batch < 0 || batch >= at->rank || batch + at->dim[at->rank - 1] > x->rank)
        return eval_bad_shape(c, 1, "its last axis must hold at most as many numbers as the input has axes");
    t->batch = (int32_t)batch;
    t->depth = (int32_t)at->dim[at->rank - 1];
    for (int32_t i = 0; i < t->batch; i++)
        if (at->dim[i] != x->dim[i])
            return eval_bad_shape(c, 1, "its batch axes are not those of the input");
    t->tuples = eval_count(at->dim, 0, at->rank - 1);
    t->per_batch = eval_count(at->dim, t->batch, at->rank - 1);
    t->block = eval_count(x->dim, t->batch + t->depth, x->rank);
    t->batch_size = eval_count(x->dim, t->batch, x->rank);
    eval_strides(x->rank, x->dim, t->stride);
    return true;
}

static bool tuple_at(TgEvalCall *c, const Tuples *t, int64_t i, int64_t *offset)
{
    const TgArray *x = c->in[0];
    const int64_t *tuple = eval_ints_of(c->in[1]) + i * t->depth;
    *offset = t->per_batch ? i / t->per_batch * t->batch_size : 0;
    for (int32_t k = 0; k < t->depth; k++) {
        int64_t index;
        if (!eval_index(c, tuple[k], x->dim[t->batch + k], &index))
            return false;
        *offset += index * t->stride[t->batch + k];
    }
    return true;
}

bool eval_gather_nd(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *at = c->in[1];
    Tuples t;
    int64_t dim[2 * TG_EVAL_RANK], offset;
    if (!tuples_begin(c, &t, tg_attr_int(c->n, "batch_dims")))
        return false;
    int32_t rest = x->rank - t.batch - t.depth;
    memcpy(dim, at->dim, (size_t)(at->rank - 1) * sizeof *dim);
    memcpy(dim + at->rank - 1, x->dim + t.batch + t.depth, (size_t)rest * sizeof *dim);
    if (!eval_out(c, 0, x->dtype, at->rank - 1 + rest, dim))
        return false;
    size_t block = (size_t)t.block * eval_element(c, x), element = eval_element(c, x);
    for (int64_t i = 0; i < t.tuples; i++) {
        if (!tuple_at(c, &t, i, &offset))
            return false;
        memcpy((char *)c->out[0].data + (size_t)i * block, (const char *)x->data + (size_t)offset * element,
               block);
    }
    return true;
}

/* --- Scatter -------------------------------------------------------------------------------------------- */

typedef void (*Combiner)(Combine how, void *to, const void *from, int64_t n);

static bool combiner(TgEvalCall *c, Combine *how, Combiner *f)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    TgName wanted = tg_attr_string(c->tg, c->n, "reduction");
    TgDtype dtype = c->in[0]->dtype;
    *how = COMBINE_NONE;
    for (int i = COMBINE_NONE; i <= COMBINE_MIN; i++)
        if (wanted == tg_name(c->tg, names[i]))
            *how = (Combine)i;
    *f = eval_is_real(c->in[0]) ? TG_BY_NUM(c, combine) : combine_int;
    if (c->in[2]->dtype != dtype || (*how != COMBINE_NONE && dtype == TG_str) ||
        tg_dtype_class(dtype) == TG_CLASS_C)
        return eval_bad_type(c, c->in[2]->dtype);
    return true;
}

/* n elements of any carrier replace others; numbers may also be combined with them. */
static void put(Combine how, Combiner f, void *to, const void *from, int64_t n, size_t element)
{
    if (how == COMBINE_NONE)
        memcpy(to, from, (size_t)n * element);
    else
        f(how, to, from, n);
}

static bool copy_input(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    if (!eval_out_like(c, 0, x))
        return false;
    memcpy(c->out[0].data, x->data, (size_t)x->count * eval_element(c, x));
    return true;
}

bool eval_scatter_elements(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *at = c->in[1], *from = c->in[2];
    int32_t axis;
    Elements e;
    Combine how;
    Combiner f;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !lies_within(c, axis) ||
        !combiner(c, &how, &f))
        return false;
    if (from->rank != at->rank || memcmp(from->dim, at->dim, (size_t)at->rank * sizeof *at->dim) != 0)
        return eval_bad_shape(c, 2, "it must have the shape of the indices");
    if (!copy_input(c))
        return false;
    size_t element = eval_element(c, x);
    elements_begin(&e, x, axis);
    for (int64_t i = 0; i < at->count; i++, elements_next(&e, at)) {
        int64_t k;
        if (!eval_index(c, eval_ints_of(at)[i], x->dim[axis], &k))
            return false;
        put(how, f, (char *)c->out[0].data + (size_t)(e.offset + k * e.step) * element,
            (const char *)from->data + (size_t)i * element, 1, element);
    }
    return true;
}

bool eval_scatter_nd(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *from = c->in[2];
    Tuples t;
    Combine how;
    Combiner f;
    int64_t offset;
    if (!tuples_begin(c, &t, 0) || !combiner(c, &how, &f))
        return false;
    if (from->count != t.tuples * t.block)
        return eval_bad_shape(c, 2, "one block per index is needed");
    if (!copy_input(c))
        return false;
    size_t element = eval_element(c, x);
    for (int64_t i = 0; i < t.tuples; i++) {
        if (!tuple_at(c, &t, i, &offset))
            return false;
        put(how, f, (char *)c->out[0].data + (size_t)offset * element,
            (const char *)from->data + (size_t)(i * t.block) * element, t.block, element);
    }
    return true;
}

/* --- selection ------------------------------------------------------------------------------------------ */

bool eval_compress(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *keep = c->in[1];
    TgArray flat = *x;
    int32_t axis = 0;
    if (!eval_needs_ints(c, 1))
        return false;
    if (!tg_attr_has(c->n->attrs, "axis")) {
        flat.rank = 1;
        flat.dim[0] = x->count;
    } else if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis)) {
        return false;
    }
    int64_t n = flat.dim[axis], limit = keep->count < n ? keep->count : n, kept = 0;
    for (int64_t i = 0; i < limit; i++)
        kept += eval_ints_of(keep)[i] != 0;
    int64_t outer = eval_count(flat.dim, 0, axis);
    size_t block = (size_t)eval_count(flat.dim, axis + 1, flat.rank) * eval_element(c, x);
    flat.dim[axis] = kept;
    if (!eval_out(c, 0, x->dtype, flat.rank, flat.dim))
        return false;
    char *to = c->out[0].data;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t k = 0; k < limit; k++)
            if (eval_ints_of(keep)[k]) {
                memcpy(to, (const char *)x->data + (size_t)(i * n + k) * block, block);
                to += block;
            }
    return true;
}

static bool is_zero(const TgEvalCall *c, const TgArray *x, int64_t i)
{
    if (x->dtype == TG_str)
        return ((const TgBytes *)x->data)[i].n == 0;
    return eval_is_real(x) ? eval_real(c, x, i) == 0 : eval_ints_of(x)[i] == 0;
}

bool eval_non_zero(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t n = 0, index[TG_EVAL_RANK] = {0}, none[1] = {0}, done = 0;
    for (int64_t i = 0; i < x->count; i++)
        n += !is_zero(c, x, i);
    if (!eval_out(c, 0, TG_i64, 2, (int64_t[]){x->rank, n}))
        return false;
    for (int64_t i = 0; i < x->count; i++, eval_next(x->rank, x->dim, index, 0, none, NULL)) {
        if (is_zero(c, x, i))
            continue;
        for (int32_t k = 0; k < x->rank; k++)
            eval_ints_of(&c->out[0])[k * n + done] = index[k];
        done++;
    }
    return true;
}
