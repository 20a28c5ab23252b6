/* What the writers of one package share; private to backend_c.
 *
 * A package is a folder of sources made from one plan. Two groups of files write it: around the model (header, checks,
 * weights, tests, Makefile), and the model itself (steps and loops: emit*.c). This header is the border between them.
 *
 * Names. Emitted text and kernels spell shared names with the prefix tgk_ (macros and constants: TGK_); whoever writes
 * a file of a package passes it through package_rename, which makes them the package's own, so that two packages link
 * into one program. Names of a model (symbols, inputs, outputs) never reach a source as they are: package_names makes
 * identifiers of them.
 *
 * Order of calls: package_names; weights placed (weight_at); emit_loops; emit_steps. The emitters fail only with a
 * diagnostic.
 */
#ifndef TG_PACKAGE_H
#define TG_PACKAGE_H

#include "ir/ir.h"

typedef struct Package {
    Tg *tg;
    const TgPlan *plan;
    TgArena *arena;         /* for what lives as long as the package is being written */
    const char *name;       /* prefix of the package: an identifier, lower case */
    /* package_names: identifiers, unique in their list, no keywords of C or C++ */
    const char **dim;       /* by plan->symbols: "batch"; variables and fields are called d_batch */
    TgMap dim_number;       /* TG_KEY(symbol) to its number in plan->symbols */
    const char **input, **output; /* by number in plan->inputs, plan->outputs: fields of the interface */
    /* set by the writer of weights */
    const uint64_t *weight_at; /* by plan->weights: where its bytes start in the weights, a multiple of 64 */
    /* set by emit_loops */
    TgMap loop_of;          /* TG_KEY(step) of pointwise steps, `then` steps too: entry of the table of loops */
    uint32_t n_loops;
    /* set by emit_steps: which kernels the steps call */
    bool *operators;        /* by TgOp: tgk_<Op> */
    bool uses_copy, uses_loop, uses_embed; /* tgk_copy (kernels/copy.c), tgk_run_loop (loop.c), tgk_embed (embed.c) */
} Package;

/* --- names (names.c) ---------------------------------------------------------------------------------------------- */

void package_names(Package *p);
/* An identifier made of `name` (may be NULL: `instead`): letters, digits and single underscores, no keyword. */
const char *package_identifier(Package *p, TgName name, const char *instead);
/* Text that is safe within a comment: one line, printable ASCII, no comment marks, no backslash; at most `most`
 * bytes. */
void package_comment(TgText *out, const char *text, size_t most);
/* A string literal; bytes that are not printable ASCII, and what could be a trigraph, are octal escapes. */
void package_string(TgText *out, const char *bytes, size_t n);
/* Adds `text` with tgk_ and TGK_ at the start of a word replaced by NAME_ and its upper case form. */
void package_rename(const Package *p, const char *text, size_t n, TgText *out);

/* --- text of a plan (emit_place.c) -------------------------------------------------------------------------------- */

void emit_dim(const Package *p, TgDim d,
              TgText *out); /* an int64_t expression over d_<dim>, safe as an operand of * */
const char *emit_type(TgDtype t);                       /* C type of a stored element: "float", "uint16_t" */
uint32_t emit_bytes(TgDtype t); /* of a stored element: 4-bit and 2-bit integers take one byte */

/* --- the model (emit*.c) ------------------------------------------------------------------------------------------ */

/* NAME_loops.h: every pointwise loop once, as static functions, and at its end the table
 *     tgk_tile *const TGK_LOOPS[n] = {...};
 * Each source of an instruction set sets its target, defines TGK_LOOPS as the name of its own table (NAME_loops_avx2)
 * and includes the file. It needs tgk.h and tgk_narrow.h (with tgk_math.h) before it. */
bool emit_loops(Package *p, TgText *out);

/* The body of NAME.c: it needs tgk.h, tgk_size.h, loop.h, copy.h (the operators' headers where used) before it, and
 * gives
 *     typedef struct {
 *         const tgk_ctx *ctx;
 *         tgk_tile *const *loop;     // the table of loops of the chosen instruction set
 *         unsigned char *weights;    // as the file has them from its first weight on (weight_at counts from here);
 * read only
 *         unsigned char *arena;      // 64-byte aligned
 *         unsigned char *in_<input>, *out_<output>; // one field each; inputs are only read
 *         int64_t d_<dim>;           // one field each; those of inputs (TgPlanSymbol.input) are set by the caller
 *     } tgk_frame;
 *     static tgk_status tgk_steps(tgk_frame *f);
 * After it returns TGK_OK, all fields d_ are set. */
bool emit_steps(Package *p, TgText *out);

#endif
