/* The pool of pthreads.h.
 *
 * Every thread has a share of the tasks, a run of neighbours (which often read the same weights), and takes from its
 * beginning; who is done takes from the others' shares. A share's word holds the number of the job beside the next
 * task: a thread that comes late finds another number and takes nothing, so the caller waits for tasks only, never for
 * a thread that the system has not woken. Fields of a job change only while no task of it is left and all shares are
 * closed: a thread that read a share before and the fields of the next job after takes nothing either, as its exchange
 * fails.
 */
#if !defined(_GNU_SOURCE) && !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include "pthreads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { SPINS = 4000, LINE = 64 };

static const uint64_t CLOSED = 0xffffffff; /* as next task: none, whatever the job */

typedef void task_function(void *arg, int64_t i);

typedef struct {
    _Alignas(LINE) _Atomic uint64_t next; /* number of the job << 32 | next task */
    pthread_t thread;
    tgk_pool *pool;
    int index;
} share;

struct tgk_pool {
    _Alignas(LINE) _Atomic uint32_t job; /* number of the newest */
    _Atomic(task_function *) task;
    _Atomic(void *) arg;
    _Atomic int64_t base, n;             /* the job's tasks are base .. base + n - 1 */
    _Alignas(LINE) _Atomic int64_t left; /* tasks that are not done */
    _Alignas(LINE) _Atomic int sleepers;
    _Atomic int stop;
    atomic_flag busy;
    int threads;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    share shares[];
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t share_end(int64_t n, int threads, int index) { return n * (index + 1) / threads; }

/* Takes tasks of job `job` from share `from` until none is left there. */
static void work_on(tgk_pool *p, uint32_t job, int from)
{
    share *s = &p->shares[from];
    uint64_t next = atomic_load_explicit(&s->next, memory_order_acquire);
    while (next >> 32 == job) {
        task_function *task = atomic_load_explicit(&p->task, memory_order_relaxed);
        void *arg = atomic_load_explicit(&p->arg, memory_order_relaxed);
        const int64_t base = atomic_load_explicit(&p->base, memory_order_relaxed);
        const int64_t n = atomic_load_explicit(&p->n, memory_order_relaxed), i = (int64_t)(next & CLOSED);
        atomic_thread_fence(memory_order_acquire); /* fields of a newer job: then the exchange sees a closed share */
        if (i >= share_end(n, p->threads, from))
            return;
        if (!atomic_compare_exchange_weak_explicit(&s->next, &next, next + 1, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        task(arg, base + i);
        atomic_fetch_sub_explicit(&p->left, 1, memory_order_acq_rel);
        next = atomic_load_explicit(&s->next, memory_order_acquire);
    }
}

static void work(tgk_pool *p, uint32_t job, int index)
{
    for (int i = 0; i < p->threads; i++)
        work_on(p, job, (index + i) % p->threads);
}

/* Until there is a newer job than `seen`, or the end. */
static uint32_t await_job(tgk_pool *p, uint32_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        const uint32_t job = atomic_load_explicit(&p->job, memory_order_acquire);
        if (job != seen || atomic_load_explicit(&p->stop, memory_order_relaxed))
            return job;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->job) == seen && !atomic_load(&p->stop))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->job);
}

static void *worker(void *arg)
{
    const share *s = arg;
    tgk_pool *p = s->pool;
    uint32_t seen = 0;
    while (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
        const uint32_t job = await_job(p, seen);
        if (job != seen)
            work(p, job, s->index);
        seen = job;
    }
    return NULL;
}

static void wake_all(tgk_pool *p)
{
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

static void run_job(tgk_pool *p, task_function *task, void *arg, int64_t base, int64_t n)
{
    const uint32_t job = atomic_load_explicit(&p->job, memory_order_relaxed) + 1;
    for (int i = 0; i < p->threads; i++)
        atomic_store_explicit(&p->shares[i].next, (uint64_t)job << 32 | CLOSED, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&p->task, task, memory_order_relaxed);
    atomic_store_explicit(&p->arg, arg, memory_order_relaxed);
    atomic_store_explicit(&p->base, base, memory_order_relaxed);
    atomic_store_explicit(&p->n, n, memory_order_relaxed);
    atomic_store_explicit(&p->left, n, memory_order_relaxed);
    for (int i = 0; i < p->threads; i++) {
        const uint64_t first = (uint64_t)(i ? share_end(n, p->threads, i - 1) : 0);
        atomic_store_explicit(&p->shares[i].next, (uint64_t)job << 32 | first, memory_order_release);
    }
    atomic_store(&p->job, job);
    wake_all(p);
    work(p, job, 0);
    for (int spins = 0; atomic_load_explicit(&p->left, memory_order_acquire) > 0; spins++) {
        if (spins < SPINS)
            relax();
        else
            sched_yield();
    }
}

void tgk_pool_for(void *pool, task_function *task, void *arg, int64_t n)
{
    tgk_pool *p = pool;
    if (n < 2 || p->threads < 2 || atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire)) {
        for (int64_t i = 0; i < n; i++)
            task(arg, i);
        return;
    }
    const int64_t most = 1 << 30;
    for (int64_t base = 0; base < n; base += most)
        run_job(p, task, arg, base, n - base < most ? n - base : most);
    atomic_flag_clear_explicit(&p->busy, memory_order_release);
}

size_t tgk_pool_bytes(int threads)
{
    return threads < 1 || threads > TGK_POOL_THREADS ? 0 : sizeof(tgk_pool) + (size_t)threads * sizeof(share);
}

tgk_pool *tgk_pool_start(void *memory, size_t bytes, int threads)
{
    if (!memory || (uintptr_t)memory % LINE || !tgk_pool_bytes(threads) || bytes < tgk_pool_bytes(threads))
        return NULL;
    tgk_pool *p = memset(memory, 0, tgk_pool_bytes(threads));
    if (pthread_mutex_init(&p->lock, NULL) || pthread_cond_init(&p->wake, NULL))
        return NULL;
    atomic_flag_clear(&p->busy);
    /* How many there are must be known to a thread before it looks for work: no job comes before all are started. */
    p->threads = 1;
    for (int i = 1; i < threads; i++) {
        p->shares[i].pool = p;
        p->shares[i].index = i;
        if (pthread_create(&p->shares[i].thread, NULL, worker, &p->shares[i]))
            break;
        p->threads = i + 1;
    }
    return p;
}

void tgk_pool_stop(tgk_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->shares[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
}
