/* Recipes inside ir/: what recipe.c does for tensor.c, and the reader of boxes between recipe.c and
 * recipe_box.c. */
#ifndef TG_RECIPE_H
#define TG_RECIPE_H

#include "eval.h"

/* --- recipe.c ----------------------------------------------------------------------------------------- */

/* Packed bytes of a piece of the recipe that holds element *i, with *i counted from its start; kept until the
 * next call for this recipe. NULL: recorded. */
const void *tg_recipe_window(Tg *tg, const TgTensor *t, size_t *i);
/* The whole value, computed once and kept as long as the recipe. NULL: recorded. */
const TgTensor *tg_recipe_value(Tg *tg, const TgTensor *t);
/* By structure: the same operator and attributes over equal inputs. */
bool tg_recipe_equal(Tg *tg, const TgTensor *a, const TgTensor *b);
uint64_t tg_recipe_hash(Tg *tg, const TgTensor *t, uint64_t seed);

/* --- recipe_box.c ------------------------------------------------------------------------------------- */

enum { TG_BOX_RANK = 16 }; /* as the evaluator's arrays */

typedef struct {
    int64_t at[TG_BOX_RANK], n[TG_BOX_RANK]; /* first index and how many, by axis */
} TgBox;

typedef struct TgWhole {
    const TgTensor *tensor;
    TgArray value;
} TgWhole;

/* Reads boxes of tensors as evaluator arrays (TG_EVAL_NATIVE). */
typedef struct {
    Tg *tg;
    TgArena *arena;          /* of the lists below */
    TG_VEC(void *) blocks;   /* heap memory that arrays of the current box borrow */
    TG_VEC(TgBytes) touched; /* mapped ranges that the current box read */
    TG_VEC(TgWhole) whole;   /* values of operators that cannot be read box by box */
} TgBoxReader;

TgBoxReader tg_box_reader(Tg *tg);
TgBox tg_box_all(const TgTensor *t);
bool tg_box_read(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out); /* caller drops `out` */
void tg_box_next(TgBoxReader *r); /* after a box was used up: lets go of what it borrowed */
void tg_box_close(TgBoxReader *r);

#endif
