/* The numbers in a question and what operators demand of them: between equiv_general.c, which makes large sizes
 * small, and equiv_relate.c, which reads the graphs for it. */
#ifndef TG_EQUIV_SHRINK_H
#define TG_EQUIV_SHRINK_H

#include "equiv_parts.h"

enum {
    FIXED = 9,    /* numbers below stay what they are */
    VALUES = 64,  /* constants of more elements are weights, masks or indices: any will do ... */
    TABLE = 8192, /* ... or, in the third form, those of more than these */
    NUMBERS = 24, /* different large sizes in one question */
    RELATIONS = 64,
    SIDE = 8,       /* numbers on each side of a relation */
    MOST = 1 << 30, /* larger integers are no sizes (ends of Slices) */
    IMAGES = 1024,  /* those of sizes that change are below */
    STARTS = 6      /* ways to choose them */
};

/* left[0] op left[1] op ... = right[0] op right[1] op ..., and of a window: left[0] = stride * right[0] + rest */
typedef struct {
    bool sum;       /* else product */
    int64_t stride; /* of a window; 0: it is none */
    int64_t rest;
    uint32_t n_left, n_right;
    int64_t left[SIDE], right[SIDE];
} Relation;

typedef struct {
    EquivProblem *p;
    Tg *tg;
    uint32_t n, n_relations;
    int64_t from[NUMBERS], to[NUMBERS]; /* ascending; to is 0 until chosen */
    bool occurs[IMAGES];                /* in the graphs, by itself or in the value of a float */
    Relation relation[RELATIONS];
    bool failed;
} Shrink;

int64_t shrink_magnitude(int64_t n);
int32_t shrink_index(const Shrink *s, int64_t n);   /* of the number n in `from`; -1: it is none of them */
int64_t shrink_mapped(const Shrink *s, int64_t n);  /* what n becomes; 0: not chosen yet */
bool shrink_is_weight(const TgGraph *g, TgValue v); /* a constant that any other may stand for */
bool shrink_is_dummy(const EquivProblem *p, const TgGraph *g, TgValue v);
/* Numbers and relations of both graphs; `tables`: constants keep their sizes. */
void shrink_collect(Shrink *s, bool tables);

/* Tables whose halves are equal (equiv_halves.c). */
const TgType *shrink_half(Tg *tg, const TgTensor *t);              /* of one half; NULL: it is no such table */
TgValue shrink_double(TgGraph *g, const TgTensor *t, TgValue half); /* of a value of that type, what t is of its half */

/* Constants of a few runs (equiv_runs.c). */
bool shrink_has_runs(const TgTensor *t); /* along every large axis */
/* Their lengths along the axis of such a constant; 0: there are more than SIDE. */
uint32_t shrink_runs(const TgTensor *t, int32_t axis, int64_t length[SIDE]);
/* The constant at the small sizes; NULL: its runs do not fit them. */
const TgTensor *shrink_shorten(const Shrink *s, TgArena *arena, const TgTensor *t);

#endif
