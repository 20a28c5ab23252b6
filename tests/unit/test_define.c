/* Definitions of the ai.onnx composite operators, one node at a time.
 *
 * The expected values of the rows were computed by the reference evaluator of the ONNX package from the
 * same text (or by hand, where it has none); every row runs in float32, in float64 and natively. Rows named
 * again in `symbolic` run once more with sizes that are unknown while the definition is built. */
#include "cases.h"

#define TOLERANCE 2e-6 /* absolute and relative; the expected values are float32 */

static const Case activations[] = {
    {"Relu", TG_Relu, "", {"f32[4] -1 0 2 -3"}, {"f32[4] 0 0 2 0"}},
    {"Relu of integers", TG_Relu, "", {"i32[3] -1 0 2"}, {"i32[3] 0 0 2"}},
    {"LeakyRelu", TG_LeakyRelu, "alpha=0.25", {"f32[4] -4 -1 0 2"}, {"f32[4] -1 -0.25 0 2"}},
    {"PRelu, slope broadcast", TG_PRelu, "", {"f32[2,2] -4 -1 3 -2", "f32[2] 0.5 2"},
     {"f32[2,2] -2 -2 3 -4"}},
    {"ThresholdedRelu", TG_ThresholdedRelu, "alpha=1.5", {"f32[4] -4 1.5 2 1.25"}, {"f32[4] 0 0 2 0"}},
    {"HardSigmoid", TG_HardSigmoid, "", {"f32[4] -4 -1 0 4"}, {"f32[4] 0 0.30000001 0.5 1"}},
    {"HardSwish", TG_HardSwish, "", {"f32[4] -4 -1.5 1 4"}, {"f32[4] -0 -0.375 0.66666669 4"}},
    {"Shrink", TG_Shrink, "bias=0.5 lambd=1", {"f32[5] -2 -1 0 1 3"}, {"f32[5] -1.5 0 0 0 2.5"}},
    {"Elu", TG_Elu, "alpha=2", {"f32[4] -4 -1 0 2"}, {"f32[4] -1.9633688 -1.2642411 0 2"}},
    {"Celu", TG_Celu, "alpha=2", {"f32[4] -4 -1 0 2"}, {"f32[4] -1.7293295 -0.78693867 0 2"}},
    {"Selu", TG_Selu, "", {"f32[4] -4 -1 0 2"}, {"f32[4] -1.7258987 -1.1113307 0 2.101402"}},
    {"Softplus", TG_Softplus, "", {"f32[4] -4 -1 0 2"},
     {"f32[4] 0.018149929 0.31326169 0.69314718 2.1269281"}},
    {"Softsign", TG_Softsign, "", {"f32[4] -4 -1 0 2"}, {"f32[4] -0.80000001 -0.5 0 0.66666669"}},
    {"Mish", TG_Mish, "", {"f32[4] -4 -1 0 2"}, {"f32[4] -0.072591744 -0.30340147 0 1.9439589"}},
    {"Swish", TG_Swish, "alpha=0.5", {"f32[4] -4 -1 0 2"}, {"f32[4] -0.47681174 -0.37754068 0 1.4621172"}},
    {"SwiGLU", TG_SwiGLU, "", {"f32[4] -4 -1 0 2", "f32[4] 1 2 3 4"},
     {"f32[4] -0.07194484 -0.5378828 0 7.0463762"}},
    {"Gelu", TG_Gelu, "", {"f32[5] -2 -0.5 0 1 3"},
     {"f32[5] -0.045500278 -0.15426877 0 0.84134471 2.9959502"}},
    {"Gelu, tanh", TG_Gelu, "approximate=tanh", {"f32[5] -2 -0.5 0 1 3"},
     {"f32[5] -0.045402348 -0.154286 0 0.84119201 2.9963627"}},
    {"Clip", TG_Clip, "", {"f32[4] -4 -1 0 2", "f32[] -1.5", "f32[] 1"}, {"f32[4] -1.5 -1 0 1"}},
    {"Clip, low above high", TG_Clip, "", {"f32[3] -4 0 4", "f32[] 2", "f32[] 1"}, {"f32[3] 1 1 1"}},
    {"Clip, high only", TG_Clip, "", {"i32[3] -4 0 4", NULL, "i32[] 1"}, {"i32[3] -4 0 1"}},
    {"Sum of three", TG_Sum, "", {"f32[2] 1 2", "f32[2] 10 20", "f32[2] 100 200"}, {"f32[2] 111 222"}},
    {"Mean of three", TG_Mean, "", {"f32[2] 1 2", "f32[2] 10 20", "f32[2] 100 200"}, {"f32[2] 37 74"}},
    {"CastLike", TG_CastLike, "", {"f32[3] 1.5 -2.5 3", "i32[1] 0"}, {"i32[3] 1 -2 3"}},
};

static const Case reductions[] = {
    {"ReduceL1", TG_ReduceL1, "keepdims=0", {"f32[2,3] ~1", "i64[1] 1"}, {"f32[2] 2.3999999 2.1500001"}},
    {"ReduceL2", TG_ReduceL2, "", {"f32[2,3] ~1", "i64[1] -1"}, {"f32[2,1] 1.5215124 1.3973188"}},
    {"ReduceSumSquare of all", TG_ReduceSumSquare, "keepdims=0", {"f32[2,3] ~1"}, {"f32[] 4.2674994"}},
    {"ReduceLogSum", TG_ReduceLogSum, "", {"f32[2,2] 1:4", "i64[1] 0"}, {"f32[1,2] 1.3862944 1.7917595"}},
    {"ReduceLogSumExp", TG_ReduceLogSumExp, "keepdims=0", {"f32[2,3] ~1", "i64[1] 1"},
     {"f32[2] 1.7508775 1.5008775"}},
    {"ReduceLogSumExp, no axes, no reduction", TG_ReduceLogSumExp, "noop_with_empty_axes=1", {"f32[3] 1:3",
     "i64[0]"}, {"f32[3] 1 2 3"}},
    {"Size", TG_Size, "", {"f32[2,3] ~1"}, {"i64[] 6"}},
};

static const Case movements[] = {
    {"Flatten", TG_Flatten, "axis=2", {"f32[2,1,3] ~1"},
     {"f32[2,3] 0.44999999 -0.64999998 1.3 0.2 -0.89999998 1.05"}},
    {"Flatten, axis 0", TG_Flatten, "axis=0", {"f32[2,2] 1:4"}, {"f32[1,4] 1 2 3 4"}},
    {"DepthToSpace", TG_DepthToSpace, "blocksize=2", {"f32[1,8,1,2] 0:15"},
     {"f32[1,2,2,4] 0 4 1 5 8 12 9 13 2 6 3 7 10 14 11 15"}},
    {"DepthToSpace, CRD", TG_DepthToSpace, "blocksize=2 mode=CRD", {"f32[1,8,1,2] 0:15"},
     {"f32[1,2,2,4] 0 2 1 3 4 6 5 7 8 10 9 11 12 14 13 15"}},
    {"SpaceToDepth", TG_SpaceToDepth, "blocksize=2", {"f32[1,2,2,4] 0:15"},
     {"f32[1,8,1,2] 0 2 8 10 1 3 9 11 4 6 12 14 5 7 13 15"}},
    {"CenterCropPad", TG_CenterCropPad, "", {"f32[3,2] 1:6", "i64[2] 2 5"}, {"f32[2,5] 0 1 2 0 0 0 3 4 0 0"}},
    {"CenterCropPad, one axis", TG_CenterCropPad, "axes=-1", {"f32[2,4] 1:8", "i32[1] 1"}, {"f32[2,1] 2 6"}},
    {"TensorScatter", TG_TensorScatter, "", {"f32[2,4,1] 0*8", "f32[2,2,1] 1:4", "i64[2] 0 2"},
     {"f32[2,4,1] 1 2 0 0 0 0 3 4"}},
    {"TensorScatter, around the end", TG_TensorScatter, "mode=circular", {"f32[2,4,1] 0*8",
     "f32[2,2,1] 1:4", "i64[2] 3 2"}, {"f32[2,4,1] 2 0 0 1 0 0 3 4"}},
};

static const Case norms[] = {
    {"LayerNormalization", TG_LayerNormalization, "", {"f32[2,4] ~1", "f32[4] 1 2 -1 0.5",
     "f32[4] 0 1 0 2"},
     {"f32[2,4] 0.17983563 -1.8054357 -1.4027178 1.9100822 -0.74083906 4.0505142 -0.24694636 1.4843179",
     "f32[2,1] 0.32499999 -0.26249999", "f32[2,1] 1.4386851 1.1621006"}},
    {"LayerNormalization over two axes", TG_LayerNormalization, "axis=1 epsilon=0.1", {"f32[2,2,3] ~1",
     "f32[2,3] ~2"},
     {"f32[2,2,3] 0.13205899 0.46244663 -1.7686301 -0.028812867 0.52631515 -1.3042626 0.13205899 0.46244663 "
     "-1.7686304 -0.028812887 0.52631515 -1.3042628"}},
    {"RMSNormalization", TG_RMSNormalization, "epsilon=0.01", {"f32[2,3] ~1", "f32[3] 1 2 -1"},
     {"f32[2,3] 0.50898117 -1.4703901 -1.4703901 0.24602774 -2.2142496 -1.2916455"}},
    {"InstanceNormalization", TG_InstanceNormalization, "epsilon=0.01", {"f32[2,2,3] ~1", "f32[2] 2 3",
     "f32[2] 0 1"}, {"f32[2,2,3] 0.20716773 -2.527446 2.3202782 1.3107517 -2.7911689 4.4804173 0.20716764 "
     "-2.5274458 2.3202782 1.3107516 -2.7911687 4.4804173"}},
    {"GroupNormalization", TG_GroupNormalization, "num_groups=2 epsilon=0.01", {"f32[1,4,3] ~1",
     "f32[4] 1:4", "f32[4] 0:3"},
     {"f32[1,4,3] 0.25588927 -1.0952061 1.2999175 0.89764428 -1.8045464 2.9857006 2.7676678 -1.2856178 "
     "5.8997526 2.7952886 -2.6090922 6.9714012"}},
    {"BatchNormalization", TG_BatchNormalization, "", {"f32[2,2,2] ~1", "f32[2] 2 3", "f32[2] 0 1",
     "f32[2] 0.5 -0.5", "f32[2] 1 2"},
     {"f32[2,2,2] -0.099999525 -2.2999885 4.818367 2.4849205 -2.7999859 1.0999944 1.9545918 -0.37885475"}},
    {"BatchNormalization in training", TG_BatchNormalization, "training_mode=1", {"f32[2,2,2] ~1",
     "f32[2] 2 3", "f32[2] 0 1", "f32[2] 0.5 -0.5", "f32[2] 1 2"},
     {"f32[2,2,2] 1.1614988 -1.6009848 5.2206955 1.4306831 -2.228822 2.668308 0.56931663 -3.220696",
     "f32[2] 0.44874999 -0.4425", "f32[2] 0.96342188 1.8758124"}},
    {"LpNormalization of zeros too", TG_LpNormalization, "p=2", {"f32[2,2] 3 4 0 0"},
     {"f32[2,2] 0.60000002 0.80000001 0 0"}},
    {"MeanVarianceNormalization", TG_MeanVarianceNormalization, "", {"f32[2,2,1,2] ~1"},
     {"f32[2,2,1,2] 0.58075398 -0.80049872 1.4069079 0.14356202 -1.1144198 1.3341646 -0.14356206 -1.406908"}},
    {"Softmax", TG_Softmax, "axis=0", {"f32[2,3] ~1"},
     {"f32[2,3] 0.56217653 0.56217653 0.56217653 0.4378235 0.43782347 0.43782347"}},
    {"Softmax of large numbers", TG_Softmax, "", {"f32[2] 1000 1001"}, {"f32[2] 0.2689414 0.7310586"}},
    {"LogSoftmax", TG_LogSoftmax, "axis=-2", {"f32[2,2] ~1"},
     {"f32[2,2] -1.205865 -1.205865 -0.35586503 -0.35586503"}},
    {"Hardmax takes the first", TG_Hardmax, "axis=1", {"f32[2,3,2] 1 2 3 1 3 5 0*6"},
     {"f32[2,3,2] 0 0 1 0 0 1 1 1 0 0 0 0"}},
    {"Dropout does nothing", TG_Dropout, "", {"f32[3] 1:3", "f32[] 0.5"}, {"f32[3] 1 2 3", "bool[3] 1 1 1"}},
};

static const Case losses[] = {
    {"NegativeLogLikelihoodLoss, mean", TG_NegativeLogLikelihoodLoss, "", {"f32[2,3,2] ~1",
     "i64[2,2] 0 2 1 2"}, {"f32[] -0.71249998"}},
    {"NegativeLogLikelihoodLoss, none, weights", TG_NegativeLogLikelihoodLoss, "reduction=none",
     {"f32[2,3,2] ~1", "i64[2,2] 0 2 1 2", "f32[3] 1 2 0.5"},
     {"f32[2,2] -0.44999999 -0.52499998 -1.6 -0.27500001"}},
    {"NegativeLogLikelihoodLoss, sum", TG_NegativeLogLikelihoodLoss, "reduction=sum", {"f32[2,3,2] ~1",
     "i64[2,2] 0 2 1 2"}, {"f32[] -2.8499999"}},
    {"NegativeLogLikelihoodLoss, weights, ignored", TG_NegativeLogLikelihoodLoss, "ignore_index=2",
     {"f32[2,3,2] ~1", "i64[2,2] 0 2 1 2", "f32[3] 1 2 0.5"}, {"f32[] -0.68333334"}},
    {"NegativeLogLikelihoodLoss, ignored class out of range",
     TG_NegativeLogLikelihoodLoss, "ignore_index=-5", {"f32[2,3,2] ~1", "i64[2,2] 0 -5 1 -5"},
     {"f32[] -0.625"}},
    {"SoftmaxCrossEntropyLoss, mean", TG_SoftmaxCrossEntropyLoss, "", {"f32[2,3,2] ~1", "i64[2,2] 0 2 1 2"},
     {"f32[] 0.66595989"}},
    {"SoftmaxCrossEntropyLoss, none, weights", TG_SoftmaxCrossEntropyLoss, "reduction=none",
     {"f32[2,3,2] ~1", "i64[2,2] 0 2 1 2", "f32[3] 1 2 0.5"},
     {"f32[2,2] 1.2806245 0.23814766 0.86124921 0.23814766"}},
    {"SoftmaxCrossEntropyLoss, sum", TG_SoftmaxCrossEntropyLoss, "reduction=sum", {"f32[2,3,2] ~1",
     "i64[2,2] 0 2 1 2"}, {"f32[] 2.6638396"}},
    {"SoftmaxCrossEntropyLoss, weights, ignored", TG_SoftmaxCrossEntropyLoss, "ignore_index=2",
     {"f32[2,3,2] ~1", "i64[2,2] 0 2 1 2", "f32[3] 1 2 0.5"}, {"f32[] 0.71395797"}},
    {"SoftmaxCrossEntropyLoss, ignored class out of range", TG_SoftmaxCrossEntropyLoss, "ignore_index=-5",
     {"f32[2,3,2] ~1", "i64[2,2] 0 -5 1 -5"}, {"f32[] 0.85562456"}},
    {"SoftmaxCrossEntropyLoss, logarithms", TG_SoftmaxCrossEntropyLoss, "", {"f32[1,2] 0 1", "i64[1] 0"},
     {"f32[] 1.3132617", "f32[1,2] -1.3132617 -0.31326166"}},
};

static const Case products[] = {
    {"Gemm", TG_Gemm, "transA=1 alpha=2 beta=0.5", {"f32[2,2] 1:4", "f32[2,3] 1:6", "f32[3] 10 20 30"},
     {"f32[2,3] 31 44 57 41 58 75"}},
    {"Gemm, no addend", TG_Gemm, "transB=1", {"f32[2,2] 1:4", "f32[1,2] 5 6"}, {"f32[2,1] 17 39"}},
    {"QLinearMatMul", TG_QLinearMatMul, "", {"u8[1,2] 200 3", "f32[] 0.5", "u8[] 2", "u8[2,2] 7 9 100 12",
     "f32[2] 0.25 0.5", "u8[2] 3 4", "f32[] 2", "u8[] 10"}, {"u8[1,2] 66 135"}},
    {"ConvInteger", TG_ConvInteger, "pads=1,1", {"u8[1,1,3] 2 3 4", "u8[1,1,2] 1 2", "u8[] 1"},
     {"i32[1,1,4] 2 5 8 3"}},
    {"QLinearConv", TG_QLinearConv, "", {"u8[1,1,1,2] 5 9", "f32[] 0.5", "u8[] 1", "u8[2,1,1,1] 3 8",
     "f32[2] 1 0.25", "u8[2] 0 4", "f32[] 2", "u8[] 7", "i32[2] 4 -100"}, {"u8[1,2,1,2] 11 14 2 3"}},
    {"DynamicQuantizeLinear", TG_DynamicQuantizeLinear, "", {"f32[4] -1 0 1.55 0.5"},
     {"u8[4] 0 100 255 150", "f32[] 0.0099999998", "u8[] 100"}},
};

static const Case attentions[] = {
    {"Attention", TG_Attention, "", {"f32[1,2,2,3] ~1", "f32[1,2,3,3] ~2", "f32[1,2,3,2] ~3"},
     {"f32[1,2,2,2] -0.13898316 -0.022658084 -0.13516834 -0.018536244 0.56880623 -0.3311938 0.5729385 "
     "-0.32706147"}},
    {"causal, rank 3, shared keys", TG_Attention, "is_causal=1 q_num_heads=2 kv_num_heads=1",
     {"f32[2,3,4] ~1", "f32[2,3,2] ~2", "f32[2,3,2] ~3"},
     {"f32[2,3,4] 0.64999998 -0.25 0.64999998 -0.25 -0.94513774 0.85773456 0.085434191 0.14205959 "
     "0.21520093 -0.28566858 -0.8563537 0.67536026 1.35 0.44999999 1.35 0.44999999 1.0449121 0.14491209 "
     "-0.26273131 -1.1627314 0.78073287 -0.11926715 0.88938922 -0.010610835"}},
    {"boolean mask that hides a row", TG_Attention, "", {"f32[1,2,2,3] ~1", "f32[1,2,3,3] ~2",
     "f32[1,2,3,2] ~3", "bool[2,3] 1 0 1 0 0 0"},
     {"f32[1,2,2,2] 0.36627051 -0.53372949 0 0 1.0781754 0.1781753 0 0"}},
    {"float mask, shorter than the keys", TG_Attention, "scale=0.5", {"f32[1,2,2,3] ~1", "f32[1,2,3,3] ~2",
     "f32[1,2,3,2] ~3", "f32[2,2] 0 1 2 0.5"},
     {"f32[1,2,2,2] -0.67557567 0.67053866 0.31927848 -0.020332277 0.0376417 -0.86235833 1.0292821 "
     "0.129282"}},
    {"past and present", TG_Attention, "is_causal=1", {"f32[1,1,2,2] ~1", "f32[1,1,2,2] ~2",
     "f32[1,1,2,2] ~3", NULL, "f32[1,1,1,2] ~4", "f32[1,1,1,2] ~5"},
     {"f32[1,1,2,2] 0.7439968 -0.062006354 0.61833268 0.051007204",
     "f32[1,1,3,2] 0.75 -0.050000001 0.55000001 -0.44999999 -1.45 0.60000002",
     "f32[1,1,3,2] 0.85000002 0.15000001 0.64999998 -0.25 -1.15 1"}},
    {"padded cache", TG_Attention, "is_causal=1", {"f32[2,1,2,2] ~1", "f32[2,1,3,2] ~2", "f32[2,1,3,2] ~3",
     NULL, NULL, NULL, "i64[2] 3 1"},
     {"f32[2,1,2,2] 0.20684454 0.057746843 0.30608273 -0.23073284 0 0 1.35 0.44999999"}},
    {"window", TG_Attention, "left_window_size=1 right_window_size=0", {"f32[1,1,3,2] ~1",
     "f32[1,1,3,2] ~2", "f32[1,1,3,2] ~3"},
     {"f32[1,1,3,2] 0.64999998 -0.25 0.36959994 -0.05527778 -1.0199523 0.81273133"}},
    {"soft cap before the mask", TG_Attention, "softcap=0.5 qk_matmul_output_mode=1", {"f32[1,1,2,2] ~1",
     "f32[1,1,2,2] ~2", "f32[1,1,2,2] ~3", "f32[2,2] 0 -3 1 0"},
     {"f32[1,1,2,2] 0.60951316 -0.22188418 0.40488613 -0.079782024",
     "f32[1,1,2,2] 0.55000001 -0.44999999 -1.45 0.60000002", "f32[1,1,2,2] 0.64999998 -0.25 -1.15 1",
     "f32[1,1,2,2] 0.32161838 -0.45019898 0.35417971 -0.4932549"}},
    {"scores with bias", TG_Attention, "qk_matmul_output_mode=2", {"f32[1,1,2,2] ~1", "f32[1,1,2,2] ~2",
     "f32[1,1,2,2] ~3", "f32[2,2] 0 -3 1 0"}, {"f32[1,1,2,2] 0.62119877 -0.22999918 0.53557956 -0.17054138",
     "f32[1,1,2,2] 0.55000001 -0.44999999 -1.45 0.60000002", "f32[1,1,2,2] 0.64999998 -0.25 -1.15 1",
     "f32[1,1,2,2] 0.38183767 -3.7371588 1.4419417 -1.2480435"}},
    {"rotary by halves", TG_RotaryEmbedding, "", {"f32[1,2,2,4] ~1", "f32[1,2,2] ~2", "f32[1,2,2] ~3"},
     {"f32[1,2,2,4] -0.59749991 0.3425 1.0074999 0.072499998 1.2475001 1.78 1.1075 0.35999995 1.35 "
     "0.27250001 -0.25 -0.1725 1.1425 1.6400001 0.19749996 0.91999996"}},
    {"rotary by positions, part of it", TG_RotaryEmbedding, "rotary_embedding_dim=2 num_heads=2",
     {"f32[1,2,6] ~1", "f32[3,1] ~2", "f32[3,1] ~3", "i64[1,2] 2 0"},
     {"f32[1,2,6] -1.4 0.42500001 1.3 -1.325 1.075 1.05 0.71999997 -0.66499996 0.80000001 0.74499995 "
     "-0.96499997 0.55000001"}},
    {"rotary by neighbours", TG_RotaryEmbedding, "interleaved=1", {"f32[1,1,2,4] ~1", "f32[1,2,2] ~2",
     "f32[1,2,2] ~3"},
     {"f32[1,1,2,4] 0.66999996 -0.064999998 -0.53499997 -0.41499999 2.5124998 -0.48750007 1.12 -0.74000001"}},
    {"causal convolution", TG_CausalConvWithState, "", {"f32[1,2,3] ~1", "f32[2,1,2] ~2", "f32[2] 1 -1",
     "f32[1,2,1] ~3"}, {"f32[1,2,3] 1.155 1.54 0.057500005 -0.51749998 -1.83 0.93500006",
     "f32[1,2,1] 1.3 1.05"}},
    {"causal convolution, SiLU", TG_CausalConvWithState, "activation=silu", {"f32[1,1,2] ~1",
     "f32[1,1,4] ~2"}, {"f32[1,1,2] 0.15311509 -0.27174631", "f32[1,1,3] 0 0.44999999 -0.64999998"}},
};

static const Case images[] = {
    {"GlobalAveragePool", TG_GlobalAveragePool, "", {"f32[1,2,2,2] 1:8"}, {"f32[1,2,1,1] 2.5 6.5"}},
    {"AffineGrid", TG_AffineGrid, "", {"f32[1,2,3] 1 0 0.5 0 2 0", "i64[4] 1 1 2 3"},
     {"f32[1,2,3,2] -0.16666667 -1 0.5 -1 1.1666666 -1 -0.16666667 1 0.5 1 1.1666666 1"}},
    {"AffineGrid, corners, three axes", TG_AffineGrid, "align_corners=1", {"f32[1,3,4] ~1",
     "i64[5] 1 1 2 2 1"},
     {"f32[1,2,2,1,3] -0.89999998 -1.25 1.45 -2.1999998 0.84999996 0.84999996 1.6999999 -1.3499999 "
     "-1.3499999 0.39999998 0.74999994 -1.95"}},
    {"HannWindow", TG_HannWindow, "", {"i32[] 4"}, {"f32[4] 0 0.5 1 0.5"}},
    {"HammingWindow, symmetric", TG_HammingWindow, "periodic=0 output_datatype=11", {"i64[] 3"},
     {"f64[3] 0.086956522 1 0.086956522"}},
    {"BlackmanWindow", TG_BlackmanWindow, "", {"i32[] 4"}, {"f32[4] 0 0.34 1 0.34"}},
};

/* What the reference evaluator cannot run, or runs otherwise than ONNX says, by hand. */
static const Case by_hand[] = {
    {"Flatten without elements", TG_Flatten, "axis=1", {"f32[0,3]"}, {"f32[0,3]"}},
    {"LRN: x / sqrt(1 + 0.1 sum of three squares)", TG_LRN, "size=3 alpha=0.3 beta=0.5", {"f32[1,4,1,1] 1:4"},
     {"f32[1,4,1,1] 0.81649658 1.29099445 1.51910905 2.13808994"}},
    {"MatMulInteger, a zero point per row", TG_MatMulInteger, "",
     {"u8[2,2] 200 3 4 250", "i8[2,1] -100 100", "u8[2] 10 20", "i8[] 1"}, {"i32[2,1] -19883 24386"}},
    {"GlobalMaxPool", TG_GlobalMaxPool, "", {"f32[1,2,3] 1:6"}, {"f32[1,2,1] 3 6"}},
    {"LpPool, 3-4-5", TG_LpPool, "kernel_shape=2", {"f32[1,2,3] 3 4 0 5 12 0"}, {"f32[1,2,2] 5 4 13 12"}},
    {"LpPool, p = 1, pads", TG_LpPool, "kernel_shape=2 p=1 pads=1,1", {"f32[1,1,2] -3 4"},
     {"f32[1,1,3] 3 7 4"}},
    {"LpPool, p = 3", TG_LpPool, "kernel_shape=3 p=3", {"f32[1,1,3] 3 4 -5"}, {"f32[1,1,1] 6"}},
    {"LpPool, sizes rounded up", TG_LpPool, "kernel_shape=2 strides=2 p=1 ceil_mode=1",
     {"f32[1,1,3] 1 2 4"}, {"f32[1,1,2] 3 4"}},
    {"GlobalLpPool", TG_GlobalLpPool, "", {"f32[1,2,2] 3 4 5 12"}, {"f32[1,2,1] 5 13"}},
    {"Upsample", TG_Upsample, "", {"f32[1,1,1,2] 1 2", "f32[4] 1 1 2 2"}, {"f32[1,1,2,4] 1 1 2 2 1 1 2 2"}},
    {"Reduction of nothing", TG_ReduceLogSumExp, "", {"f32[0,2]", "i64[1] 0"}, {"f32[1,2] -inf*2"}},
    {"Dropout with ratio 0", TG_Dropout, "", {"f32[2] 1 2", "f32[] 0", "bool[] 1"},
     {"f32[2] 1 2", "bool[2] 1 1"}},
};

#define ROWS_TEST(rows) \
    static void test_##rows(void **state) \
    { \
        (void)state; \
        CHECK_ROWS(rows, TOLERANCE); \
    }
ROWS_TEST(activations)
ROWS_TEST(reductions)
ROWS_TEST(movements)
ROWS_TEST(norms)
ROWS_TEST(losses)
ROWS_TEST(products)
ROWS_TEST(attentions)
ROWS_TEST(images)
ROWS_TEST(by_hand)

/* --- sizes that are not known yet ----------------------------------------------------------------------- */

#define TABLE(rows) rows, sizeof(rows) / sizeof *(rows)
static const struct {
    const Case *rows;
    size_t n;
    const char *name, *sizes; /* dims with these sizes are symbols */
} symbolic[] = {
    {TABLE(movements), "Flatten", "23"},
    {TABLE(movements), "DepthToSpace, CRD", "12"},
    {TABLE(movements), "SpaceToDepth", "24"},
    {TABLE(movements), "CenterCropPad", "32"},
    {TABLE(movements), "TensorScatter, around the end", "124"},
    {TABLE(norms), "LayerNormalization", "24"},
    {TABLE(norms), "GroupNormalization", "13"},
    {TABLE(norms), "BatchNormalization in training", "2"},
    {TABLE(by_hand), "LRN: x / sqrt(1 + 0.1 sum of three squares)", "14"},
    {TABLE(norms), "Hardmax takes the first", "23"},
    {TABLE(losses), "SoftmaxCrossEntropyLoss, weights, ignored", "23"},
    {TABLE(products), "ConvInteger", "3"},
    {TABLE(attentions), "Attention", "123"},
    {TABLE(attentions), "causal, rank 3, shared keys", "3"},
    {TABLE(attentions), "boolean mask that hides a row", "123"},
    {TABLE(attentions), "past and present", "12"},
    {TABLE(attentions), "padded cache", "123"},
    {TABLE(attentions), "rotary by halves", "12"},
    {TABLE(attentions), "rotary by positions, part of it", "123"},
    {TABLE(attentions), "causal convolution", "13"},
    {TABLE(images), "AffineGrid", "1"},
    {TABLE(by_hand), "LpPool, 3-4-5", "13"},
};

static const TgType *type_with_symbols(const TgArray *a, const char *sizes)
{
    TgDim dim[8];
    for (int32_t i = 0; i < a->rank; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", (int)a->dim[i]);
        dim[i] = strchr(sizes, name[1]) ? tg_dim_symbol(tg, name) : tg_dim(tg, a->dim[i]);
    }
    return tg_type(tg, a->dtype, a->rank, dim);
}

static void check_symbolic(const Case *t, const char *sizes)
{
    const TgEvalOptions options = {.mode = TG_EVAL_F64, .threads = 1};
    TgModel *model = tg_model_new(tg);
    TgGraph *g = model->graph;
    TgArray in[MOST_IN], got[MOST_OUT] = {0};
    TgValue value[MOST_IN] = {0}, made[MOST_OUT] = {0};
    TgNodeInfo n = {.op = t->op, .attrs = attrs_of(t->op, t->attrs), .in = value, .out = made};
    uint32_t n_feed = 0;
    for (uint32_t i = 0; i < MOST_IN; i++)
        if (t->in[i]) {
            in[n_feed] = array_of(TG_EVAL_F64, t->in[i]);
            value[i] = tg_graph_input(g, type_with_symbols(&in[n_feed++], sizes), NULL);
            n.n_in = i + 1;
        }
    while (n.n_out < MOST_OUT && t->out[n.n_out])
        n.n_out++;
    if (!tg_define(g, NULL, &n, value, made))
        fail_msg("%s: not defined: %s", t->name, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    for (uint32_t i = 0; i < n.n_out; i++)
        tg_graph_return(g, made[i], NULL, NULL);
    if (!tg_eval(tg, g, &options, in, got))
        fail_msg("%s: refused: %s", t->name, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    for (uint32_t i = 0; i < n.n_out; i++) {
        TgArray want = array_of(TG_EVAL_F64, t->out[i]);
        compare(t->name, TG_EVAL_F64, &got[i], &want, TOLERANCE);
        tg_array_drop(tg, &want);
        tg_array_drop(tg, &got[i]);
    }
    for (uint32_t i = 0; i < n_feed; i++)
        tg_array_drop(tg, &in[i]);
    tg_model_free(model);
}

static void test_symbolic(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof symbolic / sizeof *symbolic; i++) {
        size_t k = 0;
        while (k < symbolic[i].n && strcmp(symbolic[i].rows[k].name, symbolic[i].name) != 0)
            k++;
        assert_true(k < symbolic[i].n);
        check_symbolic(&symbolic[i].rows[k], symbolic[i].sizes);
    }
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static void refuse(TgOp op, const char *attrs, const char *first, const char *second, const char *third)
{
    const char *text[] = {first, second, third};
    TgArray in[3], out[4] = {0};
    const TgArray *operand[3];
    uint32_t n = 0, errors = tg_error_count(tg);
    for (; n < 3 && text[n]; n++) {
        in[n] = array_of(TG_EVAL_F32, text[n]);
        operand[n] = &in[n];
    }
    if (run(TG_EVAL_F32, op, attrs, n, operand, 1, out))
        fail_msg("%s with '%s' is not refused", tg_op_text(tg, op), attrs);
    assert_true(tg_error_count(tg) > errors);
    while (n-- > 0)
        tg_array_drop(tg, &in[n]);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse(TG_Dropout, "", "f32[2] 1 2", "f32[] 0.5", "bool[] 1");
    refuse(TG_Attention, "qk_matmul_output_mode=7", "f32[1,1,2,2] ~1", "f32[1,1,2,2] ~2", "f32[1,1,2,2] ~3");
    refuse(TG_Attention, "", "f32[1,2,4] ~1", "f32[1,2,4] ~2", "f32[1,2,4] ~3");
    refuse(TG_Attention, "", "f32[1,3,2,2] ~1", "f32[1,2,2,2] ~2", "f32[1,2,2,2] ~3");
    refuse(TG_RotaryEmbedding, "", "f32[1,2,4] ~1", "f32[1,2,2] ~2", "f32[1,2,2] ~3");
    refuse(TG_DepthToSpace, "blocksize=0", "f32[1,4,2,2] ~1", NULL, NULL);
    refuse(TG_Flatten, "axis=4", "f32[2,3] ~1", NULL, NULL);
    refuse(TG_LayerNormalization, "stash_type=999", "f32[2] 1 2", "f32[2] 1 2", NULL);
    refuse(TG_HannWindow, "output_datatype=77", "i64[] 3", NULL, NULL);
    refuse(TG_HannWindow, "output_datatype=-1", "i64[] 3", NULL, NULL);
    refuse(TG_Attention, "softmax_precision=1000", "f32[1,1,2,2] ~1", "f32[1,1,2,2] ~2", "f32[1,1,2,2] ~3");
    refuse(TG_LpPool, "ceil_mode=1 kernel_shape=2 strides=9000000000000000000", "f32[1,1,3] 1:3", NULL, NULL);
    refuse(TG_LpPool, "kernel_shape=-2", "f32[1,1,3] 1:3", NULL, NULL);
    refuse(TG_GroupNormalization, "num_groups=0", "f32[1,2,2] 1:4", "f32[2] 1 2", "f32[2] 1 2");
    refuse(TG_GroupNormalization, "num_groups=-7", "f32[1,2,2] 1:4", "f32[2] 1 2", "f32[2] 1 2");
    refuse(TG_TensorScatter, "axis=9223372036854775807", "f32[1,2,2] 1:4", "f32[1,2,2] 1:4", NULL);
    refuse(TG_LRN, "size=0", "f32[1,2,1,1] 1 2", NULL, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_context, close_context)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(activations), TEST(reductions), TEST(movements), TEST(norms),   TEST(losses),   TEST(products),
        TEST(attentions),  TEST(images),     TEST(by_hand),   TEST(symbolic), TEST(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
