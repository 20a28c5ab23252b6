/* tgk_ctx.parallel_for by OpenMP: compile with -fopenmp, set parallel_for = tgk_openmp_for; the pool is not used. */
#include "openmp.h"

void tgk_openmp_for(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n)
{
    (void)pool;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1)
#endif
    for (int64_t i = 0; i < n; i++)
        task(arg, i);
}
