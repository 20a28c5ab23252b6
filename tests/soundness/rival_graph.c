/* Evaluates a graph over an arithmetic that is not that of numbers (rivals.h). Slow and short: the graphs
 * are tiny.
 *
 * Integers are known from inference or not at all; an operator outside of the table, a composite one whose
 * definition needs such an operator, and anything that decides by values cannot be expressed.
 */
#include <string.h>

#include "rivals.h"

typedef struct {
    Tg *tg;
    TgGraph *g;
    const Arithmetic *how;
    RivalSizes *sizes;
    Grid *value; /* by TgValue */
} Run;

typedef bool (*Kernel)(Run *r, const TgNodeInfo *n, Grid *out);

typedef struct {
    uint32_t n;
    int64_t at[64];
} Ints;

/* --- sizes and integers --------------------------------------------------------------------------------- */

static bool size_of(void *user, TgDim symbol, int64_t *n)
{
    static const int64_t primes[] = {2, 3, 5, 7, 11, 13};
    RivalSizes *s = user;
    uint32_t i = 0;
    while (i < s->n && s->symbol[i] != symbol)
        i++;
    if (i == s->n && i < 16 && !tg_dim_is_fresh(symbol))
        s->symbol[s->n++] = symbol;
    *n = primes[i % 6];
    return i < s->n;
}

/* Shape of a value under the sizes; room for its elements. */
static bool shape_of(Run *r, TgValue v, Grid *out)
{
    const TgType *t = tg_type_of(r->g, v);
    if (!tg_is_tensor(t) || t->rank > RIVAL_RANK)
        return false;
    *out = (Grid){.rank = t->rank, .count = 1};
    for (int32_t i = 0; i < t->rank; i++) {
        if (!tg_dim_eval(t->dim[i], size_of, r->sizes, &out->dim[i]))
            return false;
        out->count *= out->dim[i];
    }
    out->at = TG_NEW_N(tg_forever(r->tg), Number, out->count + 1);
    return true;
}

static bool ints_of(Run *r, TgValue v, Ints *out)
{
    const TgTensor *t = tg_const_of(r->g, v);
    int64_t n;
    *out = (Ints){.n = 0};
    if (!v || !tg_type_numel(tg_type_of(r->g, v), &n) || n > 64)
        return false;
    const TgDim *symbolic = tg_value(r->g, v)->symbolic;
    for (; out->n < n; out->n++) {
        int64_t *x = &out->at[out->n];
        if (t)
            *x = tg_tensor_int(r->tg, t, out->n);
        else if (!symbolic || !tg_dim_eval(symbolic[out->n], size_of, r->sizes, x))
            return false;
    }
    return true;
}

static int32_t axis_of(int64_t axis, int32_t rank)
{
    return (int32_t)(axis < 0 ? axis + rank : axis);
}

/* --- places --------------------------------------------------------------------------------------------- */

static void coordinates(const Grid *x, int64_t flat, int64_t *at)
{
    for (int32_t i = x->rank; i-- > 0; flat /= x->dim[i])
        at[i] = flat % x->dim[i];
}

/* Coordinates beyond a size of 1 stay at 0: broadcasting. `at` has `rank` of them, the last ones count. */
static int64_t place(const Grid *x, const int64_t *at, int32_t rank)
{
    int64_t flat = 0;
    for (int32_t i = 0; i < x->rank; i++)
        flat = flat * x->dim[i] + (x->dim[i] == 1 ? 0 : at[rank - x->rank + i]);
    return flat;
}

/* --- values --------------------------------------------------------------------------------------------- */

static bool is_real(const Run *r, TgValue v)
{
    TgDtype t = tg_type_of(r->g, v)->dtype;
    return t == TG_f32 || t == TG_f64;
}

/* Weights drawn at random are inputs by another name; all other constants are numbers. */
static bool read_constant(Run *r, const TgTensor *t, Grid *out)
{
    for (int64_t i = 0; i < out->count; i++)
        if (t->seed)
            out->at[i] = r->how->input(tg_mix(t->seed, 1), i);
        else if (!r->how->constant(tg_tensor_float(r->tg, t, (size_t)i), &out->at[i]))
            return false;
    return true;
}

static const Grid *grid_of(Run *r, TgValue v)
{
    if (!v || !is_real(r, v))
        return NULL;
    Grid *x = &r->value[v];
    const TgTensor *t = tg_const_of(r->g, v);
    if (!x->at && t && (!shape_of(r, v, x) || !read_constant(r, t, x)))
        *x = (Grid){.at = NULL};
    return x->at ? x : NULL;
}

static bool read_inputs(Run *r)
{
    for (uint32_t k = 0; k < r->g->inputs.n; k++) {
        TgValue v = r->g->inputs.at[k];
        TgName name = tg_value(r->g, v)->name;
        if (!is_real(r, v))
            continue;
        if (!shape_of(r, v, &r->value[v]))
            return false;
        for (int64_t i = 0; i < r->value[v].count; i++)
            r->value[v].at[i] = r->how->input(tg_hash(name, strlen(name), 0), i);
    }
    return true;
}

/* --- elementwise ---------------------------------------------------------------------------------------- */

static bool constant(const Run *r, double x, Number *y)
{
    return r->how->constant(x, y);
}

static bool negative(const Run *r, Number x, Number *y)
{
    Number minus;
    return constant(r, -1, &minus) && (*y = r->how->mul(x, minus), true);
}

static bool quotient_of_exp(Run *r, Number x, Number *y) /* 1 / (1 + exp(-x)) */
{
    Number one, minus, e;
    return constant(r, 1, &one) && negative(r, x, &minus) && r->how->apply(F_EXP, minus, &e) &&
           r->how->div(one, r->how->add(one, e), y);
}

static bool unary_number(Run *r, const TgNodeInfo *n, Number x, Number *y)
{
    const Arithmetic *how = r->how;
    Number one;
    switch (n->op) {
    case TG_Neg: return negative(r, x, y);
    case TG_Reciprocal: return constant(r, 1, &one) && how->div(one, x, y);
    case TG_Exp: return how->apply(F_EXP, x, y);
    case TG_Sqrt: return how->apply(F_SQRT, x, y);
    case TG_Relu: return how->apply(F_RELU, x, y);
    case TG_Swish: return tg_attr_float(n, "alpha") == 1 && how->apply(F_SILU, x, y);
    case TG_Gelu: return how->apply(F_GELU, x, y);
    case TG_Clip: return how->apply(F_CLAMP, x, y);
    case TG_Sigmoid: return quotient_of_exp(r, x, y);
    default: return false;
    }
}

static bool unary(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    for (int64_t i = 0; x && i < out->count; i++)
        if (!unary_number(r, n, x->at[i], &out->at[i]))
            return false;
    return x;
}

static bool binary_number(const Run *r, TgOp op, Number x, Number y, Number *z)
{
    Number minus;
    switch (op) {
    case TG_Add: return *z = r->how->add(x, y), true;
    case TG_Sub: return negative(r, y, &minus) && (*z = r->how->add(x, minus), true);
    case TG_Mul: return *z = r->how->mul(x, y), true;
    default: return r->how->div(x, y, z);
    }
}

static bool binary(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]), *y = grid_of(r, n->in[1]);
    int64_t at[RIVAL_RANK];
    for (int64_t i = 0; x && y && i < out->count; i++) {
        coordinates(out, i, at);
        if (!binary_number(r, n->op, x->at[place(x, at, out->rank)], y->at[place(y, at, out->rank)],
                           &out->at[i]))
            return false;
    }
    return x && y;
}

/* Powers that are known and small, and the root. */
static bool power(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    double e;
    if (!x || !tg_const_float(r->g, n->in[1], &e) || x->count != out->count)
        return false;
    if (e != 0.5 && !(e >= 1 && e <= 8 && e == (int)e))
        return false;
    for (int64_t i = 0; i < out->count; i++) {
        out->at[i] = x->at[i];
        for (int k = 1; k < e; k++)
            out->at[i] = r->how->mul(out->at[i], x->at[i]);
        if (e == 0.5 && !r->how->apply(F_SQRT, x->at[i], &out->at[i]))
            return false;
    }
    return true;
}

/* --- movement ------------------------------------------------------------------------------------------- */

static bool copy(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    if (x && x->count == out->count)
        memcpy(out->at, x->at, (size_t)x->count * sizeof *x->at);
    return x && x->count == out->count;
}

static bool expand(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    int64_t at[RIVAL_RANK];
    for (int64_t i = 0; x && i < out->count; i++) {
        coordinates(out, i, at);
        out->at[i] = x->at[place(x, at, out->rank)];
    }
    return x;
}

static bool transpose(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    uint32_t count;
    const int64_t *perm = tg_attr_ints(n, "perm", &count);
    int64_t to[RIVAL_RANK], from[RIVAL_RANK];
    for (int64_t i = 0; x && i < out->count; i++) {
        coordinates(out, i, to);
        for (int32_t k = 0; k < out->rank; k++)
            from[perm ? perm[k] : out->rank - 1 - k] = to[k];
        out->at[i] = x->at[place(x, from, x->rank)];
    }
    return x;
}

static int64_t bound(int64_t at, int64_t size, int64_t low, int64_t high)
{
    at = at < -size ? low : at < 0 ? at + size : at;
    return at < low ? low : at > high ? high : at;
}

static bool slice(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    Ints start, axes = {.n = 0}, steps = {.n = 0};
    if (!x || !ints_of(r, n->in[1], &start) || (n->n_in > 3 && n->in[3] && !ints_of(r, n->in[3], &axes)) ||
        (n->n_in > 4 && n->in[4] && !ints_of(r, n->in[4], &steps)))
        return false;
    int64_t at[RIVAL_RANK];
    for (int64_t i = 0; i < out->count; i++) {
        coordinates(out, i, at);
        for (uint32_t k = 0; k < start.n; k++) {
            int32_t axis = axes.n ? axis_of(axes.at[k], x->rank) : (int32_t)k;
            int64_t step = steps.n ? steps.at[k] : 1, size = x->dim[axis];
            at[axis] = bound(start.at[k], size, 0, step < 0 ? size - 1 : size) + at[axis] * step;
        }
        out->at[i] = x->at[place(x, at, x->rank)];
    }
    return true;
}

static bool concat(Run *r, const TgNodeInfo *n, Grid *out)
{
    int32_t axis = axis_of(tg_attr_int(n, "axis"), out->rank);
    int64_t at[RIVAL_RANK], offset = 0;
    for (uint32_t k = 0; k < n->n_in; k++) {
        const Grid *x = grid_of(r, n->in[k]);
        if (!x)
            return false;
        for (int64_t i = 0; i < x->count; i++) {
            coordinates(x, i, at);
            at[axis] += offset;
            out->at[place(out, at, out->rank)] = x->at[i];
        }
        offset += x->dim[axis];
    }
    return true;
}

static bool split(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    int32_t axis = x ? axis_of(tg_attr_int(n, "axis"), x->rank) : 0;
    int64_t at[RIVAL_RANK], offset = 0;
    for (uint32_t k = 0; x && k < n->n_out; k++) {
        for (int64_t i = 0; i < out[k].count; i++) {
            coordinates(&out[k], i, at);
            at[axis] += offset;
            out[k].at[i] = x->at[place(x, at, x->rank)];
        }
        offset += out[k].dim[axis];
    }
    return x;
}

static bool gather(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    Ints index;
    if (!x || !ints_of(r, n->in[1], &index) || tg_type_of(r->g, n->in[1])->rank > 1)
        return false;
    int32_t axis = axis_of(tg_attr_int(n, "axis"), x->rank), gone = tg_type_of(r->g, n->in[1])->rank == 0;
    int64_t to[RIVAL_RANK], from[RIVAL_RANK];
    for (int64_t i = 0; i < out->count; i++) {
        coordinates(out, i, to);
        for (int32_t k = 0; k < x->rank; k++)
            from[k] = k == axis ? 0 : to[k > axis ? k - gone : k];
        int64_t at = index.at[gone ? 0 : to[axis]];
        from[axis] = at < 0 ? at + x->dim[axis] : at;
        out->at[i] = x->at[place(x, from, x->rank)];
    }
    return true;
}

/* --- sums ----------------------------------------------------------------------------------------------- */

/* Where element `flat` of x goes when the axes of `summed` are summed over. */
static int64_t remaining(const Grid *x, int64_t flat, const bool *summed)
{
    int64_t at[RIVAL_RANK], to = 0;
    coordinates(x, flat, at);
    for (int32_t k = 0; k < x->rank; k++)
        if (!summed[k])
            to = to * x->dim[k] + at[k];
    return to;
}

static bool zeros(const Run *r, Grid *out)
{
    Number zero;
    bool fine = constant(r, 0, &zero);
    for (int64_t i = 0; i < out->count; i++)
        out->at[i] = zero;
    return fine;
}

static bool reduce(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    Ints axes = {.n = 0};
    bool summed[RIVAL_RANK] = {false}, given = n->n_in > 1 && n->in[1];
    if (!x || (given && !ints_of(r, n->in[1], &axes)) || !zeros(r, out))
        return false;
    for (int32_t k = 0; k < x->rank && !axes.n; k++)
        summed[k] = !tg_attr_int(n, "noop_with_empty_axes");
    for (uint32_t k = 0; k < axes.n; k++)
        summed[axis_of(axes.at[k], x->rank)] = true;
    for (int64_t i = 0; i < x->count; i++) {
        Number *sum = &out->at[remaining(x, i, summed)], term = x->at[i];
        *sum = r->how->add(*sum, n->op == TG_ReduceSumSquare ? r->how->mul(term, term) : term);
    }
    Number size;
    bool fine = constant(r, out->count ? (double)(x->count / out->count) : 1, &size);
    for (int64_t i = 0; fine && n->op == TG_ReduceMean && i < out->count; i++)
        fine = r->how->div(out->at[i], size, &out->at[i]);
    return fine;
}

static bool softmax(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]);
    bool summed[RIVAL_RANK] = {false};
    if (!x)
        return false;
    summed[axis_of(tg_attr_int(n, "axis"), x->rank)] = true;
    Grid sum = {.count = x->count, .at = TG_NEW_N(tg_forever(r->tg), Number, x->count + 1)};
    bool fine = zeros(r, &sum);
    for (int64_t i = 0; i < x->count && fine; i++) {
        Number *s = &sum.at[remaining(x, i, summed)];
        fine = r->how->apply(F_EXP, x->at[i], &out->at[i]);
        *s = r->how->add(*s, out->at[i]);
    }
    for (int64_t i = 0; i < x->count && fine; i++)
        fine = r->how->div(out->at[i], sum.at[remaining(x, i, summed)], &out->at[i]);
    return fine;
}

/* --- products ------------------------------------------------------------------------------------------- */

/* A vector as a matrix; a matrix as it is, or its transpose. */
static Grid matrix(const Grid *x, bool column)
{
    Grid m = *x;
    if (x->rank == 1) {
        m.rank = 2;
        m.dim[column ? 0 : 1] = x->dim[0];
        m.dim[column ? 1 : 0] = 1;
    }
    return m;
}

static Number dot(const Run *r, const Grid *x, const Grid *y, int64_t *at_x, int64_t *at_y, int32_t rank,
                  Number sum)
{
    for (int64_t k = 0; k < x->dim[x->rank - 1]; k++) {
        at_x[rank - 1] = at_y[rank - 2] = k;
        sum = r->how->add(sum, r->how->mul(x->at[place(x, at_x, rank)], y->at[place(y, at_y, rank)]));
    }
    return sum;
}

static bool product(Run *r, const Grid *a, const Grid *b, Grid *out)
{
    Grid x = matrix(a, false), y = matrix(b, true), z = {.rank = x.rank > y.rank ? x.rank : y.rank};
    int64_t at_x[RIVAL_RANK], at_y[RIVAL_RANK];
    for (int32_t k = 0; k < z.rank; k++) { /* sizes of the result, batch first; a size of 1 gives way */
        int64_t p = k + x.rank < z.rank ? 1 : x.dim[k + x.rank - z.rank];
        int64_t q = k + y.rank < z.rank ? 1 : y.dim[k + y.rank - z.rank];
        z.dim[k] = k == z.rank - 2 ? p : k == z.rank - 1 ? q : p == 1 ? q : p;
    }
    if (!zeros(r, out))
        return false;
    for (int64_t i = 0; i < out->count; i++) {
        coordinates(&z, i, at_x);
        memcpy(at_y, at_x, sizeof at_y);
        out->at[i] = dot(r, &x, &y, at_x, at_y, z.rank, out->at[i]);
    }
    return true;
}

static bool matmul(Run *r, const TgNodeInfo *n, Grid *out)
{
    const Grid *x = grid_of(r, n->in[0]), *y = grid_of(r, n->in[1]);
    return x && y && product(r, x, y, out);
}

/* --- the graph ------------------------------------------------------------------------------------------ */

static const struct {
    TgOp op;
    Kernel kernel;
} table[] = {
    {TG_Neg, unary},
    {TG_Reciprocal, unary},
    {TG_Exp, unary},
    {TG_Sqrt, unary},
    {TG_Relu, unary},
    {TG_Swish, unary},
    {TG_Gelu, unary},
    {TG_Clip, unary},
    {TG_Sigmoid, unary},
    {TG_Add, binary},
    {TG_Sub, binary},
    {TG_Mul, binary},
    {TG_Div, binary},
    {TG_Pow, power},
    {TG_Identity, copy},
    {TG_Cast, copy},
    {TG_Reshape, copy},
    {TG_Flatten, copy},
    {TG_Squeeze, copy},
    {TG_Unsqueeze, copy},
    {TG_Expand, expand},
    {TG_Transpose, transpose},
    {TG_Slice, slice},
    {TG_Concat, concat},
    {TG_Split, split},
    {TG_Gather, gather},
    {TG_ReduceSum, reduce},
    {TG_ReduceMean, reduce},
    {TG_ReduceSumSquare, reduce},
    {TG_Softmax, softmax},
    {TG_MatMul, matmul},
};

static Kernel kernel_of(TgOp op)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op == op)
            return table[i].kernel;
    return NULL;
}

/* One composite operator without a kernel becomes its definition. False: none is left, or it has none. */
static bool lower_one(TgGraph *g)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(g, order[i]);
        TgValue out[64] = {0};
        if (kernel_of(info->op) || tg_op_info(info->op)->tier != TG_COMPOSITE || info->n_out > 64)
            continue;
        if (!tg_define(g, g, info, info->in, out))
            return false;
        for (uint32_t k = 0; k < info->n_out; k++)
            if (out[k])
                tg_replace(g, info->out[k], out[k]);
        return tg_remove_dead(g);
    }
    return false;
}

static bool step(Run *r, const TgNodeInfo *n)
{
    Grid out[64];
    Kernel kernel = kernel_of(n->op);
    if (!kernel || n->n_out > 64 || !is_real(r, n->out[0]))
        return false;
    for (uint32_t k = 0; k < n->n_out; k++)
        if (!shape_of(r, n->out[k], &out[k]))
            return false;
    if (!kernel(r, n, out))
        return false;
    for (uint32_t k = 0; k < n->n_out; k++)
        r->value[n->out[k]] = out[k];
    return true;
}

bool rival_run(Tg *tg, TgGraph *g, const Arithmetic *how, RivalSizes *sizes, Grid *out)
{
    tg_remove_dead(g);
    for (int rounds = 0; rounds < 100 && lower_one(g); rounds++)
        ;
    Run r = {tg, g, how, sizes, TG_NEW_N(tg_forever(tg), Grid, g->values.n + 1)};
    if (!read_inputs(&r))
        return false;
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < n; i++) /* what cannot be computed is missed by those who need it */
        step(&r, tg_node(g, order[i]));
    for (uint32_t k = 0; k < g->outputs.n; k++) {
        const Grid *x = grid_of(&r, g->outputs.at[k].value);
        if (!x)
            return false;
        out[k] = *x;
    }
    return true;
}
