/* Packs weights; see pack.h. Element k, c of the matrix lies in panel c / panel, at k * width + c % panel, where width
 * is that of the panel: `panel`, and for the last one what is left, rounded up to 16 and filled with 0.
 */
#include "pack.h"

#include <string.h>

int32_t tgk_best_panel(int64_t rows_hint, int64_t depth, int64_t cols)
{
    (void)depth;
    if (cols <= 64)
        return (int32_t)((cols < 1 ? 1 : cols) + 15) / 16 * 16;
    /* Measured on vectors, widths of 32 to 64 are alike; 48 has tiles of 8 rows, AMX works on 32 columns at a time. A
     * narrow last panel wastes little beside 20 full ones. */
    if (rows_hint > 0 && rows_hint <= 8)
        return cols % 48 == 0 || cols >= 1024 ? 48 : 64;
    return cols % 64 && cols % 48 == 0 ? 48 : 64;
}

static int64_t size_of(int32_t type)
{
    switch (type) {
    case TGK_F32: return 4;
    case TGK_F16:
    case TGK_BF16: return 2;
    case TGK_I8:
    case TGK_I4: return 1;
    default: return 0;
    }
}

int64_t tgk_packed_bytes(const tgk_packing *p)
{
    const int64_t size = size_of(p->type);
    if (!size || p->panel < 16 || p->panel > 64 || p->panel % 16 || p->depth < 0 || p->cols < 0 ||
        p->cols > INT64_MAX - 15)
        return -1;
    const int64_t cols = (p->cols + 15) / 16 * 16;
    if (p->type == TGK_I4) {
        const int64_t words = p->depth / 8 + (p->depth % 8 > 0);
        return words && cols > INT64_MAX / 4 / words ? -1 : cols * words * 4;
    }
    return p->depth && cols > INT64_MAX / size / p->depth ? -1 : cols * p->depth * size;
}

static uint16_t bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Rounding is left to the float adder: a magic number brings the last bit kept to the last bit of the sum. */
static uint16_t f16_of(float x)
{
    uint32_t bits, sum;
    memcpy(&bits, &x, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (bits >= 0x477ff000) /* 65520 and more */
        return (uint16_t)(sign | 0x7c00);
    if (bits < 0x38800000) { /* below 2^-14: multiples of 2^-24 */
        float small;
        memcpy(&small, &bits, sizeof small);
        small += 0.5f;
        memcpy(&sum, &small, sizeof sum);
        return (uint16_t)(sign | (sum - 0x3f000000));
    }
    return (uint16_t)(sign | (bits - 0x38000000 + 0xfff + (bits >> 13 & 1)) >> 13);
}

static void put(int32_t type, void *packed, int64_t at, float x)
{
    switch (type) {
    case TGK_F32: ((float *)packed)[at] = x; break;
    case TGK_F16: ((uint16_t *)packed)[at] = f16_of(x); break;
    case TGK_BF16: ((uint16_t *)packed)[at] = bf16_of(x); break;
    default: ((int8_t *)packed)[at] = (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
    }
}

/* Rows and columns that are missing are 0: who writes the last column of a panel writes those behind, who writes the
 * last row of the matrix those below. */
static void put_code(uint8_t *panel, int64_t width, int64_t k, int64_t c, float x)
{
    uint8_t *at = panel + (k / 8 * width + c) * 4 + k % 8 / 2;
    const int shift = (int)(k % 2) * 4, code = (int)(x < -8 ? -8 : x > 7 ? 7 : x) + 8;
    *at = (uint8_t)((*at & (0xf0 >> shift)) | code << shift);
}

static void pack_codes(const tgk_packing *p, int64_t panel, int64_t k0, int64_t k1, int64_t c0, int64_t c1,
                       const float *from, int64_t k_stride, int64_t c_stride, void *packed)
{
    const int64_t start = panel * p->panel, width = tgk_panel_width(p->panel, p->cols, start);
    uint8_t *at = (uint8_t *)packed + start * ((p->depth + 7) / 8) * 4;
    const int64_t last = c1 == p->cols ? start + width : c1, bottom = k1 == p->depth ? (k1 + 7) / 8 * 8 : k1;
    for (int64_t k = k0; k < bottom; k++)
        for (int64_t c = c0; c < last; c++)
            put_code(at, width, k, c - start, k < k1 && c < c1 ? from[(k - k0) * k_stride + (c - c0) * c_stride] : 0);
}

/* n columns from column `first` on, of every depth; source element k, c at from[k * k_stride + c * c_stride]. */
static void pack_panel(const tgk_packing *p, int64_t panel, int64_t k0, int64_t k1, int64_t c0, int64_t c1,
                       const float *from, int64_t k_stride, int64_t c_stride, void *packed)
{
    const int64_t start = panel * p->panel, width = tgk_panel_width(p->panel, p->cols, start);
    const int64_t last = c1 == p->cols ? start + width : c1;
    for (int64_t k = k0; k < k1; k++) {
        const int64_t row = start * p->depth + k * width - start;
        for (int64_t c = c0; c < c1; c++)
            put(p->type, packed, row + c, from[(k - k0) * k_stride + (c - c0) * c_stride]);
        for (int64_t c = c1; c < last; c++)
            put(p->type, packed, row + c, 0);
    }
}

void tgk_pack_rows(const tgk_packing *p, const float *rows, int64_t first, int64_t n, void *packed)
{
    const int64_t begin = p->transposed ? first : 0, end = p->transposed ? first + n : p->cols;
    void (*pack)(const tgk_packing *, int64_t, int64_t, int64_t, int64_t, int64_t, const float *, int64_t,
                 int64_t, void *) = p->type == TGK_I4 ? pack_codes : pack_panel;
    for (int64_t c = begin; c < end;) {
        const int64_t panel = c / p->panel, next = (panel + 1) * p->panel < end ? (panel + 1) * p->panel : end;
        if (p->transposed)
            pack(p, panel, 0, p->depth, c, next, rows + (c - begin) * p->depth, 1, p->depth, packed);
        else
            pack(p, panel, first, first + n, c, next, rows + c, p->cols, 1, packed);
        c = next;
    }
}
