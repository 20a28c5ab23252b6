/* Delta debugging: what is left is minimal, sound, and the same every time; limits and refusals are
 * respected. What is looked for is known, so the smallest model that shows it can be written down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "passes/passes.h"

static int setup(void **state)
{
    return (*state = tg_open(NULL)) == NULL;
}
static int teardown(void **state)
{
    return tg_close(*state), 0;
}

/* Looked for: operators in the text form, all of them. */
typedef struct {
    const char *words[3];
    int64_t asked, stop_after;
} Want;

static const char *print(const TgModel *m)
{
    TgText text;
    tg_text_init(&text, tg_forever(m->tg));
    tg_print_model(m, &text);
    return text.at;
}

static TgReduceVerdict shows(void *user, TgModel *candidate)
{
    Want *want = user;
    TgModel *compact = tg_model_clone(candidate); /* as a file would have it */
    bool yes = true;
    assert_true(tg_graph_check(compact->graph));
    const char *text = print(compact);
    for (int i = 0; i < 3 && want->words[i]; i++)
        yes &= strstr(text, want->words[i]) != NULL;
    tg_model_free(compact);
    if (++want->asked == want->stop_after)
        return TG_REDUCE_STOP;
    return yes ? TG_REDUCE_YES : TG_REDUCE_NO;
}

static const char *reduced(Tg *tg, const char *source, Want *want, int64_t max_tries, TgReduceReport *report)
{
    TgReduceOptions options = {.shows = shows, .user = want, .max_tries = max_tries};
    TgModel *m = tg_parse(tg, "t.tg", source, strlen(source));
    assert_non_null(m);
    TgModel *small = tg_reduce(m, &options, report);
    assert_non_null(small);
    const char *text = print(small);
    assert_int_equal(report->tries, want->asked);
    tg_model_free(small);
    return text;
}

static void reduces(Tg *tg, const char *source, Want want, const char *expected)
{
    TgReduceReport report;
    assert_string_equal(reduced(tg, source, &want, 0, &report), expected);
    assert_true(report.minimal);
}

static const char chain[] =
    "graph @g(%x: f32[2,3], %unread: i64[], %z: f32[4]) {\n"
    "  %w = const f32[3,3] {1,2,3, 4,5,6, 7,8,9}\n"
    "  %a = Relu(%x) %b = MatMul(%a, %w) %c = Softmax(%b; axis=0) %d = Exp(%c) %e = Tanh(%z)\n"
    "  return %d, %e }\n";

static void one_node(void **state)
{
    reduces(*state, chain, (Want){.words = {"Softmax("}},
            "graph @g(%b: f32[2,3]) {\n  %c = Softmax(%b; axis=0) : f32[2,3]\n  return %c\n}\n");
}

static void two_nodes_in_a_row(void **state)
{
    reduces(*state, chain, (Want){.words = {"MatMul(", "Exp(%c)", "Softmax"}},
            "graph @g(%a: f32[2,3]) {\n  %w = const f32[3,3] splat(1)\n  %b = MatMul(%a, %w) : f32[2,3]\n"
            "  %c = Softmax(%b; axis=0) : f32[2,3]\n  %d = Exp(%c) : f32[2,3]\n  return %d\n}\n");
}

/* Elements that are looked for stay. */
static void constants(void **state)
{
    reduces(*state, chain, (Want){.words = {"MatMul(", "6, 7"}},
            "graph @g(%a: f32[2,3]) {\n  %w = const f32[3,3] {1, 2, 3, 4, 5, 6, 7, 8, 9}\n"
            "  %b = MatMul(%a, %w) : f32[2,3]\n  return %b\n}\n");
}

/* Nodes of unequal types between those that must stay cannot be bypassed, others are. */
static void bypasses(void **state)
{
    reduces(
        *state, "graph @g(%x: f32[2,3]) { %a = Relu(%x) %b = Neg(%a) %c = Abs(%b) %d = Tanh(%c) return %d }",
        (Want){.words = {"(%x: f32[2,3]) {", "Relu(", "Tanh("}},
        "graph @g(%x: f32[2,3]) {\n  %a = Relu(%x) : f32[2,3]\n  %d = Tanh(%a) : f32[2,3]\n  return %d\n}\n");
}

static const char branches[] =
    "graph @g(%x: f32[2], %c: bool[]) {\n"
    "  %u, %v = If(%c; then_branch={ %p = Exp(%x) %q = Tanh(Neg(%p)) return %p, %q },\n"
    "                  else_branch={ return %x, %x })\n"
    "  return %u, %v }\n";

static void into_a_branch(void **state)
{
    reduces(*state, branches, (Want){.words = {"Tanh("}},
            "graph @g(%value: f32[2]) {\n  %q = Tanh(%value) : f32[2]\n  return %q as \"v\"\n}\n");
}

static void an_if_of_its_own(void **state)
{
    TgReduceReport report;
    Want want = {.words = {"If(", "Tanh("}};
    const char *text = reduced(*state, branches, &want, 0, &report);
    TgModel *m = tg_parse(*state, "r.tg", text, strlen(text));
    assert_non_null(m);
    assert_int_equal(tg_graph_count(m->graph, true), 2);
    assert_int_equal(m->graph->outputs.n, 1);
    assert_true(report.minimal);
}

/* A candidate in which a node cannot run is not even asked about: MatMul of other sizes. */
static void sound_only(void **state)
{
    const char *square = "graph @g(%x: f32[2,2], %n: i64[2]) { %k = const i64[2] {1,4} %y = Reshape(%x, %k)\n"
                         "  %w = const f32[4,5] splat(1) %z = MatMul(%y, %w) return %z }";
    Want want = {.words = {"MatMul(", "Reshape("}};
    TgReduceReport report;
    assert_non_null(strstr(reduced(*state, square, &want, 0, &report), "{1, 4}"));
}

static void limits(void **state)
{
    TgReduceReport report;
    Want few = {.words = {"Softmax("}}, stopped = {.words = {"Softmax("}, .stop_after = 3},
         never = {.words = {"Cos("}};
    reduced(*state, chain, &few, 2, &report);
    assert_int_equal(report.tries, 2);
    assert_false(report.minimal);
    reduced(*state, chain, &stopped, 0, &report);
    assert_int_equal(report.tries, 3);
    assert_false(report.minimal);
    TgModel *m = tg_parse(*state, "t.tg", chain, sizeof chain - 1);
    assert_string_equal(reduced(*state, chain, &never, 0, &report), print(m)); /* not worse than the source */
    assert_int_equal(report.kept, 0);
}

static void deterministic(void **state)
{
    Want a = {.words = {"MatMul(", "Tanh("}}, b = a;
    TgReduceReport first, second;
    const char *text = reduced(*state, chain, &a, 0, &first);
    assert_string_equal(text, reduced(*state, chain, &b, 0, &second));
    assert_int_equal(first.tries, second.tries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_node, setup, teardown),
        cmocka_unit_test_setup_teardown(two_nodes_in_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(constants, setup, teardown),
        cmocka_unit_test_setup_teardown(bypasses, setup, teardown),
        cmocka_unit_test_setup_teardown(into_a_branch, setup, teardown),
        cmocka_unit_test_setup_teardown(an_if_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(sound_only, setup, teardown),
        cmocka_unit_test_setup_teardown(limits, setup, teardown),
        cmocka_unit_test_setup_teardown(deterministic, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
