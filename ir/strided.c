/* Strided copies: what Slice, Transpose, Gather and Concat are once the types are forgotten.
 *
 * Axes that lie behind each other in both arrays are merged. One axis is then best for writing (smallest
 * stride in dst) and one for reading: where they are the same, runs are copied along it; where they differ it
 * is a transpose, which goes tile by tile so that both sides stay in cache.
 */
#include <string.h>

#include "strided.h"

typedef struct {
    int64_t n, to, from;
} Axis;

enum { TILE = 32 };

#define COPY_EACH(size)                                                                                      \
    for (int64_t k = 0; k < n; k++)                                                                          \
    memcpy(dst + k * to * (size), src + k * from * (size), (size))

static void run(uint8_t *dst, int64_t to, const uint8_t *src, int64_t from, int64_t n, size_t element) {
    if (to == 1 && from == 1) {
        memcpy(dst, src, (size_t)n * element);
        return;
    }
    switch (element) {
    case 1: COPY_EACH(1); break;
    case 2: COPY_EACH(2); break;
    case 4: COPY_EACH(4); break;
    case 8: COPY_EACH(8); break;
    default: COPY_EACH(16); break;
    }
}

/* Drops axes of one element and merges neighbours; returns how many are left. */
static int32_t simplify(Axis *axis, int32_t rank) {
    int32_t n = 0;
    for (int32_t i = 0; i < rank; i++) {
        if (axis[i].n == 1)
            continue;
        Axis *last = n ? &axis[n - 1] : NULL;
        if (last && last->to == axis[i].to * axis[i].n && last->from == axis[i].from * axis[i].n)
            *last = (Axis){last->n * axis[i].n, axis[i].to, axis[i].from};
        else
            axis[n++] = axis[i];
    }
    return n;
}

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

/* Takes the axis of the smallest stride out of the list and returns it. */
static Axis take(Axis *axis, int32_t *rank, bool writing) {
    int32_t best = *rank - 1;
    for (int32_t i = *rank - 1; i >= 0; i--) {
        int64_t a = magnitude(writing ? axis[i].to : axis[i].from);
        int64_t b = magnitude(writing ? axis[best].to : axis[best].from);
        best = a < b ? i : best;
    }
    Axis taken = axis[best];
    memmove(axis + best, axis + best + 1, (size_t)(*rank - best - 1) * sizeof *axis);
    --*rank;
    return taken;
}

/* The innermost two axes: x is best for writing, y for reading. */
static void plane(uint8_t *dst, const uint8_t *src, const Axis *x, const Axis *y, size_t element) {
    int64_t size = (int64_t)element, tile = y->n > 1 ? TILE : x->n;
    for (int64_t i = 0; i < x->n; i += tile) {
        int64_t width = x->n - i < tile ? x->n - i : tile;
        for (int64_t k = 0; k < y->n; k++)
            run(dst + (i * x->to + k * y->to) * size, x->to, src + (i * x->from + k * y->from) * size,
                x->from, width, element);
    }
}

/* Steps to the next index of the outer axes; false after the last. */
static bool next(const Axis *axis, int32_t rank, int64_t *index, int64_t *to, int64_t *from) {
    for (int32_t i = rank; i-- > 0;) {
        *to += axis[i].to;
        *from += axis[i].from;
        if (++index[i] < axis[i].n)
            return true;
        *to -= axis[i].n * axis[i].to;
        *from -= axis[i].n * axis[i].from;
        index[i] = 0;
    }
    return false;
}

void tg_copy_strided(void *dst, const int64_t *to, const void *src, const int64_t *from, int32_t rank,
                     const int64_t *n, size_t element) {
    Axis axis[TG_STRIDED_RANK] = {{0}}, inner = {1, 1, 1}, across = {1, 1, 1};
    int64_t index[TG_STRIDED_RANK] = {0}, dst_at = 0, src_at = 0;
    for (int32_t i = 0; i < rank; i++) {
        axis[i] = (Axis){n[i], to[i], from[i]};
        if (!n[i])
            return;
    }
    rank = simplify(axis, rank);
    if (rank)
        inner = take(axis, &rank, true);
    if (rank && magnitude(inner.from) != 1)
        across = take(axis, &rank, false);
    do
        plane((uint8_t *)dst + dst_at * (int64_t)element, (const uint8_t *)src + src_at * (int64_t)element,
              &inner, &across, element);
    while (next(axis, rank, index, &dst_at, &src_at));
}
