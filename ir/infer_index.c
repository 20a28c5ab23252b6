/* Inference of what picks elements by index or by condition. */
#include "infer.h"

/* Element i of a list of indices, counted from the front; false: unknown or out of range. */
static bool index_at(const TgDim *list, uint32_t i, int64_t size, int64_t *at)
{
    if (!tg_dim_known(list[i], at))
        return false;
    *at += *at < 0 ? size : 0;
    return *at >= 0 && *at < size;
}

static bool is_integer_tensor(const TgInfer *f)
{
    return tg_is_integer(inf_dtype(f, 0)) || inf_dtype(f, 0) == TG_bool;
}

/* Elements of data and indices, where both are known well enough to pick. */
static bool picks(const TgInfer *f, const TgDim **x, InfBox *data, const TgDim **index, InfBox *indices,
                  InfBox *out)
{
    uint32_t n;
    if (!is_integer_tensor(f) || !inf_has_elements(f, 0) || !inf_has_elements(f, 1))
        return false;
    *x = inf_elements(f, 0, &n);
    *index = inf_elements(f, 1, &n);
    return inf_box(inf_type(f, 0), data) && inf_box(inf_type(f, 1), indices) &&
           inf_box(tg_value(f->g, f->n->out[0])->type, out);
}

/* Picks whole runs along `axis`; out is outer x indices x inner. */
static void gather_elements(TgInfer *f, int32_t axis)
{
    const TgDim *x, *index;
    InfBox data, indices, out;
    TgDim result[INF_ELEMENTS];
    if (!picks(f, &x, &data, &index, &indices, &out))
        return;
    uint32_t inner = 1;
    for (int32_t k = axis + 1; k < data.rank; k++)
        inner *= (uint32_t)data.dim[k];
    for (uint32_t e = 0; e < out.count; e++) {
        int64_t at;
        uint32_t row = e / inner / indices.count, i = e / inner % indices.count;
        bool found = index_at(index, i, data.dim[axis], &at);
        result[e] = found ? x[(row * (uint32_t)data.dim[axis] + (uint32_t)at) * inner + e % inner]
                          : tg_dim_fresh_any(f->tg);
    }
    inf_set_elements(f, 0, out.count, result);
}

static void append(InfShape *out, const InfShape *from, int32_t begin, int32_t end)
{
    for (int32_t k = begin; k < end && out->rank < TG_MAX_RANK; k++)
        out->dim[out->rank++] = from->dim[k];
}

static bool need_indices(const TgInfer *f)
{
    TgDtype dtype = inf_dtype(f, 1);
    return dtype == TG_undefined || tg_is_integer(dtype) || inf_refuse(f, "indices must be integers");
}

bool infer_gather(TgInfer *f)
{
    InfShape data = inf_shape(f, 0), indices = inf_shape(f, 1), out = {.rank = 0};
    int32_t axis;
    if (!need_indices(f) || (data.rank >= 0 && !inf_axis_attr(f, "axis", data.rank, &axis)))
        return false;
    if (data.rank < 0 || indices.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    append(&out, &data, 0, axis);
    append(&out, &indices, 0, indices.rank);
    append(&out, &data, axis + 1, data.rank);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    gather_elements(f, axis);
    return true;
}

/* Along the other axes an index stands for its own place. */
static bool indices_lie_within(const TgInfer *f, int32_t axis)
{
    InfShape data = inf_shape(f, 0), indices = inf_shape(f, 1);
    for (int32_t k = 0; k < data.rank && k < indices.rank; k++)
        if (k != axis && tg_dim_at_least(f->tg, indices.dim[k], tg_dim_add(f->tg, data.dim[k], inf_num(f, 1))))
            return inf_refuse(f, "the indices of GatherElements are larger than the data");
    return true;
}

bool infer_gather_elements(TgInfer *f)
{
    InfShape out = inf_shape(f, 1);
    int32_t axis = 0, rank = inf_rank(f, 0);
    const TgDim *x, *index;
    InfBox data, indices, box;
    int64_t place[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    if (!need_indices(f) ||
        (rank >= 0 && (!inf_axis_attr(f, "axis", rank, &axis) || !inf_need_rank(f, 1, rank, rank) ||
                       !indices_lie_within(f, axis))))
        return false;
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    if (!picks(f, &x, &data, &index, &indices, &box))
        return true;
    for (uint32_t e = 0; e < box.count; e++) {
        inf_unravel(&indices, e, place);
        bool found = index_at(index, e, data.dim[axis], &place[axis]);
        result[e] = found ? x[inf_ravel(&data, place)] : tg_dim_fresh_any(f->tg);
    }
    inf_set_elements(f, 0, box.count, result);
    return true;
}

/* Index tuples of length `depth` pick blocks of data. */
static void gather_tuples(TgInfer *f, int64_t depth)
{
    const TgDim *x, *index;
    InfBox data, indices, out;
    TgDim result[INF_ELEMENTS];
    if (tg_attr_int(f->n, "batch_dims") != 0 || !picks(f, &x, &data, &index, &indices, &out))
        return;
    uint32_t inner = 1;
    for (int32_t k = (int32_t)depth; k < data.rank; k++)
        inner *= (uint32_t)data.dim[k];
    for (uint32_t e = 0; e < out.count; e++) {
        int64_t block = 0, at;
        bool found = true;
        for (int32_t k = 0; k < depth && found; k++) {
            found = index_at(index, e / inner * (uint32_t)depth + (uint32_t)k, data.dim[k], &at);
            block = block * data.dim[k] + at;
        }
        result[e] = found ? x[(uint32_t)block * inner + e % inner] : tg_dim_fresh_any(f->tg);
    }
    inf_set_elements(f, 0, out.count, result);
}

bool infer_gather_nd(TgInfer *f)
{
    InfShape data = inf_shape(f, 0), indices = inf_shape(f, 1), out = {.rank = 0};
    int64_t batch = tg_attr_int(f->n, "batch_dims"), depth;
    bool known = data.rank >= 0 && indices.rank >= 1 && tg_dim_known(indices.dim[indices.rank - 1], &depth);
    if (!need_indices(f))
        return false;
    if (!known) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    if (batch < 0 || batch >= indices.rank || depth < 0 || batch + depth > data.rank)
        return inf_refuse(f, "the indices of GatherND are longer than the data has axes");
    append(&out, &indices, 0, indices.rank - 1);
    append(&out, &data, (int32_t)(batch + depth), data.rank);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    gather_tuples(f, depth);
    return true;
}

/* --- by condition --------------------------------------------------------------------------------------- */

bool infer_compress(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    int64_t condition[INF_ELEMENTS], taken = 0, size;
    uint32_t n = 0;
    int32_t axis = 0;
    bool flat = !tg_attr_has(f->n->attrs, "axis");
    if (!flat && out.rank >= 0 && !inf_axis_attr(f, "axis", out.rank, &axis))
        return false;
    TgDim whole =
        flat ? out.rank < 0 ? inf_fresh(f) : tg_type_count(f->tg, inf_type(f, 0)) : inf_dim(f, 0, axis);
    bool known = inf_ints(f, 1, INF_ELEMENTS, condition, &n) &&
                 (tg_dim_known(whole, &size) || tg_dim_lower(whole) >= n);
    size = tg_dim_known(whole, &size) ? size : n;
    for (uint32_t i = 0; i < n && i < size; i++)
        taken += condition[i] != 0;
    if (flat)
        out.rank = 1;
    if (out.rank >= 0)
        out.dim[axis] = known ? inf_num(f, taken) : inf_fresh(f);
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* Picks along the last axis by a list of indices. */
bool infer_ml_array_feature_extractor(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    if (out.rank == 1) {
        out.rank = 2;
        out.dim[0] = inf_num(f, 1);
    }
    if (out.rank > 0)
        out.dim[out.rank - 1] = inf_rank(f, 1) < 0 ? inf_fresh(f) : tg_type_count(f->tg, inf_type(f, 1));
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}
