/* Versions of ai.onnx operators.
 *
 * Inside, every node has the meaning of the newest opset (ops.def). Files are written in many older ones,
 * which differ in three ways: what was an attribute became an operand (axes, pads, split, k, min, max ...),
 * defaults and meanings changed (Softmax flattened before opset 13), operators came and went. raise*.c
 * brings a node up when it is read, lower*.c brings it down when it is written; the facts that both need
 * are the rows of versions.def.
 */
#ifndef TG_FRONTEND_VERSIONS_H
#define TG_FRONTEND_VERSIONS_H

#include "ir/ir.h"

enum {
    OLDEST_OPSET = 7,  /* that we write */
    EVER = 1000        /* as the opset of a change: always */
};

enum { /* versions of the format itself */
    OLDEST_IR_VERSION = 3,
    IR_WITH_FREE_INITIALIZERS = 4, /* before, every initializer was also an input */
    IR_WITH_NODE_METADATA = 10
};

/* Node n of `g` was just read literally, as `opset` of ai.onnx writes it. Gives it the newest meaning.
 *
 * Call it for each node of domain "" (also for operators that ops.def does not know: Scatter becomes
 * ScatterElements), producers first, when the types of its operands are inferred as far as they can be;
 * infer the node afterwards. Its attributes must be all those of the file, explicit defaults too: end the
 * list with tg_attrs_end(&b, TG_opaque), because what is a default today was none in older opsets.
 * raise_node leaves a canonical list. Nodes and constants may be added (they are inferred already); n keeps
 * its ref and its output values, but perhaps not its op: a form that has no newest meaning becomes opaque,
 * that is, it is kept as it was. False: recorded. */
bool raise_node(TgGraph *g, TgNode n, int64_t opset);

/* --- the table of changes (versions.c) ------------------------------------------------------------------ */

/* Brings node n across one change. False: this form has no equal on the other side (nothing recorded). */
typedef bool (*Change)(TgGraph *g, TgNode n);

typedef enum {
    ROW_MOVED, ROW_GAINED, ROW_IMPLIED, ROW_DEFAULT, ROW_OPERAND, ROW_DROPPED, ROW_SPELLED, ROW_TYPED,
    ROW_CHANGED
} RowKind;
typedef enum { INTS, INT0, INT1, FLOATS, FLOAT0, LIKE } Form; /* of an operand that was an attribute */

typedef struct {
    RowKind kind;
    TgOp op;
    int32_t at;             /* the first opset behind the change */
    const char *attribute;
    Form form;
    uint32_t operand;
    const char *was, *is;   /* strings; was: also a list of types */
    int64_t old, now;       /* numbers */
    Change raise, lower;
} VersionRow;

/* The rows of one operator, from old to new: first <= index < end. */
typedef struct {
    uint32_t first, end;
} VersionRows;

const VersionRow *version_row(uint32_t index);
uint32_t version_row_count(void);
VersionRows version_rows(TgOp op);
VersionRows version_rows_of_all(void); /* changes that concern every operator */

bool is_early(const TgModel *m, TgOp op); /* see TgModel.early */

/* --- changing nodes (versions.c) ------------------------------------------------------------------------ */

/* Node n becomes another operator over other operands; ref, outputs, name and provenance stay. The attributes
 * are taken literally. */
void become(TgGraph *g, TgNode n, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in);
/* Sets operand `slot`, which may be behind the last one. */
void put_operand(TgGraph *g, TgNode n, uint32_t slot, TgValue v);
TgValue operand(const TgGraph *g, TgNode n, uint32_t slot); /* 0: absent or behind the last one */
bool attr_says(const TgAttr *a, const char *text); /* a string attribute of just this text */
void drop_attr(TgGraph *g, TgNode n, const char *name);
void put_int(TgGraph *g, TgNode n, const char *name, int64_t i);
void put_string(TgGraph *g, TgNode n, const char *name, const char *s);
TgValue const_ints(TgGraph *g, uint32_t n, const int64_t *x); /* i64[n] */

/* What a node was, for attempts that may fail. */
typedef struct {
    TgOp op;
    const TgAttrs *attrs;
    uint32_t n_in;
    const TgValue *in;
} NodeShot;
NodeShot node_shot(TgGraph *g, TgNode n);
void node_restore(TgGraph *g, TgNode n, const NodeShot *shot);

/* --- operators that an opset lacks (lower_ops.c) -------------------------------------------------------- */

/* Turns node n, whose operator is too young for the opset or was withdrawn, into others, where we know a
 * shorter spelling than its definition. False: there is none, nothing was changed. */
bool respell(TgGraph *g, TgNode n, int64_t opset);

/* --- changes that are more than a moved attribute (raise_ops.c, lower_ops.c) ---------------------------- */

#define CHANGED(op, at, raise, lower) bool raise(TgGraph *g, TgNode n), lower(TgGraph *g, TgNode n);
#define MOVED(op, at, attribute, form, operand)
#define GAINED(op, at, attribute)
#define IMPLIED(op, at, attribute, text)
#define DEFAULT(op, at, attribute, old, now)
#define OPERAND(op, at, operand)
#define DROPPED(op, at, attribute)
#define SPELLED(op, at, attribute, old, now)
#define TYPED(op, at, types)
#include "versions.def"
#undef CHANGED
#undef MOVED
#undef GAINED
#undef IMPLIED
#undef DEFAULT
#undef OPERAND
#undef DROPPED
#undef SPELLED
#undef TYPED

#endif
