/* What fuzz targets share: how they say that something must not happen. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "ir/ir.h"

static inline void check(bool fine, const char *what, Tg *tg)
{
    if (fine)
        return;
    fprintf(stderr, "%s: %s\n", what,
            tg_diag_count(tg) ? tg_diag(tg, tg_diag_count(tg) - 1)->message : "no message");
    abort();
}

static inline bool is_internal(Tg *tg)
{
    for (uint32_t i = 0; i < tg_diag_count(tg); i++)
        if (tg_diag(tg, i)->id == TG_E_bug)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
