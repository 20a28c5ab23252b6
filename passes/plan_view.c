/* Places: where values lie. Views are strides over the place of what they view; results go where their reader wants
 * them.
 *
 * Everything is symbolic, and two sizes are equal here when their normal forms are one pointer. What cannot be shown
 * to be a view is copied, so a missed equality costs time, never a wrong address.
 */
#include <string.h>

#include "passes/planner.h"

/* --- strides ------------------------------------------------------------------------------------------------------ */

const TgDim *plan_row_major(Planner *p, const TgType *t)
{
    TgDim *stride = TG_NEW_N(p->arena, TgDim, t->rank + 1), step = tg_dim(p->tg, 1);
    for (int32_t k = t->rank; k-- > 0;) {
        stride[k] = step;
        step = tg_dim_mul(p->tg, step, t->dim[k]);
    }
    return stride;
}

static bool is_row_major(Planner *p, const TgType *t, const TgDim *stride)
{
    const TgDim *want = plan_row_major(p, t);
    for (int32_t k = 0; k < t->rank; k++)
        if (stride[k] != want[k] && !tg_dim_is(t->dim[k], 1))
            return false;
    return true;
}

static TgLocation view(Planner *p, const TgType *t, uint32_t buffer, TgDim offset, const TgDim *stride)
{
    return (TgLocation){buffer, offset, stride, is_row_major(p, t, stride)};
}

/* The stride that reads a size `d` as if it were `to`: 0 where it is 1 and repeated, whatever sizes are at run time. */
static TgDim repeated(Planner *p, TgDim stride, TgDim d, TgDim to)
{
    if (d == to)
        return stride;
    if (tg_dim_is(d, 1))
        return tg_dim(p->tg, 0);
    TgDim less = tg_dim_sub(p->tg, d, tg_dim(p->tg, 1)), one = tg_dim(p->tg, 1);
    return tg_dim_lower(d) >= 2 ? stride : tg_dim_mul(p->tg, stride, tg_dim_min(p->tg, less, one));
}

TgLocation plan_broadcast(Planner *p, const TgLocation *place, const TgType *from, int32_t rank, const TgDim *to)
{
    TgDim *stride = TG_NEW_N(p->arena, TgDim, rank + 1);
    int32_t more = rank - from->rank;
    for (int32_t k = 0; k < rank; k++)
        stride[k] = k < more ? tg_dim(p->tg, 0) : repeated(p, place->stride[k - more], from->dim[k - more], to[k]);
    return (TgLocation){place->buffer, place->offset, stride, false};
}

/* --- buffers and constants ---------------------------------------------------------------------------------------- */

uint32_t plan_buffer(Planner *p, TgBufferKind kind, uint32_t index, const TgType *type)
{
    TgBuffer b = {.kind = kind,
                  .index = index,
                  .dtype = type->dtype,
                  .type = type,
                  .count = tg_type_count(p->tg, type)};
    TG_PUSH(p->plan->arena, &p->plan->buffers, b);
    return p->plan->buffers.n - 1;
}

void plan_set_place(Planner *p, TgValue v, TgLocation place)
{
    while (p->plan->places.n <= v)
        TG_PUSH(p->plan->arena, &p->plan->places, (TgLocation){0});
    p->plan->places.at[v] = place;
}

static void place_constant(Planner *p, TgValue v, const TgTensor *t)
{
    TgWeight w = {.tensor = t, .layout = TG_LAYOUT_PLAIN, .dtype = t->dtype, .name = tg_value(p->g, v)->name};
    uint32_t index = p->plan->weights.n;
    TG_PUSH(p->plan->arena, &p->plan->weights, w);
    const TgType *type = tg_tensor_type(p->tg, t);
    uint32_t b = plan_buffer(p, TG_BUFFER_WEIGHT, index, type);
    plan_set_place(p, v, view(p, type, b, tg_dim(p->tg, 0), plan_row_major(p, type)));
}

TgLocation *plan_place(Planner *p, TgValue v)
{
    if (v >= p->plan->places.n)
        plan_set_place(p, v, (TgLocation){0});
    const TgTensor *t = p->plan->places.at[v].buffer ? NULL : tg_const_of(p->g, v);
    if (t)
        place_constant(p, v, t);
    return &p->plan->places.at[v];
}

TgLocation *plan_source(Planner *p, TgValue v)
{
    uint64_t unwritten = 0;
    (void)tg_map_get(&p->unwritten, v, &unwritten);
    if ((unwritten || !plan_place(p, v)->buffer) && tg_value(p->g, v)->origin == TG_V_RESULT && plan_numbers(p, v))
        plan_sizes(p, v);
    return plan_place(p, v);
}

/* --- what steps can write and read -------------------------------------------------------------------------------- */

bool accepts_any(Planner *p, const TgType *t, const TgLocation *place)
{
    (void)p;
    (void)place;
    return t->rank <= TG_PLAN_RANK;
}

bool accepts_contiguous(Planner *p, const TgType *t, const TgLocation *place)
{
    (void)p;
    (void)t;
    return place->contiguous;
}

bool accepts_last(Planner *p, const TgType *t, const TgLocation *place)
{
    (void)p;
    return t->rank > 0 && (tg_dim_is(place->stride[t->rank - 1], 1) || tg_dim_is(dim_at(t, -1), 1));
}

bool accepts_rows(Planner *p, const TgType *t, const TgLocation *place)
{
    if (!accepts_last(p, t, place))
        return false;
    TgDim below = NULL; /* the stride that the next axis outwards must have */
    for (int32_t k = t->rank - 1; k-- > 0;) {
        if (tg_dim_is(t->dim[k], 1))
            continue;
        if (below && place->stride[k] != below)
            return false;
        below = tg_dim_mul(p->tg, place->stride[k], t->dim[k]);
    }
    return true;
}

static bool reshape_strides(Planner *p, const TgType *from, const TgDim *stride, const TgType *to, TgDim *out);

/* --- results ------------------------------------------------------------------------------------------------------ */

static TgLocation fresh_place(Planner *p, const TgType *t)
{
    uint32_t b = plan_buffer(p, TG_BUFFER_ARENA, 0, t);
    TgLocation place = {b, tg_dim(p->tg, 0), plan_row_major(p, t), true};
    return place;
}

/* Output number k of the model, where v is that output and no other. */
static bool output_place(Planner *p, TgValue v, TgLocation *place)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->returned != 1)
        return false;
    for (uint32_t k = 0; k < p->plan->outputs.n; k++) {
        if (p->plan->outputs.at[k] != v)
            continue;
        *place = fresh_place(p, info->type);
        TgBuffer *b = &p->plan->buffers.at[place->buffer];
        b->kind = TG_BUFFER_OUTPUT;
        b->index = k;
        return true;
    }
    return false;
}

static TgDim concat_offset(Planner *p, const TgNodeInfo *n, uint32_t slot, int32_t axis)
{
    TgDim at = tg_dim(p->tg, 0);
    for (uint32_t i = 0; i < slot; i++)
        at = tg_dim_add(p->tg, at, tg_type_of(p->g, n->in[i])->dim[axis]);
    return at;
}

/* The part of the place of a Concat that operand `slot` is. */
TgLocation plan_piece(Planner *p, const TgNodeInfo *n, uint32_t slot)
{
    const TgType *whole = tg_type_of(p->g, n->out[0]), *t = tg_type_of(p->g, n->in[slot]);
    const TgLocation *to = plan_place(p, n->out[0]);
    int32_t axis = (int32_t)tg_attr_int(n, "axis");
    axis += axis < 0 ? whole->rank : 0;
    TgDim offset = tg_dim_add(p->tg, to->offset, tg_dim_mul(p->tg, concat_offset(p, n, slot, axis), to->stride[axis]));
    return view(p, t, to->buffer, offset, to->stride);
}

static bool wanted_place(Planner *p, TgValue v, uint32_t depth, TgLocation *place);

/* v has a place by now because its reader wanted one. */
static bool is_wanted_somewhere(Planner *p, TgValue v, uint32_t depth)
{
    TgLocation place;
    if (plan_place(p, v)->buffer)
        return true;
    if (!wanted_place(p, v, depth, &place))
        return false;
    plan_set_place(p, v, place);
    return true;
}

/* The only reader of v, where nothing else needs v. */
static const TgNodeInfo *only_reader(const Planner *p, TgValue v, uint32_t *slot)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->returned || info->uses.n != 1 || tg_map_get(&p->kept, v, NULL))
        return NULL;
    const TgNodeInfo *n = tg_node(p->g, info->uses.at[0].node);
    *slot = info->uses.at[0].slot;
    return n->dead || n->n_sub ? NULL : n;
}

static bool is_reshape(TgOp op)
{
    return op == TG_Reshape || op == TG_Squeeze || op == TG_Unsqueeze || op == TG_Identity;
}

/* Rows are wanted side by side: a view that melts axes is next. */
static bool melts_next(const Planner *p, TgValue v)
{
    uint32_t slot;
    const TgNodeInfo *n = only_reader(p, v, &slot);
    return n && n->op == TG_Reshape && slot == 0;
}

static bool wanted_by_transpose(Planner *p, TgValue v, const TgNodeInfo *n, uint32_t depth, TgLocation *place)
{
    const TgType *t = tg_type_of(p->g, n->out[0]);
    if (!is_wanted_somewhere(p, n->out[0], depth + 1)) {
        if (!melts_next(p, n->out[0]))
            return false;
        plan_set_place(p, n->out[0], fresh_place(p, t));
    }
    uint32_t given;
    const int64_t *perm = tg_attr_ints(n, "perm", &given);
    const TgLocation *to = plan_place(p, n->out[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, t->rank + 1);
    for (int32_t k = 0; k < t->rank; k++)
        stride[given ? perm[k] : t->rank - 1 - k] = to->stride[k];
    *place = view(p, tg_type_of(p->g, v), to->buffer, to->offset, stride);
    return true;
}

/* Where the reader of v has room for it already: in an output, in the result of a Concat, behind a view of those. */
static bool wanted_place(Planner *p, TgValue v, uint32_t depth, TgLocation *place)
{
    enum { DEEPEST = 8 };
    uint32_t slot;
    if (output_place(p, v, place))
        return true;
    const TgNodeInfo *n = depth < DEEPEST ? only_reader(p, v, &slot) : NULL;
    if (!n || n->n_out < 1 || !tg_is_tensor(tg_type_of(p->g, n->out[0])) ||
        !plan_sizes_known(p, tg_type_of(p->g, n->out[0])))
        return false;
    if (n->op == TG_Concat && n->n_in > 1 && !plan_numbers(p, n->out[0])) {
        if (!is_wanted_somewhere(p, n->out[0], depth + 1))
            plan_set_place(p, n->out[0], fresh_place(p, tg_type_of(p->g, n->out[0])));
        *place = plan_piece(p, n, slot);
        return true;
    }
    if (n->op == TG_Transpose)
        return wanted_by_transpose(p, v, n, depth, place);
    if (!is_reshape(n->op) || slot != 0 || !is_wanted_somewhere(p, n->out[0], depth + 1))
        return false;
    const TgType *t = tg_type_of(p->g, v);
    TgLocation to = *plan_place(p, n->out[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, t->rank + 1);
    if (!to.contiguous && !reshape_strides(p, tg_type_of(p->g, n->out[0]), to.stride, t, stride))
        return false;
    *place = view(p, t, to.buffer, to.offset, to.contiguous ? plan_row_major(p, t) : stride);
    return true;
}

void plan_place_result(Planner *p, TgValue v, bool (*accepts)(Planner *p, const TgType *t, const TgLocation *place))
{
    TgLocation place;
    const TgType *t = tg_type_of(p->g, v);
    if (plan_place(p, v)->buffer)
        return;
    if (!plan_sizes_known(p, t) || !wanted_place(p, v, 0, &place) || !accepts(p, t, &place))
        place = fresh_place(p, t);
    plan_set_place(p, v, place);
}

TgValue plan_contiguous(Planner *p, TgValue v)
{
    uint64_t copy;
    if (plan_source(p, v)->contiguous)
        return v;
    if (tg_map_get(&p->copied, v, &copy) && copy)
        return (TgValue)copy;
    TgValue made = tg_op(p->g, TG_Identity, NULL, 1, v);
    plan_set_place(p, made, fresh_place(p, tg_type_of(p->g, v)));
    plan_copy(p, v, made);
    tg_map_put(&p->copied, v, made);
    TG_PUSH(p->arena, &p->copies, v);
    return made;
}

/* --- views -------------------------------------------------------------------------------------------------------- */

typedef struct {
    TgDim dim, stride;
} Axis;

/* Axes that matter, from the outermost on. */
static int32_t real_axes(const TgType *t, const TgDim *stride, Axis *axis)
{
    int32_t n = 0;
    for (int32_t k = 0; k < t->rank; k++)
        if (!tg_dim_is(t->dim[k], 1))
            axis[n++] = (Axis){t->dim[k], stride ? stride[k] : NULL};
    return n;
}

/* One more axis of the source, or of the result, until both products are equal. False: they never are. */
static bool next_group(Planner *p, const Axis *from, int32_t n_from, int32_t *i, const Axis *to, int32_t n_to,
                       int32_t *k)
{
    TgDim a = from[(*i)++].dim, b = to[(*k)++].dim, rest;
    while (a != b) {
        int64_t x, y;
        bool numbers = tg_dim_known(a, &x) && tg_dim_known(b, &y);
        if (*i < n_from && (numbers ? x < y : tg_dim_exact_div(p->tg, b, a, &rest)))
            a = tg_dim_mul(p->tg, a, from[(*i)++].dim);
        else if (*k < n_to && (numbers ? y < x : tg_dim_exact_div(p->tg, a, b, &rest)))
            b = tg_dim_mul(p->tg, b, to[(*k)++].dim);
        else
            return false;
    }
    return true;
}

/* Strides of `to` over what lies as `from` with `stride`; false: no strides do. */
static bool reshape_strides(Planner *p, const TgType *from, const TgDim *stride, const TgType *to, TgDim *out)
{
    Axis a[TG_MAX_RANK], b[TG_MAX_RANK];
    int32_t n_from = real_axes(from, stride, a), n_to = real_axes(to, NULL, b), i = 0, k = 0;
    while (i < n_from && k < n_to) {
        int32_t i0 = i, k0 = k;
        if (!next_group(p, a, n_from, &i, b, n_to, &k))
            return false;
        for (int32_t j = i0; j + 1 < i; j++)
            if (a[j].stride != tg_dim_mul(p->tg, a[j + 1].stride, a[j + 1].dim))
                return false;
        TgDim step = a[i - 1].stride;
        for (int32_t j = k; j-- > k0;) {
            b[j].stride = step;
            step = tg_dim_mul(p->tg, step, b[j].dim);
        }
    }
    if (i < n_from || k < n_to)
        return false;
    int32_t next = 0;
    for (int32_t j = 0; j < to->rank; j++)
        out[j] = tg_dim_is(to->dim[j], 1) ? tg_dim(p->tg, 0) : b[next++].stride;
    return true;
}

static bool view_reshape(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, to->rank + 1);
    TgLocation src = *plan_source(p, n->in[0]);
    if (!src.contiguous && !reshape_strides(p, from, src.stride, to, stride))
        src = *plan_place(p, plan_contiguous(p, n->in[0]));
    if (src.contiguous) {
        plan_set_place(p, n->out[0], (TgLocation){src.buffer, src.offset, plan_row_major(p, to), true});
        return true;
    }
    plan_set_place(p, n->out[0], view(p, to, src.buffer, src.offset, stride));
    return true;
}

static bool view_transpose(Planner *p, const TgNodeInfo *n)
{
    const TgType *to = tg_type_of(p->g, n->out[0]);
    const TgLocation *src = plan_source(p, n->in[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, to->rank + 1);
    uint32_t given;
    const int64_t *perm = tg_attr_ints(n, "perm", &given);
    for (int32_t k = 0; k < to->rank; k++)
        stride[k] = src->stride[given ? perm[k] : to->rank - 1 - k];
    plan_set_place(p, n->out[0], view(p, to, src->buffer, src->offset, stride));
    return true;
}

static bool view_expand(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    TgLocation place = plan_broadcast(p, plan_source(p, n->in[0]), from, to->rank, to->dim);
    plan_set_place(p, n->out[0], view(p, to, place.buffer, place.offset, place.stride));
    return true;
}

static bool view_split(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]);
    TgLocation src = *plan_source(p, n->in[0]);
    int32_t axis = (int32_t)tg_attr_int(n, "axis");
    axis += axis < 0 ? from->rank : 0;
    TgDim offset = src.offset;
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgType *t = tg_type_of(p->g, n->out[i]);
        plan_set_place(p, n->out[i], view(p, t, src.buffer, offset, src.stride));
        offset = tg_dim_add(p->tg, offset, tg_dim_mul(p->tg, t->dim[axis], src.stride[axis]));
    }
    return true;
}

/* The elements of an integer operand as sizes; false: nobody knows them yet. */
static bool numbers_of(const Planner *p, TgValue v, uint32_t most, TgDim *out, uint32_t *n)
{
    int64_t value[TG_MAX_RANK];
    if (most > TG_MAX_RANK)
        return false;
    if (tg_const_ints(p->g, v, most, value, n)) {
        for (uint32_t i = 0; i < *n; i++)
            out[i] = tg_dim(p->tg, value[i]);
        return true;
    }
    const TgValueInfo *info = tg_value(p->g, v);
    int64_t count;
    if (!info->symbolic || !tg_type_numel(info->type, &count) || count > (int64_t)most)
        return false;
    *n = (uint32_t)count;
    for (uint32_t i = 0; i < *n; i++) {
        out[i] = info->symbolic[i];
        if (!plan_dim_known(p, out[i]))
            return false;
    }
    return true;
}

/* Where a Slice starts, in [0, size]; NULL: its sign is not known. */
static TgDim slice_start(Planner *p, TgDim start, TgDim size, int64_t step)
{
    Tg *tg = p->tg;
    TgDim zero = tg_dim(tg, 0), last = step > 0 ? size : tg_dim_sub(tg, size, tg_dim(tg, 1));
    if (tg_dim_lower(start) >= 0)
        return tg_dim_min(tg, start, last);
    if (tg_dim_upper(start) < 0)
        return tg_dim_max(tg, tg_dim_add(tg, start, size), zero);
    return NULL;
}

static bool view_slice(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]);
    TgDim start[TG_MAX_RANK], axes[TG_MAX_RANK], steps[TG_MAX_RANK];
    uint32_t count, n_axes = 0, n_steps = 0;
    if (!numbers_of(p, n->in[1], TG_MAX_RANK, start, &count) ||
        (in(n, 3) && !numbers_of(p, n->in[3], TG_MAX_RANK, axes, &n_axes)) ||
        (in(n, 4) && !numbers_of(p, n->in[4], TG_MAX_RANK, steps, &n_steps)))
        return false;
    TgLocation src = *plan_source(p, n->in[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, to->rank + 1), offset = src.offset;
    memcpy(stride, src.stride, (size_t)to->rank * sizeof *stride);
    for (uint32_t i = 0; i < count; i++) {
        int64_t axis = i, step = 1;
        if ((n_axes && !tg_dim_known(axes[i], &axis)) || (n_steps && !tg_dim_known(steps[i], &step)))
            return false;
        axis += axis < 0 ? from->rank : 0;
        TgDim at = slice_start(p, start[i], from->dim[axis], step);
        if (!at)
            return false;
        offset = tg_dim_add(p->tg, offset, tg_dim_mul(p->tg, at, src.stride[axis]));
        stride[axis] = tg_dim_mul(p->tg, src.stride[axis], tg_dim(p->tg, step));
    }
    plan_set_place(p, n->out[0], view(p, to, src.buffer, offset, stride));
    return true;
}

/* One row of an axis, by a constant index. */
static bool view_gather(Planner *p, const TgNodeInfo *n)
{
    const TgType *from = tg_type_of(p->g, n->in[0]), *to = tg_type_of(p->g, n->out[0]),
                 *index = tg_type_of(p->g, n->in[1]);
    TgDim at;
    uint32_t count;
    if (index->rank > 1 || !numbers_of(p, n->in[1], 1, &at, &count) || count != 1)
        return false;
    int32_t axis = (int32_t)tg_attr_int(n, "axis");
    axis += axis < 0 ? from->rank : 0;
    if (tg_dim_upper(at) < 0)
        at = tg_dim_add(p->tg, at, from->dim[axis]);
    else if (tg_dim_lower(at) < 0)
        return false;
    int64_t i, size;
    if (!tg_dim_known(at, &i) || !tg_dim_known(from->dim[axis], &size) || i < 0 || i >= size)
        return false; /* the kernel says what is wrong with it when it runs */
    const TgLocation *src = plan_source(p, n->in[0]);
    TgDim *stride = TG_NEW_N(p->arena, TgDim, to->rank + 1);
    for (int32_t k = 0, out = 0; k < from->rank; k++)
        if (k != axis || index->rank)
            stride[out++] = src->stride[k];
    TgDim offset = tg_dim_add(p->tg, src->offset, tg_dim_mul(p->tg, at, src->stride[axis]));
    plan_set_place(p, n->out[0], view(p, to, src->buffer, offset, stride));
    return true;
}

static bool place_view(Planner *p, const TgNodeInfo *n)
{
    switch (n->op) {
    case TG_Identity:
    case TG_Reshape:
    case TG_Squeeze:
    case TG_Unsqueeze: return view_reshape(p, n);
    case TG_Transpose: return view_transpose(p, n);
    case TG_Expand: return view_expand(p, n);
    case TG_Split: return view_split(p, n);
    case TG_Slice: return view_slice(p, n);
    case TG_Gather: return view_gather(p, n);
    default: return false;
    }
}

/* A reader wanted the result elsewhere, and who made the operand could not write there: it is copied, seen as the
 * view. */
static bool copy_view(Planner *p, const TgNodeInfo *n)
{
    TgLocation wanted = *plan_place(p, n->out[0]);
    plan_set_place(p, n->out[0], (TgLocation){0});
    bool good = place_view(p, n);
    TgLocation seen = *plan_place(p, n->out[0]);
    plan_set_place(p, n->out[0], wanted);
    if (!good)
        return false;
    TgValue same = tg_op(p->g, TG_Identity, NULL, 1, n->out[0]);
    plan_set_place(p, same, seen);
    return plan_copy(p, same, n->out[0]);
}

bool plan_view(Planner *p, TgNode node)
{
    const TgNodeInfo *n = tg_node(p->g, node);
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgType *t = tg_type_of(p->g, n->out[i]);
        if (!tg_is_tensor(t) || !plan_sizes_known(p, t))
            return false;
    }
    uint32_t at = plan_place(p, n->out[0])->buffer;
    if (!at)
        return place_view(p, n);
    return plan_source(p, n->in[0])->buffer == at || copy_view(p, n);
}
