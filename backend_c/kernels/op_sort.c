/* TopK and Unique, without memory of their own: they sort where their results lie.
 *
 * Elements of every type are compared by a key of 64 bits, whose order as an unsigned number is theirs: NaN above
 * all, -0 equal to 0. TopK keeps the best k elements of a line in a heap whose root is the worst of them: n log k.
 * Unique sorts a copy of the operand in its result (a heap sort, so there is no recursion and no bad case), drops
 * what is equal, and then looks every element up: n log n; in the order of first appearance it compares with all
 * groups so far: n times their number. */
#include "op_sort.h"

#include "op_array.h"

static const uint64_t SIGN = (uint64_t)1 << 63;

/* Of the bits of a float, shifted to the top; `infinity` likewise. */
static uint64_t float_key(uint64_t bits, uint64_t infinity)
{
    const uint64_t magnitude = bits & ~SIGN;
    if (magnitude > infinity)
        return UINT64_MAX;
    return bits & SIGN ? SIGN - magnitude : SIGN + magnitude;
}

static uint64_t key_of(tgk_type type, const char *at)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    switch (type) {
    case TGK_F64: memcpy(&u64, at, sizeof u64); return float_key(u64, (uint64_t)0x7ff << 52);
    case TGK_I64: memcpy(&u64, at, sizeof u64); return u64 ^ SIGN;
    case TGK_U64: memcpy(&u64, at, sizeof u64); return u64;
    case TGK_F32: memcpy(&u32, at, sizeof u32); return float_key((uint64_t)u32 << 32, (uint64_t)0xff << 55);
    case TGK_I32: memcpy(&u32, at, sizeof u32); return u32 ^ (uint32_t)1 << 31;
    case TGK_U32: memcpy(&u32, at, sizeof u32); return u32;
    case TGK_F16: memcpy(&u16, at, sizeof u16); return float_key((uint64_t)u16 << 48, (uint64_t)0x1f << 58);
    case TGK_BF16: memcpy(&u16, at, sizeof u16); return float_key((uint64_t)u16 << 48, (uint64_t)0xff << 55);
    case TGK_I16: memcpy(&u16, at, sizeof u16); return u16 ^ (uint64_t)1 << 15;
    case TGK_U16: memcpy(&u16, at, sizeof u16); return u16;
    case TGK_I8: case TGK_I4: case TGK_I2: return (uint8_t)*at ^ (uint64_t)1 << 7;
    default: return (uint8_t)*at;
    }
}

/* --- TopK --------------------------------------------------------------------------------------------------------- */

/* The chosen elements of one line, in the results: entry i is value[i] and index[i] (one of them may be missing), which
 * are `step` elements apart, as those of the line are. */
typedef struct {
    tgk_type type;
    size_t size;
    int64_t step;
    uint64_t flip; /* turns the order around */
    const char *line;
    char *value;
    int64_t *index;
} Heap;

static uint64_t line_key(const Heap *h, int64_t i)
{
    return key_of(h->type, h->line + (size_t)(i * h->step) * h->size) ^ h->flip;
}

static uint64_t entry_key(const Heap *h, int64_t i)
{
    return h->index ? line_key(h, h->index[i * h->step])
                    : key_of(h->type, h->value + (size_t)(i * h->step) * h->size) ^ h->flip;
}

/* Entry a comes before entry b; of equal elements the first of the line does. */
static bool before(const Heap *h, int64_t a, int64_t b)
{
    const uint64_t x = entry_key(h, a), y = entry_key(h, b);
    return x > y || (x == y && h->index && h->index[a * h->step] < h->index[b * h->step]);
}

static void set_entry(const Heap *h, int64_t entry, int64_t i)
{
    if (h->value)
        memcpy(h->value + (size_t)(entry * h->step) * h->size, h->line + (size_t)(i * h->step) * h->size, h->size);
    if (h->index)
        h->index[entry * h->step] = i;
}

static void swap_entries(const Heap *h, int64_t a, int64_t b)
{
    char spare[16];
    if (h->value) {
        char *x = h->value + (size_t)(a * h->step) * h->size, *y = h->value + (size_t)(b * h->step) * h->size;
        memcpy(spare, x, h->size);
        memcpy(x, y, h->size);
        memcpy(y, spare, h->size);
    }
    if (h->index) {
        const int64_t other = h->index[a * h->step];
        h->index[a * h->step] = h->index[b * h->step];
        h->index[b * h->step] = other;
    }
}

/* Below `i`, of n entries, every entry comes before the one above it; now at `i` too. */
static void sink(const Heap *h, int64_t i, int64_t n)
{
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(h, child, child + 1))
            child++;
        if (before(h, child, i))
            return;
        swap_entries(h, i, child);
        i = child;
    }
}

static void top_of_line(const Heap *h, int64_t n, int64_t k)
{
    if (k == 0)
        return;
    for (int64_t i = 0; i < k; i++)
        set_entry(h, i, i);
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        sink(h, i, k);
    uint64_t worst = entry_key(h, 0);
    for (int64_t i = k; i < n; i++)
        if (line_key(h, i) > worst) {
            set_entry(h, 0, i);
            sink(h, 0, k);
            worst = entry_key(h, 0);
        }
    for (int64_t last = k - 1; last > 0; last--) {
        swap_entries(h, 0, last);
        sink(h, 0, last);
    }
}

tgk_status tgk_TopK(const tgk_ctx *c, tgk_TopK_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    int64_t dim[TGK_RANK];
    int32_t axis;
    if (!tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_INDEX;
    if (tgk_elements(&a->in[1]) != 1)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < x->rank; i++)
        dim[i] = x->dim[i];
    const int64_t n = dim[axis], k = *(const int64_t *)a->in[1].at, step = tgk_count(dim, axis + 1, x->rank);
    if (k < 0 || k > n)
        return TGK_BAD_VALUE;
    dim[axis] = k;
    tgk_status status = tgk_shape(&a->out[0], x->rank, dim);
    if (status == TGK_OK)
        status = tgk_shape(&a->out[1], x->rank, dim);
    if (status != TGK_OK || (!a->out[0].at && !a->out[1].at))
        return status;
    const int64_t lines = n == 0 ? 0 : tgk_elements(x) / n;
    Heap h = {.type = x->type, .size = tgk_bytes_of(x->type), .step = step, .flip = a->largest ? 0 : UINT64_MAX};
    for (int64_t line = 0; line < lines; line++) {
        const int64_t from = line / step * step * n + line % step, to = line / step * step * k + line % step;
        h.line = (const char *)x->at + (size_t)from * h.size;
        h.value = a->out[0].at ? (char *)a->out[0].at + (size_t)to * h.size : NULL;
        h.index = a->out[1].at ? (int64_t *)a->out[1].at + to : NULL;
        top_of_line(&h, n, k);
    }
    return TGK_OK;
}

/* --- Unique ------------------------------------------------------------------------------------------------------- */

/* Items are slices along an axis: item i of [outer, n, inner] elements. */
typedef struct {
    tgk_type type;
    size_t size;
    int64_t outer, n, inner;
    char *at;
} Items;

static char *part(const Items *s, int64_t item, int64_t k) /* number k of the `outer` parts of an item */
{
    return s->at + (size_t)((k * s->n + item) * s->inner) * s->size;
}

/* < 0, 0, > 0: item a of s against item b of t. */
static int compare(const Items *s, int64_t a, const Items *t, int64_t b)
{
    for (int64_t k = 0; k < s->outer; k++) {
        const char *x = part(s, a, k), *y = part(t, b, k);
        for (int64_t i = 0; i < s->inner; i++, x += s->size, y += s->size) {
            const uint64_t p = key_of(s->type, x), q = key_of(s->type, y);
            if (p != q)
                return p < q ? -1 : 1;
        }
    }
    return 0;
}

static void swap_items(const Items *s, int64_t a, int64_t b)
{
    char spare[16];
    for (int64_t k = 0; k < s->outer; k++) {
        char *x = part(s, a, k), *y = part(s, b, k);
        for (int64_t i = 0; i < s->inner; i++, x += s->size, y += s->size) {
            memcpy(spare, x, s->size);
            memcpy(x, y, s->size);
            memcpy(y, spare, s->size);
        }
    }
}

static void sink_item(const Items *s, int64_t i, int64_t n)
{
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && compare(s, child, s, child + 1) < 0)
            child++;
        if (compare(s, i, s, child) >= 0)
            return;
        swap_items(s, i, child);
        i = child;
    }
}

static void sort_items(const Items *s)
{
    for (int64_t i = s->n / 2 - 1; i >= 0; i--)
        sink_item(s, i, s->n);
    for (int64_t last = s->n - 1; last > 0; last--) {
        swap_items(s, 0, last);
        sink_item(s, 0, last);
    }
}

static void move_item(const Items *s, int64_t from, int64_t to)
{
    for (int64_t k = 0; k < s->outer && from != to; k++)
        memcpy(part(s, to, k), part(s, from, k), (size_t)s->inner * s->size);
}

/* The group of item i of x among the first `groups` items of y, which are sorted. */
static int64_t find_sorted(const Items *x, int64_t i, const Items *y, int64_t groups)
{
    int64_t low = 0, high = groups - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (compare(x, i, y, middle) <= 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The same among the first items of y in any order; `groups` where it is none of them. */
static int64_t find_first(const Items *x, int64_t i, const Items *y, int64_t groups)
{
    for (int64_t g = 0; g < groups; g++)
        if (compare(x, i, y, g) == 0)
            return g;
    return groups;
}

/* Makes y, a copy of x, start with one item per group; returns how many. */
static int64_t collect(const Items *x, const Items *y, bool sorted)
{
    int64_t groups = 0;
    if (sorted)
        sort_items(y);
    for (int64_t i = 0; i < x->n; i++)
        if (sorted ? i == 0 || compare(y, groups - 1, y, i) != 0 : find_first(x, i, y, groups) == groups)
            move_item(y, i, groups++);
    return groups;
}

/* First places, groups and counts of x's items, where wanted. */
static void describe(const Items *x, const Items *y, int64_t groups, bool sorted, tgk_array *out)
{
    int64_t *first = (int64_t *)out[1].at, *group = (int64_t *)out[2].at, *count = (int64_t *)out[3].at;
    for (int64_t g = 0; g < groups; g++) {
        if (first)
            first[g] = -1;
        if (count)
            count[g] = 0;
    }
    for (int64_t i = 0; i < x->n && (first || group || count); i++) {
        const int64_t g = sorted ? find_sorted(x, i, y, groups) : find_first(x, i, y, groups);
        if (first && first[g] < 0)
            first[g] = i;
        if (group)
            group[i] = g;
        if (count)
            count[g]++;
    }
}

/* Brings the first `groups` items of every part together: [outer, n, inner] becomes [outer, groups, inner]. */
static void close_gaps(const Items *y, int64_t groups)
{
    const size_t bytes = (size_t)(groups * y->inner) * y->size;
    for (int64_t k = 1; k < y->outer; k++)
        memmove(y->at + (size_t)k * bytes, part(y, 0, k), bytes);
}

tgk_status tgk_Unique(const tgk_ctx *c, tgk_Unique_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0];
    int64_t dim[TGK_RANK];
    int32_t axis = 0, rank = x->rank;
    const int64_t count = tgk_elements(x);
    for (int32_t i = 0; i < rank; i++)
        dim[i] = x->dim[i];
    if (a->axis == TGK_ABSENT) {
        dim[0] = count;
        rank = 1;
    } else if (!tgk_axis(a->axis, rank, &axis)) {
        return TGK_BAD_INDEX;
    }
    if (!a->out[0].at || a->out[0].room < count)
        return TGK_BAD_SIZE;
    Items items = {x->type, tgk_bytes_of(x->type), tgk_count(dim, 0, axis), dim[axis], tgk_count(dim, axis + 1, rank),
                   (char *)x->at};
    Items own = items;
    own.at = (char *)a->out[0].at;
    if (count > 0)
        memcpy(own.at, items.at, (size_t)count * own.size);
    const int64_t groups = collect(&items, &own, a->sorted != 0);
    tgk_status status = TGK_OK;
    for (int k = 1; k < 4 && status == TGK_OK; k++)
        status = tgk_shape(&a->out[k], 1, k == 2 ? &items.n : &groups);
    dim[axis] = groups;
    if (status == TGK_OK)
        status = tgk_shape(&a->out[0], rank, dim);
    if (status != TGK_OK)
        return status;
    describe(&items, &own, groups, a->sorted != 0, a->out);
    if (count > 0)
        close_gaps(&own, groups);
    return TGK_OK;
}
