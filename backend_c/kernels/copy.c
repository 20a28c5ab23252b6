/* Copies between strided arrays.
 *
 * Idea: axes are sorted by the strides of the target (so that it is written in order) and merged where both sides
 * advance as one. What is left is one of three: runs that lie side by side on both sides (memcpy), a transposition
 * (the source is contiguous along another axis: square blocks, so that every cache line that is read or written is
 * used whole), or a strided walk. The index space without the innermost axis (or two) is cut into tasks of about
 * PIECE bytes, by sizes alone. Cost: one pass over both; no memory.
 */
#include "copy.h"

#include <string.h>

enum { PIECE = 64 * 1024, BLOCK = 16 };

typedef struct {
    tgk_move m;       /* sorted and merged; rank >= 1 */
    int32_t outer;    /* axes that tasks walk: the first ones */
    int32_t across;   /* transposition: the axis along which the source is contiguous; -1: none */
    int64_t count;    /* index combinations of the outer axes */
    int64_t step;     /* of them per task */
} tgk_copy_plan;

/* --- preparing ---------------------------------------------------------------------------------------------------- */

static int64_t tgk_copy_size(int64_t stride)
{
    return stride < 0 ? -stride : stride;
}

/* By falling stride of the target; axes of one element go. */
static void tgk_copy_sort(tgk_move *m)
{
    int32_t n = 0;
    for (int32_t a = 0; a < m->rank; a++) {
        int64_t dim = m->dim[a], from = m->from_stride[a], to = m->to_stride[a];
        if (dim == 1)
            continue;
        int32_t k = n++;
        for (; k > 0 && tgk_copy_size(m->to_stride[k - 1]) < tgk_copy_size(to); k--) {
            m->dim[k] = m->dim[k - 1];
            m->from_stride[k] = m->from_stride[k - 1];
            m->to_stride[k] = m->to_stride[k - 1];
        }
        m->dim[k] = dim;
        m->from_stride[k] = from;
        m->to_stride[k] = to;
    }
    m->rank = n;
}

/* Neighbours that advance as one on both sides become one axis. At least one axis is left. */
static void tgk_copy_merge(tgk_move *m)
{
    int32_t n = 0;
    for (int32_t a = 0; a < m->rank; a++) {
        if (n > 0 && m->from_stride[n - 1] == m->from_stride[a] * m->dim[a] &&
            m->to_stride[n - 1] == m->to_stride[a] * m->dim[a]) {
            m->dim[n - 1] *= m->dim[a];
        } else {
            m->dim[n++] = m->dim[a];
        }
        m->from_stride[n - 1] = m->from_stride[a];
        m->to_stride[n - 1] = m->to_stride[a];
    }
    if (n == 0) {
        m->dim[0] = m->from_stride[0] = m->to_stride[0] = 1;
        n = 1;
    }
    m->rank = n;
}

static void tgk_copy_swap(tgk_move *m, int32_t a, int32_t b)
{
    int64_t dim = m->dim[a], from = m->from_stride[a], to = m->to_stride[a];
    m->dim[a] = m->dim[b];
    m->from_stride[a] = m->from_stride[b];
    m->to_stride[a] = m->to_stride[b];
    m->dim[b] = dim;
    m->from_stride[b] = from;
    m->to_stride[b] = to;
}

/* A transposition: the target is contiguous along the last axis, the source along another one, which becomes the
 * last but one. */
static int32_t tgk_copy_find_across(tgk_move *m)
{
    int32_t last = m->rank - 1;
    if (m->to_stride[last] != 1 || m->from_stride[last] == 1 || m->from_stride[last] == 0)
        return -1;
    for (int32_t a = last - 1; a >= 0; a--)
        if (m->from_stride[a] == 1 && m->dim[a] >= 4) {
            for (int32_t k = a; k < last - 1 && k + 1 < TGK_RANK; k++) /* the others keep their order */
                tgk_copy_swap(m, k, k + 1);
            return last - 1;
        }
    return -1;
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

/* n elements with strides; the element size is a constant in every call of memcpy, so each is one load and one
 * store. */
static void tgk_copy_row(unsigned char *to, int64_t to_step, const unsigned char *from, int64_t from_step, int64_t n,
                         int32_t size)
{
    if (to_step == size && from_step == size) {
        memcpy(to, from, (size_t)(n * size));
        return;
    }
#define TGK_COPY_ROW(bytes)                                \
    case bytes:                                            \
        for (int64_t i = 0; i < n; i++)                    \
            memcpy(to + i * to_step, from + i * from_step, bytes); \
        break;
    switch (size) {
        TGK_COPY_ROW(1)
        TGK_COPY_ROW(2)
        TGK_COPY_ROW(4)
        TGK_COPY_ROW(8)
        TGK_COPY_ROW(16)
    default: break;
    }
#undef TGK_COPY_ROW
}

static int64_t tgk_copy_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* rows x cols: the target is contiguous along cols, the source along rows. */
static void tgk_copy_block(const tgk_copy_plan *p, unsigned char *to, const unsigned char *from, int64_t row,
                           int64_t rows)
{
    const tgk_move *m = &p->m;
    int32_t last = m->rank - 1;
    int64_t size = m->size, cols = m->dim[last];
    int64_t to_row = m->to_stride[last - 1] * size, from_col = m->from_stride[last] * size;
    for (int64_t c = 0; c < cols; c += BLOCK) {
        int64_t width = tgk_copy_least(BLOCK, cols - c);
        for (int64_t r = row; r < row + rows; r++)
            tgk_copy_row(to + r * to_row + c * size, size, from + r * size + c * from_col, from_col, width, m->size);
    }
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void tgk_copy_one(const tgk_copy_plan *p, int64_t index)
{
    const tgk_move *m = &p->m;
    const int64_t size = m->size;
    const unsigned char *from = (const unsigned char *)m->from;
    unsigned char *to = (unsigned char *)m->to;
    int64_t block = 0;
    if (p->across >= 0) { /* the innermost index counts blocks of rows */
        int64_t blocks = (m->dim[p->across] + BLOCK - 1) / BLOCK;
        block = index % blocks * BLOCK;
        index /= blocks;
    }
    for (int32_t a = p->outer - 1; a >= 0; a--) {
        int64_t at = index % m->dim[a];
        index /= m->dim[a];
        from += at * m->from_stride[a] * size;
        to += at * m->to_stride[a] * size;
    }
    int32_t last = m->rank - 1;
    if (p->across >= 0)
        tgk_copy_block(p, to, from, block, tgk_copy_least(BLOCK, m->dim[p->across] - block));
    else
        tgk_copy_row(to, m->to_stride[last] * size, from, m->from_stride[last] * size, m->dim[last], m->size);
}

static void tgk_copy_task(void *arg, int64_t i)
{
    const tgk_copy_plan *p = (const tgk_copy_plan *)arg;
    int64_t end = tgk_copy_least((i + 1) * p->step, p->count);
    for (int64_t k = i * p->step; k < end; k++)
        tgk_copy_one(p, k);
}

/* One long run is cut into pieces: an axis of its own in front. */
static void tgk_copy_cut_run(tgk_move *m)
{
    int64_t piece = PIECE / m->size, n = m->dim[0];
    if (m->rank != 1 || n < 2 * piece || n % piece)
        return;
    m->rank = 2;
    m->dim[1] = piece;
    m->from_stride[1] = m->from_stride[0];
    m->to_stride[1] = m->to_stride[0];
    m->dim[0] = n / piece;
    m->from_stride[0] *= piece;
    m->to_stride[0] *= piece;
}

static int tgk_copy_is_done(const tgk_move *m)
{
    int same = m->from == m->to;
    for (int32_t a = 0; a < m->rank; a++) {
        if (m->dim[a] <= 0)
            return 1;
        same &= m->from_stride[a] == m->to_stride[a] || m->dim[a] == 1;
    }
    return same;
}

static void tgk_copy_merged(const tgk_ctx *c, const tgk_move *m)
{
    tgk_copy_plan p = {*m, 0, -1, 1, 1};
    p.across = tgk_copy_find_across(&p.m);
    p.outer = p.across >= 0 ? p.m.rank - 2 : p.m.rank - 1;
    for (int32_t a = 0; a < p.outer; a++)
        p.count *= p.m.dim[a];
    int64_t bytes = p.m.size * p.m.dim[p.m.rank - 1];
    if (p.across >= 0) {
        p.count *= (p.m.dim[p.across] + BLOCK - 1) / BLOCK;
        bytes *= BLOCK;
    }
    p.step = bytes < PIECE ? PIECE / bytes : 1;
    tgk_for(c, tgk_copy_task, &p, (p.count + p.step - 1) / p.step);
}

void tgk_copy(const tgk_ctx *c, const tgk_move *m)
{
    if (tgk_copy_is_done(m))
        return;
    tgk_move n = *m;
    tgk_copy_sort(&n);
    tgk_copy_merge(&n);
    if (n.rank == 1) { /* whole pieces, then what is left */
        int64_t piece = PIECE / n.size, left = n.dim[0] % piece;
        if (n.dim[0] >= 2 * piece && left) {
            tgk_move rest = n;
            rest.dim[0] = left;
            n.dim[0] -= left;
            rest.from = (const unsigned char *)n.from + n.dim[0] * n.from_stride[0] * n.size;
            rest.to = (unsigned char *)n.to + n.dim[0] * n.to_stride[0] * n.size;
            tgk_copy_merged(c, &rest);
        }
        tgk_copy_cut_run(&n);
    }
    tgk_copy_merged(c, &n);
}

/* --- caches ------------------------------------------------------------------------------------------------------- */

static void tgk_append_run(unsigned char *to, int64_t to_step, const unsigned char *from, int64_t from_step, int64_t n,
                           int64_t width)
{
    if (n > 0 && to_step == width && from_step == width) {
        memcpy(to, from, (size_t)(n * width));
        return;
    }
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * to_step, from + i * from_step, (size_t)width);
}

static int tgk_append_is_in_place(const tgk_append_args *a)
{
    return a->from == a->to && a->from_stride[0] == a->to_stride[0] && a->from_stride[1] == a->to_stride[1] &&
           a->from_stride[2] == a->to_stride[2];
}

/* One head of one entry. */
static void tgk_append_task(void *arg, int64_t i)
{
    const tgk_append_args *a = (const tgk_append_args *)arg;
    const int64_t b = i / a->heads, h = i % a->heads, first = a->first[b], step = a->to_stride[2], width = a->width;
    unsigned char *to = (unsigned char *)a->to + b * a->to_stride[0] + h * a->to_stride[1];
    const unsigned char *fresh = (const unsigned char *)a->fresh + b * a->fresh_stride[0] + h * a->fresh_stride[1];
    tgk_append_run(to + first * step, step, fresh, a->fresh_stride[2], a->rows, width);
    const int in_place = tgk_append_is_in_place(a);
    if (first > 0 && !in_place)
        tgk_append_run(to, step, (const unsigned char *)a->from + b * a->from_stride[0] + h * a->from_stride[1],
                       a->from_stride[2], first, width);
    for (int64_t k = first + a->rows; k < a->room && !(in_place && a->shared); k++)
        memset(to + k * step, 0, (size_t)width);
}

tgk_status tgk_append(const tgk_ctx *c, const tgk_append_args *a)
{
    for (int64_t b = 0; b < a->batch; b++)
        if (a->first[b] < 0 || a->first[b] > a->past || a->first[b] > a->room - a->rows)
            return TGK_BAD_INDEX;
    tgk_append_args copy = *a;
    if (a->width > 0 && a->heads > 0)
        tgk_for(c, tgk_append_task, &copy, a->batch * a->heads);
    return TGK_OK;
}
