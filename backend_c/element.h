/* One elementwise operator on one element, as a C expression. Private to emit_loops.c and emit_element.c.
 *
 * Locals of a loop are float (f32 and all narrower floats, rounded to their type after each operator), double, or
 * the integer type itself; bool is uint8_t. */
#ifndef TG_ELEMENT_H
#define TG_ELEMENT_H

#include "package.h"

typedef struct {
    TgDtype dtype;
    const char *text;      /* an operand of any operator as it is */
    const TgTensor *splat; /* a constant whose elements are all equal; else NULL */
} Element;

const char *element_type(TgDtype t);                     /* of its local variable; NULL: there is none */
const char *element_load(Package *p, TgDtype t, const char *stored); /* from the stored form */
const char *element_store(Package *p, TgDtype t, const char *value); /* to it */
const char *element_literal(Package *p, const TgTensor *splat);
/* What node n gives for operands in[0 .. n); its type is `to`. NULL: no form. */
const char *element_apply(Package *p, const TgNodeInfo *n, const Element *in, TgDtype to);

#endif
