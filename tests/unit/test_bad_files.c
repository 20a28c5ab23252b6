/* Bad files against the refusal that they deserve, and mutations of good ones against "never crash, always
 * say why, take little time and memory". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <time.h>

#include "load_bench.h"

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
    {"5:{1:[1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 "
     "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]"
     " 2:1 8:'t' 4:<f1>}",
     TG_E_limit_of_code},
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

/* Ten thousand types inside each other; the file would take 1 KB of stack for each with a recursive
 * reader. */
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
    assert_refused(b, load_bytes(b, file.at, file.n), TG_E_limit);
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
    Bytes bytes =
        message("1:8 8:{2:17} 7:{2:'g'" X_IN "1:{1:'x' 2:'a' 4:'Neg'} 1:{1:'a' 2:'y' 4:'Neg'}" Y_OUT "}");
    static const struct {
        TgLimit limit;
        uint64_t n;
        TgDiagId id;
    } limits[] = {{TG_LIMIT_nodes, 1, TG_E_limit},
                  {TG_LIMIT_depth, 3, TG_E_limit},
                  {TG_LIMIT_rank, 0, TG_E_limit},
                  {TG_LIMIT_name, 0, TG_E_limit},
                  {TG_LIMIT_load, 100, TG_E_load_budget}};
    write_file(b->path, bytes.at, bytes.n);
    free(bytes.at);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        tg_close(b->tg);
        b->tg = tg_open(NULL);
        assert_true(tg_set_limit(b->tg, TG_LIMIT_load_ratio, 0));
        assert_true(tg_set_limit(b->tg, limits[i].limit, limits[i].n));
        assert_refused(b, tg_load(b->tg, b->path, NULL), limits[i].id);
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
    size_t from = next_random(random) % *n, to = next_random(random) % *n,
           length = 1 + next_random(random) % 16;
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
    default: memmove(at + from + length, at + from, *n - from); *n += length;
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
        "1:10 8:{2:18} 8:{1:'l' 2:1} 25:{1:'F' 10:'l' 4:'p' 5:'q' 6:'a' 9:{2:18} 7:{1:'p' 2:'q' 4:'Elu' "
        "5:{1:'alpha' 21:'a' 20:1}}}"
        "7:{2:'g'" X_IN "1:{1:'x' 2:'y' 4:'F' 7:'l' 5:{1:'a' 2:f2 20:1}}" Y_OUT "}",
        "1:8 8:{2:17} 7:{2:'g' 11:{1:'c' 2:{1:{1:9 2:{}}}}" X_IN
        "1:{1:'c' 2:'y' 4:'If' 5:{1:'then_branch' 20:5 6:{1:{1:'x' 2:'r' 4:'Neg'}"
        "12:{1:'r'}}} 5:{1:'else_branch' 20:5 6:{1:{1:'x' 2:'s' 4:'Abs'} 12:{1:'s'}}}}" Y_OUT "}",
        "1:8 8:{2:11} 7:{2:'g'" X_IN
        "5:{1:1 2:7 7:[0] 8:'i'} 1:{1:'x' 1:'i' 2:'a' 4:'Gather' 5:{1:'axis' 3:0 20:2}}"
        "1:{1:'a' 2:'b' 4:'Unsqueeze' 5:{1:'axes' 8:0 20:7}} 1:{1:'x' 1:'b' 2:'y' 4:'Add'}" Y_OUT "}",
    };
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        Bytes seed = message(seeds[i]);
        assert_loaded(b, load_bytes(b, seed.at, seed.n));
        fuzz(b, &seed, 0x9e3779b97f4a7c15u + i, 2000);
        free(seed.at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bad_graphs), TEST(test_bad_files), TEST(test_depth_bomb), TEST(test_amplification),
        TEST(test_limits),     TEST(test_strict),    TEST(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
