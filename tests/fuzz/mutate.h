/* Random changes of models, for the structure-aware mutator. */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include "ir/ir.h"

/* One to three changes, after which nothing is known of results. False: nothing could be changed. */
bool fuzz_mutate(TgModel *m, uint64_t seed);
/* The nodes of b become part of a (of one context), over values of a where types fit, else over new
 * inputs. */
bool fuzz_join(TgModel *a, const TgModel *b, uint64_t seed);

#endif
