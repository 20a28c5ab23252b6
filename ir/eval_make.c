/* Arrays made from little: Shape, ConstantOfShape, Range, EyeLike, OneHot. */
#include <math.h>
#include <string.h>

#include "eval_kernel.h"

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

bool eval_shape(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    int64_t from = tg_attr_int(c->n, "start"),
            to = tg_attr_has(c->n->attrs, "end") ? tg_attr_int(c->n, "end") : x->rank;
    from = clamp(from < 0 ? from + x->rank : from, 0, x->rank);
    to = clamp(to < 0 ? to + x->rank : to, 0, x->rank);
    if (!eval_out(c, 0, TG_i64, 1, (int64_t[]){to > from ? to - from : 0}))
        return false;
    for (int64_t i = from; i < to; i++)
        eval_ints_of(&c->out[0])[i - from] = x->dim[i];
    return true;
}

bool eval_constant_of_shape(TgEvalCall *c)
{
    int64_t dim[TG_EVAL_RANK];
    uint32_t n;
    const TgTensor *value = tg_attr_tensor(c->n, "value");
    if (value && value->count != 1)
        return eval_bad_value(c, "the number of elements of 'value'", (int64_t)value->count);
    TgDtype dtype = value ? value->dtype : TG_f32;
    if (!eval_int_list(c, 0, TG_EVAL_RANK, dim, &n) || !eval_out(c, 0, dtype, (int32_t)n, dim))
        return false;
    TgArray *z = &c->out[0];
    double real = value && eval_is_real(z) ? tg_tensor_float(c->tg, value, 0) : 0;
    int64_t whole = value && !eval_is_real(z) ? tg_tensor_int(c->tg, value, 0) : 0;
    for (int64_t i = 0; i < z->count; i++) {
        if (eval_is_real(z))
            tg_array_set_float(c->mode, z, i, real);
        else
            tg_array_set_int(z, i, whole);
    }
    return true;
}

/* ceil((limit - start) / delta), at least 0; -1: too many to count. */
static int64_t range_count_int(int64_t start, int64_t limit, int64_t delta)
{
    if (delta > 0 ? limit <= start : limit >= start)
        return 0;
    uint64_t span = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
    uint64_t step = delta > 0 ? (uint64_t)delta : 0 - (uint64_t)delta, n = (span - 1) / step + 1;
    return n > INT64_MAX ? -1 : (int64_t)n;
}

static bool range_int(TgEvalCall *c, TgDtype dtype)
{
    int64_t start, limit, delta;
    if (!eval_one_int(c, 0, 0, &start) || !eval_one_int(c, 1, 0, &limit) || !eval_one_int(c, 2, 1, &delta))
        return false;
    if (delta == 0)
        return eval_bad_value(c, "the step", 0);
    if (!eval_out(c, 0, dtype, 1, (int64_t[]){range_count_int(start, limit, delta)}))
        return false;
    uint64_t x = (uint64_t)start;
    for (int64_t i = 0; i < c->out[0].count; i++, x += (uint64_t)delta)
        eval_ints_of(&c->out[0])[i] = (int64_t)x;
    return true;
}

bool eval_range(TgEvalCall *c)
{
    double start, limit, delta;
    TgDtype dtype = c->in[0]->dtype;
    if (!eval_is_real(c->in[0]))
        return range_int(c, dtype);
    if (!eval_one_float(c, 0, 0, &start) || !eval_one_float(c, 1, 0, &limit) ||
        !eval_one_float(c, 2, 1, &delta))
        return false;
    double n = ceil((limit - start) / delta);
    if (!(n < 0x1p62))
        return eval_bad_value(c, "the number of steps", INT64_MAX);
    if (!eval_out(c, 0, dtype, 1, (int64_t[]){n > 0 ? (int64_t)n : 0}))
        return false;
    for (int64_t i = 0; i < c->out[0].count; i++)
        tg_array_set_float(c->mode, &c->out[0], i, start + (double)i * delta);
    return true;
}

bool eval_eye_like(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    bool given = tg_attr_has(c->n->attrs, "dtype");
    int64_t k = tg_attr_int(c->n, "k");
    if (x->rank != 2)
        return eval_bad_shape(c, 0, "a matrix is needed");
    if (!eval_out(c, 0, given ? (TgDtype)tg_attr_int(c->n, "dtype") : x->dtype, 2, x->dim))
        return false;
    TgArray *z = &c->out[0];
    for (int64_t i = 0; i < z->count; i++) {
        bool on = i % z->dim[1] - i / z->dim[1] == k;
        if (eval_is_real(z))
            tg_array_set_float(c->mode, z, i, on);
        else
            tg_array_set_int(z, i, on);
    }
    return true;
}

bool eval_one_hot(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *values = c->in[2];
    int64_t depth, dim[TG_EVAL_RANK + 1];
    int32_t axis;
    if (!eval_one_int(c, 1, 0, &depth) || !eval_axis(c, tg_attr_int(c->n, "axis"), x->rank + 1, &axis))
        return false;
    if (values->count != 2)
        return eval_bad_shape(c, 2, "an off value and an on value are needed");
    memcpy(dim, x->dim, (size_t)axis * sizeof *dim);
    dim[axis] = depth;
    memcpy(dim + axis + 1, x->dim + axis, (size_t)(x->rank - axis) * sizeof *dim);
    if (!eval_out(c, 0, values->dtype, x->rank + 1, dim))
        return false;
    int64_t inner = eval_count(x->dim, axis, x->rank);
    size_t element = eval_element(c, values);
    for (int64_t i = 0; i < c->out[0].count; i++) {
        int64_t from = i / (depth * inner) * inner + i % inner;
        double hot = eval_real(c, x, from);
        hot = hot < 0 ? hot + (double)depth : hot;
        bool on = hot == (double)(i / inner % depth);
        memcpy((char *)c->out[0].data + (size_t)i * element, (const char *)values->data + (on ? element : 0),
               element);
    }
    return true;
}
