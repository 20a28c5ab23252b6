/* Which rules may start at a node: a bottom-up tree automaton over kinds of operators.
 *
 * Idea. Number the operators and numbers in all patterns. The class of a value is the set of those that it
 * may be, as far as operators and numbers below it tell; the class of a node follows from its operator and
 * the classes of its operands alone. Classes are interned and transitions remembered, so that each distinct
 * situation is worked out once, and afterwards a node costs one look-up, however many rules there are. What
 * a class cannot see (attributes, conditions, two operands being the same) is left to the matcher, which is
 * asked only where the class holds the outermost operator of a rule.
 *
 * Cost: a look-up per node; a new transition costs the patterns of its operator. Reference: Hoffmann and
 * O'Donnell, Pattern Matching in Trees (1982); tree automata made lazily, as in Mesa's nir_algebraic. */
#include <math.h>
#include <string.h>

#include "match.h"

typedef TG_VEC(uint32_t)
Ids;

typedef struct {
    uint64_t *bits;
    Ids rules;
    uint32_t id, words;
} Class;

typedef struct {
    TgOp op;
    uint32_t n;
    const uint32_t *operands;
    uint32_t to;
} Transition;

struct Automaton {
    Tg *tg;
    TgArena *arena;
    TG_VEC(const Term *) parts; /* by id */
    TG_VEC(Ids) starts;                 /* by id: rules whose outermost operator it is */
    Ids of_op[TG_OP_COUNT]; /* parts */
    Ids numbers;            /* parts */
    uint32_t words;
    TG_VEC(const Class *) classes;
    TgInterner *by_bits, *by_step;
};

/* --- compiling ------------------------------------------------------------------------------------- */

static void add_part(Automaton *a, Term *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        add_part(a, t->at[i]);
    if (t->kind != T_OP && t->kind != T_NUMBER)
        return;
    t->id = a->parts.n;
    TG_PUSH(a->arena, &a->parts, t);
    TG_PUSH(a->arena, &a->starts, (Ids){0});
    Ids *list = t->kind == T_OP ? &a->of_op[t->op] : &a->numbers;
    TG_PUSH(a->arena, list, t->id);
}

static void add_start(Automaton *a, const Term *t, uint32_t rule)
{
    if (t->kind == T_OP)
        TG_PUSH(a->arena, &a->starts.at[t->id], rule);
    for (uint32_t i = 0; t->kind == T_ANY_OF && i < t->n; i++)
        add_start(a, t->at[i], rule);
}

static bool same_bits(const void *a, const void *b)
{
    const Class *x = a, *y = b;
    return memcmp(x->bits, y->bits, x->words * sizeof *x->bits) == 0;
}

static bool same_step(const void *a, const void *b)
{
    const Transition *x = a, *y = b;
    return x->op == y->op && x->n == y->n &&
           (!x->n || memcmp(x->operands, y->operands, x->n * sizeof *x->operands) == 0);
}

static void insert_sorted(Automaton *a, Ids *list, uint32_t id)
{
    uint32_t at = list->n;
    for (uint32_t i = 0; i < list->n; i++)
        if (list->at[i] == id)
            return;
    TG_PUSH(a->arena, list, id);
    for (; at > 0 && list->at[at - 1] > id; at--)
        list->at[at] = list->at[at - 1];
    list->at[at] = id;
}

/* The class of these bits; they are copied if it is new. */
static uint32_t intern(Automaton *a, uint64_t *bits)
{
    Class probe = {.bits = bits, .words = a->words};
    uint64_t hash = tg_hash(bits, a->words * sizeof *bits, 1);
    const Class *known = tg_interner_find(a->by_bits, &probe, hash);
    if (known)
        return known->id;
    Class *c = TG_NEW(a->arena, Class);
    *c = (Class){
        .bits = tg_copy(a->arena, bits, a->words * sizeof *bits), .id = a->classes.n, .words = a->words};
    for (uint32_t p = 0; p < a->parts.n; p++)
        for (uint32_t i = 0; bits[p / 64] >> p % 64 & 1 && i < a->starts.at[p].n; i++)
            insert_sorted(a, &c->rules, a->starts.at[p].at[i]);
    TG_PUSH(a->arena, &a->classes, c);
    tg_interner_add(a->by_bits, c, hash);
    return c->id;
}

Automaton *automaton_new(TgBook *book)
{
    Automaton *a = TG_NEW(book->arena, Automaton);
    a->tg = book->tg;
    a->arena = book->arena;
    for (uint32_t r = 0; r < book->rules.n; r++) {
        Rule *rule = book->rules.at[r];
        for (uint32_t i = 0; i < rule->match.n; i++)
            add_part(a, rule->match.at[i].term);
        add_start(a, rule->match.at[rule->anchor].term, r);
    }
    a->words = a->parts.n / 64 + 1;
    a->by_bits = tg_interner_new(a->arena, same_bits);
    a->by_step = tg_interner_new(a->arena, same_step);
    intern(a, TG_NEW_N(a->arena, uint64_t, a->words)); /* CLASS_OTHER */
    return a;
}

/* --- running --------------------------------------------------------------------------------------- */

bool automaton_knows(const Automaton *a, TgOp op)
{
    return a->of_op[op].n > 0;
}

static bool fits(const Automaton *a, const Term *t, uint32_t class)
{
    if (t->kind == T_ABSENT)
        return class == CLASS_ABSENT;
    if (t->kind == T_VAR || t->kind == T_TAIL || t->kind == T_LIST)
        return class != CLASS_ABSENT || t->kind == T_TAIL || t->optional;
    if (class == CLASS_ABSENT)
        return false;
    for (uint32_t i = 0; t->kind == T_ANY_OF && i < t->n; i++)
        if (fits(a, t->at[i], class))
            return true;
    return t->kind != T_ANY_OF && a->classes.at[class]->bits[t->id / 64] >> t->id % 64 & 1;
}

static bool operands_fit(const Automaton *a, const Term *t, uint32_t n, const uint32_t *operands,
                         bool swapped)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->at[i]->kind == T_TAIL)
            return true;
        uint32_t k = swapped ? 1 - i : i;
        if (!fits(a, t->at[i], k < n ? operands[k] : CLASS_ABSENT))
            return false;
    }
    for (uint32_t i = t->n; i < n; i++)
        if (operands[i] != CLASS_ABSENT)
            return false;
    return true;
}

uint32_t automaton_step(Automaton *a, TgOp op, uint32_t n, const uint32_t *operands)
{
    Transition probe = {.op = op, .n = n, .operands = operands};
    uint64_t hash = tg_hash(operands, n * sizeof *operands, tg_mix((uint64_t)op, n));
    const Transition *known = tg_interner_find(a->by_step, &probe, hash);
    if (known)
        return known->to;
    TgArena *scratch = tg_scratch(a->tg);
    TgMark mark = tg_mark(scratch);
    uint64_t *bits = TG_NEW_N(scratch, uint64_t, a->words);
    for (uint32_t i = 0; i < a->of_op[op].n; i++) {
        const Term *t = a->parts.at[a->of_op[op].at[i]];
        bool may = operands_fit(a, t, n, operands, false);
        may = may || (is_commutative(t) && n == 2 && operands_fit(a, t, n, operands, true));
        bits[t->id / 64] |= (uint64_t)may << t->id % 64;
    }
    Transition *made = TG_NEW(a->arena, Transition);
    *made = probe;
    made->operands = tg_copy(a->arena, operands, n * sizeof *operands);
    made->to = intern(a, bits);
    tg_interner_add(a->by_step, made, hash);
    tg_release(scratch, mark);
    return made->to;
}

/* A unit in the last place of f32 (also for f64: exporters compute in f32), two of the 16-bit types. */
bool number_fits(const Term *t, TgDtype dtype, double x)
{
    double want = t->number, slack = dtype == TG_f16 ? 0x1p-10 : dtype == TG_bf16 ? 0x1p-7 : 0x1p-23;
    if (!tg_is_float(dtype) || want == 0 || isinf(want))
        return x == want;
    return fabs(x - want) <= fabs(want) * (t->loose && slack < 0x1p-8 ? 0x1p-8 : slack);
}

uint32_t automaton_number(Automaton *a, TgDtype dtype, double x)
{
    TgArena *scratch = tg_scratch(a->tg);
    TgMark mark = tg_mark(scratch);
    uint64_t *bits = TG_NEW_N(scratch, uint64_t, a->words);
    for (uint32_t i = 0; i < a->numbers.n; i++) {
        const Term *t = a->parts.at[a->numbers.at[i]];
        bits[t->id / 64] |= (uint64_t)number_fits(t, dtype, x) << t->id % 64;
    }
    uint32_t class = intern(a, bits);
    tg_release(scratch, mark);
    return class;
}

const uint32_t *automaton_rules(const Automaton *a, uint32_t class, uint32_t *n)
{
    *n = class == CLASS_ABSENT ? 0 : a->classes.at[class]->rules.n;
    return *n ? a->classes.at[class]->rules.at : NULL;
}
