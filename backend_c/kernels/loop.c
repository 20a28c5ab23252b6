/* Cutting a pointwise loop into tasks.
 *
 * The space is rows x columns. Long rows are cut into pieces of PIECE elements (a multiple of every vector length
 * and of a cache line, so that two tasks rarely write one line), short ones are taken together until they make up
 * PIECE elements. The number of threads plays no part, so results do not depend on it (they would not anyway:
 * elements are independent).
 */
#include "loop.h"

enum { PIECE = 16384 };

typedef struct {
    const tgk_loop *l;
    tgk_tile *tile;
    int64_t rows, cols;
    int64_t row_step, col_step; /* of one task */
    int64_t across;             /* tasks side by side */
} tgk_loop_tasks;

static int64_t tgk_loop_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void tgk_loop_task(void *arg, int64_t i)
{
    const tgk_loop_tasks *t = (const tgk_loop_tasks *)arg;
    int64_t row = i / t->across * t->row_step, col = i % t->across * t->col_step;
    t->tile(t->l, row, tgk_loop_least(t->row_step, t->rows - row), col, tgk_loop_least(t->col_step, t->cols - col));
}

void tgk_run_loop(const tgk_ctx *c, tgk_tile *tile, const tgk_loop *l)
{
    tgk_loop_tasks t = {l, tile, 1, l->dim[l->rank - 1], 1, PIECE, 1};
    for (int32_t a = 0; a < l->rank - 1; a++)
        t.rows *= l->dim[a];
    if (t.rows <= 0 || t.cols <= 0)
        return;
    if (t.cols <= PIECE) {
        t.row_step = PIECE / t.cols;
        t.col_step = t.cols;
    }
    t.across = (t.cols + t.col_step - 1) / t.col_step;
    tgk_for(c, tgk_loop_task, &t, (t.rows + t.row_step - 1) / t.row_step * t.across);
}
