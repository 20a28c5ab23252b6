/* What the text form must keep of the rules for a main graph: its inputs have names, all different, and so
 * do its outputs, because callers know them by nothing else. */
#include "text.h"

static bool unique(TgMap *names, TgName name, TgValue v, const char *what)
{
    Tg *tg = tg_arena_context(names->arena);
    uint64_t other;
    if (!name || !*name)
        return tg_report(tg, TG_E_nameless, what);
    if (tg_map_get(names, TG_KEY(name), &other) && other != v)
        return tg_report(tg, TG_E_duplicate_name, name);
    tg_map_put(names, TG_KEY(name), v);
    return true;
}

bool tg_read_interface(TgArena *arena, const TgGraph *g)
{
    TgMap in, out;
    tg_map_init(&in, arena);
    tg_map_init(&out, arena);
    for (uint32_t i = 0; i < g->inputs.n; i++)
        if (!unique(&in, tg_value(g, g->inputs.at[i])->name, g->inputs.at[i], "an input of the graph"))
            return false;
    for (uint32_t i = 0; i < g->outputs.n; i++) /* the same value may be returned twice under one name */
        if (!unique(&out, g->outputs.at[i].name, g->outputs.at[i].value, "an output of the graph"))
            return false;
    return true;
}
