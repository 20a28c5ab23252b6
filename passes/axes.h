/* Axis maps: what the axes of a value are made of.
 *
 * Problem. Exporters split heads, repeat them and merge them with any mixture of Reshape, Transpose,
 * Squeeze, Expand ... What matters is only which index of a value is which index of another.
 *
 * Idea. A letter is an index variable with a size. The map of a value writes each of its axes as a word of
 * letters, most significant first:  [batch, seq, 32]  is  (b)(s)(hd)  once something tells heads and
 * elements apart. One starts with a fresh letter per axis of some result and walks back through producers
 * that only move elements:
 *
 *     Transpose    permutes the words
 *     Reshape      deals the same letters out to other axes; where a boundary falls within a letter, it is split in
 *                  two, everywhere (words keep the old letter; axes_spell reads it as the two)
 *     Expand, Tile, Gather of constant repeats, Concat of one value:  the letters of the repetition vanish
 *     MatMul, Einsum:  the letters of operands follow from those of the result, and the summed ones are new
 *
 * Every order of splitting heads gives the same words; interleaved repetition (Tile) and grouped
 * repetition (Expand behind the heads) do not. Sizes are symbolic; a word of no letters has size 1. A
 * size that is not proved to fit ends the walk. */
#ifndef TG_AXES_H
#define TG_AXES_H

#include "pass.h"

enum { AXES_RANK = 8, AXES_WORD = 12, AXES_LETTERS = 64 };

typedef struct {
    uint32_t n;
    uint8_t at[AXES_WORD];
} Word;

typedef struct {
    TgDim size;
    bool is_split;
    uint8_t major, minor; /* the letters that it was split into */
    bool is_longer;
    uint8_t shorter; /* the letter whose indices are a part of those of this one, ... */
    TgDim shift;     /* ... from this one on */
} Letter;

typedef struct {
    const TgGraph *g;
    uint32_t n;
    Letter at[AXES_LETTERS];
    bool full; /* no letter was left: what was read since is not to be trusted */
} Alphabet;

typedef struct {
    TgValue v;
    int32_t rank;
    Word axis[AXES_RANK];
} AxisMap;

/* --- words -------------------------------------------------------------------------------------------- */

static inline void axes_push(Word *w, uint8_t letter)
{
    if (w->n < AXES_WORD)
        w->at[w->n++] = letter;
}

uint32_t axes_place(const Word *spelled, uint8_t letter); /* where it stands; n: nowhere */
uint8_t axes_letter(Alphabet *a, TgDim size);             /* a new one */
Word axes_word(Alphabet *a, TgDim size);                  /* of one new letter; of none for size 1 */
Word axes_spell(const Alphabet *a, const Word *w);        /* letters that were split are spelled out */
Word axes_join(const Alphabet *a, uint32_t n, const Word *words);
bool axes_same(const Alphabet *a, const Word *x, const Word *y);
bool axes_has(const Alphabet *a, const Word *w, uint8_t letter);
/* The letters of w that are (keep) or are not in `set`. */
Word axes_only(const Alphabet *a, const Word *w, const Word *set, bool keep);
TgDim axes_size(const Alphabet *a, const Word *w);
/* w as two words of these sizes; a letter is split where it must be. False: they do not fit. */
bool axes_divide(Alphabet *a, const Word *w, TgDim major_size, TgDim minor_size, Word *major, Word *minor);
/* What a Slice cut w from: one letter of another size, whose index is that of w plus `shift`. False: w
 * is no single letter. */
bool axes_longer(Alphabet *a, const Word *w, TgDim size, TgDim shift, Word *longer);
/* The letters that say the same index: longer ones are spelled as what was cut from them. *shift (may be
 * NULL): what is to be added to their index to have that of w. */
Word axes_index(const Alphabet *a, const Word *w, TgDim *shift);

/* --- maps --------------------------------------------------------------------------------------------- */

/* v with a new letter per axis. False: rank unknown or too high. */
bool axes_start(Alphabet *a, TgValue v, AxisMap *map);
/* From a value to what it is a view or repetition of: the operand of its producer. False: made in
 * another way. */
bool axes_back(Alphabet *a, const AxisMap *of, AxisMap *operand);
/* Operand `slot` of a node that broadcasts its operands to `of`. */
bool axes_operand(const Alphabet *a, const AxisMap *of, const TgNodeInfo *n, uint32_t slot, AxisMap *operand);
/* The same, where the size of the last axis may differ for all that is known: it is the same, or 1, or
 * nothing runs. */
bool axes_operand_loosely(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, uint32_t slot,
                          AxisMap *operand);
/* Both operands of MatMul or of an Einsum of two operands, whose result is `of`; `inner`: what is summed. */
bool axes_product(Alphabet *a, const AxisMap *of, AxisMap operand[2], Word *inner);
Word axes_all(const Alphabet *a, const AxisMap *map); /* all letters in order */

/* --- writing (axes_arrange.c) ------------------------------------------------------------------------- */

enum { AXES_NO_WAY = 1000 };
/* How many nodes it takes to lay a value of these axes out as those: Reshape, Transpose, Reshape at most. */
uint32_t axes_arrange_cost(Alphabet *a, const AxisMap *map, uint32_t n, const Word *axes);
/* Does it. 0: recorded, or no way. */
TgValue axes_arrange(TgPass *p, Alphabet *a, const AxisMap *map, uint32_t n, const Word *axes);

#endif
