/* Symbolic integers against arithmetic: every expression, simplified however it may be, must have the value
 * that plain integers give, lie in its proved bounds, and read back from its print. Fixed cases pin the
 * normal forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/ir.h"

enum { SYMBOLS = 4, TRIALS = 4000, DRAWS = 6 };

static const char *const NAME[SYMBOLS] = {"a", "b", "past", "seq"};

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

/* --- random expressions --------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    int64_t value[SYMBOLS];
} Draw;

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

enum { MOST_STEPS = 12 };

/* A program in postfix: -1 .. -SYMBOLS push a symbol, 0 .. 6 are operators, 100 + n push the number n - 8. */
typedef struct {
    int32_t step[MOST_STEPS];
    uint32_t n;
} Program;

static Program random_program(uint64_t *seed)
{
    Program p = {.n = 0};
    uint32_t height = 0;
    while (p.n < MOST_STEPS) {
        bool push = height < 2 || (next(seed) % 2 == 0 && height + p.n + 1 < MOST_STEPS);
        if (height == 1 && p.n + 2 > MOST_STEPS)
            break;
        if (push)
            p.step[p.n++] =
                next(seed) % 3 ? -1 - (int32_t)(next(seed) % SYMBOLS) : 100 + (int32_t)(next(seed) % 17);
        else
            p.step[p.n++] = (int32_t)(next(seed) % 7);
        height += push ? 1 : (uint32_t)-1;
    }
    while (height > 1) { /* close what is open */
        p.n = p.n < MOST_STEPS ? p.n : MOST_STEPS - 1;
        p.step[p.n++] = 0;
        height--;
        if (p.n == MOST_STEPS)
            break;
    }
    return p;
}

static TgDim apply_dim(Tg *tg, int32_t op, TgDim a, TgDim b)
{
    static TgDim (*const OP[])(Tg *, TgDim, TgDim) = {tg_dim_add, tg_dim_sub, tg_dim_mul, tg_dim_div,
                                                      tg_dim_mod, tg_dim_min, tg_dim_max};
    return OP
    [op](tg, a, b);
}

static int64_t apply_number(int32_t op, int64_t a, int64_t b, bool *undefined)
{
    *undefined |= (op == 3 || op == 4) && b == 0;
    if (*undefined)
        return 0;
    switch (op) {
    case 0: return a + b;
    case 1: return a - b;
    case 2: return a * b;
    case 3: return floor_div(a, b);
    case 4: return a - floor_div(a, b) * b;
    case 5: return a < b ? a : b;
    default: return a > b ? a : b;
    }
}

/* Runs the program on symbols and on numbers side by side; false: the numbers have no value. */
static bool run(Tg *tg, const Program *p, const int64_t *value, TgDim *dim, int64_t *number)
{
    TgDim d[MOST_STEPS + 1];
    int64_t n[MOST_STEPS + 1];
    uint32_t height = 0;
    bool undefined = false;
    for (uint32_t i = 0; i < p->n; i++) {
        int32_t s = p->step[i];
        if (s < 0) {
            d[height] = tg_dim_symbol(tg, NAME[-1 - s]);
            n[height++] = value[-1 - s];
        } else if (s >= 100) {
            d[height] = tg_dim(tg, s - 108);
            n[height++] = s - 108;
        } else if (height >= 2) {
            height--;
            d[height - 1] = apply_dim(tg, s, d[height - 1], d[height]);
            n[height - 1] = apply_number(s, n[height - 1], n[height], &undefined);
        }
    }
    *dim = d[0];
    *number = n[0];
    return !undefined;
}

static bool look_up(void *user, TgDim symbol, int64_t *n)
{
    const Draw *draw = user;
    for (uint32_t i = 0; i < SYMBOLS; i++)
        if (symbol == tg_dim_symbol(draw->tg, NAME[i])) {
            *n = draw->value[i];
            return true;
        }
    return false;
}

static void draw_values(Tg *tg, uint64_t *seed, Draw *draw)
{
    draw->tg = tg;
    for (uint32_t i = 0; i < SYMBOLS; i++)
        draw->value[i] = (int64_t)(next(seed) % 10);
}

static void test_values_bounds_and_text(void **state)
{
    Tg *tg = *state;
    uint64_t seed = 88172645463325252u;
    uint32_t compared = 0;
    for (uint32_t t = 0; t < TRIALS; t++) {
        Program p = random_program(&seed);
        for (uint32_t k = 0; k < DRAWS; k++) {
            Draw draw;
            TgDim d;
            int64_t want, have;
            draw_values(tg, &seed, &draw);
            if (!run(tg, &p, draw.value, &d, &want) || !tg_dim_eval(d, look_up, &draw, &have))
                continue;
            if (want != have)
                fail_msg("%s is %lld, not %lld", tg_dim_text(tg, d), (long long)want, (long long)have);
            assert_true(tg_dim_lower(d) <= want && want <= tg_dim_upper(d));
            if (tg_dim_parse(tg, tg_dim_text(tg, d)) != d)
                fail_msg("%s does not read back", tg_dim_text(tg, d));
            compared++;
        }
    }
    assert_true(compared > TRIALS); /* most draws have a value */
}

/* What is proved of two expressions holds for every draw. */
static void test_proofs(void **state)
{
    Tg *tg = *state;
    uint64_t seed = 1234567891011u;
    uint32_t proofs = 0;
    for (uint32_t t = 0; t < TRIALS; t++) {
        Program p = random_program(&seed), q = random_program(&seed);
        Draw draw;
        TgDim a, b;
        int64_t x, y;
        for (uint32_t k = 0; k < DRAWS; k++) {
            draw_values(tg, &seed, &draw);
            bool defined = run(tg, &p, draw.value, &a, &x);
            if (!run(tg, &q, draw.value, &b, &y) || !defined)
                continue;
            bool least = tg_dim_at_least(tg, a, b), never = tg_dim_never_equal(tg, a, b);
            if ((least && x < y) || (never && x == y) || (a == b && x != y))
                fail_msg("%s against %s: %lld, %lld", tg_dim_text(tg, a), tg_dim_text(tg, b), (long long)x,
                         (long long)y);
            proofs += least || never;
        }
    }
    assert_true(proofs > TRIALS / 4);
}

typedef struct {
    Tg *tg;
    int64_t shift;
} Shift;

static TgDim shifted(void *user, TgDim symbol)
{
    const Shift *s = user;
    return symbol == tg_dim_symbol(s->tg, "a") ? tg_dim_add(s->tg, symbol, tg_dim(s->tg, s->shift)) : NULL;
}

/* Replacing a by a + 3 and evaluating is evaluating with a larger by 3. */
static void test_substitution(void **state)
{
    Tg *tg = *state;
    uint64_t seed = 4242424242u;
    for (uint32_t t = 0; t < TRIALS; t++) {
        Program p = random_program(&seed);
        Draw draw;
        TgDim d;
        int64_t want, have;
        Shift shift = {tg, 3};
        draw_values(tg, &seed, &draw);
        draw.value[0] += 3;
        if (!run(tg, &p, draw.value, &d, &want))
            continue;
        draw.value[0] -= 3;
        TgDim e = tg_dim_substitute(tg, d, shifted, &shift);
        if (tg_dim_eval(e, look_up, &draw, &have))
            assert_int_equal(have, want);
    }
}

/* --- normal forms --------------------------------------------------------------------------------------- */

static void test_normal_forms(void **state)
{
    static const char *const FORM[][2] = {
        {"sequence + past", "past + sequence"},
        {"(2*s)//2", "s"},
        {"(4*s + 2)//4", "s"},
        {"(s*t + t)//t", "s + 1"},
        {"s//2//3", "s//6"},
        {"(a + b)*(a - b)//(a + b)", "a - b"},
        {"ceildiv(4*s, 4)", "s"},
        {"(n - 1)//2 + 1", "(n + 1)//2"},
        {"mod(2*s + 5, 2)", "1"},
        {"mod(8*s + t, 8)", "mod(t, 8)"},
        {"min(past + s, past + 1)", "past + min(s, 1)"},
        {"max(0, s)", "s"},
        {"max(s, s - min(s, 4))", "s"},
        {"min(s//2*2, s)", "2*(s//2)"},
        {"min(a, min(b, a))", "min(a, b)"},
        {"bcast(s, 1, t, s)", "bcast(s, t)"},
        {"bcast(s, 7)", "7"},
        {"bcast(1, 1)", "1"},
        {"3*s//(2*s)", "1"},
        {"8", "8"},
        {"-s + 8", "-s + 8"},
        {"s**2*t", "s*s*t"},
        {"FloorDiv(s, 2)", "s//2"},
        {"Max(1, s)", "max(s, 1)"},
        {"-9223372036854775808", "-9223372036854775808"},
        /* names */
        {"batch-size", "batch-size"},
        {"Squeeze/model/Squeeze_output_0_dim_0", "Squeeze/model/Squeeze_output_0_dim_0"},
        {"a / b", "a//b"},
        {"a//b", "a//b"},
        {"odd name!", "odd name!"},
        {"'odd name!' + 1", "'odd name!' + 1"},
        {"past_key.0.size", "past_key.0.size"},
        {"a + b*", "a + b*"},
        {"'it''s'", "it's"},
        {"((((x))))", "x"},
        {"99999999999999999999", "99999999999999999999"},
    };
    Tg *tg = *state;
    for (size_t i = 0; i < sizeof FORM / sizeof FORM[0]; i++) {
        TgDim d = tg_dim_parse(tg, FORM[i][0]);
        assert_string_equal(tg_dim_text(tg, d), FORM[i][1]);
        assert_ptr_equal(tg_dim_parse(tg, FORM[i][1]), d);
    }
}

static void test_hostile_text(void **state)
{
    Tg *tg = *state;
    char deep[4001];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    assert_true(tg_dim_is_symbol(tg_dim_parse(tg, deep)));
    deep[500] = 0;
    assert_true(tg_dim_is_symbol(tg_dim_parse(tg, deep)));
    memset(deep, '-', 400);
    deep[400] = 0;
    assert_true(tg_dim_is_symbol(tg_dim_parse(tg, deep)));
}

static void test_unknown_sizes(void **state)
{
    Tg *tg = *state;
    TgDim fresh = tg_dim_fresh(tg), any = tg_dim_fresh_any(tg);
    assert_ptr_not_equal(fresh, tg_dim_fresh(tg));
    assert_ptr_equal(tg_dim_parse(tg, tg_dim_text(tg, fresh)), fresh);
    assert_ptr_equal(tg_dim_parse(tg, tg_dim_text(tg, any)), any);
    assert_true(tg_dim_is_fresh(tg_dim_add(tg, fresh, tg_dim_symbol(tg, "s"))));
    assert_false(tg_dim_is_fresh(tg_dim_symbol(tg, "s")));
    assert_int_equal(tg_dim_lower(fresh), 0);
    assert_int_equal(tg_dim_lower(any), INT64_MIN);
    /* what overflows is unknown, and never negative where it cannot be */
    TgDim huge = tg_dim_mul(tg, tg_dim(tg, INT64_MAX), tg_dim_symbol(tg, "s"));
    TgDim more = tg_dim_mul(tg, huge, tg_dim(tg, 3));
    assert_true(tg_dim_is_symbol(more) && tg_dim_is_fresh(more) && tg_dim_lower(more) == 0);
    assert_true(tg_dim_is_fresh(tg_dim_div(tg, fresh, tg_dim(tg, 0))));
}

/* A long chain stays bounded: it ends in a symbol of its own, not in an ever larger term. */
static bool most_is_8(void *user, TgDim symbol, int64_t *n)
{
    (void)user;
    (void)symbol;
    return *n = 8, true;
}

/* Differences and quotients are largest where something is smallest. */
static void test_most(void **state)
{
    static const struct {
        const char *text;
        int64_t most;
    } CASE[] = {{"a + b", 16}, {"a - b", 8}, {"20 // (a * b)", 20}, {"(a - 1) // 2", 3}, {"7", 7}};
    for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
        int64_t most = -1;
        assert_true(tg_dim_most(tg_dim_parse(*state, CASE[i].text), most_is_8, NULL, &most));
        assert_int_equal(most, CASE[i].most);
    }
}

static bool most_is_8_or_100(void *user, TgDim symbol, int64_t *n)
{
    return *n = symbol == user ? 8 : 100, true;
}

/* A broadcast of sizes with different bounds had none: at that corner they do not fit. */
static void sizes_of_a_corner_need_not_broadcast(void **state)
{
    TgDim a = tg_dim_symbol(*state, "a");
    int64_t most = -1;
    assert_true(tg_dim_most(tg_dim_parse(*state, "3 * bcast(a, b)"), most_is_8_or_100, (void *)(uintptr_t)a, &most));
    assert_int_equal(most, 300);
}

static void test_bounded_growth(void **state)
{
    Tg *tg = *state;
    TgDim d = tg_dim_symbol(tg, "n");
    for (uint32_t i = 0; i < 2000; i++)
        d = tg_dim_max(tg, tg_dim_sub(tg, tg_dim_div(tg, tg_dim_mul(tg, d, d), tg_dim(tg, 3)), tg_dim(tg, 7)),
                       tg_dim(tg, 1));
    assert_true(strlen(tg_dim_text(tg, d)) < 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_bounds_and_text, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_proofs, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_substitution, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_normal_forms, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_hostile_text, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_unknown_sizes, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_most, open_context, close_context),
        cmocka_unit_test_setup_teardown(sizes_of_a_corner_need_not_broadcast, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_bounded_growth, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
