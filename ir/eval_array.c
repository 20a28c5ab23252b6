/* Arrays of the evaluator: making, sharing, dropping, and the way from tensors and back.
 *
 * Elements lie in a carrier type (eval.h): float or double for floats, int64 for integers and bool, TgBytes
 * for strings; complex numbers are two reals. An owned array's block starts with its reference count, 64
 * bytes before the data; a borrowed array (owners NULL) points into a mapped file or an arena that outlives
 * the evaluation.
 */
#include <string.h>

#include "eval_kernel.h"

enum { HEADER = 64 }; /* keeps the data aligned for vector loads */

size_t tg_array_element(TgEvalMode mode, TgDtype dtype)
{
    switch (eval_carrier(dtype)) {
    case TG_C_BYTES: return sizeof(TgBytes);
    case TG_C_INT: return sizeof(int64_t);
    case TG_C_REAL: break;
    }
    if (mode == TG_EVAL_FIELD)
        return sizeof(TgFelt);
    size_t parts = tg_dtype_class(dtype) == TG_CLASS_C ? 2 : 1;
    bool wide = mode == TG_EVAL_F64 || (mode == TG_EVAL_NATIVE && (dtype == TG_f64 || dtype == TG_c128));
    return parts * (wide ? sizeof(double) : sizeof(float));
}

/* Reals of this type are doubles in this mode. */
static bool wide(TgEvalMode mode, const TgArray *a)
{
    size_t parts = tg_dtype_class(a->dtype) == TG_CLASS_C ? 2 : 1;
    return tg_array_element(mode, a->dtype) == parts * sizeof(double);
}

static size_t reals(const TgArray *a)
{
    return (size_t)a->count * (tg_dtype_class(a->dtype) == TG_CLASS_C ? 2 : 1);
}

static void *new_block(Tg *tg, size_t size, uint32_t **owners)
{
    uint8_t *block = tg_heap_new(tg, size > SIZE_MAX - HEADER ? SIZE_MAX : size + HEADER);
    *owners = (uint32_t *)(void *)block;
    **owners = 1;
    return block + HEADER;
}

/* The bytes are counted as if empty axes had size 1, so that no product of some of the sizes overflows:
 * strides and counts of parts need no check of their own. */
TgArray tg_array_new(Tg *tg, TgEvalMode mode, TgDtype dtype, int32_t rank, const int64_t *dim)
{
    TG_CHECK(tg, rank >= 0 && rank <= TG_EVAL_RANK);
    TgArray a = {.dtype = dtype, .rank = rank, .count = 1, .kind = TG_TENSOR};
    size_t size = tg_array_element(mode, dtype);
    for (int32_t i = 0; i < rank; i++) {
        TG_CHECK(tg, dim[i] >= 0);
        size = tg_product(tg, size, dim[i] ? (size_t)dim[i] : 1);
        a.dim[i] = dim[i];
        a.count *= dim[i];
    }
    a.data = new_block(tg, a.count ? size : 0, &a.owners);
    return a;
}

TgArray eval_items_new(Tg *tg, TgKind kind, TgDtype dtype, uint32_t n)
{
    TgArray a = {.kind = kind, .dtype = dtype, .n_items = n};
    a.item = new_block(tg, tg_product(tg, n, sizeof(TgArray)), &a.owners);
    memset(a.item, 0, n * sizeof(TgArray));
    return a;
}

TgArray tg_array_share(const TgArray *a)
{
    if (a->owners)
        (*a->owners)++;
    return *a;
}

void tg_array_drop(Tg *tg, TgArray *a)
{
    if (a->owners && --*a->owners == 0) {
        for (uint32_t i = 0; i < a->n_items; i++) /* sequences hold tensors, optionals at most a sequence */
            tg_array_drop(tg, &a->item[i]);
        tg_heap_free(tg, a->owners);
    }
    /* Without axes sizes mean nothing; to clear them took a quarter of a loop's time. */
    memset(a, 0, offsetof(TgArray, dim));
    memset(&a->count, 0, sizeof *a - offsetof(TgArray, count));
}

/* --- single elements ------------------------------------------------------------------------------------ */

double tg_array_float(TgEvalMode mode, const TgArray *a, int64_t i)
{
    if (eval_carrier(a->dtype) == TG_C_INT) {
        int64_t x = eval_ints_of(a)[i];
        return a->dtype == TG_u64 ? (double)(uint64_t)x : (double)x;
    }
    if (mode == TG_EVAL_FIELD)
        return eval_field_shadow(((const TgFelt *)a->data)[i]);
    return wide(mode, a) ? ((const double *)a->data)[i] : (double)((const float *)a->data)[i];
}

int64_t tg_array_int(const TgArray *a, int64_t i)
{
    return eval_ints_of(a)[i];
}

void tg_array_set_float(TgEvalMode mode, TgArray *a, int64_t i, double x)
{
    if (mode == TG_EVAL_FIELD)
        ((TgFelt *)a->data)[i] = tg_felt_float(x);
    else if (wide(mode, a))
        ((double *)a->data)[i] = x;
    else
        ((float *)a->data)[i] = (float)x;
}

void tg_array_set_int(TgArray *a, int64_t i, int64_t x)
{
    eval_ints_of(a)[i] = x;
}

/* --- from tensors and back ------------------------------------------------------------------------------ */

/* The file's own bytes serve as the carrier: same width, and aligned for it. */
static bool can_borrow(TgEvalMode mode, const TgTensor *t)
{
    if (t->payload != TG_MAPPED && t->payload != TG_OWNED)
        return false;
    bool single = mode == TG_EVAL_NATIVE || mode == TG_EVAL_F32, twice = mode == TG_EVAL_NATIVE || mode == TG_EVAL_F64;
    bool same = t->dtype == TG_i64 || t->dtype == TG_u64 ||
                ((t->dtype == TG_f32 || t->dtype == TG_c64) && single) ||
                ((t->dtype == TG_f64 || t->dtype == TG_c128) && twice);
    return same && t->bytes && (uintptr_t)t->bytes % _Alignof(double) == 0;
}

static void unpack_reals(TgEvalMode mode, const TgTensor *t, TgArray *a)
{
    bool complex = tg_dtype_class(t->dtype) == TG_CLASS_C;
    TgDtype part = !complex ? t->dtype : t->dtype == TG_c64 ? TG_f32 : TG_f64;
    size_t n = reals(a);
    if (mode == TG_EVAL_FIELD)
        for (size_t i = 0; i < n; i++)
            ((TgFelt *)a->data)[i] = tg_felt_float(tg_load_float(part, t->bytes, i));
    else if (wide(mode, a))
        tg_load_f64s(part, t->bytes, n, a->data);
    else
        tg_load_f32s(part, t->bytes, n, a->data);
}

/* Element 0 has been written: repeats it. */
static void repeat_first(TgArray *a, size_t element)
{
    uint8_t *at = a->data;
    size_t total = (size_t)a->count * element;
    for (size_t have = element; have < total; have *= 2)
        memcpy(at + have, at, have < total - have ? have : total - have);
}

/* Matrices of codes are large: those of one byte, and of half of one, are read without asking for the type each time. */
static void unpack_ints(const TgTensor *t, TgArray *a)
{
    int64_t *to = eval_ints_of(a), n = a->count, i = 0;
    const uint8_t *from = t->bytes;
    if (t->dtype == TG_i8)
        for (; i < n; i++)
            to[i] = (int8_t)from[i];
    else if (t->dtype == TG_u8)
        for (; i < n; i++)
            to[i] = from[i];
    else if (t->dtype == TG_i4)
        for (; i < n; i++)
            to[i] = ((from[i / 2] >> i % 2 * 4 & 15) ^ 8) - 8;
    for (; i < n; i++)
        to[i] = tg_load_integer(t->dtype, from, (size_t)i);
}

static void unpack(TgEvalMode mode, const TgTensor *t, TgArray *a)
{
    int64_t count = a->count;
    if (count == 0)
        return;
    if (t->payload == TG_SPLAT)
        a->count = 1;
    if (t->payload == TG_STRINGS)
        memcpy(a->data, t->strings, (size_t)count * sizeof(TgBytes));
    else if (eval_is_real(a))
        unpack_reals(mode, t, a);
    else
        unpack_ints(t, a);
    a->count = count;
    if (t->payload == TG_SPLAT)
        repeat_first(a, tg_array_element(mode, a->dtype));
}

static TgArray borrowed(const TgTensor *t)
{
    TgArray a = {.dtype = t->dtype, .rank = t->rank, .count = (int64_t)t->count, .kind = TG_TENSOR};
    union {
        const uint8_t *in;
        void *out;
    } bytes = {.in = t->bytes}; /* never written: borrowed arrays are read-only */
    a.data = bytes.out;
    memcpy(a.dim, t->dim, (size_t)t->rank * sizeof *t->dim);
    return a;
}

TgArray tg_array_from_tensor(Tg *tg, TgEvalMode mode, const TgTensor *t)
{
    if (t->rank > TG_EVAL_RANK) {
        tg_report(tg, TG_E_eval_rank, (int)t->rank, (int)TG_EVAL_RANK);
        return (TgArray){0};
    }
    if (mode == TG_EVAL_FIELD && tg_dtype_class(t->dtype) == TG_CLASS_C) {
        tg_report(tg, TG_E_eval_type, tg_dtype_text(t->dtype));
        return (TgArray){0};
    }
    if (can_borrow(mode, t))
        return borrowed(t);
    TgMark mark = tg_mark(tg_scratch(tg));
    const TgTensor *bytes = t->payload == TG_RECIPE ? tg_tensor_materialize(tg_scratch(tg), t) : t;
    TgArray a = {0};
    if (bytes) {
        a = tg_array_new(tg, mode, t->dtype, t->rank, t->dim);
        unpack(mode, bytes, &a);
    }
    tg_release(tg_scratch(tg), mark);
    return a;
}

static void pack_reals(TgEvalMode mode, const TgArray *a, void *bytes)
{
    bool complex = tg_dtype_class(a->dtype) == TG_CLASS_C;
    TgDtype part = !complex ? a->dtype : a->dtype == TG_c64 ? TG_f32 : TG_f64;
    size_t n = reals(a);
    if (!wide(mode, a)) {
        tg_store_f32s(part, bytes, n, a->data);
        return;
    }
    TgArray flat = *a; /* its elements one real each, so that tg_array_float can read them */
    flat.dtype = part;
    for (size_t i = 0; i < n; i++)
        tg_store_float(part, bytes, i, tg_array_float(mode, &flat, (int64_t)i));
}

TgTensor *tg_array_to_tensor(TgArena *arena, TgEvalMode mode, const TgArray *a)
{
    if (a->dtype == TG_str)
        return tg_tensor_strings(arena, a->rank, a->dim, a->data);
    void *bytes;
    TgTensor *t = tg_tensor_blank(arena, a->dtype, a->rank, a->dim, &bytes);
    if (!t || a->count == 0)
        return t;
    if (eval_is_real(a))
        pack_reals(mode, a, bytes);
    else
        for (int64_t i = 0; i < a->count; i++)
            tg_store_integer(a->dtype, bytes, (size_t)i, eval_ints_of(a)[i]);
    return t;
}

/* --- between number types ------------------------------------------------------------------------------- */

/* Sequences and optionals nest as deep as types do. */
static TgArray convert_items(Tg *tg, const TgArray *a, TgEvalMode from, TgEvalMode to)
{
    TgArray b = eval_items_new(tg, a->kind, a->dtype, a->n_items);
    for (uint32_t i = 0; i < a->n_items; i++)
        b.item[i] = eval_convert(tg, &a->item[i], from, to);
    return b;
}

/* A copy of `a` (carrier of mode `from`) in the carrier of mode `to`, or `a` shared where they agree. */
TgArray eval_convert(Tg *tg, const TgArray *a, TgEvalMode from, TgEvalMode to)
{
    if (a->kind != TG_TENSOR && a->n_items && from != to)
        return convert_items(tg, a, from, to);
    if (a->kind != TG_TENSOR || !eval_is_real(a) ||
        tg_array_element(from, a->dtype) == tg_array_element(to, a->dtype))
        return tg_array_share(a);
    TgArray b = tg_array_new(tg, to, a->dtype, a->rank, a->dim);
    size_t n = reals(a);
    if (wide(to, &b))
        for (size_t i = 0; i < n; i++)
            ((double *)b.data)[i] = (double)((const float *)a->data)[i];
    else
        for (size_t i = 0; i < n; i++)
            ((float *)b.data)[i] = (float)((const double *)a->data)[i];
    return b;
}

/* Rounds reals to their element type and wraps integers to theirs, in place: what a kernel left wider than
 * it is. TG_EVAL_F64 is meant to show what rounding does, so there only types that cannot be meant as reals
 * are rounded. */
void eval_finish(TgEvalMode outer, TgEvalMode inner, TgArray *a)
{
    uint32_t bits = tg_dtype_bits(a->dtype);
    if (a->kind != TG_TENSOR || a->dtype == TG_str || tg_dtype_class(a->dtype) == TG_CLASS_C)
        return;
    if (eval_is_real(a)) {
        if (bits > 16 || (outer == TG_EVAL_F64 && bits == 16) || outer == TG_EVAL_FIELD)
            return;
        if (!wide(inner, a)) {
            tg_round_f32s(a->dtype, a->data, (size_t)a->count);
            return;
        }
        for (int64_t i = 0; i < a->count; i++)
            ((double *)a->data)[i] = tg_round_float(a->dtype, ((double *)a->data)[i], false);
    } else if (bits < 64 && tg_is_integer(a->dtype)) {
        for (int64_t i = 0; i < a->count; i++)
            eval_ints_of(a)[i] = tg_wrap_integer(a->dtype, eval_ints_of(a)[i]);
    }
}
