/* Recurrent layers: LSTM, GRU, RNN.
 *
 * One loop over directions, sequences and steps serves the three; a cell is the function that makes one
 * step. Optional operands, lengths, layouts, clipping and the activation lists are read once into a
 * Recurrent. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* --- activations ---------------------------------------------------------------------------------------- */

/* ACT(kind, ONNX name, takes alpha, takes beta, defaults) */
#define ACTIVATIONS \
    ACT(RELU, "Relu", false, false, 0, 0) \
    ACT(TANH, "Tanh", false, false, 0, 0) \
    ACT(SIGMOID, "Sigmoid", false, false, 0, 0) \
    ACT(AFFINE, "Affine", true, true, 1, 0) \
    ACT(LEAKY_RELU, "LeakyRelu", true, false, 0.01, 0) \
    ACT(THRESHOLDED_RELU, "ThresholdedRelu", true, false, 1, 0) \
    ACT(SCALED_TANH, "ScaledTanh", true, true, 1, 1) \
    ACT(HARD_SIGMOID, "HardSigmoid", true, true, 0.2, 0.5) \
    ACT(ELU, "Elu", true, false, 1, 0) \
    ACT(SOFTSIGN, "Softsign", false, false, 0, 0) \
    ACT(SOFTPLUS, "Softplus", false, false, 0, 0)

typedef enum {
#define ACT(kind, ...) ACT_##kind,
    ACTIVATIONS
#undef ACT
} ActivationKind;

static const struct {
    const char *name;
    bool takes_alpha, takes_beta;
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

/* --- the layer ------------------------------------------------------------------------------------------ */

enum { RNN_GATES = 1, GRU_GATES = 3, LSTM_GATES = 4 };

typedef struct {
    int64_t gates, directions, steps, batch, input, hidden;
    bool batch_first, reverse[2], input_forget, linear_before_reset;
    double clip;            /* 0: none */
    const int64_t *lengths; /* NULL: all of them are `steps` */
    Activation act[6];      /* three per direction */
} Recurrent;

#define TG_TEMPLATE "eval_recurrent.inc"
#include "eval_num.h"

/* --- attributes ----------------------------------------------------------------------------------------- */

/* Sets *a to the function that `name` spells; alpha and beta come from the lists, in the order of use. */
static bool find_activation(TgEvalCall *c, const char *name, uint32_t *alphas, uint32_t *betas, Activation *a)
{
    uint32_t n_alpha, n_beta;
    const float *alpha = tg_attr_floats(c->n, "activation_alpha", &n_alpha);
    const float *beta = tg_attr_floats(c->n, "activation_beta", &n_beta);
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        if (strcasecmp(name, ROWS[i].name) != 0)
            continue;
        *a = (Activation){(ActivationKind)i, ROWS[i].alpha, ROWS[i].beta};
        if (ROWS[i].takes_alpha && *alphas < n_alpha)
            a->alpha = (double)alpha[(*alphas)++];
        if (ROWS[i].takes_beta && *betas < n_beta)
            a->beta = (double)beta[(*betas)++];
        return true;
    }
    return tg_report(c->tg, TG_E_eval_word, "activations", name);
}

/* Functions f, g, h of each direction: `each` of them are used, the defaults stand where the node names
 * none. */
static bool read_activations(TgEvalCall *c, Recurrent *r, int each, const char *const *defaults)
{
    const TgAttr *list = tg_attr_find(c->n->attrs, "activations");
    uint32_t alphas = 0, betas = 0;
    if (list && list->n != 0 && list->n < (uint32_t)each * (uint32_t)r->directions)
        return eval_bad_value(c, "number of activations", list->n);
    for (int i = 0; i < each * (int)r->directions; i++) {
        const char *name = defaults[i % each];
        if (list && list->n != 0)
            name = tg_name_n(c->tg, (const char *)list->u.strings[i].at, list->u.strings[i].n);
        if (!find_activation(c, name, &alphas, &betas, &r->act[i / each * 3 + i % each]))
            return false;
    }
    return true;
}

static bool read_directions(TgEvalCall *c, Recurrent *r)
{
    TgName direction = tg_attr_string(c->tg, c->n, "direction");
    bool both = strcmp(direction, "bidirectional") == 0, reverse = strcmp(direction, "reverse") == 0;
    r->directions = both ? 2 : 1;
    r->reverse[0] = reverse;
    r->reverse[1] = both;
    return both || reverse || strcmp(direction, "forward") == 0
        || tg_report(c->tg, TG_E_eval_word, "direction", direction);
}

/* --- operands ------------------------------------------------------------------------------------------- */

static bool has_shape(TgEvalCall *c, uint32_t slot, int32_t rank, const int64_t *dim)
{
    const TgArray *a = eval_in(c, slot);
    if (!a)
        return true;
    bool fits = a->rank == rank;
    for (int32_t i = 0; fits && i < rank; i++)
        fits = a->dim[i] == dim[i];
    return fits || eval_bad_shape(c, slot, "it does not follow from input, directions and hidden size");
}

static bool check_operands(TgEvalCall *c, const Recurrent *r)
{
    const int64_t all = r->gates * r->hidden, first = r->batch_first ? r->batch : r->directions;
    const int64_t second = r->batch_first ? r->directions : r->batch;
    const int64_t state[] = {first, second, r->hidden};
    if (!has_shape(c, 1, 3, (int64_t[]){r->directions, all, r->input})
        || !has_shape(c, 2, 3, (int64_t[]){r->directions, all, r->hidden})
        || !has_shape(c, 3, 2, (int64_t[]){r->directions, 2 * all}) || !has_shape(c, 4, 1, &r->batch)
        || !has_shape(c, 5, 3, state))
        return false;
    for (int64_t b = 0; r->lengths && b < r->batch; b++)
        if (r->lengths[b] < 0 || r->lengths[b] > r->steps)
            return eval_bad_value(c, "sequence length", r->lengths[b]);
    return r->gates != LSTM_GATES
        || (has_shape(c, 6, 3, state) && has_shape(c, 7, 2, (int64_t[]){r->directions, 3 * r->hidden}));
}

static bool make_outputs(TgEvalCall *c, const Recurrent *r)
{
    TgDtype t = c->in[0]->dtype;
    const int64_t d = r->directions, h = r->hidden;
    const int64_t *y = r->batch_first ? (int64_t[]){r->batch, r->steps, d, h}
        : (int64_t[]){r->steps, d, r->batch, h};
    const int64_t *last = r->batch_first ? (int64_t[]){r->batch, d, h} : (int64_t[]){d, r->batch, h};
    return eval_out(c, 0, t, 4, y) && eval_out(c, 1, t, 3, last)
        && (r->gates != LSTM_GATES || eval_out(c, 2, t, 3, last));
}

static bool layer(TgEvalCall *c, Recurrent *r, int each, const char *const *defaults)
{
    const TgArray *x = c->in[0], *u = c->in[2], *lengths = eval_in(c, 4);
    if (!eval_holds(c, "rrrrirrr"))
        return false;
    if (x->rank != 3)
        return eval_bad_shape(c, 0, "a batch of sequences has three axes");
    if (u->rank != 3 || u->dim[2] > INT32_MAX)
        return eval_bad_shape(c, 2, "recurrence weights have three axes");
    r->batch_first = tg_attr_int(c->n, "layout") != 0;
    r->steps = x->dim[r->batch_first ? 1 : 0];
    r->batch = x->dim[r->batch_first ? 0 : 1];
    r->input = x->dim[2];
    r->hidden = u->dim[2];
    r->clip = tg_attr_float(c->n, "clip");
    r->lengths = lengths ? eval_ints_of(lengths) : NULL;
    return read_directions(c, r) && read_activations(c, r, each, defaults) && check_operands(c, r)
        && make_outputs(c, r) && TG_BY_NUM(c, recurrent)(c, r);
}

bool eval_lstm(TgEvalCall *c)
{
    Recurrent r = {.gates = LSTM_GATES, .input_forget = tg_attr_int(c->n, "input_forget") != 0};
    return layer(c, &r, 3, (const char *[]){"Sigmoid", "Tanh", "Tanh"});
}

bool eval_gru(TgEvalCall *c)
{
    Recurrent r = {.gates = GRU_GATES, .linear_before_reset = tg_attr_int(c->n, "linear_before_reset") != 0};
    return layer(c, &r, 2, (const char *[]){"Sigmoid", "Tanh"});
}

bool eval_rnn(TgEvalCall *c)
{
    Recurrent r = {.gates = RNN_GATES};
    return layer(c, &r, 1, (const char *[]){"Tanh"});
}
