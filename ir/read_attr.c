/* Reads attributes of the text form: name = value. The value shows its kind (2 int, 2.0 float, {1,2} ints,
 * "x" string, const tensor, type(T), raw("hex")); where an int would do for a float, the operator's row in
 * ops.def decides.
 */
#include "text.h"

#include <string.h>

/* The kind letters of attribute `name` in ops.def ("i", "fs", ...), as far as the next blank or colon; n =
 * 0: unknown. */
static const char *declared(TgOp op, TgName name, size_t *n)
{
    size_t length = strlen(name);
    *n = 0;
    for (const char *at = tg_op_info(op)->attrs; at && *at;) {
        const char *end = at + strcspn(at, " ");
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            *n = strcspn(at + length + 1, " :");
            return at + length + 1;
        }
        at = *end ? end + 1 : end;
    }
    return "";
}

static bool declares(TgOp op, TgName name, const char *kind)
{
    size_t n;
    const char *letters = declared(op, name, &n);
    return n == strlen(kind) && memcmp(letters, kind, n) == 0;
}

static bool float_value(TgLex *lex, float *f)
{
    double x;
    const TgToken *t = &lex->token;
    if (tg_lex_is_bits(t)) {
        char digits[9] = {0};
        if (t->n > 10)
            return tg_lex_fail(lex, "at most 8 hexadecimal digits");
        memcpy(digits, t->text + 2, t->n - 2);
        uint32_t bits = 0;
        for (const char *c = digits; *c; c++)
            bits = bits * 16 + (uint32_t)(*c <= '9' ? *c - '0' : (*c | 32) - 'a' + 10);
        memcpy(f, &bits, sizeof *f);
        tg_lex_next(lex);
        return true;
    }
    if (!tg_lex_float(lex, true, &x))
        return false;
    *f = (float)x;
    return true;
}

/* --- lists ---------------------------------------------------------------------------------------------- */

typedef TG_VEC(int64_t)
Ints;
typedef TG_VEC(float)
Floats;
typedef TG_VEC(TgBytes)
Strings;
typedef TG_VEC(const TgTensor *)
Tensors;

typedef struct {
    TgAttrKind kind;
    Ints ints;
    Floats floats;
    Strings strings;
    Tensors tensors;
} List;

/* Attributes hold numbers: what a recipe gives is computed here, where it may fail. NULL: recorded. */
static const TgTensor *read_tensor(TgReader *r)
{
    const TgTensor *t = tg_read_const(r);
    return t && t->payload == TG_RECIPE ? tg_tensor_materialize(r->arena, t) : t;
}

static bool list_element(TgReader *r, List *list)
{
    TgArena *words = r->lex.arena; /* not the scratch arena: there the attribute list itself grows */
    int64_t i;
    float f;
    TgBytes s;
    const TgTensor *t;
    switch (list->kind) {
    case TG_A_INTS: return tg_lex_int(&r->lex, &i) && (TG_PUSH(words, &list->ints, i), true);
    case TG_A_FLOATS: return float_value(&r->lex, &f) && (TG_PUSH(words, &list->floats, f), true);
    case TG_A_STRINGS: return tg_lex_string(&r->lex, &s) && (TG_PUSH(words, &list->strings, s), true);
    default: return (t = read_tensor(r)) != NULL && (TG_PUSH(words, &list->tensors, t), true);
    }
}

static TgAttr list_attr(const List *list, TgName name)
{
    TgAttr a = {.name = name, .kind = list->kind};
    switch (list->kind) {
    case TG_A_INTS: a.n = list->ints.n, a.u.ints = list->ints.at; break;
    case TG_A_FLOATS: a.n = list->floats.n, a.u.floats = list->floats.at; break;
    case TG_A_STRINGS: a.n = list->strings.n, a.u.strings = list->strings.at; break;
    default: a.n = list->tensors.n, a.u.tensors = list->tensors.at; break;
    }
    return a;
}

static bool list_value(TgReader *r, TgAttrKind kind, TgName name, TgAttrBuild *to)
{
    List list = {.kind = kind};
    if (!tg_lex_expect(&r->lex, '{'))
        return false;
    if (r->lex.token.kind != '}') {
        do {
            if (!list_element(r, &list))
                return false;
        } while (tg_lex_accept(&r->lex, ','));
    }
    if (!tg_lex_expect(&r->lex, '}'))
        return false;
    tg_attrs_put(to, list_attr(&list, name));
    return true;
}

/* Of a list without a word in front: what ops.def says, else what the elements look like. */
static bool guess_list(TgReader *r, TgOp op, TgName name, TgAttrKind *kind)
{
    TgLex look = r->lex;
    bool floats = declares(op, name, "fs"), strings = declares(op, name, "ss"),
         known = declares(op, name, "is");
    for (tg_lex_next(&look); look.token.kind != '}'; tg_lex_next(&look)) {
        if (look.token.kind == TG_TOK_END || look.token.kind == TG_TOK_BAD)
            break;
        known = true;
        floats = floats || tg_lex_is_float(&look.token);
        strings = strings || look.token.kind == TG_TOK_STRING;
    }
    if (!known && !floats && !strings)
        return tg_lex_fail(&r->lex, "ints{}, floats{}, strings{} or tensors{} for an empty list");
    *kind = strings ? TG_A_STRINGS : floats ? TG_A_FLOATS : TG_A_INTS;
    return true;
}

/* --- values --------------------------------------------------------------------------------------------- */

static bool number_value(TgReader *r, TgOp op, TgName name, TgAttrBuild *to)
{
    TgAttr a = {.name = name, .kind = TG_A_INT, .n = 1};
    if (tg_lex_is_float(&r->lex.token) || declares(op, name, "f")) {
        a.kind = TG_A_FLOAT;
        if (!float_value(&r->lex, &a.u.f))
            return false;
    } else if (!tg_lex_int(&r->lex, &a.u.i)) {
        return false;
    }
    tg_attrs_put(to, a);
    return true;
}

static bool string_value(TgReader *r, TgName name, TgAttrBuild *to)
{
    TgAttr a = {.name = name, .kind = TG_A_STRING, .n = 1};
    if (!tg_lex_string(&r->lex, &a.u.s))
        return false;
    tg_attrs_put(to, a);
    return true;
}

static bool tensor_value(TgReader *r, TgName name, TgAttrBuild *to)
{
    const TgTensor *t = read_tensor(r);
    if (!t)
        return false;
    tg_attrs_put(to, (TgAttr){.name = name, .kind = TG_A_TENSOR, .n = 1, .u.tensors = &t});
    return true;
}

static bool type_value(TgReader *r, TgName name, TgAttrBuild *to)
{
    TgAttr a = {.name = name, .kind = TG_A_TYPE, .n = 1};
    tg_lex_next(&r->lex);
    if (!tg_lex_expect(&r->lex, '(') || !tg_read_type(r, &a.u.type) || !tg_lex_expect(&r->lex, ')'))
        return false;
    tg_attrs_put(to, a);
    return true;
}

static bool raw_value(TgReader *r, TgName name, TgAttrBuild *to)
{
    TgAttr a = {.name = name, .kind = TG_A_RAW, .n = 1};
    tg_lex_next(&r->lex);
    if (!tg_read_hex(r, &a.u.s))
        return false;
    tg_attrs_put(to, a);
    return true;
}

static const struct {
    const char *word;
    TgAttrKind kind;
} list_words[] = {
    {"ints", TG_A_INTS}, {"floats", TG_A_FLOATS}, {"strings", TG_A_STRINGS}, {"tensors", TG_A_TENSORS}};

bool tg_read_attr_value(TgReader *r, TgOp op, TgName name, TgAttrBuild *to)
{
    TgLex *lex = &r->lex;
    TgAttrKind kind = TG_A_INTS;
    if (lex->token.kind == '{')
        return guess_list(r, op, name, &kind) && list_value(r, kind, name, to);
    if (lex->token.kind == TG_TOK_STRING)
        return string_value(r, name, to);
    if (tg_lex_is_word(lex, "const"))
        return tensor_value(r, name, to);
    if (tg_lex_is_word(lex, "type"))
        return type_value(r, name, to);
    if (tg_lex_is_word(lex, "raw"))
        return raw_value(r, name, to);
    for (size_t i = 0; i < sizeof list_words / sizeof *list_words; i++)
        if (tg_lex_is_word(lex, list_words[i].word))
            return tg_lex_next(lex), list_value(r, list_words[i].kind, name, to);
    if (lex->token.kind == TG_TOK_NUMBER || tg_lex_is_float(&lex->token))
        return number_value(r, op, name, to);
    return tg_lex_fail(lex, "the value of an attribute");
}

bool tg_read_attr_name(TgReader *r, TgName *name)
{
    TgLex *lex = &r->lex;
    if (lex->token.kind != TG_TOK_IDENT && lex->token.kind != TG_TOK_STRING)
        return tg_lex_fail(lex, "the name of an attribute");
    *name = tg_lex_name(lex);
    tg_lex_next(lex);
    return tg_lex_expect(lex, '=');
}
