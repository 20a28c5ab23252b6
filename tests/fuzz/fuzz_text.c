/* The text form: print(parse(t)) is a fixed point, whatever the model and wherever it comes from, and the reader
 * knows of sizes what inference of the whole graph does. */
#include "fuzz.h"

void fuzz_one(Tg *tg, TgBytes input)
{
    TgModel *m = fuzz_model(tg, input);
    if (!m)
        return;
    fuzz_require(tg, tg_graph_check(m->graph), "a broken graph", NULL);
    const char *first = fuzz_print(m);
    TgModel *again = fuzz_parse(tg, first);
    if (!again && fuzz_warned(tg, TG_E_infer_contradiction))
        return; /* a node of a file that cannot run is kept, but the text form does not take it */
    fuzz_require(tg, again != NULL, "what was printed does not parse", first);
    fuzz_require_same(tg, first, fuzz_print(again), "print, parse and print give another text");
    (void)tg_infer_graph(again->graph);
    fuzz_require_same(tg, first, fuzz_print(again), "inferring once more gives another text");
}
