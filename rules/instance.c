/* Makes a model of a rule's pattern: its variables become inputs or constants of the types that an example
 * gives, its operators nodes, its lines outputs. Alternatives and exchanged operands are chosen by the plan.
 */
#include <string.h>

#include "instance.h"

/* --- reading examples ------------------------------------------------------------------------------ */

static bool bad(Reader *r, const char *expected)
{
    return tg_lex_fail(&r->lex, expected);
}

/* f32[2,B] */
static bool shape(Reader *r, Shape *s)
{
    TgLex *lex = &r->lex;
    *s = (Shape){0};
    if (lex->token.kind == TG_TOK_IDENT)
        s->dtype = tg_dtype_find(lex->token.text, lex->token.n);
    if (!s->dtype)
        return bad(r, "a type such as f32[2,3]");
    tg_lex_next(lex);
    if (!tg_lex_expect(lex, '['))
        return false;
    while (lex->token.kind != ']') {
        if (s->rank == SHAPE_RANK)
            return bad(r, "at most 8 sizes");
        if (lex->token.kind == TG_TOK_IDENT) {
            s->dim[s->rank++].symbol = tg_lex_name(lex);
            tg_lex_next(lex);
        } else if (!tg_lex_int(lex, &s->dim[s->rank++].n)) {
            return false;
        }
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ']')
            return bad(r, "',' or ']'");
    }
    return tg_lex_expect(lex, ']');
}

static bool value_operand(Reader *r, const XmlAttr *s, Operand *o)
{
    if (tg_lex_is_word(&r->lex, "const"))
        return o->constant = tg_name_n(r->book->tg, s->raw.at, s->raw.n), true;
    if (tg_lex_is_word(&r->lex, "input"))
        o->is_input = true, tg_lex_next(&r->lex);
    do {
        if (o->n == MAX_OPERANDS)
            return bad(r, "at most 16 types");
        if (!shape(r, &o->at[o->n++]))
            return false;
    } while (tg_lex_accept(&r->lex, ','));
    return r->lex.token.kind == TG_TOK_END || bad(r, "the end");
}

static bool number_operand(Reader *r, Operand *o)
{
    r->giving = true;
    Expr *e = read_expr(r);
    Match none = {.tg = r->book->tg, .rule = r->rule};
    if (!e)
        return false;
    if (e->kind == X_LIST) { /* lists are computed into a graph's arena; here there is none */
        int64_t *ints = TG_NEW_N(r->book->arena, int64_t, e->n + 1);
        for (uint32_t i = 0; i < e->n; i++)
            if (!compute_int(&none, e->at[i], &ints[i]))
                return bad(r, "a list of integers");
        o->number = (Computed){.kind = TG_A_INTS, .attr = {.kind = TG_A_INTS, .n = e->n, .u.ints = ints}};
        return true;
    }
    return compute_expr(&none, e, &o->number) || bad(r, "a number, a text or a list");
}

static bool setting(TgBook *book, const Rule *rule, const XmlAttr *s, Plan *plan)
{
    Rule copy = *rule; /* reading an expression counts uses */
    Reader r;
    reader_begin(&r, book, &copy, rule->info.file, &s->raw);
    if (strcmp(s->name, "opset") == 0)
        return tg_lex_int(&r.lex, &plan->opset);
    for (uint32_t i = 0; i < rule->n_names; i++) {
        if (strcmp(rule->names[i].name, s->name) != 0)
            continue;
        plan->at[i].given = true;
        return rule->names[i].kind == NAME_NUMBER ? number_operand(&r, &plan->at[i])
                                                  : value_operand(&r, s, &plan->at[i]);
    }
    return true; /* why, returned */
}

bool plan_read(TgBook *book, const Rule *rule, const XmlElement *example, Plan *plan)
{
    *plan = (Plan){.rule = rule, .example = example, .opset = TG_NEWEST_OPSET};
    bool good = true;
    for (uint32_t i = 0; i < example->attrs.n; i++)
        good = setting(book, rule, &example->attrs.at[i], plan) && good;
    return good;
}

/* --- building -------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    const Plan *plan;
    TgModel *model;
    TgGraph *g;
    Match numbers; /* what attributes are computed from */
    TgValue value[MAX_NAMES];
    bool line_built[TG_RULE_OUTPUTS];
    TgName why;
} Build;

static bool stop(Build *b, TgName why)
{
    if (!b->why)
        b->why = why;
    return false;
}

static TgName name_of(const Build *b, uint16_t slot)
{
    return b->plan->rule->names[slot].name;
}

static const TgType *type_of_shape(Tg *tg, const Shape *s)
{
    TgDim dim[SHAPE_RANK];
    for (uint32_t i = 0; i < s->rank; i++)
        dim[i] = s->dim[i].symbol ? tg_dim_parse(tg, s->dim[i].symbol) : tg_dim(tg, s->dim[i].n);
    return tg_type(tg, s->dtype, (int32_t)s->rank, dim);
}

/* The constant that a text such as "const i64[1] {-1}" means, read as a model of its own. */
static bool read_constant(Build *b, TgName text, TgValue *v)
{
    TgName graph = tg_name_format(b->tg, "graph { %%c = %s return %%c }", text);
    TgModel *m = tg_parse(b->tg, "example", graph, strlen(graph));
    const TgTensor *t = m ? tg_const_of(m->graph, m->graph->outputs.at[0].value) : NULL;
    const TgTensor *own = t ? tg_tensor_materialize(b->g->arena, t) : NULL;
    if (own) {
        TgTensor *copy = tg_tensor_owned(b->g->arena, own->dtype, own->rank,
                                         tg_copy(b->g->arena, own->dim, (size_t)own->rank * sizeof *own->dim),
                                         tg_copy(b->g->arena, own->bytes, own->size));
        *v = tg_graph_const(b->g, copy, NULL);
    }
    tg_model_free(m);
    return own || stop(b, tg_name_format(b->tg, "'%s' is no constant", text));
}

static bool asks_for_constant(const Rule *rule, uint16_t slot)
{
    for (uint32_t i = 0; i < rule->when.n; i++) {
        const Cond *c = &rule->when.at[i];
        if (c->id == COND_const && !c->negated && c->at[0].slot == slot)
            return true;
    }
    return false;
}

static bool make_value(Build *b, uint16_t slot, const Operand *o, const Shape *s, TgName name, TgValue *v)
{
    const TgType *type = type_of_shape(b->tg, s);
    if (o->is_input || !asks_for_constant(b->plan->rule, slot))
        return *v = tg_graph_input(b->g, type, name), true;
    return read_constant(
        b, tg_name_format(b->tg, "const %s random(%u)", tg_type_text(b->tg, type), slot + 1u), v);
}

static bool build_line(Build *b, uint32_t number);

/* The value of a variable; lines of <match> are built when they are read. */
static bool variable(Build *b, const Term *t, TgValue *v)
{
    uint16_t slot = t->slot;
    const Operand *o = &b->plan->at[slot];
    const Lines *lines = &b->plan->rule->match;
    for (uint32_t i = 0; i < lines->n && !b->value[slot]; i++)
        for (uint32_t k = 0; k < lines->at[i].n; k++)
            if (lines->at[i].named && lines->at[i].slot[k] == slot && !b->line_built[i] && !build_line(b, i))
                return false;
    if (b->value[slot])
        return *v = b->value[slot], true;
    if (!o->given)
        return t->optional ||
               stop(b, tg_name_format(b->tg, "the example gives no type for '%s'", name_of(b, slot)));
    bool good = o->constant ? read_constant(b, o->constant, v)
                            : make_value(b, slot, o, &o->at[0], name_of(b, slot), v);
    b->value[slot] = *v;
    return good;
}

static bool tail(Build *b, uint16_t slot, TgValue *in, uint32_t *n)
{
    const Operand *o = &b->plan->at[slot];
    for (uint32_t i = 0; i < o->n; i++) {
        TgName name = tg_name_format(b->tg, "%s_%u", name_of(b, slot), i);
        if (!make_value(b, slot, o, &o->at[i], name, &in[(*n)++]))
            return false;
    }
    return true;
}

static TgValue number(Build *b, const Term *t, TgDtype dtype)
{
    double x = t->loose ? tg_round_float(TG_f16, t->number, false) : t->number;
    TgArena *arena = b->g->arena;
    TgTensor *made = tg_is_float(dtype) ? tg_tensor_scalar_float(arena, dtype, x)
                                        : tg_tensor_scalar_int(arena, dtype, (int64_t)x);
    return tg_graph_const(b->g, made, NULL);
}

/* Does the attribute expression need a number that the example leaves to the default? */
static bool is_left_out(const Build *b, const Expr *e)
{
    return e->kind == X_NAME && !b->numbers.at[e->slot].set;
}

static const TgAttrs *attributes(Build *b, const Term *t)
{
    TgAttrBuild build;
    tg_attrs_begin(&build, b->tg);
    for (uint32_t i = 0; i < t->n_attrs; i++) {
        TgAttr a;
        if (is_left_out(b, t->attrs[i].value))
            continue;
        if (!compute_attr(&b->numbers, t->attrs[i].value, t->op, t->attrs[i].name, &a)) {
            stop(b, tg_name_format(b->tg, "attribute %s of %s has no value", t->attrs[i].name,
                                   tg_op_text(b->tg, t->op)));
            break;
        }
        tg_attrs_put(&build, a);
    }
    return tg_attrs_end(&build, t->op);
}

static uint32_t way(const Build *b, const Term *t)
{
    return t->choice < MAX_CHOICES ? b->plan->choice[t->choice] : 0;
}

static const Term *chosen(const Build *b, const Term *t)
{
    while (t->kind == T_ANY_OF)
        t = t->at[way(b, t) < t->n ? way(b, t) : 0];
    return t;
}

static bool operation(Build *b, const Term *t, uint32_t n_out, TgNode *node);

static bool integers(Build *b, const Term *t, TgValue *v)
{
    int64_t ints[MAX_OPERANDS];
    if (t->list->n > MAX_OPERANDS)
        return stop(b, tg_name(b->tg, "more than 16 integers"));
    for (uint32_t i = 0; i < t->list->n; i++)
        if (!compute_int(&b->numbers, t->list->at[i], &ints[i]))
            return stop(b, tg_name(b->tg, "an integer has no value"));
    *v = tg_graph_const(b->g, tg_tensor_ints(b->g->arena, t->list->n, ints), NULL);
    return true;
}

static bool operand(Build *b, const Term *t, TgValue *v)
{
    TgNode node;
    *v = 0;
    if (t->kind == T_VAR)
        return variable(b, t, v);
    if (t->kind == T_LIST)
        return integers(b, t, v);
    if (t->kind != T_OP)
        return true;
    if (!operation(b, t, 1, &node))
        return false;
    *v = tg_node(b->g, node)->out[0];
    if (t->slot != NO_SLOT)
        b->value[t->slot] = *v;
    return true;
}

static bool operands(Build *b, const Term *t, TgValue *in, uint32_t *n)
{
    TgDtype like = TG_undefined;
    for (uint32_t i = 0; i < t->n; i++) {
        const Term *o = chosen(b, t->at[i]);
        if (o->kind == T_TAIL)
            return tail(b, o->slot, in, n);
        TgValue *v = &in[(*n)++];
        if (!operand(b, o, v))
            return false;
        if (*v && !like && o->kind != T_LIST && !(t->op == TG_Where && i == 0))
            like = tg_type_of(b->g, *v)->dtype;
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (chosen(b, t->at[i])->kind == T_NUMBER)
            in[i] = number(b, chosen(b, t->at[i]), like ? like : TG_f32);
    return true;
}

static bool operation(Build *b, const Term *t, uint32_t n_out, TgNode *node)
{
    TgValue in[2 * MAX_OPERANDS] = {0};
    uint32_t n = 0, least = tg_op_info(t->op)->out_min;
    if (!operands(b, t, in, &n))
        return false;
    if (is_commutative(t) && way(b, t)) {
        TgValue swap = in[0];
        in[0] = in[1], in[1] = swap;
    }
    while (n && !in[n - 1] && n > tg_op_info(t->op)->in_min)
        n--;
    const TgAttrs *attrs = attributes(b, t);
    if (b->why)
        return false;
    uint32_t before = tg_diag_count(b->tg);
    *node = tg_graph_add(b->g, t->op, attrs, n, in, n_out > least ? n_out : least);
    if (*node)
        return true;
    return stop(b, tg_name_format(b->tg, "%s: %s", tg_op_text(b->tg, t->op),
                                  tg_diag_count(b->tg) > before ? tg_diag(b->tg, before)->message : ""));
}

/* An output, by a name that messages show. */
static void give_back(Build *b, TgValue v, TgName name)
{
    if (!tg_value(b->g, v)->name)
        tg_value(b->g, v)->name = name;
    tg_graph_return(b->g, v, name, NULL);
}

static bool build_line(Build *b, uint32_t number_of_line)
{
    const Line *line = &b->plan->rule->match.at[number_of_line];
    TgNode node;
    b->line_built[number_of_line] = true;
    if (!operation(b, chosen(b, line->term), line->n, &node))
        return false;
    for (uint32_t i = 0; i < line->n; i++)
        if (line->slot[i] != NO_SLOT)
            b->value[line->slot[i]] = tg_node(b->g, node)->out[i];
    if (!line->named)
        give_back(b, tg_node(b->g, node)->out[0], tg_name(b->tg, "result"));
    return true;
}

/* returned="m x": values that the graph gives as well. */
static bool return_others(Build *b)
{
    const XmlElement *x = b->plan->example;
    for (uint32_t i = 0; i < x->attrs.n; i++) {
        if (strcmp(x->attrs.at[i].name, "returned") != 0)
            continue;
        TgName words = tg_name_format(b->tg, " %s ", x->attrs.at[i].text);
        for (uint16_t s = 0; s < b->plan->rule->n_names; s++) {
            TgName word = tg_name_format(b->tg, " %s ", name_of(b, s));
            if (strstr(words, word) && b->value[s])
                tg_graph_return(b->g, b->value[s], tg_name_format(b->tg, "also_%s", name_of(b, s)), NULL);
        }
    }
    return true;
}

static bool build(Build *b)
{
    const Rule *rule = b->plan->rule;
    for (uint32_t i = 0; i < rule->match.n; i++)
        if (!b->line_built[i] && !build_line(b, i))
            return false;
    for (uint32_t i = 0; i < rule->n_outputs; i++)
        if (rule->output[i] != NO_SLOT)
            give_back(b, b->value[rule->output[i]], name_of(b, rule->output[i]));
    return return_others(b);
}

static TgNode anchor_of(const Build *b)
{
    const Line *line = &b->plan->rule->match.at[b->plan->rule->anchor];
    if (!line->named)
        return tg_value(b->g, b->g->outputs.at[0].value)->node;
    for (uint32_t i = 0; i < line->n; i++)
        if (line->slot[i] != NO_SLOT)
            return tg_value(b->g, b->value[line->slot[i]])->node;
    return 0;
}

static void import(TgModel *m, TgName domain, int64_t version)
{
    TgImport one = {domain, version};
    if (!tg_model_opset(m, domain))
        TG_PUSH(m->arena, &m->imports, one);
}

/* What a rule gives must be known to the model. */
static void import_domains(TgModel *m, const Term *t)
{
    if (t->kind == T_OP)
        import(m, tg_op_info(t->op)->domain, tg_op_info(t->op)->since);
    for (uint32_t i = 0; i < t->n; i++)
        import_domains(m, t->at[i]);
}

Instance instance_build(Tg *tg, const Plan *plan, TgName *why)
{
    uint32_t before = tg_diag_count(tg);
    TgPlace place = *tg_place(tg);
    Build *b = TG_NEW(tg_scratch(tg), Build);
    *b = (Build){.tg = tg, .plan = plan, .model = tg_model_new(tg)};
    b->g = b->model->graph;
    b->numbers = (Match){.tg = tg, .g = b->g, .rule = plan->rule};
    import(b->model, tg_name(tg, ""), plan->opset);
    for (uint32_t i = 0; i < plan->rule->give.n; i++)
        import_domains(b->model, plan->rule->give.at[i].term);
    for (uint32_t i = 0; i < plan->rule->n_names; i++) {
        Bound *n = &b->numbers.at[i];
        const Computed *c = &plan->at[i].number;
        n->set = plan->at[i].given && plan->rule->names[i].kind == NAME_NUMBER;
        n->attr = c->attr;
        if (c->kind == TG_A_INT)
            n->attr = (TgAttr){.kind = TG_A_INT, .n = 1, .u.i = c->i};
        else if (c->kind == TG_A_FLOAT)
            n->attr = (TgAttr){.kind = TG_A_FLOAT, .n = 1, .u.f = (float)c->f};
    }
    Instance made = {0};
    if (build(b)) {
        made.model = b->model;
        made.anchor = anchor_of(b);
    } else {
        *why = b->why ? b->why : tg_name(tg, "no reason given");
        tg_model_free(b->model);
    }
    *tg_place(tg) = place;
    tg_diag_forget(tg, before);
    return made;
}
