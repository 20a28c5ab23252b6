/* Writes names, constants and attributes of the text form, so that read_data.c and read_attr.c give back the
 * same bits. A float is written in its shortest exact decimal form; where storing that again would give
 * other bits (NaN payloads, values out of a type's nominal range), the bits are written instead.
 */
#include "text.h"

#include <string.h>

/* --- names, bytes --------------------------------------------------------------------------------------- */

static bool plain_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* Would the lexer read it back as this word? All digits mean a nameless value, "_" an absent one. */
static bool plain(TgName name)
{
    size_t n = 0, digits = 0;
    for (; name[n]; n++) {
        if (!plain_char(name[n]))
            return false;
        digits += name[n] >= '0' && name[n] <= '9';
    }
    return n > digits;
}

void tg_write_quoted(TgWriter *w, const char *before, TgName text, const char *after)
{
    tg_text_add(w->out, before);
    tg_text_quoted(w->out, text, strlen(text));
    tg_text_add(w->out, after);
}

void tg_write_name(TgWriter *w, char sigil, TgName name)
{
    if (sigil)
        tg_text_add_n(w->out, &sigil, 1);
    bool word = plain(name) && (sigil || (name[0] != '.' && (name[0] < '0' || name[0] > '9')));
    if (word)
        tg_text_add(w->out, name);
    else
        tg_text_quoted(w->out, name, strlen(name));
}

void tg_write_hex(TgWriter *w, const char *before, TgBytes bytes)
{
    static const char digit[] = "0123456789abcdef";
    TgText *out = w->out;
    tg_text_format(out, "%s(\"", before);
    for (size_t i = 0; i < bytes.n; i++) {
        char pair[2] = {digit[bytes.at[i] >> 4], digit[bytes.at[i] & 15]};
        tg_text_add_n(out, pair, 2);
    }
    tg_text_add(out, "\")");
}

/* --- numbers -------------------------------------------------------------------------------------------- */

static void bits(TgText *out, const uint8_t *bytes, uint32_t n)
{
    tg_text_add(out, "0x");
    while (n--)
        tg_text_format(out, "%02x", bytes[n]);
}

static void real(TgText *out, TgDtype dtype, const void *bytes, size_t i)
{
    double x = tg_load_float(dtype, bytes, i);
    size_t size = tg_dtype_bits(dtype) / 8;
    uint8_t again[8] = {0};
    if (size)
        tg_store_float(dtype, again, 0, x);
    if (size && memcmp(again, (const uint8_t *)bytes + i * size, size) != 0)
        bits(out, (const uint8_t *)bytes + i * size, (uint32_t)size);
    else
        tg_text_float(out, x, dtype != TG_f64);
}

static void element(TgText *out, const TgTensor *t, size_t i)
{
    TgDtype part = t->dtype == TG_c64 ? TG_f32 : TG_f64;
    switch (tg_dtype_class(t->dtype)) {
    case TG_CLASS_F: real(out, t->dtype, t->bytes, i); break;
    case TG_CLASS_C:
        real(out, part, t->bytes, 2 * i);
        tg_text_add(out, ", ");
        real(out, part, t->bytes, 2 * i + 1);
        break;
    case TG_CLASS_S: tg_text_quoted(out, (const char *)t->strings[i].at, t->strings[i].n); break;
    case TG_CLASS_B: tg_text_add(out, tg_load_integer(t->dtype, t->bytes, i) ? "true" : "false"); break;
    default: {
        int64_t x = tg_load_integer(t->dtype, t->bytes, i);
        if (t->dtype == TG_u64)
            tg_text_format(out, "%llu", (unsigned long long)x);
        else
            tg_text_format(out, "%lld", (long long)x);
    }
    }
}

/* --- constants ------------------------------------------------------------------------------------------ */

static size_t column(const TgText *out)
{
    size_t n = 0;
    while (n < out->n && out->at[out->n - 1 - n] != '\n')
        n++;
    return n;
}

static void elements(TgText *out, const TgTensor *t)
{
    size_t line = out->n - column(out);
    tg_text_add(out, "{");
    for (size_t i = 0; i < t->count; i++) {
        if (i)
            tg_text_add(out, ", ");
        if (i && out->n - line > TG_TEXT_WIDTH - 20) {
            out->n--; /* the blank */
            line = out->n + 1;
            tg_text_add(out, "\n    ");
        }
        element(out, t, i);
    }
    tg_text_add(out, "}");
}

/* `path` as seen from the folder of `base`. */
static const char *beneath(TgName base, TgName path)
{
    const char *slash = strrchr(base, '/');
    size_t n = slash ? (size_t)(slash - base) + 1 : 0;
    return strncmp(path, base, n) == 0 ? path + n : path;
}

static void file_range(TgWriter *w, const TgTensor *t)
{
    w->names_file = true;
    tg_write_quoted(w, "file(", beneath(w->base, t->file->path), "");
    tg_text_format(w->out, ", %zu)", t->offset);
}

static void recipe(TgWriter *w, const TgTensor *t)
{
    const TgRecipe *r = t->recipe;
    tg_text_format(w->out, "%s(", tg_op_text(w->tg, (TgOp)r->op));
    for (uint32_t i = 0; i < r->n; i++) {
        if (i)
            tg_text_add(w->out, ", ");
        if (r->input[i])
            tg_write_const(w, r->input[i]);
        else
            tg_text_add(w->out, "_");
    }
    if (r->attrs && r->attrs->n) {
        tg_text_add(w->out, "; ");
        tg_write_attrs(w, r->attrs);
    }
    tg_text_add(w->out, ")");
    if (r->output)
        tg_text_format(w->out, "[%u]", r->output);
}

static void payload(TgWriter *w, const TgTensor *t)
{
    TgText *out = w->out;
    if (t->payload == TG_RECIPE) {
        recipe(w, t);
    } else if (t->payload == TG_SPLAT && t->count > 1) {
        tg_text_add(out, "splat(");
        element(out, t, 0);
        tg_text_add(out, ")");
    } else if (t->payload == TG_MAPPED && t->count > TG_TEXT_INLINE) {
        file_range(w, t);
    } else if (t->seed) {
        tg_text_format(out, "random(%llu)", (unsigned long long)t->seed);
    } else if (t->rank == 0 && tg_dtype_class(t->dtype) != TG_CLASS_C) {
        element(out, t, 0);
    } else {
        elements(out, t);
    }
}

/* Recipes nest as deep as passes stack them, which is a few levels. */
void tg_write_const(TgWriter *w, const TgTensor *t)
{
    tg_text_add(w->out, "const ");
    tg_type_print(tg_tensor_type(w->tg, t), w->out);
    tg_text_add(w->out, " ");
    payload(w, t);
    if (t->doc)
        tg_write_quoted(w, " !tensor_doc(", t->doc, ")");
    if (t->unknown.n)
        tg_write_hex(w, " !tensor_unknown", t->unknown);
}

/* --- attributes ----------------------------------------------------------------------------------------- */

/* Unlike an int: with a point, an exponent or in bits. */
static void float_value(TgText *out, float f)
{
    size_t start = out->n;
    real(out, TG_f32, &f, 0);
    if (!strpbrk(out->at + start, ".enx"))
        tg_text_add(out, ".0");
}

static const char *const list_word[] = {
    [TG_A_INTS] = "ints", [TG_A_FLOATS] = "floats", [TG_A_STRINGS] = "strings", [TG_A_TENSORS] = "tensors"};

static void list_value(TgWriter *w, const TgAttr *a)
{
    TgText *out = w->out;
    if (!a->n || a->kind == TG_A_TENSORS)
        tg_text_add(out, list_word[a->kind]);
    tg_text_add(out, "{");
    for (uint32_t i = 0; i < a->n; i++) {
        if (i)
            tg_text_add(out, ",");
        switch (a->kind) {
        case TG_A_INTS: tg_text_format(out, "%lld", (long long)a->u.ints[i]); break;
        case TG_A_FLOATS: float_value(out, a->u.floats[i]); break;
        case TG_A_STRINGS: tg_text_quoted(out, (const char *)a->u.strings[i].at, a->u.strings[i].n); break;
        default: tg_write_const(w, a->u.tensors[i]); break;
        }
    }
    tg_text_add(out, "}");
}

static void attr_value(TgWriter *w, const TgAttr *a)
{
    switch (a->kind) {
    case TG_A_INT: tg_text_format(w->out, "%lld", (long long)a->u.i); break;
    case TG_A_FLOAT: float_value(w->out, a->u.f); break;
    case TG_A_STRING: tg_text_quoted(w->out, (const char *)a->u.s.at, a->u.s.n); break;
    case TG_A_TENSOR: tg_write_const(w, a->u.tensors[0]); break;
    case TG_A_TYPE:
        tg_text_add(w->out, "type(");
        tg_write_type(w, a->u.type);
        tg_text_add(w->out, ")");
        break;
    case TG_A_RAW: tg_write_hex(w, "raw", a->u.s); break;
    default: list_value(w, a); break;
    }
}

void tg_write_attrs(TgWriter *w, const TgAttrs *attrs)
{
    for (uint32_t i = 0; i < attrs->n; i++) {
        if (i)
            tg_text_add(w->out, ", ");
        tg_write_name(w, '\0', attrs->at[i].name);
        tg_text_add(w->out, "=");
        attr_value(w, &attrs->at[i]);
    }
}

/* Softmax, com.microsoft.Attention, "domain"::"any op":"overload" */
void tg_write_op(TgWriter *w, const TgNodeInfo *n)
{
    if (n->op != TG_opaque) {
        tg_text_add(w->out, tg_op_text(w->tg, n->op));
        return;
    }
    tg_write_quoted(w, "", n->domain ? n->domain : "", "::");
    tg_write_name(w, '\0', n->op_name);
    if (n->overload && n->overload[0])
        tg_write_quoted(w, ":", n->overload, "");
}
