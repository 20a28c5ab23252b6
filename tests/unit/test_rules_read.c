/* Rule files that must be refused, with all that is wrong in them and its place. In the texts '@' stands in
 * front of each place that a message must name; it is taken out before reading. Then attacks on XML readers,
 * each refused without being followed. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rules/rules.h"

static int setup(void **state)
{
    return (*state = tg_open(NULL)) == NULL;
}
static int teardown(void **state)
{
    return tg_close(*state), 0;
}

enum { MOST = 8 };

typedef struct {
    char text[4096];
    size_t n;
    uint32_t marks, line[MOST], column[MOST];
} Marked;

static void unmark(const char *text, Marked *m)
{
    uint32_t line = 1, column = 1;
    *m = (Marked){0};
    for (const char *c = text; *c; c++) {
        if (*c == '@') {
            assert_true(m->marks < MOST);
            m->line[m->marks] = line;
            m->column[m->marks++] = column;
            continue;
        }
        assert_true(m->n + 1 < sizeof m->text);
        m->text[m->n++] = *c;
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
}

static const TgDiag *find(Tg *tg, uint32_t from, TgDiagId id, uint32_t line, uint32_t column)
{
    for (uint32_t i = from; i < tg_diag_count(tg); i++) {
        const TgDiag *d = tg_diag(tg, i);
        if (d->id == id && d->place.line == line && d->place.column == column)
            return d;
    }
    return NULL;
}

static void print_all(Tg *tg, uint32_t from, const char *text)
{
    print_error("%s\n", text);
    for (uint32_t i = from; i < tg_diag_count(tg); i++) {
        const TgDiag *d = tg_diag(tg, i);
        print_error("%u:%u: %s: %s\n", d->place.line, d->place.column, tg_diag_id_name(d->id), d->message);
    }
}

/* The file is refused with just these messages, one per mark. */
static void refused(Tg *tg, const char *text, const TgDiagId *ids)
{
    Marked m;
    uint32_t from = tg_diag_count(tg);
    unmark(text, &m);
    TgBook *book = tg_book_new(tg);
    bool good = tg_book_add_text(book, "t.xml", m.text, m.n) && tg_book_close(book);
    bool as_said = !good && tg_diag_count(tg) - from == m.marks;
    for (uint32_t i = 0; i < m.marks; i++)
        as_said = as_said && find(tg, from, ids[i], m.line[i], m.column[i]);
    if (!as_said)
        print_all(tg, from, m.text);
    assert_true(as_said);
    tg_book_free(book);
}

#define REFUSED(text, ...) refused(*state, text, (const TgDiagId[]){__VA_ARGS__})
#define RULE(body)                                                                                           \
    "<rules topic='t'>\n <rule name='r' class='exact'>\n  <why>w</why>\n" body " </rule>\n</rules>\n"
#define TRY "  <try x='f32[2]'/>\n"

static void names(void **state)
{
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>@z</give>\n" TRY), TG_E_rule_unbound);
    REFUSED(RULE("  <match>Add(Neg(x), @y)</match>\n  <give>x</give>\n" TRY), TG_E_rule_unused);
    REFUSED(RULE("  <match>Neg(@m:Neg(x))</match>\n  <give>x</give>\n" TRY), TG_E_rule_unused);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <when>one_use(@m)</when>\n  <give>x</give>\n" TRY),
            TG_E_rule_unbound);
    REFUSED(
        RULE(
            "  <match>Softmax(Softmax(x; axis=a); axis=@x)</match>\n  <give>Softmax(x; axis=a)</give>\n" TRY),
        TG_E_rule_kind);
    REFUSED(RULE("  <match>Softmax(Neg(x); axis=@a+1)</match>\n  <give>Softmax(x; axis=a)</give>\n" TRY),
            TG_E_rule_unbound);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>x</give>\n  @<try x='f32[2]' y='f32[2]'/>\n"),
            TG_E_rule_unknown);
}

static void unknown_words(void **state)
{
    REFUSED(RULE("  <match>@Nag(Neg(x))</match>\n  <give>x</give>\n" TRY), TG_E_rule_unknown);
    REFUSED(RULE("  <match>Softmax(Neg(x); @axes=a)</match>\n  <give>Softmax(x; axis=a)</give>\n" TRY),
            TG_E_rule_unknown);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <when>@constant(x)</when>\n  <give>x</give>\n" TRY),
            TG_E_rule_unknown);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <when>equal(@size(x), 2)</when>\n  <give>x</give>\n" TRY),
            TG_E_rule_unknown);
    REFUSED(
        "<rules topic='t'>\n <rule name='r' class='@precise'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n" TRY " </rule>\n</rules>",
        TG_E_rule_unknown);
    REFUSED("<rules topic='t'>\n <rule name='r' class='exact' measure='@weight'>\n  <why>w</why>\n"
            "  <match>Neg(Neg(x))</match>\n  <give>x</give>\n" TRY " </rule>\n</rules>",
            TG_E_rule_unknown);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>x</give>\n  @<note/>\n" TRY), TG_E_rule_unknown);
    REFUSED("@<book/>", TG_E_rule_unknown);
}

static void arity(void **state)
{
    REFUSED(RULE("  <match>Neg(@Neg(x, x))</match>\n  <give>x</give>\n" TRY), TG_E_rule_arity);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>@Add(x)</give>\n" TRY), TG_E_rule_arity,
            TG_E_rule_measure);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <when>@same_type(x)</when>\n  <give>x</give>\n" TRY),
            TG_E_rule_arity);
}

static void missing_parts(void **state)
{
    REFUSED(
        "<rules topic='t'>\n @<rule name='r' class='exact'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n </rule>\n</rules>",
        TG_E_rule_form);
    REFUSED("<rules topic='t'>\n @<rule name='r' class='exact'>\n  <match>Neg(Neg(x))</match>\n  "
            "<give>x</give>\n" TRY " </rule>\n</rules>",
            TG_E_rule_form);
    REFUSED("@<rules>\n</rules>", TG_E_rule_form);
    REFUSED(
        "<rules topic='t'>\n <rule name='@A b' class='exact'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n" TRY " </rule>\n</rules>",
        TG_E_rule_form);
    REFUSED(
        "<rules topic='t'>\n @<rule name='r' class='approx'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n" TRY " </rule>\n</rules>",
        TG_E_rule_form);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>x</give>\n  @<give>x</give>\n" TRY), TG_E_rule_form);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>x</give>\n" TRY "  @<refuse x='f32[1]'/>\n"),
            TG_E_rule_form);
}

static void lines(void **state)
{
    REFUSED(RULE("  <match>@x</match>\n  <give>x</give>\n" TRY), TG_E_rule_form);
    REFUSED(RULE("  <match>a = Neg(Neg(x))\n  b = Neg(x)</match>\n  <give>@c = x</give>\n" TRY),
            TG_E_rule_form);
}

static void measures(void **state)
{
    REFUSED(RULE("  <match>Add(x, y)</match>\n  <give>@Add(y, x)</give>\n" TRY), TG_E_rule_measure);
    REFUSED(RULE("  <match>Pow(x, 2)</match>\n  <give>@Mul(x, x)</give>\n" TRY), TG_E_rule_measure);
    REFUSED(RULE("  <match>Exp(Neg(Neg(x)))</match>\n  <give>@Add(x, x)</give>\n" TRY), TG_E_rule_measure);
    /* two nodes for one that is sure to go */
    REFUSED(RULE("  <match>Neg(Exp(Neg(x)))</match>\n  <give>@Exp(Abs(x))</give>\n" TRY), TG_E_rule_measure);
}

static void twins(void **state)
{
    REFUSED(
        "<rules topic='t'>\n <rule name='r' class='exact'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n" TRY " </rule>\n <rule name='@r' class='exact'>\n  <why>w</why>\n"
        "  <match>Abs(Abs(x))</match>\n  <give>Abs(x)</give>\n" TRY " </rule>\n</rules>",
        TG_E_rule_twice);
    /* the first one takes all that the second matches */
    REFUSED(
        "<rules topic='t'>\n <rule name='r' class='exact'>\n  <why>w</why>\n  <match>Neg(Neg(x))</match>\n"
        "  <give>x</give>\n" TRY " </rule>\n @<rule name='s' class='exact'>\n  <why>w</why>\n"
        "  <match>Neg(Neg(Abs(x)))</match>\n  <when>floating(x)</when>\n  <give>Abs(x)</give>\n" TRY
        " </rule>\n</rules>",
        TG_E_rule_shadowed);
}

static void terms(void **state)
{
    REFUSED(RULE("  <match>Neg(Neg(x)@</match>\n  <give>x</give>\n" TRY), TG_E_syntax);
    REFUSED(RULE("  <match>Neg(@Neg())@)</match>\n  <give>x</give>\n" TRY), TG_E_rule_arity, TG_E_syntax);
    REFUSED(RULE("  <match>@Neg(Neg(x &amp; y))</match>\n  <give>x</give>\n" TRY), TG_E_rule_form);
    REFUSED(RULE("  <match>Neg(Neg(x))</match>\n  <give>@x | x</give>\n" TRY), TG_E_rule_form);
    REFUSED(RULE("  <match>Neg(Neg(x:@g32[2]))</match>\n  <give>x</give>\n" TRY), TG_E_syntax);
}

/* All that is wrong is said in one run, rule after rule. */
static void all_at_once(void **state)
{
    REFUSED("<rules topic='t'>\n <rule name='a' class='exact'>\n  <why>w</why>\n  <match>@Nag(Neg(x), "
            "@Nog(x))</match>\n"
            "  <give>@y</give>\n" TRY " </rule>\n @<rule name='b' class='@odd'>\n  <why>w</why>\n"
            "  <match>Abs(Abs(x))</match>\n  <give>@Abs(Abs(x))</give>\n </rule>\n</rules>",
            TG_E_rule_unknown, TG_E_rule_unknown, TG_E_rule_unbound, TG_E_rule_form, TG_E_rule_unknown,
            TG_E_rule_measure);
}

/* --- XML ------------------------------------------------------------------------------------------- */

#define GOOD RULE("  <match>Neg(Neg(x))</match>\n  <give>x</give>\n" TRY)

static void markup(void **state)
{
    REFUSED("@<!DOCTYPE rules SYSTEM 'file:///etc/passwd'>" GOOD, TG_E_rule_xml);
    REFUSED("@<!DOCTYPE rules [<!ENTITY a 'b'>]>" GOOD, TG_E_rule_xml);
    REFUSED("<?xml version='1.0' encoding='@UTF-16'?>" GOOD, TG_E_rule_xml);
    REFUSED("<rules topic='t'>@<?odd instruction?></rules>", TG_E_rule_xml);
    REFUSED("<rules topic='t'>\n<rule></rules>@", TG_E_rule_xml);
}

static bool reads(Tg *tg, const char *text, size_t n)
{
    TgBook *book = tg_book_new(tg);
    bool good = tg_book_add_text(book, "t.xml", text, n);
    tg_book_free(book);
    return good;
}

static void good_files(void **state)
{
    assert_true(reads(*state, GOOD, strlen(GOOD)));
    const char *declared =
        "<?xml version='1.0' encoding='utf-8'?>\r\n<!-- a comment with <!DOCTYPE> in it -->\r\n" GOOD;
    assert_true(reads(*state, declared, strlen(declared)));
}

static void sizes(void **state)
{
    Tg *tg = *state;
    size_t n = (4u << 20) + 1;
    char *text = test_malloc(n);
    memset(text, ' ', n);
    assert_false(reads(tg, text, n));
    assert_int_equal(tg_diag(tg, tg_diag_count(tg) - 1)->id, TG_E_rule_limit);
    assert_false(reads(tg, text, n - 1)); /* no element in it */
    memcpy(text, "<rules a='", 10);
    assert_false(reads(tg, text, 20000)); /* a long tag */
    memcpy(text, "<rules\0>", 8);
    assert_false(reads(tg, text, 8));
    for (size_t i = 0; i < 3000; i++)
        memcpy(text + 3 * i, "<a>", 3);
    assert_false(reads(tg, text, 9000)); /* deep */
    test_free(text);
}

/* Deep terms end with a message, not with the stack. */
static void deep_terms(void **state)
{
    char text[16384] = "<rules topic='t'><rule name='r' class='exact'><why>w</why><match>";
    for (int i = 0; i < 2000; i++)
        strcat(text, "Neg(");
    strcat(text, "</match><give>x</give></rule></rules>");
    assert_false(reads(*state, text, strlen(text)));
}

static void same_info(const TgRuleInfo *a, const TgRuleInfo *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->topic, b->topic);
    assert_string_equal(a->why, b->why);
    assert_string_equal(a->match, b->match);
    assert_string_equal(a->when, b->when);
    assert_string_equal(a->give, b->give);
    assert_true(a->line == b->line && a->column == b->column && a->class == b->class && a->level == b->level &&
                a->target == b->target && a->on == b->on);
}

/* What was read when tgopt was built is what the files say, in places, too. */
static void built_in_book_is_its_files(void **state)
{
    TgBook *built = tg_book_new(*state), *files = tg_book_new(*state);
    glob_t found;
    assert_int_equal(glob(TGOPT_SOURCE_DIR "/rules/*.xml", 0, NULL, &found), 0); /* sorted, as the build has them */
    assert_true(tg_book_add_builtin(built) && tg_book_close(built));
    for (size_t i = 0; i < found.gl_pathc; i++)
        assert_true(tg_book_add_file(files, found.gl_pathv[i]));
    globfree(&found);
    assert_true(tg_book_close(files) && tg_book_count(files) > 50);
    assert_int_equal(tg_book_count(built), tg_book_count(files));
    for (uint32_t i = 0; i < tg_book_count(files); i++)
        same_info(tg_book_rule(built, i), tg_book_rule(files, i));
    tg_book_free(built);
    tg_book_free(files);
}

/* A user's rule that a built-in one forestalls is still refused, though those of the book are not compared again. */
static void forestalled_by_the_book(void **state)
{
    static const char text[] = "<rules topic='t'><rule name='mine' class='exact'><why>w</why><match>Abs(Neg(Exp(x)))"
                               "</match><give>Exp(x)</give><try x='f32[2]'/></rule></rules>";
    TgBook *book = tg_book_new(*state);
    assert_true(tg_book_add_builtin(book) && tg_book_add_text(book, "t.xml", text, strlen(text)));
    assert_false(tg_book_close(book));
    assert_int_equal(tg_diag(*state, 0)->id, TG_E_rule_shadowed);
    tg_book_free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_words, setup, teardown),
        cmocka_unit_test_setup_teardown(arity, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(lines, setup, teardown),
        cmocka_unit_test_setup_teardown(measures, setup, teardown),
        cmocka_unit_test_setup_teardown(twins, setup, teardown),
        cmocka_unit_test_setup_teardown(terms, setup, teardown),
        cmocka_unit_test_setup_teardown(all_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(markup, setup, teardown),
        cmocka_unit_test_setup_teardown(good_files, setup, teardown),
        cmocka_unit_test_setup_teardown(sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(deep_terms, setup, teardown),
        cmocka_unit_test_setup_teardown(built_in_book_is_its_files, setup, teardown),
        cmocka_unit_test_setup_teardown(forestalled_by_the_book, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
