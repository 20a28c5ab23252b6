/* Boxes of constant tensors: what a rectangular part of a recipe is, without computing the rest.
 *
 * A box of the output is pushed down. Operators that only move elements (recipe_move.c) become strided
 * copies of packed bytes, from the mapped file straight to where they belong. Elementwise operators ask
 * for the matching boxes of their operands and are evaluated on those, by the same evaluator that would
 * compute the whole. A product of matrices asks for rows of the one and columns of the other. All other
 * operators are computed whole, once, and boxes are cut out. Nothing here rounds or reorders anything, so
 * that a tensor read in boxes has the bytes of the tensor computed at once.
 *
 * Recursion follows the recipe, whose depth and size recipe.c bounds.
 */
#include <string.h>

#include "recipe_box.h"

enum { FORGET_AT = 64 << 20 }; /* bytes of mapped leaves that may be resident because of us */

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

/* How a box lies in the row-major array of shape dim: its first element and its strides. */
static int64_t place(int32_t rank, const int64_t *dim, const TgBox *box, int64_t *stride) {
    int64_t first = 0;
    box_row_major(rank, dim, stride);
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

static bool dense(const TgTensor *t) { return t->payload == TG_MAPPED || t->payload == TG_OWNED; }

/* --- blocks ------------------------------------------------------------------------------------------- */

void *box_block(TgBoxReader *r, size_t size) {
    void *made = tg_heap_new(r->tg, size);
    TG_PUSH(r->arena, &r->blocks, made);
    return made;
}

bool box_packed(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgTensor *part) {
    *part = (TgTensor){.dtype = t->dtype, .rank = t->rank, .dim = box->n, .payload = TG_OWNED};
    part->count = (size_t)box_volume(t->rank, box->n);
    part->size = part->count * box_element(t);
    BoxTarget to = {.at = box_block(r, part->size)};
    box_row_major(t->rank, box->n, to.stride);
    part->bytes = to.at;
    return box_store(r, t, box, &to);
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
    r->resident += (size_t)range * box_element(t);
    for (uint32_t i = r->leaves.n; i-- > 0;)
        if (r->leaves.at[i] == t)
            return;
    TG_PUSH(r->arena, &r->leaves, t);
}

static bool store_leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    int64_t stride[TG_BOX_RANK] = {0};
    bool splat = t->payload == TG_SPLAT;
    int64_t first = splat || !t->count ? 0 : place(t->rank, t->dim, box, stride);
    if (!splat)
        touch(r, t, box);
    tg_copy_strided(to->at, to->stride, t->bytes + (size_t)first * box_element(t), stride, t->rank, box->n,
                    box_element(t));
    return true;
}

/* --- arrays ------------------------------------------------------------------------------------------- */

/* A box of an array of shape dim; drops `a`. */
static TgArray cut(TgBoxReader *r, int32_t rank, const int64_t *dim, TgArray *a, const TgBox *box) {
    int64_t from[TG_BOX_RANK], to[TG_BOX_RANK];
    size_t element = tg_array_element(TG_EVAL_NATIVE, a->dtype);
    TgArray out = tg_array_new(r->tg, TG_EVAL_NATIVE, a->dtype, rank, box->n);
    size_t first = (size_t)place(rank, dim, box, from);
    box_row_major(rank, box->n, to);
    tg_copy_strided(out.data, to, (const uint8_t *)a->data + first * element, from, rank, box->n, element);
    tg_array_drop(r->tg, a);
    return out;
}

static bool fetch_leaf(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    TgTensor part = *t;
    if (t->payload == TG_SPLAT) {
        part.dim = box->n;
        part.count = (size_t)box_volume(t->rank, box->n);
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
    box_row_major(t->rank, box->n, expected);
    for (int32_t i = 0; i < t->rank; i++)
        if (box->n[i] != 1 && stride[i] != expected[i])
            return false;
    return true;
}

static bool fetch_range(TgBoxReader *r, const TgTensor *t, const TgBox *box, int64_t first, TgArray *out) {
    TgTensor part = *t;
    part.dim = box->n;
    part.count = (size_t)box_volume(t->rank, box->n);
    part.size = part.count * box_element(t);
    part.bytes = t->bytes + (size_t)first * box_element(t);
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
    if (t && !box_fetch(r, t, box, &a))
        return false;
    TG_PUSH(r->arena, &operands->list, a);
    return true;
}

bool tg_recipe_evaluate(Tg *tg, const TgRecipe *recipe, TgEvalMode mode, const TgArray *operands, TgArray *out) {
    TgArena *scratch = tg_scratch(tg);
    TgMark mark = tg_mark(scratch);
    uint32_t n = recipe->n, n_out = recipe->output + 1u;
    TgNodeInfo node = {
        .op = (TgOp)recipe->op, .attrs = recipe->attrs, .n_in = n, .n_formal = n, .n_out = n_out};
    node.in = TG_NEW_N(scratch, TgValue, n + 1);
    node.out = TG_NEW_N(scratch, TgValue, n_out);
    TgArray *results = TG_NEW_N(scratch, TgArray, n_out);
    const TgArray **operand = TG_NEW_N(scratch, const TgArray *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        node.in[i] = operands[i].dtype != TG_undefined ? i + 1 : 0;
        operand[i] = node.in[i] ? &operands[i] : NULL;
    }
    for (uint32_t i = 0; i < n_out; i++)
        node.out[i] = n + i + 1;
    bool ok = tg_eval_node(tg, NULL, &node, &(TgEvalOptions){.mode = mode}, operand, results);
    if (ok)
        *out = results[n_out - 1];
    for (uint32_t i = 0; ok && i + 1 < n_out; i++)
        tg_array_drop(tg, &results[i]);
    tg_release(scratch, mark);
    return ok;
}

/* Evaluates if all operands could be read; drops them. */
static bool apply(TgBoxReader *r, const TgTensor *t, bool ok, Operands *operands, TgArray *out) {
    ok = ok && tg_recipe_evaluate(r->tg, t->recipe, TG_EVAL_NATIVE, operands->list.at, out);
    for (uint32_t i = 0; i < operands->list.n; i++)
        if (operands->list.at[i].dtype != TG_undefined)
            tg_array_drop(r->tg, &operands->list.at[i]);
    return ok;
}

TgBox box_broadcast(const TgTensor *t, const TgTensor *input, const TgBox *box) {
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
        TgBox inner = input ? box_broadcast(t, input, box) : (TgBox){.n = {0}};
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

static bool moves(const TgTensor *t) {
    return t->payload == TG_RECIPE && box_move((TgOp)t->recipe->op) && box_element(t) && t->count;
}

/* Reading a box of it again does not compute anything large again. */
static bool is_read_in_boxes(const TgTensor *t) {
    if (t->payload != TG_RECIPE)
        return true;
    if (!moves(t) && !tg_op_has((TgOp)t->recipe->op, TG_T_ELEMENTWISE))
        return false;
    for (uint32_t i = 0; i < t->recipe->n; i++)
        if (t->recipe->input[i] && !is_read_in_boxes(t->recipe->input[i]))
            return false;
    return true;
}

/* A product of matrices whose box needs some rows of the first and some columns of the second only: an
 * adapter. Elements are the same however they are grouped (eval_matmul.c). */
static bool is_product(const TgTensor *t) {
    const TgTensor *const *in = t->recipe->input;
    return t->recipe->op == TG_MatMul && in[0]->rank == 2 && in[1]->rank == 2 && box_element(t) &&
           is_read_in_boxes(in[0]) && is_read_in_boxes(in[1]);
}

static bool product(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    Operands operands = {{0}};
    bool ok = true;
    for (int32_t i = 0; ok && i < 2; i++) {
        TgBox part = tg_box_all(t->recipe->input[i]);
        part.at[i] = box->at[i];
        part.n[i] = box->n[i];
        part.step[i] = box->step[i];
        ok = add_operand(r, &operands, t->recipe->input[i], &part);
    }
    return apply(r, t, ok, &operands, out);
}

/* Files hold operands that do not broadcast; the evaluator refuses them. */
static bool broadcast(const TgTensor *t) {
    bool fit = true;
    for (uint32_t k = 0; k < t->recipe->n; k++) {
        const TgTensor *in = t->recipe->input[k];
        fit = fit && (!in || in->rank <= t->rank);
        for (int32_t i = 0; fit && in && i < in->rank; i++)
            fit = in->dim[i] == 1 || in->dim[i] == t->dim[i + t->rank - in->rank];
    }
    return fit;
}

static bool compute(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    if (is_product(t))
        return product(r, t, box, out);
    bool each = tg_op_has((TgOp)t->recipe->op, TG_T_ELEMENTWISE) && !t->recipe->output && box_element(t);
    return each && broadcast(t) ? elementwise(r, t, box, out) : whole(r, t, box, out);
}

const void *tg_box_packed(TgArena *arena, const TgArray *a) {
    bool same = a->dtype == TG_f32 || a->dtype == TG_f64 || a->dtype == TG_i64 || a->dtype == TG_u64;
    if (same && tg_array_element(TG_EVAL_NATIVE, a->dtype) * 8 == tg_dtype_bits(a->dtype))
        return a->data;
    return tg_array_to_tensor(arena, TG_EVAL_NATIVE, a)->bytes;
}

static bool store_computed(TgBoxReader *r, bool ok, TgArray *a, const TgBox *box, const BoxTarget *to) {
    if (!ok)
        return false;
    TgArena *scratch = tg_scratch(r->tg);
    TgMark mark = tg_mark(scratch);
    int64_t stride[TG_BOX_RANK];
    box_row_major(a->rank, box->n, stride);
    const void *bytes = tg_box_packed(scratch, a);
    tg_copy_strided(to->at, to->stride, bytes, stride, a->rank, box->n, tg_dtype_bits(a->dtype) / 8);
    tg_release(scratch, mark);
    tg_array_drop(r->tg, a);
    return true;
}

bool box_store_whole(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    TgArray a;
    return store_computed(r, whole(r, t, box, &a), &a, box, to);
}

/* --- the choice --------------------------------------------------------------------------------------- */

bool box_store(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to) {
    TgArray a;
    if (!box_volume(t->rank, box->n))
        return true;
    if (t->payload != TG_RECIPE)
        return store_leaf(r, t, box, to);
    if (moves(t))
        return box_move((TgOp)t->recipe->op)(r, t, box, to);
    return store_computed(r, compute(r, t, box, &a), &a, box, to);
}

bool box_fetch(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    int64_t first;
    if (t->payload == TG_RECIPE && !moves(t))
        return compute(r, t, box, out);
    bool small = !box_element(t) || !t->count || t->payload == TG_SPLAT;
    if (t->payload != TG_RECIPE && (small || is_all(t, box)))
        return fetch_leaf(r, t, box, out);
    if (dense(t) && is_range(t, box, &first))
        return fetch_range(r, t, box, first, out);
    TgTensor part;
    if (!box_packed(r, t, box, &part))
        return false;
    *out = tg_array_from_tensor(r->tg, TG_EVAL_NATIVE, &part);
    return true;
}

bool tg_box_moves(const TgTensor *t) { return moves(t); }

bool tg_box_store(TgBoxReader *r, const TgTensor *t, const TgBox *box, void *bytes) {
    BoxTarget to = {.at = bytes};
    box_row_major(t->rank, box->n, to.stride);
    return box_store(r, t, box, &to);
}

bool tg_box_compute(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out) {
    return box_fetch(r, t, box, out);
}
