/* Constant tensors that lie somewhere: mapped, owned, splat, strings. What recipes do is in recipe.c.
 *
 * Hashes and comparisons must not read gigabytes to tell two weights apart: a hash looks at evenly spread
 * windows, a comparison stops at the first difference and knows without reading that one range of one
 * file equals itself.
 */
#include <math.h>
#include <string.h>

#include "recipe.h"

/* --- making ------------------------------------------------------------------------------------------- */

/* A tensor without payload. Sizes that overflow unwind; negative ones are a bug of the caller. */
static TgTensor *shaped(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, TgPayload payload) {
    Tg *tg = tg_arena_context(arena);
    TG_CHECK(tg, dtype > TG_undefined && dtype < TG_DTYPE_COUNT);
    TG_CHECK(tg, rank >= 0 && rank <= TG_MAX_RANK);
    TgTensor *t = TG_NEW(arena, TgTensor);
    t->dtype = dtype;
    t->rank = rank;
    t->dim = tg_copy(arena, dim, (size_t)rank * sizeof *dim);
    t->payload = payload;
    t->count = 1;
    for (int32_t i = 0; i < rank; i++) {
        TG_CHECK(tg, dim[i] >= 0);
        t->count = tg_product(tg, t->count, (size_t)dim[i]);
    }
    tg_product(tg, t->count, (tg_dtype_bits(dtype) + 7) / 8);
    t->size = tg_dtype_bytes(dtype, t->count);
    return t;
}

TgTensor *tg_tensor_mapped(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim,
                           const TgFile *file, size_t offset) {
    TgTensor *t = shaped(arena, dtype, rank, dim, TG_MAPPED);
    TG_CHECK(tg_arena_context(arena), offset <= file->size && t->size <= file->size - offset);
    t->file = file;
    t->offset = offset;
    t->bytes = file->bytes + offset;
    return t;
}

TgTensor *tg_tensor_owned(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim,
                          const void *bytes) {
    TgTensor *t = shaped(arena, dtype, rank, dim, TG_OWNED);
    t->bytes = bytes;
    return t;
}

TgTensor *tg_tensor_blank(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, void **bytes) {
    TgTensor *t = shaped(arena, dtype, rank, dim, TG_OWNED);
    t->bytes = *bytes = tg_new(arena, t->size);
    return t;
}

TgTensor *tg_tensor_splat(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim,
                          const void *element) {
    TgTensor *t = shaped(arena, dtype, rank, dim, TG_SPLAT);
    t->bytes = tg_copy(arena, element, tg_dtype_bytes(dtype, 1));
    return t;
}

TgTensor *tg_tensor_strings(TgArena *arena, int32_t rank, const int64_t *dim, const TgBytes *strings) {
    TgTensor *t = shaped(arena, TG_str, rank, dim, TG_STRINGS);
    t->strings = strings;
    return t;
}

TgTensor *tg_tensor_scalar_float(TgArena *arena, TgDtype dtype, double x) {
    void *bytes;
    TgTensor *t = tg_tensor_blank(arena, dtype, 0, NULL, &bytes);
    tg_store_float(dtype, bytes, 0, x);
    return t;
}

TgTensor *tg_tensor_scalar_int(TgArena *arena, TgDtype dtype, int64_t x) {
    void *bytes;
    TgTensor *t = tg_tensor_blank(arena, dtype, 0, NULL, &bytes);
    tg_store_integer(dtype, bytes, 0, x);
    return t;
}

TgTensor *tg_tensor_ints(TgArena *arena, uint32_t n, const int64_t *x) {
    int64_t dim = n;
    return tg_tensor_owned(arena, TG_i64, 1, &dim, tg_copy(arena, x, n * sizeof *x));
}

/* --- asking ------------------------------------------------------------------------------------------- */

const TgType *tg_tensor_type(Tg *tg, const TgTensor *t) {
    return tg_type_known(tg, t->dtype, t->rank, t->dim);
}

/* The bytes in which element *i lies, with *i counted from their start; NULL: not a number, or recorded. */
static const void *element(Tg *tg, const TgTensor *t, size_t *i) {
    TG_CHECK(tg, *i < t->count);
    switch (t->payload) {
    case TG_MAPPED:
    case TG_OWNED: return t->bytes;
    case TG_SPLAT: *i = 0; return t->bytes;
    case TG_RECIPE: return tg_recipe_window(tg, t, i);
    case TG_STRINGS: break;
    }
    return NULL;
}

double tg_tensor_float(Tg *tg, const TgTensor *t, size_t i) {
    const void *bytes = element(tg, t, &i);
    return bytes ? tg_load_float(t->dtype, bytes, i) : (double)NAN;
}

int64_t tg_tensor_int(Tg *tg, const TgTensor *t, size_t i) {
    const void *bytes = element(tg, t, &i);
    return bytes ? tg_load_integer(t->dtype, bytes, i) : 0;
}

enum { WINDOW = 4096, WINDOWS = 3, SMALL_RECIPE = 64 << 10, STRIDE = 4 << 20 };

void tg_tensor_expect(const TgTensor *t, TgReading how) {
    if (t->payload == TG_MAPPED && t->size >= STRIDE)
        tg_file_expect(t->bytes, t->size, how);
}

/* n bytes against those `by` bytes later; the first page alone answers for almost every weight. */
static bool repeats(const TgTensor *t, size_t by) {
    size_t n = t->size - by, head = n < WINDOW ? n : WINDOW;
    tg_tensor_expect(t, TG_READ_HERE_AND_THERE);
    bool same = memcmp(t->bytes, t->bytes + by, head) == 0;
    tg_tensor_expect(t, TG_READ_USUALLY);
    return same && memcmp(t->bytes + head, t->bytes + head + by, n - head) == 0;
}

/* Whether all elements have the bits of the first. Equal neighbours everywhere are equal elements. */
static bool uniform(Tg *tg, const TgTensor *t) {
    uint32_t bits = tg_dtype_bits(t->dtype);
    bool dense = t->payload == TG_MAPPED || t->payload == TG_OWNED;
    if (dense && bits >= 8)
        return repeats(t, bits / 8);
    double first = tg_tensor_float(tg, t, 0);
    for (size_t i = 1; i < t->count; i++) {
        double x = tg_tensor_float(tg, t, i);
        if (memcmp(&x, &first, sizeof x) != 0)
            return false;
    }
    return true;
}

bool tg_tensor_is_splat(Tg *tg, const TgTensor *t, double *value) {
    TgClass class = tg_dtype_class(t->dtype);
    bool number = class == TG_CLASS_F || class == TG_CLASS_I || class == TG_CLASS_U || class == TG_CLASS_B;
    if (!number || !t->count || (t->payload != TG_SPLAT && !uniform(tg, t)))
        return false;
    if (value)
        *value = tg_tensor_float(tg, t, 0);
    return true;
}

/* --- hash and equality -------------------------------------------------------------------------------- */

/* Small recipes count as their values, large ones as what they say. */
static const TgTensor *settled(Tg *tg, const TgTensor *t) {
    return t->payload == TG_RECIPE && t->size <= SMALL_RECIPE ? tg_recipe_value(tg, t) : t;
}

static void copy_bytes(const TgTensor *t, size_t from, size_t n, uint8_t *to) {
    uint32_t bits = tg_dtype_bits(t->dtype);
    if (t->payload != TG_SPLAT) {
        memcpy(to, t->bytes + from, n);
        return;
    }
    for (size_t i = 0; bits >= 8 && i < n; i++)
        to[i] = t->bytes[(from + i) % (bits / 8)];
    size_t per_byte = bits < 8 ? 8 / bits : 1;
    for (size_t i = 0; bits < 8 && i < n; i++)
        for (size_t k = 0; k < per_byte && (from + i) * per_byte + k < t->count; k++)
            tg_store_integer(bits == 4 ? TG_u4 : TG_u2, to + i, k, t->bytes[0]);
}

static uint64_t hash_windows(const TgTensor *t, uint64_t hash) {
    uint8_t window[WINDOW] = {0};
    size_t step = t->size <= (size_t)WINDOW * WINDOWS ? WINDOW : (t->size - WINDOW) / (WINDOWS - 1);
    tg_tensor_expect(t, TG_READ_HERE_AND_THERE);
    for (size_t from = 0; from < t->size; from += step) {
        size_t n = t->size - from < WINDOW ? t->size - from : WINDOW;
        if (t->payload == TG_SPLAT)
            copy_bytes(t, from, n, window);
        hash = tg_hash(t->payload == TG_SPLAT ? window : t->bytes + from, n, hash);
    }
    tg_tensor_expect(t, TG_READ_USUALLY);
    if (t->payload == TG_MAPPED && t->size >= STRIDE)
        tg_file_forget(t->bytes, t->size); /* each window made its neighbourhood resident */
    return hash;
}

uint64_t tg_tensor_hash(Tg *tg, const TgTensor *t) {
    const TgTensor *value = settled(tg, t);
    uint64_t hash = tg_hash(t->dim, (size_t)t->rank * sizeof *t->dim, (uint64_t)t->dtype);
    if (!value)
        return hash;
    if (value->payload == TG_RECIPE)
        return tg_recipe_hash(tg, value, hash);
    for (size_t i = 0; value->payload == TG_STRINGS && i < value->count; i++)
        hash = tg_hash(value->strings[i].at, value->strings[i].n, hash);
    return value->payload == TG_STRINGS ? hash : hash_windows(value, hash);
}

static bool equal_strings(const TgTensor *a, const TgTensor *b) {
    for (size_t i = 0; i < a->count; i++) {
        const TgBytes *x = &a->strings[i], *y = &b->strings[i];
        if (x->n != y->n || (x->n && memcmp(x->at, y->at, x->n) != 0))
            return false;
    }
    return true;
}

/* Mapped bytes are let go piece by piece. */
static bool equal_dense(const TgTensor *a, const TgTensor *b) {
    if (a->bytes == b->bytes)
        return true;
    bool same = true;
    for (size_t from = 0; same && from < a->size; from += STRIDE) {
        size_t n = a->size - from < STRIDE ? a->size - from : STRIDE;
        same = memcmp(a->bytes + from, b->bytes + from, n) == 0;
        if (a->payload == TG_MAPPED && n == STRIDE)
            tg_file_forget(a->bytes + from, n);
        if (b->payload == TG_MAPPED && n == STRIDE)
            tg_file_forget(b->bytes + from, n);
    }
    return same;
}

static bool equal_splat(const TgTensor *splat, const TgTensor *other) {
    uint8_t x[WINDOW], y[WINDOW];
    for (size_t from = 0; from < other->size; from += WINDOW) {
        size_t n = other->size - from < WINDOW ? other->size - from : WINDOW;
        memset(x, 0, sizeof x);
        memset(y, 0, sizeof y);
        copy_bytes(splat, from, n, x);
        copy_bytes(other, from, n, y);
        if (memcmp(x, y, n) != 0)
            return false;
    }
    return true;
}

bool tg_tensor_equal(Tg *tg, const TgTensor *a, const TgTensor *b) {
    if (a == b)
        return true;
    if (a->dtype != b->dtype || a->rank != b->rank)
        return false;
    if (memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) != 0)
        return false;
    a = settled(tg, a);
    b = settled(tg, b);
    if (!a || !b)
        return false;
    if (a->payload == TG_RECIPE || b->payload == TG_RECIPE)
        return a->payload == b->payload && tg_recipe_equal(tg, a, b);
    if (a->payload == TG_STRINGS)
        return equal_strings(a, b);
    if (a->payload == TG_SPLAT || b->payload == TG_SPLAT)
        return a->payload == TG_SPLAT ? equal_splat(a, b) : equal_splat(b, a);
    return equal_dense(a, b);
}
