/* Axis maps and positions: words derived by hand from what the operators of ONNX do. A row is a graph;
 * its result gets letters a, b, c ... , one per axis that is not 1, and is followed back as far as it
 * goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "passes/axes.h"
#include "passes/positions.h"

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

static TgGraph *parse(Tg *tg, const char *inputs, const char *body)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_format(&text, "graph @t(%s) {\n%s\n  return %%y\n}\n", inputs, body);
    TgModel *m = tg_parse(tg, "row", text.at, text.n);
    if (!m)
        fail_msg("%s: %s", body, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    assert_true(tg_infer_graph(m->graph));
    return m->graph;
}

static void print_word(const Alphabet *a, const Word *w, TgText *text)
{
    Word s = axes_spell(a, w);
    tg_text_add(text, "(");
    for (uint32_t i = 0; i < s.n; i++)
        tg_text_format(text, "%c", 'a' + s.at[i]);
    tg_text_add(text, ")");
}

static const char *map_text(Tg *tg, const Alphabet *a, const AxisMap *map)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_add(&text, "");
    for (int32_t i = 0; i < map->rank; i++)
        print_word(a, &map->axis[i], &text);
    return text.at;
}

/* --- maps --------------------------------------------------------------------------------------------- */

typedef struct {
    const char *inputs, *body;
    const char *words; /* of the deepest value */
} Row;

static void back_rows(void **state)
{
    static const Row rows[] = {
        {"%x: f32[B,S,8]", "%y = Transpose(%x; perm={2,0,1})", "(b)(c)(a)"},
        /* heads split: the last axis is a letter that the result already has, and another one */
        {"%x: f32[B,S,8]", "%y = Transpose(Reshape(%x, const i64[4] {0,0,2,4}); perm={0,2,1,3})",
         "(a)(c)(bd)"},
        /* heads merged: the letter of the last axis (c) is split into d and e */
        {"%x: f32[B,2,S,4]", "%y = Reshape(Transpose(%x; perm={0,2,1,3}), const i64[3] {0,0,8})",
         "(a)(d)(b)(e)"},
        /* batch and heads as one axis: its letter is split */
        {"%x: f32[3,2,5,4]", "%y = Transpose(Reshape(%x, const i64[3] {6,5,4}); perm={0,2,1})",
         "(d)(e)(c)(b)"},
        {"%x: f32[B,1,S]", "%y = Unsqueeze(Squeeze(%x, const i64[1] {1}), const i64[2] {0,3})", "(a)()(b)"},
        /* grouped: the repeated axis is minor, and vanishes; interleaved: it is major */
        {"%x: f32[B,2,S]",
         "%y = Reshape(Expand(Unsqueeze(%x, const i64[1] {2}), const i64[4] {1,1,3,1}), const i64[3] "
         "{0,6,-1})",
         "(a)(d)(c)"},
        {"%x: f32[B,2,S]", "%y = Tile(%x, const i64[3] {1,3,1})", "(a)(e)(c)"},
        {"%x: f32[B,2,S]", "%y = Gather(%x, const i64[6] {0,0,0,1,1,1}; axis=1)", "(a)(d)(c)"},
        {"%x: f32[B,2,S]", "%y = Gather(%x, const i64[6] {0,1,0,1,0,1}; axis=1)", "(a)(e)(c)"},
        {"%x: f32[B,2,S]", "%y = Concat(%x, %x, %x; axis=1)", "(a)(e)(c)"},
        /* no map: elements that move alone, sizes that are not proved */
        {"%x: f32[B,2,S]", "%y = Gather(%x, const i64[4] {0,1,1,0}; axis=1)", "(a)(b)(c)"},
        {"%x: f32[B,S]", "%y = Reshape(%x, const i64[2] {6,-1})", "(a)(b)"},
        {"%x: f32[B,6]", "%y = Reshape(%x, const i64[3] {0,2,-1})", "(a)(bc)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        TgGraph *g = parse(*state, rows[i].inputs, rows[i].body);
        Alphabet a = {.g = g};
        AxisMap map, next;
        assert_true(axes_start(&a, g->outputs.at[0].value, &map));
        while (axes_back(&a, &map, &next))
            map = next;
        const char *words = map_text(*state, &a, &map);
        if (strcmp(words, rows[i].words) != 0)
            fail_msg("%s: %s, expected %s", rows[i].body, words, rows[i].words);
    }
}

static void product_rows(void **state)
{
    static const struct {
        const char *inputs, *body, *first, *second, *inner;
    } rows[] = {
        {"%a: f32[B,2,S,4], %b: f32[B,2,4,T]", "%y = MatMul(%a, %b)", "(a)(b)(c)(e)", "(a)(b)(e)(d)", "(e)"},
        {"%a: f32[B,2,S,4], %b: f32[B,1,4,T]", "%y = MatMul(%a, %b)", "(a)(b)(c)(e)", "(a)()(e)(d)", "(e)"},
        {"%a: f32[B,2,S,4], %b: f32[4,T]", "%y = MatMul(%a, %b)", "(a)(b)(c)(e)", "(e)(d)", "(e)"},
        {"%a: f32[B,S,2,4], %b: f32[B,T,2,4]", "%y = Einsum(%a, %b; equation=\"bqhd, bkhd -> bhqk\")",
         "(a)(c)(b)(e)", "(a)(d)(b)(e)", "(e)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        TgGraph *g = parse(*state, rows[i].inputs, rows[i].body);
        Alphabet a = {.g = g};
        AxisMap map, operand[2];
        Word inner;
        assert_true(axes_start(&a, g->outputs.at[0].value, &map));
        assert_true(axes_product(&a, &map, operand, &inner));
        assert_string_equal(map_text(*state, &a, &operand[0]), rows[i].first);
        assert_string_equal(map_text(*state, &a, &operand[1]), rows[i].second);
        AxisMap summed = {.rank = 1, .axis = {inner}};
        assert_string_equal(map_text(*state, &a, &summed), rows[i].inner);
    }
}

static void arrange_costs(void **state)
{
    TgGraph *g = parse(*state, "%x: f32[2,3,5,7]", "%y = Identity(%x)");
    Alphabet a = {.g = g};
    AxisMap map;
    assert_true(axes_start(&a, g->outputs.at[0].value, &map));
    const Word *w = map.axis;
    Word merged = axes_join(&a, 2, w), crossed = axes_join(&a, 2, (Word[]){w[2], w[1]}), none = {0};
    assert_int_equal(axes_arrange_cost(&a, &map, 4, w), 0);
    assert_int_equal(axes_arrange_cost(&a, &map, 3, (Word[]){merged, w[2], w[3]}), 1); /* Reshape */
    assert_int_equal(axes_arrange_cost(&a, &map, 5, (Word[]){w[0], none, w[1], w[2], w[3]}), 1);
    assert_int_equal(axes_arrange_cost(&a, &map, 4, (Word[]){w[1], w[0], w[2], w[3]}), 1); /* Transpose */
    assert_int_equal(axes_arrange_cost(&a, &map, 3, (Word[]){w[0], crossed, w[3]}), 2);    /* both */
    assert_int_equal(axes_arrange_cost(&a, &map, 3, w), AXES_NO_WAY); /* a letter is missing */
}

/* --- positions ---------------------------------------------------------------------------------------- */

static const char *position_text(Tg *tg, const Alphabet *a, const Position *p)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_dim_print(p->base, &text);
    for (uint32_t i = 0; i < p->n; i++)
        if (p->times[i]) {
            tg_text_format(&text, " %+d", (int)p->times[i]);
            print_word(a, &p->word[i], &text);
        }
    return text.at;
}

/* What a comparison says is >= 0. */
static void compared_rows(void **state)
{
    static const Row rows[] = {
        {"%n: f32[S]",
         "%i = Range(const i64[] 0, Squeeze(Shape(%n)), const i64[] 1)\n"
         "%y = LessOrEqual(Unsqueeze(%i, const i64[1] {0}), Unsqueeze(%i, const i64[1] {1}))",
         "0 +1(a) -1(b)"},
        {"%n: f32[S]",
         "%i = Range(const i64[] 0, Squeeze(Shape(%n)), const i64[] 1)\n"
         "%y = Less(%i, Add(Unsqueeze(%i, const i64[1] {1}), const i64[] 1))",
         "0 +1(a) -1(b)"},
        {"%n: f32[S], %p: f32[P]",
         "%i = Range(const i64[] 0, Squeeze(Shape(%n)), const i64[] 1)\n"
         "%y = Greater(%i, Add(Unsqueeze(%i, const i64[1] {1}), Squeeze(Shape(%p))))",
         "-P - 1 +1(b) -1(a)"},
        {"%n: f32[S]", "%i = Cast(const i32[5] {3,4,5,6,7}; to=7)\n%y = GreaterOrEqual(%i, const i64[] 4)",
         "-1 +1(a)"},
        {"%n: f32[S]", "%y = LessOrEqual(const i64[3] {0,1,3}, const i64[] 4)", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        TgGraph *g = parse(*state, rows[i].inputs, rows[i].body);
        Alphabet a = {.g = g};
        AxisMap map;
        Position p;
        assert_true(axes_start(&a, g->outputs.at[0].value, &map));
        bool known = position_compared(&a, &map, &p);
        const char *text = known ? position_text(*state, &a, &p) : NULL;
        if (known != (rows[i].words != NULL) || (known && strcmp(text, rows[i].words) != 0))
            fail_msg("%s: %s, expected %s", rows[i].body, known ? text : "nothing",
                     rows[i].words ? rows[i].words : "nothing");
    }
}

/* A Slice from a known start shifts indices. */
static void slices_shift(void **state)
{
    TgGraph *g = parse(*state, "%x: i64[9,4]",
                       "%i = const i64[9] {0,1,2,3,4,5,6,7,8}\n"
                       "%y = Slice(%i, const i64[1] {2}, const i64[1] {6}, const i64[1] {0})");
    Alphabet a = {.g = g};
    AxisMap map;
    Position p;
    assert_true(axes_start(&a, g->outputs.at[0].value, &map));
    assert_true(position_of(&a, &map, &p));
    assert_string_equal(position_text(*state, &a, &p), "2 +1(a)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(back_rows, open_context, close_context),
        cmocka_unit_test_setup_teardown(product_rows, open_context, close_context),
        cmocka_unit_test_setup_teardown(arrange_costs, open_context, close_context),
        cmocka_unit_test_setup_teardown(compared_rows, open_context, close_context),
        cmocka_unit_test_setup_teardown(slices_shift, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
