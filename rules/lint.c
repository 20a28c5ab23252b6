/* Refuses rules that cannot be meant: names bound and not used, outputs that do not pair, operands that
 * only a match could know, a measure that does not fall, a rule that an earlier one always forestalls.
 *
 * The measure. Think of graphs as terms without sharing. A rule lowers the number of operators (or, for an
 * equal number, their cost) and uses no variable more often than it matched it; so every application lowers
 * the size of the unfolded graph, in the order of Knuth and Bendix, and any set of rules stops. Beside that
 * a rule must not leave more nodes than it found: of the nodes inside a match only those are sure to go
 * that <when> asks to be used once. Reference: Knuth and Bendix, Simple word problems in universal algebras
 * (1970); Baader and Nipkow, Term Rewriting (1998), 5.4. */
#include <string.h>

#include "book.h"

typedef struct {
    TgBook *book;
    Rule *rule;
} Lint;

static bool wrong(Lint *l, Spot spot, const char *what)
{
    place_error(l->book, l->rule->info.file, spot);
    return tg_report(l->book->tg, TG_E_rule_form, what);
}

/* --- names ----------------------------------------------------------------------------------------- */

static bool may_be_unused(const Name *n)
{
    return n->name[0] == '_';
}

static void check_uses(Lint *l)
{
    for (uint32_t i = 0; i < l->rule->n_names; i++) {
        const Name *n = &l->rule->names[i];
        bool is_output = false;
        for (uint32_t k = 0; k < l->rule->n_outputs; k++)
            is_output = is_output || l->rule->output[k] == i;
        if (n->uses || is_output || may_be_unused(n))
            continue;
        place_error(l->book, l->rule->info.file, n->spot);
        tg_report(l->book->tg, TG_E_rule_unused, n->name, n->name);
    }
}

/* In <match> a number is bound where it stands alone; inside a sum it must be bound further left. */
static void check_expr(Lint *l, const Expr *e, bool *set, bool alone)
{
    if (e->kind == X_NAME && e->slot != NO_SLOT && l->rule->names[e->slot].kind == NAME_NUMBER) {
        if (!alone && !set[e->slot]) {
            place_error(l->book, l->rule->info.file, e->spot);
            tg_report(l->book->tg, TG_E_rule_unbound, l->rule->names[e->slot].name);
        }
        set[e->slot] = true;
    }
    for (uint32_t i = 0; i < e->n; i++)
        check_expr(l, e->at[i], set, alone && e->kind == X_LIST);
}

static void check_numbers(Lint *l, const Term *t, bool *set)
{
    for (uint32_t i = 0; i < t->n; i++)
        check_numbers(l, t->at[i], set);
    for (uint32_t i = 0; i < t->n_attrs; i++)
        check_expr(l, t->attrs[i].value, set, true);
    if (t->list)
        check_expr(l, t->list, set, true);
    for (uint32_t i = 0; t->type && i < t->type->n; i++)
        if (t->type->at[i].expr)
            check_expr(l, t->type->at[i].expr, set, true);
}

/* --- outputs --------------------------------------------------------------------------------------- */

static bool line_gives(const Line *line, uint16_t slot)
{
    for (uint32_t i = 0; i < line->n; i++)
        if (line->named && line->slot[i] == slot)
            return true;
    return false;
}

static bool lines_give(const Lines *lines, uint16_t slot)
{
    for (uint32_t i = 0; i < lines->n; i++)
        if (line_gives(&lines->at[i], slot))
            return true;
    return false;
}

static bool can_start(const Term *t)
{
    bool good = t->kind == T_OP;
    for (uint32_t i = 0; t->kind == T_ANY_OF && i < t->n; i++)
        good = t->at[i]->kind == T_OP && (i == 0 || good);
    return good;
}

static bool find_outputs(Lint *l)
{
    Rule *rule = l->rule;
    for (uint32_t i = 0; i < rule->match.n; i++)
        if (!can_start(rule->match.at[i].term))
            return wrong(l, rule->match.at[i].spot, "a line of <match> starts with an operator");
    bool nameless = !rule->match.at[0].named;
    if (nameless && (rule->match.n > 1 || rule->give.n > 1 || rule->give.at[0].named))
        return wrong(l, rule->match.at[0].spot, "several lines need names, in <match> and in <give>");
    if (nameless) {
        rule->output[rule->n_outputs++] = NO_SLOT;
        return true;
    }
    for (uint32_t i = 0; i < rule->n_names && rule->n_outputs < TG_RULE_OUTPUTS; i++)
        if (lines_give(&rule->match, (uint16_t)i) && lines_give(&rule->give, (uint16_t)i))
            rule->output[rule->n_outputs++] = (uint16_t)i;
    if (!rule->n_outputs)
        return wrong(l, rule->give.at[0].spot, "<give> must name what takes the place of a line of <match>");
    rule->anchor = rule->match.n - 1;
    return true;
}

/* --- the measure ----------------------------------------------------------------------------------- */

typedef struct {
    uint32_t nodes, cost;
    uint32_t uses[MAX_NAMES];
} Weight;

/* By the cost column; an operator that stands for others weighs a little more than they. */
static uint32_t cost_of(TgOp op)
{
    static const uint8_t rank[TG_COST_COUNT] = {
        [TG_COST_none] = 0,   [TG_COST_view] = 1,   [TG_COST_move] = 2,       [TG_COST_elementwise] = 3,
        [TG_COST_costly] = 4, [TG_COST_reduce] = 5, [TG_COST_definition] = 5, [TG_COST_matmul] = 8,
    };
    TgCostKind kind = tg_op_info(op)->cost;
    uint32_t weight = kind == TG_COST_none ? 0 : rank[kind] ? rank[kind] : 9;
    return 2 * weight + (tg_op_info(op)->tier == TG_COMPOSITE);
}

static bool is_const_name(const Rule *rule, uint16_t slot)
{
    for (uint32_t i = 0; i < rule->when.n; i++) {
        const Cond *c = &rule->when.at[i];
        bool constant =
            c->id == COND_const || c->id == COND_splat || c->id == COND_positive || c->id == COND_near;
        if (constant && !c->negated && c->at[0].slot == slot)
            return true;
        if (c->id == COND_last_axes && !c->negated && c->at[0].slot == slot)
            return true;
    }
    return false;
}

/* Computed when the rule is applied: it weighs nothing. */
static bool is_folded(const Rule *rule, const Term *t)
{
    if (t->kind == T_NUMBER || t->kind == T_LIST || t->kind == T_ABSENT)
        return true;
    if (t->kind == T_VAR)
        return is_const_name(rule, t->slot);
    for (uint32_t i = 0; i < t->n; i++)
        if (!is_folded(rule, t->at[i]))
            return false;
    return t->kind == T_OP && t->n > 0;
}

static const Line *line_of(const Lines *lines, uint16_t slot)
{
    for (uint32_t i = 0; i < lines->n; i++)
        if (line_gives(&lines->at[i], slot))
            return &lines->at[i];
    return NULL;
}

/* Adds what the term weighs, its lines unfolded; least: of alternatives the lightest. */
static void weigh(const Rule *rule, const Lines *lines, const Term *t, bool folds, Weight *w, int depth)
{
    const Line *line = t->kind == T_VAR && t->slot != NO_SLOT ? line_of(lines, t->slot) : NULL;
    if (line && depth < DEPTH) {
        weigh(rule, lines, line->term, folds, w, depth + 1);
        return;
    }
    if (t->kind == T_VAR || t->kind == T_TAIL)
        w->uses[t->slot]++;
    if (t->kind == T_ANY_OF) {
        Weight least = *w;
        for (uint32_t i = 0; i < t->n; i++) {
            Weight one = *w;
            weigh(rule, lines, t->at[i], folds, &one, depth + 1);
            if (i == 0 || one.nodes < least.nodes || (one.nodes == least.nodes && one.cost < least.cost))
                least = one;
        }
        *w = least;
        return;
    }
    if (t->kind != T_OP || (folds && is_folded(rule, t)))
        return;
    w->nodes++;
    w->cost += cost_of(t->op);
    for (uint32_t i = 0; i < t->n; i++)
        weigh(rule, lines, t->at[i], folds, w, depth + 1);
}

static Weight weight_of(const Rule *rule, const Lines *lines, bool folds)
{
    Weight w = {0};
    for (uint32_t i = 0; i < lines->n; i++) {
        const Line *line = &lines->at[i];
        bool is_output = !line->named;
        for (uint32_t k = 0; k < rule->n_outputs; k++)
            is_output = is_output || line_gives(line, rule->output[k]);
        if (is_output)
            weigh(rule, lines, line->term, folds, &w, 0);
    }
    return w;
}

/* Operators that <give> adds, each once. */
static uint32_t added(const Rule *rule, const Term *t)
{
    if (t->kind != T_OP || is_folded(rule, t))
        return 0;
    uint32_t n = 1;
    for (uint32_t i = 0; i < t->n; i++)
        n += added(rule, t->at[i]);
    return n;
}

static bool is_used_once(const Rule *rule, uint16_t slot)
{
    for (uint32_t i = 0; i < rule->when.n; i++)
        if (rule->when.at[i].id == COND_one_use && !rule->when.at[i].negated &&
            rule->when.at[i].at[0].slot == slot)
            return true;
    return false;
}

/* Nodes below t that are sure to go when their reader goes. */
static uint32_t sure_below(const Rule *rule, const Term *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const Term *below = t->at[i];
        const Line *line = below->kind == T_VAR ? line_of(&rule->match, below->slot) : NULL;
        if (below->slot == NO_SLOT || !is_used_once(rule, below->slot))
            continue;
        if (below->kind == T_OP)
            n += 1 + sure_below(rule, below);
        else if (line)
            n += 1 + sure_below(rule, line->term);
    }
    return n;
}

static uint32_t sure_to_go(const Rule *rule)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rule->match.n; i++) {
        const Line *line = &rule->match.at[i];
        for (uint32_t k = 0; k < rule->n_outputs; k++)
            if (!line->named || line_gives(line, rule->output[k])) {
                n += 1 + sure_below(rule, line->term);
                break;
            }
    }
    return n;
}

static bool heavier(Lint *l, const char *why)
{
    const Rule *rule = l->rule;
    uint32_t n;
    place_error(l->book, rule->info.file, rule->give.at[0].spot);
    return tg_report(l->book->tg, TG_E_rule_measure, rule->info.name,
                     tg_rule_measures(&n)[rule->measure].name, why);
}

static bool check_measure(Lint *l)
{
    const Rule *rule = l->rule;
    Tg *tg = l->book->tg;
    Weight before = weight_of(rule, &rule->match, false), after = weight_of(rule, &rule->give, true);
    bool lower = after.nodes < before.nodes;
    if (rule->measure == MEASURE_cost)
        lower = lower || (after.nodes == before.nodes && after.cost < before.cost);
    if (!lower)
        return heavier(l, tg_name_format(tg, "%u operators of cost %u become %u of cost %u", before.nodes,
                                         before.cost, after.nodes, after.cost));
    for (uint32_t i = 0; i < rule->n_names; i++)
        if (after.uses[i] > before.uses[i] && !is_const_name(rule, (uint16_t)i))
            return heavier(l, tg_name_format(tg, "'%s' is used more often than it was", rule->names[i].name));
    uint32_t made = 0, gone = sure_to_go(rule);
    for (uint32_t i = 0; i < rule->give.n; i++)
        made += added(rule, rule->give.at[i].term);
    if (made > gone)
        return heavier(
            l, tg_name_format(tg, "it adds %u operators and only %u are sure to go; ask for one_use(...)",
                              made, gone));
    return true;
}

/* --- one rule -------------------------------------------------------------------------------------- */

bool lint_rule(TgBook *book, Rule *rule)
{
    Lint l = {book, rule};
    bool set[MAX_NAMES] = {false};
    uint32_t errors = tg_error_count(book->tg);
    for (uint32_t i = 0; i < rule->match.n; i++)
        check_numbers(&l, rule->match.at[i].term, set);
    if (find_outputs(&l)) {
        check_uses(&l);
        check_measure(&l);
    }
    return errors == tg_error_count(book->tg);
}

/* --- shadows --------------------------------------------------------------------------------------- */

/* How an earlier rule lies over a later one: its names -> terms of the later one. */
typedef struct {
    const Rule *early, *late;
    const Term *to[MAX_NAMES];
    const Expr *number[MAX_NAMES];
} Cover;

static bool same_expr(const Expr *a, const Expr *b)
{
    if (a->kind != b->kind || a->n != b->n || a->i != b->i || a->f != b->f || a->slot != b->slot ||
        a->function != b->function || a->s.n != b->s.n || (a->s.n && memcmp(a->s.at, b->s.at, a->s.n) != 0))
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!same_expr(a->at[i], b->at[i]))
            return false;
    return true;
}

static bool covers_expr(Cover *c, const Expr *a, const Expr *b)
{
    if (a->kind == X_NAME && a->slot != NO_SLOT) {
        const Expr **to = &c->number[a->slot];
        *to = *to ? *to : b;
        return same_expr(*to, b);
    }
    return a->n == 0 && same_expr(a, b);
}

static bool covers_attrs(Cover *c, const Term *a, const Term *b)
{
    uint32_t met = 0;
    for (uint32_t i = 0; i < a->n_attrs; i++) {
        const Expr *other = NULL;
        for (uint32_t k = 0; k < b->n_attrs; k++)
            if (b->attrs[k].name == a->attrs[i].name)
                other = b->attrs[k].value, met++;
        bool free = a->attrs[i].value->kind == X_NAME;
        if (other ? !covers_expr(c, a->attrs[i].value, other) : !free)
            return false;
    }
    return met == b->n_attrs;
}

/* All that b matches, a matches as well. Undecided cases are no: this is for warnings that must be right. */
static bool covers(Cover *c, const Term *a, const Term *b)
{
    if (a->kind == T_VAR) {
        const Term **to = &c->to[a->slot];
        if (a->type || (*to && !((*to)->kind == T_VAR && b->kind == T_VAR && (*to)->slot == b->slot)))
            return false;
        *to = b;
        return b->kind != T_TAIL && (b->kind != T_ABSENT || a->optional);
    }
    if (a->kind != b->kind || a->kind == T_TAIL || a->kind == T_LIST || a->kind == T_ANY_OF)
        return false;
    if (a->kind == T_NUMBER)
        return a->number == b->number && (a->loose || !b->loose);
    if (a->kind != T_OP)
        return true;
    if (a->op != b->op || a->n != b->n || !covers_attrs(c, a, b))
        return false;
    if (a->slot != NO_SLOT)
        c->to[a->slot] = b;
    for (uint32_t i = 0; i < a->n; i++)
        if (!covers(c, a->at[i], b->at[i]))
            return false;
    return true;
}

/* The later rule asks for it too. */
static bool asked_too(const Cover *c, const Cond *cond)
{
    for (uint32_t i = 0; i < c->late->when.n; i++) {
        const Cond *other = &c->late->when.at[i];
        bool same = other->id == cond->id && other->negated == cond->negated;
        for (uint32_t k = 0; same && k < cond->n; k++) {
            const Term *to = cond->at[k].slot != NO_SLOT ? c->to[cond->at[k].slot] : NULL;
            same = cond->at[k].dtype == other->at[k].dtype;
            if (cond->at[k].slot != NO_SLOT)
                same = same && to && to->slot == other->at[k].slot;
            if (cond->at[k].expr)
                same =
                    same && cond->at[k].expr->kind == X_INT && same_expr(cond->at[k].expr, other->at[k].expr);
        }
        if (same)
            return true;
    }
    return false;
}

static bool shadows(const Rule *early, const Rule *late)
{
    Cover c = {.early = early, .late = late};
    if (early->match.n != 1 || late->match.n != 1 || early->n_outputs != 1 || late->n_outputs != 1 ||
        early->info.class > late->info.class)
        return false;
    if (!covers(&c, early->match.at[0].term, late->match.at[0].term))
        return false;
    for (uint32_t i = 0; i < early->when.n; i++)
        if (!asked_too(&c, &early->when.at[i]))
            return false;
    return true;
}

bool lint_book(TgBook *book)
{
    uint32_t errors = tg_error_count(book->tg);
    TgPlace place = *tg_place(book->tg);
    for (uint32_t b = book->n_checked; b < book->rules.n; b++)
        for (uint32_t a = 0; a < b; a++) {
            const Rule *early = book->rules.at[a], *late = book->rules.at[b];
            if (!shadows(early, late))
                continue;
            TgName where = tg_name_format(book->tg, "%s:%u", early->info.file, early->info.line);
            place_error(book, late->info.file, (Spot){late->info.line, late->info.column});
            tg_report(book->tg, TG_E_rule_shadowed, late->info.name, early->info.name, where);
            break;
        }
    *tg_place(book->tg) = place;
    return errors == tg_error_count(book->tg);
}
