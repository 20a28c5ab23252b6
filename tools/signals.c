/* Signals. Files are read through mappings: where another process cuts one, the kernel answers a read with
 * SIGBUS. That is told like any other trouble with a file, and whoever ends the process does not leave hidden
 * files behind. Handlers call async-signal-safe functions only; what they read of the context does not change
 * while a file is read. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const Tg *watched; /* handlers have no argument of their own; NULL: not any more */

static void say(const char *text, size_t n)
{
    while (n) {
        ssize_t done = write(STDERR_FILENO, text, n);
        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

/* The name of a file is foreign text: control characters do not reach the terminal. */
static void say_name(const char *name)
{
    for (; *name; name++) {
        bool control = (unsigned char)*name < 0x20 || *name == 0x7f;
        say(control ? "?" : name, 1);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *ignored)
{
    const TgFile *file = watched ? tg_file_at(watched, info->si_addr) : NULL;
    (void)ignored;
    if (!file) { /* a bug of ours: back to the instruction, which then ends the process */
        signal(number, SIG_DFL);
        return;
    }
    static const char head[] = "tgopt: error: ";
    const char *format = tg_diag_format(TG_E_file_shrank), *hole = strstr(format, "%s");
    say(head, sizeof head - 1);
    say(format, (size_t)(hole - format));
    say_name(file->path);
    say(hole + 2, strlen(hole + 2));
    say("\n", 1);
    tg_outputs_abandon(watched);
    _exit(tg_diag_exit_code_of(TG_E_file_shrank));
}

static void on_end(int number)
{
    if (watched)
        tg_outputs_abandon(watched);
    signal(number, SIG_DFL);
    raise(number); /* as if there had been no handler */
}

void watch_signals(const Tg *tg)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGXFSZ, SIGXCPU};
    watched = tg;
    sigaction(SIGBUS, &(struct sigaction){.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, NULL);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction old;
        bool ignored = sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN; /* nohup */
        if (!ignored)
            sigaction(ends[i], &(struct sigaction){.sa_handler = on_end}, NULL);
    }
}
