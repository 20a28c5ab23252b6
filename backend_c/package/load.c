/* Mapping, or reading, a file of weights; see load.h. This file allocates, the others do not. */
#if defined(__unix__) || defined(__APPLE__)
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1 /* madvise */
#endif
#define TGK_POSIX 1
#endif

#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TGK_POSIX
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

enum { TGK_PAGE = 2 << 20, TGK_ALIGN = 64 };

static int tgk_is_big_endian(void)
{
    const uint32_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

static void tgk_reverse(unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size / 2; i++) {
        const unsigned char byte = at[i];
        at[i] = at[size - 1 - i];
        at[size - 1 - i] = byte;
    }
}

static uint64_t tgk_little(const unsigned char *at, size_t size)
{
    uint64_t x = 0;
    for (size_t i = size; i-- > 0;)
        x = x << 8 | at[i];
    return x;
}

/* Elements by the table in the file, then the table and the head themselves. */
static void tgk_swap(unsigned char *at, size_t bytes)
{
    if (bytes < 64 || memcmp(at, "TGTENSOR", 8) != 0)
        return;
    const uint64_t count = tgk_little(at + 32, 8);
    for (uint64_t i = 0; i < count && 64 + (i + 1) * 24 <= bytes; i++) {
        unsigned char *row = at + 64 + i * 24;
        const uint64_t from = tgk_little(row, 8), n = tgk_little(row + 8, 8), size = tgk_little(row + 16, 4);
        for (uint64_t k = 0; size > 1 && from <= bytes && n <= bytes - from && k + size <= n; k += size)
            tgk_reverse(at + from + k, (size_t)size);
        tgk_reverse(row, 8);
        tgk_reverse(row + 8, 8);
        tgk_reverse(row + 16, 4);
        tgk_reverse(row + 20, 4);
    }
    tgk_reverse(at + 8, 4);
    tgk_reverse(at + 12, 4);
    for (size_t k = 16; k < 48; k += 8)
        tgk_reverse(at + k, 8);
}

#ifdef TGK_POSIX

/* Memory that starts on a large page, so that the system may use one. */
static void *tgk_memory(size_t bytes, void **block)
{
    *block = NULL;
    if (posix_memalign(block, TGK_PAGE, (bytes + TGK_PAGE - 1) / TGK_PAGE * TGK_PAGE))
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(*block, bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return *block;
}

static tgk_status tgk_map(tgk_file *f, const char *path)
{
    struct stat info;
    const int fd = open(path, O_RDONLY);
    if (fd < 0)
        return TGK_BAD_WEIGHTS;
    void *at = MAP_FAILED;
    if (fstat(fd, &info) == 0 && info.st_size > 0)
        at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return TGK_BAD_WEIGHTS;
    f->at = f->block = at;
    f->bytes = (size_t)info.st_size;
    f->mapped = 1;
#ifdef MADV_HUGEPAGE
    (void)madvise(at, f->bytes, MADV_HUGEPAGE);
#endif
#ifdef MADV_WILLNEED
    (void)madvise(at, f->bytes, MADV_WILLNEED);
#endif
    return TGK_OK;
}

#else

static void *tgk_memory(size_t bytes, void **block)
{
    *block = malloc(bytes + TGK_ALIGN);
    if (!*block)
        return NULL;
    const uintptr_t at = (uintptr_t)*block;
    return (unsigned char *)*block + (TGK_ALIGN - at % TGK_ALIGN) % TGK_ALIGN;
}

#endif

static tgk_status tgk_read(tgk_file *f, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return TGK_BAD_WEIGHTS;
    f->bytes = TGK_WEIGHTS_BYTES;
    f->at = tgk_memory(f->bytes, &f->block);
    const size_t n = f->at ? fread(f->at, 1, f->bytes, file) : 0;
    fclose(file);
    if (f->at && n == f->bytes)
        return TGK_OK;
    const tgk_status status = f->at ? TGK_BAD_WEIGHTS : TGK_BAD_ROOM;
    tgk_unload(f);
    return status;
}

tgk_status tgk_load(tgk_file *f, const char *path, int copy)
{
    if (!f || !path)
        return TGK_BAD_POINTER;
    memset(f, 0, sizeof *f);
#ifdef TGK_POSIX
    if (!copy && !tgk_is_big_endian())
        return tgk_map(f, path);
#else
    (void)copy;
#endif
    const tgk_status status = tgk_read(f, path);
    if (status == TGK_OK && tgk_is_big_endian())
        tgk_swap((unsigned char *)f->at, f->bytes);
    return status;
}

void tgk_unload(tgk_file *f)
{
#ifdef TGK_POSIX
    if (f->mapped)
        munmap(f->block, f->bytes);
    else
#endif
        free(f->block);
    memset(f, 0, sizeof *f);
}
