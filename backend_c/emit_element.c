/* What every elementwise operator is in C, by element type; the meaning is that of ir/eval_elementwise.def and
 * ir/eval_quant.c.
 *
 * Floats: the functions of kernels/tgk_math.h (suffix f: float). Integers of 32 and fewer bits are computed in 32
 * bits and cut by a cast, those of 4 and 2 bits by masks. Every operand is a variable or a literal, so that it may
 * be written twice.
 */
#include <math.h>
#include <string.h>

#include "element.h"

#define F(...) tg_name_format(p->tg, __VA_ARGS__)

/* --- types -------------------------------------------------------------------------------------------------------- */

static bool is_double(TgDtype t)
{
    return t == TG_f64;
}

static bool is_small_float(TgDtype t) /* stored as a code, computed as float */
{
    return tg_is_float(t) && t != TG_f32 && t != TG_f64;
}

static bool is_unsigned(TgDtype t)
{
    return tg_dtype_class(t) == TG_CLASS_U || t == TG_bool;
}

/* The integer type that computes for it. */
static const char *carrier(TgDtype t)
{
    bool wide = tg_dtype_bits(t) == 64;
    return is_unsigned(t) ? wide ? "u64" : "u32" : wide ? "i64" : "i32";
}

static const char *carrier_type(TgDtype t)
{
    bool wide = tg_dtype_bits(t) == 64;
    return is_unsigned(t) ? wide ? "uint64_t" : "uint32_t" : wide ? "int64_t" : "int32_t";
}

const char *element_type(TgDtype t)
{
    if (tg_is_float(t))
        return is_double(t) ? "double" : "float";
    return tg_is_integer(t) || t == TG_bool ? emit_type(t) : NULL;
}

/* --- rounding, wrapping ------------------------------------------------------------------------------------------- */

static const char *encode(Package *p, TgDtype t, const char *value, bool saturate)
{
    const char *name = tg_dtype_text(t);
    if (t == TG_f16 || t == TG_bf16)
        return F("tgk_f32_to_%s(%s)", name, value);
    if (t == TG_f8e8m0)
        return F("tgk_f32_to_f8e8m0(%s, %d, TGK_ROUND_UP)", value, saturate);
    return F("tgk_f32_to_%s(%s, %d)", name, value, saturate);
}

const char *element_load(Package *p, TgDtype t, const char *stored)
{
    return is_small_float(t) ? F("tgk_%s_to_f32(%s)", tg_dtype_text(t), stored) : stored;
}

const char *element_store(Package *p, TgDtype t, const char *value)
{
    return is_small_float(t) ? encode(p, t, value, false) : value; /* it is rounded by now: only infinity is larger */
}

static const char *rounded(Package *p, TgDtype t, const char *value)
{
    return is_small_float(t) ? F("tgk_%s_to_f32(%s)", tg_dtype_text(t), encode(p, t, value, true)) : value;
}

/* An integer expression of any width, cut to the type. */
static const char *wrapped(Package *p, TgDtype t, const char *value)
{
    switch (t) {
    case TG_u4: return F("(uint8_t)(%s & 15)", value);
    case TG_u2: return F("(uint8_t)(%s & 3)", value);
    case TG_i4: return F("(int8_t)(((int32_t)(%s & 15) ^ 8) - 8)", value);
    case TG_i2: return F("(int8_t)(((int32_t)(%s & 3) ^ 2) - 2)", value);
    case TG_bool: return F("(uint8_t)(%s != 0)", value);
    case TG_i32:
    case TG_u32:
    case TG_i64:
    case TG_u64: return value;
    default: return F("(%s)%s", emit_type(t), value);
    }
}

/* --- literals ----------------------------------------------------------------------------------------------------- */

static const char *float_literal(Package *p, double x, bool is_wide)
{
    if (isnan(x))
        return is_wide ? "(double)NAN" : "NAN";
    if (isinf(x))
        return F("(%s%sINFINITY)", x < 0 ? "-" : "", is_wide ? "(double)" : "");
    bool plain = fabs(x) < 1e6 && x * 1024 == rint(x * 1024); /* decimal is exact then, and easier to read */
    const char *number = !plain ? F("%a", x) : x == rint(x) ? F("%.1f", x) : F("%.12g", x);
    const char *suffix = is_wide ? "" : "F";
    return signbit(x) ? F("(%s%s)", number, suffix) : F("%s%s", number, suffix);
}

const char *element_literal(Package *p, const TgTensor *splat)
{
    if (tg_is_float(splat->dtype))
        return float_literal(p, tg_tensor_float(p->tg, splat, 0), is_double(splat->dtype));
    int64_t x = tg_tensor_int(p->tg, splat, 0);
    if (splat->dtype == TG_u64)
        return F("UINT64_C(%llu)", (unsigned long long)x);
    if (splat->dtype == TG_u32)
        return F("%lluU", (unsigned long long)x);
    if (splat->dtype == TG_i64)
        return x == INT64_MIN ? "INT64_MIN" : F("INT64_C(%lld)", (long long)x);
    if (x == INT32_MIN)
        return "INT32_MIN";
    return x < 0 ? F("(%lld)", (long long)x) : F("%lld", (long long)x);
}

/* --- one operand -------------------------------------------------------------------------------------------------- */

static const char *function_of(TgOp op)
{
    switch (op) {
    case TG_Abs: return "abs";
    case TG_Exp: return "exp";
    case TG_Log: return "log";
    case TG_Sqrt: return "sqrt";
    case TG_Sin: return "sin";
    case TG_Cos: return "cos";
    case TG_Tan: return "tan";
    case TG_Asin: return "asin";
    case TG_Acos: return "acos";
    case TG_Atan: return "atan";
    case TG_Sinh: return "sinh";
    case TG_Cosh: return "cosh";
    case TG_Asinh: return "asinh";
    case TG_Acosh: return "acosh";
    case TG_Atanh: return "atanh";
    case TG_Tanh: return "tanh";
    case TG_Sigmoid: return "sigmoid";
    case TG_Erf: return "erf";
    case TG_Floor: return "floor";
    case TG_Ceil: return "ceil";
    case TG_Round: return "round";
    case TG_Sign: return "sign";
    case TG_Add: return "add";
    case TG_Sub: return "sub";
    case TG_Mul: return "mul";
    case TG_Div: return "div";
    case TG_Neg: return "neg";
    case TG_Max: return "max";
    case TG_Min: return "min";
    default: return NULL;
    }
}

static const char *is_infinite(Package *p, const TgNodeInfo *n, const char *x, const char *suffix)
{
    bool above = tg_attr_int(n, "detect_positive") != 0, below = tg_attr_int(n, "detect_negative") != 0;
    if (above && below)
        return F("tgk_isinf%s(%s)", suffix, x);
    if (above || below)
        return F("(uint8_t)(%s == %sINFINITY)", x, above ? "" : "-");
    return "0";
}

static const char *unary_float(Package *p, const TgNodeInfo *n, const Element *in)
{
    const char *x = in->text, *suffix = is_double(in->dtype) ? "" : "f", *name = function_of(n->op);
    switch (n->op) {
    case TG_Neg: return F("-%s", x);
    case TG_Reciprocal: return is_double(in->dtype) ? F("1.0 / %s", x) : F("1.0F / %s", x);
    case TG_IsNaN: return F("tgk_isnan%s(%s)", suffix, x);
    case TG_IsInf: return is_infinite(p, n, x, suffix);
    case TG_Relu: return is_double(in->dtype) ? F("tgk_max(%s, 0.0)", x) : F("tgk_maxf(%s, 0.0F)", x);
    default: return name ? F("tgk_%s%s(%s)", name, suffix, x) : NULL;
    }
}

static const char *unary_integer(Package *p, const TgNodeInfo *n, const Element *in)
{
    TgDtype t = in->dtype;
    const char *x = in->text;
    switch (n->op) {
    case TG_Not: return F("(uint8_t)!%s", x);
    case TG_BitwiseNot: return wrapped(p, t, F("(%s)~(%s)%s", carrier_type(t), carrier_type(t), x));
    case TG_Abs:
        if (is_unsigned(t))
            return x;
        break;
    case TG_Neg:
        if (is_unsigned(t))
            return wrapped(p, t, F("(%s)(0U - (%s)%s)", carrier_type(t), carrier_type(t), x));
        break;
    case TG_Relu: return is_unsigned(t) ? x : wrapped(p, t, F("tgk_max_%s(%s, 0)", carrier(t), x));
    case TG_Sign: break;
    default: return NULL;
    }
    return wrapped(p, t, F("tgk_%s_%s(%s)", function_of(n->op), carrier(t), x));
}

/* --- Cast --------------------------------------------------------------------------------------------------------- */

static const char *to_small_float(Package *p, const TgNodeInfo *n, const Element *in, TgDtype to)
{
    const char *x = in->text, *name = tg_dtype_text(to);
    bool half = to == TG_f16 || to == TG_bf16;
    if (is_double(in->dtype) && half)
        return F("tgk_%s_to_f32(tgk_f64_to_%s(%s))", name, name, x);
    if (is_double(in->dtype))
        x = F("tgk_f64_to_f32_odd(%s)", x);
    else if (!tg_is_float(in->dtype))
        x = F("(float)%s", x);
    if (half)
        return rounded(p, to, x);
    bool saturate = n->op != TG_Cast || tg_attr_int(n, "saturate") != 0;
    if (to != TG_f8e8m0)
        return F("tgk_%s_to_f32(tgk_f32_to_%s(%s, %d))", name, name, x, saturate);
    const char *mode = tg_attr_string(p->tg, n, "round_mode");
    return F("tgk_f8e8m0_to_f32(tgk_f32_to_f8e8m0(%s, %d, TGK_ROUND_%s))", x, saturate,
             strcmp(mode, "down") == 0 ? "DOWN" : strcmp(mode, "nearest") == 0 ? "NEAREST" : "UP");
}

static const char *cast(Package *p, const TgNodeInfo *n, const Element *in, TgDtype to)
{
    TgDtype from = in->dtype;
    const char *x = in->text;
    if (from == to)
        return x;
    if (is_small_float(to))
        return to_small_float(p, n, in, to);
    if (tg_is_float(to)) /* f32 and f64 hold all narrower floats */
        return tg_is_float(from) && is_double(from) == is_double(to) ? x : F("(%s)%s", element_type(to), x);
    if (to == TG_bool)
        return F("(uint8_t)(%s != 0)", x);
    if (!tg_is_float(from)) {
        bool cut = tg_dtype_bits(to) >= 8;
        return cut ? F("(%s)%s", emit_type(to), x) : wrapped(p, to, x);
    }
    const char *target = tg_dtype_bits(to) == 64 ? carrier(to) : "i32";
    const char *value = F("tgk_%s_to_%s(%s)", is_double(from) ? "f64" : "f32", target, x);
    return to == TG_u32 ? F("(uint32_t)%s", value) : wrapped(p, to, value);
}

/* --- two operands ------------------------------------------------------------------------------------------------- */

static const char *sign_of(TgOp op)
{
    switch (op) {
    case TG_Add: return "+";
    case TG_Sub: return "-";
    case TG_Mul: return "*";
    case TG_Div: return "/";
    case TG_BitwiseAnd: return "&";
    case TG_BitwiseOr: return "|";
    case TG_BitwiseXor: return "^";
    case TG_And: return "&";
    case TG_Or: return "|";
    case TG_Xor: return "^";
    case TG_Equal: return "==";
    case TG_Less: return "<";
    case TG_LessOrEqual: return "<=";
    case TG_Greater: return ">";
    case TG_GreaterOrEqual: return ">=";
    default: return NULL;
    }
}

static bool is_comparison(TgOp op)
{
    return op == TG_Equal || op == TG_Less || op == TG_LessOrEqual || op == TG_Greater || op == TG_GreaterOrEqual;
}

/* A number that is no NaN and known now: one comparison is enough then, and zeros of both signs come out as without. */
static const char *extreme(Package *p, const TgNodeInfo *n, const Element *a, const Element *b, const char *suffix)
{
    bool most = n->op == TG_Max;
    if (b->splat && !isnan(tg_tensor_float(p->tg, b->splat, 0)))
        return F("%s %s %s ? %s : %s", a->text, most ? "<=" : ">=", b->text, b->text, a->text);
    if (a->splat && !isnan(tg_tensor_float(p->tg, a->splat, 0)))
        return F("%s %s %s ? %s : %s", a->text, most ? ">" : "<", b->text, a->text, b->text);
    return F("tgk_%s%s(%s, %s)", most ? "max" : "min", suffix, a->text, b->text);
}

/* Exponents that need no pow; x^3 of floats differs from it in the last bit. */
static const char *easy_power(Package *p, const Element *a, double y)
{
    const char *x = a->text, *one = is_double(a->dtype) ? "1.0" : "1.0F", *suffix = is_double(a->dtype) ? "" : "f";
    if (y == 0)
        return one;
    if (y == 1)
        return x;
    if (y == 2)
        return F("%s * %s", x, x);
    if (y == 3)
        return F("%s * %s * %s", x, x, x);
    if (y == 0.5)
        return F("tgk_sqrt%s(%s)", suffix, x);
    if (y == -1)
        return F("%s / %s", one, x);
    if (y == -2)
        return F("%s / (%s * %s)", one, x, x);
    return y == -0.5 ? F("%s / tgk_sqrt%s(%s)", one, suffix, x) : NULL;
}

static const char *power(Package *p, const Element *a, const Element *b)
{
    bool real = tg_is_float(a->dtype), both = real == tg_is_float(b->dtype);
    const char *x = a->text, *y = b->text;
    if (real) {
        const char *easy = b->splat ? easy_power(p, a, tg_tensor_float(p->tg, b->splat, 0)) : NULL;
        if (easy)
            return easy;
        const char *value = F("pow((double)%s, (double)%s)", x, y);
        return is_double(a->dtype) ? value : F("(float)%s", value);
    }
    if (!both)
        return F("(%s)tgk_f64_to_i64(pow((double)%s, (double)%s))", emit_type(a->dtype), x, y);
    return F("(%s)tgk_pow_i64((int64_t)%s, (int64_t)%s)", emit_type(a->dtype), x, y);
}

static const char *binary_float(Package *p, const TgNodeInfo *n, const Element *a, const Element *b)
{
    const char *suffix = is_double(a->dtype) ? "" : "f";
    const char *sign = sign_of(n->op);
    switch (n->op) {
    case TG_Add:
    case TG_Sub:
    case TG_Mul:
    case TG_Div: return F("%s %s %s", a->text, sign, b->text);
    case TG_Max:
    case TG_Min: return extreme(p, n, a, b, suffix);
    case TG_Mod: return F("tgk_%s%s(%s, %s)", tg_attr_int(n, "fmod") ? "fmod" : "mod", suffix, a->text, b->text);
    default: return NULL;
    }
}

static const char *binary_integer(Package *p, const TgNodeInfo *n, const Element *a, const Element *b)
{
    TgDtype t = a->dtype;
    const char *x = a->text, *y = b->text, *type = carrier_type(t), *name = function_of(n->op);
    switch (n->op) {
    case TG_Add:
    case TG_Sub:
    case TG_Mul:
        if (is_unsigned(t))
            return wrapped(p, t, F("((%s)%s %s (%s)%s)", type, x, sign_of(n->op), type, y));
        break;
    case TG_BitwiseAnd:
    case TG_BitwiseOr:
    case TG_BitwiseXor: return wrapped(p, t, F("(%s %s %s)", x, sign_of(n->op), y));
    case TG_And:
    case TG_Or:
    case TG_Xor: return F("(uint8_t)((%s != 0) %s (%s != 0))", x, sign_of(n->op), y);
    case TG_Mod: name = tg_attr_int(n, "fmod") ? "fmod" : "mod"; break;
    case TG_BitShift:
        name = strcmp(tg_attr_string(p->tg, n, "direction"), "RIGHT") == 0 ? "shr" : "shl";
        if (!is_unsigned(t)) /* ONNX has none such, files do: bits of 64 are shifted, as the evaluator does */
            return wrapped(p, t, F("(%s)tgk_%s_u64((uint64_t)%s, (uint64_t)%s)", type, name, x, y));
        break;
    case TG_Div:
    case TG_Max:
    case TG_Min: break;
    default: return NULL;
    }
    return wrapped(p, t, F("tgk_%s_%s(%s, %s)", name, carrier(t), x, y));
}

static const char *binary(Package *p, const TgNodeInfo *n, const Element *a, const Element *b)
{
    if (n->op == TG_Pow)
        return power(p, a, b);
    if (a->dtype != b->dtype)
        return NULL;
    if (is_comparison(n->op))
        return F("(uint8_t)(%s %s %s)", a->text, sign_of(n->op), b->text);
    return tg_is_float(a->dtype) ? binary_float(p, n, a, b) : binary_integer(p, n, a, b);
}

/* From the left; the result of every pair has the type of the operands. */
static const char *variadic(Package *p, const TgNodeInfo *n, const Element *in)
{
    Element value = in[0];
    for (uint32_t i = 1; i < n->n_in; i++) {
        const char *next = binary(p, n, &value, &in[i]);
        if (!next)
            return NULL;
        value = (Element){in[0].dtype, n->n_in > 2 && i + 1 < n->n_in ? F("(%s)", next) : next, NULL};
    }
    return value.text;
}

/* --- any operator ------------------------------------------------------------------------------------------------- */

const char *element_apply(Package *p, const TgNodeInfo *n, const Element *in, TgDtype to)
{
    if (n->n_in == 0 || !element_type(to))
        return NULL;
    switch (n->op) {
    case TG_Identity: return in[0].text;
    case TG_Cast: return cast(p, n, &in[0], to);
    case TG_CastLike: return cast(p, n, &in[0], to);
    case TG_Where: return F("%s ? %s : %s", in[0].text, in[1].text, in[2].text);
    case TG_Max:
    case TG_Min: return variadic(p, n, in);
    default: break;
    }
    const char *text = n->n_in == 2             ? binary(p, n, &in[0], &in[1])
                       : tg_is_float(in->dtype) ? unary_float(p, n, in)
                                                : unary_integer(p, n, in);
    return text && tg_is_float(to) ? rounded(p, to, text) : text;
}
