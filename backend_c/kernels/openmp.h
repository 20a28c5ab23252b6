/* tgk_ctx.parallel_for by OpenMP, instead of pthreads.h. */
#ifndef TGK_OPENMP_H
#define TGK_OPENMP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void tgk_openmp_for(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n);

#ifdef __cplusplus
}
#endif

#endif
