/* What the matcher takes and what it leaves alone: one rule, one graph, and the operators that must remain.
 * The rules here are about matching; most would not survive a proof. */
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

static void ignore(void *user, TgNode n)
{
    (void)user, (void)n;
}

/* Every rule at every node, once. */
static void apply_all(TgBook *book, TgGraph *g, int64_t opset)
{
    TgMatcher *m = tg_matcher_new(book, g, &(TgMatchOptions){.opset = opset});
    TgRewrite found;
    for (TgNode n = 1, last = g->nodes.n; n < last; n++) {
        if (!tg_matcher_find(m, n, 0, &found) || !tg_matcher_make(m, &found))
            continue;
        for (uint32_t i = 0; i < found.n; i++)
            tg_replace(g, found.old[i], found.made[i]);
        for (uint32_t i = 0; i < found.n; i++)
            tg_matcher_replaced(m, found.made[i], ignore, NULL);
    }
    tg_matcher_free(m);
    tg_remove_dead(g);
    assert_true(tg_graph_check(g));
}

/* How often the word stands in a list of words. */
static uint32_t count(const char *words, const char *word)
{
    uint32_t n = 0;
    size_t length = strlen(word);
    for (const char *at = words; *at; at += strcspn(at, " "), at += *at == ' ')
        n += strcspn(at, " ") == length && memcmp(at, word, length) == 0;
    return n;
}

/* The operators that are left, in the order of the nodes. */
static const char *left_over(Tg *tg, TgGraph *g)
{
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_add(&text, "");
    for (uint32_t i = 0; i < n; i++)
        tg_text_format(&text, "%s%s", i ? " " : "", tg_op_text(tg, tg_node(g, order[i])->op));
    return text.at;
}

/* The same operators, in any order. */
static void assert_operators(Tg *tg, TgGraph *g, const char *expected)
{
    const char *left = left_over(tg, g);
    bool same = strlen(left) == strlen(expected);
    for (TgOp op = 1; op < TG_OP_COUNT; op++)
        same = same && count(left, tg_op_text(tg, op)) == count(expected, tg_op_text(tg, op));
    if (!same)
        print_error("left are '%s', not '%s'\n", left, expected);
    assert_true(same);
}

static TgModel *apply_to(Tg *tg, const char *head, const char *rule, const char *graph)
{
    TgName xml =
        tg_name_format(tg,
                       "<rules topic='t'><rule name='r' class='reassoc' measure='cost'><why>w</why>%s"
                       "<try/></rule></rules>",
                       rule);
    TgName text =
        tg_name_format(tg, "%s graph @g(%%x: f32[2,4], %%y: f32[2,4], %%z: f32[2,4]) { %s }", head, graph);
    TgBook *book = tg_book_new(tg);
    bool read = tg_book_add_text(book, "t.xml", xml, strlen(xml)) && tg_book_close(book);
    TgModel *m = read ? tg_parse(tg, "t.tg", text, strlen(text)) : NULL;
    for (uint32_t i = 0; !m && i < tg_diag_count(tg); i++)
        print_error("%u:%u: %s\n", tg_diag(tg, i)->place.line, tg_diag(tg, i)->place.column,
                    tg_diag(tg, i)->message);
    assert_non_null(m);
    apply_all(book, m->graph, tg_model_opset(m, ""));
    assert_int_equal(tg_diag_count(tg), 0);
    tg_book_free(book);
    return m;
}

static void run(Tg *tg, const char *head, const char *rule, const char *graph, const char *expected)
{
    TgModel *m = apply_to(tg, head, rule, graph);
    assert_operators(tg, m->graph, expected);
    tg_model_free(m);
}

/* Only what makes the first output is looked at. */
static void check_last(Tg *tg, const char *rule, const char *graph, const char *op)
{
    TgModel *m = apply_to(tg, "", rule, graph);
    TgOp found = tg_node(m->graph, tg_value(m->graph, m->graph->outputs.at[0].value)->node)->op;
    if (strcmp(tg_op_text(tg, found), op) != 0)
        print_error("%s on %s: %s\n", rule, graph, tg_op_text(tg, found));
    assert_string_equal(tg_op_text(tg, found), op);
    tg_model_free(m);
}

#define IS(rule, graph, expected) run(*state, "", rule, graph, expected)

static void operands_are_exchanged(void **state)
{
    const char *rule =
        "<match>Mul(Neg(a), Add(b, Exp(c)))</match><when>same_type(b, c)</when><give>Max(a, b, c)</give>";
    IS(rule, "return Mul(Neg(%x), Add(%y, Exp(%z)))", "Max");
    IS(rule, "return Mul(Add(%y, Exp(%z)), Neg(%x))", "Max");
    IS(rule, "return Mul(Add(Exp(%z), %y), Neg(%x))", "Max");
    IS(rule, "return Mul(Neg(%x), Add(Exp(%z), %y))", "Max");
    IS(rule, "return Mul(Neg(%x), Sub(%y, Exp(%z)))", "Neg Exp Sub Mul");
    IS("<match>Sub(Neg(a), b)</match><give>Max(a, b)</give>", "return Sub(%y, Neg(%x))", "Neg Sub");
}

static void conditions_choose_operands(void **state)
{
    const char *rule = "<match>Mul(Neg(a), c)</match><when>const(c)</when><give>Mul(a, Neg(c))</give>";
    IS(rule, "%k = const f32[] 3 return Mul(Neg(%x), %k)", "Neg Mul"); /* Neg of the constant */
    rule = "<match>Mul(a, c)</match><when>const(c) floating(c)</when><give>a</give>";
    IS(rule, "%k = const f32[] 3 return Mul(%k, %x)", "");
    IS(rule, "%k = const f32[] 3 return Mul(%x, %k)", "");
    IS(rule, "return Mul(%x, %y)", "Mul");
}

static void names_are_shared(void **state)
{
    const char *rule = "<match>Mul(a, Sigmoid(a))</match><give>Neg(a)</give>";
    IS(rule, "return Mul(%x, Sigmoid(%x))", "Neg");
    IS(rule, "return Mul(Sigmoid(%x), %x)", "Neg");
    IS(rule, "return Mul(Sigmoid(%x), %y)", "Sigmoid Mul");
    rule = "<match>Div(d:Sub(a, b), Sqrt(Mul(d, d)))</match><give>Sub(a, b)</give>";
    IS(rule, "%d = Sub(%x, %y) return Div(%d, Sqrt(Mul(%d, %d)))", "Sub");
    IS(rule, "%d = Sub(%x, %y) %e = Sub(%y, %x) return Div(%d, Sqrt(Mul(%d, %e)))", "Sub Sub Mul Sqrt Div");
    /* equal constants are one value */
    rule = "<match>Add(Mul(a, c), Mul(b, c))</match><when>const(c)</when><give>Add(a, b)</give>";
    IS(rule, "%c = const f32[] 3 %d = const f32[] 3 return Add(Mul(%x, %c), Mul(%y, %d))", "Add");
    IS(rule, "%c = const f32[] 3 %d = const f32[] 4 return Add(Mul(%x, %c), Mul(%y, %d))", "Mul Mul Add");
}

static void spellings(void **state)
{
    const char *rule = "<match>Exp((Pow(a, 2) | Mul(a, a) | Neg(a)))</match><give>Exp(a)</give>";
    IS(rule, "%two = const f32[] 2 return Exp(Pow(%x, %two))", "Exp");
    IS(rule, "return Exp(Mul(%x, %x))", "Exp");
    IS(rule, "return Exp(Neg(%x))", "Exp");
    IS(rule, "return Exp(Mul(%x, %y))", "Mul Exp");
    IS(rule, "%two = const f32[] 3 return Exp(Pow(%x, %two))", "Pow Exp");
    rule = "<match>Exp(Neg(a)) | Log(Abs(a))</match><give>Neg(a)</give>";
    IS(rule, "return Exp(Neg(%x)), Log(Abs(%y)), Log(Neg(%z))", "Neg Neg Neg Log");
    /* an alternative fits, but only another one leads to the end */
    rule = "<match>Add((Neg(a) | Neg(Neg(a))), Abs(a))</match><give>Neg(a)</give>";
    IS(rule, "return Add(Neg(Neg(%x)), Abs(%x))", "Neg");
}

static void numbers(void **state)
{
    const char *rule = "<match>Mul(a, 0.7978845608)</match><give>a</give>";
    IS(rule, "%c = const f32[] 0.79788458 return Mul(%x, %c)", "");
    IS(rule, "%c = const f32[1,1] 0.797884 return Mul(%x, %c)", "Mul"); /* too far */
    IS(rule, "%c = const f32[] 0.798 return Mul(%x, %c)", "Mul");
    rule = "<match>Mul(a, 0.7978845608~)</match><give>a</give>";
    IS(rule, "%c = const f32[] 0.79785156 return Mul(%x, %c)", ""); /* what f16 makes of it */
    IS(rule, "%c = const f32[] 0.79 return Mul(%x, %c)", "Mul");
    rule = "<match>Mul(a, 1)</match><give>a</give>";
    IS(rule, "%c = const f32[2,4] splat(1) return Mul(%x, %c)", "");
    IS(rule, "%c = const f32[4] {1,1,1,2} return Mul(%x, %c)", "Mul");
    IS(rule, "%c = const f32[3,2,4] splat(1) return Mul(%x, %c)", "Mul"); /* it widens the result */
}

static void attributes(void **state)
{
    const char *rule = "<match>Neg(Softmax(a; axis=k))</match><give>Softmax(a; axis=k-1)</give>";
    IS(rule, "return Neg(Softmax(%x; axis=1))", "Softmax");
    rule = "<match>Neg(Softmax(a; axis=0))</match><give>Softmax(a)</give>";
    IS(rule, "return Neg(Softmax(%x; axis=0)), Neg(Softmax(%y; axis=1))", "Softmax Softmax Neg");
    rule = "<match>Neg(Softmax(a))</match><give>Softmax(a)</give>"; /* the default, -1 */
    IS(rule, "return Neg(Softmax(%x)), Neg(Softmax(%y; axis=0))", "Softmax Softmax Neg");
    rule = "<match>Transpose(Transpose(a; perm={i, j}); perm={i, j})</match><give>a</give>";
    IS(rule, "return Transpose(Transpose(%x; perm={1,0}); perm={1,0})", "");
    rule = "<match>Neg(Gelu(a; approximate=\"tanh\"))</match><give>Gelu(a)</give>";
    IS(rule, "return Neg(Gelu(%x; approximate=\"tanh\")), Neg(Gelu(%y))", "Gelu Gelu Neg");
    rule = "<match>Neg(Softmax(a; axis=k))</match><when>last_axis(k, a)</when><give>Softmax(a; axis=axis(k, "
           "a))</give>";
    IS(rule, "return Neg(Softmax(%x; axis=1)), Neg(Softmax(%x; axis=-1)), Neg(Softmax(%x; axis=0))",
       "Softmax Softmax Softmax Neg");
}

static void absent_operands(void **state)
{
    const char *rule = "<match>Neg(Gemm(a, b, c?; transB=t))</match><give>Gemm(a, b, c; transB=t)</give>";
    IS(rule, "%w = const f32[4,4] random(1) return Neg(Gemm(%x, %w)), Neg(Gemm(%x, %w, %y))", "Gemm Gemm");
    rule = "<match>Neg(Gemm(a, b))</match><give>Gemm(a, b)</give>";
    IS(rule, "%w = const f32[4,4] random(1) return Neg(Gemm(%x, %w)), Neg(Gemm(%x, %w, %y))",
       "Gemm Gemm Neg");
    rule = "<match>Neg(Clip(a, _, h))</match><give>Clip(a, _, h)</give>";
    IS(rule, "%h = const f32[] 1 return Neg(Clip(%x, _, %h)), Neg(Clip(%x, %h, %h))", "Clip Clip Neg");
}

static void tails(void **state)
{
    const char *rule =
        "<match>Neg(Concat(a, rest...; axis=k))</match><give>Concat(a, rest...; axis=k)</give>";
    IS(rule, "return Neg(Concat(%x, %y, %z; axis=0)), Neg(Concat(%x; axis=0))", "Concat Concat");
}

static void lists(void **state)
{
    const char *rule = "<match>Neg(ReduceMean(a, {-1}))</match><give>ReduceMean(a, {-1})</give>";
    IS(rule,
       "%i = const i64[1] {-1} %j = const i64[1] {0} return Neg(ReduceMean(%x, %i)), Neg(ReduceMean(%x, %j))",
       "ReduceMean ReduceMean Neg");
    rule = "<match>Unsqueeze(Unsqueeze(a, {i}), {j})</match><give>Unsqueeze(a, {i, j})</give>";
    IS(rule, "%i = const i64[1] {0} %j = const i64[1] {1} return Unsqueeze(Unsqueeze(%x, %i), %j)",
       "Unsqueeze");
}

static void types(void **state)
{
    const char *rule =
        "<match>Neg(MatMul(a:?[*, K], b:f32[K, K]))</match><when>equal(K, 4)</when><give>MatMul(a, b)</give>";
    IS(rule, "%w = const f32[4,4] random(1) return Neg(MatMul(%x, %w))", "MatMul");
    IS(rule, "%w = const f32[4,5] random(1) return Neg(MatMul(%x, %w))", "MatMul Neg");
    rule = "<match>Neg(Exp(a:?[..., 4]))</match><give>Exp(a)</give>";
    IS(rule, "return Neg(Exp(%x))", "Exp");
    rule = "<match>Neg(Exp(a:?[*]))</match><give>Exp(a)</give>";
    IS(rule, "return Neg(Exp(%x))", "Exp Neg");
    rule = "<match>Neg(Exp(a))</match><give>Mul(a, 2:?[dim(a, -1)])</give>";
    IS(rule, "return Neg(Exp(%x))", "Mul");
}

#define MS "opset 23 opset \"com.microsoft\" 1"

static void several_outputs(void **state)
{
    const char *rule =
        "<match>s = Add(a, b) n = LayerNormalization(s, w, c?; epsilon=e)</match>"
        "<give>n, _, _, s = com.microsoft.SkipLayerNormalization(a, b, w, c; epsilon=e)</give>";
    const char *graph =
        "%w = const f32[4] random(1) %s = Add(%x, %y) %n = LayerNormalization(%s, %w) return Neg(%s), %n";
    run(*state, MS, rule, graph, "com.microsoft.SkipLayerNormalization Neg");
    run(*state, "", rule, graph, "Add LayerNormalization Neg"); /* the model does not know com.microsoft */
    /* a value between them: the new node would need itself */
    run(*state, MS, rule,
        "%w = const f32[4] random(1) %s = Add(%x, %y) %v = ReduceMean(%s; keepdims=0) "
        "%n = LayerNormalization(%s, Mul(%w, %v)) return Neg(%s), %n",
        "Add ReduceMean Mul LayerNormalization Neg");
}

/* The second line is found among the readers of what the first one bound. */
static void lines_beside_each_other(void **state)
{
    const char *rule =
        "<match>p = MatMul(a, u:?[K, M]) q = MatMul(a, v:?[K, M])</match><when>const(u) const(v)</when>"
        "<give>q, p = Split(MatMul(a, Concat(v, u; axis=1)); axis=-1, num_outputs=2)</give>";
    const char *weights =
        "%u = const f32[4,3] random(1) %v = const f32[4,3] random(2) %t = const f32[4,2] random(3) ";
    Tg *tg = *state;
    IS(rule, tg_name_format(tg, "%s return MatMul(%%x, %%u), MatMul(%%x, %%v)", weights),
       "Concat MatMul Split");
    IS(rule, tg_name_format(tg, "%s return MatMul(%%x, %%u), MatMul(%%y, %%v)", weights), "MatMul MatMul");
    IS(rule, tg_name_format(tg, "%s return MatMul(%%x, %%u), MatMul(%%x, %%t)", weights), "MatMul MatMul");
    IS(rule, tg_name_format(tg, "%s return MatMul(%%x, %%u), MatMul(%%x, Exp(%%v))", weights),
       "MatMul Exp MatMul");
}

static void newest_operators(void **state)
{
    const char *rule = "<match>Neg(Exp(a))</match><give>Gelu(a)</give>";
    run(*state, "opset 20", rule, "return Neg(Exp(%x))", "Gelu");
    run(*state, "opset 19", rule, "return Neg(Exp(%x))", "Exp Neg");
}

static void uses(void **state)
{
    const char *rule = "<match>Neg(m:Exp(a))</match><when>one_use(m)</when><give>Exp(a)</give>";
    IS(rule, "return Neg(Exp(%x))", "Exp");
    IS(rule, "%m = Exp(%x) return Neg(%m), %m", "Exp Neg");
    IS(rule, "%m = Exp(%x) return Neg(%m), Abs(%m)", "Exp Neg Abs");
    rule = "<match>Neg(m:Exp(a))</match><when>not one_use(m)</when><give>Exp(a)</give>";
    IS(rule, "%m = Exp(%x) return Neg(%m), Abs(%m)", "Exp Exp Abs");
}

/* Each row of conds.def, once where it holds and once where it does not. */
static void conditions(void **state)
{
    static const struct {
        const char *when, *holds, *fails; /* how b is made; NULL: b is a, which is f32[2,4] */
    } cases[] = {
        {"const(b)", "%b = const f32[4] random(1)", "%b = Exp(%y)"},
        {"one_element(b)", "%b = const f32[1,1] 3", "%b = const f32[4] splat(3)"},
        {"splat(b)", "%b = const f32[4] splat(3)", "%b = const f32[4] {3,3,3,4}"},
        {"positive(b)", "%b = const f32[4] splat(3)", "%b = const f32[4] splat(0)"},
        {"finite(b)", "%b = const f32[4] splat(3)", "%b = const f32[] -inf"},
        {"near(b, 0.1)", "%b = const f32[] 0.1", "%b = const f32[] 0.1001"},
        {"floating(b)", "%b = Exp(%y)", "%b = Shape(%y)"},
        {"dtype(b, i64)", "%b = Shape(%y)", "%b = Exp(%y)"},
        {"same_dtype(a, b)", "%b = ReduceMax(%y)", "%b = Shape(%y)"},
        {"same_type(a, b)", "%b = Exp(%y)", "%b = ReduceMax(%y)"},
        {"one_use(b)", "%b = Exp(%y)", "%b = Exp(%y) %u = Neg(%b)"},
        {"fits(b, a)", "%b = const f32[2,1] random(1)", "%b = const f32[3,1,1] random(1)"},
        {"varies_only_on_last_axis(b)", "%b = const f32[1,4] random(1)", "%b = const f32[2,1] random(1)"},
        {"last_axis(rank(b) - 1, a)", "%b = Exp(%y)", "%b = const f32[4] random(1)"},
        {"last_axes(b, a)", "%b = const i64[1] {1}", "%b = const i64[1] {0}"},
        {"last_axes(b, a)", "%b = const i64[2] {1,-2}", "%b = const i64[2] {1,-1}"},
        {"equal(first_axis(b, a), -2)", "%b = const i64[2] {1,0}", "%b = const i64[1] {-1}"},
        {"sizes_from(a, b, 1)", "%b = const f32[3,2,4] random(1)", "%b = const f32[3,4,2] random(1)"},
        {"distinct(a, b)", "%b = Exp(%y)", NULL},
        {"equal(dim(b, 0), 2)", "%b = Exp(%y)", "%b = const f32[4] random(1)"},
        {"less(rank(b), 2)", "%b = const f32[4] random(1)", "%b = Exp(%y)"},
        {"equal(mod(max(rank(b) * 2, 7) // 3, 3) + min(int(b), 1), 3)", "%b = const i64[] 3",
         "%b = const f32[] 3.5"},
    };
    Tg *tg = *state;
    uint32_t rows;
    const TgRuleWord *words = tg_rule_conditions(&rows);
    for (uint32_t r = 0; r < rows; r++) {
        bool tested = false;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            tested = tested || strncmp(cases[i].when, words[r].name, strlen(words[r].name)) == 0;
        if (!tested)
            print_error("no case for the condition %s\n", words[r].name);
        assert_true(tested);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *a = strstr(cases[i].when, "a)") || strstr(cases[i].when, "(a") ? "a" : "_a";
        TgName rule = tg_name_format(
            tg, "<match>Neg(CastLike(%s, b))</match><when>%s</when><give>CastLike(%s, b)</give>", a,
            cases[i].when, a);
        for (int k = 0; k < 2; k++) {
            const char *made = k ? cases[i].fails : cases[i].holds;
            TgName graph = tg_name_format(tg, "%s %%r = Neg(CastLike(%%x, %s)) return %%r", made ? made : "",
                                          made ? "%b" : "%x");
            check_last(tg, rule, graph, k ? "Neg" : "CastLike");
        }
    }
}

/* Made nodes are looked at again, and so are their readers: one sweep over the old nodes is enough here. */
static void classes_follow_changes(void **state)
{
    const char *rule = "<match>Neg(Neg(a))</match><give>a</give>";
    IS(rule, "return Neg(Neg(Neg(Neg(Neg(%x)))))", "Neg");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(operands_are_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions_choose_operands, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_shared, setup, teardown),
        cmocka_unit_test_setup_teardown(spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(attributes, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_operands, setup, teardown),
        cmocka_unit_test_setup_teardown(tails, setup, teardown),
        cmocka_unit_test_setup_teardown(lists, setup, teardown),
        cmocka_unit_test_setup_teardown(types, setup, teardown),
        cmocka_unit_test_setup_teardown(several_outputs, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_beside_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(newest_operators, setup, teardown),
        cmocka_unit_test_setup_teardown(uses, setup, teardown),
        cmocka_unit_test_setup_teardown(conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(classes_follow_changes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
