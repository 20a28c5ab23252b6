#include "pass.h"
void pass_ort_embedding(TgPass *p) { (void)p; }
