/* Pad: any mode, sizes of padding below zero crop. Any element type. */
#ifndef TGK_OP_PAD_H
#define TGK_OP_PAD_H

#include "tgk.h"

typedef struct {
    tgk_array in[4], out[1];
    const char *mode;
} tgk_Pad_args;

tgk_status tgk_Pad(const tgk_ctx *c, tgk_Pad_args *a);

#endif
