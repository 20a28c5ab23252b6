/* What the tests of loading share: a folder, a context for each file, files spelled as in message.h.
 * Include CMocka first. */
#ifndef LOAD_BENCH_H
#define LOAD_BENCH_H

#include <unistd.h>

#include "frontend/frontend.h"
#include "message.h"

typedef struct {
    Tg *tg;
    char folder[64], path[96];
} Bench;

static inline int set_up(void **state)
{
    Bench *b = calloc(1, sizeof *b);
    strcpy(b->folder, "/tmp/test_load_XXXXXX");
    b->tg = tg_open(NULL);
    if (!b->tg || !mkdtemp(b->folder))
        return -1;
    snprintf(b->path, sizeof b->path, "%s/m.onnx", b->folder);
    *state = b;
    return 0;
}

static inline int tear_down(void **state)
{
    Bench *b = *state;
    char other[96];
    snprintf(other, sizeof other, "%s/w.bin", b->folder);
    remove(b->path);
    remove(other);
    remove(b->folder);
    tg_close(b->tg);
    free(b);
    return 0;
}

/* Every file has its own context: contexts remember files by path. */
static inline TgModel *load_bytes(Bench *b, const void *bytes, size_t n)
{
    tg_close(b->tg);
    b->tg = tg_open(NULL);
    write_file(b->path, bytes, n);
    return tg_load(b->tg, b->path, NULL);
}

static inline TgModel *load(Bench *b, const char *notation)
{
    Bytes bytes = message(notation);
    TgModel *m = load_bytes(b, bytes.at, bytes.n);
    free(bytes.at);
    return m;
}

/* A model of opset 17, IR 8, around the fields of a graph. */
static inline TgModel *load_graph(Bench *b, const char *graph)
{
    char text[8192];
    snprintf(text, sizeof text, "1:8 8:{2:17} 7:{2:'g' %s}", graph);
    return load(b, text);
}

static inline bool said(Tg *tg, TgDiagId id)
{
    for (uint32_t i = 0; i < tg_diag_count(tg); i++)
        if (tg_diag(tg, i)->id == id)
            return true;
    return false;
}

static inline void assert_refused(Bench *b, TgModel *m, TgDiagId id)
{
    if (m || !said(b->tg, id))
        fail_msg("expected %s, got %s", tg_diag_id_name(id),
                 tg_diag_count(b->tg) ? tg_diag(b->tg, tg_diag_count(b->tg) - 1)->message : "nothing");
    assert_true(tg_error_count(b->tg) == 1);
    assert_non_null(tg_diag(b->tg, tg_diag_count(b->tg) - 1)->place.file);
    assert_int_not_equal(tg_diag_exit_code(b->tg), 0);
}

static inline TgValue named(const TgGraph *g, const char *name)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->name && strcmp(tg_value(g, v)->name, name) == 0)
            return v;
    fail_msg("no value %s", name);
    return 0;
}

static inline const char *last_message(Bench *b)
{
    return tg_diag_count(b->tg) ? tg_diag(b->tg, tg_diag_count(b->tg) - 1)->message : "nothing recorded";
}

static inline void assert_loaded(Bench *b, const TgModel *m)
{
    if (!m)
        fail_msg("refused: %s", last_message(b));
}

/* x: f32[2] in, y: f32[2] out; what is between them is given. */
#define X_IN  " 11:{1:'x' 2:{1:{1:1 2:{1:{1:2}}}}} "
#define Y_OUT " 12:{1:'y' 2:{1:{1:1 2:{1:{1:2}}}}} "
#define NEG   " 1:{1:'x' 2:'y' 4:'Neg'} "

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
