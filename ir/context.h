/* What a context is made of. Private to ir/: the other folders see only `Tg`.
 *
 * One thread works with a context at a time. Everything that must not leak when something unwinds hangs
 * here: heap blocks, arenas, mapped files, outputs under construction.
 */
#ifndef TG_CONTEXT_H
#define TG_CONTEXT_H

#include <setjmp.h>

#include "base.h"

/* State that other files of ir/ keep per context: made lazily in tg_forever, starts as NULL. */
typedef enum {
    TG_SLOT_TYPES,
    TG_SLOT_DIMS,
    TG_SLOT_ATTRS,
    TG_SLOT_OPS,
    TG_SLOT_INFER,
    TG_SLOT_EVAL,
    TG_SLOT_COUNT
} TgSlot;

/* One tg_protect in progress. */
typedef struct TgFrame {
    jmp_buf jump;
    struct TgFrame *outer;
    TgMark scratch; /* what unwinding goes back to */
    TgPlace place;
    uint64_t outputs; /* outputs with a higher serial were opened within */
    uint64_t blocks;  /* and heap blocks taken */
} TgFrame;

typedef struct TgHeapBlock TgHeapBlock;

struct Tg {
    TgAllocator allocator;
    uint64_t limit[TG_LIMIT_COUNT];
    size_t held, peak;
    size_t allowed;       /* of `held`, for a while: tg_allow; SIZE_MAX: no such limit */
    TgLimit allowed_by;   /* which limit says so */
    TgFrame *frame;
    TgArena *arenas, *forever, *scratch;
    TgHeapBlock *heap, *shelf; /* in use; freed, but kept for the next of their size */
    size_t shelved;            /* bytes on the shelf */
    uint64_t block_serial;
    TgInterner *names;
    void *slot[TG_SLOT_COUNT];

    TgMap files; /* interned path -> TgFile */
    TG_VEC(TgFile *) mapped;
    TgOutput *outputs;
    uint64_t output_serial;

    TgPlace place;
    TG_VEC(TgDiag) diags; /* one slot is always free, so that lack of memory can be recorded */
    uint32_t errors;
    char last_words[128]; /* text of that record */
};

TG_NORETURN void tg_unwind(Tg *tg);            /* to the nearest tg_protect; a diagnostic is recorded */
void *tg_new_raw(TgArena *arena, size_t size); /* as tg_new, but not zeroed */
void tg_report_last_words(Tg *tg, TgDiagId id, ...); /* allocates nothing */
void tg_limits_init(Tg *tg);                         /* to what limits.def says */
TgName tg_folder_of(Tg *tg, const char *path);   /* "." where the path names none */
void tg_files_close(Tg *tg);                     /* unmaps all; discards what was not committed */
void tg_outputs_unwind(Tg *tg, uint64_t serial); /* discards outputs opened after `serial` */

#endif
