/* rivals STEM...   For each pair STEM.before.tg, STEM.after.tg: what three published checks say about it.
 *
 * One line per pair: STEM, and what Mirage, TASO and allclose say, separated by tabs: equal, different, or
 * cannot (the pair cannot be expressed). Mirage and TASO: rivals.h. allclose: one normal input, float32, |a
 * - b| <= 1e-5 + 1e-3 |b|.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rivals.h"

typedef struct {
    Tg *tg;
    const char *stem;
    const Arithmetic *how; /* NULL: allclose */
    const char *says;
} Question;

enum { MOST_OUTPUTS = 16 };

static TgModel *read_model(Tg *tg, const char *stem, const char *side)
{
    const TgFile *file = tg_file_map(tg, tg_name_format(tg, "%s.%s.tg", stem, side));
    TgModel *m = file ? tg_parse(tg, file->path, (const char *)file->bytes, file->size) : NULL;
    return m && m->graph->outputs.n <= MOST_OUTPUTS ? m : NULL;
}

static bool same_shape(const int64_t *a, int32_t rank_a, const int64_t *b, int32_t rank_b)
{
    return rank_a == rank_b && memcmp(a, b, (size_t)rank_a * sizeof *a) == 0;
}

/* --- fingerprints --------------------------------------------------------------------------------------- */

static const char *by_fingerprint(Tg *tg, TgModel *a, TgModel *b, const Arithmetic *how)
{
    RivalSizes sizes = {.n = 0};
    Grid x[MOST_OUTPUTS], y[MOST_OUTPUTS];
    if (!rival_run(tg, a->graph, how, &sizes, x) || !rival_run(tg, b->graph, how, &sizes, y))
        return "cannot";
    for (uint32_t i = 0; i < a->graph->outputs.n; i++)
        if (!same_shape(x[i].dim, x[i].rank, y[i].dim, y[i].rank) ||
            memcmp(x[i].at, y[i].at, (size_t)x[i].count * sizeof(Number)) != 0)
            return "different";
    return "equal";
}

/* --- allclose ------------------------------------------------------------------------------------------- */

static double element(const TgArray *x, int64_t i)
{
    bool real = tg_is_float(x->dtype);
    return real ? tg_array_float(TG_EVAL_F32, x, i) : (double)tg_array_int(x, i);
}

static bool close(const TgArray *x, const TgArray *y)
{
    if (!same_shape(x->dim, x->rank, y->dim, y->rank))
        return false;
    for (int64_t i = 0; i < x->count; i++) {
        double a = element(x, i), b = element(y, i);
        if (a != b && !(isnan(a) && isnan(b)) && !(fabs(a - b) <= 1e-5 + 1e-3 * fabs(b)))
            return false;
    }
    return true;
}

static const char *by_allclose(Tg *tg, TgModel *a, TgModel *b)
{
    TgEvalOptions options = {.mode = TG_EVAL_F32, .seed = 1};
    TgArray *in = TG_NEW_N(tg_forever(tg), TgArray, a->graph->inputs.n + 1), x[MOST_OUTPUTS], y[MOST_OUTPUTS];
    if (!tg_random_inputs(tg, a->graph, TG_EVAL_F32, 1, TG_IN_NORMAL, in) ||
        !tg_eval(tg, a->graph, &options, in, x) || !tg_eval(tg, b->graph, &options, in, y))
        return "cannot";
    bool same = true;
    for (uint32_t i = 0; i < a->graph->outputs.n; i++)
        same = same && close(&x[i], &y[i]);
    return same ? "equal" : "different"; /* the arrays go with the context */
}

/* --- pairs ---------------------------------------------------------------------------------------------- */

static bool ask(void *argument)
{
    Question *q = argument;
    TgModel *a = read_model(q->tg, q->stem, "before"), *b = read_model(q->tg, q->stem, "after");
    if (!a || !b)
        return false;
    if (a->graph->outputs.n != b->graph->outputs.n)
        q->says = "different";
    else
        q->says = q->how ? by_fingerprint(q->tg, a, b, q->how) : by_allclose(q->tg, a, b);
    return true;
}

static const char *answer(const char *stem, const Arithmetic *how)
{
    Question q = {.tg = tg_open(NULL), .stem = stem, .how = how, .says = "cannot"};
    if (!q.tg || !tg_protect(q.tg, ask, &q)) {
        fprintf(stderr, "rivals: %s: %s\n", stem,
                q.tg && tg_diag_count(q.tg) ? tg_diag(q.tg, tg_diag_count(q.tg) - 1)->message : "no memory");
        exit(1);
    }
    tg_close(q.tg);
    return q.says;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        printf("%s\t%s\t%s\t%s\n", argv[i], answer(argv[i], &mirage), answer(argv[i], &taso),
               answer(argv[i], NULL));
    return 0;
}
