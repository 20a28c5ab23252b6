/* Narrow numbers, one per byte or 16 bits, as doubles and back: the floats of 16, 8 and 4 bits, integers of 32 bits
 * and fewer. Rounding is to nearest, ties to even; what lies beyond the largest finite value follows the tables of
 * ONNX's Cast.
 *
 * Every small float type but f8e8m0 is one row of a table: one encoder and one decoder serve them all, on a
 * double's bits.
 */
#ifndef TGK_OP_NARROW_H
#define TGK_OP_NARROW_H

#include <string.h>

#include "tgk.h"

typedef enum {
    TGK_SPECIAL_IEEE,     /* the highest exponent holds infinity and NaN */
    TGK_SPECIAL_ONE_NAN,  /* only the code of all ones is NaN; no infinity ("fn") */
    TGK_SPECIAL_ZERO_NAN, /* the code of minus zero is NaN; no infinity, no minus zero ("fnuz") */
    TGK_SPECIAL_FINITE    /* neither */
} tgk_special;

typedef struct {
    int exponent, mantissa, bias; /* bits, bits, bias; exponent 0: not a small float */
    tgk_special special;
} tgk_format;

static inline tgk_format tgk_format_of(tgk_type t)
{
    static const tgk_format none = {0, 0, 0, TGK_SPECIAL_FINITE};
    static const tgk_format f16 = {5, 10, 15, TGK_SPECIAL_IEEE}, bf16 = {8, 7, 127, TGK_SPECIAL_IEEE};
    static const tgk_format e4m3fn = {4, 3, 7, TGK_SPECIAL_ONE_NAN}, e4m3fnuz = {4, 3, 8, TGK_SPECIAL_ZERO_NAN};
    static const tgk_format e5m2 = {5, 2, 15, TGK_SPECIAL_IEEE}, e5m2fnuz = {5, 2, 16, TGK_SPECIAL_ZERO_NAN};
    static const tgk_format e2m1 = {2, 1, 1, TGK_SPECIAL_FINITE};
    switch (t) {
    case TGK_F16: return f16;
    case TGK_BF16: return bf16;
    case TGK_F8E4M3FN: return e4m3fn;
    case TGK_F8E4M3FNUZ: return e4m3fnuz;
    case TGK_F8E5M2: return e5m2;
    case TGK_F8E5M2FNUZ: return e5m2fnuz;
    case TGK_F4E2M1: return e2m1;
    default: return none;
    }
}

static inline uint64_t tgk_bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double tgk_of_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t tgk_format_sign(const tgk_format *f) { return UINT32_C(1) << (f->exponent + f->mantissa); }

static inline uint32_t tgk_format_largest(const tgk_format *f)
{
    const uint32_t top = tgk_format_sign(f) - 1;
    if (f->special == TGK_SPECIAL_IEEE)
        return top - (UINT32_C(1) << f->mantissa);
    return f->special == TGK_SPECIAL_ONE_NAN ? top - 1 : top;
}

static inline uint32_t tgk_format_nan(const tgk_format *f, uint32_t sign)
{
    switch (f->special) {
    case TGK_SPECIAL_IEEE: return sign | (tgk_format_largest(f) + 1) | UINT32_C(1) << (f->mantissa - 1);
    case TGK_SPECIAL_ONE_NAN: return sign | (tgk_format_sign(f) - 1);
    case TGK_SPECIAL_ZERO_NAN: return tgk_format_sign(f);
    default: return sign ? 0 : tgk_format_sign(f); /* a zero of the other sign, as ml_dtypes does */
    }
}

/* The magnitude's code before limits. Adding the rounded mantissa to the exponent field lets a carry raise the
 * exponent, and makes subnormals the case of the lowest exponent. */
static inline uint64_t tgk_format_round(const tgk_format *f, uint64_t bits)
{
    const int field = (int)(bits >> 52 & 0x7ff), lowest = 1 - f->bias;
    int exponent = field - 1023, shift = 52 - f->mantissa;
    if (exponent < lowest) {
        shift += lowest - exponent;
        exponent = lowest;
    }
    if (field == 0 || shift > 54)
        return 0;
    const uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    const uint64_t half = UINT64_C(1) << (shift - 1), rest = mantissa & (2 * half - 1);
    uint64_t kept = mantissa >> shift;
    kept += rest > half || (rest == half && (kept & 1));
    return ((uint64_t)(exponent + f->bias - 1) << f->mantissa) + kept;
}

static inline uint32_t tgk_format_encode(const tgk_format *f, double x, int saturate)
{
    const uint64_t bits = tgk_bits_of(x);
    const uint32_t sign = bits >> 63 ? tgk_format_sign(f) : 0, most = tgk_format_largest(f);
    if (x != x)
        return tgk_format_nan(f, sign);
    const uint64_t code = tgk_format_round(f, bits);
    if (code > most) {
        if (saturate || f->special == TGK_SPECIAL_FINITE)
            return sign | most;
        return f->special == TGK_SPECIAL_IEEE ? sign | (most + 1) : tgk_format_nan(f, sign);
    }
    return f->special == TGK_SPECIAL_ZERO_NAN && !code ? 0 : sign | (uint32_t)code;
}

static inline double tgk_format_decode(const tgk_format *f, uint32_t code)
{
    const uint32_t magnitude = code & (tgk_format_sign(f) - 1), most = tgk_format_largest(f);
    const uint64_t sign = code & tgk_format_sign(f) ? UINT64_C(1) << 63 : 0, infinity = UINT64_C(0x7ff) << 52;
    if ((f->special == TGK_SPECIAL_ZERO_NAN && code == tgk_format_sign(f)) || magnitude > most) {
        const int is_infinite = f->special == TGK_SPECIAL_IEEE && magnitude == most + 1;
        return tgk_of_bits(is_infinite ? sign | infinity : sign | infinity | UINT64_C(1) << 51);
    }
    const uint32_t field = magnitude >> f->mantissa, mantissa = magnitude & ((UINT32_C(1) << f->mantissa) - 1);
    if (!field) {
        const double unit = tgk_of_bits((uint64_t)(1023 + 1 - f->bias - f->mantissa) << 52);
        return tgk_of_bits(tgk_bits_of(mantissa * unit) | sign);
    }
    const uint64_t exponent = (uint64_t)((int)field - f->bias + 1023);
    return tgk_of_bits(sign | exponent << 52 | (uint64_t)mantissa << (52 - f->mantissa));
}

/* f8e8m0: powers of two, 2^(code - 127), rounded up; no sign, no zero; 255 is NaN. */
static inline uint8_t tgk_e8m0_encode(double x, int saturate)
{
    const uint64_t bits = tgk_bits_of(x) & (UINT64_MAX >> 1), infinity = UINT64_C(0x7ff) << 52;
    if (bits > infinity || (bits == infinity && !saturate))
        return 255;
    if (bits == infinity)
        return 254;
    int code = (int)(bits >> 52) - 1023 + 127;
    code += (bits & ((UINT64_C(1) << 52) - 1)) != 0;
    return (uint8_t)(code < 0 ? 0 : code < 255 ? code : saturate ? 254 : 255);
}

static inline double tgk_e8m0_decode(uint8_t code)
{
    return tgk_of_bits(code == 255 ? UINT64_C(0x7ff8) << 48 : (uint64_t)(code - 127 + 1023) << 52);
}

/* Is t a float of 8 bits or fewer? Of 16 bits? */
static inline int tgk_is_tiny_float(tgk_type t)
{
    return t == TGK_F8E8M0 || t == TGK_F4E2M1 || (t >= TGK_F8E4M3FN && t <= TGK_F8E5M2FNUZ);
}

/* Least and greatest number of an integer type of 32 bits and fewer; false: it is none. */
static inline int tgk_limits(tgk_type t, double *low, double *high)
{
    switch (t) {
    case TGK_U2: *low = 0, *high = 3; return 1;
    case TGK_I2: *low = -2, *high = 1; return 1;
    case TGK_U4: *low = 0, *high = 15; return 1;
    case TGK_I4: *low = -8, *high = 7; return 1;
    case TGK_BOOL: *low = 0, *high = 1; return 1;
    case TGK_U8: *low = 0, *high = 255; return 1;
    case TGK_I8: *low = -128, *high = 127; return 1;
    case TGK_U16: *low = 0, *high = 65535; return 1;
    case TGK_I16: *low = -32768, *high = 32767; return 1;
    case TGK_U32: *low = 0, *high = 4294967295.0; return 1;
    case TGK_I32: *low = -2147483648.0, *high = 2147483647; return 1;
    default: *low = *high = 0; return 0;
    }
}

#define TGK_WIDEN(TYPE) \
    for (int64_t i = 0; i < n; i++) \
        to[i] = (double)((const TYPE *)from)[first + i]

/* n elements from number `first`, as doubles; false: no such type. */
static inline int tgk_widen(tgk_type t, const void *from, int64_t first, int64_t n, double *to)
{
    const tgk_format f = tgk_format_of(t);
    const uint8_t *byte = (const uint8_t *)from;
    switch (t) {
    case TGK_F32: TGK_WIDEN(float); return 1;
    case TGK_F64: TGK_WIDEN(double); return 1;
    case TGK_U2: case TGK_U4: case TGK_BOOL: case TGK_U8: TGK_WIDEN(uint8_t); return 1;
    case TGK_I2: case TGK_I4: case TGK_I8: TGK_WIDEN(int8_t); return 1;
    case TGK_U16: TGK_WIDEN(uint16_t); return 1;
    case TGK_I16: TGK_WIDEN(int16_t); return 1;
    case TGK_U32: TGK_WIDEN(uint32_t); return 1;
    case TGK_I32: TGK_WIDEN(int32_t); return 1;
    case TGK_I64: TGK_WIDEN(int64_t); return 1;
    case TGK_F8E8M0:
        for (int64_t i = 0; i < n; i++)
            to[i] = tgk_e8m0_decode(byte[first + i]);
        return 1;
    case TGK_F16: case TGK_BF16:
        for (int64_t i = 0; i < n; i++)
            to[i] = tgk_format_decode(&f, ((const uint16_t *)from)[first + i]);
        return 1;
    default:
        for (int64_t i = 0; f.exponent && i < n; i++)
            to[i] = tgk_format_decode(&f, byte[first + i]);
        return f.exponent != 0;
    }
}

#endif
