/* The evaluator: elementwise operators, reductions, movement, products, indexing, control flow, graphs.
 *
 * Rows state operands and results that follow from the definition by hand. Laws (bits do not depend on
 * threads, sums agree with long double, refusals instead of crashes) are functions further down. */
#include "cases.h"

static const double TOLERANCE = 1e-6;

/* --- elementwise ---------------------------------------------------------------------------------------- */

static const Case elementwise[] = {
    {"wraps below zero", TG_Sub, "", {"u8[2] 3 0", "u8[1] 5"}, {"u8[2] 254 251"}},
    {"wraps above", TG_Add, "", {"i8[2] 127 -128", "i8[2] 1 -1"}, {"i8[2] -128 127"}},
    {"wraps a product", TG_Mul, "", {"i32[1] 65536", "i32[1] 65536"}, {"i32[1] 0"}},
    {"negates the least", TG_Neg, "", {"i8[2] -128 5"}, {"i8[2] -128 -5"}},
    {"divides towards zero", TG_Div, "", {"i32[4] 7 -7 7 -7", "i32[4] 2 2 -2 -2"}, {"i32[4] 3 -3 -3 3"}},
    {"does not trap on zero", TG_Div, "", {"i64[2] 7 0", "i64[1] 0"}, {"i64[2] 0 0"}},
    {"has the sign of the divisor", TG_Mod, "", {"i32[4] 7 -7 7 -7", "i32[4] 3 3 -3 -3"},
     {"i32[4] 1 2 -2 -1"}},
    {"has the sign of the dividend", TG_Mod, "fmod=1", {"f32[2] -7.5 7.5", "f32[1] 2"}, {"f32[2] -1.5 1.5"}},
    {"float16 rounds each result", TG_Add, "", {"f16[1] 1", "f16[1] 1024"}, {"f16[1] 1025"}},
    {"powers of integers", TG_Pow, "", {"i32[4] 2 -3 1 5", "i32[4] 10 3 -5 0"}, {"i32[4] 1024 -27 1 1"}},
    {"an integer exponent of a float", TG_Pow, "", {"f32[2] 1.5 -2", "i64[2] 2 3"}, {"f32[2] 2.25 -8"}},
    {"a float exponent of an integer", TG_Pow, "", {"i32[2] 2 9", "f32[2] 3.5 0.5"}, {"i32[2] 11 3"}},
    {"both sides broadcast", TG_Add, "", {"f32[2,1,3] 1:6", "f32[2,1] 10 20"},
     {"f32[2,2,3] 11 12 13 21 22 23 14 15 16 24 25 26"}},
    {"a row and a column", TG_Mul, "", {"f32[1,3] 1:3", "f32[2,1] 1 10"}, {"f32[2,3] 1 2 3 10 20 30"}},
    {"nothing at all", TG_Add, "", {"f32[0,3]", "f32[3] 1:3"}, {"f32[0,3]"}},
    {"halves go to even", TG_Round, "", {"f32[6] -2.5 -1.5 -0.5 0.5 1.5 2.5"}, {"f32[6] -2 -2 0 0 2 2"}},
    {"sign", TG_Sign, "", {"f32[3] -2 0 7"}, {"f32[3] -1 0 1"}},
    {"sigmoid at its ends", TG_Sigmoid, "", {"f32[3] -1000 0 1000"}, {"f32[3] 0 0.5 1"}},
    {"only the negative one", TG_IsInf, "detect_positive=0", {"f32[3] -inf 1 inf"}, {"bool[3] 1 0 0"}},
    {"not a number", TG_IsNaN, "", {"f32[3] nan 1 inf"}, {"bool[3] 1 0 0"}},
    {"NaN wins", TG_Max, "", {"f32[2] 1 nan", "f32[2] nan 1"}, {"f32[2] nan nan"}},
    {"three operands", TG_Max, "", {"i32[2] 1 5", "i32[2,1] 3 4", "i32[1] 2"}, {"i32[2,2] 3 5 4 5"}},
    {"one operand", TG_Min, "", {"f32[2] 1 5"}, {"f32[2] 1 5"}},
    {"left", TG_BitShift, "direction=LEFT", {"u8[3] 129 1 1", "u8[3] 1 7 9"}, {"u8[3] 2 128 0"}},
    {"right", TG_BitShift, "direction=RIGHT", {"u8[2] 129 128", "u8[2] 1 8"}, {"u8[2] 64 0"}},
    {"complement", TG_BitwiseNot, "", {"u8[2] 0 255"}, {"u8[2] 255 0"}},
    {"exclusive or", TG_Xor, "", {"bool[4] 0 0 1 1", "bool[4] 0 1 0 1"}, {"bool[4] 0 1 1 0"}},
    {"order", TG_LessOrEqual, "", {"f32[3] 1 2 nan", "f32[3] 2 2 nan"}, {"bool[3] 1 1 0"}},
    {"choice", TG_Where, "", {"bool[2,1] 1 0", "i64[2] 1 2", "i64[1] 9"}, {"i64[2,2] 1 2 9 9"}},
};

static void test_elementwise(void **state)
{
    (void)state;
    CHECK_ROWS(elementwise, TOLERANCE);
}

/* 2^63 and 1: the order and the quotient differ between signed and unsigned. */
static void test_unsigned_64(void **state)
{
    (void)state;
    TgArray x = tg_array_new(tg, TG_EVAL_F32, TG_u64, 0, NULL), out;
    TgArray y = tg_array_new(tg, TG_EVAL_F32, TG_u64, 0, NULL);
    const TgArray *in[] = {&x, &y};
    tg_array_set_int(&x, 0, INT64_MIN);
    tg_array_set_int(&y, 0, 3);
    static const struct {
        TgOp op;
        int64_t want;
    } rows[] = {{TG_Greater, 1}, {TG_Div, INT64_C(3074457345618258602)}, {TG_Mod, 2}, {TG_Min, 3},
                {TG_Max, INT64_MIN}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(run(TG_EVAL_F32, rows[i].op, "", 2, in, 1, &out));
        assert_int_equal(tg_array_int(&out, 0), rows[i].want);
        tg_array_drop(tg, &out);
    }
    tg_array_drop(tg, &x);
    tg_array_drop(tg, &y);
}

/* float16 has 11 bits: 2048 + 1 rounds to 2048, except where reals are asked for. */
static void test_rounding_by_mode(void **state)
{
    (void)state;
    for (TgEvalMode mode = TG_EVAL_NATIVE; mode <= TG_EVAL_F64; mode++) {
        TgArray x = array_of(mode, "f16[1] 2048"), y = array_of(mode, "f16[1] 1"), out;
        const TgArray *in[] = {&x, &y};
        assert_true(run(mode, TG_Add, "", 2, in, 1, &out));
        assert_true(tg_array_float(mode, &out, 0) == (mode == TG_EVAL_F64 ? 2049 : 2048));
        tg_array_drop(tg, &out);
        tg_array_drop(tg, &x);
        tg_array_drop(tg, &y);
    }
}

/* --- reductions ----------------------------------------------------------------------------------------- */

static const Case reductions[] = {
    {"all axes", TG_ReduceSum, "", {"f32[2,3] 1:6"}, {"f32[1,1] 21"}},
    {"no axis, by wish", TG_ReduceSum, "noop_with_empty_axes=1", {"f32[2] 1:2"}, {"f32[2] 1 2"}},
    {"the inner axis", TG_ReduceMean, "keepdims=0", {"f32[2,3] 1:6", "i64[1] -1"}, {"f32[2] 2 5"}},
    {"the outer axis", TG_ReduceMax, "", {"f32[2,3] 1 5 3 4 2 6", "i64[1] 0"}, {"f32[1,3] 4 5 6"}},
    {"the middle axis", TG_ReduceProd, "keepdims=0", {"i32[2,2,2] 1:8", "i64[1] 1"}, {"i32[2,2] 3 8 35 48"}},
    {"both ends", TG_ReduceSum, "keepdims=0", {"f32[2,2,2] 1:8", "i64[2] 0 2"}, {"f32[2] 14 22"}},
    {"nothing to add", TG_ReduceSum, "", {"f32[2,0]", "i64[1] 1"}, {"f32[2,1] 0 0"}},
    {"nothing to compare", TG_ReduceMin, "", {"f32[1,0]", "i64[1] 1"}, {"f32[1,1] inf"}},
    {"least byte", TG_ReduceMax, "", {"i8[1,0]", "i64[1] 1"}, {"i8[1,1] -128"}},
    {"any", TG_ReduceMax, "keepdims=0", {"bool[2,2] 0 0 0 1", "i64[1] 1"}, {"bool[2] 0 1"}},
    {"a scalar", TG_ReduceSum, "", {"f32[] 3"}, {"f32[] 3"}},
    {"first of equals", TG_ArgMax, "", {"f32[2,3] 1 3 3 5 4 5", "i64[0]"}, {"i64[1,3] 1 1 1"}},
    {"along the inner axis", TG_ArgMin, "axis=1 keepdims=0", {"i32[2,3] 3 1 1 5 6 4"}, {"i64[2] 1 2"}},
    {"last of equals", TG_ArgMin, "axis=1 keepdims=0 select_last_index=1", {"i32[2,3] 3 1 1 5 6 4"},
     {"i64[2] 2 2"}},
    {"running sums", TG_CumSum, "", {"f32[2,3] 1:6", "i64[] 1"}, {"f32[2,3] 1 3 6 4 9 15"}},
    {"sums of what follows", TG_CumSum, "reverse=1 exclusive=1", {"i32[4] 1:4", "i64[] 0"},
     {"i32[4] 9 7 4 0"}},
    {"running products", TG_CumProd, "exclusive=1", {"f32[4] 2:5", "i64[] 0"}, {"f32[4] 1 2 6 24"}},
};

static void test_reductions(void **state)
{
    (void)state;
    CHECK_ROWS(reductions, TOLERANCE);
}

/* --- movement ------------------------------------------------------------------------------------------- */

static const Case movement[] = {
    {"guesses a size", TG_Reshape, "", {"f32[2,6] 1:12", "i64[3] 0 -1 2"}, {"f32[2,3,2] 1:12"}},
    {"zero means zero", TG_Reshape, "allowzero=1", {"f32[0,3]", "i64[2] 3 0"}, {"f32[3,0]"}},
    {"drops all ones", TG_Squeeze, "", {"f32[1,2,1] 1 2"}, {"f32[2] 1 2"}},
    {"drops one of them", TG_Squeeze, "", {"f32[1,2,1] 1 2", "i64[1] -1"}, {"f32[1,2] 1 2"}},
    {"adds axes of the result", TG_Unsqueeze, "", {"f32[2] 1 2", "i64[2] 0 -1"}, {"f32[1,2,1] 1 2"}},
    {"reverses the axes", TG_Transpose, "", {"f32[2,3] 1:6"}, {"f32[3,2] 1 4 2 5 3 6"}},
    {"turns three axes", TG_Transpose, "perm=1,2,0", {"i64[2,2,2] 1:8"}, {"i64[2,2,2] 1 5 2 6 3 7 4 8"}},
    {"expands both ways", TG_Expand, "", {"f32[2,1] 1 2", "i64[3] 2 1 2"}, {"f32[2,2,2] 1 1 2 2 1 1 2 2"}},
    {"tiles", TG_Tile, "", {"f32[1,2] 1 2", "i64[2] 2 2"}, {"f32[2,4] 1 2 1 2 1 2 1 2"}},
    {"joins", TG_Concat, "axis=1", {"f32[2,1] 1 4", "f32[2,2] 2 3 5 6"}, {"f32[2,3] 1:6"}},
    {"parts of given sizes", TG_Split, "axis=1", {"f32[2,3] 1:6", "i64[2] 1 2"},
     {"f32[2,1] 1 4", "f32[2,2] 2 3 5 6"}},
    {"a smaller last part", TG_Split, "num_outputs=2", {"f32[3] 1:3"}, {"f32[2] 1 2", "f32[1] 3"}},
    {"steps", TG_Slice, "", {"i32[6] 1:6", "i64[1] 1", "i64[1] 100", NULL, "i64[1] 2"}, {"i32[3] 2 4 6"}},
    {"backwards", TG_Slice, "", {"i32[4] 1:4", "i64[1] -1", "i64[1] -100", "i64[1] 0", "i64[1] -1"},
     {"i32[4] 4:1"}},
    {"nothing", TG_Slice, "", {"i32[4] 1:4", "i64[1] 3", "i64[1] 2"}, {"i32[0]"}},
    {"two axes", TG_Slice, "", {"i32[3,3] 1:9", "i64[2] 1 0", "i64[2] 3 2", "i64[2] 1 0"},
     {"i32[2,2] 2 3 5 6"}},
    {"constant", TG_Pad, "", {"f32[2] 1 2", "i64[2] 1 2", "f32[] 9"}, {"f32[5] 9 1 2 9 9"}},
    {"mirror", TG_Pad, "mode=reflect", {"f32[3] 1:3", "i64[2] 2 2"}, {"f32[7] 3 2 1 2 3 2 1"}},
    {"border", TG_Pad, "mode=edge", {"f32[2] 1 2", "i64[2] 1 2"}, {"f32[5] 1 1 2 2 2"}},
    {"around", TG_Pad, "mode=wrap", {"f32[3] 1:3", "i64[2] 1 2"}, {"f32[6] 3 1 2 3 1 2"}},
    {"crop", TG_Pad, "", {"f32[3] 1:3", "i64[2] -1 1"}, {"f32[3] 2 3 0"}},
    {"one axis", TG_Pad, "", {"f32[1,2] 1 2", "i64[2] 1 0", NULL, "i64[1] -1"}, {"f32[1,3] 0 1 2"}},
    {"upper part", TG_Trilu, "", {"f32[2,3] 1:6", "i64[] 1"}, {"f32[2,3] 0 2 3 0 0 6"}},
    {"lower part", TG_Trilu, "upper=0", {"f32[3,2] 1:6"}, {"f32[3,2] 1 0 3 4 5 6"}},
    {"far below", TG_Trilu, "", {"f32[2,2] 1:4", "i64[] -9"}, {"f32[2,2] 1:4"}},
    {"sequences turn round", TG_ReverseSequence, "", {"f32[3,2] 1:6", "i64[2] 2 3"},
     {"f32[3,2] 3 6 1 4 5 2"}},
    {"sizes", TG_Shape, "start=1", {"f32[2,3,4] 0*24"}, {"i64[2] 3 4"}},
    {"counts down", TG_Range, "", {"i32[] 5", "i32[] 0", "i32[] -2"}, {"i32[3] 5 3 1"}},
    {"counts in thirds", TG_Range, "", {"f32[] 0", "f32[] 1", "f32[] 0.25"}, {"f32[4] 0 0.25 0.5 0.75"}},
    {"a diagonal", TG_EyeLike, "k=1 dtype=7", {"f32[2,3] 0*6"}, {"i64[2,3] 0 1 0 0 0 1"}},
    {"one of three", TG_OneHot, "", {"i64[3] 0 -1 5", "i64[] 3", "f32[2] 7 8"},
     {"f32[3,3] 8 7 7 7 7 8 7 7 7"}},
    {"on the first axis", TG_OneHot, "axis=0", {"i64[2] 1 0", "i64[] 2", "i32[2] 0 1"}, {"i32[2,2] 0 1 1 0"}},
};

static void test_movement(void **state)
{
    (void)state;
    CHECK_ROWS(movement, TOLERANCE);
}

/* --- indexing ------------------------------------------------------------------------------------------- */

static const Case indexing[] = {
    {"columns", TG_Gather, "axis=1", {"f32[2,3] 1:6", "i64[2] -1 0"}, {"f32[2,2] 3 1 6 4"}},
    {"a scalar index", TG_Gather, "", {"f32[2,3] 1:6", "i64[] 1"}, {"f32[3] 4 5 6"}},
    {"elements", TG_GatherElements, "axis=1", {"f32[2,2] 1:4", "i64[2,2] 0 0 1 -2"}, {"f32[2,2] 1 1 4 3"}},
    {"points", TG_GatherND, "", {"i32[2,2] 1:4", "i64[2,2] 0 0 1 -1"}, {"i32[2] 1 4"}},
    {"rows of batches", TG_GatherND, "batch_dims=1", {"i32[2,2,2] 1:8", "i64[2,1] 1 0"},
     {"i32[2,2] 3 4 5 6"}},
    {"replaces", TG_ScatterElements, "", {"f32[3,2] 0*6", "i64[1,2] 2 -2", "f32[1,2] 7 8"},
     {"f32[3,2] 0 0 0 8 7 0"}},
    {"adds twice", TG_ScatterElements, "reduction=add", {"f32[3] 1:3", "i64[3] 1 1 0", "f32[3] 10 20 30"},
     {"f32[3] 31 32 3"}},
    {"multiplies bytes", TG_ScatterElements, "reduction=mul", {"u8[2] 100 2", "i64[1] 0", "u8[1] 3"},
     {"u8[2] 44 2"}},
    {"rows", TG_ScatterND, "", {"f32[3,2] 0*6", "i64[2,1] 2 0", "f32[2,2] 1:4"}, {"f32[3,2] 3 4 0 0 1 2"}},
    {"the greater one", TG_ScatterND, "reduction=max", {"i64[2] 5 5", "i64[2,1] 0 1", "i64[2] 9 1"},
     {"i64[2] 9 5"}},
    {"some columns", TG_Compress, "axis=1", {"f32[2,3] 1:6", "bool[2] 0 1"}, {"f32[2,1] 2 5"}},
    {"some of all", TG_Compress, "", {"f32[2,2] 1:4", "bool[4] 1 0 0 1"}, {"f32[2] 1 4"}},
    {"places", TG_NonZero, "", {"f32[2,2] 1 0 0 2"}, {"i64[2,2] 0 1 0 1"}},
    {"greatest, first of equals", TG_TopK, "", {"f32[2,3] 1 3 3 4 6 5", "i64[1] 2"},
     {"f32[2,2] 3 3 6 5", "i64[2,2] 1 2 1 2"}},
    {"least along columns", TG_TopK, "axis=0 largest=0", {"i32[3,1] 3 1 2", "i64[1] 2"},
     {"i32[2,1] 1 2", "i64[2,1] 1 2"}},
    {"sorted", TG_Unique, "", {"f32[5] 2 1 1 3 2"},
     {"f32[3] 1:3", "i64[3] 1 0 3", "i64[5] 1 0 0 2 1", "i64[3] 2 2 1"}},
    {"as they come", TG_Unique, "sorted=0", {"f32[5] 2 1 1 3 2"},
     {"f32[3] 2 1 3", "i64[3] 0 1 3", "i64[5] 0 1 1 2 0", "i64[3] 2 2 1"}},
    {"rows that are equal", TG_Unique, "axis=0", {"i32[3,2] 1 0 0 5 1 0"},
     {"i32[2,2] 0 5 1 0", "i64[2] 1 0", "i64[3] 1 0 1", "i64[2] 1 2"}},
};

static void test_indexing(void **state)
{
    (void)state;
    CHECK_ROWS(indexing, TOLERANCE);
}

/* --- products ------------------------------------------------------------------------------------------- */

static const Case products[] = {
    {"matrices", TG_MatMul, "", {"f32[2,2] 1:4", "f32[2,2] 5:8"}, {"f32[2,2] 19 22 43 50"}},
    {"vectors", TG_MatMul, "", {"f32[3] 1:3", "f32[3] 4:6"}, {"f32[] 32"}},
    {"a vector and matrices", TG_MatMul, "", {"i32[2] 1 2", "i32[2,2,1] 1:4"}, {"i32[2,1] 5 11"}},
    {"batches broadcast", TG_MatMul, "", {"f32[2,1,1,2] 1:4", "f32[2,2,1] 1 10 2 20"},
     {"f32[2,2,1,1] 21 42 43 86"}},
    {"an empty sum", TG_MatMul, "", {"f32[1,0]", "f32[0,2]"}, {"f32[1,2] 0 0"}},
    {"no rows", TG_MatMul, "", {"f32[0,2]", "f32[2,2] 1:4"}, {"f32[0,2]"}},
    {"transposes", TG_Einsum, "equation=ij->ji", {"f32[2,3] 1:6"}, {"f32[3,2] 1 4 2 5 3 6"}},
    {"a trace", TG_Einsum, "equation=ii->", {"f32[2,2] 1:4"}, {"f32[] 5"}},
    {"a diagonal", TG_Einsum, "equation=ii->i", {"f32[2,2] 1:4"}, {"f32[2] 1 4"}},
    {"a product without an arrow", TG_Einsum, "equation=ij,jk", {"f32[1,2] 1 2", "f32[2,1] 3 4"},
     {"f32[1,1] 11"}},
    {"batches by dots", TG_Einsum, "equation=...ij,...jk->...ik", {"f32[2,1,2] 1:4", "f32[2,1] 1 10"},
     {"f32[2,1,1] 21 43"}},
    {"three factors", TG_Einsum, "equation=i,ij,j->", {"f32[2] 1 2", "f32[2,2] 1:4", "f32[2] 1 10"},
     {"f32[] 107"}},
    {"sums of one operand", TG_Einsum, "equation=ij,k->k", {"i32[2,2] 1:4", "i32[2] 1 2"}, {"i32[2] 10 20"}},
};

static void test_products(void **state)
{
    (void)state;
    CHECK_ROWS(products, TOLERANCE);
}

static TgArray scattered(TgEvalMode mode, TgDtype dtype, int64_t rows, int64_t columns, int64_t seed)
{
    TgArray a = tg_array_new(tg, mode, dtype, 2, (int64_t[]){rows, columns});
    for (int64_t i = 0; i < a.count; i++)
        tg_array_set_float(mode, &a, i, scattered_number(i, seed));
    return a;
}

/* Sizes around those of tiles and packed blocks: every element is the sum of its products, rounded one by
 * one. */
static void test_matmul_sums_in_order(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 5, 7}, {3, 16, 300}, {4, 17, 257}, {7, 33, 40}, {13, 50, 513}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        TgArray a = scattered(TG_EVAL_F32, TG_f32, m, k, 3), b = scattered(TG_EVAL_F32, TG_f32, k, n, 5), out;
        const TgArray *in[] = {&a, &b};
        assert_true(run(TG_EVAL_F32, TG_MatMul, "", 2, in, 1, &out));
        for (int64_t i = 0; i < m * n; i++) {
            volatile float sum = 0;
            for (int64_t j = 0; j < k; j++) {
                volatile float product = ((float *)a.data)[i / n * k + j] * ((float *)b.data)[j * n + i % n];
                sum = sum + product;
            }
            if (((float *)out.data)[i] != sum)
                fail_msg("sizes %zu: element %lld", s, (long long)i);
        }
        tg_array_drop(tg, &a);
        tg_array_drop(tg, &b);
        tg_array_drop(tg, &out);
    }
}

/* --- graphs --------------------------------------------------------------------------------------------- */

static TgValue input(TgGraph *g, TgDtype dtype, int32_t rank, const int64_t *dim, const char *name)
{
    return tg_graph_input(g, tg_type_known(tg, dtype, rank, dim), name);
}

static void test_threads_do_not_change_bits(void **state)
{
    (void)state;
    TgModel *model = tg_model_new(tg);
    TgGraph *g = model->graph;
    TgValue a = input(g, TG_f32, 2, (int64_t[]){37, 300}, "a");
    TgValue b = input(g, TG_f32, 2, (int64_t[]){300, 45}, "b");
    tg_graph_return(g, tg_op(g, TG_MatMul, NULL, 2, a, b), "y", NULL);
    TgArray in[] = {scattered(TG_EVAL_F32, TG_f32, 37, 300, 1), scattered(TG_EVAL_F32, TG_f32, 300, 45, 2)};
    TgArray one, many;
    for (uint32_t threads = 2; threads <= 5; threads++) {
        assert_true(tg_eval(tg, g, &(TgEvalOptions){.mode = TG_EVAL_F32, .threads = 1}, in, &one));
        assert_true(tg_eval(tg, g, &(TgEvalOptions){.mode = TG_EVAL_F32, .threads = threads}, in, &many));
        assert_memory_equal(one.data, many.data, (size_t)one.count * sizeof(float));
        tg_array_drop(tg, &one);
        tg_array_drop(tg, &many);
    }
    tg_array_drop(tg, &in[0]);
    tg_array_drop(tg, &in[1]);
    tg_model_free(model);
}

/* A product counts 2 m n k, and every result its elements. */
static void test_cost_limit(void **state)
{
    (void)state;
    TgModel *model = tg_model_new(tg);
    TgGraph *g = model->graph;
    TgValue a = input(g, TG_f32, 2, (int64_t[]){10, 10}, "a");
    tg_graph_return(g, tg_op(g, TG_MatMul, NULL, 2, a, a), "y", NULL);
    TgArray in = scattered(TG_EVAL_F32, TG_f32, 10, 10, 1), out;
    assert_true(tg_eval(tg, g, &(TgEvalOptions){.mode = TG_EVAL_F32, .max_flops = 2100}, &in, &out));
    tg_array_drop(tg, &out);
    assert_false(tg_eval(tg, g, &(TgEvalOptions){.mode = TG_EVAL_F32, .max_flops = 2099}, &in, &out));
    assert_int_equal(tg_diag(tg, tg_diag_count(tg) - 1)->id, TG_E_too_costly);
    tg_array_drop(tg, &in);
    tg_model_free(model);
}

/* Parses a graph of one f32[3] input "x" and one output, and compares the output for x = 1 2 3. */
static void check_graph(const char *text, const char *want_text)
{
    TgModel *model = tg_parse(tg, "test", text, strlen(text));
    if (!model)
        fail_msg("not parsed: %s", last_message());
    TgArray in = array_of(TG_EVAL_NATIVE, "f32[3] 1:3"), out, want = array_of(TG_EVAL_NATIVE, want_text);
    if (!tg_eval(tg, model->graph, &(TgEvalOptions){.mode = TG_EVAL_NATIVE}, &in, &out))
        fail_msg("refused: %s", last_message());
    compare(text, TG_EVAL_NATIVE, &out, &want, TOLERANCE);
    tg_array_drop(tg, &in);
    tg_array_drop(tg, &out);
    tg_array_drop(tg, &want);
    tg_model_free(model);
}

static void test_composites(void **state)
{
    (void)state;
    check_graph("graph @g(%x: f32[3]) { return Relu(Sub(%x, const f32[] {2})) }", "f32[3] 0 0 1");
    check_graph("graph @g(%x: f32[3]) { return Softmax(Mul(%x, const f32[1] {0})) }", "f32[3] 0.33333333*3");
    check_graph("graph @g(%x: f32[3]) {"
                "  %y = Clip(%x, const f32[] {1.5}, const f32[] {2.5})"
                "  return Add(%y, Clip(%x, const f32[] {2}, _)) }",
                "f32[3] 3.5 4 5.5");
}

static void test_control_flow(void **state)
{
    (void)state;
    check_graph("graph @g(%x: f32[3]) { %c = Less(ReduceSum(%x), const f32[1] {6})"
                "  return If(%c; then_branch={ return Add(%x, %x) }, else_branch={ return Neg(%x) }) }",
                "f32[3] -1 -2 -3");
    /* state: 4 x in the end; collected: x, 2 x, 3 x */
    check_graph("graph @g(%x: f32[3]) {"
                "  %y, %z = Loop(const i64[] {3}, _, %x; body=(%i: i64[], %c: bool[], %s: f32[3]) {"
                "    return %c, Add(%s, %x), %s })"
                "  return Add(%y, ReduceSum(%z, const i64[1] {0}; keepdims=0)) }",
                "f32[3] 10 20 30");
    /* stops by itself: doubles 1 until it is no longer below 100 */
    check_graph("graph @g(%x: f32[3]) {"
                "  %y = Loop(_, const bool[] {true}, const f32[] {1};"
                "            body=(%i: i64[], %c: bool[], %s: f32[]) {"
                "    %t = Add(%s, %s) return Less(%t, const f32[] {100}), %t })"
                "  return Mul(%y, %x) }",
                "f32[3] 128 256 384");
    check_graph("graph @g(%x: f32[3]) {"
                "  %y, %z = Scan(const f32[] {0}, %x; num_scan_inputs=1, scan_input_directions={1},"
                "    body=(%s: f32[], %v: f32[]) { %t = Add(%s, %v) return %t, %t })"
                "  return %z }",
                "f32[3] 3 5 6");
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static const Case refused[] = {
    {"index behind the end", TG_Gather, "", {"f32[2] 1 2", "i64[1] 2"}, {NULL}},
    {"index far before the start", TG_GatherElements, "", {"f32[2] 1 2", "i64[1] -3"}, {NULL}},
    {"tuple behind the end", TG_GatherND, "", {"f32[2,2] 1:4", "i64[1,2] 0 2"}, {NULL}},
    {"tuple too long", TG_GatherND, "", {"f32[2] 1:2", "i64[1,2] 0 0"}, {NULL}},
    {"scatter outside", TG_ScatterND, "", {"f32[2] 1 2", "i64[1,1] 5", "f32[1] 1"}, {NULL}},
    {"updates too few", TG_ScatterND, "", {"f32[2] 1 2", "i64[2,1] 0 1", "f32[1] 1"}, {NULL}},
    {"sizes that differ", TG_Add, "", {"f32[2] 1 2", "f32[3] 1:3"}, {NULL}},
    {"inner sizes that differ", TG_MatMul, "", {"f32[1,2] 1 2", "f32[3,1] 1:3"}, {NULL}},
    {"another number of elements", TG_Reshape, "", {"f32[2] 1 2", "i64[1] 3"}, {NULL}},
    {"a size below zero", TG_Reshape, "", {"f32[2] 1 2", "i64[1] -2"}, {NULL}},
    {"a huge shape", TG_Reshape, "", {"f32[2] 1 2", "i64[2] 9223372036854775807 2"}, {NULL}},
    {"parts that do not add up", TG_Split, "", {"f32[3] 1:3", "i64[1] 2"}, {NULL}},
    {"an axis that is not there", TG_Concat, "axis=1", {"f32[1] 1"}, {NULL}},
    {"a step of zero", TG_Slice, "", {"f32[3] 1:3", "i64[1] 0", "i64[1] 2", NULL, "i64[1] 0"}, {NULL}},
    {"a step of zero", TG_Range, "", {"i32[] 1", "i32[] 2", "i32[] 0"}, {NULL}},
    {"more than there is", TG_TopK, "", {"f32[2] 1 2", "i64[1] 3"}, {NULL}},
    {"an axis twice", TG_Transpose, "perm=0,0", {"f32[1,1] 1"}, {NULL}},
    {"a depth below zero", TG_OneHot, "", {"i64[1] 0", "i64[] -1", "f32[2] 0 1"}, {NULL}},
    {"letters without sizes", TG_Einsum, "equation=ij->ik", {"f32[1,1] 1"}, {NULL}},
    {"letters of two sizes", TG_Einsum, "equation=ii->i", {"f32[2,3] 1:6"}, {NULL}},
    {"no operand", TG_Add, "", {"f32[1] 1"}, {NULL}},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const Case *t = &refused[i];
        TgArray in[MOST_IN], out[1];
        const TgArray *operand[MOST_IN] = {0};
        uint32_t n_in = 0, before = tg_error_count(tg);
        for (uint32_t k = 0; k < MOST_IN; k++)
            if (t->in[k]) {
                in[k] = array_of(TG_EVAL_F32, t->in[k]);
                operand[k] = &in[k];
                n_in = k + 1;
            }
        if (run(TG_EVAL_F32, t->op, t->attrs, n_in, operand, 1, out))
            fail_msg("%s: accepted", t->name);
        assert_int_equal(tg_error_count(tg), before + 1);
        for (uint32_t k = 0; k < n_in; k++)
            if (operand[k])
                tg_array_drop(tg, &in[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_unsigned_64),
        cmocka_unit_test(test_rounding_by_mode),
        cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_movement),
        cmocka_unit_test(test_indexing),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_matmul_sums_in_order),
        cmocka_unit_test(test_threads_do_not_change_bits),
        cmocka_unit_test(test_cost_limit),
        cmocka_unit_test(test_composites),
        cmocka_unit_test(test_control_flow),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_context, close_context) != 0;
}
