/* What the kernels of a package share: element types, arrays, the context of a call, status.
 *
 * A package copies the kernels that it needs and renames the prefix tgk_ to its own, so that two packages may be linked
 * into one program; what stands between the marks "in NAME.h" is in the interface of a package. No kernel allocates,
 * keeps a global, recurses or prints; a kernel's stack is bounded by TGK_STACK_BYTES. Results do not depend on the
 * number of threads: work is cut into tasks by sizes alone.
 */
#ifndef TGK_H
#define TGK_H

#include <stddef.h>
#include <stdint.h>

enum { TGK_RANK = 8, TGK_STACK_BYTES = 112 * 1024 };

/* What an integer attribute is that has no default and is not given. */
#define TGK_ABSENT INT64_MIN

/* Element types, with ONNX's numbers. bool is one byte, 0 or 1; bf16 and f16 are their bits in uint16_t; floats of 8
 * and 4 bits are their bits in a byte; integers of 4 and 2 bits lie one per byte, as a number (i4 and i2 in an
 * int8_t). */
typedef enum {
    TGK_F32 = 1, TGK_U8 = 2, TGK_I8 = 3, TGK_U16 = 4, TGK_I16 = 5, TGK_I32 = 6, TGK_I64 = 7, TGK_BOOL = 9, TGK_F16 = 10,
    TGK_F64 = 11, TGK_U32 = 12, TGK_U64 = 13, TGK_BF16 = 16, TGK_F8E4M3FN = 17, TGK_F8E4M3FNUZ = 18, TGK_F8E5M2 = 19,
    TGK_F8E5M2FNUZ = 20, TGK_U4 = 21, TGK_I4 = 22, TGK_F4E2M1 = 23, TGK_F8E8M0 = 24, TGK_U2 = 25, TGK_I2 = 26
} tgk_type;

/* in NAME.h: */
typedef enum {
    TGK_OK,
    TGK_BAD_INDEX,  /* an index in the data lies outside */
    TGK_BAD_SIZE,   /* sizes in the data do not fit, or exceed what was planned */
    TGK_BAD_VALUE   /* a value in the data is not allowed */
} tgk_status;

/* end of NAME.h */

/* A contiguous array; outputs whose sizes depend on data: the kernel sets dim, `room` elements are there. */
typedef struct {
    void *at;
    tgk_type type;
    int32_t rank;
    int64_t dim[TGK_RANK];
    int64_t room;
} tgk_array;

/* in NAME.h: */
struct tgk_isa;

/* The context of a call. parallel_for runs task(arg, i) for every i in [0, n), in any order, on any threads, and
 * returns when all are done; NULL: they run one after the other. */
typedef struct tgk_ctx {
    const struct tgk_isa *isa;
    void (*parallel_for)(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n);
    void *pool;
    void *scratch;         /* 64-byte aligned, for this call alone; NULL: none. Products by AMX and by codes of four
                              bits split x into it, see tgk_scratch_bytes and tgk_codes_bytes */
    int64_t scratch_bytes;
} tgk_ctx;

/* end of NAME.h */

/* What a linear product of this size uses; with less (at least 48 KiB) it works in more turns. */
enum { TGK_SCRATCH_BYTES = 5 << 18 }; /* half of an L2 cache or more: rows and depth beyond it take turns */
static inline int64_t tgk_scratch_bytes(int64_t rows, int64_t depth)
{
    const int64_t tiles = (rows / 16 + 1) * (depth / 32 + 1);
    return tiles < TGK_SCRATCH_BYTES / 3072 ? tiles * 3072 : TGK_SCRATCH_BYTES;
}

/* What one row of a product by codes of four bits uses; with less, codes become floats. */
enum { TGK_CODES_BLOCK = 32, TGK_CODES_SIZE = 128 };
static inline int64_t tgk_codes_bytes(int64_t depth)
{
    return (depth + TGK_CODES_BLOCK - 1) / TGK_CODES_BLOCK * TGK_CODES_SIZE;
}

static inline void tgk_for(const tgk_ctx *c, void (*task)(void *arg, int64_t i), void *arg, int64_t n)
{
    if (c->parallel_for && n > 1) {
        c->parallel_for(c->pool, task, arg, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        task(arg, i);
}

/* --- pointwise loops, written by the generator -------------------------------------------------------------------- */

enum { TGK_OPERANDS = 24 };

/* Operands in the order of the loop; stride in elements, innermost axis last. */
typedef struct {
    int32_t rank; /* >= 1; a tile is rows x columns: the last axis, and all others in row-major order */
    int64_t dim[TGK_RANK];
    struct {
        void *at;
        int64_t stride[TGK_RANK];
    } operand[TGK_OPERANDS];
} tgk_loop;

/* Runs a generated loop on rows [row, row + rows) and columns [col, col + cols) of its space. */
typedef void tgk_tile(const tgk_loop *l, int64_t row, int64_t rows, int64_t col, int64_t cols);

/* Element offset of the first element of row `row` of operand k. */
static inline int64_t tgk_row(const tgk_loop *l, int32_t k, int64_t row)
{
    if (l->rank == 2)
        return row * l->operand[k].stride[0];
    int64_t offset = 0;
    for (int32_t a = l->rank - 2; a >= 0; a--) {
        offset += row % l->dim[a] * l->operand[k].stride[a];
        row /= l->dim[a];
    }
    return offset;
}

/* --- products ----------------------------------------------------------------------------------------------------- */

/* Packed weights: the columns are cut into panels of `panel` columns (16, 32, 48 or 64); the last one is as wide as
 * what is left, rounded up to 16. A panel holds `depth` rows of its width, one after the other; missing columns are
 * 0. 64-byte aligned. TGK_I4: eight rows are one row of words of 32 bits, the first in the lowest four bits, each as
 * number + 8; missing ones are 0. */
typedef struct {
    const void *at;
    int32_t type;        /* TGK_F32, TGK_F16, TGK_BF16, TGK_I8, TGK_I4 */
    int32_t panel;
    const void *scale;   /* TGK_I8, TGK_I4: of each group of `group` rows (a multiple of 8; 0: all rows are one group)
                            and column: a matrix in panels of the same width, whose rows are groups, of floats, or of
                            f16; else NULL */
    int64_t group;
    const float *zero;   /* what is taken away from code times scale (zero point times scale): laid out like scale;
                            NULL: 0 */
    int32_t scale_type;  /* TGK_F16, or 0: floats; f16 wants a group */
} tgk_panels;

/* Columns as stored of the panel that starts at column `first`: the last one has what is left, rounded up. */
static inline int64_t tgk_panel_width(int64_t panel, int64_t cols, int64_t first)
{
    return cols - first < panel ? (cols - first + 15) / 16 * 16 : panel;
}

/* y[rows,cols] = x[rows,depth] w (+ bias), then `then` on every finished tile (its space is [rows, cols], and y is
 * among its operands). Rows of x and y lie x_stride and y_stride elements apart. */
typedef struct {
    int64_t rows, depth, cols;
    const float *x;
    int64_t x_stride;
    tgk_panels w;
    const float *bias; /* or NULL */
    float *y;
    int64_t y_stride;
    tgk_tile *then;    /* or NULL */
    const tgk_loop *loop;
} tgk_linear;

/* c = a b for every index of the batch axes; strides in elements, 0 repeats. */
typedef struct {
    int32_t batch_rank; /* up to TGK_RANK - 2 */
    int64_t batch[TGK_RANK];
    int64_t rows, depth, cols;
    const float *a, *b;
    float *c;
    int64_t a_batch[TGK_RANK], b_batch[TGK_RANK], c_batch[TGK_RANK];
    int64_t a_row, a_col, b_row, b_col, c_row; /* columns of c lie side by side */
    float alpha;
} tgk_matmul;

/* --- attention ---------------------------------------------------------------------------------------------------- */

typedef enum { TGK_MASK_NONE, TGK_MASK_BOOL /* 0: forbidden */, TGK_MASK_ADD /* float */ } tgk_mask;

/* y = softmax(scale q k^T, capped, + mask) v per batch entry and head; elements of one head's row lie side by side.
 * Rows of which every key is forbidden are 0. Head h reads key head h / (heads / kv_heads). */
typedef struct {
    int64_t batch, heads, kv_heads, queries, keys, size, v_size;
    const float *q, *k, *v;
    float *y;
    int64_t q_stride[3], k_stride[3], v_stride[3], y_stride[3]; /* batch, head, row */
    tgk_mask mask_kind;
    const void *mask;
    int64_t mask_stride[4];  /* batch, head, query, key; 0 repeats */
    const int64_t *valid;    /* [batch]: keys from valid[b] on are forbidden, and the offset is valid[b] - queries; or
                                NULL */
    float scale, softcap;    /* softcap 0: none */
    int64_t causal;          /* 1: key j is seen by query i only if j <= i + offset */
    int64_t offset;
    int64_t left, right;     /* window: i + offset - left <= j <= i + offset + right; -1: open */
} tgk_attention;

/* --- rows --------------------------------------------------------------------------------------------------------- */

/* Norms and Softmax over rows of `cols` elements that lie side by side. */
typedef struct {
    int64_t rows, cols;
    const float *x;
    int64_t x_stride;
    float *y;
    int64_t y_stride;
    const float *scale, *bias; /* [cols] or NULL */
    float epsilon;
} tgk_rows;

/* y = x rotated: pairs (i, i + size/2), or (2i, 2i + 1) where interleaved, of the first `size` of `width` elements of
 * each row; the others are copied. cos and sin have size/2 elements a row. y may be x. */
typedef struct {
    int64_t batch, heads, rows, width, size;
    const float *x, *cos, *sin;
    float *y;
    int64_t x_stride[3], y_stride[3], table_stride[2]; /* batch, head, row; batch, row */
    int64_t interleaved;
} tgk_rotary;

/* --- what an instruction set gives -------------------------------------------------------------------------------- */

typedef struct tgk_isa {
    const char *name; /* "scalar", "avx2", "avx512", "amx", "neon" */
    void (*linear)(const tgk_ctx *c, const tgk_linear *a);
    void (*matmul)(const tgk_ctx *c, const tgk_matmul *a);
    void (*attention)(const tgk_ctx *c, const tgk_attention *a);
    void (*softmax)(const tgk_ctx *c, const tgk_rows *a);
    void (*log_softmax)(const tgk_ctx *c, const tgk_rows *a);
    void (*layer_norm)(const tgk_ctx *c, const tgk_rows *a);
    void (*rms_norm)(const tgk_ctx *c, const tgk_rows *a);
    void (*rotary)(const tgk_ctx *c, const tgk_rotary *a);
    int streams;      /* what is read in order and once comes fastest without prefetches of ours: on machines of AMD */
    int vnni;         /* AVX-512 that multiplies bytes four at a time */
} tgk_isa;

#endif
