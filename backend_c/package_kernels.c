/* Copies the kernels that a package needs, renamed: those that the steps call, the instruction sets, and whatever these
 * include.
 *
 * A file x.h becomes NAME_x.h, tgk.h becomes NAME_kernels.h; where that is included, so is x.c. In tgk.h the types that
 * NAME.h has too give way to an #include of it. No parsing: an #include is a line that starts with it.
 */
#include <string.h>

#include "backend_c/kernels/pack.h"
#include "kernels.h"

static const struct {
    TgOp op;
    const char *base, *operands, *results;
} operator_files[] = {
#define KERNEL(op, file, operands, results) {TG_##op, #file, operands, results},
#include "kernels.def"
#undef KERNEL
    {TG_opaque, NULL, NULL, NULL},
};

bool tgc_kernel(TgOp op, const char **operands, const char **results)
{
    for (size_t i = 0; operator_files[i].base; i++)
        if (operator_files[i].op == op)
            return *operands = operator_files[i].operands, *results = operator_files[i].results, true;
    return false;
}

int32_t tgc_panel(int64_t rows, int64_t depth, int64_t cols)
{
    return tgk_best_panel(rows, depth, cols);
}

const BuiltinSource *package_builtin_source(const char *name)
{
    for (const BuiltinSource *s = builtin_kernels; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static bool listed(const Files *files, const char *name)
{
    for (uint32_t i = 0; i < files->n; i++)
        if (strcmp(files->at[i], name) == 0)
            return true;
    return false;
}

static void add_once(Writer *w, Files *files, const char *name)
{
    if (!listed(files, name))
        TG_PUSH(w->arena, files, tg_name(w->p.tg, name));
}

void package_kernel_bases(const Writer *w, Files *bases)
{
    for (size_t i = 0; operator_files[i].base; i++)
        if (w->p.operators && w->p.operators[operator_files[i].op])
            add_once((Writer *)(uintptr_t)w, bases, operator_files[i].base);
}

/* --- includes --------------------------------------------------------------------------------------------------- */

/* The file of an #include "file" line; NULL: the line is none. */
static TgName include_of(Tg *tg, const char *line, size_t n)
{
    static const char word[] = "#include \"";
    if (n < sizeof word || memcmp(line, word, sizeof word - 1) != 0)
        return NULL;
    const char *from = line + sizeof word - 1, *end = memchr(from, '"', n - (sizeof word - 1));
    return end ? tg_name_n(tg, from, (size_t)(end - from)) : NULL;
}

static size_t line_length(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? (size_t)(newline - at) + 1 : (size_t)(end - at);
}

/* A header, and the source of the same name that defines what it declares. */
static void add_header(Writer *w, Files *files, TgName header)
{
    size_t n = strlen(header);
    add_once(w, files, header);
    if (n < 2 || strcmp(header + n - 2, ".h") != 0)
        return;
    TgName source = tg_name_format(w->p.tg, "%.*s.c", (int)(n - 2), header);
    if (package_builtin_source(source))
        add_once(w, files, source);
}

/* `file` and all that it includes, each once. */
static void add_with_includes(Writer *w, Files *files, const char *file)
{
    uint32_t next = files->n;
    add_once(w, files, file);
    for (; next < files->n; next++) {
        const BuiltinSource *s = package_builtin_source(files->at[next]);
        for (const char *at = s ? s->text : NULL; s && at < s->text + s->n;) {
            size_t n = line_length(at, s->text + s->n);
            TgName included = include_of(w->p.tg, at, n);
            if (included && package_builtin_source(included))
                add_header(w, files, included);
            at += n;
        }
    }
}

static const char *const instruction_sets[] = {"scalar", "avx2", "avx512", "amx", "neon"};
enum { INSTRUCTION_SETS = sizeof instruction_sets / sizeof *instruction_sets };

static void needed_files(Writer *w, Files *files)
{
    Files bases = {0};
    package_kernel_bases(w, &bases);
    add_with_includes(w, files, "isa.c");
    if (package_builtin_source("pthreads.c"))
        add_with_includes(w, files, "pthreads.c");
    if (package_builtin_source("openmp.c"))
        add_with_includes(w, files, "openmp.c");
    for (int i = 0; i < INSTRUCTION_SETS && w->needs_isa; i++) {
        if (w->options->strict && strcmp(instruction_sets[i], "amx") == 0)
            continue;
        TgName file = tg_name_format(w->p.tg, "isa_%s.c", instruction_sets[i]);
        if (package_builtin_source(file))
            add_with_includes(w, files, file);
    }
    if (w->p.uses_loop)
        add_with_includes(w, files, "loop.c");
    if (w->p.uses_copy)
        add_with_includes(w, files, "copy.c");
    if (w->p.uses_embed)
        add_with_includes(w, files, "embed.c");
    if (w->p.n_loops)
        add_with_includes(w, files, "tgk_narrow.h");
    add_with_includes(w, files, "tgk_size.h");
    for (uint32_t i = 0; i < bases.n; i++)
        add_with_includes(w, files, tg_name_format(w->p.tg, "%s.c", bases.at[i]));
}

/* Some operator's kernel calls one of the instruction set. */
static bool operators_need_isa(Writer *w)
{
    Files bases = {0}, files = {0};
    package_kernel_bases(w, &bases);
    for (uint32_t i = 0; i < bases.n; i++)
        add_with_includes(w, &files, tg_name_format(w->p.tg, "%s.c", bases.at[i]));
    for (uint32_t i = 0; i < files.n; i++) {
        const BuiltinSource *s = package_builtin_source(files.at[i]);
        if (s && strstr(s->text, "c->isa->matmul"))
            return true;
    }
    return false;
}

void package_find_isa(Writer *w, const TgText *steps)
{
    w->needs_isa = strstr(steps->at, "ctx->isa->") || operators_need_isa(w);
}

/* --- copies ----------------------------------------------------------------------------------------------------- */

static TgName name_in_package(const Writer *w, const char *file)
{
    if (strcmp(file, "tgk.h") == 0)
        return tg_name_format(w->p.tg, "%s_kernels.h", w->p.name);
    if (strcmp(file, "model.h") == 0)
        return tg_name_format(w->p.tg, "%s.h", w->p.name);
    return tg_name_format(w->p.tg, "%s_%s", w->p.name, strncmp(file, "tgk_", 4) == 0 ? file + 4 : file);
}

enum { SHARED_PARTS = 2 };
static const char marks[2][24] = {"/* in NAME.h: */", "/* end of NAME.h */"};

/* One line as it goes into the package. */
static void put_line(const Writer *w, const char *line, size_t n, TgText *out)
{
    TgName file = include_of(w->p.tg, line, n);
    bool ours = file && (package_builtin_source(file) || strcmp(file, "loops.h") == 0 || strcmp(file, "model.h") == 0);
    if (ours)
        tg_text_format(out, "#include \"%s\"\n", name_in_package(w, file));
    else
        package_rename(&w->p, line, n, out);
}

static void put_lines(const Writer *w, const char *text, size_t size, TgText *out)
{
    for (const char *at = text, *end = text + size; at < end;) {
        size_t n = line_length(at, end);
        put_line(w, at, n, out);
        at += n;
    }
}

static const char strict_text[] =
    "/* f32 products are sums of f32 products (--math=f32-strict): there is no AMX, which would split operands. */\n"
    "#ifndef TGK_F32_STRICT\n#define TGK_F32_STRICT 1\n#endif\n\n";

/* tgk.h without what NAME.h defines: the parts between the marks give way to one #include of it. */
static void put_shared_header(const Writer *w, const BuiltinSource *s, TgText *out)
{
    const char *at = s->text, *end = s->text + s->n;
    if (w->options->strict)
        put_lines(w, strict_text, sizeof strict_text - 1, out);
    for (int part = 0; part < SHARED_PARTS; part++) {
        const char *from = strstr(at, marks[0]), *to = from ? strstr(from, marks[1]) : NULL;
        TG_CHECK(w->p.tg, to);
        put_lines(w, at, (size_t)(from - at), out);
        if (part == 0)
            tg_text_format(out, "#include \"%s.h\"\n", w->p.name);
        at = to + strlen(marks[1]);
        at += strspn(at, "\n");
    }
    put_lines(w, at, (size_t)(end - at), out);
}

static bool write_kernel(Writer *w, const char *file)
{
    const BuiltinSource *s = package_builtin_source(file);
    TgText out;
    tg_text_init(&out, w->arena);
    if (strcmp(file, "tgk.h") == 0) {
        put_shared_header(w, s, &out);
    } else {
        put_lines(w, s->text, s->n, &out);
    }
    TgName path = tg_name_format(w->p.tg, "%s/%s", w->options->folder, name_in_package(w, file));
    return package_write_plain(w, path, out.n ? out.at : "", out.n);
}

bool package_write_source(Writer *w, const char *suffix, const TgText *text)
{
    TgText out;
    tg_text_init(&out, w->arena);
    put_lines(w, text->at, text->n, &out);
    return package_write_plain(w, package_file_in(w, suffix), out.at, out.n);
}

bool package_write_template(Writer *w, const char *file)
{
    TG_CHECK(w->p.tg, package_builtin_source(file));
    return write_kernel(w, file);
}

bool package_write_kernels(Writer *w)
{
    Files files = {0};
    needed_files(w, &files);
    for (uint32_t i = 0; i < files.n; i++)
        if (package_builtin_source(files.at[i]) && !write_kernel(w, files.at[i]))
            return false;
    return true;
}

void package_list_sources(Writer *w, Files *list)
{
    Files files = {0};
    needed_files(w, &files);
    TG_PUSH(w->arena, list, tg_name_format(w->p.tg, "%s.c", w->p.name));
    if (w->options->embed_weights)
        TG_PUSH(w->arena, list, tg_name_format(w->p.tg, "%s_weights.c", w->p.name));
    for (uint32_t i = 0; i < files.n; i++) {
        size_t n = strlen(files.at[i]);
        bool optional = strcmp(files.at[i], "openmp.c") == 0; /* instead of pthreads.c, by hand */
        if (!optional && package_builtin_source(files.at[i]) && n > 2 && strcmp(files.at[i] + n - 2, ".c") == 0)
            TG_PUSH(w->arena, list, name_in_package(w, files.at[i]));
    }
    package_list_loops(w, list);
}
