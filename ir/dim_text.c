/* Symbolic integers: walking (substitution, evaluation), reading and printing.
 *
 * The text is what exporters write and people read: "past + sequence", "2*s", "(n - 1)//2", "max(s - 4, 0)".
 * Reading what was printed gives the same integer again. A name that reads as something else ("odd name!"
 * inside a sum, a symbol called "2*s") is printed in single quotes, with quotes inside doubled.
 */
#include <string.h>

#include "dim.h"

/* --- walking -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgDim (*replace)(void *user, TgDim symbol);
    void *user;
    bool opaque; /* opaque terms are offered too, before what is in them */
} Substitution;

static TgDim substitute(const Substitution *s, TgDim d);

static TgDim substitute_atom(const Substitution *s, const DimAtom *atom)
{
    TgDim arg[DIM_MOST_ARGS];
    TgDim with = s->opaque || atom->n == 0 ? s->replace(s->user, atom->self) : NULL;
    if (with || atom->n == 0)
        return with ? with : atom->self;
    bool same = true;
    for (uint32_t i = 0; i < atom->n; i++) {
        arg[i] = substitute(s, atom->arg[i]);
        same &= arg[i] == atom->arg[i];
    }
    return same ? atom->self : dim_apply(s->tg, atom->kind, atom->n, arg); /* simplifying it again is dear */
}

static TgDim substitute(const Substitution *s, TgDim d)
{
    TgDim with[DIM_MOST_SIZE], *next = with; /* by atom; a sum has no more */
    bool same = true;
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t k = 0; k < d->at[i].of->n; k++, next++) {
            *next = substitute_atom(s, d->at[i].of->at[k]);
            same &= *next == d->at[i].of->at[k]->self;
        }
    if (same)
        return d;
    TgDim sum = tg_dim(s->tg, 0);
    next = with;
    for (uint32_t i = 0; i < d->n; i++) {
        TgDim term = tg_dim(s->tg, d->at[i].times);
        for (uint32_t k = 0; k < d->at[i].of->n; k++)
            term = tg_dim_mul(s->tg, term, *next++);
        sum = tg_dim_add(s->tg, sum, term);
    }
    return sum;
}

TgDim tg_dim_substitute(Tg *tg, TgDim d, TgDim (*replace)(void *user, TgDim symbol), void *user)
{
    return tg_dim_known(d, NULL) ? d : substitute(&(Substitution){tg, replace, user, false}, d);
}

TgDim dim_substitute_atoms(Tg *tg, TgDim d, TgDim (*replace)(void *user, TgDim atom), void *user)
{
    return tg_dim_known(d, NULL) ? d : substitute(&(Substitution){tg, replace, user, true}, d);
}

bool dim_mentions(TgDim d, const DimAtom *atom)
{
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t k = 0; k < d->at[i].of->n; k++) {
            const DimAtom *at = d->at[i].of->at[k];
            if (at == atom)
                return true;
            for (uint32_t a = 0; a < at->n; a++)
                if (dim_mentions(at->arg[a], atom))
                    return true;
        }
    return false;
}

void tg_dim_symbols(TgDim d, void (*visit)(void *user, TgDim symbol), void *user)
{
    for (uint32_t i = 0; i < d->n; i++)
        for (uint32_t k = 0; k < d->at[i].of->n; k++) {
            const DimAtom *atom = d->at[i].of->at[k];
            if (atom->n == 0)
                visit(user, atom->self);
            for (uint32_t a = 0; a < atom->n; a++)
                tg_dim_symbols(atom->arg[a], visit, user);
        }
}

typedef struct {
    bool (*lookup)(void *user, TgDim symbol, int64_t *n);
    void *user;
    bool loose; /* sizes that do not broadcast give the larger one */
} Assignment;

static bool eval_dim(const Assignment *a, TgDim d, int64_t *out);

/* Joins the value of one more argument to the value so far. */
static bool eval_join(DimKind kind, int64_t *value, int64_t next)
{
    switch (kind) {
    case DIM_MIN: *value = next < *value ? next : *value; return true;
    case DIM_MAX: *value = next > *value ? next : *value; return true;
    case DIM_BCAST:
        if (*value != 1 && next != 1 && *value != next)
            return false;
        *value = *value == 1 ? next : *value;
        return true;
    case DIM_DIV:
    case DIM_MOD:
        if (next == 0 || (next == -1 && *value == INT64_MIN))
            return false;
        *value = kind == DIM_DIV ? dim_floor_div(*value, next) : *value - dim_floor_div(*value, next) * next;
        return true;
    case DIM_SYMBOL:
    case DIM_FRESH:
    case DIM_ANY: break;
    }
    return false;
}

static bool eval_atom(const Assignment *a, const DimAtom *atom, int64_t *out)
{
    int64_t next;
    if (atom->n == 0)
        return a->lookup(a->user, atom->self, out);
    if (!eval_dim(a, atom->arg[0], out))
        return false;
    for (uint32_t i = 1; i < atom->n; i++)
        if (!eval_dim(a, atom->arg[i], &next) ||
            !eval_join(a->loose && atom->kind == DIM_BCAST ? DIM_MAX : atom->kind, out, next))
            return false;
    return true;
}

static bool eval_dim(const Assignment *a, TgDim d, int64_t *out)
{
    *out = 0;
    for (uint32_t i = 0; i < d->n; i++) {
        int64_t term = d->at[i].times, factor;
        for (uint32_t k = 0; k < d->at[i].of->n; k++)
            if (!eval_atom(a, d->at[i].of->at[k], &factor) || __builtin_mul_overflow(term, factor, &term))
                return false;
        if (__builtin_add_overflow(*out, term, out))
            return false;
    }
    return true;
}

bool tg_dim_eval(TgDim d, bool (*lookup)(void *user, TgDim symbol, int64_t *n), void *user, int64_t *out)
{
    return eval_dim(&(Assignment){lookup, user, false}, d, out);
}

enum { MOST_CORNERS = 6 };

typedef struct {
    bool (*most)(void *user, TgDim symbol, int64_t *n);
    void *user;
    TgDim symbol[MOST_CORNERS];
    uint32_t n, corner;
    int64_t least;
} Corner;

static void collect_symbol(void *user, TgDim symbol)
{
    Corner *c = user;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->symbol[i] == symbol)
            return;
    if (c->n < MOST_CORNERS)
        c->symbol[c->n++] = symbol;
}

static bool at_corner(void *user, TgDim symbol, int64_t *n)
{
    const Corner *c = user;
    if (!c->most(c->user, symbol, n))
        return false;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->symbol[i] == symbol && (c->corner >> i & 1) && *n > c->least)
            *n = c->least;
    return true;
}

/* Where a size divides, a corner at 0 has no value: then it is looked at from 1 on. A corner without a value, because
 * the number is too large, leaves no bound. Sizes of a corner need not broadcast. */
bool tg_dim_most(TgDim d, bool (*most)(void *user, TgDim symbol, int64_t *n), void *user, int64_t *out)
{
    Corner c = {.most = most, .user = user};
    int64_t n;
    *out = 0;
    tg_dim_symbols(d, collect_symbol, &c);
    for (c.corner = 0; c.corner < 1u << c.n; c.corner++) {
        const Assignment corner = {at_corner, &c, true};
        c.least = 0;
        if (!eval_dim(&corner, d, &n)) {
            c.least = 1;
            if (!eval_dim(&corner, d, &n))
                return false;
        }
        if (*out < n)
            *out = n;
    }
    return true;
}

/* --- reading -------------------------------------------------------------------------------------------- */

enum { READ_DEPTH = 32, READ_LENGTH = 2000 };

typedef struct {
    Tg *tg;
    const char *at;
    uint32_t depth;
    bool bad; /* no expression: the whole text is a name */
} Reader;

/* How a file may spell a function of two or more sizes. */
static const struct {
    const char *name;
    TgDim (*apply)(Tg *tg, TgDim a, TgDim b);
} FUNCTION[] = {
    {"min", tg_dim_min},         {"max", tg_dim_max},         {"bcast", tg_dim_bcast},
    {"mod", tg_dim_mod},         {"Min", tg_dim_min},         {"Max", tg_dim_max},
    {"Mod", tg_dim_mod},         {"FloorDiv", tg_dim_div},    {"floordiv", tg_dim_div},
    {"ceildiv", tg_dim_ceildiv}, {"CeilDiv", tg_dim_ceildiv},
};

static TgDim read_sum(Reader *r);

static TgDim fail(Reader *r)
{
    r->bad = true;
    return tg_dim(r->tg, 0);
}

static bool accept(Reader *r, const char *token)
{
    size_t n = strlen(token);
    while (*r->at == ' ')
        r->at++;
    if (strncmp(r->at, token, n) != 0)
        return false;
    r->at += n;
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool starts_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '~' ||
           (unsigned char)c >= 0x80;
}

/* Bytes of the name at `at`; 0: none. "batch-size" and "Squeeze/model/Squeeze_output_0_dim_0" are names: a
 * difference or quotient of names is written with spaces, or //. */
static size_t name_length(const char *at)
{
    size_t n = 0;
    if (!starts_name(at[0]))
        return 0;
    while (starts_name(at[n]) || is_digit(at[n]) || at[n] == '.' || at[n] == ':' ||
           ((at[n] == '-' || at[n] == '/') && starts_name(at[n + 1])))
        n++;
    return n;
}

static TgDim read_number(Reader *r, bool negative)
{
    int64_t n = 0;
    while (is_digit(*r->at)) {
        int64_t digit = *r->at++ - '0';
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, negative ? -digit : digit, &n))
            return fail(r);
    }
    return starts_name(*r->at) || *r->at == '.' ? fail(r) : tg_dim(r->tg, n);
}

static TgDim read_quoted(Reader *r)
{
    char name[READ_LENGTH + 1];
    size_t n = 0;
    bool closed = false;
    for (; *r->at && !closed; r->at++) {
        closed = r->at[0] == '\'' && r->at[1] != '\'';
        r->at += r->at[0] == '\'' && !closed; /* '' stands for one quote */
        name[n] = *r->at;
        n += !closed;
    }
    name[n] = 0;
    return closed && n ? tg_dim_symbol(r->tg, name) : fail(r);
}

static TgDim read_call(Reader *r, const char *name, size_t n)
{
    TgDim (*apply)(Tg *, TgDim, TgDim) = NULL;
    for (size_t i = 0; i < sizeof FUNCTION / sizeof FUNCTION[0]; i++)
        if (strlen(FUNCTION[i].name) == n && strncmp(FUNCTION[i].name, name, n) == 0)
            apply = FUNCTION[i].apply;
    if (!apply)
        return fail(r);
    TgDim value = read_sum(r);
    if (!accept(r, ","))
        return fail(r);
    do
        value = apply(r->tg, value, read_sum(r));
    while (!r->bad && accept(r, ","));
    return accept(r, ")") ? value : fail(r);
}

static TgDim read_primary(Reader *r)
{
    if (accept(r, "(")) {
        TgDim value = read_sum(r);
        return accept(r, ")") ? value : fail(r);
    }
    if (accept(r, "'"))
        return read_quoted(r);
    if (is_digit(*r->at))
        return read_number(r, false);
    const char *name = r->at;
    size_t n = name_length(name);
    if (n == 0)
        return fail(r);
    r->at += n;
    return accept(r, "(") ? read_call(r, name, n) : tg_dim_symbol(r->tg, tg_name_n(r->tg, name, n));
}

static TgDim read_factor(Reader *r)
{
    bool negative = false;
    while (accept(r, "-")) {
        if (is_digit(*r->at) && !negative)
            return read_number(r, true);
        negative = !negative;
    }
    TgDim base = read_primary(r), power = base;
    if (accept(r, "**")) {
        int64_t n;
        while (*r->at == ' ')
            r->at++;
        if (!tg_dim_known(read_number(r, false), &n) || n < 1 || n > 16)
            return fail(r);
        while (--n > 0)
            power = tg_dim_mul(r->tg, power, base);
    }
    return negative ? tg_dim_sub(r->tg, tg_dim(r->tg, 0), power) : power;
}

/* "/" in a size is exact or floor division: sizes are integers. */
static TgDim read_product(Reader *r)
{
    TgDim value = read_factor(r);
    while (!r->bad) {
        if (accept(r, "*"))
            value = tg_dim_mul(r->tg, value, read_factor(r));
        else if (accept(r, "//") || accept(r, "/"))
            value = tg_dim_div(r->tg, value, read_factor(r));
        else if (accept(r, "%"))
            value = tg_dim_mod(r->tg, value, read_factor(r));
        else
            break;
    }
    return value;
}

static TgDim read_sum(Reader *r)
{
    if (r->bad || r->depth == READ_DEPTH)
        return fail(r);
    r->depth++;
    TgDim value = read_product(r);
    while (!r->bad) {
        if (accept(r, "+"))
            value = tg_dim_add(r->tg, value, read_product(r));
        else if (accept(r, "-"))
            value = tg_dim_sub(r->tg, value, read_product(r));
        else
            break;
    }
    r->depth--;
    return value;
}

TgDim tg_dim_parse(Tg *tg, const char *text)
{
    Reader r = {.tg = tg, .at = text};
    if (!text || !*text)
        return tg_dim_fresh(tg);
    if (strlen(text) > READ_LENGTH)
        return tg_dim_symbol(tg, text);
    TgDim value = read_sum(&r);
    (void)accept(&r, " ");
    return r.bad || *r.at ? tg_dim_symbol(tg, text) : value;
}

/* --- printing ------------------------------------------------------------------------------------------- */

static void print_name(TgName name, TgText *text)
{
    if (name[0] && name_length(name) == strlen(name)) {
        tg_text_add(text, name);
        return;
    }
    tg_text_add(text, "'");
    for (const char *c = name; *c; c++)
        tg_text_add_n(text, *c == '\'' ? "''" : c, *c == '\'' ? 2 : 1);
    tg_text_add(text, "'");
}

static void print_sum(TgDim d, TgText *text);

/* An operand of //: an atom that is no quotient itself, a number, or something in parentheses. */
static void print_operand(TgDim d, TgText *text)
{
    const DimAtom *atom = dim_only_atom(d);
    bool plain = (tg_dim_known(d, NULL) && d->lower >= 0) || (atom && atom->kind != DIM_DIV);
    tg_text_add(text, plain ? "" : "(");
    print_sum(d, text);
    tg_text_add(text, plain ? "" : ")");
}

static void print_call(const DimAtom *atom, TgText *text)
{
    static const char *const NAME[] = {
        [DIM_MOD] = "mod", [DIM_MIN] = "min", [DIM_MAX] = "max", [DIM_BCAST] = "bcast"};
    tg_text_add(text, NAME[atom->kind]);
    for (uint32_t i = 0; i < atom->n; i++) {
        tg_text_add(text, i ? ", " : "(");
        print_sum(atom->arg[i], text);
    }
    tg_text_add(text, ")");
}

static void print_atom(const DimAtom *atom, bool alone, TgText *text)
{
    switch (atom->kind) {
    case DIM_SYMBOL: print_name(atom->name, text); break;
    case DIM_FRESH: tg_text_format(text, "_%llu", (unsigned long long)atom->number); break;
    case DIM_ANY: tg_text_format(text, "~%llu", (unsigned long long)atom->number); break;
    case DIM_DIV:
        tg_text_add(text, alone ? "" : "(");
        print_operand(atom->arg[0], text);
        tg_text_add(text, "//");
        print_operand(atom->arg[1], text);
        tg_text_add(text, alone ? "" : ")");
        break;
    case DIM_MOD:
    case DIM_MIN:
    case DIM_MAX:
    case DIM_BCAST: print_call(atom, text); break;
    }
}

static void print_term(DimTerm term, bool first, TgText *text)
{
    bool negative = term.times < 0 && term.times != INT64_MIN, minus_one = first && term.times == -1;
    if (first)
        tg_text_add(text, negative ? "-" : "");
    else
        tg_text_add(text, negative ? " - " : " + ");
    int64_t times = negative ? -term.times : term.times;
    bool number = times != 1 || term.of->n == 0;
    if (number)
        tg_text_format(text, "%lld", (long long)times);
    for (uint32_t i = 0; i < term.of->n; i++) {
        tg_text_add(text, number || i ? "*" : "");
        print_atom(term.of->at[i], !number && term.of->n == 1 && !minus_one, text);
    }
}

static void print_sum(TgDim d, TgText *text)
{
    if (d->n == 0)
        tg_text_add(text, "0");
    for (uint32_t i = 0; i < d->n; i++)
        print_term(d->at[i], i == 0, text);
}

/* Is `name`, written bare, read as a symbol of that name? */
static bool reads_as_itself(Tg *tg, TgName name)
{
    Reader r = {.tg = tg, .at = name};
    if (!name[0])
        return false;
    if (name_length(name) == strlen(name) || strlen(name) > READ_LENGTH)
        return true;
    (void)read_sum(&r);
    (void)accept(&r, " ");
    return r.bad || *r.at;
}

void tg_dim_print(TgDim d, TgText *text)
{
    const DimAtom *atom = dim_only_atom(d);
    if (atom && atom->kind == DIM_SYMBOL && reads_as_itself(tg_arena_context(text->arena), atom->name))
        tg_text_add(text, atom->name);
    else
        print_sum(d, text);
}

/* --- as C ----------------------------------------------------------------------------------------------- */

typedef struct {
    TgText *text;
    TgName (*symbol)(void *user, TgDim symbol);
    void *user;
} CPrinter;

static void c_sum(const CPrinter *p, TgDim d);

/* Opaque terms are calls; those of more than two sizes are calls within calls. */
static void c_atom(const CPrinter *p, const DimAtom *atom)
{
    static const char *const NAME[] = {[DIM_DIV] = "tgk_floor_div",
                                       [DIM_MOD] = "tgk_floor_mod",
                                       [DIM_MIN] = "tgk_least",
                                       [DIM_MAX] = "tgk_most",
                                       [DIM_BCAST] = "tgk_bcast"};
    if (atom->n == 0) {
        tg_text_add(p->text, p->symbol(p->user, atom->self));
        return;
    }
    for (uint32_t i = 1; i < atom->n; i++)
        tg_text_format(p->text, "%s(", NAME[atom->kind]);
    c_sum(p, atom->arg[0]);
    for (uint32_t i = 1; i < atom->n; i++) {
        tg_text_add(p->text, ", ");
        c_sum(p, atom->arg[i]);
        tg_text_add(p->text, ")");
    }
}

static void c_number(const CPrinter *p, int64_t n)
{
    if (n == INT64_MIN) /* C has no such literal */
        tg_text_add(p->text, "(-9223372036854775807 - 1)");
    else
        tg_text_format(p->text, "%lld", (long long)n);
}

static void c_sum(const CPrinter *p, TgDim d)
{
    if (d->n == 0)
        tg_text_add(p->text, "0");
    for (uint32_t i = 0; i < d->n; i++) {
        const DimTerm *term = &d->at[i];
        bool negative = term->times < 0 && term->times != INT64_MIN;
        int64_t times = negative ? -term->times : term->times;
        tg_text_add(p->text, i ? negative ? " - " : " + " : negative ? "-" : "");
        bool number = times != 1 || term->of->n == 0;
        if (number)
            c_number(p, times);
        for (uint32_t k = 0; k < term->of->n; k++) {
            tg_text_add(p->text, number || k ? "*" : "");
            c_atom(p, term->of->at[k]);
        }
    }
}

void tg_dim_print_c(TgDim d, TgText *text, TgName (*symbol)(void *user, TgDim symbol), void *user)
{
    bool many = d->n > 1 || (d->n == 1 && d->at[0].times < 0 && d->at[0].of->n > 0);
    tg_text_add(text, many ? "(" : "");
    c_sum(&(CPrinter){text, symbol, user}, d);
    tg_text_add(text, many ? ")" : "");
}

TgName tg_dim_text(Tg *tg, TgDim d)
{
    TgArena *scratch = tg_scratch(tg);
    TgMark mark = tg_mark(scratch);
    TgText text;
    tg_text_init(&text, scratch);
    tg_dim_print(d, &text);
    TgName name = tg_name_n(tg, text.at, text.n);
    tg_release(scratch, mark);
    return name;
}
