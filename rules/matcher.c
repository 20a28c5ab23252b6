/* Matchers: what the automaton knows of one graph, kept up to date while the graph changes. */
#include "match.h"

static Automaton *automaton_of(const TgMatcher *m)
{
    return m->book->automaton;
}

/* --- classes --------------------------------------------------------------------------------------- */

static uint32_t class_of_constant(TgMatcher *m, TgValue v)
{
    uint64_t known;
    if (tg_map_get(&m->numbers, v, &known))
        return (uint32_t)known;
    double x;
    uint32_t class = CLASS_OTHER;
    if (constant_number(m->g, v, &x))
        class = automaton_number(automaton_of(m), tg_type_of(m->g, v)->dtype, x);
    tg_map_put(&m->numbers, v, class);
    return class;
}

static uint32_t class_of(TgMatcher *m, TgValue v)
{
    if (!v)
        return CLASS_ABSENT;
    const TgValueInfo *info = tg_value(m->g, v);
    if (info->origin == TG_V_RESULT)
        return info->index == 0 && info->node < m->class.n ? m->class.at[info->node] : CLASS_OTHER;
    return tg_const_of(m->g, v) ? class_of_constant(m, v) : CLASS_OTHER;
}

/* Works out the class of a node; true: it is another one than before. */
static bool classify(TgMatcher *m, TgNode node)
{
    while (m->class.n <= node)
        TG_PUSH(m->arena, &m->class, CLASS_OTHER);
    const TgNodeInfo *n = tg_node(m->g, node);
    if (n->op == TG_opaque || n->n_sub || !automaton_knows(automaton_of(m), n->op))
        return false;
    TgArena *scratch = tg_scratch(m->g->tg);
    TgMark mark = tg_mark(scratch);
    uint32_t *operands = TG_NEW_N(scratch, uint32_t, n->n_formal + 1);
    for (uint32_t i = 0; i < n->n_formal; i++)
        operands[i] = class_of(m, n->in[i]);
    uint32_t class = automaton_step(automaton_of(m), n->op, n->n_formal, operands);
    tg_release(scratch, mark);
    bool changed = class != m->class.at[node];
    m->class.at[node] = class;
    return changed;
}

/* --- the door -------------------------------------------------------------------------------------- */

TgMatcher *tg_matcher_new(const TgBook *book, TgGraph *g, const TgMatchOptions *options)
{
    TgArena *arena = tg_arena_new(g->tg);
    TgMatcher *m = TG_NEW(arena, TgMatcher);
    m->book = book;
    m->arena = arena;
    m->g = g;
    m->options = options ? *options : (TgMatchOptions){0};
    m->match = (Match){.tg = g->tg, .g = g, .target = m->options.target};
    if (!m->options.opset)
        m->options.opset = TG_NEWEST_OPSET;
    tg_map_init(&m->numbers, arena);
    m->usable = TG_NEW_N(arena, bool, book->rules.n + 1);
    for (uint32_t i = 0; i < book->rules.n; i++)
        m->usable[i] = tg_target_takes(m->options.target, book->rules.at[i]->info.target) &&
                       op_that_lacks(book->rules.at[i], g->model, m->options.opset) == TG_opaque;
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    for (uint32_t i = 0; i < n; i++)
        classify(m, order[i]);
    return m;
}

void tg_matcher_free(TgMatcher *m)
{
    if (m)
        tg_arena_free(m->arena);
}

static void list_outputs(const Match *m, TgNode anchor, TgRewrite *found)
{
    found->n = m->rule->n_outputs;
    for (uint32_t i = 0; i < found->n; i++)
        found->old[i] = replaced_value(m, anchor, i);
}

bool tg_matcher_find(TgMatcher *m, TgNode node, uint32_t from, TgRewrite *found)
{
    if (node >= m->class.n || tg_node(m->g, node)->dead)
        return false;
    uint32_t n;
    const uint32_t *rules = automaton_rules(automaton_of(m), m->class.at[node], &n);
    for (uint32_t i = 0; i < n; i++) {
        const Rule *rule = m->book->rules.at[rules[i]];
        if (rules[i] < from || !m->usable[rules[i]] || !rule->info.on)
            continue;
        m->match.rule = rule;
        if (!match_at(&m->match, node))
            continue;
        *found = (TgRewrite){.rule = rules[i]};
        list_outputs(&m->match, node, found);
        return true;
    }
    return false;
}

/* --- after a rewrite ------------------------------------------------------------------------------- */

typedef struct {
    TgMatcher *m;
    TG_VEC(TgNode) todo;
    TgMap seen;
    void (*changed)(void *user, TgNode n);
    void *user;
} Refresh;

static void look_at_readers(Refresh *r, TgValue v)
{
    const TgValueInfo *info = tg_value(r->m->g, v);
    for (uint32_t i = 0; i < info->uses.n; i++)
        TG_PUSH(r->m->arena, &r->todo, info->uses.at[i].node);
}

/* The nodes that were made lie at the end; operands before readers. */
static void classify_new(Refresh *r)
{
    for (TgNode n = r->m->class.n ? r->m->class.n : 1; n < r->m->g->nodes.n; n++) {
        classify(r->m, n);
        if (!tg_node(r->m->g, n)->dead)
            r->changed(r->user, n);
    }
}

void tg_matcher_replaced(TgMatcher *m, TgValue made, void (*changed)(void *user, TgNode n), void *user)
{
    Refresh r = {.m = m, .changed = changed, .user = user};
    classify_new(&r);
    look_at_readers(&r, made);
    for (uint32_t i = 0; i < r.todo.n; i++) {
        TgNode n = r.todo.at[i];
        if (tg_node(m->g, n)->dead)
            continue;
        bool news = classify(m, n);
        changed(user, n);
        if (news && tg_node(m->g, n)->n_out)
            look_at_readers(&r, tg_node(m->g, n)->out[0]);
    }
}
