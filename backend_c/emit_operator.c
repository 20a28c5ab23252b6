/* TG_STEP_OPERATOR: a call of the generic kernel tgk_<Op> with operands, results and all attributes of its row in
 * ops.def.
 *
 * Results whose sizes only the data tell: their sizes are handed over as -1, and what the kernel makes of them
 * becomes known behind the call. */
#include <math.h>
#include <string.h>

#include "emit.h"

/* --- arrays ------------------------------------------------------------------------------------------------------- */

/* TGK_F32 ...: the names of dtype.def in capitals. NULL: kernels do not know the type. */
static const char *type_name(Emitter *e, TgDtype t)
{
    char name[16] = "TGK_";
    if (!emit_type(t) || t == TG_c64)
        return NULL;
    size_t n = 4;
    for (const char *c = tg_dtype_text(t); *c && n < sizeof name - 1; c++)
        name[n++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    return tg_name_n(e->p->tg, name, n);
}

/* Elements that a result has room for. */
static TgDim room_of(Emitter *e, TgValue v)
{
    const TgBuffer *b = &e->p->plan->buffers.at[tg_place_of(e->p->plan, v)->buffer];
    if (b->kind == TG_BUFFER_ARENA)
        return tg_dim(e->p->tg, (int64_t)(b->bytes / emit_bytes(step_type(e, v)->dtype)));
    TgDim count = tg_type_count(e->p->tg, step_type(e, v));
    return is_known(e, count) ? count : tg_dim(e->p->tg, tg_plan_most_elements(e->p->plan, step_type(e, v)));
}

static bool is_here(const Emitter *e, TgValue v)
{
    return v && tg_place_of(e->p->plan, v)->buffer;
}

/* {.at = ..., .type = TGK_F32, .rank = 2, .dim = {a, b}} */
static bool emit_array(Emitter *e, const TgStep *s, TgValue v, bool result)
{
    if (!is_here(e, v)) {
        emit_item(e, "{.at = NULL}");
        return true;
    }
    const TgType *type = step_type(e, v);
    const char *name = type_name(e, type->dtype);
    if (!name || type->rank > TG_PLAN_RANK)
        return emit_refuse(e, s,
                           "an operand has more axes than kernels take, or an element type that they do not know");
    TgText text;
    tg_text_init(&text, e->p->arena);
    tg_text_format(&text, "{.at = %s, .type = %s, .rank = %d", address_text(e, v), name, (int)type->rank);
    for (int32_t a = 0; a < type->rank; a++)
        tg_text_format(&text, "%s%s", a ? ", " : ", .dim = {",
                       is_known(e, type->dim[a]) ? size_text(e, type->dim[a]) : "-1");
    tg_text_add(&text, type->rank ? "}" : "");
    if (result)
        tg_text_format(&text, ", .room = %s", size_text(e, room_of(e, v)));
    emit_item(e, "%s}", text.at);
    return true;
}

static bool emit_arrays(Emitter *e, const TgStep *s, const TgValues *list, bool result, uint32_t most)
{
    const char *name = result ? "out" : "in", *constant = result ? "" : "const ";
    if (most == 0 || (most == TG_MANY && list->n == 0))
        return true;
    if (result && e->body.at[e->body.n - 1] == '}') /* a line of its own, like the operands */
        emit(e, ",\n%*s", (int)e->indent, "");
    if (most == TG_MANY)
        emit_item(e, ".%s = (%stgk_array[]){\n%*s", name, constant, (int)e->indent + 4, "");
    else
        emit_item(e, ".%s = {\n%*s", name, (int)e->indent + 4, "");
    e->indent += 4;
    for (uint32_t i = 0; i < list->n; i++)
        if (!emit_array(e, s, list->at[i], result))
            return false;
    e->indent -= 4;
    emit(e, "}");
    if (most == TG_MANY)
        emit_item(e, ".n_%s = %u", name, (unsigned)list->n);
    return true;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

static const char *double_text(Emitter *e, double x)
{
    if (isnan(x))
        return "(double)NAN";
    if (isinf(x))
        return x > 0 ? "(double)INFINITY" : "-(double)INFINITY";
    return tg_name_format(e->p->tg, "%a", x);
}

static const char *integer_text(Emitter *e, int64_t i)
{
    return i == INT64_MIN ? "TGK_ABSENT" : tg_name_format(e->p->tg, "%lld", (long long)i);
}

static void emit_integers(Emitter *e, const TgNodeInfo *n, const char *name)
{
    uint32_t count;
    const int64_t *at = tg_attr_ints(n, name, &count);
    if (count == 0)
        return;
    emit_item(e, ".%s = (const int64_t[]){%s", name, integer_text(e, at[0]));
    for (uint32_t i = 1; i < count; i++)
        emit_item(e, "%s", integer_text(e, at[i]));
    emit(e, "}");
    emit_item(e, ".n_%s = %u", name, (unsigned)count);
}

static void emit_floats(Emitter *e, const TgNodeInfo *n, const char *name)
{
    uint32_t count;
    const float *at = tg_attr_floats(n, name, &count);
    if (count == 0)
        return;
    emit_item(e, ".%s = (const double[]){%s", name, double_text(e, (double)at[0]));
    for (uint32_t i = 1; i < count; i++)
        emit_item(e, "%s", double_text(e, (double)at[i]));
    emit(e, "}");
    emit_item(e, ".n_%s = %u", name, (unsigned)count);
}

static void emit_strings(Emitter *e, const TgNodeInfo *n, const char *name)
{
    const TgAttr *a = tg_attr_find(n->attrs, name);
    if (!a || a->kind != TG_A_STRINGS || a->n == 0)
        return;
    TgText text;
    tg_text_init(&text, e->p->arena);
    for (uint32_t i = 0; i < a->n; i++) {
        tg_text_add(&text, i ? ", " : "");
        package_string(&text, (const char *)a->u.strings[i].at, a->u.strings[i].n);
    }
    emit_item(e, ".%s = (const char *const[]){%s}", name, text.at);
    emit_item(e, ".n_%s = %u", name, (unsigned)a->n);
}

/* A tensor of one element is a pointer to it (ConstantOfShape); others are refused. Small floats: their code. */
static bool emit_tensor(Emitter *e, const TgStep *s, const TgNodeInfo *n, const char *name)
{
    Tg *tg = e->p->tg;
    const TgTensor *t = tg_attr_tensor(n, name);
    if (!t)
        return true;
    const char *type = t->count == 1 && type_name(e, t->dtype) ? emit_type(t->dtype) : NULL;
    if (!type)
        return emit_refuse(e, s, "an attribute is a tensor");
    if (t->dtype == TG_f32 || t->dtype == TG_f64) {
        emit_item(e, ".%s = &(const %s){(%s)%s}", name, type, type, double_text(e, tg_tensor_float(tg, t, 0)));
        return true;
    }
    uint64_t code = 0;
    if (tg_is_float(t->dtype))
        tg_store_float(t->dtype, &code, 0, tg_tensor_float(tg, t, 0)); /* little-endian: see dtype.c */
    else
        code = (uint64_t)tg_tensor_int(tg, t, 0);
    emit_item(e, ".%s = &(const %s){(%s)UINT64_C(0x%llx)}", name, type, type, (unsigned long long)code);
    return true;
}

static bool emit_attribute(Emitter *e, const TgStep *s, const TgNodeInfo *n, const char *name, const char *kind)
{
    Tg *tg = e->p->tg;
    bool given = tg_attr_has(n->attrs, name), has_default = strchr(kind, ':') != NULL;
    if (strcmp(kind, "is") == 0) {
        emit_integers(e, n, name);
    } else if (strcmp(kind, "fs") == 0) {
        emit_floats(e, n, name);
    } else if (strcmp(kind, "ss") == 0) {
        emit_strings(e, n, name);
    } else if (kind[0] == 'i') {
        emit_item(e, ".%s = %s", name, given || has_default ? integer_text(e, tg_attr_int(n, name)) : "TGK_ABSENT");
    } else if (kind[0] == 'f') {
        emit_item(e, ".%s = %s", name, double_text(e, tg_attr_float(n, name)));
    } else if (kind[0] == 's' && kind[1] != 's') {
        TgText text;
        TgName value = tg_attr_string(tg, n, name);
        tg_text_init(&text, e->p->arena);
        package_string(&text, value, strlen(value));
        emit_item(e, ".%s = %s", name, text.at);
    } else if (strcmp(kind, "t") == 0) {
        return emit_tensor(e, s, n, name);
    } else if (given) {
        return emit_refuse(e, s, "it has an attribute that standalone code has no form for");
    }
    return true;
}

/* In the order of ops.def. */
static bool emit_attributes(Emitter *e, const TgStep *s, const TgNodeInfo *n)
{
    for (const char *at = tg_op_info(n->op)->attrs; *at;) {
        size_t word = strcspn(at, " "), name = strcspn(at, "=");
        if (name >= word)
            return emit_refuse(e, s, "its attributes cannot be read");
        if (!emit_attribute(e, s, n, tg_name_n(e->p->tg, at, name),
                            tg_name_n(e->p->tg, at + name + 1, word - name - 1)))
            return false;
        at += word;
        at += strspn(at, " ");
    }
    return true;
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

/* Sizes of results that become known by this call. */
static bool has_unknown(const Emitter *e, const TgStep *s)
{
    for (uint32_t i = 0; i < s->out.n; i++)
        for (int32_t a = 0; is_here(e, s->out.at[i]) && a < step_type(e, s->out.at[i])->rank; a++)
            if (!is_known(e, emit_dim_of(e, s->out.at[i], a)))
                return true;
    return false;
}

static void take_sizes(Emitter *e, const TgStep *s)
{
    for (uint32_t i = 0; i < s->out.n; i++)
        for (int32_t a = 0; is_here(e, s->out.at[i]) && a < step_type(e, s->out.at[i])->rank; a++) {
            TgDim d = emit_dim_of(e, s->out.at[i], a);
            if (tg_dim_is_symbol(d) && !is_known(e, d))
                emit_set_size(e, d, tg_name_format(e->p->tg, "a.out[%u].dim[%d]", (unsigned)i, (int)a), "        ");
        }
}

static bool emit_arguments(Emitter *e, const TgStep *s, const TgNodeInfo *n)
{
    const TgOpInfo *info = tg_op_info(n->op);
    return emit_arrays(e, s, &s->in, false, info->in_max) && emit_arrays(e, s, &s->out, true, info->out_max) &&
           emit_attributes(e, s, n);
}

/* As in ops.def: names of other domains carry a prefix. */
static const char *kernel_name(Emitter *e, TgOp op)
{
    static const char *const PREFIX[][2] = {{"com.microsoft", "ms_"}, {"ai.onnx.ml", "ml_"}};
    const TgOpInfo *info = tg_op_info(op);
    if (op == TG_opaque)
        return NULL;
    for (size_t i = 0; i < sizeof PREFIX / sizeof PREFIX[0]; i++)
        if (strcmp(info->domain, PREFIX[i][0]) == 0)
            return tg_name_format(e->p->tg, "%s%s", PREFIX[i][1], info->name);
    return info->name;
}

bool emit_operator(Emitter *e, const TgStep *s)
{
    const TgNodeInfo *n = tg_node(e->p->plan->graph, s->nodes.at[0]);
    const char *name = kernel_name(e, n->op);
    if (!name)
        return emit_refuse(e, s, "nobody knows what it computes");
    e->checks = true;
    e->p->operators[n->op] = true;
    bool unknown = has_unknown(e, s);
    if (unknown) {
        emit(e, "    {\n        tgk_%s_args a = {\n            ", name);
        e->indent = 12;
        if (!emit_arguments(e, s, n))
            return false;
        emit(e,
             "};\n        status = tgk_%s(f->ctx, &a);\n        if (status != TGK_OK)\n            return status;\n",
             name);
        take_sizes(e, s);
        emit(e, "    }\n");
        return true;
    }
    emit(e, "    status = tgk_%s(f->ctx, &(tgk_%s_args){\n        ", name, name);
    e->indent = 8;
    if (!emit_arguments(e, s, n))
        return false;
    emit(e, "});\n    if (status != TGK_OK)\n        return status;\n");
    return true;
}
