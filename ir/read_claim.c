/* What a text says of the type of a result, beside what inference knows of it. */
#include "text.h"

/* Where inference invented a size, or a term over invented ones, the text's word for it stays. */
static const TgType *keep_invented(Tg *tg, const TgType *met, const TgType *claim)
{
    TgDim dim[TG_MAX_RANK];
    if (!tg_is_tensor(met) || claim->kind != TG_TENSOR || claim->rank != met->rank)
        return met;
    for (int32_t i = 0; i < met->rank; i++)
        dim[i] = tg_dim_is_fresh(met->dim[i]) ? claim->dim[i] : met->dim[i];
    return tg_type(tg, met->dtype, met->rank, dim);
}

/* Beyond other words for sizes that nobody named. */
static bool says_more(const TgType *claim, const TgType *known)
{
    if (claim->kind != TG_TENSOR || claim->dtype != known->dtype || claim->rank < 0 ||
        claim->rank != known->rank)
        return claim != known;
    for (int32_t i = 0; i < claim->rank; i++)
        if (claim->dim[i] != known->dim[i] && !tg_dim_is_fresh(claim->dim[i]))
            return true;
    return false;
}

bool tg_read_claim(Tg *tg, TgValueInfo *v, const TgType *claim)
{
    bool agree;
    const TgType *met = tg_type_meet(tg, v->type, claim, &agree);
    if (!agree)
        return tg_report(tg, TG_E_claimed_type, v->name ? v->name : "this value", tg_type_text(tg, v->type),
                         tg_type_text(tg, claim));
    if (met != v->type && !v->declared && says_more(claim, v->type))
        v->declared = claim;
    v->type = keep_invented(tg, met, claim);
    return true;
}
