/* Files in and out.
 *
 * In: whole files, mapped read-only, opened once per path and kept until the context closes. External
 * data named by a model is foreign text: it is opened beneath the model's folder by the kernel itself
 * (openat2), so that no check can be raced; symbolic links are followed as long as they stay beneath that
 * folder or the folder that the model file really lies in (model caches link both into one place).
 * Out: a temporary file beside the target, renamed at commit. What is not committed is removed when the
 * context closes or unwinds. Pipes and devices are written directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef SYS_openat2
#include <linux/openat2.h>
#endif

#include "context.h"

static void *refuse(Tg *tg, const char *path, int error) {
    tg_report(tg, TG_E_cannot_open, path, strerror(error));
    return NULL;
}

/* --- mapping -------------------------------------------------------------------------------------------- */

enum { MAX_OPEN = 256 }; /* models with one file per weight must not run out of descriptors */

enum { OPEN_FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY }; /* a named pipe must not make us wait */

/* Takes over fd. */
static const TgFile *map(Tg *tg, TgName path, int fd) {
    struct stat info;
    int error = fstat(fd, &info) ? errno : 0;
    const uint8_t *bytes = (const uint8_t *)"";
    if (!error && S_ISREG(info.st_mode) && info.st_size > 0) {
        void *at = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        error = at == MAP_FAILED ? errno : 0;
        bytes = at;
    }
    if (error || !S_ISREG(info.st_mode) || tg->mapped.n >= MAX_OPEN) {
        close(fd);
        fd = -1;
    }
    if (error)
        return refuse(tg, path, error);
    if (!S_ISREG(info.st_mode)) {
        tg_report(tg, TG_E_not_regular, path);
        return NULL;
    }
    TgFile *file = TG_NEW(tg->forever, TgFile);
    *file = (TgFile){.path = path, .bytes = bytes, .size = (size_t)info.st_size, .fd = fd};
    TG_PUSH(tg->forever, &tg->mapped, file);
    tg_map_put(&tg->files, TG_KEY(path), TG_KEY(file));
    return file;
}

static const TgFile *known(Tg *tg, TgName path) {
    uint64_t found = 0;
    tg_map_get(&tg->files, TG_KEY(path), &found);
    return (const TgFile *)(uintptr_t)found;
}

const TgFile *tg_file_map(Tg *tg, const char *path) {
    TgName name = tg_name(tg, path);
    const TgFile *file = known(tg, name);
    if (file)
        return file;
    int fd = open(path, OPEN_FLAGS);
    return fd < 0 ? refuse(tg, path, errno) : map(tg, name, fd);
}

void tg_file_forget(const uint8_t *bytes, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)bytes, end = start + size;
    start = (start + page - 1) / page * page;
    end = end / page * page;
    if (start < end)
        madvise((void *)start, end - start, MADV_DONTNEED);
}

void tg_files_close(Tg *tg) {
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

static bool climbs(const char *location) {
    for (const char *at = location; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t n = strcspn(at, "/");
        if (n == 2 && at[0] == '.' && at[1] == '.')
            return true;
    }
    return false;
}

static TgName folder_of(Tg *tg, const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return tg_name(tg, ".");
    return tg_name_n(tg, path, slash == path ? 1 : (size_t)(slash - path));
}

/* A file descriptor, or the negated errno; -EXDEV: the path leaves the folder; -ENOSYS: the kernel cannot
 * tell. */
static int open_beneath(const char *folder, const char *location) {
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
static const char *below(const char *folder, const char *real) {
    size_t n = strlen(folder);
    if (n == 1 && *folder == '/')
        return real + 1;
    return strncmp(folder, real, n) == 0 && real[n] == '/' ? real + n + 1 : NULL;
}

/* Opens the resolved path `real` if it lies beneath `folder`. */
static int open_resolved(const char *folder, const char *real) {
    const char *inner = below(folder, real);
    if (!inner)
        return -EXDEV;
    int fd = open_beneath(folder, inner);
    if (fd != -ENOSYS)
        return fd;
    fd = open(real, OPEN_FLAGS | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* The model's folder itself, links resolved; then the folder that the model file really lies in. */
static int open_by_real_path(Tg *tg, const char *model_path, const char *path) {
    char real[PATH_MAX], folder[PATH_MAX], model[PATH_MAX];
    if (!realpath(path, real) || !realpath(folder_of(tg, model_path), folder) || !realpath(model_path, model))
        return -errno;
    int fd = open_resolved(folder, real);
    return fd == -EXDEV ? open_resolved(folder_of(tg, model), real) : fd;
}

const TgFile *tg_file_map_beneath(Tg *tg, const char *model_path, const char *location) {
    if (!*location || *location == '/' || climbs(location)) {
        tg_report(tg, TG_E_external_path, location);
        return NULL;
    }
    TgName folder = folder_of(tg, model_path);
    bool here = !strchr(model_path, '/');
    TgName path = here ? tg_name(tg, location) : tg_name_format(tg, "%s/%s", folder, location);
    const TgFile *file = known(tg, path);
    if (file)
        return file;
    int fd = open_beneath(folder, location);
    if (fd == -EXDEV || fd == -ENOSYS)
        fd = open_by_real_path(tg, model_path, path);
    if (fd == -EXDEV) {
        tg_report(tg, TG_E_external_path, location);
        return NULL;
    }
    return fd < 0 ? refuse(tg, path, -fd) : map(tg, path, fd);
}

/* --- writing -------------------------------------------------------------------------------------------- */

enum { BUFFER = 1 << 20, SMALL_COPY = 64 << 10, CHUNK = 8 << 20 };

struct TgOutput {
    Tg *tg;
    TgOutput *next; /* opened before this one */
    uint64_t serial;
    TgName path;              /* as given, for messages */
    TgName target, temporary; /* NULL: written directly */
    int fd;
    uint8_t *buffer;
    size_t pending; /* bytes in the buffer */
    size_t offset;
    bool failed; /* recorded */
};

static bool fail(TgOutput *out, int error) {
    if (!out->failed)
        tg_report(out->tg, TG_E_cannot_write, out->path, strerror(error));
    out->failed = true;
    return false;
}

/* A new file beside the target, with the permissions of the file that it will replace. */
static bool create_temporary(TgOutput *out, const struct stat *old) {
    TgName folder = folder_of(out->tg, out->target);
    for (int attempt = 0; attempt < 100; attempt++) {
        out->temporary = tg_name_format(out->tg, "%s/.tgopt-%ld-%llu-%d", folder, (long)getpid(),
                                        (unsigned long long)out->serial, attempt);
        out->fd = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (out->fd >= 0 || errno != EEXIST)
            break;
    }
    if (out->fd < 0) {
        out->temporary = NULL;
        return fail(out, errno);
    }
    if (old && fchmod(out->fd, old->st_mode & 0777))
        return fail(out, errno);
    return true;
}

static bool open_target(TgOutput *out, const char *path) {
    if (strcmp(path, "-") == 0) {
        out->fd = dup(STDOUT_FILENO);
        return out->fd >= 0 || fail(out, errno);
    }
    struct stat info;
    bool exists = stat(path, &info) == 0;
    if (exists && !S_ISREG(info.st_mode)) {
        out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return out->fd >= 0 || fail(out, errno);
    }
    char real[PATH_MAX]; /* the file that a symbolic link names is replaced, not the link */
    out->target = tg_name(out->tg, exists && realpath(path, real) ? real : path);
    return create_temporary(out, exists ? &info : NULL);
}

TgOutput *tg_output_open(Tg *tg, const char *path) {
    TgOutput *out = tg_heap_new(tg, sizeof *out);
    *out = (TgOutput){.tg = tg, .next = tg->outputs, .serial = ++tg->output_serial, .fd = -1};
    tg->outputs = out;
    out->path = tg_name(tg, path);
    out->buffer = tg_heap_new(tg, BUFFER);
    if (open_target(out, path))
        return out;
    tg_output_discard(out);
    return NULL;
}

/* Takes out of the context's list, closes, frees; the temporary file is removed unless it was renamed. */
void tg_output_discard(TgOutput *out) {
    if (!out)
        return;
    Tg *tg = out->tg;
    TgOutput **link = &tg->outputs;
    while (*link != out)
        link = &(*link)->next;
    *link = out->next;
    if (out->fd >= 0)
        close(out->fd);
    if (out->temporary)
        unlink(out->temporary);
    tg_heap_free(tg, out->buffer);
    tg_heap_free(tg, out);
}

void tg_outputs_unwind(Tg *tg, uint64_t serial) {
    while (tg->outputs && tg->outputs->serial > serial)
        tg_output_discard(tg->outputs);
}

static bool write_all(TgOutput *out, struct iovec *parts, int n) {
    while (n) {
        ssize_t wrote = writev(out->fd, parts, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail(out, errno);
        size_t done = (size_t)wrote;
        for (; n && done >= parts->iov_len; parts++, n--)
            done -= parts->iov_len;
        if (n) {
            parts->iov_base = (uint8_t *)parts->iov_base + done;
            parts->iov_len -= done;
        }
    }
    return true;
}

static bool flush(TgOutput *out) {
    struct iovec part = {out->buffer, out->pending};
    bool any = out->pending != 0;
    out->pending = 0;
    return !any || write_all(out, &part, 1);
}

bool tg_output_write(TgOutput *out, const void *bytes, size_t n) {
    if (out->failed)
        return false;
    if (out->offset > SIZE_MAX - n)
        return fail(out, EFBIG);
    out->offset += n;
    if (n <= BUFFER - out->pending) {
        if (n)
            memcpy(out->buffer + out->pending, bytes, n);
        out->pending += n;
        return true;
    }
    struct iovec parts[2] = {{out->buffer, out->pending}, {(void *)(uintptr_t)bytes, n}};
    out->pending = 0;
    return write_all(out, parts, 2);
}

/* Through the mapping, piece by piece, so that the source does not stay resident. */
static bool copy_mapped(TgOutput *out, const uint8_t *bytes, size_t n) {
    while (n) {
        size_t piece = n < CHUNK ? n : CHUNK;
        if (!tg_output_write(out, bytes, piece))
            return false;
        tg_file_forget(bytes, piece);
        bytes += piece;
        n -= piece;
    }
    return true;
}

/* How many bytes the kernel copied by itself: file to file (perhaps shared blocks), else file to anything. */
static size_t copy_in_kernel(TgOutput *out, int fd, off_t at, size_t n) {
    size_t left = n;
    bool between_files = true;
    while (left) {
        ssize_t done = between_files ? copy_file_range(fd, &at, out->fd, NULL, left, 0)
                                     : sendfile(out->fd, fd, &at, left);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0 && !between_files)
            break;
        if (done <= 0)
            between_files = false;
        else
            left -= (size_t)done;
    }
    return n - left;
}

bool tg_output_copy(TgOutput *out, const TgFile *from, size_t offset, size_t n) {
    TG_CHECK(out->tg, offset <= from->size && n <= from->size - offset);
    if (n < SMALL_COPY)
        return tg_output_write(out, from->bytes + offset, n);
    if (out->failed || !flush(out))
        return false;
    size_t done = from->fd >= 0 ? copy_in_kernel(out, from->fd, (off_t)offset, n) : 0;
    out->offset += done;
    return copy_mapped(out, from->bytes + offset + done, n - done);
}

bool tg_output_zeros(TgOutput *out, size_t n) {
    static const uint8_t zeros[4096];
    bool ok = !out->failed;
    for (; ok && n; n -= n < sizeof zeros ? n : sizeof zeros)
        ok = tg_output_write(out, zeros, n < sizeof zeros ? n : sizeof zeros);
    return ok;
}

size_t tg_output_offset(const TgOutput *out) { return out->offset; }

/* Makes the rename itself durable. */
static bool sync_folder(TgOutput *out) {
    int fd = open(folder_of(out->tg, out->target), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return ok || fail(out, error);
}

static bool publish(TgOutput *out, bool sync) {
    if (!flush(out))
        return false;
    if (sync && out->temporary && fsync(out->fd))
        return fail(out, errno);
    int fd = out->fd;
    out->fd = -1;
    if (close(fd))
        return fail(out, errno);
    if (!out->temporary)
        return true;
    if (rename(out->temporary, out->target))
        return fail(out, errno);
    out->temporary = NULL;
    tg_map_put(&out->tg->files, TG_KEY(out->path), 0); /* a mapping of the old contents is stale */
    return !sync || sync_folder(out);
}

bool tg_output_commit(TgOutput *out, bool sync) {
    bool ok = !out->failed && publish(out, sync);
    tg_output_discard(out);
    return ok;
}
