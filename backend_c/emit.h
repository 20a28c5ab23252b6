/* What the writers of a plan's steps share; private to emit*.c.
 *
 * A function of NAME.c is written twice: the first pass finds out which sizes it reads and which expressions come
 * often, the second one has them as variables. What is written must not depend on the pass otherwise.
 */
#ifndef TG_EMIT_H
#define TG_EMIT_H

#include "package.h"

typedef struct Emitter {
    Package *p;
    TgText *out;      /* functions that are done */
    TgText body;      /* of the function being written */
    TgText ahead;     /* functions that it calls */
    TgMap reads;      /* numbers of symbols that it reads from the frame, in plan->symbols */
    TgMap binds;      /* of symbols that became known in it */
    TgMap inside;     /* of these, those that a body binds: read from the frame wherever they are written */
    TgMap late;       /* of `binds`, those that it reads afterwards: they are variables */
    TgMap often; /* TgDim to how often it was written; second pass: to the number of its variable, where it has one */
    TG_VEC(TgDim) met; /* keys of `often`, in order */
    bool *known;      /* by plan->symbols, in the whole plan: it has a value by now */
    bool second, checks; /* pass; it has a variable `status` */
    bool early;       /* a size was written that is not known yet */
    size_t line;      /* where in body the current line starts */
    uint32_t indent;  /* of continued lines */
} Emitter;

/* --- text (emit_place.c) ------------------------------------------------------------------------------------------ */

void emit(Emitter *e, const char *format, ...) TG_PRINTF(2, 3);
/* One item of a list: broken before it where the line would become too long. */
void emit_item(Emitter *e, const char *format, ...) TG_PRINTF(2, 3);
const char *size_text(Emitter *e, TgDim d);        /* as C; counts, see Emitter.often */
const char *address_text(Emitter *e, TgValue v);   /* where a value starts: "tgk_at(f->arena, 4096)" */
const char *strides_text(Emitter *e, TgValue v, uint32_t n, const int32_t *axis); /* "{a, b}" */
bool emit_refuse(Emitter *e, const TgStep *s, const char *why); /* TG_E_no_plan; false */

/* --- asking ------------------------------------------------------------------------------------------------------- */

static inline const TgType *step_type(const Emitter *e, TgValue v) { return tg_type_of(e->p->plan->graph, v); }
TgDim stride_of(const Emitter *e, TgValue v,
                int32_t axis); /* negative: from the end; 0 for an axis that is not there */
TgDim emit_dim_of(const Emitter *e, TgValue v, int32_t axis);    /* 1 for an axis that is not there */

/* --- steps -------------------------------------------------------------------------------------------------------- */

bool emit_list(Emitter *e, const TgSteps *steps, const char *name); /* emit_steps.c: functions that end in `name` */
bool emit_kernel(Emitter *e, const TgStep *s);    /* emit_kernel.c: products, attention, rows, rotary */
void emit_loop_value(Emitter *e, const TgStep *s);/* (tgk_loop){...} of a pointwise step */
bool emit_copy(Emitter *e, TgValue from, TgValue to, const char *from_extra, const char *to_extra);
bool emit_operator(Emitter *e, const TgStep *s);  /* emit_operator.c */
bool emit_control(Emitter *e, const TgStep *s);   /* emit_control.c: BIND, SIZES, IF, REPEAT */
void emit_set_size(Emitter *e, TgDim symbol, const char *value,
                   const char *indent);           /* f->d_x = value; known from now on */
bool is_known(const Emitter *e, TgDim d);         /* all of its symbols have values */

#endif
