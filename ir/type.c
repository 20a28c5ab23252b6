/* Tensor types, hash-consed: equal types are equal pointers. The dims behind a type are its own copy. */
#include <string.h>

#include "context.h"
#include "type.h"

typedef struct {
    TgInterner *types;
    const TgType *untyped;
} TypeStore;

static bool same_type(const void *left, const void *right)
{
    const TgType *a = left, *b = right;
    if (a->kind != b->kind || a->dtype != b->dtype || a->rank != b->rank || a->item != b->item)
        return false;
    return a->rank <= 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) == 0;
}

static const TgType *intern(Tg *tg, TgType probe)
{
    static const TgDim NO_DIMS[1] = {NULL};
    TypeStore *s = tg->slot[TG_SLOT_TYPES];
    if (!s) {
        s = TG_NEW(tg_forever(tg), TypeStore);
        s->types = tg_interner_new(tg_forever(tg), same_type);
        tg->slot[TG_SLOT_TYPES] = s;
    }
    uint64_t hash = tg_mix(tg_mix(probe.kind, probe.dtype), tg_mix((uint64_t)probe.rank, TG_KEY(probe.item)));
    for (int32_t i = 0; i < probe.rank; i++)
        hash = tg_mix(hash, TG_KEY(probe.dim[i]));
    const TgType *found = tg_interner_find(s->types, &probe, hash);
    if (found)
        return found;
    probe.dim =
        probe.rank > 0 ? tg_copy(tg_forever(tg), probe.dim, (size_t)probe.rank * sizeof *probe.dim) : NO_DIMS;
    const TgType *made = tg_copy(tg_forever(tg), &probe, sizeof probe);
    tg_interner_add(s->types, made, hash);
    return made;
}

/* --- making --------------------------------------------------------------------------------------------- */

const TgType *tg_untyped(Tg *tg)
{
    return intern(tg, (TgType){.kind = TG_UNTYPED, .rank = -1});
}

const TgType *tg_type(Tg *tg, TgDtype dtype, int32_t rank, const TgDim *dim)
{
    TG_CHECK(tg, rank >= -1 && rank <= TG_MAX_RANK);
    return intern(tg, (TgType){.kind = TG_TENSOR, .dtype = dtype, .rank = rank, .dim = dim});
}

const TgType *tg_type_known(Tg *tg, TgDtype dtype, int32_t rank, const int64_t *dim)
{
    TgDim symbolic[TG_MAX_RANK];
    TG_CHECK(tg, rank >= 0 && rank <= TG_MAX_RANK);
    for (int32_t i = 0; i < rank; i++)
        symbolic[i] = tg_dim(tg, dim[i]);
    return tg_type(tg, dtype, rank, symbolic);
}

const TgType *tg_type_with_dtype(Tg *tg, const TgType *type, TgDtype dtype)
{
    return tg_type(tg, dtype, type->kind == TG_TENSOR ? type->rank : -1, type->dim);
}

const TgType *tg_type_of_kind(Tg *tg, TgKind kind, TgDtype key, const TgType *item)
{
    return intern(tg, (TgType){.kind = kind, .dtype = key, .rank = -1, .item = item});
}

/* --- asking --------------------------------------------------------------------------------------------- */

bool tg_is_tensor(const TgType *t)
{
    return t->kind == TG_TENSOR && t->dtype != TG_undefined && t->rank >= 0;
}

bool tg_type_static(const TgType *t, int64_t *dim)
{
    if (t->kind != TG_TENSOR || t->rank < 0)
        return false;
    for (int32_t i = 0; i < t->rank; i++)
        if (!tg_dim_known(t->dim[i], dim ? &dim[i] : NULL))
            return false;
    return true;
}

TgDim tg_type_count(Tg *tg, const TgType *t)
{
    TG_CHECK(tg, t->kind == TG_TENSOR && t->rank >= 0);
    TgDim count = tg_dim(tg, 1);
    for (int32_t i = 0; i < t->rank; i++)
        count = tg_dim_mul(tg, count, t->dim[i]);
    return count;
}

/* A dimension 0 decides whatever the others are. Nothing has a negative size, whoever claims one. */
bool tg_type_numel(const TgType *t, int64_t *n)
{
    int64_t dim, count = 1;
    bool known = t->kind == TG_TENSOR && t->rank >= 0, zero = false;
    for (int32_t i = 0; i < t->rank; i++) {
        bool constant = tg_dim_known(t->dim[i], &dim);
        zero |= constant && dim == 0;
        known = known && constant && dim >= 0 && !__builtin_mul_overflow(count, dim, &count);
    }
    *n = zero ? 0 : count;
    return known || zero;
}

/* --- meeting -------------------------------------------------------------------------------------------- */

/* What both say about one size. Constants say most, then expressions over names, then symbols nobody named.
 */
static TgDim meet_dims(Tg *tg, TgDim a, TgDim b, bool *agree)
{
    if (a == b)
        return a;
    if (tg_dim_never_equal(tg, a, b)) {
        *agree = false;
        return a;
    }
    if (tg_dim_known(a, NULL))
        return a;
    bool anonymous = tg_dim_is_symbol(a) && tg_dim_is_fresh(a);
    return anonymous || tg_dim_known(b, NULL) ? b : a;
}

static const TgType *meet_tensors(Tg *tg, const TgType *a, const TgType *b, bool *agree)
{
    TgDim dim[TG_MAX_RANK];
    TgDtype dtype = a->dtype == TG_undefined ? b->dtype : a->dtype;
    if (dtype != b->dtype && b->dtype != TG_undefined)
        *agree = false;
    if (a->rank < 0 || b->rank < 0)
        return a->rank < 0 ? tg_type_with_dtype(tg, b, dtype) : tg_type_with_dtype(tg, a, dtype);
    if (a->rank != b->rank) {
        *agree = false;
        return tg_type_with_dtype(tg, a, dtype);
    }
    for (int32_t i = 0; i < a->rank; i++)
        dim[i] = meet_dims(tg, a->dim[i], b->dim[i], agree);
    return tg_type(tg, dtype, a->rank, dim);
}

const TgType *tg_type_meet(Tg *tg, const TgType *a, const TgType *b, bool *agree)
{
    enum { DEEPEST = 32 };
    const TgType *outer[DEEPEST];
    uint32_t depth = 0;
    *agree = true;
    /* Containers hold one item type each: go down while both are the same container, meet, come back up. */
    while (a->kind == b->kind && a->item && b->item && a != b && depth < DEEPEST) {
        outer[depth++] = a;
        *agree = *agree && (a->dtype == b->dtype);
        a = a->item;
        b = b->item;
    }
    const TgType *met = a;
    if (a->kind == TG_UNTYPED || b->kind == TG_UNTYPED)
        met = a->kind == TG_UNTYPED ? b : a;
    else if (a->kind == TG_TENSOR && b->kind == TG_TENSOR)
        met = meet_tensors(tg, a, b, agree);
    else
        *agree = *agree && a == b;
    while (depth > 0) {
        depth--;
        met = tg_type_of_kind(tg, outer[depth]->kind, outer[depth]->dtype, met);
    }
    return met;
}

/* --- printing ------------------------------------------------------------------------------------------- */

/* Can a reader find the end of this size between brackets and commas? Otherwise it is written in quotes. */
static bool stands_alone(const char *size)
{
    int nested = 0;
    size_t n = strlen(size);
    for (const char *c = size; *c && nested >= 0; c++) {
        bool word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        nested += (*c == '(') - (*c == ')');
        if (!word && !strchr("_. +-*/(),~", *c))
            return false;
        if (*c == ',' && nested == 0)
            return false;
    }
    return n > 0 && nested == 0 && size[0] != ' ' && size[n - 1] != ' ' && strcmp(size, "*") != 0;
}

static void print_size(TgDim d, TgText *text)
{
    TgName size = tg_dim_text(tg_arena_context(text->arena), d);
    if (stands_alone(size))
        tg_text_add(text, size);
    else
        tg_text_quoted(text, size, strlen(size));
}

static void print_tensor(const TgType *t, TgText *text)
{
    tg_text_add(text, tg_dtype_text(t->dtype));
    tg_text_add(text, t->rank < 0 ? "[*" : "[");
    for (int32_t i = 0; i < t->rank; i++) {
        tg_text_add(text, i ? "," : "");
        print_size(t->dim[i], text);
    }
    tg_text_add(text, "]");
}

void tg_type_print(const TgType *t, TgText *text)
{
    static const char *const OPEN[] = {
        [TG_SPARSE] = "sparse(", [TG_SEQUENCE] = "seq(", [TG_OPTIONAL] = "optional(", [TG_MAP] = "map("};
    uint32_t depth = 0;
    for (; t->item; t = t->item, depth++) {
        tg_text_add(text, OPEN[t->kind]);
        if (t->kind == TG_MAP)
            tg_text_format(text, "%s, ", tg_dtype_text(t->dtype));
    }
    if (t->kind == TG_TENSOR)
        print_tensor(t, text);
    else
        tg_text_add(text, "?");
    while (depth-- > 0)
        tg_text_add(text, ")");
}

TgName tg_type_text(Tg *tg, const TgType *t)
{
    TgArena *scratch = tg_scratch(tg);
    TgMark mark = tg_mark(scratch);
    TgText text;
    tg_text_init(&text, scratch);
    tg_type_print(t, &text);
    TgName name = tg_name_n(tg, text.at, text.n);
    tg_release(scratch, mark);
    return name;
}
