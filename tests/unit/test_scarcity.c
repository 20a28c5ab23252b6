/* Lack of memory, everywhere: the n-th allocation of a whole run (load, optimize, compare, write) fails, alone or with
 * all that follow. Whatever n: the run ends with exit code 5 and a message, or does without; nothing leaks, no file is
 * left that is not the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

/* --- an allocator that fails ------------------------------------------------------------------------------------ */

typedef struct {
    long made, live;
    long fails_at; /* counted from 0; negative: never */
    bool for_good; /* all that follow fail as well */
} Scarce;

static void *scarce(void *user, void *old, size_t size)
{
    Scarce *s = user;
    if (!size) {
        s->live -= old != NULL;
        free(old);
        return NULL;
    }
    long n = s->made++;
    if (s->fails_at >= 0 && (n == s->fails_at || (s->for_good && n > s->fails_at)))
        return NULL;
    s->live++;
    return malloc(size);
}

/* --- a whole run ------------------------------------------------------------------------------------------------ */

typedef struct {
    Tg *tg;
    const char *source, *target;
    TgEquivResult equiv;
} Job;

static bool run_job(void *argument)
{
    Job *job = argument;
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1, .check_each = true};
    TgReport report;
    TgModel *source = tg_load(job->tg, job->source, NULL);
    if (!source)
        return false;
    TgModel *model = tg_model_clone(source);
    return tg_optimize(model, &options, &report) && tg_equiv(job->tg, source, model, NULL, &job->equiv) &&
           job->equiv.verdict != TG_DIFFERENT && tg_save(model, job->target, NULL);
}

static int entries_of(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (d && readdir(d))
        n++;
    closedir(d);
    return n;
}

static uint64_t hash_of(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint64_t hash = 1;
    uint8_t piece[4096];
    for (size_t n; f && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        hash = tg_hash(piece, n, hash);
    if (f)
        fclose(f);
    return hash;
}

typedef struct {
    char folder[64], target[96];
} Place;

/* One run; true when it succeeded. The allocations it made, or tried to, are left in s->made. */
static bool survives(const Place *p, const char *source, Scarce *s, uint64_t *written)
{
    TgAllocator allocator = {scarce, s};
    int files = entries_of(p->folder), open = entries_of("/proc/self/fd");
    Tg *tg = tg_open(&allocator);
    Job job = {.tg = tg, .source = source, .target = p->target};
    bool ok = tg && tg_protect(tg, run_job, &job);
    assert_int_not_equal(job.equiv.verdict, TG_DIFFERENT);
    if (tg && !ok) {
        if (tg_diag_exit_code(tg) != TG_EXIT_LIMIT)
            fail_msg("allocation %ld: exit code %d: %s", s->fails_at, tg_diag_exit_code(tg),
                     tg_diag_count(tg) ? tg_diag(tg, tg_diag_count(tg) - 1)->message : "no message");
        assert_true(tg_error_count(tg) > 0);
    }
    tg_close(tg);
    assert_int_equal(s->live, 0);
    assert_int_equal(entries_of("/proc/self/fd"), open);
    assert_int_equal(entries_of(p->folder), files + ok);
    *written = ok ? hash_of(p->target) : 0;
    remove(p->target);
    return ok;
}

/* Every n below `every`, then in growing steps; all of them where TGOPT_EVERY_ALLOCATION is set (minutes). */
static void starve(const Place *p, const char *source, long every)
{
    Scarce plenty = {.fails_at = -1};
    uint64_t want, written;
    assert_true(survives(p, source, &plenty, &want));
    for (long n = 0, step = 1; n < plenty.made; n += step) {
        for (int for_good = 0; for_good < 2; for_good++) {
            Scarce s = {.fails_at = n, .for_good = for_good};
            if (survives(p, source, &s, &written))
                assert_int_equal(written, want);
        }
        if (n >= every && !getenv("TGOPT_EVERY_ALLOCATION"))
            step = 1 + n / every * 7;
    }
}

/* --- the models ------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    Place *p = calloc(1, sizeof *p);
    strcpy(p->folder, "/tmp/test_scarcity_XXXXXX");
    *state = p;
    if (!mkdtemp(p->folder))
        return -1;
    snprintf(p->target, sizeof p->target, "%s/out.onnx", p->folder);
    return 0;
}

static int tear_down(void **state)
{
    Place *p = *state;
    int failed = rmdir(p->folder);
    free(p);
    return failed;
}

#define MODELS TGOPT_SOURCE_DIR "/tests/models/"

static void test_text_form(void **state) { starve(*state, MODELS "attention_head.tg", 100000); }
/* Small files in ONNX: functions that are inlined, subgraphs; every n. */
#define SMALL TGOPT_SOURCE_DIR "/tests/fuzz-seeds/onnx/"
static void test_functions(void **state) { starve(*state, SMALL "function.onnx", 100000); }
static void test_subgraphs(void **state) { starve(*state, SMALL "control.onnx", 100000); }
static void test_encoder(void **state) { starve(*state, MODELS "bert/model.onnx", 40); }
static void test_decoder(void **state) { starve(*state, MODELS "llama/model.onnx", 40); }

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(test_text_form), TEST(test_functions), TEST(test_subgraphs),
                                       TEST(test_encoder), TEST(test_decoder)};
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
