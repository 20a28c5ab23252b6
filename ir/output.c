/* Files out. Nothing is visible before it is complete: the file has no name while it is written (O_TMPFILE), so
 * that nothing stays of a process that is killed; file systems that cannot do that get a hidden name beside
 * the target, which is removed when the context closes or unwinds. Links are never followed: where the target
 * is one, the link is replaced. Pipes and devices are written directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "context.h"

enum { BUFFER = 128 << 10, SMALL_COPY = 64 << 10, PIECE = 2 << 20, PAGE = 4096 };

struct TgOutput {
    Tg *tg;
    TgOutput *next; /* opened before this one */
    uint64_t serial;
    TgName path;      /* as given */
    TgName temporary; /* the hidden name; NULL: none now */
    bool direct;      /* a pipe, a device: there is nothing to rename */
    int fd;
    uint8_t *buffer;
    size_t pending; /* bytes in the buffer */
    size_t offset;
    bool failed; /* recorded */
};

static bool fail(TgOutput *out, int error)
{
    if (!out->failed)
        tg_report(out->tg, TG_E_cannot_write, out->path, strerror(error));
    out->failed = true;
    return false;
}

/* --- opening -------------------------------------------------------------------------------------------- */

enum { ATTEMPTS = 100 };

static void hidden_name(TgOutput *out, int attempt)
{
    out->temporary = tg_name_format(out->tg, "%s/.tgopt-%ld-%llu-%d", tg_folder_of(out->tg, out->path),
                                    (long)getpid(), (unsigned long long)out->serial, attempt);
}

static void own_path(int fd, char text[32])
{
    snprintf(text, 32, "/proc/self/fd/%d", fd);
}

/* A file without a name, which publish() can give one later; false: this system has none. */
static bool open_nameless(TgOutput *out)
{
#ifdef O_TMPFILE
    char self[32];
    out->fd = open(tg_folder_of(out->tg, out->path), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (out->fd < 0)
        return false;
    own_path(out->fd, self);
    if (access(self, F_OK) == 0)
        return true;
    close(out->fd);
    out->fd = -1;
#endif
    return false;
}

static bool open_hidden(TgOutput *out)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        hidden_name(out, attempt);
        out->fd = open(out->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (out->fd >= 0 || errno != EEXIST)
            break;
    }
    if (out->fd >= 0)
        return true;
    out->temporary = NULL;
    return fail(out, errno);
}

/* Links in these folders are the system's own: /dev/stdout is one. */
static bool in_system_folder(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

static bool open_directly(TgOutput *out, const char *path)
{
    int follow = in_system_folder(path) ? 0 : O_NOFOLLOW;
    out->direct = true;
    out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | follow);
    return out->fd >= 0 || fail(out, errno);
}

/* A new file gets the permissions of the one that it will replace. */
static bool open_target(TgOutput *out, const char *path)
{
    struct stat info, own;
    if (strcmp(path, "-") == 0) {
        out->direct = true;
        out->fd = dup(STDOUT_FILENO);
        return out->fd >= 0 || fail(out, errno);
    }
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return S_ISDIR(info.st_mode) ? fail(out, EISDIR) : open_directly(out, path);
    bool exists = lstat(path, &own) == 0 && S_ISREG(own.st_mode);
    if (!open_nameless(out) && !open_hidden(out))
        return false;
    return !exists || fchmod(out->fd, own.st_mode & 0777) == 0 || fail(out, errno);
}

TgOutput *tg_output_open(Tg *tg, const char *path)
{
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
void tg_output_discard(TgOutput *out)
{
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

void tg_outputs_unwind(Tg *tg, uint64_t serial)
{
    while (tg->outputs && tg->outputs->serial > serial)
        tg_output_discard(tg->outputs);
}

/* Could blocks of other files be part of this one (btrfs, XFS)? Asked with an empty range of the file itself. */
static bool may_share(const TgOutput *out)
{
    struct file_clone_range empty = {.src_fd = out->fd};
    return ioctl(out->fd, FICLONERANGE, &empty) == 0 || (errno != EOPNOTSUPP && errno != ENOTTY);
}

/* Blocks are found in one go and lie together; not where some will be shared, which would keep what was set aside for
 * them. A wish: where there is no room, what is written will say so. */
void tg_output_expect(TgOutput *out, size_t n)
{
    if (!out->direct && !out->failed && n >= PIECE && n <= INT64_MAX && !may_share(out))
        (void)!fallocate(out->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)n);
}

/* --- writing -------------------------------------------------------------------------------------------- */

/* The kernel could not read these bytes: a mapped file became shorter. Reading them here raises the signal whose
 * handler says which. */
static void touch(const struct iovec *part)
{
    for (size_t i = 0; i < part->iov_len; i += PAGE)
        (void)((const volatile uint8_t *)part->iov_base)[i];
}

static bool write_all(TgOutput *out, struct iovec *parts, int n)
{
    while (n) {
        ssize_t wrote = writev(out->fd, parts, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        for (int i = 0; wrote < 0 && errno == EFAULT && i < n; i++)
            touch(&parts[i]);
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

static bool flush(TgOutput *out)
{
    struct iovec part = {out->buffer, out->pending};
    bool any = out->pending != 0;
    out->pending = 0;
    return !any || write_all(out, &part, 1);
}

bool tg_output_patch(TgOutput *out, size_t offset, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    if (out->direct || offset > out->offset || n > out->offset - offset)
        return fail(out, ESPIPE);
    if (out->failed || !flush(out))
        return false;
    while (n) {
        ssize_t wrote = pwrite(out->fd, at, n, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return fail(out, errno);
        at += wrote;
        offset += (size_t)wrote;
        n -= (size_t)wrote;
    }
    return true;
}

bool tg_output_write(TgOutput *out, const void *bytes, size_t n)
{
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

/* Through the mapping: one copy, where reading into a buffer would make two. Each piece is made present at once, as
 * single page faults would cost half as much as the copy, and let go, so that the source does not stay resident.
 * Pieces end at multiples of their size in the output, where the page cache has its largest units. */
static bool copy_mapped(TgOutput *out, const uint8_t *bytes, size_t n)
{
    tg_file_expect(bytes, n, TG_READ_IN_ORDER);
    while (n) {
        size_t most = PIECE - out->offset % PIECE, piece = n < most ? n : most;
        tg_file_populate(bytes, piece);
        if (!tg_output_write(out, bytes, piece))
            return false;
        tg_file_forget(bytes, piece);
        bytes += piece;
        n -= piece;
    }
    return true;
}

/* How many bytes the output now shares with the file, where the file system can do that (btrfs, XFS): whole blocks, at
 * places that differ by whole blocks. */
static size_t share_blocks(TgOutput *out, const TgFile *from, size_t offset, size_t n)
{
    struct file_clone_range range = {
        .src_fd = from->fd, .src_offset = offset, .src_length = n - n % PAGE, .dest_offset = out->offset};
    bool whole = offset % PAGE == 0 && out->offset % PAGE == 0 && range.src_length;
    if (!whole || out->direct || from->fd < 0 || ioctl(out->fd, FICLONERANGE, &range))
        return 0;
    off_t end = (off_t)(out->offset + range.src_length);
    if (lseek(out->fd, end, SEEK_SET) != end)
        fail(out, errno);
    return (size_t)range.src_length;
}

bool tg_output_copy(TgOutput *out, const TgFile *from, size_t offset, size_t n)
{
    TG_CHECK(out->tg, offset <= from->size && n <= from->size - offset);
    if (n < SMALL_COPY)
        return tg_output_write(out, from->bytes + offset, n);
    if (out->failed || !flush(out))
        return false;
    size_t shared = share_blocks(out, from, offset, n);
    out->offset += shared;
    return !out->failed && copy_mapped(out, from->bytes + offset + shared, n - shared);
}

bool tg_output_zeros(TgOutput *out, size_t n)
{
    static const uint8_t zeros[4096];
    bool ok = !out->failed;
    for (; ok && n; n -= n < sizeof zeros ? n : sizeof zeros)
        ok = tg_output_write(out, zeros, n < sizeof zeros ? n : sizeof zeros);
    return ok;
}

size_t tg_output_offset(const TgOutput *out)
{
    return out->offset;
}

/* --- publishing ----------------------------------------------------------------------------------------- */

/* Makes the new name itself durable. */
static bool sync_folder(TgOutput *out)
{
    int fd = open(tg_folder_of(out->tg, out->path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    return ok || fail(out, error);
}

/* Gives a nameless file its target's name where that is free, else a hidden one. */
static bool give_name(TgOutput *out)
{
    char self[32];
    own_path(out->fd, self);
    if (linkat(AT_FDCWD, self, AT_FDCWD, out->path, AT_SYMLINK_FOLLOW) == 0)
        return true;
    for (int attempt = 0; attempt < ATTEMPTS && errno == EEXIST; attempt++) {
        hidden_name(out, attempt);
        if (linkat(AT_FDCWD, self, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW) == 0)
            return true;
    }
    out->temporary = NULL;
    return fail(out, errno);
}

static bool publish(TgOutput *out, bool sync)
{
    if (!flush(out) || (sync && !out->direct && fsync(out->fd) && !fail(out, errno)))
        return false;
    if (!out->direct && !out->temporary && !give_name(out))
        return false;
    int fd = out->fd;
    out->fd = -1;
    if (close(fd))
        return fail(out, errno);
    if (out->direct)
        return true;
    if (out->temporary && rename(out->temporary, out->path))
        return fail(out, errno);
    out->temporary = NULL;
    tg_map_put(&out->tg->files, TG_KEY(out->path), 0); /* a mapping of the old contents is stale */
    return !sync || sync_folder(out);
}

bool tg_output_commit(TgOutput *out, bool sync)
{
    bool ok = !out->failed && publish(out, sync);
    tg_output_discard(out);
    return ok;
}

void tg_outputs_abandon(const Tg *tg)
{
    for (const TgOutput *out = tg->outputs; out; out = out->next)
        if (out->temporary)
            unlink(out->temporary);
}
