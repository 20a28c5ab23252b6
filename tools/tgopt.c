/* tgopt: the command. Chooses what to do, runs it under one tg_protect, prints what was reported, chooses
 * the exit status. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

TgModel *load_model(Run *run, const char *path)
{
    TgLoadOptions options = {.strict = has(&run->arguments, OPT_strict)};
    return tg_load(run->tg, path, &options);
}

void whatever_it_costs(Tg *tg, TgEquivOptions *options)
{
    static const TgLimit costs[] = {TG_LIMIT_eval, TG_LIMIT_work, TG_LIMIT_steps};
    options->max_flops = HUGE_VAL;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        tg_set_limit(tg, costs[i], tg_limit_info(costs[i])->most);
}

bool write_text(Tg *tg, const char *path, const TgText *text)
{
    TgOutput *out = tg_output_open(tg, path);
    if (!out)
        return false;
    if (tg_output_write(out, text->n ? text->at : "", text->n))
        return tg_output_commit(out, false);
    tg_output_discard(out);
    return false;
}

bool emit_of(const Arguments *a, Emit otherwise, Emit *emit)
{
    static const char *const formats[] = {"onnx", "tg", "dot", "json", "c"};
    int choice = choice_of(a, OPT_emit, formats, 5);
    *emit = has(a, OPT_emit) ? (Emit)choice : otherwise;
    return choice >= 0;
}

bool emit_model(Run *run, TgModel *model, Emit emit, const char *path)
{
    TgArena *arena = tg_arena_new(run->tg);
    TgText text;
    Json json;
    tg_text_init(&text, arena);
    if (emit == EMIT_TG) {
        tg_print_model(model, &text);
    } else if (emit == EMIT_DOT) {
        tg_print_dot(model->graph, &text);
    } else {
        json_begin(&json, arena);
        json_model(&json, model);
        json_end(&json);
        text = json.text;
    }
    bool ok = write_text(run->tg, path, &text);
    tg_arena_free(arena);
    return ok;
}

/* --- messages ----------------------------------------------------------------------------------------- */

static bool wants_color(const Arguments *a, bool *color)
{
    static const char *const words[] = {"auto", "always", "never"};
    int choice = choice_of(a, OPT_color, words, 3);
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
    *color = choice == 1 || (choice == 0 && terminal);
    return choice >= 0;
}

static void print_message(Run *run, const TgDiag *diag)
{
    static const char *const colors[] = {
        [TG_NOTE] = "\33[36m", [TG_WARNING] = "\33[35m", [TG_ERROR] = "\33[1;31m"};
    TgMark mark = tg_mark(tg_scratch(run->tg));
    TgText text;
    tg_text_init(&text, tg_scratch(run->tg));
    tg_diag_render(run->tg, diag, &text);
    if (run->color)
        fprintf(stderr, "%s%s\33[0m\n", colors[diag->severity], text.at);
    else
        fprintf(stderr, "%s\n", text.at);
    tg_release(tg_scratch(run->tg), mark);
}

enum { FEW = 10 }; /* warnings and notes, unless --verbose */

static bool print_messages(void *argument)
{
    Run *run = argument;
    uint32_t held_back = 0, said = 0;
    for (uint32_t i = 0; i < tg_diag_count(run->tg); i++) {
        const TgDiag *diag = tg_diag(run->tg, i);
        bool minor = diag->severity != TG_ERROR;
        bool wanted =
            !minor || (!run->quiet && (run->verbose || (diag->severity == TG_WARNING && said < FEW)));
        said += wanted && minor;
        held_back += !wanted && diag->severity == TG_WARNING;
        if (wanted)
            print_message(run, diag);
    }
    if (held_back && !run->quiet)
        fprintf(stderr, "tgopt: %u more warnings; --verbose shows them\n", held_back);
    return true;
}

/* --- the command -------------------------------------------------------------------------------------- */

static bool (*const COMMAND_BODY[CMD_COUNT])(Run *) = {
    [CMD_OPTIMIZE] = optimize_command, [CMD_RUN] = run_command,       [CMD_VERIFY] = verify_command,
    [CMD_INSPECT] = inspect_command,   [CMD_REDUCE] = reduce_command,
    [CMD_RULES] = rules_command,       [CMD_PLAN] = plan_command,     [CMD_BENCH] = bench_command,
};

/* What is asked for beside the command itself: help and its kin. */
static bool answered(const Arguments *a)
{
    if (has(a, OPT_help))
        print_help(a->command);
    else if (has(a, OPT_version))
        puts("tgopt " TGOPT_VERSION);
    else if (has(a, OPT_manual))
        print_manual();
    else if (has(a, OPT_completion))
        print_completion();
    else
        return false;
    return true;
}

static bool work(void *argument)
{
    Run *run = argument;
    const Arguments *a = &run->arguments;
    if (answered(a))
        return true;
    uint32_t wanted = a->command == CMD_VERIFY ? 2 : 1;
    run->code = EXIT_USAGE;
    if (!set_limits(run->tg, a) || !wants_color(a, &run->color))
        return false;
    if (a->operands.n != wanted && a->command != CMD_RULES)
        return usage(a->operands.n < wanted ? "no model given" : "too many operands, first '%s'",
                     a->operands.n > wanted ? a->operands.at[wanted] : "");
    run->quiet = has(a, OPT_quiet);
    run->verbose = has(a, OPT_verbose);
    run->code = EXIT_OK;
    return COMMAND_BODY[a->command](run);
}

/* A command that failed without choosing a code leaves that to the first error; without one that is our
 * bug. */
static int exit_code(const Run *run, bool ok)
{
    if (ok || run->code)
        return run->code;
    int code = tg_diag_exit_code(run->tg);
    return code ? code : EXIT_INTERNAL;
}

typedef struct {
    Run run;
    int argc;
    char **argv;
} Whole;

static bool parse(void *argument)
{
    Whole *whole = argument;
    return parse_arguments(whole->run.tg, whole->argc, whole->argv, &whole->run.arguments);
}

int main(int argc, char **argv)
{
    Whole whole = {.run = {.tg = tg_open(NULL)}, .argc = argc, .argv = argv};
    Run *run = &whole.run;
    if (!run->tg) {
        fputs("tgopt: error: out of memory\n", stderr);
        return EXIT_LIMIT;
    }
    watch_signals(run->tg);
    int code = EXIT_USAGE;
    if (tg_protect(run->tg, parse, &whole)) {
        bool ok = tg_protect(run->tg, work, run);
        code = exit_code(run, ok);
        tg_set_limit(run->tg, TG_LIMIT_memory, 0);
        tg_protect(run->tg, print_messages, run);
    }
    watch_signals(NULL);
    tg_close(run->tg);
    if (fflush(stdout) && !code)
        code = EXIT_REFUSED;
    return code;
}
