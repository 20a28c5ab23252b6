/* Private to rules/: a small XML document as a flat list of elements with places in the source. The only file
 * that knows libxml2 is xml.c; documents of the book are read when tgopt is built (embed.c). */
#ifndef TG_XML_H
#define TG_XML_H

#include "ir/ir.h"

typedef struct {
    uint32_t line, column; /* from 1; columns count bytes */
} Spot;

/* A piece of the source text. */
typedef struct {
    const char *at;
    size_t n;
    Spot spot;
} Span;

typedef struct {
    const char *name, *text; /* text: references resolved */
    Span raw;                /* between the quotes */
} XmlAttr;

typedef struct {
    const char *name, *text; /* text: all character data in it, a space for any blanks; of elements without children */
    Spot spot;
    Span raw;        /* between start and end tag */
    uint32_t parent; /* index; the root is its own */
    uint32_t n_children;
    TG_VEC(XmlAttr) attrs;
} XmlElement;

typedef struct {
    const char *file;
    TG_VEC(XmlElement *) elements; /* in the order of their start tags */
} XmlDoc;

enum { XML_MAX_FILE = 4 << 20, XML_MAX_TAG = 16 << 10 };

/* False: refused and recorded. Everything lives in the arena, but for the text, which spans point into. */
bool xml_read(TgArena *arena, TgName file, const char *text, size_t n, XmlDoc *doc);

#endif
