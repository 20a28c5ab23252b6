/* Memory, unwinding, tables, texts, diagnostics and files. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ir/ir.h"

static int open_context(void **state)
{
    return (*state = tg_open(NULL)) ? 0 : -1;
}

static int close_context(void **state)
{
    tg_close(*state);
    return 0;
}

/* --- memory and unwinding ----------------------------------------------------------------------------- */

static void arenas_release_to_marks(void **state)
{
    TgArena *arena = tg_arena_new(*state);
    char *first = tg_new(arena, 10);
    strcpy(first, "stays");
    TgMark mark = tg_mark(arena);
    for (size_t n = 1; n < 3000000; n *= 3) {
        uint8_t *block = tg_new(arena, n);
        assert_int_equal((uintptr_t)block % 16, 0);
        for (size_t i = 0; i < n; i += 997)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, n);
    }
    tg_release(arena, mark);
    assert_string_equal(first, "stays");
    assert_int_equal(((uint8_t *)tg_new(arena, 5000))[4999], 0);
    tg_arena_free(arena);
}

static void vectors_grow(void **state)
{
    TgU32s v = {0};
    for (uint32_t i = 0; i < 10000; i++)
        TG_PUSH(tg_scratch(*state), &v, i * i);
    assert_int_equal(v.n, 10000);
    for (uint32_t i = 0; i < v.n; i++)
        assert_int_equal(v.at[i], i * i);
}

static bool overflows(void *tg)
{
    tg_product(tg, SIZE_MAX / 2, 3);
    return true;
}

static bool nests(void *tg)
{
    assert_false(tg_protect(tg, overflows, tg));
    TG_CHECK((Tg *)tg, 1 + 1 == 3);
    return true;
}

static void unwinding_nests(void **state)
{
    Tg *tg = *state;
    tg_place(tg)->line = 7;
    assert_false(tg_protect(tg, nests, tg));
    assert_int_equal(tg_diag_count(tg), 2);
    assert_int_equal(tg_diag(tg, 0)->id, TG_E_too_big);
    assert_int_equal(tg_diag(tg, 1)->id, TG_E_bug);
    assert_int_equal(tg_diag(tg, 1)->place.line, 7);
    assert_int_equal(tg_diag_exit_code(tg), 5);
}

static bool takes_much(void *tg)
{
    for (int i = 0; i < 100; i++)
        tg_heap_new(tg, 1 << 20);
    return true;
}

static void the_limit_holds(void **state)
{
    Tg *tg = *state;
    tg_set_limit(tg, TG_LIMIT_memory, 10 << 20);
    assert_false(tg_protect(tg, takes_much, tg));
    assert_int_equal(tg_diag(tg, 0)->id, TG_E_memory_limit);
    assert_true(tg_memory_peak(tg) <= 10 << 20);
    assert_non_null(strstr(tg_diag(tg, 0)->message, "--limit memory="));
}

static bool takes_half(void *tg)
{
    tg_heap_new(tg, 5 << 20);
    return true;
}

static void unwinding_frees_heap_blocks(void **state)
{
    Tg *tg = *state;
    tg_set_limit(tg, TG_LIMIT_memory, 10 << 20);
    assert_false(tg_protect(tg, takes_much, tg));
    assert_true(tg_protect(tg, takes_half, tg));
}

static void limits_do_not_overflow(void **state)
{
    Tg *tg = *state;
    assert_int_equal(tg_scaled_limit(tg, TG_LIMIT_load, TG_LIMIT_load_ratio, 10), (48 << 20) + 160);
    assert_true(tg_scaled_limit(tg, TG_LIMIT_load, TG_LIMIT_load_ratio, UINT64_MAX / 2) == UINT64_MAX);
    assert_false(tg_set_limit(tg, TG_LIMIT_depth, TG_MOST_depth + 1));
    assert_true(tg_within(tg, TG_LIMIT_depth, 100));
    assert_false(tg_within(tg, TG_LIMIT_depth, 101));
    assert_non_null(strstr(tg_diag(tg, 0)->message, "--limit depth="));
}

/* Fails the nth allocation: whatever n, the context survives, records why, and everything is freed. */
typedef struct {
    long left, live;
} Scarce;

static void *scarce(void *user, void *old, size_t size)
{
    Scarce *s = user;
    if (!size) {
        s->live -= old != NULL;
        free(old);
        return NULL;
    }
    if (s->left-- <= 0)
        return NULL;
    s->live++;
    return realloc(old, size);
}

static bool works(void *tg)
{
    for (int i = 0; i < 50; i++) {
        tg_heap_free(tg, tg_heap_new(tg, 100));
        tg_name_format(tg, "name %d with some text behind it %0200d", i, i);
        tg_new(tg_scratch(tg), 3000);
        tg_report(tg, TG_E_not_regular, "x");
    }
    return true;
}

static void survives_every_failure(void **state)
{
    (void)state;
    bool done = false;
    for (long n = 0; n < 500 && !done; n++) {
        Scarce s = {.left = n};
        TgAllocator allocator = {scarce, &s};
        Tg *tg = tg_open(&allocator);
        if (tg) {
            done = tg_protect(tg, works, tg);
            assert_true(tg_error_count(tg) > 0);
        }
        tg_close(tg);
        assert_int_equal(s.live, 0);
    }
    assert_true(done);
}

static void heap_blocks_are_aligned(void **state)
{
    void *block[40];
    for (size_t i = 0; i < 40; i++) {
        block[i] = tg_heap_new(*state, i * 37);
        assert_int_equal((uintptr_t)block[i] % 64, 0);
        memset(block[i], (int)i, i * 37);
    }
    for (size_t i = 0; i < 40; i += 2)
        tg_heap_free(*state, block[i]);
    for (size_t i = 1; i < 40; i += 2)
        assert_int_equal(((uint8_t *)block[i])[i * 37 - 1], i);
}

/* --- tables and texts --------------------------------------------------------------------------------- */

static void maps_keep_what_was_put(void **state)
{
    TgMap map;
    tg_map_init(&map, tg_scratch(*state));
    assert_false(tg_map_get(&map, 0, NULL));
    for (uint64_t i = 0; i < 5000; i++)
        tg_map_put(&map, i * 0x100000001u, i);
    tg_map_put(&map, 0, 77);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t value = 0;
        assert_true(tg_map_get(&map, i * 0x100000001u, &value));
        assert_int_equal(value, i ? i : 77);
    }
    assert_false(tg_map_get(&map, 3, NULL));
    assert_int_equal(map.n, 5000);
}

static void names_are_interned(void **state)
{
    Tg *tg = *state;
    assert_null(tg_name(tg, NULL));
    assert_ptr_equal(tg_name(tg, "abc"), tg_name_n(tg, "abcdef", 3));
    assert_ptr_equal(tg_name(tg, "x12"), tg_name_format(tg, "x%d", 12));
    assert_ptr_equal(tg_name_n(tg, "a\0b", 3), tg_name(tg, "a"));
    assert_ptr_not_equal(tg_name(tg, "a"), tg_name(tg, "b"));
    assert_string_equal(tg_name_n(tg, NULL, 0), "");
    TgName first = tg_name(tg, "n0");
    for (int i = 0; i < 3000; i++)
        tg_name_format(tg, "n%d", i);
    assert_ptr_equal(first, tg_name(tg, "n0"));
}

static const char *float_text(Tg *tg, double x, bool single)
{
    TgText text;
    tg_text_init(&text, tg_scratch(tg));
    tg_text_float(&text, x, single);
    return text.at;
}

/* Shortest forms as Python's repr(float) and numpy.float32 give them. */
static void floats_print_shortest(void **state)
{
    Tg *tg = *state;
    assert_string_equal(float_text(tg, 0.1, false), "0.1");
    assert_string_equal(float_text(tg, (double)0.1f, true), "0.1");
    assert_string_equal(float_text(tg, (double)0.1f, false), "0.10000000149011612");
    assert_string_equal(float_text(tg, 1.0 / 3, false), "0.3333333333333333");
    assert_string_equal(float_text(tg, (double)(1.0f / 3), true), "0.33333334");
    assert_string_equal(float_text(tg, -0.0, true), "-0");
    assert_string_equal(float_text(tg, 16777216, true), "16777216");
    assert_string_equal(float_text(tg, 5e-324, false), "4.94065645841247e-324");
    assert_true(strtod(float_text(tg, 5e-324, false), NULL) == 5e-324);
    assert_string_equal(float_text(tg, -(double)INFINITY, true), "-inf");
    assert_string_equal(float_text(tg, (double)NAN, true), "nan");
}

static void quotes_everything(void **state)
{
    TgText text;
    tg_text_init(&text, tg_scratch(*state));
    static const char bytes[] = "a\"\\\n\t\x01\x7f\xc3\xa9\xff\xc2\x9b\xed\xa0\x80";
    tg_text_quoted(&text, bytes, sizeof bytes); /* with the NUL */
    assert_string_equal(text.at,
                        "\"a\\\"\\\\\\n\\t\\u0001\\u007f\xc3\xa9\\xff\\u009b\\xed\\xa0\\x80\\u0000\"");
    tg_text_init(&text, tg_scratch(*state));
    for (int i = 0; i < 500; i++)
        tg_text_format(&text, "%d,", i);
    assert_int_equal(text.n, strlen(text.at));
    assert_int_equal(text.n, 10 * 2 + 90 * 3 + 400 * 4);
}

/* --- diagnostics -------------------------------------------------------------------------------------- */

static void diagnostics_render(void **state)
{
    Tg *tg = *state;
    TgName node = tg_name(tg, "x\x1b[2J");
    *tg_place(tg) = (TgPlace){.file = tg_name(tg, "m.onnx"), .node = node, .op = tg_name(tg, "Add")};
    assert_false(tg_report(tg, TG_E_cannot_open, "w.bin", "gone"));
    TgText text;
    tg_text_init(&text, tg_scratch(tg));
    tg_diag_render(tg, tg_diag(tg, 0), &text);
    assert_string_equal(text.at, "tgopt: m.onnx: node 'x?[2J' (Add): error: cannot open 'w.bin': gone");
    assert_string_equal(tg_diag_id_name(TG_E_cannot_open), "cannot_open");
    assert_int_equal(tg_diag_exit_code(tg), 1);
    tg_diag_forget(tg, 0);
    assert_int_equal(tg_error_count(tg), 0);
    assert_int_equal(tg_diag_exit_code(tg), 0);
}

/* --- files -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    char folder[64];
} Place;

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A folder of its own as working directory: model/m.onnx, model/w.bin, outside.bin. */
static int open_folder(void **state)
{
    Place *p = calloc(1, sizeof *p);
    p->tg = tg_open(NULL);
    strcpy(p->folder, "/tmp/tgopt-test-XXXXXX");
    *state = p;
    if (!mkdtemp(p->folder) || chdir(p->folder) || mkdir("model", 0755))
        return -1;
    write_text("model/m.onnx", "model");
    write_text("model/w.bin", "weights");
    write_text("outside.bin", "secret");
    return 0;
}

static int close_folder(void **state)
{
    Place *p = *state;
    tg_close(p->tg);
    char command[100];
    snprintf(command, sizeof command, "rm -r '%s'", p->folder);
    int failed = chdir("/") || system(command);
    free(p);
    return failed;
}

static bool holds(const TgFile *f, const char *text)
{
    return f && f->size == strlen(text) && memcmp(f->bytes, text, f->size) == 0;
}

static void maps_files(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    const TgFile *f = tg_file_map(tg, "model/w.bin");
    assert_true(holds(f, "weights"));
    assert_ptr_equal(f, tg_file_map(tg, "model/w.bin"));
    write_text("empty", "");
    assert_true(holds(tg_file_map(tg, "empty"), ""));
    assert_null(tg_file_map(tg, "absent"));
    assert_int_equal(tg_diag(tg, 0)->id, TG_E_cannot_open);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_null(tg_file_map(tg, "pipe"));
    assert_null(tg_file_map(tg, "."));
    assert_int_equal(tg_error_count(tg), 3);
}

static TgDiagId refusal(Tg *tg, const char *model, const char *location)
{
    tg_diag_forget(tg, 0);
    assert_null(tg_file_map_beneath(tg, model, location));
    assert_int_equal(tg_error_count(tg), 1);
    return tg_diag(tg, 0)->id;
}

static void external_data_stays_beneath(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    char absolute[100];
    snprintf(absolute, sizeof absolute, "%s/outside.bin", ((Place *)*state)->folder);
    assert_int_equal(symlink("../outside.bin", "model/link"), 0);
    assert_int_equal(symlink("..", "model/up"), 0);
    assert_int_equal(symlink("w.bin", "model/near"), 0);
    assert_int_equal(symlink(absolute, "model/far"), 0);
    static const char *const leaving[] = {
        "../outside.bin", "a/../../outside.bin", "link", "up/outside.bin", "far", "", ".."};
    for (size_t i = 0; i < sizeof leaving / sizeof *leaving; i++)
        assert_int_equal(refusal(tg, "model/m.onnx", leaving[i]), TG_E_external_path);
    assert_int_equal(refusal(tg, "model/m.onnx", absolute), TG_E_external_path);
    assert_int_equal(refusal(tg, "model/m.onnx", "absent"), TG_E_cannot_open);
    assert_int_equal(refusal(tg, "model/m.onnx", "."), TG_E_not_regular);
    assert_true(holds(tg_file_map_beneath(tg, "model/m.onnx", "w.bin"), "weights"));
    assert_true(holds(tg_file_map_beneath(tg, "model/m.onnx", "near"), "weights"));
    assert_true(holds(tg_file_map_beneath(tg, "model/m.onnx", "./w.bin"), "weights"));
    assert_int_equal(chdir("model"), 0);
    assert_true(holds(tg_file_map_beneath(tg, "m.onnx", "w.bin"), "weights"));
}

/* Model caches: model and data are links from one folder into another that holds both. */
static void cached_models_find_their_data(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    assert_int_equal(mkdir("snapshot", 0755), 0);
    assert_int_equal(symlink("../model/m.onnx", "snapshot/model.onnx"), 0);
    assert_int_equal(symlink("../model/w.bin", "snapshot/model.onnx_data"), 0);
    assert_int_equal(symlink("../outside.bin", "snapshot/other"), 0);
    assert_true(holds(tg_file_map_beneath(tg, "snapshot/model.onnx", "model.onnx_data"), "weights"));
    assert_int_equal(refusal(tg, "snapshot/model.onnx", "other"), TG_E_external_path);
}

static size_t entries(void)
{
    FILE *p = popen("ls -A | wc -l", "r");
    unsigned long n = 0;
    assert_int_equal(fscanf(p, "%lu", &n), 1);
    pclose(p);
    return n;
}

static void output_appears_at_commit(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    size_t before = entries();
    umask(027);
    TgOutput *out = tg_output_open(tg, "result");
    assert_true(tg_output_write(out, "head ", 5));
    assert_true(tg_output_copy(out, tg_file_map(tg, "model/w.bin"), 1, 3));
    assert_true(tg_output_zeros(out, 2));
    assert_int_equal(tg_output_offset(out), 10);
    assert_int_equal(access("result", F_OK), -1);
    assert_true(tg_output_commit(out, true));
    assert_int_equal(entries(), before + 1);
    const TgFile *f = tg_file_map(tg, "result");
    assert_int_equal(f->size, 10);
    assert_memory_equal(f->bytes, "head eig\0\0", 10);
    struct stat info;
    assert_int_equal(stat("result", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

/* Large pieces go around the buffer; the order must hold. */
static void large_output_is_exact(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    size_t n = 5 << 20;
    uint8_t *bytes = tg_heap_new(tg, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * i >> 7);
    TgOutput *out = tg_output_open(tg, "big");
    for (size_t from = 0, step = 1; from < n; step *= 2) {
        step = step < n - from ? step : n - from;
        assert_true(tg_output_write(out, bytes + from, step));
        from += step;
    }
    assert_true(tg_output_commit(out, false));
    const TgFile *big = tg_file_map(tg, "big");
    assert_int_equal(big->size, n);
    assert_memory_equal(big->bytes, bytes, n);
    out = tg_output_open(tg, "copy");
    assert_true(tg_output_write(out, "x", 1));
    assert_true(tg_output_copy(out, big, 3, n - 3));
    assert_true(tg_output_write(out, "y", 1));
    assert_int_equal(tg_output_offset(out), n - 1);
    assert_true(tg_output_commit(out, false));
    const TgFile *copy = tg_file_map(tg, "copy");
    assert_int_equal(copy->size, n - 1);
    assert_int_equal(copy->bytes[0], 'x');
    assert_memory_equal(copy->bytes + 1, bytes + 3, n - 3);
    assert_int_equal(copy->bytes[n - 2], 'y');
    tg_file_forget(copy->bytes, copy->size);
    assert_int_equal(copy->bytes[n - 2], 'y');
}

/* Whole pages at whole pages may be shared with the source; a hint of too many bytes adds none. */
static void pages_are_copied_or_shared(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    size_t page = 4096, n = 700 * page + 5;
    uint8_t *bytes = tg_heap_new(tg, n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * i >> 11);
    TgOutput *out = tg_output_open(tg, "pages");
    assert_true(tg_output_write(out, bytes, n) && tg_output_commit(out, false));
    out = tg_output_open(tg, "more");
    tg_output_expect(out, 5 * n);
    assert_true(tg_output_zeros(out, 2 * page));
    assert_true(tg_output_copy(out, tg_file_map(tg, "pages"), page, n - page));
    assert_true(tg_output_write(out, "end", 3));
    assert_int_equal(tg_output_offset(out), n + page + 3);
    assert_true(tg_output_commit(out, false));
    const TgFile *more = tg_file_map(tg, "more");
    assert_int_equal(more->size, n + page + 3);
    assert_memory_equal(more->bytes + 2 * page, bytes + page, n - page);
    assert_memory_equal(more->bytes + n + page, "end", 3);
}

static bool opens_and_fails(void *tg)
{
    TgOutput *out = tg_output_open(tg, "half");
    tg_output_write(out, "abc", 3);
    TG_CHECK((Tg *)tg, 0 > 1);
    return true;
}

static void nothing_half_written_stays(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    size_t before = entries();
    assert_false(tg_protect(tg, opens_and_fails, tg));
    assert_int_equal(entries(), before);
    tg_output_discard(tg_output_open(tg, "half"));
    assert_int_equal(entries(), before);
    assert_null(tg_output_open(tg, "no/such/folder/file"));
    assert_int_equal(tg_diag(tg, 1)->id, TG_E_cannot_write);
    assert_non_null(tg_output_open(tg, "half"));
    tg_close(tg);
    assert_int_equal(entries(), before);
    ((Place *)*state)->tg = NULL;
}

/* A link of the name of the output is replaced; what it names stays as it is. */
static void output_follows_no_link(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    struct stat info;
    assert_int_equal(symlink("outside.bin", "alias"), 0);
    assert_true(holds(tg_file_map(tg, "alias"), "secret"));
    TgOutput *out = tg_output_open(tg, "alias");
    assert_true(tg_output_write(out, "new", 3));
    assert_true(tg_output_commit(out, false));
    assert_int_equal(lstat("alias", &info), 0);
    assert_true(S_ISREG(info.st_mode));
    assert_true(holds(tg_file_map(tg, "alias"), "new"));
    assert_true(holds(tg_file_map(tg, "outside.bin"), "secret"));
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(symlink("fifo", "to-pipe"), 0);
    assert_null(tg_output_open(tg, "to-pipe"));
}

static void modes_survive(void **state)
{
    Tg *tg = ((Place *)*state)->tg;
    struct stat info;
    assert_int_equal(chmod("outside.bin", 0604), 0);
    TgOutput *out = tg_output_open(tg, "outside.bin");
    assert_true(tg_output_write(out, "new", 3));
    assert_true(tg_output_commit(out, false));
    assert_int_equal(stat("outside.bin", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0604);
    out = tg_output_open(tg, "/dev/null");
    assert_true(tg_output_write(out, "gone", 4));
    assert_true(tg_output_commit(out, false));
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

int main(void)
{
#define IN_CONTEXT(test) cmocka_unit_test_setup_teardown(test, open_context, close_context)
#define IN_FOLDER(test)  cmocka_unit_test_setup_teardown(test, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        IN_CONTEXT(arenas_release_to_marks),
        IN_CONTEXT(vectors_grow),
        IN_CONTEXT(unwinding_nests),
        IN_CONTEXT(the_limit_holds),
        IN_CONTEXT(unwinding_frees_heap_blocks),
        IN_CONTEXT(limits_do_not_overflow),
        cmocka_unit_test(survives_every_failure),
        IN_CONTEXT(heap_blocks_are_aligned),
        IN_CONTEXT(maps_keep_what_was_put),
        IN_CONTEXT(names_are_interned),
        IN_CONTEXT(floats_print_shortest),
        IN_CONTEXT(quotes_everything),
        IN_CONTEXT(diagnostics_render),
        IN_FOLDER(maps_files),
        IN_FOLDER(external_data_stays_beneath),
        IN_FOLDER(cached_models_find_their_data),
        IN_FOLDER(output_appears_at_commit),
        IN_FOLDER(large_output_is_exact),
        IN_FOLDER(pages_are_copied_or_shared),
        IN_FOLDER(nothing_half_written_stays),
        IN_FOLDER(output_follows_no_link), IN_FOLDER(modes_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
