/* MatMulInteger: y = (a - a_zero) (b - b_zero) in int32, as the definition has it (sums wrap).
 *
 * Pairs: operands lose their zero points while they are packed as int16; products of pairs are added in int32
 * (vpmaddwd), where nothing saturates. The u8 x i8 instruction of AVX2 does saturate and is not used.
 *
 * Fours, with AVX512-VNNI: a is read as it lies, as u8 (i8 plus 128); b is packed as i8 (u8 minus 128); the zero
 * points follow suit and are taken off at the end, by sums over rows and columns:
 *
 *     sum (a - za) (b - zb) = sum a b - za sum b - zb sum a + K za zb
 *
 * A few rows are multiplied without packing.
 *
 * Tasks: batch x COLS columns x ROWS rows; each packs its part of b, PIECE of the depth at a time. Stack: that part.
 */
#include "op_integer.h"

#include "op_isa.h"
#include "op_result.h"

enum { COLS = 64, ROWS = 256, PIECE = 256, TILE = 4 };

typedef struct {
    int32_t batch_rank;
    int64_t batch[TGK_RANK], a_batch[TGK_RANK], b_batch[TGK_RANK];     /* strides in matrices; 0: repeated */
    int64_t za_batch[TGK_RANK], zb_batch[TGK_RANK], za_row, zb_col;    /* strides in elements */
    int64_t rows, depth, cols, row_blocks, col_blocks;
    const tgk_array *a, *b, *za, *zb; /* za, zb at NULL: 0 */
    int32_t *y;
} Product;

/* What a task works on. */
typedef struct {
    const uint8_t *a, *b;    /* row 0 of the block, column 0 of the block */
    int32_t *y;
    int64_t rows, cols;
    int32_t za[ROWS], zb[COLS];
} Block;

static int32_t byte_of(const tgk_array *x, int64_t i)
{
    return x->type == TGK_I8 ? ((const int8_t *)x->at)[i] : ((const uint8_t *)x->at)[i];
}

static void find_block(const Product *p, int64_t task, Block *k)
{
    const int64_t row = task % p->row_blocks * ROWS, col = task / p->row_blocks % p->col_blocks * COLS;
    const int64_t batch = task / p->row_blocks / p->col_blocks;
    int64_t a = 0, b = 0, za = row * p->za_row, zb = col * p->zb_col, rest = batch;
    for (int32_t i = p->batch_rank - 1; i >= 0; i--) {
        const int64_t at = rest % p->batch[i];
        a += at * p->a_batch[i];
        b += at * p->b_batch[i];
        za += at * p->za_batch[i];
        zb += at * p->zb_batch[i];
        rest /= p->batch[i];
    }
    k->rows = p->rows - row < ROWS ? p->rows - row : ROWS;
    k->cols = p->cols - col < COLS ? p->cols - col : COLS;
    k->a = (const uint8_t *)p->a->at + (a * p->rows + row) * p->depth;
    k->b = (const uint8_t *)p->b->at + b * p->depth * p->cols + col;
    k->y = p->y + (batch * p->rows + row) * p->cols + col;
    for (int64_t i = 0; i < k->rows; i++)
        k->za[i] = p->za->at ? byte_of(p->za, za + i * p->za_row) : 0;
    for (int64_t i = 0; i < COLS; i++)
        k->zb[i] = p->zb->at && i < k->cols ? byte_of(p->zb, zb + i * p->zb_col) : 0;
}

/* y += sum, of up to TILE rows. Sums wrap: that needs unsigned arithmetic. */
static void add_tile(const Product *p, const Block *k, int64_t row, int64_t rows, const int32_t *sum, int first)
{
    for (int64_t r = 0; r < rows; r++) {
        int32_t *y = k->y + (row + r) * p->cols;
        for (int64_t j = 0; j < k->cols; j++)
            y[j] = (int32_t)((first ? 0 : (uint32_t)y[j]) + (uint32_t)sum[r * COLS + j]);
    }
}

/* --- pairs -------------------------------------------------------------------------------------------------------- */

/* Two rows of b without zero points, side by side. */
static void pair_up(int16_t *to, const uint8_t *x, const uint8_t *y, const int32_t *zero, int64_t n, int is_signed)
{
    if (is_signed)
        for (int64_t j = 0; j < n; j++) {
            to[2 * j] = (int16_t)((int8_t)x[j] - zero[j]);
            to[2 * j + 1] = (int16_t)((int8_t)y[j] - zero[j]);
        }
    else
        for (int64_t j = 0; j < n; j++) {
            to[2 * j] = (int16_t)(x[j] - zero[j]);
            to[2 * j + 1] = (int16_t)(y[j] - zero[j]);
        }
}

/* Rows [d, d + depth) of b without zero points: [depth / 2][COLS][2]; what is missing is 0. */
static void pack_pairs(const Product *p, const Block *k, int64_t d, int64_t depth, int16_t *to)
{
    const int is_signed = p->b->type == TGK_I8;
    const uint8_t *from = k->b + d * p->cols;
    if (k->cols < COLS)
        memset(to, 0, (size_t)(PIECE * COLS) * sizeof *to);
    for (int64_t i = 0; i + 1 < depth; i += 2)
        pair_up(to + i * COLS, from + i * p->cols, from + (i + 1) * p->cols, k->zb, k->cols, is_signed);
    for (int64_t j = 0; depth % 2 != 0 && j < k->cols; j++) {
        const uint8_t x = from[(depth - 1) * p->cols + j];
        to[(depth - 1) * COLS + 2 * j] = (int16_t)((is_signed ? (int8_t)x : x) - k->zb[j]);
        to[(depth - 1) * COLS + 2 * j + 1] = 0;
    }
}

static void pack_rows(const Product *p, const Block *k, int64_t row, int64_t rows, int64_t d, int64_t depth,
                      int16_t *to)
{
    const int is_signed = p->a->type == TGK_I8;
    for (int64_t r = 0; r < rows; r++, to += PIECE) {
        const uint8_t *from = k->a + (row + r) * p->depth + d;
        for (int64_t i = 0; i < depth; i++)
            to[i] = (int16_t)((is_signed ? (int8_t)from[i] : from[i]) - k->za[row + r]);
        to[depth] = 0; /* the second of the last pair */
    }
}

typedef void Tile(int64_t pairs, const int16_t *a, const int16_t *b, int32_t *sum);

/* sum[TILE][COLS] = a b */
static void tile_plain(int64_t pairs, const int16_t *a, const int16_t *b, int32_t *sum)
{
    memset(sum, 0, TILE * COLS * sizeof *sum);
    for (int64_t i = 0; i < pairs; i++, b += 2 * COLS)
        for (int r = 0; r < TILE; r++) {
            const int32_t x0 = a[r * PIECE + 2 * i], x1 = a[r * PIECE + 2 * i + 1];
            for (int j = 0; j < COLS; j++)
                sum[r * COLS + j] += x0 * b[2 * j] + x1 * b[2 * j + 1];
        }
}

#ifdef TGK_OP_X86
#include "op_isa_avx2.h"
static void tile_avx2(int64_t pairs, const int16_t *a, const int16_t *b, int32_t *sum)
{
    for (int64_t j = 0; j < COLS; j += 16) {
        __m256i acc[TILE][2];
        TGK_UNROLL for (int r = 0; r < TILE; r++)
            acc[r][0] = acc[r][1] = _mm256_setzero_si256();
        for (int64_t i = 0; i < pairs; i++) {
            const int16_t *at = b + (i * COLS + j) * 2;
            const __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)at);
            const __m256i b1 = _mm256_loadu_si256((const __m256i *)(const void *)(at + 16));
            TGK_UNROLL for (int r = 0; r < TILE; r++) {
                int32_t pair;
                memcpy(&pair, a + r * PIECE + 2 * i, sizeof pair);
                const __m256i x = _mm256_set1_epi32(pair);
                acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x, b0));
                acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x, b1));
            }
        }
        TGK_UNROLL for (int r = 0; r < TILE; r++) {
            _mm256_storeu_si256((__m256i *)(void *)(sum + r * COLS + j), acc[r][0]);
            _mm256_storeu_si256((__m256i *)(void *)(sum + r * COLS + j + 8), acc[r][1]);
        }
    }
}
#include "op_isa_end.h"
#endif

static void run_pairs(const Product *p, int64_t task, Tile *tile)
{
    Block k;
    int16_t b[PIECE * COLS], a[TILE * PIECE + 2];
    int32_t sum[TILE * COLS];
    find_block(p, task, &k);
    memset(a, 0, sizeof a);
    for (int64_t d = 0; d < p->depth; d += PIECE) {
        const int64_t depth = p->depth - d < PIECE ? p->depth - d : PIECE;
        pack_pairs(p, &k, d, depth, b);
        for (int64_t row = 0; row < k.rows; row += TILE) {
            const int64_t rows = k.rows - row < TILE ? k.rows - row : TILE;
            pack_rows(p, &k, row, rows, d, depth, a);
            tile((depth + 1) / 2, a, b, sum);
            add_tile(p, &k, row, rows, sum, d == 0);
        }
    }
}

static void pairs_plain(void *arg, int64_t task) { run_pairs(arg, task, tile_plain); }

#include "op_isa_plain.h"
#include "op_integer_few.inc"
#include "op_isa_end.h"
#ifdef TGK_OP_X86
#include "op_isa_avx2.h"
#include "op_integer_few.inc"
#include "op_isa_end.h"
#endif

#ifdef TGK_OP_X86
static void pairs_avx2(void *arg, int64_t task) { run_pairs(arg, task, tile_avx2); }

/* --- fours -------------------------------------------------------------------------------------------------------- */

/* Four rows of b, side by side, and added up. */
static void put_four(uint8_t *to, int32_t *sums, const uint8_t *const x[4], int64_t n, uint8_t flip)
{
    for (int64_t j = 0; j < n; j++) {
        to[4 * j] = x[0][j] ^ flip;
        to[4 * j + 1] = x[1][j] ^ flip;
        to[4 * j + 2] = x[2][j] ^ flip;
        to[4 * j + 3] = x[3][j] ^ flip;
    }
    for (int r = 0; r < 4; r++)
        for (int64_t j = 0; j < n; j++)
            sums[j] += (x[r][j] ^ flip ^ 128) - 128;
}

/* Rows [d, d + depth) of b as i8: [depth / 4][COLS][4]; what is missing is 0. Adds up the columns. */
static void pack_fours(const Product *p, const Block *k, int64_t d, int64_t depth, uint8_t *to, int32_t *sums)
{
    const uint8_t flip = p->b->type == TGK_I8 ? 0 : 128;
    uint8_t none[COLS];
    memset(none, flip, sizeof none); /* 0, once flipped */
    if (k->cols < COLS)
        memset(to, 0, PIECE * COLS);
    for (int64_t i = 0; i < depth; i += 4) {
        const uint8_t *row[4];
        for (int64_t r = 0; r < 4; r++)
            row[r] = i + r < depth ? k->b + (d + i + r) * p->cols : none;
        put_four(to + i * COLS, sums, row, k->cols, flip);
    }
}

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vnni")
#endif
/* sum[TILE][COLS] = a b; rows of a are `a_row` bytes apart, `tail` holds the last, incomplete four of each. */
static void tile_fours(int64_t fours, const uint8_t *a, int64_t a_row, uint32_t flip, const uint32_t *tail,
                       int64_t rows, const uint8_t *b, int32_t *sum)
{
    __m512i acc[TILE][4];
    TGK_UNROLL for (int r = 0; r < TILE; r++)
        TGK_UNROLL for (int j = 0; j < 4; j++)
            acc[r][j] = _mm512_setzero_si512();
    for (int64_t i = 0; i < fours + (tail != NULL); i++, b += 4 * COLS) {
        const __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
        const __m512i b2 = _mm512_loadu_si512(b + 128), b3 = _mm512_loadu_si512(b + 192);
        TGK_UNROLL for (int r = 0; r < TILE; r++) {
            uint32_t four = 0;
            if (i == fours)
                four = tail[r];
            else
                memcpy(&four, a + (r < rows ? r : 0) * a_row + 4 * i, sizeof four);
            const __m512i x = _mm512_set1_epi32((int32_t)(four ^ flip));
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], x, b0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], x, b1);
            acc[r][2] = _mm512_dpbusd_epi32(acc[r][2], x, b2);
            acc[r][3] = _mm512_dpbusd_epi32(acc[r][3], x, b3);
        }
    }
    TGK_UNROLL for (int r = 0; r < TILE; r++)
        TGK_UNROLL for (int j = 0; j < 4; j++)
            _mm512_storeu_si512(sum + r * COLS + 16 * j, acc[r][j]);
}
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

/* Takes the zero points off: see the top. */
static void finish_fours(const Product *p, const Block *k, const int32_t *b_sums)
{
    const int32_t a_shift = p->a->type == TGK_I8 ? 128 : 0, b_shift = p->b->type == TGK_I8 ? 0 : -128;
    int some_zb = 0;
    for (int64_t j = 0; j < k->cols; j++)
        some_zb |= k->zb[j] + b_shift != 0;
    for (int64_t r = 0; r < k->rows; r++) {
        const uint8_t *a = k->a + r * p->depth, flip = (uint8_t)a_shift;
        const uint32_t za = (uint32_t)(k->za[r] + a_shift);
        uint32_t a_sum = 0;
        for (int64_t i = 0; some_zb && i < p->depth; i++)
            a_sum += (uint32_t)(a[i] ^ flip);
        a_sum -= (uint32_t)p->depth * za;
        int32_t *y = k->y + r * p->cols;
        for (int64_t j = 0; j < k->cols; j++)
            y[j] = (int32_t)((uint32_t)y[j] - za * (uint32_t)b_sums[j] - (uint32_t)(k->zb[j] + b_shift) * a_sum);
    }
}

static void fours_vnni(void *arg, int64_t task)
{
    const Product *p = arg;
    Block k;
    uint8_t b[PIECE * COLS];
    int32_t sum[TILE * COLS], b_sums[COLS] = {0};
    const uint32_t flip = p->a->type == TGK_I8 ? 0x80808080U : 0;
    find_block(p, task, &k);
    for (int64_t d = 0; d < p->depth; d += PIECE) {
        const int64_t depth = p->depth - d < PIECE ? p->depth - d : PIECE;
        pack_fours(p, &k, d, depth, b, b_sums);
        for (int64_t row = 0; row < k.rows; row += TILE) {
            const int64_t rows = k.rows - row < TILE ? k.rows - row : TILE;
            const uint8_t *a = k.a + row * p->depth + d;
            uint32_t tail[TILE] = {0};
            for (int64_t r = 0; r < rows && depth % 4 != 0; r++)
                memcpy(&tail[r], a + r * p->depth + depth / 4 * 4, (size_t)(depth % 4));
            tile_fours(depth / 4, a, p->depth, flip, depth % 4 ? tail : NULL, rows, b, sum);
            add_tile(p, &k, row, rows, sum, d == 0);
        }
    }
    finish_fours(p, &k, b_sums);
}

static int has_vnni(void) { return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"); }
#endif

/* --- the operator ------------------------------------------------------------------------------------------------- */

/* A matrix operand of shape dim[0..rank) within the batch: strides in matrices. */
static void batch_strides(const Product *p, const tgk_array *x, int64_t *stride)
{
    int64_t step = 1;
    for (int32_t i = 1; i <= p->batch_rank; i++) {
        const int32_t axis = x->rank - 2 - i;
        const int64_t size = axis >= 0 ? x->dim[axis] : 1;
        stride[p->batch_rank - i] = size == 1 ? 0 : step;
        step *= size;
    }
}

static int broadcast_batch(Product *p, const tgk_array *a, const tgk_array *b)
{
    p->batch_rank = a->rank > b->rank ? a->rank - 2 : b->rank - 2;
    p->batch_rank = p->batch_rank > 0 ? p->batch_rank : 0;
    for (int32_t i = 1; i <= p->batch_rank; i++) {
        const int64_t x = a->rank - 2 - i >= 0 ? a->dim[a->rank - 2 - i] : 1;
        const int64_t y = b->rank - 2 - i >= 0 ? b->dim[b->rank - 2 - i] : 1;
        if (x != y && x != 1 && y != 1)
            return 0;
        p->batch[p->batch_rank - i] = x == 1 ? y : x;
    }
    batch_strides(p, a, p->a_batch);
    batch_strides(p, b, p->b_batch);
    return 1;
}

/* Strides of a zero point: one in all, one per row or column (`count` of them, rank 1), or the same by batch entry,
 * with `count` on axis `lines` from the end (2: rows, 1: columns) and 1 on the other. */
static int zero_strides(const Product *p, const tgk_array *z, int64_t count, int32_t lines, int64_t *batch,
                        int64_t *line)
{
    memset(batch, 0, TGK_RANK * sizeof *batch);
    *line = 0;
    if (!z->at || tgk_total(z) == 1)
        return 1;
    if (z->rank == 1) {
        *line = 1;
        return z->dim[0] == count;
    }
    if (z->rank - 2 > p->batch_rank || z->dim[z->rank - (3 - lines)] != 1)
        return 0;
    const int64_t size = z->dim[z->rank - lines];
    if (size != count && size != 1)
        return 0;
    *line = size == 1 ? 0 : 1;
    batch_strides(p, z, batch);
    for (int32_t i = 0; i < p->batch_rank; i++) {
        const int32_t axis = z->rank - 2 - p->batch_rank + i;
        if (axis >= 0 && z->dim[axis] != 1 && z->dim[axis] != p->batch[i])
            return 0;
        batch[i] *= size;
    }
    return 1;
}

static tgk_status give_product(const Product *p, const tgk_array *a, const tgk_array *b, tgk_array *y)
{
    int64_t dim[TGK_RANK];
    int32_t rank = p->batch_rank;
    memcpy(dim, p->batch, sizeof dim);
    if (a->rank > 1)
        dim[rank++] = p->rows;
    if (b->rank > 1)
        dim[rank++] = p->cols;
    return tgk_give(y, rank, dim);
}

static int is_byte(const tgk_array *x) { return !x->at || x->type == TGK_U8 || x->type == TGK_I8; }

typedef void Task(void *arg, int64_t i);

static Task *task_for(const tgk_ctx *c, int64_t rows)
{
#ifdef TGK_OP_X86
    const int width = tgk_width(c);
    if (width != TGK_WIDTH_PLAIN && rows < TILE)
        return few_rows_avx2;
    if (width != TGK_WIDTH_PLAIN)
        return width == TGK_WIDTH_AVX512 && has_vnni() ? fours_vnni : pairs_avx2;
#endif
    (void)c;
    return rows < TILE ? few_rows_plain : pairs_plain;
}

tgk_status tgk_MatMulInteger(const tgk_ctx *c, tgk_MatMulInteger_args *args)
{
    const tgk_array *a = &args->in[0], *b = &args->in[1];
    Product p = {.a = a, .b = b, .za = &args->in[2], .zb = &args->in[3], .y = args->out[0].at};
    if (!is_byte(a) || !is_byte(b) || !is_byte(p.za) || !is_byte(p.zb) || args->out[0].type != TGK_I32)
        return TGK_BAD_VALUE;
    if (a->rank < 1 || b->rank < 1)
        return TGK_BAD_SIZE;
    p.rows = a->rank > 1 ? a->dim[a->rank - 2] : 1;
    p.depth = a->dim[a->rank - 1];
    p.cols = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    if (b->dim[b->rank > 1 ? b->rank - 2 : 0] != p.depth || !broadcast_batch(&p, a, b)
        || !zero_strides(&p, p.za, p.rows, 2, p.za_batch, &p.za_row)
        || !zero_strides(&p, p.zb, p.cols, 1, p.zb_batch, &p.zb_col))
        return TGK_BAD_SIZE;
    const tgk_status s = give_product(&p, a, b, &args->out[0]);
    if (s || !p.y)
        return s;
    int64_t batches = 1;
    for (int32_t i = 0; i < p.batch_rank; i++)
        batches *= p.batch[i];
    if (p.depth == 0)
        memset(p.y, 0, (size_t)(batches * p.rows * p.cols) * sizeof *p.y);
    if (p.depth == 0 || p.rows == 0 || p.cols == 0)
        return TGK_OK;
    p.row_blocks = (p.rows - 1) / ROWS + 1;
    p.col_blocks = (p.cols - 1) / COLS + 1;
    tgk_for(c, task_for(c, p.rows), &p, batches * p.row_blocks * p.col_blocks);
    return TGK_OK;
}
