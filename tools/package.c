/* Models as standalone C: planned, written into a folder; and compiled and run for `run` and `bench`.
 *
 * The compiler is that of the environment ($CC, else cc) with its flags ($CFLAGS, else -O1); everything happens in a
 * folder of its own beneath $TMPDIR, which is removed again.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

/* --- planning --------------------------------------------------------------------------------------------------- */

typedef struct {
    Run *run;
    const TgModel *model;
    const TgArray *in; /* sizes that must fit; NULL: none */
} Bounds;

/* Of --max-dim NAME=N; 0: not given. */
static int64_t given_bound(const Run *run, TgName name)
{
    const Arguments *a = &run->arguments;
    for (uint32_t i = a->given.n; i-- > 0;) {
        const char *text = a->given.at[i].id == OPT_max_dim ? a->given.at[i].value : NULL,
                   *equals = text ? strrchr(text, '=') : NULL;
        if (equals && strlen(name) == (size_t)(equals - text) && strncmp(text, name, strlen(name)) == 0)
            return strtoll(equals + 1, NULL, 10);
    }
    return 0;
}

/* A size that the data decide: no larger than what they count, or than what they say in a few integers. */
static int64_t bound_in_data(const Bounds *b)
{
    enum { LEAST = 16, FEW = 64 };
    int64_t most = LEAST;
    for (uint32_t i = 0; i < b->model->graph->inputs.n; i++) {
        const TgArray *a = &b->in[i];
        bool integers = tg_is_integer(a->dtype);
        most = a->count > most ? a->count : most;
        for (int64_t k = 0; integers && a->count <= FEW && k < a->count; k++)
            most = tg_array_int(a, k) > most && tg_array_int(a, k) <= INT32_MAX ? tg_array_int(a, k) : most;
    }
    return most < TG_PLAN_UNNAMED ? most : TG_PLAN_UNNAMED;
}

/* What the data say of a size that is one of their elements; 0: it is none. */
static int64_t element_in_data(const Bounds *b, TgDim symbol)
{
    const TgGraph *g = b->model->graph;
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        for (int64_t k = 0; v->symbolic && k < b->in[i].count; k++)
            if (v->symbolic[k] == symbol)
                return tg_array_int(&b->in[i], k) > 0 ? tg_array_int(&b->in[i], k) : 1;
    }
    return 0;
}

static int64_t most_of_symbol(void *user, TgDim symbol)
{
    const Bounds *b = user;
    const TgGraph *g = b->model->graph;
    int64_t most = given_bound(b->run, tg_dim_text(b->run->tg, symbol));
    for (uint32_t i = 0; i < g->inputs.n && !most && tg_dim_is_fresh(symbol); i++) { /* nameless: INPUT_AXIS, as in the header */
        const TgValueInfo *v = tg_value(g, g->inputs.at[i]);
        for (int32_t k = 0; v->type->kind == TG_TENSOR && k < v->type->rank; k++)
            if (v->type->dim[k] == symbol && v->name)
                most = given_bound(b->run, tg_name_format(b->run->tg, "%s_%d", v->name, k));
    }
    for (uint32_t i = 0; b->in && i < g->inputs.n; i++) {
        const TgType *t = tg_type_of(g, g->inputs.at[i]);
        for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank && k < b->in[i].rank; k++)
            if (t->dim[k] == symbol && b->in[i].dim[k] >= most)
                most = b->in[i].dim[k] > 0 ? b->in[i].dim[k] : 1;
    }
    if (!most && b->in)
        most = element_in_data(b, symbol);
    if (!most && b->in && tg_dim_is_fresh(symbol))
        most = bound_in_data(b);
    return most;
}

bool known_for_c(Run *run)
{
    const Arguments *a = &run->arguments;
    TgDtype weights;
    bool strict;
    for (uint32_t i = 0; i < a->given.n; i++) {
        if (a->given.at[i].id != OPT_max_dim)
            continue;
        const char *equals = strrchr(a->given.at[i].value, '=');
        char *end = NULL;
        long long n = equals ? strtoll(equals + 1, &end, 10) : 0;
        if (n < 1 || *end || n > INT32_MAX)
            return usage("--max-dim wants NAME=N with N from 1 on, not '%s'", a->given.at[i].value);
    }
    return narrowing_of(a, &weights) && strictness_of(a, &strict);
}

TgPlan *plan_for_c(Run *run, TgModel *model, const TgBook *book, const TgArray *in)
{
    Bounds bounds = {run, model, in};
    TgPlanOptions options = {
        .kernel = tgc_kernel, .panel = tgc_panel, .most = most_of_symbol, .user = &bounds, .book = book};
    return tg_plan(model, &options);
}

/* --- the model that is planned ---------------------------------------------------------------------------------- */

/* A copy of the source, optimized for this backend. NULL: recorded, or said. */
TgModel *optimized_for_c(Run *run, const TgModel *source, TgBook **book)
{
    int64_t level = 2, opset = tg_newest_opset();
    if (!number_of(&run->arguments, OPT_level, 0, 2, &level)) {
        run->code = EXIT_USAGE;
        return NULL;
    }
    TgReport report = {0};
    TgEquivOptions equiv = {.seed = 1, .tolerance = 1e-4};
    tg_equiv_means(source->graph, &equiv);
    TgOptimizeOptions options = {.level = (int)level, .opset = opset, .rewrite_limit = -1, .threads = 1, .for_plan = true,
                                 .checker = tg_checker_new(run->tg, &equiv)};
    *book = load_book(run, (int)level);
    if (!*book)
        return NULL;
    options.book = *book;
    TgModel *model = tg_model_clone(source);
    if (tg_optimize(model, &options, &report))
        return model;
    tg_model_free(model);
    return NULL;
}

/* --- a folder that passes --------------------------------------------------------------------------------------- */

struct Built {
    Run *run;
    const TgModel *source;
    TgName folder;
    TgPlan *plan;
    TgModel *model;
    uint32_t runs; /* of package_run: each has a result file of its own, since a mapped file is mapped once */
};

static TgName make_folder(Run *run)
{
    const char *parent = getenv("TMPDIR");
    TgName pattern = tg_name_format(run->tg, "%s/tgopt-XXXXXX", parent && *parent ? parent : "/tmp");
    char *path = tg_copy(tg_forever(run->tg), pattern, strlen(pattern) + 1);
    if (!mkdtemp(path)) {
        tg_report(run->tg, TG_E_cannot_write, path, "no folder can be made");
        return NULL;
    }
    return tg_name(run->tg, path);
}

/* Only what we made lies in it: files, no folders. */
static void remove_folder(Tg *tg, TgName folder)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlink(tg_name_format(tg, "%s/%s", folder, e->d_name));
    if (dir)
        closedir(dir);
    rmdir(folder);
}

/* Names of files reach the shell through the environment alone. */
static bool shell(const Built *b, const char *command, const char *what)
{
    setenv("TGOPT_BUILD", b->folder, 1);
    fflush(stdout);
    int status = system(command);
    if (status == 0)
        return true;
    bool refused = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
    fprintf(stderr, "tgopt: %s failed%s\n", what,
            status != -1 && WIFSIGNALED(status) ? " by a signal" : "");
    b->run->code = refused ? EXIT_REFUSED : EXIT_INTERNAL;
    return false;
}

static bool compile(const Built *b)
{
    return shell(
        b,
        "cd \"$TGOPT_BUILD\" && { for f in *.c; do "
        "${CC:-cc} ${CFLAGS:--O1} -std=c11 -pthread -DMODEL_TEST_PTHREADS -c \"$f\" || exit 2; done; "
        "${CC:-cc} -pthread -o model_test *.o -lm; } >compiler.log 2>&1 || { cat compiler.log >&2; exit 2; }",
        "the compiler");
}

Built *package_build(Run *run, const TgModel *source, const TgArray *in)
{
    TgBook *book;
    Built *b = TG_NEW(tg_forever(run->tg), Built);
    TgcOptions options = {.name = "model", .version = "tgopt " TGOPT_VERSION, .tests = false};
    TgcReport report;
    *b = (Built){.run = run, .source = source, .folder = make_folder(run)};
    if (!b->folder)
        return NULL;
    options.folder = b->folder;
    b->model = optimized_for_c(run, source, &book);
    TgDtype weights;
    uint32_t n;
    (void)(narrowing_of(&run->arguments, &weights) && strictness_of(&run->arguments, &options.strict)); /* known_for_c */
    if (b->model && weights && !tg_narrow_weights(b->model, weights, &n)) {
        package_drop(b);
        return NULL;
    }
    b->plan = b->model ? plan_for_c(run, b->model, book, in) : NULL;
    if (b->plan && tgc_emit(b->plan, &options, &report) && compile(b))
        return b;
    package_drop(b);
    return NULL;
}

void package_drop(Built *b)
{
    if (!b)
        return;
    remove_folder(b->run->tg, b->folder);
    tg_plan_free(b->plan);
    tg_model_free(b->model);
}

bool package_fits(const Built *b, const TgArray *in)
{
    Bounds bounds = {b->run, b->model, in};
    for (uint32_t i = 0; i < b->plan->symbols.n; i++)
        if ((b->plan->symbols.at[i].input != UINT32_MAX || element_in_data(&bounds, b->plan->symbols.at[i].symbol)) &&
            most_of_symbol(&bounds, b->plan->symbols.at[i].symbol) > b->plan->symbols.at[i].most)
            return false;
    return true;
}

bool package_run(Built *b, int64_t threads, const TgArray *in, TgArray *out)
{
    Tg *tg = b->run->tg;
    uint32_t n_in = b->source->graph->inputs.n, n_out = b->source->graph->outputs.n;
    TgName data = tg_name_format(tg, "%s/in.bin", b->folder),
           result = tg_name_format(tg, "%s/out%u.bin", b->folder, b->runs++);
    const char *command = "cd \"$TGOPT_BUILD\" && ./model_test --data in.bin --out \"$TGOPT_RESULT\" "
                          "--threads \"$TGOPT_THREADS\" ${TGOPT_ISA:+--isa \"$TGOPT_ISA\"}";
    setenv("TGOPT_RESULT", result, 1);
    setenv("TGOPT_THREADS", tg_name_format(tg, "%lld", (long long)threads), 1);
    return tgc_write_arrays(tg, data, n_in, in, 0, NULL) && shell(b, command, "the compiled model") &&
           tgc_read_arrays(tg, result, n_out, out);
}

bool package_bench(Built *b, int64_t threads, int64_t runs)
{
    const Arguments *a = &b->run->arguments;
    setenv("TGOPT_THREADS", tg_name_format(b->run->tg, "%lld", (long long)threads), 1);
    setenv("TGOPT_RUNS", tg_name_format(b->run->tg, "%lld", (long long)runs), 1);
    (void)a;
    return shell(b, "cd \"$TGOPT_BUILD\" && ./model_test --bench \"$TGOPT_RUNS\" --threads \"$TGOPT_THREADS\" "
                    "${TGOPT_ISA:+--isa \"$TGOPT_ISA\"}", "the compiled model");
}
