/* Boxes of constant tensors: what a rectangular part of a recipe is, without computing the rest.
 *
 * A box of the output is pushed down: each operator of PUSH says which boxes of its operands it needs,
 * and is then evaluated on just those, by the same evaluator that would compute the whole. Leaves are
 * read from the mapped bytes. Operators that are not in PUSH are computed whole, once, and boxes are cut
 * out. Nothing here rounds or reorders anything, so that a tensor read in boxes has the bytes of the
 * tensor computed at once.
 *
 * Recursion follows the recipe, whose depth and size recipe.c bounds.
 */
#include <string.h>

#include "graph.h"
#include "recipe.h"

enum {
    COVER_FACTOR = 4,      /* a Gather may read so many times more than it gives ... */
    COVER_FREE = 1 << 20,  /* ... or so many elements, before its indices are taken in smaller groups */
    FORGET_FROM = 64 << 10 /* mapped ranges below are not worth a system call */
};

TgBoxReader tg_box_reader(Tg *tg) { return (TgBoxReader){.tg = tg, .arena = tg_arena_new(tg)}; }

TgBox tg_box_all(const TgTensor *t) {
    TgBox box = {0};
    for (int32_t i = 0; i < t->rank; i++)
        box.n[i] = t->dim[i];
    return box;
}

void tg_box_next(TgBoxReader *r) {
    for (uint32_t i = 0; i < r->blocks.n; i++)
        tg_heap_free(r->tg, r->blocks.at[i]);
    for (uint32_t i = 0; i < r->touched.n; i++)
        tg_file_forget(r->touched.at[i].at, r->touched.at[i].n);
    r->blocks.n = r->touched.n = 0;
}

void tg_box_close(TgBoxReader *r) {
    tg_box_next(r);
    for (uint32_t i = 0; i < r->whole.n; i++)
        tg_array_drop(r->tg, &r->whole.at[i].value);
    tg_arena_free(r->arena);
}

static bool is_all(const TgTensor *t, const TgBox *box) {
    for (int32_t i = 0; i < t->rank; i++)
        if (box->n[i] != t->dim[i])
            return false;
    return true;
}

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

/* --- copying boxes ------------------------------------------------------------------------------------ */

/* dst, row-major with sizes n, from src, where neighbours along axis i lie stride[i] elements apart. */
static void copy_strided(uint8_t *dst, const uint8_t *src, size_t element, int32_t rank, const int64_t *n,
                         const int64_t *stride) {
    int64_t run = 1, index[TG_BOX_RANK] = {0};
    int32_t outer = rank;
    while (outer > 0 && (n[outer - 1] == 1 || stride[outer - 1] == run))
        run *= n[--outer];
    if (!volume(rank, n))
        return;
    size_t bytes = (size_t)run * element;
    for (int64_t offset = 0;;) {
        memcpy(dst, src + (size_t)offset * element, bytes);
        dst += bytes;
        int32_t axis = outer;
        while (axis-- > 0) {
            offset += stride[axis];
            if (++index[axis] < n[axis])
                break;
            offset -= n[axis] * stride[axis];
            index[axis] = 0;
        }
        if (axis < 0)
            return;
    }
}

/* Elements of `a` at `offset` and the given strides, as an array of shape n; drops `a`. */
static TgArray pick(TgBoxReader *r, TgArray *a, int64_t offset, int32_t rank, const int64_t *n,
                    const int64_t *stride) {
    TgArray out = tg_array_new(r->tg, TG_EVAL_NATIVE, a->dtype, rank, n);
    size_t element = tg_array_element(TG_EVAL_NATIVE, a->dtype);
    copy_strided(out.data, (const uint8_t *)a->data + (size_t)offset * element, element, rank, n, stride);
    tg_array_drop(r->tg, a);
    return out;
}

/* A box of an array that holds all of `t`; drops `a`. */
static TgArray cut(TgBoxReader *r, const TgTensor *t, TgArray *a, const TgBox *box) {
    if (is_all(t, box))
        return *a;
    int64_t stride[TG_BOX_RANK], offset = 0;
    row_major(t->rank, t->dim, stride);
    for (int32_t i = 0; i < t->rank; i++)
        offset += box->at[i] * stride[i];
    return pick(r, a, offset, t->rank, box->n, stride);
}

/* --- leaves ------------------------------------------------------------------------------------------- */

static void touch(TgBoxReader *r, const TgTensor *t, size_t from, size_t to) {
    if (t->payload == TG_MAPPED && to - from >= FORGET_FROM)
        TG_PUSH(r->arena, &r->touched, ((TgBytes){t->bytes + from, to - from}));
}

static bool whole_leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    TgArray all = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, t);
    touch(r, t, 0, t->size);
    *out = cut(r, t, &all, box); /* all of it where t is the box already */
    return true;
}

/* The bytes of the box are contiguous in the leaf, or gathered into a block that the array may borrow. */
static bool leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    TgTensor part = *t;
    part.dim = box->n;
    part.count = (size_t)volume(t->rank, box->n);
    part.size = tg_dtype_bytes(t->dtype, part.count);
    bool dense = t->payload == TG_MAPPED || t->payload == TG_OWNED;
    if (t->payload == TG_SPLAT || !part.count)
        return whole_leaf(r, &part, box, out);
    if (!dense || tg_dtype_bits(t->dtype) < 8 || is_all(t, box))
        return whole_leaf(r, t, box, out);
    size_t element = tg_dtype_bits(t->dtype) / 8, first = 0, last = 0;
    int64_t stride[TG_BOX_RANK];
    row_major(t->rank, t->dim, stride);
    for (int32_t i = 0; i < t->rank; i++) {
        first += (size_t)(box->at[i] * stride[i]);
        last += (size_t)((box->at[i] + box->n[i] - 1) * stride[i]);
    }
    touch(r, t, first * element, (last + 1) * element);
    part.bytes = t->bytes + first * element;
    if (last - first + 1 != part.count) {
        void *block = tg_heap_new(r->tg, part.size);
        TG_PUSH(r->arena, &r->blocks, block);
        copy_strided(block, part.bytes, element, t->rank, box->n, stride);
        part.bytes = block;
    }
    *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, &part);
    return true;
}

/* --- applying an operator ----------------------------------------------------------------------------- */

/* Output `output` of op over the arrays; the other outputs are dropped. */
static bool evaluate(TgBoxReader *r, TgOp op, const TgAttrs *attrs, uint32_t output, uint32_t n,
                     const TgArray *in, TgArray *out) {
    TgMark mark = tg_mark(tg_scratch(r->tg));
    TgArena *scratch = tg_scratch(r->tg);
    uint32_t n_out = output + 1;
    TgNodeInfo node = {.op = op, .attrs = attrs, .n_in = n, .n_formal = n, .n_out = n_out};
    node.in = TG_NEW_N(scratch, TgValue, n + 1);
    node.out = TG_NEW_N(scratch, TgValue, n_out);
    TgArray *results = TG_NEW_N(scratch, TgArray, n_out);
    const TgArray **operand = TG_NEW_N(scratch, const TgArray *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        node.in[i] = in[i].dtype != TG_undefined ? i + 1 : 0;
        operand[i] = node.in[i] ? &in[i] : NULL;
    }
    for (uint32_t i = 0; i < n_out; i++)
        node.out[i] = n + i + 1;
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE};
    bool ok = tg_eval_node(r->tg, NULL, &node, &options, operand, results);
    if (ok)
        *out = results[output];
    for (uint32_t i = 0; ok && i < output; i++)
        tg_array_drop(r->tg, &results[i]);
    tg_release(scratch, mark);
    return ok;
}

/* Operands of one application; an entry without dtype is an absent operand. */
typedef struct {
    TG_VEC(TgArray) list;
} Operands;

static void drop_all(TgBoxReader *r, Operands *operands) {
    for (uint32_t i = 0; i < operands->list.n; i++)
        if (operands->list.at[i].dtype != TG_undefined)
            tg_array_drop(r->tg, &operands->list.at[i]);
}

static bool add_operand(TgBoxReader *r, Operands *operands, const TgTensor *t, const TgBox *box) {
    TgArray a = {0};
    if (t && !tg_box_read(r, t, box, &a))
        return false;
    TG_PUSH(r->arena, &operands->list, a);
    return true;
}

/* Applies t's operator if all operands could be read, and drops them. */
static bool apply(TgBoxReader *r, const TgTensor *t, bool ok, Operands *operands, TgArray *out) {
    const TgRecipe *recipe = t->recipe;
    TgArray *in = operands->list.at;
    ok = ok && evaluate(r, (TgOp)recipe->op, recipe->attrs, recipe->output, operands->list.n, in, out);
    drop_all(r, operands);
    return ok;
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
    TgArray all = tg_array_share(&r->whole.at[i].value);
    *out = cut(r, t, &all, box);
    return true;
}

static TgNodeInfo node_of(const TgTensor *t) {
    return (TgNodeInfo){.op = (TgOp)t->recipe->op, .attrs = t->recipe->attrs, .n_in = t->recipe->n};
}

static int32_t axis_of(const TgTensor *t, int32_t rank) {
    TgNodeInfo node = node_of(t);
    int64_t axis = tg_attr_int(&node, "axis");
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

/* --- pushing boxes down ------------------------------------------------------------------------------- */

/* What of `input` the box of t needs under broadcasting. */
static TgBox broadcast(const TgTensor *t, const TgTensor *input, const TgBox *box) {
    TgBox inner = {0};
    for (int32_t i = 0; i < input->rank; i++) {
        int32_t j = i + t->rank - input->rank;
        bool repeated = input->dim[i] == 1;
        inner.at[i] = repeated ? 0 : box->at[j];
        inner.n[i] = repeated ? 1 : box->n[j];
    }
    return inner;
}

static bool push_elementwise(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    Operands operands = {{0}};
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        TgBox inner = input ? broadcast(t, input, box) : (TgBox){.n = {0}};
        ok = add_operand(r, &operands, input, &inner);
    }
    return apply(r, t, ok, &operands, out);
}

static bool push_expand(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    Operands operands = {{0}};
    TgBox inner = broadcast(t, t->recipe->input[0], box);
    bool ok = add_operand(r, &operands, t->recipe->input[0], &inner);
    if (ok) {
        TgArray shape = tg_array_new(r->tg, TG_EVAL_NATIVE, TG_i64, 1, &(int64_t){t->rank});
        for (int32_t i = 0; i < t->rank; i++)
            tg_array_set_int(&shape, i, box->n[i]);
        TG_PUSH(r->arena, &operands.list, shape);
    }
    return apply(r, t, ok, &operands, out);
}

static bool push_transpose(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    TgNodeInfo node = node_of(t);
    uint32_t n;
    const int64_t *perm = tg_attr_ints(&node, "perm", &n);
    TgBox inner = {0};
    for (int32_t i = 0; i < t->rank; i++) {
        int64_t from = n ? perm[i] : t->rank - 1 - i;
        inner.at[from] = box->at[i];
        inner.n[from] = box->n[i];
    }
    Operands operands = {{0}};
    bool ok = add_operand(r, &operands, t->recipe->input[0], &inner);
    return apply(r, t, ok, &operands, out);
}

static bool push_concat(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    int32_t axis = axis_of(t, t->rank);
    Operands operands = {{0}};
    int64_t start = 0, from = box->at[axis], to = from + box->n[axis];
    bool ok = true;
    for (uint32_t i = 0; ok && i < t->recipe->n; i++) {
        const TgTensor *input = t->recipe->input[i];
        int64_t end = start + input->dim[axis];
        TgBox inner = *box;
        inner.at[axis] = (from > start ? from : start) - start;
        inner.n[axis] = (to < end ? to : end) - start - inner.at[axis];
        if (inner.n[axis] > 0)
            ok = add_operand(r, &operands, input, &inner);
        start = end;
    }
    return apply(r, t, ok, &operands, out);
}

/* --- Gather and Slice --------------------------------------------------------------------------------- */

static bool join(TgBoxReader *r, int32_t axis, TgArray parts[2], TgArray *out) {
    const TgAttrs *attrs = tg_attrs(r->tg, TG_Concat, "axis=i", (int64_t)axis);
    bool ok = evaluate(r, TG_Concat, attrs, 0, 2, parts, out);
    tg_array_drop(r->tg, &parts[0]);
    tg_array_drop(r->tg, &parts[1]);
    return ok;
}

/* The box in two halves along `axis`. */
static bool halves(TgBoxReader *r, const TgTensor *t, const TgBox *box, int32_t axis, TgArray *out) {
    TgBox half[2] = {*box, *box};
    TgArray parts[2] = {{0}, {0}};
    half[0].n[axis] = box->n[axis] / 2;
    half[1].at[axis] += half[0].n[axis];
    half[1].n[axis] -= half[0].n[axis];
    if (!tg_box_read(r, t, &half[0], &parts[0]))
        return false;
    if (tg_box_read(r, t, &half[1], &parts[1]))
        return join(r, axis, parts, out);
    tg_array_drop(r->tg, &parts[0]);
    return false;
}

/* Gather along `axis` of the box `inner` of data; the indices count from its start. Drops the indices. */
static bool gather_from(TgBoxReader *r, const TgTensor *data, const TgBox *inner, int32_t axis,
                        TgArray *indices, TgArray *out) {
    const TgAttrs *attrs = tg_attrs(r->tg, TG_Gather, "axis=i", (int64_t)axis);
    TgArray in[2] = {{0}, *indices};
    bool ok = tg_box_read(r, data, inner, &in[0]);
    if (ok) {
        ok = evaluate(r, TG_Gather, attrs, 0, 2, in, out);
        tg_array_drop(r->tg, &in[0]);
    }
    tg_array_drop(r->tg, indices);
    return ok;
}

/* The indices of the box, made to count from the lowest one; false: some lie outside the data. */
static bool rebased(TgBoxReader *r, const TgArray *given, int64_t size, TgArray *out, int64_t *low,
                    int64_t *high) {
    *low = size;
    *high = -1;
    for (int64_t i = 0; i < given->count; i++) {
        int64_t k = tg_array_int(given, i);
        k += k < 0 ? size : 0;
        *low = k < *low ? k : *low;
        *high = k > *high ? k : *high;
    }
    if (!given->count || *low < 0 || *high >= size)
        return false;
    *out = tg_array_new(r->tg, TG_EVAL_NATIVE, TG_i64, given->rank, given->dim);
    for (int64_t i = 0; i < given->count; i++) {
        int64_t k = tg_array_int(given, i);
        tg_array_set_int(out, i, k + (k < 0 ? size : 0) - *low);
    }
    return true;
}

static int32_t longest(const TgBox *box, int32_t from, int32_t to) {
    int32_t axis = from;
    for (int32_t i = from; i < to; i++)
        axis = box->n[i] > box->n[axis] ? i : axis;
    return axis;
}

static bool push_gather(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    const TgTensor *data = t->recipe->input[0], *indices = t->recipe->input[1];
    int32_t axis = axis_of(t, data->rank), behind = axis + indices->rank;
    TgBox picked = {0}, inner = {0};
    for (int32_t i = 0; i < indices->rank; i++) {
        picked.at[i] = box->at[axis + i];
        picked.n[i] = box->n[axis + i];
    }
    for (int32_t i = 0; i < data->rank; i++) {
        inner.at[i] = box->at[i < axis ? i : i - 1 + indices->rank];
        inner.n[i] = box->n[i < axis ? i : i - 1 + indices->rank];
    }
    TgArray given = {0}, list = {0};
    if (!tg_box_read(r, indices, &picked, &given))
        return false;
    int64_t low, high, count = given.count;
    bool good = rebased(r, &given, data->dim[axis], &list, &low, &high);
    tg_array_drop(r->tg, &given);
    if (!good)
        return whole(r, t, box, out);
    inner.at[axis] = low;
    inner.n[axis] = high - low + 1;
    int64_t cover = volume(data->rank, inner.n), wanted = cover / inner.n[axis] * count;
    if (count == 1 || cover <= COVER_FREE || cover / COVER_FACTOR <= wanted)
        return gather_from(r, data, &inner, axis, &list, out);
    tg_array_drop(r->tg, &list);
    return halves(r, t, box, longest(box, axis, behind), out);
}

/* Where a Slice starts and how it steps along each axis of its data. False: its operands say nothing
 * usable. */
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

/* The data box that spans the Slice, then its elements picked out of that. */
static bool push_slice(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    int64_t start[TG_BOX_RANK], step[TG_BOX_RANK], stride[TG_BOX_RANK], offset = 0;
    if (!volume(t->rank, box->n) || !slice_steps(r->tg, t, start, step))
        return whole(r, t, box, out);
    TgBox inner = {0};
    bool plain = true;
    for (int32_t i = 0; i < t->rank; i++) {
        int64_t first = start[i] + step[i] * box->at[i], span = step[i] * (box->n[i] - 1);
        inner.at[i] = span < 0 ? first + span : first;
        inner.n[i] = (span < 0 ? -span : span) + 1;
        plain = plain && inner.n[i] == box->n[i] && span >= 0;
        start[i] = first - inner.at[i];
    }
    TgArray a;
    if (!tg_box_read(r, t->recipe->input[0], &inner, &a))
        return false;
    row_major(t->rank, inner.n, stride);
    for (int32_t i = 0; i < t->rank; i++) {
        offset += start[i] * stride[i];
        stride[i] *= step[i];
    }
    *out = plain ? a : pick(r, &a, offset, t->rank, box->n, stride);
    return true;
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
static int64_t cover(const int64_t *dim, int32_t from, int32_t to, int64_t low, int64_t high, TgBox *inner) {
    int64_t unit = 1, base = 0;
    for (int32_t i = from; i < to; i++)
        unit *= dim[i];
    bool together = true; /* low and high agree on all axes so far */
    for (int32_t i = from; i < to; i++) {
        unit /= dim[i];
        int64_t a = low / unit % dim[i], b = high / unit % dim[i];
        inner->at[i] = together ? a : 0;
        inner->n[i] = together ? b - a + 1 : dim[i];
        base += inner->at[i] * unit;
        together = together && a == b;
    }
    return base;
}

static bool push_reshape(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    const TgTensor *in = t->recipe->input[0];
    if (!t->count || !volume(t->rank, box->n))
        return whole(r, t, box, out);
    Group groups[2 * TG_BOX_RANK];
    int64_t stride[TG_BOX_RANK], offset = 0, scale = 1;
    TgBox inner = {0};
    for (int32_t k = groups_of(in, t, groups); k-- > 0;) {
        const Group *g = &groups[k];
        int64_t low = 0, high = 0, step = 1;
        for (int32_t o = g->out_to; o-- > g->out_from; step *= t->dim[o]) {
            low += box->at[o] * step;
            high += (box->at[o] + box->n[o] - 1) * step;
            stride[o] = step * scale;
        }
        offset += (low - cover(in->dim, g->in_from, g->in_to, low, high, &inner)) * scale;
        scale *= volume(g->in_to - g->in_from, inner.n + g->in_from);
    }
    TgArray a;
    if (!tg_box_read(r, in, &inner, &a))
        return false;
    *out = pick(r, &a, offset, t->rank, box->n, stride);
    return true;
}

/* --- the table ---------------------------------------------------------------------------------------- */

typedef bool (*Push)(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out);

static const Push PUSH[TG_OP_COUNT] = {
    [TG_Concat] = push_concat,   [TG_Gather] = push_gather,       [TG_Slice] = push_slice,
    [TG_Expand] = push_expand,   [TG_Transpose] = push_transpose, [TG_Reshape] = push_reshape,
    [TG_Squeeze] = push_reshape, [TG_Unsqueeze] = push_reshape,   [TG_Flatten] = push_reshape,
};

bool tg_box_read(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    if (t->payload != TG_RECIPE)
        return leaf(r, t, box, out);
    TgOp op = (TgOp)t->recipe->op;
    if (PUSH[op])
        return PUSH[op](r, t, box, out);
    bool elementwise = tg_op_has(op, TG_T_ELEMENTWISE) && !t->recipe->output;
    return elementwise ? push_elementwise(r, t, box, out) : whole(r, t, box, out);
}
