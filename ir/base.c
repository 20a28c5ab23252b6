/* Context and memory: the only place that calls the allocator.
 *
 * Three ways to get bytes, by lifetime. Arenas: blocks that double in size, released as a whole or back
 * to a mark; one spare block is kept so that a mark on a block's edge does not hit the allocator again
 * and again. Heap: single blocks, 64-byte aligned, chained through a header so that nothing leaks when
 * something unwinds. Both count towards one limit.
 *
 * Unwinding is longjmp to the innermost tg_protect. That is safe because no function owns anything: all
 * memory, files and outputs hang on the context.
 */
#include <stdlib.h>
#include <string.h>

#include "context.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#endif

/* --- raw memory ----------------------------------------------------------------------------------------- */

static void *obtain(const TgAllocator *allocator, size_t size) {
    return allocator->allocate ? allocator->allocate(allocator->user, NULL, size) : malloc(size);
}

static void give_back(const TgAllocator *allocator, void *block) {
    if (allocator->allocate)
        allocator->allocate(allocator->user, block, 0);
    else
        free(block);
}

/* The address sanitizer knows the blocks of the allocator, not what lies in them: it is told which bytes are in
 * use, and finds a gap behind each piece. */
#ifdef SANITIZED
enum { GAP = 16 };
static void close_bytes(void *at, size_t n) { ASAN_POISON_MEMORY_REGION(at, n); }
static void open_bytes(void *at, size_t n) { ASAN_UNPOISON_MEMORY_REGION(at, n); }
#else
enum { GAP = 0 };
static void close_bytes(void *at, size_t n) { (void)at, (void)n; }
static void open_bytes(void *at, size_t n) { (void)at, (void)n; }
#endif

static void empty_shelf(Tg *tg);
static void free_blocks_since(Tg *tg, uint64_t serial);

static bool beyond(const Tg *tg, size_t size, uint64_t most) { return size > most || tg->held > most - size; }

static bool over_limit(const Tg *tg, size_t size) {
    uint64_t limit = tg->limit[TG_LIMIT_memory];
    return (limit && beyond(tg, size, limit)) || beyond(tg, size, tg->allowed);
}

TG_NORETURN static void refuse(Tg *tg, size_t size) {
    bool passing = beyond(tg, size, tg->allowed);
    TgLimit limit = passing ? tg->allowed_by : TG_LIMIT_memory;
    tg_report_last_words(tg, TG_E_memory_limit, tg->held, size, tg_limit_info(limit)->option);
    tg_unwind(tg);
}

static void *grab(Tg *tg, size_t size) {
    if (over_limit(tg, size))
        empty_shelf(tg);
    if (over_limit(tg, size))
        refuse(tg, size);
    void *block = obtain(&tg->allocator, size);
    if (!block && tg->shelf) {
        empty_shelf(tg);
        block = obtain(&tg->allocator, size);
    }
    if (!block) {
        tg_report_last_words(tg, TG_E_out_of_memory, size);
        tg_unwind(tg);
    }
    tg->held += size;
    if (tg->held > tg->peak)
        tg->peak = tg->held;
    return block;
}

static void drop(Tg *tg, void *block, size_t size) {
    tg->held -= size;
    open_bytes(block, size);
    give_back(&tg->allocator, block);
}

static size_t plus(Tg *tg, size_t a, size_t b) {
    if (a > SIZE_MAX - b) {
        tg_report_last_words(tg, TG_E_out_of_memory, a);
        tg_unwind(tg);
    }
    return a + b;
}

/* --- context -------------------------------------------------------------------------------------------- */

static bool furnish(void *argument) {
    Tg *tg = argument;
    tg->forever = tg_arena_new(tg);
    tg->scratch = tg_arena_new(tg);
    tg_map_init(&tg->files, tg->forever);
    tg_vec_grow(tg->forever, &tg->diags, sizeof *tg->diags.at);
    return true;
}

Tg *tg_open(const TgAllocator *allocator) {
    TgAllocator chosen = allocator ? *allocator : (TgAllocator){0};
    Tg *tg = obtain(&chosen, sizeof *tg);
    if (!tg)
        return NULL;
    *tg = (Tg){.allocator = chosen, .allowed = SIZE_MAX};
    tg_limits_init(tg);
    if (!tg_protect(tg, furnish, tg)) {
        tg_close(tg);
        return NULL;
    }
    return tg;
}

void tg_close(Tg *tg) {
    if (!tg)
        return;
    tg_files_close(tg);
    while (tg->arenas)
        tg_arena_free(tg->arenas);
    while (tg->heap)
        tg_heap_free(tg, (uint8_t *)tg->heap + 64);
    empty_shelf(tg);
    TgAllocator allocator = tg->allocator;
    give_back(&allocator, tg);
}

size_t tg_allow(Tg *tg, TgLimit limit, size_t allowance) {
    size_t former = tg->allowed;
    tg->allowed = allowance;
    tg->allowed_by = limit;
    return former;
}

size_t tg_allowance(const Tg *tg, uint64_t bytes) {
    return bytes > SIZE_MAX - tg->held ? SIZE_MAX : tg->held + (size_t)bytes;
}

size_t tg_memory_peak(const Tg *tg) { return tg->peak; }

bool tg_protect(Tg *tg, bool (*body)(void *argument), void *argument) {
    TgFrame frame = {.outer = tg->frame,
                     .place = tg->place,
                     .outputs = tg->output_serial,
                     .blocks = tg->block_serial};
    if (tg->scratch)
        frame.scratch = tg_mark(tg->scratch);
    tg->frame = &frame;
    bool ok = false;
    if (!setjmp(frame.jump)) {
        ok = body(argument);
    } else {
        tg_outputs_unwind(tg, frame.outputs);
        free_blocks_since(tg, frame.blocks);
        if (tg->scratch)
            tg_release(tg->scratch, frame.scratch);
        tg->place = frame.place;
        ok = false;
    }
    tg->frame = frame.outer;
    return ok;
}

void tg_unwind(Tg *tg) {
    if (!tg->frame)
        __builtin_trap(); /* the API entry forgot its tg_protect: there is nowhere to go */
    longjmp(tg->frame->jump, 1);
}

void tg_bug(Tg *tg, const char *file, int line, const char *what) {
    tg_report(tg, TG_E_bug, file, line, what);
    tg_unwind(tg);
}

size_t tg_product(Tg *tg, size_t a, size_t b) {
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        tg_report(tg, TG_E_too_big, a, b);
        tg_unwind(tg);
    }
    return product;
}

/* --- heap ----------------------------------------------------------------------------------------------- */

struct TgHeapBlock {
    TgHeapBlock *next, *before;
    size_t size; /* as obtained */
    void *raw;
    uint64_t serial; /* blocks in use are chained from the latest to the first */
};

_Static_assert(sizeof(TgHeapBlock) <= 64, "the header lies in the 64 bytes before the block");

/* Large blocks that were freed wait on a shelf for the next one of their size: evaluation frees and takes
 * the same few sizes all the time, and fresh pages from the kernel cost more than what is computed in
 * them. */
#ifdef SANITIZED
static const size_t SHELF_BYTES = 0, SHELF_FROM = 1; /* let every use after free be seen */
#else
static const size_t SHELF_BYTES = 32 << 20, SHELF_FROM = 128 << 10;
#endif

static void empty_shelf(Tg *tg) {
    while (tg->shelf) {
        TgHeapBlock block = *tg->shelf;
        tg->shelf = block.next;
        drop(tg, block.raw, block.size);
    }
    tg->shelved = 0;
}

static bool put_on_shelf(Tg *tg, TgHeapBlock *block) {
    if (block->size < SHELF_FROM || block->size > SHELF_BYTES)
        return false;
    if (block->size > SHELF_BYTES - tg->shelved)
        empty_shelf(tg);
    block->next = tg->shelf;
    tg->shelf = block;
    tg->shelved += block->size;
    return true;
}

/* A block of at least `size` and less than a quarter more. */
static TgHeapBlock *take_from_shelf(Tg *tg, size_t size) {
    TgHeapBlock **link = &tg->shelf;
    while (*link && ((*link)->size < size || (*link)->size - size > size / 4))
        link = &(*link)->next;
    TgHeapBlock *block = *link;
    if (block) {
        *link = block->next;
        tg->shelved -= block->size;
    }
    return block;
}

static TgHeapBlock *fresh_block(Tg *tg, size_t size) {
    uint8_t *raw = grab(tg, size);
    TgHeapBlock *block = (TgHeapBlock *)(void *)(raw + (64 - ((uintptr_t)raw & 63)));
    block->size = size;
    block->raw = raw;
    return block;
}

void *tg_heap_new(Tg *tg, size_t size) {
    size_t whole = plus(tg, size, 128);
    TgHeapBlock *block = whole >= SHELF_FROM ? take_from_shelf(tg, whole) : NULL;
    if (!block)
        block = fresh_block(tg, whole);
    block->serial = ++tg->block_serial;
    block->before = NULL;
    block->next = tg->heap;
    if (tg->heap)
        tg->heap->before = block;
    tg->heap = block;
    uint8_t *at = (uint8_t *)block + 64, *end = (uint8_t *)block->raw + block->size;
    close_bytes(at + size, (size_t)(end - at) - size);
    return at;
}

void tg_heap_free(Tg *tg, void *block) {
    if (!block)
        return;
    TgHeapBlock *header = (TgHeapBlock *)(void *)((uint8_t *)block - 64);
    if (header->next)
        header->next->before = header->before;
    if (header->before)
        header->before->next = header->next;
    else
        tg->heap = header->next;
    if (!put_on_shelf(tg, header))
        drop(tg, header->raw, header->size);
}

static void free_blocks_since(Tg *tg, uint64_t serial) {
    while (tg->heap && tg->heap->serial > serial)
        tg_heap_free(tg, (uint8_t *)tg->heap + 64);
}

/* --- arenas --------------------------------------------------------------------------------------------- */

typedef struct Block {
    struct Block *before;
    size_t size; /* of the bytes behind the header */
    size_t used;
    size_t unused;
} Block;

_Static_assert(sizeof(Block) % 16 == 0, "what follows the header is 16-byte aligned");

struct TgArena {
    Tg *tg;
    TgArena *next, *before;
    Block *last, *spare;
};

enum { FIRST_BLOCK = 4 << 10, LARGEST_BLOCK = 1 << 20 };

TgArena *tg_arena_new(Tg *tg) {
    TgArena *arena = grab(tg, sizeof *arena);
    *arena = (TgArena){.tg = tg, .next = tg->arenas};
    if (tg->arenas)
        tg->arenas->before = arena;
    tg->arenas = arena;
    return arena;
}

static void free_block(TgArena *arena, Block *block) {
    if (block)
        drop(arena->tg, block, sizeof *block + block->size);
}

void tg_arena_free(TgArena *arena) {
    if (!arena)
        return;
    tg_release(arena, (TgMark){0});
    free_block(arena, arena->spare);
    if (arena->next)
        arena->next->before = arena->before;
    if (arena->before)
        arena->before->next = arena->next;
    else
        arena->tg->arenas = arena->next;
    drop(arena->tg, arena, sizeof *arena);
}

Tg *tg_arena_context(const TgArena *arena) { return arena->tg; }
TgArena *tg_scratch(Tg *tg) { return tg->scratch; }
TgArena *tg_forever(Tg *tg) { return tg->forever; }

TgMark tg_mark(TgArena *arena) { return (TgMark){arena->last, arena->last ? arena->last->used : 0}; }

void tg_release(TgArena *arena, TgMark mark) {
    while (arena->last != mark.block) {
        Block *block = arena->last;
        arena->last = block->before;
        bool keep = block->size <= LARGEST_BLOCK && (!arena->spare || arena->spare->size < block->size);
        Block *loser = keep ? arena->spare : block;
        if (keep)
            arena->spare = block;
        free_block(arena, loser);
    }
    if (!arena->last)
        return;
    close_bytes((uint8_t *)(arena->last + 1) + mark.used, arena->last->used - mark.used);
    arena->last->used = mark.used;
}

static void add_block(TgArena *arena, size_t need) {
    Block *block = arena->spare;
    if (block && block->size >= need) {
        arena->spare = NULL;
    } else {
        size_t size = arena->last ? 2 * arena->last->size : FIRST_BLOCK;
        size = size > LARGEST_BLOCK ? LARGEST_BLOCK : size;
        size = size < need ? need : size;
        block = grab(arena->tg, plus(arena->tg, size, sizeof *block));
        block->size = size;
    }
    close_bytes(block + 1, block->size);
    block->used = 0;
    block->before = arena->last;
    arena->last = block;
}

void *tg_new_raw(TgArena *arena, size_t size) {
    size_t taken = plus(arena->tg, size, 15 + GAP) & ~(size_t)15;
    if (!arena->last || arena->last->size - arena->last->used < taken)
        add_block(arena, taken);
    uint8_t *at = (uint8_t *)(arena->last + 1) + arena->last->used;
    open_bytes(at, size);
    arena->last->used += taken;
    return at;
}

void *tg_new(TgArena *arena, size_t size) { return memset(tg_new_raw(arena, size), 0, size); }

void *tg_copy(TgArena *arena, const void *from, size_t size) {
    void *to = tg_new_raw(arena, size);
    return size ? memcpy(to, from, size) : to;
}

/* Every TG_VEC has the layout of this one; pointers to objects have one representation. */
typedef struct {
    void *at;
    uint32_t n, cap;
} AnyVec;

void tg_vec_grow(TgArena *arena, void *vec, size_t element_size) {
    AnyVec any;
    memcpy(&any, vec, sizeof any);
    TG_CHECK(arena->tg, any.cap < UINT32_MAX / 2);
    uint32_t cap = any.cap ? 2 * any.cap : 8;
    void *at = tg_new_raw(arena, tg_product(arena->tg, cap, element_size));
    if (any.n)
        memcpy(at, any.at, any.n * element_size);
    any.at = at;
    any.cap = cap;
    memcpy(vec, &any, sizeof any);
}
