/* Protocol buffers' wire format, written directly: a field is a tag (number, kind) and a varint, four bytes,
 * or a length and that many bytes. */
#include "write.h"

#include <string.h>

enum { VARINT = 0, LENGTH = 2, FIXED32 = 5, MAX_VARINT = 10 };

void wire_init(Wire *w, Tg *tg, TgArena *arena)
{
    *w = (Wire){.tg = tg, .arena = arena};
}

void wire_write_to(Wire *w, TgOutput *out)
{
    w->out = out;
    w->total = 0;
    w->next = 0;
}

static void emit(Wire *w, const void *bytes, size_t n)
{
    w->total += n;
    if (w->out && !w->failed)
        w->failed = !tg_output_write(w->out, bytes, n);
}

static void varint(Wire *w, uint64_t x)
{
    uint8_t bytes[MAX_VARINT];
    size_t n = 0;
    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (uint8_t)(x | 0x80);
    bytes[n++] = (uint8_t)x;
    emit(w, bytes, n);
}

static void tag(Wire *w, uint32_t field, uint32_t kind)
{
    varint(w, (uint64_t)field << 3 | kind);
}

/* While counting, a message's entry holds where it began until it closes. */
uint32_t wire_open(Wire *w, uint32_t field)
{
    uint32_t message = w->next++;
    tag(w, field, LENGTH);
    if (w->out)
        varint(w, w->length.at[message]);
    else
        TG_PUSH(w->arena, &w->length, w->total);
    return message;
}

void wire_close(Wire *w, uint32_t message)
{
    if (w->out)
        return;
    size_t length = w->total - w->length.at[message];
    w->length.at[message] = length;
    varint(w, length);
}

void wire_int(Wire *w, uint32_t field, int64_t x)
{
    tag(w, field, VARINT);
    varint(w, (uint64_t)x);
}

void wire_float(Wire *w, uint32_t field, float x)
{
    tag(w, field, FIXED32);
    emit(w, &x, sizeof x);
}

void wire_bytes(Wire *w, uint32_t field, TgBytes bytes)
{
    tag(w, field, LENGTH);
    varint(w, bytes.n);
    emit(w, bytes.at, bytes.n);
}

static void string(Wire *w, uint32_t field, const char *text, bool is_name)
{
    TgBytes bytes = {(const uint8_t *)text, strlen(text)};
    const char *fault = w->out ? NULL : scan_text_fault(bytes, is_name); /* once is enough */
    if (fault && !w->failed)
        w->failed = !tg_report(w->tg, TG_E_unwritable, fault, text);
    wire_bytes(w, field, bytes);
}

void wire_text(Wire *w, uint32_t field, const char *name)
{
    string(w, field, name ? name : "", true);
}

void wire_text_if(Wire *w, uint32_t field, const char *name)
{
    if (name && *name)
        string(w, field, name, true);
}

void wire_prose_if(Wire *w, uint32_t field, const char *prose)
{
    if (prose && *prose)
        string(w, field, prose, false);
}

static bool all_unknown(WireMessage in, TgBytes fields)
{
    size_t sound = 0;
    TgBytes rest = fields;
    WireField f;
    for (; scan_next(&rest, &f); sound += f.whole.n)
        if (scan_knows(in, f.number))
            return false;
    return sound == fields.n;
}

void wire_raw(Wire *w, WireMessage in, TgBytes fields)
{
    if (!w->out && !w->failed && !all_unknown(in, fields))
        w->failed = !tg_report(w->tg, TG_E_unwritable, "damaged or known fields", "!unknown");
    emit(w, fields.at, fields.n);
}

void wire_carried(Wire *w, uint32_t field, WireMessage kind, TgBytes message)
{
    uint64_t budget;
    if (!w->out && !w->failed)
        w->failed = !scan_check(w->tg, message, kind, message.at, &budget);
    wire_bytes(w, field, message);
}

/* --- tensors' bytes ------------------------------------------------------------------------------------- */

static bool sink(void *user, const void *bytes, size_t n)
{
    return tg_output_write(user, bytes, n);
}

bool write_payload(Tg *tg, TgOutput *out, const TgTensor *t)
{
    if (t->payload == TG_MAPPED)
        return tg_output_copy(out, t->file, t->offset, t->size);
    size_t before = tg_output_offset(out);
    if (!tg_tensor_stream(tg, t, sink, out))
        return false;
    TG_CHECK(tg, tg_output_offset(out) - before == t->size);
    return true;
}

void wire_payload(Wire *w, uint32_t field, const TgTensor *t)
{
    tag(w, field, LENGTH);
    varint(w, t->size);
    w->total += t->size;
    if (w->out && !w->failed)
        w->failed = !write_payload(w->tg, w->out, t);
}
