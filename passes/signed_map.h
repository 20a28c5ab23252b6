/* Signed permutations. Any composition of Slice, Split, Concat, constant Gather, Neg, Mul by a constant vector, and the
 * Reshapes and Transposes of the interleaved form, over the trailing axes of one tensor maps each output element to a
 * source element and a factor:  v[.., i] = factor[i] * source[.., index[i]].  Rotary embeddings are written with
 * them. */
#ifndef TG_SIGNED_MAP_H
#define TG_SIGNED_MAP_H

#include "pass.h"

typedef struct {
    TgValue source;
    int32_t tail;    /* so many trailing axes of the source, flattened, are mapped; those before agree */
    uint32_t n;      /* elements of the tail of the mapped value */
    uint32_t *index; /* into the flattened tail of the source */
    double *factor;
} SignedMap;

/* The map of the last `tail` axes of v, as far back as it goes, but not past `stop` (0: none). Scratch memory. False:
 * the sizes are not constant. A value that is made in another way maps to itself. */
bool signed_map(TgPass *p, TgValue v, int32_t tail, TgValue stop, SignedMap *map);

bool is_identity_order(const SignedMap *map, uint32_t source_size);
uint32_t tail_size(const TgGraph *g, TgValue v, int32_t tail); /* product of the last sizes; 0: not constant or too
                                                                  many */

#endif
