/* Saving, judged from outside: whole files against bytes that the onnx package of Python serialized for the
 * same model, the rest by what must stand in the file. Nodes are added without inference, so only the writer
 * is under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/frontend.h"

/* helper.make_model(graph 'tiny': t1 = Add(x, w) named 'plus'; y = LeakyRelu(t1, alpha=0.5); x, y: float
 * [B,2]; w = raw float [1, 2]), opset 17, IR 8, producer 'me' */
static const uint8_t tiny[] = {
    0x08, 0x08, 0x12, 0x02, 0x6d, 0x65, 0x3a, 0x81, 0x01, 0x0a, 0x15, 0x0a, 0x01, 0x78, 0x0a, 0x01,
    0x77, 0x12, 0x02, 0x74, 0x31, 0x1a, 0x04, 0x70, 0x6c, 0x75, 0x73, 0x22, 0x03, 0x41, 0x64, 0x64,
    0x0a, 0x23, 0x0a, 0x02, 0x74, 0x31, 0x12, 0x01, 0x79, 0x22, 0x09, 0x4c, 0x65, 0x61, 0x6b, 0x79,
    0x52, 0x65, 0x6c, 0x75, 0x2a, 0x0f, 0x0a, 0x05, 0x61, 0x6c, 0x70, 0x68, 0x61, 0x15, 0x00, 0x00,
    0x00, 0x3f, 0xa0, 0x01, 0x01, 0x12, 0x04, 0x74, 0x69, 0x6e, 0x79, 0x2a, 0x11, 0x08, 0x02, 0x10,
    0x01, 0x42, 0x01, 0x77, 0x4a, 0x08, 0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0x40, 0x5a, 0x14,
    0x0a, 0x01, 0x78, 0x12, 0x0f, 0x0a, 0x0d, 0x08, 0x01, 0x12, 0x09, 0x0a, 0x03, 0x12, 0x01, 0x42,
    0x0a, 0x02, 0x08, 0x02, 0x62, 0x14, 0x0a, 0x01, 0x79, 0x12, 0x0f, 0x0a, 0x0d, 0x08, 0x01, 0x12,
    0x09, 0x0a, 0x03, 0x12, 0x01, 0x42, 0x0a, 0x02, 0x08, 0x02, 0x42, 0x04, 0x0a, 0x00, 0x10, 0x11,
};

/* helper.make_tensor('k', INT64, [1,3], raw of 1, -1, 2) and helper.make_tensor('s', STRING, [2], [b'a',
 * b'bc']) */
static const uint8_t tensor[] = {
    0x08, 0x01, 0x08, 0x03, 0x10, 0x07, 0x42, 0x01, 0x6b, 0x4a, 0x18, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t strings[] = {
    0x08, 0x02, 0x10, 0x08, 0x32, 0x01, 0x61, 0x32, 0x02, 0x62, 0x63, 0x42, 0x01, 0x73,
};

/* --- a bench -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgModel *model;
    TgGraph *g;
    const TgType *type; /* f32[B,2] */
    char folder[64], path[96];
} Bench;

static void set_up(Bench *b, int64_t opset, int64_t ir_version)
{
    b->tg = tg_open(NULL);
    assert_non_null(b->tg);
    b->model = tg_model_new(b->tg);
    b->model->ir_version = ir_version;
    b->g = b->model->graph;
    TgImport onnx = {tg_name(b->tg, ""), opset};
    TG_PUSH(b->model->arena, &b->model->imports, onnx);
    b->type = tg_type(b->tg, TG_f32, 2, (const TgDim[]){tg_dim_symbol(b->tg, "B"), tg_dim(b->tg, 2)});
    strcpy(b->folder, "/tmp/test_save_XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    snprintf(b->path, sizeof b->path, "%s/m.onnx", b->folder);
}

static void tear_down(Bench *b, const char *const *others)
{
    char path[160];
    unlink(b->path);
    for (; others && *others; others++) {
        snprintf(path, sizeof path, "%s/%s", b->folder, *others);
        unlink(path);
    }
    assert_int_equal(rmdir(b->folder), 0); /* nothing was left behind */
    tg_model_free(b->model);
    tg_close(b->tg);
}

static TgValue node(Bench *b, TgOp op, const TgAttrs *attrs, uint32_t n_in, const TgValue *in,
                    const char *name)
{
    TgNode n = tg_graph_add_raw(b->g, op, attrs, n_in, in, 1);
    TgValue out = tg_node(b->g, n)->out[0];
    tg_value(b->g, out)->type = b->type;
    tg_value(b->g, out)->name = tg_name(b->tg, name);
    return out;
}

static TgValue vector(Bench *b, int64_t n, const float *x, const char *name)
{
    const float *kept = tg_copy(b->model->arena, x, (size_t)n * sizeof *x);
    return tg_graph_const(b->g, tg_tensor_owned(b->model->arena, TG_f32, 1, &n, kept), name);
}

static TgBytes slurp(Bench *b, const char *path)
{
    const TgFile *file = tg_file_map(b->tg, path);
    assert_non_null(file);
    return (TgBytes){file->bytes, file->size};
}

static uint32_t occurrences(TgBytes where, const char *what)
{
    uint32_t count = 0;
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= where.n; i++)
        count += memcmp(where.at + i, what, n) == 0;
    return count;
}

/* Whether a field of that number holds that text: one byte for number and kind, one for the length. */
static bool has_text(TgBytes where, int number, const char *text)
{
    char field[64] = {(char)(number << 3 | 2), (char)strlen(text)};
    strcpy(field + 2, text);
    return occurrences(where, field) > 0;
}

static void build_tiny(Bench *b)
{
    set_up(b, 17, 8);
    b->g->name = tg_name(b->tg, "tiny");
    b->model->producer_name = tg_name(b->tg, "me");
    TgValue x = tg_graph_input(b->g, b->type, "x");
    TgValue w = vector(b, 2, (const float[]){1, 2}, "w");
    TgValue sum = node(b, TG_Add, NULL, 2, (const TgValue[]){x, w}, NULL);
    tg_node(b->g, 1)->name = tg_name(b->tg, "plus");
    TgValue y = node(b, TG_LeakyRelu, tg_attrs(b->tg, TG_LeakyRelu, "alpha=f", 0.5), 1, &sum, NULL);
    tg_graph_return(b->g, y, "y", b->type);
}

/* --- tests ---------------------------------------------------------------------------------------------- */

static void same_bytes_as_python(void **state)
{
    (void)state;
    Bench b;
    build_tiny(&b);
    for (int i = 0; i < 2; i++) { /* saving leaves the model as it was */
        assert_true(tg_save(b.model, b.path, NULL));
        TgBytes file = slurp(&b, b.path);
        assert_int_equal(file.n, sizeof tiny);
        assert_memory_equal(file.at, tiny, sizeof tiny);
    }
    tear_down(&b, NULL);
}

static void tensors_alone(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    const TgTensor *numbers =
        tg_tensor_owned(b.model->arena, TG_i64, 2, (const int64_t[]){1, 3}, (const int64_t[]){1, -1, 2});
    assert_true(tg_save_tensor(b.tg, numbers, "k", b.path));
    assert_memory_equal(slurp(&b, b.path).at, tensor, sizeof tensor);
    const TgBytes texts[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"bc", 2}};
    const TgTensor *words = tg_tensor_strings(b.model->arena, 1, (const int64_t[]){2}, texts);
    assert_true(tg_save_tensor(b.tg, words, "s", b.path));
    assert_int_equal(slurp(&b, b.path).n, sizeof strings);
    assert_memory_equal(slurp(&b, b.path).at, strings, sizeof strings);
    tear_down(&b, NULL);
}

/* Outputs that are an input, a constant, one value twice; an inner value that has an output's name. */
static void interface_keeps_its_names(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    TgValue x = tg_graph_input(b.g, b.type, "x"), w = vector(&b, 2, (const float[]){3, 4}, "inner");
    TgValue r = node(&b, TG_Relu, NULL, 1, &x, "out_b");
    TgValue s = node(&b, TG_Neg, NULL, 1, &r, "x");
    tg_graph_return(b.g, s, "out_a", b.type);
    tg_graph_return(b.g, s, "out_b", b.type);
    tg_graph_return(b.g, x, "out_c", b.type);
    tg_graph_return(b.g, w, "out_d", NULL);
    assert_true(tg_save(b.model, b.path, NULL));
    TgBytes file = slurp(&b, b.path);
    assert_int_equal(occurrences(file, "Identity"), 2);
    assert_true(has_text(file, 2, "out_a") && has_text(file, 2, "out_b") && has_text(file, 2, "out_c"));
    assert_true(has_text(file, 8, "out_d"));   /* the constant carries the output's name */
    assert_true(has_text(file, 2, "out_b_1")); /* the inner value gave way */
    tear_down(&b, NULL);
}

static void equal_small_constants_are_one(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    TgValue v = tg_graph_input(b.g, b.type, "x");
    for (int i = 0; i < 3; i++) {
        TgValue c = vector(&b, 2, (const float[]){0.5f, 0.25f}, NULL);
        v = node(&b, TG_Add, NULL, 2, (const TgValue[]){v, c}, NULL);
    }
    tg_graph_return(b.g, v, "y", b.type);
    assert_true(tg_save(b.model, b.path, NULL));
    float pair[] = {0.5f, 0.25f};
    uint32_t found = 0;
    TgBytes file = slurp(&b, b.path);
    for (size_t i = 0; i + sizeof pair <= file.n; i++)
        found += memcmp(file.at + i, pair, sizeof pair) == 0;
    assert_int_equal(found, 1);
    tear_down(&b, NULL);
}

/* IR version 3: weights are inputs too, behind the true ones. */
static void weights_are_inputs_in_ir_3(void **state)
{
    (void)state;
    Bench b;
    build_tiny(&b);
    b.model->ir_version = 3;
    assert_true(tg_save(b.model, b.path, NULL));
    TgBytes file = slurp(&b, b.path);
    assert_int_equal(occurrences(file, "\x5a"),
                     2); /* two fields 11 of GraphProto; no other byte of the file is 5a */
    tear_down(&b, NULL);
}

static const char *const data_files[] = {"m.onnx.data", NULL};

static void big_weights_go_outside(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    enum { N = 1 << 15 };
    float *x = TG_NEW_N(b.model->arena, float, N);
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    TgValue v = tg_graph_input(b.g, b.type, "x");
    TgValue small = vector(&b, 2, (const float[]){1, 2}, "small");
    TgValue first = vector(&b, 1000, x, "first"), second = vector(&b, N, x, "second");
    v = node(&b, TG_Sum, NULL, 4, (const TgValue[]){v, small, first, second}, NULL);
    tg_graph_return(b.g, v, "y", b.type);
    assert_true(tg_save(b.model, b.path, &(TgSaveOptions){.external = TG_EXTERNAL_ALL}));
    char path[160];
    snprintf(path, sizeof path, "%s.data", b.path);
    TgBytes data = slurp(&b, path), file = slurp(&b, b.path);
    assert_int_equal(data.n, (64 << 10) + N * 4); /* large tensors begin at multiples of 64 KiB */
    assert_memory_equal(data.at, x, 4000);
    assert_memory_equal(data.at + (64 << 10), x, N * 4);
    assert_int_equal(occurrences(file, "m.onnx.data"), 2);
    assert_true(has_text(file, 2, "65536") && has_text(file, 2, "131072") && has_text(file, 2, "4000"));
    assert_true(file.n < 1000);
    tear_down(&b, data_files);
}

/* A kept weight names the source's file; what is new gets a file of another name. */
static void kept_weights_stay(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    char path[160];
    snprintf(path, sizeof path, "%s/m.onnx.data", b.folder);
    FILE *f = fopen(path, "wb");
    for (int i = 0; i < 4096; i++)
        assert_true(fputc(i & 0xff, f) != EOF);
    assert_int_equal(fclose(f), 0);
    int64_t n = 512;
    TgTensor *old = tg_tensor_mapped(b.model->arena, TG_f32, 1, &n, tg_file_map(b.tg, path), 1024);
    old->external = true;
    TgValue v[] = {tg_graph_input(b.g, b.type, "x"), tg_graph_const(b.g, old, "old"),
                   vector(&b, 512, TG_NEW_N(b.model->arena, float, 512), "new")};
    tg_graph_return(b.g, node(&b, TG_Sum, NULL, 3, v, NULL), "y", b.type);
    TgSaveOptions keep = {.external = TG_EXTERNAL_KEEP};
    assert_true(tg_save(b.model, b.path, &keep));
    TgBytes file = slurp(&b, b.path);
    assert_true(has_text(file, 2, "m.onnx.data") && has_text(file, 2, "1024") &&
                has_text(file, 2, "m.onnx.1.data"));
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 4096);
    char elsewhere[] = "/tmp/test_save_elsewhere_XXXXXX", target[64];
    assert_non_null(mkdtemp(elsewhere));
    snprintf(target, sizeof target, "%s/m.onnx", elsewhere);
    assert_false(tg_save(b.model, target, &keep));
    assert_int_equal(tg_diag(b.tg, 0)->id, TG_E_external_elsewhere);
    assert_int_equal(rmdir(elsewhere), 0);
    tear_down(&b, (const char *const[]){"m.onnx.data", "m.onnx.1.data", NULL});
}

static void untyped_outputs_stay_untyped(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    TgValue x = tg_graph_input(b.g, b.type, "x");
    tg_graph_return(b.g, node(&b, TG_Neg, NULL, 1, &x, NULL), "y", tg_untyped(b.tg));
    assert_true(tg_save(b.model, b.path, NULL));
    assert_int_equal(occurrences(slurp(&b, b.path), "\x62\x03\x0a\x01y"), 1); /* output { name: "y" } */
    tear_down(&b, NULL);
}

static void refusals_leave_nothing(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17, 8);
    TgValue x = tg_graph_input(b.g, b.type, "x");
    const float one = 1;
    TgValue huge = tg_graph_const(
        b.g, tg_tensor_splat(b.model->arena, TG_f32, 1, (const int64_t[]){(int64_t)1 << 30}, &one), "huge");
    tg_graph_return(b.g, node(&b, TG_Add, NULL, 2, (const TgValue[]){x, huge}, NULL), "y", b.type);
    assert_false(tg_save(b.model, b.path, &(TgSaveOptions){.external = TG_EXTERNAL_NONE}));
    assert_int_equal(tg_diag(b.tg, 0)->id, TG_E_too_big_inside);
    assert_false(tg_save(b.model, "-", NULL));
    assert_int_equal(tg_diag(b.tg, 1)->id, TG_E_external_to_stdout);
    assert_false(tg_save(b.model, b.path, &(TgSaveOptions){.opset = 6}));
    assert_int_equal(tg_diag(b.tg, 2)->id, TG_E_old_opset);
    assert_false(tg_save(b.model, b.path, &(TgSaveOptions){.opset = 99}));
    assert_int_equal(tg_diag(b.tg, 3)->id, TG_E_new_opset);
    assert_false(tg_save(b.model, "/nowhere at all/m.onnx", NULL));
    tear_down(&b, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bytes_as_python),         cmocka_unit_test(tensors_alone),
        cmocka_unit_test(interface_keeps_its_names),    cmocka_unit_test(equal_small_constants_are_one),
        cmocka_unit_test(weights_are_inputs_in_ir_3),   cmocka_unit_test(big_weights_go_outside),
        cmocka_unit_test(untyped_outputs_stay_untyped), cmocka_unit_test(kept_weights_stay),
        cmocka_unit_test(refusals_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
