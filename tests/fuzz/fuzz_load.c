/* The importer: any bytes as an ONNX file, and as a tensor of test data. It ends with a model that passes
 * the structural check, or with a recorded reason. What strict reading accepts, lenient reading accepts
 * too. Beside the model lies w.bin, for external data. */
#include <string.h>

#include "fuzz.h"

static void write_weights(Tg *tg, const char *model)
{
    static const uint8_t zeros[256];
    int folder = (int)(strrchr(model, '/') - model);
    fuzz_write(tg_name_format(tg, "%.*s/w.bin", folder, model), zeros, sizeof zeros);
}

void fuzz_one(Tg *tg, TgBytes input)
{
    const char *path = fuzz_path(tg);
    fuzz_write(path, input.at, input.n);
    write_weights(tg, path);
    (void)tg_load_tensor(tg_forever(tg), path);
    TgModel *strict = tg_load(tg, path, &(TgLoadOptions){.strict = true});
    uint32_t errors = tg_error_count(tg);
    TgModel *m = tg_load(tg, path, NULL);
    bool refused = tg_error_count(tg) > errors;
    fuzz_require(tg, (m == NULL) == refused, "a refusal without a reason, or the reverse", NULL);
    fuzz_require(tg, m || !strict, "strict reading accepts what lenient reading refuses", NULL);
    if (m)
        fuzz_require(tg, tg_graph_check(m->graph), "a broken graph", fuzz_print(m));
}
