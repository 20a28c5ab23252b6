/* Graphs: nodes and values in one arena, named by 32-bit refs; models.
 *
 * Invariants (checked by tg_graph_check): every value has one origin; uses mirror the inputs of live nodes; types are
 * those that inference gives or the file claims; a subgraph sees the outer world only through captures, which are
 * inputs of its node, so that replacing, sorting and dead-code removal need not know about nesting.
 */
#ifndef TG_GRAPH_H
#define TG_GRAPH_H

#include "op.h"

typedef uint32_t TgNode;  /* 0: none */
typedef uint32_t TgValue; /* 0: none, e.g. an optional input that is absent */
typedef struct TgGraph TgGraph;
typedef struct TgModel TgModel;

typedef struct {
    TgNode node;   /* reader */
    uint32_t slot; /* its input */
} TgUse;

typedef enum {
    TG_V_INPUT,   /* formal input of the graph */
    TG_V_CAPTURE, /* subgraph: stands for an outer value, see TgNodeInfo.sub */
    TG_V_CONST,   /* has a tensor */
    TG_V_RESULT   /* output of a node */
} TgOrigin;

typedef struct TgValueInfo {
    TgOrigin origin;
    const TgType *type;     /* never NULL */
    const TgType *declared; /* what the file said: a hint, perhaps a lie; NULL: nothing */
    TgName name;            /* of the source model; NULL: none (printers and writers make one) */
    TgNode node;            /* result: its node */
    uint32_t index;         /* result: which output; input, capture: which one */
    const TgTensor *tensor; /* const */
    const TgDim *symbolic;  /* integer or bool tensors of few elements: each element's value; NULL: nothing known */
    TG_VEC(TgUse) uses;     /* by live nodes of this graph, in order of creation */
    uint32_t returned;      /* how many outputs of the graph are this value */
    const TgTensor *initial; /* input: its default, which a caller may override (so it is no constant); else NULL */
    TgName doc;
    TgBytes type_wire;      /* `declared` as the file spells it (a TypeProto: denotations, odd names), written back
                               verbatim; empty: `declared` is written. Whoever changes `declared` empties it. */
    TgBytes unknown;        /* unknown fields of the ValueInfoProto */
} TgValueInfo;

/* A subgraph of If, Loop or Scan. Its graph's inputs are the formal inputs of the body. capture[k] of the graph stands
 * for input slot outer[k] of the node (slots behind the operator's own inputs). */
typedef struct {
    TgName attr; /* "then_branch", "body" */
    TgGraph *graph;
    TG_VEC(uint32_t) outer;
} TgSub;

/* Where a node came from: nodes of the source file and the rewrites that made it. */
typedef struct TgOriginNote {
    TgName source;  /* name of a source node, or NULL */
    TgName rewrite; /* name of a rewrite, or NULL */
    const struct TgOriginNote *next;
} TgOriginNote;

typedef struct TgNodeInfo {
    TgOp op;
    TgName op_name, domain, overload; /* opaque ops: what they are; others: NULL */
    const TgAttrs *attrs;             /* never NULL */
    uint32_t n_in, n_out;
    uint32_t n_formal;                /* inputs of the operator; the others are captured by its subgraphs */
    TgValue *in, *out;                /* out[i] is a value even where nobody reads it */
    uint32_t n_sub;
    TgSub *sub;
    bool dead;
    TgName name, doc;
    TgBytes unknown;                  /* unknown and uninterpreted fields of the NodeProto (metadata_props ...) */
    const TgOriginNote *origin;
    uint32_t mark;                    /* scratch for passes; meaningless between them */
} TgNodeInfo;

typedef struct {
    TgValue value;
    TgName name;            /* fixed by the interface, whatever the value is called */
    const TgType *declared; /* what the file said, and will say again (untyped: nothing); NULL: the inferred type */
    TgName doc;
    TgBytes type_wire;      /* as in TgValueInfo */
    TgBytes unknown;
} TgReturn;

struct TgGraph {
    Tg *tg;
    TgArena *arena;
    TgModel *model;
    TgName name, doc;
    TgGraph *outer;                /* NULL: the main graph */
    TG_VEC(TgNodeInfo *) nodes;    /* by ref; entry 0 is NULL */
    TG_VEC(TgValueInfo *) values;
    TG_VEC(TgValue) inputs, captures;
    TG_VEC(TgReturn) outputs;
    TG_VEC(TgNode) order;          /* live nodes, producers first; see tg_graph_order */
    bool sorted;
    uint32_t next_return;          /* where tg_replace looks first among the outputs: graphs may have thousands */
    TG_VEC(TgDim) equal;           /* pairs of sizes that some operator requires to be equal */
    TG_VEC(TgDim) facts;           /* what inference drew from them: pairs of an atom and what it is in this graph */
    TgBytes unknown;               /* unknown fields of the GraphProto; quantization annotations */
};

typedef struct {
    TgName domain;
    int64_t version;
} TgImport;

struct TgModel {
    Tg *tg;
    TgArena *arena;
    TgName path;               /* as given; "" for text */
    int64_t ir_version;
    TG_VEC(TgImport) imports;  /* "" is ai.onnx */
    TgName producer_name, producer_version, domain, doc;
    int64_t model_version;
    TgGraph *graph;
    TgBytes unknown;           /* unknown fields of the ModelProto: metadata_props, training_info, configuration */
    const TgFile *file;
    TgU32s early;              /* TgOp: used by the file though its opset lacks them (some runtimes take that) */
};

enum { TG_NEWEST_IR = 14, TG_NEWEST_OPSET = 28 }; /* of ONNX and its operators, as far as we know them */

/* --- making (graph.c) --------------------------------------------------------------------------------------------- */

TgModel *tg_model_new(Tg *tg);                      /* with an empty graph, newest opset */
void tg_model_free(TgModel *model);
TgModel *tg_model_clone(const TgModel *model);      /* own arena; tensors are shared with the original */
int64_t tg_model_opset(const TgModel *model, const char *domain); /* 0: not imported */
TgGraph *tg_graph_new(TgModel *model, TgGraph *outer, const char *name);
void tg_graph_copy(TgGraph *to, const TgGraph *from); /* live nodes of `from` into the empty `to`, subgraphs included */
/* Adds a copy of one node, of whatever graph, over the operands in[] of g (as many as it has, captured ones
 * included); its subgraphs are copied, its results are untyped and nameless. */
TgNode tg_node_copy(TgGraph *g, const TgNodeInfo *node, const TgValue *in);

/* Copies the nodes of `from` into `to`: its inputs and captures become the given values of `to`; out[i] receives what
 * its outputs became. Nothing is inferred again. */
void tg_graph_splice(TgGraph *to, const TgGraph *from, const TgValue *in, const TgValue *captured, TgValue *out);

TgValue tg_graph_input(TgGraph *g, const TgType *type, const char *name);
TgValue tg_graph_const(TgGraph *g, const TgTensor *tensor, const char *name);
/* In a subgraph: the value that stands for `outer` (of g->outer). `holder` is the node that holds g as its sub number
 * `sub`; the capture and the node's input are made on first use. */
TgValue tg_graph_capture(TgGraph *g, TgNode holder, uint32_t sub, TgValue outer);
/* Tells the captures of all subgraphs of `holder` what is known of the outer values by now. */
void tg_captures_refresh(TgGraph *g, TgNode holder);
void tg_graph_return(TgGraph *g, TgValue value, const char *name, const TgType *declared);

/* Adds a node and infers its outputs' types and symbolic elements. 0: the operands do not fit, recorded.
 * n_out outputs are made. attrs may be NULL: none. */
TgNode tg_graph_add(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out);
/* The same for the common case; returns output 0 (0: recorded). The operands follow n_in. */
TgValue tg_op(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, ...);
/* For importers and rewriters: a node without inference; outputs are untyped until tg_infer_node. */
TgNode tg_graph_add_raw(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out);
TgNode tg_graph_add_opaque(TgGraph *g, const char *domain, const char *op_name, const TgAttrs *attrs, uint32_t n_in,
                           const TgValue *in, uint32_t n_out);
TgGraph *tg_node_add_sub(TgGraph *g, TgNode node, const char *attr);

/* --- asking (graph.c) --------------------------------------------------------------------------------------------- */

static inline TgNodeInfo *tg_node(const TgGraph *g, TgNode n) { return g->nodes.at[n]; }
static inline TgValueInfo *tg_value(const TgGraph *g, TgValue v) { return g->values.at[v]; }
static inline const TgType *tg_type_of(const TgGraph *g, TgValue v) { return g->values.at[v]->type; }
/* Live nodes in topological order (stable: source order where it is one); valid until nodes are added or removed. */
const TgNode *tg_graph_order(TgGraph *g, uint32_t *n);
TgNodeInfo *tg_producer(const TgGraph *g, TgValue v, TgOp op); /* NULL unless v is output 0 of a live node of that op */
const TgTensor *tg_const_of(const TgGraph *g, TgValue v);      /* NULL unless constant; v may be 0 */
/* A constant, or symbolic elements that are all constant, as integers: false otherwise. n <= max. */
bool tg_const_ints(const TgGraph *g, TgValue v, uint32_t max, int64_t *out, uint32_t *n);
/* The same as a tensor, of at most 64 elements; NULL: not all are known, or they are elements of a constant. */
const TgTensor *tg_known_elements(const TgGraph *g, TgValue v, TgArena *arena);
bool tg_const_float(const TgGraph *g, TgValue v, double *x);   /* a constant whose elements are all equal, any shape */
bool tg_used_once(const TgGraph *g, TgValue v);                /* one use, not returned */
uint32_t tg_graph_count(const TgGraph *g, bool subgraphs);     /* live nodes */

/* --- changing (graph.c) ------------------------------------------------------------------------------------------- */

/* All readers of `old` (outputs too) read `new` from now on. A nameless result `new` takes over the name of `old`. */
void tg_replace(TgGraph *g, TgValue old, TgValue new_value);
void tg_set_input(TgGraph *g, TgNode n, uint32_t slot, TgValue v);
void tg_set_attrs(TgGraph *g, TgNode n, const TgAttrs *attrs);
void tg_remove(TgGraph *g, TgNode n);                  /* its outputs must have no reader */
void tg_drop_return(TgGraph *g, uint32_t index);       /* output number `index` of the graph is none any more */
void tg_drop_input(TgGraph *g, uint32_t index);        /* the same of an input of the main graph; nobody may read it */
bool tg_remove_dead(TgGraph *g);                       /* everything that no output needs; subgraphs and captures too */
void tg_node_origin(TgGraph *g, TgNode made, const TgNodeInfo *from, const char *rewrite); /* adds provenance */

/* --- inference (infer.c, infer_*.c) ------------------------------------------------------------------------------- */

/* Operands, results and graphs are as many as the row of the operator says, and none is absent that must be there. */
bool tg_node_has_form(const TgNodeInfo *n);
/* An attribute that should number an element type, and numbers none; NULL: there is none such. */
const char *tg_node_odd_dtype(const TgNodeInfo *n);
bool tg_infer_node(TgGraph *g, TgNode n);   /* types and symbolic elements of its outputs; false: recorded */
/* All nodes in order, with what sizes turned out equal; subgraphs too. A node that cannot run gets a warning. */
bool tg_infer_graph(TgGraph *g);

/* --- checks, text, pictures --------------------------------------------------------------------------------------- */

bool tg_graph_check(TgGraph *g);                                  /* check.c: structure; false: recorded */
void tg_print_graph(TgGraph *g, TgText *out);                     /* print.c: the text form of TEXT.md */
void tg_print_model(const TgModel *m, TgText *out);
TgModel *tg_parse(Tg *tg, const char *file, const char *text, size_t n); /* parse.c: NULL, recorded */
void tg_print_dot(TgGraph *g, TgText *out);                       /* dot.c: graphviz; op boxes, shapes on the edges */

/* --- definitions (define.c, define_*.c) --------------------------------------------------------------------------- */

/* Replaces nothing: builds, in graph `into`, what composite node `n` of `g` means, over the values `in` (of `into`, one
 * per input of n; 0: absent), and stores one value per output in `out`. One level: the ops used may be composite again,
 * but simpler. False: recorded (TG_E_no_definition: this form has none). */
bool tg_define(TgGraph *into, const TgGraph *g, const TgNodeInfo *n, const TgValue *in, TgValue *out);

/* --- cost (cost.c) ------------------------------------------------------------------------------------------------ */

typedef struct {
    double flops, bytes; /* bytes read and written by all nodes; symbols count as `size` each */
    double launches;     /* nodes that do work */
} TgCost;

enum { TG_TYPICAL_SIZE = 128 }; /* what a symbol counts as where nobody says better */

TgCost tg_node_cost(const TgGraph *g, const TgNodeInfo *n, int64_t size);
TgCost tg_graph_cost(TgGraph *g, int64_t size);
double tg_graph_const_bytes(const TgGraph *g); /* of distinct tensors, subgraphs included */

#endif
