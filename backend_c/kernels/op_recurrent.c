/* LSTM, GRU, RNN.
 *
 * A task walks up to SEQUENCES sequences of one direction through all steps. A step goes over the hidden units,
 * UNITS at a time: rows of W and R times input and state, four rows at once, then the gates of these units; weights
 * are read as ONNX has them, once for all sequences of the task. States live on the stack, so the hidden size is
 * bounded: ROOM / BUFFERS bytes a sequence (4096 units in f32, 2048 in f64); beyond: TGK_BAD_SIZE. Cost: 2 * gates
 * * hidden * (input + hidden) a step.
 */
#include "op_recurrent.h"

#include <math.h>

#include "op_isa.h"
#include "op_result.h"
#include "tgk_math.h"

enum { SEQUENCES = 4, UNITS = 16, BUFFERS = 4, ROOM = 64 * 1024 };
enum { RNN_GATES = 1, GRU_GATES = 3, LSTM_GATES = 4 };

/* --- activations -------------------------------------------------------------------------------------------------- */

/* ACT(kind, name in lower case, takes alpha, takes beta, defaults) */
#define ACTIVATIONS \
    ACT(RELU, "relu", 0, 0, 0, 0) \
    ACT(TANH, "tanh", 0, 0, 0, 0) \
    ACT(SIGMOID, "sigmoid", 0, 0, 0, 0) \
    ACT(AFFINE, "affine", 1, 1, 1, 0) \
    ACT(LEAKY_RELU, "leakyrelu", 1, 0, 0.01, 0) \
    ACT(THRESHOLDED_RELU, "thresholdedrelu", 1, 0, 1, 0) \
    ACT(SCALED_TANH, "scaledtanh", 1, 1, 1, 1) \
    ACT(HARD_SIGMOID, "hardsigmoid", 1, 1, 0.2, 0.5) \
    ACT(ELU, "elu", 1, 0, 1, 0) \
    ACT(SOFTSIGN, "softsign", 0, 0, 0, 0) \
    ACT(SOFTPLUS, "softplus", 0, 0, 0, 0)

typedef enum {
#define ACT(kind, ...) ACT_##kind,
    ACTIVATIONS
#undef ACT
} ActivationKind;

static const struct {
    const char *name;
    int takes_alpha, takes_beta;
    double alpha, beta;
} ROWS[] = {
#define ACT(kind, name, takes_alpha, takes_beta, alpha, beta) {name, takes_alpha, takes_beta, alpha, beta},
    ACTIVATIONS
#undef ACT
};

typedef struct {
    ActivationKind kind;
    double alpha, beta;
} Activation;

/* --- the layer ---------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t gates, directions, steps, batch, input, hidden, together; /* together: sequences of a task */
    int batch_first, reverse[2], input_forget, linear_before_reset;
    double clip;
    const int64_t *lengths; /* NULL: all of them are `steps` */
    const void *x, *w, *u, *b, *h0, *c0, *p;
    void *y, *y_h, *y_c;
    Activation act[6]; /* three per direction */
} Recurrent;

#define NUM float
#define FN(name) name##f
#define SIGMOID(x) tgk_sigmoidf(x)
#define TANH(x) tgk_tanhf(x)
#define G(name) V(name)
#include "op_isa_plain.h"
#include "op_recurrent_dot.inc"
#include "op_recurrent.inc"
#include "op_isa_end.h"
#ifdef TGK_OP_X86
#include "op_isa_avx2.h"
#include "op_recurrent_dot.inc"
#include "op_recurrent.inc"
#include "op_isa_end.h"
#include "op_isa_avx512.h"
#include "op_recurrent_dot.inc"
#include "op_recurrent.inc"
#include "op_isa_end.h"
#endif
#undef NUM
#undef FN
#undef SIGMOID
#undef TANH
#undef G

static void dots_f64(double *sum, int64_t n, const double *w, const double *x, int64_t m, const double *u,
                     const double *h)
{
    for (int r = 0; r < 4; r++)
        sum[r] = 0;
    for (int64_t i = 0; i < n; i++)
        for (int r = 0; r < 4; r++)
            sum[r] += w[r * n + i] * x[i];
    for (int64_t i = 0; i < m; i++)
        for (int r = 0; r < 4; r++)
            sum[r] += u[r * m + i] * h[i];
}

#define NUM double
#define FN(name) name
#define SIGMOID(x) (1 / (1 + exp(-(x))))
#define TANH(x) tanh(x)
#define G(name) name##_f64
#include "op_recurrent.inc"

#ifdef TGK_OP_X86
static void (*const TASKS[])(void *, int64_t) = {sequences_plain, sequences_avx2, sequences_avx512};
#else
static void (*const TASKS[])(void *, int64_t) = {sequences_plain};
#endif

/* --- attributes --------------------------------------------------------------------------------------------------- */

typedef struct {
    const double *alpha, *beta;
    int64_t n_alpha, n_beta;
    const char *const *names;
    int64_t n_names;
} Functions;

/* Is `word`, in any case, the lower-case `name`? */
static int spells(const char *word, const char *name)
{
    for (; *word && *name; word++, name++) {
        const char c = *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word;
        if (c != *name)
            return 0;
    }
    return *word == *name;
}

/* Functions f, g, h of each direction: `each` of them are used, the defaults stand where the node names none. alpha
 * and beta are dealt out in the order of use. */
static int read_activations(Recurrent *r, const Functions *f, int each, const char *const *defaults)
{
    int64_t alphas = 0, betas = 0;
    if (f->n_names != 0 && f->n_names < each * r->directions)
        return 0;
    for (int i = 0; i < each * (int)r->directions; i++) {
        const char *name = f->n_names ? f->names[i] : defaults[i % each];
        Activation *a = &r->act[i / each * 3 + i % each];
        size_t k = 0;
        while (k < sizeof ROWS / sizeof *ROWS && !spells(name, ROWS[k].name))
            k++;
        if (k == sizeof ROWS / sizeof *ROWS)
            return 0;
        a->kind = (ActivationKind)k;
        a->alpha = ROWS[k].takes_alpha && alphas < f->n_alpha ? f->alpha[alphas++] : ROWS[k].alpha;
        a->beta = ROWS[k].takes_beta && betas < f->n_beta ? f->beta[betas++] : ROWS[k].beta;
    }
    return 1;
}

static int read_direction(Recurrent *r, const char *word)
{
    static const char *const words[] = {"forward", "reverse", "bidirectional"};
    const int k = tgk_word(word, words, 3);
    r->directions = k == 2 ? 2 : 1;
    r->reverse[0] = k == 1;
    r->reverse[1] = k == 2;
    return k >= 0;
}

/* --- operands ----------------------------------------------------------------------------------------------------- */

static int fits(const tgk_array *a, int32_t rank, const int64_t *dim) { return !a->at || tgk_has_shape(a, rank, dim); }

static tgk_status check_operands(Recurrent *r, const tgk_array *in)
{
    const int64_t all = r->gates * r->hidden;
    const int64_t first = r->batch_first ? r->batch : r->directions, second = r->batch_first ? r->directions : r->batch;
    const int64_t w[] = {r->directions, all, r->input}, u[] = {r->directions, all, r->hidden};
    const int64_t b[] = {r->directions, 2 * all}, state[] = {first, second, r->hidden};
    const int64_t p[] = {r->directions, 3 * r->hidden};
    if (!fits(&in[1], 3, w) || !fits(&in[2], 3, u) || !fits(&in[3], 2, b) || !fits(&in[4], 1, &r->batch)
        || !fits(&in[5], 3, state))
        return TGK_BAD_SIZE;
    if (r->gates == LSTM_GATES && (!fits(&in[6], 3, state) || !fits(&in[7], 2, p)))
        return TGK_BAD_SIZE;
    for (int i = 0; i < (r->gates == LSTM_GATES ? 8 : 6); i++)
        if (i != 4 && in[i].at && in[i].type != in[0].type)
            return TGK_BAD_VALUE;
    for (int64_t i = 0; r->lengths && i < r->batch; i++)
        if (r->lengths[i] < 0 || r->lengths[i] > r->steps)
            return TGK_BAD_VALUE;
    r->x = in[0].at;
    r->w = in[1].at;
    r->u = in[2].at;
    r->b = in[3].at;
    r->h0 = in[5].at;
    r->c0 = r->gates == LSTM_GATES ? in[6].at : NULL;
    r->p = r->gates == LSTM_GATES ? in[7].at : NULL;
    return TGK_OK;
}

static tgk_status give_results(Recurrent *r, tgk_array *out)
{
    const int64_t d = r->directions, h = r->hidden;
    const int64_t y[2][4] = {{r->steps, d, r->batch, h}, {r->batch, r->steps, d, h}};
    const int64_t last[2][3] = {{d, r->batch, h}, {r->batch, d, h}};
    tgk_status s = tgk_give(&out[0], 4, y[r->batch_first]);
    s = s ? s : tgk_give(&out[1], 3, last[r->batch_first]);
    s = s || r->gates != LSTM_GATES ? s : tgk_give(&out[2], 3, last[r->batch_first]);
    r->y = out[0].at;
    r->y_h = out[1].at;
    r->y_c = r->gates == LSTM_GATES ? out[2].at : NULL;
    return s;
}

static tgk_status layer(const tgk_ctx *c, Recurrent *r, const tgk_array *in, tgk_array *out, const char *direction,
                        const Functions *f, int each, const char *const *defaults)
{
    const tgk_array *x = &in[0];
    const int64_t bytes = x->type == TGK_F64 ? (int64_t)sizeof(double) : (int64_t)sizeof(float);
    if (x->rank != 3 || in[2].rank != 3)
        return TGK_BAD_SIZE;
    r->steps = x->dim[r->batch_first ? 1 : 0];
    r->batch = x->dim[r->batch_first ? 0 : 1];
    r->input = x->dim[2];
    r->hidden = in[2].dim[2];
    r->lengths = in[4].at;
    if (r->hidden > ROOM / (BUFFERS * bytes))
        return TGK_BAD_SIZE;
    if (!read_direction(r, direction) || !read_activations(r, f, each, defaults))
        return TGK_BAD_VALUE;
    tgk_status s = check_operands(r, in);
    s = s ? s : give_results(r, out);
    if (s || r->batch == 0 || r->hidden == 0)
        return s;
    r->together = ROOM / (BUFFERS * bytes * r->hidden);
    r->together = r->together < SEQUENCES ? r->together : SEQUENCES;
    tgk_for(c, x->type == TGK_F64 ? sequences_f64 : TASKS[tgk_width(c)], r,
            r->directions * ((r->batch - 1) / r->together + 1));
    return TGK_OK;
}

tgk_status tgk_LSTM(const tgk_ctx *c, tgk_LSTM_args *a)
{
    static const char *const defaults[] = {"sigmoid", "tanh", "tanh"};
    const Functions f = {a->activation_alpha, a->activation_beta, a->n_activation_alpha, a->n_activation_beta,
                         a->activations, a->n_activations};
    Recurrent r = {.gates = LSTM_GATES, .input_forget = a->input_forget != 0, .batch_first = a->layout != 0,
                   .clip = a->clip};
    return layer(c, &r, a->in, a->out, a->direction, &f, 3, defaults);
}

tgk_status tgk_GRU(const tgk_ctx *c, tgk_GRU_args *a)
{
    static const char *const defaults[] = {"sigmoid", "tanh"};
    const Functions f = {a->activation_alpha, a->activation_beta, a->n_activation_alpha, a->n_activation_beta,
                         a->activations, a->n_activations};
    Recurrent r = {.gates = GRU_GATES, .linear_before_reset = a->linear_before_reset != 0,
                   .batch_first = a->layout != 0, .clip = a->clip};
    return layer(c, &r, a->in, a->out, a->direction, &f, 2, defaults);
}

tgk_status tgk_RNN(const tgk_ctx *c, tgk_RNN_args *a)
{
    static const char *const defaults[] = {"tanh"};
    const Functions f = {a->activation_alpha, a->activation_beta, a->n_activation_alpha, a->n_activation_beta,
                         a->activations, a->n_activations};
    Recurrent r = {.gates = RNN_GATES, .batch_first = a->layout != 0, .clip = a->clip};
    return layer(c, &r, a->in, a->out, a->direction, &f, 1, defaults);
}
