/* The operator table: ops.def expanded into rows, lookup by name, names for the text form. */
#include <string.h>

#include "context.h"
#include "graph.h"

#define OP(id, name, domain, since, in_min, in_max, out_min, out_max, tier, infer, ...) \
    bool infer_##infer(struct TgInfer *);
#include "ops.def"
#undef OP

static const char ONNX[] = "", MS[] = "com.microsoft", ML[] = "ai.onnx.ml",
                  PREVIEW[] = "ai.onnx.preview", TRAINING[] = "ai.onnx.preview.training";

static const TgOpInfo rows[TG_OP_COUNT] = {
    [TG_opaque] = {.name = "?", .domain = "?", .in_max = TG_MANY, .out_max = TG_MANY, .tier = TG_KEPT, .attrs = ""},
#define OP(id, name_, domain_, since_, in_min_, in_max_, out_min_, out_max_, tier_, shape, cost_, kernel_, traits_, \
           attrs_)                                                                                                  \
    [TG_##id] = {.name = name_, .domain = domain_, .since = since_, .in_min = in_min_, .in_max = in_max_,            \
                 .out_min = out_min_, .out_max = out_max_, .tier = TG_##tier_, .traits = traits_,                    \
                 .cost = TG_COST_##cost_, .infer = infer_##shape, .kernel = #kernel_, .attrs = attrs_},
#include "ops.def"
#undef OP
};

const TgOpInfo *tg_op_info(TgOp op)
{
    return &rows[op];
}

static uint64_t key_of(const char *domain, const char *name, size_t n)
{
    return tg_hash(name, n, tg_hash(domain, strlen(domain), 1));
}

/* hash of (domain, name) -> op; made once per context */
static const TgMap *index_of(Tg *tg)
{
    void **slot = &tg->slot[TG_SLOT_OPS];
    if (!*slot) {
        TgMap *map = TG_NEW(tg_forever(tg), TgMap);
        tg_map_init(map, tg_forever(tg));
        for (uint32_t op = 1; op < TG_OP_COUNT; op++)
            tg_map_put(map, key_of(rows[op].domain, rows[op].name, strlen(rows[op].name)), op);
        *slot = map;
    }
    return *slot;
}

static TgOp find(Tg *tg, const char *domain, const char *name, size_t n)
{
    uint64_t op = TG_opaque;
    if (!tg_map_get(index_of(tg), key_of(domain, name, n), &op))
        return TG_opaque;
    const TgOpInfo *row = &rows[op];
    bool same = strcmp(row->domain, domain) == 0 && strlen(row->name) == n && memcmp(row->name, name, n) == 0;
    return same ? (TgOp)op : TG_opaque;
}

TgOp tg_op_find(Tg *tg, const char *domain, const char *name)
{
    return find(tg, strcmp(domain, "ai.onnx") == 0 ? "" : domain, name, strlen(name));
}

TgOp tg_op_from_text(Tg *tg, const char *text, size_t n)
{
    const char *last = NULL; /* the dot between domain and name */
    for (size_t i = 0; i < n; i++)
        last = text[i] == '.' ? text + i : last;
    if (!last)
        return find(tg, "", text, n);
    TgName domain = tg_name_n(tg, text, (size_t)(last - text));
    return find(tg, domain, last + 1, n - (size_t)(last + 1 - text));
}

TgName tg_op_text(Tg *tg, TgOp op)
{
    const TgOpInfo *row = &rows[op];
    return *row->domain ? tg_name_format(tg, "%s.%s", row->domain, row->name) : tg_name(tg, row->name);
}
