/* Types in the text form. Sizes that nobody named are numbered in the order in which the text shows them:
 * the numbers that they have inside depend on what was inferred before, and the text must not. Within one
 * size the smaller number goes first, so that reading and printing again changes nothing. */
#include "dim.h"
#include "text.h"

/* --- which symbols to rename ---------------------------------------------------------------------------- */

typedef struct {
    TgWriter *w;
    const DimAtom *next; /* the smallest that has no number yet */
} Search;

static void consider(void *user, TgDim symbol)
{
    Search *s = user;
    const DimAtom *atom = dim_only_atom(symbol);
    if (!tg_dim_is_fresh(symbol) || tg_map_get(&s->w->numbers, TG_KEY(symbol), NULL))
        return;
    if (!s->next || atom->number < s->next->number ||
        (atom->number == s->next->number && atom->kind < s->next->kind))
        s->next = atom;
}

static void number_all(TgWriter *w, TgDim dim)
{
    for (Search s = {w, NULL};; s.next = NULL) {
        tg_dim_symbols(dim, consider, &s);
        if (!s.next)
            return;
        tg_map_put(&w->numbers, TG_KEY(s.next->self), w->numbers.n + 1);
    }
}

static TgDim numbered(void *user, TgDim symbol)
{
    const TgWriter *w = user;
    uint64_t number;
    return tg_map_get(&w->numbers, TG_KEY(symbol), &number)
               ? dim_numbered(w->tg, dim_only_atom(symbol)->kind, number)
               : NULL;
}

/* --- types ---------------------------------------------------------------------------------------------- */

static const TgType *renamed(TgWriter *w, const TgType *t)
{
    TgDim dim[TG_MAX_RANK];
    if (t->item) /* types nest as deep as readers allow */
        return tg_type_of_kind(w->tg, t->kind, t->dtype, renamed(w, t->item));
    if (t->kind != TG_TENSOR || t->rank < 1)
        return t;
    for (int32_t i = 0; i < t->rank; i++) {
        dim[i] = t->dim[i];
        if (!tg_dim_is_fresh(dim[i]))
            continue;
        number_all(w, dim[i]);
        dim[i] = tg_dim_substitute(w->tg, dim[i], numbered, w);
    }
    return tg_type(w->tg, t->dtype, t->rank, dim);
}

void tg_write_type(TgWriter *w, const TgType *t)
{
    tg_type_print(renamed(w, t), w->out);
}
