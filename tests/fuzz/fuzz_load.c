/* Fuzz target for libFuzzer: any bytes as a model. Loading must end with a model that passes the structural
 * check, or with a recorded reason; never with a crash or an internal error. What loads must also be written
 * and load again.
 *
 *   cmake -S . -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DTGOPT_FUZZ=ON -DTGOPT_SANITIZE=ON
 *   ninja -C build/fuzz fuzz_load && build/fuzz/tests/fuzz_load -max_len=20000 CORPUS FOLDER_OF_MODELS
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "fuzz.h"

static void reload(const char *path)
{
    Tg *tg = tg_open(NULL);
    check(tg_load(tg, path, NULL) != NULL, "what was written does not load", tg);
    tg_close(tg);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[] = "/tmp/fuzz_load_XXXXXX", copy[sizeof path + 8];
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        abort();
    close(fd);
    snprintf(copy, sizeof copy, "%s.copy", path);
    Tg *tg = tg_open(NULL);
    TgModel *m = tg_load(tg, path, NULL);
    check((m == NULL) == (tg_error_count(tg) > 0), "a refusal without a reason, or a reason without refusal",
          tg);
    check(!m || tg_graph_check(m->graph), "a broken graph", tg);
    if (m && tg_save(m, copy, NULL))
        reload(copy);
    check(!is_internal(tg), "an internal error", tg);
    tg_close(tg);
    remove(copy);
    remove(path);
    return 0;
}
