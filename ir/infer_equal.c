/* Inference: conclusions from sizes that operators require to be equal.
 *
 * A pair a = b is a linear equation over atoms. It is solved for one atom that occurs once, alone: an element
 * nobody knows, else a size nobody named, else an opaque term (bcast(s, mask) = s), else the name that the
 * interface mentions last. Names give way to constants, to earlier names and to sums of other names (total =
 * past + sequence), never to fresh symbols. A solution for a size must be provably >= 0, so that no bound is
 * lost. The answers are then put into every type and element.
 *
 * Nodes that no output needs count as well: ONNX Runtime runs them at every level of optimization, as ONNX's
 * reference does, and fails where sizes do not fit, so a model with them computes nothing for other sizes. (A
 * branch of an If is run or not: what holds in it stays there.) They are removed later; the result then accepts
 * sizes that the source did not, of which nothing was promised.
 */
#include <stdlib.h>

#include "context.h"
#include "dim.h"
#include "infer.h"

typedef struct {
    Tg *tg;
    TgArena *arena;
    TG_VEC(TgDim)
    found;             /* pairs: an atom, and what it is */
    TgMap answer;      /* the same, for looking up */
    TgMap place;       /* symbol -> when the interface mentions it first, from 1 */
    TgMap types, dims; /* memo of substitution */
} Solver;

/* --- substitution --------------------------------------------------------------------------------------- */

/* The size in min(size, most); false: d is nothing like it. */
static bool is_capped(TgDim d, TgDim *size, int64_t *most)
{
    const DimAtom *atom = dim_only_atom(d);
    if (!atom || atom->kind != DIM_MIN || atom->n != 2)
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (tg_dim_known(atom->arg[i], most)) {
            *size = atom->arg[1 - i];
            return true;
        }
    return false;
}

/* min(x, c) = x was found: then min(y, d) = y for all y <= x and d >= c. */
static TgDim decided_minimum(Tg *tg, uint32_t n, const TgDim *pair, TgDim atom)
{
    TgDim size, larger;
    int64_t most, cap;
    if (!is_capped(atom, &size, &most))
        return NULL;
    for (uint32_t i = 0; i < n; i += 2)
        if (is_capped(pair[i], &larger, &cap) && pair[i + 1] == larger && cap <= most &&
            tg_dim_at_least(tg, larger, size))
            return size;
    return NULL;
}

static TgDim answer_of(void *user, TgDim atom)
{
    uint64_t found;
    const Solver *s = user;
    if (tg_map_get(&s->answer, TG_KEY(atom), &found))
        return (TgDim)(uintptr_t)found;
    return decided_minimum(s->tg, s->found.n, s->found.at, atom);
}

/* Answers may mention atoms that were answered later: again until nothing changes. */
static TgDim resolve(Solver *s, TgDim d)
{
    enum { LONGEST_CHAIN = 64 };
    TgDim before = NULL;
    for (uint32_t i = 0; i < LONGEST_CHAIN && d != before; i++) {
        before = d;
        d = dim_substitute_atoms(s->tg, d, answer_of, s);
    }
    return d;
}

static TgDim resolve_once(Solver *s, TgDim d)
{
    uint64_t found;
    if (tg_map_get(&s->dims, TG_KEY(d), &found))
        return (TgDim)(uintptr_t)found;
    TgDim result = resolve(s, d);
    tg_map_put(&s->dims, TG_KEY(d), TG_KEY(result));
    return result;
}

static const TgType *resolve_type(Solver *s, const TgType *t)
{
    uint64_t found;
    TgDim dim[TG_MAX_RANK];
    if (t->kind != TG_TENSOR || t->rank <= 0)
        return t;
    if (tg_map_get(&s->types, TG_KEY(t), &found))
        return (const TgType *)(uintptr_t)found;
    for (int32_t k = 0; k < t->rank; k++)
        dim[k] = resolve_once(s, t->dim[k]);
    const TgType *result = tg_type(s->tg, t->dtype, t->rank, dim);
    tg_map_put(&s->types, TG_KEY(t), TG_KEY(result));
    return result;
}

static void resolve_elements(Solver *s, TgGraph *g, TgValueInfo *v)
{
    int64_t n;
    if (!v->symbolic || v->origin == TG_V_CONST || !tg_type_numel(v->type, &n) || n == 0)
        return;
    TgDim *element = tg_copy(g->arena, v->symbolic, (size_t)n * sizeof *element);
    for (int64_t i = 0; i < n; i++)
        element[i] = resolve_once(s, element[i]);
    v->symbolic = element;
}

static void resolve_graph(Solver *s, TgGraph *g)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        tg_value(g, v)->type = resolve_type(s, tg_value(g, v)->type);
        resolve_elements(s, g, tg_value(g, v));
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t k = 0; k < tg_node(g, n)->n_sub; k++)
            resolve_graph(s, tg_node(g, n)->sub[k].graph); /* nesting is bounded by the reader */
}

/* --- solving -------------------------------------------------------------------------------------------- */

/* How gladly an atom is given up; 0: not for this. */
static uint64_t readiness(Solver *s, const DimAtom *atom, TgDim rest)
{
    uint64_t mine = UINT32_MAX, other;
    if (atom->kind == DIM_ANY)
        return UINT64_MAX;
    if (!dim_nonnegative(s->tg, rest))
        return 0;
    if (atom->kind == DIM_FRESH)
        return UINT64_MAX / 2 + (atom->number < UINT32_MAX ? atom->number : UINT32_MAX);
    if (tg_dim_is_fresh(rest) && !tg_dim_is_fresh(atom->self))
        return 0;
    if (atom->n > 0)
        return UINT64_MAX / 4;
    (void)tg_map_get(&s->place, TG_KEY(atom->self), &mine);
    if (tg_dim_is_symbol(rest) && tg_map_get(&s->place, TG_KEY(rest), &other) && other > mine)
        return 0;
    return mine;
}

/* The sum without its greatest common factor. */
static TgDim primitive(Tg *tg, TgDim d)
{
    int64_t g = 0;
    TgDim quotient;
    for (uint32_t i = 0; i < d->n; i++)
        for (int64_t b = d->at[i].times == INT64_MIN ? 1 : d->at[i].times; b != 0;) {
            int64_t rest = g % b;
            g = b;
            b = rest;
        }
    g = g < 0 ? -g : g;
    return g > 1 && tg_dim_exact_div(tg, d, tg_dim(tg, g), &quotient) ? quotient : d;
}

/* b * x - b * y = 0 says x = y: a size b of 0 would leave nothing to be unequal. */
static TgDim without_common_atoms(Tg *tg, TgDim d)
{
    TgDim quotient;
    for (uint32_t i = 0; d->n > 0 && i < d->at[0].of->n;) {
        if (tg_dim_exact_div(tg, d, d->at[0].of->at[i]->self, &quotient) && d->n > 1)
            d = quotient;
        else
            i++;
    }
    return d;
}

/* d = 0 solved for the term's atom: what it equals; NULL when it occurs elsewhere too. */
static TgDim solution(Tg *tg, TgDim d, DimTerm t)
{
    TgDim rest = tg_dim_sub(tg, d, dim_of_term(tg, t.times, t.of));
    if (dim_mentions(rest, t.of->at[0]))
        return NULL;
    return t.times > 0 ? tg_dim_sub(tg, tg_dim(tg, 0), rest) : rest;
}

static void answer(Solver *s, TgDim atom, TgDim value)
{
    TG_PUSH(s->arena, &s->found, atom);
    TG_PUSH(s->arena, &s->found, value);
    tg_map_put(&s->answer, TG_KEY(atom), TG_KEY(value));
}

static bool solve_pair(Solver *s, TgDim a, TgDim b)
{
    uint64_t best = 0;
    TgDim atom = NULL, value = NULL;
    TgDim d = tg_dim_sub(s->tg, resolve(s, a), resolve(s, b));
    d = without_common_atoms(s->tg, primitive(s->tg, d));
    for (uint32_t i = 0; i < d->n; i++) {
        DimTerm t = d->at[i];
        bool alone = t.of->n == 1 && (t.times == 1 || t.times == -1);
        TgDim rest = alone ? solution(s->tg, d, t) : NULL;
        uint64_t ready = rest ? readiness(s, t.of->at[0], rest) : 0;
        if (ready > best) {
            best = ready;
            atom = t.of->at[0]->self;
            value = rest;
        }
    }
    if (atom)
        answer(s, atom, value);
    return atom != NULL;
}

static void note_place(void *user, TgDim symbol)
{
    Solver *s = user;
    if (!tg_map_get(&s->place, TG_KEY(symbol), NULL))
        tg_map_put(&s->place, TG_KEY(symbol), s->place.n + 1);
}

static void read_interface(Solver *s, const TgGraph *g)
{
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgType *t = tg_type_of(g, g->inputs.at[i]);
        for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank; k++)
            tg_dim_symbols(t->dim[k], note_place, s);
    }
}

/* The answers become facts of g. Symbols of a main graph need none: they are replaced for good. A branch sees
 * the symbols of its captures again and again, and opaque terms arise anew wherever a node is inferred. */
static void keep_facts(Solver *s, TgGraph *g)
{
    g->facts.n = 0;
    for (uint32_t i = 0; i < s->found.n; i += 2) {
        if (!g->outer && tg_dim_is_symbol(s->found.at[i]))
            continue;
        TG_PUSH(g->arena, &g->facts, s->found.at[i]);
        TG_PUSH(g->arena, &g->facts, resolve(s, s->found.at[i + 1]));
    }
}

bool inf_solve(TgGraph *g)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    Solver s = {.tg = g->tg, .arena = scratch};
    const TgGraph *root = g;
    bool solved = false;
    tg_map_init(&s.answer, scratch);
    tg_map_init(&s.place, scratch);
    tg_map_init(&s.types, scratch);
    tg_map_init(&s.dims, scratch);
    while (root->outer)
        root = root->outer;
    read_interface(&s, root);
    for (uint32_t i = 0; i < g->facts.n; i += 2)
        answer(&s, g->facts.at[i], g->facts.at[i + 1]);
    for (uint32_t i = 0; i + 1 < g->equal.n; i += 2)
        solved |= solve_pair(&s, g->equal.at[i], g->equal.at[i + 1]);
    if (solved) {
        resolve_graph(&s, g);
        keep_facts(&s, g);
    }
    tg_release(scratch, mark);
    return solved;
}

/* --- facts ---------------------------------------------------------------------------------------------- */

static TgDim fact_of(void *user, TgDim atom)
{
    const TgGraph *g = user;
    for (uint32_t i = 0; i < g->facts.n; i += 2)
        if (g->facts.at[i] == atom)
            return g->facts.at[i + 1];
    return decided_minimum(g->tg, g->facts.n, g->facts.at, atom);
}

/* What the facts of g and of the graphs around it make of d. */
static TgDim with_facts(const TgGraph *g, TgDim d)
{
    for (; g; g = g->outer)
        if (g->facts.n && (g->outer || d->depth > 0))
            d = dim_substitute_atoms(g->tg, d, fact_of, (void *)(uintptr_t)g);
    return d;
}

void inf_apply_facts(TgGraph *g, TgValueInfo *v)
{
    TgDim dim[TG_MAX_RANK];
    int64_t n;
    if ((g->facts.n == 0 && !g->outer) || v->type->kind != TG_TENSOR)
        return;
    for (int32_t k = 0; k < v->type->rank; k++)
        dim[k] = with_facts(g, v->type->dim[k]);
    if (v->type->rank > 0)
        v->type = tg_type(g->tg, v->type->dtype, v->type->rank, dim);
    if (!v->symbolic || !tg_type_numel(v->type, &n) || n == 0)
        return;
    TgDim *element = tg_copy(g->arena, v->symbolic, (size_t)n * sizeof *element);
    for (int64_t i = 0; i < n; i++)
        element[i] = with_facts(g, element[i]);
    v->symbolic = element;
}

/* --- suspicion ------------------------------------------------------------------------------------------ */

static TgDim claim_of(void *user, TgDim symbol)
{
    uint64_t found;
    return tg_map_get(user, TG_KEY(symbol), &found) ? (TgDim)(uintptr_t)found : NULL;
}

void inf_read_claims(TgGraph *g)
{
    TgMap *claims = TG_NEW(tg_forever(g->tg), TgMap);
    tg_map_init(claims, tg_forever(g->tg));
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        const TgType *said = v->declared, *t = v->type;
        bool match = said && said->kind == TG_TENSOR && t->kind == TG_TENSOR && said->rank == t->rank;
        for (int32_t k = 0; match && k < t->rank; k++)
            if (t->dim[k] != said->dim[k] && tg_dim_is_symbol(t->dim[k]))
                tg_map_put(claims, TG_KEY(t->dim[k]), TG_KEY(said->dim[k]));
    }
    g->tg->slot[TG_SLOT_INFER] = claims->n ? claims : NULL;
}

static TgDim as_claimed(const TgInfer *f, TgDim d)
{
    TgMap *claims = f->tg->slot[TG_SLOT_INFER];
    return claims ? tg_dim_substitute(f->tg, d, claim_of, claims) : d;
}

static void note_equal(const TgInfer *f, TgDim a, TgDim b)
{
    TG_PUSH(f->g->arena, &f->g->equal, a);
    TG_PUSH(f->g->arena, &f->g->equal, b);
}

/* past + step against another past + step: two names, and what is added to both. One of them is hardly 1 while the other
 * is more: then the caches of keys and of values, which a mask was made for, had different lengths. */
static bool are_sums_with(Tg *tg, TgDim a, TgDim b)
{
    TgDim d = tg_dim_sub(tg, a, b);
    bool one_each = d->n == 2 && a->n == b->n && a->n > 1 && d->at[0].times == -d->at[1].times;
    for (uint32_t i = 0; one_each && i < 2; i++)
        one_each =
            llabs(d->at[i].times) == 1 && d->at[i].of->n == 1 && tg_dim_is_symbol(d->at[i].of->at[0]->self);
    return one_each;
}

static void suspect_pair(const TgInfer *f, TgDim a, TgDim b)
{
    TgDim size;
    int64_t most;
    bool capped = (is_capped(a, &size, &most) && size == b) || (is_capped(b, &size, &most) && size == a);
    if (a != b &&
        ((capped && most >= 2) || as_claimed(f, a) == as_claimed(f, b) || are_sums_with(f->tg, a, b)))
        note_equal(f, a, b);
}

void inf_suspect_equal(const TgInfer *f, TgDim a, TgDim b)
{
    const DimAtom *left = dim_only_atom(a), *right = dim_only_atom(b);
    bool many_a = left && left->kind == DIM_BCAST, many_b = right && right->kind == DIM_BCAST;
    for (uint32_t i = 0; i < (many_a ? left->n : 1); i++)
        for (uint32_t k = 0; k < (many_b ? right->n : 1); k++)
            suspect_pair(f, many_a ? left->arg[i] : a, many_b ? right->arg[k] : b);
}

static void note_claim(void *user, TgDim symbol)
{
    const TgInfer *f = user;
    TgDim claim = as_claimed(f, symbol);
    if (claim != symbol)
        note_equal(f, symbol, claim);
}

void inf_suspect_divides(const TgInfer *f, TgDim count, TgDim by)
{
    TgDim quotient;
    if (!tg_dim_exact_div(f->tg, as_claimed(f, count), as_claimed(f, by), &quotient))
        return;
    tg_dim_symbols(count, note_claim, (void *)(uintptr_t)f);
    tg_dim_symbols(by, note_claim, (void *)(uintptr_t)f);
}
