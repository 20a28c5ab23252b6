/* Times the checks: one attention of 5 x 3 in the finite field (both sides, as a proof evaluates them), and all
 * replacements of -O2 on the models given. Prints CPU time.
 *
 *   cmake --build build --target bench_checks && build/bench_checks MODEL... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static const char attention[] =
    "graph @g(%q: f32[5,3], %k: f32[5,3], %v: f32[5,3]) { %s = MatMul(%q, Transpose(%k; perm={1,0})) "
    "%y = MatMul(Softmax(Mul(%s, const f32[] 0.5)), %v) return %y }";
static const char scaled[] =
    "graph @g(%q: f32[5,3], %k: f32[5,3], %v: f32[5,3]) { %e = Exp(MatMul(Mul(%q, const f32[] 0.5), "
    "Transpose(%k; perm={1,0}))) %y = Div(MatMul(%e, %v), ReduceSum(%e, const i64[1] {-1}; keepdims=1)) return %y }";

static bool time_attention(Tg *tg)
{
    enum { RUNS = 101 };
    double seconds[RUNS];
    TgModel *a = tg_parse(tg, "a", attention, strlen(attention)), *b = tg_parse(tg, "b", scaled, strlen(scaled));
    if (!a || !b)
        return false;
    for (int i = 0; i < RUNS; i++) {
        TgEquivResult r;
        double start = now();
        TgEquivOptions options = {.seed = (uint64_t)i, .check = TG_CHECK_FIELD};
        if (!tg_equiv(tg, a, b, &options, &r) || r.verdict != TG_EQUAL)
            return false;
        seconds[i] = now() - start;
    }
    qsort(seconds, RUNS, sizeof *seconds, by_value);
    printf("attention 5x3 proved, 3 draws of both sides: median %.3f ms\n", 1e3 * seconds[RUNS / 2]);
    return true;
}

static bool time_model(Tg *tg, const char *path)
{
    TgModel *m = tg_load(tg, path, NULL);
    TgBook *book = m ? tg_book_new(tg) : NULL;
    if (!book || !tg_book_add_builtin(book) || !tg_book_close(book))
        return false;
    TgReport report;
    TgChecker *checker = tg_checker_new(tg, &(TgEquivOptions){.seed = 1, .tolerance = 1e-4});
    TgOptimizeOptions options = {.level = 2, .rewrite_limit = -1, .checker = checker, .book = book};
    double start = now();
    if (!tg_optimize(m, &options, &report))
        return false;
    const TgEquivResult *r = tg_checker_result(checker);
    printf("%-40s %4u replacements, %3u questions (%u proved): %.3f ms each, %.1f ms in all, of %.1f ms\n", path, report.checks,
           r->checked, r->proved, 1e3 * report.check_seconds / report.checks, 1e3 * report.check_seconds, 1e3 * (now() - start));
    tg_checker_free(checker);
    return true;
}

int main(int argc, char **argv)
{
    Tg *tg = tg_open(NULL);
    bool good = tg && time_attention(tg);
    for (int i = 1; i < argc && good; i++)
        good = time_model(tg, argv[i]);
    if (tg && tg_diag_count(tg) && !good)
        fprintf(stderr, "%s\n", tg_diag(tg, tg_diag_count(tg) - 1)->message);
    tg_close(tg);
    return !good;
}
