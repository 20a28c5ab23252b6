/* Proofs of rules: every rule of the book holds; deliberately wrong ones, each a mistake that some optimizer
 * made, are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rules/rules.h"

static int setup(void **state)
{
    return (*state = tg_open(NULL)) == NULL;
}
static int teardown(void **state)
{
    return tg_close(*state), 0;
}

static void whole_book(void **state)
{
    Tg *tg = *state;
    TgBook *book = tg_book_new(tg);
    TgProofs proofs = {0};
    assert_true(tg_book_add_builtin(book) && tg_book_close(book));
    for (uint32_t i = 0; i < tg_book_count(book); i++)
        if (!tg_rule_prove(book, i, &proofs))
            print_error("%s: %s\n", tg_book_rule(book, i)->name, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    assert_int_equal(proofs.rules, tg_book_count(book));
    assert_true(proofs.rules > 20 && proofs.instances > 20 * proofs.rules && proofs.refusals > proofs.rules);
    tg_book_free(book);
}

/* The first message about the rule; NULL: it was proved. */
static const TgDiag *prove(Tg *tg, const char *attributes, const char *body)
{
    TgName text = tg_name_format(tg, "<rules topic='t'><rule name='r' %s><why>w</why>%s</rule></rules>",
                                 attributes, body);
    uint32_t before = tg_diag_count(tg);
    TgBook *book = tg_book_new(tg);
    TgProofs proofs = {0};
    if (!tg_book_add_text(book, "t.xml", text, strlen(text)) || !tg_book_close(book)) {
        print_error("not read: %s: %s\n", body, tg_diag(tg, before)->message);
        fail();
    }
    bool good = tg_rule_prove(book, 0, &proofs);
    tg_book_free(book);
    assert_int_equal(good, tg_diag_count(tg) == before);
    return good ? NULL : tg_diag(tg, before);
}

static void expect(Tg *tg, TgDiagId id, const char *attributes, const char *body)
{
    const TgDiag *d = prove(tg, attributes, body);
    if (!d || d->id != id)
        print_error("%s: %s\n", body, d ? d->message : "proved");
    assert_true(d && d->id == id);
}

#define REASSOC     "class='reassoc'"
#define WRONG(body) expect(*state, TG_E_rule_wrong, REASSOC, body)

static void wrong_rules(void **state)
{
    /* a scale through a product along the wrong axis */
    WRONG("<match>Mul(MatMul(x, W), c)</match><when>const(W) const(c)</when><give>MatMul(x, Mul(W, c))</give>"
          "<try x='f32[2,5]' W='f32[5,5]' c='f32[5]'/>");
    /* mean over whatever axis */
    WRONG("<match>Div(x, Sqrt(Add(ReduceMean(Mul(x, x), _a), e)))</match><when>one_element(e)</when>"
          "<give>RMSNormalization(x, 1:?[dim(x,-1)]; epsilon=float(e))</give>"
          "<try x='f32[4,4]' _a='const i64[1] {0}' e='const f32[] 1e-6'/>");
    /* another epsilon */
    WRONG("<match>Div(x, Sqrt(Add(ReduceMean(Mul(x, x), a), _e)))</match><when>last_axes(a, x)</when>"
          "<give>RMSNormalization(x, 1:?[dim(x,-1)])</give>"
          "<try x='f32[4,4]' a='const i64[1] {1}' _e='const f32[] 1e-6'/>");
    /* eps behind the root */
    WRONG("<match>Div(x, Add(Sqrt(ReduceMean(Mul(x, x), a)), e))</match><when>last_axes(a, x)</when>"
          "<give>RMSNormalization(x, 1:?[dim(x,-1)]; epsilon=float(e))</give>"
          "<try x='f32[4,4]' a='const i64[1] {1}' e='const f32[] 1e-2'/>");
    /* the two forms of GELU */
    WRONG("<match>Mul(Mul(x, Add(Erf(Div(x, 1.4142135623730951)), 1)), 0.5)</match><give>Gelu(x; "
          "approximate=\"tanh\")</give>"
          "<try x='f32[2,3]'/>");
    /* softmax along another axis; one that the shape of the try hides, but not one near it */
    WRONG("<match>Softmax(Neg(Neg(x)); axis=_a)</match><give>Softmax(x)</give><try x='f32[2,3]' _a='1'/>");
    /* signs that are lost */
    WRONG("<match>Mul(Neg(x), y)</match><give>Mul(x, y)</give><try x='f32[3]' y='f32[3]'/>");
    WRONG("<match>Sqrt(Mul(x, x))</match><give>Identity(x)</give><try x='f32[3]'/>");
    /* inverses that are none for negative numbers, for integers */
    WRONG("<match>Neg(Neg(Abs(x)))</match><give>Neg(x)</give><try x='f32[3]'/>");
    WRONG("<match>Div(Mul(x, a), b)</match><when>const(a) const(b)</when><give>Mul(x, Div(a, b))</give>"
          "<try x='i64[3]' a='const i64[] 3' b='const i64[] 2'/>");
    /* halves exchanged */
    WRONG("<match>Neg(Neg(Concat(a, b; axis=k)))</match><give>Concat(b, a; axis=k)</give>"
          "<try a='f32[2,2]' b='f32[2,2]' k='0'/>");
}

static void other_refusals(void **state)
{
    Tg *tg = *state;
    expect(
        tg, TG_E_rule_idle, REASSOC,
        "<match>Neg(Neg(x))</match><when>const(x) floating(x)</when><give>x</give><try x='input f32[2]'/>");
    expect(tg, TG_E_rule_fires, REASSOC,
           "<match>Neg(Neg(x))</match><give>x</give><try x='f32[2]'/><refuse x='f32[3]' why='w'/>");
    expect(tg, TG_E_rule_needless, REASSOC,
           "<match>Neg(Neg(x))</match><when>floating(x)</when><give>x</give><try x='f32[2]'/>");
    expect(tg, TG_E_rule_not_built, REASSOC,
           "<match>Add(Neg(x), y)</match><give>Sub(y, x)</give><try x='f32[2]' y='f32[3]'/>");
    expect(tg, TG_E_rule_not_built, REASSOC,
           "<match>Add(Neg(x), y)</match><give>Sub(y, x)</give><try x='f32[2]'/>");
    expect(tg, TG_E_syntax, REASSOC, "<match>Neg(Neg(x))</match><give>x</give><try x='f33[2]'/>");
    /* rounding is no exact rule */
    expect(tg, TG_E_rule_wrong, "class='exact'",
           "<match>Mul(Mul(x, a), b)</match><when>const(a) const(b)</when><give>Mul(x, Mul(a, b))</give>"
           "<try x='f32[64]' a='f32[64]' b='const f32[] 0.7'/>");
    /* beyond the bound */
    expect(tg, TG_E_rule_wrong, "class='approx' bound='1e-6'",
           "<match>Mul(x, 1.4142135623730951~)</match><give>x</give><try x='f32[64]'/>");
}

static void right_rules(void **state)
{
    Tg *tg = *state;
    assert_null(
        prove(tg, REASSOC,
              "<match>Mul(Neg(x), Neg(y))</match><give>Mul(x, y)</give><try x='f32[3]' y='f32[2,1]'/>"));
    assert_null(
        prove(tg, "class='reassoc' measure='cost'",
              "<match>p = MatMul(a, u:?[K, M]) q = MatMul(a, v:?[K, M])</match>"
              "<when>const(u) const(v)</when>"
              "<give>q, p = Split(MatMul(a, Concat(v, u; axis=1)); axis=-1, num_outputs=2)</give>"
              "<try a='f32[2,4]' u='f32[4,3]' v='f32[4,3]'/>"
              "<refuse a='f32[2,4]' u='input f32[4,3]' v='f32[4,3]' why='u would be moved at run time'/>"
              "<refuse a='f32[2,4]' u='f32[4,3]' v='input f32[4,3]' why='v would be moved at run time'/>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_book, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(other_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(right_rules, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
