/* Nodes: literally first (operands by name, attributes as written), then raised to the newest meaning of the
 * operator, then typed. Operators Constant become constants, calls of the model's functions are inlined.
 *
 * What ops.def does not know, or what does not look as it says, stays an opaque node with the types that
 * the file gives.
 */
#include "import.h"
#include "versions.h"

#include <string.h>

/* --- attributes --------------------------------------------------------------------------------------------------- */

const AttrView *resolve_attr(Scope *s, const AttrView *a)
{
    if (!a->reference)
        return a;
    const Scope *f = scope_function(s);
    for (uint32_t i = 0; f && i < f->attrs.n; i++)
        if (f->attrs.at[i].name == a->reference)
            return &f->attrs.at[i];
    return NULL;
}

/* The kind that the operator's row gives an attribute: the text behind "name="; NULL: the row does not
 * have it. */
static const char *kind_text(TgOp op, const char *name)
{
    const char *at = tg_op_info(op)->attrs;
    size_t n = strlen(name);
    for (; *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            return at + n + 1;
    return NULL;
}

static bool kind_fits(TgOp op, const AttrView *a, TgName name)
{
    static const char *const letters[] = {
        [AT_FLOAT] = "f", [AT_INT] = "i",      [AT_STRING] = "s", [AT_TENSOR] = "t",   [AT_FLOATS] = "fs",
        [AT_INTS] = "is", [AT_STRINGS] = "ss", [AT_TYPE] = "ty",  [AT_SPARSE] = "raw", [AT_TYPES] = "raw"};
    const char *want = op == TG_opaque ? NULL : kind_text(op, name);
    const char *have = a->type > 0 && a->type <= AT_TYPES ? letters[a->type] : NULL;
    if (!want)
        return true;
    size_t n = strcspn(want, ": ");
    return have && strlen(have) == n && memcmp(have, want, n) == 0;
}

/* Attributes but graphs. Operators of ai.onnx get them literally: versions differ in their defaults. */
static bool read_attrs(Reader *r, Scope *s, const NodeView *view, TgOp op, const TgAttrs **attrs)
{
    TgAttrBuild b;
    tg_attrs_begin(&b, r->tg);
    for (uint32_t i = 0; i < view->attrs.n; i++) {
        TgName name = view->attrs.at[i].name;
        const AttrView *a = resolve_attr(s, &view->attrs.at[i]);
        if (!a || a->type == AT_GRAPH)
            continue;
        if (!kind_fits(op, a, name))
            return tg_report(r->tg, TG_E_attr_kind, name);
        if (!read_attr(r, &b, a, name))
            return false;
    }
    *attrs = tg_attrs_end(&b, view->domain[0] ? op : TG_opaque);
    return true;
}

/* --- constants ---------------------------------------------------------------------------------------------------- */

/* The tensor that one attribute of Constant describes; NULL: it is none of the usual ones. */
static TgTensor *tensor_of(TgArena *arena, const TgAttr *a)
{
    int64_t n = a->n;
    switch (a->kind) {
    case TG_A_INT: return tg_tensor_scalar_int(arena, TG_i64, a->u.i);
    case TG_A_INTS: return tg_tensor_ints(arena, a->n, a->u.ints);
    case TG_A_FLOAT: return tg_tensor_owned(arena, TG_f32, 0, NULL, tg_copy(arena, &a->u.f, sizeof a->u.f));
    case TG_A_FLOATS:
        return tg_tensor_owned(arena, TG_f32, 1, &n,
                               tg_copy(arena, n ? (const void *)a->u.floats : "", a->n * sizeof(float)));
    case TG_A_STRING: return tg_tensor_strings(arena, 0, NULL, tg_copy(arena, &a->u.s, sizeof a->u.s));
    case TG_A_STRINGS: return tg_tensor_strings(arena, 1, &n, a->u.strings);
    default: return NULL;
    }
}

static bool bind_constant(Reader *r, Scope *s, const NodeView *view, const AttrView *a)
{
    TgArena *arena = r->model->arena;
    TgName ignored, name = view->out.at[0];
    TgBytes rest = a->whole;
    WireField f;
    const TgTensor *t = NULL;
    if (a->type == AT_TENSOR) {
        while (scan_next(&rest, &f))
            if (f.number == ATTRIBUTE_t && !(t = read_tensor(r, arena, f.bytes, &ignored)))
                return false;
    } else {
        TgAttrBuild b;
        tg_attrs_begin(&b, r->tg);
        if (!read_attr(r, &b, a, a->name))
            return false;
        t = tensor_of(arena, &tg_attrs_end(&b, TG_opaque)->at[0]); /* interned: its strings stay */
    }
    if (!t)
        return tg_report(r->tg, TG_E_attr_empty, a->name);
    return bind_const(r, s, name, t);
}

/* The one attribute of a Constant that we can make a constant of; NULL: keep the node. */
static const AttrView *constant_attr(Scope *s, const NodeView *view)
{
    static const char *const names[] = {
        [AT_FLOAT] = "value_float",     [AT_INT] = "value_int",       [AT_STRING] = "value_string",
        [AT_TENSOR] = "value",          [AT_FLOATS] = "value_floats", [AT_INTS] = "value_ints",
        [AT_STRINGS] = "value_strings", [AT_SPARSE] = "sparse_value", [AT_TYPES] = NULL};
    bool ours = view->domain[0] == '\0' && strcmp(view->op_type, "Constant") == 0;
    if (!ours || view->attrs.n != 1 || view->out.n != 1 || !view->out.at[0] || view->in.n > 0)
        return NULL;
    const AttrView *a = resolve_attr(s, &view->attrs.at[0]);
    const char *want = a && a->type > 0 && a->type < AT_TYPES ? names[a->type] : NULL;
    return want && strcmp(want, view->attrs.at[0].name) == 0 ? a : NULL;
}

static bool import_constant(Reader *r, Scope *s, const NodeView *view, const AttrView *a)
{
    TgBytes rest = a->whole, message = {NULL, 0};
    WireField f;
    if (a->type != AT_SPARSE)
        return bind_constant(r, s, view, a);
    while (scan_next(&rest, &f))
        if (f.number == ATTRIBUTE_sparse_tensor)
            message = f.bytes;
    return bind_sparse(r, s, message, view->out.at[0]);
}

/* --- operators ---------------------------------------------------------------------------------------------------- */

static bool read_operands(Reader *r, Scope *s, const NodeView *view, TgU32s *in)
{
    for (uint32_t i = 0; i < view->in.n; i++) {
        TgValue v;
        if (!scope_find(r, s, view->in.at[i], &v))
            return false;
        TG_PUSH(r->arena, in, v);
    }
    while (in->n > 0 && in->at[in->n - 1] == 0) /* left out: as good as not there */
        in->n--;
    return true;
}

static bool name_results(Reader *r, Scope *s, const NodeView *view, TgNode n)
{
    for (uint32_t i = 0; i < view->out.n; i++) {
        TgValue v = tg_node(s->g, n)->out[i];
        if (!scope_bind(r, s, view->out.at[i], v) || !describe_value(r, s, view->out.at[i], v))
            return false;
    }
    return true;
}

static bool import_bodies(Reader *r, Scope *s, const NodeView *view, TgNode n)
{
    for (uint32_t i = 0; i < view->attrs.n; i++) {
        const AttrView *a = resolve_attr(s, &view->attrs.at[i]);
        if (a && a->type == AT_GRAPH && !import_body(r, s, n, view->attrs.at[i].name, a))
            return false;
    }
    return true;
}

/* Inference of a loop tries types on its bodies. They get those of the file again. */
static void restore_types(const TgGraph *body)
{
    for (uint32_t i = 0; i < body->inputs.n; i++) {
        TgValueInfo *v = tg_value(body, body->inputs.at[i]);
        v->type = v->declared ? v->declared : tg_untyped(body->tg);
        v->symbolic = NULL;
    }
}

/* Node n as it was read, not understood. */
static void keep_opaque(TgGraph *g, TgNode n, const NodeShot *shot, const NodeView *view)
{
    for (uint32_t i = 0; i < tg_node(g, n)->n_sub; i++) {
        restore_types(tg_node(g, n)->sub[i].graph);
        (void)tg_infer_graph(tg_node(g, n)->sub[i].graph);
    }
    become(g, n, TG_opaque, shot->attrs, shot->n_in, shot->in);
    tg_node(g, n)->op_name = view->op_type;
    tg_node(g, n)->domain = view->domain;
}

/* Types that only the file knows. */
static void believe_declared(TgGraph *g, TgNode n)
{
    const TgNodeInfo *node = tg_node(g, n);
    for (uint32_t i = 0; i < node->n_out; i++) {
        TgValueInfo *v = tg_value(g, node->out[i]);
        if (v->type->kind == TG_UNTYPED && v->declared)
            v->type = v->declared;
    }
}

/* Types of the results. Sizes that contradict each other are no reason to refuse: the node may be in a
 * branch that is never taken, and runtimes find out when they run it. */
static bool infer_or_keep(Reader *r, TgGraph *g, TgNode n, const NodeShot *shot, const NodeView *view)
{
    uint32_t said = tg_diag_count(r->tg), errors = tg_error_count(r->tg);
    if (tg_infer_node(g, n))
        return true;
    if (errors > 0 || tg_diag_exit_code(r->tg) == TG_EXIT_LIMIT)
        return false;
    TgName why = tg_diag(r->tg, tg_diag_count(r->tg) - 1)->message;
    tg_diag_forget(r->tg, said);
    keep_opaque(g, n, shot, view);
    return tolerate(r, TG_E_contradiction, why) && tg_infer_node(g, n);
}

static bool settle(Reader *r, Scope *s, const NodeView *view, TgNode n)
{
    TgGraph *g = s->g;
    NodeShot shot = node_shot(g, n);
    if (view->domain[0] == '\0' && !raise_node(g, n, scope_opset(r, s)))
        return false;
    if (tg_node(g, n)->op != TG_opaque && !tg_node_has_form(tg_node(g, n))) {
        if (!tolerate(r, TG_E_odd_form, view->op_type))
            return false;
        keep_opaque(g, n, &shot, view);
    }
    if (!infer_or_keep(r, g, n, &shot, view))
        return false;
    if (tg_node(g, n)->op == TG_opaque)
        believe_declared(g, n);
    return true;
}

static bool import_operator(Reader *r, Scope *s, const NodeView *view)
{
    TgU32s in = {0};
    const TgAttrs *attrs = NULL;
    TgGraph *g = s->g;
    TgOp op = view->overload ? TG_opaque : tg_op_find(r->tg, view->domain, view->op_type);
    if (!read_operands(r, s, view, &in) || !read_attrs(r, s, view, op, &attrs))
        return false;
    TgNode n = op == TG_opaque
                   ? tg_graph_add_opaque(g, view->domain, view->op_type, attrs, in.n, in.at, view->out.n)
                   : tg_graph_add_raw(g, op, attrs, in.n, in.at, view->out.n);
    TgNodeInfo *node = tg_node(g, n);
    node->name = final_name(r, s, view->name);
    node->doc = view->doc;
    node->unknown = view->unknown;
    node->overload = view->overload;
    return name_results(r, s, view, n) && import_bodies(r, s, view, n) && settle(r, s, view, n);
}

bool import_node(Reader *r, Scope *s, const NodeView *view)
{
    TgPlace *place = tg_place(r->tg), before = *place;
    TgName fallback = view->out.n > 0 ? view->out.at[0] : NULL;
    TgMark mark = tg_mark(tg_scratch(r->tg));
    place->node = final_name(r, s, view->name ? view->name : fallback);
    place->op = view->op_type;
    if (!tg_within(r->tg, TG_LIMIT_nodes, ++r->nodes))
        return false;
    const FunctionView *function = find_function(r, view);
    const AttrView *constant = constant_attr(s, view);
    bool fine = function   ? inline_call(r, s, view, function)
                : constant ? import_constant(r, s, view, constant)
                           : import_operator(r, s, view);
    if (fine)
        *place = before;
    tg_release(tg_scratch(r->tg), mark);
    return fine;
}
