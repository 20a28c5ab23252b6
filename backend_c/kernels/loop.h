/* Runs a generated loop over its whole space, cut into tasks by sizes alone. */
#ifndef TGK_RUN_LOOP_H
#define TGK_RUN_LOOP_H

#include "tgk.h"

void tgk_run_loop(const tgk_ctx *c, tgk_tile *tile, const tgk_loop *l);

#endif
