/* Generic operator kernels of kernels_layer.def against ONNX's stored tests: every model of the corpora that is one
 * node of such an operator, with the inputs and outputs that lie beside it. Random operators are left to
 * test_kernel_laws2.c.
 *
 * The corpora are at $TGOPT_CORPORA, by default ../shared/corpora beside the source. What cannot be run is listed. */
#include "kernel_ops2.h"

#include <dirent.h>
#include <unistd.h>

#include "frontend/frontend.h"

static const TgEvalMode MODE = TG_EVAL_NATIVE;

typedef struct {
    int64_t run, equal;
} Tally;

static Tally tally[KERNELS];
static int64_t left_out;

/* Some stored numbers have four digits. */
static double tolerance_of(TgDtype t) { return t == TG_bf16 ? 2e-2 : t == TG_f16 ? 2e-3 : 1e-4; }

/* False: there is no such file, or it holds no tensor that kernels can take. */
static bool load_data(TgArena *arena, const char *folder, const char *kind, uint32_t i, TgArray *a)
{
    TgName path = tg_name_format(tg, "%s/%s_%u.pb", folder, kind, i);
    const TgTensor *t = access(path, F_OK) == 0 ? tg_load_tensor(arena, path) : NULL;
    if (!t || t->dtype == TG_str || t->rank > TGK_RANK)
        return false;
    *a = tg_array_from_tensor(tg, MODE, t);
    return true;
}

typedef struct {
    TgArray in[SLOTS], out[SLOTS];
    const TgArray *operand[SLOTS], *result[SLOTS];
} Data;

static bool read_data(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const char *folder, Data *d)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        const TgValueInfo *v = n->in[i] ? tg_value(g, n->in[i]) : NULL;
        if (!v)
            continue;
        if (v->tensor)
            d->in[i] = tg_array_from_tensor(tg, MODE, v->tensor);
        else if (!load_data(arena, folder, "input", v->index, &d->in[i]))
            return false;
        d->operand[i] = &d->in[i];
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        for (uint32_t k = 0; k < g->outputs.n; k++)
            if (g->outputs.at[k].value == n->out[i]) {
                if (!load_data(arena, folder, "output", k, &d->out[i]))
                    return false;
                d->result[i] = &d->out[i];
            }
    return true;
}

static void run_data(TgArena *arena, const TgGraph *g, const TgNodeInfo *n, const char *folder)
{
    Data d = {0};
    Tally *t = &tally[kernel_of(n->op) - kernels];
    if (n->n_in > SLOTS || n->n_out > SLOTS || tg_op_has(n->op, TG_T_RANDOM)
        || !read_data(arena, g, n, folder, &d)) {
        left_out++;
        print_message("not run: %s\n", folder);
        return;
    }
    TgNodeInfo node = *n;
    node.attrs = planned_attrs(n, n->op == TG_QuantizeLinear ? d.in[1].dtype : TG_undefined);
    t->run++;
    const char *why = run_node(&node, MODE, n->n_in, d.operand, n->n_out, d.result,
                               d.result[0] ? tolerance_of(d.out[0].dtype) : 1e-5);
    if (why)
        print_message("different: %s: %s\n", folder, why);
    else
        t->equal++;
    for (uint32_t i = 0; i < SLOTS; i++) {
        tg_array_drop(tg, &d.in[i]);
        tg_array_drop(tg, &d.out[i]);
    }
}

static void run_model(const char *folder)
{
    uint32_t before = tg_diag_count(tg), n_order = 0;
    TgModel *model = tg_load(tg, tg_name_format(tg, "%s/model.onnx", folder), NULL);
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

/* Folders that hold a model with data, however deep: a list of folders still to be seen instead of recursion. */
static void run_folders(const char *root)
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
            size_t size = strlen(folder) + strlen(entry->d_name) + 2;
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && n < MOST) {
                todo[n] = malloc(size);
                assert_non_null(todo[n]);
                snprintf(todo[n++], size, "%s/%s", folder, entry->d_name);
            }
        }
        if (dir)
            closedir(dir);
        if (access(tg_name_format(tg, "%s/test_data_set_0", folder), F_OK) == 0)
            run_model(folder);
        free(folder);
    }
    free(todo);
}

static void test_stored_nodes(void **state)
{
    (void)state;
    const char *root = getenv("TGOPT_CORPORA");
    root = root ? root : TGOPT_SOURCE_DIR "/../shared/corpora";
    if (access(root, F_OK) != 0) {
        print_message("no corpora at %s (TGOPT_CORPORA): no stored node test is run\n", root);
        skip();
    }
    run_folders(root);
    int64_t run_in_all = 0, equal = 0;
    for (size_t i = 0; i < KERNELS; i++) {
        print_message("%-20s %lld run, %lld equal\n", kernels[i].name, (long long)tally[i].run,
                      (long long)tally[i].equal);
        run_in_all += tally[i].run;
        equal += tally[i].equal;
    }
    print_message("%lld run, %lld equal, %lld not run\n", (long long)run_in_all, (long long)equal,
                  (long long)left_out);
    assert_int_equal(run_in_all, equal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stored_nodes)};
    return cmocka_run_group_tests(tests, open_context, close_context);
}
