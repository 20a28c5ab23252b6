/* Inference: one node, one graph.
 *
 * What was known of a value before stays true (rewrites keep what values mean), so a fresh symbol is made
 * once: when a node is inferred again, sizes that are unknown again get the symbols that they had. Types that
 * a file declares are hints: they give an element type or a rank that inference does not know, never a size
 * (declared sizes lie), except for operators that we do not know at all.
 */
#include "infer.h"

#include "dim.h"

/* --- one node ------------------------------------------------------------------------------------------- */

typedef struct {
    const TgType *type;
    const TgDim *symbolic;
} Known;

static bool counts_fit(const TgNodeInfo *n)
{
    const TgOpInfo *op = tg_op_info(n->op);
    return n->n_formal >= op->in_min && (op->in_max == TG_MANY || n->n_formal <= op->in_max) &&
           n->n_out > 0 && (op->out_max == TG_MANY || n->n_out <= op->out_max);
}

/* The first operand that must not be absent, but is; n_formal: none. Loop and com.microsoft leave out
 * some. */
static uint32_t absent_operand(const TgNodeInfo *n)
{
    const TgOpInfo *op = tg_op_info(n->op);
    uint32_t needed = op->domain[0] == '\0' ? op->in_min : op->in_min > 0;
    if (op->traits & TG_T_CONTROL)
        needed = 0;
    else if (op->in_max == TG_MANY)
        needed = n->n_formal;
    for (uint32_t i = 0; i < needed && i < n->n_formal; i++)
        if (!n->in[i])
            return i;
    return n->n_formal;
}

static bool graphs_fit(const TgNodeInfo *n)
{
    bool flexible = n->op == TG_FlexAttention, control = tg_op_has(n->op, TG_T_CONTROL);
    uint32_t most = n->op == TG_If || flexible ? 2 : control ? 1 : 0, least = flexible ? 0 : most;
    return n->n_sub >= least && n->n_sub <= most;
}

bool tg_node_has_form(const TgNodeInfo *n)
{
    return counts_fit(n) && absent_operand(n) == n->n_formal && graphs_fit(n);
}

const char *tg_node_odd_dtype(const TgNodeInfo *n)
{
    static const char *const names[] = {"to",        "dtype",     "output_dtype", "output_datatype",
                                        "precision", "stash_type"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const TgAttr *a = n->attrs->n ? tg_attr_find(n->attrs, names[i]) : NULL;
        if (a && a->kind == TG_A_INT && (a->u.i < TG_undefined || a->u.i >= TG_DTYPE_COUNT))
            return names[i];
    }
    return NULL;
}

static bool has_form(const TgInfer *f)
{
    const char *odd = tg_node_odd_dtype(f->n);
    if (odd)
        return tg_report(f->tg, TG_E_infer_odd_dtype, odd);

    const TgOpInfo *op = tg_op_info(f->n->op);
    uint32_t absent = absent_operand(f->n);
    if (!counts_fit(f->n))
        return tg_report(f->tg, TG_E_infer_arity, f->n->n_formal, f->n->n_out, op->in_min, op->in_max,
                         op->out_min, op->out_max);
    if (absent < f->n->n_formal)
        return tg_report(f->tg, TG_E_infer_absent, absent);
    return graphs_fit(f->n) || inf_refuse(f, "this operator has another number of graphs");
}

/* The declared rank with sizes of its own. */
static const TgType *without_sizes(const TgInfer *f, const TgType *declared)
{
    TgDim dim[TG_MAX_RANK];
    for (int32_t k = 0; k < declared->rank; k++)
        dim[k] = inf_fresh(f);
    return tg_type(f->tg, declared->dtype, declared->rank, dim);
}

static const TgType *with_hint(const TgInfer *f, const TgType *type, const TgType *declared)
{
    bool agree;
    if (!declared || tg_is_tensor(type) || declared->kind == TG_UNTYPED)
        return type;
    if (f->n->op != TG_opaque && declared->kind == TG_TENSOR)
        declared = without_sizes(f, declared);
    return tg_type_meet(f->tg, type, declared, &agree);
}

/* Sizes that were made up just now take the names that they had before. */
static const TgType *with_old_symbols(const TgInfer *f, const TgType *type, const TgType *old,
                                      uint64_t before)
{
    TgDim dim[TG_MAX_RANK];
    if (type == old || type->kind != TG_TENSOR || old->kind != TG_TENSOR || type->dtype != old->dtype)
        return type;
    if (type->rank != old->rank)
        return type->rank < 0 ? old : type;
    for (int32_t k = 0; k < type->rank; k++)
        dim[k] = dim_newer(type->dim[k], before) ? old->dim[k] : type->dim[k];
    return tg_type(f->tg, type->dtype, type->rank, dim);
}

static const TgDim *with_old_elements(const TgInfer *f, const TgValueInfo *v, const Known *old,
                                      uint64_t before)
{
    int64_t n, n_old;
    if (!old->symbolic || !tg_type_numel(v->type, &n) || !tg_type_numel(old->type, &n_old) || n != n_old)
        return v->symbolic;
    if (!v->symbolic)
        return old->symbolic;
    TgDim *element = tg_copy(f->g->arena, v->symbolic, (n ? (size_t)n : 1) * sizeof *element);
    for (int64_t i = 0; i < n; i++)
        element[i] = dim_newer(element[i], before) ? old->symbolic[i] : element[i];
    return element;
}

static void settle(const TgInfer *f, const Known *old, uint64_t before)
{
    for (uint32_t i = 0; i < f->n->n_out; i++) {
        TgValueInfo *v = tg_value(f->g, f->n->out[i]);
        v->type = with_hint(f, v->type, v->declared);
        inf_apply_facts(f->g, v);
        v->type = with_old_symbols(f, v->type, old[i].type, before);
        v->symbolic = with_old_elements(f, v, &old[i], before);
    }
}

static bool infer_outputs(TgInfer *f)
{
    TgArena *scratch = tg_scratch(f->tg);
    TgMark mark = tg_mark(scratch);
    Known *old = TG_NEW_N(scratch, Known, f->n->n_out + 1);
    uint64_t before = dim_last_number(f->tg);
    for (uint32_t i = 0; i < f->n->n_out; i++) {
        TgValueInfo *v = tg_value(f->g, f->n->out[i]);
        old[i] = (Known){v->type, v->symbolic};
        v->type = tg_untyped(f->tg);
        v->symbolic = NULL;
    }
    bool fits = f->n->op == TG_opaque || (has_form(f) && tg_op_info(f->n->op)->infer(f));
    settle(f, old, before);
    tg_release(scratch, mark);
    return fits;
}

bool tg_infer_node(TgGraph *g, TgNode node)
{
    TgInfer f = {.tg = g->tg, .g = g, .n = tg_node(g, node), .node = node};
    TgPlace *place = tg_place(g->tg), saved = *place;
    TgName output = f.n->n_out ? tg_value(g, f.n->out[0])->name : NULL;
    place->node = f.n->name ? f.n->name : output;
    place->op = f.n->op == TG_opaque ? f.n->op_name : tg_op_info(f.n->op)->name;
    bool fits = infer_outputs(&f);
    *place = saved;
    return fits;
}

/* --- a graph -------------------------------------------------------------------------------------------- */

void inf_forget(TgGraph *g)
{
    for (TgNode i = 1; i < g->nodes.n; i++) {
        const TgNodeInfo *n = tg_node(g, i);
        for (uint32_t k = 0; k < n->n_out; k++) {
            tg_value(g, n->out[k])->type = tg_untyped(g->tg);
            tg_value(g, n->out[k])->symbolic = NULL;
        }
    }
}

static bool said_before(const Tg *tg, const TgDiag *d, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const TgDiag *other = tg_diag(tg, i);
        if (other->id == d->id && other->message == d->message && other->place.node == d->place.node)
            return true;
    }
    return false;
}

/* Turns the error that was reported last into a warning at its place, given once. */
static void warn_instead(Tg *tg, uint32_t said)
{
    TgPlace *place = tg_place(tg), saved = *place;
    TgDiag error = *tg_diag(tg, said);
    tg_diag_forget(tg, said);
    *place = error.place;
    (void)tg_report(tg, TG_E_infer_contradiction, error.message);
    *place = saved;
    if (said_before(tg, tg_diag(tg, said), said))
        tg_diag_forget(tg, said);
}

bool inf_run(TgGraph *g, InfRigour rigour, bool *failed)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    g->equal.n = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t said = tg_diag_count(g->tg);
        if (tg_infer_node(g, order[i]))
            continue;
        if (rigour == INF_STRICT)
            return false;
        *failed = true;
        if (rigour == INF_WARNING)
            warn_instead(g->tg, said);
        else
            tg_diag_forget(g->tg, said);
    }
    return true;
}

/* Equal sizes may decide broadcasts and conditions that were open before, hence more sizes: a few rounds. A
 * node that cannot run is warned about and kept: files hold such nodes, in places that are never reached. */
bool tg_infer_graph(TgGraph *g)
{
    enum { ROUNDS = 3 };
    bool failed = false;
    inf_read_claims(g);
    (void)inf_run(g, INF_WARNING, &failed);
    for (uint32_t i = 0; i < ROUNDS && inf_solve(g); i++)
        (void)inf_run(g, INF_WARNING, &failed);
    return true;
}
