/* Books: rule files become rules. Structure is checked here, in C, with places; a file is read to its end
 * whatever is wrong in it, so that all of it is said at once. */
#include <string.h>

#include "book.h"

static const char *const class_names[] = {"exact", "reassoc", "approx"};

static const TgRuleWord measures[] = {
#define MEASURE(name, doc) {#name, "", doc},
#include "measures.def"
#undef MEASURE
};

const char *tg_rule_class_name(TgRuleClass class)
{
    return class_names[class];
}

const TgRuleWord *tg_rule_measures(uint32_t *n)
{
    *n = MEASURE_COUNT;
    return measures;
}

/* --- one file -------------------------------------------------------------------------------------- */

typedef struct {
    TgBook *book;
    XmlDoc doc;
    TgName topic;
    int level;
    TgTarget target;
    bool checked; /* when tgopt was built */
} File;

static bool bad(File *f, Spot spot, const char *what)
{
    place_error(f->book, f->doc.file, spot);
    return tg_report(f->book->tg, TG_E_rule_form, what);
}

static bool bad_word(File *f, Spot spot, const char *kind, TgName word, const char *hint)
{
    place_error(f->book, f->doc.file, spot);
    return tg_report(f->book->tg, TG_E_rule_unknown, kind, word, hint);
}

static const XmlAttr *attr_of(const XmlElement *e, const char *name)
{
    for (uint32_t i = 0; i < e->attrs.n; i++)
        if (strcmp(e->attrs.at[i].name, name) == 0)
            return &e->attrs.at[i];
    return NULL;
}

static bool is(const XmlElement *e, const char *name)
{
    return strcmp(e->name, name) == 0;
}

/* One of the words; -1: refused. */
static int word_of(File *f, const XmlAttr *a, const char *kind, const char *const *words, int n,
                   const char *hint)
{
    for (int i = 0; i < n; i++)
        if (strcmp(words[i], a->text) == 0)
            return i;
    bad_word(f, a->raw.spot, kind, a->text, hint);
    return -1;
}

/* --- attributes of <rule> -------------------------------------------------------------------------- */

static void read_class(File *f, const XmlElement *e, Rule *rule)
{
    const XmlAttr *class = attr_of(e, "class"), *bound = attr_of(e, "bound");
    if (!class) {
        bad(f, e->spot, "a <rule> needs class=\"exact\", \"reassoc\" or \"approx\"");
        return;
    }
    int which = word_of(f, class, "class", class_names, 3, "it is exact, reassoc or approx");
    if (which >= 0)
        rule->info.class = (TgRuleClass)which;
    if ((which == TG_RULE_APPROX) != (bound != NULL)) {
        bad(f, e->spot, "class=\"approx\" needs bound=\"...\", a relative error, and no other class has one");
    } else if (bound) {
        Reader r;
        reader_begin(&r, f->book, rule, f->doc.file, &bound->raw);
        tg_lex_float(&r.lex, false, &rule->info.bound);
    }
}

static void read_measure(File *f, const XmlElement *e, Rule *rule)
{
    const XmlAttr *a = attr_of(e, "measure");
    while (a && rule->measure < MEASURE_COUNT && strcmp(measures[rule->measure].name, a->text) != 0)
        rule->measure++;
    if (rule->measure < MEASURE_COUNT)
        return;
    bad_word(f, a->raw.spot, "measure", a->text, "rules/measures.def lists them");
    rule->measure = MEASURE_nodes;
}

static bool is_rule_name(TgName s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n > 0 && !s[n];
}

static void read_rule_name(File *f, const XmlElement *e, Rule *rule)
{
    const XmlAttr *a = attr_of(e, "name");
    uint64_t known;
    rule->info.name = tg_name(f->book->tg, a ? a->text : "");
    if (!a) {
        bad(f, e->spot, "a <rule> needs name=\"...\"");
    } else if (!is_rule_name(a->text)) {
        bad(f, a->raw.spot, "a rule's name has small letters, digits and '-'");
    } else if (tg_map_get(&f->book->by_name, TG_KEY(rule->info.name), &known)) {
        const TgRuleInfo *first = &f->book->rules.at[known]->info;
        TgName where = tg_name_format(f->book->tg, "%s:%u", first->file, first->line);
        place_error(f->book, f->doc.file, a->raw.spot);
        tg_report(f->book->tg, TG_E_rule_twice, a->text, where);
    } else {
        tg_map_put(&f->book->by_name, TG_KEY(rule->info.name), f->book->rules.n);
    }
    for (uint32_t i = 0; i < e->attrs.n; i++)
        if (!strstr(" name class bound measure ", tg_name_format(f->book->tg, " %s ", e->attrs.at[i].name)))
            bad_word(f, e->spot, "attribute", e->attrs.at[i].name,
                     "a <rule> has name, class, bound, measure");
}

/* --- examples -------------------------------------------------------------------------------------- */

static void check_setting(File *f, const Rule *rule, const XmlAttr *a, Spot spot)
{
    static const char *const others[] = {"why", "opset", "returned"};
    for (uint32_t i = 0; i < 3; i++)
        if (strcmp(a->name, others[i]) == 0)
            return;
    for (uint32_t i = 0; i < rule->n_names; i++)
        if (strcmp(rule->names[i].name, a->name) == 0 && !rule->names[i].local)
            return;
    bad_word(f, spot, "name", a->name, "an example sets names of <match>, opset, returned, why");
}

/* sound: <match> could be read, so that its names are known. */
static void check_example(File *f, const XmlElement *e, const Rule *rule, bool sound)
{
    for (uint32_t i = 0; sound && i < e->attrs.n; i++)
        check_setting(f, rule, &e->attrs.at[i], e->spot);
    if (is_refusal(e) && !attr_of(e, "why"))
        bad(f, e->spot, "a <refuse> needs why=\"...\"");
}

static void check_examples(File *f, const XmlElement *e, const Rule *rule, bool sound)
{
    bool has_try = false;
    for (uint32_t i = 0; i < rule->examples.n; i++) {
        has_try = has_try || !is_refusal(rule->examples.at[i]);
        check_example(f, rule->examples.at[i], rule, sound);
    }
    if (!has_try)
        bad(f, e->spot, "a <rule> needs a <try>: operands on which it is proved");
}

/* --- children of <rule> ---------------------------------------------------------------------------- */

typedef struct {
    const XmlElement *why, *match, *when, *give;
} Parts;

static void collect(File *f, uint32_t at, Rule *rule, Parts *p)
{
    const struct {
        const char *name;
        const XmlElement **to;
    } once[] = {{"why", &p->why}, {"match", &p->match}, {"when", &p->when}, {"give", &p->give}};
    for (uint32_t i = at + 1; i < f->doc.elements.n && f->doc.elements.at[i]->parent >= at; i++) {
        const XmlElement *e = f->doc.elements.at[i];
        if (e->parent != at)
            continue;
        const XmlElement **to = NULL;
        for (uint32_t k = 0; k < 4; k++)
            if (is(e, once[k].name))
                to = once[k].to;
        if (is(e, "try") || is(e, "refuse"))
            TG_PUSH(f->book->arena, &rule->examples, e);
        else if (!to)
            bad_word(f, e->spot, "element", e->name, "a <rule> has why, match, when, give, try, refuse");
        else if (*to)
            bad(f, e->spot, tg_name_format(f->book->tg, "a second <%s>", e->name));
        else
            *to = e;
        if (e->n_children)
            bad(f, e->spot, tg_name_format(f->book->tg, "<%s> has no elements in it", e->name));
    }
    for (uint32_t k = 0; k < 4; k++)
        if (!*once[k].to && k != 2)
            bad(f, f->doc.elements.at[at]->spot, tg_name_format(f->book->tg, "a <rule> needs <%s>", once[k].name));
}

/* Terms are read from the source, so they hold no references and no comments. */
static bool plain(File *f, const XmlElement *e)
{
    const char *odd = e->raw.n ? memchr(e->raw.at, '&', e->raw.n) : NULL;
    if (!odd && e->raw.n)
        odd = memchr(e->raw.at, '<', e->raw.n);
    return !odd || bad(f, e->raw.spot, "no references, comments or CDATA among terms");
}

static bool read_terms(File *f, Rule *rule, const XmlElement *e, bool giving, Lines *to)
{
    Reader r;
    if (!e || !plain(f, e))
        return false;
    reader_begin(&r, f->book, rule, f->doc.file, &e->raw);
    r.giving = giving;
    return read_lines(&r, to);
}

static void read_body(File *f, const Parts *p, Rule *rule)
{
    Reader r;
    if (p->why)
        rule->info.why = p->why->text;
    if (p->why && !*rule->info.why)
        bad(f, p->why->spot, "<why> says nothing");
    if (!read_terms(f, rule, p->match, false, &rule->match))
        return;
    rule->info.match = p->match->text;
    if (p->when && plain(f, p->when)) {
        rule->info.when = p->when->text;
        reader_begin(&r, f->book, rule, f->doc.file, &p->when->raw);
        read_conditions(&r);
    }
    uint32_t bound = rule->n_names;
    if (!read_terms(f, rule, p->give, true, &rule->give))
        return;
    rule->info.give = p->give->text;
    for (uint32_t i = bound; i < rule->n_names; i++)
        rule->names[i].local = true;
}

static void read_rule(File *f, uint32_t at)
{
    const XmlElement *e = f->doc.elements.at[at];
    Tg *tg = f->book->tg;
    Rule *rule = TG_NEW(f->book->arena, Rule);
    rule->info = (TgRuleInfo){.topic = f->topic, .why = "", .match = "", .when = "", .give = "",
                              .file = f->doc.file, .line = e->spot.line, .column = e->spot.column,
                              .level = f->level, .target = f->target};
    rule->dropped = UINT32_MAX;
    read_rule_name(f, e, rule);
    read_class(f, e, rule);
    read_measure(f, e, rule);
    rule->info.on = rule->info.class != TG_RULE_APPROX;
    uint32_t errors = tg_error_count(tg);
    Parts p = {0};
    collect(f, at, rule, &p);
    read_body(f, &p, rule);
    bool sound = errors == tg_error_count(tg);
    if (!f->checked)
        check_examples(f, e, rule, sound);
    if (sound)
        lint_rule(f->book, rule);
    TG_PUSH(f->book->arena, &f->book->rules, rule);
}

static void read_root(File *f)
{
    const XmlElement *root = f->doc.elements.at[0];
    const XmlAttr *topic = attr_of(root, "topic");
    if (!is(root, "rules")) {
        bad_word(f, root->spot, "element", root->name, "a rule file is one <rules topic=\"...\">");
        return;
    }
    if (!topic)
        bad(f, root->spot, "<rules> needs topic=\"...\"");
    const XmlAttr *level = attr_of(root, "level");
    static const char *const levels[] = {"1", "2"};
    int which = level ? word_of(f, level, "level", levels, 2, "it is 1 or 2 (default)") : 1;
    f->level = which == 0 ? 1 : 2;
    const XmlAttr *target = attr_of(root, "target");
    static const char *const targets[] = {"ort"};
    bool for_ort = target && word_of(f, target, "target", targets, 1, "it is ort, or left out") == 0;
    f->target = for_ort ? TG_TARGET_ORT : TG_TARGET_ANY;
    f->topic = tg_name(f->book->tg, topic ? topic->text : "");
    for (uint32_t i = 1; i < f->doc.elements.n; i++) {
        const XmlElement *e = f->doc.elements.at[i];
        if (e->parent == 0 && is(e, "rule"))
            read_rule(f, i);
        else if (e->parent == 0)
            bad_word(f, e->spot, "element", e->name, "<rules> holds <rule> elements");
    }
}

bool tg_book_add_text(TgBook *book, const char *name, const char *text, size_t n)
{
    File f = {.book = book};
    Tg *tg = book->tg;
    TgPlace place = *tg_place(tg);
    uint32_t errors = tg_error_count(tg);
    TgName file = tg_name(tg, name);
    char *own = tg_new(book->arena, (n <= XML_MAX_FILE ? n : 0) + 1);
    if (n && n <= XML_MAX_FILE) /* longer ones are refused before they are looked at */
        memcpy(own, text, n);
    if (xml_read(book->arena, file, own, n, &f.doc))
        read_root(&f);
    *tg_place(tg) = place;
    return errors == tg_error_count(tg);
}

bool tg_book_add_file(TgBook *book, const char *path)
{
    const TgFile *file = tg_file_map(book->tg, path);
    return file && tg_book_add_text(book, path, (const char *)file->bytes, file->size);
}

bool book_add_checked(TgBook *book, const XmlDoc *docs, uint32_t n)
{
    uint32_t errors = tg_error_count(book->tg), before = book->rules.n;
    for (uint32_t i = 0; i < n; i++) {
        File f = {.book = book, .doc = docs[i], .checked = true};
        f.doc.file = tg_name(book->tg, docs[i].file);
        read_root(&f);
    }
    if (!before)
        book->n_checked = book->rules.n;
    return errors == tg_error_count(book->tg);
}

/* --- the book -------------------------------------------------------------------------------------- */

TgBook *tg_book_new(Tg *tg)
{
    TgArena *arena = tg_arena_new(tg);
    TgBook *book = TG_NEW(arena, TgBook);
    book->tg = tg;
    book->arena = arena;
    tg_map_init(&book->by_name, arena);
    return book;
}

void tg_book_free(TgBook *book)
{
    if (book)
        tg_arena_free(book->arena);
}

uint32_t tg_book_count(const TgBook *book)
{
    return book->rules.n;
}

const TgRuleInfo *tg_book_rule(const TgBook *book, uint32_t rule)
{
    return &book->rules.at[rule]->info;
}

bool tg_book_find(const TgBook *book, const char *name, uint32_t *rule)
{
    for (uint32_t i = 0; i < book->rules.n; i++)
        if (strcmp(book->rules.at[i]->info.name, name) == 0)
            return *rule = i, true;
    return false;
}

void tg_book_switch(TgBook *book, uint32_t rule, bool on)
{
    book->rules.at[rule]->info.on = on;
}

bool tg_book_close(TgBook *book)
{
    if (!lint_book(book))
        return false;
    book->automaton = automaton_new(book);
    return true;
}
