/* One arena: when buffers live, which of them may lie in the same place, and where.
 *
 * Sizes are upper bounds: every symbol at its largest, or at whatever corner of its range makes the size largest.
 * Offsets are given greedily, each as low as it fits beside those that live at the same time, in the best of a few
 * orders. The result of a loop takes the buffer of an operand that dies in it and lies in the same order.
 */
#include <stdlib.h>

#include "passes/planner.h"

/* --- bounds ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const TgPlan *plan;
    int64_t otherwise; /* of symbols that the plan does not know; -1: they have no bound */
} Bounds;

static bool most_of_symbol(void *user, TgDim symbol, int64_t *n)
{
    const Bounds *b = user;
    *n = b->otherwise;
    for (uint32_t i = 0; i < b->plan->symbols.n; i++)
        if (b->plan->symbols.at[i].symbol == symbol)
            *n = b->plan->symbols.at[i].most;
    return *n >= 0;
}

/* The number of elements of a view is that of what it views: of later views first, since those may view earlier
 * ones. */
static TgDim seen_through(const TgPlan *p, TgDim d)
{
    TgDim times;
    for (uint32_t i = p->counts.n; i > 0; i -= 2)
        if (tg_dim_exact_div(p->graph->tg, d, p->counts.at[i - 2], &times))
            d = tg_dim_mul(p->graph->tg, times, p->counts.at[i - 1]);
    return d;
}

static int64_t most_of(const TgPlan *p, TgDim d, int64_t otherwise)
{
    Bounds bounds = {p, otherwise};
    int64_t most, other;
    TgDim seen = seen_through(p, d);
    if (!tg_dim_most(d, most_of_symbol, &bounds, &most))
        most = -1;
    if (seen != d && tg_dim_most(seen, most_of_symbol, &bounds, &other))
        most = most >= 0 && most < other ? most : other;
    return most;
}

int64_t tg_plan_most(const TgPlan *p, TgDim d) { return most_of(p, d, -1); }

int64_t plan_most(const Planner *p, TgDim d) { return most_of(p->plan, d, TG_PLAN_UNNAMED); }

/* A product of sums may be more than an expression holds: then its count is a symbol of its own, of which nobody
 * knows a thing. */
static int64_t most_elements(const TgPlan *p, const TgType *type, int64_t otherwise)
{
    int64_t n = 1, count = most_of(p, tg_type_count(p->graph->tg, type), -1);
    for (int32_t k = 0; k < type->rank; k++) {
        int64_t size = most_of(p, type->dim[k], otherwise);
        if (size < 0 || __builtin_mul_overflow(n, size, &n))
            return count;
    }
    return count >= 0 && count < n ? count : n;
}

int64_t tg_plan_most_elements(const TgPlan *p, const TgType *type) { return most_elements(p, type, -1); }

/* --- lifetimes ---------------------------------------------------------------------------------------------------- */

typedef struct Round {
    uint32_t start, end; /* numbers of the steps of a loop */
    const struct Round *outer;
} Round;

static uint32_t last_number(const TgStep *s)
{
    uint32_t last = s->number;
    for (uint32_t b = 0; b < 2; b++)
        if (s->body[b].n) {
            uint32_t inner = last_number(s->body[b].at[s->body[b].n - 1]);
            last = inner > last ? inner : last;
        }
    return last;
}

static void touch(Planner *p, TgValue v, uint32_t number, const Round *round)
{
    if (!v || !plan_place(p, v)->buffer)
        return;
    TgBuffer *b = &p->plan->buffers.at[plan_place(p, v)->buffer];
    if (!b->first || number < b->first)
        b->first = number;
    if (b->last < number)
        b->last = number;
    for (; round; round = round->outer)
        if (b->first < round->start && b->last < round->end)
            b->last = round->end;
}

static void touch_all(Planner *p, const TgValues *values, uint32_t number, const Round *round)
{
    for (uint32_t i = 0; i < values->n; i++)
        touch(p, values->at[i], number, round);
}

static void touch_carried(Planner *p, const TgRepeat *r, const Round *self)
{
    const TgValues *lists[] = {&r->initial, &r->current, &r->next,    &r->final,
                               &r->row,     &r->stacked, &r->scanned, &r->element};
    TgValue single[] = {r->trip, r->start, r->counter, r->condition, r->again};
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t number = side ? self->end : self->start;
        for (uint32_t i = 0; i < sizeof lists / sizeof *lists; i++)
            touch_all(p, lists[i], number, self->outer);
        for (uint32_t i = 0; i < sizeof single / sizeof *single; i++)
            touch(p, single[i], number, self->outer);
    }
}

static void touch_steps(Planner *p, const TgSteps *steps, const Round *round)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        touch_all(p, &s->in, s->number, round);
        touch_all(p, &s->out, s->number, round);
        if (s->then) {
            touch_all(p, &s->then->in, s->number, round);
            touch_all(p, &s->then->out, s->number, round);
        }
        Round self = {s->number, last_number(s), round};
        if (s->kind == TG_STEP_REPEAT)
            touch_carried(p, s->u.repeat.about, &self);
        for (uint32_t b = 0; b < 2; b++)
            touch_steps(p, &s->body[b], s->kind == TG_STEP_REPEAT ? &self : round);
    }
}

/* --- in place ----------------------------------------------------------------------------------------------------- */

static bool lies_alike(const TgPlan *plan, const TgStep *s, uint32_t a, uint32_t b)
{
    int32_t rank = s->u.pointwise.rank;
    const TgDim *x = s->u.pointwise.stride + a * (uint32_t)rank, *y = s->u.pointwise.stride + b * (uint32_t)rank;
    for (int32_t k = 0; k < rank; k++)
        if (x[k] != y[k])
            return false;
    TgValue va = a < s->in.n ? s->in.at[a] : s->out.at[0], vb = b < s->in.n ? s->in.at[b] : s->out.at[0];
    return plan->places.at[va].offset == plan->places.at[vb].offset;
}

/* The result of loop s may lie where its operand number i does. */
static bool may_overwrite(const TgPlan *plan, const TgStep *s, uint32_t i)
{
    uint32_t from = plan->places.at[s->in.at[i]].buffer, to = plan->places.at[s->out.at[0]].buffer;
    const TgBuffer *a = &plan->buffers.at[from], *b = &plan->buffers.at[to];
    if (a->kind != TG_BUFFER_ARENA || b->kind != TG_BUFFER_ARENA || from == to || a->last != s->number ||
        b->first != s->number || a->first == s->number || a->bytes < b->bytes ||
        tg_dtype_bits(a->dtype) != tg_dtype_bits(b->dtype))
        return false;
    for (uint32_t k = 0; k < s->in.n; k++)
        if (plan->places.at[s->in.at[k]].buffer == from && !lies_alike(plan, s, k, s->in.n))
            return false;
    return true;
}

/* Buffers that took over another one say which; the chain ends at the one that gets an offset. */
static void share_buffers(TgPlan *plan, const TgSteps *steps, uint32_t *share)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        for (uint32_t k = 0; s->kind == TG_STEP_POINTWISE && k < s->in.n; k++) {
            if (!may_overwrite(plan, s, k))
                continue;
            uint32_t from = plan->places.at[s->in.at[k]].buffer, to = plan->places.at[s->out.at[0]].buffer;
            while (share[from])
                from = share[from];
            share[to] = from;
            break;
        }
        if (s->kind != TG_STEP_REPEAT)
            for (uint32_t b = 0; b < 2; b++)
                share_buffers(plan, &s->body[b], share);
    }
}

/* --- offsets ------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t buffer;
    uint64_t weight; /* what orders them: heaviest first */
} Request;

static int heavier_first(const void *a, const void *b)
{
    const Request *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static int lower_first(const void *a, const void *b)
{
    const TgBuffer *x = *(const TgBuffer *const *)a, *y = *(const TgBuffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void give_offset(TgBuffer *b, TgBuffer **beside, uint32_t n)
{
    uint64_t at = 0;
    qsort(beside, n, sizeof *beside, lower_first);
    for (uint32_t i = 0; i < n && beside[i]->offset < at + b->bytes; i++)
        if (beside[i]->offset + beside[i]->bytes > at)
            at = beside[i]->offset + beside[i]->bytes;
    b->offset = at;
}

/* Returns the bytes that this order needs. */
static uint64_t give_offsets(Planner *p, const Request *order, uint32_t n)
{
    TgPlan *plan = p->plan;
    uint64_t top = 0;
    TgMark mark = tg_mark(tg_scratch(p->tg));
    TgBuffer **beside = TG_NEW_N(tg_scratch(p->tg), TgBuffer *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        TgBuffer *b = &plan->buffers.at[order[i].buffer];
        uint32_t count = 0;
        for (uint32_t k = 0; k < i; k++) {
            TgBuffer *other = &plan->buffers.at[order[k].buffer];
            if (other->first <= b->last && b->first <= other->last)
                beside[count++] = other;
        }
        give_offset(b, beside, count);
        top = b->offset + b->bytes > top ? b->offset + b->bytes : top;
    }
    tg_release(tg_scratch(p->tg), mark);
    return top;
}

enum { ORDERS = 4 };

/* Large ones, those that live long, both, and how much lives beside them at their fullest step. */
static void weigh(Planner *p, Request *order, uint32_t n, const uint64_t *live, int way)
{
    for (uint32_t i = 0; i < n; i++) {
        const TgBuffer *b = &p->plan->buffers.at[order[i].buffer];
        uint64_t life = b->last - b->first + 1, fullest = 0;
        for (uint32_t k = b->first; k <= b->last; k++)
            fullest = live[k] > fullest ? live[k] : fullest;
        const uint64_t weight[ORDERS] = {b->bytes, life, b->bytes / TG_PLAN_ALIGN * life, fullest};
        order[i].weight = weight[way];
    }
    qsort(order, n, sizeof *order, heavier_first);
}

/* The best of several greedy orders. */
static void place_buffers(Planner *p, Request *order, uint32_t n, const uint64_t *live)
{
    uint64_t best = UINT64_MAX;
    int chosen = 0;
    for (int way = 0; way < ORDERS && best > p->plan->floor_bytes; way++) {
        weigh(p, order, n, live, way);
        uint64_t bytes = give_offsets(p, order, n);
        if (bytes < best) {
            best = bytes;
            chosen = way;
        }
    }
    weigh(p, order, n, live, chosen);
    p->plan->arena_bytes = give_offsets(p, order, n);
}

/* Bytes that live in each step; the most of them is what no arena can do without. */
static uint64_t *count_live(Planner *p, const Request *order, uint32_t n)
{
    uint64_t *live = TG_NEW_N(p->arena, uint64_t, p->plan->n_steps + 2), now = 0;
    for (uint32_t i = 0; i < n; i++) {
        const TgBuffer *b = &p->plan->buffers.at[order[i].buffer];
        live[b->first] += b->bytes;
        live[b->last + 1] -= b->bytes; /* wraps back when it is added up */
    }
    for (uint32_t k = 0; k <= p->plan->n_steps; k++) {
        live[k] = now += live[k];
        if (now > p->plan->floor_bytes)
            p->plan->floor_bytes = now;
    }
    return live;
}

bool plan_allocate(Planner *p)
{
    TgPlan *plan = p->plan;
    uint32_t n = 0, *share = TG_NEW_N(p->arena, uint32_t, plan->buffers.n);
    Request *order = TG_NEW_N(p->arena, Request, plan->buffers.n);
    touch_steps(p, &plan->steps, NULL);
    for (uint32_t i = 1; i < plan->buffers.n; i++) {
        TgBuffer *b = &plan->buffers.at[i];
        uint64_t bits = tg_dtype_bits(b->dtype) < 8 ? 8 : (uint64_t)tg_dtype_bits(b->dtype);
        int64_t most = most_elements(plan, b->type, TG_PLAN_UNNAMED);
        if (most < 0 && b->kind == TG_BUFFER_ARENA && b->first)
            return tg_report(p->tg, TG_E_unbounded, "value", tg_dim_text(p->tg, b->count));
        uint64_t bytes = most < 0 ? 0 : tg_product(p->tg, (size_t)most, bits / 8);
        b->bytes = (bytes + TG_PLAN_ALIGN - 1) / TG_PLAN_ALIGN * TG_PLAN_ALIGN;
    }
    share_buffers(plan, &plan->steps, share);
    for (uint32_t i = 1; i < plan->buffers.n; i++) {
        TgBuffer *b = &plan->buffers.at[i];
        if (b->kind != TG_BUFFER_ARENA || !b->first)
            continue;
        plan->sum_bytes += b->bytes;
        if (share[i]) {
            uint32_t root = share[i];
            while (share[root])
                root = share[root];
            if (plan->buffers.at[root].last < b->last)
                plan->buffers.at[root].last = b->last;
            continue;
        }
        order[n++] = (Request){i, b->bytes};
    }
    place_buffers(p, order, n, count_live(p, order, n));
    for (uint32_t i = 1; i < plan->buffers.n; i++) {
        uint32_t root = i;
        while (share[root])
            root = share[root];
        plan->buffers.at[i].offset = plan->buffers.at[root].offset;
    }
    return true;
}
