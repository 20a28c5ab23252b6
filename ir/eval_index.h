/* Comparing and combining elements whatever their carrier (eval_index.c). */
#ifndef TG_EVAL_INDEX_H
#define TG_EVAL_INDEX_H

#include "eval_kernel.h"

typedef enum { COMBINE_NONE, COMBINE_ADD, COMBINE_MUL, COMBINE_MAX, COMBINE_MIN } Combine;

/* < 0, 0, > 0; a total order: NaN is above every number. */
typedef int (*Compare)(const void *a, const void *b);
Compare eval_compare(const TgEvalCall *c, TgDtype dtype);

#endif
