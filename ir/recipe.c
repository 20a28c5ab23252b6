/* Recipes: constants that are an operator over other constants, computed when somebody asks for bytes.
 *
 * Whole, in windows (one element of a large recipe asks for its neighbourhood only), or as a stream of
 * boxes, so that writing a rewritten weight of any size takes a few MiB. All three read boxes through
 * recipe_box.c. What was computed whole is kept in the recipe's memo. Depth and size of a tree of recipes
 * are bounded when it is made: an operand that would pass the bound is computed first.
 */
#include <string.h>

#include "graph.h"
#include "recipe.h"

enum {
    MAX_DEPTH = 64,
    MAX_WORK = 4096,        /* operators in the tree, shared ones counted as often as they are reached */
    STREAM_BYTES = 256 << 10, /* of one box of a stream: still in the second cache when it is written */
    WINDOW_ELEMENTS = 8 << 10,
    KEEP_WHOLE = 64 << 10 /* bytes: smaller recipes are computed whole when one element is asked for */
};

typedef struct TgMemo {
    TgArena *arena;        /* of the recipe */
    const TgTensor *value; /* NULL: not computed */
    uint8_t *window;       /* packed elements [first, first + n) */
    size_t first, n;
} TgMemo;

/* --- making ------------------------------------------------------------------------------------------- */

/* Shape and element type as inference gives them for constant operands: one node in a graph of its own. */
static const TgType *inferred(TgModel *model, const TgRecipe *recipe) {
    TgArena *scratch = tg_scratch(model->tg);
    TgMark mark = tg_mark(scratch);
    TgValue *in = TG_NEW_N(scratch, TgValue, recipe->n + 1);
    for (uint32_t i = 0; i < recipe->n; i++)
        in[i] = recipe->input[i] ? tg_graph_const(model->graph, recipe->input[i], NULL) : 0;
    uint32_t n_out = recipe->output + 1u;
    TgNode node = tg_graph_add(model->graph, (TgOp)recipe->op, recipe->attrs, recipe->n, in, n_out);
    const TgType *type = node ? tg_type_of(model->graph, tg_node(model->graph, node)->out[n_out - 1]) : NULL;
    tg_release(scratch, mark);
    return type;
}

/* Reshape and its kin of something that lies somewhere: the same bytes under another shape. */
static bool renames(const TgRecipe *recipe, const TgType *type) {
    const TgTensor *in = recipe->n ? recipe->input[0] : NULL;
    switch ((TgOp)recipe->op) {
    case TG_Identity:
    case TG_Reshape:
    case TG_Squeeze:
    case TG_Unsqueeze:
    case TG_Flatten: return in && in->payload != TG_RECIPE && in->dtype == type->dtype;
    default: return false;
    }
}

static void measure(TgRecipe *recipe) {
    recipe->depth = recipe->work = 1;
    for (uint32_t i = 0; i < recipe->n; i++) {
        const TgRecipe *inner = recipe->input[i] ? recipe->input[i]->recipe : NULL;
        if (!inner)
            continue;
        recipe->depth = recipe->depth > inner->depth ? recipe->depth : inner->depth + 1;
        recipe->work = recipe->work > MAX_WORK ? recipe->work : recipe->work + inner->work;
    }
}

/* Copies the operands; those that are recipes are computed where the tree would grow too large. */
static bool take_operands(TgArena *arena, TgRecipe *recipe, uint32_t n, const TgTensor *const *input) {
    const TgTensor **own = tg_copy(arena, input, n * sizeof *input);
    recipe->n = n;
    recipe->input = own;
    measure(recipe);
    if (recipe->depth <= MAX_DEPTH && recipe->work <= MAX_WORK)
        return true;
    for (uint32_t i = 0; i < n; i++)
        if (own[i] && !(own[i] = tg_recipe_value(tg_arena_context(arena), own[i])))
            return false;
    measure(recipe);
    return true;
}

static TgTensor *finish(TgArena *arena, TgRecipe *recipe, const TgType *type) {
    Tg *tg = tg_arena_context(arena);
    int64_t dim[TG_MAX_RANK];
    if (!tg_is_tensor(type) || !tg_type_static(type, dim) || type->rank > TG_BOX_RANK) {
        tg_report(tg, TG_E_recipe_shape, tg_op_text(tg, (TgOp)recipe->op), tg_type_text(tg, type));
        return NULL;
    }
    TgTensor *t = tg_tensor_owned(arena, type->dtype, type->rank, dim, NULL);
    if (renames(recipe, type)) {
        TgTensor shape = *t;
        *t = *recipe->input[0];
        t->rank = shape.rank;
        t->dim = shape.dim;
        t->recipe = t->recipe ? recipe : NULL; /* of an operand that was computed: this shape of it */
        return t;
    }
    recipe->memo = TG_NEW(arena, TgMemo);
    recipe->memo->arena = arena;
    t->payload = TG_RECIPE;
    t->recipe = recipe;
    return t;
}

TgTensor *tg_tensor_recipe(TgArena *arena, uint16_t op, const TgAttrs *attrs, uint32_t n,
                           const TgTensor *const *input, uint16_t output) {
    Tg *tg = tg_arena_context(arena);
    TgRecipe *recipe = TG_NEW(arena, TgRecipe);
    recipe->op = op;
    recipe->output = output;
    recipe->attrs = attrs ? attrs : tg_attrs_none(tg);
    if (!take_operands(arena, recipe, n, input))
        return NULL;
    TgModel *model = tg_model_new(tg);
    const TgType *type = inferred(model, recipe);
    tg_model_free(model);
    return type ? finish(arena, recipe, type) : NULL;
}

void tg_tensor_derived(TgArena *arena, TgTensor *t, uint16_t op, const TgAttrs *attrs, uint32_t n,
                       const TgTensor *const *input, uint16_t output) {
    TgRecipe *recipe = TG_NEW(arena, TgRecipe);
    recipe->op = op;
    recipe->output = output;
    recipe->attrs = attrs ? attrs : tg_attrs_none(tg_arena_context(arena));
    recipe->n = n;
    recipe->input = tg_copy(arena, input, n * sizeof *input);
    t->recipe = recipe;
}

/* --- reading whole ------------------------------------------------------------------------------------ */

static const TgTensor *compute(TgArena *arena, const TgTensor *t) {
    TgBoxReader r = tg_box_reader(tg_arena_context(arena));
    TgBox all = tg_box_all(t);
    TgArray value;
    void *bytes;
    const TgTensor *made = NULL;
    if (tg_box_moves(t)) {
        made = tg_tensor_blank(arena, t->dtype, t->rank, t->dim, &bytes);
        made = tg_box_store(&r, t, &all, bytes) ? made : NULL;
    } else if (tg_box_compute(&r, t, &all, &value)) {
        made = tg_array_to_tensor(arena, TG_EVAL_NATIVE, &value);
        tg_array_drop(r.tg, &value);
    }
    tg_box_close(&r);
    return made;
}

const TgTensor *tg_recipe_value(Tg *tg, const TgTensor *t) {
    (void)tg;
    if (t->payload != TG_RECIPE)
        return t;
    TgMemo *memo = t->recipe->memo;
    if (!memo->value)
        memo->value = compute(memo->arena, t);
    return memo->value;
}

static const TgTensor *spread(TgArena *arena, const TgTensor *splat) {
    void *bytes;
    TgTensor *t = tg_tensor_blank(arena, splat->dtype, splat->rank, splat->dim, &bytes);
    size_t step = tg_dtype_bits(t->dtype) / 8;
    for (size_t i = 0; i < t->count; i++) {
        if (step)
            memcpy((uint8_t *)bytes + i * step, splat->bytes, step);
        else
            tg_store_integer(tg_dtype_bits(t->dtype) == 4 ? TG_u4 : TG_u2, bytes, i, splat->bytes[0]);
    }
    return t;
}

const TgTensor *tg_tensor_materialize(TgArena *arena, const TgTensor *t) {
    if (t->payload == TG_SPLAT)
        return spread(arena, t);
    if (t->payload != TG_RECIPE)
        return t;
    return t->recipe->memo->value ? t->recipe->memo->value : compute(arena, t);
}

/* --- reading in boxes --------------------------------------------------------------------------------- */

/* Cuts a tensor into boxes of at most `most` elements that follow each other in memory: single indices
 * along the leading axes, `step` of them along `axis`, everything behind. */
typedef struct {
    int32_t axis;
    int64_t step, inner;
} Cutting;

static Cutting cutting(const TgTensor *t, int64_t most) {
    Cutting c = {.axis = t->rank, .step = 1, .inner = 1};
    while (c.axis > 0 && c.inner * t->dim[c.axis - 1] <= most)
        c.inner *= t->dim[--c.axis];
    if (c.axis == 0)
        return c;
    c.axis--;
    c.step = most / c.inner;
    return c;
}

/* The box that holds element `i`, and the flat index of its first element. */
static TgBox box_at(const TgTensor *t, const Cutting *c, size_t i, size_t *first) {
    TgBox box = tg_box_all(t);
    size_t rest = i / (size_t)c->inner; /* counts along the axes up to the cut one */
    size_t unit = (size_t)c->inner;
    *first = 0;
    for (int32_t axis = c->inner == (int64_t)t->count ? -1 : c->axis; axis >= 0; axis--) {
        int64_t k = (int64_t)(rest % (size_t)t->dim[axis]), step = axis == c->axis ? c->step : 1;
        box.at[axis] = k / step * step;
        box.n[axis] = t->dim[axis] - box.at[axis] < step ? t->dim[axis] - box.at[axis] : step;
        *first += (size_t)box.at[axis] * unit;
        rest /= (size_t)t->dim[axis];
        unit *= (size_t)t->dim[axis];
    }
    return box;
}

typedef bool (*Sink)(void *user, const void *bytes, size_t n);

static size_t count_of(const TgTensor *t, const TgBox *box) {
    size_t count = 1;
    for (int32_t i = 0; i < t->rank; i++)
        count *= (size_t)box->n[i];
    return count;
}

/* Some elements of every piece are computed a second time, each by itself. */
static bool check_piece(Tg *tg, const TgTensor *t, size_t first, size_t n, const void *bytes) {
    enum { SAMPLES = 4 };
    for (size_t k = 0; tg_is_float(t->dtype) && k < SAMPLES && n; k++) {
        size_t i = (size_t)(tg_mix(first, k) % n);
        double stored = tg_load_float(t->dtype, bytes, i);
        if (!tg_recipe_agrees(tg, t, first + i, stored))
            return tg_report(tg, TG_E_recipe_differs, first + i, stored);
    }
    return true;
}

/* One box: stored in `buffer`, or computed and given away from where it lies. */
static bool stream_box(TgBoxReader *r, const TgTensor *t, const TgBox *box, size_t first, void *buffer, Sink sink,
                       void *user) {
    size_t count = count_of(t, box), size = tg_dtype_bytes(t->dtype, count);
    if (tg_box_moves(t))
        return tg_box_store(r, t, box, buffer) && check_piece(r->tg, t, first, count, buffer) &&
               sink(user, buffer, size);
    TgArray value;
    if (!tg_box_compute(r, t, box, &value))
        return false;
    TgMark mark = tg_mark(tg_scratch(r->tg));
    const void *bytes = tg_box_packed(tg_scratch(r->tg), &value);
    bool ok = check_piece(r->tg, t, first, count, bytes) && sink(user, bytes, size);
    tg_release(tg_scratch(r->tg), mark);
    tg_array_drop(r->tg, &value);
    return ok;
}

static bool stream_recipe(Tg *tg, const TgTensor *t, Sink sink, void *user) {
    TgBoxReader r = tg_box_reader(tg);
    Cutting c = cutting(t, STREAM_BYTES / (tg_dtype_bits(t->dtype) / 8));
    void *buffer = tg_box_moves(t) ? tg_heap_new(tg, t->size < STREAM_BYTES ? t->size : STREAM_BYTES) : NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < t->count;) {
        size_t first;
        TgBox box = box_at(t, &c, i, &first);
        i = first + count_of(t, &box);
        ok = stream_box(&r, t, &box, first, buffer, sink, user);
        tg_box_next(&r);
    }
    tg_heap_free(tg, buffer);
    tg_box_close(&r);
    return ok;
}

static bool stream_bytes(const TgTensor *t, Sink sink, void *user) {
    enum { PIECE = 4 << 20 };
    bool ok = true;
    for (size_t from = 0; ok && from < t->size; from += PIECE) {
        size_t n = t->size - from < PIECE ? t->size - from : PIECE;
        ok = sink(user, t->bytes + from, n);
        if (t->payload == TG_MAPPED && n == PIECE)
            tg_file_forget(t->bytes + from, n);
    }
    return ok;
}

static bool stream_splat(const TgTensor *t, Sink sink, void *user) {
    enum { PIECE = 64 << 10 };
    uint8_t piece[PIECE];
    size_t step = tg_dtype_bits(t->dtype) / 8;
    for (size_t i = 0; i < PIECE; i += step)
        memcpy(piece + i, t->bytes, step);
    bool ok = true;
    for (size_t from = 0; ok && from < t->size; from += PIECE)
        ok = sink(user, piece, t->size - from < PIECE ? t->size - from : PIECE);
    return ok;
}

static bool stream_computed(Tg *tg, const TgTensor *t, Sink sink, void *user) {
    TgArena *arena = tg_arena_new(tg);
    const TgTensor *value = tg_tensor_materialize(arena, t);
    bool ok = value && stream_bytes(value, sink, user);
    tg_arena_free(arena);
    return ok;
}

bool tg_tensor_stream(Tg *tg, const TgTensor *t, Sink sink, void *user) {
    TG_CHECK(tg, t->payload != TG_STRINGS);
    const TgTensor *known = t->payload == TG_RECIPE ? t->recipe->memo->value : t;
    bool whole_bytes = tg_dtype_bits(t->dtype) >= 8;
    if (known && known->payload != TG_SPLAT)
        return stream_bytes(known, sink, user);
    if (!whole_bytes)
        return stream_computed(tg, t, sink, user);
    return known ? stream_splat(known, sink, user) : stream_recipe(tg, t, sink, user);
}

/* --- single elements ---------------------------------------------------------------------------------- */

/* Types narrower than a byte have been computed whole by now: see tg_recipe_window. */
static bool read_window(Tg *tg, const TgTensor *t, size_t i) {
    TgMemo *memo = t->recipe->memo;
    Cutting c = cutting(t, WINDOW_ELEMENTS);
    TgBox box = box_at(t, &c, i, &memo->first);
    TgBoxReader r = tg_box_reader(tg);
    if (!memo->window)
        memo->window = tg_new(memo->arena, tg_dtype_bytes(t->dtype, WINDOW_ELEMENTS));
    bool ok = tg_box_store(&r, t, &box, memo->window);
    memo->n = ok ? count_of(t, &box) : 0;
    tg_box_close(&r);
    return ok;
}

const void *tg_recipe_window(Tg *tg, const TgTensor *t, size_t *i) {
    TgMemo *memo = t->recipe->memo;
    if (memo->value || t->size <= KEEP_WHOLE || tg_dtype_bits(t->dtype) < 8) {
        const TgTensor *value = tg_recipe_value(tg, t);
        return value ? value->bytes : NULL;
    }
    bool inside = *i >= memo->first && *i - memo->first < memo->n;
    if (!inside && !read_window(tg, t, *i))
        return NULL;
    *i -= memo->first;
    return memo->window;
}

/* --- structure ---------------------------------------------------------------------------------------- */

bool tg_recipe_equal(Tg *tg, const TgTensor *a, const TgTensor *b) {
    const TgRecipe *x = a->recipe, *y = b->recipe;
    if (x->op != y->op || x->output != y->output || x->attrs != y->attrs || x->n != y->n)
        return false;
    for (uint32_t i = 0; i < x->n; i++) {
        if (!x->input[i] != !y->input[i])
            return false;
        if (x->input[i] && !tg_tensor_equal(tg, x->input[i], y->input[i]))
            return false;
    }
    return true;
}

uint64_t tg_recipe_hash(Tg *tg, const TgTensor *t, uint64_t seed) {
    const TgRecipe *recipe = t->recipe;
    uint64_t hash = tg_mix(tg_mix(seed, recipe->op), tg_mix(recipe->output, tg_attrs_hash(tg, recipe->attrs)));
    for (uint32_t i = 0; i < recipe->n; i++)
        hash = tg_mix(hash, recipe->input[i] ? tg_tensor_hash(tg, recipe->input[i]) : 0);
    return hash;
}
