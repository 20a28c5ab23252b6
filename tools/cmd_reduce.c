/* tgopt reduce MODEL --keep-if COMMAND -o OUT: the smallest part of a model for which a shell command still
 * succeeds. The search is tg_reduce (passes/reduce.c); here candidates are written, the command is run,
 * progress is shown. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

typedef struct {
    Run *run;
    const char *command; /* as given: {} stands for the path of the candidate */
    TgName candidate;    /* where it is written, in a temporary folder */
    Emit emit;
    int64_t max_tries, tries;
    bool terminal; /* progress is shown */
    double start;
} Job;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- the command -------------------------------------------------------------------------------------- */

static void add_quoted(TgText *text, const char *path)
{
    tg_text_add(text, "'");
    for (; *path; path++)
        tg_text_add_n(text, *path == '\'' ? "'\\''" : path, *path == '\'' ? 4 : 1);
    tg_text_add(text, "'");
}

/* The command for one path, which takes every place of {}; without any it comes last. */
static const char *command_for(const Job *job, const char *path)
{
    TgText text;
    const char *rest = job->command, *place;
    tg_text_init(&text, tg_scratch(job->run->tg));
    while ((place = strstr(rest, "{}"))) {
        tg_text_add_n(&text, rest, (size_t)(place - rest));
        add_quoted(&text, path);
        rest = place + 2;
    }
    tg_text_add(&text, rest);
    if (rest == job->command) {
        tg_text_add(&text, " ");
        add_quoted(&text, path);
    }
    return text.at;
}

/* In the child. What the command prints is shown with --verbose only, all of it on standard error. */
TG_NORETURN static void become(const Job *job, const char *command)
{
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    dup2(job->run->verbose ? STDERR_FILENO : nowhere, STDOUT_FILENO);
    if (!job->run->verbose)
        dup2(nowhere, STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* The exit status of the command, 128 + N where signal N ended it, as shells say. */
static int status_for(const Job *job, const char *path)
{
    int status = 0;
    TgMark mark = tg_mark(tg_scratch(job->run->tg));
    const char *command = command_for(job, path);
    pid_t child = fork();
    if (child == 0)
        become(job, command);
    while (child > 0 && waitpid(child, &status, 0) < 0)
        ; /* interrupted: the child got the signal too */
    tg_release(tg_scratch(job->run->tg), mark);
    if (child < 0)
        return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- candidates --------------------------------------------------------------------------------------- */

static bool write_candidate(const Job *job, TgModel *model, const char *path)
{
    return job->emit == EMIT_ONNX ? tg_save(model, path, NULL) : emit_model(job->run, model, job->emit, path);
}

static void show_progress(const Job *job, const TgModel *model)
{
    fprintf(stderr, "\r\33[Ktry %lld: %u nodes", (long long)job->tries, tg_graph_count(model->graph, true));
}

static TgReduceVerdict shows(void *user, TgModel *model)
{
    Job *job = user;
    Tg *tg = job->run->tg;
    uint32_t said = tg_diag_count(tg);
    job->tries++;
    if (job->terminal)
        show_progress(job, model);
    bool written = write_candidate(job, model, job->candidate); /* what cannot be written shows nothing */
    tg_diag_forget(tg, said);
    bool yes = written && status_for(job, job->candidate) == 0;
    unlink(job->candidate);
    unlink(tg_name_format(tg, "%s.data", job->candidate));
    return interrupted ? TG_REDUCE_STOP : yes ? TG_REDUCE_YES : TG_REDUCE_NO;
}

/* --- the work ----------------------------------------------------------------------------------------- */

static bool refuse(Run *run, int code, const char *what)
{
    fprintf(stderr, "tgopt: %s: %s\n", run->arguments.operands.at[0], what);
    run->code = code;
    return false;
}

static bool worth_reducing(Job *job, TgModel *model)
{
    Run *run = job->run;
    int status = status_for(job, run->arguments.operands.at[0]);
    if (status == 126 || status == 127)
        return refuse(run, EXIT_USAGE, "the shell cannot run the command of --keep-if; --verbose shows why");
    if (status != 0)
        return refuse(run, EXIT_REFUSED,
                      "not interesting: the command of --keep-if fails for the model itself; see --verbose");
    if (shows(job, model) != TG_REDUCE_YES)
        return refuse(run, EXIT_UNSUPPORTED,
                      "no longer interesting once read and written again: it is the file that matters");
    return true;
}

static void print_change(const char *what, double before, double after)
{
    fprintf(stderr, "  %-18s %.0f -> %.0f\n", what, before, after);
}

static void conclude(const Job *job, TgModel *before, TgModel *after, const TgReduceReport *report,
                     const char *path)
{
    const TgGraph *a = before->graph, *b = after->graph;
    fprintf(stderr, "%s -> %s\n", job->run->arguments.operands.at[0], path);
    print_change("nodes", tg_graph_count(a, true), tg_graph_count(b, true));
    print_change("inputs", a->inputs.n, b->inputs.n);
    print_change("outputs", a->outputs.n, b->outputs.n);
    print_change("constants, bytes", tg_graph_const_bytes(a), tg_graph_const_bytes(b));
    fprintf(stderr, "  %-18s %lld in %.3g s%s\n", "tries", (long long)job->tries, seconds_now() - job->start,
            report->minimal ? "" : "; stopped before it was minimal");
}

static bool reduce(Job *job, const char *path)
{
    Run *run = job->run;
    TgReduceOptions options = {.shows = shows, .user = job, .max_tries = job->max_tries};
    TgReduceReport report;
    TgModel *model = load_model(run, run->arguments.operands.at[0]);
    if (!model || !worth_reducing(job, model))
        return false;
    TgModel *smallest = tg_reduce(model, &options, &report);
    if (job->terminal)
        fputs("\r\33[K", stderr);
    if (!smallest || !write_candidate(job, smallest, path))
        return false;
    if (!run->quiet)
        conclude(job, model, smallest, &report, path);
    return true;
}

static bool reduce_in_folder(void *argument)
{
    Job *job = argument;
    return reduce(job, text_of(&job->run->arguments, OPT_output));
}

static bool understand(Job *job)
{
    const Arguments *a = &job->run->arguments;
    if (!emit_of(a, EMIT_ONNX, &job->emit) || !number_of(a, OPT_max_tries, 1, INT64_MAX, &job->max_tries))
        return false;
    if (job->emit != EMIT_ONNX && job->emit != EMIT_TG)
        return usage("reduce writes onnx or tg");
    if (!job->command || !has(a, OPT_output))
        return usage("reduce needs --keep-if=COMMAND and --output=FILE");
    return true;
}

bool reduce_command(Run *run)
{
    Job job = {.run = run, .command = text_of(&run->arguments, OPT_keep_if), .start = seconds_now()};
    const char *below = getenv("TMPDIR");
    if (!understand(&job)) {
        run->code = EXIT_USAGE;
        return false;
    }
    TgName pattern = tg_name_format(run->tg, "%s/tgopt-reduce.XXXXXX", below && *below ? below : "/tmp");
    char *folder = tg_copy(tg_forever(run->tg), pattern, strlen(pattern) + 1);
    if (!mkdtemp(folder))
        return tg_report(run->tg, TG_E_cannot_write, pattern, strerror(errno));
    job.candidate = tg_name_format(run->tg, "%s/candidate.%s", folder, job.emit == EMIT_TG ? "tg" : "onnx");
    job.terminal = isatty(STDERR_FILENO) && !run->quiet && !run->verbose;
    signal(SIGINT, on_interrupt);
    bool fine = tg_protect(run->tg, reduce_in_folder, &job);
    rmdir(folder);
    return fine;
}
