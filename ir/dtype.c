/* Element types: names, sizes, rounding, packed storage.
 *
 * Every float type of 16 bits and fewer is one row of FORMATS; one encoder and one decoder serve them
 * all, on the bits of a double. Rounding is to nearest, ties to even; what lies beyond the largest finite
 * value follows the tables of ONNX's Cast. Sub-byte types are packed low bits first. The host is
 * little-endian, as ONNX's raw data is.
 */
#include <math.h>
#include <string.h>

#include "type.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw data is mapped, not swapped");

static const struct {
    const char *text;
    uint8_t bits;
    uint8_t class;
} ROWS[TG_DTYPE_COUNT] = {
    [TG_undefined] = {"?", 0, TG_CLASS_NONE},
#define DTYPE(name, number, text, bits, class) [TG_##name] = {text, bits, TG_CLASS_##class},
#include "dtype.def"
#undef DTYPE
};

static bool known(TgDtype t) { return (unsigned)t < TG_DTYPE_COUNT; }

const char *tg_dtype_text(TgDtype t) { return known(t) ? ROWS[t].text : "?"; }
TgClass tg_dtype_class(TgDtype t) { return known(t) ? (TgClass)ROWS[t].class : TG_CLASS_NONE; }
uint32_t tg_dtype_bits(TgDtype t) { return known(t) ? ROWS[t].bits : 0; }

TgDtype tg_dtype_find(const char *text, size_t n) {
    for (TgDtype t = TG_undefined + 1; t < TG_DTYPE_COUNT; t++)
        if (strlen(ROWS[t].text) == n && memcmp(ROWS[t].text, text, n) == 0)
            return t;
    return TG_undefined;
}

size_t tg_dtype_bytes(TgDtype t, size_t n) {
    uint32_t bits = tg_dtype_bits(t);
    if (bits >= 8)
        return n * (bits / 8);
    return bits ? n / (8 / bits) + (n % (8 / bits) != 0) : 0;
}

/* --- small floats --------------------------------------------------------------------------------------- */

typedef enum {
    IEEE,     /* the highest exponent holds infinity and NaN */
    ONE_NAN,  /* only the code of all ones is NaN; no infinity ("fn") */
    ZERO_NAN, /* the code of minus zero is NaN; no infinity, no minus zero ("fnuz") */
    FINITE    /* neither */
} Special;

typedef struct {
    int exponent, mantissa, bias; /* bits, bits, bias; exponent 0: not a small float */
    Special special;
} Format;

static const Format FORMATS[TG_DTYPE_COUNT] = {
    [TG_f16] = {5, 10, 15, IEEE},       [TG_bf16] = {8, 7, 127, IEEE},
    [TG_f8e4m3fn] = {4, 3, 7, ONE_NAN}, [TG_f8e4m3fnuz] = {4, 3, 8, ZERO_NAN},
    [TG_f8e5m2] = {5, 2, 15, IEEE},     [TG_f8e5m2fnuz] = {5, 2, 16, ZERO_NAN},
    [TG_f4e2m1] = {2, 1, 1, FINITE},
};

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t sign_bit(const Format *f) { return 1u << (f->exponent + f->mantissa); }

static uint32_t largest(const Format *f) {
    uint32_t top = sign_bit(f) - 1;
    if (f->special == IEEE)
        return top - (1u << f->mantissa);
    return f->special == ONE_NAN ? top - 1 : top;
}

static uint32_t infinity(const Format *f) { return largest(f) + 1; } /* of IEEE formats */

static uint32_t nan_code(const Format *f, uint32_t sign) {
    switch (f->special) {
    case IEEE: return sign | infinity(f) | 1u << (f->mantissa - 1);
    case ONE_NAN: return sign | (sign_bit(f) - 1);
    case ZERO_NAN: return sign_bit(f);
    case FINITE: break;
    }
    return sign ? 0 : sign_bit(f); /* as ml_dtypes does: a zero of the other sign */
}

static uint32_t overflow_code(const Format *f, uint32_t sign, bool saturate) {
    if (saturate || f->special == FINITE)
        return sign | largest(f);
    return f->special == IEEE ? sign | infinity(f) : nan_code(f, sign);
}

/* The magnitude's code before limits. Adding the rounded mantissa to the exponent field lets a carry
 * raise the exponent, and makes subnormals the case of the lowest exponent without a special branch. */
static uint64_t rounded_code(const Format *f, uint64_t bits) {
    int field = (int)(bits >> 52 & 0x7ff);
    if (!field)
        return 0; /* zero, and doubles far below every small format */
    int exponent = field - 1023, lowest = 1 - f->bias, shift = 52 - f->mantissa;
    if (exponent < lowest) {
        shift += lowest - exponent;
        exponent = lowest;
    }
    if (shift > 54)
        return 0;
    uint64_t mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    uint64_t kept = mantissa >> shift, half = UINT64_C(1) << (shift - 1), rest = mantissa & (2 * half - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return ((uint64_t)(exponent + f->bias - 1) << f->mantissa) + kept;
}

static uint32_t encode(const Format *f, double x, bool saturate) {
    uint64_t bits = bits_of(x);
    uint32_t sign = bits >> 63 ? sign_bit(f) : 0;
    if (x != x)
        return nan_code(f, sign);
    uint64_t code = rounded_code(f, bits);
    if (code > largest(f))
        return overflow_code(f, sign, saturate);
    return f->special == ZERO_NAN && !code ? 0 : sign | (uint32_t)code;
}

static double decode(const Format *f, uint32_t code) {
    uint32_t magnitude = code & (sign_bit(f) - 1);
    uint64_t sign = code & sign_bit(f) ? UINT64_C(1) << 63 : 0;
    if (f->special == ZERO_NAN && code == sign_bit(f))
        return (double)NAN;
    if (magnitude > largest(f)) {
        double x = f->special == IEEE && magnitude == infinity(f) ? (double)INFINITY : (double)NAN;
        return from_bits(bits_of(x) | sign);
    }
    uint32_t field = magnitude >> f->mantissa, mantissa = magnitude & ((1u << f->mantissa) - 1);
    if (!field) {
        double unit = from_bits((uint64_t)(1023 + 1 - f->bias - f->mantissa) << 52);
        return from_bits(bits_of(mantissa * unit) | sign);
    }
    uint64_t exponent = (uint64_t)((int)field - f->bias + 1023);
    return from_bits(sign | exponent << 52 | (uint64_t)mantissa << (52 - f->mantissa));
}

/* --- f8e8m0: powers of two, no sign, no zero ------------------------------------------------------------ */

enum { E8M0_BIAS = 127, E8M0_NAN = 255 };

static uint8_t encode_e8m0(double x, bool saturate, TgRounding mode) {
    if (x != x || (isinf(x) && !saturate))
        return E8M0_NAN;
    x = fabs(x);
    if (isinf(x))
        return E8M0_NAN - 1;
    int exponent;
    double fraction = frexp(x, &exponent); /* in [0.5, 1), or zero */
    bool up = mode == TG_ROUND_UP ? fraction > 0.5 : mode == TG_ROUND_NEAREST && fraction >= 0.75;
    int code = x > 0 ? exponent - 1 + up + E8M0_BIAS : 0;
    if (code >= E8M0_NAN)
        return saturate ? E8M0_NAN - 1 : E8M0_NAN;
    return (uint8_t)(code < 0 ? 0 : code);
}

static double decode_e8m0(uint8_t code) {
    return code == E8M0_NAN ? (double)NAN : ldexp(1, code - E8M0_BIAS);
}

double tg_round_e8m0(double x, bool saturate, TgRounding mode) {
    return decode_e8m0(encode_e8m0(x, saturate, mode));
}

/* --- one number ----------------------------------------------------------------------------------------- */

double tg_round_float(TgDtype t, double x, bool saturate) {
    if (t == TG_f32)
        return (double)(float)x;
    if (t == TG_f8e8m0)
        return tg_round_e8m0(x, saturate, TG_ROUND_UP);
    if (!known(t) || !FORMATS[t].exponent)
        return x;
    bool clamp = saturate && tg_dtype_bits(t) <= 8;
    return decode(&FORMATS[t], encode(&FORMATS[t], x, clamp));
}

int64_t tg_wrap_integer(TgDtype t, int64_t x) {
    if (t == TG_bool)
        return x != 0;
    uint32_t bits = tg_dtype_bits(t);
    if (!tg_is_integer(t) || bits >= 64)
        return x;
    uint64_t low = (uint64_t)x & ((UINT64_C(1) << bits) - 1);
    bool negative = tg_dtype_class(t) == TG_CLASS_I && low >> (bits - 1);
    return (int64_t)(negative ? low | ~UINT64_C(0) << bits : low);
}

int64_t tg_truncate(double x) {
    if (x != x)
        return 0;
    if (x >= 0x1p63)
        return INT64_MAX;
    return x <= -0x1p63 ? INT64_MIN : (int64_t)x;
}

/* --- packed arrays -------------------------------------------------------------------------------------- */

static uint64_t fetch(TgDtype t, const void *bytes, size_t i) {
    const uint8_t *at = bytes;
    uint64_t raw = 0;
    switch (tg_dtype_bits(t)) {
    case 2: return at[i / 4] >> (i % 4 * 2) & 3;
    case 4: return at[i / 2] >> (i % 2 * 4) & 15;
    case 8: return at[i];
    case 16: memcpy(&raw, at + 2 * i, 2); break;
    case 32: memcpy(&raw, at + 4 * i, 4); break;
    case 64: memcpy(&raw, at + 8 * i, 8); break;
    default: break;
    }
    return raw;
}

static void put_bits(uint8_t *byte, unsigned shift, unsigned mask, uint64_t raw) {
    *byte = (uint8_t)((*byte & ~(mask << shift)) | ((unsigned)raw & mask) << shift);
}

static void deposit(TgDtype t, void *bytes, size_t i, uint64_t raw) {
    uint8_t *at = bytes;
    switch (tg_dtype_bits(t)) {
    case 2: put_bits(at + i / 4, i % 4 * 2, 3, raw); break;
    case 4: put_bits(at + i / 2, i % 2 * 4, 15, raw); break;
    case 8: at[i] = (uint8_t)raw; break;
    case 16: memcpy(at + 2 * i, &raw, 2); break;
    case 32: memcpy(at + 4 * i, &raw, 4); break;
    case 64: memcpy(at + 8 * i, &raw, 8); break;
    default: break;
    }
}

int64_t tg_load_integer(TgDtype t, const void *bytes, size_t i) {
    if (tg_is_float(t) || tg_dtype_class(t) == TG_CLASS_C)
        return tg_truncate(tg_load_float(t, bytes, i));
    return tg_wrap_integer(t, (int64_t)fetch(t, bytes, i));
}

/* Complex numbers give their real part. */
double tg_load_float(TgDtype t, const void *bytes, size_t i) {
    if (t == TG_f32 || t == TG_c64) {
        float x;
        memcpy(&x, (const uint8_t *)bytes + (t == TG_f32 ? 4 : 8) * i, sizeof x);
        return (double)x;
    }
    if (t == TG_f64 || t == TG_c128) {
        double x;
        memcpy(&x, (const uint8_t *)bytes + (t == TG_f64 ? 8 : 16) * i, sizeof x);
        return x;
    }
    if (t == TG_f8e8m0)
        return decode_e8m0((uint8_t)fetch(t, bytes, i));
    if (known(t) && FORMATS[t].exponent)
        return decode(&FORMATS[t], (uint32_t)fetch(t, bytes, i));
    int64_t x = tg_load_integer(t, bytes, i);
    return t == TG_u64 ? (double)(uint64_t)x : (double)x;
}

void tg_store_integer(TgDtype t, void *bytes, size_t i, int64_t x) {
    if (tg_is_float(t) || tg_dtype_class(t) == TG_CLASS_C)
        tg_store_float(t, bytes, i, (double)x);
    else
        deposit(t, bytes, i, (uint64_t)tg_wrap_integer(t, x));
}

static void store_complex(TgDtype t, void *bytes, size_t i, double x) {
    float single[2] = {(float)x, 0};
    double pair[2] = {x, 0};
    if (t == TG_c64)
        memcpy((uint8_t *)bytes + 8 * i, single, sizeof single);
    else
        memcpy((uint8_t *)bytes + 16 * i, pair, sizeof pair);
}

void tg_store_float(TgDtype t, void *bytes, size_t i, double x) {
    if (t == TG_f32) {
        float single = (float)x;
        memcpy((uint8_t *)bytes + 4 * i, &single, sizeof single);
    } else if (t == TG_f64) {
        memcpy((uint8_t *)bytes + 8 * i, &x, sizeof x);
    } else if (t == TG_f8e8m0) {
        deposit(t, bytes, i, encode_e8m0(x, true, TG_ROUND_UP));
    } else if (known(t) && FORMATS[t].exponent) {
        bool has_x = isinf(x) && FORMATS[t].special == IEEE;
        deposit(t, bytes, i, encode(&FORMATS[t], x, tg_dtype_bits(t) <= 8 && !has_x));
    } else if (tg_dtype_class(t) == TG_CLASS_C) {
        store_complex(t, bytes, i, x);
    } else {
        deposit(t, bytes, i, (uint64_t)(t == TG_bool ? x != 0 : tg_wrap_integer(t, tg_truncate(x))));
    }
}
