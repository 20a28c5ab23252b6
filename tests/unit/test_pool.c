/* The pool of threads of packages: every task once, and none of another job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend_c/kernels/pthreads.h"

enum { THREADS = 6, MOST = 96, JOBS = 300000 };

/* Each task counts in a place of its own, so that counting needs no lock. */
static void count(void *arg, int64_t i)
{
    ((unsigned char *)arg)[i]++;
}

static void count_from_the_end(void *arg, int64_t i)
{
    ((unsigned char *)arg)[MOST - 1 - i]++;
}

/* A thread that read its share before the caller went on took a task of the next job, which so ran twice, and the
 * caller did not wait for it. More threads than cores: many are late. */
static void test_late_thread_takes_nothing_of_the_next_job(void **state)
{
    const size_t bytes = (tgk_pool_bytes(THREADS) + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    tgk_pool *pool = tgk_pool_start(memory, bytes, THREADS);
    (void)state;
    assert_non_null(pool);
    for (int job = 0; job < JOBS; job++) {
        const int64_t n = 2 + job * 37 % (MOST - 1);
        unsigned char done[MOST] = {0}, wanted[MOST] = {0};
        const int backwards = job % 3 == 0;
        memset(backwards ? wanted + MOST - n : wanted, 1, (size_t)n);
        tgk_pool_for(pool, backwards ? count_from_the_end : count, done, n);
        if (memcmp(done, wanted, MOST))
            fail_msg("job %d of %d tasks", job, (int)n);
    }
    tgk_pool_stop(pool);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_late_thread_takes_nothing_of_the_next_job)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
