/* Times the rule engine alone: a generated book of RULES rules over a generated graph of NODES nodes, to the
 * fixed point and without checks. Prints the seconds of closing the book and of the pass `rewrite`, and what
 * it did.
 *
 *   cmake --build build --target bench_rules && build/bench_rules [RULES [NODES]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "passes/passes.h"

static const char *const unary[] = {"Abs",   "Neg",  "Exp",  "Log",   "Sqrt", "Reciprocal", "Sin",
                                    "Cos",   "Tan",  "Asin", "Acos",  "Atan", "Asinh",      "Acosh",
                                    "Atanh", "Tanh", "Erf",  "Floor", "Ceil", "Round"};
static const char *const binary[] = {"Add", "Mul", "Sub", "Div"};
enum { UNARY = sizeof unary / sizeof *unary, BINARY = sizeof binary / sizeof *binary };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Rule i: one of four shapes over operators that i chooses; no two are the same. */
static void add_rule(TgText *out, uint32_t i)
{
    const char *a = unary[i % UNARY], *b = unary[i / UNARY % UNARY], *two = binary[i % BINARY];
    tg_text_format(out, "<rule name='r%u' class='exact'><why>w</why><match>", i);
    switch (i / 100) {
    case 0: tg_text_format(out, "%s(%s(%s(x)))</match><give>%s(x)</give>", a, b, unary[i % 7], a); break;
    case 1: tg_text_format(out, "%s(%s(%s(x)), y)</match><give>%s(x, y)</give>", two, a, b, two); break;
    default: tg_text_format(out, "%s(%s(x), %s(x))</match><give>%s(x)</give>", two, a, b, a); break;
    }
    tg_text_add(out, "<try/></rule>\n");
}

static TgBook *make_book(Tg *tg, uint32_t rules)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_add(&text, "<rules topic='generated'>");
    for (uint32_t i = 0; i < rules; i++)
        add_rule(&text, i);
    tg_text_add(&text, "</rules>");
    TgBook *book = tg_book_new(tg);
    return tg_book_add_text(book, "generated", text.at, text.n) && tg_book_close(book) ? book : NULL;
}

static uint32_t random_below(uint64_t *seed, uint32_t n)
{
    *seed = tg_mix(*seed, 1);
    return (uint32_t)(*seed >> 20) % n;
}

/* Nodes over the values of the last hundred; every fourth is binary; few operators, so that rules find
 * something. */
static TgModel *make_model(Tg *tg, uint32_t nodes)
{
    TgModel *m = tg_model_new(tg);
    TgGraph *g = m->graph;
    TgImport opset = {tg_name(tg, ""), TG_NEWEST_OPSET};
    TG_PUSH(m->arena, &m->imports, opset);
    TgValue *made = TG_NEW_N(m->arena, TgValue, nodes + 1);
    made[0] = tg_graph_input(g, tg_type_known(tg, TG_f32, 2, (int64_t[]){8, 8}), "x");
    uint64_t seed = 1;
    for (uint32_t i = 1; i <= nodes; i++) {
        uint32_t back = i < 100 ? i : 100;
        TgValue x = made[i - 1 - random_below(&seed, back < 3 ? back : 3)],
                y = made[i - 1 - random_below(&seed, back)];
        bool two = random_below(&seed, 4) == 0;
        TgOp op =
            tg_op_find(tg, "", two ? binary[random_below(&seed, BINARY)] : unary[random_below(&seed, 8)]);
        made[i] = two ? tg_op(g, op, NULL, 2, x, y) : tg_op(g, op, NULL, 1, x);
    }
    for (uint32_t i = 0; i <= nodes; i++)
        if (!tg_value(g, made[i])->uses.n)
            tg_graph_return(g, made[i], tg_name_format(tg, "y%u", i), NULL);
    return m;
}

static uint32_t applied_by_rules(const TgReport *report)
{
    for (uint32_t i = 0; i < report->passes.n; i++)
        if (strcmp(report->passes.at[i].pass, "rewrite") == 0)
            return printf("rewrite         %.4f s\n", report->passes.at[i].seconds),
                   report->passes.at[i].changes;
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t rules = argc > 1 ? (uint32_t)atoi(argv[1]) : 300,
             nodes = argc > 2 ? (uint32_t)atoi(argv[2]) : 5000;
    Tg *tg = tg_open(NULL);
    double start = now();
    TgBook *book = make_book(tg, rules);
    if (!book) {
        for (uint32_t i = 0; i < tg_diag_count(tg); i++)
            fprintf(stderr, "%s\n", tg_diag(tg, i)->message);
        return 1;
    }
    printf("book            %.4f s, %u rules\n", now() - start, tg_book_count(book));
    TgModel *m = make_model(tg, nodes);
    uint32_t before = tg_graph_count(m->graph, false);
    TgReport report;
    start = now();
    if (!tg_optimize(m, &(TgOptimizeOptions){.level = 1, .rewrite_limit = -1, .book = book}, &report))
        return 1;
    printf("all passes      %.4f s, until %s\n", now() - start, report.stop);
    uint32_t applied = applied_by_rules(&report);
    printf("nodes           %u -> %u, %u applications of rules\n", before, tg_graph_count(m->graph, false),
           applied);
    tg_close(tg);
    return 0;
}
