/* Private to frontend/: what is believed of declared sizes. */
#ifndef TG_FRONTEND_SIZES_H
#define TG_FRONTEND_SIZES_H

#include "ir/ir.h"

/* Gives the inputs of a main graph types whose symbolic sizes are equal only where that is safe to believe. Call it
 * once, when the inputs are made and nothing is inferred yet; TgValueInfo.declared stays. */
void distinguish_sizes(TgGraph *g);

#endif
