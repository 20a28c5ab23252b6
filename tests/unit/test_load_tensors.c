/* Tensors in every form of storage, against the values that the ONNX format gives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include "load_bench.h"

/* --- tensors ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *fields; /* of a TensorProto */
    TgDtype dtype;
    double element[4];
} Stored;

/* Bit patterns: 0x3c00 is 1 and 0xc000 is -2 in float16, 0x3f80 and 0xc000 the same in bfloat16, 0x38 and
 * 0xc0 in float8e4m3fn; 4-bit elements lie low nibble first. */
static const Stored stored[] = {
    {"1:3 2:1 4:<f1 f-2 f0.5>", TG_f32, {1, -2, 0.5}},
    {"1:3 2:1 4:f1 4:<f-2> 4:f0.5", TG_f32, {1, -2, 0.5}},
    {"1:[1 2] 2:1 9:'\\x00\\x00\\x80\\x3f\\x00\\x00\\x00\\xc0'", TG_f32, {1, -2}},
    {"1:2 2:1 9:'\\x00\\x00\\x80\\x3f\\x00\\x00\\x00\\xc0' 7:[]", TG_f32, {1, -2}},
    {"1:2 2:11 10:<d1.25 d-3>", TG_f64, {1.25, -3}},
    {"1:2 2:11 10:d1.25 10:d-3", TG_f64, {1.25, -3}},
    {"1:3 2:7 7:[-1 9223372036854775807 0]", TG_i64, {-1, 9223372036854775807.0, 0}},
    {"1:2 2:7 7:5 7:-6", TG_i64, {5, -6}},
    {"1:2 2:6 5:[-7 2147483647]", TG_i32, {-7, 2147483647}},
    {"1:2 2:3 5:[-128 127]", TG_i8, {-128, 127}},
    {"1:2 2:2 5:[255 1]", TG_u8, {255, 1}},
    {"1:2 2:5 5:[-32768 3]", TG_i16, {-32768, 3}},
    {"1:2 2:4 5:[65535 3]", TG_u16, {65535, 3}},
    {"1:2 2:9 5:[1 0]", TG_bool, {1, 0}},
    {"1:2 2:10 5:[15360 49152]", TG_f16, {1, -2}},
    {"1:2 2:16 5:[16256 49152]", TG_bf16, {1, -2}},
    {"1:2 2:17 5:[56 192]", TG_f8e4m3fn, {1, -2}},
    {"1:3 2:22 5:[241 7]", TG_i4, {1, -1, 7}},
    {"1:3 2:21 9:'\\xf1\\x07'", TG_u4, {1, 15, 7}},
    {"1:2 2:12 11:[4294967295 1]", TG_u32, {4294967295.0, 1}},
    {"1:2 2:13 11:[3 1]", TG_u64, {3, 1}},
    {"2:1 4:<f8>", TG_f32, {8}},
    {"1:0 2:7", TG_i64, {0}},
    {"1:[4294967296 0] 2:7 9:''", TG_i64, {0}},
};

static void test_stored_tensors(void **state)
{
    Bench *b = *state;
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++) {
        char text[512];
        snprintf(text, sizeof text, "5:{8:'t' %s} 12:{1:'t'}", stored[i].fields);
        TgModel *m = load_graph(b, text);
        if (!m)
            fail_msg("%s: %s", stored[i].fields, last_message(b));
        const TgTensor *t = tg_const_of(m->graph, m->graph->outputs.at[0].value);
        assert_int_equal(t->dtype, stored[i].dtype);
        for (size_t k = 0; k < t->count; k++)
            if (tg_tensor_float(b->tg, t, k) != stored[i].element[k])
                fail_msg("%s: element %zu is %g", stored[i].fields, k, tg_tensor_float(b->tg, t, k));
    }
}

/* Payloads that lie in the file as we would store them are not copied. */
static void test_weights_stay_in_place(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(
        b, "5:{1:2 2:1 9:'\\x00\\x00\\x80\\x3f\\x00\\x00\\x00\\xc0' 8:'r' 12:'doc' 16:{1:'a' 2:'b'}}"
           "5:{1:2 2:1 4:<f1 f2> 8:'f'} 1:{2:'c' 4:'Constant' 5:{1:'value' 20:4 5:{1:1 2:1 "
           "9:'\\x00\\x00\\x80\\x3f'}}}"
           "12:{1:'r'} 12:{1:'f'} 12:{1:'c'}");
    assert_loaded(b, m);
    for (uint32_t i = 0; i < 3; i++) {
        const TgTensor *t = tg_const_of(m->graph, m->graph->outputs.at[i].value);
        assert_int_equal(t->payload, TG_MAPPED);
        assert_ptr_equal(t->file, m->file);
        assert_ptr_equal(t->bytes, m->file->bytes + t->offset);
    }
    const TgTensor *r = tg_const_of(m->graph, m->graph->outputs.at[0].value);
    assert_string_equal(r->doc, "doc");
    assert_int_equal(r->unknown.n, 9);
}

static void test_constants(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, "1:{2:'a' 4:'Constant' 5:{1:'value_float' 2:f1.5 20:1}} 1:{2:'b' 4:'Constant' "
                               "5:{1:'value_ints' 8:[4 5] 20:7}}"
                               "1:{2:'c' 4:'Constant' 7:'ai.onnx' 5:{1:'value_int' 3:-2 20:2}} 1:{2:'d' "
                               "4:'Constant' 5:{1:'value_floats' 7:<f1 f2> 20:6}}"
                               "1:{2:'e' 4:'Constant' 5:{1:'value_string' 4:'hi' 20:3}} 1:{2:'f' "
                               "4:'Constant' 5:{1:'value_strings' 9:'p' 9:'q' 20:8}}"
                               "12:{1:'a'} 12:{1:'b'} 12:{1:'c'} 12:{1:'d'} 12:{1:'e'} 12:{1:'f'}");
    assert_loaded(b, m);
    static const char *const types[] = {"f32[]", "i64[2]", "i64[]", "f32[2]", "str[]", "str[2]"};
    const TgTensor *t[6];
    for (uint32_t i = 0; i < 6; i++) {
        t[i] = tg_const_of(m->graph, m->graph->outputs.at[i].value);
        assert_string_equal(tg_type_text(b->tg, tg_tensor_type(b->tg, t[i])), types[i]);
    }
    assert_int_equal(tg_graph_count(m->graph, true), 0);
    assert_true(tg_tensor_float(b->tg, t[0], 0) == 1.5 && tg_tensor_int(b->tg, t[1], 1) == 5);
    assert_true(tg_tensor_int(b->tg, t[2], 0) == -2 && tg_tensor_float(b->tg, t[3], 1) == 2.0);
    assert_memory_equal(t[4]->strings[0].at, "hi", 2);
    assert_memory_equal(t[5]->strings[1].at, "q", 1);
}

static void test_sparse(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(
        b, "15:{1:{1:2 2:1 4:<f7 f8> 8:'s'} 2:{1:2 2:7 7:[1 5]} 3:2 3:3}"
           "15:{1:{1:2 2:7 7:[7 8] 8:'r'} 2:{1:2 1:2 2:7 7:[0 1 1 2]} 3:[2 3]} 12:{1:'s'} 12:{1:'r'}");
    assert_loaded(b, m);
    static const double dense[] = {0, 7, 0, 0, 0, 8};
    for (uint32_t i = 0; i < 2; i++) {
        const TgTensor *t = tg_const_of(m->graph, m->graph->outputs.at[i].value);
        assert_int_equal(t->count, 6);
        for (size_t k = 0; k < 6; k++)
            assert_true(tg_tensor_float(b->tg, t, k) == dense[k]);
    }
    /* 4 GiB when dense: stays an operator */
    m = load_graph(
        b, "15:{1:{1:1 2:1 4:<f7> 8:'s'} 2:{1:1 2:7 7:[1]} 3:1073741824} 1:{1:'s' 2:'y' 4:'Neg'} 12:{1:'y'}");
    assert_loaded(b, m);
    assert_true(tg_memory_peak(b->tg) < (size_t)1 << 20);
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, m->graph->outputs.at[0].value)),
                        "f32[1073741824]");
    m = load_graph(b, "15:{1:{1:1 2:1 4:<f7> 8:'s'} 2:{1:1 2:7 7:[6]} 3:[2 3]} 12:{1:'s'}");
    assert_refused(b, m, TG_E_sparse_index);
    m = load_graph(b, "15:{1:{1:1 2:1 4:<f7> 8:'s'} 2:{1:2 2:7 7:[1 2]} 3:[2 3]} 12:{1:'s'}");
    assert_refused(b, m, TG_E_sparse_form);
}

static TgModel *load_external(Bench *b, const char *entries)
{
    char text[1024];
    snprintf(text, sizeof text, "5:{1:2 2:1 8:'w' 14:1 %s} 12:{1:'w'}", entries);
    return load_graph(b, text);
}

static void test_external(void **state)
{
    Bench *b = *state;
    char other[96];
    static const float data[] = {9, 1, 2, 9};
    snprintf(other, sizeof other, "%s/w.bin", b->folder);
    write_file(other, data, sizeof data);
    TgModel *m = load_external(
        b, "13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'4'} 13:{1:'length' 2:'8'} 13:{1:'checksum' 2:'x'}");
    assert_loaded(b, m);
    const TgTensor *t = tg_const_of(m->graph, m->graph->outputs.at[0].value);
    assert_true(t->external && t->offset == 4 && tg_tensor_float(b->tg, t, 1) == 2.0);
    assert_loaded(b, load_external(b, "13:{1:'location' 2:'w.bin'}"));
    static const struct {
        const char *entries;
        TgDiagId id;
    } bad[] = {
        {"13:{1:'location' 2:'../w.bin'}", TG_E_external_path},
        {"13:{1:'location' 2:'/etc/passwd'}", TG_E_external_path},
        {"13:{1:'location' 2:'none.bin'}", TG_E_cannot_open},
        {"13:{1:'location' 2:'.'}", TG_E_not_regular},
        {"13:{1:'offset' 2:'0'}", TG_E_external_entry},
        {"13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'-4'}", TG_E_external_entry},
        {"13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'99999999999999999999'}", TG_E_external_entry},
        {"13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'12'}", TG_E_external_range},
        {"13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'18446744073709551615'}", TG_E_external_range},
        {"13:{1:'location' 2:'w.bin'} 13:{1:'length' 2:'9'}", TG_E_external_length},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(b, load_external(b, bad[i].entries), bad[i].id);
}

static void test_tensor_file(void **state)
{
    Bench *b = *state;
    Bytes bytes = message("1:2 2:1 8:'t' 4:<f1 f2>");
    write_file(b->path, bytes.at, bytes.n);
    free(bytes.at);
    TgArena *arena = tg_arena_new(b->tg);
    const TgTensor *t = tg_load_tensor(arena, b->path);
    assert_non_null(t);
    assert_true(t->rank == 1 && tg_tensor_float(b->tg, t, 1) == 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_stored_tensors), TEST(test_weights_stay_in_place), TEST(test_constants), TEST(test_sparse),
        TEST(test_external),       TEST(test_tensor_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
