/* Steps as emitted C: plans by hand and by the planner, written down, compiled, run, compared with values known
 * beforehand. */
#include "emitted.h"
#include "passes/passes.h"

static Tg *tg;

static int open_context(void **state)
{
    (void)state;
    tg = tg_open(NULL);
    return tg == NULL;
}

static int close_context(void **state)
{
    (void)state;
    tg_close(tg);
    return 0;
}

/* --- sizes as C --------------------------------------------------------------------------------------------------- */

static TgName bare(void *user, TgDim symbol)
{
    (void)user;
    return tg_dim_text(tg, symbol);
}

static void check_dim(const char *text, const char *c)
{
    TgText out;
    tg_text_init(&out, tg_scratch(tg));
    tg_dim_print_c(tg_dim_parse(tg, text), &out, bare, NULL);
    assert_string_equal(out.at, c);
}

static void test_sizes(void **state)
{
    (void)state;
    check_dim("7", "7");
    check_dim("-7", "-7");
    check_dim("s", "s");
    check_dim("2*s + 1", "(2*s + 1)");
    check_dim("(s + 1)//2", "tgk_floor_div(s + 1, 2)");
    check_dim("3*mod(s, 4)*t", "3*t*tgk_floor_mod(s, 4)");
    check_dim("max(s - 4, 0)", "tgk_most(0, s - 4)");
    check_dim("0 - s", "(-s)");
    check_dim("9223372036854775807", "9223372036854775807");
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static const char *identifier(const char *name)
{
    Package p = {.tg = tg};
    return package_identifier(&p, tg_name(tg, name), "none");
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(identifier("batch-size"), "batch_size");
    assert_string_equal(identifier("int"), "int_");
    assert_string_equal(identifier("3d"), "x3d");
    assert_string_equal(identifier("\xc3\xa9"), "none");
    assert_string_equal(identifier("a; system(\"x\") /*"), "a_system_x");
    assert_string_equal(identifier(""), "none");
    TgText out;
    tg_text_init(&out, tg_scratch(tg));
    package_comment(&out, "a */ b\n\\ /* ?\?/", 100);
    assert_null(strstr(out.at, "*/"));
    assert_null(strchr(out.at, '\n'));
    assert_null(strchr(out.at, '\\'));
    assert_null(strstr(out.at, "/*"));
    tg_text_init(&out, tg_scratch(tg));
    package_string(&out, "a\"b\\\n1?\?=", 9);
    assert_string_equal(out.at, "\"a\\042b\\134\\0121\\077\\077=\"");
    tg_text_init(&out, tg_scratch(tg));
    Package p = {.tg = tg, .name = "net"};
    package_rename(&p, "tgk_f(TGK_OK, my_tgk_x, tgk_)", 29, &out);
    assert_string_equal(out.at, "net_f(NET_OK, my_tgk_x, net_)");
}

/* --- plans by the planner ----------------------------------------------------------------------------------------- */

static bool no_kernel(TgOp op, const char **operands, const char **results)
{
    *operands = *results = "*";
    return op == TG_NonZero;
}

static TgPlan *plan_of(const char *text)
{
    TgModel *model = tg_parse(tg, "test", text, strlen(text));
    assert_non_null(model);
    TgPlan *plan = tg_plan(model, &(TgPlanOptions){.kernel = no_kernel});
    if (!plan)
        fail_msg("%s", tg_diag(tg, tg_diag_count(tg) - 1)->message);
    return plan;
}

static unsigned char *bytes_of(const void *at, size_t n)
{
    static unsigned char room[8][MOST_BYTES];
    static int next;
    unsigned char *bytes = room[next++ % 8];
    memset(bytes, 0, MOST_BYTES);
    memcpy(bytes, at, n);
    return bytes;
}

static void run_text(Emitted *e, const char *text, unsigned char *const *input, const char *sizes)
{
    emitted_begin(e, tg, plan_of(text));
    if (!emitted_write(e))
        fail_msg("%s", tg_diag(tg, tg_diag_count(tg) - 1)->message);
    assert_int_equal(emitted_run(e, input, sizes), 0);
}

/* x: 0, 1, 2 ... */
static unsigned char *ramp(int n)
{
    float x[256];
    for (int i = 0; i < n; i++)
        x[i] = (float)i;
    return bytes_of(x, (size_t)n * sizeof *x);
}

static void test_broadcast(void **state)
{
    (void)state;
    Emitted e;
    unsigned char *input[] = {ramp(24), ramp(3), ramp(4)};
    run_text(&e, "graph @g(%x: f32[S,3,4], %r: f32[3,1], %c: f32[4]) {\n"
                 "  %y = Add(Mul(%x, %r), %c)\n  %z = Relu(Sub(%y, const f32[] {5}))\n  return %y, %z\n}\n",
             input, "    f->d_S = 2;\n");
    const float *y = (const float *)(void *)e.output[0], *z = (const float *)(void *)e.output[1];
    for (int i = 0; i < 24; i++) {
        float want = (float)(i * (i / 4 % 3) + i % 4);
        assert_true(y[i] == want);
        assert_true(z[i] == (want > 5 ? want - 5 : 0));
    }
}

static void test_transpose(void **state)
{
    (void)state;
    Emitted e;
    unsigned char *input[] = {ramp(240)};
    run_text(&e, "graph @g(%x: f32[A,B,10]) {\n  %y = Transpose(%x; perm={2,0,1})\n  return %y\n}\n", input,
             "    f->d_A = 4;\n    f->d_B = 6;\n");
    const float *y = (const float *)(void *)e.output[0];
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 24; k++)
            assert_true(y[i * 24 + k] == (float)(k * 10 + i));
}

static void test_concat(void **state)
{
    (void)state;
    Emitted e;
    unsigned char *input[] = {ramp(6), ramp(4)};
    run_text(&e, "graph @g(%x: f32[2,P], %y: f32[2,Q]) {\n  %z = Concat(Abs(%x), Neg(%y); axis=1)\n  return %z\n}\n",
             input, "    f->d_P = 3;\n    f->d_Q = 2;\n");
    static const float want[] = {0, 1, 2, 0, -1, 3, 4, 5, -2, -3};
    for (int i = 0; i < 10; i++)
        assert_true(((const float *)(void *)e.output[0])[i] == want[i]);
}

static void test_shape(void **state)
{
    (void)state;
    Emitted e;
    unsigned char *input[] = {ramp(15)};
    run_text(&e, "graph @g(%x: f32[P,Q]) {\n  %s = Shape(%x)\n  %t = Mul(%s, %s)\n  return %t\n}\n", input,
             "    f->d_P = 3;\n    f->d_Q = 5;\n");
    const int64_t *t = (const int64_t *)(void *)e.output[0];
    assert_int_equal(t[0], 9);
    assert_int_equal(t[1], 25);
}

static void test_if(void **state)
{
    (void)state;
    for (int go = 0; go < 2; go++) {
        Emitted e;
        unsigned char yes = (unsigned char)go;
        unsigned char *input[] = {bytes_of(&yes, 1), ramp(3)};
        run_text(&e, "graph @g(%c: bool[], %x: f32[3]) {\n"
                     "  %y = If(%c; then_branch=@a {\n    %p = Add(%x, %x)\n    return %p\n  },"
                     " else_branch=@b {\n    %q = Neg(%x)\n    return %q\n  })\n  return %y\n}\n", input, "");
        for (int i = 0; i < 3; i++)
            assert_true(((const float *)(void *)e.output[0])[i] == (go ? 2.0F : -1.0F) * (float)i);
    }
}

/* --- kernels of operators ----------------------------------------------------------------------------------------- */

/* Stands for the kernel: sizes of the result come from the data. */
static const char NON_ZERO[] =
    "typedef struct {\n    tgk_array in[1], out[1];\n} tgk_NonZero_args;\n"
    "static tgk_status tgk_NonZero(const tgk_ctx *c, tgk_NonZero_args *a)\n{\n    (void)c;\n"
    "    const float *x = (const float *)a->in[0].at;\n    int64_t *to = (int64_t *)a->out[0].at, n = 0;\n"
    "    if (a->out[0].dim[1] != -1 || a->in[0].type != TGK_F32)\n        return TGK_BAD_VALUE;\n"
    "    for (int64_t i = 0; i < a->in[0].dim[0]; i++)\n        if (x[i] > 0 || x[i] < 0) {\n"
    "            if (n == a->out[0].room)\n                return TGK_BAD_SIZE;\n            to[n++] = i;\n        }\n"
    "    a->out[0].dim[1] = n;\n    return TGK_OK;\n}\n";

static void test_data_sizes(void **state)
{
    (void)state;
    Emitted e;
    float x[6] = {1, 0, 2, 3, 0, 4};
    unsigned char *input[] = {bytes_of(x, sizeof x)};
    emitted_begin(&e, tg, plan_of("graph @g(%x: f32[6]) {\n  %y = NonZero(%x)\n  %z = Add(%y, %y)\n  %s = Shape(%z)\n"
                                  "  return %z, %s\n}\n"));
    e.extra = NON_ZERO;
    assert_true(emitted_write(&e));
    assert_true(e.p.operators[TG_NonZero]);
    assert_int_equal(emitted_run(&e, input, ""), 0);
    const int64_t *z = (const int64_t *)(void *)e.output[0], *s = (const int64_t *)(void *)e.output[1];
    static const int64_t want[] = {0, 4, 6, 10};
    for (int i = 0; i < 4; i++)
        assert_int_equal(z[i], want[i]);
    assert_int_equal(s[0], 1);
    assert_int_equal(s[1], 4);
}

/* --- loops of the graph ------------------------------------------------------------------------------------------- */

static void test_loop(void **state)
{
    (void)state;
    Emitted e;
    int64_t trip = 5;
    unsigned char *input[] = {bytes_of(&trip, sizeof trip), ramp(3)};
    run_text(&e,
             "graph @g(%n: i64[], %x: f32[3]) {\n"
             "  %y, %all = Loop(%n, const bool[] {true}, %x; body=(%i: i64[], %go: bool[], %v: f32[3]) {\n"
             "    %w = Add(%v, %v)\n    %u = Neg(%v)\n    return %go, %w, %u\n  })\n  return %y, %all\n}\n",
             input, "");
    const float *y = (const float *)(void *)e.output[0], *all = (const float *)(void *)e.output[1];
    for (int i = 0; i < 3; i++)
        assert_true(y[i] == (float)(i * 32));
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < 3; i++)
            assert_true(all[k * 3 + i] == (float)(-i * (1 << k)));
}

static void test_scan(void **state)
{
    (void)state;
    Emitted e;
    unsigned char *input[] = {ramp(2), ramp(8)};
    run_text(&e, "graph @g(%s: f32[2], %x: f32[4,2]) {\n"
                 "  %y, %all = Scan(%s, %x; num_scan_inputs=1, body=(%v: f32[2], %e: f32[2]) {\n"
                 "    %w = Add(%v, %e)\n    %u = Neg(%w)\n    return %w, %u\n  })\n  return %y, %all\n}\n", input, "");
    const float *y = (const float *)(void *)e.output[0], *all = (const float *)(void *)e.output[1];
    float sum[2] = {0, 1};
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 2; i++) {
            sum[i] += (float)(2 * k + i);
            assert_true(all[2 * k + i] == -sum[i]);
        }
    assert_true(y[0] == sum[0] && y[1] == sum[1]);
}

/* --- many steps --------------------------------------------------------------------------------------------------- */

static void test_split(void **state)
{
    (void)state;
    TgModel *model = tg_model_new(tg);
    TgGraph *g = model->graph;
    TgValue x = tg_graph_input(g, tg_type_known(tg, TG_f32, 1, (int64_t[]){4}), "x");
    TgValue y = x;
    for (int i = 0; i < 150; i++) {
        y = tg_op(g, i % 2 ? TG_Add : TG_Sub, NULL, 2, y, x);
        tg_graph_return(g, y, tg_name_format(tg, "y%d", i), NULL);
    }
    TgPlan *plan = plan_begin(model);
    plan_interface(plan);
    for (uint32_t i = 0; i < 150; i++)
        plan_vector_step(plan, plan->outputs.at[i]);
    Emitted e;
    unsigned char *input[] = {ramp(4)};
    emitted_begin(&e, tg, plan);
    assert_true(emitted_write(&e));
    assert_int_equal(e.p.n_loops, 3); /* equal loops are written once; the first reads one operand twice */
    assert_non_null(strstr(e.steps.at, "tgk_steps_3(f)"));
    assert_int_equal(emitted_run(&e, input, ""), 0);
    for (int i = 0; i < 4; i++)
        assert_true(((const float *)(void *)e.output[149])[i] == (float)i);
}

#define WITH_CONTEXT(f) cmocka_unit_test_setup_teardown(f, open_context, close_context)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CONTEXT(test_sizes),     WITH_CONTEXT(test_names),      WITH_CONTEXT(test_broadcast),
        WITH_CONTEXT(test_transpose), WITH_CONTEXT(test_concat),     WITH_CONTEXT(test_shape),
        WITH_CONTEXT(test_if),        WITH_CONTEXT(test_data_sizes), WITH_CONTEXT(test_loop),
        WITH_CONTEXT(test_scan),      WITH_CONTEXT(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
