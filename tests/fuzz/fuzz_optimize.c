/* The passes at -O2, folding of constants among them: they keep the structure sound after each step, end at a
 * fixed point, and leave a graph that can be printed and read back. Whether it computes the same is the question
 * of fuzz_equal. */
#include <string.h>

#include "fuzz.h"
#include "passes/passes.h"

static bool optimize(TgModel *m, TgReport *report)
{
    TgOptimizeOptions options = {.level = 2, .check_each = true, .rewrite_limit = -1};
    return tg_optimize(m, &options, report);
}

void fuzz_one(Tg *tg, TgBytes input)
{
    TgReport report;
    TgModel *m = fuzz_model(tg, input);
    if (!m)
        return;
    uint32_t errors = tg_error_count(tg);
    const char *before = fuzz_print(m);
    bool good = optimize(m, &report);
    fuzz_require(tg, good == (tg_error_count(tg) == errors), "a refusal without a reason, or the reverse", before);
    if (!good)
        return;
    const char *text = fuzz_print(m);
    fuzz_require(tg, strcmp(report.stop, "fixed point") == 0, "the passes do not come to an end", before);
    fuzz_require(tg, fuzz_parse(tg, text) != NULL, "what was optimized does not parse", text);
}
