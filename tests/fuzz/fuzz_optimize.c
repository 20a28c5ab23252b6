/* The passes at -O2, folding of constants among them: they keep the structure sound after each step, end
 * at a fixed point, and leave a graph that can be printed and read back. Whether it computes the same is
 * the question of fuzz_equal. */
#include <string.h>

#include "fuzz.h"
#include "passes/passes.h"

static bool optimize(TgModel *m, TgReport *report)
{
    TgOptimizeOptions options = {.level = 2, .check_each = true, .rewrite_limit = -1};
    return tg_optimize(m, &options, report);
}

/* Rewrites and how often each was made, then the text. */
static const char *with_rewrites(Tg *tg, const TgReport *report, const char *text)
{
    TgText out;
    tg_text_init(&out, tg_forever(tg));
    for (uint32_t i = 0; i < report->rewrites.n; i++)
        tg_text_format(&out, "%u %s, ", report->rewrites.at[i].count, report->rewrites.at[i].rewrite);
    tg_text_format(&out, "\n%s", text);
    return out.at;
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
    fuzz_require(tg, good == (tg_error_count(tg) == errors), "a refusal without a reason, or the reverse",
                 before);
    if (!good)
        return;
    const char *text = fuzz_print(m);
    fuzz_require(tg, strcmp(report.stop, "fixed point") == 0, "the passes do not come to an end",
                 with_rewrites(tg, &report, before));
    if (!fuzz_parse(tg, text)) /* a node that cannot run is kept, but the text form does not take it */
        fuzz_require(tg, fuzz_warned(tg, TG_E_infer_contradiction), "what was optimized does not parse",
                     tg_name_format(tg, "%s\n%s", text, before));
}
