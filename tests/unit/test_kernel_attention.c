/* Attention kernels against a plain softmax in double precision, for every instruction set that this machine has.
 *
 * Operands lie in arrays with gaps, and whatever a kernel has no right to read (gaps, keys beyond `valid`) is NaN:
 * reading it shows in the result. What it has no right to write is checked for its old bits.
 */
#include "backend_c/kernels/isa.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {"scalar", "avx2", "avx512", "neon"}; /* amx: the kernel of avx512 */
enum { MOST_ISAS = 2 * sizeof names / sizeof *names };
static const tgk_isa *isas[MOST_ISAS];
static int n_isas;

/* Each as this machine has it, and as one that prefetches otherwise. */
static void find_isas(void)
{
    static tgk_isa others[MOST_ISAS];
    for (int k = 0; k < MOST_ISAS / 2; k++) {
        const tgk_isa *isa = tgk_isa_named(names[k]);
        if (!isa)
            continue;
        others[n_isas] = *isa;
        others[n_isas].streams = !isa->streams;
        isas[n_isas + 1] = &others[n_isas];
        isas[n_isas] = isa;
        n_isas += 2;
    }
}

/* --- random numbers ----------------------------------------------------------------------------------------------- */

static uint64_t state = 88172645463325252u;

static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static int64_t below(int64_t n) { return (int64_t)(draw() % (uint32_t)n); }
static float unit(void) { return (float)(draw() % 20001) * 1e-4f - 1.f; }

/* --- one case ----------------------------------------------------------------------------------------------------- */

enum { OPERANDS = 4 }; /* q, k, v, y */

typedef struct {
    tgk_attention a;
    float *at[OPERANDS], *y_before;
    size_t count[OPERANDS];
    void *mask;
    int64_t valid[4];
} Case;

/* Places [batch, heads, rows, size] row-major or with heads inside rows, with gaps; all NaN. */
static void place(Case *c, int k, int64_t heads, int64_t rows, int64_t size, int64_t stride[3])
{
    int64_t gap = below(2) ? 0 : below(7), row = size + gap;
    if (below(2)) {
        stride[2] = row;
        stride[1] = rows * row + below(2) * 3;
        stride[0] = heads * stride[1];
    } else {
        stride[1] = row;
        stride[2] = heads * row;
        stride[0] = rows * stride[2];
    }
    size_t n = (size_t)(c->a.batch * stride[0]);
    c->count[k] = n;
    c->at[k] = malloc(n * sizeof(float) + 1);
    for (size_t i = 0; i < n; i++)
        c->at[k][i] = NAN;
}

static void fill(float *at, const int64_t stride[3], int64_t batch, int64_t heads, int64_t rows, int64_t size, float by)
{
    for (int64_t b = 0; b < batch; b++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t r = 0; r < rows; r++)
                for (int64_t d = 0; d < size; d++)
                    at[b * stride[0] + h * stride[1] + r * stride[2] + d] = by * unit();
}

static void operands(Case *c)
{
    tgk_attention *a = &c->a;
    place(c, 0, a->heads, a->queries, a->size, a->q_stride);
    place(c, 1, a->kv_heads, a->keys, a->size, a->k_stride);
    place(c, 2, a->kv_heads, a->keys, a->v_size, a->v_stride);
    place(c, 3, a->heads, a->queries, a->v_size, a->y_stride);
    fill(c->at[0], a->q_stride, a->batch, a->heads, a->queries, a->size, 2);
    for (int64_t b = 0; b < a->batch; b++) {
        int64_t n = a->valid && a->valid[b] < a->keys ? a->valid[b] : a->keys;
        fill(c->at[1] + b * a->k_stride[0], a->k_stride, 1, a->kv_heads, n, a->size, 2);
        fill(c->at[2] + b * a->v_stride[0], a->v_stride, 1, a->kv_heads, n, a->v_size, 1);
    }
    a->q = c->at[0];
    a->k = c->at[1];
    a->v = c->at[2];
    a->y = c->at[3];
    c->y_before = malloc(c->count[3] * sizeof(float) + 1);
    memcpy(c->y_before, a->y, c->count[3] * sizeof(float));
}

static void release(Case *c)
{
    for (int k = 0; k < OPERANDS; k++)
        free(c->at[k]);
    free(c->y_before);
    free(c->mask);
}

/* What masks look like: scattered, the last keys, the upper triangle, whole rows. */
static bool forbidden(int pattern, int64_t h, int64_t i, int64_t j, int64_t keys)
{
    switch (pattern) {
    case 0: return below(3) == 0;
    case 1: return j >= keys - keys / 3;
    case 2: return j > i + h;
    case 3: return i % 5 == 2 || below(8) == 0;
    default: return j < keys / 2 || (i % 3 == 1 && j != keys - 1);
    }
}

/* A mask of which each axis is there or broadcast. `low`: what an additive mask adds to forbidden keys. */
static void give_mask(Case *c, tgk_mask kind, int broadcast, int pattern, float low)
{
    tgk_attention *a = &c->a;
    int64_t dim[4] = {a->batch, a->heads, a->queries, a->keys}, stride = 1;
    for (int k = 3; k >= 0; k--) {
        if (broadcast >> k & 1)
            dim[k] = 1;
        a->mask_stride[k] = broadcast >> k & 1 ? 0 : stride;
        stride *= dim[k];
    }
    a->mask_kind = kind;
    c->mask = malloc((size_t)stride * sizeof(float) + 1);
    a->mask = c->mask;
    for (int64_t n = 0; n < stride; n++) {
        int64_t j = n % dim[3], i = n / dim[3] % dim[2], h = n / dim[3] / dim[2] % dim[1];
        bool no = forbidden(pattern, h, i, j, a->keys);
        if (kind == TGK_MASK_BOOL)
            ((uint8_t *)c->mask)[n] = !no;
        else
            ((float *)c->mask)[n] = no ? low : pattern == 1 ? 0 : unit();
    }
}

/* --- the reference ------------------------------------------------------------------------------------------------ */

static bool sees(const tgk_attention *a, int64_t b, int64_t i, int64_t j)
{
    int64_t middle = i + (a->valid ? a->valid[b] - a->queries : a->offset);
    return !(a->valid && j >= a->valid[b]) && !(a->causal && j > middle) && !(a->left >= 0 && j < middle - a->left) &&
           !(a->right >= 0 && j > middle + a->right);
}

static double score(const tgk_attention *a, int64_t b, int64_t h, int64_t i, int64_t j)
{
    if (!sees(a, b, i, j))
        return -INFINITY;
    const float *q = a->q + b * a->q_stride[0] + h * a->q_stride[1] + i * a->q_stride[2];
    const float *k = a->k + b * a->k_stride[0] + h / (a->heads / a->kv_heads) * a->k_stride[1] + j * a->k_stride[2];
    double s = 0;
    for (int64_t d = 0; d < a->size; d++)
        s += (double)q[d] * (double)k[d];
    s *= (double)a->scale;
    if (a->softcap > 0)
        s = (double)a->softcap * tanh(s / (double)a->softcap);
    int64_t m = b * a->mask_stride[0] + h * a->mask_stride[1] + i * a->mask_stride[2] + j * a->mask_stride[3];
    if (a->mask_kind == TGK_MASK_BOOL)
        return ((const uint8_t *)a->mask)[m] ? s : -INFINITY;
    return a->mask_kind == TGK_MASK_ADD ? s + (double)((const float *)a->mask)[m] : s;
}

/* One row into y[v_size]; what an error of the row may be: rounding of scores as large as the largest. */
static double plain_row(const tgk_attention *a, int64_t b, int64_t h, int64_t i, double *s, double *y)
{
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        s[j] = score(a, b, h, i, j);
        most = s[j] > most ? s[j] : most;
    }
    for (int64_t d = 0; d < a->v_size; d++)
        y[d] = 0;
    if (most == -INFINITY)
        return 0;
    for (int64_t j = 0; j < a->keys; j++) {
        double p = exp(s[j] - most);
        const float *v = a->v + b * a->v_stride[0] + h / (a->heads / a->kv_heads) * a->v_stride[1] + j * a->v_stride[2];
        sum += p;
        for (int64_t d = 0; p != 0 && d < a->v_size; d++)
            y[d] += p * (double)v[d];
    }
    for (int64_t d = 0; d < a->v_size; d++)
        y[d] /= sum;
    return 4e-6 + (most > -1e6 ? 2e-7 * fabs(most) : 0);
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

static void describe(const char *isa, const tgk_attention *a)
{
    print_error("%s: batch %d heads %d/%d queries %d keys %d size %d/%d causal %d offset %d window %d %d "
                "mask %d (%d %d %d %d) valid %d softcap %g\n",
                isa, (int)a->batch, (int)a->heads, (int)a->kv_heads, (int)a->queries, (int)a->keys, (int)a->size,
                (int)a->v_size, (int)a->causal, (int)a->offset, (int)a->left, (int)a->right, (int)a->mask_kind,
                (int)a->mask_stride[0], (int)a->mask_stride[1], (int)a->mask_stride[2], (int)a->mask_stride[3],
                a->valid ? (int)a->valid[0] : -1, (double)a->softcap);
}

static void check_row(const char *isa, const Case *c, int64_t b, int64_t h, int64_t i, double *s, double *want)
{
    const tgk_attention *a = &c->a;
    double bound = plain_row(a, b, h, i, s, want);
    const float *y = a->y + b * a->y_stride[0] + h * a->y_stride[1] + i * a->y_stride[2];
    for (int64_t d = 0; d < a->v_size; d++) {
        if (fabs((double)y[d] - want[d]) <= bound)
            continue;
        describe(isa, a);
        fail_msg("y[%d,%d,%d,%d] is %.9g, should be %.9g", (int)b, (int)h, (int)i, (int)d, (double)y[d], want[d]);
    }
}

static void check_gaps(const char *isa, Case *c)
{
    tgk_attention *a = &c->a;
    for (int64_t b = 0; b < a->batch; b++)
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t i = 0; i < a->queries; i++)
                for (int64_t d = 0; d < a->v_size; d++)
                    a->y[b * a->y_stride[0] + h * a->y_stride[1] + i * a->y_stride[2] + d] = NAN;
    if (memcmp(a->y, c->y_before, c->count[3] * sizeof(float))) {
        describe(isa, a);
        fail_msg("wrote between rows");
    }
}

/* Runs the case on every instruction set. */
static void check(Case *c)
{
    tgk_attention *a = &c->a;
    double *s = malloc((size_t)a->keys * sizeof *s + 1), *want = malloc((size_t)a->v_size * sizeof *want + 1);
    for (int k = 0; k < n_isas; k++) {
        tgk_ctx ctx = {.isa = isas[k]};
        memcpy(a->y, c->y_before, c->count[3] * sizeof(float));
        isas[k]->attention(&ctx, a);
        for (int64_t b = 0; b < a->batch; b++)
            for (int64_t h = 0; h < a->heads; h++)
                for (int64_t i = 0; i < a->queries; i++)
                    check_row(isas[k]->name, c, b, h, i, s, want);
        check_gaps(isas[k]->name, c);
    }
    free(s);
    free(want);
}

static tgk_attention shape(int64_t batch, int64_t heads, int64_t group, int64_t queries, int64_t keys, int64_t size)
{
    return (tgk_attention){.batch = batch, .heads = heads, .kv_heads = heads / group, .queries = queries, .keys = keys,
                           .size = size, .v_size = size, .scale = 1.f / sqrtf((float)size), .left = -1, .right = -1};
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static const float lows[] = {-INFINITY, -FLT_MAX, -1e30f, -10000.f};

static void random_structure(Case *c)
{
    tgk_attention *a = &c->a;
    a->causal = below(2);
    int64_t offsets[] = {0, a->keys - a->queries, below(40) - 20};
    a->offset = offsets[below(3)];
    a->left = below(3) ? -1 : below(50);
    a->right = below(3) ? -1 : below(50);
    a->softcap = below(4) ? 0.f : 1.f + (float)below(30);
    if (below(4) == 0) {
        for (int b = 0; b < 4; b++)
            c->valid[b] = below(a->keys + 3);
        a->valid = c->valid;
    }
}

static void random_case(int64_t queries, int64_t keys, int64_t size, int64_t v_size)
{
    static const int64_t groups[] = {1, 2, 4, 8, 3};
    int64_t group = groups[below(5)];
    int64_t twice = group < 4 ? 1 + below(2) : 1;
    Case c = {.a = shape(group < 4 ? 1 + below(2) : 1, group * twice, group, queries, keys, size)};
    c.a.v_size = v_size;
    random_structure(&c);
    int kind = (int)below(3);
    if (kind)
        give_mask(&c, kind == 1 ? TGK_MASK_BOOL : TGK_MASK_ADD, (int)below(16), (int)below(5), lows[below(4)]);
    operands(&c);
    check(&c);
    release(&c);
}

static void test_sizes_and_tails(void **unused)
{
    (void)unused;
    for (int64_t size = 1; size <= 130; size++)
        random_case(1 + below(40), 1 + below(70), size, below(2) ? size : 1 + below(130));
    for (int64_t n = 1; n <= 200; n++) {
        random_case(n, 1 + below(200), 1 + below(70), 1 + below(70));
        random_case(1 + below(200), n, 1 + below(70), 1 + below(70));
    }
}

static void test_decode(void **unused)
{
    (void)unused;
    for (int round = 0; round < 200; round++)
        random_case(1 + below(9), 1 + below(round % 4 ? 200 : 2500), 1 + below(130), 1 + below(130));
}

static void test_large_heads(void **unused)
{
    (void)unused;
    static const int64_t sizes[] = {160, 192, 256, 257, 300, 512, 513, 700, 1100, 2100};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        random_case(1 + below(8), 1 + below(200), sizes[k], sizes[k]);
        random_case(9 + below(100), 1 + below(200), sizes[k], sizes[below(10)]);
    }
}

/* Every combination of structure with every kind of mask and every broadcast of it. */
static void test_combinations(void **unused)
{
    (void)unused;
    for (int n = 0; n < 3 * 16 * 2 * 4 * 2; n++) {
        int kind = n % 3, broadcast = n / 3 % 16, causal = n / 48 % 2, window = n / 96 % 4, few = n / 384;
        Case c = {.a = shape(2, 2, n & 1 ? 2 : 1, few ? 1 + below(3) : 60 + below(80), 40 + below(110),
                             16 + below(20))};
        c.a.causal = causal;
        c.a.offset = below(3) ? c.a.keys - c.a.queries : 0;
        c.a.left = window & 1 ? below(60) : -1;
        c.a.right = window & 2 ? below(60) : -1;
        if (kind)
            give_mask(&c, kind == 1 ? TGK_MASK_BOOL : TGK_MASK_ADD, broadcast, (int)below(5), lows[below(4)]);
        operands(&c);
        check(&c);
        release(&c);
    }
}

static void fill_mask(Case *c, tgk_mask kind, float value)
{
    give_mask(c, kind, 0, 0, 0);
    size_t n = (size_t)(c->a.batch * c->a.heads * c->a.queries * c->a.keys);
    for (size_t k = 0; k < n; k++) {
        if (kind == TGK_MASK_BOOL)
            ((uint8_t *)c->mask)[k] = 0;
        else
            ((float *)c->mask)[k] = value;
    }
}

/* Rows of which all keys are forbidden are 0; an additive mask of one finite value everywhere changes nothing but by
 * rounding: of lowest values it gives the mean of v. Alone, and mixed with ordinary rows. */
static void test_forbidden_rows(void **unused)
{
    (void)unused;
    static const float values[] = {-INFINITY, -FLT_MAX, -3e38f, -1e30f};
    for (int n = 0; n < 2 * 5 * 2 * 2; n++) {
        int kind = n % 5, causal = n / 5 % 2, few = n / 10 % 2, mixed = n / 20;
        Case c = {.a = shape(1, 2, 2, few ? 3 : 90, 300, 24)};
        c.a.causal = causal;
        c.a.offset = 210;
        fill_mask(&c, kind == 4 ? TGK_MASK_BOOL : TGK_MASK_ADD, kind == 4 ? 0 : values[kind]);
        for (int64_t i = 0; mixed && i < c.a.queries; i += 2) {
            int64_t at = i * c.a.mask_stride[2] + 5 * i % 200 * c.a.mask_stride[3];
            if (kind == 4)
                ((uint8_t *)c.mask)[at] = 1;
            else
                ((float *)c.mask)[at] = 0.5f;
        }
        operands(&c);
        check(&c);
        release(&c);
    }
}

/* Keys far below others weigh nothing, but a large score may lift them: blocks may be left out in the first case
 * alone. */
static void test_low_bias_beside_large_scores(void **unused)
{
    (void)unused;
    static const float scales[] = {0.25f, 10, 40, 100};
    for (size_t n = 0; n < 2 * sizeof scales / sizeof *scales; n++) {
        Case c = {.a = shape(1, 2, 1, 150, 300, 16)};
        c.a.scale = scales[n / 2];
        c.a.softcap = n % 2 ? 2 * scales[n / 2] : 0;
        give_mask(&c, TGK_MASK_ADD, 3, 2, -200);
        operands(&c);
        check(&c);
        release(&c);
    }
}

/* Nor are blocks left out in which a key or a value is no number: a low bias hides nothing, it reaches every row. */
static void test_nan_below_a_low_bias_is_kept(void **unused)
{
    (void)unused;
    for (int n = 0; n < n_isas * 4; n++) {
        Case c = {.a = shape(1, 1, 1, 150, 300, 16)};
        tgk_ctx ctx = {.isa = isas[n / 4]};
        const int64_t key = n & 1 ? 299 : 250; /* others follow it, in its step as well */
        give_mask(&c, TGK_MASK_ADD, 3, 2, -10000);
        operands(&c);
        c.at[n & 2 ? 2 : 1][key * (n & 2 ? c.a.v_stride[2] : c.a.k_stride[2]) + 3] = NAN;
        ctx.isa->attention(&ctx, &c.a);
        for (int64_t i = 0; i < c.a.queries; i++)
            assert_true(isnan(c.a.y[i * c.a.y_stride[2] + 3]));
        release(&c);
    }
}

static void test_nothing(void **unused)
{
    (void)unused;
    Case c = {.a = shape(2, 4, 2, 5, 0, 8)};
    operands(&c);
    check(&c);
    release(&c);
    c = (Case){.a = shape(2, 4, 2, 70, 0, 8)};
    operands(&c);
    check(&c);
    release(&c);
    c = (Case){.a = shape(2, 4, 2, 0, 5, 8)};
    operands(&c);
    check(&c);
    release(&c);
    c = (Case){.a = shape(0, 4, 2, 3, 5, 8)};
    operands(&c);
    check(&c);
    release(&c);
}

/* A NaN in one query's row stays in that row; one in a value reaches every row that sees it. */
static void test_nan_is_kept(void **unused)
{
    (void)unused;
    for (int n = 0; n < n_isas * 2; n++) {
        Case c = {.a = shape(1, 1, 1, n % 2 ? 2 : 70, 100, 16)};
        tgk_ctx ctx = {.isa = isas[n / 2]};
        operands(&c);
        c.at[0][c.a.q_stride[2] + 3] = NAN;
        ctx.isa->attention(&ctx, &c.a);
        for (int64_t d = 0; d < 16; d++) {
            assert_true(isnan(c.a.y[c.a.y_stride[2] + d]));
            assert_true(isfinite(c.a.y[d]));
        }
        c.at[2][99 * c.a.v_stride[2] + 2] = NAN;
        ctx.isa->attention(&ctx, &c.a);
        assert_true(isnan(c.a.y[2]));
        assert_true(isfinite(c.a.y[1]));
        release(&c);
    }
}

/* Scores of any size: far below the largest they weigh exactly nothing. */
static void test_large_scores(void **unused)
{
    (void)unused;
    for (int n = 0; n < 12; n++) {
        static const float scales[] = {1, 10, 300, 1e-4f, 50, 0};
        Case c = {.a = shape(1, 2, 1, n < 6 ? 70 : 2, 200, 20)};
        c.a.scale = scales[n % 6];
        operands(&c);
        check(&c);
        release(&c);
    }
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

typedef struct {
    void (*task)(void *arg, int64_t i);
    void *arg;
    int64_t n, first, step;
} Share;

static void *run_share(void *at)
{
    Share *s = at;
    for (int64_t i = s->first; i < s->n; i += s->step)
        s->task(s->arg, s->n - 1 - i);
    return NULL;
}

static void three_threads(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n)
{
    (void)pool;
    pthread_t thread[3];
    Share share[3];
    for (int t = 0; t < 3; t++) {
        share[t] = (Share){task, arg, n, t, 3};
        assert_int_equal(pthread_create(&thread[t], NULL, run_share, &share[t]), 0);
    }
    for (int t = 0; t < 3; t++)
        pthread_join(thread[t], NULL);
}

static void test_threads_do_not_change_bits(void **unused)
{
    (void)unused;
    for (int n = 0; n < 24; n++) {
        Case c = {.a = shape(1, 8, 1 << n % 4, n % 2 ? 1 + below(4) : 1 + below(200), 1 + below(2000), 40)};
        c.a.causal = n / 2 % 2;
        c.a.offset = c.a.keys - c.a.queries;
        operands(&c);
        float *one = malloc(c.count[3] * sizeof *one);
        for (int k = 0; k < n_isas; k++) {
            tgk_ctx alone = {.isa = isas[k]}, threads = {.isa = isas[k], .parallel_for = three_threads};
            isas[k]->attention(&alone, &c.a);
            memcpy(one, c.a.y, c.count[3] * sizeof *one);
            memcpy(c.a.y, c.y_before, c.count[3] * sizeof *one);
            isas[k]->attention(&threads, &c.a);
            assert_memory_equal(one, c.a.y, c.count[3] * sizeof *one);
        }
        free(one);
        release(&c);
    }
}

int main(void)
{
    find_isas();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_tails), cmocka_unit_test(test_decode), cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_combinations), cmocka_unit_test(test_forbidden_rows),
        cmocka_unit_test(test_low_bias_beside_large_scores), cmocka_unit_test(test_nan_below_a_low_bias_is_kept),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_nan_is_kept), cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_threads_do_not_change_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
