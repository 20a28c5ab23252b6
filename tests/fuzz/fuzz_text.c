/* The text form: print(parse(t)) is a fixed point, whatever the model and wherever it comes from. */
#include "fuzz.h"

void fuzz_one(Tg *tg, TgBytes input)
{
    TgModel *m = fuzz_model(tg, input);
    if (!m)
        return;
    fuzz_require(tg, tg_graph_check(m->graph), "a broken graph", NULL);
    const char *first = fuzz_print(m);
    TgModel *again = fuzz_parse(tg, first);
    fuzz_require(tg, again != NULL, "what was printed does not parse", first);
    fuzz_require_same(tg, first, fuzz_print(again), "print, parse and print give another text");
}
