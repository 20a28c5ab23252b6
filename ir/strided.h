/* Copying between strided arrays of fixed-size elements. Private to ir/. */
#ifndef TG_STRIDED_H
#define TG_STRIDED_H

#include "base.h"

enum { TG_STRIDED_RANK = 16 };

/* For every index below n: dst[index . to] = src[index . from]; strides count elements, of 1, 2, 4, 8 or 16
 * bytes. */
void tg_copy_strided(void *dst, const int64_t *to, const void *src, const int64_t *from, int32_t rank,
                     const int64_t *n, size_t element);

#endif
