/* Inference of what joins, cuts, repeats and pads along axes. */
#include "infer.h"

/* --- elements along one axis: an array is outer x length x inner ---------------------------------------- */

typedef struct {
    uint32_t outer, length, inner;
} Runs;

static Runs runs_of(const InfBox *box, int32_t axis)
{
    Runs r = {1, (uint32_t)box->dim[axis], 1};
    for (int32_t k = 0; k < box->rank; k++) {
        r.outer *= k < axis ? (uint32_t)box->dim[k] : 1;
        r.inner *= k > axis ? (uint32_t)box->dim[k] : 1;
    }
    return r;
}

static bool out_box(const TgInfer *f, uint32_t i, InfBox *box)
{
    return inf_box(tg_value(f->g, f->n->out[i])->type, box);
}

static bool is_integer_tensor(const TgInfer *f)
{
    return tg_is_integer(inf_dtype(f, 0)) || inf_dtype(f, 0) == TG_bool;
}

/* --- Concat --------------------------------------------------------------------------------------------- */

/* Of two sizes that are equal at run time, the one that says more. */
static TgDim telling(TgDim a, TgDim b)
{
    if (tg_dim_known(a, NULL) || tg_dim_known(b, NULL))
        return tg_dim_known(a, NULL) ? a : b;
    return tg_dim_is_fresh(a) && !tg_dim_is_fresh(b) ? b : a;
}

static bool join(const TgInfer *f, InfShape *out, const InfShape *next, int32_t axis)
{
    for (int32_t k = 0; k < out->rank; k++) {
        if (k == axis) {
            out->dim[k] = tg_dim_add(f->tg, out->dim[k], next->dim[k]);
            continue;
        }
        if (!inf_equal(f, out->dim[k], next->dim[k], "Concat"))
            return false;
        out->dim[k] = telling(out->dim[k], next->dim[k]);
    }
    return true;
}

static void concat_elements(TgInfer *f, int32_t axis)
{
    InfBox out, in;
    uint32_t n, offset = 0;
    TgDim result[INF_ELEMENTS];
    if (!is_integer_tensor(f) || !out_box(f, 0, &out))
        return;
    Runs to = runs_of(&out, axis);
    for (uint32_t i = 0; i < f->n->n_formal; i++) {
        const TgDim *x = inf_elements(f, i, &n);
        if (!x || !inf_box(inf_type(f, i), &in))
            return;
        Runs from = runs_of(&in, axis);
        uint32_t run = from.length * from.inner;
        for (uint32_t e = 0; e < n; e++)
            result[e / run * to.length * to.inner + offset + e % run] = x[e];
        offset += run;
    }
    inf_set_elements(f, 0, out.count, result);
}

bool infer_concat(TgInfer *f)
{
    InfShape out = {.rank = -1};
    int32_t axis = 0;
    bool all_known = true;
    for (uint32_t i = 0; i < f->n->n_formal; i++) {
        InfShape next = inf_shape(f, i);
        if (!inf_same_dtype(f, 0, i))
            return false;
        all_known &= next.rank >= 0;
        if (next.rank < 0)
            continue;
        if (out.rank < 0) {
            if (!inf_axis_attr(f, "axis", next.rank, &axis))
                return false;
            out = next;
        } else if (!inf_need_rank(f, i, out.rank, out.rank) || !join(f, &out, &next, axis)) {
            return false;
        }
    }
    if (!all_known && out.rank >= 0)
        out.dim[axis] = inf_fresh(f);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    if (all_known)
        concat_elements(f, axis);
    return true;
}

/* --- Split ---------------------------------------------------------------------------------------------- */

/* Sizes of the parts: given, or all the same with what is missing in the last one. */
static bool part_sizes(const TgInfer *f, TgDim whole, TgDim *part)
{
    uint32_t n, parts = f->n->n_out;
    TgDim even, sum = inf_num(f, 0);
    const TgDim *given = inf_has(f, 1) ? inf_elements(f, 1, &n) : NULL;
    if (given && n < parts)
        return inf_refuse(f, "Split has more outputs than sizes");
    if (given) {
        for (uint32_t i = 0; i < n; i++) {
            if (tg_dim_upper(given[i]) < 0)
                return inf_refuse(f, "Split has a negative size");
            TgDim size = inf_size(f, given[i]);
            sum = tg_dim_add(f->tg, sum, size);
            if (i < parts)
                part[i] = size;
        }
        return inf_equal(f, sum, whole, "Split");
    }
    bool exact = tg_dim_exact_div(f->tg, whole, inf_num(f, parts), &even);
    if (!exact)
        even = tg_dim_ceildiv(f->tg, whole, inf_num(f, parts));
    for (uint32_t i = 0; i < parts; i++)
        part[i] = inf_has(f, 1) ? inf_fresh(f) : even;
    if (inf_has(f, 1) || exact)
        return true;
    part[parts - 1] = tg_dim_sub(f->tg, whole, tg_dim_mul(f->tg, even, inf_num(f, parts - 1)));
    int64_t last = 0;
    for (uint32_t i = 0; tg_dim_known(part[parts - 1], &last) && last < 0 && i < parts; i++)
        part[i] = inf_fresh(f); /* cannot be split so: models have that in branches that are never taken */
    return true;
}

static void split_elements(TgInfer *f, int32_t axis)
{
    InfBox in, out;
    uint32_t n, offset = 0;
    TgDim result[INF_ELEMENTS];
    bool list = inf_rank(f, 0) == 1; /* of sizes, perhaps: named, so that who else reads them means the same ones */
    const TgDim *x = list || inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!x || !inf_box(inf_type(f, 0), &in))
        return;
    Runs from = runs_of(&in, axis);
    for (uint32_t i = 0; i < f->n->n_out && out_box(f, i, &out); i++) {
        uint32_t run = runs_of(&out, axis).length * from.inner;
        if (run > from.length * from.inner - offset)
            return; /* another part would have to be negative, which nobody knows of it yet */
        for (uint32_t e = 0; e < out.count; e++)
            result[e] = x[e / run * from.length * from.inner + offset + e % run];
        inf_set_elements(f, i, out.count, result);
        offset += run;
    }
}

bool infer_split(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    int32_t axis;
    if (out.rank < 0) {
        for (uint32_t i = 0; i < f->n->n_out; i++)
            inf_set_unranked(f, i, inf_dtype(f, 0));
        return true;
    }
    if (f->n->n_out == 0 || !inf_axis_attr(f, "axis", out.rank, &axis))
        return f->n->n_out == 0;
    TgDim *part = TG_NEW_N(f->g->arena, TgDim, f->n->n_out);
    if (!part_sizes(f, out.dim[axis], part))
        return false;
    for (uint32_t i = 0; i < f->n->n_out; i++) {
        out.dim[axis] = part[i];
        if (!inf_set(f, i, inf_dtype(f, 0), &out))
            return false;
    }
    split_elements(f, axis);
    return true;
}

/* --- Slice ---------------------------------------------------------------------------------------------- */

/* One end of a slice of an axis of size d, as a place in [low, high] (NULL: no such bound). NULL: nobody
 * knows. A negative end counts from the back. "-s" for a size s is read so too, although for s = 0 it would
 * not: exporters write it for the last s rows. Of other sizes, u - 1 is the one that may turn negative
 * harmlessly: for u = 0 it stands for the last place of an axis that is then at most one long. */
static TgDim slice_end(const TgInfer *f, TgDim at, TgDim d, TgDim low, TgDim high)
{
    Tg *tg = f->tg;
    int64_t n;
    bool constant = tg_dim_known(at, &n);
    if (constant && (n >= INT32_MAX || n <= -INT32_MAX))
        return n > 0 ? (high ? high : d) : low ? low : inf_num(f, -1);
    TgDim next = tg_dim_add(tg, at, inf_num(f, 1));
    if (tg_dim_upper(at) < 0 || (!constant && tg_dim_upper(at) <= 0))
        at = tg_dim_add(tg, at, d);
    else if (!tg_dim_at_least(tg, at, inf_num(f, 0)) &&
             !(tg_dim_lower(next) >= 0 && tg_dim_at_least(tg, next, d)))
        return NULL;
    at = low ? tg_dim_max(tg, at, low) : at;
    return high ? tg_dim_min(tg, at, high) : at;
}

static TgDim slice_length(const TgInfer *f, TgDim start, TgDim end, int64_t step, TgDim d)
{
    Tg *tg = f->tg;
    TgDim zero = inf_num(f, 0), top = tg_dim_sub(tg, d, inf_num(f, 1));
    if (step == 0 || step == INT64_MIN)
        return inf_fresh(f);
    /* a start beyond the far side gives a negative length: nothing */
    start = step > 0 ? slice_end(f, start, d, zero, NULL) : slice_end(f, start, d, NULL, top);
    end = step > 0 ? slice_end(f, end, d, zero, d) : slice_end(f, end, d, inf_num(f, -1), top);
    if (!start || !end)
        return inf_fresh(f);
    TgDim span = step > 0 ? tg_dim_sub(tg, end, start) : tg_dim_sub(tg, start, end);
    return tg_dim_max(tg, tg_dim_ceildiv(tg, span, inf_num(f, step > 0 ? step : -step)), zero);
}

typedef struct {
    uint32_t n;
    int32_t axis[TG_MAX_RANK];
    const TgDim *start, *end, *step; /* NULL: unknown; step NULL: 1 unless unknown_step */
    bool unknown_step;
} Cuts;

/* False with *known false: which axes are cut is not known. */
static bool read_cuts(const TgInfer *f, int32_t rank, Cuts *c, bool *known)
{
    int64_t axes[TG_MAX_RANK], count = 0;
    uint32_t n = 0;
    *known = inf_length(f, 1, &count) && count <= rank;
    if (!*known)
        return true;
    c->n = (uint32_t)count;
    if ((c->start = inf_elements(f, 1, &n)) && n != c->n)
        return inf_refuse(f, "Slice needs as many starts as axes");
    if ((c->end = inf_elements(f, 2, &n)) && n != c->n)
        return inf_refuse(f, "Slice needs as many ends as axes");
    if (inf_has(f, 4) && (c->step = inf_elements(f, 4, &n)) && n != c->n)
        return inf_refuse(f, "Slice needs as many steps as axes");
    c->unknown_step = inf_has(f, 4) && !c->step;
    *known = !inf_has(f, 3) || (inf_ints(f, 3, TG_MAX_RANK, axes, &n) && n == c->n);
    for (uint32_t i = 0; i < c->n && *known; i++)
        if (!inf_axis(f, inf_has(f, 3) ? axes[i] : (int64_t)i, rank, &c->axis[i]))
            return false;
    return true;
}

static TgDim cut_length(const TgInfer *f, const Cuts *c, uint32_t i, TgDim d)
{
    int64_t step = 1;
    if (c->unknown_step || !c->start || !c->end || (c->step && !tg_dim_known(c->step[i], &step)))
        return inf_fresh(f);
    return slice_length(f, c->start[i], c->end[i], step, d);
}

static void slice_elements(TgInfer *f, const Cuts *c)
{
    InfBox in, out;
    uint32_t n;
    int64_t start[TG_MAX_RANK] = {0}, step[TG_MAX_RANK], index[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!x || !inf_box(inf_type(f, 0), &in) || !out_box(f, 0, &out) || !c->start)
        return;
    for (int32_t k = 0; k < in.rank; k++)
        step[k] = 1;
    for (uint32_t i = 0; i < c->n; i++) {
        int32_t k = c->axis[i];
        if (c->step && !tg_dim_known(c->step[i], &step[k]))
            return;
        TgDim d = inf_num(f, in.dim[k]), top = inf_num(f, in.dim[k] - 1);
        TgDim at = slice_end(f, c->start[i], d, inf_num(f, 0), step[k] > 0 ? d : top);
        if (!at || !tg_dim_known(at, &start[k]))
            return;
    }
    for (uint32_t e = 0; e < out.count; e++) {
        inf_unravel(&out, e, index);
        for (int32_t k = 0; k < in.rank; k++)
            index[k] = start[k] + index[k] * step[k];
        result[e] = x[inf_ravel(&in, index)];
    }
    inf_set_elements(f, 0, out.count, result);
}

bool infer_slice(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    Cuts c = {0};
    bool known;
    if (out.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    if (!read_cuts(f, out.rank, &c, &known))
        return false;
    for (int32_t k = 0; k < out.rank && !known; k++)
        out.dim[k] = inf_fresh(f);
    for (uint32_t i = 0; i < c.n && known; i++)
        out.dim[c.axis[i]] = cut_length(f, &c, i, out.dim[c.axis[i]]);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    if (known)
        slice_elements(f, &c);
    return true;
}

/* --- repeating and padding ------------------------------------------------------------------------------ */

bool infer_tile(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    uint32_t n = 0;
    InfBox from, to;
    int64_t index[TG_MAX_RANK];
    TgDim result[INF_ELEMENTS];
    const TgDim *times = inf_elements(f, 1, &n);
    if (times && out.rank >= 0 && n != (uint32_t)out.rank)
        return inf_refuse(f, "Tile needs one repeat per axis");
    for (int32_t k = 0; k < out.rank; k++)
        out.dim[k] = times ? tg_dim_mul(f->tg, out.dim[k], inf_size(f, times[k])) : inf_fresh(f);
    if (!inf_set(f, 0, inf_dtype(f, 0), &out))
        return false;
    const TgDim *x = inf_has_elements(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!x || out.rank < 0 || !inf_box(inf_type(f, 0), &from) || !out_box(f, 0, &to))
        return true;
    for (uint32_t e = 0; e < to.count; e++) {
        inf_unravel(&to, e, index);
        for (int32_t k = 0; k < to.rank; k++)
            index[k] %= from.dim[k];
        result[e] = x[inf_ravel(&from, index)];
    }
    inf_set_elements(f, 0, to.count, result);
    return true;
}

/* Begins, then ends, of the axes listed in input 3 (absent: all). */
bool infer_pad(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    int64_t axes[TG_MAX_RANK];
    uint32_t n = 0, listed = 0;
    int32_t axis;
    const TgDim *pads = inf_elements(f, 1, &n);
    bool all = !inf_has(f, 3), known = pads && (all || inf_ints(f, 3, TG_MAX_RANK, axes, &listed));
    listed = all && out.rank >= 0 ? (uint32_t)out.rank : listed;
    if (known && out.rank >= 0 && n != 2 * listed)
        return inf_refuse(f, "Pad needs two numbers per axis");
    for (int32_t k = 0; k < out.rank && !known; k++)
        out.dim[k] = inf_fresh(f);
    for (uint32_t i = 0; i < listed && known && out.rank >= 0; i++) {
        if (!inf_axis(f, all ? (int64_t)i : axes[i], out.rank, &axis))
            return false;
        TgDim both = tg_dim_add(f->tg, pads[i], pads[listed + i]);
        out.dim[axis] = inf_size(f, tg_dim_add(f->tg, out.dim[axis], both));
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_center_crop_pad(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    uint32_t n = 0, size_count = 0;
    int32_t axis;
    const int64_t *axes = tg_attr_ints(f->n, "axes", &n);
    const TgDim *size = inf_elements(f, 1, &size_count);
    n = axes || out.rank < 0 ? n : (uint32_t)out.rank;
    if (size && out.rank >= 0 && size_count != n)
        return inf_refuse(f, "CenterCropPad needs one size per axis");
    for (uint32_t i = 0; i < n && out.rank >= 0; i++) {
        if (!inf_axis(f, axes ? axes[i] : (int64_t)i, out.rank, &axis))
            return false;
        out.dim[axis] = size ? inf_size(f, size[i]) : inf_fresh(f);
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* --- blocks between depth and space --------------------------------------------------------------------- */

static bool infer_blocks(TgInfer *f, bool to_space)
{
    InfShape out = inf_shape(f, 0);
    int64_t size = tg_attr_int(f->n, "blocksize");
    if (size < 1)
        return inf_refuse(f, "attribute 'blocksize' must be positive");
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK))
        return false;
    TgDim block = inf_num(f, size);
    for (int32_t k = 2; k < out.rank; k++) {
        TgDim d = out.dim[k], depth = out.dim[1];
        out.dim[k] = to_space ? tg_dim_mul(f->tg, d, block) : tg_dim_div(f->tg, d, block);
        out.dim[1] = to_space ? tg_dim_div(f->tg, depth, block) : tg_dim_mul(f->tg, depth, block);
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_depth_to_space(TgInfer *f)
{
    return infer_blocks(f, true);
}

bool infer_space_to_depth(TgInfer *f)
{
    return infer_blocks(f, false);
}
