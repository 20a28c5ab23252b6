/* The two halves of the pass chain. */
#ifndef TG_CHAIN_H
#define TG_CHAIN_H

#include "fully_connected.h"

void merge_linears_in_a_row(TgPass *p); /* chain_linear.c */

#endif
