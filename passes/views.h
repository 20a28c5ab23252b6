/* What views.c knows about Reshape, for passes that write one. */
#ifndef TG_VIEWS_H
#define TG_VIEWS_H

#include "pass.h"

/* Reshape, Flatten, Squeeze, Unsqueeze: the elements stay in order. */
bool is_view(TgOp op);
/* perm of a Transpose, the default (reversal) included; false: rank unknown. */
bool transpose_permutation(const TgGraph *g, const TgNodeInfo *n, int64_t *perm, int32_t *rank);
const TgAttrs *transpose_attrs(Tg *tg, int32_t rank, const int64_t *perm);
/* The constant operand (to->rank numbers) that makes Reshape give `to` from `from`, if there is one: a size, 0 (copies
 * one), or -1 once. */
bool constant_target(const TgType *from, const TgType *to, int64_t *target);

#endif
