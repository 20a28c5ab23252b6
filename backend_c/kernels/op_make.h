/* Arrays made from little: Shape, ConstantOfShape, Range, EyeLike, OneHot. */
#ifndef TGK_OP_MAKE_H
#define TGK_OP_MAKE_H

#include "tgk.h"

typedef struct {
    tgk_array in[1], out[1];
    int64_t end, start; /* end: may be TGK_ABSENT */
} tgk_Shape_args;

typedef struct {
    tgk_array in[1], out[1];
    const void *value; /* one element of the type of the result; NULL: 0 */
} tgk_ConstantOfShape_args;

typedef struct {
    tgk_array in[3], out[1];
    int64_t stash_type;
} tgk_Range_args;

typedef struct {
    tgk_array in[1], out[1];
    int64_t dtype, k; /* dtype: that of the result counts */
} tgk_EyeLike_args;

typedef struct {
    tgk_array in[3], out[1];
    int64_t axis;
} tgk_OneHot_args;

tgk_status tgk_Shape(const tgk_ctx *c, tgk_Shape_args *a);
tgk_status tgk_ConstantOfShape(const tgk_ctx *c, tgk_ConstantOfShape_args *a);
tgk_status tgk_Range(const tgk_ctx *c, tgk_Range_args *a);
tgk_status tgk_EyeLike(const tgk_ctx *c, tgk_EyeLike_args *a);
tgk_status tgk_OneHot(const tgk_ctx *c, tgk_OneHot_args *a);

#endif
