/* Control flow: If, Loop, Scan. Bodies are run by the driver; here is what passes between their runs.
 *
 * Loop and Scan collect one piece per iteration for each scan output; pieces are shared arrays in a list
 * that doubles its size, joined at the end. Arrays keep the carrier of the run: values pass through
 * unchanged.
 */
#include <string.h>

#include "eval_kernel.h"

/* --- pieces of a scan output ---------------------------------------------------------------------------- */

typedef struct {
    TgArray list; /* items of an owned list; n_items is its room */
    uint32_t n;
} Pieces;

static void add_piece(TgEvalCall *c, Pieces *p, const TgArray *piece)
{
    if (p->n == p->list.n_items) {
        TgArray more = eval_items_new(c->tg, TG_SEQUENCE, piece->dtype, p->n ? 2 * p->n : 8);
        for (uint32_t i = 0; i < p->n; i++)
            more.item[i] = tg_array_share(&p->list.item[i]);
        tg_array_drop(c->tg, &p->list);
        p->list = more;
    }
    p->list.item[p->n++] = *piece;
}

static bool same_shape(const TgArray *a, const TgArray *b)
{
    return a->kind == TG_TENSOR && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

/* Joins the pieces along a new axis; backwards: the last piece comes first. Without pieces: what the type
 * says. */
static bool join_pieces(TgEvalCall *c, const Pieces *p, int64_t axis, bool backwards, const TgType *type,
                        TgArray *out)
{
    TgArray none = {.kind = TG_TENSOR, .dtype = TG_f32};
    if (p->n == 0 && type->kind == TG_TENSOR && type->dtype != TG_undefined) {
        none.dtype = type->dtype;
        none.rank = type->rank > 0 ? type->rank : 0;
        for (int32_t i = 0; i < none.rank && i < TG_EVAL_RANK; i++)
            if (!tg_dim_known(type->dim[i], &none.dim[i]))
                none.dim[i] = 0;
    }
    const TgArray *first = p->n ? &p->list.item[0] : &none;
    int64_t dim[TG_EVAL_RANK + 1];
    int32_t at;
    for (uint32_t i = 0; i < p->n; i++)
        if (!same_shape(first, &p->list.item[i]))
            return eval_bad_value(c, "an iteration whose result has another shape", i);
    if (first->rank >= TG_EVAL_RANK)
        return tg_report(c->tg, TG_E_eval_rank, (int)first->rank + 1, (int)TG_EVAL_RANK);
    if (!eval_axis(c, axis, first->rank + 1, &at))
        return false;
    memcpy(dim, first->dim, (size_t)at * sizeof *dim);
    dim[at] = p->n;
    memcpy(dim + at + 1, first->dim + at, (size_t)(first->rank - at) * sizeof *dim);
    *out = tg_array_new(c->tg, c->mode, first->dtype, first->rank + 1, dim);
    int64_t outer = eval_count(dim, 0, at);
    size_t block = (size_t)eval_count(dim, at + 1, first->rank + 1) * eval_element(c, first);
    char *to = out->data;
    for (int64_t i = 0; i < outer; i++)
        for (uint32_t k = 0; k < p->n; k++, to += block)
            memcpy(to, (const char *)p->list.item[backwards ? p->n - 1 - k : k].data + (size_t)i * block,
                   block);
    return true;
}

/* --- If ------------------------------------------------------------------------------------------------- */

static bool find_sub(TgEvalCall *c, const char *attr, uint32_t *sub)
{
    for (*sub = 0; *sub < c->n->n_sub; (*sub)++)
        if (c->n->sub[*sub].attr == tg_name(c->tg, attr))
            return true;
    return tg_report(c->tg, TG_E_eval_no_sub, attr);
}

bool eval_if(TgEvalCall *c)
{
    int64_t condition;
    uint32_t sub;
    if (!eval_one_int(c, 0, 0, &condition) || !find_sub(c, condition ? "then_branch" : "else_branch", &sub))
        return false;
    uint32_t given = c->n->sub[sub].graph->outputs.n;
    if (given != c->n->n_out)
        return tg_report(c->tg, TG_E_eval_outputs, (unsigned)given, (unsigned)c->n->n_out);
    return eval_subgraph(c, sub, 0, NULL, c->out);
}

/* --- what Loop and Scan share: state that goes around, pieces that are collected ------------------------ */

typedef struct {
    TgEvalCall *c;
    uint32_t sub, n_state, n_scan;
    TgArray *state;  /* n_state, owned */
    Pieces *pieces;  /* n_scan */
    TgArray *out;    /* of one iteration: n_skip + n_state + n_scan */
    uint32_t n_skip; /* outputs of the body before the state */
} Rounds;

static bool rounds_begin(Rounds *r, TgEvalCall *c, uint32_t n_state, uint32_t n_skip, uint32_t first_state)
{
    *r = (Rounds){.c = c, .n_state = n_state, .n_skip = n_skip};
    if (!find_sub(c, "body", &r->sub))
        return false;
    uint32_t given = c->n->sub[r->sub].graph->outputs.n;
    if (given < n_skip + n_state || given - n_skip != c->n->n_out)
        return tg_report(c->tg, TG_E_eval_outputs, (unsigned)given, (unsigned)(c->n->n_out + n_skip));
    r->n_scan = c->n->n_out - n_state;
    TgArena *scratch = tg_scratch(c->tg);
    r->state = TG_NEW_N(scratch, TgArray, n_state + 1);
    r->pieces = TG_NEW_N(scratch, Pieces, r->n_scan + 1);
    r->out = TG_NEW_N(scratch, TgArray, given + 1);
    for (uint32_t i = 0; i < n_state; i++)
        if (c->in[first_state + i])
            r->state[i] = tg_array_share(c->in[first_state + i]);
    return true;
}

/* One iteration: `in` are the body's inputs. The outputs before the state stay in r->out, to be dropped by
 * the caller. */
static bool one_round(Rounds *r, uint32_t n_in, const TgArray *const *in)
{
    if (!eval_round(r->c, r->c->n->sub[r->sub].graph) || !eval_subgraph(r->c, r->sub, n_in, in, r->out))
        return false;
    for (uint32_t i = 0; i < r->n_state; i++) {
        tg_array_drop(r->c->tg, &r->state[i]);
        r->state[i] = r->out[r->n_skip + i];
    }
    for (uint32_t i = 0; i < r->n_scan; i++)
        add_piece(r->c, &r->pieces[i], &r->out[r->n_skip + r->n_state + i]);
    return true;
}

static const TgType *piece_type(const Rounds *r, uint32_t i)
{
    const TgGraph *body = r->c->n->sub[r->sub].graph;
    return tg_type_of(body, body->outputs.at[r->n_skip + r->n_state + i].value);
}

static void rounds_end(Rounds *r)
{
    for (uint32_t i = 0; r->state && i < r->n_state; i++)
        tg_array_drop(r->c->tg, &r->state[i]);
    for (uint32_t i = 0; r->pieces && i < r->n_scan; i++)
        tg_array_drop(r->c->tg, &r->pieces[i].list);
}

/* One number for formal input `i` of the body, which may want it as [1]. */
static TgArray one_number(const Rounds *r, uint32_t i, TgDtype dtype, int64_t x)
{
    const TgGraph *body = r->c->n->sub[r->sub].graph;
    int32_t rank = i < body->inputs.n && tg_type_of(body, body->inputs.at[i])->rank == 1;
    TgArray a = tg_array_new(r->c->tg, r->c->mode, dtype, rank, (const int64_t[]){1});
    tg_array_set_int(&a, 0, x);
    return a;
}

/* --- Loop ----------------------------------------------------------------------------------------------- */

/* Body: (iteration, condition, state...) -> (condition, state..., pieces...). */
static bool loop_rounds(Rounds *r, int64_t limit, bool go_on)
{
    TgEvalCall *c = r->c;
    const TgArray **in = TG_NEW_N(tg_scratch(c->tg), const TgArray *, r->n_state + 2);
    for (int64_t i = 0; go_on && i < limit; i++) {
        TgArray round = one_number(r, 0, TG_i64, i), condition = one_number(r, 1, TG_bool, go_on);
        in[0] = &round;
        in[1] = &condition;
        for (uint32_t k = 0; k < r->n_state; k++)
            in[k + 2] = r->state[k].kind == TG_UNTYPED ? NULL : &r->state[k];
        bool ok = one_round(r, r->n_state + 2, in);
        tg_array_drop(c->tg, &round);
        tg_array_drop(c->tg, &condition);
        if (!ok)
            return false;
        go_on = r->out[0].count > 0 && tg_array_int(&r->out[0], 0) != 0;
        tg_array_drop(c->tg, &r->out[0]);
    }
    return true;
}

bool eval_loop(TgEvalCall *c)
{
    int64_t limit, go_on;
    uint32_t n_state = c->n->n_formal > 2 ? c->n->n_formal - 2 : 0;
    Rounds r;
    if (!eval_one_int(c, 0, INT64_MAX, &limit) || !eval_one_int(c, 1, 1, &go_on))
        return false;
    bool ok = rounds_begin(&r, c, n_state, 1, 2) && loop_rounds(&r, limit, go_on != 0);
    for (uint32_t i = 0; ok && i < n_state; i++)
        c->out[i] = tg_array_share(&r.state[i]);
    for (uint32_t i = 0; ok && i < r.n_scan; i++)
        ok = join_pieces(c, &r.pieces[i], 0, false, piece_type(&r, i), &c->out[n_state + i]);
    rounds_end(&r);
    return ok;
}

/* --- Scan ----------------------------------------------------------------------------------------------- */

static int64_t listed(TgEvalCall *c, const char *name, uint32_t i)
{
    uint32_t n;
    const int64_t *list = tg_attr_ints(c->n, name, &n);
    return i < n ? list[i] : 0;
}

/* x[..., i, ...] along `axis`, without that axis. */
static TgArray slice_at(TgEvalCall *c, const TgArray *x, int32_t axis, int64_t i)
{
    int64_t dim[TG_EVAL_RANK], outer = eval_count(x->dim, 0, axis);
    memcpy(dim, x->dim, (size_t)axis * sizeof *dim);
    memcpy(dim + axis, x->dim + axis + 1, (size_t)(x->rank - axis - 1) * sizeof *dim);
    TgArray a = tg_array_new(c->tg, c->mode, x->dtype, x->rank - 1, dim);
    size_t block = (size_t)eval_count(dim, axis, x->rank - 1) * eval_element(c, x);
    for (int64_t k = 0; k < outer; k++)
        memcpy((char *)a.data + (size_t)k * block,
               (const char *)x->data + (size_t)(k * x->dim[axis] + i) * block, block);
    return a;
}

/* Axes of the scanned inputs; they have one length. */
static bool scan_axes(TgEvalCall *c, uint32_t first, uint32_t n, int32_t *axis, int64_t *length)
{
    *length = 0;
    for (uint32_t i = 0; i < n; i++) {
        const TgArray *x = c->in[first + i];
        if (!x || !eval_axis(c, listed(c, "scan_input_axes", i), x->rank, &axis[i]))
            return x ? false : eval_bad_shape(c, first + i, "");
        if (i > 0 && x->dim[axis[i]] != *length)
            return eval_bad_shape(c, first + i,
                                  "its scanned axis has another length than that of the first one");
        *length = x->dim[axis[i]];
    }
    return true;
}

static bool scan_rounds(Rounds *r, uint32_t n_scanned, const int32_t *axis, int64_t length)
{
    TgEvalCall *c = r->c;
    TgArena *scratch = tg_scratch(c->tg);
    const TgArray **in = TG_NEW_N(scratch, const TgArray *, r->n_state + n_scanned + 1);
    TgArray *slice = TG_NEW_N(scratch, TgArray, n_scanned + 1);
    bool ok = true;
    for (int64_t i = 0; ok && i < length; i++) {
        for (uint32_t k = 0; k < r->n_state; k++)
            in[k] = &r->state[k];
        for (uint32_t k = 0; k < n_scanned; k++) {
            bool backwards = listed(c, "scan_input_directions", k) != 0;
            slice[k] = slice_at(c, c->in[r->n_state + k], axis[k], backwards ? length - 1 - i : i);
            in[r->n_state + k] = &slice[k];
        }
        ok = one_round(r, r->n_state + n_scanned, in);
        for (uint32_t k = 0; k < n_scanned; k++)
            tg_array_drop(c->tg, &slice[k]);
    }
    return ok;
}

bool eval_scan(TgEvalCall *c)
{
    int64_t scanned = tg_attr_int(c->n, "num_scan_inputs"), length;
    if (scanned < 1 || scanned > c->n->n_formal)
        return eval_bad_value(c, "num_scan_inputs", scanned);
    uint32_t n_scanned = (uint32_t)scanned, n_state = c->n->n_formal - n_scanned;
    int32_t *axis = TG_NEW_N(tg_scratch(c->tg), int32_t, n_scanned);
    Rounds r;
    if (!scan_axes(c, n_state, n_scanned, axis, &length))
        return false;
    bool ok = rounds_begin(&r, c, n_state, 0, 0) && scan_rounds(&r, n_scanned, axis, length);
    for (uint32_t i = 0; ok && i < n_state; i++)
        c->out[i] = tg_array_share(&r.state[i]);
    for (uint32_t i = 0; ok && i < r.n_scan; i++)
        ok =
            join_pieces(c, &r.pieces[i], listed(c, "scan_output_axes", i),
                        listed(c, "scan_output_directions", i) != 0, piece_type(&r, i), &c->out[n_state + i]);
    rounds_end(&r);
    return ok;
}
