/* Constants for each channel around convolutions, and BatchNormalization around all that is linear.
 *
 *     BatchNormalization(x) = x f + s,  f = scale / sqrt(variance + epsilon),  s = bias - mean f
 *     Conv(x; W, b) * f + s = Conv(x; W f, b f + s)       f, s along the output channels
 *     Conv(x * f; W, b)     = Conv(x; W f, b)             f along the input channels of one group
 *     Conv(x + s; W, b)     = Conv(x; W, b + sum W s)     where nothing is padded: padding is zero, not s
 *
 * A BatchNormalization is written as Mul and Add only where what is in front of it or behind it takes both: a
 * convolution here, a FullyConnected in scale.c. Across a Transpose it meets the FullyConnected whose columns are its
 * channels. Reassociates. Weights that others read stay as they are. */
#include "fully_connected.h"
#include "step.h"

enum { MOST_READERS = 8 };

/* --- constants ----------------------------------------------------------------------------------- */

/* A constant that varies along axis 1 of x at most, as f[C], or f[] for one number; 0: it is none. */
static TgValue along_channels(TgPass *p, TgValue constant, TgValue x)
{
    int64_t dim[TG_MAX_RANK], channels = pass_dim(p->g, x, 1);
    const TgType *t = tg_type_of(p->g, constant);
    int32_t rank = pass_rank(p->g, x);
    if (channels < 0 || t->rank > rank || !tg_type_static(t, dim))
        return 0;
    int64_t varies = 1;
    for (int32_t back = 1; back <= t->rank; back++)
        if (back == rank - 1)
            varies = dim[t->rank - back];
        else if (dim[t->rank - back] != 1)
            return 0;
    if (varies != 1 && varies != channels)
        return 0;
    return pass_op(p, TG_Reshape, NULL, 2, constant, pass_ints(p, varies != 1, &varies));
}

/* f[C] (or f[]) so that it broadcasts along the given axis of `rank` axes. */
static TgValue spread(TgPass *p, TgValue vector, int32_t axis, int32_t rank)
{
    int64_t dim[TG_MAX_RANK];
    if (!vector || pass_rank(p->g, vector) == 0)
        return vector;
    uint32_t n = (uint32_t)(rank - axis);
    for (uint32_t i = 0; i < n; i++)
        dim[i] = i ? 1 : pass_dim(p->g, vector, 0);
    return pass_op(p, TG_Reshape, NULL, 2, vector, pass_ints(p, n, dim));
}

static TgValue as_vector(TgPass *p, TgValue v, int64_t n)
{
    return v && pass_rank(p->g, v) == 0 ? pass_op(p, TG_Expand, NULL, 2, v, pass_ints(p, 1, &n)) : v;
}

/* --- convolutions -------------------------------------------------------------------------------- */

/* A convolution whose weights may be changed, its bias a constant. */
static bool is_conv(const TgGraph *g, const TgNodeInfo *n)
{
    bool conv = n->op == TG_Conv || (n->op == TG_ConvTranspose && tg_attr_int(n, "group") == 1);
    return conv && !n->dead && is_changeable(g, n->in[1]) && (!in(n, 2) || is_const(g, in(n, 2))) &&
           tg_is_tensor(tg_type_of(g, n->out[0])) && pass_rank(g, n->in[1]) >= 3;
}

static bool pads(const TgPass *p, const TgNodeInfo *n)
{
    uint32_t count;
    const int64_t *pad = tg_attr_ints(n, "pads", &count);
    const char *mode = tg_attr_string(p->tg, n, "auto_pad");
    for (uint32_t i = 0; pad && i < count; i++)
        if (pad[i])
            return true;
    return mode[0] == 'S'; /* SAME_UPPER, SAME_LOWER; neither NOTSET nor VALID */
}

static TgValue conv_like(TgPass *p, const TgNodeInfo *n, TgValue x, TgValue weight, TgValue bias)
{
    if (!x || !weight)
        return 0;
    return bias ? pass_op(p, n->op, n->attrs, 3, x, weight, bias) : pass_op(p, n->op, n->attrs, 2, x, weight);
}

/* --- steps --------------------------------------------------------------------------------------- */

/* conv * c, conv / c, conv + c, conv - c, c - conv. */
static TgValue absorb_after(TgPass *p, const TgNodeInfo *conv, const Step *s)
{
    TgValue weight = conv->in[1], bias = in(conv, 2);
    int32_t axis = conv->op == TG_Conv ? 0 : 1, rank = pass_rank(p->g, weight);
    int64_t channels = pass_dim(p->g, conv->out[0], 1);
    if (is_factor(s) || s->reversed) {
        TgValue by = is_factor(s) ? factor_of(p, s, s->c) : pass_float_like(p, s->c, -1);
        TgValue each = spread(p, by, axis, rank);
        weight = each ? pass_op(p, TG_Mul, NULL, 2, weight, each) : 0;
        bias = bias && by ? pass_op(p, TG_Mul, NULL, 2, bias, by) : bias;
    }
    if (!is_factor(s)) {
        TgValue c = s->node->op == TG_Sub && !s->reversed ? pass_op(p, TG_Neg, NULL, 1, s->c) : s->c;
        bias = bias && c ? pass_op(p, TG_Add, NULL, 2, bias, c) : as_vector(p, c, channels);
    }
    return conv_like(p, conv, conv->in[0], weight, bias);
}

static bool into_conv(TgPass *p, Step *s)
{
    TgNodeInfo *conv = tg_producer(p->g, s->x, TG_Conv);
    conv = conv ? conv : tg_producer(p->g, s->x, TG_ConvTranspose);
    if (!conv || !is_conv(p->g, conv) || !tg_used_once(p->g, s->x) ||
        !(s->c = along_channels(p, s->c, s->x)) || !pass_may(p))
        return false;
    p->vouched = true;
    TgValue made = absorb_after(p, conv, s);
    p->vouched = false;
    if (!made || !same_type(p->g, made, s->node->out[0]))
        return false;
    pass_count(p, "channel-constant-into-conv");
    pass_replace(p, s->node->out[0], made, "channel-constant-into-conv");
    return true;
}

/* --- in front of convolutions -------------------------------------------------------------------- */

/* Every reader of v is a Conv of one group over it, without padding where asked. */
static uint32_t conv_readers(const TgPass *p, TgValue v, bool unpadded, TgNodeInfo **conv)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->returned || info->uses.n > MOST_READERS)
        return 0;
    for (uint32_t i = 0; i < info->uses.n; i++) {
        conv[i] = tg_node(p->g, info->uses.at[i].node);
        if (info->uses.at[i].slot != 0 || conv[i]->op != TG_Conv || !is_conv(p->g, conv[i]) ||
            tg_attr_int(conv[i], "group") != 1 || (unpadded && pads(p, conv[i])))
            return 0;
    }
    return info->uses.n;
}

static TgValue absorb_before(TgPass *p, const TgNodeInfo *conv, const Step *s)
{
    TgValue weight = conv->in[1], bias = in(conv, 2);
    TgValue each = spread(p, is_factor(s) ? factor_of(p, s, s->c) : s->c, 1, pass_rank(p->g, weight));
    TgValue product = each ? pass_op(p, TG_Mul, NULL, 2, weight, each) : 0;
    if (is_factor(s))
        return conv_like(p, conv, s->x, product, bias);
    int64_t axes[TG_MAX_RANK];
    uint32_t n = (uint32_t)pass_rank(p->g, weight) - 1;
    for (uint32_t i = 0; i < n; i++)
        axes[i] = i + 1;
    TgValue over = pass_ints(p, n, axes);
    TgValue shift = product
                        ? pass_op(p, TG_ReduceSum, tg_attrs(p->tg, TG_ReduceSum, "keepdims=i", (int64_t)0), 2,
                                  product, over)
                        : 0;
    if (shift && s->node->op == TG_Sub)
        shift = pass_op(p, TG_Neg, NULL, 1, shift);
    bias = bias && shift ? pass_op(p, TG_Add, NULL, 2, bias, shift) : shift;
    return bias ? conv_like(p, conv, s->x, weight, bias) : 0;
}

static bool into_next_conv(TgPass *p, Step *s)
{
    TgNodeInfo *conv[MOST_READERS];
    TgValue made[MOST_READERS], old[MOST_READERS];
    uint32_t n = s->reversed ? 0 : conv_readers(p, s->node->out[0], !is_factor(s), conv);
    if (!n || ends_gelu_downstream(p, s->node) || !(s->c = along_channels(p, s->c, s->x)) || !pass_may(p))
        return false;
    bool good = true;
    p->vouched = true;
    for (uint32_t i = 0; i < n; i++) {
        old[i] = conv[i]->out[0];
        made[i] = absorb_before(p, conv[i], s);
        good = good && made[i] && same_type(p->g, made[i], old[i]);
    }
    p->vouched = false;
    for (uint32_t i = 0; good && i < n; i++)
        pass_replace(p, old[i], made[i], "channel-constant-into-next-conv");
    if (good)
        pass_count(p, "channel-constant-into-next-conv");
    return good;
}

/* --- BatchNormalization -------------------------------------------------------------------------- */

typedef struct {
    TgNodeInfo *node;
    TgValue x;
    int32_t axis;          /* of its channels in x */
    const TgAttrs *behind; /* of the Transpose between x and it; NULL: none */
} Norm;

static bool is_of_constants(const TgPass *p, const TgNodeInfo *n)
{
    const TgGraph *g = p->g;
    for (uint32_t i = 1; i < 5; i++)
        if (!is_const(g, n->in[i]) || tg_type_of(g, n->in[i])->dtype != tg_type_of(g, n->in[0])->dtype)
            return false;
    for (uint32_t i = 1; i < n->n_out; i++)
        if (is_read(g, n->out[i]))
            return false;
    const TgTensor *variance = tg_const_of(g, n->in[4]);
    for (size_t i = 0; i < variance->count; i++)
        if (!(tg_tensor_float(p->tg, variance, i) + tg_attr_float(n, "epsilon") > 0))
            return false;
    return !tg_attr_int(n, "training_mode") && pass_rank(g, n->in[0]) >= 2 && pass_dim(g, n->in[0], 1) > 0;
}

/* The FullyConnected over whose result, perhaps transposed, n normalises. */
static bool is_over_linear(TgPass *p, Norm *m)
{
    Fc fc;
    uint32_t n;
    const TgNodeInfo *moved = tg_producer(p->g, m->x, TG_Transpose);
    const int64_t *perm = moved ? tg_attr_ints(moved, "perm", &n) : NULL;
    if (!tg_used_once(p->g, m->x))
        return false;
    if (perm && n >= 2 && perm[1] == (int64_t)n - 1) {
        m->x = moved->in[0];
        m->axis = (int32_t)n - 1;
        m->behind = moved->attrs;
    }
    return m->axis == pass_rank(p->g, m->x) - 1 && tg_used_once(p->g, m->x) && fc_of(p, m->x, &fc) &&
           fc_owns_weight(p, &fc);
}

static bool is_read_by_linears(TgPass *p, const Norm *m)
{
    const TgValueInfo *info = tg_value(p->g, m->node->out[0]);
    Fc fc;
    bool all = pass_rank(p->g, m->x) == 2 && !info->returned && info->uses.n;
    for (uint32_t i = 0; all && i < info->uses.n; i++)
        all = info->uses.at[i].slot == 0 && fc_at(p, info->uses.at[i].node, &fc) &&
              fc_takes_summand(p, &fc, info->uses.n) && fc_owns_weight(p, &fc);
    return all;
}

/* What is in front of it or behind it takes a factor and a summand for each channel. */
static bool meets_taker(TgPass *p, Norm *m)
{
    TgNodeInfo *conv = tg_producer(p->g, m->x, TG_Conv), *readers[MOST_READERS];
    conv = conv ? conv : tg_producer(p->g, m->x, TG_ConvTranspose);
    if (conv)
        return is_conv(p->g, conv) && tg_used_once(p->g, m->x);
    return is_read_by_linears(p, m) || conv_readers(p, m->node->out[0], true, readers) ||
           is_over_linear(p, m);
}

static TgValue write_norm(TgPass *p, const Norm *m)
{
    const TgNodeInfo *n = m->node;
    int32_t rank = pass_rank(p->g, m->x);
    TgValue epsilon = pass_float_like(p, n->in[4], tg_attr_float(n, "epsilon"));
    TgValue shifted = pass_op(p, TG_Add, NULL, 2, n->in[4], epsilon);
    TgValue root = shifted ? pass_op(p, TG_Sqrt, NULL, 1, shifted) : 0;
    TgValue factor = root ? pass_op(p, TG_Div, NULL, 2, n->in[1], root) : 0;
    TgValue centre = factor ? pass_op(p, TG_Mul, NULL, 2, n->in[3], factor) : 0;
    TgValue summand = centre ? spread(p, pass_op(p, TG_Sub, NULL, 2, n->in[2], centre), m->axis, rank) : 0;
    TgValue each = summand ? spread(p, factor, m->axis, rank) : 0;
    TgValue product = each ? pass_op(p, TG_Mul, NULL, 2, m->x, each) : 0;
    TgValue sum = product ? pass_op(p, TG_Add, NULL, 2, product, summand) : 0;
    return sum && m->behind ? pass_op(p, TG_Transpose, m->behind, 1, sum) : sum;
}

static void split_norm(TgPass *p, TgNodeInfo *n)
{
    Norm m = {.node = n, .x = n->in[0], .axis = 1};
    if (!is_of_constants(p, n) || !meets_taker(p, &m) || !pass_may(p))
        return;
    p->vouched = true;
    TgValue made = write_norm(p, &m);
    p->vouched = false;
    if (!made || !same_type(p->g, made, n->out[0]))
        return;
    pass_count(p, "normalization-into-scale");
    pass_replace(p, n->out[0], made, "normalization-into-scale");
}

void pass_channels(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        Step s;
        if (!info->n_out || info->dead || !is_read(p->g, info->out[0]))
            continue;
        if (info->op == TG_BatchNormalization)
            split_norm(p, info);
        else if (read_step(p, info, &s) && pass_rank(p->g, s.x) >= 3 &&
                 (!is_factor(&s) || is_sound_factor(p, &s)) && !into_conv(p, &s))
            into_next_conv(p, &s);
    }
}
