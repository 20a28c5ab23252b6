/* The tgopt command: what its files share. Libraries return diagnostics; only here is anything printed,
 * and only here are exit codes chosen. Data goes to standard output, messages to standard error. */
#ifndef TG_TOOL_H
#define TG_TOOL_H

#include <stdio.h>

#include "backend_c/backend_c.h"
#include "frontend/frontend.h"
#include "ir/ir.h"
#include "passes/passes.h"
#include "rules/rules.h"

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_DIFFERENT, EXIT_UNSUPPORTED, EXIT_LIMIT, EXIT_INTERNAL = 70 };

/* --- options.c: the tables, parsing, what is derived from them ---------------------------------------- */

typedef enum {
#define COMMAND(id, word, operands, summary) CMD_##id,
#include "commands.def"
#undef COMMAND
    CMD_COUNT
} Command;

typedef enum {
#define OPTION(id, name, letter, argument, commands, help) OPT_##id,
#include "options.def"
#undef OPTION
    OPT_COUNT
} OptionId;

typedef struct {
    OptionId id;
    const char *value; /* NULL: none given */
} Given;

typedef struct {
    Command command;
    TG_VEC(Given) given; /* in the order of the command line */
    TG_VEC(const char *) operands;
} Arguments;

bool parse_arguments(Tg *tg, int argc, char **argv, Arguments *arguments); /* false: usage, already said */
bool has(const Arguments *a, OptionId id);
const char *text_of(const Arguments *a, OptionId id); /* the last one given; NULL: none */
const char *word_of(const Arguments *a, OptionId id, const char *otherwise);
/* False: not such a number, already said. Keeps *n where the option was not given. */
bool number_of(const Arguments *a, OptionId id, int64_t low, int64_t high, int64_t *n);
bool set_limits(Tg *tg, const Arguments *a); /* --max-memory, --limit; false: usage, already said */
/* The position of the option's value among the words; 0 where it was not given; -1: none of them, already
 * said. */
int choice_of(const Arguments *a, OptionId id, const char *const *words, int n);
bool usage(const char *format, ...) TG_PRINTF(1, 2); /* says what is wrong; returns false */
void print_help(Command command);
void print_manual(void);
void print_completion(void);

/* --- one run ------------------------------------------------------------------------------------------ */

typedef struct {
    Tg *tg;
    Arguments arguments;
    bool quiet, verbose, color;
    int code; /* of the process */
} Run;

bool optimize_command(Run *run);
bool run_command(Run *run);
bool verify_command(Run *run);
bool inspect_command(Run *run);
bool reduce_command(Run *run);
bool rules_command(Run *run);
bool plan_command(Run *run);
bool bench_command(Run *run);

/* --- shared by the commands (tgopt.c, shapes.c) ------------------------------------------------------- */

TgModel *load_model(Run *run, const char *path);
void whatever_it_costs(Tg *tg, TgEquivOptions *options); /* --verify=full */
TgBook *load_book(Run *run, int level); /* what --rules and its kin say, closed; NULL: refused and recorded, or said */
bool fix_input_shapes(Run *run, TgModel *model); /* --input-shape, --fix-dim */
bool write_text(Tg *tg, const char *path, const TgText *text);
double seconds_now(void);
/* Writes the model in a format that is not ONNX. */
typedef enum { EMIT_ONNX, EMIT_TG, EMIT_DOT, EMIT_JSON, EMIT_C, EMIT_NONE } Emit;
bool emit_of(const Arguments *a, Emit otherwise, Emit *emit);
bool emit_model(Run *run, TgModel *model, Emit emit, const char *path);

/* --- package.c: standalone C ------------------------------------------------------------------------------- */

bool known_for_c(Run *run); /* --max-dim, --weights, --math; false: usage, already said */
TgPlan *plan_for_c(Run *run, TgModel *model, const TgBook *book, const TgArray *in); /* in: sizes that must fit; or NULL */
TgModel *optimized_for_c(Run *run, const TgModel *source, TgBook **book);

/* A package in a folder that passes, compiled. NULL: recorded, or said. */
typedef struct Built Built;
Built *package_build(Run *run, const TgModel *source, const TgArray *in);
bool package_fits(const Built *b, const TgArray *in); /* its sizes are not larger than those that it was made for */
bool package_run(Built *b, int64_t threads, const TgArray *in, TgArray *out);
bool package_bench(Built *b, int64_t threads, int64_t runs);
void package_drop(Built *b); /* NULL is fine */

void watch_signals(const Tg *tg); /* signals.c; NULL, before tg_close: no longer */

/* --- json.c: a writer with two spaces of indentation -------------------------------------------------- */

typedef struct {
    TgText text;
    uint32_t depth;
    bool first; /* nothing in the innermost object or array yet */
    bool keyed; /* a key was written, its value comes next */
} Json;

void json_begin(Json *j, TgArena *arena);
void json_open(Json *j, char bracket); /* '{' or '[' */
void json_close(Json *j, char bracket);
void json_key(Json *j, const char *key);
void json_string(Json *j, const char *s); /* NULL: null */
void json_int(Json *j, int64_t n);
void json_number(Json *j, double x); /* no JSON number: null */
void json_bool(Json *j, bool b);
void json_string_at(Json *j, const char *key, const char *s); /* members of an object: key and value */
void json_int_at(Json *j, const char *key, int64_t n);
void json_number_at(Json *j, const char *key, double x);
void json_end(Json *j);                   /* a newline */
void json_model(Json *j, TgModel *model); /* graph_json.c */

/* --- summary.c: what a run reports -------------------------------------------------------------------- */

typedef struct {
    TgName name; /* of an operator */
    uint32_t before, after;
} OpCount;

typedef struct {
    int64_t opset; /* of ai.onnx; 0: none */
    uint32_t nodes;
    double const_bytes;
    TgCost cost; /* symbolic sizes count as TG_TYPICAL_SIZE */
} Figures;

enum { SUMMARY_LABEL = 12 /* width of the first column */ };

typedef struct {
    TgDtype to;
    const TgGraph *graph; /* of the source: names of outputs */
    uint32_t matrices;    /* --weights: so many have fewer bits; 0: --convert */
    uint32_t runs;        /* 0: not measured */
    double worst, *errors; /* by output: largest difference, relative to the largest element */
    TgName worst_output;
} Conversion;

typedef struct {
    const char *source, *target;
    Figures before, after;
    TG_VEC(OpCount) ops;
    const TgReport *report;
    const TgEquivResult *checks;          /* of the single replacements; NULL: not verified */
    const TgEquivResult *equiv;           /* of the whole; NULL: not compared */
    const Conversion *conversion;         /* NULL: none */
    double load, optimize, verify, write; /* seconds */
} Summary;

Figures figures_of(TgModel *model);
void count_ops(Tg *tg, Summary *s, const TgModel *model, bool after);
void print_summary(const Run *run, const Summary *s);
void print_equivalence(FILE *to, const TgEquivResult *e);
bool write_report(Run *run, const Summary *s, const char *path);

/* --- convert.c: --convert ------------------------------------------------------------------------------- */

/* Matrices come and go while models of gigabytes run: their memory is used again, instead of being mapped, page by page,
 * each time, which takes longer than what is computed. */
void keep_freed_memory(void);
bool strictness_of(const Arguments *a, bool *strict); /* --math; false: usage, already said */
bool narrowing_of(const Arguments *a, TgDtype *to); /* --weights; TG_undefined: not given; false: usage, already said */
bool narrow_model(Run *run, TgModel *source, TgModel *model, TgDtype to, uint64_t seed, Conversion *c);
bool conversion_of(const Arguments *a, TgConvert *convert); /* false: usage, already said */
/* Converts the model and measures its error against the source. False: recorded. */
bool convert_model(Run *run, TgModel *source, TgModel *model, TgConvert convert, uint64_t seed, Conversion *c);
void print_conversion(const Conversion *c);
void json_conversion(Json *j, const Conversion *c);

#endif
