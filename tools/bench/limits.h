/* For benchmarks of kernels: clock, memory on large pages, and the limits of the machine: peak of multiply-adds, read
 * bandwidth.
 */
#ifndef TOOLS_BENCH_LIMITS_H
#define TOOLS_BENCH_LIMITS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "backend_c/kernels/isa.h"
#include "backend_c/kernels/pthreads.h"

/* CLOCK_PROCESS_CPUTIME_ID: what one thread would take on a machine of its own, where others work beside it. */
static clockid_t bench_clock = CLOCK_MONOTONIC;

static double now(void)
{
    struct timespec t;
    clock_gettime(bench_clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *big(size_t bytes)
{
    const size_t huge = (size_t)2 << 20, room = (bytes + huge - 1) / huge * huge;
    void *at = aligned_alloc(huge, room);
    if (!at) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    madvise(at, room, MADV_HUGEPAGE);
    memset(at, 0, room);
    return at;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return v[n / 2];
}

/* --- limits of the machine ---------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

#define SUMS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#define TURNS (1 << 19)
#define DECLARE_512(i) __m512 s##i = _mm512_set1_ps(i);
#define STEP_512(i) s##i = _mm512_fmadd_ps(x, y, s##i);
#define KEEP_512(i) total = _mm512_add_ps(total, s##i);
#define DECLARE_256(i) __m256 s##i = _mm256_set1_ps(i);
#define STEP_256(i) s##i = _mm256_fmadd_ps(x, y, s##i);
#define KEEP_256(i) total = _mm256_add_ps(total, s##i);

__attribute__((target("avx512f"))) static void fma_512(void *arg, int64_t i)
{
    float *out = (float *)arg + 64 * i;
    const __m512 x = _mm512_set1_ps(out[0]), y = _mm512_set1_ps(out[1]);
    __m512 total = x;
    SUMS(DECLARE_512)
    for (int k = 0; k < TURNS; k++) {
        SUMS(STEP_512)
        __asm__ volatile("");
    }
    SUMS(KEEP_512)
    _mm512_storeu_ps(out, total);
}

__attribute__((target("avx2,fma"))) static void fma_256(void *arg, int64_t i)
{
    float *out = (float *)arg + 64 * i;
    const __m256 x = _mm256_set1_ps(out[0]), y = _mm256_set1_ps(out[1]);
    __m256 total = x;
    SUMS(DECLARE_256)
    for (int k = 0; k < TURNS; k++) {
        SUMS(STEP_256)
        __asm__ volatile("");
    }
    SUMS(KEEP_256)
    _mm256_storeu_ps(out, total);
}
#endif

static double peak(const tgk_ctx *ctx, int threads, const char *isa)
{
    float out[64 * TGK_POOL_THREADS] = {0};
    double best = 0;
    (void)isa;
#if defined(__x86_64__)
    for (int i = 0; i < 3; i++) {
        const int wide = strcmp(isa, "avx2") && strcmp(isa, "scalar");
        const double start = now();
        tgk_for(ctx, wide ? fma_512 : fma_256, out, threads);
        const double flops = 2.0 * 12 * TURNS * (wide ? 16 : 8) * threads, rate = flops / (now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
#else
    (void)ctx, (void)threads, (void)out;
#endif
    return best;
}

typedef struct {
    const uint64_t *at;
    int64_t words; /* a part */
    uint64_t sum[64 * 8];
} Read;

static void read_part(void *arg, int64_t i)
{
    Read *r = arg;
    const uint64_t *at = r->at + i * r->words;
    uint64_t s[8] = {0};
    for (int64_t k = 0; k + 8 <= r->words; k += 8)
        for (int j = 0; j < 8; j++)
            s[j] += at[k + j];
    for (int j = 1; j < 8; j++)
        s[0] += s[j];
    r->sum[i * 8] = s[0];
}

static double bandwidth(const tgk_ctx *ctx, const void *at, size_t bytes)
{
    static Read r;
    double rate[3];
    r.at = at;
    r.words = (int64_t)(bytes / 8 / 64);
    for (int i = 0; i < 3; i++) {
        const double start = now();
        tgk_for(ctx, read_part, &r, 64);
        rate[i] = (double)bytes / (now() - start) * 1e-9;
    }
    return median(rate, 3);
}

#endif
