/* Einsum: the equation, read into axes and strides. A letter that an operand has twice is its diagonal (strides add
 * up); an axis of size 1 repeats; an ellipsis is as many axes as needed, the same for all operands, aligned from the
 * right. What is not understood gives TGK_BAD_VALUE, sizes that do not agree TGK_BAD_SIZE. */
#include "op_einsum.h"

#include "op_array.h"
#include "op_contract.h"

enum {
    LETTERS = 52,                 /* 26 small ones, 26 capitals */
    LABELS = LETTERS + TGK_RANK   /* then those of the ellipsis; its last axis is the last label */
};

typedef struct {
    int32_t n;
    uint8_t label[TGK_RANK];
} Term;

typedef struct {
    int64_t size[LABELS];  /* -1: not seen */
    int32_t count[LABELS]; /* how often the operands mention it */
    int32_t dots;          /* axes of the ellipsis */
    Term term[TGK_FACTORS], out;
} Equation;

static bool push(Term *t, int32_t label)
{
    if (t->n == TGK_RANK)
        return false;
    t->label[t->n++] = (uint8_t)label;
    return true;
}

static bool ends_term(char c) { return c == '\0' || c == ',' || c == '-'; }

/* Reads one term, up to ',', '-' or the end; an ellipsis is `dots` axes (-1: there must be none). */
static bool read_term(const char **at, int32_t dots, Term *t)
{
    t->n = 0;
    for (; !ends_term(**at); ++*at) {
        const char c = **at;
        bool fits = true;
        if (c == ' ')
            continue;
        if (c >= 'a' && c <= 'z')
            fits = push(t, c - 'a');
        else if (c >= 'A' && c <= 'Z')
            fits = push(t, c - 'A' + 26);
        else if (c == '.' && (*at)[1] == '.' && (*at)[2] == '.') {
            for (int32_t i = 0; fits && i < dots; i++)
                fits = push(t, LABELS - dots + i);
            *at += 2;
        } else {
            return false;
        }
        if (!fits)
            return false;
    }
    return true;
}

/* Axes that the ellipsis of the term at `at` is for an operand of this rank; -1: it has none. */
static int32_t dots_of(const char *at, int32_t rank)
{
    int32_t letters = 0;
    bool dots = false;
    for (; !ends_term(*at); at++) {
        dots = dots || *at == '.';
        letters += *at != '.' && *at != ' ';
    }
    return !dots ? -1 : rank > letters ? rank - letters : 0;
}

static tgk_status bind_sizes(Equation *e, const Term *t, const tgk_array *x)
{
    if (t->n != x->rank)
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < t->n; i++) {
        int64_t *size = &e->size[t->label[i]];
        if (*size >= 0 && *size != x->dim[i] && *size != 1 && x->dim[i] != 1)
            return TGK_BAD_SIZE;
        if (*size < 0 || *size == 1)
            *size = x->dim[i];
        e->count[t->label[i]]++;
    }
    return TGK_OK;
}

/* Without "->": the ellipsis, then the letters that occur once, capitals first. */
static bool implicit_result(Equation *e)
{
    e->out.n = 0;
    for (int32_t i = 0; i < e->dots; i++)
        if (!push(&e->out, LABELS - e->dots + i))
            return false;
    for (int32_t i = 0; i < LETTERS; i++) {
        const int32_t label = (i + 26) % LETTERS;
        if (e->count[label] == 1 && !push(&e->out, label))
            return false;
    }
    return true;
}

static tgk_status parse(Equation *e, const tgk_Einsum_args *a)
{
    const char *at = a->equation;
    for (int64_t i = 0; i < a->n_in; i++, at += *at == ',') {
        const int32_t dots = dots_of(at, a->in[i].rank);
        e->dots = dots > e->dots ? dots : e->dots;
        if (!read_term(&at, dots, &e->term[i]) || (*at == ',') != (i + 1 < a->n_in))
            return TGK_BAD_VALUE;
        const tgk_status status = bind_sizes(e, &e->term[i], &a->in[i]);
        if (status != TGK_OK)
            return status;
    }
    if (*at == '\0')
        return implicit_result(e) ? TGK_OK : TGK_BAD_VALUE;
    if (at[0] != '-' || at[1] != '>')
        return TGK_BAD_VALUE;
    at += 2;
    if (!read_term(&at, e->dots, &e->out) || *at != '\0')
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < e->out.n; i++) {
        if (e->size[e->out.label[i]] < 0)
            return TGK_BAD_VALUE;
        for (int32_t k = 0; k < i; k++)
            if (e->out.label[k] == e->out.label[i])
                return TGK_BAD_VALUE;
    }
    return TGK_OK;
}

/* Appends an axis for a label; false: there are too many. */
static bool add_axis(tgk_contraction *k, const Equation *e, const tgk_Einsum_args *a, uint8_t label)
{
    if (k->axes == TGK_AXES)
        return false;
    k->dim[k->axes] = e->size[label];
    for (int32_t f = 0; f < k->factors; f++) {
        const Term *t = &e->term[f];
        int64_t own[TGK_RANK], stride = 0;
        tgk_strides(a->in[f].rank, a->in[f].dim, own);
        for (int32_t i = 0; i < t->n; i++)
            if (t->label[i] == label && a->in[f].dim[i] != 1)
                stride += own[i];
        k->stride[f][k->axes] = stride;
    }
    k->axes++;
    return true;
}

tgk_status tgk_Einsum(const tgk_ctx *c, tgk_Einsum_args *a)
{
    Equation e = {.dots = 0};
    tgk_contraction k = {.y = a->out[0].at};
    int64_t dim[TGK_RANK];
    bool kept[LABELS] = {false};
    if (a->n_in < 1 || a->n_in > TGK_FACTORS)
        return TGK_BAD_VALUE;
    for (int32_t i = 0; i < LABELS; i++)
        e.size[i] = -1;
    tgk_status status = parse(&e, a);
    if (status != TGK_OK)
        return status;
    k.factors = (int32_t)a->n_in;
    for (int32_t f = 0; f < k.factors; f++)
        k.x[f] = a->in[f].at;
    for (int32_t i = 0; i < e.out.n; i++) {
        kept[e.out.label[i]] = true;
        dim[i] = e.size[e.out.label[i]];
        add_axis(&k, &e, a, e.out.label[i]); /* at most TGK_RANK */
    }
    k.kept = e.out.n;
    for (int32_t i = 0; i < LABELS; i++)
        if (e.size[i] >= 0 && !kept[i] && !add_axis(&k, &e, a, (uint8_t)i))
            return TGK_BAD_VALUE;
    status = tgk_shape(&a->out[0], e.out.n, dim);
    if (status == TGK_OK)
        tgk_contract(c, a->in[0].type, &k);
    return status;
}
