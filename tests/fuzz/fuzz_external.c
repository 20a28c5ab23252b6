/* External data: three lines (location, offset, length) as the entries of a tensor. Nothing outside of the
 * folder of the model is ever opened, and what is read are the bytes at that place of that file.
 *
 * The folder: w.bin, sub/w.bin, a link to a file inside; links to a file, a folder and a chain that lead
 * outside, a loop, a named pipe, a folder in the place of a file.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { SIZE = 64 }; /* of every file */

static char root[PATH_MAX]; /* of all that is made here; removed at exit */

static void remove_root(void)
{
    static const char *const made[] = {"m/sub/w.bin", "m/sub/up",  "m/sub",   "m/w.bin",      "m/link",
                                       "m/out",       "m/out.bin", "m/chain", "m/loop",       "m/pipe",
                                       "m/folder",    "m/t.pb",    "m",       "secret/w.bin", "secret"};
    char path[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        snprintf(path, sizeof path, "%s/%s", root, made[i]);
        remove(path);
    }
    remove(root);
}

static void make_file(const char *name, uint8_t first)
{
    uint8_t bytes[SIZE];
    for (int i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(first + i);
    fuzz_write(name, bytes, SIZE);
}

static void must(int failed)
{
    if (failed)
        abort();
}

static void make_root(void)
{
    char template[] = "/tmp/tgopt-fuzz-external-XXXXXX", here[PATH_MAX];
    if (!mkdtemp(template) || !realpath(template, root) || !getcwd(here, sizeof here) || chdir(root))
        abort();
    atexit(remove_root);
    must(mkdir("m", 0700) || mkdir("m/sub", 0700) || mkdir("m/folder", 0700) || mkdir("secret", 0700));
    make_file("m/w.bin", 0);
    make_file("m/sub/w.bin", 64);
    make_file("secret/w.bin", 128);
    must(symlink("sub/w.bin", "m/link") || symlink("../secret", "m/out") ||
         symlink("../secret/w.bin", "m/out.bin"));
    must(symlink("out.bin", "m/chain") || symlink("loop", "m/loop") || symlink("..", "m/sub/up"));
    must(mkfifo("m/pipe", 0600) || chdir(here));
}

/* --- the message ---------------------------------------------------------------------------------------- */

static void add_field(TgText *to, uint32_t number, TgBytes bytes)
{
    uint8_t head[3] = {(uint8_t)(number << 3 | 2), (uint8_t)(bytes.n | 0x80), (uint8_t)(bytes.n >> 7)};
    tg_text_add_n(to, (const char *)head, sizeof head);
    tg_text_add_n(to, (const char *)bytes.at, bytes.n);
}

static void add_entry(Tg *tg, TgText *to, const char *key, TgBytes value)
{
    TgText entry;
    tg_text_init(&entry, tg_forever(tg));
    add_field(&entry, 1, (TgBytes){(const uint8_t *)key, strlen(key)});
    add_field(&entry, 2, value);
    add_field(to, 13, (TgBytes){(const uint8_t *)entry.at, entry.n});
}

static TgBytes take_line(TgBytes *rest)
{
    enum { MOST = 5000 };
    const uint8_t *end = rest->n ? memchr(rest->at, '\n', rest->n) : NULL;
    size_t n = end ? (size_t)(end - rest->at) : rest->n;
    TgBytes line = {rest->at, n < MOST ? n : MOST};
    rest->at += n + (end != NULL);
    rest->n -= n + (end != NULL);
    return line;
}

/* u8[16] with external data. */
static void spell(Tg *tg, TgText *message, TgBytes input)
{
    static const char *const keys[] = {"location", "offset", "length"};
    static const char head[] = {0x08, 16, 0x10, 2, 0x70, 1}; /* dims, data_type, data_location */
    tg_text_init(message, tg_forever(tg));
    tg_text_add_n(message, head, sizeof head);
    for (size_t i = 0; i < sizeof keys / sizeof *keys && input.n; i++)
        add_entry(tg, message, keys[i], take_line(&input));
}

void fuzz_one(Tg *tg, TgBytes input)
{
    char path[PATH_MAX + 16], real[PATH_MAX], inside[PATH_MAX + 16];
    TgText message;
    if (!*root)
        make_root();
    snprintf(path, sizeof path, "%s/m/t.pb", root);
    snprintf(inside, sizeof inside, "%s/m/", root);
    spell(tg, &message, input);
    fuzz_write(path, message.at, message.n);
    const TgTensor *t = tg_load_tensor(tg_forever(tg), path);
    fuzz_require(tg, (t == NULL) == (tg_error_count(tg) > 0), "a refusal without a reason, or the reverse",
                 NULL);
    if (!t || !t->file)
        return;
    fuzz_require(tg, realpath(t->file->path, real) && strncmp(real, inside, strlen(inside)) == 0,
                 "a file outside of the model's folder was opened", t->file->path);
    bool is_model = strcmp(real + strlen(inside), "t.pb") == 0;
    for (size_t i = 0; i < t->size && !is_model; i++)
        fuzz_require(tg, t->bytes[i] == (uint8_t)(t->offset + i + (strstr(real, "/sub/") ? 64 : 0)),
                     "other bytes", t->file->path);
}
