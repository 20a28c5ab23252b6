/* What kernels share: operands as numbers, allocation of results, shapes and broadcasting, threads. */
#include <pthread.h>
#include <string.h>

#include "eval_kernel.h"

/* --- refusals ------------------------------------------------------------------------------------------- */

bool eval_bad_shape(TgEvalCall *c, uint32_t slot, const char *why)
{
    const TgArray *a = eval_in(c, slot);
    if (!a)
        return tg_report(c->tg, TG_E_eval_missing, (unsigned)slot);
    TgText text;
    tg_text_init(&text, tg_scratch(c->tg));
    tg_text_add(&text, "[");
    for (int32_t i = 0; i < a->rank; i++)
        tg_text_format(&text, i ? ",%lld" : "%lld", (long long)a->dim[i]);
    tg_text_add(&text, "]");
    return tg_report(c->tg, TG_E_eval_shape, (unsigned)slot, text.at, why);
}

bool eval_bad_value(TgEvalCall *c, const char *what, int64_t value)
{
    return tg_report(c->tg, TG_E_eval_value, what, (long long)value);
}

bool eval_bad_type(TgEvalCall *c, TgDtype dtype)
{
    return tg_report(c->tg, TG_E_eval_type, tg_dtype_text(dtype));
}

/* --- operands and results ------------------------------------------------------------------------------- */

bool eval_out(TgEvalCall *c, uint32_t i, TgDtype dtype, int32_t rank, const int64_t *dim)
{
    if (rank > TG_EVAL_RANK)
        return tg_report(c->tg, TG_E_eval_rank, (int)rank, (int)TG_EVAL_RANK);
    for (int32_t k = 0; k < rank; k++)
        if (dim[k] < 0)
            return eval_bad_value(c, "a size of the result", dim[k]);
    c->out[i] = tg_array_new(c->tg, c->mode, dtype, rank, dim);
    return eval_spend(c, (double)c->out[i].count);
}

bool eval_out_like(TgEvalCall *c, uint32_t i, const TgArray *a)
{
    return eval_out(c, i, a->dtype, a->rank, a->dim);
}

bool eval_holds(TgEvalCall *c, const char *letters)
{
    for (uint32_t i = 0; letters[i]; i++) {
        const TgArray *a = eval_in(c, i);
        if (!a)
            continue;
        bool real = tg_is_float(a->dtype), integer = eval_carrier(a->dtype) == TG_C_INT;
        bool fits = letters[i] == 'r' ? real : letters[i] == 'i' ? integer : true;
        if (a->kind != TG_TENSOR || !fits)
            return eval_bad_type(c, a->dtype);
    }
    return true;
}

bool eval_int_list(TgEvalCall *c, uint32_t slot, uint32_t max, int64_t *list, uint32_t *n)
{
    const TgArray *a = eval_in(c, slot);
    *n = 0;
    if (!a)
        return true;
    if (a->rank > 1 || a->count > max || eval_carrier(a->dtype) != TG_C_INT)
        return eval_bad_shape(c, slot, "a short list of integers is needed");
    *n = (uint32_t)a->count;
    memcpy(list, a->data, (size_t)a->count * sizeof *list);
    return true;
}

bool eval_axes(TgEvalCall *c, uint32_t slot, int32_t rank, bool *listed, uint32_t *n)
{
    int64_t axes[TG_EVAL_RANK];
    if (!eval_int_list(c, slot, TG_EVAL_RANK, axes, n))
        return false;
    memset(listed, 0, (size_t)rank * sizeof *listed);
    for (uint32_t i = 0; i < *n; i++) {
        int32_t axis = 0;
        if (!eval_axis(c, axes[i], rank, &axis))
            return false;
        if (listed[axis])
            return eval_bad_shape(c, slot, "an axis is listed twice");
        listed[axis] = true;
    }
    return true;
}

bool eval_needs_ints(TgEvalCall *c, uint32_t slot)
{
    const TgArray *a = eval_in(c, slot);
    if (!a || a->kind != TG_TENSOR)
        return tg_report(c->tg, TG_E_eval_missing, (unsigned)slot);
    return eval_carrier(a->dtype) == TG_C_INT || eval_bad_type(c, a->dtype);
}

static bool one(TgEvalCall *c, uint32_t slot, const TgArray *a)
{
    return (a->count == 1 && a->kind == TG_TENSOR && a->dtype != TG_str) ||
           eval_bad_shape(c, slot, "one number is needed");
}

/* An operand of one number; *a: NULL where it is absent. */
static bool one_or_none(TgEvalCall *c, uint32_t slot, const TgArray **a)
{
    *a = eval_in(c, slot);
    return !*a || one(c, slot, *a);
}

bool eval_one_int(TgEvalCall *c, uint32_t slot, int64_t otherwise, int64_t *value)
{
    const TgArray *a;
    *value = otherwise;
    if (!one_or_none(c, slot, &a))
        return false;
    if (a)
        *value = eval_is_real(a) ? tg_truncate(eval_real(c, a, 0)) : eval_ints_of(a)[0];
    return true;
}

bool eval_one_float(TgEvalCall *c, uint32_t slot, double otherwise, double *value)
{
    const TgArray *a;
    *value = otherwise;
    if (!one_or_none(c, slot, &a))
        return false;
    *value = a ? eval_real(c, a, 0) : otherwise;
    return true;
}

bool eval_axis(TgEvalCall *c, int64_t axis, int32_t rank, int32_t *out)
{
    if (axis < -rank || axis >= rank)
        return tg_report(c->tg, TG_E_eval_index, (long long)axis, (long long)-rank, (long long)rank);
    *out = (int32_t)(axis < 0 ? axis + rank : axis);
    return true;
}

bool eval_index(TgEvalCall *c, int64_t index, int64_t size, int64_t *out)
{
    if (index < -size || index >= size)
        return tg_report(c->tg, TG_E_eval_index, (long long)index, (long long)-size, (long long)size);
    *out = index < 0 ? index + size : index;
    return true;
}

/* --- shapes --------------------------------------------------------------------------------------------- */

int64_t eval_count(const int64_t *dim, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++)
        n *= dim[i];
    return n;
}

int64_t eval_strides(int32_t rank, const int64_t *dim, int64_t *stride)
{
    int64_t n = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= dim[i];
    }
    return n;
}

bool eval_broadcast(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b, int32_t *rank,
                    int64_t *out)
{
    int64_t dim[TG_EVAL_RANK];
    int32_t n = rank_a > rank_b ? rank_a : rank_b;
    for (int32_t i = 1; i <= n; i++) { /* from the last one */
        int64_t x = i <= rank_a ? a[rank_a - i] : 1, y = i <= rank_b ? b[rank_b - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        dim[n - i] = x == 1 ? y : x;
    }
    *rank = n;
    memcpy(out, dim, (size_t)n * sizeof *dim);
    return true;
}

void eval_broadcast_strides(const TgArray *a, int32_t rank, int64_t *stride)
{
    int64_t own[TG_EVAL_RANK];
    eval_strides(a->rank, a->dim, own);
    for (int32_t i = 0; i < rank; i++) {
        int32_t k = i - (rank - a->rank);
        stride[i] = k < 0 || a->dim[k] == 1 ? 0 : own[k];
    }
}

bool eval_next(int32_t rank, const int64_t *dim, int64_t *index, uint32_t n_offsets, int64_t *offset,
               const int64_t (*stride)[TG_EVAL_RANK])
{
    for (int32_t i = rank - 1; i >= 0; i--) {
        bool carry = ++index[i] == dim[i];
        int64_t steps = carry ? 1 - dim[i] : 1;
        for (uint32_t k = 0; k < n_offsets; k++)
            offset[k] += steps * stride[k][i];
        if (!carry)
            return true;
        index[i] = 0;
    }
    return false;
}

/* --- threads -------------------------------------------------------------------------------------------- */

enum { MAX_THREADS = 64 };

typedef struct {
    void (*body)(void *user, int64_t from, int64_t to);
    void *user;
    int64_t from, to;
} Piece;

static void *run_piece(void *argument)
{
    Piece *p = argument;
    p->body(p->user, p->from, p->to);
    return NULL;
}

void eval_parallel(const TgEvalCall *c, int64_t n, void (*body)(void *user, int64_t from, int64_t to),
                   void *user)
{
    pthread_t thread[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    Piece piece[MAX_THREADS];
    int64_t pieces = c->threads < MAX_THREADS ? (int64_t)c->threads : MAX_THREADS;
    pieces = pieces < n ? pieces : n;
    for (int64_t i = pieces - 1; i >= 0;
         i--) { /* the first piece is ours; so is one whose thread cannot be had */
        piece[i] = (Piece){body, user, n / pieces * i + n % pieces * i / pieces,
                           n / pieces * (i + 1) + n % pieces * (i + 1) / pieces};
        started[i] = i > 0 && pthread_create(&thread[i], NULL, run_piece, &piece[i]) == 0;
        if (!started[i])
            run_piece(&piece[i]);
    }
    for (int64_t i = 1; i < pieces; i++)
        if (started[i])
            pthread_join(thread[i], NULL);
}
