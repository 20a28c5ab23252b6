/* GridSample: linear, nearest and cubic sampling in one to six dimensions.
 *
 * Places are computed in the wider of the two operands' number types and in the order of the standard's text: on
 * which side of a pixel a place falls depends on it. Integer images are sampled in double and truncated. Pixels and
 * shares of a place are found once, for all channels. Tasks: images x pieces of the places. Cost: places *
 * (channels + 1) * taps. Stack: the taps of a place, 4^6 at most.
 */
#include "op_grid_sample.h"

#include <math.h>

#include "op_result.h"

enum { MOST_AXES = 6, MOST_TAPS = 4096, PIECE = 256 /* places of a task */ };

static const double FAR_AWAY = 1099511627776.0; /* pixels; places beyond, and NaN, count as this far */

typedef enum { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC } SampleMode;
typedef enum { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION } Padding;

typedef struct {
    int mode, padding, align_corners, axes; /* SampleMode, Padding */
    int64_t channels, places, pieces, plane; /* places of the grid, pixels of a plane */
    const int64_t *dim;                      /* spatial sizes */
    const tgk_array *grid;
    const void *x;
    void *y;
} Sampler;

/* Keys' cubic convolution kernel with a = -0.75. */
static double cubic(double x)
{
    const double a = -0.75;
    x = fabs(x);
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

#define ELEMENT float
#define NUM float
#define TO_ELEMENT(x) (x)
#define G(name) name##_f32
#include "op_grid_sample.inc"
#undef NUM
#undef G
#undef TO_ELEMENT
#define NUM double
#define TO_ELEMENT(x) ((float)(x))
#define G(name) name##_f32_f64
#include "op_grid_sample.inc"
#undef ELEMENT
#undef TO_ELEMENT
#undef G
#define ELEMENT double
#define TO_ELEMENT(x) (x)
#define G(name) name##_f64
#include "op_grid_sample.inc"
#undef ELEMENT
#undef TO_ELEMENT
#undef G
#define ELEMENT int64_t
#define TO_ELEMENT(x) tgk_integer_of(x)
#define G(name) name##_i64
#include "op_grid_sample.inc"

tgk_status tgk_GridSample(const tgk_ctx *c, tgk_GridSample_args *a)
{
    static const char *const modes[] = {"linear", "nearest", "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const tgk_array *x = &a->in[0], *grid = &a->in[1];
    int64_t dim[TGK_RANK] = {x->dim[0], x->dim[1]};
    Sampler s = {.axes = x->rank - 2, .mode = tgk_word(a->mode, modes, 3),
                 .padding = tgk_word(a->padding_mode, paddings, 3), .align_corners = a->align_corners != 0,
                 .dim = x->dim + 2, .grid = grid, .x = x->at, .y = a->out[0].at};
    if (s.mode < 0 || s.padding < 0)
        return TGK_BAD_VALUE;
    if (x->rank < 3 || s.axes > MOST_AXES || grid->rank != x->rank || grid->dim[0] != x->dim[0]
        || grid->dim[grid->rank - 1] != s.axes)
        return TGK_BAD_SIZE;
    for (int i = 0; i < s.axes; i++)
        dim[i + 2] = grid->dim[i + 1];
    s.channels = x->dim[1];
    s.plane = tgk_size_between(x, 2, x->rank);
    s.places = tgk_size_between(grid, 1, grid->rank - 1);
    s.pieces = (s.places + PIECE - 1) / PIECE;
    if (s.plane == 0)
        return TGK_BAD_SIZE;
    const tgk_status status = tgk_give(&a->out[0], x->rank, dim);
    if (status)
        return status;
    tgk_for(c, x->type == TGK_F64 ? sample_piece_f64 : x->type == TGK_I64 ? sample_piece_i64
            : grid->type == TGK_F64 ? sample_piece_f32_f64 : sample_piece_f32, &s, x->dim[0] * s.pieces);
    return TGK_OK;
}
