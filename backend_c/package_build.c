/* Makefile, CMakeLists.txt and README.md of a package. */
#include <inttypes.h>
#include <string.h>

#include "backend_c/kernels/tgk.h"
#include "kernels.h"
#include "writer.h"

static bool has_threads(void)
{
    return package_builtin_source("pthreads.c") != NULL;
}

/* Text with @N for the name, @U for the name in capitals. */
static void put_named(const Writer *w, const char *text, TgText *out)
{
    for (const char *at = text; *at; at++) {
        bool name = at[0] == '@' && (at[1] == 'N' || at[1] == 'U');
        if (name)
            tg_text_add(out, *++at == 'N' ? w->p.name : w->upper);
        else
            tg_text_add_n(out, at, 1);
    }
}

static void put_sources(const Files *files, const char *between, const char *ending, TgText *out)
{
    size_t column = 0;
    for (uint32_t i = 0; i < files->n; i++) {
        size_t n = strlen(files->at[i]) - 2;
        tg_text_add(out, i ? (column > 90 ? between : " ") : "");
        column = column > 90 || !i ? n : column + n + 1;
        tg_text_add_n(out, files->at[i], n);
        tg_text_add(out, ending);
    }
}

static bool write_makefile(Writer *w, const Files *files)
{
    TgText out;
    tg_text_init(&out, w->arena);
    put_named(w, "# The model as a library, @N.a, and its test program. Plain C for any machine: make PORTABLE=1\n"
                 "CFLAGS ?= -O3 -fno-math-errno -fno-trapping-math\n"
                 "ifdef PORTABLE\nCPPFLAGS += -D@U_PORTABLE\nendif\n", &out);
    if (has_threads())
        put_named(w, "THREADS ?= -pthread\nifneq ($(THREADS),)\nCPPFLAGS += -D@U_TEST_PTHREADS\nendif\n", &out);
    tg_text_add(&out, "OBJECTS = ");
    put_sources(files, " \\\n\t", ".o", &out);
    put_named(w, "\n\nall: @N_test\n\n@N.a: $(OBJECTS)\n\t$(AR) rcs $@ $^\n\n"
                 "@N_test: @N_test.o @N_load.o @N.a\n\t$(CC) $(LDFLAGS) $(THREADS) -o $@ $^ $(LDLIBS) -lm\n\n"
                 "%.o: %.c\n\t$(CC) $(CPPFLAGS) -std=c11 $(CFLAGS) $(THREADS) -c -o $@ $<\n\n"
                 "$(OBJECTS) @N_test.o @N_load.o: $(wildcard *.h *.inc)\n\n"
                 "check: @N_test ## compare with the stored outputs\n\t./@N_test\n\n"
                 "bench: @N_test ## time at the largest sizes\n\t./@N_test --bench\n\n"
                 "clean:\n\trm -f *.o @N.a @N_test\n\n.PHONY: all check bench clean\n", &out);
    return package_write_plain(w, tg_name_format(w->p.tg, "%s/Makefile", w->options->folder), out.at, out.n);
}

static bool write_cmake(Writer *w, const Files *files)
{
    TgText out;
    tg_text_init(&out, w->arena);
    put_named(w, "cmake_minimum_required(VERSION 3.13)\nproject(@N LANGUAGES C)\n"
                 "option(@U_PORTABLE \"Plain C only, no instruction sets\" OFF)\n"
                 "if(NOT CMAKE_BUILD_TYPE)\n  set(CMAKE_BUILD_TYPE Release)\nendif()\n"
                 "set(CMAKE_C_STANDARD 11)\nset(CMAKE_C_EXTENSIONS OFF)\n\nadd_library(@N STATIC\n  ", &out);
    put_sources(files, "\n  ", ".c", &out);
    put_named(w,
              ")\ntarget_include_directories(@N PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
              "if(CMAKE_C_COMPILER_ID MATCHES \"GNU|Clang\")\n"
              "  target_compile_options(@N PRIVATE -O3 -fno-math-errno -fno-trapping-math)\n  "
              "target_link_libraries(@N PUBLIC m)\nendif()\n"
              "if(@U_PORTABLE)\n  target_compile_definitions(@N PUBLIC @U_PORTABLE)\nendif()\n\n"
              "add_executable(@N_test @N_test.c @N_load.c)\ntarget_link_libraries(@N_test PRIVATE @N)\n",
              &out);
    if (has_threads())
        put_named(w, "find_package(Threads)\nif(Threads_FOUND)\n  target_link_libraries(@N PUBLIC Threads::Threads)\n"
                     "  target_compile_definitions(@N_test PRIVATE @U_TEST_PTHREADS)\nendif()\n", &out);
    put_named(w, "enable_testing()\nadd_test(NAME @N COMMAND @N_test --weights @N.weights --golden @N_golden.bin\n"
                 "  WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})\n", &out);
    return package_write_plain(w, tg_name_format(w->p.tg, "%s/CMakeLists.txt", w->options->folder), out.at, out.n);
}

/* --- README.md -------------------------------------------------------------------------------------------------- */

static void put_example(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    put_named(w, "## Use\n\n```c\n#include \"@N.h\"\n#include \"@N_load.h\"\n\n", out);
    if (w->options->embed_weights)
        put_named(w, "@N_ctx model;\n@N_init(&model, @N_weights, @U_WEIGHTS_BYTES);\n", out);
    else
        put_named(w, "@N_file file;                     /* or any 64-byte aligned copy of @N.weights, in flash say */\n"
                     "@N_ctx model;\n@N_load(&file, \"@N.weights\", 0);\n@N_init(&model, file.at, file.bytes);\n", out);
    put_named(w, "\nstatic _Alignas(64) unsigned char arena[@U_ARENA_BYTES]; /* one per thread */\n"
                 "@N_inputs in = {0};\n@N_outputs out = {0};\n", out);
    for (uint32_t i = 0; i < plan->inputs.n && i < 8; i++)
        tg_text_format(out, "in.%s = ...;\n", w->p.input[i]);
    for (uint32_t i = 0; i < plan->symbols.n; i++)
        if (w->size_field[i])
            tg_text_format(out, "in.%s = ...;          /* up to %" PRId64 " */\n", w->size_field[i],
                           plan->symbols.at[i].most);
    for (uint32_t i = 0; i < plan->outputs.n && i < 8; i++)
        tg_text_format(out, "out.%s = ...;\n", w->p.output[i]);
    put_named(w, "@N_status status = @N_run(&model, &in, &out, arena, sizeof arena);\nif (status != @U_OK)\n"
                 "    puts(@N_status_str(status));\n```\n\n", out);
    if (w->past)
        put_named(w,
                  "Token by token, with caches that stay where they are:\n\n```c\n@N_state state;\n"
                  "@N_reset(&state, memory, @N_state_size(1024)); /* the same number of bytes from malloc, "
                  "64-byte aligned */\n"
                  "@N_step(&model, &in, &out, &state, arena, sizeof arena); /* any number of new tokens, "
                  "first the prompt */\n"
                  "```\n\n",
                  out);
}

static void put_sizes(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    if (has_threads())
        put_named(w,
                  "With threads: `@N_pthreads.h` has a pool (`model.parallel_for = @N_pool_for; model.pool = "
                  "pool;`); any function of\n"
                  "that form will do. Results are the same for every number of threads.\n\n",
                  out);
    tg_text_format(out,
                   "## Sizes\n\n| | bytes |\n|---|---|\n| weights | %" PRIu64 " |\n| arena | %" PRIu64
                   " |\n| of that, scratch of kernels | %" PRIu64 " |\n"
                   "| arena without reuse | %" PRIu64 " |\n| most that is needed at once | %" PRIu64 " |\n"
                   "| stack of a kernel | at most %d |\n\n",
                   w->weights_bytes, package_arena_bytes(w), package_scratch_bytes(w), plan->sum_bytes,
                   plan->floor_bytes, TGK_STACK_BYTES);
}

static const char build_text[] =
    "## Build\n\n"
    "    make && ./@N_test            # compares with outputs that were computed when the package was made\n"
    "    ./@N_test --bench            # time at the largest sizes; --size NAME=N, --threads N, --isa NAME\n"
    "    cmake -B build && cmake --build build && ctest --test-dir build\n\n"
    "For another machine: `make CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar`; where the compiler knows "
    "no vectors, or to\n"
    "read along: `make PORTABLE=1` (-D@U_PORTABLE), any C11 compiler. On big-endian machines @N_load swaps "
    "the weights.\n"
    "With -D@U_F32_STRICT, f32 products are never split for AMX (at run time: @N_set_isa(&model, \"avx512\")).\n"
    "Where 64-bit atomics are calls into a library (32-bit PowerPC or MIPS): LDLIBS=-latomic, or no threads: "
    "THREADS=.\n"
    "Nothing is needed beyond memcpy and its kin and math.h; only @N_load.c, the threads and the test "
    "program allocate.\n\n"
    "## Files\n\n"
    "| file | what |\n|---|---|\n"
    "| @N.h | the interface: start here |\n"
    "| @N.c | the model, one call per step, and the checks of what callers hand over |\n"
    "| @N_loops.h | elementwise steps as loops |\n"
    "| @N_kernels.h and others | kernels, copied from tgopt; @N_isa_*.c compile them for each instruction "
    "set |\n"
    "| @N_load.c | optional: maps the weights |\n"
    "| @N_pthreads.c, @N_openmp.c | optional: threads, for parallel_for of the context |\n"
    "| @N_test.c, @N_golden.bin | test program, inputs and expected outputs |\n\n"
    "What tgopt writes carries no licence of its own; the copied kernels may be used like any of your "
    "files.\n";

static bool write_readme(Writer *w)
{
    TgText out;
    tg_text_init(&out, w->arena);
    tg_text_format(&out, "# %s\n\nInference of %s as standalone C, made by ", w->p.name, w->title);
    package_comment(&out, w->options->version ? w->options->version : "tgopt", 60);
    tg_text_add(&out, ".\n\n");
    put_example(w, &out);
    put_sizes(w, &out);
    put_named(w, build_text, &out);
    return package_write_plain(w, tg_name_format(w->p.tg, "%s/README.md", w->options->folder), out.at, out.n);
}

bool package_write_build(Writer *w)
{
    Files files = {0};
    package_list_sources(w, &files);
    return write_makefile(w, &files) && write_cmake(w, &files) && write_readme(w);
}
