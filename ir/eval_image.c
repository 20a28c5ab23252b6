/* Images: GridSample in any number of dimensions, NonMaxSuppression. (Resize: eval_resize.c.)
 *
 * Places on the image are computed in the number type of the call and in the order of the standard's text:
 * whether a place falls on this or that side of a pixel or of a threshold depends on it. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>

enum { MOST_AXES = 6 }; /* of GridSample: 4^6 pixels per place in cubic mode */

static const double FAR_AWAY = 0x1p40; /* pixels; places beyond, and NaN, count as this far */

typedef enum { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC } SampleMode;
typedef enum { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION } Padding;

typedef struct {
    SampleMode mode;
    Padding padding;
    bool align_corners;
    int axes;
    int64_t images, channels, places, plane; /* places of the grid, pixels of a plane */
    const int64_t *dim;                      /* spatial sizes */
} Sampler;

typedef struct {
    int64_t images, classes, boxes, most; /* most: of a class */
    double overlap, score;
    bool has_score, by_center;
} Selection;

/* Keys' cubic convolution kernel with a = -0.75. */
static double cubic(double x)
{
    const double a = -0.75;
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

#define TG_TEMPLATE "eval_image.inc"
#include "eval_num.h"

/* --- GridSample ----------------------------------------------------------------------------------------- */

static bool read_words(TgEvalCall *c, Sampler *s)
{
    TgName mode = tg_attr_string(c->tg, c->n, "mode"), padding = tg_attr_string(c->tg, c->n, "padding_mode");
    s->mode = strcmp(mode, "nearest") == 0 ? SAMPLE_NEAREST
              : strcmp(mode, "cubic") == 0 ? SAMPLE_CUBIC
                                           : SAMPLE_LINEAR;
    s->padding = strcmp(padding, "border") == 0       ? PAD_BORDER
                 : strcmp(padding, "reflection") == 0 ? PAD_REFLECTION
                                                      : PAD_ZEROS;
    s->align_corners = tg_attr_int(c->n, "align_corners") != 0;
    if (s->mode == SAMPLE_LINEAR && strcmp(mode, "linear") != 0)
        return tg_report(c->tg, TG_E_eval_word, "mode", mode);
    return s->padding != PAD_ZEROS || strcmp(padding, "zeros") == 0
        || tg_report(c->tg, TG_E_eval_word, "padding_mode", padding);
}

bool eval_grid_sample(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *grid = c->in[1];
    if (!eval_is_real(x)) /* sampled as reals, then truncated */
        return eval_by_reals(c, eval_grid_sample);
    if (!eval_holds(c, "rr"))
        return false;
    int64_t dim[TG_EVAL_RANK] = {x->dim[0], x->dim[1]};
    Sampler s = {.axes = x->rank - 2};
    if (x->rank < 3 || s.axes > MOST_AXES || grid->rank != x->rank)
        return eval_bad_shape(c, 1, "image and grid need the same rank, 3 to 8");
    if (grid->dim[0] != x->dim[0] || grid->dim[grid->rank - 1] != s.axes)
        return eval_bad_shape(c, 1, "a grid has the images of its input and one coordinate per axis");
    for (int i = 0; i < s.axes; i++)
        dim[i + 2] = grid->dim[i + 1];
    s.images = x->dim[0];
    s.channels = x->dim[1];
    s.dim = x->dim + 2;
    s.plane = eval_count(x->dim, 2, x->rank);
    s.places = eval_count(dim, 2, x->rank);
    if (s.plane == 0)
        return eval_bad_shape(c, 0, "an image has at least one pixel");
    return read_words(c, &s) && eval_out(c, 0, x->dtype, x->rank, dim) && TG_BY_NUM(c, grid_sample)(c, &s);
}

/* --- NonMaxSuppression ---------------------------------------------------------------------------------- */

bool eval_non_max_suppression(TgEvalCall *c)
{
    const TgArray *boxes = c->in[0], *scores = c->in[1];
    Selection s = {.by_center = tg_attr_int(c->n, "center_point_box") != 0,
                   .has_score = eval_in(c, 4) != NULL};
    if (!eval_holds(c, "rrirr"))
        return false;
    if (boxes->rank != 3 || boxes->dim[2] != 4)
        return eval_bad_shape(c, 0, "boxes are [images, boxes, 4]");
    if (scores->rank != 3 || scores->dim[0] != boxes->dim[0] || scores->dim[2] != boxes->dim[1])
        return eval_bad_shape(c, 1, "scores are [images, classes, boxes]");
    s.images = boxes->dim[0];
    s.boxes = boxes->dim[1];
    s.classes = scores->dim[1];
    if (s.images > UINT32_MAX || s.boxes > UINT32_MAX || s.classes > UINT32_MAX)
        return eval_bad_shape(c, 0, "too many boxes");
    if (!eval_one_int(c, 2, 0, &s.most) || !eval_one_float(c, 3, 0, &s.overlap)
        || !eval_one_float(c, 4, 0, &s.score))
        return false;
    static const double per_pair = 10; /* operations */
    double kept = s.most < s.boxes ? (double)s.most : (double)s.boxes;
    if (!eval_spend(c, per_pair * (double)scores->count * kept))
        return false;
    TgU32s rows = {0};
    TG_BY_NUM(c, non_max_suppression)(c, &s, &rows);
    if (!eval_out(c, 0, TG_i64, 2, (int64_t[]){rows.n / 3, 3}))
        return false;
    for (uint32_t i = 0; i < rows.n; i++)
        tg_array_set_int(&c->out[0], i, rows.at[i]);
    return true;
}
