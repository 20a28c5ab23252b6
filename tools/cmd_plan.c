/* tgopt plan MODEL: how the C backend would compute it: sizes, memory, steps.
 * tgopt bench MODEL: the time that this takes, and that our evaluator takes. */
#include <math.h>
#include <string.h>

#include "tool.h"

bool plan_command(Run *run)
{
    if (!known_for_c(run)) {
        run->code = EXIT_USAGE;
        return false;
    }
    TgBook *book;
    TgModel *source = load_model(run, run->arguments.operands.at[0]);
    if (!source || !fix_input_shapes(run, source))
        return false;
    TgModel *model = optimized_for_c(run, source, &book);
    TgPlan *plan = model ? plan_for_c(run, model, book, NULL) : NULL;
    if (!plan)
        return false;
    TgText text;
    tg_text_init(&text, plan->arena);
    tg_plan_print(plan, &text);
    bool ok = write_text(run->tg, word_of(&run->arguments, OPT_output, "-"), &text);
    tg_plan_free(plan);
    return ok;
}

/* --- bench ------------------------------------------------------------------------------------------------------ */

typedef struct {
    Run *run;
    TgModel *source;
    int64_t threads, runs;
} Bench;

static bool bench_c(const Bench *b)
{
    double start = seconds_now();
    Built *built = package_build(b->run, b->source, NULL);
    if (!built)
        return false;
    printf("c        written and compiled in %.2f s\nc        ", seconds_now() - start);
    bool ok = package_bench(built, b->threads, b->runs);
    package_drop(built);
    return ok;
}

static bool bench_evaluator(const Bench *b)
{
    Tg *tg = b->run->tg;
    TgGraph *g = b->source->graph;
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .threads = (uint32_t)b->threads};
    TgArray *in = TG_NEW_N(tg_forever(tg), TgArray, g->inputs.n + 1),
            *out = TG_NEW_N(tg_forever(tg), TgArray, g->outputs.n + 1);
    if (!tg_random_inputs(tg, g, options.mode, 1, TG_IN_NORMAL, in))
        return false;
    double least = HUGE_VAL;
    for (int64_t i = 0; i < 3; i++) {
        double start = seconds_now();
        if (!tg_eval(tg, g, &options, in, out))
            return false;
        least = fmin(least, seconds_now() - start);
        for (uint32_t k = 0; k < g->outputs.n; k++)
            tg_array_drop(tg, &out[k]);
    }
    for (uint32_t k = 0; k < g->inputs.n; k++)
        tg_array_drop(tg, &in[k]);
    printf("interp   least %.4f ms of 3 runs, at small sizes where they may be chosen\n", 1e3 * least);
    return true;
}

static bool names(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || !at[n]))
            return true;
    return false;
}

bool bench_command(Run *run)
{
    Bench b = {.run = run, .threads = 1, .runs = 20};
    const char *who = word_of(&run->arguments, OPT_backend, "c");
    if (!names(who, "c") && !names(who, "interp"))
        return run->code = EXIT_USAGE, usage("--backend wants c, interp or both, not '%s'", who);
    if (!known_for_c(run) || !number_of(&run->arguments, OPT_threads, 1, 1024, &b.threads))
        return run->code = EXIT_USAGE, false;
    b.source = load_model(run, run->arguments.operands.at[0]);
    if (!b.source || !fix_input_shapes(run, b.source))
        return false;
    return (!names(who, "c") || bench_c(&b)) && (!names(who, "interp") || bench_evaluator(&b));
}
