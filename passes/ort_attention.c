#include "pass.h"
void pass_ort_attention(TgPass *p) { (void)p; }
