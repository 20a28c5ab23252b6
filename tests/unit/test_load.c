/* Loading: files spelled field by field (message.h) against what the ONNX format says that they mean; all
 * models of the corpora. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <dirent.h>
#include <sys/stat.h>

#include "load_bench.h"

/* --- interface ---------------------------------------------------------------------------------------------------- */

static void test_model_fields(void **state)
{
    Bench *b = *state;
    TgModel *m =
        load(b, "1:8 2:'maker' 3:'1.2' 4:'org.x' 5:7 6:'about' 8:{2:17} 8:{1:'com.microsoft' 2:1} "
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
    TgModel *m = load_graph(
        b, "11:{1:'x' 2:{1:{1:1 2:{1:{2:'batch' 3:'DATA_BATCH'} 1:{1:2}}} 6:'TENSOR'} 3:'in' 4:{1:'m' 2:'n'}}"
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
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, y->value)),
                        "f32[batch,2]"); /* Neg, not the claim */
}

/* ONNX Runtime's own models have such outputs; what we inferred was written in their place. */
static void test_output_without_type(void **state)
{
    Bench *b = *state;
    TgModel *m = load_graph(b, X_IN "12:{1:'y'}" NEG);
    assert_loaded(b, m);
    const TgReturn *y = &m->graph->outputs.at[0];
    assert_true(y->declared == tg_untyped(b->tg) && y->type_wire.n == 0);
    assert_true(tg_is_tensor(tg_type_of(m->graph, y->value)));
}

/* One name for sizes is believed for the batch, for layers and for keys and values; not between a mask and ids. */
static void test_sizes_of_layers_agree(void **state)
{
    static const struct {
        const char *name, *type;
    } inputs[] = {{"past.0.key", "f32[B,S]"},     {"past.0.value", "f32[B,S]"},
                  {"past.1.key", "f32[B,S]"},     {"mask", "f32[B,S__2]"},
                  {"ids", "f32[B,S__3]"},         {"past.1.other", "f32[B,S__4]"},
                  {"past.2.other", "f32[B,S__4]"}};
    Bench *b = *state;
    char text[2048] = "";
    enum { N = sizeof inputs / sizeof *inputs };
    for (size_t i = 0; i < N; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "11:{1:'%s' 2:{1:{1:1 2:{1:{2:'B'} 1:{2:'S'}}}}} ", inputs[i].name);
    snprintf(text + strlen(text), sizeof text - strlen(text), "12:{1:'mask'}");
    TgModel *m = load_graph(b, text);
    assert_loaded(b, m);
    for (uint32_t i = 0; i < N; i++)
        assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, m->graph->inputs.at[i])),
                            inputs[i].type);
}

static void test_types_of_all_kinds(void **state)
{
    Bench *b = *state;
    TgModel *m =
        load_graph(b, "11:{1:'s' 2:{4:{1:{1:{1:1 2:{}}}}}} 11:{1:'o' 2:{9:{1:{4:{1:{1:{1:7 2:{1:{1:3}}}}}}}}}"
                      "11:{1:'m' 2:{5:{1:8 2:{1:{1:1}}}}} 11:{1:'p' 2:{8:{1:1 2:{1:{1:9}}}}} 11:{1:'u'}"
                      "11:{1:'n' 2:{1:{1:1 2:{1:{1:-1} 1:{2:'-1'} 1:{2:'-1'}}}}} 12:{1:'s'}");
    assert_loaded(b, m);
    static const char *const texts[] = {"seq(f32[])", "optional(seq(i64[3]))", "map(str, f32[*])"};
    for (uint32_t i = 0; i < 3; i++)
        assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, m->graph->inputs.at[i])), texts[i]);
    assert_int_equal(tg_type_of(m->graph, m->graph->inputs.at[3])->kind, TG_SPARSE);
    assert_int_equal(tg_type_of(m->graph, m->graph->inputs.at[4])->kind, TG_UNTYPED);
    const TgDim *dim = tg_type_of(m->graph, m->graph->inputs.at[5])->dim; /* -1: unknown, in words as well */
    assert_true(tg_dim_is_fresh(dim[0]) && tg_dim_is_fresh(dim[1]) && tg_dim_is_fresh(dim[2]) && dim[1] != dim[2]);
}

/* An initializer that is also an input: a default from IR version 4 on, before that a plain constant. */
static void test_initializer_as_input(void **state)
{
    Bench *b = *state;
    const char *graph =
        "8:{2:9} 7:{2:'g'" X_IN " 11:{1:'w' 2:{1:{1:1 2:{1:{1:2}}}} 3:'weight'} 5:{1:2 2:1 4:<f3 f4> 8:'w'}"
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
    TgModel *m = load_graph(
        b, X_IN
        "1:{1:'x' 1:'' 1:'x' 2:'' 2:'y' 3:'n' 4:'Odd' 7:'org.x' 8:'v2' 6:'doc' 9:{1:'k' 2:'v'}"
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
    assert_string_equal(tg_type_text(b->tg, tg_type_of(m->graph, n->out[1])),
                        "f16[n]"); /* only the file knows */
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
    TgModel *m =
        load_graph(b, X_IN "1:{1:'b' 2:'y' 4:'Neg'} 1:{1:'a' 2:'b' 4:'Exp'} 1:{1:'x' 2:'a' 4:'Abs'}" Y_OUT);
    assert_loaded(b, m);
    assert_true(said(b->tg, TG_E_unsorted));
    uint32_t n;
    const TgNode *order = tg_graph_order(m->graph, &n);
    static const TgOp ops[] = {TG_Abs, TG_Exp, TG_Neg};
    assert_int_equal(n, 3);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(tg_node(m->graph, order[i])->op, ops[i]);
    m = load_graph(b, X_IN
                   "1:{1:'x' 1:'b' 2:'a' 4:'Add'} 1:{1:'a' 2:'b' 4:'Neg'} 1:{1:'b' 2:'y' 4:'Neg'}" Y_OUT);
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
                  "5:{1:'then_branch' 20:5 6:{2:'mid' 1:{1:'c' 2:'r' 4:'If' 5:{1:'then_branch' 20:5 %s} "
                  "5:{1:'else_branch' 20:5 %s}} 12:{1:'r'}}}"
                  "5:{1:'else_branch' 20:5 6:{2:'el' 1:{1:'x' 2:'z' 4:'Neg'} 12:{1:'z'}}}}"
                  "5:{2:1 4:<f10> 8:'k'}" Y_OUT,
             inner, inner);
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
                        tg_array_new(b->tg, TG_EVAL_NATIVE, TG_bool, 0, NULL)},
                out;
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
        print_message("refused: %s: %s\n", path,
                      tg_error_count(tg) ? tg_diag(tg, tg_diag_count(tg) - 1)->message : "?");
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

/* All models of the corpora load: ONNX Runtime or the checker of ONNX accept them, but for two that we
 * tolerate. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_model_fields),
        TEST(test_interface_keeps_its_spelling),
        TEST(test_output_without_type),
        TEST(test_sizes_of_layers_agree),
        TEST(test_types_of_all_kinds),
        TEST(test_initializer_as_input),
        TEST(test_node_fields),
        TEST(test_order),
        TEST(test_bodies),
        TEST(test_corpora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
