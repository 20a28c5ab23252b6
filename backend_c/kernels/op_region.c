/* MaxRoiPool and RoiAlign: a region of a feature map as a grid of out_h x out_w bins. All regions are checked before
 * anything is computed. Tasks: regions. */
#include "op_region.h"

#include <math.h>

#include "op_result.h"

static const double MOST_SAMPLES = 1 << 16; /* per bin and axis of RoiAlign: far above any detector, far below a hang */

typedef struct {
    int64_t images, regions, channels, height, width, out_h, out_w, sampling;
    double scale;
    int half_pixel, max;
    const void *x, *rois;
    const int64_t *image;
    void *y;
} Regions;

static int64_t rounded(double x)
{
    x = x > -1e15 ? x < 1e15 ? x : 1e15 : -1e15;
    return (int64_t)round(x);
}

static int64_t clip(int64_t x, int64_t high) { return x < 0 ? 0 : x < high ? x : high; }

/* Size of one of `bins` equal bins of the pixels [start, end]; a region has at least one pixel. */
static double bin_size(int64_t start, int64_t end, int64_t bins)
{
    return (double)(end > start ? end - start + 1 : 1) / (double)bins;
}

#define NUM float
#define G(name) name##_f32
#include "op_region.inc"
#undef NUM
#undef G
#define NUM double
#define G(name) name##_f64
#include "op_region.inc"
#undef NUM
#undef G

static tgk_status operands(Regions *p, const tgk_array *in, int64_t columns, tgk_array *y)
{
    const tgk_array *x = &in[0], *rois = &in[1];
    if (x->rank != 4 || x->dim[2] < 1 || x->dim[3] < 1 || rois->rank != 2 || rois->dim[1] != columns)
        return TGK_BAD_SIZE;
    if (p->out_h < 1 || p->out_w < 1 || rois->type != x->type)
        return TGK_BAD_VALUE;
    p->images = x->dim[0];
    p->regions = rois->dim[0];
    p->channels = x->dim[1];
    p->height = x->dim[2];
    p->width = x->dim[3];
    p->x = x->at;
    p->rois = rois->at;
    p->y = y->at;
    const int64_t dim[4] = {p->regions, p->channels, p->out_h, p->out_w};
    return tgk_give(y, 4, dim);
}

tgk_status tgk_MaxRoiPool(const tgk_ctx *c, tgk_MaxRoiPool_args *a)
{
    Regions p = {.scale = a->spatial_scale};
    if (a->n_pooled_shape != 2)
        return TGK_BAD_VALUE;
    p.out_h = a->pooled_shape[0];
    p.out_w = a->pooled_shape[1];
    const tgk_status s = operands(&p, a->in, 5, &a->out[0]);
    if (s)
        return s;
    const int f64 = a->in[0].type == TGK_F64;
    if (!(f64 ? images_exist_f64 : images_exist_f32)(&p))
        return TGK_BAD_INDEX;
    tgk_for(c, f64 ? max_region_f64 : max_region_f32, &p, p.regions);
    return TGK_OK;
}

tgk_status tgk_RoiAlign(const tgk_ctx *c, tgk_RoiAlign_args *a)
{
    static const char *const modes[] = {"avg", "max"}, *const origins[] = {"output_half_pixel", "half_pixel"};
    Regions p = {.out_h = a->output_height, .out_w = a->output_width, .sampling = a->sampling_ratio,
                 .scale = a->spatial_scale, .image = a->in[2].at};
    p.max = tgk_word(a->mode, modes, 2);
    p.half_pixel = tgk_word(a->coordinate_transformation_mode, origins, 2);
    if (p.max < 0 || p.half_pixel < 0)
        return TGK_BAD_VALUE;
    const tgk_status s = operands(&p, a->in, 4, &a->out[0]);
    if (s)
        return s;
    if (a->in[2].rank != 1 || a->in[2].dim[0] != p.regions)
        return TGK_BAD_SIZE;
    for (int64_t i = 0; i < p.regions; i++)
        if (p.image[i] < 0 || p.image[i] >= p.images)
            return TGK_BAD_INDEX;
    const int f64 = a->in[0].type == TGK_F64;
    if (!(f64 ? regions_fit_f64 : regions_fit_f32)(&p))
        return TGK_BAD_VALUE;
    tgk_for(c, f64 ? align_region_f64 : align_region_f32, &p, p.regions);
    return TGK_OK;
}
