/* Between recipe_box.c, which reads boxes, and recipe_move.c, which pushes them through operators that only
 * move elements. */
#ifndef TG_RECIPE_BOX_H
#define TG_RECIPE_BOX_H

#include "graph.h"
#include "recipe.h"
#include "strided.h"

/* Where packed bytes go: `stride` counts elements. */
typedef struct {
    uint8_t *at;
    int64_t stride[TG_BOX_RANK];
} BoxTarget;

/* Puts the box of t, which is a recipe, where `to` says: by storing boxes of its operands. */
typedef bool (*BoxMove)(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to);
BoxMove box_move(TgOp op); /* NULL: the operator does more than move */

bool box_store(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to);
bool box_fetch(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out);
/* As box_store, from the value of t computed whole: it records what is wrong with t, if something is. */
bool box_store_whole(TgBoxReader *r, const TgTensor *t, const TgBox *box, const BoxTarget *to);
/* The box as a tensor of its own, a header over bytes in a block; its shape is the box's own array. */
bool box_packed(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgTensor *part);
void *box_block(TgBoxReader *r, size_t size); /* memory that lasts until the current box was used up */
TgBox box_broadcast(const TgTensor *t, const TgTensor *input, const TgBox *box); /* what of `input` t needs */

static inline int64_t box_volume(int32_t rank, const int64_t *n) {
    int64_t v = 1;
    for (int32_t i = 0; i < rank; i++)
        v *= n[i];
    return v;
}

static inline void box_row_major(int32_t rank, const int64_t *dim, int64_t *stride) {
    int64_t step = 1;
    for (int32_t i = rank; i-- > 0; step *= dim[i])
        stride[i] = step;
}

/* Of one element; 0: packed closer than bytes. */
static inline size_t box_element(const TgTensor *t) { return tg_dtype_bits(t->dtype) / 8; }

#endif
