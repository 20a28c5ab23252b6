/* Sums of products over named axes.
 *
 * Two factors of float32 that are matrices in disguise go to the matmul of the instruction set. All else is done
 * here: a tile is WIDTH adjacent results; the innermost summed axis runs in pieces of TERMS, whose sums are added up
 * in double (float32), so that errors do not grow with the number of terms. A task is a group of rows of results;
 * within it all rows of one tile come before the next tile, so that what they read of the factors stays in the
 * cache. Cost: factors times results times terms; there are no intermediate arrays, so three factors are not cut
 * into two products (rules that know the sizes do that). */
#include "op_contract.h"

#include "op_array.h"

enum {
    WIDTH = 32,      /* results of a tile */
    TERMS = 256,     /* of a piece */
    LANES = 8,       /* of a product of two rows */
    ROWS = 16,       /* of a task, at most */
    TASK = 32 * 1024 /* products that are worth a task */
};

/* The same with the axes told apart: rows and one column axis of results, outer axes and one inner axis of terms. */
typedef struct {
    const tgk_contraction *a;
    int32_t outer, summed;          /* how many kept axes are rows; how many summed ones are outer */
    int64_t columns, terms;
    int64_t column[TGK_FACTORS], term[TGK_FACTORS]; /* strides along the column and the inner summed axis */
    int64_t rows, per_task;
} Work;

/* Walks all `rank` axes from `first` on; moves the offsets of all factors. False after the last place. */
static bool step_factors(const tgk_contraction *a, int32_t first, int32_t rank, int64_t *index, int64_t *offset)
{
    for (int32_t i = first + rank - 1; i >= first; i--) {
        const bool more = ++index[i - first] < a->dim[i];
        for (int32_t k = 0; k < a->factors; k++)
            offset[k] += more ? a->stride[k][i] : -a->stride[k][i] * (a->dim[i] - 1);
        if (more)
            return true;
        index[i - first] = 0;
    }
    return false;
}

#define NUM float
#define WIDE double
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define G(name) name##_f32
#include "op_contract.inc"
#undef NUM
#undef G

#define NUM double
#define G(name) name##_f64
#include "op_contract.inc"
#undef NUM
#undef WIDE
#undef PLUS
#undef TIMES
#undef G

#define NUM int64_t
#define WIDE int64_t
#define PLUS(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define TIMES(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define G(name) name##_i64
#include "op_contract.inc"

/* --- as a product of matrices ------------------------------------------------------------------------------------- */

/* Axes that act as one: size, and strides in a, b and the result. */
typedef struct {
    int64_t dim, a, b, c;
} Run;

/* Adds an axis behind the run; false: it does not continue it. */
static bool extend(Run *r, const Run *axis)
{
    if (r->dim != 1 && (r->a != axis->a * axis->dim || r->b != axis->b * axis->dim || r->c != axis->c * axis->dim))
        return false;
    const int64_t dim = r->dim * axis->dim;
    *r = *axis;
    r->dim = dim;
    return true;
}

/* rows, columns: from the innermost kept axis outwards as long as they act as one; the rest is batch. */
static bool sort_axes(const tgk_contraction *a, const Run *axis, Run *rows, Run *columns, Run *depth, tgk_matmul *m)
{
    for (int32_t i = a->axes - 1; i >= 0; i--) {
        const Run *x = &axis[i];
        Run *to = i >= a->kept ? depth : x->a == 0 ? columns : x->b == 0 ? rows : NULL;
        if (x->dim == 1)
            continue;
        if (i >= a->kept && (x->a == 0 || x->b == 0))
            return false; /* summed in one factor only */
        Run merged = *x; /* the outer axis, continued by what there is */
        if (to && (to->dim == 1 || extend(&merged, to))) {
            *to = merged;
            continue;
        }
        if (i >= a->kept || m->batch_rank == TGK_RANK - 2)
            return false;
        const int32_t k = m->batch_rank++; /* in reverse; the order does not matter */
        m->batch[k] = x->dim;
        m->a_batch[k] = x->a;
        m->b_batch[k] = x->b;
        m->c_batch[k] = x->c;
    }
    return columns->c == 1 || columns->dim == 1;
}

/* Runs float32 with two factors by the kernel for matrices. False: it is none of that kind. */
static bool as_matrices(const tgk_ctx *c, const tgk_contraction *a)
{
    if (a->factors != 2 || !c->isa || !c->isa->matmul)
        return false;
    int64_t own[TGK_AXES];
    tgk_strides(a->kept, a->dim, own);
    for (int32_t first = 0; first < 2; first++) { /* either factor may be the one with the rows */
        Run axis[TGK_AXES], rows = {1, 0, 0, 0}, columns = {1, 0, 0, 1}, depth = {1, 0, 0, 0};
        tgk_matmul m = {.alpha = 1};
        for (int32_t i = 0; i < a->axes; i++) {
            axis[i].dim = a->dim[i];
            axis[i].a = a->stride[first][i];
            axis[i].b = a->stride[1 - first][i];
            axis[i].c = i < a->kept ? own[i] : 0;
        }
        if (!sort_axes(a, axis, &rows, &columns, &depth, &m))
            continue;
        m.rows = rows.dim;
        m.depth = depth.dim;
        m.cols = columns.dim;
        m.a = (const float *)a->x[first];
        m.b = (const float *)a->x[1 - first];
        m.c = (float *)a->y;
        m.a_row = rows.a;
        m.a_col = depth.a;
        m.b_row = depth.b;
        m.b_col = columns.b;
        m.c_row = rows.c;
        c->isa->matmul(c, &m);
        return true;
    }
    return false;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

void tgk_contract(const tgk_ctx *c, tgk_type type, const tgk_contraction *a)
{
    Work w = {.a = a, .columns = 1, .terms = 1, .rows = 1};
    int64_t products = 1;
    for (int32_t i = 0; i < a->kept; i++)
        if (a->dim[i] == 0)
            return;
    for (int32_t i = a->kept; i < a->axes; i++)
        products *= a->dim[i];
    if (products > 0 && type == TGK_F32 && as_matrices(c, a))
        return;
    w.outer = a->kept > 0 ? a->kept - 1 : 0;
    w.summed = a->axes > a->kept ? a->axes - a->kept - 1 : 0;
    if (a->kept > 0)
        w.columns = a->dim[w.outer];
    if (a->axes > a->kept)
        w.terms = products == 0 ? 0 : a->dim[a->axes - 1];
    for (int32_t k = 0; k < a->factors; k++) {
        w.column[k] = a->kept > 0 ? a->stride[k][w.outer] : 0;
        w.term[k] = a->axes > a->kept ? a->stride[k][a->axes - 1] : 0;
    }
    w.rows = tgk_count(a->dim, 0, w.outer);
    w.per_task = TASK / (w.columns * (products ? products : 1)) + 1;
    w.per_task = w.per_task < ROWS ? ROWS : w.per_task;
    if (w.rows < 4 * ROWS && w.per_task == ROWS)
        w.per_task = 1;
    tgk_for(c, type == TGK_F32 ? rows_f32 : type == TGK_F64 ? rows_f64 : rows_i64, &w,
            (w.rows + w.per_task - 1) / w.per_task);
}
