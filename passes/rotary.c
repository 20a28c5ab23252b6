/* Rotary embeddings and other signed permutations (signed_map.h).
 *
 *   identity order              Slice, Neg, Concat that leave every element in its place: one Mul, or nothing at all
 *   above it a FullyConnected   any other order, and the sum of two such terms of one x with constant factors
 *   with no other reader        (x*cos + rotate(x)*sin at a fixed position), go into its weights: rows permuted, scaled
 *   tables that vary            RotaryEmbedding where the output may have it; otherwise the sign goes into the table of
 *   by position                 sines (once for all layers) and the halves are exchanged by one Split and one Concat
 *
 * The literal Slice/Neg/Concat -> Mul of Samsung ONE issue 12917 is wrong when the halves change places; as a
 * permutation of weight columns it is right for every order. Signs and orders are exact; the sum of two terms
 * reassociates. */
#include <string.h>

#include "fully_connected.h"
#include "rotary.h"
#include "signed_map.h"

/* --- identity order ----------------------------------------------------------------------------------------------- */

static TgValue vector_like(TgPass *p, TgValue like, uint32_t n, const double *x)
{
    void *bytes;
    TgDtype dtype = tg_type_of(p->g, like)->dtype;
    TgTensor *t = tg_tensor_blank(p->g->arena, dtype, 1, &(int64_t){n}, &bytes);
    for (uint32_t i = 0; i < n; i++)
        tg_store_float(dtype, bytes, i, x[i]);
    return tg_graph_const(p->g, t, NULL);
}

static bool all_equal(const SignedMap *m, double x)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->factor[i] != x)
            return false;
    return true;
}

static bool as_mul(TgPass *p, TgValue v, const SignedMap *m)
{
    if (m->source == v || m->tail != 1 || !same_type(p->g, m->source, v) ||
        !is_identity_order(m, tail_size(p->g, m->source, 1)) || !pass_may(p))
        return false;
    TgValue made = m->source;
    if (!all_equal(m, 1))
        made = pass_op(p, TG_Mul, NULL, 2, m->source, vector_like(p, v, m->n, m->factor));
    if (!made)
        return false;
    pass_count(p, "signed-identity-to-mul");
    pass_replace(p, v, made, "signed-identity-to-mul");
    return true;
}

/* --- into the weights --------------------------------------------------------------------------------------------- */

enum { MOST_CONE = 48 };

/* The nodes between root and source. False: too many. */
static bool collect_cone(const TgGraph *g, TgValue root, TgValue source, TgNode *cone, uint32_t *n)
{
    *n = 0;
    TgValue pending[4 * MOST_CONE] = {root};
    for (uint32_t waiting = 1; waiting;) {
        TgValue v = pending[--waiting];
        const TgValueInfo *info = tg_value(g, v);
        bool known = v == source || info->origin != TG_V_RESULT;
        for (uint32_t i = 0; !known && i < *n; i++)
            known = cone[i] == info->node;
        if (known)
            continue;
        const TgNodeInfo *node = tg_node(g, info->node);
        if (*n == MOST_CONE || waiting + node->n_in > 4 * MOST_CONE)
            return false;
        cone[(*n)++] = info->node;
        for (uint32_t i = 0; i < node->n_in; i++)
            if (node->in[i])
                pending[waiting++] = node->in[i];
    }
    return true;
}

static bool read_only_by(const TgGraph *g, TgValue v, const TgNode *cone, uint32_t n)
{
    const TgValueInfo *info = tg_value(g, v);
    for (uint32_t i = 0; i < info->uses.n; i++) {
        bool inside = false;
        for (uint32_t k = 0; k < n; k++)
            inside = inside || cone[k] == info->uses.at[i].node;
        if (!inside)
            return false;
    }
    return !info->returned;
}

/* Nobody but root needs source, or what lies between: the cone. */
static bool consumed_by(const TgGraph *g, TgValue root, TgValue source, TgNode *cone, uint32_t *size)
{
    if (!collect_cone(g, root, source, cone, size) || !read_only_by(g, source, cone, *size))
        return false;
    uint32_t n = *size;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < tg_node(g, cone[i])->n_out; k++)
            if (tg_node(g, cone[i])->out[k] != root && !read_only_by(g, tg_node(g, cone[i])->out[k], cone, n))
                return false;
    return true;
}

/* The FullyConnected whose columns, taken modulo the last size of v, are the last axis of v: only head splits between,
 * read by nobody else. */
static bool fc_through_heads(TgPass *p, TgValue v, Fc *fc)
{
    int64_t size = pass_dim(p->g, v, -1);
    for (uint32_t depth = 0; depth < 8; depth++) {
        if (fc_of(p, v, fc))
            return size > 0 && fc->n % size == 0;
        if (tg_value(p->g, v)->origin != TG_V_RESULT)
            return false;
        const TgNodeInfo *n = tg_node(p->g, tg_value(p->g, v)->node);
        uint32_t count;
        const int64_t *perm = tg_attr_ints(n, "perm", &count);
        bool keeps_last = n->op == TG_Transpose && perm && perm[count - 1] == (int64_t)count - 1;
        bool splits_last = n->op == TG_Reshape && pass_dim(p->g, n->in[0], -1) > 0 &&
                           pass_dim(p->g, n->in[0], -1) % pass_dim(p->g, v, -1) == 0;
        if ((!keeps_last && !splits_last) || !tg_used_once(p->g, n->in[0]))
            return false;
        v = n->in[0];
    }
    return false;
}

/* Columns of `weight` permuted and scaled as the map says, repeated for every head; vectors (biases) likewise. */
static TgValue mapped(TgPass *p, const Fc *fc, TgValue weight, const SignedMap *m, bool is_bias)
{
    uint32_t n = (uint32_t)fc->n;
    int64_t *index = TG_NEW_N(tg_scratch(p->tg), int64_t, n);
    double *factor = TG_NEW_N(tg_scratch(p->tg), double, n);
    bool moved = false;
    for (uint32_t j = 0; j < n; j++) {
        index[j] = (int64_t)(j - j % m->n + m->index[j % m->n]);
        factor[j] = m->factor[j % m->n];
        moved = moved || index[j] != j;
    }
    TgValue by = vector_like(p, weight, n, factor);
    if (moved && is_bias)
        weight = pass_op(p, TG_Gather, NULL, 2, weight, pass_ints(p, n, index));
    else if (moved)
        weight = fc_permute_columns(p, fc, weight, pass_ints(p, n, index));
    if (!weight || all_equal(m, 1))
        return weight;
    return is_bias ? pass_op(p, TG_Mul, NULL, 2, weight, by) : fc_scale_columns(p, fc, weight, by);
}

static TgValue sum_of_maps(TgPass *p, const Fc *fc, TgValue weight, const SignedMap *m, uint32_t terms, bool is_bias)
{
    TgValue sum = mapped(p, fc, weight, &m[0], is_bias);
    for (uint32_t i = 1; sum && i < terms; i++) {
        TgValue next = mapped(p, fc, weight, &m[i], is_bias);
        sum = next ? pass_op(p, TG_Add, NULL, 2, sum, next) : 0;
    }
    return sum;
}

/* By the operators between source and v, which the check understands best; else by numbers. */
static TgValue changed(TgPass *p, const Fc *fc, TgValue weight, TgValue v, const SignedMap *m, uint32_t terms,
                       const TgNode *cone, uint32_t n, bool is_bias)
{
    bool in_rows = is_bias || !fc->transposed;
    TgValue made = in_rows ? rotary_replay(p, v, m[0].source, cone, n, weight) : 0;
    return made ? made : sum_of_maps(p, fc, weight, m, terms, is_bias);
}

static TgValue full_bias(TgPass *p, const Fc *fc)
{
    if (pass_rank(p->g, fc->bias) == 1)
        return fc->bias;
    return pass_op(p, TG_Expand, NULL, 2, fc->bias, pass_ints(p, 1, &fc->n));
}

/* v = sum of the maps of one source behind which is a FullyConnected: into its weights. */
static bool into_weights(TgPass *p, TgValue v, const SignedMap *m, uint32_t terms)
{
    Fc fc;
    TgValue source = m[0].source;
    if (m[0].tail != 1 || source == v || !same_type(p->g, source, v) || !fc_through_heads(p, source, &fc))
        return false;
    const TgNodeInfo *root = tg_node(p->g, tg_value(p->g, v)->node);
    TgNode cone[MOST_CONE];
    uint32_t n;
    if (!consumed_by(p->g, v, source, cone, &n)) {
        pass_explain(p, root, "refused: the rotated projection has another reader");
        return false;
    }
    if (!fc_owns_weight(p, &fc) || !pass_may(p))
        return false;
    p->vouched = true;
    TgValue weight = changed(p, &fc, fc.weight, v, m, terms, cone, n, false);
    TgValue bias = fc.bias ? full_bias(p, &fc) : 0;
    bias = bias ? changed(p, &fc, bias, v, m, terms, cone, n, true) : 0;
    TgValue made = weight && (!fc.bias || bias) ? fc_make(p, &fc, fc.x, weight, bias) : 0;
    p->vouched = false;
    if (!made || !same_type(p->g, made, fc.out))
        return false;
    const char *name = terms > 1 ? "rotary-into-weight" : "permutation-into-weight";
    pass_count(p, name);
    TgValue rebuilt = pass_rebuild(p, source, fc.out, made);
    return rebuilt && pass_replace(p, v, rebuilt, name);
}

/* --- finding candidates ------------------------------------------------------------------------------------------- */

static bool starts_permutation(const TgGraph *g, const TgNodeInfo *n)
{
    if (n->op == TG_Concat)
        return true;
    return n->op == TG_Reshape && tg_producer(g, n->in[0], TG_Concat) != NULL;
}

/* Made by a Mul, Neg or Concat: otherwise a sum of it is no rotation, and need not be looked at closely. */
static bool may_be_term(const TgGraph *g, TgValue v)
{
    return tg_producer(g, v, TG_Mul) || tg_producer(g, v, TG_Neg) || tg_producer(g, v, TG_Concat);
}

static bool visit_sum(TgPass *p, TgNodeInfo *n)
{
    SignedMap m[2];
    if (!tg_is_float(tg_type_of(p->g, n->out[0])->dtype) || pass_rank(p->g, n->out[0]) < 1 ||
        (!may_be_term(p->g, n->in[0]) && !may_be_term(p->g, n->in[1])) || is_const(p->g, n->in[0]) ||
        is_const(p->g, n->in[1]))
        return false;
    bool mapped_both = signed_map(p, n->in[0], 1, 0, &m[0]) && signed_map(p, n->in[1], 1, 0, &m[1]) &&
                       m[0].source == m[1].source && m[0].tail == 1 && m[1].tail == 1 && m[0].source != n->in[0];
    if (mapped_both && m[0].n == m[1].n && into_weights(p, n->out[0], m, 2))
        return true;
    return rotate_by_tables(p, n);
}

static void visit(TgPass *p, TgNodeInfo *n)
{
    SignedMap m;
    if (n->op == TG_Add)
        visit_sum(p, n);
    else if (n->op == TG_RotaryEmbedding && (rotate_merged_heads(p, n) || rotate_by_positions(p, n)))
        return;
    else if (n->op == TG_Concat && (rotate_part(p, n) || rotate_pairs(p, n)))
        return;
    else if (n->op == TG_Reshape && rotate_pairs(p, n))
        return;
    else if (starts_permutation(p->g, n) && pass_rank(p->g, n->out[0]) >= 1 &&
             tg_is_float(tg_type_of(p->g, n->out[0])->dtype) && signed_map(p, n->out[0], 1, 0, &m) &&
             !as_mul(p, n->out[0], &m))
        into_weights(p, n->out[0], &m, 1);
}

void pass_rotary(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = n; i-- > 0;) { /* sums before the permutations in them */
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (info->n_out && is_read(p->g, info->out[0]))
            visit(p, info);
    }
}
