/* What the fuzz targets share. A target is one file fuzz_<what>.c with one function
 *
 *     void fuzz_one(Tg *tg, TgBytes input);
 *
 * that feeds any bytes to one part of the program and states with fuzz_require what must hold of the
 * answer. It is linked twice: with libFuzzer (libfuzzer.c, mutate.c), and with replay.c, a plain program
 * that runs files once.
 *
 * fuzz_one runs inside tg_protect with a limit on memory. Any refusal is fine; a crash, a report of a
 * sanitizer, an internal error (exit code 70) and a requirement that does not hold are findings.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "frontend/frontend.h"

enum { FUZZ_MEMORY = 256 << 20 }; /* of a context */

void fuzz_one(Tg *tg, TgBytes input);

/* Aborts unless it holds; says what, the last diagnostic, and a text that explains it (may be NULL). */
void fuzz_require(Tg *tg, bool holds, const char *what, const char *text);
bool fuzz_warned(Tg *tg, TgDiagId id); /* was it recorded? */
/* Aborts unless the texts are the same; shows the first lines that differ. */
void fuzz_require_same(Tg *tg, const char *a, const char *b, const char *what);

/* The input as a model: the text form, or ONNX. NULL: refused, or more than targets look at. */
TgModel *fuzz_model(Tg *tg, TgBytes input);
bool fuzz_is_text(TgBytes input);
TgModel *fuzz_load(Tg *tg, TgBytes bytes); /* as an ONNX file */
TgModel *fuzz_parse(Tg *tg, const char *text);
const char *fuzz_print(const TgModel *m); /* its text form; lives as long as the context */
void fuzz_forget(TgGraph *g); /* what is known of results, and what files or texts claim, which may be lies */
void fuzz_infer_anew(TgGraph *g); /* forgets, then infers */

/* The path of a file m.onnx in a new folder, which is removed after the input. */
const char *fuzz_path(Tg *tg);
void fuzz_write(const char *path, const void *bytes, size_t n);
void fuzz_clean(void); /* removes the folders */

/* One input, from opening a context to closing it. */
void fuzz_run(const uint8_t *bytes, size_t n);

#endif
