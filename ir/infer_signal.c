/* Inference of images, signals and random numbers. */
#include <math.h>
#include <string.h>

#include "infer.h"

/* --- resizing ------------------------------------------------------------------------------------------- */

#define LARGEST 0x1p30F /* scale; the inverse of a denormal one is infinite */

/* floor(d * scale), the product in float32 as every runtime computes it. Symbolic where the scale is n or
 * 1/n. */
static TgDim scaled(const TgInfer *f, TgDim d, float scale)
{
    int64_t n;
    if (!(scale > 0 && scale < LARGEST))
        return inf_fresh(f);
    if (tg_dim_known(d, &n))
        return inf_num(f, tg_truncate((double)floorf((float)n * scale)));
    if (scale == floorf(scale))
        return tg_dim_mul(f->tg, d, inf_num(f, (int64_t)scale));
    float inverse = 1 / scale;
    return inverse == floorf(inverse) && inverse < LARGEST ? tg_dim_div(f->tg, d, inf_num(f, (int64_t)inverse))
                                                           : inf_fresh(f);
}

/* Axis that place i of a list stands for. */
static bool listed_axis(const TgInfer *f, uint32_t i, int32_t rank, int32_t *axis)
{
    uint32_t n;
    const int64_t *axes = tg_attr_ints(f->n, "axes", &n);
    return inf_axis(f, axes && i < n ? axes[i] : (int64_t)i, rank, axis);
}

static bool resize_by_scales(const TgInfer *f, uint32_t input, InfShape *out)
{
    const TgTensor *scales = inf_has(f, input) ? tg_const_of(f->g, f->n->in[input]) : NULL;
    bool crops =
        strcmp(tg_attr_string(f->tg, f->n, "coordinate_transformation_mode"), "tf_crop_and_resize") == 0;
    int32_t axis;
    for (int32_t k = 0; k < out->rank && (!scales || crops); k++)
        out->dim[k] = inf_fresh(f);
    for (uint32_t i = 0; scales && !crops && i < scales->count; i++) {
        if (!listed_axis(f, i, out->rank, &axis))
            return false;
        out->dim[axis] = scaled(f, out->dim[axis], (float)tg_tensor_float(f->tg, scales, i));
    }
    return true;
}

/* One scale for all axes: the smallest (nothing larger than asked for) or the largest of size / d. */
static bool common_scale(const TgInfer *f, const InfShape *in, const TgDim *size, uint32_t n, bool smallest,
                         double *scale)
{
    int32_t axis;
    int64_t want, have;
    for (uint32_t i = 0; i < n; i++) {
        if (!listed_axis(f, i, in->rank, &axis) || !tg_dim_known(size[i], &want) ||
            !tg_dim_known(in->dim[axis], &have) || have <= 0)
            return false;
        double ratio = (double)want / (double)have;
        *scale = i == 0 || (smallest ? ratio < *scale : ratio > *scale) ? ratio : *scale;
    }
    return n > 0;
}

static bool resize_to_sizes(const TgInfer *f, InfShape *out)
{
    InfShape in = *out;
    uint32_t n = 0;
    int32_t axis;
    int64_t d;
    double scale = 1;
    const TgDim *size = inf_elements(f, 3, &n);
    const char *policy = tg_attr_string(f->tg, f->n, "keep_aspect_ratio_policy");
    bool stretch = strcmp(policy, "stretch") == 0;
    for (int32_t k = 0; k < out->rank && !size; k++)
        out->dim[k] = inf_fresh(f);
    for (uint32_t i = 0; size && i < n; i++)
        if (!listed_axis(f, i, in.rank, &axis))
            return false;
    bool uniform =
        size && !stretch && common_scale(f, &in, size, n, strcmp(policy, "not_larger") == 0, &scale);
    for (uint32_t i = 0; size && i < n; i++) {
        if (!listed_axis(f, i, in.rank, &axis))
            return false;
        if (stretch)
            out->dim[axis] = inf_size(f, size[i]);
        else
            out->dim[axis] = uniform && tg_dim_known(in.dim[axis], &d) && fabs(scale * (double)d) < 0x1p53
                                 ? inf_num(f, (int64_t)floor(scale * (double)d + 0.5))
                                 : inf_fresh(f);
    }
    return true;
}

bool infer_resize(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    if (out.rank >= 0 && !(inf_has(f, 3) ? resize_to_sizes(f, &out) : resize_by_scales(f, 2, &out)))
        return false;
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_upsample(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    return (out.rank < 0 || resize_by_scales(f, 1, &out)) && inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_grid_sample(TgInfer *f)
{
    InfShape out = inf_shape(f, 0), grid = inf_shape(f, 1);
    if (!inf_need_rank(f, 0, 3, TG_MAX_RANK) || (out.rank >= 0 && !inf_need_rank(f, 1, out.rank, out.rank)))
        return false;
    for (int32_t k = 2; k < out.rank; k++)
        out.dim[k] = grid.rank >= 0 ? grid.dim[k - 1] : inf_fresh(f);
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* size [N, C, D.., H, W] gives a grid [N, D.., H, W, number of spatial axes]. */
bool infer_affine_grid(TgInfer *f)
{
    int64_t length;
    uint32_t n;
    InfShape out = {.rank = -1};
    const TgDim *size = inf_elements(f, 1, &n);
    if (!inf_length(f, 1, &length) || length < 3 || length > 5) {
        inf_set_unranked(f, 0, inf_dtype(f, 0));
        return true;
    }
    out.rank = (int32_t)length;
    out.dim[0] = inf_dim(f, 0, 0);
    for (int32_t k = 1; k + 1 < out.rank; k++)
        out.dim[k] = size ? inf_size(f, size[k + 1]) : inf_fresh(f);
    out.dim[out.rank - 1] = inf_num(f, length - 2);
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_image_decoder(TgInfer *f)
{
    bool grey = strcmp(tg_attr_string(f->tg, f->n, "pixel_format"), "Grayscale") == 0;
    return inf_set_dims(f, 0, TG_u8, 3, inf_fresh(f), inf_fresh(f), inf_num(f, grey ? 1 : 3));
}

/* --- signals -------------------------------------------------------------------------------------------- */

/* The only element of input i as a size; NULL: unknown. */
static TgDim scalar_size(const TgInfer *f, uint32_t i)
{
    uint32_t n = 0;
    const TgDim *x = inf_has(f, i) ? inf_elements(f, i, &n) : NULL;
    return x && n == 1 ? inf_size(f, x[0]) : NULL;
}

static TgDim one_side(const TgInfer *f, TgDim length)
{
    return tg_dim_add(f->tg, tg_dim_div(f->tg, length, inf_num(f, 2)), inf_num(f, 1));
}

bool infer_dft(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    int64_t at = -2;
    int32_t axis;
    bool inverse = tg_attr_int(f->n, "inverse") != 0, onesided = tg_attr_int(f->n, "onesided") != 0;
    if (out.rank < 0 || (inf_has(f, 2) && !inf_int(f, 2, &at))) {
        for (int32_t k = 0; k < out.rank; k++)
            out.dim[k] = inf_fresh(f);
        return inf_set(f, 0, inf_dtype(f, 0), &out);
    }
    if (!inf_axis(f, at, out.rank, &axis))
        return false;
    TgDim length = scalar_size(f, 1), d = out.dim[axis];
    if (!length && inverse && onesided) /* undoes d = length // 2 + 1, for an even length */
        d = tg_dim_mul(f->tg, inf_num(f, 2), tg_dim_sub(f->tg, d, inf_num(f, 1)));
    length = length ? length : inf_has(f, 1) ? inf_fresh(f) : d;
    out.dim[axis] = onesided && !inverse ? one_side(f, length) : length;
    out.dim[out.rank - 1] = inf_num(f, onesided && inverse ? 1 : 2);
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_stft(TgInfer *f)
{
    TgDim step = scalar_size(f, 1), frame = scalar_size(f, 3), signal = inf_dim(f, 0, 1);
    if (!frame && !inf_has(f, 3))
        frame = inf_has(f, 2) ? inf_dim(f, 2, 0) : signal;
    frame = frame ? frame : inf_fresh(f);
    TgDim room = tg_dim_sub(f->tg, signal, frame);
    TgDim frames = step ? tg_dim_add(f->tg, tg_dim_div(f->tg, room, step), inf_num(f, 1)) : inf_fresh(f);
    TgDim bins = tg_attr_int(f->n, "onesided") != 0 ? one_side(f, frame) : frame;
    return inf_set_dims(f, 0, inf_dtype(f, 0), 4, inf_dim(f, 0, 0), frames, bins, inf_num(f, 2));
}

static TgDtype dtype_attr(const TgInfer *f, const char *name)
{
    int64_t n = tg_attr_int(f->n, name);
    return n > TG_undefined && n < TG_DTYPE_COUNT ? (TgDtype)n : TG_undefined;
}

bool infer_window(TgInfer *f)
{
    TgDim size = scalar_size(f, 0);
    return inf_set_dims(f, 0, dtype_attr(f, "output_datatype"), 1, size ? size : inf_fresh(f));
}

bool infer_mel_weight_matrix(TgInfer *f)
{
    TgDim bins = scalar_size(f, 0), length = scalar_size(f, 1);
    return inf_set_dims(f, 0, dtype_attr(f, "output_datatype"), 2,
                        length ? one_side(f, length) : inf_fresh(f), bins ? bins : inf_fresh(f));
}

/* --- random numbers ------------------------------------------------------------------------------------- */

bool infer_random(TgInfer *f)
{
    uint32_t n = 0;
    const int64_t *shape = tg_attr_ints(f->n, "shape", &n);
    InfShape out = {.rank = (int32_t)n};
    for (uint32_t i = 0; i < n && i < TG_MAX_RANK; i++)
        out.dim[i] = inf_num(f, shape[i]);
    return inf_set(f, 0, dtype_attr(f, "dtype"), &out);
}

bool infer_multinomial(TgInfer *f)
{
    return inf_set_dims(f, 0, dtype_attr(f, "dtype"), 2, inf_dim(f, 0, 0),
                        inf_num(f, tg_attr_int(f->n, "sample_size")));
}
