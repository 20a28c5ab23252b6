/* Equal nodes and equal constants are kept once (common subexpressions, weights stored twice).
 *
 * Nodes are equal when operator, attributes and operands are, operands of commutative operators in either order. A pass
 * over the nodes in order, with a table from hash to earlier nodes. Random operators and those with subgraphs stay.
 */
#include <string.h>

#include "pass.h"

typedef struct Entry {
    uint32_t item; /* TgNode or TgValue */
    struct Entry *next;
} Entry;

typedef struct {
    TgPass *p;
    TgMap map;     /* hash -> Entry */
    size_t budget; /* bytes that may still be read to prove constants equal */
} Table;

static Entry *find(const Table *t, uint64_t hash)
{
    uint64_t entry = 0;
    return tg_map_get(&t->map, hash, &entry) ? (Entry *)(uintptr_t)entry : NULL;
}

static void add(Table *t, uint64_t hash, uint32_t item)
{
    Entry *entry = TG_NEW(t->map.arena, Entry);
    *entry = (Entry){item, find(t, hash)};
    tg_map_put(&t->map, hash, TG_KEY(entry));
}

/* --- constants ---------------------------------------------------------------------------------------------------- */

/* A large weight of zeros, as far as a look tells: models whose weights were stripped. There is nothing to merge. */
static bool is_placeholder(Tg *tg, const TgTensor *t)
{
    enum { LARGE = 1 << 20, LOOKS = 3 };
    if (t->payload == TG_RECIPE || t->size <= LARGE || !tg_is_float(t->dtype))
        return false;
    const size_t at[LOOKS] = {0, t->count / 2, t->count - 1};
    bool zero = true;
    tg_tensor_expect(t, TG_READ_HERE_AND_THERE);
    for (int i = 0; zero && i < LOOKS; i++)
        zero = tg_tensor_float(tg, t, at[i]) == 0;
    tg_tensor_expect(t, TG_READ_USUALLY);
    return zero;
}

/* Different tensors differ early; equal ones are read to the end, which for gigabytes of them must not take the time of
 * everything else. Within the budget tied weights of usual models are found. */
static bool equal_within_budget(Table *t, const TgTensor *a, const TgTensor *b)
{
    if (a->size > t->budget || !tg_tensor_equal(t->p->tg, a, b))
        return false;
    t->budget -= a->size;
    return true;
}

static void merge_constants(Table *t)
{
    TgGraph *g = t->p->g;
    for (TgValue v = 1; v < g->values.n; v++) {
        TgValueInfo *info = tg_value(g, v);
        if (info->origin != TG_V_CONST || !is_read(g, v) || is_placeholder(t->p->tg, info->tensor))
            continue;
        uint64_t hash = tg_mix(TG_KEY(info->type), tg_tensor_hash(t->p->tg, info->tensor));
        Entry *e = find(t, hash);
        while (e && !equal_within_budget(t, tg_value(g, e->item)->tensor, info->tensor))
            e = e->next;
        if (!e)
            add(t, hash, v);
        else if (pass_allow(t->p, "merge-constants"))
            tg_replace(g, v, e->item);
    }
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

static bool swaps(const TgNodeInfo *n)
{
    return n->n_in == 2 && tg_op_has(n->op, TG_T_COMMUTATIVE);
}

static uint64_t hash_node(const TgNodeInfo *n)
{
    uint64_t h = tg_mix(n->op, TG_KEY(n->attrs));
    h = tg_mix(h, (uint64_t)n->n_in << 32 | n->n_out);
    h = tg_mix(h, TG_KEY(n->op_name));
    if (swaps(n)) {
        bool order = n->in[0] <= n->in[1];
        return tg_mix(tg_mix(h, n->in[!order]), n->in[order]);
    }
    for (uint32_t i = 0; i < n->n_in; i++)
        h = tg_mix(h, n->in[i]);
    return h;
}

static bool equal_nodes(const TgNodeInfo *a, const TgNodeInfo *b)
{
    if (a->op != b->op || a->op_name != b->op_name || a->domain != b->domain || a->overload != b->overload ||
        a->attrs != b->attrs || a->n_in != b->n_in || a->n_out != b->n_out)
        return false;
    if (swaps(a) && a->in[0] == b->in[1] && a->in[1] == b->in[0])
        return true;
    return memcmp(a->in, b->in, a->n_in * sizeof *a->in) == 0;
}

static bool mergeable(const TgNodeInfo *n)
{
    return n->n_sub == 0 && n->n_out > 0 && n->op != TG_opaque && !tg_op_has(n->op, TG_T_RANDOM) && n->op != TG_Dropout;
}

static void merge_nodes(Table *t)
{
    TgGraph *g = t->p->g;
    uint32_t n;
    TgNode *nodes = pass_nodes(t->p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(g, nodes[i]);
        if (!mergeable(info))
            continue;
        uint64_t hash = hash_node(info);
        Entry *e = find(t, hash);
        while (e && !equal_nodes(tg_node(g, e->item), info))
            e = e->next;
        if (!e) {
            add(t, hash, nodes[i]);
        } else if (pass_allow(t->p, "merge-nodes")) {
            bool all = true;
            for (uint32_t k = 0; k < info->n_out; k++)
                all = pass_replace(t->p, info->out[k], tg_node(g, e->item)->out[k], "merge-nodes") && all;
            if (all)
                tg_remove(g, nodes[i]);
        }
    }
}

void pass_merge(TgPass *p)
{
    enum { MOST_READ = 256 << 20 };
    Table constants = {.p = p, .budget = MOST_READ}, nodes = {.p = p};
    tg_map_init(&constants.map, tg_scratch(p->tg));
    tg_map_init(&nodes.map, tg_scratch(p->tg));
    merge_constants(&constants);
    merge_nodes(&nodes);
}
