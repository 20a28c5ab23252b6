/* Words and maps of axes.h. Cost: linear in ranks; alphabets are small and live on the stack of a look. */
#include <string.h>

#include "axes.h"
#include "views.h"

/* --- words -------------------------------------------------------------------------------------------- */

uint8_t axes_letter(Alphabet *a, TgDim size)
{
    if (a->n == AXES_LETTERS) {
        a->full = true;
        return 0;
    }
    a->at[a->n] = (Letter){.size = size};
    return (uint8_t)a->n++;
}

Word axes_word(Alphabet *a, TgDim size)
{
    Word w = {0};
    if (!tg_dim_is(size, 1))
        axes_push(&w, axes_letter(a, size));
    return w;
}

static void spell_letter(const Alphabet *a, uint8_t letter, Word *out)
{
    uint8_t pending[AXES_LETTERS];
    uint32_t n = 0;
    pending[n++] = letter;
    while (n) {
        letter = pending[--n];
        if (!a->at[letter].is_split) {
            axes_push(out, letter);
            continue;
        }
        pending[n++] = a->at[letter].minor;
        pending[n++] = a->at[letter].major;
    }
}

Word axes_spell(const Alphabet *a, const Word *w)
{
    Word out = {0};
    for (uint32_t i = 0; i < w->n; i++)
        spell_letter(a, w->at[i], &out);
    return out;
}

Word axes_join(const Alphabet *a, uint32_t n, const Word *words)
{
    Word out = {0};
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < words[i].n; k++)
            spell_letter(a, words[i].at[k], &out);
    return out;
}

bool axes_same(const Alphabet *a, const Word *x, const Word *y)
{
    Word s = axes_spell(a, x), t = axes_spell(a, y);
    return s.n == t.n && memcmp(s.at, t.at, s.n) == 0;
}

uint32_t axes_place(const Word *spelled, uint8_t letter)
{
    uint32_t i = 0;
    while (i < spelled->n && spelled->at[i] != letter)
        i++;
    return i;
}

bool axes_has(const Alphabet *a, const Word *w, uint8_t letter)
{
    Word s = axes_spell(a, w);
    return axes_place(&s, letter) < s.n;
}

Word axes_only(const Alphabet *a, const Word *w, const Word *set, bool keep)
{
    Word s = axes_spell(a, w), out = {0};
    for (uint32_t i = 0; i < s.n; i++)
        if (axes_has(a, set, s.at[i]) == keep)
            axes_push(&out, s.at[i]);
    return out;
}

TgDim axes_size(const Alphabet *a, const Word *w)
{
    TgDim size = tg_dim(a->g->tg, 1);
    for (uint32_t i = 0; i < w->n; i++)
        size = tg_dim_mul(a->g->tg, size, a->at[w->at[i]].size);
    return size;
}

bool axes_longer(Alphabet *a, const Word *w, TgDim size, TgDim shift, Word *longer)
{
    Word s = axes_spell(a, w);
    if (s.n != 1)
        return false;
    uint8_t letter = axes_letter(a, size);
    if (a->full)
        return false;
    a->at[letter].is_longer = true;
    a->at[letter].shorter = s.at[0];
    a->at[letter].shift = shift;
    *longer = (Word){1, {letter}};
    return true;
}

Word axes_index(const Alphabet *a, const Word *w, TgDim *shift)
{
    Tg *tg = a->g->tg;
    Word s = axes_spell(a, w);
    TgDim sum = tg_dim(tg, 0);
    for (uint32_t i = 0; i < s.n; i++)
        while (a->at[s.at[i]].is_longer && !a->at[s.at[i]].is_split) {
            sum = tg_dim_add(tg, sum, a->at[s.at[i]].shift);
            s.at[i] = a->at[s.at[i]].shorter;
        }
    if (shift)
        *shift = sum;
    return axes_spell(a, &s);
}

/* --- maps --------------------------------------------------------------------------------------------- */

static const TgType *ranked(const TgGraph *g, TgValue v)
{
    const TgType *t = tg_type_of(g, v);
    return tg_is_tensor(t) && t->rank >= 0 && t->rank <= AXES_RANK ? t : NULL;
}

bool axes_start(Alphabet *a, TgValue v, AxisMap *map)
{
    const TgType *t = ranked(a->g, v);
    if (!t)
        return false;
    *map = (AxisMap){.v = v, .rank = t->rank};
    for (int32_t i = 0; i < t->rank; i++)
        map->axis[i] = axes_word(a, t->dim[i]);
    return !a->full;
}

Word axes_all(const Alphabet *a, const AxisMap *map)
{
    return axes_join(a, (uint32_t)map->rank, map->axis);
}

/* Deals the letters of `all` out to axes of the given sizes; letters are split where a boundary falls
 * within one. */
static bool deal(Alphabet *a, Word all, int32_t rank, const TgDim *dim, Word *axis)
{
    Tg *tg = a->g->tg;
    uint32_t next = 0;
    for (int32_t i = 0; i < rank; i++) {
        TgDim rest = dim[i], quotient;
        axis[i] = (Word){0};
        while (!tg_dim_is(rest, 1)) {
            if (next == all.n || axis[i].n == AXES_WORD)
                return false;
            uint8_t letter = all.at[next];
            TgDim size = a->at[letter].size;
            if (size == rest || tg_dim_exact_div(tg, rest, size, &quotient)) {
                axes_push(&axis[i], letter);
                rest = size == rest ? tg_dim(tg, 1) : quotient;
                next++;
            } else if (tg_dim_exact_div(tg, size, rest, &quotient)) {
                uint8_t major = axes_letter(a, rest), minor = axes_letter(a, quotient);
                if (a->full)
                    return false;
                a->at[letter] = (Letter){.size = size, .is_split = true, .major = major, .minor = minor};
                axes_push(&axis[i], major);
                all.at[next] = minor;
                rest = tg_dim(tg, 1);
            } else
                return false;
        }
    }
    return next == all.n;
}

bool axes_divide(Alphabet *a, const Word *w, TgDim major_size, TgDim minor_size, Word *major, Word *minor)
{
    Word part[2];
    if (!deal(a, axes_spell(a, w), 2, (TgDim[]){major_size, minor_size}, part))
        return false;
    *major = part[0];
    *minor = part[1];
    return true;
}

static bool back_view(Alphabet *a, const AxisMap *of, AxisMap *x)
{
    return deal(a, axes_all(a, of), x->rank, tg_type_of(a->g, x->v)->dim, x->axis);
}

static bool back_transpose(const Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap *x)
{
    int64_t perm[TG_MAX_RANK];
    int32_t rank;
    if (!transpose_permutation(a->g, n, perm, &rank) || rank != of->rank)
        return false;
    for (int32_t i = 0; i < rank; i++)
        x->axis[perm[i]] = of->axis[i];
    return true;
}

/* Elementwise or Expand: sizes of 1 are repeated. Axes are aligned at the end. */
static bool back_broadcast(const Alphabet *a, const AxisMap *of, AxisMap *x)
{
    const TgType *from = tg_type_of(a->g, x->v), *to = tg_type_of(a->g, of->v);
    for (int32_t i = 0; i < x->rank; i++) {
        int32_t k = i + of->rank - x->rank;
        if (k < 0)
            return false;
        if (from->dim[i] == to->dim[k])
            x->axis[i] = of->axis[k];
        else if (!tg_dim_is(from->dim[i], 1))
            return false;
        else
            x->axis[i] = (Word){0};
    }
    return true;
}

/* One axis of `of` is (major, minor) with the given size of the minor part; keeps one of the two. */
static bool keep_part(Alphabet *a, const Word *w, TgDim major, TgDim minor, bool keep_major, Word *out)
{
    Word part[2];
    bool fits = axes_divide(a, w, major, minor, &part[0], &part[1]);
    *out = part[keep_major ? 0 : 1];
    return fits;
}

static bool back_tile(Alphabet *a, const AxisMap *of, AxisMap *x)
{
    const TgType *from = tg_type_of(a->g, x->v), *to = tg_type_of(a->g, of->v);
    if (x->rank != of->rank)
        return false;
    for (int32_t i = 0; i < x->rank; i++) {
        TgDim times;
        if (from->dim[i] == to->dim[i])
            x->axis[i] = of->axis[i];
        else if (!tg_dim_exact_div(a->g->tg, to->dim[i], from->dim[i], &times) ||
                 !keep_part(a, &of->axis[i], times, from->dim[i], false, &x->axis[i]))
            return false;
    }
    return true;
}

static int64_t axis_of_node(const TgNodeInfo *n, int32_t rank)
{
    int64_t axis = tg_attr_int(n, "axis");
    return axis < 0 ? axis + rank : axis;
}

/* The same value several times along an axis. */
static bool back_concat(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap *x)
{
    int64_t axis = axis_of_node(n, of->rank);
    for (uint32_t i = 1; i < n->n_in; i++)
        if (n->in[i] != n->in[0])
            return false;
    for (int32_t i = 0; i < of->rank; i++)
        x->axis[i] = of->axis[i];
    return keep_part(a, &of->axis[axis], tg_dim(a->g->tg, n->n_in), tg_type_of(a->g, x->v)->dim[axis], false,
                     &x->axis[axis]);
}

/* Gather by constant indices 0 0 1 1 .. (grouped) or 0 1 0 1 .. (interleaved). */
static bool back_gather(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap *x)
{
    enum { MOST = 1024 };
    int64_t index[MOST], axis = axis_of_node(n, x->rank), size = pass_dim(a->g, x->v, (int32_t)axis);
    uint32_t count;
    if (pass_rank(a->g, n->in[1]) != 1 || size < 1 || !tg_const_ints(a->g, n->in[1], MOST, index, &count) ||
        count % size || count / size < 2)
        return false;
    int64_t times = count / size;
    bool grouped = true, interleaved = true;
    for (uint32_t i = 0; i < count; i++) {
        grouped = grouped && index[i] == i / times;
        interleaved = interleaved && index[i] == i % size;
    }
    for (int32_t i = 0; i < of->rank; i++)
        x->axis[i] = of->axis[i];
    TgDim many = tg_dim(a->g->tg, times), once = tg_dim(a->g->tg, size);
    return (grouped && keep_part(a, &of->axis[axis], once, many, true, &x->axis[axis])) ||
           (interleaved && keep_part(a, &of->axis[axis], many, once, false, &x->axis[axis]));
}

bool axes_back(Alphabet *a, const AxisMap *of, AxisMap *operand)
{
    const TgValueInfo *info = tg_value(a->g, of->v);
    if (info->origin != TG_V_RESULT)
        return false;
    const TgNodeInfo *n = tg_node(a->g, info->node);
    const TgType *t = n->n_in && n->in[0] ? ranked(a->g, n->in[0]) : NULL;
    if (!t)
        return false;
    AxisMap x = {.v = n->in[0], .rank = t->rank};
    bool read;
    if (is_view(n->op))
        read = back_view(a, of, &x);
    else if (n->op == TG_Transpose)
        read = back_transpose(a, of, n, &x);
    else if (n->op == TG_Expand)
        read = back_broadcast(a, of, &x);
    else if (n->op == TG_Tile)
        read = back_tile(a, of, &x);
    else if (n->op == TG_Concat && n->n_in > 1)
        read = back_concat(a, of, n, &x);
    else if (n->op == TG_Gather)
        read = back_gather(a, of, n, &x);
    else
        return false;
    *operand = x;
    return read && !a->full;
}

bool axes_operand(const Alphabet *a, const AxisMap *of, const TgNodeInfo *n, uint32_t slot, AxisMap *operand)
{
    const TgType *t = ranked(a->g, n->in[slot]);
    if (!t)
        return false;
    *operand = (AxisMap){.v = n->in[slot], .rank = t->rank};
    return back_broadcast(a, of, operand);
}

bool axes_operand_loosely(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, uint32_t slot,
                          AxisMap *operand)
{
    const TgType *t = ranked(a->g, n->in[slot]);
    if (!t || t->rank < 1 || of->rank < 1)
        return false;
    const TgType *to = tg_type_of(a->g, of->v);
    AxisMap x = {.v = n->in[slot], .rank = t->rank};
    for (int32_t i = 0; i < t->rank - 1; i++) {
        int32_t k = i + of->rank - t->rank;
        if (k < 0 || (t->dim[i] != to->dim[k] && !tg_dim_is(t->dim[i], 1)))
            return false;
        x.axis[i] = t->dim[i] == to->dim[k] ? of->axis[k] : (Word){0};
    }
    *operand = x;
    return axes_longer(a, &of->axis[of->rank - 1], t->dim[t->rank - 1], tg_dim(a->g->tg, 0),
                       &operand->axis[t->rank - 1]);
}

/* --- products ----------------------------------------------------------------------------------------- */

/* Words of the leading axes of operand x of a MatMul: those of the result, none where the operand is
 * repeated. */
static bool leading(const Alphabet *a, const AxisMap *of, AxisMap *x)
{
    const TgType *from = tg_type_of(a->g, x->v), *to = tg_type_of(a->g, of->v);
    for (int32_t i = 0; i < x->rank - 2; i++) {
        int32_t k = i + of->rank - x->rank;
        if (k < 0 || (from->dim[i] != to->dim[k] && !tg_dim_is(from->dim[i], 1)))
            return false;
        x->axis[i] = from->dim[i] == to->dim[k] ? of->axis[k] : (Word){0};
    }
    return true;
}

static bool matmul(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap x[2], Word *inner)
{
    for (uint32_t i = 0; i < 2; i++) {
        const TgType *t = ranked(a->g, n->in[i]);
        if (!t || t->rank < 2)
            return false;
        x[i] = (AxisMap){.v = n->in[i], .rank = t->rank};
        if (!leading(a, of, &x[i]))
            return false;
    }
    int32_t r = x[0].rank, s = x[1].rank;
    if (tg_type_of(a->g, n->in[0])->dim[r - 1] != tg_type_of(a->g, n->in[1])->dim[s - 2])
        return false;
    *inner = axes_word(a, tg_type_of(a->g, n->in[0])->dim[r - 1]);
    x[0].axis[r - 2] = of->axis[of->rank - 2];
    x[0].axis[r - 1] = x[1].axis[s - 2] = *inner;
    x[1].axis[s - 1] = of->axis[of->rank - 1];
    return true;
}

/* Terms of "ab,bc->ac" without spaces; false: of another kind (implicit result, ellipsis, repeated
 * labels). */
static bool einsum_terms(Tg *tg, const TgNodeInfo *n, char term[3][AXES_RANK + 1])
{
    uint32_t k = 0, length = 0;
    memset(term, 0, 3 * (AXES_RANK + 1));
    for (const char *c = tg_attr_string(tg, n, "equation"); *c; c++) {
        if (*c == ' ')
            continue;
        bool arrow = *c == '-' && c[1] == '>';
        if (*c == ',' || arrow) {
            if (++k > 2 || (k == 2) != arrow)
                return false;
            length = 0;
            c += arrow;
        } else if (*c == '.' || length == AXES_RANK || strchr(term[k], *c))
            return false;
        else
            term[k][length++] = *c;
    }
    return k == 2;
}

static bool einsum(Alphabet *a, const AxisMap *of, const TgNodeInfo *n, AxisMap x[2], Word *inner)
{
    char term[3][AXES_RANK + 1];
    Word summed[128] = {{0}};
    bool seen[128] = {false};
    *inner = (Word){0};
    if (n->n_in != 2 || !einsum_terms(a->g->tg, n, term) || (int32_t)strlen(term[2]) != of->rank)
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        const TgType *t = ranked(a->g, n->in[i]);
        if (!t || t->rank != (int32_t)strlen(term[i]))
            return false;
        x[i] = (AxisMap){.v = n->in[i], .rank = t->rank};
        for (int32_t k = 0; k < t->rank; k++) {
            unsigned char label = (unsigned char)term[i][k];
            const char *kept = strchr(term[2], label);
            if (kept && t->dim[k] != tg_type_of(a->g, of->v)->dim[kept - term[2]])
                return false;
            if (!kept && !strchr(term[1 - i], label))
                return false;
            if (!kept && !seen[label & 127]) {
                seen[label & 127] = true;
                summed[label & 127] = axes_word(a, t->dim[k]);
                *inner = axes_join(a, 2, (Word[]){*inner, summed[label & 127]});
            }
            x[i].axis[k] = kept ? of->axis[kept - term[2]] : summed[label & 127];
        }
    }
    return true;
}

bool axes_product(Alphabet *a, const AxisMap *of, AxisMap operand[2], Word *inner)
{
    const TgNodeInfo *n = tg_producer(a->g, of->v, TG_MatMul);
    bool read;
    if (n)
        read = of->rank >= 2 && matmul(a, of, n, operand, inner);
    else {
        n = tg_producer(a->g, of->v, TG_Einsum);
        read = n && einsum(a, of, n, operand, inner);
    }
    return read && !a->full;
}
