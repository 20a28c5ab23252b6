/* Times attention of the C backend: ms, useful GFLOP/s and share of the multiply-add peak, GB/s of keys and values
 * and share of the read bandwidth, beside peak and bandwidth of the same run.
 *
 * Prefill: 12 heads of 64, as [batch, rows, heads, size] (strided heads, as a model has them) or [batch, heads, rows,
 * size]. Decode: one query of 32 heads on 8 key heads; several caches are walked in turn, so that keys and values are
 * cold. GFLOP/s count what causality or the mask leaves. A figure is the median of RUNS.
 *
 *   cmake --build build --target bench_attention
 *   build/bench_attention [isa=NAME] [threads=N] [only=TEXT] [layout=bhsd] [clock=cpu]
 */
#include "limits.h"

#include <math.h>

enum { RUNS = 9 };

typedef struct {
    const char *name;
    int64_t heads, kv_heads, queries, keys, size;
    int causal;
    int mask; /* 1: the last 1/8 of the keys by one bool per key; 2: as floats; 3: as floats [queries, keys]; 4: -10000
                 above the diagonal */
} Case;

static const Case cases[] = {
    {"S128 full", 12, 12, 128, 128, 64, 0, 0},       {"S128 causal", 12, 12, 128, 128, 64, 1, 0},
    {"S128 padded", 12, 12, 128, 128, 64, 0, 1},     {"S512 full", 12, 12, 512, 512, 64, 0, 0},
    {"S512 causal", 12, 12, 512, 512, 64, 1, 0},     {"S512 padded", 12, 12, 512, 512, 64, 0, 2},
    {"S1024 full", 12, 12, 1024, 1024, 64, 0, 0},    {"S1024 causal", 12, 12, 1024, 1024, 64, 1, 0},
    {"S1024 padded", 12, 12, 1024, 1024, 64, 0, 2},  {"S1024 matrix", 12, 12, 1024, 1024, 64, 0, 3},
    {"S1024 triangle", 12, 12, 1024, 1024, 64, 0, 4},
    {"S4096 full", 12, 12, 4096, 4096, 64, 0, 0},    {"S4096 causal", 12, 12, 4096, 4096, 64, 1, 0},
    {"S4096 padded", 12, 12, 4096, 4096, 64, 0, 2},  {"GQA D128 S512 causal", 32, 8, 512, 512, 128, 1, 0},
    {"decode D64 past 512", 32, 8, 1, 513, 64, 0, 0}, {"decode D64 past 4096", 32, 8, 1, 4097, 64, 0, 0},
    {"decode D128 past 512", 32, 8, 1, 513, 128, 0, 0}, {"decode D128 past 4096", 32, 8, 1, 4097, 128, 0, 0},
    {"decode MHA D64 past 1023", 12, 12, 1, 1024, 64, 0, 0},
};

static void lay(int64_t stride[3], int64_t heads, int64_t rows, int64_t size, int by_head)
{
    stride[0] = heads * rows * size;
    stride[1] = by_head ? rows * size : size;
    stride[2] = by_head ? size : heads * size;
}

static void noise(float *at, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        at[i] = (float)(x >> 8) * 0x1p-23f - 1;
    }
}

static void *make_mask(const Case *c, tgk_attention *a)
{
    if (!c->mask)
        return NULL;
    int64_t rows = c->mask >= 3 ? c->queries : 1;
    float *m = malloc((size_t)(rows * c->keys) * sizeof *m);
    for (int64_t i = 0; i < rows * c->keys; i++) {
        int64_t key = i % c->keys;
        if (c->mask == 1)
            ((uint8_t *)m)[i] = key < c->keys - c->keys / 8;
        else if (c->mask == 4)
            m[i] = key <= i / c->keys ? 0 : -10000;
        else
            m[i] = key < c->keys - c->keys / 8 ? c->mask == 3 ? (float)(i % 7) * 0.1f : 0 : -INFINITY;
    }
    a->mask = m;
    a->mask_kind = c->mask == 1 ? TGK_MASK_BOOL : TGK_MASK_ADD;
    a->mask_stride[3] = 1;
    a->mask_stride[2] = rows > 1 ? c->keys : 0;
    return m;
}

static double pairs(const Case *c)
{
    if (c->causal || c->mask == 4)
        return (double)c->queries * (double)(c->queries + 1) / 2 + (double)c->queries * (double)(c->keys - c->queries);
    return (double)c->queries * (double)(c->mask ? c->keys - c->keys / 8 : c->keys);
}

static void run_case(const Case *c, const tgk_ctx *ctx, int threads, int by_head, double read)
{
    size_t qn = (size_t)(c->heads * c->queries * c->size), kn = (size_t)(c->kv_heads * c->keys * c->size);
    int64_t sets = c->queries > 8 ? 1 : (int64_t)(((size_t)320 << 20) / (kn * 8)) + 1;
    float *q = big(qn * sizeof *q), *y = big(qn * sizeof *y), *kv = big((size_t)sets * kn * 8);
    noise(q, qn);
    noise(kv, (size_t)sets * kn * 2);
    tgk_attention a = {.batch = 1, .heads = c->heads, .kv_heads = c->kv_heads, .queries = c->queries, .keys = c->keys,
                       .size = c->size, .v_size = c->size, .q = q, .y = y, .scale = 1 / sqrtf((float)c->size),
                       .causal = c->causal, .offset = c->keys - c->queries, .left = -1, .right = -1};
    lay(a.q_stride, c->heads, c->queries, c->size, by_head);
    lay(a.y_stride, c->heads, c->queries, c->size, by_head);
    lay(a.k_stride, c->kv_heads, c->keys, c->size, by_head || c->queries <= 8);
    lay(a.v_stride, c->kv_heads, c->keys, c->size, by_head || c->queries <= 8);
    void *mask = make_mask(c, &a);
    double flops = 4 * pairs(c) * (double)(c->heads * c->size), time[RUNS], limit[2];
    int64_t loops = c->queries > 8 ? (int64_t)(2e9 / flops) + 1 : sets;
    limit[0] = peak(ctx, threads, ctx->isa->name);
    for (int r = -1; r < RUNS; r++) {
        double start = now();
        for (int64_t i = 0; i < loops; i++) {
            a.k = kv + (size_t)(i % sets) * kn * 2;
            a.v = a.k + kn;
            ctx->isa->attention(ctx, &a);
        }
        if (r >= 0)
            time[r] = (now() - start) / (double)loops;
    }
    limit[1] = peak(ctx, threads, ctx->isa->name);
    double t = median(time, RUNS), top = (limit[0] + limit[1]) / 2, bytes = (double)kn * 8;
    printf("%-26s %d %9.3f ms (%9.3f) %7.1f GFLOP/s %5.1f %% of %5.1f", c->name, threads, t * 1e3, time[0] * 1e3,
           flops / t * 1e-9, flops / t * 1e-7 / top, top);
    if (c->queries <= 8)
        printf(" %6.1f GB/s %5.1f %% of %4.1f", bytes / t * 1e-9, bytes / t * 1e-7 / read, read);
    printf("\n");
    fflush(stdout);
    free(q);
    free(y);
    free(kv);
    free(mask);
}

int main(int argc, char **argv)
{
    const char *isa = NULL, *only = "";
    int threads = 1, by_head = 0;
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "isa=", 4))
            isa = argv[i] + 4;
        else if (!strncmp(argv[i], "threads=", 8))
            threads = atoi(argv[i] + 8);
        else if (!strncmp(argv[i], "only=", 5))
            only = argv[i] + 5;
        else if (!strcmp(argv[i], "layout=bhsd"))
            by_head = 1;
        else if (!strcmp(argv[i], "clock=cpu"))
            bench_clock = CLOCK_PROCESS_CPUTIME_ID;
    }
    tgk_ctx ctx = {.isa = isa ? tgk_isa_named(isa) : tgk_isa_best()};
    size_t bytes = tgk_pool_bytes(threads);
    if (!ctx.isa || !bytes) {
        fprintf(stderr, "no such instruction set here, or a wrong number of threads\n");
        return 1;
    }
    tgk_pool *pool = threads > 1 ? tgk_pool_start(big(bytes), bytes, threads) : NULL;
    ctx.parallel_for = pool ? tgk_pool_for : NULL;
    ctx.pool = pool;
    void *memory = big((size_t)512 << 20);
    double read = bandwidth(&ctx, memory, (size_t)512 << 20);
    free(memory);
    printf("%s, %d threads, read %.1f GB/s\n", ctx.isa->name, threads, read);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strstr(cases[i].name, only))
            run_case(&cases[i], &ctx, threads, by_head, read);
    if (pool)
        tgk_pool_stop(pool);
    return 0;
}
