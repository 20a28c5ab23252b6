/* Resize: weighted sums of elements, weights by axis (op_resize_axis.c).
 *
 * There is no memory for a pass per axis, so all resized axes are done at once. The innermost resized axis (`last`)
 * has a table of elements and weights for CELLS results, made once for a group of rows; the outer ones count their
 * taps around it, each with the product of its weights. Elements behind the last axis go along, side by side. Sums
 * are of double. Cost: the product of the numbers of taps per result (4 for a linear image, 16 for a cubic one;
 * antialiasing with a scale s has 1/s times as many per axis). A task is ROWS rows of results. */
#include "op_resize.h"

#include <math.h>

#include "op_array.h"
#include "op_half.h"
#include "op_resize_axis.h"

enum {
    CELLS = 512,    /* results that are summed up at a time */
    ENTRIES = 1024, /* of the table of the last axis: taps of as many of its places as fit, or a piece of one */
    ROWS = 16
};

typedef struct {
    tgk_resize_how how;
    tgk_resize_axis axis[TGK_RANK];
    int32_t resized[TGK_RANK], n_resized; /* the axes that change, outermost first; the last one is `last` */
    int32_t last, rank;
    int64_t rows, inner;                  /* of the result before `last`; behind it */
    int64_t in_stride[TGK_RANK];
    const tgk_array *x, *z;
} Resize;

/* Places [first, first + places) of the last axis, taps [tap, tap + taps) of each. */
typedef struct {
    int64_t first, places, tap, taps;
    int64_t offset[ENTRIES];
    double weight[ENTRIES];
    uint8_t outside[ENTRIES];
} Table;

static void fill_table(const Resize *r, Table *t)
{
    const tgk_resize_axis *a = &r->axis[r->last];
    for (int64_t i = 0; i < t->places; i++) {
        const tgk_resize_place p = tgk_resize_at(&r->how, a, t->first + i);
        t->outside[i] = p.outside;
        for (int64_t k = 0; k < t->taps; k++) {
            int64_t index;
            t->weight[i * t->taps + k] = tgk_resize_weight(&r->how, a, &p, t->tap + k, &index);
            t->offset[i * t->taps + k] = index * r->inner;
        }
    }
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

static double load(tgk_type type, const void *at, int64_t i)
{
    switch (type) {
    case TGK_F32: return (double)((const float *)at)[i];
    case TGK_F64: return ((const double *)at)[i];
    case TGK_F16: return (double)tgk_from_f16(((const uint16_t *)at)[i]);
    case TGK_BF16: return (double)tgk_from_bf16(((const uint16_t *)at)[i]);
    case TGK_I8: return ((const int8_t *)at)[i];
    case TGK_I16: return ((const int16_t *)at)[i];
    case TGK_U16: return ((const uint16_t *)at)[i];
    case TGK_I32: return ((const int32_t *)at)[i];
    case TGK_U32: return ((const uint32_t *)at)[i];
    case TGK_I64: return (double)((const int64_t *)at)[i];
    case TGK_U64: return (double)((const uint64_t *)at)[i];
    default: return ((const uint8_t *)at)[i];
    }
}

/* The nearest integer in [low, high]; NaN is 0. */
static double whole(double x, double low, double high)
{
    x = rint(x);
    return x != x ? 0 : x < low ? low : x > high ? high : x;
}

static void store(tgk_type type, void *at, int64_t i, double x)
{
    switch (type) {
    case TGK_F32: ((float *)at)[i] = (float)x; break;
    case TGK_F64: ((double *)at)[i] = x; break;
    case TGK_F16: ((uint16_t *)at)[i] = tgk_to_f16((float)x); break;
    case TGK_BF16: ((uint16_t *)at)[i] = tgk_to_bf16((float)x); break;
    case TGK_I8: ((int8_t *)at)[i] = (int8_t)whole(x, INT8_MIN, INT8_MAX); break;
    case TGK_U8: ((uint8_t *)at)[i] = (uint8_t)whole(x, 0, UINT8_MAX); break;
    case TGK_I16: ((int16_t *)at)[i] = (int16_t)whole(x, INT16_MIN, INT16_MAX); break;
    case TGK_U16: ((uint16_t *)at)[i] = (uint16_t)whole(x, 0, UINT16_MAX); break;
    case TGK_I32: ((int32_t *)at)[i] = (int32_t)whole(x, INT32_MIN, INT32_MAX); break;
    case TGK_U32: ((uint32_t *)at)[i] = (uint32_t)whole(x, 0, UINT32_MAX); break;
    case TGK_I64: /* the greatest double below the limit is 2^10 away from it */
        ((int64_t *)at)[i] = x >= 0x1p63 ? INT64_MAX : (int64_t)whole(x, -0x1p63, 0x1.fffffffffffffp62);
        break;
    case TGK_U64: ((uint64_t *)at)[i] = x >= 0x1p64 ? UINT64_MAX : (uint64_t)whole(x, 0, 0x1.fffffffffffffp63); break;
    default: ((uint8_t *)at)[i] = whole(x, 0, 1) != 0; break;
    }
}

/* --- sums --------------------------------------------------------------------------------------------------------- */

/* sum[place, column] += scale * the taps of the table, read at elements from `start` on; `columns` side by side. A
 * weight of 0 hides even what is not finite. */
#define ADD_TAPS(LOAD)                                                                                                 \
    for (int64_t i = 0; columns == 1 && i < t->places; i++) {                                                          \
        const int64_t j = 0;                                                                                           \
        double taps = 0;                                                                                               \
        for (int64_t k = i * t->taps; k < (i + 1) * t->taps; k++) {                                                    \
            const int64_t from = start + t->offset[k];                                                                 \
            const double x = (LOAD);                                                                                   \
            taps += t->weight[k] != 0 ? t->weight[k] * x : 0;                                                          \
        }                                                                                                              \
        sum[i] += scale * taps;                                                                                        \
    }                                                                                                                  \
    for (int64_t i = 0; columns > 1 && i < t->places; i++)                                                             \
        for (int64_t k = i * t->taps; k < (i + 1) * t->taps; k++) {                                                    \
            const double weight = scale * t->weight[k];                                                                \
            const int64_t from = start + t->offset[k];                                                                 \
            for (int64_t j = 0; weight != 0 && j < columns; j++)                                                       \
                sum[i * columns + j] += weight * (LOAD);                                                               \
        }

static void add_taps(const Resize *r, const Table *t, int64_t start, int64_t columns, double scale, double *sum)
{
    const float *floats = (const float *)r->x->at;
    const uint8_t *bytes = (const uint8_t *)r->x->at;
    if (r->x->type == TGK_F32) {
        ADD_TAPS((double)floats[from + j])
    } else if (r->x->type == TGK_U8) {
        ADD_TAPS((double)bytes[from + j])
    } else {
        ADD_TAPS(load(r->x->type, r->x->at, from + j))
    }
}

/* A row of results: where its outer axes lie, and where the axes that do not change start in the operand. */
typedef struct {
    tgk_resize_place place[TGK_RANK]; /* of the outer resized axes */
    int64_t start;
    bool outside;
} Row;

static void find_row(const Resize *r, int64_t row, Row *to)
{
    int32_t k = r->n_resized - 2;
    to->start = 0;
    to->outside = false;
    for (int32_t i = r->last - 1; i >= 0; i--) {
        const int64_t at = row % r->z->dim[i];
        row /= r->z->dim[i];
        if (k < 0 || r->resized[k] != i) {
            to->start += at * r->in_stride[i];
            continue;
        }
        to->place[k] = tgk_resize_at(&r->how, &r->axis[i], at);
        to->outside = to->outside || to->place[k].outside;
        k--;
    }
}

/* All combinations of taps of the outer axes. */
static void add_row(const Resize *r, const Table *t, const Row *row, int64_t column, int64_t columns, double *sum)
{
    const int32_t outer = r->n_resized - 1;
    int64_t tap[TGK_RANK] = {0};
    int32_t k = outer;
    do {
        int64_t start = row->start + column;
        double scale = 1;
        for (int32_t i = 0; i < outer; i++) {
            const int32_t axis = r->resized[i];
            int64_t index;
            scale *= tgk_resize_weight(&r->how, &r->axis[axis], &row->place[i], tap[i], &index);
            start += index * r->in_stride[axis];
        }
        if (scale != 0)
            add_taps(r, t, start, columns, scale, sum);
        for (k = outer - 1; k >= 0 && ++tap[k] == r->axis[r->resized[k]].taps; k--)
            tap[k] = 0;
    } while (k >= 0);
}

/* The nearest elements, as they are. `start`: of the row in the operand. */
static void move_cells(const Resize *r, const Table *t, int64_t start, int64_t to, int64_t columns)
{
    const size_t size = tgk_bytes_of(r->x->type);
    for (int64_t i = 0; i < t->places; i++) {
        char *z = (char *)r->z->at + (size_t)(to + i * r->inner) * size;
        for (int64_t j = 0; t->outside[i] && j < columns; j++)
            store(r->z->type, r->z->at, to + i * r->inner + j, r->how.extrapolation);
        if (!t->outside[i])
            tgk_put(z, (const char *)r->x->at + (size_t)(start + t->offset[i]) * size, (size_t)columns * size);
    }
}

static void store_cells(const Resize *r, const Table *t, bool outside, int64_t to, int64_t columns, const double *sum)
{
    for (int64_t i = 0; i < t->places; i++)
        for (int64_t j = 0; j < columns; j++) {
            const double x = outside || t->outside[i] ? r->how.extrapolation : sum[i * columns + j];
            const int64_t at = to + i * r->inner + j;
            if (r->z->type == TGK_F32)
                ((float *)r->z->at)[at] = (float)x;
            else
                store(r->z->type, r->z->at, at, x);
        }
}

/* Results [first place of t, all its places) x [column, column + columns) of one row. */
static void make_cells(const Resize *r, Table *t, bool pieces, int64_t row, int64_t column, int64_t columns)
{
    double sum[CELLS] = {0};
    Row at;
    const int64_t all = r->axis[r->last].taps, to = (row * r->z->dim[r->last] + t->first) * r->inner + column;
    find_row(r, row, &at);
    if (r->how.mode == TGK_RESIZE_NEAREST && !at.outside) {
        int64_t start = at.start + column;
        for (int32_t i = 0; i < r->n_resized - 1; i++) {
            int64_t index;
            tgk_resize_weight(&r->how, &r->axis[r->resized[i]], &at.place[i], 0, &index);
            start += index * r->in_stride[r->resized[i]];
        }
        move_cells(r, t, start, to, columns);
        return;
    }
    if (!pieces && !at.outside)
        add_row(r, t, &at, column, columns, sum);
    for (t->tap = 0; pieces && t->tap < all; t->tap += t->taps) {
        t->taps = all - t->tap < ENTRIES ? all - t->tap : ENTRIES;
        fill_table(r, t);
        if (!at.outside)
            add_row(r, t, &at, column, columns, sum);
    }
    store_cells(r, t, at.outside, to, columns, sum);
}

static void resize_rows(void *arg, int64_t task)
{
    const Resize *r = (const Resize *)arg;
    const int64_t taps = r->axis[r->last].taps, n = r->z->dim[r->last], begin = task * ROWS;
    const int64_t end = begin + ROWS < r->rows ? begin + ROWS : r->rows;
    const int64_t columns = r->inner < CELLS ? r->inner : CELLS;
    const bool pieces = taps > ENTRIES;
    int64_t most = pieces ? 1 : ENTRIES / taps;
    most = most < CELLS / columns ? most : CELLS / columns;
    Table t;
    for (t.first = 0; t.first < n; t.first += most) {
        t.places = n - t.first < most ? n - t.first : most;
        t.tap = 0;
        t.taps = taps;
        if (!pieces)
            fill_table(r, &t);
        for (int64_t row = begin; row < end; row++)
            for (int64_t column = 0; column < r->inner; column += columns)
                make_cells(r, &t, pieces, row, column, r->inner - column < columns ? r->inner - column : columns);
    }
}

/* --- attributes and operands -------------------------------------------------------------------------------------- */

/* The place of a word in a list that ends with NULL; -1: it is not there. */
static int word(const char *given, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(given, words[i]) == 0)
            return i;
    return -1;
}

static bool read_attributes(const tgk_Resize_args *a, tgk_resize_how *h)
{
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL};
    static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
                                              "align_corners", "asymmetric", "tf_crop_and_resize", NULL};
    static const char *const nears[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    static const char *const keeps[] = {"stretch", "not_larger", "not_smaller", NULL};
    const int mode = word(a->mode, modes), where = word(a->coordinate_transformation_mode, coordinates);
    const int near = word(a->nearest_mode, nears), keep = word(a->keep_aspect_ratio_policy, keeps);
    if (mode < 0 || where < 0 || near < 0 || keep < 0)
        return false;
    h->mode = (tgk_resize_mode)mode;
    h->coordinates = (tgk_resize_coordinates)where;
    h->near = (tgk_resize_near)near;
    h->keep = (tgk_resize_keep)keep;
    h->antialias = a->antialias != 0;
    h->exclude_outside = a->exclude_outside != 0;
    h->cubic_a = a->cubic_coeff_a;
    h->extrapolation = a->extrapolation_value;
    return true;
}

static tgk_status from_scales(const tgk_array *scales, const int32_t *axes, int32_t n, tgk_resize_axis *axis)
{
    if (tgk_elements(scales) != n)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < n; i++) {
        tgk_resize_axis *a = &axis[axes[i]];
        a->up = load(scales->type, scales->at, i);
        const double size = floor((double)((float)a->in * (float)a->up)); /* in float32, as shapes are inferred */
        if (!(a->up > 0) || !(size >= 0 && size <= INT32_MAX))
            return TGK_BAD_SIZE;
        a->out = (int64_t)size;
    }
    return TGK_OK;
}

static tgk_status from_sizes(const tgk_array *sizes, tgk_resize_keep keep, const int32_t *axes, int32_t n,
                             tgk_resize_axis *axis)
{
    int64_t given;
    const int64_t *size = tgk_ints(sizes, &given);
    double up = 1, down = 1; /* the ratio that all axes have in common where the aspect is kept */
    if (given != n)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < n; i++) {
        tgk_resize_axis *a = &axis[axes[i]];
        if (size[i] < 0 || size[i] > INT32_MAX || (a->in == 0 && size[i] > 0))
            return TGK_BAD_SIZE;
        a->out = size[i];
        a->up = a->in ? (double)size[i] : 1;
        a->down = a->in ? (double)a->in : 1;
        const bool smaller = a->up * down < up * a->down, larger = a->up * down > up * a->down;
        if (i == 0 || (keep == TGK_KEEP_NOT_LARGER ? smaller : larger)) {
            up = a->up;
            down = a->down;
        }
    }
    for (int32_t i = 0; i < n && keep != TGK_KEEP_STRETCH; i++) {
        tgk_resize_axis *a = &axis[axes[i]];
        const double out = floor((double)a->in * up / down + 0.5);
        if (!(out >= 0 && out <= INT32_MAX))
            return TGK_BAD_SIZE;
        a->up = up;
        a->down = down;
        a->out = (int64_t)out;
    }
    return TGK_OK;
}

/* What every axis becomes. */
static tgk_status read_axes(const tgk_Resize_args *a, Resize *r)
{
    const tgk_array *x = &a->in[0], *roi = &a->in[1], *scales = &a->in[2];
    int32_t axes[TGK_RANK];
    const int32_t n = a->n_axes ? (int32_t)a->n_axes : x->rank;
    if (a->n_axes < 0 || a->n_axes > x->rank)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < n; i++)
        if (!tgk_axis(a->n_axes ? a->axes[i] : i, x->rank, &axes[i]))
            return TGK_BAD_INDEX;
    for (int32_t i = 0; i < x->rank; i++)
        r->axis[i] = (tgk_resize_axis){.in = x->dim[i], .out = x->dim[i], .up = 1, .down = 1, .end = 1};
    const bool by_scales = scales->at && tgk_elements(scales) > 0;
    tgk_status status = by_scales ? from_scales(scales, axes, n, r->axis)
                                  : from_sizes(&a->in[3], r->how.keep, axes, n, r->axis);
    if (status != TGK_OK || r->how.coordinates != TGK_AT_CROP)
        return status;
    if (!roi->at || tgk_elements(roi) != 2 * n)
        return TGK_BAD_SIZE;
    for (int32_t i = 0; i < n; i++) {
        r->axis[axes[i]].start = load(roi->type, roi->at, i);
        r->axis[axes[i]].end = load(roi->type, roi->at, n + i);
    }
    return TGK_OK;
}

static bool changes(const tgk_resize_how *h, const tgk_resize_axis *a)
{
    return a->in != a->out || a->up != a->down || (h->coordinates == TGK_AT_CROP && (a->start != 0 || a->end != 1));
}

tgk_status tgk_Resize(const tgk_ctx *c, tgk_Resize_args *a)
{
    Resize r;
    int64_t dim[TGK_RANK];
    r.x = &a->in[0];
    r.z = &a->out[0];
    r.rank = r.x->rank;
    r.n_resized = 0;
    if (!read_attributes(a, &r.how))
        return TGK_BAD_VALUE;
    tgk_status status = read_axes(a, &r);
    if (status != TGK_OK)
        return status;
    for (int32_t i = 0; i < r.rank; i++) {
        dim[i] = r.axis[i].out;
        if (changes(&r.how, &r.axis[i])) {
            tgk_resize_axis_begin(&r.how, &r.axis[i]);
            r.resized[r.n_resized++] = i;
        }
    }
    status = tgk_shape(&a->out[0], r.rank, dim);
    if (status != TGK_OK || tgk_elements(r.z) == 0)
        return status;
    if (tgk_elements(r.x) == 0)
        return TGK_BAD_SIZE; /* nothing to take elements from */
    if (r.n_resized == 0) {
        memcpy(a->out[0].at, r.x->at, (size_t)tgk_elements(r.x) * tgk_bytes_of(r.x->type));
        return TGK_OK;
    }
    r.last = r.resized[r.n_resized - 1];
    r.rows = tgk_count(dim, 0, r.last);
    r.inner = tgk_count(dim, r.last + 1, r.rank);
    tgk_strides(r.rank, r.x->dim, r.in_stride);
    tgk_for(c, resize_rows, &r, (r.rows + ROWS - 1) / ROWS);
    return TGK_OK;
}
