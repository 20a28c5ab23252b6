/* Leaves that protobuf-c decodes: TypeProto, and the plain part of AttributeProto.
 *
 * protobuf-c takes its memory from the reader's arena, where one release frees all of it. scan_check has
 * looked at these bytes before, so that depth and sizes are bounded.
 */
#include "import.h"

#include <string.h>

#include "frontend/onnx.pb-c.h"

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void *take(void *arena, size_t size) { return tg_new(arena, size); }

static void leave(void *arena, void *block)
{
    (void)arena; /* released as a whole */
    (void)block;
}

static ProtobufCAllocator allocator(Reader *r)
{
    return (ProtobufCAllocator){.alloc = take, .free = leave, .allocator_data = r->arena};
}

/* --- types -------------------------------------------------------------------------------------------------------- */

static TgDtype dtype_of(int32_t number)
{
    bool known = number > 0 && number < TG_DTYPE_COUNT && tg_dtype_class((TgDtype)number) != TG_CLASS_NONE;
    return known ? (TgDtype)number : TG_undefined;
}

/* Negative sizes, as numbers or in words, are what old exporters wrote for "unknown". */
static TgDim dim_of(Tg *tg, const Wire__Dim *d)
{
    if (d->has_dim_value && d->dim_value >= 0)
        return tg_dim(tg, d->dim_value);
    TgDim said = d->dim_param && *d->dim_param ? tg_dim_parse(tg, d->dim_param) : NULL;
    return said && tg_dim_upper(said) >= 0 ? said : tg_dim_fresh(tg);
}

static const TgType *tensor_type(Tg *tg, const Wire__TensorType *t)
{
    TgDim dim[TG_MAX_RANK];
    TgDtype dtype = dtype_of(t->elem_type);
    if (!t->shape)
        return tg_type(tg, dtype, -1, NULL);
    if (!tg_within(tg, TG_LIMIT_rank, t->shape->n_dim))
        return NULL;
    for (size_t i = 0; i < t->shape->n_dim; i++)
        dim[i] = dim_of(tg, t->shape->dim[i]);
    return tg_type(tg, dtype, (int32_t)t->shape->n_dim, dim);
}

static const TgType *type_of(Tg *tg, const Wire__Type *t); /* as deep as messages may be nested */

static const TgType *with_item(Tg *tg, TgKind kind, TgDtype key, const Wire__Type *item)
{
    const TgType *inner = item ? type_of(tg, item) : tg_untyped(tg);
    return inner ? tg_type_of_kind(tg, kind, key, inner) : NULL;
}

static const TgType *type_of(Tg *tg, const Wire__Type *t)
{
    if (t->tensor_type)
        return tensor_type(tg, t->tensor_type);
    if (t->sequence_type)
        return with_item(tg, TG_SEQUENCE, TG_undefined, t->sequence_type->elem_type);
    if (t->optional_type)
        return with_item(tg, TG_OPTIONAL, TG_undefined, t->optional_type->elem_type);
    if (t->map_type)
        return with_item(tg, TG_MAP, dtype_of(t->map_type->key_type), t->map_type->value_type);
    if (!t->sparse_tensor_type)
        return tg_untyped(tg);
    const TgType *dense = tensor_type(tg, t->sparse_tensor_type);
    return dense ? tg_type_of_kind(tg, TG_SPARSE, dense->dtype, dense) : NULL;
}

const TgType *read_type(Reader *r, TgBytes message)
{
    TgMark mark = tg_mark(r->arena);
    ProtobufCAllocator memory = allocator(r);
    const Wire__Type *t = wire__type__unpack(&memory, message.n, message.at);
    const TgType *type = t ? type_of(r->tg, t) : NULL;
    if (!t)
        tg_report(r->tg, TG_E_undecodable, "a type");
    tg_release(r->arena, mark);
    return type;
}

/* --- attributes --------------------------------------------------------------------------------------------------- */

static TgBytes bytes_of(ProtobufCBinaryData b) { return (TgBytes){b.data, b.len}; }

static void put(Reader *r, TgAttrBuild *b, TgName name, const Wire__Attribute *a, int64_t type)
{
    TgAttr attr = {.name = name, .n = 1};
    switch (type) {
    case AT_INT: attr.kind = TG_A_INT; attr.u.i = a->i; break;
    case AT_FLOAT: attr.kind = TG_A_FLOAT; attr.u.f = a->f; break;
    case AT_STRING: attr.kind = TG_A_STRING; attr.u.s = bytes_of(a->s); break;
    case AT_INTS: attr.kind = TG_A_INTS; attr.n = (uint32_t)a->n_ints; attr.u.ints = a->ints; break;
    case AT_FLOATS: attr.kind = TG_A_FLOATS; attr.n = (uint32_t)a->n_floats; attr.u.floats = a->floats; break;
    default: {
        TgBytes *strings = TG_NEW_N(r->arena, TgBytes, a->n_strings ? a->n_strings : 1);
        for (size_t i = 0; i < a->n_strings; i++)
            strings[i] = bytes_of(a->strings[i]);
        attr.kind = TG_A_STRINGS;
        attr.n = (uint32_t)a->n_strings;
        attr.u.strings = strings;
    }
    }
    tg_attrs_put(b, attr);
}

static bool read_plain(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name)
{
    TgMark mark = tg_mark(r->arena);
    ProtobufCAllocator memory = allocator(r);
    const Wire__Attribute *a = wire__attribute__unpack(&memory, view->whole.n, view->whole.at);
    if (a)
        put(r, b, name, a, view->type);
    tg_release(r->arena, mark);
    return a || tg_report(r->tg, TG_E_undecodable, "an attribute");
}

/* The tensor of an attribute is collected and interned: two copies more of what does not lie in a file. */
static const TgTensor *read_copied(Reader *r, TgBytes message)
{
    TgName ignored;
    const TgTensor *t = read_tensor(r, r->model->arena, message, &ignored);
    return t && (t->payload != TG_OWNED || take_budget(r, 2 * (uint64_t)t->size)) ? t : NULL;
}

static bool read_tensors(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name)
{
    TG_VEC(const TgTensor *) list = {0};
    TgBytes rest = view->whole;
    WireField f;
    uint32_t wanted = view->type == AT_TENSOR ? ATTRIBUTE_t : ATTRIBUTE_tensors;
    while (scan_next(&rest, &f))
        if (f.number == wanted) {
            const TgTensor *t = read_copied(r, f.bytes);
            if (!t)
                return false;
            TG_PUSH(r->arena, &list, t);
        }
    if (view->type == AT_TENSOR && list.n != 1)
        return tg_report(r->tg, TG_E_attr_empty, name);
    TgAttr attr = {.name = name, .kind = view->type == AT_TENSOR ? TG_A_TENSOR : TG_A_TENSORS, .n = list.n};
    attr.u.tensors = list.at;
    tg_attrs_put(b, attr);
    return true;
}

static bool read_attr_type(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name)
{
    TgBytes rest = view->whole;
    WireField f;
    TgAttr attr = {.name = name, .kind = TG_A_TYPE, .n = 1, .u.type = tg_untyped(r->tg)};
    while (scan_next(&rest, &f))
        if (f.number == ATTRIBUTE_tp && !(attr.u.type = read_type(r, f.bytes)))
            return false;
    tg_attrs_put(b, attr);
    return true;
}

/* What we do not model, as a whole message. Its name is inside: another name cannot be given to it. */
static bool read_raw(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name)
{
    if (name != view->name || view->type == AT_NONE)
        return tg_report(r->tg, TG_E_attr_form, name, "a kind that we do not model");
    tg_attrs_put(b, (TgAttr){.name = name, .kind = TG_A_RAW, .n = 1, .u.s = view->whole});
    return true;
}

bool read_attr(Reader *r, TgAttrBuild *b, const AttrView *view, TgName name)
{
    switch (view->type) {
    case AT_INT: case AT_FLOAT: case AT_STRING: case AT_INTS: case AT_FLOATS: case AT_STRINGS:
        return read_plain(r, b, view, name);
    case AT_TENSOR: case AT_TENSORS: return read_tensors(r, b, view, name);
    case AT_TYPE: return read_attr_type(r, b, view, name);
    default: return read_raw(r, b, view, name);
    }
}
