/* Adapters: a second, narrow way from x to the result of a FullyConnected, as fine-tuning leaves it (LoRA, VeRA).
 *
 *     x W + b + s ((x A + a) B + c)  =  x (W + s A B) + (b + s (a B + c))
 *     T[i] + s (A[i] B)              =  (T + s A B)[i]                          of a table of embeddings
 *
 * On the way from x there are two FullyConnecteds or more, and factors: numbers, or one for each column. With
 * --merge-lora the way goes into the weight: it costs nothing any more, and the model becomes smaller; but the adapter
 * can no longer be told from the weight. Without it the way stays as narrow as it is (scale.c has put s into the
 * smaller of A and B); one that is not narrow becomes one weight (chain.c), and then goes into W as well (linear.c). A
 * weight that others read stays as it is. Runs before FullyConnecteds are merged side by side, so that queries, keys
 * and values with adapters still become one product. An adapter may be taken away as well. Reassociates. One in another
 * precision than the weight has Casts on its way, or the other way has them: W + s A B is computed in the precision of
 * the sum, and rounded once to that of W. That differs by the rounding of the narrower type (of x, weights and
 * products; some 1e-3 of the largest element for f16, 1e-2 for bf16), so it needs --approximate, too. */
#include "fully_connected.h"
#include "step.h"

enum { LONGEST = 8 }; /* stages from x to the sum */

/* A FullyConnected, or a factor. */
typedef struct {
    bool is_linear;
    Fc fc;
    Step factor; /* its constant is f[n] or f[] */
} Stage;

typedef struct {
    uint32_t n, linears;
    Stage stage[LONGEST]; /* from the sum back to x */
    int64_t rank;         /* of the narrowest place */
    double products;      /* for each row of x */
    bool negative;        /* it is taken away */
    TgDtype mixed;        /* there are Casts on the way: the type of the sum; else undefined */
} Way;

/* --- reading ------------------------------------------------------------------------------------- */

/* v is multiplied by a constant that varies along the last axis at most. */
static bool read_factor(TgPass *p, TgValue v, Step *s)
{
    const TgValueInfo *info = tg_value(p->g, v);
    if (info->origin != TG_V_RESULT || !read_step(p, tg_node(p->g, info->node), s) || !is_factor(s))
        return false;
    s->c = along_last_axis(p, s->c, pass_dim(p->g, v, -1));
    return s->c && is_sound_factor(p, s);
}

static void add_stage(Way *way, Stage s)
{
    if (s.is_linear) {
        way->rank = way->linears && way->rank < s.fc.n ? way->rank : s.fc.n;
        way->products += (double)s.fc.k * (double)s.fc.n;
        way->linears++;
    }
    way->stage[way->n++] = s;
}

/* v before a Cast from floats to floats; v itself where there is none. */
static TgValue before_cast(const TgGraph *g, TgValue v)
{
    const TgNodeInfo *cast = tg_producer(g, v, TG_Cast);
    bool floats = cast && tg_is_float(tg_type_of(g, cast->in[0])->dtype) && tg_is_float(tg_type_of(g, v)->dtype);
    return floats ? cast->in[0] : v;
}

/* Back from v, as far as nobody reads what lies on the way, but not beyond x (0: as far as it goes). Where that
 * ends. */
static TgValue follow(TgPass *p, TgValue v, TgValue x, Way *way)
{
    TgDtype sum = tg_type_of(p->g, v)->dtype;
    while (v != x && way->n < LONGEST) {
        Stage s = {0};
        TgValue below = before_cast(p->g, v);
        if (x && way->n && before_cast(p->g, x) == below) {
            way->mixed = sum;
            return x;
        }
        if (way->n && !tg_used_once(p->g, v))
            break;
        if (below != v) {
            way->mixed = sum;
            v = below;
            continue;
        }
        if (fc_of(p, v, &s.fc)) {
            s.is_linear = true;
            v = s.fc.x;
        } else if (read_factor(p, v, &s.factor))
            v = s.factor.x;
        else
            break;
        add_stage(way, s);
    }
    return v;
}

/* The way from x to v. */
static bool read_way(TgPass *p, TgValue v, TgValue x, Way *way)
{
    return follow(p, v, x, way) == x && way->linears >= 2 && way->stage[way->n - 1].is_linear;
}

/* n adds an adapter to a FullyConnected: Add, in either order; or a Gemm, whose own product is the FullyConnected, or
 * the last one of the adapter. Or it takes one away. */
static bool read_adapter(TgPass *p, TgNodeInfo *n, bool other, Fc *base, Way *way)
{
    *way = (Way){.negative = n->op == TG_Sub};
    if (n->op == TG_Add || (n->op == TG_Sub && !other)) {
        TgValue first = n->in[other], side = n->in[!other];
        bool alone = first != side && same_type(p->g, first, side) && tg_used_once(p->g, first) &&
                     tg_used_once(p->g, side);
        TgValue product = before_cast(p->g, first);
        if (product != first)
            way->mixed = tg_type_of(p->g, first)->dtype;
        return alone && (product == first || tg_used_once(p->g, product)) && fc_of(p, product, base) &&
               read_way(p, side, base->x, way);
    }
    Fc product;
    TgValue added = n->op == TG_Gemm ? in(n, 2) : 0;
    if (!added || is_const(p->g, added) || !tg_used_once(p->g, added) || !same_type(p->g, added, n->out[0]) ||
        !fc_without_sum(p, n, &product))
        return false;
    if (other) {
        *base = product;
        return read_way(p, added, base->x, way);
    }
    add_stage(way, (Stage){.is_linear = true, .fc = product});
    return fc_of(p, added, base) && read_way(p, product.x, base->x, way);
}

/* --- merging ------------------------------------------------------------------------------------- */

typedef struct {
    TgValue weight, bias; /* in the layout of the weight that takes it; bias 0: none */
} Side;

/* In the precision of the sum, if Casts were on the way. */
static TgValue as_sum(TgPass *p, const Way *way, TgValue v)
{
    return v && way->mixed && tg_type_of(p->g, v)->dtype != way->mixed ? pass_cast(p, v, way->mixed) : v;
}

static bool append_factor(TgPass *p, const Fc *like, const Way *way, const Step *s, Side *w)
{
    TgValue by = as_sum(p, way, factor_of(p, s, s->c));
    w->weight = by ? fc_scale_columns(p, like, w->weight, by) : 0;
    w->bias = w->bias && by ? pass_op(p, TG_Mul, NULL, 2, w->bias, by) : w->bias;
    return w->weight != 0;
}

static bool append_linear(TgPass *p, const Fc *like, const Way *way, const Fc *fc, Side *w)
{
    bool flip = like->transposed;
    TgValue weight = as_sum(p, way, fc_weight_like(p, like, fc));
    TgValue bias = fc->bias ? as_sum(p, way, fc_bias_vector(p, fc)) : 0;
    if (!w->weight) {
        *w = (Side){weight, bias};
        return weight != 0;
    }
    TgValue before = w->weight, shift = w->bias;
    w->weight = weight ? pass_op(p, TG_MatMul, NULL, 2, flip ? weight : before, flip ? before : weight) : 0;
    shift =
        shift && weight ? pass_op(p, TG_MatMul, NULL, 2, flip ? weight : shift, flip ? shift : weight) : 0;
    w->bias = shift && bias ? pass_op(p, TG_Add, NULL, 2, shift, bias) : shift ? shift : bias;
    return w->weight != 0;
}

/* The stages from x on, behind what w says already. */
static bool append_way(TgPass *p, const Fc *like, const Way *way, Side *w)
{
    for (uint32_t i = way->n; i-- > 0;)
        if (way->stage[i].is_linear ? !append_linear(p, like, way, &way->stage[i].fc, w)
                                    : !append_factor(p, like, way, &way->stage[i].factor, w))
            return false;
    return true;
}

static TgValue merge(TgPass *p, const Fc *base, const Way *way)
{
    Side w = {0};
    TgDtype own = tg_type_of(p->g, base->weight)->dtype;
    if (!append_way(p, base, way, &w))
        return 0;
    if (w.bias && way->negative)
        w.bias = pass_op(p, TG_Neg, NULL, 1, w.bias);
    TgValue whole = as_sum(p, way, base->weight), shift = as_sum(p, way, base->bias);
    TgValue weight = whole ? pass_op(p, way->negative ? TG_Sub : TG_Add, NULL, 2, whole, w.weight) : 0;
    TgValue bias = w.bias && shift ? pass_op(p, TG_Add, NULL, 2, shift, w.bias) : shift ? shift : w.bias;
    if (way->mixed && way->mixed != own) {
        weight = weight ? pass_cast(p, weight, own) : 0;
        bias = bias ? pass_cast(p, bias, own) : 0;
    }
    bool constant = weight && is_const(p->g, weight) && (!bias || is_const(p->g, bias));
    return constant ? fc_make(p, base, base->x, weight, bias) : 0;
}

static void explain(TgPass *p, const TgNodeInfo *sum, const Fc *base, const Way *way, const char *decision)
{
    double weight = (double)base->k * (double)base->n;
    pass_explain(p, sum,
                 "adapter of rank %lld: as it is %.0f products for each row, as one weight beside the other "
                 "%.0f, in that weight none: %s",
                 (long long)way->rank, way->products, weight, decision);
}

/* False: n adds none. */
static bool merge_adapter(TgPass *p, TgNodeInfo *n, bool other)
{
    Fc base;
    Way way;
    if (!read_adapter(p, n, other, &base, &way))
        return false;
    if (!p->options->merge_lora) {
        bool low = way.products < (double)base.k * (double)base.n;
        explain(p, n, &base, &way,
                low ? "stays as it is (--merge-lora: into the weight)" : "into the weight, by way of one");
        return true;
    }
    if (way.mixed && !p->options->approximate) {
        explain(p, n, &base, &way, "stays, since it is in another precision (--approximate with --merge-lora)");
        return true;
    }
    if (!fc_owns_weight(p, &base) || !pass_may(p))
        return true;
    p->vouched = true;
    TgValue made = merge(p, &base, &way);
    p->vouched = false;
    if (made && way.mixed && tg_type_of(p->g, made)->dtype != way.mixed)
        made = pass_cast(p, made, way.mixed);
    if (!made || !same_type(p->g, made, n->out[0]))
        return true;
    explain(p, n, &base, &way, "into the weight (--merge-lora)");
    p->approximate = way.mixed != TG_undefined;
    pass_count(p, "merge-adapter");
    pass_replace(p, n->out[0], made, "merge-adapter");
    p->approximate = false;
    return true;
}

/* --- embeddings ----------------------------------------------------------------------------------- */

/* v is rows of a constant matrix of floats. */
static const TgNodeInfo *rows_of(const TgPass *p, TgValue v)
{
    const TgNodeInfo *n = tg_producer(p->g, v, TG_Gather);
    bool rows = n && tg_used_once(p->g, v) && tg_attr_int(n, "axis") == 0 && is_const(p->g, n->in[0]) &&
                pass_rank(p->g, n->in[0]) == 2 && tg_is_float(tg_type_of(p->g, n->in[0])->dtype);
    return rows ? n : NULL;
}

/* The table of `base` with what the way makes of each row of `narrow`; 0: it does not become a constant. */
static TgValue merge_tables(TgPass *p, const TgNodeInfo *base, const TgNodeInfo *narrow, const Way *way)
{
    const Fc as_they_lie = {0};
    Side w = {.weight = narrow->in[0]};
    if (!append_way(p, &as_they_lie, way, &w))
        return 0;
    TgValue rows = w.bias ? pass_op(p, TG_Add, NULL, 2, w.weight, w.bias) : w.weight;
    TgValue table = rows ? pass_op(p, way->negative ? TG_Sub : TG_Add, NULL, 2, base->in[0], rows) : 0;
    return table && is_const(p->g, table) ? table : 0;
}

/* n adds an adapter to rows that are looked up, in whichever order, or takes it away. */
static void merge_embedding(TgPass *p, const TgNodeInfo *n, bool other)
{
    Way way = {.negative = n->op == TG_Sub};
    bool sum = n->op == TG_Add || (n->op == TG_Sub && !other);
    const TgNodeInfo *base = sum ? rows_of(p, n->in[other]) : NULL, *narrow = NULL;
    if (base && tg_used_once(p->g, n->in[!other]))
        narrow = rows_of(p, follow(p, n->in[!other], 0, &way));
    if (!narrow || narrow == base || way.mixed || !way.linears || narrow->in[1] != base->in[1] ||
        pass_dim(p->g, narrow->in[0], 0) != pass_dim(p->g, base->in[0], 0) || !is_changeable(p->g, base->in[0]) ||
        !p->options->merge_lora || !pass_may(p))
        return;
    p->vouched = true;
    TgValue table = merge_tables(p, base, narrow, &way);
    p->vouched = false;
    TgValue made = table ? pass_op(p, TG_Gather, base->attrs, 2, table, base->in[1]) : 0;
    if (!made || !same_type(p->g, made, n->out[0]))
        return;
    pass_count(p, "merge-embedding-adapter");
    pass_replace(p, n->out[0], made, "merge-embedding-adapter");
}

/* --- all -------------------------------------------------------------------------------------------- */

void pass_adapter(TgPass *p)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        bool read = info->n_out && is_read(p->g, info->out[0]);
        if (!read || merge_adapter(p, info, false) || merge_adapter(p, info, true))
            continue;
        for (uint32_t other = 0; other < 2 && !info->dead; other++)
            merge_embedding(p, info, other);
    }
}
