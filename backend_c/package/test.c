/* Runs the model: against stored outputs (the default), on inputs from a file, or for its time. It knows the model
 * only by the tables of the interface, so it is the same for every package.
 *
 *     tgk_test [--golden FILE] [--weights FILE] [--isa NAME] [--threads N]      exit status 0: outputs agree, 3: they
 * do not
 *     tgk_test --data FILE --out FILE     inputs from one file, outputs to the other
 *     tgk_test --bench[=RUNS] [--size NAME=N] ...     inputs of the largest sizes, or of those given; further words:
 *         --state (caches as a state, not as inputs), --profile (by kernel and size), --times (JSON, for scripts)
 *
 * A file of arrays: "TGARRAYS", numbers of inputs and outputs (32 bits each); then for each element type, rank (32 bits
 * each), sizes (64 bits each), elements. Little-endian.
 */
#if defined(__unix__) || defined(__APPLE__)
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* clock_gettime */
#endif
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"
#include "load.h"
#ifdef TGK_TEST_PTHREADS
#include "pthreads.h"
#endif

enum { MOST_RANK = 8, EXIT_BAD = 1, EXIT_USAGE = 2, EXIT_DIFFERENT = 3 };

typedef struct {
    int32_t type, rank;
    int64_t dim[MOST_RANK], count;
    unsigned char *at, *block;
} array;

typedef struct {
    const char *weights, *golden, *data, *out, *isa, *size[32];
    int n_size, runs, threads, state, profile, times;
    double start; /* of the program */
} options;

typedef struct {
    options o;
    tgk_file file;
    tgk_ctx ctx;
    int32_t n_in, n_out;
    array *in, *out, *want;
    tgk_inputs inputs;
    tgk_outputs outputs;
    unsigned char *arena, *arena_block;
} test;

static int complain(const char *what, const char *name)
{
    fprintf(stderr, "tgk_test: %s%s%s\n", what, name ? ": " : "", name ? name : "");
    return EXIT_BAD;
}

static unsigned char *aligned_memory(size_t bytes, unsigned char **block)
{
    *block = (unsigned char *)malloc(bytes + 64);
    if (!*block) {
        complain("out of memory", NULL);
        exit(EXIT_BAD);
    }
    return *block + (64 - (uintptr_t)*block % 64) % 64;
}

/* --- files of arrays -------------------------------------------------------------------------------------------- */

static int is_big_endian(void)
{
    const uint32_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static void swap_elements(unsigned char *at, int64_t count, size_t size)
{
    for (int64_t i = 0; is_big_endian() && i < count; i++, at += size)
        for (size_t k = 0; k < size / 2; k++) {
            const unsigned char byte = at[k];
            at[k] = at[size - 1 - k];
            at[size - 1 - k] = byte;
        }
}

static int read_number(FILE *f, size_t size, uint64_t *x)
{
    unsigned char bytes[8];
    *x = 0;
    if (fread(bytes, 1, size, f) != size)
        return 0;
    for (size_t i = size; i-- > 0;)
        *x = *x << 8 | bytes[i];
    return 1;
}

static void write_number(FILE *f, size_t size, uint64_t x)
{
    for (size_t i = 0; i < size; i++)
        fputc((int)(x >> 8 * i & 255), f);
}

/* Must be what the table says of it, and no larger than its largest sizes. */
static int read_array(FILE *f, const tgk_io_info *io, array *a)
{
    uint64_t type, rank, n;
    if (!read_number(f, 4, &type) || !read_number(f, 4, &rank))
        return 0;
    if (type != (uint64_t)io->type || rank != (uint64_t)io->rank)
        return 0;
    a->type = io->type;
    a->rank = io->rank;
    a->count = 1;
    for (int32_t k = 0; k < io->rank; k++) {
        if (!read_number(f, 8, &n) || n > (uint64_t)io->most[k])
            return 0;
        a->dim[k] = (int64_t)n;
        a->count *= a->dim[k];
    }
    a->at = aligned_memory((size_t)a->count * io->element, &a->block);
    if (fread(a->at, io->element, (size_t)a->count, f) != (size_t)a->count)
        return 0;
    swap_elements(a->at, a->count, io->element);
    return 1;
}

static int read_arrays(test *t, const char *path, array *in, array *out)
{
    char magic[8];
    uint64_t n_in, n_out;
    FILE *f = fopen(path, "rb");
    if (!f)
        return complain("cannot open", path);
    int ok = fread(magic, 1, 8, f) == 8 && memcmp(magic, "TGARRAYS", 8) == 0 && read_number(f, 4, &n_in) &&
             read_number(f, 4, &n_out) && n_in == (uint64_t)t->n_in && (!out || n_out == (uint64_t)t->n_out);
    for (int32_t i = 0; ok && i < t->n_in; i++)
        ok = read_array(f, &tgk_input_table[i], &in[i]);
    for (int32_t i = 0; ok && out && i < t->n_out; i++)
        ok = read_array(f, &tgk_output_table[i], &out[i]);
    fclose(f);
    return ok ? 0 : complain("not arrays of this model, or too large", path);
}

static int write_outputs(test *t, const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return complain("cannot write", path);
    fwrite("TGARRAYS", 1, 8, f);
    write_number(f, 4, 0);
    write_number(f, 4, (uint64_t)t->n_out);
    for (int32_t i = 0; i < t->n_out; i++) {
        const array *a = &t->out[i];
        const size_t size = tgk_output_table[i].element;
        write_number(f, 4, (uint64_t)a->type);
        write_number(f, 4, (uint64_t)a->rank);
        for (int32_t k = 0; k < a->rank; k++)
            write_number(f, 8, (uint64_t)a->dim[k]);
        swap_elements(a->at, a->count, size);
        fwrite(a->at, size, (size_t)a->count, f);
        swap_elements(a->at, a->count, size);
    }
    const int bad = ferror(f);
    return fclose(f) || bad ? complain("cannot write", path) : 0;
}

/* --- running ---------------------------------------------------------------------------------------------------- */

static void set_pointer(void *fields, size_t at, const void *pointer)
{
    memcpy((unsigned char *)fields + at, &pointer, sizeof pointer);
}

/* Sizes are read off the inputs; then all inputs must have the sizes that follow. */
static int bind_inputs(test *t)
{
    memset(&t->inputs, 0, sizeof t->inputs);
    for (int32_t i = 0; i < t->n_in; i++)
        set_pointer(&t->inputs, tgk_input_table[i].at, t->in[i].at);
    for (const tgk_size_info *s = tgk_size_table; s->name; s++)
        memcpy((unsigned char *)&t->inputs + s->at, &t->in[s->input].dim[s->axis], sizeof(int64_t));
    for (int32_t i = 0; i < t->n_in; i++) {
        int64_t dim[MOST_RANK] = {0};
        const tgk_status status = tgk_input_dims(&t->inputs, i, dim);
        if (status != TGK_OK)
            return complain("sizes", tgk_status_str(status));
        if (memcmp(dim, t->in[i].dim, (size_t)t->in[i].rank * sizeof *dim) != 0)
            return complain("sizes do not belong together at input", tgk_input_table[i].name);
    }
    return 0;
}

static void make_outputs(test *t)
{
    memset(&t->outputs, 0, sizeof t->outputs);
    for (int32_t i = 0; i < t->n_out; i++) {
        const tgk_io_info *io = &tgk_output_table[i];
        t->out[i].type = io->type;
        t->out[i].rank = io->rank;
        t->out[i].at = aligned_memory((size_t)io->elements * io->element, &t->out[i].block);
        set_pointer(&t->outputs, io->at, t->out[i].at);
    }
}

static int run(test *t)
{
    const tgk_status status = tgk_run(&t->ctx, &t->inputs, &t->outputs, t->arena, TGK_ARENA_BYTES);
    if (status != TGK_OK)
        return complain("run", tgk_status_str(status));
    for (int32_t i = 0; i < t->n_out; i++) {
        const tgk_io_info *io = &tgk_output_table[i];
        array *a = &t->out[i];
        if (io->rank)
            memcpy(a->dim, (const unsigned char *)&t->outputs + io->dim_at, (size_t)io->rank * sizeof *a->dim);
        a->count = 1;
        for (int32_t k = 0; k < io->rank; k++)
            a->count *= a->dim[k];
    }
    return 0;
}

/* --- comparison ------------------------------------------------------------------------------------------------- */

/* ONNX's numbers; what is not listed is one byte without a sign. */
enum {
    F32 = 1,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    BOOL = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    BF16 = 16
};

static double half_number(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double x = exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
               : exponent     ? ldexp(1024 + fraction, exponent - 25)
                              : ldexp(fraction, -24);
    return bits >> 15 ? -x : x;
}

static double number_at(const array *a, int64_t i)
{
    union {
        float f32;
        double f64;
        int64_t i64;
        uint64_t u64;
        int32_t i32;
        uint32_t u32;
        int16_t i16;
        uint16_t u16;
    } x;
    const unsigned char *at = a->at;
    switch (a->type) {
    case F32: memcpy(&x, at + 4 * i, 4); return (double)x.f32;
    case F64: memcpy(&x, at + 8 * i, 8); return x.f64;
    case I64: memcpy(&x, at + 8 * i, 8); return (double)x.i64;
    case U64: memcpy(&x, at + 8 * i, 8); return (double)x.u64;
    case I32: memcpy(&x, at + 4 * i, 4); return x.i32;
    case U32: memcpy(&x, at + 4 * i, 4); return x.u32;
    case I16: memcpy(&x, at + 2 * i, 2); return x.i16;
    case U16: memcpy(&x, at + 2 * i, 2); return x.u16;
    case F16: memcpy(&x, at + 2 * i, 2); return half_number(x.u16);
    case BF16: {
        uint16_t bits;
        memcpy(&bits, at + 2 * i, 2);
        x.u32 = (uint32_t)bits << 16;
        return (double)x.f32;
    }
    case I8: return at[i] < 128 ? at[i] : at[i] - 256;
    default: return at[i];
    }
}

/* Where something in between was rounded to 16 bits, what is made of it is no better, whatever its type. */
static double tolerance(int32_t type, double y)
{
    switch (type == F32 && TGK_ROUNDS != F32 ? TGK_ROUNDS : type) {
    case F32: case F64: return 1e-4 + 1e-3 * fabs(y);
    case F16: return 1e-2 + 1e-2 * fabs(y);
    case BF16: return 2e-2 + 2e-2 * fabs(y);
    default: return 0;
    }
}

/* Prints the largest errors; returns how many elements are wrong. */
static int64_t compare(const tgk_io_info *io, const array *got, const array *want)
{
    if (memcmp(got->dim, want->dim, (size_t)want->rank * sizeof *want->dim) != 0) {
        printf("%s: other sizes than expected\n", io->name);
        return 1;
    }
    double largest = 0, relative = 0;
    int64_t wrong = 0;
    for (int64_t i = 0; i < want->count; i++) {
        const double x = number_at(got, i), y = number_at(want, i), error = fabs(x - y);
        if ((isnan(x) && isnan(y)) || (isinf(x) && isinf(y) && (x > 0) == (y > 0)))
            continue;
        if (!(error <= tolerance(want->type, y)))
            wrong++;
        if (error > largest)
            largest = error;
        if (fabs(y) > 1e-3 && error / fabs(y) > relative)
            relative = error / fabs(y);
    }
    printf("%s: %lld elements, largest error %.3g, relative %.3g%s\n", io->name, (long long)want->count,
           largest, relative, wrong ? ": WRONG" : "");
    return wrong;
}

#ifdef TGK_HAS_STATE

/* Positions [0, n) of a cache, from or to an array without gaps. */
static void move_cache(const tgk_state *s, const tgk_io_info *io, const array *a, unsigned char *plain,
                       int64_t n, int out)
{
    unsigned char *state = (unsigned char *)tgk_state_at(s, io->state);
    int64_t outer = 1, inner = io->element;
    for (int32_t k = 0; k < io->axis; k++)
        outer *= a->dim[k];
    for (int32_t k = io->axis + 1; k < io->rank; k++)
        inner *= a->dim[k];
    for (int64_t i = 0; i < outer; i++) {
        unsigned char *x = state + i * s->capacity * inner, *y = plain + i * n * inner;
        memcpy(out ? y : x, out ? x : y, (size_t)(n * inner));
    }
}

/* One step from a state that holds the caches of the stored inputs must give the stored outputs too. */
static int64_t run_state(test *t)
{
    tgk_state state;
    unsigned char *block;
    int64_t wrong = 0, past = 0, present = 0;
    for (int32_t i = 0; i < t->n_in; i++)
        if (tgk_input_table[i].state >= 0)
            past = t->in[i].dim[tgk_input_table[i].axis];
    for (int32_t i = 0; i < t->n_out; i++)
        if (tgk_output_table[i].state >= 0)
            present = t->want[i].dim[tgk_output_table[i].axis];
    const size_t bytes = tgk_state_size(present < TGK_MAX_POSITIONS ? present + 1 : present);
    tgk_status status = tgk_reset(&state, aligned_memory(bytes, &block), bytes);
    state.past = past;
    for (int32_t i = 0; status == TGK_OK && i < t->n_in; i++) {
        const tgk_io_info *io = &tgk_input_table[i];
        if (io->state >= 0)
            move_cache(&state, io, &t->in[i], t->in[i].at, past, 0);
    }
    if (status == TGK_OK)
        status = tgk_step(&t->ctx, &t->inputs, &t->outputs, &state, t->arena, TGK_ARENA_BYTES);
    if (status != TGK_OK || state.past != present) {
        free(block);
        return complain("step", tgk_status_str(status));
    }
    for (int32_t i = 0; i < t->n_out; i++) {
        const tgk_io_info *io = &tgk_output_table[i];
        if (io->state >= 0)
            move_cache(&state, io, &t->want[i], t->out[i].at, present, 1);
        wrong += compare(io, &t->out[i], &t->want[i]);
    }
    puts(wrong ? "with a state: different" : "with a state: equal");
    free(block);
    return wrong;
}

#endif

static int run_golden(test *t)
{
    int64_t wrong = 0;
    if (read_arrays(t, t->o.golden, t->in, t->want) || bind_inputs(t) || run(t))
        return EXIT_BAD;
    for (int32_t i = 0; i < t->n_out; i++)
        wrong += compare(&tgk_output_table[i], &t->out[i], &t->want[i]);
#ifdef TGK_HAS_STATE
    if (!wrong)
        wrong += run_state(t);
#endif
    puts(wrong ? "different" : "equal");
    return wrong ? EXIT_DIFFERENT : 0;
}

static int run_data(test *t)
{
    if (read_arrays(t, t->o.data, t->in, NULL) || bind_inputs(t) || run(t))
        return EXIT_BAD;
    return t->o.out ? write_outputs(t, t->o.out) : 0;
}

/* --- time: test_time.h -------------------------------------------------------------------------------------------- */

#include "test_time.h"

/* --- options ---------------------------------------------------------------------------------------------------- */

/* The value of --name=value or --name value; NULL: this is another option. */
static const char *value_of(const char *name, char **argv, int argc, int *i)
{
    const size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    return !argv[*i][n] && *i + 1 < argc ? argv[++*i] : NULL;
}

static int read_options(options *o, int argc, char **argv)
{
    const char *value;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0 && (i + 1 == argc || argv[i + 1][0] == '-'))
            o->runs = 20;
        else if (strcmp(argv[i], "--state") == 0)
            o->state = 1;
        else if (strcmp(argv[i], "--profile") == 0)
            o->profile = 1;
        else if (strcmp(argv[i], "--times") == 0)
            o->times = 1;
        else if ((value = value_of("--bench", argv, argc, &i)) != NULL)
            o->runs = atoi(value) > 0 ? atoi(value) : 1;
        else if ((value = value_of("--threads", argv, argc, &i)) != NULL)
            o->threads = atoi(value) > 0 ? atoi(value) : 1;
        else if ((value = value_of("--weights", argv, argc, &i)) != NULL)
            o->weights = value;
        else if ((value = value_of("--golden", argv, argc, &i)) != NULL)
            o->golden = value;
        else if ((value = value_of("--data", argv, argc, &i)) != NULL)
            o->data = value;
        else if ((value = value_of("--out", argv, argc, &i)) != NULL)
            o->out = value;
        else if ((value = value_of("--isa", argv, argc, &i)) != NULL)
            o->isa = value;
        else if ((value = value_of("--size", argv, argc, &i)) != NULL && o->n_size < 32)
            o->size[o->n_size++] = value;
        else
            return complain("unknown option", argv[i]);
    }
    return 0;
}

/* --- the program ------------------------------------------------------------------------------------------------ */

static int prepare(test *t)
{
    tgk_status status = TGK_OK;
#ifdef TGK_WEIGHTS_EMBEDDED
    t->file.at = (void *)(uintptr_t)tgk_weights;
    t->file.bytes = TGK_WEIGHTS_BYTES;
#else
    status = tgk_load(&t->file, t->o.weights, 0);
#endif
    if (status == TGK_OK)
        status = tgk_init(&t->ctx, t->file.at, t->file.bytes);
    if (status != TGK_OK)
        return complain(t->o.weights, tgk_status_str(status));
    if (t->o.isa && (status = tgk_set_isa(&t->ctx, t->o.isa)) != TGK_OK)
        return complain(t->o.isa, tgk_status_str(status));
    while (tgk_input_table[t->n_in].name)
        t->n_in++;
    while (tgk_output_table[t->n_out].name)
        t->n_out++;
    t->in = (array *)calloc((size_t)t->n_in + 1, sizeof *t->in);
    t->out = (array *)calloc((size_t)t->n_out + 1, sizeof *t->out);
    t->want = (array *)calloc((size_t)t->n_out + 1, sizeof *t->want);
    if (!t->in || !t->out || !t->want)
        return complain("out of memory", NULL);
    t->arena = aligned_memory(TGK_ARENA_BYTES, &t->arena_block);
    make_outputs(t);
    return 0;
}

/* The file in the folder of the program. */
static const char *beside(const char *program, const char *file, char path[4096])
{
    const char *slash = strrchr(program, '/');
    const size_t n = slash ? (size_t)(slash - program) + 1 : 0;
    if (n + strlen(file) + 1 > 4096)
        return file;
    memcpy(path, program, n);
    strcpy(path + n, file);
    return path;
}

static void release(array *a, int32_t n)
{
    for (int32_t i = 0; a && i < n; i++)
        free(a[i].block);
    free(a);
}

static int work(test *t)
{
    if (t->o.runs)
        return bench(t);
    return t->o.data ? run_data(t) : run_golden(t);
}

#ifdef TGK_TEST_PTHREADS
static int start_pool(test *t, unsigned char **block)
{
    const size_t bytes = tgk_pool_bytes(t->o.threads);
    t->ctx.pool = tgk_pool_start(aligned_memory(bytes, block), bytes, t->o.threads);
    if (t->ctx.pool)
        t->ctx.parallel_for = tgk_pool_for;
    return t->ctx.pool != NULL;
}
#endif

int main(int argc, char **argv)
{
    static test t;
    static char weights[4096], golden[4096];
    t.o.weights = beside(argv[0], TGK_NAME ".weights", weights);
    t.o.golden = beside(argv[0], TGK_NAME "_golden.bin", golden);
    t.o.threads = 1;
    t.o.start = seconds();
    if (read_options(&t.o, argc, argv))
        return EXIT_USAGE;
    int code = prepare(&t);
#ifdef TGK_TEST_PTHREADS
    unsigned char *pool_block = NULL;
    const int pooled = !code && t.o.threads > 1 && start_pool(&t, &pool_block);
#endif
    if (!code)
        code = work(&t);
#ifdef TGK_TEST_PTHREADS
    if (pooled)
        tgk_pool_stop((tgk_pool *)t.ctx.pool);
    free(pool_block);
#endif
    release(t.in, t.n_in);
    release(t.out, t.n_out);
    release(t.want, t.n_out);
    free(t.arena_block);
#ifndef TGK_WEIGHTS_EMBEDDED
    tgk_unload(&t.file);
#endif
    return code;
}
