/* Pad. Every place of an axis of the result has a source on the same axis of the operand, or none (the constant).
 * The axes behind the last padded one are one block; along that axis a row is a strip before, a copy, and a strip
 * behind. */
#include "op_pad.h"

#include "op_array.h"

typedef enum { PAD_CONSTANT, PAD_EDGE, PAD_REFLECT, PAD_WRAP } Mode;

typedef struct {
    Mode mode;
    int32_t axes; /* up to the last padded one */
    int64_t before[TGK_RANK], stride[TGK_RANK]; /* of the operand, in blocks */
    const tgk_array *x, *z;
    int64_t block; /* elements */
    size_t size;
    const char *constant;
} Pad;

/* Which element of n lies at position i, before, in or behind them; -1: the constant. */
static int64_t source(Mode mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE)
        return i < 0 ? 0 : n - 1;
    const int64_t period = mode == PAD_WRAP ? n : n > 1 ? 2 * (n - 1) : 1, k = (i % period + period) % period;
    return k < n ? k : period - k;
}

/* Places [from, to) of a row of the result whose other axes name the block `start` of the operand (-1: none). */
static void pad_places(const Pad *p, int64_t start, int64_t from, int64_t to, char *row)
{
    const int32_t axis = p->axes - 1;
    const size_t bytes = (size_t)p->block * p->size;
    for (int64_t i = from; i < to; i++) {
        const int64_t k = start < 0 ? -1 : source(p->mode, i - p->before[axis], p->x->dim[axis]);
        if (k < 0)
            tgk_fill(row + (size_t)i * bytes, p->constant, p->size, p->block);
        else
            tgk_put(row + (size_t)i * bytes, (const char *)p->x->at + (size_t)(start + k) * bytes, bytes);
    }
}

static void pad_row(const Pad *p, int64_t start, char *row)
{
    const int32_t axis = p->axes - 1;
    const int64_t n = p->z->dim[axis], first = tgk_clamp(p->before[axis], 0, n);
    const int64_t last = tgk_clamp(p->before[axis] + p->x->dim[axis], first, n);
    const size_t bytes = (size_t)p->block * p->size;
    if (start < 0) {
        tgk_fill(row, p->constant, p->size, n * p->block);
        return;
    }
    pad_places(p, start, 0, first, row);
    if (last > first)
        memcpy(row + (size_t)first * bytes, (const char *)p->x->at + (size_t)(start + first - p->before[axis]) * bytes,
               (size_t)(last - first) * bytes);
    pad_places(p, start, last, n, row);
}

static void pad_all(const Pad *p)
{
    const int32_t outer = p->axes - 1;
    const size_t bytes = (size_t)(p->z->dim[outer] * p->block) * p->size;
    int64_t index[TGK_RANK] = {0};
    char *row = (char *)p->z->at;
    do {
        int64_t start = 0;
        for (int32_t i = 0; start >= 0 && i < outer; i++) {
            const int64_t k = source(p->mode, index[i] - p->before[i], p->x->dim[i]);
            start = k < 0 ? -1 : start + k * p->stride[i];
        }
        pad_row(p, start, row);
        row += bytes;
    } while (tgk_next(outer, p->z->dim, index, NULL, NULL));
}

/* Sizes of padding and of the result. */
static tgk_status pad_sizes(const tgk_Pad_args *a, int64_t *before, int64_t *dim)
{
    const tgk_array *x = &a->in[0];
    int64_t n, n_axes, after[TGK_RANK] = {0};
    const int64_t *pads = tgk_ints(&a->in[1], &n), *axes = tgk_ints(&a->in[3], &n_axes);
    const int64_t listed = axes ? n_axes : x->rank;
    int32_t axis;
    if (n != 2 * listed)
        return TGK_BAD_SIZE;
    for (int64_t i = 0; i < listed; i++) {
        if (!tgk_axis(axes ? axes[i] : i, x->rank, &axis))
            return TGK_BAD_INDEX;
        before[axis] = pads[i];
        after[axis] = pads[listed + i];
    }
    for (int32_t i = 0; i < x->rank; i++) {
        const int64_t most = INT64_MAX / 4; /* so that sums of three fit */
        if (before[i] < -most || before[i] > most || after[i] < -most || after[i] > most || x->dim[i] > most)
            return TGK_BAD_SIZE;
        dim[i] = x->dim[i] + before[i] + after[i];
    }
    return TGK_OK;
}

tgk_status tgk_Pad(const tgk_ctx *c, tgk_Pad_args *a)
{
    static const char zero[16];
    (void)c;
    const tgk_array *x = &a->in[0], *value = &a->in[2];
    int64_t dim[TGK_RANK];
    Pad p = {.mode = strcmp(a->mode, "edge") == 0      ? PAD_EDGE
                     : strcmp(a->mode, "reflect") == 0 ? PAD_REFLECT
                     : strcmp(a->mode, "wrap") == 0    ? PAD_WRAP
                                                       : PAD_CONSTANT,
             .x = x, .z = &a->out[0], .block = 1, .size = tgk_bytes_of(x->type),
             .constant = value->at ? (const char *)value->at : zero};
    tgk_status status = pad_sizes(a, p.before, dim);
    if (status == TGK_OK && value->at && tgk_elements(value) != 1)
        status = TGK_BAD_SIZE;
    if (status == TGK_OK)
        status = tgk_shape(&a->out[0], x->rank, dim);
    if (status != TGK_OK || tgk_elements(p.z) == 0)
        return status;
    for (int32_t i = 0; i < x->rank; i++) {
        if (p.mode != PAD_CONSTANT && x->dim[i] == 0)
            return TGK_BAD_SIZE; /* nothing to repeat */
        p.axes = p.before[i] != 0 || dim[i] != x->dim[i] ? i + 1 : p.axes;
    }
    if (p.axes == 0) {
        memcpy(p.z->at, x->at, (size_t)tgk_elements(x) * p.size);
        return TGK_OK;
    }
    p.block = tgk_count(x->dim, p.axes, x->rank);
    tgk_strides(p.axes, x->dim, p.stride);
    pad_all(&p);
    return TGK_OK;
}
