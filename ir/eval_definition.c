/* Composite operators as graphs: built by tg_define into a scratch model over inputs of the concrete shapes, small
 * integer operands (axes, shapes, ...) as constants, and kept under what they depend on: operator, attributes,
 * types, constants. */
#include <string.h>

#include "eval_definition.h"
#include "eval_kernel.h"

enum {
    SMALL = 64, /* integer operands of at most so many elements are constants of a definition */
    SMALL_REALS = 8
};

typedef struct {
    const void *bytes;
    size_t n;
    const EvalDefinition *definition;
} DefinitionKey;

/* The operand's values are exactly those of its element type (TG_EVAL_F64 may hold others). */
static bool is_exact(TgEvalMode mode, const TgArray *a)
{
    for (int64_t i = 0; i < a->count; i++) {
        double x = tg_array_float(mode, a, i);
        if (x != tg_round_float(a->dtype, x, false))
            return false;
    }
    return true;
}

/* Operands that a definition may want to read: few integers; few floats where they are parameters. */
static bool as_constant(TgEvalMode mode, TgOp op, const TgArray *a)
{
    if (a->kind != TG_TENSOR || a->dtype == TG_str || a->rank > 1 || a->count > SMALL)
        return false;
    if (!eval_is_real(a))
        return true;
    return mode != TG_EVAL_FIELD && a->count <= SMALL_REALS && !tg_op_has(op, TG_T_ELEMENTWISE) &&
           tg_dtype_class(a->dtype) == TG_CLASS_F && is_exact(mode, a);
}

static void make_key(Tg *tg, TgEvalMode mode, const TgNodeInfo *n, const TgArray *const *in, TgText *key)
{
    tg_text_init(key, tg_scratch(tg));
    uint64_t head[] = {n->op, TG_KEY(n->attrs), n->n_in, n->n_out};
    tg_text_add_n(key, (const char *)head, sizeof head);
    for (uint32_t i = 0; i < n->n_sub; i++)
        tg_text_add_n(key, (const char *)&n->sub[i].graph, sizeof n->sub[i].graph);
    for (uint32_t i = 0; i < n->n_in; i++) {
        bool constant = in[i] && as_constant(mode, n->op, in[i]);
        int64_t facts[] = {in[i] ? (int64_t)in[i]->dtype : -1, in[i] ? in[i]->rank : 0, constant};
        tg_text_add_n(key, (const char *)facts, sizeof facts);
        if (in[i])
            tg_text_add_n(key, (const char *)in[i]->dim, (size_t)in[i]->rank * sizeof *in[i]->dim);
        if (constant)
            tg_text_add_n(key, (const char *)in[i]->data,
                    (size_t)in[i]->count * tg_array_element(mode, in[i]->dtype));
    }
}

static bool same_key(const void *a, const void *b)
{
    const DefinitionKey *x = a, *y = b;
    return x->n == y->n && memcmp(x->bytes, y->bytes, x->n) == 0;
}

static const TgType *type_of(Tg *tg, const TgArray *a)
{
    if (a->kind == TG_TENSOR)
        return tg_type_known(tg, a->dtype, a->rank, a->dim);
    return tg_untyped(tg);
}

static bool build(TgEvalMode mode, const TgGraph *g, const TgNodeInfo *n, const TgArray *const *in,
                  EvalDefinition *d)
{
    TgGraph *into = d->model->graph;
    TgValue *v = TG_NEW_N(d->model->arena, TgValue, n->n_in + 1);
    TgValue *out = TG_NEW_N(d->model->arena, TgValue, n->n_out + 1);
    d->feed = TG_NEW_N(d->model->arena, uint32_t, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!in[i])
            continue;
        if (as_constant(mode, n->op, in[i])) {
            const TgTensor *t = tg_array_to_tensor(d->model->arena, mode, in[i]);
            v[i] = tg_graph_const(into, t, NULL);
        } else {
            v[i] = tg_graph_input(into, type_of(into->tg, in[i]), NULL);
            d->feed[d->n_feed++] = i;
        }
    }
    if (!tg_define(into, g, n, v, out))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        tg_graph_return(into, out[i], NULL, NULL);
    return true;
}

const EvalDefinition *eval_definition_of(EvalDefinitions *all, TgEvalMode mode, const TgGraph *g,
                                         const TgNodeInfo *n, const TgArray *const *in)
{
    TgText text;
    make_key(all->tg, mode, n, in, &text);
    DefinitionKey probe = {text.at, text.n, NULL};
    uint64_t hash = tg_hash(text.at, text.n, 0);
    const DefinitionKey *found = tg_interner_find(all->known, &probe, hash);
    if (found)
        return found->definition;
    EvalDefinition *d = TG_NEW(all->arena, EvalDefinition);
    d->model = tg_model_new(all->tg);
    TG_PUSH(all->arena, &all->models, d->model);
    if (!build(mode, g, n, in, d))
        return NULL;
    DefinitionKey *key = TG_NEW(all->arena, DefinitionKey);
    *key = (DefinitionKey){tg_copy(all->arena, text.at, text.n), text.n, d};
    tg_interner_add(all->known, key, hash);
    return d;
}

void eval_definitions_init(EvalDefinitions *all, Tg *tg, TgArena *arena)
{
    *all = (EvalDefinitions){.tg = tg, .arena = arena, .known = tg_interner_new(arena, same_key)};
}

void eval_definitions_drop(EvalDefinitions *all)
{
    for (uint32_t i = 0; i < all->models.n; i++)
        tg_model_free(all->models.at[i]);
}
