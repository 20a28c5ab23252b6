/* The check in two precisions: both graphs are run in float32 and float64 on the same inputs.
 *
 * Differences that come from rounding shrink by about 2^29 from one precision to the other; real ones do
 * not. Equal: D64 <= 2^-20 D32, or D64 <= 2^-48 (Higham, Accuracy and Stability of Numerical Algorithms, for
 * why rounding scales with the unit roundoff).
 *
 * Rounded constants. Where a constant of b was computed and rounded earlier, its rounding does not shrink; so
 * a difference is also excused when it is no larger than what one of them shows as its own constants, those
 * that the other one lacks, are moved by one unit in the last place. A wrong constant is thousands of units
 * away. A whole number was not rounded (and x^3 of a negative x, moved, is no number at all). There is no excuse where
 * the graphs differ in nothing but constants: nothing was computed then.
 *
 * Stability: an error of b against float64 that is significant and more than 4 times that of a is a
 * difference as well.
 */
#include <math.h>
#include <string.h>

#include "equiv_parts.h"

/* Both sides may round alike in float32 by luck (a softmax of large scores): what the source itself loses there
 * shows as well how much float64 may lose. */
static bool is_rounding(const EquivMeasure *m)
{
    return m->d64 <= ldexp(1, -48) || m->d64 <= ldexp(fmax(m->d32, m->err_a), -20);
}

/* b is far less exact than a: not for denormal inputs, where relative errors mean little. */
static bool is_unstable(const EquivSolve *s, const EquivMeasure *m)
{
    double floor_a = m->err_a > ldexp(1, -22) ? m->err_a : ldexp(1, -22);
    double tolerance = s->options->tolerance > 0 ? s->options->tolerance : 1e-3;
    return s->cls != TG_IN_TINY && m->err_b > tolerance && m->err_b > 4 * floor_a;
}

/* --- excuse: constants that were rounded earlier -------------------------------------------------------- */

/* Bodies are looked into as well; their nesting is bounded by the readers. */
static bool has_tensor(Tg *tg, const TgGraph *g, const TgTensor *t)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgTensor *other = tg_value(g, v)->tensor;
        if (other == t || (other && other->count == t->count && other->payload != TG_RECIPE &&
                           tg_tensor_equal(tg, other, t)))
            return true;
    }
    for (TgNode n = 1; n < g->nodes.n; n++)
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            if (has_tensor(tg, tg_node(g, n)->sub[s].graph, t))
                return true;
    return false;
}

/* A number's bits one up or down; zero, what would become infinite, and infinity itself stay. */
static inline uint64_t nudged(uint64_t bits, uint64_t sign, uint64_t largest, uint64_t noise)
{
    uint64_t magnitude = bits & (sign - 1);
    return magnitude == 0 || magnitude >= largest ? bits : noise & 1 ? bits + 1 : bits - 1;
}

static inline uint64_t coin(uint64_t seed, size_t i)
{
    return (i + seed) * 0x9e3779b97f4a7c15u >> 63;
}

#define NUDGE(Bits, largest)                                                                                 \
    do {                                                                                                     \
        Bits *x = data;                                                                                      \
        for (size_t i = 0; i < to->count; i++)                                                               \
            x[i] = (Bits)nudged(x[i], (uint64_t)1 << (8 * sizeof(Bits) - 1), largest, coin(seed, i));        \
    } while (0)

/* Each element one unit in the last place up or down, by chance. */
static const TgTensor *moved(TgArena *arena, const TgTensor *t, uint64_t seed)
{
    void *data;
    const TgTensor *from = tg_tensor_materialize(arena, t);
    TgTensor *to = from ? tg_tensor_blank(arena, t->dtype, t->rank, t->dim, &data) : NULL;
    if (!to)
        return t;
    memcpy(data, from->bytes, to->size);
    switch (t->dtype) {
    case TG_f32: NUDGE(uint32_t, 0x7f7fffffu); break;
    case TG_f64: NUDGE(uint64_t, 0x7fefffffffffffffu); break;
    case TG_f16: NUDGE(uint16_t, 0x7bffu); break;
    default: NUDGE(uint16_t, 0x7f7fu); break; /* bf16 */
    }
    return to;
}
#undef NUDGE

/* What was moved, to be put back: a constant, or the attributes of a node. */
typedef struct {
    TgValueInfo *value;
    const TgTensor *tensor;
    TgNodeInfo *node;
    const TgAttrs *attrs;
} Saved;

typedef struct {
    EquivSolve *s;
    TgArena *arena;
    uint64_t seed;
    TG_VEC(Saved)
    saved;
} Move;

static bool has_attrs(const TgGraph *g, const TgAttrs *attrs)
{
    for (TgNode n = 1; n < g->nodes.n; n++)
        if (tg_node(g, n)->attrs == attrs)
            return true;
    return false;
}

/* Numbers among the attributes (scale, alpha) are constants as well. */
static void move_attributes(Move *m, TgNodeInfo *n, uint64_t seed)
{
    TgAttrBuild build;
    Saved before = {.node = n, .attrs = n->attrs};
    tg_attrs_from(&build, m->s->tg, n->attrs);
    for (uint32_t i = 0; i < n->attrs->n; i++) {
        const TgAttr *a = &n->attrs->at[i];
        if (a->kind == TG_A_FLOAT && a->u.f != 0 && isfinite(a->u.f))
            tg_attrs_float(&build, a->name, nextafterf(a->u.f, coin(seed, i) ? INFINITY : -INFINITY));
    }
    n->attrs = tg_attrs_end(&build, n->op);
    TG_PUSH(m->arena, &m->saved, before);
}

static bool is_whole(Tg *tg, const TgTensor *t)
{
    double x;
    return t->count == 1 && t->payload != TG_RECIPE && tg_tensor_is_splat(tg, t, &x) && x == floor(x);
}

static void move_constants(Move *m, TgGraph *g, const TgGraph *other)
{
    for (TgValue v = 1; v < g->values.n; v++) {
        TgValueInfo *info = tg_value(g, v);
        const TgTensor *t = info->origin == TG_V_CONST ? info->tensor : NULL;
        bool read = info->uses.n || info->returned; /* not if it became an input: weights of any size */
        if (!t || !read || !tg_is_float(t->dtype) || tg_dtype_bits(t->dtype) < 16)
            continue;
        if (is_whole(m->s->tg, t) || has_tensor(m->s->tg, other, t))
            continue;
        Saved before = {.value = info, .tensor = t};
        TG_PUSH(m->arena, &m->saved, before);
        info->tensor = moved(m->arena, t, tg_mix(m->seed, v));
    }
    for (TgNode n = 1; n < g->nodes.n; n++) {
        if (tg_node(g, n)->attrs->n && !has_attrs(other, tg_node(g, n)->attrs))
            move_attributes(m, tg_node(g, n), tg_mix(m->seed, n));
        for (uint32_t s = 0; s < tg_node(g, n)->n_sub; s++)
            move_constants(m, tg_node(g, n)->sub[s].graph, other);
    }
}

static void put_back(Move *m)
{
    while (m->saved.n-- > 0) {
        const Saved *before = &m->saved.at[m->saved.n];
        if (before->node)
            before->node->attrs = before->attrs;
        else
            before->value->tensor = before->tensor;
    }
}

/* How far output `output` of a graph goes when its own constants move; `value`: where it is. */
static double sensitivity(EquivSolve *s, bool of_b, const TgArray *in, uint32_t output, const TgArray *value,
                          uint64_t seed)
{
    TgGraph *g = of_b ? s->p->b->graph : s->p->a->graph, *other = of_b ? s->p->a->graph : s->p->b->graph;
    Move m = {.s = s, .arena = tg_arena_new(s->tg), .seed = seed};
    TgEvaluator *own = s->evaluator;
    TgArray *out;
    double distance = 0;
    move_constants(&m, g, other);
    s->evaluator = tg_evaluator_new(s->tg); /* the other one keeps constants of bodies as they were */
    if (m.saved.n && equiv_evaluate(s, g, TG_EVAL_F64, in, &out)) {
        distance = equiv_distance(value, &out[output]);
        equiv_drop(s, out, g->outputs.n);
    }
    tg_evaluator_drop(s->evaluator);
    s->evaluator = own;
    put_back(&m);
    tg_arena_free(m.arena);
    return distance;
}

/* One way to move them may cancel out by chance, several hardly. */
static bool is_excused(EquivSolve *s, const EquivMeasure *m, const TgArray *in, uint32_t output,
                       const TgArray *a64, const TgArray *b64)
{
    enum { WAYS = 8 };
    for (uint64_t seed = 0; seed < WAYS && !s->no_excuse; seed++)
        if (m->d64 <=
            4 * (sensitivity(s, true, in, output, b64, seed) + sensitivity(s, false, in, output, a64, seed)))
            return true;
    return false;
}

/* --- one draw ------------------------------------------------------------------------------------------- */

typedef struct {
    TgArray *in32, *in64, *a32, *a64, *b32, *b64;
} Draw;

/* Not of single replacements: their regions are nowhere printed. */
static void name_worst(EquivSolve *s, uint32_t output, const EquivQuad *q, int64_t element)
{
    TgText text;
    tg_text_init(&text, s->arena);
    if (s->options->rewrite || !equiv_element_text(s, &text, TG_EVAL_F32, output, q->a32, q->b32, element))
        return;
    double a = tg_array_float(TG_EVAL_F32, q->a32, element), b = tg_array_float(TG_EVAL_F32, q->b32, element);
    s->result->worst = tg_name_n(s->tg, text.at, text.n);
    s->result->apart = fabs(a - b) / fmax(fabs(a), fabs(b));
}

static void note_worst(EquivSolve *s, uint32_t output, const EquivQuad *q, const EquivMeasure *m)
{
    TgEquivResult *r = s->result;
    double amplification = m->err_a > 0 ? m->err_b / m->err_a : 1;
    if (m->d32 > r->worst32) {
        r->worst32 = m->d32;
        name_worst(s, output, q, m->element32);
    }
    if (m->d64 > r->worst64)
        r->worst64 = m->d64;
    if (m->err_b > ldexp(1, -20) && amplification > r->amplification)
        r->amplification = amplification;
}

/* Where the two part: named values of a, in float64, are held against those of the same name in b. */
typedef struct {
    EquivSolve *s;
    TgMap first;
    TG_VEC(TgArray)
    kept;
    bool second;
    TgName clearly, slightly; /* the first that differs by more than rounded constants make it; at all */
} Parting;

static bool other_integers(const TgArray *a, const TgArray *b)
{
    for (int64_t i = 0; i < a->count && a->count == b->count; i++)
        if (tg_array_int(a, i) != tg_array_int(b, i))
            return true;
    return a->count != b->count;
}

static void watch_parting(void *user, const TgGraph *g, TgValue v, TgArray *value)
{
    Parting *p = user;
    TgName name = tg_value(g, v)->name;
    uint64_t i;
    if (!name || value->kind != TG_TENSOR || (g != p->s->p->a->graph && g != p->s->p->b->graph))
        return;
    if (!p->second) {
        tg_map_put(&p->first, TG_KEY(name), p->kept.n);
        TG_PUSH(p->s->arena, &p->kept, tg_array_share(value));
    } else if (!p->clearly && tg_map_get(&p->first, TG_KEY(name), &i)) {
        const TgArray *a = &p->kept.at[i];
        bool whole = a->dtype == value->dtype && tg_is_integer(a->dtype);
        double distance = whole ? other_integers(a, value) : equiv_distance(a, value);
        p->clearly = distance > ldexp(1, -20) ? name : NULL;
        p->slightly = !p->slightly && distance > ldexp(1, -44) ? name : p->slightly;
    }
}

static TgName place_of_parting(EquivSolve *s, const TgArray *in64, TgName output)
{
    Parting p = {.s = s};
    TgArray *out;
    tg_map_init(&p.first, s->arena);
    s->watch = watch_parting;
    s->user = &p;
    for (int side = 0; side < 2; side++, p.second = true) {
        TgGraph *g = side ? s->p->b->graph : s->p->a->graph;
        if (equiv_evaluate(s, g, TG_EVAL_F64, in64, &out))
            equiv_drop(s, out, g->outputs.n);
    }
    s->watch = NULL;
    equiv_drop(s, p.kept.at, p.kept.n);
    return p.clearly ? p.clearly : p.slightly ? p.slightly : output;
}

static EquivOutcome judge(EquivSolve *s, const Draw *d, bool *excused)
{
    for (uint32_t i = 0; i < s->p->a->graph->outputs.n; i++) {
        EquivQuad q = {&d->a32[i], &d->a64[i], &d->b32[i], &d->b64[i], s->cls == TG_IN_ODD};
        EquivMeasure m = equiv_measure(&q);
        if (m.broken)
            return equiv_differs(s, i, q.a64, q.b64, m.element, m.broken);
        if (!is_rounding(&m)) {
            if (!is_excused(s, &m, d->in64, i, &d->a64[i], &d->b64[i]))
                return equiv_differs(s, i, q.a64, q.b64, m.element, "which rounding does not explain");
            *excused = true;
        }
        if (is_unstable(s, &m))
            return equiv_differs(s, i, q.a64, q.b64, m.element,
                                 "an error in float32 more than 4 times that of the source");
        note_worst(s, i, &q, &m);
    }
    return (EquivOutcome){.verdict = TG_EQUAL};
}

static bool any_results(const TgArray *out, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (out[i].kind == TG_TENSOR && out[i].count)
            return true;
    return false;
}

/* a must run; that b then does not is a difference, unless b has an operator that nobody can run. */
EquivOutcome equiv_draw_floats(EquivSolve *s, bool *excused)
{
    TgGraph *a = s->p->a->graph, *b = s->p->b->graph;
    uint64_t seed = s->options->seed + s->cls;
    Draw d = {0};
    EquivOutcome o = {.verdict = TG_UNDECIDED};
    TgMark mark = tg_mark(s->arena);
    equiv_choose_sizes(s);
    bool runs = equiv_make_inputs(s, TG_EVAL_F32, seed, &d.in32) &&
                equiv_make_inputs(s, TG_EVAL_F64, seed, &d.in64) &&
                equiv_evaluate(s, a, TG_EVAL_F32, d.in32, &d.a32) &&
                equiv_evaluate(s, a, TG_EVAL_F64, d.in64, &d.a64);
    if (!runs || (s->empty && !any_results(d.a64, a->outputs.n)))
        o.why = s->reason;
    else if (equiv_evaluate(s, b, TG_EVAL_F32, d.in32, &d.b32) &&
             equiv_evaluate(s, b, TG_EVAL_F64, d.in64, &d.b64))
        o = judge(s, &d, excused);
    else
        o = equiv_only_second_fails(s);
    if (o.verdict == TG_DIFFERENT && d.b64 && !s->options->rewrite)
        o.where = place_of_parting(s, d.in64, o.where);
    equiv_drop(s, d.in32, a->inputs.n);
    equiv_drop(s, d.in64, a->inputs.n);
    equiv_drop(s, d.a32, a->outputs.n);
    equiv_drop(s, d.a64, a->outputs.n);
    equiv_drop(s, d.b32, b->outputs.n);
    equiv_drop(s, d.b64, b->outputs.n);
    tg_release(s->arena, mark);
    return o;
}
