/* Makes the C file that holds the book, so that tgopt needs no data files and reads no XML for rules of its own:
 *
 *   tgopt_embed_rules OUT.c FILE.xml...
 *
 * Runs while tgopt is built. What it writes are the flat documents of xml.h, as constants, and tg_book_add_builtin
 * over them; a rule file that is refused, or rules that forestall one another, end the build with the place. That rules
 * are right is not asked here: `make check` proves them. */
#include <stdio.h>
#include <string.h>

#include "book.h"

/* Literals of more than 4095 bytes are no C11, so the source is written as numbers. */
static void write_source(FILE *out, uint32_t doc, const TgFile *file)
{
    fprintf(out, "static const unsigned char source_%u[] = {", doc);
    for (size_t i = 0; i < file->size; i++)
        fprintf(out, "%s%u,", i % 32 ? "" : "\n    ", file->bytes[i]);
    fprintf(out, "\n};\n");
}

static void write_text(FILE *out, const char *text)
{
    putc('"', out);
    for (const char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || *c == '?')
            fprintf(out, "\\%c", *c);
        else if (*c >= ' ' && *c <= '~')
            putc(*c, out);
        else
            fprintf(out, "\\%03o", (unsigned)(unsigned char)*c);
    putc('"', out);
}

static void write_span(FILE *out, uint32_t doc, const TgFile *file, const Span *s)
{
    size_t from = (size_t)(s->at - (const char *)file->bytes);
    fprintf(out, "{(const char *)source_%u + %zu, %zu, {%u, %u}}", doc, from, s->n, s->spot.line, s->spot.column);
}

static void write_element(FILE *out, uint32_t doc, const TgFile *file, const XmlElement *e)
{
    fprintf(out, "    &(XmlElement){");
    write_text(out, e->name);
    fprintf(out, ", ");
    write_text(out, e->text);
    fprintf(out, ", {%u, %u}, ", e->spot.line, e->spot.column);
    write_span(out, doc, file, &e->raw);
    fprintf(out, ", %u, %u, {", e->parent, e->n_children);
    if (e->attrs.n)
        fprintf(out, "(XmlAttr[]){");
    for (uint32_t i = 0; i < e->attrs.n; i++) {
        const XmlAttr *a = &e->attrs.at[i];
        fprintf(out, "%s{", i ? ", " : "");
        write_text(out, a->name);
        fprintf(out, ", ");
        write_text(out, a->text);
        fprintf(out, ", ");
        write_span(out, doc, file, &a->raw);
        putc('}', out);
    }
    fprintf(out, e->attrs.n ? "}, %u, %u}},\n" : "0, %u, %u}},\n", e->attrs.n, e->attrs.n);
}

static bool write_doc(FILE *out, Tg *tg, uint32_t number, const char *path)
{
    const TgFile *file = tg_file_map(tg, path);
    XmlDoc doc;
    if (!file || !xml_read(tg_forever(tg), tg_name(tg, path), (const char *)file->bytes, file->size, &doc))
        return false;
    write_source(out, number, file);
    fprintf(out, "static XmlElement *const elements_%u[] = {\n", number);
    for (uint32_t i = 0; i < doc.elements.n; i++)
        write_element(out, number, file, doc.elements.at[i]);
    fprintf(out, "};\n\n");
    return true;
}

static bool write_book(FILE *out, Tg *tg, int n, char **paths)
{
    TgBook *book = tg_book_new(tg);
    bool good = true;
    fprintf(out, "/* Made by rules/embed.c. */\n#include \"rules/book.h\"\n\n");
    for (int i = 0; i < n; i++)
        good = tg_book_add_file(book, paths[i]) && write_doc(out, tg, (uint32_t)i, paths[i]) && good;
    good = good && tg_book_close(book);
    tg_book_free(book);
    fprintf(out, "static const XmlDoc docs[] = {\n");
    for (int i = 0; i < n; i++) {
        const char *slash = strrchr(paths[i], '/');
        fprintf(out, "    {\"rules/%s\", {(XmlElement **)elements_%d,"
                     " sizeof elements_%d / sizeof *elements_%d, 0}},\n",
                slash ? slash + 1 : paths[i], i, i, i);
    }
    fprintf(out, "};\n\nbool tg_book_add_builtin(TgBook *book)\n{\n    return book_add_checked(book, docs, %d);\n}\n", n);
    return good;
}

int main(int argc, char **argv)
{
    FILE *out = argc > 2 ? fopen(argv[1], "w") : NULL;
    Tg *tg = tg_open(NULL);
    if (!out || !tg)
        return fprintf(stderr, "usage: tgopt_embed_rules OUT.c FILE.xml...\n"), 2;
    bool good = write_book(out, tg, argc - 2, argv + 2);
    for (uint32_t i = 0; i < tg_diag_count(tg); i++) {
        TgText line;
        tg_text_init(&line, tg_forever(tg));
        tg_diag_render(tg, tg_diag(tg, i), &line);
        fprintf(stderr, "%s\n", line.at);
    }
    tg_close(tg);
    good = fclose(out) == 0 && good;
    if (!good)
        remove(argv[1]);
    return good ? 0 : 1;
}
