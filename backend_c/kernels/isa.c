/* Finds the instruction sets of the machine.
 *
 * A CPU flag says that the instruction exists, XGETBV that the operating system saves the registers: both are needed.
 * The order of the table is the order of preference. AMX is not saved by Linux until a process asks for it.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* syscall */
#endif
#include "isa.h"

#include <string.h>

extern const tgk_isa tgk_isa_scalar;

#if defined(__GNUC__) && !defined(TGK_PORTABLE) && (defined(__x86_64__) || defined(__i386__))
#include <cpuid.h>
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__) && !defined(TGK_F32_STRICT)
#define TGK_HAS_AMX 1
#endif

extern const tgk_isa tgk_isa_avx2, tgk_isa_avx2_streams, tgk_isa_avx512, tgk_isa_avx512_vnni, tgk_isa_avx512_streams;
#ifdef TGK_HAS_AMX
extern const tgk_isa tgk_isa_amx, tgk_isa_amx_fast, tgk_isa_amx_bf16;
#endif

enum { LEAF0_B, LEAF1_C, LEAF7_B, LEAF7_C, LEAF7_D, STATE, WORDS };

static void read_cpu(uint32_t word[WORDS])
{
    uint32_t a, b, c, d;
    memset(word, 0, WORDS * sizeof *word);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) /* OSXSAVE */
        return;
    word[LEAF1_C] = c;
    __get_cpuid(0, &a, &word[LEAF0_B], &c, &d);
    __asm__ volatile("xgetbv" : "=a"(word[STATE]), "=d"(d) : "c"(0));
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        word[LEAF7_B] = b;
        word[LEAF7_C] = c;
        word[LEAF7_D] = d;
    }
}

static int all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

static int has_avx2(const uint32_t *w)
{
    return all(w[STATE], 6) && all(w[LEAF1_C], 1U << 12 /* FMA */ | 1U << 28 /* AVX */ | 1U << 29 /* F16C */) &&
           all(w[LEAF7_B], 1U << 5);
}

static int has_avx512(const uint32_t *w) /* F, DQ, BW, VL */
{
    return has_avx2(w) && all(w[STATE], 0xe6) && all(w[LEAF7_B], 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31);
}

static int is_amd(const uint32_t *w) { return w[LEAF0_B] == 0x68747541; /* Auth(enticAMD) */ }
static int has_avx2_streams(const uint32_t *w) { return is_amd(w) && has_avx2(w); }
static int has_avx512_vnni(const uint32_t *w) { return has_avx512(w) && all(w[LEAF7_C], 1U << 11); }
static int has_avx512_streams(const uint32_t *w) { return is_amd(w) && has_avx512_vnni(w); }

#ifdef TGK_HAS_AMX
static int has_amx(const uint32_t *w) /* BF16 and TILE; permission for state component 18, the tile data */
{
    if (!has_avx512(w) || !all(w[STATE], 3U << 17) || !all(w[LEAF7_D], 1U << 22 | 1U << 24))
        return 0;
#ifdef __linux__
    return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0;
#else
    return 0;
#endif
}
#endif

static const struct {
    const tgk_isa *isa;
    int (*has)(const uint32_t *word);
} table[] = {
#ifdef TGK_HAS_AMX
    {&tgk_isa_amx, has_amx},
#endif
    {&tgk_isa_avx512_streams, has_avx512_streams},
    {&tgk_isa_avx512_vnni, has_avx512_vnni},
    {&tgk_isa_avx512, has_avx512},
    {&tgk_isa_avx2_streams, has_avx2_streams},
    {&tgk_isa_avx2, has_avx2},
#ifdef TGK_HAS_AMX
    {&tgk_isa_amx_fast, has_amx}, /* less exact: by name only */
    {&tgk_isa_amx_bf16, has_amx},
#endif
};

/* NULL for `name`: the first. */
static const tgk_isa *find(const char *name)
{
    uint32_t word[WORDS];
    read_cpu(word);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((!name || !strcmp(table[i].isa->name, name)) && table[i].has(word))
            return table[i].isa;
    return NULL;
}

#elif defined(__aarch64__) && defined(__ARM_NEON) && !defined(TGK_PORTABLE)

extern const tgk_isa tgk_isa_neon;

static const tgk_isa *find(const char *name) { return !name || !strcmp(name, "neon") ? &tgk_isa_neon : NULL; }

#else

static const tgk_isa *find(const char *name)
{
    (void)name;
    return NULL;
}

#endif

const tgk_isa *tgk_isa_best(void)
{
    const tgk_isa *isa = find(NULL);
    return isa ? isa : &tgk_isa_scalar;
}

const tgk_isa *tgk_isa_named(const char *name)
{
    return strcmp(name, "scalar") == 0 ? &tgk_isa_scalar : find(name);
}
