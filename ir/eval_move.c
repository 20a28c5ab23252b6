/* Movement: views, Transpose, Expand, Tile, Concat, Split, Slice, Pad, Trilu; what only depends on shapes.
 *
 * All but Pad and Trilu are one thing: copy an N-dimensional box from one strided place to another, element
 * size being the only type. Stride 0 repeats (Expand, Tile), negative strides reverse (Slice), permuted
 * strides transpose.
 */
#include <string.h>

#include "eval_kernel.h"

/* --- the strided copy ----------------------------------------------------------------------------------- */

typedef struct {
    int32_t rank;
    int64_t dim[TG_EVAL_RANK];
    int64_t stride[2][TG_EVAL_RANK]; /* from, to: in elements */
} Box;

/* Drops axes of size 1 and merges neighbours that advance as one on both sides. False: the box is empty. */
static bool simplify(Box *b)
{
    Box s = {.rank = 0};
    for (int32_t i = 0; i < b->rank; i++) {
        if (b->dim[i] == 0)
            return false;
        if (b->dim[i] == 1)
            continue;
        int32_t last = s.rank - 1;
        if (s.rank && s.stride[0][last] == b->stride[0][i] * b->dim[i] &&
            s.stride[1][last] == b->stride[1][i] * b->dim[i])
            s.dim[last] *= b->dim[i];
        else
            s.dim[last = s.rank++] = b->dim[i];
        s.stride[0][last] = b->stride[0][i];
        s.stride[1][last] = b->stride[1][i];
    }
    if (s.rank == 0)
        s = (Box){.rank = 1, .dim = {1}, .stride = {{1}, {1}}};
    *b = s;
    return true;
}

/* Of the two innermost axes: n rows of m elements, in square blocks, so that both sides stay in the cache. */
enum { BLOCK = 16 };

#define PLANE(Type)                                                                                          \
    do {                                                                                                     \
        const Type *x = from;                                                                                \
        Type *z = to;                                                                                        \
        for (int64_t i = i0; i < i1; i++)                                                                    \
            for (int64_t j = j0; j < j1; j++)                                                                \
                z[i * z_row + j * z_step] = x[i * x_row + j * x_step];                                       \
    } while (0)

static void copy_plane(const void *from, void *to, const Box *b, int32_t row, int32_t column, size_t element)
{
    int64_t n = b->dim[row], m = b->dim[column], x_row = b->stride[0][row], x_step = b->stride[0][column];
    int64_t z_row = b->stride[1][row], z_step = b->stride[1][column];
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        for (int64_t j0 = 0; j0 < m; j0 += BLOCK) {
            int64_t i1 = i0 + BLOCK < n ? i0 + BLOCK : n, j1 = j0 + BLOCK < m ? j0 + BLOCK : m;
            if (element == sizeof(uint32_t))
                PLANE(uint32_t);
            else if (element == sizeof(uint64_t))
                PLANE(uint64_t);
            else
                PLANE(TgBytes); /* two words: strings, wide complex numbers */
        }
}

static void copy_rows(const char *from, char *to, const Box *b, int32_t row, int32_t column, size_t element)
{
    size_t bytes = (size_t)b->dim[column] * element;
    if (b->stride[0][column] != 1 || b->stride[1][column] != 1) {
        copy_plane(from, to, b, row, column, element);
        return;
    }
    for (int64_t i = 0; i < b->dim[row]; i++)
        memcpy(to + i * b->stride[1][row] * (int64_t)element, from + i * b->stride[0][row] * (int64_t)element,
               bytes);
}

/* Moves the axis along which the source is contiguous, if there is one, beside the innermost axis. */
static void pair_axes(Box *b)
{
    int32_t row = b->rank - 2;
    for (int32_t i = 0; i < b->rank - 1; i++)
        row = b->stride[0][i] == 1 ? i : row;
    Box old = *b;
    for (int32_t i = row; i < b->rank - 1; i++) {
        int32_t from = i == b->rank - 2 ? row : i + 1;
        b->dim[i] = old.dim[from];
        b->stride[0][i] = old.stride[0][from];
        b->stride[1][i] = old.stride[1][from];
    }
}

static void copy_box(const void *from, void *to, Box b, size_t element)
{
    if (!simplify(&b))
        return;
    if (b.rank == 1) { /* a row of its own */
        b = (Box){.rank = 2, .dim = {1, b.dim[0]}, .stride = {{0, b.stride[0][0]}, {0, b.stride[1][0]}}};
    } else {
        pair_axes(&b);
    }
    int32_t outer = b.rank - 2;
    int64_t index[TG_EVAL_RANK] = {0}, offset[2] = {0};
    do {
        copy_rows((const char *)from + offset[0] * (int64_t)element,
                  (char *)to + offset[1] * (int64_t)element, &b, outer, outer + 1, element);
    } while (eval_next(outer, b.dim, index, 2, offset, (const int64_t(*)[TG_EVAL_RANK])b.stride));
}

/* Copies into the whole of output i, reading from element `start` of `x` by `stride` along the output's
 * axes. */
static void read_strided(TgEvalCall *c, uint32_t i, const TgArray *x, int64_t start, const int64_t *stride)
{
    TgArray *z = &c->out[i];
    Box b = {.rank = z->rank};
    memcpy(b.dim, z->dim, sizeof b.dim);
    memcpy(b.stride[0], stride, (size_t)z->rank * sizeof *stride);
    eval_strides(z->rank, z->dim, b.stride[1]);
    size_t element = eval_element(c, x);
    copy_box((const char *)x->data + start * (int64_t)element, z->data, b, element);
}

/* --- views: the same elements in another shape ---------------------------------------------------------- */

static void share_as(TgEvalCall *c, const TgArray *x, int32_t rank, const int64_t *dim)
{
    TgArray z = tg_array_share(x);
    z.rank = rank;
    memcpy(z.dim, dim, (size_t)rank * sizeof *dim);
    c->out[0] = z;
}

/* The size that -1 stands for is a quotient in which sizes that were copied cancel: also where they are 0. */
static bool view_reshape(TgEvalCall *c, const TgArray *x)
{
    int64_t dim[TG_EVAL_RANK], known = 1, guess = -1, given = 1, rest = 1;
    bool copied[TG_EVAL_RANK] = {false};
    uint32_t n;
    if (!eval_int_list(c, 1, TG_EVAL_RANK, dim, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (dim[i] == 0 && !tg_attr_int(c->n, "allowzero")) {
            if ((int32_t)i >= x->rank)
                return eval_bad_value(c, "the rank of the input, where a size is to be taken from behind it,",
                                      x->rank);
            dim[i] = x->dim[i];
            copied[i] = true;
        }
        if (dim[i] == -1 && guess < 0)
            guess = i;
        else if (dim[i] < 0 || __builtin_mul_overflow(known, dim[i], &known))
            return eval_bad_value(c, "a size of the new shape", dim[i]);
        else if (__builtin_mul_overflow(given, copied[i] ? 1 : dim[i], &given))
            return eval_bad_value(c, "a size of the new shape", dim[i]);
    }
    for (int32_t i = 0; i < x->rank; i++)
        if (__builtin_mul_overflow(rest, copied[i] ? 1 : x->dim[i], &rest))
            return eval_bad_value(c, "a size of the operand", x->dim[i]);
    if (guess >= 0)
        known *= dim[guess] = given ? rest / given : 0;
    if (known != x->count)
        return eval_bad_shape(c, 0, "it has another number of elements than the new shape");
    share_as(c, x, (int32_t)n, dim);
    return true;
}

static bool view_squeeze(TgEvalCall *c, const TgArray *x)
{
    bool gone[TG_EVAL_RANK];
    int64_t dim[TG_EVAL_RANK];
    int32_t rank = 0;
    uint32_t n;
    if (!eval_axes(c, 1, x->rank, gone, &n))
        return false;
    for (int32_t i = 0; i < x->rank; i++) {
        if (gone[i] && x->dim[i] != 1)
            return eval_bad_shape(c, 0, "an axis to squeeze has not size 1");
        if (eval_in(c, 1) ? !gone[i] : x->dim[i] != 1)
            dim[rank++] = x->dim[i];
    }
    share_as(c, x, rank, dim);
    return true;
}

static bool view_unsqueeze(TgEvalCall *c, const TgArray *x)
{
    bool fresh[TG_EVAL_RANK];
    int64_t dim[TG_EVAL_RANK];
    const TgArray *axes = c->in[1];
    uint32_t n;
    int64_t rank = x->rank + axes->count;
    if (rank > TG_EVAL_RANK)
        return tg_report(c->tg, TG_E_eval_rank, (int)rank, (int)TG_EVAL_RANK);
    if (!eval_axes(c, 1, (int32_t)rank, fresh, &n))
        return false;
    for (int32_t i = 0, k = 0; i < rank; i++)
        dim[i] = fresh[i] ? 1 : x->dim[k++];
    share_as(c, x, (int32_t)rank, dim);
    return true;
}

bool eval_view(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    switch (c->n->op) {
    case TG_Reshape: return view_reshape(c, x);
    case TG_Squeeze: return view_squeeze(c, x);
    case TG_Unsqueeze: return view_unsqueeze(c, x);
    default: c->out[0] = tg_array_share(x); return true;
    }
}

/* --- one strided read ----------------------------------------------------------------------------------- */

bool eval_transpose(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    uint32_t n;
    const int64_t *perm = tg_attr_ints(c->n, "perm", &n);
    int64_t own[TG_EVAL_RANK], stride[TG_EVAL_RANK], dim[TG_EVAL_RANK];
    bool seen[TG_EVAL_RANK] = {false};
    if (perm && n != (uint32_t)x->rank)
        return eval_bad_shape(c, 0, "its rank is not the length of perm");
    eval_strides(x->rank, x->dim, own);
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t from = x->rank - 1 - i;
        if (perm && !eval_axis(c, perm[i], x->rank, &from))
            return false;
        if (seen[from])
            return eval_bad_value(c, "an axis that perm lists twice", from);
        seen[from] = true;
        dim[i] = x->dim[from];
        stride[i] = own[from];
    }
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    read_strided(c, 0, x, 0, stride);
    return true;
}

bool eval_expand(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t dim[TG_EVAL_RANK], stride[TG_EVAL_RANK];
    uint32_t n;
    int32_t rank;
    if (!eval_int_list(c, 1, TG_EVAL_RANK, dim, &n))
        return false;
    if (!eval_broadcast(x->rank, x->dim, (int32_t)n, dim, &rank, dim))
        return eval_bad_shape(c, 0, "it does not broadcast with the wanted shape");
    if (!eval_out(c, 0, x->dtype, rank, dim))
        return false;
    eval_broadcast_strides(x, rank, stride);
    read_strided(c, 0, x, 0, stride);
    return true;
}

/* Every axis is read `repeats` times: two axes per axis of the input, the outer one with stride 0. */
bool eval_tile(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t repeats[TG_EVAL_RANK], dim[TG_EVAL_RANK], own[TG_EVAL_RANK], to[TG_EVAL_RANK];
    uint32_t n;
    if (!eval_int_list(c, 1, TG_EVAL_RANK, repeats, &n))
        return false;
    if (n != (uint32_t)x->rank)
        return eval_bad_shape(c, 1, "one number of repeats per axis is needed");
    for (uint32_t i = 0; i < n; i++)
        if (repeats[i] < 0 || __builtin_mul_overflow(x->dim[i], repeats[i], &dim[i]))
            return eval_bad_value(c, "a number of repeats", repeats[i]);
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    eval_strides(x->rank, x->dim, own);
    eval_strides(x->rank, dim, to);
    if (c->out[0].count == 0)
        return true;
    size_t element = eval_element(c, x);
    int64_t index[TG_EVAL_RANK] = {0}, start = 0, jump[1][TG_EVAL_RANK];
    for (int32_t i = 0; i < x->rank; i++)
        jump[0][i] = to[i] * x->dim[i];
    do { /* one copy of the input per tile */
        Box b = {.rank = x->rank};
        memcpy(b.dim, x->dim, sizeof b.dim);
        memcpy(b.stride[0], own, sizeof own);
        memcpy(b.stride[1], to, sizeof to);
        copy_box(x->data, (char *)c->out[0].data + start * (int64_t)element, b, element);
    } while (eval_next(x->rank, repeats, index, 1, &start, (const int64_t(*)[TG_EVAL_RANK])jump));
    return true;
}

/* --- Slice ---------------------------------------------------------------------------------------------- */

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Elements start, start + step, ... before (or, backwards, after) `end` of n: brings start into range,
 * returns how many. */
static int64_t slice_range(int64_t n, int64_t *start, int64_t end, int64_t step)
{
    if (*start < 0)
        *start = *start < -n ? 0 : *start + n;
    if (end < 0)
        end = end < -n ? -1 : end + n;
    if (step > 0) {
        *start = clamp(*start, 0, n);
        end = clamp(end, 0, n);
        return end <= *start ? 0 : (end - *start - 1) / step + 1;
    }
    *start = clamp(*start, 0, n - 1);
    end = clamp(end, -1, n - 1);
    return end >= *start ? 0 : (*start - end - 1) / (step == INT64_MIN ? INT64_MAX : -step) + 1;
}

bool eval_slice(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t starts[TG_EVAL_RANK], ends[TG_EVAL_RANK], axes[TG_EVAL_RANK], steps[TG_EVAL_RANK];
    uint32_t n, n_ends, n_axes, n_steps;
    if (!eval_int_list(c, 1, TG_EVAL_RANK, starts, &n) || !eval_int_list(c, 2, TG_EVAL_RANK, ends, &n_ends) ||
        !eval_int_list(c, 3, TG_EVAL_RANK, axes, &n_axes) ||
        !eval_int_list(c, 4, TG_EVAL_RANK, steps, &n_steps))
        return false;
    if (n_ends != n || (n_axes != n && eval_in(c, 3)) || (n_steps != n && eval_in(c, 4)))
        return eval_bad_shape(c, 1, "starts, ends, axes and steps must have one length");
    int64_t dim[TG_EVAL_RANK], stride[TG_EVAL_RANK], first = 0;
    eval_strides(x->rank, x->dim, stride);
    memcpy(dim, x->dim, sizeof dim);
    for (uint32_t i = 0; i < n; i++) {
        int32_t axis;
        int64_t step = n_steps ? steps[i] : 1;
        if (!eval_axis(c, n_axes ? axes[i] : i, x->rank, &axis))
            return false;
        if (step == 0)
            return eval_bad_value(c, "a step", step);
        dim[axis] = slice_range(x->dim[axis], &starts[i], ends[i], step);
        if (dim[axis] == 0)
            continue;
        first += starts[i] * stride[axis];
        stride[axis] *= dim[axis] > 1 ? step : 1;
    }
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    read_strided(c, 0, x, first, stride);
    return true;
}

/* --- Concat and Split ----------------------------------------------------------------------------------- */

/* Shapes before and behind the axis agree. */
static bool fits_beside(const TgArray *a, const TgArray *b, int32_t axis)
{
    bool fits = a->rank == b->rank && a->dtype == b->dtype;
    for (int32_t i = 0; fits && i < a->rank; i++)
        fits = i == axis || a->dim[i] == b->dim[i];
    return fits;
}

bool eval_concat(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t dim[TG_EVAL_RANK], done = 0;
    int32_t axis;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    memcpy(dim, x->dim, sizeof dim);
    for (uint32_t i = 1; i < c->n->n_in; i++) {
        if (!fits_beside(x, c->in[i], axis))
            return eval_bad_shape(c, i, "it does not fit beside the first one");
        dim[axis] += c->in[i]->dim[axis];
    }
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    size_t element = eval_element(c, x);
    int64_t inner = eval_count(dim, axis + 1, x->rank);
    for (uint32_t i = 0; i < c->n->n_in; i++) {
        Box b = {.rank = x->rank};
        memcpy(b.dim, c->in[i]->dim, sizeof b.dim);
        eval_strides(x->rank, b.dim, b.stride[0]);
        eval_strides(x->rank, dim, b.stride[1]);
        copy_box(c->in[i]->data, (char *)c->out[0].data + (size_t)(done * inner) * element, b, element);
        done += c->in[i]->dim[axis];
    }
    return true;
}

/* Sizes of the parts: operand 1, else equal ones, the last one smaller where they do not divide the axis. */
static bool split_sizes(TgEvalCall *c, int64_t n, int64_t *size)
{
    uint32_t parts = c->n->n_out, given;
    int64_t each = (n + parts - 1) / parts, sum = 0;
    if (!eval_int_list(c, 1, parts, size, &given))
        return false;
    if (eval_in(c, 1) && given != parts)
        return eval_bad_shape(c, 1, "one size per result is needed");
    for (uint32_t i = 0; i < parts; i++) {
        if (!given)
            size[i] = clamp(n - each * i, 0, each);
        if (size[i] < 0 || size[i] > n - sum)
            return eval_bad_value(c, "a size of a part", size[i]);
        sum += size[i];
    }
    return sum == n || eval_bad_value(c, "the sum of the sizes of the parts", sum);
}

bool eval_split(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t *size = TG_NEW_N(tg_scratch(c->tg), int64_t, c->n->n_out + 1), dim[TG_EVAL_RANK],
            own[TG_EVAL_RANK];
    int32_t axis;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !split_sizes(c, x->dim[axis], size))
        return false;
    eval_strides(x->rank, x->dim, own);
    memcpy(dim, x->dim, sizeof dim);
    int64_t start = 0;
    for (uint32_t i = 0; i < c->n->n_out; i++) {
        dim[axis] = size[i];
        if (!eval_out(c, i, x->dtype, x->rank, dim))
            return false;
        read_strided(c, i, x, start * own[axis], own);
        start += size[i];
    }
    return true;
}

/* --- Pad ------------------------------------------------------------------------------------------------ */

typedef enum { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP } PadMode;

static PadMode pad_mode(TgEvalCall *c)
{
    static const char *const names[] = {"constant", "edge", "reflect", "wrap"};
    TgName mode = tg_attr_string(c->tg, c->n, "mode");
    for (int i = PAD_EDGE; i <= PAD_WRAP; i++)
        if (mode == tg_name(c->tg, names[i]))
            return (PadMode)i;
    return PAD_CONSTANT;
}

/* Which element of n lies at position i, before, in or behind them; -1: the padding constant. */
static int64_t pad_source(PadMode mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE)
        return i < 0 ? 0 : n - 1;
    int64_t period = mode == PAD_WRAP ? n : n > 1 ? 2 * (n - 1) : 1;
    int64_t k = (i % period + period) % period;
    return k < n ? k : period - k;
}

/* before[i], after[i]: padding of axis i; negative: cropping. */
static bool pad_sizes(TgEvalCall *c, const TgArray *x, int64_t *before, int64_t *after)
{
    int64_t pads[2 * TG_EVAL_RANK], axes[TG_EVAL_RANK];
    uint32_t n, n_axes;
    if (!eval_int_list(c, 1, 2 * TG_EVAL_RANK, pads, &n) || !eval_int_list(c, 3, TG_EVAL_RANK, axes, &n_axes))
        return false;
    if (!eval_in(c, 3))
        for (n_axes = 0; n_axes < (uint32_t)x->rank; n_axes++)
            axes[n_axes] = n_axes;
    if (n != 2 * n_axes)
        return eval_bad_shape(c, 1, "two numbers per axis are needed");
    for (uint32_t i = 0; i < n_axes; i++) {
        int32_t axis;
        if (!eval_axis(c, axes[i], x->rank, &axis))
            return false;
        before[axis] = pads[i];
        after[axis] = pads[n_axes + i];
    }
    return true;
}

/* Per axis, for every position of the result, the offset of its source within `x`, or -1. NULL: recorded. */
static int64_t *pad_table(TgEvalCall *c, PadMode mode, const TgArray *x, int32_t axis, int64_t before,
                          int64_t n)
{
    int64_t own[TG_EVAL_RANK];
    eval_strides(x->rank, x->dim, own);
    int64_t *table = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = x->dim[axis] ? pad_source(mode, i - before, x->dim[axis]) : -1;
        if (from < 0 && mode != PAD_CONSTANT) {
            eval_bad_shape(c, 0, "an empty axis can be padded with a constant only");
            return NULL;
        }
        table[i] = from < 0 ? -1 : from * own[axis];
    }
    return table;
}

static void pad_fill(TgEvalCall *c, const TgArray *x, int64_t *const *table, const void *constant)
{
    TgArray *z = &c->out[0];
    size_t element = eval_element(c, x);
    int64_t index[TG_EVAL_RANK] = {0}, none[1] = {0};
    char *to = z->data;
    do {
        int64_t offset = 0;
        for (int32_t i = 0; offset >= 0 && i < z->rank; i++)
            offset = table[i][index[i]] < 0 ? -1 : offset + table[i][index[i]];
        memcpy(to, offset < 0 ? constant : (const char *)x->data + (size_t)offset * element, element);
        to += element;
    } while (eval_next(z->rank, z->dim, index, 0, none, NULL));
}

bool eval_pad(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *value = eval_in(c, 2);
    int64_t before[TG_EVAL_RANK] = {0}, after[TG_EVAL_RANK] = {0}, dim[TG_EVAL_RANK], *table[TG_EVAL_RANK];
    static const TgBytes zero; /* all carriers are zero when their bytes are */
    if (!pad_sizes(c, x, before, after))
        return false;
    if (value && (value->count != 1 || value->dtype != x->dtype))
        return eval_bad_shape(c, 2, "one element of the type of the input is needed");
    for (int32_t i = 0; i < x->rank; i++)
        if (__builtin_add_overflow(x->dim[i], before[i], &dim[i]) ||
            __builtin_add_overflow(dim[i], after[i], &dim[i]))
            return eval_bad_value(c, "a size of padding", before[i]);
    if (!eval_out(c, 0, x->dtype, x->rank, dim))
        return false;
    PadMode mode = pad_mode(c);
    for (int32_t i = 0; i < x->rank && c->out[0].count > 0; i++)
        if (!(table[i] = pad_table(c, mode, x, i, before[i], dim[i])))
            return false;
    if (c->out[0].count > 0)
        pad_fill(c, x, table, value ? value->data : &zero);
    return true;
}

/* --- Trilu, ReverseSequence ----------------------------------------------------------------------------- */

bool eval_trilu(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t k;
    if (x->rank < 2)
        return eval_bad_shape(c, 0, "a matrix is needed");
    if (!eval_one_int(c, 1, 0, &k) || !eval_out_like(c, 0, x))
        return false;
    int64_t columns = x->dim[x->rank - 1], rows = x->dim[x->rank - 2];
    bool upper = tg_attr_int(c->n, "upper") != 0;
    size_t element = eval_element(c, x);
    k = clamp(k, -rows - columns, rows + columns);
    memcpy(c->out[0].data, x->data, (size_t)x->count * element);
    for (int64_t row = 0; columns > 0 && row < x->count / columns; row++) {
        int64_t edge =
            clamp(row % rows + (upper ? k : k + 1), 0, columns); /* first column of the upper part */
        int64_t from = upper ? 0 : edge, to = upper ? edge : columns;
        memset((char *)c->out[0].data + (size_t)(row * columns + from) * element, 0,
               (size_t)(to - from) * element);
    }
    return true;
}

bool eval_reverse_sequence(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *length = c->in[1];
    int32_t batch, time;
    if (!eval_needs_ints(c, 1) || !eval_axis(c, tg_attr_int(c->n, "batch_axis"), x->rank, &batch) ||
        !eval_axis(c, tg_attr_int(c->n, "time_axis"), x->rank, &time))
        return false;
    if (length->count != x->dim[batch] || batch == time)
        return eval_bad_shape(c, 1, "one length per batch is needed");
    for (int64_t i = 0; i < length->count; i++)
        if (eval_ints_of(length)[i] < 0 || eval_ints_of(length)[i] > x->dim[time])
            return eval_bad_value(c, "a length of a sequence", eval_ints_of(length)[i]);
    if (!eval_out_like(c, 0, x))
        return false;
    int64_t index[TG_EVAL_RANK] = {0}, none[1] = {0}, own[TG_EVAL_RANK], i = 0;
    size_t element = eval_element(c, x);
    eval_strides(x->rank, x->dim, own);
    if (x->count == 0)
        return true;
    do {
        int64_t n = eval_ints_of(length)[index[batch]], t = index[time];
        int64_t from = i + (t < n ? n - 1 - 2 * t : 0) * own[time];
        memcpy((char *)c->out[0].data + (size_t)i++ * element, (const char *)x->data + (size_t)from * element,
               element);
    } while (eval_next(x->rank, x->dim, index, 0, none, NULL));
    return true;
}
