/* Types: element types, symbolic dimensions, tensor types. All interned: equality is ==. */
#ifndef TG_TYPE_H
#define TG_TYPE_H

#include "base.h"

/* --- element types (dtype.c; rows in dtype.def) ------------------------------------------------------------------- */

typedef enum {
    TG_undefined = 0,
#define DTYPE(name, number, text, bits, class) TG_##name = number,
#include "dtype.def"
#undef DTYPE
    TG_DTYPE_COUNT
} TgDtype;

typedef enum { TG_CLASS_NONE, TG_CLASS_F, TG_CLASS_I, TG_CLASS_U, TG_CLASS_B, TG_CLASS_C, TG_CLASS_S } TgClass;

const char *tg_dtype_text(TgDtype t); /* "f32"; "?" for undefined */
TgDtype tg_dtype_find(const char *text, size_t n); /* TG_undefined: no such type */
TgClass tg_dtype_class(TgDtype t);
uint32_t tg_dtype_bits(TgDtype t);
static inline bool tg_is_float(TgDtype t) { return tg_dtype_class(t) == TG_CLASS_F; }
static inline bool tg_is_integer(TgDtype t) { return tg_dtype_class(t) == TG_CLASS_I || tg_dtype_class(t) == TG_CLASS_U; }
size_t tg_dtype_bytes(TgDtype t, size_t n); /* bytes of n elements, packed as ONNX does; sub-byte types rounded up */

/* One number as the type would store it, still in a double or int64. Rounding is to nearest, ties to even.
 * Out of range: floats follow IEEE, float8 with `saturate` clamp (ONNX Cast), integers wrap. */
double tg_round_float(TgDtype t, double x, bool saturate);
typedef enum { TG_ROUND_UP, TG_ROUND_DOWN, TG_ROUND_NEAREST } TgRounding;
double tg_round_e8m0(double x, bool saturate, TgRounding mode); /* Cast to f8e8m0: of |x|; zero gives the smallest */
int64_t tg_wrap_integer(TgDtype t, int64_t x); /* u64 keeps its bits; bool: 0 or 1 */
int64_t tg_truncate(double x); /* towards zero; out of range: the nearest integer of 64 bits; NaN: 0 */
/* Element i of a packed array, and back. Integers: `out` int64 (u64: bits, bool: 0/1); floats: double. */
int64_t tg_load_integer(TgDtype t, const void *bytes, size_t i);
double tg_load_float(TgDtype t, const void *bytes, size_t i);
void tg_store_integer(TgDtype t, void *bytes, size_t i, int64_t x);
/* Rounds; saturates float8, but keeps an infinity that the type has. */
void tg_store_float(TgDtype t, void *bytes, size_t i, double x);
/* The same for n elements from the first on (dtype_bulk.c), fast for f32, f16 and bf16; rounding does not saturate. */
void tg_load_f32s(TgDtype t, const void *bytes, size_t n, float *to);
void tg_load_f64s(TgDtype t, const void *bytes, size_t n, double *to);
void tg_store_f32s(TgDtype t, void *bytes, size_t n, const float *from);
void tg_round_f32s(TgDtype t, float *x, size_t n);

/* --- symbolic integers (dim.c) ------------------------------------------------------------------------------------ */

/* A hash-consed integer expression: a polynomial with int64 coefficients over atoms. An atom is a named symbol, or an
 * opaque term: floor division, modulo, min, max, or bcast (the size that ONNX broadcasting gives to two sizes).
 * Dimensions are such expressions; so are the elements of small integer tensors. Equal expressions are equal pointers
 * as far as the normal form goes (sums of products, sorted). Arithmetic that overflows gives a fresh symbol. */
typedef const struct TgDimNode *TgDim;

TgDim tg_dim(Tg *tg, int64_t n);
TgDim tg_dim_symbol(Tg *tg, const char *name); /* a size named in the model: >= 0 */
TgDim tg_dim_fresh(Tg *tg);                    /* a size nobody named: >= 0; printed _1, _2 ... */
TgDim tg_dim_fresh_any(Tg *tg);                /* an integer element nobody knows: any sign; printed ~1, ~2 ... */
TgDim tg_dim_add(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_sub(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_mul(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_div(Tg *tg, TgDim a, TgDim b);    /* floor; exact polynomial quotients are found; b == 0: fresh */
TgDim tg_dim_ceildiv(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_mod(Tg *tg, TgDim a, TgDim b);    /* sign of b, as ONNX Mod fmod=0 */
TgDim tg_dim_min(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_max(Tg *tg, TgDim a, TgDim b);
TgDim tg_dim_bcast(Tg *tg, TgDim a, TgDim b);  /* 1 with x is x; x with x is x; n (> 1) with a symbol is n */
bool tg_dim_exact_div(Tg *tg, TgDim a, TgDim b, TgDim *quotient); /* a = quotient * b as polynomials */

bool tg_dim_known(TgDim d, int64_t *n);        /* a constant; n may be NULL */
bool tg_dim_is(TgDim d, int64_t n);
bool tg_dim_is_symbol(TgDim d);                /* a plain symbol, nothing else */
bool tg_dim_is_fresh(TgDim d);                 /* mentions a symbol that nobody named */
int64_t tg_dim_lower(TgDim d);                 /* a proved bound; INT64_MIN: none */
int64_t tg_dim_upper(TgDim d);                 /* INT64_MAX: none */
bool tg_dim_at_least(Tg *tg, TgDim a, TgDim b);/* proved a >= b */
bool tg_dim_never_equal(Tg *tg, TgDim a, TgDim b); /* proved a != b */

/* Substitution: every symbol that `replace` answers (NULL: keep) is replaced; the result is normalised again. */
TgDim tg_dim_substitute(Tg *tg, TgDim d, TgDim (*replace)(void *user, TgDim symbol), void *user);
/* Value under an assignment of symbols (callback returns false: not assigned). */
bool tg_dim_eval(TgDim d, bool (*lookup)(void *user, TgDim symbol, int64_t *n), void *user, int64_t *out);
/* The largest value that is found with every symbol at its most or (up to six of them) at 0; false: it has none. */
bool tg_dim_most(TgDim d, bool (*most)(void *user, TgDim symbol, int64_t *n), void *user, int64_t *out);
void tg_dim_symbols(TgDim d, void (*visit)(void *user, TgDim symbol), void *user);

/* "past + sequence", "2*s", "(s - 1)//2", "min(a, b)", "8" (a number even where a file writes it as a name).
 * What is no expression becomes a symbol with exactly that name, e.g. "odd name!". */
TgDim tg_dim_parse(Tg *tg, const char *text);
void tg_dim_print(TgDim d, TgText *text);      /* parses back to the same */
TgName tg_dim_text(Tg *tg, TgDim d);
/* As an expression in C over int64_t, an operand of * as it is; opaque terms are calls of tgk_floor_div,
 * tgk_floor_mod, tgk_least, tgk_most and tgk_bcast (backend_c/kernels), symbols what the callback calls them. */
void tg_dim_print_c(TgDim d, TgText *text, TgName (*symbol)(void *user, TgDim symbol), void *user);

/* --- types (type.c) ----------------------------------------------------------------------------------------------- */

typedef enum { TG_UNTYPED, TG_TENSOR, TG_SPARSE, TG_SEQUENCE, TG_OPTIONAL, TG_MAP } TgKind;

typedef struct TgType {
    TgKind kind;
    TgDtype dtype;             /* tensors: element type, TG_undefined where unknown; maps: key type */
    int32_t rank;              /* tensors: -1 where unknown */
    const struct TgType *item; /* sequence, optional, map (value) */
    const TgDim *dim;          /* rank of them, never NULL */
} TgType;

enum { TG_MAX_RANK = 64 };

const TgType *tg_untyped(Tg *tg);
const TgType *tg_type(Tg *tg, TgDtype dtype, int32_t rank, const TgDim *dim); /* tensor; rank -1: unknown */
const TgType *tg_type_known(Tg *tg, TgDtype dtype, int32_t rank, const int64_t *dim);
const TgType *tg_type_with_dtype(Tg *tg, const TgType *type, TgDtype dtype);
const TgType *tg_type_of_kind(Tg *tg, TgKind kind, TgDtype key, const TgType *item);
bool tg_is_tensor(const TgType *t);                 /* a tensor of known element type and rank */
bool tg_type_static(const TgType *t, int64_t *dim); /* all dims constant; dim may be NULL, else rank values */
TgDim tg_type_count(Tg *tg, const TgType *t);       /* product of the dims; rank must be known */
bool tg_type_numel(const TgType *t, int64_t *n);    /* its value where constant */
void tg_type_print(const TgType *t, TgText *text);  /* f32[B,S,768], f32[*] (rank unknown), seq(f32[]), ? */
TgName tg_type_text(Tg *tg, const TgType *t);
/* The type that says what both say; where they contradict: `a`, and false. Facts (a) beat claims (b). */
const TgType *tg_type_meet(Tg *tg, const TgType *a, const TgType *b, bool *agree);

#endif
