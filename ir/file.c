/* Files in: whole files, mapped read-only, opened once per path and kept until the context closes.
 *
 * External data named by a model is foreign text: it is opened beneath the model's folder by the kernel
 * itself (openat2), so that no check can be raced; symbolic links are followed as long as they stay beneath
 * that folder or the folder that the model file really lies in (model caches link both into one place). A
 * hard link looks like any file, wherever the other names of it lie: a file with several is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#include "context.h"

static void *refuse(Tg *tg, const char *path, int error)
{
    tg_report(tg, TG_E_cannot_open, path, strerror(error));
    return NULL;
}

/* --- mapping -------------------------------------------------------------------------------------------- */

enum { MAX_OPEN = 256 }; /* models with one file per weight must not run out of descriptors */

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY }; /* a named pipe must not make us wait */

/* A record for a file that is about to be opened: afterwards nothing need be allocated, so that no descriptor
 * and no mapping can be lost. */
static TgFile *reserve(Tg *tg, TgName path)
{
    TgFile *file = TG_NEW(tg->forever, TgFile);
    *file = (TgFile){.path = path, .bytes = (const uint8_t *)"", .fd = -1};
    TG_PUSH(tg->forever, &tg->mapped, file);
    tg_map_put(&tg->files, TG_KEY(path), TG_KEY(file));
    return file;
}

static void withdraw(Tg *tg, const TgFile *file)
{
    tg->mapped.n--;
    tg_map_put(&tg->files, TG_KEY(file->path), 0);
}

/* 0 or the errno. */
static int map(TgFile *file, int fd, size_t size)
{
    void *at = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : (void *)(uintptr_t)file->bytes;
    if (at == MAP_FAILED)
        return errno;
    file->bytes = at;
    file->size = size;
    return 0;
}

/* Takes over fd (or a negated errno) as the contents of `file`. `foreign`: its path stands in a model. NULL:
 * recorded. */
static const TgFile *settle(Tg *tg, TgFile *file, int fd, bool foreign)
{
    struct stat info = {0};
    int error = fd < 0 ? -fd : fstat(fd, &info) ? errno : 0;
    bool regular = S_ISREG(info.st_mode);
    bool linked = foreign && info.st_nlink > tg_limit(tg, TG_LIMIT_links);
    if (!error && regular && !linked)
        error = map(file, fd, (size_t)info.st_size);
    bool fine = !error && regular && !linked;
    if (fine && tg->mapped.n <= MAX_OPEN)
        file->fd = fd;
    else if (fd >= 0)
        close(fd);
    if (fine)
        return file;
    withdraw(tg, file);
    if (error)
        return refuse(tg, file->path, error);
    tg_place(tg)->file = file->path;
    if (!regular)
        tg_report(tg, TG_E_not_regular, file->path);
    else
        tg_within(tg, TG_LIMIT_links, info.st_nlink);
    return NULL;
}

static const TgFile *known(Tg *tg, TgName path)
{
    uint64_t found = 0;
    tg_map_get(&tg->files, TG_KEY(path), &found);
    return (const TgFile *)(uintptr_t)found;
}

const TgFile *tg_file_map(Tg *tg, const char *path)
{
    TgName name = tg_name(tg, path);
    const TgFile *file = known(tg, name);
    if (file)
        return file;
    TgFile *made = reserve(tg, name);
    int fd = open(path, OPEN_FLAGS);
    return settle(tg, made, fd < 0 ? -errno : fd, false);
}

const TgFile *tg_file_at(const Tg *tg, const void *address)
{
    for (uint32_t i = 0; i < tg->mapped.n; i++) {
        const TgFile *file = tg->mapped.at[i];
        if ((uintptr_t)address - (uintptr_t)file->bytes < file->size)
            return file;
    }
    return NULL;
}

/* The whole pages within [bytes, bytes + size), or all that hold a part of it. */
static void advise(const uint8_t *bytes, size_t size, bool within, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)bytes, end = start + size;
    start = (start + (within ? page - 1 : 0)) / page * page;
    end = (end + (within ? 0 : page - 1)) / page * page;
    if (start < end)
        madvise((void *)start, end - start, advice);
}

void tg_file_forget(const uint8_t *bytes, size_t size)
{
    advise(bytes, size, true, MADV_DONTNEED);
}

void tg_file_expect(const uint8_t *bytes, size_t size, TgReading how)
{
    static const int advice[] = {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM};
    advise(bytes, size, true, advice[how]);
}

void tg_file_populate(const uint8_t *bytes, size_t size)
{
#ifdef MADV_POPULATE_READ
    advise(bytes, size, false, MADV_POPULATE_READ);
#else
    (void)bytes, (void)size;
#endif
}

void tg_files_close(Tg *tg)
{
    tg_outputs_unwind(tg, 0);
    for (uint32_t i = 0; i < tg->mapped.n; i++) {
        TgFile *file = tg->mapped.at[i];
        if (file->size)
            munmap((void *)(uintptr_t)file->bytes, file->size);
        if (file->fd >= 0)
            close(file->fd);
    }
    tg->mapped.n = 0;
}

/* --- beneath the model's folder ------------------------------------------------------------------------- */

static bool climbs(const char *location)
{
    for (const char *at = location; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t n = strcspn(at, "/");
        if (n == 2 && at[0] == '.' && at[1] == '.')
            return true;
    }
    return false;
}

TgName tg_folder_of(Tg *tg, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return tg_name(tg, ".");
    return tg_name_n(tg, path, slash == path ? 1 : (size_t)(slash - path));
}

/* A file descriptor, or the negated errno; -EXDEV: the path leaves the folder; -ENOSYS: the kernel cannot
 * tell. */
static int open_beneath(const char *folder, const char *location)
{
#ifdef SYS_openat2
    int base = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return -errno;
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, base, location, &how, sizeof how);
    int error = errno;
    close(base);
    if (fd >= 0)
        return (int)fd;
    return error == EPERM ? -ENOSYS : -error; /* sandboxes refuse calls that they do not know */
#else
    (void)folder, (void)location;
    return -ENOSYS;
#endif
}

/* The path below `folder` that the absolute `real` has; NULL: it lies elsewhere. */
static const char *below(const char *folder, const char *real)
{
    size_t n = strlen(folder);
    if (n == 1 && *folder == '/')
        return real + 1;
    return strncmp(folder, real, n) == 0 && real[n] == '/' ? real + n + 1 : NULL;
}

/* Step by step, for kernels without openat2. `inner` is resolved: a link in it was put there since. */
static int open_stepwise(const char *folder, const char *inner)
{
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0 && *inner) {
        char step[NAME_MAX + 1];
        size_t n = strcspn(inner, "/");
        bool last = inner[n] == 0;
        if (n > NAME_MAX) {
            close(at);
            return -ENAMETOOLONG;
        }
        memcpy(step, inner, n);
        step[n] = 0;
        int next = openat(at, step, O_NOFOLLOW | (last ? OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC));
        int error = errno;
        close(at);
        errno = error;
        at = next;
        inner += n + !last;
    }
    return at < 0 ? -errno : at;
}

/* Opens the resolved path `real` if it lies beneath `folder`. */
static int open_resolved(const char *folder, const char *real)
{
    const char *inner = below(folder, real);
    if (!inner)
        return -EXDEV;
    int fd = open_beneath(folder, inner);
    return fd == -ENOSYS ? open_stepwise(folder, inner) : fd;
}

/* The model's folder itself, links resolved; then the folder that the model file really lies in. */
static int open_by_real_path(Tg *tg, const char *model_path, const char *path)
{
    char real[PATH_MAX], folder[PATH_MAX], model[PATH_MAX];
    if (!realpath(path, real) || !realpath(tg_folder_of(tg, model_path), folder) || !realpath(model_path, model))
        return -errno;
    int fd = open_resolved(folder, real);
    return fd == -EXDEV ? open_resolved(tg_folder_of(tg, model), real) : fd;
}

const TgFile *tg_file_map_beneath(Tg *tg, const char *model_path, const char *location)
{
    if (!*location || *location == '/' || climbs(location)) {
        tg_report(tg, TG_E_external_path, location);
        return NULL;
    }
    TgName folder = tg_folder_of(tg, model_path);
    bool here = !strchr(model_path, '/');
    TgName path = here ? tg_name(tg, location) : tg_name_format(tg, "%s/%s", folder, location);
    const TgFile *file = known(tg, path);
    if (file)
        return file;
    TgFile *made = reserve(tg, path);
    int fd = open_beneath(folder, location);
    if (fd == -EXDEV || fd == -ENOSYS)
        fd = open_by_real_path(tg, model_path, path);
    if (fd != -EXDEV)
        return settle(tg, made, fd, true);
    withdraw(tg, made);
    tg_report(tg, TG_E_external_path, location);
    return NULL;
}

