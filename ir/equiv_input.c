/* Inputs for comparing models: sizes for symbols, and values by element type, name and class.
 *
 * Sizes are small and, first, all different (2, 3, 5 ...), so that a confused pair of axes shows. Models do
 * not always say which sizes belong together ("sequence" may have to be 1, a mask as long as past and
 * present), so there are several ways to choose, tried until the model runs. Values are exact in the element
 * type, hence the same in float32 and float64, and depend only on seed, name and place. Integers must be
 * valid indices: their range is that of the tables which they index, found by following their uses.
 */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

/* --- sizes ---------------------------------------------------------------------------------------------- */

typedef struct {
    TgArena *arena;
    EquivSizes *sizes;
    bool in_mask; /* the input at hand is a mask */
} Collect;

static void add_symbol(void *user, TgDim symbol)
{
    Collect *c = user;
    EquivSize s = {.symbol = symbol, .only_mask = c->in_mask};
    for (uint32_t i = 0; i < c->sizes->n; i++) {
        if (c->sizes->at[i].symbol != symbol)
            continue;
        c->sizes->at[i].only_mask &= c->in_mask;
        return;
    }
    TG_PUSH(c->arena, c->sizes, s);
}

/* The ways: different primes, others, all the same, all one; then at random, where "past" may be empty.
 * Sizes that only masks have may have to cover the others: every second time they are larger than all of
 * them, the first time with these all the same and a divisor of a mask. What else may be empty is tried apart from
 * these, see equiv_solve.c. */
static int64_t choose(const EquivSize *size, TgName name, uint32_t index, uint32_t attempt, uint64_t seed)
{
    static const int64_t primes[] = {2, 3, 5, 7, 11, 13}, others[] = {3, 2, 4, 6, 9, 8};
    if (size->only_mask && attempt >= 6 && attempt % 2 == 0)
        return 9;
    if (attempt == 6)
        return 3;
    if (attempt == 0)
        return primes[index % 6];
    if (attempt == 1)
        return others[index % 6];
    if (attempt == 2)
        return 2;
    if (attempt == 3)
        return 1;
    if (attempt == 4)
        return strstr(name, "past") ? 3 : strstr(name, "batch") ? 2 : 1;
    if (attempt == 5)
        return strstr(name, "past") ? 0 : 3;
    uint64_t r = tg_mix(tg_mix(seed, attempt), tg_hash(name, strlen(name), 1));
    return strstr(name, "past") ? (int64_t)(r % 4) : (int64_t)(1 + r % 4);
}

static void add_symbols(Collect *c, const TgType *t)
{
    for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank; k++)
        tg_dim_symbols(t->dim[k], add_symbol, c);
}

void equiv_sizes(TgArena *arena, const TgGraph *g, const EquivDummies *dummies, uint32_t attempt,
                 uint64_t seed, EquivSizes *sizes)
{
    Collect c = {.arena = arena, .sizes = sizes};
    sizes->n = 0;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        TgName name = tg_value(g, g->inputs.at[i])->name;
        c.in_mask = name && strstr(name, "mask");
        add_symbols(&c, tg_type_of(g, g->inputs.at[i]));
    }
    c.in_mask = false;
    for (uint32_t i = 0; dummies && i < dummies->n; i++)
        add_symbols(&c, tg_type_of(dummies->at[i].g, dummies->at[i].v));
    for (uint32_t i = 0; i < sizes->n; i++)
        sizes->at[i].n = choose(&sizes->at[i], tg_dim_text(g->tg, sizes->at[i].symbol), i, attempt, seed);
}

static bool size_of(void *user, TgDim symbol, int64_t *n)
{
    const EquivSizes *sizes = user;
    for (uint32_t i = 0; i < sizes->n; i++)
        if (sizes->at[i].symbol == symbol)
            return *n = sizes->at[i].n, true;
    return false;
}

/* --- which integers are valid --------------------------------------------------------------------------- */

/* Operators that look something up: their operand `slot` indexes axis `axis` (0 unless the attribute says)
 * of `table`. */
static const struct {
    TgOp op;
    uint32_t slot, table;
    bool has_axis;
} lookups[] = {{TG_Gather, 1, 0, true},
               {TG_GatherElements, 1, 0, true},
               {TG_ms_EmbedLayerNormalization, 0, 2, false},
               {TG_ms_EmbedLayerNormalization, 1, 4, false}};

static int64_t table_size(const TgGraph *g, const TgNodeInfo *n, uint32_t slot, EquivSizes *sizes)
{
    for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++) {
        if (n->op != lookups[i].op || slot != lookups[i].slot || lookups[i].table >= n->n_in)
            continue;
        if (!n->in[lookups[i].table])
            continue;
        const TgType *t = tg_type_of(g, n->in[lookups[i].table]);
        int64_t axis = lookups[i].has_axis ? tg_attr_int(n, "axis") : 0, size;
        if (t->kind != TG_TENSOR || t->rank < 1)
            continue;
        if (axis < 0)
            axis += t->rank;
        if (axis >= 0 && axis < t->rank && tg_dim_eval(t->dim[axis], size_of, sizes, &size))
            return size;
    }
    return INT64_MAX;
}

enum { FOLLOW = 64 }; /* values looked at from one input on */

/* The size of the smallest table that v, or an integer made of it, is an index of. */
static int64_t index_limit(const TgGraph *g, TgValue v, EquivSizes *sizes)
{
    TgValue todo[FOLLOW] = {v};
    int64_t limit = INT64_MAX;
    uint32_t n = 1;
    for (uint32_t i = 0; i < n; i++) {
        const TgValueInfo *info = tg_value(g, todo[i]);
        for (uint32_t u = 0; u < info->uses.n; u++) {
            const TgNodeInfo *reader = tg_node(g, info->uses.at[u].node);
            int64_t size = table_size(g, reader, info->uses.at[u].slot, sizes);
            if (size < limit)
                limit = size;
            bool passes_on = reader->n_out && tg_is_integer(tg_type_of(g, reader->out[0])->dtype) &&
                             !tg_op_has(reader->op, TG_T_SHAPE_ONLY);
            if (passes_on && n < FOLLOW)
                todo[n++] = reader->out[0];
        }
    }
    return limit;
}

/* --- values --------------------------------------------------------------------------------------------- */

static uint64_t noise(uint64_t key, int64_t i)
{
    return tg_mix(key, (uint64_t)i * 0x9e3779b97f4a7c15u + 1);
}

/* About normal: four uniform numbers of 16 bits added, variance one. */
static double normal(uint64_t key, int64_t i)
{
    uint64_t bits = noise(key, i);
    int64_t sum = (int64_t)(bits & 0xffff) + (int64_t)(bits >> 16 & 0xffff) + (int64_t)(bits >> 32 & 0xffff) +
                  (int64_t)(bits >> 48);
    return (double)(2 * sum - 4 * 0xffff) * (0.8660254037844386 / 0xffff);
}

static double real_value(TgInputClass cls, uint64_t key, int64_t i)
{
    static const double ties[] = {-1, 0, 0.5, 1}, odd[] = {NAN, 0};
    switch (cls) {
    case TG_IN_POSITIVE: return fabs(normal(key, i)) + 0.01;
    case TG_IN_SHIFTED: return 100 + normal(key, i);
    case TG_IN_LARGE: return 100 * normal(key, i);
    case TG_IN_ZERO: return 0;
    case TG_IN_TINY: return 1e-39 * normal(key, i);
    case TG_IN_TIES: return ties[noise(key, i) & 3];
    case TG_IN_FAR: return (noise(key, i) & 1 ? 1 : 1e6) * normal(key, i);
    case TG_IN_ODD: return noise(key, i) & 3 ? normal(key, i) : odd[noise(key, i) >> 8 & 1];
    default: return normal(key, i);
    }
}

static void fill_reals(TgEvalMode mode, TgInputClass cls, uint64_t key, TgArray *a)
{
    if (mode == TG_EVAL_FIELD) {
        for (int64_t i = 0; i < a->count; i++)
            ((TgFelt *)a->data)[i] = cls == TG_IN_TIES ? tg_felt_int((int64_t)(noise(key, i) & 3) - 1)
                                                       : tg_felt_random(tg_mix(key, (uint64_t)i));
        a->degree = (TgDegree){.over = 1};
        return;
    }
    TgArray flat = *a; /* of a complex number, both parts */
    if (tg_dtype_class(a->dtype) == TG_CLASS_C) {
        flat.dtype = a->dtype == TG_c64 ? TG_f32 : TG_f64;
        flat.count *= 2;
    }
    double most = flat.dtype == TG_f16 ? 65504 : INFINITY; /* far is not infinite */
    for (int64_t i = 0; i < flat.count; i++) {
        double x = real_value(cls, key, i);
        x = fabs(x) > most ? copysign(most, x) : x;
        tg_array_set_float(mode, &flat, i, tg_round_float(flat.dtype, x, true));
    }
    bool more_digits = flat.dtype == TG_f64 && mode == TG_EVAL_F64; /* than float32 has */
    for (int64_t i = 0; more_digits && i < flat.count; i++)
        ((double *)flat.data)[i] *= 1 + 1e-9 * normal(key + 1, i);
}

/* Rows of ones that end in zeros: what padding looks like. Never all of them, but every other one where `hidden`: two
 * exports of a model may treat rows that see nothing differently, a rewrite may not. */
static int64_t mask_value(const TgArray *a, bool hidden, int64_t i)
{
    int64_t n = a->rank ? a->dim[a->rank - 1] : 1, row = i / n, padding = row % (n > 1 ? n : 1);
    return i % n < n - padding && !(hidden && row % 2 == 0);
}

static const char mask_of_infinity[] = "mask of -inf, ", mask_of_lowest[] = "mask of lowest, ";

/* The first and last elements, where a mask shuts out what lies ahead or behind, and some between: few places, because
 * the pages of a large weight may have to come from the disk. */
enum { EDGE = 256, INNER = 16 };

static size_t place_to_look(size_t count, uint32_t k)
{
    size_t i = k < EDGE ? k : k < 2 * EDGE ? count - 1 - (k - EDGE) % count : count / INNER * (k - 2 * EDGE);
    return i < count ? i : count - 1;
}

TgName equiv_mask_name(Tg *tg, const TgTensor *t, uint32_t index)
{
    double largest = 0;
    tg_tensor_expect(t, TG_READ_HERE_AND_THERE);
    for (uint32_t k = 0; tg_is_float(t->dtype) && t->count && k < 2 * EDGE + INNER; k++)
        largest = fmax(largest, fabs(tg_tensor_float(tg, t, place_to_look(t->count, k))));
    tg_tensor_expect(t, TG_READ_USUALLY);
    const char *name = isinf(largest) ? mask_of_infinity : largest >= TG_FELT_LARGE ? mask_of_lowest : NULL;
    return name ? tg_name_format(tg, "%s%u", name, index) : NULL;
}

bool equiv_is_large_mask(TgName input)
{
    return input && strncmp(input, mask_of_lowest, strlen(mask_of_lowest)) == 0;
}

static bool fill_mask(TgEvalMode mode, const char *name, bool hidden, TgArray *a)
{
    bool infinite = strncmp(name, mask_of_infinity, strlen(mask_of_infinity)) == 0;
    if (!infinite && !equiv_is_large_mask(name))
        return false;
    double out = tg_round_float(a->dtype, infinite ? -INFINITY : -3e38, true);
    for (int64_t i = 0; i < a->count; i++)
        tg_array_set_float(mode, a, i, mask_value(a, hidden, i) ? 0 : out);
    return true;
}

/* Positions count up; others are below the limit, or 0 and 1 where nothing is indexed or `small` ones are
 * wanted. Negative ones count from the end. */
static void fill_integers(const char *name, uint64_t key, int64_t limit, bool small, bool negative, bool hidden,
                          TgArray *a)
{
    int64_t below = limit == INT64_MAX || (small && limit > 2) ? 2 : limit;
    bool mask = strstr(name, "mask") != NULL, position = strstr(name, "position") != NULL;
    int64_t last = a->rank ? a->dim[a->rank - 1] : 1;
    for (int64_t i = 0; i < a->count; i++) {
        int64_t x = (int64_t)(noise(key, i) >> 8);
        if (a->dtype == TG_bool)
            x &= 1;
        else if (position)
            x = i % last < limit ? i % last : limit - 1;
        else
            x = x % below - (negative && (x >> 32 & 1) ? below : 0);
        if (mask)
            x = mask_value(a, hidden, i);
        tg_array_set_int(a, i, x);
    }
}

static bool no_values(Tg *tg, const char *name, const TgType *t)
{
    return tg_report(tg, TG_E_no_random_value, name, tg_type_text(tg, t));
}

static bool input_shape(const TgType *t, EquivSizes *sizes, int64_t *dim)
{
    enum { MOST = 1 << 24 }; /* elements: small sizes never come near it */
    int64_t count = 1;
    if (!tg_is_tensor(t) || t->dtype == TG_str || t->rank > 16)
        return false;
    for (int32_t i = 0; i < t->rank; i++) {
        if (!tg_dim_eval(t->dim[i], size_of, sizes, &dim[i]) || dim[i] < 0)
            return false;
        if (__builtin_mul_overflow(count, dim[i] ? dim[i] : 1, &count) || count > MOST)
            return false;
    }
    return true;
}

void equiv_dummies(TgArena *arena, const EquivDummies *dummies, const EquivSizes *sizes)
{
    static const uint8_t zero[16] = {0};
    EquivSizes read = *sizes;
    for (uint32_t i = 0; i < dummies->n; i++) {
        TgValueInfo *v = tg_value(dummies->at[i].g, dummies->at[i].v);
        int64_t dim[16] = {
            0}; /* empty where the sizes do not fit: then the run fails, and others are tried */
        if (!input_shape(v->type, &read, dim))
            memset(dim, 0, sizeof dim);
        v->tensor = tg_tensor_splat(arena, v->type->dtype, v->type->rank, dim, zero);
    }
}

static bool input_value(Tg *tg, TgGraph *g, uint32_t index, EquivSizes *sizes, TgEvalMode mode,
                        uint32_t attempt, uint64_t seed, TgInputClass cls, TgArray *a)
{
    TgValue v = g->inputs.at[index];
    const TgValueInfo *info = tg_value(g, v);
    const char *name = info->name && !equiv_is_made_name(info->name) ? info->name : "";
    int64_t dim[16];
    if (info->initial) { /* what a caller gets who does not care */
        *a = tg_array_from_tensor(tg, mode, info->initial);
        return a->kind == TG_TENSOR;
    }
    if (!input_shape(info->type, sizes, dim))
        return no_values(tg, name, info->type);
    *a = tg_array_new(tg, mode, info->type->dtype, info->type->rank, dim);
    uint64_t key = tg_mix(tg_mix(seed, index), tg_hash(name, strlen(name), (uint64_t)cls));
    TgClass class = tg_dtype_class(a->dtype);
    bool hidden = cls == TG_IN_HIDDEN;
    if (mode == TG_EVAL_FIELD && class == TG_CLASS_C)
        return tg_array_drop(tg, a), no_values(tg, name, info->type);
    if (class == TG_CLASS_F && fill_mask(mode, name, hidden, a))
        return true;
    if (class == TG_CLASS_F || class == TG_CLASS_C) {
        bool parameter = a->count == 1 && cls == TG_IN_FAR; /* a step of a Range, not data */
        fill_reals(mode, parameter ? TG_IN_LARGE : cls, key, a);
        return true;
    }
    int64_t limit = index_limit(g, v, sizes);
    if (limit > 100 && tg_dtype_bits(a->dtype) <= 8)
        limit = 100;
    bool negative = cls == TG_IN_TIES && class == TG_CLASS_I; /* an index counts from the end then */
    fill_integers(name, key, limit > 0 ? limit : 1, attempt >= 2, negative, hidden, a);
    return true;
}

bool equiv_inputs(Tg *tg, TgGraph *g, const EquivSizes *sizes, TgEvalMode mode, uint32_t attempt,
                  uint64_t seed, TgInputClass cls, TgArray *in)
{
    EquivSizes read = *sizes;
    memset(in, 0, g->inputs.n * sizeof *in);
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        if (input_value(tg, g, i, &read, mode, attempt, seed, cls, &in[i]))
            continue;
        while (i-- > 0)
            tg_array_drop(tg, &in[i]);
        return false;
    }
    return true;
}

bool tg_random_inputs(Tg *tg, TgGraph *g, TgEvalMode mode, uint64_t seed, TgInputClass cls, TgArray *in)
{
    TgMark mark = tg_mark(tg_scratch(tg));
    EquivSizes sizes = {0};
    uint32_t attempt = (uint32_t)(seed % EQUIV_ATTEMPTS);
    equiv_sizes(tg_scratch(tg), g, NULL, attempt, seed, &sizes);
    bool ok = equiv_inputs(tg, g, &sizes, mode, attempt, seed, cls, in);
    tg_release(tg_scratch(tg), mark);
    return ok;
}
