/* Constant tensors. A weight stays where it is (mapped), or is a recipe: an operator applied to other tensors, not yet
 * computed. Nothing is copied until somebody asks for bytes. */
#ifndef TG_TENSOR_H
#define TG_TENSOR_H

#include "type.h"

struct TgNodeInfo;

typedef enum {
    TG_MAPPED, /* bytes lie in a mapped file */
    TG_OWNED,  /* bytes lie in an arena */
    TG_SPLAT,  /* one element, repeated */
    TG_RECIPE, /* an operator over other tensors: evaluated when written */
    TG_STRINGS /* dtype str */
} TgPayload;

typedef struct TgTensor TgTensor;

typedef struct {
    uint16_t op;                    /* TgOp */
    uint16_t output;                /* which output of it */
    const struct TgAttrs *attrs;
    uint32_t n;
    const TgTensor *const *input;   /* NULL entries: absent */
    uint32_t depth, work;           /* of the tree of recipes below, kept bounded */
    struct TgMemo *memo;            /* what was computed of it already; private to recipe.c */
} TgRecipe;

struct TgTensor {
    TgDtype dtype;
    int32_t rank;
    const int64_t *dim;
    size_t count, size;             /* elements; bytes as ONNX packs them */
    TgPayload payload;
    const uint8_t *bytes;           /* mapped, owned: `size` of them, perhaps unaligned; splat: one element */
    const TgFile *file;             /* mapped: where from */
    size_t offset;
    bool external;                  /* mapped from an external data file (not from the model file itself) */
    const TgRecipe *recipe;         /* recipe; owned: what it was computed from, so that checks see it unrounded; or
                                       NULL */
    const TgBytes *strings;         /* count of them */
    uint64_t seed;                  /* owned: made by random(seed) of the text form; 0: otherwise */
    TgBytes unknown;                /* unknown fields of the source TensorProto (metadata etc.), carried through */
    TgName doc;
};

/* All make a tensor in `arena`. Bytes are referenced, not copied, unless the name says so. */
TgTensor *tg_tensor_mapped(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, const TgFile *file, size_t offset);
TgTensor *tg_tensor_owned(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, const void *bytes);
TgTensor *tg_tensor_blank(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, void **bytes); /* fill it */
TgTensor *tg_tensor_splat(TgArena *arena, TgDtype dtype, int32_t rank, const int64_t *dim, const void *element);
TgTensor *tg_tensor_strings(TgArena *arena, int32_t rank, const int64_t *dim, const TgBytes *strings);
TgTensor *tg_tensor_scalar_float(TgArena *arena, TgDtype dtype, double x);   /* rank 0 */
TgTensor *tg_tensor_scalar_int(TgArena *arena, TgDtype dtype, int64_t x);
TgTensor *tg_tensor_ints(TgArena *arena, uint32_t n, const int64_t *x);      /* i64[n] */

const TgType *tg_tensor_type(Tg *tg, const TgTensor *t);
/* Element i as a number, whatever the payload (recipes are evaluated: see recipe.c). */
double tg_tensor_float(Tg *tg, const TgTensor *t, size_t i);
int64_t tg_tensor_int(Tg *tg, const TgTensor *t, size_t i);
bool tg_tensor_is_splat(Tg *tg, const TgTensor *t, double *value); /* all elements equal (numeric types) */
/* Equal type and bytes. `hash` never looks at more than a bounded sample of a large tensor. */
bool tg_tensor_equal(Tg *tg, const TgTensor *a, const TgTensor *b);
void tg_tensor_expect(const TgTensor *t, TgReading how); /* a hint, for large weights in files */
uint64_t tg_tensor_hash(Tg *tg, const TgTensor *t);

/* --- recipes (recipe.c) ------------------------------------------------------------------------------------------- */

/* The tensor that `op` with `attrs` gives for constant inputs; its shape is inferred. NULL: recorded. */
TgTensor *tg_tensor_recipe(TgArena *arena, uint16_t op, const struct TgAttrs *attrs, uint32_t n,
                           const TgTensor *const *input, uint16_t output);
/* Notes on t, whose elements are known, where they came from: the same recipe. */
void tg_tensor_derived(TgArena *arena, TgTensor *t, uint16_t op, const struct TgAttrs *attrs, uint32_t n,
                       const TgTensor *const *input, uint16_t output);
/* Is every element of such a t, floats of at most a few KiB, what its recipe gives in float64, up to rounding? False:
 * recorded. */
bool tg_tensor_derived_agrees(Tg *tg, const TgTensor *t);
/* All bytes at once: t itself unless it is a recipe or splat. Owned by `arena`. NULL: recorded. */
const TgTensor *tg_tensor_materialize(TgArena *arena, const TgTensor *t);
/* The bytes in order, in pieces of at most a few MiB where the recipe allows it (elementwise, Concat, Gather, Slice,
 * Transpose, Reshape over mapped weights), so that memory stays bounded whatever the size. */
bool tg_tensor_stream(Tg *tg, const TgTensor *t, bool (*sink)(void *user, const void *bytes, size_t n), void *user);

#endif
