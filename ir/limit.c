/* Limits: what limits.def says unless the caller of the context says otherwise. */
#include "context.h"
#include "type.h"

_Static_assert((int)TG_MOST_rank <= (int)TG_MAX_RANK, "arrays of sizes have room for so many");

static const TgLimitInfo INFO[TG_LIMIT_COUNT] = {
#define LIMIT(id, option, usual, most, what) [TG_LIMIT_##id] = {option, what, usual, most},
#include "limits.def"
#undef LIMIT
};

const TgLimitInfo *tg_limit_info(TgLimit limit) { return &INFO[limit]; }

void tg_limits_init(Tg *tg)
{
    for (int i = 0; i < TG_LIMIT_COUNT; i++)
        tg->limit[i] = INFO[i].usual;
}

uint64_t tg_limit(const Tg *tg, TgLimit limit) { return tg->limit[limit]; }

bool tg_set_limit(Tg *tg, TgLimit limit, uint64_t n)
{
    if (n > INFO[limit].most)
        return false;
    tg->limit[limit] = n;
    return true;
}

bool tg_within(Tg *tg, TgLimit limit, uint64_t n)
{
    const TgLimitInfo *info = &INFO[limit];
    unsigned long long now = tg->limit[limit];
    if (n <= now)
        return true;
    if (now < info->most)
        return tg_report(tg, TG_E_limit, now, info->what, info->option);
    return tg_report(tg, TG_E_limit_of_code, now, info->what);
}

uint64_t tg_scaled_limit(const Tg *tg, TgLimit base, TgLimit ratio, uint64_t size)
{
    uint64_t more;
    if (__builtin_mul_overflow(tg->limit[ratio], size, &more) || more > UINT64_MAX - tg->limit[base])
        return UINT64_MAX;
    return tg->limit[base] + more;
}

uint64_t tg_load_budget(const Tg *tg, uint64_t size, TgLimit *limit)
{
    uint64_t all = tg_limit(tg, TG_LIMIT_memory);
    *limit = all ? TG_LIMIT_memory : TG_LIMIT_load;
    return all ? all : tg_scaled_limit(tg, TG_LIMIT_load, TG_LIMIT_load_ratio, size);
}
