/* Certificates written anew: each field of a line is changed, and all hashes of the chain are made again, so that
 * only what the line says can give it away. (Changes that leave the chain broken: tests/cli.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ir/ir.h"
#include "ir/trace.h"

static int setup(void **state)
{
    return (*state = tg_open(NULL)) == NULL;
}
static int teardown(void **state)
{
    return tg_close(*state), 0;
}

static TgModel *model(Tg *tg, const char *text)
{
    TgModel *m = tg_parse(tg, "m.tg", text, strlen(text));
    assert_non_null(m);
    return m;
}

#define PROVED_BEFORE "graph @r(%a: f32[2,3], %b: f32[2,3]) {\n  return Add(%a, %b) as \"y\"\n}\n"
#define PROVED_AFTER  "graph @r(%a: f32[2,3], %b: f32[2,3]) {\n  return Add(%b, %a) as \"y\"\n}\n"
/* Max is an order of residues: only floats vouch. */
#define FLOATS_BEFORE "graph @r(%a: f32[2,3]) {\n  return Relu(Relu(%a)) as \"y\"\n}\n"
#define FLOATS_AFTER  "graph @r(%a: f32[2,3]) {\n  return Relu(%a) as \"y\"\n}\n"

/* A trace of two steps. */
static TgText write(Tg *tg, const TgModel *source, const TgModel *result)
{
    static const TgBinding two[] = {{"a", "first"}, {"b", "the weight of \"b\""}}, one[] = {{"a", ""}};
    TgReplacement proved = {.proved = true, .bound = -121, .before = PROVED_BEFORE, .after = PROVED_AFTER,
                            .binding = two, .n_bindings = 2};
    TgReplacement floats = {.before = FLOATS_BEFORE, .after = FLOATS_AFTER, .binding = one, .n_bindings = 1};
    TgTrace t;
    tg_trace_begin(&t, tg_forever(tg), tg_model_hash(source), 1, "test");
    tg_trace_step(&t, &(TgTraceStep){1, "rewrite", "commute", "here", "Add(a, b) -> Add(b, a)", &proved});
    tg_trace_step(&t, &(TgTraceStep){2, "activation", "relu-twice", "there", "", &floats});
    tg_trace_end(&t, tg_model_hash(result));
    return t.text;
}

/* The lines again, each with the hash that it must have. */
static TgText sealed(Tg *tg, const char *lines)
{
    TgText text;
    uint64_t chain = 0;
    tg_text_init(&text, tg_forever(tg));
    for (const char *at = lines, *end; (end = strchr(at, '\n')); at = end + 1) {
        const char *seal = strstr(at, ",\"chain\":");
        assert_true(seal && seal < end);
        chain = tg_hash(at, (size_t)(seal - at), chain);
        tg_text_add_n(&text, at, (size_t)(seal - at));
        tg_text_format(&text, ",\"chain\":\"%016llx\"}\n", (unsigned long long)chain);
    }
    return text;
}

static TgReplay replay(Tg *tg, TgText trace, const TgModel *source, const TgModel *result)
{
    TgReplay r;
    assert_true(tg_trace_replay(tg, "t.trace", trace.at, trace.n, source, result, &r));
    assert_int_equal(tg_diag_count(tg), 0);
    return r;
}

/* `from`, once, becomes `to`. */
static TgText forged(Tg *tg, const char *lines, const char *from, const char *to)
{
    const char *at = strstr(lines, from);
    if (!at)
        fail_msg("no %s in the trace", from);
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_add_n(&text, lines, (size_t)(at - lines));
    tg_text_add(&text, to);
    tg_text_add(&text, at + strlen(from));
    return sealed(tg, text.at);
}

static void forged_lines_do_not_hold(void **state)
{
    static const char *const changes[][2] = {
        {"tgopt.trace/2", "tgopt.trace/1"},
        {"\"source\":\"", "\"source\":\"0"},
        {"\"step\":2", "\"step\":3"},
        {"\"pass\":\"rewrite\"", "\"pass\":\"fold\""},
        {"\"rule\":\"commute\"", "\"rule\":\"other\""},
        {"Add(a, b) -> Add(b, a)", "Add(a, b) -> Sub(b, a)"},
        {"\"rule_text\":\"\"", "\"rule_text\":\"Relu(Relu(x)) -> Relu(x)\""},
        {"[\"a\",\"first\"],", ""},
        {"[\"a\",\"first\"]", "[\"c\",\"first\"]"},
        {"[\"a\",\"first\"]", "[\"b\",\"first\"]"},
        {"[\"a\",\"\"]", "[\"a\",\"\"],[\"b\",\"\"]"},
        {"-121.0", "-1000.0"},
        {"-121.0", "-121.0e3"},
        {"-121.0", "5"},
        {"\"proved\":false,\"bound_log2\":0.0", "\"proved\":true,\"bound_log2\":-40.0"},
        {"\"proved\":false,\"bound_log2\":0.0", "\"proved\":true,\"bound_log2\":0.0"},
        {"\"proved\":false,\"bound_log2\":0.0", "\"proved\":false,\"bound_log2\":-1.0"},
        {"Add(%b, %a)", "Add(%b, %b)"},
        {"Add(%b, %a)", "Sub(%b, %a)"},
        {"return Relu(%a)", "return %a"},
        {"\"here\"", "\"here\\u0000\""},
        {"\"steps\":2", "\"steps\":1"},
        {"\"result\":\"", "\"result\":\"0"},
    };
    Tg *tg = *state;
    TgModel *source = model(tg, "graph @s(%x: f32[2]) { return Neg(%x) }"), *result = source;
    TgText whole = write(tg, source, result);
    TgReplay r = replay(tg, whole, source, result);
    if (r.verdict != TG_EQUAL)
        fail_msg("%s", r.why);
    assert_int_equal(r.steps, 2);
    assert_int_equal(r.checked, 2);
    assert_string_equal(sealed(tg, whole.at).at, whole.at);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        r = replay(tg, forged(tg, whole.at, changes[i][0], changes[i][1]), source, result);
        if (r.verdict == TG_EQUAL || !r.why)
            fail_msg("%s became %s, and the trace holds", changes[i][0], changes[i][1]);
    }
}

/* Any one byte, the chain as it was. */
static void no_byte_may_change(void **state)
{
    Tg *tg = *state;
    TgModel *source = model(tg, "graph @s(%x: f32[2]) { return Neg(%x) }");
    TgText whole = write(tg, source, source);
    for (size_t i = 0; i + 1 < whole.n; i++) {
        char was = whole.at[i];
        for (int k = 0; k < 3; k++) {
            whole.at[i] = k == 0 ? (char)(was ^ 1) : k == 1 ? ' ' : '"';
            if (whole.at[i] != was && replay(tg, whole, source, source).verdict == TG_EQUAL)
                fail_msg("byte %zu became '%c'", i, whole.at[i]);
        }
        whole.at[i] = was;
    }
    assert_int_equal(replay(tg, whole, source, source).verdict, TG_EQUAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(forged_lines_do_not_hold), TEST(no_byte_may_change)};
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
