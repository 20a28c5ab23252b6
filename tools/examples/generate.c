/* Generates tokens with the state of an emitted decoder: the prompt in one step, then one token per step. The caches grow
 * in memory that this program owns; a step copies none of what is there already.
 *
 *   tgopt tests/models/llama/model.onnx --emit=c --name=llama -o llama --max-dim past_sequence_length=500 \
 *         --max-dim attention_mask_1=512
 *   make -C llama && cc -O2 -Illama generate.c llama/llama_load.c llama/llama.a -lm -o generate
 *   ./generate llama/llama.weights 12 5 17 42       new tokens, then the prompt
 *
 * For another decoder: its prefix, and its names of inputs and sizes, as its header has them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "llama.h"
#include "llama_load.h"

enum { VOCABULARY = LLAMA_OUTPUT_LOGITS / (LLAMA_MAX_BATCH_SIZE * LLAMA_MAX_SEQUENCE_LENGTH), CAPACITY = LLAMA_MAX_POSITIONS };

static _Alignas(64) unsigned char arena[LLAMA_ARENA_BYTES];
static float logits[LLAMA_MAX_SEQUENCE_LENGTH * VOCABULARY];
static int64_t mask[CAPACITY], positions[CAPACITY];

static int64_t most_likely(const float *score)
{
    int64_t best = 0;
    for (int64_t i = 1; i < VOCABULARY; i++)
        if (score[i] > score[best])
            best = i;
    return best;
}

/* Feeds n tokens behind those in the state; returns the token that follows, or -1. */
static int64_t feed(const llama_ctx *model, llama_state *state, const int64_t *tokens, int64_t n)
{
    llama_inputs in;
    llama_outputs out;
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    in.input_ids = tokens;
    in.position_ids = positions + state->past;
    in.attention_mask = mask; /* all ones: nothing is padded */
    in.d_batch_size = 1;
    in.d_sequence_length = n;
    in.d_attention_mask_1 = state->past + n;
    out.logits = logits;
    const llama_status status = llama_step(model, &in, &out, state, arena, sizeof arena);
    if (status == LLAMA_OK)
        return most_likely(logits + (n - 1) * VOCABULARY);
    fprintf(stderr, "generate: %s\n", llama_status_str(status));
    return -1;
}

static int generate(const llama_ctx *model, llama_state *state, const int64_t *prompt, int64_t n, int64_t wanted)
{
    const clock_t start = clock();
    int64_t token = feed(model, state, prompt, n);
    for (int64_t i = 0; i < wanted && token >= 0; i++) {
        printf("%lld ", (long long)token);
        if (i + 1 < wanted)
            token = feed(model, state, &token, 1);
    }
    printf("\n%lld tokens in %.2f ms\n", (long long)wanted, 1e3 * (double)(clock() - start) / CLOCKS_PER_SEC);
    return token < 0;
}

int main(int argc, char **argv)
{
    static int64_t prompt[LLAMA_MAX_SEQUENCE_LENGTH];
    int64_t n = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: generate WEIGHTS COUNT TOKEN...\n");
        return 2;
    }
    for (; n < argc - 3 && n < LLAMA_MAX_SEQUENCE_LENGTH; n++)
        prompt[n] = strtoll(argv[n + 3], NULL, 10);
    for (int64_t i = 0; i < CAPACITY; i++) {
        mask[i] = 1;
        positions[i] = i;
    }
    llama_file file;
    llama_ctx model;
    llama_state state;
    llama_status status = llama_load(&file, argv[1], 0);
    if (status == LLAMA_OK)
        status = llama_init(&model, file.at, file.bytes);
    const size_t bytes = llama_state_size(CAPACITY);
    unsigned char *memory = malloc(bytes + 64);
    if (status == LLAMA_OK && memory)
        status = llama_reset(&state, memory + (64 - (uintptr_t)memory % 64), bytes);
    if (status != LLAMA_OK || !memory) {
        fprintf(stderr, "generate: %s\n", llama_status_str(status));
        return 1;
    }
    const int code = generate(&model, &state, prompt, n, strtoll(argv[2], NULL, 10));
    free(memory);
    llama_unload(&file);
    return code;
}
