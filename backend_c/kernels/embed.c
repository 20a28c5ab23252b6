/* See embed.h. A row of the table is a column of a panel: its elements lie a panel's width apart, one in each cache
 * line of the panel. That is slow beside a plain table, and nothing beside the product that reads the whole of it. */
#include "embed.h"

#include "tgk_math.h"

static int64_t position(const tgk_embedding *e, int64_t i)
{
    return e->index[i] < 0 ? e->index[i] + e->cols : e->index[i];
}

static void embed_row(void *arg, int64_t i)
{
    const tgk_embedding *e = (const tgk_embedding *)arg;
    const int64_t col = position(e, i), first = col / e->w.panel * e->w.panel;
    const int64_t width = tgk_panel_width(e->w.panel, e->cols, first);
    const int64_t at = first * e->depth + col - first;
    float *y = e->y + i * e->y_stride;
    for (int64_t k = 0; k < e->depth; k++) {
        if (e->w.type == TGK_F32)
            y[k] = ((const float *)e->w.at)[at + k * width];
        else if (e->w.type == TGK_F16)
            y[k] = tgk_f16_to_f32(((const uint16_t *)e->w.at)[at + k * width]);
        else
            y[k] = tgk_bf16_to_f32(((const uint16_t *)e->w.at)[at + k * width]);
    }
}

tgk_status tgk_embed(const tgk_ctx *c, const tgk_embedding *e)
{
    for (int64_t i = 0; i < e->count; i++)
        if (position(e, i) < 0 || position(e, i) >= e->cols)
            return TGK_BAD_INDEX;
    tgk_for(c, embed_row, (void *)(uintptr_t)e, e->count);
    return TGK_OK;
}
