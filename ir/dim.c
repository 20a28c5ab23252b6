/* Symbolic integers: the store and the ring.
 *
 * Problem: sizes such as batch, past + sequence or (n - 1)//2 + 1 must be compared, added and divided
 * millions of times without any being known. Idea: a normal form (dim.h) that is hash-consed, so that
 * equality is a pointer comparison. What overflows 64 bits or a bound of dim.h is no longer known: it becomes
 * a fresh symbol, never a wrong number.
 */
#include "dim.h"

#include <string.h>

#include "context.h"

typedef struct {
    TgInterner *nodes, *products, *atoms;
    uint64_t last_number; /* of fresh symbols */
    const DimProduct *one;
} DimStore;

/* --- the store ------------------------------------------------------------------------------------------ */

static bool same_atom(const void *left, const void *right)
{
    const DimAtom *a = left, *b = right;
    return a->kind == b->kind && a->name == b->name && a->number == b->number && a->n == b->n &&
           (a->n == 0 || memcmp(a->arg, b->arg, a->n * sizeof *a->arg) == 0);
}

static bool same_product(const void *left, const void *right)
{
    const DimProduct *a = left, *b = right;
    return a->n == b->n && (a->n == 0 || memcmp(a->at, b->at, a->n * sizeof(*a->at)) == 0);
}

static bool same_node(const void *left, const void *right)
{
    const struct TgDimNode *a = left, *b = right;
    if (a->n != b->n)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (a->at[i].times != b->at[i].times || a->at[i].of != b->at[i].of)
            return false;
    return true;
}

static DimStore *store(Tg *tg)
{
    DimStore *s = tg->slot[TG_SLOT_DIMS];
    if (s)
        return s;
    TgArena *arena = tg_forever(tg);
    s = TG_NEW(arena, DimStore);
    s->nodes = tg_interner_new(arena, same_node);
    s->products = tg_interner_new(arena, same_product);
    s->atoms = tg_interner_new(arena, same_atom);
    DimProduct *one = TG_NEW(arena, DimProduct);
    s->one = one;
    tg_interner_add(s->products, one, 0);
    tg->slot[TG_SLOT_DIMS] = s;
    return s;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static const DimProduct *product_of(Tg *tg, uint32_t n, const DimAtom *const *at)
{
    DimStore *s = store(tg);
    if (n == 0)
        return s->one;
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++)
        hash = tg_mix(hash, TG_KEY(at[i]));
    DimProduct probe = {n, at};
    const DimProduct *found = tg_interner_find(s->products, &probe, hash);
    if (found)
        return found;
    probe.at = tg_copy(tg_forever(tg), at, n * sizeof *at);
    DimProduct *made = tg_copy(tg_forever(tg), &probe, sizeof probe);
    tg_interner_add(s->products, made, hash);
    return made;
}

/* NULL when the sum is larger than we keep. */
static TgDim node_of(Tg *tg, uint32_t n, const DimTerm *at)
{
    DimStore *s = store(tg);
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++)
        hash = tg_mix(hash, tg_mix((uint64_t)at[i].times, TG_KEY(at[i].of)));
    struct TgDimNode probe = {.n = n, .at = at, .size = 1};
    const struct TgDimNode *found = tg_interner_find(s->nodes, &probe, hash);
    if (found)
        return found;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < at[i].of->n; k++) {
            const DimAtom *atom = at[i].of->at[k];
            probe.fresh |= atom->fresh;
            probe.depth = larger(probe.depth, atom->depth);
            probe.size += atom->size;
        }
    if (probe.size > DIM_MOST_SIZE)
        return NULL;
    DimRange range = dim_range_of_terms(n, at);
    probe.lower = range.lower;
    probe.upper = range.upper;
    if (n)
        probe.at = tg_copy(tg_forever(tg), at, n * sizeof *at);
    struct TgDimNode *made = tg_copy(tg_forever(tg), &probe, sizeof probe);
    tg_interner_add(s->nodes, made, hash);
    return made;
}

static const DimAtom *atom_of(Tg *tg, DimAtom probe)
{
    DimStore *s = store(tg);
    uint64_t hash = tg_mix(tg_mix(probe.kind, TG_KEY(probe.name)), probe.number);
    for (uint32_t i = 0; i < probe.n; i++)
        hash = tg_mix(hash, TG_KEY(probe.arg[i]));
    const DimAtom *found = tg_interner_find(s->atoms, &probe, hash);
    if (found)
        return found;
    TgArena *arena = tg_forever(tg);
    probe.size = 1;
    probe.fresh = probe.kind == DIM_FRESH || probe.kind == DIM_ANY;
    for (uint32_t i = 0; i < probe.n; i++) {
        probe.fresh |= probe.arg[i]->fresh;
        probe.depth = larger(probe.depth, probe.arg[i]->depth + 1);
        probe.size += probe.arg[i]->size;
    }
    if (probe.n)
        probe.arg = tg_copy(arena, probe.arg, probe.n * sizeof *probe.arg);
    DimRange range = dim_range_of_atom(&probe);
    probe.lower = range.lower;
    probe.upper = range.upper;
    DimAtom *made = tg_copy(arena, &probe, sizeof probe);
    const DimAtom *const self = made;
    made->self = node_of(tg, 1, &(DimTerm){1, product_of(tg, 1, &self)});
    tg_interner_add(s->atoms, made, hash); /* last: what unwinds before leaves no half atom behind */
    return made;
}

/* --- the order ------------------------------------------------------------------------------------------ */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_atoms(const DimAtom *a, const DimAtom *b)
{
    if (a == b)
        return 0;
    if (a->kind != b->kind)
        return compare_numbers(a->kind, b->kind);
    if (a->kind == DIM_SYMBOL)
        return strcmp(a->name, b->name);
    if (a->n != b->n || a->n == 0)
        return a->n != b->n ? compare_numbers(a->n, b->n) : compare_numbers(a->number, b->number);
    int order = 0;
    for (uint32_t i = 0; i < a->n && order == 0; i++)
        order = dim_compare(a->arg[i], b->arg[i]);
    return order;
}

/* Higher degree first, then the product whose first differing atom comes earlier. */
static int compare_products(const DimProduct *a, const DimProduct *b)
{
    if (a == b)
        return 0;
    if (a->n != b->n)
        return a->n > b->n ? -1 : 1;
    int order = 0;
    for (uint32_t i = 0; i < a->n && order == 0; i++)
        order = compare_atoms(a->at[i], b->at[i]);
    return order;
}

int dim_compare(TgDim a, TgDim b)
{
    if (a == b)
        return 0;
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        int order = compare_products(a->at[i].of, b->at[i].of);
        if (order != 0)
            return order;
        if (a->at[i].times != b->at[i].times)
            return a->at[i].times < b->at[i].times ? -1 : 1;
    }
    return compare_numbers(a->n, b->n);
}

/* --- sums under construction ---------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    uint32_t n;
    bool lost; /* overflowed: not known any more */
    DimTerm at[DIM_MOST_TERMS];
} Sum;

static void sum_begin(Sum *sum, Tg *tg)
{
    sum->tg = tg;
    sum->n = 0;
    sum->lost = false;
}

static void sum_drop(Sum *sum, uint32_t i)
{
    sum->n--;
    memmove(&sum->at[i], &sum->at[i + 1], (sum->n - i) * sizeof sum->at[0]);
}

static void sum_insert(Sum *sum, uint32_t i, DimTerm term)
{
    if (sum->n == DIM_MOST_TERMS) {
        sum->lost = true;
        return;
    }
    memmove(&sum->at[i + 1], &sum->at[i], (sum->n - i) * sizeof sum->at[0]);
    sum->at[i] = term;
    sum->n++;
}

static void sum_add(Sum *sum, int64_t times, const DimProduct *of)
{
    if (times == 0 || sum->lost)
        return;
    uint32_t i = sum->n;
    while (i > 0 && compare_products(of, sum->at[i - 1].of) < 0)
        i--;
    if (i == 0 || sum->at[i - 1].of != of) {
        sum_insert(sum, i, (DimTerm){times, of});
        return;
    }
    if (__builtin_add_overflow(sum->at[i - 1].times, times, &sum->at[i - 1].times))
        sum->lost = true;
    else if (sum->at[i - 1].times == 0)
        sum_drop(sum, i - 1);
}

/* Adds factor * d. */
static void sum_add_scaled(Sum *sum, TgDim d, int64_t factor)
{
    for (uint32_t i = 0; i < d->n; i++) {
        int64_t times;
        if (__builtin_mul_overflow(d->at[i].times, factor, &times))
            sum->lost = true;
        else
            sum_add(sum, times, d->at[i].of);
    }
}

static TgDim unknown(Tg *tg, bool nonnegative)
{
    return nonnegative ? tg_dim_fresh(tg) : tg_dim_fresh_any(tg);
}

static TgDim sum_end(Sum *sum, bool nonnegative)
{
    TgDim d = sum->lost ? NULL : node_of(sum->tg, sum->n, sum->at);
    return d ? d : unknown(sum->tg, nonnegative);
}

/* --- making --------------------------------------------------------------------------------------------- */

TgDim dim_of_term(Tg *tg, int64_t times, const DimProduct *product)
{
    DimTerm term = {times, product};
    TgDim d = node_of(tg, times != 0, &term);
    return d ? d : unknown(tg, false);
}

TgDim tg_dim(Tg *tg, int64_t n)
{
    return dim_of_term(tg, n, store(tg)->one);
}

/* "_7" and "~7" are how fresh symbols are printed: read back, they are those. */
static bool numbered_name(const char *name, DimKind *kind, uint64_t *number)
{
    if ((name[0] != '_' && name[0] != '~') || name[1] < '1' || name[1] > '9')
        return false;
    *kind = name[0] == '_' ? DIM_FRESH : DIM_ANY;
    *number = 0;
    for (const char *c = name + 1; *c; c++) {
        if (*c < '0' || *c > '9' || c - name > 15)
            return false;
        *number = *number * 10 + (uint64_t)(*c - '0');
    }
    return true;
}

void dim_reserve(Tg *tg, const char *text, size_t n)
{
    DimStore *s = store(tg);
    DimKind kind;
    uint64_t number;
    for (size_t i = 0; i + 1 < n; i++) {
        if (text[i] != '_' && text[i] != '~')
            continue;
        char name[20] = {text[i]};
        for (size_t k = 1; k < sizeof name - 1 && i + k < n && text[i + k] >= '0' && text[i + k] <= '9'; k++)
            name[k] = text[i + k];
        if (numbered_name(name, &kind, &number) && number > s->last_number)
            s->last_number = number;
    }
}

TgDim tg_dim_symbol(Tg *tg, const char *name)
{
    DimKind kind;
    uint64_t number;
    if (numbered_name(name, &kind, &number))
        return dim_numbered(tg, kind, number);
    return atom_of(tg, (DimAtom){.kind = DIM_SYMBOL, .name = tg_name(tg, name)})->self;
}

TgDim dim_numbered(Tg *tg, DimKind kind, uint64_t number)
{
    DimStore *s = store(tg);
    if (number > s->last_number)
        s->last_number = number;
    return atom_of(tg, (DimAtom){.kind = kind, .number = number})->self;
}

TgDim tg_dim_fresh(Tg *tg)
{
    return dim_numbered(tg, DIM_FRESH, store(tg)->last_number + 1);
}

TgDim tg_dim_fresh_any(Tg *tg)
{
    return dim_numbered(tg, DIM_ANY, store(tg)->last_number + 1);
}

TgDim dim_opaque(Tg *tg, DimKind kind, uint32_t n, const TgDim *arg)
{
    uint32_t depth = 0, size = 1;
    bool nonnegative = true;
    for (uint32_t i = 0; i < n; i++) {
        depth = larger(depth, arg[i]->depth + 1);
        size += arg[i]->size;
        nonnegative &= arg[i]->lower >= 0;
    }
    if (depth > DIM_MOST_DEPTH || size >= DIM_MOST_SIZE)
        return unknown(tg, nonnegative);
    return atom_of(tg, (DimAtom){.kind = kind, .n = n, .arg = arg})->self;
}

/* --- the ring ------------------------------------------------------------------------------------------- */

TgDim tg_dim_add(Tg *tg, TgDim a, TgDim b)
{
    Sum sum;
    sum_begin(&sum, tg);
    sum_add_scaled(&sum, a, 1);
    sum_add_scaled(&sum, b, 1);
    return sum_end(&sum, a->lower >= 0 && b->lower >= 0);
}

TgDim tg_dim_sub(Tg *tg, TgDim a, TgDim b)
{
    Sum sum;
    sum_begin(&sum, tg);
    sum_add_scaled(&sum, a, 1);
    sum_add_scaled(&sum, b, -1);
    return sum_end(&sum, a == b);
}

/* NULL when the degree is higher than we keep. */
static const DimProduct *multiply_products(Tg *tg, const DimProduct *a, const DimProduct *b)
{
    const DimAtom *at[DIM_MOST_FACTORS];
    uint32_t n = a->n + b->n, i = 0, j = 0;
    if (n > DIM_MOST_FACTORS)
        return NULL;
    for (uint32_t k = 0; k < n; k++)
        at[k] = j == b->n || (i < a->n && compare_atoms(a->at[i], b->at[j]) <= 0) ? a->at[i++] : b->at[j++];
    return product_of(tg, n, at);
}

static void sum_add_product(Sum *sum, DimTerm a, DimTerm b)
{
    int64_t times;
    const DimProduct *of = multiply_products(sum->tg, a.of, b.of);
    if (!of || __builtin_mul_overflow(a.times, b.times, &times))
        sum->lost = true;
    else
        sum_add(sum, times, of);
}

TgDim tg_dim_mul(Tg *tg, TgDim a, TgDim b)
{
    Sum sum;
    sum_begin(&sum, tg);
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++)
            sum_add_product(&sum, a->at[i], b->at[j]);
    return sum_end(&sum, a->lower >= 0 && b->lower >= 0);
}

/* of = quotient * by as products; NULL: does not divide. */
static const DimProduct *divide_products(Tg *tg, const DimProduct *of, const DimProduct *by)
{
    const DimAtom *at[DIM_MOST_FACTORS];
    uint32_t n = 0, j = 0;
    for (uint32_t i = 0; i < of->n; i++) {
        if (j < by->n && of->at[i] == by->at[j])
            j++;
        else
            at[n++] = of->at[i];
    }
    return j == by->n ? product_of(tg, n, at) : NULL;
}

/* The term q with which term a loses a multiple of the leading term b; false: none. Coefficients divide
 * exactly unless b stands alone (`floor`): then 7*s = 3*(2*s) + s is a step forward too. */
static bool quotient_term(Tg *tg, DimTerm a, DimTerm b, bool floor, DimTerm *q)
{
    if (b.times == -1 && a.times == INT64_MIN)
        return false;
    int64_t times = floor ? dim_floor_div(a.times, b.times) : a.times / b.times;
    if (times == 0 || (!floor && a.times % b.times != 0))
        return false;
    *q = (DimTerm){times, divide_products(tg, a.of, b.of)};
    return q->of != NULL;
}

/* a = quotient * b + rest, as polynomials. */
void dim_divide(Tg *tg, TgDim a, TgDim b, TgDim *quotient, TgDim *rest)
{
    Sum left, q, r;
    sum_begin(&left, tg);
    sum_begin(&q, tg);
    sum_begin(&r, tg);
    sum_add_scaled(&left, a, 1);
    *quotient = tg_dim(tg, 0);
    *rest = a;
    while (left.n > 0 && !left.lost) {
        DimTerm top = left.at[0], step;
        if (b->n > 0 && quotient_term(tg, top, b->at[0], b->n == 1, &step)) {
            sum_add(&q, step.times, step.of);
            left.lost |= step.times == INT64_MIN;
            for (uint32_t i = 0; i < b->n && !left.lost; i++)
                sum_add_product(&left, b->at[i], (DimTerm){-step.times, step.of});
            if (left.n == 0 || left.at[0].of != top.of)
                continue;
            top = left.at[0];
        }
        sum_add(&r, top.times, top.of);
        if (!left.lost)
            sum_drop(&left, 0);
    }
    TgDim found_q = left.lost || q.lost || r.lost ? NULL : node_of(tg, q.n, q.at);
    TgDim found_r = found_q ? node_of(tg, r.n, r.at) : NULL;
    if (found_r) {
        *quotient = found_q;
        *rest = found_r;
    }
}

bool tg_dim_exact_div(Tg *tg, TgDim a, TgDim b, TgDim *quotient)
{
    TgDim rest;
    if (b->n == 0)
        return false;
    dim_divide(tg, a, b, quotient, &rest);
    return rest->n == 0;
}

/* --- fresh symbols -------------------------------------------------------------------------------------- */

uint64_t dim_last_number(Tg *tg)
{
    return store(tg)->last_number;
}

bool dim_newer(TgDim d, uint64_t number)
{
    const DimAtom *atom = dim_only_atom(d);
    return atom && (atom->kind == DIM_FRESH || atom->kind == DIM_ANY) && atom->number > number;
}

/* --- asking --------------------------------------------------------------------------------------------- */

bool tg_dim_known(TgDim d, int64_t *n)
{
    bool known = d->n == 0 || (d->n == 1 && d->at[0].of->n == 0);
    if (known && n)
        *n = d->n == 0 ? 0 : d->at[0].times;
    return known;
}

bool tg_dim_is(TgDim d, int64_t n)
{
    int64_t value;
    return tg_dim_known(d, &value) && value == n;
}

const DimAtom *dim_only_atom(TgDim d)
{
    return d->n == 1 && d->at[0].times == 1 && d->at[0].of->n == 1 ? d->at[0].of->at[0] : NULL;
}

bool tg_dim_is_symbol(TgDim d)
{
    const DimAtom *atom = dim_only_atom(d);
    return atom && atom->n == 0;
}

bool tg_dim_is_fresh(TgDim d)
{
    return d->fresh;
}

int64_t tg_dim_lower(TgDim d)
{
    return d->lower;
}

int64_t tg_dim_upper(TgDim d)
{
    return d->upper;
}
