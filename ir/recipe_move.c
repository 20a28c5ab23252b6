/* Operators that only move elements, as recipes: a box of the output becomes strided boxes of the operands.
 *
 * Slice, Transpose and Concat pass boxes on (a box has a step along each axis, perhaps negative). Gather
 * passes on one box per run of indices in equal steps. Expand and Reshape store what they need of their
 * operand in a block first.
 */
#include <string.h>

#include "recipe_box.h"

enum {
    COVER_FACTOR = 4, /* computing so many times more than is wanted is cheaper than many small boxes ... */
    COVER_RUNS = 8    /* ... if there would be more than so many */
};

static TgNodeInfo node_of(const TgTensor *t) {
    return (TgNodeInfo){.op = (TgOp)t->recipe->op, .attrs = t->recipe->attrs, .n_in = t->recipe->n};
}

static int32_t axis_of(const TgTensor *t, int32_t rank) {
    TgNodeInfo node = node_of(t);
    int64_t axis = tg_attr_int(&node, "axis");
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

static void set_axis(TgBox *box, int32_t axis, int64_t at, int64_t n, int64_t step) {
    box->at[axis] = at;
    box->n[axis] = n;
    box->step[axis] = step;
}

static bool push_expand(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    const TgTensor *in = t->recipe->input[0];
    TgBox inner = box_broadcast(t, in, box);
    TgTensor part;
    if (!box_packed(r, in, &inner, &part))
        return false;
    int64_t packed[TG_BOX_RANK], from[TG_BOX_RANK] = {0};
    box_row_major(in->rank, inner.n, packed);
    for (int32_t i = 0; i < in->rank; i++)
        from[i + t->rank - in->rank] = inner.n[i] == 1 ? 0 : packed[i];
    tg_copy_strided(to->at, to->stride, part.bytes, from, t->rank, box->n, box_element(t));
    return true;
}

static bool push_transpose(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    TgNodeInfo node = node_of(t);
    uint32_t n;
    const int64_t *perm = tg_attr_ints(&node, "perm", &n);
    TgBox inner = {0};
    BoxTarget turned = {.at = to->at};
    for (int32_t i = 0; i < t->rank; i++) {
        int32_t from = n ? (int32_t)perm[i] : t->rank - 1 - i;
        set_axis(&inner, from, box->at[i], box->n[i], box->step[i]);
        turned.stride[from] = to->stride[i];
    }
    return box_store(r, t->recipe->input[0], &inner, &turned);
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

/* Which of the n indices at, at + step ... lie in [start, end): a range [*from, *to) of their numbers. */
static void numbers_within(const TgBox *box, int32_t axis, int64_t start, int64_t end, int64_t *from,
                           int64_t *to) {
    int64_t at = box->at[axis], n = box->n[axis], step = box->step[axis];
    *from = step > 0 ? -floor_div(at - start, step) : floor_div(end - at, step) + 1;
    *to = step > 0 ? -floor_div(at - end, step) : floor_div(start - at, step) + 1;
    *from = *from < 0 ? 0 : *from;
    *to = *to > n ? n : *to;
}

static bool push_concat(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    int32_t axis = axis_of(t, t->rank);
    int64_t start = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        int64_t end = start + input->dim[axis], first, last;
        numbers_within(box, axis, start, end, &first, &last);
        TgBox inner = *box;
        BoxTarget part = *to;
        set_axis(&inner, axis, box->at[axis] + first * box->step[axis] - start, last - first,
                 box->step[axis]);
        part.at += first * to->stride[axis] * (int64_t)box_element(t);
        if (first < last)
            ok = box_store(r, input, &inner, &part);
        start = end;
    }
    return ok;
}

/* Where a Slice starts and how it steps along each axis of its data. False: its operands say nothing usable.
 */
static bool slice_steps(Tg *tg, const TgTensor *t, int64_t *start, int64_t *step) {
    const TgRecipe *recipe = t->recipe;
    const TgTensor *starts = recipe->input[1], *axes = recipe->n > 3 ? recipe->input[3] : NULL;
    const TgTensor *steps = recipe->n > 4 ? recipe->input[4] : NULL;
    for (int32_t i = 0; i < t->rank; i++) {
        start[i] = 0;
        step[i] = 1;
    }
    for (size_t k = 0; k < starts->count; k++) {
        int64_t axis = axes ? tg_tensor_int(tg, axes, k) : (int64_t)k;
        axis += axis < 0 ? t->rank : 0;
        if (axis < 0 || axis >= t->rank)
            return false;
        int64_t size = recipe->input[0]->dim[axis], first = tg_tensor_int(tg, starts, k);
        step[axis] = steps ? tg_tensor_int(tg, steps, k) : 1;
        int64_t limit = step[axis] < 0 ? size - 1 : size;
        first += first < 0 ? size : 0;
        start[axis] = first < 0 ? 0 : first > limit ? limit : first;
    }
    return true;
}

static bool push_slice(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    int64_t start[TG_BOX_RANK], step[TG_BOX_RANK];
    if (!slice_steps(r->tg, t, start, step))
        return box_store_whole(r, t, box, to);
    TgBox inner = *box;
    for (int32_t i = 0; i < t->rank; i++)
        set_axis(&inner, i, start[i] + step[i] * box->at[i], box->n[i],
                 box->n[i] > 1 ? step[i] * box->step[i] : 1);
    return box_store(r, t->recipe->input[0], &inner, to);
}

/* --- Gather ------------------------------------------------------------------------------------------- */

/* A Gather being stored. Indices that follow each other in equal steps make one box of the data. */
typedef struct {
    TgBoxReader *r;
    const TgTensor *data;
    int32_t axis, rank;     /* of the data; of the indices */
    int64_t *index;         /* those of the box, made positive, row-major */
    int64_t n[TG_BOX_RANK]; /* shape of the indices' box */
    TgBox inner;            /* of the data; `axis` is set for each run */
    BoxTarget to, data_to;  /* of the whole box; the strides of the data's axes in it */
    size_t element;
} Gathering;

/* Length of the run of equal steps that starts at `index`, among n. */
static int64_t run_of(const int64_t *index, int64_t n, int64_t *step) {
    int64_t length = n > 1 && index[1] != index[0] ? 2 : 1;
    *step = length == 2 ? index[1] - index[0] : 1;
    while (length > 1 && length < n && index[length] - index[length - 1] == *step)
        length++;
    return length;
}

static int64_t count_runs(const Gathering *g) {
    int64_t row = g->rank ? g->n[g->rank - 1] : 1, all = box_volume(g->rank, g->n), runs = 0, step;
    for (int64_t i = 0; i < all; runs++)
        i += run_of(g->index + i, row - i % row, &step);
    return runs;
}

/* Offset in the target of index number i of the box. */
static int64_t offset_of(const Gathering *g, int64_t i) {
    int64_t offset = 0;
    for (int32_t k = g->rank; k-- > 0; i /= g->n[k])
        offset += i % g->n[k] * g->to.stride[g->axis + k];
    return offset;
}

static bool store_runs(Gathering *g) {
    int64_t row = g->rank ? g->n[g->rank - 1] : 1, all = box_volume(g->rank, g->n);
    bool ok = true;
    for (int64_t i = 0; ok && i < all;) {
        int64_t step, length = run_of(g->index + i, row - i % row, &step);
        set_axis(&g->inner, g->axis, g->index[i], length, step);
        g->data_to.at = g->to.at + offset_of(g, i) * (int64_t)g->element;
        ok = box_store(g->r, g->data, &g->inner, &g->data_to);
        i += length;
    }
    return ok;
}

/* Many small boxes of something computed: one box around them all instead, unless it is much larger than they
 * are. */
static bool cover(Gathering *g, TgTensor *around) {
    int64_t low = INT64_MAX, high = 0, wanted = box_volume(g->rank, g->n);
    for (int64_t i = 0; i < wanted; i++) {
        low = g->index[i] < low ? g->index[i] : low;
        high = g->index[i] > high ? g->index[i] : high;
    }
    if (g->data->payload != TG_RECIPE || count_runs(g) <= COVER_RUNS || (high - low) / COVER_FACTOR > wanted)
        return true;
    TgBox box = g->inner;
    int64_t *dim = box_block(g->r, sizeof box.n);
    set_axis(&box, g->axis, low, high - low + 1, 1);
    if (!box_packed(g->r, g->data, &box, around))
        return false;
    around->dim = memcpy(dim, box.n, sizeof box.n);
    for (int32_t i = 0; i < around->rank; i++)
        set_axis(&g->inner, i, 0, box.n[i], 1);
    for (int64_t i = 0; i < wanted; i++)
        g->index[i] -= low;
    g->data = around;
    return true;
}

/* Reads the indices of the box; false with *good: recorded, without: some lie outside the data. */
static bool read_indices(Gathering *g, const TgTensor *indices, const TgBox *picked, bool *good) {
    TgArray given;
    *good = box_fetch(g->r, indices, picked, &given);
    if (!*good)
        return false;
    int64_t size = g->data->dim[g->axis];
    bool inside = true;
    g->index = box_block(g->r, (size_t)given.count * sizeof *g->index);
    for (int64_t i = 0; i < given.count; i++) {
        int64_t k = tg_array_int(&given, i);
        g->index[i] = k + (k < 0 ? size : 0);
        inside = inside && g->index[i] >= 0 && g->index[i] < size;
    }
    tg_array_drop(g->r->tg, &given);
    return inside;
}

static bool push_gather(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    const TgTensor *data = t->recipe->input[0], *indices = t->recipe->input[1];
    Gathering g = {.r = r, .data = data, .axis = axis_of(t, data->rank), .rank = indices->rank, .to = *to};
    TgBox picked = {0};
    g.element = box_element(t);
    for (int32_t i = 0; i < g.rank; i++) {
        set_axis(&picked, i, box->at[g.axis + i], box->n[g.axis + i], box->step[g.axis + i]);
        g.n[i] = picked.n[i];
    }
    for (int32_t i = 0; i < data->rank; i++) {
        int32_t k = i < g.axis ? i : i - 1 + g.rank;
        if (i != g.axis)
            set_axis(&g.inner, i, box->at[k], box->n[k], box->step[k]);
        g.data_to.stride[i] = i != g.axis || g.rank ? to->stride[k] : 1;
    }
    bool good;
    if (!read_indices(&g, indices, &picked, &good)) {
        return good && box_store_whole(r, t, box, to);
    }
    TgTensor around;
    return cover(&g, &around) && store_runs(&g);
}

/* --- Reshape and its kin ------------------------------------------------------------------------------ */

/* Axes [from, to) of a shape that make one group: the groups of input and output have equal products. */
typedef struct {
    int32_t in_from, in_to, out_from, out_to;
} Group;

static int32_t groups_of(const TgTensor *in, const TgTensor *out, Group *groups) {
    int32_t n = 0, i = 0, o = 0;
    while (i < in->rank || o < out->rank) {
        Group g = {.in_from = i, .out_from = o};
        int64_t a = i < in->rank ? in->dim[i++] : 1, b = o < out->rank ? out->dim[o++] : 1;
        while (a != b) {
            if (a < b)
                a *= in->dim[i++];
            else
                b *= out->dim[o++];
        }
        g.in_to = i;
        g.out_to = o;
        groups[n++] = g;
    }
    return n;
}

/* Within one group: the smallest box of the input that covers the flat range [low, high], and where it
 * starts. */
static int64_t span(const int64_t *dim, int32_t from, int32_t to, int64_t low, int64_t high, TgBox *inner) {
    int64_t unit = 1, base = 0;
    for (int32_t i = from; i < to; i++)
        unit *= dim[i];
    bool together = true; /* low and high agree on all axes so far */
    for (int32_t i = from; i < to; i++) {
        unit /= dim[i];
        int64_t a = low / unit % dim[i], b = high / unit % dim[i];
        set_axis(inner, i, together ? a : 0, together ? b - a + 1 : dim[i], 1);
        base += inner->at[i] * unit;
        together = together && a == b;
    }
    return base;
}

/* One group: the input's box, the strides of the output's axes in it, and the offset of the first element. */
static int64_t map_group(const TgTensor *in, const TgTensor *t, const Group *g, const TgBox *box,
                         TgBox *inner, int64_t *from) {
    int64_t first = 0, low = 0, high = 0, unit = 1;
    for (int32_t o = g->out_to; o-- > g->out_from; unit *= t->dim[o]) {
        from[o] = unit * box->step[o];
        int64_t reach = from[o] * (box->n[o] - 1);
        first += box->at[o] * unit;
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    return first - span(in->dim, g->in_from, g->in_to, first + low, first + high, inner);
}

static bool push_reshape(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    const TgTensor *in = t->recipe->input[0];
    Group groups[2 * TG_BOX_RANK];
    int64_t from[TG_BOX_RANK], offset = 0, scale = 1;
    TgBox inner = {0};
    for (int32_t k = groups_of(in, t, groups); k-- > 0;) {
        const Group *g = &groups[k];
        offset += map_group(in, t, g, box, &inner, from) * scale;
        for (int32_t o = g->out_from; o < g->out_to; o++)
            from[o] *= scale;
        scale *= box_volume(g->in_to - g->in_from, inner.n + g->in_from);
    }
    TgTensor part;
    if (!box_packed(r, in, &inner, &part))
        return false;
    const uint8_t *first = part.bytes + offset * (int64_t)box_element(t);
    tg_copy_strided(to->at, to->stride, first, from, t->rank, box->n, box_element(t));
    return true;
}

/* --- the table ---------------------------------------------------------------------------------------- */

static const BoxMove MOVES[TG_OP_COUNT] = {
    [TG_Concat] = push_concat,       [TG_Gather] = push_gather,   [TG_Slice] = push_slice,
    [TG_Expand] = push_expand,       [TG_Reshape] = push_reshape, [TG_Squeeze] = push_reshape,
    [TG_Transpose] = push_transpose, [TG_Flatten] = push_reshape, [TG_Unsqueeze] = push_reshape,
};

BoxMove box_move(TgOp op) { return MOVES[op]; }
