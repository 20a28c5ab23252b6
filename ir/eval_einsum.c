/* Einsum: contractions named by letters.
 *
 * Operands are combined from left to right. Two of them are brought to [batch, rows, sum] and [batch, sum,
 * columns] (diagonals of repeated letters taken, letters that nobody else needs summed out), and then the
 * product of matrices gives [batch, rows, columns]; the last step reads that in the order of the result's
 * letters. An ellipsis stands for as many letters as needed, the same for all operands, aligned from the
 * right.
 */
#include <string.h>

#include "eval_kernel.h"
#include "eval_matmul.h"

enum {
    LABELS = 64,  /* 26 lower case, 26 upper case, then the ellipsis' */
    ELLIPSIS = 52 /* its first (leftmost of at most 12) label */
};

/* A term of the equation: one label per axis. */
typedef struct {
    int32_t n;
    uint8_t label[TG_EVAL_RANK];
} Term;

/* An array with named axes. */
typedef struct {
    TgArray array;
    Term term;
} Named;

typedef struct {
    TgEvalCall *c;
    int64_t size[LABELS];   /* 0 .. : of each label; -1: not seen */
    uint32_t count[LABELS]; /* how often the inputs mention it */
    int32_t ellipsis;       /* its length */
} Einsum;

#define G(name)   name##_int
#define NUM       uint64_t
#define ADD(a, b) ((a) + (b))
#define FROM(x)   ((NUM)(x))
#include "eval_einsum.inc"
#undef G
#undef NUM
#undef ADD
#undef FROM

#define TG_FIELD_TOO
#define TG_TEMPLATE "eval_einsum.inc"
#include "eval_num.h"

/* --- the equation --------------------------------------------------------------------------------------- */

static bool bad_equation(Einsum *e, const char *at)
{
    return eval_bad_value(e->c, "the place of what is wrong in the equation",
                          at - tg_attr_string(e->c->tg, e->c->n, "equation"));
}

static bool push(Einsum *e, Term *t, uint8_t label, const char *at)
{
    if (t->n == TG_EVAL_RANK)
        return bad_equation(e, at);
    t->label[t->n++] = label;
    return true;
}

/* Reads one term, up to ',' or '-' or the end; an ellipsis has `dots` labels. */
static bool read_term(Einsum *e, const char **at, int32_t dots, Term *t)
{
    t->n = 0;
    for (; **at && **at != ',' && **at != '-'; (*at)++) {
        char ch = **at;
        if (ch == ' ')
            continue;
        if (ch >= 'a' && ch <= 'z') {
            if (!push(e, t, (uint8_t)(ch - 'a'), *at))
                return false;
        } else if (ch >= 'A' && ch <= 'Z') {
            if (!push(e, t, (uint8_t)(ch - 'A' + 26), *at))
                return false;
        } else if (ch == '.' && (*at)[1] == '.' && (*at)[2] == '.') {
            for (int32_t i = 0; i < dots; i++)
                if (!push(e, t, (uint8_t)(LABELS - dots + i), *at))
                    return false;
            *at += 2;
        } else {
            return bad_equation(e, *at);
        }
    }
    return true;
}

/* Axes that the ellipsis of the term at `at` stands for in an array of rank `rank`; -1: it has none. */
static int32_t dots_in(const char *at, int32_t rank)
{
    int32_t letters = 0;
    bool dots = false;
    for (; *at && *at != ',' && *at != '-'; at++) {
        dots |= *at == '.';
        letters += *at != '.' && *at != ' ';
    }
    return dots ? (rank > letters ? rank - letters : 0) : -1;
}

static bool bind_sizes(Einsum *e, uint32_t slot, const Term *t)
{
    const TgArray *x = e->c->in[slot];
    if (t->n != x->rank)
        return eval_bad_shape(e->c, slot, "its rank is not the number of its letters");
    for (int32_t i = 0; i < t->n; i++) {
        int64_t *size = &e->size[t->label[i]];
        if (*size >= 0 && *size != x->dim[i] && *size != 1 && x->dim[i] != 1)
            return eval_bad_shape(e->c, slot, "a letter has two sizes");
        *size = *size <= 1 ? (*size < 0 || x->dim[i] != 1 ? x->dim[i] : *size) : *size;
    }
    return true;
}

/* Without "->": the ellipsis, then the letters that occur once, in alphabetical order (upper case first). */
static bool implicit_output(Einsum *e, Term *out)
{
    out->n = 0;
    for (int32_t i = 0; i < e->ellipsis; i++)
        if (!push(e, out, (uint8_t)(LABELS - e->ellipsis + i), ""))
            return false;
    for (uint8_t i = 0; i < ELLIPSIS; i++) {
        uint8_t label = (uint8_t)((i + 26) % ELLIPSIS);
        if (e->count[label] == 1 && !push(e, out, label, ""))
            return false;
    }
    return true;
}

static bool parse(Einsum *e, Named *operand, Term *out)
{
    const char *start = tg_attr_string(e->c->tg, e->c->n, "equation"), *at = start;
    for (uint32_t i = 0; i < e->c->n->n_in; i++, at += *at == ',') {
        int32_t dots = dots_in(at, e->c->in[i]->rank);
        e->ellipsis = dots > e->ellipsis ? dots : e->ellipsis;
        if (dots > LABELS - ELLIPSIS || !read_term(e, &at, dots < 0 ? 0 : dots, &operand[i].term) ||
            !bind_sizes(e, i, &operand[i].term))
            return dots > LABELS - ELLIPSIS ? bad_equation(e, at) : false;
        if (i + 1 < e->c->n->n_in ? *at != ',' : *at == ',')
            return bad_equation(e, at);
        for (int32_t k = 0; k < operand[i].term.n; k++)
            e->count[operand[i].term.label[k]]++;
    }
    if (!*at)
        return implicit_output(e, out);
    if (at[1] != '>')
        return bad_equation(e, at);
    at += 2;
    if (!read_term(e, &at, e->ellipsis, out))
        return false;
    for (int32_t i = 0; i < out->n; i++)
        if (e->size[out->label[i]] < 0)
            return bad_equation(e, at);
    return *at ? bad_equation(e, at) : true;
}

/* All labels together fit into one term, so that no step can run out of axes. */
static bool few_labels(Einsum *e)
{
    int32_t n = 0;
    for (int32_t i = 0; i < LABELS; i++)
        n += e->size[i] >= 0;
    return n <= TG_EVAL_RANK || tg_report(e->c->tg, TG_E_eval_rank, (int)n, (int)TG_EVAL_RANK);
}

/* --- steps ---------------------------------------------------------------------------------------------- */

static bool has(const Term *t, uint8_t label)
{
    for (int32_t i = 0; i < t->n; i++)
        if (t->label[i] == label)
            return true;
    return false;
}

/* Stride along `label` in x: the sum over its axes of that label; an axis of size 1 repeats. */
static int64_t stride_along(const Named *x, uint8_t label, const int64_t *own)
{
    int64_t stride = 0;
    for (int32_t i = 0; i < x->term.n; i++)
        if (x->term.label[i] == label && x->array.dim[i] != 1)
            stride += own[i];
    return stride;
}

/* x in the order of `kept` (labels that x lacks have size 1 there), its other labels summed out, into `to`.
 */
static void take(Einsum *e, const Named *x, const Term *kept, void *to)
{
    int64_t own[TG_EVAL_RANK], dim[TG_EVAL_RANK], stride[1][TG_EVAL_RANK];
    Term all = *kept;
    for (int32_t i = 0; i < x->term.n; i++)
        if (!has(&all, x->term.label[i]))
            all.label[all.n++] = x->term.label[i];
    eval_strides(x->array.rank, x->array.dim, own);
    for (int32_t i = 0; i < all.n; i++) {
        stride[0][i] = stride_along(x, all.label[i], own);
        dim[i] = e->size[all.label[i]];
    }
    const int64_t(*strides)[TG_EVAL_RANK] = (const int64_t(*)[TG_EVAL_RANK])stride;
    if (!eval_is_real(&x->array))
        sum_out_int(x->array.data, to, kept->n, all.n, dim, strides);
    else
        TG_BY_ANY_NUM(e->c, sum_out)(x->array.data, to, kept->n, all.n, dim, strides);
}

static int64_t size_of_labels(const Einsum *e, const Term *t, int32_t from, int32_t to)
{
    size_t n = 1;
    for (int32_t i = from; i < to; i++)
        n = tg_product(e->c->tg, n, (size_t)e->size[t->label[i]]);
    return (int64_t)n;
}

static void add(Term *t, uint8_t label)
{
    if (!has(t, label))
        t->label[t->n++] = label; /* few_labels: there is room */
}

static TgArray array_for(Einsum *e, const Term *t, TgDtype dtype)
{
    int64_t dim[TG_EVAL_RANK];
    for (int32_t i = 0; i < t->n; i++)
        dim[i] = e->size[t->label[i]];
    return tg_array_new(e->c->tg, e->c->mode, dtype, t->n, dim);
}

static const int64_t *every(Einsum *e, int64_t n, int64_t step)
{
    int64_t *at = TG_NEW_N(tg_scratch(e->c->tg), int64_t, n + 1);
    for (int64_t i = 0; i < n; i++)
        at[i] = i * step;
    return at;
}

/* The labels of x that `other` has (want) or lacks, and that are needed later (later) or not, behind those
 * of `to`. */
static void gather_labels(const Term *x, const Term *other, bool want, const Term *later, bool needed,
                          Term *to)
{
    for (int32_t i = 0; i < x->n; i++)
        if (has(other, x->label[i]) == want && has(later, x->label[i]) == needed)
            add(to, x->label[i]);
}

/* a = a b, with the labels that `later` needs. */
static bool multiply(Einsum *e, Named *a, const Named *b, const Term *later)
{
    Term left = {0}, right, result;
    gather_labels(&a->term, &b->term, true, later, true, &left); /* batch */
    int32_t batch = left.n;
    right = left;
    gather_labels(&a->term, &b->term, false, later, true, &left); /* rows */
    int32_t rows = left.n;
    result = left;
    gather_labels(&a->term, &b->term, true, later, false, &left); /* sum */
    gather_labels(&a->term, &b->term, true, later, false, &right);
    int32_t sum = right.n;
    gather_labels(&b->term, &a->term, false, later, true, &right); /* columns */
    gather_labels(&b->term, &a->term, false, later, true, &result);
    int64_t pairs = size_of_labels(e, &left, 0, batch), m = size_of_labels(e, &left, batch, rows);
    int64_t k = size_of_labels(e, &left, rows, left.n), n = size_of_labels(e, &right, sum, right.n);
    TgDtype dtype = a->array.dtype;
    TgArray x = array_for(e, &left, dtype), y = array_for(e, &right, dtype), z = array_for(e, &result, dtype);
    take(e, a, &left, x.data);
    take(e, b, &right, y.data);
    bool ok = eval_products(e->c, dtype, pairs, m, n, k, x.data, every(e, pairs, m * k), y.data,
                            every(e, pairs, k * n), z.data);
    tg_array_drop(e->c->tg, &x);
    tg_array_drop(e->c->tg, &y);
    tg_array_drop(e->c->tg, &a->array);
    *a = (Named){z, result};
    return ok;
}

bool eval_einsum(TgEvalCall *c)
{
    Einsum e = {.c = c};
    Named *operand = TG_NEW_N(tg_scratch(c->tg), Named, c->n->n_in + 1);
    Term out;
    memset(e.size, 0xff, sizeof e.size);
    TgDtype dtype = c->in[0]->dtype;
    for (uint32_t i = 0; i < c->n->n_in; i++) {
        operand[i].array = *c->in[i];
        if (c->in[i]->dtype != dtype || dtype == TG_str || tg_dtype_class(dtype) == TG_CLASS_C)
            return eval_bad_type(c, c->in[i]->dtype);
    }
    if (!parse(&e, operand, &out) || !few_labels(&e))
        return false;
    operand[0].array = tg_array_share(&operand[0].array);
    bool ok = true;
    for (uint32_t i = 1; ok && i < c->n->n_in; i++) {
        Term later = out;
        for (uint32_t k = i + 1; k < c->n->n_in; k++)
            for (int32_t j = 0; j < operand[k].term.n; j++)
                add(&later, operand[k].term.label[j]);
        ok = multiply(&e, &operand[0], &operand[i], &later);
    }
    int64_t dim[TG_EVAL_RANK];
    for (int32_t i = 0; i < out.n; i++)
        dim[i] = e.size[out.label[i]];
    ok = ok && eval_out(c, 0, dtype, out.n, dim);
    if (ok)
        take(&e, &operand[0], &out, c->out[0].data);
    tg_array_drop(c->tg, &operand[0].array);
    return ok;
}
