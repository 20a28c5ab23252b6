/* Hashing: bytes to 64 bits, maps from 64-bit keys, hash-consing. Open addressing with linear probing, at
 * most three quarters full; old tables stay in the arena (the sum of a geometric series). Nothing is ever
 * deleted from a table. */
#include <string.h>

#include "context.h"

/* --- hash functions ------------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 Wide;

static const uint64_t SALT[2] = {0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u};

uint64_t tg_mix(uint64_t a, uint64_t b) {
    Wide product = (Wide)(a ^ SALT[0]) * ((b + SALT[1]) | 1);
    uint64_t folded = (uint64_t)product ^ (uint64_t)(product >> 64);
    return folded ^ (b * SALT[0]) ^ (folded >> 29);
}

static uint64_t word_at(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Most of a long text, in four chains that do not wait for each other; how many bytes, in *done. */
static uint64_t hash_chains(const uint8_t *at, size_t size, uint64_t seed, size_t *done) {
    enum { CHAINS = 4, STEP = CHAINS * sizeof(uint64_t) };
    uint64_t chain[CHAINS] = {seed, seed + 1, seed + 2, seed + 3}, hash = seed;
    for (*done = 0; size - *done >= STEP; *done += STEP)
        for (size_t i = 0; i < CHAINS; i++)
            chain[i] = tg_mix(chain[i], word_at(at + *done + i * sizeof(uint64_t)));
    for (size_t i = 0; i < CHAINS; i++)
        hash = tg_mix(hash, chain[i]);
    return hash;
}

uint64_t tg_hash(const void *bytes, size_t size, uint64_t seed) {
    enum { LONG = 256 };
    const uint8_t *at = bytes;
    uint64_t hash = tg_mix(seed, size), rest = 0;
    size_t done = 0;
    if (size >= LONG)
        hash = hash_chains(at, size, hash, &done);
    for (; size - done >= sizeof hash; done += sizeof hash)
        hash = tg_mix(hash, word_at(at + done));
    if (size > done)
        memcpy(&rest, at + done, size - done);
    return tg_mix(hash, rest);
}

/* --- maps ----------------------------------------------------------------------------------------------- */

void tg_map_init(TgMap *map, TgArena *arena) { *map = (TgMap){.arena = arena}; }

/* Where `key` is, or the free place where it belongs. */
static uint32_t spot(const TgMap *map, uint64_t key) {
    uint32_t i = (uint32_t)tg_mix(key, 0) & (map->cap - 1);
    while (map->full[i] && map->keys[i] != key)
        i = (i + 1) & (map->cap - 1);
    return i;
}

bool tg_map_get(const TgMap *map, uint64_t key, uint64_t *value) {
    if (!map->n)
        return false;
    uint32_t i = spot(map, key);
    if (map->full[i] && value)
        *value = map->values[i];
    return map->full[i];
}

static void grow_map(TgMap *map) {
    TgMap old = *map;
    uint32_t cap = old.cap ? 2 * old.cap : 16;
    TG_CHECK(tg_arena_context(map->arena), cap > old.cap);
    uint64_t *keys = TG_NEW_N(map->arena, uint64_t, cap), *values = TG_NEW_N(map->arena, uint64_t, cap);
    uint8_t *full = TG_NEW_N(map->arena, uint8_t, cap); /* may unwind: until then nothing has changed */
    map->cap = cap;
    map->keys = keys;
    map->values = values;
    map->full = full;
    for (uint32_t i = 0; i < old.cap; i++) {
        if (!old.full[i])
            continue;
        uint32_t j = spot(map, old.keys[i]);
        map->keys[j] = old.keys[i];
        map->values[j] = old.values[i];
        map->full[j] = 1;
    }
}

void tg_map_put(TgMap *map, uint64_t key, uint64_t value) {
    if (map->n >= map->cap - map->cap / 4)
        grow_map(map);
    uint32_t i = spot(map, key);
    map->n += !map->full[i];
    map->full[i] = 1;
    map->keys[i] = key;
    map->values[i] = value;
}

/* --- hash-consing --------------------------------------------------------------------------------------- */

typedef struct {
    uint64_t hash;
    const void *item; /* NULL: free */
} Entry;

struct TgInterner {
    TgArena *arena;
    bool (*equal)(const void *a, const void *b);
    Entry *at;
    uint32_t n, cap;
};

TgInterner *tg_interner_new(TgArena *arena, bool (*equal)(const void *a, const void *b)) {
    TgInterner *in = TG_NEW(arena, TgInterner);
    *in = (TgInterner){.arena = arena, .equal = equal};
    return in;
}

const void *tg_interner_find(TgInterner *in, const void *probe, uint64_t hash) {
    if (!in->n)
        return NULL;
    for (uint32_t i = (uint32_t)hash & (in->cap - 1); in->at[i].item; i = (i + 1) & (in->cap - 1))
        if (in->at[i].hash == hash && in->equal(in->at[i].item, probe))
            return in->at[i].item;
    return NULL;
}

static void place(TgInterner *in, Entry entry) {
    uint32_t i = (uint32_t)entry.hash & (in->cap - 1);
    while (in->at[i].item)
        i = (i + 1) & (in->cap - 1);
    in->at[i] = entry;
}

void tg_interner_add(TgInterner *in, const void *item, uint64_t hash) {
    if (in->n >= in->cap - in->cap / 4) {
        const Entry *old = in->at;
        uint32_t old_cap = in->cap;
        uint32_t cap = old_cap ? 2 * old_cap : 64;
        TG_CHECK(tg_arena_context(in->arena), cap > old_cap);
        in->at = TG_NEW_N(in->arena, Entry, cap); /* may unwind: until then nothing has changed */
        in->cap = cap;
        for (uint32_t i = 0; i < old_cap; i++)
            if (old[i].item)
                place(in, old[i]);
    }
    place(in, (Entry){hash, item});
    in->n++;
}
