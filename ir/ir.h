/* The door of ir/: include this, nothing else. Read the headers in this order:
 *   base.h    context, arenas, strings, containers, files, diagnostics
 *   type.h    element types, symbolic dims, tensor types
 *   tensor.h  constants: mapped, owned, splat, recipe
 *   op.h      operators (ops.def) and attributes
 *   graph.h   nodes, values, subgraphs, models; inference, checks, text form, definitions, cost
 *   plan.h    what a backend has to write down
 *   eval.h    what a graph computes
 *   equiv.h   whether two graphs compute the same
 *   trace.h   certificates of what was done
 *   lex.h     tokens of the text form, which terms of rules share
 */
#ifndef TG_IR_H
#define TG_IR_H

#include "base.h"
#include "type.h"
#include "tensor.h"
#include "op.h"
#include "graph.h"
#include "plan.h"
#include "eval.h"
#include "equiv.h"
#include "trace.h"
#include "lex.h"

#endif
