/* Constants and recipes. What a recipe gives is compared with plain loops over closed forms; what is
 * streamed, read in windows and computed at once must be the same bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ir/ir.h"

typedef struct {
    Tg *tg;
    TgArena *arena;
} Ground;

static int start(void **state)
{
    Ground *g = calloc(1, sizeof *g);
    *state = g;
    g->tg = tg_open(NULL);
    g->arena = tg_arena_new(g->tg);
    return 0;
}

static int stop(void **state)
{
    tg_close(((Ground *)*state)->tg);
    free(*state);
    return 0;
}

#define DIMS(...)                                                                                            \
    (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[])                                             \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

/* Small dyadic numbers: products and sums below are exact in float32, many of them in float16. */
static float pattern(int64_t i)
{
    return (float)((uint64_t)i * 2654435761u % 257) / 8 - 16;
}

static TgTensor *filled(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim)
{
    void *bytes;
    TgTensor *t = tg_tensor_blank(arena, dtype, rank, dim, &bytes);
    for (size_t i = 0; i < t->count; i++)
        tg_store_float(dtype, bytes, i, (double)pattern((int64_t)i));
    return t;
}

/* --- leaves ------------------------------------------------------------------------------------------- */

static void elements_are_read(void **state)
{
    Ground *g = *state;
    TgTensor *f = filled(g->arena, TG_f16, DIMS(3, 5));
    assert_true(tg_tensor_float(g->tg, f, 7) == (double)pattern(7));
    TgTensor *n = tg_tensor_ints(g->arena, 3, (int64_t[]){5, -1, INT64_MAX});
    assert_int_equal(tg_tensor_int(g->tg, n, 1), -1);
    assert_true(tg_tensor_int(g->tg, n, 2) == INT64_MAX);
    assert_true(tg_tensor_float(g->tg, tg_tensor_scalar_float(g->arena, TG_bf16, 1.5), 0) == 1.5);
    float x = 2.5f;
    TgTensor *s = tg_tensor_splat(g->arena, TG_f32, DIMS(1000, 1000), &x);
    assert_true(tg_tensor_float(g->tg, s, 999999) == 2.5);
    assert_int_equal(s->size, 4000000);
    assert_ptr_equal(tg_tensor_type(g->tg, s), tg_type_known(g->tg, TG_f32, DIMS(1000, 1000)));
}

static void splats_are_seen(void **state)
{
    Ground *g = *state;
    double value = 0;
    int16_t x = -3;
    uint8_t nibble = 5, *bytes;
    assert_true(tg_tensor_is_splat(g->tg, tg_tensor_splat(g->arena, TG_i16, DIMS(7), &x), &value) &&
                value == -3);
    TgTensor *dense = tg_tensor_blank(g->arena, TG_f32, DIMS(100), (void **)&bytes);
    assert_true(tg_tensor_is_splat(g->tg, dense, &value) && value == 0);
    bytes[399] = 1;
    assert_false(tg_tensor_is_splat(g->tg, dense, &value));
    TgTensor *packed = tg_tensor_blank(g->arena, TG_u4, DIMS(5), (void **)&bytes);
    memset(bytes, 0x55, 3);
    assert_true(tg_tensor_is_splat(g->tg, packed, &value) && value == 5);
    assert_true(tg_tensor_equal(g->tg, packed, packed));
    bytes[2] = 5; /* the high half of the last byte holds nothing */
    assert_true(tg_tensor_equal(g->tg, packed, tg_tensor_splat(g->arena, TG_u4, DIMS(5), &nibble)));
    assert_false(
        tg_tensor_is_splat(g->tg, tg_tensor_blank(g->arena, TG_f32, DIMS(0), (void **)&bytes), &value));
}

static void equality_does_not_depend_on_the_payload(void **state)
{
    Ground *g = *state;
    float x = 0.75f, *bytes;
    TgTensor *splat = tg_tensor_splat(g->arena, TG_f32, DIMS(300, 100), &x);
    TgTensor *dense = tg_tensor_blank(g->arena, TG_f32, DIMS(300, 100), (void **)&bytes);
    for (size_t i = 0; i < 30000; i++)
        bytes[i] = x;
    assert_true(tg_tensor_equal(g->tg, splat, dense));
    assert_true(tg_tensor_hash(g->tg, splat) == tg_tensor_hash(g->tg, dense));
    bytes[17001] = 0.5f;
    assert_false(tg_tensor_equal(g->tg, splat, dense));
    assert_false(tg_tensor_equal(g->tg, splat, tg_tensor_splat(g->arena, TG_f32, DIMS(100, 300), &x)));
    TgTensor *a = filled(g->arena, TG_f32, DIMS(9, 9)), *b = filled(g->arena, TG_f32, DIMS(9, 9));
    assert_true(tg_tensor_equal(g->tg, a, b) && tg_tensor_hash(g->tg, a) == tg_tensor_hash(g->tg, b));
    static const TgBytes words[] = {{(const uint8_t *)"ab", 2}, {NULL, 0}},
                         other[] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"c", 1}};
    TgTensor *s = tg_tensor_strings(g->arena, DIMS(2), words),
             *t = tg_tensor_strings(g->arena, DIMS(2), other);
    assert_true(tg_tensor_equal(g->tg, s, tg_tensor_strings(g->arena, DIMS(2), words)));
    assert_false(tg_tensor_equal(g->tg, s, t));
}

/* --- recipes ------------------------------------------------------------------------------------------ */

typedef struct {
    uint8_t *at;
    size_t n, cap, largest;
} Collected;

static bool collect(void *user, const void *bytes, size_t n)
{
    Collected *c = user;
    if (n > c->cap - c->n)
        return false;
    memcpy(c->at + c->n, bytes, n);
    c->n += n;
    c->largest = n > c->largest ? n : c->largest;
    return true;
}

/* Streams t and holds it against value(user, flat index), against the whole, and against single elements. */
static void expect(Ground *g, const TgTensor *t, double (*value)(int64_t i, const void *user),
                   const void *user)
{
    assert_non_null(t);
    Collected c = {.at = malloc(t->size + 1), .cap = t->size};
    assert_true(tg_tensor_stream(g->tg, t, collect, &c));
    assert_int_equal(c.n, t->size);
    assert_true(c.largest <= 8 << 20);
    for (size_t i = 0; i < t->count; i++) {
        double got = tg_load_float(t->dtype, c.at, i), want = value((int64_t)i, user);
        if (got != want)
            fail_msg("element %zu is %g, not %g", i, got, want);
    }
    for (size_t i = 0; i < t->count; i += t->count / 7 + 1)
        assert_true(tg_tensor_float(g->tg, t, i) == value((int64_t)i, user));
    TgArena *arena = tg_arena_new(g->tg);
    const TgTensor *whole = tg_tensor_materialize(arena, t);
    assert_non_null(whole);
    assert_int_equal(whole->size, t->size);
    assert_memory_equal(whole->bytes, c.at, t->size);
    tg_arena_free(arena);
    free(c.at);
}

static TgTensor *apply(Ground *g, TgOp op, const TgAttrs *attrs, uint32_t n, ...)
{
    const TgTensor *in[8];
    va_list list;
    va_start(list, n);
    for (uint32_t i = 0; i < n; i++)
        in[i] = va_arg(list, const TgTensor *);
    va_end(list);
    return tg_tensor_recipe(g->arena, (uint16_t)op, attrs, n, in, 0);
}

static const TgAttrs *permutation(Ground *g, int32_t n, const int64_t *axes)
{
    TgAttrBuild build;
    tg_attrs_begin(&build, g->tg);
    tg_attrs_ints(&build, "perm", (uint32_t)n, axes);
    return tg_attrs_end(&build, TG_Transpose);
}

static double transposed(int64_t i, const void *user)
{
    const int64_t *d = user; /* rows and columns of the source */
    return (double)pattern(i % d[0] * d[1] + i / d[0]);
}

static void transposes(void **state)
{
    Ground *g = *state;
    static const int64_t shapes[][2] = {{1500, 1403}, {3, 700000}, {700001, 3}, {1, 5}};
    for (size_t i = 0; i < 4; i++) {
        TgTensor *w = filled(g->arena, TG_f32, 2, shapes[i]);
        expect(g, apply(g, TG_Transpose, NULL, 1, w), transposed, shapes[i]);
    }
    TgTensor *half = filled(g->arena, TG_f16, 2, shapes[0]);
    expect(g, apply(g, TG_Transpose, NULL, 1, half), transposed, shapes[0]);
}

static double permuted(int64_t i, const void *user)
{
    (void)user; /* [4,5,6,7] by perm 2,0,3,1: [6,4,7,5] */
    int64_t d = i % 5, c = i / 5 % 7, b = i / 35 % 4, a = i / 140;
    return (double)pattern(((b * 5 + d) * 6 + a) * 7 + c);
}

static void permutes_four_axes(void **state)
{
    Ground *g = *state;
    const TgAttrs *attrs = permutation(g, DIMS(2, 0, 3, 1));
    expect(g, apply(g, TG_Transpose, attrs, 1, filled(g->arena, TG_f32, DIMS(4, 5, 6, 7))), permuted, NULL);
}

/* Rows in an order that jumps about, each scaled and shifted: what the rotary rewrite makes of a weight. */
enum { ROWS = 1031, COLUMNS = 2053 };

static int64_t jump(int64_t row)
{
    return row * 389 % ROWS;
}

static double scaled_rows(int64_t i, const void *user)
{
    (void)user;
    int64_t row = jump(i / COLUMNS), column = i % COLUMNS;
    return -((double)pattern(row * COLUMNS + column) * (double)pattern(row)) + (double)pattern(column);
}

static void gathers_scaled_rows(void **state)
{
    Ground *g = *state;
    int64_t *order;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(ROWS, COLUMNS));
    TgTensor *index = tg_tensor_blank(g->arena, TG_i64, DIMS(ROWS), (void **)&order);
    for (int64_t i = 0; i < ROWS; i++)
        order[i] = i % 3 ? jump(i) : jump(i) - ROWS; /* from the end, too */
    TgTensor *scaled = apply(g, TG_Mul, NULL, 2, w, filled(g->arena, TG_f32, DIMS(ROWS, 1)));
    TgTensor *rows = apply(g, TG_Gather, NULL, 2, apply(g, TG_Neg, NULL, 1, scaled), index);
    expect(g, apply(g, TG_Add, NULL, 2, rows, filled(g->arena, TG_f32, DIMS(COLUMNS))), scaled_rows, NULL);
}

static double adapted(int64_t i, const void *user)
{
    (void)user;
    int64_t row = i / COLUMNS, column = i % COLUMNS;
    double sum = (double)pattern(2 * row) * (double)pattern(column);
    return sum + (double)pattern(2 * row + 1) * (double)pattern(COLUMNS + column) + (double)pattern(i);
}

static double adapted_and_turned(int64_t i, const void *user)
{
    return adapted(i % ROWS * COLUMNS + i / ROWS, user);
}

/* W + A B, as it stands and transposed: boxes of a product need some rows and some columns. */
static void adds_products(void **state)
{
    Ground *g = *state;
    TgTensor *a = filled(g->arena, TG_f32, DIMS(ROWS, 2)), *b = filled(g->arena, TG_f32, DIMS(2, COLUMNS));
    TgTensor *product = apply(g, TG_MatMul, NULL, 2, a, b);
    TgTensor *sum = apply(g, TG_Add, NULL, 2, filled(g->arena, TG_f32, DIMS(ROWS, COLUMNS)), product);
    expect(g, sum, adapted, NULL);
    expect(g, apply(g, TG_Transpose, NULL, 1, sum), adapted_and_turned, NULL);
}

static double swapped_columns(int64_t i, const void *user)
{
    (void)user;
    return (double)pattern(i / COLUMNS * COLUMNS + (i % COLUMNS + 1000) % COLUMNS);
}

static void gathers_columns(void **state)
{
    Ground *g = *state;
    int64_t *order;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(ROWS, COLUMNS));
    TgTensor *index = tg_tensor_blank(g->arena, TG_i64, DIMS(COLUMNS), (void **)&order);
    for (int64_t i = 0; i < COLUMNS; i++)
        order[i] = (i + 1000) % COLUMNS;
    const TgAttrs *last = tg_attrs(g->tg, TG_Gather, "axis=i", (int64_t)-1);
    expect(g, apply(g, TG_Gather, last, 2, w, index), swapped_columns, NULL);
    TgTensor *a = apply(g, TG_Slice, NULL, 4, w, tg_tensor_ints(g->arena, 1, (int64_t[]){1000}),
                        tg_tensor_ints(g->arena, 1, (int64_t[]){INT64_MAX}),
                        tg_tensor_ints(g->arena, 1, (int64_t[]){1}));
    TgTensor *b =
        apply(g, TG_Slice, NULL, 4, w, tg_tensor_ints(g->arena, 1, (int64_t[]){0}),
              tg_tensor_ints(g->arena, 1, (int64_t[]){1000}), tg_tensor_ints(g->arena, 1, (int64_t[]){-1}));
    const TgAttrs *side = tg_attrs(g->tg, TG_Concat, "axis=i", (int64_t)1);
    expect(g, apply(g, TG_Concat, side, 2, a, b), swapped_columns, NULL);
}

static double stacked(int64_t i, const void *user)
{
    (void)user;
    int64_t n = (int64_t)ROWS * COLUMNS;
    return i < n ? (double)pattern(i) : i < n + COLUMNS ? 0.5 : (double)pattern(i - n - COLUMNS);
}

static void concatenates_rows(void **state)
{
    Ground *g = *state;
    float half = 0.5f;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(ROWS, COLUMNS));
    TgTensor *s = tg_tensor_splat(g->arena, TG_f32, DIMS(1, COLUMNS), &half);
    const TgAttrs *top = tg_attrs(g->tg, TG_Concat, "axis=i", (int64_t)0);
    expect(g, apply(g, TG_Concat, top, 3, w, s, w), stacked, NULL);
}

static double backwards(int64_t i, const void *user)
{
    (void)user; /* [100,30000], rows 95, 92 .. 5 (31 of them), columns 7, 9 .. 29999 (14997) */
    return (double)pattern((95 - 3 * (i / 14997)) * 30000 + 7 + 2 * (i % 14997));
}

static void slices_with_steps(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(100, 30000));
    TgTensor *t = apply(g, TG_Slice, NULL, 5, w, tg_tensor_ints(g->arena, 2, (int64_t[]){-5, 7}),
                        tg_tensor_ints(g->arena, 2, (int64_t[]){2, INT64_MAX}),
                        tg_tensor_ints(g->arena, 2, (int64_t[]){0, 1}),
                        tg_tensor_ints(g->arena, 2, (int64_t[]){-3, 2}));
    assert_int_equal(t->dim[0], 31);
    assert_int_equal(t->dim[1], 14997);
    expect(g, t, backwards, NULL);
}

/* Interleaved pairs to halves within each head, the way a converter of Llama weights does it:
 * [heads * size, columns] -> [heads, size/2, 2, columns] -> swap the inner two -> back. */
enum { HEADS = 13, SIZE = 64, WIDTH = 2500 };

static double halves(int64_t i, const void *user)
{
    (void)user;
    int64_t column = i % WIDTH, row = i / WIDTH, head = row / SIZE, part = row % SIZE / (SIZE / 2);
    int64_t pair = row % (SIZE / 2);
    return 2 * (double)pattern((head * SIZE + 2 * pair + part) * WIDTH + column);
}

static void reshapes_around_a_transpose(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(HEADS * SIZE, WIDTH));
    TgTensor *twice = apply(g, TG_Mul, NULL, 2, w, tg_tensor_scalar_float(g->arena, TG_f32, 2));
    TgTensor *inner = tg_tensor_ints(g->arena, 4, (int64_t[]){HEADS, SIZE / 2, 2, WIDTH});
    TgTensor *flat = tg_tensor_ints(g->arena, 2, (int64_t[]){HEADS * SIZE, WIDTH});
    const TgAttrs *perm = permutation(g, DIMS(0, 2, 1, 3));
    TgTensor *pairs = apply(g, TG_Reshape, NULL, 2, twice, inner);
    TgTensor *swapped = apply(g, TG_Transpose, perm, 1, pairs);
    expect(g, apply(g, TG_Reshape, NULL, 2, swapped, flat), halves, NULL);
}

static double folded(int64_t i, const void *user)
{
    (void)user; /* transpose of [1200,900], read as [900, 40, 30], first two axes exchanged: [40, 900, 30] */
    int64_t c = i % 30, b = i / 30 % 900, a = i / 27000;
    int64_t flat = (b * 40 + a) * 30 + c; /* of [900,1200] */
    return (double)pattern(flat % 1200 * 900 + flat / 1200);
}

static void reshape_splits_axes(void **state)
{
    Ground *g = *state;
    TgTensor *turned = apply(g, TG_Transpose, NULL, 1, filled(g->arena, TG_f32, DIMS(1200, 900)));
    TgTensor *shape = tg_tensor_ints(g->arena, 3, (int64_t[]){900, 40, 30});
    const TgAttrs *perm = permutation(g, DIMS(1, 0, 2));
    expect(g, apply(g, TG_Transpose, perm, 1, apply(g, TG_Reshape, NULL, 2, turned, shape)), folded, NULL);
}

static double regrouped(int64_t i, const void *user)
{
    (void)user; /* [6,10,7] as [4,15,7]: groups that share no axis; then columns 3, 4 */
    return (double)pattern(i / 2 * 7 + 3 + i % 2);
}

static void reshape_regroups_axes(void **state)
{
    Ground *g = *state;
    TgTensor *w = apply(g, TG_Neg, NULL, 1, filled(g->arena, TG_f32, DIMS(6, 10, 7)));
    TgTensor *t = apply(g, TG_Reshape, NULL, 2, apply(g, TG_Neg, NULL, 1, w),
                        tg_tensor_ints(g->arena, 3, (int64_t[]){4, 15, 7}));
    TgTensor *two = tg_tensor_ints(g->arena, 1, (int64_t[]){2});
    expect(g,
           apply(g, TG_Slice, NULL, 4, t, tg_tensor_ints(g->arena, 1, (int64_t[]){3}),
                 tg_tensor_ints(g->arena, 1, (int64_t[]){5}), two),
           regrouped, NULL);
}

static double rounded_sum(int64_t i, const void *user)
{
    (void)user;
    double tenth = tg_round_float(TG_f16, 0.1, false);
    return tg_round_float(TG_f16, (double)pattern(i) + tenth, false);
}

static void rounds_as_the_type_says(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f16, DIMS(1100, 1000));
    expect(g, apply(g, TG_Add, NULL, 2, w, tg_tensor_scalar_float(g->arena, TG_f16, 0.1)), rounded_sum, NULL);
}

static double as_integer(int64_t i, const void *user)
{
    (void)user;
    return trunc((double)pattern(i));
}

static void casts(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(1100, 1000));
    const TgAttrs *to8 = tg_attrs(g->tg, TG_Cast, "to=i", (int64_t)TG_i8);
    expect(g, apply(g, TG_Cast, to8, 1, w), as_integer, NULL);
}

/* --- structure and bounds ----------------------------------------------------------------------------- */

static void views_of_leaves_stay_where_they_are(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(6, 4));
    TgTensor *t = apply(g, TG_Reshape, NULL, 2, w, tg_tensor_ints(g->arena, 3, (int64_t[]){3, -1, 2}));
    assert_int_equal(t->payload, TG_OWNED);
    assert_ptr_equal(t->bytes, w->bytes);
    assert_int_equal(t->rank, 3);
    assert_int_equal(t->dim[1], 4);
}

static void recipes_compare(void **state)
{
    Ground *g = *state;
    TgTensor *w = filled(g->arena, TG_f32, DIMS(200, 300)), *v = filled(g->arena, TG_f32, DIMS(200, 300));
    TgTensor *a = apply(g, TG_Neg, NULL, 1, w), *b = apply(g, TG_Neg, NULL, 1, v),
             *c = apply(g, TG_Abs, NULL, 1, v);
    assert_true(tg_tensor_equal(g->tg, a, b) && tg_tensor_hash(g->tg, a) == tg_tensor_hash(g->tg, b));
    assert_false(tg_tensor_equal(g->tg, a, c));
    TgTensor *small = apply(g, TG_Neg, NULL, 1, apply(g, TG_Neg, NULL, 1, filled(g->arena, TG_f32, DIMS(5))));
    assert_true(tg_tensor_equal(g->tg, small, filled(g->arena, TG_f32, DIMS(5))));
    assert_true(tg_tensor_hash(g->tg, small) == tg_tensor_hash(g->tg, filled(g->arena, TG_f32, DIMS(5))));
}

/* x + x, 200 times over: a tree of 2^200 nodes if nobody looked. */
static void trees_stay_small(void **state)
{
    Ground *g = *state;
    TgTensor *t = tg_tensor_scalar_float(g->arena, TG_f64, 1);
    for (int i = 0; i < 200; i++)
        t = apply(g, TG_Add, NULL, 2, t, t);
    assert_true(tg_tensor_float(g->tg, t, 0) == ldexp(1, 200));
    TgTensor *u = filled(g->arena, TG_f32, DIMS(3));
    for (int i = 0; i < 5000; i++)
        u = apply(g, TG_Neg, NULL, 1, u);
    assert_true(tg_tensor_float(g->tg, u, 2) == (double)pattern(2));
}

static void refuses_what_does_not_fit(void **state)
{
    Ground *g = *state;
    TgTensor *a = filled(g->arena, TG_f32, DIMS(3, 2)), *b = filled(g->arena, TG_f32, DIMS(4, 2));
    assert_null(apply(g, TG_Add, NULL, 2, a, b));
    assert_true(tg_error_count(g->tg) > 0);
}

static bool discard(void *user, const void *bytes, size_t n)
{
    *(size_t *)user += n + (size_t)(((const uint8_t *)bytes)[0] & 0);
    return true;
}

static size_t resident(void)
{
    unsigned long pages = 0, skipped;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_int_equal(fscanf(f, "%lu %lu", &skipped, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* 256 MiB of mapped weights: a product added, scaled, permuted by rows, transposed, merged; memory stays in MiB. */
static void streams_need_little_memory(void **state)
{
    Ground *g = *state;
    char path[] = "/tmp/tgopt-test-XXXXXX";
    int fd = mkstemp(path);
    enum { SIDE = 8192 };
    assert_true(fd >= 0 && ftruncate(fd, (off_t)SIDE * SIDE * 4) == 0);
    const TgFile *file = tg_file_map(g->tg, path);
    close(fd);
    unlink(path);
    int64_t *order;
    TgTensor *w = tg_tensor_mapped(g->arena, TG_f32, DIMS(SIDE, SIDE), file, 0);
    TgTensor *index = tg_tensor_blank(g->arena, TG_i64, DIMS(SIDE), (void **)&order);
    for (int64_t i = 0; i < SIDE; i++)
        order[i] = i * 4099 % SIDE;
    TgTensor *product = apply(g, TG_MatMul, NULL, 2, filled(g->arena, TG_f32, DIMS(SIDE, 1)),
                              filled(g->arena, TG_f32, DIMS(1, SIDE)));
    TgTensor *sum = apply(g, TG_Add, NULL, 2, w, product);
    TgTensor *scaled = apply(g, TG_Mul, NULL, 2, sum, filled(g->arena, TG_f32, DIMS(SIDE)));
    TgTensor *rows = apply(g, TG_Gather, NULL, 2, scaled, index);
    const TgAttrs *side = tg_attrs(g->tg, TG_Concat, "axis=i", (int64_t)1);
    TgTensor *all = apply(g, TG_Concat, side, 2, rows, apply(g, TG_Transpose, NULL, 1, w));
    size_t before = resident(), n = 0;
    assert_true(tg_tensor_stream(g->tg, all, discard, &n));
    assert_int_equal(n, (size_t)SIDE * SIDE * 8);
    assert_true(tg_memory_peak(g->tg) < 64 << 20);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    assert_true(resident() < before + (96 << 20));
#else
    (void)before;
#endif
}

int main(void)
{
#define ON_GROUND(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        ON_GROUND(elements_are_read),
        ON_GROUND(splats_are_seen),
        ON_GROUND(equality_does_not_depend_on_the_payload),
        ON_GROUND(transposes),
        ON_GROUND(permutes_four_axes),
        ON_GROUND(gathers_scaled_rows),
        ON_GROUND(adds_products),
        ON_GROUND(gathers_columns),
        ON_GROUND(concatenates_rows),
        ON_GROUND(slices_with_steps),
        ON_GROUND(reshapes_around_a_transpose),
        ON_GROUND(reshape_splits_axes),
        ON_GROUND(reshape_regroups_axes),
        ON_GROUND(rounds_as_the_type_says),
        ON_GROUND(casts),
        ON_GROUND(views_of_leaves_stay_where_they_are),
        ON_GROUND(recipes_compare),
        ON_GROUND(trees_stay_small),
        ON_GROUND(refuses_what_does_not_fit),
        ON_GROUND(streams_need_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
