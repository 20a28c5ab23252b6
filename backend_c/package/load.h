/* Brings the weights of a package into memory; optional: any 64-byte aligned copy of the file will do for tgk_init. */
#ifndef TGK_LOAD_H
#define TGK_LOAD_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tgk_file {
    void *at; /* 64-byte aligned; NULL: nothing is loaded */
    size_t bytes;
    void *block;
    int mapped;
} tgk_file;

/* copy 0: maps the file where the system can, so that processes share it and only what is used is read; copy 1: reads
 * it into memory of its own, with large pages where the system has them (decoding one token at a time gains a few
 * percent). TGK_BAD_WEIGHTS: the file cannot be read; TGK_BAD_ROOM: no memory. Big-endian machines always copy, and
 * swap bytes. */
tgk_status tgk_load(tgk_file *f, const char *path, int copy);
void tgk_unload(tgk_file *f);

#ifdef __cplusplus
}
#endif

#endif
