/* Matches one rule at one node.
 *
 * Idea. A stack of goals (this term against that value) and a stack of choices (another spelling, operands
 * exchanged, another node that reads a value): as in a small Prolog machine. Goals are linked and never
 * changed, bindings are undone by a trail, so going back costs what was done since. Conditions are asked at
 * the end; one that fails leads to the next choice, so `const(c)` decides which operand of a Mul is c.
 *
 * Several lines: the last line is matched where the automaton points; a line whose output is bound by then is
 * matched there; any other line is looked for among the nodes that read one of its bound operands.
 *
 * No recursion; what is tried is bounded by LIMIT, beyond which a rule is taken not to apply. */
#include <string.h>

#include "match.h"

enum { LIMIT = 20000, MAX_CANDIDATES = 256, NO_LINE = 255 };

typedef struct Goal {
    const Term *term;
    TgValue value;
    const struct Goal *next;
} Goal;

/* Where to go on instead: another way for `term` at `value`, or another root for a line. */
typedef struct {
    const Goal *rest;
    const Term *term;
    TgValue value;
    uint32_t trail, steps, lines, next;
    uint32_t line; /* NO_LINE: of a term */
    uint32_t n;
    const TgValue *roots;
} Choice;

typedef struct {
    Match *m;
    TgArena *arena;
    const Goal *goals;
    TG_VEC(uint16_t) trail; /* slots that were set */
    TG_VEC(Choice) choices;
    uint32_t lines; /* mask of those matched or under way */
    TgNode root[TG_RULE_OUTPUTS];
    uint32_t work;
} Machine;

/* --- failing --------------------------------------------------------------------------------------- */

static bool further(Match *m)
{
    return m->explains && (!m->why || m->steps > m->best);
}

static bool fail(Match *m, TgName why)
{
    m->best = m->steps;
    m->why = why;
    m->all_but_a_condition = false;
    return false;
}

static bool fail_at(Match *m, const Term *t, TgValue v)
{
    return further(m) ? fail(m, mismatch_text(m, t, v)) : false;
}

/* --- binding --------------------------------------------------------------------------------------- */

static Bound *set(Machine *k, uint16_t slot)
{
    Bound *b = &k->m->at[slot];
    *b = (Bound){.set = true};
    TG_PUSH(k->arena, &k->trail, slot);
    return b;
}

static void undo(Machine *k, uint32_t mark)
{
    while (k->trail.n > mark)
        k->m->at[k->trail.at[--k->trail.n]].set = false;
}

/* One value, or two constants that are the same. */
static bool same_value(const TgGraph *g, TgValue a, TgValue b)
{
    if (a == b || !a || !b)
        return a == b;
    const TgTensor *s = tg_const_of(g, a), *t = tg_const_of(g, b);
    return s && t && s->count <= 64 && tg_type_of(g, a) == tg_type_of(g, b) && tg_tensor_equal(g->tg, s, t);
}

static bool bind_value(Machine *k, uint16_t slot, TgValue v)
{
    if (slot == NO_SLOT)
        return true;
    if (k->m->at[slot].set)
        return same_value(k->m->g, k->m->at[slot].value, v);
    set(k, slot)->value = v;
    return true;
}

static bool bind_dim(Machine *k, uint16_t slot, TgDim d)
{
    const Bound *b = &k->m->at[slot];
    if (b->set)
        return b->dim ? b->dim == d : b->attr.kind == TG_A_INT && tg_dim_is(d, b->attr.u.i);
    set(k, slot)->dim = d;
    return true;
}

static bool size_fits(Machine *k, const Size *s, TgDim d)
{
    int64_t n;
    if (s->kind == SIZE_ANY)
        return true;
    if (s->expr->kind == X_NAME)
        return bind_dim(k, s->expr->slot, d);
    return compute_int(k->m, s->expr, &n) && tg_dim_is(d, n);
}

static bool type_fits(Machine *k, const TypeTerm *want, TgValue v)
{
    const TgType *t = tg_type_of(k->m->g, v);
    bool rest = want->n && want->at[0].kind == SIZE_REST;
    uint32_t fixed = want->n - rest;
    if (!tg_is_tensor(t) || (want->dtype && want->dtype != t->dtype) ||
        (rest ? (uint32_t)t->rank < fixed : (uint32_t)t->rank != fixed))
        return false;
    for (uint32_t i = 0; i < fixed; i++)
        if (!size_fits(k, &want->at[want->n - 1 - i], t->dim[t->rank - 1 - (int32_t)i]))
            return false;
    return true;
}

/* --- attributes ------------------------------------------------------------------------------------ */

static bool same_attr(const TgAttr *a, const TgAttr *b)
{
    if (a->kind != b->kind || a->n != b->n)
        return false;
    switch (a->kind) {
    case TG_A_INT: return a->u.i == b->u.i;
    case TG_A_FLOAT: return memcmp(&a->u.f, &b->u.f, sizeof a->u.f) == 0;
    case TG_A_STRING: return a->u.s.n == b->u.s.n && memcmp(a->u.s.at, b->u.s.at, a->u.s.n) == 0;
    case TG_A_INTS: return !a->n || memcmp(a->u.ints, b->u.ints, a->n * sizeof *a->u.ints) == 0;
    default: return false;
    }
}

/* Floats as exporters round them. */
static bool near_attr(const TgAttr *have, const TgAttr *want)
{
    Term number = {.kind = T_NUMBER, .number = (double)want->u.f};
    if (have->kind == TG_A_FLOAT && want->kind == TG_A_FLOAT)
        return number_fits(&number, TG_f32, (double)have->u.f);
    return same_attr(have, want);
}

/* With the default of ops.def. False: it has none and is not written. */
static bool attr_of(Tg *tg, const TgNodeInfo *n, TgName name, TgAttr *out)
{
    const TgAttr *written = tg_attr_find(n->attrs, name);
    size_t count;
    const char *letters = attr_letters(n->op, name, &count);
    if (written)
        return *out = *written, true;
    if (letters[count] != ':')
        return false;
    *out = (TgAttr){.name = name, .n = 1};
    if (*letters == 'i')
        out->kind = TG_A_INT, out->u.i = tg_attr_int(n, name);
    else if (*letters == 'f')
        out->kind = TG_A_FLOAT, out->u.f = (float)tg_attr_float(n, name);
    else {
        TgName text = tg_attr_string(tg, n, name);
        out->kind = TG_A_STRING, out->u.s = (TgBytes){(const uint8_t *)text, strlen(text)};
    }
    return true;
}

static bool list_fits(Machine *k, const Expr *e, const TgAttr *have)
{
    if (have->kind != TG_A_INTS || have->n != e->n)
        return false;
    for (uint32_t i = 0; i < e->n; i++) {
        const Expr *x = e->at[i];
        int64_t want;
        if (x->kind == X_NAME && !k->m->at[x->slot].set)
            set(k, x->slot)->attr = (TgAttr){.kind = TG_A_INT, .n = 1, .u.i = have->u.ints[i]};
        else if (!compute_int(k->m, x, &want) || want != have->u.ints[i])
            return false;
    }
    return true;
}

/* An operand that is constant integers. */
static bool match_list(Machine *k, const Term *t, TgValue v)
{
    int64_t ints[MAX_OPERANDS];
    TgAttr have = {.kind = TG_A_INTS, .u.ints = ints};
    return v && tg_const_ints(k->m->g, v, MAX_OPERANDS, ints, &have.n) && list_fits(k, t->list, &have);
}

static bool attr_fits(Machine *k, const TgNodeInfo *n, const AttrTerm *want)
{
    TgAttr have, wanted;
    if (!attr_of(k->m->tg, n, want->name, &have))
        return false;
    const Expr *e = want->value;
    if (e->kind == X_LIST)
        return list_fits(k, e, &have);
    if (e->kind == X_NAME && !k->m->at[e->slot].set)
        return set(k, e->slot)->attr = have, true;
    return compute_attr(k->m, e, n->op, want->name, &wanted) && near_attr(&have, &wanted);
}

/* What a pattern does not mention must have its default; node lists hold nothing else. */
static bool attrs_fit(Machine *k, const Term *t, const TgNodeInfo *n)
{
    Match *m = k->m;
    for (uint32_t i = 0; i < t->n_attrs; i++)
        if (!attr_fits(k, n, &t->attrs[i]))
            return further(m) ? fail(m, tg_name_format(m->tg, "attribute %s of %s does not fit",
                                                       t->attrs[i].name, tg_op_text(m->tg, n->op)))
                              : false;
    for (uint32_t i = 0; i < n->attrs->n; i++) {
        bool mentioned = false;
        for (uint32_t j = 0; j < t->n_attrs; j++)
            mentioned = mentioned || t->attrs[j].name == n->attrs->at[i].name;
        if (!mentioned)
            return further(m)
                       ? fail(m, tg_name_format(m->tg, "%s has attribute %s, of which the rule says nothing",
                                                tg_op_text(m->tg, n->op), n->attrs->at[i].name))
                       : false;
    }
    return true;
}

/* --- goals ----------------------------------------------------------------------------------------- */

static void push(Machine *k, const Term *term, TgValue value)
{
    Goal *g = TG_NEW(k->arena, Goal);
    *g = (Goal){term, value, k->goals};
    k->goals = g;
}

static Choice *choose(Machine *k, const Term *term, TgValue value)
{
    Choice c = {.rest = k->goals,
                .term = term,
                .value = value,
                .trail = k->trail.n,
                .steps = k->m->steps,
                .lines = k->lines,
                .next = 1,
                .line = NO_LINE};
    TG_PUSH(k->arena, &k->choices, c);
    return &k->choices.at[k->choices.n - 1];
}

static bool bind_tail(Machine *k, const Term *t, const TgNodeInfo *n, uint32_t from)
{
    Bound *b = &k->m->at[t->slot];
    uint32_t count = n->n_formal > from ? n->n_formal - from : 0;
    for (uint32_t i = 0; i < count; i++)
        if (!n->in[from + i])
            return false;
    if (b->set)
        return b->n == count && (!count || memcmp(b->tail, n->in + from, count * sizeof *n->in) == 0);
    b = set(k, t->slot);
    b->n = count;
    b->tail = count ? tg_copy(k->arena, n->in + from, count * sizeof *n->in) : NULL;
    return true;
}

static bool push_operands(Machine *k, const Term *t, const TgNodeInfo *n, bool swapped)
{
    for (uint32_t i = t->n; i-- > 0;) {
        if (t->at[i]->kind == T_TAIL) {
            if (!bind_tail(k, t->at[i], n, i))
                return false;
            continue;
        }
        uint32_t from = swapped ? 1 - i : i;
        push(k, t->at[i], from < n->n_formal ? n->in[from] : 0);
    }
    return true;
}

static bool operands_count(const Term *t, const TgNodeInfo *n)
{
    bool tail = t->n && t->at[t->n - 1]->kind == T_TAIL;
    for (uint32_t i = t->n; !tail && i < n->n_formal; i++)
        if (n->in[i])
            return false;
    return true;
}

static bool match_op(Machine *k, const Term *t, TgValue v, bool swapped)
{
    Match *m = k->m;
    const TgValueInfo *info = v ? tg_value(m->g, v) : NULL;
    if (!info || info->origin != TG_V_RESULT || info->index != 0)
        return fail_at(m, t, v);
    const TgNodeInfo *n = tg_node(m->g, info->node);
    if (n->dead || n->op != t->op || n->n_sub || !operands_count(t, n))
        return fail_at(m, t, v);
    bool may_swap = is_commutative(t) && n->n_formal == 2 && n->in[0] != n->in[1];
    if (may_swap && !swapped)
        choose(k, t, v);
    if (!bind_value(k, t->slot, v))
        return fail_at(m, t, v);
    m->steps++;
    return attrs_fit(k, t, n) && push_operands(k, t, n, swapped);
}

static bool match_var(Machine *k, const Term *t, TgValue v)
{
    if (!v && !t->optional)
        return fail_at(k->m, t, v);
    if (v && t->type && !type_fits(k, t->type, v))
        return further(k->m)
                   ? fail(k->m, tg_name_format(k->m->tg, "%s has type %s", k->m->rule->names[t->slot].name,
                                               tg_type_text(k->m->tg, tg_type_of(k->m->g, v))))
                   : false;
    return bind_value(k, t->slot, v) || fail_at(k->m, t, v);
}

static bool match_number(Machine *k, const Term *t, TgValue v)
{
    double x;
    bool fits = v && constant_number(k->m->g, v, &x) && number_fits(t, tg_type_of(k->m->g, v)->dtype, x);
    return fits || fail_at(k->m, t, v);
}

/* The first way, or with `way` > 0 a later one: operands exchanged, alternative number `way`. */
static bool match_term(Machine *k, const Term *t, TgValue v, uint32_t way)
{
    switch (t->kind) {
    case T_VAR: return match_var(k, t, v);
    case T_NUMBER: return match_number(k, t, v);
    case T_LIST: return match_list(k, t, v) || fail_at(k->m, t, v);
    case T_ABSENT: return !v || fail_at(k->m, t, v);
    case T_OP: return match_op(k, t, v, way > 0);
    case T_ANY_OF:
        if (way + 1 < t->n)
            choose(k, t, v)->next = way + 1;
        push(k, t->at[way], v);
        return true;
    default: return false;
    }
}

/* --- lines ----------------------------------------------------------------------------------------- */

/* The outputs that a rule does not name would lose their node. */
static bool outputs_fit(Machine *k, const Line *line, const TgNodeInfo *n)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        uint16_t slot = i < line->n ? line->slot[i] : NO_SLOT;
        const TgValueInfo *out = tg_value(k->m->g, n->out[i]);
        bool read = out->uses.n || out->returned;
        if (slot != NO_SLOT && !bind_value(k, slot, n->out[i]))
            return false;
        if (slot == NO_SLOT && read && (line->named || i > 0))
            return false;
    }
    return !line->named || n->n_out >= line->n;
}

static bool start_line(Machine *k, uint32_t number, TgValue v)
{
    const Line *line = &k->m->rule->match.at[number];
    const TgValueInfo *info = tg_value(k->m->g, v);
    if (info->origin != TG_V_RESULT || tg_node(k->m->g, info->node)->dead)
        return fail_at(k->m, line->term, v);
    for (uint32_t i = 0; i < k->m->rule->match.n; i++)
        if (k->lines >> i & 1 && k->root[i] == info->node)
            return false;
    const TgNodeInfo *n = tg_node(k->m->g, info->node);
    k->lines |= 1u << number;
    k->root[number] = info->node;
    push(k, line->term, n->out[0]);
    return outputs_fit(k, line, n);
}

/* A bound variable among the operands of t; NULL: none. Its depth is what the nodes above it are found by. */
static const Term *bound_below(const Machine *k, const Term *t, const Term **path, uint32_t *depth)
{
    if (t->kind == T_VAR)
        return k->m->at[t->slot].set && k->m->at[t->slot].value ? t : NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const Term *found = bound_below(k, t->at[i], path, depth);
        if (!found)
            continue;
        if (t->kind == T_OP && *depth < DEPTH)
            path[(*depth)++] = t;
        return found;
    }
    return NULL;
}

static bool list_roots(Machine *k, const Line *line, Choice *c)
{
    const Term *path[DEPTH];
    uint32_t depth = 0;
    const Term *var = bound_below(k, line->term, path, &depth);
    if (!var || !depth)
        return false;
    TgValue *level = TG_NEW_N(k->arena, TgValue, MAX_CANDIDATES),
            *next = TG_NEW_N(k->arena, TgValue, MAX_CANDIDATES);
    uint32_t n = 1;
    level[0] = k->m->at[var->slot].value;
    for (uint32_t d = 0; d < depth; d++) {
        uint32_t found = 0;
        for (uint32_t i = 0; i < n; i++) {
            const TgValueInfo *v = tg_value(k->m->g, level[i]);
            for (uint32_t u = 0; u < v->uses.n && found < MAX_CANDIDATES; u++) {
                const TgNodeInfo *reader = tg_node(k->m->g, v->uses.at[u].node);
                if (reader->op == path[d]->op && !reader->dead)
                    next[found++] = reader->out[0];
            }
        }
        TgValue *swap = level;
        level = next, next = swap, n = found;
    }
    c->roots = level;
    c->n = n;
    return n > 0;
}

/* Takes up a line that was not matched yet. False: none of its operands is bound, or nobody reads them so. */
static bool next_line(Machine *k)
{
    const Rule *rule = k->m->rule;
    uint32_t missing = NO_LINE;
    for (uint32_t i = rule->match.n; i-- > 0;) {
        if (k->lines >> i & 1)
            continue;
        missing = i;
        for (uint32_t s = 0; s < rule->match.at[i].n; s++) {
            uint16_t slot = rule->match.at[i].slot[s];
            if (slot != NO_SLOT && k->m->at[slot].set)
                return start_line(k, i, k->m->at[slot].value);
        }
    }
    Choice c = {
        .rest = k->goals, .trail = k->trail.n, .steps = k->m->steps, .lines = k->lines, .line = missing};
    if (!list_roots(k, &rule->match.at[missing], &c))
        return false;
    TG_PUSH(k->arena, &k->choices, c);
    return false; /* the choice is taken when we come back */
}

static bool all_lines(const Machine *k)
{
    return k->lines == (1u << k->m->rule->match.n) - 1;
}

/* --- the end of a match ---------------------------------------------------------------------------- */

/* Nothing that the new nodes read may need what they replace: only rules of several outputs could make a
 * cycle. */
static bool is_acyclic(Machine *k)
{
    enum { MOST = 4096 };
    const Rule *rule = k->m->rule;
    TgGraph *g = k->m->g;
    if (rule->n_outputs < 2)
        return true;
    TgMap seen;
    TG_VEC(TgValue) todo = {0};
    tg_map_init(&seen, k->arena);
    for (uint32_t i = 0; i < rule->n_names; i++) {
        const Bound *b = &k->m->at[i];
        bool of_line = false;
        for (uint32_t l = 0; l < rule->match.n; l++)
            for (uint32_t s = 0; s < rule->match.at[l].n; s++)
                of_line = of_line || rule->match.at[l].slot[s] == i;
        if (b->set && b->value && !of_line && rule->names[i].kind == NAME_VALUE)
            TG_PUSH(k->arena, &todo, b->value);
        for (uint32_t t = 0; b->set && t < b->n; t++)
            TG_PUSH(k->arena, &todo, b->tail[t]);
    }
    for (uint32_t i = 0; i < todo.n; i++) {
        const TgValueInfo *v = tg_value(g, todo.at[i]);
        if (v->origin != TG_V_RESULT || tg_map_get(&seen, v->node, NULL))
            continue;
        tg_map_put(&seen, v->node, 1);
        for (uint32_t l = 0; l < rule->match.n; l++)
            if (v->node == k->root[l] || seen.n > MOST)
                return false;
        const TgNodeInfo *n = tg_node(g, v->node);
        for (uint32_t o = 0; o < n->n_in; o++)
            if (n->in[o])
                TG_PUSH(k->arena, &todo, n->in[o]);
    }
    return true;
}

static bool conditions_hold(Machine *k)
{
    Match *m = k->m;
    for (uint32_t i = 0; i < m->rule->when.n; i++) {
        const Cond *c = &m->rule->when.at[i];
        TgName why = NULL;
        uint32_t steps = m->steps + 1 + i;
        if (i == m->rule->dropped ||
            condition_holds(m, c, m->explains && (!m->why || steps > m->best) ? &why : NULL))
            continue;
        if (why)
            m->best = steps, m->why = why, m->all_but_a_condition = c->id != COND_const;
        return false;
    }
    return is_acyclic(k);
}

/* --- the machine ----------------------------------------------------------------------------------- */

/* Takes the next way of the last choice that has one which does not fail at once. False: there is none. */
static bool go_back(Machine *k)
{
    while (k->choices.n && k->work++ < LIMIT) {
        Choice c = k->choices.at[k->choices.n - 1];
        undo(k, c.trail);
        k->goals = c.rest;
        k->lines = c.lines;
        k->m->steps = c.steps;
        bool last = c.line == NO_LINE || c.next == c.n;
        if (last)
            k->choices.n--;
        else
            k->choices.at[k->choices.n - 1].next++;
        if (c.line == NO_LINE ? match_term(k, c.term, c.value, c.next)
                              : !last && start_line(k, c.line, c.roots[c.next]))
            return true;
    }
    return false;
}

static bool is_done(const Machine *k)
{
    return !k->goals && all_lines(k);
}

/* False: this way leads nowhere. */
static bool step(Machine *k)
{
    const Goal *g = k->goals;
    if (!g)
        return next_line(k);
    k->goals = g->next;
    return match_term(k, g->term, g->value, 0);
}

static bool run(Machine *k, TgNode anchor)
{
    bool good = start_line(k, k->m->rule->anchor, tg_node(k->m->g, anchor)->out[0]);
    for (;;) {
        if (good && is_done(k) && conditions_hold(k))
            return true;
        good = good && !is_done(k) && step(k);
        if (!good && !go_back(k))
            return false;
        good = true;
    }
}

static bool has_kernels(Match *m, TgNode anchor)
{
    TgOp op = op_without_kernel(m, anchor);
    const TgType *type = tg_type_of(m->g, replaced_value(m, anchor, 0));
    if (op == TG_opaque)
        return true;
    TgDtype dtype = tg_is_tensor(type) ? type->dtype : TG_undefined;
    bool slow = tg_target_has_kernel(m->target, op, dtype);
    if (m->explains)
        m->why = tg_name_format(m->tg, slow ? "%s takes longer than its parts for %s" : "%s has no kernel for %s",
                                tg_op_text(m->tg, op), slow ? tg_type_text(m->tg, type) : tg_dtype_text(dtype));
    m->all_but_a_condition = true;
    return false;
}

bool match_at(Match *m, TgNode anchor)
{
    TgArena *scratch = tg_scratch(m->tg);
    TgMark mark = tg_mark(scratch);
    Machine k = {.m = m, .arena = scratch};
    for (uint32_t i = 0; i < m->rule->n_names; i++)
        m->at[i].set = false;
    m->steps = 0;
    bool good = run(&k, anchor) && has_kernels(m, anchor);
    for (uint32_t i = 0; good && i < m->rule->n_names; i++)
        if (m->at[i].set && m->at[i].n)
            m->at[i].tail = tg_copy(m->g->arena, m->at[i].tail, m->at[i].n * sizeof *m->at[i].tail);
    tg_release(scratch, mark);
    return good;
}
