/* Checking certificates again; see trace.h.
 *
 * A line is read strictly, key after key as it was written, so that nothing in it goes unread. Steps whose
 * regions were asked about before (layers repeat) are not asked again. */
#include <stdlib.h>
#include <string.h>

#include "trace.h"

typedef struct {
    Tg *tg;
    const char *path, *at, *end; /* the rest of the current line */
    int64_t line;
    uint64_t chain, seed;
    TgMap asked;
    TgReplay *replay;
} Reader;

/* What one replacement's line says. */
typedef struct {
    TG_VEC(TgName) bound; /* inputs of the region */
    bool proved;
    double bound_log2;
    TgText before, after;
} Step;

static bool wrong(Reader *r, const char *what)
{
    r->replay->verdict = TG_DIFFERENT;
    r->replay->why = tg_name_format(r->tg, "%s:%lld: %s", r->path, (long long)r->line, what);
    return false;
}

/* --- pieces of a line ----------------------------------------------------------------------------------- */

static bool skip(Reader *r, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n) != 0)
        return wrong(r, "not what a trace says here");
    r->at += n;
    return true;
}

static bool read_number(Reader *r, int64_t *n)
{
    bool fits = true;
    *n = 0;
    const char *start = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && fits; r->at++)
        fits = !__builtin_mul_overflow(*n, 10, n) && !__builtin_add_overflow(*n, *r->at - '0', n);
    return (r->at > start && fits) || wrong(r, "a number is missing or too large");
}

/* What the writer claims of its check. */
static bool read_claim(Reader *r, Step *s)
{
    char number[16] = "";
    s->proved = r->at < r->end && *r->at == 't';
    if (!skip(r, s->proved ? "true,\"bound_log2\":" : "false,\"bound_log2\":"))
        return false;
    for (size_t n = 0; r->at < r->end && *r->at != ',' && n + 1 < sizeof number; n++)
        number[n] = *r->at++;
    char *end;
    s->bound_log2 = strtod(number, &end);
    return (end != number && !*end && s->bound_log2 <= 0) || wrong(r, "a bound is missing");
}

static bool at_end(Reader *r)
{
    return r->at == r->end || wrong(r, "more than a trace says here");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(Reader *r, int digits, uint64_t *n)
{
    *n = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        int d = r->at < r->end ? hex_digit(*r->at) : -1;
        if (d < 0)
            return wrong(r, "a hexadecimal number is missing");
        *n = *n << 4 | (uint64_t)d;
    }
    return true;
}

static bool read_escape(Reader *r, TgText *to)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return wrong(r, "a string does not end");
    const char *name = strchr(names, *r->at);
    if (name && *r->at) {
        tg_text_add_n(to, &values[name - names], 1);
        r->at++;
        return true;
    }
    uint64_t code;
    if (!skip(r, "u") || !read_hex(r, 4, &code))
        return false;
    if (!code)
        return wrong(r, "a string with a NUL");
    char utf8[] = {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))};
    if (code < 0x80)
        utf8[0] = (char)code;
    else if (code < 0x800)
        utf8[0] = (char)(0xc0 | code >> 6), utf8[1] = utf8[2];
    tg_text_add_n(to, utf8, code < 0x80 ? 1 : code < 0x800 ? 2 : 3);
    return true;
}

static bool read_string(Reader *r, TgText *to)
{
    tg_text_init(to, tg_scratch(r->tg));
    tg_text_add(to, "");
    if (!skip(r, "\""))
        return false;
    while (r->at < r->end && *r->at != '"') {
        const char *start = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\')
            r->at++;
        tg_text_add_n(to, start, (size_t)(r->at - start));
        if (r->at < r->end && *r->at == '\\') {
            r->at++;
            if (!read_escape(r, to))
                return false;
        }
    }
    return skip(r, "\"");
}

/* --- lines ---------------------------------------------------------------------------------------------- */

/* Takes the chain off the end of the line that starts at r->at, and checks it. */
static bool unseal(Reader *r)
{
    static const char mark[] = ",\"chain\":\"0123456789abcdef\"}";
    const size_t tail = sizeof mark - 1;
    uint64_t chain;
    if ((size_t)(r->end - r->at) < tail)
        return wrong(r, "the line is cut off");
    Reader end = *r;
    end.at = r->end - tail;
    r->end -= tail;
    r->chain = tg_hash(r->at, (size_t)(r->end - r->at), r->chain);
    bool good =
        skip(&end, ",\"chain\":\"") && read_hex(&end, 16, &chain) && skip(&end, "\"}") && chain == r->chain;
    return good || wrong(r, "the line, or one before it, was changed");
}

static bool next_line(Reader *r, const char *text_end)
{
    const char *start = r->line ? r->end : r->at;
    if (r->line) /* behind the seal of the last line */
        start = memchr(r->end, '\n', (size_t)(text_end - r->end));
    r->line++;
    start = start && r->line > 1 ? start + 1 : start;
    if (!start || start >= text_end)
        return false;
    const char *end = memchr(start, '\n', (size_t)(text_end - start));
    r->at = start;
    r->end = end ? end : text_end;
    return true;
}

/* A line may not claim more than comes out. Where nothing had to be drawn, the regions are the same on sight. */
static bool confirms(Reader *r, const TgEquivResult *result, const Step *s)
{
    static const double rounded = 0.051, certain = -1074;
    bool proved = result->proved + result->reused == result->regions;
    double bound = !proved ? 0 : result->checked ? result->bound : certain;
    bool good = s->proved ? proved && bound <= s->bound_log2 + rounded : s->bound_log2 == 0;
    return good || wrong(r, "the line claims more than its check gives");
}

/* Bindings name the inputs of the region, one after the other. */
static bool binds(Reader *r, const TgGraph *g, const Step *s)
{
    bool good = s->bound.n == g->inputs.n;
    for (uint32_t i = 0; good && i < s->bound.n; i++)
        good = s->bound.at[i] == tg_value(g, g->inputs.at[i])->name;
    return good || wrong(r, "the bindings are not those of the region");
}

/* Both regions are read and compared as models of their own. */
static bool ask(Reader *r, const Step *s)
{
    TgModel *a = tg_parse(r->tg, r->path, s->before.at, s->before.n);
    TgModel *b = a ? tg_parse(r->tg, r->path, s->after.at, s->after.n) : NULL;
    TgEquivResult result = {.verdict = TG_UNDECIDED};
    r->replay->checked++;
    bool good = b && tg_equiv(r->tg, a, b, &(TgEquivOptions){.seed = r->seed}, &result);
    if (!good)
        wrong(r, tg_name_format(r->tg, "a region is no graph: %s",
                                tg_diag(r->tg, tg_diag_count(r->tg) - 1)->message));
    else if (result.verdict != TG_EQUAL)
        good = wrong(r, tg_name_format(r->tg, "the regions are not equal: %s", result.witness));
    good = good && binds(r, a->graph, s) && confirms(r, &result, s);
    tg_model_free(a);
    tg_model_free(b);
    return good;
}

static bool read_bindings(Reader *r, Step *s)
{
    TgText input, value;
    if (!skip(r, "["))
        return false;
    while (r->at < r->end && *r->at != ']') {
        if ((s->bound.n && !skip(r, ",")) || !skip(r, "[") || !read_string(r, &input) || !skip(r, ",") ||
            !read_string(r, &value) || !skip(r, "]"))
            return false;
        TG_PUSH(tg_scratch(r->tg), &s->bound, tg_name_n(r->tg, input.at, input.n));
    }
    return skip(r, "]");
}

/* Which rewrite it was; its hash is that of what the line says. */
static bool read_rewrite(Reader *r)
{
    int64_t number;
    uint64_t hash;
    TgText pass, name, rule;
    bool good = read_number(r, &number) && skip(r, ",\"pass\":") && read_string(r, &pass) &&
                skip(r, ",\"rule\":") && read_string(r, &name) && skip(r, ",\"rule_text\":") &&
                read_string(r, &rule) && skip(r, ",\"rule_hash\":\"") && read_hex(r, 16, &hash) && skip(r, "\"");
    return good && (hash == tg_trace_rule_hash(pass.at, name.at, rule.at) || wrong(r, "the hash is of another rule"));
}

static bool read_step(Reader *r)
{
    int64_t number;
    Step s = {0};
    TgText place;
    if (!skip(r, "{\"step\":") || !read_number(r, &number))
        return false;
    if (number != r->replay->steps + 1)
        return wrong(r, "a step is missing");
    if (!skip(r, ",\"rewrite\":") || !read_rewrite(r) || !skip(r, ",\"place\":") || !read_string(r, &place))
        return false;
    uint64_t rest = tg_hash(r->at, (size_t)(r->end - r->at), 0);
    bool good = skip(r, ",\"bindings\":") && read_bindings(r, &s) && skip(r, ",\"proved\":") &&
                read_claim(r, &s) && skip(r, ",\"before\":") && read_string(r, &s.before) &&
                skip(r, ",\"after\":") && read_string(r, &s.after) && at_end(r);
    bool known = tg_map_get(&r->asked, rest, NULL);
    tg_map_put(&r->asked, rest, 1);
    if (!good || (!known && !ask(r, &s)))
        return false;
    r->replay->steps++;
    return true;
}

static bool read_head(Reader *r, uint64_t source)
{
    TgText version;
    uint64_t hash;
    int64_t seed;
    if (!skip(r, "{\"schema\":\"tgopt.trace/2\",\"source\":\"") || !read_hex(r, 16, &hash) ||
        !skip(r, "\",\"seed\":") || !read_number(r, &seed) || !skip(r, ",\"version\":") ||
        !read_string(r, &version) || !at_end(r))
        return false;
    r->seed = (uint64_t)seed;
    return hash == source || wrong(r, "the trace begins with another model");
}

static bool read_tail(Reader *r, uint64_t result)
{
    int64_t steps;
    uint64_t hash;
    if (!skip(r, "{\"steps\":") || !read_number(r, &steps) || !skip(r, ",\"result\":\"") ||
        !read_hex(r, 16, &hash) || !skip(r, "\"") || !at_end(r))
        return false;
    if (steps != r->replay->steps)
        return wrong(r, "steps are missing");
    return hash == result || wrong(r, "the trace ends with another model");
}

static bool is_tail(const Reader *r)
{
    static const char start[] = "{\"steps\":";
    return (size_t)(r->end - r->at) >= sizeof start - 1 && memcmp(r->at, start, sizeof start - 1) == 0;
}

static void replay_all(Reader *r, const char *text_end, const TgModel *source, const TgModel *result)
{
    if (!next_line(r, text_end) || !unseal(r) || !read_head(r, tg_model_hash(source)))
        return;
    for (;;) {
        TgMark mark = tg_mark(tg_scratch(r->tg));
        bool good = next_line(r, text_end) ? unseal(r) : wrong(r, "the last line is missing");
        bool last = good && is_tail(r);
        if (good && last && read_tail(r, tg_model_hash(result)) &&
            (!next_line(r, text_end) || wrong(r, "something follows the last line")))
            r->replay->verdict = TG_EQUAL;
        good = good && !last && read_step(r);
        tg_release(tg_scratch(r->tg), mark);
        if (!good)
            return;
    }
}

bool tg_trace_replay(Tg *tg, const char *path, const char *text, size_t n, const TgModel *source,
                     const TgModel *result, TgReplay *replay)
{
    TgArena *arena = tg_arena_new(tg);
    uint32_t diags = tg_diag_count(tg);
    Reader r = {.tg = tg, .path = path, .at = text, .end = text, .replay = replay};
    *replay = (TgReplay){.verdict = TG_UNDECIDED};
    tg_map_init(&r.asked, arena);
    replay_all(&r, text + n, source, result);
    if (replay->verdict == TG_UNDECIDED)
        wrong(&r, "not a trace");
    tg_diag_forget(tg, diags);
    tg_arena_free(arena);
    return true;
}
