/* Conversion between element types: Cast, BitCast, QuantizeLinear, DequantizeLinear.
 *
 * Numbers live in carriers (eval.h), so a conversion is arithmetic, not bit work: integers are truncated
 * and wrap, the small floats are rounded here because their saturation is an attribute. Floats of 16 bits
 * and more are rounded by the driver, like every other result. */
#include "eval_kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- numbers -------------------------------------------------------------------------------------------- */

/* A real as an integer of type t, before wrapping: truncated. Beyond 64 bits and NaN: the smallest int64,
 * as on x86. */
static int64_t to_integer(TgDtype t, double x)
{
    if (tg_dtype_class(t) == TG_CLASS_B)
        return x != 0;
    if (t == TG_u64 && x >= 0x1p63 && x < 0x1p64)
        return (int64_t)(uint64_t)x;
    return x > -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

/* The integer nearest to x that type t (of at most 32 bits) has; x is integral or NaN. */
static int64_t saturated(TgDtype t, double x)
{
    bool is_signed = tg_dtype_class(t) == TG_CLASS_I;
    double span = ldexp(1, (int)tg_dtype_bits(t)), low = is_signed ? -span / 2 : 0, high = low + span - 1;
    return (int64_t)(x > low ? x < high ? x : high : low);
}

/* The driver wraps narrow integers, but what is not zero is true. */
static void cast_ints(const TgArray *x, TgArray *y)
{
    const int64_t *from = eval_ints_of(x);
    int64_t *to = eval_ints_of(y);
    for (int64_t i = 0; i < x->count; i++)
        to[i] = y->dtype == TG_bool ? from[i] != 0 : from[i];
}

/* A float type of 8 bits or fewer, with its rules for what it cannot hold. */
typedef struct {
    TgDtype dtype;
    bool saturate;
    TgRounding rounding; /* f8e8m0 */
} SmallFloat;

static double to_small_float(const SmallFloat *how, double x)
{
    return how->dtype == TG_f8e8m0 ? tg_round_e8m0(x, how->saturate, how->rounding)
                                   : tg_round_float(how->dtype, x, how->saturate);
}

/* Which scale belongs to an element: none but the first, one per index of an axis, or one per block along
 * it. */
typedef struct {
    /* of the axis; elements behind it; elements per scale; scales per axis */
    int64_t size, inner, block, blocks;
    bool blocked, single;
} Groups;

static int64_t group_of(const Groups *g, int64_t i)
{
    if (g->single)
        return 0;
    int64_t at = i / g->inner % g->size;
    return g->blocked ? (i / g->inner / g->size * g->blocks + at / g->block) * g->inner + i % g->inner : at;
}

/* Elements from i on, of n, whose groups are the same, or follow each other: how many, the first group, and the step
 * from one to the next. i is 0, or where a run ends. */
static int64_t run_of(const Groups *g, int64_t i, int64_t n, int64_t *group, int64_t *step)
{
    *group = group_of(g, i);
    *step = 0;
    if (g->single)
        return n;
    bool along = g->inner == 1; /* the axis is the last one */
    int64_t left = g->size - i / g->inner % g->size;
    *step = along != g->blocked;
    return !along ? g->inner : !g->blocked ? g->size : left < g->block ? left : g->block;
}

typedef struct {
    SmallFloat to;
    TgDtype precision; /* of the division */
} Quantizer;

#define TG_TEMPLATE "eval_quant.inc"
#include "eval_num.h"

/* --- Cast ----------------------------------------------------------------------------------------------- */

/* The number that a text spells: decimal, or inf and nan in any case. What is no number gives 0. */
static double parsed(const TgBytes *text)
{
    char buffer[64];
    size_t n = text->n < sizeof buffer - 1 ? text->n : sizeof buffer - 1;
    memcpy(buffer, text->at, n);
    buffer[n] = '\0';
    return strtod(buffer, NULL);
}

static bool cast_from_text(TgEvalCall *c)
{
    const TgBytes *text = c->in[0]->data;
    TgArray *y = &c->out[0];
    for (int64_t i = 0; i < y->count; i++)
        if (eval_is_real(y))
            tg_array_set_float(c->mode, y, i, parsed(&text[i]));
        else
            tg_array_set_int(y, i, to_integer(y->dtype, parsed(&text[i])));
    return true;
}

/* Plain decimal text, of the fewest digits that name the number. It lives as long as the context. */
static bool cast_to_text(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    TgBytes *out = c->out[0].data;
    for (int64_t i = 0; i < x->count; i++) {
        TgText text;
        tg_text_init(&text, tg_forever(c->tg));
        if (eval_is_real(x))
            tg_text_float(&text, eval_real(c, x, i), x->dtype != TG_f64);
        else
            tg_text_format(&text, "%lld", (long long)tg_array_int(x, i));
        out[i] = (TgBytes){(const uint8_t *)text.at, text.n};
    }
    return true;
}

static bool round_mode(TgEvalCall *c, TgRounding *mode)
{
    static const char *const names[] = {[TG_ROUND_UP] = "up", [TG_ROUND_DOWN] = "down",
                                        [TG_ROUND_NEAREST] = "nearest"};
    TgName given = tg_attr_string(c->tg, c->n, "round_mode");
    for (int i = 0; i < 3; i++)
        if (strcmp(given, names[i]) == 0) {
            *mode = (TgRounding)i;
            return true;
        }
    return tg_report(c->tg, TG_E_eval_word, "round_mode", given);
}

static int digits(TgDtype t) /* of the significand */
{
    return t == TG_f64 ? 53 : t == TG_f32 ? 24 : t == TG_f16 ? 11 : t == TG_bf16 ? 8 : 4;
}

bool eval_narrows(TgDtype from, TgDtype to)
{
    return tg_is_float(from) && tg_is_float(to) && digits(to) < digits(from);
}

TgDtype eval_fitting_type(const TgEvalCall *c)
{
    const TgArray *x = c->n->n_in ? c->in[0] : NULL;
    if (!x || x->kind != TG_TENSOR || !eval_is_real(x))
        return TG_undefined;
    if (c->n->op == TG_Cast)
        return x->fits ? x->fits : x->dtype;
    bool single = tg_op_has(c->n->op, TG_T_MOVES) && c->n->op != TG_Concat && c->n->op != TG_Pad;
    return single ? x->fits : TG_undefined;
}

/* A rounding that the model asks for is part of what it computes, unlike that of arithmetic, which float64 avoids. */
static void round_as_asked(TgArray *y)
{
    double *at = y->data;
    for (int64_t i = 0; i < y->count; i++)
        at[i] = tg_round_float(y->dtype, at[i], false);
}

bool eval_cast(TgEvalCall *c)
{
    TgDtype to = (TgDtype)tg_attr_int(c->n, "to");
    SmallFloat how = {to, tg_attr_int(c->n, "saturate") != 0, TG_ROUND_UP};
    const TgArray *x = c->in[0];
    if (!round_mode(c, &how.rounding) || !eval_out(c, 0, to, x->rank, x->dim))
        return false;
    if ((tg_dtype_class(to) == TG_CLASS_C) != (tg_dtype_class(x->dtype) == TG_CLASS_C))
        return tg_report(c->tg, TG_E_eval_word, "to", tg_dtype_text(to));
    if (x->dtype == to) {
        memcpy(c->out[0].data, x->data, (size_t)x->count * eval_element(c, x));
        return true;
    }
    if (x->dtype == TG_str)
        return cast_from_text(c);
    if (to == TG_str)
        return cast_to_text(c);
    bool good = TG_BY_NUM(c, cast)(c, &how);
    if (good && c->mode == TG_EVAL_F64 && tg_dtype_bits(to) >= 16 && eval_narrows(x->fits ? x->fits : x->dtype, to))
        round_as_asked(&c->out[0]);
    return good;
}

/* --- BitCast -------------------------------------------------------------------------------------------- */

/* The part of a complex type, else the type itself. */
static TgDtype part_of(TgDtype t) { return t == TG_c64 ? TG_f32 : t == TG_c128 ? TG_f64 : t; }

static void pack(TgEvalCall *c, const TgArray *a, int64_t i, void *bytes)
{
    TgDtype t = part_of(a->dtype);
    const size_t parts = t == a->dtype ? 1 : 2;
    for (size_t k = 0; k < parts; k++)
        if (eval_is_real(a))
            tg_store_float(t, bytes, k, eval_real(c, a, i * (int64_t)parts + (int64_t)k));
        else
            tg_store_integer(t, bytes, k, tg_array_int(a, i));
}

static void unpack(TgEvalCall *c, TgArray *a, int64_t i, const void *bytes)
{
    TgDtype t = part_of(a->dtype);
    const size_t parts = t == a->dtype ? 1 : 2;
    for (size_t k = 0; k < parts; k++)
        if (eval_is_real(a))
            tg_array_set_float(c->mode, a, i * (int64_t)parts + (int64_t)k, tg_load_float(t, bytes, k));
        else
            tg_array_set_int(a, i, tg_load_integer(t, bytes, k));
}

bool eval_bit_cast(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    TgDtype to = (TgDtype)tg_attr_int(c->n, "to");
    if (tg_dtype_bits(to) == 0 || tg_dtype_bits(to) != tg_dtype_bits(x->dtype))
        return eval_bad_value(c, "bits of the target type", tg_dtype_bits(to));
    if (!eval_out(c, 0, to, x->rank, x->dim))
        return false;
    for (int64_t i = 0; i < x->count; i++) {
        uint8_t bytes[16] = {0};
        pack(c, x, i, bytes);
        unpack(c, &c->out[0], i, bytes);
    }
    return true;
}

/* --- quantization --------------------------------------------------------------------------------------- */

static bool scale_groups(TgEvalCall *c, Groups *g)
{
    const TgArray *x = c->in[0], *scale = c->in[1], *zero = eval_in(c, 2);
    *g = (Groups){.single = scale->count == 1 && scale->rank < 2};
    if (zero && zero->count != scale->count)
        return eval_bad_shape(c, 2, "scale and zero point need the same shape");
    if (g->single)
        return true;
    int32_t axis;
    if (!eval_axis(c, x->rank == 1 ? 0 : tg_attr_int(c->n, "axis"), x->rank, &axis))
        return false;
    g->size = x->dim[axis];
    g->inner = eval_count(x->dim, axis + 1, x->rank);
    if (scale->rank == 1 && x->rank > 0 && scale->dim[0] == g->size)
        return true;
    if (scale->rank != x->rank)
        return eval_bad_shape(c, 1, "a scale is one number, one per index of the axis, or one per block");
    g->blocked = true;
    g->blocks = scale->dim[axis];
    g->block = tg_attr_int(c->n, "block_size");
    for (int32_t i = 0; i < x->rank; i++)
        if (i != axis && scale->dim[i] != x->dim[i])
            return eval_bad_shape(c, 1, "blocks lie along one axis; all other sizes are those of the input");
    if (x->count > 0 && (g->block < 1 || (g->size - 1) / g->block >= g->blocks))
        return eval_bad_value(c, "block_size", g->block);
    return true;
}

bool eval_quantize_linear(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *zero = eval_in(c, 2);
    Groups g;
    TgDtype to = (TgDtype)tg_attr_int(c->n, "output_dtype"),
        precision = (TgDtype)tg_attr_int(c->n, "precision");
    if (to == TG_undefined)
        to = zero ? zero->dtype : TG_u8;
    if (precision == TG_undefined)
        precision = c->in[1]->dtype;
    if (eval_carrier(to) == TG_C_BYTES || tg_dtype_bits(to) > 32)
        return tg_report(c->tg, TG_E_eval_word, "output_dtype", tg_dtype_text(to));
    if (!eval_holds(c, "?r?"))
        return false;
    Quantizer q = {{to, tg_attr_int(c->n, "saturate") != 0, TG_ROUND_UP}, precision};
    if (!scale_groups(c, &g) || !eval_out(c, 0, to, x->rank, x->dim))
        return false;
    if (eval_is_real(x))
        return TG_BY_NUM(c, quantize_linear)(c, &g, &q);
    TgArray reals = tg_array_new(c->tg, c->mode, TG_f32, x->rank, x->dim); /* int32 operands */
    const TgArray *in[] = {&reals, c->in[1], zero};
    TgEvalCall converted = *c;
    converted.in = in;
    for (int64_t i = 0; i < x->count; i++)
        tg_array_set_float(c->mode, &reals, i, eval_real(c, x, i));
    TG_BY_NUM(c, quantize_linear)(&converted, &g, &q);
    tg_array_drop(c->tg, &reals);
    return true;
}

bool eval_dequantize_linear(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *zero = eval_in(c, 2);
    Groups g;
    TgDtype to = (TgDtype)tg_attr_int(c->n, "output_dtype");
    if (to == TG_undefined)
        to = c->in[1]->dtype;
    if (!eval_holds(c, "?r?"))
        return false;
    if (zero && eval_carrier(zero->dtype) != eval_carrier(x->dtype))
        return eval_bad_shape(c, 2, "input and zero point need the same element type");
    return scale_groups(c, &g) && eval_out(c, 0, to, x->rank, x->dim)
        && TG_BY_NUM(c, dequantize_linear)(c, &g);
}
