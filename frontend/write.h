/* Private to the writer: wire format, names, placement of data.
 *
 * Lengths come before contents on the wire, so everything is emitted twice by the same code: the first run
 * counts and notes the length of each message, the second writes. No message is ever built in memory.
 */
#ifndef TG_FRONTEND_WRITE_H
#define TG_FRONTEND_WRITE_H

#include "frontend.h"
#include "scan.h"

/* --- wire format (write_wire.c) ------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgArena *arena;
    TgOutput *out;         /* NULL: counting */
    size_t total;          /* bytes counted or written so far */
    TG_VEC(size_t) length; /* of every message, in the order in which they open */
    uint32_t next;         /* writing: the message that opens next */
    bool failed;           /* recorded; all that follows does nothing */
} Wire;

void wire_init(Wire *w, Tg *tg, TgArena *arena);
void wire_write_to(Wire *w, TgOutput *out); /* what was counted is now emitted once more, to `out` */
uint32_t wire_open(Wire *w, uint32_t field); /* a message begins; give the result to wire_close */
void wire_close(Wire *w, uint32_t message);
void wire_int(Wire *w, uint32_t field, int64_t x);
void wire_float(Wire *w, uint32_t field, float x);
void wire_bytes(Wire *w, uint32_t field, TgBytes bytes);
/* Strings and carried bytes may come from a text that anybody wrote: what no reader would take fails,
 * recorded. */
void wire_text(Wire *w, uint32_t field, const char *name);    /* NULL: empty */
void wire_text_if(Wire *w, uint32_t field, const char *name); /* nothing where it is NULL or empty */
void wire_prose_if(Wire *w, uint32_t field, const char *text); /* likewise; of any length */
void wire_raw(Wire *w, WireMessage in, TgBytes fields);  /* complete fields that we do not know, as they are */
void wire_carried(Wire *w, uint32_t field, WireMessage kind, TgBytes message); /* a message, as it is */
void wire_payload(Wire *w, uint32_t field, const TgTensor *t); /* the bytes of a tensor */
bool write_payload(Tg *tg, TgOutput *out, const TgTensor *t);

/* --- names (write_names.c) ------------------------------------------------------------------------------ */

/* An output of a graph that cannot be its value itself (input, second output of one value): an Identity. */
typedef struct {
    TgValue value;
    TgName name;
} Alias;

/* What the values of one graph are called in the file. Unique in the graph and in those around it. */
typedef struct NamedGraph {
    TgGraph *g;
    const struct NamedGraph *outer;
    bool fixed;          /* inputs and outputs must keep their names */
    TgName *name;        /* by value; NULL: nobody reads it */
    TgName *output;      /* by output of the graph */
    TgValue *twin;       /* by value: the constant that is written for this one, itself or an equal one */
    TG_VEC(Alias) alias;
    TgMap taken;         /* names of this graph */
} NamedGraph;

typedef struct {
    Tg *tg;
    TgArena *arena;
    TG_VEC(NamedGraph *) graphs; /* outer ones first */
    TgMap of;            /* graph -> NamedGraph */
    uint32_t next;       /* number of the next name that we make */
} Names;

void names_make(Names *names, TgModel *model, TgArena *arena);
const NamedGraph *names_of(const Names *names, const TgGraph *g);
static inline bool const_is_written(const NamedGraph *named, TgValue v)
{
    return tg_value(named->g, v)->origin == TG_V_CONST && named->twin[v] == v;
}

/* --- where the bytes of constants go (write_data.c) ----------------------------------------------------- */

typedef struct {
    TgName location;     /* external file, relative to the model; NULL: inside the model file */
    size_t offset;
} Place;

typedef struct {
    const TgTensor *tensor;
    Place place;
} Placed;

typedef struct {
    Tg *tg;
    TgArena *arena;
    const char *path;    /* of the model that is written */
    TgExternal mode;     /* KEEP, ALL or NONE */
    TgName new_file;     /* the new external file, relative to the model */
    size_t new_size;     /* of it; 0: there is none */
    TG_VEC(Placed) placed; /* what is not inside, in order of place */
    TgMap of;            /* tensor -> 1 + index into placed; 0: inside */
} DataPlan;

/* Decides for every constant that `names` writes. False: recorded. */
bool data_plan(DataPlan *plan, const Names *names, const char *path, TgExternal mode);
Place data_place(const DataPlan *plan, const TgTensor *t);
/* Opens, fills and returns the new external file, not yet committed. Only if new_size > 0. NULL: recorded. */
TgOutput *data_write(const DataPlan *plan);

/* --- the model as messages (write_model.c) -------------------------------------------------------------- */

typedef struct {
    Wire *wire;
    const TgModel *model;
    const Names *names;
    const DataPlan *data;
    int64_t ir_version;
    bool provenance;
} ModelWriter;

void write_model(ModelWriter *w);
void write_tensor(Wire *w, const TgTensor *t, const char *name, Place place); /* fields of a TensorProto */

#endif
