/* Private to the reader: views of messages, and the import of them into a graph.
 *
 * Two steps. view.c reads containers where they lie: a view has names interned, everything else by
 * reference, and knows which outer names a graph reads. import.c then walks views in topological order and
 * makes nodes; functions.c does the same with the body of a function, under other names. Recursion follows
 * the nesting of graphs and calls, which is bounded (limits.def), never their size.
 */
#ifndef TG_FRONTEND_IMPORT_H
#define TG_FRONTEND_IMPORT_H

#include "frontend.h"
#include "scan.h"

typedef TG_VEC(TgName) NameList;
typedef TG_VEC(TgBytes) BytesList;
typedef struct GraphView GraphView;
typedef struct Scope Scope;

/* --- views (view.c) ----------------------------------------------------------------------------------------------- */

typedef struct {
    TgName name, reference; /* reference: of a function's attribute, or NULL */
    int64_t type;           /* AttrType; guessed from the fields where the file does not say */
    TgBytes whole;
    const GraphView *graph; /* AT_GRAPH */
    Scope *home;            /* of the graph, once bound to a function's attribute */
} AttrView;

typedef struct {
    TgName name, op_type, domain, overload, doc;
    NameList in, out;
    TG_VEC(AttrView) attrs;
    NameList outer;         /* names that its graphs read around them */
    TgBytes unknown;
} NodeView;

typedef struct {
    TgName name, doc;
    bool typed;
    TgBytes type, unknown;  /* the TypeProto */
} ValueView;

typedef TG_VEC(NodeView) NodeList;
typedef TG_VEC(ValueView) ValueList;

struct GraphView {
    TgName name, doc;
    NodeList nodes;
    ValueList inputs, outputs, infos;
    BytesList initializers, sparse;
    NameList outer;         /* names that are read here and defined outside */
    TgBytes unknown;
};

typedef struct {
    TgName name, domain, overload;
    NameList in, out, attrs;
    TG_VEC(AttrView) defaults;
    TG_VEC(TgImport) imports;
    NodeList nodes;
    ValueList infos;
} FunctionView;

/* --- the reader --------------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgArena *arena;              /* of views and other things that die with the reader */
    TgModel *model;
    TgName path;
    const TgFile *file;
    bool strict;
    uint64_t budget;             /* bytes that may still be made */
    uint64_t nodes;              /* made so far, inlined ones included */
    TG_VEC(FunctionView) functions;
    TgMap function_of;           /* id -> 1 + index */
    TgMap prefixes;              /* of inlined calls, so that each is used once */
    uint32_t nesting;            /* graphs around, the main one included, while viewing and importing */
} Reader;

/* Warns; false, with an error, where the caller is strict (load.c). `what`: the argument of the message. */
bool tolerate(Reader *r, TgDiagId warning, const char *what);
bool take_budget(Reader *r, uint64_t bytes);
TgName wire_name(Reader *r, TgBytes text);
bool view_graph(Reader *r, TgBytes message, GraphView *view);
bool view_function(Reader *r, TgBytes message, FunctionView *view);
bool view_value(Reader *r, TgBytes message, ValueView *view);
TgName domain_name(Reader *r, TgBytes text); /* "ai.onnx" is "" */
void view_import(Reader *r, TgBytes message, TgImport *import);
/* Fields of a message that the table does not know, as one run of bytes. */
TgBytes unknown_fields(TgArena *arena, TgBytes message, WireMessage kind);

/* --- tensors (tensors.c, sparse.c, external.c) -------------------------------------------------------------------- */

TgTensor *read_tensor(Reader *r, TgArena *arena, TgBytes message, TgName *name); /* NULL: recorded */
/* The dense form of a SparseTensorProto. *too_big: it is beyond the budget, nothing was recorded, and NULL
 * returned. */
TgTensor *read_sparse(Reader *r, TgArena *arena, TgBytes message, TgName *name, bool *too_big);
/* name, element type and sizes of a SparseTensorProto. False: recorded. */
bool sparse_type(Reader *r, TgBytes message, TgName *name, const TgType **type);
/* The attribute sparse_value of an operator Constant that gives this tensor. */
TgAttr sparse_attr(Reader *r, TgBytes message);
/* Where the bytes of a tensor lie, by its external_data entries. size: that they must have. */
bool find_external(Reader *r, TgBytes message, size_t size, const TgFile **file, size_t *offset);

/* --- types (leaves.c) --------------------------------------------------------------------------------------------- */

/* A TypeProto; what is unsound in it is unknown. NULL: recorded. */
const TgType *read_type(Reader *r, TgBytes message);

/* --- attributes (leaves.c) ---------------------------------------------------------------------------------------- */

/* Adds what the view says, under the given name. Graphs are left to the caller. False: recorded. */
bool read_attr(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name);

/* --- import (scope.c, import.c, order.c, import_node.c, functions.c) ---------------------------------------------- */

/* Where names are looked up: a graph, or the body of a function that is being inlined into one. */
struct Scope {
    TgGraph *g;
    Scope *up;                   /* lexically around; NULL: main graph or function */
    TgNode holder;               /* of up->g, when g is a subgraph: the node and which of its graphs */
    uint32_t sub;
    TgMap values;                /* name -> value; 0: an operand that the caller of a function left out */
    TgMap captured;              /* name -> value that stands for an outer one */
    TgMap declared;              /* name -> ValueView */
    const FunctionView *function; /* NULL: a graph */
    Scope *caller;               /* of the function */
    TgName prefix;               /* of names in a function; NULL: none */
    TgMap renamed;               /* function: formal output -> name that the caller gives it */
    TG_VEC(AttrView) attrs;      /* function: attributes of this call */
};

void scope_open(Scope *s, Reader *r, TgGraph *g, Scope *up);
Scope *scope_function(Scope *s); /* the function around; NULL: none */
/* The value of a name here or around, captured into g where needed (NULL: absent). False: there is none,
 * recorded. */
bool scope_find(Reader *r, Scope *s, TgName name, TgValue *v);
/* Value v of s->g is called `name` from now on. False: it is taken, recorded. */
bool scope_bind(Reader *r, Scope *s, TgName name, TgValue v);
/* What the file says of v, which is called `name` here: name, type, documentation. False: recorded. */
bool describe_value(Reader *r, Scope *s, TgName name, TgValue v);
TgName final_name(Reader *r, Scope *s, TgName name); /* in the graph, after inlining */
bool declare(Reader *r, Scope *s, const ValueList *list); /* what describe_value says from now on */
int64_t scope_opset(Reader *r, Scope *s); /* of ai.onnx */

/* Given twice, the last one counts. */
bool bind_const(Reader *r, Scope *s, TgName name, const TgTensor *t);
/* A sparse tensor becomes a constant, or an operator where it is too large; `name` NULL: its own. */
bool bind_sparse(Reader *r, Scope *s, TgBytes message, TgName name);
bool import_graph(Reader *r, Scope *s, const GraphView *view);
/* A graph of node `holder`. */
bool import_body(Reader *r, Scope *s, TgNode holder, TgName attr, const AttrView *a);
/* Producers first, whatever the order of the file (order.c). */
bool import_nodes(Reader *r, Scope *s, const NodeList *nodes);
bool import_node(Reader *r, Scope *s, const NodeView *view);
const AttrView *resolve_attr(Scope *s, const AttrView *a); /* follows a reference; NULL: absent */

const FunctionView *find_function(const Reader *r, const NodeView *call);
bool add_functions(Reader *r, const BytesList *messages);
bool inline_call(Reader *r, Scope *s, const NodeView *call, const FunctionView *f);

#endif
