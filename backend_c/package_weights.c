/* NAME.weights: a head, a table, then the weights in the layout in which the kernels read them, each on 64 bytes.
 *
 *     0  "TGTENSOR"      16  hash of the package     32  number of weights        64  table: offset, bytes, bytes of an
 *     8  0x01020304      24  bytes of the file       40  offset of the first      element, element type; 24 bytes each
 *    12  version
 *
 * Little-endian. The hash is over the plan and every byte of table and weights: it is known when they are written,
 * and put into the head then. Behind the last weight lie 64 bytes of zeros, so that whole vectors may be read at the
 * end of each. Weights are never held as a whole: plain ones are streamed, panels are gathered group by group, at
 * most GROUP bytes at a time; a matrix that lies row by row is streamed once per group.
 */
#include <string.h>

#include "backend_c/kernels/tgk.h"
#include "writer.h"

enum { GROUP = 64 << 20, LINE = 64, PANEL_ROUND = 16, WORD = 4, HASH_AT = 16 };

static uint64_t aligned(uint64_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

static int64_t panel_width(const TgWeight *t, int64_t first)
{
    return tgk_panel_width(t->panel, t->cols, first);
}

/* Codes of 4 bits: words of eight steps of depth, see tgk.h. */
static uint64_t word_rows(const TgWeight *t) { return ((uint64_t)t->rows + 7) / 8; }

static uint64_t stored_bytes(const TgWeight *t)
{
    uint64_t element = emit_bytes(t->dtype);
    if (t->layout == TG_LAYOUT_PLAIN)
        return element * t->tensor->count;
    int64_t whole = t->panel ? t->cols / t->panel * t->panel : 0, cols = whole;
    if (whole < t->cols)
        cols += panel_width(t, whole);
    if (t->dtype == TG_i4)
        return word_rows(t) * WORD * (uint64_t)cols;
    return element * (uint64_t)t->rows * (uint64_t)cols;
}

static uint64_t table_end(uint32_t n)
{
    return aligned(WEIGHTS_HEAD + (uint64_t)n * WEIGHTS_ROW);
}

bool package_place_weights(Writer *w)
{
    uint32_t n = w->plan->weights.n;
    uint64_t *at = TG_NEW_N(w->arena, uint64_t, n + 1), end = 0;
    for (uint32_t i = 0; i < n; i++) {
        at[i] = end;
        end += aligned(stored_bytes(&w->plan->weights.at[i]));
    }
    w->p.weight_at = at;
    w->weights_bytes = table_end(n) + end + WEIGHTS_PAD;
    return true;
}

/* --- the hash of a stream --------------------------------------------------------------------------------------- */

enum { LANES = 4, BLOCK = 8 * LANES };

/* Words go round LANES lanes, which do not wait for each other. In each a word that differs makes a difference that
 * later words keep. Where pieces end does not matter. */
typedef struct {
    uint64_t lane[LANES];
    uint8_t rest[BLOCK];
    size_t n_rest;
} StreamHash;

static void hash_blocks(StreamHash *h, const uint8_t *bytes, size_t n)
{
    uint64_t lane[LANES], word[LANES];
    memcpy(lane, h->lane, sizeof lane);
    for (size_t at = 0; at + BLOCK <= n; at += BLOCK) {
        memcpy(word, bytes + at, BLOCK);
        for (int k = 0; k < LANES; k++) {
            uint64_t x = (lane[k] ^ word[k]) * UINT64_C(0x9e3779b97f4a7c15);
            lane[k] = x ^ x >> 32;
        }
    }
    memcpy(h->lane, lane, sizeof lane);
}

static void hash_bytes(StreamHash *h, const uint8_t *bytes, size_t n)
{
    if (h->n_rest) {
        size_t more = n < BLOCK - h->n_rest ? n : BLOCK - h->n_rest;
        memcpy(h->rest + h->n_rest, bytes, more);
        h->n_rest += more;
        bytes += more;
        n -= more;
        if (h->n_rest < BLOCK)
            return;
        hash_blocks(h, h->rest, BLOCK);
    }
    hash_blocks(h, bytes, n);
    h->n_rest = n % BLOCK;
    memcpy(h->rest, bytes + (n - h->n_rest), h->n_rest);
}

static uint64_t hash_end(StreamHash *h, uint64_t hash)
{
    for (int k = 0; k < LANES; k++)
        hash = tg_mix(hash, h->lane[k]);
    return tg_mix(hash, tg_hash(h->rest, h->n_rest, h->n_rest));
}

/* --- the sink: a file, or the text of an array ------------------------------------------------------------------ */

typedef struct {
    Writer *w;
    TgOutput *out; /* NULL: only the hash is wanted */
    bool text;
    uint64_t written; /* bytes of the weights */
    StreamHash hash;
    bool ok;
} Sink;

static bool put_digits(Sink *s, const uint8_t *bytes, size_t n)
{
    char text[32 * 5];
    for (size_t done = 0; done < n;) {
        size_t length = 0;
        for (int k = 0; k < 24 && done < n; k++, done++) {
            unsigned x = bytes[done];
            if (x >= 100)
                text[length++] = (char)('0' + x / 100);
            if (x >= 10)
                text[length++] = (char)('0' + x / 10 % 10);
            text[length++] = (char)('0' + x % 10);
            text[length++] = ',';
        }
        text[length++] = '\n';
        if (!tg_output_write(s->out, text, length))
            return false;
    }
    return true;
}

static bool put_bytes(void *user, const void *bytes, size_t n)
{
    Sink *s = user;
    s->written += n;
    hash_bytes(&s->hash, bytes, n);
    if (!s->out)
        return s->ok;
    s->ok = s->ok && (s->text ? put_digits(s, bytes, n) : tg_output_write(s->out, bytes, n));
    return s->ok;
}

static bool put_zeros(Sink *s, uint64_t n)
{
    static const uint8_t zeros[256];
    for (; n && s->ok; n -= n < sizeof zeros ? n : sizeof zeros)
        put_bytes(s, zeros, n < sizeof zeros ? (size_t)n : sizeof zeros);
    return s->ok;
}

static void put_u32(uint8_t *to, uint32_t x)
{
    for (int k = 0; k < 4; k++)
        to[k] = (uint8_t)(x >> 8 * k);
}

static void put_u64(uint8_t *to, uint64_t x)
{
    put_u32(to, (uint32_t)x);
    put_u32(to + 4, (uint32_t)(x >> 32));
}

static bool put_head(Sink *s)
{
    const TgPlan *plan = s->w->plan;
    uint8_t head[WEIGHTS_HEAD] = "TGTENSOR";
    put_u32(head + 8, 0x01020304);
    put_u32(head + 12, WEIGHTS_VERSION);
    put_u64(head + HASH_AT, s->text && s->out ? s->w->hash : 0); /* in a file it is put later */
    put_u64(head + 24, s->w->weights_bytes);
    put_u64(head + 32, plan->weights.n);
    put_u64(head + 40, table_end(plan->weights.n));
    put_bytes(s, head, sizeof head);
    for (uint32_t i = 0; i < plan->weights.n; i++) {
        const TgWeight *t = &plan->weights.at[i];
        uint8_t row[WEIGHTS_ROW];
        put_u64(row, table_end(plan->weights.n) + s->w->p.weight_at[i]);
        put_u64(row + 8, stored_bytes(t));
        put_u32(row + 16, t->layout == TG_LAYOUT_PANELS && t->dtype == TG_i4 ? WORD : emit_bytes(t->dtype));
        put_u32(row + 20, (uint32_t)t->dtype);
        put_bytes(s, row, sizeof row);
    }
    return put_zeros(s, table_end(plan->weights.n) - s->written);
}

/* --- elements in order ------------------------------------------------------------------------------------------ */

/* Calls take(user, elements, first, n) for all elements of the tensor, converted to `dtype`, in pieces. */
typedef struct {
    Tg *tg;
    const TgTensor *tensor;
    TgDtype dtype;
    int64_t less; /* taken away from integers */
    bool (*take)(void *user, const uint8_t *elements, size_t first, size_t n);
    void *user;
    size_t next;
    uint8_t *rest; /* of an element that was cut */
    size_t n_rest;
} Elements;

enum { PIECE = 4096 }; /* elements converted at a time */

static bool convert_piece(Elements *e, const uint8_t *bytes, size_t first, size_t n)
{
    union {
        uint8_t bytes[8 * PIECE];
        uint64_t align;
    } piece;
    TgDtype from = e->tensor->dtype;
    uint32_t size = emit_bytes(e->dtype);
    bool packed = tg_dtype_bits(e->dtype) < 8; /* stored one per byte */
    for (size_t i = 0; i < n; i++) {
        if (packed) {
            int64_t x = tg_load_integer(from, bytes, first + i) - e->less;
            piece.bytes[i] = (uint8_t)x;
        } else if (tg_is_float(e->dtype)) {
            tg_store_float(e->dtype, piece.bytes, i, tg_load_float(from, bytes, first + i));
        } else {
            tg_store_integer(e->dtype, piece.bytes, i, tg_load_integer(from, bytes, first + i) - e->less);
        }
    }
    bool ok = e->take(e->user, piece.bytes, e->next, n);
    e->next += n;
    (void)size;
    return ok;
}

static bool take_whole(Elements *e, const uint8_t *bytes, size_t n)
{
    uint32_t bits = tg_dtype_bits(e->tensor->dtype);
    size_t count = n * 8 / bits, left = e->tensor->count - e->next;
    count = count < left ? count : left;
    if (e->tensor->dtype == e->dtype && bits >= 8) {
        bool ok = e->take(e->user, bytes, e->next, count);
        e->next += count;
        return ok;
    }
    for (size_t first = 0; first < count; first += PIECE)
        if (!convert_piece(e, bytes, first, count - first < PIECE ? count - first : PIECE))
            return false;
    return true;
}

/* Pieces of a stream end anywhere; elements are handed on whole. */
static bool take_bytes(void *user, const void *piece, size_t n)
{
    Elements *e = user;
    const uint8_t *bytes = piece;
    size_t size = tg_dtype_bits(e->tensor->dtype) / 8;
    size = size ? size : 1;
    while (e->n_rest && n) {
        e->rest[e->n_rest++] = *bytes++;
        n--;
        if (e->n_rest < size)
            continue;
        e->n_rest = 0;
        if (!take_whole(e, e->rest, size))
            return false;
    }
    size_t whole = n / size * size;
    if (whole && !take_whole(e, bytes, whole))
        return false;
    memcpy(e->rest, bytes + whole, n - whole);
    e->n_rest += n - whole;
    return true;
}

static bool each_element(Elements *e)
{
    uint8_t rest[16];
    e->rest = rest;
    e->n_rest = e->next = 0;
    return tg_tensor_stream(e->tg, e->tensor, take_bytes, e);
}

/* --- plain weights ---------------------------------------------------------------------------------------------- */

typedef struct {
    Sink *sink;
    uint32_t size;
} Plain;

static bool take_plain(void *user, const uint8_t *elements, size_t first, size_t n)
{
    Plain *p = user;
    (void)first;
    return put_bytes(p->sink, elements, n * p->size);
}

static bool write_plain_weight(Sink *s, const TgWeight *t)
{
    Plain plain = {s, emit_bytes(t->dtype)};
    Elements e = {.tg = s->w->p.tg, .tensor = t->tensor, .dtype = t->dtype, .take = take_plain, .user = &plain};
    return each_element(&e);
}

/* --- panels ----------------------------------------------------------------------------------------------------- */

/* Columns [first, end) of the matrix, whole panels, gathered in `at`. */
typedef struct {
    Sink *sink;
    const TgWeight *t;
    int64_t first, end;
    uint32_t size;
    uint8_t *at;
    size_t bytes;
} Panels;

static uint8_t *panel_element(const Panels *p, int64_t row, int64_t col)
{
    int64_t start = col / p->t->panel * p->t->panel, width = panel_width(p->t, start);
    int64_t before = (start - p->first) * p->t->rows; /* panels in front are full */
    return p->at + (size_t)(before + row * width + (col - start)) * p->size;
}

static int64_t half_range(const TgTensor *t) { return t->dtype == TG_u8 ? 128 : t->dtype == TG_u4 ? 8 : 0; }

/* n elements of a row that lie in one panel. */
static void put_elements(Panels *p, int64_t row, int64_t col, const uint8_t *elements, int64_t n)
{
    if (p->t->dtype != TG_i4) {
        memcpy(panel_element(p, row, col), elements, (size_t)n * p->size);
        return;
    }
    int64_t start = col / p->t->panel * p->t->panel, width = panel_width(p->t, start), high = row % 2;
    uint8_t *at = p->at + (uint64_t)(start - p->first) * word_rows(p->t) * WORD;
    at += (row / 8 * width + (col - start)) * WORD + row % 8 / 2;
    for (int64_t i = 0; i < n; i++, at += WORD) {
        unsigned code = (elements[i] + 8U) & 15U;
        *at = (uint8_t)(high ? (*at & 15U) | code << 4 : (*at & 0xf0U) | code);
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void take_row_part(Panels *p, const uint8_t *elements, int64_t row, int64_t col, int64_t n)
{
    int64_t from = col < p->first ? p->first : col, to = least(col + n, p->end);
    while (from < to) {
        int64_t stop = least((from / p->t->panel + 1) * p->t->panel, to);
        put_elements(p, row, from, elements + (size_t)(from - col) * p->size, stop - from);
        from = stop;
    }
}

static bool take_rows(void *user, const uint8_t *elements, size_t first, size_t n)
{
    Panels *p = user;
    for (size_t done = 0; done < n;) {
        int64_t row = (int64_t)(first + done) / p->t->cols, col = (int64_t)(first + done) % p->t->cols;
        int64_t part = least(p->t->cols - col, (int64_t)(n - done));
        take_row_part(p, elements + done * p->size, row, col, part);
        done += (size_t)part;
    }
    return true;
}

static void clear_group(Panels *p)
{
    int64_t last = (p->end - 1) / p->t->panel * p->t->panel;
    bool words = p->t->dtype == TG_i4; /* zero is 8 in each half of a byte */
    size_t depth = words ? word_rows(p->t) * WORD : (size_t)p->t->rows * p->size;
    p->bytes = (size_t)(last - p->first + panel_width(p->t, last)) * depth;
    memset(p->at, words ? 0x88 : 0, p->bytes);
}

static int64_t group_columns(const TgWeight *t)
{
    int64_t panel = t->rows * (int64_t)emit_bytes(t->dtype) * t->panel, panels = panel > 0 ? GROUP / panel : 1;
    return (panels ? panels : 1) * t->panel;
}

/* The tensor is [rows, cols]: one pass per group of columns. */
static bool write_row_major(Panels *p, int64_t group)
{
    const TgWeight *t = p->t;
    for (p->first = 0; p->first < t->cols; p->first = p->end) {
        p->end = least(p->first + group, t->cols);
        clear_group(p);
        Elements e = {.tg = p->sink->w->p.tg, .tensor = t->tensor, .dtype = t->dtype, .less = half_range(t->tensor),
                      .take = take_rows, .user = p};
        if (!each_element(&e) || !put_bytes(p->sink, p->at, p->bytes))
            return false;
    }
    return true;
}

/* The tensor is [cols, rows]: its rows come in the order of the panels; a group is written when its last column is
 * there. */
static bool take_columns(void *user, const uint8_t *elements, size_t first, size_t n)
{
    Panels *p = user;
    for (size_t i = 0; i < n; i++) {
        int64_t col = (int64_t)(first + i) / p->t->rows, row = (int64_t)(first + i) % p->t->rows;
        put_elements(p, row, col, elements + i * p->size, 1);
        if (row + 1 < p->t->rows || col + 1 < p->end)
            continue;
        if (!put_bytes(p->sink, p->at, p->bytes))
            return false;
        p->first = p->end;
        p->end = least(p->first + group_columns(p->t), p->t->cols);
        if (p->first < p->t->cols)
            clear_group(p);
    }
    return true;
}

static bool write_panels(Sink *s, const TgWeight *t)
{
    if (t->rows == 0 || t->cols == 0)
        return true;
    Tg *tg = s->w->p.tg;
    int64_t group = least(group_columns(t), (t->cols + t->panel - 1) / t->panel * t->panel);
    Panels p = {.sink = s, .t = t, .size = emit_bytes(t->dtype), .end = least(group, t->cols)};
    p.at = tg_heap_new(tg, (size_t)(group + PANEL_ROUND) * ((size_t)t->rows + 8) * p.size);
    clear_group(&p);
    Elements e = {.tg = tg, .tensor = t->tensor, .dtype = t->dtype, .less = half_range(t->tensor),
                  .take = take_columns, .user = &p};
    bool ok = t->transposed ? each_element(&e) : write_row_major(&p, group);
    tg_heap_free(tg, p.at);
    return ok;
}

/* --- the file --------------------------------------------------------------------------------------------------- */

static bool write_all_weights(Sink *s)
{
    if (!put_head(s))
        return false;
    uint64_t start = s->written;
    for (uint32_t i = 0; i < s->w->plan->weights.n; i++) {
        const TgWeight *t = &s->w->plan->weights.at[i];
        if (!put_zeros(s, start + s->w->p.weight_at[i] - s->written))
            return false;
        if (!(t->layout == TG_LAYOUT_PANELS ? write_panels(s, t) : write_plain_weight(s, t)))
            return false;
        TG_CHECK(s->w->p.tg, s->written == start + s->w->p.weight_at[i] + stored_bytes(t));
    }
    return put_zeros(s, s->w->weights_bytes - s->written);
}

static bool put_text(Writer *w, TgOutput *out, const char *text)
{
    TgText renamed;
    tg_text_init(&renamed, w->arena);
    package_rename(&w->p, text, strlen(text), &renamed);
    return tg_output_write(out, renamed.at, renamed.n);
}

/* A text cannot be patched: what is embedded is small enough to be made twice. */
static bool hash_first(Writer *w)
{
    Sink s = {.w = w, .text = true, .ok = true};
    if (!write_all_weights(&s))
        return false;
    w->hash = hash_end(&s.hash, w->hash);
    return true;
}

static bool write_text(Writer *w, Sink *s)
{
    const char *begin =
        tg_name_format(w->p.tg,
                       "/* The weights of %s, as in a file of weights. */\n#include \"%s.h\"\n\n"
                       "_Alignas(64) const unsigned char tgk_weights[] = {\n",
                       w->title, w->p.name);
    return hash_first(w) && put_text(w, s->out, begin) && write_all_weights(s) && tg_output_write(s->out, "};\n", 3);
}

static bool write_file(Writer *w, Sink *s)
{
    uint8_t hash[8];
    if (!write_all_weights(s))
        return false;
    w->hash = hash_end(&s->hash, w->hash);
    put_u64(hash, w->hash);
    return tg_output_patch(s->out, HASH_AT, hash, sizeof hash);
}

bool package_write_weights(Writer *w)
{
    bool text = w->options->embed_weights;
    TgOutput *out = tg_output_open(w->p.tg, package_file_in(w, text ? "_weights.c" : ".weights"));
    if (!out)
        return false;
    Sink s = {.w = w, .out = out, .text = text, .ok = true};
    bool ok = text ? write_text(w, &s) : write_file(w, &s);
    w->report->weights = s.written;
    w->report->files++;
    if (ok)
        return tg_output_commit(out, false);
    tg_output_discard(out);
    return false;
}
