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

/* What the writer claims of its check: "true" or "false", and a bound. It is asked again, whatever it was. */
static bool read_claim(Reader *r)
{
    bool proved = r->at < r->end && *r->at == 't';
    if (!skip(r, proved ? "true,\"bound_log2\":" : "false,\"bound_log2\":"))
        return false;
    const char *start = r->at;
    while (r->at < r->end && ((*r->at >= '0' && *r->at <= '9') || *r->at == '-' || *r->at == '.'))
        r->at++;
    return r->at > start || wrong(r, "a number is missing");
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

static bool same_text(Reader *r, uint64_t hash)
{
    if (tg_map_get(&r->asked, hash, NULL))
        return true;
    tg_map_put(&r->asked, hash, 1);
    return false;
}

/* Both regions are read and compared as models of their own. */
static bool ask(Reader *r, const TgText *before, const TgText *after)
{
    if (same_text(r, tg_hash(after->at, after->n, tg_hash(before->at, before->n, 0))))
        return true;
    TgModel *a = tg_parse(r->tg, r->path, before->at, before->n);
    TgModel *b = a ? tg_parse(r->tg, r->path, after->at, after->n) : NULL;
    TgEquivResult result = {.verdict = TG_UNDECIDED};
    r->replay->checked++;
    bool good = b && tg_equiv(r->tg, a, b, &(TgEquivOptions){.seed = r->seed}, &result);
    if (!good)
        wrong(r, tg_name_format(r->tg, "a region is no graph: %s",
                                tg_diag(r->tg, tg_diag_count(r->tg) - 1)->message));
    else if (result.verdict != TG_EQUAL)
        good = wrong(r, tg_name_format(r->tg, "the regions are not equal: %s", result.witness));
    tg_model_free(a);
    tg_model_free(b);
    return good;
}

static bool read_step(Reader *r)
{
    TgText word, before, after;
    int64_t number, rewrite;
    uint64_t hash;
    bool good = skip(r, "{\"step\":") && read_number(r, &number) && skip(r, ",\"rewrite\":") &&
                read_number(r, &rewrite) && skip(r, ",\"pass\":") && read_string(r, &word) &&
                skip(r, ",\"rule\":") && read_string(r, &word) && skip(r, ",\"rule_hash\":\"") &&
                read_hex(r, 16, &hash) && skip(r, "\",\"place\":") && read_string(r, &word) &&
                skip(r, ",\"proved\":");
    if (good && number != r->replay->steps + 1)
        return wrong(r, "a step is missing");
    good = good && read_claim(r) && skip(r, ",\"before\":") && read_string(r, &before) &&
           skip(r, ",\"after\":") && read_string(r, &after) && at_end(r);
    if (!good || !ask(r, &before, &after))
        return false;
    r->replay->steps++;
    return true;
}

static bool read_head(Reader *r, uint64_t source)
{
    TgText version;
    uint64_t hash;
    int64_t seed;
    if (!skip(r, "{\"schema\":\"tgopt.trace/1\",\"source\":\"") || !read_hex(r, 16, &hash) ||
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
