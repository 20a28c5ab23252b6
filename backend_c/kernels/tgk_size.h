/* Arithmetic of sizes, as emitted expressions need it: floor division and its remainder, minimum, maximum,
 * broadcasting.
 *
 * Sizes are checked before (each symbol lies between 0 and its upper bound), so nothing here overflows; a division by
 * zero gives 0 instead of a trap.
 */
#ifndef TGK_SIZE_H
#define TGK_SIZE_H

#include <stdint.h>

static inline int64_t tgk_floor_div(int64_t a, int64_t b)
{
    if (b == 0)
        return 0;
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

static inline int64_t tgk_floor_mod(int64_t a, int64_t b)
{
    return b == 0 ? 0 : a - tgk_floor_div(a, b) * b;
}

static inline int64_t tgk_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t tgk_most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Of sizes at least 0. */
static inline int64_t tgk_div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t tgk_bcast(int64_t a, int64_t b)
{
    return a == 1 ? b : a;
}

#endif
