/* Generic operator kernels of the C backend against ONNX's stored tests: every model of the corpora that is one node
 * of an operator of kernels.def, with the inputs and outputs that lie beside it. Then every node of such an operator
 * in every model that is not too large, against the evaluator.
 *
 * The corpora are at $TGOPT_CORPORA, by default ../shared/corpora beside the source. What cannot be run is listed. */
#include "kernel_ops.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/frontend.h"

typedef struct {
    int64_t run, equal;
} Tally;

static Tally tally[KERNELS];
static int64_t left_out;

static void leave_out(const char *folder, const char *why)
{
    left_out++;
    print_message("not run: %s: %s\n", folder, why);
}

static const TgTensor *load_data(TgArena *arena, const char *folder, const char *kind, uint32_t i)
{
    TgName path = tg_name_format(tg, "%s/%s_%u.pb", folder, kind, i);
    return access(path, F_OK) == 0 ? tg_load_tensor(arena, path) : NULL;
}

/* Why a tensor cannot be an operand; NULL: it can. */
static const char *unfit(const TgTensor *t)
{
    return t->dtype == TG_str ? "strings" : t->rank > TGK_RANK ? "more than 8 axes" : NULL;
}

/* Tensors of the operands: given inputs, defaults, constants. */
static const char *find_operands(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const char *folder,
                                 const TgTensor **in)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        const TgValueInfo *v = tg_value(g, n->in[i]);
        in[i] = v->origin == TG_V_INPUT ? load_data(arena, folder, "input", v->index) : v->tensor;
        in[i] = in[i] ? in[i] : v->initial;
        if (!in[i])
            return "an input is no tensor";
        if (unfit(in[i]))
            return unfit(in[i]);
    }
    return NULL;
}

static const char *find_results(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const char *folder,
                                const TgTensor **want)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_out; i++)
        for (uint32_t k = 0; k < g->outputs.n; k++)
            if (g->outputs.at[k].value == n->out[i]) {
                want[i] = load_data(arena, folder, "output", k);
                any = true;
                if (!want[i] || unfit(want[i]))
                    return want[i] ? unfit(want[i]) : "an output is no tensor";
            }
    return any ? NULL : "no output is of the node";
}

static void run_data(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const char *folder)
{
    const TgTensor *in[SLOTS] = {NULL}, *want[SLOTS] = {NULL};
    const char *why = n->n_in > SLOTS || n->n_out > SLOTS ? "many operands" : find_operands(arena, g, n, folder, in);
    why = why ? why : find_results(arena, g, n, folder, want);
    if (why) {
        leave_out(folder, why);
        return;
    }
    Tally *t = &tally[kernel_of(n->op) - kernels];
    t->run++;
    why = run_node(n, n->n_in, in, n->n_out, want);
    if (why)
        print_message("different: %s: %s\n", folder, why);
    else
        t->equal++;
}

static void run_model(const char *folder)
{
    uint32_t before = tg_diag_count(tg);
    TgModel *model = tg_load(tg, tg_name_format(tg, "%s/model.onnx", folder), NULL);
    uint32_t n_order = 0;
    const TgNode *order = model ? tg_graph_order(model->graph, &n_order) : NULL;
    if (n_order == 1 && kernel_of(tg_node(model->graph, order[0])->op)) {
        TgArena *arena = tg_arena_new(tg);
        for (uint32_t i = 0;; i++) {
            TgName data = tg_name_format(tg, "%s/test_data_set_%u", folder, i);
            if (access(data, F_OK) != 0)
                break;
            run_data(arena, model->graph, tg_node(model->graph, order[0]), data);
        }
        tg_arena_free(arena);
    }
    if (model)
        tg_model_free(model);
    tg_diag_forget(tg, before);
}

/* --- whole models: what the evaluator makes of every node of ours ------------------------------------------------- */

typedef struct {
    TgArray *value; /* by ref; kind and dtype 0: not seen */
} Seen;

static void see(void *user, const TgGraph *g, TgValue v, TgArray *value)
{
    (void)g;
    ((Seen *)user)->value[v] = tg_array_share(value);
}

static bool feed(TgArena *arena, const TgGraph *g, const char *data, TgArray *in)
{
    for (uint32_t i = 0; i < g->inputs.n; i++) {
        const TgTensor *t = load_data(arena, data, "input", i);
        t = t ? t : tg_value(g, g->inputs.at[i])->initial;
        if (!t)
            return false;
        in[i] = tg_array_from_tensor(tg, TG_EVAL_NATIVE, t);
    }
    return true;
}

static const TgTensor *seen_tensor(TgArena *arena, const TgGraph *g, const Seen *seen, TgValue v)
{
    const TgTensor *t = tg_value(g, v)->tensor;
    const TgArray *a = &seen->value[v];
    if (t || a->dtype == TG_undefined || a->kind != TG_TENSOR || a->rank > TGK_RANK || a->dtype == TG_str)
        return t && !unfit(t) ? t : NULL;
    return tg_array_to_tensor(arena, TG_EVAL_NATIVE, a);
}

static void compare_node(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const Seen *seen, const char *data)
{
    const TgTensor *in[SLOTS] = {NULL}, *want[SLOTS] = {NULL};
    if (n->n_in > SLOTS || n->n_out > SLOTS)
        return;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] && !(in[i] = seen_tensor(arena, g, seen, n->in[i])))
            return;
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!(want[i] = seen_tensor(arena, g, seen, n->out[i])))
            return;
    Tally *t = &tally[kernel_of(n->op) - kernels];
    const char *why = run_node(n, n->n_in, in, n->n_out, want);
    t->run++;
    t->equal += !why;
    if (why)
        print_message("different: %s: %s %s: %s\n", data, tg_op_text(tg, n->op), n->name ? n->name : "", why);
}

static void compare_model(const char *folder)
{
    enum { MOST_BYTES = 8 << 20 };
    struct stat about;
    TgName path = tg_name_format(tg, "%s/model.onnx", folder), data = tg_name_format(tg, "%s/test_data_set_0", folder);
    uint32_t before = tg_diag_count(tg), n_order = 0;
    if (stat(path, &about) != 0 || about.st_size > MOST_BYTES)
        return;
    TgModel *model = tg_load(tg, path, NULL);
    if (model) {
        TgArena *arena = tg_arena_new(tg);
        const TgGraph *g = model->graph;
        TgArray *in = TG_NEW_N(arena, TgArray, g->inputs.n + 1), *out = TG_NEW_N(arena, TgArray, g->outputs.n + 1);
        Seen seen = {TG_NEW_N(arena, TgArray, g->values.n + 1)};
        TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .threads = 1, .watch = see, .user = &seen};
        if (feed(arena, g, data, in) && tg_eval(tg, model->graph, &options, in, out)) {
            for (uint32_t i = 0; i < g->inputs.n; i++)
                seen.value[g->inputs.at[i]] = tg_array_share(&in[i]);
            const TgNode *order = tg_graph_order(model->graph, &n_order);
            for (uint32_t i = 0; i < n_order; i++)
                if (kernel_of(tg_node(g, order[i])->op))
                    compare_node(arena, g, tg_node(g, order[i]), &seen, data);
            for (uint32_t i = 0; i < g->outputs.n; i++)
                tg_array_drop(tg, &out[i]);
        }
        for (uint32_t i = 0; i < g->values.n; i++)
            tg_array_drop(tg, &seen.value[i]);
        for (uint32_t i = 0; i < g->inputs.n; i++)
            tg_array_drop(tg, &in[i]);
        tg_arena_free(arena);
        tg_model_free(model);
    }
    tg_diag_forget(tg, before);
}

/* Folders that hold a model with data, however deep: a list of folders still to be seen instead of recursion. */
static void run_folders(const char *root, void (*run_folder)(const char *folder))
{
    enum { MOST = 20000 };
    char **todo = calloc(MOST, sizeof *todo);
    size_t n = 0;
    assert_non_null(todo);
    todo[n++] = strdup(root);
    while (n > 0) {
        char *folder = todo[--n];
        DIR *dir = opendir(folder);
        for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && n < MOST) {
                char *path = malloc(strlen(folder) + strlen(entry->d_name) + 2);
                assert_non_null(path);
                sprintf(path, "%s/%s", folder, entry->d_name);
                todo[n++] = path;
            }
        }
        if (dir)
            closedir(dir);
        if (access(tg_name_format(tg, "%s/test_data_set_0", folder), F_OK) == 0)
            run_folder(folder);
        free(folder);
    }
    free(todo);
}

static const char *corpora(void)
{
    const char *root = getenv("TGOPT_CORPORA");
    root = root ? root : TGOPT_SOURCE_DIR "/../shared/corpora";
    if (access(root, F_OK) != 0) {
        print_message("no corpora at %s (TGOPT_CORPORA): no stored test is run\n", root);
        skip();
    }
    return root;
}

static void report(void)
{
    int64_t run = 0, equal = 0;
    for (size_t i = 0; i < KERNELS; i++) {
        print_message("%-20s %lld run, %lld equal\n", kernels[i].name, (long long)tally[i].run,
                      (long long)tally[i].equal);
        run += tally[i].run;
        equal += tally[i].equal;
    }
    print_message("%lld run, %lld equal\n", (long long)run, (long long)equal);
    memset(tally, 0, sizeof tally);
    assert_int_equal(run, equal);
    assert_true(run > 0);
}

static void test_stored_nodes(void **state)
{
    (void)state;
    run_folders(corpora(), run_model);
    print_message("%lld not run\n", (long long)left_out);
    report();
}

/* Nodes inside models have no stored results, but the evaluator, which shares no code with the kernels, has its own. */
static void test_nodes_of_models(void **state)
{
    (void)state;
    tolerance = 1e-4;
    run_folders(corpora(), compare_model);
    report();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_nodes),
        cmocka_unit_test(test_nodes_of_models),
    };
    return cmocka_run_group_tests(tests, open_context, close_context);
}
