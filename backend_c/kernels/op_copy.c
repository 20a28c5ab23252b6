/* The strided copy: any axes in any order, elements of 1, 2, 4, 8 or 16 bytes.
 *
 * Axes that advance as one on both sides are merged first. What is left is a plane of the two axes that matter (the one
 * along which the source is contiguous, and the innermost one of the destination), copied row by row where they are the
 * same axis, in square blocks where they are not; all other axes count around it. A block goes through a buffer on the
 * stack, so that lines are read and written whole, however badly their addresses share the sets of the cache.
 * Tasks are pieces of at least TASK elements. Cost: every element is read and written once. */
#include "op_copy.h"

#include "op_array.h"

enum {
    BLOCK = 16,      /* rows of a strip are a multiple of it */
    LINE = 64,       /* bytes of a side of a block */
    PITCH = LINE + 16, /* of its lines on the stack */
    AREA = 4,        /* blocks of a side of an area */
    WIDE = 256,      /* elements of a side where the other one is short */
    TASK = 64 * 1024 /* elements that are worth a task */
};

typedef struct {
    const char *from;
    char *to;
    int64_t size;
    tgk_box box;
    int64_t rows;   /* of a plane that one unit of work copies */
    int64_t strips; /* units of a plane */
    int64_t units, per_task;
} Copy;

/* Drops axes of size 1 and merges neighbours that advance as one on both sides. False: the box is empty. */
static bool simplify(const tgk_box *b, tgk_box *s)
{
    s->rank = 0;
    for (int32_t i = 0; i < b->rank; i++) {
        int32_t last = s->rank - 1;
        if (b->dim[i] == 0)
            return false;
        if (b->dim[i] == 1)
            continue;
        if (last >= 0 && s->from[last] == b->from[i] * b->dim[i] && s->to[last] == b->to[i] * b->dim[i]) {
            s->dim[last] *= b->dim[i];
        } else {
            last = s->rank++;
            s->dim[last] = b->dim[i];
        }
        s->from[last] = b->from[i];
        s->to[last] = b->to[i];
    }
    return true;
}

static void append_axis(tgk_box *b, int64_t dim, int64_t from, int64_t to)
{
    b->dim[b->rank] = dim;
    b->from[b->rank] = from;
    b->to[b->rank++] = to;
}

/* At least two axes; the one along which the source is contiguous lies beside the innermost one. */
static void pair_axes(const tgk_box *s, tgk_box *b)
{
    int32_t inner = s->rank - 1, row = s->rank - 2;
    b->rank = 0;
    for (int32_t i = 0; i < inner; i++)
        row = s->from[i] == 1 ? i : row;
    for (int32_t i = 0; i < inner; i++)
        if (i != row)
            append_axis(b, s->dim[i], s->from[i], s->to[i]);
    if (row >= 0)
        append_axis(b, s->dim[row], s->from[row], s->to[row]);
    else
        append_axis(b, 1, 0, 0);
    if (inner >= 0)
        append_axis(b, s->dim[inner], s->from[inner], s->to[inner]);
    else
        append_axis(b, 1, 1, 1);
}

/* A rectangle of a plane: n rows, m columns; strides in elements. */
typedef struct {
    const char *from;
    char *to;
    int64_t n, m, from_row, from_step, to_row, to_step;
} Block;

/* As it lies. */
#define MOVE_BLOCK(BYTES)                                                                                              \
    for (int64_t i = 0; i < b->n; i++)                                                                                 \
        for (int64_t j = 0; j < b->m; j++)                                                                             \
            memcpy(b->to + (i * b->to_row + j * b->to_step) * (BYTES),                                                 \
                   b->from + (i * b->from_row + j * b->from_step) * (BYTES), (BYTES))

/* The same where the source is contiguous along rows and the destination along columns, at most LINE bytes each. */
#define TURN_BLOCK(BYTES, N, M)                                                                                        \
    for (int64_t j = 0; j < (M); j++)                                                                                  \
        for (int64_t i = 0; i < (N); i++)                                                                              \
            memcpy(lines + i * PITCH + j * (BYTES), b->from + (i + j * b->from_step) * (BYTES), (BYTES));              \
    for (int64_t i = 0; i < (N); i++)                                                                                  \
        memcpy(b->to + i * b->to_row * (BYTES), lines + i * PITCH, (size_t)(M) * (BYTES))
#define TURN(BYTES)                                                                                                    \
    if (b->n == LINE / (BYTES) && b->m == LINE / (BYTES)) {                                                            \
        TURN_BLOCK(BYTES, LINE / (BYTES), LINE / (BYTES));                                                             \
    } else {                                                                                                           \
        TURN_BLOCK(BYTES, b->n, b->m);                                                                                 \
    }                                                                                                                  \
    break

static void turn_block(const Block *b, int64_t size)
{
    char lines[LINE * PITCH];
    switch (size) {
    case 1: TURN(1);
    case 2: TURN(2);
    case 4: TURN(4);
    case 8: TURN(8);
    default: TURN(16);
    }
}

static void move_block(const Block *b, int64_t size)
{
    switch (size) {
    case 1: MOVE_BLOCK(1); break;
    case 2: MOVE_BLOCK(2); break;
    case 4: MOVE_BLOCK(4); break;
    case 8: MOVE_BLOCK(8); break;
    default: MOVE_BLOCK(16); break;
    }
}

/* Blocks of [i0, i1) x [j0, j1) of the plane p. */
static void copy_area(const Block *p, int64_t size, bool turn, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    const int64_t side = LINE / size, rows = turn ? side : BLOCK, columns = turn ? side : p->n < BLOCK ? WIDE : BLOCK;
    for (int64_t i = i0; i < i1; i += rows)
        for (int64_t j = j0; j < j1; j += columns) {
            Block b = *p;
            b.from += (i * p->from_row + j * p->from_step) * size;
            b.to += (i * p->to_row + j * p->to_step) * size;
            b.n = i1 - i < rows ? i1 - i : rows;
            b.m = j1 - j < columns ? j1 - j : columns;
            if (turn)
                turn_block(&b, size);
            else
                move_block(&b, size);
        }
}

/* Rows [first, last) of a plane, area by area: some lines of either side that lie behind one another. */
static void copy_blocks(const Copy *c, const char *from, char *to, int64_t first, int64_t last)
{
    const int32_t row = c->box.rank - 2, column = row + 1;
    const Block p = {from, to, last - first, c->box.dim[column], c->box.from[row], c->box.from[column], c->box.to[row],
                     c->box.to[column]};
    const bool turn = p.from_row == 1 && p.to_step == 1 && p.n >= LINE / c->size / 2;
    const int64_t area = turn ? AREA * LINE / c->size : WIDE;
    for (int64_t i = first; i < last; i += area)
        for (int64_t j = 0; j < p.m; j += area)
            copy_area(&p, c->size, turn, i, i + area < last ? i + area : last, j, j + area < p.m ? j + area : p.m);
}

static void copy_plane(const Copy *c, const char *from, char *to, int64_t first, int64_t last)
{
    const int32_t row = c->box.rank - 2, column = c->box.rank - 1;
    if (c->box.from[column] != 1 || c->box.to[column] != 1) {
        copy_blocks(c, from, to, first, last);
        return;
    }
    const size_t bytes = (size_t)(c->box.dim[column] * c->size);
    for (int64_t i = first; i < last; i++)
        tgk_put(to + i * c->box.to[row] * c->size, from + i * c->box.from[row] * c->size, bytes);
}

static void copy_units(void *arg, int64_t task)
{
    const Copy *c = (const Copy *)arg;
    const tgk_box *b = &c->box;
    const int32_t outer = b->rank - 2;
    int64_t unit = task * c->per_task, end = unit + c->per_task < c->units ? unit + c->per_task : c->units;
    int64_t strip = unit % c->strips, place = unit / c->strips, index[TGK_BOX_RANK], from = 0, to = 0;
    for (int32_t i = outer - 1; i >= 0; i--) {
        index[i] = place % b->dim[i];
        place /= b->dim[i];
        from += index[i] * b->from[i];
        to += index[i] * b->to[i];
    }
    for (; unit < end; unit++) {
        const int64_t first = strip * c->rows, most = b->dim[outer] - first;
        copy_plane(c, c->from + from * c->size, c->to + to * c->size, first, first + (most < c->rows ? most : c->rows));
        if (++strip < c->strips)
            continue;
        strip = 0;
        for (int32_t i = outer - 1; i >= 0; i--) {
            from += b->from[i];
            to += b->to[i];
            if (++index[i] < b->dim[i])
                break;
            from -= b->from[i] * b->dim[i];
            to -= b->to[i] * b->dim[i];
            index[i] = 0;
        }
    }
}

void tgk_copy_box(const tgk_ctx *c, size_t size, const void *from, void *to, const tgk_box *box)
{
    tgk_box simple;
    Copy copy = {.from = (const char *)from, .to = (char *)to, .size = (int64_t)size};
    if (!simplify(box, &simple))
        return;
    pair_axes(&simple, &copy.box);
    const int32_t row = copy.box.rank - 2;
    const int64_t rows = copy.box.dim[row], columns = copy.box.dim[row + 1];
    copy.rows = (TASK / columns + BLOCK) / BLOCK * BLOCK;
    copy.rows = copy.rows < rows ? copy.rows : rows;
    copy.strips = (rows + copy.rows - 1) / copy.rows;
    copy.units = tgk_count(copy.box.dim, 0, row) * copy.strips;
    copy.per_task = TASK / (copy.rows * columns) + 1;
    tgk_for(c, copy_units, &copy, (copy.units + copy.per_task - 1) / copy.per_task);
}
