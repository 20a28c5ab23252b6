/* SparseTensorProto: values and where they go, made dense. Indices are positions in the flattened tensor, or
 * one row of coordinates for each value.
 *
 * A small file can describe a huge tensor, hence the budget: what exceeds it stays sparse (the caller
 * keeps it as an operator Constant with a sparse value).
 */
#include "import.h"

#include <string.h>

typedef struct {
    TgBytes values, indices;
    int32_t rank;
    int64_t dim[TG_MAX_RANK];
    size_t count;
} Sparse;

static bool read_sizes(Reader *r, TgBytes message, Sparse *s)
{
    WireNumbers dims = {.rest = message, .field = SPARSE_dims};
    uint64_t dim;
    s->count = 1;
    while (scan_number(&dims, &dim)) {
        if (!tg_within(r->tg, TG_LIMIT_rank, (uint64_t)s->rank + 1))
            return false;
        if ((int64_t)dim < 0)
            return tg_report(r->tg, TG_E_tensor_dim, (long long)dim);
        s->dim[s->rank++] = (int64_t)dim;
        if (__builtin_mul_overflow(s->count, (size_t)dim, &s->count) || s->count > SIZE_MAX / 32)
            return tg_report(r->tg, TG_E_tensor_big);
    }
    return true;
}

static bool read_message(Reader *r, TgBytes message, Sparse *s)
{
    TgBytes rest = message;
    WireField f;
    *s = (Sparse){0};
    while (scan_next(&rest, &f)) {
        if (f.number == SPARSE_values)
            s->values = f.bytes;
        else if (f.number == SPARSE_indices)
            s->indices = f.bytes;
    }
    return read_sizes(r, message, s);
}

bool sparse_type(Reader *r, TgBytes message, TgName *name, const TgType **type)
{
    Sparse s;
    WireField f;
    int32_t dtype = 0;
    *name = NULL;
    if (!read_message(r, message, &s))
        return false;
    while (scan_next(&s.values, &f)) {
        if (f.number == TENSOR_name)
            *name = wire_name(r, f.bytes);
        else if (f.number == TENSOR_data_type)
            dtype = (int32_t)f.value;
    }
    if (dtype <= 0 || dtype >= TG_DTYPE_COUNT || dtype == TG_str)
        return tg_report(r->tg, TG_E_tensor_type, (long long)dtype);
    *type = tg_type_known(r->tg, (TgDtype)dtype, s.rank, s.dim);
    return true;
}

/* --- kept as an attribute ----------------------------------------------------------------------------------------- */

static size_t put_varint(uint8_t *to, uint64_t x)
{
    size_t n = 0;
    for (; x > 0x7f; x >>= 7)
        to[n++] = (uint8_t)(x | 0x80);
    to[n++] = (uint8_t)x;
    return n;
}

TgAttr sparse_attr(Reader *r, TgBytes message)
{
    enum { TYPE_SPARSE = 11, LENGTH = 2, MOST = 64 /* bytes beside the message */ };
    static const char name[] = "sparse_value";
    uint8_t *at = tg_new(r->arena, message.n + MOST), *start = at;
    at += put_varint(at, ATTRIBUTE_name << 3 | LENGTH);
    at += put_varint(at, sizeof name - 1);
    memcpy(at, name, sizeof name - 1);
    at += sizeof name - 1;
    at += put_varint(at, ATTRIBUTE_sparse_tensor << 3 | LENGTH);
    at += put_varint(at, message.n);
    if (message.n)
        memcpy(at, message.at, message.n);
    at += message.n;
    at += put_varint(at, ATTRIBUTE_type << 3);
    at += put_varint(at, TYPE_SPARSE);
    TgBytes whole = {start, (size_t)(at - start)};
    return (TgAttr){.name = tg_name(r->tg, name), .kind = TG_A_RAW, .n = 1, .u.s = whole};
}

/* --- made dense --------------------------------------------------------------------------------------------------- */

/* Flat position of value i; false: recorded. */
static bool position(Reader *r, const Sparse *s, const TgTensor *indices, size_t i, size_t *flat)
{
    bool linear = indices->rank == 1;
    *flat = 0;
    for (int32_t d = 0; d < (linear ? 1 : s->rank); d++) {
        int64_t limit = linear ? (int64_t)s->count : s->dim[d];
        int64_t x = tg_tensor_int(r->tg, indices, linear ? i : i * (size_t)s->rank + (size_t)d);
        if (x < 0 || x >= limit)
            return tg_report(r->tg, TG_E_sparse_index, (long long)x, (long long)limit);
        *flat = *flat * (size_t)limit + (size_t)x;
    }
    return true;
}

/* Copies element `from` of one packed array to element `to` of another of the same type. */
static void copy_element(TgDtype t, uint8_t *to, size_t to_index, const TgTensor *from, size_t from_index)
{
    size_t bytes = tg_dtype_bits(t) / 8;
    if (bytes > 0)
        memcpy(to + to_index * bytes, from->bytes + from_index * bytes, bytes);
    else if (tg_is_float(t))
        tg_store_float(t, to, to_index, tg_load_float(t, from->bytes, from_index));
    else
        tg_store_integer(t, to, to_index, tg_load_integer(t, from->bytes, from_index));
}

static bool fits(const Sparse *s, const TgTensor *values, const TgTensor *indices)
{
    bool linear = indices->rank == 1 && indices->dim[0] == (int64_t)values->count;
    bool rows = indices->rank == 2 && indices->dim[0] == (int64_t)values->count && indices->dim[1] == s->rank;
    return values->rank == 1 && values->dtype != TG_str && indices->dtype == TG_i64 && (linear || rows);
}

TgTensor *read_sparse(Reader *r, TgArena *arena, TgBytes message, TgName *name, bool *too_big)
{
    Sparse s;
    TgName ignored;
    *too_big = false;
    *name = NULL;
    if (!read_message(r, message, &s))
        return NULL;
    TgTensor *values = read_tensor(r, r->arena, s.values, name);
    TgTensor *indices = values ? read_tensor(r, r->arena, s.indices, &ignored) : NULL;
    if (!indices)
        return NULL;
    if (!fits(&s, values, indices)) {
        tg_report(r->tg, TG_E_sparse_form);
        return NULL;
    }
    *too_big = tg_dtype_bytes(values->dtype, s.count) > r->budget;
    if (*too_big)
        return NULL;
    void *bytes;
    TgTensor *dense = tg_tensor_blank(arena, values->dtype, s.rank, s.dim, &bytes);
    take_budget(r, dense->size);
    for (size_t i = 0; i < values->count; i++) {
        size_t flat;
        if (!position(r, &s, indices, i, &flat))
            return NULL;
        copy_element(values->dtype, bytes, flat, values, i);
    }
    return dense;
}
