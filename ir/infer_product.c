/* Inference of products: MatMul and its relatives, Gemm, Einsum. */
#include "infer.h"

#include <string.h>

/* --- MatMul --------------------------------------------------------------------------------------------- */

/* Numpy's rule: vectors get an axis that goes away again, leading axes broadcast. Swaps say which operand
 * comes with its last two axes exchanged. */
static bool product_shape(const TgInfer *f, InfShape a, InfShape b, InfShape *out)
{
    out->rank = -1;
    if (a.rank < 0 || b.rank < 0)
        return true;
    if (a.rank == 0 || b.rank == 0)
        return inf_refuse(f, "a scalar cannot be multiplied as a matrix");
    bool row = a.rank == 1, column = b.rank == 1;
    TgDim inner = a.dim[a.rank - 1], m = row ? NULL : a.dim[a.rank - 2],
          n = column ? NULL : b.dim[b.rank - 1];
    if (!inf_equal(f, inner, column ? b.dim[0] : b.dim[b.rank - 2], "the contraction"))
        return false;
    a.rank = row ? 0 : a.rank - 2;
    b.rank = column ? 0 : b.rank - 2;
    if (!inf_broadcast(f, &a, &b))
        return false;
    *out = a;
    if (!row)
        out->dim[out->rank++] = m;
    if (!column)
        out->dim[out->rank++] = n;
    return true;
}

static void swap_last(InfShape *s)
{
    if (s->rank < 2)
        return;
    TgDim last = s->dim[s->rank - 1];
    s->dim[s->rank - 1] = s->dim[s->rank - 2];
    s->dim[s->rank - 2] = last;
}

/* Operands a and b of the node, product of type dtype. */
static bool multiply(TgInfer *f, uint32_t a, uint32_t b, TgDtype dtype)
{
    InfShape out;
    return product_shape(f, inf_shape(f, a), inf_shape(f, b), &out) && inf_set(f, 0, dtype, &out);
}

bool infer_matmul(TgInfer *f)
{
    if (f->n->op == TG_MatMulInteger)
        return multiply(f, 0, 1, TG_i32);
    if (f->n->op == TG_QLinearMatMul)
        return multiply(f, 0, 3, inf_dtype(f, 7));
    TgDtype dtype = inf_dtype(f, 0) == TG_undefined ? inf_dtype(f, 1) : inf_dtype(f, 0);
    return inf_same_dtype(f, 0, 1) && multiply(f, 0, 1, dtype);
}

bool infer_gemm(TgInfer *f)
{
    InfShape a = inf_shape(f, 0), b = inf_shape(f, 1), c = inf_shape(f, 2);
    InfShape out = {.rank = 2, .dim = {inf_fresh(f), inf_fresh(f)}};
    if (!inf_need_rank(f, 0, 2, 2) || !inf_need_rank(f, 1, 2, 2) || !inf_same_dtype(f, 0, 1))
        return false;
    if (tg_attr_int(f->n, "transA") != 0)
        swap_last(&a);
    if (tg_attr_int(f->n, "transB") != 0)
        swap_last(&b);
    if (a.rank == 2 && b.rank == 2 && !inf_equal(f, a.dim[1], b.dim[0], "the contraction"))
        return false;
    out.dim[0] = a.rank == 2 ? a.dim[0] : out.dim[0];
    out.dim[1] = b.rank == 2 ? b.dim[1] : out.dim[1];
    if (inf_has(f, 2) && !inf_broadcast(f, &c, &out))
        return false;
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* --- Einsum --------------------------------------------------------------------------------------------- */

enum { LETTERS = 52 };

typedef struct {
    const char *at; /* operand's or the result's subscripts */
    size_t n;
} Subscripts;

typedef struct {
    TgDim size[LETTERS]; /* NULL: not seen */
    uint32_t count[LETTERS];
    InfShape dots; /* what "..." stands for */
    bool unknown;  /* some operand has no known rank */
} Sizes;

static int32_t letter(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

static uint32_t count_letters(Subscripts s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += letter(s.at[i]) >= 0;
    return n;
}

static bool bind(const TgInfer *f, Sizes *sizes, int32_t at, TgDim d)
{
    sizes->count[at]++;
    TgDim before = sizes->size[at];
    if (!before || tg_dim_is(before, 1)) {
        sizes->size[at] = d;
        return true;
    }
    return tg_dim_is(d, 1) || inf_equal(f, before, d, "an index of Einsum");
}

/* Walks over one operand's subscripts and its shape together. */
static bool read_operand(const TgInfer *f, Sizes *sizes, Subscripts s, uint32_t i)
{
    InfShape in = inf_shape(f, i), dots = {.rank = 0};
    bool has_dots = memchr(s.at, '.', s.n) != NULL;
    int32_t letters = (int32_t)count_letters(s), k = 0;
    if (in.rank >= 0 && (in.rank < letters || (in.rank > letters && !has_dots)))
        return inf_refuse(f, "the subscripts of Einsum do not fit the rank of an operand");
    sizes->unknown |= in.rank < 0;
    for (size_t c = 0; c < s.n; c++) {
        if (letter(s.at[c]) >= 0 &&
            !bind(f, sizes, letter(s.at[c]), in.rank < 0 ? inf_fresh(f) : in.dim[k++]))
            return false;
        if (s.at[c] != '.' || in.rank < 0)
            continue;
        while (dots.rank < in.rank - letters)
            dots.dim[dots.rank++] = in.dim[k++];
        c += 2;
        if (!inf_broadcast(f, &sizes->dots, &dots))
            return false;
    }
    return true;
}

static bool put_letter(const Sizes *sizes, int32_t at, InfShape *out)
{
    if (at < 0 || !sizes->size[at] || out->rank == TG_MAX_RANK)
        return false;
    out->dim[out->rank++] = sizes->size[at];
    return true;
}

static bool put_dots(const Sizes *sizes, InfShape *out)
{
    for (int32_t k = 0; k < sizes->dots.rank && out->rank < TG_MAX_RANK; k++)
        out->dim[out->rank++] = sizes->dots.dim[k];
    return true;
}

/* Without "->" the result has the dots, then every letter that occurs once, in alphabetical order. */
static bool result_shape(const Sizes *sizes, const char *arrow, InfShape *out)
{
    *out = (InfShape){.rank = 0};
    bool fits = true;
    if (!arrow) {
        fits = put_dots(sizes, out);
        for (int32_t at = 0; at < LETTERS && fits; at++)
            fits = sizes->count[at] != 1 || put_letter(sizes, at, out);
        return fits;
    }
    for (const char *c = arrow + 2; *c && fits; c++) {
        if (c[0] == '.') {
            fits = c[1] == '.' && c[2] == '.' && put_dots(sizes, out);
            c += fits ? 2 : 0;
        } else if (*c != ' ') {
            fits = put_letter(sizes, letter(*c), out);
        }
    }
    return fits;
}

bool infer_einsum(TgInfer *f)
{
    const char *text = tg_attr_string(f->tg, f->n, "equation"), *arrow = strstr(text, "->");
    size_t left = arrow ? (size_t)(arrow - text) : strlen(text);
    Sizes sizes = {.dots = {.rank = 0}};
    InfShape out;
    uint32_t i = 0;
    for (const char *at = text; i < f->n->n_formal && at <= text + left; i++) {
        size_t n = strcspn(at, ",");
        n = n > (size_t)(text + left - at) ? (size_t)(text + left - at) : n;
        if (!read_operand(f, &sizes, (Subscripts){at, n}, i))
            return false;
        at += n + 1;
    }
    if (!result_shape(&sizes, arrow, &out) || i != f->n->n_formal)
        return inf_refuse(f, "the equation of Einsum cannot be understood");
    if (sizes.unknown && memchr(text, '.', strlen(text)))
        out.rank = -1;
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_det(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    if (!inf_need_rank(f, 0, 2, TG_MAX_RANK))
        return false;
    out.rank = out.rank < 0 ? -1 : out.rank - 2;
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* --- com.microsoft -------------------------------------------------------------------------------------- */

/* transBatch moves the first axis in front of the last but one: [a, b, m, k] is read as [b, m, a, k]. */
static void move_batch(InfShape *s)
{
    if (s->rank < 3)
        return;
    TgDim first = s->dim[0];
    memmove(&s->dim[0], &s->dim[1], (size_t)(s->rank - 2) * sizeof s->dim[0]);
    s->dim[s->rank - 2] = first;
}

bool infer_ms_fused_matmul(TgInfer *f)
{
    InfShape a = inf_shape(f, 0), b = inf_shape(f, 1), out;
    if (tg_attr_int(f->n, "transBatchA") != 0)
        move_batch(&a);
    if (tg_attr_int(f->n, "transBatchB") != 0)
        move_batch(&b);
    if (tg_attr_int(f->n, "transA") != 0)
        swap_last(&a);
    if (tg_attr_int(f->n, "transB") != 0)
        swap_last(&b);
    return product_shape(f, a, b, &out) && inf_set(f, 0, inf_dtype(f, 0), &out);
}

bool infer_ms_matmul_nbits(TgInfer *f)
{
    InfShape out = inf_shape(f, 0);
    if (out.rank == 0)
        return inf_refuse(f, "a scalar cannot be multiplied as a matrix");
    if (out.rank > 0) {
        if (!inf_equal(f, out.dim[out.rank - 1], inf_num(f, tg_attr_int(f->n, "K")), "the contraction"))
            return false;
        out.dim[out.rank - 1] = inf_num(f, tg_attr_int(f->n, "N"));
    }
    return inf_set(f, 0, inf_dtype(f, 0), &out);
}

/* The scale of A gives the element type of the result. */
bool infer_ms_matmul_integer_to_float(TgInfer *f)
{
    return multiply(f, 0, 1, inf_dtype(f, 2));
}

bool infer_ms_dynamic_quantize_matmul(TgInfer *f)
{
    return multiply(f, 0, 1, inf_dtype(f, 0));
}
