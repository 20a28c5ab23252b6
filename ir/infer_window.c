/* Inference of what slides windows over spatial axes (2 and up): convolution, pooling and their reverses. */
#include "infer.h"

#include <string.h>

/* The lists that all of these carry; absent ones are 1 (pads: 0). */
typedef struct {
    const int64_t *kernel, *strides, *dilations, *pads;
    uint32_t n_kernel;
    int32_t spatial;
    bool same, valid, ceil;
} Window;

static bool list_fits(const TgInfer *f, const char *name, uint32_t want, const int64_t **list)
{
    uint32_t n;
    *list = tg_attr_ints(f->n, name, &n);
    for (uint32_t i = 0; *list && i < n; i++)
        if ((*list)[i] < (strcmp(name, "pads") == 0 ? -INT32_MAX : 1) || (*list)[i] > INT32_MAX)
            return inf_refuse(f, "a kernel size, stride, dilation or pad is out of range");
    return !*list || n == want ||
           inf_refuse(f, "kernel_shape, strides, dilations or pads do not fit the rank");
}

static bool read_window(const TgInfer *f, int32_t rank, Window *w)
{
    uint32_t n = (uint32_t)(rank - 2);
    const char *pad = tg_attr_string(f->tg, f->n, "auto_pad");
    w->spatial = rank - 2;
    w->same = strncmp(pad, "SAME", 4) == 0;
    w->valid = strcmp(pad, "VALID") == 0;
    w->ceil = tg_attr_int(f->n, "ceil_mode") != 0;
    return list_fits(f, "kernel_shape", n, &w->kernel) && list_fits(f, "strides", n, &w->strides) &&
           list_fits(f, "dilations", n, &w->dilations) && list_fits(f, "pads", 2 * n, &w->pads);
}

static int64_t stride_of(const Window *w, int32_t k)
{
    return w->strides ? w->strides[k] : 1;
}

static int64_t pad_of(const Window *w, int32_t k, bool end)
{
    return w->pads && !w->valid ? w->pads[k + (end ? w->spatial : 0)] : 0;
}

/* (kernel - 1) * dilation + 1 */
static TgDim extent(const TgInfer *f, const Window *w, int32_t k, TgDim kernel)
{
    TgDim less = tg_dim_sub(f->tg, kernel, inf_num(f, 1));
    TgDim wide = tg_dim_mul(f->tg, less, inf_num(f, w->dilations ? w->dilations[k] : 1));
    return tg_dim_add(f->tg, wide, inf_num(f, 1));
}

/* How many windows fit. In ceil mode the last may hang over the end, but must not start beyond the data. */
static TgDim count_windows(const TgInfer *f, const Window *w, int32_t k, TgDim d, TgDim kernel)
{
    Tg *tg = f->tg;
    TgDim stride = inf_num(f, stride_of(w, k)), one = inf_num(f, 1);
    if (w->same)
        return tg_dim_ceildiv(tg, d, stride);
    TgDim from_begin = tg_dim_add(tg, d, inf_num(f, pad_of(w, k, false)));
    TgDim padded = tg_dim_add(tg, from_begin, inf_num(f, pad_of(w, k, true)));
    TgDim room = tg_dim_sub(tg, padded, extent(f, w, k, kernel));
    if (!w->ceil)
        return tg_dim_add(tg, tg_dim_div(tg, room, stride), one);
    return tg_dim_min(tg, tg_dim_add(tg, tg_dim_ceildiv(tg, room, stride), one),
                      tg_dim_ceildiv(tg, from_begin, stride));
}

/* --- convolution ---------------------------------------------------------------------------------------- */

bool infer_conv(TgInfer *f)
{
    bool quantized = f->n->op == TG_QLinearConv;
    uint32_t weights = quantized ? 3 : 1;
    TgDtype dtype = quantized ? inf_dtype(f, 7) : f->n->op == TG_ConvInteger ? TG_i32 : inf_dtype(f, 0);
    InfShape x = inf_shape(f, 0), k = inf_shape(f, weights), out = x;
    Window w;
    if (x.rank < 0) {
        inf_set_unranked(f, 0, dtype);
        return true;
    }
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK) || !inf_need_rank(f, weights, x.rank, x.rank) ||
        !read_window(f, x.rank, &w))
        return false;
    out.dim[1] = inf_dim(f, weights, 0);
    TgDim channels = tg_dim_mul(f->tg, inf_dim(f, weights, 1), inf_num(f, tg_attr_int(f->n, "group")));
    if (k.rank >= 0 && !inf_equal(f, x.dim[1], channels, "the channels of a convolution"))
        return false;
    for (int32_t i = 0; i < w.spatial; i++) {
        TgDim kernel = k.rank >= 0 ? k.dim[i + 2] : w.kernel ? inf_num(f, w.kernel[i]) : inf_fresh(f);
        out.dim[i + 2] = count_windows(f, &w, i, x.dim[i + 2], kernel);
    }
    return inf_set(f, 0, dtype, &out);
}

/* stride * (d - 1) + output_padding + extent - pads, unless the output is given or d * stride is wanted. */
bool infer_conv_transpose(TgInfer *f)
{
    InfShape x = inf_shape(f, 0), k = inf_shape(f, 1), out = x;
    const int64_t *extra, *given;
    uint32_t n_given = 0, n = 0;
    Window w;
    Tg *tg = f->tg;
    if (x.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK) || !inf_need_rank(f, 1, x.rank, x.rank) ||
        !read_window(f, x.rank, &w))
        return false;
    extra = tg_attr_ints(f->n, "output_padding", &n);
    given = tg_attr_ints(f->n, "output_shape", &n_given);
    if ((extra && n != (uint32_t)w.spatial) || (given && n_given < (uint32_t)w.spatial))
        return inf_refuse(f, "output_padding or output_shape do not fit the rank");
    out.dim[1] = tg_dim_mul(tg, inf_dim(f, 1, 1), inf_num(f, tg_attr_int(f->n, "group")));
    for (int32_t i = 0; i < w.spatial; i++) {
        TgDim stride = inf_num(f, stride_of(&w, i)), d = x.dim[i + 2];
        TgDim kernel = k.rank >= 0 ? k.dim[i + 2] : w.kernel ? inf_num(f, w.kernel[i]) : inf_fresh(f);
        TgDim size = tg_dim_mul(tg, stride, tg_dim_sub(tg, d, inf_num(f, 1)));
        size = tg_dim_add(tg, size, extent(f, &w, i, kernel));
        size = tg_dim_add(tg, size,
                          inf_num(f, (extra ? extra[i] : 0) - pad_of(&w, i, false) - pad_of(&w, i, true)));
        out.dim[i + 2] = given    ? inf_num(f, given[n_given - (uint32_t)w.spatial + (uint32_t)i])
                         : w.same ? tg_dim_mul(tg, d, stride)
                                  : size;
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* The last k - 1 places are the state. */
bool infer_causal_conv_with_state(TgInfer *f)
{
    InfShape state = {.rank = 3, .dim = {inf_dim(f, 0, 0), inf_dim(f, 0, 1)}};
    state.dim[2] = tg_dim_sub(f->tg, inf_dim(f, 1, 2), inf_num(f, 1));
    inf_set_same(f, 0, 0);
    return inf_need_rank(f, 0, 3, 3) && inf_need_rank(f, 1, 3, 3) && inf_set(f, 1, inf_dtype(f, 0), &state);
}

/* [N, C * product(block), L] back to [N, C, image ...]. */
bool infer_col2_im(TgInfer *f)
{
    uint32_t n = 0, n_block = 0;
    InfShape out = {.rank = -1};
    const TgDim *image = inf_elements(f, 1, &n), *block = inf_elements(f, 2, &n_block);
    if (!image || n + 2 > TG_MAX_RANK) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    TgDim window = inf_num(f, 1);
    for (uint32_t i = 0; block && i < n_block; i++)
        window = tg_dim_mul(f->tg, window, block[i]);
    out.rank = (int32_t)n + 2;
    out.dim[0] = inf_dim(f, 0, 0);
    out.dim[1] = block ? tg_dim_div(f->tg, inf_dim(f, 0, 1), window) : inf_fresh(f);
    for (uint32_t i = 0; i < n; i++)
        out.dim[i + 2] = inf_size(f, image[i]);
    return inf_need_rank(f, 0, 3, 3) && inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* --- pooling -------------------------------------------------------------------------------------------- */

bool infer_pool(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    Window w;
    if (out.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        inf_set_unranked(f, 1, TG_i64);
        return true;
    }
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK) || !read_window(f, out.rank, &w))
        return false;
    if (!w.kernel)
        return inf_refuse(f, "attribute 'kernel_shape' is missing");
    for (int32_t i = 0; i < w.spatial; i++)
        out.dim[i + 2] = count_windows(f, &w, i, out.dim[i + 2], inf_num(f, w.kernel[i]));
    return inf_set(f, 0, inf_dtype(f, 0), &out) && inf_set(f, 1, TG_i64, &out);
}

bool infer_global_pool(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    for (int32_t k = 2; k < out.rank; k++)
        out.dim[k] = inf_num(f, 1);
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* stride * (d - 1) + kernel - pads, unless input 2 gives the shape. */
bool infer_max_unpool(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    uint32_t n = 0;
    Window w;
    Tg *tg = f->tg;
    const TgDim *given = inf_has(f, 2) ? inf_elements(f, 2, &n) : NULL;
    if (out.rank < 0) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK) || !read_window(f, out.rank, &w))
        return false;
    if (!w.kernel || (given && n != (uint32_t)out.rank))
        return inf_refuse(f, "kernel_shape or output_shape do not fit the rank");
    for (int32_t k = 0; k < out.rank && inf_has(f, 2); k++)
        out.dim[k] = given ? inf_size(f, given[k]) : inf_fresh(f);
    for (int32_t i = 0; i < w.spatial && !inf_has(f, 2); i++) {
        TgDim steps = tg_dim_sub(tg, out.dim[i + 2], inf_num(f, 1));
        int64_t rest = w.kernel[i] - pad_of(&w, i, false) - pad_of(&w, i, true);
        out.dim[i + 2] =
            tg_dim_add(tg, tg_dim_mul(tg, steps, inf_num(f, stride_of(&w, i))), inf_num(f, rest));
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* --- regions of interest -------------------------------------------------------------------------------- */

bool infer_max_roi_pool(TgInfer *f)
{
    uint32_t n;
    const int64_t *pooled = tg_attr_ints(f->n, "pooled_shape", &n);
    if (!pooled || n != 2)
        return inf_refuse(f, "attribute 'pooled_shape' needs two numbers");
    return inf_set_dims(f, 0, inf_dtype(f, 0), 4, inf_dim(f, 1, 0), inf_dim(f, 0, 1), inf_num(f, pooled[0]),
                        inf_num(f, pooled[1]));
}

bool infer_roi_align(TgInfer *f)
{
    return inf_set_dims(f, 0, inf_dtype(f, 0), 4, inf_dim(f, 1, 0), inf_dim(f, 0, 1),
                        inf_num(f, tg_attr_int(f->n, "output_height")),
                        inf_num(f, tg_attr_int(f->n, "output_width")));
}

bool infer_non_max_suppression(TgInfer *f)
{
    return inf_set_dims(f, 0, TG_i64, 2, inf_fresh(f), inf_num(f, 3));
}
