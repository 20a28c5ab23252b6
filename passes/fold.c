/* Constant folding. Needs: inferred types. Keeps: names of outputs. Breaks: nothing.
 *
 * What symbolic shapes answer becomes a constant; so does an operator over constants. Small results are computed at
 * once; large ones stay recipes (tensor.h) until the model is written, so that no pass touches the bytes of weights. A
 * result may be larger than what it replaces only within a budget, so that a model does not grow by being folded.
 */
#include <string.h>

#include "pass.h"

enum {
    EAGER = 64 << 10,      /* bytes up to which a result is computed at once ... */
    EAGER_FLOATS = 1 << 10 /* ... of floats: as recipes they are verified unrounded, and alike in all layers */
};
static const double FREE_GROWTH = 1 << 10; /* bytes that any single result may have */
static const double SURE_GROWTH = 4 << 20; /* bytes by which constants may grow however small they are */

static double const_bytes(const TgPass *p, const TgNodeInfo *n, bool *last_use)
{
    double bytes = 0;
    *last_use = true;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i]) {
            const TgValueInfo *v = tg_value(p->g, n->in[i]);
            bytes += (double)v->tensor->size;
            bool shared = v->uses.n > 1 || v->origin == TG_V_CAPTURE;
            *last_use = *last_use && (!shared || v->tensor->size <= EAGER);
        }
    return bytes;
}

/* Embeddings are often the weight of the last product, too: transposed ahead of time they would be stored twice.
 * Runtimes transpose a constant once, when they load it. */
static bool unties(TgPass *p, const TgNodeInfo *n, double out_bytes)
{
    bool last_use;
    if (n->op != TG_Transpose || p->vouched || out_bytes <= (double)EAGER)
        return false;
    const_bytes(p, n, &last_use);
    if (!last_use)
        pass_explain(p, n, "refused: others read this weight as it is, it stays stored once");
    return !last_use;
}

/* Bytes by which folding may let the constants grow. */
static double growth_budget(const TgPass *p)
{
    double scaled = (double)tg_limit(p->tg, TG_LIMIT_fold_ratio) * p->const_bytes;
    double most = (double)tg_limit(p->tg, TG_LIMIT_fold);
    scaled = scaled > SURE_GROWTH ? scaled : SURE_GROWTH;
    return scaled < most ? scaled : most;
}

/* Whether the result may take its place among the constants. */
static bool affordable(TgPass *p, const TgNodeInfo *n, double out_bytes)
{
    bool last_use;
    double in_bytes = const_bytes(p, n, &last_use);
    double growth = last_use ? out_bytes - in_bytes : out_bytes;
    if (p->vouched || out_bytes <= FREE_GROWTH || growth <= 0)
        return true;
    if (p->grown + growth > growth_budget(p)) {
        pass_explain(p, n, "refused: folding would grow the constants by %.0f bytes; see --limit fold", growth);
        return false;
    }
    p->grown += growth;
    return true;
}

/* Whether computing it, now or when the model is written, takes no more than such a model may ask for. */
static bool takes_little(TgPass *p, const TgNodeInfo *n)
{
    double work = tg_node_cost(p->g, n, 1).flops, size = p->const_bytes < 1e18 ? p->const_bytes : 1e18;
    if (p->worked + work > (double)tg_scaled_limit(p->tg, TG_LIMIT_work, TG_LIMIT_work_ratio, (uint64_t)size)) {
        pass_explain(p, n, "refused: folding would take %.3g operations; see --limit work", work);
        return false;
    }
    p->worked += work;
    return true;
}

static bool foldable(const TgPass *p, const TgNodeInfo *n)
{
    const TgOpInfo *op = tg_op_info(n->op);
    if (n->op == TG_opaque || op->tier == TG_KEPT || op->traits & (TG_T_RANDOM | TG_T_CONTROL) || n->n_in == 0)
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && (!is_const(p->g, n->in[i]) || tg_const_of(p->g, n->in[i])->payload == TG_STRINGS))
            return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!tg_is_tensor(tg_type_of(p->g, n->out[i])))
            return false;
    return true;
}

/* Bytes of all outputs; false where a size is not known before it is computed. */
static bool result_bytes(const TgPass *p, const TgNodeInfo *n, double *bytes)
{
    *bytes = 0;
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgType *t = tg_type_of(p->g, n->out[i]);
        int64_t count;
        if (!tg_type_numel(t, &count))
            return false;
        *bytes += (double)count * tg_dtype_bits(t->dtype) / 8;
    }
    return true;
}

/* Floats remember what they were computed from: they are checked against it at once, and other checks see them
 * unrounded. */
static const TgTensor *keep_result(TgPass *p, const TgNodeInfo *n, uint32_t output, const TgArray *result)
{
    const TgTensor *operands[32] = {0};
    TgTensor *t = tg_array_to_tensor(p->g->arena, TG_EVAL_NATIVE, result);
    if (!t || !tg_is_float(t->dtype))
        return t;
    for (uint32_t i = 0; i < n->n_in; i++)
        operands[i] = tg_const_of(p->g, n->in[i]);
    tg_tensor_derived(p->g->arena, t, (uint16_t)n->op, n->attrs, n->n_in, operands, (uint16_t)output);
    return t;
}

/* Is t what inference told the readers of v? It is not where a node has operands that it does not take. */
static bool as_inferred(const TgPass *p, TgValue v, const TgTensor *t)
{
    const TgType *promised = tg_type_of(p->g, v);
    if (promised->dtype != t->dtype || promised->rank != t->rank)
        return false;
    for (int32_t k = 0; k < t->rank; k++)
        if (tg_dim_never_equal(p->tg, promised->dim[k], tg_dim(p->tg, t->dim[k])))
            return false;
    return true;
}

static bool compute_now(TgPass *p, const TgNodeInfo *n, const TgTensor **out)
{
    const TgArray *operands[32];
    TgArray arrays[32], results[8];
    if (n->n_in > 32 || n->n_out > 8)
        return false;
    uint32_t before = tg_diag_count(p->tg);
    memset(results, 0, sizeof results);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i])
            arrays[i] = tg_array_from_tensor(p->tg, TG_EVAL_NATIVE, tg_const_of(p->g, n->in[i]));
    for (uint32_t i = 0; i < n->n_in; i++)
        operands[i] = n->in[i] ? &arrays[i] : NULL;
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .max_flops = (double)tg_limit(p->tg, TG_LIMIT_work)};
    bool good = tg_eval_node(p->tg, p->g, n, &options, operands, results);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i])
            tg_array_drop(p->tg, &arrays[i]);
    for (uint32_t i = 0; good && i < n->n_out; i++)
        good = (out[i] = keep_result(p, n, i, &results[i])) != NULL && as_inferred(p, n->out[i], out[i]);
    for (uint32_t i = 0; i < n->n_out; i++)
        tg_array_drop(p->tg, &results[i]);
    if (!good)
        tg_diag_forget(p->tg, before); /* the node stays as it is, and fails at run time if it must */
    for (uint32_t i = 0; good && i < n->n_out; i++)
        good = tg_tensor_derived_agrees(p->tg, out[i]); /* else a defect, which ends the run */
    return good;
}

static bool make_recipe(TgPass *p, const TgNodeInfo *n, const TgTensor **out)
{
    const TgTensor **operands = TG_NEW_N(p->g->arena, const TgTensor *, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++)
        operands[i] = tg_const_of(p->g, n->in[i]);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!(out[i] = tg_tensor_recipe(p->g->arena, (uint16_t)n->op, n->attrs, n->n_in, operands, (uint16_t)i)))
            return false;
    return true;
}

static bool worth_a_recipe(const TgPass *p, const TgNodeInfo *n, double out_bytes)
{
    bool real = n->n_out && tg_is_float(tg_type_of(p->g, n->out[0])->dtype);
    return out_bytes > (real ? EAGER_FLOATS : EAGER) && n->n_out <= 8;
}

bool fold_node(TgPass *p, TgNode node)
{
    TgNodeInfo *n = tg_node(p->g, node);
    const TgTensor *out[8] = {0};
    double bytes = 0;
    bool sized = n->n_out <= 8 && foldable(p, n) && result_bytes(p, n, &bytes);
    if (n->n_out > 8 || !foldable(p, n) || (sized && (unties(p, n, bytes) || !affordable(p, n, bytes))) ||
        !takes_little(p, n))
        return false;
    if (!(worth_a_recipe(p, n, bytes) ? make_recipe(p, n, out) : compute_now(p, n, out)))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++) {
        TgValue made = tg_graph_const(p->g, out[i], NULL);
        tg_value(p->g, made)->name = tg_value(p->g, n->out[i])->name;
        tg_value(p->g, n->out[i])->name = NULL;
        tg_replace(p->g, n->out[i], made);
    }
    tg_remove(p->g, node);
    return true;
}

TgValue fold_value(TgPass *p, TgNode n)
{
    TgValue out = tg_node(p->g, n)->out[0];
    if (!foldable(p, tg_node(p->g, n)))
        return out;
    /* a throw-away reader keeps track of what folding puts in the place of the result */
    TgNode reader = tg_graph_add_raw(p->g, TG_Identity, NULL, 1, &out, 1);
    if (fold_node(p, n))
        out = tg_node(p->g, reader)->in[0];
    tg_remove(p->g, reader);
    return out;
}

static void fold_symbolic(TgPass *p, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        const TgTensor *t = is_read(p->g, n->out[i]) ? tg_known_elements(p->g, n->out[i], p->g->arena) : NULL;
        if (t && !numbers_positions_downstream(p, n) && pass_allow(p, "fold-shape"))
            pass_replace(p, n->out[i], tg_graph_const(p->g, t, NULL), "fold-shape");
    }
}

void pass_fold(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(p->g, nodes[i]);
        fold_symbolic(p, info);
        if (foldable(p, info) && pass_may(p) && fold_node(p, nodes[i]))
            pass_count(p, "fold-constant");
    }
}
