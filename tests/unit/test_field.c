/* The finite field: laws that hold there by construction, and 1,000 random graphs of + - * / and MatMul
 * against exact rational arithmetic done here, by another way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ir/ir.h"

static int setup(void **state)
{
    return (*state = tg_open(NULL)) == NULL;
}
static int teardown(void **state)
{
    return tg_close(*state), 0;
}

static void assert_same(TgFelt a, TgFelt b)
{
    assert_int_equal(a.p, b.p);
    assert_int_equal(a.q, b.q);
}

/* --- laws ----------------------------------------------------------------------------------------------- */

/* Fermat: a^(p-1) = 1 for several a would fail for nearly every composite; q likewise, and p = 2 q + 1. */
static void primes(void **state)
{
    (void)state;
    assert_true(TG_FIELD_P == 2 * TG_FIELD_Q + 1);
    for (uint64_t a = 2; a < 40; a++) {
        assert_int_equal(tg_pow_p(a, TG_FIELD_P - 1), 1);
        assert_int_equal(tg_pow_q(a, TG_FIELD_Q - 1), 1);
    }
}

static void residues(void **state)
{
    (void)state;
    const TgU128 all = ~(TgU128)0; /* 2^128 - 1, whose residues follow from 2^62 = 392705 and 2^61 = 196353 */
    assert_int_equal(tg_mod_p(all), (uint64_t)(all % TG_FIELD_P));
    assert_int_equal(tg_mod_q(all), (uint64_t)(all % TG_FIELD_Q));
    for (uint64_t k = 0; k < 1000; k++) {
        TgU128 x = (TgU128)tg_mix(k, 1) << 64 | tg_mix(k, 2);
        assert_int_equal(tg_mod_p(x), (uint64_t)(x % TG_FIELD_P));
        assert_int_equal(tg_mod_q(x), (uint64_t)(x % TG_FIELD_Q));
    }
}

static void dyadic_numbers(void **state)
{
    (void)state;
    TgFelt half = tg_felt_float(0.5), small = tg_felt_float(0x1.8p-140), big = tg_felt_float(-0x1p100);
    assert_same(tg_felt_add(half, half), tg_felt_int(1));
    for (int i = 0; i < 141; i++)
        small = tg_felt_add(small, small);
    assert_same(small, tg_felt_int(3));
    for (int i = 0; i < 100; i++)
        big = tg_felt_mul(big, half);
    assert_same(big, tg_felt_int(-1));
    assert_same(tg_felt_div(tg_felt_int(1), tg_felt_float(0.1)), tg_felt_inverse(tg_felt_float(0.1)));
    assert_same(tg_felt_mul(tg_felt_float(0.1), tg_felt_inverse(tg_felt_float(0.1))), tg_felt_int(1));
}

static void exponentials(void **state)
{
    (void)state;
    TgField f;
    for (uint64_t seed = 0; seed < 50; seed++) {
        tg_field_draw(&f, seed);
        TgFelt a = tg_felt_random(2 * seed), b = tg_felt_random(2 * seed + 1);
        TgFelt product = tg_felt_mul(tg_felt_exp(&f, a), tg_felt_exp(&f, b));
        assert_int_equal(tg_felt_exp(&f, tg_felt_add(a, b)).p, product.p);
        assert_int_not_equal(tg_felt_exp(&f, a).p, 1);
        assert_int_equal(tg_pow_p(tg_felt_exp(&f, a).p, TG_FIELD_Q), 1); /* the subgroup of order q */
        assert_false(f.hashed);
        tg_felt_exp(&f, product); /* a second exponential on the same path has lost its exponent */
        assert_true(f.hashed);
    }
}

static void roots(void **state)
{
    (void)state;
    TgField f;
    tg_field_draw(&f, 1);
    for (int64_t n = 0; n < 12; n++)
        assert_same(tg_felt_sqrt(&f, tg_felt_int(n * n)), tg_felt_int(n * n == 0 ? 0 : n));
    assert_false(f.root_of_nonsquare);
    tg_felt_sqrt(&f, tg_felt_int(-1));
    assert_true(f.root_of_nonsquare);
    for (uint64_t k = 0; k < 20; k++) { /* sqrt(9 x) = 3 sqrt(x), but sqrt(x)^2 is never -x */
        TgFelt x = tg_felt_random(k), r = tg_felt_sqrt(&f, x);
        assert_int_equal(tg_felt_sqrt(&f, tg_felt_mul(tg_felt_int(9), x)).p, tg_felt_mul(tg_felt_int(3), r).p);
        assert_int_not_equal(tg_felt_mul(r, r).p, tg_felt_neg(x).p);
    }
}

static void infinities(void **state)
{
    (void)state;
    TgField f;
    tg_field_draw(&f, 1);
    TgFelt low = tg_felt_float(-INFINITY), x = tg_felt_random(7);
    assert_int_equal(TG_FELT_KIND(tg_felt_add(low, x)), TG_FELT_LOW);
    assert_same(tg_felt_exp(&f, low), tg_felt_int(0));
    assert_int_equal(TG_FELT_KIND(tg_felt_sub(low, low)), TG_FELT_NAN);
    assert_int_equal(TG_FELT_KIND(tg_felt_mul(low, tg_felt_int(-2))), TG_FELT_HIGH);
    TgFelt one = tg_felt_int(1), high = tg_felt_float(INFINITY); /* the same key once made them the same to hashes */
    assert_int_not_equal(tg_felt_hash(&f, 9, low).p, tg_felt_hash(&f, 9, one).p);
    assert_int_not_equal(tg_felt_pow(&f, x, high).p, tg_felt_pow(&f, x, tg_felt_int(2)).p);
    assert_same(tg_felt_inverse(low), tg_felt_int(0));
    assert_true(tg_felt_less(low, x) && tg_felt_less(tg_felt_int(-5), tg_felt_int(3)));
    assert_int_equal(TG_FELT_KIND(tg_felt_div(x, tg_felt_int(0))), TG_FELT_NAN);
}

/* Numbers that stand for infinity keep their residues, and sums with them are masks where masks are drawn. */
static void large_numbers(void **state)
{
    (void)state;
    TgField f;
    tg_field_draw(&f, 1);
    TgFelt low = tg_felt_float(-3e38), x = tg_felt_random(7), zero = tg_felt_int(0), two = tg_felt_int(2);
    TgFelt masked[] = {low, tg_felt_add(low, x), tg_felt_sub(x, tg_felt_neg(low)), tg_felt_add(low, low),
                       tg_felt_mul(low, two), tg_felt_mul(tg_felt_int(-1), tg_felt_float(3e38))};
    TgFelt free[] = {tg_felt_mul(low, x), tg_felt_sub(tg_felt_add(low, x), low), tg_felt_float(-1e29), x};
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        f.masks = true;
        assert_same(tg_felt_exp(&f, masked[i]), zero);
        assert_int_equal(TG_FELT_KIND(tg_felt_exp(&f, tg_felt_neg(masked[i]))), TG_FELT_HIGH);
        f.masks = false;
        assert_int_not_equal(tg_felt_exp(&f, masked[i]).p, 0);
        assert_same(tg_felt_mul(masked[i], tg_felt_inverse(masked[i])), tg_felt_int(1));
        assert_false(tg_felt_is_odd(masked[i]));
    }
    for (size_t i = 0; i < sizeof free / sizeof *free; i++) {
        TgFelt exact = tg_felt_exp(&f, free[i]);
        f.masks = true;
        assert_same(tg_felt_exp(&f, free[i]), exact);
        f.masks = false;
    }
    assert_same(tg_felt_mul(low, zero), zero); /* not undefined, as it is for infinity */
    assert_same(free[1], x);
    assert_true(tg_felt_equal(tg_felt_add(low, x), tg_felt_mul(low, tg_felt_add(tg_felt_div(x, low), tg_felt_int(1)))));
    assert_int_equal(TG_FELT_KIND(tg_felt_exp(&f, tg_felt_exp(&f, x))), TG_FELT_FINITE); /* lost ones take no mark */
    assert_int_equal(TG_FELT_KIND(tg_felt_add(tg_felt_exp(&f, x), low)), TG_FELT_FINITE);
}

static void circle(void **state)
{
    (void)state;
    TgField f;
    tg_field_draw(&f, 1);
    for (uint64_t k = 0; k < 20; k++) {
        TgFelt x = tg_felt_random(k), c = tg_felt_cos(&f, x), s = tg_felt_sin(&f, x);
        assert_same(tg_felt_add(tg_felt_mul(c, c), tg_felt_mul(s, s)), tg_felt_int(1));
        assert_same(tg_felt_cos(&f, tg_felt_neg(x)), c);
        assert_same(tg_felt_sin(&f, tg_felt_neg(x)), tg_felt_neg(s));
    }
}

/* --- random graphs against rationals -------------------------------------------------------------------- */

enum { N = 2, ELEMENTS = N * N, LEAVES = 3, STEPS = 5 };

__extension__ typedef __int128 Wide;

/* over / under, reduced, under > 0; under 0: not representable here, or a division by zero. */
typedef struct {
    Wide over, under;
} Rational;

static Wide gcd(Wide a, Wide b)
{
    while (b) {
        Wide r = a % b;
        a = b;
        b = r;
    }
    return a < 0 ? -a : a;
}

static Rational reduced(Wide over, Wide under)
{
    Wide d = gcd(over, under), most = (Wide)1 << 62;
    if (!under || !d)
        return (Rational){0, under ? 1 : 0};
    Rational r = {under < 0 ? -over / d : over / d, under < 0 ? -under / d : under / d};
    bool fits =
        r.over < most && r.over > -most && r.under < most; /* products of two then fit into 126 bits */
    return fits ? r : (Rational){0, 0};
}

static Rational plus(Rational a, Rational b, int sign)
{
    Wide limit = (Wide)1 << 60;
    if (!a.under || !b.under || a.over > limit || a.over < -limit || b.over > limit || b.over < -limit ||
        a.under > limit || b.under > limit)
        return (Rational){0, 0};
    return reduced(a.over * b.under + sign * b.over * a.under, a.under * b.under);
}

static Rational times(Rational a, Rational b)
{
    return a.under && b.under ? reduced(a.over * b.over, a.under * b.under) : (Rational){0, 0};
}

static Rational over(Rational a, Rational b)
{
    return a.under && b.under && b.over ? reduced(a.over * b.under, a.under * b.over) : (Rational){0, 0};
}

static Rational element_of(TgOp op, const Rational *a, const Rational *b, int i)
{
    Rational sum = {0, 1};
    switch (op) {
    case TG_Add: return plus(a[i], b[i], 1);
    case TG_Sub: return plus(a[i], b[i], -1);
    case TG_Mul: return times(a[i], b[i]);
    case TG_Div: return over(a[i], b[i]);
    default: break;
    }
    for (int k = 0; k < N; k++)
        sum = plus(sum, times(a[i / N * N + k], b[k * N + i % N]), 1);
    return sum;
}

/* A residue by way of the definition: over times the inverse of under. */
static uint64_t residue(Rational r, uint64_t modulus, uint64_t (*power)(uint64_t, uint64_t))
{
    Wide m = (Wide)modulus, x = r.over % m;
    uint64_t top = (uint64_t)(x < 0 ? x + m : x), bottom = power((uint64_t)(r.under % m), modulus - 2);
    return (uint64_t)((TgU128)top * bottom % modulus);
}

/* False: the draw divides by zero, or grows beyond what is exact here. */
static bool try_graph(Tg *tg, uint64_t seed)
{
    static const TgOp ops[] = {TG_Add, TG_Sub, TG_Mul, TG_Div, TG_MatMul};
    Rational exact[LEAVES + STEPS][ELEMENTS];
    TgValue value[LEAVES + STEPS];
    TgModel *m = tg_model_new(tg);
    TgGraph *g = m->graph;
    bool fits = true;
    for (int i = 0; i < LEAVES; i++) {
        float numbers[ELEMENTS];
        for (int k = 0; k < ELEMENTS; k++) {
            int64_t n = (int64_t)(tg_mix(seed, (uint64_t)(i * ELEMENTS + k)) % 19) - 9;
            exact[i][k] = reduced(n, 4);
            numbers[k] = (float)n / 4;
        }
        float *kept = tg_copy(m->arena, numbers, sizeof numbers);
        value[i] = tg_graph_const(g, tg_tensor_owned(m->arena, TG_f32, 2, (int64_t[]){N, N}, kept), NULL);
    }
    for (int i = LEAVES; i < LEAVES + STEPS; i++) {
        uint64_t r = tg_mix(seed, 1000 + (uint64_t)i);
        TgOp op = ops[r % 5];
        int a = (int)(r >> 8) % i, b = (int)(r >> 20) % i;
        a = a < 0 ? -a : a;
        b = b < 0 ? -b : b;
        value[i] = tg_op(g, op, NULL, 2, value[a], value[b]);
        for (int k = 0; k < ELEMENTS; k++) {
            exact[i][k] = element_of(op, exact[a], exact[b], k);
            fits = fits && exact[i][k].under != 0;
        }
    }
    TgField f;
    TgArray out;
    tg_graph_return(g, value[LEAVES + STEPS - 1], "y", NULL);
    tg_field_draw(&f, seed);
    if (fits) {
        assert_true(tg_eval(tg, g, &(TgEvalOptions){.mode = TG_EVAL_FIELD, .field = &f}, NULL, &out));
        for (int k = 0; k < ELEMENTS; k++) {
            TgFelt x = ((TgFelt *)out.data)[k];
            assert_int_equal(x.p, residue(exact[LEAVES + STEPS - 1][k], TG_FIELD_P, tg_pow_p));
            assert_int_equal(x.q, residue(exact[LEAVES + STEPS - 1][k], TG_FIELD_Q, tg_pow_q));
        }
        tg_array_drop(tg, &out);
    }
    tg_model_free(m);
    return fits;
}

static void thousand_graphs(void **state)
{
    int done = 0;
    for (uint64_t seed = 0; done < 1000; seed++) {
        assert_true(seed < 20000);
        done += try_graph(*state, seed);
    }
}

/* ONNX has Softmax of floats only; integers lie in half the bytes of elements of the field. */
static void softmax_of_integers(void **state)
{
    TgField f;
    TgArray out;
    TgModel *m = tg_model_new(*state);
    const int64_t five[] = {5};
    TgValue x = tg_graph_const(m->graph, tg_tensor_ints(m->arena, 1, five), NULL);
    TgValue y = tg_op(m->graph, TG_Softmax, NULL, 1, x);
    tg_graph_return(m->graph, y, "y", NULL);
    tg_field_draw(&f, 1);
    assert_false(tg_eval(*state, m->graph, &(TgEvalOptions){.mode = TG_EVAL_FIELD, .field = &f}, NULL, &out));
    assert_false(tg_eval(*state, m->graph, &(TgEvalOptions){.mode = TG_EVAL_NATIVE}, NULL, &out));
    tg_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(primes),         cmocka_unit_test(residues),
                                       cmocka_unit_test(dyadic_numbers), cmocka_unit_test(exponentials),
                                       cmocka_unit_test(roots),          cmocka_unit_test(infinities),
                                       cmocka_unit_test(large_numbers),  cmocka_unit_test(circle),
                                       cmocka_unit_test(thousand_graphs),
                                       cmocka_unit_test(softmax_of_integers)};
    return cmocka_run_group_tests_name("field", tests, setup, teardown) != 0;
}
