/* Says why a rule does not apply: the reason of the attempt that came furthest, for every node where an
 * attempt got past the outermost operator. */
#include "match.h"

static TgName node_text(const Match *m, TgValue v)
{
    const TgValueInfo *info = tg_value(m->g, v);
    if (info->origin != TG_V_RESULT)
        return tg_name(m->tg, info->origin == TG_V_CONST ? "a constant" : "an input");
    const TgNodeInfo *n = tg_node(m->g, info->node);
    TgName op = n->op == TG_opaque ? n->op_name : tg_op_text(m->tg, n->op);
    return n->name ? tg_name_format(m->tg, "%s '%s'", op, n->name) : op;
}

static TgName term_text(Tg *tg, const Term *t)
{
    switch (t->kind) {
    case T_OP: return tg_op_text(tg, t->op);
    case T_NUMBER: return tg_name_format(tg, "the number %.9g", t->number);
    case T_LIST: return tg_name(tg, "other integers");
    case T_ABSENT: return tg_name(tg, "no operand");
    default: return tg_name(tg, "another operand");
    }
}

TgName mismatch_text(const Match *m, const Term *t, TgValue v)
{
    double x;
    TgName found = !v                             ? tg_name(m->tg, "no operand")
                   : constant_number(m->g, v, &x) ? tg_name_format(m->tg, "the constant %.9g", x)
                                                  : node_text(m, v);
    return tg_name_format(m->tg, "wants %s, found %s", term_text(m->tg, t), found);
}

static bool may_start(const Term *t, TgOp op)
{
    bool may = t->kind == T_OP && t->op == op;
    for (uint32_t i = 0; t->kind == T_ANY_OF && i < t->n; i++)
        may = may || may_start(t->at[i], op);
    return may;
}

static bool has_inner_operator(const Term *t)
{
    bool inner = false;
    for (uint32_t i = 0; i < t->n; i++)
        inner = inner || t->at[i]->kind == T_OP || t->at[i]->kind == T_ANY_OF ||
                (t->kind == T_ANY_OF && has_inner_operator(t->at[i]));
    return inner;
}

/* NULL: nothing to say of this node. */
static TgName reason(Match *m, TgNode node, bool nearly, TgOp lacking, int64_t opset)
{
    const Term *start = m->rule->match.at[m->rule->anchor].term;
    if (!may_start(start, tg_node(m->g, node)->op))
        return NULL;
    bool fits = match_at(m, node);
    if (fits && lacking != TG_opaque)
        return tg_name_format(m->tg, "%s came with opset %u, the output is opset %lld",
                              tg_op_text(m->tg, lacking), (unsigned)tg_op_info(lacking)->since,
                              (long long)opset);
    if (fits)
        return nearly ? NULL : tg_name(m->tg, "applies");
    if (nearly)
        return m->all_but_a_condition ? m->why : NULL;
    return m->best >= (has_inner_operator(start) ? 2u : 1u) ? m->why : NULL;
}

void tg_rule_explain(const TgBook *book, uint32_t number, TgGraph *g, int64_t opset, TgTarget target, bool nearly,
                     void (*line)(void *user, TgNode node, TgName why), void *user)
{
    const Rule *rule = book->rules.at[number];
    TgOp lacking = op_that_lacks(rule, g->model, opset);
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < n; i++) {
        Match m = {.tg = g->tg, .g = g, .target = target, .rule = rule, .explains = true};
        TgName why = reason(&m, order[i], nearly, lacking, opset);
        if (why)
            line(user, order[i], why);
    }
}
