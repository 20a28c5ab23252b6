/* Inference of normalization, losses, optimizers, quantization and recurrence. */
#include <string.h>

#include "infer.h"

/* --- normalization -------------------------------------------------------------------------------------- */

/* Mean and inverse deviation: one per row, the normalized axes stay as 1. */
bool infer_layer_norm(TgInfer *f)
{
    InfShape row = inf_shape(f, 0);
    int32_t axis = 0;
    inf_set_same(f, 0, 0);
    if (row.rank >= 0 && !inf_axis_attr(f, "axis", row.rank, &axis))
        return false;
    for (int32_t k = axis; k < row.rank; k++)
        row.dim[k] = inf_num(f, 1);
    TgDtype stash = (TgDtype)tg_attr_int(f->n, "stash_type");
    return inf_set(f, 1, stash, &row) && inf_set(f, 2, stash, &row);
}

bool infer_batch_normalization(TgInfer *f)
{
    return inf_set_same(f, 0, 0) && inf_set_same(f, 1, 3) && inf_set_same(f, 2, 4);
}

bool infer_dropout(TgInfer *f)
{
    inf_set_same(f, 0, 0);
    inf_set_type(f, 1, tg_type_with_dtype(f->tg, inf_type(f, 0), TG_bool));
    return true;
}

/* The sum that was normalized is output 3; outputs 1 and 2 are the mean and inverse deviation of each row. */
bool infer_ms_skip_norm(TgInfer *f)
{
    InfShape row = inf_shape(f, 0);
    if (row.rank > 0)
        row.dim[row.rank - 1] = inf_num(f, 1);
    inf_set_same(f, 0, 0);
    inf_set_same(f, 3, 0);
    return inf_set(f, 1, TG_f32, &row) && inf_set(f, 2, TG_f32, &row);
}

bool infer_ms_embed_layer_norm(TgInfer *f)
{
    TgDim batch = inf_dim(f, 0, 0), length = inf_dim(f, 0, 1), hidden = inf_dim(f, 2, 1);
    TgDtype dtype = inf_dtype(f, 2);
    return inf_need_rank(f, 0, 2, 2) && inf_set_dims(f, 0, dtype, 3, batch, length, hidden) &&
           inf_set_dims(f, 1, TG_i32, 1, batch) && inf_set_dims(f, 2, dtype, 3, batch, length, hidden);
}

/* --- losses --------------------------------------------------------------------------------------------- */

bool infer_loss(TgInfer *f)
{
    InfShape out = {.rank = 0}, labels = inf_shape(f, 1);
    bool none = strcmp(tg_attr_string(f->tg, f->n, "reduction"), "none") == 0;
    inf_set_same(f, 1, 0);
    return inf_set(f, 0, inf_dtype(f, 0), none ? &labels : &out);
}

/* Inputs: rate, count, then groups of n tensors: values, gradients, states; outputs: all groups but the
 * gradients. */
bool infer_optimizer(TgInfer *f)
{
    uint32_t in = f->n->n_formal, out = f->n->n_out, n = in > 2 + out ? in - 2 - out : 0;
    for (uint32_t i = 0; i < out && n; i++)
        inf_set_same(f, i, 2 + i + (i < n ? 0 : n));
    return n != 0 || inf_refuse(f, "the tensors of an optimizer come in groups");
}

/* --- quantization --------------------------------------------------------------------------------------- */

/* The attribute where it says something, else the type of that input, else `otherwise`. */
static TgDtype wanted_dtype(const TgInfer *f, uint32_t input, TgDtype otherwise)
{
    int64_t wanted = tg_attr_int(f->n, "output_dtype");
    if (wanted > TG_undefined && wanted < TG_DTYPE_COUNT)
        return (TgDtype)wanted;
    return inf_has(f, input) ? inf_dtype(f, input) : otherwise;
}

bool infer_quantize_linear(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), wanted_dtype(f, 2, TG_u8)));
    return true;
}

bool infer_dequantize_linear(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), wanted_dtype(f, 1, TG_f32)));
    return true;
}

bool infer_dynamic_quantize_linear(TgInfer *f)
{
    inf_set_type(f, 0, tg_type_with_dtype(f->tg, inf_type(f, 0), TG_u8));
    return inf_set_dims(f, 1, TG_f32, 0) && inf_set_dims(f, 2, TG_u8, 0);
}

/* --- recurrence ----------------------------------------------------------------------------------------- */

bool infer_recurrent(TgInfer *f)
{
    bool batch_first = tg_attr_int(f->n, "layout") != 0;
    bool both_ways = strcmp(tg_attr_string(f->tg, f->n, "direction"), "bidirectional") == 0;
    TgDtype dtype = inf_dtype(f, 0);
    if (!inf_need_rank(f, 0, 3, 3) || !inf_need_rank(f, 1, 3, 3) || !inf_need_rank(f, 2, 3, 3))
        return false;
    TgDim ways = inf_num(f, both_ways ? 2 : 1), batch = inf_dim(f, 0, batch_first ? 0 : 1);
    TgDim steps = inf_dim(f, 0, batch_first ? 1 : 0);
    TgDim hidden = inf_rank(f, 2) >= 0 ? inf_dim(f, 2, 2) : inf_num(f, tg_attr_int(f->n, "hidden_size"));
    if (batch_first)
        return inf_set_dims(f, 0, dtype, 4, batch, steps, ways, hidden) &&
               inf_set_dims(f, 1, dtype, 3, batch, ways, hidden) &&
               inf_set_dims(f, 2, dtype, 3, batch, ways, hidden);
    return inf_set_dims(f, 0, dtype, 4, steps, ways, batch, hidden) &&
           inf_set_dims(f, 1, dtype, 3, ways, batch, hidden) &&
           inf_set_dims(f, 2, dtype, 3, ways, batch, hidden);
}
