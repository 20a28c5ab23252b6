/* TensorProto: shape, type, and one of seven storage fields.
 *
 * Bytes that lie in a file in our layout (raw_data, one packed run of floats, external data) are
 * referenced there, whatever their alignment. Only spelled-out integers (varints) are decoded. The payload
 * must have just the size that the shape asks for, and no second storage field may be set.
 */
#include "import.h"

#include <string.h>

/* --- the message -------------------------------------------------------------------------------------------------- */

typedef enum {
    IN_NONE,
    IN_RAW,
    IN_FLOAT,
    IN_INT32,
    IN_INT64,
    IN_DOUBLE,
    IN_UINT64,
    IN_STRING,
    IN_FILE
} Storage;

typedef struct {
    TgDtype dtype;
    int32_t rank;
    int64_t dim[TG_MAX_RANK];
    size_t count, size; /* elements, bytes as we store them */
    Storage storage;
    uint32_t storages; /* how many kinds are set */
    TgBytes last;      /* contents of the last storage field, and */
    uint32_t fields;   /* how many of them there are */
} Header;

static Storage storage_of(uint32_t field)
{
    switch (field) {
    case TENSOR_raw_data: return IN_RAW;
    case TENSOR_float_data: return IN_FLOAT;
    case TENSOR_int32_data: return IN_INT32;
    case TENSOR_int64_data: return IN_INT64;
    case TENSOR_double_data: return IN_DOUBLE;
    case TENSOR_uint64_data: return IN_UINT64;
    case TENSOR_string_data: return IN_STRING;
    default: return IN_NONE;
    }
}

/* An empty numeric field says nothing: some writers set one beside the real one. An empty string is an
 * element. */
static void note_storage(Header *h, const WireField *f)
{
    Storage storage = storage_of(f->number);
    if (storage == IN_NONE || (f->wire == 2 && f->bytes.n == 0 && storage != IN_STRING))
        return;
    h->storages += storage != h->storage;
    h->storage = storage;
    h->last = f->wire == 2 ? f->bytes : (TgBytes){NULL, 0};
    h->fields++;
}

static bool note_dim(Reader *r, Header *h, uint64_t value)
{
    int64_t dim = (int64_t)value;
    if (!tg_within(r->tg, TG_LIMIT_rank, (uint64_t)h->rank + 1))
        return false;
    if (dim < 0)
        return tg_report(r->tg, TG_E_tensor_dim, (long long)dim);
    h->dim[h->rank++] = dim;
    return true;
}

/* Elements and bytes; neither may overflow, even where a later size is 0. */
static bool measure(Reader *r, Header *h)
{
    size_t count = 1;
    bool empty = false;
    for (int32_t i = 0; i < h->rank; i++) {
        empty |= h->dim[i] == 0;
        if (h->dim[i] != 0 && __builtin_mul_overflow(count, (size_t)h->dim[i], &count))
            return tg_report(r->tg, TG_E_tensor_big);
    }
    if (count > SIZE_MAX / 32)
        return tg_report(r->tg, TG_E_tensor_big);
    h->count = empty ? 0 : count;
    h->size = tg_dtype_bytes(h->dtype, h->count);
    return true;
}

static bool read_header(Reader *r, TgBytes message, Header *h, TgName *name)
{
    *h = (Header){0};
    WireNumbers dims = {.rest = message, .field = TENSOR_dims};
    uint64_t value;
    WireField f;
    int32_t dtype = 0;
    bool in_file = false;
    while (scan_number(&dims, &value))
        if (!note_dim(r, h, value))
            return false;
    while (scan_next(&message, &f)) {
        note_storage(h, &f);
        if (f.number == TENSOR_name)
            *name = wire_name(r, f.bytes);
        else if (f.number == TENSOR_data_type)
            dtype = (int32_t)f.value;
        else if (f.number == TENSOR_segment)
            return tg_report(r->tg, TG_E_tensor_segment);
        else if (f.number == TENSOR_data_location)
            in_file = f.value == 1;
    }
    if (in_file) {
        h->storage = IN_FILE;
        h->storages++;
    }
    if (*name)
        tg_place(r->tg)->node = *name;
    tg_place(r->tg)->op = tg_name(r->tg, "tensor");
    if (dtype <= 0 || dtype >= TG_DTYPE_COUNT || tg_dtype_class((TgDtype)dtype) == TG_CLASS_NONE)
        return tg_report(r->tg, TG_E_tensor_type, (long long)dtype);
    h->dtype = (TgDtype)dtype;
    if (h->storages > 1)
        return tg_report(r->tg, TG_E_tensor_twice);
    return measure(r, h);
}

/* --- numbers that are spelled out --------------------------------------------------------------------------------- */

/* Which field holds the elements of a type, as which numbers: `wide` bytes of our layout each; `each`
 * numbers make one element, or, where it is 0, one number holds a whole byte of packed elements. */
typedef struct {
    Storage storage;
    uint8_t field, width; /* width on the wire; 0: varint */
    uint8_t bytes, each;
} Spelling;

static Spelling spelling_of(TgDtype t)
{
    uint32_t bits = tg_dtype_bits(t);
    uint8_t bytes = (uint8_t)(bits < 8 ? 1 : bits / 8);
    switch (t) {
    case TG_f32: return (Spelling){IN_FLOAT, TENSOR_float_data, 4, 4, 1};
    case TG_c64: return (Spelling){IN_FLOAT, TENSOR_float_data, 4, 4, 2};
    case TG_f64: return (Spelling){IN_DOUBLE, TENSOR_double_data, 8, 8, 1};
    case TG_c128: return (Spelling){IN_DOUBLE, TENSOR_double_data, 8, 8, 2};
    case TG_i64: return (Spelling){IN_INT64, TENSOR_int64_data, 0, 8, 1};
    case TG_u32:
    case TG_u64: return (Spelling){IN_UINT64, TENSOR_uint64_data, 0, bytes, 1};
    default: return (Spelling){IN_INT32, TENSOR_int32_data, 0, bytes, bits < 8 ? 0 : 1};
    }
}

static bool wrong_size(Reader *r, const Header *h, size_t have, const char *unit, size_t want)
{
    TgText shape;
    tg_text_init(&shape, r->arena);
    for (int32_t i = 0; i < h->rank; i++)
        tg_text_format(&shape, "%s%lld", i ? "," : "", (long long)h->dim[i]);
    return tg_report(r->tg, TG_E_tensor_size, have, unit, tg_dtype_text(h->dtype), h->rank ? shape.at : "",
                     want);
}

/* Collects the numbers of one field in the low bytes of each: little-endian, as ONNX stores raw data. */
static TgTensor *spelled(Reader *r, TgArena *arena, TgBytes message, const Header *h)
{
    Spelling s = spelling_of(h->dtype);
    size_t want = s.each ? h->count * s.each : h->size, have = 0;
    if (s.storage != h->storage) {
        tg_report(r->tg, TG_E_tensor_field, tg_dtype_text(h->dtype));
        return NULL;
    }
    WireNumbers numbers = {.rest = message, .field = s.field, .size = s.width};
    uint64_t value;
    if (s.width && h->fields == 1 && h->last.n == h->size)
        return tg_tensor_mapped(arena, h->dtype, h->rank, h->dim, r->file,
                                (size_t)(h->last.at - r->file->bytes));
    if (!take_budget(r, h->size))
        return NULL;
    void *blank;
    TgTensor *t = tg_tensor_blank(arena, h->dtype, h->rank, h->dim, &blank);
    uint8_t *bytes = blank;
    for (; scan_number(&numbers, &value); have++)
        for (uint32_t i = 0; have < want && i < s.bytes; i++)
            bytes[have * s.bytes + i] = (uint8_t)(value >> (8 * i));
    if (have != want) {
        wrong_size(r, h, have, "numbers", want);
        return NULL;
    }
    return t;
}

static TgTensor *strings(Reader *r, TgArena *arena, TgBytes message, const Header *h)
{
    TgBytes *at;
    size_t n = 0;
    WireField f;
    if (h->count != h->fields || (h->count && h->storage != IN_STRING)) {
        wrong_size(r, h, h->fields, "strings", h->count);
        return NULL;
    }
    at = TG_NEW_N(arena, TgBytes, h->count ? h->count : 1);
    while (scan_next(&message, &f))
        if (f.number == TENSOR_string_data)
            at[n++] = f.bytes;
    return tg_tensor_strings(arena, h->rank, h->dim, at);
}

/* --- all together ------------------------------------------------------------------------------------------------- */

static TgTensor *in_place(Reader *r, TgArena *arena, TgBytes message, const Header *h)
{
    const TgFile *file = r->file;
    size_t offset = h->storage == IN_RAW ? (size_t)(h->last.at - file->bytes) : 0;
    if (h->storage == IN_RAW && (h->last.n != h->size || h->fields > 1)) {
        wrong_size(r, h, h->last.n, "bytes", h->size);
        return NULL;
    }
    if (h->storage == IN_FILE && !find_external(r, message, h->size, &file, &offset))
        return NULL;
    TgTensor *t = tg_tensor_mapped(arena, h->dtype, h->rank, h->dim, file, offset);
    t->external = h->storage == IN_FILE;
    return t;
}

static TgTensor *read_payload(Reader *r, TgArena *arena, TgBytes message, const Header *h)
{
    if (h->dtype == TG_str)
        return strings(r, arena, message, h);
    if (h->count == 0 && h->storage == IN_NONE)
        return tg_tensor_owned(arena, h->dtype, h->rank, h->dim, "");
    if (h->storage == IN_RAW || h->storage == IN_FILE)
        return in_place(r, arena, message, h);
    if (h->storage == IN_NONE) {
        wrong_size(r, h, 0, "bytes", h->size);
        return NULL;
    }
    return spelled(r, arena, message, h);
}

TgTensor *read_tensor(Reader *r, TgArena *arena, TgBytes message, TgName *name)
{
    Header h;
    TgPlace before = *tg_place(r->tg);
    *name = NULL;
    if (!read_header(r, message, &h, name))
        return NULL;
    TgTensor *t = read_payload(r, arena, message, &h);
    WireField f;
    if (!t)
        return NULL;
    t->unknown = unknown_fields(arena, message, WIRE_TENSOR);
    while (scan_next(&message, &f))
        if (f.number == TENSOR_doc_string)
            t->doc = wire_name(r, f.bytes);
    *tg_place(r->tg) = before;
    return t;
}
