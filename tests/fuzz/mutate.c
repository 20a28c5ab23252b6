/* One random change of a model, made on its graph.
 *
 * Problem: bytes changed at random are hardly ever a graph, so that a search over bytes tests the parser
 * and little else. Idea: change the graph, by steps that are known to reach odd corners: other attributes,
 * operands, sizes, element types and constants, nodes that come, go, and double, other operators of the
 * same arity. Everything is drawn from ops.def, so a new operator takes part without a line here.
 *
 * A change may contradict itself; the caller prints the graph and keeps what reads back.
 */
#include "mutate.h"

#include <math.h>
#include <string.h>

#include "fuzz.h"

typedef struct {
    Tg *tg;
    TgModel *m;
    TgGraph *g; /* what is changed: the main graph or one of a node */
    uint64_t state;
    const TgNode *order; /* of g, before the change */
    uint32_t n;
} Mutator;

/* --- chance --------------------------------------------------------------------------------------------- */

static uint32_t below(Mutator *x, uint32_t n)
{
    x->state += 0x9e3779b97f4a7c15u;
    return n ? (uint32_t)(tg_mix(x->state, 1) >> 33) % n : 0;
}

static bool one_in(Mutator *x, uint32_t n)
{
    return below(x, n) == 0;
}

static int64_t any_int(Mutator *x)
{
    static const int64_t odd[] = {-3,        -2,        16,        63,      64,        127,       128,
                                  255,       256,       1 << 15,   1 << 20, INT32_MAX, INT32_MIN, INT64_MAX,
                                  INT64_MIN, 1LL << 32, 1LL << 62, 768,     -4};
    return one_in(x, 5) ? odd[below(x, sizeof odd / sizeof *odd)] : (int64_t)below(x, 7) - 1;
}

static double any_float(Mutator *x)
{
    static const double odd[] = {0,    -0.0, 1e-5, 3.4e38, 1e-40, INFINITY, -INFINITY, NAN, 1e10, 65504,
                                 1e-8, 256,  -1,   0.125,  1.5,   3,        0.1,       2e9, -1e-3};
    return one_in(x, 4) ? odd[below(x, sizeof odd / sizeof *odd)] : ((double)below(x, 17) - 8) / 4;
}

static TgDtype any_dtype(Mutator *x)
{
    static const TgDtype usual[] = {TG_f32, TG_f32,  TG_f16,  TG_f64, TG_i64, TG_i64,
                                    TG_i32, TG_bool, TG_bf16, TG_i8,  TG_u8};
    if (!one_in(x, 6))
        return usual[below(x, sizeof usual / sizeof *usual)];
    TgDtype t = (TgDtype)(1 + below(x, TG_DTYPE_COUNT - 1));
    return tg_dtype_bits(t) && tg_dtype_class(t) != TG_CLASS_S ? t : TG_f32;
}

static TgDim any_dim(Mutator *x)
{
    static const char *const exprs[] = {"B",    "S",   "past",      "past + S", "2*S",
                                        "S//2", "B*S", "max(B, S)", "S - 1",    "T"};
    if (one_in(x, 2))
        return tg_dim_parse(x->tg, exprs[below(x, sizeof exprs / sizeof *exprs)]);
    return tg_dim(x->tg, one_in(x, 12) ? 0 : 1 + below(x, 8));
}

static TgName fresh_name(Mutator *x)
{
    return tg_name_format(x->tg, "v%u", below(x, 1u << 30));
}

/* --- picking -------------------------------------------------------------------------------------------- */

static bool is_early(const Mutator *x, TgValue v, uint32_t position)
{
    const TgValueInfo *info = tg_value(x->g, v);
    if (info->origin != TG_V_RESULT)
        return true;
    for (uint32_t i = 0; i < position; i++)
        if (x->order[i] == info->node)
            return true;
    return false;
}

/* A value that the node at `position` may read; of this element type if one is soon found. 0: none. */
static TgValue any_value(Mutator *x, uint32_t position, TgDtype like)
{
    TgValue found = 0;
    for (uint32_t i = 0; i < 24; i++) {
        TgValue v = 1 + below(x, x->g->values.n - 1);
        if (!is_early(x, v, position))
            continue;
        found = v;
        if (like == TG_undefined || tg_type_of(x->g, v)->dtype == like)
            break;
    }
    return found;
}

static void add_graphs(Mutator *x, TgGraph *g, TgGraph **at, uint32_t *n, uint32_t most)
{
    if (*n < most)
        at[(*n)++] = g;
    uint32_t count;
    const TgNode *order = tg_graph_order(g, &count);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t s = 0; s < tg_node(g, order[i])->n_sub; s++) /* nesting is bounded by the readers */
            add_graphs(x, tg_node(g, order[i])->sub[s].graph, at, n, most);
}

static void pick_graph(Mutator *x)
{
    TgGraph *graphs[32];
    uint32_t n = 0;
    add_graphs(x, x->m->graph, graphs, &n, 32);
    x->g = one_in(x, 2) ? x->m->graph : graphs[below(x, n)];
    x->order = tg_graph_order(x->g, &x->n);
}

/* --- constants ------------------------------------------------------------------------------------------ */

static void fill(Mutator *x, TgDtype t, void *bytes, size_t count)
{
    TgClass class = tg_dtype_class(t);
    if (class == TG_CLASS_C) {
        t = t == TG_c64 ? TG_f32 : TG_f64;
        count *= 2;
    }
    for (size_t i = 0; i < count; i++)
        if (class == TG_CLASS_F || class == TG_CLASS_C)
            tg_store_float(t, bytes, i, any_float(x));
        else
            tg_store_integer(t, bytes, i, tg_wrap_integer(t, any_int(x)));
}

static TgTensor *any_tensor(Mutator *x, TgDtype t, int32_t rank, const int64_t *dim)
{
    enum { WRITTEN = 256 };
    int64_t count = 1;
    for (int32_t i = 0; i < rank; i++)
        count = count > WRITTEN || dim[i] > WRITTEN ? WRITTEN + 1 : count * dim[i];
    if (count > WRITTEN || one_in(x, 3)) {
        uint8_t element[16] = {0};
        fill(x, t, element, 1);
        return tg_tensor_splat(x->m->arena, t, rank, dim, element);
    }
    void *bytes;
    TgTensor *made = tg_tensor_blank(x->m->arena, t, rank, dim, &bytes);
    fill(x, t, bytes, (size_t)count);
    return made;
}

/* Small, of any shape; mostly a vector of integers, as operators want for sizes, axes and indices. */
static TgValue any_const(Mutator *x)
{
    int64_t dim[4];
    bool ints = !one_in(x, 3);
    int32_t rank = ints ? one_in(x, 4) ? 0 : 1 : (int32_t)below(x, 4);
    for (int32_t i = 0; i < rank; i++)
        dim[i] = one_in(x, 10) ? 0 : 1 + below(x, 4);
    TgDtype t = ints ? TG_i64 : any_dtype(x);
    return tg_graph_const(x->g, any_tensor(x, t, rank, dim), NULL);
}

/* --- attributes ----------------------------------------------------------------------------------------- */

static const char *any_word(Mutator *x)
{
    static const char *const words[] = {"constant",
                                        "reflect",
                                        "edge",
                                        "wrap",
                                        "nearest",
                                        "linear",
                                        "cubic",
                                        "bilinear",
                                        "SAME_UPPER",
                                        "SAME_LOWER",
                                        "VALID",
                                        "NOTSET",
                                        "none",
                                        "tanh",
                                        "add",
                                        "mul",
                                        "max",
                                        "min",
                                        "DCR",
                                        "CRD",
                                        "zeros",
                                        "border",
                                        "reflection",
                                        "sum",
                                        "mean",
                                        "forward",
                                        "reverse",
                                        "bidirectional",
                                        "up",
                                        "down",
                                        "floor",
                                        "ceil",
                                        "half_pixel",
                                        "asymmetric",
                                        "align_corners",
                                        "ij,jk->ik",
                                        "bij,bjk->bik",
                                        "ii->i",
                                        "ij->ji",
                                        "...i,...i->...",
                                        "i,j->ij",
                                        "ij->",
                                        "",
                                        "tf_crop_and_resize",
                                        "pytorch_half_pixel",
                                        "round_prefer_ceil",
                                        "stretch",
                                        "not_larger",
                                        "silu",
                                        "gelu",
                                        "linear_antialias"};
    return words[below(x, sizeof words / sizeof *words)];
}

static void put_any(Mutator *x, TgAttrBuild *b, const char *name, const char *kind)
{
    int64_t ints[4], dim[2] = {1 + below(x, 3), 1 + below(x, 3)};
    float floats[4];
    uint32_t n = below(x, 5);
    for (uint32_t i = 0; i < 4; i++) {
        ints[i] = any_int(x);
        floats[i] = (float)any_float(x);
    }
    if (strcmp(kind, "i") == 0)
        tg_attrs_int(b, name, ints[0]);
    else if (strcmp(kind, "f") == 0)
        tg_attrs_float(b, name, floats[0]);
    else if (strcmp(kind, "s") == 0)
        tg_attrs_string(b, name, any_word(x));
    else if (strcmp(kind, "is") == 0)
        tg_attrs_ints(b, name, n, ints);
    else if (strcmp(kind, "fs") == 0)
        tg_attrs_floats(b, name, n, floats);
    else if (strcmp(kind, "t") == 0)
        tg_attrs_tensor(b, name, any_tensor(x, any_dtype(x), (int32_t)below(x, 3), dim));
}

/* Each attribute that the operator has is set with probability 1 / rarely. */
static const TgAttrs *any_attrs(Mutator *x, TgOp op, const TgAttrs *from, uint32_t rarely)
{
    TgAttrBuild b;
    tg_attrs_from(&b, x->tg, from ? from : tg_attrs_none(x->tg));
    for (const char *at = tg_op_info(op)->attrs; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        size_t name = strcspn(at, "="), kind = at[name] ? strcspn(at + name + 1, ": ") : 0;
        const char *key = tg_name_n(x->tg, at, name);
        if (!one_in(x, rarely))
            continue;
        if (one_in(x, 6))
            tg_attrs_drop(&b, key);
        else
            put_any(x, &b, key, tg_name_n(x->tg, at + name + 1, kind));
    }
    return tg_attrs_end(&b, op);
}

/* --- changes: true where something may have changed ----------------------------------------------------- */

static bool change_attribute(Mutator *x)
{
    if (!x->n)
        return false;
    TgNode n = x->order[below(x, x->n)];
    TgNodeInfo *info = tg_node(x->g, n);
    const TgAttrs *before = info->attrs;
    for (uint32_t i = 0; i < 4 && info->attrs == before; i++)
        tg_set_attrs(x->g, n, any_attrs(x, info->op, before, 3));
    return info->attrs != before;
}

static bool change_operand(Mutator *x)
{
    if (!x->n)
        return false;
    uint32_t position = below(x, x->n);
    TgNode n = x->order[position];
    const TgNodeInfo *info = tg_node(x->g, n);
    if (!info->n_formal)
        return false;
    uint32_t slot = below(x, info->n_formal), other = below(x, info->n_formal);
    TgValue a = info->in[slot], b = info->in[other];
    if (slot != other && one_in(x, 2)) {
        tg_set_input(x->g, n, slot, b);
        tg_set_input(x->g, n, other, a);
        return true;
    }
    TgDtype like = a ? tg_type_of(x->g, a)->dtype : TG_undefined;
    TgValue v = one_in(x, 10) ? 0 : one_in(x, 4) ? any_const(x) : any_value(x, position, like);
    tg_set_input(x->g, n, slot, v);
    return true;
}

static const TgType *changed_type(Mutator *x, const TgType *t)
{
    TgDim dim[TG_MAX_RANK];
    if (t->kind != TG_TENSOR || t->rank < 0)
        return tg_type(x->tg, any_dtype(x), 0, dim);
    int32_t rank = t->rank;
    for (int32_t i = 0; i < rank; i++)
        dim[i] = t->dim[i];
    if (one_in(x, 4))
        return tg_type(x->tg, any_dtype(x), rank, dim);
    if (one_in(x, 4) && rank < 6)
        dim[rank++] = any_dim(x);
    else if (one_in(x, 4) && rank)
        rank--;
    else if (rank)
        dim[below(x, (uint32_t)rank)] = any_dim(x);
    return tg_type(x->tg, t->dtype, rank, dim);
}

static bool change_input(Mutator *x)
{
    if (!x->g->inputs.n)
        return false;
    TgValueInfo *v = tg_value(x->g, x->g->inputs.at[below(x, x->g->inputs.n)]);
    v->type = changed_type(x, v->type);
    v->declared = NULL;
    v->symbolic = NULL;
    v->initial = NULL;
    v->type_wire = (TgBytes){0};
    return true;
}

static bool change_const(Mutator *x)
{
    for (uint32_t i = 0; i < 16; i++) {
        TgValue v = 1 + below(x, x->g->values.n - 1);
        const TgTensor *t = tg_value(x->g, v)->tensor;
        if (tg_value(x->g, v)->origin != TG_V_CONST || t->payload == TG_STRINGS || t->rank > 8)
            continue;
        int64_t dim[8];
        for (int32_t k = 0; k < t->rank; k++)
            dim[k] = t->dim[k];
        if (t->rank && one_in(x, 4))
            dim[below(x, (uint32_t)t->rank)] = 1 + below(x, 6);
        tg_replace(
            x->g, v,
            tg_graph_const(x->g, any_tensor(x, one_in(x, 12) ? any_dtype(x) : t->dtype, t->rank, dim), NULL));
        return true;
    }
    return false;
}

/* One reader of `old`, or everybody, reads `new_value` from now on. */
static void redirect(Mutator *x, TgValue old, TgValue new_value)
{
    const TgValueInfo *v = tg_value(x->g, old);
    if (v->uses.n && !one_in(x, 3)) {
        TgUse use = v->uses.at[below(x, v->uses.n)];
        if (tg_value(x->g, new_value)->node != use.node)
            tg_set_input(x->g, use.node, use.slot, new_value);
    } else if (!v->uses.n) {
        tg_replace(x->g, old, new_value);
    }
}

static bool double_node(Mutator *x)
{
    if (!x->n)
        return false;
    const TgNodeInfo *info = tg_node(x->g, x->order[below(x, x->n)]);
    TgNode twin = tg_node_copy(x->g, info, info->in);
    tg_node(x->g, twin)->name = NULL;
    if (!info->n_out)
        return false;
    uint32_t i = below(x, info->n_out);
    if (one_in(x, 3)) /* in a row, where it can be */
        tg_set_input(x->g, twin, 0, info->n_in ? info->out[i] : 0);
    redirect(x, info->out[i], tg_node(x->g, twin)->out[i]);
    return true;
}

static bool delete_node(Mutator *x)
{
    if (!x->n)
        return false;
    uint32_t position = below(x, x->n);
    TgNode n = x->order[position];
    const TgNodeInfo *info = tg_node(x->g, n);
    for (uint32_t i = 0; i < info->n_out; i++) {
        TgValue v = i < info->n_formal && info->in[i] ? info->in[i] : any_value(x, position, TG_undefined);
        if (!v)
            return false;
        tg_replace(x->g, info->out[i], v);
    }
    tg_remove(x->g, n);
    return true;
}

static bool fits(const TgOpInfo *op, uint32_t in, uint32_t out)
{
    return in >= op->in_min && in <= op->in_max && out >= op->out_min && out <= op->out_max &&
           !(op->traits & TG_T_CONTROL);
}

static bool change_operator(Mutator *x)
{
    if (!x->n)
        return false;
    TgNodeInfo *info = tg_node(x->g, x->order[below(x, x->n)]);
    if (info->n_sub)
        return false;
    for (uint32_t i = 0; i < 200; i++) {
        TgOp op = (TgOp)(1 + below(x, TG_OP_COUNT - 1));
        if (!fits(tg_op_info(op), info->n_formal, info->n_out))
            continue;
        info->op = op;
        info->op_name = info->domain = info->overload = NULL;
        info->attrs = any_attrs(x, op, NULL, 3);
        return true;
    }
    return false;
}

/* A node of any operator over values that are there before `position`; 0: it did not fit. */
static TgNode try_node(Mutator *x, uint32_t position)
{
    TgValue in[8] = {0};
    TgOp op = (TgOp)(1 + below(x, TG_OP_COUNT - 1));
    const TgOpInfo *info = tg_op_info(op);
    if (info->in_min > 8 || info->traits & TG_T_CONTROL)
        return 0;
    uint32_t room = (uint32_t)(info->in_max < 8 ? info->in_max : 8) - info->in_min;
    uint32_t n_in = info->in_min + below(x, room + 1), n_out = info->out_min ? info->out_min : 1;
    if (n_out < info->out_max && one_in(x, 3))
        n_out++;
    TgDtype like = TG_undefined;
    for (uint32_t i = 0; i < n_in; i++) {
        bool absent = i >= info->in_min && one_in(x, 3);
        in[i] = absent ? 0 : i && one_in(x, 3) ? any_const(x) : any_value(x, position, like);
        like = i == 0 && in[0] ? tg_type_of(x->g, in[0])->dtype : like;
    }
    return tg_graph_add(x->g, op, any_attrs(x, op, NULL, 3), n_in, in, n_out);
}

static bool add_node(Mutator *x)
{
    for (uint32_t i = 0; i < 40; i++) {
        uint32_t said = tg_diag_count(x->tg), position = below(x, x->n + 1);
        TgNode made = try_node(x, position);
        tg_diag_forget(x->tg, said);
        if (!made)
            continue;
        const TgNodeInfo *info = tg_node(x->g, made);
        TgValue out = info->out[below(x, info->n_out)];
        TgNode reader = position < x->n ? x->order[position + below(x, x->n - position)] : 0;
        if (reader && tg_node(x->g, reader)->n_formal && !one_in(x, 3))
            tg_set_input(x->g, reader, below(x, tg_node(x->g, reader)->n_formal), out);
        else if (x->g->outer)
            return false; /* the number of results of a subgraph is not free */
        else
            tg_graph_return(x->g, out, fresh_name(x), NULL);
        return true;
    }
    return false;
}

static bool change_return(Mutator *x)
{
    if (!x->g->outputs.n)
        return false;
    TgReturn *r = &x->g->outputs.at[below(x, x->g->outputs.n)];
    TgValue v = any_value(x, x->n, TG_undefined);
    if (!v)
        return false;
    tg_value(x->g, r->value)->returned--;
    tg_value(x->g, v)->returned++;
    r->value = v;
    r->declared = NULL;
    r->type_wire = (TgBytes){0};
    return true;
}

static bool drop_return(Mutator *x)
{
    TgGraph *g = x->m->graph;
    if (g->outputs.n < 2)
        return false;
    uint32_t i = below(x, g->outputs.n);
    tg_value(g, g->outputs.at[i].value)->returned--;
    g->outputs.at[i] = g->outputs.at[--g->outputs.n];
    return tg_remove_dead(g) || true;
}

static bool change_opset(Mutator *x)
{
    for (uint32_t i = 0; i < x->m->imports.n; i++)
        if (!*x->m->imports.at[i].domain)
            x->m->imports.at[i].version = 7 + below(x, 22);
    return true;
}

/* --- the door ------------------------------------------------------------------------------------------- */

bool fuzz_mutate(TgModel *m, uint64_t seed)
{
    static bool (*const changes[])(Mutator *) = {
        change_attribute, change_attribute, change_operand,  change_operand, change_input, change_const,
        double_node,      delete_node,      change_operator, add_node,       add_node,     add_node,
        add_node,         change_return,    drop_return,     change_opset,   change_const};
    Mutator x = {.tg = m->tg, .m = m, .state = seed};
    uint32_t steps = 1 + below(&x, 3), done = 0;
    for (uint32_t i = 0; i < steps + 4 && done < steps; i++) {
        pick_graph(&x);
        if (x.g->values.n > 1)
            done += changes[below(&x, sizeof changes / sizeof *changes)](&x);
    }
    fuzz_forget(m->graph);
    return done > 0;
}

bool fuzz_join(TgModel *a, const TgModel *b, uint64_t seed)
{
    Mutator x = {.tg = a->tg, .m = a, .g = a->graph, .state = seed};
    const TgGraph *from = b->graph;
    x.order = tg_graph_order(x.g, &x.n);
    TgValue *in = TG_NEW_N(a->arena, TgValue, from->inputs.n + 1);
    TgValue *out = TG_NEW_N(a->arena, TgValue, from->outputs.n + 1);
    for (uint32_t i = 0; i < from->inputs.n; i++) {
        const TgType *wanted = tg_type_of(from, from->inputs.at[i]);
        for (uint32_t k = 0; k < 40 && !in[i] && x.g->values.n > 1; k++) {
            TgValue v = 1 + below(&x, x.g->values.n - 1);
            in[i] = tg_type_of(x.g, v) == wanted || (k > 30 && tg_type_of(x.g, v)->dtype == wanted->dtype)
                        ? v
                        : 0;
        }
        if (!in[i])
            in[i] = tg_graph_input(x.g, wanted, fresh_name(&x));
    }
    tg_graph_splice(x.g, from, in, NULL, out);
    for (uint32_t i = 0; i < from->outputs.n; i++)
        tg_graph_return(x.g, out[i], fresh_name(&x), NULL);
    fuzz_forget(a->graph);
    return true;
}
