/* Generic operator kernels of the C backend: cases that ONNX's stored tests lack. Rows state results that follow
 * from the definition by hand; refusals; laws over many elements against loops that are written here from the
 * definition. */
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
    {"eight axes", TG_Transpose, "perm=7,6,5,4,3,2,1,0", {"u16[1,2,1,3,1,1,1,1] 1:6"},
     {"u16[1,1,1,1,3,1,2,1] 1 4 2 5 3 6"}},
    {"empty", TG_Transpose, "perm=1,0", {"f32[0,3]"}, {"f32[3,0]"}},
    {"a scalar", TG_Transpose, "", {"f32[] 5"}, {"f32[] 5"}},
    {"sizes from in front and guessed", TG_Reshape, "", {"f32[2,3,4] 1:24", "i64[3] 0 -1 2"}, {"f32[2,6,2] 1:24"}},
    {"zero is a size", TG_Reshape, "allowzero=1", {"f32[0,3]", "i64[2] 3 0"}, {"f32[3,0]"}},
    {"all of size one", TG_Squeeze, "", {"f32[1,2,1] 1 2"}, {"f32[2] 1 2"}},
    {"from behind", TG_Unsqueeze, "", {"f32[2] 1 2", "i64[2] -1 0"}, {"f32[1,2,1] 1 2"}},
    {"both shapes grow", TG_Expand, "", {"f64[3,1] 1:3", "i64[3] 2 1 2"}, {"f64[2,3,2] 1 1 2 2 3 3 1 1 2 2 3 3"}},
    {"to nothing", TG_Expand, "", {"f32[1] 1", "i64[1] 0"}, {"f32[0]"}},
    {"twice and not at all", TG_Tile, "", {"i16[1,2] 1 2", "i64[2] 2 2"}, {"i16[2,4] 1 2 1 2 1 2 1 2"}},
    {"zero times", TG_Tile, "", {"i16[2] 1 2", "i64[1] 0"}, {"i16[0]"}},
    {"one is empty", TG_Concat, "axis=-1", {"i8[2,1] 1 4", "i8[2,0]", "i8[2,2] 2 3 5 6"}, {"i8[2,3] 1:6"}},
    {"a smaller last part", TG_Split, "axis=1 num_outputs=2", {"u8[2,3] 1:6"}, {"u8[2,2] 1 2 4 5", "u8[2,1] 3 6"}},
    {"an empty part", TG_Split, "", {"u8[2] 1 2", "i64[3] 0 2 0"}, {"u8[0]", "u8[2] 1 2", "u8[0]"}},
    {"backwards to the start", TG_Slice, "", {"i32[5] 1:5", "i64[1] -1", "i64[1] -99", "i64[1] 0", "i64[1] -2"},
     {"i32[3] 5 3 1"}},
    {"far beyond", TG_Slice, "", {"i32[2,2] 1:4", "i64[1] 1", "i64[1] 9223372036854774784", "i64[1] -1"},
     {"i32[2,1] 2 4"}},
    {"a large step", TG_Slice, "", {"i32[3] 1:3", "i64[1] 0", "i64[1] 3", NULL, "i64[1] 4611686018427387904"},
     {"i32[1] 1"}},
    {"crops and pads", TG_Pad, "", {"f32[2,3] 1:6", "i64[4] 0 -1 1 1", "f32[] 9"}, {"f32[3,3] 2 3 9 5 6 9 9 9 9"}},
    {"crops all", TG_Pad, "", {"f32[2] 1 2", "i64[2] -3 2", "f32[] 7"}, {"f32[1] 7"}},
    {"reflects again and again", TG_Pad, "mode=reflect", {"i8[3] 1:3", "i64[2] 5 4"},
     {"i8[12] 2 1 2 3 2 1 2 3 2 1 2 3"}},
    {"reflects one", TG_Pad, "mode=reflect", {"i8[1] 4", "i64[2] 2 1"}, {"i8[4] 4 4 4 4"}},
    {"edges of blocks", TG_Pad, "mode=edge", {"i8[2,2] 1:4", "i64[2] 1 1", NULL, "i64[1] 0"},
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
    {"outside is nowhere", TG_OneHot, "axis=0", {"i64[3] -1 5 0", "i64[] 2", "f32[2] 3 4"}, {"f32[2,3] 3 3 4 4 3 3"}},
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
    {"negative products", TG_ScatterElements, "reduction=mul", {"i8[1] -3", "i64[2] 0 -1", "i8[2] 5 -7"},
     {"i8[1] 105"}},
    {"half sums", TG_ScatterElements, "reduction=add", {"f16[1] 2048", "i64[2] 0 0", "f16[2] 1 1"}, {"f16[1] 2048"}},
    {"NaN wins", TG_ScatterND, "reduction=max", {"f32[2] nan 1", "i64[2,1] 0 1", "f32[2] 1 nan"}, {"f32[2] nan nan"}},
    {"small brain floats", TG_ScatterND, "reduction=min", {"bf16[2,2] 1 2 3 4", "i64[1,1] 1", "bf16[1,2] 5 -5"},
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
    {"no axes, nothing to do", TG_ReduceSum, "noop_with_empty_axes=1", {"f32[2] 3 4", "i64[0]"}, {"f32[2] 3 4"}},
    {"first and last", TG_ArgMax, "select_last_index=1 axis=1 keepdims=0", {"i32[2,3] 1 2 2 5 5 1"}, {"i64[2] 2 1"}},
    {"down columns", TG_ArgMin, "keepdims=0", {"f32[3,2] 3 1 2 1 2 0"}, {"i64[2] 1 2"}},
    {"from behind, without itself", TG_CumSum, "reverse=1 exclusive=1", {"f32[2,3] 1:6", "i64[] 1"},
     {"f32[2,3] 5 3 0 11 6 0"}},
    {"down", TG_CumProd, "", {"i64[3,2] 1:6", "i64[] -2"}, {"i64[3,2] 1 2 3 8 15 48"}},
    {"ties and NaN", TG_TopK, "", {"f32[5] 1 3 nan 3 2", "i64[1] 3"}, {"f32[3] nan 3 3", "i64[3] 2 1 3"}},
    {"smallest, along columns", TG_TopK, "axis=0 largest=0", {"i8[3,2] 3 -1 1 5 2 -7", "i64[1] 2"},
     {"i8[2,2] 1 -7 2 -1", "i64[2,2] 1 2 2 0"}},
    {"none", TG_TopK, "", {"f32[5] 1:5", "i64[1] 0"}, {"f32[0]", "i64[0]"}},
    {"wide numbers", TG_TopK, "", {"u64[3] 1 -1 2", "i64[1] 1"}, {"u64[1] -1", "i64[1] 1"}},
    {"rows", TG_Unique, "axis=0", {"i8[4,2] 2 1 -1 5 2 1 -1 4"},
     {"i8[3,2] -1 4 -1 5 2 1", "i64[3] 3 1 0", "i64[4] 2 1 2 0", "i64[3] 1 1 2"}},
    {"columns as they come", TG_Unique, "axis=1 sorted=0", {"f32[2,3] 3 1 3 4 2 4"},
     {"f32[2,2] 3 1 4 2", "i64[2] 0 1", "i64[3] 0 1 0", "i64[2] 2 1"}},
    {"nothing", TG_Unique, "", {"f32[0]"}, {"f32[0]", "i64[0]", "i64[0]", "i64[0]"}},
    {"a diagonal", TG_Einsum, "equation=ii->i", {"f32[2,2] 1:4"}, {"f32[2] 1 4"}},
    {"a trace", TG_Einsum, "equation=ii", {"i64[2,2] 1:4"}, {"i64[] 5"}},
    {"capitals first", TG_Einsum, "equation=aB", {"f64[2,3] 1:6"}, {"f64[3,2] 1 4 2 5 3 6"}},
    {"over nothing", TG_Einsum, "equation=ij,jk->ik", {"f32[2,0]", "f32[0,2]"}, {"f32[2,2] 0*4"}},
    {"a vector", TG_MatMul, "", {"i32[2] 1 2", "i32[3,2,1] 1:6"}, {"i32[3,1] 5 11 17"}},
    {"two vectors", TG_MatMul, "", {"f64[2] 1 2", "f64[2] 3 4"}, {"f64[] 11"}},
    {"batches broadcast", TG_MatMul, "", {"f32[2,1,1,2] 1:4", "f32[3,2,1] 1:6"}, {"f32[2,3,1,1] 5 11 17 11 25 39"}},
    {"a swap of rows", TG_Det, "", {"f32[2,2,2] 0 1 1 0 2 0 0 3"}, {"f32[2] -1 6"}},
    {"nothing", TG_Det, "", {"f64[0,0]"}, {"f64[] 1"}},
    {"integers saturate", TG_Resize, "mode=cubic coordinate_transformation_mode=asymmetric",
     {"u8[4] 0 0 255 255", NULL, NULL, "i64[1] 8"}, {"u8[8] 0 0 0 128 255 255 255 255"}},
    {"channels behind", TG_Resize, "mode=linear axes=0", {"f32[2,3] 1 2 3 5 6 7", NULL, "f32[1] 2"},
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
    {"an index", TG_ScatterElements, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1] -9223372036854775808", "f32[1] 0"}},
    {"other updates", TG_ScatterElements, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 0", "f32[2] 0 0"}},
    {"an index", TG_ScatterND, TGK_BAD_INDEX, 1, "", {"f32[3] 1:3", "i64[1,1] 3", "f32[1] 0"}},
    {"few updates", TG_ScatterND, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[2,1] 0 1", "f32[1] 0"}},
    {"a way to combine", TG_ScatterND, TGK_BAD_VALUE, 1, "reduction=sub", {"f32[3] 1:3", "i64[1,1] 0", "f32[1] 0"}},
    {"another count", TG_Reshape, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 4"}},
    {"two guesses", TG_Reshape, TGK_BAD_SIZE, 2, "", {"f32[3] 1:3", "i64[2] -1 -1"}},
    {"a product that does not fit", TG_Reshape, TGK_BAD_SIZE, 3, "",
     {"f32[1] 1", "i64[3] 4294967296 4294967296 4294967296"}},
    {"a negative size", TG_Expand, TGK_BAD_SIZE, 1, "", {"f32[1] 1", "i64[1] -1"}},
    {"sizes that do not agree", TG_Expand, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", "i64[1] 3"}},
    {"no room", TG_Expand, TGK_BAD_SIZE, 2, "", {"f32[1] 1", "i64[2] 4611686018427387904 4611686018427387904"}},
    {"a negative number", TG_Tile, TGK_BAD_SIZE, 1, "", {"f32[1] 1", "i64[1] -1"}},
    {"a product that does not fit", TG_Tile, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", "i64[1] 4611686018427387904"}},
    {"a step of zero", TG_Slice, TGK_BAD_VALUE, 1, "", {"f32[2] 1 2", "i64[1] 0", "i64[1] 1", "i64[1] 0", "i64[1] 0"}},
    {"an axis twice", TG_Slice, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[2] 1 1", "i64[2] 2 2", "i64[2] 0 -1"}},
    {"too many axes", TG_Slice, TGK_BAD_INDEX, 1, "", {"f32[2] 1 2", "i64[2] 0 0", "i64[2] 1 1"}},
    {"a sum of sizes", TG_Split, TGK_BAD_SIZE, 1, "", {"f32[3] 1:3", "i64[1] 2"}},
    {"another size", TG_Concat, TGK_BAD_SIZE, 2, "axis=0", {"f32[1,2] 1 2", "f32[1,1] 1"}},
    {"a negative result", TG_Pad, TGK_BAD_SIZE, 1, "", {"f32[2] 1 2", "i64[2] -2 -1"}},
    {"pads that do not fit", TG_Pad, TGK_BAD_SIZE, 1, "",
     {"f32[2] 1 2", "i64[2] 9223372036854774784 9223372036854774784"}},
    {"edges of nothing", TG_Pad, TGK_BAD_SIZE, 1, "mode=edge", {"f32[0]", "i64[2] 1 0"}},
    {"a step of zero", TG_Range, TGK_BAD_VALUE, 1, "", {"i64[] 0", "i64[] 1", "i64[] 0"}},
    {"a step of zero", TG_Range, TGK_BAD_VALUE, 1, "", {"f32[] 0", "f32[] 1", "f32[] 0"}},
    {"no room", TG_Range, TGK_BAD_SIZE, 1, "", {"i64[] -9223372036854775808", "i64[] 9223372036854774784", "i64[] 1"}},
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
    {"no regions", TG_Resize, TGK_BAD_SIZE, 1, "coordinate_transformation_mode=tf_crop_and_resize",
     {"f32[2] 1 2", NULL, "f32[1] 2"}},
    {"other scores", TG_NonMaxSuppression, TGK_BAD_SIZE, 2, "", {"f32[1,2,4] 0*8", "f32[1,1,3] 0*3", "i64[1] 1"}},
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

/* --- laws over many elements -------------------------------------------------------------------------------------- */

static uint64_t draw_state;

static int64_t draw(int64_t n) /* below n */
{
    draw_state = draw_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((draw_state >> 33) % (uint64_t)n);
}

static tgk_array random_floats(int32_t rank, const int64_t *dim)
{
    tgk_array a = blank_array(TGK_F32, rank, dim);
    for (int64_t i = 0; i < a.room; i++)
        ((float *)a.at)[i] = (float)(draw(2001) - 1000) / 512;
    return a;
}

static const tgk_ctx serial = {NULL, NULL, NULL}, reverse = {NULL, in_reverse, NULL};

/* Any permutation of large axes, elements of any size: compared index by index. */
static void test_transpose_moves_every_element(void **state)
{
    static const tgk_type types[] = {TGK_U8, TGK_U16, TGK_F32, TGK_I64, (tgk_type)TG_c128};
    (void)state;
    draw_state = 1;
    for (int round = 0; round < 60; round++) {
        int64_t dim[5], to[5], perm[5] = {0, 1, 2, 3, 4}, from[5], index[5] = {0};
        int32_t rank = (int32_t)draw(5) + 1;
        for (int32_t i = 0; i < rank; i++) {
            dim[i] = draw(rank < 3 ? 200 : 12) + 1;
            int64_t k = draw(i + 1), other = perm[k];
            perm[k] = perm[i];
            perm[i] = other;
        }
        tgk_array x = blank_array(types[round % 5], rank, dim);
        size_t size = bytes_of(x.type);
        for (int64_t i = 0; i < x.room; i++)
            for (size_t b = 0; b < size; b++)
                ((uint8_t *)x.at)[(size_t)i * size + b] = (uint8_t)((uint64_t)i >> 8 * (b % 4) ^ b);
        for (int32_t i = 0; i < rank; i++)
            to[i] = dim[perm[i]];
        tgk_Transpose_args a = {.in = {x}, .out = {blank_array(x.type, rank, to)}, .perm = perm, .n_perm = rank};
        assert_int_equal(tgk_Transpose(round % 2 ? &serial : &reverse, &a), TGK_OK);
        for (int64_t i = 0; i < x.room; i++) {
            int64_t offset = 0;
            for (int32_t k = 0; k < rank; k++)
                from[perm[k]] = index[k];
            for (int32_t k = 0; k < rank; k++)
                offset = offset * dim[k] + from[k];
            assert_memory_equal((char *)a.out[0].at + (size_t)i * size, (char *)x.at + (size_t)offset * size, size);
            for (int32_t k = rank - 1; k >= 0 && ++index[k] == to[k]; k--)
                index[k] = 0;
        }
        free(x.at);
        free(a.out[0].at);
    }
}

/* 2^22 times 0.1f: the sum is exact to a rounding of float32, along either axis. */
static void test_long_sums(void **state)
{
    enum { LONG = 1 << 22 };
    (void)state;
    for (int along = 0; along < 2; along++) {
        const int64_t dim[2] = {along ? 1 : LONG, along ? LONG : 1}, wide[2] = {1 << 14, 1 << 8}, one[2] = {1, 1};
        int64_t axis = along, first = 0;
        tgk_array x = blank_array(TGK_F32, 2, dim), at = {&axis, TGK_I64, 1, {1}, 1};
        for (int64_t i = 0; i < LONG; i++)
            ((float *)x.at)[i] = 0.1f;
        tgk_ReduceSum_args a = {.in = {x, at}, .out = {blank_array(TGK_F32, 2, one)}, .keepdims = 1};
        assert_int_equal(tgk_ReduceSum(&serial, &a), TGK_OK);
        assert_true(fabs((double)*(float *)a.out[0].at / ((double)0.1f * LONG) - 1) < 1e-6);
        free(a.out[0].at);
        memcpy(x.dim, wide, sizeof wide);
        tgk_array columns = {&first, TGK_I64, 1, {1}, 1};
        const int64_t row[2] = {1, 1 << 8};
        tgk_ReduceMean_args b = {.in = {x, columns}, .out = {blank_array(TGK_F32, 2, row)}, .keepdims = 1};
        assert_int_equal(tgk_ReduceMean(&reverse, &b), TGK_OK);
        for (int64_t i = 0; i < row[1]; i++)
            assert_true(fabs((double)((float *)b.out[0].at)[i] / (double)0.1f - 1) < 1e-6);
        free(b.out[0].at);
        free(x.at);
    }
}

/* Against a selection that is written as the definition says. */
static void test_topk_selects(void **state)
{
    (void)state;
    draw_state = 2;
    for (int round = 0; round < 40; round++) {
        int64_t n = draw(300) + 1, k = draw(n + 1), dim[2] = {2, n}, to[2] = {2, k};
        tgk_array x = blank_array(TGK_I32, 2, dim), many = {&k, TGK_I64, 1, {1}, 1};
        for (int64_t i = 0; i < x.room; i++)
            ((int32_t *)x.at)[i] = (int32_t)draw(round % 2 ? 7 : 1000) - 3;
        tgk_TopK_args a = {.in = {x, many}, .out = {blank_array(TGK_I32, 2, to), blank_array(TGK_I64, 2, to)},
                           .axis = 1, .largest = round % 3 != 0, .sorted = 1};
        assert_int_equal(tgk_TopK(&serial, &a), TGK_OK);
        for (int64_t row = 0; row < 2; row++) {
            const int32_t *line = (int32_t *)x.at + row * n;
            bool used[300] = {false};
            for (int64_t i = 0; i < k; i++) {
                int64_t best = -1;
                for (int64_t j = 0; j < n; j++)
                    if (!used[j] && (best < 0 || (a.largest ? line[j] > line[best] : line[j] < line[best])))
                        best = j;
                used[best] = true;
                assert_int_equal(((int64_t *)a.out[1].at)[row * k + i], best);
                assert_int_equal(((int32_t *)a.out[0].at)[row * k + i], line[best]);
            }
        }
        free(x.at);
        free(a.out[0].at);
        free(a.out[1].at);
    }
}

/* The result of an equation with small letters and "->", index by index in double. */
static double einsum_at(const char *equation, const tgk_array *in, int64_t n_in, const int64_t *size, int64_t *value)
{
    const char *arrow = strstr(equation, "->");
    char summed[26];
    int n = 0;
    double sum = 0;
    for (int letter = 0; letter < 26; letter++)
        if (size[letter] > 0 && !strchr(arrow, 'a' + letter)) {
            summed[n++] = (char)letter;
            value[letter] = 0;
        }
    for (;;) {
        double product = 1;
        const char *at = equation;
        for (int64_t f = 0; f < n_in; f++, at++) {
            int64_t offset = 0;
            for (int32_t i = 0; *at >= 'a' && *at <= 'z'; at++, i++)
                offset = offset * in[f].dim[i] + value[*at - 'a'];
            product *= (double)((float *)in[f].at)[offset];
        }
        sum += product;
        int i = n - 1;
        for (; i >= 0 && ++value[(int)summed[i]] == size[(int)summed[i]]; i--)
            value[(int)summed[i]] = 0;
        if (i < 0)
            return sum;
    }
}

static void test_einsum_sums(void **state)
{
    static const char *const equations[] = {
        "ij,jk->ik", "ij,kj->ik", "ji,jk->ki", "bij,bjk->bik", "bhqd,bhkd->bhqk", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd",
        "abc,cd,de->abe", "i,j->ij", "ij->", "ij->j", "ij->ji", "aab,b->a", "ab,ab->a", "ab,b->", "abcd,cdef->abef",
        "abcd,dcef->abef", "i,i->", "ab,cb,db->acd", "bi,bi->bi", "ab,bc->cab",
    };
    (void)state;
    draw_state = 3;
    static const tgk_ctx by_matrices = {&plain_isa, in_reverse, NULL};
    matmuls = 0;
    for (size_t e = 0; e < 3 * sizeof equations / sizeof *equations; e++) {
        const char *equation = equations[e / 3], *at = equation;
        int64_t size[26] = {0}, value[26] = {0}, dim[8], n_in = 0, index[8] = {0};
        tgk_array in[4];
        for (const char *c = equation; *c; c++)
            if (*c >= 'a' && *c <= 'z' && !size[*c - 'a'])
                size[*c - 'a'] = strlen(equation) > 10 ? draw(7) + 1 : draw(e % 3 == 1 ? 300 : 40) + 1;
        while (*at != '-') {
            int32_t rank = 0;
            for (at += *at == ','; *at >= 'a' && *at <= 'z'; at++)
                dim[rank++] = size[*at - 'a'];
            in[n_in++] = random_floats(rank, dim);
        }
        const char *out = strstr(equation, "->") + 2;
        int32_t rank = (int32_t)strlen(out);
        for (int32_t i = 0; i < rank; i++)
            dim[i] = size[out[i] - 'a'];
        tgk_Einsum_args a = {.in = in, .n_in = n_in, .out = {blank_array(TGK_F32, rank, dim)}, .equation = equation};
        assert_int_equal(tgk_Einsum(e % 3 == 2 ? &by_matrices : e % 3 ? &reverse : &serial, &a), TGK_OK);
        for (int64_t i = 0; i < a.out[0].room; i++) {
            bool look = a.out[0].room < 3000 || i % 97 == 0;
            for (int32_t k = 0; k < rank; k++)
                value[out[k] - 'a'] = index[k];
            double got = (double)((float *)a.out[0].at)[i], want = got;
            if (look)
                want = einsum_at(equation, in, n_in, size, value);
            if (fabs(got - want) > 1e-5 * (1 + fabs(want)))
                fail_msg("%s: element %lld is %.9g, not %.9g", equation, (long long)i, got, want);
            for (int32_t k = rank - 1; k >= 0 && ++index[k] == dim[k]; k--)
                index[k] = 0;
        }
        for (int64_t f = 0; f < n_in; f++)
            free(in[f].at);
        free(a.out[0].at);
    }
    assert_true(matmuls >= 8);
}

/* A constant stays one whatever the sizes; an antialiased ramp is a ramp away from its ends. */
static void test_resize_keeps_ramps(void **state)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    (void)state;
    for (int round = 0; round < 24; round++) {
        bool small = round % 4 == 3;
        int64_t dim[3] = {3, small ? 5000 : 40, 2}, size[3] = {round % 2 ? 5 : 2, small ? 3 : 17 * (round % 4) + 5, 2};
        tgk_array x = blank_array(TGK_F32, 3, dim), sizes = {size, TGK_I64, 1, {3}, 3};
        bool ramp = round >= 12;
        for (int64_t i = 0; i < x.room; i++)
            ((float *)x.at)[i] = ramp ? (float)(i / 2 % dim[1]) : 3.5f;
        tgk_Resize_args a = {.in = {x, {.at = NULL}, {.at = NULL}, sizes}, .out = {blank_array(TGK_F32, 3, size)},
                             .antialias = 1, .coordinate_transformation_mode = "half_pixel", .cubic_coeff_a = -0.5,
                             .keep_aspect_ratio_policy = "stretch", .mode = modes[round % 3],
                             .nearest_mode = "round_prefer_floor"};
        assert_int_equal(tgk_Resize(round % 2 ? &serial : &reverse, &a), TGK_OK);
        for (int64_t i = 0; i < a.out[0].room; i++) {
            int64_t place = i / 2 % size[1];
            double where = ((double)place + 0.5) * (double)dim[1] / (double)size[1] - 0.5;
            double margin = 2 * fmax(1, (double)dim[1] / (double)size[1]) + 1;
            double allowed = size[1] > dim[1] ? 1e-5 : 0.1; /* a kernel that is sampled is not exact */
            if (!ramp)
                assert_true(fabs((double)((float *)a.out[0].at)[i] - 3.5) < 1e-6);
            else if (round % 3 != 0 && where > margin && where < (double)dim[1] - margin)
                assert_true(fabs((double)((float *)a.out[0].at)[i] - where) < allowed);
        }
        free(x.at);
        free(a.out[0].at);
    }
}

static double overlap_of(const float *a, const float *b)
{
    double h = fmin((double)a[2], (double)b[2]) - fmax((double)a[0], (double)b[0]);
    double w = fmin((double)a[3], (double)b[3]) - fmax((double)a[1], (double)b[1]);
    double own = (double)(a[2] - a[0]) * (double)(a[3] - a[1]), other = (double)(b[2] - b[0]) * (double)(b[3] - b[1]);
    return h <= 0 || w <= 0 ? 0 : h * w / (own + other - h * w);
}

/* More candidates than a batch, with equal scores: in order, none overlaps an earlier one, every other one does. */
static void test_nms_chooses(void **state)
{
    enum { BOXES = 5000 };
    (void)state;
    draw_state = 4;
    const int64_t b_dim[3] = {1, BOXES, 4}, s_dim[3] = {1, 1, BOXES}, to[2] = {BOXES, 3};
    int64_t most = BOXES;
    float threshold = 0.4f;
    tgk_array boxes = blank_array(TGK_F32, 3, b_dim), scores = blank_array(TGK_F32, 3, s_dim);
    for (int64_t i = 0; i < BOXES; i++) {
        float *b = (float *)boxes.at + 4 * i, y = (float)draw(4000), x = (float)draw(4000);
        b[0] = y;
        b[1] = x;
        b[2] = y + (float)draw(200) + 1;
        b[3] = x + (float)draw(200) + 1;
        ((float *)scores.at)[i] = (float)draw(500) / 512;
    }
    const tgk_array limit = {&most, TGK_I64, 0, {0}, 1}, overlap = {&threshold, TGK_F32, 0, {0}, 1};
    tgk_NonMaxSuppression_args a = {.in = {boxes, scores, limit, overlap}, .out = {blank_array(TGK_I64, 2, to)}};
    a.out[0].dim[0] = -1;
    assert_int_equal(tgk_NonMaxSuppression(&serial, &a), TGK_OK);
    const int64_t *row = (int64_t *)a.out[0].at, found = a.out[0].dim[0];
    const float *score = (float *)scores.at, *box = (float *)boxes.at;
    bool chosen[BOXES] = {false};
    assert_true(found > 1024 && found < BOXES);
    for (int64_t i = 0; i < found; i++) {
        int64_t here = row[3 * i + 2], last = i ? row[3 * i - 1] : here;
        chosen[here] = true;
        assert_true(i == 0 || score[last] > score[here] || (score[last] == score[here] && last < here));
        for (int64_t k = 0; k < i; k++)
            assert_true(overlap_of(box + 4 * here, box + 4 * row[3 * k + 2]) <= (double)threshold + 1e-6);
    }
    for (int64_t i = 0; i < BOXES; i++) {
        bool gone = chosen[i];
        for (int64_t k = 0; k < found && !gone; k++) {
            int64_t other = row[3 * k + 2];
            gone = score[other] >= score[i] && overlap_of(box + 4 * i, box + 4 * other) > (double)threshold - 1e-6;
        }
        assert_true(gone);
    }
    free(boxes.at);
    free(scores.at);
    free(a.out[0].at);
}

/* The determinant of a triangular matrix, its rows reversed: the largest that fits, and one more. */
static void test_det_of_triangles(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 97; n += 16) {
        const int64_t dim[2] = {n, n};
        double want = 1;
        tgk_array x = blank_array(TGK_F64, 2, dim);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++)
                ((double *)x.at)[(n - 1 - i) * n + j] = j < i ? 0 : j == i ? 1 + (double)(i % 3) / 8 : 0.25;
        for (int64_t i = 0; i < n; i++)
            want *= 1 + (double)(i % 3) / 8;
        want = n * (n - 1) / 2 % 2 ? -want : want;
        tgk_Det_args a = {.in = {x}, .out = {blank_array(TGK_F64, 0, dim)}};
        assert_int_equal(tgk_Det(&serial, &a), n > 96 ? TGK_BAD_SIZE : TGK_OK);
        if (n <= 96)
            assert_true(fabs(*(double *)a.out[0].at / want - 1) < 1e-10);
        free(x.at);
        free(a.out[0].at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_transpose_moves_every_element),
        cmocka_unit_test(test_long_sums),
        cmocka_unit_test(test_topk_selects),
        cmocka_unit_test(test_einsum_sums),
        cmocka_unit_test(test_resize_keeps_ramps),
        cmocka_unit_test(test_nms_chooses),
        cmocka_unit_test(test_det_of_triangles),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
