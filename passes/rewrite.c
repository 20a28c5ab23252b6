/* Applies the rules of a book (rules/) to the graph, until none applies any more.
 *
 * A worklist: all nodes, producers first, so that small patterns are in their normal form before larger ones
 * look at them; after an application the nodes that it made and those that see them. The book's automaton
 * knows for every node which rules may start there, so the cost is that of a look-up per node and of the
 * applications. The measures of the rules see to it that it ends. Needs: inferred types; runs better behind
 * the passes that normalise spellings. Breaks: nothing. */
#include "pass.h"

typedef struct {
    TgPass *p;
    TgMatcher *matcher;
    TG_VEC(TgNode) todo;
    TgMap waiting; /* nodes on the list */
} Work;

static void add(void *user, TgNode n)
{
    Work *w = user;
    uint64_t waits = 0;
    if (tg_map_get(&w->waiting, n, &waits) && waits)
        return;
    tg_map_put(&w->waiting, n, 1);
    TG_PUSH(tg_scratch(w->p->tg), &w->todo, n);
}

/* Nodes over constants become constants at once. */
static bool make(void *user, TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in,
                 const TgValue *operands, uint32_t n_out, TgValue *out)
{
    TgNode n = tg_graph_add(g, op, attrs, n_in, operands, n_out);
    if (!n)
        return false;
    for (uint32_t i = 0; i < n_out; i++)
        out[i] = tg_node(g, n)->out[i];
    if (n_out == 1)
        out[0] = fold_value(user, n);
    return true;
}

static bool apply(Work *w, TgRewrite *found)
{
    TgPass *p = w->p;
    const TgRuleInfo *rule = tg_book_rule(p->options->book, found->rule);
    if (!tg_matcher_make(w->matcher, found)) {
        pass_explain(p, tg_node(p->g, tg_value(p->g, found->old[0])->node), "rule %s would give another type",
                     rule->name);
        return false;
    }
    bool any = false;
    p->approximate = rule->class == TG_RULE_APPROX; /* proved to stay within its bound */
    pass_count(p, rule->name);
    for (uint32_t i = 0; i < found->n; i++)
        any = pass_replace(p, found->old[i], found->made[i], rule->name) || any;
    p->approximate = false;
    for (uint32_t i = 0; any && i < found->n; i++)
        tg_matcher_replaced(w->matcher, found->made[i], add, w);
    return any;
}

static bool is_needed(const TgGraph *g, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++)
        if (is_read(g, n->out[i]))
            return true;
    return false;
}

static void visit(Work *w, TgNode n)
{
    TgRewrite found;
    for (uint32_t from = 0; pass_may(w->p) && is_needed(w->p->g, tg_node(w->p->g, n)); from = found.rule + 1)
        if (!tg_matcher_find(w->matcher, n, from, &found) || apply(w, &found))
            return;
}

typedef struct {
    TgPass *p;
    TgName rule;
} Reasons;

static void add_reason(void *user, TgNode n, TgName why)
{
    const Reasons *r = user;
    pass_explain(r->p, tg_node(r->p->g, n), "rule %s: %s", r->rule, why);
}

/* With --explain: where all of a rule fits but a condition. */
static void explain(TgPass *p)
{
    const TgBook *book = p->options->book;
    for (uint32_t i = 0; p->options->explain && i < tg_book_count(book); i++) {
        const TgRuleInfo *rule = tg_book_rule(book, i);
        Reasons reasons = {p, rule->name};
        if (rule->on && tg_target_takes(p->last ? p->options->target : TG_TARGET_ANY, rule->target))
            tg_rule_explain(book, i, p->g, p->opset, p->options->target, true, add_reason, &reasons);
    }
}

void pass_rewrite(TgPass *p)
{
    if (!p->options->book || !tg_book_count(p->options->book))
        return;
    TgTarget target = p->last ? p->options->target : TG_TARGET_ANY;
    TgMatchOptions options = {.opset = p->opset, .target = target, .make = make, .user = p};
    Work w = {.p = p, .matcher = tg_matcher_new(p->options->book, p->g, &options)};
    tg_map_init(&w.waiting, tg_scratch(p->tg));
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++)
        add(&w, nodes[i]);
    for (uint32_t i = 0; i < w.todo.n; i++) {
        tg_map_put(&w.waiting, w.todo.at[i], 0);
        if (!tg_node(p->g, w.todo.at[i])->dead)
            visit(&w, w.todo.at[i]);
    }
    tg_matcher_free(w.matcher);
    explain(p);
}
