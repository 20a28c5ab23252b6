/* Runs generic operator kernels of the C backend on tensors, as the planner would have them called, and compares.
 *
 * Operands become what the letters of kernels.def ask for; attributes are read by name from the node. Every node runs
 *   - with planned sizes, task after task;
 *   - with unknown sizes and exactly the room that is needed, tasks in reverse, float products by a matmul: the same
 *     bits (products: within the tolerance);
 *   - with one element less of room: TGK_BAD_SIZE;
 *   - without each result that may be unwanted.
 * Buffers are as large as they must be and not larger, so that the sanitizer sees what reaches beyond them. */
#ifndef TESTS_KERNEL_OPS_H
#define TESTS_KERNEL_OPS_H

#include "cases.h"

#include "backend_c/kernels/op_einsum.h"
#include "backend_c/kernels/op_index.h"
#include "backend_c/kernels/op_line.h"
#include "backend_c/kernels/op_make.h"
#include "backend_c/kernels/op_matrix.h"
#include "backend_c/kernels/op_move.h"
#include "backend_c/kernels/op_nms.h"
#include "backend_c/kernels/op_pad.h"
#include "backend_c/kernels/op_reduce.h"
#include "backend_c/kernels/op_resize.h"
#include "backend_c/kernels/op_scatter.h"
#include "backend_c/kernels/op_sort.h"

enum { SLOTS = 32, LIST = 64 };

/* --- calls: the argument structs, filled from a node -------------------------------------------------------------- */

typedef struct {
    tgk_ctx c;
    const TgNodeInfo *n;
    int64_t n_in, n_out;
    tgk_array in[SLOTS], out[SLOTS];
} Call;

static int64_t int_of(const Call *k, const char *name)
{
    const char *kind = kind_of(k->n->op, name, strlen(name));
    bool has_default = strncmp(kind, "i:", 2) == 0;
    return has_default || tg_attr_has(k->n->attrs, name) ? tg_attr_int(k->n, name) : TGK_ABSENT;
}

static int64_t count_of(const Call *k, const char *name)
{
    uint32_t n;
    tg_attr_ints(k->n, name, &n);
    return n;
}

static const int64_t *ints_of(const Call *k, const char *name)
{
    uint32_t n;
    return tg_attr_ints(k->n, name, &n);
}

static const void *element_of(const Call *k, const char *name)
{
    const TgTensor *t = tg_attr_tensor(k->n, name);
    return t ? tg_tensor_materialize(tg_forever(tg), t)->bytes : NULL;
}

#define I(name) .name = int_of(k, #name)
#define F(name) .name = tg_attr_float(k->n, #name)
#define S(name) .name = tg_attr_string(tg, k->n, #name)
#define IS(name) .name = ints_of(k, #name), .n_##name = count_of(k, #name)

#define CALL_AS(op, BEFORE, AFTER, ...)                                                                                \
    static tgk_status call_##op(Call *k)                                                                               \
    {                                                                                                                  \
        tgk_##op##_args a = {__VA_ARGS__};                                                                             \
        BEFORE;                                                                                                        \
        tgk_status status = tgk_##op(&k->c, &a);                                                                       \
        AFTER;                                                                                                         \
        return status;                                                                                                 \
    }
#define OPERANDS memcpy(a.in, k->in, sizeof a.in)
#define RESULTS memcpy(a.out, k->out, sizeof a.out)
#define BOTH OPERANDS, RESULTS
#define RETURN memcpy(k->out, a.out, sizeof a.out)
#define CALL(op, ...) CALL_AS(op, (BOTH), RETURN, __VA_ARGS__)
#define PLAIN(op) CALL_AS(op, (BOTH), RETURN, .in = {{.at = NULL}})

PLAIN(Identity)
CALL(Reshape, I(allowzero))
PLAIN(Squeeze)
PLAIN(Unsqueeze)
CALL(BitCast, I(to))
CALL(Transpose, IS(perm))
PLAIN(Expand)
PLAIN(Tile)
CALL_AS(Concat, RESULTS, RETURN, .in = k->in, .n_in = k->n_in, I(axis))
CALL_AS(Split, OPERANDS, (void)0, .out = k->out, .n_out = k->n_out, I(axis), I(num_outputs))
PLAIN(Slice)
CALL(Trilu, I(upper))
CALL(ReverseSequence, I(batch_axis), I(time_axis))
CALL(Pad, S(mode))
CALL(Shape, I(end), I(start))
CALL(ConstantOfShape, .value = element_of(k, "value"))
CALL(Range, I(stash_type))
CALL(EyeLike, I(dtype), I(k))
CALL(OneHot, I(axis))
CALL(Gather, I(axis))
CALL(GatherElements, I(axis))
CALL(GatherND, I(batch_dims))
CALL(Compress, I(axis))
PLAIN(NonZero)
CALL(ScatterElements, I(axis), S(reduction))
CALL(ScatterND, S(reduction))
CALL(TensorScatter, I(axis), S(mode))
CALL(ReduceSum, I(keepdims), I(noop_with_empty_axes))
CALL(ReduceMean, I(keepdims), I(noop_with_empty_axes))
CALL(ReduceMax, I(keepdims), I(noop_with_empty_axes))
CALL(ReduceMin, I(keepdims), I(noop_with_empty_axes))
CALL(ReduceProd, I(keepdims), I(noop_with_empty_axes))
CALL(ArgMax, I(axis), I(keepdims), I(select_last_index))
CALL(ArgMin, I(axis), I(keepdims), I(select_last_index))
CALL(CumSum, I(exclusive), I(reverse))
CALL(CumProd, I(exclusive), I(reverse))
CALL(TopK, I(axis), I(largest), I(sorted))
CALL(Unique, I(axis), I(sorted))
CALL_AS(Einsum, RESULTS, RETURN, .in = k->in, .n_in = k->n_in, S(equation))
PLAIN(MatMul)
PLAIN(Det)
CALL(Resize, I(antialias), IS(axes), S(coordinate_transformation_mode), F(cubic_coeff_a), I(exclude_outside),
     F(extrapolation_value), S(keep_aspect_ratio_policy), S(mode), S(nearest_mode))
CALL(NonMaxSuppression, I(center_point_box))

typedef struct {
    TgOp op;
    const char *name, *in, *out; /* letters */
    tgk_status (*call)(Call *k);
} Kernel;

static const Kernel kernels[] = {
#define KERNEL(op, file, in, out) {TG_##op, #op, in, out, call_##op},
#include "backend_c/kernels_array.def"
#undef KERNEL
};

enum { KERNELS = sizeof kernels / sizeof *kernels };

static inline const Kernel *kernel_of(TgOp op)
{
    for (size_t i = 0; i < KERNELS; i++)
        if (kernels[i].op == op)
            return &kernels[i];
    return NULL;
}

static inline char letter_of(const char *letters, uint32_t i)
{
    return i < strlen(letters) ? letters[i] : letters[strlen(letters) - 1];
}

/* --- arrays ------------------------------------------------------------------------------------------------------- */

static size_t bytes_of(tgk_type type)
{
    uint32_t bits = tg_dtype_bits((TgDtype)type);
    return bits < 8 ? 1 : bits / 8;
}

static tgk_type type_for(char letter, TgDtype t)
{
    bool real = tg_dtype_class(t) == TG_CLASS_F;
    switch (letter) {
    case 'i': return TGK_I64;
    case 'b': return TGK_BOOL;
    case 'r': return t == TG_f64 ? TGK_F64 : TGK_F32;
    case 'n': return !real ? TGK_I64 : t == TG_f64 ? TGK_F64 : TGK_F32;
    default: return (tgk_type)t;
    }
}

/* Element i as the type stores it: narrow integers one per byte. */
static void unpack_element(const TgTensor *t, size_t i, void *to)
{
    uint32_t bits = tg_dtype_bits(t->dtype);
    if (bits >= 8) {
        memcpy(to, t->bytes + i * (bits / 8), bits / 8);
        return;
    }
    uint32_t per = 8 / bits, code = (uint32_t)t->bytes[i / per] >> i % per * bits & ((1U << bits) - 1);
    if (tg_dtype_class(t->dtype) == TG_CLASS_I && code >> (bits - 1))
        code |= ~0U << bits;
    *(uint8_t *)to = (uint8_t)code;
}

static void convert_element(const TgTensor *t, size_t i, tgk_type type, void *to)
{
    bool real = tg_dtype_class(t->dtype) == TG_CLASS_F;
    if (type == TGK_F32)
        *(float *)to = real ? (float)tg_tensor_float(tg, t, i) : (float)tg_tensor_int(tg, t, i);
    else if (type == TGK_F64)
        *(double *)to = real ? tg_tensor_float(tg, t, i) : (double)tg_tensor_int(tg, t, i);
    else if (type == TGK_I64)
        *(int64_t *)to = real ? (int64_t)tg_tensor_float(tg, t, i) : tg_tensor_int(tg, t, i);
    else
        *(uint8_t *)to = real ? tg_tensor_float(tg, t, i) != 0 : tg_tensor_int(tg, t, i) != 0;
}

static tgk_array blank_array(tgk_type type, int32_t rank, const int64_t *dim)
{
    tgk_array a = {.type = type, .rank = rank, .room = 1};
    for (int32_t i = 0; i < rank; i++)
        a.room *= a.dim[i] = dim[i];
    a.at = malloc((size_t)a.room * bytes_of(type) + (a.room == 0));
    assert_non_null(a.at);
    memset(a.at, 0xa5, (size_t)a.room * bytes_of(type));
    return a;
}

static inline tgk_array array_for(char letter, const TgTensor *source)
{
    const TgTensor *t = tg_tensor_materialize(tg_forever(tg), source);
    tgk_array a = blank_array(type_for(letter, t->dtype), t->rank, t->dim);
    for (size_t i = 0; i < t->count; i++) {
        char *to = (char *)a.at + i * bytes_of(a.type);
        if ((TgDtype)a.type == t->dtype)
            unpack_element(t, i, to);
        else
            convert_element(t, i, a.type, to);
    }
    return a;
}

/* --- comparison --------------------------------------------------------------------------------------------------- */

static bool is_exact(TgOp op)
{
    switch (op) {
    case TG_ReduceSum: case TG_ReduceMean: case TG_ReduceProd: case TG_CumSum: case TG_CumProd: case TG_Einsum:
    case TG_MatMul: case TG_Det: case TG_Resize: case TG_Range: return false;
    default: return true;
    }
}

static double tolerance = 2e-6; /* of float32 and float64 */

static bool is_real(tgk_type t) { return tg_dtype_class((TgDtype)t) == TG_CLASS_F; }

static bool same_number(const tgk_array *got, const tgk_array *want, int64_t i, TgDtype dtype)
{
    if (!is_real(want->type)) { /* a planner casts back: to the bits of the type */
        uint32_t bits = dtype == TG_bool ? 64 : tg_dtype_bits(dtype);
        uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        return ((uint64_t)tg_load_integer((TgDtype)got->type, got->at, (size_t)i) & mask)
            == ((uint64_t)tg_load_integer((TgDtype)want->type, want->at, (size_t)i) & mask);
    }
    double x = tg_load_float((TgDtype)got->type, got->at, (size_t)i);
    double y = tg_load_float((TgDtype)want->type, want->at, (size_t)i);
    double allowed = dtype == TG_bf16 ? 1e-2 : dtype == TG_f16 ? 1e-3 : tolerance;
    return x == y || (x != x && y != y) || fabs(x - y) <= allowed * (1 + fabs(y));
}

/* NULL where they are equal. */
static const char *difference(TgOp op, const tgk_array *got, const tgk_array *want, TgDtype dtype)
{
    static char text[160];
    if (got->type != want->type || got->rank != want->rank
        || memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) != 0)
        return "another shape";
    int64_t count = 1;
    for (int32_t i = 0; i < want->rank; i++)
        count *= want->dim[i];
    size_t size = bytes_of(want->type);
    for (int64_t i = 0; i < count; i++) {
        bool bits = memcmp((char *)got->at + (size_t)i * size, (char *)want->at + (size_t)i * size, size) == 0;
        bool number = tg_dtype_bits((TgDtype)want->type) >= 8 && tg_dtype_class((TgDtype)want->type) != TG_CLASS_C;
        if (bits || (number && (!is_exact(op) || (TgDtype)want->type != dtype || is_real(want->type))
                     && same_number(got, want, i, dtype)))
            continue;
        if (number && is_real(want->type))
            snprintf(text, sizeof text, "element %lld is %.9g, not %.9g", (long long)i,
                     tg_load_float((TgDtype)got->type, got->at, (size_t)i),
                     tg_load_float((TgDtype)want->type, want->at, (size_t)i));
        else
            snprintf(text, sizeof text, "element %lld", (long long)i);
        return text;
    }
    return NULL;
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static void in_reverse(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n)
{
    (void)pool;
    while (n-- > 0)
        task(arg, n);
}

static int64_t matmuls; /* calls of the following */

/* By the definition of tgk_matmul, index by index. */
static void plain_matmul(const tgk_ctx *c, const tgk_matmul *m)
{
    (void)c;
    int64_t batches = 1;
    matmuls++;
    for (int32_t i = 0; i < m->batch_rank; i++)
        batches *= m->batch[i];
    for (int64_t batch = 0; batch < batches; batch++) {
        int64_t a = 0, b = 0, to = 0, rest = batch;
        for (int32_t i = m->batch_rank - 1; i >= 0; i--) {
            a += rest % m->batch[i] * m->a_batch[i];
            b += rest % m->batch[i] * m->b_batch[i];
            to += rest % m->batch[i] * m->c_batch[i];
            rest /= m->batch[i];
        }
        for (int64_t i = 0; i < m->rows; i++)
            for (int64_t j = 0; j < m->cols; j++) {
                double sum = 0;
                for (int64_t k = 0; k < m->depth; k++)
                    sum += (double)m->a[a + i * m->a_row + k * m->a_col]
                         * (double)m->b[b + k * m->b_row + j * m->b_col];
                m->c[to + i * m->c_row + j] = (float)((double)m->alpha * sum);
            }
    }
}

static const tgk_isa plain_isa = {.name = "plain", .matmul = plain_matmul};

typedef enum { WAY_PLANNED, WAY_UNKNOWN, WAY_SHORT, WAY_UNWANTED } Way;

typedef struct {
    const Kernel *kernel;
    const TgNodeInfo *n;
    uint32_t n_in, n_out;
    const TgTensor *const *in, *const *want; /* NULL: absent, unwanted */
    tgk_array operand[SLOTS], expected[SLOTS];
} Job;

/* NULL: as it should be. `unwanted`: this result. */
static const char *run_way(const Job *job, Way way, uint32_t unwanted)
{
    static char text[200];
    Call k = {.n = job->n, .n_in = job->n_in, .n_out = job->n_out};
    const char *why = NULL;
    void *buffer[SLOTS] = {NULL};
    memcpy(k.in, job->operand, sizeof k.in);
    for (uint32_t i = 0; i < job->n_out; i++) {
        if (!job->want[i] || (way == WAY_UNWANTED && i == unwanted))
            continue;
        const tgk_array *want = &job->expected[i];
        int64_t room = want->room;
        if (job->n->op == TG_Unique && i == 0)
            room = job->operand[0].room;
        k.out[i] = blank_array(want->type, 1, &room);
        buffer[i] = k.out[i].at;
        k.out[i].rank = want->rank;
        for (int32_t a = 0; a < want->rank; a++)
            k.out[i].dim[a] = way == WAY_PLANNED ? want->dim[a] : -1;
    }
    if (way == WAY_SHORT)
        k.out[0].room--;
    if (way == WAY_UNKNOWN) {
        k.c.parallel_for = in_reverse;
        k.c.isa = &plain_isa;
    }
    tgk_status status = job->kernel->call(&k);
    if (status != (way == WAY_SHORT ? TGK_BAD_SIZE : TGK_OK)) {
        snprintf(text, sizeof text, "way %d: status %d", (int)way, (int)status);
        why = text;
    }
    for (uint32_t i = 0; i < job->n_out && !why && way != WAY_SHORT; i++) {
        const char *what = NULL;
        if (k.out[i].at)
            what = difference(job->n->op, &k.out[i], &job->expected[i], job->want[i]->dtype);
        if (what) {
            snprintf(text, sizeof text, "way %d, result %u: %s", (int)way, i, what);
            why = text;
        }
    }
    for (uint32_t i = 0; i < job->n_out; i++)
        free(buffer[i]);
    return why;
}

/* Runs a node over tensors in all ways. NULL: it gives what is wanted. */
static inline const char *run_node(const TgNodeInfo *n, uint32_t n_in, const TgTensor *const *in, uint32_t n_out,
                            const TgTensor *const *want)
{
    Job job = {.kernel = kernel_of(n->op), .n = n, .n_in = n_in, .n_out = n_out, .in = in, .want = want};
    for (uint32_t i = 0; i < n_in; i++)
        if (in[i])
            job.operand[i] = array_for(letter_of(job.kernel->in, i), in[i]);
    for (uint32_t i = 0; i < n_out; i++)
        if (want[i])
            job.expected[i] = array_for(letter_of(job.kernel->out, i), want[i]);
    const char *why = run_way(&job, WAY_PLANNED, 0);
    if (!why)
        why = run_way(&job, WAY_UNKNOWN, 0);
    if (!why && want[0] && job.expected[0].rank > 0 && job.expected[0].room > 0 && n->op != TG_MatMul)
        why = run_way(&job, WAY_SHORT, 0);
    for (uint32_t i = n->op == TG_Unique; i < n_out && n_out > 1 && !why; i++)
        why = run_way(&job, WAY_UNWANTED, i);
    for (uint32_t i = 0; i < n_in; i++)
        free(job.operand[i].at);
    for (uint32_t i = 0; i < n_out; i++)
        free(job.expected[i].at);
    return why;
}

#endif
