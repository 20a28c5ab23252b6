/* Boxes of constant tensors: what a rectangular part of a recipe is, without computing the rest.
 *
 * A box of the output is pushed down. Operators that only move elements (PUSH) become strided copies of
 * packed bytes, from the mapped file straight to where they belong. Elementwise operators ask for the
 * matching boxes of their operands and are evaluated on those, by the same evaluator that would compute the
 * whole. All other operators are computed whole, once, and boxes are cut out. Nothing here rounds or reorders
 * anything, so that a tensor read in boxes has the bytes of the tensor computed at once.
 *
 * Recursion follows the recipe, whose depth and size recipe.c bounds.
 */
#include <string.h>

#include "graph.h"
#include "recipe.h"
#include "strided.h"

enum {
    COVER_FACTOR = 4, /* computing so many times more than is wanted is cheaper than many small boxes ... */
    COVER_RUNS = 8,   /* ... if there would be more than so many */
    FORGET_AT = 96 << 20 /* bytes of mapped leaves that may be resident because of us */
};

TgBoxReader tg_box_reader(Tg *tg) { return (TgBoxReader){.tg = tg, .arena = tg_arena_new(tg)}; }

TgBox tg_box_all(const TgTensor *t) {
    TgBox box = {0};
    for (int32_t i = 0; i < t->rank; i++) {
        box.n[i] = t->dim[i];
        box.step[i] = 1;
    }
    return box;
}

static void forget(TgBoxReader *r) {
    for (uint32_t i = 0; i < r->leaves.n; i++)
        tg_file_forget(r->leaves.at[i]->bytes, r->leaves.at[i]->size);
    r->resident = 0;
}

void tg_box_next(TgBoxReader *r) {
    for (uint32_t i = 0; i < r->blocks.n; i++)
        tg_heap_free(r->tg, r->blocks.at[i]);
    r->blocks.n = 0;
    if (r->resident >= FORGET_AT)
        forget(r);
}

void tg_box_close(TgBoxReader *r) {
    tg_box_next(r);
    forget(r);
    for (uint32_t i = 0; i < r->whole.n; i++)
        tg_array_drop(r->tg, &r->whole.at[i].value);
    tg_arena_free(r->arena);
}

/* --- shapes ------------------------------------------------------------------------------------------- */

static int64_t volume(int32_t rank, const int64_t *n) {
    int64_t v = 1;
    for (int32_t i = 0; i < rank; i++)
        v *= n[i];
    return v;
}

static void row_major(int32_t rank, const int64_t *dim, int64_t *stride) {
    int64_t step = 1;
    for (int32_t i = rank; i-- > 0; step *= dim[i])
        stride[i] = step;
}

/* How a box lies in the row-major array of shape dim: its first element and its strides. */
static int64_t place(int32_t rank, const int64_t *dim, const TgBox *box, int64_t *stride) {
    int64_t first = 0;
    row_major(rank, dim, stride);
    for (int32_t i = 0; i < rank; i++) {
        first += box->at[i] * stride[i];
        stride[i] *= box->step[i];
    }
    return first;
}

static bool is_all(const TgTensor *t, const TgBox *box) {
    for (int32_t i = 0; i < t->rank; i++)
        if (box->n[i] != t->dim[i] || (box->step[i] != 1 && box->n[i] > 1))
            return false;
    return true;
}

static size_t bytes_of(const TgTensor *t) {
    return tg_dtype_bits(t->dtype) / 8;
} /* of one element; 0: packed closer */
static bool dense(const TgTensor *t) { return t->payload == TG_MAPPED || t->payload == TG_OWNED; }

/* Where packed bytes go: `stride` counts elements. */
typedef struct {
    uint8_t *at;
    int64_t stride[TG_BOX_RANK];
} Target;

static bool store(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to);
static bool fetch(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out);

/* --- blocks ------------------------------------------------------------------------------------------- */

/* Memory that lasts until the current box was used up. */
static void *block(TgBoxReader *r, size_t size) {
    void *made = tg_heap_new(r->tg, size);
    TG_PUSH(r->arena, &r->blocks, made);
    return made;
}

/* The box as a tensor of its own: a header over bytes in a block. */
static bool packed_box(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgTensor *part) {
    *part = (TgTensor){.dtype = t->dtype, .rank = t->rank, .dim = box->n, .payload = TG_OWNED};
    part->count = (size_t)volume(t->rank, box->n);
    part->size = part->count * bytes_of(t);
    Target to = {.at = block(r, part->size)};
    row_major(t->rank, box->n, to.stride);
    part->bytes = to.at;
    return store(r, t, box, &to);
}

/* --- leaves ------------------------------------------------------------------------------------------- */

/* Notes that a box makes mapped bytes resident. */
static void touch(TgBoxReader *r, const TgTensor *t, const TgBox *box) {
    if (t->payload != TG_MAPPED)
        return;
    int64_t stride[TG_BOX_RANK], range = 1;
    place(t->rank, t->dim, box, stride);
    for (int32_t i = 0; i < t->rank; i++)
        range += (stride[i] < 0 ? -stride[i] : stride[i]) * (box->n[i] - 1);
    r->resident += (size_t)range * bytes_of(t);
    for (uint32_t i = r->leaves.n; i-- > 0;)
        if (r->leaves.at[i] == t)
            return;
    TG_PUSH(r->arena, &r->leaves, t);
}

static bool store_leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    int64_t stride[TG_BOX_RANK] = {0};
    bool splat = t->payload == TG_SPLAT;
    int64_t first = splat || !t->count ? 0 : place(t->rank, t->dim, box, stride);
    if (!splat)
        touch(r, t, box);
    tg_copy_strided(to->at, to->stride, t->bytes + (size_t)first * bytes_of(t), stride, t->rank, box->n,
                    bytes_of(t));
    return true;
}

/* --- arrays ------------------------------------------------------------------------------------------- */

/* A box of an array of shape dim; drops `a`. */
static TgArray cut(TgBoxReader *r, int32_t rank, const int64_t *dim, TgArray *a, const TgBox *box) {
    int64_t from[TG_BOX_RANK], to[TG_BOX_RANK];
    size_t element = tg_array_element(TG_EVAL_NATIVE, a->dtype);
    TgArray out = tg_array_new(r->tg, TG_EVAL_NATIVE, a->dtype, rank, box->n);
    size_t first = (size_t)place(rank, dim, box, from);
    row_major(rank, box->n, to);
    tg_copy_strided(out.data, to, (const uint8_t *)a->data + first * element, from, rank, box->n, element);
    tg_array_drop(r->tg, a);
    return out;
}

static bool fetch_leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    TgTensor part = *t;
    if (t->payload == TG_SPLAT) {
        part.dim = box->n;
        part.count = (size_t)volume(t->rank, box->n);
        *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, &part);
        return true;
    }
    *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, t);
    touch(r, t, &(TgBox){.n = {0}});
    if (!is_all(t, box))
        *out = cut(r, t->rank, t->dim, out, box);
    return true;
}

/* Whether the box is one range of the leaf's bytes, which an array may borrow. */
static bool is_range(const TgTensor *t, const TgBox *box, int64_t *first) {
    int64_t stride[TG_BOX_RANK], expected[TG_BOX_RANK];
    *first = place(t->rank, t->dim, box, stride);
    row_major(t->rank, box->n, expected);
    for (int32_t i = 0; i < t->rank; i++)
        if (box->n[i] != 1 && stride[i] != expected[i])
            return false;
    return true;
}

static bool fetch_range(TgBoxReader *r, const TgTensor *t, const TgBox *box, int64_t first, TgArray *out) {
    TgTensor part = *t;
    part.dim = box->n;
    part.count = (size_t)volume(t->rank, box->n);
    part.size = part.count * bytes_of(t);
    part.bytes = t->bytes + (size_t)first * bytes_of(t);
    touch(r, t, box);
    *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, &part);
    return true;
}

/* --- computing ---------------------------------------------------------------------------------------- */

/* Operands of one application; an entry without dtype is an absent operand. */
typedef struct {
    TG_VEC(TgArray) list;
} Operands;

static bool add_operand(TgBoxReader *r, Operands *operands, const TgTensor *t, const TgBox *box) {
    TgArray a = {0};
    if (t && !fetch(r, t, box, &a))
        return false;
    TG_PUSH(r->arena, &operands->list, a);
    return true;
}

/* Output `recipe->output` of its operator over the operands; the other outputs are dropped. */
static bool evaluate(TgBoxReader *r, const TgRecipe *recipe, const Operands *operands, TgArray *out) {
    TgArena *scratch = tg_scratch(r->tg);
    TgMark mark = tg_mark(scratch);
    uint32_t n = operands->list.n, n_out = recipe->output + 1u;
    TgNodeInfo node = {
        .op = (TgOp)recipe->op, .attrs = recipe->attrs, .n_in = n, .n_formal = n, .n_out = n_out};
    node.in = TG_NEW_N(scratch, TgValue, n + 1);
    node.out = TG_NEW_N(scratch, TgValue, n_out);
    TgArray *results = TG_NEW_N(scratch, TgArray, n_out);
    const TgArray **operand = TG_NEW_N(scratch, const TgArray *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        node.in[i] = operands->list.at[i].dtype != TG_undefined ? i + 1 : 0;
        operand[i] = node.in[i] ? &operands->list.at[i] : NULL;
    }
    for (uint32_t i = 0; i < n_out; i++)
        node.out[i] = n + i + 1;
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE};
    bool ok = tg_eval_node(r->tg, NULL, &node, &options, operand, results);
    if (ok)
        *out = results[n_out - 1];
    for (uint32_t i = 0; ok && i + 1 < n_out; i++)
        tg_array_drop(r->tg, &results[i]);
    tg_release(scratch, mark);
    return ok;
}

/* Evaluates if all operands could be read; drops them. */
static bool apply(TgBoxReader *r, const TgTensor *t, bool ok, Operands *operands, TgArray *out) {
    ok = ok && evaluate(r, t->recipe, operands, out);
    for (uint32_t i = 0; i < operands->list.n; i++)
        if (operands->list.at[i].dtype != TG_undefined)
            tg_array_drop(r->tg, &operands->list.at[i]);
    return ok;
}

/* What of `input` the box of t needs under broadcasting. */
static TgBox broadcast(const TgTensor *t, const TgTensor *input, const TgBox *box) {
    TgBox inner = {0};
    for (int32_t i = 0; i < input->rank; i++) {
        int32_t j = i + t->rank - input->rank;
        bool repeated = input->dim[i] == 1;
        inner.at[i] = repeated ? 0 : box->at[j];
        inner.n[i] = repeated ? 1 : box->n[j];
        inner.step[i] = repeated ? 1 : box->step[j];
    }
    return inner;
}

static bool elementwise(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    Operands operands = {{0}};
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        TgBox inner = input ? broadcast(t, input, box) : (TgBox){.n = {0}};
        ok = add_operand(r, &operands, input, &inner);
    }
    return apply(r, t, ok, &operands, out);
}

/* The value outlives the current box: it must not borrow what the box borrowed. */
static TgArray kept(TgBoxReader *r, const TgArray *a) {
    if (a->owners)
        return *a;
    TgArray own = tg_array_new(r->tg, TG_EVAL_NATIVE, a->dtype, a->rank, a->dim);
    if (a->count)
        memcpy(own.data, a->data, (size_t)a->count * tg_array_element(TG_EVAL_NATIVE, a->dtype));
    return own;
}

static bool compute_whole(TgBoxReader *r, const TgTensor *t) {
    Operands operands = {{0}};
    TgArray value;
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        TgBox all = input ? tg_box_all(input) : (TgBox){.n = {0}};
        ok = add_operand(r, &operands, input, &all);
    }
    if (!apply(r, t, ok, &operands, &value))
        return false;
    TG_PUSH(r->arena, &r->whole, ((TgWhole){t, kept(r, &value)}));
    return true;
}

static bool whole(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    uint32_t i = 0;
    while (i < r->whole.n && r->whole.at[i].tensor != t)
        i++;
    if (i == r->whole.n && !compute_whole(r, t))
        return false;
    *out = tg_array_share(&r->whole.at[i].value);
    if (!is_all(t, box))
        *out = cut(r, t->rank, t->dim, out, box);
    return true;
}

static bool compute(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    bool each = tg_op_has((TgOp)t->recipe->op, TG_T_ELEMENTWISE) && !t->recipe->output && bytes_of(t);
    return each ? elementwise(r, t, box, out) : whole(r, t, box, out);
}

const void *tg_box_packed(TgArena *arena, const TgArray *a) {
    bool same = a->dtype == TG_f32 || a->dtype == TG_f64 || a->dtype == TG_i64 || a->dtype == TG_u64;
    if (same && tg_array_element(TG_EVAL_NATIVE, a->dtype) * 8 == tg_dtype_bits(a->dtype))
        return a->data;
    return tg_array_to_tensor(arena, TG_EVAL_NATIVE, a)->bytes;
}

static bool store_computed(TgBoxReader *r, bool ok, TgArray *a, const TgBox *box, const Target *to) {
    if (!ok)
        return false;
    TgArena *scratch = tg_scratch(r->tg);
    TgMark mark = tg_mark(scratch);
    int64_t stride[TG_BOX_RANK];
    row_major(a->rank, box->n, stride);
    const void *bytes = tg_box_packed(scratch, a);
    tg_copy_strided(to->at, to->stride, bytes, stride, a->rank, box->n, tg_dtype_bits(a->dtype) / 8);
    tg_release(scratch, mark);
    tg_array_drop(r->tg, a);
    return true;
}

/* --- moves: pushing boxes down ------------------------------------------------------------------------ */

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

static bool push_expand(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    const TgTensor *in = t->recipe->input[0];
    TgBox inner = broadcast(t, in, box);
    TgTensor part;
    if (!packed_box(r, in, &inner, &part))
        return false;
    int64_t packed[TG_BOX_RANK], from[TG_BOX_RANK] = {0};
    row_major(in->rank, inner.n, packed);
    for (int32_t i = 0; i < in->rank; i++)
        from[i + t->rank - in->rank] = inner.n[i] == 1 ? 0 : packed[i];
    tg_copy_strided(to->at, to->stride, part.bytes, from, t->rank, box->n, bytes_of(t));
    return true;
}

static bool push_transpose(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    TgNodeInfo node = node_of(t);
    uint32_t n;
    const int64_t *perm = tg_attr_ints(&node, "perm", &n);
    TgBox inner = {0};
    Target turned = {.at = to->at};
    for (int32_t i = 0; i < t->rank; i++) {
        int32_t from = n ? (int32_t)perm[i] : t->rank - 1 - i;
        set_axis(&inner, from, box->at[i], box->n[i], box->step[i]);
        turned.stride[from] = to->stride[i];
    }
    return store(r, t->recipe->input[0], &inner, &turned);
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

static bool push_concat(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    int32_t axis = axis_of(t, t->rank);
    int64_t start = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        int64_t end = start + input->dim[axis], first, last;
        numbers_within(box, axis, start, end, &first, &last);
        TgBox inner = *box;
        Target part = *to;
        set_axis(&inner, axis, box->at[axis] + first * box->step[axis] - start, last - first,
                 box->step[axis]);
        part.at += first * to->stride[axis] * (int64_t)bytes_of(t);
        if (first < last)
            ok = store(r, input, &inner, &part);
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

static bool push_slice(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    int64_t start[TG_BOX_RANK], step[TG_BOX_RANK];
    TgArray a;
    if (!slice_steps(r->tg, t, start, step))
        return store_computed(r, whole(r, t, box, &a), &a, box, to);
    TgBox inner = *box;
    for (int32_t i = 0; i < t->rank; i++)
        set_axis(&inner, i, start[i] + step[i] * box->at[i], box->n[i],
                 box->n[i] > 1 ? step[i] * box->step[i] : 1);
    return store(r, t->recipe->input[0], &inner, to);
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
    Target to, data_to;     /* of the whole box; the strides of the data's axes in it */
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
    int64_t row = g->rank ? g->n[g->rank - 1] : 1, all = volume(g->rank, g->n), runs = 0, step;
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
    int64_t row = g->rank ? g->n[g->rank - 1] : 1, all = volume(g->rank, g->n);
    bool ok = true;
    for (int64_t i = 0; ok && i < all;) {
        int64_t step, length = run_of(g->index + i, row - i % row, &step);
        set_axis(&g->inner, g->axis, g->index[i], length, step);
        g->data_to.at = g->to.at + offset_of(g, i) * (int64_t)g->element;
        ok = store(g->r, g->data, &g->inner, &g->data_to);
        i += length;
    }
    return ok;
}

/* Many small boxes of something computed: one box around them all instead, unless it is much larger than they
 * are. */
static bool cover(Gathering *g, TgTensor *around) {
    int64_t low = INT64_MAX, high = 0, wanted = volume(g->rank, g->n);
    for (int64_t i = 0; i < wanted; i++) {
        low = g->index[i] < low ? g->index[i] : low;
        high = g->index[i] > high ? g->index[i] : high;
    }
    if (g->data->payload != TG_RECIPE || count_runs(g) <= COVER_RUNS || (high - low) / COVER_FACTOR > wanted)
        return true;
    TgBox box = g->inner;
    int64_t *dim = block(g->r, sizeof box.n);
    set_axis(&box, g->axis, low, high - low + 1, 1);
    if (!packed_box(g->r, g->data, &box, around))
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
    *good = fetch(g->r, indices, picked, &given);
    if (!*good)
        return false;
    int64_t size = g->data->dim[g->axis];
    bool inside = true;
    g->index = block(g->r, (size_t)given.count * sizeof *g->index);
    for (int64_t i = 0; i < given.count; i++) {
        int64_t k = tg_array_int(&given, i);
        g->index[i] = k + (k < 0 ? size : 0);
        inside = inside && g->index[i] >= 0 && g->index[i] < size;
    }
    tg_array_drop(g->r->tg, &given);
    return inside;
}

static bool push_gather(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    const TgTensor *data = t->recipe->input[0], *indices = t->recipe->input[1];
    Gathering g = {.r = r, .data = data, .axis = axis_of(t, data->rank), .rank = indices->rank, .to = *to};
    TgBox picked = {0};
    g.element = bytes_of(t);
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
        TgArray a;
        return good && store_computed(r, whole(r, t, box, &a), &a, box, to);
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

static bool push_reshape(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    const TgTensor *in = t->recipe->input[0];
    Group groups[2 * TG_BOX_RANK];
    int64_t from[TG_BOX_RANK], offset = 0, scale = 1;
    TgBox inner = {0};
    for (int32_t k = groups_of(in, t, groups); k-- > 0;) {
        const Group *g = &groups[k];
        offset += map_group(in, t, g, box, &inner, from) * scale;
        for (int32_t o = g->out_from; o < g->out_to; o++)
            from[o] *= scale;
        scale *= volume(g->in_to - g->in_from, inner.n + g->in_from);
    }
    TgTensor part;
    if (!packed_box(r, in, &inner, &part))
        return false;
    const uint8_t *first = part.bytes + offset * (int64_t)bytes_of(t);
    tg_copy_strided(to->at, to->stride, first, from, t->rank, box->n, bytes_of(t));
    return true;
}

/* --- the table ---------------------------------------------------------------------------------------- */

typedef bool (*Push)(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to);

static const Push PUSH[TG_OP_COUNT] = {
    [TG_Concat] = push_concat,       [TG_Gather] = push_gather,   [TG_Slice] = push_slice,
    [TG_Expand] = push_expand,       [TG_Reshape] = push_reshape, [TG_Squeeze] = push_reshape,
    [TG_Transpose] = push_transpose, [TG_Flatten] = push_reshape, [TG_Unsqueeze] = push_reshape,
};

static bool moves(const TgTensor *t) {
    return t->payload == TG_RECIPE && PUSH[t->recipe->op] && bytes_of(t) && t->count;
}

static bool store(TgBoxReader *r, const TgTensor *t, const TgBox *box, const Target *to) {
    TgArray a;
    if (!volume(t->rank, box->n))
        return true;
    if (t->payload != TG_RECIPE)
        return store_leaf(r, t, box, to);
    if (moves(t))
        return PUSH[t->recipe->op](r, t, box, to);
    return store_computed(r, compute(r, t, box, &a), &a, box, to);
}

static bool fetch(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    int64_t first;
    if (t->payload == TG_RECIPE && !moves(t))
        return compute(r, t, box, out);
    bool small = !bytes_of(t) || !t->count || t->payload == TG_SPLAT;
    if (t->payload != TG_RECIPE && (small || is_all(t, box)))
        return fetch_leaf(r, t, box, out);
    if (dense(t) && is_range(t, box, &first))
        return fetch_range(r, t, box, first, out);
    TgTensor part;
    if (!packed_box(r, t, box, &part))
        return false;
    *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, &part);
    return true;
}

bool tg_box_moves(const TgTensor *t) { return moves(t); }

bool tg_box_store(TgBoxReader *r, const TgTensor *t, const TgBox *box, void *bytes) {
    Target to = {.at = bytes};
    row_major(t->rank, box->n, to.stride);
    return store(r, t, box, &to);
}

bool tg_box_compute(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    return fetch(r, t, box, out);
}
