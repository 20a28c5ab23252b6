/* Einsum: a sum of products over labelled axes, evaluated as one walk over all labels (reference speed). A label that
 * repeats within an operand walks its diagonal; "..." stands for axes that broadcast. */
#include <ctype.h>
#include <string.h>

#include "eval_kernel.h"

enum { MOST_LABELS = 64, MOST_OPERANDS = 8 };

/* The equation with its ellipsis spelled out. Labels are letters; those of the ellipsis are 1 .. 16. */
typedef struct {
    uint32_t operands;
    uint8_t label[MOST_OPERANDS + 1][TG_EVAL_RANK * 2]; /* the last row: the result */
    int32_t rank[MOST_OPERANDS + 1];
    int32_t dots[MOST_OPERANDS + 1]; /* place of "..." in the row; -1: none */
    bool has_result;
} Equation;

static bool bad_equation(TgEvalCall *c, const char *why) { return tg_report(c->tg, TG_E_eval_requires, "Einsum", why); }

static bool read_equation(TgEvalCall *c, const char *text, Equation *q)
{
    uint32_t row = 0;
    memset(q, 0, sizeof *q);
    q->dots[0] = -1;
    for (; *text; text++) {
        if (*text == ' ')
            continue;
        if (*text == ',' || (text[0] == '-' && text[1] == '>')) {
            q->has_result = *text == '-';
            text += q->has_result;
            if (++row > MOST_OPERANDS || (q->has_result && row != c->n->n_in))
                return bad_equation(c, "as many terms as operands");
            q->dots[row] = -1;
        } else if (strncmp(text, "...", 3) == 0 && q->dots[row] < 0) {
            q->dots[row] = q->rank[row];
            text += 2;
        } else if (isalpha((unsigned char)*text) && q->rank[row] < TG_EVAL_RANK) {
            q->label[row][q->rank[row]++] = (uint8_t)*text;
        } else
            return bad_equation(c, "an equation of letters, commas, one arrow and dots");
    }
    q->operands = q->has_result ? row : row + 1;
    return q->operands == c->n->n_in || bad_equation(c, "as many terms as operands");
}

/* Puts `n` labels in the place of the dots of a row, aligned at the last ones of `most`. */
static void expand_dots(Equation *q, uint32_t row, int32_t n, int32_t most)
{
    int32_t at = q->dots[row];
    if (at < 0)
        return;
    memmove(q->label[row] + at + n, q->label[row] + at, (size_t)(q->rank[row] - at));
    for (int32_t i = 0; i < n; i++)
        q->label[row][at + i] = (uint8_t)(1 + most - n + i);
    q->rank[row] += n;
}

/* Without an arrow: the dots, then all labels that occur once, in alphabetical order. */
static void implied_result(Equation *q, int32_t most)
{
    uint32_t count[256] = {0};
    for (uint32_t i = 0; i < q->operands; i++)
        for (int32_t k = 0; k < q->rank[i]; k++)
            count[q->label[i][k]]++;
    uint8_t *row = q->label[q->operands];
    for (int32_t i = 1; i <= most; i++)
        row[q->rank[q->operands]++] = (uint8_t)i;
    for (int label = 'A'; label <= 'z'; label++)
        if (count[label] == 1 && q->rank[q->operands] < TG_EVAL_RANK)
            row[q->rank[q->operands]++] = (uint8_t)label;
}

/* --- the walk ------------------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t rank, free;                                 /* all labels; the first `free` are those of the result */
    int64_t dim[MOST_LABELS];
    int64_t stride[MOST_OPERANDS][MOST_LABELS];
    uint32_t operands;
    const void *data[MOST_OPERANDS];
    void *out;
    int64_t count, inner;                               /* results; products per result */
} Walk;

static bool next(const Walk *w, int32_t from, int32_t to, int64_t *index, int64_t *offset)
{
    for (int32_t i = to - 1; i >= from; i--) {
        bool carry = ++index[i] == w->dim[i];
        for (uint32_t k = 0; k < w->operands; k++)
            offset[k] += carry ? (1 - w->dim[i]) * w->stride[k][i] : w->stride[k][i];
        if (!carry)
            return true;
        index[i] = 0;
    }
    return false;
}

#define TG_TEMPLATE "eval_einsum.inc"
#include "eval_num.h"

static void einsum_int(const Walk *w)
{
    int64_t index[MOST_LABELS] = {0}, offset[MOST_OPERANDS] = {0};
    for (int64_t i = 0; i < w->count; i++) {
        uint64_t sum = 0;
        for (int64_t j = 0; j < w->inner; j++) {
            uint64_t product = 1;
            for (uint32_t k = 0; k < w->operands; k++)
                product *= (uint64_t)((const int64_t *)w->data[k])[offset[k]];
            sum += product;
            next(w, w->free, w->rank, index, offset);
        }
        ((uint64_t *)w->out)[i] = sum;
        next(w, 0, w->free, index, offset);
    }
}

/* --- shapes -------------------------------------------------------------------------------------------------------------- */

static int32_t place_of(const uint8_t *labels, int32_t n, uint8_t label)
{
    for (int32_t i = 0; i < n; i++)
        if (labels[i] == label)
            return i;
    return -1;
}

static bool lay_out(TgEvalCall *c, const Equation *q, Walk *w)
{
    uint8_t labels[MOST_LABELS];
    const uint8_t *result = q->label[q->operands];
    *w = (Walk){.free = q->rank[q->operands], .operands = q->operands};
    for (; w->rank < w->free; w->rank++) {
        labels[w->rank] = result[w->rank];
        w->dim[w->rank] = 1;
    }
    for (uint32_t i = 0; i < q->operands; i++) {
        const TgArray *x = c->in[i];
        int64_t own[TG_EVAL_RANK];
        if (x->rank != q->rank[i])
            return eval_bad_shape(c, i, "its term in the equation has another rank");
        eval_strides(x->rank, x->dim, own);
        w->data[i] = x->data;
        for (int32_t k = 0; k < x->rank; k++) {
            int32_t at = place_of(labels, w->rank, q->label[i][k]);
            if (at < 0) {
                at = w->rank++;
                labels[at] = q->label[i][k];
                w->dim[at] = 1;
            }
            if (x->dim[k] != 1 && w->dim[at] != 1 && x->dim[k] != w->dim[at])
                return eval_bad_shape(c, i, "one label has two sizes");
            if (x->dim[k] != 1) {
                w->dim[at] = x->dim[k];
                w->stride[i][at] += own[k];
            }
        }
    }
    return true;
}

bool eval_einsum(TgEvalCall *c)
{
    Equation q;
    Walk w;
    int32_t most = 0, dots[MOST_OPERANDS];
    if (!read_equation(c, tg_attr_string(c->tg, c->n, "equation"), &q))
        return false;
    for (uint32_t i = 0; i < q.operands; i++) {
        dots[i] = q.dots[i] < 0 ? 0 : c->in[i]->rank - q.rank[i];
        if (dots[i] < 0)
            return eval_bad_shape(c, i, "its term in the equation has another rank");
        most = dots[i] > most ? dots[i] : most;
    }
    for (uint32_t i = 0; i < q.operands; i++)
        expand_dots(&q, i, dots[i], most);
    if (q.has_result)
        expand_dots(&q, q.operands, most, most);
    else
        implied_result(&q, most);
    if (!lay_out(c, &q, &w) || !eval_out(c, 0, c->in[0]->dtype, w.free, w.dim))
        return false;
    w.out = c->out[0].data;
    w.count = c->out[0].count;
    w.inner = eval_count(w.dim, w.free, w.rank);
    if (eval_is_real(c->in[0]))
        TG_BY_NUM(c, einsum)(&w);
    else
        einsum_int(&w);
    return true;
}
