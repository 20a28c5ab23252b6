/* Attribute lists: sorted by name, without entries that repeat a default, interned. Equal meaning, equal pointer.
 *
 * Defaults are read from the operator's row in ops.def when somebody asks; they are scalars (lists have none).
 */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "graph.h"

/* --- defaults: "name=kind:default" in the row --------------------------------------------------------------------- */

/* The text behind "name=kind:" in the row of op; NULL: no default. */
static const char *default_text(TgOp op, const char *name)
{
    const char *at = tg_op_info(op)->attrs;
    size_t n = strlen(name);
    for (; *at; at += strcspn(at, " "), at += strspn(at, " "))
        if (strncmp(at, name, n) == 0 && at[n] == '=') {
            const char *value = at + n + strcspn(at + n, ": ");
            return *value == ':' ? value + 1 : NULL;
        }
    return NULL;
}

static bool is_default(TgOp op, const TgAttr *a)
{
    const char *text = default_text(op, a->name);
    if (!text)
        return false;
    switch (a->kind) {
    case TG_A_INT: return strtoll(text, NULL, 10) == a->u.i;
    case TG_A_FLOAT: return strtof(text, NULL) == a->u.f;
    case TG_A_STRING: return strcspn(text, " ") == a->u.s.n && memcmp(text, a->u.s.at, a->u.s.n) == 0;
    default: return false;
    }
}

/* --- interning ---------------------------------------------------------------------------------------------------- */

static bool same_strings(const TgBytes *a, const TgBytes *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (a[i].n != b[i].n || (a[i].n && memcmp(a[i].at, b[i].at, a[i].n) != 0))
            return false;
    return true;
}

static bool same_tensors(Tg *tg, const TgAttr *a, const TgAttr *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        if (!tg_tensor_equal(tg, a->u.tensors[i], b->u.tensors[i]))
            return false;
    return true;
}

static bool same_payload(Tg *tg, const TgAttr *a, const TgAttr *b)
{
    switch (a->kind) {
    case TG_A_INT: return a->u.i == b->u.i;
    case TG_A_FLOAT: return memcmp(&a->u.f, &b->u.f, sizeof a->u.f) == 0;
    case TG_A_STRING: case TG_A_RAW: return same_strings(&a->u.s, &b->u.s, 1);
    case TG_A_INTS: return a->n == 0 || memcmp(a->u.ints, b->u.ints, a->n * sizeof *a->u.ints) == 0;
    case TG_A_FLOATS: return a->n == 0 || memcmp(a->u.floats, b->u.floats, a->n * sizeof *a->u.floats) == 0;
    case TG_A_STRINGS: return same_strings(a->u.strings, b->u.strings, a->n);
    case TG_A_TENSOR: case TG_A_TENSORS: return same_tensors(tg, a, b);
    case TG_A_TYPE: return a->u.type == b->u.type;
    }
    return false;
}

/* Of what is said, not of where it lies: it is part of what packages are told apart by. */
static uint64_t hash_attr(Tg *tg, const TgAttr *a)
{
    uint64_t h = tg_hash(a->name, strlen(a->name), (uint64_t)a->kind << 32 | a->n);
    switch (a->kind) {
    case TG_A_INT: return tg_mix(h, (uint64_t)a->u.i);
    case TG_A_FLOAT: return tg_hash(&a->u.f, sizeof a->u.f, h);
    case TG_A_STRING: case TG_A_RAW: return tg_hash(a->u.s.at, a->u.s.n, h);
    case TG_A_INTS: return tg_hash(a->u.ints, a->n * sizeof *a->u.ints, h);
    case TG_A_FLOATS: return tg_hash(a->u.floats, a->n * sizeof *a->u.floats, h);
    case TG_A_STRINGS:
        for (uint32_t i = 0; i < a->n; i++)
            h = tg_hash(a->u.strings[i].at, a->u.strings[i].n, h);
        return h;
    case TG_A_TENSOR: case TG_A_TENSORS:
        for (uint32_t i = 0; i < a->n; i++)
            h = tg_mix(h, tg_tensor_hash(tg, a->u.tensors[i]));
        return h;
    case TG_A_TYPE: return tg_mix(h, a->u.type->kind);
    }
    return h;
}

uint64_t tg_attrs_hash(Tg *tg, const TgAttrs *attrs)
{
    uint64_t h = attrs->n;
    for (uint32_t i = 0; i < attrs->n; i++)
        h = tg_mix(h, hash_attr(tg, &attrs->at[i]));
    return h;
}

/* What the interner compares: a list, and the context to compare tensors with. */
typedef struct {
    Tg *tg;
    const TgAttrs *attrs;
} Entry;

static bool same_entry(const void *pa, const void *pb)
{
    const Entry *a = pa, *b = pb;
    if (a->attrs->n != b->attrs->n)
        return false;
    for (uint32_t i = 0; i < a->attrs->n; i++) {
        const TgAttr *x = &a->attrs->at[i], *y = &b->attrs->at[i];
        if (x->name != y->name || x->kind != y->kind || x->n != y->n || !same_payload(a->tg, x, y))
            return false;
    }
    return true;
}

static TgInterner *interner(Tg *tg)
{
    void **slot = &tg->slot[TG_SLOT_ATTRS];
    if (!*slot)
        *slot = tg_interner_new(tg_forever(tg), same_entry);
    return *slot;
}

static TgBytes keep_bytes(TgArena *arena, TgBytes s)
{
    return (TgBytes){tg_copy(arena, s.n ? (const void *)s.at : "", s.n ? s.n : 1), s.n};
}

static const TgBytes *keep_strings(TgArena *arena, const TgBytes *strings, uint32_t n)
{
    TgBytes *kept = TG_NEW_N(arena, TgBytes, n ? n : 1);
    for (uint32_t i = 0; i < n; i++)
        kept[i] = keep_bytes(arena, strings[i]);
    return kept;
}

/* Lists outlive models, hence so must their tensors: mapped bytes do, owned ones are copied. */
static const TgTensor *keep_tensor(TgArena *arena, const TgTensor *t)
{
    if (t->payload == TG_RECIPE && !(t = tg_tensor_materialize(arena, t)))
        return NULL;
    if (t->payload == TG_STRINGS)
        return tg_tensor_strings(arena, t->rank, t->dim, keep_strings(arena, t->strings, (uint32_t)t->count));
    TgTensor *kept = tg_copy(arena, t, sizeof *t);
    kept->dim = tg_copy(arena, t->dim, (size_t)t->rank * sizeof *t->dim);
    if (t->payload == TG_OWNED)
        kept->bytes = tg_copy(arena, t->bytes, t->size ? t->size : 1);
    else if (t->payload == TG_SPLAT)
        kept->bytes = tg_copy(arena, t->bytes, tg_dtype_bytes(t->dtype, 1));
    return kept;
}

static TgAttr keep(TgArena *arena, TgAttr a)
{
    switch (a.kind) {
    case TG_A_STRING: case TG_A_RAW: a.u.s = keep_bytes(arena, a.u.s); break;
    case TG_A_INTS: a.u.ints = a.n ? tg_copy(arena, a.u.ints, a.n * sizeof *a.u.ints) : NULL; break;
    case TG_A_FLOATS: a.u.floats = a.n ? tg_copy(arena, a.u.floats, a.n * sizeof *a.u.floats) : NULL; break;
    case TG_A_STRINGS: a.u.strings = keep_strings(arena, a.u.strings, a.n); break;
    case TG_A_TENSOR: case TG_A_TENSORS: {
        const TgTensor **kept = TG_NEW_N(arena, const TgTensor *, a.n ? a.n : 1);
        for (uint32_t i = 0; i < a.n; i++)
            kept[i] = keep_tensor(arena, a.u.tensors[i]);
        a.u.tensors = kept;
        break;
    }
    case TG_A_INT: case TG_A_FLOAT: case TG_A_TYPE: break;
    }
    return a;
}

/* --- building ----------------------------------------------------------------------------------------------------- */

void tg_attrs_begin(TgAttrBuild *b, Tg *tg)
{
    memset(b, 0, sizeof *b);
    b->tg = tg;
}

void tg_attrs_from(TgAttrBuild *b, Tg *tg, const TgAttrs *start)
{
    tg_attrs_begin(b, tg);
    for (uint32_t i = 0; start && i < start->n; i++)
        TG_PUSH(tg_scratch(tg), &b->list, start->at[i]);
}

void tg_attrs_put(TgAttrBuild *b, TgAttr attr)
{
    attr = keep(tg_scratch(b->tg), attr);
    uint32_t i = 0;
    while (i < b->list.n && strcmp(b->list.at[i].name, attr.name) < 0)
        i++;
    if (i < b->list.n && b->list.at[i].name == attr.name) {
        b->list.at[i] = attr;
        return;
    }
    TG_PUSH(tg_scratch(b->tg), &b->list, attr);
    memmove(b->list.at + i + 1, b->list.at + i, (b->list.n - 1 - i) * sizeof attr);
    b->list.at[i] = attr;
}

void tg_attrs_int(TgAttrBuild *b, const char *name, int64_t i)
{
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_INT, .n = 1, .u.i = i});
}

void tg_attrs_float(TgAttrBuild *b, const char *name, float f)
{
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_FLOAT, .n = 1, .u.f = f});
}

void tg_attrs_string(TgAttrBuild *b, const char *name, const char *s)
{
    TgBytes bytes = {(const uint8_t *)s, strlen(s)};
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_STRING, .n = 1, .u.s = bytes});
}

void tg_attrs_ints(TgAttrBuild *b, const char *name, uint32_t n, const int64_t *ints)
{
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_INTS, .n = n, .u.ints = ints});
}

void tg_attrs_floats(TgAttrBuild *b, const char *name, uint32_t n, const float *floats)
{
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_FLOATS, .n = n, .u.floats = floats});
}

void tg_attrs_tensor(TgAttrBuild *b, const char *name, const TgTensor *t)
{
    tg_attrs_put(b, (TgAttr){.name = tg_name(b->tg, name), .kind = TG_A_TENSOR, .n = 1, .u.tensors = &t});
}

void tg_attrs_drop(TgAttrBuild *b, const char *name)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->list.n; i++)
        if (strcmp(b->list.at[i].name, name) != 0)
            b->list.at[kept++] = b->list.at[i];
    b->list.n = kept;
}

static const TgAttrs *intern(Tg *tg, const TgAttr *list, uint32_t n)
{
    TgMark mark = tg_mark(tg_scratch(tg));
    TgAttrs *probe = tg_new(tg_scratch(tg), sizeof *probe + n * sizeof *list);
    probe->n = n;
    uint64_t hash = n;
    for (uint32_t i = 0; i < n; i++) {
        probe->at[i] = list[i];
        hash = tg_mix(hash, hash_attr(tg, &list[i]));
    }
    const Entry *found = tg_interner_find(interner(tg), &(Entry){tg, probe}, hash);
    if (!found) {
        TgArena *forever = tg_forever(tg);
        TgAttrs *kept = tg_new(forever, sizeof *kept + n * sizeof *list);
        kept->n = n;
        for (uint32_t i = 0; i < n; i++)
            kept->at[i] = keep(forever, list[i]);
        Entry *entry = TG_NEW(forever, Entry);
        *entry = (Entry){tg, kept};
        tg_interner_add(interner(tg), entry, hash);
        found = entry;
    }
    tg_release(tg_scratch(tg), mark);
    return found->attrs;
}

const TgAttrs *tg_attrs_end(TgAttrBuild *b, TgOp op)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < b->list.n; i++)
        if (!is_default(op, &b->list.at[i]))
            b->list.at[kept++] = b->list.at[i];
    return intern(b->tg, b->list.at, kept);
}

const TgAttrs *tg_attrs_none(Tg *tg)
{
    return intern(tg, NULL, 0);
}

const TgAttrs *tg_attrs(Tg *tg, TgOp op, const char *format, ...)
{
    TgMark mark = tg_mark(tg_scratch(tg));
    TgAttrBuild b;
    tg_attrs_begin(&b, tg);
    va_list args;
    va_start(args, format);
    for (const char *at = format; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, "=");
        TgName name = tg_name_n(tg, at, n);
        TG_CHECK(tg, at[n] == '=' && strchr("ifs", at[n + 1]) && strchr(" ", at[n + 2]));
        switch (at[n + 1]) {
        case 'i': tg_attrs_int(&b, name, va_arg(args, int64_t)); break;
        case 'f': tg_attrs_float(&b, name, (float)va_arg(args, double)); break;
        default: tg_attrs_string(&b, name, va_arg(args, const char *)); break;
        }
        at += n + 2;
    }
    va_end(args);
    const TgAttrs *attrs = tg_attrs_end(&b, op);
    tg_release(tg_scratch(tg), mark);
    return attrs;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

const TgAttr *tg_attr_find(const TgAttrs *attrs, const char *name)
{
    for (uint32_t i = 0; i < attrs->n; i++)
        if (strcmp(attrs->at[i].name, name) == 0)
            return &attrs->at[i];
    return NULL;
}

static const TgAttr *find_kind(const TgNodeInfo *node, const char *name, TgAttrKind kind)
{
    const TgAttr *a = tg_attr_find(node->attrs, name);
    return a && a->kind == kind ? a : NULL;
}

int64_t tg_attr_int(const TgNodeInfo *node, const char *name)
{
    const TgAttr *a = find_kind(node, name, TG_A_INT);
    const char *text = a ? NULL : default_text(node->op, name);
    return a ? a->u.i : text ? strtoll(text, NULL, 10) : 0;
}

double tg_attr_float(const TgNodeInfo *node, const char *name)
{
    const TgAttr *a = find_kind(node, name, TG_A_FLOAT);
    const char *text = a ? NULL : default_text(node->op, name);
    return a ? (double)a->u.f : text ? (double)strtof(text, NULL) : 0;
}

TgName tg_attr_string(Tg *tg, const TgNodeInfo *node, const char *name)
{
    const TgAttr *a = find_kind(node, name, TG_A_STRING);
    if (a)
        return tg_name_n(tg, (const char *)a->u.s.at, a->u.s.n);
    const char *text = default_text(node->op, name);
    return text ? tg_name_n(tg, text, strcspn(text, " ")) : tg_name(tg, "");
}

const int64_t *tg_attr_ints(const TgNodeInfo *node, const char *name, uint32_t *n)
{
    const TgAttr *a = find_kind(node, name, TG_A_INTS);
    *n = a ? a->n : 0;
    return a ? a->u.ints : NULL;
}

const float *tg_attr_floats(const TgNodeInfo *node, const char *name, uint32_t *n)
{
    const TgAttr *a = find_kind(node, name, TG_A_FLOATS);
    *n = a ? a->n : 0;
    return a ? a->u.floats : NULL;
}

const TgTensor *tg_attr_tensor(const TgNodeInfo *node, const char *name)
{
    const TgAttr *a = find_kind(node, name, TG_A_TENSOR);
    return a ? a->u.tensors[0] : NULL;
}
