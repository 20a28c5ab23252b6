/* TopK and Unique: what needs an order. Sorting is a merge sort from the bottom up over indices: stable, so
 * that equal elements keep their order and results are the same everywhere; without recursion; memory is
 * the caller's. */
#include <string.h>

#include "eval_index.h"

/* What is sorted: items of `parts` elements, `part_step` bytes apart; item i starts at base + i * step. */
typedef struct {
    const char *base;
    size_t step, part_step;
    int64_t parts;
    Compare compare;
    bool descending;
} Items;

static int order(const Items *s, int64_t a, int64_t b)
{
    int result = 0;
    for (int64_t i = 0; result == 0 && i < s->parts; i++)
        result = s->compare(s->base + (size_t)a * s->step + (size_t)i * s->part_step,
                            s->base + (size_t)b * s->step + (size_t)i * s->part_step);
    return s->descending ? -result : result;
}

static void merge(const Items *s, const int64_t *from, int64_t low, int64_t middle, int64_t high, int64_t *to)
{
    int64_t a = low, b = middle;
    for (int64_t i = low; i < high; i++)
        to[i] = a < middle && (b >= high || order(s, from[a], from[b]) <= 0) ? from[a++] : from[b++];
}

/* Fills index[0 .. n) with the sorted order; `spare` has room for n more. */
static void sort(const Items *s, int64_t n, int64_t *index, int64_t *spare)
{
    int64_t *from = index, *to = spare;
    for (int64_t i = 0; i < n; i++)
        from[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t low = 0; low < n; low += 2 * width) {
            int64_t middle = low + width < n ? low + width : n,
                    high = middle + width < n ? middle + width : n;
            merge(s, from, low, middle, high, to);
        }
        int64_t *other = from;
        from = to;
        to = other;
    }
    if (from != index)
        memcpy(index, from, (size_t)n * sizeof *index);
}

/* --- TopK ----------------------------------------------------------------------------------------------- */

bool eval_topk(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t k, dim[TG_EVAL_RANK];
    int32_t axis;
    if (!eval_one_int(c, 1, 1, &k) || !eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    memcpy(dim, x->dim, sizeof dim);
    int64_t n = dim[axis], step = eval_count(dim, axis + 1, x->rank);
    if (k < 0 || k > n)
        return eval_bad_value(c, "the number of elements wanted", k);
    dim[axis] = k;
    if (!eval_out(c, 0, x->dtype, x->rank, dim) || !eval_out(c, 1, TG_i64, x->rank, dim))
        return false;
    size_t element = eval_element(c, x);
    Items s = {NULL, (size_t)step * element,    0,
               1,    eval_compare(c, x->dtype), tg_attr_int(c->n, "largest") != 0};
    int64_t *index = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1),
            *spare = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1);
    for (int64_t line = 0; n > 0 && line < x->count / n; line++) {
        s.base = (const char *)x->data + (size_t)(line / step * step * n + line % step) * element;
        sort(&s, n, index, spare);
        for (int64_t i = 0; i < k; i++) {
            int64_t to = (line / step * k + i) * step + line % step;
            eval_ints_of(&c->out[1])[to] = index[i];
            memcpy((char *)c->out[0].data + (size_t)to * element, s.base + (size_t)index[i] * s.step,
                   element);
        }
    }
    return true;
}

/* --- Unique --------------------------------------------------------------------------------------------- */

/* A slice of the input along the axis, as a sortable item: copied together, one item behind the other. */
static char *slices(TgEvalCall *c, const TgArray *x, int64_t outer, int64_t n, size_t block)
{
    char *items = TG_NEW_N(tg_scratch(c->tg), char, tg_product(c->tg, (size_t)(outer * n), block) + 1);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < outer; k++)
            memcpy(items + (size_t)(i * outer + k) * block,
                   (const char *)x->data + (size_t)(k * n + i) * block, block);
    return items;
}

/* Groups of equal items: group[i] of item i, first[g] and count[g]; returns how many. In sorted order, or
 * in that of their first items. */
static int64_t find_groups(TgEvalCall *c, const Items *s, int64_t n, bool sorted, int64_t *group,
                           int64_t *first, int64_t *count)
{
    int64_t *index = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1),
            *spare = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1);
    int64_t groups = 0;
    sort(s, n, index, spare);
    for (int64_t i = 0; i < n; i++) { /* stable: the first of equal items comes first */
        if (i == 0 || order(s, index[i - 1], index[i]) != 0)
            first[groups++] = index[i];
        group[index[i]] = groups - 1;
        count[groups - 1]++;
    }
    if (sorted)
        return groups;
    memset(count, 0, (size_t)n * sizeof *count);
    memcpy(spare, first, (size_t)groups * sizeof *spare);
    for (int64_t i = 0, next = 0; i < n; i++) { /* renumber by first appearance */
        int64_t lead = spare[group[i]];
        if (lead == i)
            first[next++] = i;
        index[i] = lead == i ? next - 1 : index[lead];
        count[index[i]]++;
    }
    memcpy(group, index, (size_t)n * sizeof *group);
    return groups;
}

static bool unique_lists(TgEvalCall *c, int64_t n, int64_t groups, const int64_t *group, const int64_t *first,
                         const int64_t *count)
{
    const int64_t *list[] = {first, group, count};
    for (uint32_t i = 0; i < 3; i++) {
        int64_t length = i == 1 ? n : groups;
        if (!eval_out(c, i + 1, TG_i64, 1, &length))
            return false;
        memcpy(c->out[i + 1].data, list[i], (size_t)length * sizeof(int64_t));
    }
    return true;
}

bool eval_unique(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    TgArray flat = *x;
    int32_t axis = 0;
    if (!tg_attr_has(c->n->attrs, "axis")) {
        flat.rank = 1;
        flat.dim[0] = x->count;
    } else if (!eval_axis(c, tg_attr_int(c->n, "axis"), x->rank, &axis)) {
        return false;
    }
    int64_t n = flat.dim[axis], outer = eval_count(flat.dim, 0, axis);
    int64_t inner = eval_count(flat.dim, axis + 1, flat.rank);
    size_t element = eval_element(c, x), block = (size_t)inner * element;
    char *items = slices(c, x, outer, n, block);
    Items s = {items, (size_t)outer * block, element, outer * inner, eval_compare(c, x->dtype), false};
    int64_t *group = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1),
            *first = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1);
    int64_t *count = TG_NEW_N(tg_scratch(c->tg), int64_t, n + 1);
    int64_t groups = find_groups(c, &s, n, tg_attr_int(c->n, "sorted") != 0, group, first, count);
    flat.dim[axis] = groups;
    if (!eval_out(c, 0, x->dtype, flat.rank, flat.dim))
        return false;
    for (int64_t g = 0; g < groups; g++)
        for (int64_t k = 0; k < outer; k++)
            memcpy((char *)c->out[0].data + (size_t)(k * groups + g) * block,
                   items + (size_t)(first[g] * outer + k) * block, block);
    return unique_lists(c, n, groups, group, first, count);
}
