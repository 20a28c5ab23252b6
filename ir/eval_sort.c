/* TopK and Unique: kernels that order elements. Keys are compared as numbers; ties keep the lower index first, as ONNX
 * says for TopK.. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval_kernel.h"

/* An element with the number it is ordered by. Integers keep all 64 bits. */
typedef struct {
    double real;
    int64_t integer;
    int64_t place;
} Key;

static Key key_of(const TgEvalCall *c, const TgArray *x, int64_t at, int64_t place)
{
    if (eval_is_real(x))
        return (Key){eval_real(c, x, at), 0, place};
    int64_t i = eval_ints_of(x)[at];
    return (Key){0, x->dtype == TG_u64 ? (int64_t)((uint64_t)i ^ (UINT64_C(1) << 63)) : i, place};
}

/* NaN counts as the largest number. */
static int compare(const Key *a, const Key *b)
{
    if (a->integer != b->integer)
        return a->integer < b->integer ? -1 : 1;
    if (isnan(a->real) || isnan(b->real))
        return (int)isnan(a->real) - (int)isnan(b->real);
    return (a->real > b->real) - (a->real < b->real);
}

static int ascending(const void *a, const void *b)
{
    const Key *x = a, *y = b;
    int order = compare(x, y);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

static int descending(const void *a, const void *b)
{
    const Key *x = a, *y = b;
    int order = compare(y, x);
    return order ? order : (x->place > y->place) - (x->place < y->place);
}

bool eval_topk(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int32_t axis;
    int64_t k, dim[TG_EVAL_RANK];
    if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis) || !eval_one_int(c, 1, 0, &k))
        return false;
    int64_t size = x->dim[axis], inner = eval_count(x->dim, axis + 1, x->rank), outer = eval_count(x->dim, 0, axis);
    if (k < 0 || k > size)
        return eval_bad_value(c, "k", k);
    memcpy(dim, x->dim, (size_t)x->rank * sizeof *dim);
    dim[axis] = k;
    if (!eval_out(c, 0, x->dtype, x->rank, dim) || !eval_out(c, 1, TG_i64, x->rank, dim))
        return false;
    size_t e = eval_element(c, x);
    Key *keys = TG_NEW_N(tg_scratch(c->tg), Key, size ? size : 1);
    for (int64_t line = 0; line < outer * inner; line++) {
        int64_t first = line / inner * size * inner + line % inner, to = line / inner * k * inner + line % inner;
        for (int64_t i = 0; i < size; i++)
            keys[i] = key_of(c, x, first + i * inner, i);
        qsort(keys, (size_t)size, sizeof *keys, tg_attr_int(c->n, "largest") ? descending : ascending);
        for (int64_t i = 0; i < k; i++) {
            memcpy((char *)c->out[0].data + (size_t)(to + i * inner) * e,
                   (const char *)x->data + (size_t)(first + keys[i].place * inner) * e, e);
            eval_ints_of(&c->out[1])[to + i * inner] = keys[i].place;
        }
    }
    return true;
}

/* --- Unique -------------------------------------------------------------------------------------------------------------- */

/* The input as `n` items of `width` elements each: single elements, or slices along an axis. */
typedef struct {
    TgEvalCall *c;
    const TgArray *x;
    int64_t n, width, inner; /* element j of item i: see at() */
} Items;

static int64_t at(const Items *s, int64_t item, int64_t j)
{
    return (j / s->inner * s->n + item) * s->inner + j % s->inner;
}

static int compare_items(const Items *s, int64_t a, int64_t b)
{
    for (int64_t j = 0; j < s->width; j++) {
        Key x = key_of(s->c, s->x, at(s, a, j), 0), y = key_of(s->c, s->x, at(s, b, j), 0);
        int order = compare(&x, &y);
        if (order)
            return order;
    }
    return 0;
}

/* Stable merge sort of item numbers, bottom up. */
static void sort_items(const Items *s, int64_t *item, int64_t *spare)
{
    for (int64_t run = 1; run < s->n; run *= 2) {
        for (int64_t from = 0; from < s->n; from += 2 * run) {
            int64_t i = from, mid = from + run < s->n ? from + run : s->n, j = mid;
            int64_t end = mid + run < s->n ? mid + run : s->n, k = from;
            while (i < mid || j < end)
                spare[k++] = j == end || (i < mid && compare_items(s, item[i], item[j]) <= 0) ? item[i++] : item[j++];
        }
        memcpy(item, spare, (size_t)s->n * sizeof *item);
    }
}

static int by_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (x[0] > y[0]) - (x[0] < y[0]);
}

/* groups: pairs (first item, group in sorted order); returns how many. group[i] becomes the sorted group of item i. */
static int64_t group_items(const Items *s, int64_t *groups, int64_t *group)
{
    int64_t *item = TG_NEW_N(tg_scratch(s->c->tg), int64_t, 2 * s->n + 1), count = 0;
    for (int64_t i = 0; i < s->n; i++)
        item[i] = i;
    sort_items(s, item, item + s->n);
    for (int64_t i = 0; i < s->n; i++) {
        if (i == 0 || compare_items(s, item[i - 1], item[i]) != 0) {
            groups[2 * count] = item[i];
            groups[2 * count + 1] = count;
            count++;
        }
        group[item[i]] = count - 1;
    }
    return count;
}

bool eval_unique(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    bool flat = !tg_attr_has(c->n->attrs, "axis");
    int32_t axis = 0;
    if (!flat && !eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    int64_t inner = flat ? 1 : eval_count(x->dim, axis + 1, x->rank);
    Items s = {c, x, flat ? x->count : x->dim[axis], flat ? 1 : eval_count(x->dim, 0, axis) * inner, inner ? inner : 1};
    int64_t *groups = TG_NEW_N(tg_scratch(c->tg), int64_t, 2 * s.n + 1), *group = TG_NEW_N(tg_scratch(c->tg), int64_t, s.n + 1);
    int64_t count = group_items(&s, groups, group), dim[TG_EVAL_RANK] = {count};
    if (!tg_attr_int(c->n, "sorted"))
        qsort(groups, (size_t)count, 2 * sizeof *groups, by_first);
    if (!flat) {
        memcpy(dim, x->dim, (size_t)x->rank * sizeof *dim);
        dim[axis] = count;
    }
    if (!eval_out(c, 0, x->dtype, flat ? 1 : x->rank, dim) || !eval_out(c, 1, TG_i64, 1, &count) ||
        !eval_out(c, 2, TG_i64, 1, &s.n) || !eval_out(c, 3, TG_i64, 1, &count))
        return false;
    size_t e = eval_element(c, x);
    int64_t *number = TG_NEW_N(tg_scratch(c->tg), int64_t, count + 1); /* of a sorted group in the output */
    for (int64_t k = 0; k < count; k++) {
        number[groups[2 * k + 1]] = k;
        eval_ints_of(&c->out[1])[k] = groups[2 * k];
        eval_ints_of(&c->out[3])[k] = 0;
        for (int64_t j = 0; j < s.width; j++)
            memcpy((char *)c->out[0].data + (size_t)((j / s.inner * count + k) * s.inner + j % s.inner) * e,
                   (const char *)x->data + (size_t)at(&s, groups[2 * k], j) * e, e);
    }
    for (int64_t i = 0; i < s.n; i++) {
        eval_ints_of(&c->out[2])[i] = number[group[i]];
        eval_ints_of(&c->out[3])[number[group[i]]]++;
    }
    return true;
}
