/* What the files package*.c share: one package being written. Private to backend_c. */
#ifndef TG_WRITER_H
#define TG_WRITER_H

#include "backend_c.h"
#include "package.h"

typedef struct Writer {
    Package p;
    const TgPlan *plan;
    const TgcOptions *options;
    TgcReport *report;
    TgArena *arena;
    const char *upper;          /* the name in capitals */
    const char *title;          /* of the model, safe in a comment */
    uint64_t hash;              /* binds NAME.c, NAME.weights and NAME_golden.bin together */
    uint64_t weights_bytes;     /* of the whole file */
    const char **size_field;    /* by plan->symbols: the field of NAME_inputs; NULL: bound by a step, or room of a
                                   cache */
    const char **size_macro;    /* by plan->symbols: what stands behind NAME_MAX_ */
    const char **input_macro, **output_macro; /* by number: behind NAME_INPUT_, NAME_OUTPUT_ */
    const char **dim_field;     /* by output: the field of NAME_outputs with its sizes */
    TgDim past, grow;           /* of the caches; past NULL: this plan gets no state interface */
    int64_t most_past;          /* positions that fit into a cache of the largest size */
    const char *past_field;     /* of NAME_inputs */
    bool needs_isa;             /* some kernel of an instruction set is called */
} Writer;

enum { WEIGHTS_HEAD = 64, WEIGHTS_ROW = 24, WEIGHTS_PAD = 64, WEIGHTS_VERSION = 1 };

/* --- package_names.c: what is called how ------------------------------------------------------------------------ */

void package_begin(Writer *w);
uint64_t package_scratch_bytes(const Writer *w);                      /* behind the planned arena, for kernels to work
                                                                         in */
uint64_t package_arena_bytes(const Writer *w);                        /* of both */
bool package_dim_of_inputs(const Writer *w, TgDim d);                 /* mentions only sizes of inputs */
const TgType *package_input_type(const Writer *w, uint32_t i);
const TgType *package_output_type(const Writer *w, uint32_t i);
const TgBuffer *package_buffer_of_input(const Writer *w, uint32_t i); /* NULL: nobody reads it */
const TgBuffer *package_buffer_of_output(const Writer *w, uint32_t i);
int32_t package_state_of_input(const Writer *w, uint32_t i);          /* number of its cache; -1: none */
int32_t package_state_of_output(const Writer *w, uint32_t i);
int32_t package_input_in_place(const Writer *w, uint32_t i); /* that output i may be itself (TgInPlace); -1: none */
void package_put_literal(TgText *out, const char *text);               /* a C literal; no part of it is renamed */
void package_put_type(const Writer *w, const TgType *type, TgText *out); /* "f32[batch, 768]", safe in a comment */

/* --- files ------------------------------------------------------------------------------------------------------ */

TgName package_file_in(const Writer *w, const char *suffix);          /* FOLDER/NAME<suffix> */
bool package_write_plain(Writer *w, const char *path, const char *bytes, size_t n);
bool package_write_source(Writer *w, const char *suffix, const TgText *text); /* renamed; NAME<suffix> */
bool package_write_template(Writer *w, const char *file);             /* of backend_c/package; NAME_<file> */

bool package_write_header(Writer *w);     /* package_header.c: NAME.h */
bool package_write_loops(Writer *w);      /* package_loops.c: NAME_loops_<set>.c */
void package_find_isa(Writer *w, const TgText *steps); /* package_kernels.c: sets needs_isa */
bool package_write_model(Writer *w);      /* package_model.c: NAME.c and NAME_loops.h */
void package_put_entry(Writer *w, TgText *out); /* package_entry.c: checks, NAME_init, NAME_run, NAME_step, tables */
bool package_place_weights(Writer *w);    /* package_weights.c: sets p.weight_at */
bool package_write_weights(Writer *w);
bool package_write_golden(Writer *w);     /* package_golden.c */
bool package_write_kernels(Writer *w);    /* package_kernels.c: those that the steps call, and what they include */
bool package_write_build(Writer *w);      /* package_build.c: Makefile, CMakeLists.txt, README.md */
/* Sources of the package by their names, for the build files; kernels last. */
typedef TG_VEC(const char *) Files;
void package_list_loops(Writer *w, Files *files);
void package_list_sources(Writer *w, Files *files);

#endif
