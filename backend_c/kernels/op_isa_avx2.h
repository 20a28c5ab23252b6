/* Opens a region of code for AVX2 and FMA: see op_isa_plain.h. Only where TGK_OP_X86 is defined. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define TGK_REGION
#define V(name) name##_avx2
#define VEC_ROWS 4
#define VEC __m256
#define LANES 8
#define VEC_LOAD(p) _mm256_loadu_ps(p)
#define VEC_STORE(p, x) _mm256_storeu_ps((p), (x))
#define VEC_SET(x) _mm256_set1_ps(x)
#define VEC_SUM(x) tgk_sum_of_four(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps((x), 1)))
#define VEC_FMA(a, b, c) _mm256_fmadd_ps((a), (b), (c))
