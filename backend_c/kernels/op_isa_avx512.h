/* Opens a region of code for AVX-512: see op_isa_plain.h. Only where TGK_OP_X86 is defined. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,fma")
#endif
#define TGK_REGION
#define V(name) name##_avx512
#define VEC_ROWS 8
#define VEC __m512
#define LANES 16
#define VEC_LOAD(p) _mm512_loadu_ps(p)
#define VEC_STORE(p, x) _mm512_storeu_ps((p), (x))
#define VEC_SET(x) _mm512_set1_ps(x)
#define VEC_SUM(x) _mm512_reduce_add_ps(x)
#define VEC_FMA(a, b, c) _mm512_fmadd_ps((a), (b), (c))
