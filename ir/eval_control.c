/* If, Loop and Scan: running subgraphs. What a body carries from one iteration to the next is shared, not copied; scan
 * outputs are collected and stacked at the end. */
#include <string.h>

#include "eval_kernel.h"

static int find_sub(const TgEvalCall *c, const char *attr)
{
    for (uint32_t i = 0; i < c->n->n_sub; i++)
        if (strcmp(c->n->sub[i].attr, attr) == 0)
            return (int)i;
    return -1;
}

static bool truth(const TgArray *a) { return a->count > 0 && eval_ints_of(a)[0] != 0; }

bool eval_if(TgEvalCall *c)
{
    int branch = find_sub(c, truth(c->in[0]) ? "then_branch" : "else_branch");
    if (branch < 0 || c->n->sub[branch].graph->outputs.n != c->n->n_out)
        return tg_report(c->tg, TG_E_eval_requires, "If", "two branches with as many outputs as it has");
    return eval_subgraph(c, (uint32_t)branch, 0, NULL, c->out);
}

/* --- carried values and scan outputs ------------------------------------------------------------------------------------ */

typedef TG_VEC(TgArray) Arrays;

typedef struct {
    TgEvalCall *c;
    uint32_t sub;
    uint32_t n_state, n_scan; /* carried values; outputs that are collected */
    TgArray *state;
    Arrays *scan;
} Body;

static bool begin(Body *b, TgEvalCall *c, uint32_t n_state, uint32_t skipped)
{
    int sub = find_sub(c, "body");
    uint32_t outputs = sub < 0 ? 0 : c->n->sub[sub].graph->outputs.n;
    if (sub < 0 || outputs < n_state + skipped || outputs - skipped != c->n->n_out)
        return tg_report(c->tg, TG_E_eval_requires, "a loop", "a body that fits its inputs and outputs");
    *b = (Body){.c = c, .sub = (uint32_t)sub, .n_state = n_state, .n_scan = outputs - skipped - n_state};
    b->state = TG_NEW_N(tg_scratch(c->tg), TgArray, n_state + 1);
    b->scan = TG_NEW_N(tg_scratch(c->tg), Arrays, b->n_scan + 1);
    return true;
}

static void drop_all(Body *b)
{
    for (uint32_t i = 0; i < b->n_state; i++)
        tg_array_drop(b->c->tg, &b->state[i]);
    for (uint32_t i = 0; i < b->n_scan; i++)
        for (uint32_t k = 0; k < b->scan[i].n; k++)
            tg_array_drop(b->c->tg, &b->scan[i].at[k]);
}

/* Takes what one iteration returned: new carried values, one more element of each collection. */
static void take_results(Body *b, TgArray *results)
{
    for (uint32_t i = 0; i < b->n_state; i++) {
        tg_array_drop(b->c->tg, &b->state[i]);
        b->state[i] = results[i];
    }
    for (uint32_t i = 0; i < b->n_scan; i++)
        TG_PUSH(tg_scratch(b->c->tg), &b->scan[i], results[b->n_state + i]);
}

/* All elements of one collection along a new axis, in order or backwards. */
static bool stack(TgEvalCall *c, uint32_t output, const Arrays *parts, int64_t axis, bool backwards)
{
    int64_t dim[TG_EVAL_RANK + 1];
    const TgType *claim = c->g ? tg_type_of(c->g, c->n->out[output]) : NULL;
    if (!parts->n) { /* no iteration: sizes that only the body knows are unknown, hence 0 */
        int32_t rank = claim && claim->kind == TG_TENSOR && claim->rank > 0 ? claim->rank : 1;
        for (int32_t i = 0; i < rank; i++)
            if (i == 0 || !claim || claim->rank < rank || !tg_dim_known(claim->dim[i], &dim[i]))
                dim[i] = 0;
        return eval_out(c, output, claim && claim->dtype ? claim->dtype : TG_f32, rank, dim);
    }
    const TgArray *first = &parts->at[0];
    int32_t k;
    if (!eval_axis(c, axis, first->rank + 1, &k))
        return false;
    memcpy(dim, first->dim, (size_t)k * sizeof *dim);
    dim[k] = parts->n;
    memcpy(dim + k + 1, first->dim + k, (size_t)(first->rank - k) * sizeof *dim);
    if (!eval_out(c, output, first->dtype, first->rank + 1, dim))
        return false;
    size_t block = (size_t)eval_count(first->dim, k, first->rank) * eval_element(c, first);
    int64_t outer = eval_count(first->dim, 0, k);
    for (uint32_t i = 0; i < parts->n; i++) {
        const TgArray *part = &parts->at[backwards ? parts->n - 1 - i : i];
        if (part->rank != first->rank || part->count != first->count || part->dtype != first->dtype)
            return tg_report(c->tg, TG_E_eval_requires, "a scan output", "the same shape in every iteration");
        for (int64_t o = 0; block && o < outer; o++)
            memcpy((char *)c->out[output].data + ((size_t)o * parts->n + i) * block,
                   (const char *)part->data + (size_t)o * block, block);
    }
    return true;
}

static void hand_over_state(Body *b)
{
    for (uint32_t i = 0; i < b->n_state; i++) {
        b->c->out[i] = b->state[i];
        b->state[i] = (TgArray){0};
    }
    b->n_state = 0;
}

/* --- Loop ---------------------------------------------------------------------------------------------------------------- */

static TgArray number(TgEvalCall *c, TgDtype dtype, int64_t x)
{
    TgArray a = tg_array_new(c->tg, c->mode, dtype, 0, NULL);
    eval_ints_of(&a)[0] = x;
    return a;
}

/* One iteration; *more becomes the body's condition. */
static bool iterate(Body *b, int64_t i, bool *more)
{
    TgEvalCall *c = b->c;
    uint32_t n = b->n_state + 2, outputs = 1 + b->n_state + b->n_scan;
    const TgArray **in = TG_NEW_N(tg_scratch(c->tg), const TgArray *, n);
    TgArray *out = TG_NEW_N(tg_scratch(c->tg), TgArray, outputs);
    TgArray trip = number(c, TG_i64, i), condition = number(c, TG_bool, 1);
    in[0] = &trip;
    in[1] = &condition;
    for (uint32_t k = 0; k < b->n_state; k++)
        in[2 + k] = &b->state[k];
    bool ok = eval_subgraph(c, b->sub, n, in, out);
    tg_array_drop(c->tg, &trip);
    tg_array_drop(c->tg, &condition);
    if (!ok)
        return false;
    *more = truth(&out[0]);
    tg_array_drop(c->tg, &out[0]);
    take_results(b, out + 1);
    return true;
}

bool eval_loop(TgEvalCall *c)
{
    Body b;
    int64_t trips;
    bool more = !eval_in(c, 1) || truth(c->in[1]), ok = true;
    if (!eval_one_int(c, 0, INT64_MAX, &trips) || !begin(&b, c, c->n->n_formal - 2, 1))
        return false;
    for (uint32_t i = 0; i < b.n_state; i++)
        b.state[i] = tg_array_share(c->in[2 + i]);
    for (int64_t i = 0; ok && more && i < trips; i++)
        ok = iterate(&b, i, &more);
    for (uint32_t i = 0; ok && i < b.n_scan; i++)
        ok = stack(c, b.n_state + i, &b.scan[i], 0, false);
    if (ok)
        hand_over_state(&b);
    drop_all(&b);
    return ok;
}

/* --- Scan ---------------------------------------------------------------------------------------------------------------- */

static int64_t listed(const TgEvalCall *c, const char *attr, uint32_t i)
{
    uint32_t n;
    const int64_t *list = tg_attr_ints(c->n, attr, &n);
    return i < n ? list[i] : 0;
}

/* Element t of x along the axis. */
static TgArray slice_of(TgEvalCall *c, const TgArray *x, int32_t axis, int64_t t)
{
    int64_t dim[TG_EVAL_RANK];
    memcpy(dim, x->dim, (size_t)axis * sizeof *dim);
    memcpy(dim + axis, x->dim + axis + 1, (size_t)(x->rank - axis - 1) * sizeof *dim);
    TgArray a = tg_array_new(c->tg, c->mode, x->dtype, x->rank - 1, dim);
    size_t block = (size_t)eval_count(x->dim, axis + 1, x->rank) * eval_element(c, x);
    for (int64_t o = 0; block && o < eval_count(x->dim, 0, axis); o++)
        memcpy((char *)a.data + (size_t)o * block,
               (const char *)x->data + (size_t)(o * x->dim[axis] + t) * block, block);
    return a;
}

static bool scan_step(Body *b, uint32_t n_in, int64_t t, int64_t length)
{
    TgEvalCall *c = b->c;
    const TgArray **in = TG_NEW_N(tg_scratch(c->tg), const TgArray *, b->n_state + n_in + 1);
    TgArray *slice = TG_NEW_N(tg_scratch(c->tg), TgArray, n_in + 1);
    TgArray *out = TG_NEW_N(tg_scratch(c->tg), TgArray, b->n_state + b->n_scan + 1);
    for (uint32_t k = 0; k < b->n_state; k++)
        in[k] = &b->state[k];
    for (uint32_t k = 0; k < n_in; k++) {
        const TgArray *x = c->in[b->n_state + k];
        int64_t axis = listed(c, "scan_input_axes", k);
        bool backwards = listed(c, "scan_input_directions", k) != 0;
        slice[k] = slice_of(c, x, (int32_t)(axis < 0 ? axis + x->rank : axis), backwards ? length - 1 - t : t);
        in[b->n_state + k] = &slice[k];
    }
    bool ok = eval_subgraph(c, b->sub, b->n_state + n_in, in, out);
    for (uint32_t k = 0; k < n_in; k++)
        tg_array_drop(c->tg, &slice[k]);
    if (ok)
        take_results(b, out);
    return ok;
}

static bool scan_length(TgEvalCall *c, uint32_t n_state, uint32_t n_in, int64_t *length)
{
    *length = -1;
    for (uint32_t k = 0; k < n_in; k++) {
        const TgArray *x = c->in[n_state + k];
        int32_t axis;
        if (!x || !eval_axis(c, listed(c, "scan_input_axes", k), x->rank, &axis))
            return x ? false : tg_report(c->tg, TG_E_eval_missing, (unsigned)(n_state + k));
        if (*length >= 0 && *length != x->dim[axis])
            return eval_bad_shape(c, n_state + k, "all scan inputs have one length");
        *length = x->dim[axis];
    }
    return true;
}

bool eval_scan(TgEvalCall *c)
{
    Body b;
    int64_t scans = tg_attr_int(c->n, "num_scan_inputs"), length;
    if (scans < 1 || scans > (int64_t)c->n->n_formal)
        return eval_bad_value(c, "num_scan_inputs", scans);
    uint32_t n_in = (uint32_t)scans, n_state = c->n->n_formal - n_in;
    if (!scan_length(c, n_state, n_in, &length) || !begin(&b, c, n_state, 0))
        return false;
    for (uint32_t i = 0; i < n_state; i++)
        b.state[i] = tg_array_share(c->in[i]);
    bool ok = true;
    for (int64_t t = 0; ok && t < length; t++)
        ok = scan_step(&b, n_in, t, length);
    for (uint32_t i = 0; ok && i < b.n_scan; i++)
        ok = stack(c, n_state + i, &b.scan[i], listed(c, "scan_output_axes", i), listed(c, "scan_output_directions", i) != 0);
    if (ok)
        hand_over_state(&b);
    drop_all(&b);
    return ok;
}
