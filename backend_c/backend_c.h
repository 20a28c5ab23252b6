/* The door of backend_c/: a plan becomes a folder of standalone C.
 *
 * The folder holds NAME.h (the interface), NAME.c (checks, and one commented call per step), NAME_loops.h (generated
 * loops), the kernels that it needs, NAME.weights, NAME_load.c (maps the weights; optional), threads (optional), a test
 * program with stored inputs and outputs, Makefile, CMakeLists.txt and README.md. Same plan and options: same bytes.
 */
#ifndef TG_BACKEND_C_H
#define TG_BACKEND_C_H

#include "ir/ir.h"

typedef struct TgcOptions {
    const char *folder;     /* made where it is missing; only files of the package are replaced in it */
    const char *name;       /* prefix of everything: made an identifier; NULL: after the model */
    const char *version;    /* of tgopt, for the header */
    bool embed_weights;     /* NAME_weights.c instead of NAME.weights: six times the bytes, for small models */
    bool strict;            /* f32 products are sums of f32 products: nothing splits their operands into bf16 */
    bool tests;             /* evaluate the source for NAME_golden.bin */
    double most_flops;      /* no golden vectors where that would cost more; 0: no limit */
    uint64_t seed;          /* of the golden inputs */
    uint32_t threads;
    TgGraph *reference;     /* what golden outputs are computed from; same interface as the plan's source; NULL: that
                               source */
} TgcOptions;

typedef struct TgcReport {
    TgName name;            /* as it became */
    uint64_t sources, weights, golden; /* bytes written */
    uint32_t files;
    bool has_golden;
    const char *why_not;    /* no golden vectors; NULL: there are, or none were wanted */
} TgcReport;

/* Writes the package. False: recorded; files that were complete by then stay. */
bool tgc_emit(const TgPlan *plan, const TgcOptions *options, TgcReport *report);

/* What planners ask (TgPlanOptions): kernels of single operators, widths of panels. */
bool tgc_kernel(TgOp op, const char **operands, const char **results);
int32_t tgc_panel(int64_t rows, int64_t depth, int64_t cols);

/* --- files of tensors: what the test program of a package reads and writes -------------------------------------- */

/* One file holds lists of arrays: inputs, then outputs. Elements little-endian, bool and 4-bit integers a byte each. */
bool tgc_write_arrays(Tg *tg, const char *path, uint32_t n_in, const TgArray *in, uint32_t n_out, const TgArray *out);
/* Outputs of such a file, which must hold n_out of them. Arrays in the carriers of TG_EVAL_NATIVE; false: recorded. */
bool tgc_read_arrays(Tg *tg, const char *path, uint32_t n_out, TgArray *out);

#endif
