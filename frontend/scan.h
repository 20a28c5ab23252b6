/* Wire scanner: protocol-buffer messages read where they lie, without copying or allocating.
 *
 * scan_check looks at every byte of structure once: lengths, tags, depth, strings, counts, and what the
 * file may cost in memory. After it, scan_next cannot fail, so that all readers are plain loops.
 */
#ifndef TG_FRONTEND_SCAN_H
#define TG_FRONTEND_SCAN_H

#include "ir/ir.h"

typedef enum {
    WIRE_NONE,
#define MESSAGE(name) WIRE_##name,
#define FIELD(message, name, number, kind, child, cost)
#include "wire.def"
#undef MESSAGE
#undef FIELD
    WIRE_COUNT
} WireMessage;

enum { /* field numbers: GRAPH_node, TENSOR_raw_data ... */
#define MESSAGE(name)
#define FIELD(message, name, number, kind, child, cost) message##_##name = number,
#include "wire.def"
#undef MESSAGE
#undef FIELD
};

typedef enum { /* AttributeProto.type */
    AT_NONE, AT_FLOAT, AT_INT, AT_STRING, AT_TENSOR, AT_GRAPH, AT_FLOATS, AT_INTS, AT_STRINGS, AT_TENSORS,
    AT_GRAPHS, AT_SPARSE, AT_SPARSES, AT_TYPE, AT_TYPES
} AttrType;

typedef struct {
    uint32_t number;
    uint8_t wire;    /* 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    uint64_t value;  /* varint; the bits of a fixed number */
    TgBytes bytes;   /* wire 2: contents */
    TgBytes whole;   /* with its tag */
} WireField;

/* Takes the next field off `rest`; false at the end (or where the bytes are unsound, which scan_check
 * excludes). */
bool scan_next(TgBytes *rest, WireField *field);
bool scan_knows(WireMessage message, uint32_t number);
/* NULL: a string that files may have. Otherwise what is wrong: "a string with a NUL byte". */
const char *scan_text_fault(TgBytes text, bool is_name);
/* Next number of a repeated field; `rest` starts as the contents of a packed field. */
bool scan_varint(TgBytes *rest, uint64_t *value);
static inline float scan_float(const WireField *f)
{
    uint32_t bits = (uint32_t)f->value;
    union {
        uint32_t u;
        float f;
    } x = {bits};
    return x.f;
}

/* The numbers of a repeated field, however they are spelled, in the order of the file: start with {.field
 * = number, .rest = the message}. size: 0 varint, else bytes of one number. */
typedef struct {
    TgBytes rest, packed;
    uint32_t field, size;
} WireNumbers;
bool scan_number(WireNumbers *numbers, uint64_t *value);

/* Walks a message of this kind that was found in a file (offsets count from `file_start`). *budget: bytes of
 * memory that the graph may take beyond what the scan has counted. False: recorded. */
bool scan_check(Tg *tg, TgBytes message, WireMessage kind, const uint8_t *file_start, uint64_t *budget);

#endif
