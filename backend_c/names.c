/* Names of a model as C: identifiers, comments, string literals; and the prefix of a package.
 *
 * Names come from files of strangers. An identifier keeps letters and digits and nothing else, a comment or a
 * literal keeps printable ASCII that cannot end it, so no name can add code. Identifiers are made unique by a
 * number.
 */
#include <string.h>

#include "package.h"

enum { LONGEST = 48 }; /* bytes of an identifier that come from a name */

/* Of C11, C++20 and the C library's headers that a package includes; sorted. */
static const char *const KEYWORDS[] = {"alignas",     "alignof",
                                       "and",         "and_eq",
                                       "asm",         "atomic_cancel",
                                       "auto",        "bitand",
                                       "bitor",       "bool",
                                       "break",       "case",
                                       "catch",       "char",
                                       "class",       "co_await",
                                       "co_return",   "co_yield",
                                       "compl",       "concept",
                                       "const",       "const_cast",
                                       "consteval",   "constexpr",
                                       "constinit",   "continue",
                                       "decltype",    "default",
                                       "delete",      "do",
                                       "double",      "dynamic_cast",
                                       "else",        "enum",
                                       "errno",       "explicit",
                                       "export",      "extern",
                                       "false",       "float",
                                       "for",         "friend",
                                       "goto",        "if",
                                       "inline",      "int",
                                       "linux",       "long",
                                       "main",        "mutable",
                                       "namespace",   "new",
                                       "noexcept",    "not",
                                       "not_eq",      "nullptr",
                                       "operator",    "or",
                                       "or_eq",       "private",
                                       "protected",   "public",
                                       "register",    "reinterpret_cast",
                                       "requires",    "restrict",
                                       "return",      "short",
                                       "signed",      "sizeof",
                                       "static",      "static_assert",
                                       "static_cast", "struct",
                                       "switch",      "template",
                                       "this",        "thread_local",
                                       "throw",       "true",
                                       "try",         "typedef",
                                       "typeid",      "typename",
                                       "typeof",      "union",
                                       "unix",        "unsigned",
                                       "using",       "virtual",
                                       "void",        "volatile",
                                       "wchar_t",     "while",
                                       "xor",         "xor_eq"};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_keyword(const char *word)
{
    for (size_t i = 0; i < sizeof KEYWORDS / sizeof KEYWORDS[0]; i++)
        if (strcmp(KEYWORDS[i], word) == 0)
            return true;
    return false;
}

/* Letters and digits of the name; one underscore for whatever lies between them. */
const char *package_identifier(Package *p, TgName name, const char *instead)
{
    char at[LONGEST + 2];
    size_t n = 0;
    bool gap = false;
    for (const char *c = name ? name : ""; *c && n < LONGEST - 2; c++) {
        bool good = is_letter(*c) || is_digit(*c);
        if (good && gap)
            at[n++] = '_';
        if (n == 0 && is_digit(*c))
            at[n++] = 'x';
        if (good)
            at[n++] = *c;
        gap = !good && n > 0;
    }
    at[n] = '\0';
    if (n == 0)
        return instead;
    if (is_keyword(at))
        memcpy(at + n, "_", 2);
    return tg_name(p->tg, at);
}

/* --- the names of a package --------------------------------------------------------------------------------------- */

static bool is_taken(const char **list, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

/* `name`, or name_2, name_3 ... : the first that the list does not have yet. */
static void add_unique(Package *p, const char **list, uint32_t n, const char *name)
{
    const char *candidate = name;
    for (uint32_t k = 2; is_taken(list, n, candidate); k++)
        candidate = tg_name_format(p->tg, "%s_%u", name, k);
    list[n] = candidate;
}

void package_names(Package *p)
{
    const TgPlan *plan = p->plan;
    p->dim = TG_NEW_N(p->arena, const char *, plan->symbols.n + 1);
    tg_map_init(&p->dim_number, p->arena);
    for (uint32_t i = 0; i < plan->symbols.n; i++) {
        add_unique(p, p->dim, i, package_identifier(p, plan->symbols.at[i].name, "size"));
        tg_map_put(&p->dim_number, TG_KEY(plan->symbols.at[i].symbol), i);
    }
    p->input = TG_NEW_N(p->arena, const char *, plan->inputs.n + 1);
    for (uint32_t i = 0; i < plan->inputs.n; i++) {
        TgName name = tg_value(plan->source, plan->source->inputs.at[i])->name;
        add_unique(p, p->input, i, package_identifier(p, name, "input"));
    }
    p->output = TG_NEW_N(p->arena, const char *, plan->outputs.n + 1);
    for (uint32_t i = 0; i < plan->outputs.n; i++)
        add_unique(p, p->output, i, package_identifier(p, plan->source->outputs.at[i].name, "output"));
}

/* --- text --------------------------------------------------------------------------------------------------------- */

void package_comment(TgText *out, const char *text, size_t most)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n && i < most; i++) {
        char c = text[i];
        bool closes = (c == '/' || c == '*') && i > 0 && (text[i - 1] == '*' || text[i - 1] == '/');
        bool plain = c >= ' ' && c <= '~' && c != '\\' && c != '?' && !closes;
        tg_text_add_n(out, plain ? &c : "_", 1);
    }
    if (n > most)
        tg_text_add(out, "...");
}

void package_string(TgText *out, const char *bytes, size_t n)
{
    tg_text_add(out, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '?')
            tg_text_add_n(out, &bytes[i], 1);
        else
            tg_text_format(out, "\\%03o", c);
    }
    tg_text_add(out, "\"");
}

static bool is_word(char c)
{
    return is_letter(c) || is_digit(c) || c == '_';
}

void package_rename(const Package *p, const char *text, size_t n, TgText *out)
{
    size_t done = 0;
    for (size_t i = 0; i + 4 <= n; i++) {
        bool lower = memcmp(text + i, "tgk_", 4) == 0, upper = memcmp(text + i, "TGK_", 4) == 0;
        if ((!lower && !upper) || (i > 0 && is_word(text[i - 1])))
            continue;
        tg_text_add_n(out, text + done, i - done);
        for (const char *c = p->name; *c; c++) {
            char up = *c >= 'a' && *c <= 'z' && upper ? (char)(*c - 'a' + 'A') : *c;
            tg_text_add_n(out, &up, 1);
        }
        tg_text_add(out, "_");
        done = i + 4;
        i += 3;
    }
    tg_text_add_n(out, text + done, n - done);
}
