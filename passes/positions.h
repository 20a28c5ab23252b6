/* Positions: integer tensors whose elements are an affine function of their index, and what comparing them
 * says.
 *
 * Range, cumulative indices, their sums, casts and views are read through axis maps (axes.h); so that
 * key positions [1,1,1,K] and query positions plus past [1,1,Q,1] meet as  k  and  q + past,  whatever
 * spelled them. */
#ifndef TG_POSITIONS_H
#define TG_POSITIONS_H

#include "axes.h"

enum { POSITION_TERMS = 4 };

/* base + sum of times[i] * (index along word[i]) */
typedef struct {
    TgDim base;
    uint32_t n;
    Word word[POSITION_TERMS];
    int64_t times[POSITION_TERMS];
    TgValue limit; /* where the element was read from one Range from 0 by 1: its limit; else 0 */
} Position;

/* The elements of an integer value. False: not known to be affine. */
bool position_of(Alphabet *a, const AxisMap *map, Position *position);
/* A comparison of integers (LessOrEqual, Less, Greater, GreaterOrEqual) is true where `position` >= 0. */
bool position_compared(Alphabet *a, const AxisMap *map, Position *position);
int64_t position_times(const Alphabet *a, const Position *p,
                       const Word *word); /* 0: does not vary along it */
/* The element is the index along `word`, plus base, and nothing else. */
bool position_is_index(const Alphabet *a, const Position *p, const Word *word);

/* From v to the operand of the same elements: Cast between integers, Identity, views, repetitions, or a
 * Slice from the part (the operand then has longer letters, see axes_longer). */
bool position_back(Alphabet *a, const AxisMap *of, AxisMap *operand);

#endif
