/* Evaluator: sequences and optionals.
 *
 * A sequence is an array of items that share their data with the tensors they came from; nothing is copied
 * but pieces that are cut (SplitToSequence) or joined (ConcatFromSequence). Items of one element type
 * always lie in the same carrier, whichever kernel made them. */
#include <string.h>

#include "eval_kernel.h"

static bool is_sequence(TgEvalCall *c, uint32_t slot)
{
    return c->in[slot]->kind == TG_SEQUENCE || eval_bad_shape(c, slot, "a sequence is needed");
}

/* A position in a sequence of n items, by default `otherwise`. */
static bool position(TgEvalCall *c, uint32_t slot, int64_t n, int64_t otherwise, int64_t *at)
{
    return eval_one_int(c, slot, otherwise, at) && eval_index(c, *at, n, at);
}

static void put(TgArray *sequence, uint32_t i, const TgArray *item)
{
    sequence->item[i] = tg_array_share(item);
}

bool eval_sequence_construct(TgEvalCall *c)
{
    c->out[0] = eval_items_new(c->tg, TG_SEQUENCE, c->in[0]->dtype, c->n->n_in);
    for (uint32_t i = 0; i < c->n->n_in; i++)
        put(&c->out[0], i, c->in[i]);
    return true;
}

bool eval_sequence_empty(TgEvalCall *c)
{
    TgDtype dtype = tg_attr_has(c->n->attrs, "dtype") ? (TgDtype)tg_attr_int(c->n, "dtype") : TG_f32;
    c->out[0] = eval_items_new(c->tg, TG_SEQUENCE, dtype, 0);
    return true;
}

bool eval_sequence_at(TgEvalCall *c)
{
    int64_t at;
    if (!is_sequence(c, 0) || !position(c, 1, c->in[0]->n_items, 0, &at))
        return false;
    c->out[0] = tg_array_share(&c->in[0]->item[at]);
    return true;
}

/* Before place `at`; a sequence of n items has n + 1 such places, the last one is the default. */
bool eval_sequence_insert(TgEvalCall *c)
{
    const TgArray *from = c->in[0];
    int64_t at;
    if (!is_sequence(c, 0) || !eval_one_int(c, 2, from->n_items, &at))
        return false;
    if (at != from->n_items && !eval_index(c, at, from->n_items, &at))
        return false;
    c->out[0] = eval_items_new(c->tg, TG_SEQUENCE, from->dtype, from->n_items + 1);
    for (uint32_t i = 0; i < from->n_items; i++)
        put(&c->out[0], i + (i >= at), &from->item[i]);
    put(&c->out[0], (uint32_t)at, c->in[1]);
    return true;
}

bool eval_sequence_erase(TgEvalCall *c)
{
    const TgArray *from = c->in[0];
    int64_t at;
    if (!is_sequence(c, 0) || !position(c, 1, from->n_items, -1, &at))
        return false;
    c->out[0] = eval_items_new(c->tg, TG_SEQUENCE, from->dtype, from->n_items - 1);
    for (uint32_t i = 0; i < from->n_items; i++)
        if (i != at)
            put(&c->out[0], i - (i > at), &from->item[i]);
    return true;
}

bool eval_sequence_length(TgEvalCall *c)
{
    if (!is_sequence(c, 0) || !eval_out(c, 0, TG_i64, 0, NULL))
        return false;
    tg_array_set_int(&c->out[0], 0, c->in[0]->n_items);
    return true;
}

/* --- cutting and joining -------------------------------------------------------------------------------- */

/* Sizes of the pieces of an axis: ones, equal pieces with a smaller last one, or as listed. */
typedef struct {
    const TgArray *list; /* NULL: every piece has `size` */
    int64_t size, n;
} Pieces;

static bool read_pieces(TgEvalCall *c, int64_t whole, Pieces *p)
{
    const TgArray *split = eval_in(c, 1);
    *p = (Pieces){.list = split && split->rank == 1 ? split : NULL, .size = 1};
    if (!p->list) {
        if (!eval_one_int(c, 1, 1, &p->size) || p->size < 1)
            return eval_bad_value(c, "split", p->size);
        p->n = whole / p->size + (whole % p->size != 0);
        return p->n <= INT32_MAX || eval_bad_value(c, "the number of pieces", p->n);
    }
    if (!eval_needs_ints(c, 1))
        return false;
    int64_t sum = 0;
    p->n = split->count;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t size = tg_array_int(split, i);
        if (size < 0 || size > whole - sum)
            return eval_bad_value(c, "split", size);
        sum += size;
    }
    return sum == whole || eval_bad_shape(c, 1, "the pieces do not add up to the axis");
}

/* Elements [start, start + size) of an axis. */
static TgArray cut(TgEvalCall *c, const TgArray *x, int32_t axis, int64_t start, int64_t size)
{
    int64_t dim[TG_EVAL_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = size;
    TgArray y = tg_array_new(c->tg, c->mode, x->dtype, x->rank, dim);
    size_t row = eval_element(c, x) * (size_t)eval_count(x->dim, axis + 1, x->rank);
    size_t from = row * (size_t)x->dim[axis], to = row * (size_t)size;
    const char *source = (const char *)x->data + (size_t)start * row;
    for (int64_t i = 0, n = to ? eval_count(x->dim, 0, axis) : 0; i < n; i++)
        memcpy((char *)y.data + (size_t)i * to, source + (size_t)i * from, to);
    return y;
}

static void drop_axis(TgArray *a, int32_t axis)
{
    memmove(a->dim + axis, a->dim + axis + 1, (size_t)(a->rank - axis - 1) * sizeof *a->dim);
    a->rank--;
}

bool eval_split_to_sequence(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    bool squeeze = !eval_in(c, 1) && !tg_attr_int(c->n, "keepdims");
    int32_t axis;
    Pieces p;
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !read_pieces(c, x->dim[axis], &p))
        return false;
    c->out[0] = eval_items_new(c->tg, TG_SEQUENCE, x->dtype, (uint32_t)p.n);
    for (int64_t i = 0, start = 0; i < p.n; i++) {
        int64_t rest = x->dim[axis] - start, size = p.size < rest ? p.size : rest;
        if (p.list)
            size = tg_array_int(p.list, i);
        c->out[0].item[i] = cut(c, x, axis, start, size);
        if (squeeze)
            drop_axis(&c->out[0].item[i], axis);
        start += size;
    }
    return true;
}

/* item with a new axis of size 1 */
static bool with_axis(TgEvalCall *c, TgArray *item)
{
    int32_t axis;
    if (item->rank >= TG_EVAL_RANK || !eval_axis(c, tg_attr_int(c->n, "axis"), item->rank + 1, &axis))
        return eval_bad_shape(c, 0, "an item cannot have one axis more");
    memmove(item->dim + axis + 1, item->dim + axis, (size_t)(item->rank - axis) * sizeof *item->dim);
    item->dim[axis] = 1;
    item->rank++;
    return true;
}

/* Concat of the items, as they are or each with an axis of its own. */
bool eval_concat_from_sequence(TgEvalCall *c)
{
    const TgArray *from = c->in[0];
    if (!is_sequence(c, 0))
        return false;
    if (from->n_items == 0)
        return eval_bad_shape(c, 0, "an empty sequence has nothing to join");
    TgArray *item = TG_NEW_N(tg_scratch(c->tg), TgArray, from->n_items);
    const TgArray **in = TG_NEW_N(tg_scratch(c->tg), const TgArray *, from->n_items);
    for (uint32_t i = 0; i < from->n_items; i++) {
        item[i] = from->item[i];
        in[i] = &item[i];
        if (tg_attr_int(c->n, "new_axis") && !with_axis(c, &item[i]))
            return false;
    }
    TgNodeInfo n = *c->n;
    TgEvalCall joined = *c;
    n.n_in = from->n_items;
    joined.n = &n;
    joined.in = in;
    return eval_concat(&joined); /* reads the attribute `axis` of this node; the results are those of c */
}

/* --- optionals ------------------------------------------------------------------------------------------ */

bool eval_optional(TgEvalCall *c)
{
    const TgArray *x = eval_in(c, 0);
    c->out[0] = eval_items_new(c->tg, TG_OPTIONAL, x ? x->dtype : TG_undefined, x ? 1 : 0);
    if (x)
        put(&c->out[0], 0, x);
    return true;
}

bool eval_optional_get_element(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    if (x->kind == TG_OPTIONAL && x->n_items == 0)
        return eval_bad_shape(c, 0, "an empty optional has no element");
    c->out[0] = tg_array_share(x->kind == TG_OPTIONAL ? &x->item[0] : x);
    return true;
}

bool eval_optional_has_element(TgEvalCall *c)
{
    const TgArray *x = eval_in(c, 0);
    if (!eval_out(c, 0, TG_bool, 0, NULL))
        return false;
    tg_array_set_int(&c->out[0], 0, x && (x->kind != TG_OPTIONAL || x->n_items > 0));
    return true;
}
