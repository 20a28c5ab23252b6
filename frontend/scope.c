/* Scopes: which value a name means. A body sees the names around it; a function sees only its own.
 *
 * A value found outside comes in through one capture for each graph on the way. After inlining, a name of
 * a function's body gets the call's prefix, or the name that the caller gives to that result.
 */
#include "import.h"

#include <string.h>

void scope_open(Scope *s, Reader *r, TgGraph *g, Scope *up)
{
    *s = (Scope){.g = g, .up = up};
    tg_map_init(&s->values, r->arena);
    tg_map_init(&s->captured, r->arena);
    tg_map_init(&s->declared, r->arena);
    tg_map_init(&s->renamed, r->arena);
}

Scope *scope_function(Scope *s)
{
    while (s && !s->function)
        s = s->up;
    return s;
}

/* --- looking up --------------------------------------------------------------------------------------------------- */

/* Brings v, which is called `name` in `from`, down to s. Each capture may copy the list of operands of the
 * node: the budget pays for it. */
static bool capture(Reader *r, Scope *s, Scope *from, TgName name, TgValue *v)
{
    Scope *way[TG_MOST_nesting];
    uint32_t n = 0;
    for (; s != from; s = s->up)
        way[n++] = s;
    while (n-- > 0) {
        uint64_t known;
        if (tg_map_get(&way[n]->captured, TG_KEY(name), &known)) {
            *v = (TgValue)known;
            continue;
        }
        TgGraph *outer = way[n]->g->outer;
        if (!take_budget(r, sizeof(TgValue) * (uint64_t)tg_node(outer, way[n]->holder)->n_in))
            return false;
        *v = tg_graph_capture(way[n]->g, way[n]->holder, way[n]->sub, *v);
        tg_map_put(&way[n]->captured, TG_KEY(name), *v);
    }
    return true;
}

bool scope_find(Reader *r, Scope *s, TgName name, TgValue *v)
{
    uint64_t found;
    *v = 0;
    if (!name)
        return true;
    for (Scope *at = s; at; at = at->up)
        if (tg_map_get(&at->values, TG_KEY(name), &found)) {
            *v = (TgValue)found;
            return *v == 0 || capture(r, s, at, name, v);
        }
    return tg_report(r->tg, TG_E_undefined_name, name);
}

/* --- naming ------------------------------------------------------------------------------------------------------- */

TgName final_name(Reader *r, Scope *s, TgName name)
{
    uint64_t renamed;
    Scope *f = scope_function(s);
    if (!name || !f)
        return name;
    if (s == f && tg_map_get(&f->renamed, TG_KEY(name), &renamed))
        return (TgName)(uintptr_t)renamed;
    return tg_name_format(r->tg, "%s/%s", f->prefix, name);
}

bool scope_bind(Reader *r, Scope *s, TgName name, TgValue v)
{
    if (!name)
        return true;
    if (tg_map_get(&s->values, TG_KEY(name), NULL))
        return tg_report(r->tg, TG_E_duplicate_name, name);
    tg_map_put(&s->values, TG_KEY(name), v);
    return true;
}

bool declare(Reader *r, Scope *s, const ValueList *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        tg_map_put(&s->declared, TG_KEY(list->at[i].name), TG_KEY(&list->at[i]));
    return take_budget(r, 32 * (uint64_t)list->n);
}

bool describe_value(Reader *r, Scope *s, TgName name, TgValue v)
{
    uint64_t found;
    TgValueInfo *info = tg_value(s->g, v);
    if (!name)
        return true;
    if (!info->name)
        info->name = final_name(r, s, name);
    if (info->declared || !tg_map_get(&s->declared, TG_KEY(name), &found))
        return true;
    const ValueView *view = (const ValueView *)(uintptr_t)found;
    info->doc = view->doc;
    info->unknown = view->unknown;
    info->type_wire = view->type;
    info->declared = view->typed ? read_type(r, view->type) : NULL;
    return !view->typed || info->declared;
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

int64_t scope_opset(Reader *r, Scope *s)
{
    const Scope *f = scope_function(s);
    for (uint32_t i = 0; f && i < f->function->imports.n; i++)
        if (f->function->imports.at[i].domain[0] == '\0')
            return f->function->imports.at[i].version;
    int64_t version = tg_model_opset(r->model, "");
    return version ? version : tg_newest_opset();
}
