/* The ONNX writer: what was written loads, and what was loaded is written to the same graph again. The
 * opset and the place of the weights follow from the input, so that one input always does the same. */
#include "fuzz.h"

/* Saved in a file of a folder of its own, whose path is the answer. NULL: refused, for a reason that a
 * model may have (an operator without a form in that opset, say). */
static const char *save(TgModel *m, const TgSaveOptions *options)
{
    const char *path = fuzz_path(m->tg);
    return tg_save(m, path, options) ? path : NULL;
}

/* What another process would make of the file: its graph as text, and a copy in a file `again`. Names
 * of sizes that nobody named are numbered, hence a context of its own. */
static const char *reload(Tg *tg, const char *path, const TgSaveOptions *options, const char **again)
{
    TgText text;
    Tg *other = tg_open(NULL);
    TgModel *m = tg_load(other, path, NULL);
    fuzz_require(other, m != NULL, "what was written does not load", NULL);
    fuzz_require(other, tg_graph_check(m->graph), "a broken graph", fuzz_print(m));
    tg_text_init(&text, tg_forever(other));
    tg_print_graph(m->graph, &text);
    *again = tg_name(tg, save(m, options));
    fuzz_require(other, *again != NULL, "what was loaded cannot be written", text.at);
    const char *kept = tg_name(tg, text.at);
    tg_close(other);
    return kept;
}

/* A model that was lowered (a text may name an opset that lacks its operators) may come back with other
 * names and another order of its constants once, not twice. */
void fuzz_one(Tg *tg, TgBytes input)
{
    uint64_t choice = tg_hash(input.at, input.n, 7);
    bool lowered = choice % 5 == 0 || fuzz_is_text(input);
    TgSaveOptions options = {.external = choice % 3 ? TG_EXTERNAL_NONE : TG_EXTERNAL_ALL,
                             .opset = choice % 5 == 0 ? 7 + (int64_t)(choice / 16 % 22) : 0,
                             .provenance = choice % 2};
    TgModel *m = fuzz_model(tg, input);
    const char *file = m ? save(m, &options) : NULL, *before = NULL;
    options.opset = 0;
    for (uint32_t i = 0; file && i < 3; i++) {
        const char *text = reload(tg, file, &options, &file);
        if (before && (i == 2 || !lowered))
            fuzz_require_same(tg, before, text, "load, save and load give another graph");
        before = text;
    }
}
