/* Rule files: reading must end with a book or with a recorded reason. The rules of a book that was read are
 * tried on a small graph, and proved if they are few. */
#include <string.h>

#include "rules/rules.h"
#include "fuzz.h"

static const char graph[] =
    "graph @g(%x: f32[2,8], %y: f32[2,8]) { %w = const f32[8,8] random(1) %h = const f32[] 0.5 "
    "%m = MatMul(%x, %w) %a = Add(Mul(%m, %h), Neg(Neg(%y))) %s = Softmax(Mul(%a, Sigmoid(%a))) "
    "return %s, Where(Less(%a, %h), Exp(%m), Div(%y, Sqrt(Add(Mul(%x, %x), %h)))) }";

static void use(Tg *tg, TgBook *book)
{
    TgModel *m = tg_parse(tg, "fuzz", graph, strlen(graph));
    fuzz_require(tg, m != NULL, "the graph does not parse", NULL);
    TgMatcher *matcher = tg_matcher_new(book, m->graph, NULL);
    TgRewrite found;
    for (TgNode n = 1, last = m->graph->nodes.n; n < last; n++)
        if (tg_matcher_find(matcher, n, 0, &found))
            tg_matcher_make(matcher, &found);
    tg_matcher_free(matcher);
    fuzz_require(tg, tg_graph_check(m->graph), "a broken graph", NULL);
    TgProofs proofs = {0};
    for (uint32_t i = 0; i < tg_book_count(book) && tg_book_count(book) <= 2; i++)
        tg_rule_prove(book, i, &proofs);
}

void fuzz_one(Tg *tg, TgBytes input)
{
    TgBook *book = tg_book_new(tg);
    bool read = tg_book_add_text(book, "fuzz.xml", (const char *)input.at, input.n) && tg_book_close(book);
    fuzz_require(tg, read == (tg_error_count(tg) == 0), "a refusal without a reason, or a reason without refusal", NULL);
    if (read)
        use(tg, book);
}
