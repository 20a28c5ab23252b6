/* Nodes in an order in which each comes behind its producers: that of the file where it is one, otherwise
 * depth first with an explicit stack. A node also waits for what its graphs read from outside. */
#include "import.h"

typedef struct {
    uint32_t node, next; /* next name to look at */
} Visit;

typedef struct {
    Reader *r;
    Scope *s;
    const NodeList *nodes;
    TgMap producer; /* name -> index */
    uint8_t *state; /* by node */
    TG_VEC(Visit) stack;
} Sorter;

enum { FRESH, OPEN, DONE };

/* Producer of the k-th name that node n reads; UINT32_MAX: from elsewhere. *end: there are no more names. */
static uint32_t producer_of(const Sorter *s, uint32_t n, uint32_t k, bool *end)
{
    const NodeView *node = &s->nodes->at[n];
    uint64_t index;
    *end = k >= node->in.n + node->outer.n;
    if (*end)
        return UINT32_MAX;
    TgName name = k < node->in.n ? node->in.at[k] : node->outer.at[k - node->in.n];
    return name && tg_map_get(&s->producer, TG_KEY(name), &index) ? (uint32_t)index : UINT32_MAX;
}

static bool is_sorted(const Sorter *s)
{
    for (uint32_t n = 0; n < s->nodes->n; n++) {
        bool end = false;
        for (uint32_t k = 0; !end; k++) {
            uint32_t from = producer_of(s, n, k, &end);
            if (from != UINT32_MAX && from >= n)
                return false;
        }
    }
    return true;
}

static bool push(Sorter *s, uint32_t n)
{
    const NodeView *node = &s->nodes->at[n];
    if (s->state[n] == OPEN)
        return tg_report(s->r->tg, TG_E_cycle,
                         node->out.n && node->out.at[0] ? node->out.at[0] : node->op_type);
    if (s->state[n] == FRESH) {
        Visit visit = {n, 0};
        s->state[n] = OPEN;
        TG_PUSH(s->r->arena, &s->stack, visit);
    }
    return true;
}

/* Imports node `root` and, before it, what it waits for. */
static bool import_from(Sorter *s, uint32_t root)
{
    if (!push(s, root))
        return false;
    while (s->stack.n > 0) {
        Visit *top = &s->stack.at[s->stack.n - 1];
        bool end;
        uint32_t n = top->node, from = producer_of(s, n, top->next++, &end);
        if (from != UINT32_MAX && !push(s, from))
            return false;
        if (!end)
            continue;
        s->state[n] = DONE;
        s->stack.n--;
        if (!import_node(s->r, s->s, &s->nodes->at[n]))
            return false;
    }
    return true;
}

bool import_nodes(Reader *r, Scope *scope, const NodeList *nodes)
{
    Sorter s = {.r = r, .s = scope, .nodes = nodes};
    tg_map_init(&s.producer, r->arena);
    for (uint32_t n = 0; n < nodes->n; n++)
        for (uint32_t i = 0; i < nodes->at[n].out.n; i++)
            if (nodes->at[n].out.at[i])
                tg_map_put(&s.producer, TG_KEY(nodes->at[n].out.at[i]), n);
    bool sorted = is_sorted(&s);
    for (uint32_t n = 0; sorted && n < nodes->n; n++)
        if (!import_node(r, scope, &nodes->at[n]))
            return false;
    if (sorted)
        return true;
    if (!tolerate(r, TG_E_unsorted, scope->g->name))
        return false;
    s.state = tg_new(r->arena, nodes->n);
    for (uint32_t n = 0; n < nodes->n; n++)
        if (s.state[n] == FRESH && !import_from(&s, n))
            return false;
    return true;
}
