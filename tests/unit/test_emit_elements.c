/* Every elementwise operator and element type as emitted C, against formulas in double or 64-bit integers.
 *
 * One graph has an output per case; the package of it is compiled and run once. */
#include "emitted.h"

enum { N = 64, MOST_CASES = 500 };

typedef struct {
    TgOp op;
    const char *attrs;  /* "mod=1" as in tg_attrs; NULL: none */
    int64_t attr;
    double constant;    /* the second operand, where has_constant */
    bool has_constant;
    TgDtype dtype, other; /* of the first operand, and of the second one where it differs (0: the same) */
    uint32_t n_in;
} Case;

static Tg *tg;
static TgModel *model;
static Case cases[MOST_CASES];
static uint32_t n_cases;
static TgValue input_of[TG_DTYPE_COUNT][2];

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

/* --- operands ----------------------------------------------------------------------------------------------------- */

static double real_operand(int slot, int i)
{
    static const double SPECIAL[] = {
        0.0,         -0.0, 1,  -1,   0.5, -0.5, 1.5, 2.5,  -2.5, 3,  (double)INFINITY, -(double)INFINITY,
        (double)NAN, 7,    -7, 0.25, 20,  -20,  100, -100, 6,    200};
    enum { SPECIALS = sizeof SPECIAL / sizeof SPECIAL[0] };
    int k = slot ? (i * 5 + 3) % N : i;
    return k < SPECIALS ? SPECIAL[k] : (double)((k * 37) % 61 - 30) / 8;
}

static int64_t integer_operand(TgDtype t, int slot, int i)
{
    static const int64_t SPECIAL[] = {0,         1,     -1,   2,     -2,     3,         7,         -7,
                                      127,       -128,  255,  32767, -32768, INT32_MAX, INT32_MIN, INT64_MAX,
                                      INT64_MIN, 65535, 1000, 5,     4,      15};
    enum { SPECIALS = sizeof SPECIAL / sizeof SPECIAL[0] };
    int k = slot ? (i * 5 + 3) % N : i;
    int64_t x = k < SPECIALS ? SPECIAL[k] : (k * 37) % 61 - 30;
    return tg_wrap_integer(t, t == TG_bool ? x & 1 : x);
}

/* As packages store it: one element per byte at least. */
static void store(TgDtype t, unsigned char *bytes, int i, double x, int64_t n)
{
    if (tg_is_float(t) && tg_dtype_bits(t) == 4) {
        bytes[i] = 0;
        tg_store_float(t, &bytes[i], 0, x);
    } else if (tg_is_float(t)) {
        tg_store_float(t, bytes, (size_t)i, x);
    } else if (tg_dtype_bits(t) < 8) {
        bytes[i] = (unsigned char)n;
    } else {
        tg_store_integer(t, bytes, (size_t)i, n);
    }
}

static double load_real(TgDtype t, const unsigned char *bytes, int i)
{
    return tg_dtype_bits(t) == 4 ? tg_load_float(t, &bytes[i], 0) : tg_load_float(t, bytes, (size_t)i);
}

static int64_t load_integer(TgDtype t, const unsigned char *bytes, int i)
{
    if (tg_dtype_bits(t) >= 8)
        return tg_load_integer(t, bytes, (size_t)i);
    return tg_dtype_class(t) == TG_CLASS_I ? (int64_t)(signed char)bytes[i] : (int64_t)bytes[i];
}

/* --- what must come out ------------------------------------------------------------------------------------------- */

static double nan_wins(double x, double y, bool most)
{
    return isnan(x) ? x : isnan(y) ? y : most ? fmax(x, y) : fmin(x, y);
}

static double sign_of(double x)
{
    return isnan(x) ? x : (double)((x > 0) - (x < 0));
}

static double real_result(const Case *c, double x, double y)
{
    switch (c->op) {
    case TG_Abs: return fabs(x);
    case TG_Neg: return -x;
    case TG_Exp: return exp(x);
    case TG_Log: return log(x);
    case TG_Sqrt: return sqrt(x);
    case TG_Reciprocal: return 1 / x;
    case TG_Sin: return sin(x);
    case TG_Cos: return cos(x);
    case TG_Tan: return tan(x);
    case TG_Asin: return asin(x);
    case TG_Acos: return acos(x);
    case TG_Atan: return atan(x);
    case TG_Sinh: return sinh(x);
    case TG_Cosh: return cosh(x);
    case TG_Asinh: return asinh(x);
    case TG_Acosh: return acosh(x);
    case TG_Atanh: return atanh(x);
    case TG_Tanh: return tanh(x);
    case TG_Sigmoid: return 1 / (1 + exp(-x));
    case TG_Erf: return erf(x);
    case TG_Floor: return floor(x);
    case TG_Ceil: return ceil(x);
    case TG_Round: return rint(x);
    case TG_Sign: return sign_of(x);
    case TG_Identity:
    case TG_Cast: return x;
    case TG_IsNaN: return isnan(x);
    case TG_IsInf:
        return c->attrs ? isinf(x) && (x > 0) == (strcmp(c->attrs, "detect_negative=i") == 0) : isinf(x) != 0;
    case TG_Add: return x + y;
    case TG_Sub: return x - y;
    case TG_Mul: return x * y;
    case TG_Div: return x / y;
    case TG_Pow: return pow(x, y);
    case TG_Mod: {
        double r = fmod(x, y);
        return c->attr || r == 0 || (r < 0) == (y < 0) ? r : r + y;
    }
    case TG_Max: return nan_wins(x, y, true);
    case TG_Min: return nan_wins(x, y, false);
    case TG_Equal: return x == y;
    case TG_Less: return x < y;
    case TG_LessOrEqual: return x <= y;
    case TG_Greater: return x > y;
    case TG_GreaterOrEqual: return x >= y;
    default: fail_msg("no formula"); return 0;
    }
}

static int64_t power_of(int64_t x, int64_t y)
{
    uint64_t z = 1;
    if (y < 0)
        return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
    for (int bit = 62; bit >= 0; bit--) /* from the highest bit */
        z = z * z * (y >> bit & 1 ? (uint64_t)x : 1);
    return (int64_t)z;
}

/* Quotient and remainder over the wide integers; signed and unsigned. */
static int64_t quotient(bool u, int64_t x, int64_t y)
{
    if (y == 0)
        return 0;
    if (u)
        return (int64_t)((uint64_t)x / (uint64_t)y);
    return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y;
}

static int64_t remainder_of(bool u, int64_t x, int64_t y, bool floor_mod)
{
    if (y == 0 || (y == -1 && !u))
        return 0;
    if (u)
        return (int64_t)((uint64_t)x % (uint64_t)y);
    int64_t r = x % y;
    return floor_mod && r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

static bool less(bool u, int64_t x, int64_t y)
{
    return u ? (uint64_t)x < (uint64_t)y : x < y;
}

static int64_t integer_result(const Case *c, int64_t x, int64_t y)
{
    bool u = c->dtype == TG_u64;
    switch (c->op) {
    case TG_Abs: return (int64_t)(x < 0 && !u ? 0 - (uint64_t)x : (uint64_t)x);
    case TG_Neg: return (int64_t)(0 - (uint64_t)x);
    case TG_Sign: return u ? x != 0 : (x > 0) - (x < 0);
    case TG_Not: return !x;
    case TG_BitwiseNot: return ~x;
    case TG_Identity: return x;
    case TG_Add: return (int64_t)((uint64_t)x + (uint64_t)y);
    case TG_Sub: return (int64_t)((uint64_t)x - (uint64_t)y);
    case TG_Mul: return (int64_t)((uint64_t)x * (uint64_t)y);
    case TG_Div: return quotient(u, x, y);
    case TG_Mod: return remainder_of(u, x, y, !c->attr);
    case TG_Pow: return power_of(x, y);
    case TG_Max: return less(u, x, y) ? y : x;
    case TG_Min: return less(u, x, y) ? x : y;
    case TG_BitShift: return (uint64_t)y > 63 ? 0 : (int64_t)(c->attr ? (uint64_t)x >> y : (uint64_t)x << y);
    case TG_BitwiseAnd: return x & y;
    case TG_BitwiseOr: return x | y;
    case TG_BitwiseXor: return x ^ y;
    case TG_And: return x && y;
    case TG_Or: return x || y;
    case TG_Xor: return !x != !y;
    case TG_Equal: return x == y;
    case TG_Less: return less(u, x, y);
    case TG_LessOrEqual: return !less(u, y, x);
    case TG_Greater: return less(u, y, x);
    case TG_GreaterOrEqual: return !less(u, x, y);
    default: fail_msg("no formula"); return 0;
    }
}

/* --- the graph ---------------------------------------------------------------------------------------------------- */

static const TgDtype FLOATS[] = {TG_f32, TG_f64, TG_f16, TG_bf16};
static const TgDtype INTEGERS[] = {TG_i8, TG_i16, TG_i32, TG_i64, TG_u8, TG_u16, TG_u32, TG_u64};
static const TgDtype SMALL[] = {TG_f8e4m3fn, TG_f8e4m3fnuz, TG_f8e5m2, TG_f8e5m2fnuz, TG_f4e2m1,
                                TG_i4,       TG_u4,         TG_i2,     TG_u2};

#define EACH(list, i) for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)

static void add_input(TgDtype t)
{
    const TgType *type = tg_type_known(tg, t, 1, (int64_t[]){N});
    for (int k = 0; k < 2; k++)
        input_of[t][k] =
            tg_graph_input(model->graph, type, tg_name_format(tg, "%s %s", k ? "y" : "x", tg_dtype_text(t)));
}

static void add_case(Case c)
{
    TgGraph *g = model->graph;
    TgValue in[2] = {input_of[c.dtype][0], input_of[c.other ? c.other : c.dtype][1]};
    if (c.has_constant)
        in[1] = tg_graph_const(g, tg_tensor_scalar_float(model->arena, c.dtype, c.constant), NULL);
    const TgAttrs *attrs = NULL;
    if (c.op == TG_BitShift)
        attrs = tg_attrs(tg, c.op, "direction=s", c.attr ? "RIGHT" : "LEFT");
    else if (c.attrs)
        attrs = tg_attrs(tg, c.op, c.attrs, c.attr);
    TgNode n = tg_graph_add(g, c.op, attrs, c.n_in, in, 1);
    assert_int_not_equal(n, 0);
    tg_graph_return(g, tg_node(g, n)->out[0], tg_name_format(tg, "out %u", n_cases), NULL);
    assert_true(n_cases < MOST_CASES);
    cases[n_cases++] = c;
}

static void add_float_cases(TgDtype t)
{
    static const TgOp UNARY[] = {TG_Abs,   TG_Neg,   TG_Exp,   TG_Log,   TG_Sqrt,    TG_Reciprocal, TG_Sin,
                                 TG_Cos,   TG_Tan,   TG_Asin,  TG_Acos,  TG_Atan,    TG_Sinh,       TG_Cosh,
                                 TG_Asinh, TG_Acosh, TG_Atanh, TG_Tanh,  TG_Sigmoid, TG_Erf,        TG_Floor,
                                 TG_Ceil,  TG_Round, TG_Sign,  TG_IsNaN, TG_IsInf,   TG_Identity};
    static const TgOp BINARY[] = {TG_Add, TG_Sub, TG_Mul, TG_Div, TG_Pow, TG_Max, TG_Min, TG_Equal, TG_Less,
                                  TG_LessOrEqual, TG_Greater, TG_GreaterOrEqual};
    static const double EXPONENT[] = {0, 1, 2, 3, -1, -2, 1.75};
    EACH(UNARY, i) add_case((Case){.op = UNARY[i], .dtype = t, .n_in = 1});
    EACH(BINARY, i) add_case((Case){.op = BINARY[i], .dtype = t, .n_in = 2});
    EACH(EXPONENT, i)
    add_case((Case){.op = TG_Pow, .dtype = t, .n_in = 2, .has_constant = true, .constant = EXPONENT[i]});
    add_case((Case){.op = TG_Mod, .dtype = t, .n_in = 2, .attrs = "fmod=i", .attr = 1});
    add_case((Case){.op = TG_Max, .dtype = t, .n_in = 2, .has_constant = true});
    add_case((Case){.op = TG_Min, .dtype = t, .n_in = 2, .has_constant = true, .constant = 6});
    add_case((Case){.op = TG_IsInf, .dtype = t, .n_in = 1, .attrs = "detect_negative=i"});
    add_case((Case){.op = TG_IsInf, .dtype = t, .n_in = 1, .attrs = "detect_positive=i"});
    add_case((Case){.op = TG_Pow, .dtype = t, .other = TG_i32, .n_in = 2});
}

static void add_integer_cases(TgDtype t)
{
    static const TgOp UNARY[] = {TG_Abs, TG_Neg, TG_Sign, TG_BitwiseNot, TG_Identity};
    static const TgOp BINARY[] = {TG_Add,  TG_Sub,         TG_Mul,        TG_Div,           TG_Mod,        TG_Pow,
                                  TG_Max,  TG_Min,         TG_BitwiseAnd, TG_BitwiseOr,     TG_BitwiseXor, TG_Equal,
                                  TG_Less, TG_LessOrEqual, TG_Greater,    TG_GreaterOrEqual};
    EACH(UNARY, i) add_case((Case){.op = UNARY[i], .dtype = t, .n_in = 1});
    EACH(BINARY, i) if (BINARY[i] != TG_Pow || t != TG_u64) add_case((Case){.op = BINARY[i], .dtype = t, .n_in = 2});
    add_case((Case){.op = TG_Mod, .dtype = t, .n_in = 2, .attrs = "fmod=i", .attr = 1});
    for (int right = 0; right < 2 && tg_dtype_class(t) == TG_CLASS_U; right++)
        add_case((Case){.op = TG_BitShift, .dtype = t, .n_in = 2, .attr = right});
}

static void add_casts(void)
{
    TgDtype all[32];
    uint32_t n = 0;
    EACH(FLOATS, i) all[n++] = FLOATS[i];
    EACH(INTEGERS, i) all[n++] = INTEGERS[i];
    EACH(SMALL, i) all[n++] = SMALL[i];
    all[n++] = TG_bool;
    for (uint32_t from = 0; from < n; from++)
        for (uint32_t to = 0; to < n; to++)
            if (from < 12 || to < 3) /* between small types: by way of the others */
                add_case(
                    (Case){.op = TG_Cast, .dtype = all[from], .n_in = 1, .attrs = "to=i", .attr = (int64_t)all[to]});
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

static double tolerance(TgDtype t, TgOp op)
{
    bool exact = op == TG_Add || op == TG_Sub || op == TG_Mul || op == TG_Div || op == TG_Cast || op == TG_Sqrt ||
                 op == TG_Max || op == TG_Min || op == TG_Identity || op == TG_Floor || op == TG_Ceil ||
                 op == TG_Round || op == TG_Mod;
    if (exact)
        return 0;
    return t == TG_f64 ? 1e-14 : t == TG_f32 ? 4e-7 : t == TG_f16 ? 0x1p-10 : 0x1p-7;
}

static void check_real(const Case *c, TgDtype t, int i, double got, double want)
{
    bool saturate = tg_dtype_bits(t) <= 8;
    double rounded = tg_round_float(t, t == TG_f64 || c->dtype == TG_f64 ? want : (double)(float)want, saturate);
    double error = fabs(got - rounded);
    double tiny = t == TG_f16 ? 0x1p-24 : t == TG_f64 ? 0 : 0x1p-126; /* functions give 0 for denormal results */
    bool same = got == rounded || (isnan(got) && isnan(rounded)) || error <= tolerance(t, c->op) * fabs(rounded) ||
                (error <= tiny && tolerance(t, c->op) > 0);
    if (!same)
        fail_msg("%s of %s%s%s [%d]: %.9g instead of %.9g", tg_op_text(tg, c->op), tg_dtype_text(c->dtype),
                 c->op == TG_Cast ? " to " : "", c->op == TG_Cast ? tg_dtype_text(t) : "", i, got, rounded);
}

static int64_t truncated(TgDtype t, double x)
{
    if (t == TG_bool)
        return x != 0;
    if (t == TG_u64 && x >= 0x1p63 && x < 0x1p64)
        return (int64_t)(uint64_t)x;
    return x > -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

static void check_integer(const Case *c, TgDtype t, int i, int64_t got, int64_t want)
{
    want = tg_wrap_integer(t, want);
    if (got != want)
        fail_msg("%s of %s%s%s [%d]: %lld instead of %lld", tg_op_text(tg, c->op), tg_dtype_text(c->dtype),
                 c->op == TG_Cast ? " to " : "", c->op == TG_Cast ? tg_dtype_text(t) : "", i, (long long)got,
                 (long long)want);
}

static void check_case(const Case *c, TgDtype t, const unsigned char *x_bytes, const unsigned char *y_bytes,
                       const unsigned char *got)
{
    TgDtype other = c->other ? c->other : c->dtype;
    for (int i = 0; i < N; i++) {
        double x = 0, y = c->constant;
        int64_t m = 0, n = 0, whole;
        bool real = tg_is_float(c->dtype);
        if (real)
            x = load_real(c->dtype, x_bytes, i);
        else
            m = load_integer(c->dtype, x_bytes, i);
        if (!c->has_constant && tg_is_float(other))
            y = load_real(other, y_bytes, i);
        else if (!c->has_constant)
            n = load_integer(other, y_bytes, i);
        if (real && !tg_is_float(other))
            y = (double)n;
        if (c->op == TG_Cast && !real && tg_is_float(t))
            check_real(c, t, i, load_real(t, got, i), c->dtype == TG_u64 ? (double)(uint64_t)m : (double)m);
        else if (c->op == TG_Cast && !real)
            check_integer(c, t, i, load_integer(t, got, i), t == TG_bool ? m != 0 : m);
        else if (c->op == TG_Cast && !tg_is_float(t))
            check_integer(c, t, i, load_integer(t, got, i), truncated(t, x));
        else if (real && tg_is_float(t))
            check_real(c, t, i, load_real(t, got, i), real_result(c, x, y));
        else {
            whole = real ? (int64_t)real_result(c, x, y) : integer_result(c, m, n);
            check_integer(c, t, i, load_integer(t, got, i), whole);
        }
    }
}

static void fill(TgDtype t, int slot, unsigned char *bytes)
{
    for (int i = 0; i < N; i++) {
        double x = real_operand(slot, i);
        if (tg_is_float(t) && tg_dtype_bits(t) <= 8 && (isnan(x) || isinf(x) || fabs(x) > 6))
            x = 0.5;
        store(t, bytes, i, x, integer_operand(t, slot, i));
    }
}

static void run_and_check(void)
{
    TgPlan *plan = plan_begin(model);
    static unsigned char bytes[64][MOST_BYTES];
    unsigned char *input[64];
    plan_interface(plan);
    for (uint32_t i = 0; i < n_cases; i++)
        plan_vector_step(plan, plan->outputs.at[i]);
    for (uint32_t i = 0; i < plan->inputs.n; i++) {
        input[i] = bytes[i];
        fill(tg_type_of(plan->graph, plan->inputs.at[i])->dtype, (int)(i & 1), bytes[i]);
    }
    Emitted e;
    emitted_begin(&e, tg, plan);
    assert_true(emitted_write(&e));
    assert_int_equal(emitted_run(&e, input, ""), 0);
    for (uint32_t i = 0; i < n_cases; i++) {
        const unsigned char *x = NULL, *y = NULL;
        TgDtype other = cases[i].other ? cases[i].other : cases[i].dtype;
        for (uint32_t k = 0; k < plan->inputs.n; k++) {
            x = plan->inputs.at[k] == input_of[cases[i].dtype][0] ? bytes[k] : x;
            y = plan->inputs.at[k] == input_of[other][1] ? bytes[k] : y;
        }
        check_case(&cases[i], tg_type_of(plan->graph, plan->outputs.at[i])->dtype, x, y, e.output[i]);
    }
}

static void begin(void)
{
    model = tg_model_new(tg);
    n_cases = 0;
    EACH(FLOATS, i) add_input(FLOATS[i]);
    EACH(INTEGERS, i) add_input(INTEGERS[i]);
    EACH(SMALL, i) add_input(SMALL[i]);
    add_input(TG_bool);
}

static void test_floats(void **state)
{
    (void)state;
    begin();
    EACH(FLOATS, i) add_float_cases(FLOATS[i]);
    run_and_check();
}

static void test_integers(void **state)
{
    static const TgOp LOGIC[] = {TG_And, TG_Or, TG_Xor, TG_Equal};
    (void)state;
    begin();
    EACH(INTEGERS, i) add_integer_cases(INTEGERS[i]);
    EACH(LOGIC, i) add_case((Case){.op = LOGIC[i], .dtype = TG_bool, .n_in = 2});
    add_case((Case){.op = TG_Not, .dtype = TG_bool, .n_in = 1});
    run_and_check();
}

static void test_casts(void **state)
{
    (void)state;
    begin();
    add_casts();
    run_and_check();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_floats, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_integers, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_casts, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
