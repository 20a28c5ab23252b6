/* Packs a matrix into the panels of tgk_panels (tgk.h): for generators and tests, not a part of packages.
 *
 * Rows of the stored matrix may arrive in pieces of any size and in any order; the packed matrix is written in place
 * (a mapped file, say), so that no second copy of a large weight is held. Every element is written once.
 */
#ifndef TGK_PACK_H
#define TGK_PACK_H

#include "tgk.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t type; /* TGK_F32, TGK_F16, TGK_BF16 (rounded to nearest even), TGK_I8 (the source holds whole numbers),
                     TGK_I4 */
    int32_t panel;       /* 16, 32, 48 or 64 */
    int64_t depth, cols; /* of the matrix w in y = x w */
    int transposed;      /* the stored matrix is [cols, depth], not [depth, cols] */
} tgk_packing;

/* The panel width that suits a product of about `rows_hint` rows (0: not known). */
int32_t tgk_best_panel(int64_t rows_hint, int64_t depth, int64_t cols);

/* Bytes of the packed matrix; -1 where an argument is not allowed or the size is no int64_t. */
int64_t tgk_packed_bytes(const tgk_packing *p);

/* Rows [first, first + n) of the stored matrix, row-major without gaps, to their places in the packed matrix. */
void tgk_pack_rows(const tgk_packing *p, const float *rows, int64_t first, int64_t n, void *packed);

#ifdef __cplusplus
}
#endif

#endif
