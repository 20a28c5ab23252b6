/* tgopt rules: the book of rules. Lists it, proves it, says why a rule does not apply to a model, prints
 * tgopt-rules(5). */
#include <string.h>

#include "tool.h"

/* --- the book that the options describe ------------------------------------------------------------ */

/* *own: the first rule that does not come with tgopt. */
static bool add_files(const Arguments *a, TgBook *book, uint32_t *own) {
    bool good = tg_book_add_builtin(book);
    *own = tg_book_count(book);
    for (uint32_t i = 0; i < a->given.n; i++)
        if (a->given.at[i].id == OPT_rules)
            good = tg_book_add_file(book, a->given.at[i].value) && good;
    return good && tg_book_close(book);
}

static void switch_defaults(const Arguments *a, TgBook *book, int level) {
    for (uint32_t i = 0; i < tg_book_count(book); i++) {
        const TgRuleInfo *r = tg_book_rule(book, i);
        tg_book_switch(book, i, r->level <= level && (r->class != TG_RULE_APPROX || has(a, OPT_approximate)));
    }
}

/* --only-rule and --skip-rule, in that order. */
static bool switch_rules(const Arguments *a, TgBook *book) {
    for (uint32_t i = 0; has(a, OPT_only_rule) && i < tg_book_count(book); i++)
        tg_book_switch(book, i, false);
    for (int skips = 0; skips < 2; skips++)
        for (uint32_t i = 0; i < a->given.n; i++) {
            const Given *given = &a->given.at[i];
            uint32_t rule;
            if (given->id != (skips ? OPT_skip_rule : OPT_only_rule))
                continue;
            if (!tg_book_find(book, given->value, &rule))
                return usage("there is no rule '%s'; tgopt rules list shows them", given->value);
            tg_book_switch(book, rule, !skips);
        }
    return true;
}

/* Proves the rules from `first` on. */
static bool prove_from(Run *run, TgBook *book, uint32_t first, TgProofs *proofs) {
    bool good = true;
    for (uint32_t i = first; i < tg_book_count(book); i++)
        good = tg_rule_prove(book, i, proofs) && good;
    return good || (run->code = EXIT_REFUSED, false);
}

TgBook *load_book(Run *run, int level) {
    const Arguments *a = &run->arguments;
    TgBook *book = tg_book_new(run->tg);
    TgProofs proofs = {0};
    uint32_t own;
    if (!add_files(a, book, &own))
        return NULL;
    bool trusted = has(a, OPT_trust_rules) || a->command != CMD_OPTIMIZE;
    if (!trusted && !prove_from(run, book, own, &proofs))
        return NULL;
    switch_defaults(a, book, level);
    if (switch_rules(a, book))
        return book;
    run->code = EXIT_USAGE;
    return NULL;
}

/* --- list ------------------------------------------------------------------------------------------ */

static void list_as_json(Run *run, const TgBook *book) {
    Json j;
    json_begin(&j, tg_forever(run->tg));
    json_open(&j, '[');
    for (uint32_t i = 0; i < tg_book_count(book); i++) {
        const TgRuleInfo *r = tg_book_rule(book, i);
        const char *const texts[][2] = {
            {"name", r->name}, {"topic", r->topic}, {"class", tg_rule_class_name(r->class)}, {"why", r->why},
            {"match", r->match}, {"when", r->when}, {"give", r->give}, {"file", r->file}};
        json_open(&j, '{');
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            json_key(&j, texts[k][0]);
            json_string(&j, texts[k][1]);
        }
        json_int_at(&j, "line", r->line);
        json_number_at(&j, "bound", r->bound);
        json_key(&j, "on");
        json_bool(&j, r->on);
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_end(&j);
    fputs(j.text.at, stdout);
}

static bool list(Run *run) {
    TgBook *book = load_book(run, 2);
    TgName topic = NULL;
    if (!book)
        return false;
    if (has(&run->arguments, OPT_json)) {
        list_as_json(run, book);
        return true;
    }
    for (uint32_t i = 0; i < tg_book_count(book); i++) {
        const TgRuleInfo *r = tg_book_rule(book, i);
        if (r->topic != topic)
            printf("%s%s (%s)\n", topic ? "\n" : "", r->topic, r->file);
        topic = r->topic;
        printf("  %-34s %-8s%s%s\n", r->name, tg_rule_class_name(r->class), r->on ? "" : "off  ", r->why);
    }
    return true;
}

/* --- check ----------------------------------------------------------------------------------------- */

static bool check(Run *run) {
    Tg *tg = run->tg;
    TgBook *book = tg_book_new(tg);
    const Arguments *a = &run->arguments;
    const char *file = a->operands.n > 1 ? a->operands.at[1] : NULL;
    TgProofs proofs = {0};
    double start = seconds_now();
    if (!tg_book_add_builtin(book))
        return false;
    uint32_t first = file || has(a, OPT_rules) ? tg_book_count(book) : 0;
    bool good = !file || tg_book_add_file(book, file);
    for (uint32_t i = 0; i < a->given.n; i++)
        if (a->given.at[i].id == OPT_rules)
            good = tg_book_add_file(book, a->given.at[i].value) && good;
    if (!good || !tg_book_close(book) || !prove_from(run, book, first, &proofs))
        return false;
    printf("%u rules proved: %u examples, %u refusals, %u conditions needed (%.1f s)\n", proofs.rules,
           proofs.instances, proofs.refusals, proofs.conditions, seconds_now() - start);
    return true;
}

/* --- explain --------------------------------------------------------------------------------------- */

typedef struct {
    const TgGraph *g;
    uint32_t lines;
} Reasons;

static void print_reason(void *user, TgNode node, TgName why) {
    Reasons *r = user;
    const TgNodeInfo *n = tg_node(r->g, node);
    TgName name = n->name ? n->name : tg_value(r->g, n->out[0])->name;
    r->lines++;
    printf("node '%s': %s\n", name ? name : "", why);
}

/* The state that the rule would see: cleaned up, the other rules applied, constants not yet in weights. */
static bool explain(Run *run) {
    const Arguments *a = &run->arguments;
    uint32_t rule;
    if (a->operands.n != 3) {
        run->code = EXIT_USAGE;
        return usage("rules explain wants a rule and a model");
    }
    TgBook *book = load_book(run, 2);
    if (!book)
        return false;
    if (!tg_book_find(book, a->operands.at[1], &rule)) {
        run->code = EXIT_USAGE;
        return usage("there is no rule '%s'; tgopt rules list shows them", a->operands.at[1]);
    }
    TgModel *model = load_model(run, a->operands.at[2]);
    TgTarget target = tg_book_rule(book, rule)->target;
    TgOptimizeOptions options = {.level = 1, .target = target, .rewrite_limit = -1, .book = book};
    TgReport report;
    if (!model || !number_of(a, OPT_opset, 7, tg_newest_opset(), &options.opset))
        return false;
    tg_book_switch(book, rule, false);
    if (!tg_optimize(model, &options, &report))
        return false;
    int64_t opset = options.opset ? options.opset : tg_model_opset(model, "");
    Reasons reasons = {.g = model->graph};
    tg_rule_explain(book, rule, model->graph, opset, target, false, print_reason, &reasons);
    if (!reasons.lines)
        printf("no node of the model comes near to '%s'\n", a->operands.at[1]);
    return true;
}

/* --- the manual page ------------------------------------------------------------------------------- */

static const char *kind_text(char kind) {
    return kind == 'v' ? "value" : kind == 'i' ? "integer" : kind == 'f' ? "number" : "type";
}

static void print_words(const char *title, const TgRuleWord *words, uint32_t n) {
    printf(".SH %s\n", title);
    for (uint32_t i = 0; i < n; i++) {
        printf(".TP\n.B %s", words[i].name);
        for (const char *k = words[i].operands; *k; k++)
            printf("%s%s%s", k == words[i].operands ? "(" : ", ", kind_text(*k), k[1] ? "" : ")");
        printf("\n%s.\n", words[i].doc);
    }
}

static const char manual_head[] =
    ".TH TGOPT-RULES 5\n.SH NAME\ntgopt\\-rules \\- rewrites of tgopt as documents\n"
    ".SH SYNOPSIS\n.nf\n"
    "<rules topic=\"...\" [level=\"1|2\"] [target=\"ort\"]>\n"
    "  <rule name=\"...\" class=\"exact|reassoc|approx\" [bound=\"...\"] [measure=\"...\"]>\n"
    "    <why>...</why>\n"
    "    <match>terms</match>\n"
    "    <when>conditions</when>\n"
    "    <give>terms</give>\n"
    "    <try NAME=\"TYPE\" .../>\n"
    "    <refuse NAME=\"TYPE\" ... why=\"...\"/>\n"
    "  </rule>\n"
    "</rules>\n.fi\n"
    ".SH DESCRIPTION\n"
    "A rule puts what it gives in the place of what it matches, where its conditions hold.\n"
    "It is proved on its examples before it is used.\n"
    "Conditions may be preceded by \"not\".\n";

static const char manual_terms[] =
    ".SH TERMS\n.nf\n"
    "x                 a value; the same name is the same value\n"
    "x?                an operand that may be absent\n"
    "x:f32[B,*]        a value of this type; ? any element type, * any size, ... any sizes in front\n"
    "rest...           all operands that remain\n"
    "0.5   0.5~        a constant of this number; ~ as a 16-bit type rounds it\n"
    "{0, 2}            constant integers\n"
    "Op(x, y; axis=a)  an operator; a is bound, a number must be equal, others must be defaults\n"
    "m:Op(x)           the same, with a name\n"
    "(A | B)           one of several spellings\n"
    "_                 no operand\n"
    "y, z = Op(x)      a line: names for outputs; those that <give> names too are replaced\n"
    "1:?[dim(x,-1)]    in <give>: a constant of this shape\n.fi\n";

static const char manual_tail[] =
    ".SH EXAMPLES OF A RULE\n"
    "Attributes of <try> and <refuse> give each name a type (an input; a constant where const() is asked for),\n"
    "\"input TYPE\" (no constant), \"const TYPE {...}\" or, to names of attributes, a number.\n"
    "opset=\"N\" is the opset of the output, returned=\"m\" makes the graph return m as well.\n"
    ".SH SEE ALSO\ntgopt(1)\n";

static bool manual(Run *run) {
    uint32_t n;
    (void)run;
    fputs(manual_head, stdout);
    fputs(manual_terms, stdout);
    const TgRuleWord *words = tg_rule_conditions(&n);
    print_words("CONDITIONS", words, n);
    words = tg_rule_functions(&n);
    print_words("FUNCTIONS", words, n);
    words = tg_rule_measures(&n);
    print_words("MEASURES", words, n);
    fputs(manual_tail, stdout);
    return true;
}

/* --- the command ----------------------------------------------------------------------------------- */

bool rules_command(Run *run) {
    static const struct {
        const char *word;
        bool (*run)(Run *);
        uint32_t most; /* operands, the word included */
    } actions[] = {{"list", list, 1}, {"check", check, 2}, {"explain", explain, 3}, {"manual", manual, 1}};
    const Arguments *a = &run->arguments;
    for (size_t i = 0; a->operands.n && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(a->operands.at[0], actions[i].word) == 0 && a->operands.n <= actions[i].most)
            return actions[i].run(run);
    run->code = EXIT_USAGE;
    return usage("rules wants list, check [FILE], explain RULE MODEL or manual");
}
