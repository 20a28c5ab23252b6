/* The doors of libFuzzer. Graphs are changed as graphs (mutate.c): bytes changed at random hardly ever are
 * one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *out,
                                 size_t most, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_run(bytes, n);
    return 0;
}

/* --- changes -------------------------------------------------------------------------------------------- */

typedef struct {
    Tg *tg;
    TgBytes input, other; /* other: to be joined; empty: none */
    unsigned seed;
    TgBytes made;
} Change;

/* What libFuzzer keeps of a crash is the input that it ran last. A crash while the next one is made leaves a file
 * of its own: what was read or inferred at that time. */
static const char *note_path(void)
{
    static char path[512];
    const char *folder = getenv("FUZZ_FINDINGS");
    if (!*path && folder)
        snprintf(path, sizeof path, "%s/change-%ld", folder, (long)getpid());
    return *path ? path : NULL;
}

static void note(const void *bytes, size_t n)
{
    if (note_path())
        fuzz_write(note_path(), bytes, n);
}

static TgModel *read_model(Change *c, TgBytes input)
{
    note(input.at, input.n);
    return fuzz_model(c->tg, input);
}

/* Nothing is known of results after it. */
static bool change_model(Change *c, TgModel *m, unsigned seed)
{
    TgModel *other = c->other.n ? read_model(c, c->other) : NULL;
    if (c->other.n)
        return other && fuzz_join(m, other, seed);
    return fuzz_mutate(m, seed);
}

/* The model in the form that it had. */
static bool write_model(Change *c, TgModel *m)
{
    const char *text = fuzz_print(m);
    if (fuzz_is_text(c->input)) {
        c->made = (TgBytes){(const uint8_t *)text, strlen(text)};
        return true;
    }
    const char *path = fuzz_path(c->tg);
    if (!tg_save(m, path, &(TgSaveOptions){.external = TG_EXTERNAL_NONE}))
        return false;
    const TgFile *file = tg_file_map(c->tg, path);
    c->made = file ? (TgBytes){file->bytes, file->size} : (TgBytes){0};
    return file != NULL;
}

/* A few attempts to find a change that reads back; the last one counts even if it does not. */
static bool change(void *argument)
{
    enum { ATTEMPTS = 6 };
    Change *c = argument;
    TgModel *m = read_model(c, c->input);
    for (unsigned i = 0; m && i < ATTEMPTS; i++) {
        TgModel *copy = tg_model_clone(m);
        if (!change_model(c, copy, c->seed * ATTEMPTS + i))
            continue;
        const char *text = fuzz_print(copy);
        note(text, strlen(text));
        (void)tg_infer_graph(copy->graph);
        if (fuzz_parse(c->tg, fuzz_print(copy))) {
            (void)write_model(c, copy);
            break;
        }
    }
    return true;
}

/* Bytes written to out; 0: no model, or none that fits. */
static size_t changed_model(Change *c, uint8_t *out, size_t most)
{
    size_t n = 0;
    c->tg = tg_open(NULL);
    tg_set_limit(c->tg, TG_LIMIT_memory, FUZZ_MEMORY);
    (void)tg_protect(c->tg, change, c);
    if (c->made.n && c->made.n <= most) {
        n = c->made.n;
        memcpy(out, c->made.at, n);
    }
    tg_close(c->tg);
    fuzz_clean();
    if (note_path())
        remove(note_path());
    return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    Change c = {.input = {bytes, n}, .seed = seed / 4};
    size_t made = seed % 4 ? changed_model(&c, bytes, most) : 0;
    return made ? made : LLVMFuzzerMutate(bytes, n, most);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t n_a, const uint8_t *b, size_t n_b, uint8_t *out,
                                 size_t most, unsigned seed)
{
    Change c = {.input = {a, n_a}, .other = {b, n_b}, .seed = seed};
    return n_b ? changed_model(&c, out, most) : 0;
}
