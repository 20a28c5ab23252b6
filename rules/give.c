/* Makes what a rule gives: adds nodes, changes none. */
#include <string.h>

#include "match.h"

enum { MAX_TAIL = 256, MAX_SIZES = 16 };

typedef struct {
    TgMatcher *m;
    const Match *match;
    TgValue made[MAX_NAMES]; /* by slot: what a line of <give> came to */
} Give;

static bool is_available(const TgModel *model, int64_t opset, TgOp op)
{
    const TgOpInfo *info = tg_op_info(op);
    bool standard = !*info->domain;
    return standard ? info->since <= opset : tg_model_opset(model, info->domain) >= info->since;
}

static TgOp lacking(const Term *t, const TgModel *model, int64_t opset)
{
    TgOp found = t->kind == T_OP && !is_available(model, opset, t->op) ? t->op : TG_opaque;
    for (uint32_t i = 0; i < t->n && found == TG_opaque; i++)
        found = lacking(t->at[i], model, opset);
    return found;
}

TgOp op_that_lacks(const Rule *rule, const TgModel *model, int64_t opset)
{
    TgOp found = TG_opaque;
    for (uint32_t i = 0; i < rule->give.n && found == TG_opaque; i++)
        found = lacking(rule->give.at[i].term, model, opset);
    return found;
}

static TgOp kernel_lacking(const Term *t, TgTarget target, const TgType *type)
{
    TgOp found = TG_opaque;
    TgDtype dtype = tg_is_tensor(type) ? type->dtype : TG_undefined;
    if (t->kind == T_OP && *tg_op_info(t->op)->domain &&
        (!tg_target_has_kernel(target, t->op, dtype) || !tg_target_pays(target, t->op, type)))
        found = t->op;
    for (uint32_t i = 0; i < t->n && found == TG_opaque; i++)
        found = kernel_lacking(t->at[i], target, type);
    return found;
}

TgOp op_without_kernel(const Match *m, TgNode anchor)
{
    TgOp found = TG_opaque;
    const TgType *type = tg_type_of(m->g, replaced_value(m, anchor, 0));
    for (uint32_t i = 0; m->rule->info.target != TG_TARGET_ANY && i < m->rule->give.n && found == TG_opaque; i++)
        found = kernel_lacking(m->rule->give.at[i].term, m->target, type);
    return found;
}

/* --- nodes ----------------------------------------------------------------------------------------- */

static bool make_node(Give *b, const Term *t, const TgAttrs *attrs, uint32_t n, const TgValue *in,
                      uint32_t n_out, TgValue *out)
{
    const TgMatchOptions *o = &b->m->options;
    if (o->make)
        return o->make(o->user, b->m->g, t->op, attrs, n, in, n_out, out);
    TgNode node = tg_graph_add(b->m->g, t->op, attrs, n, in, n_out);
    for (uint32_t i = 0; node && i < n_out; i++)
        out[i] = tg_node(b->m->g, node)->out[i];
    return node != 0;
}

static const TgAttrs *attrs_of(const Match *m, const Term *t)
{
    TgAttrBuild build;
    tg_attrs_begin(&build, m->tg);
    for (uint32_t i = 0; i < t->n_attrs; i++) {
        TgAttr a;
        if (!compute_attr(m, t->attrs[i].value, t->op, t->attrs[i].name, &a))
            return NULL;
        tg_attrs_put(&build, a);
    }
    return tg_attrs_end(&build, t->op);
}

/* --- operands -------------------------------------------------------------------------------------- */

/* The sizes of x from an axis on. */
static bool sizes_from(const Give *b, const Size *s, int64_t *dim, uint32_t *rank)
{
    const Bound *x = &b->match->at[s->slot];
    const TgType *t = x->set && x->value ? tg_type_of(b->m->g, x->value) : tg_untyped(b->m->g->tg);
    int64_t axis;
    if (!tg_is_tensor(t) || !compute_int(b->match, s->expr, &axis) || axis < -t->rank || axis >= t->rank)
        return false;
    for (int64_t i = axis < 0 ? axis + t->rank : axis; i < t->rank; i++)
        if (*rank == MAX_SIZES || !tg_dim_known(t->dim[i], &dim[(*rank)++]))
            return false;
    return true;
}

static bool sizes(const Give *b, const TypeTerm *type, int64_t *dim, uint32_t *rank)
{
    *rank = 0;
    for (uint32_t i = 0; type && i < type->n; i++) {
        const Size *s = &type->at[i];
        if (s->kind == SIZE_FROM) {
            if (!sizes_from(b, s, dim, rank))
                return false;
        } else if (s->kind != SIZE_EXPR || *rank == MAX_SIZES ||
                   !compute_int(b->match, s->expr, &dim[*rank]) || dim[(*rank)++] < 0) {
            return false;
        }
    }
    return true;
}

static bool number(const Give *b, const Term *t, TgDtype dtype, TgValue *out)
{
    TgArena *arena = b->m->g->arena;
    int64_t dim[MAX_SIZES];
    uint32_t rank;
    uint8_t element[16] = {0};
    if (!sizes(b, t->type, dim, &rank))
        return false;
    if (t->type && t->type->dtype)
        dtype = t->type->dtype;
    if (tg_is_float(dtype))
        tg_store_float(dtype, element, 0, t->number);
    else
        tg_store_integer(dtype, element, 0, (int64_t)t->number);
    *out = tg_graph_const(b->m->g, tg_tensor_splat(arena, dtype, (int32_t)rank, dim, element), NULL);
    return true;
}

static bool build(Give *b, const Term *t, uint32_t n_out, TgValue *out);

static TgValue bound(const Give *b, uint16_t slot)
{
    return b->made[slot] ? b->made[slot] : b->match->at[slot].value;
}

static bool integers(const Give *b, const Term *t, TgValue *out)
{
    int64_t *ints = TG_NEW_N(b->m->g->arena, int64_t, t->list->n + 1);
    for (uint32_t i = 0; i < t->list->n; i++)
        if (!compute_int(b->match, t->list->at[i], &ints[i]))
            return false;
    *out = tg_graph_const(b->m->g, tg_tensor_ints(b->m->g->arena, t->list->n, ints), NULL);
    return true;
}

/* rest...: the last operand of a pattern is the last operands of a node. */
static bool tail(const Give *b, const Term *t, TgValue *in, uint32_t *n)
{
    const Bound *rest = &b->match->at[t->slot];
    if (rest->n > MAX_TAIL)
        return false;
    for (uint32_t k = 0; k < rest->n; k++)
        in[(*n)++] = rest->tail[k];
    return true;
}

/* Numbers come last: they take the element type of the first operand that is none (the condition of Where apart). */
static bool operands(Give *b, const Term *t, TgValue *in, uint32_t *n)
{
    TgDtype like = TG_undefined;
    *n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        const Term *o = t->at[i];
        if (o->kind == T_TAIL)
            return tail(b, o, in, n);
        TgValue *v = &in[(*n)++];
        *v = o->kind == T_VAR ? bound(b, o->slot) : 0;
        if ((o->kind == T_OP && !build(b, o, 1, v)) || (o->kind == T_LIST && !integers(b, o, v)))
            return false;
        if (*v && !like && o->kind != T_LIST && !(t->op == TG_Where && i == 0))
            like = tg_type_of(b->m->g, *v)->dtype;
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (t->at[i]->kind == T_NUMBER && !number(b, t->at[i], like ? like : TG_f32, &in[i]))
            return false;
    return true;
}

static bool build(Give *b, const Term *t, uint32_t n_out, TgValue *out)
{
    TgValue in[MAX_TAIL + MAX_OPERANDS], results[TG_RULE_OUTPUTS] = {0};
    uint32_t n, least = tg_op_info(t->op)->out_min;
    if (!operands(b, t, in, &n))
        return false;
    while (n && !in[n - 1] && n > tg_op_info(t->op)->in_min)
        n--; /* absent operands at the end are not written */
    const TgAttrs *attrs = attrs_of(b->match, t);
    uint32_t made = n_out > least ? n_out : least;
    if (!attrs || made > TG_RULE_OUTPUTS || !make_node(b, t, attrs, n, in, made, results))
        return false;
    memcpy(out, results, n_out * sizeof *out);
    return true;
}

/* --- lines ----------------------------------------------------------------------------------------- */

static bool build_line(Give *b, const Line *line, TgValue *nameless)
{
    TgValue out[TG_RULE_OUTPUTS] = {0};
    const Term *t = line->term;
    if (t->kind == T_OP) {
        if (!build(b, t, line->n, out))
            return false;
    } else if (t->kind == T_NUMBER) {
        if (!number(b, t, TG_f32, out))
            return false;
    } else if (t->kind == T_VAR) {
        out[0] = bound(b, t->slot);
    }
    for (uint32_t i = 0; line->named && i < line->n; i++)
        if (line->slot[i] != NO_SLOT)
            b->made[line->slot[i]] = out[i];
    *nameless = out[0];
    return true;
}

static bool build_lines(Give *b, TgRewrite *found)
{
    const Rule *rule = b->match->rule;
    TgValue nameless = 0;
    for (uint32_t i = 0; i < rule->give.n; i++)
        if (!build_line(b, &rule->give.at[i], &nameless))
            return false;
    for (uint32_t i = 0; i < found->n; i++) {
        found->made[i] = rule->output[i] == NO_SLOT ? nameless : b->made[rule->output[i]];
        const TgType *made = found->made[i] ? tg_type_of(b->m->g, found->made[i]) : NULL;
        if (!made || found->made[i] == found->old[i] || made != tg_type_of(b->m->g, found->old[i]))
            return false;
    }
    return true;
}

bool tg_matcher_make(TgMatcher *m, TgRewrite *found)
{
    Tg *tg = m->g->tg;
    Give b = {.m = m, .match = &m->match};
    uint32_t before = tg_diag_count(tg);
    TgPlace place = *tg_place(tg);
    bool good = build_lines(&b, found);
    *tg_place(tg) = place;
    tg_diag_forget(tg, before); /* operands that do not fit are no error: the rule does not apply */
    return good;
}
