/* Indexing: Gather, Scatter and their relatives, and what makes or consumes indices. Movement is generic over the element
 * size; only ScatterElements and ScatterND with a reduction look at numbers. Every index is checked against its axis. */
#include <math.h>
#include <string.h>

#include "eval_kernel.h"

/* --- movement of blocks ---------------------------------------------------------------------------------------------- */

static const char *at_of(const TgArray *a, size_t element, int64_t i) { return (const char *)a->data + (size_t)i * element; }
static char *out_at(TgArray *a, size_t element, int64_t i) { return (char *)a->data + (size_t)i * element; }

/* dim = from[0..a) + mid[0..n) + from[b..rank) */
static bool spliced_out(TgEvalCall *c, const TgArray *from, int32_t a, const int64_t *mid, int32_t n, int32_t b)
{
    int64_t dim[3 * TG_EVAL_RANK];
    int32_t tail = from->rank - b;
    memcpy(dim, from->dim, (size_t)a * sizeof *dim);
    memcpy(dim + a, mid, (size_t)n * sizeof *dim);
    memcpy(dim + a + n, from->dim + b, (size_t)tail * sizeof *dim);
    return eval_out(c, 0, from->dtype, a + n + tail, dim);
}

bool eval_gather(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *index = c->in[1];
    int32_t axis;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) ||
        !spliced_out(c, x, axis, index->dim, index->rank, axis + 1))
        return false;
    size_t e = eval_element(c, x);
    int64_t outer = eval_count(x->dim, 0, axis), size = x->dim[axis], inner = eval_count(x->dim, axis + 1, x->rank), at;
    for (int64_t k = 0; k < index->count; k++) {
        if (outer && inner && !eval_index(c, eval_ints_of(index)[k], size, &at))
            return false;
        for (int64_t i = 0; inner && i < outer; i++)
            memcpy(out_at(&c->out[0], e, (i * index->count + k) * inner), at_of(x, e, (i * size + at) * inner),
                   (size_t)inner * e);
    }
    return true;
}

/* Calls visit for each element of `index` with the place in an array of shape `dim` that replaces `axis` by the index. */
static bool each_element(TgEvalCall *c, const TgArray *index, const TgArray *x, int32_t axis,
                         void (*visit)(void *user, int64_t at, int64_t k), void *user)
{
    int64_t stride[TG_EVAL_RANK], place[TG_EVAL_RANK] = {0}, offset[1] = {0}, at;
    int64_t moves[1][TG_EVAL_RANK];
    if (index->rank != x->rank)
        return eval_bad_shape(c, 1, "indices need the rank of the data");
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis && index->dim[i] > x->dim[i])
            return eval_bad_shape(c, 1, "indices reach beyond the data");
    eval_strides(x->rank, x->dim, stride);
    memcpy(moves[0], stride, sizeof stride);
    moves[0][axis] = 0;
    for (int64_t k = 0; k < index->count; k++) {
        if (!eval_index(c, eval_ints_of(index)[k], x->dim[axis], &at))
            return false;
        visit(user, offset[0] + at * stride[axis], k);
        eval_next(index->rank, index->dim, place, 1, offset, (const int64_t(*)[TG_EVAL_RANK])moves);
    }
    return true;
}

typedef struct {
    TgEvalCall *c;
    const TgArray *x;
    size_t element;
} Mover;

static void take(void *user, int64_t at, int64_t k)
{
    Mover *m = user;
    memcpy(out_at(&m->c->out[0], m->element, k), at_of(m->x, m->element, at), m->element);
}

bool eval_gather_elements(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *index = c->in[1];
    int32_t axis;
    Mover m = {c, x, eval_element(c, x)};
    return eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) && eval_out(c, 0, x->dtype, index->rank, index->dim) &&
           each_element(c, index, x, axis, take, &m);
}

/* The place that an index tuple of `n` numbers names behind `batch` leading axes of x, in blocks. */
static bool tuple_place(TgEvalCall *c, const int64_t *tuple, int64_t n, const TgArray *x, int32_t batch, int64_t *place)
{
    *place = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at;
        if (!eval_index(c, tuple[i], x->dim[batch + i], &at))
            return false;
        *place = *place * x->dim[batch + i] + at;
    }
    return true;
}

bool eval_gather_nd(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *index = c->in[1];
    int64_t batch = tg_attr_int(c->n, "batch_dims"), n = index->rank ? index->dim[index->rank - 1] : 0;
    if (index->rank < 1 || batch < 0 || batch >= index->rank || batch + n > x->rank)
        return eval_bad_shape(c, 1, "its last size and batch_dims do not fit the data");
    for (int32_t i = 0; i < batch; i++)
        if (x->dim[i] != index->dim[i])
            return eval_bad_shape(c, 1, "its batch axes are those of the data");
    int64_t dim[3 * TG_EVAL_RANK];
    int32_t lead = index->rank - 1, tail = x->rank - (int32_t)(batch + n);
    memcpy(dim, index->dim, (size_t)lead * sizeof *dim);
    memcpy(dim + lead, x->dim + batch + n, (size_t)tail * sizeof *dim);
    if (!eval_out(c, 0, x->dtype, lead + tail, dim))
        return false;
    size_t e = eval_element(c, x);
    int64_t batches = eval_count(x->dim, 0, (int32_t)batch), block = eval_count(x->dim, (int32_t)(batch + n), x->rank);
    int64_t tuples = eval_count(index->dim, (int32_t)batch, lead), size = eval_count(x->dim, (int32_t)batch, x->rank), place;
    for (int64_t k = 0; k < batches * tuples; k++) {
        if (!tuple_place(c, eval_ints_of(index) + k * n, n, x, (int32_t)batch, &place))
            return false;
        if (block)
            memcpy(out_at(&c->out[0], e, k * block), at_of(x, e, k / tuples * size + place * block), (size_t)block * e);
    }
    return true;
}

/* --- scattering -------------------------------------------------------------------------------------------------------- */

typedef enum { NONE, ADD_TO, MUL_BY, MAX_WITH, MIN_WITH } Reduction;

static bool read_reduction(TgEvalCall *c, Reduction *r)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    TgName given = tg_attr_string(c->tg, c->n, "reduction");
    for (int i = 0; i < 5; i++)
        if (strcmp(given, names[i]) == 0) {
            *r = (Reduction)i;
            return true;
        }
    return tg_report(c->tg, TG_E_eval_word, "reduction", given);
}

static double reduce_real(Reduction r, double a, double b)
{
    switch (r) {
    case ADD_TO: return a + b;
    case MUL_BY: return a * b;
    case MAX_WITH: return a > b || isnan(a) ? a : b;
    case MIN_WITH: return a < b || isnan(a) ? a : b;
    default: return b;
    }
}

static int64_t reduce_int(Reduction r, int64_t a, int64_t b)
{
    switch (r) {
    case ADD_TO: return (int64_t)((uint64_t)a + (uint64_t)b);
    case MUL_BY: return (int64_t)((uint64_t)a * (uint64_t)b);
    case MAX_WITH: return a > b ? a : b;
    case MIN_WITH: return a < b ? a : b;
    default: return b;
    }
}

typedef struct {
    TgEvalCall *c;
    const TgArray *updates;
    Reduction reduction;
    size_t element;
} Scatterer;

static void put(void *user, int64_t at, int64_t k)
{
    Scatterer *s = user;
    TgArray *y = &s->c->out[0];
    if (s->reduction == NONE)
        memcpy(out_at(y, s->element, at), at_of(s->updates, s->element, k), s->element);
    else if (eval_is_real(y))
        tg_array_set_float(s->c->mode, y, at,
                           reduce_real(s->reduction, eval_real(s->c, y, at), eval_real(s->c, s->updates, k)));
    else
        tg_array_set_int(y, at, reduce_int(s->reduction, tg_array_int(y, at), tg_array_int(s->updates, k)));
}

static bool begin_scatter(TgEvalCall *c, Scatterer *s)
{
    const TgArray *x = c->in[0];
    *s = (Scatterer){.c = c, .updates = c->in[2], .element = eval_element(c, x)};
    if (!read_reduction(c, &s->reduction) || !eval_out_like(c, 0, x))
        return false;
    memcpy(c->out[0].data, x->data, (size_t)x->count * s->element);
    return true;
}

bool eval_scatter_elements(TgEvalCall *c)
{
    Scatterer s;
    int32_t axis;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), c->in[0]->rank, &axis) || !begin_scatter(c, &s))
        return false;
    if (c->in[1]->count != c->in[2]->count)
        return eval_bad_shape(c, 2, "updates need the shape of the indices");
    return each_element(c, c->in[1], c->in[0], axis, put, &s);
}

bool eval_scatter_nd(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *index = c->in[1];
    int64_t n = index->rank ? index->dim[index->rank - 1] : 0;
    Scatterer s;
    if (index->rank < 1 || n > x->rank)
        return eval_bad_shape(c, 1, "its last size exceeds the rank of the data");
    if (!begin_scatter(c, &s))
        return false;
    int64_t block = eval_count(x->dim, (int32_t)n, x->rank), tuples = eval_count(index->dim, 0, index->rank - 1), place;
    if (c->in[2]->count != tuples * block)
        return eval_bad_shape(c, 2, "updates do not fit indices and data");
    for (int64_t k = 0; k < tuples; k++) {
        if (!tuple_place(c, eval_ints_of(index) + k * n, n, x, 0, &place))
            return false;
        for (int64_t i = 0; i < block; i++)
            put(&s, place * block + i, k * block + i);
    }
    return true;
}

/* --- indices from values, values from indices ---------------------------------------------------------------------------- */

bool eval_one_hot(TgEvalCall *c)
{
    const TgArray *index = c->in[0], *values = c->in[2];
    int64_t depth;
    int32_t axis;
    if (!eval_one_int(c, 1, 0, &depth) || !eval_axis(c, tg_attr_int(c->n, "axis"), index->rank + 1, &axis))
        return false;
    if (values->count != 2)
        return eval_bad_shape(c, 2, "values are the one for off and the one for on");
    int64_t dim[TG_EVAL_RANK + 1];
    if (depth < 0)
        return eval_bad_value(c, "depth", depth);
    memcpy(dim, index->dim, (size_t)axis * sizeof *dim);
    dim[axis] = depth;
    memcpy(dim + axis + 1, index->dim + axis, (size_t)(index->rank - axis) * sizeof *dim);
    if (!eval_out(c, 0, values->dtype, index->rank + 1, dim))
        return false;
    size_t e = eval_element(c, values);
    int64_t inner = eval_count(index->dim, axis, index->rank);
    for (int64_t i = 0; i < c->out[0].count; i++)
        memcpy(out_at(&c->out[0], e, i), values->data, e);
    for (int64_t k = 0; k < index->count; k++) {
        int64_t at = eval_is_real(index) ? (int64_t)eval_real(c, index, k) : eval_ints_of(index)[k];
        at += at < 0 ? depth : 0;
        if (at >= 0 && at < depth)
            memcpy(out_at(&c->out[0], e, (k / inner * depth + at) * inner + k % inner), at_of(values, e, 1), e);
    }
    return true;
}

static bool is_nonzero(const TgEvalCall *c, const TgArray *x, int64_t i)
{
    return eval_is_real(x) ? eval_real(c, x, i) != 0 : eval_ints_of(x)[i] != 0;
}

bool eval_non_zero(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t found = 0, k = 0, place[TG_EVAL_RANK] = {0};
    for (int64_t i = 0; i < x->count; i++)
        found += is_nonzero(c, x, i);
    int64_t dim[2] = {x->rank, found};
    if (!eval_out(c, 0, TG_i64, 2, dim))
        return false;
    for (int64_t i = 0; i < x->count; i++) {
        if (is_nonzero(c, x, i)) {
            for (int32_t d = 0; d < x->rank; d++)
                eval_ints_of(&c->out[0])[d * found + k] = place[d];
            k++;
        }
        eval_next(x->rank, x->dim, place, 0, NULL, NULL);
    }
    return true;
}

bool eval_compress(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *keep = c->in[1];
    bool flat = !tg_attr_has(c->n->attrs, "axis");
    int32_t axis = 0;
    if (!flat && !eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    int64_t size = flat ? x->count : x->dim[axis], kept = 0, n = keep->count < size ? keep->count : size;
    for (int64_t i = 0; i < n; i++)
        kept += eval_ints_of(keep)[i] != 0;
    if (!(flat ? eval_out(c, 0, x->dtype, 1, &kept) : spliced_out(c, x, axis, &kept, 1, axis + 1)))
        return false;
    size_t e = eval_element(c, x);
    int64_t outer = flat ? 1 : eval_count(x->dim, 0, axis), inner = flat ? 1 : eval_count(x->dim, axis + 1, x->rank), to = 0;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < n; i++)
            if (eval_ints_of(keep)[i] && inner)
                memcpy(out_at(&c->out[0], e, inner * to++), at_of(x, e, (o * size + i) * inner), (size_t)inner * e);
    return true;
}

bool eval_reverse_sequence(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *length = c->in[1];
    int32_t time, batch;
    if (!eval_axis(c, tg_attr_int(c->n, "time_axis"), x->rank, &time) ||
        !eval_axis(c, tg_attr_int(c->n, "batch_axis"), x->rank, &batch) || !eval_out_like(c, 0, x))
        return false;
    if (time == batch || length->count != x->dim[batch])
        return eval_bad_shape(c, 1, "one length for each sequence of the batch");
    int64_t stride[TG_EVAL_RANK], place[TG_EVAL_RANK] = {0};
    eval_strides(x->rank, x->dim, stride);
    size_t e = eval_element(c, x);
    for (int64_t i = 0; i < x->count; i++) {
        int64_t n = eval_ints_of(length)[place[batch]], t = place[time];
        if (n < 0 || n > x->dim[time])
            return eval_bad_value(c, "a sequence length", n);
        int64_t from = t < n ? i + (n - 1 - 2 * t) * stride[time] : i;
        memcpy(out_at(&c->out[0], e, i), at_of(x, e, from), e);
        eval_next(x->rank, x->dim, place, 0, NULL, NULL);
    }
    return true;
}

/* --- sequences of numbers ---------------------------------------------------------------------------------------------- */

enum { MOST_NUMBERS = 1 << 28 };

static bool range_out(TgEvalCall *c, double count)
{
    if (!(count <= MOST_NUMBERS))
        return eval_bad_value(c, "the number of elements", INT64_MAX);
    int64_t n = count > 0 ? (int64_t)count : 0;
    return eval_out(c, 0, c->in[0]->dtype, 1, &n);
}

static bool range_of_ints(TgEvalCall *c)
{
    int64_t start, limit, delta;
    if (!eval_one_int(c, 0, 0, &start) || !eval_one_int(c, 1, 0, &limit) || !eval_one_int(c, 2, 1, &delta))
        return false;
    if (delta == 0)
        return eval_bad_value(c, "delta", 0);
    if (!range_out(c, ceil(((double)limit - (double)start) / (double)delta)))
        return false;
    for (int64_t i = 0; i < c->out[0].count; i++)
        eval_ints_of(&c->out[0])[i] = (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)delta);
    return true;
}

bool eval_range(TgEvalCall *c)
{
    double start, limit, delta;
    if (!eval_is_real(c->in[0]))
        return range_of_ints(c);
    if (!eval_one_float(c, 0, 0, &start) || !eval_one_float(c, 1, 0, &limit) || !eval_one_float(c, 2, 1, &delta))
        return false;
    if (delta == 0)
        return eval_bad_value(c, "delta", 0);
    if (!range_out(c, ceil((limit - start) / delta)))
        return false;
    for (int64_t i = 0; i < c->out[0].count; i++)
        tg_array_set_float(c->mode, &c->out[0], i, start + (double)i * delta);
    return true;
}

bool eval_eye_like(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t wanted = tg_attr_int(c->n, "dtype"), k = tg_attr_int(c->n, "k");
    if (x->rank != 2)
        return eval_bad_shape(c, 0, "a matrix is needed");
    if (!eval_out(c, 0, wanted ? (TgDtype)wanted : x->dtype, 2, x->dim))
        return false;
    TgArray *y = &c->out[0];
    memset(y->data, 0, (size_t)y->count * eval_element(c, y));
    for (int64_t i = 0; i < x->dim[0]; i++)
        if (i + k >= 0 && i + k < x->dim[1]) {
            if (eval_is_real(y))
                tg_array_set_float(c->mode, y, i * x->dim[1] + i + k, 1);
            else
                tg_array_set_int(y, i * x->dim[1] + i + k, 1);
        }
    return true;
}
