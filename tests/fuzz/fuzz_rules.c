/* Fuzz target for libFuzzer: any bytes as a rule file. Reading must end with a book or with a recorded
 * reason; never with a crash or an internal error. The rules of a book that was read are tried on a small
 * graph, and proved if they are few.
 *
 *   cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DTGOPT_FUZZ=ON -DTGOPT_SANITIZE=ON
 *   ninja -C build/fuzz fuzz_rules && build/fuzz/tests/fuzz_rules -max_len=20000 CORPUS rules */
#include <stdio.h>
#include <stdlib.h>
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
    check(m != NULL, "the graph does not parse", tg);
    TgMatcher *matcher = tg_matcher_new(book, m->graph, NULL);
    TgRewrite found;
    for (TgNode n = 1, last = m->graph->nodes.n; n < last; n++)
        if (tg_matcher_find(matcher, n, 0, &found))
            tg_matcher_make(matcher, &found);
    tg_matcher_free(matcher);
    check(tg_graph_check(m->graph), "a broken graph", tg);
    TgProofs proofs = {0};
    for (uint32_t i = 0; i < tg_book_count(book) && tg_book_count(book) <= 2; i++)
        tg_rule_prove(book, i, &proofs);
}

typedef struct {
    Tg *tg;
    const uint8_t *bytes;
    size_t n;
} Input;

static bool run(void *argument)
{
    const Input *in = argument;
    TgBook *book = tg_book_new(in->tg);
    bool read = tg_book_add_text(book, "fuzz.xml", (const char *)in->bytes, in->n) && tg_book_close(book);
    check(read == (tg_error_count(in->tg) == 0), "a refusal without a reason, or a reason without refusal",
          in->tg);
    if (read)
        use(in->tg, book);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    Input in = {tg_open(NULL), bytes, n};
    tg_set_memory_limit(in.tg, (size_t)256 << 20);
    tg_protect(in.tg, run, &in);
    check(!is_internal(in.tg), "an internal error", in.tg);
    tg_close(in.tg);
    return 0;
}
