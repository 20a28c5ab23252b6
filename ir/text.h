/* Pieces of the text form that graphs and rules have in common: types, constants, attributes. Private to ir/.
 * Reading (read_data.c, read_attr.c) and writing (print_data.c; types: print_type.c) undo each other. */
#ifndef TG_TEXT_H
#define TG_TEXT_H

#include "graph.h"
#include "lex.h"

enum {
    TG_TEXT_DEPTH = 100, /* of nested terms, types and graphs */
    TG_TEXT_WIDTH = 110, /* lists are wrapped there */
    TG_TEXT_INLINE =
        32 /* mapped constants of at most so many elements are written out, not as a file range */
};

/* --- reading -------------------------------------------------------------------------------------------- */

/* Who reads. Names of constants mean what `constant` says (NULL: it recorded why not). */
typedef struct TgReader {
    TgLex lex;
    TgArena *arena; /* for what is kept: tensors, attribute payloads */
    TgName base;    /* file ranges are beneath the folder of this path */
    int depth;
    uint64_t budget; /* bytes that the graph may still take */
    const TgTensor *(*constant)(struct TgReader *);
} TgReader;

bool tg_read_enter(TgReader *r); /* one level deeper: false beyond TG_TEXT_DEPTH; pair with r->depth-- */
bool tg_read_afford(TgReader *r, const char *text, size_t n); /* sets the budget, takes what nodes will need of it */
bool tg_read_take(TgReader *r, uint64_t bytes);               /* both: false: recorded */
bool tg_read_type(TgReader *r, const TgType **type);
const TgTensor *tg_read_const(TgReader *r);        /* the current word is `const`; NULL: recorded */
bool tg_read_attr_name(TgReader *r, TgName *name); /* takes `name =` */
bool tg_read_attr_value(TgReader *r, TgOp op, TgName name,
                        TgAttrBuild *to);       /* op says what its attributes are */
bool tg_read_header_line(TgReader *r, TgModel *m); /* read_header.c: one line of the model's header */
/* read_claim.c: keeps the claim where inference knows less. False: they contradict each other, recorded. */
bool tg_read_claim(Tg *tg, TgValueInfo *v, const TgType *claim);
bool tg_read_interface(TgArena *arena, const TgGraph *g); /* read_interface.c: names of inputs and outputs */
bool tg_read_quoted(TgReader *r, TgName *text); /* ("text") */
bool tg_read_hex(TgReader *r, TgBytes *bytes);  /* ("0a0b"): bytes that are no text */

/* --- writing -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgText *out;
    TgName base;     /* as in TgReader */
    TgMap numbers;   /* of sizes that nobody named, in this text */
    bool names_file; /* some constant was written as a file range */
} TgWriter;

void tg_write_name(TgWriter *w, char sigil,
                   TgName name); /* quoted where it is no plain word; sigil 0: none */
void tg_write_type(TgWriter *w, const TgType *type);
void tg_write_const(TgWriter *w, const TgTensor *tensor);
void tg_write_op(TgWriter *w, const TgNodeInfo *n);
void tg_write_attrs(TgWriter *w, const TgAttrs *attrs); /* axis=2, mode="linear" */
void tg_write_quoted(TgWriter *w, const char *before, TgName text, const char *after);
void tg_write_hex(TgWriter *w, const char *before, TgBytes bytes); /* before("0a0b") */

#endif
