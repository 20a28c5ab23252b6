/* Movement as strided copies: see op_copy.h. An operator here only finds the shape of its result and the strides by
 * which the operand is read; Trilu and ReverseSequence copy rows.
 *
 * Sizes that come from data (shapes, starts, repeats) are checked before anything is written. */
#include "op_move.h"

#include "op_array.h"
#include "op_copy.h"

static bool same_bytes(const tgk_array *x, const tgk_array *z)
{
    return tgk_bytes_of(x->type) == tgk_bytes_of(z->type);
}

/* Copies into the whole of z, reading x from element `start` by `stride` along the axes of z. */
static void read_strided(const tgk_ctx *c, const tgk_array *x, int64_t start, const int64_t *stride, const tgk_array *z)
{
    const size_t size = tgk_bytes_of(z->type);
    tgk_box b;
    b.rank = z->rank;
    for (int32_t i = 0; i < z->rank; i++) {
        b.dim[i] = z->dim[i];
        b.from[i] = stride[i];
    }
    tgk_strides(z->rank, z->dim, b.to);
    tgk_copy_box(c, size, (const char *)x->at + start * (int64_t)size, z->at, &b);
}

/* The same elements in another shape. */
static tgk_status copy_as(const tgk_array *x, tgk_array *z, int32_t rank, const int64_t *dim)
{
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++)
        if (dim[i] < 0 || !tgk_times(n, dim[i], &n))
            return TGK_BAD_SIZE;
    tgk_status status = n == tgk_elements(x) && same_bytes(x, z) ? tgk_shape(z, rank, dim) : TGK_BAD_SIZE;
    if (status == TGK_OK && n > 0 && z->at != x->at)
        memcpy(z->at, x->at, (size_t)n * tgk_bytes_of(x->type));
    return status;
}

tgk_status tgk_Identity(const tgk_ctx *c, tgk_Identity_args *a)
{
    (void)c;
    return copy_as(&a->in[0], &a->out[0], a->in[0].rank, a->in[0].dim);
}

tgk_status tgk_BitCast(const tgk_ctx *c, tgk_BitCast_args *a)
{
    (void)c;
    return copy_as(&a->in[0], &a->out[0], a->in[0].rank, a->in[0].dim);
}

tgk_status tgk_Reshape(const tgk_ctx *c, tgk_Reshape_args *a)
{
    (void)c;
    int64_t n, dim[TGK_RANK], known = 1, guess = -1;
    const int64_t *wanted = tgk_ints(&a->in[1], &n);
    if (n > TGK_RANK)
        return TGK_BAD_SIZE;
    for (int64_t i = 0; i < n; i++) {
        dim[i] = wanted[i];
        if (dim[i] == 0 && !a->allowzero) {
            if (i >= a->in[0].rank)
                return TGK_BAD_SIZE;
            dim[i] = a->in[0].dim[i];
        }
        if (dim[i] == -1 && guess < 0)
            guess = i;
        else if (dim[i] < 0 || !tgk_times(known, dim[i], &known))
            return TGK_BAD_SIZE;
    }
    if (guess >= 0)
        dim[guess] = known ? tgk_elements(&a->in[0]) / known : 0;
    return copy_as(&a->in[0], &a->out[0], (int32_t)n, dim);
}

/* listed[i]: operand `axes` lists axis i of `rank`; none of them twice. */
static bool list_axes(const tgk_array *axes, int32_t rank, bool *listed)
{
    int64_t n;
    int32_t axis;
    const int64_t *list = tgk_ints(axes, &n);
    for (int32_t i = 0; i < rank; i++)
        listed[i] = false;
    for (int64_t i = 0; i < n; i++) {
        if (!tgk_axis(list[i], rank, &axis) || listed[axis])
            return false;
        listed[axis] = true;
    }
    return true;
}

tgk_status tgk_Squeeze(const tgk_ctx *c, tgk_Squeeze_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    bool gone[TGK_RANK];
    int64_t dim[TGK_RANK];
    int32_t rank = 0;
    if (!list_axes(&a->in[1], x->rank, gone))
        return TGK_BAD_INDEX;
    for (int32_t i = 0; i < x->rank; i++) {
        if (gone[i] && x->dim[i] != 1)
            return TGK_BAD_SIZE;
        if (a->in[1].at ? !gone[i] : x->dim[i] != 1)
            dim[rank++] = x->dim[i];
    }
    return copy_as(x, &a->out[0], rank, dim);
}

tgk_status tgk_Unsqueeze(const tgk_ctx *c, tgk_Unsqueeze_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    bool fresh[TGK_RANK];
    int64_t dim[TGK_RANK], n;
    tgk_ints(&a->in[1], &n);
    if (n > TGK_RANK - x->rank)
        return TGK_BAD_SIZE;
    const int32_t rank = x->rank + (int32_t)n;
    if (!list_axes(&a->in[1], rank, fresh))
        return TGK_BAD_INDEX;
    for (int32_t i = 0, k = 0; i < rank; i++)
        dim[i] = fresh[i] ? 1 : x->dim[k++];
    return copy_as(x, &a->out[0], rank, dim);
}

/* --- one strided read --------------------------------------------------------------------------------------------- */

tgk_status tgk_Transpose(const tgk_ctx *c, tgk_Transpose_args *a)
{
    const tgk_array *x = &a->in[0];
    int64_t own[TGK_RANK], stride[TGK_RANK], dim[TGK_RANK];
    bool seen[TGK_RANK] = {false};
    if (a->n_perm != 0 && a->n_perm != x->rank)
        return TGK_BAD_SIZE;
    tgk_strides(x->rank, x->dim, own);
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t from = x->rank - 1 - i;
        if (a->n_perm != 0 && (!tgk_axis(a->perm[i], x->rank, &from) || seen[from]))
            return TGK_BAD_INDEX;
        seen[from] = true;
        dim[i] = x->dim[from];
        stride[i] = own[from];
    }
    tgk_status status = tgk_shape(&a->out[0], x->rank, dim);
    if (status == TGK_OK)
        read_strided(c, x, 0, stride, &a->out[0]);
    return status;
}

tgk_status tgk_Expand(const tgk_ctx *c, tgk_Expand_args *a)
{
    const tgk_array *x = &a->in[0];
    int64_t n, dim[TGK_RANK], own[TGK_RANK], stride[TGK_RANK];
    const int64_t *wanted = tgk_ints(&a->in[1], &n);
    if (n > TGK_RANK)
        return TGK_BAD_SIZE;
    const int32_t rank = n > x->rank ? (int32_t)n : x->rank;
    tgk_strides(x->rank, x->dim, own);
    for (int32_t i = 0; i < rank; i++) {
        const int32_t here = i - (rank - x->rank), there = i - (rank - (int32_t)n);
        const int64_t have = here < 0 ? 1 : x->dim[here], want = there < 0 ? 1 : wanted[there];
        if (want < 0 || (have != want && have != 1 && want != 1))
            return TGK_BAD_SIZE;
        dim[i] = have == 1 ? want : have;
        stride[i] = have == 1 ? 0 : own[here];
    }
    tgk_status status = tgk_shape(&a->out[0], rank, dim);
    if (status == TGK_OK)
        read_strided(c, x, 0, stride, &a->out[0]);
    return status;
}

/* Every axis is read `repeats` times: two axes per axis of the operand, the outer one with stride 0. */
tgk_status tgk_Tile(const tgk_ctx *c, tgk_Tile_args *a)
{
    const tgk_array *x = &a->in[0];
    int64_t n, dim[TGK_RANK], own[TGK_RANK], to[TGK_RANK];
    const int64_t *repeats = tgk_ints(&a->in[1], &n);
    tgk_box b;
    if (n != x->rank)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < x->rank; i++)
        if (repeats[i] < 0 || !tgk_times(x->dim[i], repeats[i], &dim[i]))
            return TGK_BAD_SIZE;
    tgk_status status = tgk_shape(&a->out[0], x->rank, dim);
    if (status != TGK_OK)
        return status;
    tgk_strides(x->rank, x->dim, own);
    tgk_strides(x->rank, dim, to);
    b.rank = 2 * x->rank;
    for (int32_t i = 0; i < x->rank; i++) {
        b.dim[2 * i] = repeats[i];
        b.from[2 * i] = 0;
        b.to[2 * i] = to[i] * x->dim[i];
        b.dim[2 * i + 1] = x->dim[i];
        b.from[2 * i + 1] = own[i];
        b.to[2 * i + 1] = to[i];
    }
    tgk_copy_box(c, tgk_bytes_of(x->type), x->at, a->out[0].at, &b);
    return TGK_OK;
}

/* --- Slice -------------------------------------------------------------------------------------------------------- */

/* Elements start, start + step, ... before (or, backwards, after) `end` of n: brings start into range, returns how
 * many. */
static int64_t slice_range(int64_t n, int64_t *start, int64_t end, int64_t step)
{
    if (*start < 0)
        *start = *start < -n ? 0 : *start + n;
    if (end < 0)
        end = end < -n ? -1 : end + n;
    if (step > 0) {
        *start = tgk_clamp(*start, 0, n);
        end = tgk_clamp(end, 0, n);
        return end <= *start ? 0 : (end - *start - 1) / step + 1;
    }
    *start = tgk_clamp(*start, 0, n - 1);
    end = tgk_clamp(end, -1, n - 1);
    return end >= *start ? 0 : (*start - end - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1;
}

tgk_status tgk_Slice(const tgk_ctx *c, tgk_Slice_args *a)
{
    const tgk_array *x = &a->in[0];
    int64_t n, n_ends, n_axes, n_steps, dim[TGK_RANK], stride[TGK_RANK], first = 0;
    const int64_t *starts = tgk_ints(&a->in[1], &n), *ends = tgk_ints(&a->in[2], &n_ends);
    const int64_t *axes = tgk_ints(&a->in[3], &n_axes), *steps = tgk_ints(&a->in[4], &n_steps);
    bool cut[TGK_RANK] = {false};
    if (n_ends != n || (axes && n_axes != n) || (steps && n_steps != n))
        return TGK_BAD_SIZE;
    tgk_strides(x->rank, x->dim, stride);
    for (int32_t i = 0; i < x->rank; i++)
        dim[i] = x->dim[i];
    for (int64_t i = 0; i < n; i++) {
        int32_t axis;
        int64_t step = steps ? steps[i] : 1, start = starts[i];
        if (!tgk_axis(axes ? axes[i] : i, x->rank, &axis) || cut[axis])
            return TGK_BAD_INDEX;
        if (step == 0)
            return TGK_BAD_VALUE;
        cut[axis] = true;
        dim[axis] = slice_range(x->dim[axis], &start, ends[i], step);
        if (dim[axis] == 0)
            continue;
        first += start * stride[axis];
        stride[axis] *= dim[axis] > 1 ? step : 1;
    }
    tgk_status status = tgk_shape(&a->out[0], x->rank, dim);
    if (status == TGK_OK)
        read_strided(c, x, first, stride, &a->out[0]);
    return status;
}

/* --- Concat and Split --------------------------------------------------------------------------------------------- */

/* The part of a larger array, from place `at` along `axis` on, that has the shape of `part`; into it or out of it. */
static void copy_part(const tgk_ctx *c, const tgk_array *part, const tgk_array *whole, int32_t axis, int64_t at,
                      bool into)
{
    const int64_t size = (int64_t)tgk_bytes_of(whole->type);
    const int64_t skip = at * tgk_count(whole->dim, axis + 1, whole->rank) * size;
    tgk_box b;
    b.rank = part->rank;
    for (int32_t i = 0; i < part->rank; i++)
        b.dim[i] = part->dim[i];
    tgk_strides(part->rank, part->dim, into ? b.from : b.to);
    tgk_strides(whole->rank, whole->dim, into ? b.to : b.from);
    if (into)
        tgk_copy_box(c, (size_t)size, part->at, (char *)whole->at + skip, &b);
    else
        tgk_copy_box(c, (size_t)size, (const char *)whole->at + skip, part->at, &b);
}

tgk_status tgk_Concat(const tgk_ctx *c, tgk_Concat_args *a)
{
    const tgk_array *x = a->in;
    int64_t dim[TGK_RANK], done = 0;
    int32_t axis;
    if (a->n_in < 1 || !tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_INDEX;
    for (int32_t i = 0; i < x->rank; i++)
        dim[i] = x->dim[i];
    for (int64_t k = 1; k < a->n_in; k++) {
        if (x[k].rank != x->rank || !same_bytes(&x[k], x))
            return TGK_BAD_SIZE;
        for (int32_t i = 0; i < x->rank; i++)
            if (i != axis && x[k].dim[i] != dim[i])
                return TGK_BAD_SIZE;
        dim[axis] += x[k].dim[axis];
    }
    tgk_status status = tgk_shape(&a->out[0], x->rank, dim);
    for (int64_t k = 0; status == TGK_OK && k < a->n_in; k++) {
        copy_part(c, &x[k], &a->out[0], axis, done, true);
        done += x[k].dim[axis];
    }
    return status;
}

tgk_status tgk_Split(const tgk_ctx *c, tgk_Split_args *a)
{
    const tgk_array *x = &a->in[0];
    int64_t given, dim[TGK_RANK], done = 0;
    int32_t axis;
    const int64_t *sizes = tgk_ints(&a->in[1], &given);
    if (!tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_INDEX;
    if (a->n_out < 1 || (sizes && given != a->n_out))
        return TGK_BAD_SIZE;
    const int64_t n = x->dim[axis], each = (n + a->n_out - 1) / a->n_out;
    for (int32_t i = 0; i < x->rank; i++)
        dim[i] = x->dim[i];
    for (int64_t k = 0; k < a->n_out; k++) { /* without sizes: equal ones, the last ones smaller */
        dim[axis] = sizes ? sizes[k] : tgk_clamp(n - done, 0, each);
        if (dim[axis] < 0 || dim[axis] > n - done)
            return TGK_BAD_SIZE;
        tgk_status status = tgk_shape(&a->out[k], x->rank, dim);
        if (status != TGK_OK)
            return status;
        done += dim[axis];
    }
    if (done != n)
        return TGK_BAD_SIZE;
    done = 0;
    for (int64_t k = 0; k < a->n_out; k++) {
        const int64_t size = sizes ? sizes[k] : tgk_clamp(n - done, 0, each);
        if (a->out[k].at)
            copy_part(c, &a->out[k], x, axis, done, false);
        done += size;
    }
    return TGK_OK;
}

/* --- Trilu, ReverseSequence --------------------------------------------------------------------------------------- */

tgk_status tgk_Trilu(const tgk_ctx *c, tgk_Trilu_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    if (x->rank < 2)
        return TGK_BAD_SIZE;
    const int64_t columns = x->dim[x->rank - 1], rows = x->dim[x->rank - 2], n = tgk_elements(x);
    const int64_t size = (int64_t)tgk_bytes_of(x->type);
    int64_t k = a->in[1].at ? *(const int64_t *)a->in[1].at : 0;
    tgk_status status = tgk_shape(&a->out[0], x->rank, x->dim);
    k = tgk_clamp(k, -rows - columns, rows + columns);
    for (int64_t row = 0; status == TGK_OK && n > 0 && row < n / columns; row++) {
        const int64_t edge = tgk_clamp(row % rows + (a->upper ? k : k + 1), 0, columns); /* of the upper part */
        const int64_t keep = a->upper ? edge : 0, kept = a->upper ? columns - edge : edge;
        const int64_t clear = a->upper ? 0 : edge;
        char *to = (char *)a->out[0].at + row * columns * size;
        memcpy(to + keep * size, (const char *)x->at + (row * columns + keep) * size, (size_t)(kept * size));
        memset(to + clear * size, 0, (size_t)((columns - kept) * size));
    }
    return status;
}

tgk_status tgk_ReverseSequence(const tgk_ctx *c, tgk_ReverseSequence_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    int64_t n, index[TGK_RANK] = {0}, own[TGK_RANK], row = 0;
    int32_t batch, time;
    const int64_t *length = tgk_ints(&a->in[1], &n);
    if (!tgk_axis(a->batch_axis, x->rank, &batch) || !tgk_axis(a->time_axis, x->rank, &time) || batch == time)
        return TGK_BAD_INDEX;
    if (n != x->dim[batch])
        return TGK_BAD_SIZE;
    for (int64_t i = 0; i < n; i++)
        if (length[i] < 0 || length[i] > x->dim[time])
            return TGK_BAD_VALUE;
    tgk_status status = tgk_shape(&a->out[0], x->rank, x->dim);
    if (status != TGK_OK || tgk_elements(x) == 0)
        return status;
    const int32_t rank = (batch > time ? batch : time) + 1; /* the axes behind are rows */
    const int64_t inner = tgk_count(x->dim, rank, x->rank), bytes = inner * (int64_t)tgk_bytes_of(x->type);
    tgk_strides(rank, x->dim, own);
    do {
        const int64_t t = index[time], last = length[index[batch]];
        const int64_t from = row + (t < last ? last - 1 - 2 * t : 0) * own[time];
        tgk_put((char *)a->out[0].at + row++ * bytes, (const char *)x->at + from * bytes, (size_t)bytes);
    } while (tgk_next(rank, x->dim, index, NULL, NULL));
    return TGK_OK;
}
