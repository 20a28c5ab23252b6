/* tgk_math.h and tgk_narrow.h against libm in double, against ir/dtype.c, and against the formulas of the evaluator.
 *
 * Float functions: every 997th bit pattern, and all patterns around special values. The argument "all" (or
 * TGK_TEST_ALL=1) takes every float, prints the greatest errors and takes minutes; "all NAME": of one function.
 * test_kernel_math_fma.c repeats it for AVX2 with FMA.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend_c/kernels/tgk_narrow.h"
#include "ir/ir.h"

#ifndef MACHINE_HAS_IT
#define MACHINE_HAS_IT 1
#endif

enum { BLOCK = 4096 };

static uint64_t step = 997;
static const char *only; /* name of the one function to sweep */

/* --- functions with a bound ------------------------------------------------------------------------------------- */

/* Short cuts where a function is a line, a cubic or a constant to 50 bits: they are most of all floats. */
static double cubic(double x, double first, double third) { return x * (first + third * x * x); }
static double exact_exp(double x) { return fabs(x) < 0x1p-18 ? 1 + x + x * x / 2 : x < -110 ? 0 : exp(x); }
static double exact_tanh(double x)
{
    return fabs(x) < 0x1p-13 ? cubic(x, 1, -1.0 / 3) : fabs(x) > 20 ? copysign(1, x) : tanh(x);
}
static double exact_sin(double x) { return fabs(x) < 0x1p-13 ? cubic(x, 1, -1.0 / 6) : sin(x); }
static double exact_cos(double x) { return fabs(x) < 0x1p-13 ? 1 - x * x / 2 : cos(x); }
static double exact_sigmoid(double x) { return x > 40 ? 1 : 1 / (1 + exact_exp(-x)); }

static double exact_erf(double x)
{
    const double slope = 0x1.20dd750429b6dp0; /* 2 / sqrt(pi) */
    return fabs(x) < 0x1p-13 ? cubic(x, slope, -slope / 3) : fabs(x) > 6 ? copysign(1, x) : erf(x);
}

static double exact_gelu(double x)
{
    const double slope = 0x1.9884533d43651p-2; /* 1 / sqrt(2 pi) */
    if (fabs(x) < 0x1p-13)
        return x * (0.5 + cubic(x, slope, -slope / 6));
    return x > 9 ? x : x < -30 ? x * 0 : x * 0.5 * erfc(-x * 0x1.6a09e667f3bcdp-1);
}

static double exact_gelu_tanh(double x)
{
    double u = 0x1.9884533d43651p-1 * (x + 0.044715 * x * x * x);
    return x * exact_sigmoid(2 * u);
}

static double exact_silu(double x) { return x * exact_sigmoid(x); }

#define LOOP(name, value)                                                                                              \
    static void name##_loop(const float *from, float *to)                                                              \
    {                                                                                                                  \
        for (int i = 0; i < BLOCK; i++)                                                                                \
            to[i] = value(from[i]);                                                                                    \
    }
LOOP(expf, tgk_expf)
LOOP(logf, tgk_logf)
LOOP(tanhf, tgk_tanhf)
LOOP(erff, tgk_erff)
LOOP(sigmoidf, tgk_sigmoidf)
LOOP(sinf, tgk_sinf)
LOOP(cosf, tgk_cosf)
LOOP(siluf, tgk_siluf)
LOOP(geluf, tgk_geluf)
LOOP(gelu_tanhf, tgk_gelu_tanhf)

static const struct {
    const char *name;
    void (*loop)(const float *from, float *to);
    double (*exact)(double x);
    double ulps;  /* of the result, */
    double apart; /* or this absolute difference */
    double tiny;  /* results below may be 0 */
} FUNCTIONS[] = {
    {"exp", expf_loop, exact_exp, 1.1, 0, 0x1p-126},
    {"log", logf_loop, log, 1.1, 0, 0},
    {"tanh", tanhf_loop, exact_tanh, 2.6, 0, 0},
    {"erf", erff_loop, exact_erf, 3.0, 0, 0},
    {"sigmoid", sigmoidf_loop, exact_sigmoid, 2.6, 0, 0x1.001p-126},
    {"sin", sinf_loop, exact_sin, 0.51, 0, 0},
    {"cos", cosf_loop, exact_cos, 0.51, 0, 0},
    {"silu", siluf_loop, exact_silu, 3.0, 0, 0x1p-119},
    {"gelu", geluf_loop, exact_gelu, 3.0, 0x1p-24, 0},
    {"gelu tanh", gelu_tanhf_loop, exact_gelu_tanh, 3.0, 0x1p-24, 0},
};
enum { N_FUNCTIONS = sizeof FUNCTIONS / sizeof *FUNCTIONS };

/* The error in units in the last place of the exact result; huge where a special value is wrong. */
static double error_of(int f, float x, float got)
{
    double want = FUNCTIONS[f].exact((double)x), size = fabs(want), off = fabs((double)got - want);
    if (want != want || got != got)
        return want != want && got != got ? 0 : 1e9;
    if ((float)size == INFINITY || tgk_isinff(got))
        return size > 0x1.fffffep127 && (double)got == (want > 0 ? (double)INFINITY : (double)-INFINITY) ? 0 : 1e9;
    if ((got == 0 && size < FUNCTIONS[f].tiny) || off < FUNCTIONS[f].apart)
        return 0;
    size = size < 0x1p-126 ? 0x1p-126 : size;
    return off * tgk_f64_of_bits(((UINT64_C(2046) + 23) << 52) - (tgk_bits_f64(size) & UINT64_C(0x7ff) << 52));
}

static double sweep(int f, uint64_t from, uint64_t end, uint64_t by, float *where)
{
    float in[BLOCK], out[BLOCK];
    double worst = 0;
    for (uint64_t bits = from; bits < end; bits += BLOCK * by) {
        for (uint64_t i = 0; i < BLOCK; i++)
            in[i] = tgk_f32_of_bits((uint32_t)(bits + i * by < end ? bits + i * by : end - 1));
        FUNCTIONS[f].loop(in, out);
        for (int i = 0; i < BLOCK; i++) {
            double error = error_of(f, in[i], out[i]);
            if (error > worst) {
                worst = error;
                *where = in[i];
            }
        }
    }
    return worst;
}

/* Both signs; sin and cos are libm's beyond 2^28, of which a sample will do. */
static double sweep_all(int f, float *where)
{
    const uint64_t sign = UINT64_C(1) << 31, far = 0x4d800000;
    double worst = 0;
    for (int part = 0; part < 4; part++) {
        uint64_t minus = part & 1 ? sign : 0;
        uint64_t from = minus + (part & 2 ? far : 0), end = minus + (part & 2 ? sign : far);
        uint64_t by = (part & 2) && FUNCTIONS[f].ulps < 0.6 && step == 1 ? 997 : step;
        float at = 0;
        double error = sweep(f, from, end, by, &at);
        *where = error > worst ? at : *where;
        worst = error > worst ? error : worst;
    }
    return worst;
}

/* Where something begins or ends: 0, subnormals, infinity, and the thresholds in the code. */
static const float EDGES[] = {0, 0x1p-126F, 0x1p-149F, 0x1p-24F, 0.5F, 1, 2, 3.9375F, 5.75F, 10, 30,
                              0x1.5d589ep6F, 0x1.62e42ep6F, 88.8F, 103.97F, 0x1p28F, 0x1.fffffep127F, INFINITY};

static void bounds(void **state)
{
    (void)state;
    for (int f = 0; f < N_FUNCTIONS; f++) {
        if (only && strcmp(only, FUNCTIONS[f].name) != 0)
            continue;
        float where = 0, at = 0;
        double worst = sweep_all(f, &where);
        for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++)
            for (uint32_t minus = 0; minus < 2; minus++) {
                uint64_t bits = tgk_bits_f32(EDGES[i]) | minus << 31, from = bits > BLOCK / 2 ? bits - BLOCK / 2 : 0;
                uint64_t most = UINT64_C(1) << 32, end = from + BLOCK < most ? from + BLOCK : most;
                double error = sweep(f, from, end, 1, &at);
                where = error > worst ? at : where;
                worst = error > worst ? error : worst;
            }
        if (step == 1)
            print_message("%-10s %.4f ULP at %a\n", FUNCTIONS[f].name, worst, (double)where);
        if (worst > FUNCTIONS[f].ulps)
            fail_msg("%s: %g ULP at %a, more than %g", FUNCTIONS[f].name, worst, (double)where, FUNCTIONS[f].ulps);
    }
}

static void nothing_denormal(void **state)
{
    (void)state;
    for (float x = -120; x < -80; x += 0x1p-8F) {
        float y[] = {tgk_expf(x), tgk_sigmoidf(x)};
        for (int k = 0; k < 2; k++)
            assert_true(y[k] == 0 || y[k] >= 0x1p-126F);
    }
    assert_true(tgk_expf(-88) == 0 && tgk_expf(-INFINITY) == 0 && tgk_sigmoidf(-1e4F) == 0);
    assert_true(tgk_expf(-87) > 0 && tgk_sigmoidf(-87) > 0);
}

/* --- exact functions -------------------------------------------------------------------------------------------- */

static int same(double a, double b) { return (a != a && b != b) || (a == b && !signbit(a) == !signbit(b)); }

#define SAME(got, want, x)                                                                                             \
    do {                                                                                                               \
        if (!same((double)(got), (double)(want)))                                                                      \
            fail_msg("%s of %a: %a, not %a", #got, (double)(x), (double)(got), (double)(want));                        \
    } while (0)

static int64_t as_cast(TgDtype t, double x)
{
    if (t == TG_u64 && x >= 0x1p63 && x < 0x1p64)
        return (int64_t)(uint64_t)x;
    return tg_wrap_integer(t, x > -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN);
}

static void rounding_of(float x)
{
    SAME(tgk_roundf(x), rintf(x), x);
    SAME(tgk_floorf(x), floorf(x), x);
    SAME(tgk_ceilf(x), ceilf(x), x);
    SAME(tgk_truncf(x), truncf(x), x);
    SAME(tgk_absf(x), fabsf(x), x);
    SAME(tgk_sqrtf(x), sqrtf(x), x);
    assert_true(tgk_isinff(x) == (isinf(x) != 0) && tgk_isnanf(x) == (isnan(x) != 0));
    assert_true(isnan(x) ? isnan(tgk_signf(x)) : tgk_signf(x) == (float)((x > 0) - (x < 0)));
    assert_int_equal(tgk_f32_to_i32(x), as_cast(TG_i32, (double)x));
    assert_int_equal((uint32_t)tgk_f32_to_i32(x), as_cast(TG_u32, (double)x));
    assert_int_equal((int8_t)tgk_f32_to_i32(x), as_cast(TG_i8, (double)x));
    assert_int_equal((uint16_t)tgk_f32_to_i32(x), as_cast(TG_u16, (double)x));
    assert_int_equal(tgk_f32_to_i64(x), as_cast(TG_i64, (double)x));
    assert_int_equal((int64_t)tgk_f32_to_u64(x), as_cast(TG_u64, (double)x));
    assert_int_equal(tgk_f64_to_i32((double)x * 1.1), as_cast(TG_i32, (double)x * 1.1));
    double rounded = rint((double)x) + 3;
    int32_t byte = (int32_t)(rounded > -128 ? rounded < 127 ? rounded : 127 : -128);
    assert_int_equal(tgk_quantizef(x, 3, -128, 127), byte);
}

static void roundings(void **state)
{
    (void)state;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 9973)
        rounding_of(tgk_f32_of_bits((uint32_t)bits));
    for (int k = -600; k < 600; k++)
        rounding_of((float)k / 4);
    for (int e = 20; e < 70; e++)
        for (int k = -3; k < 4; k++)
            for (int minus = 0; minus < 2; minus++)
                rounding_of((minus ? -1 : 1) * tgk_f32_of_bits(tgk_bits_f32(ldexpf(1, e)) + (uint32_t)k));
    for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++) {
        rounding_of(EDGES[i]);
        rounding_of(-EDGES[i]);
    }
    rounding_of(NAN);
}

static void order(void **state)
{
    (void)state;
    assert_true(isnan(tgk_maxf(NAN, 1)) && isnan(tgk_maxf(1, NAN)));
    assert_true(isnan(tgk_minf(NAN, 1)) && isnan(tgk_minf(1, NAN)));
    assert_true(tgk_maxf(-2, 3) == 3 && tgk_minf(-2, 3) == -2 && tgk_maxf(INFINITY, 3) == INFINITY);
    assert_true(isnan(tgk_max((double)NAN, 1)) && isnan(tgk_min(1, (double)NAN)));
    assert_true(tgk_max(1, 2) == 2 && tgk_min(1, 2) == 1);
    assert_true(tgk_modf(-7, 3) == 2 && tgk_modf(7, -3) == -2 && tgk_fmodf(-7, 3) == -1 && tgk_mod(-6, 3) == 0);
    assert_true(tgk_powf(2, 0.5F) == (float)sqrt(2) && isnan(tgk_powf(-2, 0.5F)) && tgk_powf(-2, 3) == -8);
    assert_true(tgk_sign(-0.5) == -1 && isnan(tgk_sign((double)NAN)) && tgk_round(2.5) == 2 && tgk_sigmoid(0) == 0.5);
}

/* --- integers --------------------------------------------------------------------------------------------------- */

static int64_t floor_mod(int64_t x, int64_t y)
{
    if (y == 0 || y == -1)
        return 0;
    int64_t r = x % y;
    return r && (r < 0) != (y < 0) ? r + y : r;
}

static void integers(void **state)
{
    (void)state;
    static const int32_t numbers[] = {INT32_MIN, INT32_MIN + 1, -1000, -7, -2, -1, 0, 1, 2, 3, 31, 32, 1000,
                                      INT32_MAX - 1, INT32_MAX};
    enum { N = sizeof numbers / sizeof *numbers };
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            int64_t x = numbers[i], y = numbers[k], q = y ? x / y : 0;
            assert_int_equal(tgk_add_i32((int32_t)x, (int32_t)y), tg_wrap_integer(TG_i32, x + y));
            assert_int_equal(tgk_sub_i32((int32_t)x, (int32_t)y), tg_wrap_integer(TG_i32, x - y));
            assert_int_equal(tgk_mul_i32((int32_t)x, (int32_t)y), tg_wrap_integer(TG_i32, x * y));
            assert_int_equal(tgk_div_i32((int32_t)x, (int32_t)y), tg_wrap_integer(TG_i32, q));
            assert_int_equal(tgk_mod_i32((int32_t)x, (int32_t)y), floor_mod(x, y));
            assert_int_equal(tgk_fmod_i32((int32_t)x, (int32_t)y), x - q * y * (y != 0) - (y ? 0 : x));
            assert_int_equal(tgk_mod_i64(x, y), floor_mod(x, y));
            assert_int_equal(tgk_div_i64(x, y), q);
            uint32_t u = (uint32_t)x, v = (uint32_t)y;
            assert_int_equal(tgk_div_u32(u, v), v ? u / v : 0);
            assert_int_equal(tgk_mod_u32(u, v), v ? u % v : 0);
            assert_int_equal(tgk_shl_u32(u, v), v < 32 ? (uint32_t)((uint64_t)u << v) : 0);
            assert_int_equal(tgk_shr_u32(u, v), v < 32 ? u >> v : 0);
        }
    assert_int_equal(tgk_div_i64(INT64_MIN, -1), INT64_MIN);
    assert_int_equal(tgk_mod_i64(INT64_MIN, -1), 0);
    assert_int_equal(tgk_neg_i64(INT64_MIN), INT64_MIN);
    assert_int_equal(tgk_abs_i32(INT32_MIN), INT32_MIN);
    assert_int_equal(tgk_abs_i32(-5), 5);
    assert_int_equal(tgk_sign_i64(-5), -1);
    assert_int_equal((int64_t)tgk_shl_u64(3, 63), INT64_MIN);
    assert_int_equal((int64_t)tgk_shr_u64(3, 64), 0);
    assert_int_equal(tgk_pow_i64(-3, 5), -243);
    assert_int_equal(tgk_pow_i64(-1, -3), -1);
    assert_int_equal(tgk_pow_i64(2, -1), 0);
    assert_int_equal(tgk_pow_i64(2, 64), 0);
    assert_int_equal(tgk_pow_i32(3, 21), tg_wrap_integer(TG_i32, 10460353203));
    assert_int_equal(tgk_max_u64(UINT64_MAX, 1) == UINT64_MAX, 1);
    assert_int_equal(tgk_min_i32(-1, 1), -1);
}

/* --- conversions: ir/dtype.c, itself tested against ml_dtypes --------------------------------------------------- */

typedef struct {
    TgDtype dtype;
    uint32_t codes;
    float (*decode)(uint32_t code);
    uint32_t (*encode)(float x, int saturate);
} Format;

#define NARROW(name)                                                                                                   \
    static float decode_##name(uint32_t code) { return tgk_##name##_to_f32((uint8_t)code); }                           \
    static uint32_t encode_##name(float x, int saturate) { return tgk_f32_to_##name(x, saturate); }
NARROW(f8e4m3fn)
NARROW(f8e4m3fnuz)
NARROW(f8e5m2)
NARROW(f8e5m2fnuz)
NARROW(f4e2m1)
static float decode_f16(uint32_t code) { return tgk_f16_to_f32((uint16_t)code); }
static float decode_bf16(uint32_t code) { return tgk_bf16_to_f32((uint16_t)code); }
static float decode_f8e8m0(uint32_t code) { return tgk_f8e8m0_to_f32((uint8_t)code); }
static uint32_t encode_f16(float x, int saturate) { return (void)saturate, tgk_f32_to_f16(x); }
static uint32_t encode_bf16(float x, int saturate) { return (void)saturate, tgk_f32_to_bf16(x); }
static uint32_t encode_f8e8m0(float x, int saturate) { return tgk_f32_to_f8e8m0(x, saturate, TGK_ROUND_UP); }

static const Format FORMATS[] = {
    {TG_f16, 65536, decode_f16, encode_f16},
    {TG_bf16, 65536, decode_bf16, encode_bf16},
    {TG_f8e4m3fn, 256, decode_f8e4m3fn, encode_f8e4m3fn},
    {TG_f8e4m3fnuz, 256, decode_f8e4m3fnuz, encode_f8e4m3fnuz},
    {TG_f8e5m2, 256, decode_f8e5m2, encode_f8e5m2},
    {TG_f8e5m2fnuz, 256, decode_f8e5m2fnuz, encode_f8e5m2fnuz},
    {TG_f4e2m1, 16, decode_f4e2m1, encode_f4e2m1},
    {TG_f8e8m0, 256, decode_f8e8m0, encode_f8e8m0},
};
enum { N_FORMATS = sizeof FORMATS / sizeof *FORMATS };

static void encodes(const Format *f, float x)
{
    for (int saturate = 0; saturate < 2; saturate++) {
        float got = f->decode(f->encode(x, saturate));
        double want = tg_round_float(f->dtype, (double)x, saturate != 0);
        if (!same((double)got, want))
            fail_msg("%s of %a (saturate %d): %a, not %a", tg_dtype_text(f->dtype), (double)x, saturate,
                     (double)got, want);
    }
}

static void conversions(void **state)
{
    (void)state;
    for (int k = 0; k < N_FORMATS; k++) {
        const Format *f = &FORMATS[k];
        for (uint32_t code = 0; code < f->codes; code++) {
            uint16_t bytes = (uint16_t)code;
            float x = f->decode(code), next = f->decode(code + 1 < f->codes ? code + 1 : code), tie = x / 2 + next / 2;
            SAME(x, tg_load_float(f->dtype, &bytes, 0), code);
            if (x == x && code)
                assert_int_equal(f->encode(x, 0), code);
            encodes(f, x);
            encodes(f, tie);
            encodes(f, nextafterf(tie, INFINITY));
            encodes(f, nextafterf(tie, -INFINITY));
        }
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 9973)
            encodes(f, tgk_f32_of_bits((uint32_t)bits));
        for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++) {
            encodes(f, EDGES[i]);
            encodes(f, -EDGES[i]);
        }
    }
}

static void e8m0_modes(void **state)
{
    (void)state;
    static const struct {
        tgk_e8m0_rounding ours;
        TgRounding theirs;
    } modes[] = {{TGK_ROUND_UP, TG_ROUND_UP}, {TGK_ROUND_DOWN, TG_ROUND_DOWN}, {TGK_ROUND_NEAREST, TG_ROUND_NEAREST}};
    for (int m = 0; m < 3; m++)
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 4093)
            for (int saturate = 0; saturate < 2; saturate++) {
                float x = tgk_f32_of_bits((uint32_t)bits);
                SAME(tgk_f8e8m0_to_f32(tgk_f32_to_f8e8m0(x, saturate, modes[m].ours)),
                     tg_round_e8m0((double)x, saturate != 0, modes[m].theirs), x);
            }
}

/* A double between two floats, at whose middle lies the tie of the narrower type: one rounding, not two. */
static void doubles(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x7c00; code++) {
        double x = (double)tgk_f16_to_f32((uint16_t)code), next = (double)tgk_f16_to_f32((uint16_t)(code + 1));
        double tie = x / 2 + next / 2;
        double near0[] = {x, tie, tie * (1 + 0x1p-50), tie * (1 - 0x1p-50), -tie * (1 + 0x1p-40)};
        for (int k = 0; k < 5 && code + 1 < 0x7c00; k++) {
            SAME(tgk_f16_to_f32(tgk_f64_to_f16(near0[k])), tg_round_float(TG_f16, near0[k], false), near0[k]);
            SAME(tgk_bf16_to_f32(tgk_f64_to_bf16(near0[k])), tg_round_float(TG_bf16, near0[k], false), near0[k]);
        }
    }
    const double odd[] = {(double)INFINITY, (double)NAN, 1e300, -1e300, 1e-320, 65519.999999999, 65520, 0.0, -0.0};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        SAME(tgk_f16_to_f32(tgk_f64_to_f16(odd[i])), tg_round_float(TG_f16, odd[i], false), odd[i]);
        SAME(tgk_bf16_to_f32(tgk_f64_to_bf16(odd[i])), tg_round_float(TG_bf16, odd[i], false), odd[i]);
    }
}

static void packed(void **state)
{
    (void)state;
    static const TgDtype types[] = {TG_u4, TG_i4, TG_u2, TG_i2};
    uint8_t ours[8] = {0}, theirs[8] = {0};
    for (int t = 0; t < 4; t++)
        for (int64_t i = 0; i < (t < 2 ? 16 : 32); i++) {
            int32_t value = (int32_t)(i * 7 - 5);
            if (t < 2)
                tgk_put_4(ours, i, value);
            else
                tgk_put_2(ours, i, value);
            tg_store_integer(types[t], theirs, (size_t)i, value);
            int64_t got = t == 0   ? tgk_u4_at(ours, i)
                          : t == 1 ? tgk_i4_at(ours, i)
                          : t == 2 ? tgk_u2_at(ours, i)
                                   : tgk_i2_at(ours, i);
            assert_int_equal(got, tg_load_integer(types[t], theirs, (size_t)i));
            assert_memory_equal(ours, theirs, sizeof ours);
        }
}

int main(int argc, char **argv)
{
    if (!MACHINE_HAS_IT)
        return 0;
    if (getenv("TGK_TEST_ALL") || (argc > 1 && strcmp(argv[1], "all") == 0))
        step = 1;
    only = argc > 2 ? argv[2] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),      cmocka_unit_test(nothing_denormal), cmocka_unit_test(roundings),
        cmocka_unit_test(order),       cmocka_unit_test(integers),         cmocka_unit_test(conversions),
        cmocka_unit_test(e8m0_modes),  cmocka_unit_test(doubles),          cmocka_unit_test(packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
