/* How symbolic integers are stored; private to dim.c, dim_bound.c and dim_text.c.
 *
 * A node is a sum of terms, a term is a coefficient times a product, a product is a sorted list of atoms. All
 * four are hash-consed, so equal things are equal pointers. Terms are sorted by a monomial order (degree,
 * then the atoms in order), highest first, the constant last: it does not depend on addresses or history, so
 * printing is canonical, and it is compatible with multiplication, so polynomials divide by their leading
 * terms.
 *
 * Depth, size, degree and number of terms are bounded (below); what would exceed a bound becomes a fresh
 * symbol. Hence plain recursion over nodes is safe here.
 */
#ifndef TG_DIM_H
#define TG_DIM_H

#include "type.h"

enum {
    DIM_MOST_TERMS = 32,
    DIM_MOST_FACTORS = 16,
    DIM_MOST_ARGS = 16,
    DIM_MOST_SIZE = 160,
    DIM_MOST_DEPTH = 12
};

typedef enum {
    DIM_SYMBOL, /* named in the model, >= 0 */
    DIM_FRESH,  /* a size nobody named, >= 0 */
    DIM_ANY,    /* an integer nobody knows */
    DIM_DIV,    /* floor(arg 0 / arg 1) */
    DIM_MOD,    /* arg 0 modulo arg 1, sign of arg 1 */
    DIM_MIN,    /* of two or more, sorted */
    DIM_MAX,
    DIM_BCAST /* what broadcasting gives to two or more sizes, sorted */
} DimKind;

typedef struct DimAtom {
    DimKind kind;
    bool fresh;
    uint32_t depth, size;
    TgName name;     /* DIM_SYMBOL */
    uint64_t number; /* DIM_FRESH, DIM_ANY */
    uint32_t n;      /* of the opaque terms */
    const TgDim *arg;
    int64_t lower, upper;
    TgDim self; /* the sum that is this atom alone */
} DimAtom;

typedef struct {
    uint32_t n; /* 0: the empty product, 1 */
    const DimAtom *const *at;
} DimProduct;

typedef struct {
    int64_t times; /* never 0 in a node */
    const DimProduct *of;
} DimTerm;

struct TgDimNode {
    uint32_t n; /* 0: the number 0 */
    const DimTerm *at;
    bool fresh;
    uint32_t depth, size;
    int64_t lower, upper;
};

/* A closed interval; INT64_MIN and INT64_MAX stand for no bound. */
typedef struct {
    int64_t lower, upper;
} DimRange;

TgDim dim_of_term(Tg *tg, int64_t times, const DimProduct *product);
TgDim dim_opaque(Tg *tg, DimKind kind, uint32_t n, const TgDim *arg); /* after all simplification */
TgDim dim_apply(Tg *tg, DimKind kind, uint32_t n, const TgDim *arg);  /* with simplification */
TgDim dim_numbered(Tg *tg, DimKind kind, uint64_t number);            /* _7, ~7 */
/* Fresh symbols made from now on are none of those that the text names, nor parts of its other words. */
void dim_reserve(Tg *tg, const char *text, size_t n);
uint64_t dim_last_number(Tg *tg);                                     /* of the fresh symbols made so far */
bool dim_newer(TgDim d, uint64_t number); /* a plain fresh symbol, made after that one */
/* As tg_dim_substitute, but opaque terms may be replaced as well. */
TgDim dim_substitute_atoms(Tg *tg, TgDim d, TgDim (*replace)(void *user, TgDim atom), void *user);
bool dim_mentions(TgDim d, const DimAtom *atom); /* anywhere, also within opaque terms */
const DimAtom *dim_only_atom(TgDim d);           /* d is that atom and nothing else; NULL otherwise */
int dim_compare(TgDim a, TgDim b);
void dim_divide(Tg *tg, TgDim a, TgDim b, TgDim *quotient,
                TgDim *rest); /* a = quotient * b + rest, as polynomials */

DimRange dim_range_of_atom(const DimAtom *atom);
DimRange dim_range_of_terms(uint32_t n, const DimTerm *term);
int64_t dim_floor_div(int64_t a, int64_t b); /* b is not 0 and the quotient fits */
bool dim_nonnegative(Tg *tg, TgDim d);       /* proved d >= 0 */

#endif
