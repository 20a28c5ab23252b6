/* Conv and ConvTranspose.
 *
 * Conv in f32 with several output channels is a product without a column matrix: for a block of CONV_BLOCK places and
 * a piece of CONV_DEPTH (channel, tap) pairs, the elements of x that they meet are laid side by side in a buffer on
 * the stack, zeros where the window hangs over; rows of the weight, as they lie, times that buffer give a tile whose
 * sums stay in registers. ConvTranspose goes the other way: rows of (output channel, tap) pairs of the weight times x
 * as it lies give tiles that are added to y where each tap sends them. Everything else (few channels, f64) goes row by
 * row (op_conv.inc).
 *
 * Tasks, by sizes alone: image x group x block of places x slice of output channels; ConvTranspose: without the
 * blocks, since places of neighbouring blocks meet in y. Cost: 2 * weights * places and a few percent. Stack: up to
 * CONV_BLOCK * CONV_DEPTH floats and some.
 */
#include "op_conv.h"

#include "op_conv_grid.h"
#include "op_isa.h"

enum {
    CONV_BLOCK = 96,     /* places; a multiple of the width of every tile */
    CONV_DEPTH = 160,    /* channel-tap pairs of a piece */
    CONV_CHANNELS = 128, /* least output channels of a task, where there are that many */
    CONV_TASKS = 32,     /* enough of them */
    SCATTER_ROWS = 16, SCATTER_DEPTH = 512, /* of packed weights */
    SCATTER_REST = 160   /* channels of places that do not fill a tile */
};

typedef struct {
    tgk_window w;
    int transposed;
    const void *x, *weight, *bias; /* bias NULL: none */
    void *y;
    int64_t images, groups, in, out; /* channels per group */
    int64_t taps, x_plane, y_plane;  /* taps of the weight; elements of a plane */
    int64_t blocks, slices, slice; /* tasks: blocks of places; slices of `slice` output channels */
    int64_t classes;               /* row by row: of places, see op_conv_grid.h */
} Conv;

static void conv_grid(const Conv *v, int64_t k, tgk_conv_grid *g)
{
    if (v->transposed)
        tgk_conv_grid_transposed(g, &v->w, k);
    else
        tgk_conv_grid_forward(g, &v->w);
}

/* --- Conv as a product -------------------------------------------------------------------------------------------- */

/* A block of places: runs of them, none across a panel of the tile's width. */
typedef struct {
    tgk_conv_grid g;
    int64_t image, count, runs;
    tgk_conv_run run[CONV_BLOCK];
    int64_t at[CONV_BLOCK]; /* place of the block where run i begins */
} Block;

/* A piece of the depth: taps [t, t + taps) of channels [k, k + channels). */
typedef struct {
    int64_t group, k, channels, t, taps;
    int32_t flat[CONV_DEPTH]; /* place of each tap in the weight's window */
    int first;
} Piece;

typedef void Multiply(const Conv *v, const Block *b, const Piece *p, const float *x, int64_t m, int64_t m_end);

static void find_runs(Block *b, int64_t first, int64_t wide)
{
    b->count = b->g.places - first < CONV_BLOCK ? b->g.places - first : CONV_BLOCK;
    b->runs = 0;
    for (int64_t at = 0; at < b->count; at += b->run[b->runs++].count) {
        const int64_t left = b->count - at, panel = wide - at % wide;
        b->at[b->runs] = at;
        tgk_conv_grid_run(&b->g, first + at, left < panel ? left : panel, &b->run[b->runs]);
    }
}

/* Places [low, high) of a run come from x, the others are 0. */
static void copy_part(float *to, const float *x, int64_t step, const tgk_conv_part *p, int64_t count)
{
    for (int64_t i = 0; i < p->low; i++)
        to[i] = 0;
    if (step == 1)
        for (int64_t i = p->low; i < p->high; i++)
            to[i] = x[i - p->low];
    else
        for (int64_t i = p->low; i < p->high; i++)
            to[i] = x[(i - p->low) * step];
    for (int64_t i = p->high; i < count; i++)
        to[i] = 0;
}

/* Lays out what the places of a block read: panels of [CONV_DEPTH, wide]. */
static void lay_out(const Conv *v, const Block *b, Piece *p, int64_t wide, float *to)
{
    const tgk_conv_grid *g = &b->g;
    const float *x = (const float *)v->x + ((b->image * v->groups + p->group) * v->in + p->k) * v->x_plane;
    const int64_t step = g->in_step[g->n - 1], used = b->count % wide;
    for (int64_t t = 0; t < p->taps; t++) {
        int64_t tap[TGK_RANK];
        p->flat[t] = (int32_t)tgk_conv_grid_tap(g, p->t + t, tap);
        for (int64_t i = 0; i < b->runs; i++) {
            tgk_conv_part part;
            float *row = to + b->at[i] / wide * wide * CONV_DEPTH + t * wide + b->at[i] % wide;
            tgk_conv_grid_part(g, &b->run[i], tap, &part);
            const int64_t from = part.low < part.high ? part.x + part.low * step : 0;
            for (int64_t k = 0; k < p->channels; k++)
                copy_part(row + k * p->taps * wide, x + (k * v->x_plane + from), step, &part, b->run[i].count);
        }
    }
    for (int64_t d = 0; used && d < p->channels * p->taps; d++) /* the last panel is not full */
        for (int64_t i = used; i < wide; i++)
            to[b->count / wide * wide * CONV_DEPTH + d * wide + i] = 0;
}

/* Adds a tile to y, or begins it. */
static void conv_finish(const Conv *v, const Block *b, const Piece *p, const float *sum, int64_t wide, int64_t at,
                        int64_t m, int64_t rows)
{
    const int64_t step = b->g.out_step[b->g.n - 1];
    const float *bias = v->bias;
    int64_t i = 0;
    while (i < b->runs && b->at[i] < at)
        i++;
    for (; i < b->runs && b->at[i] < at + wide; i++)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t channel = p->group * v->out + m + r;
            const float *from = sum + r * wide + b->at[i] - at, start = bias ? bias[channel] : 0.0f;
            float *y = (float *)v->y + (b->image * v->groups * v->out + channel) * v->y_plane + b->run[i].y;
            const int64_t n = b->run[i].count;
            if (p->first)
                for (int64_t j = 0; j < n; j++)
                    y[j * step] = start + from[j];
            else if (step == 1)
                for (int64_t j = 0; j < n; j++)
                    y[j] += from[j];
            else
                for (int64_t j = 0; j < n; j++)
                    y[j * step] += from[j];
        }
}

/* Without any input channel, a block is the bias. */
static void only_bias(const Conv *v, const Block *b, int64_t group, int64_t m, int64_t m_end)
{
    const int64_t step = b->g.out_step[b->g.n - 1];
    for (; m < m_end; m++) {
        const int64_t channel = group * v->out + m;
        const float start = v->bias ? ((const float *)v->bias)[channel] : 0.0f;
        float *y = (float *)v->y + (b->image * v->groups * v->out + channel) * v->y_plane;
        for (int64_t i = 0; i < b->runs; i++)
            for (int64_t j = 0; j < b->run[i].count; j++)
                y[b->run[i].y + j * step] = start;
    }
}

static void conv_block(const Conv *v, int64_t task, float *x, int64_t wide, Multiply *multiply)
{
    Block b;
    Piece p;
    const int64_t m = task % v->slices * v->slice, m_end = m + v->slice < v->out ? m + v->slice : v->out;
    task /= v->slices;
    const int64_t first = task % v->blocks * CONV_BLOCK;
    task /= v->blocks;
    tgk_conv_grid_forward(&b.g, &v->w);
    b.image = task / v->groups;
    p.group = task % v->groups;
    find_runs(&b, first, wide);
    if (v->in == 0) {
        only_bias(v, &b, p.group, m, m_end);
        return;
    }
    p.taps = b.g.taps < CONV_DEPTH ? b.g.taps : CONV_DEPTH;
    const int64_t taps = p.taps, channels = CONV_DEPTH / taps;
    p.first = 1;
    for (p.k = 0; p.k < v->in; p.k += channels)
        for (p.t = 0; p.t < b.g.taps; p.t += taps) {
            p.channels = v->in - p.k < channels ? v->in - p.k : channels;
            p.taps = b.g.taps - p.t < taps ? b.g.taps - p.t : taps;
            lay_out(v, &b, &p, wide, x);
            multiply(v, &b, &p, x, m, m_end);
            p.first = 0;
        }
}

/* --- ConvTranspose as a product ----------------------------------------------------------------------------------- */

/* Output channels [m, m + ...) of a group of an image: `rows` (channel, tap) pairs. */
typedef struct {
    tgk_conv_grid g; /* from places of x to places of y */
    int64_t image, group, m, rows;
} Slice;

/* Its part of y starts as the bias. */
static void begin_slice(const Conv *v, int64_t task, Slice *s)
{
    s->m = task % v->slices * v->slice;
    task /= v->slices;
    s->group = task % v->groups;
    s->image = task / v->groups;
    const int64_t channels = v->out - s->m < v->slice ? v->out - s->m : v->slice;
    const int64_t first = s->group * v->out + s->m;
    float *y = (float *)v->y + (s->image * v->groups * v->out + first) * v->y_plane;
    s->rows = channels * v->taps;
    tgk_conv_grid_forward(&s->g, &v->w);
    for (int64_t i = 0; i < channels; i++)
        for (int64_t j = 0; j < v->y_plane; j++)
            y[i * v->y_plane + j] = v->bias ? ((const float *)v->bias)[first + i] : 0.0f;
}

/* Adds places [at, at + count) of rows [row, row + rows) of the product to y. */
static void scatter(const Conv *v, const Slice *s, const float *sum, int64_t wide, int64_t row, int64_t rows,
                    int64_t at, int64_t count)
{
    const int64_t step = s->g.in_step[s->g.n - 1];
    tgk_conv_run run;
    for (int64_t done = 0; done < count; done += run.count) {
        tgk_conv_grid_run(&s->g, at + done, count - done, &run);
        for (int64_t r = 0; r < rows; r++) {
            const float *from = sum + r * wide + done;
            int64_t tap[TGK_RANK];
            tgk_conv_part part;
            tgk_conv_grid_tap(&s->g, (row + r) % v->taps, tap);
            tgk_conv_grid_part(&s->g, &run, tap, &part);
            const int64_t m = s->group * v->out + s->m + (row + r) / v->taps;
            float *y = (float *)v->y + (s->image * v->groups * v->out + m) * v->y_plane;
            if (step == 1)
                for (int64_t j = part.low; j < part.high; j++)
                    y[part.x + j] += from[j];
            else
                for (int64_t j = part.low; j < part.high; j++)
                    y[part.x + j * step] += from[j];
        }
    }
}

/* --- instruction sets --------------------------------------------------------------------------------------------- */

#include "op_isa_plain.h"
#include "op_conv_tile.inc"
#include "op_conv_scatter.inc"
#define NUM float
#define G(name) V(name)
#include "op_conv.inc"
#undef NUM
#undef G
#include "op_isa_end.h"
#define NUM double
#define G(name) name##_f64
#include "op_conv.inc"
#undef NUM
#undef G
#ifdef TGK_OP_X86
#include "op_isa_avx2.h"
#include "op_conv_tile.inc"
#include "op_conv_scatter.inc"
#define NUM float
#define G(name) V(name)
#include "op_conv.inc"
#undef NUM
#undef G
#include "op_isa_end.h"
#include "op_isa_avx512.h"
#include "op_conv_tile.inc"
#include "op_conv_scatter.inc"
#define NUM float
#define G(name) V(name)
#include "op_conv.inc"
#undef NUM
#undef G
#include "op_isa_end.h"
#endif

typedef void Task(void *arg, int64_t i);

#ifdef TGK_OP_X86
static Task *const BLOCK_TASKS[] = {conv_block_plain, conv_block_avx2, conv_block_avx512};
static Task *const PLANE_TASKS[] = {conv_plane_plain, conv_plane_avx2, conv_plane_avx512};
static Task *const SLICE_TASKS[] = {scatter_slice_plain, scatter_slice_avx2, scatter_slice_avx512};
#else
static Task *const BLOCK_TASKS[] = {conv_block_plain};
static Task *const PLANE_TASKS[] = {conv_plane_plain};
static Task *const SLICE_TASKS[] = {scatter_slice_plain};
#endif

/* --- the operators ------------------------------------------------------------------------------------------------ */

/* Neighbouring axes over which a window of one tap slides without stride or pads are one axis. */
static void merge_axes(tgk_window *w)
{
    int32_t n = 0;
    for (int32_t i = 1; i < w->n; i++) {
        int plain = 1;
        const int32_t both[2] = {n, i};
        for (int k = 0; k < 2; k++)
            plain = plain && w->kernel[both[k]] == 1 && w->stride[both[k]] == 1 && w->before[both[k]] == 0
                && w->big[both[k]] == w->small[both[k]];
        if (plain) {
            w->big[n] *= w->big[i];
            w->small[n] *= w->small[i];
            continue;
        }
        n++;
        w->big[n] = w->big[i];
        w->small[n] = w->small[i];
        w->kernel[n] = w->kernel[i];
        w->stride[n] = w->stride[i];
        w->dilation[n] = w->dilation[i];
        w->before[n] = w->before[i];
    }
    w->n = n + 1;
}

/* An axis of one tap and one place is a factor of 1. */
static void drop_axes(tgk_window *w)
{
    int32_t n = 0;
    for (int32_t i = 0; i < w->n; i++) {
        if (w->big[i] == 1 && w->small[i] == 1 && w->kernel[i] == 1 && w->before[i] == 0 && (n > 0 || i + 1 < w->n))
            continue;
        w->big[n] = w->big[i];
        w->small[n] = w->small[i];
        w->kernel[n] = w->kernel[i];
        w->stride[n] = w->stride[i];
        w->dilation[n] = w->dilation[i];
        w->before[n++] = w->before[i];
    }
    w->n = n;
}

/* Output channels of a task, so that `tasks` times their slices are enough. */
static void cut_channels(Conv *v, int64_t tasks, int64_t least)
{
    const int64_t wanted = tasks < CONV_TASKS ? (CONV_TASKS - 1) / tasks + 1 : 1;
    v->slice = (v->out - 1) / wanted + 1;
    v->slice = v->slice > least ? v->slice : least < v->out ? least : v->out;
    v->slices = (v->out - 1) / v->slice + 1;
}

static tgk_status convolve(const tgk_ctx *c, Conv *v, int f64)
{
    enum { FEW = 4, SHALLOW = 8 }; /* where a product does not pay */
    int64_t tasks = v->images * v->groups;
    if (v->images == 0 || v->out == 0 || v->y_plane == 0)
        return TGK_OK;
    drop_axes(&v->w);
    merge_axes(&v->w);
    const int64_t rows = v->transposed ? v->out * v->taps : v->out, depth = v->transposed ? v->in : v->in * v->taps;
    if (f64 || rows < FEW || depth < SHALLOW) {
        v->classes = 1;
        for (int32_t i = 0; v->transposed && i < v->w.n; i++)
            v->classes *= tgk_conv_grid_classes(&v->w, i);
        tgk_for(c, f64 ? conv_plane_f64 : PLANE_TASKS[tgk_width(c)], v, tasks * v->out);
        return TGK_OK;
    }
    if (v->transposed) {
        cut_channels(v, tasks, 1);
        tgk_for(c, SLICE_TASKS[tgk_width(c)], v, tasks * v->slices);
        return TGK_OK;
    }
    v->blocks = (v->y_plane - 1) / CONV_BLOCK + 1;
    tasks *= v->blocks;
    cut_channels(v, tasks, CONV_CHANNELS);
    tgk_for(c, BLOCK_TASKS[tgk_width(c)], v, tasks * v->slices);
    return TGK_OK;
}

/* What both operators check: ranks, groups, bias; one element type. */
static tgk_status operands(const tgk_array *in, int64_t channels, int64_t groups)
{
    const tgk_array *x = &in[0], *weight = &in[1], *bias = &in[2];
    if (x->rank < 3 || weight->rank != x->rank)
        return TGK_BAD_SIZE;
    if (groups < 1 || x->dim[1] % groups != 0 || channels % groups != 0)
        return TGK_BAD_VALUE;
    if (bias->at && (bias->rank != 1 || bias->dim[0] != channels))
        return TGK_BAD_SIZE;
    return weight->type != x->type || (bias->at && bias->type != x->type) ? TGK_BAD_VALUE : TGK_OK;
}

/* kernel_shape, where given, repeats what the weight says. */
static int same_kernel(const tgk_array *weight, const int64_t *shape, int64_t n)
{
    if (n != 0 && n != weight->rank - 2)
        return 0;
    for (int64_t i = 0; i < n; i++)
        if (shape[i] != weight->dim[i + 2])
            return 0;
    return 1;
}

static tgk_status give_grid(const tgk_array *x, tgk_array *y, int64_t channels, const int64_t *grid)
{
    int64_t dim[TGK_RANK] = {x->dim[0], channels};
    for (int32_t i = 2; i < x->rank; i++)
        dim[i] = grid[i - 2];
    return tgk_give(y, x->rank, dim);
}

tgk_status tgk_Conv(const tgk_ctx *c, tgk_Conv_args *a)
{
    const tgk_array *x = &a->in[0], *weight = &a->in[1];
    Conv v = {.groups = a->group, .x = x->at, .weight = weight->at, .bias = a->in[2].at, .y = a->out[0].at};
    const tgk_window_attrs attrs = {a->auto_pad, a->strides, a->dilations, a->pads,
                                    a->n_strides, a->n_dilations, a->n_pads};
    tgk_status s = operands(a->in, weight->dim[0], a->group);
    if (s)
        return s;
    if (weight->dim[1] != x->dim[1] / a->group || !same_kernel(weight, a->kernel_shape, a->n_kernel_shape))
        return TGK_BAD_SIZE;
    s = tgk_window_read(&v.w, x->rank - 2, weight->dim + 2, &attrs);
    s = s ? s : tgk_window_shrink(&v.w, x->dim + 2, a->auto_pad, 0);
    s = s ? s : give_grid(x, &a->out[0], weight->dim[0], v.w.small);
    if (s)
        return s;
    v.images = x->dim[0];
    v.in = weight->dim[1];
    v.out = weight->dim[0] / a->group;
    v.taps = v.w.taps;
    v.x_plane = v.w.bigs;
    v.y_plane = v.w.smalls;
    return convolve(c, &v, x->type == TGK_F64);
}

/* The big grid for the small one: output_padding, output_shape, auto_pad. */
static tgk_status grow(tgk_window *w, const int64_t *dim, const tgk_ConvTranspose_args *a)
{
    int64_t extra[TGK_RANK], wanted[TGK_RANK];
    const int mode = tgk_window_auto_pad(a->auto_pad);
    if (mode < 0 || !tgk_window_list(a->output_padding, a->n_output_padding, 0, 0, w->n, extra)
        || !tgk_window_list(a->output_shape, a->n_output_shape, 0, -1, w->n, wanted))
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < w->n; i++) {
        if (dim[i] < 0 || dim[i] > INT32_MAX)
            return TGK_BAD_SIZE;
        w->small[i] = dim[i];
        const int64_t full = w->stride[i] * (dim[i] - 1) + extra[i] + tgk_window_extent(w, i);
        if (wanted[i] < 0 && (mode == TGK_PAD_UPPER || mode == TGK_PAD_LOWER))
            wanted[i] = dim[i] * w->stride[i];
        if (wanted[i] >= 0) {
            tgk_window_split(w, i, full - wanted[i], mode == TGK_PAD_UPPER);
            w->big[i] = wanted[i];
            continue;
        }
        w->big[i] = full - w->before[i] - w->after[i];
        if (dim[i] == 0 || w->big[i] < 0)
            return TGK_BAD_SIZE;
    }
    return tgk_window_count(w);
}

tgk_status tgk_ConvTranspose(const tgk_ctx *c, tgk_ConvTranspose_args *a)
{
    const tgk_array *x = &a->in[0], *weight = &a->in[1];
    Conv v = {.transposed = 1, .groups = a->group, .x = x->at, .weight = weight->at, .bias = a->in[2].at,
              .y = a->out[0].at};
    const tgk_window_attrs attrs = {a->auto_pad, a->strides, a->dilations, a->pads,
                                    a->n_strides, a->n_dilations, a->n_pads};
    int64_t channels = weight->rank < 2 ? 0 : weight->dim[1];
    if (a->group < 1 || !tgk_enlarge(&channels, a->group))
        return TGK_BAD_VALUE;
    tgk_status s = operands(a->in, channels, a->group);
    if (s)
        return s;
    if (weight->dim[0] != x->dim[1] || !same_kernel(weight, a->kernel_shape, a->n_kernel_shape))
        return TGK_BAD_SIZE;
    s = tgk_window_read(&v.w, x->rank - 2, weight->dim + 2, &attrs);
    s = s ? s : grow(&v.w, x->dim + 2, a);
    s = s ? s : give_grid(x, &a->out[0], channels, v.w.big);
    if (s)
        return s;
    v.images = x->dim[0];
    v.in = x->dim[1] / a->group;
    v.out = weight->dim[1];
    v.taps = v.w.taps;
    v.x_plane = v.w.smalls;
    v.y_plane = v.w.bigs;
    return convolve(c, &v, x->type == TGK_F64);
}
