/* Kernels of convolution, pooling, images, recurrence, quantization, signals and random numbers, one node
 * at a time.
 *
 * Most cases are rows: operands and results are written out, with values that follow from the definition
 * by hand (sums of taps, ramps that interpolation must reproduce, recurrences with a closed form) or from
 * a published format table. Every row runs in float32, in float64 and natively. What is a law rather than
 * a value (adjoint, inverse, distribution) is a function further down. */
#include "cases.h"

static const double TOLERANCE = 1e-6;

/* --- convolution ---------------------------------------------------------------------------------------- */

static const Case convolutions[] = {
    {"sum of two neighbours", TG_Conv, "", {"f32[1,1,5] 1:5", "f32[1,1,2] 1*2"}, {"f32[1,1,4] 3 5 7 9"}},
    {"stride and bias", TG_Conv, "strides=2", {"f32[1,1,5] 1:5", "f32[1,1,2] 1*2", "f32[1] 10"},
     {"f32[1,1,2] 13 17"}},
    {"dilation", TG_Conv, "dilations=2", {"f32[1,1,5] 1:5", "f32[1,1,2] 1 10"}, {"f32[1,1,3] 31 42 53"}},
    {"pads on one side", TG_Conv, "pads=2,0", {"f32[1,1,3] 1:3", "f32[1,1,2] 1 10"},
     {"f32[1,1,4] 0 10 21 32"}},
    {"upper padding is even or behind", TG_Conv, "auto_pad=SAME_UPPER", {"f32[1,1,3] 1:3", "f32[1,1,2] 1 10"},
     {"f32[1,1,3] 21 32 3"}},
    {"lower padding is even or in front", TG_Conv, "auto_pad=SAME_LOWER",
     {"f32[1,1,3] 1:3", "f32[1,1,2] 1 10"},
     {"f32[1,1,3] 10 21 32"}},
    {"ones over ones count taps", TG_Conv, "pads=1,1,1,1", {"f32[1,1,3,3] 1*9", "f32[1,1,3,3] 1*9"},
     {"f32[1,1,3,3] 4 6 4 6 9 6 4 6 4"}},
    {"channels are summed", TG_Conv, "", {"f32[1,2,2] 1 2 10 20", "f32[1,2,1] 1 1"}, {"f32[1,1,2] 11 22"}},
    {"groups are apart", TG_Conv, "group=2", {"f32[1,2,2] 1 2 10 20", "f32[2,1,1] 1 3"},
     {"f32[1,2,2] 1 2 30 60"}},
    {"three dimensions", TG_Conv, "", {"f32[1,1,2,2,2] 1:8", "f32[1,1,2,2,2] 1*8"}, {"f32[1,1,1,1,1] 36"}},
    {"an empty batch", TG_Conv, "", {"f32[0,1,5]", "f32[1,1,2] 1*2"}, {"f32[0,1,4]"}},
    {"transposed: taps spread", TG_ConvTranspose, "strides=2", {"f32[1,1,2] 1 10", "f32[1,1,3] 1 2 3"},
     {"f32[1,1,5] 1 2 13 20 30"}},
    {"transposed: pads cut", TG_ConvTranspose, "strides=2 pads=1,1", {"f32[1,1,2] 1 10", "f32[1,1,3] 1 2 3"},
     {"f32[1,1,3] 2 13 20"}},
    {"transposed: more output", TG_ConvTranspose, "strides=2 output_padding=1",
     {"f32[1,1,2] 1 10", "f32[1,1,2] 1 2"},
     {"f32[1,1,5] 1 2 10 20 0"}},
    {"transposed: given size, odd pad in front", TG_ConvTranspose, "strides=2 output_shape=4",
     {"f32[1,1,2] 1 10", "f32[1,1,3] 1 2 3"}, {"f32[1,1,4] 2 13 20 30"}},
    {"transposed: groups", TG_ConvTranspose, "group=2",
     {"f32[1,2,1] 1 10", "f32[2,1,2] 1 2 3 4", "f32[2] 100 200"},
     {"f32[1,2,2] 101 102 230 240"}},
    {"columns overlap", TG_Col2Im, "", {"f32[1,2,3] 1 2 3 10 20 30", "i64[1] 4", "i64[1] 2"},
     {"f32[1,1,4] 1 12 23 30"}},
    {"columns of a plane", TG_Col2Im, "", {"f32[1,4,4] 1*16", "i64[2] 3 3", "i64[2] 2 2"},
     {"f32[1,1,3,3] 1 2 1 2 4 2 1 2 1"}},
    {"no offset, no deformation", TG_DeformConv, "",
     {"f32[1,1,3,3] 1:9", "f32[1,1,2,2] 1*4", "f32[1,8,2,2] 0*32"},
     {"f32[1,1,2,2] 12 16 24 28"}},
    {"half a pixel down and a mask", TG_DeformConv, "",
     {"f32[1,1,3,1] 0 10 20", "f32[1,1,1,1] 2", "f32[1,2,3,1] 0.5*3 0*3", NULL, "f32[1,1,3,1] 1 0.5 1"},
     {"f32[1,1,3,1] 10 15 20"}},
};

static void test_convolution(void **state)
{
    (void)state;
    CHECK_ROWS(convolutions, TOLERANCE);
}

static TgArray scattered(TgEvalMode mode, int32_t rank, const int64_t *dim, uint64_t seed)
{
    TgArray a = tg_array_new(tg, mode, TG_f64, rank, dim);
    for (int64_t i = 0; i < a.count; i++)
        tg_array_set_float(mode, &a, i, (double)(tg_mix(seed, (uint64_t)i) % 17) - 8);
    return a;
}

static double dot(TgEvalMode mode, const TgArray *a, const TgArray *b)
{
    double sum = 0;
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++)
        sum += tg_array_float(mode, a, i) * tg_array_float(mode, b, i);
    return sum;
}

/* <Conv(x), y> = <x, ConvTranspose(y)> for the same weights, whatever strides, dilations, pads and groups.
 * Small integers make it exact. */
static void test_adjoint(void **state)
{
    (void)state;
    const char *attrs = "strides=2,3 dilations=2,1 pads=1,0,2,1 group=2";
    const TgEvalMode mode = TG_EVAL_F64;
    TgArray x = scattered(mode, 4, (int64_t[]){2, 4, 7, 8}, 1),
        w = scattered(mode, 4, (int64_t[]){6, 2, 3, 2}, 2);
    TgArray conv = {0}, back = {0};
    assert_true(run(mode, TG_Conv, attrs, 2, (const TgArray *[]){&x, &w}, 1, &conv));
    TgArray y = scattered(mode, conv.rank, conv.dim, 3);
    char grown[128];
    snprintf(grown, sizeof grown, "%s output_padding=1,1", attrs); /* what the strides left over */
    assert_true(run(mode, TG_ConvTranspose, grown, 2, (const TgArray *[]){&y, &w}, 1, &back));
    assert_memory_equal(back.dim, x.dim, 4 * sizeof *x.dim);
    assert_true(dot(mode, &conv, &y) == dot(mode, &x, &back));
    TgArray *all[] = {&x, &w, &y, &conv, &back};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tg_array_drop(tg, all[i]);
}

/* --- pooling -------------------------------------------------------------------------------------------- */

static const Case pools[] = {
    {"maxima and their places", TG_MaxPool, "kernel_shape=2,2", {"f32[1,1,3,3] 1 9 3 4 5 6 7 8 2"},
     {"f32[1,1,2,2] 9 9 8 8", "i64[1,1,2,2] 1 1 7 7"}},
    {"places by columns", TG_MaxPool, "kernel_shape=2,2 storage_order=1", {"f32[1,1,3,3] 1 9 3 4 5 6 7 8 2"},
     {"f32[1,1,2,2] 9 9 8 8", "i64[1,1,2,2] 3 3 5 5"}},
    {"places count through channels", TG_MaxPool, "kernel_shape=2", {"f32[1,2,2] 1 2 4 3"},
     {"f32[1,2,1] 2 4", "i64[1,2,1] 1 2"}},
    {"pads are below all numbers", TG_MaxPool, "kernel_shape=3 pads=1,1", {"f32[1,1,3] -3 -2 -1"},
     {"f32[1,1,3] -2 -1 -1"}},
    {"ceil keeps a last window", TG_MaxPool, "kernel_shape=2 strides=2 ceil_mode=1", {"f32[1,1,3] 1 2 3"},
     {"f32[1,1,2] 2 3"}},
    {"no window begins in the padding", TG_MaxPool, "kernel_shape=1 strides=2 pads=0,1 ceil_mode=1",
     {"f32[1,1,2] 1 2"},
     {"f32[1,1,1] 1"}},
    {"bytes", TG_MaxPool, "kernel_shape=2", {"u8[1,1,3] 7 200 3"}, {"u8[1,1,2] 200 200"}},
    {"a NaN wins", TG_MaxPool, "kernel_shape=2", {"f32[1,1,3] 1 nan 2"}, {"f32[1,1,2] nan nan"}},
    {"means", TG_AveragePool, "kernel_shape=2", {"f32[1,1,3] 1 2 6"}, {"f32[1,1,2] 1.5 4"}},
    {"means without the padding", TG_AveragePool, "kernel_shape=2 pads=1,1", {"f32[1,1,2] 1 2"},
     {"f32[1,1,3] 1 1.5 2"}},
    {"means with the padding", TG_AveragePool, "kernel_shape=2 pads=1,1 count_include_pad=1",
     {"f32[1,1,2] 1 2"},
     {"f32[1,1,3] 0.5 1.5 1"}},
    {"what hangs over the padding does not count", TG_AveragePool,
     "kernel_shape=3 strides=3 pads=0,1 count_include_pad=1 ceil_mode=1", {"f32[1,1,4] 3 3 3 8"},
     {"f32[1,1,2] 3 4"}},
    {"unpooled", TG_MaxUnpool, "kernel_shape=2 strides=2", {"f32[1,1,2] 5 6", "i64[1,1,2] 1 2"},
     {"f32[1,1,4] 0 5 6 0"}},
    {"unpooled into more", TG_MaxUnpool, "kernel_shape=2,2 strides=2,2",
     {"f32[1,1,1,1] 5", "i64[1,1,1,1] 3", "i64[4] 1 1 3 3"}, {"f32[1,1,3,3] 0*4 5 0*4"}},
    {"largest of quarters of a region", TG_MaxRoiPool, "pooled_shape=2,2",
     {"f32[1,1,4,4] 1:16", "f32[1,5] 0 0 0 3 3"}, {"f32[1,1,2,2] 6 8 14 16"}},
    {"a ramp keeps its values at bin centres", TG_RoiAlign,
     "output_height=1 output_width=2 sampling_ratio=2 coordinate_transformation_mode=output_half_pixel",
     {"f32[1,1,1,8] 0:7", "f32[1,4] 1 0 5 0", "i64[1] 0"}, {"f32[1,1,1,2] 2 4"}},
    {"half a pixel to the left", TG_RoiAlign, "output_height=1 output_width=2 sampling_ratio=2",
     {"f32[1,1,1,8] 0:7", "f32[1,4] 1 0 5 0", "i64[1] 0"}, {"f32[1,1,1,2] 1.5 3.5"}},
};

static void test_pooling(void **state)
{
    (void)state;
    CHECK_ROWS(pools, TOLERANCE);
}

/* --- images --------------------------------------------------------------------------------------------- */

static const Case images[] = {
    {"nearest, halves to the floor", TG_Resize, "", {"f32[3] 1 2 3", NULL, "f32[1] 2"},
     {"f32[6] 1 1 2 2 3 3"}},
    {"nearest, by size", TG_Resize, "coordinate_transformation_mode=asymmetric nearest_mode=floor",
     {"f32[7] 0:6", NULL, NULL, "i64[1] 3"}, {"f32[3] 0 2 4"}},
    {"whole ratios stay exact", TG_Resize, "nearest_mode=floor", {"f32[7] 0:6", NULL, NULL, "i64[1] 1"},
     {"f32[1] 3"}},
    {"linear: a ramp inside, its ends outside", TG_Resize, "mode=linear", {"f32[3] 0 4 8", NULL, "f32[1] 2"},
     {"f32[6] 0 1 3 5 7 8"}},
    {"linear, corners aligned", TG_Resize, "mode=linear coordinate_transformation_mode=align_corners",
     {"f32[3] 0 4 8", NULL, NULL, "i64[1] 5"}, {"f32[5] 0 2 4 6 8"}},
    {"both axes", TG_Resize, "mode=linear coordinate_transformation_mode=align_corners",
     {"f32[2,2] 0 2 4 6", NULL, NULL, "i64[2] 3 3"}, {"f32[3,3] 0 1 2 2 3 4 4 5 6"}},
    {"some axes only", TG_Resize, "axes=1", {"f32[2,2] 1:4", NULL, "f32[1] 2"}, {"f32[2,4] 1 1 2 2 3 3 4 4"}},
    {"cubic reproduces a ramp where it has four pixels", TG_Resize,
     "mode=cubic axes=0 cubic_coeff_a=-0.5 coordinate_transformation_mode=tf_crop_and_resize",
     {"f32[7] 0:6", "f32[2] 0.25 0.75", NULL, "i64[1] 4"}, {"f32[4] 1.5 2.5 3.5 4.5"}},
    {"weights of pixels that exist", TG_Resize, "mode=cubic exclude_outside=1",
     {"f32[3] 5*3", NULL, "f32[1] 3"}, {"f32[9] 5*9"}},
    {"antialiased halves", TG_Resize, "mode=linear antialias=1", {"f32[4] 0 0 8 8", NULL, "f32[1] 0.5"},
     {"f32[2] 1 7"}},
    {"cropped, and outside", TG_Resize,
     "mode=linear coordinate_transformation_mode=tf_crop_and_resize extrapolation_value=9",
     {"f32[3] 0 4 8", "f32[2] 0.5 1.5", NULL, "i64[1] 3"}, {"f32[3] 4 8 9"}},
    {"not larger", TG_Resize, "keep_aspect_ratio_policy=not_larger",
     {"f32[2,4] 1:8", NULL, NULL, "i64[2] 2 2"},
     {"f32[1,2] 1 3"}},
    {"not smaller", TG_Resize, "keep_aspect_ratio_policy=not_smaller",
     {"f32[1,2] 1 2", NULL, NULL, "i64[2] 2 2"},
     {"f32[2,4] 1 1 2 2 1 1 2 2"}},
    {"integers are rounded", TG_Resize, "mode=linear coordinate_transformation_mode=align_corners",
     {"u8[2] 0 3", NULL, NULL, "i64[1] 4"}, {"u8[4] 0 1 2 3"}},
    {"grid of pixel centres", TG_GridSample, "align_corners=1",
     {"f32[1,1,1,3] 1 5 9", "f32[1,1,3,2] -1 0 0 0 1 0"},
     {"f32[1,1,1,3] 1 5 9"}},
    {"between pixels", TG_GridSample, "align_corners=1", {"f32[1,1,1,3] 1 5 9", "f32[1,1,2,2] -0.5 0 0.25 0"},
     {"f32[1,1,1,2] 3 6"}},
    {"edges of pixels", TG_GridSample, "", {"f32[1,1,1,2] 4 8", "f32[1,1,2,2] -1 0 0 0"},
     {"f32[1,1,1,2] 2 6"}},
    {"border", TG_GridSample, "padding_mode=border", {"f32[1,1,1,2] 4 8", "f32[1,1,2,2] -3 0 9 0"},
     {"f32[1,1,1,2] 4 8"}},
    {"reflection", TG_GridSample, "padding_mode=reflection align_corners=1 mode=nearest",
     {"f32[1,1,1,3] 1 5 9", "f32[1,1,3,2] -2 0 2 0 3 0"}, {"f32[1,1,1,3] 5 5 1"}},
    {"nearest even", TG_GridSample, "align_corners=1 mode=nearest", {"f32[1,1,1,4] 0:3", "f32[1,1,1,2] 0 0"},
     {"f32[1,1,1,1] 2"}},
    {"cubic on a ramp", TG_GridSample, "align_corners=1 mode=cubic", {"f32[1,1,1,5] 0:4", "f32[1,1,1,2] 0 0"},
     {"f32[1,1,1,1] 2"}},
    {"a volume", TG_GridSample, "align_corners=1", {"f32[1,1,2,2,2] 0:7", "f32[1,1,1,1,3] 1 0 -1"},
     {"f32[1,1,1,1,1] 2"}},
    {"a box hides its neighbour", TG_NonMaxSuppression, "",
     {"f32[1,3,4] 0 0 2 2 0 0 2 1.5 5 5 6 6", "f32[1,1,3] 0.5 0.9 0.7", "i64[] 9", "f32[] 0.5"},
         {"i64[2,3] 0 0 1 0 0 2"}},
    {"overlap at the threshold stays", TG_NonMaxSuppression, "",
     {"f32[1,2,4] 0 0 2 2 0 0 2 1", "f32[1,1,2] 2 1", "i64[] 9", "f32[] 0.5"}, {"i64[2,3] 0 0 0 0 0 1"}},
    {"scores, a maximum, centres", TG_NonMaxSuppression, "center_point_box=1",
     {"f32[1,3,4] 1 1 1 1 3 3 1 1 5 5 1 1", "f32[1,2,3] 0.1 0.5 0.6 0.9 0 0.9", "i64[] 1", "f32[] 0",
      "f32[] 0.3"},
     {"i64[2,3] 0 0 2 0 1 0"}},
};

static void test_images(void **state)
{
    (void)state;
    CHECK_ROWS(images, TOLERANCE);
}

/* --- recurrence ----------------------------------------------------------------------------------------- */

/* With Affine (alpha 1, beta 0) an RNN is linear: unit weights give running sums. */
#define LINEAR "activations=Affine activation_alpha=1 activation_beta=0"

static const Case recurrences[] = {
    {"running sum", TG_RNN, LINEAR, {"f32[4,1,1] 1 2 3 4", "f32[1,1,1] 1", "f32[1,1,1] 1"},
     {"f32[4,1,1,1] 1 3 6 10", "f32[1,1,1] 10"}},
    {"running sum from the end", TG_RNN, LINEAR " direction=reverse",
     {"f32[4,1,1] 1 2 3 4", "f32[1,1,1] 1", "f32[1,1,1] 1", NULL, NULL, "f32[1,1,1] 100"},
     {"f32[4,1,1,1] 110 109 107 104", "f32[1,1,1] 110"}},
    {"both ways, biases", TG_RNN,
     "activations=Affine,Affine activation_alpha=1,1 activation_beta=0,0 direction=bidirectional",
     {"f32[2,1,1] 1 2", "f32[2,1,1] 1 1", "f32[2,1,1] 1 1", "f32[2,2] 1 0 0 2"},
     {"f32[2,2,1,1] 2 7 5 4", "f32[2,1,1] 5 7"}},
    {"each sequence has its length", TG_RNN, LINEAR,
     {"f32[3,2,1] 1 10 2 20 3 30", "f32[1,1,1] 1", "f32[1,1,1] 1", NULL, "i32[2] 1 3"},
     {"f32[3,1,2,1] 1 10 0 30 0 60", "f32[1,2,1] 1 60"}},
    {"from the end of each length", TG_RNN, LINEAR " direction=reverse",
     {"f32[3,2,1] 1 10 2 20 3 30", "f32[1,1,1] 1", "f32[1,1,1] 1", NULL, "i32[2] 2 3"},
     {"f32[3,1,2,1] 3 60 2 50 0 30", "f32[1,2,1] 3 60"}},
    {"batch first", TG_RNN, LINEAR " layout=1", {"f32[2,2,1] 1 2 10 20", "f32[1,1,1] 1", "f32[1,1,1] 1"},
     {"f32[2,2,1,1] 1 3 10 30", "f32[2,1,1] 3 30"}},
    {"clipped before the activation", TG_RNN, LINEAR " clip=2.5",
     {"f32[3,1,1] 1 1 1", "f32[1,1,1] 1", "f32[1,1,1] 1"},
     {"f32[3,1,1,1] 1 2 2.5", "f32[1,1,1] 2.5"}},
    {"hyperbolic tangent by default", TG_RNN, "", {"f32[1,1,1] 0.5", "f32[1,1,1] 1", "f32[1,1,1] 1"},
     {"f32[1,1,1,1] 0.46211715726", "f32[1,1,1] 0.46211715726"}},
    {"without weights a GRU halves", TG_GRU, "",
     {"f32[3,1,1] 1*3", "f32[1,3,1] 0*3", "f32[1,3,1] 0*3", NULL, NULL, "f32[1,1,1] 8"},
     {"f32[3,1,1,1] 4 2 1", "f32[1,1,1] 1"}},
    /* z = 0, r = x by Affine and HardSigmoid-free gates: h = r * (h + 1) or r * h + 1 */
    {"reset before the product", TG_GRU, "activations=Affine,Affine activation_alpha=1,1 activation_beta=0,0",
     {"f32[1,1,1] 2", "f32[1,3,1] 0 1 0", "f32[1,3,1] 0 0 1", "f32[1,6] 0 0 0 0 0 1", NULL, "f32[1,1,1] 5"},
     {"f32[1,1,1,1] 11", "f32[1,1,1] 11"}},
    {"reset after the product", TG_GRU,
     "activations=Affine,Affine activation_alpha=1,1 activation_beta=0,0 linear_before_reset=1",
     {"f32[1,1,1] 2", "f32[1,3,1] 0 1 0", "f32[1,3,1] 0 0 1", "f32[1,6] 0 0 0 0 0 1", NULL, "f32[1,1,1] 5"},
     {"f32[1,1,1,1] 12", "f32[1,1,1] 12"}},
    /* all gates 1/2, candidate 0: the cell halves, the output is tanh(cell) / 2 */
    {"without weights an LSTM halves its cell", TG_LSTM, "",
     {"f32[2,1,1] 1*2", "f32[1,4,1] 0*4", "f32[1,4,1] 0*4", NULL, NULL, NULL, "f32[1,1,1] 4"},
     {"f32[2,1,1,1] 0.48201379 0.38079708", "f32[1,1,1] 0.38079708", "f32[1,1,1] 1"}},
    {"gates in the order i, o, f, c", TG_LSTM,
     "activations=Affine,Affine,Affine activation_alpha=1,1,1 activation_beta=0,0,0",
     {"f32[1,1,1] 1", "f32[1,4,1] 2 3 5 7", "f32[1,4,1] 0*4", NULL, NULL, NULL, "f32[1,1,1] 10"},
     {"f32[1,1,1,1] 192", "f32[1,1,1] 192", "f32[1,1,1] 64"}},
    {"peepholes in the order i, o, f", TG_LSTM,
     "activations=Affine,Affine,Affine activation_alpha=1,1,1 activation_beta=0,0,0",
     {"f32[1,1,1] 1", "f32[1,4,1] 0 0 0 1", "f32[1,4,1] 0*4", NULL, NULL, NULL, "f32[1,1,1] 2",
      "f32[1,3] 1 10 100"},
     {"f32[1,1,1,1] 1616040", "f32[1,1,1] 1616040", "f32[1,1,1] 402"}},
    {"coupled gates", TG_LSTM,
     "input_forget=1 activations=Affine,Affine,Affine activation_alpha=1,1,1 activation_beta=0,0,0",
     {"f32[1,1,1] 1", "f32[1,4,1] 0.25 1 9 8", "f32[1,4,1] 0*4", NULL, NULL, NULL, "f32[1,1,1] 4"},
     {"f32[1,1,1,1] 5", "f32[1,1,1] 5", "f32[1,1,1] 5"}},
};

static void test_recurrence(void **state)
{
    (void)state;
    CHECK_ROWS(recurrences, TOLERANCE);
}

/* --- conversion ----------------------------------------------------------------------------------------- */

/* `to` is the number of the type in ONNX. */
static const Case conversions[] = {
    {"towards zero", TG_Cast, "to=6", {"f32[4] 1.9 -1.9 0.5 -0.5"}, {"i32[4] 1 -1 0 0"}},
    {"integers wrap", TG_Cast, "to=3", {"i32[3] 200 -129 256"}, {"i8[3] -56 127 0"}},
    {"truth", TG_Cast, "to=9", {"f32[4] 0 -0 0.1 nan"}, {"bool[4] 0 0 1 1"}},
    {"truth of integers", TG_Cast, "to=9", {"i64[3] 0 256 -1"}, {"bool[3] 0 1 1"}},
    {"half", TG_Cast, "to=10", {"f64[4] 2049 65504 0.1 1"}, {"f16[4] 2048 65504 0.0999755859 1"}},
    {"e4m3fn saturates", TG_Cast, "to=17", {"f32[6] 448 464 500 -1e9 0.0625 17"},
     {"f8e4m3fn[6] 448 448 448 -448 0.0625 16"}},
    {"e4m3fn does not", TG_Cast, "to=17 saturate=0", {"f32[3] 448 500 -500"}, {"f8e4m3fn[3] 448 nan nan"}},
    {"e5m2 has infinity", TG_Cast, "to=19 saturate=0", {"f32[3] 57344 70000 -70000"},
     {"f8e5m2[3] 57344 inf -inf"}},
    {"e2m1 ties to even", TG_Cast, "to=23", {"f32[7] 0.25 0.75 1.25 1.75 2.5 5 99"},
     {"f4e2m1[7] 0 1 1 2 2 4 6"}},
    {"e8m0 up", TG_Cast, "to=24", {"f32[4] 1 1.1 3 4"}, {"f8e8m0[4] 1 2 4 4"}},
    {"e8m0 down", TG_Cast, "to=24 round_mode=down", {"f32[4] 1 1.9 3 4"}, {"f8e8m0[4] 1 1 2 4"}},
    {"e8m0 nearest, halves up", TG_Cast, "to=24 round_mode=nearest", {"f32[4] 1.4 1.5 2.9 3"},
     {"f8e8m0[4] 1 2 2 4"}},
    {"bits of one", TG_BitCast, "to=6", {"f32[3] 1 -2 0"}, {"i32[3] 1065353216 -1073741824 0"}},
    {"bits back", TG_BitCast, "to=1", {"i32[2] 1065353216 -1073741824"}, {"f32[2] 1 -2"}},
    {"bytes change sign", TG_BitCast, "to=3", {"u8[3] 0 127 255"}, {"i8[3] 0 127 -1"}},
    {"halves to even, then the zero point", TG_QuantizeLinear, "",
     {"f32[6] 1 3 5 -1 -3 1000", "f32[] 2", "u8[] 100"},
     {"u8[6] 100 102 102 100 98 255"}},
    {"u8 without a zero point", TG_QuantizeLinear, "", {"f32[2] -5 5", "f32[] 1"}, {"u8[2] 0 5"}},
    {"four bits", TG_QuantizeLinear, "", {"f32[4] -100 -3 3 100", "f32[] 1", "i4[] 1"}, {"i4[4] -8 -2 4 7"}},
    {"two bits, by attribute", TG_QuantizeLinear, "output_dtype=25", {"f32[4] -1 0 2 9", "f32[] 1"},
     {"u2[4] 0 0 2 3"}},
    {"sixteen bits", TG_QuantizeLinear, "", {"f32[2] 1e6 -1e6", "f32[] 1", "i16[] 0"},
     {"i16[2] 32767 -32768"}},
    {"float8", TG_QuantizeLinear, "", {"f32[3] 34 1000 -2", "f32[] 2", "f8e4m3fn[] 0"},
     {"f8e4m3fn[3] 16 448 -1"}},
    {"a scale per row", TG_QuantizeLinear, "axis=0", {"f32[2,2] 2 4 10 20", "f32[2] 2 10", "u8[2] 0 1"},
     {"u8[2,2] 1 2 2 3"}},
    {"a scale per block", TG_QuantizeLinear, "axis=1 block_size=2",
     {"f32[1,3] 2 4 10", "f32[1,2] 2 10", "u8[1,2] 0 1"}, {"u8[1,3] 1 2 2"}},
    {"the division has its own precision", TG_QuantizeLinear, "precision=10",
     {"f32[1] 2051", "f32[] 1", "i16[] 0"},
     {"i16[1] 2052"}},
    {"back, per column", TG_DequantizeLinear, "axis=1", {"u8[2,2] 1 2 3 4", "f32[2] 1 10", "u8[2] 1 2"},
     {"f32[2,2] 0 0 2 20"}},
    {"back, per block of rows", TG_DequantizeLinear, "axis=0 block_size=2",
     {"i4[3,1] 1 2 -3", "f32[2,1] 1 10"}, {"f32[3,1] 1 2 -30"}},
    {"back, without a zero point", TG_DequantizeLinear, "", {"i32[2] 100000 -7", "f32[] 0.5"},
     {"f32[2] 50000 -3.5"}},
};

static void test_conversion(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
        check_case(&conversions[i], TG_EVAL_NATIVE, TOLERANCE); /* the other modes keep more than the types hold */
}

/* --- signals, determinants, linear attention ------------------------------------------------------------ */

static const Case sums[] = {
    {"an impulse has every frequency", TG_DFT, "", {"f32[1,4,1] 1 0 0 0"}, {"f32[1,4,2] 1 0 1 0 1 0 1 0"}},
    {"a delay turns", TG_DFT, "", {"f32[1,4,1] 0 1 0 0"}, {"f32[1,4,2] 1 0 0 -1 -1 0 0 1"}},
    {"one side", TG_DFT, "onesided=1", {"f32[1,4,1] 0 1 0 0"}, {"f32[1,3,2] 1 0 0 -1 -1 0"}},
    {"back", TG_DFT, "inverse=1", {"f32[1,4,2] 1 0 0 -1 -1 0 0 1"}, {"f32[1,4,2] 0 0 1 0 0 0 0 0"}},
    {"back from one side", TG_DFT, "inverse=1 onesided=1", {"f32[1,3,2] 1 0 0 -1 -1 0"},
     {"f32[1,4,1] 0 1 0 0"}},
    {"padded to a length", TG_DFT, "", {"f32[1,1,1] 3", "i64[] 3"}, {"f32[1,3,2] 3 0 3 0 3 0"}},
    {"another axis", TG_DFT, "", {"f32[2,2,1] 1 2 3 4", NULL, "i64[] 0"}, {"f32[2,2,2] 4 0 6 0 -2 0 -2 0"}},
    {"frames of a constant", TG_STFT, "", {"f32[1,6,1] 1*6", "i64[] 2", NULL, "i64[] 4"},
     {"f32[1,2,3,2] 4 0 0 0 0 0 4 0 0 0 0 0"}},
    {"a window picks one sample", TG_STFT, "", {"f32[1,4,1] 1:4", "i64[] 1", "f32[2] 1 0"},
     {"f32[1,3,2,2] 1 0 1 0 2 0 2 0 3 0 3 0"}},
    {"minus one for an exchange", TG_Det, "", {"f32[2,2] 0 1 1 0"}, {"f32[] -1"}},
    {"Vandermonde", TG_Det, "", {"f32[2,3,3] 1 2 4 1 3 9 1 5 25 1 2 3 4 5 6 7 8 9"}, {"f32[2] 6 0"}},
    {"linear: keys and values add up", TG_LinearAttention,
     "q_num_heads=1 kv_num_heads=1 scale=1 update_rule=linear",
     {"f32[1,2,1] 1 2", "f32[1,2,1] 3 4", "f32[1,2,1] 5 6"}, {"f32[1,2,1] 15 78", "f32[1,1,1,1] 39"}},
    {"gated: the past fades", TG_LinearAttention, "q_num_heads=1 kv_num_heads=1 scale=1 update_rule=gated",
     {"f32[1,1,1] 1", "f32[1,1,1] 1", "f32[1,1,1] 1", "f32[1,1,1,1] 8", "f32[1,1,1] -0.69314718056"},
     {"f32[1,1,1] 5", "f32[1,1,1,1] 5"}},
    {"delta: a unit key is overwritten", TG_LinearAttention,
     "q_num_heads=2 kv_num_heads=1 scale=1 update_rule=delta",
     {"f32[1,1,2] 1 10", "f32[1,1,1] 1", "f32[1,1,1] 7", "f32[1,1,1,1] 100", NULL, "f32[1,1,1] 1"},
     {"f32[1,1,2] 7 70", "f32[1,1,1,1] 7"}},
};

static void test_sums(void **state)
{
    (void)state;
    CHECK_ROWS(sums, TOLERANCE);
}

/* Filters of the mel scale are triangles of height one; each begins where the one before it has its peak. */
static void test_mel(void **state)
{
    (void)state;
    const TgEvalMode mode = TG_EVAL_F32;
    const char *text[] = {"i64[] 8", "i64[] 128", "i64[] 8000", "f32[] 100", "f32[] 3800"};
    TgArray in[5], y = {0};
    const TgArray *operand[5];
    for (int i = 0; i < 5; i++) {
        in[i] = array_of(mode, text[i]);
        operand[i] = &in[i];
    }
    assert_true(run(mode, TG_MelWeightMatrix, "", 5, operand, 1, &y));
    assert_int_equal(y.dim[0], 65);
    assert_int_equal(y.dim[1], 8);
    int64_t before = -1;
    for (int64_t band = 0; band < 8; band++) {
        int64_t peak = 0;
        for (int64_t i = 0; i < 65; i++)
            if (tg_array_float(mode, &y, i * 8 + band) == 1)
                peak = i;
        assert_true(peak > before);
        assert_true(tg_array_float(mode, &y, peak * 8 + band) == 1);
        if (band > 0)
            assert_true(tg_array_float(mode, &y, before * 8 + band) == 0);
        before = peak;
    }
    for (int i = 0; i < 5; i++)
        tg_array_drop(tg, &in[i]);
    tg_array_drop(tg, &y);
}

/* --- random numbers ------------------------------------------------------------------------------------- */

static void moments(const TgArray *a, double *mean, double *deviation)
{
    double sum = 0, squares = 0, n = (double)a->count;
    for (int64_t i = 0; i < a->count; i++) {
        double x = number(TG_EVAL_F32, a, i);
        sum += x;
        squares += x * x;
    }
    *mean = sum / n;
    *deviation = sqrt(squares / n - *mean * *mean);
}

/* Mean and deviation of 40 000 draws, within five standard errors; the same seed draws the same. */
static void test_random(void **state)
{
    (void)state;
    const TgEvalMode mode = TG_EVAL_F32;
    static const struct {
        TgOp op;
        const char *attrs, *in;
        double mean, deviation;
    } rows[] = {
        {TG_RandomNormal, "shape=200,200 mean=3 scale=2", NULL, 3, 2},
        {TG_RandomUniform, "shape=200,200 low=-1 high=5", NULL, 2, 1.7320508},
        {TG_RandomNormalLike, "", "f32[200,200] 0*40000", 0, 1},
        {TG_RandomUniformLike, "", "f32[200,200] 0*40000", 0.5, 0.28867513},
        {TG_Bernoulli, "", "f32[200,200] 0.25*40000", 0.25, 0.4330127},
        {TG_Multinomial, "sample_size=40000", "f32[1,2] 0 0", 0.5, 0.5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        TgArray first = {0}, again = {0}, x = rows[i].in ? array_of(mode, rows[i].in) : (TgArray){0};
        const TgArray *in[] = {&x};
        double mean, deviation;
        assert_true(run(mode, rows[i].op, rows[i].attrs, rows[i].in != NULL, in, 1, &first));
        assert_true(run(mode, rows[i].op, rows[i].attrs, rows[i].in != NULL, in, 1, &again));
        compare("same seed", mode, &first, &again, 0);
        moments(&first, &mean, &deviation);
        assert_true(fabs(mean - rows[i].mean) < 5 * rows[i].deviation / 200);
        assert_true(fabs(deviation - rows[i].deviation) < 0.05 * rows[i].deviation);
        tg_array_drop(tg, &first);
        tg_array_drop(tg, &again);
        tg_array_drop(tg, &x);
    }
}

/* --- refusals ------------------------------------------------------------------------------------------- */

/* Operands that do not fit must be refused with a message, not read. */
static const Case misfits[] = {
    {"window larger than the input", TG_Conv, "", {"f32[1,1,2] 1 2", "f32[1,1,3] 1*3"}, {0}},
    {"groups that do not divide", TG_Conv, "group=2", {"f32[1,3,2] 1*6", "f32[2,1,1] 1*2"}, {0}},
    {"bias of another size", TG_Conv, "", {"f32[1,1,2] 1 2", "f32[1,1,1] 1", "f32[2] 1 2"}, {0}},
    {"negative stride", TG_Conv, "strides=-1", {"f32[1,1,2] 1 2", "f32[1,1,1] 1"}, {0}},
    {"a stride too many", TG_Conv, "strides=1,1", {"f32[1,1,2] 1 2", "f32[1,1,1] 1"}, {0}},
    {"offsets of another size", TG_DeformConv, "", {"f32[1,1,2,2] 1*4", "f32[1,1,1,1] 1", "f32[1,1,2,2] 0*4"},
     {0}},
    {"place outside", TG_MaxUnpool, "kernel_shape=2 strides=2", {"f32[1,1,1] 5", "i64[1,1,1] 2"}, {0}},
    {"image that is not there", TG_RoiAlign, "", {"f32[1,1,2,2] 1*4", "f32[1,4] 0 0 1 1", "i64[1] 1"}, {0}},
    {"neither scales nor sizes", TG_Resize, "", {"f32[2] 1 2"}, {0}},
    {"a size too many", TG_Resize, "", {"f32[2] 1 2", NULL, NULL, "i64[2] 2 2"}, {0}},
    {"unknown mode", TG_Resize, "mode=magic", {"f32[2] 1 2", NULL, "f32[1] 2"}, {0}},
    {"grid of another rank", TG_GridSample, "", {"f32[1,1,2,2] 1*4", "f32[1,2,2] 0*4"}, {0}},
    {"length beyond the sequence", TG_RNN, "",
     {"f32[1,1,1] 1", "f32[1,1,1] 1", "f32[1,1,1] 1", NULL, "i32[1] 2"}, {0}},
    {"unknown activation", TG_RNN, "activations=Magic", {"f32[1,1,1] 1", "f32[1,1,1] 1", "f32[1,1,1] 1"},
     {0}},
    {"weights of another size", TG_LSTM, "", {"f32[1,1,1] 1", "f32[1,3,1] 1*3", "f32[1,4,1] 1*4"}, {0}},
    {"scales of another size", TG_QuantizeLinear, "axis=0", {"f32[3] 1 2 3", "f32[2] 1 2"}, {0}},
    {"frames longer than the signal", TG_STFT, "", {"f32[1,2,1] 1 2", "i64[] 1", NULL, "i64[] 3"}, {0}},
    {"not square", TG_Det, "", {"f32[2,3] 1*6"}, {0}},
    {"heads that do not divide", TG_LinearAttention, "q_num_heads=3 kv_num_heads=2",
     {"f32[1,1,3] 1*3", "f32[1,1,2] 1*2", "f32[1,1,2] 1*2", NULL, "f32[1,1,2] 0 0", "f32[1,1,2] 1 1"}, {0}},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
        const Case *t = &misfits[i];
        TgArray in[MOST_IN], out[MOST_OUT] = {0};
        const TgArray *operand[MOST_IN] = {0};
        uint32_t n_in = 0, errors = tg_error_count(tg);
        for (uint32_t k = 0; k < MOST_IN; k++)
            if (t->in[k]) {
                in[k] = array_of(TG_EVAL_F32, t->in[k]);
                operand[k] = &in[k];
                n_in = k + 1;
            }
        if (run(TG_EVAL_F32, t->op, t->attrs, n_in, operand, 1, out))
            fail_msg("%s: accepted", t->name);
        assert_int_equal(tg_error_count(tg), errors + 1);
        for (uint32_t k = 0; k < n_in; k++)
            if (operand[k])
                tg_array_drop(tg, &in[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution), cmocka_unit_test(test_adjoint),    cmocka_unit_test(test_pooling),
        cmocka_unit_test(test_images),      cmocka_unit_test(test_recurrence),
            cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_sums),        cmocka_unit_test(test_mel),        cmocka_unit_test(test_random),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, open_context, close_context) != 0;
}
