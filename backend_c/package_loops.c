/* NAME_loops_<set>.c: the generated loops, compiled for each instruction set by a pragma, so that no flags are needed.
 *
 * Where nothing calls a kernel of an instruction set (only loops and kernels of single operators), their sources are
 * left out; these files then also hold tables without kernels, by which the set is known.
 */
#include <string.h>

#include "kernels.h"
#include "writer.h"

static const char x86[] = "defined(__GNUC__) && !defined(TGK_PORTABLE) && (defined(__x86_64__) || defined(__i386__))";
static const char arm[] = "defined(__aarch64__) && defined(__ARM_NEON) && !defined(TGK_PORTABLE)";

static const struct {
    const char *name, *condition, *target;
    bool fma;
} sets[] = {
    {"scalar", NULL, NULL, false},
    {"avx2", x86, "avx2,fma,f16c", true},
    {"avx512", x86, "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl", true},
    {"neon", arm, NULL, true},
};

enum { SETS = sizeof sets / sizeof *sets };

static void put_push(TgText *out, const char *target)
{
    tg_text_format(out,
                   "#ifdef __clang__\n#pragma clang attribute push(__attribute__((target(\"%s\"))), apply_to "
                   "= function)\n"
                   "#else\n#pragma GCC push_options\n#pragma GCC target(\"%s\")\n#endif\n\n",
                   target, target);
}

static const char pop_text[] =
    "\n#ifdef __clang__\n#pragma clang attribute pop\n#else\n#pragma GCC pop_options\n#endif\n";

static void put_table(TgText *out, const char *name, const char *variant)
{
    tg_text_format(out,
                   "\nextern const tgk_isa tgk_isa_%s%s;\nconst tgk_isa tgk_isa_%s%s = {\"%s\", NULL, NULL, "
                   "NULL, NULL, NULL, NULL, NULL, NULL, 0, 0};\n",
                   name, variant, name, variant, name);
}

static void put_set(const Writer *w, int i, TgText *out)
{
    const char *name = sets[i].name;
    tg_text_format(out,
                   "/* The elementwise loops for the instruction set %s. */\n#include <math.h>\n#include "
                   "<string.h>\n\n#include \"tgk.h\"\n",
                   name);
    if (sets[i].condition)
        tg_text_format(out, "\n#if %s\n", sets[i].condition);
    if (w->p.n_loops) {
        tg_text_add(out, sets[i].fma ? "\n#define TGK_FMA 1 /* for tgk_math.h */\n" : "\n");
        if (sets[i].target)
            put_push(out, sets[i].target);
        tg_text_format(out, "#include \"tgk_math.h\"\n#include \"tgk_narrow.h\"\n\n#define TGK_LOOPS tgk_loops_%s\n"
                            "extern tgk_tile *const TGK_LOOPS[];\n#include \"loops.h\"\n", name);
        tg_text_add(out, sets[i].target ? pop_text : "");
    }
    if (!w->needs_isa)
        put_table(out, name, "");
    if (!w->needs_isa && sets[i].condition == x86)
        put_table(out, name, "_streams");
    if (!w->needs_isa && strcmp(name, "avx512") == 0) {
        put_table(out, name, "_vnni");
        tg_text_add(out, "\n#if defined(__x86_64__) && !defined(TGK_F32_STRICT)");
        put_table(out, "amx", "");
        put_table(out, "amx_fast", "");
        put_table(out, "amx_bf16", "");
        tg_text_add(out, "#endif\n");
    }
    if (sets[i].condition)
        tg_text_format(out, "\n#else\n\ntypedef int tgk_loops_%s_are_for_another_machine;\n\n#endif\n", name);
}

static bool needs_loop_files(const Writer *w)
{
    return w->p.n_loops || !w->needs_isa;
}

void package_list_loops(Writer *w, Files *files)
{
    for (int i = 0; i < SETS && needs_loop_files(w); i++)
        TG_PUSH(w->arena, files, tg_name_format(w->p.tg, "%s_loops_%s.c", w->p.name, sets[i].name));
}

bool package_write_loops(Writer *w)
{
    for (int i = 0; i < SETS && needs_loop_files(w); i++) {
        TgText out;
        tg_text_init(&out, w->arena);
        put_set(w, i, &out);
        if (!package_write_source(w, tg_name_format(w->p.tg, "_loops_%s.c", sets[i].name), &out))
            return false;
    }
    return true;
}
