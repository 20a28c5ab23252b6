/* Inference: conclusions from sizes that operators require to be equal.
 *
 * A pair a = b is a linear equation over atoms. It is solved for one atom that occurs once, alone: an element nobody
 * knows, else a size nobody named, else an opaque term (bcast(s, mask) = s), else the name that the interface mentions
 * last. Names give way to constants, to earlier names and to sums of other names (total = past + sequence), never to
 * fresh symbols. A solution for a size must be provably >= 0, so that no bound is lost. The answers are then put into
 * every type and element.
 */
#include "dim.h"
#include "infer.h"

typedef struct {
    Tg *tg;
    TgMap answer; /* atom -> what it is */
    TgMap place;  /* symbol -> when the interface mentions it first, from 1 */
    TgMap types, dims; /* memo of substitution */
} Solver;

/* --- substitution --------------------------------------------------------------------------------------------------- */

static TgDim answer_of(void *user, TgDim atom) {
    uint64_t found;
    const Solver *s = user;
    return tg_map_get(&s->answer, TG_KEY(atom), &found) ? (TgDim)(uintptr_t)found : NULL;
}

/* Answers may mention atoms that were answered later: again until nothing changes. */
static TgDim resolve(Solver *s, TgDim d) {
    enum { LONGEST_CHAIN = 64 };
    TgDim before = NULL;
    for (uint32_t i = 0; i < LONGEST_CHAIN && d != before; i++) {
        before = d;
        d = dim_substitute_atoms(s->tg, d, answer_of, s);
    }
    return d;
}

static TgDim resolve_once(Solver *s, TgDim d) {
    uint64_t found;
    if (tg_map_get(&s->dims, TG_KEY(d), &found))
        return (TgDim)(uintptr_t)found;
    TgDim result = resolve(s, d);
    tg_map_put(&s->dims, TG_KEY(d), TG_KEY(result));
    return result;
}

static const TgType *resolve_type(Solver *s, const TgType *t) {
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

static void resolve_elements(Solver *s, TgGraph *g, TgValueInfo *v) {
    int64_t n;
    if (!v->symbolic || v->origin == TG_V_CONST || !tg_type_numel(v->type, &n) || n == 0)
        return;
    TgDim *element = tg_copy(g->arena, v->symbolic, (size_t)n * sizeof *element);
    for (int64_t i = 0; i < n; i++)
        element[i] = resolve_once(s, element[i]);
    v->symbolic = element;
}

static void resolve_graph(Solver *s, TgGraph *g) {
    for (TgValue v = 1; v < g->values.n; v++) {
        tg_value(g, v)->type = resolve_type(s, tg_value(g, v)->type);
        resolve_elements(s, g, tg_value(g, v));
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t k = 0; k < tg_node(g, n)->n_sub; k++)
            resolve_graph(s, tg_node(g, n)->sub[k].graph); /* nesting is bounded by the reader */
}

/* --- solving -------------------------------------------------------------------------------------------------------- */

/* How gladly an atom is given up; 0: not for this. */
static uint64_t readiness(Solver *s, const DimAtom *atom, TgDim rest) {
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
static TgDim primitive(Tg *tg, TgDim d) {
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
static TgDim without_common_atoms(Tg *tg, TgDim d) {
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
static TgDim solution(Tg *tg, TgDim d, DimTerm t) {
    TgDim rest = tg_dim_sub(tg, d, dim_of_term(tg, t.times, t.of));
    if (dim_mentions(rest, t.of->at[0]))
        return NULL;
    return t.times > 0 ? tg_dim_sub(tg, tg_dim(tg, 0), rest) : rest;
}

static bool solve_pair(Solver *s, TgDim a, TgDim b) {
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
        tg_map_put(&s->answer, TG_KEY(atom), TG_KEY(value));
    return atom != NULL;
}

static void note_place(void *user, TgDim symbol) {
    Solver *s = user;
    if (!tg_map_get(&s->place, TG_KEY(symbol), NULL))
        tg_map_put(&s->place, TG_KEY(symbol), s->place.n + 1);
}

static void read_interface(Solver *s, const TgGraph *g) {
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgType *t = tg_type_of(g, g->inputs.at[i]);
        for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank; k++)
            tg_dim_symbols(t->dim[k], note_place, s);
    }
}

bool inf_solve(TgGraph *g) {
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    Solver s = {.tg = g->tg};
    bool solved = false;
    tg_map_init(&s.answer, scratch);
    tg_map_init(&s.place, scratch);
    tg_map_init(&s.types, scratch);
    tg_map_init(&s.dims, scratch);
    read_interface(&s, g);
    for (uint32_t i = 0; i + 1 < g->equal.n; i += 2)
        solved |= solve_pair(&s, g->equal.at[i], g->equal.at[i + 1]);
    if (solved)
        resolve_graph(&s, g);
    tg_release(scratch, mark);
    return solved;
}
