/* Functions of the model: every call is replaced by the body, in which formal names mean the call's values,
 * attribute references mean the call's attributes or the function's defaults, and all other names get the
 * call's prefix.
 *
 * A call inside a body is inlined in turn. A function may not call itself, their nesting is
 * limited, and the budget and the limit of nodes bound the product.
 */
#include "import.h"

#include <string.h>

/* --- which function ----------------------------------------------------------------------------------------------- */

static uint64_t key_of(TgName domain, TgName name, TgName overload)
{
    return tg_mix(tg_mix(TG_KEY(domain), TG_KEY(name)), TG_KEY(overload));
}

const FunctionView *find_function(const Reader *r, const NodeView *call)
{
    uint64_t index;
    if (!tg_map_get(&r->function_of, key_of(call->domain, call->op_type, call->overload), &index))
        return NULL;
    const FunctionView *f = &r->functions.at[index - 1];
    return f->domain == call->domain && f->name == call->op_type && f->overload == call->overload ? f : NULL;
}

bool add_functions(Reader *r, const BytesList *messages)
{
    tg_map_init(&r->function_of, r->arena);
    tg_map_init(&r->prefixes, r->arena);
    for (uint32_t i = 0; i < messages->n; i++) {
        FunctionView f;
        if (!view_function(r, messages->at[i], &f))
            return false;
        uint64_t key = key_of(f.domain, f.name, f.overload);
        if (tg_map_get(&r->function_of, key, NULL))
            return tg_report(r->tg, TG_E_function_twice, f.name);
        TG_PUSH(r->arena, &r->functions, f);
        tg_map_put(&r->function_of, key, r->functions.n);
    }
    return true;
}

/* --- one call ----------------------------------------------------------------------------------------------------- */

static bool check_depth(Reader *r, Scope *s, const FunctionView *f)
{
    uint32_t calls = 0;
    for (const Scope *open = scope_function(s); open; open = scope_function(open->caller), calls++)
        if (open->function == f)
            return tg_report(r->tg, TG_E_recursion, f->name);
    return tg_within(r->tg, TG_LIMIT_calls, calls + 1u);
}

/* "call" or "outer/call", with a number where that was used before. */
static TgName make_prefix(Reader *r, Scope *s, const NodeView *call, const FunctionView *f)
{
    TgName base = final_name(r, s, call->name ? call->name : f->name), prefix = base;
    uint64_t used = 0;
    tg_map_get(&r->prefixes, TG_KEY(base), &used);
    while (tg_map_get(&r->prefixes, TG_KEY(prefix), NULL))
        prefix = tg_name_format(r->tg, "%s_%llu", base, (unsigned long long)++used);
    tg_map_put(&r->prefixes, TG_KEY(base), used);
    tg_map_put(&r->prefixes, TG_KEY(prefix), prefix == base ? used : 0);
    return prefix;
}

/* What the body may refer to: attributes of the call, and the function's defaults for the others. */
static void bind_attrs(Reader *r, Scope *s, Scope *inner, const NodeView *call)
{
    for (uint32_t i = 0; i < call->attrs.n; i++) {
        const AttrView *found = resolve_attr(s, &call->attrs.at[i]);
        if (!found)
            continue;
        AttrView bound = *found;
        bound.name = call->attrs.at[i].name;
        bound.home = found->home ? found->home : s;
        TG_PUSH(r->arena, &inner->attrs, bound);
    }
    for (uint32_t i = 0; i < inner->function->defaults.n; i++) {
        AttrView bound = inner->function->defaults.at[i];
        uint32_t k = 0;
        while (k < inner->attrs.n && inner->attrs.at[k].name != bound.name)
            k++;
        bound.home = inner;
        if (k == inner->attrs.n)
            TG_PUSH(r->arena, &inner->attrs, bound);
    }
}

static bool bind_formals(Reader *r, Scope *s, Scope *inner, const NodeView *call)
{
    const FunctionView *f = inner->function;
    if (call->in.n > f->in.n || call->out.n > f->out.n)
        return tg_report(r->tg, TG_E_call_form, f->name, f->in.n, f->out.n, call->in.n, call->out.n);
    for (uint32_t i = 0; i < f->in.n; i++) {
        TgValue v = 0;
        if (i < call->in.n && !scope_find(r, s, call->in.at[i], &v))
            return false;
        if (!scope_bind(r, inner, f->in.at[i], v))
            return false;
    }
    for (uint32_t i = 0; i < call->out.n; i++)
        if (call->out.at[i] && f->out.at[i])
            tg_map_put(&inner->renamed, TG_KEY(f->out.at[i]), TG_KEY(final_name(r, s, call->out.at[i])));
    return true;
}

static bool bind_results(Reader *r, Scope *s, Scope *inner, const NodeView *call)
{
    for (uint32_t i = 0; i < call->out.n; i++) {
        TgValue v;
        TgName formal = inner->function->out.at[i];
        if (!call->out.at[i])
            continue;
        if (!scope_find(r, inner, formal, &v))
            return false;
        if (!v)
            return tg_report(r->tg, TG_E_undefined_name, formal ? formal : "");
        if (!scope_bind(r, s, call->out.at[i], v) || !describe_value(r, s, call->out.at[i], v))
            return false;
    }
    return true;
}

bool inline_call(Reader *r, Scope *s, const NodeView *call, const FunctionView *f)
{
    enum { PER_NODE = 1000, PER_CALL = 2000, NAMES = 4 }; /* bytes, more or less; names that get the prefix */
    Scope inner;
    if (!check_depth(r, s, f))
        return false;
    TgName prefix = make_prefix(r, s, call, f);
    if (!take_budget(r, PER_CALL + (PER_NODE + NAMES * strlen(prefix)) * (uint64_t)f->nodes.n))
        return false;
    scope_open(&inner, r, s->g, NULL);
    inner.function = f;
    inner.caller = s;
    inner.prefix = prefix;
    bind_attrs(r, s, &inner, call);
    return bind_formals(r, s, &inner, call) && declare(r, &inner, &f->infos) &&
           import_nodes(r, &inner, &f->nodes) && bind_results(r, s, &inner, call);
}
