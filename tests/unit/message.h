/* Protocol-buffer messages from a readable notation, so that tests can spell any file, sound or not.
 *
 *   fields   number:value, separated by blanks
 *   value    17  -1             varint
 *            'text\x00'         bytes; \xNN is one byte
 *            {fields}           message
 *            [1 2 -3]           packed varints
 *            f0.5  <f1 f2>      float32, packed ones      d0.5  <d1 d2>: float64
 *
 * "%s" in a notation is replaced by the caller with snprintf where a part is shared.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *at;
    size_t n, cap;
} Bytes;

static void bytes_add(Bytes *b, const void *from, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 64;
        b->at = realloc(b->at, b->cap);
    }
    if (n)
        memcpy(b->at + b->n, from, n);
    b->n += n;
}

static void bytes_varint(Bytes *b, uint64_t x)
{
    for (; x > 0x7f; x >>= 7) {
        uint8_t low = (uint8_t)(x | 0x80);
        bytes_add(b, &low, 1);
    }
    uint8_t last = (uint8_t)x;
    bytes_add(b, &last, 1);
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \n");
}

static const char *add_number(Bytes *b, const char *s)
{
    char *end;
    if (*s == 'f') {
        float x = strtof(s + 1, &end);
        bytes_add(b, &x, sizeof x);
    } else if (*s == 'd') {
        double x = strtod(s + 1, &end);
        bytes_add(b, &x, sizeof x);
    } else {
        bytes_varint(b, (uint64_t)strtoll(s, &end, 10));
    }
    return end;
}

static const char *add_text(Bytes *b, const char *s)
{
    for (s++; *s != '\''; s++) {
        uint8_t byte = (uint8_t)*s;
        if (s[0] == '\\' && s[1] == 'x') {
            char digits[] = {s[2], s[3], 0};
            byte = (uint8_t)strtoul(digits, NULL, 16);
            s += 3;
        }
        bytes_add(b, &byte, 1);
    }
    return s + 1;
}

static const char *add_fields(Bytes *b, const char *s);

static const char *add_value(Bytes *b, const char *s, uint64_t number)
{
    Bytes inner = {0};
    if (*s != '\'' && *s != '{' && *s != '[' && *s != '<') {
        bytes_varint(b, number << 3 | (*s == 'f' ? 5 : *s == 'd' ? 1 : 0));
        return add_number(b, s);
    }
    if (*s == '\'') {
        s = add_text(&inner, s);
    } else if (*s == '{') {
        s = add_fields(&inner, s + 1) + 1;
    } else {
        for (s = skip_blanks(s + 1); *s != ']' && *s != '>'; s = skip_blanks(s))
            s = add_number(&inner, s);
        s++;
    }
    bytes_varint(b, number << 3 | 2);
    bytes_varint(b, inner.n);
    bytes_add(b, inner.at, inner.n);
    free(inner.at);
    return s;
}

static const char *add_fields(Bytes *b, const char *s)
{
    for (s = skip_blanks(s); *s && *s != '}'; s = skip_blanks(s)) {
        char *end;
        uint64_t number = strtoull(s, &end, 10);
        s = add_value(b, end + 1, number);
    }
    return s;
}

static Bytes message(const char *notation)
{
    Bytes b = {0};
    add_fields(&b, notation);
    return b;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n)
        abort();
    fclose(f);
}

#endif
