/* Inference of sequences, optionals and strings: typed as far as the text of the operators goes, and kept. */
#include "infer.h"

static const TgType *sequence_of(const TgInfer *f, const TgType *item)
{
    return tg_type_of_kind(f->tg, TG_SEQUENCE, TG_undefined, item);
}

/* The type of the items of input i; untyped where it is no sequence. */
static const TgType *item_of(const TgInfer *f, uint32_t i)
{
    const TgType *t = inf_type(f, i);
    return t->item ? t->item : tg_untyped(f->tg);
}

/* A type that both fit: what they agree on, the rest unknown. */
static const TgType *common_type(const TgInfer *f, const TgType *a, const TgType *b)
{
    TgDim dim[TG_MAX_RANK];
    if (a == b || b->kind == TG_UNTYPED)
        return a;
    if (a->kind != TG_TENSOR || b->kind != TG_TENSOR)
        return a->kind == TG_UNTYPED ? b : tg_untyped(f->tg);
    TgDtype dtype = a->dtype == b->dtype ? a->dtype : TG_undefined;
    int32_t rank = a->rank == b->rank ? a->rank : -1;
    for (int32_t k = 0; k < rank; k++)
        dim[k] = a->dim[k] == b->dim[k] ? a->dim[k] : inf_fresh(f);
    return tg_type(f->tg, dtype, rank, dim);
}

/* --- sequences ------------------------------------------------------------------------------------------ */

bool infer_sequence_construct(TgInfer *f)
{
    const TgType *item = inf_type(f, 0);
    for (uint32_t i = 1; i < f->n->n_formal; i++)
        item = common_type(f, item, inf_type(f, i));
    inf_set_type(f, 0, sequence_of(f, item));
    return true;
}

bool infer_sequence_empty(TgInfer *f)
{
    int64_t dtype = tg_attr_has(f->n->attrs, "dtype") ? tg_attr_int(f->n, "dtype") : TG_f32;
    bool valid = dtype > TG_undefined && dtype < TG_DTYPE_COUNT;
    inf_set_type(f, 0, sequence_of(f, tg_type(f->tg, valid ? (TgDtype)dtype : TG_undefined, -1, NULL)));
    return true;
}

bool infer_sequence_at(TgInfer *f)
{
    inf_set_type(f, 0, item_of(f, 0));
    return true;
}

bool infer_sequence_insert(TgInfer *f)
{
    inf_set_type(f, 0, sequence_of(f, common_type(f, item_of(f, 0), inf_type(f, 1))));
    return true;
}

bool infer_sequence_erase(TgInfer *f)
{
    return inf_set_same(f, 0, 0);
}

bool infer_sequence_length(TgInfer *f)
{
    return inf_set_dims(f, 0, TG_i64, 0);
}

/* Pieces along one axis; their sizes are kept only where all are the same. */
bool infer_split_to_sequence(TgInfer *f)
{
    InfShape piece = inf_shape(f, 0), whole = {.rank = -1};
    int32_t axis;
    int64_t size;
    if (piece.rank >= 0) {
        if (!inf_axis_attr(f, "axis", piece.rank, &axis))
            return false;
        bool ones = !inf_has(f, 1), even = inf_rank(f, 1) == 0 && inf_int(f, 1, &size) && size > 0;
        TgDim rest;
        even = even && tg_dim_exact_div(f->tg, piece.dim[axis], inf_num(f, size), &rest);
        piece.dim[axis] = ones ? inf_num(f, 1) : even ? inf_num(f, size) : inf_fresh(f);
        if (ones && tg_attr_int(f->n, "keepdims") == 0) {
            for (int32_t k = axis; k + 1 < piece.rank; k++)
                piece.dim[k] = piece.dim[k + 1];
            piece.rank--;
        }
        whole = piece;
    }
    inf_set_type(f, 0, sequence_of(f, tg_type(f->tg, inf_dtype(f, 0), whole.rank, whole.dim)));
    return true;
}

bool infer_concat_from_sequence(TgInfer *f)
{
    const TgType *item = item_of(f, 0);
    bool stacks = tg_attr_int(f->n, "new_axis") != 0;
    int32_t axis;
    InfShape out = {.rank = -1};
    if (item->kind == TG_TENSOR && item->rank >= 0 && item->rank < TG_MAX_RANK) {
        out.rank = item->rank + (stacks ? 1 : 0);
        if (!inf_axis_attr(f, "axis", out.rank, &axis))
            return false;
        for (int32_t k = 0; k < out.rank; k++)
            out.dim[k] = k == axis ? inf_fresh(f) : item->dim[stacks && k > axis ? k - 1 : k];
    }
    return inf_set(f, 0, item->kind == TG_TENSOR ? item->dtype : TG_undefined, &out);
}

/* --- optionals ------------------------------------------------------------------------------------------ */

bool infer_optional(TgInfer *f)
{
    const TgAttr *type = tg_attr_find(f->n->attrs, "type");
    const TgType *item = inf_has(f, 0)                     ? inf_type(f, 0)
                         : type && type->kind == TG_A_TYPE ? type->u.type
                                                           : NULL;
    inf_set_type(f, 0, tg_type_of_kind(f->tg, TG_OPTIONAL, TG_undefined, item ? item : tg_untyped(f->tg)));
    return true;
}

/* A tensor or sequence that is no optional is its own element. */
bool infer_optional_get_element(TgInfer *f)
{
    inf_set_type(f, 0, inf_type(f, 0)->kind == TG_OPTIONAL ? item_of(f, 0) : inf_type(f, 0));
    return true;
}

/* What is absent has none, what is a tensor or a sequence and no optional is one. */
bool infer_optional_has_element(TgInfer *f)
{
    TgKind kind = inf_has(f, 0) ? inf_type(f, 0)->kind : TG_UNTYPED;
    bool known = !inf_has(f, 0) || kind == TG_TENSOR || kind == TG_SEQUENCE;
    TgDim has = inf_num(f, inf_has(f, 0));
    if (!inf_set_dims(f, 0, TG_bool, 0))
        return false;
    if (known)
        inf_set_elements(f, 0, 1, &has);
    return true;
}

/* --- strings -------------------------------------------------------------------------------------------- */

bool infer_string_concat(TgInfer *f)
{
    InfShape out = inf_shape(f, 0), with = inf_shape(f, 1);
    return inf_broadcast(f, &out, &with) && inf_set(f, 0, TG_str, &out);
}

/* Removes stop words: one axis shrinks, of [C] or [1, C]. */
bool infer_string_normalizer(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    if (out.rank > 0 && tg_attr_has(f->n->attrs, "stopwords"))
        out.dim[out.rank - 1] = inf_fresh(f);
    return inf_set(f, 0, TG_str, &out);
}

bool infer_string_split(TgInfer *f)
{
    InfShape out = inf_shape(f, 0), counts = out;
    if (out.rank >= 0 && out.rank < TG_MAX_RANK)
        out.dim[out.rank++] = inf_fresh(f);
    return inf_set(f, 0, TG_str, &out) && inf_set(f, 1, TG_i64, &counts);
}

bool infer_regex_full_match(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), TG_bool));
    return true;
}

/* One output per entry of ngram_indexes: [C] gives [largest index + 1], [N, C] one row of them per N. */
bool infer_tf_idf_vectorizer(TgInfer *f)
{
    InfShape in = inf_shape(f, 0), out = {.rank = in.rank < 0 ? -1 : in.rank >= 2 ? 2 : 1};
    uint32_t n = 0;
    int64_t most = -1;
    const int64_t *index = tg_attr_ints(f->n, "ngram_indexes", &n);
    for (uint32_t i = 0; i < n; i++)
        most = index[i] > most ? index[i] : most;
    if (most == INT64_MAX)
        return inf_refuse(f, "ngram_indexes are too large");
    if (out.rank == 2)
        out.dim[0] = in.dim[0];
    if (out.rank > 0)
        out.dim[out.rank - 1] = inf_num(f, most + 1);
    return inf_set(f, 0, TG_f32, &out);
}
