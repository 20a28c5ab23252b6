/* Opens a region of code for no particular instruction set; op_isa_end.h closes it.
 *
 * In such a region (op_isa_plain.h, op_isa_avx2.h, op_isa_avx512.h) a template is included that is written against
 *   V(name)      the name of this instance              VEC, LANES  a vector of floats, their number
 *   VEC_LOAD(p)  VEC_STORE(p, x)  VEC_SET(x)             VEC_FMA(a, b, c) = a * b + c
 *   VEC_SUM(x)   the sum of all lanes
 *   VEC_ROWS     vectors that fit into the registers as sums, divided by three
 * Functions are compiled for the set by pragma: no compiler flag is needed. No include guard: meant to be included
 * again. */
#define V(name) name##_plain
#define VEC_ROWS 4
#ifdef __GNUC__
#ifndef TGK_V4
#define TGK_V4
typedef float tgk_v4 __attribute__((vector_size(16)));
typedef float tgk_v4_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
#endif
#define VEC tgk_v4
#define LANES 4
#define VEC_LOAD(p) ((tgk_v4)*(const tgk_v4_anywhere *)(p))
#define VEC_STORE(p, x) (*(tgk_v4_anywhere *)(p) = (x))
#define VEC_SET(x) ((tgk_v4){(x), (x), (x), (x)})
#define VEC_SUM(x) ((x)[0] + (x)[2] + ((x)[1] + (x)[3]))
#else
#define VEC float
#define LANES 1
#define VEC_LOAD(p) (*(p))
#define VEC_STORE(p, x) (*(p) = (x))
#define VEC_SET(x) (x)
#define VEC_SUM(x) (x)
#endif
#define VEC_FMA(a, b, c) ((a) * (b) + (c))
