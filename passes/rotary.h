/* Private to rotary*.c. */
#ifndef TG_ROTARY_H
#define TG_ROTARY_H

#include "pass.h"

/* Node n is Add(Mul(x, cos), Mul(rotate(x), sin)) with tables that vary: writes it as RotaryEmbedding, or with the signs
 * in the table. False: it is not, or nothing is gained. */
bool rotate_by_tables(TgPass *p, TgNodeInfo *n);

/* rotary_heads.c. Node n is RotaryEmbedding of split heads: of the whole projection. */
bool rotate_merged_heads(TgPass *p, TgNodeInfo *n);
/* Node n is Concat(RotaryEmbedding(first part), rest): one RotaryEmbedding. */
bool rotate_part(TgPass *p, TgNodeInfo *n);

#endif
