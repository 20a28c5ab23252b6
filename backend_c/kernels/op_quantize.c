/* QuantizeLinear and DequantizeLinear.
 *
 * Elements are taken in runs of at most CHUNK, along which the scale is either one or goes on element by element; a
 * run is widened to double (exact for every type of at most 32 bits), computed in the number type of the reals, and
 * stored. Tasks: PIECE elements each. Stack: four chunks.
 */
#include "op_quantize.h"

#include <math.h>

#include "op_narrow.h"
#include "op_result.h"

enum { CHUNK = 256, PIECE = 16384 };

typedef struct {
    int64_t size, inner, block, blocks; /* of the axis; elements behind it; elements per scale; scales per axis */
    int blocked, single;
    int64_t count;
    const tgk_array *x, *scale, *zero; /* zero NULL: none */
    tgk_array *y;
    int64_t precision;
    int saturate, f64;
} Quantization;

/* Elements [at, at + count): they share scale number `group`, or begin with it and go on by one (step 1). */
typedef struct {
    int64_t count, group, step;
} Run;

static Run run_at(const Quantization *q, int64_t at)
{
    const int64_t behind = at % q->inner, row = at / q->inner, place = row % q->size;
    if (q->inner == 1 && !q->blocked)
        return (Run){q->size - place, place, 1};
    if (q->inner == 1) {
        const int64_t left = q->block - place % q->block, whole = q->size - place;
        return (Run){left < whole ? left : whole, row / q->size * q->blocks + place / q->block, 0};
    }
    if (!q->blocked)
        return (Run){q->inner - behind, place, 0};
    return (Run){q->inner - behind, (row / q->size * q->blocks + place / q->block) * q->inner + behind, 1};
}

/* Scale and zero point of a run, one per element. */
static void read_groups(const Quantization *q, const Run *r, double *scale, double *zero)
{
    const int64_t n = r->step ? r->count : 1;
    tgk_widen(q->scale->type, q->scale->at, r->group, n, scale);
    if (q->zero)
        tgk_widen(q->zero->type, q->zero->at, r->group, n, zero);
    else
        memset(zero, 0, (size_t)n * sizeof *zero);
    for (int64_t i = n; i < r->count; i++) {
        scale[i] = scale[0];
        zero[i] = zero[0];
    }
}

static void dequantize(const Quantization *q, int64_t at, int64_t n, const double *x, const double *scale,
                       const double *zero)
{
    if (q->y->type == TGK_F64) {
        double *y = (double *)q->y->at + at;
        for (int64_t i = 0; i < n; i++)
            y[i] = (x[i] - zero[i]) * scale[i];
        return;
    }
    float *y = (float *)q->y->at + at;
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] - zero[i]) * (float)scale[i];
}

/* The integer type's nearest number: NaN becomes the least one. */
#define STORE(TYPE) \
    for (int64_t i = 0; i < n; i++) \
    ((TYPE *)y->at)[at + i] = (TYPE)(x[i] > low ? x[i] < high ? x[i] : high : low)

/* x: integral for integer types. */
static void store_narrow(const Quantization *q, int64_t at, int64_t n, const double *x)
{
    const tgk_array *y = q->y;
    const tgk_format f = tgk_format_of(y->type);
    double low, high;
    tgk_limits(y->type, &low, &high);
    switch (y->type) {
    case TGK_U2: case TGK_U4: case TGK_U8: case TGK_BOOL: STORE(uint8_t); return;
    case TGK_I2: case TGK_I4: case TGK_I8: STORE(int8_t); return;
    case TGK_U16: STORE(uint16_t); return;
    case TGK_I16: STORE(int16_t); return;
    case TGK_U32: STORE(uint32_t); return;
    case TGK_I32: STORE(int32_t); return;
    case TGK_F8E8M0:
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)y->at)[at + i] = tgk_e8m0_encode(x[i], q->saturate);
        return;
    default:
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)y->at)[at + i] = (uint8_t)tgk_format_encode(&f, x[i], q->saturate);
    }
}

static void quantize(const Quantization *q, int64_t at, int64_t n, double *x, const double *scale, const double *zero)
{
    const tgk_format f = tgk_format_of((tgk_type)q->precision);
    const int integer = !tgk_is_tiny_float(q->y->type);
    for (int64_t i = 0; i < n; i++)
        x[i] = q->f64 ? x[i] / scale[i] : (double)((float)x[i] / (float)scale[i]);
    for (int64_t i = 0; f.exponent && !q->f64 && i < n; i++)
        x[i] = tgk_format_decode(&f, tgk_format_encode(&f, x[i], 0));
    for (int64_t i = 0; i < n; i++)
        x[i] = (integer ? rint(x[i]) : x[i]) + zero[i];
    store_narrow(q, at, n, x);
}

static void run_piece(void *arg, int64_t task)
{
    const Quantization *q = arg;
    const int64_t end = (task + 1) * PIECE < q->count ? (task + 1) * PIECE : q->count;
    const int back = q->y->type == TGK_F32 || q->y->type == TGK_F64;
    double x[CHUNK], scale[CHUNK], zero[CHUNK];
    Run r;
    for (int64_t at = task * PIECE; at < end; at += r.count) {
        r = q->single ? (Run){end - at, 0, 0} : run_at(q, at);
        r.count = r.count < CHUNK ? r.count : CHUNK;
        r.count = r.count < end - at ? r.count : end - at;
        tgk_widen(q->x->type, q->x->at, at, r.count, x);
        read_groups(q, &r, scale, zero);
        if (back)
            dequantize(q, at, r.count, x, scale, zero);
        else
            quantize(q, at, r.count, x, scale, zero);
    }
}

/* --- the operators ------------------------------------------------------------------------------------------------ */

static tgk_status read_shapes(Quantization *q, tgk_array *in, tgk_array *y, int64_t axis, int64_t block)
{
    const tgk_array *x = &in[0], *scale = &in[1];
    int32_t at;
    q->x = x;
    q->y = y;
    q->scale = scale;
    q->zero = in[2].at ? &in[2] : NULL;
    q->count = tgk_total(x);
    q->single = tgk_total(scale) == 1 && scale->rank < 2;
    if (q->zero && tgk_total(q->zero) != tgk_total(scale))
        return TGK_BAD_SIZE;
    if (q->single)
        return TGK_OK;
    if (!tgk_axis_at(x->rank == 1 ? 0 : axis, x->rank, &at))
        return TGK_BAD_VALUE;
    q->size = x->dim[at];
    q->inner = tgk_size_between(x, at + 1, x->rank);
    if (scale->rank == 1 && scale->dim[0] == q->size)
        return TGK_OK;
    if (scale->rank != x->rank)
        return TGK_BAD_SIZE;
    q->blocked = 1;
    q->blocks = scale->dim[at];
    q->block = block;
    for (int32_t i = 0; i < x->rank; i++)
        if (i != at && scale->dim[i] != x->dim[i])
            return TGK_BAD_SIZE;
    return q->count > 0 && (block < 1 || (q->size - 1) / block >= q->blocks) ? TGK_BAD_VALUE : TGK_OK;
}

/* Can elements of this type be read as doubles, exactly? */
static int is_readable(tgk_type t)
{
    double none;
    return tgk_widen(t, NULL, 0, 0, &none);
}

tgk_status tgk_QuantizeLinear(const tgk_ctx *c, tgk_QuantizeLinear_args *a)
{
    Quantization q = {.precision = a->precision, .saturate = a->saturate != 0};
    double low, high;
    if (!tgk_is_tiny_float(a->out[0].type) && !tgk_limits(a->out[0].type, &low, &high))
        return TGK_BAD_VALUE;
    if (!is_readable(a->in[0].type) || !is_readable(a->in[1].type) || (a->in[2].at && !is_readable(a->in[2].type)))
        return TGK_BAD_VALUE;
    q.f64 = a->in[0].type == TGK_F64 || a->in[1].type == TGK_F64;
    tgk_status s = read_shapes(&q, a->in, &a->out[0], a->axis, a->block_size);
    s = s ? s : tgk_give(&a->out[0], a->in[0].rank, a->in[0].dim);
    if (s == TGK_OK)
        tgk_for(c, run_piece, &q, (q.count + PIECE - 1) / PIECE);
    return s;
}

tgk_status tgk_DequantizeLinear(const tgk_ctx *c, tgk_DequantizeLinear_args *a)
{
    Quantization q = {0};
    if (a->out[0].type != TGK_F32 && a->out[0].type != TGK_F64)
        return TGK_BAD_VALUE;
    if (!is_readable(a->in[0].type) || !is_readable(a->in[1].type) || (a->in[2].at && !is_readable(a->in[2].type)))
        return TGK_BAD_VALUE;
    tgk_status s = read_shapes(&q, a->in, &a->out[0], a->axis, a->block_size);
    s = s ? s : tgk_give(&a->out[0], a->in[0].rank, a->in[0].dim);
    if (s == TGK_OK)
        tgk_for(c, run_piece, &q, (q.count + PIECE - 1) / PIECE);
    return s;
}
