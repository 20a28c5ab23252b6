/* Emitted code, compiled and run: shared by the tests of backend_c/emit*.c.
 *
 * A plan is written down as one source with a small main program around it, which reads the inputs from a file and
 * writes the outputs to another. It is compiled with $CC (cc), with every warning as an error and with sanitizers. */
#ifndef TESTS_EMITTED_H
#define TESTS_EMITTED_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend_c/package.h"

#define MOST_BYTES (1 << 16)

typedef struct {
    Package p;
    TgPlan *plan;
    TgText loops, steps;
    char folder[64];
    const char *extra;          /* C in front of the steps: kernels of the test's own */
    unsigned char *output[512]; /* what it gave, by number */
} Emitted;

/* --- plans by hand
 * -------------------------------------------------------------------------------------------------- */

static TgPlan *plan_begin(TgModel *model)
{
    TgPlan *plan = TG_NEW(model->arena, TgPlan);
    plan->model = model;
    plan->graph = model->graph;
    plan->source = model->graph;
    plan->arena = model->arena;
    TG_PUSH(plan->arena, &plan->buffers, (TgBuffer){0});
    return plan;
}

static TgDim *row_major(TgPlan *plan, const TgType *type)
{
    Tg *tg = plan->graph->tg;
    TgDim *stride = TG_NEW_N(plan->arena, TgDim, type->rank + 1), step = tg_dim(tg, 1);
    for (int32_t a = type->rank - 1; a >= 0; a--) {
        stride[a] = step;
        step = tg_dim_mul(tg, step, type->dim[a]);
    }
    return stride;
}

static void plan_place(TgPlan *plan, TgValue v, TgBufferKind kind, uint32_t index, uint64_t offset)
{
    const TgType *type = tg_type_of(plan->graph, v);
    while (plan->places.n <= v)
        TG_PUSH(plan->arena, &plan->places, (TgLocation){0});
    TgBuffer b = {.kind = kind, .index = index, .dtype = type->dtype, .offset = offset, .bytes = 4096,
                  .count = tg_type_count(plan->graph->tg, type)};
    plan->places.at[v] = (TgLocation){plan->buffers.n, tg_dim(plan->graph->tg, 0), row_major(plan, type), true};
    TG_PUSH(plan->arena, &plan->buffers, b);
}

/* Inputs and outputs of the graph. */
static void plan_interface(TgPlan *plan)
{
    for (uint32_t i = 0; i < plan->graph->inputs.n; i++) {
        TG_PUSH(plan->arena, &plan->inputs, plan->graph->inputs.at[i]);
        plan_place(plan, plan->graph->inputs.at[i], TG_BUFFER_INPUT, i, 0);
    }
    for (uint32_t i = 0; i < plan->graph->outputs.n; i++) {
        TG_PUSH(plan->arena, &plan->outputs, plan->graph->outputs.at[i].value);
        plan_place(plan, plan->graph->outputs.at[i].value, TG_BUFFER_OUTPUT, i, 0);
    }
}

static TgStep *plan_step(TgPlan *plan, TgStepKind kind)
{
    TgStep *s = TG_NEW(plan->arena, TgStep);
    s->kind = kind;
    s->number = ++plan->n_steps;
    TG_PUSH(plan->arena, &plan->steps, s);
    return s;
}

/* A pointwise step of one axis over the node that makes `v`; operands are vectors. */
static void plan_vector_step(TgPlan *plan, TgValue v)
{
    Tg *tg = plan->graph->tg;
    const TgNodeInfo *n = tg_node(plan->graph, tg_value(plan->graph, v)->node);
    TgStep *s = plan_step(plan, TG_STEP_POINTWISE);
    TG_PUSH(plan->arena, &s->nodes, tg_value(plan->graph, v)->node);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!tg_const_of(plan->graph, n->in[i]))
            TG_PUSH(plan->arena, &s->in, n->in[i]);
    TG_PUSH(plan->arena, &s->out, v);
    s->u.pointwise.rank = 1;
    s->u.pointwise.dim = tg_type_of(plan->graph, v)->dim;
    TgDim *stride = TG_NEW_N(plan->arena, TgDim, s->in.n + 1);
    for (uint32_t i = 0; i <= s->in.n; i++)
        stride[i] = tg_dim(tg, 1);
    s->u.pointwise.stride = stride;
}

/* --- compiling and running
 * -------------------------------------------------------------------------------------------- */

static const char MAIN_HEAD[] =
    "#include <stdio.h>\n#include <stddef.h>\n#include <stdint.h>\n#include \"tgk_narrow.h\"\n"
    "#include \"tgk.h\"\n#include \"tgk_size.h\"\n#include \"loop.h\"\n#include \"copy.h\"\n"
    "#define TGK_LOOPS loops\nextern tgk_tile *const loops[];\n";

static void emit_main(Emitted *e, const char *sizes, TgText *out)
{
    const TgPlan *plan = e->plan;
    tg_text_format(out, "static unsigned char in[%u][%d], out[%u][%d], arena[%d] __attribute__((aligned(64)));\n",
                   plan->inputs.n + 1, MOST_BYTES, plan->outputs.n + 1, MOST_BYTES, MOST_BYTES * 4);
    tg_text_add(out, "int main(void)\n{\n    static tgk_ctx c;\n    static tgk_frame frame, *f = &frame;\n"
                     "    FILE *file = fopen(\"inputs\", \"rb\");\n"
                     "    if (!file || fread(in, 1, sizeof in, file) == 0)\n        return 2;\n    fclose(file);\n"
                     "    f->ctx = &c;\n    f->loop = loops;\n    f->arena = arena;\n    f->weights = in[0];\n");
    for (uint32_t i = 0; i < plan->inputs.n; i++)
        tg_text_format(out, "    f->in_%s = in[%u];\n", e->p.input[i], i);
    for (uint32_t i = 0; i < plan->outputs.n; i++)
        tg_text_format(out, "    f->out_%s = out[%u];\n", e->p.output[i], i);
    tg_text_format(out, "%s    tgk_status status = tgk_steps(f);\n    file = fopen(\"outputs\", \"wb\");\n"
                        "    if (status != TGK_OK || !file || fwrite(out, 1, sizeof out, file) != sizeof out)\n"
                        "        return 3 + (int)status;\n    return fclose(file);\n}\n", sizes);
}

static void write_bytes(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

static void emitted_begin(Emitted *e, Tg *tg, TgPlan *plan)
{
    memset(e, 0, sizeof *e);
    e->plan = plan;
    e->p = (Package){.tg = tg, .plan = plan, .arena = plan->arena, .name = "m"};
    e->p.weight_at = TG_NEW_N(plan->arena, uint64_t, plan->weights.n + 1);
    tg_text_init(&e->loops, plan->arena);
    tg_text_init(&e->steps, plan->arena);
    package_names(&e->p);
    e->extra = "";
}

static bool emitted_write(Emitted *e)
{
    return emit_loops(&e->p, &e->loops) && emit_steps(&e->p, &e->steps);
}

static int command(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return system(text);
}

/* Compiles and runs; input[i] has MOST_BYTES readable bytes. `sizes` are statements that set f->d_... The exit code
 * of it. */
static int emitted_run(Emitted *e, unsigned char *const *input, const char *sizes)
{
    TgText source;
    tg_text_init(&source, e->plan->arena);
    tg_text_add(&source, MAIN_HEAD);
    tg_text_add(&source, e->loops.at);
    tg_text_add(&source, e->extra);
    tg_text_add(&source, e->steps.at);
    emit_main(e, sizes, &source);
    strcpy(e->folder, "/tmp/test_emit_XXXXXX");
    assert_non_null(mkdtemp(e->folder));
    write_bytes(e->folder, "main.c", source.at, source.n);
    unsigned char *all = calloc(e->plan->inputs.n + 1, MOST_BYTES);
    for (uint32_t i = 0; i < e->plan->inputs.n; i++)
        memcpy(all + (size_t)i * MOST_BYTES, input[i], MOST_BYTES);
    write_bytes(e->folder, "inputs", all, (size_t)(e->plan->inputs.n + 1) * MOST_BYTES);
    free(all);
    const char *cc = getenv("CC") ? getenv("CC") : "cc", *kernels = TGOPT_SOURCE_DIR "/backend_c/kernels";
    int compiled =
        command("cd %s && %s -std=c11 -O%s -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror "
                "-fsanitize=address,undefined -fno-sanitize-recover=all -ffp-contract=off -I%s main.c %s/loop.c "
                "%s/copy.c -lm -o main",
                e->folder, cc, getenv("EMIT_O") ? getenv("EMIT_O") : "0", kernels, kernels, kernels);
    if (compiled != 0)
        fail_msg("%s/main.c does not compile", e->folder);
    int ran = command("cd %s && ./main", e->folder);
    if (ran != 0)
        return WEXITSTATUS(ran);
    char path[256];
    snprintf(path, sizeof path, "%s/outputs", e->folder);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (uint32_t i = 0; i < e->plan->outputs.n; i++) {
        e->output[i] = tg_new(e->plan->arena, MOST_BYTES);
        assert_int_equal(fread(e->output[i], 1, MOST_BYTES, file), MOST_BYTES);
    }
    fclose(file);
    command("rm -r %s", e->folder);
    return 0;
}

#endif
