/* Making, asking and changing graphs. Nodes and values are records of the model's arena, named by 32-bit refs; records
 * never move, removed ones stay behind as garbage until the model is cloned. Use lists mirror the inputs of live nodes.
 */
#include <string.h>

#include "graph.h"

/* --- models ------------------------------------------------------------------------------------------------------- */

TgModel *tg_model_new(Tg *tg)
{
    TgArena *arena = tg_arena_new(tg);
    TgModel *m = TG_NEW(arena, TgModel);
    m->tg = tg;
    m->arena = arena;
    m->path = tg_name(tg, "");
    m->ir_version = TG_NEWEST_IR;
    m->graph = tg_graph_new(m, NULL, "main");
    return m;
}

void tg_model_free(TgModel *model)
{
    if (model)
        tg_arena_free(model->arena);
}

int64_t tg_model_opset(const TgModel *model, const char *domain)
{
    for (uint32_t i = 0; i < model->imports.n; i++)
        if (strcmp(model->imports.at[i].domain, domain) == 0)
            return model->imports.at[i].version;
    return 0;
}

TgModel *tg_model_clone(const TgModel *from)
{
    TgModel *m = tg_model_new(from->tg);
    TgArena *arena = m->arena;
    TgGraph *graph = m->graph;
    *m = *from;
    m->arena = arena;
    m->graph = graph;
    m->imports.at = NULL;
    m->imports.n = m->imports.cap = 0;
    for (uint32_t i = 0; i < from->imports.n; i++)
        TG_PUSH(arena, &m->imports, from->imports.at[i]);
    m->early = (TgU32s){0};
    for (uint32_t i = 0; i < from->early.n; i++)
        TG_PUSH(arena, &m->early, from->early.at[i]);
    tg_graph_copy(graph, from->graph);
    return m;
}

TgGraph *tg_graph_new(TgModel *model, TgGraph *outer, const char *name)
{
    TgGraph *g = TG_NEW(model->arena, TgGraph);
    g->tg = model->tg;
    g->arena = model->arena;
    g->model = model;
    g->outer = outer;
    g->name = tg_name(g->tg, name);
    TG_PUSH(g->arena, &g->nodes, NULL);
    TG_PUSH(g->arena, &g->values, NULL);
    return g;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static TgValue new_value(TgGraph *g, TgOrigin origin, const TgType *type, TgName name)
{
    TgValueInfo *v = TG_NEW(g->arena, TgValueInfo);
    v->origin = origin;
    v->type = type;
    v->name = name;
    TG_PUSH(g->arena, &g->values, v);
    return g->values.n - 1;
}

TgValue tg_graph_input(TgGraph *g, const TgType *type, const char *name)
{
    TgValue v = new_value(g, TG_V_INPUT, type, tg_name(g->tg, name));
    tg_value(g, v)->index = g->inputs.n;
    tg_value(g, v)->declared = type;
    TG_PUSH(g->arena, &g->inputs, v);
    return v;
}

enum { MAX_SYMBOLIC = 64 }; /* elements of an integer tensor that are tracked one by one */

/* The elements of a small integer constant, as constant expressions. */
static const TgDim *elements_of(TgGraph *g, const TgTensor *t)
{
    bool integer = tg_is_integer(t->dtype) || t->dtype == TG_bool;
    if (!integer || t->count > MAX_SYMBOLIC || t->payload == TG_RECIPE)
        return NULL;
    TgDim *d = TG_NEW_N(g->arena, TgDim, t->count ? t->count : 1);
    for (size_t i = 0; i < t->count; i++)
        d[i] = tg_dim(g->tg, tg_tensor_int(g->tg, t, i));
    return d;
}

TgValue tg_graph_const(TgGraph *g, const TgTensor *tensor, const char *name)
{
    TgValue v = new_value(g, TG_V_CONST, tg_tensor_type(g->tg, tensor), tg_name(g->tg, name));
    tg_value(g, v)->tensor = tensor;
    tg_value(g, v)->symbolic = elements_of(g, tensor);
    return v;
}

void tg_graph_return(TgGraph *g, TgValue value, const char *name, const TgType *declared)
{
    TgReturn r = {.value = value, .name = tg_name(g->tg, name), .declared = declared};
    TG_PUSH(g->arena, &g->outputs, r);
    tg_value(g, value)->returned++;
}

static void add_use(TgGraph *g, TgNode n, uint32_t slot, TgValue v)
{
    if (v) {
        TgUse use = {n, slot};
        TG_PUSH(g->arena, &tg_value(g, v)->uses, use);
    }
}

static bool is_use(const TgUse *use, TgNode n, uint32_t slot) { return use->node == n && use->slot == slot; }

/* A value may have a hundred thousand uses that go one by one, in either order: looks from both ends and
 * moves the shorter side. */
static void drop_use(TgGraph *g, TgNode n, uint32_t slot, TgValue v)
{
    if (!v)
        return;
    TgValueInfo *info = tg_value(g, v);
    TgUse *at = info->uses.at;
    uint32_t early = 0, late = info->uses.n;
    while (early < late && !is_use(&at[early], n, slot) && !is_use(&at[late - 1], n, slot))
        early++, late--;
    TG_CHECK(g->tg, early < late);
    if (is_use(&at[late - 1], n, slot)) {
        memmove(at + late - 1, at + late, (info->uses.n - late) * sizeof *at);
    } else {
        memmove(at + 1, at, early * sizeof *at);
        info->uses.at++;
        info->uses.cap--;
    }
    info->uses.n--;
}

/* --- nodes -------------------------------------------------------------------------------------------------------- */

TgNode tg_graph_add_raw(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out)
{
    TgNodeInfo *info = TG_NEW(g->arena, TgNodeInfo);
    TgNode n = g->nodes.n;
    info->op = op;
    info->attrs = attrs ? attrs : tg_attrs_none(g->tg);
    info->n_in = info->n_formal = n_in;
    info->in = TG_NEW_N(g->arena, TgValue, n_in ? n_in : 1);
    info->n_out = n_out;
    info->out = TG_NEW_N(g->arena, TgValue, n_out ? n_out : 1);
    TG_PUSH(g->arena, &g->nodes, info);
    for (uint32_t i = 0; i < n_in; i++) {
        info->in[i] = in[i];
        add_use(g, n, i, in[i]);
    }
    for (uint32_t i = 0; i < n_out; i++) {
        info->out[i] = new_value(g, TG_V_RESULT, tg_untyped(g->tg), NULL);
        tg_value(g, info->out[i])->node = n;
        tg_value(g, info->out[i])->index = i;
    }
    g->sorted = false;
    return n;
}

TgNode tg_graph_add_opaque(TgGraph *g, const char *domain, const char *op_name, const TgAttrs *attrs, uint32_t n_in,
                           const TgValue *in, uint32_t n_out)
{
    TgNode n = tg_graph_add_raw(g, TG_opaque, attrs, n_in, in, n_out);
    tg_node(g, n)->domain = tg_name(g->tg, domain);
    tg_node(g, n)->op_name = tg_name(g->tg, op_name);
    return n;
}

TgNode tg_graph_add(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in, uint32_t n_out)
{
    TgNode n = tg_graph_add_raw(g, op, attrs, n_in, in, n_out);
    if (tg_infer_node(g, n))
        return n;
    tg_remove(g, n);
    return 0;
}

TgValue tg_op(TgGraph *g, TgOp op, const TgAttrs *attrs, uint32_t n_in, ...)
{
    TgValue in[16] = {0};
    TG_CHECK(g->tg, n_in <= 16);
    va_list args;
    va_start(args, n_in);
    for (uint32_t i = 0; i < n_in; i++)
        in[i] = va_arg(args, TgValue);
    va_end(args);
    TgNode n = tg_graph_add(g, op, attrs, n_in, in, tg_op_info(op)->out_min ? tg_op_info(op)->out_min : 1);
    return n ? tg_node(g, n)->out[0] : 0;
}

TgGraph *tg_node_add_sub(TgGraph *g, TgNode node, const char *attr)
{
    TgNodeInfo *info = tg_node(g, node);
    TgSub *grown = TG_NEW_N(g->arena, TgSub, info->n_sub + 1);
    if (info->n_sub)
        memcpy(grown, info->sub, info->n_sub * sizeof *grown);
    info->sub = grown;
    TgSub *sub = &info->sub[info->n_sub++];
    sub->attr = tg_name(g->tg, attr);
    sub->graph = tg_graph_new(g->model, g, attr);
    return sub->graph;
}

/* --- captures ----------------------------------------------------------------------------------------------------- */

static void describe_capture(const TgGraph *outer, TgValue from, TgValueInfo *capture)
{
    const TgValueInfo *v = tg_value(outer, from);
    capture->type = v->type;
    capture->symbolic = v->symbolic;
    capture->tensor = v->tensor;
}

static uint32_t add_slot(TgGraph *g, TgNode n, TgValue v)
{
    TgNodeInfo *info = tg_node(g, n);
    TgValue *grown = TG_NEW_N(g->arena, TgValue, info->n_in + 1);
    memcpy(grown, info->in, info->n_in * sizeof *grown);
    info->in = grown;
    info->in[info->n_in] = v;
    add_use(g, n, info->n_in, v);
    g->sorted = false;
    return info->n_in++;
}

TgValue tg_graph_capture(TgGraph *g, TgNode holder, uint32_t sub, TgValue outer)
{
    TgGraph *around = g->outer;
    TgNodeInfo *info = tg_node(around, holder);
    TgSub *s = &info->sub[sub];
    for (uint32_t k = 0; k < s->outer.n; k++)
        if (info->in[s->outer.at[k]] == outer)
            return g->captures.at[k];
    uint32_t slot = info->n_formal;
    while (slot < info->n_in && info->in[slot] != outer)
        slot++;
    if (slot == info->n_in)
        slot = add_slot(around, holder, outer);
    TG_PUSH(g->arena, &s->outer, slot);
    TgValue v = new_value(g, TG_V_CAPTURE, tg_type_of(around, outer), NULL);
    tg_value(g, v)->index = g->captures.n;
    describe_capture(around, outer, tg_value(g, v));
    TG_PUSH(g->arena, &g->captures, v);
    return v;
}

void tg_captures_refresh(TgGraph *g, TgNode holder)
{
    const TgNodeInfo *info = tg_node(g, holder);
    for (uint32_t s = 0; s < info->n_sub; s++)
        for (uint32_t k = 0; k < info->sub[s].outer.n; k++) {
            TgGraph *inner = info->sub[s].graph;
            describe_capture(g, info->in[info->sub[s].outer.at[k]], tg_value(inner, inner->captures.at[k]));
        }
}

/* Takes capture k of sub s away: nothing inside reads it. The slot goes too when no other sub needs it. */
static void drop_capture(TgGraph *g, TgNode n, uint32_t s, uint32_t k)
{
    TgNodeInfo *info = tg_node(g, n);
    TgSub *sub = &info->sub[s];
    TgGraph *inner = sub->graph;
    uint32_t slot = sub->outer.at[k];
    for (uint32_t i = k; i + 1 < sub->outer.n; i++) {
        sub->outer.at[i] = sub->outer.at[i + 1];
        inner->captures.at[i] = inner->captures.at[i + 1];
        tg_value(inner, inner->captures.at[i])->index = i;
    }
    sub->outer.n--;
    inner->captures.n--;
    for (uint32_t t = 0; t < info->n_sub; t++)
        for (uint32_t i = 0; i < info->sub[t].outer.n; i++)
            if (info->sub[t].outer.at[i] == slot)
                return;
    for (uint32_t i = slot; i < info->n_in; i++)
        drop_use(g, n, i, info->in[i]);
    for (uint32_t i = slot; i + 1 < info->n_in; i++) {
        info->in[i] = info->in[i + 1];
        add_use(g, n, i, info->in[i]);
    }
    info->n_in--;
    for (uint32_t t = 0; t < info->n_sub; t++)
        for (uint32_t i = 0; i < info->sub[t].outer.n; i++)
            info->sub[t].outer.at[i] -= info->sub[t].outer.at[i] > slot;
}

/* --- order -------------------------------------------------------------------------------------------------------- */

typedef struct {
    TgNode node;
    uint32_t next; /* input to look at */
} Visit;

typedef struct {
    TgGraph *g;
    uint8_t *seen; /* by node: 1 on the stack or done */
    TG_VEC(Visit) stack;
} Sorter;

static void visit(Sorter *s, TgNode root)
{
    TgArena *scratch = tg_scratch(s->g->tg);
    Visit first = {root, 0};
    s->seen[root] = 1;
    TG_PUSH(scratch, &s->stack, first);
    while (s->stack.n) {
        Visit *top = &s->stack.at[s->stack.n - 1];
        const TgNodeInfo *info = tg_node(s->g, top->node);
        if (top->next == info->n_in) {
            TG_PUSH(s->g->arena, &s->g->order, top->node);
            s->stack.n--;
            continue;
        }
        TgValue v = info->in[top->next++];
        TgNode from = v && tg_value(s->g, v)->origin == TG_V_RESULT ? tg_value(s->g, v)->node : 0;
        if (from && !s->seen[from]) {
            Visit below = {from, 0};
            s->seen[from] = 1;
            TG_PUSH(scratch, &s->stack, below);
        }
    }
}

/* Depth first from the nodes in their present order, then the new ones: an order that is right stays as it is, and a
 * new node comes directly before its first reader. */
static void sort(TgGraph *g)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    Sorter s = {.g = g, .seen = tg_new(scratch, g->nodes.n)};
    uint32_t n = g->order.n;
    TgNode *before = tg_copy(scratch, g->order.at, n * sizeof *before);
    g->order.n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!s.seen[before[i]] && !tg_node(g, before[i])->dead)
            visit(&s, before[i]);
    for (TgNode i = 1; i < g->nodes.n; i++)
        if (!s.seen[i] && !tg_node(g, i)->dead)
            visit(&s, i);
    tg_release(scratch, mark);
    g->sorted = true;
}

const TgNode *tg_graph_order(TgGraph *g, uint32_t *n)
{
    if (!g->sorted)
        sort(g);
    *n = g->order.n;
    return g->order.at;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

TgNodeInfo *tg_producer(const TgGraph *g, TgValue v, TgOp op)
{
    if (!v || tg_value(g, v)->origin != TG_V_RESULT || tg_value(g, v)->index != 0)
        return NULL;
    TgNodeInfo *n = tg_node(g, tg_value(g, v)->node);
    return n->op == op && !n->dead ? n : NULL;
}

const TgTensor *tg_const_of(const TgGraph *g, TgValue v)
{
    return v ? tg_value(g, v)->tensor : NULL;
}

bool tg_const_ints(const TgGraph *g, TgValue v, uint32_t max, int64_t *out, uint32_t *n)
{
    if (!v || tg_value(g, v)->type->kind != TG_TENSOR)
        return false;
    const TgValueInfo *info = tg_value(g, v);
    int64_t count = 0;
    if (!tg_type_numel(info->type, &count) || count > max)
        return false;
    if (info->symbolic) {
        for (uint32_t i = 0; i < count; i++)
            if (!tg_dim_known(info->symbolic[i], &out[i]))
                return false;
        *n = (uint32_t)count;
        return true;
    }
    bool integer = tg_is_integer(info->type->dtype) || info->type->dtype == TG_bool;
    if (!info->tensor || !integer)
        return false;
    for (uint32_t i = 0; i < count; i++)
        out[i] = tg_tensor_int(g->tg, info->tensor, i);
    *n = (uint32_t)count;
    return true;
}

const TgTensor *tg_known_elements(const TgGraph *g, TgValue v, TgArena *arena)
{
    enum { MOST = 64 };
    int64_t element[MOST], dim[TG_MAX_RANK];
    uint32_t n;
    const TgValueInfo *info = tg_value(g, v);
    if (info->tensor || !info->symbolic || !tg_type_static(info->type, dim) ||
        !tg_const_ints(g, v, MOST, element, &n))
        return NULL;
    void *bytes;
    TgTensor *made = tg_tensor_blank(arena, info->type->dtype, info->type->rank, dim, &bytes);
    for (uint32_t i = 0; i < n; i++)
        tg_store_integer(info->type->dtype, bytes, i, element[i]);
    return made;
}

bool tg_const_float(const TgGraph *g, TgValue v, double *x)
{
    const TgTensor *t = tg_const_of(g, v);
    return t && t->payload != TG_STRINGS && tg_tensor_is_splat(g->tg, t, x);
}

bool tg_used_once(const TgGraph *g, TgValue v)
{
    return tg_value(g, v)->uses.n == 1 && tg_value(g, v)->returned == 0;
}

uint32_t tg_graph_count(const TgGraph *g, bool subgraphs)
{
    uint32_t count = 0;
    for (TgNode n = 1; n < g->nodes.n; n++)
        if (!tg_node(g, n)->dead) {
            count++;
            for (uint32_t s = 0; subgraphs && s < tg_node(g, n)->n_sub; s++)
                count += tg_graph_count(tg_node(g, n)->sub[s].graph, true); /* nesting is bounded by the reader */
        }
    return count;
}

/* --- changing ----------------------------------------------------------------------------------------------------- */

void tg_set_input(TgGraph *g, TgNode n, uint32_t slot, TgValue v)
{
    TgNodeInfo *info = tg_node(g, n);
    if (info->in[slot] == v)
        return;
    drop_use(g, n, slot, info->in[slot]);
    info->in[slot] = v;
    add_use(g, n, slot, v);
    g->sorted = false;
}

void tg_set_attrs(TgGraph *g, TgNode n, const TgAttrs *attrs)
{
    tg_node(g, n)->attrs = attrs;
}

void tg_replace(TgGraph *g, TgValue old, TgValue new_value_)
{
    if (old == new_value_)
        return;
    TgValueInfo *from = tg_value(g, old), *to = tg_value(g, new_value_);
    for (uint32_t i = 0; i < from->uses.n; i++) {
        TgUse use = from->uses.at[i];
        tg_node(g, use.node)->in[use.slot] = new_value_;
        TG_PUSH(g->arena, &to->uses, use);
    }
    from->uses.n = 0;
    for (uint32_t i = g->next_return, n = g->outputs.n; from->returned; i++) { /* stops at the last one */
        TgReturn *output = &g->outputs.at[i < n ? i : i % n];
        if (output->value != old)
            continue;
        output->value = new_value_;
        from->returned--;
        to->returned++;
        g->next_return = (i + 1) % n;
    }
    if (to->origin == TG_V_RESULT && !to->name && from->origin == TG_V_RESULT) {
        to->name = from->name;
        to->declared = to->declared ? to->declared : from->declared;
        from->name = NULL;
    }
    g->sorted = false;
}

void tg_remove(TgGraph *g, TgNode n)
{
    TgNodeInfo *info = tg_node(g, n);
    for (uint32_t i = 0; i < info->n_out; i++)
        TG_CHECK(g->tg, tg_value(g, info->out[i])->uses.n == 0 && tg_value(g, info->out[i])->returned == 0);
    for (uint32_t i = 0; i < info->n_in; i++)
        drop_use(g, n, i, info->in[i]);
    info->dead = true;
    g->sorted = false;
}

void tg_drop_return(TgGraph *g, uint32_t index)
{
    tg_value(g, g->outputs.at[index].value)->returned--;
    for (uint32_t i = index; i + 1 < g->outputs.n; i++)
        g->outputs.at[i] = g->outputs.at[i + 1];
    g->outputs.n--;
}

void tg_drop_input(TgGraph *g, uint32_t index)
{
    const TgValueInfo *v = tg_value(g, g->inputs.at[index]);
    TG_CHECK(g->tg, !g->outer && v->uses.n == 0 && v->returned == 0);
    for (uint32_t i = index; i + 1 < g->inputs.n; i++) {
        g->inputs.at[i] = g->inputs.at[i + 1];
        tg_value(g, g->inputs.at[i])->index = i;
    }
    g->inputs.n--;
}

static bool is_needed(const TgGraph *g, const TgNodeInfo *info)
{
    for (uint32_t i = 0; i < info->n_out; i++)
        if (tg_value(g, info->out[i])->uses.n || tg_value(g, info->out[i])->returned)
            return true;
    return false;
}

static bool clean_subgraphs(TgGraph *g, TgNode n)
{
    bool changed = false;
    for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++) {
        TgGraph *inner = tg_node(g, n)->sub[s].graph;
        changed |= tg_remove_dead(inner); /* nesting is bounded by the reader */
        for (uint32_t k = inner->captures.n; k-- > 0;) {
            const TgValueInfo *v = tg_value(inner, inner->captures.at[k]);
            if (v->uses.n == 0 && v->returned == 0) {
                drop_capture(g, n, s, k);
                changed = true;
            }
        }
    }
    return changed;
}

bool tg_remove_dead(TgGraph *g)
{
    bool changed = false;
    uint32_t count;
    if (g->outputs.n == 0) /* nothing would be left, and runtimes refuse empty graphs */
        return false;
    const TgNode *order = tg_graph_order(g, &count);
    TgMark mark = tg_mark(tg_scratch(g->tg));
    TgNode *live = tg_copy(tg_scratch(g->tg), order, count * sizeof *live);
    for (uint32_t i = count; i-- > 0;) { /* readers first, so that one sweep suffices */
        if (!is_needed(g, tg_node(g, live[i]))) {
            tg_remove(g, live[i]);
            changed = true;
        } else if (tg_node(g, live[i])->n_sub)
            changed |= clean_subgraphs(g, live[i]);
    }
    tg_release(tg_scratch(g->tg), mark);
    return changed;
}

/* --- provenance --------------------------------------------------------------------------------------------------- */

static bool has_note(const TgOriginNote *list, TgName source, TgName rewrite)
{
    for (; list; list = list->next)
        if (list->source == source && list->rewrite == rewrite)
            return true;
    return false;
}

static void add_note(TgGraph *g, TgNodeInfo *made, TgName source, TgName rewrite)
{
    if ((!source && !rewrite) || has_note(made->origin, source, rewrite))
        return;
    TgOriginNote *note = TG_NEW(g->arena, TgOriginNote);
    *note = (TgOriginNote){source, rewrite, made->origin};
    made->origin = note;
}

void tg_node_origin(TgGraph *g, TgNode made, const TgNodeInfo *from, const char *rewrite)
{
    TgNodeInfo *info = tg_node(g, made);
    for (const TgOriginNote *o = from ? from->origin : NULL; o; o = o->next)
        add_note(g, info, o->source, o->rewrite);
    if (from && !from->origin)
        add_note(g, info, from->name, NULL);
    if (rewrite)
        add_note(g, info, NULL, tg_name(g->tg, rewrite));
}
