/* Types: one pointer per type, what is printed, what two statements about one value say together. */
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

/* "a,b,4": a tensor type of those sizes; NULL: of unknown rank. */
static const TgType *tensor(Tg *tg, TgDtype dtype, const char *sizes)
{
    TgDim dim[8];
    int32_t rank = 0;
    if (!sizes)
        return tg_type(tg, dtype, -1, NULL);
    for (const char *at = sizes; *at;) {
        size_t n = strcspn(at, ",");
        dim[rank++] = tg_dim_parse(tg, tg_name_n(tg, at, n));
        at += at[n] ? n + 1 : n;
    }
    return tg_type(tg, dtype, rank, dim);
}

static void test_equality_is_identity(void **state)
{
    Tg *tg = *state;
    const TgType *t = tensor(tg, TG_f32, "B,S,768");
    assert_ptr_equal(t, tensor(tg, TG_f32, "B,S,700 + 68"));
    assert_ptr_not_equal(t, tensor(tg, TG_f16, "B,S,768"));
    assert_ptr_not_equal(t, tensor(tg, TG_f32, "S,B,768"));
    assert_ptr_equal(tg_type_with_dtype(tg, t, TG_f16), tensor(tg, TG_f16, "B,S,768"));
    assert_ptr_equal(tg_type_known(tg, TG_i64, 2, (const int64_t[]){2, 3}), tensor(tg, TG_i64, "2,3"));
    assert_ptr_equal(tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, t),
                     tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, t));
    assert_ptr_equal(tg_untyped(tg), tg_untyped(tg));
}

static void test_text(void **state)
{
    Tg *tg = *state;
    const TgType *t = tensor(tg, TG_f32, "B,past + seq,768");
    const TgType *items = tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, tensor(tg, TG_i64, ""));
    assert_string_equal(tg_type_text(tg, t), "f32[B,past + seq,768]");
    assert_string_equal(tg_type_text(tg, tensor(tg, TG_bool, "")), "bool[]");
    assert_string_equal(tg_type_text(tg, tensor(tg, TG_f32, NULL)), "f32[*]");
    assert_string_equal(tg_type_text(tg, tg_untyped(tg)), "?");
    assert_string_equal(tg_type_text(tg, items), "seq(i64[])");
    assert_string_equal(tg_type_text(tg, tg_type_of_kind(tg, TG_OPTIONAL, TG_undefined, items)),
                        "optional(seq(i64[]))");
    assert_string_equal(tg_type_text(tg, tg_type_of_kind(tg, TG_MAP, TG_str, t)),
                        "map(str, f32[B,past + seq,768])");
}

static void test_counts(void **state)
{
    Tg *tg = *state;
    int64_t n, dim[2];
    assert_string_equal(tg_dim_text(tg, tg_type_count(tg, tensor(tg, TG_f32, "B,S,4"))), "4*B*S");
    assert_true(tg_type_numel(tensor(tg, TG_f32, "2,3"), &n) && n == 6);
    assert_true(tg_type_numel(tensor(tg, TG_f32, ""), &n) && n == 1);
    assert_true(tg_type_numel(tensor(tg, TG_f32, "B,0"), &n) && n == 0);
    assert_false(tg_type_numel(tensor(tg, TG_f32, "B,2"), &n));
    assert_false(tg_type_numel(tensor(tg, TG_f32, NULL), &n));
    assert_false(tg_type_numel(tensor(tg, TG_f32, "4294967296,4294967296"), &n));
    assert_false(tg_type_numel(tensor(tg, TG_f32, "-1"), &n)); /* there is no such tensor */
    assert_false(tg_type_numel(tensor(tg, TG_f32, "-1,-2"), &n));
    assert_true(tg_type_static(tensor(tg, TG_f32, "2,3"), dim) && dim[0] == 2 && dim[1] == 3);
    assert_false(tg_type_static(tensor(tg, TG_f32, "2,S"), dim));
    assert_true(tg_is_tensor(tensor(tg, TG_f32, "B")));
    assert_false(tg_is_tensor(tensor(tg, TG_f32, NULL)) || tg_is_tensor(tensor(tg, TG_undefined, "B")));
}

static void test_meet(void **state)
{
    static const struct {
        TgDtype a_dtype;
        const char *a;
        TgDtype b_dtype;
        const char *b;
        const char *met;
        bool agree;
    } ROW[] = {
        {TG_f32, "B,4", TG_f32, "B,4", "f32[B,4]", true},
        {TG_f32, NULL, TG_f32, "B,4", "f32[B,4]", true},
        {TG_undefined, "B", TG_f32, NULL, "f32[B]", true},
        {TG_f32, "_1,S", TG_f32, "B,8", "f32[B,8]", true}, /* names over nobody's, constants over names */
        {TG_f32, "S", TG_f32, "_1", "f32[S]", true},
        {TG_f32, "4", TG_f32, "5", "f32[4]", false},
        {TG_f32, "2*S", TG_f32, "5", "f32[2*S]", false},
        {TG_f32, "S + 1", TG_f32, "S", "f32[S + 1]", false},
        {TG_f32, "S", TG_f32, "S,S", "f32[S]", false},
        {TG_f32, "S", TG_f16, "S", "f32[S]", false},
    };
    Tg *tg = *state;
    bool agree;
    for (size_t i = 0; i < sizeof ROW / sizeof ROW[0]; i++) {
        const TgType *a = tensor(tg, ROW[i].a_dtype, ROW[i].a), *b = tensor(tg, ROW[i].b_dtype, ROW[i].b);
        assert_string_equal(tg_type_text(tg, tg_type_meet(tg, a, b, &agree)), ROW[i].met);
        assert_int_equal(agree, ROW[i].agree);
    }
    const TgType *t = tensor(tg, TG_f32, "B"), *loose = tensor(tg, TG_f32, NULL);
    assert_ptr_equal(tg_type_meet(tg, tg_untyped(tg), t, &agree), t);
    assert_true(agree);
    const TgType *met = tg_type_meet(tg, tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, loose),
                                     tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, t), &agree);
    assert_true(agree);
    assert_ptr_equal(met, tg_type_of_kind(tg, TG_SEQUENCE, TG_undefined, t));
    assert_ptr_equal(tg_type_meet(tg, t, met, &agree), t);
    assert_false(agree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equality_is_identity, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_text, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_counts, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_meet, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
