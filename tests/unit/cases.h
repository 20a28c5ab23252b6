/* Cases of one node, written as text; shared by the tests of kernels and of definitions.
 *
 * An operand is "f32[2,3] 1 2.5 7*4 0:9 ~3": numbers, repetitions, ramps, and scattered numbers that fill the
 * rest (a formula, so that other programs can make the same ones). Attributes are "strides=2,1 mode=cubic";
 * their kinds are those of ops.def. */
#ifndef TESTS_CASES_H
#define TESTS_CASES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/ir.h"

enum { MOST_IN = 17, MOST_OUT = 4 };

static Tg *tg;

static int open_context(void **state)
{
    (void)state;
    tg = tg_open(NULL);
    return tg == NULL;
}

static int close_context(void **state)
{
    (void)state;
    tg_close(tg);
    return 0;
}

/* --- cases as text -------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    TgOp op;
    /* in NULL: absent (the last one present ends the list) */
    const char *attrs, *in[MOST_IN], *out[MOST_OUT];
} Case;

static void put_number(TgEvalMode mode, TgArray *a, int64_t i, double x)
{
    if (i >= a->count)
        fail_msg("too many numbers");
    if (tg_dtype_class(a->dtype) == TG_CLASS_F)
        tg_array_set_float(mode, a, i, x);
    else
        tg_array_set_int(a, i, (int64_t)x);
}

/* Number i of the scattered numbers of a seed: in [-1.5, 1.5], in steps of 1/20. */
static double scattered_number(int64_t i, int64_t seed)
{
    return (double)((i + 1) * (37 + 2 * seed) % 61 - 30) / 20;
}

/* Reads one item of the list: x, x*n, x:y or ~seed. Returns what it filled. */
static int64_t read_item(TgEvalMode mode, TgArray *a, int64_t i, const char **text)
{
    char *end;
    if (**text == '~') {
        int64_t seed = strtoll(*text + 1, &end, 10), from = i;
        for (; i < a->count; i++)
            put_number(mode, a, i, scattered_number(i, seed));
        *text = end;
        return i - from;
    }
    double first = strtod(*text, &end), step = 0;
    int64_t n = 1;
    if (end == *text)
        fail_msg("no number at '%s'", *text);
    if (*end == '*') {
        n = strtoll(end + 1, &end, 10);
    } else if (*end == ':') {
        double last = strtod(end + 1, &end);
        n = (int64_t)fabs(last - first) + 1;
        step = last < first ? -1 : 1;
    }
    for (int64_t k = 0; k < n; k++)
        put_number(mode, a, i + k, first + step * (double)k);
    *text = end + strspn(end, " ");
    return n;
}

static TgArray array_of(TgEvalMode mode, const char *text)
{
    int64_t dim[8];
    int32_t rank = 0;
    size_t n = strcspn(text, "[");
    TgDtype dtype = tg_dtype_find(text, n);
    assert_int_not_equal(dtype, TG_undefined);
    for (text += n + 1; *text != ']'; text += *text == ',') {
        char *end;
        dim[rank++] = strtoll(text, &end, 10);
        text = end;
    }
    text += 1 + strspn(text + 1, " ");
    TgArray a = tg_array_new(tg, mode, dtype, rank, dim);
    int64_t i = 0;
    while (*text)
        i += read_item(mode, &a, i, &text);
    if (i != a.count)
        fail_msg("%lld numbers for %lld elements", (long long)i, (long long)a.count);
    return a;
}

/* The letters behind `name=` in the attribute list of ops.def. */
static const char *kind_of(TgOp op, const char *name, size_t n)
{
    for (const char *at = tg_op_info(op)->attrs; *at; at += strspn(at, " ")) {
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            return at + n + 1;
        at += strcspn(at, " ");
    }
    fail_msg("no attribute %.*s", (int)n, name);
    return "";
}

static void put_list(TgAttrBuild *b, TgName name, char kind, char *values)
{
    int64_t ints[16];
    float floats[16];
    TgBytes strings[16];
    uint32_t n = 0;
    for (char *rest = values, *at; (at = strtok_r(rest, ",", &rest)) != NULL; n++) {
        ints[n] = strtoll(at, NULL, 10);
        floats[n] = strtof(at, NULL);
        strings[n] = (TgBytes){(const uint8_t *)at, strlen(at)};
    }
    if (kind == 'i')
        tg_attrs_ints(b, name, n, ints);
    else if (kind == 'f')
        tg_attrs_floats(b, name, n, floats);
    else
        tg_attrs_put(b, (TgAttr){.name = name, .kind = TG_A_STRINGS, .n = n, .u.strings = strings});
}

static const TgAttrs *attrs_of(TgOp op, const char *text)
{
    char copy[256], *rest = copy;
    snprintf(copy, sizeof copy, "%s", text);
    TgAttrBuild b;
    tg_attrs_begin(&b, tg);
    for (char *at; (at = strtok_r(rest, " ", &rest)) != NULL;) {
        size_t n = strcspn(at, "=");
        const char *kind = kind_of(op, at, n);
        TgName name = tg_name_n(tg, at, n);
        char *value = at + n + 1;
        if (kind[1] == 's')
            put_list(&b, name, kind[0], value);
        else if (kind[0] == 'i')
            tg_attrs_int(&b, name, strtoll(value, NULL, 10));
        else if (kind[0] == 'f')
            tg_attrs_float(&b, name, strtof(value, NULL));
        else
            tg_attrs_string(&b, name, value);
    }
    return tg_attrs_end(&b, op);
}

/* --- running and comparing ------------------------------------------------------------------------------ */

/* Runs one node; false: refused. */
static bool run(TgEvalMode mode, TgOp op, const char *attrs, uint32_t n_in, const TgArray *const *in,
                uint32_t n_out,
                TgArray *out)
{
    TgValue value[MOST_IN] = {0}, made[MOST_OUT];
    for (uint32_t i = 0; i < n_in; i++)
        value[i] = in[i] ? i + 1 : 0;
    for (uint32_t i = 0; i < n_out; i++)
        made[i] = n_in + i + 1;
    TgNodeInfo n = {.op = op, .attrs = attrs_of(op, attrs), .n_in = n_in, .n_formal = n_in, .in = value,
                    .n_out = n_out,
                    .out = made};
    TgEvalOptions options = {.mode = mode, .threads = 1, .seed = 7};
    return tg_eval_node(tg, NULL, &n, &options, in, out);
}

static double number(TgEvalMode mode, const TgArray *a, int64_t i)
{
    return tg_dtype_class(a->dtype) == TG_CLASS_F ? tg_array_float(mode, a, i) : (double)tg_array_int(a, i);
}

static void compare(const char *name, TgEvalMode mode, const TgArray *got, const TgArray *want,
                    double tolerance)
{
    if (got->dtype != want->dtype || got->rank != want->rank || got->count != want->count
        || memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) != 0)
        fail_msg("%s: another type or shape (%lld elements of %s)", name, (long long)got->count,
                 tg_dtype_text(got->dtype));
    for (int64_t i = 0; i < want->count; i++) {
        double x = number(mode, got, i), y = number(mode, want, i);
        bool equal = x == y || (x != x && y != y) || fabs(x - y) <= tolerance + tolerance * fabs(y);
        if (!equal)
            fail_msg("%s: element %lld is %.9g, not %.9g", name, (long long)i, x, y);
    }
}

static const char *last_message(void)
{
    uint32_t n = tg_diag_count(tg);
    return n ? tg_diag(tg, n - 1)->message : "without a message";
}

static void check_case(const Case *t, TgEvalMode mode, double tolerance)
{
    TgArray in[MOST_IN], out[MOST_OUT] = {0};
    const TgArray *operand[MOST_IN] = {0};
    uint32_t n_in = 0, n_out = 0;
    for (uint32_t i = 0; i < MOST_IN; i++)
        if (t->in[i]) {
            in[i] = array_of(mode, t->in[i]);
            operand[i] = &in[i];
            n_in = i + 1;
        }
    while (n_out < MOST_OUT && t->out[n_out])
        n_out++;
    if (!run(mode, t->op, t->attrs, n_in, operand, n_out, out))
        fail_msg("%s: refused: %s", t->name, last_message());
    for (uint32_t i = 0; i < n_out; i++) {
        TgArray want = array_of(mode, t->out[i]);
        compare(t->name, mode, &out[i], &want, tolerance);
        tg_array_drop(tg, &want);
        tg_array_drop(tg, &out[i]);
    }
    for (uint32_t i = 0; i < n_in; i++)
        if (operand[i])
            tg_array_drop(tg, &in[i]);
}

static inline void check_rows(const Case *rows, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        for (TgEvalMode mode = TG_EVAL_NATIVE; mode <= TG_EVAL_F64; mode++)
            check_case(&rows[i], mode, tolerance);
}

#define CHECK_ROWS(rows, tolerance) check_rows((rows), sizeof(rows) / sizeof *(rows), (tolerance))

#endif
