/* Index grids. Exporters trace  x[arange(n)[:, None], arange(m)]  as GatherND (ScatterND for assignments)
 * over a tensor that lists every index: Range, Expand, Unsqueeze, Concat. Where each component of the index
 * is proved to count along an axis of the result, no lookup is left:
 *
 *     GatherND(x, grid)        x with its axes laid out like those of the grid, cut to the ranges of the grid
 *     ScatterND(x, grid, u)    u, when the grid covers all of x in order
 *
 * Needs: inferred types. Breaks: nothing. */
#include "axes.h"
#include "positions.h"

/* Component `i` of the indices, without the last axis. False: indices are made in another way. */
static bool component(TgPass *p, const AxisMap *index, uint32_t i, AxisMap *part)
{
    const TgNodeInfo *concat = tg_producer(p->g, index->v, TG_Concat);
    int64_t axis = concat ? tg_attr_int(concat, "axis") : 0, last = index->rank - 1;
    *part = *index;
    part->axis[index->rank - 1] = (Word){0};
    if (is_const(p->g, index->v)) {
        part->v = pass_slice(p, index->v, i, (int64_t)i + 1, last, 1);
        return part->v && is_const(p->g, part->v);
    }
    if (!concat || (axis != -1 && axis != last) || i >= concat->n_in ||
        pass_dim(p->g, concat->in[i], -1) != 1)
        return false;
    part->v = concat->in[i];
    return true;
}

/* The axes of the looked up value that the components count along, and how far. */
typedef struct {
    Alphabet abc;
    AxisMap index; /* the last axis: components */
    uint32_t n;
    Word word[AXES_RANK];
    TgValue limit[AXES_RANK];
} Grid;

static bool read_grid(TgPass *p, TgValue index, Grid *grid)
{
    *grid = (Grid){.abc = {.g = p->g}};
    int64_t n = pass_rank(p->g, index) < 1 ? -1 : pass_dim(p->g, index, -1);
    if (n < 1 || n > AXES_RANK || !axes_start(&grid->abc, index, &grid->index))
        return false;
    grid->n = (uint32_t)n;
    for (uint32_t i = 0; i < grid->n; i++) {
        AxisMap part;
        Position position;
        if (!component(p, &grid->index, i, &part) || !position_of(&grid->abc, &part, &position) ||
            !tg_dim_is(position.base, 0))
            return false;
        uint32_t found = 0;
        while (found < position.n && position.times[found] == 0)
            found++;
        grid->word[i] = found < position.n ? position.word[found] : (Word){0};
        grid->limit[i] = position.limit;
        if (!position_is_index(&grid->abc, &position, &grid->word[i]))
            return false;
    }
    return true;
}

/* --- GatherND ----------------------------------------------------------------------------------------- */

/* The size of a word as i64[1]; 0: it is not written anywhere. */
static TgValue size_of(TgPass *p, const Grid *grid, const Word *word)
{
    int64_t n;
    if (tg_dim_known(axes_size(&grid->abc, word), &n))
        return pass_ints(p, 1, &n);
    for (uint32_t i = 0; i < grid->n; i++)
        if (grid->limit[i] && axes_same(&grid->abc, &grid->word[i], word))
            return pass_op(p, TG_Reshape, NULL, 2, grid->limit[i], pass_ints(p, 1, &(int64_t){1}));
    return 0;
}

static TgValue sizes_of(TgPass *p, const Grid *grid, uint32_t n, const Word *words)
{
    TgValue size[AXES_RANK];
    for (uint32_t i = 0; i < n; i++)
        if (!(size[i] = size_of(p, grid, &words[i])))
            return 0;
    TgNode made = tg_graph_add(p->g, TG_Concat, tg_attrs(p->tg, TG_Concat, "axis=i", (int64_t)0), n, size, 1);
    return made ? fold_value(p, made) : 0;
}

/* x as far as the grid goes, in the shape of the grid. That x is large enough is what GatherND demanded;
 * the Reshape says it again, and tells sizes. */
static TgValue cut_and_shape(TgPass *p, const Grid *grid, TgValue x)
{
    int64_t axes[AXES_RANK], zero[AXES_RANK] = {0};
    for (uint32_t i = 0; i < grid->n; i++)
        axes[i] = i;
    TgValue ends = sizes_of(p, grid, grid->n, grid->word);
    TgValue shape = ends ? sizes_of(p, grid, (uint32_t)grid->index.rank - 1, grid->index.axis) : 0;
    TgValue all = pass_ints(p, grid->n, axes), starts = pass_ints(p, grid->n, zero);
    TgValue part = shape ? pass_op(p, TG_Slice, NULL, 4, x, starts, ends, all) : 0;
    return part ? pass_op(p, TG_Reshape, NULL, 2, part, shape) : 0;
}

/* The axes of x, in the order of those of the result. */
static bool in_order(const Grid *grid)
{
    Word from = axes_join(&grid->abc, grid->n, grid->word),
         to = axes_join(&grid->abc, (uint32_t)grid->index.rank - 1, grid->index.axis);
    return axes_same(&grid->abc, &from, &to);
}

static void gather(TgPass *p, TgNodeInfo *n)
{
    Grid grid;
    TgValue x = n->in[0];
    const TgType *t = tg_type_of(p->g, x);
    if (tg_attr_int(n, "batch_dims") || !tg_is_tensor(t) || !read_grid(p, n->in[1], &grid) ||
        t->rank != (int32_t)grid.n)
        return;
    for (uint32_t i = 0; i < grid.n; i++)
        for (uint32_t k = 0; k < i; k++)
            if (grid.word[i].n && axes_same(&grid.abc, &grid.word[i], &grid.word[k]))
                return; /* a diagonal */
    if (!pass_may(p))
        return;
    bool whole = true;
    AxisMap map = {.v = x, .rank = t->rank};
    for (uint32_t i = 0; i < grid.n; i++) {
        map.axis[i] = grid.word[i];
        whole = whole && t->dim[i] == axes_size(&grid.abc, &grid.word[i]);
    }
    TgValue made = whole ? axes_arrange(p, &grid.abc, &map, (uint32_t)grid.index.rank - 1, grid.index.axis)
                   : in_order(&grid) ? cut_and_shape(p, &grid, x)
                                     : 0;
    if (!made || !same_type(p->g, made, n->out[0]))
        return;
    pass_count(p, "gather-of-grid");
    pass_replace(p, n->out[0], made, "gather-of-grid");
}

/* --- ScatterND ---------------------------------------------------------------------------------------- */

static void scatter(TgPass *p, TgNodeInfo *n)
{
    Grid grid;
    const TgType *t = tg_type_of(p->g, n->in[0]);
    if (!tg_is_tensor(t) || !same_type(p->g, n->in[2], n->out[0]) ||
        tg_attr_string(p->tg, n, "reduction")[0] != 'n' || !read_grid(p, n->in[1], &grid) ||
        t->rank != (int32_t)grid.n || grid.index.rank != t->rank + 1)
        return;
    for (uint32_t i = 0; i < grid.n; i++)
        if (!axes_same(&grid.abc, &grid.word[i], &grid.index.axis[i]) ||
            t->dim[i] != axes_size(&grid.abc, &grid.word[i]))
            return;
    if (pass_allow(p, "scatter-over-all"))
        pass_replace(p, n->out[0], n->in[2], "scatter-over-all");
}

void pass_grids(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        if (!info->n_out || !is_read(p->g, info->out[0]))
            continue;
        if (info->op == TG_GatherND)
            gather(p, info);
        else if (info->op == TG_ScatterND)
            scatter(p, info);
    }
}
