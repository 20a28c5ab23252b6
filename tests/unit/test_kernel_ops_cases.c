/* Generic operator kernels of the C backend: cases that stored tests of ONNX lack, with results that follow from the
 * definition by hand; refusals. */
#include "kernel_ops.h"

/* --- rows --------------------------------------------------------------------------------------------------------- */

static const TgTensor *tensor_of(const char *text)
{
    TgArray a = array_of(TG_EVAL_F64, text);
    const TgTensor *t = tg_array_to_tensor(tg_forever(tg), TG_EVAL_F64, &a);
    tg_array_drop(tg, &a);
    return t;
}

static void check_kernel(const Case *c)
{
    const TgTensor *in[MOST_IN] = {NULL}, *want[MOST_OUT] = {NULL};
    uint32_t n_in = 0, n_out = 0;
    for (uint32_t i = 0; i < MOST_IN; i++)
        if (c->in[i]) {
            in[i] = tensor_of(c->in[i]);
            n_in = i + 1;
        }
    for (; n_out < MOST_OUT && c->out[n_out]; n_out++)
        want[n_out] = tensor_of(c->out[n_out]);
    TgNodeInfo n = {.op = c->op, .attrs = attrs_of(c->op, c->attrs), .n_in = n_in, .n_formal = n_in, .n_out = n_out};
    const char *why = run_node(&n, n_in, in, n_out, want);
    if (why)
        fail_msg("%s %s: %s", kernel_of(c->op)->name, c->name, why);
}

static const Case cases[] = {
    {"all axes at once", TG_Transpose, "", {"i8[2,3] 1:6"}, {"i8[3,2] 1 4 2 5 3 6"}},
    {"eight axes",
     TG_Transpose,
     "perm=7,6,5,4,3,2,1,0",
     {"u16[1,2,1,3,1,1,1,1] 1:6"},
     {"u16[1,1,1,1,3,1,2,1] 1 4 2 5 3 6"}},
    {"empty", TG_Transpose, "perm=1,0", {"f32[0,3]"}, {"f32[3,0]"}},
    {"a scalar", TG_Transpose, "", {"f32[] 5"}, {"f32[] 5"}},
    {"sizes from in front and guessed",
     TG_Reshape,
     "",
     {"f32[2,3,4] 1:24", "i64[3] 0 -1 2"},
     {"f32[2,6,2] 1:24"}},
    {"zero is a size", TG_Reshape, "allowzero=1", {"f32[0,3]", "i64[2] 3 0"}, {"f32[3,0]"}},
    {"all of size one", TG_Squeeze, "", {"f32[1,2,1] 1 2"}, {"f32[2] 1 2"}},
    {"from behind", TG_Unsqueeze, "", {"f32[2] 1 2", "i64[2] -1 0"}, {"f32[1,2,1] 1 2"}},
    {"both shapes grow",
     TG_Expand,
     "",
     {"f64[3,1] 1:3", "i64[3] 2 1 2"},
     {"f64[2,3,2] 1 1 2 2 3 3 1 1 2 2 3 3"}},
    {"to nothing", TG_Expand, "", {"f32[1] 1", "i64[1] 0"}, {"f32[0]"}},
    {"twice and not at all", TG_Tile, "", {"i16[1,2] 1 2", "i64[2] 2 2"}, {"i16[2,4] 1 2 1 2 1 2 1 2"}},
    {"zero times", TG_Tile, "", {"i16[2] 1 2", "i64[1] 0"}, {"i16[0]"}},
    {"one is empty", TG_Concat, "axis=-1", {"i8[2,1] 1 4", "i8[2,0]", "i8[2,2] 2 3 5 6"}, {"i8[2,3] 1:6"}},
    {"a smaller last part",
     TG_Split,
     "axis=1 num_outputs=2",
     {"u8[2,3] 1:6"},
     {"u8[2,2] 1 2 4 5", "u8[2,1] 3 6"}},
    {"an empty part", TG_Split, "", {"u8[2] 1 2", "i64[3] 0 2 0"}, {"u8[0]", "u8[2] 1 2", "u8[0]"}},
    {"backwards to the start",
     TG_Slice,
     "",
     {"i32[5] 1:5", "i64[1] -1", "i64[1] -99", "i64[1] 0", "i64[1] -2"},
     {"i32[3] 5 3 1"}},
    {"far beyond",
     TG_Slice,
     "",
     {"i32[2,2] 1:4", "i64[1] 1", "i64[1] 9223372036854774784", "i64[1] -1"},
     {"i32[2,1] 2 4"}},
    {"a large step",
     TG_Slice,
     "",
     {"i32[3] 1:3", "i64[1] 0", "i64[1] 3", NULL, "i64[1] 4611686018427387904"},
     {"i32[1] 1"}},
    {"crops and pads",
     TG_Pad,
     "",
     {"f32[2,3] 1:6", "i64[4] 0 -1 1 1", "f32[] 9"},
     {"f32[3,3] 2 3 9 5 6 9 9 9 9"}},
    {"crops all", TG_Pad, "", {"f32[2] 1 2", "i64[2] -3 2", "f32[] 7"}, {"f32[1] 7"}},
    {"reflects again and again",
     TG_Pad,
     "mode=reflect",
     {"i8[3] 1:3", "i64[2] 5 4"},
     {"i8[12] 2 1 2 3 2 1 2 3 2 1 2 3"}},
    {"reflects one", TG_Pad, "mode=reflect", {"i8[1] 4", "i64[2] 2 1"}, {"i8[4] 4 4 4 4"}},
    {"edges of blocks",
     TG_Pad,
     "mode=edge",
     {"i8[2,2] 1:4", "i64[2] 1 1", NULL, "i64[1] 0"},
     {"i8[4,2] 1 2 1 2 3 4 3 4"}},
    {"wraps", TG_Pad, "mode=wrap", {"i8[3] 1:3", "i64[2] 4 1"}, {"i8[8] 3 1 2 3 1 2 3 1"}},
    {"wraps what is cropped", TG_Pad, "mode=wrap", {"i8[3] 1:3", "i64[2] -1 2"}, {"i8[4] 2 3 1 2"}},
    {"from the middle", TG_Shape, "start=-2 end=-1", {"f32[2,3,4] 0*24"}, {"i64[1] 3"}},
    {"nothing of it", TG_Shape, "start=2 end=1", {"f32[2,3,4] 0*24"}, {"i64[0]"}},
    {"down", TG_Range, "", {"i64[] 5", "i64[] 0", "i64[] -2"}, {"i64[3] 5 3 1"}},
    {"none", TG_Range, "", {"f32[] 5", "f32[] 5", "f32[] 1"}, {"f32[0]"}},
    {"a double", TG_Range, "", {"f64[] 0", "f64[] 1", "f64[] 0.25"}, {"f64[4] 0 0.25 0.5 0.75"}},
    {"below", TG_EyeLike, "k=-1 dtype=10", {"f32[3,2] 0*6"}, {"f16[3,2] 0 0 1 0 0 1"}},
    {"beyond", TG_EyeLike, "k=5", {"i8[2,2] 0*4"}, {"i8[2,2] 0*4"}},
    {"outside is nowhere",
     TG_OneHot,
     "axis=0",
     {"i64[3] -1 5 0", "i64[] 2", "f32[2] 3 4"},
     {"f32[2,3] 3 3 4 4 3 3"}},
    {"rows behind an axis", TG_Gather, "axis=1", {"i16[2,3] 1:6", "i64[2,1] -1 0"}, {"i16[2,2,1] 3 1 6 4"}},
    {"nothing from nothing", TG_Gather, "", {"f32[0,2]", "i64[0]"}, {"f32[0,2]"}},
    {"fewer rows", TG_GatherElements, "axis=1", {"u8[2,3] 1:6", "i64[1,4] 2 0 -2 1"}, {"u8[1,4] 3 1 2 2"}},
    {"batches", TG_GatherND, "batch_dims=1", {"i8[2,2,2] 1:8", "i64[2,1] 1 -2"}, {"i8[2,2] 3 4 5 6"}},
    {"fewer conditions", TG_Compress, "axis=1", {"i8[2,3] 1:6", "bool[2] 0 1"}, {"i8[2,1] 2 5"}},
    {"flat", TG_Compress, "", {"i8[2,2] 1:4", "bool[4] 1 0 0 1"}, {"i8[2] 1 4"}},
    {"minus zero is zero", TG_NonZero, "", {"f16[2,2] -0 1 nan 0"}, {"i64[2,2] 0 1 1 0"}},
    {"a true scalar", TG_NonZero, "", {"bool[] 1"}, {"i64[0,1]"}},
    {"the last one stays", TG_ScatterElements, "", {"i8[3] 1:3", "i64[2] 1 1", "i8[2] 7 8"}, {"i8[3] 1 8 3"}},
    {"wraps", TG_ScatterElements, "reduction=add", {"u8[2] 250 1", "i64[2] 0 0", "u8[2] 5 3"}, {"u8[2] 2 1"}},
    {"negative products",
     TG_ScatterElements,
     "reduction=mul",
     {"i8[1] -3", "i64[2] 0 -1", "i8[2] 5 -7"},
     {"i8[1] 105"}},
    {"half sums",
     TG_ScatterElements,
     "reduction=add",
     {"f16[1] 2048", "i64[2] 0 0", "f16[2] 1 1"},
     {"f16[1] 2048"}},
    {"rows of a cache",
     TG_TensorScatter,
     "axis=1",
     {"i8[2,3] 1:6", "i8[2,1] 9 8", "i64[2] 2 0"},
     {"i8[2,3] 1 2 9 8 5 6"}},
    {"rows around the end",
     TG_TensorScatter,
     "axis=1 mode=circular",
     {"f32[1,3] 1:3", "f32[1,2] 8 9", "i64[1] 2"},
     {"f32[1,3] 9 2 8"}},
    {"rows at the front", TG_TensorScatter, "axis=-1", {"f32[1,3] 1:3", "f32[1,2] 8 9"}, {"f32[1,3] 8 9 3"}},
    {"NaN wins",
     TG_ScatterND,
     "reduction=max",
     {"f32[2] nan 1", "i64[2,1] 0 1", "f32[2] 1 nan"},
     {"f32[2] nan nan"}},
    {"small brain floats",
     TG_ScatterND,
     "reduction=min",
     {"bf16[2,2] 1 2 3 4", "i64[1,1] 1", "bf16[1,2] 5 -5"},
     {"bf16[2,2] 1 2 3 -5"}},
    {"any truth", TG_ScatterND, "reduction=max", {"bool[2] 0 0", "i64[1,1] 1", "bool[1] 1"}, {"bool[2] 0 1"}},
    {"the middle axis", TG_ReduceSum, "keepdims=0", {"f32[2,2,2] 1:8", "i64[1] 1"}, {"f32[2,2] 4 6 12 14"}},
    {"the outer axes", TG_ReduceSum, "", {"i64[2,2,2] 1:8", "i64[2] 0 2"}, {"i64[1,2,1] 14 22"}},
    {"axes of size one", TG_ReduceMax, "keepdims=0", {"f32[1,3,1] 3 1 2", "i64[2] 0 1"}, {"f32[1] 3"}},
    {"integers are truncated", TG_ReduceMean, "keepdims=0", {"i32[2] -3 -2"}, {"i32[] -2"}},
    {"over nothing", TG_ReduceProd, "keepdims=0", {"f32[2,0]", "i64[1] 1"}, {"f32[2] 1 1"}},
    {"of nothing", TG_ReduceMean, "keepdims=0", {"f32[2,0]", "i64[1] 1"}, {"f32[2] nan nan"}},
    {"least of nothing", TG_ReduceMin, "keepdims=0", {"f32[0]"}, {"f32[] inf"}},
    {"NaN", TG_ReduceMin, "keepdims=0", {"f32[20] 1:19 nan"}, {"f32[] nan"}},
    {"a scalar", TG_ReduceSum, "", {"f32[] 3"}, {"f32[] 3"}},
    {"no axes, nothing to do",
     TG_ReduceSum,
     "noop_with_empty_axes=1",
     {"f32[2] 3 4", "i64[0]"},
     {"f32[2] 3 4"}},
    {"first and last",
     TG_ArgMax,
     "select_last_index=1 axis=1 keepdims=0",
     {"i32[2,3] 1 2 2 5 5 1"},
     {"i64[2] 2 1"}},
    {"down columns", TG_ArgMin, "keepdims=0", {"f32[3,2] 3 1 2 1 2 0"}, {"i64[2] 1 2"}},
    {"from behind, without itself",
     TG_CumSum,
     "reverse=1 exclusive=1",
     {"f32[2,3] 1:6", "i64[] 1"},
     {"f32[2,3] 5 3 0 11 6 0"}},
    {"down", TG_CumProd, "", {"i64[3,2] 1:6", "i64[] -2"}, {"i64[3,2] 1 2 3 8 15 48"}},
    {"ties and NaN", TG_TopK, "", {"f32[5] 1 3 nan 3 2", "i64[1] 3"}, {"f32[3] nan 3 3", "i64[3] 2 1 3"}},
    {"smallest, along columns",
     TG_TopK,
     "axis=0 largest=0",
     {"i8[3,2] 3 -1 1 5 2 -7", "i64[1] 2"},
     {"i8[2,2] 1 -7 2 -1", "i64[2,2] 1 2 2 0"}},
    {"none", TG_TopK, "", {"f32[5] 1:5", "i64[1] 0"}, {"f32[0]", "i64[0]"}},
    {"wide numbers", TG_TopK, "", {"u64[3] 1 -1 2", "i64[1] 1"}, {"u64[1] -1", "i64[1] 1"}},
    {"rows",
     TG_Unique,
     "axis=0",
     {"i8[4,2] 2 1 -1 5 2 1 -1 4"},
     {"i8[3,2] -1 4 -1 5 2 1", "i64[3] 3 1 0", "i64[4] 2 1 2 0", "i64[3] 1 1 2"}},
    {"columns as they come",
     TG_Unique,
     "axis=1 sorted=0",
     {"f32[2,3] 3 1 3 4 2 4"},
     {"f32[2,2] 3 1 4 2", "i64[2] 0 1", "i64[3] 0 1 0", "i64[2] 2 1"}},
    {"nothing", TG_Unique, "", {"f32[0]"}, {"f32[0]", "i64[0]", "i64[0]", "i64[0]"}},
    {"a diagonal", TG_Einsum, "equation=ii->i", {"f32[2,2] 1:4"}, {"f32[2] 1 4"}},
    {"a trace", TG_Einsum, "equation=ii", {"i64[2,2] 1:4"}, {"i64[] 5"}},
    {"capitals first", TG_Einsum, "equation=aB", {"f64[2,3] 1:6"}, {"f64[3,2] 1 4 2 5 3 6"}},
    {"over nothing", TG_Einsum, "equation=ij,jk->ik", {"f32[2,0]", "f32[0,2]"}, {"f32[2,2] 0*4"}},
    {"a vector", TG_MatMul, "", {"i32[2] 1 2", "i32[3,2,1] 1:6"}, {"i32[3,1] 5 11 17"}},
    {"two vectors", TG_MatMul, "", {"f64[2] 1 2", "f64[2] 3 4"}, {"f64[] 11"}},
    {"batches broadcast",
     TG_MatMul,
     "",
     {"f32[2,1,1,2] 1:4", "f32[3,2,1] 1:6"},
     {"f32[2,3,1,1] 5 11 17 11 25 39"}},
    {"a swap of rows", TG_Det, "", {"f32[2,2,2] 0 1 1 0 2 0 0 3"}, {"f32[2] -1 6"}},
    {"nothing", TG_Det, "", {"f64[0,0]"}, {"f64[] 1"}},
    {"integers saturate",
     TG_Resize,
     "mode=cubic coordinate_transformation_mode=asymmetric",
     {"u8[4] 0 0 255 255", NULL, NULL, "i64[1] 8"},
     {"u8[8] 0 0 0 128 255 255 255 255"}},
    {"channels behind",
     TG_Resize,
     "mode=linear axes=0",
     {"f32[2,3] 1 2 3 5 6 7", NULL, "f32[1] 2"},
     {"f32[4,3] 1 2 3 2 3 4 4 5 6 5 6 7"}},
    {"everything stays", TG_Resize, "", {"f32[2] 3 4", NULL, "f32[1] 1"}, {"f32[2] 3 4"}},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_kernel(&cases[i]);
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    TgOp op;
    tgk_status status;
    int rank; /* of the result */
    const char *attrs, *in[5];
} Refusal;

static const Refusal refusals[] = {
    {"an index behind", TG_Gather, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1] 3"}},
    {"an index before", TG_Gather, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1] -4"}},
    {"nothing to index", TG_Gather, TGK_BAD_INDEX, 1, "", {"f32[0]", "i64[1] 0"}},
    {"an axis", TG_Gather, TGK_BAD_INDEX, 1, "axis=1", {"f32[3] 1:3", "i64[1] 0"}},
    {"an index", TG_GatherElements, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1] 3"}},
    {"wider indices", TG_GatherElements, TGK_BAD_SIZE, 2, "axis=1", {"f32[1,3] 1:3", "i64[2,1] 0 0"}},
    {"an index", TG_GatherND, TGK_BAD_INDEX, 1, "", {"f32[2,2] 1:4", "i64[1,2] 0 2"}},
    {"long tuples", TG_GatherND, TGK_BAD_SIZE, 1, "", {"f32[2,2] 1:4", "i64[1,3] 0 0 0"}},
    {"an index",
     TG_ScatterElements,
     TGK_BAD_INDEX,
     1,
     "",
     {"f32[3] 1:3", "i64[1] -9223372036854775808", "f32[1] 0"}},
    {"other updates", TG_ScatterElements, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 0", "f32[2] 0 0"}},
    {"rows past the end",
     TG_TensorScatter,
     TGK_BAD_INDEX,
     1,
     "axis=1",
     {"f32[1,3] 1:3", "f32[1,2] 8 9", "i64[1] 2"}},
    {"rows before the front",
     TG_TensorScatter,
     TGK_BAD_INDEX,
     1,
     "axis=1",
     {"f32[1,3] 1:3", "f32[1,2] 8 9", "i64[1] -1"}},
    {"rows along the batch", TG_TensorScatter, TGK_BAD_SIZE, 1, "axis=0", {"f32[2,3] 1:6", "f32[1,3] 1:3"}},
    {"an index", TG_ScatterND, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1,1] 3", "f32[1] 0"}},
    {"few updates", TG_ScatterND, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[2,1] 0 1", "f32[1] 0"}},
    {"a way to combine",
     TG_ScatterND,
     TGK_BAD_VALUE,
     1,
     "reduction=sub",
     {"f32[3] 1:3", "i64[1,1] 0", "f32[1] 0"}},
    {"another count", TG_Reshape, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 4"}},
    {"two guesses", TG_Reshape, TGK_BAD_SIZE, 2, "", {"f32[3] 1:3", "i64[2] -1 -1"}},
    {"a product that does not fit",
     TG_Reshape,
     TGK_BAD_SIZE,
     3,
     "",
     {"f32[1] 1", "i64[3] 4294967296 4294967296 4294967296"}},
    {"a negative size", TG_Expand, TGK_BAD_SIZE, 1, "", {"f32[1] 1", "i64[1] -1"}},
    {"sizes that do not agree", TG_Expand, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", "i64[1] 3"}},
    {"no room",
     TG_Expand,
     TGK_BAD_SIZE,
     2,
     "",
     {"f32[1] 1", "i64[2] 4611686018427387904 4611686018427387904"}},
    {"a negative number", TG_Tile, TGK_BAD_SIZE, 1, "", {"f32[1] 1", "i64[1] -1"}},
    {"a product that does not fit",
     TG_Tile,
     TGK_BAD_SIZE,
     1,
     "",
     {"f32[2] 1 2", "i64[1] 4611686018427387904"}},
    {"a step of zero",
     TG_Slice,
     TGK_BAD_VALUE,
     1,
     "",
     {"f32[2] 1 2", "i64[1] 0", "i64[1] 1", "i64[1] 0", "i64[1] 0"}},
    {"an axis twice",
     TG_Slice,
     TGK_BAD_INDEX,
     1,
     "",
     {"f32[2] 1 2", "i64[2] 1 1", "i64[2] 2 2", "i64[2] 0 -1"}},
    {"too many axes", TG_Slice, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[2] 0 0", "i64[2] 1 1"}},
    {"a sum of sizes", TG_Split, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 2"}},
    {"another size", TG_Concat, TGK_BAD_SIZE, 2, "axis=0", {"f32[1,2] 1 2", "f32[1,1] 1"}},
    {"a negative result", TG_Pad, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", "i64[2] -2 -1"}},
    {"pads that do not fit",
     TG_Pad,
     TGK_BAD_SIZE,
     1,
     "",
     {"f32[2] 1 2", "i64[2] 9223372036854774784 9223372036854774784"}},
    {"edges of nothing", TG_Pad, TGK_BAD_SIZE, 1, "mode=edge", {"f32[0]", "i64[2] 1 0"}},
    {"a step of zero", TG_Range, TGK_BAD_VALUE, 1, "", {"i64[] 0", "i64[] 1", "i64[] 0"}},
    {"a step of zero", TG_Range, TGK_BAD_VALUE, 1, "", {"f32[] 0", "f32[] 1", "f32[] 0"}},
    {"no room",
     TG_Range,
     TGK_BAD_SIZE,
     1,
     "",
     {"i64[] -9223372036854775808", "i64[] 9223372036854774784", "i64[] 1"}},
    {"a negative size", TG_ConstantOfShape, TGK_BAD_SIZE, 1, "", {"i64[1] -1"}},
    {"nine axes", TG_ConstantOfShape, TGK_BAD_SIZE, 8, "", {"i64[9] 1*9"}},
    {"a negative depth", TG_OneHot, TGK_BAD_SIZE, 2, "", {"i64[1] 0", "i64[] -1", "f32[2] 0 1"}},
    {"too many wanted", TG_TopK, TGK_BAD_VALUE, 1, "", {"f32[2] 1 2", "i64[1] 3"}},
    {"fewer than none", TG_TopK, TGK_BAD_VALUE, 1, "", {"f32[2] 1 2", "i64[1] -1"}},
    {"an axis", TG_ReduceSum, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[1] 1"}},
    {"an axis twice", TG_ReduceSum, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[2] 0 -1"}},
    {"the best of none", TG_ArgMax, TGK_BAD_SIZE, 1, "", {"f32[0]"}},
    {"an axis", TG_CumSum, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[] 1"}},
    {"a long sequence", TG_ReverseSequence, TGK_BAD_VALUE, 2, "", {"f32[2,1] 1 2", "i64[1] 3"}},
    {"not square", TG_Det, TGK_BAD_SIZE, 0, "", {"f32[1,2] 1 2"}},
    {"depths", TG_MatMul, TGK_BAD_SIZE, 2, "", {"f32[1,2] 1 2", "f32[1,1] 1"}},
    {"batches", TG_MatMul, TGK_BAD_SIZE, 3, "", {"f32[2,1,1] 1 2", "f32[3,1,1] 1:3"}},
    {"ranks", TG_Einsum, TGK_BAD_VALUE, 1, "equation=ij->i", {"f32[2] 1 2"}},
    {"sizes", TG_Einsum, TGK_BAD_SIZE, 1, "equation=i,i->i", {"f32[2] 1 2", "f32[3] 1:3"}},
    {"an unknown letter", TG_Einsum, TGK_BAD_VALUE, 1, "equation=i->j", {"f32[2] 1 2"}},
    {"a letter twice", TG_Einsum, TGK_BAD_VALUE, 2, "equation=i->ii", {"f32[2] 1 2"}},
    {"half an arrow", TG_Einsum, TGK_BAD_VALUE, 1, "equation=i-", {"f32[2] 1 2"}},
    {"half an ellipsis", TG_Einsum, TGK_BAD_VALUE, 1, "equation=..i", {"f32[2] 1 2"}},
    {"few operands", TG_Einsum, TGK_BAD_VALUE, 1, "equation=i,i,i->i", {"f32[2] 1 2", "f32[2] 1 2"}},
    {"no such mode", TG_Resize, TGK_BAD_VALUE, 1, "mode=spline", {"f32[2] 1 2", NULL, "f32[1] 2"}},
    {"neither scales nor sizes", TG_Resize, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2"}},
    {"a scale below zero", TG_Resize, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", NULL, "f32[1] -2"}},
    {"something from nothing", TG_Resize, TGK_BAD_SIZE, 1, "", {"f32[0]", NULL, NULL, "i64[1] 2"}},
    {"no regions",
     TG_Resize,
     TGK_BAD_SIZE,
     1,
     "coordinate_transformation_mode=tf_crop_and_resize",
     {"f32[2] 1 2", NULL, "f32[1] 2"}},
    {"other scores",
     TG_NonMaxSuppression,
     TGK_BAD_SIZE,
     2,
     "",
     {"f32[1,2,4] 0*8", "f32[1,1,3] 0*3", "i64[1] 1"}},
};

static void check_refusal(const Refusal *r)
{
    Call k = {.n_out = 1};
    TgNodeInfo n = {.op = r->op, .attrs = attrs_of(r->op, r->attrs), .n_out = 1};
    int64_t room = 64;
    const Kernel *kernel = kernel_of(r->op);
    for (uint32_t i = 0; i < 5; i++)
        if (r->in[i]) {
            k.in[i] = array_for(letter_of(kernel->in, i), tensor_of(r->in[i]));
            n.n_in = i + 1;
        }
    k.n = &n;
    k.n_in = n.n_in;
    k.out[0] = blank_array(kernel->out[0] == 'i' ? TGK_I64 : k.in[0].type, 1, &room);
    k.out[0].rank = r->rank;
    for (int32_t i = 0; i < r->rank; i++)
        k.out[0].dim[i] = -1;
    void *buffer = k.out[0].at;
    tgk_status status = kernel->call(&k);
    if (status != r->status)
        fail_msg("%s %s: status %d, not %d", kernel->name, r->name, (int)status, (int)r->status);
    free(buffer);
    for (uint32_t i = 0; i < n.n_in; i++)
        free(k.in[i].at);
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_refusal(&refusals[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
