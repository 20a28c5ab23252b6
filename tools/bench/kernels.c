/* Times the products of the C backend: GFLOP/s, share of the multiply-add peak and GB/s of weights, beside the peak
 * and the read bandwidth of the same run.
 *
 * Weights are cold, as those of a model's layers are: each case walks MEBIBYTES of different weights in turn. Times:
 * median (least) of RUNS walks; rates are of the least. Peak and bandwidth are measured before and after every case on
 * the same threads, as the clock drifts.
 *
 *   cmake --build build --target bench_kernels && build/bench_kernels \
 *       [isa=NAME] [threads=N] [only=TEXT] [type=f32|f16|bf16|i8|i4] [panel=N]
 *
 * Codes of 4 bits have a scale for every 32 steps of depth.
 */
#include <stdbool.h>

#include "backend_c/kernels/pack.h"
#include "limits.h"

enum { MEBIBYTES = 320, RUNS = 9 };

/* --- cases -------------------------------------------------------------------------------------------------------- */

static const struct {
    int64_t rows, depth, cols;
} linear_cases[] = {{128, 768, 768},    {128, 768, 2304},   {128, 768, 3072},   {128, 3072, 768},   {128, 384, 1536},
                    {128, 2048, 2048},  {128, 2048, 8192},  {512, 768, 3072},   {512, 3072, 768},   {512, 512, 512},
                    {1024, 1024, 1024}, {2048, 2048, 2048}, {1, 768, 3072},     {1, 2048, 8192},    {2, 2048, 8192},
                    {4, 2048, 8192},    {8, 2048, 8192},    {16, 2048, 8192},   {32, 2048, 8192},   {64, 2048, 8192}},
  matmul_cases[] = {{128, 64, 128}, {128, 128, 64}, {1024, 64, 1024}};

typedef struct {
    const char *isa, *only;
    int threads;
    int32_t type, panel;
    void *weights; /* MEBIBYTES */
} Options;

static void fill(const Options *o)
{
    for (size_t i = 0, n = (size_t)MEBIBYTES << 20; i < n / 4; i++) {
        const float x = (float)((int)(i * 2654435761U >> 8 & 0xffff) - 32768) * 0x1p-15f;
        const tgk_packing p = {o->type == TGK_I4 ? TGK_I8 : o->type, 16, 1, 16, 0};
        uint32_t packed[16];
        float row[16];
        if (o->type == TGK_F32) {
            ((float *)o->weights)[i] = x;
        } else { /* one value of the type, repeated */
            for (int j = 0; j < 16; j++)
                row[j] = p.type == TGK_I8 ? (float)(int)(127 * x) : x;
            tgk_pack_rows(&p, row, 0, 1, packed);
            ((uint32_t *)o->weights)[i] = packed[0];
        }
    }
}

static void print(const Options *o, const char *what, double *times, double flops, double bytes, double fma,
                  double read)
{
    const double mid = median(times, RUNS), ms = times[0];
    const double rate = flops / ms * 1e-6, stream = bytes / ms * 1e-6;
    printf("%-8s %d %-22s %9.3f (%.3f) ms %8.1f GFLOP/s %5.1f %% of %4.0f %7.1f GB/s %5.1f %% of %.1f\n", o->isa,
           o->threads, what, mid, ms, rate, 100 * rate / fma, fma, stream, 100 * stream / read, read);
    fflush(stdout);
}

static void time_linear(const tgk_ctx *ctx, const Options *o, int64_t rows, int64_t depth, int64_t cols)
{
    char what[64];
    snprintf(what, sizeof what, "%dx%dx%d", (int)rows, (int)depth, (int)cols);
    if (o->only && !strstr(what, o->only))
        return;
    const int32_t panel = o->panel ? o->panel : tgk_best_panel(rows, depth, cols);
    const tgk_packing p = {o->type, panel, depth, cols, 0};
    const bool narrow = o->type == TGK_I8 || o->type == TGK_I4;
    const int64_t bytes = tgk_packed_bytes(&p), copies = ((int64_t)MEBIBYTES << 20) / bytes;
    const int64_t use = rows * depth * cols > (int64_t)1 << 31 ? 1 : rows >= 512 && copies > 8 ? 8 : copies;
    const int64_t group = o->type == TGK_I4 ? 32 : 0, groups = group ? (depth + group - 1) / group : 1;
    float *x = big((size_t)(rows * depth) * 4), *y = big((size_t)(rows * cols) * 4), *bias = big((size_t)cols * 4);
    float *scale = big((size_t)(groups * (cols + 63) / 64 * 64) * 4);
    for (int64_t i = 0; i < rows * depth; i++)
        x[i] = (float)(i % 63 - 31) * 0.03f;
    double ms[RUNS], fma = peak(ctx, o->threads, o->isa), read = bandwidth(ctx, o->weights, (size_t)MEBIBYTES << 20);
    for (int r = -1; r < RUNS; r++) {
        const double start = now();
        for (int64_t i = 0; i < use; i++) {
            const tgk_linear a = {rows, depth, cols, x, depth,
                                  {(char *)o->weights + i * bytes, o->type, panel, narrow ? scale : NULL, group, NULL, 0},
                                  bias, y, cols, NULL, NULL};
            ctx->isa->linear(ctx, &a);
        }
        if (r >= 0)
            ms[r] = (now() - start) * 1e3 / (double)use;
    }
    const double again = peak(ctx, o->threads, o->isa);
    print(o, what, ms, 2.0 * (double)(rows * depth * cols), (double)bytes, again > fma ? again : fma, read);
    free(x), free(y), free(bias), free(scale);
}

static void time_matmul(const tgk_ctx *ctx, const Options *o, int64_t rows, int64_t depth, int64_t cols)
{
    char what[64];
    snprintf(what, sizeof what, "12x %dx%dx%d%s", (int)rows, (int)depth, (int)cols, depth == 64 ? " T" : "");
    if (o->only && !strstr(what, o->only))
        return;
    float *a = big((size_t)(12 * rows * depth) * 4), *b = big((size_t)(12 * cols * depth) * 4);
    float *c = big((size_t)(12 * rows * cols) * 4);
    tgk_matmul m = {.batch_rank = 1, .batch = {12}, .rows = rows, .depth = depth, .cols = cols, .a = a, .b = b, .c = c,
                    .a_batch = {rows * depth}, .b_batch = {depth * cols}, .c_batch = {rows * cols}, .a_row = depth,
                    .a_col = 1, .b_row = depth == 64 ? 1 : cols, .b_col = depth == 64 ? depth : 1, .c_row = cols,
                    .alpha = 0.125f};
    double ms[RUNS], fma = peak(ctx, o->threads, o->isa);
    for (int r = -1; r < RUNS; r++) {
        const double start = now();
        for (int i = 0; i < 20; i++)
            ctx->isa->matmul(ctx, &m);
        if (r >= 0)
            ms[r] = (now() - start) * 1e3 / 20;
    }
    print(o, what, ms, 24.0 * (double)(rows * depth * cols), 48.0 * (double)(depth * cols), fma, 1);
    free(a), free(b), free(c);
}

static void run(Options *o)
{
    const size_t bytes = tgk_pool_bytes(o->threads);
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    tgk_pool *pool = memory ? tgk_pool_start(memory, bytes, o->threads) : NULL;
    const int64_t scratch = (int64_t)32 << 20;
    const tgk_ctx ctx = {o->isa ? tgk_isa_named(o->isa) : tgk_isa_best(), tgk_pool_for, pool, big((size_t)scratch),
                         scratch};
    if (!pool || !ctx.isa) {
        fprintf(stderr, "no such instruction set, or no threads\n");
        exit(2);
    }
    o->isa = ctx.isa->name;
    bench_clock = o->threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    for (size_t i = 0; i < sizeof linear_cases / sizeof *linear_cases; i++)
        time_linear(&ctx, o, linear_cases[i].rows, linear_cases[i].depth, linear_cases[i].cols);
    for (size_t i = 0; i < sizeof matmul_cases / sizeof *matmul_cases; i++)
        time_matmul(&ctx, o, matmul_cases[i].rows, matmul_cases[i].depth, matmul_cases[i].cols);
    tgk_pool_stop(pool);
    free(memory);
}

int main(int argc, char **argv)
{
    Options o = {.type = TGK_F32};
    for (int i = 1; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        value = value ? value + 1 : "";
        switch (argv[i][0]) {
        case 'i': o.isa = value; break;
        case 't':
            if (argv[i][1] == 'h')
                o.threads = atoi(value);
            else
                o.type = !strcmp(value, "f16")    ? TGK_F16
                         : !strcmp(value, "bf16") ? TGK_BF16
                         : !strcmp(value, "i8")   ? TGK_I8
                         : !strcmp(value, "i4")   ? TGK_I4
                                                  : TGK_F32;
            break;
        case 'o': o.only = value; break;
        case 'p': o.panel = (int32_t)atoi(value); break;
        default: fprintf(stderr, "what is %s?\n", argv[i]); return 2;
        }
    }
    o.weights = big((size_t)MEBIBYTES << 20);
    fill(&o);
    if (o.threads) {
        run(&o);
        return 0;
    }
    for (o.threads = 1; o.threads <= 2; o.threads++)
        run(&o);
    return 0;
}
