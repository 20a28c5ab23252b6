/* Which instruction set to use: found at run time by CPUID (and what the operating system saves), or asked for by
 * name. */
#ifndef TGK_ISA_H
#define TGK_ISA_H

#include "tgk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The best that this machine has; with TGK_PORTABLE defined when isa.c is compiled: scalar; with TGK_F32_STRICT:
 * without AMX, whose f32 products are sums of products of bf16. On Linux the first call asks the kernel for permission
 * to use AMX tiles, for the whole process. */
const tgk_isa *tgk_isa_best(void);

/* By name: "scalar", "avx2", "avx512", "amx", "neon", all exact to float rounding; "amx_fast" (terms of linear
 * products off by up to 2^-16) and "amx_bf16" (by 2^-8). NULL where this machine lacks it. */
const tgk_isa *tgk_isa_named(const char *name);

#ifdef __cplusplus
}
#endif

#endif
