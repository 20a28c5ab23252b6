/* External data: entries (key, value) of a tensor say in which file beneath the model's folder its bytes lie.
 *
 * Known keys are location, offset, length; others (checksum, what writers note for themselves) change
 * nothing. The file is mapped once, however many tensors lie in it.
 */
#include "import.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    TgName location, offset, length;
} Entries;

static void note_entry(Reader *r, TgBytes message, Entries *e)
{
    TgName key = NULL, value = NULL;
    WireField f;
    while (scan_next(&message, &f)) {
        if (f.number == ENTRY_key)
            key = wire_name(r, f.bytes);
        else if (f.number == ENTRY_value)
            value = wire_name(r, f.bytes);
    }
    if (!key)
        return;
    if (strcmp(key, "location") == 0)
        e->location = value;
    else if (strcmp(key, "offset") == 0)
        e->offset = value;
    else if (strcmp(key, "length") == 0)
        e->length = value;
}

/* A size in decimal digits; absent: `otherwise`. False: recorded. */
static bool read_size(Reader *r, const char *key, TgName text, size_t otherwise, size_t *size)
{
    *size = otherwise;
    if (!text)
        return true;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n > SIZE_MAX)
        return tg_report(r->tg, TG_E_external_entry, key, text);
    *size = (size_t)n;
    return true;
}

bool find_external(Reader *r, TgBytes message, size_t size, const TgFile **file, size_t *offset)
{
    Entries e = {0};
    WireField f;
    size_t length;
    while (scan_next(&message, &f))
        if (f.number == TENSOR_external_data)
            note_entry(r, f.bytes, &e);
    if (!e.location)
        return tg_report(r->tg, TG_E_external_entry, "location", "");
    if (!read_size(r, "offset", e.offset, 0, offset) || !read_size(r, "length", e.length, size, &length))
        return false;
    if (length != size)
        return tg_report(r->tg, TG_E_external_length, length, size);
    *file = tg_file_map_beneath(r->tg, r->path, e.location);
    if (!*file)
        return false;
    if (*offset > (*file)->size || size > (*file)->size - *offset)
        return tg_report(r->tg, TG_E_external_range, size, *offset, e.location, (*file)->size);
    return true;
}
