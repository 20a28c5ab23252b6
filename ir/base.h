/* The ground under everything: context, memory, strings, small containers, diagnostics.
 *
 * Laws. A function fails if and only if it recorded a diagnostic; callers propagate, never re-word. Bugs and
 * out-of-memory unwind to the nearest tg_protect (one per API entry). Only base.c calls malloc. No library code
 * prints, exits or keeps globals: every public function takes the context (or something that knows it) first.
 */
#ifndef TG_BASE_H
#define TG_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Tg Tg;             /* context: owns every byte, string, type and diagnostic */
typedef struct TgArena TgArena;   /* grows, is released as a whole or back to a mark */
typedef const char *TgName;       /* interned, NUL-terminated: equal strings are equal pointers; NULL: none */

#if defined(__GNUC__)
#define TG_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define TG_NORETURN __attribute__((noreturn))
#else
#define TG_PRINTF(fmt, first)
#define TG_NORETURN
#endif

/* --- context (base.c) --------------------------------------------------------------------------------------------- */

/* Memory comes from `allocate` (realloc-like: size 0 frees); NULL means the C library. */
typedef struct {
    void *(*allocate)(void *user, void *old, size_t size);
    void *user;
} TgAllocator;

Tg *tg_open(const TgAllocator *allocator); /* NULL when out of memory */
void tg_close(Tg *tg);                     /* frees all that the context owns, unmaps files */

/* Runs body(argument) and returns its result; false when it unwound, with a diagnostic recorded. Nests. */
bool tg_protect(Tg *tg, bool (*body)(void *argument), void *argument);
TG_NORETURN void tg_bug(Tg *tg, const char *file, int line, const char *what);
#define TG_CHECK(tg, condition) ((condition) ? (void)0 : tg_bug((tg), __FILE__, __LINE__, #condition))

/* Blocks that are freed one by one: evaluator arrays, file buffers. Never NULL (unwinds); 64-byte aligned. What is
 * taken inside a tg_protect that unwinds is freed by that. */
void *tg_heap_new(Tg *tg, size_t size);
void tg_heap_free(Tg *tg, void *block); /* NULL is fine */

/* --- limits (limit.c; rows in limits.def) ------------------------------------------------------------------------ */

typedef enum {
#define LIMIT(id, option, usual, most, what) TG_LIMIT_##id,
#include "limits.def"
#undef LIMIT
    TG_LIMIT_COUNT
} TgLimit;

enum { /* what the code can bear, for the size of an array */
#define LIMIT(id, option, usual, most, what) TG_MOST_##id = (most) < INT32_MAX ? (int)(most) : INT32_MAX,
#include "limits.def"
#undef LIMIT
};

typedef struct {
    const char *option, *what; /* as in limits.def */
    uint64_t usual, most;
} TgLimitInfo;

const TgLimitInfo *tg_limit_info(TgLimit limit);
uint64_t tg_limit(const Tg *tg, TgLimit limit);
bool tg_set_limit(Tg *tg, TgLimit limit, uint64_t n); /* false: more than the code can bear; nothing is recorded */
bool tg_within(Tg *tg, TgLimit limit, uint64_t n);    /* false: n goes beyond it, recorded */
/* base + ratio * size, as far as that can be counted. */
uint64_t tg_scaled_limit(const Tg *tg, TgLimit base, TgLimit ratio, uint64_t size);
/* What the graph of a file may take that has `size` bytes without payloads: a sound one takes 4 to 10 times as much.
 * Who says how much memory there is in all has said it for the graph as well. *limit: which one counts. */
uint64_t tg_load_budget(const Tg *tg, uint64_t size, TgLimit *limit);

/* TG_LIMIT_memory counts arenas and heap; what goes beyond it unwinds. An allowance is a second, passing limit of that
 * kind, for work that may be given up: set around it, by the name of `limit`; returns the former one. SIZE_MAX:
 * none. */
size_t tg_allow(Tg *tg, TgLimit limit, size_t allowance);
size_t tg_allowance(const Tg *tg, uint64_t bytes); /* for so many bytes beyond those that are held now */
size_t tg_memory_peak(const Tg *tg);

/* --- arenas (base.c) ---------------------------------------------------------------------------------------------- */

typedef struct {
    void *block;
    size_t used;
} TgMark;

TgArena *tg_arena_new(Tg *tg);
void tg_arena_free(TgArena *arena);
Tg *tg_arena_context(const TgArena *arena);
TgArena *tg_scratch(Tg *tg); /* for what dies soon: take a mark first, release after */
TgArena *tg_forever(Tg *tg); /* lives as long as the context */
TgMark tg_mark(TgArena *arena);
void tg_release(TgArena *arena, TgMark mark);

void *tg_new(TgArena *arena, size_t size); /* zeroed, 16-byte aligned; unwinds when out of memory */
void *tg_copy(TgArena *arena, const void *from, size_t size);
size_t tg_product(Tg *tg, size_t a, size_t b); /* overflow unwinds with TG_E_too_big */
#define TG_NEW(arena, type) ((type *)tg_new((arena), sizeof(type)))
#define TG_NEW_N(arena, type, n) \
    ((type *)tg_new((arena), tg_product(tg_arena_context(arena), (size_t)(n), sizeof(type))))

/* --- growing arrays: struct { T *at; uint32_t n, cap; } ----------------------------------------------------------- */

#define TG_VEC(type) \
    struct { \
        type *at; \
        uint32_t n, cap; \
    }
void tg_vec_grow(TgArena *arena, void *vec, size_t element_size); /* room for one more */
#define TG_PUSH(arena, vec, value) \
    ((vec)->n == (vec)->cap ? tg_vec_grow((arena), (vec), sizeof *(vec)->at) : (void)0, (vec)->at[(vec)->n++] = (value))

typedef TG_VEC(uint32_t) TgU32s;

/* --- hash map from 64-bit keys to 64-bit values (table.c) --------------------------------------------------------- */

typedef struct {
    TgArena *arena;
    uint64_t *keys, *values;
    uint8_t *full;
    uint32_t n, cap;
} TgMap;

void tg_map_init(TgMap *map, TgArena *arena);
bool tg_map_get(const TgMap *map, uint64_t key, uint64_t *value); /* value may be NULL */
void tg_map_put(TgMap *map, uint64_t key, uint64_t value);        /* replaces */
#define TG_KEY(pointer) ((uint64_t)(uintptr_t)(pointer))

uint64_t tg_hash(const void *bytes, size_t size, uint64_t seed);
uint64_t tg_mix(uint64_t a, uint64_t b); /* combines two hashes, order matters */

/* Hash-consing: returns the stored twin of `probe`, or what make(user) stores. */
typedef struct TgInterner TgInterner;
TgInterner *tg_interner_new(TgArena *arena, bool (*equal)(const void *a, const void *b));
const void *tg_interner_find(TgInterner *in, const void *probe, uint64_t hash);
void tg_interner_add(TgInterner *in, const void *item, uint64_t hash);

/* --- strings and text (text.c) ------------------------------------------------------------------------------------ */

TgName tg_name(Tg *tg, const char *text);                    /* interns; text may be NULL (gives NULL) */
TgName tg_name_n(Tg *tg, const char *bytes, size_t n);       /* stops at a NUL byte */
TgName tg_name_format(Tg *tg, const char *format, ...) TG_PRINTF(2, 3);

typedef struct {
    const uint8_t *at;
    size_t n;
} TgBytes; /* any bytes, borrowed */

/* A text under construction; `at` is NUL-terminated at all times once something was added. */
typedef struct {
    TgArena *arena;
    char *at;
    size_t n, cap;
} TgText;

void tg_text_init(TgText *text, TgArena *arena);
void tg_text_add(TgText *text, const char *string);
void tg_text_add_n(TgText *text, const char *bytes, size_t n);
void tg_text_format(TgText *text, const char *format, ...) TG_PRINTF(2, 3);
void tg_text_float(TgText *text, double value, bool is_float32); /* shortest exact form; inf, -inf, nan */
/* "..." with JSON escapes; all control characters are escaped, bytes that are no UTF-8 become \xNN (not JSON: lossless). */
void tg_text_quoted(TgText *text, const char *bytes, size_t n);
void tg_text_json(TgText *text, const char *bytes, size_t n); /* the same, but those become U+FFFD: valid JSON */

/* --- files (file.c, output.c) ------------------------------------------------------------------------------------- */

/* A file mapped read-only. It stays mapped until the context closes. Opening one path twice gives the same file. */
typedef struct {
    TgName path;
    const uint8_t *bytes;
    size_t size;
    int fd; /* stays open for shared blocks; -1 when too many files are open */
} TgFile;

const TgFile *tg_file_map(Tg *tg, const char *path); /* NULL: refused, recorded */
/* The external file `location` (relative, as ONNX says) beneath the directory of `model_path`, or beneath the
 * directory that model_path really lies in (model caches link both into one place). Regular files only, no "..",
 * no second name elsewhere (TG_LIMIT_links). */
const TgFile *tg_file_map_beneath(Tg *tg, const char *model_path, const char *location);
/* Tells the kernel that the mapped bytes are not needed now: they stop counting as resident. */
void tg_file_forget(const uint8_t *bytes, size_t size);
/* Hints as well: how they will be read (a page here and there must not fetch megabytes around it); all are needed
 * now. */
typedef enum { TG_READ_USUALLY, TG_READ_IN_ORDER, TG_READ_HERE_AND_THERE } TgReading;
void tg_file_expect(const uint8_t *bytes, size_t size, TgReading how);
void tg_file_populate(const uint8_t *bytes, size_t size);
/* For handlers of signals: the file whose mapping holds this address (NULL: none), so that a SIGBUS can say which file
 * another process has cut; and the removal of hidden files under construction. Both are async-signal-safe. */
const TgFile *tg_file_at(const Tg *tg, const void *address);
void tg_outputs_abandon(const Tg *tg);

/* A file being written: nothing appears under its name before tg_output_commit; a link of that name is replaced. */
typedef struct TgOutput TgOutput;
TgOutput *tg_output_open(Tg *tg, const char *path); /* "-": standard output; NULL: recorded */
void tg_output_expect(TgOutput *out, size_t n); /* a hint: so many bytes will come */
bool tg_output_write(TgOutput *out, const void *bytes, size_t n);
bool tg_output_copy(TgOutput *out, const TgFile *from, size_t offset, size_t n); /* shares blocks where it can */
bool tg_output_zeros(TgOutput *out, size_t n);
bool tg_output_patch(TgOutput *out, size_t offset, const void *bytes, size_t n); /* over what was written; no pipes */
size_t tg_output_offset(const TgOutput *out);
bool tg_output_commit(TgOutput *out, bool sync); /* frees out; false: recorded, nothing was left behind */
void tg_output_discard(TgOutput *out);

/* --- diagnostics (diag.c); the messages are rows of diag.def ------------------------------------------------------ */

typedef enum { TG_NOTE, TG_WARNING, TG_ERROR } TgSeverity;

typedef enum {
#define DIAG(id, severity, exit_code, format) TG_E_##id,
#include "diag.def"
#undef DIAG
    TG_E_COUNT
} TgDiagId;

/* Where we are: set by whoever walks something, read by tg_report. Text positions count from 1; 0: none. */
typedef struct {
    TgName file;
    uint32_t line, column;
    TgName node, op; /* "node 'x' (MatMul)" */
} TgPlace;

typedef struct {
    TgDiagId id;
    TgSeverity severity;
    TgPlace place;
    TgName message;
} TgDiag;

TgPlace *tg_place(Tg *tg); /* the current place; save it, change it, restore it */

/* Records a diagnostic at the current place. The arguments fit the row's format. Returns false when it is an error
 * and true otherwise, so that `return tg_report(...)` reads well. */
bool tg_report(Tg *tg, TgDiagId id, ...);
uint32_t tg_diag_count(const Tg *tg);
const TgDiag *tg_diag(const Tg *tg, uint32_t index);
uint32_t tg_error_count(const Tg *tg);
void tg_diag_forget(Tg *tg, uint32_t count); /* drops those past `count`: for attempts that may fail */
TgName tg_diag_id_name(TgDiagId id);
int tg_diag_exit_code(const Tg *tg);         /* of the first error, per its row; 0 without errors */
int tg_diag_exit_code_of(TgDiagId id);
const char *tg_diag_format(TgDiagId id); /* as in diag.def; async-signal-safe, as the one above */
enum { TG_EXIT_LIMIT = 5 };
void tg_diag_render(Tg *tg, const TgDiag *diag, TgText *text); /* "tgopt: model.onnx: node 'x' (MatMul): error: ..." */

#endif
