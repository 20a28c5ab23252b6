/* Reads the text form into a model. The grammar is in TEXT.md.
 *
 * One pass, no syntax tree: statements become nodes as they are read, because a value must be defined before
 * it is read. A node is made when its operands are known, so that the subgraphs among its attributes can
 * capture outer values; its attributes follow, then the types that the text claims, and only then it is
 * inferred: claims of types serve operators that we do not know, and must agree with inference for those
 * that we do. What follows from all nodes together (sizes that must be equal) is sought at the end, as it is
 * when a file is loaded.
 *
 * Every graph opens a scope. A name that a scope lacks is looked for further out and captured level by
 * level.
 */
#include "dim.h"
#include "text.h"

#include <string.h>

typedef struct Scope {
    TgGraph *g;
    TgNode holder; /* the node of outer->g whose subgraph `sub` is g */
    uint32_t sub;
    TgMap names; /* key(token) -> value */
    struct Scope *outer;
} Scope;

typedef struct {
    TgReader r; /* first: `constant` gets it back */
    TgModel *model;
    Scope *scope;
    TgArena *lists; /* what a statement needs until it is read */
} Parser;

enum { PER_OPERAND = 80, PER_RESULT = 320 }; /* bytes at most, as wire.def says it of files */

/* Terms and statements of one operator call. */
typedef TG_VEC(TgValue)
Values;

static bool body(Parser *p);
static bool term(Parser *p, TgValue *v);

/* --- names ---------------------------------------------------------------------------------------------- */

/* %12 is a nameless value, numbered for the text only; %"12" is a value of that name. */
static bool is_number(const TgToken *t)
{
    if (t->quoted)
        return false;
    for (size_t i = 0; i < t->n; i++)
        if (t->text[i] < '0' || t->text[i] > '9')
            return false;
    return true;
}

static uint64_t key(const TgLex *lex)
{
    return TG_KEY(tg_lex_name(lex)) * 2 + is_number(&lex->token);
}

static TgValue find(Scope *s, uint64_t name)
{
    uint64_t v;
    if (tg_map_get(&s->names, name, &v))
        return (TgValue)v;
    TgValue outer = s->outer ? find(s->outer, name) : 0; /* as deep as graphs are nested */
    return outer ? tg_graph_capture(s->g, s->holder, s->sub, outer) : 0;
}

static bool read_value(Parser *p, TgValue *v)
{
    TgLex *lex = &p->r.lex;
    *v = find(p->scope, key(lex));
    if (!*v) {
        tg_lex_place(lex, &lex->token);
        return tg_report(lex->tg, TG_E_unknown_value, tg_lex_name(lex));
    }
    tg_lex_next(lex);
    return true;
}

/* The name under the current token from now on means v. */
static bool define(Parser *p, const TgLex *at, TgValue v)
{
    uint64_t name = key(at);
    if (tg_map_get(&p->scope->names, name, NULL)) {
        tg_lex_place(at, &at->token);
        return tg_report(at->tg, TG_E_defined_twice, tg_lex_name(at));
    }
    tg_map_put(&p->scope->names, name, v);
    tg_value(p->scope->g, v)->name = is_number(&at->token) ? NULL : tg_lex_name(at);
    return true;
}

static const TgTensor *named_constant(TgReader *r)
{
    Parser *p = (Parser *)r;
    TgValue v = find(p->scope, key(&r->lex));
    const TgTensor *t = v ? tg_const_of(p->scope->g, v) : NULL;
    if (t)
        return t;
    tg_lex_place(&r->lex, &r->lex.token);
    tg_report(r->lex.tg, v ? TG_E_recipe_input : TG_E_unknown_value, tg_lex_name(&r->lex));
    return NULL;
}

/* --- notes: !doc("...") and the like -------------------------------------------------------------------- */

/* Where the notes of one thing go; NULL: such a note does not belong there. */
typedef struct {
    TgName *name, *doc;
    const TgType **declared;
    TgBytes *unknown, *wire;
} Notes;

static bool declared_note(Parser *p, const TgType **type)
{
    return tg_lex_expect(&p->r.lex, '(') && tg_read_type(&p->r, type) && tg_lex_expect(&p->r.lex, ')');
}

static bool note(Parser *p, const Notes *n)
{
    TgLex *lex = &p->r.lex;
    TgToken token = lex->token;
    TgName word = tg_lex_name(lex);
    tg_lex_next(lex);
    if (n->name && strcmp(word, "name") == 0)
        return tg_read_quoted(&p->r, n->name);
    if (n->doc && strcmp(word, "doc") == 0)
        return tg_read_quoted(&p->r, n->doc);
    if (n->declared && strcmp(word, "declared") == 0)
        return declared_note(p, n->declared);
    if (n->unknown && strcmp(word, "unknown") == 0)
        return tg_read_hex(&p->r, n->unknown);
    if (n->wire && strcmp(word, "wire") == 0)
        return tg_read_hex(&p->r, n->wire);
    tg_lex_place(lex, &token);
    return tg_report(lex->tg, TG_E_unknown_note, word);
}

static bool notes(Parser *p, const Notes *n)
{
    while (p->r.lex.token.kind == TG_TOK_NOTE)
        if (!note(p, n))
            return false;
    return true;
}

static bool value_notes(Parser *p, TgValueInfo *v)
{
    Notes n = {.name = &v->name,
               .doc = &v->doc,
               .declared = &v->declared,
               .unknown = &v->unknown,
               .wire = &v->type_wire};
    return notes(p, &n);
}

/* --- calls: Op(terms; attributes) ----------------------------------------------------------------------- */

/* What stands before the parenthesis. */
typedef struct {
    TgOp op;
    TgName domain, name, overload; /* of an opaque operator */
    TgToken place;
} Head;

/* "domain"::Op or "domain"::"any op", then perhaps :"overload" */
static bool opaque_head(Parser *p, Head *h)
{
    TgLex *lex = &p->r.lex;
    h->op = TG_opaque;
    h->domain = tg_lex_name(lex);
    tg_lex_next(lex);
    if (!tg_lex_expect(lex, TG_TOK_SCOPE))
        return false;
    if (lex->token.kind != TG_TOK_IDENT && lex->token.kind != TG_TOK_STRING)
        return tg_lex_fail(lex, "an operator");
    h->name = tg_lex_name(lex);
    tg_lex_next(lex);
    if (!tg_lex_accept(lex, ':'))
        return true;
    h->overload = tg_lex_name(lex);
    return tg_lex_expect(lex, TG_TOK_STRING);
}

static bool head(Parser *p, Head *h)
{
    TgLex *lex = &p->r.lex;
    *h = (Head){.place = lex->token};
    if (lex->token.kind == TG_TOK_STRING)
        return opaque_head(p, h);
    if (lex->token.kind != TG_TOK_IDENT)
        return tg_lex_fail(lex, "an operator");
    h->op = tg_op_from_text(lex->tg, lex->token.text, lex->token.n);
    if (h->op == TG_opaque) {
        tg_lex_place(lex, &lex->token);
        return tg_report(lex->tg, TG_E_unknown_op, tg_lex_name(lex), tg_lex_name(lex));
    }
    tg_lex_next(lex);
    return true;
}

static bool operands(Parser *p, Values *in)
{
    TgLex *lex = &p->r.lex;
    if (!tg_lex_expect(lex, '('))
        return false;
    while (lex->token.kind != ';' && lex->token.kind != ')') {
        TgValue v;
        if (!term(p, &v) || !tg_read_take(&p->r, PER_OPERAND))
            return false;
        TG_PUSH(p->lists, in, v);
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ';' && lex->token.kind != ')')
            return tg_lex_fail(lex, "',', ';' or ')'");
    }
    return true;
}

/* A graph among attributes: it starts with a name, formal inputs or a body, which no list does. */
static bool is_graph(const TgLex *lex)
{
    TgLex look = *lex;
    int kind = look.token.kind;
    if (kind == TG_TOK_GRAPH || kind == '(')
        return true;
    if (kind != '{')
        return false;
    tg_lex_next(&look);
    if (look.token.kind == TG_TOK_VALUE || tg_lex_is_word(&look, "return") || tg_lex_is_word(&look, "_"))
        return true;
    TgLex further = look;
    tg_lex_next(&further);
    return (look.token.kind == TG_TOK_IDENT && further.token.kind == '(') ||
           (look.token.kind == TG_TOK_STRING && further.token.kind == TG_TOK_SCOPE);
}

static bool subgraph(Parser *p, TgNode holder, TgName attr)
{
    TgGraph *outer = p->scope->g;
    Scope scope = {.g = tg_node_add_sub(outer, holder, attr), .holder = holder, .outer = p->scope};
    scope.sub = tg_node(outer, holder)->n_sub - 1;
    tg_map_init(&scope.names, p->r.lex.arena);
    p->scope = &scope;
    bool good = tg_read_enter(&p->r) && body(p);
    p->r.depth--;
    p->scope = scope.outer;
    return good;
}

static bool attributes(Parser *p, TgOp op, TgNode n)
{
    TgAttrBuild build;
    tg_attrs_begin(&build, p->model->tg);
    do {
        TgName name;
        if (!tg_read_attr_name(&p->r, &name))
            return false;
        bool good = is_graph(&p->r.lex) ? subgraph(p, n, name) : tg_read_attr_value(&p->r, op, name, &build);
        if (!good)
            return false;
    } while (tg_lex_accept(&p->r.lex, ','));
    tg_set_attrs(p->scope->g, n, tg_attrs_end(&build, op));
    return true;
}

/* Makes the node, untyped still; *place is where its operator stands. */
static bool call(Parser *p, uint32_t n_out, TgNode *n, TgToken *place)
{
    Head h;
    Values in = {0};
    if (!head(p, &h) || !operands(p, &in))
        return false;
    *place = h.place;
    TgGraph *g = p->scope->g;
    if (h.op == TG_opaque) {
        *n = tg_graph_add_opaque(g, h.domain, h.name, NULL, in.n, in.at, n_out);
        tg_node(g, *n)->overload = h.overload;
    } else {
        *n = tg_graph_add_raw(g, h.op, NULL, in.n, in.at, n_out);
    }
    if (tg_lex_accept(&p->r.lex, ';') && !attributes(p, h.op, *n))
        return false;
    return tg_lex_expect(&p->r.lex, ')');
}

/* Branches of If may never run: a node there that does not fit is left untyped, as inference leaves it. */
static bool in_branch(const Scope *scope)
{
    while (scope->outer && tg_node(scope->outer->g, scope->holder)->op != TG_If)
        scope = scope->outer;
    return scope->outer != NULL;
}

static bool infer(Parser *p, TgNode n, const TgToken *place)
{
    Tg *tg = p->model->tg;
    uint32_t said = tg_diag_count(tg);
    tg_lex_place(&p->r.lex, place);
    if (tg_infer_node(p->scope->g, n))
        return true;
    if (!in_branch(p->scope))
        return false;
    tg_diag_forget(tg, said);
    return true;
}

static bool nested_call(Parser *p, TgValue *v)
{
    const TgLex start = p->r.lex;
    TgNode n;
    TgToken place;
    TgOp op = start.token.kind == TG_TOK_IDENT ? tg_op_from_text(start.tg, start.token.text, start.token.n)
                                               : TG_opaque;
    uint32_t n_out = op != TG_opaque && tg_op_info(op)->out_min > 1 ? tg_op_info(op)->out_min : 1;
    if (!call(p, n_out, &n, &place) || !infer(p, n, &place))
        return false;
    *v = tg_node(p->scope->g, n)->out[0];
    return true;
}

static bool term(Parser *p, TgValue *v)
{
    TgLex *lex = &p->r.lex;
    *v = 0;
    if (lex->token.kind == TG_TOK_VALUE)
        return read_value(p, v);
    if (tg_lex_is_word(lex, "_"))
        return tg_lex_next(lex), true;
    if (tg_lex_is_word(lex, "const")) {
        const TgTensor *t = tg_read_const(&p->r);
        if (t)
            *v = tg_graph_const(p->scope->g, t, NULL);
        return t != NULL;
    }
    bool good = tg_read_enter(&p->r) && nested_call(p, v);
    p->r.depth--;
    return good;
}

/* --- statements: bindings = call : types notes ---------------------------------------------------------- */

/* What stands left of '=': where each name stands, what its notes say. */
typedef struct {
    TgLex at;
    bool absent; /* _ */
    TgValueInfo info;
} Binding;

typedef TG_VEC(Binding)
Bindings;

static bool bindings(Parser *p, Bindings *list)
{
    TgLex *lex = &p->r.lex;
    do {
        Binding b = {.at = *lex, .absent = tg_lex_is_word(lex, "_")};
        if (!b.absent && lex->token.kind != TG_TOK_VALUE)
            return tg_lex_fail(lex, "a value (%x)");
        tg_lex_next(lex);
        if (!value_notes(p, &b.info) || !tg_read_take(&p->r, PER_RESULT + (list->n ? 3 * sizeof b : 0)))
            return false;
        TG_PUSH(p->lists, list, b);
    } while (tg_lex_accept(lex, ','));
    return tg_lex_expect(lex, '=');
}

/* Gives v the name and the notes that were read for it. */
static bool bind(Parser *p, const Binding *b, TgValue v)
{
    TgValueInfo *info = tg_value(p->scope->g, v);
    info->declared = b->info.declared;
    info->doc = b->info.doc;
    info->unknown = b->info.unknown;
    info->type_wire = b->info.type_wire;
    if (!b->absent && !define(p, &b->at, v))
        return false;
    if (b->info.name)
        info->name = b->info.name;
    return true;
}

static bool constant_statement(Parser *p, const Bindings *left)
{
    const TgTensor *t = tg_read_const(&p->r);
    if (!t)
        return false;
    if (left->n == 1)
        return bind(p, left->at, tg_graph_const(p->scope->g, t, NULL));
    p->r.lex = left->at[1].at;
    return tg_lex_fail(&p->r.lex, "one name for a constant");
}

/* ": T, T" behind the call, for the first outputs. Operators that we do not know take what is declared. */
static bool types_and_inference(Parser *p, TgNode n, const TgToken *op)
{
    TgLex *lex = &p->r.lex;
    TgNodeInfo *info = tg_node(p->scope->g, n);
    const TgType **claim = TG_NEW_N(p->lists, const TgType *, info->n_out + 1);
    TgToken *place = TG_NEW_N(p->lists, TgToken, info->n_out + 1);
    uint32_t n_claims = 0;
    if (tg_lex_accept(lex, ':')) {
        do {
            if (n_claims == info->n_out)
                return tg_lex_fail(lex, "no more types than results");
            place[n_claims] = lex->token;
            if (!tg_read_type(&p->r, &claim[n_claims++]))
                return false;
        } while (tg_lex_accept(lex, ','));
    }
    if (info->op == TG_opaque)
        for (uint32_t i = 0; i < n_claims; i++)
            if (!tg_value(p->scope->g, info->out[i])->declared)
                tg_value(p->scope->g, info->out[i])->declared = claim[i];
    if (!infer(p, n, op))
        return false;
    for (uint32_t i = 0; i < n_claims; i++) {
        tg_lex_place(lex, &place[i]);
        if (!tg_read_claim(lex->tg, tg_value(p->scope->g, info->out[i]), claim[i]))
            return false;
    }
    return true;
}

static bool call_statement(Parser *p, const Bindings *left)
{
    TgNode n;
    TgToken place;
    if (!call(p, left->n, &n, &place))
        return false;
    TgNodeInfo *info = tg_node(p->scope->g, n);
    for (uint32_t i = 0; i < left->n; i++)
        if (!bind(p, &left->at[i], info->out[i]))
            return false;
    if (!types_and_inference(p, n, &place))
        return false;
    if (p->r.lex.token.kind == TG_TOK_GRAPH) {
        info->name = tg_lex_name(&p->r.lex);
        tg_lex_next(&p->r.lex);
    }
    Notes more = {.doc = &info->doc, .unknown = &info->unknown};
    return notes(p, &more);
}

static bool statement(Parser *p)
{
    TgLex *lex = &p->r.lex;
    TgMark mark = tg_mark(p->lists);
    Bindings left = {0};
    bool binds = lex->token.kind == TG_TOK_VALUE || tg_lex_is_word(lex, "_");
    if (binds && !bindings(p, &left))
        return false;
    bool good = binds && tg_lex_is_word(lex, "const") ? constant_statement(p, &left) : call_statement(p, &left);
    tg_release(p->lists, mark);
    return good;
}

/* --- graphs --------------------------------------------------------------------------------------------- */

/* %x: f32[2] notes, perhaps = const ... : a default that callers may override */
static bool input(Parser *p)
{
    TgLex *lex = &p->r.lex, at = *lex;
    const TgType *type;
    if (!tg_lex_expect(lex, TG_TOK_VALUE) || !tg_lex_expect(lex, ':') || !tg_read_type(&p->r, &type))
        return false;
    TgValue v = tg_graph_input(p->scope->g, type, NULL);
    TgValueInfo *info = tg_value(p->scope->g, v);
    if (!define(p, &at, v) || !value_notes(p, info))
        return false;
    return !tg_lex_accept(lex, '=') || (info->initial = tg_read_const(&p->r)) != NULL;
}

static bool inputs(Parser *p)
{
    TgLex *lex = &p->r.lex;
    if (!tg_lex_accept(lex, '('))
        return true;
    while (lex->token.kind != ')') {
        if (!input(p))
            return false;
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ')')
            return tg_lex_fail(lex, "',' or ')'");
    }
    return tg_lex_expect(lex, ')');
}

static TgName return_name(Parser *p, const TgLex *at, TgValue v)
{
    if (at->token.kind == TG_TOK_VALUE && !is_number(&at->token))
        return tg_lex_name(at);
    TgName name = tg_value(p->scope->g, v)->name;
    return name ? name : tg_name_format(p->model->tg, "output_%u", p->scope->g->outputs.n);
}

/* %y as "name": T notes */
static bool returned(Parser *p)
{
    TgLex *lex = &p->r.lex, at = *lex;
    TgValue v;
    const TgType *declared = NULL;
    if (!term(p, &v))
        return false;
    if (!v) {
        p->r.lex = at;
        return tg_lex_fail(lex, "a value to return");
    }
    TgName name = return_name(p, &at, v);
    if (tg_lex_is_word(lex, "as")) {
        tg_lex_next(lex);
        name = tg_lex_name(lex);
        if (lex->token.kind == TG_TOK_IDENT)
            tg_lex_next(lex);
        else if (!tg_lex_expect(lex, TG_TOK_STRING))
            return false;
    }
    if (tg_lex_accept(lex, ':') && !tg_read_type(&p->r, &declared))
        return false;
    TgGraph *g = p->scope->g;
    tg_graph_return(g, v, name, declared);
    TgReturn *made = &g->outputs.at[g->outputs.n - 1];
    Notes more = {.doc = &made->doc, .unknown = &made->unknown, .wire = &made->type_wire};
    return notes(p, &more);
}

static bool returns(Parser *p)
{
    TgLex *lex = &p->r.lex;
    if (!tg_lex_word(lex, "return"))
        return false;
    if (lex->token.kind == '}')
        return true;
    do {
        if (!returned(p))
            return false;
    } while (tg_lex_accept(lex, ','));
    return true;
}

/* @name (inputs) notes { statements return values } */
static bool body(Parser *p)
{
    TgLex *lex = &p->r.lex;
    TgGraph *g = p->scope->g;
    if (lex->token.kind == TG_TOK_GRAPH) {
        g->name = tg_lex_name(lex);
        tg_lex_next(lex);
    }
    Notes more = {.doc = &g->doc, .unknown = &g->unknown};
    if (!inputs(p) || !notes(p, &more) || !tg_lex_expect(lex, '{'))
        return false;
    while (!tg_lex_is_word(lex, "return"))
        if (!statement(p))
            return false;
    return returns(p) && tg_lex_expect(lex, '}');
}

/* --- models --------------------------------------------------------------------------------------------- */

static bool model(Parser *p)
{
    TgLex *lex = &p->r.lex;
    while (!tg_lex_is_word(lex, "graph"))
        if (!tg_read_header_line(&p->r, p->model))
            return false;
    tg_lex_next(lex);
    TgImport newest = {tg_name(lex->tg, ""), TG_NEWEST_OPSET};
    if (!p->model->imports.n)
        TG_PUSH(p->model->arena, &p->model->imports, newest);
    Scope scope = {.g = p->model->graph};
    tg_map_init(&scope.names, lex->arena);
    p->scope = &scope;
    return body(p) && tg_read_interface(lex->arena, scope.g) &&
           (lex->token.kind == TG_TOK_END || tg_lex_fail(lex, "the end of the text"));
}

TgModel *tg_parse(Tg *tg, const char *file, const char *text, size_t n)
{
    TgPlace before = *tg_place(tg);
    TgArena *words = tg_arena_new(tg); /* the scratch arena serves inference meanwhile */
    Parser p = {.model = tg_model_new(tg), .lists = tg_arena_new(tg)};
    p.r.arena = p.model->arena;
    p.r.base = p.model->path = tg_name(tg, file ? file : "");
    p.r.constant = named_constant;
    dim_reserve(tg, text, n);
    tg_lex_begin(&p.r.lex, words, p.r.base, text, n);
    bool good = tg_read_afford(&p.r, text, n) && model(&p);
    tg_arena_free(p.lists);
    tg_arena_free(words);
    *tg_place(tg) = before;
    if (good && tg_infer_graph(p.model->graph))
        return p.model;
    tg_model_free(p.model);
    return NULL;
}
