/* Generic operator kernels of kernels_layer.def beyond ONNX's stored tests: convolutions of random shapes against their
 * definition in double, everything else against the evaluator in float64 (which has tests of its own), values that
 * follow by hand, and bad data, which must be refused. */
#include "kernel_ops2.h"

#include <float.h>

/* --- convolution against its definition --------------------------------------------------------------------------- */

typedef struct {
    int32_t n;
    int64_t images, groups, in, out; /* channels per group */
    int64_t x[3], kernel[3], stride[3], dilation[3], before[3], after[3], extra[3], y[3];
    bool transposed, f64, bias;
} Shape;

static uint64_t dice = 1;

static int64_t throw_dice(int64_t low, int64_t high)
{
    dice = dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (int64_t)((dice >> 33) % (uint64_t)(high - low + 1));
}

static int64_t volume(int32_t n, const int64_t *dim)
{
    int64_t count = 1;
    for (int32_t i = 0; i < n; i++)
        count *= dim[i];
    return count;
}

static tgk_array noise(const Shape *s, int64_t first, int64_t second, const int64_t *rest)
{
    int64_t dim[5] = {first, second};
    for (int32_t i = 0; rest && i < s->n; i++)
        dim[i + 2] = rest[i];
    tgk_array a = blank_array(s->f64 ? TGK_F64 : TGK_F32, rest ? s->n + 2 : 1, dim);
    for (int64_t i = 0; i < a.room; i++)
        put_element(&a, i, (double)throw_dice(-1000, 1000) / 1000, 0);
    return a;
}

/* The places of x, y and tap along all axes, told from flat numbers; false where they do not meet inside x (Conv: x
 * is the big grid, ConvTranspose: y is). */
static bool meets(const Shape *s, int64_t small, int64_t tap, int64_t *big)
{
    const int64_t *big_dim = s->transposed ? s->y : s->x, *small_dim = s->transposed ? s->x : s->y;
    int64_t scale = 1;
    *big = 0;
    for (int32_t i = s->n - 1; i >= 0; i--) {
        int64_t at = small % small_dim[i] * s->stride[i] + tap % s->kernel[i] * s->dilation[i] - s->before[i];
        if (at < 0 || at >= big_dim[i])
            return false;
        *big += at * scale;
        scale *= big_dim[i];
        small /= small_dim[i];
        tap /= s->kernel[i];
    }
    return true;
}

static void convolve_plainly(const Shape *s, const tgk_array *in, double *y)
{
    const int64_t xs = volume(s->n, s->x), ys = volume(s->n, s->y), taps = volume(s->n, s->kernel);
    const int64_t smalls = s->transposed ? xs : ys;
    for (int64_t plane = 0; plane < s->images * s->groups * s->out; plane++) {
        const int64_t image = plane / (s->groups * s->out), m = plane % (s->groups * s->out), group = m / s->out;
        for (int64_t i = 0; i < ys; i++)
            y[plane * ys + i] = s->bias ? get_element(&in[2], m) : 0;
        for (int64_t k = 0; k < s->in; k++)
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t small = 0; small < smalls; small++) {
                    int64_t big;
                    if (!meets(s, small, tap, &big))
                        continue;
                    const int64_t from = s->transposed ? small : big, to = s->transposed ? big : small;
                    const int64_t w = s->transposed ? ((group * s->in + k) * s->out + m % s->out) * taps + tap
                                                    : (m * s->in + k) * taps + tap;
                    y[plane * ys + to] += get_element(&in[1], w)
                        * get_element(&in[0], ((image * s->groups + group) * s->in + k) * xs + from);
                }
    }
}

static tgk_status run_conv(const Shape *s, const tgk_ctx *c, const tgk_array *in, tgk_array *y)
{
    int64_t pads[6];
    for (int32_t i = 0; i < s->n; i++) {
        pads[i] = s->before[i];
        pads[s->n + i] = s->after[i];
    }
    if (s->transposed) {
        tgk_ConvTranspose_args a = {.out = {*y}, .group = s->groups, .dilations = s->dilation, .n_dilations = s->n,
                                    .output_padding = s->extra, .n_output_padding = s->n, .pads = pads,
                                    .n_pads = 2 * s->n, .strides = s->stride, .n_strides = s->n};
        memcpy(a.in, in, sizeof a.in);
        return tgk_ConvTranspose(c, &a);
    }
    tgk_Conv_args a = {.out = {*y}, .group = s->groups, .dilations = s->dilation, .n_dilations = s->n, .pads = pads,
                       .n_pads = 2 * s->n, .strides = s->stride, .n_strides = s->n};
    memcpy(a.in, in, sizeof a.in);
    return tgk_Conv(c, &a);
}

static void check_shape(const Shape *s)
{
    const int64_t m = s->groups * s->out;
    tgk_array in[3] = {noise(s, s->images, s->groups * s->in, s->x),
                       s->transposed ? noise(s, s->groups * s->in, s->out, s->kernel) : noise(s, m, s->in, s->kernel),
                       {0}};
    if (s->bias)
        in[2] = noise(s, m, 0, NULL);
    int64_t dim[5] = {s->images, m, s->y[0], s->n > 1 ? s->y[1] : 0, s->n > 2 ? s->y[2] : 0};
    tgk_array y = blank_array(in[0].type, s->n + 2, dim);
    double *want = malloc((size_t)y.room * sizeof *want + 1);
    assert_non_null(want);
    convolve_plainly(s, in, want);
    for (size_t isa = 0; isa < 4; isa++) {
        tgk_ctx c = {.isa = isa < 3 ? isa_of(isa) : NULL, .parallel_for = isa == 1 ? in_reverse : NULL};
        if (isa < 3 && !c.isa)
            continue;
        memset(y.at, 0xa5, (size_t)y.room * bytes_of(y.type));
        assert_int_equal(run_conv(s, &c, in, &y), TGK_OK);
        const double bound = s->f64 ? 1e-12 : 4e-5; /* sums of up to 3000 products of numbers up to 1 */
        for (int64_t i = 0; i < y.room; i++)
            if (!(fabs(get_element(&y, i) - want[i]) <= bound))
                fail_msg("%s, %d axes, %lld groups of %lld to %lld: element %lld is %.9g, not %.9g",
                         s->transposed ? "ConvTranspose" : "Conv", (int)s->n, (long long)s->groups, (long long)s->in,
                         (long long)s->out, (long long)i, get_element(&y, i), want[i]);
    }
    for (int i = 0; i < 3; i++)
        free(in[i].at);
    free(y.at);
    free(want);
}

/* Sizes of y from those of x; false where the window does not fit. */
static bool follow(Shape *s)
{
    for (int32_t i = 0; i < s->n; i++) {
        const int64_t extent = (s->kernel[i] - 1) * s->dilation[i] + 1;
        if (s->transposed)
            s->y[i] = (s->x[i] - 1) * s->stride[i] + extent + s->extra[i] - s->before[i] - s->after[i];
        else if (s->x[i] + s->before[i] + s->after[i] >= extent)
            s->y[i] = (s->x[i] + s->before[i] + s->after[i] - extent) / s->stride[i] + 1;
        else
            return false;
        if (s->y[i] < 1)
            return false;
    }
    return true;
}

static void test_convolutions_of_random_shapes(void **state)
{
    (void)state;
    for (int count = 0; count < 300; count++) {
        const int32_t n = (int32_t)throw_dice(1, 3);
        const bool wide = throw_dice(0, 3) == 0;
        Shape s = {.n = n, .images = throw_dice(1, 2), .groups = throw_dice(1, 3), .in = throw_dice(1, wide ? 70 : 5),
                   .out = throw_dice(1, wide ? 30 : 9), .transposed = throw_dice(0, 1), .f64 = throw_dice(0, 3) == 0,
                   .bias = throw_dice(0, 1)};
        for (int32_t i = 0; i < n; i++) {
            s.x[i] = throw_dice(1, n == 1 ? 220 : n == 2 ? 14 : 6);
            s.kernel[i] = throw_dice(1, 4);
            s.stride[i] = throw_dice(1, 4);
            s.dilation[i] = throw_dice(1, 4);
            s.before[i] = throw_dice(0, 3);
            s.after[i] = throw_dice(0, 3);
            s.extra[i] = s.transposed ? throw_dice(0, s.stride[i] - 1) : 0;
        }
        if (follow(&s))
            check_shape(&s);
    }
}

/* Windows of more taps than a piece of the depth holds, blocks that end inside a panel, axes that merge or vanish. */
static void test_convolutions_of_odd_shapes(void **state)
{
    (void)state;
    static const Shape rows[] = {
        {.n = 2, .in = 3, .out = 17, .x = {30, 31}, .kernel = {14, 14}, .stride = {14, 14}},
        {.n = 2, .in = 3, .out = 17, .x = {4, 5}, .kernel = {14, 14}, .stride = {3, 7}, .transposed = true},
        {.n = 2, .in = 40, .out = 10, .x = {12, 13}, .kernel = {1, 1}, .stride = {1, 1}},
        {.n = 2, .in = 40, .out = 10, .x = {12, 13}, .kernel = {1, 1}, .stride = {1, 1}, .transposed = true},
        {.n = 3, .in = 9, .out = 8, .x = {1, 150, 1}, .kernel = {1, 3, 1}, .stride = {1, 1, 1}},
        {.n = 2, .in = 9, .out = 8, .x = {1, 1}, .kernel = {1, 1}, .stride = {1, 1}},
        {.n = 1, .in = 320, .out = 300, .x = {4}, .kernel = {1}, .stride = {1}},
        {.n = 1, .in = 9, .out = 8, .x = {5}, .kernel = {2}, .stride = {6}, .transposed = true}, /* gaps */
        {.n = 1, .in = 9, .out = 8, .x = {5}, .kernel = {3}, .stride = {4}, .dilation = {6}, .transposed = true},
        {.n = 1, .in = 64, .out = 32, .x = {77}, .kernel = {16}, .stride = {8}, .before = {4}, .after = {4},
         .transposed = true},
        {.n = 1, .in = 530, .out = 5, .x = {50}, .kernel = {4}, .stride = {2}, .before = {1}, .after = {1},
         .transposed = true},
        {.n = 2, .in = 170, .out = 3, .x = {3, 5}, .kernel = {3, 2}, .stride = {2, 1}, .before = {1, 0},
         .transposed = true},
        {.n = 1, .in = 1, .out = 1, .groups = 33, .x = {500}, .kernel = {31}, .stride = {1}, .before = {15},
         .after = {15}},
        {.n = 2, .in = 4, .out = 6, .x = {2, 3}, .kernel = {2, 2}, .stride = {1, 1}, .before = {9, 9}, .after = {9, 9}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Shape s = rows[i];
        s.images = 2;
        s.groups = s.groups ? s.groups : 1;
        s.bias = i % 2;
        for (int32_t k = 0; k < s.n; k++)
            s.dilation[k] = s.dilation[k] ? s.dilation[k] : 1;
        assert_true(follow(&s));
        check_shape(&s);
    }
}

/* --- against the evaluator ---------------------------------------------------------------------------------------- */

/* A row of which only the operands are given. `outs`: results. */
typedef struct {
    TgOp op;
    int outs;
    const char *attrs, *in[SLOTS];
} Row;

static void check_row(const Row *row, const char *type)
{
    char text[SLOTS][256];
    TgArray in[SLOTS], out[SLOTS] = {{0}};
    const TgArray *operand[SLOTS] = {NULL}, *want[SLOTS] = {NULL};
    TgValue value[SLOTS], made[SLOTS];
    uint32_t n_in = 0, n_out = (uint32_t)row->outs;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!row->in[i])
            continue;
        const bool real = row->in[i][0] == '[';
        snprintf(text[i], sizeof text[i], "%s%s", real ? type : "", row->in[i]);
        in[i] = array_of(TG_EVAL_NATIVE, text[i]);
        operand[i] = &in[i];
        n_in = i + 1;
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        value[i] = i + 1;
        made[i] = SLOTS + i + 1;
        want[i] = i < n_out ? &out[i] : NULL;
    }
    TgNodeInfo n = {.op = row->op, .attrs = attrs_of(row->op, row->attrs), .n_in = n_in, .n_formal = n_in, .in = value,
                    .n_out = n_out, .out = made};
    const TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .threads = 1};
    if (!tg_eval_node(tg, NULL, &n, &options, operand, out))
        fail_msg("%s %s: %s", tg_op_text(tg, row->op), row->attrs, last_message());
    n.attrs = planned_attrs(&n, n_in > 1 && operand[1] ? operand[1]->dtype : TG_undefined);
    const char *why = run_node(&n, TG_EVAL_NATIVE, n_in, operand, n_out, want, strcmp(type, "f64") == 0 ? 1e-12 : 2e-5);
    if (why)
        fail_msg("%s %s in %s: %s", tg_op_text(tg, row->op), row->attrs, type, why);
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (operand[i])
            tg_array_drop(tg, &in[i]);
        tg_array_drop(tg, &out[i]);
    }
}

#define CHECK(rows)                                                                                                  \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) {                                                     \
        check_row(&(rows)[i], "f32");                                                                                \
        check_row(&(rows)[i], "f64");                                                                                \
    }

#define LENS "i64[3] 5 0 3"
static const Row recurrent[] = {
    {TG_LSTM, 3, "hidden_size=1", {"[5,3,2] ~1", "[1,4,2] ~2", "[1,4,1] ~3"}},
    {TG_LSTM, 3, "hidden_size=3", {"[5,3,2] ~1", "[1,12,2] ~2", "[1,12,3] ~3", "[1,24] ~4"}},
    {TG_LSTM, 3, "hidden_size=5 direction=bidirectional",
     {"[5,3,7] ~1", "[2,20,7] ~2", "[2,20,5] ~3", "[2,40] ~4", LENS, "[2,3,5] ~5", "[2,3,5] ~6", "[2,15] ~7"}},
    {TG_LSTM, 3, "hidden_size=17 direction=reverse clip=0.7 input_forget=1",
     {"[5,3,19] ~1", "[1,68,19] ~2", "[1,68,17] ~3", NULL, LENS, NULL, "[1,3,17] ~6"}},
    {TG_LSTM, 3, "hidden_size=40 layout=1 direction=bidirectional",
     {"[3,5,33] ~1", "[2,160,33] ~2", "[2,160,40] ~3", "[2,320] ~4", LENS, "[3,2,40] ~5", "[3,2,40] ~6"}},
    {TG_LSTM, 3,
     "hidden_size=2 direction=bidirectional activations=HardSigmoid,Affine,ScaledTanh,Elu,Softsign,softplus "
     "activation_alpha=0.3,0.5,1.5,0.8 activation_beta=0.4,0.1,0.9",
     {"[2,5,3] ~1", "[2,8,3] ~2", "[2,8,2] ~3"}},
    {TG_LSTM, 3, "hidden_size=2 activations=Sigmoid,LeakyRelu,ThresholdedRelu activation_alpha=0.1,0.2",
     {"[2,5,3] ~1", "[1,8,3] ~2", "[1,8,2] ~3"}},
    {TG_GRU, 2, "hidden_size=5 direction=bidirectional",
     {"[5,3,7] ~1", "[2,15,7] ~2", "[2,15,5] ~3", "[2,30] ~4", LENS, "[2,3,5] ~5"}},
    {TG_GRU, 2, "hidden_size=21 linear_before_reset=1 direction=reverse clip=0.9",
     {"[5,3,18] ~1", "[1,63,18] ~2", "[1,63,21] ~3", "[1,126] ~4", LENS, "[1,3,21] ~5"}},
    {TG_GRU, 2, "hidden_size=4 layout=1 activations=Relu,Tanh clip=1",
     {"[6,5,3] ~1", "[1,12,3] ~2", "[1,12,4] ~3", NULL, NULL, "[6,1,4] ~5"}},
    {TG_RNN, 2, "hidden_size=19 direction=bidirectional",
     {"[5,3,7] ~1", "[2,19,7] ~2", "[2,19,19] ~3", "[2,38] ~4", LENS, "[2,3,19] ~5"}},
    {TG_RNN, 2, "hidden_size=3 layout=1 activations=Relu clip=0.5", {"[3,5,2] ~1", "[1,3,2] ~2", "[1,3,3] ~3"}},
    {TG_RNN, 2, "hidden_size=3", {"[0,3,2]", "[1,3,2] ~2", "[1,3,3] ~3", NULL, NULL, "[1,3,3] ~4"}},
    {TG_RNN, 2, "hidden_size=3", {"[2,0,2]", "[1,3,2] ~2", "[1,3,3] ~3"}},
};

static void test_recurrent(void **state)
{
    (void)state;
    CHECK(recurrent)
}

static const Row pools[] = {
    {TG_MaxPool, 2, "kernel_shape=3,2 strides=2,1 pads=1,0,1,1 dilations=1,2", {"[2,3,9,8] ~1"}},
    {TG_MaxPool, 1, "kernel_shape=3 strides=2 ceil_mode=1 pads=1,1", {"[2,3,8] ~1"}},
    {TG_MaxPool, 2, "kernel_shape=2,2 storage_order=1 strides=2,2", {"[1,2,5,4] ~1"}},
    {TG_MaxPool, 2, "kernel_shape=2,2,2 auto_pad=SAME_UPPER", {"[1,1,3,4,5] ~1"}},
    {TG_MaxPool, 2, "kernel_shape=2 pads=1,1", {"i8[1,1,5] -3 -1 -2 -5 -4"}},
    {TG_MaxPool, 1, "kernel_shape=2 pads=1,1", {"u8[1,1,5] 3 1 2 5 255"}},
    {TG_AveragePool, 1, "kernel_shape=3,2 strides=2,1 pads=1,0,1,1 dilations=2,2", {"[2,3,9,8] ~1"}},
    {TG_AveragePool, 1, "kernel_shape=3,3 strides=2,2 pads=1,1,1,1 ceil_mode=1 count_include_pad=1", {"[1,2,8,7] ~1"}},
    {TG_AveragePool, 1, "kernel_shape=4 auto_pad=SAME_LOWER strides=3 count_include_pad=1", {"[2,3,11] ~1"}},
    {TG_MaxUnpool, 1, "kernel_shape=2,2 strides=2,2", {"[1,1,2,2] 1:4", "i64[1,1,2,2] 5 7 13 15"}},
    {TG_MaxUnpool, 1, "kernel_shape=2,2 strides=2,2", {"[1,1,2,2] 1:4", "i64[1,1,2,2] 5 7 13 15", "i64[4] 1 1 5 5"}},
    {TG_MaxRoiPool, 1, "pooled_shape=2,3 spatial_scale=0.5",
     {"[2,2,6,7] ~1", "[3,5] 0 0 0 12 10 1 2 2 9 3 0 -40 5 90 90"}},
    {TG_RoiAlign, 1, "output_height=2 output_width=3 spatial_scale=0.5",
     {"[2,2,6,7] ~1", "[3,4] 0 0 12 10 2 2 9 3 -4 5 9 9", "i64[3] 0 1 0"}},
    {TG_RoiAlign, 1, "mode=max sampling_ratio=2 coordinate_transformation_mode=output_half_pixel output_height=2",
     {"[2,2,6,7] ~1", "[3,4] 0 0 6 5 2 2 4.5 3 -4 5 9 9", "i64[3] 0 1 0"}},
};

static void test_pools(void **state)
{
    (void)state;
    CHECK(pools)
}

#define GRID "[1,3,4,2] ~7"
static const Row images[] = {
    {TG_GridSample, 1, "", {"[1,2,4,5] ~1", GRID}},
    {TG_GridSample, 1, "mode=nearest padding_mode=border", {"[1,2,4,5] ~1", GRID}},
    {TG_GridSample, 1, "mode=cubic padding_mode=reflection align_corners=1", {"[1,2,4,5] ~1", GRID}},
    {TG_GridSample, 1, "padding_mode=reflection", {"[1,2,4,5] ~1", GRID}},
    {TG_GridSample, 1, "mode=cubic", {"[1,2,4,5] ~1", "[1,1,1,2] nan inf"}},
    {TG_GridSample, 1, "", {"[2,1,3,4,2] ~1", "[2,2,1,2,3] ~2"}},
    {TG_GridSample, 1, "mode=nearest", {"[2,1,6] ~1", "[2,300,1] ~2"}},
    {TG_GridSample, 1, "", {"i32[1,2,4,5] 1:40", GRID}},
    {TG_GridSample, 1, "", {"f32[1,2,4,5] ~1", "f64[1,3,4,2] ~7"}},
    {TG_DeformConv, 1, "group=2 offset_group=2 pads=1,0,0,1 strides=1,2 dilations=2,1",
     {"[2,4,5,6] ~1", "[6,2,2,2] ~2", "[2,16,4,3] ~3", "[6] ~4", "[2,8,4,3] ~5"}},
    {TG_DeformConv, 1, "", {"[1,2,20,20] ~1", "[3,2,2,2] ~2", "[1,8,19,19] ~3"}},
    {TG_Col2Im, 1, "pads=1,0,0,1 strides=2,1 dilations=1,2",
     {"[2,12,4] ~1", "i64[2] 4 5", "i64[2] 2 3"}},
};

static void test_images(void **state)
{
    (void)state;
    CHECK(images)
}

static const Row signals[] = {
    {TG_DFT, 1, "", {"[2,1,1] ~1"}},
    {TG_DFT, 1, "", {"[2,12,3,2] ~1", NULL, "i64[] 1"}},
    {TG_DFT, 1, "inverse=1", {"[2,7,2] ~1", "i64[] 5"}},
    {TG_DFT, 1, "onesided=1", {"[2,400,1] ~1"}},
    {TG_DFT, 1, "onesided=1", {"[1,6,1] ~1", "i64[] 9"}},
    {TG_DFT, 1, "onesided=1 inverse=1", {"[2,7,2] ~1"}},
    {TG_DFT, 1, "onesided=1 inverse=1", {"[1,4,2] ~1", "i64[] 7"}},
    {TG_DFT, 1, "onesided=1 inverse=1", {"[1,4,2] ~1", "i64[] 20"}},
    {TG_DFT, 1, "", {"[40,17,2] ~1"}},
    {TG_DFT, 1, "", {"[1,1999,1] ~1"}},
    {TG_DFT, 1, "inverse=1", {"[1,50,2] ~1", "i64[] 2048"}},
    {TG_STFT, 1, "", {"[2,40,1] ~1", "i64[] 7", "[12] ~2"}},
    {TG_STFT, 1, "onesided=0", {"[2,40,2] ~1", "i64[] 7", NULL, "i64[] 9"}},
    {TG_STFT, 1, "", {"[1,40] ~1", "i64[] 40", "[12] ~2", "i64[] 12"}},
    {TG_MelWeightMatrix, 1, "", {"i64[] 8", "i64[] 64", "i64[] 8192", "[] 0", "[] 4096"}},
    {TG_MelWeightMatrix, 1, "output_datatype=7", {"i64[] 8", "i64[] 16", "i64[] 8192", "[] 0", "[] 4096"}},
};

static void test_signals(void **state)
{
    (void)state;
    CHECK(signals)
}

#define QKV "[2,5,12] ~1", "[2,5,6] ~2", "[2,5,140] ~3"
static const Row linear_attention[] = {
    {TG_LinearAttention, 2, "q_num_heads=4 kv_num_heads=2 update_rule=linear", {QKV}},
    {TG_LinearAttention, 2, "q_num_heads=4 kv_num_heads=2 update_rule=gated scale=0.3",
     {QKV, "[2,2,3,70] ~4", "[2,5,6] ~5"}},
    {TG_LinearAttention, 2, "q_num_heads=4 kv_num_heads=2 update_rule=delta", {QKV, NULL, NULL, "[2,5,1] ~6"}},
    {TG_LinearAttention, 2, "q_num_heads=4 kv_num_heads=2", {QKV, "[2,2,3,70] ~4", "[2,5,2] ~5", "[2,5,2] ~6"}},
};

static void test_linear_attention(void **state)
{
    (void)state;
    CHECK(linear_attention)
}

static const Row quantization[] = {
    {TG_QuantizeLinear, 1, "", {"[300] ~1", "[] 0.01", "u8[] 128"}},
    {TG_QuantizeLinear, 1, "axis=1", {"[2,3,4] ~1", "[3] 0.1 0.2 0.004", "i8[3] 1 -2 3"}},
    {TG_QuantizeLinear, 1, "axis=-1", {"[2,3] ~1", "[3] 0.1 0.2 0.004", "i16[3] 1 -2 3"}},
    {TG_QuantizeLinear, 1, "axis=1 block_size=2", {"[2,5,3] ~1", "[2,3,3] 0.1*9 0.3*9", "u16[2,3,3] 1:18"}},
    {TG_QuantizeLinear, 1, "axis=2 block_size=3", {"[2,2,7] ~1", "[2,2,3] 0.1*6 0.3*6", "i4[2,2,3] 0*6 1*6"}},
    {TG_QuantizeLinear, 1, "output_dtype=21", {"[7] -3 0 1 5 99 nan inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=26", {"[7] -3 0 1 5 99 nan inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=6", {"[7] -3 0 1 5 9.9e20 nan inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=17", {"[8] -3 0 1.3 5e4 1e-4 nan inf -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=17 saturate=0", {"[8] -3 0 1.3 5e4 1e-4 nan inf -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=18", {"[8] -3 -0 1.3 5e4 1e-4 nan inf -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=19 saturate=0", {"[8] -3 0 1.3 5e4 1e-4 nan 1e9 -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=20", {"[8] -3 0 1.3 5e4 1e-6 nan inf -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "output_dtype=23", {"[8] -3 0 1.3 5e4 0.1 0.4 inf -inf", "[] 0.5"}},
    {TG_QuantizeLinear, 1, "", {"i32[3] 100 -100 7", "f32[] 3", "u8[] 128"}},
    {TG_QuantizeLinear, 1, "", {"f16[40] ~1", "f16[] 0.01", "i8[] 0"}},
    {TG_DequantizeLinear, 1, "", {"u8[300] 1:200 1:100", "[] 0.01", "u8[] 128"}},
    {TG_DequantizeLinear, 1, "axis=1", {"i8[2,3,4] 1:24", "[3] 0.1 0.2 0.004", "i8[3] 1 -2 3"}},
    {TG_DequantizeLinear, 1, "axis=1", {"i16[2,3] 1:6", "[3] 0.1 0.2 0.004"}},
    {TG_DequantizeLinear, 1, "axis=1 block_size=2", {"u16[2,5,3] 1:30", "[2,3,3] 0.1*9 0.3*9", "u16[2,3,3] 1:18"}},
    {TG_DequantizeLinear, 1, "axis=0 block_size=1", {"i4[2,3] -3:2", "[2,3] 0.1 0.2 0.3 0.4 0.5 0.6"}},
    {TG_DequantizeLinear, 1, "", {"i32[3] 100 -100 2147483647", "[] 0.5"}},
    {TG_DequantizeLinear, 1, "", {"f8e4m3fn[4] 1 -0.5 448 nan", "[] 0.5"}},
    {TG_DequantizeLinear, 1, "", {"f4e2m1[4] 1 -0.5 6 0", "[] 0.5"}},
    {TG_DequantizeLinear, 1, "", {"u2[4] 0:3", "[] 0.5", "u2[] 1"}},
};

static const Row integer_products[] = {
    {TG_MatMulInteger, 1, "", {"u8[7,9] 0:62", "i8[9,5] -20:24", "u8[] 128", "i8[] 3"}},
    {TG_MatMulInteger, 1, "",
     {"u8[6,600] 0:255 255*3000 0:88 0*255", "i8[600,70] 127*30000 -128*11700 0:127 0:127 -44:-1"}},
    {TG_MatMulInteger, 1, "",
     {"i8[6,600] -128*1500 127*1500 -128:127 0*344", "u8[600,70] 255*30000 0*11744 0:255", "i8[6] -3:2",
      "u8[70] 1:70"}},
    {TG_MatMulInteger, 1, "", {"u8[3,41] 1:123", "u8[41,130] 255*5000 1:255 0*75", "u8[3,1] 1 2 3", "u8[1,130] 0:129"}},
    {TG_MatMulInteger, 1, "", {"i8[2,1,5,6] -30:29", "i8[3,6,4] -36:35", "i8[2,1,5,1] -5:4", "i8[3,1,4] -6:5"}},
    {TG_MatMulInteger, 1, "", {"u8[2,200,6] 255*2400", "i8[6,4] 127*24"}},
    {TG_MatMulInteger, 1, "", {"i8[6] -3:2", "i8[6,4] -12:11", "i8[1] 2"}},
    {TG_MatMulInteger, 1, "", {"i8[3,6] -9:8", "i8[6] -3:2"}},
    {TG_MatMulInteger, 1, "", {"u8[5,0]", "i8[0,4]"}},
};

static void test_integer_products(void **state)
{
    (void)state;
    CHECK(integer_products)
}

static void test_quantization(void **state)
{
    (void)state;
    CHECK(quantization)
}

/* The same generator: the numbers of a seed are those of the evaluator. */
static const Row random_rows[] = {
    {TG_Bernoulli, 1, "seed=3", {"[5000] 0 0.5*4998 1"}},
    {TG_Bernoulli, 1, "seed=3 dtype=7", {"[50] 0.5*50"}},
    {TG_Multinomial, 1, "seed=3 sample_size=20 dtype=7", {"[3,4] 0 1 2 3 3 2 1 0 0 0 9 0"}},
    {TG_RandomNormal, 1, "seed=3 shape=70,80 mean=2 scale=3", {NULL}},
    {TG_RandomUniform, 1, "seed=3 shape=7,8 high=2 low=-3", {NULL}},
    {TG_RandomNormalLike, 1, "seed=4", {"[3,4] 0*12"}},
    {TG_RandomUniformLike, 1, "seed=4", {"[3,4] 0*12"}},
};

static void test_random(void **state)
{
    (void)state;
    CHECK(random_rows)
}

/* Means and variances of the distributions, within six standard errors. */
static void test_random_moments(void **state)
{
    (void)state;
    enum { N = 40000 };
    static double x[N];
    static const double n = N;
    const int64_t shape[1] = {N};
    tgk_ctx c = {0};
    tgk_RandomNormal_args normal = {.out = {{x, TGK_F64, 1, {N}, 0}}, .mean = 5, .scale = 2, .seed = 1, .shape = shape,
                                    .n_shape = 1};
    assert_int_equal(tgk_RandomNormal(&c, &normal), TGK_OK);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        sum += x[i];
        squares += (x[i] - 5) * (x[i] - 5);
    }
    assert_true(fabs(sum / n - 5) < 6 * 2 / sqrt(n));
    assert_true(fabs(squares / n - 4) < 6 * 4 * sqrt(2 / n));
    tgk_RandomUniform_args uniform = {.out = {{x, TGK_F64, 1, {N}, 0}}, .low = -1, .high = 3, .seed = 1, .shape = shape,
                                      .n_shape = 1};
    assert_int_equal(tgk_RandomUniform(&c, &uniform), TGK_OK);
    sum = 0;
    for (int i = 0; i < N; i++) {
        assert_true(x[i] >= -1 && x[i] < 3);
        sum += x[i];
    }
    assert_true(fabs(sum / n - 1) < 6 * sqrt(16.0 / 12 / n));
}

/* --- refusals ----------------------------------------------------------------------------------------------------- */

typedef struct {
    tgk_status status;
    TgOp op;
    const char *attrs, *in[SLOTS], *out; /* out: type and shape of result 0 */
} Refusal;

static const Refusal refusals[] = {
    {TGK_BAD_SIZE, TG_Conv, "", {"f32[1,2,5] ~1", "f32[2,3,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_SIZE, TG_Conv, "", {"f32[1,2,1] ~1", "f32[2,2,2] ~2"}, "f32[1,2,1]"},
    {TGK_BAD_SIZE, TG_Conv, "", {"f32[1,2,5] ~1", "f32[2,2,2] ~2", "f32[3] 0*3"}, "f32[1,2,4]"},
    {TGK_BAD_SIZE, TG_Conv, "", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,5]"},
    {TGK_BAD_VALUE, TG_Conv, "group=3", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_VALUE, TG_Conv, "strides=0", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_VALUE, TG_Conv, "pads=-1,0", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_VALUE, TG_Conv, "auto_pad=NO", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_SIZE, TG_Conv, "kernel_shape=3", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_SIZE, TG_ConvTranspose, "pads=9,9", {"f32[1,2,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,4]"},
    {TGK_BAD_SIZE, TG_ConvTranspose, "", {"f32[1,3,5] ~1", "f32[2,2,2] ~2"}, "f32[1,2,6]"},
    {TGK_BAD_SIZE, TG_MaxPool, "kernel_shape=2,2", {"f32[1,2,5] ~1"}, "f32[1,2,4]"},
    {TGK_BAD_INDEX, TG_MaxUnpool, "kernel_shape=2,2 strides=2,2", {"f32[1,1,2,2] 1:4", "i64[1,1,2,2] 5 7 13 16"},
     "f32[1,1,4,4]"},
    {TGK_BAD_INDEX, TG_MaxUnpool, "kernel_shape=2,2 strides=2,2", {"f32[1,1,2,2] 1:4", "i64[1,1,2,2] -1 7 13 15"},
     "f32[1,1,4,4]"},
    {TGK_BAD_SIZE, TG_MaxUnpool, "kernel_shape=2,2", {"f32[1,1,2,2] 1:4", "i64[1,1,2,2] 1:4", "i64[4] 1 1 -5 5"},
     "f32[1,1,3,3]"},
    {TGK_BAD_INDEX, TG_MaxRoiPool, "pooled_shape=1,1", {"f32[1,1,2,2] 1:4", "f32[1,5] 1 0 0 1 1"}, "f32[1,1,1,1]"},
    {TGK_BAD_INDEX, TG_MaxRoiPool, "pooled_shape=1,1", {"f32[1,1,2,2] 1:4", "f32[1,5] nan 0 0 1 1"}, "f32[1,1,1,1]"},
    {TGK_BAD_INDEX, TG_RoiAlign, "", {"f32[1,1,2,2] 1:4", "f32[1,4] 0 0 1 1", "i64[1] 1"}, "f32[1,1,1,1]"},
    {TGK_BAD_VALUE, TG_RoiAlign, "", {"f32[1,1,2,2] 1:4", "f32[1,4] 0 0 1e9 1", "i64[1] 0"}, "f32[1,1,1,1]"},
    {TGK_BAD_VALUE, TG_RoiAlign, "", {"f32[1,1,2,2] 1:4", "f32[1,4] 0 0 nan 1", "i64[1] 0"}, "f32[1,1,1,1]"},
    {TGK_BAD_SIZE, TG_GridSample, "", {"f32[1,1,2,2] 1:4", "f32[1,1,1,3] 0*3"}, "f32[1,1,1,1]"},
    {TGK_BAD_SIZE, TG_GridSample, "", {"f32[1,1,0,2]", "f32[1,1,1,2] 0*2"}, "f32[1,1,1,1]"},
    {TGK_BAD_SIZE, TG_DeformConv, "", {"f32[1,1,3,3] 1:9", "f32[1,1,2,2] 1*4", "f32[1,7,2,2] 0*28"}, "f32[1,1,2,2]"},
    {TGK_BAD_SIZE, TG_Col2Im, "", {"f32[1,4,3] 1*12", "i64[2] 3 3", "i64[2] 2 2"}, "f32[1,1,3,3]"},
    {TGK_BAD_VALUE, TG_Col2Im, "", {"f32[1,4,4] 1*16", "i64[2] 3 3", "i64[2] 2 0"}, "f32[1,1,3,3]"},
    {TGK_BAD_SIZE, TG_Col2Im, "", {"f32[1,4,4] 1*16", "i64[2] 9999999999 3", "i64[2] 2 2"}, "f32[1,1,3,3]"},
    {TGK_BAD_VALUE, TG_LSTM, "direction=up", {"f32[2,1,1] 1 2", "f32[1,4,1] 0*4", "f32[1,4,1] 0*4"}, "f32[2,1,1,1]"},
    {TGK_BAD_VALUE, TG_LSTM, "activations=Sigmoid,Tanh", {"f32[2,1,1] 1 2", "f32[1,4,1] 0*4", "f32[1,4,1] 0*4"},
     "f32[2,1,1,1]"},
    {TGK_BAD_VALUE, TG_GRU, "activations=Sigmoid,No", {"f32[2,1,1] 1 2", "f32[1,3,1] 0*3", "f32[1,3,1] 0*3"},
     "f32[2,1,1,1]"},
    {TGK_BAD_VALUE, TG_RNN, "", {"f32[2,1,1] 1 2", "f32[1,1,1] 0", "f32[1,1,1] 0", NULL, "i64[1] 3"}, "f32[2,1,1,1]"},
    {TGK_BAD_SIZE, TG_RNN, "", {"f32[2,1,1] 1 2", "f32[1,1,2] 0*2", "f32[1,1,1] 0"}, "f32[2,1,1,1]"},
    {TGK_BAD_VALUE, TG_LinearAttention, "q_num_heads=1 kv_num_heads=1 update_rule=delta",
     {"f32[1,1,2] 0*2", "f32[1,1,2] 0*2", "f32[1,1,2] 0*2"}, "f32[1,1,2]"},
    {TGK_BAD_VALUE, TG_LinearAttention, "q_num_heads=3 kv_num_heads=2 update_rule=linear",
     {"f32[1,1,2] 0*2", "f32[1,1,2] 0*2", "f32[1,1,2] 0*2"}, "f32[1,1,2]"},
    {TGK_BAD_SIZE, TG_QuantizeLinear, "", {"f32[2,3] ~1", "f32[2] 1 1"}, "u8[2,3]"},
    {TGK_BAD_VALUE, TG_QuantizeLinear, "axis=2", {"f32[2,3] ~1", "f32[2] 1 1"}, "u8[2,3]"},
    {TGK_BAD_VALUE, TG_QuantizeLinear, "", {"f32[2,3] ~1", "f32[] 1"}, "i64[2,3]"},
    {TGK_BAD_VALUE, TG_DequantizeLinear, "axis=0 block_size=1", {"u8[3] 1:3", "f32[2] 1 1"}, "f32[3]"},
    {TGK_BAD_SIZE, TG_MatMulInteger, "", {"u8[2,3] 1:6", "i8[2,3] 1:6"}, "i32[2,3]"},
    {TGK_BAD_SIZE, TG_MatMulInteger, "", {"u8[2,3] 1:6", "i8[3,2] 1:6", "u8[3] 1:3"}, "i32[2,2]"},
    {TGK_BAD_SIZE, TG_MatMulInteger, "", {"u8[2,3] 1:6", "i8[3,2] 1:6", "u8[2,3] 1:6"}, "i32[2,2]"},
    {TGK_BAD_VALUE, TG_DFT, "", {"f32[1,4,1] 1:4", "i64[] 0"}, "f32[1,4,2]"},
    {TGK_BAD_VALUE, TG_DFT, "", {"f32[1,4,1] 1:4", NULL, "i64[] 2"}, "f32[1,4,2]"},
    {TGK_BAD_SIZE, TG_DFT, "", {"f32[1,4,3] ~1"}, "f32[1,4,2]"},
    {TGK_BAD_VALUE, TG_STFT, "", {"f32[1,4,1] 1:4", "i64[] 0", "f32[2] 1 1"}, "f32[1,2,2,2]"},
    {TGK_BAD_VALUE, TG_STFT, "", {"f32[1,4,1] 1:4", "i64[] 1", "f32[5] 1*5"}, "f32[1,2,2,2]"},
    {TGK_BAD_SIZE, TG_MelWeightMatrix, "", {"i64[2] 8 8", "i64[] 16", "i64[] 8192", "f32[] 0", "f32[] 4096"},
     "f32[9,8]"},
    {TGK_BAD_VALUE, TG_MelWeightMatrix, "", {"i64[] -1", "i64[] 16", "i64[] 8192", "f32[] 0", "f32[] 4096"},
     "f32[9,8]"},
    {TGK_BAD_SIZE, TG_Multinomial, "", {"f32[2,0]"}, "i64[2,1]"},
};

static void test_bad_data_is_refused(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof refusals / sizeof *refusals; r++) {
        const Refusal *t = &refusals[r];
        TgNodeInfo n = {.op = t->op, .attrs = attrs_of(t->op, t->attrs)};
        Call k = {.n = &n};
        char shape[64];
        snprintf(shape, sizeof shape, "%s ~1", t->out);
        TgArray result = array_of(TG_EVAL_NATIVE, shape);
        k.out[0] = blank_array((tgk_type)result.dtype, result.rank, result.dim);
        void *buffer = k.out[0].at;
        for (uint32_t i = 0; i < SLOTS; i++)
            if (t->in[i]) {
                TgArray in = array_of(TG_EVAL_NATIVE, t->in[i]);
                k.in[i] = array_for(letter_of(kernel_of(t->op)->in, i), TG_EVAL_NATIVE, &in);
                tg_array_drop(tg, &in);
            }
        tgk_status status = kernel_of(t->op)->call(&k);
        if (status != t->status)
            fail_msg("%s, row %d: status %d, not %d", tg_op_text(tg, t->op), (int)r, (int)status, (int)t->status);
        for (uint32_t i = 0; i < SLOTS; i++)
            free(k.in[i].at);
        free(buffer);
        tg_array_drop(tg, &result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions_of_random_shapes),
        cmocka_unit_test(test_convolutions_of_odd_shapes),
        cmocka_unit_test(test_recurrent),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_linear_attention),
        cmocka_unit_test(test_quantization),
        cmocka_unit_test(test_integer_products),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_random_moments),
        cmocka_unit_test(test_bad_data_is_refused),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
