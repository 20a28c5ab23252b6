/* Private to attention_mask.c and attention_condition.c: one mask while it is read. */
#ifndef TG_ATTENTION_MASK_H
#define TG_ATTENTION_MASK_H

#include "attention.h"

enum { MASK_DEEP = 20 };

typedef struct {
    TgPass *p;
    Attention *a;
    Layer *layer;
    Word keys; /* the index along the keys: of a part of them within a Concat */
    bool cut;  /* below a Slice: only bands can be read there */
} Reader;

static inline const TgNodeInfo *producer(const Reader *r, TgValue v)
{
    const TgValueInfo *info = tg_value(r->p->g, v);
    return info->origin == TG_V_RESULT ? tg_node(r->p->g, info->node) : NULL;
}

static inline TgDtype dtype_of(const Reader *r, TgValue v)
{
    return tg_type_of(r->p->g, v)->dtype;
}

static inline bool operand(Reader *r, const AxisMap *of, const TgNodeInfo *n, uint32_t slot, AxisMap *x)
{
    return axes_operand(&r->a->abc, of, n, slot, x);
}

/* The last two axes of the map are keys within queries. *offset: what a band on their own indices gains
 * when it is said of keys and queries. */
bool mask_is_square(Reader *r, const AxisMap *map, TgDim *offset);
/* Both conditions hold: the smaller offset. False: neither is proved smaller. */
bool mask_add_band(Reader *r, TgDim offset, const AxisMap *source, bool negated);
/* A constant whose last axes are keys within queries, zero (or true) for keys up to query + offset
 * exactly. */
bool mask_causal_constant(Reader *r, const AxisMap *map, bool (*seen)(double), bool *all_seen, TgDim *offset);
/* The boolean at `map` is true; the number there is not zero. False: too many conditions, or only a band could be
 * read. */
bool mask_conditions(Reader *r, const AxisMap *map, bool negated, uint32_t depth);
bool mask_not_zero(Reader *r, const AxisMap *number, bool negated, uint32_t depth);
/* Casts of numbers that keep zero zero and one one. */
AxisMap mask_below_casts(const Reader *r, AxisMap map);
/* 1 - m, which is zero where the layer shows anything: it hides all but m = 1. */
bool mask_is_zero_where_seen(Reader *r, AxisMap map);

#endif
