/* GroupQueryAttention of com.microsoft: causal attention of which several heads may share their keys and values,
 * with the rotary embedding of queries and keys, from one product that has all three side by side. Of
 *
 *     Attention(RotaryEmbedding(q), RotaryEmbedding(k), v; is_causal=1)      q, k, v = Split(product)
 *
 * one operator is left, and what is new is little and shared by all layers: the numbers of tokens. It is made
 * where that leaves no more nodes than before (so all of a graph are weighed together), and where it means the
 * same. It hides what is ahead and nothing else; so whatever has a mask stays: padding may be on the left. It
 * rotates token i by row i of its tables: so positions must be proved to be those, from the past on; a first
 * prompt may have any table that is the same for the whole batch.
 *
 * On the CPU attention of f32 with a past stays as well: the operator copies the past once for every head of the
 * queries, and a step of one token takes longer than with Attention (measured, ONNX Runtime 1.32: 0.8 to 1.0 times
 * as fast behind 500 to 2000 tokens; without a past 1.0 to 1.6 times; f16, where Attention has slower kernels, 1.0
 * to 4 times in every case). Needs: attention and rotary embeddings recognised, projections merged. Breaks:
 * nothing; no pass looks at these again. */
#include "axes.h"
#include "pass.h"
#include "positions.h"

enum { QUERY, KEY, VALUE, MASK, PAST_KEY, PAST_VALUE, NONPAD };
enum { SEQLENS = 5, TOTAL, COS, SIN, QUERY_LENGTHS = 16, OPERANDS };

/* What is not read by heads: the numbers of tokens, i32. */
typedef struct {
    TgDim batch, queries, past;
    TgValue seqlens, total;
    TgValue lengths; /* of the queries; 0: the operator knows them */
} Tokens;

/* The rows of an embedding: [batch, tokens, half] that were made for it, or tables and positions. */
typedef struct {
    TgValue cos, sin, positions;
} Rows;

typedef struct {
    TgPass *p;
    TgNodeInfo *n;
    int64_t heads, groups, size;
    TgDim past;         /* 0: none is given */
    TgValue operand[3]; /* as they are to be given; after packing only the first */
    const TgNodeInfo *rotary; /* of the queries, where both are taken in; or NULL */
    Rows rows;         /* its own */
    TgValue cos, sin;  /* the tables that they are of */
} Candidate;

typedef TG_VEC(Candidate) Candidates;

static bool refuse(const Candidate *c, const char *why)
{
    pass_explain(c->p, c->n, "%s", why);
    return false;
}

static const TgType *type_of(const Candidate *c, uint32_t slot)
{
    return tg_type_of(c->p->g, c->n->in[slot]);
}

/* --- what it is ------------------------------------------------------------------------------------------- */

/* Queries, keys and values [batch, tokens, heads * size], of one size. */
static bool read_sizes(Candidate *c)
{
    const TgNodeInfo *n = c->n;
    for (uint32_t i = 0; i < 3; i++)
        if (pass_rank(c->p->g, n->in[i]) != 3 || !target_has_kernel(c->p, TG_ms_GroupQueryAttention, n->in[i]))
            return false;
    c->heads = tg_attr_int(n, "q_num_heads");
    c->groups = tg_attr_int(n, "kv_num_heads");
    int64_t width = pass_dim(c->p->g, n->in[QUERY], 2), of_groups = pass_dim(c->p->g, n->in[KEY], 2);
    if (c->groups < 1 || c->heads % c->groups || width < c->heads || width % c->heads)
        return false;
    c->size = width / c->heads;
    return of_groups == c->groups * c->size && pass_dim(c->p->g, n->in[VALUE], 2) == of_groups &&
           type_of(c, KEY)->dim[1] == type_of(c, QUERY)->dim[1];
}

static bool read_past(Candidate *c)
{
    TgValue key = in(c->n, PAST_KEY), value = in(c->n, PAST_VALUE);
    c->past = tg_dim(c->p->tg, 0);
    if (!key && !value)
        return true;
    if (!key || !value || !same_type(c->p->g, key, value))
        return refuse(c, "GroupQueryAttention wants a past of keys and of values of one length");
    if (c->p->options->target == TG_TARGET_ORT && type_of(c, QUERY)->dtype == TG_f32)
        return refuse(c, "with a past, GroupQueryAttention of f32 is slower than Attention on the CPU");
    c->past = tg_type_of(c->p->g, key)->dim[2];
    return true;
}

static bool is_usual(const TgPass *p, const TgNodeInfo *n)
{
    bool softmax = !tg_attr_has(n->attrs, "softmax_precision") || tg_attr_int(n, "softmax_precision") == TG_f32;
    return softmax && !in(n, NONPAD) && (n->n_out < 4 || !is_read(p->g, n->out[3]));
}

/* --- rotary embedding --------------------------------------------------------------------------------------- */

static Rows rows_of(const TgNodeInfo *rotary)
{
    return (Rows){rotary->in[1], rotary->in[2], in(rotary, 3)};
}

/* The positions of the map, whose axes are batch and tokens, are past, past + 1 ... for every batch. */
static bool follow_past(const Candidate *c, Alphabet *abc, const AxisMap *map, const Word *tokens)
{
    Position position;
    return position_of(abc, map, &position) && position.base == c->past &&
           position_is_index(abc, &position, tokens);
}

/* The table of rows [batch, tokens, half]: row i is that of token i. What Gather looked up for the tokens; without
 * a past also the rows themselves, where they are the same for the whole batch. */
static TgValue table_of_rows(Candidate *c, TgValue rows)
{
    enum { MOST = 8 };
    TgPass *p = c->p;
    Alphabet abc = {.g = p->g};
    AxisMap map, best = {0};
    uint32_t cost = AXES_NO_WAY;
    if (!axes_start(&abc, rows, &map) || map.rank != 3)
        return 0;
    Word axis[2] = {map.axis[1], map.axis[2]};
    for (uint32_t i = 0; i < MOST; i++) {
        const TgNodeInfo *gather = tg_producer(p->g, map.v, TG_Gather);
        if (gather && tg_attr_int(gather, "axis") == 0 && pass_rank(p->g, gather->in[0]) == 2 &&
            axes_same(&abc, &map.axis[map.rank - 1], &axis[1])) {
            AxisMap at = map;
            at.v = gather->in[1];
            at.rank--;
            if (follow_past(c, &abc, &at, &axis[0]))
                return gather->in[0];
        }
        uint32_t way = axes_arrange_cost(&abc, &map, 2, axis);
        if (way < cost) {
            cost = way;
            best = map;
        }
        if (!axes_back(&abc, &map, &map))
            break;
    }
    return cost < AXES_NO_WAY && tg_dim_is(c->past, 0) ? axes_arrange(p, &abc, &best, 2, axis) : 0;
}

static bool same_rows(const Rows *a, const Rows *b)
{
    return a->cos == b->cos && a->sin == b->sin && a->positions == b->positions;
}

/* `others`: candidates before, which may have found them already. */
static bool find_tables(Candidate *c, const Candidates *others)
{
    TgPass *p = c->p;
    Alphabet abc = {.g = p->g};
    AxisMap map;
    const Rows *rows = &c->rows;
    for (uint32_t i = 0; i < others->n; i++) {
        const Candidate *o = &others->at[i];
        if (o->rotary && same_rows(&o->rows, rows) && o->past == c->past) {
            c->cos = o->cos;
            c->sin = o->sin;
            return true;
        }
    }
    if (!rows->positions) {
        c->cos = table_of_rows(c, rows->cos);
        c->sin = c->cos ? table_of_rows(c, rows->sin) : 0;
    } else if (axes_start(&abc, rows->positions, &map) && map.rank == 2 &&
               follow_past(c, &abc, &map, &map.axis[1])) {
        c->cos = rows->cos;
        c->sin = rows->sin;
    }
    return c->sin && pass_rank(p->g, c->cos) == 2 && same_type(p->g, c->cos, c->sin);
}

static const TgNodeInfo *rotary_of(const Candidate *c, uint32_t slot)
{
    const TgGraph *g = c->p->g;
    return tg_used_once(g, c->n->in[slot]) ? tg_producer(g, c->n->in[slot], TG_RotaryEmbedding) : NULL;
}

/* Takes the embeddings of queries and keys in, if it can. */
static void take_rotary(Candidate *c, const Candidates *before)
{
    TgPass *p = c->p;
    const TgNodeInfo *q = rotary_of(c, QUERY), *k = rotary_of(c, KEY);
    if (!q || !k)
        return;
    c->rows = rows_of(q);
    Rows of_keys = rows_of(k);
    int64_t half = pass_dim(p->g, c->rows.cos, -1), part = tg_attr_int(q, "rotary_embedding_dim");
    bool alike = same_rows(&c->rows, &of_keys) && tg_attr_int(q, "interleaved") == tg_attr_int(k, "interleaved") &&
                 part == tg_attr_int(k, "rotary_embedding_dim");
    bool same_heads = tg_attr_int(q, "num_heads") == c->heads && tg_attr_int(k, "num_heads") == c->groups;
    if (!alike || !same_heads || (part ? part : c->size) != 2 * half)
        return;
    if (c->size % 16 || half % 8) {
        refuse(c, "GroupQueryAttention rotates heads of multiples of 16 elements, in multiples of 16");
    } else if (!find_tables(c, before)) {
        refuse(c, "GroupQueryAttention rotates tokens by their places: nothing proves that these positions are");
    } else {
        c->rotary = q;
        c->operand[QUERY] = q->in[0];
        c->operand[KEY] = k->in[0];
    }
}

/* One value that has queries, keys and values side by side. */
static void take_split(Candidate *c)
{
    const TgGraph *g = c->p->g;
    const TgNodeInfo *split = tg_producer(g, c->operand[QUERY], TG_Split);
    if (!split || split->n_out != 3 || (tg_attr_int(split, "axis") != 2 && tg_attr_int(split, "axis") != -1))
        return;
    for (uint32_t i = 0; i < 3; i++)
        if (c->operand[i] != split->out[i] || !tg_used_once(g, split->out[i]))
            return;
    c->operand[QUERY] = split->in[0];
    c->operand[KEY] = c->operand[VALUE] = 0;
}

/* A candidate, or a reason why it is none. */
static bool read(TgPass *p, TgNodeInfo *n, const Candidates *before, Candidate *c)
{
    *c = (Candidate){.p = p, .n = n, .operand = {n->in[QUERY], n->in[KEY], n->in[VALUE]}};
    if (!read_sizes(c) || !is_usual(p, n))
        return false;
    if (!tg_attr_int(n, "is_causal"))
        return c->groups != c->heads &&
               refuse(c, "GroupQueryAttention hides what is ahead, and its mask hides more or less: padding may be on "
                         "the left");
    if (in(n, MASK))
        return refuse(c, "GroupQueryAttention hides what is ahead and nothing else: padding may be on the left");
    if (c->size % 8)
        return refuse(c, "GroupQueryAttention takes heads of multiples of 8 elements");
    if (!read_past(c))
        return false;
    take_rotary(c, before);
    take_split(c);
    bool has_other = c->groups == c->heads && target_has_kernel(p, TG_ms_MultiHeadAttention, n->in[QUERY]);
    return c->rotary || !has_other;
}

/* --- numbers of tokens -------------------------------------------------------------------------------------- */

/* i64[1] */
static TgValue size_of(TgPass *p, TgValue v, int32_t axis)
{
    int64_t known = pass_dim(p->g, v, axis), start = axis, end = axis + 1;
    return known >= 0 ? pass_ints(p, 1, &known)
                      : pass_op(p, TG_Shape, tg_attrs(p->tg, TG_Shape, "end=i start=i", end, start), 1, v);
}

/* The one element of v for every entry of the batch. */
static TgValue for_every_entry(const Candidate *c, TgValue v)
{
    TgPass *p = c->p;
    TgValue batch = v ? size_of(p, c->operand[QUERY], 0) : 0;
    return !batch || pass_dim(p->g, c->operand[QUERY], 0) == 1 ? v : pass_op(p, TG_Expand, NULL, 2, v, batch);
}

/* The operator takes several new tokens behind a past for one entry only, unless it is told how many there are. */
static bool must_tell_lengths(const Candidate *c)
{
    int64_t past;
    bool none = tg_dim_known(c->past, &past) && past == 0;
    return !none && pass_dim(c->p->g, c->operand[QUERY], 0) != 1 && pass_dim(c->p->g, c->operand[QUERY], 1) != 1;
}

static bool make_tokens(const Candidate *c, Tokens *t)
{
    TgPass *p = c->p;
    TgValue past = in(c->n, PAST_KEY), queries = size_of(p, c->operand[QUERY], 1);
    TgValue length = past ? size_of(p, past, 2) : 0;
    TgValue all = past ? pass_op(p, TG_Add, NULL, 2, length, queries) : queries;
    TgValue one = pass_cast(p, pass_ints(p, 1, &(int64_t){1}), TG_i32);
    *t = (Tokens){type_of(c, QUERY)->dim[0], type_of(c, QUERY)->dim[1], c->past, .total = pass_cast(p, all, TG_i32)};
    t->seqlens = for_every_entry(c, pass_op(p, TG_Sub, NULL, 2, t->total, one));
    if (must_tell_lengths(c))
        t->lengths = for_every_entry(c, pass_cast(p, queries, TG_i32));
    return t->seqlens != 0;
}

typedef TG_VEC(Tokens) AllTokens;

/* Those of c. NULL: they are not there yet. */
static const Tokens *tokens_of(const Candidate *c, const AllTokens *all)
{
    const TgType *q = type_of(c, QUERY);
    for (uint32_t i = 0; i < all->n; i++)
        if (all->at[i].batch == q->dim[0] && all->at[i].queries == q->dim[1] && all->at[i].past == c->past)
            return &all->at[i];
    return NULL;
}

/* --- writing ------------------------------------------------------------------------------------------------ */

static const TgAttrs *attributes(const Candidate *c)
{
    TgAttrBuild b;
    tg_attrs_begin(&b, c->p->tg);
    tg_attrs_int(&b, "num_heads", c->heads);
    tg_attrs_int(&b, "kv_num_heads", c->groups);
    if (tg_attr_has(c->n->attrs, "scale"))
        tg_attrs_float(&b, "scale", (float)tg_attr_float(c->n, "scale"));
    if (tg_attr_float(c->n, "softcap") != 0)
        tg_attrs_float(&b, "softcap", (float)tg_attr_float(c->n, "softcap"));
    if (c->rotary)
        tg_attrs_int(&b, "do_rotary", 1);
    if (c->rotary && tg_attr_int(c->rotary, "interleaved"))
        tg_attrs_int(&b, "rotary_interleaved", 1);
    return tg_attrs_end(&b, TG_ms_GroupQueryAttention);
}

static uint32_t operands(const Candidate *c, const Tokens *t, TgValue operand[OPERANDS])
{
    const TgValue first[] = {c->operand[QUERY], c->operand[KEY], c->operand[VALUE], in(c->n, PAST_KEY),
                             in(c->n, PAST_VALUE), t->seqlens,   t->total,          c->cos,
                             c->sin};
    for (uint32_t i = 0; i < OPERANDS; i++)
        operand[i] = i < sizeof first / sizeof *first ? first[i] : 0;
    operand[QUERY_LENGTHS] = t->lengths;
    return t->lengths ? OPERANDS : c->sin ? SIN + 1 : TOTAL + 1;
}

static void write(const Candidate *c, const Tokens *t)
{
    TgPass *p = c->p;
    const TgNodeInfo *n = c->n;
    TgValue operand[OPERANDS], old[3], by[3];
    uint32_t n_in = operands(c, t, operand), count = 0;
    bool presents = in(n, PAST_KEY) || (n->n_out > 2 && (is_read(p->g, n->out[1]) || is_read(p->g, n->out[2])));
    TgNode node = tg_graph_add(p->g, TG_ms_GroupQueryAttention, attributes(c), n_in, operand, presents ? 3 : 1);
    for (uint32_t i = 0; node && i < 3 && i < n->n_out; i++) {
        if (!is_read(p->g, n->out[i]))
            continue;
        old[count] = n->out[i];
        by[count] = tg_node(p->g, node)->out[i];
        if (!same_type(p->g, old[count], by[count]))
            return;
        count++;
    }
    if (!count || !pass_may(p))
        return;
    pass_count(p, "ort-group-query");
    pass_replace_all(p, count, old, by, "ort-group-query");
}

/* --- what it gains ------------------------------------------------------------------------------------------ */

/* The nodes that the graph needs; with `tokens`: once all that was found is written. */
static uint32_t count_needed(TgPass *p, const Candidates *found, const AllTokens *tokens)
{
    TgArena *scratch = tg_scratch(p->tg);
    bool *wanted = TG_NEW_N(scratch, bool, p->g->values.n), *replaced = TG_NEW_N(scratch, bool, p->g->nodes.n);
    uint32_t n, count = tokens ? found->n : 0;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; tokens && i < found->n; i++) {
        TgValue operand[OPERANDS];
        const Candidate *c = &found->at[i];
        uint32_t n_in = operands(c, tokens_of(c, tokens), operand);
        for (uint32_t k = 0; k < n_in; k++)
            wanted[operand[k]] = true;
        replaced[tg_value(p->g, c->n->out[0])->node] = true;
    }
    while (n-- > 0) {
        const TgNodeInfo *node = tg_node(p->g, nodes[n]);
        bool needed = false;
        for (uint32_t k = 0; k < node->n_out && !replaced[nodes[n]]; k++)
            needed = needed || wanted[node->out[k]] || tg_value(p->g, node->out[k])->returned;
        for (uint32_t k = 0; needed && k < node->n_in; k++)
            wanted[node->in[k]] = true;
        count += needed;
    }
    return count;
}

/* --- the pass ----------------------------------------------------------------------------------------------- */

static void find(TgPass *p, Candidates *found)
{
    uint32_t n;
    TgNode *nodes = pass_nodes(p, &n);
    for (uint32_t i = 0; i < n; i++) {
        TgNodeInfo *info = tg_node(p->g, nodes[i]);
        Candidate c;
        if (!info->dead && info->op == TG_Attention && is_read(p->g, info->out[0]) && read(p, info, found, &c))
            TG_PUSH(tg_scratch(p->tg), found, c);
    }
}

void pass_ort_group_query(TgPass *p)
{
    TgMark mark = tg_mark(tg_scratch(p->tg));
    Candidates found = {0};
    AllTokens all = {0};
    bool fine = true;
    find(p, &found);
    for (uint32_t i = 0; i < found.n && fine; i++) {
        Tokens made;
        if (tokens_of(&found.at[i], &all))
            continue;
        fine = make_tokens(&found.at[i], &made);
        TG_PUSH(tg_scratch(p->tg), &all, made);
    }
    bool gains = fine && found.n && count_needed(p, &found, &all) <= count_needed(p, &found, NULL);
    for (uint32_t i = 0; i < found.n && fine; i++) {
        if (gains)
            write(&found.at[i], tokens_of(&found.at[i], &all));
        else
            refuse(&found.at[i], "GroupQueryAttention would leave more nodes than Attention");
    }
    tg_release(tg_scratch(p->tg), mark);
}
