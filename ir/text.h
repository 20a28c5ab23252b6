/* Pieces of the text form that graphs and rules have in common: types, constants, attributes. Private to ir/.
 * Reading (read_data.c) and writing (print_data.c) stand side by side here, because each must undo the other. */
#ifndef TG_TEXT_H
#define TG_TEXT_H

#include "graph.h"
#include "lex.h"

enum {
    TG_TEXT_DEPTH = 100, /* of nested terms, types and graphs */
    TG_TEXT_WIDTH = 110, /* lists are wrapped there */
    TG_TEXT_INLINE = 32  /* mapped constants of at most so many elements are written out, not as a file range */
};

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* Who reads. Names of constants mean what `constant` says (NULL: it recorded why not). */
typedef struct TgReader {
    TgLex lex;
    TgArena *arena;  /* for what is kept: tensors, attribute payloads */
    TgName base;     /* file ranges are beneath the folder of this path */
    int depth;
    const TgTensor *(*constant)(struct TgReader *);
} TgReader;

bool tg_read_enter(TgReader *r); /* one level deeper: false beyond TG_TEXT_DEPTH; pair with r->depth-- */
bool tg_read_type(TgReader *r, const TgType **type);
const TgTensor *tg_read_const(TgReader *r);                /* the current word is `const`; NULL: recorded */
bool tg_read_attr_name(TgReader *r, TgName *name);         /* takes `name =` */
bool tg_read_attr_value(TgReader *r, TgOp op, TgName name, TgAttrBuild *to); /* op says what its attributes are */
bool tg_read_quoted(TgReader *r, TgName *text);            /* ("text") */
bool tg_read_hex(TgReader *r, TgBytes *bytes);             /* ("0a0b"): bytes that are no text */

/* --- writing ------------------------------------------------------------------------------------------------------ */

void tg_write_name(TgText *out, char sigil, TgName name); /* quoted where it is no plain word */
void tg_write_type(Tg *tg, TgText *out, const TgType *type);
void tg_write_const(Tg *tg, TgText *out, TgName base, const TgTensor *tensor);
void tg_write_op(Tg *tg, TgText *out, const TgNodeInfo *n);
/* "axis=2, mode="linear"": without parentheses; returns whether there was any. */
bool tg_write_attrs(Tg *tg, TgText *out, TgName base, const TgAttrs *attrs);
void tg_write_hex(TgText *out, TgBytes bytes);            /* ("0a0b") */

#endif
