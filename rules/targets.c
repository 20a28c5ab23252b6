/* Targets, and what they have kernels for. */
#include "rules.h"

enum { NONE = 0, F32 = 1, F64 = 2, F16 = 4, BF16 = 8, ALL = F32 | F64 | F16 | BF16 };

static const char *const names[] = {
#define TARGET(id, name) name,
#include "targets.def"
#undef TARGET
};

static const struct {
    TgOp op;
    unsigned cpu, cuda;
} kernels[] = {
#define KERNEL(op, cpu, cuda) {TG_##op, cpu, cuda},
#define LACKS(op, since, types)
#include "kernels.def"
#undef KERNEL
#undef LACKS
};

static const struct {
    TgOp op;
    int64_t since;
    unsigned types;
} lacks[] = {
#define KERNEL(op, cpu, cuda)
#define LACKS(op, since, types) {TG_##op, since, types},
#include "kernels.def"
#undef KERNEL
#undef LACKS
};

static const struct {
    TgOp op;
    int64_t elements;
} slow[] = {
#define SLOW(op, elements) {TG_##op, elements},
#include "slow.def"
#undef SLOW
};

const char *const *tg_target_names(int *n)
{
    *n = sizeof names / sizeof *names;
    return names;
}

bool tg_target_takes(TgTarget target, TgTarget meant)
{
    return meant == TG_TARGET_ANY || meant == target ||
           (meant == TG_TARGET_ORT && target == TG_TARGET_ORT_CUDA);
}

static unsigned bit_of(TgDtype dtype)
{
    switch (dtype) {
    case TG_f32: return F32;
    case TG_f64: return F64;
    case TG_f16: return F16;
    case TG_bf16: return BF16;
    default: return NONE;
    }
}

bool tg_target_has_kernel(TgTarget target, TgOp op, TgDtype dtype)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (kernels[i].op == op)
            return (target == TG_TARGET_ORT        ? kernels[i].cpu
                    : target == TG_TARGET_ORT_CUDA ? kernels[i].cuda
                                                   : NONE) &
                   bit_of(dtype);
    return false;
}

bool tg_target_lacks(TgOp op, int64_t opset, TgDtype dtype)
{
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++)
        if (lacks[i].op == op && lacks[i].since <= opset && lacks[i].types & bit_of(dtype))
            return true;
    return false;
}

bool tg_target_pays(TgTarget target, TgOp op, const TgType *type)
{
    int64_t row = 0;
    bool rows = target == TG_TARGET_ORT && tg_is_tensor(type) && type->rank > 0;
    if (!rows || !tg_dim_known(type->dim[type->rank - 1], &row))
        return true;
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        if (slow[i].op == op && row >= slow[i].elements)
            return false;
    return true;
}
