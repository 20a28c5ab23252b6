/* Scatters combine blocks of updates into a copy of the operand, one after the other in the order of the indices, so
 * that repeated indices have one meaning. Every element type combines in itself (integers wrap; 16-bit floats are
 * rounded after each step; NaN wins in max and min), hence the planner need not cast. */
#include "op_scatter.h"

#include "op_array.h"
#include "op_half.h"
#include "op_tuple.h"

typedef enum { COMBINE_NONE, COMBINE_ADD, COMBINE_MUL, COMBINE_MAX, COMBINE_MIN } Combine;

typedef void Combiner(Combine how, void *to, const void *from, int64_t n);

/* z[i] = z[i] combined with x[i]; elements are LOADed as TYPE, sums and products are of WIDE. */
#define COMBINER(name, STORED, TYPE, WIDE, LOAD, STORE)                                                                \
    static void name(Combine how, void *to, const void *from, int64_t n)                                               \
    {                                                                                                                  \
        STORED *z = (STORED *)to;                                                                                      \
        const STORED *x = (const STORED *)from;                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            const TYPE a = LOAD(z[i]), b = LOAD(x[i]);                                                                 \
            switch (how) {                                                                                             \
            case COMBINE_NONE: z[i] = x[i]; break;                                                                     \
            case COMBINE_ADD: z[i] = STORE((WIDE)a + (WIDE)b); break;                                                  \
            case COMBINE_MUL: z[i] = STORE((WIDE)a * (WIDE)b); break;                                                  \
            case COMBINE_MAX: z[i] = a > b || a != a ? z[i] : x[i]; break;                                             \
            case COMBINE_MIN: z[i] = a < b || a != a ? z[i] : x[i]; break;                                             \
            }                                                                                                          \
        }                                                                                                              \
    }
#define SAME(x) (x)
#define AS_I8(x) ((int8_t)(uint8_t)(x))
#define AS_U8(x) ((uint8_t)(x))
#define AS_I16(x) ((int16_t)(uint16_t)(x))
#define AS_U16(x) ((uint16_t)(x))
#define AS_I32(x) ((int32_t)(x))
#define AS_I64(x) ((int64_t)(x))
#define AS_BOOL(x) ((uint8_t)((x) != 0))

COMBINER(combine_f32, float, float, float, SAME, SAME)
COMBINER(combine_f64, double, double, double, SAME, SAME)
COMBINER(combine_f16, uint16_t, float, float, tgk_from_f16, tgk_to_f16)
COMBINER(combine_bf16, uint16_t, float, float, tgk_from_bf16, tgk_to_bf16)
COMBINER(combine_i8, int8_t, int8_t, uint32_t, SAME, AS_I8)
COMBINER(combine_u8, uint8_t, uint8_t, uint32_t, SAME, AS_U8)
COMBINER(combine_i16, int16_t, int16_t, uint32_t, SAME, AS_I16)
COMBINER(combine_u16, uint16_t, uint16_t, uint32_t, SAME, AS_U16)
COMBINER(combine_i32, int32_t, int32_t, uint32_t, SAME, AS_I32)
COMBINER(combine_u32, uint32_t, uint32_t, uint32_t, SAME, SAME)
COMBINER(combine_i64, int64_t, int64_t, uint64_t, SAME, AS_I64)
COMBINER(combine_u64, uint64_t, uint64_t, uint64_t, SAME, SAME)
COMBINER(combine_bool, uint8_t, uint8_t, uint32_t, SAME, AS_BOOL)

static Combiner *combiner_of(tgk_type type)
{
    switch (type) {
    case TGK_F32: return combine_f32;
    case TGK_F64: return combine_f64;
    case TGK_F16: return combine_f16;
    case TGK_BF16: return combine_bf16;
    case TGK_I8: return combine_i8;
    case TGK_U8: return combine_u8;
    case TGK_I16: return combine_i16;
    case TGK_U16: return combine_u16;
    case TGK_I32: return combine_i32;
    case TGK_U32: return combine_u32;
    case TGK_I64: return combine_i64;
    case TGK_U64: return combine_u64;
    case TGK_BOOL: return combine_bool;
    default: return NULL;
    }
}

typedef struct {
    Combine how;
    Combiner *f;
    size_t size;
    char *to;
    const char *from;
} Scatter;

/* Says how to combine, and copies the operand. */
static tgk_status begin(Scatter *s, const char *reduction, const tgk_array *x, const tgk_array *updates, tgk_array *out)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    int how = COMBINE_NONE;
    while (how <= COMBINE_MIN && strcmp(reduction, names[how]) != 0)
        how++;
    if (how > COMBINE_MIN)
        return TGK_BAD_VALUE;
    if (updates->type != x->type)
        return TGK_BAD_SIZE;
    s->how = (Combine)how;
    s->f = combiner_of(x->type);
    s->size = tgk_bytes_of(x->type);
    s->to = (char *)out->at;
    s->from = (const char *)updates->at;
    if (s->how != COMBINE_NONE && !s->f)
        return TGK_BAD_VALUE;
    tgk_status status = tgk_shape(out, x->rank, x->dim);
    if (status == TGK_OK && out->at != x->at && tgk_elements(x) > 0)
        memcpy(out->at, x->at, (size_t)tgk_elements(x) * s->size);
    return status;
}

/* Block i of the updates, of n elements, goes to element `to`. */
static void put_block(const Scatter *s, int64_t to, int64_t i, int64_t n)
{
    char *z = s->to + (size_t)to * s->size;
    const char *x = s->from + (size_t)(i * n) * s->size;
    if (s->how == COMBINE_NONE)
        tgk_put(z, x, (size_t)n * s->size);
    else
        s->f(s->how, z, x, n);
}

tgk_status tgk_ScatterElements(const tgk_ctx *c, tgk_ScatterElements_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *at = &a->in[1], *updates = &a->in[2];
    tgk_places p;
    Scatter s;
    tgk_status status = tgk_places_begin(&p, x, at, a->axis);
    for (int32_t i = 0; status == TGK_OK && i < at->rank; i++)
        if (updates->rank != at->rank || updates->dim[i] != at->dim[i])
            status = TGK_BAD_SIZE;
    if (status == TGK_OK)
        status = begin(&s, a->reduction, x, updates, &a->out[0]);
    if (status != TGK_OK)
        return status;
    const int64_t n = tgk_elements(at);
    for (int64_t i = 0; i < n; i++) {
        int64_t k;
        if (!tgk_index(((const int64_t *)at->at)[i], p.n, &k))
            return TGK_BAD_INDEX;
        put_block(&s, p.offset + k * p.step, i, 1);
        tgk_next(at->rank, at->dim, p.index, &p.offset, p.stride);
    }
    return TGK_OK;
}

tgk_status tgk_ScatterND(const tgk_ctx *c, tgk_ScatterND_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *updates = &a->in[2];
    tgk_tuples t;
    Scatter s;
    tgk_status status = tgk_tuples_begin(&t, x, &a->in[1], 0);
    if (status == TGK_OK && tgk_elements(updates) != t.tuples * t.block)
        status = TGK_BAD_SIZE;
    if (status == TGK_OK)
        status = begin(&s, a->reduction, x, updates, &a->out[0]);
    for (int64_t i = 0; status == TGK_OK && i < t.tuples; i++) {
        int64_t offset;
        if (!tgk_tuple(&t, i, &offset))
            return TGK_BAD_INDEX;
        put_block(&s, offset, i, t.block);
    }
    return status;
}

/* Sizes that fit; where each entry of the batch starts is inside. */
static tgk_status check_rows(const tgk_TensorScatter_args *a, int32_t axis, bool circular)
{
    const tgk_array *x = &a->in[0], *rows = &a->in[1], *start = &a->in[2];
    bool fits = rows->type == x->type && rows->rank == x->rank && axis > 0 && rows->dim[axis] <= x->dim[axis];
    for (int32_t k = 0; fits && k < x->rank; k++)
        fits = k == axis || rows->dim[k] == x->dim[k];
    if (!fits || (start->at && tgk_elements(start) != x->dim[0]))
        return TGK_BAD_SIZE;
    for (int64_t b = 0; start->at && b < x->dim[0]; b++) {
        const int64_t first = ((const int64_t *)start->at)[b], last = x->dim[axis] - (circular ? 1 : rows->dim[axis]);
        if (first < 0 || first > last)
            return TGK_BAD_INDEX;
    }
    return TGK_OK;
}

tgk_status tgk_TensorScatter(const tgk_ctx *c, tgk_TensorScatter_args *a)
{
    (void)c;
    const tgk_array *x = &a->in[0], *rows = &a->in[1], *start = &a->in[2];
    const bool circular = strcmp(a->mode, "circular") == 0;
    Scatter s;
    int32_t axis;
    if (!tgk_axis(a->axis, x->rank, &axis))
        return TGK_BAD_VALUE;
    tgk_status status = check_rows(a, axis, circular);
    if (status == TGK_OK)
        status = begin(&s, "none", x, rows, &a->out[0]);
    if (status != TGK_OK || tgk_elements(rows) == 0)
        return status;
    const int64_t outer = tgk_count(x->dim, 0, axis), inner = tgk_count(x->dim, axis + 1, x->rank);
    const int64_t length = x->dim[axis], n = rows->dim[axis], per_entry = outer / x->dim[0];
    for (int64_t i = 0; i < outer; i++) {
        const int64_t first = start->at ? ((const int64_t *)start->at)[i / per_entry] : 0;
        const int64_t head = first + n > length ? length - first : n; /* the others begin at the front again */
        tgk_put(s.to + (size_t)((i * length + first) * inner) * s.size, s.from + (size_t)(i * n * inner) * s.size,
                (size_t)(head * inner) * s.size);
        tgk_put(s.to + (size_t)(i * length * inner) * s.size, s.from + (size_t)((i * n + head) * inner) * s.size,
                (size_t)((n - head) * inner) * s.size);
    }
    return TGK_OK;
}
