/* Private to rotary*.c. */
#ifndef TG_ROTARY_H
#define TG_ROTARY_H

#include "pass.h"

/* Node n is Add(Mul(x, cos), Mul(rotate(x), sin)) with tables that vary: writes it as RotaryEmbedding, or with the
 * signs in the table. False: it is not, or nothing is gained. */
bool rotate_by_tables(TgPass *p, TgNodeInfo *n);

/* rotary_caches.c. The output may have RotaryEmbedding of elements like those of x. */
bool rotary_allowed(const TgPass *p, TgValue x);
/* Columns of a table: one for two elements; or each twice, as two halves or as neighbours. */
typedef enum { TABLE_ONE_HALF, TABLE_TWO_HALVES, TABLE_PAIRS } TableWidth;
/* Both tables: [batch, positions, half], or [positions, half] and a row of them for every position. */
typedef struct {
    TgValue cos, sin, rows;
} RotaryCaches;
/* Of tables [batch or 1, 1, positions, columns] for x [batch, heads, positions, size]. False: they do not fit. */
bool rotary_caches(TgPass *p, TgValue x, TgValue cos, TgValue sin, TableWidth width, RotaryCaches *c);
/* rotary_replay.c. What the n nodes of `cone` make of `source` at `root`, made of `rows` instead (a matrix or a
 * vector), each of which is as many heads as fit, each like a row of the source. Of the shape of `rows`. 0: they do
 * not treat rows alike. */
TgValue rotary_replay(TgPass *p, TgValue root, TgValue source, const TgNode *cone, uint32_t n, TgValue rows);
/* rotary_pairs.c. Node n puts c x1 - s x2 and s x1 + c x2 together: as halves or neighbours, of x or of its first
 * part. */
bool rotate_pairs(TgPass *p, TgNodeInfo *n);
/* rotary_heads.c. Node n is RotaryEmbedding of split heads: of the whole projection. */
bool rotate_merged_heads(TgPass *p, TgNodeInfo *n);
/* Node n is RotaryEmbedding of rows that were looked up for it: it does so itself. */
bool rotate_by_positions(TgPass *p, TgNodeInfo *n);
/* Node n is Concat(RotaryEmbedding(first part), rest): one RotaryEmbedding. */
bool rotate_part(TgPass *p, TgNodeInfo *n);

#endif
