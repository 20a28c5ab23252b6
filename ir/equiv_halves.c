/* Tables whose halves are equal: the angles of a rotation, each twice, as two halves or as neighbours.
 *
 * RotaryEmbedding reads one half of such a table where the operators that it replaces read both, so of any tables the
 * two do not agree, and with the true ones the question has the sizes of the model. Any half will do: it becomes an
 * input, from which the table is put together in both graphs. The fact that the halves are equal is read from the
 * elements here; the rest holds for any of them. */
#include "equiv_shrink.h"

typedef enum { NO_HALVES, TWO_HALVES, NEIGHBOURS } Halves;

enum { MOST_READ = 1 << 22 }; /* elements */

static bool rows_have(const TgTensor *t, Halves way)
{
    size_t size = tg_dtype_bits(t->dtype) / 8, columns = (size_t)t->dim[t->rank - 1], row = columns * size;
    for (const uint8_t *at = t->bytes, *end = at + t->count * size; at < end; at += row) {
        if (way == TWO_HALVES && memcmp(at, at + row / 2, row / 2) != 0)
            return false;
        for (size_t i = 0; way == NEIGHBOURS && i < columns; i += 2)
            if (memcmp(at + i * size, at + (i + 1) * size, size) != 0)
                return false;
    }
    return true;
}

static Halves halves_of(const TgTensor *t)
{
    bool fits = (t->payload == TG_MAPPED || t->payload == TG_OWNED) && tg_is_float(t->dtype) &&
                tg_dtype_bits(t->dtype) % 8 == 0 && t->count && t->count <= MOST_READ && t->rank > 0 &&
                t->rank < TG_MAX_RANK && t->dim[t->rank - 1] >= FIXED && t->dim[t->rank - 1] % 2 == 0;
    if (!fits)
        return NO_HALVES;
    return rows_have(t, TWO_HALVES) ? TWO_HALVES : rows_have(t, NEIGHBOURS) ? NEIGHBOURS : NO_HALVES;
}

const TgType *shrink_half(Tg *tg, const TgTensor *t)
{
    int64_t dim[TG_MAX_RANK];
    TgDim small[TG_MAX_RANK];
    if (halves_of(t) == NO_HALVES)
        return NULL;
    memcpy(dim, t->dim, (size_t)t->rank * sizeof *dim);
    dim[t->rank - 1] /= 2;
    for (int32_t i = 0; i < t->rank; i++)
        small[i] = tg_dim(tg, dim[i]);
    return tg_type(tg, t->dtype, t->rank, small);
}

static TgValue one_result(TgGraph *g, TgOp op, const char *attr, int64_t x, TgValue a, TgValue b)
{
    TgValue in[2] = {a, b};
    TgNode n = tg_graph_add(g, op, attr ? tg_attrs(g->tg, op, attr, x) : NULL, 2, in, 1);
    return n ? tg_node(g, n)->out[0] : 0;
}

static TgValue int_list(TgGraph *g, uint32_t n, const int64_t *x)
{
    return tg_graph_const(g, tg_tensor_ints(g->arena, n, x), NULL);
}

TgValue shrink_double(TgGraph *g, const TgTensor *t, TgValue half)
{
    int64_t last = t->rank;
    if (halves_of(t) == TWO_HALVES)
        return one_result(g, TG_Concat, "axis=i", last - 1, half, half);
    TgValue column = one_result(g, TG_Unsqueeze, NULL, 0, half, int_list(g, 1, &last));
    TgValue pairs = column ? one_result(g, TG_Concat, "axis=i", last, column, column) : 0;
    return pairs ? one_result(g, TG_Reshape, NULL, 0, pairs, int_list(g, (uint32_t)t->rank, t->dim)) : 0;
}
