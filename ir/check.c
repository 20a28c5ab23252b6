/* Structure of a graph: what every pass may rely on and must keep. All violations are reported.
 *
 *    1  refs        operands, results, inputs, captures and outputs name values that exist
 *    2  origin      a value is what its origin says: input i, capture i, a constant, result i of a live node
 *    3  type        every value has a type; a constant has that of its tensor
 *    4  uses        the uses of a value are the operands of live nodes that read it, each once
 *    5  returned    a value knows how often it is an output
 *    6  acyclic     no node needs its own result
 *    7  order       the stored order, when said to be sorted, holds every live node once, producers first
 *    8  operator    as many operands and results as the operator's row allows; opaque ones have a name
 *    9  attributes  sorted by name, no name twice
 *   10  subgraphs   belong to this graph; only operators with subgraphs, and opaque ones, have any
 *   11  captures    capture k of a subgraph stands for a slot behind the operator's own inputs; none is idle
 *   12  interface   inputs, and likewise outputs, of a main graph have names, and no two values the same one
 *
 * It does not look at what inference would say (tests re-infer), nor at bytes of tensors. Linear in the size
 * of the graph; nesting is followed to the depth that readers allow.
 */
#include <stdio.h>
#include <string.h>

#include "graph.h"

enum { DEEPEST = 128 };

typedef struct {
    Tg *tg;
    TgGraph *g;
    TgArena *scratch;
    bool good;
} Check;

static const char *const invariant[] = {
    [1] = "refs",       [2] = "origin",     [3] = "type",      [4] = "uses",
    [5] = "returned",   [6] = "acyclic",    [7] = "order",     [8] = "operator",
    [9] = "attributes", [10] = "subgraphs", [11] = "captures", [12] = "interface"};

/* Reports unless `holds`; the format says what was found. */
TG_PRINTF(4, 5) static bool want(Check *c, bool holds, int number, const char *format, ...)
{
    if (holds)
        return true;
    char found[200];
    va_list args;
    va_start(args, format);
    vsnprintf(found, sizeof found, format, args);
    va_end(args);
    c->good = false;
    return tg_report(c->tg, TG_E_broken_graph, c->g->name ? c->g->name : "", number, invariant[number],
                     found);
}

static bool exists(const Check *c, TgValue v)
{
    return v > 0 && v < c->g->values.n && c->g->values.at[v];
}

/* What to call a value in a message. */
static const char *called(const Check *c, TgValue v)
{
    return exists(c, v) && tg_value(c->g, v)->name ? tg_value(c->g, v)->name : "nameless";
}

static const char *node_called(const TgNodeInfo *n)
{
    return n->op != TG_opaque ? tg_op_info(n->op)->name : n->op_name ? n->op_name : "nameless operator";
}

/* --- values --------------------------------------------------------------------------------------------- */

static bool stands_at(const TgValue *list, uint32_t n, uint32_t index, TgValue v)
{
    return index < n && list[index] == v;
}

static bool has_origin(const Check *c, TgValue v)
{
    const TgGraph *g = c->g;
    const TgValueInfo *info = tg_value(g, v);
    switch (info->origin) {
    case TG_V_INPUT: /* one that nobody reads may have been dropped */
        return stands_at(g->inputs.at, g->inputs.n, info->index, v) || (!info->uses.n && !info->returned);
    case TG_V_CAPTURE: /* the same */
        return g->outer && (stands_at(g->captures.at, g->captures.n, info->index, v) ||
                            (!info->uses.n && !info->returned));
    case TG_V_CONST: return info->tensor != NULL;
    case TG_V_RESULT: break;
    }
    if (info->node == 0 || info->node >= g->nodes.n || !tg_node(g, info->node))
        return false;
    const TgNodeInfo *n = tg_node(g, info->node);
    return stands_at(n->out, n->n_out, info->index, v) && (!n->dead || (!info->uses.n && !info->returned));
}

static void check_uses(Check *c, TgValue v)
{
    const TgValueInfo *info = tg_value(c->g, v);
    for (uint32_t i = 0; i < info->uses.n; i++) {
        TgUse use = info->uses.at[i];
        const TgNodeInfo *n = use.node < c->g->nodes.n ? c->g->nodes.at[use.node] : NULL;
        bool reads = n && !n->dead && use.slot < n->n_in && n->in[use.slot] == v;
        want(c, reads, 4, "value %u (%s) lists node %u slot %u as a use, which does not read it", v,
             called(c, v), use.node, use.slot);
        for (uint32_t k = i + 1; k < info->uses.n && k < i + 4; k++) /* twins were added side by side */
            want(c, info->uses.at[k].node != use.node || info->uses.at[k].slot != use.slot, 4,
                 "value %u (%s) lists node %u slot %u twice", v, called(c, v), use.node, use.slot);
    }
}

static void check_value(Check *c, TgValue v)
{
    const TgValueInfo *info = c->g->values.at[v];
    if (!want(c, info != NULL, 1, "value %u is missing", v))
        return;
    want(c, has_origin(c, v), 2, "value %u (%s) is not what its origin says", v, called(c, v));
    want(c, info->type != NULL, 3, "value %u (%s) has no type", v, called(c, v));
    if (info->origin == TG_V_CONST && info->tensor && info->type)
        want(c, info->type == tg_tensor_type(c->tg, info->tensor), 3,
             "constant %u (%s) is typed %s, its tensor %s", v, called(c, v), tg_type_text(c->tg, info->type),
             tg_type_text(c->tg, tg_tensor_type(c->tg, info->tensor)));
    check_uses(c, v);
}

/* --- nodes ---------------------------------------------------------------------------------------------- */

static bool is_used_by(const TgValueInfo *v, TgNode n, uint32_t slot)
{
    for (uint32_t i = 0; i < v->uses.n; i++)
        if (v->uses.at[i].node == n && v->uses.at[i].slot == slot)
            return true;
    return false;
}

/* Lists of uses are compared by their total, so that a weight with thousands of readers costs no more than
 * others. */
static void check_operands(Check *c, TgNode n, uint64_t *reads)
{
    const TgNodeInfo *info = tg_node(c->g, n);
    want(c, info->n_formal <= info->n_in, 11, "node %u (%s) has %u own operands of %u", n, node_called(info),
         info->n_formal, info->n_in);
    for (uint32_t i = 0; i < info->n_in; i++) {
        TgValue v = info->in[i];
        if (!v)
            continue;
        if (!want(c, exists(c, v), 1, "node %u (%s) reads value %u", n, node_called(info), v))
            continue;
        ++*reads;
        if (tg_value(c->g, v)->uses.n <= 64)
            want(c, is_used_by(tg_value(c->g, v), n, i), 4,
                 "node %u (%s) reads value %u (%s), which does not know", n, node_called(info), v,
                 called(c, v));
    }
    for (uint32_t i = 0; i < info->n_out; i++)
        want(c, exists(c, info->out[i]) && tg_value(c->g, info->out[i])->node == n, 2,
             "node %u (%s) makes value %u, which does not know", n, node_called(info), info->out[i]);
}

static void check_operator(Check *c, TgNode n)
{
    const TgNodeInfo *info = tg_node(c->g, n);
    if (info->op == TG_opaque) {
        want(c, info->op_name != NULL, 8, "node %u is opaque and has no operator name", n);
        return;
    }
    const TgOpInfo *row = tg_op_info(info->op);
    want(c, row->in_max == TG_MANY || info->n_formal <= row->in_max, 8,
         "node %u (%s) has %u operands, at most %u are allowed", n, row->name, info->n_formal, row->in_max);
    want(c, info->n_formal >= row->in_min, 8, "node %u (%s) has %u operands, at least %u are needed", n,
         row->name, info->n_formal, row->in_min);
    want(c, row->out_max == TG_MANY || info->n_out <= row->out_max, 8,
         "node %u (%s) has %u results, at most %u are allowed", n, row->name, info->n_out, row->out_max);
    want(c, !info->n_sub || tg_op_has(info->op, TG_T_CONTROL), 10, "node %u (%s) has subgraphs", n,
         row->name);
}

static void check_attributes(Check *c, TgNode n)
{
    const TgNodeInfo *info = tg_node(c->g, n);
    if (!want(c, info->attrs != NULL, 9, "node %u (%s) has no attribute list", n, node_called(info)))
        return;
    for (uint32_t i = 1; i < info->attrs->n; i++)
        want(c, strcmp(info->attrs->at[i - 1].name, info->attrs->at[i].name) < 0, 9,
             "node %u (%s): '%s' before '%s'", n, node_called(info), info->attrs->at[i - 1].name,
             info->attrs->at[i].name);
}

/* Every slot behind the operator's own inputs is there for some capture. */
static void check_captures(Check *c, TgNode n)
{
    const TgNodeInfo *info = tg_node(c->g, n);
    TgMark mark = tg_mark(c->scratch);
    uint8_t *wanted = tg_new(c->scratch, info->n_in + 1u);
    for (uint32_t s = 0; s < info->n_sub; s++) {
        const TgSub *sub = &info->sub[s];
        want(c, sub->graph && sub->graph->outer == c->g, 10, "node %u (%s): subgraph %u belongs elsewhere", n,
             node_called(info), s);
        want(c, sub->graph && sub->graph->captures.n == sub->outer.n, 11,
             "node %u (%s): subgraph %u captures %u values, "
             "but %u slots are for it",
             n, node_called(info), s, sub->graph ? sub->graph->captures.n : 0, sub->outer.n);
        for (uint32_t k = 0; k < sub->outer.n; k++) {
            uint32_t slot = sub->outer.at[k];
            if (want(c, slot >= info->n_formal && slot < info->n_in, 11,
                     "node %u (%s): capture %u is slot %u", n, node_called(info), k, slot))
                wanted[slot] = 1;
        }
    }
    for (uint32_t i = info->n_formal; i < info->n_in; i++)
        want(c, wanted[i] != 0, 11, "node %u (%s): slot %u is captured by nobody", n, node_called(info), i);
    tg_release(c->scratch, mark);
}

/* --- the graph as a whole ------------------------------------------------------------------------------- */

static TgNode producer(const Check *c, TgValue v)
{
    return exists(c, v) && tg_value(c->g, v)->origin == TG_V_RESULT ? tg_value(c->g, v)->node : 0;
}

/* Kahn's algorithm: take away nodes all of whose operands are there, until none is left. */
static void check_acyclic(Check *c, uint32_t live)
{
    TgGraph *g = c->g;
    uint32_t *missing = TG_NEW_N(c->scratch, uint32_t, g->nodes.n);
    TG_VEC(TgNode)
    ready = {0};
    for (TgNode n = 1; n < g->nodes.n; n++) {
        if (tg_node(g, n)->dead)
            continue;
        for (uint32_t i = 0; i < tg_node(g, n)->n_in; i++)
            missing[n] += producer(c, tg_node(g, n)->in[i]) != 0;
        if (!missing[n])
            TG_PUSH(c->scratch, &ready, n);
    }
    uint32_t done = 0;
    for (; done < ready.n; done++) {
        const TgNodeInfo *info = tg_node(g, ready.at[done]);
        for (uint32_t i = 0; i < info->n_out; i++)
            for (uint32_t u = 0; u < tg_value(g, info->out[i])->uses.n; u++) {
                TgNode reader = tg_value(g, info->out[i])->uses.at[u].node;
                if (--missing[reader] == 0)
                    TG_PUSH(c->scratch, &ready, reader);
            }
    }
    want(c, done == live, 6, "%u of %u nodes need their own results", live - done, live);
}

static void check_order(Check *c, uint32_t live)
{
    const TgGraph *g = c->g;
    if (!g->sorted || !want(c, g->order.n == live, 7, "%u nodes in order, %u live", g->order.n, live))
        return;
    uint8_t *seen = tg_new(c->scratch, g->nodes.n);
    for (uint32_t i = 0; i < g->order.n; i++) {
        TgNode n = g->order.at[i];
        if (!want(c, n && n < g->nodes.n && !tg_node(g, n)->dead && !seen[n], 7, "place %u holds node %u", i,
                  n))
            continue;
        seen[n] = 1;
        for (uint32_t k = 0; k < tg_node(g, n)->n_in; k++) {
            TgNode from = producer(c, tg_node(g, n)->in[k]);
            want(c, !from || seen[from], 7, "node %u (%s) comes before node %u, which it reads", n,
                 node_called(tg_node(g, n)), from);
        }
    }
}

static void unique(Check *c, TgMap *names, TgName name, TgValue v, const char *what)
{
    uint64_t other;
    if (!want(c, name && name[0], 12, "an %s has no name", what))
        return;
    bool taken = tg_map_get(names, TG_KEY(name), &other) && other != v;
    want(c, !taken, 12, "two %ss are called '%s'", what, name);
    tg_map_put(names, TG_KEY(name), v);
}

static void check_interface(Check *c)
{
    const TgGraph *g = c->g;
    TgMap in, out;
    tg_map_init(&in, c->scratch);
    tg_map_init(&out, c->scratch);
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (want(c, exists(c, g->inputs.at[i]), 1, "input %u is value %u", i, g->inputs.at[i]) && !g->outer)
            unique(c, &in, tg_value(g, g->inputs.at[i])->name, g->inputs.at[i], "input");
    uint32_t *returned = TG_NEW_N(c->scratch, uint32_t, g->values.n);
    for (uint32_t i = 0; i < g->outputs.n; i++) {
        TgValue v = g->outputs.at[i].value;
        if (want(c, exists(c, v), 1, "output %u is value %u", i, v))
            returned[v]++;
        if (!g->outer)
            unique(c, &out, g->outputs.at[i].name, v, "output");
    }
    for (TgValue v = 1; v < g->values.n; v++)
        if (exists(c, v))
            want(c, tg_value(g, v)->returned == returned[v], 5, "value %u (%s) is %u outputs, but counts %u",
                 v, called(c, v), returned[v], tg_value(g, v)->returned);
}

/* Returns the number of live nodes. Whole-graph walks need sound refs, so the caller runs them only then. */
static uint32_t check_nodes(Check *c)
{
    TgGraph *g = c->g;
    uint32_t live = 0;
    uint64_t reads = 0, uses = 0;
    for (TgNode n = 1; n < g->nodes.n; n++) {
        if (!want(c, g->nodes.at[n] != NULL, 1, "node %u is missing", n) || tg_node(g, n)->dead)
            continue;
        live++;
        check_operands(c, n, &reads);
        check_operator(c, n);
        check_attributes(c, n);
        if (tg_node(g, n)->n_sub || tg_node(g, n)->n_in != tg_node(g, n)->n_formal)
            check_captures(c, n);
    }
    for (TgValue v = 1; v < g->values.n; v++)
        if (exists(c, v))
            uses += tg_value(g, v)->uses.n;
    want(c, reads == uses, 4, "nodes read %llu times, values list %llu uses", (unsigned long long)reads,
         (unsigned long long)uses);
    return live;
}

static bool check(TgGraph *g, int depth)
{
    Check c = {.tg = g->tg, .g = g, .scratch = tg_scratch(g->tg), .good = true};
    if (depth > DEEPEST)
        return tg_report(g->tg, TG_E_check_too_deep, DEEPEST);
    TgMark mark = tg_mark(c.scratch);
    for (TgValue v = 1; v < g->values.n; v++)
        check_value(&c, v);
    uint32_t live = check_nodes(&c);
    check_interface(&c);
    if (c.good) {
        check_acyclic(&c, live);
        check_order(&c, live);
    }
    tg_release(c.scratch, mark);
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; g->nodes.at[n] && !tg_node(g, n)->dead && s < tg_node(g, n)->n_sub; s++)
            if (tg_node(g, n)->sub[s].graph && !check(tg_node(g, n)->sub[s].graph, depth + 1))
                c.good = false;
    return c.good;
}

bool tg_graph_check(TgGraph *g)
{
    return check(g, 0);
}
