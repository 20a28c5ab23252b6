/* Reads XML with libxml2, which sees only text that cannot hurt it.
 *
 * Problem: libxml2 2.9 substitutes files for entities when asked, inflates archives, and takes quadratic time
 * over many attributes; its upstream does not want to be fed with untrusted text. So: our own bounded read, a
 * scan before it that lets no declaration (DTD, entity) and no long tag through, options that forbid the
 * network and resolve nothing, hooks that stop at a DTD all the same, and no tree: three SAX callbacks append
 * to a flat list.
 *
 * Places: libxml2 tells how many bytes it has consumed; the tag around that place is found in the source.
 * Terms are then read from the source itself, so that their tokens have exact columns.
 *
 * Callbacks run under tg_protect: nothing unwinds through libxml2. Reference: measurements of attacks on
 * libxml2 2.9.14 (entities, attributes, depth). */
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "xml.h"

/* --- places ---------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgArena *arena;
    XmlDoc *doc;
    xmlParserCtxtPtr parser;
    const char *text;
    size_t n;
    size_t seen, line_start; /* lines are counted up to here */
    uint32_t line;
    TG_VEC(uint32_t) open;        /* elements that have not ended */
    TgText data; /* character data of the innermost element */
    bool failed;
} Xml;

/* Offsets are asked for in rising order, more or less. */
static Spot spot_of(Xml *x, size_t offset)
{
    if (offset < x->line_start)
        x->seen = x->line_start = 0, x->line = 1;
    for (; x->seen < offset; x->seen++)
        if (x->text[x->seen] == '\n')
            x->line++, x->line_start = x->seen + 1;
    return (Spot){x->line, (uint32_t)(offset - x->line_start) + 1};
}

static bool refuse(Xml *x, size_t offset, const char *what)
{
    Spot spot = spot_of(x, offset);
    *tg_place(x->tg) = (TgPlace){.file = x->doc->file, .line = spot.line, .column = spot.column};
    x->failed = true;
    return tg_report(x->tg, TG_E_rule_xml, what);
}

/* --- before libxml2 sees it ------------------------------------------------------------------------ */

static bool starts(const Xml *x, size_t at, const char *word)
{
    size_t n = strlen(word);
    return x->n - at >= n && memcmp(x->text + at, word, n) == 0;
}

static size_t find(const Xml *x, size_t at, const char *word)
{
    const char *found = memmem(x->text + at, x->n - at, word, strlen(word));
    return found ? (size_t)(found - x->text) + strlen(word) : x->n;
}

/* Behind the tag that starts at `at`; quotes may hold '>'. */
static size_t tag_end(const Xml *x, size_t at)
{
    char quote = 0;
    for (; at < x->n; at++) {
        char c = x->text[at];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return at + 1;
    }
    return x->n;
}

/* The XML declaration may name no other encoding: offsets are those of the bytes. */
static bool is_utf8(Xml *x, size_t end)
{
    size_t at = find(x, 0, "encoding");
    if (at >= end)
        return true;
    at += strspn(x->text + at, " \t=\"'");
    return strncasecmp(x->text + at, "utf-8", 5) == 0 || refuse(x, at, "an encoding other than UTF-8");
}

static bool harmless(Xml *x)
{
    for (size_t at = 0; at < x->n;) {
        if (!x->text[at])
            return refuse(x, at, "a zero byte: this is no XML text in UTF-8");
        if (x->text[at] != '<') {
            at++;
        } else if (starts(x, at, "<!--")) {
            at = find(x, at + 4, "-->");
        } else if (starts(x, at, "<![CDATA[")) {
            at = find(x, at, "]]>");
        } else if (starts(x, at, "<!")) {
            return refuse(x, at, "a declaration; rule files have no DTD and no entities");
        } else {
            size_t end = starts(x, at, "<?") ? find(x, at, "?>") : tag_end(x, at + 1);
            if (end - at > XML_MAX_TAG)
                return refuse(x, at, "a tag of more than 16 KiB");
            if (at && starts(x, at, "<?"))
                return refuse(x, at, "a processing instruction; only the XML declaration is known");
            if (starts(x, at, "<?") && !is_utf8(x, end))
                return false;
            at = end;
        }
    }
    return true;
}

/* --- elements -------------------------------------------------------------------------------------- */

static size_t consumed(const Xml *x)
{
    long n = xmlByteConsumed(x->parser);
    return n < 0 || (size_t)n > x->n ? x->n : (size_t)n;
}

static size_t tag_start(const Xml *x, size_t before)
{
    while (before > 0 && x->text[before - 1] != '<')
        before--;
    return before ? before - 1 : 0;
}

static XmlElement *innermost(Xml *x)
{
    return x->open.n ? x->doc->elements.at[x->open.at[x->open.n - 1]] : NULL;
}

/* The source of attribute values, found again between the '<' and the end of the tag: libxml2 has checked its
 * form. */
static void locate_values(Xml *x, XmlElement *e, size_t at, size_t end)
{
    for (uint32_t i = 0; i < e->attrs.n; i++) {
        while (at < end && x->text[at] != '"' && x->text[at] != '\'')
            at++;
        if (at == end)
            return;
        const char *first = x->text + at + 1, *last = memchr(first, x->text[at], end - at - 1);
        size_t n = last ? (size_t)(last - first) : 0;
        e->attrs.at[i].raw = (Span){first, n, spot_of(x, at + 1)};
        at += n + 2;
    }
}

typedef struct {
    Xml *x;
    const xmlChar *name, **attrs;
    int n_attrs;
    const xmlChar *text;
    int n;
} Event;

static bool on_start(void *argument)
{
    const Event *ev = argument;
    Xml *x = ev->x;
    size_t end = consumed(x), start = tag_start(x, end);
    XmlElement *e = TG_NEW(x->arena, XmlElement), *outer = innermost(x);
    e->name = tg_name(x->tg, (const char *)ev->name);
    e->text = "";
    e->spot = spot_of(x, start);
    e->parent = outer ? x->open.at[x->open.n - 1] : 0;
    if (outer)
        outer->n_children++;
    for (int i = 0; i < ev->n_attrs; i++) {
        const xmlChar *const *a = ev->attrs + 5 * i; /* name, prefix, URI, value, end of the value */
        XmlAttr attr = {.name = tg_name(x->tg, (const char *)a[0])};
        attr.text = tg_name_n(x->tg, (const char *)a[3], (size_t)(a[4] - a[3]));
        TG_PUSH(x->arena, &e->attrs, attr);
    }
    locate_values(x, e, start, end);
    size_t inner = tag_end(x, end);
    e->raw = (Span){x->text + inner, 0, spot_of(x, inner)};
    uint32_t index = x->doc->elements.n;
    TG_PUSH(x->arena, &x->doc->elements, e);
    TG_PUSH(x->arena, &x->open, index);
    tg_text_init(&x->data, x->arena);
    return true;
}

/* Blanks become one space, none at the ends. Gives the new length. */
static size_t squeeze(char *text, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n", text[i]))
            text[to++] = text[i];
        else if (to && text[to - 1] != ' ')
            text[to++] = ' ';
    return to && text[to - 1] == ' ' ? to - 1 : to;
}

static bool on_end(void *argument)
{
    Xml *x = ((const Event *)argument)->x;
    XmlElement *e = innermost(x);
    size_t after = consumed(x), inner = (size_t)(e->raw.at - x->text), end = tag_start(x, after);
    e->raw.n = end > inner ? end - inner : 0; /* <a/> has no end tag */
    if (x->data.n && !e->n_children)
        e->text = tg_name_n(x->tg, x->data.at, squeeze(x->data.at, x->data.n));
    x->open.n--;
    tg_text_init(&x->data, x->arena);
    return true;
}

static bool on_text(void *argument)
{
    const Event *ev = argument;
    tg_text_add_n(&ev->x->data, (const char *)ev->text, (size_t)ev->n);
    return true;
}

static void handle(const Event *ev, bool (*what)(void *))
{
    Event copy = *ev;
    if (ev->x->failed || tg_protect(ev->x->tg, what, &copy))
        return;
    ev->x->failed = true;
    xmlStopParser(ev->x->parser);
}

static void start_element(void *x, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                          int n_spaces, const xmlChar **spaces, int n_attrs, int n_defaulted,
                          const xmlChar **attrs)
{
    (void)prefix, (void)uri, (void)n_spaces, (void)spaces, (void)n_defaulted;
    handle(&(Event){.x = x, .name = name, .attrs = attrs, .n_attrs = n_attrs}, on_start);
}

static void end_element(void *x, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    (void)prefix, (void)uri;
    handle(&(Event){.x = x, .name = name}, on_end);
}

static void characters(void *x, const xmlChar *text, int n)
{
    handle(&(Event){.x = x, .text = text, .n = n}, on_text);
}

/* The scan lets none through; should it ever: stop. */
static void declaration(void *user, const xmlChar *name, const xmlChar *id, const xmlChar *system)
{
    Xml *x = user;
    (void)name, (void)id, (void)system;
    x->failed = true;
    xmlStopParser(x->parser);
}

/* --- the door -------------------------------------------------------------------------------------- */

static bool report_xml_error(Xml *x)
{
    const xmlError *e = xmlCtxtGetLastError(x->parser);
    *tg_place(x->tg) = (TgPlace){
        .file = x->doc->file, .line = e ? (uint32_t)e->line : 1, .column = e ? (uint32_t)e->int2 : 1};
    TgName what = tg_name(x->tg, e && e->message ? e->message : "this is no XML");
    size_t n = strcspn(what, "\n");
    return tg_report(x->tg, TG_E_rule_xml, tg_name_n(x->tg, what, n));
}

static bool parse(void *argument)
{
    Xml *x = argument;
    xmlSAXHandler hooks = {.initialized = XML_SAX2_MAGIC,
                           .startElementNs = start_element,
                           .endElementNs = end_element,
                           .characters = characters,
                           .cdataBlock = characters,
                           .internalSubset = declaration,
                           .externalSubset = declaration};
    *x->parser->sax = hooks;
    x->parser->userData = x;
    xmlDocPtr none =
        xmlCtxtReadMemory(x->parser, x->text, (int)x->n, NULL, NULL,
                          XML_PARSE_NONET | XML_PARSE_COMPACT | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlFreeDoc(none);
    if (x->failed)
        return tg_error_count(x->tg) > 0 ? false : refuse(x, 0, "a declaration; rule files have no DTD");
    if (xmlCtxtGetLastError(x->parser) || !x->doc->elements.n)
        return report_xml_error(x);
    return true;
}

bool xml_read(TgArena *arena, TgName file, const char *text, size_t n, XmlDoc *doc)
{
    Tg *tg = tg_arena_context(arena);
    TgPlace before = *tg_place(tg);
    *doc = (XmlDoc){.file = file};
    *tg_place(tg) = (TgPlace){.file = file};
    if (n > XML_MAX_FILE)
        return tg_report(tg, TG_E_rule_limit, "the rule file is too long", n, (size_t)XML_MAX_FILE);
    Xml x = {.tg = tg, .arena = arena, .doc = doc, .text = text, .n = n, .line = 1};
    tg_text_init(&x.data, arena);
    bool good = harmless(&x);
    if (good) {
        x.parser = xmlNewParserCtxt();
        good = x.parser && tg_protect(tg, parse, &x);
        xmlFreeParserCtxt(x.parser);
    }
    *tg_place(tg) = before;
    return good;
}
