/* Runs the generic operator kernels of kernels_layer.def on arrays, as the planner would have them called, and compares.
 *
 * Operands become what the letters of the table ask for; attributes are read by name from the node. Every node runs
 *   - with planned sizes, for every instruction set of this machine;
 *   - with unknown sizes and exactly the room that is needed, tasks in reverse: the same bits;
 *   - with one element less of room: TGK_BAD_SIZE;
 *   - without each result that may be unwanted.
 * Buffers are no larger than they must be, so that the sanitizer sees what reaches beyond them. */
#ifndef TESTS_KERNEL_OPS2_H
#define TESTS_KERNEL_OPS2_H

#include "cases.h"

#include "backend_c/kernels/op_conv.h"
#include "backend_c/kernels/op_deform.h"
#include "backend_c/kernels/op_grid_sample.h"
#include "backend_c/kernels/op_integer.h"
#include "backend_c/kernels/op_linear_attention.h"
#include "backend_c/kernels/op_pool.h"
#include "backend_c/kernels/op_quantize.h"
#include "backend_c/kernels/op_random.h"
#include "backend_c/kernels/op_recurrent.h"
#include "backend_c/kernels/op_region.h"
#include "backend_c/kernels/op_signal.h"

enum { SLOTS = 8, LIST = 16 };

/* --- calls: the argument structs, filled from a node -------------------------------------------------------------- */

typedef struct {
    tgk_ctx c;
    const TgNodeInfo *n;
    tgk_array in[SLOTS], out[SLOTS];
    double alpha[LIST], beta[LIST];
    const char *words[LIST];
} Call;

static int64_t int_of(const Call *k, const char *name)
{
    bool has_default = strncmp(kind_of(k->n->op, name, strlen(name)), "i:", 2) == 0;
    return has_default || tg_attr_has(k->n->attrs, name) ? tg_attr_int(k->n, name) : TGK_ABSENT;
}

static int64_t count_of(const Call *k, const char *name)
{
    const TgAttr *a = tg_attr_find(k->n->attrs, name);
    return a ? a->n : 0;
}

static const int64_t *ints_of(const Call *k, const char *name)
{
    uint32_t n;
    return tg_attr_ints(k->n, name, &n);
}

static const double *floats_of(const Call *k, const char *name, double *to)
{
    uint32_t n;
    const float *from = tg_attr_floats(k->n, name, &n);
    assert_true(n <= LIST);
    for (uint32_t i = 0; i < n; i++)
        to[i] = (double)from[i];
    return to;
}

static const char *const *words_of(Call *k, const char *name)
{
    const TgAttr *a = tg_attr_find(k->n->attrs, name);
    for (uint32_t i = 0; a && i < a->n && i < LIST; i++)
        k->words[i] = tg_name_n(tg, (const char *)a->u.strings[i].at, a->u.strings[i].n);
    return k->words;
}

#define I(name) .name = int_of(k, #name)
#define F(name) .name = tg_attr_float(k->n, #name)
#define S(name) .name = tg_attr_string(tg, k->n, #name)
#define IS(name) .name = ints_of(k, #name), .n_##name = count_of(k, #name)
#define WINDOW S(auto_pad), PLAIN_WINDOW
#define PLAIN_WINDOW IS(dilations), IS(kernel_shape), IS(pads), IS(strides)
#define RECURRENT                                                                                                    \
    .activation_alpha = floats_of(k, "activation_alpha", k->alpha),                                                  \
    .n_activation_alpha = count_of(k, "activation_alpha"),                                                           \
    .activation_beta = floats_of(k, "activation_beta", k->beta),                                                     \
    .n_activation_beta = count_of(k, "activation_beta"), .activations = words_of(k, "activations"),                  \
    .n_activations = count_of(k, "activations"), F(clip), S(direction), I(hidden_size), I(layout)

#define CALL_AS(op, OPERANDS, ...)                                                                                   \
    static tgk_status call_##op(Call *k)                                                                             \
    {                                                                                                                \
        tgk_##op##_args a = {__VA_ARGS__};                                                                           \
        OPERANDS;                                                                                                    \
        memcpy(a.out, k->out, sizeof a.out);                                                                         \
        tgk_status status = tgk_##op(&k->c, &a);                                                                     \
        memcpy(k->out, a.out, sizeof a.out);                                                                         \
        return status;                                                                                               \
    }
#define CALL(op, ...) CALL_AS(op, memcpy(a.in, k->in, sizeof a.in), __VA_ARGS__)

CALL(Conv, WINDOW, I(group))
CALL(ConvTranspose, WINDOW, I(group), IS(output_padding), IS(output_shape))
CALL(DeformConv, PLAIN_WINDOW, I(group), I(offset_group))
CALL(Col2Im, IS(dilations), IS(pads), IS(strides))
CALL(AveragePool, WINDOW, I(ceil_mode), I(count_include_pad))
CALL(MaxPool, WINDOW, I(ceil_mode), I(storage_order))
CALL(MaxUnpool, IS(kernel_shape), IS(pads), IS(strides))
CALL(MaxRoiPool, IS(pooled_shape), F(spatial_scale))
CALL(RoiAlign, S(coordinate_transformation_mode), S(mode), I(output_height), I(output_width), I(sampling_ratio),
     F(spatial_scale))
CALL(GridSample, I(align_corners), S(mode), S(padding_mode))
CALL(LSTM, RECURRENT, I(input_forget))
CALL(GRU, RECURRENT, I(linear_before_reset))
CALL(RNN, RECURRENT)
CALL(LinearAttention, I(chunk_size), I(kv_num_heads), I(q_num_heads), F(scale), S(update_rule))
CALL(QuantizeLinear, I(axis), I(block_size), I(output_dtype), I(precision), I(saturate))
CALL(DequantizeLinear, I(axis), I(block_size), I(output_dtype))
CALL(MatMulInteger, .in = {{.at = NULL}})
CALL(DFT, I(inverse), I(onesided))
CALL(STFT, I(onesided))
CALL(MelWeightMatrix, I(output_datatype))
CALL(Bernoulli, I(dtype), F(seed))
CALL(Multinomial, I(dtype), I(sample_size), F(seed))
CALL_AS(RandomNormal, (void)0, I(dtype), F(mean), F(scale), F(seed), IS(shape))
CALL(RandomNormalLike, I(dtype), F(mean), F(scale), F(seed))
CALL_AS(RandomUniform, (void)0, I(dtype), F(high), F(low), F(seed), IS(shape))
CALL(RandomUniformLike, I(dtype), F(high), F(low), F(seed))

typedef struct {
    TgOp op;
    const char *name, *in, *out; /* letters */
    tgk_status (*call)(Call *k);
} Kernel;

static const Kernel kernels[] = {
#define KERNEL(op, file, in, out) {TG_##op, #op, in, out, call_##op},
#include "backend_c/kernels_layer.def"
#undef KERNEL
};

enum { KERNELS = sizeof kernels / sizeof *kernels };

static const Kernel *kernel_of(TgOp op)
{
    for (size_t i = 0; i < KERNELS; i++)
        if (kernels[i].op == op)
            return &kernels[i];
    return NULL;
}

static char letter_of(const char *letters, uint32_t i)
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
    switch (letter) {
    case 'i': return TGK_I64;
    case 'r': return t == TG_f64 ? TGK_F64 : TGK_F32;
    case 'n': return tg_dtype_class(t) != TG_CLASS_F ? TGK_I64 : t == TG_f64 ? TGK_F64 : TGK_F32;
    default: return (tgk_type)t;
    }
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

/* Narrow integers lie one per byte, narrow floats by their bits; dtype.c packs those, so it is asked for one at a
 * time. */
static void put_element(const tgk_array *a, int64_t i, double x, int64_t integer)
{
    const uint32_t bits = tg_dtype_bits((TgDtype)a->type);
    const bool real = tg_dtype_class((TgDtype)a->type) == TG_CLASS_F;
    uint8_t *to = (uint8_t *)a->at + (size_t)i * bytes_of(a->type);
    if (bits < 8 && !real)
        *to = (uint8_t)integer;
    else if (real)
        tg_store_float((TgDtype)a->type, memset(to, 0, bytes_of(a->type)), 0, x);
    else
        tg_store_integer((TgDtype)a->type, to, 0, integer);
}

static double get_element(const tgk_array *a, int64_t i)
{
    const TgClass class = tg_dtype_class((TgDtype)a->type);
    const uint8_t *from = (const uint8_t *)a->at + (size_t)i * bytes_of(a->type);
    if (tg_dtype_bits((TgDtype)a->type) < 8 && class != TG_CLASS_F)
        return class == TG_CLASS_I ? (double)(int8_t)*from : (double)*from;
    return class == TG_CLASS_F ? tg_load_float((TgDtype)a->type, from, 0)
                               : (double)tg_load_integer((TgDtype)a->type, from, 0);
}

/* An array of the evaluator as the letter has it. */
static tgk_array array_for(char letter, TgEvalMode mode, const TgArray *from)
{
    tgk_array a = blank_array(type_for(letter, from->dtype), from->rank, from->dim);
    for (int64_t i = 0; i < from->count; i++) {
        const double x = number(mode, from, i);
        const bool real = tg_dtype_class(from->dtype) == TG_CLASS_F;
        put_element(&a, i, x, real ? (int64_t)x : tg_array_int(from, i));
    }
    return a;
}

/* --- comparison --------------------------------------------------------------------------------------------------- */

/* NULL where they are equal. */
static const char *difference(const tgk_array *got, const tgk_array *want, double tolerance)
{
    static char text[160];
    if (got->type != want->type || got->rank != want->rank
        || memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) != 0)
        return "another shape";
    const bool exact = tg_dtype_class((TgDtype)want->type) != TG_CLASS_F || tg_dtype_bits((TgDtype)want->type) <= 8;
    for (int64_t i = 0; i < want->room; i++) {
        const double x = get_element(got, i), y = get_element(want, i), allowed = exact ? 0 : tolerance * (1 + fabs(y));
        if (x == y || (x != x && y != y) || fabs(x - y) <= allowed)
            continue;
        snprintf(text, sizeof text, "element %lld is %.9g, not %.9g", (long long)i, x, y);
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

/* The instruction sets of this machine; kernels look at the name only. */
static const tgk_isa *isa_of(size_t i)
{
    static const tgk_isa isas[] = {{.name = "scalar"}, {.name = "avx2"}, {.name = "avx512"}};
    if (i == 0)
        return &isas[0];
#if defined __x86_64__
    if (i == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &isas[1];
    if (i == 2 && __builtin_cpu_supports("avx512f"))
        return &isas[2];
#endif
    return NULL;
}

typedef enum { WAY_PLANNED, WAY_UNKNOWN, WAY_SHORT, WAY_UNWANTED } Way;

typedef struct {
    const Kernel *kernel;
    const TgNodeInfo *n;
    uint32_t n_in, n_out;
    tgk_array operand[SLOTS], expected[SLOTS]; /* at NULL: absent, unwanted */
    double tolerance;
} Job;

/* NULL: as it should be. `unwanted`: this result. */
static const char *run_way(const Job *job, Way way, uint32_t unwanted, const tgk_isa *isa)
{
    static char text[256];
    Call k = {.n = job->n, .c = {.isa = isa}};
    void *buffer[SLOTS] = {NULL};
    text[0] = '\0';
    memcpy(k.in, job->operand, sizeof k.in);
    for (uint32_t i = 0; i < job->n_out; i++) {
        const tgk_array *want = &job->expected[i];
        if (!want->at || (way == WAY_UNWANTED && i == unwanted))
            continue;
        k.out[i] = blank_array(want->type, want->rank, want->dim);
        buffer[i] = k.out[i].at;
        for (int32_t a = 0; way != WAY_PLANNED && a < want->rank; a++)
            k.out[i].dim[a] = -1;
        if (way == WAY_PLANNED)
            k.out[i].room = 0; /* whoever planned the sizes need not say it */
    }
    if (way == WAY_SHORT)
        k.out[0].room--;
    if (way == WAY_UNKNOWN)
        k.c.parallel_for = in_reverse;
    tgk_status status = job->kernel->call(&k);
    if (status != (way == WAY_SHORT ? TGK_BAD_SIZE : TGK_OK))
        snprintf(text, sizeof text, "way %d, %s: status %d", (int)way, isa->name, (int)status);
    for (uint32_t i = 0; i < job->n_out && !*text && way != WAY_SHORT; i++) {
        const char *what = k.out[i].at ? difference(&k.out[i], &job->expected[i], job->tolerance) : NULL;
        if (what)
            snprintf(text, sizeof text, "way %d, %s, result %u: %s", (int)way, isa->name, i, what);
    }
    for (uint32_t i = 0; i < job->n_out; i++)
        free(buffer[i]);
    return *text ? text : NULL;
}

/* Runs a node over arrays in all ways. NULL: it gives what is wanted. */
static const char *run_node(const TgNodeInfo *n, TgEvalMode mode, uint32_t n_in, const TgArray *const *in,
                            uint32_t n_out, const TgArray *const *want, double tolerance)
{
    Job job = {.kernel = kernel_of(n->op), .n = n, .n_in = n_in, .n_out = n_out, .tolerance = tolerance};
    const char *why = NULL;
    for (uint32_t i = 0; i < n_in; i++)
        if (in[i])
            job.operand[i] = array_for(letter_of(job.kernel->in, i), mode, in[i]);
    for (uint32_t i = 0; i < n_out; i++)
        if (want[i])
            job.expected[i] = array_for(letter_of(job.kernel->out, i), mode, want[i]);
    for (size_t isa = 0; isa < 3 && !why; isa++)
        if (isa_of(isa))
            why = run_way(&job, WAY_PLANNED, 0, isa_of(isa));
    if (!why)
        why = run_way(&job, WAY_UNKNOWN, 0, isa_of(0));
    if (!why && want[0] && job.expected[0].rank > 0 && job.expected[0].room > 0)
        why = run_way(&job, WAY_SHORT, 0, isa_of(0));
    for (uint32_t i = 0; i < n_out && n_out > 1 && !why; i++)
        why = run_way(&job, WAY_UNWANTED, i, isa_of(0));
    for (uint32_t i = 0; i < n_in; i++)
        free(job.operand[i].at);
    for (uint32_t i = 0; i < n_out; i++)
        free(job.expected[i].at);
    return why;
}

/* What the planner says in words: the type of the scale before it is cast. */
static const TgAttrs *planned_attrs(const TgNodeInfo *n, TgDtype scale)
{
    TgAttrBuild b;
    if (n->op != TG_QuantizeLinear || tg_attr_int(n, "precision") != 0)
        return n->attrs;
    tg_attrs_from(&b, tg, n->attrs);
    tg_attrs_int(&b, "precision", (int64_t)scale);
    return tg_attrs_end(&b, n->op);
}

#endif
