/* The best oracle: a model and what -O2 makes of it compute the same. */
#include "fuzz.h"
#include "passes/passes.h"

void fuzz_one(Tg *tg, TgBytes input)
{
    TgReport report;
    TgEquivResult result = {0};
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1};
    TgModel *m = fuzz_model(tg, input), *source = m ? tg_model_clone(m) : NULL;
    if (!source || !tg_optimize(m, &options, &report))
        return;
    if (!tg_equiv(tg, source, m, &(TgEquivOptions){.seed = 1, .max_flops = 1e7}, &result))
        return;
    if (result.verdict == TG_DIFFERENT)
        fuzz_require(tg, false, "optimizing changed the result",
                     tg_name_format(tg, "%s\n%s\n%s", result.witness, fuzz_print(source), fuzz_print(m)));
}
