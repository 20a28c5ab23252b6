/* Affine reading of integer tensors; depth and work are bounded. */
#include "positions.h"

enum { DEEP = 24 };

/* Adds times * (index along word). */
static bool add_term(const Alphabet *a, Position *p, const Word *word, int64_t times)
{
    if (!word->n || !times)
        return true;
    TgDim shift;
    Word index = axes_index(a, word, &shift);
    p->base = tg_dim_add(a->g->tg, p->base, tg_dim_mul(a->g->tg, shift, tg_dim(a->g->tg, times)));
    for (uint32_t i = 0; i < p->n; i++)
        if (axes_same(a, &p->word[i], &index)) {
            p->times[i] += times;
            return true;
        }
    if (p->n == POSITION_TERMS)
        return false;
    p->word[p->n] = index;
    p->times[p->n++] = times;
    return true;
}

static bool add_position(const Alphabet *a, Position *p, const Position *other, int64_t sign)
{
    Tg *tg = a->g->tg;
    p->limit = p->n == 0 && tg_dim_is(p->base, 0) && sign > 0 ? other->limit : 0;
    p->base = sign > 0 ? tg_dim_add(tg, p->base, other->base) : tg_dim_sub(tg, p->base, other->base);
    for (uint32_t i = 0; i < other->n; i++)
        if (!add_term(a, p, &other->word[i], sign * other->times[i]))
            return false;
    return true;
}

int64_t position_times(const Alphabet *a, const Position *p, const Word *word)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (axes_same(a, &p->word[i], word))
            return p->times[i];
    return 0;
}

bool position_is_index(const Alphabet *a, const Position *p, const Word *word)
{
    bool only = true;
    for (uint32_t i = 0; i < p->n; i++)
        only = only && (p->times[i] == 0 || axes_same(a, &p->word[i], word));
    return only && (!word->n || position_times(a, p, word) == 1);
}

/* --- leaves ------------------------------------------------------------------------------------------- */

static bool one_element(const Alphabet *a, TgValue v, TgDim *element)
{
    const TgValueInfo *info = tg_value(a->g, v);
    int64_t n;
    if (!info->symbolic || info->type->kind != TG_TENSOR || !tg_type_numel(info->type, &n) || n != 1)
        return false;
    *element = info->symbolic[0];
    return true;
}

/* A constant whose elements grow by a constant step along one axis and do not vary along the others. */
static bool constant(const Alphabet *a, const AxisMap *map, Position *p)
{
    enum { MOST = 1 << 16 };
    const TgTensor *t = tg_const_of(a->g, map->v);
    int64_t stride[AXES_RANK], step[AXES_RANK] = {0};
    if (!t || t->count < 1 || t->count > MOST || !tg_is_integer(t->dtype) || t->rank != map->rank)
        return false;
    int64_t count = 1, first = tg_tensor_int(a->g->tg, t, 0);
    for (int32_t i = t->rank; i-- > 0; count *= t->dim[i]) {
        stride[i] = count;
        if (t->dim[i] > 1)
            step[i] = tg_tensor_int(a->g->tg, t, (size_t)count) - first;
    }
    for (int64_t e = 0; e < count; e++) {
        int64_t expected = first;
        for (int32_t i = 0; i < t->rank; i++)
            expected += step[i] * (e / stride[i] % t->dim[i]);
        if (tg_tensor_int(a->g->tg, t, (size_t)e) != expected)
            return false;
    }
    *p = (Position){.base = tg_dim(a->g->tg, first)};
    for (int32_t i = 0; i < t->rank; i++)
        if (!add_term(a, p, &map->axis[i], step[i]))
            return false;
    return true;
}

static bool range(const Alphabet *a, const AxisMap *map, const TgNodeInfo *n, Position *p)
{
    TgDim start, step;
    int64_t by;
    *p = (Position){0};
    if (!one_element(a, n->in[0], &start) || !one_element(a, n->in[2], &step) || !tg_dim_known(step, &by))
        return false;
    p->base = start;
    p->limit = tg_dim_is(start, 0) && by == 1 ? n->in[1] : 0;
    return add_term(a, p, &map->axis[0], by);
}

/* --- steps -------------------------------------------------------------------------------------------- */

static bool integer(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return tg_is_tensor(t) && (tg_is_integer(t->dtype) || t->dtype == TG_bool);
}

/* Slice by steps of 1 from starts that are known and not negative: the cut axes get longer letters. */
static bool back_cut(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap *x)
{
    const TgGraph *g = a->g;
    Tg *tg = g->tg;
    int64_t step[AXES_RANK], axis[AXES_RANK], count;
    uint32_t steps = 0, axes = 0;
    const TgDim *start = tg_value(g, n->in[1])->symbolic;
    const TgType *from = tg_type_of(g, n->in[0]), *to = tg_type_of(g, of->v);
    if (!start || !tg_type_numel(tg_type_of(g, n->in[1]), &count) || count > AXES_RANK ||
        !tg_is_tensor(from) || from->rank != of->rank ||
        (in(n, 4) && !tg_const_ints(g, n->in[4], AXES_RANK, step, &steps)) ||
        (in(n, 3) && !tg_const_ints(g, n->in[3], AXES_RANK, axis, &axes)))
        return false;
    *x = *of;
    x->v = n->in[0];
    for (int64_t i = 0; i < count; i++) {
        int64_t k = axes ? axis[i] : i;
        k += k < 0 ? from->rank : 0;
        if ((steps && step[i] != 1) || k < 0 || k >= from->rank ||
            !tg_dim_at_least(tg, start[i], tg_dim(tg, 0)))
            return false;
        if ((from->dim[k] != to->dim[k] || !tg_dim_is(start[i], 0)) &&
            !axes_longer(a, &of->axis[k], from->dim[k], start[i], &x->axis[k]))
            return false;
    }
    return true;
}

bool position_back(Alphabet *a, const AxisMap *of, AxisMap *operand)
{
    const TgValueInfo *info = tg_value(a->g, of->v);
    if (info->origin != TG_V_RESULT)
        return false;
    const TgNodeInfo *n = tg_node(a->g, info->node);
    bool same =
        n->op == TG_Identity || (n->op == TG_Cast && integer(a->g, of->v) && integer(a->g, n->in[0]) &&
                                 tg_type_of(a->g, of->v)->dtype != TG_bool);
    if (n->op == TG_Slice)
        return back_cut(a, of, n, operand);
    if (!same)
        return axes_back(a, of, operand);
    *operand = *of;
    operand->v = n->in[0];
    return pass_rank(a->g, n->in[0]) == of->rank;
}

/* Sums are read from left to right; each step down a chain keeps the sign it stands with. */
bool position_of(Alphabet *a, const AxisMap *map, Position *position)
{
    struct {
        AxisMap map;
        int64_t sign;
    } pending[8];
    uint32_t waiting = 1;
    *position = (Position){.base = tg_dim(a->g->tg, 0)};
    pending[0].map = *map;
    pending[0].sign = 1;
    for (uint32_t work = 0; waiting && work < DEEP; work++) {
        AxisMap at = pending[--waiting].map, next;
        int64_t sign = pending[waiting].sign;
        const TgNodeInfo *n =
            tg_value(a->g, at.v)->origin == TG_V_RESULT ? tg_node(a->g, tg_value(a->g, at.v)->node) : NULL;
        Position leaf = {0};
        bool sum = n && (n->op == TG_Add || n->op == TG_Sub), known = one_element(a, at.v, &leaf.base);
        if (!integer(a->g, at.v))
            return false;
        known = known || constant(a, &at, &leaf) || (n && n->op == TG_Range && range(a, &at, n, &leaf));
        if (known) {
            if (!add_position(a, position, &leaf, sign))
                return false;
        } else if (sum && waiting + 2 <= 8) {
            for (uint32_t i = 0; i < 2; i++) {
                if (!axes_operand(a, &at, n, i, &pending[waiting].map))
                    return false;
                pending[waiting++].sign = i && n->op == TG_Sub ? -sign : sign;
            }
        } else if (position_back(a, &at, &next)) {
            pending[waiting].map = next;
            pending[waiting++].sign = sign;
        } else
            return false;
    }
    return waiting == 0;
}

bool position_compared(Alphabet *a, const AxisMap *map, Position *position)
{
    const TgValueInfo *info = tg_value(a->g, map->v);
    if (info->origin != TG_V_RESULT)
        return false;
    const TgNodeInfo *n = tg_node(a->g, info->node);
    bool less = n->op == TG_Less || n->op == TG_LessOrEqual,
         greater = n->op == TG_Greater || n->op == TG_GreaterOrEqual;
    bool strict = n->op == TG_Less || n->op == TG_Greater;
    AxisMap x[2];
    Position of[2];
    if (!less && !greater)
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (!axes_operand(a, map, n, i, &x[i]) || !position_of(a, &x[i], &of[i]))
            return false;
    *position = of[less ? 1 : 0];
    if (!add_position(a, position, &of[less ? 0 : 1], -1))
        return false;
    if (strict)
        position->base = tg_dim_sub(a->g->tg, position->base, tg_dim(a->g->tg, 1));
    return true;
}
