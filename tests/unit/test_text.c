/* The text form: what a text means (checked on the graph), that printing undoes reading, and what is refused
 * where. */
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

static TgModel *parse(Tg *tg, const char *text)
{
    return tg_parse(tg, "t.tg", text, strlen(text));
}

static const char *print(Tg *tg, const TgModel *m)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_print_model(m, &text);
    return text.at;
}

/* Reads, prints, reads, prints: both prints are `expected`. */
static void prints(Tg *tg, const char *source, const char *expected)
{
    TgModel *m = parse(tg, source);
    assert_non_null(m);
    assert_true(tg_graph_check(m->graph));
    assert_string_equal(print(tg, m), expected);
    TgModel *again = parse(tg, expected);
    assert_non_null(again);
    assert_string_equal(print(tg, again), expected);
    TgModel *copy = tg_model_clone(again);
    assert_string_equal(print(tg, copy), expected);
    assert_int_equal(tg_diag_count(tg), 0);
}

static TgNodeInfo *first_node(const TgModel *m)
{
    return tg_node(m->graph, 1);
}

/* --- what a text means ---------------------------------------------------------------------------------- */

static void a_graph(void **state)
{
    Tg *tg = *state;
    TgModel *m =
        parse(tg, "graph @ffn(%x: f32[B,S,768]) { %w = const f32[768,3072] splat(0.5)\n"
                  "  %h = MatMul(%x, %w) : f32[B,S,3072] @\"/mm\"\n return %h as \"y\" : f32[B,S,3072] }");
    assert_non_null(m);
    TgGraph *g = m->graph;
    assert_string_equal(g->name, "ffn");
    assert_int_equal(g->inputs.n, 1);
    TgNodeInfo *n = first_node(m);
    assert_int_equal(n->op, TG_MatMul);
    assert_string_equal(n->name, "/mm");
    assert_int_equal(n->in[0], g->inputs.at[0]);
    assert_int_equal(tg_value(g, n->in[1])->tensor->count, 768 * 3072);
    assert_true(tg_tensor_float(tg, tg_value(g, n->in[1])->tensor, 17) == 0.5);
    TgDim dims[] = {tg_dim_symbol(tg, "B"), tg_dim_symbol(tg, "S"), tg_dim(tg, 3072)};
    assert_ptr_equal(tg_type_of(g, n->out[0]), tg_type(tg, TG_f32, 3, dims));
    assert_string_equal(g->outputs.at[0].name, "y");
    assert_int_equal(tg_model_opset(m, ""), TG_NEWEST_OPSET);
}

static const TgTensor *constant(Tg *tg, const char *text)
{
    TgModel *m = parse(tg, tg_name_format(tg, "graph @c() { %%c = const %s return %%c }", text));
    assert_non_null(m);
    return tg_value(m->graph, m->graph->outputs.at[0].value)->tensor;
}

static void constants(void **state)
{
    Tg *tg = *state;
    const TgTensor *t = constant(tg, "f32[2,3] {{1,2.5,-3e-9},{inf,-inf,0x7fc00001}}");
    float f[6];
    memcpy(f, t->bytes, sizeof f);
    assert_true(f[0] == 1.0f && f[1] == 2.5f && f[2] == -3e-9f && isinf(f[3]) && f[4] == -f[3] &&
                isnan(f[5]));
    assert_memory_equal(t->bytes + 20, "\x01\x00\xc0\x7f", 4);
    t = constant(tg, "i4[3] {-8, 7, 1}"); /* low nibble first */
    assert_memory_equal(t->bytes, "\x78\x01", 2);
    t = constant(tg, "u64[1] {18446744073709551615}");
    assert_memory_equal(t->bytes, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    t = constant(tg, "f16[2] {65504, 0.1}"); /* 0x7bff, 0x2e66: IEEE 754 half precision */
    assert_memory_equal(t->bytes, "\xff\x7b\x66\x2e", 4);
    t = constant(tg, "bool[2] {true, 0}");
    assert_memory_equal(t->bytes, "\x01\x00", 2);
    t = constant(tg, "str[2] {\"a\\u00e9\", \"\\xff\\n\"}");
    assert_int_equal(t->strings[0].n, 3);
    assert_memory_equal(t->strings[0].at, "a\xc3\xa9", 3);
    assert_memory_equal(t->strings[1].at, "\xff\n", 2);
    t = constant(tg, "c64[1] {1, -2}");
    memcpy(f, t->bytes, 8);
    assert_true(f[0] == 1 && f[1] == -2);
    t = constant(tg, "f32[2,2] Transpose(const f32[2,2] {1,2,3,4}; perm={1,0})");
    assert_int_equal(t->payload, TG_RECIPE);
    assert_true(tg_tensor_float(tg, t, 1) == 3 && tg_tensor_float(tg, t, 2) == 2);
}

static void attributes(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse(
        tg,
        "graph @a(%x: f32[2]) { %y = \"d\"::Op(%x; i=-3, f=2.0, s=\"q\", is={1,2}, fs={1.5,2}, e=floats{}, "
        "ss={\"a\"}, t=const i64[1] {7}, ty=type(seq(f32[N])), r=raw(\"00ff\")) return %y }");
    assert_non_null(m);
    const TgAttrs *a = first_node(m)->attrs;
    assert_int_equal(a->n, 10);
    assert_int_equal(tg_attr_find(a, "i")->u.i, -3);
    assert_int_equal(tg_attr_find(a, "f")->kind, TG_A_FLOAT);
    assert_memory_equal(tg_attr_find(a, "s")->u.s.at, "q", 1);
    assert_int_equal(tg_attr_find(a, "is")->u.ints[1], 2);
    assert_int_equal(tg_attr_find(a, "fs")->kind, TG_A_FLOATS);
    assert_true(tg_attr_find(a, "fs")->u.floats[1] == 2.0f);
    assert_int_equal(tg_attr_find(a, "e")->kind, TG_A_FLOATS);
    assert_int_equal(tg_attr_find(a, "e")->n, 0);
    assert_int_equal(tg_tensor_int(tg, tg_attr_find(a, "t")->u.tensors[0], 0), 7);
    assert_int_equal(tg_attr_find(a, "ty")->u.type->kind, TG_SEQUENCE);
    assert_memory_equal(tg_attr_find(a, "r")->u.s.at, "\x00\xff", 2);
    /* what ops.def says decides where the text leaves it open, and defaults are not kept */
    m = parse(tg, "graph @a(%x: f32[2]) { %y = LeakyRelu(%x; alpha=1) %z = Softmax(%y; axis=-1) return %z }");
    assert_non_null(m);
    assert_int_equal(tg_attr_find(first_node(m)->attrs, "alpha")->kind, TG_A_FLOAT);
    assert_int_equal(tg_node(m->graph, 2)->attrs->n, 0);
}

static void captures(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse(tg, "graph @a(%c: bool[], %x: f32[2]) {\n"
                           "  %y = If(%c; then_branch={ %n = If(%c; then_branch={ return %x }, else_branch={ "
                           "%m = Neg(%x) return %m }) return %n },\n"
                           "          else_branch={ return %x })\n  return %y }");
    assert_non_null(m);
    TgNodeInfo *n = first_node(m);
    assert_int_equal(n->n_formal, 1);
    assert_int_equal(n->n_in, 3); /* the condition, captured %c, captured %x */
    assert_int_equal(n->n_sub, 2);
    assert_int_equal(n->sub[1].graph->captures.n, 1);
    assert_true(tg_graph_check(m->graph));
}

/* --- printing undoes reading ---------------------------------------------------------------------------- */

static void header_and_notes(void **state)
{
    prints(*state,
           "doc \"two\\nlines\" opset \"com.microsoft\" 1 opset 17 producer \"me\" ir_version 8\n"
           "graph @g(%\"/a b\": f32[\"x,y\",2*s + 1], %q: f32[2] !doc(\"d\") = const f32[2] {1,2}) "
           "!doc(\"g\") {\n"
           "%z = Neg(%q) @s !unknown(\"0a\") return Neg(Neg(%z)), %z as \"z 2\", %\"/a b\" }",
           "ir_version 8\nopset \"com.microsoft\" 1\nopset 17\nproducer \"me\"\ndoc \"two\\nlines\"\n"
           "graph @g(%\"/a b\": f32[\"x,y\",2*s + 1], %q: f32[2] !doc(\"d\") = const f32[2] {1, 2}) "
           "!doc(\"g\") {\n"
           "  %z = Neg(%q) : f32[2] @s !unknown(\"0a\")\n"
           "  %1 = Neg(%z) : f32[2]\n"
           "  %2 = Neg(%1) : f32[2]\n"
           "  return %2 as \"output_0\", %z as \"z 2\", %\"/a b\"\n"
           "}\n");
}

static void names(void **state)
{ /* a name that is taken, digits as a name, results that nobody reads */
    prints(*state,
           "graph @\"\"(%\"1\": f32[4]) { %1 = Neg(%\"1\") %x = Abs(%1) %7 !name(\"x\") = Abs(%x)\n"
           "  %a, _ = Split(%7; num_outputs=2) _ = Neg(%a) return %a }",
           "graph @\"\"(%\"1\": f32[4]) {\n"
           "  %1 = Neg(%\"1\") : f32[4]\n"
           "  %x = Abs(%1) : f32[4]\n"
           "  %2 !name(\"x\") = Abs(%x) : f32[4]\n"
           "  %a, _ = Split(%2; num_outputs=2) : f32[2], f32[2]\n"
           "  _ = Neg(%a) : f32[2]\n"
           "  return %a\n"
           "}\n");
}

static void printed_constants(void **state)
{
    prints(*state,
           "graph @c() { %r = const f32[8] random(3) %s = const i8[9] splat(-1) %t = const f16[2] {0x7e01, "
           "nan}\n"
           "  %u = const f64[] 0.1 %v = const f32[2] {0.1, 1e-45} %z = const f32[0,2] {} %b = const bool[1] "
           "{1}\n"
           "  %w = const f32[2,3] Transpose(const f32[3,2] splat(2); perm={1,0}) return %r, %s, %t, %u, %v, "
           "%z, %b, %w }",
           "graph @c() {\n"
           "  %r = const f32[8] random(3)\n"
           "  %s = const i8[9] splat(-1)\n"
           "  %t = const f16[2] {0x7e01, nan}\n"
           "  %u = const f64[] 0.1\n"
           "  %v = const f32[2] {0.1, 1.4013e-45}\n"
           "  %z = const f32[0,2] {}\n"
           "  %b = const bool[1] {true}\n"
           "  %w = const f32[2,3] Transpose(const f32[3,2] splat(2); perm={1,0})\n"
           "  return %r, %s, %t, %u, %v, %z, %b, %w\n"
           "}\n");
}

static void printed_attributes(void **state)
{
    prints(*state,
           "graph @a(%x: f32[2]) { %y, %z = \"d\"::\"odd op\":\"o\"(%x, _; f=2.0, t=const i64[1] {7}, "
           "ty=type(seq(f32[N])), "
           "fs={1e10,-inf}, raw=raw(\"00ff\"), s=\"\\\"\", e=ints{}, ts=tensors{const f32[] 1}) : f32[N], ? "
           "return %y, %z }",
           "graph @a(%x: f32[2]) {\n"
           "  %y, %z = \"d\"::\"odd op\":\"o\"(%x, _; e=ints{}, f=2.0, fs={1e+10,-inf}, raw=raw(\"00ff\"), "
           "s=\"\\\"\", "
           "t=const i64[1] {7}, ts=tensors{const f32[] 1}, ty=type(seq(f32[N]))) : f32[N]\n"
           "  return %y, %z\n"
           "}\n");
}

static void printed_subgraphs(void **state)
{
    prints(*state,
           "graph @a(%c: bool[], %x: f32[2]) { %w = const f32[2] {1,2}\n"
           "  %y = If(%c; then_branch={ %k = Add(%x, %w) return %k }, else_branch=@other { return %x as "
           "\"k\" })\n"
           "  %l = Loop(_, %c, %y; body=(%i: i64[], %d: bool[], %s: f32[2]) { %t = Mul(%s, %x) return %d, %t "
           "})\n"
           "  return %l }",
           "graph @a(%c: bool[], %x: f32[2]) {\n"
           "  %w = const f32[2] {1, 2}\n"
           "  %y = If(%c; then_branch={\n"
           "    %k = Add(%x, %w) : f32[2]\n"
           "    return %k\n"
           "  }, else_branch=@other {\n"
           "    return %x as \"k\"\n"
           "  }) : f32[2]\n"
           "  %l = Loop(_, %c, %y; body=(%i: i64[], %d: bool[], %s: f32[2]) {\n"
           "    %t = Mul(%s, %x) : f32[2]\n"
           "    return %d, %t\n"
           "  }) : f32[2]\n"
           "  return %l\n"
           "}\n");
}

static void sizes_that_only_data_tell(void **state)
{ /* the text's symbols stay, whatever inference would invent */
    prints(*state,
           "graph @r(%n: i64[]) { %i = Range(const i64[] 0, Mul(%n, %n), const i64[] 1) : i64[max(0, ~5)] "
           "return %i }",
           "graph @r(%n: i64[]) {\n  %1 = const i64[] 0\n  %2 = const i64[] 1\n  %3 = Mul(%n, %n) : i64[]\n"
           "  %i = Range(%1, %3, %2) : i64[max(0, ~1)]\n  return %i\n}\n");
    prints(*state, "graph @n(%x: f32[3]) { %i = NonZero(%x) : i64[1,K] return %i }",
           "graph @n(%x: f32[3]) {\n  %i = NonZero(%x) : i64[1,K]\n  return %i\n}\n");
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static void refused(Tg *tg, TgDiagId id, uint32_t line, uint32_t column, const char *text)
{
    uint32_t before = tg_diag_count(tg);
    assert_null(parse(tg, text));
    assert_int_equal(tg_diag_count(tg), before + 1);
    const TgDiag *d = tg_diag(tg, before);
    assert_int_equal(d->id, id);
    assert_string_equal(d->place.file, "t.tg");
    assert_int_equal(d->place.line, line);
    assert_int_equal(d->place.column, column);
}

static void refusals(void **state)
{
    Tg *tg = *state;
    refused(tg, TG_E_unknown_value, 2, 8, "graph @a() {\nreturn %y }");
    refused(tg, TG_E_unknown_op, 1, 27, "graph @a(%x: f32[2]) { %y=Foo(%x) return %y }");
    refused(tg, TG_E_unknown_type, 1, 14, "graph @a(%x: f33[2]) { return %x }");
    refused(tg, TG_E_defined_twice, 1, 23, "graph @a(%x: f32[2],  %x: f32[2]) { return %x }");
    refused(tg, TG_E_claimed_type, 1, 35, "graph @a(%x: f32[2]) {%y=Neg(%x): f32[3] return %y}");
    refused(tg, TG_E_const_count, 1, 24, "graph @a() {%c = const f32[3] {1,2} return %c}");
    refused(tg, TG_E_const_type, 1, 25, "graph @a() { %c = const f32[N] splat(1) return %c}");
    refused(tg, TG_E_const_type, 1, 25,
            "graph @a() { %c = const f32[4294967296,4294967296] splat(1) return %c}");
    refused(tg, TG_E_syntax, 1, 34, "graph @a() { %c = const i8[2] {1,200} return %c}");
    refused(tg, TG_E_syntax, 1, 1, "");
    refused(tg, TG_E_syntax, 1, 23, "graph @a() { return } }");
    refused(tg, TG_E_bad_token, 1, 18, "graph @a(%x: \"abc\ndef\"");
    refused(tg, TG_E_external_path, 1, 36, "graph @a() {%c = const f32[2] file(\"../x\", 0) return %c}");
    refused(tg, TG_E_unknown_note, 1, 17, "graph @a() { %c !foo(\"x\") = const f32[] 1 return %c}");
    refused(tg, TG_E_recipe_input, 1, 46, "graph @a(%x: f32[2]) { %c = const f32[2] Neg(%x) return %c}");
}

/* Nested deeper than the limit, or cut off anywhere: an error, never a crash. */
static void hostile(void **state)
{
    Tg *tg = *state;
    TgText deep;
    tg_text_init(&deep, tg_forever(tg));
    tg_text_add(&deep, "graph @a(%x: ");
    for (int i = 0; i < 100000; i++)
        tg_text_add(&deep, "seq(");
    assert_null(parse(tg, deep.at));
    deep.n = 0;
    tg_text_add(&deep, "graph @a(%x: f32[]) { %y = ");
    for (int i = 0; i < 10000; i++)
        tg_text_add(&deep, "Neg(");
    assert_null(parse(tg, deep.at));
    assert_int_equal(tg_diag(tg, tg_diag_count(tg) - 1)->id, TG_E_text_too_deep);
    for (int i = 0; i < 90000; i++) /* as many nodes as no text of this size may ask memory for */
        tg_text_add(&deep, "Neg(");
    assert_null(parse(tg, deep.at));
    assert_int_equal(tg_diag(tg, tg_diag_count(tg) - 1)->id, TG_E_load_budget);
    static const char whole[] =
        "opset 21 graph @a(%x: f32[B,2*s], %c: bool[]) !doc(\"\\u00e9\") { %w = const f32[2] {1,-2e3}\n"
        "%y, _ = \"d\"::Op(%x; t=const f16[1] {0x7e00}, b={ return Neg(%x) }) : f32[], ? @n return %y as z: "
        "? }";
    for (size_t n = 0; n + 1 < sizeof whole - 1; n++)
        assert_null(tg_parse(tg, "cut.tg", whole, n));
    assert_non_null(tg_parse(tg, "cut.tg", whole, sizeof whole - 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_graph),           TEST(constants),
        TEST(attributes),        TEST(captures),
        TEST(header_and_notes),  TEST(names),
        TEST(printed_constants), TEST(printed_attributes),
        TEST(printed_subgraphs), TEST(sizes_that_only_data_tell),
        TEST(refusals),          TEST(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
