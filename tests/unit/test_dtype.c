/* Element types against ml_dtypes 0.5 and onnx.numpy_helper (tables below) and against the definition of
 * each format (value = significand times power of two). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ir/ir.h"

static bool same(double a, double b)
{
    return (a != a && b != b) || (a == b && signbit(a) == signbit(b));
}

/* --- rounding: codes that ml_dtypes gives for float32 inputs ------------------------------------------ */

static const TgDtype TYPES[] = {TG_f16,    TG_bf16,       TG_f8e4m3fn, TG_f8e4m3fnuz,
                                TG_f8e5m2, TG_f8e5m2fnuz, TG_f4e2m1};
enum { N_TYPES = 7, FIRST_F8 = 2, N_F8 = 4 };

static const struct {
    double x;
    uint16_t plain[N_TYPES]; /* x.astype(type): not saturated */
    uint8_t saturated[N_F8]; /* onnx.numpy_helper.saturate_cast, float8 types */
} CODES[] = {
    {0x0p+0, {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}},
    {-0x0p+0, {0x8000, 0x8000, 0x80, 0x00, 0x80, 0x00, 0x08}, {0x80, 0x00, 0x80, 0x00}},
    {0x1p+0, {0x3c00, 0x3f80, 0x38, 0x40, 0x3c, 0x40, 0x02}, {0x38, 0x40, 0x3c, 0x40}},
    {-0x1p+0, {0xbc00, 0xbf80, 0xb8, 0xc0, 0xbc, 0xc0, 0x0a}, {0xb8, 0xc0, 0xbc, 0xc0}},
    {0x1.99999ap-4, {0x2e66, 0x3dcd, 0x1d, 0x25, 0x2e, 0x32, 0x00}, {0x1d, 0x25, 0x2e, 0x32}},
    {0x1.555556p-2, {0x3555, 0x3eab, 0x2b, 0x33, 0x35, 0x39, 0x01}, {0x2b, 0x33, 0x35, 0x39}},
    {0x1.88p+1, {0x4220, 0x4044, 0x44, 0x4c, 0x42, 0x46, 0x05}, {0x44, 0x4c, 0x42, 0x46}},
    {-0x1.18p+4, {0xcc60, 0xc18c, 0xd9, 0xe1, 0xcc, 0xd0, 0x0f}, {0xd9, 0xe1, 0xcc, 0xd0}},
    {0x1.ep+7, {0x5b80, 0x4370, 0x77, 0x7f, 0x5c, 0x60, 0x07}, {0x77, 0x7f, 0x5c, 0x60}},
    {0x1.efccccp+7, {0x5bbf, 0x4378, 0x77, 0x7f, 0x5c, 0x60, 0x07}, {0x77, 0x7f, 0x5c, 0x60}},
    {0x1.fp+7, {0x5bc0, 0x4378, 0x78, 0x80, 0x5c, 0x60, 0x07}, {0x78, 0x7f, 0x5c, 0x60}},
    {0x1.cp+8, {0x5f00, 0x43e0, 0x7e, 0x80, 0x5f, 0x63, 0x07}, {0x7e, 0x7f, 0x5f, 0x63}},
    {0x1.dp+8, {0x5f40, 0x43e8, 0x7e, 0x80, 0x5f, 0x63, 0x07}, {0x7e, 0x7f, 0x5f, 0x63}},
    {0x1.d08p+8, {0x5f42, 0x43e8, 0x7f, 0x80, 0x5f, 0x63, 0x07}, {0x7e, 0x7f, 0x5f, 0x63}},
    {0x1.ep+8, {0x5f80, 0x43f0, 0x7f, 0x80, 0x60, 0x64, 0x07}, {0x7e, 0x7f, 0x60, 0x64}},
    {-0x1.f4p+8, {0xdfd0, 0xc3fa, 0xff, 0x80, 0xe0, 0xe4, 0x0f}, {0xfe, 0xff, 0xe0, 0xe4}},
    {0x1.cp+15, {0x7b00, 0x4760, 0x7f, 0x80, 0x7b, 0x7f, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.dffep+15, {0x7b80, 0x4770, 0x7f, 0x80, 0x7b, 0x7f, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.ep+15, {0x7b80, 0x4770, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.ffcp+15, {0x7bff, 0x4780, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.ffdep+15, {0x7bff, 0x4780, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.ffep+15, {0x7c00, 0x4780, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {0x1.dcd65p+29, {0x7c00, 0x4e6e, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {-0x1.dcd65p+29, {0xfc00, 0xce6e, 0xff, 0x80, 0xfc, 0x80, 0x0f}, {0xfe, 0xff, 0xfb, 0xff}},
    {0x1p-6, {0x2400, 0x3c80, 0x08, 0x10, 0x24, 0x28, 0x00}, {0x08, 0x10, 0x24, 0x28}},
    {0x1.19999ap-7, {0x2066, 0x3c0d, 0x04, 0x09, 0x20, 0x24, 0x00}, {0x04, 0x09, 0x20, 0x24}},
    {0x1p-9, {0x1800, 0x3b00, 0x01, 0x02, 0x18, 0x1c, 0x00}, {0x01, 0x02, 0x18, 0x1c}},
    {0x1p-10, {0x1400, 0x3a80, 0x00, 0x01, 0x14, 0x18, 0x00}, {0x00, 0x01, 0x14, 0x18}},
    {0x1.00418ap-10, {0x1401, 0x3a80, 0x01, 0x01, 0x14, 0x18, 0x00}, {0x01, 0x01, 0x14, 0x18}},
    {0x1p-11, {0x1000, 0x3a00, 0x00, 0x00, 0x10, 0x14, 0x00}, {0x00, 0x00, 0x10, 0x14}},
    {0x1p-16, {0x100, 0x3780, 0x00, 0x00, 0x01, 0x02, 0x00}, {0x00, 0x00, 0x01, 0x02}},
    {0x1p-17, {0x80, 0x3700, 0x00, 0x00, 0x00, 0x01, 0x00}, {0x00, 0x00, 0x00, 0x01}},
    {0x1.8p-17, {0xc0, 0x3740, 0x00, 0x00, 0x01, 0x02, 0x00}, {0x00, 0x00, 0x01, 0x02}},
    {0x1.01b2b2p-24, {0x01, 0x3381, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}},
    {0x1.f2375ap-26, {0x00, 0x32f9, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}},
    {0x1p-25, {0x00, 0x3300, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}},
    {0x1.16c2p-133, {0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x00, 0x00, 0x00}},
    {INFINITY, {0x7c00, 0x7f80, 0x7f, 0x80, 0x7c, 0x80, 0x07}, {0x7e, 0x7f, 0x7b, 0x7f}},
    {-INFINITY, {0xfc00, 0xff80, 0xff, 0x80, 0xfc, 0x80, 0x0f}, {0xfe, 0xff, 0xfb, 0xff}},
    {NAN, {0x7e00, 0x7fc0, 0x7f, 0x80, 0x7e, 0x80, 0x08}, {0x7f, 0x80, 0x7e, 0x80}},
};
enum { N_CODES = sizeof CODES / sizeof *CODES };

static double load_code(TgDtype t, uint16_t code)
{
    uint8_t bytes[2] = {(uint8_t)code, (uint8_t)(code >> 8)};
    return tg_load_float(t, bytes, 0);
}

static void rounds_as_ml_dtypes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CODES; i++) {
        for (size_t k = 0; k < N_TYPES; k++) {
            double got = tg_round_float(TYPES[k], CODES[i].x, false);
            if (!same(got, load_code(TYPES[k], CODES[i].plain[k])))
                fail_msg("%s of %a gives %a", tg_dtype_text(TYPES[k]), CODES[i].x, got);
        }
    }
}

static void stores_as_saturate_cast(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CODES; i++) {
        for (size_t k = 0; k < N_TYPES; k++) {
            uint8_t bytes[2] = {0, 0};
            bool float8 = k >= FIRST_F8 && k < FIRST_F8 + N_F8;
            bool kept = isinf(CODES[i].x) && TYPES[k] == TG_f8e5m2; /* an infinity that the type has */
            unsigned want = float8 && !kept ? CODES[i].saturated[k - FIRST_F8] : CODES[i].plain[k];
            tg_store_float(TYPES[k], bytes, 0, CODES[i].x);
            unsigned got = bytes[0] | (unsigned)bytes[1] << 8;
            if (got != want && CODES[i].x == CODES[i].x)
                fail_msg("%s of %a is stored as %x, not %x", tg_dtype_text(TYPES[k]), CODES[i].x, got, want);
        }
    }
}

/* --- decoding: the definition of each format ---------------------------------------------------------- */

static void decodes_by_definition(void **state)
{
    (void)state;
    static const struct {
        TgDtype t;
        int exponent, mantissa, bias;
        unsigned finite; /* codes below are finite */
    } formats[] = {{TG_f16, 5, 10, 15, 0x7c00},    {TG_bf16, 8, 7, 127, 0x7f80},
                   {TG_f8e4m3fn, 4, 3, 7, 0x7f},   {TG_f8e5m2, 5, 2, 15, 0x7c},
                   {TG_f8e4m3fnuz, 4, 3, 8, 0x80}, {TG_f8e5m2fnuz, 5, 2, 16, 0x80},
                   {TG_f4e2m1, 2, 1, 1, 8}};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        for (unsigned code = 0; code < formats[f].finite; code++) {
            int e = (int)(code >> formats[f].mantissa), m = (int)(code & ((1u << formats[f].mantissa) - 1));
            int hidden = e ? 1 << formats[f].mantissa : 0;
            double want = ldexp(m + hidden, (e ? e : 1) - formats[f].bias - formats[f].mantissa);
            assert_true(same(load_code(formats[f].t, (uint16_t)code), want));
            uint8_t back[2] = {0, 0};
            tg_store_float(formats[f].t, back, 0, want);
            assert_int_equal(back[0] | back[1] << 8, code);
        }
    }
    assert_true(isinf(load_code(TG_f16, 0x7c00)) && isnan(load_code(TG_f16, 0x7c01)));
    assert_true(isnan(load_code(TG_f8e4m3fn, 0xff)) && isnan(load_code(TG_f8e4m3fnuz, 0x80)));
    assert_true(load_code(TG_f8e5m2, 0xfc) == -(double)INFINITY);
}

/* A double just above a tie of f16 must not be rounded to the tie first. */
static void rounds_once(void **state)
{
    (void)state;
    double above_tie = 1 + 0x1p-11 + 0x1p-40;
    assert_true(tg_round_float(TG_f16, above_tie, false) == 1 + 0x1p-10);
    assert_true(tg_round_float(TG_f16, 1 + 0x1p-11, false) == 1);
    assert_true(tg_round_float(TG_bf16, 1 + 0x1p-8 + 0x1p-45, false) == 1 + 0x1p-7);
    assert_true(tg_round_float(TG_f32, 0.1, false) == (double)0.1f);
    assert_true(tg_round_float(TG_f64, 0.1, false) == 0.1);
}

/* onnx.numpy_helper.to_float8e8m0, columns: saturated up, down, nearest, then not saturated. */
static void rounds_powers_of_two(void **state)
{
    (void)state;
    static const struct {
        double x;
        uint8_t code[6];
    } rows[] = {{0x1p-126, {1, 1, 1, 1, 1, 1}},
                {0x1.19999ap-126, {2, 1, 1, 2, 1, 1}},
                {1.0, {127, 127, 127, 127, 127, 127}},
                {1.25, {128, 127, 127, 128, 127, 127}},
                {1.5, {128, 127, 128, 128, 127, 128}},
                {1.75, {128, 127, 128, 128, 127, 128}},
                {3.0, {129, 128, 129, 129, 128, 129}},
                {0x1p127, {254, 254, 254, 254, 254, 254}},
                {0x1.19999ap127, {254, 254, 254, 255, 254, 254}},
                {0x1.99999ap127, {254, 254, 254, 255, 254, 255}},
                {(double)NAN, {255, 255, 255, 255, 255, 255}}};
    static const TgRounding modes[] = {TG_ROUND_UP, TG_ROUND_DOWN, TG_ROUND_NEAREST};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < 6; k++) {
            double got = tg_round_e8m0(rows[i].x, k < 3, modes[k % 3]);
            assert_true(same(got, load_code(TG_f8e8m0, rows[i].code[k])));
        }
    }
    assert_true(load_code(TG_f8e8m0, 0) == 0x1p-127);
}

/* The fast conversions of many elements against those of one: all codes, and floats around every rounding
 * boundary. */
static void bulk_equals_single(void **state)
{
    (void)state;
    static const TgDtype types[] = {TG_f16, TG_bf16, TG_f8e4m3fn, TG_f8e5m2};
    for (size_t k = 0; k < 4; k++) {
        for (uint32_t code = 0; code < 0x10000; code++) {
            uint16_t bytes = (uint16_t)code, back = 0, want = 0;
            float x, near[3];
            double wide;
            tg_load_f32s(types[k], &bytes, 1, &x);
            tg_load_f64s(types[k], &bytes, 1, &wide);
            assert_true(same((double)x, tg_load_float(types[k], &bytes, 0)) && same(wide, (double)x));
            float half_up = x + (nextafterf(x, INFINITY) - x);
            float next = (float)load_code(types[k], (uint16_t)(code + 1)), middle = x / 2 + next / 2;
            near[0] = middle;
            near[1] = nextafterf(middle, INFINITY);
            near[2] = isfinite(x) ? half_up : x;
            for (size_t i = 0; i < 3; i++) {
                float rounded = near[i];
                tg_round_f32s(types[k], &rounded, 1);
                assert_true(same((double)rounded, tg_round_float(types[k], (double)near[i], false)));
                tg_store_f32s(types[k], &back, 1, &near[i]);
                tg_store_float(types[k], &want, 0, (double)near[i]);
                assert_int_equal(back, want);
            }
        }
    }
}

/* --- integers and packing ----------------------------------------------------------------------------- */

static void wraps_integers(void **state)
{
    (void)state;
    assert_int_equal(tg_wrap_integer(TG_i8, 200), -56);
    assert_int_equal(tg_wrap_integer(TG_u8, -1), 255);
    assert_int_equal(tg_wrap_integer(TG_i4, 8), -8);
    assert_int_equal(tg_wrap_integer(TG_u4, 17), 1);
    assert_int_equal(tg_wrap_integer(TG_i2, 2), -2);
    assert_int_equal(tg_wrap_integer(TG_u2, 5), 1);
    assert_int_equal(tg_wrap_integer(TG_i32, INT64_C(1) << 31), INT32_MIN);
    assert_true(tg_wrap_integer(TG_u64, -1) == -1);
    assert_int_equal(tg_wrap_integer(TG_bool, 36), 1);
}

static void packs_low_bits_first(void **state)
{
    (void)state;
    uint8_t bytes[2] = {0, 0};
    static const int64_t values[] = {1, -2, 7};
    for (size_t i = 0; i < 3; i++)
        tg_store_integer(TG_i4, bytes, i, values[i]);
    assert_int_equal(bytes[0], 0xe1);
    assert_int_equal(bytes[1], 0x07);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tg_load_integer(TG_i4, bytes, i), values[i]);
    bytes[0] = 0;
    for (size_t i = 0; i < 4; i++)
        tg_store_integer(TG_u2, bytes, i, (int64_t)i);
    assert_int_equal(bytes[0], 0xe4);
    assert_int_equal(tg_load_integer(TG_i2, bytes, 3), -1);
    tg_store_float(TG_f4e2m1, bytes, 1, -1.5);
    assert_int_equal(bytes[0] >> 4, 0xb);
    assert_true(tg_load_float(TG_f4e2m1, bytes, 1) == -1.5);
}

static void counts_bytes(void **state)
{
    (void)state;
    assert_int_equal(tg_dtype_bytes(TG_f32, 3), 12);
    assert_int_equal(tg_dtype_bytes(TG_i4, 3), 2);
    assert_int_equal(tg_dtype_bytes(TG_u2, 4), 1);
    assert_int_equal(tg_dtype_bytes(TG_u2, 5), 2);
    assert_int_equal(tg_dtype_bytes(TG_c128, 2), 32);
    assert_int_equal(tg_dtype_bytes(TG_str, 9), 0);
}

static void converts_between_classes(void **state)
{
    (void)state;
    uint8_t bytes[8];
    uint64_t all_ones = UINT64_MAX;
    assert_true(tg_load_float(TG_u64, &all_ones, 0) == 0x1p64);
    tg_store_float(TG_i8, bytes, 0, -3.9);
    assert_int_equal(tg_load_integer(TG_i8, bytes, 0), -3);
    tg_store_float(TG_i64, bytes, 0, 1e30);
    assert_true(tg_load_integer(TG_i64, bytes, 0) == INT64_MAX);
    tg_store_float(TG_bool, bytes, 0, 0.25);
    assert_int_equal(tg_load_integer(TG_bool, bytes, 0), 1);
    tg_store_integer(TG_f16, bytes, 0, 2049);
    assert_true(tg_load_float(TG_f16, bytes, 0) == 2048);
}

static void finds_names(void **state)
{
    (void)state;
    for (TgDtype t = TG_undefined + 1; t < TG_DTYPE_COUNT; t++) {
        const char *text = tg_dtype_text(t);
        assert_int_equal(tg_dtype_find(text, strlen(text)), t);
    }
    assert_int_equal(tg_dtype_find("f8e4m3", 6), TG_undefined);
    assert_int_equal(tg_dtype_find("f3", 2), TG_undefined);
    assert_int_equal(tg_dtype_class((TgDtype)99), TG_CLASS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_as_ml_dtypes),   cmocka_unit_test(stores_as_saturate_cast),
        cmocka_unit_test(decodes_by_definition), cmocka_unit_test(rounds_once),
        cmocka_unit_test(rounds_powers_of_two),  cmocka_unit_test(wraps_integers),
        cmocka_unit_test(bulk_equals_single),    cmocka_unit_test(packs_low_bits_first),
        cmocka_unit_test(counts_bytes),          cmocka_unit_test(converts_between_classes),
        cmocka_unit_test(finds_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
