/* Functions: what a model computes after inlining against values worked out by hand (the large case was
 * confirmed by ONNX Runtime on the same graph), names and types that must survive, and calls that must be
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <unistd.h>

#include "frontend/frontend.h"
#include "message.h"

/* --- a bench ------------------------------------------------------------------------------------------------------ */

typedef struct {
    Tg *tg;
    char path[64];
} Bench;

static int set_up(void **state)
{
    Bench *b = calloc(1, sizeof *b);
    strcpy(b->path, "/tmp/test_functions_XXXXXX");
    b->tg = tg_open(NULL);
    int fd = mkstemp(b->path);
    if (!b->tg || fd < 0)
        return -1;
    close(fd);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    Bench *b = *state;
    remove(b->path);
    tg_close(b->tg);
    free(b);
    return 0;
}

/* A model of opset 18 with an input x: f32[4] and a condition c; `parts` are functions, then fields of the
 * graph. */
static TgModel *load(Bench *b, const char *functions, const char *graph)
{
    char text[8192];
    tg_close(b->tg);
    b->tg = tg_open(NULL);
    snprintf(text, sizeof text,
             "1:10 8:{2:18} 8:{1:'loc' 2:1} %s 7:{2:'g' 11:{1:'x' 2:{1:{1:1 2:{1:{1:4}}}}} 11:{1:'c' "
             "2:{1:{1:9 2:{}}}} %s}",
             functions, graph);
    Bytes bytes = message(text);
    write_file(b->path, bytes.at, bytes.n);
    free(bytes.at);
    return tg_load(b->tg, b->path, NULL);
}

static TgModel *load_sound(Bench *b, const char *functions, const char *graph)
{
    TgModel *m = load(b, functions, graph);
    if (!m)
        fail_msg("refused: %s", tg_diag(b->tg, tg_diag_count(b->tg) - 1)->message);
    assert_true(tg_graph_check(m->graph));
    return m;
}

static void assert_refused(Bench *b, const char *functions, const char *graph, TgDiagId id)
{
    assert_null(load(b, functions, graph));
    assert_int_equal(tg_error_count(b->tg), 1);
    assert_string_equal(tg_diag_id_name(tg_diag(b->tg, tg_diag_count(b->tg) - 1)->id), tg_diag_id_name(id));
}

/* Output 0 for x = (-2, -0.5, 0.5, 2). */
static void assert_computes(Bench *b, TgModel *m, bool condition, uint32_t n, const double *expected)
{
    static const TgEvalOptions native = {.mode = TG_EVAL_NATIVE};
    static const double x[] = {-2, -0.5, 0.5, 2};
    static const int64_t four = 4;
    TgArray in[] = {tg_array_new(b->tg, TG_EVAL_NATIVE, TG_f32, 1, &four),
                    tg_array_new(b->tg, TG_EVAL_NATIVE, TG_bool, 0, NULL)};
    TgArray out[8];
    for (int64_t i = 0; i < 4; i++)
        tg_array_set_float(TG_EVAL_NATIVE, &in[0], i, x[i]);
    tg_array_set_int(&in[1], 0, condition);
    assert_true(m->graph->outputs.n <= 8);
    assert_true(tg_eval(b->tg, m->graph, &native, in, out));
    assert_int_equal(out[0].count, n);
    for (int64_t i = 0; i < out[0].count; i++)
        if (tg_array_float(TG_EVAL_NATIVE, &out[0], i) != expected[i])
            fail_msg("element %lld is %g, not %g", (long long)i, tg_array_float(TG_EVAL_NATIVE, &out[0], i),
                     expected[i]);
    for (uint32_t i = 0; i < m->graph->outputs.n; i++)
        tg_array_drop(b->tg, &out[i]);
    tg_array_drop(b->tg, &in[0]);
    tg_array_drop(b->tg, &in[1]);
}

static bool has_name(const TgGraph *g, const char *name)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->name && strcmp(tg_value(g, v)->name, name) == 0)
            return true;
    return false;
}

/* --- functions ---------------------------------------------------------------------------------------------------- */

/* Leak(x; a = 0.25) = LeakyRelu(x; a). Overload 'two': 2x. */
#define LEAK                                                                                                 \
    "25:{1:'Leak' 10:'loc' 4:'x' 5:'y' 9:{2:18} 11:{1:'a' 2:f0.25 20:1}"                                     \
    "   7:{1:'x' 2:'y' 4:'LeakyRelu' 5:{1:'alpha' 21:'a' 20:1}}} "
#define LEAK_TWO                                                                                             \
    "25:{1:'Leak' 10:'loc' 13:'two' 4:'x' 5:'y' 9:{2:18} 7:{2:'c' 4:'Constant' 5:{1:'value_float' 2:f2 "     \
    "20:1}}"                                                                                                 \
    "   7:{1:'x' 1:'c' 2:'y' 4:'Mul'}} "
/* Opt(x, lo, hi; v) = (y, y + v), y = Clip(x, lo, hi) */
#define OPT                                                                                                  \
    "25:{1:'Opt' 10:'loc' 4:'x' 4:'lo' 4:'hi' 5:'y' 5:'z' 6:'v' 9:{2:18} 7:{1:'x' 1:'lo' 1:'hi' 2:'y' "      \
    "4:'Clip'}"                                                                                              \
    "   7:{2:'k' 4:'Constant' 5:{1:'value_float' 21:'v' 20:1}} 7:{1:'y' 1:'k' 2:'z' 4:'Add'}} "
/* Out(x, c; s, p = 0.125) = c ? s t : Leak(t; 0.5), t = Leak(x; p) */
#define OUT                                                                                                  \
    "25:{1:'Out' 10:'loc' 4:'x' 4:'c' 5:'o' 6:'s' 11:{1:'p' 2:f0.125 20:1} 9:{2:18} 9:{1:'loc' 2:1}"         \
    "   7:{1:'x' 2:'t' 4:'Leak' 7:'loc' 5:{1:'a' 21:'p' 20:1}}"                                              \
    "   7:{1:'c' 2:'o' 4:'If' 5:{1:'then_branch' 20:5 6:{1:{2:'k' 4:'Constant' 5:{1:'value_float' 21:'s' "   \
    "20:1}}"                                                                                                 \
    "     1:{1:'t' 1:'k' 2:'r' 4:'Mul'} 12:{1:'r'}}}"                                                        \
    "   5:{1:'else_branch' 20:5 6:{1:{1:'t' 2:'q' 4:'Leak' 7:'loc' 5:{1:'a' 2:f0.5 20:1}} 12:{1:'q'}}}}} "

static void test_defaults_and_overloads(void **state)
{
    Bench *b = *state;
    TgModel *m =
        load_sound(b, LEAK LEAK_TWO,
                   "1:{1:'x' 2:'t' 4:'Leak' 7:'loc' 3:'first'} 1:{1:'t' 2:'u' 4:'Leak' 7:'loc' 8:'two'}"
                   "1:{1:'u' 2:'y' 4:'Leak' 7:'loc' 5:{1:'a' 2:f4 20:1}} 12:{1:'y'}");
    static const double y[] = {-4, -1, 1, 4}; /* 2 * 0.25 * 4 = 2 on the left, 2 on the right */
    assert_computes(b, m, false, 4, y);
    assert_int_equal(tg_graph_count(m->graph, true), 3);
    assert_true(has_name(m->graph, "t") && has_name(m->graph, "u") && has_name(m->graph, "y"));
}

static void test_everything_nested(void **state)
{
    Bench *b = *state;
    TgModel *m =
        load_sound(b, OUT OPT LEAK LEAK_TWO,
                   "5:{2:1 4:f1.5 8:'hi'} 1:{1:'x' 2:'b1' 4:'Leak' 7:'loc' 3:'A'} 1:{1:'b1' 2:'b2' 4:'Leak' "
                   "7:'loc' 8:'two'}"
                   "1:{1:'b2' 1:'' 1:'hi' 2:'b3' 2:'b4' 4:'Opt' 7:'loc' 5:{1:'v' 2:f7 20:1} 3:'B'}"
                   "1:{1:'b3' 1:'c' 2:'b5' 4:'Out' 7:'loc' 5:{1:'s' 2:f3 20:1} 5:{1:'p' 2:f0.75 20:1} 3:'C'}"
                   "1:{1:'c' 2:'nc' 4:'Not'} 1:{1:'b4' 1:'nc' 2:'b6' 4:'Out' 7:'loc' 5:{1:'s' 2:f5 20:1}}"
                   "1:{1:'b5' 1:'b6' 1:'b1' 2:'y' 4:'Concat' 5:{1:'axis' 3:0 20:2}} 12:{1:'y'}");
    static const double then[] = {-2.25, -0.5625, 3, 4.5, 6, 6.75, 8, 8.5, -0.5, -0.125, 0.5, 2};
    static const double otherwise[] = {-0.375, -0.09375, 1, 1.5, 30, 33.75, 40, 42.5, -0.5, -0.125, 0.5, 2};
    assert_computes(b, m, true, 12, then);
    assert_computes(b, m, false, 12, otherwise);
    assert_true(has_name(m->graph, "B/k") && has_name(m->graph, "C/t") && has_name(m->graph, "Out/t"));
}

/* Results that are operands, operands twice, results that nobody wants. */
static void test_passing_through(void **state)
{
    Bench *b = *state;
    static const char swap[] = "25:{1:'Swap' 10:'loc' 4:'p' 4:'q' 5:'q' 5:'p' 9:{2:18}} ";
    TgModel *m = load_sound(b, swap,
                            "1:{1:'x' 2:'n' 4:'Neg'} 1:{1:'x' 1:'n' 2:'a' 2:'b' 4:'Swap' 7:'loc'}"
                            "1:{1:'x' 1:'x' 2:'' 2:'d' 4:'Swap' 7:'loc'} 12:{1:'a'} 12:{1:'b'} 12:{1:'d'}");
    static const double y[] = {2, 0.5, -0.5, -2};
    assert_computes(b, m, false, 4, y);
    assert_int_equal(tg_graph_count(m->graph, true), 1);
    static const char *const names[] = {"a", "b", "d"};
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(m->graph->outputs.at[i].name, names[i]);
}

/* A function's nodes have the meaning of the function's opset: before 13, Softmax was one over all axes
 * from `axis` on. */
static void test_own_opset(void **state)
{
    Bench *b = *state;
    static const char f[] =
        "25:{1:'F' 10:'loc' 4:'x' 5:'y' 9:{2:%d} 7:{2:'s' 4:'Constant' 5:{1:'value_ints' 8:[1 2 2] 20:7}}"
        "7:{1:'x' 1:'x' 2:'o' 4:'Sub'} 7:{1:'o' 1:'s' 2:'t' 4:'Reshape'} 7:{1:'t' 2:'y' 4:'Softmax' "
        "5:{1:'axis' 3:1 20:2}}} ";
    static const double flat[] = {0.25, 0.25, 0.25, 0.25}, by_axis[] = {0.5, 0.5, 0.5, 0.5};
    char text[1024];
    for (int opset = 12; opset <= 13; opset++) {
        snprintf(text, sizeof text, f, opset);
        TgModel *m = load_sound(b, text, "1:{1:'x' 2:'y' 4:'F' 7:'loc'} 12:{1:'y'}");
        assert_computes(b, m, false, 4, opset == 12 ? flat : by_axis);
    }
}

/* Two calls without names, and one whose name is taken by a prefix that we made. */
static void test_unique_prefixes(void **state)
{
    Bench *b = *state;
    static const char f[] =
        "25:{1:'F' 10:'loc' 4:'x' 5:'y' 9:{2:18} 7:{1:'x' 2:'t' 3:'n' 4:'Neg'} 7:{1:'t' 2:'y' 4:'Neg'}} ";
    TgModel *m = load_sound(
        b, f,
        "1:{1:'x' 2:'a' 4:'F' 7:'loc'} 1:{1:'a' 2:'b' 4:'F' 7:'loc'} 1:{1:'b' 2:'d' 4:'F' 7:'loc' 3:'F_1'}"
        "1:{1:'d' 2:'y' 4:'F' 7:'loc' 3:'F'} 12:{1:'y'}");
    for (TgNode i = 1; i < m->graph->nodes.n; i++)
        for (TgNode k = 1; k < i; k++) {
            TgName one = tg_node(m->graph, i)->name, other = tg_node(m->graph, k)->name;
            assert_true(!one || one != other);
        }
    static const double y[] = {-2, -0.5, 0.5, 2};
    assert_computes(b, m, false, 4, y);
}

/* A graph as an attribute of a call keeps the names of its caller. */
static void test_graph_attribute(void **state)
{
    Bench *b = *state;
    static const char f[] = "25:{1:'Pick' 10:'loc' 4:'c' 4:'w' 5:'y' 6:'yes' 9:{2:18} 7:{1:'c' 2:'y' 4:'If' "
                            "5:{1:'then_branch' 21:'yes' 20:5}"
                            "5:{1:'else_branch' 20:5 6:{1:{1:'w' 2:'n' 4:'Neg'} 12:{1:'n'}}}}} ";
    TgModel *m = load_sound(b, f,
                            "1:{1:'x' 2:'w' 4:'Abs'} 1:{1:'c' 1:'x' 2:'y' 4:'Pick' 7:'loc' 5:{1:'yes' 20:5 "
                            "6:{1:{1:'w' 1:'w' 2:'s' 4:'Add'} 12:{1:'s'}}}} 12:{1:'y'}");
    static const double yes[] = {4, 1, 1, 4}, no[] = {2, 0.5, -0.5, -2};
    assert_computes(b, m, true, 4, yes);
    assert_computes(b, m, false, 4, no);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    Bench *b = *state;
    assert_refused(b, LEAK LEAK, "", TG_E_function_twice);
    assert_refused(b, LEAK, "1:{1:'x' 1:'x' 2:'y' 4:'Leak' 7:'loc'} 12:{1:'y'}", TG_E_call_form);
    assert_refused(b, LEAK, "1:{1:'x' 2:'y' 2:'z' 4:'Leak' 7:'loc'} 12:{1:'y'}", TG_E_call_form);
    assert_refused(b, LEAK, "1:{1:'nobody' 2:'y' 4:'Leak' 7:'loc'} 12:{1:'y'}", TG_E_undefined_name);
    assert_refused(b,
                   "25:{1:'F' 10:'loc' 4:'x' 5:'y' 9:{2:18} 7:{1:'c' 2:'y' 4:'Not'}} ", /* c is the graph's */
                   "1:{1:'x' 2:'y' 4:'F' 7:'loc'} 12:{1:'y'}", TG_E_undefined_name);
    assert_refused(b, "25:{1:'F' 10:'loc' 4:'x' 5:'y' 9:{2:18}} ", "1:{1:'x' 2:'y' 4:'F' 7:'loc'} 12:{1:'y'}",
                   TG_E_undefined_name);
    assert_refused(b,
                   "25:{1:'F' 10:'loc' 4:'x' 5:'y' 7:{1:'x' 2:'y' 4:'G' 7:'loc'}} 25:{1:'G' 10:'loc' 4:'x' "
                   "5:'y' 7:{1:'x' 2:'y' 4:'F' 7:'loc'}} ",
                   "1:{1:'x' 2:'y' 4:'F' 7:'loc'} 12:{1:'y'}", TG_E_recursion);
    assert_refused(b, "25:{10:'loc' 4:'x'} ", "", TG_E_nameless);
}

/* Thirty functions, each of which calls the one before twice: two to the power of thirty nodes. */
static void test_product_is_bounded(void **state)
{
    Bench *b = *state;
    char functions[6000] = "25:{1:'F0' 10:'loc' 4:'x' 5:'y' 7:{1:'x' 2:'y' 4:'Neg'}} ";
    for (int i = 1; i <= 30; i++) {
        size_t n = strlen(functions);
        snprintf(functions + n, sizeof functions - n,
                 "25:{1:'F%d' 10:'loc' 4:'x' 5:'y' 7:{1:'x' 2:'t' 4:'F%d' 7:'loc'} 7:{1:'t' 2:'y' 4:'F%d' "
                 "7:'loc'}} ",
                 i, i - 1, i - 1);
    }
    assert_refused(b, functions, "1:{1:'x' 2:'y' 4:'F30' 7:'loc'} 12:{1:'y'}", TG_E_load_budget);
    assert_true(tg_memory_peak(b->tg) < (size_t)100 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_and_overloads),
        TEST(test_everything_nested),
        TEST(test_passing_through),
        TEST(test_own_opset),
        TEST(test_unique_prefixes),
        TEST(test_graph_attribute),
        TEST(test_refusals),
        TEST(test_product_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
