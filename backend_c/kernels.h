/* The sources that lie in the library: kernels and templates, made by embed.cmake. Private to backend_c. */
#ifndef TG_KERNELS_H
#define TG_KERNELS_H

#include "writer.h"

typedef struct {
    const char *name, *text; /* "gemm.inc" */
    size_t n;
} BuiltinSource;

extern const BuiltinSource builtin_kernels[]; /* ends with name NULL: backend_c/kernels and backend_c/package */

const BuiltinSource *package_builtin_source(const char *name);   /* NULL: there is none */
void package_kernel_bases(const Writer *w, Files *bases);        /* files of the operators that the steps call, each
                                                                    once */

#endif
