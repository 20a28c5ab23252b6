/* Tied weights: a table of embeddings, whose rows are looked up, and the matrix of the last product are transposes of
 * each other. The matrix is stored, in the panels of products; TG_STEP_EMBED takes the rows out of it (plan_embed).
 *
 * The model says so with a Transpose of the table, or has both as constants: then their elements are compared, which
 * ends with the first that differs. Only where all of the table is read so, and in 32 bits.
 */
#include <string.h>

#include "passes/planner.h"

/* Every reader of the constant takes rows of it, or its transpose. */
static bool is_embedding(const TgGraph *g, TgValue table)
{
    const TgValueInfo *v = tg_value(g, table);
    bool fits = !v->returned;
    for (uint32_t i = 0; i < v->uses.n && fits; i++) {
        const TgNodeInfo *n = tg_node(g, v->uses.at[i].node);
        fits = n->op == TG_Transpose || (n->op == TG_Gather && tg_attr_int(n, "axis") == 0 && v->uses.at[i].slot == 0);
    }
    return fits;
}

TgValue plan_tied_matrix(Planner *p, TgGraph *g, TgValue b)
{
    const TgTensor *w = tg_const_of(g, b);
    if (w && w->payload == TG_RECIPE && w->recipe->op == TG_Transpose && w->rank == 2)
        tg_map_put(&p->tied, TG_KEY(w->recipe->input[0]), b); /* somebody has taken this step already */
    const TgNodeInfo *t = tg_producer(g, b, TG_Transpose);
    const TgTensor *table = t ? tg_const_of(g, t->in[0]) : NULL;
    uint64_t made;
    if (!table || g != p->g || table->rank != 2 || table->dtype != TG_f32 || !is_embedding(g, t->in[0]))
        return 0;
    uint32_t n;
    const int64_t *perm = tg_attr_ints(t, "perm", &n);
    if (perm && n == 2 && perm[0] == 0)
        return 0;
    if (tg_map_get(&p->tied, TG_KEY(table), &made))
        return (TgValue)made;
    const TgTensor *turned = tg_tensor_recipe(g->arena, TG_Transpose, t->attrs, 1, &table, 0);
    TgValue v = tg_graph_const(g, turned, tg_value(g, t->in[0])->name);
    tg_map_put(&p->tied, TG_KEY(table), v);
    return v;
}

/* --- constants ---------------------------------------------------------------------------------------------------- */

static const TgTensor *stored_matrix(const TgGraph *g, TgValue v)
{
    const TgTensor *t = v ? tg_const_of(g, v) : NULL;
    return t && t->rank == 2 && t->dtype == TG_f32 && t->count && t->payload != TG_RECIPE && t->payload != TG_SPLAT
               ? t
               : NULL;
}

/* b is the transpose of a, bit by bit. In squares, of which each touches few lines of both. */
static bool are_transposes(const TgTensor *a, const TgTensor *b)
{
    enum { SIDE = 32, SIZE = sizeof(float) };
    int64_t rows = a->dim[0], cols = a->dim[1];
    const uint8_t *x = a->bytes, *y = b->bytes;
    if (b->dim[0] != cols || b->dim[1] != rows)
        return false;
    for (int64_t r = 0; r < rows; r += SIDE)
        for (int64_t c = 0; c < cols; c += SIDE)
            for (int64_t i = r; i < rows && i < r + SIDE; i++)
                for (int64_t k = c; k < cols && k < c + SIDE; k++)
                    if (memcmp(x + (i * cols + k) * SIZE, y + (k * rows + i) * SIZE, SIZE) != 0)
                        return false;
    return true;
}

/* The constant matrix of a product that is the transpose of the table; 0: there is none. */
static TgValue matrix_like(const Planner *p, const TgTensor *table)
{
    for (TgNode node = 1; node < p->g->nodes.n; node++) {
        const TgNodeInfo *n = tg_node(p->g, node);
        const TgTensor *matrix = !n->dead && plan_is_linear(p->g, n) ? stored_matrix(p->g, n->in[1]) : NULL;
        if (matrix && are_transposes(table, matrix))
            return n->in[1];
    }
    return 0;
}

void plan_ties(Planner *p)
{
    for (TgNode node = 1; node < p->g->nodes.n; node++) {
        const TgNodeInfo *n = tg_node(p->g, node);
        if (n->dead || n->op != TG_Gather || tg_attr_int(n, "axis") != 0)
            continue;
        const TgTensor *table = stored_matrix(p->g, n->in[0]);
        if (!table || tg_map_get(&p->tied, TG_KEY(table), NULL) || !is_embedding(p->g, n->in[0]))
            continue;
        TgValue matrix = matrix_like(p, table);
        if (matrix)
            tg_map_put(&p->tied, TG_KEY(table), matrix);
    }
}
