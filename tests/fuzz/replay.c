/* Runs a fuzz target once over each of the given files, and over all files beneath given folders: regression
 * tests that need no libFuzzer. The name of a file is printed before it runs, so that a crash has a name. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

static int ran;

static void run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    long n = -1;
    if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
        perror(path);
        exit(2);
    }
    uint8_t *bytes = malloc(n ? (size_t)n : 1);
    if (!bytes || fread(bytes, 1, (size_t)n, f) != (size_t)n) {
        perror(path);
        exit(2);
    }
    fclose(f);
    printf("%s\n", path);
    fflush(stdout);
    fuzz_run(bytes, (size_t)n);
    free(bytes);
    ran++;
}

static int visit(const char *path, const struct stat *info, int kind)
{
    (void)info;
    if (kind == FTW_F)
        run_file(path);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (ftw(argv[i], visit, 8)) {
            perror(argv[i]);
            return 2;
        }
    printf("%d files, no finding\n", ran);
    return ran ? 0 : 2; /* a regression test of nothing is a mistake in its call */
}
