/* tgk_copy and tgk_run_loop against plain loops over indices: every element arrives, nothing else is touched,
 * whatever the order in which tasks run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend_c/kernels/copy.h"
#include "backend_c/kernels/loop.h"

enum { ROOM = 1 << 20 };

static uint64_t state_of_random = 1;
static int64_t tasks;

static int64_t below(int64_t n)
{
    state_of_random = state_of_random * 6364136223846793005U + 1442695040888963407U;
    return (int64_t)(state_of_random >> 33) % n;
}

static void backwards(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n)
{
    (void)pool;
    tasks += n;
    while (n > 0)
        task(arg, --n);
}

static const tgk_ctx CONTEXT = {.parallel_for = backwards};

/* Strides of a permuted array with room between its rows; the elements that it spans. */
static int64_t make_strides(int32_t rank, const int64_t *dim, int64_t *stride, bool repeats)
{
    int32_t order[TGK_RANK] = {0};
    int64_t span = 1;
    for (int32_t i = 0; i < rank; i++) {
        int32_t k = (int32_t)below(i + 1);
        order[i] = order[k];
        order[k] = i;
    }
    for (int32_t i = 0; i < rank; i++) {
        bool repeat = repeats && below(6) == 0;
        stride[order[i]] = repeat ? 0 : span;
        span = repeat ? span : span * dim[order[i]] + (below(3) == 0 ? below(4) : 0);
    }
    return span;
}

static void copy_plainly(const tgk_move *m, unsigned char *to)
{
    int64_t count = 1;
    for (int32_t a = 0; a < m->rank; a++)
        count *= m->dim[a];
    for (int64_t i = 0; i < count; i++) {
        int64_t rest = i, from = 0, target = 0;
        for (int32_t a = m->rank - 1; a >= 0; a--) {
            from += rest % m->dim[a] * m->from_stride[a];
            target += rest % m->dim[a] * m->to_stride[a];
            rest /= m->dim[a];
        }
        memcpy(to + target * m->size, (const unsigned char *)m->from + from * m->size, (size_t)m->size);
    }
}

static void check_copy(tgk_move m, int64_t from_span, int64_t to_span)
{
    size_t n_from = (size_t)(from_span * m.size), n_to = (size_t)(to_span * m.size);
    unsigned char *from = malloc(n_from + 1), *to = malloc(n_to + 1), *want = malloc(n_to + 1);
    for (size_t i = 0; i < n_from; i++)
        from[i] = (unsigned char)below(256);
    memset(to, 7, n_to);
    memset(want, 7, n_to);
    m.from = from;
    m.to = to;
    copy_plainly(&m, want);
    tgk_copy(&CONTEXT, &m);
    assert_memory_equal(to, want, n_to);
    free(from);
    free(to);
    free(want);
}

static void test_random_copies(void **state)
{
    static const int32_t SIZE[] = {1, 2, 4, 8, 16};
    (void)state;
    for (int round = 0; round < 3000; round++) {
        tgk_move m = {.rank = (int32_t)below(6), .size = SIZE[below(5)]};
        for (int32_t a = 0; a < m.rank; a++)
            m.dim[a] = below(8) == 0 ? 1 : 1 + below(m.rank > 3 ? 7 : 40);
        int64_t from_span = make_strides(m.rank, m.dim, m.from_stride, true);
        int64_t to_span = make_strides(m.rank, m.dim, m.to_stride, false);
        if (from_span < ROOM && to_span < ROOM)
            check_copy(m, from_span, to_span);
    }
}

static void test_long_copies(void **state)
{
    (void)state;
    check_copy((tgk_move){1, 4, {100003}, {1}, {1}, NULL, NULL}, 100003, 100003);
    check_copy((tgk_move){1, 4, {100003}, {0}, {1}, NULL, NULL}, 1, 100003);
    check_copy((tgk_move){1, 8, {70001}, {2}, {1}, NULL, NULL}, 140002, 70001);
    tasks = 0;
    check_copy((tgk_move){2, 4, {301, 517}, {1, 301}, {517, 1}, NULL, NULL}, 301 * 517, 301 * 517);
    assert_true(tasks > 1);
}

static void test_no_copy(void **state)
{
    (void)state;
    int32_t x[4] = {1, 2, 3, 4};
    tgk_move m = {1, 4, {4}, {1}, {1}, x, x};
    tgk_copy(&CONTEXT, &m);
    m = (tgk_move){2, 4, {4, 0}, {1, 1}, {1, 1}, NULL, NULL};
    tgk_copy(&CONTEXT, &m);
    assert_int_equal(x[3], 4);
}

/* Two entries of one head, rows of one element: 1 and 2 rows in front, two new ones. */
static tgk_append_args cache(const float *past, const float *fresh, float *to, int64_t room, const int64_t *first)
{
    return (tgk_append_args){.batch = 2,
                             .heads = 1,
                             .past = 3,
                             .rows = 2,
                             .room = room,
                             .width = 4,
                             .from = past,
                             .fresh = fresh,
                             .to = to,
                             .from_stride = {20, 20, 4},
                             .fresh_stride = {4, 0, 8},
                             .to_stride = {20, 20, 4},
                             .first = first};
}

static void test_rows_of_a_cache(void **state)
{
    (void)state;
    const int64_t first[2] = {1, 2};
    const float fresh[4] = {10, 30, 20, 40}, want[10] = {1, 10, 20, 0, -1, 5, 6, 30, 40, -1};
    float past[10] = {1, 2, 3, 7, 8, 5, 6, 7, 7, 8}, to[10] = {9, 9, 9, 9, -1, 9, 9, 9, 9, -1};
    tgk_append_args a = cache(past, fresh, to, 4, first);
    assert_int_equal(tgk_append(&CONTEXT, &a), TGK_OK);
    assert_memory_equal(to, want, sizeof to); /* past, rows, zeros; nothing behind */

    const float shared[10] = {1, 10, 20, 7, 8, 5, 6, 30, 40, 8};
    a = cache(past, fresh, past, 4, first);
    a.shared = 1;
    assert_int_equal(tgk_append(&CONTEXT, &a), TGK_OK);
    assert_memory_equal(past, shared, sizeof past);

    const float grown[10] = {1, 10, 20, 0, 8, 5, 6, 30, 40, 8};
    a.shared = 0;
    assert_int_equal(tgk_append(&CONTEXT, &a), TGK_OK);
    assert_memory_equal(past, grown, sizeof past);
}

static void test_rows_outside_of_a_cache(void **state)
{
    (void)state;
    const int64_t wrong[][2] = {{0, -1}, {0, 3}, {4, 0}, {INT64_MAX, 0}, {INT64_MIN, 0}};
    const float fresh[4] = {10, 30, 20, 40};
    float past[10] = {0}, to[10] = {0}, zeros[10] = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tgk_append_args a = cache(past, fresh, to, 4, wrong[i]);
        assert_int_equal(tgk_append(&CONTEXT, &a), TGK_BAD_INDEX);
        assert_memory_equal(to, zeros, sizeof to);
    }
}

static void add_one(const tgk_loop *l, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    for (int64_t r = row; r < row + rows; r++) {
        int32_t *p = (int32_t *)l->operand[0].at + tgk_row(l, 0, r);
        for (int64_t i = col; i < col + cols; i++)
            p[i * l->operand[0].stride[l->rank - 1]]++;
    }
}

static void check_loop(int32_t rank, const int64_t *dim)
{
    tgk_loop l = {.rank = rank};
    int64_t count = 1;
    for (int32_t a = rank - 1; a >= 0; a--) {
        l.dim[a] = dim[a];
        l.operand[0].stride[a] = count;
        count *= dim[a];
    }
    int32_t *x = calloc((size_t)count + 1, sizeof *x);
    l.operand[0].at = x;
    tgk_run_loop(&CONTEXT, add_one, &l);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(x[i], 1);
    free(x);
}

static void test_loops(void **state)
{
    (void)state;
    check_loop(1, (int64_t[]){1});
    check_loop(1, (int64_t[]){100001});
    check_loop(2, (int64_t[]){5, 40000});
    check_loop(2, (int64_t[]){40000, 3});
    check_loop(3, (int64_t[]){7, 11, 500});
    check_loop(3, (int64_t[]){7, 0, 500});
    check_loop(2, (int64_t[]){7, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_copies),
        cmocka_unit_test(test_long_copies),
        cmocka_unit_test(test_no_copy),
        cmocka_unit_test(test_rows_of_a_cache),
        cmocka_unit_test(test_rows_outside_of_a_cache),
        cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
