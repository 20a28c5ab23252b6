/* Reads types and constants of the text form. What print_data.c writes comes back bit by bit; what people
 * write is read generously (nested lists, whole numbers for floats), because the meaning is fixed by the
 * type.
 *
 * Numbers of a constant are counted before memory is taken for them, so that a short text cannot ask for
 * much.
 */
#include "text.h"

#include <string.h>

bool tg_read_enter(TgReader *r)
{
    if (++r->depth <= TG_TEXT_DEPTH)
        return true;
    tg_lex_place(&r->lex, &r->lex.token);
    return tg_report(r->lex.tg, TG_E_text_too_deep, TG_TEXT_DEPTH);
}

/* Every call has a parenthesis, so that a text of too many is refused before anything is made. */
bool tg_read_afford(TgReader *r, const char *text, size_t n)
{
    enum { PER_CALL = 600 }; /* as wire.def says it of files */
    TgLimit limit;
    uint64_t calls = 0;
    r->budget = tg_load_budget(r->lex.tg, n, &limit);
    for (size_t i = 0; i < n; i++)
        calls += text[i] == '(';
    return tg_read_take(r, PER_CALL * calls);
}

bool tg_read_take(TgReader *r, uint64_t bytes)
{
    TgLimit limit;
    (void)tg_load_budget(r->lex.tg, 0, &limit);
    if (bytes > r->budget)
        return tg_report(r->lex.tg, TG_E_load_budget, (size_t)bytes, (size_t)r->budget, tg_limit_info(limit)->option);
    r->budget -= bytes;
    return true;
}

bool tg_read_quoted(TgReader *r, TgName *text)
{
    TgBytes bytes;
    if (!tg_lex_expect(&r->lex, '(') || !tg_lex_string(&r->lex, &bytes))
        return false;
    *text = tg_name_n(r->lex.tg, (const char *)bytes.at, bytes.n);
    return tg_lex_expect(&r->lex, ')');
}

static int nibble(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool tg_read_hex(TgReader *r, TgBytes *bytes)
{
    TgBytes text;
    if (!tg_lex_expect(&r->lex, '('))
        return false;
    TgToken token = r->lex.token;
    if (!tg_lex_string(&r->lex, &text))
        return false;
    uint8_t *out = tg_new(r->arena, text.n / 2 + 1);
    bool good = text.n % 2 == 0;
    for (size_t i = 0; good && i < text.n; i += 2) {
        int high = nibble(text.at[i]), low = nibble(text.at[i + 1]);
        good = high >= 0 && low >= 0;
        out[i / 2] = (uint8_t)(high * 16 + low);
    }
    if (!good) {
        r->lex.token = token;
        return tg_lex_fail(&r->lex, "an even number of hexadecimal digits in lower case");
    }
    *bytes = (TgBytes){out, text.n / 2};
    return tg_lex_expect(&r->lex, ')');
}

/* --- types ---------------------------------------------------------------------------------------------- */

/* A size runs to the next comma or bracket; quotes where its name holds such. */
static bool dim(TgReader *r, TgDim *d)
{
    TgLex *lex = &r->lex;
    TgBytes quoted;
    if (lex->token.kind == TG_TOK_STRING) {
        if (!tg_lex_string(lex, &quoted))
            return false;
        *d = tg_dim_parse(lex->tg, tg_name_n(lex->tg, (const char *)quoted.at, quoted.n));
        return true;
    }
    const char *start = lex->token.start, *end = start;
    for (int nested = 0; nested > 0 || (lex->token.kind != ',' && lex->token.kind != ']'); tg_lex_next(lex)) {
        if (lex->token.kind == TG_TOK_END || lex->token.kind == TG_TOK_BAD)
            return tg_lex_fail(lex, "']'");
        nested += (lex->token.kind == '(') - (lex->token.kind == ')');
        end = lex->at;
    }
    if (end == start)
        return tg_lex_fail(lex, "a size");
    *d = tg_dim_parse(lex->tg, tg_name_n(lex->tg, start, (size_t)(end - start)));
    return true;
}

static bool tensor_type(TgReader *r, TgDtype dtype, const TgType **type)
{
    TgLex *lex = &r->lex;
    TgDim dims[TG_MAX_RANK];
    int32_t rank = 0;
    if (!tg_lex_expect(lex, '['))
        return false;
    if (tg_lex_accept(lex, '*')) {
        rank = -1;
    } else {
        while (lex->token.kind != ']') {
            if (rank == TG_MAX_RANK)
                return tg_lex_fail(lex, "at most 64 sizes");
            if (!dim(r, &dims[rank++]))
                return false;
            if (!tg_lex_accept(lex, ',') && lex->token.kind != ']')
                return tg_lex_fail(lex, "',' or ']'");
        }
    }
    *type = tg_type(lex->tg, dtype, rank, dims);
    return tg_lex_expect(lex, ']');
}

static bool dtype_word(TgReader *r, TgDtype *dtype)
{
    TgLex *lex = &r->lex;
    if (lex->token.kind != TG_TOK_IDENT)
        return tg_lex_fail(lex, "a type");
    *dtype = tg_dtype_find(lex->token.text, lex->token.n);
    if (*dtype == TG_undefined) {
        tg_lex_place(lex, &lex->token);
        return tg_report(lex->tg, TG_E_unknown_type, tg_lex_name(lex));
    }
    tg_lex_next(lex);
    return true;
}

static const struct {
    const char *word;
    TgKind kind;
} kinds[] = {{"seq", TG_SEQUENCE}, {"optional", TG_OPTIONAL}, {"map", TG_MAP}, {"sparse", TG_SPARSE}};

/* seq(f32[2]), optional(T), map(i64, T), sparse(f32[2]) */
static bool compound_type(TgReader *r, TgKind kind, const TgType **type)
{
    TgLex *lex = &r->lex;
    TgDtype key = TG_undefined;
    const TgType *item;
    tg_lex_next(lex);
    if (!tg_lex_expect(lex, '('))
        return false;
    if (kind == TG_MAP && (!dtype_word(r, &key) || !tg_lex_expect(lex, ',')))
        return false;
    if (!tg_read_type(r, &item))
        return false;
    *type = tg_type_of_kind(lex->tg, kind, key, item);
    return tg_lex_expect(lex, ')');
}

bool tg_read_type(TgReader *r, const TgType **type)
{
    TgLex *lex = &r->lex;
    if (tg_lex_accept(lex, '?')) {
        if (lex->token.kind == '[')
            return tensor_type(r, TG_undefined, type);
        *type = tg_untyped(lex->tg);
        return true;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (!tg_lex_is_word(lex, kinds[i].word))
            continue;
        bool good = tg_read_enter(r) && compound_type(r, kinds[i].kind, type);
        r->depth--;
        return good;
    }
    TgDtype dtype;
    return dtype_word(r, &dtype) && tensor_type(r, dtype, type);
}

/* --- elements of constants ------------------------------------------------------------------------------ */

/* How many numbers or strings the list holds that starts here. Looks only. */
static size_t count_elements(const TgLex *from)
{
    TgLex lex = *from;
    size_t n = 0;
    for (int nested = 0;; tg_lex_next(&lex)) {
        int kind = lex.token.kind;
        nested += (kind == '{') - (kind == '}');
        n += kind == TG_TOK_NUMBER || kind == TG_TOK_IDENT || kind == TG_TOK_STRING;
        if (nested <= 0 || kind == TG_TOK_END || kind == TG_TOK_BAD)
            return n;
    }
}

static bool store_bits(TgReader *r, uint32_t n_bits, uint8_t *to)
{
    const TgToken *t = &r->lex.token;
    uint64_t bits = 0;
    if (t->n - 2 > n_bits / 4)
        return tg_lex_fail(&r->lex, "fewer hexadecimal digits for this type");
    for (size_t i = 2; i < t->n; i++) {
        int h = nibble((uint8_t)t->text[i]);
        if (h < 0)
            return tg_lex_fail(&r->lex, "hexadecimal digits in lower case");
        bits = bits * 16 + (uint64_t)h;
    }
    for (uint32_t i = 0; i < n_bits / 8; i++)
        to[i] = (uint8_t)(bits >> 8 * i);
    tg_lex_next(&r->lex);
    return true;
}

/* One real number of a float or (half of) a complex element. */
static bool real_element(TgReader *r, TgDtype dtype, uint8_t *bytes, size_t i)
{
    double x;
    uint32_t bits = tg_dtype_bits(dtype);
    if (bits >= 8 && tg_lex_is_bits(&r->lex.token))
        return store_bits(r, bits, bytes + i * (bits / 8));
    if (!tg_lex_float(&r->lex, dtype != TG_f64, &x))
        return false;
    tg_store_float(dtype, bytes, i, x);
    return true;
}

static bool integer_element(TgReader *r, TgDtype dtype, uint8_t *bytes, size_t i)
{
    const TgLex before = r->lex;
    int64_t x = tg_lex_is_word(&r->lex, "true");
    if (x || tg_lex_is_word(&r->lex, "false")) {
        tg_lex_next(&r->lex);
    } else if (!tg_lex_int(&r->lex, &x)) {
        return false;
    } else if (tg_wrap_integer(dtype, x) != x) {
        r->lex = before;
        return tg_lex_fail(&r->lex, tg_name_format(r->lex.tg, "a number of type %s", tg_dtype_text(dtype)));
    }
    tg_store_integer(dtype, bytes, i, x);
    return true;
}

static bool string_element(TgReader *r, TgBytes *to)
{
    TgBytes text;
    if (!tg_lex_string(&r->lex, &text))
        return false;
    *to = (TgBytes){tg_copy(r->arena, text.at, text.n), text.n};
    return true;
}

/* Element i of a dense array, whatever its class. A complex number is two elements. */
static bool element(TgReader *r, TgDtype dtype, void *data, size_t i)
{
    switch (tg_dtype_class(dtype)) {
    case TG_CLASS_F: return real_element(r, dtype, data, i);
    case TG_CLASS_C: return real_element(r, dtype == TG_c64 ? TG_f32 : TG_f64, data, i);
    case TG_CLASS_S: return string_element(r, (TgBytes *)data + i);
    default: return integer_element(r, dtype, data, i);
    }
}

/* The braces are decoration: only the order of the elements counts. */
static bool list(TgReader *r, TgDtype dtype, void *data, size_t n)
{
    TgLex *lex = &r->lex;
    int nested = 0;
    size_t i = 0;
    do {
        while (tg_lex_accept(lex, '{'))
            nested++;
        if (lex->token.kind != '}' && i < n && !element(r, dtype, data, i++))
            return false;
        while (nested > 0 && tg_lex_accept(lex, '}'))
            nested--;
    } while (nested > 0 && tg_lex_expect(lex, ','));
    return nested == 0;
}

/* --- constants ------------------------------------------------------------------------------------------ */

typedef struct {
    const TgType *type;
    int64_t dim[TG_MAX_RANK];
    int64_t count;
    TgToken place; /* of the type */
} Shape;

static bool wrong_count(TgReader *r, const Shape *s, size_t given)
{
    Tg *tg = r->lex.tg;
    tg_lex_place(&r->lex, &s->place);
    return tg_report(tg, TG_E_const_count, tg_type_text(tg, s->type), (size_t)s->count, given);
}

static TgTensor *const_list(TgReader *r, const Shape *s)
{
    TgDtype dtype = s->type->dtype;
    size_t per = tg_dtype_class(dtype) == TG_CLASS_C ? 2 : 1, n = count_elements(&r->lex);
    if (n / per != (size_t)s->count || n % per)
        return wrong_count(r, s, n / per), NULL;
    if (dtype == TG_str) {
        TgBytes *strings = TG_NEW_N(r->arena, TgBytes, n ? n : 1);
        if (!list(r, dtype, strings, n))
            return NULL;
        return tg_tensor_strings(r->arena, s->type->rank, s->dim, strings);
    }
    void *data;
    TgTensor *t = tg_tensor_blank(r->arena, dtype, s->type->rank, s->dim, &data);
    return list(r, dtype, data, n) ? t : NULL;
}

/* splat(x): every element is x. */
static TgTensor *const_splat(TgReader *r, const Shape *s)
{
    uint8_t one[16] = {0};
    TgDtype dtype = s->type->dtype;
    if (dtype == TG_str)
        return tg_lex_fail(&r->lex, "a list of strings"), NULL;
    if (!tg_lex_expect(&r->lex, '(') || !element(r, dtype, one, 0))
        return NULL;
    if (tg_dtype_class(dtype) == TG_CLASS_C && (!tg_lex_expect(&r->lex, ',') || !element(r, dtype, one, 1)))
        return NULL;
    if (!tg_lex_expect(&r->lex, ')'))
        return NULL;
    return tg_tensor_splat(r->arena, dtype, s->type->rank, s->dim, tg_copy(r->arena, one, sizeof one));
}

/* file("weights.bin", 64): bytes of a file beneath the folder of the text. */
static TgTensor *const_file(TgReader *r, const Shape *s)
{
    Tg *tg = r->lex.tg;
    TgBytes path;
    int64_t offset;
    if (!tg_lex_expect(&r->lex, '('))
        return NULL;
    TgToken place = r->lex.token;
    if (!tg_lex_string(&r->lex, &path) || !tg_lex_expect(&r->lex, ',') || !tg_lex_int(&r->lex, &offset) ||
        !tg_lex_expect(&r->lex, ')'))
        return NULL;
    tg_lex_place(&r->lex, &place);
    const TgFile *file = tg_file_map_beneath(tg, r->base, tg_name_n(tg, (const char *)path.at, path.n));
    if (!file)
        return NULL;
    size_t size = tg_dtype_bytes(s->type->dtype, (size_t)s->count);
    if (offset < 0 || (size_t)offset > file->size || size > file->size - (size_t)offset ||
        s->type->dtype == TG_str) {
        tg_report(tg, TG_E_const_range, size, (size_t)offset, file->path, file->size);
        return NULL;
    }
    TgTensor *t = tg_tensor_mapped(r->arena, s->type->dtype, s->type->rank, s->dim, file, (size_t)offset);
    t->external = true;
    return t;
}

/* A well-mixed number for element i: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t noise(uint64_t seed, uint64_t i)
{
    uint64_t z = seed * 0x9e3779b97f4a7c15u + i * 0xbf58476d1ce4e5b9u + 0x94d049bb133111ebu;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* random(seed), for tests: floats k/512 in [-2, 2), exact in 16 bits and more; integers -8..7 or 0..15;
 * bools. */
static TgTensor *const_random(TgReader *r, const Shape *s)
{
    int64_t seed;
    TgDtype dtype = s->type->dtype;
    TgClass class = tg_dtype_class(dtype);
    if (class == TG_CLASS_S || class == TG_CLASS_C)
        return tg_lex_fail(&r->lex, "{elements} for this type"), NULL;
    if (!tg_lex_expect(&r->lex, '('))
        return NULL;
    const TgLex before = r->lex;
    if (!tg_lex_int(&r->lex, &seed))
        return NULL;
    if (seed <= 0)
        return r->lex = before, tg_lex_fail(&r->lex, "a seed above 0"), NULL;
    if (!tg_lex_expect(&r->lex, ')') || !tg_read_take(r, tg_dtype_bytes(dtype, (size_t)s->count)))
        return NULL;
    void *data;
    TgTensor *t = tg_tensor_blank(r->arena, dtype, s->type->rank, s->dim, &data);
    for (size_t i = 0; i < t->count; i++) {
        int64_t k = (int64_t)(noise((uint64_t)seed, i) >> 53);
        if (class == TG_CLASS_F)
            tg_store_float(dtype, data, i, (double)(k - 1024) / 512);
        else if (class == TG_CLASS_I)
            tg_store_integer(dtype, data, i, tg_wrap_integer(dtype, (k >> 7) - 8));
        else
            tg_store_integer(dtype, data, i, tg_wrap_integer(dtype, class == TG_CLASS_B ? k >> 10 : k >> 7));
    }
    t->seed = (uint64_t)seed;
    return t;
}

/* --- recipes: an operator over constants ---------------------------------------------------------------- */

enum { RECIPE_INPUTS = 256 };

static bool recipe_input(TgReader *r, const TgTensor **to)
{
    *to = NULL;
    if (tg_lex_is_word(&r->lex, "_"))
        return tg_lex_next(&r->lex), true;
    if (tg_lex_is_word(&r->lex, "const"))
        return (*to = tg_read_const(r)) != NULL;
    if (r->lex.token.kind != TG_TOK_VALUE || !r->constant)
        return tg_lex_fail(&r->lex, "a constant");
    *to = r->constant(r);
    tg_lex_next(&r->lex);
    return *to != NULL;
}

static bool recipe_operands(TgReader *r, TgOp op, const TgTensor **in, uint32_t *n, const TgAttrs **attrs)
{
    TgLex *lex = &r->lex;
    *n = 0;
    if (!tg_lex_expect(lex, '('))
        return false;
    while (lex->token.kind != ';' && lex->token.kind != ')') {
        if (*n == RECIPE_INPUTS)
            return tg_lex_fail(lex, "at most 256 constants");
        if (!recipe_input(r, &in[(*n)++]))
            return false;
        if (!tg_lex_accept(lex, ',') && lex->token.kind != ';' && lex->token.kind != ')')
            return tg_lex_fail(lex, "',', ';' or ')'");
    }
    TgAttrBuild build;
    tg_attrs_begin(&build, lex->tg);
    if (tg_lex_accept(lex, ';')) {
        do {
            TgName name;
            if (!tg_read_attr_name(r, &name) || !tg_read_attr_value(r, op, name, &build))
                return false;
        } while (tg_lex_accept(lex, ','));
    }
    *attrs = tg_attrs_end(&build, op);
    return tg_lex_expect(lex, ')');
}

static TgTensor *const_recipe(TgReader *r, const Shape *s)
{
    TgLex *lex = &r->lex;
    Tg *tg = lex->tg;
    TgToken place = lex->token;
    TgOp op = tg_op_from_text(tg, place.text, place.n);
    if (op == TG_opaque) {
        tg_lex_place(lex, &place);
        return tg_report(tg, TG_E_unknown_op, tg_lex_name(lex), tg_lex_name(lex)), NULL;
    }
    const TgTensor *in[RECIPE_INPUTS];
    const TgAttrs *attrs = NULL;
    uint32_t n;
    int64_t output = 0;
    tg_lex_next(lex);
    if (!recipe_operands(r, op, in, &n, &attrs))
        return NULL;
    if (tg_lex_accept(lex, '[') && (!tg_lex_int(lex, &output) || !tg_lex_expect(lex, ']')))
        return NULL;
    tg_lex_place(lex, &place);
    const TgTensor *const *kept = tg_copy(r->arena, in, n * sizeof *in);
    TgTensor *t = tg_tensor_recipe(r->arena, (uint16_t)op, attrs, n, kept, (uint16_t)output);
    if (!t || tg_tensor_type(tg, t) == s->type)
        return t;
    tg_report(tg, TG_E_claimed_type, tg_op_text(tg, op), tg_type_text(tg, tg_tensor_type(tg, t)),
              tg_type_text(tg, s->type));
    return NULL;
}

/* --- const type payload notes --------------------------------------------------------------------------- */

static bool const_shape(TgReader *r, Shape *s)
{
    s->place = r->lex.token;
    if (!tg_read_type(r, &s->type))
        return false;
    bool fits = s->type->kind == TG_TENSOR && s->type->rank >= 0 && s->type->dtype != TG_undefined &&
                tg_type_static(s->type, s->dim);
    s->count = 1;
    for (int32_t i = 0; fits && i < s->type->rank; i++)
        fits = s->dim[i] >= 0 && !__builtin_mul_overflow(s->count, s->dim[i], &s->count);
    if (fits && s->count < INT64_MAX / 16)
        return true;
    tg_lex_place(&r->lex, &s->place);
    return tg_report(r->lex.tg, TG_E_const_type, tg_type_text(r->lex.tg, s->type));
}

static const struct {
    const char *word;
    TgTensor *(*read)(TgReader *, const Shape *);
} payloads[] = {{"splat", const_splat}, {"file", const_file}, {"random", const_random}};

static TgTensor *payload(TgReader *r, const Shape *s)
{
    if (r->lex.token.kind == '{')
        return const_list(r, s);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        if (!tg_lex_is_word(&r->lex, payloads[i].word))
            continue;
        tg_lex_next(&r->lex);
        return payloads[i].read(r, s);
    }
    bool number =
        tg_lex_is_float(&r->lex.token) || tg_lex_is_word(&r->lex, "true") || tg_lex_is_word(&r->lex, "false");
    if (r->lex.token.kind == TG_TOK_IDENT && !number)
        return const_recipe(r, s);
    if (s->count == 1)
        return const_list(r, s); /* a single element needs no braces */
    return tg_lex_fail(&r->lex, "{elements}, splat(x), file(\"path\", offset), random(seed) or an operator"),
           NULL;
}

const TgTensor *tg_read_const(TgReader *r)
{
    Shape s;
    TgTensor *t = NULL;
    if (!tg_lex_word(&r->lex, "const"))
        return NULL;
    if (tg_read_enter(r) && const_shape(r, &s))
        t = payload(r, &s);
    r->depth--;
    while (t && r->lex.token.kind == TG_TOK_NOTE) {
        TgLex before = r->lex;
        TgName note = tg_lex_name(&r->lex);
        tg_lex_next(&r->lex);
        bool good = true;
        if (note == tg_name(r->lex.tg, "tensor_doc"))
            good = tg_read_quoted(r, &t->doc);
        else if (note == tg_name(r->lex.tg, "tensor_unknown"))
            good = tg_read_hex(r, &t->unknown);
        else
            return r->lex = before, t; /* whoever asked for the constant knows it */
        if (!good)
            return NULL;
    }
    return t;
}
