/* NAME_loops.h: the pointwise loops of a plan in plain C.
 *
 * Problem: chains of elementwise operators are bound by memory unless they are one loop, and only compilers know
 * every vector unit. Idea: a function per chain, one local variable per operator, no branches; the file is compiled
 * once per instruction set. Inner strides 0 and 1 that are known now are written as such. Equal functions are
 * written once: their text is the key, so layers share them.
 *
 * Why the pragma is right: a result lies apart from all operands or exactly over one of the same strides (plan.h),
 * and all operands of an element are read before its results are written, so no iteration depends on another.
 */
#include <string.h>

#include "element.h"

typedef struct {
    Package *p;
    TgText *out;
    TgMap seen;           /* text of a function to its number */
    TG_VEC(TgName) names; /* of the table */
} Loops;

/* A variable and what it becomes; or, without a name, a store. */
typedef struct {
    const char *name, *text;
    uint32_t operand;  /* a load: which; else UINT32_MAX */
    bool repeats;      /* read once per row */
} Line;

typedef struct {
    Package *p;
    const TgGraph *g;
    const TgStep *s;
    TgMap made;           /* value to the text of its variable */
    TgMap loaded;         /* operand to whether it is read */
    TG_VEC(Line) lines;
    TgText before, row, inner;
    uint32_t n_locals;
} Loop;

#define F(...) tg_name_format(l->p->tg, __VA_ARGS__)

/* --- operands ----------------------------------------------------------------------------------------------------- */

static TgValue operand(const TgStep *s, uint32_t k)
{
    return k < s->in.n ? s->in.at[k] : s->out.at[k - s->in.n];
}

typedef enum { REPEATS, ADVANCES, STRIDED } Inner;

static Inner inner_of(const TgStep *s, uint32_t k)
{
    int32_t rank = s->u.pointwise.rank;
    TgDim stride = s->u.pointwise.stride[k * (uint32_t)rank + (uint32_t)rank - 1];
    return tg_dim_is(stride, 0) ? REPEATS : tg_dim_is(stride, 1) ? ADVANCES : STRIDED;
}

/* The row's start as p<k>, the distance of columns as s<k>. */
static void add_pointer(Loop *l, uint32_t k, bool result)
{
    const char *type = emit_type(tg_type_of(l->g, operand(l->s, k))->dtype), *constant = result ? "" : "const ";
    Inner inner = inner_of(l->s, k);
    const char *col = inner == REPEATS ? "" : inner == ADVANCES ? " + col" : F(" + col * s%u", k);
    if (inner == STRIDED)
        tg_text_format(&l->before, "    const int64_t s%u = l->operand[%u].stride[l->rank - 1];\n", k, k);
    tg_text_format(&l->row, "        %s%s *p%u = (%s%s *)l->operand[%u].at + tgk_row(l, %u, r)%s;\n", constant, type, k,
                   constant, type, k, k, col);
}

static const char *at(Loop *l, uint32_t k)
{
    Inner inner = inner_of(l->s, k);
    return inner == REPEATS ? F("p%u[0]", k) : inner == ADVANCES ? F("p%u[i]", k) : F("p%u[i * s%u]", k, k);
}

static void add_line(Loop *l, Line line)
{
    TG_PUSH(l->p->arena, &l->lines, line);
}

/* A variable x<k> with the element of operand k; what repeats along the row is read once per row. */
static const char *load(Loop *l, uint32_t k)
{
    TgDtype dtype = tg_type_of(l->g, operand(l->s, k))->dtype;
    const char *name = F("x%u", k);
    if (tg_map_get(&l->loaded, k, NULL))
        return name;
    tg_map_put(&l->loaded, k, 1);
    const char *text = F("const %s %s = %s;\n", element_type(dtype), name, element_load(l->p, dtype, at(l, k)));
    add_line(l, (Line){name, text, k, inner_of(l->s, k) == REPEATS});
    return name;
}

static bool is_view(TgOp op)
{
    return op == TG_Identity || op == TG_Reshape || op == TG_Squeeze || op == TG_Unsqueeze || op == TG_Expand ||
           op == TG_Flatten;
}

/* What a node reads: a variable made before, an operand, a constant, or a view of one of these. */
static bool find(Loop *l, TgValue v, Element *e)
{
    uint64_t text;
    while (v) {
        const TgTensor *constant = tg_const_of(l->g, v);
        *e = (Element){.dtype = tg_type_of(l->g, v)->dtype};
        if (!element_type(e->dtype))
            return false;
        if (constant && (constant->count == 1 || tg_tensor_is_splat(l->p->tg, constant, NULL))) {
            e->splat = constant;
            e->text = element_literal(l->p, constant);
            return true;
        }
        if (tg_map_get(&l->made, v, &text)) {
            e->text = (const char *)(uintptr_t)text;
            return true;
        }
        for (uint32_t k = 0; k < l->s->in.n; k++)
            if (l->s->in.at[k] == v) {
                e->text = load(l, k);
                return true;
            }
        const TgValueInfo *info = tg_value(l->g, v);
        const TgNodeInfo *n = info->origin == TG_V_RESULT ? tg_node(l->g, info->node) : NULL;
        v = n && is_view(n->op) ? n->in[0] : 0;
    }
    return false;
}

/* --- one loop ----------------------------------------------------------------------------------------------------- */

enum { MOST_IN = 64 };

static bool add_node(Loop *l, const TgNodeInfo *n)
{
    Element in[MOST_IN];
    for (uint32_t i = 0; i < n->n_in && i < MOST_IN; i++)
        if (!find(l, n->in[i], &in[i]))
            return false;
    TgDtype to = tg_type_of(l->g, n->out[0])->dtype;
    const char *value = n->n_in <= MOST_IN ? element_apply(l->p, n, in, to) : NULL;
    if (!value)
        return false;
    const char *name = F("v%u", ++l->n_locals);
    add_line(l, (Line){name, F("const %s %s = %s;\n", element_type(to), name, value), UINT32_MAX, false});
    tg_map_put(&l->made, n->out[0], (uint64_t)(uintptr_t)name);
    return true;
}

static bool add_results(Loop *l)
{
    for (uint32_t i = 0; i < l->s->out.n; i++) {
        uint32_t k = l->s->in.n + i;
        Element e;
        if (!find(l, l->s->out.at[i], &e))
            return false;
        add_line(l, (Line){NULL, F("%s = %s;\n", at(l, k), element_store(l->p, e.dtype, e.text)), k, false});
    }
    return true;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool mentions(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name))
        if (!is_word(at[n]) && (at == text || !is_word(at[-1])))
            return true;
    return false;
}

/* Some operators do not read their operand (x^0): compilers warn of variables that nobody reads. */
static void drop_unread(Loop *l)
{
    for (uint32_t i = l->lines.n; i-- > 0;) {
        bool read = l->lines.at[i].name == NULL;
        for (uint32_t k = i + 1; k < l->lines.n && !read; k++)
            read = l->lines.at[k].text && mentions(l->lines.at[k].text, l->lines.at[i].name);
        if (!read)
            l->lines.at[i].text = NULL;
    }
}

static void write_lines(Loop *l)
{
    for (uint32_t i = 0; i < l->lines.n; i++) {
        const Line *line = &l->lines.at[i];
        if (!line->text)
            continue;
        if (line->operand != UINT32_MAX)
            add_pointer(l, line->operand, line->name == NULL);
        if (line->repeats)
            tg_text_format(&l->row, "        %s", line->text);
        else
            tg_text_format(&l->inner, "            %s", line->text);
    }
}

static void add_summary(Loop *l, TgText *text)
{
    enum { MOST = 10 };
    tg_text_add(text, "/* ");
    for (uint32_t i = 0; i < l->s->nodes.n && i < MOST; i++)
        tg_text_format(text, "%s%s", i ? ", " : "", tg_op_text(l->p->tg, tg_node(l->g, l->s->nodes.at[i])->op));
    tg_text_add(text, l->s->nodes.n > MOST ? " ... */\n" : " */\n");
}

/* Everything of the function behind its name. */
static bool write_loop(Loop *l, TgText *body)
{
    Package *p = l->p;
    tg_map_init(&l->made, p->arena);
    tg_map_init(&l->loaded, p->arena);
    tg_text_init(&l->before, p->arena);
    tg_text_init(&l->row, p->arena);
    tg_text_init(&l->inner, p->arena);
    for (uint32_t i = 0; i < l->s->nodes.n; i++)
        if (!add_node(l, tg_node(l->g, l->s->nodes.at[i])))
            return tg_report(p->tg, TG_E_no_plan, tg_op_text(p->tg, tg_node(l->g, l->s->nodes.at[i])->op),
                             "no loop computes it for this element type");
    if (!add_results(l))
        return tg_report(p->tg, TG_E_no_plan, "an elementwise step", "its result is made elsewhere");
    drop_unread(l);
    write_lines(l);
    tg_text_add(body, "(const tgk_loop *l, int64_t row, int64_t rows, int64_t col, int64_t cols)\n{\n");
    bool has_columns = strstr(l->row.at, "col") != NULL;
    if (!has_columns)
        tg_text_add(body, "    (void)col;\n");
    tg_text_add_n(body, l->before.at ? l->before.at : "", l->before.n);
    tg_text_add(body, "    for (int64_t r = row; r < row + rows; r++) {\n");
    tg_text_add_n(body, l->row.at, l->row.n);
    tg_text_add(body, "        TGK_INDEPENDENT\n        for (int64_t i = 0; i < cols; i++) {\n");
    tg_text_add_n(body, l->inner.at, l->inner.n);
    tg_text_add(body, "        }\n    }\n}\n");
    return true;
}

static bool add_loop(Loops *all, const TgStep *s)
{
    Package *p = all->p;
    Loop loop = {.p = p, .g = p->plan->graph, .s = s};
    Loop *l = &loop;
    TgText body;
    uint64_t number;
    tg_text_init(&body, p->arena);
    if (!write_loop(l, &body))
        return false;
    TgName key = tg_name_n(p->tg, body.at, body.n);
    if (!tg_map_get(&all->seen, TG_KEY(key), &number)) {
        number = all->names.n;
        tg_map_put(&all->seen, TG_KEY(key), number);
        TG_PUSH(p->arena, &all->names, F("tgk_loop_%u", (unsigned)number));
        tg_text_add(all->out, "\n");
        add_summary(l, all->out);
        tg_text_format(all->out, "static void %s", all->names.at[number]);
        tg_text_add_n(all->out, body.at, body.n);
    }
    tg_map_put(&p->loop_of, TG_KEY(s), number);
    return true;
}

static bool add_loops(Loops *all, const TgSteps *steps)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const TgStep *s = steps->at[i];
        if (s->kind == TG_STEP_POINTWISE && !add_loop(all, s))
            return false;
        if (s->then && !add_loop(all, s->then))
            return false;
        if (!add_loops(all, &s->body[0]) || !add_loops(all, &s->body[1]))
            return false;
    }
    return true;
}

/* --- the file ----------------------------------------------------------------------------------------------------- */

static const char HEAD[] = "/* Pointwise loops: each runs over rows [row, row + rows) and columns [col, col + cols) "
                           "of its space. This file is\n"
                           " * compiled once per instruction set, into the table TGK_LOOPS. */\n"
                           "#if defined(__clang__)\n"
                           "#pragma clang diagnostic ignored \"-Wpass-failed\" /* some loops call functions */\n"
                           "#define TGK_INDEPENDENT _Pragma(\"clang loop vectorize(assume_safety)\")\n"
                           "#elif defined(__GNUC__)\n"
                           "#define TGK_INDEPENDENT _Pragma(\"GCC ivdep\")\n"
                           "#else\n"
                           "#define TGK_INDEPENDENT\n"
                           "#endif\n";

bool emit_loops(Package *p, TgText *out)
{
    Loops all = {.p = p, .out = out};
    tg_map_init(&all.seen, p->arena);
    tg_map_init(&p->loop_of, p->arena);
    tg_text_add(out, HEAD);
    if (!add_loops(&all, &p->plan->steps))
        return false;
    p->n_loops = all.names.n;
    tg_text_format(out, "\ntgk_tile *const TGK_LOOPS[%u] = {\n", p->n_loops ? (unsigned)p->n_loops : 1U);
    for (uint32_t i = 0; i < all.names.n; i++)
        tg_text_format(out, "    %s,\n", all.names.at[i]);
    tg_text_add(out, p->n_loops ? "};\n" : "    NULL,\n};\n");
    return true;
}
