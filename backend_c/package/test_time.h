/* The part of the test program that measures time: --bench, and --profile by kernel and size.
 *
 * A profile needs nothing of the package: the instruction set's table is exchanged for one whose functions take the
 * time and call the original. What is no such kernel (elementwise loops, gathers, copies) is the rest of the whole
 * time.
 */
#ifndef TGK_TEST_TIME_H
#define TGK_TEST_TIME_H

#include "tgk.h"

static double seconds(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int set_sizes(test *t)
{
    memset(&t->inputs, 0, sizeof t->inputs);
    for (const tgk_size_info *s = tgk_size_table; s->name; s++) {
        int64_t n = s->most;
        for (int k = 0; k < t->o.n_size; k++) {
            const size_t length = strlen(s->name);
            if (strncmp(t->o.size[k], s->name, length) == 0 && t->o.size[k][length] == '=')
                n = strtoll(t->o.size[k] + length + 1, NULL, 10);
        }
        if (n < 0 || n > s->most)
            return complain("no such size", s->name);
        memcpy((unsigned char *)&t->inputs + s->at, &n, sizeof n);
    }
    return 0;
}

/* Floats in [-1, 1), masks 1, other numbers 0: an index and a position may be that. */
static void fill(array *a, const char *name, size_t size)
{
    const unsigned char whole = a->type == BOOL || strstr(name, "mask") != NULL;
    uint32_t state = 1;
    for (int64_t i = 0; i < a->count; i++) {
        state = state * 1664525u + 1013904223u;
        const double x = (double)(state >> 8) / 8388608.0 - 1;
        const float single = (float)x;
        const uint16_t half = a->type == F16 ? 0x3400 : 0x3e80; /* 0.25 */
        unsigned char *at = a->at + (size_t)i * size;
        if (a->type == F32) {
            memcpy(at, &single, 4);
        } else if (a->type == F64) {
            memcpy(at, &x, 8);
        } else if (a->type == F16 || a->type == BF16) {
            memcpy(at, &half, 2);
        } else {
            memset(at, 0, size);
            at[is_big_endian() ? size - 1 : 0] = whole;
        }
    }
}

static int make_inputs(test *t)
{
    if (set_sizes(t))
        return EXIT_BAD;
    for (int32_t i = 0; i < t->n_in; i++) {
        const tgk_io_info *io = &tgk_input_table[i];
        array *a = &t->in[i];
        const tgk_status status = tgk_input_dims(&t->inputs, i, a->dim);
        if (status != TGK_OK)
            return complain("sizes", tgk_status_str(status));
        a->type = io->type;
        a->rank = io->rank;
        a->count = 1;
        for (int32_t k = 0; k < io->rank; k++)
            a->count *= a->dim[k];
        a->at = aligned_memory((size_t)a->count * io->element, &a->block);
        fill(a, io->name, io->element);
        set_pointer(&t->inputs, io->at, a->at);
    }
    return 0;
}

/* --- profile ---------------------------------------------------------------------------------------------------- */

enum { ROWS = 256 };

typedef struct {
    char name[64];
    double seconds, flops, bytes;
    int64_t calls;
} profile_row;

static struct {
    const tgk_isa *isa; /* the real one */
    profile_row row[ROWS];
    int n;
} profile;

static void note(const char *name, int64_t a, int64_t b, int64_t c, double taken, double flops, double bytes)
{
    char text[64];
    int i = 0;
    snprintf(text, sizeof text, "%s %lld x %lld x %lld", name, (long long)a, (long long)b, (long long)c);
    while (i < profile.n && strcmp(profile.row[i].name, text) != 0)
        i++;
    if (i == ROWS)
        return;
    if (i == profile.n) {
        memcpy(profile.row[i].name, text, sizeof text);
        profile.n++;
    }
    profile.row[i].seconds += taken;
    profile.row[i].flops += flops;
    profile.row[i].bytes += bytes;
    profile.row[i].calls++;
}

static void timed_linear(const tgk_ctx *c, const tgk_linear *a)
{
    const double start = seconds(), size = a->w.type == TGK_F32 ? 4 : a->w.type == TGK_I8 ? 1 : 2;
    const double r = (double)a->rows, k = (double)a->depth, n = (double)a->cols;
    profile.isa->linear(c, a);
    note("linear", a->rows, a->depth, a->cols, seconds() - start, 2 * r * k * n, size * k * n + 4 * r * (k + n));
}

static void timed_matmul(const tgk_ctx *c, const tgk_matmul *a)
{
    const double start = seconds(), r = (double)a->rows, k = (double)a->depth, n = (double)a->cols;
    double batch = 1;
    for (int32_t i = 0; i < a->batch_rank; i++)
        batch *= (double)a->batch[i];
    profile.isa->matmul(c, a);
    note("matmul", a->rows, a->depth, a->cols, seconds() - start, 2 * batch * r * k * n, 4 * batch * (r * k + k * n + r * n));
}

static void timed_attention(const tgk_ctx *c, const tgk_attention *a)
{
    const double start = seconds(), heads = (double)(a->batch * a->heads), q = (double)a->queries, k = (double)a->keys;
    const double size = (double)(a->size + a->v_size), kv = (double)(a->batch * a->kv_heads);
    profile.isa->attention(c, a);
    note(a->causal ? "attention (all pairs) causal" : "attention", a->heads, a->queries, a->keys, seconds() - start,
         2 * heads * q * k * size, 4 * (kv * k * size + heads * q * size));
}

static void note_rows(const char *name, const tgk_rows *a, double start)
{
    note(name, a->rows, a->cols, 1, seconds() - start, 0, 8 * (double)a->rows * (double)a->cols);
}

#define TIMED_ROWS(kernel)                                                                                             \
    static void timed_##kernel(const tgk_ctx *c, const tgk_rows *a)                                                    \
    {                                                                                                                  \
        const double start = seconds();                                                                                \
        profile.isa->kernel(c, a);                                                                                     \
        note_rows(#kernel, a, start);                                                                                  \
    }
TIMED_ROWS(softmax)
TIMED_ROWS(log_softmax)
TIMED_ROWS(layer_norm)
TIMED_ROWS(rms_norm)

static void timed_rotary(const tgk_ctx *c, const tgk_rotary *a)
{
    const double start = seconds();
    profile.isa->rotary(c, a);
    note("rotary", a->heads, a->rows, a->width, seconds() - start, 0, 8 * (double)(a->batch * a->heads * a->rows * a->width));
}

static const tgk_isa *profiled(const tgk_isa *isa)
{
    static tgk_isa table;
    const tgk_isa made = {isa->name, timed_linear, timed_matmul, timed_attention, timed_softmax, timed_log_softmax,
                          timed_layer_norm, timed_rms_norm, timed_rotary, isa->streams, isa->vnni};
    profile.isa = isa;
    table = made;
    return &table;
}

static int by_seconds(const void *a, const void *b)
{
    const double x = ((const profile_row *)a)->seconds, y = ((const profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

static void print_row(const char *name, double calls, double taken, double whole, double flops, double bytes)
{
    printf("%-44s %7.0f %10.4f %6.1f", name, calls, 1e3 * taken, 100 * taken / whole);
    if (bytes > 0)
        printf(" %10.1f %8.1f", 1e-9 * flops / taken, 1e-9 * bytes / taken);
    putchar('\n');
}

static void print_profile(double whole, int runs)
{
    double rest = whole;
    qsort(profile.row, (size_t)profile.n, sizeof *profile.row, by_seconds);
    printf("%-44s %7s %10s %6s %10s %8s\n", "per run", "calls", "ms", "%", "GFLOP/s", "GB/s");
    for (int i = 0; i < profile.n; i++) {
        const profile_row *r = &profile.row[i];
        print_row(r->name, (double)r->calls / runs, r->seconds / runs, whole, r->flops / runs, r->bytes / runs);
        rest -= r->seconds / runs;
    }
    print_row("rest", 0, rest, whole, 0, 0);
    print_row("whole", 0, whole, whole, 0, 0);
}

/* --- bench ------------------------------------------------------------------------------------------------------ */

/* Mean of the time of one run, by kernel; on the calling thread. */
static int bench_profile(test *t, int (*once)(test *t))
{
    const tgk_isa *isa = t->ctx.isa;
    t->ctx.isa = profiled(isa);
    const double start = seconds();
    for (int i = 0; i < t->o.runs; i++)
        if (once(t))
            return EXIT_BAD;
    const double whole = (seconds() - start) / t->o.runs;
    t->ctx.isa = isa;
    print_profile(whole, t->o.runs);
    return 0;
}

#ifdef TGK_HAS_STATE
static tgk_state bench_state;

/* A state of which as much is filled as the inputs say. */
static int make_state(test *t)
{
    static unsigned char *block; /* until the program ends */
    const size_t bytes = tgk_state_size(TGK_MAX_POSITIONS);
    unsigned char *memory = aligned_memory(bytes, &block);
    memset(memory, 0, bytes);
    const tgk_status status = tgk_reset(&bench_state, memory, bytes);
    for (int32_t i = 0; i < t->n_in; i++)
        if (tgk_input_table[i].state >= 0)
            bench_state.past = t->in[i].dim[tgk_input_table[i].axis];
    return status == TGK_OK ? 0 : complain("state", tgk_status_str(status));
}

static int run_step(test *t)
{
    const int64_t past = bench_state.past;
    const tgk_status status = tgk_step(&t->ctx, &t->inputs, &t->outputs, &bench_state, t->arena, TGK_ARENA_BYTES);
    bench_state.past = past;
    return status == TGK_OK ? 0 : complain("step", tgk_status_str(status));
}
#endif

/* Most memory that was resident, in MiB; 0: not known here. */
static long resident_most(void)
{
    long kib = 0;
#ifdef __linux__
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
#endif
    return kib / 1024;
}

static void print_times(const test *t, double *time_of, int runs, double first)
{
    if (t->o.times) {
        printf("{\"times\": [");
        for (int i = 0; i < runs; i++)
            printf("%s%.4f", i ? ", " : "", 1e3 * time_of[i]);
        printf("], \"first\": %.4f, \"resident\": %ld}\n", first, resident_most());
        return;
    }
    qsort(time_of, (size_t)runs, sizeof *time_of, by_size);
    printf("median %.4f ms, least %.4f ms of %d runs; %s, %d threads\n", 1e3 * time_of[runs / 2], 1e3 * time_of[0], runs,
           tgk_isa_name(&t->ctx), t->o.threads);
}

static int bench(test *t)
{
    enum { MOST = 1000 };
    static double time_of[MOST];
    const int runs = t->o.runs < MOST ? t->o.runs : MOST;
    int (*once)(test *t) = run;
    if (make_inputs(t))
        return EXIT_BAD;
#ifdef TGK_HAS_STATE
    if (t->o.state && make_state(t))
        return EXIT_BAD;
    once = t->o.state ? run_step : run;
#endif
    if (once(t))
        return EXIT_BAD;
    const double first = seconds() - t->o.start;
    if (once(t) || t->o.profile)
        return t->o.profile ? bench_profile(t, once) : EXIT_BAD;
    for (int i = 0; i < runs; i++) {
        const double start = seconds();
        if (once(t))
            return EXIT_BAD;
        time_of[i] = seconds() - start;
    }
    print_times(t, time_of, runs, first);
    return 0;
}

#endif
