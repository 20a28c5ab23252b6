/* Operators that bring code of their own for several instruction sets: what a region needs around it
 * (op_isa_plain.h). */
#ifndef TGK_OP_ISA_H
#define TGK_OP_ISA_H

#include <string.h>

#include "tgk.h"

#if (defined __x86_64__ || defined __i386__) && defined __GNUC__ && defined __SSE2__
#define TGK_OP_X86
#include <immintrin.h>

static inline float tgk_sum_of_four(__m128 x)
{
    const __m128 y = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}
#endif

#if defined __clang__
#define TGK_UNROLL _Pragma("clang loop unroll(full)")
#elif defined __GNUC__
#define TGK_UNROLL _Pragma("GCC unroll 8")
#else
#define TGK_UNROLL
#endif

enum { TGK_WIDTH_PLAIN, TGK_WIDTH_AVX2, TGK_WIDTH_AVX512 };

/* The region to run, by the instruction set of the context. */
static inline int tgk_width(const tgk_ctx *c)
{
#ifdef TGK_OP_X86
    const char *name = c && c->isa ? c->isa->name : "";
    if (strcmp(name, "avx512") == 0 || strcmp(name, "amx") == 0)
        return TGK_WIDTH_AVX512;
    return strcmp(name, "avx2") == 0 ? TGK_WIDTH_AVX2 : TGK_WIDTH_PLAIN;
#else
    (void)c;
    return TGK_WIDTH_PLAIN;
#endif
}

#endif
