/* Every application of a rewrite is checked where it happened, before it is done: the value that takes the
 * place of another one must compute the same (ir/equiv_local.c). What is not found equal is not done, and
 * reported as a defect of the rewrite, with the two graphs that reproduce it. What is approximate is not asked
 * about: that it is not equal is known. */
#include <time.h>

#include "pass.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static TgName place_of(const TgPass *p, TgValue v)
{
    const TgValueInfo *info = tg_value(p->g, v);
    TgName node = info->origin == TG_V_RESULT ? tg_node(p->g, info->node)->name : NULL;
    return node ? node : info->name ? info->name : "";
}

static bool find_equal(TgPass *p, uint32_t n, const TgValue *old, const TgValue *made, const char *rewrite)
{
    TgReport *r = p->report;
    TgApplication a = {.number = r->applied,
                       .pass = tg_name(p->tg, p->name),
                       .rewrite = tg_name(p->tg, rewrite ? rewrite : p->name),
                       .place = place_of(p, old[0])};
    double start = now();
    TgVerdict verdict =
        tg_check_replacement(p->options->checker, p->g, n, old, made, p->options->trace != NULL, &a.check);
    r->check_seconds += now() - start;
    r->checks++;
    if (verdict == TG_DIFFERENT) {
        TG_PUSH(p->model->arena, &r->refusals, a);
        return false;
    }
    if (p->options->trace)
        p->options->trace(p->options->user, &a);
    a.check.before = a.check.after = NULL; /* theirs until the next question */
    if (verdict == TG_UNDECIDED)
        TG_PUSH(p->model->arena, &r->undecided, a);
    return true;
}

bool pass_replace_all(TgPass *p, uint32_t n, const TgValue *old, const TgValue *made, const char *rewrite)
{
    bool good = !p->options->checker || p->approximate || find_equal(p, n, old, made, rewrite);
    pass_checked(p, good);
    if (!good)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const TgValueInfo *from = tg_value(p->g, old[i]), *to = tg_value(p->g, made[i]);
        if (from->origin == TG_V_RESULT && to->origin == TG_V_RESULT)
            tg_node_origin(p->g, to->node, tg_node(p->g, from->node), rewrite);
        tg_replace(p->g, old[i], made[i]);
    }
    return true;
}

bool pass_replace(TgPass *p, TgValue old, TgValue made, const char *rewrite)
{
    return pass_replace_all(p, 1, &old, &made, rewrite);
}
