/* Products of the C backend, for every instruction set of this machine, against sums in double precision.
 *
 * Bound: a sum of n products in floats differs from the exact one by at most n u sum |x w| (u = 2^-24, first order);
 * sums here are taken in order or in few parts, so that a tenth of n, and at least some units, is the bar: wrong
 * indices miss by far.
 */
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
#include "backend_c/kernels/pack.h"
#include "backend_c/kernels/pthreads.h"

enum { ISAS = 5 };
static const char *const isa_names[ISAS] = {"scalar", "avx2", "avx512", "amx", "neon"};

/* What a product of two rounded factors may lose beyond float rounding, relative to the term: only of modes that say
 * so. */
static double term_error(const char *isa)
{
    return !strcmp(isa, "amx_fast") ? 0x1p-15 : !strcmp(isa, "amx_bf16") ? 0x1p-7 : 0;
}
enum { TYPES = 5 };
static const int32_t types[TYPES] = {TGK_F32, TGK_F16, TGK_BF16, TGK_I8, TGK_I4};

/* Small, so that larger products go in turns. */
static _Alignas(64) char scratch[64 * 3072];

static uint64_t seed = 1;

static double uniform(void) /* -1 .. 1 */
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (double)(seed >> 11) * 0x1p-52 - 1;
}

/* A buffer that ends where its memory ends (sanitizers see what is read or written beyond), 64-byte aligned where
 * asked. */
static float *floats(int64_t n)
{
    float *at = malloc((size_t)(n ? n : 1) * sizeof *at);
    assert_non_null(at);
    for (int64_t i = 0; i < n; i++)
        at[i] = (float)uniform();
    return at;
}

/* The nearest value of the type, by the definition of its grid. */
static float rounded(int32_t type, float x)
{
    int exponent;
    const double f = x;
    frexp(f, &exponent);
    switch (type) {
    case TGK_F16: {
        const int e = exponent < -13 ? -13 : exponent;
        return (float)ldexp(nearbyint(ldexp(f, 11 - e)), e - 11);
    }
    case TGK_BF16: return (float)ldexp(nearbyint(ldexp(f, 8 - exponent)), exponent - 8);
    default: return x;
    }
}

/* --- one linear product ------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t rows, depth, cols, group;
    int32_t type, panel;
    int bias, then, transposed, gap;
    int zero, half; /* zero points; scales in f16 */
} Case;

typedef struct {
    float *x, *w, *scale, *zero, *bias, *y, *z;
    void *packed, *packed_scale, *packed_zero;
    double *want, *size;
} Data;

static int has_scale(const Case *c) { return c->type == TGK_I8 || c->type == TGK_I4; }

static void *pack(const tgk_packing *p, const float *source)
{
    const int64_t bytes = tgk_packed_bytes(p);
    assert_true(bytes >= 0);
    void *packed = aligned_alloc(64, (size_t)(bytes + 64) / 64 * 64);
    assert_non_null(packed);
    const int64_t rows = p->transposed ? p->cols : p->depth, width = p->transposed ? p->depth : p->cols;
    for (int64_t row = 0; row < rows; row += 7) /* in pieces */
        tgk_pack_rows(p, source + row * width, row, rows - row < 7 ? rows - row : 7, packed);
    return packed;
}

/* One number per group and column: a matrix of its own. */
static void make_scales(const Case *c, Data *d)
{
    d->scale = d->zero = NULL;
    d->packed_scale = d->packed_zero = NULL;
    if (!has_scale(c))
        return;
    const int64_t groups = c->group ? (c->depth + c->group - 1) / c->group : 1;
    const tgk_packing p = {c->half ? TGK_F16 : TGK_F32, c->panel, groups, c->cols, 0},
                      q = {TGK_F32, c->panel, groups, c->cols, 0};
    d->scale = floats(groups * c->cols);
    for (int64_t i = 0; i < groups * c->cols; i++)
        d->scale[i] = c->half ? rounded(TGK_F16, d->scale[i]) : d->scale[i];
    d->packed_scale = pack(&p, d->scale);
    if (c->zero) {
        d->zero = floats(groups * c->cols);
        d->packed_zero = pack(&q, d->zero);
    }
}

static void make_weights(const Case *c, Data *d)
{
    d->w = floats(c->depth * c->cols);
    for (int64_t i = 0; i < c->depth * c->cols; i++)
        d->w[i] = c->type == TGK_I8   ? (float)nearbyint(127.5 * (double)d->w[i] - 0.5)
                  : c->type == TGK_I4 ? (float)nearbyint(7.5 * (double)d->w[i] - 0.5)
                                      : rounded(c->type, d->w[i]);
    const tgk_packing p = {c->type, c->panel, c->depth, c->cols, c->transposed};
    float *source = floats(c->depth * c->cols);
    for (int64_t k = 0; k < c->depth; k++)
        for (int64_t col = 0; col < c->cols; col++)
            source[c->transposed ? col * c->depth + k : k * c->cols + col] = d->w[k * c->cols + col];
    d->packed = pack(&p, source);
    free(source);
    make_scales(c, d);
}

/* One row by codes of four bits is multiplied in integers, each block of x rounded to 2^-22 of its largest element:
 * what that adds to the sizes of terms, which are allowed an error of 6 2^-24. */
static double rounding_of_x(const Case *c, const Data *d, int64_t col)
{
    double sum = 0;
    for (int64_t k = 0; c->type == TGK_I4 && c->rows == 1 && k < c->depth; k++) {
        double most = 0;
        for (int64_t i = k / 32 * 32; i < c->depth && i < k / 32 * 32 + 32; i++)
            most = fmax(most, fabs((double)d->x[i]));
        const double scale = d->scale ? (double)d->scale[(c->group ? k / c->group * c->cols : 0) + col] : 1;
        sum += 4 * most * fabs((double)d->w[k * c->cols + col] * scale);
    }
    return sum / 6;
}

static void make(const Case *c, Data *d)
{
    make_weights(c, d);
    const int64_t stride = c->depth + c->gap;
    d->x = floats(c->rows * stride);
    d->bias = c->bias ? floats(c->cols) : NULL;
    d->y = floats(c->rows * (c->cols + c->gap));
    d->z = floats(c->rows * (c->cols + c->gap));
    d->want = calloc((size_t)(c->rows * c->cols), sizeof *d->want);
    d->size = calloc((size_t)(c->rows * c->cols), sizeof *d->size);
    for (int64_t r = 0; r < c->rows; r++) {
        for (int64_t col = 0; col < c->cols; col++) {
            double sum = d->bias ? (double)d->bias[col] : 0, size = fabs(sum);
            for (int64_t k = 0; k < c->depth; k++) {
                const int64_t g = (c->group ? k / c->group * c->cols : 0) + col;
                const double x = (double)d->x[r * stride + k], zero = d->zero ? x * (double)d->zero[g] : 0;
                const double term = x * (double)d->w[k * c->cols + col] * (d->scale ? (double)d->scale[g] : 1);
                sum += term - zero;
                size += fabs(term) + fabs(zero);
            }
            d->want[r * c->cols + col] = sum;
            d->size[r * c->cols + col] = size + rounding_of_x(c, d, col);
        }
    }
}

static void drop(Data *d)
{
    free(d->x), free(d->w), free(d->scale), free(d->bias), free(d->y), free(d->z), free(d->packed);
    free(d->packed_scale), free(d->packed_zero), free(d->zero);
    free(d->want), free(d->size);
}

/* A tail that shows where it ran: z = 2 y + 1. */
static void twice_and_one(const tgk_loop *l, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    for (int64_t r = row; r < row + rows; r++) {
        const float *y = (const float *)l->operand[0].at + tgk_row(l, 0, r);
        float *z = (float *)l->operand[1].at + tgk_row(l, 1, r);
        for (int64_t c = col; c < col + cols; c++)
            z[c] += 2 * y[c] + 1;
    }
}

static void run(const tgk_ctx *ctx, const Case *c, Data *d)
{
    const int64_t y_stride = c->cols + c->gap;
    tgk_loop loop = {.rank = 2, .dim = {c->rows, c->cols}};
    loop.operand[0].at = d->y;
    loop.operand[1].at = d->z;
    loop.operand[0].stride[0] = loop.operand[1].stride[0] = y_stride;
    loop.operand[0].stride[1] = loop.operand[1].stride[1] = 1;
    for (int64_t i = 0; i < c->rows * y_stride; i++)
        d->y[i] = NAN, d->z[i] = 0;
    const tgk_linear a = {
        c->rows,
        c->depth,
        c->cols,
        d->x,
        c->depth + c->gap,
        {d->packed, c->type, c->panel, d->packed_scale, c->group, d->packed_zero, c->half ? TGK_F16 : 0},
        d->bias,
        d->y,
        y_stride,
        c->then ? twice_and_one : NULL,
        &loop};
    ctx->isa->linear(ctx, &a);
}

static void check(const tgk_ctx *ctx, const Case *c)
{
    Data d;
    make(c, &d);
    run(ctx, c, &d);
    for (int64_t r = 0; r < c->rows; r++) {
        for (int64_t col = 0; col < c->cols + c->gap; col++) {
            const float y = d.y[r * (c->cols + c->gap) + col], z = d.z[r * (c->cols + c->gap) + col];
            if (col >= c->cols) { /* between rows */
                assert_true(isnan(y) && z == 0);
                continue;
            }
            const int64_t i = r * c->cols + col;
            const double bound = ((6 + 0.1 * (double)c->depth) * 0x1p-24 + term_error(ctx->isa->name)) * d.size[i];
            if (!(fabs((double)y - d.want[i]) <= bound) || (c->then && z != 2 * y + 1))
                fail_msg("%s type %d %dx%dx%d panel %d group %d at %d,%d: %.9g, wanted %.9g (bound %g); tail %g",
                         ctx->isa->name, c->type, (int)c->rows, (int)c->depth, (int)c->cols, c->panel, (int)c->group,
                         (int)r, (int)col, (double)y, d.want[i], bound, (double)z);
        }
    }
    drop(&d);
}

static void each_isa(void (*body)(const tgk_ctx *ctx))
{
    for (int i = 0; i < ISAS; i++) {
        const tgk_ctx ctx = {tgk_isa_named(isa_names[i]), NULL, NULL, scratch, sizeof scratch};
        if (ctx.isa)
            body(&ctx);
    }
}

/* As a machine that prefetches otherwise has them. */
static void each_other_isa(void (*body)(const tgk_ctx *ctx))
{
    for (int i = 0; i < ISAS; i++) {
        const tgk_isa *isa = tgk_isa_named(isa_names[i]);
        if (!isa)
            continue;
        tgk_isa other = *isa;
        other.streams = !isa->streams;
        other.vnni = 0;
        const tgk_ctx ctx = {&other, NULL, NULL, scratch, sizeof scratch};
        body(&ctx);
    }
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void small_shapes(const tgk_ctx *ctx)
{
    static const int64_t all_cols[] = {1,  2,  15, 16, 17, 31, 32, 33,  47,  48, 49,
                                       63, 64, 65, 80, 95, 96, 97, 127, 128, 130};
    static const int64_t depths[] = {1, 2, 3, 4, 5, 9, 32, 37};
    for (int64_t rows = 1; rows <= 20; rows++)
        for (size_t c = 0; c < sizeof all_cols / sizeof *all_cols; c++)
            for (int t = 0; t < TYPES; t++)
                for (int32_t panel = 16; panel <= 64; panel += 16) {
                    const int64_t depth = depths[(size_t)(rows + t) * 5 % (sizeof depths / sizeof *depths)];
                    const int odd = (int)(rows + (int64_t)c + t) % 2;
                    check(ctx, &(Case){rows, depth, all_cols[c], 0, types[t], panel, odd, 1, !odd, odd ? 3 : 0, 0, 0});
                }
}

static void long_depths(const tgk_ctx *ctx)
{
    static const int64_t rows[] = {1, 3, 8, 9, 17, 33, 70}, depths[] = {383, 384, 385, 769, 1030};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
            for (int t = 0; t < TYPES; t++)
                check(ctx, &(Case){rows[r], depths[k], 90, 0, types[t], (int32_t)(16 + (r + k) % 4 * 16), 1,
                                   1, 0, 0, 0, 0});
}

static void int8_groups(const tgk_ctx *ctx)
{
    for (int64_t rows = 1; rows <= 40; rows += 3)
        for (int64_t group = 16; group <= 128; group *= 2)
            check(ctx, &(Case){rows, 512, 50, group, TGK_I8, 48, (int)rows % 2, 1, 0, 0, 0, 0});
}

/* x that is no number, or too small to be scaled to integers, is multiplied as floats are. */
static void odd_rows_by_codes(const tgk_ctx *ctx)
{
    const Case c = {1, 64, 50, 32, TGK_I4, 64, 0, 1, 0, 0, 0, 0};
    const float odd[] = {NAN, INFINITY, 0x1p-108f};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        Data d;
        make(&c, &d);
        for (int64_t k = 0; k < c.depth; k++)
            d.x[k] = isfinite(odd[i]) ? d.x[k] * odd[i] : k == 40 ? odd[i] : d.x[k];
        run(ctx, &c, &d);
        for (int64_t n = 0; n < c.cols; n++)
            assert_true(isfinite(odd[i]) ? fabs((double)d.y[n] / (double)odd[i] - d.want[n]) <= 0x1p-20 * d.size[n]
                                         : !isfinite(d.y[n]));
        drop(&d);
    }
}

static void test_odd_rows_by_codes(void **state) { (void)state, each_isa(odd_rows_by_codes); }
static void test_small_shapes(void **state) { (void)state, each_isa(small_shapes); }
static void test_long_depths(void **state) { (void)state, each_isa(long_depths); }
static void test_long_depths_in_streams(void **state) { (void)state, each_other_isa(long_depths); }
/* Zero points, scales of 16 bits, last groups that are cut short, every number of rows that has code of its own. */
static void codes(const tgk_ctx *ctx)
{
    static const int64_t depths[] = {1, 7, 8, 31, 32, 40, 100, 256, 1000}, cols[] = {1, 16, 33, 64, 150};
    for (int64_t rows = 1; rows <= 21; rows += rows < 5 ? 1 : 8)
        for (size_t k = 0; k < sizeof depths / sizeof *depths; k++)
            for (size_t n = 0; n < sizeof cols / sizeof *cols; n++)
                for (int form = 0; form < 8; form++)
                    check(ctx, &(Case){rows, depths[k], cols[n], form % 3 ? 16 << (form + (int)k) % 5 : 0,
                                       form % 2 ? TGK_I4 : TGK_I8, 16 + 16 * (int32_t)((k + n + (size_t)form) % 4),
                                       form & 1, 1, (int)k & 1, form & 4 ? 5 : 0, form & 2, form % 3 && form & 4});
}

static void test_int8_groups(void **state) { (void)state, each_isa(int8_groups); }
static void test_codes(void **state) { (void)state, each_isa(codes); }

static void test_split_tiles(void **state)
{
    (void)state;
    static const char *const names[] = {"amx_fast", "amx_bf16", "amx"};
    for (int i = 0; i < 3; i++) {
        const tgk_ctx ctx = {tgk_isa_named(names[i]), NULL, NULL, scratch, sizeof scratch};
        if (!ctx.isa)
            continue;
        for (int64_t rows = 31; rows <= 140; rows += 9)
            for (int t = 0; t < TYPES; t++)
                for (int64_t cols = 64; cols <= 130; cols += 11)
                    check(&ctx, &(Case){rows, 5 * rows + t, cols, 0, types[t], 16 + 16 * (int32_t)(rows % 4), t % 2, 1,
                                        0, 0, 0, 0});
    }
}

static void no_work(const tgk_ctx *ctx)
{
    check(ctx, &(Case){0, 5, 20, 0, TGK_F32, 48, 1, 1, 0, 0, 0, 0});
    check(ctx, &(Case){3, 5, 0, 0, TGK_F32, 48, 0, 1, 0, 0, 0, 0});
    check(ctx, &(Case){3, 0, 20, 0, TGK_F32, 48, 1, 1, 0, 0, 0, 0});
    check(ctx, &(Case){3, 0, 20, 0, TGK_BF16, 48, 0, 1, 0, 0, 0, 0});
    check(ctx, &(Case){20, 0, 20, 0, TGK_F16, 48, 0, 1, 0, 0, 0, 0});
    check(ctx, &(Case){2, 0, 20, 0, TGK_I4, 48, 1, 1, 0, 0, 0, 0});
    check(ctx, &(Case){20, 0, 20, 32, TGK_I4, 48, 0, 1, 0, 0, 1, 0});
}

static void test_no_work(void **state) { (void)state, each_isa(no_work); }

static void same_bits(const tgk_ctx *serial)
{
    static const Case cases[] = {
        {128, 200, 300, 0, TGK_F32, 48, 1, 1, 0, 0, 0, 0}, {7, 900, 700, 0, TGK_F32, 64, 0, 1, 0, 0, 0, 0},
        {300, 96, 64, 0, TGK_BF16, 32, 1, 0, 0, 5, 0, 0},  {1, 512, 1500, 0, TGK_I8, 48, 0, 1, 0, 0, 0, 0},
        {1, 512, 1500, 32, TGK_I4, 48, 0, 1, 0, 0, 1, 1},  {40, 512, 300, 32, TGK_I4, 64, 0, 1, 0, 0, 0, 0},
        {512, 64, 48, 0, TGK_F16, 16, 0, 1, 0, 0, 0, 0}};
    for (int threads = 2; threads <= 5; threads++) {
        void *memory = aligned_alloc(64, (tgk_pool_bytes(threads) + 63) / 64 * 64);
        tgk_pool *pool = tgk_pool_start(memory, tgk_pool_bytes(threads), threads);
        assert_non_null(pool);
        const tgk_ctx parallel = {serial->isa, tgk_pool_for, pool, serial->scratch, serial->scratch_bytes};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            Data d;
            const Case *c = &cases[i];
            const size_t bytes = (size_t)(c->rows * (c->cols + c->gap)) * sizeof(float);
            make(c, &d);
            run(serial, c, &d);
            float *y = d.y, *z = d.z;
            d.y = floats((int64_t)(bytes / sizeof(float)));
            d.z = floats((int64_t)(bytes / sizeof(float)));
            run(&parallel, c, &d);
            assert_memory_equal(y, d.y, bytes);
            assert_memory_equal(z, d.z, bytes);
            free(y), free(z);
            drop(&d);
        }
        tgk_pool_stop(pool);
        free(memory);
    }
}

static void test_same_bits(void **state) { (void)state, each_isa(same_bits); }

/* --- batched products: any strides -------------------------------------------------------------------------------- */

typedef struct {
    int64_t rows, depth, cols;
    int form; /* 0 plain, 1 b transposed, 2 a transposed, 3 both, 4 every stride odd */
    float alpha;
} Batched;

static void check_matmul(const tgk_ctx *ctx, const Batched *c)
{
    const int64_t b0 = 2, b1 = 3, M = c->rows, K = c->depth, N = c->cols, step = c->form == 4 ? 3 : 1;
    const int a_turned = c->form == 2 || c->form == 3, b_turned = c->form == 1 || c->form == 3;
    tgk_matmul m = {.batch_rank = 2, .batch = {b0, b1}, .rows = M, .depth = K, .cols = N, .alpha = c->alpha};
    m.a_row = a_turned ? 1 : K * step;
    m.a_col = a_turned ? M : step;
    m.b_row = b_turned ? 1 : N * step;
    m.b_col = b_turned ? K : step;
    m.c_row = N + 2;
    m.a_batch[0] = b1 * M * K * step, m.a_batch[1] = M * K * step;
    m.b_batch[0] = K * N * step, m.b_batch[1] = 0; /* repeats */
    m.c_batch[0] = b1 * M * m.c_row, m.c_batch[1] = M * m.c_row;
    float *a = floats(b0 * b1 * M * K * step), *b = floats(b0 * K * N * step), *y = floats(b0 * b1 * M * m.c_row);
    m.a = a, m.b = b, m.c = y;
    ctx->isa->matmul(ctx, &m);
    for (int64_t i = 0; i < b0 * b1 * M * N; i++) {
        const int64_t col = i % N, r = i / N % M, x1 = i / N / M % b1, x0 = i / N / M / b1;
        double sum = 0, size = 0;
        for (int64_t k = 0; k < K; k++) {
            const double term = (double)c->alpha *
                                (double)a[x0 * m.a_batch[0] + x1 * m.a_batch[1] + r * m.a_row + k * m.a_col] *
                                (double)b[x0 * m.b_batch[0] + k * m.b_row + col * m.b_col];
            sum += term;
            size += fabs(term);
        }
        const double got = (double)y[x0 * m.c_batch[0] + x1 * m.c_batch[1] + r * m.c_row + col];
        if (!(fabs(got - sum) <= (6 + 0.1 * (double)K) * 0x1p-24 * size))
            fail_msg("%s matmul %dx%dx%d form %d at %d: %.9g, wanted %.9g", ctx->isa->name, (int)M, (int)K, (int)N,
                     c->form, (int)i, got, sum);
    }
    free(a), free(b), free(y);
}

static void matmuls(const tgk_ctx *ctx)
{
    static const int64_t rows[] = {1, 2, 3, 4, 7, 16, 17, 40}, depths[] = {0, 1, 5, 16, 64, 70, 400},
                         cols[] = {1, 5, 16, 33, 48, 64, 96, 130};
    for (size_t r = 0; r < 8; r++)
        for (size_t k = 0; k < 7; k++)
            for (size_t n = 0; n < 8; n++)
                check_matmul(ctx, &(Batched){rows[r], depths[k], cols[n], (int)((r + k + n) % 5), r % 2 ? 1 : 0.125f});
}

static void test_matmul(void **state) { (void)state, each_isa(matmuls); }

/* --- packing ------------------------------------------------------------------------------------------------------ */

static void test_pack_rounds(void **state)
{
    (void)state;
    for (int t = 1; t <= 2; t++) {
        const tgk_packing p = {types[t], 16, 1, 1, 0};
        for (int i = 0; i < 200000; i++) {
            float x = (float)ldexp(uniform(), (int)(uniform() * 30)), again;
            uint16_t bits[16];
            tgk_pack_rows(&p, &x, 0, 1, bits);
            if (types[t] == TGK_BF16) {
                const uint32_t wide = (uint32_t)bits[0] << 16;
                memcpy(&again, &wide, sizeof again);
            } else {
                const int e = bits[0] >> 10 & 31, m = bits[0] & 1023;
                const double v = e == 31 ? INFINITY : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
                again = (float)(bits[0] >> 15 ? -v : v);
            }
            const float want = rounded(types[t], x);
            assert_true(again == (types[t] == TGK_F16 && fabsf(want) > 65504 ? copysignf(INFINITY, x) : want));
            assert_int_equal(bits[15], 0);
        }
    }
    const tgk_packing bad = {TGK_F32, 24, 1, 1, 0}, huge = {TGK_F32, 16, INT64_MAX / 64, INT64_MAX / 64, 0};
    assert_true(tgk_packed_bytes(&bad) == -1 && tgk_packed_bytes(&huge) == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_shapes), cmocka_unit_test(test_long_depths),
        cmocka_unit_test(test_long_depths_in_streams), cmocka_unit_test(test_int8_groups),
        cmocka_unit_test(test_codes), cmocka_unit_test(test_odd_rows_by_codes),
        cmocka_unit_test(test_split_tiles),  cmocka_unit_test(test_no_work),     cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_matmul),       cmocka_unit_test(test_pack_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
