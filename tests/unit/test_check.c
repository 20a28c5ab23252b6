/* The structural check: a sound graph passes, and every invariant, broken by hand, is reported under its
 * number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static const char source[] =
    "graph @g(%x: f32[2,3], %c: bool[]) { %w = const f32[3,3] splat(1) %h = MatMul(%x, %w)\n"
    "%s = Softmax(%h; axis=0) %y = If(%c; then_branch={ return %s }, else_branch={ return Neg(%h) })\n"
    "return %y, %h }";

static TgGraph *sound(Tg *tg)
{
    TgModel *m = tg_parse(tg, "g.tg", source, sizeof source - 1);
    assert_non_null(m);
    assert_true(tg_graph_check(m->graph));
    assert_int_equal(tg_diag_count(tg), 0);
    return m->graph;
}

/* The check fails, and names this invariant. */
static void broken(Tg *tg, TgGraph *g, int number)
{
    char text[32];
    bool named = false;
    snprintf(text, sizeof text, "breaks invariant %d (", number);
    assert_false(tg_graph_check(g));
    for (uint32_t i = 0; i < tg_diag_count(tg); i++)
        named |= strstr(tg_diag(tg, i)->message, text) != NULL;
    assert_true(named);
    tg_diag_forget(tg, 0);
}

static TgNode node_of(TgGraph *g, TgOp op)
{
    for (TgNode n = 1; n < g->nodes.n; n++)
        if (tg_node(g, n)->op == op)
            return n;
    return 0;
}

static void refs(void **state)
{
    TgGraph *g = sound(*state);
    tg_node(g, node_of(g, TG_MatMul))->in[1] = 99;
    broken(*state, g, 1);
}

static void origin(void **state)
{
    TgGraph *g = sound(*state);
    tg_value(g, g->inputs.at[0])->index = 1;
    broken(*state, g, 2);
}

static void type(void **state)
{
    TgGraph *g = sound(*state);
    TgValue w = tg_node(g, node_of(g, TG_MatMul))->in[1];
    tg_value(g, w)->type = tg_type_of(g, g->inputs.at[0]);
    broken(*state, g, 3);
}

static void uses(void **state)
{
    TgGraph *g = sound(*state);
    TgNode n = node_of(g, TG_MatMul);
    tg_value(g, tg_node(g, n)->in[0])->uses.n = 0;
    broken(*state, g, 4);
    g = sound(*state);
    tg_node(g, node_of(g, TG_Softmax))->in[0] = g->inputs.at[0];
    broken(*state, g, 4);
}

static void returned(void **state)
{
    TgGraph *g = sound(*state);
    tg_value(g, g->outputs.at[1].value)->returned = 2;
    broken(*state, g, 5);
}

static void cycle(void **state)
{
    TgGraph *g = sound(*state);
    tg_set_input(g, node_of(g, TG_MatMul), 0, tg_node(g, node_of(g, TG_Softmax))->out[0]);
    broken(*state, g, 6);
}

static void order(void **state)
{
    TgGraph *g = sound(*state);
    uint32_t n;
    tg_graph_order(g, &n);
    assert_true(n >= 2);
    TgNode first = g->order.at[0];
    g->order.at[0] = g->order.at[1];
    g->order.at[1] = first;
    broken(*state, g, 7);
}

static void operator(void **state)
{
    TgGraph *g = sound(*state);
    TgNodeInfo *n = tg_node(g, node_of(g, TG_MatMul));
    n->op = TG_Neg; /* one operand, not two */
    broken(*state, g, 8);
}

static void attributes(void **state)
{
    TgGraph *g = sound(*state);
    tg_node(g, node_of(g, TG_Softmax))->attrs = NULL;
    broken(*state, g, 9);
}

static void subgraphs(void **state)
{
    TgGraph *g = sound(*state);
    tg_node(g, node_of(g, TG_If))->sub[0].graph->outer = NULL;
    broken(*state, g, 10);
}

static void captures(void **state)
{
    TgGraph *g = sound(*state);
    tg_node(g, node_of(g, TG_If))->sub[0].outer.at[0] = 0; /* the condition */
    broken(*state, g, 11);
}

static void interface(void **state)
{
    Tg *tg = *state;
    TgGraph *g = sound(tg);
    g->outputs.at[1].name = g->outputs.at[0].name;
    broken(tg, g, 12);
}

static void all_are_reported(void **state)
{
    Tg *tg = *state;
    TgGraph *g = sound(tg);
    g->outputs.at[1].name = g->outputs.at[0].name;
    tg_node(g, node_of(g, TG_Softmax))->attrs = NULL;
    assert_false(tg_graph_check(g));
    assert_true(tg_diag_count(tg) >= 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(refs),
                                       TEST(origin),
                                       TEST(type),
                                       TEST(uses),
                                       TEST(returned),
                                       TEST(cycle),
                                       TEST(order),
                                       TEST(operator),
                                       TEST(attributes),
                                       TEST(subgraphs),
                                       TEST(captures),
                                       TEST(interface),
                                       TEST(all_are_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
