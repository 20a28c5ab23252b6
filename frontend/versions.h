/* Versions of ai.onnx operators.
 *
 * Inside, every node has the meaning of the newest opset (ops.def). Files are written in many older ones, which differ in
 * three ways: what was an attribute became an operand (axes, pads, split, k, min, max ...), defaults and meanings changed
 * (Softmax flattened before opset 13), operators came and went. raise_*.c brings a node up when it is read, lower_*.c
 * brings it down when it is written; the facts that both need are the rows of moves.def.
 */
#ifndef TG_FRONTEND_VERSIONS_H
#define TG_FRONTEND_VERSIONS_H

#include "ir/ir.h"

/* Node n of `g` was just read literally, as `opset` of ai.onnx writes it. Gives it the newest meaning.
 *
 * Call it for each node of domain "" (also for operators that ops.def does not know: Scatter becomes ScatterElements),
 * producers first, when the types of its operands are inferred as far as they can be; infer the node afterwards.
 * Its attributes must be all those of the file, explicit defaults too: end the list with tg_attrs_end(&b, TG_opaque),
 * because what is a default today was none in older opsets. raise_node leaves a canonical list.
 * Nodes and constants may be added before n (they are inferred already); n keeps its ref and its output values, but
 * perhaps not its op. False: recorded, this form cannot be raised. */
bool raise_node(TgGraph *g, TgNode n, int64_t opset);

#endif
