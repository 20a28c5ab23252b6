/* Inference of If, Loop, Scan and SequenceMap: their bodies from the types of what enters them.
 *
 * A branch that contradicts itself cannot be taken: its nodes stay unknown and the other branch decides. What
 * a loop carries is typed by widening: a size that changes from one round to the next becomes a fresh symbol
 * inside the body, and another one outside, where it is that of the last round.
 */
#include "infer.h"

static TgGraph *body_of(const TgInfer *f, uint32_t i)
{
    return i < f->n->n_sub ? f->n->sub[i].graph : NULL;
}

static TgValueInfo *formal(const TgGraph *body, uint32_t i)
{
    return tg_value(body, body->inputs.at[i]);
}

static TgValueInfo *returned(const TgGraph *body, uint32_t i)
{
    return tg_value(body, body->outputs.at[i].value);
}

static void set_formal(const TgGraph *body, uint32_t i, const TgType *type)
{
    formal(body, i)->type = type;
    formal(body, i)->symbolic = NULL;
}

/* Unknown where there is no such axis. */
static const TgType *with_axis(const TgInfer *f, const TgType *t, int64_t axis, TgDim d)
{
    TgDim dim[TG_MAX_RANK];
    bool sound = t->kind == TG_TENSOR && t->rank >= 0 && t->rank < TG_MAX_RANK && axis <= t->rank &&
                 axis >= -t->rank - 1;
    if (!sound)
        return tg_type_with_dtype(f->tg, tg_untyped(f->tg), t->kind == TG_TENSOR ? t->dtype : TG_undefined);
    axis = axis < 0 ? axis + t->rank + 1 : axis;
    for (int32_t k = 0; k <= t->rank; k++)
        dim[k] = k == axis ? d : t->dim[k > axis ? k - 1 : k];
    return tg_type(f->tg, t->dtype, t->rank + 1, dim);
}

/* --- If ------------------------------------------------------------------------------------------------- */

/* What holds for both. */
static const TgType *either(const TgInfer *f, const TgType *a, const TgType *b)
{
    TgDim dim[TG_MAX_RANK];
    if (a == b)
        return a;
    if (a->kind != TG_TENSOR || b->kind != TG_TENSOR)
        return tg_untyped(f->tg);
    int32_t rank = a->rank == b->rank ? a->rank : -1;
    for (int32_t k = 0; k < rank; k++)
        dim[k] = a->dim[k] == b->dim[k] ? a->dim[k] : inf_fresh(f);
    return tg_type(f->tg, a->dtype == b->dtype ? a->dtype : TG_undefined, rank, dim);
}

static void take_output(TgInfer *f, uint32_t i, const TgGraph *branch)
{
    int64_t n;
    const TgValueInfo *v = returned(branch, i);
    inf_set_type(f, i, v->type);
    if (v->symbolic && tg_type_numel(v->type, &n) && n <= INF_ELEMENTS)
        inf_set_elements(f, i, (uint32_t)n, v->symbolic);
}

static void join_output(TgInfer *f, uint32_t i, const TgGraph *yes, const TgGraph *no)
{
    int64_t n;
    TgDim element[INF_ELEMENTS];
    const TgValueInfo *a = returned(yes, i), *b = returned(no, i);
    const TgType *type = either(f, a->type, b->type);
    inf_set_type(f, i, type);
    if (!a->symbolic || !b->symbolic || !tg_type_numel(type, &n) || n > INF_ELEMENTS)
        return;
    for (int64_t k = 0; k < n; k++)
        element[k] = a->symbolic[k] == b->symbolic[k] ? a->symbolic[k] : tg_dim_fresh_any(f->tg);
    inf_set_elements(f, i, (uint32_t)n, element);
}

static uint32_t branch_named(const TgInfer *f, TgName name)
{
    uint32_t i = 0;
    while (i < f->n->n_sub && f->n->sub[i].attr != name)
        i++;
    return i;
}

/* Once more when sizes turned out equal, as far as this branch goes. */
static bool run_branch(TgGraph *branch, InfRigour rigour, bool *failed)
{
    enum { ROUNDS = 2 };
    for (uint32_t k = 0; k < branch->captures.n; k++)
        inf_apply_facts(branch, tg_value(branch, branch->captures.at[k]));
    bool fits = inf_run(branch, rigour, failed);
    for (uint32_t i = 0; i < ROUNDS && fits && !*failed && inf_solve(branch); i++)
        fits = inf_run(branch, rigour, failed);
    return fits;
}

bool infer_if(TgInfer *f)
{
    TgGraph *branch[2] = {body_of(f, branch_named(f, tg_name(f->tg, "else_branch"))),
                          body_of(f, branch_named(f, tg_name(f->tg, "then_branch")))};
    bool failed[2] = {false, false};
    int64_t taken = -1;
    if (!branch[0] || !branch[1])
        return inf_refuse(f, "If needs two branches");
    if (branch[0]->outputs.n != f->n->n_out || branch[1]->outputs.n != f->n->n_out)
        return inf_refuse(f, "a branch of If has another number of outputs");
    tg_captures_refresh(f->g, f->node);
    if (inf_int(f, 0, &taken))
        taken = taken != 0;
    for (uint32_t k = 0; k < 2; k++)
        if (!run_branch(branch[k], taken == k ? INF_STRICT : INF_TOLERANT, &failed[k]))
            return false;
    if (taken < 0 && failed[0] != failed[1])
        taken = failed[0] ? 1 : 0;
    for (uint32_t i = 0; i < f->n->n_out; i++) {
        if (taken >= 0)
            take_output(f, i, branch[taken]);
        else
            join_output(f, i, branch[1], branch[0]);
    }
    return true;
}

/* --- what loops carry ----------------------------------------------------------------------------------- */

typedef struct {
    const TgType *type;        /* inside, when a round begins */
    bool changes[TG_MAX_RANK]; /* axes whose size differs between rounds */
} Carried;

/* Makes what differs between the beginning and the end of a round unknown; true: something did that was
 * known. */
static bool widen(const TgInfer *f, Carried *c, const TgType *end)
{
    TgDim dim[TG_MAX_RANK];
    const TgType *begin = c->type;
    if (begin == end || begin->kind != TG_TENSOR)
        return false;
    if (end->kind != TG_TENSOR || (begin->rank >= 0 && end->rank != begin->rank)) {
        c->type = tg_type_with_dtype(f->tg, tg_untyped(f->tg), begin->dtype);
        return c->type != begin;
    }
    bool changed = false;
    for (int32_t k = 0; k < begin->rank; k++) {
        dim[k] = begin->dim[k];
        if (c->changes[k] || begin->dim[k] == end->dim[k])
            continue;
        c->changes[k] = changed = true;
        dim[k] = inf_fresh(f);
    }
    c->type = tg_type(f->tg, begin->dtype, begin->rank, dim);
    return changed;
}

/* Runs the body until the types of what it carries hold for every round. Carried values are formal inputs
 * from `first_in` and outputs from `first_out` on. Deep nests get one round with nothing known of the sizes.
 */
static bool run_rounds(TgInfer *f, TgGraph *body, uint32_t n, Carried *c, uint32_t first_in,
                       uint32_t first_out)
{
    enum { ROUNDS = 8, DEEP = 3 };
    uint32_t depth = 0;
    bool again = true, failed = false;
    for (const TgGraph *outer = f->g->outer; outer; outer = outer->outer)
        depth++;
    for (uint32_t round = 0; round < ROUNDS && again; round++) {
        bool blind = depth >= DEEP || round == ROUNDS - 1;
        for (uint32_t i = 0; i < n; i++) {
            if (blind)
                c[i].type = tg_type_with_dtype(
                    f->tg, tg_untyped(f->tg), c[i].type->kind == TG_TENSOR ? c[i].type->dtype : TG_undefined);
            set_formal(body, first_in + i, c[i].type);
        }
        inf_forget(body);
        if (!inf_run(body, INF_STRICT, &failed))
            return false;
        again = false;
        for (uint32_t i = 0; i < n && !blind; i++)
            again |= widen(f, &c[i], returned(body, first_out + i)->type);
    }
    return true;
}

/* Outside, a size that changes is that of the last round. */
static const TgType *after_last_round(const TgInfer *f, const Carried *c)
{
    TgDim dim[TG_MAX_RANK];
    if (c->type->kind != TG_TENSOR || c->type->rank < 0)
        return c->type;
    for (int32_t k = 0; k < c->type->rank; k++)
        dim[k] = c->changes[k] ? inf_fresh(f) : c->type->dim[k];
    return tg_type(f->tg, c->type->dtype, c->type->rank, dim);
}

/* Sizes that only the body knows mean nothing outside. */
static const TgType *seen_outside(const TgInfer *f, const TgType *t)
{
    TgDim dim[TG_MAX_RANK];
    if (t->kind != TG_TENSOR || t->rank < 0)
        return t;
    for (int32_t k = 0; k < t->rank; k++)
        dim[k] = tg_dim_is_fresh(t->dim[k]) ? inf_fresh(f) : t->dim[k];
    return tg_type(f->tg, t->dtype, t->rank, dim);
}

/* --- Loop ----------------------------------------------------------------------------------------------- */

/* A body may take its round number and condition as [1] too. */
static const TgType *scalar_formal(const TgInfer *f, const TgGraph *body, uint32_t i, TgDtype dtype)
{
    const TgType *declared = formal(body, i)->declared;
    bool vector = declared && declared->kind == TG_TENSOR && declared->rank == 1;
    return tg_type_known(f->tg, dtype, vector ? 1 : 0, (const int64_t[]){1});
}

/* The body's condition is true whatever happens: a constant, or the one that came in and was true. */
static bool runs_to_the_end(const TgInfer *f, const TgGraph *body)
{
    int64_t value = 1;
    if (inf_has(f, 1) && (!inf_int(f, 1, &value) || value == 0))
        return false;
    TgValue condition = body->outputs.at[0].value;
    uint32_t n;
    if (condition == body->inputs.at[1])
        return true;
    const TgNodeInfo *copy = tg_producer(body, condition, TG_Identity);
    return (copy && copy->in[0] == body->inputs.at[1]) ||
           (tg_const_ints(body, condition, 1, &value, &n) && n == 1 && value != 0);
}

static TgDim round_count(const TgInfer *f, const TgGraph *body)
{
    uint32_t n = 0;
    const TgDim *most = inf_has(f, 0) ? inf_elements(f, 0, &n) : NULL;
    if (!most || n != 1 || !runs_to_the_end(f, body))
        return inf_fresh(f);
    return tg_dim_max(f->tg, most[0], inf_num(f, 0));
}

bool infer_loop(TgInfer *f)
{
    TgGraph *body = body_of(f, 0);
    uint32_t n = f->n->n_formal - 2;
    if (!body || body->inputs.n != n + 2 || body->outputs.n < n + 1)
        return inf_refuse(f, "the body of Loop does not fit the inputs");
    if (f->n->n_out > body->outputs.n - 1)
        return inf_refuse(f, "Loop has more outputs than its body gives");
    Carried *c = TG_NEW_N(f->g->arena, Carried, n + 1);
    for (uint32_t i = 0; i < n; i++)
        c[i].type = inf_type(f, i + 2);
    tg_captures_refresh(f->g, f->node);
    set_formal(body, 0, scalar_formal(f, body, 0, TG_i64));
    set_formal(body, 1, scalar_formal(f, body, 1, TG_bool));
    if (!run_rounds(f, body, n, c, 2, 1))
        return false;
    TgDim rounds = round_count(f, body);
    for (uint32_t i = 0; i < f->n->n_out; i++)
        inf_set_type(f, i,
                     i < n ? after_last_round(f, &c[i])
                           : with_axis(f, seen_outside(f, returned(body, i + 1)->type), 0, rounds));
    return true;
}

/* --- Scan ----------------------------------------------------------------------------------------------- */

/* Entry i of an attribute that lists an axis per input or output; 0 where absent. */
static int64_t listed(const TgInfer *f, const char *attr, uint32_t i)
{
    uint32_t n;
    const int64_t *list = tg_attr_ints(f->n, attr, &n);
    return list && i < n ? list[i] : 0;
}

/* One step of input i along `axis`; its length is the number of rounds. */
static bool scan_slice(TgInfer *f, uint32_t i, int64_t at, TgDim *rounds, const TgType **slice)
{
    InfShape in = inf_shape(f, i), out = {.rank = in.rank < 0 ? -1 : 0};
    int32_t axis;
    if (in.rank >= 0) {
        if (!inf_axis(f, at, in.rank, &axis) || (*rounds && !inf_equal(f, *rounds, in.dim[axis], "Scan")))
            return false;
        *rounds = *rounds ? *rounds : in.dim[axis];
        for (int32_t k = 0; k < in.rank; k++)
            if (k != axis)
                out.dim[out.rank++] = in.dim[k];
    }
    *slice = tg_type(f->tg, inf_dtype(f, i), out.rank, out.dim);
    return true;
}

bool infer_scan(TgInfer *f)
{
    TgGraph *body = body_of(f, 0);
    int64_t scanned = tg_attr_int(f->n, "num_scan_inputs");
    TgDim rounds = NULL;
    if (!body || scanned < 1 || scanned > f->n->n_formal || body->inputs.n != f->n->n_formal)
        return inf_refuse(f, "the body of Scan does not fit the inputs");
    uint32_t n = f->n->n_formal - (uint32_t)scanned;
    if (body->outputs.n < n || f->n->n_out > body->outputs.n)
        return inf_refuse(f, "the body of Scan does not fit the outputs");
    Carried *c = TG_NEW_N(f->g->arena, Carried, n + 1);
    for (uint32_t i = 0; i < n; i++)
        c[i].type = inf_type(f, i);
    tg_captures_refresh(f->g, f->node);
    for (uint32_t i = 0; i < (uint32_t)scanned; i++) {
        const TgType *slice;
        if (!scan_slice(f, n + i, listed(f, "scan_input_axes", i), &rounds, &slice))
            return false;
        set_formal(body, n + i, slice);
    }
    if (!run_rounds(f, body, n, c, 0, 0))
        return false;
    rounds = rounds ? rounds : inf_fresh(f);
    for (uint32_t i = 0; i < f->n->n_out; i++)
        inf_set_type(f, i,
                     i < n ? after_last_round(f, &c[i])
                           : with_axis(f, seen_outside(f, returned(body, i)->type),
                                       listed(f, "scan_output_axes", i - n), rounds));
    return true;
}

/* --- SequenceMap ---------------------------------------------------------------------------------------- */

bool infer_sequence_map(TgInfer *f)
{
    TgGraph *body = body_of(f, 0);
    bool failed = false;
    if (!body || body->inputs.n != f->n->n_formal || body->outputs.n < f->n->n_out)
        return inf_refuse(f, "the body of SequenceMap does not fit");
    tg_captures_refresh(f->g, f->node);
    for (uint32_t i = 0; i < f->n->n_formal; i++)
        set_formal(body, i, inf_type(f, i)->kind == TG_SEQUENCE ? inf_type(f, i)->item : inf_type(f, i));
    inf_forget(body);
    if (!inf_run(body, INF_STRICT, &failed))
        return false;
    for (uint32_t i = 0; i < f->n->n_out; i++)
        inf_set_type(
            f, i,
            tg_type_of_kind(f->tg, TG_SEQUENCE, TG_undefined, seen_outside(f, returned(body, i)->type)));
    return true;
}
