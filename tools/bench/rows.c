/* bench_rows: row kernels and generated pointwise loops, one column per instruction set.
 *
 *     bench_rows [TEXT]      only the rows whose name contains TEXT
 *
 * One thread, its own time (other processes take turns on the machine). Each figure is the median (minimum) of 21 runs;
 * a run is as many calls on the same arrays as take about half a millisecond, so the arrays lie in the cache that holds
 * them. The instruction sets take turns within each run of a row, so that they share whatever the machine does
 * meanwhile. GB/s counts each array once; rival: the best library of another day on the same kind of machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rows.h"

extern const tgk_isa tgk_isa_scalar, tgk_isa_avx2, tgk_isa_avx512;

enum { RUNS = 21, ISAS = 3, MOST = 128 * 3072 };

typedef enum {
    LAYER_NORM, RMS_NORM, SOFTMAX, LOG_SOFTMAX, ROTARY, ROTARY_PAIRS, GELU_ERF, GELU_TANH, SILU_MUL,
    GELU_ERF_1, GELU_TANH_1
} What;

static const struct {
    const char *name;
    What what;
    int64_t rows, cols;
    double rival; /* best of measured-cpu.md, us, one thread; 0: none there */
} CASES[] = {
    {"LayerNorm 128x768", LAYER_NORM, 128, 768, 26.2},     {"RMSNorm 128x768", RMS_NORM, 128, 768, 12.6},
    {"GELU erf 128x768", GELU_ERF, 128, 768, 35.5},        {"GELU tanh 128x768", GELU_TANH, 128, 768, 42.7},
    {"GELU erf 1 fn 128x768", GELU_ERF_1, 128, 768, 35.5}, {"GELU tanh 1 fn 128x768", GELU_TANH_1, 128, 768, 42.7},
    {"SiLU*mul 128x768", SILU_MUL, 128, 768, 34.4},        {"Softmax 128x768", SOFTMAX, 128, 768, 21.3},
    {"LayerNorm 128x3072", LAYER_NORM, 128, 3072, 119},    {"RMSNorm 128x3072", RMS_NORM, 128, 3072, 103},
    {"GELU erf 128x3072", GELU_ERF, 128, 3072, 213},       {"GELU tanh 128x3072", GELU_TANH, 128, 3072, 224},
    {"GELU erf 1 fn 128x3072", GELU_ERF_1, 128, 3072, 213}, {"GELU tanh 1 fn 128x3072", GELU_TANH_1, 128, 3072, 224},
    {"SiLU*mul 128x3072", SILU_MUL, 128, 3072, 273},       {"Softmax 128x3072", SOFTMAX, 128, 3072, 98.4},
    {"Softmax 12x128x128", SOFTMAX, 12 * 128, 128, 54.9},  {"LogSoftmax 128x3072", LOG_SOFTMAX, 128, 3072, 0},
    {"LayerNorm 1x2048", LAYER_NORM, 1, 2048, 1.16},       {"RMSNorm 1x2048", RMS_NORM, 1, 2048, 0.599},
    {"GELU erf 1x2048", GELU_ERF, 1, 2048, 1.22},          {"GELU tanh 1x2048", GELU_TANH, 1, 2048, 1.14},
    {"GELU erf 1 fn 1x2048", GELU_ERF_1, 1, 2048, 1.22},    {"GELU tanh 1 fn 1x2048", GELU_TANH_1, 1, 2048, 1.14},
    {"SiLU*mul 1x2048", SILU_MUL, 1, 2048, 1.17},          {"Softmax 1x2048", SOFTMAX, 1, 2048, 0.75},
    {"rotary 32x128x64", ROTARY, 32 * 128, 64, 0},         {"rotary pairs 32x128x64", ROTARY_PAIRS, 32 * 128, 64, 0},
};

static float x[MOST], gate[MOST], y[MOST];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void loop(tgk_tile *tile, int64_t rows, int64_t cols, int operands)
{
    tgk_loop l = {.rank = 2, .dim = {rows, cols}};
    void *const at[] = {x, operands == 3 ? gate : y, y};
    for (int k = 0; k < operands; k++) {
        l.operand[k].at = at[k];
        l.operand[k].stride[0] = cols;
        l.operand[k].stride[1] = 1;
    }
    tile(&l, 0, rows, 0, cols);
}

static void call(const tgk_isa *isa, const BenchLoops *loops, What what, int64_t rows, int64_t cols)
{
    const tgk_ctx c = {.isa = isa};
    tgk_rows a = {rows, cols, x, cols, y, cols, gate, what == LAYER_NORM ? gate + cols : NULL, 1e-5F};
    tgk_rotary r = {.batch = 1, .heads = 32, .rows = rows / 32, .width = cols, .size = cols, .x = x, .cos = gate,
                    .sin = gate + rows / 32 * cols / 2, .y = y};
    r.x_stride[1] = r.y_stride[1] = rows / 32 * cols;
    r.x_stride[2] = r.y_stride[2] = cols;
    r.table_stride[1] = cols / 2;
    r.interleaved = what == ROTARY_PAIRS;
    switch (what) {
    case LAYER_NORM: isa->layer_norm(&c, &a); break;
    case RMS_NORM: isa->rms_norm(&c, &a); break;
    case SOFTMAX: isa->softmax(&c, &a); break;
    case LOG_SOFTMAX: isa->log_softmax(&c, &a); break;
    case ROTARY:
    case ROTARY_PAIRS: isa->rotary(&c, &r); break;
    case GELU_ERF: loop(loops->gelu_erf, rows, cols, 2); break;
    case GELU_TANH: loop(loops->gelu_tanh, rows, cols, 2); break;
    case GELU_ERF_1: loop(loops->gelu_erf_1, rows, cols, 2); break;
    case GELU_TANH_1: loop(loops->gelu_tanh_1, rows, cols, 2); break;
    case SILU_MUL: loop(loops->silu_mul, rows, cols, 3); break;
    }
}

static int ascending(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

int main(int argc, char **argv)
{
    const tgk_isa *const isa[ISAS] = {&tgk_isa_scalar, &tgk_isa_avx2, &tgk_isa_avx512};
    const BenchLoops *const loops[ISAS] = {&bench_loops_scalar, &bench_loops_avx2, &bench_loops_avx512};
    const int present[ISAS] = {1, __builtin_cpu_supports("avx2"), __builtin_cpu_supports("avx512dq")};
    for (int i = 0; i < MOST; i++) {
        x[i] = (float)(i * 7919LL % 10007) * 0x1p-10F - 5.0F;
        gate[i] = (float)(i * 104729LL % 9973) * 0x1p-11F - 2.0F;
    }
    printf("%-24s %19s %19s %19s %8s %8s\n", "us per call", "scalar", "avx2", "avx512", "GB/s", "rival");
    for (size_t k = 0; k < sizeof CASES / sizeof *CASES; k++) {
        if (argc > 1 && !strstr(CASES[k].name, argv[1]))
            continue;
        int64_t rows = CASES[k].rows, cols = CASES[k].cols, calls = 1 + (int64_t)1500000 / (rows * cols);
        double us[ISAS][RUNS] = {{0}}, best = 1e30;
        for (int run = -2; run < RUNS; run++)
            for (int i = 0; i < ISAS; i++) {
                double start = now();
                for (int64_t n = 0; present[i] && n < calls; n++)
                    call(isa[i], loops[i], CASES[k].what, rows, cols);
                us[i][run < 0 ? 0 : run] = (now() - start) / (double)calls;
            }
        printf("%-24s", CASES[k].name);
        for (int i = 0; i < ISAS; i++) {
            qsort(us[i], RUNS, sizeof **us, ascending);
            best = present[i] && us[i][RUNS / 2] < best ? us[i][RUNS / 2] : best;
            printf(" %8.3f (%8.3f)", us[i][RUNS / 2], us[i][0]);
        }
        double bytes = (double)(rows * cols) * (CASES[k].what == SILU_MUL ? 12 : 8);
        printf(" %8.1f %8.2f\n", bytes / best * 1e-3, CASES[k].rival);
    }
    return 0;
}
