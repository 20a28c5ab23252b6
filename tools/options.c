/* The command line: parsing, --help, the manual page and the completion, all from options.def and
 * commands.def. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

enum {
    OPTIMIZE = 1 << CMD_OPTIMIZE,
    RUN = 1 << CMD_RUN,
    VERIFY = 1 << CMD_VERIFY,
    RULES = 1 << CMD_RULES,
    INSPECT = 1 << CMD_INSPECT,
    REDUCE = 1 << CMD_REDUCE,
    PLAN = 1 << CMD_PLAN,
    BENCH = 1 << CMD_BENCH,
    C = OPTIMIZE | RUN | PLAN | BENCH, /* whatever may plan standalone C */
    ALL = (1 << CMD_COUNT) - 1
};

static const struct {
    const char *name, *argument, *help;
    char letter;
    unsigned commands;
} OPTIONS[OPT_COUNT] = {
#define OPTION(id, name, letter, argument, commands, help)                                                   \
    [OPT_##id] = {name, argument, help, letter, (unsigned)(commands)},
#include "options.def"
#undef OPTION
};

static const struct {
    const char *word, *operands, *summary;
} COMMANDS[CMD_COUNT] = {
#define COMMAND(id, word, operands, summary) [CMD_##id] = {word, operands, summary},
#include "commands.def"
#undef COMMAND
};

static bool takes(Command command, OptionId id)
{
    return OPTIONS[id].commands >> command & 1;
}
static bool optional(OptionId id)
{
    return OPTIONS[id].argument && OPTIONS[id].argument[0] == '[';
}

bool usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tgopt: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see tgopt --help\n", stderr);
    va_end(arguments);
    return false;
}

/* --- parsing ------------------------------------------------------------------------------------------ */

static Command command_of(int argc, char **argv)
{
    for (int c = 1; argc > 1 && c < CMD_COUNT; c++)
        if (strcmp(argv[1], COMMANDS[c].word) == 0)
            return (Command)c;
    return CMD_OPTIMIZE;
}

enum { LONG_BASE = 256 }; /* what getopt_long returns for option 0; letters are below */

/* What getopt wants to know, for the options of one command. */
static void describe(Command command, struct option *longs, char *letters)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        if (!takes(command, (OptionId)i))
            continue;
        int kind = !OPTIONS[i].argument    ? no_argument
                   : optional((OptionId)i) ? optional_argument
                                           : required_argument;
        *longs++ = (struct option){OPTIONS[i].name, kind, NULL, LONG_BASE + i};
        if (!OPTIONS[i].letter)
            continue;
        *letters++ = OPTIONS[i].letter;
        for (int colons = kind; colons > 0; colons--)
            *letters++ = ':';
    }
    *longs = (struct option){0};
    *letters = 0;
}

static int option_of(int code)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (code == LONG_BASE + i || (OPTIONS[i].letter && code == OPTIONS[i].letter))
            return i;
    return -1;
}

bool parse_arguments(Tg *tg, int argc, char **argv, Arguments *arguments)
{
    struct option longs[OPT_COUNT + 1];
    char letters[3 * OPT_COUNT + 1];
    arguments->command = command_of(argc, argv);
    int skip = arguments->command != CMD_OPTIMIZE;
    describe(arguments->command, longs, letters);
    static char name[] = "tgopt";
    argv[skip] = name; /* getopt begins its messages with it */
    for (int code; (code = getopt_long(argc - skip, argv + skip, letters, longs, NULL)) != -1;) {
        int id = option_of(code);
        if (id < 0)
            return false;
        TG_PUSH(tg_forever(tg), &arguments->given, ((Given){(OptionId)id, optarg}));
    }
    for (int i = optind + skip; i < argc; i++)
        TG_PUSH(tg_forever(tg), &arguments->operands, argv[i]);
    return true;
}

/* --- asking ------------------------------------------------------------------------------------------- */

static const Given *last(const Arguments *a, OptionId id)
{
    for (uint32_t i = a->given.n; i-- > 0;)
        if (a->given.at[i].id == id)
            return &a->given.at[i];
    return NULL;
}

bool has(const Arguments *a, OptionId id)
{
    return last(a, id) != NULL;
}

const char *text_of(const Arguments *a, OptionId id)
{
    const Given *given = last(a, id);
    return given ? given->value : NULL;
}

const char *word_of(const Arguments *a, OptionId id, const char *otherwise)
{
    const char *text = text_of(a, id);
    return text ? text : otherwise;
}

bool number_of(const Arguments *a, OptionId id, int64_t low, int64_t high, int64_t *n)
{
    const char *text = text_of(a, id);
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (errno || end == text || *end || x < low || x > high)
        return usage("--%s wants a number from %lld to %lld, not '%s'", OPTIONS[id].name, (long long)low,
                     (long long)high, text);
    *n = x;
    return true;
}

/* 7, 512M, 4G; false: no such number. */
static bool read_size(const char *text, uint64_t *n)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    unsigned long long x = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    end += unit != NULL;
    if (errno || *text < '0' || *text > '9' || *end || x > UINT64_MAX >> shift)
        return false;
    *n = (uint64_t)x << shift;
    return true;
}

/* --limit NAME=N */
static bool set_limit(Tg *tg, const char *text)
{
    size_t length = strcspn(text, "=");
    uint64_t n;
    for (int i = 0; i < TG_LIMIT_COUNT; i++) {
        const TgLimitInfo *info = tg_limit_info((TgLimit)i);
        if (strlen(info->option) != length || strncmp(info->option, text, length) != 0)
            continue;
        if (!text[length] || !read_size(text + length + 1, &n) || !tg_set_limit(tg, (TgLimit)i, n))
            return usage("--limit %s wants a number up to %llu, not '%s'", info->option,
                         (unsigned long long)info->most, text + length + (text[length] != 0));
        return true;
    }
    return usage("--limit does not know '%.*s'", (int)length, text);
}

bool set_limits(Tg *tg, const Arguments *a)
{
    uint64_t n;
    for (uint32_t i = 0; i < a->given.n; i++) {
        const Given *given = &a->given.at[i];
        if (given->id == OPT_limit && !set_limit(tg, given->value))
            return false;
        if (given->id != OPT_max_memory)
            continue;
        if (!read_size(given->value, &n))
            return usage("--max-memory wants a size such as 512M or 4G, not '%s'", given->value);
        tg_set_limit(tg, TG_LIMIT_memory, n);
    }
    return true;
}

int choice_of(const Arguments *a, OptionId id, const char *const *words, int n)
{
    const char *text = text_of(a, id);
    for (int i = 0; text && i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    if (!text)
        return 0;
    usage("--%s does not know '%s'", OPTIONS[id].name, text);
    return -1;
}

/* --- what is derived from the tables ------------------------------------------------------------------ */

enum { HELP_COLUMN = 30, HELP_WIDTH = 100 };

static void head_of(OptionId id, char *text, size_t size)
{
    const char *argument = OPTIONS[id].argument ? OPTIONS[id].argument : "";
    char letter[8] = "    ";
    if (OPTIONS[id].letter)
        snprintf(letter, sizeof letter, "-%c, ", OPTIONS[id].letter);
    if (optional(id))
        snprintf(text, size, "%s--%s[=%.*s]", letter, OPTIONS[id].name, (int)strlen(argument) - 2,
                 argument + 1);
    else
        snprintf(text, size, "%s--%s%s%s", letter, OPTIONS[id].name, *argument ? "=" : "", argument);
}

/* The help text from HELP_COLUMN on, broken at blanks. */
static void print_wrapped(const char *help)
{
    while (strlen(help) > HELP_WIDTH - HELP_COLUMN) {
        size_t n = HELP_WIDTH - HELP_COLUMN;
        while (n && help[n] != ' ')
            n--;
        printf("%.*s\n%*s", (int)n, help, HELP_COLUMN, "");
        help += n + 1;
    }
    puts(help);
}

static void print_options(Command command)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        char head[80];
        if (!takes(command, (OptionId)i))
            continue;
        head_of((OptionId)i, head, sizeof head);
        printf("  %-*s", HELP_COLUMN - 2, head);
        if (strlen(head) > HELP_COLUMN - 3)
            printf("\n%*s", HELP_COLUMN, "");
        print_wrapped(OPTIONS[i].help);
    }
}

static void print_limits(void)
{
    puts("\nLIMITS against harmful files (--limit NAME=N), with their defaults; beyond one: exit status 5\n");
    for (int i = 0; i < TG_LIMIT_COUNT; i++) {
        const TgLimitInfo *info = tg_limit_info((TgLimit)i);
        printf("  %-12s%*llu  %s%s\n", info->option, HELP_COLUMN - 16, (unsigned long long)info->usual,
               info->what, info->usual ? "" : " (0: all that there is)");
    }
}

void print_help(Command command)
{
    const char *word = COMMANDS[command].word;
    printf("usage: tgopt %s%s%s [OPTION]...\n\n", word, *word ? " " : "", COMMANDS[command].operands);
    if (command == CMD_OPTIMIZE) {
        for (int c = 0; c < CMD_COUNT; c++)
            printf("  tgopt %-8s%-7s %s\n", COMMANDS[c].word, COMMANDS[c].operands, COMMANDS[c].summary);
        puts("\n`tgopt COMMAND --help` lists the options of a command. Those of the first:\n");
    } else {
        printf("%s\n\n", COMMANDS[command].summary);
    }
    print_options(command);
    print_limits();
    puts("\nexit status: 0 done or equal, 1 model refused, 2 usage, 3 not equal, 4 not supported or not "
         "decided,\n"
         "5 a limit was reached, 70 internal error");
}

void print_manual(void)
{
    puts(".TH TGOPT 1\n.SH NAME\ntgopt \\- optimize transformer models in ONNX form\n.SH SYNOPSIS");
    for (int c = 0; c < CMD_COUNT; c++)
        printf("%s.B tgopt %s\n.I %s\n[OPTION]...\n", c ? ".br\n" : "", COMMANDS[c].word,
               COMMANDS[c].operands);
    puts(".SH DESCRIPTION");
    for (int c = 0; c < CMD_COUNT; c++)
        printf(".TP\n.B tgopt %s\n%s.\n", COMMANDS[c].word, COMMANDS[c].summary);
    puts(".SH OPTIONS");
    for (int i = 0; i < OPT_COUNT; i++) {
        char head[80];
        head_of((OptionId)i, head, sizeof head);
        printf(".TP\n.B \"%s\"\n%s.\n", head + strspn(head, " "), OPTIONS[i].help);
    }
    puts(".SH LIMITS\nAgainst harmful files; beyond one the exit status is 5. A ratio adds to the limit before it.");
    for (int i = 0; i < TG_LIMIT_COUNT; i++) {
        const TgLimitInfo *info = tg_limit_info((TgLimit)i);
        printf(".TP\n.B %s\n%s (default %llu).\n", info->option, info->what, (unsigned long long)info->usual);
    }
    puts(".SH EXIT STATUS\n0 done or equal, 1 model refused, 2 usage, 3 not equal, 4 not supported or not "
         "decided, "
         "5 a limit was reached, 70 internal error.");
}

void print_completion(void)
{
    puts("_tgopt() {\n    local words\n    case ${COMP_WORDS[1]} in");
    for (int c = CMD_COUNT; c-- > 0;) {
        printf("    %s) words='", *COMMANDS[c].word ? COMMANDS[c].word : "*");
        for (int i = 0; i < OPT_COUNT; i++)
            if (takes((Command)c, (OptionId)i))
                printf("--%s%s ", OPTIONS[i].name, OPTIONS[i].argument && !optional((OptionId)i) ? "=" : "");
        puts("' ;;");
    }
    fputs("    esac\n    [ \"$COMP_CWORD\" = 1 ] && words=\"$words", stdout);
    for (int c = 1; c < CMD_COUNT; c++)
        printf(" %s", COMMANDS[c].word);
    puts("\"\n    case ${COMP_WORDS[COMP_CWORD]} in\n"
         "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"));\n"
         "        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace ;;\n"
         "    *) COMPREPLY=($(compgen -f -W \"${words##*[-=] }\" -- \"${COMP_WORDS[COMP_CWORD]}\")) ;;\n"
         "    esac\n}\ncomplete -o filenames -F _tgopt tgopt");
}
