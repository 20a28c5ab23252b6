/* tgopt verify A B: do two models compute the same? */

#include "tool.h"

static bool write_verdict(Run *run, const TgEquivResult *e, const char *path)
{
    static const char *const words[] = {
        [TG_EQUAL] = "equal", [TG_DIFFERENT] = "different", [TG_UNDECIDED] = "undecided"};
    Json j;
    json_begin(&j, tg_forever(run->tg));
    json_open(&j, '{');
    json_string_at(&j, "schema", "tgopt.verdict/1");
    json_string_at(&j, "verdict", words[e->verdict]);
    json_string_at(&j, "witness", e->witness);
    json_number_at(&j, "bound_log2", e->bound);
    json_int_at(&j, "proved", e->proved);
    json_int_at(&j, "by_floats_alone", e->vouched);
    json_string_at(&j, "worst", e->worst);
    json_number_at(&j, "worst_float32", e->worst32);
    json_number_at(&j, "worst_float64", e->worst64);
    json_close(&j, '}');
    json_end(&j);
    return write_text(run->tg, path, &j.text);
}

/* --trace: every step of the certificate is checked again, and that it is one of these two models. */
static bool replay(Run *run, const TgModel *first, const TgModel *second, const char *path)
{
    const TgFile *file = tg_file_map(run->tg, path);
    TgReplay result;
    if (!file ||
        !tg_trace_replay(run->tg, path, (const char *)file->bytes, file->size, first, second, &result))
        return false;
    if (result.verdict == TG_EQUAL)
        printf("trace holds: %lld steps, %lld regions checked again\n", (long long)result.steps,
               (long long)result.checked);
    else
        printf("trace does not hold: %s\n", result.why);
    run->code = result.verdict == TG_EQUAL ? EXIT_OK : EXIT_DIFFERENT;
    return true;
}

bool verify_command(Run *run)
{
    static const char *const extents[] = {"auto", "full"}, *const kinds[] = {"both", "field", "floats"};
    static const int codes[] = {
        [TG_EQUAL] = EXIT_OK, [TG_DIFFERENT] = EXIT_DIFFERENT, [TG_UNDECIDED] = EXIT_UNSUPPORTED};
    const Arguments *a = &run->arguments;
    int64_t seed = 1, threads = 1;
    int extent = choice_of(a, OPT_verify, extents, 2), kind = choice_of(a, OPT_check, kinds, 3);
    if (extent < 0 || kind < 0 || !number_of(a, OPT_seed, 0, INT64_MAX, &seed) ||
        !number_of(a, OPT_threads, 1, 1024, &threads)) {
        run->code = EXIT_USAGE;
        return false;
    }
    TgModel *first = load_model(run, a->operands.at[0]);
    TgModel *second = first ? load_model(run, a->operands.at[1]) : NULL;
    if (second && has(a, OPT_trace) && (!replay(run, first, second, text_of(a, OPT_trace)) || run->code))
        return run->code != EXIT_OK;
    TgEquivOptions options = {
        .seed = (uint64_t)seed, .threads = (uint32_t)threads, .check = (TgCheckKind)kind};
    TgEquivResult result = {0};
    if (extent == 1)
        whatever_it_costs(run->tg, &options);
    if (!second || !tg_equiv(run->tg, first, second, &options, &result))
        return false;
    print_equivalence(stdout, &result);
    run->code = codes[result.verdict];
    const char *report = text_of(a, OPT_report);
    return !report || write_verdict(run, &result, report);
}
