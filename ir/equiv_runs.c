/* Constants that are a few runs along their axes: signs of halves, masks of parts, scales of heads.
 *
 * Any weights will not do for them, for a rewrite counts on their elements; and kept as they are they would keep the
 * size of their axis, and with it that of all that they meet (-1 32 times, then 1 32 times, over 32 heads of 128
 * positions). But they are as a rule of sizes: so many of this, so many of that. So they shrink with the sizes: the
 * lengths of the runs are numbers of the question like those of Split, with the axis as their sum, and the small
 * constant has as many runs, with the same elements.
 *
 * Only floats: integers may be indices, which are numbers themselves. At most TABLE elements are looked at, and of most
 * weights only the first few. */
#include "equiv_shrink.h"

/* Elements of t before axis, on it, and behind it. */
typedef struct {
    size_t outer, size, bytes;
} Along;

static Along along(const TgTensor *t, int32_t axis)
{
    Along a = {1, (size_t)t->dim[axis], tg_dtype_bits(t->dtype) / 8};
    for (int32_t i = 0; i < axis; i++)
        a.outer *= (size_t)t->dim[i];
    for (int32_t i = axis + 1; i < t->rank; i++)
        a.bytes *= (size_t)t->dim[i];
    return a;
}

/* Position i of the axis holds what i - 1 holds. */
static bool goes_on(const TgTensor *t, const Along *a, size_t i)
{
    for (size_t o = 0; o < a->outer; o++) {
        const uint8_t *at = t->bytes + (o * a->size + i) * a->bytes;
        if (memcmp(at - a->bytes, at, a->bytes) != 0)
            return false;
    }
    return true;
}

uint32_t shrink_runs(const TgTensor *t, int32_t axis, int64_t length[SIDE])
{
    Along a = along(t, axis);
    uint32_t n = 0;
    for (size_t i = 0; i < a.size; i++) {
        if (i > 0 && goes_on(t, &a, i)) {
            length[n - 1]++;
            continue;
        }
        if (n == SIDE)
            return 0;
        length[n++] = 1;
    }
    return n;
}

bool shrink_has_runs(const TgTensor *t)
{
    int64_t length[SIDE];
    bool large = false;
    if ((t->payload != TG_MAPPED && t->payload != TG_OWNED) || !tg_is_float(t->dtype) ||
        tg_dtype_bits(t->dtype) % 8 || !t->count || t->count > TABLE)
        return false;
    for (int32_t i = t->rank - 1; i >= 0; i--) {
        bool long_axis = t->dim[i] >= FIXED;
        large |= long_axis;
        if (long_axis && !shrink_runs(t, i, length))
            return false;
    }
    return large;
}

/* t with axis in runs of the given lengths. */
static const TgTensor *with_runs(TgArena *arena, const TgTensor *t, int32_t axis, uint32_t n, const int64_t *old,
                                 const int64_t *made)
{
    int64_t dim[TG_MAX_RANK], size = 0;
    void *bytes;
    for (uint32_t i = 0; i < n; i++)
        size += made[i];
    memcpy(dim, t->dim, (size_t)t->rank * sizeof *dim);
    dim[axis] = size;
    const TgTensor *result = tg_tensor_blank(arena, t->dtype, t->rank, dim, &bytes);
    Along a = along(t, axis);
    uint8_t *to = bytes;
    for (size_t o = 0; o < a.outer; o++) {
        const uint8_t *from = t->bytes + o * a.size * a.bytes;
        for (uint32_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < made[i]; k++, to += a.bytes)
                memcpy(to, from, a.bytes);
            from += (size_t)old[i] * a.bytes;
        }
    }
    return result;
}

const TgTensor *shrink_shorten(const Shrink *s, TgArena *arena, const TgTensor *t)
{
    for (int32_t axis = 0; axis < t->rank; axis++) {
        int64_t old[SIDE], made[SIDE], sum = 0;
        if (shrink_mapped(s, t->dim[axis]) == t->dim[axis])
            continue;
        uint32_t n = shrink_runs(t, axis, old);
        for (uint32_t i = 0; i < n; i++)
            sum += made[i] = shrink_mapped(s, old[i]);
        if (!n || sum != shrink_mapped(s, t->dim[axis]))
            return NULL;
        t = with_runs(arena, t, axis, n, old, made);
    }
    return t;
}
