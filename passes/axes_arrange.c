/* Laying a value out along other axes (axes.h): Reshape to units that move as a whole, Transpose,
 * Reshape to what is wanted, each where needed. Sizes must allow constant shapes. */
#include <string.h>

#include "axes.h"
#include "views.h"

/* Reshape to `unit`s, Transpose them, Reshape to the axes wanted: each where needed. */
typedef struct {
    bool possible, first, moved, last;
    uint32_t n;
    Word unit[AXES_RANK];
    int64_t perm[AXES_RANK];
} Way;

static bool same_axes(const Alphabet *a, uint32_t n, const Word *x, uint32_t m, const Word *y)
{
    bool same = n == m;
    for (uint32_t i = 0; same && i < n; i++)
        same = axes_same(a, &x[i], &y[i]);
    return same;
}

/* The letters of w stand side by side, in that order, in `whole`; both spelled. */
static bool stands_in(const Word *w, const Word *whole)
{
    uint32_t start = w->n ? axes_place(whole, w->at[0]) : 0;
    return start + w->n <= whole->n && (!w->n || memcmp(whole->at + start, w->at, w->n) == 0);
}

/* The axes of the map as units, or runs of letters that both orders have. False: more than a value has
 * axes. */
static bool choose_units(const Alphabet *a, const AxisMap *map, const Word *from, const Word *to, Way *way)
{
    bool as_they_are = true;
    for (int32_t i = 0; i < map->rank; i++) {
        way->unit[i] = axes_spell(a, &map->axis[i]);
        as_they_are = as_they_are && stands_in(&way->unit[i], to);
    }
    way->n = (uint32_t)map->rank;
    if (as_they_are)
        return true;
    way->first = true;
    way->n = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        bool goes_on = i > 0 && axes_place(to, from->at[i]) == axes_place(to, from->at[i - 1]) + 1;
        if (!goes_on && way->n == AXES_RANK)
            return false;
        if (!goes_on)
            way->unit[way->n++] = (Word){0};
        axes_push(&way->unit[way->n - 1], from->at[i]);
    }
    return true;
}

/* Units in the order of `to`; those of size 1 go where the wanted axes have them, else to the end. */
static void order_units(const Alphabet *a, const Word *to, uint32_t n, const Word *axes, Way *way)
{
    bool used[AXES_RANK] = {false};
    uint32_t count = 0;
    for (uint32_t k = 0, at = 0, end = 0; k < n; k++) {
        Word wanted = axes_spell(a, &axes[k]);
        end += wanted.n; /* a unit may reach into the next axes: then `at` is ahead */
        for (uint32_t i = 0; i < way->n; i++)
            if (!used[i] && !way->unit[i].n && !wanted.n) {
                used[i] = true;
                way->perm[count++] = i;
                break;
            }
        while (at < end) {
            uint32_t i = 0;
            while (i < way->n && (!way->unit[i].n || way->unit[i].at[0] != to->at[at]))
                i++;
            if (i == way->n)
                break;
            used[i] = true;
            way->perm[count++] = i;
            at += way->unit[i].n;
        }
    }
    for (uint32_t i = 0; i < way->n; i++)
        if (!used[i])
            way->perm[count++] = i;
    way->possible = count == way->n;
    for (uint32_t i = 0; i < way->n; i++)
        way->moved = way->moved || way->perm[i] != i;
}

static Way find_way(Alphabet *a, const AxisMap *map, uint32_t n, const Word *axes)
{
    Way way = {0};
    Word from = axes_all(a, map), to = axes_join(a, n, axes), moved[AXES_RANK];
    bool same_letters = from.n == to.n;
    for (uint32_t i = 0; same_letters && i < from.n; i++)
        same_letters = axes_place(&to, from.at[i]) < to.n;
    if (!same_letters || n > AXES_RANK || from.n == AXES_WORD) /* a full word may lack letters */
        return way;
    if (axes_same(a, &from, &to)) {
        way.possible = true;
        way.last = !same_axes(a, (uint32_t)map->rank, map->axis, n, axes);
        return way;
    }
    if (!choose_units(a, map, &from, &to, &way))
        return way;
    order_units(a, &to, n, axes, &way);
    for (uint32_t i = 0; i < way.n; i++)
        moved[i] = way.unit[way.perm[i]];
    way.last = !same_axes(a, way.n, moved, n, axes);
    return way;
}

static const TgType *type_of_axes(const Alphabet *a, TgValue like, uint32_t n, const Word *axes)
{
    TgDim dim[AXES_RANK];
    for (uint32_t i = 0; i < n; i++)
        dim[i] = axes_size(a, &axes[i]);
    return tg_type(a->g->tg, tg_type_of(a->g, like)->dtype, (int32_t)n, dim);
}

uint32_t axes_arrange_cost(Alphabet *a, const AxisMap *map, uint32_t n, const Word *axes)
{
    Way way = find_way(a, map, n, axes);
    int64_t target[TG_MAX_RANK];
    if (!way.possible)
        return AXES_NO_WAY;
    const TgType *at = tg_type_of(a->g, map->v);
    if (way.first) {
        const TgType *to = type_of_axes(a, map->v, way.n, way.unit);
        if (!constant_target(at, to, target))
            return AXES_NO_WAY;
        at = to;
    }
    Word moved[AXES_RANK];
    for (uint32_t i = 0; way.moved && i < way.n; i++)
        moved[i] = way.unit[way.perm[i]];
    if (way.moved)
        at = type_of_axes(a, map->v, way.n, moved);
    if (way.last && !constant_target(at, type_of_axes(a, map->v, n, axes), target))
        return AXES_NO_WAY;
    return (uint32_t)way.first + way.moved + way.last;
}

static TgValue reshape(TgPass *p, const Alphabet *a, TgValue v, uint32_t n, const Word *axes)
{
    int64_t target[TG_MAX_RANK];
    const TgType *to = type_of_axes(a, v, n, axes);
    if (!constant_target(tg_type_of(p->g, v), to, target))
        return 0;
    return pass_op(p, TG_Reshape, NULL, 2, v, pass_ints(p, n, target));
}

TgValue axes_arrange(TgPass *p, Alphabet *a, const AxisMap *map, uint32_t n, const Word *axes)
{
    Way way = find_way(a, map, n, axes);
    TgValue v = way.possible ? map->v : 0;
    if (v && way.first)
        v = reshape(p, a, v, way.n, way.unit);
    if (v && way.moved)
        v = pass_op(p, TG_Transpose, transpose_attrs(p->tg, (int32_t)way.n, way.perm), 1, v);
    return v && way.last ? reshape(p, a, v, n, axes) : v;
}
