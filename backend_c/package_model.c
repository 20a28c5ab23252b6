/* NAME.c and NAME_loops.h: what emit*.c writes, with its surroundings. */
#include <string.h>

#include "kernels.h"
#include "writer.h"

static const char includes_text[] =
    "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n\n#include \"tgk.h\"\n"
    "#include \"isa.h\"\n#include \"tgk_size.h\"\n";

static bool write_loops(Writer *w)
{
    TgText out;
    tg_text_init(&out, w->arena);
    tg_text_format(&out,
                   "/* The elementwise loops of %s; every instruction set compiles them for itself. */\n",
                   w->title);
    if (!emit_loops(&w->p, &out))
        return false;
    return !w->p.n_loops || package_write_source(w, "_loops.h", &out);
}

static void put_includes(const Writer *w, TgText *out)
{
    tg_text_add(out, includes_text);
    if (w->p.uses_loop)
        tg_text_add(out, "#include \"loop.h\"\n");
    if (w->p.uses_copy)
        tg_text_add(out, "#include \"copy.h\"\n");
    if (w->p.uses_embed)
        tg_text_add(out, "#include \"embed.h\"\n");
    Files bases = {0};
    package_kernel_bases(w, &bases);
    for (uint32_t i = 0; i < bases.n; i++)
        tg_text_format(out, "#include \"%s.h\"\n", bases.at[i]);
    tg_text_add(out, "\n");
}

bool package_write_model(Writer *w)
{
    TgText out, steps;
    tg_text_init(&out, w->arena);
    tg_text_init(&steps, w->arena);
    if (!write_loops(w) || !emit_steps(&w->p, &steps))
        return false;
    package_find_isa(w, &steps);
    tg_text_format(&out, "/* %s: one call per step, in tgk_steps; then what callers reach, see tgk_run. */\n",
                   w->title);
    put_includes(w, &out);
    tg_text_add_n(&out, steps.at, steps.n);
    package_put_entry(w, &out);
    return package_write_source(w, ".c", &out);
}
