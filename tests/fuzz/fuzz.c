/* One input of a fuzz target, from opening a context to closing it, and what targets do with models. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "ir/infer.h"

enum { NODES = 400 }; /* larger models only make the search slow */

/* --- requirements --------------------------------------------------------------------------------------- */

static void say_last(Tg *tg)
{
    TgText text;
    uint32_t n = tg_diag_count(tg);
    if (!n)
        return;
    tg_text_init(&text, tg_forever(tg));
    tg_diag_render(tg, tg_diag(tg, n - 1), &text);
    fprintf(stderr, "%s\n", text.at);
}

void fuzz_require(Tg *tg, bool holds, const char *what, const char *text)
{
    if (holds)
        return;
    fprintf(stderr, "FINDING: %s\n", what);
    say_last(tg);
    if (text)
        fprintf(stderr, "%s\n", text);
    abort();
}

/* The line of `text` in which `at` lies. */
static const char *line_of(Tg *tg, const char *text, size_t at)
{
    while (at && text[at - 1] != '\n')
        at--;
    return tg_name_n(tg, text + at, strcspn(text + at, "\n"));
}

void fuzz_require_same(Tg *tg, const char *a, const char *b, const char *what)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    if (a[n] != b[n])
        fuzz_require(tg, false, what,
                     tg_name_format(tg, "- %s\n+ %s\n%s", line_of(tg, a, n), line_of(tg, b, n), a));
}

bool fuzz_warned(Tg *tg, TgDiagId id)
{
    for (uint32_t i = 0; i < tg_diag_count(tg); i++)
        if (tg_diag(tg, i)->id == id)
            return true;
    return false;
}

/* --- files ---------------------------------------------------------------------------------------------- */

static char folder[128]; /* of this process */
static uint32_t made;    /* folders in it, for this input */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_folder(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(void)
{
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.80s/tgopt-fuzz-XXXXXX", where && *where ? where : "/tmp");
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
}

void fuzz_clean(void)
{
    static const char *const files[] = {"m.onnx", "m.onnx.data", "w.bin", ""};
    char path[160];
    while (made) {
        made--;
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            snprintf(path, sizeof path, "%s/%u/%s", folder, made, files[i]);
            remove(path);
        }
    }
}

const char *fuzz_path(Tg *tg)
{
    if (!*folder)
        make_folder();
    const char *path = tg_name_format(tg, "%s/%u", folder, made++);
    if (mkdir(path, 0700))
        abort();
    return tg_name_format(tg, "%s/m.onnx", path);
}

void fuzz_write(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
        abort();
}

/* --- models --------------------------------------------------------------------------------------------- */

TgModel *fuzz_load(Tg *tg, TgBytes bytes)
{
    const char *path = fuzz_path(tg);
    fuzz_write(path, bytes.at, bytes.n);
    return tg_load(tg, path, NULL);
}

TgModel *fuzz_parse(Tg *tg, const char *text)
{
    return tg_parse(tg, "input.tg", text, strlen(text));
}

/* ONNX files begin with the tag of a field; the text form with a word, a blank or a comment. */
bool fuzz_is_text(TgBytes input)
{
    return input.n && (input.at[0] >= ' ' || input.at[0] == '\n');
}

TgModel *fuzz_model(Tg *tg, TgBytes input)
{
    TgModel *m = fuzz_is_text(input) ? tg_parse(tg, "input.tg", (const char *)input.at, input.n)
                                     : fuzz_load(tg, input);
    return m && tg_graph_count(m->graph, true) <= NODES ? m : NULL;
}

const char *fuzz_print(const TgModel *m)
{
    TgText text;
    tg_text_init(&text, tg_forever(m->tg));
    tg_print_model(m, &text);
    return text.at;
}

void fuzz_forget(TgGraph *g)
{
    inf_forget(g);
    for (TgNode i = 1; i < g->nodes.n; i++) {
        const TgNodeInfo *n = tg_node(g, i);
        for (uint32_t k = 0; k < n->n_out; k++)
            tg_value(g, n->out[k])->declared = NULL;
        for (uint32_t s = 0; s < n->n_sub; s++) /* nesting is bounded by the readers */
            fuzz_forget(n->sub[s].graph);
    }
}

void fuzz_infer_anew(TgGraph *g)
{
    fuzz_forget(g);
    (void)tg_infer_graph(g);
}

/* --- one input ------------------------------------------------------------------------------------------ */

typedef struct {
    Tg *tg;
    TgBytes input;
} Run;

static bool run_target(void *argument)
{
    const Run *run = argument;
    fuzz_one(run->tg, run->input);
    return true;
}

void fuzz_run(const uint8_t *bytes, size_t n)
{
    Run run = {tg_open(NULL), {bytes, n}};
    if (!run.tg)
        abort();
    tg_set_limit(run.tg, TG_LIMIT_memory, FUZZ_MEMORY);
    (void)tg_protect(run.tg, run_target, &run);
    bool internal = fuzz_warned(run.tg, TG_E_bug) || fuzz_warned(run.tg, TG_E_broken_graph);
    fuzz_require(run.tg, !internal, "an internal error", NULL);
    tg_close(run.tg);
    fuzz_clean();
}
