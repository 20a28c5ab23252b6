/* The planner: what becomes a step, what a view, where things lie. What must hold of any plan is checked by brute
 * force. */
#include <stdio.h>

#include "planned.h"

static int64_t most_1024(void *user, TgDim symbol)
{
    (void)user, (void)symbol;
    return 1024;
}

static TgPlan *plan_text(const char *text) { return planned(plan_model(tg_parse(tg, "test", text, strlen(text)))); }

/* --- what holds of every plan ------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t first, last;
} Life;

static void note(const TgPlan *p, const TgValues *values, uint32_t number, Life *life)
{
    for (uint32_t i = 0; i < values->n; i++) {
        uint32_t b = values->at[i] ? tg_place_of(p, values->at[i])->buffer : 0;
        if (!b)
            continue;
        life[b].first = life[b].first ? life[b].first : number;
        life[b].last = number;
    }
}

static void note_steps(const TgPlan *p, const TgSteps *steps, Life *life)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        note(p, &s->in, s->number, life);
        note(p, &s->out, s->number, life);
        if (s->then) {
            note(p, &s->then->in, s->number, life);
            note(p, &s->then->out, s->number, life);
        }
        note_steps(p, &s->body[0], life);
        note_steps(p, &s->body[1], life);
    }
}

/* Two buffers that hold something at the same time share no byte, unless one ends in the step in which the other
 * begins. */
static void check_plan(const TgPlan *p)
{
    static Life life[20000];
    assert_true(p->buffers.n < 20000);
    memset(life, 0, sizeof life);
    note_steps(p, &p->steps, life);
    for (uint32_t a = 1; a < p->buffers.n; a++) {
        const TgBuffer *x = &p->buffers.at[a];
        if (x->kind != TG_BUFFER_ARENA || !life[a].first)
            continue;
        assert_true(x->offset % TG_PLAN_ALIGN == 0 && x->offset + x->bytes <= p->arena_bytes);
        for (uint32_t b = a + 1; b < p->buffers.n; b++) {
            const TgBuffer *y = &p->buffers.at[b];
            bool together = y->kind == TG_BUFFER_ARENA && life[b].first && life[a].first < life[b].last &&
                            life[b].first < life[a].last;
            if (together && x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes)
                fail_msg("buffers %u (steps %u to %u) and %u (%u to %u) overlap", a, life[a].first,
                         life[a].last, b, life[b].first, life[b].last);
        }
    }
    assert_true(p->floor_bytes <= p->arena_bytes && p->arena_bytes <= p->sum_bytes);
}

static void models_of_exporters_keep_the_rules(void **state)
{
    static const char *const models[] = {"llama", "bert"};
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        TgPlan *p = plan_model(tg_load(
            tg, tg_name_format(tg, "%s/tests/models/%s/model.onnx", TGOPT_SOURCE_DIR, models[i]), NULL));
        assert_non_null(p);
        check_plan(p);
        tg_plan_free(p);
    }
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static void views_around_attention_are_no_steps(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @a(%x: f32[B,S,8]) {\n %w = const f32[8,8] random(1)\n %u = const f32[8,8] random(2)\n"
        " %q = MatMul(%x, %w)\n %s = const i64[4] {0, 0, 2, 4}\n %r = Reshape(%q, %s)\n"
        " %h = Transpose(%r; perm={0,2,1,3})\n %y = Attention(%h, %h, %h)\n %t = Transpose(%y; "
        "perm={0,2,1,3})\n"
        " %f = const i64[3] {0, 0, 8}\n %m = Reshape(%t, %f)\n %z = MatMul(%m, %u)\n return %z\n}\n");
    assert_int_equal(p->steps.n, 3); /* linear, attention, linear */
    assert_int_equal(count(&p->steps, TG_STEP_COPY), 0);
    const TgStep *s = first(p, TG_STEP_ATTENTION);
    assert_int_equal(s->u.attention.heads, 2);
    assert_true(s->u.attention.scale == 0.5);
    assert_true(tg_dim_is(tg_place_of(p, s->in.at[0])->stride[1], 4) &&
                tg_dim_is(tg_place_of(p, s->in.at[0])->stride[2], 8));
    assert_true(tg_dim_is(tg_place_of(p, s->out.at[0])->stride[1], 4) &&
                tg_dim_is(tg_place_of(p, s->out.at[0])->stride[2], 8));
    check_plan(p);
    tg_plan_free(p);
}

static void loops_end_products(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%x: f32[B,S,8], %r: f32[B,S,16]) {\n %w = const f32[8,16] random(1)\n %b = const f32[16] "
        "random(2)\n"
        " %m = MatMul(%x, %w)\n %h = Add(%m, %b)\n %g = Gelu(%h)\n %z = Add(%g, %r)\n return %z\n}\n");
    assert_int_equal(p->steps.n, 1);
    const TgStep *s = p->steps.at[0];
    assert_int_equal(s->kind, TG_STEP_LINEAR);
    assert_true(s->in.at[1] != 0); /* the bias */
    assert_non_null(s->then);
    assert_int_equal(s->then->u.pointwise.rank, 2);
    assert_int_equal(tg_place_of(p, s->out.at[0])->buffer, tg_place_of(p, s->then->out.at[0])->buffer);
    tg_plan_free(p);
}

static void a_product_that_others_read_is_not_overwritten(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%x: f32[S,8]) {\n %w = const f32[8,8] random(1)\n %m = MatMul(%x, %w)\n %g = Exp(%m)\n"
        " return %g, %m\n}\n");
    assert_int_equal(count(&p->steps, TG_STEP_POINTWISE), 1);
    assert_null(first(p, TG_STEP_LINEAR)->then);
    tg_plan_free(p);
}

static void rows_of_another_order_do_not_end_a_product(void **state)
{
    (void)state; /* the other operand is the same for all rows of one batch entry: no single stride says that */
    TgPlan *p = plan_text(
        "graph @f(%x: f32[B,S,8], %r: f32[B,1,16]) {\n %w = const f32[8,16] random(1)\n %m = MatMul(%x, %w)\n"
        " %z = Add(%m, %r)\n return %z\n}\n");
    assert_int_equal(p->steps.n, 2);
    assert_null(first(p, TG_STEP_LINEAR)->then);
    assert_int_equal(first(p, TG_STEP_POINTWISE)->u.pointwise.rank, 3);
    tg_plan_free(p);
}

static void broadcast_axes_have_stride_0(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[B,4,S], %y: f32[4,1]) {\n %z = Mul(%x, %y)\n return %z\n}\n");
    const TgStep *s = first(p, TG_STEP_POINTWISE);
    int32_t rank = s->u.pointwise.rank;
    const TgDim *y = s->u.pointwise.stride + rank;
    assert_int_equal(rank, 3);
    assert_true(tg_dim_is(y[0], 0) && tg_dim_is(y[1], 1) && tg_dim_is(y[2], 0));
    tg_plan_free(p);
}

static void parts_of_a_concat_are_written_in_place(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[S,8]) {\n %a = Exp(%x)\n %b = Neg(%x)\n %c = Concat(%a, %b; "
                          "axis=1)\n return %c\n}\n");
    assert_int_equal(p->steps.n, 2);
    assert_int_equal(count(&p->steps, TG_STEP_COPY), 0);
    assert_true(tg_dim_is(tg_place_of(p, p->steps.at[1]->out.at[0])->offset, 8));
    assert_int_equal(p->arena_bytes, 0); /* all lies in the output */
    tg_plan_free(p);
}

static void a_cache_is_state(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%past: f32[B,2,P,4], %x: f32[B,2,S,4]) {\n %n = Exp(%x)\n %present = "
                          "Concat(%past, %n; axis=2)\n"
                          " %y = Attention(%x, %present, %present; is_causal=1)\n return %y, %present\n}\n");
    assert_int_equal(p->states.n, 1);
    const TgState *s = &p->states.at[0];
    assert_true(s->input == 0 && s->output == 1 && s->axis == 2);
    const TgLocation *past = tg_place_of(p, p->inputs.at[0]), *present = tg_place_of(p, p->outputs.at[1]);
    assert_non_null(p->buffers.at[past->buffer].capacity);
    assert_non_null(p->buffers.at[present->buffer].capacity);
    assert_ptr_equal(present->stride[1], tg_dim_mul(tg, p->buffers.at[present->buffer].capacity, tg_dim(tg, 4)));
    assert_int_equal(count(&p->steps, TG_STEP_COPY), 1); /* of the past, which a stateful run skips */
    tg_plan_free(p);
}

static void the_past_moves_the_causal_frontier(void **state)
{
    (void)state;
    TgPlan *p =
        plan_text("graph @f(%q: f32[B,2,S,4], %k: f32[B,2,S,4], %v: f32[B,2,S,4], %pk: f32[B,2,P,4], %pv: "
                  "f32[B,2,P,4]) {\n"
                  " %y, %a, %b = Attention(%q, %k, %v, _, %pk, %pv; is_causal=1)\n return %y, %a, %b\n}\n");
    const TgStep *s = first(p, TG_STEP_ATTENTION);
    assert_true(s->u.attention.causal);
    assert_string_equal(tg_dim_text(tg, s->u.attention.offset), "P");
    assert_int_equal(p->states.n, 2);
    tg_plan_free(p);
}

#define GROUP_QUERY(past) \
    "graph @f(%q: f32[B,S,16], %k: f32[B,S,8], %v: f32[B,S,8], %past_key: f32[B,2," past ",4], %past_value: f32[B,2," past ",4],\n" \
    " %mask: i64[B,T], %cos: f32[64,2], %sin: f32[64,2]) {\n" \
    " %n = ReduceSum(%mask, const i64[1] {1}; keepdims=0)\n %last = Cast(Sub(%n, const i64[1] {1}); to=6)\n" \
    " %total = Cast(Gather(Shape(%mask), const i64[] 1); to=6)\n" \
    " %y, %a, %b = com.microsoft.GroupQueryAttention(%q, %k, %v, %past_key, %past_value, %last, %total, %cos, %sin; do_rotary=1,"  \
    " kv_num_heads=2, local_window_size=9, num_heads=4)\n return %y, %a, %b\n}\n"

static void group_query_attention_grows_its_caches(void **state)
{
    (void)state;
    TgPlan *p = plan_text(GROUP_QUERY("P"));
    const TgStep *s = first(p, TG_STEP_ATTENTION), *append = first(p, TG_STEP_APPEND);
    assert_int_equal(count(&p->steps, TG_STEP_APPEND), 2);
    assert_int_equal(count(&p->steps, TG_STEP_ROTARY), 2);
    assert_int_equal(count(&p->steps, TG_STEP_MATMUL) + count(&p->steps, TG_STEP_SOFTMAX) +
                         count(&p->steps, TG_STEP_COPY),
                     0);
    assert_true(s->u.attention.causal && s->u.attention.left == 8 && s->u.attention.right == -1);
    assert_true(s->u.attention.heads == 4 && s->u.attention.kv_heads == 2);
    assert_true(s->in.n > 4 && s->in.at[4]); /* keys per entry */
    assert_string_equal(tg_dim_text(tg, tg_type_of(p->graph, s->in.at[1])->dim[2]), "T");
    assert_int_equal(append->in.at[0], p->inputs.at[3]);
    assert_int_equal(p->states.n, 2);
    assert_int_equal(p->in_place.n, 0);
    for (uint32_t i = 0; i < 2; i++) {
        const TgState *c = &p->states.at[i];
        assert_true(c->input == 3 + i && c->output == 1 + i && c->axis == 2);
        assert_string_equal(tg_dim_text(tg, tg_dim_add(tg, c->past, c->grow)), "max(P, T)");
        assert_non_null(p->buffers.at[tg_place_of(p, p->outputs.at[1 + i])->buffer].capacity);
    }
    check_plan(p);
    tg_plan_free(p);
}

/* A past of fixed length is the buffer that past and present share. */
static void group_query_attention_writes_into_a_shared_buffer(void **state)
{
    (void)state;
    TgPlan *p = plan_text(GROUP_QUERY("32"));
    assert_int_equal(count(&p->steps, TG_STEP_APPEND), 2);
    assert_int_equal(p->states.n, 0);
    assert_int_equal(p->in_place.n, 2);
    assert_true(p->in_place.at[0].input == 3 && p->in_place.at[0].output == 1);
    assert_true(tg_dim_is(tg_type_of(p->graph, p->outputs.at[1])->dim[2], 32));
    tg_plan_free(p);
}

/* com.microsoft.Attention: keys and values in one cache. */
static void a_cache_of_keys_and_values_is_state(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%x: f32[B,S,16], %w: f32[16,48], %past: f32[2,B,2,P,8]) {\n"
        " %y, %present = com.microsoft.Attention(%x, %w, _, _, %past; num_heads=2, unidirectional=1)\n"
        " return %y, %present\n}\n");
    assert_int_equal(p->states.n, 1);
    assert_true(p->states.at[0].input == 2 && p->states.at[0].output == 1 && p->states.at[0].axis == 3);
    assert_string_equal(tg_dim_text(tg, p->states.at[0].grow), "S");
    tg_plan_free(p);
}

/* TensorScatter in front of Attention: the frontier of an entry lies behind its keys. */
static void attention_with_counted_keys_has_a_step(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%q: f32[B,2,S,4], %k: f32[B,2,32,4], %v: f32[B,2,32,4], %n: i64[B]) {\n"
                          " %y = Attention(%q, %k, %v, _, _, _, %n; is_causal=1)\n return %y\n}\n");
    const TgStep *s = first(p, TG_STEP_ATTENTION);
    assert_int_equal(p->n_steps, 1);
    assert_true(s->u.attention.causal && s->in.at[4]);
    tg_plan_free(p);
}

/* --convert with --keep-io: said, and the stateless entry stays. */
static void a_converted_cache_is_no_state(void **state)
{
    (void)state;
    uint32_t said = tg_diag_count(tg);
    TgPlan *p = plan_text(
        "graph @f(%past: f32[B,2,P,4], %x: bf16[B,2,S,4]) {\n %all = Concat(Cast(%past; to=16), %x; axis=2)\n"
        " %present = Cast(%all; to=1)\n %y = Exp(%all)\n return %y, %present\n}\n");
    assert_int_equal(p->states.n, 0);
    assert_int_equal(tg_diag_count(tg), said + 1);
    assert_int_equal(tg_diag(tg, said)->id, TG_E_converted_cache);
    tg_plan_free(p);
}

static void sizes_of_data_are_bound(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[N]) {\n %i = NonZero(%x)\n %y = Cast(%i; to=1)\n return %y\n}\n");
    assert_int_equal(p->steps.n, 3);
    assert_int_equal(p->steps.at[1]->kind, TG_STEP_BIND);
    assert_int_equal(p->steps.at[1]->u.bind.axis, 1);
    assert_int_equal(p->symbols.n, 2);
    assert_int_equal(p->symbols.at[1].input, UINT32_MAX);
    tg_plan_free(p);
}

static void branches_give_to_one_place(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%c: bool[], %x: f32[N]) {\n %y = If(%c; then_branch={ %a = Exp(%x) return %a },"
                          " else_branch={ %b = Neg(%x) return %b })\n return %y\n}\n");
    const TgStep *s = first(p, TG_STEP_IF);
    assert_int_equal(count(&s->body[0], TG_STEP_POINTWISE), 1);
    assert_int_equal(count(&s->body[1], TG_STEP_POINTWISE), 1);
    check_plan(p);
    tg_plan_free(p);
}

/* Both branches, and what comes behind them, need the rows of a transposed value side by side: each makes its own
 * copy. */
static void copies_of_a_branch_stay_there(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%c: bool[], %x: f32[N,4]) {\n %t = Transpose(%x; perm={1,0})\n"
                          " %y = If(%c; then_branch={ %a = CumSum(%t, const i64[] 0) return %a },"
                          " else_branch={ %b = CumSum(%t, const i64[] 1) return %b })\n"
                          " %z = CumSum(%t, const i64[] 1)\n return %y, %z\n}\n");
    const TgStep *s = first(p, TG_STEP_IF);
    assert_int_equal(count(&s->body[0], TG_STEP_COPY), 2); /* of the operand, and of the result */
    assert_int_equal(count(&s->body[1], TG_STEP_COPY), 2);
    assert_int_equal(count(&p->steps, TG_STEP_COPY), 5);
    check_plan(p);
    tg_plan_free(p);
}

/* Squeeze without axes: N = 1 would leave one axis, which Gemm does not take. */
static void squeeze_by_data_is_one_case(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%x: f32[N,1,3], %w: f32[3,2]) {\n %s = Squeeze(%x)\n %y = Gemm(%s, %w)\n return %y\n}\n");
    const TgStep *s = first(p, TG_STEP_EXPECT);
    assert_non_null(s);
    assert_false(s->u.expected);
    assert_int_equal(count(&p->steps, TG_STEP_EXPECT), 1);
    assert_int_equal(tg_type_of(p->graph, p->outputs.at[0])->rank, 2);
    assert_int_equal(p->outputs.n, 1);
    check_plan(p);
    tg_plan_free(p);
}

/* One branch has two axes, the other three; the product behind it wants two: only the first branch can be meant. */
static void branches_of_other_rank_are_one_case(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%c: bool[], %x: f32[N,3,1], %w: f32[3,2]) {\n"
                          " %s = If(%c; then_branch={ %a = Squeeze(%x, const i64[1] {2}) return %a },"
                          " else_branch={ %b = Neg(%x) return %b })\n %y = Gemm(%s, %w)\n return %y\n}\n");
    const TgStep *s = first(p, TG_STEP_EXPECT);
    assert_non_null(s);
    assert_true(s->u.expected);
    assert_int_equal(count(&p->steps, TG_STEP_IF), 0);
    check_plan(p);
    tg_plan_free(p);
}

/* A number or a vector, which is multiplied by a vector: no case is needed. */
static void scalar_of_a_branch_is_repeated(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%c: bool[], %x: f32[N], %z: f32[]) {\n"
                          " %s = If(%c; then_branch={ %a = Neg(%z) return %a },"
                          " else_branch={ %b = Neg(%x) return %b })\n %y = Mul(%s, %x)\n return %y\n}\n");
    assert_int_equal(count(&p->steps, TG_STEP_EXPECT), 0);
    assert_int_equal(count(&p->steps, TG_STEP_IF), 1);
    check_plan(p);
    tg_plan_free(p);
}

/* Six sizes of up to 1024 each, but of 60 elements together, whatever is computed from them. */
static void view_by_data_has_room_for_what_it_views(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[3,4,5], %axes: i64[3]) {\n %u = Unsqueeze(%x, %axes)\n"
                          " %s = Softmax(%u; axis=0)\n return %s\n}\n");
    assert_true(p->arena_bytes <= 4 * 256);
    assert_int_equal(tg_plan_most_elements(p, tg_type_of(p->graph, p->outputs.at[0])), 60);
    check_plan(p);
    tg_plan_free(p);
}

/* Sizes from eight numbers of data: their product is more terms than an expression has. Each is at most 2 + 1024 +
 * 1024. */
static void room_of_a_large_product_is_that_of_its_sizes(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%x: f32[2,2,2,1], %pads: i64[8]) {\n %y = Pad(%x, %pads)\n %z = Exp(%y)\n"
                          " return %z\n}\n");
    const TgType *t = tg_type_of(p->graph, p->outputs.at[0]);
    double product = 1;
    for (int32_t k = 0; k < t->rank; k++)
        product *= (double)tg_plan_most(p, t->dim[k]);
    assert_true(product > 1e12);
    assert_true((double)tg_plan_most_elements(p, t) == product);
    tg_plan_free(p);
}

/* 2^70 elements: no bound, rather than that of another corner. */
static void room_beyond_64_bits_is_refused(void **state)
{
    (void)state;
    const char *text = "graph @f(%x: f32[a,b,c,d,e,f,g]) {\n %y = Exp(%x)\n %z = Softmax(%y; axis=-1)\n return %z\n}\n";
    TgPlanOptions options = {.kernel = any_primitive, .most = most_1024};
    assert_null(tg_plan(tg_parse(tg, "test", text, strlen(text)), &options));
}

/* A constant that is an output needs no step that would refuse it. */
static void constant_words_are_refused(void **state)
{
    (void)state;
    const char *text = "graph @f() {\n %c = const str[2] {\"abc\", \"def\"}\n return %c\n}\n";
    TgModel *m = tg_parse(tg, "test", text, strlen(text));
    assert_non_null(m);
    assert_null(plan_model(m));
}

static void branch_that_wants_inputs_is_refused(void **state)
{
    (void)state;
    const char *text = "graph @f(%c: bool[], %x: f32[2]) {\n %y = If(%c; then_branch=(%a: f32[2]) { %z = "
                       "Neg(%a) return %z },"
                       " else_branch=(%a: f32[2]) { %z = Exp(%a) return %z })\n return %y\n}\n";
    TgModel *m = tg_parse(tg, "test", text, strlen(text));
    assert_non_null(m);
    assert_null(plan_model(m));
}

enum { BUFFERS = 200 };

/* Every operand lies somewhere and was written on every way to its step, which has a greater number than those
 * before. */
static void check_written(const TgPlan *p, const TgSteps *steps, bool *written, uint32_t *number)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        assert_true(s->number > *number);
        *number = s->number;
        for (uint32_t k = 0; k < s->in.n; k++) {
            uint32_t b = s->in.at[k] ? tg_place_of(p, s->in.at[k])->buffer : 0;
            assert_true(!s->in.at[k] || b);
            assert_true(p->buffers.at[b].kind != TG_BUFFER_ARENA || written[b]);
        }
        for (uint32_t k = 0; k < s->out.n; k++)
            written[s->out.at[k] ? tg_place_of(p, s->out.at[k])->buffer : 0] = true;
        bool inside[2][BUFFERS];
        assert_true(p->buffers.n < BUFFERS);
        for (uint32_t k = 0; k < 2; k++) {
            memcpy(inside[k], written, sizeof inside[k]);
            check_written(p, &s->body[k], inside[k], number);
        }
        for (uint32_t b = 0; b < BUFFERS; b++) /* what both branches give is there behind them */
            written[b] |= inside[0][b] && inside[1][b];
    }
}

/* Numbers made of sizes and copies without gaps that one branch makes are not there in the other one, nor behind
 * both. */
static void what_a_branch_made_is_made_again_elsewhere(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%c: bool[], %x: f32[N,M], %k: i64[2]) {\n %s = Shape(%x)\n %t = Transpose(%x)\n"
        " %y, %i = If(%c; else_branch={ %a = Mul(%s, %k)\n %d = CumSum(%t, const i64[] 0)\n return %d, %a },"
        " then_branch={ %b = Sub(%k, %s)\n %e = CumSum(%t, const i64[] 1)\n return %e, %b })\n"
        " %j = Add(%i, %s)\n %z = CumSum(%t, const i64[] 0)\n return %y, %j, %z\n}\n");
    bool written[BUFFERS] = {false};
    uint32_t number = 0;
    check_written(p, &p->steps, written, &number);
    assert_true(count(&p->steps, TG_STEP_SIZES) >= 2); /* once in each branch; behind them loops may read the sizes */
    check_plan(p);
    tg_plan_free(p);
}

static void sizes_are_read_where_they_stand_alone(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%m: f32[past + new], %x: f32[new], %p: f32[past]) {\n %a = Exp(%m)\n %b = Exp(%x)\n"
                          " %c = Exp(%p)\n return %a, %b, %c\n}\n");
    assert_int_equal(p->symbols.n, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(p->symbols.at[i].input, strcmp(p->symbols.at[i].name, "new") == 0 ? 1 : 2);
        assert_int_equal(p->symbols.at[i].axis, 0);
    }
    tg_plan_free(p);
}

/* They may be larger than any size: nothing may be refused because of them. */
static void data_that_could_be_sizes_are_computed(void **state)
{
    (void)state;
    TgPlan *p = plan_text(
        "graph @f(%n: i64[3]) {\n %a = Sub(%n, const i64[1] {4})\n %b = Reshape(%a, const i64[2] {3,1})\n"
        " %c = Add(%b, const i64[1] {1})\n return %c\n}\n");
    assert_int_equal(count(&p->steps, TG_STEP_SIZES), 0);
    assert_int_equal(count(&p->steps, TG_STEP_BIND), 0);
    tg_plan_free(p);
}

static void operands_that_die_are_overwritten(void **state)
{
    (void)state; /* the Softmax keeps both loops apart */
    TgPlan *p = plan_text("graph @f(%x: f32[64,64]) {\n %a = Exp(%x)\n %s = Softmax(%a)\n %b = Mul(%s, %a)\n "
                          "%t = Softmax(%b)\n return %t\n}\n");
    const TgStep *last = p->steps.at[2];
    assert_int_equal(last->kind, TG_STEP_POINTWISE);
    assert_int_equal(p->arena_bytes, 2 * 64 * 64 * 4);
    check_plan(p);
    tg_plan_free(p);
}

static void what_has_no_kernel_is_refused(void **state)
{
    (void)state;
    const char *text = "graph @f(%x: f32[N]) {\n %y = \"odd.domain\"::Thing(%x) : f32[N]\n return %y\n}\n";
    assert_null(plan_model(tg_parse(tg, "test", text, strlen(text))));
    assert_int_equal(tg_diag(tg, tg_diag_count(tg) - 1)->id, TG_E_no_plan);
}

static void tied_table_is_stored_once(void **state)
{
    (void)state;
    TgPlan *p = plan_text("graph @f(%i: i64[S]) {\n %t = const f32[100,8] random(1)\n %x = Gather(%t, %i; axis=0)\n"
                          " %m = Transpose(%t; perm={1,0})\n %y = MatMul(%x, %m)\n return %y\n}\n");
    assert_int_equal(p->weights.n, 1);
    assert_int_equal(first(p, TG_STEP_EMBED)->u.product.weight, first(p, TG_STEP_LINEAR)->u.product.weight);
    assert_int_equal(count(&p->steps, TG_STEP_MATMUL) + count(&p->steps, TG_STEP_OPERATOR) +
                         count(&p->steps, TG_STEP_COPY),
                     0);
    tg_plan_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_context, close_context)
        TEST(models_of_exporters_keep_the_rules),
        TEST(views_around_attention_are_no_steps),
        TEST(loops_end_products),
        TEST(a_product_that_others_read_is_not_overwritten),
        TEST(rows_of_another_order_do_not_end_a_product),
        TEST(broadcast_axes_have_stride_0),
        TEST(parts_of_a_concat_are_written_in_place),
        TEST(a_cache_is_state),
        TEST(group_query_attention_grows_its_caches),
        TEST(group_query_attention_writes_into_a_shared_buffer),
        TEST(a_cache_of_keys_and_values_is_state),
        TEST(attention_with_counted_keys_has_a_step),
        TEST(a_converted_cache_is_no_state),
        TEST(the_past_moves_the_causal_frontier),
        TEST(sizes_of_data_are_bound),
        TEST(branches_give_to_one_place),
        TEST(copies_of_a_branch_stay_there),
        TEST(squeeze_by_data_is_one_case),
        TEST(branches_of_other_rank_are_one_case),
        TEST(scalar_of_a_branch_is_repeated),
        TEST(view_by_data_has_room_for_what_it_views),
        TEST(room_of_a_large_product_is_that_of_its_sizes),
        TEST(room_beyond_64_bits_is_refused),
        TEST(branch_that_wants_inputs_is_refused),
        TEST(constant_words_are_refused),
        TEST(what_a_branch_made_is_made_again_elsewhere),
        TEST(sizes_are_read_where_they_stand_alone),
        TEST(data_that_could_be_sizes_are_computed),
        TEST(operands_that_die_are_overwritten),
        TEST(what_has_no_kernel_is_refused),
        TEST(tied_table_is_stored_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
