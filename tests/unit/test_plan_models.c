/* What optimizers and exporters have made of a model is planned as its source is: attention that ONNX Runtime has fused
 * is a step of attention, caches stay where they are, a table that is stored twice is stored once. */
#include "planned.h"

static TgPlan *plan_text(const char *text)
{
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1, .opset = tg_newest_opset(), .for_plan = true};
    TgReport report;
    TgModel *m = tg_parse(tg, "test", text, strlen(text));
    return planned(m && tg_optimize(m, &options, &report) ? plan_model(m) : NULL);
}

static const TgStep *attention_of(const TgPlan *p)
{
    assert_int_equal(count(&p->steps, TG_STEP_ATTENTION), 1);
    assert_int_equal(count(&p->steps, TG_STEP_SOFTMAX), 0);
    return first(p, TG_STEP_ATTENTION);
}

static void multi_head_attention_is_one_step(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%q: f32[B,S,32], %k: f32[B,S,32], %v: f32[B,S,32], %pk: f32[B,4,P,8], %pv: f32[B,4,P,8]) {\n"
        " %y, %a, %b = com.microsoft.MultiHeadAttention(%q, %k, %v, _, _, _, %pk, %pv; num_heads=4, unidirectional=1)\n"
        " return %y, %a, %b\n}\n");
    const TgStep *s = attention_of(p);
    assert_true(s->u.attention.causal && s->u.attention.heads == 4);
    assert_string_equal(tg_dim_text(tg, s->u.attention.offset), "P");
    assert_int_equal(count(&p->steps, TG_STEP_COPY), 4); /* past and new rows, which are copies onto themselves in a state */
    assert_int_equal(p->states.n, 2);
    assert_int_equal(p->arena_bytes, 0);
    tg_plan_free(p);
}

/* The cache is one, of keys and values; what the last query does not see, the flag says; the mask has no queries. */
static void attention_with_its_projection_is_one_step(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%x: f32[B,S,16], %mask: i32[B,T], %past: f32[2,B,2,P,8]) {\n %w = const f32[16,48] random(1)\n"
        " %y, %present = com.microsoft.Attention(%x, %w, _, %mask, %past; num_heads=2, unidirectional=1)\n"
        " return %y, %present\n}\n");
    const TgStep *s = attention_of(p);
    assert_true(s->u.attention.causal);
    assert_true(s->in.n > 4 && s->in.at[4]); /* keys per entry: all */
    assert_true(tg_dim_is(s->u.attention.mask_stride[2], 0));
    TgValue cache = p->outputs.at[1];
    for (uint32_t i = 1; i < 3; i++)
        assert_int_equal(tg_place_of(p, s->in.at[i])->buffer, tg_place_of(p, cache)->buffer);
    assert_int_equal(p->states.n, 1);
    tg_plan_free(p);
}

static void a_filter_that_only_adds_leaves_the_causal_flag(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[2,6,16], %mask: i32[2,6]) {\n %w = const f32[16,48] random(1)\n"
                          " %y = com.microsoft.Attention(%x, %w, _, %mask; num_heads=2, unidirectional=1)\n"
                          " return %y\n}\n");
    const TgStep *s = attention_of(p);
    assert_true(s->u.attention.causal && s->in.n > 3 && s->in.at[3]);
    assert_true(tg_dim_is(s->u.attention.mask_stride[2], 0));
    tg_plan_free(p);
}

/* A row may see one key, filtered by -3e38: it keeps that key, since those ahead are hidden by -3.4e38. */
static void numbers_that_hide_differently_are_no_one_mask(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[2,6,16], %mask: i32[2,6]) {\n %w = const f32[16,48] random(1)\n"
                          " %y = com.microsoft.Attention(%x, %w, _, %mask; num_heads=2, unidirectional=1, "
                          "mask_filter_value=-3e38)\n return %y\n}\n");
    assert_int_equal(count(&p->steps, TG_STEP_ATTENTION), 0);
    assert_int_equal(count(&p->steps, TG_STEP_SOFTMAX), 1);
    tg_plan_free(p);
}

#define TIED(matrix) \
    "graph @f(%i: i64[S]) {\n %t = const f32[3,2] {1, 2, 3, 4, 5, 6}\n %x = Gather(%t, %i; axis=0)\n" \
    " %y = MatMul(%x, const f32[2,3] " matrix ")\n return %y\n}\n"

static void transposed_constants_are_stored_once(void **state)
{
    (void)state;
    TgPlan *p = plan_text(TIED("{1, 3, 5, 2, 4, 6}"));
    assert_int_equal(p->weights.n, 1);
    assert_int_equal(count(&p->steps, TG_STEP_EMBED), 1);
    tg_plan_free(p);
}

static void constants_that_differ_in_one_element_are_stored_both(void **state)
{
    (void)state;
    TgPlan *p = plan_text(TIED("{1, 3, 5, 2, 4, 6.5}"));
    assert_int_equal(p->weights.n, 2);
    assert_int_equal(count(&p->steps, TG_STEP_EMBED), 0);
    tg_plan_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_context, close_context)
        TEST(multi_head_attention_is_one_step),
        TEST(attention_with_its_projection_is_one_step),
        TEST(a_filter_that_only_adds_leaves_the_causal_flag),
        TEST(numbers_that_hide_differently_are_no_one_mask),
        TEST(transposed_constants_are_stored_once),
        TEST(constants_that_differ_in_one_element_are_stored_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
