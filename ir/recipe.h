/* What recipe.c does for tensor.c. Private to ir/. */
#ifndef TG_RECIPE_H
#define TG_RECIPE_H

#include "tensor.h"

/* Packed bytes of a piece of the recipe that holds element *i, with *i counted from its start; kept until the next
 * call for this recipe. NULL: recorded. */
const void *tg_recipe_window(Tg *tg, const TgTensor *t, size_t *i);
/* The whole value, computed once and kept as long as the recipe. NULL: recorded. */
const TgTensor *tg_recipe_value(Tg *tg, const TgTensor *t);
/* By structure: the same operator and attributes over equal inputs. */
bool tg_recipe_equal(Tg *tg, const TgTensor *a, const TgTensor *b);
uint64_t tg_recipe_hash(Tg *tg, const TgTensor *t, uint64_t seed);

#endif
