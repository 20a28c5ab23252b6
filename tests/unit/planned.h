/* For tests of the planner: a context, plans of models, and steps in them. */
#ifndef TEST_PLANNED_H
#define TEST_PLANNED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

static Tg *tg;

static inline int open_context(void **state)
{
    (void)state;
    return (tg = tg_open(NULL)) == NULL;
}

static inline int close_context(void **state)
{
    (void)state;
    tg_close(tg);
    return 0;
}

static inline bool any_primitive(TgOp op, const char **operands, const char **results)
{
    *operands = *results = "*";
    return tg_op_info(op)->tier == TG_PRIMITIVE;
}

/* m: NULL, where it could not be had. NULL: there is no plan. */
static inline TgPlan *plan_model(TgModel *m)
{
    TgPlanOptions options = {.kernel = any_primitive};
    return m ? tg_plan(m, &options) : NULL;
}

/* p, which must be one. */
static inline TgPlan *planned(TgPlan *p)
{
    if (!p)
        fail_msg("%s", tg_diag_count(tg) ? tg_diag(tg, tg_diag_count(tg) - 1)->message : "no plan");
    return p;
}

/* Steps of that kind, those within loops and branches included. */
static inline uint32_t count(const TgSteps *steps, TgStepKind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < steps->n; i++)
        n += (steps->at[i]->kind == kind) + count(&steps->at[i]->body[0], kind) + count(&steps->at[i]->body[1], kind);
    return n;
}

static inline const TgStep *first(const TgPlan *p, TgStepKind kind)
{
    for (uint32_t i = 0; i < p->steps.n; i++)
        if (p->steps.at[i]->kind == kind)
            return p->steps.at[i];
    fail_msg("no such step");
    return NULL;
}

#endif
