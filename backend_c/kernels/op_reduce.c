/* Reductions. Neighbouring axes that are all kept or all reduced act as one, so an array is a nest of at most
 * TGK_RANK groups that alternate. The innermost group decides how it is read: reduced, every result is a sum over
 * runs of adjacent elements; kept, a strip of adjacent results is summed row by row.
 *
 * Accuracy: at most RUN / LANES (or ROWS) terms are added in the type itself, what they give is added in double: the
 * error of a sum of float32 stays at some 64 roundings of a part of it, whatever its length. Every result is
 * computed by one task in an order that sizes fix. Results over nothing are the neutral element (of a mean: 0 / 0).
 * Cost: one pass over the operand; a task has at least TASK elements to read. */
#include "op_reduce.h"

#include <math.h>

#include "op_array.h"

enum {
    LANES = 16,      /* sums that run side by side over a run */
    RUN = 1024,      /* elements of a run */
    ROWS = 64,       /* rows that are added before double takes over */
    STRIP = 256,     /* adjacent results at a time */
    TASK = 32 * 1024 /* elements */
};

typedef enum { FOLD_SUM, FOLD_MEAN, FOLD_MAX, FOLD_MIN, FOLD_PROD } Fold;

/* The groups of axes, outermost first; steps in elements of the operand. */
typedef struct {
    int32_t rank;
    int64_t dim[TGK_RANK], step[TGK_RANK];
} Axes;

typedef struct {
    Fold fold;
    Axes kept, reduced;         /* without the innermost group */
    int64_t width, run;         /* adjacent results of a strip; adjacent elements of one result. One of them is 1 */
    int64_t terms;              /* of a result */
    int64_t strips, per_task;   /* strips of all results; of a task */
    int64_t columns, per_row;   /* size of the innermost kept group, and its strips */
    const void *x;
    void *z;
} Reduce;

/* The element of the operand where the results of outer index i start. */
static int64_t place(const Axes *a, int64_t i)
{
    int64_t offset = 0;
    for (int32_t k = a->rank - 1; k >= 0; k--) {
        offset += i % a->dim[k] * a->step[k];
        i /= a->dim[k];
    }
    return offset;
}

#define NUM float
#define WIDE double
#define PLUS(a, b) ((a) + (b))
#define TIMES(a, b) ((a) * (b))
#define LEAST (-INFINITY)
#define GREATEST INFINITY
#define G(name) name##_f32
#include "op_reduce.inc"
#undef NUM
#undef G

#define NUM double
#define G(name) name##_f64
#include "op_reduce.inc"
#undef NUM
#undef WIDE
#undef PLUS
#undef TIMES
#undef LEAST
#undef GREATEST
#undef G

#define NUM int64_t
#define WIDE int64_t
#define PLUS(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
#define TIMES(a, b) ((int64_t)((uint64_t)(a) * (uint64_t)(b)))
#define LEAST INT64_MIN
#define GREATEST INT64_MAX
#define INTEGERS
#define G(name) name##_i64
#include "op_reduce.inc"

/* --- the shape of the work ---------------------------------------------------------------------------------------- */

static tgk_status reduced_axes(const tgk_ReduceSum_args *a, bool *reduced)
{
    const int32_t rank = a->in[0].rank;
    int64_t n;
    int32_t axis;
    const int64_t *list = tgk_ints(&a->in[1], &n);
    for (int32_t i = 0; i < rank; i++)
        reduced[i] = n == 0 && !a->noop_with_empty_axes;
    for (int64_t i = 0; i < n; i++) {
        if (!tgk_axis(list[i], rank, &axis) || reduced[axis])
            return TGK_BAD_INDEX;
        reduced[axis] = true;
    }
    return TGK_OK;
}

static void push(Axes *a, int64_t dim, int64_t step)
{
    a->dim[a->rank] = dim;
    a->step[a->rank++] = step;
}

/* Groups the axes of x (those of size 1 are none), and cuts the results into strips. */
static void shape_work(Reduce *r, const tgk_array *x, const bool *reduced)
{
    int64_t step = 1, results = 1, dim[TGK_RANK];
    int32_t inner = 0;
    bool gone[TGK_RANK] = {false};
    Axes groups[2] = {{0}, {0}}; /* kept, reduced: innermost first */
    for (int32_t i = 0; i < x->rank; i++)
        if (x->dim[i] != 1) {
            gone[inner] = reduced[i];
            dim[inner++] = x->dim[i];
        }
    r->width = r->run = r->columns = r->terms = 1;
    const int32_t rank = inner;
    const bool runs = rank > 0 && gone[rank - 1];
    while (inner > 0 && gone[inner - 1] == runs)
        step *= dim[--inner];
    r->run = runs ? step : 1;
    r->columns = runs ? 1 : step;
    while (inner > 0) {
        const bool here = gone[inner - 1];
        const int64_t below = step;
        while (inner > 0 && gone[inner - 1] == here)
            step *= dim[--inner];
        push(&groups[here], step / below, below);
    }
    for (int32_t i = groups[0].rank - 1; i >= 0; i--)
        push(&r->kept, groups[0].dim[i], groups[0].step[i]);
    for (int32_t i = groups[1].rank - 1; i >= 0; i--)
        push(&r->reduced, groups[1].dim[i], groups[1].step[i]);
    for (int32_t i = 0; i < r->kept.rank; i++)
        results *= r->kept.dim[i];
    for (int32_t i = 0; i < r->reduced.rank; i++)
        r->terms *= r->reduced.dim[i];
    r->terms *= r->run;
    r->width = r->columns < STRIP ? r->columns : STRIP;
    r->per_row = (r->columns + r->width - 1) / r->width;
    r->strips = results * r->per_row;
    r->per_task = TASK / (r->width * r->terms) + 1;
}

static tgk_status reduce(const tgk_ctx *c, tgk_ReduceSum_args *a, Fold fold)
{
    const tgk_array *x = &a->in[0];
    bool reduced[TGK_RANK], empty = tgk_elements(x) == 0;
    int64_t dim[TGK_RANK];
    int32_t rank = 0;
    tgk_status status = reduced_axes(a, reduced);
    if (status != TGK_OK)
        return status;
    for (int32_t i = 0; i < x->rank; i++)
        if (a->keepdims || !reduced[i])
            dim[rank++] = reduced[i] ? 1 : x->dim[i];
    status = tgk_shape(&a->out[0], rank, dim);
    const int64_t results = tgk_elements(&a->out[0]);
    if (status != TGK_OK || results == 0)
        return status;
    Reduce r = {.fold = fold, .x = x->at, .z = a->out[0].at};
    if (empty) { /* results over nothing: as strips of one */
        r.width = r.columns = r.per_row = 1;
        r.run = r.terms = 0;
        r.strips = r.per_task = results;
    } else {
        shape_work(&r, x, reduced);
    }
    tgk_for(c, x->type == TGK_F32 ? strips_f32 : x->type == TGK_F64 ? strips_f64 : strips_i64, &r,
            (r.strips + r.per_task - 1) / r.per_task);
    return TGK_OK;
}

tgk_status tgk_ReduceSum(const tgk_ctx *c, tgk_ReduceSum_args *a) { return reduce(c, a, FOLD_SUM); }
tgk_status tgk_ReduceMean(const tgk_ctx *c, tgk_ReduceMean_args *a) { return reduce(c, a, FOLD_MEAN); }
tgk_status tgk_ReduceMax(const tgk_ctx *c, tgk_ReduceMax_args *a) { return reduce(c, a, FOLD_MAX); }
tgk_status tgk_ReduceMin(const tgk_ctx *c, tgk_ReduceMin_args *a) { return reduce(c, a, FOLD_MIN); }
tgk_status tgk_ReduceProd(const tgk_ctx *c, tgk_ReduceProd_args *a) { return reduce(c, a, FOLD_PROD); }
