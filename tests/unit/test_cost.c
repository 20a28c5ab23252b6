/* Costs against closed forms: products count 2 m n k, weights count once, definitions and subgraphs are
 * summed up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/ir.h"

static int open_context(void **state)
{
    *state = tg_open(NULL);
    return *state == NULL;
}

static int close_context(void **state)
{
    tg_close(*state);
    return 0;
}

static TgModel *parse(Tg *tg, const char *text)
{
    TgModel *m = tg_parse(tg, "test", text, strlen(text));
    if (!m)
        fail_msg("%s: %s", text, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    return m;
}

enum { SIZE = 10 }; /* what a symbol counts as */

static void test_nodes(void **state)
{
    static const struct {
        const char *graph;
        double flops, bytes, launches;
    } ROW[] = {
        {"graph @t(%x: f32[B,3,4], %w: f32[4,5]) { return MatMul(%x, %w) }", 2 * SIZE * 3 * 5 * 4,
         4 * (SIZE * 3 * 4 + 4 * 5 + SIZE * 3 * 5), 1},
        {"graph @t(%x: f16[4,3], %w: f16[5,4]) { return Gemm(%x, %w; transA=1, transB=1) }", 2 * 3 * 5 * 4,
         2 * (12 + 20 + 15), 1},
        {"graph @t(%x: f32[2,3,4], %y: f32[2,5,4]) { return Einsum(%x, %y; equation=\"bik,bjk->bij\") }",
         2 * 2 * 3 * 4 * 5, 4 * (24 + 40 + 30), 1},
        {"graph @t(%x: f32[1,6,10], %w: f32[8,3,3]) { return Conv(%x, %w; group=2) }", 2 * 8 * 8 * 3 * 3,
         4 * (60 + 72 + 64), 1},
        {"graph @t(%x: f32[S,2]) { return Add(%x, %x) }", SIZE * 2, 4 * 3 * SIZE * 2, 1},
        {"graph @t(%x: f32[S,2]) { return ReduceSum(%x) }", SIZE * 2, 4 * (SIZE * 2 + 1), 1},
        {"graph @t(%x: f32[S,2]) { return Reshape(%x, const i64[1] {-1}) }", 0, 0, 0},
        {"graph @t(%x: f32[S,2]) { return Shape(%x) }", 0, 0, 0},
        /* what is picked counts, not what is picked from */
        {"graph @t(%x: f32[1000,8]) { return Gather(%x, const i64[2] {3,4}) }", 0, 4 * 2 * 16, 1},
        {"graph @t(%x: i4[S,2]) { return Transpose(%x) }", 0, 2 * SIZE, 1},
    };
    Tg *tg = *state;
    for (size_t i = 0; i < sizeof ROW / sizeof ROW[0]; i++) {
        TgCost c = tg_graph_cost(parse(tg, ROW[i].graph)->graph, SIZE);
        if (c.flops != ROW[i].flops || c.bytes != ROW[i].bytes || c.launches != ROW[i].launches)
            fail_msg("%s: %g operations, %g bytes, %g launches", ROW[i].graph, c.flops, c.bytes, c.launches);
    }
}

/* A composite costs what its definition costs; attention is dominated by its two products of 2 B H S T D
 * each. */
static void test_definitions(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse(tg, "graph @t(%q: f32[2,4,32,64], %k: f32[2,4,128,64], %v: f32[2,4,128,64]) {"
                           " return Attention(%q, %k, %v) }");
    double products = 2.0 * 2 * 2 * 4 * 32 * 128 * 64;
    TgCost c = tg_graph_cost(m->graph, SIZE);
    assert_true(c.flops > products && c.flops < 1.4 * products);
    assert_true(c.bytes == 4.0 * (2 * 4 * 64) * (32 + 128 + 128 + 32) && c.launches == 1);
    uint32_t said = tg_diag_count(tg);
    assert_int_equal(said, 0);
}

static void test_subgraphs(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse(tg, "graph @t(%c: bool[], %x: f32[S]) { return If(%c; then_branch={ return Neg(%x) },"
                           " else_branch={ return Neg(Neg(%x)) }) }");
    assert_true(tg_graph_cost(m->graph, SIZE).flops == 2 * SIZE);
    m = parse(
        tg,
        "graph @t(%x: f32[S]) { return Loop(const i64[] 7, const bool[] 1, %x; body=(%i: i64[], %c: bool[],"
        " %s: f32[S]) { return %c, Neg(%s) }) }");
    assert_true(tg_graph_cost(m->graph, SIZE).flops == 7 * SIZE);
}

static void test_constants(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse(
        tg,
        "graph @t(%c: bool[], %x: f32[4]) {\n %w = const f32[4] {1,2,3,4}\n %dead = const f32[9] splat(0)\n"
        " %y = Add(%x, %w)\n %z = Mul(%y, %w)\n"
        " return If(%c; then_branch={ return Add(%z, const f32[4] {5,6,7,8}) },"
        " else_branch={ return Add(%z, %w) }) }");
    assert_true(tg_graph_const_bytes(m->graph) == 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nodes, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_definitions, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_subgraphs, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_constants, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
