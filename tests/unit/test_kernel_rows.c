/* Row kernels of every instruction set of this machine against plain formulas in long double; rows of 1 to 130
 * elements and longer ones, so that every tail occurs. Buffers end where their memory ends, for the sanitizers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend_c/kernels/isa.h"
#include "backend_c/kernels/pthreads.h"

typedef long double Real;
typedef void Kernel(const tgk_ctx *c, const tgk_rows *a);

enum { ISAS = 5, LONGEST = 5000 };
static const char *const isa_names[ISAS] = {"scalar", "avx2", "avx512", "amx", "neon"};

static uint64_t seed = 1;

static float uniform(float from, float to)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return from + (to - from) * (float)(seed >> 40) * 0x1p-24F;
}

static float *floats(int64_t n, float from, float to)
{
    float *at = malloc((size_t)(n ? n : 1) * sizeof *at);
    assert_non_null(at);
    for (int64_t i = 0; i < n; i++)
        at[i] = uniform(from, to);
    return at;
}

static void near_to(const char *what, const char *isa, int64_t cols, int64_t i, float got, Real want, Real slack)
{
    Real off = (Real)got - want;
    if (isnan(want) ? !isnan(got) : !((off < 0 ? -off : off) <= slack))
        fail_msg("%s, %s, %lld columns: element %lld is %a, not %La", what, isa, (long long)cols, (long long)i,
                 (double)got, want);
}

/* --- plain formulas: a row into want, and what may be missed by ------------------------------------------------- */

typedef void Formula(const tgk_rows *a, const float *x, Real *want, Real *slack);

static Real unit(Real x) { return (x < 0 ? -x : x) * 0x1p-24L + 0x1p-126L; }

static Real most_of(const float *x, int64_t n)
{
    Real most = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        most = isnan(x[i]) || (Real)x[i] > most ? (Real)x[i] : most;
    return most;
}

static Real sum_of_exp(const float *x, int64_t n, Real most)
{
    Real sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += expl((Real)x[i] - most);
    return sum;
}

/* x - most is rounded: exp passes half a unit of it on. */
static void plain_softmax(const tgk_rows *a, const float *x, Real *want, Real *slack)
{
    Real most = most_of(x, a->cols), sum = sum_of_exp(x, a->cols, most);
    for (int64_t i = 0; i < a->cols; i++) {
        want[i] = expl((Real)x[i] - most) / sum;
        slack[i] = unit(want[i]) * (8 + fabsl((Real)x[i] - most));
    }
}

static void plain_log_softmax(const tgk_rows *a, const float *x, Real *want, Real *slack)
{
    Real most = most_of(x, a->cols), rest = logl(sum_of_exp(x, a->cols, most));
    for (int64_t i = 0; i < a->cols; i++) {
        want[i] = (Real)x[i] - most - rest;
        slack[i] = 4 * unit(want[i]) + 4 * unit(rest) + 0x1p-22L;
    }
}

/* Sums of n terms are taken in 8 parts or more, each in order: n/8 units at worst, seldom a tenth of that. */
static void plain_norm(const tgk_rows *a, const float *x, Real mean, Real *want, Real *slack)
{
    Real square = 0, n = (Real)a->cols;
    for (int64_t i = 0; i < a->cols; i++)
        square += ((Real)x[i] - mean) * ((Real)x[i] - mean);
    Real factor = 1 / sqrtl(square / n + (Real)a->epsilon);
    for (int64_t i = 0; i < a->cols; i++) {
        Real y = ((Real)x[i] - mean) * factor, scale = a->scale ? (Real)a->scale[i] : 1;
        want[i] = y * scale + (a->bias ? (Real)a->bias[i] : 0);
        slack[i] = (12 + n / 100) * (unit(y) + 0x1p-24L) * fabsl(scale) + 2 * unit(want[i]);
    }
}

static void plain_layer_norm(const tgk_rows *a, const float *x, Real *want, Real *slack)
{
    Real mean = 0;
    for (int64_t i = 0; i < a->cols; i++)
        mean += (Real)x[i];
    plain_norm(a, x, mean / (Real)a->cols, want, slack);
}

static void plain_rms_norm(const tgk_rows *a, const float *x, Real *want, Real *slack)
{
    plain_norm(a, x, 0, want, slack);
}

/* --- rows ------------------------------------------------------------------------------------------------------- */

typedef enum { SOFTMAX, LOG_SOFTMAX, LAYER_NORM, RMS_NORM, WHATS } What;

static const char *const names[WHATS] = {"Softmax", "LogSoftmax", "LayerNorm", "RMSNorm"};
static Formula *const formulas[WHATS] = {plain_softmax, plain_log_softmax, plain_layer_norm, plain_rms_norm};

static Kernel *kernel_of(const tgk_isa *isa, What what)
{
    Kernel *const kernels[WHATS] = {isa->softmax, isa->log_softmax, isa->layer_norm, isa->rms_norm};
    return kernels[what];
}

static void check(What what, const tgk_rows *a)
{
    static Real want[LONGEST], slack[LONGEST];
    for (int k = 0; k < ISAS; k++) {
        const tgk_isa *isa = tgk_isa_named(isa_names[k]);
        if (!isa || !kernel_of(isa, what))
            continue;
        const tgk_ctx c = {.isa = isa};
        kernel_of(isa, what)(&c, a);
        for (int64_t r = 0; r < a->rows; r++) {
            formulas[what](a, a->x + r * a->x_stride, want, slack);
            for (int64_t i = 0; i < a->cols; i++)
                near_to(names[what], isa->name, a->cols, i, a->y[r * a->y_stride + i], want[i], slack[i]);
        }
    }
}

/* `shape` of the data: 0 around 0, 1 far from 0, 2 far and beginning elsewhere, 3 wide, 4 all equal. */
static void rows_of(What what, int64_t rows, int64_t cols, int shape)
{
    static const float from[] = {-3, 999, 99, -90, 7}, to[] = {3, 1001, 101, 90, 7};
    int64_t x_stride = cols + 3, y_stride = cols + 1;
    float *x = floats((rows - 1) * x_stride + cols, from[shape], to[shape]);
    float *y = floats((rows - 1) * y_stride + cols, 0, 0);
    float *scale = floats(cols, -2, 2), *bias = floats(cols, -1, 1);
    if (shape == 2)
        x[0] = -1e4F;
    const int norm = what == LAYER_NORM || what == RMS_NORM;
    for (int with = 0; with < (norm ? 4 : 1); with++) {
        tgk_rows a = {rows, cols, x, x_stride, y, y_stride, with & 1 ? scale : NULL, with & 2 ? bias : NULL,
                      norm ? 1e-5F : 0};
        check(what, &a);
    }
    free(x);
    free(y);
    free(scale);
    free(bias);
}

static void every_tail(void **state)
{
    (void)state;
    for (What what = 0; what < WHATS; what++)
        for (int64_t cols = 1; cols <= 130; cols++)
            rows_of(what, cols % 11 + 1, cols, (int)(cols % 5));
}

static void long_rows(void **state)
{
    (void)state;
    static const int64_t lengths[] = {255, 768, 1000, 2048, 4999};
    for (What what = 0; what < WHATS; what++)
        for (int k = 0; k < 5; k++)
            for (int shape = 0; shape < 5; shape++)
                rows_of(what, 9, lengths[k], shape);
}

static void no_rows(void **state)
{
    (void)state;
    float x = 1, y = 2;
    for (What what = 0; what < WHATS; what++)
        for (int k = 0; k < ISAS; k++) {
            const tgk_isa *isa = tgk_isa_named(isa_names[k]);
            const tgk_ctx c = {.isa = isa};
            tgk_rows none = {0, 5, &x, 5, &y, 5, NULL, NULL, 0}, empty = {1, 0, &x, 0, &y, 0, NULL, NULL, 0};
            if (isa && kernel_of(isa, what)) {
                kernel_of(isa, what)(&c, &none);
                kernel_of(isa, what)(&c, &empty);
            }
        }
    assert_true(y == 2);
}

/* One special value in a row makes the row what the formula makes of it; the rows beside it stay. */
static void special_values(void **state)
{
    (void)state;
    enum { ROWS = 5, COLS = 37 };
    const float specials[] = {NAN, INFINITY, -INFINITY};
    float x[ROWS * COLS], y[ROWS * COLS];
    for (What what = 0; what < WHATS; what++)
        for (int s = 0; s < 3; s++)
            for (int at = 0; at < COLS; at += 6) {
                for (int i = 0; i < ROWS * COLS; i++)
                    x[i] = uniform(-2, 2);
                x[2 * COLS + at] = specials[s];
                if (what <= LOG_SOFTMAX && s == 2 && at == 0)
                    for (int i = 0; i < COLS; i++)
                        x[2 * COLS + i] = -INFINITY; /* all: NaN */
                tgk_rows a = {ROWS, COLS, x, COLS, y, COLS, NULL, NULL, 1e-5F};
                if (what > LOG_SOFTMAX || s < 2 || at == 0) { /* the row itself is checked below */
                    a.rows = 2, check(what, &a);
                    a.x += 3 * COLS, a.y += 3 * COLS, check(what, &a);
                    a.x -= 3 * COLS, a.y -= 3 * COLS, a.rows = ROWS;
                }
                for (int k = 0; k < ISAS; k++) {
                    const tgk_isa *isa = tgk_isa_named(isa_names[k]);
                    if (!isa || !kernel_of(isa, what))
                        continue;
                    const tgk_ctx c = {.isa = isa};
                    kernel_of(isa, what)(&c, &a);
                    for (int i = 0; i < COLS; i++) {
                        float got = y[2 * COLS + i];
                        if (what == RMS_NORM && s > 0)
                            assert_true(i == at ? isnan(got) : got == 0);
                        else if (what <= LOG_SOFTMAX && s == 2 && at != 0)
                            assert_true(i == at ? got == (what == SOFTMAX ? 0 : -INFINITY) : isfinite(got));
                        else
                            assert_true(isnan(got));
                    }
                }
            }
}

static void masked_scores_cost_no_denormals(void **state)
{
    (void)state;
    float x[64], y[64];
    for (int i = 0; i < 64; i++)
        x[i] = i % 3 ? -10000 : i % 2 ? -95 : 0;
    for (int k = 0; k < ISAS; k++) {
        const tgk_isa *isa = tgk_isa_named(isa_names[k]);
        const tgk_ctx c = {.isa = isa};
        tgk_rows a = {1, 64, x, 64, y, 64, NULL, NULL, 0};
        if (isa && isa->softmax)
            isa->softmax(&c, &a);
        for (int i = 0; isa && isa->softmax && i < 64; i++)
            assert_true(x[i] == 0 ? y[i] > 0 : y[i] == 0);
    }
}

/* In place, and by any number of threads: the same bits. */
static void same_bits(void **state)
{
    (void)state;
    enum { ROWS = 77, COLS = 515 };
    float *x = floats(ROWS * COLS, -5, 5), *y = floats(ROWS * COLS, 0, 0), *z = floats(ROWS * COLS, 0, 0);
    for (int k = 0; k < ISAS; k++)
        for (What what = 0; what < WHATS; what++) {
            const tgk_isa *isa = tgk_isa_named(isa_names[k]);
            if (!isa || !kernel_of(isa, what))
                continue;
            tgk_ctx c = {.isa = isa};
            tgk_rows a = {ROWS, COLS, x, COLS, y, COLS, x, NULL, 1e-6F}, in_place = a;
            kernel_of(isa, what)(&c, &a);
            memcpy(z, x, ROWS * COLS * sizeof *x);
            in_place.x = in_place.y = z;
            for (int threads = 1; threads <= 4; threads++) {
                size_t bytes = tgk_pool_bytes(threads);
                void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
                tgk_pool *pool = tgk_pool_start(memory, bytes, threads);
                assert_non_null(pool);
                c.parallel_for = tgk_pool_for;
                c.pool = pool;
                memcpy(z, x, ROWS * COLS * sizeof *x);
                kernel_of(isa, what)(&c, &in_place);
                assert_memory_equal(y, z, ROWS * COLS * sizeof *x);
                tgk_pool_stop(pool);
                free(memory);
            }
        }
    free(x);
    free(y);
    free(z);
}

/* --- rotary ----------------------------------------------------------------------------------------------------- */

static void check_rotary(const tgk_isa *isa, int64_t size, int64_t width, int64_t interleaved, int in_place)
{
    enum { BATCH = 2, HEADS = 3, ROWS = 5 };
    int64_t half = size / 2, n = BATCH * HEADS * ROWS * width;
    float *x = floats(n, -2, 2), *y = floats(n, 9, 9), *cosine = floats(BATCH * ROWS * half, -1, 1);
    float *sine = floats(BATCH * ROWS * half, -1, 1), *kept = floats(n, 0, 0);
    memcpy(kept, x, (size_t)n * sizeof *x);
    tgk_rotary a = {BATCH, HEADS, ROWS, width, size, x, cosine, sine, in_place ? x : y,
                    {HEADS * ROWS * width, width, HEADS * width}, /* heads side by side, as projections give them */
                    {HEADS * ROWS * width, ROWS * width, width}, {ROWS * half, half}, interleaved};
    if (in_place)
        memcpy(a.y_stride, a.x_stride, sizeof a.y_stride);
    const tgk_ctx c = {.isa = isa};
    isa->rotary(&c, &a);
    for (int64_t b = 0; b < BATCH; b++)
        for (int64_t h = 0; h < HEADS; h++)
            for (int64_t r = 0; r < ROWS; r++) {
                const float *from = kept + b * a.x_stride[0] + h * a.x_stride[1] + r * a.x_stride[2];
                const float *to = a.y + b * a.y_stride[0] + h * a.y_stride[1] + r * a.y_stride[2];
                for (int64_t i = 0; i < half; i++) {
                    int64_t p = interleaved ? 2 * i : i, q = interleaved ? 2 * i + 1 : half + i;
                    Real cs = (Real)cosine[(b * ROWS + r) * half + i], sn = (Real)sine[(b * ROWS + r) * half + i];
                    near_to("rotary", isa->name, size, p, to[p], (Real)from[p] * cs - (Real)from[q] * sn, 0x1p-21L);
                    near_to("rotary", isa->name, size, q, to[q], (Real)from[q] * cs + (Real)from[p] * sn, 0x1p-21L);
                }
                for (int64_t i = size; i < width; i++)
                    assert_true(to[i] == from[i]);
            }
    free(x);
    free(y);
    free(cosine);
    free(sine);
    free(kept);
}

static void rotary(void **state)
{
    (void)state;
    for (int k = 0; k < ISAS; k++) {
        const tgk_isa *isa = tgk_isa_named(isa_names[k]);
        for (int64_t size = 2; isa && isa->rotary && size <= 140; size += 2)
            for (int64_t interleaved = 0; interleaved < 2; interleaved++)
                for (int in_place = 0; in_place < 2; in_place++) {
                    check_rotary(isa, size, size, interleaved, in_place);
                    check_rotary(isa, size, size + 7, interleaved, in_place);
                }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tail),     cmocka_unit_test(long_rows), cmocka_unit_test(no_rows),
        cmocka_unit_test(special_values), cmocka_unit_test(masked_scores_cost_no_denormals),
        cmocka_unit_test(same_bits),      cmocka_unit_test(rotary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
