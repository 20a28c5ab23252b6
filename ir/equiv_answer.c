/* Answers a question: on sight, from memory, in its general form, and only then as it stands.
 *
 * A question is two small graphs. They are hashed without names: constants of few elements by their bytes,
 * inputs by position. In the general form weights are inputs, so the hash does not know them, and the answer
 * "equal" serves every layer that asks the same. */
#include <math.h>

#include "equiv_parts.h"

/* --- hash of a question --------------------------------------------------------------------------------- */

enum { SMALL = 64 }; /* constants of at most so many elements count by their bytes */

typedef struct {
    TgMap number;
    uint32_t last;
} Numbers;

static uint64_t constant_hash(Tg *tg, const TgTensor *t, bool structure)
{
    uint64_t type = TG_KEY(tg_tensor_type(tg, t));
    if (structure)
        return type;
    bool by_value = t->payload == TG_SPLAT || (t->count <= SMALL && t->payload != TG_RECIPE);
    return tg_mix(type, by_value ? tg_tensor_hash(tg, t) : TG_KEY(t));
}

static uint64_t graph_hash(TgGraph *g, bool structure);

static uint64_t node_hash(const TgNodeInfo *n, bool structure)
{
    uint64_t h = tg_mix(tg_mix(n->op, TG_KEY(n->attrs)), tg_mix(TG_KEY(n->op_name), TG_KEY(n->domain)));
    h = tg_mix(h, tg_mix(n->n_formal, n->n_in));
    for (uint32_t s = 0; s < n->n_sub; s++) {
        for (uint32_t k = 0; k < n->sub[s].outer.n; k++)
            h = tg_mix(h, n->sub[s].outer.at[k]);
        h = tg_mix(tg_mix(h, TG_KEY(n->sub[s].attr)), graph_hash(n->sub[s].graph, structure));
    }
    return h;
}

/* Nesting of subgraphs is bounded by the readers. */
static uint64_t graph_hash(TgGraph *g, bool structure)
{
    TgArena *scratch = tg_scratch(g->tg);
    TgMark mark = tg_mark(scratch);
    uint32_t n;
    const TgNode *order = tg_graph_order(g, &n);
    uint64_t *h = TG_NEW_N(scratch, uint64_t, g->values.n), all = g->outputs.n;
    for (TgValue v = 1; v < g->values.n; v++) {
        const TgValueInfo *info = tg_value(g, v);
        if (info->origin == TG_V_CONST && info->tensor)
            /* of dummies the type counts */
            h[v] = tg_mix(constant_hash(g->tg, info->tensor, structure), TG_KEY(info->type));
        else if (info->origin == TG_V_INPUT || info->origin == TG_V_CAPTURE)
            h[v] = tg_mix(tg_mix(2 + info->origin, info->index),
                          tg_mix(TG_KEY(info->type), TG_KEY(info->initial)));
    }
    for (uint32_t i = 0; i < n; i++) {
        const TgNodeInfo *info = tg_node(g, order[i]);
        uint64_t sum = node_hash(info, structure);
        for (uint32_t k = 0; k < info->n_in; k++)
            sum = tg_mix(sum, info->in[k] ? h[info->in[k]] : 0);
        for (uint32_t k = 0; k < info->n_out; k++)
            h[info->out[k]] = tg_mix(sum, k + 1);
    }
    for (uint32_t i = 0; i < g->outputs.n; i++)
        all = tg_mix(all, h[g->outputs.at[i].value]);
    tg_release(scratch, mark);
    return all;
}

uint64_t equiv_question(const EquivProblem *p, int side)
{
    return graph_hash(side ? p->b->graph : p->a->graph, false);
}

bool equiv_same_structure(const EquivProblem *p)
{
    return graph_hash(p->a->graph, true) == graph_hash(p->b->graph, true);
}

/* --- asking --------------------------------------------------------------------------------------------- */

void equiv_memo_init(EquivMemo *m, Tg *tg, TgArena *arena, const TgEquivOptions *options,
                     TgEquivResult *result)
{
    *m = (EquivMemo){.tg = tg, .arena = arena, .options = options, .result = result};
    tg_map_init(&m->solved, arena);
}

/* The chances of several false "equal" add up. */
void equiv_note(TgEquivResult *r, const EquivOutcome *o)
{
    r->vouched += o->verdict == TG_EQUAL && !o->proved;
    if (o->verdict != TG_EQUAL || !o->proved)
        return;
    double high = fmax(r->bound, o->bound), low = fmin(r->bound, o->bound);
    r->bound = r->proved ? fmin(0, high + log2(1 + exp2(low - high))) : o->bound;
    r->proved++;
}

/* The answer to p, which it uses up. */
static EquivOutcome ask(EquivMemo *m, EquivProblem *p, double most_work, uint64_t hash)
{
    uint64_t known;
    if (tg_map_get(&m->solved, hash, &known)) {
        m->result->reused++;
        equiv_problem_free(p);
        return *(const EquivOutcome *)(uintptr_t)known;
    }
    if (most_work > 0 && equiv_work(p->a->graph) + equiv_work(p->b->graph) > most_work) {
        equiv_problem_free(p);
        return (EquivOutcome){.verdict = TG_UNDECIDED, .why = "too much work in the sizes of the model"};
    }
    m->result->checked++;
    EquivOutcome *o = TG_NEW(m->arena, EquivOutcome);
    *o = equiv_solve(m->tg, p, m->options, m->result);
    equiv_problem_free(p);
    equiv_note(m->result, o);
    tg_map_put(&m->solved, hash, TG_KEY(o));
    return *o;
}

EquivOutcome equiv_answer(EquivMemo *m, EquivProblem (*make)(void *user), void *user, bool thorough,
                          double most_work)
{
    static const double once = 4; /* more may be spent on what all layers ask */
    EquivOutcome o;
    m->result->regions++;
    if (equiv_is_spent(m->tg, m->options, m->result, &o))
        return o;
    EquivProblem p = make(user);
    uint64_t a = equiv_question(&p, 0), b = equiv_question(&p, 1);
    if (a == b) {
        m->result->reused++;
        equiv_problem_free(&p);
        return (EquivOutcome){
            .verdict = TG_EQUAL, .proved = true, .bound = -62, .form = EQUIV_ON_SIGHT}; /* hashes of 64 bits */
    }
    for (EquivForm form = 0; form < EQUIV_FORMS; form++) {
        if (equiv_generalize(&p, form) == EQUIV_GENERAL) {
            bool any = form == EQUIV_ANY_TABLES || form == EQUIV_ANY_HALVES;
            o = ask(m, &p, any ? once * most_work : most_work, tg_mix(equiv_question(&p, 0), equiv_question(&p, 1)));
            o.form = (int)form;
            if (o.verdict == TG_EQUAL ||
                (o.verdict == TG_DIFFERENT && !thorough && form == EQUIV_TRUE_WEIGHTS))
                return o;
        } else {
            equiv_problem_free(&p);
        }
        p = make(user);
    }
    o = ask(m, &p, most_work, tg_mix(a, b));
    o.form = EQUIV_FORMS;
    return o;
}
