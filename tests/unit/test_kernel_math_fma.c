/* test_kernel_math.c once more, as compiled for AVX2 with FMA: the functions then round less often. */
#if defined(__GNUC__) && defined(__x86_64__)
#define MACHINE_HAS_IT (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#define TGK_HAS_FMA 1
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include "test_kernel_math.c"
#ifdef __clang__
#pragma clang attribute pop
#endif
#else
int main(void) { return 0; }
#endif
