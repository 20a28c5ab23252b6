/* Proves the rules of files by themselves, without the book: prove FILE... Prints why one is refused; 0: none is. */
#include <stdio.h>

#include "rules/rules.h"

static bool proves(Tg *tg, const char *path)
{
    TgBook *book = tg_book_new(tg);
    TgProofs proofs = {0};
    bool good = tg_book_add_file(book, path) && tg_book_close(book) && tg_book_count(book) > 0;
    for (uint32_t i = 0; good && i < tg_book_count(book); i++)
        good = tg_rule_prove(book, i, &proofs);
    tg_book_free(book);
    return good;
}

int main(int argc, char **argv)
{
    Tg *tg = tg_open(NULL);
    bool good = tg && argc > 1;
    for (int i = 1; i < argc && good; i++)
        good = proves(tg, argv[i]);
    for (uint32_t i = 0; tg && i < tg_diag_count(tg); i++)
        puts(tg_diag(tg, i)->message);
    tg_close(tg);
    return !good;
}
