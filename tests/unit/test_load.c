/* Loading: files spelled field by field (message.h) against what the ONNX format says that they mean, bad files against
 * the refusal that they deserve, mutations and the corpora against "never crash, always say why". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "message.h"

/* --- a bench ------------------------------------------------------------------------------------------------------ */

typedef struct {
    Tg *tg;
    char folder[64], path[96];
} Bench;

static int set_up(void **state)
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

static int tear_down(void **state)
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
static TgModel *load_bytes(Bench *b, const void *bytes, size_t n)
{
    tg_close(b->tg);
    b->tg = tg_open(NULL);
    write_file(b->path, bytes, n);
    return tg_load(b->tg, b->path, NULL);
}

static TgModel *load(Bench *b, const char *notation)
{
    Bytes bytes = message(notation);
    TgModel *m = load_bytes(b, bytes.at, bytes.n);
    free(bytes.at);
    return m;
}

/* A model of opset 17, IR 8, around the fields of a graph. */
static TgModel *load_graph(Bench *b, const char *graph)
{
    char text[8192];
    snprintf(text, sizeof text, "1:8 8:{2:17} 7:{2:'g' %s}", graph);
    return load(b, text);
}

static bool said(Tg *tg, TgDiagId id)
{
    for (uint32_t i = 0; i < tg_diag_count(tg); i++)
        if (tg_diag(tg, i)->id == id)
            return true;
    return false;
}

static void assert_refused(Bench *b, TgModel *m, TgDiagId id)
{
    if (m || !said(b->tg, id))
        fail_msg("expected %s, got %s", tg_diag_id_name(id),
                 tg_diag_count(b->tg) ? tg_diag(b->tg, tg_diag_count(b->tg) - 1)->message : "nothing");
    assert_true(tg_error_count(b->tg) == 1);
    assert_non_null(tg_diag(b->tg, tg_diag_count(b->tg) - 1)->place.file);
    assert_int_not_equal(tg_diag_exit_code(b->tg), 0);
}

static TgValue named(const TgGraph *g, const char *name)
{
    for (TgValue v = 1; v < g->values.n; v++)
        if (tg_value(g, v)->name && strcmp(tg_value(g, v)->name, name) == 0)
            return v;
    fail_msg("no value %s", name);
    return 0;
}

static const char *last_message(Bench *b)
{
    return tg_diag_count(b->tg) ? tg_diag(b->tg, tg_diag_count(b->tg) - 1)->message : "nothing recorded";
}

static void assert_loaded(Bench *b, const TgModel *m)
{
    if (!m)
        fail_msg("refused: %s", last_message(b));
}

/* x: f32[2] in, y: f32[2] out; what is between them is given. */
#define X_IN " 11:{1:'x' 2:{1:{1:1 2:{1:{1:2}}}}} "
#define Y_OUT " 12:{1:'y' 2:{1:{1:1 2:{1:{1:2}}}}} "
#define NEG " 1:{1:'x' 2:'y' 4:'Neg'} "

/* --- interface ---------------------------------------------------------------------------------------------------- */

static void test_model_fields(void **state)
{
    Bench *b = *state;
    TgModel *m = load(b, "1:8 2:'maker' 3:'1.2' 4:'org.x' 5:7 6:'about' 8:{2:17} 8:{1:'com.microsoft' 2:1} "
                         "14:{1:'k' 2:'v'} 99:'future' 7:{2:'g' 10:'graph doc' 16:{1:'a' 2:'b'}" X_IN NEG Y_OUT "}");
    assert_loaded(b, m);
    assert_int_equal(m->ir_version, 8);
    assert_string_equal(m->producer_name, "maker");
    assert_string_equal(m->producer_version, "1.2");
    assert_string_equal(m->domain, "org.x");
    assert_int_equal(m->model_version, 7);
    assert_string_equal(m->doc, "about");
    assert_int_equal(tg_model_opset(m, ""), 17);
    assert_int_equal(tg_model_opset(m, "com.microsoft"), 1);
    Bytes unknown = message("14:{1:'k' 2:'v'} 99:'future'");
    assert_int_equal(m->unknown.n, unknown.n);
    assert_memory_equal(m->unknown.at, unknown.at, unknown.n);
    free(unknown.at);
    assert_string_equal(m->graph->name, "g");
    assert_string_equal(m->graph->doc, "graph doc");
    assert_int_equal(m->graph->unknown.n, 9); /* tag of two bytes, length, 1:'a' 2:'b' */
}

static void test_interface_keeps_its_spelling(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, "11:{1:'x' 2:{1:{1:1 2:{1:{2:'batch' 3:'DATA_BATCH'} 1:{1:2}}} 6:'TENSOR'} 3:'in' 4:{1:'m' 2:'n'}}"
                               "12:{1:'y' 2:{1:{1:1 2:{1:{2:'other'} 1:{}}}}}" NEG);
    assert_loaded(b, m);
    const TgValueInfo *x = tg_value(m->graph, m->graph->inputs.at[0]);
    assert_string_equal(tg_type_text(b->tg, x->type), "f32[batch,2]");
    Bytes wire = message("1:{1:1 2:{1:{2:'batch' 3:'DATA_BATCH'} 1:{1:2}}} 6:'TENSOR'");
    assert_int_equal(x->type_wire.n, wire.n);
    assert_memory_equal(x->type_wire.at, wire.at, wire.n);
    free(wire.at);
    assert_string_equal(x->doc, "in");
    assert_int_equal(x->unknown.n, 8);
    const TgReturn *y = &m->graph->outputs.at[0];
    assert_string_equal(y->name, "y");
    assert_int_equal(y->declared->rank, 2);
    assert_true(tg_dim_is_symbol(y->declared->dim[0]) && tg_dim_is_fresh(y->declared->dim[1]));
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, y->value)), "f32[batch,2]"); /* Neg, not the claim */
}

static void test_types_of_all_kinds(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, "11:{1:'s' 2:{4:{1:{1:{1:1 2:{}}}}}} 11:{1:'o' 2:{9:{1:{4:{1:{1:{1:7 2:{1:{1:3}}}}}}}}}"
                               "11:{1:'m' 2:{5:{1:8 2:{1:{1:1}}}}} 11:{1:'p' 2:{8:{1:1 2:{1:{1:9}}}}} 11:{1:'u'}"
                               "11:{1:'n' 2:{1:{1:1 2:{1:{1:-1}}}}} 12:{1:'s'}");
    assert_loaded(b, m);
    static const char *const texts[] = {"seq(f32[])", "optional(seq(i64[3]))", "map(str, f32[*])"};
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, m->graph->inputs.at[i])), texts[i]);
    assert_int_equal(tg_type_of(m->graph, m->graph->inputs.at[3])->kind, TG_SPARSE);
    assert_int_equal(tg_type_of(m->graph, m->graph->inputs.at[4])->kind, TG_UNTYPED);
    assert_true(tg_dim_is_fresh(tg_type_of(m->graph, m->graph->inputs.at[5])->dim[0])); /* -1: unknown */
}

/* An initializer that is also an input: a default from IR version 4 on, before that a plain constant. */
static void test_initializer_as_input(void **state)
{
    Bench *b = *state;
    const char *graph = "8:{2:9} 7:{2:'g'" X_IN " 11:{1:'w' 2:{1:{1:1 2:{1:{1:2}}}} 3:'weight'} 5:{1:2 2:1 4:<f3 f4> 8:'w'}"
                        "1:{1:'x' 1:'w' 2:'y' 4:'Add'}" Y_OUT "}";
    char text[1024];
    snprintf(text, sizeof text, "1:4 %s", graph);
    TgModel *m = load(b, text);
    assert_loaded(b, m);
    const TgValueInfo *w = tg_value(m->graph, named(m->graph, "w"));
    assert_int_equal(w->origin, TG_V_INPUT);
    assert_null(w->tensor);
    assert_float_equal((float)tg_tensor_float(b->tg, w->initial, 1), 4.0f, 0.0f);
    snprintf(text, sizeof text, "1:3 %s", graph);
    m = load(b, text);
    assert_loaded(b, m);
    w = tg_value(m->graph, named(m->graph, "w"));
    assert_int_equal(w->origin, TG_V_CONST);
    assert_int_equal(m->graph->inputs.n, 1);
    assert_string_equal(w->doc, "weight");
}

static void test_node_fields(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, X_IN "1:{1:'x' 1:'' 1:'x' 2:'' 2:'y' 3:'n' 4:'Odd' 7:'org.x' 8:'v2' 6:'doc' 9:{1:'k' 2:'v'}"
                               "5:{1:'i' 3:-5 20:2} 5:{1:'f' 2:f0.5 20:1} 5:{1:'s' 4:'a\\x00b' 20:3} 5:{1:'is' 8:1 8:[2 -3] 20:7}"
                               "5:{1:'fs' 7:<f1 f2> 7:f3 20:6} 5:{1:'ss' 9:'p' 9:'' 20:8} 5:{1:'e' 20:7}"
                               "5:{1:'t' 5:{1:1 2:7 7:[9]} 20:4} 5:{1:'ty' 14:{1:{1:1 2:{}}} 20:13}"
                               "5:{1:'sp' 22:{1:{1:0 2:1} 2:{1:0 2:7} 3:4} 20:11}}"
                               "13:{1:'y' 2:{1:{1:10 2:{1:{2:'n'}}}}} 12:{1:'y'}");
    assert_loaded(b, m);
    const TgNodeInfo *n = tg_node(m->graph, 1);
    assert_int_equal(n->op, TG_opaque);
    assert_string_equal(n->op_name, "Odd");
    assert_string_equal(n->domain, "org.x");
    assert_string_equal(n->overload, "v2");
    assert_string_equal(n->name, "n");
    assert_string_equal(n->doc, "doc");
    assert_int_equal(n->unknown.n, 8);
    assert_int_equal(n->n_in, 3);
    assert_int_equal(n->in[1], 0);
    assert_int_equal(n->n_out, 2);
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, n->out[1])), "f16[n]"); /* only the file knows */
    const TgAttrs *a = n->attrs;
    assert_int_equal(a->n, 10);
    assert_int_equal(tg_attr_find(a, "i")->u.i, -5);
    assert_true(tg_attr_find(a, "f")->u.f == 0.5f);
    assert_int_equal(tg_attr_find(a, "s")->u.s.n, 3);
    assert_memory_equal(tg_attr_find(a, "s")->u.s.at, "a\0b", 3);
    assert_int_equal(tg_attr_find(a, "is")->n, 3);
    assert_int_equal(tg_attr_find(a, "is")->u.ints[2], -3);
    assert_int_equal(tg_attr_find(a, "fs")->n, 3);
    assert_true(tg_attr_find(a, "fs")->u.floats[2] == 3.0f);
    assert_int_equal(tg_attr_find(a, "ss")->n, 2);
    assert_int_equal(tg_attr_find(a, "e")->n, 0);
    assert_int_equal(tg_tensor_int(b->tg, tg_attr_find(a, "t")->u.tensors[0], 0), 9);
    assert_string_equal(tg_type_text(b->tg, tg_attr_find(a, "ty")->u.type), "f32[]");
    assert_int_equal(tg_attr_find(a, "sp")->kind, TG_A_RAW);
}

static void test_order(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, X_IN "1:{1:'b' 2:'y' 4:'Neg'} 1:{1:'a' 2:'b' 4:'Exp'} 1:{1:'x' 2:'a' 4:'Abs'}" Y_OUT);
    assert_loaded(b, m);
    assert_true(said(b->tg, TG_E_unsorted));
    uint32_t n;
    const TgNode *order = tg_graph_order(m->graph, &n);
    static const TgOp ops[] = {TG_Abs, TG_Exp, TG_Neg};
    assert_int_equal(n, 3);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(tg_node(m->graph, order[i])->op, ops[i]);
    m = load_graph(b, X_IN "1:{1:'x' 1:'b' 2:'a' 4:'Add'} 1:{1:'a' 2:'b' 4:'Neg'} 1:{1:'b' 2:'y' 4:'Neg'}" Y_OUT);
    assert_refused(b, m, TG_E_cycle);
}

/* Reads of a body from two graphs further out become a capture of each graph on the way. */
static void test_bodies(void **state)
{
    Bench *b = *state;
    const char *inner = "6:{2:'in' 1:{1:'x' 1:'k' 2:'q' 4:'Add'} 12:{1:'q'}}";
    char text[2048];
    snprintf(text, sizeof text,
             X_IN "11:{1:'c' 2:{1:{1:9 2:{}}}} 1:{1:'c' 2:'y' 4:'If' 3:'outer'"
             "5:{1:'then_branch' 20:5 6:{2:'mid' 1:{1:'c' 2:'r' 4:'If' 5:{1:'then_branch' 20:5 %s} 5:{1:'else_branch' 20:5 %s}} 12:{1:'r'}}}"
             "5:{1:'else_branch' 20:5 6:{2:'el' 1:{1:'x' 2:'z' 4:'Neg'} 12:{1:'z'}}}}"
             "5:{2:1 4:<f10> 8:'k'}" Y_OUT, inner, inner);
    TgModel *m = load_graph(b, text);
    assert_loaded(b, m);
    assert_true(tg_graph_check(m->graph));
    const TgNodeInfo *outer = tg_node(m->graph, 1);
    assert_int_equal(outer->n_sub, 2);
    assert_int_equal(outer->n_formal, 1);
    assert_int_equal(outer->n_in, 4); /* c, and captured c, x, k */
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, outer->out[0])), "f32[2]");
    static const TgEvalOptions native = {.mode = TG_EVAL_NATIVE};
    static const int64_t two = 2;
    for (int c = 0; c < 2; c++) {
        TgArray in[] = {tg_array_new(b->tg, TG_EVAL_NATIVE, TG_f32, 1, &two),
                        tg_array_new(b->tg, TG_EVAL_NATIVE, TG_bool, 0, NULL)}, out;
        tg_array_set_float(TG_EVAL_NATIVE, &in[0], 0, 3.0);
        tg_array_set_float(TG_EVAL_NATIVE, &in[0], 1, 5.0);
        tg_array_set_int(&in[1], 0, c);
        assert_true(tg_eval(b->tg, m->graph, &native, in, &out));
        assert_true(tg_array_float(TG_EVAL_NATIVE, &out, 1) == (c ? 15.0 : -5.0));
        tg_array_drop(b->tg, &out);
        tg_array_drop(b->tg, &in[0]);
        tg_array_drop(b->tg, &in[1]);
    }
}

/* --- tensors ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *fields;  /* of a TensorProto */
    TgDtype dtype;
    double element[4];
} Stored;

/* Bit patterns: 0x3c00 is 1 and 0xc000 is -2 in float16, 0x3f80 and 0xc000 the same in bfloat16, 0x38 and 0xc0 in
 * float8e4m3fn; 4-bit elements lie low nibble first. */
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
    TgModel *m = load_graph(b, "5:{1:2 2:1 9:'\\x00\\x00\\x80\\x3f\\x00\\x00\\x00\\xc0' 8:'r' 12:'doc' 16:{1:'a' 2:'b'}}"
                               "5:{1:2 2:1 4:<f1 f2> 8:'f'} 1:{2:'c' 4:'Constant' 5:{1:'value' 20:4 5:{1:1 2:1 9:'\\x00\\x00\\x80\\x3f'}}}"
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
    TgModel *m = load_graph(b, "1:{2:'a' 4:'Constant' 5:{1:'value_float' 2:f1.5 20:1}} 1:{2:'b' 4:'Constant' 5:{1:'value_ints' 8:[4 5] 20:7}}"
                               "1:{2:'c' 4:'Constant' 7:'ai.onnx' 5:{1:'value_int' 3:-2 20:2}} 1:{2:'d' 4:'Constant' 5:{1:'value_floats' 7:<f1 f2> 20:6}}"
                               "1:{2:'e' 4:'Constant' 5:{1:'value_string' 4:'hi' 20:3}} 1:{2:'f' 4:'Constant' 5:{1:'value_strings' 9:'p' 9:'q' 20:8}}"
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
    TgModel *m = load_graph(b, "15:{1:{1:2 2:1 4:<f7 f8> 8:'s'} 2:{1:2 2:7 7:[1 5]} 3:2 3:3}"
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
    m = load_graph(b, "15:{1:{1:1 2:1 4:<f7> 8:'s'} 2:{1:1 2:7 7:[1]} 3:1073741824} 1:{1:'s' 2:'y' 4:'Neg'} 12:{1:'y'}");
    assert_loaded(b, m);
    assert_true(tg_memory_peak(b->tg) < (size_t)1 << 20);
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, m->graph->outputs.at[0].value)), "f32[1073741824]");
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
    TgModel *m = load_external(b, "13:{1:'location' 2:'w.bin'} 13:{1:'offset' 2:'4'} 13:{1:'length' 2:'8'} 13:{1:'checksum' 2:'x'}");
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

/* --- bad files ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *graph;
    TgDiagId id;
} Bad;

static const Bad bad_graphs[] = {
    {"5:{1:3 2:1 8:'t' 4:<f1 f2>}", TG_E_tensor_size},
    {"5:{1:1 2:1 8:'t' 4:<f1 f2>}", TG_E_tensor_size},
    {"5:{1:2 2:1 8:'t' 9:'1234567'}", TG_E_tensor_size},
    {"5:{1:2 2:1 8:'t' 9:'12345678' 9:'12345678'}", TG_E_tensor_size},
    {"5:{1:1 2:1 8:'t'}", TG_E_tensor_size},
    {"5:{1:2 2:8 8:'t' 6:'one'}", TG_E_tensor_size},
    {"5:{1:1 2:1 8:'t' 4:<f1> 9:'1234'}", TG_E_tensor_twice},
    {"5:{1:1 2:1 8:'t' 7:[1]}", TG_E_tensor_field},
    {"5:{1:1 2:0 8:'t' 4:<f1>}", TG_E_tensor_type},
    {"5:{1:1 2:999 8:'t' 4:<f1>}", TG_E_tensor_type},
    {"5:{1:-1 2:1 8:'t'}", TG_E_tensor_dim},
    {"5:{1:[4294967296 4294967296 4294967296] 2:1 8:'t'}", TG_E_tensor_big},
    {"5:{1:[1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"
     " 2:1 8:'t' 4:<f1>}", TG_E_tensor_rank},
    {"5:{1:1 2:1 8:'t' 3:{1:0 2:1} 4:<f1>}", TG_E_tensor_segment},
    {"5:{1:1 2:1 4:<f1>}", TG_E_nameless},
    {"11:{2:{1:{1:1}}}", TG_E_nameless},
    {X_IN X_IN, TG_E_duplicate_name},
    {X_IN NEG NEG Y_OUT, TG_E_duplicate_name},
    {X_IN "1:{1:'z' 2:'y' 4:'Neg'}" Y_OUT, TG_E_undefined_name},
    {X_IN Y_OUT, TG_E_undefined_name},
    {X_IN "1:{1:'x' 2:'y'}", TG_E_nameless},
    {X_IN "1:{1:'x' 2:'y' 4:'Softmax' 5:{3:1 20:2}}" Y_OUT, TG_E_nameless},
    {X_IN "1:{1:'x' 2:'y' 4:'Softmax' 5:{1:'axis' 3:0 20:2} 5:{1:'axis' 3:0 20:2}}" Y_OUT, TG_E_attr_twice},
    {X_IN "1:{1:'x' 2:'y' 4:'Softmax' 5:{1:'axis' 2:f1 20:1}}" Y_OUT, TG_E_attr_kind},
    {X_IN "1:{1:'x' 2:'y' 4:'Odd' 7:'d' 5:{1:'t' 20:4}}" Y_OUT, TG_E_attr_empty},
    {X_IN "1:{1:'x' 2:'y' 4:'Odd' 7:'d' 5:{1:'g' 20:5}}" Y_OUT, TG_E_attr_empty},
    {X_IN "1:{1:'x' 2:'y\\x00z' 4:'Neg'}", TG_E_bad_wire},
    {X_IN "1:{1:'x' 2:'y\\xff' 4:'Neg'}", TG_E_bad_wire},
    {X_IN "1:{1:'x' 2:'\\xc0\\xaf' 4:'Neg'}", TG_E_bad_wire},
    {X_IN "1:{1:'x' 2:'\\xed\\xa0\\x80' 4:'Neg'}", TG_E_bad_wire},
    {X_IN "1:7", TG_E_bad_wire},
};

static void test_bad_graphs(void **state)
{
    Bench *b = *state;
    for (size_t i = 0; i < sizeof bad_graphs / sizeof *bad_graphs; i++)
        assert_refused(b, load_graph(b, bad_graphs[i].graph), bad_graphs[i].id);
}

static void test_bad_files(void **state)
{
    Bench *b = *state;
    assert_refused(b, load(b, "1:8 8:{2:17}"), TG_E_no_graph);
    assert_refused(b, load_bytes(b, "", 0), TG_E_no_graph);
    assert_refused(b, load(b, "1:8 8:{2:17} 7:{2:'a'} 7:{2:'b'}"), TG_E_two_graphs);
    assert_refused(b, load_bytes(b, "not a model at all", 18), TG_E_bad_wire);
    assert_refused(b, load_bytes(b, "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), TG_E_bad_wire);
    assert_refused(b, load_bytes(b, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12), TG_E_bad_wire);
    assert_null(tg_load(b->tg, b->folder, NULL));
    assert_true(said(b->tg, TG_E_not_regular));
}

/* Ten thousand types inside each other; the file would take 1 KB of stack for each with a recursive reader. */
static void test_depth_bomb(void **state)
{
    Bench *b = *state;
    enum { DEEP = 10000 };
    Bytes inner = {0};
    for (int i = 0; i < DEEP; i++) {
        Bytes outer = {0};
        bytes_varint(&outer, (i % 2 ? 4u : 1u) << 3 | 2);
        bytes_varint(&outer, inner.n);
        bytes_add(&outer, inner.at, inner.n);
        free(inner.at);
        inner = outer;
    }
    Bytes file = {0};
    static const uint32_t wrap[] = {2, 11, 7}; /* type of an input of the graph */
    for (int i = 0; i < 3; i++) {
        Bytes outer = {0};
        bytes_varint(&outer, wrap[i] << 3 | 2);
        bytes_varint(&outer, inner.n);
        bytes_add(&outer, inner.at, inner.n);
        free(inner.at);
        inner = outer;
    }
    bytes_add(&file, inner.at, inner.n);
    assert_refused(b, load_bytes(b, file.at, file.n), TG_E_too_deep);
    free(inner.at);
    free(file.at);
}

/* Millions of tiny messages: refused before memory is taken for them. */
static void test_amplification(void **state)
{
    Bench *b = *state;
    enum { COPIES = 1000000 };
    static const char *const tiny[] = {"1:{}", "5:{}", "11:{}", "1:{4:'N'}", "1:{4:'N' 5:{1:'a'} 5:{1:'b'}}"};
    for (size_t k = 0; k < sizeof tiny / sizeof *tiny; k++) {
        Bytes one = message(tiny[k]), graph = {0}, file = {0};
        for (int i = 0; i < COPIES; i++)
            bytes_add(&graph, one.at, one.n);
        bytes_varint(&file, 7 << 3 | 2);
        bytes_varint(&file, graph.n);
        bytes_add(&file, graph.at, graph.n);
        clock_t start = clock();
        assert_refused(b, load_bytes(b, file.at, file.n), TG_E_load_budget);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
        assert_true(tg_memory_peak(b->tg) < (size_t)100 << 20);
        free(one.at);
        free(graph.at);
        free(file.at);
    }
}

static void test_limits(void **state)
{
    Bench *b = *state;
    Bytes bytes = message("1:8 8:{2:17} 7:{2:'g'" X_IN "1:{1:'x' 2:'a' 4:'Neg'} 1:{1:'a' 2:'y' 4:'Neg'}" Y_OUT "}");
    static const struct {
        TgLoadOptions options;
        TgDiagId id;
    } limits[] = {{{.max_nodes = 1}, TG_E_too_many}, {{.max_depth = 3}, TG_E_too_deep}, {{.max_alloc = 100}, TG_E_load_budget}};
    write_file(b->path, bytes.at, bytes.n);
    free(bytes.at);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        tg_close(b->tg);
        b->tg = tg_open(NULL);
        assert_refused(b, tg_load(b->tg, b->path, &limits[i].options), limits[i].id);
        assert_int_equal(tg_diag_exit_code(b->tg), 5);
    }
    tg_close(b->tg);
    b->tg = tg_open(NULL);
    assert_loaded(b, tg_load(b->tg, b->path, NULL));
}

/* What is usually tolerated is refused on request. */
static void test_strict(void **state)
{
    Bench *b = *state;
    static const TgLoadOptions strict = {.strict = true};
    assert_loaded(b, load_graph(b, X_IN "1:{1:'a' 2:'y' 4:'Neg'} 1:{1:'x' 2:'a' 4:'Neg'}" Y_OUT));
    tg_close(b->tg);
    b->tg = tg_open(NULL);
    assert_refused(b, tg_load(b->tg, b->path, &strict), TG_E_strict);
}

/* --- mutations ---------------------------------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Overwrites, moves, removes or doubles a few bytes. `at` has room for 64 more. */
static void mutate(uint8_t *at, size_t *n, uint64_t *random)
{
    size_t from = next_random(random) % *n, to = next_random(random) % *n, length = 1 + next_random(random) % 16;
    bool fits = from + length < *n && to + length < *n;
    switch (next_random(random) % 5) {
    case 0: at[from] = (uint8_t)next_random(random); break;
    case 1: at[from] = (uint8_t)(at[from] + (to & 1 ? 1 : -1)); break;
    case 2:
        if (fits)
            memmove(at + to, at + from, length);
        break;
    case 3:
        if (fits) {
            memmove(at + from, at + from + length, *n - from - length);
            *n -= length;
        }
        break;
    default:
        memmove(at + from + length, at + from, *n - from);
        *n += length;
    }
}

static void fuzz(Bench *b, const Bytes *seed, uint64_t random, int rounds)
{
    uint8_t *at = malloc(seed->n + 128);
    for (int i = 0; i < rounds; i++) {
        size_t n = seed->n;
        memcpy(at, seed->at, n);
        for (uint64_t k = next_random(&random) % 4 + 1; k > 0; k--)
            mutate(at, &n, &random);
        clock_t start = clock();
        TgModel *m = load_bytes(b, at, n);
        assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 1.0);
        assert_true(tg_memory_peak(b->tg) < (size_t)100 << 20);
        assert_true((m == NULL) == (tg_error_count(b->tg) > 0));
        assert_false(said(b->tg, TG_E_bug));
        if (m && !tg_graph_check(m->graph))
            fail_msg("round %d: %s", i, last_message(b));
    }
    free(at);
}

static void test_mutations(void **state)
{
    Bench *b = *state;
    static const char *const seeds[] = {
        "1:8 8:{2:17} 7:{2:'g'" X_IN NEG Y_OUT "5:{1:2 2:1 4:<f1 f2> 8:'w'} 13:{1:'q' 2:{4:{1:{1:{1:1}}}}}}",
        "1:10 8:{2:18} 8:{1:'l' 2:1} 25:{1:'F' 10:'l' 4:'p' 5:'q' 6:'a' 9:{2:18} 7:{1:'p' 2:'q' 4:'Elu' 5:{1:'alpha' 21:'a' 20:1}}}"
        "7:{2:'g'" X_IN "1:{1:'x' 2:'y' 4:'F' 7:'l' 5:{1:'a' 2:f2 20:1}}" Y_OUT "}",
        "1:8 8:{2:17} 7:{2:'g' 11:{1:'c' 2:{1:{1:9 2:{}}}}" X_IN "1:{1:'c' 2:'y' 4:'If' 5:{1:'then_branch' 20:5 6:{1:{1:'x' 2:'r' 4:'Neg'}"
        "12:{1:'r'}}} 5:{1:'else_branch' 20:5 6:{1:{1:'x' 2:'s' 4:'Abs'} 12:{1:'s'}}}}" Y_OUT "}",
        "1:8 8:{2:11} 7:{2:'g'" X_IN "5:{1:1 2:7 7:[0] 8:'i'} 1:{1:'x' 1:'i' 2:'a' 4:'Gather' 5:{1:'axis' 3:0 20:2}}"
        "1:{1:'a' 2:'b' 4:'Unsqueeze' 5:{1:'axes' 8:0 20:7}} 1:{1:'x' 1:'b' 2:'y' 4:'Add'}" Y_OUT "}",
    };
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        Bytes seed = message(seeds[i]);
        assert_loaded(b, load_bytes(b, seed.at, seed.n));
        fuzz(b, &seed, 0x9e3779b97f4a7c15u + i, 2000);
        free(seed.at);
    }
}

/* --- the corpora -------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t models, refused;
} Tally;

static void load_one(const char *path, Tally *tally)
{
    Tg *tg = tg_open(NULL);
    const TgModel *m = tg_load(tg, path, NULL);
    tally->models++;
    if (!m) {
        tally->refused++;
        print_message("refused: %s: %s\n", path, tg_error_count(tg) ? tg_diag(tg, tg_diag_count(tg) - 1)->message : "?");
    } else if (!tg_graph_check(m->graph)) {
        tally->refused++;
        print_message("broken: %s: %s\n", path, tg_diag(tg, tg_diag_count(tg) - 1)->message);
    }
    tg_close(tg);
}

static void load_folder(const char *folder, Tally *tally, int depth)
{
    char path[1024];
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat about;
        size_t n = strlen(e->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &about) != 0)
            continue;
        if (S_ISDIR(about.st_mode) && depth < 20)
            load_folder(path, tally, depth + 1);
        else if (n > 5 && strcmp(e->d_name + n - 5, ".onnx") == 0)
            load_one(path, tally);
    }
    if (d)
        closedir(d);
}

/* All models of the corpora load: ONNX Runtime or the checker of ONNX accept them, but for two that we tolerate. */
static void test_corpora(void **state)
{
    (void)state;
    Tally tally = {0};
    const char *folder = getenv("TGOPT_CORPORA");
    load_folder(folder ? folder : TGOPT_SOURCE_DIR "/../shared/corpora", &tally, 0);
    if (tally.models == 0) {
        print_message("the corpora are not there (set TGOPT_CORPORA): nothing was loaded\n");
        skip();
    }
    print_message("corpora: %u models, %u refused\n", tally.models, tally.refused);
    assert_int_equal(tally.refused, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_model_fields), TEST(test_interface_keeps_its_spelling), TEST(test_types_of_all_kinds),
        TEST(test_initializer_as_input), TEST(test_node_fields), TEST(test_order), TEST(test_bodies), TEST(test_stored_tensors),
        TEST(test_weights_stay_in_place), TEST(test_constants), TEST(test_sparse), TEST(test_external),
        TEST(test_tensor_file), TEST(test_bad_graphs), TEST(test_bad_files), TEST(test_depth_bomb),
        TEST(test_amplification), TEST(test_limits), TEST(test_strict), TEST(test_mutations), TEST(test_corpora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
