/* A pool of threads for tgk_ctx.parallel_for (POSIX): the caller owns its memory.
 *
 *   size_t n = tgk_pool_bytes(threads);
 *   tgk_pool *pool = tgk_pool_start(memory, n, threads);   memory: 64-byte aligned, n bytes
 *   tgk_ctx c = {isa, tgk_pool_for, pool};
 *   ...
 *   tgk_pool_stop(pool);
 *
 * Threads stay and wait for work: first by spinning (about 0.1 ms, so that the parts of one inference follow each other
 * without a system call), then asleep.
 */
#ifndef TGK_PTHREADS_H
#define TGK_PTHREADS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tgk_pool tgk_pool;

enum { TGK_POOL_THREADS = 256 };

/* 0 where `threads` (the caller's counts) is not in 1..TGK_POOL_THREADS. */
size_t tgk_pool_bytes(int threads);

/* NULL: too little or unaligned memory, or not one thread could be started. Fewer than asked for is no failure. */
tgk_pool *tgk_pool_start(void *memory, size_t bytes, int threads);
void tgk_pool_stop(tgk_pool *pool);

/* For tgk_ctx.parallel_for. One caller at a time; another one, or a task itself, runs its tasks alone. */
void tgk_pool_for(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n);

#ifdef __cplusplus
}
#endif

#endif
