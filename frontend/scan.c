/* One pass over the structure of a file, with an explicit stack; what it looks for is the table wire.def.
 *
 * Nothing is allocated, so a file of any size costs time only: about a nanosecond per byte of structure,
 * nothing for payloads, which are stepped over.
 */
#include "scan.h"

#include <string.h>

/* --- fields ------------------------------------------------------------------------------------------------------- */

bool scan_varint(TgBytes *rest, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < 10 && i < rest->n; i++) {
        uint8_t byte = rest->at[i];
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            rest->at += i + 1;
            rest->n -= i + 1;
            return i < 9 || byte <= 1;
        }
    }
    return false;
}

static bool take_fixed(TgBytes *rest, uint32_t size, uint64_t *value)
{
    if (rest->n < size)
        return false;
    *value = 0;
    for (uint32_t i = size; i-- > 0;)
        *value = *value << 8 | rest->at[i];
    rest->at += size;
    rest->n -= size;
    return true;
}

static bool take_bytes(TgBytes *rest, TgBytes *bytes)
{
    uint64_t n;
    if (!scan_varint(rest, &n) || n > rest->n)
        return false;
    *bytes = (TgBytes){rest->at, (size_t)n};
    rest->at += n;
    rest->n -= (size_t)n;
    return true;
}

bool scan_next(TgBytes *rest, WireField *field)
{
    const uint8_t *start = rest->at;
    uint64_t tag;
    if (rest->n == 0 || !scan_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
        return false;
    field->number = (uint32_t)(tag >> 3);
    field->wire = (uint8_t)(tag & 7);
    bool fine = false;
    switch (field->wire) {
    case 0: fine = scan_varint(rest, &field->value); break;
    case 1: fine = take_fixed(rest, 8, &field->value); break;
    case 2: fine = take_bytes(rest, &field->bytes); break;
    case 5: fine = take_fixed(rest, 4, &field->value); break;
    default: break; /* groups: nobody writes them */
    }
    field->whole = (TgBytes){start, (size_t)(rest->at - start)};
    return fine;
}

bool scan_number(WireNumbers *numbers, uint64_t *value)
{
    for (;;) {
        if (numbers->packed.n > 0)
            return numbers->size ? take_fixed(&numbers->packed, numbers->size, value)
                                 : scan_varint(&numbers->packed, value);
        WireField f;
        do
            if (!scan_next(&numbers->rest, &f))
                return false;
        while (f.number != numbers->field);
        if (f.wire != 2) {
            *value = f.value;
            return true;
        }
        numbers->packed = f.bytes;
    }
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

typedef enum {
    K_UNKNOWN, K_INT, K_FIX32, K_NAME, K_TEXT, K_DATA, K_BULK, K_SUB, K_INTS, K_FLOATS, K_DOUBLES
} Kind;

typedef struct {
    uint8_t kind, child;
    uint16_t cost;
    const char *name;
} Fact;

enum { FIELD_NUMBERS = 32 };

static const Fact facts[WIRE_COUNT][FIELD_NUMBERS] = {
#define MESSAGE(name)
#define FIELD(message, name, number, kind, child, cost) \
    [WIRE_##message][number] = {K_##kind, WIRE_##child, cost, #name},
#include "wire.def"
#undef MESSAGE
#undef FIELD
};

static const char *const messages[WIRE_COUNT] = {
#define MESSAGE(name) [WIRE_##name] = #name,
#define FIELD(message, name, number, kind, child, cost)
#include "wire.def"
#undef MESSAGE
#undef FIELD
};

static const Fact *fact_of(WireMessage message, uint32_t number)
{
    static const Fact unknown = {.kind = K_UNKNOWN, .name = "unknown"};
    return number < FIELD_NUMBERS ? &facts[message][number] : &unknown;
}

bool scan_knows(WireMessage message, uint32_t number) { return fact_of(message, number)->kind != K_UNKNOWN; }

/* --- strings ------------------------------------------------------------------------------------------------------ */

/* Length of the UTF-8 sequence at s (n bytes are left); 0: it is none. Surrogates and overlong forms are
 * refused. */
static size_t utf8(const uint8_t *s, size_t n)
{
    static const struct {
        uint8_t mask, lead, low, high;
    } forms[] = {{0xe0, 0xc0, 0x80, 0xbf}, {0xf0, 0xe0, 0x80, 0xbf}, {0xf8, 0xf0, 0x80, 0xbf}};
    if (s[0] < 0x80)
        return 1;
    for (size_t extra = 1; extra <= 3; extra++) {
        if ((s[0] & forms[extra - 1].mask) != forms[extra - 1].lead)
            continue;
        if (n <= extra || s[0] < 0xc2 || s[0] > 0xf4)
            return 0;
        for (size_t i = 1; i <= extra; i++)
            if ((s[i] & 0xc0) != 0x80)
                return 0;
        bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
                   (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
        return bad ? 0 : extra + 1;
    }
    return 0;
}

/* NULL: a sound string. Otherwise what is wrong. */
const char *scan_text_fault(TgBytes text, bool is_name)
{
    for (size_t i = 0; i < text.n;) {
        if (text.at[i] == 0)
            return "a string with a NUL byte";
        if (is_name && (text.at[i] < 0x20 || text.at[i] == 0x7f))
            return "a name with a control character";
        size_t n = utf8(text.at + i, text.n - i);
        if (n == 0)
            return "a string that is not UTF-8";
        i += n;
    }
    return NULL;
}

/* --- the walk ----------------------------------------------------------------------------------------------------- */

typedef struct {
    TgBytes rest;
    uint8_t message;
} Level;

typedef struct {
    Tg *tg;
    const uint8_t *start;
    uint64_t nodes, functions, cost, bulk;
    uint32_t depth;
    Level level[TG_MOST_depth];
} Scan;

static bool unsound(const Scan *s, const uint8_t *at, WireMessage in, const char *what)
{
    return tg_report(s->tg, TG_E_bad_wire, (size_t)(at - s->start), messages[in], what);
}

/* How often the contents of a field lie in memory at a time: an attribute is decoded, collected and interned. */
static uint64_t copies(WireMessage in) { return in == WIRE_ATTRIBUTE ? 3 : 1; }

/* Numbers of a packed field: whole ones only. Each is charged what it takes in memory. */
static bool check_numbers(Scan *s, WireMessage in, const Fact *fact, const WireField *f)
{
    if (f->wire != 2) {
        s->cost += copies(in) * 8;
        return true;
    }
    if (fact->kind != K_INTS) {
        uint32_t size = fact->kind == K_FLOATS ? 4 : 8;
        s->cost += copies(in) * f->bytes.n;
        return f->bytes.n % size == 0;
    }
    TgBytes rest = f->bytes;
    for (uint64_t ignored; rest.n > 0;)
        if (!scan_varint(&rest, &ignored))
            return false;
    s->cost += copies(in) * 8 * f->bytes.n;
    return true;
}

/* The wire type that a kind has. Repeated numbers also come one by one. */
static bool wire_fits(Kind kind, uint8_t wire)
{
    switch (kind) {
    case K_UNKNOWN: return true;
    case K_INT: return wire == 0;
    case K_FIX32: return wire == 5;
    case K_INTS: return wire == 0 || wire == 2;
    case K_FLOATS: return wire == 5 || wire == 2;
    case K_DOUBLES: return wire == 1 || wire == 2;
    default: return wire == 2;
    }
}

static bool descend(Scan *s, const Fact *fact, const WireField *f)
{
    s->nodes += fact->child == WIRE_NODE;
    s->functions += fact->child == WIRE_FUNCTION;
    if (!tg_within(s->tg, TG_LIMIT_depth, s->depth + 1u) || !tg_within(s->tg, TG_LIMIT_nodes, s->nodes) ||
        !tg_within(s->tg, TG_LIMIT_functions, s->functions))
        return false;
    s->level[s->depth++] = (Level){f->bytes, fact->child};
    return true;
}

static bool check_field(Scan *s, WireMessage in, const WireField *f)
{
    const Fact *fact = fact_of(in, f->number);
    if (!wire_fits(fact->kind, f->wire))
        return unsound(s, f->whole.at, in, "a field of the wrong wire type");
    s->cost += fact->cost;
    switch ((Kind)fact->kind) {
    case K_SUB: return descend(s, fact, f);
    case K_BULK: s->bulk += f->bytes.n; return true;
    case K_INTS: case K_FLOATS: case K_DOUBLES:
        return check_numbers(s, in, fact, f) || unsound(s, f->whole.at, in, "packed numbers that are cut off");
    case K_NAME: case K_TEXT: {
        const char *fault = scan_text_fault(f->bytes, fact->kind == K_NAME);
        s->cost += f->bytes.n;
        if (fact->kind == K_NAME && !tg_within(s->tg, TG_LIMIT_name, f->bytes.n))
            return false;
        return !fault || unsound(s, f->whole.at, in, fault);
    }
    case K_DATA: s->cost += copies(in) * f->bytes.n; return true;
    default: return true;
    }
}

static bool walk(Scan *s)
{
    while (s->depth > 0) {
        Level *level = &s->level[s->depth - 1];
        const uint8_t *at = level->rest.at;
        WireField f;
        if (level->rest.n == 0)
            s->depth--;
        else if (!scan_next(&level->rest, &f))
            return unsound(s, at, level->message, "bytes that are no field");
        else if (!check_field(s, level->message, &f))
            return false;
    }
    return true;
}

bool scan_check(Tg *tg, TgBytes message, WireMessage kind, const uint8_t *file_start, uint64_t *budget)
{
    Scan s = {.tg = tg, .start = file_start, .depth = 1};
    s.level[0] = (Level){message, (uint8_t)kind};
    if (!walk(&s))
        return false;
    TgLimit limit;
    uint64_t total = tg_load_budget(tg, message.n - s.bulk, &limit);
    if (s.cost > total)
        return tg_report(tg, TG_E_load_budget, (size_t)s.cost, (size_t)total, tg_limit_info(limit)->option);
    *budget = total - s.cost;
    return true;
}
