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

/* --- recipe_point.c ----------------------------------------------------------------------------------- */

/* Element i of a constant that was computed, stored as `stored`, against what the recipe gives in float64, up to
 * rounding; not followed: an operator that nobody computes by single elements, or numbers without end. */
typedef enum { TG_NOT_FOLLOWED, TG_FOLLOWED_AGREES, TG_FOLLOWED_DIFFERS } TgFollowed;
TgFollowed tg_recipe_follow(Tg *tg, const TgTensor *t, size_t i, double stored);
double tg_unit_roundoff(TgDtype t); /* half the distance from 1 to the next number */
bool tg_recipe_agrees(Tg *tg, const TgTensor *t, size_t i, double stored); /* or is not followed */

/* --- recipe_box.c ------------------------------------------------------------------------------------- */

/* The recipe's output of its operator over so many operands as it has; one without dtype is absent. *out is the
 * caller's. False: recorded. */
bool tg_recipe_evaluate(Tg *tg, const TgRecipe *recipe, TgEvalMode mode, const TgArray *operands, TgArray *out);

enum { TG_BOX_RANK = 16 }; /* as the evaluator's arrays */

typedef struct {
    int64_t at[TG_BOX_RANK], n[TG_BOX_RANK],
        step[TG_BOX_RANK]; /* by axis: first index, how many, how far apart */
} TgBox;

typedef struct TgWhole {
    const TgTensor *tensor;
    TgArray value;
} TgWhole;

/* Reads boxes of tensors. */
typedef struct {
    Tg *tg;
    TgArena *arena;                  /* of the lists below */
    TG_VEC(void *) blocks;           /* heap memory that arrays of the current box borrow */
    TG_VEC(const TgTensor *) leaves; /* mapped ones that were read */
    size_t resident;                 /* bytes of them that were read since they were last let go */
    TG_VEC(TgWhole) whole;           /* values of operators that cannot be computed box by box */
} TgBoxReader;

TgBoxReader tg_box_reader(Tg *tg);
TgBox tg_box_all(const TgTensor *t);
void tg_box_next(TgBoxReader *r); /* after a box was used up: lets go of what it borrowed */
void tg_box_close(TgBoxReader *r);

/* The box's packed bytes, row-major; not for types narrower than a byte, nor strings. */
bool tg_box_store(TgBoxReader *r, const TgTensor *t, const TgBox *box, void *bytes);
/* The box as an array of the evaluator (TG_EVAL_NATIVE), which the caller drops before tg_box_next. */
bool tg_box_compute(TgBoxReader *r, const TgTensor *t, const TgBox *box, TgArray *out);
bool tg_box_moves(const TgTensor *t);                        /* store is the cheaper of the two */
const void *tg_box_packed(TgArena *arena, const TgArray *a); /* its own data where that is packed already */

#endif
